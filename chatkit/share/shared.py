"""What was shared, for those who read it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chatkit.errors import InputError
from chatkit.message import ATTACHMENT_LIMIT, Attachment
from chatkit.share.figures import read_figure
from chatkit.share.files import plain_name
from chatkit.share.kinds import kind_of
from chatkit.share.pictures import measure_picture
from chatkit.share.sources import read_text
from chatkit.share.tables import read_frame

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["Shared"]


class Shared(msgspec.Struct, frozen=True):
    """What somebody shared. Immutable; a notebook shows it if it is a picture.

    It comes from others: each method first checks that it is what it claims to be.

    Raises
    ------
    InputError
        The bytes are not here, are too many, or are not those of the SHA-256.
    """

    attachment: Attachment
    """The attachment with its bytes."""
    sha256: str | None = None
    """Expected SHA-256 of the bytes, in hexadecimal. Default: that of the attachment, if any."""

    def __post_init__(self) -> None:
        data = self.attachment.data
        if not data and self.attachment.size:
            raise InputError(f"The bytes of {self.name} are not here: ask the room for the message")
        if len(data) > ATTACHMENT_LIMIT:
            raise InputError(
                f"{self.name} has {len(data):,} bytes; the limit is {ATTACHMENT_LIMIT:,}. Ask who "
                "shared it for a smaller one"
            )
        expected = self.sha256 or self.attachment.sha256
        if expected and hashlib.sha256(data).hexdigest() != expected.lower():
            raise InputError(
                f"{self.name} is damaged: its bytes don't have the SHA-256 that was noted when it "
                "was archived. Ask who shared it to share it again"
            )

    def __repr__(self) -> str:
        return f"Shared(name={self.name!r}, type={self.type[:80]!r}, size={self.size})"

    @property
    def name(self) -> str:
        """File name to show; without folders or anything invisible."""
        return plain_name(self.attachment.name)

    @property
    def type(self) -> str:
        """MIME type that its sender claims."""
        return self.attachment.type

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.attachment.data)

    def to_bytes(self) -> bytes:
        """Return the bytes."""
        return self.attachment.data

    def to_frame(self) -> pd.DataFrame:
        """Return the table, with its index, dtypes, categories and time zones.

        Raises
        ------
        InputError
            It is no table, or would take over 256 MiB.
        """
        self._check_kind("table")
        return read_frame(self.attachment.data)

    def to_figure(self, *, network: bool = False) -> go.Figure:
        """Return the plotly figure.

        Parameters
        ----------
        network : bool, default False
            Whether to allow a figure that makes a browser fetch something when it is shown: maps,
            pictures from elsewhere, texts with styles that can name an address. Who answers learns
            who looks at it and when.

        Raises
        ------
        InputError
            It is no plotly figure, or would fetch something.
        """
        self._check_kind("figure")
        return read_figure(self.attachment.data, network=network)

    def to_image(self) -> Shared:
        """Return this, which a notebook shows, if it is a picture; its bytes: `to_bytes`.

        Raises
        ------
        InputError
            It is no picture of its type, or of more than 67 million pixels.
        """
        self._check_kind("image")
        measure_picture(self.attachment.data, self.type)
        return self

    def to_source(self) -> str:
        """Return the source code, or another text.

        Raises
        ------
        InputError
            It is no text.
        """
        if not self.type.startswith("text/"):
            self._check_kind("source")
        return read_text(self.attachment.data)

    def save(self, path: Path | str) -> Path:
        """Write the bytes to a new file and return its path.

        Parameters
        ----------
        path : Path or str
            The file, which must not be there yet, or a folder to put it into under its name.

        Raises
        ------
        InputError
            There is such a file already, or it can't be written.
        """
        target = Path(path)
        if target.is_dir():
            target /= self.name
        try:
            with target.open("xb") as file:
                file.write(self.attachment.data)
        except FileExistsError as error:
            raise InputError(f"{target} exists: choose another name, or delete it") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{target} can't be written: {error}") from error
        return target

    def _check_kind(self, kind: str) -> None:
        actual = kind_of(self.type)
        if actual != kind:
            way = {
                "table": "to_frame()",
                "figure": "to_figure()",
                "image": "to_image()",
                "source": "to_source()",
            }.get(actual, "to_bytes() or save(path)")
            a_kind = {"image": "picture", "source": "source code"}.get(kind, kind)
            raise InputError(f"{self.name} is no {a_kind} but {self.type[:80]!r}: use {way}")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        if kind_of(self.type) == "image":
            with contextlib.suppress(InputError):
                measure_picture(self.attachment.data, self.type)
                bundle[self.type] = base64.b64encode(self.attachment.data).decode()
        return bundle
