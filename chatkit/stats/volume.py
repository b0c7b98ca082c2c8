"""How much is written: messages per channel, per author, per day and other periods."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chatkit.query import Query
from chatkit.stats import pushdown
from chatkit.stats.counting import (
    channel_column,
    codes_of,
    differing,
    each_once,
    grouped,
    ms_of,
    times,
)
from chatkit.stats.periods import check_period, check_rows, day_numbers, numbers_of, shown, starts
from chatkit.stats.pushdown import Source, archive

__all__ = ["per_author", "per_channel", "per_day", "per_period"]


def per_channel(
    source: Source, *, query: Query | str = "", zone: str | None = None, me: str | None = None
) -> pd.DataFrame:
    """Return one row per channel, the busiest first, those equally busy by name.

    Parameters
    ----------
    source : pandas.DataFrame or MessageStore
        Messages, as `chatkit.history.load` returns them; or an archive, which then counts itself.
    query : Query or str, default ""
        Which messages of an archive, as `chatkit.history.load` takes it. Of a frame, filter the
        frame.
    zone : str, optional
        Time zone of ``first_at`` and ``last_at``, and of dates in the query, a name of the IANA
        database. Default: the frame's; an archive's is UTC.
    me : str, optional
        Who ``me`` in the query is. Default: the user of the store's settings.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str), ``messages`` (int64), ``share`` of all messages (float64, in all 1),
        ``cumulative_share``: of this row and those before it (float64), ``authors`` who wrote there
        (int64), ``by_bots``, ``edited``, ``deleted``: how many of the messages (int64),
        ``first_at``, ``last_at``: when the first and last was placed (datetime64[ms, zone]). An
        edited message that was deleted counts as deleted alone.

    Raises
    ------
    InputError
        The frame lacks a column of a history; there is no such zone; or a query is given for a
        frame.
    QueryError
        The query can't be parsed; the text points at the place.
    StoreUnavailableError
        MongoDB did not answer, or refused us.
    """
    return _tally(source, query, zone, me, "channel", "author")


def per_author(
    source: Source, *, query: Query | str = "", zone: str | None = None, me: str | None = None
) -> pd.DataFrame:
    """Return one row per author, the busiest first, those equally busy by name.

    Names are counted as they are written: nothing proves that they belong to one person.

    Parameters
    ----------
    source, query, zone, me
        See `per_channel`.

    Returns
    -------
    pandas.DataFrame
        ``author`` (str), ``channels`` that they wrote in (int64), and all other columns of
        `per_channel` but ``authors``.

    Raises
    ------
    ChatkitError
        See `per_channel`.
    """
    return _tally(source, query, zone, me, "author", "channel")


def per_day(
    source: Source,
    *,
    zone: str | None = None,
    by: str | None = "channel",
    query: Query | str = "",
    me: str | None = None,
) -> pd.DataFrame:
    """Return one row per day and channel, by day and then by channel.

    Each channel has a row for each day from the first to the last that any message is of, with 0
    where it had none: a plot shows a silence as a silence.

    Parameters
    ----------
    source, query, me
        See `per_channel`.
    zone : str, optional
        Time zone whose midnights part the days, a name of the IANA database. Default: the frame's;
        an archive's is UTC.
    by : str or None, default "channel"
        None: all channels together, without their column.

    Returns
    -------
    pandas.DataFrame
        ``day`` (datetime64[ms], midnight, without a zone: a day of the calendar), ``channel``
        (str), ``messages`` (int64).

    Raises
    ------
    InputError
        See `per_channel`; or a message of a far-off date stretches the table to over 5 million
        rows.
    """
    table = per_period(source, "day", zone=zone, by=by, query=query, me=me)
    return table.rename(columns={"period": "day"})


def per_period(
    source: Source,
    period: str = "month",
    *,
    zone: str | None = None,
    by: str | None = "channel",
    query: Query | str = "",
    me: str | None = None,
) -> pd.DataFrame:
    """Return one row per period and channel, by period and then by channel.

    Periods are those of clocks and calendars in a zone. So an hour that clocks show twice, when
    they go back, is one row with the messages of both, and one that they skip has none.

    Parameters
    ----------
    source, query, me
        See `per_channel`.
    period : str, default "month"
        ``"hour"``, ``"day"``, ``"week"`` (from Monday), ``"month"``, ``"quarter"`` or ``"year"``.
    zone : str, optional
        Time zone, a name of the IANA database. Default: the frame's; an archive's is UTC.
    by : str or None, default "channel"
        None: all channels together, without their column.

    Returns
    -------
    pandas.DataFrame
        ``period``, when it begins (datetime64[ms], without a zone), ``channel`` (str), ``messages``
        (int64), with 0 where there were none.

    Raises
    ------
    InputError
        See `per_day`; or there is no such period.
    """
    check_period(period)
    store = archive(source, query)
    if store is None:
        assert isinstance(source, pd.DataFrame)
        messages = each_once(source)
        codes, names = grouped(messages, by)
        numbers = numbers_of(ms_of(messages["placed_at"], zone), period)
        counts = np.ones(0)  # each message is one
        clock: object = messages["placed_at"].dt.tz if zone is None else zone
    else:
        unit = "hour" if period == "hour" else "day"
        found = pushdown.counts(store, query, zone, me, unit)
        codes, names = grouped(found, by)
        numbers, counts = found["number"].to_numpy(), found["messages"].to_numpy()
        if unit == "day":
            numbers = day_numbers(numbers, period)
        clock = zone or "UTC"
    groups = 1 if names is None else len(names)
    if not len(numbers):
        first, length = 0, 0
    else:
        first, length = int(numbers.min()), int(numbers.max() - numbers.min()) + 1
        check_rows(length, groups, first, period)
    weights = {} if store is None else {"weights": counts}
    table = np.bincount((numbers - first) * groups + codes, minlength=length * groups, **weights)
    rows = np.arange(first, first + length)
    there = shown(rows, period, clock)
    # What is counted is there, whatever the zone's rules say of such an hour now.
    kept = np.isin(rows, there) | (table.reshape(length, groups).sum(axis=1) > 0)
    return pd.DataFrame(
        {
            "period": np.repeat(starts(rows[kept], period), groups),
            **channel_column(names, np.tile(np.arange(groups), int(kept.sum()))),
            "messages": table.reshape(length, groups)[kept].ravel().astype("int64"),
        }
    )


def _tally(
    source: Source, query: Query | str, zone: str | None, me: str | None, by: str, other: str
) -> pd.DataFrame:
    store = archive(source, query)
    if store is not None:
        tally = pushdown.tally(store, query, zone, me, by, other)
        like = pushdown.no_times(zone)
    else:
        assert isinstance(source, pd.DataFrame)
        messages = each_once(source)
        tally = _tally_frame(messages, by, other)
        like = messages["placed_at"]
        if zone is not None:
            ms_of(like.iloc[:0], zone)  # raises where there is no such zone
            like = like.iloc[:0].dt.tz_convert(zone)
    # Stable, and the groups come by name.
    tally = tally.sort_values("messages", ascending=False, kind="stable", ignore_index=True)
    total = max(1, int(tally["messages"].sum()))
    return pd.DataFrame(
        {
            by: tally["name"],
            "messages": tally["messages"],
            "share": tally["messages"] / total,
            "cumulative_share": tally["messages"].cumsum() / total,
            f"{other}s": tally["others"],
            **{name: tally[name] for name in ("by_bots", "edited", "deleted")},
            "first_at": times(tally["first_ms"].to_numpy(), like),
            "last_at": times(tally["last_ms"].to_numpy(), like),
        }
    )


def _tally_frame(messages: pd.DataFrame, by: str, other: str) -> pd.DataFrame:
    """Return one row per name, by name: what `pushdown.tally` returns of an archive."""
    codes, names = codes_of(messages[by])
    others, other_names = codes_of(messages[other])
    groups, others_count = len(names), max(1, len(other_names))
    pairs = differing(codes * others_count + others, groups * others_count)
    # A missing name is nobody, as pandas counts.
    pairs = pairs[other_names.notna().to_numpy()[pairs % others_count]]
    placed = ms_of(messages["placed_at"])
    first, last = np.full(groups, np.iinfo("int64").max), np.full(groups, np.iinfo("int64").min)
    np.minimum.at(first, codes, placed)
    np.maximum.at(last, codes, placed)

    def count(chosen: pd.Series) -> object:
        return np.bincount(codes[chosen.to_numpy(dtype=bool)], minlength=groups)

    return pd.DataFrame(
        {
            "name": names,
            "messages": np.bincount(codes, minlength=groups),
            "others": np.bincount(pairs // others_count, minlength=groups),
            "by_bots": count(messages["bot"]),
            "edited": count(messages["edited_at"].notna()),
            "deleted": count(messages["deleted_at"].notna()),
            "first_ms": first,
            "last_ms": last,
        }
    )
