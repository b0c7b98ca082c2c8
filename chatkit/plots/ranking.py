"""Bars of the most frequent, boxes of how values spread, and both for several groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import COLOURS, GRID, SCALE, as_label, without_messages

__all__ = ["boxes", "group_column", "group_name", "matrix", "ranked", "stacked"]

MOST_GROUPS = 6
"""Groups that are shown beside each other."""
BAR_HEIGHT = 22


def group_column(tidy: pd.DataFrame, after: str) -> str | None:
    """Return the column of a table's groups, which is before one that it always has, or None."""
    first = str(tidy.columns[0])
    return None if first == after else first


def group_name(name: object) -> str:
    """Return what a group is called: a name, or what the column ``bot`` says."""
    if isinstance(name, bool):
        return "bots" if name else "people"
    return as_label(name)


def ranked(
    figure: go.Figure,
    tidy: pd.DataFrame,
    first: str,
    value: str,
    top: int,
    label: Callable[[pd.DataFrame], Sequence[str]],
    nothing: str,
    *,
    weight: str | None = None,
) -> go.Figure:
    """Draw the rows with most of a value as bars that lie; of several groups, beside each other.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Where to draw.
    tidy : pandas.DataFrame
        With a column of groups before column ``first``, if there are several.
    first : str
        The first column where there are no groups.
    value : str
        The column to draw.
    top : int
        Show so many rows of each group.
    label : callable
        Returns what to write at the bars of some rows, as plotly shows it.
    nothing : str
        What to say without rows.
    weight : str, optional
        The column by whose sum groups are the greatest; default: the value.
    """
    if tidy.empty:
        return without_messages(figure, nothing)
    group = group_column(tidy, first)
    if group is None:
        _bars(figure, tidy, value, top, label)
        return figure
    sums = tidy.groupby(group)[weight or value].sum()
    names = sums.sort_values(ascending=False, kind="stable").index[:MOST_GROUPS].tolist()
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    height = 60 + BAR_HEIGHT * top
    whole = 80 + height * rows
    figure.set_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[group_name(name) for name in names],
        horizontal_spacing=0.06,
        vertical_spacing=60 / whole if rows > 1 else None,
    )
    for number, name in enumerate(names):
        part = tidy[tidy[group] == name].sort_values(value, ascending=False, kind="stable")[:top]
        labels = list(label(part))
        # Written on the bars: beside them, those of one picture would cover the next.
        figure.add_bar(
            x=part[value].tolist(),
            y=list(range(len(part))),
            orientation="h",
            marker_color=COLOURS[number % len(COLOURS)],
            text=labels,
            textposition="auto",
            insidetextanchor="start",
            hovertext=labels,
            hovertemplate="%{hovertext}: %{x:,.4~g}<extra></extra>",
            row=number // columns + 1,
            col=number % columns + 1,
        )
    figure.update_annotations(font_size=13)
    figure.update_xaxes(rangemode="tozero", gridcolor=GRID, linecolor=GRID, zeroline=False)
    figure.update_yaxes(range=[top - 0.5, -0.5], showticklabels=False, showgrid=False)
    figure.update_layout(height=whole, showlegend=False)
    return figure


def _bars(
    figure: go.Figure,
    tidy: pd.DataFrame,
    value: str,
    top: int,
    label: Callable[[pd.DataFrame], Sequence[str]],
) -> None:
    part = tidy.sort_values(value, ascending=False, kind="stable")[:top]
    labels = list(label(part))
    # At numbered places: by name, plotly would draw two that look alike as one.
    places = list(range(len(part)))
    figure.add_bar(
        x=part[value].tolist(),
        y=places,
        orientation="h",
        marker_color=COLOURS[0],
        hovertext=labels,
        hovertemplate="%{hovertext}: %{x:,.4~g}<extra></extra>",
    )
    figure.update_xaxes(rangemode="tozero")
    _named(figure, labels)


def _named(figure: go.Figure, labels: Sequence[str]) -> None:
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=list(labels),
        autorange="reversed",
        automargin=True,
        showgrid=False,
    )
    figure.update_layout(height=max(240, 120 + BAR_HEIGHT * len(labels)))


def stacked(
    figure: go.Figure, labels: Sequence[str], parts: Mapping[str, tuple[Sequence[float], str]]
) -> None:
    """Draw bars that lie, one for each label, of parts: name -> values and colour."""
    for name, (values, colour) in parts.items():
        figure.add_bar(
            x=list(values),
            y=list(range(len(labels))),
            name=name,
            orientation="h",
            marker_color=colour,
            hovertext=list(labels),
            hovertemplate=f"%{{hovertext}}: %{{x:,}} {name}<extra></extra>",
        )
    figure.update_layout(showlegend=True)
    figure.update_xaxes(rangemode="tozero")
    _named(figure, labels)


def boxes(figure: go.Figure, tidy: pd.DataFrame, labels: Sequence[str], least: float) -> None:
    """Draw a box for each row, from its quantiles; no value is drawn below ``least``."""
    shown = tidy[["q10", "q25", "median", "q75", "q90"]].clip(lower=least)
    figure.add_box(
        y=list(range(len(tidy))),
        lowerfence=shown["q10"].tolist(),
        q1=shown["q25"].tolist(),
        median=shown["median"].tolist(),
        q3=shown["q75"].tolist(),
        upperfence=shown["q90"].tolist(),
        orientation="h",
        marker_color=COLOURS[0],
        hovertext=list(labels),
        name="",
        showlegend=False,
    )
    _named(figure, labels)


def matrix(
    figure: go.Figure, tidy: pd.DataFrame, row: str, column: str, value: str, top: int, nothing: str
) -> go.Figure:
    """Draw who to whom as a map of the names that are there most, in rows or in columns."""
    if tidy.empty:
        return without_messages(figure, nothing)
    table = tidy.groupby([row, column])[value].sum()
    both = pd.concat([table.groupby(name).sum() for name in (row, column)])
    names = both.groupby(level=0).sum().sort_values(ascending=False, kind="stable").index[:top]
    shown = table.unstack(fill_value=0).reindex(index=names, columns=names, fill_value=0)
    labels = [as_label(name) for name in names]
    hover = [[f"{one} → {other}" for other in labels] for one in labels]
    figure.add_heatmap(
        z=shown.to_numpy().tolist(),
        colorscale=SCALE,
        text=hover,
        hovertemplate="%{text}: %{z:,}<extra></extra>",
        xgap=1,
        ygap=1,
    )
    ticks = {"tickvals": list(range(len(labels))), "ticktext": labels, "showgrid": False}
    figure.update_xaxes(**ticks, automargin=True)
    figure.update_yaxes(**ticks, automargin=True, autorange="reversed")
    figure.update_layout(height=max(280, 180 + BAR_HEIGHT * len(labels)))
    return figure
