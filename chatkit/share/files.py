"""Files, and the names under which they are shown and saved."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path

import msgspec

from chatkit.errors import InputError
from chatkit.message import ATTACHMENT_LIMIT, Attachment
from chatkit.share.kinds import ADVICE, ANY_TYPE, PICTURE_TYPES
from chatkit.share.pictures import NO_SVG, is_svg, pack_picture, picture_type

__all__ = ["from_file", "pack_file", "plain_name"]


def from_file(name: str, data: bytes) -> Attachment:
    """Return a file as an attachment; its type is told by its bytes if it is a picture.

    Parameters
    ----------
    name : str
        Its name; folders in it are left out.
    data : bytes
        What is in it.

    Raises
    ------
    InputError
        It is a drawing that could carry scripts.
    """
    guessed = mimetypes.guess_type(name)[0] or ANY_TYPE
    if guessed == "image/svg+xml" or is_svg(data):
        raise InputError(NO_SVG)
    name = plain_name(name)
    if picture_type(data) is not None:
        return msgspec.structs.replace(pack_picture(data), name=name)
    mime = ANY_TYPE if guessed in PICTURE_TYPES else guessed
    return Attachment(name=name, type=mime, data=data)


def pack_file(path: Path) -> Attachment:
    """Return the file at a path as an attachment.

    Raises
    ------
    InputError
        It is not there, can't be read, is too large, or could carry scripts.
    """
    try:
        if not path.is_file():
            problem = "is a folder, or no ordinary file" if path.exists() else "does not exist"
            raise InputError(f"{path} {problem}: name a file to share")
        size = path.stat().st_size
        if size > ATTACHMENT_LIMIT:
            raise InputError(
                f"{path} has {size:,} bytes; the limit is {ATTACHMENT_LIMIT:,}. {ADVICE['file']}"
            )
        with path.open("rb") as file:
            data = file.read(ATTACHMENT_LIMIT + 1)  # it may have grown
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} can't be read: {error}") from error
    return from_file(path.name, data)


def plain_name(name: str) -> str:
    """Return a file name as it can be shown and saved: no folder, nothing invisible."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(char for char in last if char.isprintable()).strip().lstrip(".") or "file"
