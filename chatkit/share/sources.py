"""Source code, and other text."""

from __future__ import annotations

import re

import msgspec

from chatkit.errors import InputError
from chatkit.message import Attachment
from chatkit.share.kinds import CODE_TYPE

__all__ = ["Source", "pack_source", "read_text"]


class Source(msgspec.Struct, frozen=True):
    """Source code to share."""

    code: str
    """The text."""
    language: str = "python"
    """What it is written in: 1-32 of a-z, 0-9, ``+``, ``#``, ``.`` and ``-``."""


def pack_source(source: Source) -> Attachment:
    """Return source code as an attachment.

    Raises
    ------
    InputError
        It is empty or no valid Unicode, or its language can't be one.
    """
    if not re.fullmatch(r"[a-z0-9+#.-]{1,32}", source.language):
        raise InputError(
            f"{source.language[:40]!r} can't be a language: use 1-32 of a-z, 0-9, '+', '#', '.' "
            "and '-', such as 'python'"
        )
    if not source.code or source.code.isspace():
        raise InputError("There is no code to share")
    name = "cell.py" if source.language == "python" else "cell.txt"
    try:
        data = source.code.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"The code is not valid Unicode at character {error.start}") from error
    return Attachment(name=name, type=CODE_TYPE + source.language, data=data)


def read_text(data: bytes) -> str:
    """Return the text that bytes from anybody are.

    Raises
    ------
    InputError
        They are no UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"It is no text in UTF-8, at byte {error.start}") from error
