"""Arrow tables of messages -> one table in the archive's order, each message once."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chatkit.segments.columns import MESSAGE_SCHEMA

__all__ = ["in_order"]

_LARGEST = ("id", "body")
_KEYS = ("placed_at", "partition", "offset")


def in_order(parts: list[Any], stale_ids: Any | None = None, instead: Any | None = None) -> Any:
    """Return messages as one table, its rows in the archive's order; the list is empty afterwards.

    Parameters
    ----------
    parts : list
        Tables of MESSAGE_SCHEMA, and what else has such columns by name, as `Copy` has. No message
        is in two of them.
    stale_ids : pyarrow.ChunkedArray, optional
        Ids of messages to leave out of the parts.
    instead : pyarrow.Table, optional
        Of MESSAGE_SCHEMA: what is there besides, also of these ids.

    Returns
    -------
    pyarrow.Table
        Each column in one piece.
    """
    stale = None
    if stale_ids is not None and len(stale_ids):
        stale = pc.is_in(_column(parts, "id"), stale_ids.combine_chunks()).to_numpy()
    if instead is not None:
        parts.append(instead)
        if stale is not None:
            stale = np.append(stale, np.zeros(len(instead), dtype=bool))
    order = _order(parts)
    if stale is not None and stale.any():
        order = np.flatnonzero(~stale) if order is None else order[~stale[order]]
    rows = None if order is None else pa.array(order)

    def taken(name: str) -> Any:
        found = _column(parts, name)
        if found.null_count == len(found):
            return pa.nulls(len(found) if rows is None else len(rows), found.type)
        found = found.combine_chunks()
        return found if rows is None else found.take(rows)

    # Two columns at a time, and the largest while nothing else is there, so that memory never
    # holds all of them twice.
    names = sorted(MESSAGE_SCHEMA.names, key=lambda name: name not in _LARGEST)
    with ThreadPoolExecutor(2, "chatkit-history") as pool:
        columns = dict(zip(names, pool.map(taken, names), strict=True))
    parts.clear()
    return pa.table([columns[name] for name in MESSAGE_SCHEMA.names], schema=MESSAGE_SCHEMA)


def _column(parts: list[Any], name: str) -> Any:
    """Return a column of all parts."""
    chunks = [chunk for part in parts for chunk in part[name].chunks]
    return pa.chunked_array(chunks, MESSAGE_SCHEMA.field(name).type)


def _order(parts: list[Any]) -> Any | None:
    """Return where the rows of all parts go, or None if they are in order."""
    keys = [_column(parts, name).cast(pa.int64()).to_numpy() for name in _KEYS]
    count = len(keys[0])
    keys = _joined([key for key in keys if len(key) and key.min() != key.max()])
    order = None
    if not _rising(keys):
        # Of one key this finds what is in order already, and takes a third of the time.
        order = np.argsort(keys[0], kind="stable") if len(keys) == 1 else np.lexsort(keys[::-1])
    keys = [key if order is None else key[order] for key in keys]
    # Of messages at one place in several channels, the ids decide.
    same = np.ones(max(count - 1, 0), dtype=bool)
    for key in keys:
        same &= key[1:] == key[:-1]
    if not same.any():
        return order
    order = np.arange(count) if order is None else order
    among = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    rows = order[among]
    # Which run of equal ones each belongs to.
    run = np.cumsum(~np.insert(same, 0, False)[among])
    tied = pa.table({"run": run, "id": _ids(parts, rows)})
    by_id = pc.sort_indices(tied, sort_keys=[("run", "ascending"), ("id", "ascending")])
    order[among] = rows[by_id.to_numpy()]
    return order


def _ids(parts: list[Any], rows: Any) -> Any:
    """Return the ids in some rows of all parts, without unpacking those of the others."""
    ends = np.cumsum([part.num_rows for part in parts])
    which = np.searchsorted(ends, rows, side="right")
    by_part = np.argsort(which, kind="stable")
    found = []
    for number in np.unique(which):
        here = rows[by_part][which[by_part] == number] - (ends[number] - parts[number].num_rows)
        found += parts[number]["id"].take(pa.array(here)).chunks
    back = np.empty_like(by_part)
    back[by_part] = np.arange(len(by_part))
    return pa.chunked_array(found).take(pa.array(back))


def _joined(keys: list[Any]) -> list[Any]:
    """Return keys as one that sorts the same, if that fits into 64 bits."""
    spans = [int(key.max()) - int(key.min()) + 1 for key in keys]
    if len(keys) < 2 or math.prod(spans) >= 2**63:
        return keys
    joined = np.zeros(len(keys[0]), dtype=np.int64)
    for key, span in zip(keys, spans, strict=True):
        joined *= span
        joined += key - key.min()
    return [joined]


def _rising(keys: list[Any]) -> bool:
    """Return whether no row comes before the one above it."""
    if not keys:
        return True
    equal = np.ones(len(keys[0]) - 1, dtype=bool)
    for key in keys:
        if (equal & (key[1:] < key[:-1])).any():
            return False
        equal &= key[1:] == key[:-1]
    return True
