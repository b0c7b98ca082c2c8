"""The Kafka lens: what Kafka and MongoDB really hold of a message, read anew.

It shows records as they are, with their keys, headers and times, and so reads them from the
brokers, not from what a room remembers. It knows nothing of widgets, and writes nothing.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import pymongo
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from pymongo.errors import PyMongoError

from chatkit.connection import explain
from chatkit.consumer import Gap, close_reader, make_reader, read_records
from chatkit.errors import BrokerUnavailableError, InputError
from chatkit.message import Message, decode
from chatkit.settings import Settings
from chatkit.store import MessageStore

__all__ = ["Lens", "LensReader", "Place"]

logger = logging.getLogger(__name__)

VALUE_LIMIT = 4000
"""Characters of a value that are shown."""
NAME_LIMIT = 200
"""Characters of a key, or of a header's name or text, that are shown."""
HEADERS = 50
"""Headers that are shown."""
FETCH_BYTES = 64 * 1024
"""How much to fetch at a time: some 150 messages, since often one alone is asked for."""
NEAR = 100
"""Records up to which it is quicker to read on than to seek."""
POLL_SECONDS = 0.05
METADATA_SECONDS = 1.0
"""For Kafka to tell which partitions there are."""
MONGO_SECONDS = 1.0
"""How long MongoDB may take to say when it archived something."""
MONGO_AWAY_SECONDS = 10.0
"""How long to leave MongoDB alone once it did not answer."""
TIMESTAMP_TYPES = {0: "CreateTime", 1: "LogAppendTime"}


class Place(NamedTuple):
    """Where in Kafka something is."""

    channel: str
    """Name of the channel."""
    partition: int
    """Partition of its topic."""
    offset: int
    """Offset in the partition."""


class Lens(msgspec.Struct, frozen=True, kw_only=True):
    """A record as Kafka holds it, and when MongoDB got it."""

    topic: str
    """Kafka topic."""
    partition: int
    """Partition of the topic."""
    offset: int
    """Offset in the partition."""
    key: str | None = None
    """The record's key; as Python writes bytes if it is no text; None if it has none."""
    headers: tuple[tuple[str, str], ...] = ()
    """The record's headers, name and text, the first `HEADERS`."""
    timestamp_type: str = ""
    """``LogAppendTime``: it is the broker's; ``CreateTime``: it is the sender's."""
    sent_ms: int | None = None
    """When the sender says to have sent it, ms since 1970 UTC; None if that can't be read."""
    appended_ms: int | None = None
    """The record's timestamp, ms since 1970 UTC."""
    archived_ms: int | None = None
    """When it was archived, ms since 1970 UTC; None if it is not, or MongoDB does not answer."""
    size: int = 0
    """Bytes of key and value, as they are in Kafka before compression."""
    value: str | None = None
    """The record's value as text, cut off; bytes that are no UTF-8 as in ``\\xff``."""
    reason: str = ""
    """Why there is no record; empty if there is one."""


class LensReader:
    """Looks up records in Kafka. Connects at first use; who makes it closes it.

    Not thread-safe: all calls belong on one thread.

    Parameters
    ----------
    settings : Settings
        Where Kafka is; its ``kafka_timeout`` is how long a look may take.
    store : MessageStore
        The archive, which stays the caller's.
    """

    def __init__(self, settings: Settings, store: MessageStore) -> None:
        self._settings = settings
        self._store = store
        self._consumer: KafkaConsumer | None = None
        self._mongo_again = float("-inf")

    def close(self) -> None:
        """Close the connection to Kafka; idempotent, and the next look opens a new one."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            close_reader(consumer)

    def look(
        self, places: Mapping[str, Place], *, stop: threading.Event | None = None
    ) -> dict[str, Lens]:
        """Return what Kafka and MongoDB hold of some rows.

        Parameters
        ----------
        places : mapping
            Id of a message, or any other id of a row -> where it is.
        stop : threading.Event, optional
            Set from elsewhere to get what there is by then.

        Returns
        -------
        dict
            Lens by id, in the same order. Without MongoDB all but ``archived_ms`` is there.

        Raises
        ------
        BrokerUnavailableError
            Kafka did not give all of them within ``settings.kafka_timeout`` seconds.
        BrokerRefusedError
            Kafka does not let us read them.
        """
        if not places:
            return {}
        stop = stop or threading.Event()
        topics = {place: self._settings.topic_of(place.channel) for place in places.values()}
        wanted: dict[TopicPartition, set[int]] = defaultdict(set)
        for place, topic in topics.items():
            wanted[TopicPartition(topic, place.partition)].add(place.offset)
        started = time.monotonic()
        try:
            if self._consumer is None:
                self._consumer = make_reader(
                    self._settings, fetch_bytes=FETCH_BYTES, fetch_seconds=POLL_SECONDS / 5
                )
            end = started + self._settings.kafka_timeout
            found = _Search(self._consumer, wanted, self._settings, end).run(stop)
        except (KafkaError, BrokerUnavailableError) as error:
            self.close()
            if isinstance(error, BrokerUnavailableError):
                raise
            seconds = time.monotonic() - started
            raise explain(self._settings, error, seconds, right="Read") from error
        archived = self._archived(places, topics)
        lenses = {}
        for row, place in places.items():
            record = found.get((topics[place], place.partition, place.offset))
            if record is not None or not stop.is_set():
                lenses[row] = _lens(place, topics[place], record, archived.get(row))
        return lenses

    def _archived(self, places: Mapping[str, Place], topics: Mapping[Place, str]) -> dict[str, int]:
        """Return when rows were archived, ms since 1970, as far as MongoDB says."""
        if time.monotonic() < self._mongo_again:
            return {}
        assert self._consumer is not None
        cluster = self._consumer._client.cluster
        where = {
            "_id": {"$in": list(places)},
            "channel": {"$in": list({place.channel for place in places.values()})},
        }
        letters = {
            f"{cluster.topic_id(topics[place])}/{place.partition}/{place.offset}": row
            for row, place in places.items()
        }
        database = self._store.database
        found: dict[str, Any] = {}
        try:
            with pymongo.timeout(MONGO_SECONDS):
                for document in database["dead_letters"].find(
                    {"_id": {"$in": list(letters)}}, {"archived_at": 1}
                ):
                    found[letters[document["_id"]]] = document.get("archived_at")
                for name in ("events", "messages"):
                    for document in database[name].find(where, {"archived_at": 1}):
                        found[document["_id"]] = document.get("archived_at")
        except PyMongoError as error:
            logger.info("MongoDB does not say what it has archived: %s", type(error).__name__)
            self._mongo_again = time.monotonic() + MONGO_AWAY_SECONDS
            return {}
        return {
            row: round(at.timestamp() * 1000)
            for row, at in found.items()
            if isinstance(at, datetime)
        }


Found = dict[tuple[str, int, int], Any]
"""By topic, partition and offset: the record, or as text why there is none."""


class _Search:
    """One look into some partitions, by seeking and reading on."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        wanted: Mapping[TopicPartition, Iterable[int]],
        settings: Settings,
        end: float,
    ) -> None:
        self._consumer = consumer
        self._settings = settings
        self._end = end
        self._wanted = wanted
        self._found: Found = {}
        self._ranges: dict[TopicPartition, list[tuple[int, int]]] = {}

    def run(self, stop: threading.Event) -> Found:
        """Return what was found by the end, or until ``stop`` was set."""
        known_by = time.monotonic() + min(METADATA_SECONDS, self._settings.kafka_timeout / 2)
        for part, offsets in self._wanted.items():
            log_end = self._log_end(part, known_by)
            if log_end is None:
                self._note_gone(part, offsets, "Kafka has no such partition any more")
                continue
            beyond = [offset for offset in offsets if offset >= log_end]
            self._note_gone(part, beyond, f"The log ends at offset {log_end}, before it")
            there = sorted(offset for offset in offsets if offset < log_end)
            if there:
                self._ranges[part] = list(_ranges(there))
        self._go()
        for batch in read_records(self._consumer, stop, poll_seconds=POLL_SECONDS):
            for record in batch:
                self._take(record)
            if self._advance():
                break
            self._check_time()
        self._consumer.assign([])  # nothing is fetched ahead
        return self._found

    def _log_end(self, part: TopicPartition, known_by: float) -> int | None:
        """Return the offset that a partition's next record will get; None: there is none such."""
        cluster = self._consumer._client.cluster
        cluster.add_topic(part.topic)
        # kafka-python would ask for what is not there until the time is over.
        while part.partition not in (cluster.partitions_for_topic(part.topic) or ()):
            if time.monotonic() > known_by:
                return None
            self._consumer.poll(timeout_ms=10)
        left = max(0.1, self._end - time.monotonic())
        try:
            return int(self._consumer.end_offsets([part], timeout_ms=int(left * 1000))[part])
        except KafkaTimeoutError:
            if part.partition in (cluster.partitions_for_topic(part.topic) or ()):
                raise
            return None

    def _go(self) -> None:
        self._consumer.assign(list(self._ranges))
        for part, ranges in self._ranges.items():
            self._consumer.seek(part, ranges[0][0])

    def _take(self, record: Any) -> None:
        part = TopicPartition(record.topic, record.partition)
        if isinstance(record, Gap):
            offsets = self._wanted[part]
            start = record.last + 1
            gone = [offset for offset in offsets if offset < start]
            self._note_gone(part, gone, f"Deleted (retention): the log begins at offset {start}")
        elif record.offset in self._wanted[part]:
            self._found[record.topic, record.partition, record.offset] = record

    def _note_gone(self, part: TopicPartition, offsets: Iterable[int], reason: str) -> None:
        for offset in offsets:
            self._found.setdefault((part.topic, part.partition, offset), reason)

    def _advance(self) -> bool:
        """Seek to what is to be read next; return whether that is nothing."""
        for part, ranges in list(self._ranges.items()):
            position = self._consumer.position(part, timeout_ms=1000) or 0
            is_through = position > ranges[0][1]
            while ranges and position > ranges[0][1]:
                ranges.pop(0)
            if not ranges:
                del self._ranges[part]
                self._consumer.pause(part)
            elif is_through and position < ranges[0][0]:
                self._consumer.seek(part, ranges[0][0])
        return not self._ranges

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            waiting = ", ".join(sorted(part.topic for part in self._ranges))
            raise BrokerUnavailableError(
                f"Kafka did not give the records of {waiting} within "
                f"{self._settings.kafka_timeout:g} s; it may be restarting: try again"
            )


def _ranges(offsets: list[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of those of some sorted offsets that are near each other."""
    first = last = offsets[0]
    for offset in offsets[1:]:
        if offset - last > NEAR:
            yield first, last
            first = offset
        last = offset
    yield first, last


def _lens(place: Place, topic: str, found: Any, archived_ms: int | None) -> Lens:
    if found is None or isinstance(found, str):
        return Lens(
            topic=topic,
            partition=place.partition,
            offset=place.offset,
            archived_ms=archived_ms,
            reason=found
            or "Kafka has no record at this offset: it was compacted away, or is no "
            "record but the end of a transaction",
        )
    return Lens(
        topic=topic,
        partition=place.partition,
        offset=place.offset,
        key=_key(found.key),
        headers=tuple(
            (_cut(name, NAME_LIMIT), _text(value, NAME_LIMIT) or "")
            for name, value in itertools.islice(found.headers, HEADERS)
        ),
        timestamp_type=TIMESTAMP_TYPES.get(found.timestamp_type, ""),
        sent_ms=_sent_ms(found.value, place.channel),
        appended_ms=found.timestamp,
        archived_ms=archived_ms,
        size=len(found.key or b"") + len(found.value or b""),
        value=_text(found.value, VALUE_LIMIT),
    )


def _sent_ms(value: bytes | None, channel: str) -> int | None:
    try:
        item = decode(value, channel)
    except InputError:
        return None
    return item.sent_ms if isinstance(item, Message) else item.at_ms


def _key(key: bytes | None) -> str | None:
    if key is None:
        return None
    try:
        return _cut(key.decode(), NAME_LIMIT)
    except UnicodeDecodeError:
        return _cut(repr(key[:NAME_LIMIT]), NAME_LIMIT)


def _text(value: bytes | None, limit: int) -> str | None:
    if value is None:
        return None
    # A character has four bytes at most, so that one that is cut in two is beyond the limit.
    return _cut(value[: 4 * (limit + 1)].decode("utf-8", "backslashreplace"), limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
