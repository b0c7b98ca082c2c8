"""Figures of who talks with whom: see `chatkit.stats.edges`."""

from __future__ import annotations

import math
from typing import Any

import networkx
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import COLOURS, SCALE, as_label, check, new_figure, without_messages

__all__ = ["talk_matrix", "talk_network"]

_COLUMNS = ["author", "to", "messages"]


def talk_network(tidy: pd.DataFrame, *, top: int = 40) -> go.Figure:
    """Return a figure of authors as dots, with lines between those who talk with each other.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.edges` returns; channels are added up.
    top : int, default 40
        Show so many authors, those who talk most, at least 1; the others are not shown.

    Returns
    -------
    plotly.graph_objects.Figure
        Who talks much with each other is near; lines are the wider, the more was said, either way.
        The same table gives the same figure. Without edges it says so.

    Raises
    ------
    InputError
        The frame is none of `edges`, or ``top`` is below 1.
    """
    check(tidy, _COLUMNS, "edges", top)
    figure = new_figure("Who talks with whom")
    names, grid = _grid(tidy, top)
    if not names:
        return without_messages(figure, "Nobody talks to anybody")
    both = grid + grid.T
    graph: Any = networkx.Graph()
    graph.add_nodes_from(range(len(names)))
    pairs = [(one, other) for one, other in zip(*np.nonzero(np.triu(both)), strict=True)]
    # By the logarithm: one pair that talks day and night would else push all others aside.
    graph.add_weighted_edges_from(
        (int(one), int(other), math.log1p(both[one, other])) for one, other in pairs
    )
    places = networkx.spring_layout(graph, seed=1, k=2 / math.sqrt(len(names)), iterations=100)
    most = max(1.0, float(both.max()))
    # Few widths, since each is a trace of its own.
    for level in range(1, 6):
        xs: list[float | None] = []
        ys: list[float | None] = []
        for one, other in pairs:
            if math.ceil(5 * math.log1p(both[one, other]) / math.log1p(most)) == level:
                xs += [places[one][0], places[other][0], None]
                ys += [places[one][1], places[other][1], None]
        if xs:
            figure.add_scatter(
                x=xs,
                y=ys,
                mode="lines",
                line={
                    "width": 0.5 + 0.7 * level,
                    "color": f"rgba(127, 127, 127, {0.08 * level**1.4:.2f})",
                },
                hoverinfo="skip",
            )
    total = both.sum(axis=1)
    labels = [as_label(name) for name in names]
    figure.add_scatter(
        x=[places[n][0] for n in range(len(names))],
        y=[places[n][1] for n in range(len(names))],
        mode="markers+text",
        text=labels,
        textposition="top center",
        marker={"color": COLOURS[0], "size": 8 + 18 * np.sqrt(total / max(1, total.max()))},
        hovertext=[
            f"{label}<br>{grid[n].sum():,} to others, {grid[:, n].sum():,} from others"
            for n, label in enumerate(labels)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(height=560, showlegend=False)
    return figure


def talk_matrix(tidy: pd.DataFrame, *, top: int = 25) -> go.Figure:
    """Return a figure of how much each author, line by line, wrote to each other, column by column.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.edges` returns; channels are added up.
    top : int, default 25
        Show so many authors, those who talk most, at least 1; the others are not shown.

    Returns
    -------
    plotly.graph_objects.Figure
        A heat map. Without edges it says so.

    Raises
    ------
    InputError
        The frame is none of `edges`, or ``top`` is below 1.
    """
    check(tidy, _COLUMNS, "edges", top)
    figure = new_figure("Who writes to whom")
    names, grid = _grid(tidy, top)
    if not names:
        return without_messages(figure, "Nobody talks to anybody")
    labels = [as_label(name) for name in names]
    places = list(range(len(names)))
    figure.add_heatmap(
        z=np.where(grid == 0, np.nan, grid),
        x=places,
        y=places,
        colorscale=SCALE,
        zmin=0,
        xgap=1,
        ygap=1,
        colorbar={"thickness": 12, "outlinewidth": 0},
        text=[[f"{one} to {other}" for other in labels] for one in labels],
        hovertemplate="%{text}<br>%{z:,} messages<extra></extra>",
    )
    ticks = {"tickvals": places, "ticktext": labels, "automargin": True, "showgrid": False}
    figure.update_xaxes(**ticks, tickangle=-45)
    figure.update_yaxes(**ticks, autorange="reversed")
    figure.update_layout(height=max(320, 180 + 20 * len(names)))
    return figure


def _grid(tidy: pd.DataFrame, top: int) -> tuple[list[str], Any]:
    """Return the names of those who talk most, and how much each wrote to each."""
    whole = tidy.dropna(subset=["author", "to"])
    whole = whole.groupby(["author", "to"], as_index=False)[["messages"]].sum()
    both = pd.concat(
        [
            whole[["author", "messages"]],
            whole[["to", "messages"]].set_axis(["author", "messages"], axis=1),
        ]
    )
    totals = both.groupby("author")["messages"].sum()
    names = totals.sort_values(ascending=False, kind="stable").index[:top].tolist()
    table = whole.pivot(index="author", columns="to", values="messages")
    grid = table.reindex(index=names, columns=names).fillna(0).to_numpy(dtype="int64")
    return names, grid
