"""Who mentions whom: names after ``@``, as `chatkit.query.mentions` finds them.

A name counts once for each message that it is in. Whoever writes only ``ben: hello``, as on IRC,
mentions nobody.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from chatkit.query import mentions as mentioned_in
from chatkit.stats.counting import codes_of, each_once
from chatkit.stats.ranking import check_top, counted, distinct, group_by, ranks
from chatkit.stats.texts import having, one_array, strings

__all__ = ["mentions", "most_mentioned"]


def mentions(frame: pd.DataFrame, *, by: str | None = None, top: int | None = None) -> pd.DataFrame:
    """Return one row per author and name that they mention, the most frequent first.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    by : str or None, default None
        ``"channel"`` or ``"bot"``: count for each of them. None: all together.
    top : int or None, default None
        At most so many rows, of each group, at least 1. None: all.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str) or ``bot`` (bool), only if asked for; ``author``, ``mentioned`` (str),
        ``messages`` by the author that mention the name (int64), ``share`` of all mentions of the
        group (float64), ``wrote``: whether that name has written anything in this frame, in any
        channel (bool). Those equally frequent come by author and name. Who mentions themselves is
        there too.

    Raises
    ------
    InputError
        The frame lacks a column of a history, or an argument is none of the above.
    """
    check_top(top)
    messages = each_once(frame, ["body"])
    groups = group_by(messages, by, ("channel", "bot"))
    rows, names, codes = _found(messages)
    authors, author_names = codes_of(messages["author"])
    width = max(1, len(names))
    pairs = authors[rows] * width + codes
    known, numbers = np.unique(pairs, return_inverse=True)
    counts = counted(groups.codes[rows], numbers, len(groups), len(known))
    totals = np.bincount(groups.codes[rows], minlength=len(groups))
    chosen = ranks(counts, counts.times, top)
    pair = known[counts.things[chosen]]
    mentioned = names.take(pair % width).reset_index(drop=True)
    return pd.DataFrame(
        {
            **groups.column(counts.groups[chosen]),
            "author": author_names.take(pair // width).reset_index(drop=True),
            "mentioned": mentioned,
            "messages": counts.times[chosen],
            "share": counts.times[chosen] / totals[counts.groups[chosen]],
            "wrote": mentioned.isin(author_names).to_numpy(dtype=bool),
        }
    )


def most_mentioned(
    frame: pd.DataFrame, *, by: str | None = None, top: int | None = None
) -> pd.DataFrame:
    """Return one row per name that is mentioned, the most frequent first, then by letters.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    by : str or None, default None
        ``"channel"``, ``"author"`` (who mentions) or ``"bot"``: count for each of them. None: all
        together.
    top : int or None, default None
        At most so many names, of each group, at least 1. None: all.

    Returns
    -------
    pandas.DataFrame
        ``channel`` or ``author`` (str) or ``bot`` (bool), only if asked for; ``mentioned`` (str),
        ``messages`` that mention the name, ``authors`` of these (int64), ``share`` of all mentions
        of the group (float64), ``wrote``: see `mentions`.

    Raises
    ------
    InputError
        See `mentions`.
    """
    check_top(top)
    messages = each_once(frame, ["body"])
    groups = group_by(messages, by)
    rows, names, codes = _found(messages)
    authors, author_names = codes_of(messages["author"])
    counts = counted(groups.codes[rows], codes, len(groups), len(names))
    places = np.searchsorted(
        counts.groups * len(names) + counts.things, groups.codes[rows] * len(names) + codes
    )
    by_authors = distinct(places, authors[rows], len(counts.times), len(author_names))
    totals = np.bincount(groups.codes[rows], minlength=len(groups))
    chosen = ranks(counts, counts.times, top)
    mentioned = names.take(counts.things[chosen]).reset_index(drop=True)
    return pd.DataFrame(
        {
            **groups.column(counts.groups[chosen]),
            "mentioned": mentioned,
            "messages": counts.times[chosen],
            "authors": by_authors[chosen],
            "share": counts.times[chosen] / totals[counts.groups[chosen]],
            "wrote": mentioned.isin(author_names).to_numpy(dtype=bool),
        }
    )


def _found(messages: pd.DataFrame) -> tuple[np.ndarray, pd.Series, np.ndarray]:
    """Return the row of each mention, all names in order, and which of them it is."""
    texts = one_array(messages["body"])
    marked = having(texts, "@")
    found = [mentioned_in(text) for text in strings(texts, marked)]
    rows = np.repeat(marked, np.fromiter(map(len, found), "int64", len(found)))
    flat = pa.array([name for names in found for name in names], pa.large_string())
    codes, names = codes_of(flat.to_pandas().astype("str"))
    return rows, names, codes
