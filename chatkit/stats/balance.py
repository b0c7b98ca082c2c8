"""How talk is shared out: do few write nearly all, or all about as much."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from chatkit.stats.counting import channel_column, codes_of, each_once, grouped, runs, texts

__all__ = ["balance"]

Numbers = np.ndarray[Any, np.dtype[Any]]


def balance(frame: pd.DataFrame, *, by: str | None = "channel") -> pd.DataFrame:
    """Return how messages are shared out among the authors of each channel, by its name.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    by : str or None, default "channel"
        None: one row for all channels together.

    Returns
    -------
    pandas.DataFrame
        ``channel`` (str, only by channel), ``messages``, ``authors`` (int64), ``gini``: 0 where all
        wrote equally many, towards 1 where one wrote all (float64; Gini's coefficient, half the
        mean difference over the mean), ``entropy`` of who wrote a message, in bits (float64;
        Shannon), ``evenness``: that as a part of what it would be if all wrote equally many, NaN
        for a single author (float64; Pielou), ``top_author``, the first by name of equal ones
        (str), ``top_share`` of the messages that are theirs (float64), ``half``: how few authors
        wrote half of all messages (int64). Without messages numbers are 0, and NaN what is a part
        of nothing.

    Raises
    ------
    InputError
        The frame lacks a column of a history.
    """
    messages = each_once(frame)
    codes, names = grouped(messages, by)
    authors, author_names = codes_of(messages["author"])
    width, groups = max(1, len(author_names)), 1 if names is None else len(names)
    pairs, counts = runs(codes * width + authors, groups * width)
    group, who = pairs // width, pairs % width
    total = np.bincount(group, weights=counts, minlength=groups)
    people = np.bincount(group, minlength=groups)
    order = np.lexsort((who, -counts, group))  # in each group the busiest first
    group, who, counts = group[order], who[order], counts[order]
    begins = np.cumsum(people) - people
    has = people > 0

    def add(values: Numbers) -> Numbers:
        return np.bincount(group, weights=values, minlength=groups)

    share = counts / total[group]
    rank = np.arange(len(group)) - begins[group]  # 0 for the busiest
    # Over authors from the least busy: sum of (2 i - n - 1) x_i, by n times the sum of x.
    turned = people[group] - 1 - 2 * rank
    gini = _part(add(turned * counts), people * total)
    entropy = add(-share * np.log2(share))
    before = np.cumsum(counts) - counts
    before -= before[begins[group]]
    half = np.bincount(group[before * 2 < total[group]], minlength=groups)
    top = np.full(groups, len(author_names))
    top[has] = who[begins[has]]
    top_share = np.full(groups, np.nan)
    top_share[has] = share[begins[has]]
    with_none = pd.concat([author_names, pd.Series([None], dtype="str")], ignore_index=True)
    return pd.DataFrame(
        {
            **channel_column(names, np.arange(groups)),
            "messages": total.astype("int64"),
            "authors": people,
            "gini": gini,
            "entropy": np.where(has, np.abs(entropy), np.nan),
            "evenness": _part(entropy, np.log2(np.maximum(people, 1))),
            "top_author": texts(with_none, top),
            "top_share": top_share,
            "half": half,
        }
    )


def _part(value: Numbers, whole: Numbers) -> Numbers:
    found = np.full(len(value), np.nan)
    np.divide(value, whole, out=found, where=whole > 0)
    return found
