"""Reading: the loop alone, the thread around it, and ranges, on a real broker."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from chatkit.channels import Channels
from chatkit.connection import make_client
from chatkit.consumer import (
    ConsumerThread,
    Gap,
    Item,
    make_reader,
    read_range,
    read_records,
)
from chatkit.errors import BrokerUnavailableError, ChannelNameError
from chatkit.local import LocalStack
from chatkit.message import Message, Received, Unreadable, encode
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from tests.waiting import wait_until


class Heard:
    """Keeps what a ConsumerThread tells."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.problems: list[str] = []

    @property
    def bodies(self) -> list[str]:
        return [
            one.item.body
            for one in self.items
            if isinstance(one, Received) and isinstance(one.item, Message)
        ]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def thread_factory(settings: Settings, heard: Heard) -> Iterator[Callable[..., ConsumerThread]]:
    """Make threads that tell `heard`, and are stopped after the test."""
    made: list[ConsumerThread] = []

    def make(other: Settings | None = None) -> ConsumerThread:
        made.append(
            ConsumerThread(heard.items.extend, other or settings, on_problem=heard.problems.append)
        )
        return made[-1]

    yield make
    for thread in made:
        assert thread.stop()


@pytest.fixture
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    admin = make_client(KafkaAdminClient, settings)
    yield admin
    admin.close()


def say(producer: ChatProducer, *bodies: str, author: str = "ana") -> None:
    """Send some messages and wait until Kafka has them."""
    for receipt in [producer.send(Message.new("general", author, body)) for body in bodies]:
        receipt.result(20)


def say_raw(settings: Settings, topic: str, *values: bytes | None) -> None:
    """Write some records as they are."""
    raw = make_client(KafkaProducer, settings)
    for value in values:
        raw.send(topic, key=b"key", value=value).get(10)
    raw.close(timeout=5)


def say_in_transaction(settings: Settings, topic: str, *values: bytes) -> None:
    """Write some records in a transaction, whose end marker takes an offset and is no record."""
    raw = make_client(KafkaProducer, settings, transactional_id=f"{topic}-{time.monotonic()}")
    raw.init_transactions()
    raw.begin_transaction()
    for value in values:
        raw.send(topic, key=b"key", value=value)
    raw.commit_transaction()
    raw.close(timeout=5)


# The loop.


def test_the_loop_can_be_driven_without_a_thread(
    settings: Settings, producer: ChatProducer
) -> None:
    say(producer, *(f"text {n}" for n in range(10)))
    stop = threading.Event()
    consumer = make_reader(settings)
    try:
        part = TopicPartition(settings.topic_of("general"), 0)
        consumer.assign([part])
        consumer.seek(part, 4)
        found = []
        for batch in read_records(consumer, stop, poll_seconds=0.05):
            found += batch
            if len(found) == 6:
                stop.set()
    finally:
        consumer.close()
    assert [record.offset for record in found] == [4, 5, 6, 7, 8, 9]


def test_the_loop_yields_also_when_nothing_comes(settings: Settings, channels: Channels) -> None:
    consumer = make_reader(settings)
    try:
        part = TopicPartition(settings.topic_of("general"), 0)
        consumer.assign([part])
        consumer.seek(part, 0)
        batches = list(itertools.islice(read_records(consumer, threading.Event()), 3))
    finally:
        consumer.close()
    assert batches == [[], [], []]


def test_the_loop_tells_of_what_was_deleted_below_its_position(
    settings: Settings, producer: ChatProducer, admin: KafkaAdminClient
) -> None:
    say(producer, *(f"text {n}" for n in range(10)))
    part = TopicPartition(settings.topic_of("general"), 0)
    admin.delete_records({part: 7})
    consumer = make_reader(settings)
    try:
        consumer.assign([part])
        consumer.seek(part, 2)
        batches = read_records(consumer, threading.Event())
        records = itertools.chain.from_iterable(itertools.islice(batches, 50))
        gap, *rest = itertools.islice(records, 4)
    finally:
        consumer.close()
    assert gap == Gap(part.topic, 0, 2, 6)
    assert [record.offset for record in rest] == [7, 8, 9]


# The thread: from where.


def test_what_is_sent_after_start_has_returned_is_heard(
    thread_factory: Callable[..., ConsumerThread], producer: ChatProducer, heard: Heard
) -> None:
    say(producer, "before")
    thread = thread_factory()
    thread.follow("general")
    thread.start()
    say(producer, "after")
    wait_until(lambda: heard.bodies)
    assert heard.bodies == ["after"]


def test_a_channel_may_be_followed_from_its_beginning_or_from_given_offsets(
    thread_factory: Callable[..., ConsumerThread],
    channels: Channels,
    producer: ChatProducer,
    heard: Heard,
) -> None:
    say(producer, "0", "1", "2", "3")
    thread = thread_factory()
    thread.follow("general", "beginning")
    thread.start()
    wait_until(lambda: heard.bodies == ["0", "1", "2", "3"])

    thread.follow("general", {0: 2})  # a later order replaces the earlier one
    wait_until(lambda: heard.bodies == ["0", "1", "2", "3", "2", "3"])
    say(producer, "4")
    wait_until(lambda: heard.bodies[6:] == ["4"])


def test_a_partition_that_is_not_named_is_read_from_its_beginning(
    thread_factory: Callable[..., ConsumerThread],
    channels: Channels,
    producer: ChatProducer,
    heard: Heard,
) -> None:
    channels.create("wide", partitions=4)
    placed = [
        producer.send(Message.new("wide", f"author {n}", f"{n}")).result(10) for n in range(20)
    ]
    ends = channels.offsets(channels.describe("wide"))
    thread = thread_factory()
    thread.follow("wide", {0: ends[0].end})
    thread.start()
    expected = sorted(str(n) for n, receipt in enumerate(placed) if receipt.partition != 0)
    wait_until(lambda: sorted(heard.bodies) == expected)


def test_each_partition_is_told_in_order(
    thread_factory: Callable[..., ConsumerThread],
    channels: Channels,
    producer: ChatProducer,
    heard: Heard,
) -> None:
    channels.create("wide", partitions=3)
    thread = thread_factory()
    thread.follow("wide", "beginning")
    thread.start()
    for n in range(300):
        producer.send(Message.new("wide", f"author {n % 7}", f"{n}"))
    wait_until(lambda: len(heard.items) == 300)
    for author in range(7):
        mine = [
            int(one.item.body)
            for one in heard.items
            if isinstance(one, Received)
            and isinstance(one.item, Message)
            and one.item.author == f"author {author}"
        ]
        assert mine == sorted(mine)


def test_several_channels_are_followed_and_left_alone(
    thread_factory: Callable[..., ConsumerThread],
    channels: Channels,
    producer: ChatProducer,
    heard: Heard,
) -> None:
    channels.create("other")
    thread = thread_factory().start()
    thread.follow("general")
    thread.follow("other", "beginning")

    def hear(channel: str) -> None:
        body = f"{channel} {time.monotonic()}"

        def told() -> bool:
            producer.send(Message.new(channel, "ana", body)).result(10)
            return body in heard.bodies

        wait_until(told)

    hear("general")
    hear("other")
    thread.unfollow("general")
    hear("other")  # the order is carried out by then
    known = len([body for body in heard.bodies if body.startswith("general")])
    say(producer, "general unheard")
    hear("other")
    assert len([body for body in heard.bodies if body.startswith("general")]) == known
    thread.follow("general")
    hear("general")
    assert "general unheard" not in heard.bodies


def test_a_bad_name_is_refused(thread_factory: Callable[..., ConsumerThread]) -> None:
    with pytest.raises(ChannelNameError):
        thread_factory().follow("No Channel")


# The thread: what may be in a topic.


def test_garbage_comes_as_unreadable_among_the_good(
    thread_factory: Callable[..., ConsumerThread],
    settings: Settings,
    producer: ChatProducer,
    heard: Heard,
) -> None:
    topic = settings.topic_of("general")
    elsewhere = encode(Message.new("elsewhere", "ana", "hi"))
    newer = encode(Message.new("general", "ana", "hi")).replace(b'"v":1', b'"v":2')
    garbage = [b"", b"\xff\xfe", b"[]", b"{}", b'{"v":1}', elsewhere, newer, None, b"[" * 100_000]
    say(producer, "good")
    say_raw(settings, topic, *garbage)
    say(producer, "also good")

    thread = thread_factory()
    thread.follow("general", "beginning")
    thread.start()
    wait_until(lambda: len(heard.items) == len(garbage) + 2)
    assert heard.bodies == ["good", "also good"]
    bad = [one for one in heard.items if isinstance(one, Unreadable)]
    assert [one.value for one in bad] == garbage
    assert [one.offset for one in bad] == list(range(1, len(garbage) + 1))
    assert all(one.reason and one.key == b"key" for one in bad)
    assert "update" in bad[6].reason


def test_markers_of_transactions_are_passed_over(
    thread_factory: Callable[..., ConsumerThread],
    settings: Settings,
    producer: ChatProducer,
    heard: Heard,
) -> None:
    say_in_transaction(
        settings, settings.topic_of("general"), encode(Message.new("general", "ana", "within"))
    )
    say(producer, "after")
    thread = thread_factory()
    thread.follow("general", "beginning")
    thread.start()
    wait_until(lambda: heard.bodies == ["within", "after"])
    assert [one.offset for one in heard.items if isinstance(one, Received)] == [0, 2]


def test_records_deleted_below_the_position_are_told_and_reading_goes_on(
    thread_factory: Callable[..., ConsumerThread],
    settings: Settings,
    producer: ChatProducer,
    admin: KafkaAdminClient,
    heard: Heard,
) -> None:
    say(producer, *(f"{n}" for n in range(10)))
    topic = settings.topic_of("general")
    admin.delete_records({TopicPartition(topic, 0): 6})
    thread = thread_factory()
    thread.follow("general", {0: 3})
    thread.start()
    wait_until(lambda: len(heard.items) == 5)
    assert heard.items[0] == Gap(topic, 0, 3, 5)
    assert heard.bodies == ["6", "7", "8", "9"]
    say(producer, "more")
    wait_until(lambda: heard.bodies[4:] == ["more"])
    assert heard.problems == []


def test_partitions_that_are_added_are_read_within_five_seconds(
    thread_factory: Callable[..., ConsumerThread],
    settings: Settings,
    producer: ChatProducer,
    admin: KafkaAdminClient,
    heard: Heard,
) -> None:
    thread = thread_factory()
    thread.follow("general")
    thread.start()
    topic = settings.topic_of("general")
    admin.create_partitions({topic: 4})
    values = [encode(Message.new("general", "ana", f"{n}")) for n in range(4)]
    raw = make_client(KafkaProducer, settings)
    for n, value in enumerate(values):
        wait_until(lambda n=n: n in raw.partitions_for(topic))
        raw.send(topic, value=value, partition=n).get(10)
    raw.close(timeout=5)
    wait_until(lambda: sorted(heard.bodies) == ["0", "1", "2", "3"], 5)


def test_a_channel_that_is_made_later_is_read_once_it_is_there(
    thread_factory: Callable[..., ConsumerThread],
    channels: Channels,
    producer: ChatProducer,
    heard: Heard,
) -> None:
    thread = thread_factory()
    thread.follow("general")
    thread.start()
    thread.follow("late", "beginning")
    say(producer, "meanwhile")
    wait_until(lambda: heard.bodies == ["meanwhile"])  # one that is missing holds nothing up
    channels.create("late")
    producer.send(Message.new("late", "ana", "hi")).result(10)
    wait_until(lambda: heard.bodies == ["meanwhile", "hi"])


def test_a_channel_that_is_deleted_and_made_again_is_read_from_its_new_beginning(
    thread_factory: Callable[..., ConsumerThread],
    channels: Channels,
    producer: ChatProducer,
    heard: Heard,
) -> None:
    channels.create("again")
    for n in range(5):
        producer.send(Message.new("again", "ana", f"old {n}")).result(10)
    thread = thread_factory()
    thread.follow("again", "beginning")
    thread.start()
    wait_until(lambda: len(heard.bodies) == 5)
    channels.delete("again")
    wait_until(lambda: "again" not in channels.find())
    channels.create("again")
    wait_until(lambda: producer.send(Message.new("again", "ana", "new 0")).exception(10) is None)
    wait_until(lambda: "new 0" in heard.bodies)
    assert [body for body in heard.bodies if body.startswith("old")] == [
        f"old {n}" for n in range(5)
    ]


# The thread: start, stop, failures.


def test_start_without_a_broker_raises_in_time_and_ends_the_thread(
    thread_factory: Callable[..., ConsumerThread], settings: Settings, heard: Heard
) -> None:
    thread = thread_factory(settings.replace(bootstrap_servers="127.0.0.1:1"))
    thread.follow("general")
    started = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1.*chatkit up"):
        thread.start(timeout=3)
    assert time.monotonic() - started < 7
    with pytest.raises(RuntimeError, match="make a new one"):
        thread.start()


def test_start_for_a_channel_that_is_not_there_says_so(
    thread_factory: Callable[..., ConsumerThread], channels: Channels
) -> None:
    thread = thread_factory()
    thread.follow("nowhere")
    with pytest.raises(BrokerUnavailableError, match="nowhere"):
        thread.start(timeout=2)


def test_a_thread_that_need_not_wait_reads_once_the_broker_is_back(
    thread_factory: Callable[..., ConsumerThread],
    local_stack: LocalStack,
    producer: ChatProducer,
    heard: Heard,
) -> None:
    say(producer, "hi")
    local_stack.kafka.pause()
    try:
        thread = thread_factory()
        thread.follow("general", "beginning")
        thread.start(timeout=0)
        wait_until(lambda: heard.problems)
    finally:
        local_stack.kafka.resume()
    wait_until(lambda: heard.bodies == ["hi"])
    assert heard.problems[-1] == ""


def test_stop_is_quick_and_may_be_repeated(
    thread_factory: Callable[..., ConsumerThread], settings: Settings, channels: Channels
) -> None:
    idle = thread_factory()
    assert idle.stop()
    reading = thread_factory()
    reading.follow("general")
    reading.start()
    nowhere = thread_factory(settings.replace(bootstrap_servers="127.0.0.1:1")).start(timeout=0)
    for thread in (reading, nowhere):
        started = time.monotonic()
        assert thread.stop()
        assert thread.stop()
        assert time.monotonic() - started < 3
        with pytest.raises(RuntimeError):
            thread.start()


def test_a_callback_may_stop_its_own_thread(settings: Settings, producer: ChatProducer) -> None:
    say(producer, "hi")
    ended = threading.Event()

    def stop(_items: Sequence[Item]) -> None:
        thread.stop()
        ended.set()

    thread = ConsumerThread(stop, settings)
    thread.follow("general", "beginning")
    thread.start(timeout=0)
    assert ended.wait(10)
    assert thread.stop()


def test_a_callback_that_fails_is_told_and_gets_the_same_records_again(
    settings: Settings, producer: ChatProducer
) -> None:
    taken: list[Item] = []
    problems: list[str] = []
    failures = iter([ValueError("first time"), ValueError("second time")])

    def take(items: Sequence[Item]) -> None:
        taken.extend(items)
        for failure in failures:
            raise failure

    say(producer, "0", "1", "2")
    thread = ConsumerThread(take, settings, on_problem=problems.append)
    thread.follow("general", "beginning")
    thread.start(timeout=0)
    try:
        wait_until(lambda: problems[-1:] == [""])
        say(producer, "3")
        offsets = [0, 1, 2, 0, 1, 2, 0, 1, 2, 3]
        wait_until(lambda: [one.offset for one in taken if isinstance(one, Received)] == offsets)
    finally:
        assert thread.stop()
    assert "first time" in problems[0]
    assert "second time" in problems[1]
    assert problems[2] == ""


def test_a_problem_that_can_not_be_told_does_not_end_the_thread(
    settings: Settings, producer: ChatProducer, local_stack: LocalStack, heard: Heard
) -> None:
    told = threading.Event()

    def fail(_problem: str) -> None:
        told.set()
        raise ValueError("no ear")

    local_stack.kafka.pause()
    try:
        thread = ConsumerThread(heard.items.extend, settings, on_problem=fail)
        thread.follow("general", {0: 0})
        thread.start(timeout=0)
        assert told.wait(10)
    finally:
        local_stack.kafka.resume()
    say(producer, "hi")
    wait_until(lambda: heard.bodies == ["hi"])
    assert thread.stop()


# Ranges.


def test_a_range_holds_exactly_its_offsets(settings: Settings, producer: ChatProducer) -> None:
    say(producer, *(f"{n}" for n in range(20)))
    found = read_range(settings, "general", 0, 5, 12)
    assert [one.offset for one in found if isinstance(one, Received)] == list(range(5, 12))
    assert len(found) == 7


def test_an_empty_range_asks_nobody(settings: Settings) -> None:
    away = settings.replace(bootstrap_servers="127.0.0.1:1")
    assert read_range(away, "general", 0, 5, 5) == []
    assert read_range(away, "general", 0, 7, 5) == []


def test_a_range_may_end_with_an_offset_that_holds_no_record(
    settings: Settings, channels: Channels
) -> None:
    topic = settings.topic_of("general")
    say_in_transaction(settings, topic, encode(Message.new("general", "ana", "within")))
    log = channels.offsets(channels.describe("general"))[0]
    assert log.end == 2
    started = time.monotonic()
    found = read_range(settings, "general", 0, 0, log.end)
    assert [one.offset for one in found if isinstance(one, Received)] == [0]
    assert read_range(settings, "general", 0, 1, log.end) == []
    assert time.monotonic() - started < 5


def test_what_was_deleted_of_a_range_is_a_gap(
    settings: Settings, producer: ChatProducer, admin: KafkaAdminClient
) -> None:
    say(producer, *(f"{n}" for n in range(10)), *(f"{n}" for n in range(10)))
    topic = settings.topic_of("general")
    admin.delete_records({TopicPartition(topic, 0): 15})

    gap, *rest = read_range(settings, "general", 0, 10, 20)
    assert gap == Gap(topic, 0, 10, 14)
    assert [one.offset for one in rest if isinstance(one, Received)] == list(range(15, 20))
    assert read_range(settings, "general", 0, 2, 8) == [Gap(topic, 0, 2, 7)]


def test_a_range_beyond_the_end_fails_in_time(settings: Settings, producer: ChatProducer) -> None:
    say(producer, "hi")
    started = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        read_range(settings.replace(kafka_timeout=1.0), "general", 0, 0, 5)
    with pytest.raises(BrokerUnavailableError):
        read_range(settings.replace(kafka_timeout=1.0), "general", 0, 3, 5)
    with pytest.raises(BrokerUnavailableError):
        read_range(
            settings.replace(kafka_timeout=1.0, bootstrap_servers="127.0.0.1:1"), "general", 0, 0, 5
        )
    assert time.monotonic() - started < 10


def test_reading_a_range_can_be_stopped(settings: Settings, producer: ChatProducer) -> None:
    say(producer, "hi")
    stop = threading.Event()
    stop.set()
    assert read_range(settings, "general", 0, 0, 1_000, stop=stop) == []
