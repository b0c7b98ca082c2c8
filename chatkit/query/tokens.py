"""How a text falls into terms, also one that is not finished or makes no sense."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import msgspec

from chatkit.query.terms import KEYS

__all__ = ["Token", "nearest", "tokens"]

_ALIASES = {**{key: key for key in KEYS}, "in": "channel"}
_MEANT = {
    "author": "from",
    "by": "from",
    "date": "on",
    "room": "channel",
    "sender": "from",
    "since": "after",
    "until": "before",
    "user": "from",
}
"""Keys of other languages -> ours."""

_SPACE = re.compile(r"\s*")
_HEAD = re.compile(r"(-(?=\S))?(?:([A-Za-z]+):)?")
_QUOTED = re.compile(r'"((?:[^"]|"")*+)("?)')
_BARE = re.compile(r"\S*")


class Token(msgspec.Struct, frozen=True):
    """A term as it is written, whether that makes sense or not."""

    negated: bool
    key: str
    key_at: int
    value: str
    value_at: int
    end: int
    quoted: bool
    closed: bool


def tokens(text: str) -> Iterator[Token]:
    """Yield the terms of a text, from its start."""
    at = _end(_SPACE, text, 0)
    while at < len(text):
        head = _HEAD.match(text, at)
        assert head is not None  # it may be empty
        key = _key(head[2] or "", text[head.end() :])
        value_at = head.end() if key else at + len(head[1] or "")
        quoted = _QUOTED.match(text, value_at)
        end = quoted.end() if quoted else _end(_BARE, text, value_at)
        yield Token(
            negated=bool(head[1]),
            key=key,
            key_at=at + len(head[1] or ""),
            value=quoted[1].replace('""', '"') if quoted else text[value_at:end],
            value_at=value_at,
            end=end,
            quoted=quoted is not None,
            closed=quoted is None or bool(quoted[2]),
        )
        at = _end(_SPACE, text, end)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None  # it may be empty
    return found.end()


def _key(word: str, rest: str) -> str:
    """Return the key that a word before a colon is or was meant to be, else nothing."""
    name = word.lower()
    if name in _ALIASES:
        return _ALIASES[name]
    return name if nearest(name) and not rest.startswith("//") else ""


def nearest(name: str) -> str | None:
    """Return the key that was probably meant by a word that is none."""
    if name in _MEANT:
        return _MEANT[name]
    # Of two letters, one wrong is another word.
    long = [key for key in KEYS if len(key) > 2]
    return next(iter(difflib.get_close_matches(name, long, 1, 0.7)), None)
