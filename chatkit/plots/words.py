"""Figures of words: see `chatkit.stats.words`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from chatkit.plots.drawing import as_label, check, new_figure
from chatkit.plots.ranking import ranked

__all__ = ["telling_words", "top_word_pairs", "top_words"]


def top_words(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure with a bar for each of the most frequent words.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.words` returns.
    top : int, default 20
        Show so many words, at least 1, of each group.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars that lie; of several groups, those six with most words beside each other. Without words
        it says so.

    Raises
    ------
    InputError
        The frame is none of `words`, or ``top`` is below 1.
    """
    check(tidy, ["word", "times", "share"], "words", top)
    return ranked(new_figure("Words"), tidy, "word", "times", top, _words, "No words")


def top_word_pairs(tidy: pd.DataFrame, *, top: int = 20) -> go.Figure:
    """Return a figure with a bar for each of the most frequent pairs of words.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.word_pairs` returns.
    top : int, default 20
        Show so many pairs, at least 1, of each group.

    Returns
    -------
    plotly.graph_objects.Figure
        As that of `top_words`.

    Raises
    ------
    InputError
        The frame is none of `word_pairs`, or ``top`` is below 1.
    """
    check(tidy, ["word", "next_word", "times"], "word_pairs", top)
    return ranked(new_figure("Pairs of words"), tidy, "word", "times", top, _pairs, "No words")


def telling_words(tidy: pd.DataFrame, *, top: int = 10) -> go.Figure:
    """Return a figure of the words that are characteristic of each group, by z-score.

    Parameters
    ----------
    tidy : pandas.DataFrame
        What `chatkit.stats.characteristic_words` returns.
    top : int, default 10
        Show so many words, at least 1, of each group.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars of z-scores; the six groups that wrote such words most often beside each other.

    Raises
    ------
    InputError
        The frame is none of `characteristic_words`, or ``top`` is below 1.
    """
    check(tidy, ["word", "times", "z_score"], "characteristic_words", top)
    figure = new_figure("Characteristic words, by z-score")
    nothing = "No words that one group uses more than others"
    return ranked(figure, tidy, "word", "z_score", top, _words, nothing, weight="times")


def _words(part: pd.DataFrame) -> Sequence[str]:
    return [as_label(word) for word in part["word"]]


def _pairs(part: pd.DataFrame) -> Sequence[str]:
    return [
        as_label(f"{one} {two}") for one, two in zip(part["word"], part["next_word"], strict=True)
    ]
