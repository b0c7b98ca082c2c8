"""ReadMarks: how far a user has read each channel, kept in MongoDB, and what came after.

One document for each user and channel, and one for the user alone. A mark moves forward only, so
that two browsers can't undo each other's reading. The only thing that rooms write.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from bson.datetime_ms import DatetimeMS
from pymongo import DESCENDING

from chatkit.store import ORDER, MessageStore, between
from chatkit.timeline import Order

__all__ = ["COUNTED", "Counts", "ReadMark", "ReadMarks"]

Document = dict[str, Any]

COUNTED = 100
"""Unread messages are counted up to this."""


class ReadMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a user thinks of one channel."""

    key: Order | None = None
    """Order key of the last message that was seen; None: none was."""
    member: bool = False
    """Whether the user joined it, and has not left."""
    muted: bool = False
    """Whether the user wants to hear nothing of it."""


class Counts(msgspec.Struct, frozen=True):
    """What came after a read mark."""

    unread: int = 0
    """Others' messages, up to `COUNTED`."""
    mentions: int = 0
    """Those that name the user, up to `COUNTED`."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            min(COUNTED, self.unread + other.unread), min(COUNTED, self.mentions + other.mentions)
        )


class ReadMarks:
    """The read marks of one user. Thread-safe, as the store is, which stays the caller's.

    Every method may raise StoreUnavailableError, or StoreRefusedError where MongoDB lets us read
    but not write.

    Parameters
    ----------
    store : MessageStore
        The archive.
    user : str
        Whose marks.
    """

    def __init__(self, store: MessageStore, user: str) -> None:
        self._store = store
        self._user = user
        self._marks = store.database["read_marks"]

    def load(self) -> tuple[dict[str, ReadMark], frozenset[str]]:
        """Return the mark of each channel that has one, and who is muted."""
        marks, muted = {}, frozenset[str]()
        with self._store.answering():
            for document in self._marks.find({"user": self._user}):
                if document["channel"] is None:
                    muted = frozenset(document.get("muted_people", ()))
                else:
                    marks[document["channel"]] = ReadMark(
                        key=_order(document.get("key")),
                        member=document.get("member", False),
                        muted=document.get("muted", False),
                    )
        return marks, muted

    def move(self, channel: str, key: Order) -> None:
        """Note that all up to a key has been read; a mark that is further on stays."""
        values = [DatetimeMS(key[0]), *key[1:]]
        # Arrays compare element by element, and whatever is missing is less.
        self._update(channel, [{"$set": {"key": {"$max": ["$key", {"$literal": values}]}}}])

    def set_member(self, channel: str, member: bool) -> None:
        """Note that the user has joined a channel, or left it."""
        self._update(channel, {"$set": {"member": member}})

    def set_muted(self, channel: str, muted: bool) -> None:
        """Note whether the user wants to hear of a channel."""
        self._update(channel, {"$set": {"muted": muted}})

    def set_person_muted(self, name: str, muted: bool) -> None:
        """Note whether the user wants to hear of somebody."""
        self._update(None, {"$addToSet" if muted else "$pull": {"muted_people": name}})

    def _update(self, channel: str | None, update: Any) -> None:
        # A channel's name has no slash: no two pairs make one id.
        identity = {
            "_id": f"{channel or ''}/{self._user}",
            "user": self._user,
            "channel": channel,
        }
        with self._store.answering():
            self._marks.update_one(identity, update, upsert=True)

    def positions(self) -> dict[str, int]:
        """Return a number for each topic id, which changes whenever more of it is archived."""
        with self._store.answering():
            found = self._store.database["positions"].find({}, {"topic_id": 1, "next": 1})
            sums: dict[str, int] = {}
            for document in found:
                topic = document["topic_id"]
                sums[topic] = sums.get(topic, 0) + document["next"]
            return sums

    def count(
        self,
        channel: str,
        after: Order | None,
        before: Order | None = None,
        *,
        muted: Collection[str] = (),
    ) -> Counts:
        """Return how much of others, but for the muted, is archived of a channel between two keys.

        Imported messages and deleted ones don't count.
        """
        where = {
            **between(channel, after, before),
            "author": {"$nin": [self._user, *muted]},
            "source": "chat",
            "deleted_at": {"$exists": False},
        }
        with self._store.answering():
            messages = self._store.messages
            unread = messages.count_documents(where, limit=COUNTED)
            mentions = 0
            if unread:
                mine = {**where, "mentions": self._user}
                mentions = messages.count_documents(mine, limit=COUNTED)
        return Counts(unread, mentions)

    def newest(self, channel: str) -> Order | None:
        """Return the order key of a channel's last message, or None."""
        with self._store.answering():
            newest_first = [(name, DESCENDING) for name in ORDER]
            found = self._store.messages.find_one(
                {"channel": channel}, dict.fromkeys(ORDER, 1), sort=newest_first
            )
        # Whoever writes to the collection by hand may have left something out.
        if found is None or not all(name in found for name in ORDER):
            return None
        return _order([found[name] for name in ORDER])


def _order(values: Any) -> Order | None:
    if values is None:
        return None
    placed, partition, offset, message_id = values
    return int(DatetimeMS(placed)), partition, offset, message_id
