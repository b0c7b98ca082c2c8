"""What tells of news outside the panel: the page's title, notices, and whether one is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.room import ChatRoom
from tests.browser import NotebookPage
from tests.waiting import wait_until

HIDE = """(hidden) => {
    const state = hidden ? "hidden" : "visible";
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
RECORD_NOTICES = """() => {
    window.notices = [];
    window.Notification = class {
        static permission = "default";
        static async requestPermission() {
            this.permission = "granted";
            return "granted";
        }
        constructor(title, { body }) {
            window.notices.push([title, body]);
            window.lastNotice = this;
        }
        close() {}
    };
}"""
"""What a desktop would show; a browser without one shows nothing."""
SET_TITLE = """async (title) => {
    document.title = title;
    await new Promise((done) => setTimeout(done));
    return document.title;
}"""


def wait_for_title(page: NotebookPage, title: str) -> None:
    page.panel.wait(lambda panel: panel.page.title() == title, 20)


def join(page: NotebookPage, channel: str) -> None:
    """Become a member of a channel, and show general again."""
    panel = page.panel
    panel.root.get_by_role("option", name=channel, exact=True).wait_for()
    panel.select(channel)
    panel.wait_for("ana joined", timeout=20)
    panel.select("general")


def write_to_ana(room: ChatRoom) -> None:
    """Write to ana directly, as a room's user."""
    room.send(room.direct("ana").result(20), "psst")


def test_the_title_counts_mentions_and_direct_messages_and_is_restored(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    for name in ("random", "quiet"):
        channels.create(name)
    page = open_chat("ana", "general", "second = ChatPanel(settings=settings, user='ana')\nsecond")
    page.run_cell(2)
    panel = page.panel
    for name in ("random", "quiet"):
        join(page, name)
    plain = page.page.title()
    assert page.name in plain
    page.evaluate("panel.room.mute('quiet').result(10)")
    ben = room_factory("ben")
    for name in ("random", "quiet"):
        ben.join(name).result(20)
        ben.send(name, "this is for @ana")
        ben.send(name, "and this for nobody")
    write_to_ana(ben)
    wait_for_title(page, f"(2) {plain}")
    # JupyterLab may set another title at any time, such as that of another notebook.
    assert page.page.evaluate(SET_TITLE, "(2) Another") == "(2) (2) Another"
    assert page.page.evaluate(SET_TITLE, plain) == f"(2) {plain}"
    panel.select("random")
    wait_for_title(page, f"(1) {plain}")
    panel.select("ben")
    wait_for_title(page, plain)
    panel.select("general")
    ben.send("random", "@ana, once more")
    wait_for_title(page, f"(1) {plain}")
    for name in ("panel", "second"):
        page.evaluate(f"{name}.close()")
    wait_for_title(page, plain)


def test_a_kernel_that_is_gone_calls_for_nobody(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    page = open_chat()
    plain = page.page.title()
    write_to_ana(room_factory("ben"))
    wait_for_title(page, f"(1) {plain}")
    page.restart_kernel()
    page.panel.root.get_by_text("re-run the cell to reconnect").first.wait_for()
    wait_for_title(page, plain)
    page.run_cell(0)
    page.run_cell(1)
    wait_for_title(page, f"(1) {plain}")


def test_notices_come_once_while_nobody_looks_and_never_of_what_is_muted(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    for name in ("random", "quiet"):
        channels.create(name)
    page = open_chat("ana", "general", "second = ChatPanel(settings=settings, user='ana')\nsecond")
    page.run_cell(2)
    panel = page.panel
    for name in ("random", "quiet"):
        join(page, name)
    ben, cleo = room_factory("ben"), room_factory("cleo")
    for room in (ben, cleo):
        for name in ("random", "quiet"):
            room.join(name).result(20)
    page.evaluate("panel.room.mute('quiet').result(10)")
    page.evaluate("panel.room.mute_person('cleo').result(10)")
    wait_until(lambda: page.evaluate("second.room.muted_people()") == "frozenset({'cleo'})", 20)

    def notices() -> list[Any]:
        found: list[Any] = page.page.evaluate("window.notices")
        return found

    page.page.evaluate(RECORD_NOTICES)
    page.page.evaluate(HIDE, True)
    ben.send("random", "unasked, @ana")
    wait_for_title(page, f"(1) {page.name} - JupyterLab")
    assert notices() == []
    page.page.evaluate(HIDE, False)
    panel.root.get_by_role("button", name="Settings of the list").click()
    panel.root.get_by_role("menuitemcheckbox", name="Desktop notices").click()
    panel.wait(lambda panel: panel.page.evaluate("Notification.permission") == "granted")
    ben.send("random", "seen, @ana")
    wait_for_title(page, f"(2) {page.name} - JupyterLab")
    assert notices() == []

    page.page.evaluate(HIDE, True)
    ben.send("quiet", "muted, @ana")
    cleo.send("random", "muted too, @ana")
    ben.send("random", "nobody is named")
    ben.send("random", "<b>hello</b> @ana")
    panel.wait(lambda _: notices() == [["ben in #random", "<b>hello</b> @ana"]], 20)
    write_to_ana(ben)
    panel.wait(lambda _: len(notices()) == 2, 20)
    assert notices()[1][0] == "ben"
    wait_for_title(page, f"(4) {page.name} - JupyterLab")
    page.page.evaluate("() => window.lastNotice.onclick()")
    # It leads to the channel, in the panel that told of it.
    chosen = page.page.locator("[role=option][aria-selected=true]")
    chosen.filter(has_text="ben").wait_for(timeout=20_000)
    assert len(notices()) == 2


def test_who_does_not_look_at_the_page_is_away_and_back_at_once(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    room_factory: Callable[..., ChatRoom],
) -> None:
    page = open_chat()
    page.save()
    second = page.open_again()
    ben = room_factory("ben")

    def state() -> str:
        return next((one.state for one in ben.people() if one.name == "ana"), "")

    wait_until(lambda: state() == "here", 20)
    second.panel.box.wait_for()
    for one in (page, second):
        one.page.clock.install()
        one.page.evaluate(HIDE, True)
    page.page.clock.fast_forward(59_000)
    page.page.clock.fast_forward(2_000)
    assert page.evaluate("panel.room.people()[0].state") == "'here'", "the other page is looked at"
    second.page.clock.fast_forward(61_000)
    wait_until(lambda: state() == "away", 20)
    second.page.evaluate(HIDE, False)
    wait_until(lambda: state() == "here", 20)
    second.page.context.close()
