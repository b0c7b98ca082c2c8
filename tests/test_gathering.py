"""Columns of many parts, put in an order block by block."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.history import gathering
from chatkit.history.gathering import gathered


@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    seed=st.integers(0, 2**32),
    shuffled=st.booleans(),
)
def test_rows_are_where_taking_all_at_once_has_them(counts, seed, shuffled):
    chance = random.Random(seed)
    numbers = iter(range(1000))
    parts = [
        pa.table({"n": [next(numbers) for _ in range(count)]}, pa.schema([("n", pa.int64())]))
        for count in counts
    ]
    parts = [
        part.append_column(
            "text", pa.array([f"text {n.as_py()}" * 3 for n in part["n"]], pa.string())
        )
        for part in parts
    ]
    whole = pa.concat_tables(parts)
    rows = chance.sample(range(len(whole)), chance.randint(0, len(whole)))
    order = pa.array(rows if shuffled else sorted(rows), pa.int64())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathering, "BLOCK", 4)
        left: list[pa.Table | None] = list(parts)
        found = gathered(left, [["n"], ["text"]], order.to_numpy())
    for name, column in found.items():
        assert column.to_pylist() == whole[name].take(order).to_pylist()
    needed = [number for number, part in enumerate(parts) if set(part["n"].to_pylist()) & set(rows)]
    assert [number for number, part in enumerate(left) if part is None] == needed
