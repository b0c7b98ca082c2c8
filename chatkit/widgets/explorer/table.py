"""A DataFrame on a page, as text alone: names in it are other people's."""

from __future__ import annotations

from importlib import resources
from typing import Any

import anywidget
import numpy as np
import pandas as pd
import traitlets
from pandas.api.types import is_bool_dtype, is_float_dtype, is_numeric_dtype

__all__ = ["TableView"]

MOST_ROWS = 300
MOST_LETTERS = 300


class TableView(anywidget.AnyWidget):
    """Shows the first rows of a DataFrame. Thread-safe as traits are; nothing to close."""

    _esm = resources.files(__package__).joinpath("table.js").read_text(encoding="utf-8")
    content = traitlets.Dict({}).tag(sync=True)

    def show(self, table: pd.DataFrame, *, tiles: bool = False) -> None:
        """Show a frame.

        Parameters
        ----------
        table : pandas.DataFrame
            The first 300 rows are shown, and said of how many.
        tiles : bool, default False
            Show the only row as tiles, side by side, instead.
        """
        shown = table.head(MOST_ROWS)
        columns = [_texts(shown[name]) for name in shown.columns]
        more = len(table) - len(shown)
        self.content = {
            "columns": [
                {"name": str(name).replace("_", " "), "number": is_numeric_dtype(table[name])}
                for name in table.columns
            ],
            "rows": [list(row) for row in zip(*columns, strict=True)],
            "caption": f"The first {len(shown):,} of {len(table):,} rows" if more else "",
            "tiles": tiles,
        }


def _texts(column: pd.Series[Any]) -> list[str]:
    """Return values as people read them."""
    if is_bool_dtype(column.dtype):
        return ["yes" if value else "" for value in column]
    if is_float_dtype(column.dtype):
        return ["" if pd.isna(value) else f"{value:,.3g}" for value in column]
    if is_numeric_dtype(column.dtype):
        return ["" if pd.isna(value) else f"{value:,}" for value in column]
    return [_text(value) for value in column]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(map(str, value))[:MOST_LETTERS]
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        whole_day = value.tzinfo is None and value == value.normalize()
        return f"{value:%Y-%m-%d}" if whole_day else f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, pd.Timedelta):
        return str(value).replace("0 days ", "").split(".")[0]
    return str(value)[:MOST_LETTERS]
