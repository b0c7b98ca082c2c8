"""What statistics share: which messages count, in which order, and by whose clock.

A message counts once, whoever wrote it and whatever became of it. So those written by programs
count (``by_bots`` says how many) and so do deleted ones, which were written all the same
(``deleted``); to leave either out, filter the frame first: `people`, `bots`, or
``frame[frame["deleted_at"].isna()]``. A message that is in the frame twice, as after joining two
loads, counts once, as its newest ``rev`` shows it. Times are ``placed_at``, the archive's, since
``sent_at`` is only what the sender claims.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chatkit.errors import InputError

__all__ = [
    "bots",
    "by_group",
    "channel_column",
    "codes_of",
    "days_of",
    "differing",
    "each_once",
    "grouped",
    "in_order",
    "in_zone",
    "ms_of",
    "people",
    "runs",
    "texts",
    "times",
]

Numbers = np.ndarray[Any, np.dtype[Any]]

FEW = 4_000_000
"""Up to so many possible numbers each has a place in a table, rather than that they get sorted."""


def people(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the messages of a frame that people wrote.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.

    Returns
    -------
    pandas.DataFrame
        Those rows whose ``bot`` is false, all columns.

    Raises
    ------
    InputError
        The frame lacks column ``bot``.
    """
    _check(frame, ["bot"])
    return frame[~frame["bot"]]


def bots(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the messages of a frame that programs wrote.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.

    Returns
    -------
    pandas.DataFrame
        Those rows whose ``bot`` is true, all columns.

    Raises
    ------
    InputError
        The frame lacks column ``bot``.
    """
    _check(frame, ["bot"])
    return frame[frame["bot"]]


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


def ms_of(times: pd.Series, zone: str | None = "UTC") -> Numbers:
    """Return what clocks in a zone show, as ms since they showed 1970-01-01."""
    ms: Numbers = in_zone(times, zone).to_numpy().astype("datetime64[ms]").astype("int64")
    return ms


def days_of(times: pd.Series, zone: str | None) -> Numbers:
    """Return the days of the calendar in a zone, counted from 1970-01-01."""
    return ms_of(times, zone) // 86_400_000


def each_once(frame: pd.DataFrame, more: Sequence[str] = ()) -> pd.DataFrame:
    """Return the columns that count, and some more, each message once, in its newest state."""
    needed = ["id", "channel", "author", "placed_at", "bot", "edited_at", "deleted_at", "rev"]
    needed += [name for name in more if name not in needed]
    _check(frame, needed)
    messages = frame[needed]
    if _all_differ(messages["id"]):
        return messages
    by_age = messages.sort_values("rev", kind="stable")
    return by_age.drop_duplicates("id", keep="last")


def in_order(frame: pd.DataFrame, more: Sequence[str] = ()) -> pd.DataFrame:
    """Return each message once, as `each_once`, in the archive's order."""
    keys = ["placed_at", "partition", "offset", "id"]
    messages = each_once(frame, [*keys, *more])
    tied = np.ones(max(0, len(messages) - 1), dtype=bool)
    for values in (
        ms_of(messages["placed_at"]),
        *(messages[name].to_numpy() for name in keys[1:3]),
    ):
        if (values[1:][tied] < values[:-1][tied]).any():
            return messages.sort_values(keys)
        tied[tied] = values[1:][tied] == values[:-1][tied]
    return messages.sort_values(keys) if tied.any() else messages


def codes_of(names: pd.Series) -> tuple[Numbers, pd.Series]:
    """Return a number for each name, and the names that these stand for, as they come in order.

    A missing name is one of them, the last.
    """
    array = pa.array(names, from_pandas=True).cast(pa.large_string())
    encoded = pc.dictionary_encode(array, null_encoding="encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # without any chunk
        encoded = pc.dictionary_encode(pa.array([], pa.large_string()))
    order = pc.sort_indices(encoded.dictionary)
    place = np.empty(len(order), dtype="int64")
    place[order.to_numpy()] = np.arange(len(order))
    sorted_names = encoded.dictionary.take(order).to_pandas()
    return place[encoded.indices.to_numpy(zero_copy_only=False)], sorted_names.astype("str")


def grouped(messages: pd.DataFrame, by: str | None) -> tuple[Numbers, pd.Series | None]:
    """Return which group each message is in, and the groups' names: channels, or None for all."""
    if by is None:
        return np.zeros(len(messages), dtype="int64"), None
    if by != "channel":
        raise InputError(f"by is 'channel' or None, not {by!r}")
    return codes_of(messages["channel"])


def by_group(codes: Numbers, groups: int) -> Numbers:
    """Return the rows group by group, in each in the order that they have."""
    # Numbers of 16 bits are sorted by their digits, which is several times faster.
    small = codes.astype("uint16") if groups < 65_536 else codes
    return np.argsort(small, kind="stable")


def channel_column(names: pd.Series | None, codes: Numbers) -> dict[str, pd.Series]:
    """Return the column that tells a table's channels, or none where there are no groups."""
    return {} if names is None else {"channel": texts(names, codes)}


def texts(names: pd.Series, codes: Numbers) -> pd.Series:
    """Return the names that some numbers stand for, as a column."""
    return names.take(codes).reset_index(drop=True)


def times(ms: Numbers, like: pd.Series) -> pd.Series:
    """Return ms since 1970 UTC as times of the kind of a column."""
    zone = like.dt.tz
    column = pd.Series(np.asarray(ms, dtype="int64").astype("datetime64[ms]"))
    return column if zone is None else column.dt.tz_localize("UTC").dt.tz_convert(zone)


def differing(numbers: Numbers, end: int) -> Numbers:
    """Return each number once, in order; they are at least 0 and below an end."""
    if end <= FEW:
        there = np.zeros(end, dtype=bool)
        there[numbers] = True
        return np.flatnonzero(there)
    ordered = np.sort(numbers)
    first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def runs(numbers: Numbers, end: int) -> tuple[Numbers, Numbers]:
    """Return each number once, in order, and how often it is there; all are below an end."""
    if end <= FEW:
        counts = np.bincount(numbers, minlength=end)
        there = np.flatnonzero(counts)
        return there, counts[there]
    ordered = np.sort(numbers)
    first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    return ordered[starts], np.diff(starts, append=len(ordered))


def _check(frame: pd.DataFrame, needed: Sequence[str]) -> None:
    lacking = [name for name in needed if name not in frame.columns]
    if lacking:
        raise InputError(
            f"The frame has no column {lacking[0]!r}. Statistics take the frame that "
            "chatkit.history.load returns"
        )


def _all_differ(ids: pd.Series) -> bool:
    """Return whether no id is there twice."""
    ends = _last_bytes(ids)
    if ends is not None:
        # Mixed to one number: where those differ, the ids do. It is much faster than to compare
        # the texts, which is needed only if two of the numbers are the same.
        mixed = np.sort(ends[0] * np.uint64(0x9E3779B97F4A7C15) + ends[1])
        if not (mixed[1:] == mixed[:-1]).any():
            return True
    return bool(ids.is_unique)


def _last_bytes(ids: pd.Series) -> tuple[Numbers, Numbers] | None:
    """Return the last 16 bytes of ids as two numbers each; None if not all are equally long."""
    array = pa.array(ids, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not len(array) or array.null_count or array.type != pa.large_string():
        return None
    _valid, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, "int64")[array.offset : array.offset + len(array) + 1]
    width = int(ends[1] - ends[0])
    if width < 16 or (np.diff(ends) != width).any():
        return None
    shape = {"shape": len(array), "dtype": "uint64", "buffer": data, "strides": width}
    last = int(ends[0]) + width
    return np.ndarray(**shape, offset=last - 16), np.ndarray(**shape, offset=last - 8)
