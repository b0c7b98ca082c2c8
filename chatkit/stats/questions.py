"""Questions, and which of them were answered, by whom and how soon.

A question is a message of a person whose text, code and links left out, has a question mark at the
end of a sentence: after a word, and before a space, the end, or other marks that one of these
follows; *what is it ?* at the end of a line is one too. Question marks of Chinese, Japanese and
Arabic count as well.

It is answered if another author's message has a reply link to it, whenever that came. Where no
message has, it counts as answered if another person wrote in the channel within some minutes, and
not as a reply to something else: a rule of thumb, better in calm channels than in busy ones. Which
of the two it was is told. Programs ask nothing, and answer by reply links alone.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from chatkit.errors import InputError
from chatkit.stats.counting import codes_of, in_order, ms_of, times
from chatkit.stats.quantiles import quantiles
from chatkit.stats.ranking import group_by
from chatkit.stats.texts import having, one_array, plain_text, strings

__all__ = ["question_list", "questions"]

Numbers = np.ndarray[Any, np.dtype[Any]]

_MARKS = "?？؟"
# Each part gives nothing back once it matched, so that no text takes long.
_ASKED = re.compile(
    r"(?<=\w)[^\w\s?？؟]*+(?:[?؟][^\w\s]*+(?!\S)|？|[^\S\n]\?[^\w\s]*+[^\S\n]*+(?:\n|\Z))"
)


def questions(frame: pd.DataFrame, *, minutes: float = 60, by: str | None = None) -> pd.DataFrame:
    """Return how many questions there are and how many were answered: one row, or one per group.

    What a question and an answer is, `question_list` says.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    minutes : float, default 60
        Within how many the next message of another person answers, at least 0; with 0 reply links
        alone do.
    by : str or None, default None
        ``"channel"`` or ``"author"`` who asked: one row for each that has a message, by name. None:
        one row, also without messages.

    Returns
    -------
    pandas.DataFrame
        ``channel`` or ``author`` (str), only if asked for; ``messages`` of people, ``questions``,
        ``answered``, of these ``by_reply`` link and ``by_next`` message in time (int64),
        ``share_questions`` of the messages, ``share_answered`` of the questions,
        ``median_seconds`` from question to answer (float64, NaN where there are none).

    Raises
    ------
    InputError
        The frame lacks a column of a history, or an argument is none of the above.
    """
    messages, asked, how, answers = _answers(frame, minutes)
    people = ~messages["bot"].to_numpy(dtype=bool)
    groups = group_by(messages, by, ("channel", "author"))
    length = len(groups)

    def count(codes: Numbers) -> Numbers:
        return np.bincount(codes, minlength=length).astype("int64")

    def share(part: Numbers, whole: Numbers) -> Numbers:
        none = np.full(length, np.nan)
        found: Numbers = np.divide(part, whole, out=none, where=whole > 0)
        return found

    codes = groups.codes[asked]
    total, all_asked, answered = count(groups.codes[people]), count(codes), count(codes[how > 0])
    waited = _waited(messages, asked, answers)
    return pd.DataFrame(
        {
            **groups.column(np.arange(length)),
            "messages": total,
            "questions": all_asked,
            "answered": answered,
            "by_reply": count(codes[how == 1]),
            "by_next": count(codes[how == 2]),
            "share_questions": share(all_asked, total),
            "share_answered": share(answered, all_asked),
            "median_seconds": quantiles(codes[how > 0], waited[how > 0], length)["median"] / 1000,
        }
    )


def question_list(frame: pd.DataFrame, *, minutes: float = 60) -> pd.DataFrame:
    """Return one row per question, in the archive's order, and what answered it.

    A question is a message of a person with a question mark at the end of a sentence, outside code
    and links. The first message of another author with a reply link to it answers it; where there
    is none, the first message of another person in the channel after it that is no reply, if it
    came within the minutes. Programs ask nothing, and answer by reply links alone.

    Parameters
    ----------
    frame, minutes
        As `questions` takes them.

    Returns
    -------
    pandas.DataFrame
        ``id`` of the question, ``channel``, ``author`` (str), ``placed_at`` (datetime64[ms, zone]),
        ``body`` (str), ``how``: ``"reply"``, ``"next"`` or missing where there is no answer,
        ``answer``: its id, ``answered_by`` (str), ``answered_at`` (datetime64[ms, zone]),
        ``seconds`` from the question to it (float64).

    Raises
    ------
    InputError
        See `questions`.
    """
    messages, asked, how, answers = _answers(frame, minutes)
    table = messages.iloc[asked][["id", "channel", "author", "placed_at", "body"]]
    table = table.reset_index(drop=True)
    there = pd.Series(how > 0, dtype=bool)
    if not len(table):
        answering = messages.iloc[:0]
    else:
        answering = messages.iloc[np.where(how > 0, answers, 0)]
    answering = answering.reset_index(drop=True)
    ways = pd.Series(np.array([None, "reply", "next"], dtype=object)[how])
    placed = ms_of(answering["placed_at"])
    placed[how == 0] = np.datetime64("NaT").astype("int64")
    return table.assign(
        how=ways.astype("str"),
        answer=answering["id"].where(there).astype("str"),
        answered_by=answering["author"].where(there).astype("str"),
        answered_at=times(placed, messages["placed_at"]),
        seconds=np.where(how > 0, _waited(messages, asked, answers) / 1000, np.nan),
    )


def _answers(frame: pd.DataFrame, minutes: float) -> tuple[pd.DataFrame, Numbers, Numbers, Numbers]:
    """Return messages in order, rows of questions, how these were answered, and by which rows.

    How is 0: not at all, 1: by a reply link, 2: by the next message.
    """
    if not minutes >= 0:
        raise InputError(f"minutes must be at least 0, not {minutes}")
    messages = in_order(frame, ["body", "reply_to"])
    asked = _asked(messages)
    authors, _ = codes_of(messages["author"])
    replies = _first_replies(messages, asked, authors)
    following = _next_by_others(messages, asked, authors)
    placed = ms_of(messages["placed_at"])
    soon = following >= 0
    soon &= placed[following] - placed[asked] <= minutes * 60_000
    if not minutes:
        soon[:] = False
    how = np.where(replies >= 0, 1, np.where(soon, 2, 0))
    return messages, asked, how, np.where(replies >= 0, replies, following)


def _waited(messages: pd.DataFrame, asked: Numbers, answers: Numbers) -> Numbers:
    """Return the ms from each question to its answer; any number where there is none."""
    placed = ms_of(messages["placed_at"])
    waited: Numbers = placed[answers] - placed[asked]
    return waited


def _asked(messages: pd.DataFrame) -> Numbers:
    """Return which rows are questions of people."""
    texts = one_array(messages["body"])
    marked = having(texts, *_MARKS)
    marked = marked[~messages["bot"].to_numpy(dtype=bool)[marked]]
    asks = [_ASKED.search(plain_text(text)) is not None for text in strings(texts, marked)]
    found: Numbers = marked[np.asarray(asks, dtype=bool)]
    return found


def _first_replies(messages: pd.DataFrame, asked: Numbers, authors: Numbers) -> Numbers:
    """Return the first later row by another author that replies to each question, -1: none."""
    rows = np.flatnonzero(messages["reply_to"].notna().to_numpy(dtype=bool))
    targets = pd.Index(messages["id"].iloc[asked]).get_indexer(messages["reply_to"].iloc[rows])
    found = targets >= 0
    rows, targets = rows[found], targets[found]
    fits = (authors[rows] != authors[asked[targets]]) & (rows > asked[targets])
    first = np.full(len(asked), len(messages))
    np.minimum.at(first, targets[fits], rows[fits])
    return np.where(first < len(messages), first, -1)


def _next_by_others(messages: pd.DataFrame, asked: Numbers, authors: Numbers) -> Numbers:
    """Return the first later row of another person in the channel that is no reply, -1: none."""
    channels, _ = codes_of(messages["channel"])
    bots = messages["bot"].to_numpy(dtype=bool)
    able = np.flatnonzero(~bots & messages["reply_to"].isna().to_numpy(dtype=bool))
    # By channel and, within it, in order; a question looks from where it stands or would.
    able = able[np.argsort(channels[able], kind="stable")]
    count = len(messages) + 1
    at = np.searchsorted(channels[able] * count + able, channels[asked] * count + asked, "right")
    # Where a run of messages by one author ends, another's begins, or another channel.
    changes = np.flatnonzero((np.diff(authors[able]) != 0) | (np.diff(channels[able]) != 0))
    ends = np.append(changes + 1, len(able))
    after_run = ends[np.searchsorted(ends, at, "right").clip(max=len(ends) - 1)]
    padded = np.append(able, -1)
    first = padded[np.minimum(at, len(able))]
    same = (first >= 0) & (authors[first] == authors[asked]) & (channels[first] == channels[asked])
    place = np.where(same, after_run, np.minimum(at, len(able)))
    found = padded[place]
    there = (found >= 0) & (channels[found] == channels[asked])
    return np.where(there, found, -1)
