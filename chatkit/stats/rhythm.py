"""When it is written: hours of the week, and days of the calendar."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chatkit.query import Query
from chatkit.stats import pushdown
from chatkit.stats.counting import channel_column, each_once, grouped, ms_of
from chatkit.stats.periods import HOUR_MS
from chatkit.stats.pushdown import Source, archive
from chatkit.stats.volume import per_day

__all__ = ["calendar", "weekday_hours"]

_WEEK = 168


def weekday_hours(
    source: Source,
    *,
    zone: str | None = None,
    by: str | None = None,
    query: Query | str = "",
    me: str | None = None,
) -> pd.DataFrame:
    """Return one row per weekday and hour, as clocks in a zone show them.

    Parameters
    ----------
    source, query, me
        See `chatkit.stats.per_channel`.
    zone : str, optional
        Time zone, a name of the IANA database. Default: the frame's; an archive's is UTC.
    by : str or None, default None
        ``"channel"``: so for each channel, by name.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str, only by channel), ``weekday``, 0 is Monday, ``hour`` 0 to 23,
        ``messages`` (int64), ``share`` of the channel's, or of all, messages (float64; 0 where
        there are none). 168 rows each, also where there are no messages.

    Raises
    ------
    ChatkitError
        See `chatkit.stats.per_channel`.
    """
    store = archive(source, query)
    if store is None:
        assert isinstance(source, pd.DataFrame)
        messages = each_once(source)
        # 1970-01-01 was a Thursday.
        hours = (ms_of(messages["placed_at"], zone) // HOUR_MS + 72) % _WEEK
        weights = {}
    else:
        messages = pushdown.counts(store, query, zone, me, "week hour")
        hours = messages["number"].to_numpy()
        weights = {"weights": messages["messages"].to_numpy()}
    codes, names = grouped(messages, by)
    groups = 1 if names is None else len(names)
    counts = np.bincount(codes * _WEEK + hours, minlength=groups * _WEEK, **weights)
    totals = np.repeat(counts.reshape(groups, _WEEK).sum(axis=1), _WEEK)
    return pd.DataFrame(
        {
            **channel_column(names, np.repeat(np.arange(groups), _WEEK)),
            "weekday": np.tile(np.repeat(np.arange(7), 24), groups),
            "hour": np.tile(np.arange(24), 7 * groups),
            "messages": counts.astype("int64"),
            "share": counts / np.maximum(totals, 1),
        }
    )


def calendar(
    source: Source,
    *,
    zone: str | None = None,
    by: str | None = None,
    query: Query | str = "",
    me: str | None = None,
) -> pd.DataFrame:
    """Return one row per day from the first to the last, with its place on a calendar.

    Parameters
    ----------
    source, zone, query, me
        See `chatkit.stats.per_day`.
    by : str or None, default None
        ``"channel"``: so for each channel.

    Returns
    -------
    pandas.DataFrame
        ``day`` (datetime64[ms], midnight, without a zone), ``channel`` (str, only by channel),
        ``messages``, ``year``, ``week`` of the year, 0 up to its first Monday unless it begins with
        one, ``weekday``, 0 is Monday (int64).

    Raises
    ------
    ChatkitError
        See `chatkit.stats.per_day`.
    """
    table = per_day(source, zone=zone, by=by, query=query, me=me)
    days = table["day"].to_numpy().astype("datetime64[D]")
    years = days.astype("datetime64[Y]")
    first = years.astype("datetime64[D]")
    weekday = (days.astype("int64") + 3) % 7
    begins = (first.astype("int64") + 3) % 7
    in_year = (days - first).astype("int64")
    return table.assign(
        year=years.astype("int64") + 1970, week=(in_year + begins) // 7, weekday=weekday
    )
