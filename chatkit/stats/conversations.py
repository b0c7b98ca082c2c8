"""Conversations: messages of a channel with no long silence between them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from chatkit.errors import InputError
from chatkit.stats.counting import (
    by_group,
    channel_column,
    codes_of,
    differing,
    grouped,
    in_order,
    ms_of,
    texts,
    times,
)

__all__ = ["GAP_MINUTES", "check_gap", "conversation_summary", "conversations", "starters"]

Numbers = np.ndarray[Any, np.dtype[Any]]

GAP_MINUTES = 30.0
"""How long a silence may be within a conversation."""


def conversations(frame: pd.DataFrame, *, gap_minutes: float = GAP_MINUTES) -> pd.DataFrame:
    """Return one row per conversation, oldest first, those that begin at once by channel.

    A conversation is all messages of a channel that follow on each other with at most a gap
    between; after a longer silence the next one begins. What is said at the same time about two
    things in one channel is one conversation, since nothing but time is looked at.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    gap_minutes : float, default 30
        How long a silence may be within a conversation, > 0. Half an hour is what chat-analytics
        (github.com/mlomb/chat-analytics) takes, too.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str), ``first_id``: id of its first message (str), ``started_by``: who wrote
        that (str), ``first_at``, ``last_at`` (dtype of ``placed_at``), ``seconds`` between these
        (float64), ``messages``, ``authors``, ``by_bots`` (int64).

    Raises
    ------
    InputError
        The frame lacks a column of a history, or the gap is not positive.
    """
    found = _conversations(frame, gap_minutes)
    messages, begins = found.messages, found.begins
    ids = messages["id"].take(found.rows[begins])
    bots = found.number[messages["bot"].to_numpy(dtype=bool)[found.rows]]
    sizes = _sizes(found)
    first = found.placed[begins]
    table = pd.DataFrame(
        {
            "channel": texts(found.channels, found.channel[begins]),
            "first_id": ids.reset_index(drop=True),
            "started_by": texts(found.names, found.author[begins]),
            "first_at": times(first, messages["placed_at"]),
            "last_at": times(found.placed[_ends(found)], messages["placed_at"]),
            **{name: sizes[name] for name in ("seconds", "messages", "authors")},
            "by_bots": np.bincount(bots, minlength=len(begins)),
        }
    )
    return table.take(np.argsort(first, kind="stable")).reset_index(drop=True)


def conversation_summary(
    frame: pd.DataFrame, *, gap_minutes: float = GAP_MINUTES, by: str | None = "channel"
) -> pd.DataFrame:
    """Return the numbers that sum up the conversations of each channel, by its name.

    Parameters
    ----------
    frame, gap_minutes
        See `conversations`.
    by : str or None, default "channel"
        None: one row for all channels together.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str, only by channel), ``conversations`` (int64), ``alone``: share of those in
        which one author wrote (float64), ``median_messages``, ``median_authors``,
        ``median_seconds``, ``mean_messages``, ``mean_authors``, ``mean_seconds`` of each (float64,
        NaN where there are none).

    Raises
    ------
    InputError
        See `conversations`.
    """
    found = _conversations(frame, gap_minutes)
    _, names = grouped(found.messages, by)
    groups = 1 if names is None else len(names)
    codes = found.channel[found.begins] if by else np.zeros(len(found.begins), dtype="int64")
    numbers = pd.DataFrame(_sizes(found)).groupby(codes)
    every = pd.RangeIndex(groups)
    medians = numbers.median().reindex(every).astype("float64")
    means = numbers.mean().reindex(every).astype("float64")
    columns = ["messages", "authors", "seconds"]
    return pd.DataFrame(
        {
            **channel_column(names, np.arange(groups)),
            "conversations": np.bincount(codes, minlength=groups),
            "alone": means["alone"],
            **{f"median_{name}": medians[name] for name in columns},
            **{f"mean_{name}": means[name] for name in columns},
        }
    )


def starters(
    frame: pd.DataFrame, *, gap_minutes: float = GAP_MINUTES, by: str | None = None
) -> pd.DataFrame:
    """Return how many conversations each author began, who began most first, then by name.

    Parameters
    ----------
    frame, gap_minutes
        See `conversations`.
    by : str or None, default None
        ``"channel"``: so for each channel.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str, only by channel), ``author`` (str), ``started`` conversations, ``joined``:
        how many they wrote in, those that they began too (int64), ``share`` of all conversations,
        or of the channel's, that they began, ``rate``: began, of those that they wrote in
        (float64).

    Raises
    ------
    InputError
        See `conversations`.
    """
    found = _conversations(frame, gap_minutes)
    width = max(1, len(found.names))
    codes, names = grouped(found.messages, by)
    codes = codes[found.rows]
    pairs = differing(found.number * width + found.author, len(found.begins) * width)
    joined = codes[found.begins][pairs // width] * width + pairs % width
    people, counts = np.unique(joined, return_counts=True)
    first = codes[found.begins] * width + found.author[found.begins]
    started = np.bincount(np.searchsorted(people, first), minlength=len(people))
    groups = 1 if names is None else len(names)
    totals = np.bincount(codes[found.begins], minlength=groups)
    table = pd.DataFrame(
        {
            **channel_column(names, people // width),
            "author": texts(found.names, people % width),
            "started": started,
            "joined": counts,
            "share": started / totals[people // width],
            "rate": started / counts,
        }
    )
    return table.sort_values("started", ascending=False, kind="stable", ignore_index=True)


def check_gap(gap_minutes: float) -> None:
    """Raise InputError unless a gap is positive."""
    if not gap_minutes > 0:
        raise InputError(f"gap_minutes must be over 0, not {gap_minutes}")


class _Conversations(NamedTuple):
    """Messages, and by channel and in order: which rows, whose, when, and where each begins."""

    messages: pd.DataFrame
    rows: Numbers
    channel: Numbers
    channels: pd.Series
    author: Numbers
    names: pd.Series
    placed: Numbers
    number: Numbers
    begins: Numbers


def _conversations(frame: pd.DataFrame, gap_minutes: float) -> _Conversations:
    check_gap(gap_minutes)
    messages = in_order(frame)
    channel, channels = codes_of(messages["channel"])
    author, names = codes_of(messages["author"])
    placed = ms_of(messages["placed_at"])
    rows = by_group(channel, len(channels))
    channel, author, placed = channel[rows], author[rows], placed[rows]
    first = np.ones(len(messages), dtype=bool)
    np.logical_or(
        channel[1:] != channel[:-1], np.diff(placed) > gap_minutes * 60_000, out=first[1:]
    )
    return _Conversations(
        messages=messages,
        rows=rows,
        channel=channel,
        channels=channels,
        author=author,
        names=names,
        placed=placed,
        number=np.cumsum(first) - 1,
        begins=np.flatnonzero(first),
    )


def _ends(found: _Conversations) -> Numbers:
    """Return where each conversation has its last message."""
    return np.append(found.begins[1:], len(found.messages))[: len(found.begins)] - 1


def _sizes(found: _Conversations) -> dict[str, Numbers]:
    """Return how long each conversation is, in several ways."""
    count, width = len(found.begins), max(1, len(found.names))
    pairs = differing(found.number * width + found.author, count * width)
    authors = np.bincount(pairs // width, minlength=count)
    ends = _ends(found)
    return {
        "seconds": (found.placed[ends] - found.placed[found.begins]) / 1000,
        "messages": ends - found.begins + 1,
        "authors": authors,
        "alone": authors == 1,
    }
