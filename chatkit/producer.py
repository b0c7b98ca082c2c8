"""ChatProducer: messages and events into Kafka, from any thread, without ever blocking.

One thread of its own builds the KafkaProducer, feeds it and replaces it when it must; ``send`` only
queues. It knows nothing of consumers, MongoDB or widgets.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import wait as wait_for
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Self

import msgspec
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from kafka.partitioner import DefaultPartitioner, murmur2

from chatkit.connection import REFUSED_SECONDS, close_producer, explain, make_client
from chatkit.errors import (
    BrokerRefusedError,
    BrokerUnavailableError,
    ChannelNameError,
    InvalidMessageError,
    SendError,
    SettingsError,
)
from chatkit.message import Beat, ChannelRecord, Event, Message, encode
from chatkit.settings import Settings

__all__ = ["ChatProducer", "Outcome", "Receipt"]

logger = logging.getLogger(__name__)

CONNECT_WAIT = 2.0
"""Seconds that one attempt to reach a broker may take."""
METADATA_WAIT = 1.0
"""Seconds that one attempt may wait for the leader of a topic."""
EXPLAIN_SECONDS = 10.0
"""How often to look into why no broker answers, which takes a moment."""
MISSING_TOPIC_PATIENCE = 3.0
"""Seconds for which brokers may say that a topic, perhaps a new one, does not exist."""
REQUEST_LIMIT = 6 * 1024 * 1024
"""Bytes of the largest record: an attachment of 4 MiB in base64, and the rest."""
BULK = {"batch_size": 256 * 1024, "compression_type": "lz4", "linger_ms": 20}
"""How an import sends: in large batches, which may wait a moment to get full."""
KEYS_KEPT = 10_000
"""Keys of which the hash is kept."""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Where Kafka put a record."""

    topic: str
    """Kafka topic."""
    partition: int
    """Partition of the topic."""
    offset: int
    """Offset in the partition."""
    appended_ms: int
    """When the broker appended it, ms since 1970 UTC."""


Outcome = Receipt | SendError | InvalidMessageError | ChannelNameError
"""What became of an item: where it is, or why it is not there."""


class _Parcel(msgspec.Struct, eq=False):
    """Jobs that were given at once, and the future that tells how they went."""

    receipt: Future[Any]
    alone: bool
    """Whether the future is about one job; else it resolves to a list of outcomes."""
    jobs: list[_Job] = []
    """All of them, until they are settled."""
    left: int = 0
    """How many are not settled."""


class _Job(msgspec.Struct, eq=False, gc=False):
    """One record to send, and how it went."""

    parcel: _Parcel
    topic: str
    key: bytes
    value: bytes | None
    item: Any
    deadline: float
    outcome: Outcome | None = None
    again: bool = False
    """Whether it was given to a second KafkaProducer, since the first failed for another's sake."""


class _Partitioner(DefaultPartitioner):  # type: ignore[misc]
    """Kafka's own way to choose a partition, which hashes a key that comes often only once."""

    def __init__(self) -> None:
        self._hash = lru_cache(KEYS_KEPT)(murmur2)

    def partition(
        self, topic: str, key: Any, serialized_key: bytes, value: Any, data: Any, cluster: Any
    ) -> int:
        """Return the partition for a key, the same as all clients of Kafka would."""
        partitions: list[int] = sorted(cluster.partitions_for_topic(topic))
        index: int = (self._hash(serialized_key) & 0x7FFFFFFF) % len(partitions)
        return partitions[index]


class ChatProducer:
    """Sends messages, events, channel records and beats.

    Thread-safe. Open from the first ``send`` or ``open`` to ``close``; who makes it closes it.

    Parameters
    ----------
    settings : Settings, optional
        Where Kafka is. Default: ``Settings()``.
    bulk : bool, default False
        Send compressed batches of 256 KiB, for imports, instead of each message at once.
    """

    def __init__(self, settings: Settings | None = None, *, bulk: bool = False) -> None:
        self._settings = settings or Settings()
        self._bulk = bulk
        self._jobs: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._give_up = float("inf")
        self._unsettled: dict[_Parcel, None] = {}
        self._broken = threading.Event()
        # Owned by the thread:
        self._producer: KafkaProducer | None = None
        self._missing: set[str] = set()
        self._explained = float("-inf")
        self._explanation = ""

    def open(self) -> Self:
        """Start the thread that talks to Kafka; returns at once, also with no broker."""
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("This ChatProducer is closed; make a new one")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="chatkit-producer", daemon=True
                )
                self._thread.start()
        return self

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def send(
        self, item: Message | Event | ChannelRecord | Beat, *, author: str | None = None
    ) -> Future[Receipt]:
        """Queue a message, an event, a channel record or a beat; returns at once.

        Parameters
        ----------
        item : Message, Event, ChannelRecord or Beat
            What to send.
        author : str, optional
            For an event, the author of the message that it is about: the record's key, so that
            both share a partition. Default: who acts.

        Returns
        -------
        concurrent.futures.Future
            Resolves to a :class:`Receipt`, or to a :class:`SendError` that carries the item.

        Raises
        ------
        InvalidMessageError
            The item breaks a rule of the wire format; nothing was queued.
        ChannelNameError
            No channel can have that name; nothing was queued.
        RuntimeError
            The producer is closed.
        """
        value = encode(item)
        if isinstance(item, ChannelRecord):
            return self._queue(self._settings.channels_topic, item.channel, value, item)
        if isinstance(item, Beat):
            return self._queue(self._settings.presence_topic, item.user, value, item)
        key = item.author if isinstance(item, Message) else author or item.actor
        return self._queue(self._settings.topic_of(item.channel), key, value, item)

    def send_all(
        self,
        items: Sequence[Message | Event],
        *,
        authors: Mapping[str, str] = MappingProxyType({}),
    ) -> Future[list[Outcome]]:
        """Queue many messages and events in their order; returns at once.

        Much cheaper than ``send`` for each.

        Parameters
        ----------
        items : sequence of Message or Event
            What to send.
        authors : mapping of str to str, optional
            Authors by the ids of their messages, for events as ``author`` is in ``send``.

        Returns
        -------
        concurrent.futures.Future
            Resolves, once the last of them is settled, to one outcome an item, in their order: a
            :class:`Receipt`, or the error that says why Kafka has not acknowledged it, or which
            rule of the wire format it breaks, so that it was not sent.

        Raises
        ------
        RuntimeError
            The producer is closed.
        """
        parcel = _Parcel(receipt=Future(), alone=False)
        deadline = time.monotonic() + self._settings.delivery_timeout
        topics: dict[str, str] = {}
        for item in items:
            job = _Job(parcel, "", b"", None, item, deadline)
            parcel.jobs.append(job)
            try:
                job.value = encode(item)
            except (InvalidMessageError, ChannelNameError) as error:
                job.outcome = error
                continue
            if item.channel not in topics:
                topics[item.channel] = self._settings.topic_of(item.channel)
            job.topic = topics[item.channel]
            if isinstance(item, Message):
                job.key = item.author.encode()
            else:
                job.key = authors.get(item.target or "", item.actor).encode()
            parcel.left += 1
        return self._put(parcel)

    def forget_channel(self, channel: str) -> Future[Receipt]:
        """Queue a tombstone for a channel's record."""
        record = ChannelRecord(channel=channel)
        return self._queue(self._settings.channels_topic, channel, None, record)

    def _queue(self, topic: str, key: str, value: bytes | None, item: Any) -> Future[Receipt]:
        parcel = _Parcel(receipt=Future(), alone=True, left=1)
        deadline = time.monotonic() + self._settings.delivery_timeout
        parcel.jobs.append(_Job(parcel, topic, key.encode(), value, item, deadline))
        return self._put(parcel)

    def _put(self, parcel: _Parcel) -> Future[Any]:
        self.open()
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("This ChatProducer is closed; make a new one")
            if parcel.left:
                self._unsettled[parcel] = None
                self._jobs.put(parcel.jobs)
        if not parcel.left:  # nothing in it can be sent
            self._answer(parcel)
        return parcel.receipt

    def flush(self, timeout: float) -> bool:
        """Wait until every item given so far is acknowledged or has failed.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether all were settled in time.
        """
        with self._lock:
            receipts = [parcel.receipt for parcel in self._unsettled]
        waiting = [receipt for receipt in receipts if not receipt.done()]
        return not wait_for(waiting, timeout).not_done

    def close(self, timeout: float = 10.0) -> None:
        """Send what is queued, then end the thread; idempotent.

        What is not acknowledged in time fails with :class:`SendError`, so nothing vanishes
        silently.

        Parameters
        ----------
        timeout : float, default 10
            Seconds to wait for Kafka at most.
        """
        with self._lock:
            if not self._closing.is_set():
                self._give_up = time.monotonic() + timeout
                self._closing.set()
                self._jobs.put(None)
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, self._give_up - time.monotonic()) + 0.1)
            # It may be waiting for a broker; it ends soon, but nobody has to wait for that.
            self._fail_all()

    # Everything below runs on the owner thread, but for _settle and _settle_failed (kafka-python's
    # I/O thread), _fail_all, _resolve and _answer.

    def _run(self) -> None:
        while (jobs := self._jobs.get()) is not None:
            sent, futures = [], []
            for job in jobs:
                if job.outcome is not None:
                    continue
                try:
                    future = self._deliver(job)
                except Exception as error:
                    logger.exception("Sending failed in a way that nobody thought of")
                    self._fail(job, f"{type(error).__name__}: {error}")
                else:
                    if future is not None:
                        sent.append(job)
                        futures.append(future)
            self._settle(sent, futures, len(futures))
        producer, self._producer = self._producer, None
        if producer is not None:
            close_producer(producer, max(0.0, self._give_up - time.monotonic()))
        self._fail_all()

    def _deliver(self, job: _Job) -> Any:
        """Hand one job to a KafkaProducer, in order, trying until its deadline.

        Returns kafka-python's future, or None if the job has failed.
        """
        missing_since: float | None = None
        problem = "no broker answered"
        while True:
            now = time.monotonic()
            left = min(job.deadline, self._give_up) - now
            if left <= 0:
                self._fail(job, problem)
                return None
            try:
                if job.topic in self._missing:
                    # Said once already: don't keep what is for other topics waiting again.
                    if self._is_missing(job.topic):
                        raise UnknownTopicOrPartitionError(job.topic)
                    self._missing.discard(job.topic)
                producer = self._ready_producer(left)
                return producer.send(job.topic, key=job.key, value=job.value)
            except KafkaTimeoutError as error:
                if now - self._explained > EXPLAIN_SECONDS:
                    self._explained = now
                    self._explanation = str(explain(self._settings, error, METADATA_WAIT))
                problem = self._explanation
                if self._is_missing(job.topic):
                    missing_since = missing_since or now
                    if now - missing_since > MISSING_TOPIC_PATIENCE:
                        self._missing.add(job.topic)
            except UnknownTopicOrPartitionError:
                self._fail(job, f"topic {job.topic!r} does not exist: create the channel first")
                return None
            except BrokerUnavailableError as error:
                problem = str(error)
                self._pause(REFUSED_SECONDS if isinstance(error, BrokerRefusedError) else 0.1)
            except (AuthorizationError, MessageSizeTooLargeError) as error:
                self._settle_failed(job, error)
                return None
            except KafkaError as error:
                problem = f"{type(error).__name__}: {error}"
                if not error.retriable:
                    self._fail(job, problem)
                    return None
                self._pause(0.1)
            except (SettingsError, AssertionError, ValueError) as error:
                self._fail(job, str(error))
                return None

    def _pause(self, seconds: float) -> None:
        """Wait before the next attempt, only a little once we are to end."""
        if not self._closing.wait(seconds):
            return
        time.sleep(max(0.0, min(0.1, self._give_up - time.monotonic())))

    def _fail_refused(self, job: _Job, error: AuthorizationError) -> None:
        right = f"Write on topic {job.topic!r}"
        problem = str(explain(self._settings, error, 0.0, right=right))
        self._fail(job, problem, refused=True)

    def _is_missing(self, topic: str) -> bool:
        """Return whether the brokers say that there is no such topic; no answer is no."""
        try:
            admin = make_client(
                KafkaAdminClient, self._settings, timeout=1.0, request_timeout_ms=1000
            )
        except (BrokerUnavailableError, SettingsError):
            return False
        try:
            (found,) = admin.describe_topics([topic])
            return bool(found["error_code"] == UnknownTopicOrPartitionError.errno)
        except KafkaError:
            return False
        finally:
            admin.close()

    def _ready_producer(self, seconds: float) -> KafkaProducer:
        """Return a KafkaProducer that works, made within some seconds if there is none."""
        if self._broken.is_set():
            self._broken.clear()
            stale, self._producer = self._producer, None
            if stale is not None:
                threading.Thread(
                    target=close_producer,
                    args=(stale, 1.0),
                    name="chatkit-producer-old",
                    daemon=True,
                ).start()
        if self._producer is None:
            timeout_ms = int(self._settings.delivery_timeout * 1000)
            batching: dict[str, Any] = BULK if self._bulk else {"linger_ms": 0}
            self._producer = make_client(
                KafkaProducer,
                self._settings,
                timeout=min(CONNECT_WAIT, self._settings.kafka_timeout, max(seconds, 0.1)),
                **batching,
                partitioner=_Partitioner(),
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                delivery_timeout_ms=timeout_ms,
                # A broker that hangs is left for the next leader after this time.
                request_timeout_ms=min(10_000, timeout_ms - batching["linger_ms"]),
                max_block_ms=int(METADATA_WAIT * 1000),
                max_request_size=REQUEST_LIMIT,
            )
        return self._producer

    def _settle(
        self, sent: list[_Job], futures: list[Any], waiting: int, _answer: object = None
    ) -> None:
        """Settle what was sent, in its order, once all of kafka-python's futures are done.

        The first few, by their number, may not be. Waiting for the last of these, again and again,
        takes one callback a batch, not one a record.
        """
        while waiting:
            future = futures[waiting - 1]
            if not future.is_done:
                future.add_both(self._settle, sent, futures, waiting)
                return
            waiting -= 1
        for job, future in zip(sent, futures, strict=True):
            if future.exception is not None:
                self._settle_failed(job, future.exception)
            else:
                told = future.value
                self._resolve(job, Receipt(told.topic, told.partition, told.offset, told.timestamp))

    def _settle_failed(self, job: _Job, error: BaseException) -> None:
        if isinstance(error, UnknownTopicOrPartitionError):
            self._fail(job, f"topic {job.topic!r} does not exist (any more)")
            return
        # After most errors a KafkaProducer never writes again, and fails all with the same one: the
        # next message goes through a new one.
        self._broken.set()
        if isinstance(error, AuthorizationError):
            if error.args[:1] == (job.topic,) or not self._try_again(job):
                self._fail_refused(job, error)
        elif isinstance(error, MessageSizeTooLargeError):
            threading.Thread(  # this one is kafka-python's, and must not wait
                target=self._settle_too_large,
                args=(job,),
                name="chatkit-producer-size",
                daemon=True,
            ).start()
        elif ClusterAuthorizationFailedError.__name__ in str(error):
            # What an idempotent producer is told that may write to no topic at all.
            self._fail_refused(job, TopicAuthorizationFailedError(job.topic))
        else:
            self._fail(job, f"{type(error).__name__}: {error}")

    def _try_again(self, job: _Job) -> bool:
        """Queue a job once more; False if it was before."""
        before, job.again = job.again, True
        if not before:
            self._jobs.put([job])
        return not before

    def _settle_too_large(self, job: _Job) -> None:
        size = len(job.key) + len(job.value or b"")
        limit = 0
        with contextlib.suppress(BrokerUnavailableError, KafkaError, KeyError):
            limit = int(self._topic_config(job.topic, "max.message.bytes"))
        if size < min(limit, REQUEST_LIMIT) and self._try_again(job):
            return
        self._fail(
            job,
            f"its {size:,} bytes are more than topic {job.topic!r} takes"
            + (f" ({limit:,})" if limit else "")
            + f": whoever runs Kafka must set max.message.bytes to {REQUEST_LIMIT:,} there, or "
            "write less at a time",
            refused=True,
        )

    def _topic_config(self, topic: str, name: str) -> str:
        admin = make_client(KafkaAdminClient, self._settings, timeout=2.0, request_timeout_ms=2000)
        try:
            asked = ConfigResource(ConfigResourceType.TOPIC, topic, [name])
            found = admin.describe_configs([asked], config_filter="all")
            return str(found["topic"][topic][name]["value"])
        finally:
            admin.close()

    def _fail(self, job: _Job, problem: str, *, refused: bool = False) -> None:
        where = f"Kafka ({self._settings.bootstrap_servers})"
        text = f"{where} did not acknowledge it: {problem}"
        if not refused:
            text += ". It may have arrived all the same; trying again keeps its id"
        self._resolve(job, SendError(text, job.item))

    def _fail_all(self) -> None:
        with self._lock:
            left = [job for parcel in self._unsettled for job in parcel.jobs]
        for job in left:
            self._fail(job, "the producer was closed before an answer came")

    def _resolve(self, job: _Job, outcome: Outcome) -> None:
        """Note how a job went; the first that is told of it counts."""
        with self._lock:
            if job.outcome is not None:
                return
            job.outcome = outcome
            job.parcel.left -= 1
            if job.parcel.left:
                return
        self._answer(job.parcel)

    def _answer(self, parcel: _Parcel) -> None:
        outcomes = [job.outcome for job in parcel.jobs]
        parcel.jobs = []  # they know their parcel: in a circle they would be kept for ever
        with contextlib.suppress(InvalidStateError):  # it was cancelled
            if not parcel.alone:
                parcel.receipt.set_result(outcomes)
            elif isinstance(outcomes[0], Receipt):
                parcel.receipt.set_result(outcomes[0])
            else:
                parcel.receipt.set_exception(outcomes[0])
        with self._lock:
            self._unsettled.pop(parcel, None)
