"""Documents of messages as MongoDB sends them, in time and without a dict of each."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import pymongo
from pymongo import CursorType
from pymongo.collection import Collection

from chatkit.segments import columns

__all__ = ["READ_SECONDS", "raw_batches"]

READ_SECONDS = 3600.0
"""How long MongoDB may work on one load; it would else stop after ``mongo_timeout`` in all."""


def raw_batches(
    messages: Collection[Any], where: dict[str, Any], *, searching: bool = False, **options: Any
) -> Generator[bytes]:
    """Yield documents in BSON as MongoDB sends them, one after the other in each piece.

    They have only the fields that are decoded: leaving the others out costs MongoDB less than
    receiving and passing over them costs here.

    Parameters
    ----------
    messages : Collection
        The collection.
    where : dict
        A filter.
    searching : bool, default False
        Whether MongoDB has to look for what matches, so that any batch may take it long.
    **options
        Of ``find``. Without a limit it sends without being asked for each batch.
    """
    shown = dict.fromkeys(columns.FIELDS, 1)
    options = {
        "projection": shown,
        "batch_size": columns.BATCH_ROWS,
        "allow_disk_use": True,
        **options,
    }
    if "limit" not in options and not messages.database.client.is_mongos:
        options["cursor_type"] = CursorType.EXHAUST  # MongoDB's router may not know how
    found: Any = messages.find_raw_batches(where, **options)
    with contextlib.closing(found) as cursor:
        batch = _next(cursor, True)
        while batch is not None:
            if batch:
                yield batch
            batch = _next(cursor, searching)


def _next(cursor: Any, long: bool) -> bytes | None:
    """Return the next batch, or None; it may take READ_SECONDS, else ``mongo_timeout``."""
    with pymongo.timeout(READ_SECONDS) if long else contextlib.nullcontext():
        batch: bytes | None = next(cursor, None)
    return batch
