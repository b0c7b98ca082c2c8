"""Years, months and days, and when they begin in a time zone."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, date, datetime, timedelta

from chatkit.errors import InputError

__all__ = ["Span", "first_days", "span", "time_zone"]

_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_DAY = timedelta(days=1)


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """Return the time zone of a name in the IANA database.

    Raises
    ------
    InputError
        There is none.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"There is no time zone {name!r}; names look like 'UTC' or 'Europe/Vienna'"
        ) from error


def first_days(value: str) -> tuple[date, date | None]:
    """Return the first day of a year, month or day, and of the next; None after year 9999.

    Raises
    ------
    ValueError
        It is none; the text says why.
    """
    found = _DATE.fullmatch(value)
    if not found:
        raise ValueError("A date is a year, month or day, such as 2026, 2026-01 or 2026-01-31")
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        first = date(year or 0, month or 1, day or 1)
    except ValueError:
        raise ValueError(f"There is no such date as {value}") from None
    try:
        if day:
            return first, first + _DAY
        # The day that is surely in the next one, taken back to its first.
        long = first.replace(day=28) + 4 * _DAY if month else first.replace(month=12, day=31) + _DAY
        return first, long.replace(day=1)
    except OverflowError:
        return first, None


Span = tuple[datetime | None, datetime | None]
"""Its beginning, and its end, which is not in it; None: it has none."""


def span(value: str, zone: zoneinfo.ZoneInfo) -> Span:
    """Return when a year, month or day begins and ends; no end: with year 9999.

    Raises
    ------
    ValueError
        It is none; the text says why.
    """
    first, following = first_days(value)
    return _begins(first, zone), None if following is None else _begins(following, zone)


def _begins(day: date, zone: zoneinfo.ZoneInfo) -> datetime:
    """Return when a day begins in a zone, in UTC; years 1 to 9999 are all there is."""
    try:
        # Where clocks skip midnight, or have it twice, this is the day's first moment.
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
