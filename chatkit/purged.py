"""Who was purged, so that what is left of them in Kafka is not archived again.

A purge leaves a mark in collection ``purged``: a salted hash of the name, which tells nobody's name
at a glance, and the time up to which it holds. The writer asks for the marks and leaves out what
they cover, so that a purge outlives a rebuild of the other collections, a second import and a
replay of dead letters. What the person writes later is archived as before. It knows the store and
its documents, nothing of Kafka.

Whoever is purged leaves a nameless trace where others' messages depend on it: deletions and pins
stay, by `PURGED`; another event about somebody else's message becomes an emoji taken back that was
never there, since a message counts its events.
"""

from __future__ import annotations

import hmac
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from bson.datetime_ms import DatetimeMS

from chatkit.message import ChannelRecord
from chatkit.store import MessageStore

__all__ = ["BLANK", "PURGED", "STAYS", "Marks", "Place", "is_of", "mark", "merged", "remove"]

Document = dict[str, Any]

PURGED = "(purged) "
"""Stands for whoever was purged. With a space at its end, which no name may have: nobody can claim
it, with a moderator's rights, through Kafka."""
STAYS = ("delete", "pin", "unpin")
"""Events that others' messages depend on."""
BLANK: Document = {
    "$set": {"type": "unreact", "emoji": "-", "actor": PURGED},
    "$unset": {"body": ""},
}
"""The update that takes all that somebody said out of an event."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where in Kafka a purged person's records lie, as far as they were archived."""

    topic: str
    """Kafka topic."""
    topic_id: str
    """Its id: another one after it was deleted and created again."""
    partition: int
    """Partition of the topic."""
    first: int
    """Offset of the first of them."""
    last: int
    """Offset of the last of them."""
    records: int
    """How many there were."""


class Marks:
    """The marks that purges have left. Immutable but for a cache; one thread at a time.

    Parameters
    ----------
    documents : sequence of dict
        Documents of collection ``purged``.
    """

    def __init__(self, documents: Sequence[Mapping[str, Any]] = ()) -> None:
        self._marks = [
            (one["_id"], bytes(one["salt"]), int(DatetimeMS(one["at"]))) for one in documents
        ]
        self._until: dict[str, int] = {}

    @classmethod
    def read(cls, store: MessageStore) -> Marks:
        """Return the marks that there are now; raises pymongo's errors."""
        return cls(list(store.database["purged"].find({}, {"salt": 1, "at": 1}).sort("_id")))

    def __bool__(self) -> bool:
        return bool(self._marks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and self._marks == other._marks

    __hash__ = None  # type: ignore[assignment]

    def cover(self, name: str, placed_ms: int) -> bool:
        """Return whether what somebody did at a time is purged.

        Parameters
        ----------
        name : str
            Who did it.
        placed_ms : int
            What it is ordered by, ms since 1970 UTC.
        """
        if name not in self._until:
            if len(self._until) > 100_000:
                self._until.clear()
            found = (at for mark_id, salt, at in self._marks if mark_id == _hashed(name, salt))
            self._until[name] = max(found, default=-1)
        return placed_ms <= self._until[name]

    def cover_message(self, document: Document) -> bool:
        """Return whether a message's document is purged."""
        return self.cover(document["author"], int(document["placed_at"]))

    def _cover_event(self, document: Document) -> bool:
        at = document["appended_at"] if document["source"] == "chat" else document["at"]
        return self.cover(document["actor"], int(at))

    def event(self, document: Document) -> Document | None:
        """Return an event's document as it is to be stored: nameless, or not at all, if purged."""
        if not self._cover_event(document):
            return document
        return {**document, "actor": PURGED} if document["type"] in STAYS else None

    def take_out(
        self, store: MessageStore, messages: Iterable[Document], events: Iterable[Document]
    ) -> None:
        """Take what is purged of some new documents out of the archive, if it got in.

        Raises pymongo's errors.
        """
        if self._marks:
            remove(
                store,
                [one for one in messages if self.cover_message(one)],
                [one for one in events if self._cover_event(one)],
            )

    def letters(self, documents: list[Document]) -> list[Document]:
        """Return the dead letters that are not purged, as far as they can be read."""
        if not self._marks:
            return documents
        return [one for one in documents if not self._covers_letter(one)]

    def _covers_letter(self, letter: Document) -> bool:
        record = _record(letter)
        at = int(DatetimeMS(letter["appended_at"]))
        if record.source != "chat":
            told = record.sent_at if isinstance(record.sent_at, int) else record.at
            at = told if isinstance(told, int) else at
        return any(self.cover(name, at) for name in _who(letter, record))

    def record(self, record: ChannelRecord) -> ChannelRecord:
        """Return a channel's record without the names of who was purged."""
        if not self._marks:
            return record

        def shown(name: str) -> str:
            return PURGED if name and self.cover(name, record.at_ms) else name

        moderators = dict.fromkeys(map(shown, record.moderators))
        return msgspec.structs.replace(
            record, creator=shown(record.creator), moderators=tuple(moderators)
        )


def mark(store: MessageStore, name: str, at_ms: int, places: Iterable[Place]) -> list[Place]:
    """Note that all of somebody up to a time is purged, and return where in Kafka it lies.

    Parameters
    ----------
    store : MessageStore
        The archive.
    name : str
        Whose.
    at_ms : int
        Up to when, ms since 1970 UTC.
    places : iterable of Place
        Where it lies; those of an earlier purge, which can't be found a second time, are added.
    """
    marks = store.database["purged"]
    known = next(
        (one for one in marks.find() if one["_id"] == _hashed(name, bytes(one["salt"]))), None
    )
    before = [] if known is None else msgspec.convert(known.get("places", []), list[Place])
    salt = secrets.token_bytes(16) if known is None else bytes(known["salt"])
    found = merged((*before, *places))
    values = [msgspec.structs.asdict(place) for place in found]
    marks.update_one(
        {"_id": _hashed(name, salt)},
        {"$set": {"salt": salt, "places": values}, "$max": {"at": DatetimeMS(at_ms)}},
        upsert=True,
    )
    return found


def merged(places: Iterable[Place]) -> list[Place]:
    """Return places in order, one for each partition."""
    found: dict[tuple[str, str, int], Place] = {}
    for place in places:
        key = place.topic, place.topic_id, place.partition
        known = found.get(key, place)
        found[key] = msgspec.structs.replace(
            place,
            first=min(known.first, place.first),
            last=max(known.last, place.last),
            records=place.records + (known.records if key in found else 0),
        )
    return [found[key] for key in sorted(found)]


def _hashed(name: str, salt: bytes) -> str:
    return hmac.digest(salt, name.encode(errors="surrogatepass"), "sha256").hex()


def remove(store: MessageStore, messages: Iterable[Document], events: Iterable[Document]) -> None:
    """Take documents of purged people out of the archive; raises pymongo's errors.

    The messages that the events are about have to be folded again, and their segments dropped.

    Parameters
    ----------
    store : MessageStore
        The archive.
    messages : iterable of dict
        Documents of messages: ``_id`` and ``channel``.
    events : iterable of dict
        Documents of events: ``_id``, ``channel``, ``type`` and ``target``.
    """
    for channel, ids in _by_channel(messages):
        attachments = store.database["attachments"]
        held = {"messages": {"$in": ids}}
        if attachments.find_one(held, {"_id": 1}) is not None:
            attachments.update_many(held, {"$pull": {"messages": {"$in": ids}}})
            attachments.delete_many({"messages": []})
        store.messages.delete_many({"channel": channel, "_id": {"$in": ids}})
    coming: list[Document] = []
    staying: list[Document] = []
    others: list[Document] = []
    for event in events:
        if event["target"] is None:
            coming.append(event)
        else:
            (staying if event["type"] in STAYS else others).append(event)
    for channel, ids in _by_channel(coming):
        store.events.delete_many({"channel": channel, "_id": {"$in": ids}})
    for channel, ids in _by_channel(staying):
        where = {"channel": channel, "_id": {"$in": ids}}
        store.events.update_many(where, {"$set": {"actor": PURGED}})
    for channel, ids in _by_channel(others):
        store.events.update_many({"channel": channel, "_id": {"$in": ids}}, BLANK)


def _by_channel(documents: Iterable[Document]) -> Iterable[tuple[str, list[str]]]:
    found: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        found[document["channel"]].append(document["_id"])
    return found.items()


class _Record(msgspec.Struct):
    """What a record may say of who made it, and when."""

    author: Any = None
    actor: Any = None
    user: Any = None
    creator: Any = None
    moderators: Any = None
    source: Any = "chat"
    sent_at: Any = None
    at: Any = None


def is_of(letter: Mapping[str, Any], name: str) -> bool:
    """Return whether a dead letter is somebody's, as far as it can be read."""
    return name in _who(letter, _record(letter))


def _record(letter: Mapping[str, Any]) -> _Record:
    try:
        return msgspec.json.decode(bytes(letter.get("value") or b""), type=_Record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Record()


def _who(letter: Mapping[str, Any], record: _Record) -> set[str]:
    """Return the names that a dead letter has as its key or its authors."""
    moderators = record.moderators if isinstance(record.moderators, list) else []
    named = (record.author, record.actor, record.user, record.creator, *moderators)
    names = {one for one in named if isinstance(one, str)}
    if letter.get("key") is not None:
        names.add(bytes(letter["key"]).decode(errors="replace"))
    return names
