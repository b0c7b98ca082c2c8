"""The rows of tables in a database of their own on disk, until they are in order.

Tables need not be sorted by time, and what a row answers may stand anywhere. So all rows are first
put here, under no name and gone with the process; memory stays flat.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

__all__ = ["Entry", "Staged", "Staging"]

_TABLES = """
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;
CREATE TABLE entries (number INTEGER PRIMARY KEY, channel TEXT, ms INTEGER, own_id TEXT,
                      file INTEGER, line INTEGER, unit TEXT, entry BLOB);
BEGIN;
"""
_INDEXES = """
CREATE INDEX in_order ON entries (channel, ms, number);
CREATE INDEX by_id ON entries (channel, own_id, ms, number) WHERE own_id <> '';
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is needed of a row."""

    author: str
    """Who wrote it."""
    body: str
    """The text; may be empty where there is a file."""
    ms: int
    """When, in ms since 1970 UTC."""
    own_id: str = ""
    """Id in the source; empty if it has none."""
    reply_to: str = ""
    """Id in the source of what it answers."""
    bot: bool = False
    """Whether a program wrote it."""
    edited_ms: int | None = None
    """When it was changed last."""
    deleted_ms: int | None = None
    """When it was taken away."""
    pinned_ms: int | None = None
    """When it was pinned."""
    source: str = ""
    """Where it was written, if the table is one of ours."""


class Staged(NamedTuple):
    """An entry that came back, in order."""

    file: int
    """Which file it was in, from 0."""
    line: int
    """The line where it began, from 0."""
    entry: Entry
    """What it says."""


class Staging:
    """Entries by channel; for one thread. Who made it closes it."""

    def __init__(self) -> None:
        # An empty name: a file of its own, deleted on close, and only as it outgrows the cache.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_TABLES)
        self._decode = msgspec.msgpack.Decoder(Entry).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def close(self) -> None:
        """Drop all."""
        self._database.close()

    def add(self, channel: str, entry: Entry, file: int, line: int, unit: str) -> None:
        """Put an entry in, of a file's line, with the unit that its time is in."""
        values = (channel, entry.ms, entry.own_id, file, line, unit)
        self._database.execute(
            "INSERT INTO entries (channel, ms, own_id, file, line, unit, entry) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*values, self._encode(entry)),
        )

    def settle(self) -> None:
        """Make it ready to be read; after all was put in."""
        self._database.executescript(_INDEXES)

    def units(self) -> list[tuple[int, str, int]]:
        """Return how many entries of which file have times in which unit."""
        return self._database.execute(
            "SELECT file, unit, count(*) FROM entries GROUP BY file, unit ORDER BY file, unit"
        ).fetchall()

    def drop(self, file: int, unit: str) -> Iterator[int]:
        """Yield the lines of a file whose times are in a unit, and then take them out."""
        values = (file, unit)
        found = self._database.execute(
            "SELECT line FROM entries WHERE file = ? AND unit = ? ORDER BY number", values
        )
        for (line,) in found:
            yield line
        self._database.execute("DELETE FROM entries WHERE file = ? AND unit = ?", values)

    def channels(self) -> list[str]:
        """Return the names of the channels, as they are in the tables."""
        return [name for (name,) in self._database.execute("SELECT DISTINCT channel FROM entries")]

    def entries(self, channel: str) -> Iterator[Staged]:
        """Yield the entries of a channel, oldest first, those of one moment as they stood."""
        found = self._database.execute(
            "SELECT file, line, entry FROM entries WHERE channel = ? ORDER BY channel, ms, number",
            (channel,),
        )
        for file, line, entry in found:
            yield Staged(file, line, self._decode(entry))

    def has_repeated_ids(self, channel: str) -> bool:
        """Return whether an id comes twice in a channel."""
        found = self._database.execute(
            "SELECT 1 FROM entries WHERE channel = ? AND own_id <> '' "
            "GROUP BY own_id HAVING count(*) > 1 LIMIT 1",
            (channel,),
        ).fetchone()
        return found is not None

    def first_of_id(self, channel: str, own_id: str) -> Staged | None:
        """Return the oldest entry of an id in a channel; None if there is none."""
        found = self._database.execute(
            "SELECT file, line, entry FROM entries WHERE channel = ? AND own_id = ? "
            "AND own_id <> '' ORDER BY ms, number LIMIT 1",
            (channel, own_id),
        ).fetchone()
        return Staged(found[0], found[1], self._decode(found[2])) if found else None
