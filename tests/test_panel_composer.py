"""Where people write in the panel: in a real JupyterLab in a real Chromium, on real Kafka."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.message import ATTACHMENT_LIMIT, BODY_LIMIT, Message
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.browser import Lab, NotebookPage, PanelOnPage
from tests.chatting import run_panel, setup_cell
from tests.waiting import wait_until

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
OFFER_FILES = """([target, kind, files]) => {
    const transfer = new DataTransfer();
    for (const [name, type, base64] of files) {
        const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
    }
    const event = kind === "paste"
        ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
        : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
    target.dispatchEvent(event);
    return event.defaultPrevented;
}"""


def offers(panel: PanelOnPage) -> list[str]:
    """Return what the completion offers, as it is written."""
    return panel.root.locator(".completion-name").all_inner_texts()


def wait_for_offers(panel: PanelOnPage, expected: list[str]) -> None:
    expect(panel.root.locator(".completion-name")).to_have_text(expected)


def chosen(panel: PanelOnPage) -> str:
    """Return the text of the offer that the box points at."""
    active = panel.box.get_attribute("aria-activedescendant")
    option = panel.root.locator(f"#{active}")
    assert option.get_attribute("aria-selected") == "true"
    assert panel.root.locator(".completion[aria-selected=true]").count() == 1
    return option.locator(".completion-name").inner_text()


def has_focus(box: Locator) -> bool:
    focused: bool = box.evaluate("box => box.getRootNode().activeElement === box")
    return focused


def give_file(target: Locator, kind: str, *files: tuple[str, str, bytes]) -> bool:
    """Paste or drop files; return whether the page took the event."""
    encoded = [(name, mime, base64.b64encode(data).decode()) for name, mime, data in files]
    taken: bool = target.evaluate(
        f"(target, [kind, files]) => ({OFFER_FILES})([target, kind, files])", [kind, encoded]
    )
    return taken


def type_text(page: NotebookPage, text: str) -> None:
    page.panel.box.focus()
    page.page.keyboard.type(text)


def test_people_are_completed_by_keys_and_by_mouse(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    for author in ("cleo", "zoe", "two words"):
        producer.send(Message.new("general", author, "hello")).result(10)
    page = open_chat("ana")
    open_chat("ben")
    panel = page.panel
    panel.wait(lambda panel: panel.root.locator(".person").count() == 2)
    panel.wait_for("hello")
    type_text(page, "hi @")
    assert sorted(offers(panel)) == ["@ben", "@cleo", "@zoe"], "not oneself, nor who can't be named"
    assert chosen(panel) == "@ben", "who is here comes first"
    assert panel.box.get_attribute("aria-controls") == panel.root.get_by_role(
        "listbox", name="People"
    ).get_attribute("id")
    page.page.keyboard.press("ArrowDown")
    second = chosen(panel)
    assert second != "@ben"
    page.page.keyboard.press("ArrowUp")
    page.page.keyboard.press("ArrowUp")
    assert chosen(panel) == offers(panel)[-1], "it goes round"
    page.page.keyboard.press("Escape")
    assert offers(panel) == []
    assert panel.box.get_attribute("aria-activedescendant") is None
    page.page.keyboard.type("c")
    assert offers(panel) == [], "what was declined is not offered again"
    page.page.keyboard.type(" @cl")
    page.page.keyboard.press("Tab")
    assert panel.box.input_value() == "hi @c @cleo "
    assert has_focus(panel.box)
    page.page.keyboard.type("@z")
    panel.root.get_by_role("option", name="@zoe").click()
    assert panel.box.input_value() == "hi @c @cleo @zoe "
    assert has_focus(panel.box)
    assert panel.rows.filter(has_text="@cleo").count() == 0, "nothing was sent"
    page.page.keyboard.press("Enter")
    panel.wait_for("@zoe")


def test_enter_takes_an_offer_then_sends_and_sends_at_once_what_is_whole(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    for author in ("ben", "benno"):
        producer.send(Message.new("general", author, "hello")).result(10)
    page = open_chat("ana")
    panel = page.panel
    panel.wait_for("hello")
    type_text(page, "one @benn")
    page.page.keyboard.press("Enter")
    assert panel.box.input_value() == "one @benno "
    page.page.keyboard.press("Enter")
    panel.wait_for("one @benno")
    page.page.keyboard.type("two @ben")
    assert offers(panel) == ["@ben", "@benno"]
    page.page.keyboard.press("Enter")
    panel.wait_for("two @ben")
    assert panel.box.input_value() == ""
    assert offers(panel) == []


def test_completing_can_be_undone(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    producer.send(Message.new("general", "ben", "hello")).result(10)
    page = open_chat("ana")
    panel = page.panel
    panel.wait_for("hello")
    type_text(page, "dear @b")
    page.page.keyboard.press("Enter")
    assert panel.box.input_value() == "dear @ben "
    page.page.keyboard.press("Control+z")
    assert panel.box.input_value() == "dear @b"


def test_channels_are_completed_by_name_and_by_title(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    channels.create("kafka-questions", display_name="Ask here")
    archiver_factory()
    wait_until(lambda: "kafka-questions" in store.channel_records(), 20)
    page = open_chat("ana")
    panel = page.panel
    panel.root.get_by_role("option", name="Ask here").wait_for()
    type_text(page, "see #ask")
    wait_for_offers(panel, ["#kafka-questions"])
    page.page.keyboard.press("Enter")
    assert panel.box.input_value() == "see #kafka-questions "
    page.page.keyboard.type("or #quest")
    wait_for_offers(panel, ["#kafka-questions"])
    page.page.keyboard.press("Escape")
    panel.box.fill("## a heading")
    assert offers(panel) == []


def test_commands_are_completed_at_the_begin_alone(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana")
    panel = page.panel
    panel.root.locator(".person").wait_for()
    type_text(page, "/")
    assert {"/who", "/help", "/search"} <= set(offers(panel))
    page.page.keyboard.type("wh")
    wait_for_offers(panel, ["/who"])
    assert "show who is here" in panel.root.locator(".completion").inner_text()
    page.page.keyboard.press("Enter")
    assert panel.box.input_value() == "/who "
    page.page.keyboard.press("Enter")
    panel.root.locator(".said").filter(has_text="ana (me)").wait_for()
    assert panel.box.input_value() == ""
    type_text(page, "and /wh")
    assert offers(panel) == []


def test_emoji_are_completed_after_two_letters_best_first(
    open_chat: Callable[..., NotebookPage],
) -> None:
    page = open_chat("ana")
    panel = page.panel
    type_text(page, "well :t")
    page.page.wait_for_timeout(300)
    assert offers(panel) == []
    page.page.keyboard.type("ada")
    panel.wait(lambda panel: offers(panel)[:1] == [":tada:"])
    assert len(offers(panel)) <= 8
    page.page.keyboard.press("Enter")
    assert panel.box.input_value() == "well 🎉 "
    page.page.keyboard.type(":cat")
    found = offers(panel)
    assert found[0] == ":cat:", "the whole name"
    assert len(found) == 8
    begins = [name.startswith(":cat") for name in found]
    assert begins == sorted(begins, reverse=True), "then what begins so"
    panel.box.fill("at 10:30")
    assert offers(panel) == []
    panel.box.fill("`a :cat`")
    panel.box.press("ArrowLeft")
    page.page.keyboard.type("s")
    assert offers(panel) == [], "code is left alone"


def test_offers_are_above_the_box_and_whole(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana")
    panel = page.panel
    type_text(page, "/")
    box = panel.box.bounding_box()
    shown = panel.root.locator(".completions").bounding_box()
    assert box is not None
    assert shown is not None
    assert shown["y"] >= 0
    assert shown["y"] + shown["height"] <= box["y"]
    assert panel.root.evaluate(
        """host => {
            const list = host.shadowRoot.querySelector(".completions");
            const { left, right, top, bottom } = list.getBoundingClientRect();
            return [[left + 9, top + 9], [right - 9, bottom - 9]].every(([x, y]) =>
                list.contains(host.shadowRoot.elementFromPoint(x, y)));
        }"""
    ), "nothing covers it"
    count = len(offers(panel))
    for _ in range(count - 1):
        page.page.keyboard.press("ArrowDown")
    last = panel.root.locator(".completion").last.bounding_box()
    assert last is not None
    assert last["y"] + last["height"] <= shown["y"] + shown["height"], "it scrolls along"


def test_arrow_up_in_an_empty_box_edits_the_last_own_message(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    page = open_chat("ana")
    panel = page.panel
    for text in ("first", "last"):
        panel.write(text)
        panel.wait_for(text)
    producer.send(Message.new("general", "ben", "not mine")).result(10)
    panel.wait_for("not mine")
    strip = panel.root.locator(".strip")
    panel.box.fill("something")
    panel.box.press("ArrowUp")
    assert panel.box.input_value() == "something", "only in an empty box"
    panel.box.fill("")
    panel.box.press("ArrowUp")
    assert panel.box.input_value() == "last"
    assert "Editing your message" in strip.inner_text()
    panel.box.press("Escape")
    assert panel.box.input_value() == ""
    assert strip.is_hidden()
    panel.box.press("ArrowUp")
    strip.get_by_role("button", name="Cancel").click()
    assert panel.box.input_value() == ""
    assert has_focus(panel.box)
    panel.box.press("ArrowUp")
    panel.box.press("End")
    page.page.keyboard.type(" words")
    page.page.keyboard.press("Enter")
    panel.wait_for("last words (edited)")
    assert panel.box.input_value() == ""
    assert strip.is_hidden()
    assert panel.rows.filter(has_text="last").count() == 1


def test_editing_puts_what_was_being_written_aside(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana")
    panel = page.panel
    panel.write("to be changed")
    panel.wait_for("to be changed").hover()
    panel.box.fill("half a thought")
    panel.row("to be changed").locator(".message").focus()
    page.page.keyboard.press("e")
    panel.wait(lambda panel: panel.box.input_value() == "to be changed")
    panel.wait(lambda panel: has_focus(panel.box))
    panel.write("changed")
    panel.wait_for("changed (edited)")
    assert panel.box.input_value() == "half a thought"
    panel.row("changed").locator(".message").focus()
    page.page.keyboard.press("e")
    panel.wait(lambda panel: panel.box.input_value() == "changed")
    panel.box.press("Escape")
    assert panel.box.input_value() == "half a thought"


def test_a_refused_edit_comes_back_as_an_edit(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana")
    panel = page.panel
    panel.write("short-lived")
    panel.wait_for("short-lived")
    panel.box.press("ArrowUp")
    panel.wait(lambda panel: panel.box.input_value() == "short-lived")
    row = panel.row("short-lived").get_attribute("data-id") or ""
    page.evaluate(f"panel.room.delete('general', {row!r}).result(10)")
    panel.root.get_by_text("This message was deleted").wait_for()
    panel.write("too late")
    panel.root.locator(".refusal:not(:empty)").wait_for()
    assert panel.box.input_value() == "too late"
    assert "Editing" in panel.root.locator(".strip").inner_text()


def test_an_answer_says_whom_it_answers_until_it_is_sent(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    producer.send(Message.new("general", "ben", "a question? <b>now</b>")).result(10)
    page = open_chat("ana")
    panel = page.panel
    panel.wait_for("a question?").locator(".message").focus()
    page.page.keyboard.press("r")
    strip = panel.root.locator(".strip")
    strip.wait_for()
    assert strip.locator(".strip-text").inner_text() == "Answering ben: a question? <b>now</b>"
    panel.wait(lambda panel: has_focus(panel.box))
    panel.box.press("Escape")
    assert strip.is_hidden()
    panel.row("a question?").locator(".message").focus()
    page.page.keyboard.press("r")
    strip.wait_for()
    panel.write("an answer")
    assert strip.is_hidden()
    row = panel.wait_for("an answer")
    assert "a question?" in row.locator(".quote").inner_text()


def test_a_draft_keeps_text_answer_and_file_with_its_channel(
    open_chat: Callable[..., NotebookPage], channels: Channels, producer: ChatProducer
) -> None:
    channels.create("random")
    producer.send(Message.new("general", "ben", "a question?")).result(10)
    page = open_chat("ana")
    panel = page.panel
    panel.wait(lambda panel: panel.root.get_by_role("option", name="random").count() == 1)
    panel.wait_for("a question?").locator(".message").focus()
    page.page.keyboard.press("r")
    panel.box.fill("half an answer")
    assert give_file(panel.box, "paste", ("dot.png", "image/png", PIXEL))
    panel.root.locator(".attached").wait_for()
    panel.select("random")
    panel.wait(lambda panel: panel.box.input_value() == "")
    assert panel.root.locator(".strip").is_hidden()
    assert panel.root.locator(".attached").is_hidden()
    panel.select("general")
    panel.wait(lambda panel: panel.box.input_value() == "half an answer")
    assert "Answering ben" in panel.root.locator(".strip").inner_text()
    assert panel.root.locator(".attached-name").inner_text() == "dot.png"


def test_near_the_limit_the_bytes_that_are_left_are_counted(
    open_chat: Callable[..., NotebookPage],
) -> None:
    panel = open_chat("ana").panel
    left = panel.root.locator(".bytes-left")
    send = panel.root.get_by_role("button", name="Send")
    panel.box.fill("x" * (BODY_LIMIT * 9 // 10 - 10))
    assert left.inner_text() == ""
    panel.box.fill("é" * (BODY_LIMIT // 2 - 50) + "x")
    assert left.inner_text() == "99 bytes left"
    assert send.is_enabled()
    panel.box.fill("é" * (BODY_LIMIT // 2) + "x")
    assert left.inner_text() == "1 byte too many"
    assert "bad" in (left.get_attribute("class") or "")
    assert send.is_disabled()
    panel.box.press("Enter")
    refusal = panel.root.locator(".refusal")
    assert "16,385 bytes" in refusal.inner_text()
    assert len(panel.box.input_value()) == BODY_LIMIT // 2 + 1
    panel.box.press("Control+End")
    panel.box.press("Backspace")
    assert refusal.inner_text() == ""
    panel.box.press("Enter")
    panel.wait_for("éé")


def test_an_unknown_command_comes_back_with_the_reason(
    open_chat: Callable[..., NotebookPage],
) -> None:
    panel = open_chat("ana").panel
    panel.write("/nonsense with words")
    panel.root.locator(".refusal").filter(has_text="There is no command /nonsense").wait_for()
    assert panel.box.input_value() == "/nonsense with words"
    panel.box.fill("//nonsense with words")
    assert panel.root.locator(".refusal").inner_text() == ""
    panel.box.press("Enter")
    assert panel.wait_for("nonsense").locator(".body").inner_text() == "/nonsense with words"
    panel.box.press("ArrowUp")
    panel.wait(lambda panel: panel.box.input_value() == "/nonsense with words")


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_pasted_or_dropped_picture_is_sent_with_its_text_or_without(
    open_chat: Callable[..., NotebookPage], kind: str
) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    panel = ana.panel
    attached = panel.root.locator(".attached")
    assert give_file(panel.box, kind, ("dot.png", "image/png", PIXEL))
    attached.wait_for()
    assert f"{len(PIXEL)} bytes" in attached.inner_text()
    panel.wait(
        lambda panel: panel.root.locator(".attached img").evaluate("image => image.naturalWidth")
    )
    attached.get_by_role("button", name="Remove the file").click()
    assert attached.is_hidden()
    assert panel.root.get_by_role("button", name="Send").is_disabled()
    assert give_file(panel.box, kind, ("dot.png", "image/png", PIXEL))
    attached.wait_for()
    panel.box.press("Enter")
    assert attached.is_hidden()
    ben.panel.wait_for("dot.png")
    assert give_file(panel.box, kind, ("other.png", "image/png", PIXEL))
    attached.wait_for()
    panel.write("with words")
    row = ben.panel.wait_for("with words")
    assert "other.png" in row.inner_text()


def test_the_picture_in_memory_is_given_free(open_chat: Callable[..., NotebookPage]) -> None:
    panel = open_chat("ana").panel
    assert give_file(panel.box, "paste", ("dot.png", "image/png", PIXEL))
    panel.root.locator(".attached").wait_for()
    address = panel.root.locator(".attached img").get_attribute("src")
    reach = "(_, url) => fetch(url).then(() => true, () => false)"
    assert panel.root.evaluate(reach, address)
    panel.root.get_by_role("button", name="Remove the file").click()
    assert not panel.root.evaluate(reach, address)


def test_the_composer_shows_where_a_file_can_be_dropped(
    open_chat: Callable[..., NotebookPage],
) -> None:
    panel = open_chat("ana").panel
    composer = panel.root.locator(".composer.dropping")
    file = ("dot.png", "image/png", PIXEL)
    assert composer.count() == 0
    assert give_file(panel.log, "dragover", file), "else the browser would leave the page for it"
    assert composer.count() == 1
    give_file(panel.log, "dragleave", file)
    assert composer.count() == 0
    give_file(panel.log, "dragover", file)
    assert give_file(panel.log, "drop", file)
    assert composer.count() == 0
    panel.root.locator(".attached").wait_for()


def test_the_paperclip_takes_a_file_and_refuses_what_is_too_large(
    open_chat: Callable[..., NotebookPage], tmp_path: Path
) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    panel = ana.panel
    large, small = tmp_path / "large.bin", tmp_path / "table.csv"
    large.write_bytes(b"\0" * (ATTACHMENT_LIMIT + 1))
    small.write_text("a,b\n1,2\n")
    attached = panel.root.locator(".attached")
    for path, shown in ((large, False), (small, True)):
        with ana.page.expect_file_chooser() as choosing:
            panel.root.get_by_role("button", name="Attach a file").click()
        choosing.value.set_files(path)
        panel.wait(lambda panel, shown=shown: attached.is_visible() == shown)
        refusal = panel.root.locator(".refusal")
        if not shown:
            refusal.filter(has_text="large.bin has 4.2 MB; the limit is 4 MiB").wait_for()
    assert panel.root.locator(".refusal").inner_text() == ""
    small.unlink()  # it was taken into memory
    panel.write("a table")
    assert "table.csv" in ben.panel.wait_for("a table").inner_text()


def test_text_that_is_pasted_stays_text(open_chat: Callable[..., NotebookPage]) -> None:
    panel = open_chat("ana").panel
    taken = panel.box.evaluate(
        """box => {
            const transfer = new DataTransfer();
            transfer.setData("text/plain", "cells of a sheet");
            transfer.items.add(new File(["x"], "sheet.png", { type: "image/png" }));
            const event = new ClipboardEvent("paste",
                { clipboardData: transfer, bubbles: true, cancelable: true });
            box.dispatchEvent(event);
            return event.defaultPrevented;
        }"""
    )
    assert not taken
    assert panel.root.locator(".attached").is_hidden()


def test_who_types_is_shown_and_nothing_jumps(open_chat: Callable[..., NotebookPage]) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    line = ana.panel.root.locator(".typing")
    assert line.inner_text() == ""
    height = ana.panel.log.bounding_box()
    ben.panel.wait(lambda panel: panel.root.locator(".person").count() == 2)
    type_text(ben, "h")
    line.get_by_text("ben is typing…").wait_for()
    assert ana.panel.log.bounding_box() == height
    assert ben.panel.root.locator(".typing").inner_text() == "", "one knows it of oneself"
    ben.page.keyboard.press("Backspace")
    ana.panel.wait(lambda _: line.inner_text() == "")
    type_text(ben, "hello")
    line.get_by_text("ben is typing…").wait_for()
    ben.page.keyboard.press("Enter")
    ana.panel.wait_for("hello")
    ana.panel.wait(lambda _: line.inner_text() == "")


def test_two_who_type_are_named_and_who_is_muted_is_not(
    open_chat: Callable[..., NotebookPage], room_factory: Callable[..., ChatRoom]
) -> None:
    page = open_chat("ana")
    line = page.panel.root.locator(".typing")
    ben, cleo = room_factory("ben"), room_factory("cleo")
    ben.typing("general")
    cleo.typing("elsewhere")
    line.get_by_text("ben is typing…").wait_for()
    cleo.typing("general")
    ben.typing("general")
    line.get_by_text("ben and cleo are typing…").wait_for()
    page.panel.write("/mute @ben")
    cleo.typing("general")
    ben.typing("general")
    page.panel.wait(lambda _: line.inner_text() == "cleo is typing…")


def test_typing_is_told_seldom_and_not_of_commands(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana")
    page.page.evaluate(
        """() => {
            const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
            window.told = new Map(); // number of the request, as each may be sent again -> channel
            kernel.anyMessage.connect((_, { msg, direction }) => {
                const { content } = msg.content.data ?? {};
                if (direction !== "send" || content?.type !== "typing") return;
                told.set(content.ref, content.channel);
            });
        }"""
    )

    def told() -> list[str | None]:
        channels: list[str | None] = page.page.evaluate("[...told.values()]")
        return channels

    type_text(page, "/who is it")
    page.panel.box.fill("")
    assert told() == []
    begin = time.monotonic()
    type_text(page, "quick words")
    page.panel.wait(lambda _: told())
    seconds = time.monotonic() - begin
    assert len(told()) <= 1 + seconds // 3
    assert set(told()) == {"general"}
    page.panel.box.press("Enter")
    page.panel.wait_for("quick words")
    assert told()[-1] is None


def test_a_closed_channel_takes_no_text(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana")
    panel = page.panel
    panel.write("/create finished")
    panel.wait(lambda panel: panel.channel == "finished")
    panel.write("/archive")
    panel.wait(lambda panel: panel.box.is_disabled())
    assert panel.box.get_attribute("placeholder") == "This channel is closed to new messages."
    assert panel.root.get_by_role("button", name="Send").is_disabled()
    assert panel.root.get_by_role("button", name="Attach a file").is_disabled()
    give_file(panel.log, "drop", ("dot.png", "image/png", PIXEL))
    panel.select("general")
    assert panel.box.is_enabled()
    panel.select("finished")
    assert panel.box.is_disabled()
    panel.root.get_by_role("button", name="Open it again").click()  # ana moderates it
    panel.wait(lambda panel: panel.box.is_enabled())
    assert panel.root.locator(".attached").is_hidden()
    panel.write("once more")
    panel.wait_for("once more")


def ask_for_name(lab: Lab, settings: Settings, folder: Path, name: str) -> NotebookPage:
    """Open a panel that had to guess its user's name."""
    folder_cell = f"import os; os.environ.update(XDG_CONFIG_HOME={str(folder)!r}, LOGNAME='root')"
    cell = f"{folder_cell}\n{setup_cell(settings)}"
    lab.write_notebook(name, [cell, "panel = ChatPanel(settings=settings)\npanel"])
    page = lab.open_notebook(name)
    page.run_cell(0)
    run_panel(page)
    return page


def test_a_guessed_name_is_asked_about_once(
    lab: Lab, settings: Settings, channels: Channels, tmp_path: Path
) -> None:
    page = ask_for_name(lab, settings, tmp_path, "asked.ipynb")
    panel = page.panel
    form = panel.root.locator(".asking")
    assert "You write as root. Is that your name?" in form.inner_text()
    name = form.get_by_role("textbox", name="Your name")
    assert name.input_value() == "root"
    name.fill("x" * 64)
    name.evaluate("box => { box.value = 'two\\u0000lines'; }")
    name.press("Enter")
    form.locator(".bad:not(:empty)").wait_for()
    name.fill("ana")
    form.get_by_role("button", name="Use this name").click()
    form.wait_for(state="hidden")
    panel.write("it is me")
    assert panel.wait_for("it is me").locator(".author").inner_text() == "ana"
    page.evaluate("panel.close()")
    page.run_cell(0)
    run_panel(page)
    assert page.evaluate("panel.room.user") == "'ana'"
    assert panel.root.locator(".asking").is_hidden(), "it is remembered"
    page.evaluate("panel.close()")
    page.close()
    assert page.errors == []


def test_a_guessed_name_can_be_kept(
    lab: Lab, settings: Settings, channels: Channels, tmp_path: Path
) -> None:
    page = ask_for_name(lab, settings, tmp_path, "kept.ipynb")
    form = page.panel.root.locator(".asking")
    form.get_by_role("button", name="Keep").click()
    form.wait_for(state="hidden")
    page.panel.wait(lambda _: (tmp_path / "chatkit" / "name").exists())
    assert (tmp_path / "chatkit" / "name").read_text() == "root"
    page.evaluate("panel.close()")
    page.close()
    assert page.errors == []


def test_a_draft_survives_a_kernel_restart(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana")
    panel = page.panel
    panel.write("hello")
    panel.wait_for("hello")
    panel.box.fill("half a thought")
    assert give_file(panel.box, "paste", ("dot.png", "image/png", PIXEL))
    panel.root.locator(".attached").wait_for()
    page.restart_kernel()
    panel.wait(lambda panel: panel.box.is_disabled())
    assert panel.box.input_value() == "half a thought"
    assert "Re-run the cell" in panel.root.locator(".closed-note").inner_text()
    page.run_cell(0)
    run_panel(page)
    panel.wait(lambda panel: panel.box.input_value() == "half a thought")
    assert panel.root.locator(".attached-name").inner_text() == "dot.png"
    panel.box.press("Enter")
    assert "dot.png" in panel.wait_for("half a thought").inner_text()
    assert panel.box.input_value() == "", "it is not taken twice"


def test_running_the_cell_again_keeps_the_draft(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana")
    page.panel.box.fill("half a thought")
    run_panel(page)
    page.panel.wait(lambda panel: panel.box.input_value() == "half a thought")


def test_a_box_that_grows_leaves_the_newest_message_in_sight(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    for number in range(40):
        producer.send(Message.new("general", "ben", f"number {number}")).result(10)
    page = open_chat("ana")
    panel = page.panel
    panel.wait_for("number 39")
    rest = "log => log.scrollHeight - log.clientHeight - log.scrollTop"
    before = panel.box.bounding_box()
    assert before is not None
    type_text(page, "a")
    for _ in range(5):
        page.page.keyboard.press("Shift+Enter")
    grown = panel.box.bounding_box()
    assert grown is not None
    assert grown["height"] > before["height"] + 50
    page.page.wait_for_timeout(100)
    assert panel.log.evaluate(rest) < 2
    page.page.keyboard.type("b")
    page.page.wait_for_timeout(100)
    assert panel.log.evaluate(rest) < 2
    panel.box.fill("")
    page.page.wait_for_timeout(100)
    assert panel.box.bounding_box() == before
    assert panel.log.evaluate(rest) < 2


def test_an_emoji_is_picked_where_the_caret_is(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat("ana")
    panel = page.panel
    type_text(page, "before after")
    for _ in range(6):
        page.page.keyboard.press("ArrowLeft")
    opener = panel.root.get_by_role("button", name="Insert an emoji")
    opener.click()
    picker = panel.root.get_by_role("dialog", name="Emoji")
    picker.wait_for()
    page.page.keyboard.press("Escape")
    picker.wait_for(state="hidden")
    assert has_focus(opener)
    opener.click()
    picker.locator(".emoji").first.wait_for()
    page.page.keyboard.type("tada")
    picker.get_by_title("tada").first.wait_for()
    page.page.keyboard.press("Enter")
    picker.wait_for(state="hidden")
    assert panel.box.input_value() == "before🎉 after"
    assert has_focus(panel.box)
