"""How long messages are, in characters and in words."""

from __future__ import annotations

import pandas as pd
import pyarrow.compute as pc

from chatkit.stats.counting import each_once
from chatkit.stats.quantiles import quantiles
from chatkit.stats.ranking import group_by
from chatkit.stats.texts import one_array, space_counts

__all__ = ["lengths"]


def lengths(frame: pd.DataFrame, *, by: str | None = None) -> pd.DataFrame:
    """Return how long messages are: two rows, for characters and words, or two per group.

    Characters are those of Unicode, of the whole text. Words are what spaces part, also in code and
    links. Deleted messages, whose texts are gone, are left out; those with an attachment alone have
    the length 0.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    by : str or None, default None
        ``"channel"``, ``"author"`` or ``"bot"``: rows for each of them, by name. None: all
        together.

    Returns
    -------
    pandas.DataFrame
        ``channel`` or ``author`` (str) or ``bot`` (bool), only if asked for; ``unit``:
        ``"characters"`` or ``"words"`` (str), ``messages``, ``total`` (int64), ``mean``, ``least``,
        ``q10``, ``q25``, ``median``, ``q75``, ``q90``, ``most`` (float64, NaN without messages).
        Quantiles lie between the two nearest values in proportion, as those of pandas.

    Raises
    ------
    InputError
        The frame lacks a column of a history, or ``by`` is none of the above.
    """
    messages = each_once(frame, ["body"])
    messages = messages[messages["deleted_at"].isna()]
    groups = group_by(messages, by)
    texts = one_array(messages["body"])
    measured = {
        "characters": pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype("int64"),
        "words": space_counts(texts),
    }
    tables = []
    for unit, values in measured.items():
        count = pd.Series(groups.codes).value_counts().reindex(range(len(groups)), fill_value=0)
        total = (
            pd.Series(values).groupby(groups.codes).sum().reindex(range(len(groups)), fill_value=0)
        )
        tables.append(
            pd.DataFrame(
                {
                    **groups.column(count.index.to_numpy()),
                    "unit": pd.Series([unit] * len(groups), dtype="str"),
                    "messages": count.to_numpy(dtype="int64"),
                    "total": total.to_numpy(dtype="int64"),
                    **quantiles(groups.codes, values, len(groups)),
                }
            )
        )
    # Of one group, characters come before words.
    return pd.concat(tables).sort_index(kind="stable").reset_index(drop=True)
