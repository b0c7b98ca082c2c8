"""Figures of when it is written: see `chatkit.stats.weekday_hours` and `chatkit.stats.calendar`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import SCALE, check, heat_maps, new_figure, without_messages

__all__ = ["calendar_map", "weekday_hour_map"]

_WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
MOST_YEARS = 12


def weekday_hour_map(tidy: pd.DataFrame, *, top: int = 4) -> go.Figure:
    """Return a heat map of weekdays and hours; by channel, one for each of the busiest.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.weekday_hours` returns.
    top : int, default 4
        Show so many of the busiest channels, at least 1; the others are not shown.

    Returns
    -------
    plotly.graph_objects.Figure
        Monday is on top. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `weekday_hours`, or ``top`` is below 1.
    """
    check(tidy, ["weekday", "hour", "messages"], "weekday_hours", top)
    figure = new_figure("Messages by weekday and hour")
    if not tidy["messages"].sum():
        return without_messages(figure)

    def draw(part: pd.DataFrame) -> go.Heatmap:
        grid = part.pivot_table(
            index="weekday", columns="hour", values="messages", aggfunc="sum", fill_value=0
        ).reindex(index=range(7), columns=range(24), fill_value=0)
        return go.Heatmap(
            z=grid.to_numpy(),
            x=list(range(24)),
            y=_WEEKDAYS,
            colorscale=SCALE,
            zmin=0,
            xgap=1,
            ygap=1,
            showscale=False,
            hovertemplate="%{y} %{x}:00<br>%{z:,} messages<extra></extra>",
        )

    heat_maps(figure, tidy, draw, top, height=240)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False, dtick=3, ticksuffix=":00")
    return figure


def calendar_map(tidy: pd.DataFrame) -> go.Figure:
    """Return calendars, one for each year, the newest on top, each day the darker the busier.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.calendar` returns; channels are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        The newest 12 years that have messages; the title says if there are more. Without messages
        it says so.

    Raises
    ------
    InputError
        The frame is none of `calendar`.
    """
    check(tidy, ["day", "year", "week", "weekday", "messages"], "calendar")
    figure = new_figure("Messages per day")
    if not tidy["messages"].sum():
        return without_messages(figure)
    whole = tidy.groupby(["day", "year", "week", "weekday"], as_index=False)["messages"].sum()
    busy = whole.groupby("year")["messages"].sum()
    every = [int(year) for year in sorted(busy[busy > 0].index, reverse=True)]
    years = every[:MOST_YEARS]
    if len(every) > len(years):
        figure.update_layout(title_text=f"Messages per day, the newest {MOST_YEARS} years")
    most = float(whole["messages"].max())

    def draw(part: pd.DataFrame) -> go.Heatmap:
        place = part["weekday"].to_numpy(), part["week"].to_numpy()
        grid, days = np.full((7, 54), np.nan), np.full((7, 54), "", dtype=object)
        grid[place] = part["messages"]
        days[place] = part["day"].dt.strftime("%a %d %b %Y")
        return go.Heatmap(
            z=grid,
            x=list(range(54)),
            y=_WEEKDAYS,
            text=days,
            colorscale=SCALE,
            zmin=0,
            zmax=most,
            xgap=1,
            ygap=1,
            showscale=False,
            hovertemplate="%{text}<br>%{z:,} messages<extra></extra>",
        )

    parts = [whole[whole["year"] == year] for year in years]
    heat_maps(figure, parts, draw, len(years), height=130, labels=[str(year) for year in years])
    figure.update_yaxes(autorange="reversed", showgrid=False, dtick=2)
    figure.update_xaxes(showgrid=False, showticklabels=False)
    return figure
