"""A figure of the numbers that sum a history up: see `chatkit.stats.summary`."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import COLOURS, bars, check, new_figure, without_messages

__all__ = ["numbers"]

_SHOWN = {
    "messages": "messages",
    "authors": "authors",
    "channels": "channels",
    "mean_per_day": "messages a day",
    "on_busiest_day": "on the busiest day",
    "replies": "replies",
    "by_bots": "by bots",
    "edited": "edited",
    "deleted": "deleted",
}


def numbers(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of the numbers that sum up a history, or of the messages of each channel.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.summary` returns.
    top : int, default 20
        Show so many channels, at least 1; the others are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        The numbers as numbers; by channel, bars. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `summary`, or ``top`` is below 1.
    """
    check(tidy, _SHOWN, "summary", top)
    if "channel" in tidy.columns:
        return bars(new_figure("Messages per channel"), tidy, "channel", top)
    figure = new_figure("All in numbers")
    if not tidy["messages"].sum():
        return without_messages(figure)
    for place, (name, label) in enumerate(_SHOWN.items()):
        row, column = divmod(place, 3)
        figure.add_trace(
            go.Indicator(
                mode="number",
                value=float(tidy[name].iloc[0]),
                title={"text": label, "font": {"size": 13}},
                number={
                    "font": {"size": 30, "color": COLOURS[0]},
                    "valueformat": ",.1f" if name == "mean_per_day" else ",d",
                },
                domain={
                    "x": [column / 3, (column + 1) / 3],
                    "y": [1 - (row + 1) / 3, 1 - row / 3 - 0.04],
                },
            )
        )
    figure.update_layout(height=360)
    return figure
