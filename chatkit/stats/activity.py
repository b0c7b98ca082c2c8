"""Who is active when: authors per period, who is new and who stays, and days in a row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from chatkit.errors import InputError
from chatkit.stats.counting import (
    channel_column,
    codes_of,
    differing,
    each_once,
    grouped,
    ms_of,
    texts,
)
from chatkit.stats.periods import MOST_ROWS, check_period, check_rows, numbers_of, starts

__all__ = ["active_authors", "retention", "streaks"]

Numbers = np.ndarray[Any, np.dtype[Any]]


def active_authors(
    frame: pd.DataFrame, period: str = "week", *, zone: str | None = None, by: str | None = None
) -> pd.DataFrame:
    """Return how many authors wrote in each period, and how many of them for the first time.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    period : str, default "week"
        See `chatkit.stats.per_period`.
    zone : str, optional
        Time zone of the periods, a name of the IANA database. Default: the frame's.
    by : str or None, default None
        ``"channel"``: so for each channel; new is then who is new there.

    Returns
    -------
    pandas.DataFrame
        ``period``, when it begins (datetime64[ms], without a zone), ``channel`` (str, only by
        channel), ``authors`` who wrote in it, ``new``: those of them whose first message in the
        frame is in it, ``returning``: the others, who had written in an earlier one, ``gone``: who
        wrote in the period before and not in this one (int64). From the first period to the last,
        silent ones too.

    Raises
    ------
    InputError
        The frame lacks a column of a history; there is no such zone or period; or a message of a
        far-off date stretches the table to over 5 million rows.
    """
    found = _presence(frame, period, zone, by)
    first, length, groups = found.first, found.length, found.groups
    check_rows(length, groups, first, period)
    same = (found.group[1:] == found.group[:-1]) & (found.author[1:] == found.author[:-1])
    new = np.append(True, ~same)[: len(found.group)]
    followed = np.append(same & (np.diff(found.number) == 1), False)[: len(found.group)]
    rows = (found.number - first) * groups + found.group
    # Those who did not go on are gone in the next period, if there is one.
    left = rows[~followed] + groups
    size = length * groups
    authors = np.bincount(rows, minlength=size)
    newcomers = np.bincount(rows[new], minlength=size)
    return pd.DataFrame(
        {
            "period": np.repeat(starts(np.arange(first, first + length), period), groups),
            **channel_column(found.names, np.tile(np.arange(groups), length)),
            "authors": authors,
            "new": newcomers,
            "returning": authors - newcomers,
            "gone": np.bincount(left[left < size], minlength=size),
        }
    )


def retention(
    frame: pd.DataFrame, period: str = "month", *, zone: str | None = None, by: str | None = None
) -> pd.DataFrame:
    """Return how many of those who began in a period wrote again in each later one.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    period : str, default "month"
        See `chatkit.stats.per_period`.
    zone : str, optional
        Time zone of the periods, a name of the IANA database. Default: the frame's.
    by : str or None, default None
        ``"channel"``: so for each channel; who began is then who began there.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str, only by channel), ``cohort``: the period of the first message in the frame
        (datetime64[ms], without a zone; those in which nobody began are left out), ``age``: so many
        periods later, from 0 to the frame's last (int64), ``began``: how many authors, ``active``:
        how many of them wrote then (int64), ``share``: of those who began (float64). By channel,
        cohort and age.

    Raises
    ------
    InputError
        See `active_authors`.
    """
    found = _presence(frame, period, zone, by)
    last = found.first + found.length - 1
    count = len(found.group)
    starting = np.ones(count, dtype=bool)
    if count:
        starting[1:] = (found.group[1:] != found.group[:-1]) | (
            found.author[1:] != found.author[:-1]
        )
    who = np.cumsum(starting) - 1
    cohort = found.number[starting][who]
    width = max(1, found.length)
    keys = found.group * width + cohort - found.first
    cohorts = differing(keys, found.groups * width)
    cohort_group, cohort_number = cohorts // width, cohorts % width + found.first
    ages = last - cohort_number + 1
    if int(ages.sum()) > MOST_ROWS:
        raise InputError(
            f"{len(cohorts):,} cohorts over {found.length:,} {period}s are too many rows. Take a "
            "longer period"
        )
    begins = np.cumsum(ages) - ages
    place = np.searchsorted(cohorts, keys)
    active = np.bincount(begins[place] + found.number - cohort, minlength=int(ages.sum()))
    row = np.repeat(np.arange(len(cohorts)), ages)
    age = np.arange(int(ages.sum())) - begins[row]
    began = active[begins[row]]
    return pd.DataFrame(
        {
            **channel_column(found.names, cohort_group[row]),
            "cohort": starts(cohort_number[row], period),
            "age": age,
            "began": began,
            "active": active,
            "share": active / np.maximum(began, 1),
        }
    )


def streaks(frame: pd.DataFrame, *, zone: str | None = None, by: str | None = None) -> pd.DataFrame:
    """Return on how many days each author wrote, and on how many in a row.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    zone : str, optional
        Time zone of the days, a name of the IANA database. Default: the frame's.
    by : str or None, default None
        ``"channel"``: so for each channel.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str, only by channel), ``author`` (str), ``days`` with a message, ``longest``
        run of days in a row (int64), ``first_day``, ``last_day`` of it, the earliest if several are
        as long (datetime64[ms], without a zone), ``current``: days of the run that holds the last
        day of the frame, 0 if none does (int64). The longest first, equal ones by name.

    Raises
    ------
    InputError
        See `active_authors`.
    """
    found = _presence(frame, "day", zone, by)
    count = len(found.group)
    person = np.ones(count, dtype=bool)
    run = np.ones(count, dtype=bool)
    if count:
        person[1:] = (found.group[1:] != found.group[:-1]) | (found.author[1:] != found.author[:-1])
        run[1:] = person[1:] | (np.diff(found.number) != 1)
    begins = np.flatnonzero(run)
    length = np.diff(begins, append=count)
    who = (np.cumsum(person) - 1)[begins]
    people = np.flatnonzero(person)
    # The longest of each, and of those the earliest, first.
    order = np.lexsort((begins, -length, who))
    best = order[np.append(True, np.diff(who[order]) != 0)[: len(order)]]
    last_day = found.first + found.length - 1
    ends = found.number[begins] + length - 1
    current = np.zeros(len(people), dtype="int64")
    current[who[ends == last_day]] = length[ends == last_day]
    first_day = found.number[begins[best]]
    table = pd.DataFrame(
        {
            **channel_column(found.names, found.group[people]),
            "author": texts(found.authors, found.author[people]),
            "days": np.diff(people, append=count),
            "longest": length[best],
            "first_day": starts(first_day, "day"),
            "last_day": starts(first_day + length[best] - 1, "day"),
            "current": current,
        }
    )
    # Stable, and rows come by channel and name.
    return table.sort_values("longest", ascending=False, kind="stable", ignore_index=True)


class _Presence(NamedTuple):
    """Who wrote in which period, each once, by group, author and period."""

    group: Numbers
    author: Numbers
    number: Numbers
    names: pd.Series | None
    authors: pd.Series
    groups: int
    first: int
    length: int


def _presence(frame: pd.DataFrame, period: str, zone: str | None, by: str | None) -> _Presence:
    check_period(period)
    messages = each_once(frame)
    codes, names = grouped(messages, by)
    authors, author_names = codes_of(messages["author"])
    numbers = numbers_of(ms_of(messages["placed_at"], zone), period)
    first = int(numbers.min()) if len(numbers) else 0
    length = int(numbers.max()) - first + 1 if len(numbers) else 0
    people, width = max(1, len(author_names)), max(1, length)
    groups = 1 if names is None else len(names)
    keys = differing((codes * people + authors) * width + numbers - first, groups * people * width)
    return _Presence(
        group=keys // (people * width),
        author=keys // width % people,
        number=keys % width + first,
        names=names,
        authors=author_names,
        groups=groups,
        first=first,
        length=length,
    )
