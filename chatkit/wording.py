"""How numbers are told to people. Pure."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, word: str) -> str:
    """Return a number and its word, such as ``1 message`` or ``1,382 messages``."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")
