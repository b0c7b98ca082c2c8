"""Arrow tables and rows of a room -> DataFrames, with dates in a zone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chatkit.history.ordering import in_order
from chatkit.message import LAST_MS
from chatkit.query import time_zone
from chatkit.segments.columns import DATE, MESSAGE_SCHEMA
from chatkit.timeline import Row

__all__ = ["DAY_MS", "FIRST_MS", "frame", "in_zone", "to_frame"]

DAY_MS = 86_400_000
"""A day, ms."""
FIRST_MS = -62_135_596_800_000
"""The beginning of year 1, the first that a datetime can hold, ms since 1970 UTC."""


def frame(rows: Iterable[Row], *, zone: str = "UTC") -> pd.DataFrame:
    """Return rows of a room as `load` returns messages, oldest first.

    Parameters
    ----------
    rows : iterable of Row
        In any order. Rows that are no message are left out, and messages that Kafka has not
        acknowledged.
    zone : str, default "UTC"
        Time zone of the dates, a name of the IANA database.

    Returns
    -------
    pandas.DataFrame
        As `load` returns it; ``archived_at``, which no room knows, is missing.

    Raises
    ------
    InputError
        There is no such zone.
    """
    time_zone(zone)
    found = [_row_of(row) for row in rows if row.message is not None and row.offset >= 0]
    arrays = [pa.array([one[field.name] for one in found], field.type) for field in MESSAGE_SCHEMA]
    return to_frame(in_zone(in_order([pa.table(arrays, schema=MESSAGE_SCHEMA)]), zone))


def _row_of(row: Row) -> dict[str, Any]:
    """Return the columns of a message in a room."""
    message, folded = row.message, row.folded
    assert message is not None
    assert folded is not None  # where there is a message, there is what to show of it
    attachment = message.attachment if folded.deleted_ms is None else None
    return {
        "id": message.id,
        "channel": message.channel,
        "author": message.author,
        "body": folded.body,
        "sent_at": message.sent_ms,
        "placed_at": row.placed_ms,
        "archived_at": None,
        "reply_to": message.reply_to,
        "bot": message.bot,
        "source": message.source,
        "edited_at": folded.edited_ms,
        "deleted_at": folded.deleted_ms,
        "pinned_at": folded.pinned_ms,
        "reactions": sum(map(len, folded.reactions.values())),
        "attachment_name": attachment and attachment.name,
        "attachment_type": attachment and attachment.type,
        "attachment_size": attachment and attachment.length,
        "partition": row.partition,
        "offset": row.offset,
        "rev": folded.rev,
    }


def to_frame(table: Any) -> pd.DataFrame:
    """Return a table of MESSAGE_SCHEMA as pandas has it."""
    name = "attachment_size"
    place = table.schema.get_field_index(name)
    # Arrow gives floating point where one is missing, which is nearly always.
    sizes = _integers(table[name])
    table = table.remove_column(place)
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    frame.insert(place, name, sizes)
    return frame


def _integers(column: Any) -> Any:
    count = len(column)
    if column.null_count == count:
        return pd.arrays.IntegerArray(np.zeros(count, dtype=np.int64), np.ones(count, dtype=bool))
    return pd.arrays.IntegerArray(
        column.fill_null(0).to_numpy().copy(), column.is_null().to_numpy().copy()
    )


def in_zone(table: Any, zone: str) -> Any:
    """Return a table with its dates in a zone, those that Python can't hold there as the nearest.

    Without a zone it is in UTC, as MESSAGE_SCHEMA has it.
    """
    for number, field in enumerate(table.schema):
        if field.type == DATE:
            dates = _in_zone(table[field.name], zone)
            table = table.set_column(number, field.with_type(dates.type), dates)
    return table


def _in_zone(dates: Any, zone: str) -> Any:
    margin = 0 if zone == "UTC" else DAY_MS  # its clocks may be that far from UTC
    least, most = FIRST_MS + margin, LAST_MS - margin
    count = dates.cast(pa.int64())
    found = pc.min_max(count).as_py()
    if found["min"] is not None and (found["min"] < least or found["max"] > most):
        count = pc.max_element_wise(count, least, skip_nulls=False)
        count = pc.min_element_wise(count, most, skip_nulls=False)
    return count.cast(pa.timestamp("ms", tz=zone))
