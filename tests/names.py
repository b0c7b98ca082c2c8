"""Names that nobody else has, on servers that are shared."""

from __future__ import annotations

import uuid

from chatkit.settings import Settings

__all__ = ["with_own_names"]


def with_own_names(settings: Settings, word: str = "t") -> Settings:
    """Return settings with topics and a database that nobody else has.

    Parameters
    ----------
    settings : Settings
        Where the servers are.
    word : str, default "t"
        What the names begin with.
    """
    name = f"{word}{uuid.uuid4().hex[:8]}"
    return settings.replace(
        topic_prefix=f"{name}.chat.", system_prefix=f"{name}.chatkit.", database=name
    )
