"""MongoDB -> one Arrow table: the segments that a question touches, and all else as rows.

What is in no usable segment, and every message that events were about, comes from its document; so
the table is the same whatever segments there are.
"""

from __future__ import annotations

import contextlib
import functools
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import OperationFailure
from tqdm.auto import tqdm

from chatkit.history.ordering import in_order
from chatkit.query import Query
from chatkit.segments.columns import DATE, MESSAGE_SCHEMA, chunks, decode
from chatkit.segments.rows import raw_batches
from chatkit.segments.stored import Copy, Header, fetch, usable
from chatkit.store import CHANGED_INDEX, ORDER, PLACE_INDEX, MessageStore

__all__ = ["Asked", "complement", "read"]

Document = dict[str, Any]

FEW = 5000
"""Up to this many newest messages come sooner from the index on channel and order."""
FETCHED = 10
"""Segments to ask for at a time."""
BRANCHES = 100
"""Ranges of offsets to ask for at a time."""
BAD_VALUE = 2


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be read."""

    query: Query
    """Which messages; empty: all, deleted ones too."""
    me: str
    """Who ``me`` in the query is."""
    zone: str = "UTC"
    """Time zone of the days in the query."""
    channels: tuple[str, ...] | None = None
    """The only channels; None: all."""
    limit: int | None = None
    """At most this many newest ones."""
    first_ms: int | None = None
    """Only what was placed then or later, ms since 1970 UTC."""
    end_ms: int | None = None
    """Only what was placed before, ms since 1970 UTC."""

    @property
    def where(self) -> Document:
        """The filter for documents, without the channels and the times above."""
        return self.query.to_filter(me=self.me, zone=self.zone) if self.query else {}

    @property
    def placed(self) -> Document:
        """The filter for the times above."""
        named = {"$gte": self.first_ms, "$lt": self.end_ms}
        bounds = {name: DatetimeMS(ms) for name, ms in named.items() if ms is not None}
        return {"placed_at": bounds} if bounds else {}

    @property
    def sole_channel(self) -> Document:
        """The filter for the channels."""
        if self.channels is None:
            return {}
        if len(self.channels) == 1:
            return {"channel": self.channels[0]}
        return {"channel": {"$in": list(self.channels)}}


def read(store: MessageStore, asked: Asked, problems: dict[str, str]) -> Any:
    """Return messages as a table of MESSAGE_SCHEMA in the archive's order.

    Parameters
    ----------
    store : MessageStore
        Where to read.
    asked : Asked
        What.
    problems : dict
        Gets what is wrong with documents, by their id.
    """
    few = asked.limit is not None and asked.limit <= FEW
    # Asked first: it is soon answered by any server that lives, and so not waited for long.
    total = store.messages.estimated_document_count()
    narrow = bool(asked.sole_channel or asked.query or asked.placed)
    expected = asked.limit if narrow else min(total, asked.limit or total)
    with tqdm(total=expected, unit=" messages", delay=1, leave=False) as progress:
        chosen = [] if few else usable(store, asked.channels)
        if chosen:
            try:
                return _mixed(store, asked, chosen, problems, progress)
            except OperationFailure as error:
                if error.code != BAD_VALUE:
                    raise
                # Somebody has dropped the indexes that are named: without them it takes ages.
                progress.reset()
        tables = [MESSAGE_SCHEMA.empty_table()]
        tables += _decoded(_rows(store, asked), problems, progress)
        return in_order(tables)


def _rows(store: MessageStore, asked: Asked) -> Generator[bytes]:
    """Yield documents in BSON as MongoDB sends them."""
    channels = asked.channels
    if asked.limit is not None and channels is None:
        # With their names the index on channel and order gives the newest; else all gets sorted.
        channels = tuple(store.messages.distinct("channel"))
        asked = msgspec.structs.replace(asked, channels=channels)
    options: Document = {}
    if asked.limit is not None:
        options = {"limit": asked.limit, "sort": [(name, DESCENDING) for name in ORDER]}
    elif channels is not None and len(channels) == 1:
        options = {"sort": [(name, ASCENDING) for name in ORDER]}  # as the index has it
    where = {**asked.where, **asked.sole_channel}
    if "placed_at" in where and asked.placed:
        where = {"$and": [where, asked.placed]}
    # Where MongoDB has to look for what matches, it may look for long.
    return raw_batches(
        store.messages, {**asked.placed, **where}, searching=bool(asked.where), **options
    )


def _decoded(batches: Generator[bytes], problems: dict[str, str], progress: Any) -> Iterator[Any]:
    """Yield tables of MESSAGE_SCHEMA, and add to the problems."""
    with contextlib.closing(batches):
        for data in chunks(batches):
            table, damaged = decode(data)
            problems.update(damaged)
            progress.update(table.num_rows)
            yield table


def _mixed(
    store: MessageStore,
    asked: Asked,
    chosen: list[Header],
    problems: dict[str, str],
    progress: Any,
) -> Any:
    """Return messages from segments, and from documents what is in none or has changed."""
    asked = _bounded(asked, chosen)
    parts: list[Any] = [MESSAGE_SCHEMA.empty_table()]
    # Before the rows: what is not there any more when its turn comes is read as rows.
    copies, lost = _copies(store, asked, chosen, progress)
    parts += copies
    held = [one for one in chosen if one.id not in lost]
    for where in complement(held, asked.placed):
        batches = raw_batches(store.messages, where, hint=PLACE_INDEX, searching=True)
        found = _decoded(batches, problems, progress)
        parts += (_matching(table, asked.query, asked) for table in found)
    channels = {one.channel for one in held}
    parts += _decoded(_elsewhere(store, asked, channels), problems, progress)

    # Last: what changed before this is in here, whatever was read above.
    damaged: dict[str, str] = {}
    among = {"channel": {"$in": sorted(channels)}, **asked.placed, "rev": {"$gt": 0}}
    batches = raw_batches(store.messages, among, hint=CHANGED_INDEX, searching=True)
    changed = pa.concat_tables(
        [MESSAGE_SCHEMA.empty_table(), *_decoded(batches, damaged, progress)]
    )
    problems.update(damaged)
    ids = pa.chunked_array([*changed["id"].chunks, pa.array(damaged, pa.large_string())])
    table = in_order(parts, ids, _matching(changed, asked.query, asked))
    return table if asked.limit is None else table.slice(max(0, len(table) - asked.limit))


def _bounded(asked: Asked, chosen: Iterable[Header]) -> Asked:
    """Return the same question with bounds in time, so that few segments are touched."""
    first, end = (None if at is None else int(DatetimeMS(at)) for at in _placed(asked))
    if asked.limit is not None and not asked.query and asked.end_ms is None:
        rows = 0
        by_time = [(one.least, one.rows) for one in chosen if one.least is not None]
        for least, count in sorted(by_time, reverse=True):
            rows += count
            if rows >= asked.limit:  # so many are as new as this
                first = least if first is None else max(first, least)
                break
    firsts = [one for one in (first, asked.first_ms) if one is not None]
    ends = [one for one in (end, asked.end_ms) if one is not None]
    return msgspec.structs.replace(
        asked, first_ms=max(firsts, default=None), end_ms=min(ends, default=None)
    )


def _placed(asked: Asked) -> tuple[Any, Any]:
    return asked.query.placed(asked.zone)


def _copies(
    store: MessageStore, asked: Asked, chosen: Sequence[Header], progress: Any
) -> tuple[list[Copy], set[str]]:
    """Return what matches in segments, and the ids of those that can't be read."""
    # Channels and times are compared here, which is quicker than a mask.
    quick = ["channel", "before", "after"]
    if sum(one.key == "on" and not one.negated for one in asked.query.terms) == 1:
        quick.append("on")
    rest = asked.query.without(*quick)
    wanted = [one for one in chosen if _touches(one, asked)]

    def some(start: int) -> list[Copy]:
        found = []
        for _, copy in fetch(store, wanted[start : start + FETCHED]):
            if copy is not None:
                matching = _chosen(copy, rest, asked)
                found.append(copy if matching is None else copy.where(matching))
                found[-1].unpack_keys()  # while MongoDB is waited for
        return found

    copies: list[Copy] = []
    with ThreadPoolExecutor(2, "chatkit-history") as pool:
        for found in pool.map(some, range(0, len(wanted), FETCHED)):
            copies += found
            progress.update(sum(copy.num_rows for copy in found))
    return copies, {one.id for one in wanted} - {copy.header.id for copy in copies}


def _touches(header: Header, asked: Asked) -> bool:
    """Return whether a segment can hold what is asked for."""
    if header.least is None or header.greatest is None:
        return False
    return (asked.first_ms is None or header.greatest >= asked.first_ms) and (
        asked.end_ms is None or header.least < asked.end_ms
    )


def _chosen(copy: Copy, rest: Query, asked: Asked) -> Any | None:
    """Return which messages of a segment are asked for, as booleans; None: all."""
    tests = []
    first, end, header = asked.first_ms, asked.end_ms, copy.header
    if first is not None and header.least is not None and header.least < first:
        tests.append(pc.greater_equal(copy["placed_at"], pa.scalar(first, DATE)))
    if end is not None and header.greatest is not None and header.greatest >= end:
        tests.append(pc.less(copy["placed_at"], pa.scalar(end, DATE)))
    if rest:
        mask = rest.mask(copy.frame(rest.columns), me=asked.me, zone=asked.zone)
        tests.append(pa.chunked_array([pa.array(mask)]))
    return functools.reduce(pc.and_, tests).combine_chunks() if tests else None


def _matching(table: Any, query: Query, asked: Asked) -> Any:
    """Return the rows of a table that match a query."""
    if not query or not table.num_rows:
        return table
    frame = table.select(sorted(query.columns)).to_pandas(split_blocks=True)
    return table.filter(pa.array(query.mask(frame, me=asked.me, zone=asked.zone)))


def _elsewhere(store: MessageStore, asked: Asked, channels: set[str]) -> Generator[bytes]:
    """Yield documents of channels that have no segments, as MongoDB sends them."""
    if asked.channels is not None:
        others = tuple(name for name in asked.channels if name not in channels)
        if others:
            asked = msgspec.structs.replace(asked, channels=others, limit=None)
            yield from _rows(store, asked)
        return
    without = {"channel": {"$nin": sorted(channels)}}
    where = {"$and": [without, asked.where, asked.placed]}
    yield from raw_batches(store.messages, where, searching=True)


def complement(held: Iterable[Header], placed: Document | None = None) -> Iterator[Document]:
    """Yield filters for all messages of the segments' channels that lie in none of their ranges.

    Parameters
    ----------
    held : iterable of Header
        Segments, by channel, topic, partition and offset.
    placed : dict, optional
        A filter that they all shall have too.
    """
    found: dict[str, dict[str, dict[int, list[Header]]]] = {}
    for one in held:
        topics = found.setdefault(one.channel, {})
        topics.setdefault(one.topic_id, defaultdict(list))[one.partition].append(one)
    branches: list[Document] = []
    for channel, topics in found.items():
        branches.append({"channel": channel, "topic_id": {"$nin": list(topics)}})
        for topic_id, partitions in topics.items():
            topic = {"channel": channel, "topic_id": topic_id}
            branches.append({**topic, "partition": {"$nin": list(partitions)}})
            for partition, segments in partitions.items():
                place = {**topic, "partition": partition}
                branches += ({**place, "offset": gap} for gap in _gaps(segments))
    for start in range(0, len(branches), BRANCHES):
        some = branches[start : start + BRANCHES]
        yield {"$or": [{**one, **(placed or {})} for one in some]}


def _gaps(segments: Iterable[Header]) -> Iterator[Document]:
    """Yield conditions on offsets that are in none of a partition's segments."""
    end = -1
    for one in segments:
        if one.first > end + 1:
            yield {"$gt": end, "$lt": one.first}
        end = one.last
    yield {"$not": {"$lte": end}}  # also what is no number, because somebody has changed it
