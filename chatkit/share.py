"""Notebook objects <-> attachments: tables, figures, pictures, source code, files.

What comes from others is checked before it is unpacked: a small attachment may claim to be huge,
be something else than it says, or ask the network for more. Never pickle. Knows nothing of Kafka,
of MongoDB or of widgets, and loads pandas, Arrow and plotly only once they are needed. Pictures and
matplotlib's figures are known by their methods, since neither library has to be there.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import html
import io
import itertools
import json
import math
import mimetypes
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chatkit.errors import InputError
from chatkit.message import ATTACHMENT_LIMIT, NAME_LIMIT, Attachment
from chatkit.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = [
    "DECODED_LIMIT",
    "FIGURE_TYPE",
    "FRAME_TYPE",
    "PICTURE_TYPES",
    "PREVIEW_LIMIT",
    "Shared",
    "Source",
    "from_file",
    "preview",
    "to_attachment",
]

FRAME_TYPE = "application/vnd.apache.arrow.stream"
FIGURE_TYPE = "application/vnd.plotly.v1+json"
ANY_TYPE = "application/octet-stream"
CODE_TYPE = "text/x-"
DECODED_LIMIT = 256 * 1024 * 1024
"""Bytes that a table or a picture may have once it is unpacked."""
PREVIEW_LIMIT = 20_000
"""Bytes of JSON that a preview may have."""
WHAT = "a DataFrame, a Series, a plotly or matplotlib figure, a picture, a Source or a pathlib.Path"


class Source(msgspec.Struct, frozen=True):
    """Source code to share."""

    code: str
    """The text."""
    language: str = "python"
    """What it is written in: 1-32 of a-z, 0-9, ``+``, ``#``, ``.`` and ``-``."""


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
        if not 1 <= len(name) <= NAME_LIMIT or _plain_name(name) != name:
            raise InputError(
                f"{name[:80]!r} can't be the name of an attachment: use 1-{NAME_LIMIT} printable "
                "characters, without folders and not beginning with a dot"
            )
        attachment = msgspec.structs.replace(attachment, name=name)
    if attachment.length > ATTACHMENT_LIMIT:
        raise InputError(
            f"{attachment.name} has {attachment.length:,} bytes; the limit is "
            f"{ATTACHMENT_LIMIT:,}. {_ADVICE[_kind(attachment.type)]}"
        )
    return attachment


_ADVICE = {
    "table": "Share df.head(...) or fewer columns",
    "figure": "Draw fewer points: a sample, or sums of them",
    "image": "Make it smaller, or save it as JPEG or WebP",
    "source": "Share a part of it",
    "file": "Put it where others can fetch it, and send them the address",
}


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
    if guessed == "image/svg+xml" or _is_svg(data):
        raise InputError(_SVG)
    name = _plain_name(name)
    if _picture_type(data) is not None:
        return msgspec.structs.replace(_pack_picture(data), name=name)
    mime = ANY_TYPE if guessed in PICTURE_TYPES else guessed
    return Attachment(name=name, type=mime, data=data)


def _kind(mime: str) -> str:
    """Return what an attachment of a type is to people."""
    kinds = {FRAME_TYPE: "table", FIGURE_TYPE: "figure", **dict.fromkeys(PICTURE_TYPES, "image")}
    return kinds.get(mime, "source" if mime.startswith(CODE_TYPE) else "file")


def _pack(thing: Any) -> Attachment:
    if isinstance(thing, Shared):
        return Attachment(name=thing.name, type=thing.type, data=thing.to_bytes())
    if isinstance(thing, Source):
        return _pack_source(thing)
    if isinstance(thing, Path):
        return _pack_file(thing)
    if isinstance(thing, str):
        raise InputError(
            "A text is not shared but sent, by room.send(channel, text). To share a file, pass "
            "pathlib.Path(...); to share code, Source(...)"
        )
    if isinstance(thing, bytes | bytearray | memoryview):
        return _pack_picture(bytes(thing))
    if hasattr(thing, "savefig"):
        return _pack_picture(_drawn(lambda file: thing.savefig(file, format="png")), "figure")
    if hasattr(thing, "to_plotly_json"):
        return _pack_figure(thing)
    if hasattr(thing, "getbands"):
        return _pack_picture(_drawn(lambda file: thing.save(file, format="PNG")))
    if hasattr(thing, "_repr_mimebundle_") and isinstance(getattr(thing, "data", None), bytes):
        return _pack_picture(thing.data)
    if hasattr(thing, "_repr_svg_"):
        raise InputError(_SVG)
    return _pack_frame(thing)


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


def _pack_source(source: Source) -> Attachment:
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


def _pack_file(path: Path) -> Attachment:
    try:
        if not path.is_file():
            problem = "is a folder, or no ordinary file" if path.exists() else "does not exist"
            raise InputError(f"{path} {problem}: name a file to share")
        size = path.stat().st_size
        if size > ATTACHMENT_LIMIT:
            raise InputError(
                f"{path} has {size:,} bytes; the limit is {ATTACHMENT_LIMIT:,}. {_ADVICE['file']}"
            )
        with path.open("rb") as file:
            data = file.read(ATTACHMENT_LIMIT + 1)  # it may have grown
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} can't be read: {error}") from error
    return from_file(path.name, data)


def _plain_name(name: str) -> str:
    """Return a file name as it can be shown and saved: no folder, nothing invisible."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(char for char in last if char.isprintable()).strip().lstrip(".") or "file"


# What was shared, for those who read it.


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
        return _plain_name(self.attachment.name)

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
        return _read_frame(self.attachment.data)

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
        return _read_figure(self.attachment.data, network=network)

    def to_image(self) -> Shared:
        """Return this, which a notebook shows, if it is a picture; its bytes: `to_bytes`.

        Raises
        ------
        InputError
            It is no picture of its type, or of more than 67 million pixels.
        """
        self._check_kind("image")
        _measure(self.attachment.data, self.type)
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
        return _read_text(self.attachment.data)

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
        actual = _kind(self.type)
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
        if _kind(self.type) == "image":
            with contextlib.suppress(InputError):
                _measure(self.attachment.data, self.type)
                bundle[self.type] = base64.b64encode(self.attachment.data).decode()
        return bundle


def _read_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"It is no text in UTF-8, at byte {error.start}") from error


# Tables.

STEP = 65_536  # rows that are written at a time
CHECKED = 1000  # rows whose labels are compared before a table is sent
END = b"\xff\xff\xff\xff\0\0\0\0"  # of an Arrow stream
LABEL_LIMIT = 1000  # characters of a column's name
OBJECT_BYTES = 100  # about what a value takes that is an object of Python's
_COLUMN_LIMIT = 10_000


def _pack_frame(thing: Any) -> Attachment:
    import pandas as pd

    if isinstance(thing, pd.Series):
        thing = thing.to_frame()
    if not isinstance(thing, pd.DataFrame):
        raise InputError(f"Nothing of type {type(thing).__name__} can be shared. Pass {WHAT}")
    _check_labels(thing)
    try:
        data = _write_frame(thing)
        back, _ = _first_rows(data, CHECKED)
    except _TooLarge as error:
        raise InputError(_too_large(thing, error)) from None
    except InputError as error:
        raise InputError(_blame(thing, error)) from error
    start = thing.iloc[:CHECKED]
    if not back.columns.equals(start.columns) or not back.index.equals(start.index):
        raise InputError(
            "The labels of its columns or rows would not come back as they are, since Arrow has no "
            "such. Use df.columns = df.columns.astype(str), or df.reset_index()"
        )
    return Attachment(name="frame.arrow", type=FRAME_TYPE, data=data)


class _TooLarge(InputError):
    """A table is too large; ``share``: how much of it would fit, ``limit``: into what."""

    def __init__(self, text: str, share: float, limit: str) -> None:
        super().__init__(text)
        self.share = share
        self.limit = limit


def _check_labels(frame: pd.DataFrame) -> None:
    if frame.shape[1] > _COLUMN_LIMIT:
        raise InputError(
            f"The table has {frame.shape[1]:,} columns; the limit is {_COLUMN_LIMIT:,}. Share some "
            "of them, or df.T"
        )
    if not frame.shape[1]:
        raise InputError("The table has no columns. To share its index, use df.reset_index()")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"Two columns are named {twice!r}: rename one to share the table")


def _too_large(frame: pd.DataFrame, error: _TooLarge) -> str:
    """Return how large a frame is, how large it may be, and how many rows would fit."""
    rows = int(len(frame) * error.share * 0.9)
    rows -= rows % 10 ** max(0, len(str(rows)) - 2)
    size = f"The table has {counted(len(frame), 'row')} and {counted(frame.shape[1], 'column')}"
    if rows < 1:
        return f"{size}; the limit is {error.limit}. Share fewer columns"
    return (
        f"{size}; the limit is {error.limit}. About {rows:,} rows would fit: share "
        f"df.head({rows:_}), df.sample({rows:_}) or fewer columns"
    )


def _write_frame(frame: pd.DataFrame) -> bytes:
    """Return a frame as Arrow IPC stream; stops as soon as it is too large."""
    import pyarrow as pa

    # What readers refuse need not be made: each value takes eight bytes at least there.
    least = len(frame) * frame.shape[1] * 8
    if least > DECODED_LIMIT:
        raise _too_much(least)
    sink = pa.BufferOutputStream()
    written = 0
    with _telling("It can't be written as Arrow"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas about Arrow's ways, and about lost labels
        table = pa.Table.from_pandas(frame)
        batches = table.to_batches(max_chunksize=STEP)
        if not batches:  # else the categories of an empty table would be missing
            parts = [one.chunk(0) if one.num_chunks else [] for one in table.columns]
            batches = [pa.record_batch(parts, schema=table.schema)]
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            for batch in batches:
                writer.write_batch(batch)
                written += batch.num_rows
                if sink.tell() > ATTACHMENT_LIMIT - len(END):
                    raise _TooLarge(
                        "The table has too many bytes",
                        written / len(frame) * ATTACHMENT_LIMIT / sink.tell(),
                        f"{ATTACHMENT_LIMIT:,} bytes",
                    )
        return bytes(sink.getvalue())


def _blame(frame: pd.DataFrame, error: InputError) -> str:
    """Return why a frame can't be shared, with the column whose fault it is."""
    for number, label in enumerate(frame.columns):
        alone = frame.iloc[:, [number]].reset_index(drop=True).set_axis(["column"], axis="columns")
        try:
            _first_rows(_write_frame(alone), CHECKED)
        except _TooLarge:
            continue
        except InputError as reason:
            return (
                f"Column {label!r} can't be shared ({reason}). Arrow holds numbers, texts, dates, "
                f"categories of these, and lists and dicts of one form: use df[{label!r}] = "
                f"df[{label!r}].astype(str), or leave the column out"
            )
    return (
        f"The table can't be shared, for the labels of its rows or columns ({error}). Use "
        "df.reset_index(), or df.columns = df.columns.astype(str)"
    )


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    """Turn what Arrow, pandas and plotly raise for bad data within the block into InputError."""
    try:
        yield
    except InputError:
        raise
    except _BAD_DATA as error:
        # Arrow's have more arguments, for itself.
        words = error.args[0] if error.args and not isinstance(error, UnicodeError) else error
        reason = str(words) or type(error).__name__
        line = " ".join(reason.split())
        raise InputError(f"{what}: {line[:200]}") from error


# Where metadata lie, it ends in nearly any of Python's own errors.
_BAD_DATA = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # also Arrow's "not implemented", and too deep a recursion
    SyntaxError,
    TypeError,
    ValueError,
    Warning,  # where warnings are errors
    struct.error,
)


def _read_frame(data: bytes) -> pd.DataFrame:
    with _telling("It is no table that can be read"):
        reader, _ = _open_stream(data)
        table = reader.read_all()
        table.validate(full=True)
        frame: pd.DataFrame = table.to_pandas()
        return frame


def _open_stream(data: bytes) -> tuple[Any, int]:
    """Return an Arrow stream that is safe to read, and how many rows it has."""
    import pandas as pd
    import pyarrow as pa

    pa.array(pd.period_range("2000", periods=0, freq="D"))  # makes pandas tell Arrow its types
    if not data.endswith(END):
        raise InputError("The table is cut off, or is no Arrow stream. Ask for it to be sent again")
    reader = pa.ipc.open_stream(data)
    kinds = [kind for field in reader.schema for kind in _kinds(field)]
    _check_metadata(reader.schema.metadata)
    rows, size = _measure_stream(data, kinds)
    if size > DECODED_LIMIT:
        raise _too_much(size)
    return reader, rows


def _too_much(size: int) -> _TooLarge:
    limit = f"{DECODED_LIMIT // 2**20} MiB once unpacked"
    return _TooLarge(
        f"The table would take {size / 2**20:,.0f} MiB; the limit is {limit}. Ask for a part of it",
        DECODED_LIMIT / size,
        limit,
    )


def _first_rows(data: bytes, most: int) -> tuple[pd.DataFrame, int]:
    """Return the first rows of a table, and how many it has."""
    import pyarrow as pa

    with _telling("It is no table that can be read"):
        reader, rows = _open_stream(data)
        first = pa.Table.from_batches(itertools.islice(reader, 1), reader.schema)
        first.validate(full=True)
        frame: pd.DataFrame = first.slice(0, most).to_pandas()
        return frame, rows


def _kinds(field: Any, *, top: bool = True) -> Iterator[int]:
    """Yield about how many bytes a value takes, for a field and all within it, as Arrow counts."""
    import pyarrow as pa

    kind = field.type
    if len(field.name) > LABEL_LIMIT:
        raise InputError(f"The name of a column has over {LABEL_LIMIT:,} characters")
    foreign = (field.metadata or {}).get(b"ARROW:extension:name")
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name not in {"pandas.period", "pandas.interval"}:
            foreign = kind.extension_name.encode()
        kind = kind.storage_type
    if foreign:
        raise InputError(f"A column is of the foreign type {foreign[:80].decode(errors='replace')}")
    is_of = pa.types
    if top and is_of.is_dictionary(kind):
        list(_kinds(pa.field("", kind.value_type)))
        yield 8
    elif is_of.is_list(kind) or is_of.is_large_list(kind) or is_of.is_struct(kind):
        yield OBJECT_BYTES
        for number in range(kind.num_fields):
            yield from _kinds(kind.field(number), top=False)
    elif is_of.is_date(kind) or is_of.is_time(kind):
        yield OBJECT_BYTES
    elif is_of.is_primitive(kind) or is_of.is_null(kind):
        yield 8
    elif any(
        check(kind)
        for check in (
            is_of.is_string,
            is_of.is_large_string,
            is_of.is_binary,
            is_of.is_large_binary,
            is_of.is_decimal,
        )
    ):
        yield OBJECT_BYTES
    else:  # among them those in which a few bytes may stand for any number of values
        raise InputError(f"A column is of type {str(kind)[:80]}, which is not taken from others")


# What pandas writes for its own dtypes. Others, such as numpy's V1000000000, may ask for any size.
_DTYPE = re.compile(
    r"object|bool|boolean|category|empty|(u?int|float|U?Int|Float)\d{1,3}|"
    r"(str|string)(\[\w+\])?|(datetime64|timedelta64)(\[[\w, /+:-]{1,60}\])?|"
    r"(period|interval)\[[\w, /+:\[\]-]{1,60}\]|"
    r"(u?int\d+|float|halffloat|double|bool|string|large_string|binary|date32|date64|"
    r"(timestamp|duration|time32|time64|decimal128|date32|date64)[\[(][\w, =/+:-]{1,60}[\])])"
    r"\[pyarrow\]"
)


def _check_metadata(metadata: dict[bytes, bytes] | None) -> None:
    """Raise if what is said for pandas names a dtype that pandas did not write."""
    if metadata is None or b"pandas" not in metadata:
        return
    about = json.loads(metadata[b"pandas"])  # with NaN, which is no JSON
    for column in [*about["columns"], *about["column_indexes"]]:
        if not _DTYPE.fullmatch(column["numpy_type"]):
            shown = column["numpy_type"][:80]
            raise InputError(f"A column is of dtype {shown!r}, which is not taken from others")


_FIELD_NODE = struct.Struct("<qq")
_BUFFER = struct.Struct("<qq")
_DICTIONARY, _BATCH, _VERSION_5 = 2, 3, 4


def _measure_stream(data: bytes, kinds: list[int]) -> tuple[int, int]:
    """Return how many rows an Arrow stream has, and how many bytes these take once unpacked.

    Arrow would unpack whatever the lengths in the stream say, and says them to nobody. They are
    read here as arrow.apache.org/docs/format/Columnar.html (IPC) and flatbuffers.dev define them.
    """
    import pyarrow as pa

    rows = packed = made = 0
    for message in pa.ipc.MessageReader.open_stream(data):
        head = message.metadata.to_pybytes()
        root = _follow(head, 0)
        if _scalar(head, root, 0, "<h") != _VERSION_5:
            raise InputError("The table is in an old version of Arrow's format")
        kind, batch = _scalar(head, root, 1, "<B"), _child(head, root, 2)
        if kind == _DICTIONARY:
            batch = _child(head, batch, 1)
        elif kind != _BATCH:
            continue
        nodes = [length for length, _ in _structs(head, batch, 1, _FIELD_NODE)]
        sizes = [OBJECT_BYTES] * len(nodes) if kind == _DICTIONARY else kinds
        length = _scalar(head, batch, 0, "<q")
        if len(nodes) != len(sizes) or min([length, *nodes]) < 0:
            raise InputError("The table has other columns than it says")
        if kind == _BATCH:
            rows += length
        made += max(length * 8, sum(map(int.__mul__, nodes, sizes)))
        is_packed = _field(head, batch, 3) is not None
        packed += sum(_lengths(head, batch, message.body, is_packed=is_packed))
    return rows, max(packed, made)


def _lengths(head: bytes, batch: int, body: Any, *, is_packed: bool) -> Iterator[int]:
    """Yield how long the buffers of a batch are once unpacked."""
    for offset, length in _structs(head, batch, 2, _BUFFER):
        if not 0 <= offset <= offset + length <= body.size:
            raise InputError("The table is cut off")
        if length and is_packed:
            unpacked = int.from_bytes(body.slice(offset, 8).to_pybytes(), "little", signed=True)
            if unpacked < -1:
                raise InputError("The table is damaged")
            yield length if unpacked == -1 else unpacked
        else:
            yield length


def _number(data: bytes, at: int, form: str) -> int:
    if at < 0:  # which Python would count from the end
        raise InputError("The table is damaged")
    return int(struct.unpack_from(form, data, at)[0])


def _follow(data: bytes, at: int) -> int:
    return at + _number(data, at, "<I")


def _field(data: bytes, table: int, number: int) -> int | None:
    """Return where a field of a flatbuffer's table is, or None if it is left out."""
    layout = table - _number(data, table, "<i")
    if 4 + 2 * number + 2 > _number(data, layout, "<H"):
        return None
    offset = _number(data, layout + 4 + 2 * number, "<H")
    return table + offset if offset else None


def _scalar(data: bytes, table: int, number: int, form: str) -> int:
    at = _field(data, table, number)
    return 0 if at is None else _number(data, at, form)


def _child(data: bytes, table: int, number: int) -> int:
    at = _field(data, table, number)
    if at is None:
        raise InputError("The table is damaged")
    return _follow(data, at)


def _structs(data: bytes, table: int, number: int, form: struct.Struct) -> list[tuple[int, int]]:
    at = _field(data, table, number)
    if at is None:
        return []
    start = _follow(data, at)
    count = _number(data, start, "<I")
    if start + 4 + count * form.size > len(data):
        raise InputError("The table is cut off")
    return list(form.iter_unpack(data[start + 4 : start + 4 + count * form.size]))


# Figures.

VALUES_LIMIT = 200_000
"""Values of a figure that are not packed as numbers; plotly takes seconds to check so many."""
OBJECTS_LIMIT = 20_000
DEPTH_LIMIT = 40
_NUMBERS = {"i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"}
MAPS = {
    "choropleth",
    "choroplethmap",
    "choroplethmapbox",
    "densitymap",
    "densitymapbox",
    "scattergeo",
    "scattermap",
    "scattermapbox",
}
"""Types of traces for which plotly fetches a map."""


def _pack_figure(figure: Any) -> Attachment:
    values = (trace[key] for trace in getattr(figure, "data", ()) for key in trace)
    size = sum(getattr(value, "nbytes", 0) for value in values)
    # The smallest form of a number is an eighth of the largest: this needs no writing to be told.
    if size > 8 * ATTACHMENT_LIMIT:
        raise InputError(
            f"The figure has {size:,} bytes of numbers; the limit is {ATTACHMENT_LIMIT:,}. "
            + _ADVICE["figure"]
        )
    with _telling("The figure can't be written as JSON"):
        data = figure.to_json().encode()
    if len(data) <= ATTACHMENT_LIMIT:
        _decode_figure(data)
    return Attachment(name="figure.json", type=FIGURE_TYPE, data=data)


def _decode_figure(data: bytes) -> dict[str, Any]:
    """Return a figure's JSON, its packed numbers as arrays."""
    with _telling("It is no plotly figure"):
        document = msgspec.json.decode(data)
        if not isinstance(document, dict) or not isinstance(document.get("data"), list):
            raise InputError("It is no plotly figure: it has no list of traces")
        if unknown := document.keys() - {"data", "layout", "frames"}:
            raise InputError(f"It is no plotly figure: it has {min(unknown)[:80]!r}")
        counts = {"values": 0, "objects": 0}
        figure: dict[str, Any] = _unpack(document, counts, 0)
        return figure


def _unpack(value: Any, counts: dict[str, int], depth: int) -> Any:
    """Return a value of JSON with packed numbers as arrays, unless it is too large for plotly."""
    counts["values"] += 1
    counts["objects"] += isinstance(value, dict)
    if counts["values"] > VALUES_LIMIT or counts["objects"] > OBJECTS_LIMIT or depth > DEPTH_LIMIT:
        raise InputError(
            f"The figure has over {VALUES_LIMIT:,} values, {OBJECTS_LIMIT:,} parts or "
            f"{DEPTH_LIMIT} levels. {_ADVICE['figure']}"
        )
    if isinstance(value, list):
        return [_unpack(one, counts, depth + 1) for one in value]
    if isinstance(value, dict):
        if "bdata" in value:
            return _unpack_numbers(value)
        return {key: _unpack(one, counts, depth + 1) for key, one in value.items()}
    return value


def _unpack_numbers(packed: dict[str, Any]) -> Any:
    import numpy as np

    kind, shape = packed.get("dtype"), packed.get("shape")
    if kind not in _NUMBERS:
        raise InputError(f"The figure has numbers of the unknown type {str(kind)[:20]!r}")
    try:
        array = np.frombuffer(base64.b64decode(packed["bdata"], validate=True), dtype=f"<{kind}")
        if shape is None:
            return array
        return array.reshape([int(length) for length in str(shape).split(",")])
    except (binascii.Error, TypeError, ValueError) as error:
        raise InputError("The figure has packed numbers that are damaged") from error


def _read_figure(data: bytes, *, network: bool) -> go.Figure:
    import plotly.graph_objects as go

    document = _decode_figure(data)
    fetched = [] if network else sorted(set(_fetches(document)))
    if fetched:
        raise InputError(
            f"To show the figure, a browser would fetch {', '.join(fetched)}. Whoever answers "
            "learns who looks at it. If you trust who shared it: to_figure(network=True)"
        )
    with _telling("It is no figure that plotly can draw"):
        figure = go.Figure(document)
        # One that has no template would get the reader's, and other colours with it.
        figure.layout.template = (document.get("layout") or {}).get("template")
        return figure


def _fetches(value: Any, *, is_template: bool = False, is_action: bool = False) -> Iterator[str]:
    """Yield what a browser would fetch for part of a figure, in words.

    Parameters
    ----------
    value : any
        The part, from JSON.
    is_template : bool, default False
        Whether it is a template's example of traces, which every figure has of every type.
    is_action : bool, default False
        Whether it is what a button or slider would set, there also by the name of a property.
    """
    if isinstance(value, str):
        if is_action and value in MAPS:
            yield "a map"
        if is_action and _last(value) in {"geojson", "source"}:
            yield "a picture from elsewhere"
        if "<" in value and _STYLED.search(_COLOURS.sub("", value)):
            yield "something that the style of a text names"
    elif isinstance(value, list):
        for one in value:
            yield from _fetches(one, is_template=is_template, is_action=is_action)
    elif isinstance(value, dict):
        for key, one in value.items():
            texts = [text for text in _flat(one) if isinstance(text, str)]
            last = _last(key)
            if last == "type" and not is_template and MAPS.intersection(texts):
                yield "a map"
            if last == "source" and not all(text.startswith("data:image/") for text in texts):
                yield "a picture from elsewhere"
            if last == "geojson" and texts:
                yield "a map"
            yield from _fetches(
                one,
                is_template=is_template or key == "template",
                is_action=is_action or last in {"args", "args2"},
            )


_COLOURS = re.compile(r"rgba?\([\d\s.,%]*\)")
# In CSS an address stands in brackets, which can also be written as an escape or an entity.
_STYLED = re.compile(r"<[^>]*style\s*=[^>]*[(\\&]", re.IGNORECASE)


def _last(key: str) -> str:
    """Return the last name of a property such as ``images[0].source``."""
    return key.rpartition(".")[2].partition("[")[0]


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value


# Pictures.

PICTURE_TYPES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
}
"""Types of pictures that are taken, and the ending of their file names."""
_SVG = (
    "SVG is not shared, since it can carry scripts. Save it as PNG, or share a plotly figure, "
    "which stays sharp too"
)


def _pack_picture(data: bytes, name: str = "picture") -> Attachment:
    if _is_svg(data):
        raise InputError(_SVG)
    mime = _picture_type(data)
    if mime is None:
        raise InputError(
            "These bytes are no PNG, JPEG, GIF or WebP. To share any other file, pass "
            "pathlib.Path(...)"
        )
    _measure(data, mime)
    return Attachment(name=name + PICTURE_TYPES[mime], type=mime, data=data)


def _picture_type(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def _is_svg(data: bytes) -> bool:
    start = data[:4000].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    while start.startswith((b"<?", b"<!--", b"<!doctype svg")):
        end = b"-->" if start.startswith(b"<!--") else b">"
        start = start.partition(end)[2].lstrip()
    return start.startswith(b"<svg")


def _measure(data: bytes, mime: str) -> tuple[int, int]:
    """Return width and height of a picture in pixels, if it may be shown."""
    actual = _picture_type(data)
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


# What the transcript shows of it.

ROWS, COLUMNS, CELL = 8, 20, 80
TRACES, POINTS = 6, 200


def preview(attachment: Attachment) -> dict[str, Any]:
    """Return what a transcript shows of an attachment, in values of JSON of at most 20 kB.

    Parameters
    ----------
    attachment : Attachment
        With its bytes, from anybody.

    Returns
    -------
    dict
        ``kind`` says what else there is. All texts are plain.

        - ``table``: ``columns`` and ``dtypes`` (those of the index first, unless it only counts),
          ``rows`` (the first 8, as texts), ``shape`` (rows, columns of the whole table without
          index). Of many columns the first 20.
        - ``figure``: ``title``, ``traces``: the first 6, each with ``name``, ``type``, ``mode``,
          ``x`` and ``y``, up to 200 points; of more, those that keep the extremes.
        - ``image``: ``width``, ``height``, in pixels.
        - ``source``: ``language``, ``text``; where it is cut it ends in ``…``.
        - ``file``: nothing else.
        - ``broken``: ``reason``. It is not what it claims to be.
    """
    try:
        shared = Shared(attachment)
        data = shared.to_bytes()
        match _kind(shared.type):
            case "table":
                return _preview_frame(data)
            case "figure":
                return _preview_figure(data)
            case "image":
                width, height = _measure(data, shared.type)
                return {"kind": "image", "width": width, "height": height}
            case "source":
                language = _text(shared.type.removeprefix(CODE_TYPE), 32)
                text = _read_text(data)
                return _fitting(
                    lambda most: {
                        "kind": "source",
                        "language": language,
                        "text": _text(text, most, lines=True),
                    },
                    PREVIEW_LIMIT,
                )
        return {"kind": "file"}
    except InputError as error:
        return {"kind": "broken", "reason": _text(str(error), 500)}


def _fitting(make: Callable[[int], dict[str, Any]], most: int) -> dict[str, Any]:
    """Return what ``make`` makes of the largest number, halved as often as needed, that fits."""
    while len(msgspec.json.encode(made := make(most))) > PREVIEW_LIMIT and most:
        most //= 2
    return made


def _text(value: Any, most: int, *, lines: bool = False) -> str:
    """Return a text without what can't be seen, cut where it is long."""
    text = str(value)
    shown = text if len(text) <= most else text[: max(0, most - 1)] + "…"
    return "".join(
        char if char.isprintable() or (lines and char in "\n\t") else " " for char in shown
    )


def _preview_frame(data: bytes) -> dict[str, Any]:
    import pandas as pd

    frame, rows = _first_rows(data, ROWS)
    with _telling("It is no table that can be shown"):
        width = frame.shape[1]
        if not isinstance(frame.index, pd.RangeIndex):
            names = [
                f"index {number}" if name is None else name
                for number, name in enumerate(frame.index.names)
            ]
            frame = frame.reset_index(names=names, allow_duplicates=True)
        frame = frame.iloc[:, :COLUMNS]
        columns = [frame.iloc[:, number].tolist() for number in range(frame.shape[1])]
        cells = [[_cell(value) for value in row] for row in zip(*columns, strict=True)]
        labels = frame.columns.tolist()
        dtypes = frame.dtypes.tolist()
    return _fitting(
        lambda most: {
            "kind": "table",
            "columns": [_text(label, most) for label in labels],
            "dtypes": [_text(dtype, most) for dtype in dtypes],
            "rows": [[_text(cell, most) for cell in row] for row in cells],
            "shape": [rows, width],
        },
        CELL,
    )


def _cell(value: Any) -> str:
    if isinstance(value, str | bytes | list):
        value = value[: CELL + 1]  # it may be of millions
    try:
        return str(value)
    except (ArithmeticError, NotImplementedError, ValueError):
        return "?"  # a date before or after those that Python can tell


def _preview_figure(data: bytes) -> dict[str, Any]:
    document = _decode_figure(data)
    layout = document.get("layout")
    title = layout.get("title") if isinstance(layout, dict) else None
    if isinstance(title, dict):
        title = title.get("text")
    traces = [trace for trace in document["data"] if isinstance(trace, dict)][:TRACES]
    return _fitting(
        lambda most: {
            "kind": "figure",
            "title": _without_tags(title, 200),
            "traces": [_preview_trace(trace, most) for trace in traces],
        },
        POINTS,
    )


def _preview_trace(trace: dict[str, Any], most: int) -> dict[str, Any]:
    x, y = (
        _values(trace.get(name, trace.get(of_pie)))
        for name, of_pie in (("x", "labels"), ("y", "values"))
    )
    if len(x) and len(y):
        x, y = x[: len(y)], y[: len(x)]
    elif len(y):
        x = range(len(y))
    # Of a histogram it counts how many values are how large.
    as_they_come = not len(y) or trace.get("type") == "histogram"
    kept = _every(len(x), most) if as_they_come else _thin(y, most)
    return {
        "name": _without_tags(trace.get("name"), 80),
        "type": _text(trace.get("type", "scatter"), 32),
        "mode": _text(trace.get("mode", ""), 32),
        "x": [_point(x[number]) for number in kept],
        "y": [_point(y[number]) for number in kept] if len(y) else [],
    }


def _without_tags(value: Any, most: int) -> str:
    """Return a text of plotly's without its markup."""
    if not isinstance(value, str):
        return ""
    return _text(html.unescape(re.sub(r"<[^<>]*>", " ", value)).strip(), most)


def _values(values: Any) -> Any:
    """Return the values of a trace if they are a list or array of one dimension, else none."""
    return values if isinstance(values, list) or getattr(values, "ndim", 0) == 1 else []


def _point(value: Any) -> int | float | str | None:
    """Return a value as JSON can hold it."""
    if hasattr(value, "item"):
        value = value.item()  # of numpy's
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or abs(value) > 1e300:
            return None
        return value if isinstance(value, int) and abs(value) < 2**53 else float(f"{value:.10g}")
    return None if value is None else _text(value, 40)


def _every(count: int, most: int) -> list[int]:
    """Return which of so many values to keep, as evenly as it goes."""
    return list(range(0, count, -(-count // most))) if most and count else []


def _thin(values: Any, most: int) -> list[int]:
    """Return which values to keep, in order: of each stretch the least and the greatest."""
    import numpy as np

    if len(values) <= most:
        return list(range(len(values)))
    stretches = most // 2
    kept = set()
    for number in range(stretches):
        start, end = (len(values) * edge // stretches for edge in (number, number + 1))
        part = values[start:end]
        if isinstance(part, list):
            points = map(_point, part)
            part = np.array([math.nan if isinstance(one, str | None) else one for one in points])
        finite = np.isfinite(part)
        kept.add(start + int(np.where(finite, part, np.inf).argmin()))
        kept.add(start + int(np.where(finite, part, -np.inf).argmax()))
    return sorted(kept)
