"""What has happened in a channel, worked out from rows that changed.

A terminal can't change what it has printed: what a room tells as rows has to become things that
happened, each told once. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from chatkit.room import RoomStatus
from chatkit.timeline import Row

__all__ = [
    "QUIET_SECONDS",
    "SETTLE_SECONDS",
    "ChannelNews",
    "Happening",
    "reactions",
    "status_news",
]

QUIET_SECONDS = 0.3
"""Without news for so long, what Kafka had of a channel has probably been read."""
SETTLE_SECONDS = 2.0
"""After which nobody waits for that any longer."""

Order = tuple[int, int, int, str]


class Happening(msgspec.Struct, frozen=True):
    """One thing that happened."""

    kind: Literal["row", "edit", "delete", "react", "failed"]
    """A new message, gap or unreadable record; its message was edited, deleted, got or lost an
    emoji, not sent."""
    row: Row
    """The row as it is now."""
    before: str = ""
    """The text before an edit or a deletion, the emoji before one came or went."""


class ChannelNews:
    """Knows what was told of one channel, and so what is new."""

    def __init__(self) -> None:
        self._known: dict[str, Row] = {}
        # What came before these belongs above what was told.
        self._begin: Order | None = None
        self._newest: Order | None = None

    def begin(self, rows: Iterable[Row]) -> None:
        """Take rows as known; what is added before the last of them is late from now on."""
        self.note(rows)
        self._begin = self._newest

    def note(self, rows: Iterable[Row]) -> None:
        """Take rows as known."""
        for row in rows:
            self._known[row.id] = row
            if row.state == "sent":
                self._newest = max(self._newest or row.order, row.order)

    def look(self, rows: Iterable[Row]) -> tuple[list[Happening], int]:
        """Return what is new about rows, oldest first.

        Parameters
        ----------
        rows : iterable of Row
            New or changed ones, as a room tells them.

        Returns
        -------
        list of Happening
            What to tell.
        int
            How many rows are new but late: they belong above what was told before.
        """
        told: list[Happening] = []
        late = 0
        for row in rows:
            known = self._known.get(row.id)
            if known is None and row.state == "sent" and self._is_late(row):
                late += 1
            elif (happening := _compare(known, row)) is not None:
                told.append(happening)
            self.note([row])
        return told, late

    def _is_late(self, row: Row) -> bool:
        if self._begin is not None and row.order < self._begin:
            return True
        imported = row.message is not None and row.message.source != "chat"
        return imported and self._newest is not None and row.order < self._newest


def _compare(known: Row | None, row: Row) -> Happening | None:
    if row.state == "pending":
        return None
    if row.state == "failed":
        return Happening("failed", row) if known is None or known.state != "failed" else None
    if known is None or known.state != "sent":
        return Happening("row", row)
    if row.folded is None or known.folded is None:
        return None
    before = known.folded.body
    if row.folded.deleted_ms is not None:
        return Happening("delete", row, before) if known.folded.deleted_ms is None else None
    if row.folded.body != before:
        return Happening("edit", row, before)
    reacted = row.folded.reactions != known.folded.reactions
    return Happening("react", row, reactions(known)) if reacted else None


def reactions(row: Row) -> str:
    """Return who put which emoji under a row's message, as one line."""
    found = {} if row.folded is None else row.folded.reactions
    return ", ".join(f"{emoji} {' '.join(actors)}" for emoji, actors in found.items())


def status_news(before: RoomStatus, now: RoomStatus) -> Iterator[tuple[str, bool]]:
    """Yield what to tell of a connection that changed, and whether it is bad news."""
    for name, old, new in (
        ("Kafka", before.kafka, now.kafka),
        ("MongoDB", before.mongo, now.mongo),
    ):
        if bool(old) != bool(new):
            bad = bool(new)
            yield f"{name} is away, trying again. {new}" if bad else f"{name} is back", bad
