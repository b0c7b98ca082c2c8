"""The right to be forgotten: everything that one person wrote and did, out of the archive.

Kafka's copy is beyond it and named, with where it lies. A purge that was cut off is finished by the
next one; one that found nothing changes nothing but its mark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec
import pymongo

from chatkit import segments
from chatkit.message import now_ms
from chatkit.purged import PURGED, Place, is_of, mark, merged, remove
from chatkit.query import searchable
from chatkit.store import MessageStore, reacted
from chatkit.writer import BatchWriter

__all__ = ["Found", "look_for", "purge"]

Document = dict[str, Any]
Progress = Callable[[int], object]

BATCH = 500
TOGETHER = 100_000
"""Messages, or events, that are looked for together, since each time all has to be looked at."""
SECONDS = 3600.0
"""How long MongoDB may look for what is somebody's, which no index tells."""
NAMED = 20
"""Messages of others that are named."""
ROUNDS = 10
"""How often to look again for what came meanwhile."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the archive holds of one person, or held before it was purged."""

    author: str
    """Whose."""
    messages: dict[str, int] = {}
    """Channel -> messages, deleted ones included."""
    events: dict[str, int] = {}
    """Kind -> events: edits with their texts, reactions, deletions, joining and leaving."""
    attachments: int = 0
    """Files that nobody else has sent too."""
    read_marks: int = 0
    """Channels that were read or joined, and entries in others' lists of who is muted."""
    dead_letters: int = 0
    """Records that could not be archived, and are this person's."""
    unclear_letters: int = 0
    """Dead letters that can't be read and hold the name somewhere; they stay."""
    moderates: tuple[str, ...] = ()
    """Channels whose record names the person, as creator or moderator."""
    mentions: int = 0
    """Others' messages in which the name stands; they stay as they are."""
    mentioned_in: tuple[tuple[str, str], ...] = ()
    """Channel and id of the first of these."""
    places: tuple[Place, ...] = ()
    """Where in Kafka the records lie that all this came from; they stay too."""

    @property
    def total(self) -> int:
        """How many documents are to go, or to change."""
        return (
            sum(self.messages.values())
            + sum(self.events.values())
            + self.read_marks
            + self.dead_letters
            + len(self.moderates)
        )


def look_for(store: MessageStore, author: str) -> Found:
    """Return what the archive holds of somebody; nothing is changed.

    Parameters
    ----------
    store : MessageStore
        The archive; stays open.
    author : str
        The name, exactly as the archive has it.

    Raises
    ------
    StoreUnavailableError
        MongoDB did not answer in time.
    """
    with store.answering(), pymongo.timeout(SECONDS):
        database = store.database
        marks = database["read_marks"]
        mine, unclear = _letters(store, author)
        others = _naming(author)
        named = store.messages.find(others, {"channel": 1}).limit(NAMED)
        return Found(
            author=author,
            messages=_grouped(store.messages, {"author": author}, "channel"),
            events=_grouped(store.events, {"actor": author}, "type"),
            attachments=_attachments(store, author),
            read_marks=marks.count_documents({"user": author})
            + marks.count_documents({"muted_people": author}),
            dead_letters=len(mine),
            unclear_letters=unclear,
            moderates=tuple(
                one["_id"] for one in database["channels"].find(_record_of(author)).sort("_id")
            ),
            mentions=store.messages.count_documents(others),
            mentioned_in=tuple((one["channel"], one["_id"]) for one in named),
            places=tuple(merged(_places(store, author))),
        )


def purge(store: MessageStore, author: str, *, progress: Progress | None = None) -> Found:
    """Take all of somebody out of the archive, and return what there was.

    Messages with all their texts, events, reactions, files that nobody else has sent too, read
    marks, dead letters that can be read, and the copies in segments go. Deletions and pins of
    others' messages stay, by nobody. What others wrote stays as it is. May run beside archivers:
    what they still read of this person in Kafka, up to now, is not archived again.

    Parameters
    ----------
    store : MessageStore
        The archive; stays open.
    author : str
        The name, exactly as the archive has it.
    progress : callable, optional
        Called with how many more messages and events are gone.

    Returns
    -------
    Found
        As `look_for` found it before; ``places`` also those of earlier purges.

    Raises
    ------
    StoreUnavailableError
        MongoDB did not answer in time; call it again to finish.
    """
    store.prepare()
    told = progress or (lambda more: None)
    found = look_for(store, author)
    with store.answering(), pymongo.timeout(SECONDS):
        # First, so that whatever an archiver writes from now on is without them.
        places = mark(store, author, now_ms(), found.places)
    for _ in range(ROUNDS):
        gone = _messages(store, author, told) + _events(store, author, told)
        with store.answering(), pymongo.timeout(SECONDS):
            _others(store, author)
        if not gone:
            break
    _finish_segments(store)
    return msgspec.structs.replace(found, places=tuple(places))


def _grouped(collection: Any, where: Document, field: str) -> dict[str, int]:
    rows = collection.aggregate(
        [
            {"$match": where},
            {"$group": {"_id": f"${field}", "count": {"$sum": 1}}},
            {"$sort": {"_id": 1}},
        ]
    )
    return {str(row["_id"]): int(row["count"]) for row in rows}


def _places(store: MessageStore, author: str) -> Iterator[Place]:
    """Yield where records of somebody lie, messages and events apart."""
    for collection, field in ((store.messages, "author"), (store.events, "actor")):
        place = {name: f"${name}" for name in ("topic", "topic_id", "partition")}
        group = {
            "_id": place,
            "first": {"$min": "$offset"},
            "last": {"$max": "$offset"},
            "records": {"$sum": 1},
        }
        for row in collection.aggregate([{"$match": {field: author}}, {"$group": group}]):
            yield Place(**row["_id"], **{name: row[name] for name in ("first", "last", "records")})


def _naming(author: str) -> Document:
    """Return the filter for others' messages in which a name stands."""
    edge = r"[^\p{L}\p{N}_]"
    pattern = rf"(?:^|{edge}){re.escape(searchable(author))}(?:$|{edge})"
    named = [{"mentions": author}, {"search": {"$regex": pattern}}]
    return {"author": {"$ne": author}, "$or": named}


def _record_of(author: str) -> Document:
    return {"$or": [{"creator": author}, {"moderators": author}]}


def _attachments(store: MessageStore, author: str) -> int:
    """Return how many files nobody but somebody has sent."""
    files: set[str] = set()
    ids: set[str] = set()
    where = {"author": author, "attachment": {"$type": "object"}}
    for one in store.messages.find(where, {"attachment.sha256": 1}):
        ids.add(one["_id"])
        files.add(one["attachment"].get("sha256"))
    count = 0
    for batch in _batches(iter(files)):
        senders = store.database["attachments"].find({"_id": {"$in": batch}}, {"messages": 1})
        count += sum(ids.issuperset(one["messages"]) for one in senders)
    return count


def _letters(store: MessageStore, author: str) -> tuple[list[str], int]:
    """Return the ids of somebody's dead letters, and how many unclear ones there are."""
    mine, unclear = [], 0
    name = author.encode(errors="surrogatepass")
    with store.database["dead_letters"].find(batch_size=20) as letters:
        for letter in letters:
            if is_of(letter, author):
                mine.append(str(letter["_id"]))
            elif name in bytes(letter.get("value") or b"") and not _is_json(letter):
                unclear += 1
    return mine, unclear


def _is_json(letter: Document) -> bool:
    try:
        msgspec.json.decode(bytes(letter["value"]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _batches(values: Iterator[Any], size: int = BATCH) -> Iterator[list[Any]]:
    while batch := list(islice(values, size)):
        yield batch


def _messages(store: MessageStore, author: str, progress: Progress) -> int:
    """Take somebody's messages away, with what they sent with them and did to them."""
    gone = 0
    with store.answering(), pymongo.timeout(SECONDS):
        channels = list(_grouped(store.messages, {"author": author}, "channel"))
    for channel in channels:
        where = {"channel": channel, "author": author}
        while True:
            with store.answering(), pymongo.timeout(SECONDS):
                page = store.messages.find(where, {"_id": 1}).limit(TOGETHER)
                ids = [one["_id"] for one in page]
            if not ids:
                break
            with segments.withheld(store, ids, channel), store.answering():
                for batch in _batches(iter(ids)):
                    about = {"channel": channel, "target": {"$in": batch}, "actor": author}
                    store.events.delete_many(about)
                    remove(store, [{"_id": one, "channel": channel} for one in batch], [])
                    gone += len(batch)
                    progress(len(batch))
    return gone


def _events(store: MessageStore, author: str, progress: Progress) -> int:
    """Take away what somebody did to others' messages, but for what these depend on."""
    gone = 0
    writer = BatchWriter(store)
    wanted = {"channel": 1, "type": 1, "target": 1}
    with store.answering():
        with pymongo.timeout(SECONDS):
            # Before the events: else a deletion of theirs would not count for a moment.
            channels = store.database["channels"]
            channels.update_many({"moderators": author}, {"$addToSet": {"moderators": PURGED}})
        while True:
            with pymongo.timeout(SECONDS):
                page = list(store.events.find({"actor": author}, wanted).limit(TOGETHER))
            if not page:
                break
            for batch in _batches(iter(page)):
                remove(store, [], batch)
                touched = {(one["channel"], one["target"]) for one in batch if one["target"]}
                writer.refold(touched, again=True)
                gone += len(batch)
                progress(len(batch))
        with pymongo.timeout(SECONDS):
            # A purge that was cut off had no time to look at these.
            left = list(store.messages.find(reacted(author), {"channel": 1}))
        for batch in _batches(iter(left)):
            writer.refold({(one["channel"], one["_id"]) for one in batch}, again=True)
    return gone


def _others(store: MessageStore, author: str) -> None:
    """Take somebody out of the collections beside messages and events."""
    database = store.database
    channels = database["channels"]
    channels.update_many({"creator": author}, {"$set": {"creator": PURGED}})
    channels.update_many({"moderators": author}, {"$pull": {"moderators": author}})
    database["read_marks"].delete_many({"user": author})
    database["read_marks"].update_many(
        {"muted_people": author}, {"$pull": {"muted_people": author}}
    )
    mine, _ = _letters(store, author)
    for batch in _batches(iter(mine)):
        database["dead_letters"].delete_many({"_id": {"$in": batch}})


def _finish_segments(store: MessageStore) -> None:
    """Drop and build again what a purge that was cut off had withheld."""
    with store.answering():
        left = list(store.database["positions"].find({"withheld": {"$ne": None}}, {"topic": 1}))
    for channel in {store.channel_of(one["topic"]) for one in left if one.get("topic")}:
        if channel is not None:
            segments.build(store, channel)
