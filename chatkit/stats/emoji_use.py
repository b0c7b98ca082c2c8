"""Emoji in texts and as reactions: which, how often, and by whom to whom.

An emoji is what package `emoji` takes for one, one of several characters as one; so digits are none
and ``©`` is. It counts as one however its picture is chosen: ``❤`` and ``❤️`` are the same. Colours
of skin are told apart.
"""

from __future__ import annotations

import functools
import itertools
import re

import emoji
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chatkit.errors import InputError
from chatkit.stats.counting import codes_of, each_once
from chatkit.stats.ranking import Groups, check_top, counted, distinct, group_by, ranks
from chatkit.stats.texts import one_array, pieces

__all__ = ["emoji_in_texts", "reaction_emoji", "reaction_pairs", "reactions_per_author"]

_VARIANT = "\ufe0f"
_KEYS = "0123456789#*"
"""Characters that become emoji by the marks after them."""
_REACTION_COLUMNS = ["id", "channel", "author", "placed_at", "emoji", "actor"]


def emoji_in_texts(
    frame: pd.DataFrame, *, by: str | None = None, top: int | None = None
) -> pd.DataFrame:
    """Return one row per emoji in texts, the most frequent first.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    by : str or None, default None
        ``"channel"``, ``"author"`` or ``"bot"``: count for each of them. None: all together.
    top : int or None, default None
        At most so many emoji, of each group, at least 1. None: all.

    Returns
    -------
    pandas.DataFrame
        ``channel`` or ``author`` (str) or ``bot`` (bool), only if asked for; ``emoji``, ``name``,
        such as ``red_heart`` (str), ``times``, ``messages`` that have it, ``authors`` of these
        (int64), ``share`` of all emoji of the group (float64). Those equally frequent come by their
        code points.

    Raises
    ------
    InputError
        The frame lacks a column of a history, or an argument is none of the above.
    """
    check_top(top)
    messages = each_once(frame, ["body"])
    groups = group_by(messages, by)
    rows, found = _found(messages["body"])
    authors, names = codes_of(messages["author"])
    return _table(groups, rows, found, ("authors", authors, len(names)), top)


def reaction_emoji(
    reactions: pd.DataFrame, *, by: str | None = None, top: int | None = None
) -> pd.DataFrame:
    """Return one row per emoji put under messages, the most frequent first.

    Parameters
    ----------
    reactions : pandas.DataFrame
        As `chatkit.history.load_reactions` returns them. One that is there twice counts once.
    by : str or None, default None
        ``"channel"``, ``"author"`` (of the message) or ``"actor"`` (who reacted): count for each of
        them. None: all together.
    top : int or None, default None
        At most so many emoji, of each group, at least 1. None: all.

    Returns
    -------
    pandas.DataFrame
        ``channel``, ``author`` or ``actor`` (str), only if asked for; ``emoji``, ``name``, missing
        for what is no emoji, such as a short name (str), ``times``, ``messages`` that have it,
        ``actors`` who gave it (int64), ``share`` of all reactions of the group (float64).

    Raises
    ------
    InputError
        The frame is none of `load_reactions`, or an argument is none of the above.
    """
    check_top(top)
    given = _each_reaction_once(reactions)
    groups = group_by(given, by, ("channel", "author", "actor"))
    messages, ids = codes_of(given["id"])
    actors, names = codes_of(given["actor"])
    return _table(
        groups,
        np.arange(len(given)),
        given["emoji"].tolist(),
        ("actors", actors, len(names)),
        top,
        (messages, len(ids)),
    )


def reactions_per_author(reactions: pd.DataFrame, *, by: str | None = None) -> pd.DataFrame:
    """Return what each person gave and received, who received most first.

    Parameters
    ----------
    reactions : pandas.DataFrame
        As `chatkit.history.load_reactions` returns them.
    by : str or None, default None
        ``"channel"``: count for each channel. None: all together.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str), only if asked for; ``author`` (str), ``given`` to messages, ``received``
        on own messages (int64), ``to_self``: those that are both, ``messages`` that received any,
        ``givers``: others who reacted to these (int64), ``favourite``: the emoji that they gave
        most often, the first by code points if there are several, missing if they gave none (str).
        Who neither gave nor received any has no row.

    Raises
    ------
    InputError
        The frame is none of `load_reactions`, or an argument is none of the above.
    """
    given = _each_reaction_once(reactions)
    groups = group_by(given, by, ("channel",))
    count = len(given)
    people, names = codes_of(pd.concat([given["author"], given["actor"]]))
    width = max(1, len(names))
    keys = np.concatenate([groups.codes, groups.codes]) * width + people
    known, places = np.unique(keys, return_inverse=True)
    receiver, giver, size = places[:count], places[count:], len(known)
    to_self = receiver == giver
    messages, ids = codes_of(given["id"])
    others = ~to_self
    table = pd.DataFrame(
        {
            **groups.column(known // width),
            "author": names.take(known % width).reset_index(drop=True),
            "given": np.bincount(giver, minlength=size).astype("int64"),
            "received": np.bincount(receiver, minlength=size).astype("int64"),
            "to_self": np.bincount(receiver[to_self], minlength=size).astype("int64"),
            "messages": distinct(receiver, messages, size, len(ids)),
            "givers": distinct(receiver[others], giver[others], size, size),
            "favourite": _favourites(giver, given["emoji"], size),
        }
    )
    order = [*([] if by is None else [by]), "received", "given", "author"]
    up = [*([] if by is None else [True]), False, False, True]
    return table.sort_values(order, ascending=up, kind="stable", ignore_index=True)


def reaction_pairs(
    reactions: pd.DataFrame, *, by: str | None = None, top: int | None = None
) -> pd.DataFrame:
    """Return one row per two people of whom one reacted to the other, most reactions first.

    Parameters
    ----------
    reactions : pandas.DataFrame
        As `chatkit.history.load_reactions` returns them.
    by : str or None, default None
        ``"channel"``: count for each channel. None: all together.
    top : int or None, default None
        At most so many rows, of each channel, at least 1. None: all.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str), only if asked for; ``actor`` who reacted, ``author`` of the messages
        (str), ``reactions`` (int64). Equal ones come by actor and author. Reactions to own messages
        are there too.

    Raises
    ------
    InputError
        The frame is none of `load_reactions`, or an argument is none of the above.
    """
    check_top(top)
    given = _each_reaction_once(reactions)
    groups = group_by(given, by, ("channel",))
    actors, actor_names = codes_of(given["actor"])
    authors, author_names = codes_of(given["author"])
    width = max(1, len(author_names))
    known, pairs = np.unique(actors * width + authors, return_inverse=True)
    counts = counted(groups.codes, pairs, len(groups), len(known))
    chosen = ranks(counts, counts.times, top)
    pair = known[counts.things[chosen]]
    return pd.DataFrame(
        {
            **groups.column(counts.groups[chosen]),
            "actor": actor_names.take(pair // width).reset_index(drop=True),
            "author": author_names.take(pair % width).reset_index(drop=True),
            "reactions": counts.times[chosen],
        }
    )


def _each_reaction_once(reactions: pd.DataFrame) -> pd.DataFrame:
    for name in _REACTION_COLUMNS:
        if name not in reactions.columns:
            raise InputError(
                f"The frame has no column {name!r}. Statistics of reactions take the frame that "
                "chatkit.history.load_reactions returns"
            )
    once = reactions[_REACTION_COLUMNS].drop_duplicates(["id", "emoji", "actor"])
    same = {text: _qualified(text) for text in once["emoji"].unique()}
    return once.assign(emoji=once["emoji"].map(same).astype("str"))


def _table(
    groups: Groups,
    rows: np.ndarray,
    found: list[str],
    people: tuple[str, np.ndarray, int],
    top: int | None,
    messages: tuple[np.ndarray, int] | None = None,
) -> pd.DataFrame:
    """Return one row per emoji and group; people are those to count, by row."""
    name, persons, person_count = people
    message, message_count = messages or (np.arange(len(groups.codes)), len(groups.codes))
    codes, emoji_names = codes_of(_column(found))
    group = groups.codes[rows]
    counts = counted(group, codes, len(groups), len(emoji_names))
    width = max(1, len(emoji_names))
    places = np.searchsorted(counts.groups * width + counts.things, group * width + codes)
    size = len(counts.times)
    totals = np.bincount(group, minlength=len(groups))
    chosen = ranks(counts, counts.times, top)
    characters = emoji_names.take(counts.things[chosen]).reset_index(drop=True)
    return pd.DataFrame(
        {
            **groups.column(counts.groups[chosen]),
            "emoji": characters,
            "name": characters.map(_name_of).astype("str"),
            "times": counts.times[chosen],
            "messages": distinct(places, message[rows], size, message_count)[chosen],
            name: distinct(places, persons[rows], size, person_count)[chosen],
            "share": counts.times[chosen] / totals[counts.groups[chosen]],
        }
    )


def _favourites(givers: np.ndarray, given: pd.Series, size: int) -> pd.Series:
    """Return what each gave most often."""
    codes, names = codes_of(given)
    counts = counted(givers, codes, size, len(names))
    best = ranks(counts, counts.times, 1)
    places = np.full(size, -1)
    places[counts.groups[best]] = counts.things[best]
    # With -1, a place from the end, only what is taken out again is taken.
    chosen = pd.Series([None] * size if not len(names) else names.take(places).tolist())
    return chosen.where(places >= 0).astype("str")


def _found(bodies: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Return which row each emoji is in, and the emoji, in order."""
    texts = one_array(bodies)
    wide = pc.not_equal(pc.binary_length(texts), pc.utf8_length(texts).cast(pa.int64()))
    marked = np.flatnonzero(wide.to_numpy(zero_copy_only=False))
    chosen = texts.take(pa.array(marked))
    rows, found, before = [], [], 0
    seen: dict[str, list[str]] = {}
    for piece in pieces(chosen):
        listed = piece.to_pylist()
        # All at once: the beginning of each text tells later which an emoji was in.
        ends = np.cumsum(np.fromiter((len(text) + 1 for text in listed), "int64", len(listed)))
        places: list[int] = []
        for start, run in _runs("\n".join(listed)):
            inside = seen.get(run)
            if inside is None:
                inside = seen[run] = [_qualified(one["emoji"]) for one in emoji.emoji_list(run)]
            found += inside
            places += itertools.repeat(start, len(inside))
        in_piece = np.searchsorted(ends, np.asarray(places, dtype="int64"), side="right")
        rows.append(marked[before + in_piece])
        before += len(listed)
    return np.concatenate([np.empty(0, "int64"), *rows]), found


def _runs(text: str) -> list[tuple[int, str]]:
    """Return all that could be emoji in a text, and where it begins."""
    found = []
    for run in _candidates().finditer(text):
        start, characters = run.start(), run[0]
        if characters[0] in "\ufe0f\u20e3" and start and text[start - 1] in _KEYS:
            start, characters = start - 1, text[start - 1] + characters
        found.append((start, characters))
    return found


@functools.cache
def _candidates() -> re.Pattern[str]:
    """Return what finds runs of the characters that emoji are made of, and of some like them.

    A set of few ranges is much faster to look for than one of a thousand characters: what is
    between two of these and no letter may be in it too.
    """
    characters = {one for known in emoji.EMOJI_DATA for one in known if not one.isascii()}
    ranges: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if ranges and not any(chr(one).isalpha() for one in range(ranges[-1][1], code)):
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    shown = "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
    return re.compile(f"[{shown}]+")


@functools.cache
def _forms() -> dict[str, str]:
    """Return emoji without what chooses their picture -> as they are in full."""
    found = {}
    for known, about in emoji.EMOJI_DATA.items():
        if about["status"] <= emoji.STATUS["fully_qualified"]:
            found[known.replace(_VARIANT, "")] = known
    return found


def _qualified(text: str) -> str:
    return _forms().get(text.replace(_VARIANT, ""), text)


def _name_of(text: str) -> str | None:
    about = emoji.EMOJI_DATA.get(text)
    return None if about is None else str(about["en"]).strip(":")


def _column(found: list[str]) -> pd.Series:
    column: pd.Series = pa.array(found, pa.large_string()).to_pandas().astype("str")
    return column
