"""What figures share: colours, letters, axes, and names that plotly must not take for markup."""

from __future__ import annotations

import html
from collections.abc import Iterable

import pandas as pd
import plotly.graph_objects as go

from chatkit.errors import InputError

__all__ = [
    "COLOURS",
    "GRID",
    "INK",
    "OTHER_COLOUR",
    "as_label",
    "as_other",
    "bars",
    "check",
    "new_figure",
    "without_messages",
]

# Okabe and Ito's palette (jfly.uni-koeln.de/color), which those who see few colours can tell apart,
# without the black and the yellow that vanish on a dark or a light page.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6BB1"]
OTHER_COLOUR = "#9A9A9A"
INK = "#7F7F7F"
GRID = "rgba(127, 127, 127, 0.25)"
LABEL_LENGTH = 28


def check(tidy: pd.DataFrame, columns: Iterable[str], maker: str, top: int = 1) -> None:
    """Raise unless a frame has the columns of what ``chatkit.stats.<maker>`` returns."""
    for name in columns:
        if name not in tidy.columns:
            raise InputError(
                f"The frame has no column {name!r}. This figure takes what "
                f"chatkit.stats.{maker}(frame) returns"
            )
    if top < 1:
        raise InputError(f"top must be at least 1, not {top}")


def new_figure(title: str) -> go.Figure:
    """Return an empty figure in chatkit's look."""
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


def without_messages(figure: go.Figure) -> go.Figure:
    """Let a figure say that there is nothing to draw, and return it."""
    figure.add_annotation(text="No messages", showarrow=False, xref="paper", yref="paper")
    figure.update_layout(height=240)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def bars(figure: go.Figure, tidy: pd.DataFrame, by: str, top: int) -> go.Figure:
    """Draw bars that lie, one for each name in column ``by``; those beyond ``top`` as one."""
    if tidy.empty:
        return without_messages(figure)
    ordered = tidy.sort_values("messages", ascending=False, kind="stable")
    labels = [as_label(name) for name in ordered[by][:top]]
    values = ordered["messages"][:top].tolist()
    colours = [COLOURS[0]] * len(labels)
    if len(ordered) > top:
        labels.append(as_other(len(ordered) - top))
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


def as_other(count: int) -> str:
    """Return how all that are not shown are called together."""
    return f"other ({count:,})"


def as_label(name: object) -> str:
    """Return a name as plotly shows it letter by letter, cut where it is long."""
    text = str(name)
    if len(text) > LABEL_LENGTH:
        text = text[: LABEL_LENGTH - 1] + "…"
    return html.escape(text, quote=False)
