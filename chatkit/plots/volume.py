"""Figures of how much is written: see `chatkit.stats.volume`."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import (
    COLOURS,
    OTHER_COLOUR,
    as_label,
    as_other,
    bars,
    check,
    new_figure,
    without_messages,
)

__all__ = [
    "messages_per_author",
    "messages_per_channel",
    "messages_per_day",
    "messages_per_minute",
    "messages_per_period",
]

MOST_BARS = 120
"""Days up to which each is drawn as a bar of its own; more run together to areas."""


def messages_per_day(tidy: pd.DataFrame, *, top: int = 7) -> go.Figure:
    """Return a figure of the messages per day, channels one on top of the other.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.per_day` returns.
    top : int, default 7
        Show so many of the busiest channels, at least 1; the others are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        Stacked bars, or areas for over 120 days. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `per_day`, or ``top`` is below 1.
    """
    check(tidy, ["day", "messages"], "per_day", top)
    return _stacked(new_figure("Messages per day"), tidy, "day", "%a %d %b %Y", top)


def messages_per_period(tidy: pd.DataFrame, *, top: int = 7) -> go.Figure:
    """Return a figure of the messages per period, channels one on top of the other.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.per_period` returns.
    top : int, default 7
        Show so many of the busiest channels, at least 1; the others are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        Stacked bars, or areas for over 120 periods. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `per_period`, or ``top`` is below 1.
    """
    check(tidy, ["period", "messages"], "per_period", top)
    return _stacked(new_figure("Messages per period"), tidy, "period", "%d %b %Y %H:%M", top)


def messages_per_minute(tidy: pd.DataFrame, *, top: int = 7) -> go.Figure:
    """Return a figure of the messages of each minute, channels one on top of the other.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.live_statistics.LiveStatistics.per_minute` returns.
    top : int, default 7
        Show so many of the busiest channels, at least 1; the others are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        Stacked bars, or areas for over 120 minutes. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `per_minute`, or ``top`` is below 1.
    """
    check(tidy, ["minute", "messages"], "per_minute", top)
    return _stacked(new_figure("Messages per minute"), tidy, "minute", "%H:%M:%S", top)


def messages_per_channel(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure with a bar for each channel, the busiest on top.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.per_channel` returns.
    top : int, default 20
        Show so many channels, at least 1; the others are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie, since names are long. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `per_channel`, or ``top`` is below 1.
    """
    check(tidy, ["channel", "messages"], "per_channel", top)
    return bars(new_figure("Messages per channel"), tidy, "channel", top)


def messages_per_author(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure with a bar for each author, the busiest on top.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.per_author` returns.
    top : int, default 20
        Show so many authors, at least 1; the others are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie, since names are long. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `per_author`, or ``top`` is below 1.
    """
    check(tidy, ["author", "messages"], "per_author", top)
    return bars(new_figure("Messages per author"), tidy, "author", top)


def _stacked(figure: go.Figure, tidy: pd.DataFrame, when: str, shape: str, top: int) -> go.Figure:
    if not tidy["messages"].sum():
        return without_messages(figure)
    if "channel" not in tidy.columns:
        tidy = tidy.assign(channel="all channels")
    busiest = tidy.groupby("channel")["messages"].sum()
    busiest = busiest.sort_values(ascending=False, kind="stable")
    shown = [str(name) for name in busiest.index[:top]]
    table = tidy.pivot_table(
        index=when, columns="channel", values="messages", aggfunc="sum", fill_value=0
    )
    lines = [
        (as_label(name), COLOURS[n % len(COLOURS)], table[name]) for n, name in enumerate(shown)
    ]
    others = len(busiest) - len(shown)
    if others:
        rest = table.drop(columns=shown).sum(axis="columns")
        lines.append((as_other(others), OTHER_COLOUR, rest))
    about = f"%{{x|{shape}}}<br>%{{fullData.name}}: %{{y:,}}<extra></extra>"
    for label, colour, values in lines:
        if len(table) <= MOST_BARS:
            figure.add_bar(
                x=table.index, y=values, name=label, marker_color=colour, hovertemplate=about
            )
        else:
            figure.add_scatter(
                x=table.index,
                y=values,
                name=label,
                stackgroup="channels",
                line={"width": 0.5, "color": colour},
                hovertemplate=about,
            )
    figure.update_layout(barmode="stack", bargap=0.1, height=420, showlegend=len(lines) > 1)
    figure.update_xaxes(type="date", showgrid=False)
    figure.update_yaxes(rangemode="tozero")
    return figure
