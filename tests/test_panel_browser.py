"""The panel as people see it: a real JupyterLab in a real Chromium, on real Kafka and MongoDB."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.local import LocalStack
from chatkit.message import Delete, Edit, Message
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from tests.browser import Lab, NotebookPage, PanelOnPage
from tests.chatting import run_panel
from tests.waiting import wait_until


def is_at_end(panel: PanelOnPage) -> bool:
    at_end: bool = panel.log.evaluate(
        "log => log.scrollHeight - log.clientHeight - log.scrollTop < 2"
    )
    return at_end


def test_people_on_two_pages_and_two_kernels_talk(open_chat: Callable[..., NotebookPage]) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    ana.panel.write("Hello Ben")
    row = ben.panel.wait_for("Hello Ben")
    assert row.locator(".author").inner_text() == "ana"
    assert row.locator(".tag").count() == 0
    ben.panel.write("Hello Ana")
    row = ana.panel.wait_for("Hello Ana")
    assert row.locator(".author").inner_text() == "ben"
    assert ana.panel.row("Hello Ben").locator(".tag").inner_text() == "(me)"
    assert ana.panel.row("Hello Ben").count() == 1, "the pending row and the sent one are the same"


def test_one_s_own_row_is_drawn_at_once_and_becomes_the_sent_one(
    open_chat: Callable[..., NotebookPage],
) -> None:
    panel = open_chat().panel
    panel.wait_for("ana joined")
    states = panel.root.evaluate(
        """async host => {
            const box = host.shadowRoot.querySelector("textarea");
            box.value = "quick";
            box.dispatchEvent(new Event("input"));
            box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
            const [message] = host.shadowRoot.querySelectorAll(".row:not(.join)");
            return [message?.dataset.state, box.value];
        }"""
    )
    assert states == ["pending", ""]
    row = panel.wait_for("quick")
    assert panel.messages.count() == 1
    assert panel.rows.count() == 2, "the message, and who joined before"
    assert "partition 0, offset 1" in (row.locator("time").get_attribute("title") or "")


def test_a_row_waits_for_the_running_cell_and_says_so(
    open_chat: Callable[..., NotebookPage],
) -> None:
    # A call that holds the interpreter's lock: no thread of the kernel, subshell or not, can run.
    busy = "import ctypes; ctypes.PyDLL(None).usleep(4_000_000)"
    page = open_chat("ana", "general", busy)
    page.start_cell(2)
    page.page.wait_for_timeout(500)
    page.panel.write("patience")
    page.panel.wait_for("Waits for the running cell", state="pending", timeout=3)
    row = page.panel.wait_for("patience", timeout=20)
    assert "Waits" not in row.inner_text()


def test_reload_and_a_second_browser_show_everything_again(
    open_chat: Callable[..., NotebookPage], channels: Channels
) -> None:
    channels.create("random")
    page = open_chat()
    page.panel.write("before the reload")
    page.panel.wait_for("before the reload")
    page.panel.wait(lambda panel: panel.root.get_by_role("option", name="random").count() == 1)
    page.panel.select("random")
    page.panel.write("in the other channel")
    page.panel.wait_for("in the other channel")
    page.save()
    page.load()
    page.panel.wait_for("in the other channel")
    assert page.panel.channel == "random"
    page.panel.select("general")
    page.panel.wait_for("before the reload")
    page.panel.write("after the reload")
    page.panel.wait_for("after the reload")
    second = page.open_again()
    second.panel.wait_for("before the reload")
    second.panel.write("from the second browser")
    page.panel.wait_for("from the second browser")


def test_history_of_before_is_there_and_live_joins_it_without_a_gap(
    open_chat: Callable[..., NotebookPage],
    producer: ChatProducer,
    room_factory: Callable[..., ChatRoom],
    archiver_factory: Callable[..., Archiver],
    store: object,
) -> None:
    archiver = archiver_factory()
    for number in range(30):
        producer.send(Message.new("general", "mei", f"old {number}")).result(10)
    wait_until(lambda: archiver.status.messages >= 30, 20)
    panel = open_chat().panel
    panel.wait_for("old 29")
    room_factory("ben").send("general", "live")
    panel.wait_for("live")
    texts = panel.root.evaluate(
        """async host => {
            const log = host.shadowRoot.querySelector(".scroller");
            const seen = new Set();
            for (log.scrollTop = 0; ; log.scrollTop += 200) {
                await new Promise((done) => setTimeout(done, 30));
                const bodies = host.shadowRoot.querySelectorAll(".body");
                for (const body of bodies) seen.add(body.textContent);
                if (log.scrollTop + log.clientHeight > log.scrollHeight - 2) return [...seen];
            }
        }"""
    )
    assert sorted(texts) == sorted([*(f"old {number}" for number in range(30)), "live"])


def test_markup_in_texts_and_names_is_shown_and_does_nothing(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    page = open_chat()
    attacks = [
        "<script>window.attacked = 1; alert('script')</script>",
        "<img src=y onerror=alert('image')>",
        "<img src=x onerror='window.attacked = 1'>",
        "<a href='javascript:window.attacked = 1'>link</a>",
        "<b data-commandlinker-command='notebook:delete-cell'>click</b>",
        "</style><style>* { display: none }</style>",
    ]
    for text in attacks:
        producer.send(Message.new("general", "<i onclick=x>mallory</i>", text)).result(10)
    for text in attacks:
        row = page.panel.wait_for(text)
        assert row.locator("script, img, a, b, i, style").count() == 0
    assert page.panel.messages.locator(".author").first.inner_text() == "<i onclick=x>mallory</i>"
    page.panel.row("commandlinker").click()
    assert page.page.evaluate("window.attacked") is None


def test_only_enter_sends_and_shift_enter_breaks_the_line(
    open_chat: Callable[..., NotebookPage],
) -> None:
    page = open_chat()
    panel = page.panel
    panel.box.click()
    page.page.keyboard.type("first line")
    page.page.keyboard.press("Shift+Enter")
    page.page.keyboard.type("second line")
    assert panel.box.input_value() == "first line\nsecond line"
    page.page.locator(".jp-Cell").first.click()  # leaves the box
    page.page.wait_for_timeout(300)
    assert panel.messages.count() == 0
    assert panel.box.input_value() == "first line\nsecond line"
    panel.box.press("Enter")
    body = panel.wait_for("first line").locator(".body")
    assert body.inner_text() == "first line\nsecond line"
    assert panel.box.input_value() == ""
    assert panel.box.evaluate("box => box.getRootNode().activeElement === box"), "still writing"
    panel.write("   ")
    page.page.wait_for_timeout(300)
    assert panel.messages.count() == 1, "blanks are no message"


def test_enter_that_ends_a_composition_does_not_send(
    open_chat: Callable[..., NotebookPage],
) -> None:
    panel = open_chat().panel
    panel.box.fill("にほん")
    panel.box.evaluate(
        """box => box.dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true }))"""
    )
    assert panel.box.input_value() == "にほん"
    assert panel.messages.count() == 0


def test_no_key_reaches_the_notebook_but_save(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana", "general", "x = 1")
    page.panel.write("something to stand on")
    page.panel.wait_for("something to stand on")
    before = page.cell_sources()
    keys = ["d", "d", "x", "a", "b", "y", "m", "Shift+Enter", "Control+Enter", "Alt+Enter"]
    keys += ["Control+b", "Control+Shift+f", "Shift+L", "ArrowUp", "ArrowDown", "Escape"]
    option = page.panel.root.get_by_role("option", name="general")
    for place in (page.panel.log, option, page.panel.box):
        place.focus()
        for key in keys:
            page.page.keyboard.press(key)
    page.page.wait_for_timeout(300)
    assert page.cell_sources() == before
    assert page.execution_count(2) is None
    assert page.page.locator("#jp-left-stack:visible").count() == 1, "the side bar is still there"
    page.panel.box.focus()
    page.page.keyboard.press("Control+s")
    page.page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")


def test_a_draft_stays_with_its_channel(
    open_chat: Callable[..., NotebookPage], channels: Channels
) -> None:
    channels.create("random")
    panel = open_chat().panel
    panel.wait(lambda panel: panel.root.get_by_role("option", name="random").count() == 1)
    panel.box.fill("for general")
    panel.select("random")
    assert panel.box.input_value() == ""
    panel.box.fill("for random")
    panel.select("general")
    assert panel.box.input_value() == "for general"
    panel.select("random")
    assert panel.box.input_value() == "for random"


def test_a_refused_text_comes_back_with_the_reason(open_chat: Callable[..., NotebookPage]) -> None:
    panel = open_chat().panel
    text = "x" * 17_000
    panel.write(text)
    panel.wait(lambda panel: panel.box.input_value() == text)
    assert "17,000 bytes" in panel.root.locator(".refusal").inner_text()
    assert panel.messages.count() == 0
    panel.box.press("End")
    panel.box.press("Backspace")
    assert panel.root.locator(".refusal").is_hidden()


def test_a_message_that_failed_says_why_and_is_sent_again_once(
    open_chat: Callable[..., NotebookPage], local_stack: LocalStack
) -> None:
    panel = open_chat(kafka_timeout=2.0, delivery_timeout=3.0).panel
    panel.write("before")
    panel.wait_for("before")
    local_stack.kafka.pause()
    try:
        panel.write("into the void")
        row = panel.wait_for("into the void", state="failed", timeout=30)
        assert "Not sent." in row.inner_text()
        panel.wait(lambda panel: panel.status.inner_text() == "Not connected", 30)
    finally:
        local_stack.kafka.resume()
    # It may have reached Kafka all the same; either way there is one of it.
    panel.wait(lambda panel: panel.status.inner_text() == "Connected", 30)
    panel.root.evaluate("host => host.shadowRoot.querySelector('.state button')?.click()")
    panel.wait_for("into the void", timeout=30)
    assert panel.row("into the void").count() == 1
    panel.write("after")
    panel.wait_for("after", timeout=30)
    assert panel.row("into the void").count() == 1


def test_without_mongodb_people_talk_and_the_panel_says_what_is_missing(
    open_chat: Callable[..., NotebookPage], channels: Channels, local_stack: LocalStack
) -> None:
    channels.create("random")
    panel = open_chat(mongo_timeout=1.0).panel
    panel.wait(lambda panel: panel.root.get_by_role("option", name="random").count() == 1)
    local_stack.mongod.pause()
    try:
        panel.select("random")
        panel.root.get_by_text("Its history can’t be read now").wait_for(timeout=20_000)
        assert panel.status.inner_text() == "Connected, no history"
        assert "MongoDB" in panel.root.locator(".banner").first.inner_text()
        panel.write("all the same")
        panel.wait_for("all the same")
    finally:
        local_stack.mongod.resume()
    panel.wait(lambda panel: panel.status.inner_text() == "Connected", 30)
    assert panel.root.locator(".banner").first.is_hidden()
    assert panel.row("all the same").count() == 1


def test_where_no_broker_listens_the_panel_says_so_and_gives_texts_back_as_failed(
    open_chat: Callable[..., NotebookPage],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    away = {"bootstrap_servers": address, "kafka_timeout": 1.0, "delivery_timeout": 2.0}
    panel = open_chat(connected=False, **away).panel
    banner = panel.root.locator(".banner").first
    assert address in banner.inner_text()
    assert banner.get_attribute("data-colour") == "red"
    panel.write("to nobody")
    assert "Not sent." in panel.wait_for("to nobody", state="failed", timeout=30).inner_text()


def test_edited_and_deleted_messages_are_marked(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    panel = open_chat().panel
    first, second = (Message.new("general", "mei", text) for text in ("helo", "oops"))
    for message in (first, second):
        producer.send(message).result(10)
    panel.wait_for("oops")
    edit = Edit.new("general", "mei", first.id, body="hello")
    delete = Delete.new("general", "mei", second.id)
    for event in (edit, delete):
        producer.send(event, author="mei").result(10)
    panel.wait_for("hello (edited)")
    panel.wait_for("This message was deleted.")
    assert panel.row("oops").count() == 0


def test_a_channel_is_created_on_one_page_and_appears_on_the_other(
    open_chat: Callable[..., NotebookPage],
) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    panel = ana.panel
    panel.root.get_by_role("button", name="Create a channel").click()
    name = panel.root.get_by_role("textbox", name="Name of the new channel")
    name.fill("Not A Name")
    name.press("Enter")
    panel.root.locator(".creating .bad").filter(has_text="Not A Name").wait_for()
    name.fill("kafka-questions")
    name.press("Enter")
    panel.wait_for("ana joined")
    panel.root.get_by_text("The beginning of #kafka-questions").wait_for()
    assert panel.messages.count() == 0
    assert panel.channel == "kafka-questions"
    panel.write("first question")
    panel.wait_for("first question")
    ben.panel.wait(lambda panel: panel.root.get_by_text("kafka-questions").count() > 0)
    ben.panel.select("kafka-questions")
    ben.panel.wait_for("first question")


def test_a_channel_that_is_missing_can_be_created_from_where_it_is_missed(
    open_chat: Callable[..., NotebookPage],
) -> None:
    panel = open_chat("ana", "not-there").panel
    panel.root.get_by_text("There is no channel “not-there” yet").wait_for()
    panel.root.get_by_role("button", name="Create it").click()
    panel.wait_for("ana joined")
    panel.root.get_by_text("The beginning of #not-there").wait_for()
    assert panel.messages.count() == 0


def test_older_messages_come_while_scrolling_up_and_nothing_jumps(
    open_chat: Callable[..., NotebookPage], settings: Settings, channels: Channels
) -> None:
    with ChatProducer(settings, bulk=True) as producer:
        receipts = [
            producer.send(Message.new("general", "mei", f"number {n} " + "word " * (n % 40)))
            for n in range(2500)
        ]
        for receipt in receipts:
            receipt.result(20)
    page = open_chat()
    panel = page.panel
    panel.wait_for("number 2499")
    assert is_at_end(panel)
    assert panel.rows.count() < 60, "only what is on screen is in the page"
    # The row that is read must stay where it is while older ones are put above it.
    moved = panel.root.evaluate(
        """async host => {
            const log = host.shadowRoot.querySelector(".scroller");
            const edge = log.getBoundingClientRect().top;
            const top = () => [...host.shadowRoot.querySelectorAll(".row")]
                .find((row) => row.getBoundingClientRect().bottom > edge + 20);
            const wait = (ms) => new Promise((done) => setTimeout(done, ms));
            const height = log.scrollHeight;
            let moved = 0;
            for (let step = 0; log.scrollHeight < height + 5000 && step < 500; step++) {
                log.scrollTop -= 300;
                await wait(20);
                const row = top().dataset.id;
                const place = () => host.shadowRoot.querySelector(`[data-id="${row}"]`)
                    ?.getBoundingClientRect().top;
                const before = place();
                await wait(20);
                moved = Math.max(moved, Math.abs(place() - before));
            }
            return [log.scrollHeight >= height + 5000, moved];
        }"""
    )
    assert moved[0], "older rows came"
    assert moved[1] < 2, "pixels by which the row that is being read moved"


def test_new_messages_are_counted_while_the_reader_is_further_up(
    open_chat: Callable[..., NotebookPage],
    producer: ChatProducer,
    room_factory: Callable[..., ChatRoom],
) -> None:
    for number in range(60):
        producer.send(Message.new("general", "mei", f"number {number}")).result(10)
    page = open_chat()
    panel = page.panel
    panel.wait_for("number 59")
    panel.log.hover()
    page.page.mouse.wheel(0, -600)
    panel.wait(lambda panel: not is_at_end(panel))
    page.page.wait_for_timeout(200)
    before = panel.log.evaluate("log => log.scrollTop")
    room = room_factory("ben")
    room.join("general", member=True).result(10)
    wait_until(lambda: any(row.actor == "ben" for row in room.rows("general")), 10)
    for number in range(3):
        room.send("general", f"fresh {number}")
    pill = panel.root.locator(".pill:not(.above)")
    pill.filter(has_text="3 new").wait_for()
    assert panel.log.evaluate("log => log.scrollTop") == before
    pill.click()
    panel.wait_for("fresh 2")
    panel.wait(is_at_end)
    assert pill.is_hidden()


def test_moving_the_cell_keeps_draft_and_place(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    for number in range(60):
        producer.send(Message.new("general", "mei", f"number {number}")).result(10)
    page = open_chat("ana", "general", "x = 1")
    panel = page.panel
    panel.wait_for("number 59")
    panel.box.fill("half a thought")
    panel.log.hover()
    page.page.mouse.wheel(0, -500)
    panel.wait(lambda panel: not is_at_end(panel))
    page.page.wait_for_timeout(200)
    before = panel.log.evaluate("log => log.scrollTop")
    page.page.evaluate("() => { jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }")
    page.command("notebook:move-cell-down")
    assert "ChatPanel(" in page.cell_sources()[2]
    panel.wait(lambda panel: panel.messages.count() > 0)
    assert panel.box.input_value() == "half a thought"
    panel.wait(lambda panel: panel.log.evaluate("log => log.scrollTop") == before)


def test_nothing_of_the_chat_is_in_the_saved_notebook(
    open_chat: Callable[..., NotebookPage], lab: Lab
) -> None:
    page = open_chat("a-secretive-user")
    page.panel.write("what nobody should find")
    page.panel.wait_for("what nobody should find")
    page.panel.box.fill("nor this draft")
    page.save()
    saved = (lab.notebooks / page.name).read_text()
    cell = json.loads(saved)["cells"][1]
    assert "what nobody should find" not in saved
    assert "nor this draft" not in saved
    assert "a-secretive-user" not in json.dumps(cell["outputs"])
    (output,) = cell["outputs"]
    assert output["data"]["text/plain"] == ["ChatPanel (run this cell to open the chat)"]


WIDGETS_AND_COMMS = (
    "(len(__import__('ipywidgets').widgets.widget._instances),"
    " len(__import__('comm').get_comm_manager().comms))"
)
OWN_THREADS = (
    "sorted(thread.name for thread in __import__('threading').enumerate()"
    " if thread.name in ('chatkit-feed', 'chatkit-consumer', 'chatkit-producer'))"
)
"""Those of which a panel has one; others come and go with the work."""


def test_close_leaves_no_widget_comm_or_thread(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat()
    page.evaluate("panel.close()")
    before = page.evaluate(WIDGETS_AND_COMMS)
    run_panel(page)
    page.panel.write("hello")
    page.panel.wait_for("hello")
    assert page.evaluate(WIDGETS_AND_COMMS) != before
    page.evaluate("panel.close()")
    page.panel.root.wait_for(state="detached")
    assert page.evaluate(WIDGETS_AND_COMMS) == before
    assert page.evaluate(OWN_THREADS) == "[]"


def test_running_the_cell_again_leaves_nothing_of_the_former_panel(
    open_chat: Callable[..., NotebookPage],
) -> None:
    page = open_chat()
    page.panel.write("hello")
    page.panel.wait_for("hello")
    before = page.evaluate(WIDGETS_AND_COMMS), page.evaluate(OWN_THREADS)
    for _ in range(3):
        run_panel(page)
    page.panel.wait_for("hello")
    assert page.page.locator(".chatkit-panel").count() == 1
    assert (page.evaluate(WIDGETS_AND_COMMS), page.evaluate(OWN_THREADS)) == before


def test_after_a_kernel_restart_the_panel_says_what_to_do(
    open_chat: Callable[..., NotebookPage],
) -> None:
    page = open_chat()
    page.panel.write("hello")
    page.panel.wait_for("hello")
    page.panel.box.fill("half a thought")
    page.restart_kernel()
    page.panel.root.get_by_text("re-run the cell to reconnect").first.wait_for()
    assert page.panel.status.inner_text() == "No kernel"
    assert page.panel.box.input_value() == "half a thought"
    assert page.panel.row("hello").count() == 1, "what was read stays readable"
    page.run_cell(0)
    run_panel(page)
    page.panel.wait_for("hello")


def test_two_views_of_a_panel_show_the_same(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana", "general", "panel")
    page.run_cell(2)
    second = PanelOnPage(page.page, page.page.locator(".chatkit-panel").nth(1))
    page.panel.write("to both")
    page.panel.wait_for("to both")
    second.wait_for("to both")
    page.panel.box.fill("a draft")
    assert second.box.input_value() == "a draft"


def test_the_panel_can_be_used_from_the_keyboard_alone(
    open_chat: Callable[..., NotebookPage], channels: Channels
) -> None:
    channels.create("random")
    page = open_chat()
    panel = page.panel
    panel.wait(lambda panel: panel.root.get_by_role("option", name="random").count() == 1)
    panel.root.get_by_role("option", name="general").focus()
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    assert panel.channel == "random"
    for _ in range(20):
        if panel.box.evaluate("box => box.getRootNode().activeElement === box"):
            break
        page.page.keyboard.press("Tab")
    page.page.keyboard.type("typed")
    page.page.keyboard.press("Enter")
    panel.wait_for("typed")


def test_a_line_that_goes_to_another_group_keeps_the_focus(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    room_factory: Callable[..., ChatRoom],
) -> None:
    channels.create("random")
    panel = open_chat().panel
    panel.wait(lambda panel: panel.root.get_by_role("option", name="random").count() == 1)
    panel.select("random")
    panel.wait_for("ana joined")
    panel.select("general")
    line = panel.root.get_by_role("option", name="random")
    joined = panel.root.get_by_role("listbox", name="Channels", exact=True)
    panel.wait(lambda _: joined.get_by_role("option", name="random").count() == 1)
    line.focus()
    elsewhere = room_factory("ana")
    elsewhere.join("random", member=True).result(10)
    wait_until(
        lambda: any(one.channel == "random" and one.member for one in elsewhere.overview()), 10
    )
    elsewhere.leave("random")
    panel.wait(lambda _: joined.get_by_role("option", name="random").count() == 0, 20)
    assert line.evaluate("line => line.getRootNode().activeElement === line")
