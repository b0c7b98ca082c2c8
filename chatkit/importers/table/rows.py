"""The rows of a CSV or JSON Lines file, one at a time, each with the line where it begins."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec

from chatkit.errors import ImportFormatError
from chatkit.importers import Item, open_bytes, open_first
from chatkit.importers.reading import Place

__all__ = ["Dialect", "Table", "open_table"]

LINE_LIMIT = 16 * 1024 * 1024
"""Characters that a line may have; also a cell."""
RECORD_LINES = 20_000
"""Lines that a text in quotes may have."""
HEAD_BYTES = 64 * 1024
HEAD_OBJECTS = 100
DELIMITERS = ",;\t|"
JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
UNENDED = "a quote that never ends"
INVALID = "bytes that are no text in this encoding replaced by U+FFFD"

Row = tuple[int, Mapping[str, Any]]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is written, where it is to be told."""

    delimiter: str | None = None
    """Between the cells of a CSV file; None: as the file's beginning tells."""
    quote: str = '"'
    """Around a cell of a CSV file that has one of these, or a line's end, in it; empty: none is."""
    header: bool = True
    """Whether the first row has the columns' names; else they are ``1``, ``2``, ..."""
    encoding: str = "utf-8"
    """Where no byte order mark tells it."""


class Table:
    """A file with rows. It is opened anew for each reading of it."""

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self.path = path
        self._dialect = dialect
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        marks = (name for mark, name in BOMS.items() if head.startswith(mark))
        self._encoding = next(marks, dialect.encoding)
        text = head.decode(self._encoding, "replace").removeprefix("\ufeff")
        first = text.lstrip()[:1]
        if first == "[" and (
            path.suffix.lower() in JSON_SUFFIXES or text.lstrip()[1:].lstrip()[:1] == "{"
        ):
            raise ImportFormatError(
                f"{path.name} is one JSON array; give a file with an object on each line, such as "
                "jq -c '.[]' makes of it"
            )
        self.json = first == "{" or path.suffix.lower() in JSON_SUFFIXES
        """Whether it is JSON Lines; else CSV."""
        self.delimiter = dialect.delimiter or _delimiter(text, dialect.quote)
        """Between the cells, if it is CSV."""
        self.columns = self._columns()
        """Names of its columns; of JSON Lines those of the first 100 objects."""

    def rows(self) -> Iterator[Row | Item]:
        """Yield the rows, and what is wrong with those that can't be read.

        Yields
        ------
        tuple of int and mapping, Skipped or Mended
            The line where it begins, from 0, and its values by their columns' names.

        Raises
        ------
        OSError
            The file can't be read any further.
        """
        with self._opened(open_bytes) as lines:
            yield from self._objects(lines) if self.json else self._records(lines)

    def _columns(self) -> list[str]:
        with self._opened(open_first) as lines:
            if self.json:
                found = (item[1] for item in self._objects(lines) if isinstance(item, tuple))
                names = (key for values in islice(found, HEAD_OBJECTS) for key in values)
                return list(dict.fromkeys(names))
            records = _Records(lines, self.delimiter, self._dialect.quote)
            first = next((one for one in records.read() if isinstance(one, tuple)), None)
        if first is None:
            return []
        if not self._dialect.header:
            return [str(number) for number in range(1, len(first[1]) + 1)]
        return _once_each(name.strip() for name in first[1])

    @contextmanager
    def _opened(self, opened: Callable[[Path], IO[bytes]]) -> Iterator[_Lines]:
        # "surrogateescape" so that what is no text can be told from what is.
        with (
            opened(self.path) as file,
            io.TextIOWrapper(file, self._encoding, "surrogateescape", newline="") as text,
        ):
            yield _Lines(text, self.path.name)

    def _objects(self, lines: _Lines) -> Iterator[Row | Item]:
        for number, line in lines.read():
            yield from lines.notes()
            if not line.strip():
                continue
            place = Place(lines.name, number)
            try:
                # Their own digits: as floating point ids and times would change.
                found = json.loads(line, parse_float=str, parse_constant=str)
            except (ValueError, RecursionError) as error:
                yield place.skipped("not JSON", detail=str(error), lost=True)
                continue
            if isinstance(found, dict):
                yield number, found
            else:
                yield place.skipped("not an object", lost=True)
        yield from lines.notes()

    def _records(self, lines: _Lines) -> Iterator[Row | Item]:
        records = _Records(lines, self.delimiter, self._dialect.quote, len(self.columns))
        begun = not self._dialect.header
        for record in records.read():
            if not isinstance(record, tuple):
                yield record
            elif begun:
                yield record[0], dict(zip(self.columns, record[1], strict=True))
            begun = True


class _Lines:
    """The lines of a file as text, with what is wrong with their bytes."""

    def __init__(self, text: IO[str], name: str) -> None:
        self.name = name
        self._text = text
        self._notes: list[Item] = []
        self._pushed: deque[tuple[int, str]] = deque()
        self._number = -1

    def read(self) -> Iterator[tuple[int, str]]:
        """Yield each line with its number, from 0; those given back come first."""
        while (line := self.next()) is not None:
            yield line

    def next(self) -> tuple[int, str] | None:
        """Return the next line; None at the end."""
        if self._pushed:
            return self._pushed.popleft()
        while line := self._text.readline(LINE_LIMIT):
            self._number += 1
            if self._number == 0:
                line = line.removeprefix("\ufeff")
            if len(line) < LINE_LIMIT or line.endswith(("\n", "\r")):
                return self._number, self._valid(line)
            while (rest := self._text.readline(LINE_LIMIT)) and not rest.endswith(("\n", "\r")):
                pass
            place = Place(self.name, self._number)
            self._notes.append(place.skipped("line too long", lost=True))
        return None

    def push(self, lines: Iterable[tuple[int, str]]) -> None:
        """Give lines back, to be read again."""
        self._pushed.extendleft(reversed(list(lines)))

    def notes(self) -> list[Item]:
        """Return what was wrong since last asked."""
        notes, self._notes = self._notes, []
        return notes

    def _valid(self, line: str) -> str:
        if line.isascii():
            return line
        try:
            line.encode()
        except UnicodeEncodeError:
            self._notes.append(Place(self.name, self._number).mended(INVALID))
            return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return line


class _Records:
    """The records of a CSV file, of a line or, with texts in quotes, of several.

    A quote that never ends would take all that follows it for one text. So a record of several
    lines that is not well formed costs its first line only.
    """

    def __init__(self, lines: _Lines, delimiter: str, quote: str, cells: int | None = None) -> None:
        # It only refuses less than before, here and wherever else the process reads CSV.
        csv.field_size_limit(max(csv.field_size_limit(), LINE_LIMIT))
        self._lines = lines
        self._form = _form(delimiter, quote)
        self._cells = cells
        self._used: list[tuple[int, str]] = []
        self._ended = False

    def read(self) -> Iterator[tuple[int, Sequence[str]] | Item]:
        """Yield each record with the line where it begins, and what is wrong with others."""
        reader = self._reader()
        while True:
            self._used.clear()
            self._ended = False
            record: list[str] = []
            trouble = ""
            try:
                record = next(reader)
            except StopIteration:
                yield from self._lines.notes()
                return
            except (csv.Error, _TooManyLinesError) as error:
                trouble = str(error)
            yield from self._lines.notes()
            if self._ended or (len(self._used) > 1 and record and not self._is_well_formed()):
                trouble = UNENDED
            number = self._used[0][0]
            detail = ""
            if trouble:
                self._lines.push(self._used[1:])
                reader = self._reader()
            elif record and self._cells not in (None, len(record)):
                trouble = "too few cells" if len(record) < (self._cells or 0) else "too many cells"
                detail = f"{len(record)} of {self._cells}"
            elif record:
                yield number, record
            if trouble:
                yield Place(self._lines.name, number).skipped(trouble, detail=detail, lost=True)

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), **self._form)

    def _feed(self) -> Iterator[str]:
        """Yield lines to the reader, which asks for as many as a record has."""
        while (line := self._lines.next()) is not None:
            if len(self._used) >= RECORD_LINES:
                self._used.append(line)
                raise _TooManyLinesError
            self._used.append(line)
            yield line[1]
        self._ended = bool(self._used)

    def _is_well_formed(self) -> bool:
        texts = (text for _, text in self._used)
        strict = csv.reader(texts, **self._form, strict=True)
        try:
            return sum(1 for _ in strict) == 1
        except csv.Error:
            return False


class _TooManyLinesError(Exception):
    def __str__(self) -> str:
        return UNENDED


def _form(delimiter: str, quote: str) -> dict[str, Any]:
    """Return how a CSV file is written, as the reader wants it."""
    if not quote:
        return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE}
    return {"delimiter": delimiter, "quotechar": quote}


def _once_each(names: Iterable[str]) -> list[str]:
    """Return names, with a number behind those that were there before."""
    found: list[str] = []
    for name in names:
        same = sum(other == name or other.startswith(f"{name} (") for other in found)
        found.append(f"{name} ({same + 1})" if same else name)
    return found


def _delimiter(text: str, quote: str) -> str:
    """Return what is between the cells: what gives most of the first rows as many as the first."""

    def rating(delimiter: str) -> tuple[int, int]:
        reader = csv.reader(io.StringIO(text, newline=""), **_form(delimiter, quote))
        try:
            rows = [len(row) for row in islice(reader, 50) if row]
        except csv.Error:
            return 0, 0
        if len(rows) > 1 and len(rows) < 50:
            rows.pop()  # it may have been cut off
        first = rows[0] if rows else 0
        return (rows.count(first), first) if first > 1 else (0, 0)

    return max(DELIMITERS, key=rating)


def open_table(path: Path, dialect: Dialect) -> Table:
    """Return a file as a table.

    Raises
    ------
    ImportFormatError
        It can't be read, or is a JSON array.
    """
    try:
        return Table(path, dialect)
    except (OSError, LookupError) as error:
        raise ImportFormatError(f"{path.name} can't be read as a table: {error}") from error
