"""What statistics share: which messages count, and on which day.

A message counts once, whoever wrote it and whatever became of it. So those written by programs
count (``by_bots`` says how many) and so do deleted ones, which were written all the same
(``deleted``); to leave either out, filter the frame first. A message that is in the frame twice, as
after joining two loads, counts once, as its newest ``rev`` shows it. Times are ``placed_at``, the
archive's, since ``sent_at`` is only what the sender claims.
"""

from __future__ import annotations

import zoneinfo

import numpy as np
import pandas as pd

from chatkit.errors import InputError

__all__ = ["days_of", "each_once", "in_zone"]


def in_zone(times: pd.Series, zone: str | None) -> pd.Series:
    """Return times as clocks in a zone show them, without the zone; None: as they are."""
    try:
        local = times if zone is None else times.dt.tz_convert(zoneinfo.ZoneInfo(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"There is no time zone {zone!r}; names look like 'UTC' or 'Europe/Vienna'"
        ) from error
    try:
        plain: pd.Series = local.dt.tz_localize(None)
    except OverflowError as error:
        raise InputError(
            "A message is of the last day of year 9999, which other zones can't hold. Load the "
            "history with that zone, or leave the message out"
        ) from error
    return plain


def days_of(times: pd.Series, zone: str | None) -> np.ndarray:
    """Return the days of the calendar in a zone, counted from 1970-01-01."""
    days: np.ndarray = in_zone(times, zone).to_numpy().astype("datetime64[D]").astype("int64")
    return days


def each_once(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that count, each message once, in its newest state."""
    needed = ["id", "channel", "author", "placed_at", "bot", "edited_at", "deleted_at", "rev"]
    lacking = [name for name in needed if name not in frame.columns]
    if lacking:
        raise InputError(
            f"The frame has no column {lacking[0]!r}. Statistics take the frame that "
            "chatkit.history.load returns"
        )
    messages = frame[needed]
    if messages["id"].is_unique:
        return messages
    by_age = messages.sort_values("rev", kind="stable")
    return by_age.drop_duplicates("id", keep="last")
