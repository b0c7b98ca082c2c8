"""How soon people answer each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chatkit.errors import InputError
from chatkit.stats.conversations import GAP_MINUTES, check_gap
from chatkit.stats.counting import by_group, codes_of, in_order, ms_of, texts, times

__all__ = ["answered", "response_times", "responses"]

Numbers = np.ndarray[Any, np.dtype[Any]]


def responses(frame: pd.DataFrame, *, gap_minutes: float = GAP_MINUTES) -> pd.DataFrame:
    """Return one row per message that answers somebody else, oldest first.

    A message that is a reply answers the message that it replies to, whenever that was, if that is
    in the frame, is somebody else's, and is not placed later (``rule`` is ``"reply"``); it answers
    no other. Any other message answers the message right before it in its channel, if that is
    somebody else's and at most a gap older (``"gap"``).

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    gap_minutes : float, default 30
        How long after another a message that is no reply may still answer it, > 0.

    Returns
    -------
    pandas.DataFrame
        ``channel``, ``author`` of the answer, ``answered``: whom (str), ``placed_at``: when the
        answer was placed (dtype of ``placed_at``), ``seconds`` that it took (float64), ``rule``
        (str).

    Raises
    ------
    InputError
        The frame lacks a column of a history, or the gap is not positive.
    """
    found = _responses(frame, gap_minutes)
    return pd.DataFrame(
        {
            "channel": texts(found.channels, found.channel),
            "author": texts(found.names, found.author),
            "answered": texts(found.names, found.other),
            "placed_at": times(found.placed, frame["placed_at"]),
            "seconds": found.ms / 1000,
            "rule": texts(pd.Series(["gap", "reply"], dtype="str"), found.linked.astype("int64")),
        }
    )


def response_times(
    frame: pd.DataFrame, *, by: str | None = "author", gap_minutes: float = GAP_MINUTES
) -> pd.DataFrame:
    """Return how soon each author answers others, who answers most first, then by name.

    Parameters
    ----------
    frame, gap_minutes
        See `responses`, which says what an answer is.
    by : str or None, default "author"
        ``"author"`` of the answers, ``"channel"``, or None for all answers together.

    Returns
    -------
    pandas.DataFrame
        ``author`` or ``channel`` (str; those without an answer are left out), ``responses``, of
        them ``by_reply`` and ``by_gap``: known by reply links, and taken to be one by the gap
        (int64), ``quarter_seconds``, ``median_seconds``, ``three_quarters_seconds``,
        ``nine_tenths_seconds``: a quarter, half, three quarters and nine tenths of the answers
        took no longer, interpolated linearly (float64, NaN without answers).

    Raises
    ------
    InputError
        See `responses`; or ``by`` is something else.
    """
    found = _responses(frame, gap_minutes)
    if by not in ("author", "channel", None):
        raise InputError(f"by is 'author', 'channel' or None, not {by!r}")
    if by is None:
        codes, names = np.zeros(len(found.ms), dtype="int64"), None
        groups = 1
    else:
        every = {
            "author": (found.author, found.names),
            "channel": (found.channel, found.channels),
        }
        codes, names = every[by]
        groups = len(names)
    count = np.bincount(codes, minlength=groups)
    by_reply = np.bincount(codes[found.linked], minlength=groups)
    ordered = _sorted_within(codes, found.ms)
    begins = np.cumsum(count) - count
    parts = {
        "quarter_seconds": 0.25,
        "median_seconds": 0.5,
        "three_quarters_seconds": 0.75,
        "nine_tenths_seconds": 0.9,
    }
    table = pd.DataFrame(
        {
            **({} if names is None else {str(by): names}),
            "responses": count,
            "by_reply": by_reply,
            "by_gap": count - by_reply,
            **{
                name: _quantile(ordered, begins, count, part) / 1000 for name, part in parts.items()
            },
        }
    )
    if names is not None:
        table = table[count > 0]
    return table.sort_values("responses", ascending=False, kind="stable", ignore_index=True)


class _Responses(NamedTuple):
    """Answers: who, whom, where, when, after how many ms, and if it is known by a link."""

    author: Numbers
    other: Numbers
    names: pd.Series
    channel: Numbers
    channels: pd.Series
    placed: Numbers
    ms: Numbers
    linked: Numbers


def _responses(frame: pd.DataFrame, gap_minutes: float) -> _Responses:
    check_gap(gap_minutes)
    messages = in_order(frame, ["reply_to"])
    channel, channels = codes_of(messages["channel"])
    author, names = codes_of(messages["author"])
    placed = ms_of(messages["placed_at"])
    before = _before(channel, len(channels))
    reply = messages["reply_to"].notna().to_numpy()
    near = before >= 0
    near &= placed - placed[before] <= gap_minutes * 60_000
    target = np.where(near & ~reply, before, -1)
    target[reply] = answered(messages)
    rows = np.flatnonzero(target >= 0)
    target = target[rows]
    kept = (author[rows] != author[target]) & (placed[rows] >= placed[target])
    rows, target = rows[kept], target[kept]
    return _Responses(
        author=author[rows],
        other=author[target],
        names=names,
        channel=channel[rows],
        channels=channels,
        placed=placed[rows],
        ms=placed[rows] - placed[target],
        linked=reply[rows],
    )


def answered(messages: pd.DataFrame) -> Numbers:
    """Return the row of what each reply replies to, -1 where that is not there."""
    wanted = pa.array(messages["reply_to"].dropna(), from_pandas=True)
    if not len(wanted):
        return np.empty(0, dtype="int64")
    ids = pa.array(messages["id"], from_pandas=True)
    place = pc.index_in(wanted, value_set=ids)
    if isinstance(place, pa.ChunkedArray):
        place = place.combine_chunks()
    found: Numbers = pc.fill_null(place, -1).to_numpy(zero_copy_only=False).astype("int64")
    return found


def _before(channel: Numbers, channels: int) -> Numbers:
    """Return the row right before each in its channel, -1 for the first."""
    order = by_group(channel, channels)
    before = np.full(len(channel), -1, dtype="int64")
    same = channel[order][1:] == channel[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    return before


def _sorted_within(codes: Numbers, values: Numbers) -> Numbers:
    """Return values >= 0, group by group, sorted in each."""
    width = int(values.max(initial=0)) + 1
    groups = int(codes.max(initial=0)) + 1
    if groups * width < 2**63:
        return np.sort(codes * width + values) % width
    return values[np.lexsort((values, codes))]


def _quantile(ordered: Numbers, begins: Numbers, count: Numbers, part: float) -> Numbers:
    """Return the value below which a part of each group is, interpolated; NaN for none."""
    found = np.full(len(count), np.nan)
    has = count > 0
    place = (count[has] - 1) * part
    low = np.floor(place).astype("int64")
    high = np.minimum(low + 1, count[has] - 1)
    least, most = ordered[begins[has] + low], ordered[begins[has] + high]
    found[has] = least + (most - least) * (place - low)
    return found
