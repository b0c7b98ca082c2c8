"""Figures of mentions: see `chatkit.stats.mentions`."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import as_label, check, new_figure
from chatkit.plots.ranking import matrix, ranked

__all__ = ["mention_map", "top_mentioned"]


def mention_map(tidy: pd.DataFrame, *, top: int = 15) -> go.Figure:
    """Return a map of who mentions whom: a row for each author, a column for each name.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.mentions` returns; groups are added up.
    top : int, default 15
        Show so many of the names that mention or are mentioned most, at least 1.

    Returns
    -------
    plotly.graph_objects.Figure
        A heat map. Without mentions it says so.

    Raises
    ------
    InputError
        The frame is none of `mentions`, or ``top`` is below 1.
    """
    check(tidy, ["author", "mentioned", "messages"], "mentions", top)
    figure = new_figure("Who mentions whom")
    return matrix(figure, tidy, "author", "mentioned", "messages", top, "No mentions")


def top_mentioned(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure with a bar for each of the names that most messages mention.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.most_mentioned` returns.
    top : int, default 20
        Show so many names, at least 1, of each group.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie; of several groups, those six with most mentions beside each other. Without
        mentions it says so.

    Raises
    ------
    InputError
        The frame is none of `most_mentioned`, or ``top`` is below 1.
    """
    check(tidy, ["mentioned", "messages", "authors"], "most_mentioned", top)
    return ranked(
        new_figure("Mentions"),
        tidy,
        "mentioned",
        "messages",
        top,
        lambda part: [as_label(name) for name in part["mentioned"]],
        "No mentions",
    )
