"""Emoji and their short names: ``:tada:`` and the like. Pure."""

from __future__ import annotations

import functools
import re

import emoji

__all__ = ["emojize", "names"]

SHORT = re.compile(r":([a-z0-9_+-]{1,64}):")


@functools.cache
def names() -> dict[str, str]:
    """Return short name -> emoji, of all that are fully qualified, sorted by name."""
    found = {}
    for character, data in emoji.EMOJI_DATA.items():
        if data["status"] > emoji.STATUS["fully_qualified"]:
            continue
        for name in (*data.get("alias", ()), data["en"]):
            found[name.strip(":").lower()] = character
    return dict(sorted(found.items()))


def emojize(text: str) -> str:
    """Return a text with the emoji themselves in place of their short names."""
    return SHORT.sub(lambda found: names().get(found[1], found[0]), text)
