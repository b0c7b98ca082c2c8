"""What the texts in a column of times mean. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from chatkit.importers.reading import local_ms

__all__ = ["ISO", "UNITS", "When", "parse"]

ISO = ""
"""Unit of a time that is written out."""
UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Units of times that are numbers -> which power of ten of them a second has."""

# A second has the range 0 to 10**11, year 5138; the same times in ms begin in March 1973. So the
# four units never meet in the times of any chat.
_FROM = {"ns": 10**17, "us": 10**14, "ms": 10**11, "s": 0}
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,30})?(?:[eE]\+?[0-9]{1,2})?")
_ZONE_APART = re.compile(r"\s+(?=[+-][0-9]{2}:?[0-9]{2}$)")
_ZONE_NAMED = re.compile(r"\s*(?:UTC|GMT)$")
_EPOCH = datetime(1970, 1, 1)


class When(NamedTuple):
    """A time."""

    ms: int
    """ms since 1970 UTC; may be what no message can have."""
    unit: str = ISO
    """What it was written in: one of `UNITS`, or `ISO`."""
    trouble: str = ""
    """What is doubtful about it."""


def parse(text: str, zone: ZoneInfo, unit: str | None = None) -> When | None:
    """Return the time in a text; None if there is none.

    Parameters
    ----------
    text : str
        ISO 8601, or a number since 1970.
    zone : ZoneInfo
        Of times that tell none.
    unit : str, optional
        Of numbers, one of `UNITS`. Default: as their size tells.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        if unit is None:
            unit = next(name for name, least in _FROM.items() if number >= least)
        ms = number.scaleb(3 - UNITS[unit])
        return When(int(ms), unit) if ms < 10**15 else None
    try:
        found = datetime.fromisoformat(_ZONE_NAMED.sub("Z", _ZONE_APART.sub("", text)))
        if found.tzinfo is None:
            return When(local_ms(found, zone), ISO, _doubt(found, zone))
        since = found.replace(tzinfo=None) - _EPOCH - (found.utcoffset() or timedelta())
        return When(since // timedelta(milliseconds=1))
    except (ValueError, OverflowError):
        return None


def _doubt(local: datetime, zone: ZoneInfo) -> str:
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if first is None or second is None or first == second:
        return ""
    if first > second:
        return "time that the zone has twice, taken as the first"
    return "time that the zone's clocks skip"
