"""Hours, days, weeks, months, quarters and years, as clocks and calendars in a zone show them."""

from __future__ import annotations

import zoneinfo
from typing import Any

import numpy as np
import pandas as pd

from chatkit.errors import InputError

__all__ = ["PERIODS", "check_period", "check_rows", "day_numbers", "numbers_of", "shown", "starts"]

Numbers = np.ndarray[Any, np.dtype[Any]]

PERIODS = ("hour", "day", "week", "month", "quarter", "year")
HOUR_MS = 3_600_000
MOST_ROWS = 5_000_000
"""Of a table with a row for each period: 100 channels over a century of days, and then some."""


def check_period(period: str) -> None:
    """Raise InputError unless it is one of PERIODS."""
    if period not in PERIODS:
        raise InputError(f"period is one of {', '.join(PERIODS)}, not {period!r}")


def numbers_of(local_ms: Numbers, period: str) -> Numbers:
    """Return which period each time is in, one number after the other; weeks begin on Monday.

    Parameters
    ----------
    local_ms : numpy.ndarray
        What the zone's clocks show, ms since they showed 1970-01-01.
    period : str
        One of PERIODS.
    """
    if period == "hour":
        return local_ms // HOUR_MS
    return day_numbers(local_ms // (24 * HOUR_MS), period)


def day_numbers(days: Numbers, period: str) -> Numbers:
    """Return which period each day is in; the days are counted from 1970-01-01."""
    if period == "day":
        return days
    if period == "week":
        return (days + 3) // 7  # 1970-01-01 was a Thursday
    # A year of months is few; each day's is looked up, since the calendar is slow to ask.
    known, place = _lookup(days)
    months = known.astype("datetime64[D]").astype("datetime64[M]").astype("int64")
    return (months // {"month": 1, "quarter": 3, "year": 12}[period])[place]


def _lookup(days: Numbers) -> tuple[Numbers, Numbers]:
    """Return days that hold all of some, and where each of these is among them."""
    if not len(days):
        return days, days
    first, last = int(days.min()), int(days.max())
    if last - first > len(days):
        return days, np.arange(len(days))
    return np.arange(first, last + 1), days - first


def starts(numbers: Numbers, period: str) -> Numbers:
    """Return when periods begin, as datetime64[ms] without a zone."""
    if period == "hour":
        return numbers.astype("datetime64[h]").astype("datetime64[ms]")
    if period in ("day", "week"):
        days = numbers if period == "day" else numbers * 7 - 3
        return days.astype("datetime64[D]").astype("datetime64[ms]")
    months = numbers * {"month": 1, "quarter": 3, "year": 12}[period]
    return months.astype("datetime64[M]").astype("datetime64[ms]")


def shown(numbers: Numbers, period: str, zone: Any) -> Numbers:
    """Return which periods a zone's clocks show at all: an hour that they skip is none."""
    if period != "hour" or not len(numbers) or str(zone) == "UTC" or zone is None:
        return numbers
    zone = zoneinfo.ZoneInfo(zone) if isinstance(zone, str) else zone
    # Half of an hour may be skipped; then the other half is shown.
    there = np.zeros(len(numbers), dtype=bool)
    for minutes in (0, 30):
        clock = pd.Series(starts(numbers, period) + np.timedelta64(minutes, "m"))
        known = clock.dt.tz_localize(
            zone, ambiguous=np.ones(len(clock), dtype=bool), nonexistent="NaT"
        )
        there |= known.notna().to_numpy()
    found: Numbers = numbers[there]
    return found


def check_rows(length: int, groups: int, first: int, period: str) -> None:
    """Raise InputError where a table with a row for each period would be too long."""
    if length * groups > MOST_ROWS:
        ends = starts(np.array([first, first + length - 1]), period)
        least, most = (str(end)[:10] for end in ends)
        raise InputError(
            f"{length:,} {period}s from {least} to {most} times {groups:,} "
            "channels are too many rows. Take a longer period, or, if single messages have odd "
            "dates, leave them out first: frame[frame['placed_at'] > '2000-01-01']"
        )
