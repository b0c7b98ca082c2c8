"""ChannelView: what a room holds of one channel, and what it knows to be missing.

Rows, the places in Kafka's log that were passed over, and how far back the archive was read. It
does no I/O and has no lock: the room reads for it and guards it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future

from chatkit.channels import ChannelInfo, PartitionOffsets
from chatkit.consumer import Gap, Item
from chatkit.message import Message, Received, Unreadable, now_ms
from chatkit.timeline import BEGIN, Order, Row, Timeline

__all__ = ["CLOSE_ENOUGH", "PAGE", "ChannelView", "key_of"]

PAGE = 200
"""Rows to show at first, and to add at a time."""
CLOSE_ENOUGH = 2000
"""Records that the archive may be behind for the room to read them all at once."""

Range = tuple[int, int]
"""Offsets of a partition: the first, and the one after the last."""


class ChannelView:
    """One channel as a room shows it. Not thread-safe.

    Parameters
    ----------
    channel : str
        Name of the channel.
    """

    def __init__(self, channel: str) -> None:
        self.timeline = Timeline(channel)
        """The rows."""
        self.joined: Future[None] = Future()
        """Done when it is open, or can't be opened."""
        self.info: ChannelInfo | None = None
        """The topic that is followed; None as long as none is."""
        self.has_archive = False
        """Whether the archive has answered."""
        self.floor: Order | None = None
        """Rows before this key are still in the archive; None: all that it has is here."""
        self.skipped: dict[str, tuple[Order, Order]] = {}
        """Where the archive has more between two keys, by the id of the row that stands for it."""
        self.live_from: dict[int, int] = {}
        """Partition -> offset from which on records are news: they came after it was opened."""
        self.holes: dict[int, Range] = {}
        """What was passed over in Kafka's log, by partition."""
        # Offsets among which messages came that belong below the floor (an import).
        self._sunk: dict[int, Range] = {}

    @property
    def has_older(self) -> bool:
        """Whether there is more before, or between, the rows that are here."""
        return self.floor is not None or bool(self.holes)

    def is_missing(self, key: Order) -> bool:
        """Return whether a message of this place may be in the archive and is not loaded."""
        return any(low < key < high for low, high in self.missing())

    def missing(self) -> list[tuple[Order, Order]]:
        """Return between which keys the archive may have more."""
        below = [] if self.floor is None else [(BEGIN, self.floor)]
        return [*self.skipped.values(), *below]

    def start_after(
        self, offsets: Mapping[int, PartitionOffsets], archived: Mapping[int, int]
    ) -> dict[int, int]:
        """Return where to begin to follow each partition, so that nothing falls between.

        Records that are gone before anyone archived them become a gap row, and where the archive
        is far behind, a hole.

        Parameters
        ----------
        offsets : mapping
            Partition -> where its log begins and ends.
        archived : mapping
            Partition -> offset up to which the archive has it; the rows of that are here, or
            below the floor.

        Returns
        -------
        dict
            Partition -> offset.
        """
        start: dict[int, int] = {}
        for partition, log in offsets.items():
            self.live_from[partition] = log.end
            begin = archived.get(partition, log.start)
            if begin < log.start:
                self._add_gap(partition, begin, log.start - 1)
            begin = min(max(begin, log.start), log.end)
            if begin < log.end - (CLOSE_ENOUGH if self.has_archive else PAGE):
                self.set_hole(partition, begin, log.end - PAGE)
                begin = log.end - PAGE
            start[partition] = begin
        return start

    def shrink_holes(self, archived: Mapping[int, int]) -> None:
        """Leave to the archive what it has of the holes by now."""
        for partition, (first, end) in list(self.holes.items()):
            self.set_hole(partition, max(first, archived.get(partition, 0)), end)

    def set_hole(self, partition: int, first: int, end: int) -> None:
        """Note which offsets of a partition are passed over; none if they are no range."""
        if first < end:
            self.holes[partition] = (first, end)
        else:
            self.holes.pop(partition, None)

    def add_page(
        self,
        messages: Sequence[Received],
        events: Iterable[Received],
        archived: Mapping[int, int],
    ) -> int:
        """Add a page of the archive, and return how many rows that gave.

        Parameters
        ----------
        messages : sequence of Received
            In order; fewer than `PAGE` if there is nothing before them.
        events : iterable of Received
            Those about these messages.
        archived : mapping
            Partition -> offset up to which the archive had it, read before the page.
        """
        size = len(self.timeline)
        for received in (*events, *messages):
            self.timeline.add(received)
        self.floor = key_of(messages[0]) if len(messages) == PAGE else None
        # Old messages that came live, by now, and that this page may not have had yet.
        for partition, (begin, end) in self._sunk.items():
            begin = max(begin, archived.get(partition, 0))
            if begin < end:
                known = self.holes.get(partition, (begin, end))
                self.set_hole(partition, min(begin, known[0]), max(end, known[1]))
        self._sunk.clear()
        return len(self.timeline) - size

    def add_between(
        self, low: Order | None, messages: Sequence[Received], high: Order | None
    ) -> None:
        """Add neighbouring messages of the archive from the midst of what is not loaded.

        Parameters
        ----------
        low, high : tuple or None
            Keys between which these are all that there is. None: the archive's begin, or its end.
        messages : sequence of Received
            In order; their events have been added.
        """
        for received in messages:
            self.timeline.add(received)
        if self.floor is not None and (low is None or low < self.floor):
            old, self.floor = self.floor, low
            if high is not None and high < old:
                self._skip(high, old)
        for row_id, (first, last) in list(self.skipped.items()):
            if (high is not None and high <= first) or (low is not None and low >= last):
                continue
            del self.skipped[row_id]
            self.timeline.remove(row_id)
            if low is not None and low > first:
                self._skip(first, low)
            if high is not None and high < last:
                self._skip(high, last)

    def _skip(self, low: Order, high: Order) -> None:
        self.skipped[self.timeline.add_skipped(low)] = low, high

    def add_items(self, items: Sequence[Item]) -> int:
        """Add what was read from Kafka, and return how many rows that gave."""
        size = len(self.timeline)
        for item in items:
            if isinstance(item, Unreadable):
                self.timeline.add_unreadable(item)
            elif isinstance(item, Received) and isinstance(item.item, Message):
                # An import's old messages belong between rows that are not here yet.
                if not self.is_missing(key_of(item)) or item.item.id in self.timeline:
                    self.timeline.add(item)
                else:
                    first, end = self._sunk.get(item.partition, (item.offset, item.offset))
                    self._sunk[item.partition] = min(first, item.offset), max(end, item.offset + 1)
            elif isinstance(item, Received):
                self.timeline.add(item)
        for gap in items:
            if isinstance(gap, Gap) and gap.first <= gap.last:
                self._add_gap(gap.partition, gap.first, gap.last)
        return len(self.timeline) - size

    def set_moderators(self, moderators: Sequence[str]) -> None:
        """Say who may delete what others wrote; deletions are judged anew."""
        if tuple(self.timeline.moderators) != tuple(moderators):
            self.timeline.moderators = moderators
            self.timeline.refold()

    def take_unsent(self, other: ChannelView) -> None:
        """Take over the rows of another view that are not sent yet."""
        for row in other.timeline.rows():
            if row.state == "sent":
                continue
            assert row.message is not None
            self.timeline.add_pending(row.message)
            if row.state == "failed":
                self.timeline.mark_failed(row.id, row.reason)

    def _add_gap(self, partition: int, first: int, last: int) -> None:
        """Show that records are gone: before what came after them, else behind all there is."""
        after = [
            row.placed_ms
            for row in self.timeline.rows()
            if row.partition == partition and row.offset > last and _is_placed_by_kafka(row)
        ]
        at = min(after, default=self.timeline.newest_ms() or now_ms())
        self.timeline.add_gap(partition, first, last, at)


def key_of(received: Received) -> Order:
    """Return the order key of a message."""
    return received.placed_ms, received.partition, received.offset, received.item.id


def _is_placed_by_kafka(row: Row) -> bool:
    return row.message is None or row.message.source == "chat"
