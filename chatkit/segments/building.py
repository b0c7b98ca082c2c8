"""Building segments from what is archived, safely beside archivers, purges and other builders.

A segment is stored as not ready, then what it was made of is looked at once more, and only if that
is still the same it becomes ready. Whoever puts messages into a closed range, or takes them or
their text away, deletes the segments over it afterwards (`chatkit.store.holding`). So either they
find the segment, or the builder finds what they did.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import crc32c
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pymongo.errors import DuplicateKeyError

from chatkit.segments.columns import chunks, decode
from chatkit.segments.rows import raw_batches
from chatkit.segments.stored import VERSION, Header, document, headers, pack
from chatkit.store import PLACE_INDEX, MessageStore, holding

__all__ = ["TILE", "Tile", "build_tile", "pending"]

logger = logging.getLogger(__name__)

TILE = 10_000
"""Offsets of a partition that belong together; a segment has those of one tile, or some of them."""
BYTES_LIMIT = 8 * 1024 * 1024
"""Bytes that a segment's columns may have; MongoDB takes documents of up to 16 MiB."""
READ_LIMIT = 64 * 1024 * 1024
"""Bytes of documents to make one segment of."""


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """A range of offsets to build, closed: all that it will ever hold is archived."""

    channel: str
    """Name of the channel."""
    topic_id: str
    """Kafka's id of its topic."""
    partition: int
    """Partition of the topic."""
    first: int
    """The first offset."""
    last: int
    """The last one."""

    @property
    def where(self) -> dict[str, Any]:
        """The filter for its messages, as the index on places has it."""
        return {
            "channel": self.channel,
            "topic_id": self.topic_id,
            "partition": self.partition,
            "offset": {"$gte": self.first, "$lte": self.last},
        }

    @property
    def holding(self) -> dict[str, Any]:
        """The filter for the segments over it."""
        return holding(self.channel, self.topic_id, self.partition, self.first, self.last)


class _TooLargeError(Exception):
    """More than one segment can hold."""


def pending(
    store: MessageStore,
    channel: str | None = None,
    *,
    only: Iterable[tuple[str, int]] | None = None,
    least: int = 1,
) -> Iterator[Tile]:
    """Yield what is archived and in no segment, by whole tiles.

    Parameters
    ----------
    store : MessageStore
        Where to look.
    channel : str, optional
        Only of this channel. Default: of all.
    only : iterable of (topic id, partition), optional
        Only of these partitions. Default: of all.
    least : int, default 1
        Leave out a tile that is not full yet and has gained less than this many offsets, or less
        than half of what is in segments already.
    """
    wanted = None if only is None else set(only)
    for position in list(store.database["positions"].find({"withheld": None})):
        place = position["topic_id"], position["partition"]
        name = store.channel_of(position["topic"])
        if name is None or channel not in (None, name):
            continue
        if wanted is None or place in wanted:
            yield from _missing(store, name, *place, position["next"], least)


def _missing(
    store: MessageStore, channel: str, topic_id: str, partition: int, end: int, least: int
) -> Iterator[Tile]:
    place = {"channel": channel, "topic_id": topic_id, "partition": partition}
    oldest = store.messages.find_one(place, {"offset": 1}, sort=[("offset", 1)], hint=PLACE_INDEX)
    if oldest is None or not isinstance(oldest["offset"], int):
        return
    start = oldest["offset"]
    held: dict[int, list[Header]] = defaultdict(list)
    for one in headers(store, [channel], topic_id=topic_id):
        if one.partition == partition and one.ready and one.version == VERSION:
            held[one.first // TILE].append(one)
    for number in range(start // TILE, -(-end // TILE)):
        first, last = max(start, number * TILE), min(end, (number + 1) * TILE) - 1
        covered = _covered(held[number], first, last)
        missing = last - first + 1 - covered
        full = last == (number + 1) * TILE - 1
        if missing > 0 and (full or missing >= max(least, covered // 2 if least > 1 else 1)):
            yield Tile(
                channel=channel, topic_id=topic_id, partition=partition, first=first, last=last
            )


def _covered(held: Iterable[Header], first: int, last: int) -> int:
    """Return how many offsets of a range some segments hold, in their order and each once."""
    covered = 0
    for one in held:
        begin, end = max(first, one.first), min(last, one.last)
        if begin <= end:
            covered += end - begin + 1
            first = end + 1
    return covered


def build_tile(store: MessageStore, tile: Tile) -> int:
    """Build the segments of a tile anew, and return how many rows they hold.

    Fewer than the tile has messages: some have changed, and are read as rows; or the archive was
    changed meanwhile, or has damaged documents, and no segment is kept.
    """
    found = _ranges(store, tile)
    token = uuid.uuid4().hex
    kept = set()
    rows = 0
    if found is not None:
        for part, table in found:
            header, data = _segment(part, table)
            kept.add(header.id)
            with contextlib.suppress(DuplicateKeyError):  # another builder was faster
                made = document(header, data, token)
                store.segments.replace_one(_key(header), made, upsert=True)
            rows += header.rows
    # What is left of how the tile was divided before, or is of an older version.
    store.segments.delete_many({**tile.holding, "_id": {"$nin": list(kept)}})
    if found is None:
        return 0
    ours = {**tile.holding, "token": token}
    if _is_still(store, tile, found):
        store.segments.update_many(ours, {"$set": {"ready": True}})
        return rows
    store.segments.delete_many(ours)
    return 0


def _key(header: Header) -> dict[str, Any]:
    return {"_id": header.id, "channel": header.channel}


def _ranges(store: MessageStore, tile: Tile) -> list[tuple[Tile, Any]] | None:
    """Return a tile in parts that fit into a segment, with all their messages; None: damaged."""
    try:
        table = _read(store, tile)
    except _TooLargeError:
        if tile.first == tile.last:
            return None
        middle = (tile.first + tile.last) // 2
        lower = _ranges(store, msgspec.structs.replace(tile, last=middle))
        upper = _ranges(store, msgspec.structs.replace(tile, first=middle + 1))
        return None if lower is None or upper is None else lower + upper
    return None if table is None else [(tile, table)]


def _read(store: MessageStore, tile: Tile) -> Any | None:
    tables = []
    size = 0
    batches = raw_batches(store.messages, tile.where, hint=PLACE_INDEX)
    with contextlib.closing(batches):
        for data in chunks(batches):
            size += len(data)
            if size > READ_LIMIT:
                raise _TooLargeError
            table, problems = decode(data)
            if problems:
                logger.debug("Damaged messages: %s", problems)
                return None
            tables.append(table)
    if not tables:
        return decode(b"")[0]
    table = pa.concat_tables(tables)
    if table.nbytes > BYTES_LIMIT and len(pack(_untouched(table))) > BYTES_LIMIT:
        raise _TooLargeError
    return table


def _untouched(table: Any) -> Any:
    """Return the messages that no event was about."""
    return table.filter(pc.equal(table["rev"], 0))


def _segment(part: Tile, table: Any) -> tuple[Header, bytes]:
    rows = _untouched(table)
    data = pack(rows)
    placed = pc.min_max(rows["placed_at"].cast(pa.int64())).as_py()
    header = Header(
        channel=part.channel,
        topic_id=part.topic_id,
        partition=part.partition,
        first=part.first,
        last=part.last,
        rows=rows.num_rows,
        least=placed["min"],
        greatest=placed["max"],
        size=len(data),
        check=crc32c.crc32c(data),
        ready=False,
        version=VERSION,
    )
    return header.sealed(), data


def _is_still(store: MessageStore, tile: Tile, found: list[tuple[Tile, Any]]) -> bool:
    """Return whether a tile is closed and holds the messages that were found, all but changes."""
    position = store.database["positions"].find_one({"_id": f"{tile.topic_id}/{tile.partition}"})
    if position is None or position["next"] <= tile.last or position.get("withheld") is not None:
        return False
    offsets = pa.chunked_array(
        [chunk for _, table in found for chunk in table["offset"].chunks], pa.int64()
    )
    counted = {"_id": None, "rows": {"$sum": 1}, "offsets": {"$sum": "$offset"}}
    pipeline: list[Mapping[str, Any]] = [{"$match": tile.where}, {"$group": counted}]
    now = next(store.messages.aggregate(pipeline, hint=PLACE_INDEX), {"rows": 0, "offsets": 0})
    if (now["rows"], now["offsets"]) != (len(offsets), pc.sum(offsets).as_py() or 0):
        return False
    deleted = {**tile.where, "rev": {"$gt": 0}, "deleted_at": {"$ne": None}}
    gone = store.messages.find(deleted, {"offset": 1, "_id": 0}, hint=PLACE_INDEX)
    held = pa.array([one["offset"] for one in gone], pa.int64())
    return not any(
        pc.any(pc.is_in(_untouched(table)["offset"], held)).as_py() for _, table in found
    )
