"""Figures of emoji and reactions: see `chatkit.stats.emoji_use`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import COLOURS, as_label, check, new_figure, without_messages
from chatkit.plots.ranking import group_column, matrix, ranked, stacked

__all__ = ["reaction_balance", "reaction_map", "top_emoji"]


def top_emoji(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure with a bar for each of the most frequent emoji.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.emoji_in_texts` or `chatkit.stats.reaction_emoji` returns.
    top : int, default 20
        Show so many emoji, at least 1, of each group.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie; of several groups, those six with most emoji beside each other. Without emoji
        it says so.

    Raises
    ------
    InputError
        The frame is none of these, or ``top`` is below 1.
    """
    check(tidy, ["emoji", "name", "times"], "emoji_in_texts", top)
    title = "Reactions" if "actors" in tidy.columns else "Emoji in texts"
    return ranked(new_figure(title), tidy, "emoji", "times", top, _named, "No emoji")


def reaction_balance(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure of the reactions that each person gave and received.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.reactions_per_author` returns; channels are added up.
    top : int, default 20
        Show so many of those who gave and received most, at least 1.

    Returns
    -------
    plotly.graph_objects.Figure
        Two bars for each person. Without reactions it says so.

    Raises
    ------
    InputError
        The frame is none of `reactions_per_author`, or ``top`` is below 1.
    """
    check(tidy, ["author", "given", "received"], "reactions_per_author", top)
    figure = new_figure("Reactions given and received")
    if tidy.empty:
        return without_messages(figure, "No reactions")
    sums = tidy.groupby("author")[["given", "received"]].sum()
    order = sums.sum(axis="columns").sort_values(ascending=False, kind="stable").index[:top]
    shown = sums.loc[order]
    labels = [as_label(name) for name in order]
    parts = {
        "received": (shown["received"].tolist(), COLOURS[0]),
        "given": (shown["given"].tolist(), COLOURS[1]),
    }
    stacked(figure, labels, parts)
    figure.update_layout(barmode="group")
    return figure


def reaction_map(tidy: pd.DataFrame, *, top: int = 15) -> go.Figure:
    """Return a map of who reacts to whom: a row for each who reacts, a column for each author.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.reaction_pairs` returns; channels are added up.
    top : int, default 15
        Show so many of those with most reactions, at least 1.

    Returns
    -------
    plotly.graph_objects.Figure
        A heat map. Without reactions it says so.

    Raises
    ------
    InputError
        The frame is none of `reaction_pairs`, or ``top`` is below 1.
    """
    check(tidy, ["actor", "author", "reactions"], "reaction_pairs", top)
    figure = new_figure("Who reacts to whom")
    return matrix(figure, tidy, "actor", "author", "reactions", top, "No reactions")


def _named(part: pd.DataFrame) -> Sequence[str]:
    beside = group_column(part, "emoji") is not None
    return [
        as_label(emoji if beside or pd.isna(name) else f"{emoji} {str(name).replace('_', ' ')}")
        for emoji, name in zip(part["emoji"], part["name"], strict=True)
    ]
