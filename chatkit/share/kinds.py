"""What can be shared: its kinds, their types, how large they may be, and what to do then."""

from __future__ import annotations

__all__ = [
    "ADVICE",
    "ANY_TYPE",
    "CODE_TYPE",
    "DECODED_LIMIT",
    "FIGURE_TYPE",
    "FRAME_TYPE",
    "PICTURE_TYPES",
    "WHAT",
    "kind_of",
]

FRAME_TYPE = "application/vnd.apache.arrow.stream"
"""MIME type of a table."""
FIGURE_TYPE = "application/vnd.plotly.v1+json"
"""MIME type of a figure."""
ANY_TYPE = "application/octet-stream"
"""MIME type of any other bytes."""
CODE_TYPE = "text/x-"
"""How the MIME type of source code begins; its language follows."""
PICTURE_TYPES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
}
"""Types of pictures that are taken, and the ending of their file names."""

DECODED_LIMIT = 256 * 1024 * 1024
"""Bytes that a table or a picture may have once it is unpacked."""

WHAT = "a DataFrame, a Series, a plotly or matplotlib figure, a picture, a Source or a pathlib.Path"
"""All that can be shared, in words."""
ADVICE = {
    "table": "Share df.head(...) or fewer columns",
    "figure": "Draw fewer points: a sample, or sums of them",
    "image": "Make it smaller, or save it as JPEG or WebP",
    "source": "Share a part of it",
    "file": "Put it where others can fetch it, and send them the address",
}
"""Kind -> what to do where one is too large."""


def kind_of(mime: str) -> str:
    """Return what an attachment of a type is to people."""
    kinds = {FRAME_TYPE: "table", FIGURE_TYPE: "figure", **dict.fromkeys(PICTURE_TYPES, "image")}
    return kinds.get(mime, "source" if mime.startswith(CODE_TYPE) else "file")
