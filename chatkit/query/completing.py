"""How a query may go on where somebody is writing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from chatkit.query.terms import KEYS, VALUES, written
from chatkit.query.tokens import Token, tokens
from chatkit.query.words import searchable

__all__ = ["Completion", "complete"]

_COMPLETIONS = 20


class Completion(msgspec.Struct, frozen=True):
    """What a search box may offer."""

    text: str
    """What to write instead of what is between start and end."""
    start: int
    """Where in the query that begins, from 0."""
    end: int
    """Where it ends, itself not included."""
    about: str = ""
    """What it means."""


def complete(
    text: str, cursor: int, *, channels: Sequence[str], people: Sequence[str]
) -> list[Completion]:
    """Return how the term at the cursor may go on, at most 20 ways, those that begin so first.

    Parameters
    ----------
    text : str
        A query, finished or not.
    cursor : int
        Where the cursor is in it, from 0 to its length.
    channels, people : sequence of str
        Names to offer, the likeliest first.

    Returns
    -------
    list of Completion
        Keys, or the values of the key at the cursor; none within a phrase or a date.
    """
    token = next((one for one in tokens(text) if one.key_at <= cursor <= one.end), None)
    if token is None:
        return _offered(KEYS, "", cursor, cursor)
    if token.key and cursor >= token.value_at:
        return _values(text, token, cursor, channels, people)
    if token.quoted and not token.key:
        return []
    # A minus that stands alone is a word, but is about to be more.
    start = token.key_at + (text[token.key_at : token.end] == "-")
    end = token.value_at if token.key else token.end
    if cursor <= start:  # before a term, not in it
        end = start = cursor
    return _offered(KEYS, text[start:cursor], start, end)


def _values(
    text: str, token: Token, cursor: int, channels: Sequence[str], people: Sequence[str]
) -> list[Completion]:
    known: dict[str, str] = VALUES.get(token.key, {})
    if token.key == "channel":
        known = dict.fromkeys(channels, "")
    elif token.key in ("from", "mentions"):
        known = {"me": "whoever asks", **dict.fromkeys(people, "")}
    partial = text[token.value_at : cursor].lstrip('"#@')
    # Without its end, a quote reaches over all that follows.
    end = token.end if token.closed else cursor
    return _offered(known, partial, token.value_at, end)


def _offered(known: Mapping[str, str], partial: str, start: int, end: int) -> list[Completion]:
    sought = searchable(partial)
    found = [name for name in known if sought in searchable(name)]
    found.sort(key=lambda name: not searchable(name).startswith(sought))
    colon = ":" if known is KEYS else ""
    return [
        Completion(f"{written(name)}{colon}", start, end, known[name])
        for name in found[:_COMPLETIONS]
    ]
