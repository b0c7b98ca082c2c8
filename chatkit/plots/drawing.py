"""What figures share: colours, letters, axes, and names that plotly must not take for markup."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence

import pandas as pd
import plotly.graph_objects as go

from chatkit.errors import InputError

__all__ = [
    "COLOURS",
    "GRID",
    "INK",
    "OTHER_COLOUR",
    "SCALE",
    "as_label",
    "as_other",
    "bars",
    "check",
    "durations",
    "heat_maps",
    "lines",
    "new_figure",
    "without_messages",
]

# Okabe and Ito's palette (jfly.uni-koeln.de/color), which those who see few colours can tell apart,
# without the black and the yellow that vanish on a dark or a light page.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6BB1"]
OTHER_COLOUR = "#9A9A9A"
INK = "#7F7F7F"
GRID = "rgba(127, 127, 127, 0.25)"
SCALE = [[0, "rgba(0, 114, 178, 0.08)"], [0.5, "#3B9CCB"], [1, "#E69F00"]]
"""From nothing to most, for heat maps: told apart on a light and on a dark page."""
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


def without_messages(figure: go.Figure, text: str = "No messages") -> go.Figure:
    """Let a figure say that there is nothing to draw, and return it."""
    figure.add_annotation(text=text, showarrow=False, xref="paper", yref="paper")
    figure.update_layout(height=240)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def bars(
    figure: go.Figure, tidy: pd.DataFrame, by: str, top: int, value: str = "messages"
) -> go.Figure:
    """Draw bars that lie, one for each name in column ``by``; those beyond ``top`` as one."""
    if tidy.empty:
        return without_messages(figure)
    ordered = tidy.sort_values(value, ascending=False, kind="stable")
    labels = [as_label(name) for name in ordered[by][:top]]
    values = ordered[value][:top].tolist()
    colours = [COLOURS[0]] * len(labels)
    if len(ordered) > top:
        labels.append(as_other(len(ordered) - top))
        values.append(int(ordered[value][top:].sum()))
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


def lines(figure: go.Figure, tidy: pd.DataFrame, x: str, value: str, top: int) -> go.Figure:
    """Draw a line for each channel with most of a value; those beyond ``top`` are left out."""
    most = tidy.groupby("channel")[value].sum().sort_values(ascending=False, kind="stable")
    for number, name in enumerate(most.index[:top]):
        part = tidy[tidy["channel"] == name]
        figure.add_scatter(
            x=part[x],
            y=part[value],
            name=as_label(name),
            mode="lines+markers" if len(part) < 3 else "lines",
            line={"color": COLOURS[number % len(COLOURS)], "width": 1.5},
            hovertemplate="%{x|%d %b %Y}<br>%{fullData.name}: %{y:,}<extra></extra>",
        )
    figure.update_layout(height=380, showlegend=True)
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(rangemode="tozero")
    return figure


def heat_maps(
    figure: go.Figure,
    tidy: pd.DataFrame | Sequence[pd.DataFrame],
    draw: Callable[[pd.DataFrame], go.Heatmap],
    top: int,
    height: int,
    labels: Sequence[str] = ("",),
) -> None:
    """Draw heat maps, one below the other: of the busiest channels, or of all that are given.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Where to draw.
    tidy : pandas.DataFrame or sequence of these
        Of one, with a channel's name in ``channel`` if it has several, and ``messages``.
    draw : callable
        Makes the heat map of a part.
    top : int
        Show so many channels.
    height : int
        Of each, in pixels.
    labels : sequence of str
        What to write above each, where parts are given.
    """
    if not isinstance(tidy, pd.DataFrame):
        parts = list(tidy)
    elif "channel" in tidy.columns:
        busiest = tidy.groupby("channel")["messages"].sum()
        busiest = busiest.sort_values(ascending=False, kind="stable")[:top]
        names = busiest[busiest > 0].index
        parts = [tidy[tidy["channel"] == name] for name in names]
        labels = [as_label(name) for name in names]
    else:
        parts = [tidy]
    whole = 96 + (height + 56) * len(parts)
    figure.set_subplots(
        rows=len(parts),
        cols=1,
        subplot_titles=list(labels) if any(labels) else None,
        vertical_spacing=56 / whole if len(parts) > 1 else None,
    )
    for row, part in enumerate(parts, start=1):
        figure.add_trace(draw(part), row=row, col=1)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(linecolor=GRID, zeroline=False)
    figure.update_yaxes(linecolor=GRID, zeroline=False)
    figure.update_layout(height=whole)
    if len(parts) > 1:
        figure.update_traces(showscale=False)


def durations(seconds: Iterable[float]) -> list[str]:
    """Return times as people say them, such as 12 s, 3 min or 5 h."""
    found = []
    for value in seconds:
        for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
            if value >= size or size == 1:
                found.append(f"{value / size:,.3g} {unit}")
                break
    return found


def as_other(count: int) -> str:
    """Return how all that are not shown are called together."""
    return f"other ({count:,})"


def as_label(name: object) -> str:
    """Return a name as plotly shows it letter by letter, cut where it is long."""
    text = str(name)
    if len(text) > LABEL_LENGTH:
        text = text[: LABEL_LENGTH - 1] + "…"
    return html.escape(text, quote=False)
