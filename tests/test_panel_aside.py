"""The header, and what stands beside the transcript: a real browser, real Kafka and MongoDB."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.message import Edit, Message, Pin
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from tests.browser import NotebookPage, PanelOnPage
from tests.waiting import wait_until


def say(producer: ChatProducer, author: str, body: str, **more: str) -> Message:
    message = Message.new("general", author, body, **more)
    producer.send(message).result(10)
    return message


def press(panel: PanelOnPage, name: str) -> Locator:
    button = panel.root.get_by_role("button", name=name)
    button.click()
    return button


def open_thread(panel: PanelOnPage, text: str) -> Locator:
    """Open the thread of a message, and return its box."""
    panel.row(text).hover()
    press(panel, "Thread")
    box = panel.root.get_by_role("textbox", name="Answer in the thread")
    panel.wait(lambda _: has_focus(box))
    return box


def has_focus(place: Locator) -> bool:
    focused: bool = place.evaluate("place => place.getRootNode().activeElement === place")
    return focused


def cards(panel: PanelOnPage, text: str = "") -> Locator:
    return panel.root.locator(".aside .card").filter(has_text=text)


def bodies(panel: PanelOnPage) -> list[str]:
    return panel.root.locator(".aside .card .body").all_inner_texts()


# A thread.


def test_a_thread_grows_on_both_pages_while_people_answer(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    root = say(producer, "cleo", "Who has **seen** the lag?")
    say(producer, "ben", "something else")
    say(producer, "cleo", "Since this morning", reply_to=root.id)
    ana, ben = open_chat("ana").panel, open_chat("ben").panel
    for panel in (ana, ben):
        panel.wait_for("Since this morning")
        box = open_thread(panel, "something else")
        panel.wait(lambda panel: bodies(panel) == ["something else"])
        box.press("Escape")
        open_thread(panel, "Since this morning")
        cards(panel, "Who has seen").wait_for()
        assert bodies(panel) == ["Who has seen the lag?", "Since this morning"]
    assert cards(ana).first.locator("strong").inner_text() == "seen"
    box = ana.root.get_by_role("textbox", name="Answer in the thread")
    box.fill("I have")
    box.press("Enter")
    for panel in (ana, ben):
        cards(panel, "I have").wait_for()
        assert bodies(panel)[-1] == "I have"
    assert box.input_value() == ""
    ben.write("not in the thread")
    ana.wait_for("not in the thread")
    assert len(bodies(ana)) == 3
    # It answers what the thread begins with, not the message from which it was opened.
    assert "Who has seen" in ben.wait_for("I have").inner_text().replace("**", "")
    # An answer to an answer is in the thread as well, and what is edited there is shown.
    box = open_thread(ben, "I have")
    box.fill("Then tell")
    box.press("Enter")
    cards(ana, "Then tell").wait_for()
    ben.write("/edit Then tell us")
    cards(ana, "Then tell us").wait_for()
    assert "edited" in cards(ana, "Then tell us").inner_text()


def test_what_is_written_in_a_thread_stays_while_it_is_closed(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    say(producer, "ben", "first")
    say(producer, "ben", "second")
    panel = open_chat().panel
    panel.wait_for("second")
    open_thread(panel, "first").fill("half a thought")
    box = open_thread(panel, "second")
    assert box.input_value() == ""
    assert panel.box.input_value() == ""
    assert open_thread(panel, "first").input_value() == "half a thought"


def test_the_time_of_a_message_in_a_thread_shows_it_among_the_others(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    root = say(producer, "ben", "the question")
    for number in range(60):
        say(producer, "ben", f"number {number}")
    say(producer, "cleo", "the answer", reply_to=root.id)
    panel = open_chat().panel
    panel.wait_for("the answer")
    open_thread(panel, "the answer")
    cards(panel, "the question").locator(".card-time").click()
    panel.wait(lambda panel: panel.root.locator(".row.flash").count() == 1)
    assert "the question" in panel.root.locator(".row.flash").inner_text()


# What is pinned.


def test_pins_come_and_go_on_both_pages(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    say(producer, "cleo", "remember this")
    ana, ben = open_chat("ana").panel, open_chat("ben").panel
    for panel in (ana, ben):
        panel.wait_for("remember this")
        press(panel, "Pinned messages")
        panel.root.get_by_text("Nothing is pinned in #general.").wait_for()
    ben.write("/pin @cleo")
    for panel in (ana, ben):
        cards(panel, "remember this").wait_for()
    say(producer, "cleo", "and this")
    ben.wait_for("and this")
    ben.write("/pin @cleo")
    ana.wait(lambda panel: bodies(panel) == ["and this", "remember this"])
    cards(ana, "remember this").get_by_role("button", name="Unpin").click()
    for panel in (ana, ben):
        panel.wait(lambda panel: bodies(panel) == ["and this"])


def test_a_pinned_message_that_lies_far_back_is_gone_to_and_unpinned(
    open_chat: Callable[..., NotebookPage],
    settings: Settings,
    producer: ChatProducer,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver = archiver_factory()
    pinned = say(producer, "cleo", "the rules")
    producer.send(Pin.new("general", "cleo", pinned.id), author="cleo").result(10)
    with ChatProducer(settings, bulk=True) as bulk:
        sent = [bulk.send(Message.new("general", "ben", f"number {n}")) for n in range(900)]
        for receipt in sent:
            receipt.result(20)
    wait_until(lambda: archiver.status.messages >= 901, 30)
    panel = open_chat().panel
    panel.wait_for("number 899")
    press(panel, "Pinned messages")
    cards(panel, "the rules").get_by_role("button", name="Unpin").click()
    panel.root.get_by_text("Nothing is pinned in #general.").wait_for()
    assert panel.row("number 899").count() == 1, "the reader is where they were"


# What was edited.


def test_all_texts_of_a_message_are_shown_with_what_changed(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    panel = open_chat().panel
    message = say(producer, "ben", "the broker is <b>down</b>")
    edits = ["the broker is <b>up</b>", "the broker is <b>up</b> again"]
    producer.send(Edit.new("general", "ben", message.id, body=edits[0]), author="ben").result(10)
    panel.wait_for("(edited)").get_by_role("button", name="(edited)").click()
    panel.wait(lambda panel: bodies(panel)[-1:] == ["the broker is <b>down</b>"])
    producer.send(Edit.new("general", "ben", message.id, body=edits[1]), author="ben").result(10)
    panel.wait(lambda panel: cards(panel).count() == 3)
    assert bodies(panel) == [
        "the broker is <b>up</b> again",
        "the broker is <b>down</b> <b>up</b>",
        "the broker is <b>down</b>",
    ]
    assert cards(panel).nth(1).locator("del").inner_text().strip() == "<b>down</b>"
    assert cards(panel).nth(1).locator("ins").inner_text().strip() == "<b>up</b>"
    assert cards(panel).nth(0).locator("ins").inner_text().strip() == "again"
    assert cards(panel).locator(".tag").all_inner_texts() == ["now", "first"]
    assert cards(panel).locator("b").count() == 0


# The topic.


def test_the_topic_is_explained_and_counted_anew(
    open_chat: Callable[..., NotebookPage],
    settings: Settings,
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    channels.create("busy", partitions=3, creator="ben", description="many at once")
    page = open_chat()
    panel = page.panel
    panel.wait(lambda panel: panel.root.get_by_role("option", name="busy").count() == 1)
    press(panel, "This channel’s topic in Kafka")
    facts = panel.root.locator(".facts")
    facts.get_by_text(f"{settings.topic_prefix}general").wait_for()
    assert "Kafka keeps all its records in one order" in facts.inner_text()
    rows = panel.root.locator(".facts-table tbody tr")
    before = rows.inner_text().split()
    assert before[0] == "0"
    panel.write("one more")
    panel.wait_for("one more")
    press(panel, "Refresh")
    panel.wait(lambda _: int(rows.inner_text().split()[2]) > int(before[2]))
    panel.select("busy")
    panel.wait(lambda panel: panel.root.locator(".aside").is_hidden())
    press(panel, "This channel’s topic in Kafka")
    facts.get_by_text("within each partition").wait_for()
    assert rows.count() == 3
    facts.get_by_text("many at once").wait_for()
    assert "ben" in facts.inner_text()


# The focus.


def test_the_aside_takes_the_focus_and_gives_it_back(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    say(producer, "ben", "hello")
    page = open_chat()
    panel = page.panel
    panel.wait_for("hello")
    search = panel.root.get_by_role("button", name="Search in all channels")
    search.focus()
    page.page.keyboard.press("ArrowRight")
    pins = panel.root.get_by_role("button", name="Pinned messages")
    assert has_focus(pins), "arrows go through the toolbar"
    page.page.keyboard.press("Enter")
    aside = panel.root.get_by_role("complementary", name="Pinned messages")
    panel.wait(lambda _: has_focus(aside.locator(".aside-title")))
    page.page.keyboard.press("Escape")
    assert aside.count() == 0
    assert has_focus(pins)
    # What another view or the kernel opens takes it from nobody.
    panel.box.fill("half a")
    panel.write("/search hello")
    cards(panel, "hello").wait_for()
    assert has_focus(panel.box)


def test_in_a_narrow_panel_the_aside_lies_over_the_talk_and_makes_way_for_what_was_gone_to(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    say(producer, "ben", "hello")
    page = open_chat()
    panel = page.panel
    panel.wait_for("hello")
    page.page.set_viewport_size({"width": 760, "height": 900})
    width = panel.log.evaluate("log => log.clientWidth")
    press(panel, "Search in all channels")
    box = panel.root.get_by_role("combobox", name="Search messages")
    box.fill("hello")
    box.press("Enter")
    cards(panel, "hello").wait_for()
    assert panel.log.evaluate("log => log.clientWidth") == width
    cards(panel, "hello").click()
    panel.wait(lambda panel: panel.root.locator(".aside").is_hidden())
    panel.wait(lambda panel: panel.root.locator(".row.flash").count() == 1)


# The header.


def test_the_header_tells_of_the_channel(
    open_chat: Callable[..., NotebookPage],
    room_factory: Callable[..., ChatRoom],
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    room = room_factory("ana")
    room.create_channel("tables", "What is in our tables").result(10)
    panel = open_chat("ana", "tables").panel
    header = panel.root.locator("header")
    header.get_by_text("What is in our tables").wait_for()
    assert panel.root.locator(".about").get_attribute("title") == "What is in our tables"
    assert header.locator(".name").inner_text() == "# tables"
    panel.write("/rename All our tables")
    panel.wait(lambda _: header.locator(".name").inner_text() == "# All our tables")
    assert header.get_by_text("closed", exact=True).is_hidden()
    panel.write("/archive")
    header.get_by_text("closed", exact=True).wait_for()


def test_what_a_command_says_can_be_put_away(open_chat: Callable[..., NotebookPage]) -> None:
    panel = open_chat().panel
    panel.write("/help")
    note = panel.root.locator(".said")
    note.filter(has_text="/search").wait_for()
    assert "\n/react" in note.inner_text()
    assert note.evaluate("note => note.scrollHeight > note.clientHeight"), "it has a bound"
    press(panel, "Dismiss the note")
    panel.wait(lambda _: note.is_hidden())


def test_the_user_takes_another_name(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat()
    panel = page.panel
    panel.write("as ana")
    panel.wait_for("as ana")
    user = panel.root.locator(".user")
    assert "claims, not proof" in (user.get_attribute("title") or "")
    user.click()
    form = panel.root.get_by_role("dialog", name="Change your name")
    name = form.get_by_role("textbox")
    assert has_focus(name)
    assert name.input_value() == "ana"
    page.page.keyboard.press("Escape")
    assert form.is_hidden()
    assert has_focus(user)
    user.click()
    name.fill("")
    name.press("Enter")
    form.locator(".bad").filter(has_text="at least one character").wait_for()
    name.fill("cleo")
    name.press("Enter")
    panel.wait(lambda _: user.inner_text() == "cleo (me)", 20)
    assert form.is_hidden()
    panel.wait(lambda panel: panel.status.inner_text() == "Connected", 20)
    panel.write("as cleo")
    assert panel.wait_for("as cleo").locator(".author").inner_text() == "cleo"


def test_the_lens_is_switched_from_the_header_and_by_a_command(
    open_chat: Callable[..., NotebookPage],
) -> None:
    panel = open_chat().panel
    button = press(panel, "Kafka lens")
    assert button.get_attribute("aria-pressed") == "true"
    panel.write("/lens")
    panel.wait(lambda _: button.get_attribute("aria-pressed") == "false")


def test_a_direct_channel_says_with_whom_it_is_and_that_it_is_not_private(
    open_chat: Callable[..., NotebookPage],
) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    ana.panel.write("/dm ben between us")
    ana.panel.wait_for("between us")
    header = ana.panel.root.locator("header")
    header.get_by_text("Direct messages are not private").wait_for()
    assert header.locator(".name").inner_text() == "ben"
    presence = header.get_by_role("img", name="ben is")
    presence.wait_for()
    ana.panel.wait(
        lambda _: (presence.get_attribute("aria-label") or "") in ("ben is here", "ben is away"), 20
    )
    ben.evaluate("panel.close()")
    ana.panel.wait(lambda _: presence.get_attribute("aria-label") == "ben is not here", 20)
    ana.panel.select("general")
    assert header.get_by_text("Direct messages are not private").is_hidden()
