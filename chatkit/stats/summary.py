"""Numbers that sum a history up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from chatkit.query import Query
from chatkit.stats import pushdown
from chatkit.stats.counting import (
    channel_column,
    codes_of,
    days_of,
    differing,
    each_once,
    grouped,
    ms_of,
    runs,
    times,
)
from chatkit.stats.pushdown import Source, archive

__all__ = ["summary"]

Numbers = np.ndarray[Any, np.dtype[Any]]

_COUNTS = ["messages", "by_bots", "edited", "deleted", "replies", "attachments"]


def summary(
    source: Source,
    *,
    zone: str | None = None,
    by: str | None = None,
    query: Query | str = "",
    me: str | None = None,
) -> pd.DataFrame:
    """Return the numbers that sum a history up: one row for all of it, or one per channel.

    Parameters
    ----------
    source, query, me
        See `chatkit.stats.per_channel`.
    zone : str, optional
        Time zone of days and times, a name of the IANA database. Default: the frame's; an
        archive's is UTC.
    by : str or None, default None
        ``"channel"``: one row per channel, by name. None: one row, also without messages.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str, only by channel), ``messages``, ``by_bots``, ``edited``, ``deleted``,
        ``replies`` (messages that answer one, whether or not that is there), ``attachments``,
        ``authors``, ``channels`` (int64), ``first_at``, ``last_at`` (datetime64[ms, zone], NaT
        without messages), ``days`` of the calendar from the first message to the last, both
        included, ``active_days`` that have a message (int64), ``mean_per_day``, ``median_per_day``
        messages over all these days, silent ones too (float64, NaN without messages),
        ``busiest_day``, the first of them if there are several (datetime64[ms], NaT without
        messages), ``on_busiest_day``: its messages (int64). An edited message that was deleted
        counts as deleted alone, and its attachment is gone.

    Raises
    ------
    ChatkitError
        See `chatkit.stats.per_channel`.
    """
    store = archive(source, query)
    if store is not None:
        table, names = _added(pushdown.summary_counts(store, query, zone, me), by)
        found = pushdown.counts(store, query, zone, me, "day")
        codes, _ = grouped(found, by)  # numbered alike, since the channels are the same
        days, counts = found["number"].to_numpy(), found["messages"].to_numpy()
        like = pushdown.no_times(zone)
    else:
        assert isinstance(source, pd.DataFrame)
        messages = each_once(source, ["reply_to", "attachment_name"])
        codes, names = grouped(messages, by)
        table = _counted(messages, codes, names)
        days, counts = days_of(messages["placed_at"], zone), None
        like = messages["placed_at"].iloc[:0]
        like = like if zone is None else like.dt.tz_convert(zone)
    groups = 1 if names is None else len(names)
    none = table["messages"] == 0
    for end in ("first", "last"):
        table[end][none] = np.datetime64("NaT").astype("int64")
        table[f"{end}_at"] = times(table.pop(end), like)
    channel = channel_column(names, np.arange(groups))
    return pd.DataFrame({**channel, **table, **_daily(codes, days, counts, groups)})


def _counted(messages: pd.DataFrame, codes: Numbers, names: pd.Series | None) -> dict[str, Any]:
    """Return what is counted of each group of messages, and the times of its ends."""
    groups = 1 if names is None else len(names)
    flags = {
        "by_bots": messages["bot"],
        "edited": messages["edited_at"].notna(),
        "deleted": messages["deleted_at"].notna(),
        "replies": messages["reply_to"].notna(),
        "attachments": messages["attachment_name"].notna(),
    }
    if names is None:
        authors = np.array([messages["author"].nunique()])
        channels = np.array([messages["channel"].nunique()])
    else:
        people, people_names = codes_of(messages["author"])
        there = people_names.notna().to_numpy()[people]
        authors = _distinct(codes, people, there, len(people_names), groups)
        channels = np.ones(groups, dtype="int64")
    placed = ms_of(messages["placed_at"])
    return {
        "messages": np.bincount(codes, minlength=groups),
        **{
            name: np.bincount(codes[flag.to_numpy(dtype=bool)], minlength=groups)
            for name, flag in flags.items()
        },
        "authors": authors,
        "channels": channels,
        **_ends(codes, placed, placed, groups),
    }


def _added(parts: pd.DataFrame, by: str | None) -> tuple[dict[str, Any], pd.Series | None]:
    """Return the same of what `pushdown.summary_counts` counted, and the groups' names."""
    codes, names = grouped(parts, by)
    groups = 1 if names is None else len(names)
    people, people_names = codes_of(parts["author"])
    rooms, room_names = codes_of(parts["channel"])
    there = people_names.notna().to_numpy()[people]
    everywhere = np.ones(len(rooms), dtype=bool)
    table = {
        **{
            name: np.bincount(codes, parts[name].to_numpy(), groups).astype("int64")
            for name in _COUNTS
        },
        "authors": _distinct(codes, people, there, len(people_names), groups),
        "channels": _distinct(codes, rooms, everywhere, len(room_names), groups),
        **_ends(codes, parts["first_ms"].to_numpy(), parts["last_ms"].to_numpy(), groups),
    }
    return table, names


def _ends(codes: Numbers, first: Numbers, last: Numbers, groups: int) -> dict[str, Numbers]:
    """Return the least and the greatest of each group."""
    found = {
        "first": np.full(groups, np.iinfo("int64").max),
        "last": np.full(groups, np.iinfo("int64").min),
    }
    np.minimum.at(found["first"], codes, first)
    np.maximum.at(found["last"], codes, last)
    return found


def _distinct(
    codes: Numbers, values: Numbers, counted: Numbers, width: int, groups: int
) -> Numbers:
    """Return how many different values each group has."""
    width = max(1, width)
    pairs = differing((codes * width + values)[counted], groups * width)
    return np.bincount(pairs // width, minlength=groups)


def _daily(codes: Numbers, days: Numbers, counts: Numbers | None, groups: int) -> dict[str, Any]:
    """Return what sums up the messages of each day, of each group; without counts each is one."""
    least = int(days.min()) if len(days) else 0
    width = int(days.max()) - least + 1 if len(days) else 1
    keys, messages = _per_key(codes * width + days - least, counts, groups * width)
    group, day = keys // width, keys % width + least
    active = np.bincount(group, minlength=groups)
    begins = np.cumsum(active) - active
    has = active > 0
    span, middle = np.zeros(groups, "int64"), np.full(groups, np.nan)
    busiest, most = np.full(groups, "NaT", "datetime64[D]"), np.zeros(groups, "int64")
    ends = begins[has] + active[has] - 1
    span[has] = day[ends] - day[begins[has]] + 1
    # Within each group by count: the middle ones make the median, silent days being the least.
    order = np.lexsort((-day, messages, group))
    ranked = messages[order]
    silent = span - active
    halves = [
        np.where(
            place[has] < silent[has],
            0,
            ranked[np.minimum(begins[has] + np.maximum(place[has] - silent[has], 0), ends)],
        )
        for place in ((span - 1) // 2, span // 2)
    ]
    middle[has] = (halves[0] + halves[1]) / 2
    busiest[has] = day[order][ends].astype("datetime64[D]")
    most[has] = ranked[ends]
    total = np.bincount(group, weights=messages, minlength=groups)
    return {
        "days": span,
        "active_days": active.astype("int64"),
        "mean_per_day": np.divide(total, span, out=np.full(groups, np.nan), where=has),
        "median_per_day": middle,
        "busiest_day": busiest.astype("datetime64[ms]"),
        "on_busiest_day": most,
    }


def _per_key(keys: Numbers, counts: Numbers | None, end: int) -> tuple[Numbers, Numbers]:
    """Return each key once, in order, and the sum of its counts."""
    if counts is None:
        return runs(keys, end)
    known, places = np.unique(keys, return_inverse=True)
    return known, np.bincount(places, weights=counts).astype("int64")
