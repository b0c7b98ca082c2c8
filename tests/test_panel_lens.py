"""The Kafka lens in the panel's rows, in a real JupyterLab."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from playwright.sync_api import Locator, expect

from chatkit.archiver import Archiver
from chatkit.message import Message, now_ms
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from tests.browser import NotebookPage, PanelOnPage
from tests.waiting import wait_until

Open = Callable[..., NotebookPage]


def lens_of(panel: PanelOnPage, text: str) -> Locator:
    """Return what the lens shows of the message with a text, once it is here."""
    lens = panel.wait_for(text).get_by_role("region", name="Kafka lens")
    lens.wait_for()
    return lens


def test_the_lens_shows_what_kafka_holds_and_the_way_of_a_message(
    open_chat: Open,
    room_factory: Callable[..., ChatRoom],
    archiver_factory: Callable[..., Archiver],
    store: object,
) -> None:
    page = open_chat()
    panel = page.panel
    panel.write("/lens")
    room_factory("ben").send("general", "hello")
    lens = lens_of(panel, "hello")
    topic = page.evaluate("settings.topic_of('general')").strip("'")
    facts = lens.locator(".fact .value").all_inner_texts()
    assert facts[0] == topic
    assert facts[1].startswith("0:")
    assert facts[2] == '"ben"'
    assert facts[3].endswith(" bytes")
    assert facts[4] == "LogAppendTime"
    steps = lens.locator(".step b")
    expect(steps).to_have_text(["sent", "appended", "received", "shown"])
    lens.get_by_text("Not in the archive yet").wait_for()
    lens.get_by_text("Value, as it is in Kafka").click()
    expect(lens.locator("pre")).to_contain_text('"body":"hello"')

    archiver_factory()
    expect(steps).to_have_count(5, timeout=30_000)
    assert sorted(steps.all_inner_texts()[2:]) == ["archived", "received", "shown"]
    assert lens.locator("pre").is_visible(), "stays open as the row is drawn again"
    panel.write("/lens")
    lens.wait_for(state="detached")


def test_a_wrong_clock_is_shown_as_it_is(open_chat: Open, producer: ChatProducer) -> None:
    panel = open_chat().panel
    panel.write("/lens")
    hour = 3_600_000
    late = msgspec.structs.replace(
        Message.new("general", "ben", "from the future"), sent_ms=now_ms() + hour
    )
    producer.send(late).result(10)
    lens = lens_of(panel, "from the future")
    expect(lens.locator(".took.odd")).to_have_text("−60 min: the clocks differ")


def test_of_what_was_there_before_no_one_claims_when_it_came(
    open_chat: Open,
    producer: ChatProducer,
    archiver_factory: Callable[..., Archiver],
    store: object,
) -> None:
    archiver = archiver_factory()
    producer.send(Message.new("general", "ben", "long ago")).result(10)
    wait_until(lambda: archiver.status.messages == 1, 20)
    panel = open_chat().panel
    panel.write("/lens")
    steps = lens_of(panel, "long ago").locator(".step b")
    expect(steps).to_have_text(["sent", "appended", "archived"])


def test_the_lens_of_hostile_text_is_text(open_chat: Open, producer: ChatProducer) -> None:
    page = open_chat()
    panel = page.panel
    panel.write("/lens")
    script = "<img src=x onerror='window.attacked = 1'>"
    producer.send(Message.new("general", script, script)).result(10)
    lens = lens_of(panel, script)
    expect(lens.locator(".fact .value").nth(2)).to_have_text(f'"{script}"')
    lens.get_by_text("Value, as it is in Kafka").click()
    assert lens.locator("img").count() == 0
    assert page.page.evaluate("window.attacked") is None


def test_joins_are_records_too(open_chat: Open, room_factory: Callable[..., ChatRoom]) -> None:
    panel = open_chat().panel
    panel.write("/lens")
    room_factory("ben").join("general", member=True)
    lens = lens_of(panel, "ben joined")
    lens.get_by_text("Value, as it is in Kafka").click()
    expect(lens.locator("pre")).to_contain_text('"type":"join"')
