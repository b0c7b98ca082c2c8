"""Segments: a second copy of the archive in columns, inside MongoDB, that makes loading fast.

A segment holds the messages of a closed range of a partition's offsets that no event was about,
as Arrow columns in one document of collection ``segments``. Archivers build them; `build` does it
for what is there already. Who loads reads the segments, and as rows whatever is in none of them or
has changed, so that a frame is the same with and without segments. They are a copy: dropping them
loses nothing.

Whoever takes messages out of the archive has to tell: delete them within `withheld`, or call
`forget` afterwards. It knows documents and the store, and nothing of Kafka or frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from chatkit.segments.building import Tile, build_tile, pending
from chatkit.segments.stored import Header, fetch, headers, usable
from chatkit.store import MessageStore

__all__ = [
    "Built",
    "ChannelSegments",
    "build",
    "build_some",
    "drop",
    "forget",
    "status",
    "withheld",
]


NAMED = 10_000
"""Ids to ask for at a time."""


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """What building segments came to."""

    tiles: int = 0
    """Ranges that were looked at."""
    rows: int = 0
    """Messages that are in new segments now."""


class ChannelSegments(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a channel is in segments."""

    channel: str
    """Name of the channel."""
    segments: int
    """Segments that are read."""
    unusable: int
    """Segments that are not: unfinished, of another version, or ahead of what is archived."""
    rows: int
    """Messages that they hold: those that no event was about."""
    size: int
    """Bytes of their columns."""
    archived: int
    """Records of the channel that are archived, of all kinds."""
    covered: int
    """Of these, how many lie within segments."""


def build(
    store: MessageStore,
    channel: str | None = None,
    *,
    progress: Callable[[Built], None] | None = None,
) -> Built:
    """Build segments of all that is archived and in none; may run beside archivers, and again.

    Parameters
    ----------
    store : MessageStore
        The archive; stays open.
    channel : str, optional
        Only of this channel. Default: of all.
    progress : callable, optional
        Is told what was done until now, after each range.

    Raises
    ------
    StoreUnavailableError
        MongoDB did not answer in time, or refused us.
    """
    store.prepare()
    built = Built()
    with store.answering():
        where = {"withheld": {"$ne": None}, "topic": {"$type": "string"}}
        for position in list(store.database["positions"].find(where)):
            # A purge that was cut off: what it left is built from what is there now.
            if channel in (None, store.channel_of(position["topic"])):
                place = {name: position[name] for name in ("topic_id", "partition")}
                store.segments.delete_many(place)
                store.database["positions"].update_one(
                    {"_id": position["_id"]}, {"$unset": {"withheld": ""}}
                )
        for tile in pending(store, channel):
            built = Built(tiles=built.tiles + 1, rows=built.rows + build_tile(store, tile))
            if progress is not None:
                progress(built)
    return built


def build_some(
    store: MessageStore, only: Collection[tuple[str, int]], *, least: int
) -> Iterator[Built]:
    """Build one range after the other of some partitions, and yield what each came to.

    Parameters
    ----------
    store : MessageStore
        The archive, prepared.
    only : collection of (topic id, partition)
        Which partitions.
    least : int
        Offsets that a range that still grows must have gained.

    Raises
    ------
    StoreUnavailableError
        MongoDB did not answer in time, or refused us.
    """
    with store.answering():
        for tile in pending(store, only=only, least=least):
            yield Built(tiles=1, rows=build_tile(store, tile))


def status(store: MessageStore) -> list[ChannelSegments]:
    """Return how much of each channel is in segments, by name.

    Raises
    ------
    StoreUnavailableError
        MongoDB did not answer in time, or refused us.
    """
    with store.answering():
        found, good = headers(store), usable(store)
        archived: dict[str, int] = {}
        for position in store.database["positions"].find():
            name = store.channel_of(position["topic"])
            if name is not None:
                archived[name] = archived.get(name, 0) + position["next"]
    channels = sorted(archived.keys() | {one.channel for one in found})
    return [_about(name, archived.get(name, 0), found, good) for name in channels]


def _about(
    name: str, archived: int, found: Iterable[Header], good: Iterable[Header]
) -> ChannelSegments:
    ours = [one for one in good if one.channel == name]
    return ChannelSegments(
        channel=name,
        segments=len(ours),
        unusable=sum(one.channel == name for one in found) - len(ours),
        rows=sum(one.rows for one in ours),
        size=sum(one.size for one in ours),
        archived=archived,
        covered=sum(one.last - one.first + 1 for one in ours),
    )


def drop(store: MessageStore, channel: str | None = None) -> int:
    """Delete the segments of a channel, or all, and return how many there were; nothing is lost.

    Raises
    ------
    StoreUnavailableError
        MongoDB did not answer in time, or refused us.
    """
    with store.answering():
        where = {} if channel is None else {"channel": channel}
        return store.segments.delete_many(where).deleted_count


def forget(store: MessageStore, ids: Collection[str], channel: str | None = None) -> int:
    """Write the segments that hold some messages anew, from what is archived now.

    To be called right after the messages were deleted from the archive, or changed by hand; see
    `withheld`.

    Parameters
    ----------
    store : MessageStore
        The archive; stays open.
    ids : collection of str
        Ids of the messages.
    channel : str, optional
        The only channel that they are in. Default: any.

    Returns
    -------
    int
        How many segments held some of them.

    Raises
    ------
    StoreUnavailableError
        MongoDB did not answer in time, or refused us.
    """
    tiles = _discard(store, ids, channel)
    _rebuild(store, tiles)
    return len(tiles)


def _discard(store: MessageStore, ids: Collection[str], channel: str | None) -> list[Tile]:
    """Delete the segments that hold some messages, and return their ranges."""
    wanted = pa.array(list(ids), pa.large_string())
    with store.answering():
        found = headers(store, None if channel is None else [channel])
        tiles = [
            _tile(header)
            for header, copy in fetch(store, found)
            # What can't be read may hold them too.
            if copy is None or pc.any(pc.is_in(copy["id"], wanted)).as_py()
        ]
        for tile in tiles:
            store.segments.delete_many(tile.holding)
    return tiles


def _rebuild(store: MessageStore, tiles: Iterable[Tile]) -> None:
    with store.answering():
        for tile in tiles:
            build_tile(store, tile)


def _tile(header: Header) -> Tile:
    return Tile(
        channel=header.channel,
        topic_id=header.topic_id,
        partition=header.partition,
        first=header.first,
        last=header.last,
    )


@contextlib.contextmanager
def withheld(
    store: MessageStore, ids: Collection[str], channel: str | None = None
) -> Iterator[None]:
    """Within the block, delete messages from the archive: no segment will still hold them.

    Their partitions are read as rows until the segments are written anew at the end of the block;
    if it ends by an error, or the process does, until `build` is run.

    Parameters
    ----------
    store : MessageStore
        The archive; stays open.
    ids : collection of str
        Ids of the messages, still archived.
    channel : str, optional
        The only channel that they are in. Default: any.

    Raises
    ------
    StoreUnavailableError
        MongoDB did not answer in time, or refused us.
    """
    places: set[str] = set()
    named = list(ids)
    with store.answering():
        for start in range(0, len(named), NAMED):
            where: dict[str, Any] = {"_id": {"$in": named[start : start + NAMED]}}
            if channel is not None:
                where["channel"] = channel
            for one in store.messages.find(where, {"topic_id": 1, "partition": 1}):
                places.add(f"{one.get('topic_id')}/{one.get('partition')}")
        positions = store.database["positions"]
        mine = {"_id": {"$in": list(places)}}
        positions.update_many(mine, {"$set": {"withheld": True}})
    yield
    tiles = _discard(store, ids, channel)
    with store.answering():
        positions.update_many(mine, {"$unset": {"withheld": ""}})
    _rebuild(store, tiles)
