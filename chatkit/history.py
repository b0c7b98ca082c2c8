"""The archive -> a pandas DataFrame with one row per message.

The documents are read in raw batches and decoded into Arrow columns, which takes a fraction of the
time and memory of making a dict of each. It knows nothing of Kafka, statistics or plots.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import bson
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, DESCENDING, CursorType
from tqdm.auto import tqdm

from chatkit.errors import InputError
from chatkit.message import LAST_MS, check_channel_name
from chatkit.query import Query, parse, time_zone
from chatkit.store import ORDER, MessageStore
from chatkit.timeline import Row

with warnings.catch_warnings():
    # It was compiled against a pyarrow whose objects were smaller; newer ones only grew at the end.
    warnings.filterwarnings("ignore", r"pyarrow\.lib\.\w+ size changed", RuntimeWarning)
    from pymongoarrow.context import PyMongoArrowContext
    from pymongoarrow.schema import Schema

__all__ = ["MESSAGE_SCHEMA", "DamagedMessageWarning", "frame", "load"]

Document = dict[str, Any]

_TEXT = pa.large_string()
_DATE = pa.timestamp("ms", tz="UTC")
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
        _always("sent_at", _DATE),
        _always("placed_at", _DATE),
        _always("archived_at", _DATE),
        pa.field("reply_to", _TEXT),
        _always("bot", _FLAG),
        _always("source", _TEXT),
        pa.field("edited_at", _DATE),
        pa.field("deleted_at", _DATE),
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
where the message was deleted.
"""

_ATTACHMENT = "attachment_"
# Whole numbers are read as floating point, since the decoder would silently cut a fraction off; the
# cast to whole ones refuses it.
_READ_AS = {_TEXT: pa.string(), _DATE: _DATE, _FLAG: _FLAG, _NUMBER: pa.float64()}
_DOCUMENT_SCHEMA = Schema(
    {
        **{
            "_id" if field.name == "id" else field.name: _READ_AS[field.type]
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

BATCH_ROWS = 500
"""Rows that MongoDB sends at a time; measured: with larger replies memory is the brake."""
CHUNK_BYTES = 4 * 1024 * 1024
"""Bytes to decode at a time: some 10,000 messages. What does not fit costs its chunk only."""
READ_SECONDS = 3600.0
"""How long MongoDB may work on one load; it would else stop after ``mongo_timeout`` in all."""
DAY_MS = 86_400_000
FIRST_MS = -62_135_596_800_000  # the beginning of year 1, the first that a datetime can hold
SHOWN_PROBLEMS = 10


class DamagedMessageWarning(UserWarning):
    """Some documents do not hold what a message's holds: somebody changed them by hand.

    Parameters
    ----------
    problems : dict
        Id of the document -> what is wrong with it, and what became of it.
    """

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        shown = [f"{name}: {text}" for name, text in list(problems.items())[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            shown.append(f"and {len(problems) - SHOWN_PROBLEMS:,} more, in .problems")
        super().__init__(
            f"{len(problems):,} documents in collection messages are damaged. " + "; ".join(shown)
        )


def load(
    store: MessageStore,
    query: Query | str = "",
    *,
    channel: str | Sequence[str] | None = None,
    limit: int | None = None,
    zone: str = "UTC",
    me: str | None = None,
) -> pd.DataFrame:
    """Return archived messages as one row per message, oldest first.

    The order is the archive's: ``placed_at``, ``partition``, ``offset``, ``id``. A load that takes
    over a second shows its progress.

    Parameters
    ----------
    store : MessageStore
        Where to read; stays open.
    query : Query or str, default ""
        Which messages, in the query language of `chatkit.query`. Empty: all, deleted ones too,
        which no other query matches.
    channel : str or sequence of str, optional
        Only these channels. Default: all.
    limit : int, optional
        At most this many newest messages, > 0. Default: no limit.
    zone : str, default "UTC"
        Time zone of the dates, also of those in the query, a name of the IANA database such as
        ``"Europe/Vienna"``. Dates that Python can't hold there (years 1 to 9999, less a day outside
        UTC) become the nearest that it can.
    me : str, optional
        Who ``me`` in the query is. Default: the user of the store's settings.

    Returns
    -------
    pandas.DataFrame
        Columns and dtypes of `MESSAGE_SCHEMA`, also when there are no rows; rows numbered from 0.

    Raises
    ------
    InputError
        The limit is not positive, or there is no such zone.
    QueryError
        The query can't be parsed; the text points at the place.
    ChannelNameError
        A name can't be a channel's.
    StoreUnavailableError
        MongoDB did not answer within ``settings.mongo_timeout`` seconds, or refused us.

    Warns
    -----
    DamagedMessageWarning
        A document does not fit the schema. A text or date that does not fit is missing in its row;
        a message whose ``id``, ``channel``, ``placed_at``, or any number or flag does not, is left
        out.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    time_zone(zone)
    asked = parse(query) if isinstance(query, str) else query
    channels = _channels(channel, asked)
    where = asked.to_filter(me=store.user if me is None else me, zone=zone) if asked else {}

    problems: dict[str, str] = {}
    with store.answering():
        tables = _read(store, channels, limit, where, problems)
    if problems:
        warnings.warn(DamagedMessageWarning(problems), stacklevel=2)
    return _to_frame(_in_order(tables), zone)


def frame(rows: Iterable[Row], *, zone: str = "UTC") -> pd.DataFrame:
    """Return rows of a room as `load` returns messages, oldest first.

    Parameters
    ----------
    rows : iterable of Row
        In any order. Rows that are no message are left out, and messages that Kafka has not
        acknowledged.
    zone : str, default "UTC"
        Time zone of the dates, a name of the IANA database.

    Returns
    -------
    pandas.DataFrame
        As `load` returns it; ``archived_at``, which no room knows, is missing.

    Raises
    ------
    InputError
        There is no such zone.
    """
    time_zone(zone)
    found = [_row_of(row) for row in rows if row.message is not None and row.offset >= 0]
    arrays = [pa.array([one[field.name] for one in found], field.type) for field in MESSAGE_SCHEMA]
    return _to_frame(_in_order([pa.table(arrays, schema=MESSAGE_SCHEMA)]), zone)


def _row_of(row: Row) -> Document:
    """Return the columns of a message in a room."""
    message, folded = row.message, row.folded
    assert message is not None
    assert folded is not None  # where there is a message, there is what to show of it
    attachment = message.attachment if folded.deleted_ms is None else None
    return {
        "id": message.id,
        "channel": message.channel,
        "author": message.author,
        "body": folded.body,
        "sent_at": message.sent_ms,
        "placed_at": row.placed_ms,
        "archived_at": None,
        "reply_to": message.reply_to,
        "bot": message.bot,
        "source": message.source,
        "edited_at": folded.edited_ms,
        "deleted_at": folded.deleted_ms,
        "attachment_name": attachment and attachment.name,
        "attachment_type": attachment and attachment.type,
        "attachment_size": attachment and attachment.length,
        "partition": row.partition,
        "offset": row.offset,
        "rev": folded.rev,
    }


def _channels(channel: str | Sequence[str] | None, query: Query) -> list[str] | None:
    """Return the only channels that are asked for, each once; None: any."""
    names = [channel] if isinstance(channel, str) else channel
    if names is not None:
        names = [check_channel_name(name) for name in dict.fromkeys(names)]
    if not query.channels:
        return names
    return [name for name in query.channels if names is None or name in names]


def _read(
    store: MessageStore,
    channels: list[str] | None,
    limit: int | None,
    where: Document,
    problems: dict[str, str],
) -> list[Any]:
    """Return messages as Arrow tables of MESSAGE_SCHEMA, in any order, and add to the problems."""
    tables = [MESSAGE_SCHEMA.empty_table()]
    # Asked first: it is soon answered by any server that lives, and so not waited for long.
    total = store.messages.estimated_document_count()
    expected = limit if channels is not None or where else min(total, limit or total)
    with (
        contextlib.closing(_raw_batches(store, channels, limit, where)) as batches,
        tqdm(total=expected, unit=" messages", delay=1, leave=False) as progress,
    ):
        for data in _chunks(batches):
            table, damaged = _decode(data)
            problems.update(damaged)
            tables.append(table)
            progress.update(table.num_rows)
    return tables


def _raw_batches(
    store: MessageStore,
    channels: list[str] | None,
    limit: int | None,
    where: Document | None = None,
) -> Generator[bytes]:
    """Yield documents in BSON as MongoDB sends them, one after the other in each piece."""
    messages = store.messages
    if limit is not None and channels is None:
        # With their names the index on channel and order gives the newest; else all gets sorted.
        channels = messages.distinct("channel")
    options: Document = {"batch_size": BATCH_ROWS, "allow_disk_use": True}
    if limit is not None:
        options |= {"limit": limit, "sort": [(name, DESCENDING) for name in ORDER]}
    elif not messages.database.client.is_mongos:
        # Sent without asking for each batch; MongoDB's router may not know how.
        options["cursor_type"] = CursorType.EXHAUST
    chosen: Document = {}
    if channels is not None and len(channels) == 1:
        chosen = {"channel": channels[0]}
        options.setdefault("sort", [(name, ASCENDING) for name in ORDER])  # as the index has it
    elif channels is not None:
        chosen = {"channel": {"$in": channels}}
    found: Any = messages.find_raw_batches({**(where or {}), **chosen}, **options)
    with contextlib.closing(found) as cursor:
        batch = _next(cursor, True)
        while batch is not None:
            if batch:
                yield batch
            # Where MongoDB has to look for what matches, it may look for long.
            batch = _next(cursor, bool(where))


def _next(cursor: Any, long: bool) -> bytes | None:
    """Return the next batch, or None; it may take READ_SECONDS, else ``mongo_timeout``."""
    with pymongo.timeout(READ_SECONDS) if long else contextlib.nullcontext():
        batch: bytes | None = next(cursor, None)
    return batch


def _chunks(batches: Iterable[bytes]) -> Iterator[bytes]:
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


def _decode(data: bytes) -> tuple[Any, dict[str, str]]:
    """Return documents as a table of MESSAGE_SCHEMA, and what is wrong with those that don't fit.

    Parameters
    ----------
    data : bytes
        Documents in BSON, one after the other.
    """
    try:
        context = PyMongoArrowContext(_DOCUMENT_SCHEMA)
        context.process_bson_stream(data)
        columns = context.finish()
        table = _flat(columns).cast(MESSAGE_SCHEMA)  # refuses nulls where there must be none
        table.validate(full=True)  # refuses what is no UTF-8
    except (TypeError, ValueError, OverflowError):
        return _decode_slowly(data)
    # An attachment that is no document would be taken for none.
    if data.count(b"\x0aattachment\0") != table["attachment_name"].null_count:
        return _decode_slowly(data)
    return table, {}


def _flat(columns: Any) -> Any:
    """Return a table of documents with the columns of MESSAGE_SCHEMA, not yet their types."""
    arrays = []
    for name in MESSAGE_SCHEMA.names:
        if name.startswith(_ATTACHMENT):
            part = name.removeprefix(_ATTACHMENT)
            arrays.append(pc.struct_field(columns["attachment"], part))
        else:
            arrays.append(columns["_id" if name == "id" else name])
    return pa.table(arrays, names=MESSAGE_SCHEMA.names)


_BY_HAND: CodecOptions[Document] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS,
    unicode_decode_error_handler="surrogateescape",
)
_NEVER_MISSING = ("id", "channel", "placed_at")


def _decode_slowly(data: bytes) -> tuple[Any, dict[str, str]]:
    """Do as _decode does, document by document, with all the care that this allows."""
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
        else:
            value = document.get("_id" if field.name == "id" else field.name)
        value, fits = _fit(value, field.type)
        if not fits or (value is None and not field.nullable):
            wrong.append(f"{field.name} is {'not there' if fits else _short(value)}")
            must = field.name in _NEVER_MISSING or field.type in (_NUMBER, _FLAG)
            keep = keep and not (must and not field.nullable)
            value = None
        row[field.name] = value
    return row, wrong, keep


def _fit(value: Any, kind: Any) -> tuple[Any, bool]:
    """Return a value of BSON as a column of a type takes it, and whether it does."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None, True
    if kind == _TEXT:
        # Bytes that are no UTF-8 came as lone surrogates.
        fits = isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)
    elif kind == _DATE:
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


def _in_order(tables: list[Any]) -> Any:
    """Return tables as one, its rows in the archive's order; the list is empty afterwards."""
    table = pa.concat_tables(tables)
    tables.clear()
    keys = [("id" if name == "_id" else name, "ascending") for name in ORDER]
    order = pc.sort_indices(table, sort_keys=keys)
    if np.array_equal(order, np.arange(table.num_rows)):  # often: moving rows is what costs
        return table
    # Column by column, so that memory never holds all of them twice.
    for number, field in enumerate(MESSAGE_SCHEMA):
        table = table.set_column(number, field, table[field.name].take(order))
    return table


def _to_frame(table: Any, zone: str) -> pd.DataFrame:
    """Return a table of MESSAGE_SCHEMA as pandas has it, with dates in a zone."""
    for number, field in enumerate(MESSAGE_SCHEMA):
        if field.type == _DATE:
            table = table.set_column(number, field.name, _in_zone(table[field.name], zone))
    frame: pd.DataFrame = table.to_pandas(split_blocks=True)
    # Arrow gives floating point where one is missing, which is nearly always.
    frame["attachment_size"] = frame["attachment_size"].astype("Int64")
    return frame


def _in_zone(dates: Any, zone: str) -> Any:
    """Return dates of UTC in a zone, and those that Python can't hold there as the nearest."""
    margin = 0 if zone == "UTC" else DAY_MS  # its clocks may be that far from UTC
    least, most = FIRST_MS + margin, LAST_MS - margin
    count = dates.cast(pa.int64())
    found = pc.min_max(count).as_py()
    if found["min"] is not None and (found["min"] < least or found["max"] > most):
        count = pc.max_element_wise(count, least, skip_nulls=False)
        count = pc.min_element_wise(count, most, skip_nulls=False)
    return count.cast(pa.timestamp("ms", tz=zone))
