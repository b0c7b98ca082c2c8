"""Figures of conversations and answers: see `chatkit.stats.conversations` and `responses`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import (
    COLOURS,
    as_label,
    bars,
    check,
    durations,
    new_figure,
    without_messages,
)

__all__ = [
    "answer_times",
    "conversation_lengths",
    "conversation_starters",
    "conversations_per_channel",
]


def conversation_lengths(tidy: pd.DataFrame) -> go.Figure:
    """Return a figure of how many messages conversations have, in steps of powers of two.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.conversations` returns.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `conversations`.
    """
    check(tidy, ["channel", "messages", "authors", "seconds"], "conversations")
    figure = new_figure("Conversations by their number of messages")
    if tidy.empty:
        return without_messages(figure)
    steps = np.frexp(tidy["messages"].to_numpy(dtype="float64"))[1] - 1
    for colour, label, chosen in (
        (COLOURS[0], "several authors", tidy["authors"] > 1),
        (COLOURS[1], "one author", tidy["authors"] == 1),
    ):
        counts = np.bincount(steps[chosen.to_numpy()], minlength=int(steps.max()) + 1)
        figure.add_bar(
            x=list(range(len(counts))),
            y=counts,
            name=label,
            marker_color=colour,
            hovertemplate="%{x} messages<br>%{y:,} conversations<extra></extra>",
        )
    labels = [
        "1" if step == 0 else f"{2**step:,}–{2 ** (step + 1) - 1:,}"
        for step in range(int(steps.max()) + 1)
    ]
    figure.update_xaxes(tickvals=list(range(len(labels))), ticktext=labels, showgrid=False)
    figure.update_layout(barmode="stack", bargap=0.1, height=360)
    return figure


def conversations_per_channel(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of the conversations of each channel.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.conversation_summary` returns by channel.
    top : int, default 20
        Show so many channels, at least 1; the others are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `conversation_summary`, or ``top`` is below 1.
    """
    check(tidy, ["conversations"], "conversation_summary", top)
    shown = tidy if "channel" in tidy.columns else tidy.assign(channel="all channels")
    shown = shown[shown["conversations"] > 0]
    return bars(new_figure("Conversations"), shown, "channel", top, value="conversations")


def conversation_starters(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of who began how many conversations.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.starters` returns; channels are added up.
    top : int, default 20
        Show so many authors, at least 1; the others are added up.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie. Without messages it says so.

    Raises
    ------
    InputError
        The frame is none of `starters`, or ``top`` is below 1.
    """
    check(tidy, ["author", "started", "joined"], "starters", top)
    whole = tidy.groupby("author", as_index=False, dropna=False)[["started"]].sum()
    return bars(new_figure("Who began conversations"), whole, "author", top, value="started")


def answer_times(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of how soon authors, or channels, answer, and of the spread.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.response_times` returns.
    top : int, default 20
        Show so many, those with most answers, at least 1; the others are not shown.

    Returns
    -------
    plotly.graph_objects.Figure
        A dot at the median, a line from a quarter to three quarters of the answers. Without answers
        it says so.

    Raises
    ------
    InputError
        The frame is none of `response_times`, or ``top`` is below 1.
    """
    needed = ["responses", "by_reply", "by_gap", "quarter_seconds", "median_seconds"]
    check(tidy, [*needed, "three_quarters_seconds"], "response_times", top)
    figure = new_figure("How soon answers come: half of them, and the middle half")
    shown = tidy[tidy["responses"] > 0]
    shown = shown.sort_values("responses", ascending=False, kind="stable")[:top]
    if shown.empty:
        return without_messages(figure, "No answers")
    by = next((name for name in ("author", "channel") if name in shown.columns), None)
    labels = ["all"] if by is None else [as_label(name) for name in shown[by]]
    # What takes no time has no place on a scale of powers.
    low, middle, high = (
        shown[name].clip(lower=0.5).to_numpy()
        for name in ("quarter_seconds", "median_seconds", "three_quarters_seconds")
    )
    counts = zip(shown["by_reply"], shown["by_gap"], strict=True)
    about = [
        f"{label}<br>{text}<br>{replies:,} by reply links, {gaps:,} by the gap"
        for label, text, (replies, gaps) in zip(
            labels, durations(shown["median_seconds"]), counts, strict=True
        )
    ]
    figure.add_scatter(
        x=middle,
        y=list(range(len(labels))),
        mode="markers",
        marker={"color": COLOURS[0], "size": 9},
        error_x={
            "type": "data",
            "array": high - middle,
            "arrayminus": middle - low,
            "color": COLOURS[0],
            "thickness": 1.5,
            "width": 3,
        },
        hovertext=about,
        hovertemplate="%{hovertext}<extra></extra>",
    )
    ticks = [1, 5, 15, 60, 180, 600, 1800, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=durations(ticks))
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=labels,
        range=[len(labels) - 0.5, -0.5],
        automargin=True,
        showgrid=False,
    )
    figure.update_layout(height=max(240, 120 + 22 * len(labels)), showlegend=False)
    return figure
