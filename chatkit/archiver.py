"""Archiver: every record of every channel, from Kafka into MongoDB, none lost and none doubled.

One thread polls and decodes, one writes, and the positions live in MongoDB with the data. Any
number of archivers may run: they share the partitions as members of one group. It knows nothing of
rooms or widgets.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from typing import Any, Self

import msgspec
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.base import MemberState
from kafka.errors import (
    IllegalStateError,
    KafkaError,
    LogTruncationError,
    OffsetOutOfRangeError,
)
from pymongo.errors import PyMongoError

from chatkit.batches import DecodedBatch, PartitionBatch, decode_batches
from chatkit.channels import Channels
from chatkit.connection import REFUSED_SECONDS, explain, make_client
from chatkit.documents import dead_letter_document
from chatkit.errors import (
    BrokerRefusedError,
    BrokerUnavailableError,
    ServiceError,
    StoreRefusedError,
    StoreUnavailableError,
)
from chatkit.message import Unreadable, now_ms
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.writer import BatchWriter

__all__ = ["Archiver", "ArchiverStatus", "archive_group"]

logger = logging.getLogger(__name__)

BATCH_RECORDS = 5000
QUEUED_BATCHES = 2
TOPICS_SECONDS = 1.0
"""How often to look for new channels."""
COMMIT_SECONDS = 0.5
GROUP_SECONDS = 3.0
"""How often to look whether the group has left partitions out."""
LONGEST_BACKOFF = 5.0
SEGMENTS_SECONDS = 2.0
"""How often to look for what segments can be built of."""
BUSY_LAG = 1000
"""Records behind which an archiver is busy: then it builds little, and later the rest."""
BUSY_SHARE, IDLE_SHARE = 0.05, 0.3
"""How much of its time the thread that builds may use."""
FULL, GROWN = 10_000, 500
"""Offsets that a range must have gained to be built again: where there is much to do, all."""


def archive_group(settings: Settings, archive_id: str) -> str:
    """Return the consumer group that archives into a database: each database has its own."""
    prefix = settings.group_prefix or settings.system_prefix.rstrip(".-_") + "-"
    return f"{prefix}archive-{archive_id}"


def _unless_revoked() -> contextlib.AbstractContextManager[None]:
    """Let pass what kafka-python raises for a partition that a rebalance has just taken away."""
    return contextlib.suppress(ValueError, KeyError, IllegalStateError)


class _LeftOut(ServiceError):
    """The group's leader assigned some partitions to nobody."""


class ArchiverStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What an archiver has done since it started."""

    messages: int = 0
    """Messages that it wrote."""
    events: int = 0
    """Events that it wrote."""
    duplicates: int = 0
    """Messages and events that were there already."""
    dead_letters: int = 0
    """Records that it put aside."""
    partitions: int = 0
    """Partitions that it reads now."""
    lag: int = 0
    """Records in these partitions that it has not written yet."""
    problem: str = ""
    """What keeps it from archiving now; empty if nothing does."""


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the archiver of a new assignment, on the poll thread."""

    def __init__(self, archiver: Archiver) -> None:
        self._archiver = archiver

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._archiver._lose(revoked)

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._archiver._gain(assigned)
        self._archiver._joined.set()

    def on_partitions_lost(self, lost: Any) -> None:
        self._archiver._lose(lost)


class Archiver:
    """One member of the archive group.

    Start it, and stop it; a stopped one can't be started again. ``status`` may be read from any
    thread.

    Parameters
    ----------
    settings : Settings, optional
        Where Kafka and MongoDB are. Default: ``Settings()``.
    session_timeout : float, default 10
        Seconds after which the group gives a dead member's partitions to others.
    """

    def __init__(self, settings: Settings | None = None, *, session_timeout: float = 10.0) -> None:
        self._settings = settings or Settings()
        self._session_ms = int(session_timeout * 1000)
        self._store = MessageStore(self._settings)
        self._writer = BatchWriter(self._store)
        self._channels = Channels(self._settings)
        self._queue: queue.Queue[DecodedBatch | None] = queue.Queue(QUEUED_BATCHES)
        self._stop = threading.Event()
        self._joined = threading.Event()
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._status = ArchiverStatus()
        self._problems: dict[str, str] = {}
        self._failure: Exception | None = None
        self._threads: list[threading.Thread] = []
        # Owned by the poll thread:
        self._consumer: KafkaConsumer | None = None
        self._topic_ids: dict[str, str] = {}
        self._committed: dict[TopicPartition, int] = {}
        # Shared, also with kafka-python's I/O thread, which calls the listener; each operation on
        # them is atomic:
        self._unplaced: dict[TopicPartition, None] = {}
        self._group_id = ""
        self._left_out = threading.Event()
        # Topic -> id of what there is to archive; None until Kafka has told.
        self._found_topics: dict[str, str] | None = None
        self._assigned: frozenset[tuple[str, int]] = frozenset()
        self._records_topic_wanted = True
        self._replayed: set[TopicPartition] = set()
        self._written: dict[TopicPartition, int] = {}

    @property
    def status(self) -> ArchiverStatus:
        """What it has done, and what hinders it."""
        with self._lock:
            return self._status

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped, or has ended by itself because of a bug."""
        return self._stop.is_set()

    def start(self, timeout: float | None = None) -> Self:
        """Start archiving, and wait until it does.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; 0 returns at once, and it goes on trying. Default: the longer of
            ``settings.kafka_timeout`` and ``settings.mongo_timeout``, and ``session_timeout``, for
            which the group may wait for a member that was killed.

        Raises
        ------
        BrokerUnavailableError, StoreUnavailableError
            Kafka or MongoDB did not answer in time, or refused us; it has stopped.
        RuntimeError
            It was stopped before.
        """
        if self._stop.is_set():
            raise RuntimeError("This Archiver was stopped; make a new one")
        if not self._threads:
            loops = self._poll_loop, self._write_loop, self._watch_loop, self._build_loop
            for work in loops:
                name = f"chatkit-archiver-{work.__name__.strip('_')}"
                thread = threading.Thread(target=self._guard, args=(work,), name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        seconds = max(self._settings.kafka_timeout, self._settings.mongo_timeout)
        seconds += self._session_ms / 1000
        seconds = seconds if timeout is None else timeout
        end = time.monotonic() + seconds
        while seconds and not self._ready.wait(0.1):
            refused = isinstance(self._failure, BrokerRefusedError | StoreRefusedError)
            if refused or time.monotonic() > end:
                self.stop()
                raise self._failure or BrokerUnavailableError(
                    f"The archiver was not ready within {seconds:g} s: {self.status.problem}"
                )
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self, timeout: float = 15.0) -> bool:
        """Write what was read, leave the group, end; idempotent.

        Returns
        -------
        bool
            Whether all threads ended within ``timeout`` seconds.
        """
        self._stop.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        ended = not any(thread.is_alive() for thread in self._threads)
        if ended:
            self._channels.close()
            self._store.close()
        return ended

    def _guard(self, work: Any) -> None:
        """Run a thread's work; whatever ends it early ends the archiver, and is shown."""
        try:
            work()
        except Exception as error:
            logger.exception("The archiver failed")
            self._fail(error)
            self._stop.set()

    def _fail(self, error: Exception, source: str = "poll") -> None:
        self._failure = error
        if isinstance(error, StoreUnavailableError | PyMongoError):
            source = "mongo"
        self._tell(source, str(error))

    def _tell(self, source: str, problem: str) -> None:
        """Note what is wrong with MongoDB, or with Kafka, by who found out; "" if nothing is."""
        with self._lock:
            if self._problems.get(source, "") == problem:
                return
            self._problems[source] = problem
            kafka = self._problems.get("watch") or self._problems.get("poll", "")
            others = (self._problems.get(name, "") for name in ("rights", "mongo"))
            text = ". ".join(filter(None, (kafka, *others)))
            self._status = msgspec.structs.replace(self._status, problem=text)
        (logger.warning if problem else logger.info)("Archiver: %s", problem or "goes on")

    # The watch thread: which topics are there?

    def _watch_loop(self) -> None:
        looked = time.monotonic()
        suspicious: set[tuple[str, int]] = set()
        while not self._stop.is_set():
            pause = TOPICS_SECONDS
            try:
                found, denied = self._channels.readable_topic_ids()
                if self._settings.channels_topic not in found and self._records_topic_wanted:
                    self._make_records_topic()
                self._found_topics = found
                self._tell("watch", "")
                text = f"Not archived, since the right Read is missing: {', '.join(denied)}"
                self._tell("rights", text if denied else "")
                if self._group_id and time.monotonic() - looked > GROUP_SECONDS:
                    looked = time.monotonic()
                    left_out = self._partitions_left_out()
                    if left_out & suspicious:
                        self._left_out.set()
                    suspicious = left_out
            except BrokerUnavailableError as error:
                self._fail(error, "watch")
                if isinstance(error, BrokerRefusedError):
                    pause = REFUSED_SECONDS
            self._stop.wait(pause)

    def _partitions_left_out(self) -> set[tuple[str, int]]:
        """Return what a group that is not rebalancing has assigned to nobody.

        It happens when a leader of kafka-python's assigns before it knows of a new topic, or when
        the coordinator has expelled a member that does not notice; nothing would ever mend it.
        """
        group = self._channels.group(self._group_id)
        if group.state not in ("Stable", "Empty", "Dead") or not self._joined.is_set():
            return set()
        expected = {
            (info.topic, partition)
            for info in self._channels.find().values()
            for partition in info.partitions
            if info.topic in (self._found_topics or ())
        }
        return expected - group.assigned

    def _make_records_topic(self) -> None:
        try:
            self._channels.ensure_records_topic()
        except BrokerRefusedError as error:  # whoever may, makes it with the first channel
            logger.warning("Channels' descriptions and moderators are not archived. %s", error)
        self._records_topic_wanted = False

    # The poll thread: owns the consumer.

    def _poll_loop(self) -> None:
        delay = 0.1
        try:
            while not self._stop.is_set():
                started = time.monotonic()
                try:
                    self._poll_until_failure()
                except (ServiceError, KafkaError) as error:
                    lasted = time.monotonic() - started
                    problem: Exception = error
                    if isinstance(error, KafkaError):
                        problem = explain(self._settings, error, lasted, right="Read")
                    self._fail(problem)
                    delay = 0.1 if lasted > 2 * LONGEST_BACKOFF else min(2 * delay, LONGEST_BACKOFF)
                    refused = isinstance(problem, BrokerRefusedError | StoreRefusedError)
                    self._stop.wait(REFUSED_SECONDS if refused else delay)
        finally:
            self._put(None)

    def _poll_until_failure(self) -> None:
        self._group_id = archive_group(self._settings, self._store.prepare())
        self._consumer = consumer = make_client(
            KafkaConsumer,
            self._settings,
            timeout=min(2.0, self._settings.kafka_timeout),
            group_id=self._group_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            allow_auto_create_topics=False,
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=min(1000, self._session_ms // 3),
            max_poll_records=BATCH_RECORDS,
            max_partition_fetch_bytes=8 * 1024 * 1024,
            fetch_max_wait_ms=200,
            metadata_max_age_ms=10_000,
        )
        self._topic_ids = {}
        committed = time.monotonic()
        try:
            while not self._stop.is_set():
                if self._left_out.is_set():
                    self._left_out.clear()
                    raise _LeftOut("The group has left partitions out; joining it again")
                self._follow_topics(consumer)
                self._place(consumer)
                self._poll_once(consumer)
                if time.monotonic() - committed > COMMIT_SECONDS:
                    committed = time.monotonic()
                    self._commit(consumer)
                    self._count(consumer)
            # What is queued gets written; then the last commit can tell.
            self._put(None)
            self._threads[1].join(10)
            self._commit(consumer, wait=True)
        finally:
            self._consumer = None
            with contextlib.suppress(KafkaError):
                consumer.close(autocommit=False, timeout_ms=2000)

    def _follow_topics(self, consumer: KafkaConsumer) -> None:
        found = self._found_topics or {}
        if not found or found == self._topic_ids:
            return
        known, self._topic_ids = self._topic_ids, found
        if found.keys() != known.keys():
            for topic in found.keys() - known.keys():
                consumer.partitions_for_topic(topic)  # else the join may come back empty for ever
            consumer.subscribe(sorted(found), listener=_Listener(self))
        # Deleted and created again under its name: what we have read says nothing of the new one.
        again = {topic for topic in found if known.get(topic, found[topic]) != found[topic]}
        self._gain([part for part in consumer.assignment() if part.topic in again])

    def _gain(self, parts: Any) -> None:
        """Hold partitions until it is known from where to read them."""
        consumer = self._consumer
        if consumer is None:
            return
        for part in parts:
            with _unless_revoked():
                consumer.seek(part, 0)
                consumer.pause(part)
                self._unplaced[part] = None

    def _lose(self, parts: Any) -> None:
        for part in parts:
            self._unplaced.pop(part, None)
            self._written.pop(part, None)

    def _place(self, consumer: KafkaConsumer) -> None:
        """Seek each new partition to where the archive ends, once MongoDB tells."""
        if (self._joined.is_set() or self._found_topics == {}) and not self._unplaced:
            self._ready.set()
        for part in list(self._unplaced):
            topic_id = self._topic_ids.get(part.topic)
            if topic_id is None:
                continue
            try:
                offset = self._store.positions(topic_id).get(part.partition)
            except StoreUnavailableError as error:
                self._fail(error)
                return
            self._tell("mongo", "")
            if offset is None:
                offset = consumer.beginning_offsets([part], timeout_ms=5000)[part]
            with _unless_revoked():
                consumer.seek(part, offset)
                self._replayed.add(part)
                self._unplaced.pop(part, None)
                consumer.resume(part)

    @staticmethod
    def _remind(consumer: KafkaConsumer) -> None:
        """Let a rejoin that is under way be finished by the next poll.

        kafka-python forgets one that a poll's timeout has cut between JoinGroup and SyncGroup if
        the topics' metadata began it: it then neither reads nor sends heartbeats, for ever.
        """
        if consumer.group_metadata().state == MemberState.REBALANCING:
            consumer._coordinator.request_rejoin()

    def _poll_once(self, consumer: KafkaConsumer) -> None:
        self._remind(consumer)
        try:
            polled = consumer.poll(timeout_ms=200)
        except OffsetOutOfRangeError as error:
            for part, offset in error.args[0].items():
                self._skip_gap(consumer, part, offset)
            return
        except LogTruncationError as error:
            for part in error.divergent_offsets:
                self._skip_gap(consumer, part, consumer.position(part, timeout_ms=1000) or 0)
            return
        batches = [
            PartitionBatch(
                topic_id=self._topic_ids[part.topic],
                topic=part.topic,
                channel=self._settings.channel_of(part.topic),
                partition=part.partition,
                records=records,
                replayed=part in self._replayed,
            )
            for part, records in polled.items()
            if part not in self._unplaced and part.topic in self._topic_ids
        ]
        if batches:
            # Decoded here and not by the writer, so that it is done while MongoDB is busy.
            self._put(decode_batches(batches))
        self._tell("poll", "")

    def _put(self, batch: DecodedBatch | None) -> None:
        """Queue for the writer; while it is busy, stay in the group without reading on."""
        consumer = self._consumer
        paused: list[TopicPartition] = []
        while True:
            try:
                self._queue.put(batch, timeout=0.5)
                break
            except queue.Full:
                if batch is None and not self._threads[1].is_alive():
                    return
                if self._stop.is_set() and self._problems.get("mongo"):
                    return  # not written: the next start reads it again
                if consumer is not None and batch is not None:
                    more = [part for part in consumer.assignment() if part not in paused]
                    with _unless_revoked():
                        consumer.pause(*more)
                    paused += more
                    self._remind(consumer)
                    consumer.poll(timeout_ms=0)
        if consumer is not None and paused:
            for part in paused:
                if part not in self._unplaced:
                    with _unless_revoked():
                        consumer.resume(part)

    def _skip_gap(self, consumer: KafkaConsumer, part: TopicPartition, offset: int) -> None:
        """Go on from the log's start, and leave a dead letter that says what was not archived."""
        if self._channels.topic_ids().get(part.topic) != self._topic_ids.get(part.topic):
            return  # another topic of that name: the watch thread will tell
        start = consumer.beginning_offsets([part], timeout_ms=5000)[part]
        gone = Unreadable(
            topic=part.topic,
            partition=part.partition,
            offset=offset,
            appended_ms=now_ms(),
            key=None,
            value=None,
            reason=f"Kafka no longer holds offsets {offset} to {start - 1}"
            if start > offset
            else f"Kafka's log was cut below offset {offset}; reading again from {start}",
        )
        letter = dead_letter_document(gone, self._topic_ids[part.topic], now_ms())
        with self._store.answering():
            letters = self._store.database["dead_letters"]
            letters.replace_one({"_id": letter["_id"]}, letter, upsert=True)
        logger.warning("%s, partition %s: %s", part.topic, part.partition, gone.reason)
        with _unless_revoked():
            consumer.seek(part, start)
            self._replayed.add(part)

    def _commit(self, consumer: KafkaConsumer, *, wait: bool = False) -> None:
        """Tell Kafka how far we are: for lag displays, nothing reads it back."""
        mine = consumer.assignment()
        offsets = {
            part: OffsetAndMetadata(offset, "", -1)
            for part, offset in list(self._written.items())
            if part in mine
        }
        if not offsets:
            return
        with contextlib.suppress(KafkaError):  # a rebalance: the next owner tells
            if wait:
                consumer.commit(offsets, timeout_ms=2000)
            else:
                consumer.commit_async(offsets)
        for part, committed in offsets.items():
            self._committed[part] = committed.offset
            if self._written.get(part) == committed.offset:
                self._written.pop(part, None)

    def _count(self, consumer: KafkaConsumer) -> None:
        parts = consumer.assignment()
        lag = 0
        for part in parts:
            with _unless_revoked():
                end = consumer.highwater(part)
                written = self._written.get(part, self._committed.get(part))
                if end is not None and written is not None:
                    lag += max(0, end - written)
        self._assigned = frozenset(
            (self._topic_ids[part.topic], part.partition)
            for part in parts
            if part.topic in self._topic_ids
        )
        with self._lock:
            self._status = msgspec.structs.replace(self._status, partitions=len(parts), lag=lag)

    # The write thread.

    def _write_loop(self) -> None:
        while (batch := self._queue.get()) is not None:
            if not self._write(batch):
                return

    def _write(self, batch: DecodedBatch) -> bool:
        """Write until it is written; False if told to stop before."""
        delay = 0.1
        while True:
            try:
                written = self._writer.write(batch)
            except PyMongoError as error:
                self._tell("mongo", str(self._store.explain(error)))
                batch.look_first = True  # part of it may be stored
                if self._stop.wait(delay):
                    return False
                delay = min(2 * delay, LONGEST_BACKOFF)
                continue
            break
        self._tell("mongo", "")
        for one in batch.parts:
            part = TopicPartition(one.topic, one.partition)
            self._written[part] = one.records[-1].offset + 1
            # Where nothing was stored already, nothing further on is: plain inserts are faster.
            (self._replayed.add if written.duplicates else self._replayed.discard)(part)
        with self._lock:
            now = self._status
            self._status = msgspec.structs.replace(
                now,
                messages=now.messages + written.messages,
                events=now.events + written.events,
                duplicates=now.duplicates + written.duplicates,
                dead_letters=now.dead_letters + written.dead_letters,
            )
        return True

    # The build thread: segments of what is archived, with little of everybody's time.

    def _build_loop(self) -> None:
        while not self._stop.wait(SEGMENTS_SECONDS):
            if not self._assigned:
                continue
            try:
                self._build_segments()
            except (StoreUnavailableError, PyMongoError) as error:
                # Who archives tells it; without segments, rows are read.
                logger.debug("No segments: %s", error)

    def _build_segments(self) -> None:
        from chatkit.segments import build_some  # heavy, and needed here only

        least = FULL if self._is_busy() else GROWN
        started = time.monotonic()
        for _ in build_some(self._store, self._assigned, least=least):
            worked = time.monotonic() - started
            share = BUSY_SHARE if self._is_busy() else IDLE_SHARE
            if self._stop.wait(worked * (1 / share - 1)):
                return
            started = time.monotonic()

    def _is_busy(self) -> bool:
        return self.status.lag > BUSY_LAG or not self._queue.empty()
