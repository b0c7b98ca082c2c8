"""An export's messages in a database of their own on disk, until they are in order.

A Zulip export has the messages of all channels mixed, in many files and not always by time, what
they belong to and the reactions in other files, and a tar file can only be read from front to end.
So all is first put here, under no name and gone with the process; memory stays flat.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from chatkit.importers.reading import Place

__all__ = ["Attached", "Entry", "Staged", "Staging", "Subscription"]

_TABLES = """
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;
CREATE TABLE messages (id INTEGER PRIMARY KEY, recipient INTEGER, conversation TEXT,
                       ms INTEGER, file TEXT, position INTEGER, sender INTEGER, entry BLOB);
CREATE TABLE recipients (id INTEGER PRIMARY KEY, type INTEGER, type_id INTEGER);
CREATE TABLE reactions (message INTEGER, person INTEGER, emoji TEXT, file TEXT, position INTEGER);
CREATE TABLE subscriptions (id INTEGER PRIMARY KEY, conversation TEXT, ms INTEGER, person INTEGER,
                            joined INTEGER, file TEXT, position INTEGER);
CREATE TABLE uploads (path TEXT PRIMARY KEY, data BLOB);
CREATE TABLE names (path TEXT PRIMARY KEY, name TEXT, type TEXT);
BEGIN;
"""
# Recipient types of Zulip: 1 one person, 2 a stream, 3 a group of people.
_CONVERSATIONS = """
UPDATE messages SET conversation = (
    SELECT CASE type WHEN 2 THEN 's' || type_id WHEN 3 THEN 'g' || type_id
        WHEN 1 THEN 'd' || min(type_id, sender) || '-' || max(type_id, sender) END
    FROM recipients WHERE recipients.id = messages.recipient)
WHERE conversation IS NULL;
"""
_INDEXES = """
CREATE INDEX in_order ON messages (conversation, ms, id);
CREATE INDEX by_message ON reactions (message);
CREATE INDEX by_conversation ON subscriptions (conversation, ms, id);
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed of a message, as the export has it."""

    sender: int | None = None
    """Id of who wrote it; None where only the name is known."""
    sender_name: str = ""
    """Their name, where the message tells it."""
    topic: str = ""
    """What it is about."""
    text: str
    """Its text now."""
    html: bool = False
    """Whether the texts are HTML, else Markdown."""
    edited_ms: int | None = None
    """When the text was changed last, where that is known."""
    earlier: tuple[tuple[int, str], ...] = ()
    """When the text was changed, in ms, and what it was until then; oldest first."""


class Staged(NamedTuple):
    """A message that came back, in order."""

    id: int
    ms: int
    place: Place
    entry: Entry


class Subscription(NamedTuple):
    """That somebody joined or left a conversation."""

    id: int
    ms: int
    person: int
    joined: bool
    place: Place


class Attached(NamedTuple):
    """The bytes of a file, and what it is."""

    name: str
    type: str
    data: bytes


class Staging:
    """Messages and what belongs to them; for one thread. Who made it closes it."""

    def __init__(self) -> None:
        # An empty name: a file of its own, deleted on close, and only as it outgrows the cache.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_TABLES)
        self._decode = msgspec.msgpack.Decoder(Entry).decode

    def close(self) -> None:
        """Drop all."""
        self._database.close()

    def add(
        self,
        own_id: int,
        ms: int,
        entry: Entry,
        place: Place,
        *,
        recipient: int | None = None,
        conversation: str | None = None,
    ) -> bool:
        """Put a message in; False if one of its id is there already."""
        values = (own_id, recipient, conversation, ms, *place, entry.sender)
        added = self._database.execute(
            "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, msgspec.msgpack.encode(entry)),
        )
        return added.rowcount > 0

    def add_recipient(self, own_id: int, kind: int, type_id: int) -> None:
        """Put in what a message's recipient is."""
        self._database.execute(
            "INSERT OR IGNORE INTO recipients VALUES (?, ?, ?)", (own_id, kind, type_id)
        )

    def add_reaction(self, message: int, person: int, emoji: str, place: Place) -> None:
        """Put a reaction in."""
        self._database.execute(
            "INSERT INTO reactions VALUES (?, ?, ?, ?, ?)", (message, person, emoji, *place)
        )

    def add_subscription(
        self, own_id: int, conversation: str, ms: int, person: int, joined: bool, place: Place
    ) -> None:
        """Put in that somebody joined or left."""
        self._database.execute(
            "INSERT OR IGNORE INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (own_id, conversation, ms, person, joined, *place),
        )

    def add_upload(self, path: str, data: bytes) -> None:
        """Put the bytes of a file in."""
        self._database.execute("INSERT OR IGNORE INTO uploads VALUES (?, ?)", (path, data))

    def add_name(self, path: str, name: str, kind: str) -> None:
        """Put in what a file is called, and its MIME type."""
        self._database.execute("INSERT OR IGNORE INTO names VALUES (?, ?, ?)", (path, name, kind))

    def settle(self) -> None:
        """Find out what belongs where; after all was put in, before anything is taken out."""
        self._database.executescript(_CONVERSATIONS + _INDEXES)

    def conversations(self) -> list[str]:
        """Return what there are messages of: ``s7`` a stream, ``d3-8`` and ``g4`` people."""
        found = self._database.execute(
            "SELECT DISTINCT conversation FROM messages WHERE conversation IS NOT NULL"
        )
        return [name for (name,) in found]

    def rename(self, conversation: str, name: str | None) -> None:
        """Give a conversation another name; None: drop it."""
        if name is None:
            change, values = "DELETE FROM messages WHERE conversation = ?", [conversation]
        else:
            change = "UPDATE messages SET conversation = ? WHERE conversation = ?"
            values = [name, conversation]
        self._database.execute(change, values)

    def homeless(self) -> Iterator[Place]:
        """Yield the places of messages that belong nowhere."""
        found = self._database.execute(
            "SELECT file, position FROM messages WHERE conversation IS NULL ORDER BY id"
        )
        for row in found:
            yield Place(*row)

    def messages(self, conversation: str) -> Iterator[Staged]:
        """Yield the messages of a conversation, oldest first."""
        found = self._database.execute(
            "SELECT id, ms, file, position, entry FROM messages WHERE conversation = ? "
            "ORDER BY conversation, ms, id",
            (conversation,),
        )
        for own_id, ms, file, position, entry in found:
            yield Staged(own_id, ms, Place(file, position), self._decode(entry))

    def subscriptions(self, conversation: str) -> Iterator[Subscription]:
        """Yield who joined and left a conversation, oldest first."""
        found = self._database.execute(
            "SELECT id, ms, person, joined, file, position FROM subscriptions "
            "WHERE conversation = ? ORDER BY conversation, ms, id",
            (conversation,),
        )
        for own_id, ms, person, joined, file, position in found:
            yield Subscription(own_id, ms, person, bool(joined), Place(file, position))

    def reactions(self, message: int) -> list[tuple[int, str, Place]]:
        """Return person, emoji and place of each reaction to a message, each once."""
        found = self._database.execute(
            "SELECT person, emoji, file, min(position) FROM reactions WHERE message = ? "
            "GROUP BY person, emoji ORDER BY min(rowid)",
            (message,),
        )
        return [(person, emoji, Place(file, position)) for person, emoji, file, position in found]

    def reactions_to_nothing(self) -> Iterator[Place]:
        """Yield the places of reactions to messages that are not in the export."""
        found = self._database.execute(
            "SELECT file, position FROM reactions WHERE message NOT IN (SELECT id FROM messages)"
        )
        for row in found:
            yield Place(*row)

    def conversation_of(self, message: int) -> tuple[str, int] | None:
        """Return where a message belongs, and its time; None if there is none of that id."""
        found: tuple[str, int] | None = self._database.execute(
            "SELECT conversation, ms FROM messages WHERE id = ?", (message,)
        ).fetchone()
        return found

    def upload(self, path: str) -> Attached | None:
        """Return a file that was uploaded; None if its bytes are not here."""
        found = self._database.execute(
            "SELECT coalesce(name, ''), coalesce(type, ''), data FROM uploads "
            "LEFT JOIN names USING (path) WHERE path = ?",
            (path,),
        ).fetchone()
        return Attached(*found) if found else None
