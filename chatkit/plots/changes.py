"""Figures of edits and deletions: see `chatkit.stats.changes`."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import check, durations, new_figure, without_messages
from chatkit.plots.ranking import boxes, group_column, group_name, ranked

__all__ = ["change_shares", "change_times"]

TICKS = [1, 10, 60, 600, 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400]
"""Seconds that are written at the axis."""


def change_shares(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of the share of messages that were edited or deleted.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.edits` or `chatkit.stats.deletions` returns.
    top : int, default 20
        Show so many groups, those with the greatest share, at least 1.

    Returns
    -------
    plotly.graph_objects.Figure
        A bar for each group, in percent. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of these, or ``top`` is below 1.
    """
    change = _change(tidy, top)
    group = group_column(tidy, "messages")
    shown = tidy[tidy["messages"] > 0]
    shown = shown.assign(percent=shown[f"share_{change}"] * 100).rename(columns={"messages": "of"})
    labels = shown[["of"]].assign(name="all" if group is None else shown[group])
    return ranked(
        new_figure(f"Messages that were {change}, in percent"),
        labels.assign(percent=shown["percent"]),
        "of",
        "percent",
        top,
        lambda part: [group_name(name) for name in part["name"].tolist()],
        "No messages",
    )


def change_times(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of how soon messages were edited or deleted.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.edits` or `chatkit.stats.deletions` returns.
    top : int, default 20
        Show so many groups, those with most changes, at least 1.

    Returns
    -------
    plotly.graph_objects.Figure
        Boxes from the first quartile to the third with the median, lines from the tenth to the
        ninetieth percentile, on a logarithmic axis; less than a second is drawn as one. Without
        changes it says so.

    Raises
    ------
    InputError
        The frame is none of these, or ``top`` is below 1.
    """
    change = _change(tidy, top)
    figure = new_figure(f"Time until messages were {change}")
    shown = tidy[tidy[change] > 0].sort_values(change, ascending=False, kind="stable")[:top]
    if shown.empty:
        return without_messages(figure, f"No messages were {change}")
    group = group_column(tidy, "messages")
    labels = ["all"] if group is None else [group_name(name) for name in shown[group].tolist()]
    boxes(figure, shown, labels, 1)
    figure.update_xaxes(type="log", tickvals=TICKS, ticktext=durations(TICKS))
    return figure


def _change(tidy: pd.DataFrame, top: int) -> str:
    change = "deleted" if "deleted" in tidy.columns else "edited"
    maker = "deletions" if change == "deleted" else "edits"
    check(tidy, ["messages", change, f"share_{change}", "q10", "median", "q90"], maker, top)
    return change
