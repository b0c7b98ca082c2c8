"""Columns of many parts -> the same in an order, a block of rows at a time.

A part is unpacked when its first row is needed and forgotten after its last one, so that little is
here twice.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["gathered"]

LASTING = pa.system_memory_pool()
"""For what stays: it takes no more than it needs, and what passes uses the other's memory again."""

BLOCK = 1 << 16
"""Rows to put in order at a time: so many lie in the processor's cache."""


def gathered(parts: list[Any], groups: Sequence[Sequence[str]], order: Any) -> dict[str, Any]:
    """Return columns of all parts in an order, by name.

    Parameters
    ----------
    parts : list of pyarrow.Table or Copy
        What has ``select`` and ``num_rows``; at least one. None takes the place of each that has
        been done with.
    groups : sequence of sequences of str
        Names of columns. Those of a group are unpacked together; two groups are worked at at the
        same time.
    order : numpy.ndarray of int64
        The rows, counted as if all parts were one below the other.
    """
    blocks = _Blocks([part.num_rows for part in parts], order)
    holders: Counter[int] = Counter()
    lock = threading.Lock()

    def done(number: int) -> None:
        with lock:
            holders[number] += 1
            if holders[number] == len(groups):
                parts[number] = None

    def group(names: Sequence[str]) -> Any:
        found: list[Any] = []
        held: dict[int, Any] = {}
        for block in blocks:
            pieces = []
            for number, rows in block.pieces:
                if number not in held:
                    held[number] = parts[number].select(names)
                part = held[number]
                if isinstance(rows, slice):
                    pieces.append(part.slice(rows.start, rows.stop - rows.start))
                else:
                    pieces.append(part.take(rows))
            found.append(_in_places(pa.concat_tables(pieces), block.places))
            for number in block.done:
                del held[number]
                done(number)
        return pa.concat_tables(found or [parts[0].select(names).slice(0, 0)])

    columns: dict[str, Any] = {}
    with ThreadPoolExecutor(2, "chatkit-history") as pool:
        for table in pool.map(group, groups):
            columns.update(zip(table.column_names, table.columns, strict=True))
    return columns


class _Block(msgspec.Struct, frozen=True):
    """Some rows of the order, one after the other."""

    pieces: list[tuple[int, Any]]
    """Of each part that has some of them: its number, and the slice or the rows to take."""
    places: Any
    """Where the rows are in the pieces, one below the other."""
    done: list[int]
    """The parts of which no later block has rows."""


class _Blocks:
    """An order of all parts' rows in blocks, each reckoned once for all threads that take it."""

    def __init__(self, counts: Sequence[int], order: Any) -> None:
        kind = np.int16 if len(counts) < 2**15 else np.int32  # what is short is sorted faster
        self._of_part = np.repeat(np.arange(len(counts), dtype=kind), counts)[order]
        starts = np.insert(np.cumsum(counts), 0, 0)
        self._rows = order - starts[self._of_part]
        self._last = np.full(len(counts), -1)
        self._last[self._of_part] = np.arange(len(order))
        self._known: list[_Block] = []
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[_Block]:
        for number in range(-(-len(self._rows) // BLOCK)):
            with self._lock:
                if number == len(self._known):
                    self._known.append(self._block(number * BLOCK))
            yield self._known[number]

    def _block(self, start: int) -> _Block:
        parts = self._of_part[start : start + BLOCK]
        by_part = np.argsort(parts, kind="stable")
        rows = self._rows[start : start + BLOCK][by_part]
        bounds = np.flatnonzero(np.diff(parts[by_part], prepend=-1, append=-1))
        pieces: list[tuple[int, Any]] = []
        places = np.empty(len(parts), dtype=np.int64)
        height = 0
        for begin, end in pairwise(bounds.tolist()):
            some = rows[begin:end]
            first, behind = int(some.min()), int(some.max()) + 1
            if behind - first <= 2 * len(some):
                piece, within = slice(first, behind), some - first
            else:
                piece, within = pa.array(some), np.arange(len(some))
            pieces.append((int(parts[by_part[begin]]), piece))
            places[by_part[begin:end]] = height + within
            height += behind - first if isinstance(piece, slice) else len(some)
        done = [number for number, _ in pieces if self._last[number] < start + BLOCK]
        return _Block(pieces, pa.array(places), done)


def _in_places(table: Any, places: Any) -> Any:
    """Return the rows of a table in an order, each column in one piece."""
    columns = [
        pc.take(column.combine_chunks(), places, memory_pool=LASTING) for column in table.columns
    ]
    return pa.table(columns, schema=table.schema)
