"""Figures of the lengths of messages: see `chatkit.stats.lengths`."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from chatkit.errors import InputError
from chatkit.plots.drawing import check, new_figure, without_messages
from chatkit.plots.ranking import boxes, group_column, group_name

__all__ = ["message_lengths"]


def message_lengths(tidy: pd.DataFrame, *, unit: str = "characters", top: int = 20) -> go.Figure:
    """Return a figure of how long messages are: a box for all, or one for each group.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.lengths` returns.
    unit : str, default "characters"
        ``"characters"`` or ``"words"``.
    top : int, default 20
        Show so many groups, those with most messages, at least 1.

    Returns
    -------
    plotly.graph_objects.Figure
        Boxes from the first quartile to the third with the median; their lines reach from the tenth
        to the ninetieth percentile. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `lengths`, there is no such unit, or ``top`` is below 1.
    """
    check(tidy, ["unit", "messages", "q10", "q25", "median", "q75", "q90"], "lengths", top)
    if unit not in ("characters", "words"):
        raise InputError(f"unit is 'characters' or 'words', not {unit!r}")
    figure = new_figure(f"Length of messages in {unit}")
    shown = tidy[(tidy["unit"] == unit) & (tidy["messages"] > 0)]
    shown = shown.sort_values("messages", ascending=False, kind="stable")[:top]
    if shown.empty:
        return without_messages(figure)
    group = group_column(tidy, "unit")
    labels = ["all"] if group is None else [group_name(name) for name in shown[group]]
    boxes(figure, shown, labels, 0)
    figure.update_xaxes(rangemode="tozero")
    return figure
