"""Documents of messages -> Arrow columns: always the same ones, never a wrong value in silence.

The documents are read in raw batches and decoded without making a dict of each, which takes a
fraction of the time and memory.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import bson
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS

with warnings.catch_warnings():
    # It was compiled against a pyarrow whose objects were smaller; newer ones only grew at the end.
    warnings.filterwarnings("ignore", r"pyarrow\.lib\.\w+ size changed", RuntimeWarning)
    from pymongoarrow.context import PyMongoArrowContext
    from pymongoarrow.schema import Schema

__all__ = [
    "BATCH_ROWS",
    "DATE",
    "FIELDS",
    "MESSAGE_SCHEMA",
    "chunks",
    "decode",
    "decode_slowly",
    "repeated",
]

Document = dict[str, Any]

_TEXT = pa.large_string()
DATE = pa.timestamp("ms", tz="UTC")
"""Type of a column of dates."""
_FLAG = pa.bool_()
_NUMBER = pa.int64()


def _always(name: str, kind: Any) -> Any:
    return pa.field(name, kind, nullable=False)


MESSAGE_SCHEMA = pa.schema(
    [
        _always("id", _TEXT),
        _always("channel", _TEXT),
        _always("author", _TEXT),
        _always("body", _TEXT),
        _always("sent_at", DATE),
        _always("placed_at", DATE),
        _always("archived_at", DATE),
        pa.field("reply_to", _TEXT),
        _always("bot", _FLAG),
        _always("source", _TEXT),
        pa.field("edited_at", DATE),
        pa.field("deleted_at", DATE),
        pa.field("pinned_at", DATE),
        _always("reactions", _NUMBER),
        pa.field("attachment_name", _TEXT),
        pa.field("attachment_type", _TEXT),
        pa.field("attachment_size", _NUMBER),
        _always("partition", _NUMBER),
        _always("offset", _NUMBER),
        _always("rev", _NUMBER),
    ]
)
"""The columns of a history, as Arrow types; those that are not nullable every message has.

In pandas texts are ``str``, dates ``datetime64[ms, zone]``, flags ``bool`` and numbers ``int64``,
but for ``attachment_size``, ``Int64``. What a message lacks is NaN, NaT or <NA>. The columns mean
what the README says of the fields of a document; ``body`` is the text now, after edits, and empty
where the message was deleted, and ``reactions`` is how many there are now, of all emoji.
"""

BATCH_ROWS = 500
"""Rows that MongoDB sends at a time; measured: with larger replies memory is the brake."""
CHUNK_BYTES = 4 * 1024 * 1024
"""Bytes to decode at a time: some 10,000 messages. What does not fit costs its chunk only."""

_ATTACHMENT = "attachment_"
_FIELDS = {"id": "_id", "reactions": "reaction_count"}
# Whole numbers are read as floating point, since the decoder would silently cut a fraction off; the
# cast to whole ones refuses it.
_READ_AS = {_TEXT: pa.string(), DATE: DATE, _FLAG: _FLAG, _NUMBER: pa.float64()}
_DOCUMENT_SCHEMA = Schema(
    {
        **{
            _FIELDS.get(field.name, field.name): _READ_AS[field.type]
            for field in MESSAGE_SCHEMA
            if not field.name.startswith(_ATTACHMENT)
        },
        "attachment": pa.struct(
            [
                (field.name.removeprefix(_ATTACHMENT), _READ_AS[field.type])
                for field in MESSAGE_SCHEMA
                if field.name.startswith(_ATTACHMENT)
            ]
        ),
    }
)


FIELDS = (*_DOCUMENT_SCHEMA.typemap, "reactions")
"""The fields of a document that are decoded, or looked at."""


def repeated(kind: Any, value: Any, count: int) -> Any:
    """Return an array with one value in all places; of none and 0 it takes no memory."""
    if value is None:
        width = 8 * (count + 1)  # dates, numbers and the ends of texts alike
        buffers = [_zeros(-(-count // 8)), _zeros(width)]
        buffers += [pa.py_buffer(b"")] if pa.types.is_large_string(kind) else []
        return pa.Array.from_buffers(kind, count, buffers, count)
    if value == 0 and kind == pa.int64():
        return pa.Array.from_buffers(kind, count, [None, _zeros(8 * count)], 0)
    return pa.repeat(pa.scalar(value, kind), count)


def _zeros(size: int) -> Any:
    """Return a buffer of zeros, which the system gives when they are written to: never."""
    return pa.py_buffer(np.zeros(size, dtype=np.uint8))


def chunks(batches: Iterable[bytes]) -> Iterator[bytes]:
    """Yield batches joined to pieces that are worth a decoder of their own."""
    parts: list[bytes] = []
    size = 0
    for batch in batches:
        parts.append(batch)
        size += len(batch)
        if size >= CHUNK_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def decode(data: bytes) -> tuple[Any, dict[str, str]]:
    """Return documents as a table of MESSAGE_SCHEMA, and what is wrong with those that don't fit.

    Parameters
    ----------
    data : bytes
        Documents in BSON, one after the other.

    Returns
    -------
    table : pyarrow.Table
        Of `MESSAGE_SCHEMA`.
    problems : dict
        Id of the document -> what is wrong with it, and what became of it.
    """
    try:
        context = PyMongoArrowContext(_DOCUMENT_SCHEMA)
        context.process_bson_stream(data)
        columns = context.finish()
        table = _flat(columns).cast(MESSAGE_SCHEMA)  # refuses nulls where there must be none
        table.validate(full=True)  # refuses what is no UTF-8
    except (TypeError, ValueError, OverflowError):
        return decode_slowly(data)
    # An attachment that is no document would be taken for none, and so would reactions that were
    # archived before they were counted.
    if data.count(b"\x0aattachment\0") != table["attachment_name"].null_count:
        return decode_slowly(data)
    if data.count(b"reactions\0") != len(table) - columns["reaction_count"].null_count:
        return decode_slowly(data)
    return table, {}


def _flat(columns: Any) -> Any:
    """Return a table of documents with the columns of MESSAGE_SCHEMA, not yet their types."""
    arrays = []
    for name in MESSAGE_SCHEMA.names:
        if name.startswith(_ATTACHMENT):
            part = name.removeprefix(_ATTACHMENT)
            arrays.append(pc.struct_field(columns["attachment"], part))
        elif name == "reactions":
            arrays.append(columns[_FIELDS[name]].fill_null(0))
        else:
            arrays.append(columns[_FIELDS.get(name, name)])
    return pa.table(arrays, names=MESSAGE_SCHEMA.names)


_BY_HAND: CodecOptions[Document] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS,
    unicode_decode_error_handler="surrogateescape",
)
_NEVER_MISSING = ("id", "channel", "placed_at")


def decode_slowly(data: bytes) -> tuple[Any, dict[str, str]]:
    """Do as `decode` does, document by document, with all the care that this allows."""
    columns: dict[str, list[Any]] = {name: [] for name in MESSAGE_SCHEMA.names}
    problems: dict[str, str] = {}
    for document in bson.decode_iter(data, _BY_HAND):
        row, wrong, keep = _row(document)
        if wrong:
            fate = "there the value is missing" if keep else "the message is left out"
            problems[str(document.get("_id"))] = f"{', '.join(wrong)}: {fate}"
        if keep:
            for name, value in row.items():
                columns[name].append(value)
    # Not checked against nullable: what does not fit is missing here, and told.
    arrays = [pa.array(columns[field.name], field.type) for field in MESSAGE_SCHEMA]
    return pa.table(arrays, schema=MESSAGE_SCHEMA), problems


def _row(document: Document) -> tuple[Document, list[str], bool]:
    """Return a document's row, what does not fit, and whether the row can be kept."""
    row: Document = {}
    wrong: list[str] = []
    keep = True
    attachment = document.get("attachment")
    if attachment is not None and not isinstance(attachment, dict):
        wrong.append(f"attachment is {type(attachment).__name__}")
        attachment = None
    for field in MESSAGE_SCHEMA:
        if field.name.startswith(_ATTACHMENT):
            value = (attachment or {}).get(field.name.removeprefix(_ATTACHMENT))
        elif field.name == "reactions":
            value = _count(document.get("reactions"))
        else:
            value = document.get(_FIELDS.get(field.name, field.name))
        value, fits = _fit(value, field.type)
        if not fits or (value is None and not field.nullable):
            wrong.append(f"{field.name} is {'not there' if fits else _short(value)}")
            must = field.name in _NEVER_MISSING or field.type in (_NUMBER, _FLAG)
            keep = keep and not (must and not field.nullable)
            value = None
        row[field.name] = value
    return row, wrong, keep


def _count(reactions: Any) -> Any:
    """Return how many reactions a document has, or what it has instead."""
    if reactions is None:
        return 0
    if isinstance(reactions, dict) and all(isinstance(one, list) for one in reactions.values()):
        return sum(map(len, reactions.values()))
    return str(reactions)


def _fit(value: Any, kind: Any) -> tuple[Any, bool]:
    """Return a value of BSON as a column of a type takes it, and whether it does."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None, True
    if kind == _TEXT:
        # Bytes that are no UTF-8 came as lone surrogates.
        fits = isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)
    elif kind == DATE:
        fits = isinstance(value, DatetimeMS)
        value = int(value) if isinstance(value, DatetimeMS) else value
    elif kind == _FLAG:
        fits = isinstance(value, bool)
    else:
        fits = isinstance(value, int | float) and abs(value) < 2**63 and value == int(value)
        value = int(value) if fits else value
    return value, fits


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else text[:40] + "..."
