"""PNG, JPEG, GIF and WebP, told and measured by their bytes without unpacking them."""

from __future__ import annotations

import struct

from chatkit.errors import InputError
from chatkit.message import Attachment
from chatkit.share.kinds import DECODED_LIMIT, PICTURE_TYPES

__all__ = ["NO_SVG", "is_svg", "measure_picture", "pack_picture", "picture_type"]

NO_SVG = (
    "SVG is not shared, since it can carry scripts. Save it as PNG, or share a plotly figure, "
    "which stays sharp too"
)
"""Why a drawing is refused, and what to do."""


def pack_picture(data: bytes, name: str = "picture") -> Attachment:
    """Return the bytes of a picture as an attachment.

    Parameters
    ----------
    data : bytes
        Of a PNG, JPEG, GIF or WebP.
    name : str, default "picture"
        File name without its ending.

    Raises
    ------
    InputError
        They are no picture that is taken, are cut off, or are of too many pixels.
    """
    if is_svg(data):
        raise InputError(NO_SVG)
    mime = picture_type(data)
    if mime is None:
        raise InputError(
            "These bytes are no PNG, JPEG, GIF or WebP. To share any other file, pass "
            "pathlib.Path(...)"
        )
    measure_picture(data, mime)
    return Attachment(name=name + PICTURE_TYPES[mime], type=mime, data=data)


def picture_type(data: bytes) -> str | None:
    """Return the MIME type that bytes begin as, or None if they are no picture that is taken."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def is_svg(data: bytes) -> bool:
    """Return whether bytes are a drawing that could carry scripts."""
    start = data[:4000].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    while start.startswith((b"<?", b"<!--", b"<!doctype svg")):
        end = b"-->" if start.startswith(b"<!--") else b">"
        start = start.partition(end)[2].lstrip()
    return start.startswith(b"<svg")


def measure_picture(data: bytes, mime: str) -> tuple[int, int]:
    """Return width and height of a picture in pixels, if it may be shown.

    Parameters
    ----------
    data : bytes
        Of the picture, from anybody.
    mime : str
        The MIME type that it claims to have.

    Raises
    ------
    InputError
        It is of another type, is cut off, or is of too many pixels or of none.
    """
    actual = picture_type(data)
    if actual != mime:
        raise InputError(f"It says that it is {mime[:80]} but is {actual or 'no picture'}")
    size = {
        "image/png": _measure_png,
        "image/jpeg": _measure_jpeg,
        "image/gif": _measure_gif,
        "image/webp": _measure_webp,
    }[mime]
    try:
        width, height = size(data)
    except (IndexError, struct.error) as error:
        raise InputError("The picture is damaged, or cut off. Save it again") from error
    if width < 1 or height < 1 or width * height * 4 > DECODED_LIMIT:
        raise InputError(
            f"The picture has {width:,} x {height:,} pixels; there may be "
            f"{DECODED_LIMIT // 4:,}, and must be one. Make it smaller"
        )
    return width, height


def _measure_png(data: bytes) -> tuple[int, int]:
    length, name, width, height = struct.unpack_from(">I4sII", data, 8)
    at = 8
    if name != b"IHDR" or length != 13:
        raise IndexError
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        at += 12 + length
    if at > len(data):
        raise IndexError
    return width, height


def _measure_jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise IndexError
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker in {0xD9, 0xDA}:  # its end, or its pixels, before its size
            raise IndexError
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _measure_gif(data: bytes) -> tuple[int, int]:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + _colours(flags)
    while data[at] != 0x3B:
        if data[at] == 0x2C:  # a picture, which may be larger than the screen that was announced
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, at + 1)
            width, height = max(width, left + wide), max(height, top + high)
            at += 11 + _colours(flags)
        elif data[at] == 0x21:
            at += 2
        else:
            raise IndexError
        while data[at]:
            at += 1 + data[at]
        at += 1
    return width, height


def _colours(flags: int) -> int:
    """Return the bytes of the table of colours that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _measure_webp(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise IndexError
    match data[12:16]:
        case b"VP8X":
            return (
                int.from_bytes(data[24:27], "little") + 1,
                int.from_bytes(data[27:30], "little") + 1,
            )
        case b"VP8L" if data[20] == 0x2F:
            bits = struct.unpack_from("<I", data, 21)[0]
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise IndexError
