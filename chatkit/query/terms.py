"""What a query consists of, and how that is written."""

from __future__ import annotations

import re

import msgspec

__all__ = ["KEYS", "VALUES", "Term", "written"]

KEYS = {
    "channel": "in this channel",
    "from": "written by this person",
    "mentions": "names this person with an @",
    "before": "placed before this day, month or year",
    "after": "placed on or after this day, month or year",
    "on": "placed on this day, or in this month or year",
    "has": "holds such a thing",
    "is": "is of this kind",
    "source": "written in chat, or imported from this format",
}
"""Key -> what a message is that has it. ``in`` is ``channel``."""

VALUES = {
    "has": {
        "link": "a link to a page",
        "code": "code between backticks",
        "attachment": "a file",
        "image": "a picture",
        "reaction": "somebody's reaction",
        "mention": "somebody's name after an @",
    },
    "is": {
        "reply": "answers another message",
        "edited": "was edited",
        "pinned": "is pinned",
        "bot": "was written by a program",
    },
}
"""Key -> the values that it may have -> what they mean."""

_PLAIN = re.compile(r"\w[\w.-]*")
"""What can be written without quotes; of all that could, so much that people can read it."""


class Term(msgspec.Struct, frozen=True):
    """One thing that a query asks for."""

    key: str
    """One of `KEYS`; empty: a word or phrase."""
    value: str
    """What is asked for, without quotes."""
    negated: bool = False
    """Whether messages are wanted that do not have it."""

    def __str__(self) -> str:
        sign, key = "-" if self.negated else "", f"{self.key}:" if self.key else ""
        return f"{sign}{key}{written(self.value)}"


def written(value: str) -> str:
    """Return a value as it is written in a query, in quotes where it needs them."""
    return value if _PLAIN.fullmatch(value) else '"' + value.replace('"', '""') + '"'
