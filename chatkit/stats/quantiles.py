"""How values spread in each of several groups, exactly and at once."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["QUANTILES", "quantiles"]

Numbers = np.ndarray[Any, np.dtype[Any]]

QUANTILES = ("mean", "least", "q10", "q25", "median", "q75", "q90", "most")
"""What `quantiles` tells, in order."""

_AT = {"least": 0.0, "q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9, "most": 1.0}


def quantiles(groups: Numbers, values: Numbers, length: int) -> dict[str, Numbers]:
    """Return what QUANTILES names of the whole numbers of each group; NaN where there are none.

    Quantiles are those of numpy's and pandas' default: between the two nearest values in
    proportion.
    """
    counts = np.bincount(groups, minlength=length)
    has = counts > 0
    sums = np.bincount(groups, weights=values, minlength=length)
    mean = np.divide(sums, counts, out=np.full(length, np.nan), where=has)
    ordered = _by_group(groups, values)
    begins = (np.cumsum(counts) - counts)[has]
    last = counts[has] - 1
    table = {"mean": mean}
    for name, part in _AT.items():
        place = last * part
        below = np.floor(place).astype("int64")
        lower = ordered[begins + below]
        upper = ordered[begins + np.minimum(below + 1, last)]
        table[name] = np.full(length, np.nan)
        table[name][has] = lower + (upper - lower) * (place - below)
    return table


def _by_group(groups: Numbers, values: Numbers) -> Numbers:
    """Return the values in order within each group, group after group."""
    if not len(values):
        return values
    least = int(values.min())
    width = int(values.max()) - least + 1
    if (int(groups.max()) + 1) * width >= 2**62:
        return values[np.lexsort((values, groups))]
    # One sort of plain numbers is many times as fast as one by two keys.
    keys = np.sort(groups.astype("int64") * width + (values - least))
    return keys % width + least
