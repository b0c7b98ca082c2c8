"""The same counts asked of MongoDB: an archive counts itself, and only the counts come here.

What is counted here is what `chatkit.history.load` would load: documents that don't fit are left
out. Clocks go by the same time zone database as in a frame: MongoDB's own knows other rules for
some years, so it is told by how much a zone's clocks differ from UTC, and from when on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pymongo

from chatkit.errors import InputError
from chatkit.history import DAY_MS, FIRST_MS, READ_SECONDS
from chatkit.query import Query, parse, time_zone
from chatkit.stats.counting import ms_of
from chatkit.store import MessageStore

__all__ = ["Source", "archive", "counts", "no_times", "summary_counts", "tally"]

Document = dict[str, Any]
Source = pd.DataFrame | MessageStore

LAST_MS = 253_402_300_799_999  # the end of year 9999
UNITS_MS = {"hour": 3_600_000, "day": DAY_MS}
MOST_GROUPS = 5_000_000
"""Counts that are taken from MongoDB at most."""

_PLACED = {"$toLong": "$placed_at"}
_HAS = {
    "by_bots": "$bot",
    "edited": {"$eq": [{"$type": "$edited_at"}, "date"]},
    "deleted": {"$eq": [{"$type": "$deleted_at"}, "date"]},
    "replies": {"$eq": [{"$type": "$reply_to"}, "string"]},
    "attachments": {"$eq": [{"$type": "$attachment.name"}, "string"]},
}


def archive(source: Source, query: Query | str) -> MessageStore | None:
    """Return the archive that a source is, or None for a frame, of which nothing can be queried."""
    if isinstance(source, MessageStore):
        return source
    if query:
        raise InputError(
            "A query is for an archive. Give it to chatkit.history.load, or filter the frame: "
            "frame[chatkit.query.parse(query).mask(frame, me=...)]"
        )
    return None


def no_times(zone: str | None) -> pd.Series:
    """Return an empty column of times in a zone, of the kind that a loaded frame has."""
    return pd.Series([], dtype=f"datetime64[ms, {zone or 'UTC'}]")


def tally(
    store: MessageStore, query: Query | str, zone: str | None, me: str | None, by: str, other: str
) -> pd.DataFrame:
    """Return one row per channel or author, by name.

    Returns
    -------
    pandas.DataFrame
        ``name`` (str), ``messages``, ``others``: how many names of the other kind, ``by_bots``,
        ``edited``, ``deleted``, ``first_ms``, ``last_ms`` (int64).
    """
    numbers = ["messages", "by_bots", "edited", "deleted"]
    pairs = {
        "_id": {"name": _text(by), "other": _text(other)},
        **_sums(numbers),
        "first_ms": {"$min": "$placed_at"},
        "last_ms": {"$max": "$placed_at"},
    }
    names = {
        "_id": "$_id.name",
        **{name: {"$sum": f"${name}"} for name in numbers},
        "others": {"$sum": {"$cond": [{"$ne": ["$_id.other", None]}, 1, 0]}},
        "first_ms": {"$min": "$first_ms"},
        "last_ms": {"$max": "$last_ms"},
    }
    shape = {**_clamped(zone, "first_ms"), **_clamped(zone, "last_ms")}
    found = _ask(
        store, query, zone, me, [{"$group": pairs}, {"$group": names}, {"$addFields": shape}]
    )
    whole = [*numbers, "others", "first_ms", "last_ms"]
    return _table(found, "name", whole).sort_values("name", ignore_index=True)


def counts(
    store: MessageStore, query: Query | str, zone: str | None, me: str | None, unit: str
) -> pd.DataFrame:
    """Return one row per channel and hour or day that has a message.

    Parameters
    ----------
    unit : str
        ``"hour"`` or ``"day"``, as the zone's clocks show them; ``"week hour"``: hours of the week.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str), ``number`` of hours or days since 1970-01-01, or of hours since Monday,
        ``messages`` (int64).
    """
    local = {"$add": [_clamp(_PLACED, zone), _offset(store, query, zone, me)]}
    size = UNITS_MS["day" if unit == "day" else "hour"]
    number: Document = {"$floor": {"$divide": [local, size]}}
    if unit == "week hour":
        # 1970-01-01 was a Thursday; what is before it leaves a negative rest.
        rest = {"$mod": [{"$add": [number, 72]}, 168]}
        number = {"$mod": [{"$add": [rest, 168]}, 168]}
    group = {"_id": {"channel": "$channel", "number": number}, "messages": {"$sum": 1}}
    shape = {"_id": "$_id.channel", "number": {"$toLong": "$_id.number"}, "messages": 1}
    found = _ask(store, query, zone, me, [{"$group": group}, {"$project": shape}])
    return _table(found, "channel", ["number", "messages"])


def summary_counts(
    store: MessageStore, query: Query | str, zone: str | None, me: str | None
) -> pd.DataFrame:
    """Return one row per channel and author.

    Returns
    -------
    pandas.DataFrame
        ``channel``, ``author`` (str), ``messages``, ``by_bots``, ``edited``, ``deleted``,
        ``replies``, ``attachments``, ``first_ms``, ``last_ms`` (int64).
    """
    numbers = ["messages", *_HAS]
    group = {
        "_id": {"channel": "$channel", "author": _text("author")},
        **_sums(numbers),
        "first_ms": {"$min": "$placed_at"},
        "last_ms": {"$max": "$placed_at"},
    }
    shape = {**_clamped(zone, "first_ms"), **_clamped(zone, "last_ms")}
    shape |= {"author": "$_id.author", "_id": "$_id.channel"}
    found = _ask(store, query, zone, me, [{"$group": group}, {"$addFields": shape}])
    table = _table(found, "channel", [*numbers, "first_ms", "last_ms"])
    table.insert(1, "author", pd.Series([one["author"] for one in found], dtype="str"))
    return table


def _ask(
    store: MessageStore,
    query: Query | str,
    zone: str | None,
    me: str | None,
    stages: list[Document],
) -> list[Document]:
    """Return what a pipeline says of the messages that match."""
    asked = parse(query) if isinstance(query, str) else query
    time_zone(zone or "UTC")
    where = (
        asked.to_filter(me=store.user if me is None else me, zone=zone or "UTC") if asked else {}
    )
    fits = {
        "channel": {"$type": "string"},
        "placed_at": {"$type": "date"},
        "bot": {"$type": "bool"},
    }
    pipeline = [{"$match": where}, {"$match": fits}, *stages, {"$limit": MOST_GROUPS + 1}]
    with store.answering(), pymongo.timeout(READ_SECONDS):
        found = list(store.messages.aggregate(pipeline, allowDiskUse=True))
    if len(found) > MOST_GROUPS:
        raise InputError(
            f"These are over {MOST_GROUPS:,} counts. Take a longer period, or a narrower query"
        )
    return found


def _text(name: str) -> Document:
    return {"$cond": [{"$eq": [{"$type": f"${name}"}, "string"]}, f"${name}", None]}


def _sums(names: list[str]) -> Document:
    return {name: {"$sum": {"$cond": [_HAS[name], 1, 0]} if name in _HAS else 1} for name in names}


def _clamp(ms: Any, zone: str | None) -> Document:
    """Return dates as `chatkit.history.load` returns them: those that Python can hold."""
    margin = 0 if (zone or "UTC") == "UTC" else DAY_MS
    return {"$min": [{"$max": [ms, FIRST_MS + margin]}, LAST_MS - margin]}


def _clamped(zone: str | None, name: str) -> Document:
    return {name: _clamp({"$toLong": f"${name}"}, zone)}


def _offset(store: MessageStore, query: Query | str, zone: str | None, me: str | None) -> Any:
    """Return by how many ms clocks in a zone are ahead of UTC when a message was placed."""
    if (zone or "UTC") == "UTC":
        return 0
    ends = {"_id": None, "first": {"$min": "$placed_at"}, "last": {"$max": "$placed_at"}}
    shape = {**_clamped(zone, "first"), **_clamped(zone, "last")}
    found = _ask(store, query, zone, me, [{"$group": ends}, {"$addFields": shape}])
    if not found:
        return 0
    return _choice(*_changes(found[0]["first"], found[0]["last"], zone or "UTC"))


def _changes(first: int, last: int, zone: str) -> tuple[list[int], list[int]]:
    """Return how far clocks are ahead in a time, ms: from when on, and at first and from then."""

    def ahead(at: Any) -> Any:
        utc = pd.Series(at.astype("datetime64[ms]")).dt.tz_localize("UTC")
        return ms_of(utc, zone) - at

    margin = DAY_MS
    days = np.arange(first, last + 1, DAY_MS)
    days = np.append(days, min(last + 1, LAST_MS - margin))
    before = ahead(days)
    changed = np.flatnonzero(np.diff(before))
    low, high = days[changed], days[changed + 1]
    while (high - low > 1).any():
        middle = (low + high) // 2
        same = ahead(middle) == before[changed]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return high.tolist(), [int(before[0]), *before[changed + 1].tolist()]


def _choice(changes: list[int], values: list[int]) -> Any:
    """Return an expression that looks up the value that holds after the last change."""
    if not changes:
        return values[0]
    half = len(changes) // 2
    earlier = _choice(changes[:half], values[: half + 1])
    later = _choice(changes[half + 1 :], values[half + 1 :])
    return {"$cond": [{"$lt": [_PLACED, changes[half]]}, earlier, later]}


def _table(found: list[Document], name: str, numbers: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series([one["_id"] for one in found], dtype="str"),
            **{
                number: np.array([one[number] for one in found], dtype="int64")
                for number in numbers
            },
        }
    )
