"""Lines of a WhatsApp export: where an entry begins, its date and time, and the order of a date.

The form hangs on the phone's system, language and region. Pure.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import NamedTuple

__all__ = ["MARKS", "DayOrder", "Head", "head_of", "without_marks"]

MARKS = "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
"""Invisible characters that WhatsApp puts around and in front of its own words."""
_M = f"[{MARKS}]*"
_S = "[ \t\u00a0\u202f]"
_HEAD = re.compile(
    rf"""{_M}(?P<open>\[)?{_M}
    (?P<first>\d{{1,4}}){_M}{_S}?(?P<mark>[./-]){_M}{_S}?
    (?P<second>\d{{1,2}}){_M}{_S}?(?P=mark){_M}{_S}?
    (?P<third>\d{{1,4}})\.?{_M}(?:{_S}?г\.)?[,،]?{_S}{{1,2}}{_M}
    (?:(?P<before>[^\W\d_][^\d\[\]:\n]{{0,18}}?){_S}?)?
    (?P<hour>\d{{1,2}})[:.h](?P<minute>\d{{2}})(?:[:.](?P<seconds>\d{{2}}))?
    (?:{_S}*{_M}(?P<after>[^\W\d_][^\d\[\]:\n]{{0,20}}?))?{_M}
    (?(open)\]{_S}?|{_S}[-–]{_S})
    (?P<rest>.*)""",
    re.VERBOSE | re.DOTALL,
)
_WITHOUT_MARKS = str.maketrans(dict.fromkeys(MARKS))
# Words beside the time, in small letters, without spaces and dots.
_JOINING_WORDS = "at klo um kl à às alas alle om о в ч uhr"
_MORNING_WORDS = """
am vorm vormittags ap fm f dop de öö sa πμ дп прпл пробед ص قظ 上午 午前 凌晨 清晨 早上 오전
पूर्वाह्न delamañana delamadrugada damanhã damadrugada delmattino dumatin
"""
_AFTERNOON_WORDS = """
pm nachm nachmittags ip em e odp du ös ch μμ пп слпл следобед م بظ 下午 午後 中午 傍晚 晚上 오후
अपराह्न delatarde delanoche delmediodía datarde danoite delpomeriggio delasera del'aprèsmidi
"""
_JOINING = frozenset(_JOINING_WORDS.split())
_MORNING = frozenset(_MORNING_WORDS.split())
_AFTERNOON = frozenset(_AFTERNOON_WORDS.split())
BUDDHIST = 543  # years that Thai phones are ahead
YEARS = range(1990, 2200)


class Head(NamedTuple):
    """The beginning of an entry, as it stands."""

    numbers: tuple[int, int, int]
    """The three numbers of the date, in their order."""
    year_first: bool
    """Whether the first of them is the year; else the third is."""
    at: time | None
    """The time of the day; None if it can't be told."""
    trouble: str
    """Why not."""
    rest: str
    """What is behind date and time."""

    def when(self, day_first: bool) -> datetime | None:
        """Return date and time by the phone's clock; None if there is no such day or time.

        Parameters
        ----------
        day_first : bool
            Whether the day is before the month where the year is last.
        """
        day = self.day(day_first)
        return None if day is None or self.at is None else datetime.combine(day, self.at)

    def day(self, day_first: bool) -> date | None:
        """Return the date; None if there is no such day."""
        first, second, third = self.numbers
        if self.year_first:
            year, month, day = self.numbers
        else:
            year = third if third > 99 else 2000 + third
            day, month = (first, second) if day_first else (second, first)
        if year - BUDDHIST in YEARS and year not in YEARS:
            year -= BUDDHIST
        try:
            return date(year, month, day) if year in YEARS else None
        except ValueError:
            return None


class DayOrder:
    """Finds out whether a file's dates have the day first, from all of them."""

    def __init__(self) -> None:
        self._proofs: dict[bool, int] = {}
        self._newest: dict[bool, date | None] = {True: None, False: None}
        self._backwards = {True: 0, False: 0}
        self._open = False
        self._before: tuple[int, int, int] | None = None

    def see(self, head: Head, line: int) -> None:
        """Take a date into account.

        Parameters
        ----------
        head : Head
            The next entry's.
        line : int
            Which line it is, from 0.
        """
        if head.year_first or head.numbers == self._before:
            return
        self._before = head.numbers
        days = {day_first: head.day(day_first) for day_first in (True, False)}
        possible = [day_first for day_first, day in days.items() if day is not None]
        if len(possible) == 1:
            self._proofs.setdefault(possible[0], line)
        if days[True] != days[False] and len(possible) > 1:
            self._open = True
        for day_first, day in days.items():
            newest = self._newest[day_first]
            if day is not None and newest is not None and (newest - day).days > 1:
                self._backwards[day_first] += 1
            self._newest[day_first] = day or newest

    @property
    def contradiction(self) -> tuple[int, int] | None:
        """Lines of which one has the day first and the other the month; None if there are none."""
        if len(self._proofs) < 2:
            return None
        return self._proofs[True], self._proofs[False]

    def day_first(self) -> bool | None:
        """Return whether the day is first; None if that stays open.

        A date that is possible one way only decides; else, that in one way the messages are in
        the order of time and in the other they are not.
        """
        if self._proofs:
            return next(iter(self._proofs)) if len(self._proofs) == 1 else None
        if not self._open:
            return True
        in_order = [way for way, steps in self._backwards.items() if not steps]
        return in_order[0] if len(in_order) == 1 else None


def head_of(line: str) -> Head | None:
    """Return the beginning of an entry; None if a line continues the entry before it."""
    match = _HEAD.match(line)
    if match is None:
        return None
    half, trouble = None, ""
    for text in filter(None, match.group("before", "after")):
        word = "".join(without_marks(text).casefold().split()).replace(".", "")
        if word in _MORNING or word in _AFTERNOON:
            half = word in _AFTERNOON
        elif word and word not in _JOINING:
            trouble = "unknown word for am or pm"
    at = None if trouble else _time(int(match["hour"]), match["minute"], match["seconds"], half)
    return Head(
        (int(match["first"]), int(match["second"]), int(match["third"])),
        len(match["first"]) > 2,
        at,
        trouble or ("" if at else "no such time of the day"),
        match["rest"],
    )


def _time(hour: int, minute: str, seconds: str | None, afternoon: bool | None) -> time | None:
    if afternoon is not None and hour <= 12:
        hour = hour % 12 + 12 * afternoon
    try:
        return time(hour, int(minute), int(seconds or 0))
    except ValueError:
        return None


def without_marks(text: str) -> str:
    """Return a text without WhatsApp's invisible marks."""
    return text.translate(_WITHOUT_MARKS)
