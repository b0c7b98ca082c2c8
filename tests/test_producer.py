"""ChatProducer on a real broker, on none, and on one that hangs."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition

from chatkit.channels import Channels
from chatkit.consumer import decode_record, make_reader, read_range, read_records
from chatkit.errors import ChannelNameError, InvalidMessageError, SendError
from chatkit.local import LocalStack
from chatkit.message import (
    ATTACHMENT_LIMIT,
    Attachment,
    Edit,
    Message,
    React,
    Received,
    decode_channel_record,
)
from chatkit.producer import ChatProducer, Receipt
from chatkit.settings import Settings
from tests.waiting import wait_until


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of something that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield "{}:{}".format(*server.getsockname())


@pytest.fixture
def frozen(local_stack: LocalStack) -> Iterator[Callable[[], None]]:
    """Return a function that freezes the broker; it goes on after the test at the latest."""
    yield local_stack.kafka.pause
    local_stack.kafka.resume()


def message(body: str, author: str = "ana", channel: str = "general", **more: Any) -> Message:
    return Message.new(channel, author, body, **more)


def read(channels: Channels, settings: Settings, channel: str = "general") -> list[Received]:
    """Return all that is in a channel, by partition and offset."""
    found: list[Received] = []
    for partition, log in channels.offsets(channels.describe(channel)).items():
        for item in read_range(settings, channel, partition, log.start, log.end):
            assert isinstance(item, Received)
            found.append(item)
    return found


def read_raw(settings: Settings, topic: str, count: int) -> list[Any]:
    """Return the first records of a topic's first partition, raw."""
    consumer = make_reader(settings)
    try:
        part = TopicPartition(topic, 0)
        consumer.assign([part])
        consumer.seek(part, 0)
        batches = read_records(consumer, threading.Event())
        records = itertools.chain.from_iterable(itertools.islice(batches, 100))
        return list(itertools.islice(records, count))
    finally:
        consumer.close()


def failure(receipt: Future[Receipt], seconds: float) -> SendError:
    error = receipt.exception(seconds)
    assert isinstance(error, SendError)
    return error


def test_messages_arrive_in_the_order_of_sending(
    producer: ChatProducer, channels: Channels, settings: Settings
) -> None:
    sent = [message(f"text {n}") for n in range(500)]
    receipts = [producer.send(one) for one in sent]

    offsets = [receipt.result(20).offset for receipt in receipts]
    assert offsets == list(range(500))
    assert [one.item for one in read(channels, settings)] == sent


def test_a_receipt_tells_where_and_when_kafka_put_it(
    producer: ChatProducer, channels: Channels, settings: Settings
) -> None:
    before = time.time() * 1000
    receipt = producer.send(message("hi")).result(10)
    (found,) = read(channels, settings)

    assert receipt == Receipt(found.topic, found.partition, found.offset, found.appended_ms)
    assert before - 1000 < receipt.appended_ms < time.time() * 1000 + 1000


def test_the_key_is_the_author_and_an_events_key_the_author_of_its_message(
    producer: ChatProducer, settings: Settings
) -> None:
    sent = message("hi", author="zoë")
    producer.send(sent)
    producer.send(React.new("general", "bob", sent.id, emoji="+1"), author="zoë")
    producer.send(Edit.new("general", "bob", sent.id, body="x")).result(10)

    records = read_raw(settings, settings.topic_of("general"), 3)
    assert [record.key.decode() for record in records] == ["zoë", "zoë", "bob"]


def test_an_event_shares_the_partition_of_its_message(
    producer: ChatProducer, channels: Channels
) -> None:
    channels.create("wide", partitions=8)
    for n in range(20):
        sent = message("hi", author=f"author {n}", channel="wide")
        placed = producer.send(sent)
        event = React.new("wide", "bob", sent.id, emoji="+1")
        assert (
            producer.send(event, author=sent.author).result(10).partition
            == placed.result(10).partition
        )


def test_channel_records_and_tombstones_go_to_their_own_topic(
    producer: ChatProducer, channels: Channels, settings: Settings
) -> None:
    channels.create("books", description="to read")
    receipt = producer.forget_channel("books").result(10)
    assert receipt.topic == settings.channels_topic

    general, books, gone = read_raw(settings, settings.channels_topic, 3)
    assert general.key == b"general"
    assert decode_channel_record(books.value).description == "to read"
    assert (gone.key, gone.value) == (b"books", None)


def test_what_breaks_a_rule_is_refused_at_once_and_not_sent(
    producer: ChatProducer, channels: Channels, settings: Settings
) -> None:
    for body in ("", " ", "x" * 20_000, "\ud800"):
        with pytest.raises(InvalidMessageError):
            producer.send(message(body))
    with pytest.raises(ChannelNameError):
        producer.send(message("hi", channel="No Channel"))
    assert producer.flush(1)
    assert read(channels, settings) == []


def test_an_attachment_of_the_largest_size_goes_through(
    producer: ChatProducer, channels: Channels, settings: Settings
) -> None:
    data = bytes(range(256)) * (ATTACHMENT_LIMIT // 256)
    sent = message("here", attachment=Attachment(name="a.bin", type="x/y", data=data))
    producer.send(sent).result(20)
    assert [one.item for one in read(channels, settings)] == [sent]


def test_bulk_mode_sends_everything_in_order(settings: Settings, channels: Channels) -> None:
    sent = [message(f"old text {n}", source="irc") for n in range(5000)]
    with ChatProducer(settings, bulk=True) as bulk:
        receipts = [bulk.send(one) for one in sent]
        assert bulk.flush(30)
    assert all(receipt.done() for receipt in receipts)
    assert [one.item for one in read(channels, settings)] == sent


def test_many_are_sent_at_once_in_order_with_a_receipt_each(
    settings: Settings, channels: Channels
) -> None:
    channels.create("wide", partitions=4)
    sent = [
        message(f"old text {n}", author=f"author {n % 50}", channel="wide" if n % 2 else "general")
        for n in range(3000)
    ]
    with ChatProducer(settings, bulk=True) as bulk:
        outcomes = bulk.send_all(sent).result(30)
        assert bulk.flush(0)
    receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
    assert len(receipts) == len(sent)
    found = {
        (one.topic, one.partition, one.offset): one.item
        for channel in ("general", "wide")
        for one in read(channels, settings, channel)
    }
    assert [found[one.topic, one.partition, one.offset] for one in receipts] == sent
    last: dict[tuple[str, int], int] = {}
    for one in receipts:
        assert one.offset == last.get((one.topic, one.partition), -1) + 1
        last[one.topic, one.partition] = one.offset


def test_of_many_what_breaks_a_rule_or_has_no_channel_has_its_error_in_its_place(
    settings: Settings, channels: Channels, producer: ChatProducer
) -> None:
    sent = [
        message("one"),
        message(" "),
        message("two", channel="nowhere"),
        message("three", channel="No Channel"),
        message("four"),
    ]
    first, empty, lost, unnamed, last = producer.send_all(sent).result(20)
    assert isinstance(first, Receipt)
    assert isinstance(empty, InvalidMessageError)
    assert isinstance(lost, SendError)
    assert lost.item == sent[2]
    assert isinstance(unnamed, ChannelNameError)
    assert isinstance(last, Receipt)
    assert [one.item for one in read(channels, settings)] == [sent[0], sent[4]]


def test_of_many_nothing_that_can_be_sent_is_settled_at_once(producer: ChatProducer) -> None:
    assert producer.send_all([]).result(0) == []
    (error,) = producer.send_all([message("")]).result(0)
    assert isinstance(error, InvalidMessageError)


def test_what_was_sent_at_once_and_one_by_one_keeps_its_order(
    settings: Settings, channels: Channels, producer: ChatProducer
) -> None:
    sent = [message(f"text {n}") for n in range(90)]
    for first in range(0, 90, 30):
        producer.send_all(sent[first : first + 20])
        for one in sent[first + 20 : first + 30]:
            producer.send(one)
    assert producer.flush(20)
    assert [one.item for one in read(channels, settings)] == sent


def test_closing_answers_for_each_of_many(settings: Settings) -> None:
    producer = ChatProducer(settings.replace(bootstrap_servers="127.0.0.1:1"), bulk=True)
    sent = [message(f"text {n}") for n in range(50)]
    many = [producer.send_all(sent), producer.send_all(sent[:1])]
    producer.close(timeout=0.5)
    outcomes = [outcome for one in many for outcome in one.result(1)]
    assert len(outcomes) == 51
    for outcome in outcomes:
        assert isinstance(outcome, SendError)
        assert "closed" in str(outcome) or "127.0.0.1:1" in str(outcome)
    with pytest.raises(RuntimeError, match="make a new one"):
        producer.send_all(sent)


def test_a_key_has_the_partition_that_every_client_of_kafka_gives_it(
    settings: Settings, channels: Channels, producer: ChatProducer
) -> None:
    channels.create("wide", partitions=7)
    names = [f"author {n}" for n in range(40)] * 2  # the second time their hashes are known
    ours = producer.send_all([message("hi", author=name, channel="wide") for name in names])
    partitions = [one.partition for one in ours.result(20) if isinstance(one, Receipt)]
    plain = KafkaProducer(**settings.kafka_config())
    topic = settings.topic_of("wide")
    theirs = [plain.send(topic, key=name.encode(), value=b"{}").get(20) for name in names]
    plain.close(timeout=5)
    assert partitions == [one.partition for one in theirs]


def test_many_threads_may_send_at_once_and_each_message_is_there_once(
    producer: ChatProducer, channels: Channels, settings: Settings
) -> None:
    receipts: list[Future[Receipt]] = []
    sent: list[Message] = []

    def work(author: str) -> None:
        for n in range(200):
            one = message(f"text {n}", author=author)
            sent.append(one)
            receipts.append(producer.send(one))

    threads = [threading.Thread(target=work, args=(f"author {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert producer.flush(30)

    assert sorted(receipt.result(0).offset for receipt in receipts) == list(range(1600))
    found = Counter(one.item.id for one in read(channels, settings))
    assert found == Counter(one.id for one in sent)
    for author in {one.author for one in sent}:
        texts = [
            one.item.body
            for one in read(channels, settings)
            if isinstance(one.item, Message) and one.item.author == author
        ]
        assert texts == [f"text {n}" for n in range(200)]


def test_a_message_for_an_unknown_channel_fails_soon_and_says_what_to_do(
    producer: ChatProducer,
) -> None:
    started = time.monotonic()
    lost = [producer.send(message(f"lost {n}", channel="nowhere")) for n in range(20)]
    good = producer.send(message("good"))

    error = failure(lost[0], 10)
    assert "create the channel" in str(error)
    assert error.item.channel == "nowhere"
    assert good.result(10).offset == 0  # not kept waiting by twenty others
    assert time.monotonic() - started < 12
    assert all(failure(receipt, 0).item.id for receipt in lost)


def test_a_channel_that_is_created_after_a_failure_can_be_written_to(
    producer: ChatProducer, channels: Channels
) -> None:
    failure(producer.send(message("lost", channel="late")), 10)
    channels.create("late")
    assert producer.send(message("found", channel="late")).result(10).offset == 0


@pytest.mark.parametrize("hangs", [False, True], ids=["refused", "hangs"])
def test_without_a_broker_send_returns_at_once_and_fails_after_the_delivery_timeout(
    settings: Settings, silent: str, hangs: bool
) -> None:
    address = silent if hangs else "127.0.0.1:1"
    away = settings.replace(bootstrap_servers=address, delivery_timeout=2.0)
    with ChatProducer(away) as producer:
        started = time.monotonic()
        sent = [message(f"text {n}") for n in range(100)]
        receipts = [producer.send(one) for one in sent]
        assert time.monotonic() - started < 0.5
        assert not wait_for(receipts, 6).not_done
        assert time.monotonic() - started < 5
        for one, receipt in zip(sent, receipts, strict=True):
            error = failure(receipt, 0)
            assert error.item == one
            assert address in str(error)
    assert time.monotonic() - started < 8


def test_close_is_bounded_and_answers_everything_that_was_queued(
    settings: Settings, silent: str
) -> None:
    for address in ("127.0.0.1:1", silent):
        producer = ChatProducer(settings.replace(bootstrap_servers=address)).open()
        receipts = [producer.send(message(f"text {n}")) for n in range(50)]
        started = time.monotonic()
        producer.close(timeout=1)
        assert time.monotonic() - started < 2
        assert all("closed" in str(failure(receipt, 0)) or receipt.done() for receipt in receipts)
        producer.close()
        assert time.monotonic() - started < 2


def test_close_sends_what_is_queued(settings: Settings, channels: Channels) -> None:
    with ChatProducer(settings) as producer:
        receipts = [producer.send(message(f"text {n}")) for n in range(200)]
    assert [receipt.result(0).offset for receipt in receipts] == list(range(200))


def test_a_closed_producer_refuses(settings: Settings, channels: Channels) -> None:
    producer = ChatProducer(settings)
    producer.close()
    for use in (producer.open, lambda: producer.send(message("hi"))):
        with pytest.raises(RuntimeError, match="make a new one"):
            use()


def test_flush_says_whether_all_was_settled(settings: Settings, producer: ChatProducer) -> None:
    assert producer.flush(0)
    producer.send(message("hi"))
    assert producer.flush(10)
    with ChatProducer(settings.replace(bootstrap_servers="127.0.0.1:1")) as away:
        given_up = away.send(message("hi"))
        assert not away.flush(0.2)
        given_up.cancel()
        assert away.flush(0.2)
        away.close(timeout=0)


def test_after_a_batch_expired_the_next_message_goes_through(
    settings: Settings,
    channels: Channels,
    local_stack: LocalStack,
    frozen: Callable[[], None],
) -> None:
    with ChatProducer(settings.replace(delivery_timeout=2.0)) as producer:
        producer.send(message("first")).result(10)
        frozen()
        lost = message("lost")
        error = failure(producer.send(lost), 10)
        assert error.item == lost
        local_stack.kafka.resume()

        def again() -> bool:
            return producer.send(message("later")).exception(10) is None

        wait_until(again, 20)
        assert [producer.send(message(f"{n}")).result(10) is None for n in range(5)] == [False] * 5
    bodies = [one.item.body for one in read(channels, settings) if isinstance(one.item, Message)]
    assert bodies[0] == "first"
    assert bodies[-5:] == ["0", "1", "2", "3", "4"]
    # Failed means unknown: it may be there, but not twice.
    assert bodies.count("lost") <= 1


def test_closing_at_a_broker_that_hangs_leaves_nothing_that_sends_later(
    settings: Settings,
    channels: Channels,
    local_stack: LocalStack,
    frozen: Callable[[], None],
) -> None:
    producer = ChatProducer(settings).open()
    producer.send(message("first")).result(10)
    frozen()
    receipts = [producer.send(message(f"lost {n}")) for n in range(3)]
    started = time.monotonic()
    producer.close(timeout=1)
    assert time.monotonic() - started < 2
    assert all(failure(receipt, 0) for receipt in receipts)
    wait_until(
        lambda: not any(one.name.startswith("chatkit") for one in threading.enumerate()), timeout=12
    )
    local_stack.kafka.resume()
    # What was on its way may arrive; nothing is sent a second time.
    bodies = [one.item.body for one in read(channels, settings) if isinstance(one.item, Message)]
    assert bodies == sorted(set(bodies), key=bodies.index)


def test_a_message_sent_by_two_producers_under_one_id_is_one_message(
    settings: Settings, producer: ChatProducer, channels: Channels
) -> None:
    one = message("hi")
    producer.send(one).result(10)
    with ChatProducer(settings) as other:
        other.send(one).result(10)
    found = read(channels, settings)
    assert [item.item.id for item in found] == [one.id, one.id]


def test_reading_tells_what_was_sent_from_what_came_back(
    settings: Settings, producer: ChatProducer, channels: Channels
) -> None:
    sent = message("ünïcode \N{PARTY POPPER} \x00", reply_to="other")
    producer.send(sent).result(10)
    (record,) = read_raw(settings, settings.topic_of("general"), 1)
    item = decode_record(record, "general")
    assert isinstance(item, Received)
    assert item.item == sent
