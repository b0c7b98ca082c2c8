"""Figures of who is active when: see `chatkit.stats.active_authors` and its neighbours."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import (
    COLOURS,
    SCALE,
    as_label,
    bars,
    check,
    heat_maps,
    lines,
    new_figure,
    without_messages,
)

__all__ = ["authors_per_period", "longest_streaks", "retention_map"]

MOST_COHORTS = 36


def authors_per_period(tidy: pd.DataFrame, *, top: int = 7) -> go.Figure:
    """Return a figure of the active authors, new ones and returning ones; or of each channel.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.active_authors` returns.
    top : int, default 7
        By channel: show so many of those with most authors, at least 1; the others are not shown,
        since authors can't be added up.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars, or areas where there are many; by channel, lines. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `active_authors`, or ``top`` is below 1.
    """
    check(tidy, ["period", "authors", "new", "returning"], "active_authors", top)
    figure = new_figure("Active authors")
    if not tidy["authors"].sum():
        return without_messages(figure)
    if "channel" in tidy.columns:
        return lines(figure, tidy, "period", "authors", top)
    for colour, name in zip(COLOURS, ("returning", "new"), strict=False):
        figure.add_bar(
            x=tidy["period"],
            y=tidy[name],
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="%{x|%d %b %Y}<br>%{fullData.name}: %{y:,}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.05, height=360)
    figure.update_xaxes(type="date", showgrid=False)
    return figure


def retention_map(tidy: pd.DataFrame, *, top: int = 3) -> go.Figure:
    """Return a heat map of how many of each cohort are still there, period by period.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.retention` returns.
    top : int, default 3
        By channel: show so many in which most authors began, at least 1; the others are not shown.

    Returns
    -------
    plotly.graph_objects.Figure
        The newest 36 cohorts, the oldest on top; age 0 is left out, since all are there then.
        Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `retention`, or ``top`` is below 1.
    """
    check(tidy, ["cohort", "age", "began", "active", "share"], "retention", top)
    figure = new_figure("Of those who began, so many wrote again so many periods later")
    if not tidy["began"].sum():
        return without_messages(figure)

    def draw(part: pd.DataFrame) -> go.Heatmap:
        newest = part["cohort"].drop_duplicates().sort_values()[-MOST_COHORTS:]
        part = part[part["cohort"].isin(newest)]
        shape = {"index": "cohort", "columns": "age"}
        grid = part.pivot(**shape, values="share")
        ages = range(1, max(2, int(part["age"].max()) + 1))
        began = part[part["age"] == 0].set_index("cohort")["began"].reindex(grid.index)
        return go.Heatmap(
            z=grid.reindex(columns=ages).to_numpy(dtype="float64"),
            x=list(ages),
            # Two blanks, that plotly takes them for names and not for dates.
            y=[
                f"{at:%Y-%m-%d} ({count:,})"
                for at, count in zip(grid.index, began.tolist(), strict=True)
            ],
            colorscale=SCALE,
            zmin=0,
            xgap=1,
            ygap=1,
            colorbar={"tickformat": ".0%", "thickness": 12, "outlinewidth": 0},
            hovertemplate="began %{y}<br>%{x} later: %{z:.1%}<extra></extra>",
        )

    heat_maps(figure, tidy.assign(messages=tidy["active"]), draw, top, height=420)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, automargin=True)
    figure.update_xaxes(showgrid=False)
    return figure


def longest_streaks(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of the longest runs of days in a row on which an author wrote.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.streaks` returns.
    top : int, default 20
        Show so many of the longest, at least 1; the others are not shown.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `streaks`, or ``top`` is below 1.
    """
    check(tidy, ["author", "longest", "first_day", "last_day"], "streaks", top)
    figure = new_figure("Most days in a row with a message")
    shown = tidy.sort_values("longest", ascending=False, kind="stable")[:top]
    figure = bars(figure, shown, "author", top, value="longest")
    if "channel" in shown.columns and len(shown):
        labels = [
            f"{as_label(author)} in {as_label(channel)}"
            for author, channel in zip(shown["author"], shown["channel"], strict=True)
        ]
        figure.update_yaxes(ticktext=labels)
        figure.update_traces(hovertext=labels)
    return figure
