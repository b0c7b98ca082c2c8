"""The archive's order in steps that fit into memory: times that hold so many messages each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import bson
import msgspec
import pyarrow.compute as pc
import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, DESCENDING

from chatkit.history.ordering import in_order
from chatkit.history.reading import Asked, complement, read
from chatkit.segments.columns import MESSAGE_SCHEMA, chunks, decode
from chatkit.segments.rows import READ_SECONDS, raw_batches
from chatkit.segments.stored import Header, usable
from chatkit.store import ORDER, PLACE_INDEX, MessageStore, beyond

__all__ = ["steps"]

Document = dict[str, Any]

_EXACT: CodecOptions[Document] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS,
    unicode_decode_error_handler="surrogateescape",
)


def steps(store: MessageStore, asked: Asked, rows: int, problems: dict[str, str]) -> Iterator[Any]:
    """Yield messages as tables of MESSAGE_SCHEMA, one after the other in the archive's order.

    Parameters
    ----------
    store : MessageStore
        Where to read.
    asked : Asked
        What.
    rows : int
        About how many rows to hold at a time.
    problems : dict
        Gets what is wrong with documents, by their id.
    """
    if asked.limit is not None:
        oldest = _oldest(store, asked)
        if oldest is None:  # there are no more than that
            yield from steps(store, _without_limit(asked), rows, problems)
            return
        since = _without_limit(asked, int(oldest["placed_at"]))
        missing = True
        for found in steps(store, since, rows, problems):
            # What was placed in the same moment may come before it.
            at = pc.index(found["id"], oldest["_id"]).as_py() if missing else 0
            missing = at < 0
            yield found.slice(max(0, at))
        return
    chosen = usable(store, asked.channels)
    if chosen and _mostly_held(store, asked, chosen, rows):
        for first, end in pairwise([None, *_cuts(chosen, rows), None]):
            part = _between(asked, first, end)
            found = read(store, part, problems)
            if found.num_rows or problems:
                yield found
        return
    yield from _pages(store, asked, rows, problems)


def _without_limit(asked: Asked, first_ms: int | None = None) -> Asked:
    return msgspec.structs.replace(asked, limit=None, first_ms=first_ms)


def _between(asked: Asked, first: int | None, end: int | None) -> Asked:
    """Return what of a question lies in a time."""
    firsts = [one for one in (first, asked.first_ms) if one is not None]
    return msgspec.structs.replace(asked, first_ms=max(firsts, default=None), end_ms=end)


def _oldest(store: MessageStore, asked: Asked) -> Document | None:
    """Return the key of the oldest of the newest messages that are asked for."""
    among = _with_channels(store, asked)
    where = {**among.sole_channel, "$and": [asked.where, {"placed_at": {"$type": "date"}}]}
    options: Document = {"sort": [(name, DESCENDING) for name in ORDER], "allow_disk_use": True}
    assert asked.limit is not None
    with pymongo.timeout(READ_SECONDS):
        exact = store.messages.with_options(codec_options=_EXACT)
        return exact.find_one(where, dict.fromkeys(ORDER, 1), skip=asked.limit - 1, **options)


def _with_channels(store: MessageStore, asked: Asked) -> Asked:
    """Return the same question with the names of all channels, so that their index serves."""
    channels = asked.channels
    if channels is None:
        channels = tuple(store.messages.distinct("channel"))
    return msgspec.structs.replace(asked, channels=channels)


def _mostly_held(store: MessageStore, asked: Asked, chosen: list[Header], rows: int) -> bool:
    """Return whether only few messages are in no segment, so that segments tell where they lie."""
    names = {one.channel for one in chosen}
    among: Any = {"$nin": sorted(names)}
    if asked.channels is not None:
        among = {"$in": [name for name in asked.channels if name not in names]}
    count = store.messages.count_documents({"channel": among}, limit=rows + 1)
    for where in complement(chosen):
        count += store.messages.count_documents(where, limit=rows + 1, hint=PLACE_INDEX)
        if count > rows:
            return False
    return count <= rows


def _cuts(chosen: Iterable[Header], rows: int) -> Iterator[int]:
    """Yield times, ms since 1970 UTC, between which about so many messages lie."""
    count = 0
    last = None
    ends = sorted((one.greatest, one.rows) for one in chosen if one.greatest is not None)
    for greatest, held in ends:
        count += held
        if count >= rows and greatest != last:
            last = greatest
            yield greatest + 1
            count = 0


def _pages(store: MessageStore, asked: Asked, rows: int, problems: dict[str, str]) -> Iterator[Any]:
    """Yield pages of documents, each found by where the one before ended."""
    among = _with_channels(store, asked).sole_channel
    sort = [(name, ASCENDING) for name in ORDER]
    last: Document | None = None
    limit = rows
    while True:
        where = {**among, "$and": [asked.where, asked.placed, _behind(last)]}
        count, before = 0, last
        tables = [MESSAGE_SCHEMA.empty_table()]
        batches = raw_batches(store.messages, where, searching=True, sort=sort, limit=limit)
        for data in chunks(batches):
            found, damaged = decode(data)
            problems.update(damaged)
            tables.append(found)
            documents = _documents(data)
            count += len(documents)
            last = next(filter(None, map(_key, reversed(documents))), last)
        if count:
            yield in_order(tables)
        if count < limit:
            return
        # Where all of a page is damaged, what follows is found by a longer one.
        limit = rows if last != before else 2 * limit


def _documents(data: bytes) -> list[bytes]:
    """Return documents in BSON that lie one after the other."""
    found = []
    start = 0
    while start < len(data):
        end = start + int.from_bytes(data[start : start + 4], "little")
        found.append(data[start:end])
        start = end
    return found


def _key(data: bytes) -> Document | None:
    """Return what a document is ordered by, or None if somebody has changed that by hand."""
    document = bson.decode(data, _EXACT)
    kinds = (DatetimeMS, int, int, str)
    key = {name: document.get(name) for name in ORDER}
    fits = all(isinstance(key[name], kind) for name, kind in zip(ORDER, kinds, strict=True))
    return key if fits else None


def _behind(key: Document | None) -> Document:
    """Return the filter for what comes after a key, or what never had one."""
    if key is None:
        return {}
    return {"placed_at": {"$gte": key["placed_at"]}, "$or": beyond(key, "$gt")}
