"""What became of messages: edits and deletions, and how soon they came.

``edited_at`` is when the edit that counts, the last one, was appended. A message that was edited
and then deleted counts as deleted alone, since nothing else is known of it any more.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from chatkit.stats.counting import each_once, ms_of
from chatkit.stats.quantiles import QUANTILES, quantiles
from chatkit.stats.ranking import group_by

__all__ = ["deletions", "edits"]


def edits(frame: pd.DataFrame, *, by: str | None = None) -> pd.DataFrame:
    """Return how many messages were edited, and after how long: one row, or one per group.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    by : str or None, default None
        ``"channel"``, ``"author"`` or ``"bot"``: one row for each of them, by name. None: one row,
        also without messages.

    Returns
    -------
    pandas.DataFrame
        ``channel`` or ``author`` (str) or ``bot`` (bool), only if asked for; ``messages``,
        ``edited`` (int64), ``share_edited`` (float64, NaN without messages), and of the seconds
        from a message to its last edit ``mean``, ``least``, ``q10``, ``q25``, ``median``, ``q75``,
        ``q90``, ``most`` (float64, NaN where nothing was edited). Quantiles lie between the two
        nearest values in proportion, as those of pandas. An edit that clocks put before its message
        counts as one of the same moment.

    Raises
    ------
    InputError
        The frame lacks a column of a history, or ``by`` is none of the above.
    """
    return _changes(frame, by, "edited")


def deletions(frame: pd.DataFrame, *, by: str | None = None) -> pd.DataFrame:
    """Return how many messages were deleted, and after how long: one row, or one per group.

    Parameters
    ----------
    frame, by
        As `edits` takes them.

    Returns
    -------
    pandas.DataFrame
        As that of `edits`, with ``deleted`` and ``share_deleted``; the author or a moderator may
        have deleted them.

    Raises
    ------
    InputError
        See `edits`.
    """
    return _changes(frame, by, "deleted")


def _changes(frame: pd.DataFrame, by: str | None, change: str) -> pd.DataFrame:
    messages = each_once(frame)
    groups = group_by(messages, by)
    changed = messages[f"{change}_at"].notna().to_numpy(dtype=bool)
    chosen = messages[changed]
    waited = np.maximum(0, ms_of(chosen[f"{change}_at"]) - ms_of(chosen["placed_at"]))
    total = np.bincount(groups.codes, minlength=len(groups)).astype("int64")
    count = np.bincount(groups.codes[changed], minlength=len(groups)).astype("int64")
    share = np.divide(count, total, out=np.full(len(groups), np.nan), where=total > 0)
    spread = quantiles(groups.codes[changed], waited, len(groups))
    return pd.DataFrame(
        {
            **groups.column(np.arange(len(groups))),
            "messages": total,
            change: count,
            f"share_{change}": share,
            **{name: spread[name] / 1000 for name in QUANTILES},
        }
    )
