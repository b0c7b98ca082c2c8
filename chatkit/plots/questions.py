"""Figures of questions and answers: see `chatkit.stats.questions`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import (
    COLOURS,
    OTHER_COLOUR,
    check,
    durations,
    new_figure,
    without_messages,
)
from chatkit.plots.ranking import group_column, group_name, stacked

__all__ = ["answered_questions", "question_waits"]

BOUNDS = [60, 300, 900, 1800, 3600, 6 * 3600, 86_400, 7 * 86_400]
"""Seconds that part the bars of waiting times: a minute to a week."""


def answered_questions(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of how many questions were answered, and how.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.questions` returns.
    top : int, default 20
        Show so many groups, those with most questions, at least 1.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie, of three parts: by a reply, by the next message, not answered. Without
        questions it says so.

    Raises
    ------
    InputError
        The frame is none of `questions`, or ``top`` is below 1.
    """
    check(tidy, ["messages", "questions", "by_reply", "by_next"], "questions", top)
    figure = new_figure("Questions and answers")
    shown = tidy[tidy["questions"] > 0].sort_values("questions", ascending=False, kind="stable")
    if shown.empty:
        return without_messages(figure, "No questions")
    shown = shown[:top]
    group = group_column(tidy, "messages")
    labels = ["all"] if group is None else [group_name(name) for name in shown[group]]
    open_ones = shown["questions"] - shown["by_reply"] - shown["by_next"]
    parts = {
        "answered by a reply": (shown["by_reply"].tolist(), COLOURS[0]),
        "answered by the next message": (shown["by_next"].tolist(), COLOURS[5]),
        "not answered": (open_ones.tolist(), OTHER_COLOUR),
    }
    stacked(figure, labels, parts)
    figure.update_layout(barmode="stack")
    return figure


def question_waits(tidy: pd.DataFrame) -> go.Figure:
    """Return a figure of how long questions waited for their answers.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.question_list` returns.

    Returns
    -------
    plotly.graph_objects.Figure
        A bar for each span of time, of answers by reply and by the next message. Without answers it
        says so.

    Raises
    ------
    InputError
        The frame is none of `question_list`.
    """
    check(tidy, ["how", "seconds"], "question_list")
    figure = new_figure("How long questions waited")
    answered = tidy[tidy["how"].notna()]
    if answered.empty:
        return without_messages(figure, "No answers")
    ends = durations(BOUNDS)
    spans = [f"< {ends[0]}", *(f"< {end}" for end in ends[1:]), f"≥ {ends[-1]}"]
    labels = [span.replace("<", "&lt;") for span in spans]
    parts = {"reply": ("by a reply", COLOURS[0]), "next": ("by the next message", COLOURS[5])}
    for how, (name, colour) in parts.items():
        seconds = answered["seconds"][answered["how"] == how].to_numpy()
        counts = np.bincount(np.searchsorted(BOUNDS, seconds, "right"), minlength=len(labels))
        figure.add_bar(
            x=list(range(len(labels))),
            y=counts.tolist(),
            name=name,
            marker_color=colour,
            hovertext=labels,
            hovertemplate=f"%{{hovertext}}: %{{y:,}} {name}<extra></extra>",
        )
    figure.update_xaxes(tickvals=list(range(len(labels))), ticktext=labels, showgrid=False)
    figure.update_layout(barmode="stack", showlegend=True, height=380)
    return figure
