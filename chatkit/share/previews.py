"""What the transcript shows of an attachment, small and plain."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

from chatkit.errors import InputError
from chatkit.message import Attachment
from chatkit.share.bad_data import telling
from chatkit.share.figures import decode_figure
from chatkit.share.kinds import CODE_TYPE, kind_of
from chatkit.share.pictures import measure_picture
from chatkit.share.shared import Shared
from chatkit.share.sources import read_text
from chatkit.share.tables import first_rows

__all__ = ["PREVIEW_LIMIT", "preview"]

PREVIEW_LIMIT = 20_000
"""Bytes of JSON that a preview may have."""

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
        match kind_of(shared.type):
            case "table":
                return _preview_frame(data)
            case "figure":
                return _preview_figure(data)
            case "image":
                width, height = measure_picture(data, shared.type)
                return {"kind": "image", "width": width, "height": height}
            case "source":
                language = _text(shared.type.removeprefix(CODE_TYPE), 32)
                text = read_text(data)
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

    frame, rows = first_rows(data, ROWS)
    with telling("It is no table that can be shown"):
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
    document = decode_figure(data)
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
