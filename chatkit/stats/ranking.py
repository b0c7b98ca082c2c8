"""What tables of the most frequent share: groups to compare, counts in each, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from chatkit.errors import InputError
from chatkit.stats.counting import codes_of, differing, runs, texts

__all__ = ["GROUPS", "Counts", "Groups", "check_top", "counted", "distinct", "group_by", "ranks"]

Numbers = np.ndarray[Any, np.dtype[Any]]

GROUPS = ("channel", "author", "bot")
"""What messages can be compared by."""


class Groups(NamedTuple):
    """The groups that messages fall into."""

    codes: Numbers
    """Which group each message is in."""
    names: pd.Series | None
    """What the groups are called, in order; None: there is one, without a name."""
    by: str | None
    """Column of the names."""

    def __len__(self) -> int:
        """Return how many groups there are."""
        return 1 if self.names is None else len(self.names)

    def column(self, codes: Numbers) -> dict[str, pd.Series]:
        """Return the column that tells a table's groups, or none where there is one group."""
        if self.names is None:
            return {}
        return {str(self.by): texts(self.names, codes)}


class Counts(NamedTuple):
    """How often each thing is there in each group, where it is there at all."""

    groups: Numbers
    things: Numbers
    times: Numbers


def group_by(messages: pd.DataFrame, by: str | None, known: Sequence[str] = GROUPS) -> Groups:
    """Return the groups of messages that have one value in a column; None: all are one group.

    Raises
    ------
    InputError
        ``by`` is none of the known columns.
    """
    if by is None:
        return Groups(np.zeros(len(messages), dtype="int64"), None, None)
    if by not in known:
        raise InputError(f"by is one of {', '.join(map(repr, known))} or None, not {by!r}")
    if by == "bot":
        names, codes = np.unique(messages["bot"].to_numpy(dtype=bool), return_inverse=True)
        return Groups(codes.astype("int64"), pd.Series(names, dtype=bool), by)
    codes, column = codes_of(messages[by])
    return Groups(codes, column, by)


def check_top(top: int | None) -> None:
    """Raise InputError unless a number of rows is at least 1, or None."""
    if top is not None and top < 1:
        raise InputError(f"top must be at least 1 or None, not {top}")


def counted(groups: Numbers, things: Numbers, group_count: int, thing_count: int) -> Counts:
    """Return how often each thing is there in each group, by group and then by thing."""
    width = max(1, thing_count)
    keys = things if group_count == 1 else groups.astype("int64") * width + things
    found, times = runs(keys, group_count * width)
    return Counts(found // width, found % width, times.astype("int64"))


def distinct(keys: Numbers, values: Numbers, key_count: int, value_count: int) -> Numbers:
    """Return how many different values each key has."""
    width = max(1, value_count)
    pairs = differing(keys.astype("int64") * width + values, key_count * width)
    return np.bincount(pairs // width, minlength=key_count).astype("int64")


def ranks(counts: Counts, values: Numbers, top: int | None) -> Numbers:
    """Return the order of counts: by group, the greatest value first; as many as ``top`` a group.

    Those of one value stay as they come.
    """
    order = np.lexsort((-values, counts.groups))
    if top is None or not len(order):
        return order
    groups = counts.groups[order]
    first = np.searchsorted(groups, groups)
    return order[np.arange(len(order)) - first < top]
