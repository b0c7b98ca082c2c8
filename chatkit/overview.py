"""Overview: every channel at a glance for one user, and what of it is unread.

What is archived is asked of MongoDB only where something changed; what a room shows live is counted
from its rows. It has no thread: the room calls it, and guards it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

import msgspec

from chatkit.changes import ChannelSummary
from chatkit.documents import mentions
from chatkit.message import ChannelRecord
from chatkit.read_marks import COUNTED, Counts, ReadMark, ReadMarks
from chatkit.store import MessageStore
from chatkit.timeline import BEGIN, Order, Row
from chatkit.view import ChannelView

__all__ = ["Facts", "Overview", "direct_channel"]

LOOKED_AT = 2000
"""Rows of a channel that are looked at for what is unread: the newest."""
DIRECT = re.compile(r"dm-[0-9a-f]{24}")


def direct_channel(*names: str) -> str:
    """Return the name of the channel between two people, whoever asks."""
    text = "\n".join(sorted(names))
    return f"dm-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


class Facts(msgspec.Struct, frozen=True):
    """What MongoDB says at one time."""

    marks: Mapping[str, ReadMark] = {}
    """Channel -> the user's mark."""
    muted_people: frozenset[str] = frozenset()
    """Of whom the user wants to hear nothing."""
    records: Mapping[str, ChannelRecord] = {}
    """Channel -> its record."""
    counts: Mapping[str, Counts] = {}
    """Channel -> what is archived after the mark and not among the room's rows."""
    newest: Mapping[str, Order | None] = {}
    """Channel -> key of the last archived message."""


class Overview:
    """What is known of all channels. Not thread-safe, but for `ask`.

    Parameters
    ----------
    store : MessageStore
        The archive; stays the caller's.
    user : str
        For whom.
    """

    def __init__(self, store: MessageStore, user: str) -> None:
        self._store = store
        self._user = user
        self.marks = ReadMarks(store, user)
        """Where the marks are kept."""
        self.facts = Facts()
        """What MongoDB said last; changed at once by what the user does."""
        self._seen: dict[str, object] = {}

    def ask(
        self, topics: Mapping[str, str], missing: Mapping[str, list[tuple[Order, Order]]]
    ) -> Facts:
        """Return what MongoDB says now. One thread at a time.

        Parameters
        ----------
        topics : mapping
            Channel -> Kafka's id of its topic.
        missing : mapping
            Channel that the room shows -> between which keys it lacks messages; others it lacks
            wholly.

        Raises
        ------
        StoreUnavailableError
            MongoDB did not answer, or refused us.
        """
        marks, muted = self.marks.load()
        positions = self.marks.positions()
        records = self._store.channel_records()
        counts, newest = {}, {}
        for channel, topic_id in topics.items():
            mark = marks.get(channel, ReadMark())
            member = mark.member or self._other(channel, records.get(channel)) is not None
            seen = (topic_id, positions.get(topic_id), mark, member, muted, missing.get(channel))
            if self._seen.get(channel) == seen:
                counts[channel] = self.facts.counts.get(channel, Counts())
                newest[channel] = self.facts.newest.get(channel)
                continue
            newest[channel] = self.marks.newest(channel)
            counts[channel] = Counts()
            if member and channel not in missing:
                counts[channel] = self.marks.count(channel, mark.key, muted=muted)
            elif member:
                begin = mark.key or BEGIN
                for low, high in missing[channel]:
                    if high > begin:
                        after = max(low, begin)
                        counts[channel] += self.marks.count(channel, after, high, muted=muted)
            self._seen[channel] = seen
        return Facts(marks, muted, records, counts, newest)

    def set_mark(self, channel: str, mark: ReadMark) -> None:
        """Let a mark be as the user just made it, before MongoDB has it."""
        self.facts = msgspec.structs.replace(self.facts, marks={**self.facts.marks, channel: mark})

    def set_record(self, record: ChannelRecord) -> None:
        """Let a channel's record be as the user just made it, before it is archived."""
        records = {**self.facts.records, record.channel: record}
        self.facts = msgspec.structs.replace(self.facts, records=records)

    def take(self, facts: Facts) -> None:
        """Take what MongoDB said; what the user did meanwhile stays."""
        marks = dict(facts.marks)
        for channel, mark in self.facts.marks.items():
            now = marks.get(channel)
            if now is not None and mark.key is not None and (now.key is None or now.key < mark.key):
                marks[channel] = msgspec.structs.replace(now, key=mark.key)
        records = dict(facts.records)
        for channel, record in self.facts.records.items():
            if channel not in records or records[channel].at_ms < record.at_ms:
                records[channel] = record
        self.facts = msgspec.structs.replace(facts, marks=marks, records=records)

    def summaries(
        self, channels: Iterable[str], views: Mapping[str, ChannelView]
    ) -> tuple[ChannelSummary, ...]:
        """Return a summary of each channel, by name; strangers' direct channels are left out."""
        found = []
        for channel in sorted(channels):
            record = self.facts.records.get(channel)
            other = self._other(channel, record)
            if other is None and DIRECT.fullmatch(channel) and channel not in views:
                continue
            known = record or ChannelRecord(channel=channel)
            found.append(self._summary(channel, known, other, views.get(channel)))
        return tuple(found)

    def _summary(
        self, channel: str, record: ChannelRecord, other: str | None, view: ChannelView | None
    ) -> ChannelSummary:
        mark = self.facts.marks.get(channel, ReadMark())
        counts = self.facts.counts.get(channel, Counts())
        newest = self.facts.newest.get(channel)
        last_ms = 0 if newest is None else newest[0]
        # Who is written to directly has not joined, and is to hear of it all the same.
        member = mark.member or other is not None
        if view is not None:
            last_ms = max(last_ms, view.timeline.newest_ms() or 0)
            if member:
                counts += self._count(view.timeline.after(mark.key or BEGIN))
        return ChannelSummary(
            channel=channel,
            title=record.display_name or channel if other is None else other,
            description=record.description,
            moderators=record.moderators,
            archived=record.archived,
            direct=other is not None,
            member=member,
            muted=mark.muted,
            unread=counts.unread if member else 0,
            mentions=counts.mentions if member else 0,
            last_ms=last_ms,
        )

    def _other(self, channel: str, record: ChannelRecord | None) -> str | None:
        """Return with whom a direct channel connects the user; None if it is none of theirs."""
        names = () if record is None else record.moderators
        if len(names) != 2 or self._user not in names or direct_channel(*names) != channel:
            return None
        return next((name for name in names if name != self._user), self._user)

    def _count(self, newest_first: Iterable[Row]) -> Counts:
        unread = mentioned = 0
        for looked_at, row in enumerate(newest_first):
            if unread >= COUNTED or looked_at >= LOOKED_AT:
                break
            if self.counts(row):
                unread += 1
                mentioned += self.is_mentioned(row)
        return Counts(unread, mentioned)

    def counts(self, row: Row) -> bool:
        """Return whether a row can be unread: a message of somebody else's, not imported."""
        message, folded = row.message, row.folded
        return (
            message is not None
            and folded is not None
            and row.state == "sent"
            and message.source == "chat"
            and message.author != self._user
            and folded.deleted_ms is None
            and message.author not in self.facts.muted_people
        )

    def is_mentioned(self, row: Row) -> bool:
        """Return whether a row's message names the user."""
        return row.folded is not None and self._user in mentions(row.folded.body)
