"""The log of a topic: a lane for each partition, with its newest records in the colours of keys.

What is shown is read anew from Kafka whenever the log changed, and now and then, since compaction
changes it without a sign. So the picture is what the log holds, never what was seen go by.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from chatkit.consumer import Gap, close_reader, make_reader, read_records
from chatkit.errors import BrokerUnavailableError, InputError
from chatkit.workshop.views.corner import Corner, locate
from chatkit.workshop.views.frontend import script
from chatkit.workshop.views.ticking import SECONDS, Seen, View

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LogView"]

SHOWN = 30
"""Records of each partition that are shown."""
MOST_SHOWN = 200
READ_AGAIN_SECONDS = 2.0
"""After which an unchanged log is read again, for what compaction took out."""
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 2.0
"""For Kafka to answer one question."""
READ_SECONDS = 5.0
"""For all that is shown to be read."""
POLL_SECONDS = 0.05
FETCH_BYTES = 256 * 1024
VALUE_LIMIT = 160
"""Characters of a value, or of a key, that are sent to the page."""
TIMESTAMP_TYPES = {0: "CreateTime", 1: "LogAppendTime"}
SOURCE = "KafkaConsumer.beginning_offsets, end_offsets"


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """A record, as far as it is shown."""

    offset: int
    key: str | None
    at_ms: int
    timestamp_type: str
    size: int
    """Bytes of key and value."""
    value: str | None
    """None for a tombstone."""


class _Lane(msgspec.Struct, frozen=True):
    """A partition."""

    partition: int
    leader: int
    """Broker id; -1 if there is none."""
    start: int
    end: int
    first: int
    """The first offset that is looked at."""
    records: list[_Record] = []


Bounds = dict[TopicPartition, tuple[int, int]]


class LogView(View):
    """Shows the newest records of a topic, partition by partition.

    Thread-safe; who makes it closes it. The topic need not be there yet. Records stand in the
    order of their offsets, in the colour of their key; offsets that hold none (compacted away, or
    the end of a transaction) are gaps, and where the log begins after 0, that is marked.
    Uncommitted records are shown too.

    Parameters
    ----------
    learner : Learner or Settings
        Whose topic; with settings, where Kafka is.
    topic : str
        Name of the topic: of a learner the short one, such as ``orders``; with settings the whole.
    shown : int, default 30
        How many offsets of each partition, 1-200.
    seconds : float, default 0.2
        Between two looks, over 0.

    Raises
    ------
    InputError
        ``shown`` is out of range.
    """

    _esm = script("log")

    def __init__(
        self, learner: Corner, topic: str, *, shown: int = SHOWN, seconds: float = SECONDS
    ) -> None:
        if not 1 <= shown <= MOST_SHOWN:
            raise InputError(f"shown must be 1 to {MOST_SHOWN}, not {shown}")
        self._settings, self._topic = locate(learner, topic)
        self._shown = shown
        self._consumer: KafkaConsumer | None = None
        self._read_at = float("-inf")
        self._lanes: tuple[_Lane, ...] = ()
        self._topic_id: object = None
        super().__init__(f"Log of {self._topic}", seconds=seconds)

    @property
    def frame(self) -> pd.DataFrame:
        """The records that are shown.

        Returns
        -------
        pandas.DataFrame
            By partition and offset: ``partition``, ``offset`` (int64), ``key`` (object, None if
            there is none), ``timestamp`` (datetime64[ms, UTC]), ``timestamp_type`` (str:
            ``CreateTime`` or ``LogAppendTime``), ``bytes`` (int64, of key and value), ``value``
            (object: text, cut off at 160 characters; None for a tombstone).
        """
        import pandas as pd

        rows = [(lane.partition, record) for lane in self._lanes for record in lane.records]
        records = [record for _, record in rows]
        return pd.DataFrame(
            {
                "partition": pd.Series([partition for partition, _ in rows], dtype="int64"),
                "offset": pd.Series([record.offset for record in records], dtype="int64"),
                "key": pd.Series([record.key for record in records], dtype="object"),
                "timestamp": pd.Series([record.at_ms for record in records], dtype="int64")
                .astype("datetime64[ms]")
                .dt.tz_localize("UTC"),
                "timestamp_type": pd.Series(
                    [record.timestamp_type for record in records], dtype="str"
                ),
                "bytes": pd.Series([record.size for record in records], dtype="int64"),
                "value": pd.Series([record.value for record in records], dtype="object"),
            }
        )

    @property
    def partitions(self) -> pd.DataFrame:
        """The partitions, as they were at the last look.

        Returns
        -------
        pandas.DataFrame
            By partition: ``partition``, ``leader`` (-1: none), ``log_start``, ``log_end``
            (int64), ``source`` (str: the calls that told the offsets).
        """
        import pandas as pd

        lanes = self._lanes
        columns = {
            "partition": [lane.partition for lane in lanes],
            "leader": [lane.leader for lane in lanes],
            "log_start": [lane.start for lane in lanes],
            "log_end": [lane.end for lane in lanes],
        }
        frame = pd.DataFrame(columns, dtype="int64")
        return frame.assign(source=pd.Series([SOURCE] * len(lanes), dtype="str"))

    def _look(self) -> Seen:
        try:
            return self._look_at_kafka()
        except KafkaError as error:
            self._end()
            raise BrokerUnavailableError(
                f"Kafka at {self._settings.bootstrap_servers} does not tell of {self._topic} just "
                f"now ({type(error).__name__}). What is shown is older; the view goes on by itself "
                "once Kafka answers: look whether its brokers run"
            ) from error

    def _look_at_kafka(self) -> Seen:
        if self._consumer is None:
            self._consumer = make_reader(
                self._settings,
                timeout=CONNECT_SECONDS,
                fetch_bytes=FETCH_BYTES,
                fetch_seconds=POLL_SECONDS / 2,
            )
            self._read_at = float("-inf")
        leaders = _leaders(self._consumer, self._topic)
        topic_id = self._consumer._client.cluster.topic_id(self._topic)
        bounds = _bounds(self._consumer, [part for part, leader in leaders.items() if leader >= 0])
        before = {lane.partition: lane for lane in self._lanes}
        known = {lane.partition: (lane.start, lane.end) for lane in self._lanes}
        now = {part.partition: bounds.get(part, known.get(part.partition)) for part in leaders}
        is_due = time.monotonic() - self._read_at > READ_AGAIN_SECONDS
        read: Mapping[int, list[_Record]] = {}
        if is_due or now != known or topic_id != self._topic_id:
            read = _read(self._consumer, bounds, self._shown)
            self._read_at = time.monotonic()
        lanes = []
        for part, leader in leaders.items():
            old = before.get(part.partition)
            start, end = now[part.partition] or (0, 0)
            records = read.get(part.partition, old.records if old is not None else [])
            first = max(start, end - self._shown)
            lanes.append(_Lane(part.partition, leader, start, end, first, records))
        self._lanes, self._topic_id = tuple(lanes), topic_id
        return Seen(_content(lanes, str(topic_id)), _text(self._topic, lanes))

    def _end(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            close_reader(consumer)


def _leaders(consumer: KafkaConsumer, topic: str) -> dict[TopicPartition, int]:
    """Return the partitions of a topic, each with its leader's id; empty if there is no topic."""
    cluster = consumer._client.cluster
    cluster.add_topic(topic)
    asked = cluster.request_update()
    end = time.monotonic() + ANSWER_SECONDS
    # KafkaConsumer.partitions_for_topic would wait for ever where no broker answers.
    while not asked.is_done and time.monotonic() < end:
        consumer.poll(timeout_ms=10)
    parts = [TopicPartition(topic, n) for n in sorted(cluster.partitions_for_topic(topic) or ())]
    found = {part: cluster.leader_for_partition(part) for part in parts}
    return {part: -1 if leader is None else leader for part, leader in found.items()}


def _bounds(consumer: KafkaConsumer, parts: list[TopicPartition]) -> Bounds:
    """Return where the logs of partitions begin and end."""
    if not parts:
        return {}
    milliseconds = int(ANSWER_SECONDS * 1000)
    starts = consumer.beginning_offsets(parts, timeout_ms=milliseconds)
    ends = consumer.end_offsets(parts, timeout_ms=milliseconds)
    return {part: (starts[part], ends[part]) for part in parts}


def _read(consumer: KafkaConsumer, bounds: Bounds, shown: int) -> dict[int, list[_Record]]:
    """Return the last records of partitions, by partition."""
    found: dict[int, list[_Record]] = {part.partition: [] for part in bounds}
    if set(bounds) != consumer.assignment():
        consumer.assign(list(bounds))
    for part, (start, end) in bounds.items():
        consumer.seek(part, max(start, end - shown))
    left = {part for part, (start, end) in bounds.items() if start < end}
    until = time.monotonic() + READ_SECONDS
    for batch in (
        read_records(consumer, threading.Event(), poll_seconds=POLL_SECONDS) if left else ()
    ):
        for record in batch:
            if isinstance(record, Gap):
                continue
            end = bounds[TopicPartition(record.topic, record.partition)][1]
            if record.offset < end:
                found[record.partition].append(_shown(record))
        # Where the log's last offset holds no record, the position alone tells that all is read.
        left = {part for part in left if (consumer.position(part, 1000) or 0) < bounds[part][1]}
        if not left:
            break
        if time.monotonic() > until:
            topics = ", ".join(sorted({part.topic for part in left}))
            raise BrokerUnavailableError(
                f"Kafka did not give the records of {topics} within {READ_SECONDS:g} s. "
                "What is shown is older; the view tries again"
            )
    return found


def _shown(record: Any) -> _Record:
    return _Record(
        record.offset,
        _as_text(record.key),
        record.timestamp,
        TIMESTAMP_TYPES.get(record.timestamp_type, ""),
        len(record.key or b"") + len(record.value or b""),
        _as_text(record.value),
    )


def _as_text(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    # A character has four bytes at most, so that one that is cut in two is beyond the limit.
    text = raw[: 4 * (VALUE_LIMIT + 1)].decode("utf-8", "backslashreplace")
    return text if len(text) <= VALUE_LIMIT else text[: VALUE_LIMIT - 1] + "…"


def _content(lanes: list[_Lane], topic_id: str) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.to_builtins({"topic_id": topic_id, "lanes": lanes})
    return content


def _text(topic: str, lanes: list[_Lane]) -> str:
    if not lanes:
        return f"There is no topic {topic} on this Kafka yet."
    return f"Topic {topic}. " + " ".join(map(_lane_text, lanes))


def _lane_text(lane: _Lane) -> str:
    begins = f"Partition {lane.partition}"
    if lane.leader < 0:
        begins += " has no leader, so that nobody can read or write it; it"
    if lane.start == lane.end:
        return f"{begins} is empty; its next offset is {lane.end}."
    newest = lane.records[-1] if lane.records else None
    told = f"{begins} holds offsets {lane.start} to {lane.end - 1}"
    if newest is None:
        return f"{told}, no record among the last."
    key = "no key" if newest.key is None else f"key {newest.key}"
    return f"{told}, the newest record at {newest.offset} with {key}."
