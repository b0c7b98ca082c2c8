"""Figures of how talk is shared out: see `chatkit.stats.balance` and `chatkit.stats.per_author`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import COLOURS, GRID, as_label, check, new_figure, without_messages

__all__ = ["author_shares", "talk_balance"]


def talk_balance(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of how evenly each channel is shared out, and of what its busiest author has.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.balance` returns.
    top : int, default 20
        Show so many channels, the busiest, at least 1; the others are not shown.

    Returns
    -------
    plotly.graph_objects.Figure
        Dots from 0 to 1. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `balance`, or ``top`` is below 1.
    """
    check(tidy, ["messages", "authors", "gini", "top_author", "top_share"], "balance", top)
    figure = new_figure("How talk is shared out")
    shown = tidy[tidy["messages"] > 0]
    shown = shown.sort_values("messages", ascending=False, kind="stable")[:top]
    if shown.empty:
        return without_messages(figure)
    names = shown["channel"] if "channel" in shown.columns else ["all"]
    labels = [as_label(name) for name in names]
    for colour, column, label in (
        (COLOURS[0], "gini", "Gini: 0 all alike, 1 one alone"),
        (COLOURS[1], "top_share", "share of the busiest author"),
    ):
        figure.add_scatter(
            x=shown[column],
            y=list(range(len(labels))),
            mode="markers",
            name=label,
            marker={"color": colour, "size": 10},
            hovertext=[
                f"{name}<br>{authors:,} authors, {as_label(author)}: {share:.1%}"
                for name, authors, author, share in zip(
                    labels, shown["authors"], shown["top_author"], shown["top_share"], strict=True
                )
            ],
            hovertemplate="%{hovertext}<br>%{x:.2f}<extra></extra>",
        )
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=labels,
        range=[len(labels) - 0.5, -0.5],
        automargin=True,
    )
    figure.update_layout(height=max(260, 140 + 22 * len(labels)), legend={"orientation": "h"})
    return figure


def author_shares(tidy: pd.DataFrame) -> go.Figure:
    """Return a figure of how many of the busiest authors wrote which share of all messages.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.per_author` returns.

    Returns
    -------
    plotly.graph_objects.Figure
        A line from the busiest author to all, with a mark where half of all messages is reached.
        Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `per_author`.
    """
    check(tidy, ["author", "messages", "cumulative_share"], "per_author")
    figure = new_figure("Of all messages, the busiest authors wrote")
    if not tidy["messages"].sum():
        return without_messages(figure)
    shares = tidy["cumulative_share"].to_numpy()
    # As many points as a screen can show.
    places = np.unique(np.geomspace(1, len(shares), 400).astype("int64"))
    figure.add_scatter(
        x=places,
        y=shares[places - 1],
        mode="lines+markers" if len(places) < 50 else "lines",
        line={"color": COLOURS[0], "width": 2},
        hovertemplate="%{x:,} authors: %{y:.1%}<extra></extra>",
    )
    half = int(np.searchsorted(shares, 0.5)) + 1
    figure.add_vline(x=half, line={"color": GRID, "dash": "dot"})
    figure.add_annotation(
        x=np.log10(half),
        y=1.0,
        yref="paper",
        showarrow=False,
        xanchor="left",
        text=f" half: {half:,} of {len(shares):,}",
    )
    figure.update_xaxes(type="log", title_text="authors, the busiest first")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_layout(height=360, showlegend=False)
    return figure
