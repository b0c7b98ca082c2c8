"""Words, pairs of words, and those that are characteristic of a channel or an author.

What a word is, `chatkit.stats.texts` says.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from chatkit.errors import InputError
from chatkit.stats.counting import each_once
from chatkit.stats.ranking import Counts, check_top, counted, group_by, ranks
from chatkit.stats.stop_words import STOP_WORDS
from chatkit.stats.texts import words_of

__all__ = ["characteristic_words", "word_pairs", "words"]


def words(
    frame: pd.DataFrame,
    *,
    by: str | None = None,
    stop_words: Iterable[str] = STOP_WORDS,
    top: int | None = None,
) -> pd.DataFrame:
    """Return one row per word, the most frequent first, those equally frequent by letters.

    A word is a run of letters, marks, digits and ``_`` of any script, with a letter in it and
    apostrophes within; in lower case and NFKC. Code and links are left out.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    by : str or None, default None
        ``"channel"``, ``"author"`` or ``"bot"``: count for each of them. None: all together.
    stop_words : iterable of str, default STOP_WORDS
        Words that don't count; `chatkit.stats` has ``ENGLISH``, ``GERMAN`` and both.
    top : int or None, default None
        At most so many words, of each group, at least 1. None: all.

    Returns
    -------
    pandas.DataFrame
        ``channel`` or ``author`` (str) or ``bot`` (bool), only if asked for, in order; ``word``
        (str), ``times`` it was written (int64), ``share`` of all words that count, of its group
        (float64).

    Raises
    ------
    InputError
        The frame lacks a column of a history, or an argument is none of the above.
    """
    check_top(top)
    messages = each_once(frame, ["body"])
    groups = group_by(messages, by)
    found = words_of(messages["body"], stop_words)
    counts = counted(groups.codes[found.texts], found.codes, len(groups), len(found.names))
    totals = np.bincount(counts.groups, weights=counts.times, minlength=len(groups))
    chosen = ranks(counts, counts.times, top)
    group, word, times = (values[chosen] for values in counts)
    return pd.DataFrame(
        {
            **groups.column(group),
            "word": found.names.take(word).to_pandas().astype("str"),
            "times": times,
            "share": times / totals[group],
        }
    )


def word_pairs(
    frame: pd.DataFrame,
    *,
    by: str | None = None,
    stop_words: Iterable[str] = STOP_WORDS,
    top: int | None = None,
) -> pd.DataFrame:
    """Return one row per pair of words, the most frequent first.

    A pair are two words of one message with nothing but spaces between them, neither of them a stop
    word: *hard disk*, but not *disk, hard*.

    Parameters
    ----------
    frame, by, stop_words, top
        As `words` takes them.

    Returns
    -------
    pandas.DataFrame
        ``channel``, ``author`` or ``bot``, only if asked for; ``word``, ``next_word`` (str),
        ``times`` (int64), ``share`` of all pairs of its group (float64). Pairs that are equally
        frequent come by letters.

    Raises
    ------
    InputError
        See `words`.
    """
    check_top(top)
    messages = each_once(frame, ["body"])
    groups = group_by(messages, by)
    found = words_of(messages["body"], stop_words, neighbours=True)
    width = max(1, len(found.names))
    second = np.flatnonzero(found.joined)
    pairs = found.codes[second - 1].astype("int64") * width + found.codes[second]
    group_of = groups.codes[found.texts[second]]
    if len(groups) > 1:
        known, pairs = np.unique(pairs, return_inverse=True)
        counts = counted(group_of, pairs, len(groups), len(known))
        counts = counts._replace(things=known[counts.things])
    else:
        counts = counted(group_of, pairs, 1, width * width)
    totals = np.bincount(counts.groups, weights=counts.times, minlength=len(groups))
    chosen = ranks(counts, counts.times, top)
    group, pair, times = (values[chosen] for values in counts)
    return pd.DataFrame(
        {
            **groups.column(group),
            "word": found.names.take(pair // width).to_pandas().astype("str"),
            "next_word": found.names.take(pair % width).to_pandas().astype("str"),
            "times": times,
            "share": times / totals[group],
        }
    )


def characteristic_words(
    frame: pd.DataFrame,
    *,
    by: str = "channel",
    stop_words: Iterable[str] = STOP_WORDS,
    top: int | None = 20,
    least: int = 2,
    prior: float = 100.0,
) -> pd.DataFrame:
    """Return the words that a channel or an author uses more than all others do.

    Each group is compared with all other groups together, by the log-odds ratio of a word with an
    informative Dirichlet prior, and its z-score: Monroe, Colaresi and Quinn, "Fightin' Words",
    Political Analysis 16(4), 2008. The prior knows each word as often as it is in all messages, so
    that neither rare nor everyday words win by chance. A z-score above some 2 is rarely chance.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    by : str, default "channel"
        ``"channel"``, ``"author"`` or ``"bot"``: what is compared.
    stop_words : iterable of str, default STOP_WORDS
        Words that don't count.
    top : int or None, default 20
        At most so many words of each group, at least 1. None: all.
    least : int, default 2
        Leave out words that a group has not used so often.
    prior : float, default 100.0
        For how many words the prior counts, > 0: the more, the more a group must say to differ.

    Returns
    -------
    pandas.DataFrame
        ``channel`` or ``author`` (str) or ``bot`` (bool), in order; ``word`` (str), ``times`` in
        this group, ``elsewhere``: times in all others (int64), ``log_odds``, how much more
        (float64, natural logarithm), ``z_score`` (float64), by which the words of a group come, the
        greatest first. Only words that are more frequent in the group than elsewhere: without
        another group there is none.

    Raises
    ------
    InputError
        See `words`; or ``by`` is None, or ``prior`` is not above 0.
    """
    check_top(top)
    if by is None:
        raise InputError("by must be 'channel', 'author' or 'bot': what is to be compared")
    if not prior > 0:
        raise InputError(f"prior must be above 0, not {prior}")
    messages = each_once(frame, ["body"])
    groups = group_by(messages, by)
    found = words_of(messages["body"], stop_words)
    counts = counted(groups.codes[found.texts], found.codes, len(groups), len(found.names))
    everywhere = np.bincount(found.codes, minlength=len(found.names)).astype("int64")
    totals = np.bincount(groups.codes[found.texts], minlength=len(groups)).astype("int64")
    here, all_here = counts.times, totals[counts.groups]
    there, all_there = everywhere[counts.things] - here, len(found.codes) - all_here
    # In whole numbers: more frequent here than there.
    more = (here >= least) & (here * all_there > there * all_here)
    counts = Counts(*(values[more] for values in counts))
    here, all_here, there, all_there = (
        values[more] for values in (here, all_here, there, all_there)
    )
    expected = prior * everywhere[counts.things] / max(1, len(found.codes))
    log_odds = _log_odds(here, all_here, expected, prior) - _log_odds(
        there, all_there, expected, prior
    )
    z_score = log_odds / np.sqrt(1 / (here + expected) + 1 / (there + expected))
    chosen = ranks(counts, z_score, top)
    return pd.DataFrame(
        {
            **groups.column(counts.groups[chosen]),
            "word": found.names.take(counts.things[chosen]).to_pandas().astype("str"),
            "times": here[chosen],
            "elsewhere": there[chosen],
            "log_odds": log_odds[chosen],
            "z_score": z_score[chosen],
        }
    )


def _log_odds(
    times: np.ndarray, total: np.ndarray, expected: np.ndarray, prior: float
) -> np.ndarray:
    odds: np.ndarray = np.log((times + expected) / (total + prior - times - expected))
    return odds
