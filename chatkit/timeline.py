"""A channel in display order: what the archive held, what came live, what is on its way.

Pure: order, de-duplication, and the seam between archived and live, with no Kafka, MongoDB or
widget. Not thread-safe: its owner locks.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Iterator
from typing import Literal

import msgspec

from chatkit.fold import Folded, fold
from chatkit.message import Edit, Join, Leave, Message, Received, Unreadable

__all__ = ["BEGIN", "Order", "Row", "Timeline"]

Order = tuple[int, int, int, str]
"""What rows sort by: placed ms since 1970 UTC, partition, offset, id."""
BEGIN: Order = (0, 0, 0, "")
"""Sorts before every message."""

UNPLACED_MS = 1 << 52
"""Sorts what has no place yet behind all that has one; still exact as a JavaScript number."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a channel as people see it."""

    id: str
    """Message id; for other kinds an id made of the place."""
    kind: Literal["message", "unreadable", "gap", "join", "leave", "skipped"]
    """A message, a record that can't be read, records that are gone from Kafka, somebody who joined
    or left, or messages of the archive that are not loaded."""
    channel: str
    """Name of the channel."""
    message: Message | None = None
    """The message as sent; None for other kinds."""
    folded: Folded | None = None
    """What to show of it; None for other kinds."""
    state: Literal["pending", "sent", "failed"] = "sent"
    """Whether Kafka has acknowledged it."""
    reason: str = ""
    """Why it failed, can't be read or is missing."""
    actor: str = ""
    """Who joined or left."""
    placed_ms: int = UNPLACED_MS
    """What it is ordered by, ms since 1970 UTC."""
    partition: int = -1
    """Kafka partition; -1 while it is not known."""
    offset: int = -1
    """Kafka offset; -1 while it is not known."""

    @property
    def order(self) -> Order:
        """The key that rows sort by, everywhere."""
        return self.placed_ms, self.partition, self.offset, self.id


class Timeline:
    """The rows of one channel, oldest first.

    Everything may be added in any order and more than once.

    Parameters
    ----------
    channel : str
        Name of the channel.
    """

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.moderators: Collection[str] = ()
        self._rows: dict[str, Row] = {}
        self._places: dict[str, tuple[int, int, int]] = {}
        self._order: list[Order] = []
        self._events: dict[str, dict[str, Received]] = {}
        self._changed: dict[str, None] = {}
        self._gone: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._rows

    def get(self, row_id: str) -> Row | None:
        """Return the row of an id, or None."""
        return self._rows.get(row_id)

    def rows(self) -> list[Row]:
        """Return all rows, oldest first."""
        return [self._rows[key[3]] for key in self._order]

    def newest_ms(self) -> int | None:
        """Return what the last row that has a place is ordered by, or None."""
        at = bisect.bisect_left(self._order, (UNPLACED_MS, 0, 0, ""))
        return self._order[at - 1][0] if at else None

    def take_changes(self) -> list[Row]:
        """Return each row that is new or changed since the last call, oldest first."""
        rows = [self._rows[row_id] for row_id in self._changed if row_id in self._rows]
        self._changed.clear()
        return sorted(rows, key=lambda row: row.order)

    def take_gone(self) -> list[str]:
        """Return the id of each row that was removed since the last call."""
        gone = list(self._gone)
        self._gone.clear()
        return gone

    def after(self, key: Order) -> Iterator[Row]:
        """Yield the rows that sort after a key, newest first."""
        for at in reversed(self._order[bisect.bisect_right(self._order, key) :]):
            yield self._rows[at[3]]

    def newest_sent(self) -> Order | None:
        """Return the key of the last row that Kafka has, or None."""
        return next((row.order for row in self.after(BEGIN) if row.state == "sent"), None)

    def edits(self, message_id: str) -> list[Received]:
        """Return the edits of a message that are here and count, oldest first."""
        row = self._rows.get(message_id)
        author = None if row is None or row.message is None else row.message.author
        found = [
            one
            for one in self._events.get(message_id, {}).values()
            if isinstance(one.item, Edit) and one.item.actor == author
        ]
        return sorted(found, key=lambda one: (one.appended_ms, one.item.id))

    def add(self, received: Received) -> None:
        """Add a message or an event that is in Kafka.

        Of an id that is there twice (a retry of what had arrived), the first in Kafka counts,
        whichever is added first.
        """
        item = received.item
        if isinstance(item, Message):
            if not self._is_first(received):
                return
            if item.attachment is not None:  # its bytes are where it came from
                item = msgspec.structs.replace(item, attachment=item.attachment.summary())
            self._put(
                Row(
                    id=item.id,
                    kind="message",
                    channel=self.channel,
                    message=item,
                    folded=self._fold(item),
                    placed_ms=received.placed_ms,
                    partition=received.partition,
                    offset=received.offset,
                )
            )
        elif isinstance(item, Join | Leave):
            if self._is_first(received):
                self._put(
                    Row(
                        id=item.id,
                        kind="join" if isinstance(item, Join) else "leave",
                        channel=self.channel,
                        actor=item.actor,
                        placed_ms=received.placed_ms,
                        partition=received.partition,
                        offset=received.offset,
                    )
                )
        elif item.target is not None:
            events = self._events.setdefault(item.target, {})
            known = events.get(item.id)
            if known is None or received.place < known.place:
                events[item.id] = received
                self.refold([item.target])

    def _is_first(self, received: Received) -> bool:
        """Note where an id is; False if it is known to be before that."""
        place = self._places.get(received.item.id)
        if place is not None and place <= received.place:
            return False
        self._places[received.item.id] = received.place
        return True

    def add_unreadable(self, record: Unreadable) -> None:
        """Add a placeholder for a record that can't be read."""
        self._put_note(
            "unreadable", record.partition, record.offset, record.appended_ms, record.reason
        )

    def add_gap(self, partition: int, first: int, last: int, placed_ms: int) -> None:
        """Add a placeholder for records that Kafka no longer holds, offsets first to last."""
        reason = f"Records {first:,} to {last:,} are gone from Kafka (retention)"
        self._put_note("gap", partition, first, placed_ms, reason)

    def add_skipped(self, after: Order) -> str:
        """Add a placeholder for messages of the archive behind a key; return its id."""
        row_id = f"skipped\t{after[3]}"
        self._put(
            Row(
                id=row_id,
                kind="skipped",
                channel=self.channel,
                placed_ms=after[0],
                partition=after[1],
                offset=after[2],
            )
        )
        return row_id

    def remove(self, row_id: str) -> None:
        """Take a placeholder away."""
        row = self._rows.pop(row_id)
        del self._order[bisect.bisect_left(self._order, row.order)]
        self._changed.pop(row_id, None)
        self._gone[row_id] = None

    def add_pending(self, message: Message) -> None:
        """Add a message that is on its way to Kafka."""
        known = self._rows.get(message.id)
        if known is None or known.state == "failed":
            self._put(
                Row(
                    id=message.id,
                    kind="message",
                    channel=self.channel,
                    message=message,
                    folded=self._fold(message),
                    state="pending",
                    # Behind everything placed, in the order of sending.
                    placed_ms=UNPLACED_MS + message.sent_ms,
                )
            )

    def mark_failed(self, message_id: str, reason: str) -> None:
        """Note that a pending message was not acknowledged; one that has arrived stays sent."""
        row = self._rows.get(message_id)
        if row is not None and row.state == "pending":
            self._put(msgspec.structs.replace(row, state="failed", reason=reason))

    def refold(self, message_ids: Iterable[str] | None = None) -> None:
        """Work out again what is shown, for some messages or all (new moderators, new events)."""
        for message_id in list(self._rows if message_ids is None else message_ids):
            row = self._rows.get(message_id)
            if row is not None and row.message is not None:
                folded = self._fold(row.message)
                if folded != row.folded:
                    self._put(msgspec.structs.replace(row, folded=folded))

    def _fold(self, message: Message) -> Folded:
        return fold(message, self._events.get(message.id, {}).values(), self.moderators)

    def _put_note(
        self,
        kind: Literal["unreadable", "gap"],
        partition: int,
        offset: int,
        placed_ms: int,
        reason: str,
    ) -> None:
        # With a tab, which no message's id has.
        row_id = f"{kind}\t{partition}\t{offset}"
        if row_id not in self._rows:
            self._put(
                Row(
                    id=row_id,
                    kind=kind,
                    channel=self.channel,
                    reason=reason,
                    placed_ms=placed_ms,
                    partition=partition,
                    offset=offset,
                )
            )

    def _put(self, row: Row) -> None:
        old = self._rows.get(row.id)
        if old is None or old.order != row.order:
            if old is not None:
                del self._order[bisect.bisect_left(self._order, old.order)]
            bisect.insort(self._order, row.order)
        self._rows[row.id] = row
        self._changed[row.id] = None
