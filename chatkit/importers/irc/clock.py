"""What the times in a log mean: days that lines don't name, clocks that wrap, zones.

Whatever can't be known is decided by one rule, written here, and told in a note. Pure.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Literal

__all__ = ["DAY_LINE", "TIME", "Clock", "Dial", "day_in_name", "day_of", "dial"]

TIME = re.compile(
    r"""\[?
    (?:(?P<year>\d{4})[-/](?P<month>\d\d)[-/](?P<day>\d\d)[T ]
     |(?P<name>[A-Z][a-z]{2})[ ]+(?P<of_month>\d\d?)[ ])?
    (?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?
    (?P<offset>Z|[+-]\d\d:?\d\d)?(?:[ ]?(?P<half>[AaPp])[Mm])?
    (?:\][ \t]?|[ \t]|$)""",
    re.VERBOSE | re.ASCII,
)
"""The time at the start of a line, up to the one space or tab behind it."""
_HEAD = (
    r"(?:---[ ](?:Log[ ](?:opened|closed)|Day[ ]changed)|Session[ ](?:Start|Close|Time):"
    r"|\*{4}[ ](?:BEGIN|ENDING)[ ]LOGGING[ ]AT)[ ]+"
)
DAY_LINE = re.compile(
    _HEAD
    + r"""(?:(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)
    |(?:\w+,?[ ]+)??(?P<name>[A-Z][a-z]{2})[a-z]*[ ]+(?P<of_month>\d\d?),?[ ]
     (?:\d\d:\d\d(?::\d\d)?[ ])?(?P<of_year>\d{4}))""",
    re.VERBOSE | re.ASCII,
)
"""A line in which irssi, mIRC, XChat or HexChat tells the day."""
_IN_NAME = re.compile(
    r"(?<!\d)(?:(\d{4})[-_.]?(\d\d)[-_.]?(\d\d)|(\d\d)([A-Z][a-z]{2})(\d{4}))(?!\d)", re.ASCII
)
_HOURS = re.compile(
    rb"^(?:\[?(\d\d?):(\d\d)(?::\d\d)?+(?! ?[AaPp][Mm])|--- |Session |\*{4} )", re.MULTILINE
)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
LAST_YEAR = 9999
"""No time of it is taken: elsewhere it may be the next."""
_BACK_MS = 61 * 60_000
_HALF = 12 * 60
_EPOCH = date(1970, 1, 1).toordinal()

TWELVE = "12-hour clock without am or pm: its first hours are taken as morning"
UNSURE = "no hour over 12: a morning, or a 12-hour clock without am or pm; taken as morning"
MIDNIGHT = "midnight passes without a line that tells the day"
BACK = "its time is before that of the line above; placed behind it"
FAR_BACK = "the log goes back in time"

OPEN = {"12": TWELVE, "unsure": UNSURE}
"""What a dial leaves open."""

Dial = Literal["none", "24", "12", "unsure"]
"""How a file's clock counts: lines have their own dates; to 24; to 12; up to 12, but no wrap."""


def day_in_name(name: str) -> date | None:
    """Return the day that a file's name tells, such as ``2005-02-06``, ``20050206``, ``06Feb2005``.

    Parameters
    ----------
    name : str
        Without folders.
    """
    for match in _IN_NAME.finditer(name):
        year, month, day, of_month, word, of_year = match.groups()
        try:
            if word:
                return date(int(of_year), _MONTHS[word], int(of_month))
            return date(int(year), int(month), int(day))
        except (ValueError, KeyError):
            continue
    return None


def day_of(match: re.Match[str]) -> date | None:
    """Return the day in a match of `DAY_LINE`; None if there is no such day."""
    try:
        if match["name"]:
            return date(int(match["of_year"]), _MONTHS[match["name"]], int(match["of_month"]))
        return date(int(match["year"]), int(match["month"]), int(match["day"]))
    except (ValueError, KeyError):
        return None


def dial(chunks: Iterable[bytes]) -> Dial:
    """Return how the clock of a log counts, as far as the log shows it.

    Parameters
    ----------
    chunks : iterable of bytes
        The log, each chunk whole lines; not read further than needed.
    """
    last, timed, wraps = 0, False, False
    for chunk in chunks:
        for hour, minute in _HOURS.findall(chunk):
            if not hour:  # a line that tells a day
                last = 0
                continue
            now = int(hour) * 60 + int(minute)
            if now >= 13 * 60:
                return "24"
            wraps = wraps or last - now > 60
            last, timed = now, True
    if not timed:
        return "none"
    return "12" if wraps else "unsure"


class Clock:
    """Turns the times of a file, line by line, into ms since 1970 UTC. Not thread-safe.

    Parameters
    ----------
    zone : ZoneInfo
        Where the clock hangs.
    day : date, optional
        The day of the first lines.
    dial : {"none", "24", "12", "unsure"}
        How the clock counts, as :func:`dial` tells.
    """

    def __init__(self, zone: zoneinfo.ZoneInfo, day: date | None, dial: Dial) -> None:
        self._zone = zone
        self._utc = zone.key == "UTC"
        self._dial = dial
        self._afternoon = False
        self._minute: int | None = None  # of the day, as the clock shows it
        self._key: tuple[int, int] | None = None
        self._minute_ms = 0
        self.day = day
        """The day of the lines that follow; None: unknown."""
        self.ms: int | None = None
        """Time of the last line, ms since 1970 UTC; None: there was none yet."""
        self.step_ms = 60_000
        """What the last line's time is exact to, ms."""
        self.notes: list[str] = []
        """What was decided since somebody emptied it."""
        if dial in OPEN:
            self.notes.append(OPEN[dial])

    def set_day(self, day: date) -> None:
        """Take the word of a line that tells the day."""
        if day != self.day:
            self.day, self._minute, self._afternoon = day, None, False

    def read(self, match: re.Match[str]) -> int | None:
        """Return the time in a match of `TIME`.

        It is before that of the line above only if it is more than an hour before.

        Returns
        -------
        int or None
            None if there is no such time, or nothing tells the day.
        """
        (year, month, day, name, of_month, hour, minute, second, fraction, offset, half) = (
            match.groups()
        )
        hours, minutes, seconds = int(hour), int(minute), int(second or 0)
        if hours > 23 or minutes > 59 or seconds > 60:
            return None
        try:
            if year:
                self.day = date(int(year), int(month), int(day))
            elif name:
                self.day = self._of_year(_MONTHS[name], int(of_month))
        except (ValueError, KeyError):
            return None
        if self.day is None or self.day.year >= LAST_YEAR:
            return None
        now = hours * 60 + minutes
        if half:
            now = now % _HALF + _HALF * (half in "pP")
        if year or name:
            self._minute = None
        else:
            now = self._undated(now, twelve=self._dial == "12" and not half)
        rest = min(seconds, 59) * 1000 + int((fraction or "0").ljust(3, "0")[:3])
        ms = self._ms(self.day, now, offset) + rest
        if ms < 0:
            return None
        if self.ms is not None and ms < self.ms:
            ms = self._forward(ms, now, offset, rest)
        self.step_ms = 1 if fraction else 1000 if second else 60_000
        self.ms = ms
        return ms

    def _of_year(self, month: int, day: int) -> date | None:
        """Return the day in the year of the line above, or the next where December is over."""
        if self.day is None:
            return None
        found = date(self.day.year, month, day)
        return found if self.day - found < timedelta(180) else date(self.day.year + 1, month, day)

    def _undated(self, now: int, *, twelve: bool) -> int:
        """Return the minute of the day, having seen to what a step back means."""
        assert self.day is not None
        shown = now % _HALF if twelve else now
        last, self._minute = self._minute, shown
        if last is not None and last - shown > 60:
            if twelve and not self._afternoon:
                self._afternoon = True
            else:
                self._afternoon = False
                self.day += timedelta(1)
                self.notes.append(MIDNIGHT)
        elif last is not None and shown < last:
            self._minute = last
        return shown + _HALF * self._afternoon

    def _ms(self, day: date, minute: int, offset: str | None, fold: int = 0) -> int:
        """Return the start of a minute, ms since 1970 UTC."""
        if offset is None and self._utc:
            return ((day.toordinal() - _EPOCH) * 1440 + minute) * 60_000
        key = (day.toordinal(), minute)
        if offset is None and not fold and key == self._key:
            return self._minute_ms
        utc = ((key[0] - _EPOCH) * 1440 + minute) * 60_000
        if offset is None:
            local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, fold=fold)
            away = local.replace(tzinfo=self._zone).utcoffset() or timedelta()
        else:
            digits = offset.replace(":", "")
            away = timedelta()
            if offset != "Z":
                away = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
                away = -away if offset[0] == "-" else away
        ms = utc - int(away / timedelta(milliseconds=1))
        if offset is None and not fold:
            self._key, self._minute_ms = key, ms
        return ms

    def _forward(self, ms: int, minute: int, offset: str | None, rest: int) -> int:
        """Return what a time means that seems to be before the line above."""
        assert self.day is not None
        assert self.ms is not None
        if offset is None and not self._utc:
            again = self._ms(self.day, minute, None, fold=1) + rest
            if again >= self.ms:  # the hour that an autumn night has twice
                return again
        if self.ms - ms > _BACK_MS:
            self.notes.append(FAR_BACK)
            return ms
        self.notes.append(BACK)
        return self.ms
