"""Tidy frames of `chatkit.stats` -> plotly figures.

Figures need no network and read well on a light and on a dark page: backgrounds are transparent,
letters and lines of a middle grey. Names are other people's text: plotly would take tags in them
for its own markup, so they are escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

import pandas as pd
import plotly.graph_objects as go

from chatkit.errors import InputError

__all__ = ["messages_per_author", "messages_per_channel", "messages_per_day"]

# Okabe and Ito's palette (jfly.uni-koeln.de/color), which those who see few colours can tell apart,
# without the black and the yellow that vanish on a dark or a light page.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6BB1"]
OTHER_COLOUR = "#9A9A9A"
INK = "#7F7F7F"
GRID = "rgba(127, 127, 127, 0.25)"
LABEL_LENGTH = 28
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
    _check(tidy, ["day", "channel", "messages"], "per_day", top)
    figure = _figure("Messages per day")
    if not tidy["messages"].sum():
        return _without_messages(figure)
    busiest = tidy.groupby("channel")["messages"].sum()
    busiest = busiest.sort_values(ascending=False, kind="stable")
    shown = [str(name) for name in busiest.index[:top]]
    table = tidy.pivot_table(
        index="day", columns="channel", values="messages", aggfunc="sum", fill_value=0
    )
    lines = [(_label(name), COLOURS[n % len(COLOURS)], table[name]) for n, name in enumerate(shown)]
    others = len(busiest) - len(shown)
    if others:
        rest = table.drop(columns=shown).sum(axis="columns")
        lines.append((_other(others), OTHER_COLOUR, rest))
    about = "%{x|%a %d %b %Y}<br>%{fullData.name}: %{y:,}<extra></extra>"
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
    _check(tidy, ["channel", "messages"], "per_channel", top)
    return _bars(_figure("Messages per channel"), tidy, "channel", top)


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
    _check(tidy, ["author", "messages"], "per_author", top)
    return _bars(_figure("Messages per author"), tidy, "author", top)


def _check(tidy: pd.DataFrame, columns: Iterable[str], maker: str, top: int) -> None:
    for name in columns:
        if name not in tidy.columns:
            raise InputError(
                f"The frame has no column {name!r}. This figure takes what "
                f"chatkit.stats.{maker}(frame) returns"
            )
    if top < 1:
        raise InputError(f"top must be at least 1, not {top}")


def _figure(title: str) -> go.Figure:
    axis = {"gridcolor": GRID, "linecolor": GRID, "zeroline": False}
    return go.Figure(
        layout={
            # None of plotly's own: its white and its blue would show on a dark page.
            "template": "none",
            "title": {"text": title},
            "paper_bgcolor": "rgba(0, 0, 0, 0)",
            "plot_bgcolor": "rgba(0, 0, 0, 0)",
            "font": {"color": INK},
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"t": 48, "r": 24},
        }
    )


def _without_messages(figure: go.Figure) -> go.Figure:
    figure.add_annotation(text="No messages", showarrow=False, xref="paper", yref="paper")
    figure.update_layout(height=240)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def _bars(figure: go.Figure, tidy: pd.DataFrame, by: str, top: int) -> go.Figure:
    if tidy.empty:
        return _without_messages(figure)
    ordered = tidy.sort_values("messages", ascending=False, kind="stable")
    labels = [_label(name) for name in ordered[by][:top]]
    values = ordered["messages"][:top].tolist()
    colours = [COLOURS[0]] * len(labels)
    if len(ordered) > top:
        labels.append(_other(len(ordered) - top))
        values.append(int(ordered["messages"][top:].sum()))
        colours.append(OTHER_COLOUR)
    # Bars at numbered places: by name, plotly would draw two that look alike as one, and take
    # "2024" for a number.
    places = list(range(len(labels)))
    figure.add_bar(
        x=values,
        y=places,
        orientation="h",
        marker_color=colours,
        hovertext=labels,
        hovertemplate="%{hovertext}: %{x:,}<extra></extra>",
    )
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(
        tickvals=places, ticktext=labels, autorange="reversed", automargin=True, showgrid=False
    )
    figure.update_layout(height=max(240, 120 + 22 * len(labels)))
    return figure


def _other(count: int) -> str:
    return f"other ({count:,})"


def _label(name: object) -> str:
    """Return a name as plotly shows it letter by letter, cut where it is long."""
    text = str(name)
    if len(text) > LABEL_LENGTH:
        text = text[: LABEL_LENGTH - 1] + "…"
    return html.escape(text, quote=False)
