"""Records out of Kafka: a loop that is a plain generator, and a thread that runs it.

A consumer of kafka-python belongs to one thread and can't be woken: it is made, polled and closed
in that thread, which looks at its orders between short polls. No groups here, no commits: every
reader sees every record. It knows nothing of MongoDB or widgets.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from chatkit.connection import REFUSED_SECONDS, explain, make_client
from chatkit.diagnosis import diagnose
from chatkit.errors import BrokerRefusedError, BrokerUnavailableError, ChatkitError, InputError
from chatkit.message import Received, Unreadable, check_channel_name, decode
from chatkit.settings import Settings

__all__ = [
    "ConsumerThread",
    "Gap",
    "close_reader",
    "decode_record",
    "make_reader",
    "read_range",
    "read_records",
    "unreadable",
]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
METADATA_SECONDS = 3.0
"""How often to ask Kafka which partitions there are."""
LOOK_UP_SECONDS = 5.0
"""For Kafka to tell where a partition begins or ends."""
NEW_PARTITIONS_SECONDS = 1.0
"""How often to look for partitions that were added, in what Kafka has told."""


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
            yield [
                _skip_gap(consumer, part, consumer.position(part, 1000) or 0) for part in divergent
            ]
        else:
            yield [record for records in batches.values() for record in records]


def _skip_gap(consumer: KafkaConsumer, part: TopicPartition, offset: int) -> Gap:
    start = consumer.beginning_offsets([part], timeout_ms=int(LOOK_UP_SECONDS * 1000))[part]
    consumer.seek(part, start)
    return Gap(part.topic, part.partition, offset, start - 1)


def make_reader(
    settings: Settings,
    *,
    timeout: float | None = None,
    fetch_bytes: int = 7 * 1024 * 1024,
    fetch_seconds: float = 0.1,
) -> KafkaConsumer:
    """Return a consumer with no group, that reads what it is assigned from where it is told.

    Parameters
    ----------
    settings : Settings
        Where Kafka is.
    timeout : float, optional
        Seconds to wait for a broker. Default: ``settings.kafka_timeout``.
    fetch_bytes : int, default 7 MiB
        How much of a partition to fetch at a time; a record that is larger comes alone.
    fetch_seconds : float, default 0.1
        How long a broker waits for new records before it says that there are none. For as long a
        newly assigned partition may have to wait.
    """
    return make_client(
        KafkaConsumer,
        settings,
        timeout=timeout,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        allow_auto_create_topics=False,
        metadata_max_age_ms=int(METADATA_SECONDS * 1000),
        fetch_max_wait_ms=int(fetch_seconds * 1000),
        max_partition_fetch_bytes=fetch_bytes,
        max_poll_records=2000,
    )


def read_range(
    settings: Settings,
    channel: str,
    partition: int,
    first: int,
    end: int,
    *,
    stop: threading.Event | None = None,
) -> list[Item]:
    """Return the records of a channel's partition from offset ``first`` up to, not with, ``end``.

    Offsets that were compacted away are passed over; those below the log's start are a gap.

    Parameters
    ----------
    settings : Settings
        Where Kafka is.
    channel : str
        Name of the channel.
    partition : int
        Partition of its topic.
    first, end : int
        The range of offsets; ``end`` at most what the log has.
    stop : threading.Event, optional
        Set from elsewhere to get what there is by then.

    Raises
    ------
    BrokerUnavailableError
        Kafka did not give all of them: nothing came for ``settings.kafka_timeout`` seconds.
    """
    if first >= end:
        return []
    part = TopicPartition(settings.topic_of(channel), partition)
    found: list[Item] = []
    consumer = make_reader(settings)
    try:
        consumer.assign([part])
        consumer.seek(part, first)
        position, changed = first, time.monotonic()
        for batch in read_records(consumer, stop or threading.Event()):
            for record in batch:
                if isinstance(record, Gap):
                    last = min(record.last, end - 1)
                    if record.first <= last:
                        found.append(Gap(record.topic, record.partition, record.first, last))
                elif first <= record.offset < end:
                    found.append(decode_record(record, channel))
            before, position = position, consumer.position(part, timeout_ms=1000) or position
            if position >= end:
                break
            now = time.monotonic()
            changed = now if position != before else changed
            if now - changed > settings.kafka_timeout:
                raise BrokerUnavailableError(
                    f"Kafka gave nothing of {part.topic} from offset {position} for "
                    f"{settings.kafka_timeout:g} s; it may be restarting: try again"
                )
    except KafkaError as error:
        raise explain(settings, error, settings.kafka_timeout, right="Read") from error
    finally:
        close_reader(consumer)
    return found


def close_reader(consumer: KafkaConsumer) -> None:
    """Close a consumer, within a second also where no broker answers."""
    with contextlib.suppress(KafkaError):
        consumer.close(timeout_ms=1000)


class ConsumerThread:
    """Follows channels live, in a thread of its own.

    ``follow`` and ``unfollow`` may be called from any thread, before and after ``start``. Who makes
    it stops it; a stopped one can't be started again. A channel that is not there yet is read once
    it is.

    Parameters
    ----------
    on_items : callable
        Called in the thread with a list of Received, Unreadable and Gap, in the order of each
        partition. Must return soon: while it runs nothing is read. If it raises, that is told as a
        problem, and the same records come again until it takes them: none is lost, and it must bear
        to see some twice.
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
        self._lock = threading.Lock()
        # The last order for each channel: what was wanted before it no longer matters.
        self._orders: dict[str, Start | None] = {}
        self._stop = threading.Event()
        self._reading = threading.Event()
        self._problem = ""
        self._thread: threading.Thread | None = None
        # Owned by the thread:
        self._channels: dict[str, str] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._refused = False

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
        self._order(channel, start if isinstance(start, str) else dict(start))

    def unfollow(self, channel: str) -> None:
        """Read a channel's topic no longer; what was read already may still be told."""
        self._order(channel, None)

    def _order(self, channel: str, start: Start | None) -> None:
        check_channel_name(channel)
        with self._lock:
            self._orders[channel] = start

    def start(self, timeout: float | None = None) -> Self:
        """Start reading, and wait until it does.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait until all is read that was ordered before; 0 returns at once, and the
            thread goes on trying. Default: ``settings.kafka_timeout``.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time, or a channel is not there; the thread was told to end.
        RuntimeError
            It was stopped before.
        """
        if self._stop.is_set():
            raise RuntimeError("This ConsumerThread was stopped; make a new one")
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="chatkit-consumer", daemon=True
                )
                self._thread.start()
        seconds = self._settings.kafka_timeout if timeout is None else timeout
        if seconds and not self._reading.wait(seconds):
            self.stop()
            with self._lock:
                waiting = ", ".join(sorted(self._orders))
            finding = None if self._problem else diagnose(self._settings)
            raise BrokerUnavailableError(
                self._problem
                or (finding.text if finding else "")
                or f"Kafka at {self._settings.bootstrap_servers} gave nothing of {waiting or 'it'} "
                f"within {seconds:g} s: is the channel there ('chatkit channels list')?"
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
            try:
                consumer = make_reader(
                    self._settings, timeout=min(2.0, self._settings.kafka_timeout)
                )
                try:
                    self._read(consumer)
                finally:
                    close_reader(consumer)
            except (ChatkitError, KafkaError) as error:
                problem: Exception = error
                if isinstance(error, KafkaError):
                    problem = explain(self._settings, error, LOOK_UP_SECONDS, right="Read")
                self._tell(str(problem))
                refused = isinstance(problem, BrokerRefusedError)
                self._stop.wait(REFUSED_SECONDS if refused else 0.5)
            except Exception as error:
                text = f"What was read could not be taken: {type(error).__name__}: {error}"
                if text != self._problem:
                    logger.exception("The consumer thread failed; it tries the same again")
                self._tell(text)
                self._stop.wait(1.0)

    def _read(self, consumer: KafkaConsumer) -> None:
        """Go on where the last consumer was, until something fails."""
        self._assign(consumer, self._positions)
        self._obey(consumer)
        looked = time.monotonic()
        for batch in read_records(consumer, self._stop):
            items: list[Item] = []
            ahead: dict[TopicPartition, int] = {}
            for record in batch:
                part = TopicPartition(record.topic, record.partition)
                if isinstance(record, Gap):
                    items.append(record)
                    ahead[part] = record.last + 1
                elif part in self._positions:
                    items.append(decode_record(record, self._channels[record.topic]))
                    ahead[part] = record.offset + 1
            if items:
                self._refused = True
                self._on_items(items)
                self._refused = False
            self._positions.update(ahead)
            if not self._refused:
                self._tell("")
            if self._obey(consumer):
                self._reading.set()
            if time.monotonic() - looked > NEW_PARTITIONS_SECONDS:
                looked = time.monotonic()
                self._add_partitions(consumer)

    def _tell(self, problem: str) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        try:
            self._on_problem(problem)
        except Exception:
            logger.exception("What was to be told of a problem failed itself")

    def _obey(self, consumer: KafkaConsumer) -> bool:
        """Carry out what was ordered; return whether nothing is left of it."""
        with self._lock:
            orders = dict(self._orders)
        for channel, start in orders.items():
            topic = self._settings.topic_of(channel)
            began = {} if start is None else self._start_positions(consumer, topic, start)
            if began is None:
                continue
            with self._lock:
                # Taken off only once Kafka has not failed us, and only if it still holds.
                if self._orders[channel] is not start:
                    continue
                del self._orders[channel]
            self._positions = {p: at for p, at in self._positions.items() if p.topic != topic}
            self._positions.update(began)
            self._refused = False
            self._channels.pop(topic, None)
            if start is not None:
                self._channels[topic] = channel
            self._assign(consumer, began)
        with self._lock:
            return not self._orders

    def _assign(self, consumer: KafkaConsumer, new: Mapping[TopicPartition, int]) -> None:
        """Read all partitions that there are; new ones from where they are to begin."""
        consumer.assign(list(self._positions))
        for part, offset in new.items():
            consumer.seek(part, offset)

    def _start_positions(
        self, consumer: KafkaConsumer, topic: str, start: Start
    ) -> dict[TopicPartition, int] | None:
        """Return where to begin; None if it is not known yet which partitions there are."""
        if isinstance(start, Mapping):
            return {TopicPartition(topic, n): offset for n, offset in start.items()}
        parts = self._partitions(consumer, topic)
        return self._edges(consumer, parts, start) if parts else None

    @staticmethod
    def _partitions(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic, as far as the consumer has heard of it by now.

        Its own ``partitions_for_topic`` waits for that, and for ever where no broker answers.
        """
        cluster = consumer._client.cluster
        cluster.add_topic(topic)
        return [TopicPartition(topic, n) for n in sorted(cluster.partitions_for_topic(topic) or ())]

    @staticmethod
    def _edges(
        consumer: KafkaConsumer, parts: list[TopicPartition], edge: str
    ) -> dict[TopicPartition, int]:
        look_up = consumer.beginning_offsets if edge == "beginning" else consumer.end_offsets
        return dict(look_up(parts, timeout_ms=int(LOOK_UP_SECONDS * 1000)))

    def _add_partitions(self, consumer: KafkaConsumer) -> None:
        """Begin to read partitions that were added to a followed topic."""
        new = [
            part
            for topic in self._channels
            for part in self._partitions(consumer, topic)
            if part not in self._positions
        ]
        if new:
            added = self._edges(consumer, new, "beginning")
            self._positions.update(added)
            self._assign(consumer, added)
