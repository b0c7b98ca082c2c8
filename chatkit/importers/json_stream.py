"""Large JSON files, read a value at a time: memory stays flat whatever their size."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Collection, Iterator, Sized
from pathlib import Path
from typing import IO, Any

import ijson

from chatkit.importers import open_first

__all__ = ["BEGIN", "READ_ERRORS", "reason", "walk"]

READ_ERRORS = (ijson.JSONError, OSError)
"""What reading a file that is broken, or no JSON, raises."""
BEGIN = object()
"""Stands for the beginning of a list."""
DEEPEST = 64  # lists and objects in each other; no export has more than ten
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|.)", re.DOTALL)
_LONGEST = 3  # bytes of an escape that may be cut off at the end of a chunk


class _Repaired:
    r"""A file without its byte order mark, and with ``\u001f`` for the ``\x1f`` that some write."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._rest = file.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)

    def read(self, size: int = -1) -> bytes:
        """Return some bytes more; none at the end."""
        if size == 0:  # asked for at first, to see whether it gives bytes
            return b""
        data = self._rest + self._file.read(size)
        self._rest = b""
        while b"\\" in data[-_LONGEST:]:
            more = self._file.read(1)
            if not more:
                break
            data += more
        return _ESCAPE.sub(_without_x, data) if b"\\x" in data else data


def _without_x(match: re.Match[bytes]) -> bytes:
    return match[0] if match[1] is None else b"\\u00" + match[1]


def walk(
    path: Path,
    streamed: Collection[str],
    opened: Callable[[Path], IO[bytes]] = open_first,
) -> Iterator[tuple[str, Any]]:
    """Yield what is in a file: single values, and the elements of some lists as they are.

    Parameters
    ----------
    path : Path
        The file.
    streamed : collection of str
        Places of lists, such as ``messages`` or ``chats.list.item.messages``; ``item`` stands for
        the elements of a list above.
    opened : callable
        Opens the file: `chatkit.importers.open_first`, or `open_bytes` where it is imported.

    Yields
    ------
    (str, Any)
        A place, and: `BEGIN` where one of these lists begins, then each of its elements; anywhere
        else a text, number, truth value or None.

    Raises
    ------
    ijson.JSONError, OSError
        The file is broken from here on, or can't be read; `READ_ERRORS` has both.
    """
    with opened(path) as file:
        events = ijson.basic_parse(_Repaired(file))
        place: list[str] = []
        for event, value in events:
            if event == "map_key":
                place[-1] = value
            elif event in ("end_map", "end_array"):
                place.pop()
            elif event == "start_array" and ".".join(place) in streamed:
                here = ".".join(place)
                yield here, BEGIN
                for element in _elements(events):
                    yield here, element
            elif event in ("start_map", "start_array"):
                _refuse_deep(place)
                place.append("" if event == "start_map" else "item")
            else:
                yield ".".join(place), value


def _elements(events: Iterator[tuple[str, Any]]) -> Iterator[Any]:
    """Yield the elements of a list that has just begun, until it ends."""
    above: list[Any] = []
    holder: Any = None
    key = ""
    for event, value in events:
        if event == "map_key":
            key = value
        elif event in ("end_map", "end_array"):
            if holder is None:
                return
            whole, holder = holder, above.pop()
            if holder is None:
                yield whole
        else:
            begins = event in ("start_map", "start_array")
            new = value if not begins else {} if event == "start_map" else []
            if isinstance(holder, list):
                holder.append(new)
            elif holder is not None:
                holder[key] = new
            elif not begins:
                yield new
            if begins:
                _refuse_deep(above)
                above.append(holder)
                holder = new


def _refuse_deep(above: Sized) -> None:
    if len(above) >= DEEPEST:
        raise ijson.JSONError("nested too deeply")


def reason(error: Exception) -> str:
    """Return what is wrong with a file, in a line."""
    text = str(error).removeprefix("b'").replace("\\n", "\n")
    return " ".join(text.partition("\n")[0].split()).strip("'\" ")
