"""Frames -> CSV, JSON Lines and Parquet, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from chatkit import history

__all__ = ["write_csv", "write_jsonl", "write_parquet", "write_partitions"]

GROUP_ROWS = 100_000
GROUP_BYTES = 32 * 1024 * 1024
"""What is written to Parquet at a time: as much as makes its columns worth it."""


def write_csv(path: Path, frames: Iterable[pd.DataFrame], zone: str) -> None:
    """Write frames as one CSV file.

    UTF-8 with a line of names, texts in quotes, dates in ISO 8601 with milliseconds and offset,
    ``true`` and ``false``; what is missing is empty and has no quotes.
    """
    schema = _plain(_schema(zone))
    with pyarrow.csv.CSVWriter(str(path), schema) as writer:
        for frame in frames:
            writer.write_table(_with_plain_dates(frame, schema))


def write_jsonl(path: Path, frames: Iterable[pd.DataFrame], zone: str) -> None:
    """Write frames as JSON Lines: an object a message, null for what is missing."""
    schema = _plain(_schema(zone))
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for frame in frames:
            rows = _with_plain_dates(frame, schema).to_pylist()
            file.write(encoder.encode_lines(rows))


def write_parquet(path: Path, frames: Iterable[pd.DataFrame], zone: str) -> None:
    """Write frames as one Parquet file, which pandas reads as the same frame."""
    schema = _schema(zone)
    with _Parquet(path, schema) as file:
        for frame in frames:
            file.add(_table(frame, schema))


def write_partitions(
    folder: Path, channels: Iterable[tuple[str, Iterable[pd.DataFrame]]], zone: str
) -> None:
    """Write frames as a folder of Parquet files, ``channel=NAME/month=YYYY-MM/messages.parquet``.

    Channel and month are in the path alone, as Dask, Spark, DuckDB, polars and pandas expect it.
    The month is that of ``placed_at`` in the zone.

    Parameters
    ----------
    folder : Path
        Is made.
    channels : iterable of (str, iterable of DataFrame)
        Each channel's name, as it is to be in the path, and its messages in order.
    zone : str
        Time zone of the dates.
    """
    schema = _schema(zone)
    schema = schema.remove(schema.get_field_index("channel")).remove_metadata()
    folder.mkdir()
    for channel, frames in channels:
        month, file = "", None
        try:
            for frame in frames:
                # In order, so that a month ends where the next one begins.
                months = frame["placed_at"].dt.strftime("%Y-%m")
                for name, rows in frame.groupby(months, sort=False):
                    if str(name) != month:
                        if file is not None:
                            file.close()
                        month = str(name)
                        place = folder / f"channel={channel}" / f"month={month}"
                        place.mkdir(parents=True, exist_ok=True)
                        file = _Parquet(_unused(place), schema)
                    assert file is not None
                    file.add(_table(rows.drop(columns="channel"), schema))
        finally:
            if file is not None:
                file.close()


def _unused(folder: Path) -> Path:
    """Return a new name; two channels may have got one name."""
    number = sum(1 for _ in folder.iterdir())
    return folder / ("messages.parquet" if not number else f"messages-{number}.parquet")


class _Parquet:
    """A Parquet file that is written in large pieces. Who makes it closes it."""

    def __init__(self, path: Path, schema: Any) -> None:
        self._schema = schema
        self._writer = pyarrow.parquet.ParquetWriter(str(path), schema, compression="zstd")
        self._tables: list[Any] = []
        self._rows = self._bytes = 0

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def add(self, table: Any) -> None:
        """Write a table, now or with later ones."""
        self._tables.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._write()

    def close(self) -> None:
        """Write what is left, and end the file."""
        self._write()
        self._writer.close()

    def _write(self) -> None:
        if self._tables:
            table = pa.concat_tables(self._tables)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._tables = []
        self._rows = self._bytes = 0


def _schema(zone: str) -> Any:
    """Return the columns of a history as Arrow types, with what pandas needs to read them so."""
    fields = (
        pa.field(one.name, pa.timestamp("ms", tz=zone) if _is_date(one) else one.type)
        for one in history.MESSAGE_SCHEMA
    )
    others = [one.name for one in history.MESSAGE_SCHEMA if not _is_date(one)]
    empty = history.frame([])[others]
    return pa.schema(fields, pa.Schema.from_pandas(empty, preserve_index=False).metadata)


def _is_date(field: Any) -> bool:
    return bool(pa.types.is_timestamp(field.type))


def _table(frame: pd.DataFrame, schema: Any) -> Any:
    """Return a frame in Arrow's columns; its own way is not used, since it stumbles over zones."""
    arrays = []
    for field in schema:
        column = frame[field.name]
        if _is_date(field):
            utc = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
            dates = pa.array(utc.astype("datetime64[ms]"), pa.timestamp("ms"))
            arrays.append(dates.cast(field.type))
        else:
            arrays.append(pa.array(column, field.type, from_pandas=True))
    return pa.table(arrays, schema=schema)


def _plain(schema: Any) -> Any:
    """Return the same columns with dates as texts."""
    fields = (pa.field(one.name, pa.large_string()) if _is_date(one) else one for one in schema)
    return pa.schema(fields)


def _with_plain_dates(frame: pd.DataFrame, schema: Any) -> Any:
    arrays = []
    for field in schema:
        column = frame[field.name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            arrays.append(pa.array(_iso(column), pa.large_string()))
        else:
            arrays.append(pa.array(column, field.type, from_pandas=True))
    return pa.table(arrays, schema=schema)


def _iso(dates: pd.Series[Any]) -> Any:
    """Return dates in ISO 8601, to the millisecond and with the offset of their zone."""
    local = dates.dt.tz_localize(None).to_numpy().astype("datetime64[ms]")
    utc = dates.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[ms]")
    offsets, kind = np.unique((local - utc).astype("timedelta64[s]"), return_inverse=True)
    signs = np.array([_offset(one) for one in offsets.astype("int64")] or [""])
    texts = np.strings.add(np.datetime_as_string(local, unit="ms"), signs[kind])
    found = texts.astype(object)
    found[np.isnat(local)] = None
    return found


def _offset(seconds: int) -> str:
    hours, rest = divmod(abs(int(seconds)), 3600)
    minutes, rest = divmod(rest, 60)
    sign = "-" if seconds < 0 else "+"
    return f"{sign}{hours:02d}:{minutes:02d}" + (f":{rest:02d}" if rest else "")
