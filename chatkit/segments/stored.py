"""Segments as they lie in MongoDB: which there are, what is to be believed, and what they hold.

A segment is a closed range of a partition's offsets: its messages that no event was about, as Arrow
columns. Such a message never changes, so that its copy can't be out of date; all others are read
from their documents. What is missing, damaged, of another version, not ready or ahead of what is
archived is not believed, and its range is read as rows.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import crc32c
import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from pymongo import CursorType

from chatkit.segments.columns import DATE, MESSAGE_SCHEMA, repeated
from chatkit.store import SEGMENT_HEADER, MessageStore

__all__ = [
    "KEYS",
    "VERSION",
    "Copy",
    "Header",
    "document",
    "fetch",
    "headers",
    "pack",
    "unpack",
    "usable",
]

VERSION = 3
"""Of what is in a segment; one of another version is not read."""
FETCHED = 200
"""Segments to ask for at a time."""

KEYS = ("placed_at", "partition", "offset")
"""What messages are put in order by, before their ids."""
_CONSTANT = ("channel", "partition")
_NOTHING = {"reactions": 0, "rev": 0}
_UNTOUCHED = ("edited_at", "deleted_at", "pinned_at", *_NOTHING)
"""What a message has none of that no event was about."""
_SOLE = b"sole"
"""Where the columns with only one value are told of, as JSON."""
_NUMBERED = {DATE: pa.int64()}
_REPEATED = ("author", "source")
"""What is the same in many messages: each text is stored once."""


def _stored(field: Any) -> Any:
    """Return a column of MESSAGE_SCHEMA as it is stored: its texts never have as much as 2 GiB."""
    if field.type != pa.large_string():
        return field
    kind = pa.string()
    return field.with_type(pa.dictionary(pa.int32(), kind) if field.name in _REPEATED else kind)


_STORED = pa.schema(
    [_stored(field) for field in MESSAGE_SCHEMA if field.name not in (*_CONSTANT, *_UNTOUCHED)]
)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a segment without its columns."""

    channel: str
    """Name of the channel."""
    topic_id: str
    """Kafka's id of its topic."""
    partition: int
    """Partition of the topic."""
    first: int
    """The first offset of its range."""
    last: int
    """The last one."""
    rows: int
    """How many messages it has: those of the range that no event was about."""
    least: int | None
    """When the first of them was placed, ms since 1970 UTC; None if there is none."""
    greatest: int | None
    """When the last of them was placed, ms since 1970 UTC; None if there is none."""
    size: int
    """Bytes of its columns."""
    check: int
    """CRC-32C of the columns."""
    seal: int = 0
    """CRC-32C of all that is here but ready."""
    ready: bool
    """Whether it was found to be true once more after it was stored."""
    version: int
    """`VERSION` of whoever built it."""

    @property
    def id(self) -> str:
        """Its ``_id``."""
        return f"{self.topic_id}/{self.partition}/{self.first:020d}"

    @property
    def place(self) -> tuple[str, str, int]:
        """Channel, topic's id and partition."""
        return self.channel, self.topic_id, self.partition

    def sealed(self) -> Header:
        """Return the same with the seal that it ought to have."""
        plain = msgspec.structs.replace(self, ready=False, seal=0)
        return msgspec.structs.replace(self, seal=crc32c.crc32c(repr(plain).encode()))


def pack(table: Any) -> bytes:
    """Return the columns of messages that no event was about, as they are stored."""
    table = table.select(_STORED.names).combine_chunks()
    # What is the same in all messages is told once, and so nobody has to unpack it.
    sole = {name: value for name in _STORED.names for value in _only(table[name])}
    some = pa.schema([field for field in _STORED if field.name not in sole])
    columns = table.select(some.names).cast(some)
    schema = some.with_metadata({_SOLE: msgspec.json.encode(sole)})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        writer.write_table(columns)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _only(column: Any) -> list[Any]:
    """Return the value of a column that has only one, dates in ms since 1970 UTC; else nothing."""
    if column.null_count == len(column):
        return [None]
    if pc.count_distinct(column, mode="all").as_py() > 1:
        return []
    value: list[Any] = column.slice(0, 1).cast(_NUMBERED.get(column.type, column.type)).to_pylist()
    return value


class Copy:
    """The messages of a segment, or some of them; its columns are unpacked when asked for.

    Packed they take a fifth of the memory, so that a column at a time is all that has to be here
    twice.

    Parameters
    ----------
    header : Header
        The segment.
    data : bytes
        Its columns, whose checksum is right.
    chosen : pyarrow.Array, optional
        For each message whether it counts. Default: all do.
    """

    def __init__(self, header: Header, data: bytes, chosen: Any | None = None) -> None:
        self.header = header
        self.num_rows = header.rows if chosen is None else pc.sum(chosen).as_py() or 0
        self._data = data
        self._chosen = chosen
        self._keys: Any = None
        schema = pa.ipc.read_schema(pa.py_buffer(data))
        self._stored: list[str] = schema.names
        self.sole_values: dict[str, Any] = {
            **{name: getattr(header, name) for name in _CONSTANT},
            **{name: _NOTHING.get(name) for name in _UNTOUCHED},
            **msgspec.json.decode(schema.metadata[_SOLE]),
        }
        """The columns with only one value, and that: dates in ms since 1970 UTC."""

    def select(self, names: Sequence[str]) -> Any:
        """Return some columns, by name, as a table with the types of MESSAGE_SCHEMA."""
        schema = pa.schema([MESSAGE_SCHEMA.field(name) for name in names])
        places = [self._stored.index(name) for name in names if name in self._stored]
        stored: Any = None
        if places:
            options = pa.ipc.IpcReadOptions(included_fields=places, use_threads=False)
            with pa.ipc.open_stream(self._data, options=options) as reader:
                stored = reader.read_all()
        columns = [
            stored[field.name].cast(field.type)
            if field.name in self._stored
            else _same(field.type, self.sole_values[field.name], self.header.rows)
            for field in schema
        ]
        table = pa.table(columns, schema=schema)
        return table if self._chosen is None else table.filter(self._chosen)

    def unpack_keys(self) -> None:
        """Unpack the columns KEYS early, where there is time for that."""
        self._keys = self.select(KEYS)

    def take_keys(self) -> Any:
        """Return the columns KEYS as a table; they are not held any longer."""
        keys, self._keys = self._keys, None
        return self.select(KEYS) if keys is None else keys

    def __getitem__(self, name: str) -> Any:
        """Return a column as MESSAGE_SCHEMA has it, as a chunked array."""
        return self.select([name])[name]

    def frame(self, names: Collection[str]) -> pd.DataFrame:
        """Return some columns as a frame."""
        frame: pd.DataFrame = self.select(list(names)).to_pandas()
        return frame

    def where(self, chosen: Any) -> Copy:
        """Return those for which an array of booleans is true."""
        assert self._chosen is None
        return Copy(self.header, self._data, chosen)


def unpack(header: Header, data: bytes) -> Copy | None:
    """Return the messages of a segment, or None if it is damaged."""
    return Copy(header, data) if crc32c.crc32c(data) == header.check else None


_constant = functools.lru_cache(maxsize=64)(repeated)


def _same(kind: Any, value: Any, rows: int) -> Any:
    """Return an array of one value, which shares its memory with others."""
    size = 1 << max(0, rows - 1).bit_length()
    return _constant(kind, value, size).slice(0, rows)


def document(header: Header, data: bytes, token: str) -> dict[str, Any]:
    """Return the document of a segment; the token names this one build of it."""
    dates = {
        name: None if (ms := getattr(header, name)) is None else DatetimeMS(ms)
        for name in ("least", "greatest")
    }
    return {
        "_id": header.id,
        **{name: getattr(header, name) for name in SEGMENT_HEADER},
        **dates,
        "token": token,
        "data": Binary(data),
    }


def headers(
    store: MessageStore, channels: Iterable[str] | None = None, *, topic_id: str | None = None
) -> list[Header]:
    """Return what segments there are, usable or not, by channel, topic, partition and offset.

    Parameters
    ----------
    store : MessageStore
        Where to look.
    channels : iterable of str, optional
        Only of these channels. Default: of all.
    topic_id : str, optional
        Only of this topic.
    """
    where: dict[str, Any] = {} if channels is None else {"channel": {"$in": list(channels)}}
    if topic_id is not None:
        where["topic_id"] = topic_id
    shown = {"_id": 0, **dict.fromkeys(SEGMENT_HEADER, 1)}
    found = store.segments.find(where, shown, sort=[(name, 1) for name in SEGMENT_HEADER[:4]])
    return [one for one in map(_header, found) if one is not None]


def _header(found: Mapping[str, Any]) -> Header | None:
    """Return what a document tells of its segment, or None if somebody has changed it."""
    values = dict(found)
    try:
        for name in ("least", "greatest"):
            if values[name] is not None:
                values[name] = int(DatetimeMS(values[name]))
        return msgspec.convert(values, Header)
    except (KeyError, TypeError, ValueError):
        return None


def usable(store: MessageStore, channels: Iterable[str] | None = None) -> list[Header]:
    """Return the segments to be believed, none over another, in the order of `headers`."""
    found = headers(store, channels)
    if not found:
        return []
    ends = {
        (one["topic_id"], one["partition"]): one["next"]
        for one in store.database["positions"].find({"withheld": None})
    }
    chosen: list[Header] = []
    for one in found:
        if not one.ready or one.version != VERSION or one != one.sealed():
            continue
        if not one.first <= one.last < ends.get((one.topic_id, one.partition), 0):
            continue
        before = chosen[-1] if chosen else None
        if before is None or before.place != one.place or before.last < one.first:
            chosen.append(one)
    return chosen


def fetch(store: MessageStore, chosen: Sequence[Header]) -> Iterator[tuple[Header, Copy | None]]:
    """Yield what segments hold, in any order; of those that are damaged None.

    What is no longer there is not yielded.
    """
    streams = not store.messages.database.client.is_mongos
    for start in range(0, len(chosen), FETCHED):
        wanted = {one.id: one for one in chosen[start : start + FETCHED]}
        where = {
            "_id": {"$in": list(wanted)},
            "channel": {"$in": list({one.channel for one in wanted.values()})},
        }
        kind = CursorType.EXHAUST if streams else CursorType.NON_TAILABLE
        with store.segments.find(where, {"data": 1}, cursor_type=kind, batch_size=2) as cursor:
            for one in cursor:
                header = wanted[one["_id"]]
                data = one.get("data")
                # It may be another one now that is there under this name: then the sum tells.
                yield header, unpack(header, data) if isinstance(data, bytes) else None
