"""Numbered messages into a topic, and what became of each: acknowledged where and when, or failed.

How a producer is set up is the caller's to choose (acks, idempotence, batching, transactions), so
that what it costs and what it saves can be seen. It knows nothing of readers, views or notebooks.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import msgspec
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import (
    BrokerResponseError,
    InvalidProducerEpochError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    UnknownTopicOrPartitionError,
)
from kafka.partitioner import DefaultPartitioner

from chatkit.connection import close_producer, explain, make_client
from chatkit.errors import (
    BrokerRefusedError,
    BrokerUnavailableError,
    ChatkitError,
    InputError,
    WorkshopTimeoutError,
)
from chatkit.settings import Settings

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["Sender", "Sent", "Transaction"]

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
METADATA_SECONDS = 5.0
"""How long a message may wait for the leaders of its topic, or the first transaction to begin."""
REQUEST_SECONDS = 5.0
"""After which a broker that hangs is left for the next leader."""
AGAIN_SECONDS = 0.5
"""When to try again, at a rate, after no broker took a message."""
CATCH_UP_SECONDS = 1.0
"""How much of what a hold-up cost is made up for, at a rate."""
TOLD_SECONDS = 1.0
"""For the fate of a message to be told after that of its transaction."""
SHUT_OUT = (InvalidProducerEpochError.__name__, ProducerFencedError.__name__)
SPEED_SECONDS = 5.0
"""Over how long a speed is measured."""

Acks = Literal[0, 1, "all"]
Compression = Literal["gzip", "snappy", "lz4", "zstd"]
TransactionState = Literal["open", "committed", "aborted", "unknown"]


class Sent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message that was given to Kafka's client, and what has become of it so far."""

    id: str | None
    """Its id; None if its value was chosen so that it has none."""
    n: int
    """Its number, from 0, in the order of sending."""
    topic: str
    """Kafka topic."""
    partition: int
    """Partition of the topic that it is for."""
    key: str | None
    """Its key."""
    at_ms: float
    """When it was given to the client, ms since 1970 UTC, with fractions."""
    offset: int | None = None
    """Offset in the partition; None unless a broker told it, which none does with ``acks=0``."""
    acknowledged_ms: float | None = None
    """When it was acknowledged, ms since 1970 UTC. With ``acks=0``: when it had left, which is all
    that the producer then knows."""
    error: str | None = None
    """Why it was not acknowledged. It may be in Kafka all the same."""
    transaction: TransactionState | None = None
    """How the transaction stands that it belongs to; None if it belongs to none."""

    @property
    def acknowledged(self) -> bool:
        """Whether the sender may rely on it: it was acknowledged, and no transaction is against it.

        A message of a transaction counts once that is committed.
        """
        return self.acknowledged_ms is not None and self.transaction in (None, "committed")

    @property
    def latency_ms(self) -> float | None:
        """From sending to acknowledgement, ms; None if there was none."""
        return None if self.acknowledged_ms is None else self.acknowledged_ms - self.at_ms


class Transaction:
    """All or nothing: what is sent in it can be read, with ``read_committed``, once it commits.

    Made by `Sender.transaction`; to be used by the thread that made it.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.state: TransactionState = "open"

    def commit(self, timeout: float = 20.0) -> None:
        """Make what was sent in it valid; idempotent.

        Raises
        ------
        BrokerRefusedError
            A newer sender with the same transactional id has taken over.
        BrokerUnavailableError
            Kafka did not commit it; whether it did all the same is not known.
        WorkshopTimeoutError
            No answer within ``timeout`` seconds; likewise.
        RuntimeError
            It was aborted.
        """
        if self.state == "committed":
            return
        if self.state != "open":
            raise RuntimeError(f"This transaction is {self.state}: begin another one")
        self._sender._end_transaction(self, "committed", timeout)

    def abort(self, timeout: float = 20.0) -> None:
        """Make what was sent in it void; idempotent.

        The records stay in the log, where ``read_uncommitted`` sees them.

        Raises
        ------
        BrokerRefusedError, BrokerUnavailableError, WorkshopTimeoutError
            As with `commit`.
        RuntimeError
            It was committed.
        """
        if self.state == "aborted":
            return
        if self.state != "open":
            raise RuntimeError(f"This transaction is {self.state}: begin another one")
        self._sender._end_transaction(self, "aborted", timeout)

    def __repr__(self) -> str:
        return f"<Transaction of {self._sender.name}: {self.state}>"


class _Partitioner(DefaultPartitioner):  # type: ignore[misc]
    """Kafka's usual choice, remembered: a message that fails does not tell where it was for."""

    chosen = 0

    def partition(self, *args: Any) -> int:
        self.chosen = int(super().partition(*args))
        return self.chosen


class Sender:
    """Sends numbered messages, and notes what becomes of each.

    Each value is ``{"id": "<name>-<run>-000017", "n": 17, "text": "..."}`` in JSON, where the run
    differs from sender to sender. Nothing is connected before the first message. Kafka's client
    never writes again once a message has expired in it: it is replaced then.

    All methods may be used from any thread. Who makes it closes it; ``with`` does.

    Parameters
    ----------
    learner_or_settings : Learner or Settings
        A learner, whose prefix ``topic`` gets unless it has it, or where Kafka is, and it is the
        full name.
    topic : str
        Where to send; it must be there.
    acks : {"all", 1, 0}, default "all"
        Who must have a message before it is acknowledged: all replicas in sync, their leader, or
        nobody. Other than ``"all"`` only with ``idempotent=False``.
    idempotent : bool, default True
        Whether brokers recognise what is sent once more, and drop it.
    retries : int, optional
        How often a message that was not acknowledged is sent once more. Default: until
        ``delivery_timeout``. 0 only with ``idempotent=False``.
    linger : float, default 0
        Seconds that a batch waits for more messages.
    batch_bytes : int, default 16384
        Size at which a batch is full.
    compression : {"gzip", "snappy", "lz4", "zstd"}, optional
        How batches are compressed.
    key : str, optional
        Key of each message that is given none.
    partition : int, optional
        Partition of each message that is given none. Default: by its key; without one, any.
    rate : float, optional
        Messages a second of `start`.
    name : str, default "sender"
        What the ids begin with; also Kafka's ``client.id``.
    transactional_id : str, optional
        Send in transactions under this id only; a later sender with it shuts this one out.
    delivery_timeout : float, default 20
        Seconds after which a message that was not acknowledged has failed, at least 0.1 more than
        ``linger``.

    Raises
    ------
    InputError
        The arguments don't fit together.
    """

    def __init__(
        self,
        learner_or_settings: Learner | Settings,
        topic: str,
        *,
        acks: Acks = "all",
        idempotent: bool = True,
        retries: int | None = None,
        linger: float = 0.0,
        batch_bytes: int = 16384,
        compression: Compression | None = None,
        key: str | None = None,
        partition: int | None = None,
        rate: float | None = None,
        name: str = "sender",
        transactional_id: str | None = None,
        delivery_timeout: float = 20.0,
    ) -> None:
        if isinstance(learner_or_settings, Settings):
            self._settings = learner_or_settings
        else:
            self._settings = learner_or_settings.settings
            if not topic.startswith(learner_or_settings.topic("x").removesuffix("x")):
                topic = learner_or_settings.topic(topic)
        if acks not in get_args(Acks):
            raise InputError(f'acks is "all", 1 or 0, not {acks!r}')
        if idempotent and (acks != "all" or retries == 0):
            raise InputError(
                'An idempotent sender needs acks="all" and retries: to do without, say '
                "idempotent=False as well"
            )
        if transactional_id is not None and not idempotent:
            raise InputError("Transactions need an idempotent sender: leave idempotent=True")
        if compression is not None and compression not in get_args(Compression):
            choices = ", ".join(get_args(Compression))
            raise InputError(f"compression is one of {choices}, not {compression!r}")
        if linger < 0 or delivery_timeout < linger + 0.1:
            raise InputError(
                "linger must be 0 or more, and delivery_timeout at least 0.1 s longer: not "
                f"{linger:g} s and {delivery_timeout:g} s"
            )
        if batch_bytes < 0 or (retries is not None and retries < 0):
            raise InputError("batch_bytes and retries must be 0 or more")
        _check_partition(partition)
        self.name = name
        self.topic = topic
        self.transactional_id = transactional_id
        self._key = key
        self._place = partition
        self._rate = rate
        self._run_id = uuid.uuid4().hex[:6]
        self._config: dict[str, Any] = {
            "acks": acks,
            "enable_idempotence": idempotent,
            "linger_ms": int(linger * 1000),
            "batch_size": batch_bytes,
            "compression_type": compression,
            "transactional_id": transactional_id,
            "delivery_timeout_ms": int(delivery_timeout * 1000),
            "request_timeout_ms": int(min(REQUEST_SECONDS, delivery_timeout - linger) * 1000),
            "max_block_ms": int(METADATA_SECONDS * 1000),
            "allow_auto_create_topics": False,
        }
        if retries is not None:
            self._config["retries"] = retries
        # Held while a message is numbered and handed over, so that both orders are one.
        self._sending = threading.RLock()
        self._producer: KafkaProducer | None = None
        self._partitioner = _Partitioner()
        self._transaction: Transaction | None = None
        self._fenced: BrokerRefusedError | None = None
        self._closed = False
        self._retiring: list[threading.Thread] = []
        # Guards what follows; told when a message's fate is known. Kafka's I/O thread takes it too.
        self._told = threading.Condition()
        self._sent: list[Sent] = []
        self._waiting: dict[int, KafkaProducer] = {}
        self._broken: KafkaProducer | None = None
        self._since = 0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Sender {self.name} to {self.topic}: {len(self._sent)} sent>"

    # What it tells.

    @property
    def settings(self) -> Settings:
        """Where Kafka is."""
        return self._settings

    @property
    def sent(self) -> list[Sent]:
        """What was sent so far, in that order, as it stands now."""
        with self._told:
            return list(self._sent)

    @property
    def waiting(self) -> int:
        """How many messages have neither been acknowledged nor failed yet."""
        return len(self._waiting)

    @property
    def error(self) -> Exception | None:
        """What keeps `start` from sending now; None if nothing does."""
        return self._error

    @property
    def speed(self) -> float:
        """Messages a second acknowledged of the last `send` or `start`, over its last 5 s at most.

        0 if none was.
        """
        with self._told:
            sent = self._sent[self._since :]
        times = [one.acknowledged_ms for one in sent if one.acknowledged_ms is not None]
        if not times:
            return 0.0
        last = max(times)
        first = max(sent[0].at_ms, last - SPEED_SECONDS * 1000)
        return sum(at >= first for at in times) / max(last - first, 0.001) * 1000

    def latencies(self, percentiles: Iterable[float] = (50, 95, 99)) -> dict[float, float]:
        """Return how long acknowledgements took, of all messages that got one.

        Parameters
        ----------
        percentiles : iterable of float, default (50, 95, 99)
            Which, from 0 to 100: by nearest rank, so each is the time of one of the messages.

        Returns
        -------
        dict
            Percentile -> ms; empty if no message was acknowledged.

        Raises
        ------
        InputError
            A percentile is not from 0 to 100.
        """
        wanted = list(percentiles)
        if not all(0 <= one <= 100 for one in wanted):
            raise InputError(f"Percentiles are from 0 to 100, not {wanted}")
        times = sorted(one.latency_ms for one in self.sent if one.latency_ms is not None)
        if not times:
            return {}
        return {one: times[max(0, math.ceil(one / 100 * len(times)) - 1)] for one in wanted}

    # What it is told.

    def send(
        self,
        count: int | None = None,
        *,
        key: str | None = None,
        keys: Iterable[str | None] | None = None,
        partition: int | None = None,
        value: Mapping[str, Any] | str | bytes | None = None,
        text: str | None = None,
    ) -> list[str | None]:
        """Hand over some messages, without waiting until they are acknowledged.

        Parameters
        ----------
        count : int, optional
            How many. Default: one, or with ``keys`` one for each.
        key : str, optional
            Their key. Default: the sender's.
        keys : iterable of str, optional
            Their keys, in turn; from the first again if there are more messages.
        partition : int, optional
            Their partition. Default: the sender's.
        value : mapping or str or bytes, optional
            What to send instead: a mapping becomes JSON, with ``id`` and ``n`` unless it has them;
            others go as they are, and have no id.
        text : str, optional
            Their text. Default: ``message 17`` and so on.

        Returns
        -------
        list
            The messages' ids; None for one that has none.

        Raises
        ------
        InputError
            The arguments don't fit together, or there is no such topic or partition.
        BrokerRefusedError
            Kafka does not let us, or a newer sender has this one's transactional id.
        BrokerUnavailableError
            No broker took it within some 5 s. What was sent before is in `sent`.
        RuntimeError
            It is closed, or has a transactional id and is in no transaction.
        """
        if keys is not None and key is not None:
            raise InputError("Give key or keys, not both")
        if value is not None and text is not None:
            raise InputError("Give value or text, not both")
        turns = [key if key is not None else self._key] if keys is None else list(keys)
        count = len(turns) if count is None else count
        if count < 0 or (count and not turns):
            raise InputError("count must be 0 or more, and keys, if given, at least one")
        _check_partition(partition)
        with self._sending:
            self._since = len(self._sent)
            return [
                self._send_one(one, partition, value, text)
                for one in itertools.islice(itertools.cycle(turns), count)
            ]

    def send_tombstone(self, key: str, *, partition: int | None = None) -> None:
        """Hand over a record with a key and no value: compaction then forgets the key.

        Raises
        ------
        InputError, BrokerRefusedError, BrokerUnavailableError, RuntimeError
            As with `send`.
        """
        _check_partition(partition)
        with self._sending:
            self._hand_over(None, key, partition, None)

    def start(
        self,
        rate: float | None = None,
        *,
        key: str | None = None,
        keys: Iterable[str | None] | None = None,
        partition: int | None = None,
        text: str | None = None,
    ) -> Self:
        """Send on a thread, until `stop`; what is given is as with `send`.

        Where no broker takes a message it says so in `error`, and tries again.

        Parameters
        ----------
        rate : float, optional
            Messages a second, > 0. Default: the sender's.
        key, keys, partition, text
            As with `send`.

        Raises
        ------
        InputError
            There is no rate, or it sends in transactions.
        RuntimeError
            It is closed, or sends already.
        """
        rate = self._rate if rate is None else rate
        if rate is None or not 0 < rate < math.inf:
            raise InputError(f"rate is messages a second, more than 0, not {rate}")
        if self.transactional_id is not None:
            raise InputError("A sender with a transactional id sends within transaction() only")
        if keys is not None and key is not None:
            raise InputError("Give key or keys, not both")
        turns = [key if key is not None else self._key] if keys is None else list(keys)
        if not turns:
            raise InputError("keys, if given, must be at least one")
        _check_partition(partition)
        with self._sending:
            self._check_open()
            if self._thread is not None and self._thread.is_alive():
                raise RuntimeError(f"{self.name} sends already: stop it first")
            self._end = threading.Event()
            self._error = None
            self._since = len(self._sent)
            self._thread = threading.Thread(
                target=self._run,
                args=(rate, itertools.cycle(turns), partition, text),
                name=f"chatkit-sender-{self.name}",
                daemon=True,
            )
            self._thread.start()
        return self

    def stop(self, timeout: float = 20.0) -> bool:
        """End what `start` began; idempotent.

        Returns
        -------
        bool
            Whether it ended within ``timeout`` seconds.
        """
        self._end.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def flush(self, timeout: float = 20.0) -> Self:
        """Wait until every message is acknowledged or has failed.

        Raises
        ------
        WorkshopTimeoutError
            Some were neither after ``timeout`` seconds.
        """
        end = time.monotonic() + timeout
        producer = self._producer
        if producer is not None and self._waiting:
            with contextlib.suppress(KafkaTimeoutError):  # the wait below says so
                producer.flush(timeout=timeout)
        with self._told:
            if self._told.wait_for(lambda: not self._waiting, max(0.0, end - time.monotonic())):
                return self
            left = sorted(self._waiting)
            parts = sorted({self._sent[index].partition for index in left})
        raise WorkshopTimeoutError(
            f"Waited {timeout:g} s for acknowledgements of {self.topic}. Last seen: {len(left)} "
            f"messages without one, for {_partitions(parts)}. Look whether the leaders run and "
            "have enough replicas in sync; each message fails by itself after "
            f"{self._config['delivery_timeout_ms'] / 1000:g} s"
        )

    @contextlib.contextmanager
    def transaction(self, timeout: float = 20.0) -> Iterator[Transaction]:
        """Send what is sent within as one: commit at the end, abort if an exception comes.

        Parameters
        ----------
        timeout : float, default 20
            Seconds that the commit, or the abort, may take.

        Yields
        ------
        Transaction
            To commit or abort it earlier.

        Raises
        ------
        InputError
            The sender has no transactional id.
        BrokerRefusedError, BrokerUnavailableError, WorkshopTimeoutError
            As with `Transaction.commit`, or Kafka did not begin it within 5 s.
        RuntimeError
            It is closed, or another transaction is open.
        """
        if self.transactional_id is None:
            raise InputError("Give the Sender a transactional_id to send in transactions")
        with self._sending:
            if self._transaction is not None:
                raise RuntimeError(f"{self.name} has an open transaction: commit or abort it first")
            producer = self._ready_producer()
            try:
                producer.begin_transaction()
            except KafkaError as error:
                raise self._explained(error, 0.0) from error
            transaction = self._transaction = Transaction(self)
            self._since = len(self._sent)
        try:
            yield transaction
        except BaseException:
            if transaction.state == "open":
                with contextlib.suppress(ChatkitError):  # what came first is what counts
                    transaction.abort(timeout)
            raise
        if transaction.state == "open":
            transaction.commit(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Stop, abort an open transaction, wait for acknowledgements, end; idempotent.

        Parameters
        ----------
        timeout : float, default 10
            Seconds to wait for Kafka at most; what is not acknowledged by then has failed.
        """
        end = time.monotonic() + timeout
        self.stop(timeout)
        if self._transaction is not None:
            with contextlib.suppress(ChatkitError):
                self._transaction.abort(timeout)
        with self._sending:
            self._closed = True
            producer, self._producer = self._producer, None
            retiring, self._retiring = self._retiring, []
        if producer is not None:
            self._retire(producer, max(0.0, end - time.monotonic()))
        for thread in retiring:
            thread.join(max(0.1, end - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # How it is done, by whoever holds _sending.

    def _run(
        self, rate: float, keys: Iterator[str | None], partition: int | None, text: str | None
    ) -> None:
        due, key = time.monotonic(), next(keys)
        while not self._end.wait(max(0.0, due - time.monotonic())):
            try:
                with self._sending:
                    self._send_one(key, partition, None, text)
            except ChatkitError as error:
                self._error = error
                due = time.monotonic() + AGAIN_SECONDS
            except Exception as error:
                logger.exception("%s ended", self.name)
                self._error = error
                return
            else:
                self._error = None
                key = next(keys)
                due = max(due + 1 / rate, time.monotonic() - CATCH_UP_SECONDS)

    def _send_one(
        self,
        key: str | None,
        partition: int | None,
        value: Mapping[str, Any] | str | bytes | None,
        text: str | None,
    ) -> str | None:
        n = len(self._sent)
        name = f"{self.name}-{self._run_id}-{n:06}"
        if isinstance(value, str | bytes):
            raw = value.encode() if isinstance(value, str) else value
            return self._hand_over(None, key, partition, raw)
        content = {"text": f"message {n}" if text is None else text} if value is None else value
        message = {"id": name, "n": n, **content}
        try:
            raw = msgspec.json.encode(message)
        except (TypeError, ValueError) as error:
            raise InputError(f"This value can't be written as JSON: {error}") from error
        own = message["id"]
        return self._hand_over(own if isinstance(own, str) else None, key, partition, raw)

    def _hand_over(
        self, name: str | None, key: str | None, partition: int | None, raw: bytes | None
    ) -> str | None:
        """Give a message to Kafka's client, which sends it when it can."""
        producer = self._ready_producer()
        if self.transactional_id is not None and self._transaction is None:
            raise RuntimeError(
                f"{self.name} has a transactional id: send within 'with sender.transaction():'"
            )
        place = self._place if partition is None else partition
        at_ms = time.time() * 1000
        future = self._given(producer, key, place, raw)
        sent = Sent(
            id=name,
            n=len(self._sent),
            topic=self.topic,
            partition=self._partitioner.chosen if place is None else place,
            key=key,
            at_ms=at_ms,
            transaction=None if self._transaction is None else "open",
        )
        with self._told:
            index = len(self._sent)
            self._sent.append(sent)
            self._waiting[index] = producer
        future.add_callback(self._acknowledge, index)
        future.add_errback(self._fail, index, producer)
        return name

    def _given(
        self, producer: KafkaProducer, key: str | None, place: int | None, raw: bytes | None
    ) -> Any:
        """Return the future of a message that the client has taken."""
        raw_key = None if key is None else key.encode()
        try:
            future = producer.send(self.topic, raw, key=raw_key, partition=place)
        except MessageSizeTooLargeError as error:
            raise InputError(
                f"A message of {len(raw or b''):,} bytes is more than a producer sends "
                f"({producer.config['max_request_size']:,}): send less at a time"
            ) from error
        except KafkaError as error:
            if self._is_missing():
                raise self._missing() from error
            raise self._explained(error, METADATA_SECONDS) from error
        except (AssertionError, TypeError, ValueError) as error:
            raise InputError(f"{self.topic} can't take this: {error}") from error
        if isinstance(future.exception, UnknownTopicOrPartitionError):
            raise self._missing() from future.exception
        return future

    def _missing(self) -> InputError:
        return InputError(
            f"There is no topic {self.topic!r} on Kafka at {self._settings.bootstrap_servers}: "
            "make it first, with learner.create"
        )

    def _is_missing(self) -> bool:
        """Return whether the brokers say that there is no such topic; no answer is no."""
        try:
            admin = make_client(
                KafkaAdminClient, self._settings, timeout=1.0, request_timeout_ms=1000
            )
        except ChatkitError:
            return False
        try:
            (found,) = admin.describe_topics([self.topic])
            return bool(found["error_code"] == UnknownTopicOrPartitionError.errno)
        except KafkaError:
            return False
        finally:
            admin.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("This Sender is closed; make a new one")

    def _ready_producer(self) -> KafkaProducer:
        """Return a client that works, made if there is none."""
        self._check_open()
        if self._fenced is not None:
            raise self._fenced
        if self._producer is not None and self._producer is self._broken:
            self._replace()
        if self._producer is None:
            self._producer = self._made()
        return self._producer

    def _made(self) -> KafkaProducer:
        self._partitioner = _Partitioner()
        producer = make_client(
            self._named_producer,  # type: ignore[arg-type]
            self._settings,
            timeout=min(CONNECT_SECONDS, self._settings.kafka_timeout),
            partitioner=self._partitioner,
            **self._config,
        )
        if self.transactional_id is not None:
            try:
                producer.init_transactions()
            except BaseException as error:
                self._retire(producer, 0.0)
                if isinstance(error, KafkaError):
                    raise self._explained(error, METADATA_SECONDS) from error
                raise
        return producer

    def _named_producer(self, **config: Any) -> KafkaProducer:
        return KafkaProducer(**{**config, "client_id": self.name})

    def _replace(self) -> None:
        """Put the client aside, to end on a thread of its own: that may take a moment."""
        stale, self._producer = self._producer, None
        if self._transaction is not None:
            self._mark(self._transaction, "aborted")
        thread = threading.Thread(
            target=self._retire, args=(stale, 1.0), name="chatkit-sender-old", daemon=True
        )
        self._retiring = [one for one in self._retiring if one.is_alive()] + [thread]
        thread.start()

    def _retire(self, producer: KafkaProducer, timeout: float) -> None:
        close_producer(producer, timeout)
        with self._told:
            left = [index for index, its in self._waiting.items() if its is producer]
        for index in left:
            self._settle(index, error="no answer came before the producer was closed")

    def _end_transaction(
        self, transaction: Transaction, outcome: TransactionState, timeout: float
    ) -> None:
        with self._sending:
            producer = self._producer
            assert producer is not None
            end = (
                producer.commit_transaction
                if outcome == "committed"
                else producer.abort_transaction
            )
            try:
                _within(timeout, end)
            except BaseException as error:
                self._mark(transaction, "unknown")
                with self._told:
                    self._broken = producer
                if isinstance(error, TimeoutError):
                    raise WorkshopTimeoutError(
                        f"Waited {timeout:g} s until a transaction of {self.name} was {outcome}. "
                        f"Last seen: no answer, with {self.waiting} messages not acknowledged. "
                        "Look whether the brokers run; the next transaction settles this one first"
                    ) from error
                if isinstance(error, KafkaError):
                    raise self._explained(error, timeout) from error
                raise
            self._mark(transaction, outcome)

    def _mark(self, transaction: Transaction, state: TransactionState) -> None:
        """Note how a transaction ended, with all of its messages."""
        transaction.state = state
        self._transaction = None
        with self._told:
            for index in range(len(self._sent) - 1, -1, -1):
                if self._sent[index].transaction != "open":
                    break
                self._sent[index] = msgspec.structs.replace(self._sent[index], transaction=state)
            self._told.notify_all()

    def _explained(self, error: KafkaError, seconds: float) -> BrokerUnavailableError:
        if isinstance(error, InvalidProducerEpochError | ProducerFencedError) or (
            self._was_shut_out(error)
        ):
            self._fenced = BrokerRefusedError(
                f"A newer sender has taken over the transactional id {self.transactional_id!r}: "
                f"Kafka has aborted what {self.name} had open, and takes nothing more from it "
                f"({type(error).__name__}). Go on with the newer one, or choose another id"
            )
            return self._fenced
        with self._told:
            if isinstance(error, BrokerResponseError) and not error.retriable:
                self._broken = self._producer
        return explain(self._settings, error, seconds, right=f"Write on topic {self.topic!r}")

    def _was_shut_out(self, error: KafkaError) -> bool:
        """Return whether a message of the transaction was refused for a newer sender's sake.

        Of its end kafka-python says only that it is in another state, while it takes the id back.
        """
        if type(error) is not KafkaError or self.transactional_id is None:
            return False
        with self._told:
            self._told.wait_for(lambda: not self._waiting, TOLD_SECONDS)
            last = itertools.takewhile(
                lambda one: one.transaction in ("open", "unknown"), reversed(self._sent)
            )
            return any((one.error or "").startswith(SHUT_OUT) for one in last)

    # On kafka-python's I/O thread.

    def _acknowledge(self, index: int, told: Any) -> None:
        at_ms = time.time() * 1000
        # With acks=0 no broker answers, and kafka-python makes an offset up.
        offset = None if self._config["acks"] == 0 else told.offset
        self._settle(index, partition=told.partition, offset=offset, acknowledged_ms=at_ms)

    def _fail(self, index: int, producer: KafkaProducer, error: BaseException) -> None:
        with self._told:
            if self._sent[index].transaction is None:
                # After most errors a KafkaProducer fails all that comes later with the same one.
                self._broken = producer
        reason = ": ".join(
            [
                type(error).__name__,
                *(str(one) for one in getattr(error, "args", ()) if one is not None),
            ]
        )
        self._settle(index, error=reason)

    def _settle(self, index: int, **news: Any) -> None:
        """Note what became of a message; what is told first counts."""
        with self._told:
            if self._waiting.pop(index, None) is None:
                return
            self._sent[index] = msgspec.structs.replace(self._sent[index], **news)
            if not self._waiting:
                self._told.notify_all()


def _within(timeout: float, call: Callable[[], object]) -> None:
    """Call what has no bound of its own; it goes on by itself where the time is over."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="chatkit-sender-ending", daemon=True).start()
    done.result(timeout)


def _check_partition(partition: int | None) -> None:
    if partition is not None and partition < 0:
        raise InputError(f"Partitions are numbered from 0, so there is no {partition}")


def _partitions(numbers: list[int]) -> str:
    return f"partition{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
