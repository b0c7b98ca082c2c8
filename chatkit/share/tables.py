"""Frames as Arrow IPC streams, and back."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

from chatkit.errors import InputError
from chatkit.message import ATTACHMENT_LIMIT, Attachment
from chatkit.share.arrow import check_metadata, measure_stream, value_sizes
from chatkit.share.bad_data import telling
from chatkit.share.kinds import DECODED_LIMIT, FRAME_TYPE, WHAT
from chatkit.wording import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["END", "first_rows", "pack_frame", "read_frame"]

STEP = 65_536  # rows that are written at a time
CHECKED = 1000  # rows whose labels are compared before a table is sent
END = b"\xff\xff\xff\xff\0\0\0\0"  # of an Arrow stream
_COLUMN_LIMIT = 10_000


def pack_frame(thing: Any) -> Attachment:
    """Return a DataFrame, or a Series as one, as an Arrow stream.

    Raises
    ------
    InputError
        It is neither, is too large, or would not come back as it is; the text says what to do.
    """
    import pandas as pd

    if isinstance(thing, pd.Series):
        thing = thing.to_frame()
    if not isinstance(thing, pd.DataFrame):
        raise InputError(f"Nothing of type {type(thing).__name__} can be shared. Pass {WHAT}")
    _check_labels(thing)
    try:
        data = _write_frame(thing)
        back, _ = first_rows(data, CHECKED)
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
    with telling("It can't be written as Arrow"), warnings.catch_warnings():
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
            first_rows(_write_frame(alone), CHECKED)
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


def read_frame(data: bytes) -> pd.DataFrame:
    """Return the frame that an Arrow stream from anybody holds.

    Raises
    ------
    InputError
        It is no table, would take over 256 MiB, or holds what is not taken from others.
    """
    with telling("It is no table that can be read"):
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
    kinds = [kind for field in reader.schema for kind in value_sizes(field)]
    check_metadata(reader.schema.metadata)
    rows, size = measure_stream(data, kinds)
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


def first_rows(data: bytes, most: int) -> tuple[pd.DataFrame, int]:
    """Return the first rows of a table, at most so many, and how many it has in all.

    Raises
    ------
    InputError
        As for `read_frame`.
    """
    import pyarrow as pa

    with telling("It is no table that can be read"):
        reader, rows = _open_stream(data)
        first = pa.Table.from_batches(itertools.islice(reader, 1), reader.schema)
        first.validate(full=True)
        frame: pd.DataFrame = first.slice(0, most).to_pandas()
        return frame, rows
