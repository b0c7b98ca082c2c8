"""An Arrow stream, checked and measured before it is unpacked.

Knows the format, and nothing of frames but what pandas notes of their dtypes in a stream.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from typing import Any

from chatkit.errors import InputError

__all__ = ["check_metadata", "measure_stream", "value_sizes"]

LABEL_LIMIT = 1000  # characters of a column's name
OBJECT_BYTES = 100  # about what a value takes that is an object of Python's


def value_sizes(field: Any, *, top: bool = True) -> Iterator[int]:
    """Yield about how many bytes a value takes, for a field and all within it, as Arrow counts.

    Parameters
    ----------
    field : pyarrow.Field
        Of the stream's schema.
    top : bool, default True
        Whether it is a column, not within one.

    Raises
    ------
    InputError
        It is of a type that is not taken from others.
    """
    import pyarrow as pa

    kind = field.type
    if len(field.name) > LABEL_LIMIT:
        raise InputError(f"The name of a column has over {LABEL_LIMIT:,} characters")
    foreign = (field.metadata or {}).get(b"ARROW:extension:name")
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name not in {"pandas.period", "pandas.interval"}:
            foreign = kind.extension_name.encode()
        kind = kind.storage_type
    if foreign:
        raise InputError(f"A column is of the foreign type {foreign[:80].decode(errors='replace')}")
    is_of = pa.types
    if top and is_of.is_dictionary(kind):
        list(value_sizes(pa.field("", kind.value_type)))
        yield 8
    elif is_of.is_list(kind) or is_of.is_large_list(kind) or is_of.is_struct(kind):
        yield OBJECT_BYTES
        for number in range(kind.num_fields):
            yield from value_sizes(kind.field(number), top=False)
    elif is_of.is_date(kind) or is_of.is_time(kind):
        yield OBJECT_BYTES
    elif is_of.is_primitive(kind) or is_of.is_null(kind):
        yield 8
    elif any(
        check(kind)
        for check in (
            is_of.is_string,
            is_of.is_large_string,
            is_of.is_binary,
            is_of.is_large_binary,
            is_of.is_decimal,
        )
    ):
        yield OBJECT_BYTES
    else:  # among them those in which a few bytes may stand for any number of values
        raise InputError(f"A column is of type {str(kind)[:80]}, which is not taken from others")


# What pandas writes for its own dtypes. Others, such as numpy's V1000000000, may ask for any size.
_DTYPE = re.compile(
    r"object|bool|boolean|category|empty|(u?int|float|U?Int|Float)\d{1,3}|"
    r"(str|string)(\[\w+\])?|(datetime64|timedelta64)(\[[\w, /+:-]{1,60}\])?|"
    r"(period|interval)\[[\w, /+:\[\]-]{1,60}\]|"
    r"(u?int\d+|float|halffloat|double|bool|string|large_string|binary|date32|date64|"
    r"(timestamp|duration|time32|time64|decimal128|date32|date64)[\[(][\w, =/+:-]{1,60}[\])])"
    r"\[pyarrow\]"
)


def check_metadata(metadata: dict[bytes, bytes] | None) -> None:
    """Raise if what is said for pandas names a dtype that pandas did not write.

    Raises
    ------
    InputError
        It does. What Python itself raises where it is nothing of the sort is the caller's to tell.
    """
    if metadata is None or b"pandas" not in metadata:
        return
    about = json.loads(metadata[b"pandas"])  # with NaN, which is no JSON
    for column in [*about["columns"], *about["column_indexes"]]:
        if not _DTYPE.fullmatch(column["numpy_type"]):
            shown = column["numpy_type"][:80]
            raise InputError(f"A column is of dtype {shown!r}, which is not taken from others")


_FIELD_NODE = struct.Struct("<qq")
_BUFFER = struct.Struct("<qq")
_DICTIONARY, _BATCH, _VERSION_5 = 2, 3, 4


def measure_stream(data: bytes, kinds: list[int]) -> tuple[int, int]:
    """Return how many rows an Arrow stream has, and how many bytes these take once unpacked.

    Arrow would unpack whatever the lengths in the stream say, and says them to nobody. They are
    read here as arrow.apache.org/docs/format/Columnar.html (IPC) and flatbuffers.dev define them.

    Parameters
    ----------
    data : bytes
        The stream.
    kinds : list of int
        What `value_sizes` yields for its fields.

    Raises
    ------
    InputError
        The stream is cut off or damaged, or is not as it says.
    """
    import pyarrow as pa

    rows = packed = made = 0
    for message in pa.ipc.MessageReader.open_stream(data):
        head = message.metadata.to_pybytes()
        root = _follow(head, 0)
        if _scalar(head, root, 0, "<h") != _VERSION_5:
            raise InputError("The table is in an old version of Arrow's format")
        kind, batch = _scalar(head, root, 1, "<B"), _child(head, root, 2)
        if kind == _DICTIONARY:
            batch = _child(head, batch, 1)
        elif kind != _BATCH:
            continue
        nodes = [length for length, _ in _structs(head, batch, 1, _FIELD_NODE)]
        sizes = [OBJECT_BYTES] * len(nodes) if kind == _DICTIONARY else kinds
        length = _scalar(head, batch, 0, "<q")
        if len(nodes) != len(sizes) or min([length, *nodes]) < 0:
            raise InputError("The table has other columns than it says")
        if kind == _BATCH:
            rows += length
        made += max(length * 8, sum(map(int.__mul__, nodes, sizes)))
        is_packed = _field(head, batch, 3) is not None
        packed += sum(_lengths(head, batch, message.body, is_packed=is_packed))
    return rows, max(packed, made)


def _lengths(head: bytes, batch: int, body: Any, *, is_packed: bool) -> Iterator[int]:
    """Yield how long the buffers of a batch are once unpacked."""
    for offset, length in _structs(head, batch, 2, _BUFFER):
        if not 0 <= offset <= offset + length <= body.size:
            raise InputError("The table is cut off")
        if length and is_packed:
            unpacked = int.from_bytes(body.slice(offset, 8).to_pybytes(), "little", signed=True)
            if unpacked < -1:
                raise InputError("The table is damaged")
            yield length if unpacked == -1 else unpacked
        else:
            yield length


def _number(data: bytes, at: int, form: str) -> int:
    if at < 0:  # which Python would count from the end
        raise InputError("The table is damaged")
    return int(struct.unpack_from(form, data, at)[0])


def _follow(data: bytes, at: int) -> int:
    return at + _number(data, at, "<I")


def _field(data: bytes, table: int, number: int) -> int | None:
    """Return where a field of a flatbuffer's table is, or None if it is left out."""
    layout = table - _number(data, table, "<i")
    if 4 + 2 * number + 2 > _number(data, layout, "<H"):
        return None
    offset = _number(data, layout + 4 + 2 * number, "<H")
    return table + offset if offset else None


def _scalar(data: bytes, table: int, number: int, form: str) -> int:
    at = _field(data, table, number)
    return 0 if at is None else _number(data, at, form)


def _child(data: bytes, table: int, number: int) -> int:
    at = _field(data, table, number)
    if at is None:
        raise InputError("The table is damaged")
    return _follow(data, at)


def _structs(data: bytes, table: int, number: int, form: struct.Struct) -> list[tuple[int, int]]:
    at = _field(data, table, number)
    if at is None:
        return []
    start = _follow(data, at)
    count = _number(data, start, "<I")
    if start + 4 + count * form.size > len(data):
        raise InputError("The table is cut off")
    return list(form.iter_unpack(data[start + 4 : start + 4 + count * form.size]))
