"""Figures of links: see `chatkit.stats.links`."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import (
    COLOURS,
    OTHER_COLOUR,
    as_label,
    as_other,
    check,
    new_figure,
    without_messages,
)
from chatkit.plots.ranking import ranked

__all__ = ["links_per_month", "top_domains"]


def top_domains(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure with a bar for each of the domains that most links lead to.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.link_domains` returns.
    top : int, default 20
        Show so many domains, at least 1, of each group.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie; of several groups, those six with most links beside each other. Without links
        it says so.

    Raises
    ------
    InputError
        The frame is none of `link_domains`, or ``top`` is below 1.
    """
    check(tidy, ["domain", "links"], "link_domains", top)
    return ranked(
        new_figure("Links by domain"),
        tidy,
        "domain",
        "links",
        top,
        lambda part: [as_label(name) for name in part["domain"]],
        "No links",
    )


def links_per_month(tidy: pd.DataFrame, *, top: int = 6) -> go.Figure:
    """Return a figure of the links per month, domains one on top of the other.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.links` returns.
    top : int, default 6
        Show so many of the most frequent domains, at least 1; the others are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        Stacked bars, months as in the zone of the frame. Without links it says so.

    Raises
    ------
    InputError
        The frame is none of `links`, or ``top`` is below 1.
    """
    check(tidy, ["placed_at", "domain", "link"], "links", top)
    figure = new_figure("Links per month")
    if tidy.empty:
        return without_messages(figure, "No links")
    months = tidy["placed_at"].dt.tz_localize(None).to_numpy().astype("datetime64[M]")
    table = pd.crosstab(months, tidy["domain"].to_numpy())
    names = table.sum().sort_values(ascending=False, kind="stable").index
    parts = [
        (as_label(name), COLOURS[number % len(COLOURS)], table[name])
        for number, name in enumerate(names[:top])
    ]
    if len(names) > top:
        rest = table[names[top:]].sum(axis="columns")
        parts.append((as_other(len(names) - top), OTHER_COLOUR, rest))
    for name, colour, values in parts:
        figure.add_bar(
            x=values.index,
            y=values.tolist(),
            name=name,
            marker_color=colour,
            hovertemplate="%{x|%b %Y}<br>%{fullData.name}: %{y:,}<extra></extra>",
        )
    figure.update_layout(barmode="stack", showlegend=True, height=380)
    return figure
