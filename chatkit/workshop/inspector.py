"""What there is on a Kafka, in tables: topics, records, groups, brokers.

It only looks, and nothing that it does changes what it looks at. Each figure names the call that
told it, so that a learner can make the same call. It knows nothing of the workshop's members and
senders.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    GroupIdNotFoundError,
    LeaderNotAvailableError,
    NoError,
    for_code,
)

from chatkit.errors import InputError
from chatkit.settings import Settings
from chatkit.workshop.asking import WAIT_SECONDS, ask
from chatkit.workshop.offsets import (
    COMMITTED_CALL,
    EDGES_CALL,
    TOPICS_CALL,
    Isolation,
    committed,
    edges,
    led,
    partitions_of,
)
from chatkit.workshop.records import READ_CALL, read_between

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Inspector", "RecordView"]

GROUPS_CALL = "KafkaAdminClient.list_groups, describe_groups"
MEMBERS_CALL = "KafkaAdminClient.describe_groups"
CONFIG_CALL = "KafkaAdminClient.describe_configs"
BROKERS_CALL = "KafkaAdminClient.describe_cluster"
OF_CONSUMERS = ("consumer", "")
"""Protocols of groups: also of one that has committed but never had members."""
LIMIT = 100
TIMESTAMP_TYPES = {0: "CreateTime", 1: "LogAppendTime"}
SET_BY = {"DYNAMIC_TOPIC_CONFIG": "topic", "DEFAULT_CONFIG": "default"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
TIME = "datetime64[ms, UTC]"
PRINTED = re.compile("[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*")
"""Text: bytes such as those of a number are now and then valid UTF-8, too."""
SHOWN = 60
"""Characters of a key or value in a record's ``repr``."""

Answer = TypeVar("Answer")
Part = tuple[str, int]
Edges = Mapping[TopicPartition, tuple[int, int]]


class RecordView(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is in the log."""

    topic: str
    partition: int
    offset: int
    key: str | None
    """As text, or, if it is none, in hexadecimal after ``0x``; None: it has no key."""
    value: str | None
    """As text, or, if it is none, in hexadecimal after ``0x``; None: a tombstone."""
    headers: tuple[tuple[str, str | None], ...]
    """Names and values in their order, values as ``value``."""
    timestamp_ms: int
    """Milliseconds since 1970 UTC; -1 if it has none."""
    timestamp_type: str
    """Whose clock: ``CreateTime`` the producer's, ``LogAppendTime`` the broker's."""
    size: int
    """Bytes of key and value."""
    raw_key: bytes | None
    """The key's bytes, as in Kafka."""
    raw_value: bytes | None
    """The value's bytes, as in Kafka."""
    source: str = READ_CALL
    """The call that gave it."""

    @property
    def timestamp(self) -> datetime | None:
        """The time in UTC; None if it has none, or one beyond the year 9999."""
        if self.timestamp_ms < 0:
            return None
        try:
            return EPOCH + timedelta(milliseconds=self.timestamp_ms)
        except OverflowError:
            return None

    @property
    def is_text(self) -> bool:
        """Whether the value is text, or there is none; else it is shown in hexadecimal."""
        return _text_of(self.raw_value) is not None or self.raw_value is None

    def __repr__(self) -> str:
        shown = f"key={_cut(self.key)}, value={_cut(self.value)}"
        if self.headers:
            shown += f", headers={list(self.headers)}"
        return (
            f"<Record {self.topic} {self.partition} offset {self.offset}: {shown}, "
            f"{self.timestamp_type} {self.timestamp or self.timestamp_ms}, {self.size} bytes>"
        )


class Inspector:
    """Looks at a Kafka: who uses it closes it.

    Thread-safe: each call makes connections of its own, since brokers come and go here on purpose,
    and asks again where a broker fails. All names are whole ones, such as ``lab.ana.orders``.

    All methods raise BrokerUnavailableError if no broker answered in time (BrokerRefusedError if
    Kafka does not let us look), and RuntimeError once the inspector is closed.

    Parameters
    ----------
    settings : Settings, optional
        Where Kafka is. Default: ``Settings()``.
    timeout : float, default 20
        Seconds in which an answer must come.
    """

    def __init__(self, settings: Settings | None = None, *, timeout: float = WAIT_SECONDS) -> None:
        self.settings = settings or Settings()
        """Where Kafka is."""
        self._timeout = timeout
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Inspector of {self.settings.bootstrap_servers}>"

    def close(self) -> None:
        """Look no more; idempotent. A call that goes on in another thread comes to its end."""
        self._closed.set()

    # Topics.

    def topics(self, prefix: str = "") -> pd.DataFrame:
        """Return the topics.

        Parameters
        ----------
        prefix : str, default ""
            How their names begin.

        Returns
        -------
        pandas.DataFrame
            By name: ``topic`` (str), ``partitions``, ``replicas`` (int64, of each partition: the
            least), ``internal`` (bool: Kafka's own), ``source`` (str).
        """
        found = sorted(
            (one for one in self._ask(_all_topics) if one["name"].startswith(prefix)),
            key=lambda one: str(one["name"]),
        )
        return _frame(
            {
                "topic": ("str", [one["name"] for one in found]),
                "partitions": ("int64", [len(one["partitions"]) for one in found]),
                "replicas": (
                    "int64",
                    [
                        min((len(part["replica_nodes"]) for part in one["partitions"]), default=0)
                        for one in found
                    ],
                ),
                "internal": ("bool", [one["is_internal"] for one in found]),
            },
            TOPICS_CALL,
        )

    def partitions(self, topic: str) -> pd.DataFrame:
        """Return the partitions of a topic.

        Returns
        -------
        pandas.DataFrame
            By partition: ``partition``, ``leader`` (int64: broker id, -1 if there is none),
            ``replicas`` (object: lists of broker ids, the preferred leader's first), ``isr``
            (object: lists of broker ids, sorted: those that have all that was written),
            ``log_start``, ``log_end``, ``messages`` (Int64, missing without a leader; ``messages``
            are offsets from start to end, of which some may hold none), ``source`` (str).

        Raises
        ------
        InputError
            There is no such topic.
        """

        def look(admin: KafkaAdminClient) -> tuple[list[dict[str, Any]], Edges]:
            parts = partitions_of(admin, topic)
            return parts, edges(admin, led(topic, parts))

        parts, found = self._ask(look)
        logs = [found.get(TopicPartition(topic, part["partition_index"])) for part in parts]
        return _frame(
            {
                "partition": ("int64", [part["partition_index"] for part in parts]),
                "leader": ("int64", [part["leader_id"] for part in parts]),
                "replicas": ("object", [list(part["replica_nodes"]) for part in parts]),
                "isr": ("object", [sorted(part["isr_nodes"]) for part in parts]),
                "log_start": ("Int64", [log and log[0] for log in logs]),
                "log_end": ("Int64", [log and log[1] for log in logs]),
                "messages": ("Int64", [log and log[1] - log[0] for log in logs]),
            },
            f"{TOPICS_CALL}; {EDGES_CALL}",
        )

    def config(self, topic: str) -> pd.DataFrame:
        """Return how a topic is set up.

        Returns
        -------
        pandas.DataFrame
            By name: ``name`` (str), ``value`` (object: str, None if it is secret), ``set_by``
            (str: ``topic``, ``broker`` or ``default``), ``source`` (str).

        Raises
        ------
        InputError
            There is no such topic.
        """

        def look(admin: KafkaAdminClient) -> dict[str, dict[str, Any]]:
            partitions_of(admin, topic)
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            found: dict[str, Any] = admin.describe_configs([resource], config_filter="all")
            entries: dict[str, dict[str, Any]] = found["topic"][topic]
            return entries

        entries = sorted(self._ask(look, f"DescribeConfigs on topic {topic!r}").items())
        return _frame(
            {
                "name": ("str", [name for name, _ in entries]),
                "value": ("object", [entry["value"] for _, entry in entries]),
                "set_by": (
                    "str",
                    [SET_BY.get(entry["config_source"], "broker") for _, entry in entries],
                ),
            },
            CONFIG_CALL,
        )

    # Records.

    def record(self, topic: str, partition: int, offset: int) -> RecordView:
        """Return one record, whatever is in it.

        Parameters
        ----------
        topic : str
            Whole name of the topic.
        partition : int
            Which partition.
        offset : int
            Its offset; negative: counted from the log's end, so that -1 is the last.

        Raises
        ------
        InputError
            There is no such topic, partition or record; the text says what there is.
        WorkshopTimeoutError
            It did not come in time.
        """
        part = TopicPartition(topic, partition)
        start, end = self._edges_of(part)
        wanted = end + offset if offset < 0 else offset
        where = f"partition {partition} of {topic}"
        if start == end:
            raise InputError(f"There is no record in {where}: its next offset is {end}")
        if not start <= wanted < end:
            raise InputError(
                f"There is no offset {wanted} in {where}: its log holds {start} to {end - 1}"
            )
        (found,) = self._read({part: (wanted, end)}, limit=1).values()
        if not found or found[0].offset != wanted:
            beyond = f"the next record is at {found[0].offset}" if found else "none comes after it"
            raise InputError(
                f"Offset {wanted} in {where} holds no record: it was compacted away, or is the "
                f"end of a transaction; {beyond}"
            )
        return _view(found[0])

    def record_at(self, topic: str, partition: int, when: datetime | int) -> RecordView | None:
        """Return the first record of that time or later; None if there is none, as Kafka says it.

        Parameters
        ----------
        topic : str
            Whole name of the topic.
        partition : int
            Which partition.
        when : datetime or int
            The time; a number is in milliseconds since 1970 UTC, and a datetime without a zone is
            local time.

        Raises
        ------
        InputError
            There is no such topic or partition.
        WorkshopTimeoutError
            It did not come in time.
        """
        part = TopicPartition(topic, partition)
        at = when if isinstance(when, int) else (when.astimezone(UTC) - EPOCH) // MILLISECOND
        if at < 0:
            raise InputError(f"The time is in milliseconds since 1970 UTC, so {at} is too early")

        def look(admin: KafkaAdminClient) -> tuple[int, int]:
            _, end = _edges_of(admin, part)
            return admin.list_partition_offsets({part: at})[part].offset, end

        first, end = self._ask(look)
        if not 0 <= first < end:
            return None
        (found,) = self._read({part: (first, end)}, limit=1).values()
        return _view(found[0], f"{EDGES_CALL}; {READ_CALL}") if found else None

    def records(
        self,
        topic: str,
        partition: int | None = None,
        first: int | None = None,
        limit: int = LIMIT,
        *,
        isolation: Isolation = "read_uncommitted",
    ) -> pd.DataFrame:
        """Return records of a topic; partitions without a leader are passed over.

        Parameters
        ----------
        topic : str
            Whole name of the topic.
        partition : int, optional
            Default: all.
        first : int, optional
            Offset from which to read, in each partition; negative: counted from its log's end.
            Default: from the beginning.
        limit : int, default 100
            At most so many of each partition, > 0.
        isolation : {"read_uncommitted", "read_committed"}
            With ``read_committed`` nothing of open and aborted transactions is there.

        Returns
        -------
        pandas.DataFrame
            By partition and offset: ``partition``, ``offset`` (int64), ``timestamp``
            (datetime64[ms, UTC], missing if it has none), ``timestamp_type`` (str), ``key``,
            ``value`` (object: as in `RecordView`), ``headers`` (object: tuples of name and value),
            ``size`` (int64, bytes of key and value), ``source`` (str).

        Raises
        ------
        InputError
            There is no such topic or partition, or ``limit`` is not over 0.
        WorkshopTimeoutError
            Not all came in time.
        """
        if limit < 1:
            raise InputError(f"limit must be over 0, not {limit}")

        def look(admin: KafkaAdminClient) -> Edges:
            parts = partitions_of(admin, topic)
            if partition is not None:
                parts = [_one_of(topic, parts, partition)]
            return edges(admin, led(topic, parts), isolation)

        bounds = {
            part: (_first(first, start, end), end) for part, (start, end) in self._ask(look).items()
        }
        found = self._read(bounds, limit=limit, isolation=isolation)
        views = [_view(one) for part in sorted(found) for one in found[part]]
        return _frame(
            {
                "partition": ("int64", [view.partition for view in views]),
                "offset": ("int64", [view.offset for view in views]),
                "timestamp": (TIME, [view.timestamp for view in views]),
                "timestamp_type": ("str", [view.timestamp_type for view in views]),
                "key": ("object", [view.key for view in views]),
                "value": ("object", [view.value for view in views]),
                "headers": ("object", [view.headers for view in views]),
                "size": ("int64", [view.size for view in views]),
            },
            READ_CALL,
        )

    # Groups.

    def groups(self, prefix: str = "") -> pd.DataFrame:
        """Return the groups of consumers.

        Parameters
        ----------
        prefix : str, default ""
            How their names begin.

        Returns
        -------
        pandas.DataFrame
            By name: ``group``, ``state`` (str: Kafka's, such as ``Stable`` and ``Empty``),
            ``members`` (int64), ``assignor`` (str: how partitions are split, empty without
            members), ``source`` (str).
        """
        found = self._ask(
            lambda admin: _describe(
                admin,
                sorted(
                    {
                        one["group_id"]
                        for one in admin.list_groups()
                        if one["group_id"].startswith(prefix)
                        and one["protocol_type"] in OF_CONSUMERS
                    }
                ),
            )
        )
        return _frame(
            {
                "group": ("str", list(found)),
                "state": ("str", [one["group_state"] for one in found.values()]),
                "members": ("int64", [len(one["members"]) for one in found.values()]),
                "assignor": ("str", [one["protocol_data"] or "" for one in found.values()]),
            },
            GROUPS_CALL,
        )

    def members(self, group: str) -> pd.DataFrame:
        """Return the members of a group; no rows if it has none, or there is no such group.

        Returns
        -------
        pandas.DataFrame
            By client and member: ``member`` (str: Kafka's id of it), ``client`` (str: what it
            calls itself), ``instance`` (object: str of a static member, else None), ``host``
            (str), ``partitions`` (object: sorted tuples of topic and partition), ``source``
            (str).
        """
        found = self._ask(lambda admin: _describe(admin, [group]), "Describe")
        members = sorted(
            (member for one in found.values() for member in one["members"]),
            key=lambda one: (str(one["client_id"]), str(one["member_id"])),
        )
        return _frame(
            {
                "member": ("str", [one["member_id"] for one in members]),
                "client": ("str", [one["client_id"] for one in members]),
                "instance": ("object", [one["group_instance_id"] for one in members]),
                "host": ("str", [one["client_host"] for one in members]),
                "partitions": ("object", [_assigned(one) for one in members]),
            },
            MEMBERS_CALL,
        )

    def offsets(self, group: str) -> pd.DataFrame:
        """Return how far a group has read, of all partitions that it committed or that it owns.

        Returns
        -------
        pandas.DataFrame
            By topic and partition: ``topic`` (str), ``partition`` (int64), ``committed`` (Int64:
            offset of the next record to read, missing if nothing is), ``log_start``, ``log_end``
            (Int64, missing without a leader), ``lag`` (Int64: from committed to the end, missing
            if one of them is), ``source`` (str). No rows if there is no such group.
        """

        def look(admin: KafkaAdminClient) -> tuple[dict[TopicPartition, int], Edges, set[Part]]:
            told = committed(admin, group)
            owned = {
                part
                for one in _describe(admin, [group]).values()
                for member in one["members"]
                for part in _assigned(member)
            }
            parts = owned | {(part.topic, part.partition) for part in told}
            return told, edges(admin, _with_leader(admin, parts)), parts

        told, found, parts = self._ask(look)
        rows = [TopicPartition(*part) for part in sorted(parts)]
        logs = [found.get(part) for part in rows]
        read = [told.get(part) for part in rows]
        return _frame(
            {
                "topic": ("str", [part.topic for part in rows]),
                "partition": ("int64", [part.partition for part in rows]),
                "committed": ("Int64", read),
                "log_start": ("Int64", [log and log[0] for log in logs]),
                "log_end": ("Int64", [log and log[1] for log in logs]),
                "lag": (
                    "Int64",
                    [
                        None if log is None or at is None else log[1] - at
                        for log, at in zip(logs, read, strict=True)
                    ],
                ),
            },
            f"{COMMITTED_CALL}; {EDGES_CALL}",
        )

    # Brokers.

    def brokers(self) -> pd.DataFrame:
        """Return the brokers that the cluster knows.

        Returns
        -------
        pandas.DataFrame
            By id: ``broker`` (int64), ``host`` (str), ``port`` (int64), ``rack`` (object: str or
            None), ``state`` (str: ``running``, or ``down`` if the cluster does not hear of it),
            ``source`` (str).
        """
        found = sorted(
            self._ask(lambda admin: list(admin.describe_cluster()["brokers"])),
            key=lambda one: int(one["broker_id"]),
        )
        return _frame(
            {
                "broker": ("int64", [one["broker_id"] for one in found]),
                "host": ("str", [one["host"] for one in found]),
                "port": ("int64", [one["port"] for one in found]),
                "rack": ("object", [one["rack"] for one in found]),
                "state": ("str", ["down" if one.get("is_fenced") else "running" for one in found]),
            },
            BROKERS_CALL,
        )

    def _ask(self, look: Callable[[KafkaAdminClient], Answer], right: str = "Describe") -> Answer:
        self._check_open()
        return ask(self.settings, look, timeout=self._timeout, right=right)

    def _edges_of(self, part: TopicPartition) -> tuple[int, int]:
        return self._ask(lambda admin: _edges_of(admin, part))

    def _read(
        self, bounds: Edges, *, limit: int, isolation: Isolation = "read_uncommitted"
    ) -> dict[TopicPartition, list[Any]]:
        self._check_open()
        return read_between(
            self.settings, bounds, isolation=isolation, limit=limit, timeout=self._timeout
        )

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise RuntimeError("the inspector is closed; make a new one")


def _all_topics(admin: KafkaAdminClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.describe_topics()
    return found


def _one_of(topic: str, parts: list[dict[str, Any]], partition: int) -> dict[str, Any]:
    for part in parts:
        if part["partition_index"] == partition:
            return part
    raise InputError(
        f"There is no partition {partition} of {topic}: it has {len(parts)}, counted from 0"
    )


def _with_leader(admin: KafkaAdminClient, parts: set[Part]) -> list[TopicPartition]:
    """Return those of some partitions that are there and have a leader."""
    topics = sorted({topic for topic, _ in parts})
    found = admin.describe_topics(topics) if topics else []
    every = (part for one in found for part in led(one["name"], one["partitions"]))
    return [part for part in every if (part.topic, part.partition) in parts]


def _edges_of(admin: KafkaAdminClient, part: TopicPartition) -> tuple[int, int]:
    found = _one_of(part.topic, partitions_of(admin, part.topic), part.partition)
    if found["leader_id"] < 0:
        raise LeaderNotAvailableError(f"partition {part.partition} of {part.topic} has no leader")
    return edges(admin, [part])[part]


def _describe(admin: KafkaAdminClient, groups: list[str]) -> dict[str, dict[str, Any]]:
    """Return what Kafka says of groups; of one that is not there, that it is dead."""
    if not groups:
        return {}
    found = dict(admin.describe_groups(groups))
    for group, told in found.items():
        number = re.match(r"\[Error (\d+)\]", told["error"] or "")
        problem = for_code(int(number[1])) if number else NoError
        if problem not in (NoError, GroupIdNotFoundError):
            raise problem(group)
    return {group: found[group] for group in groups if group in found}


def _assigned(member: dict[str, Any]) -> list[Part]:
    """Return the partitions that a member owns."""
    told = member["member_assignment"]
    if not isinstance(told, dict):
        return []
    return sorted(
        (one["topic"], number)
        for one in told["assigned_partitions"]
        for number in one["partitions"]
    )


def _first(first: int | None, start: int, end: int) -> int:
    if first is None:
        return start
    return max(start, end + first if first < 0 else first)


def _view(record: Any, source: str = READ_CALL) -> RecordView:
    return RecordView(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=_shown(record.key),
        value=_shown(record.value),
        headers=tuple((name, _shown(value)) for name, value in record.headers or ()),
        timestamp_ms=record.timestamp,
        timestamp_type=TIMESTAMP_TYPES.get(record.timestamp_type, ""),
        size=len(record.key or b"") + len(record.value or b""),
        raw_key=record.key,
        raw_value=record.value,
        source=source,
    )


def _text_of(raw: bytes | None) -> str | None:
    """Return bytes as text; None if they are none."""
    if raw is None:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if PRINTED.fullmatch(text) else None


def _shown(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    text = _text_of(raw)
    return f"0x{raw.hex()}" if text is None else text


def _cut(text: str | None) -> str:
    return repr(text if text is None or len(text) <= SHOWN else f"{text[: SHOWN - 1]}…")


def _frame(columns: Mapping[str, tuple[str, Sequence[Any]]], source: str) -> pd.DataFrame:
    """Return a frame of columns with their types, that says of each row where it is from."""
    import pandas as pd

    made = {name: pd.Series(list(values), dtype=dtype) for name, (dtype, values) in columns.items()}
    rows = len(next(iter(made.values())))
    return pd.DataFrame({**made, "source": pd.Series([source] * rows, dtype="str")})
