"""Arrow tables of messages -> one table in the archive's order, each message once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chatkit.history.gathering import gathered
from chatkit.segments.columns import MESSAGE_SCHEMA, repeated
from chatkit.segments.stored import KEYS, Copy

__all__ = ["in_order"]

_LARGEST = ("body", "id")


def in_order(parts: list[Any], stale_ids: Any | None = None, instead: Any | None = None) -> Any:
    """Return messages as one table, its rows in the archive's order; the list is empty afterwards.

    Parameters
    ----------
    parts : list of pyarrow.Table or Copy
        Tables of MESSAGE_SCHEMA, and segments. No message is in two of them.
    stale_ids : pyarrow.ChunkedArray, optional
        Ids of messages to leave out of the parts.
    instead : pyarrow.Table, optional
        Of MESSAGE_SCHEMA: what is there besides, also of these ids.
    """
    kept = None
    if stale_ids is not None and len(stale_ids):
        ids = pa.concat_tables(part.select(["id"]) for part in parts)["id"]
        stale = pc.is_in(ids, stale_ids.combine_chunks()).to_numpy()
        more = 0 if instead is None else len(instead)
        kept = np.append(np.flatnonzero(~stale), np.arange(len(stale), len(stale) + more))
        del ids, stale
    if instead is not None:
        parts.append(instead)
    found = pa.concat_tables(
        part.take_keys() if isinstance(part, Copy) else part.select(KEYS) for part in parts
    )
    keys = [found[name].cast(pa.int64()).to_numpy() for name in KEYS]
    del found
    order = _order(parts, keys, kept)
    count = len(keys[0]) if order is None else len(order)
    columns = {
        name: repeated(MESSAGE_SCHEMA.field(name).type, value, count)
        for name, value in _sole_values(parts).items()
    }
    for name, key in zip(KEYS, keys, strict=True):
        if name not in columns:
            column = pa.array(key if order is None else key[order])
            columns[name] = column.cast(MESSAGE_SCHEMA.field(name).type)
    del keys
    others = [name for name in MESSAGE_SCHEMA.names if name not in (*columns, *_LARGEST)]
    texts = [name for name in others if MESSAGE_SCHEMA.field(name).type == pa.large_string()]
    numbers = [name for name in others if name not in texts]
    groups = [*((name,) for name in _LARGEST), *filter(None, (texts, numbers))]
    if order is None:
        table = pa.concat_tables([part.select([*_LARGEST, *others]) for part in parts])
        columns.update(zip(table.column_names, table.columns, strict=True))
    else:
        columns.update(gathered(parts, groups, order))
    parts.clear()
    return pa.table([columns[name] for name in MESSAGE_SCHEMA.names], schema=MESSAGE_SCHEMA)


def _sole_values(parts: Sequence[Any]) -> dict[str, Any]:
    """Return the columns with the same value in all rows of all parts, and that."""
    by_part = [
        part.sole_values
        if isinstance(part, Copy)
        else {name: None for name in part.column_names if part[name].null_count == len(part)}
        for part in parts
        if part.num_rows
    ]
    if not by_part:
        return {}
    first, *others = by_part
    return {
        name: value
        for name, value in first.items()
        if all(name in one and one[name] == value for one in others)
    }


def _order(parts: list[Any], keys: list[Any], kept: Any | None = None) -> Any | None:
    """Return where the rows of all parts go, or None if they are in order.

    Of all rows only those that are kept, if some are not.
    """
    keys = keys if kept is None else [key[kept] for key in keys]
    count = len(keys[0])
    keys = _joined([key for key in keys if len(key) and key.min() != key.max()])
    order = None
    if not _rising(keys):
        # Rows with the same keys are put in order below.
        order = np.argsort(keys[0]) if len(keys) == 1 else np.lexsort(keys[::-1])
    keys = [key if order is None else key[order] for key in keys]
    # Of messages at one place in several channels, the ids decide.
    same = np.ones(max(count - 1, 0), dtype=bool)
    for key in keys:
        same &= key[1:] == key[:-1]
    if not same.any() and order is None:
        return kept
    rows = np.arange(count) if order is None else order
    rows = rows if kept is None else kept[rows]
    if same.any():
        among = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        # Which run of equal ones each belongs to.
        run = np.cumsum(~np.insert(same, 0, False)[among])
        tied = pa.table({"run": run, "id": _ids(parts, rows[among])})
        by_id = pc.sort_indices(tied, sort_keys=[("run", "ascending"), ("id", "ascending")])
        rows[among] = rows[among][by_id.to_numpy()]
    return rows


def _ids(parts: list[Any], rows: Any) -> Any:
    """Return the ids in some rows of all parts, without unpacking those of the others."""
    ends = np.cumsum([part.num_rows for part in parts])
    which = np.searchsorted(ends, rows, side="right")
    by_part = np.argsort(which, kind="stable")
    found = []
    for number in np.unique(which):
        here = rows[by_part][which[by_part] == number] - (ends[number] - parts[number].num_rows)
        found += parts[number].select(["id"])["id"].take(pa.array(here)).chunks
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
