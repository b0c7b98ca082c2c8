"""The lens on a real broker and a real MongoDB, and with either away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.connection import make_client
from chatkit.errors import BrokerUnavailableError
from chatkit.lens import VALUE_LIMIT, LensReader, Place, _text
from chatkit.local import LocalStack
from chatkit.message import ATTACHMENT_LIMIT, Attachment, Edit, Message, encode
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.waiting import wait_until


@pytest.fixture
def lens(settings: Settings, store: MessageStore) -> Iterator[LensReader]:
    """The lens of this test."""
    reader = LensReader(settings, store)
    yield reader
    reader.close()


def send(producer: ChatProducer, *messages: Message) -> dict[str, Place]:
    """Send messages and return where they came to be, by id."""
    receipts = [(message, producer.send(message)) for message in messages]
    return {
        message.id: Place(message.channel, receipt.result(20).partition, receipt.result(20).offset)
        for message, receipt in receipts
    }


def say(*bodies: str, channel: str = "general", author: str = "ana") -> list[Message]:
    return [Message.new(channel, author, body) for body in bodies]


def test_a_record_is_shown_as_kafka_holds_it(
    producer: ChatProducer, lens: LensReader, settings: Settings
) -> None:
    message = Message.new("general", "zoë", "hi", sent_ms=1_000_000_000_000)
    receipt = producer.send(message).result(20)

    found = lens.look({message.id: Place("general", 0, receipt.offset)})

    shown = found[message.id]
    assert (shown.topic, shown.partition, shown.offset) == (settings.topic_of("general"), 0, 0)
    assert shown.key == "zoë"
    assert shown.value == encode(message).decode()
    assert shown.size == len(encode(message)) + len("zoë".encode())
    assert shown.timestamp_type == "LogAppendTime"
    assert shown.appended_ms == receipt.appended_ms
    assert shown.sent_ms == 1_000_000_000_000
    assert shown.headers == ()
    assert shown.archived_ms is None
    assert shown.reason == ""


def test_it_tells_when_mongodb_got_it(
    producer: ChatProducer,
    lens: LensReader,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    (message,) = say("hi")
    edit = Edit.new("general", "ana", message.id, body="ho")
    places = send(producer, message)
    places[edit.id] = Place("general", 0, producer.send(edit, author="ana").result(20).offset)
    assert [one.archived_ms for one in lens.look(places).values()] == [None, None]

    archiver_factory()
    wait_until(lambda: store.events.count_documents({}), 20)

    document = store.get("general", message.id)
    assert document is not None
    found = lens.look(places)
    shown = found[message.id].archived_ms
    assert shown is not None
    assert datetime.fromtimestamp(shown / 1000, UTC) == document["archived_at"]
    assert found[edit.id].archived_ms is not None
    assert found[edit.id].sent_ms == edit.at_ms


def test_without_mongodb_all_the_rest_is_shown_and_soon(
    producer: ChatProducer, settings: Settings
) -> None:
    places = send(producer, *say("hi"))
    with MessageStore(settings.replace(mongo_uri="mongodb://127.0.0.1:1")) as away:
        lens = LensReader(settings, away)
        try:
            for seconds in (5.0, 0.9):  # the first look finds it out, the second knows
                began = time.monotonic()
                (shown,) = lens.look(places).values()
                assert time.monotonic() - began < seconds
                assert shown.value is not None
                assert shown.archived_ms is None
        finally:
            lens.close()


def test_what_can_not_be_read_is_shown_raw(
    settings: Settings,
    channels: Channels,
    lens: LensReader,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    raw = make_client(KafkaProducer, settings)
    topic = settings.topic_of("general")
    headers = [("trace", b"\xfe1"), ("empty", b""), *((f"h{n}", b"x") for n in range(100))]
    raw.send(topic, key=b"\xffk", value=b'\xff{"a":\xe4}', headers=headers).get(10)
    raw.send(topic, key=b"k", value=None).get(10)
    raw.send(topic, key=None, value=b"").get(10)
    raw.close(timeout=5)
    archiver_factory()
    wait_until(lambda: len(store.dead_letters()) == 3, 20)

    found = lens.look({f"row {n}": Place("general", 0, n) for n in range(3)})

    shown = found["row 0"]
    assert shown.key == repr(b"\xffk")
    assert shown.value == '\\xff{"a":\\xe4}'
    assert shown.headers[:2] == (("trace", "\\xfe1"), ("empty", ""))
    assert len(shown.headers) == 50
    assert shown.sent_ms is None
    assert shown.archived_ms is not None
    assert (found["row 1"].key, found["row 1"].value, found["row 1"].size) == ("k", None, 1)
    assert (found["row 2"].key, found["row 2"].value, found["row 2"].size) == (None, "", 0)
    assert all(one.archived_ms and not one.reason for one in found.values())


def test_a_large_value_is_cut(producer: ChatProducer, lens: LensReader) -> None:
    attachment = Attachment(name="a", type="b", data=bytes(ATTACHMENT_LIMIT))
    before, after = say("before", "after")
    large = Message.new("general", "ana", "ä" * 3000, attachment=attachment)
    places = send(producer, before, large, after)

    found = lens.look(places)

    shown = found[large.id]
    assert shown.value is not None
    assert len(shown.value) == VALUE_LIMIT
    assert shown.value[:-1] == encode(large).decode()[: VALUE_LIMIT - 1]
    assert shown.value[-1] == "…"
    assert shown.size > ATTACHMENT_LIMIT
    assert json.loads(found[after.id].value or "")["body"] == "after"


@given(st.binary(max_size=40) | st.text(max_size=30).map(str.encode), st.integers(1, 12))
def test_a_text_is_the_beginning_of_the_whole(value: bytes, limit: int) -> None:
    whole = value.decode("utf-8", "backslashreplace")
    text = _text(value, limit)
    assert text is not None
    assert text == (whole if len(whole) <= limit else whole[: limit - 1] + "…")
    text.encode()


def test_many_are_found_wherever_they_are(
    producer: ChatProducer, channels: Channels, lens: LensReader
) -> None:
    channels.create("busy", partitions=3)
    messages = [Message.new("busy", f"author {n % 7}", f"text {n}") for n in range(600)]
    messages += say(*(f"text {n}" for n in range(600)))
    places = send(producer, *messages)
    assert len({place.partition for place in places.values()}) == 3
    asked = {message.id: places[message.id] for message in reversed(messages[::11])}

    found = lens.look(asked)

    assert list(found) == list(asked)
    bodies = {message.id: message.body for message in messages}
    for row, shown in found.items():
        assert json.loads(shown.value or "")["body"] == bodies[row]
        assert (shown.partition, shown.offset) == asked[row][1:]


def test_a_warm_look_is_quick(producer: ChatProducer, lens: LensReader) -> None:
    places = send(producer, *say(*(f"text {n}" for n in range(1000))))
    rows = list(places)

    def seconds(asked: list[str]) -> float:
        began = time.monotonic()
        assert all(one.value for one in lens.look({row: places[row] for row in asked}).values())
        return time.monotonic() - began

    assert min(seconds([rows[n]]) for n in range(0, 1000, 100)) < 0.06
    assert min(seconds(rows[n : n + 50]) for n in range(0, 1000, 100)) < 0.15


def test_records_that_are_gone_are_told_from_those_that_never_were(
    producer: ChatProducer, channels: Channels, lens: LensReader, settings: Settings
) -> None:
    kept = say(*(f"text {n}" for n in range(10)))
    places = send(producer, *kept)
    admin = make_client(KafkaAdminClient, settings)
    admin.delete_records({TopicPartition(settings.topic_of("general"), 0): 4})
    admin.close()

    began = time.monotonic()
    found = lens.look(
        {
            **places,
            "beyond": Place("general", 0, 10),
            "far beyond": Place("general", 0, 10_000),
            "no partition": Place("general", 7, 0),
            "no channel": Place("nowhere", 0, 0),
        }
    )

    assert time.monotonic() - began < 5
    gone = {message.id for message in kept[:4]}
    assert {row for row, shown in found.items() if "retention" in shown.reason} == gone
    assert "begins at offset 4" in found[kept[0].id].reason
    assert all(found[message.id].value for message in kept[4:])
    assert "ends at offset 10" in found["beyond"].reason
    assert "ends at offset 10" in found["far beyond"].reason
    assert "no such partition" in found["no partition"].reason
    assert "no such partition" in found["no channel"].reason


def test_all_that_is_asked_for_may_be_gone(
    producer: ChatProducer, channels: Channels, lens: LensReader, settings: Settings
) -> None:
    places = send(producer, *say("one", "two"))
    admin = make_client(KafkaAdminClient, settings)
    admin.delete_records({TopicPartition(settings.topic_of("general"), 0): 2})
    admin.close()

    assert ["retention" in one.reason for one in lens.look(places).values()] == [True, True]


def test_the_end_of_a_transaction_is_no_record(
    channels: Channels, lens: LensReader, settings: Settings
) -> None:
    raw = make_client(KafkaProducer, settings, transactional_id=settings.database)
    raw.init_transactions()
    for body in (b"one", b"two"):
        raw.begin_transaction()
        raw.send(settings.topic_of("general"), value=body)
        raw.commit_transaction()
    raw.close(timeout=5)

    found = lens.look({str(n): Place("general", 0, n) for n in range(4)})

    assert [shown.value for shown in found.values()] == ["one", None, "two", None]
    assert ["no record" in shown.reason for shown in found.values()] == [False, True, False, True]


def test_nothing_is_asked_for_nothing(settings: Settings, store: MessageStore) -> None:
    lens = LensReader(settings.replace(bootstrap_servers="127.0.0.1:1"), store)
    assert lens.look({}) == {}
    lens.close()
    lens.close()


def test_without_kafka_it_says_so_in_time(settings: Settings, store: MessageStore) -> None:
    away = settings.replace(bootstrap_servers="127.0.0.1:1", kafka_timeout=1.0)
    lens = LensReader(away, store)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        lens.look({"a": Place("general", 0, 0)})
    assert time.monotonic() - began < 5


def test_it_goes_on_after_kafka_was_away(
    producer: ChatProducer, settings: Settings, store: MessageStore, local_stack: LocalStack
) -> None:
    places = send(producer, *say("hi"))
    lens = LensReader(settings.replace(kafka_timeout=1.0), store)
    try:
        assert all(one.value for one in lens.look(places).values())
        local_stack.kafka.pause()
        try:
            began = time.monotonic()
            with pytest.raises(BrokerUnavailableError):
                lens.look(places)
            assert time.monotonic() - began < 5
        finally:
            local_stack.kafka.resume()

        def look_again() -> bool:
            try:
                return all(one.value for one in lens.look(places).values())
            except BrokerUnavailableError:
                return False

        wait_until(look_again, 20)
    finally:
        lens.close()


def test_a_look_that_is_stopped_leaves_out_what_it_did_not_find(
    producer: ChatProducer, lens: LensReader
) -> None:
    places = send(producer, *say("hi"))
    stop = threading.Event()
    stop.set()
    assert lens.look({**places, "beyond": Place("general", 0, 99)}, stop=stop).keys() == {"beyond"}
    assert lens.look(places).keys() == places.keys()
