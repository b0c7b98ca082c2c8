"""The panel's list of people, and direct messages: two pages and two kernels."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.room import ChatRoom
from tests.browser import NotebookPage, PanelOnPage
from tests.waiting import wait_until


def person(panel: PanelOnPage, name: str) -> Locator:
    people = panel.root.get_by_role("region", name="People")
    return people.get_by_role("button", name=name, exact=True)


def wait_for_presence(panel: PanelOnPage, name: str, about: str) -> None:
    """Wait until somebody is shown as here, away or left, and what else there is to say."""
    person(panel, name).wait_for(timeout=20_000)
    panel.wait(
        lambda panel: (person(panel, name).get_attribute("aria-description") or "") == about, 20
    )


def direct_option(panel: PanelOnPage, name: str) -> Locator:
    group = panel.root.get_by_role("listbox", name="Direct messages")
    return group.get_by_role("option", name=name, exact=True)


def test_people_are_here_away_and_left_and_one_sees_who_is_typing(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    panel = ana.panel
    wait_for_presence(panel, "ben", "here")
    wait_for_presence(panel, "ana (me)", "here")
    wait_for_presence(ben.panel, "ana", "here")
    assert person(panel, "ben").get_attribute("data-presence") == "here"
    ben.evaluate("panel.room.typing('general')")
    wait_for_presence(panel, "ben", "here, is writing in #general")
    assert person(panel, "ben").locator(".pencil").is_visible()
    ben.evaluate("panel.room.typing(None)")
    wait_for_presence(panel, "ben", "here")
    assert person(panel, "ben").locator(".pencil").is_hidden()
    ben.evaluate("panel.room.set_away(True)")
    wait_for_presence(panel, "ben", "away")
    ben.evaluate("panel.close()")
    fold = panel.root.get_by_role("button", name="Left (1)")
    fold.wait_for(timeout=20_000)
    assert person(panel, "ben").count() == 0
    fold.click()
    person(panel, "ben").wait_for()
    assert "left, last seen at" in (person(panel, "ben").get_attribute("aria-description") or "")
    person(panel, "ana (me)").focus()
    ana.page.keyboard.press("ArrowDown")
    focused = "host => host.shadowRoot.activeElement.ariaLabel"
    assert panel.root.evaluate(focused) == "ben"
    ana.page.keyboard.press("Shift+F10")
    panel.root.get_by_role("menuitem", name="Write to ben").wait_for()
    ana.page.keyboard.press("Escape")
    assert panel.root.evaluate(focused) == "ben"


def test_two_people_write_to_each_other_directly_and_a_third_does_not_see_it(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    ana, ben = open_chat("ana").panel, open_chat("ben").panel
    cleo = room_factory("cleo")
    ana.root.get_by_role("button", name="Write to somebody").click()
    name = ana.root.get_by_role("combobox", name="Whom to write to")
    name.fill("ana")
    name.press("Enter")
    ana.root.locator(".creating .bad").filter(has_text="your own name").wait_for()
    name.fill("ben")
    name.press("Enter")
    ana.wait(lambda ana: direct_option(ana, "ben").get_attribute("aria-selected") == "true")
    hint = ana.root.get_by_role("note").filter(has_text="Not private")
    hint.wait_for()
    ana.write("just between us")
    ana.wait_for("just between us")
    direct_option(ben, "ana").wait_for(timeout=20_000)
    badge = direct_option(ben, "ana").locator(".badge", has_text="1")
    badge.wait_for(timeout=20_000)
    direct_option(ben, "ana").click()
    ben.wait_for("just between us")
    badge.wait_for(state="hidden")
    ben.write("I see")
    ana.wait_for("I see")
    ana.select("general")
    hint.wait_for(state="hidden")
    # A click on somebody leads to the same channel.
    person(ana, "ben").click()
    ana.wait_for("I see")
    assert ana.root.get_by_role("listbox", name="Direct messages").locator(".label").count() == 1
    channel = ana.channel
    wait_until(lambda: channel in cleo.channels(), 20)
    assert channel not in [one.channel for one in cleo.overview()]


def test_who_is_muted_is_dim_and_not_counted(
    open_chat: Callable[..., NotebookPage],
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    channels.create("random")
    ben, cleo = room_factory("ben"), room_factory("cleo")
    for room in (ben, cleo):
        room.join("random").result(20)
    panel = open_chat().panel
    option = panel.root.get_by_role("option", name="random", exact=True)
    option.wait_for()
    panel.select("random")
    panel.wait_for("ana joined", timeout=20)
    panel.select("general")
    person(panel, "ben").click(button="right")
    panel.root.get_by_role("menuitem", name="Mute ben").click()
    wait_for_presence(panel, "ben", "here, muted")
    assert "muted" in (person(panel, "ben").get_attribute("class") or "")
    ben.send("random", "nobody hears me, @ana")
    cleo.send("random", "somebody hears me")
    option.locator(".badge").filter(has_text="1").wait_for(timeout=20_000)
    assert [text for text in option.locator(".badge").all_inner_texts() if text] == ["1"]
    person(panel, "ben").click(button="right")
    panel.root.get_by_role("menuitem", name="Hear ben again").click()
    wait_for_presence(panel, "ben", "here")
    option.locator(".badge").filter(has_text="2").wait_for(timeout=20_000)
