"""The panel's list of channels: what is unread, what can be done, how channels are found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.errors import NotAllowedError
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from tests.browser import NotebookPage, PanelOnPage
from tests.waiting import wait_until


def option(panel: PanelOnPage, channel: str) -> Locator:
    return panel.root.get_by_role("option", name=channel, exact=True)


def badges(panel: PanelOnPage, channel: str) -> list[str]:
    """Return what stands behind a channel's name: mentions, unread messages."""
    texts = option(panel, channel).locator(".badge").all_inner_texts()
    return [text for text in texts if text]


def group(panel: PanelOnPage, name: str) -> list[str]:
    """Return the titles of a group, in order."""
    return (
        panel.root.get_by_role("listbox", name=name, exact=True).locator(".label").all_inner_texts()
    )


def wait_for_badges(panel: PanelOnPage, channel: str, *texts: str) -> None:
    option(panel, channel).wait_for()
    panel.wait(lambda panel: badges(panel, channel) == list(texts), 20)


def visit(panel: PanelOnPage, channel: str) -> None:
    """Open a channel, become its member, and go back to the one that was shown."""
    before = panel.channel
    option(panel, channel).wait_for()
    panel.select(channel)
    panel.wait_for("joined", timeout=20)
    panel.select(before)


def send(room: ChatRoom, channel: str, text: str) -> Message:
    """Send a message, and wait until Kafka has it."""
    message = room.send(channel, text)

    def is_sent() -> bool:
        row = room.row(channel, message.id)
        return row is not None and row.state == "sent"

    wait_until(is_sent)
    return message


def open_menu(panel: PanelOnPage, channel: str) -> Locator:
    option(panel, channel).click(button="right")
    return panel.root.get_by_role("menu")


def choose(panel: PanelOnPage, channel: str, item: str) -> None:
    open_menu(panel, channel).get_by_text(item, exact=True).click()


def test_unread_is_counted_for_members_and_is_the_same_in_another_browser(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    channels.create("random")
    channels.create("deploys")
    page = open_chat()
    panel = page.panel
    visit(panel, "random")
    ben = room_factory("ben")
    wait_until(lambda: {"random", "deploys"} <= set(ben.channels()))
    ben.send("deploys", "not for members only")
    ben.send("random", "first")
    ben.send("random", "second, @ana")
    wait_for_badges(panel, "random", "@1", "2")
    assert "unread" in (option(panel, "random").get_attribute("class") or "")
    assert option(panel, "random").get_attribute("aria-description") == "2 unread, 1 mention you"
    assert badges(panel, "deploys") == []
    assert group(panel, "Channels") == ["general", "random"]
    assert group(panel, "Other channels") == ["deploys"]
    page.save()
    second = page.open_again()
    wait_for_badges(second.panel, "random", "@1", "2")
    panel.select("random")
    panel.wait_for("second, @ana")
    wait_for_badges(panel, "random")
    wait_for_badges(second.panel, "random")
    assert "unread" not in (option(second.panel, "random").get_attribute("class") or "")
    second.page.context.close()


def test_own_messages_changes_and_imports_are_not_unread(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    producer: ChatProducer,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    channels.create("random")
    panel = open_chat().panel
    ben, elsewhere = room_factory("ben"), room_factory("ana")
    for room in (ben, elsewhere):
        room.join("random").result(20)
    message = ben.send("random", "helo")
    visit(panel, "random")
    wait_for_badges(panel, "random")
    elsewhere.send("random", "own, from elsewhere")
    wait_until(lambda: ben.row("random", message.id))
    ben.edit("random", message.id, "hello @ana").result(10)
    ben.react("random", message.id, "👍").result(10)
    old = Message.new("random", "mei", "imported @ana", source="slack")
    producer.send(old).result(10)
    ben.send("random", "the only new one")
    wait_for_badges(panel, "random", "1")
    panel.select("random")
    panel.wait_for("hello @ana")
    panel.wait_for("imported @ana")


def test_more_than_99_are_not_counted_and_a_muted_channel_is_quiet(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    producer: ChatProducer,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    channels.create("random")
    panel = open_chat().panel
    visit(panel, "random")
    receipts = [producer.send(Message.new("random", "mei", f"number {n}")) for n in range(120)]
    for receipt in receipts:
        receipt.result(20)
    wait_for_badges(panel, "random", "99+")
    choose(panel, "random", "Mute")
    wait_for_badges(panel, "random")
    assert "muted" in (option(panel, "random").get_attribute("aria-description") or "")
    assert "muted" in (option(panel, "random").get_attribute("class") or "")
    choose(panel, "random", "Unmute")
    wait_for_badges(panel, "random", "99+")


def test_a_channel_is_marked_as_read_without_opening_it(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    channels.create("random")
    before = room_factory("ana")
    before.join("random", member=True).result(20)
    wait_until(lambda: any(one.channel == "random" and one.member for one in before.overview()))
    before.close()
    ben = room_factory("ben")
    ben.join("random").result(20)
    ben.send("random", "while ana was away")
    page = open_chat()
    wait_for_badges(page.panel, "random", "1")
    choose(page.panel, "random", "Mark as read")
    wait_for_badges(page.panel, "random")
    assert page.panel.channel == "general"
    # Nor is it unread for a room that knows only what is kept.
    after = room_factory("ana")
    wait_until(lambda: any(one.member for one in after.overview() if one.channel == "random"))
    assert not any(one.unread for one in after.overview())


def test_who_made_a_channel_changes_it_and_nobody_else_can(
    open_chat: Callable[..., NotebookPage],
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    ana, ben = open_chat("ana").panel, open_chat("ben").panel
    ana.root.get_by_role("button", name="Create a channel").click()
    ana.root.get_by_role("textbox", name="Name of the new channel").fill("plans")
    about = ana.root.get_by_role("textbox", name="What it is for")
    about.fill("Where we want to go")
    about.press("Enter")
    ana.wait(lambda ana: ana.channel == "plans", 20)
    option(ben, "plans").wait_for(timeout=20_000)
    ben.wait(lambda ben: "want to go" in (option(ben, "plans").get_attribute("title") or ""), 20)

    choose(ana, "plans", "Change…")
    dialog = ana.root.get_by_role("dialog")
    dialog.get_by_label("Name to show").fill("Big <b>plans</b>")
    dialog.get_by_label("Add a moderator").fill("ben")
    dialog.get_by_label("Add a moderator").press("Enter")
    dialog.get_by_text("Save").click()
    dialog.wait_for(state="hidden")
    for panel in (ana, ben):
        option(panel, "Big <b>plans</b>").wait_for(timeout=20_000)
    cleo = room_factory("cleo")

    def moderators() -> tuple[str, ...]:
        return next((one.moderators for one in cleo.overview() if one.channel == "plans"), ())

    wait_until(lambda: moderators() == ("ana", "ben"), 20)

    choose(ana, "Big <b>plans</b>", "Close to new messages")
    closed = option(ben, "Big <b>plans</b>").locator(".side-icon.closed")
    closed.wait_for(timeout=20_000)
    menu = open_menu(ben, "Big <b>plans</b>")
    assert menu.get_by_text("Mute", exact=True).count() == 1
    assert menu.get_by_text("Change…").count() == 0
    assert menu.get_by_text("Open again").count() == 0
    ben.page.keyboard.press("Escape")
    wait_until(lambda: any(one.archived for one in cleo.overview()), 20)
    with pytest.raises(NotAllowedError, match="Only ana"):
        cleo.change_channel("plans", archived=False).result(10)
    with pytest.raises(NotAllowedError, match="closed to new messages"):
        cleo.send("plans", "all the same")
    choose(ana, "Big <b>plans</b>", "Open again")
    closed.wait_for(state="hidden", timeout=20_000)


def test_what_a_change_was_refused_for_is_said_in_the_dialog(
    open_chat: Callable[..., NotebookPage],
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    page = open_chat()
    panel = page.panel
    panel.wait(lambda panel: page.evaluate("panel.room.overview()[0].moderators") == "('ana',)", 20)
    choose(panel, "general", "Change…")
    # Somebody else's channel, seen by a page that does not know it yet.
    page.evaluate("setattr(panel.room, 'user', 'mallory')")
    dialog = panel.root.get_by_role("dialog")
    dialog.get_by_label("What it is for").fill("mine now")
    dialog.get_by_text("Save").click()
    dialog.get_by_role("alert").filter(has_text="Only ana").wait_for()
    panel.page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert option(panel, "general").evaluate("one => one.getRootNode().activeElement === one")


def test_the_others_see_who_joins_and_who_leaves(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    channels.create("random")
    ana, ben = open_chat("ana").panel, open_chat("ben").panel
    option(ben, "random").wait_for()
    ben.select("random")
    option(ana, "random").wait_for()
    ana.select("random")
    ben.wait_for("ana joined")
    choose(ana, "random", "Leave…")
    dialog = ana.root.get_by_role("dialog")
    assert "The others see that you left" in dialog.inner_text()
    dialog.get_by_role("button", name="Leave").click()
    ben.wait_for("ana left")
    ana.wait(lambda ana: group(ana, "Other channels") == ["random"])
    assert ana.channel == "general"
    assert open_menu(ana, "general").get_by_text("Leave…").count() == 0, "it is the last one"
    ana.page.keyboard.press("Escape")
    ben.root.get_by_role("button", name="Settings of the list").click()
    ben.root.get_by_role("menu").get_by_text("Hide who joined and left").click()
    ben.row("ana left").wait_for(state="hidden")


def test_channels_are_found_and_used_from_the_keyboard(
    open_chat: Callable[..., NotebookPage], channels: Channels
) -> None:
    for number in range(8):
        channels.create(f"team-{number}")
    page = open_chat()
    panel, keys = page.panel, page.page.keyboard
    fold = panel.root.get_by_role("button", name="Other channels (8)")
    fold.wait_for()
    assert fold.get_attribute("aria-expanded") == "false"
    assert option(panel, "team-5").count() == 0
    panel.root.get_by_role("button", name="Find a channel").focus()
    keys.press("Enter")
    keys.type("M-5")
    option(panel, "team-5").wait_for()
    assert panel.root.get_by_role("option").count() == 1
    keys.press("Escape")
    panel.wait(lambda panel: option(panel, "general").count() == 1)
    assert (
        panel.root.evaluate("host => host.shadowRoot.activeElement.ariaLabel") == "Find a channel"
    )
    keys.press("Enter")
    keys.type("team-3")
    keys.press("Enter")
    panel.wait(lambda panel: panel.channel == "team-3")

    fold.or_(panel.root.get_by_role("button", name="Other channels (7)")).click()
    option(panel, "team-7").wait_for()
    option(panel, "team-3").focus()
    lines = panel.root.get_by_role("option").all_inner_texts()
    keys.press("ArrowDown")
    assert panel.root.evaluate("host => host.shadowRoot.activeElement.ariaLabel") == "team-0", lines
    keys.press("End")
    keys.press("Enter")
    panel.wait(lambda panel: panel.channel == "team-7")
    option(panel, "team-7").focus()
    keys.press("Shift+F10")
    menu = panel.root.get_by_role("menu", name="Menu of team-7")
    assert panel.root.evaluate("host => host.shadowRoot.activeElement.innerText") == "Mute"
    keys.press("End")
    keys.press("Escape")
    menu.wait_for(state="hidden")
    assert panel.root.evaluate("host => host.shadowRoot.activeElement.ariaLabel") == "team-7"
    assert panel.root.locator("[role=option][tabindex='0']").count() == 1


def test_the_order_is_by_name_or_by_what_is_recent_and_is_remembered(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    room_factory: Callable[..., ChatRoom],
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    for name in ("aleph", "beth", "gimel"):
        channels.create(name)
    page = open_chat()
    ben = room_factory("ben")
    for name in ("beth", "gimel", "aleph"):
        ben.join(name).result(20)
    for name in ("gimel", "aleph", "beth"):
        send(ben, name, "hello")
    page.panel.wait(lambda panel: group(panel, "Other channels") == ["aleph", "beth", "gimel"])
    page.panel.root.get_by_role("button", name="Settings of the list").click()
    page.panel.root.get_by_role("menuitemcheckbox", name="Recent first").click()
    page.panel.wait(lambda panel: group(panel, "Other channels") == ["beth", "aleph", "gimel"], 20)
    page.save()
    page.load()
    page.panel.wait(lambda panel: group(panel, "Other channels") == ["beth", "aleph", "gimel"], 20)
    title = option(page.panel, "beth").get_attribute("title") or ""
    assert "Last message: " in title


def test_where_there_is_little_room_the_list_comes_over_the_talk(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    channels.create("random")
    page = open_chat()
    panel = page.panel
    visit(panel, "random")
    page.command("application:toggle-left-area")
    page.page.set_viewport_size({"width": 500, "height": 900})
    toggle = panel.root.get_by_role("button", name="Channels and people")
    toggle.wait_for()
    option(panel, "random").wait_for(state="hidden")
    box = panel.box.bounding_box()
    assert box is not None
    assert box["width"] > 200
    ben = room_factory("ben")
    ben.join("random").result(20)
    ben.send("random", "for @ana")
    toggle.locator(".badge").filter(has_text="1").wait_for(timeout=20_000)
    toggle.click()
    panel.select("random")
    panel.wait_for("for @ana")
    option(panel, "random").wait_for(state="hidden")
    toggle.click()
    option(panel, "random").focus()
    page.page.keyboard.press("Escape")
    option(panel, "random").wait_for(state="hidden")
    assert toggle.evaluate("one => one.getRootNode().activeElement === one")
