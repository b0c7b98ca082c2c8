"""What a notebook holds -> attachments: whichever thing it is, it is packed by its kind."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from chatkit.errors import InputError
from chatkit.message import ATTACHMENT_LIMIT, NAME_LIMIT, Attachment
from chatkit.share.figures import pack_figure
from chatkit.share.files import pack_file, plain_name
from chatkit.share.kinds import ADVICE, kind_of
from chatkit.share.pictures import NO_SVG, pack_picture
from chatkit.share.shared import Shared
from chatkit.share.sources import Source, pack_source
from chatkit.share.tables import pack_frame

__all__ = ["to_attachment"]


def to_attachment(thing: Any, *, name: str | None = None) -> Attachment:
    """Return something of a notebook as an attachment.

    Parameters
    ----------
    thing : DataFrame, Series, figure, picture, Source, Path or Shared
        A DataFrame (a Series becomes one) as Arrow IPC stream: its index, dtypes, categories and
        time zones come back; columns of dtype object come back as what Arrow finds in them. A
        plotly figure as its JSON, one of matplotlib as PNG. A picture of PIL or
        IPython.display.Image, or the bytes of a PNG, JPEG, GIF or WebP. Of a Path the file.
    name : str, optional
        File name to show, 1-255 characters without folders. Default: one that fits.

    Returns
    -------
    Attachment
        With its bytes, at most 4 MiB.

    Raises
    ------
    InputError
        It can't be shared, or is too large; the text says what to do.
    """
    attachment = _pack(thing)
    if name is not None:
        if not 1 <= len(name) <= NAME_LIMIT or plain_name(name) != name:
            raise InputError(
                f"{name[:80]!r} can't be the name of an attachment: use 1-{NAME_LIMIT} printable "
                "characters, without folders and not beginning with a dot"
            )
        attachment = msgspec.structs.replace(attachment, name=name)
    if attachment.length > ATTACHMENT_LIMIT:
        raise InputError(
            f"{attachment.name} has {attachment.length:,} bytes; the limit is "
            f"{ATTACHMENT_LIMIT:,}. {ADVICE[kind_of(attachment.type)]}"
        )
    return attachment


def _pack(thing: Any) -> Attachment:
    if isinstance(thing, Shared):
        return Attachment(name=thing.name, type=thing.type, data=thing.to_bytes())
    if isinstance(thing, Source):
        return pack_source(thing)
    if isinstance(thing, Path):
        return pack_file(thing)
    if isinstance(thing, str):
        raise InputError(
            "A text is not shared but sent, by room.send(channel, text). To share a file, pass "
            "pathlib.Path(...); to share code, Source(...)"
        )
    if isinstance(thing, bytes | bytearray | memoryview):
        return pack_picture(bytes(thing))
    kind = type(thing)  # of a table, its columns are attributes too
    if hasattr(kind, "savefig"):
        return pack_picture(_drawn(lambda file: thing.savefig(file, format="png")), "figure")
    if hasattr(kind, "to_plotly_json"):
        return pack_figure(thing)
    if hasattr(kind, "getbands"):
        return pack_picture(_drawn(lambda file: thing.save(file, format="PNG")))
    if hasattr(kind, "_repr_mimebundle_") and isinstance(getattr(thing, "data", None), bytes):
        return pack_picture(thing.data)
    if hasattr(kind, "_repr_svg_"):
        raise InputError(NO_SVG)
    return pack_frame(thing)


def _drawn(draw: Callable[[io.BytesIO], Any]) -> bytes:
    """Return the PNG that a library writes."""
    file = io.BytesIO()
    try:
        draw(file)
    except (OSError, ValueError, TypeError, MemoryError) as error:
        raise InputError(
            f"It can't be drawn as PNG: {error}. A picture of unusual colours may be saved after "
            "convert('RGB')"
        ) from error
    return file.getvalue()
