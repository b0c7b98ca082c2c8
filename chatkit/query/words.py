"""What is looked for in a text, and the names in it."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["mentions", "searchable"]

_MENTION = re.compile(r"(?<![\w@.])@(\w[\w.-]*)")


def searchable(body: str) -> str:
    """Return a text as it is searched: NFKC, case-folded."""
    if body.isascii():
        return body.lower()
    return unicodedata.normalize("NFKC", body).casefold()


def mentions(body: str) -> list[str]:
    """Return the names after ``@`` in a text, each once, in order."""
    if "@" not in body:
        return []
    return list(dict.fromkeys(name.rstrip(".-") for name in _MENTION.findall(body)))
