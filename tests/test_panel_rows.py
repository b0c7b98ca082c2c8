"""What rows of the panel show, and what one can do with them, in a real JupyterLab."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
from playwright.sync_api import Locator, expect

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.message import Attachment, Message
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.share import Source
from chatkit.store import MessageStore
from tests.browser import NotebookPage, PanelOnPage
from tests.waiting import wait_until

Open = Callable[..., NotebookPage]
Rooms = Callable[..., ChatRoom]

CODE = "def twice(x):\n    return 2 * x"
HOSTILE = "<img src=x onerror='window.attacked = 1'>"


def png(width: int, height: int) -> bytes:
    """Return a picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = (b"\0" + b"\x30\x80\xc0" * width) * height
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def here(panel: PanelOnPage, name: str) -> Locator:
    """Return the button of the toolbar over the message that is pointed at."""
    toolbar = panel.root.get_by_role("toolbar", name="Message actions")
    return toolbar.get_by_role("button", name=name, exact=True)


def act(panel: PanelOnPage, text: str, item: str) -> None:
    """Choose something in the menu of the message with a text."""
    panel.row(text).locator(".message").hover()
    here(panel, "More").click()
    panel.root.get_by_role("menuitem", name=item, exact=True).click()


def pasted(panel: PanelOnPage) -> str:
    """Return what is on the clipboard, by pasting it."""
    panel.box.fill("")
    panel.box.press("Control+V")
    text = panel.box.input_value()
    panel.box.fill("")
    return text


def in_room(room: ChatRoom, channel: str = "general") -> ChatRoom:
    """Return a room once it has opened a channel."""
    room.join(channel).result(20)
    return room


def focused(panel: PanelOnPage) -> str:
    """Return what has the focus in the panel: the text of the row, or the label."""
    found: str = panel.root.evaluate(
        """host => {
            const one = host.shadowRoot.activeElement;
            const body = one?.matches(".message") && one.querySelector(".body");
            if (body) return body.textContent;
            return one?.getAttribute("aria-label") ?? one?.textContent ?? "";
        }"""
    )
    return found


def test_a_text_is_shown_with_its_markup(
    open_chat: Open, channels: Channels, room_factory: Rooms
) -> None:
    channels.create("random")
    page = open_chat()
    panel = page.panel
    panel.root.get_by_role("option", name="random").wait_for()
    wide = "| " + " | ".join(f"column{number}" for number in range(30)) + " |"
    table = f"{wide}\n|{'---|' * 30}\n| 1 | 2 |"
    room_factory("ben").send(
        "general",
        f"**strong** `code` @ana @ben see #random\n\n> quoted\n\n- one\n- two\n\n{table}\n\n"
        f"```python\n{CODE}\n```\n<https://kafka.apache.org>",
    )
    row = panel.wait_for("strong")
    assert row.locator("strong").inner_text() == "strong"
    assert row.locator("li").all_inner_texts() == ["one", "two"]
    assert row.locator("blockquote").inner_text() == "quoted"
    assert row.locator(".mention.me").inner_text() == "@ana"
    assert row.locator(".message").get_attribute("class") == "message me"
    assert row.locator(".language").inner_text() == "python"
    assert row.locator("pre .c-k").first.inner_text() == "def"
    assert row.locator("a").get_attribute("target") == "_blank"
    box = row.locator(".tablebox")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth"), "scrolls in its own box"
    assert panel.log.evaluate("log => log.scrollWidth <= log.clientWidth")
    row.locator(".mention").first.click()
    assert panel.channel == "general"
    row.locator(".channel-link").click()
    assert panel.channel == "random"


def test_code_goes_to_the_clipboard_and_into_a_cell_below_the_panel(
    open_chat: Open, room_factory: Rooms
) -> None:
    page = open_chat("ana", "general", "last = 1")
    panel = page.panel
    panel.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    room_factory("ben").send("general", f"```python\n{CODE}\n```")
    row = panel.wait_for("def twice")
    row.get_by_role("button", name="Copy").click()
    row.get_by_role("button", name="Copied").wait_for()
    assert pasted(panel).rstrip("\n") == CODE
    row.get_by_role("button", name="New cell").click()
    row.get_by_role("button", name="Added below").wait_for()
    sources = page.cell_sources()
    assert sources[2:] == [CODE, "last = 1"]
    page.command("notebook:move-cursor-up")
    page.page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel
            .insertCell(0, { cell_type: "code", source: "first = 1" })"""
    )
    panel.wait(lambda _: page.cell_sources()[0] == "first = 1")
    row.get_by_role("button", name="New cell").click()
    row.get_by_role("button", name="Added below").wait_for()
    assert page.cell_sources()[3:] == [CODE, CODE, "last = 1"]


def test_without_a_clipboard_that_is_allowed_code_is_copied_all_the_same(
    open_chat: Open, room_factory: Rooms
) -> None:
    page = open_chat()
    panel = page.panel
    page.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    room_factory("ben").send("general", f"```\n{CODE}\n```")
    row = panel.wait_for("def twice")
    row.get_by_role("button", name="Copy").click()
    row.get_by_role("button", name="Copied").wait_for()
    assert pasted(panel).rstrip("\n") == CODE


def test_a_reply_shows_what_it_answers_and_goes_there(
    open_chat: Open,
    room_factory: Rooms,
    producer: ChatProducer,
    archiver_factory: Callable[..., Archiver],
    store: object,
) -> None:
    archiver = archiver_factory()
    first = Message.new("general", "ben", "the first of all\nwith a second line")
    sent = [producer.send(first)]
    sent += [producer.send(Message.new("general", "ben", f"number {n}")) for n in range(400)]
    for one in sent:
        one.result(20)
    wait_until(lambda: archiver.status.messages >= 401, 30)
    panel = open_chat().panel
    panel.wait_for("number 399")
    assert not panel.row("the first of all").count()
    room_factory("cleo").send("general", "that was it", reply_to=first.id)
    quote = panel.wait_for("that was it").locator(".quote")
    expect(quote.locator(".author")).to_have_text("ben")
    assert quote.locator(".line").inner_text() == "the first of all with a second line"
    quote.click()
    panel.row("the first of all").locator(".body").wait_for()
    panel.wait(lambda panel: focused(panel).startswith("the first of all"))
    panel.root.get_by_role("button", name="Newest").click()
    panel.wait_for("that was it").locator(".message").hover()
    here(panel, "Reply").click()
    panel.box.press_sequentially("yes")
    panel.box.press("Enter")
    expect(panel.wait_for("yes").locator(".quote .author")).to_have_text("cleo")


def test_reactions_are_put_taken_back_and_seen_by_others(open_chat: Open) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    ana.panel.write("who is for it?")
    ana.panel.wait_for("who is for it?").locator(".message").hover()
    here(ana.panel, "React").click()
    picker = ana.panel.root.get_by_role("dialog", name="React")
    assert picker.locator("button").count() == 8
    ana.page.keyboard.type("rocket")
    picker.get_by_role("button", name="rocket", exact=True).wait_for()
    ana.page.keyboard.press("Enter")
    chip = ana.panel.row("who is for it?").locator(".chip:not(.more)")
    expect(chip).to_have_attribute("aria-pressed", "true")
    theirs = ben.panel.wait_for("who is for it?").locator(".chip:not(.more)")
    expect(theirs).to_have_text("🚀1")
    expect(theirs).to_have_attribute("aria-pressed", "false")
    theirs.click()
    expect(chip).to_have_text("🚀2")
    expect(chip).to_have_attribute("title", "ana (me), ben")
    chip.click()
    expect(theirs).to_have_text("🚀1")
    expect(theirs).to_have_attribute("title", "ben (me)")
    ben.panel.row("who is for it?").get_by_role("button", name="React").click()
    ben.panel.root.get_by_role("button", name="🎉").click()
    expect(ana.panel.row("who is for it?").locator(".chip:not(.more)")).to_have_text(["🚀1", "🎉1"])


def test_own_messages_are_edited_pinned_and_deleted_and_others_see_it(open_chat: Open) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    ana.panel.write("frist")
    ana.panel.wait_for("frist")
    ana.panel.row("frist").locator(".message").hover()
    here(ana.panel, "More").click()
    items = ana.panel.root.get_by_role("menuitem").all_inner_texts()
    assert items == ["Edit", "Pin", "Copy text", "Copy link", "Copy for Python", "Delete…"]
    ana.page.keyboard.press("Escape")
    ben.panel.wait_for("frist").locator(".message").hover()
    here(ben.panel, "More").click()
    items = ben.panel.root.get_by_role("menuitem").all_inner_texts()
    assert items == ["Pin", "Copy text", "Copy link", "Copy for Python", "Mute ana"]
    ben.page.keyboard.press("Escape")

    act(ana.panel, "frist", "Edit")
    expect(ana.panel.box).to_have_value("frist")
    ana.panel.write("first")
    edited = ben.panel.wait_for("first").get_by_role("button", name="(edited)")
    act(ben.panel, "first", "Pin")
    ana.panel.row("first").locator(".pinned").wait_for()
    act(ana.panel, "first", "Unpin")
    expect(ben.panel.row("first").locator(".pinned")).to_have_count(0)
    edited.click()
    ben.panel.root.locator("aside").get_by_text("frist").first.wait_for()

    act(ana.panel, "first", "Delete…")
    question = ana.panel.root.get_by_role("alertdialog", name="Delete this message?")
    question.get_by_role("button", name="Cancel").click()
    assert ana.panel.row("first").count() == 1
    act(ana.panel, "first", "Delete…")
    question.get_by_role("button", name="Delete").click()
    ben.panel.wait_for("This message was deleted.")
    assert ben.panel.rows.filter(has_text="first").count() == 0


def test_who_moderates_may_delete_what_others_wrote(
    open_chat: Open,
    channels: Channels,
    room_factory: Rooms,
    archiver_factory: Callable[..., Archiver],
    store: MessageStore,
) -> None:
    archiver_factory()
    channels.create("garden", creator="ana")
    wait_until(lambda: "ana" in store.moderators("garden"), 20)
    panel = open_chat("ana", "garden").panel
    room_factory("ben").send("garden", "weeds")
    panel.wait_for("weeds", timeout=20)
    act(panel, "weeds", "Delete…")
    panel.root.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    panel.wait_for("This message was deleted.")


def test_what_a_message_is_called_goes_to_the_clipboard(open_chat: Open) -> None:
    page = open_chat()
    panel = page.panel
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.write("some *text*")
    row = panel.wait_for("some text")
    message_id = row.get_attribute("data-id")
    for item, text in {
        "Copy text": "some *text*",
        "Copy link": f"#general/{message_id}",
        "Copy for Python": f'room.message("{message_id}")',
    }.items():
        act(panel, "some text", item)
        panel.root.get_by_role("menuitem", name="Copied").wait_for()
        panel.root.get_by_role("menu").wait_for(state="hidden")
        assert pasted(panel) == text
    assert page.evaluate(f"panel.room.message({message_id!r}).body") == "'some *text*'"


def test_an_open_menu_and_the_focus_outlive_that_the_row_is_drawn_again(
    open_chat: Open, room_factory: Rooms
) -> None:
    panel = open_chat().panel
    ben = in_room(room_factory("ben"))
    message = ben.send("general", "busy")
    row = panel.wait_for("busy")
    row.locator(".message").hover()
    here(panel, "More").click()
    panel.root.get_by_role("menuitem", name="Copy text").focus()
    ben.react("general", message.id, "👍").result(10)
    chip = row.locator(".chip:not(.more)")
    chip.wait_for()
    assert focused(panel) == "Copy text"
    ben.send("general", "another")
    panel.wait_for("another")
    assert focused(panel) == "Copy text"
    panel.page.keyboard.press("Escape")
    assert focused(panel) == "More"
    chip.focus()
    ben.react("general", message.id, "🎉").result(10)
    expect(row.locator(".chip:not(.more)")).to_have_count(2)
    assert focused(panel).startswith("👍 1")


def test_everything_can_be_done_by_keys(open_chat: Open, room_factory: Rooms) -> None:
    page = open_chat()
    panel, press = page.panel, page.page.keyboard.press
    ben = room_factory("ben")
    for number in range(40):
        ben.send("general", f"number {number}")
    panel.wait_for("number 39")
    panel.write("mine")
    panel.wait_for("mine")
    panel.log.focus()
    press("ArrowUp")
    assert focused(panel) == "mine"
    for number in range(39, 15, -1):
        press("ArrowUp")
        assert focused(panel) == f"number {number}"
        box = panel.row(f"number {number}").bounding_box()
        frame = panel.log.bounding_box()
        assert box is not None
        assert frame is not None
        assert frame["y"] - 1 <= box["y"] <= frame["y"] + frame["height"] - box["height"] + 1
    for _ in range(24):
        press("ArrowDown")
    assert focused(panel) == "mine"
    press("Enter")
    assert focused(panel) == "React"
    press("ArrowRight")
    press("ArrowRight")
    assert focused(panel) == "Thread"
    press("End")
    press("Enter")
    assert focused(panel) == "Edit"
    press("ArrowDown")
    assert focused(panel) == "Pin"
    press("Escape")
    assert focused(panel) == "More"
    press("Escape")
    assert focused(panel) == "mine"
    press("e")
    expect(panel.box).to_have_value("mine")
    expect(panel.box).to_be_focused()
    panel.write("mine too")
    panel.wait_for("mine too")


def test_messages_of_somebody_muted_are_a_quiet_line_until_they_are_wanted(
    open_chat: Open, room_factory: Rooms
) -> None:
    panel = open_chat().panel
    ben = room_factory("ben")
    ben.send("general", "noise")
    panel.wait_for("noise")
    act(panel, "noise", "Mute ben")
    line = panel.row("A message of ben’s (muted)")
    line.wait_for()
    assert panel.row("noise").count() == 0
    ben.send("general", "more noise")
    expect(line).to_have_count(2)
    line.first.get_by_role("button", name="show").click()
    panel.row("noise").wait_for()
    assert panel.row("more noise").count() == 0
    act(panel, "noise", "Unmute ben")
    panel.row("more noise").wait_for()


def test_what_was_shared_is_shown_and_can_be_read_and_saved(
    open_chat: Open, room_factory: Rooms, tmp_path: Path
) -> None:
    page = open_chat()
    panel = page.panel
    ben = in_room(room_factory("ben"))
    frame = pd.DataFrame({"name": ["a", "b"] * 500, "value": range(1000)})
    notes = tmp_path / "notes.csv"
    notes.write_text("a,b\n1,2\n")

    table = ben.share(frame, body="a table")
    row = panel.wait_for("a table").locator(".shared")
    expect(row.locator("thead th")).to_have_text(["name", "value"])
    assert row.locator("thead th").last.get_attribute("title") == "int64"
    assert row.locator("tbody tr").count() == 8
    row.get_by_text("1,000 rows × 2 columns").wait_for()
    row.get_by_role("button", name="Read it in Python").click()
    panel.wait(lambda _: len(page.cell_sources()) == 3)
    assert page.cell_sources()[2] == f'room.message("{table.id}").to_frame()'
    assert page.evaluate(f"panel.{page.cell_sources()[2]}.shape") == "(1000, 2)"

    ben.share(go.Figure(go.Bar(x=["p", "q"], y=[3, 1]), {"title": "<b>Bars</b>"}), body="a figure")
    row = panel.wait_for("a figure").locator(".shared")
    expect(row.locator("figcaption")).to_have_text("Bars")
    assert row.locator("svg rect").count() == 2
    ben.share(png(300, 150), body="a picture")
    row = panel.wait_for("a picture").locator(".shared")
    picture = row.get_by_role("img", name="picture.png")
    panel.wait(lambda _: picture.evaluate("one => one.naturalWidth") == 300)
    ben.share(Source(CODE), body="some code")
    row = panel.wait_for("some code").locator(".shared")
    expect(row.locator("pre")).to_have_text(CODE)
    row.get_by_role("button", name="New cell").click()
    panel.wait(lambda _: page.cell_sources()[2] == CODE)
    ben.share(notes, body="a file")
    row = panel.wait_for("a file").locator(".shared")
    with page.page.expect_download() as download:
        row.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "notes.csv"
    assert download.value.path().read_text() == "a,b\n1,2\n"


def test_a_preview_that_comes_late_does_not_move_what_is_read(
    open_chat: Open, room_factory: Rooms
) -> None:
    panel = open_chat().panel
    ben = in_room(room_factory("ben"))
    for number in range(10):
        ben.send("general", f"early {number}")
    for number in range(4):
        ben.share(png(400, 300), body=f"picture {number}")
    for number in range(30):
        ben.send("general", f"late {number}")
    panel.wait_for("late 29")
    panel.wait(lambda panel: panel.rows.count() > 5)
    moved = panel.log.evaluate(
        """async log => {
            const root = log.getRootNode();
            // Ends with what is then painted: observers of sizes come after animations.
            const frame = () => new Promise((done) => requestAnimationFrame(() => {
                const sized = new ResizeObserver(() => { sized.disconnect(); done(); });
                sized.observe(log);
            }));
            const jumps = [];
            for (let i = 0; i < 60 && log.scrollTop > 0; i++) {
                log.scrollTop -= 45;
                await frame();
                const edge = log.getBoundingClientRect().top;
                const row = [...root.querySelectorAll(".row")]
                    .find((one) => one.getBoundingClientRect().bottom > edge + 60);
                const id = row.dataset.id;
                const before = row.getBoundingClientRect().bottom;
                for (let n = 0; n < 8; n++) await frame();
                const now = root.querySelector(`[data-id="${id}"]`).getBoundingClientRect().bottom;
                const grew = row.querySelector(".shared"); // its own lower edge may move
                if (grew || Math.abs(now - before) <= 1) continue;
                jumps.push(`${row.textContent} by ${now - before}`);
            }
            return jumps;
        }"""
    )
    assert panel.root.locator("img.picture").count() > 0
    assert moved == []


def test_the_end_stays_in_sight_when_a_preview_comes(open_chat: Open, room_factory: Rooms) -> None:
    panel = open_chat().panel
    ben = in_room(room_factory("ben"))
    for number in range(20):
        ben.send("general", f"number {number}")
    panel.wait_for("number 19")
    ben.share(png(500, 400), body="the last")
    panel.wait_for("the last").get_by_role("img").wait_for()
    panel.wait(
        lambda panel: panel.log.evaluate(
            "log => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
        )
    )


@pytest.mark.parametrize("kind", ["image/svg+xml", "text/html", "image/png"])
def test_hostile_names_files_and_emoji_are_shown_as_text(
    open_chat: Open, room_factory: Rooms, kind: str
) -> None:
    page = open_chat()
    panel = page.panel
    mallory = in_room(room_factory(HOSTILE))
    script = b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.attacked = 1'/>"
    message = mallory.send(
        "general", "look", attachment=Attachment(name=HOSTILE, type=kind, data=script)
    )
    row = panel.wait_for("look")
    mallory.react("general", message.id, "party_parrot").result(10)
    expect(row.locator(".chip:not(.more)")).to_have_text(":party_parrot:1")
    expect(row.locator(".chip:not(.more)")).to_have_attribute("title", HOSTILE)
    row.get_by_role("button", name="Download").wait_for()
    assert row.locator(".file-name").inner_text() == HOSTILE
    assert row.locator("img, script, iframe, object").count() == 0
    row.locator(".message").hover()
    here(panel, "More").click()
    panel.root.get_by_role("menuitem", name="Mute <img").wait_for()
    assert page.page.evaluate("window.attacked") is None
