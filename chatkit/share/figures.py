"""Plotly's figures as their JSON, and back; what a browser would fetch to show one."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from chatkit.errors import InputError
from chatkit.message import ATTACHMENT_LIMIT, Attachment
from chatkit.share.bad_data import telling
from chatkit.share.kinds import ADVICE, FIGURE_TYPE

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["decode_figure", "pack_figure", "read_figure"]

VALUES_LIMIT = 200_000
"""Values of a figure that are not packed as numbers; plotly takes seconds to check so many."""
OBJECTS_LIMIT = 20_000
DEPTH_LIMIT = 40
_NUMBERS = {"i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"}
MAPS = {
    "choropleth",
    "choroplethmap",
    "choroplethmapbox",
    "densitymap",
    "densitymapbox",
    "scattergeo",
    "scattermap",
    "scattermapbox",
}
"""Types of traces for which plotly fetches a map."""


def pack_figure(figure: Any) -> Attachment:
    """Return a figure of plotly's as its JSON.

    Raises
    ------
    InputError
        It can't be written, or has more than plotly draws in a moment.
    """
    values = (trace[key] for trace in getattr(figure, "data", ()) for key in trace)
    size = sum(getattr(value, "nbytes", 0) for value in values)
    # The smallest form of a number is an eighth of the largest: this needs no writing to be told.
    if size > 8 * ATTACHMENT_LIMIT:
        raise InputError(
            f"The figure has {size:,} bytes of numbers; the limit is {ATTACHMENT_LIMIT:,}. "
            + ADVICE["figure"]
        )
    with telling("The figure can't be written as JSON"):
        data = figure.to_json().encode()
    if len(data) <= ATTACHMENT_LIMIT:
        decode_figure(data)
    return Attachment(name="figure.json", type=FIGURE_TYPE, data=data)


def decode_figure(data: bytes) -> dict[str, Any]:
    """Return a figure's JSON, its packed numbers as arrays.

    Raises
    ------
    InputError
        It is no plotly figure, or has more than plotly draws in a moment.
    """
    with telling("It is no plotly figure"):
        document = msgspec.json.decode(data)
        if not isinstance(document, dict) or not isinstance(document.get("data"), list):
            raise InputError("It is no plotly figure: it has no list of traces")
        if unknown := document.keys() - {"data", "layout", "frames"}:
            raise InputError(f"It is no plotly figure: it has {min(unknown)[:80]!r}")
        counts = {"values": 0, "objects": 0}
        figure: dict[str, Any] = _unpack(document, counts, 0)
        return figure


def _unpack(value: Any, counts: dict[str, int], depth: int) -> Any:
    """Return a value of JSON with packed numbers as arrays, unless it is too large for plotly."""
    counts["values"] += 1
    counts["objects"] += isinstance(value, dict)
    if counts["values"] > VALUES_LIMIT or counts["objects"] > OBJECTS_LIMIT or depth > DEPTH_LIMIT:
        raise InputError(
            f"The figure has over {VALUES_LIMIT:,} values, {OBJECTS_LIMIT:,} parts or "
            f"{DEPTH_LIMIT} levels. {ADVICE['figure']}"
        )
    if isinstance(value, list):
        return [_unpack(one, counts, depth + 1) for one in value]
    if isinstance(value, dict):
        if "bdata" in value:
            return _unpack_numbers(value)
        return {key: _unpack(one, counts, depth + 1) for key, one in value.items()}
    return value


def _unpack_numbers(packed: dict[str, Any]) -> Any:
    import numpy as np

    kind, shape = packed.get("dtype"), packed.get("shape")
    if kind not in _NUMBERS:
        raise InputError(f"The figure has numbers of the unknown type {str(kind)[:20]!r}")
    try:
        array = np.frombuffer(base64.b64decode(packed["bdata"], validate=True), dtype=f"<{kind}")
        if shape is None:
            return array
        return array.reshape([int(length) for length in str(shape).split(",")])
    except (binascii.Error, TypeError, ValueError) as error:
        raise InputError("The figure has packed numbers that are damaged") from error


def read_figure(data: bytes, *, network: bool) -> go.Figure:
    """Return the figure that JSON from anybody holds.

    Parameters
    ----------
    data : bytes
        The JSON.
    network : bool
        Whether it may make a browser fetch something when it is shown.

    Raises
    ------
    InputError
        It is none, or would fetch something without being allowed to.
    """
    import plotly.graph_objects as go

    document = decode_figure(data)
    fetched = [] if network else sorted(set(_fetches(document)))
    if fetched:
        raise InputError(
            f"To show the figure, a browser would fetch {', '.join(fetched)}. Whoever answers "
            "learns who looks at it. If you trust who shared it: to_figure(network=True)"
        )
    with telling("It is no figure that plotly can draw"):
        figure = go.Figure(document)
        # One that has no template would get the reader's, and other colours with it.
        figure.layout.template = (document.get("layout") or {}).get("template")
        return figure


def _fetches(value: Any, *, is_template: bool = False, is_action: bool = False) -> Iterator[str]:
    """Yield what a browser would fetch for part of a figure, in words.

    Parameters
    ----------
    value : any
        The part, from JSON.
    is_template : bool, default False
        Whether it is a template's example of traces, which every figure has of every type.
    is_action : bool, default False
        Whether it is what a button or slider would set, there also by the name of a property.
    """
    if isinstance(value, str):
        if is_action and value in MAPS:
            yield "a map"
        if is_action and _last(value) in {"geojson", "source"}:
            yield "a picture from elsewhere"
        if "<" in value and _STYLED.search(_COLOURS.sub("", value)):
            yield "something that the style of a text names"
    elif isinstance(value, list):
        for one in value:
            yield from _fetches(one, is_template=is_template, is_action=is_action)
    elif isinstance(value, dict):
        for key, one in value.items():
            texts = [text for text in _flat(one) if isinstance(text, str)]
            last = _last(key)
            if last == "type" and not is_template and MAPS.intersection(texts):
                yield "a map"
            if last == "source" and not all(text.startswith("data:image/") for text in texts):
                yield "a picture from elsewhere"
            if last == "geojson" and texts:
                yield "a map"
            yield from _fetches(
                one,
                is_template=is_template or key == "template",
                is_action=is_action or last in {"args", "args2"},
            )


_COLOURS = re.compile(r"rgba?\([\d\s.,%]*\)")
# In CSS an address stands in brackets, which can also be written as an escape or an entity.
_STYLED = re.compile(r"<[^>]*style\s*=[^>]*[(\\&]", re.IGNORECASE)


def _last(key: str) -> str:
    """Return the last name of a property such as ``images[0].source``."""
    return key.rpartition(".")[2].partition("[")[0]


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value
