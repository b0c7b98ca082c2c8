"""Records out of Kafka: a loop that is a plain generator, and a thread that runs it.

A consumer of kafka-python belongs to one thread and can't be woken: it is made, polled and closed
in that thread, which looks at its orders between short polls. No groups here, no commits: every
reader sees every record. It knows nothing of MongoDB or widgets.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from chatkit.connection import make_client
from chatkit.errors import BrokerUnavailableError, InputError, SettingsError
from chatkit.message import Received, Unreadable, decode
from chatkit.settings import Settings

__all__ = ["ConsumerThread", "Gap", "decode_record", "read_range", "read_records", "unreadable"]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
NEW_PARTITIONS_SECONDS = 3.0
"""How often to look for partitions that were added to a topic."""


class Gap(msgspec.Struct, frozen=True):
    """Records that Kafka no longer holds (retention), or has replaced."""

    topic: str
    """Kafka topic."""
    partition: int
    """Partition of the topic."""
    first: int
    """First offset that is gone."""
    last: int
    """Last offset that is gone; below ``first`` if the log now ends before it."""


Item = Received | Unreadable | Gap
Start = Mapping[int, int] | Literal["beginning", "end"]


def decode_record(record: Any, channel: str) -> Received | Unreadable:
    """Return what a kafka-python record of a channel says; never raises for its content."""
    try:
        item = decode(record.value, channel)
    except InputError as error:
        return unreadable(record, str(error))
    return Received(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        appended_ms=record.timestamp,
        item=item,
    )


def unreadable(record: Any, reason: str) -> Unreadable:
    """Return a kafka-python record as one that can't be read."""
    return Unreadable(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        appended_ms=record.timestamp,
        key=record.key,
        value=record.value,
        reason=reason,
    )


def read_records(
    consumer: KafkaConsumer, stop: threading.Event, *, poll_seconds: float = POLL_SECONDS
) -> Iterator[list[Any]]:
    """Yield what each poll gives, possibly nothing, until ``stop`` is set.

    Where the log no longer holds the position, reading goes on from its start, and a :class:`Gap`
    is yielded among the records.

    Parameters
    ----------
    consumer : KafkaConsumer
        With partitions assigned, positions set and ``auto_offset_reset="none"``.
    stop : threading.Event
        Looked at between polls.
    poll_seconds : float
        How long one poll waits for records.

    Yields
    ------
    list
        Records of kafka-python and gaps, each partition in order.
    """
    while not stop.is_set():
        try:
            batches = consumer.poll(timeout_ms=int(poll_seconds * 1000))
        except OffsetOutOfRangeError as error:
            yield [_skip_gap(consumer, part, offset) for part, offset in error.args[0].items()]
        except LogTruncationError as error:
            # The log was cut below our position (unclean election): what follows is new.
            divergent = error.divergent_offsets
            yield [_skip_gap(consumer, part, consumer.position(part, 1000)) for part in divergent]
        else:
            yield [record for records in batches.values() for record in records]


def _skip_gap(consumer: KafkaConsumer, part: TopicPartition, offset: int) -> Gap:
    start = consumer.beginning_offsets([part], timeout_ms=5000)[part]
    consumer.seek(part, start)
    return Gap(part.topic, part.partition, offset, start - 1)


def make_reader(settings: Settings, *, timeout: float | None = None) -> KafkaConsumer:
    """Return a consumer with no group, that reads what it is assigned from where it is told."""
    return make_client(
        KafkaConsumer,
        settings,
        timeout=timeout,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        allow_auto_create_topics=False,
        metadata_max_age_ms=3000,
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=7 * 1024 * 1024,
        max_poll_records=2000,
    )


def read_range(
    settings: Settings, channel: str, partition: int, first: int, end: int
) -> list[Received | Unreadable | Gap]:
    """Return the records of a channel's partition from offset ``first`` up to, not with, ``end``.

    Raises
    ------
    BrokerUnavailableError
        Kafka did not give all of them within ``settings.kafka_timeout`` seconds of silence.
    """
    part = TopicPartition(settings.topic_of(channel), partition)
    found: list[Received | Unreadable | Gap] = []
    consumer = make_reader(settings)
    try:
        consumer.assign([part])
        consumer.seek(part, first)
        quiet_since = time.monotonic()
        for batch in read_records(consumer, threading.Event()):
            for record in batch:
                if isinstance(record, Gap):
                    found.append(record)
                elif record.offset < end:
                    found.append(decode_record(record, channel))
            now = time.monotonic()
            quiet_since = now if batch else quiet_since
            position = consumer.position(part, timeout_ms=1000)
            if position is not None and position >= end:
                return found
            if now - quiet_since > settings.kafka_timeout:
                raise BrokerUnavailableError(
                    f"Kafka gave nothing of {part.topic} from offset {position} for "
                    f"{settings.kafka_timeout:g} s; it may be restarting: try again"
                )
        return found
    finally:
        consumer.close(timeout_ms=1000)


class ConsumerThread:
    """Follows channels live, in a thread of its own.

    ``follow`` and ``unfollow`` may be called from any thread, before and after ``start``. Who makes
    it stops it; a stopped one can't be started again.

    Parameters
    ----------
    on_items : callable
        Called in the thread with a list of Received, Unreadable and Gap, in the order of each
        partition. Must return soon: while it runs nothing is read.
    settings : Settings, optional
        Where Kafka is. Default: ``Settings()``.
    on_problem : callable, optional
        Called in the thread with a sentence when reading fails, and with "" when it works again.
    """

    def __init__(
        self,
        on_items: Callable[[Sequence[Item]], None],
        settings: Settings | None = None,
        *,
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings or Settings()
        self._on_items = on_items
        self._on_problem = on_problem or (lambda _problem: None)
        self._orders: deque[tuple[str, str, Start | None]] = deque()
        self._positions: dict[TopicPartition, int] = {}
        self._channels: dict[str, str] = {}
        self._stop = threading.Event()
        self._reading = threading.Event()
        self._problem = ""
        self._thread: threading.Thread | None = None

    def follow(self, channel: str, start: Start = "end") -> None:
        """Read a channel's topic from a place; the order is carried out within a poll.

        Parameters
        ----------
        channel : str
            Name of the channel.
        start : mapping or "beginning" or "end", default "end"
            Partition number -> offset to begin with; a partition that is not named is read from
            its beginning.

        Raises
        ------
        ChannelNameError
            No channel can have this name.
        """
        self._orders.append((channel, self._settings.topic_of(channel), start))

    def unfollow(self, channel: str) -> None:
        """Read a channel's topic no longer."""
        self._orders.append((channel, self._settings.topic_of(channel), None))

    def start(self, timeout: float | None = None) -> Self:
        """Start reading, and wait until it does.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; 0 returns at once, and the thread goes on trying. Default:
            ``settings.kafka_timeout``.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time; the thread has ended.
        RuntimeError
            It was stopped before.
        """
        if self._stop.is_set():
            raise RuntimeError("This ConsumerThread was stopped; make a new one")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="chatkit-consumer", daemon=True)
            self._thread.start()
        seconds = self._settings.kafka_timeout if timeout is None else timeout
        if seconds and not self._reading.wait(seconds):
            self.stop()
            raise BrokerUnavailableError(
                self._problem
                or f"Kafka at {self._settings.bootstrap_servers} did not answer within "
                f"{seconds:g} s: start one with 'chatkit up'"
            )
        return self

    def stop(self, timeout: float = 5.0) -> bool:
        """End the thread; idempotent.

        Returns
        -------
        bool
            Whether it ended within ``timeout`` seconds.
        """
        self._stop.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # Everything below runs in the thread.

    def _run(self) -> None:
        while not self._stop.is_set():
            consumer = None
            try:
                consumer = make_reader(self._settings, timeout=2.0)
                self._resume(consumer)
                self._read(consumer)
            except (BrokerUnavailableError, SettingsError, KafkaError) as error:
                self._tell(str(error))
                self._stop.wait(0.5)
            except Exception as error:
                logger.exception("The consumer thread failed; it starts again")
                self._tell(f"Reading failed: {type(error).__name__}: {error}")
                self._stop.wait(1.0)
            finally:
                if consumer is not None:
                    consumer.close(timeout_ms=1000)

    def _read(self, consumer: KafkaConsumer) -> None:
        looked = time.monotonic()
        for batch in read_records(consumer, self._stop):
            self._tell("")
            self._reading.set()
            items: list[Item] = []
            for record in batch:
                if isinstance(record, Gap):
                    items.append(record)
                    self._positions[TopicPartition(record.topic, record.partition)] = (
                        record.last + 1
                    )
                elif record.topic in self._channels:
                    items.append(decode_record(record, self._channels[record.topic]))
                    self._positions[TopicPartition(record.topic, record.partition)] = (
                        record.offset + 1
                    )
            if items:
                self._on_items(items)
            self._obey(consumer)
            if time.monotonic() - looked > NEW_PARTITIONS_SECONDS:
                looked = time.monotonic()
                self._add_partitions(consumer)

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._on_problem(problem)

    def _resume(self, consumer: KafkaConsumer) -> None:
        """Go on with a new consumer where the last one was."""
        consumer.assign(list(self._positions))
        for part, offset in self._positions.items():
            consumer.seek(part, offset)
        self._obey(consumer)

    def _obey(self, consumer: KafkaConsumer) -> None:
        changed = False
        while self._orders:
            channel, topic, start = self._orders[
                0
            ]  # taken off only once it is done: Kafka may fail us
            began = {} if start is None else self._start_positions(consumer, topic, start)
            self._positions = {p: at for p, at in self._positions.items() if p.topic != topic}
            self._channels.pop(topic, None)
            changed = True
            if start is not None:
                self._channels[topic] = channel
                self._positions.update(began)
            self._orders.popleft()
        if changed:
            # Through nothing, since assign() keeps the position of what was assigned before.
            consumer.unsubscribe()
            consumer.assign(list(self._positions))
            for part, offset in self._positions.items():
                consumer.seek(part, offset)

    def _start_positions(
        self, consumer: KafkaConsumer, topic: str, start: Start
    ) -> dict[TopicPartition, int]:
        parts = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic)]
        if isinstance(start, Mapping):
            missing = [part for part in parts if part.partition not in start]
            known = {TopicPartition(topic, n): offset for n, offset in start.items()}
            return {**known, **self._edges(consumer, missing, "beginning")}
        return self._edges(consumer, parts, start)

    @staticmethod
    def _edges(
        consumer: KafkaConsumer, parts: list[TopicPartition], edge: str
    ) -> dict[TopicPartition, int]:
        if not parts:
            return {}
        look_up = consumer.beginning_offsets if edge == "beginning" else consumer.end_offsets
        return dict(look_up(parts, timeout_ms=5000))

    def _add_partitions(self, consumer: KafkaConsumer) -> None:
        """Begin to read partitions that were added to a followed topic."""
        new = [
            part
            for topic in self._channels
            for part in (TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic))
            if part not in self._positions
        ]
        if new:
            added = self._edges(consumer, new, "beginning")
            self._positions.update(added)
            consumer.assign(list(self._positions))
            for part, offset in added.items():
                consumer.seek(part, offset)
