"""How much is written: messages per channel, per author, per day."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chatkit.errors import InputError
from chatkit.stats.counting import days_of, each_once

__all__ = ["per_author", "per_channel", "per_day"]

MOST_ROWS = 5_000_000
"""Of a table per day: 100 channels over a century, and then some."""


def per_channel(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per channel, the busiest first, those equally busy by name.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str), ``messages`` (int64), ``share`` of all messages in the frame (float64, in
        all 1), ``authors`` who wrote there (int64), ``by_bots``, ``edited``, ``deleted``: how many
        of the messages (int64), ``first_at``, ``last_at``: when the first and last was placed
        (dtype of ``placed_at``). An edited message that was deleted counts as deleted alone.

    Raises
    ------
    InputError
        The frame lacks a column of a history.
    """
    return _tally(frame, "channel", "author")


def per_author(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per author, the busiest first, those equally busy by name.

    Names are counted as they are written: nothing proves that they belong to one person.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.

    Returns
    -------
    pandas.DataFrame
        ``author`` (str), ``channels`` that they wrote in (int64), and all other columns of
        `per_channel` but ``authors``.

    Raises
    ------
    InputError
        The frame lacks a column of a history.
    """
    return _tally(frame, "author", "channel")


def per_day(frame: pd.DataFrame, *, zone: str | None = None) -> pd.DataFrame:
    """Return one row per day and channel, by day and then by channel.

    Each channel has a row for each day from the first to the last that the frame has a message of,
    with 0 where it had none: a plot shows a silence as a silence.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    zone : str, optional
        Time zone whose midnights part the days, a name of the IANA database. Default: the frame's.

    Returns
    -------
    pandas.DataFrame
        ``day`` (datetime64[ms], midnight, without a zone: a day of the calendar), ``channel``
        (str), ``messages`` (int64).

    Raises
    ------
    InputError
        The frame lacks a column of a history; there is no such zone; or a message of a far-off date
        stretches the table to over 5 million rows.
    """
    messages = each_once(frame)
    days = days_of(messages["placed_at"], zone)
    codes, channels = pd.factorize(messages["channel"], sort=True)
    if not len(messages):
        first, length = 0, 0
    else:
        first, length = int(days.min()), int(days.max() - days.min()) + 1
    if length * len(channels) > MOST_ROWS:
        least, most = messages["placed_at"].min(), messages["placed_at"].max()
        raise InputError(
            f"{length:,} days from {least:%Y-%m-%d} to {most:%Y-%m-%d} times {len(channels):,} "
            "channels are too many rows. If single messages have odd dates, leave them out first: "
            "frame[frame['placed_at'] > '2000-01-01']"
        )
    counts = np.bincount(
        (days - first) * len(channels) + codes, minlength=length * len(channels)
    ).astype("int64")
    calendar = np.arange(first, first + length).astype("datetime64[D]").astype("datetime64[ms]")
    return pd.DataFrame(
        {
            "day": np.repeat(calendar, len(channels)),
            "channel": pd.Series(np.tile(np.asarray(channels, dtype=object), length), dtype="str"),
            "messages": counts,
        }
    )


def _tally(frame: pd.DataFrame, by: str, other: str) -> pd.DataFrame:
    messages = each_once(frame)
    messages = messages.assign(
        edited=messages["edited_at"].notna(), deleted=messages["deleted_at"].notna()
    )
    tally = messages.groupby(by, dropna=False, as_index=False).agg(
        messages=("id", "size"),
        others=(other, "nunique"),
        by_bots=("bot", "sum"),
        edited=("edited", "sum"),
        deleted=("deleted", "sum"),
        first_at=("placed_at", "min"),
        last_at=("placed_at", "max"),
    )
    counts = ["messages", "others", "by_bots", "edited", "deleted"]
    tally = tally.astype(dict.fromkeys(counts, "int64"))  # empty groups know no better
    tally.insert(2, "share", tally["messages"] / max(1, len(messages)))
    tally = tally.rename(columns={"others": f"{other}s"})
    # Stable, and the groups come by name.
    return tally.sort_values("messages", ascending=False, kind="stable", ignore_index=True)
