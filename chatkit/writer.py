"""Batches of documents -> MongoDB, so that writing one twice, or in any order, is harmless.

The only code that writes messages. It raises pymongo's errors for what may work later (the archiver
tries again); what never will is kept as a dead letter. It knows nothing of Kafka's clients.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import bson
import msgspec
from bson.binary import Binary
from bson.errors import BSONError
from pymongo import DeleteMany, UpdateOne
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from chatkit.batches import DecodedBatch, PartitionBatch
from chatkit.consumer import unreadable
from chatkit.documents import (
    channel_document,
    dead_letter_document,
    fold_update,
    received_event,
    received_message,
    sha256,
)
from chatkit.errors import InvalidMessageError
from chatkit.fold import fold
from chatkit.message import (
    Attachment,
    Message,
    Received,
    decode_channel_record,
)
from chatkit.purged import Marks
from chatkit.store import MessageStore, holding

__all__ = ["BatchWriter", "Written"]

Document = dict[str, Any]
Target = tuple[str, str]
"""Channel and id of a message."""

DUPLICATE_KEY = 11000
PLACE = ("topic", "topic_id", "partition", "offset", "appended_at")
DOCUMENT_LIMIT = 16 * 1024 * 1024
DATA_ERROR_CODES = frozenset({2, 22, 121, 10334, 17419, 17420})
"""MongoDB's codes for a document that it will never take: bad value, not valid, too large."""


class Written(msgspec.Struct):
    """What writing some batches came to."""

    messages: int = 0
    """Messages that were new."""
    events: int = 0
    """Events that were new."""
    duplicates: int = 0
    """Messages and events that were there already."""
    dead_letters: int = 0
    """Records that were put aside."""


class BatchWriter:
    """Writes batches into a store. One thread at a time; the store stays its maker's.

    Parameters
    ----------
    store : MessageStore
        The archive; already prepared.
    """

    def __init__(self, store: MessageStore) -> None:
        self._store = store
        self._marks: Marks | None = None

    def write(self, batch: DecodedBatch) -> Written:
        """Write some partitions' documents, then how far each partition is archived.

        Returns
        -------
        Written
            What was new, what was not, and what was put aside.

        Raises
        ------
        pymongo.errors.PyMongoError
            MongoDB did not take it; the same call may be tried again, and again.
        """
        if self._marks is None:
            self._marks = Marks.read(self._store)
        messages, events, attachments = _not_purged(batch, self._marks)
        refused = list(batch.refused)
        for part in batch.parts:
            if part.channel is None:
                refused += self._write_channel_records(part, batch.archived_ms)
        # Before the messages: one that is stored must never lack its bytes.
        self._write_attachments(attachments)
        new_messages, strange = self._insert(self._store.messages, messages, batch.look_first)
        new_events, strange_events = self._insert(self._store.events, events, batch.look_first)
        strange += strange_events
        if strange:
            refused += self._refuse(strange, batch)
        # Looked for again once the documents are stored: either we see the mark of a purge, or the
        # purge, which leaves it first, sees the documents.
        self._marks = Marks.read(self._store)
        self._marks.take_out(self._store, batch.messages, batch.events)

        touched = {(event["channel"], event["target"]) for event in events if event["target"]}
        touched |= self._with_waiting_events(new_messages)
        # A message that came again may have been deleted before: its bytes must go again.
        if attachments:
            touched |= {(one["channel"], one["_id"]) for one in messages if one["attachment"]}
        self.refold(touched, again=len(new_events) < len(events))

        put_aside = self._put_aside(self._marks.letters(refused))
        # Records that were archived before, or put aside, may add to what a segment holds.
        self._discard_segments(
            (one.channel, one.topic_id, one.partition, *_offsets(one))
            for one in batch.parts
            if one.channel is not None
        )
        self._advance(batch.parts)
        new = len(new_messages) + len(new_events)
        return Written(
            messages=len(new_messages),
            events=len(new_events),
            duplicates=len(messages) + len(events) - new - len(strange),
            dead_letters=put_aside,
        )

    def refold(self, targets: Iterable[Target], *, again: bool = False) -> None:
        """Work out again, from all their events, what some messages show.

        Parameters
        ----------
        targets : iterable of (channel, message id)
            Messages; one that is not archived yet is left alone.
        again : bool, default False
            Also with no more events than before: the moderators, or the place of an event, may
            have changed.
        """
        by_channel: dict[str, list[str]] = defaultdict(list)
        for channel, message_id in targets:
            by_channel[channel].append(message_id)
        for channel, ids in by_channel.items():
            facts = self._facts(channel, ids)
            while True:
                self._show(channel, ids, facts, again=again)
                if not again:
                    break  # who has more events wins, whoever writes last
                # With as many events, another member may have written over us what it had read
                # before us, or we over it: whoever writes last looks once more.
                before, facts = facts, self._facts(channel, ids)
                if facts == before:
                    break

    def _facts(self, channel: str, ids: list[str]) -> tuple[dict[str, list[Received]], list[str]]:
        """Return all events about some messages, and who moderates their channel now."""
        events: dict[str, list[Received]] = defaultdict(list)
        about = {"channel": channel, "target": {"$in": ids}}
        for event in self._store.events.find(about).sort("_id"):
            events[event["target"]].append(received_event(event))
        # Read after the events: either we see a new moderator, or who writes it sees our event.
        found = self._store.database["channels"].find_one({"_id": channel}, {"moderators": 1})
        return events, [] if found is None else found["moderators"]

    def _show(
        self,
        channel: str,
        ids: list[str],
        facts: tuple[dict[str, list[Received]], list[str]],
        *,
        again: bool,
    ) -> None:
        events, moderators = facts
        updates: list[UpdateOne] = []
        deleted: dict[str, Document] = {}
        for document in self._store.messages.find({"channel": channel, "_id": {"$in": ids}}):
            message = received_message(document).item
            assert isinstance(message, Message)
            folded = fold(message, events.get(message.id, ()), moderators)
            older = {"$lte" if again else "$lt": folded.rev}
            guard = {"_id": message.id, "channel": channel, "rev": older}
            updates.append(UpdateOne(guard, fold_update(folded)))
            if folded.deleted_ms is not None:
                deleted[message.id] = document
        if updates:
            self._store.messages.bulk_write(updates, ordered=False)
        if deleted:
            self._forget_texts(channel, list(deleted))
            self._discard_segments(
                (channel, one["topic_id"], one["partition"], one["offset"], one["offset"])
                for one in deleted.values()
            )

    def _forget_texts(self, channel: str, message_ids: list[str]) -> None:
        """Take the texts of deleted messages out of their edits, and their attachments away."""
        edits = {"channel": channel, "target": {"$in": message_ids}, "type": "edit"}
        self._store.events.update_many(edits, {"$set": {"body": ""}})
        attachments = self._store.database["attachments"]
        held = {"messages": {"$in": message_ids}}
        if attachments.find_one(held, {"_id": 1}) is not None:
            attachments.update_many(held, {"$pull": {"messages": {"$in": message_ids}}})
            attachments.delete_many({"messages": []})

    def _discard_segments(self, places: Iterable[tuple[str, str, int, int, int]]) -> None:
        """Throw away the copies in columns of some offsets of channels' partitions."""
        deletes = [DeleteMany(holding(*place)) for place in places]
        if deletes:
            self._store.segments.bulk_write(deletes, ordered=False)

    def _insert(
        self, collection: MongoCollection[Document], documents: list[Document], look_first: bool
    ) -> tuple[list[Document], list[Document]]:
        """Insert what is new; return that, and what can't be inserted."""
        strange: list[Document] = []
        if look_first:
            documents, strange = self._without_known(collection, documents)
        if not documents:
            return [], strange
        try:
            collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            failed = {one["index"]: one["code"] for one in error.details["writeErrors"]}
            codes = set(failed.values()) - {DUPLICATE_KEY}
            if error.details.get("writeConcernErrors") or codes - DATA_ERROR_CODES:
                raise  # the server's trouble, not the documents'
            new = [document for n, document in enumerate(documents) if n not in failed]
            bad = [documents[n] for n, code in failed.items() if code != DUPLICATE_KEY]
            twins = [documents[n] for n, code in failed.items() if code == DUPLICATE_KEY]
            missing, reused = self._without_known(collection, twins)
            # A twin that is nowhere in this channel has its id in another one.
            return new, strange + bad + reused + missing
        except (BSONError, OverflowError, UnicodeError):
            # pymongo has sent nothing of the batch: leave out what it can't encode.
            good = [document for document in documents if _can_be_encoded(document)]
            bad = [document for document in documents if not _can_be_encoded(document)]
            new, more = self._insert(collection, good, look_first=False)
            return new, strange + bad + more
        return documents, strange

    def _without_known(
        self, collection: MongoCollection[Document], documents: list[Document]
    ) -> tuple[list[Document], list[Document]]:
        """Return what is not stored yet, and what has the id of something else that is."""
        by_channel: dict[str, list[Document]] = defaultdict(list)
        for document in documents:
            by_channel[document["channel"]].append(document)
        new: list[Document] = []
        suspects: list[Document] = []
        for channel, group in by_channel.items():
            where = {"channel": channel, "_id": {"$in": [document["_id"] for document in group]}}
            places = {"topic_id": 1, "partition": 1, "offset": 1}
            stored = {one["_id"]: one for one in collection.find(where, places)}
            for document in group:
                known = stored.get(document["_id"])
                if known is None:
                    new.append(document)
                elif any(known[name] != document[name] for name in places):
                    suspects.append(document)
        return new, [document for document in suspects if not self._agrees(collection, document)]

    @staticmethod
    def _agrees(collection: MongoCollection[Document], document: Document) -> bool:
        """Return whether a document with another place is the stored one, sent again."""
        stored = collection.find_one({"_id": document["_id"], "channel": document["channel"]})
        if stored is None:
            return False
        if "type" in document:
            if any(stored[name] != document[name] for name in ("type", "actor", "target")):
                return False
            # Sent twice, it happened when it came first, whichever is archived first.
            earlier = {"appended_at": {"$gt": document["appended_at"]}}
            place = {name: document[name] for name in PLACE}
            where = {"_id": document["_id"], "channel": document["channel"], **earlier}
            collection.update_one(where, {"$set": place})
            return True
        if stored["author"] != document["author"] or stored["source"] != document["source"]:
            return False
        return "deleted_at" in stored or stored.get("original", stored["body"]) == document["body"]

    def _with_waiting_events(self, new_messages: list[Document]) -> set[Target]:
        """Return which new messages have events that were archived before them."""
        waiting: set[Target] = set()
        by_channel: dict[str, list[str]] = defaultdict(list)
        for document in new_messages:
            by_channel[document["channel"]].append(document["_id"])
        for channel, ids in by_channel.items():
            if self._store.events.find_one({"channel": channel, "target": {"$gt": ""}}) is None:
                continue
            where = {"channel": channel, "target": {"$in": ids}}
            waiting |= {(channel, one["target"]) for one in self._store.events.find(where)}
        return waiting

    def _write_attachments(self, attachments: Mapping[str, Attachment]) -> None:
        if not attachments:
            return
        updates = [
            UpdateOne(
                {"_id": sha256(attachment)},
                {
                    "$setOnInsert": {"data": Binary(attachment.data)},
                    "$addToSet": {"messages": message_id},
                },
                upsert=True,
            )
            for message_id, attachment in attachments.items()
        ]
        self._store.database["attachments"].bulk_write(updates, ordered=False)

    def _write_channel_records(self, batch: PartitionBatch, archived_ms: int) -> list[Document]:
        """Keep the newest record of each channel; return the dead letters."""
        refused: list[Document] = []
        channels = self._store.database["channels"]
        for raw in batch.records:
            name = (raw.key or b"").decode(errors="replace")
            older = {
                "_id": name,
                "$or": [{"topic_id": {"$ne": batch.topic_id}}, {"offset": {"$lt": raw.offset}}],
            }
            if raw.value is None:
                channels.delete_one(older)
                continue
            try:
                record = decode_channel_record(raw.value)
                if record.channel != name:
                    raise InvalidMessageError(f"Its key is {name[:80]!r}, not its channel")
            except InvalidMessageError as error:
                letter = unreadable(raw, str(error))
                refused.append(dead_letter_document(letter, batch.topic_id, archived_ms))
                continue
            if self._marks is not None:
                record = self._marks.record(record)
            document = channel_document(record, batch.topic_id, raw.offset, archived_ms)
            try:
                channels.replace_one(older, document, upsert=True)
            except DuplicateKeyError:  # a newer record is there already
                continue
            self._refold_foreign_deletes(record.channel)
        return refused

    def _refold_foreign_deletes(self, channel: str) -> None:
        """Look again at deletions that may have waited for the record that allows them."""
        deletes = self._store.events.find({"channel": channel, "type": "delete"}, {"target": 1})
        self.refold({(channel, event["target"]) for event in deletes}, again=True)

    @staticmethod
    def _refuse(strange: list[Document], batch: DecodedBatch) -> list[Document]:
        """Return dead letters for what MongoDB can't hold, or whose id is something else's."""
        places = {(one["topic_id"], one["partition"], one["offset"]): one for one in strange}
        refused = []
        for part in batch.parts:
            for raw in part.records:
                document = places.get((part.topic_id, part.partition, raw.offset))
                if document is None:
                    continue
                reason = (
                    f"id {document['_id']!r} is used by something else already"
                    if _can_be_encoded(document)
                    else "MongoDB can't hold it"
                )
                letter = unreadable(raw, reason)
                refused.append(dead_letter_document(letter, part.topic_id, batch.archived_ms))
        return refused

    def _put_aside(self, refused: list[Document]) -> int:
        if not refused:
            return 0
        try:
            self._store.database["dead_letters"].insert_many(refused, ordered=False)
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            others = [one for one in failed if one["code"] != DUPLICATE_KEY]
            if others or error.details.get("writeConcernErrors"):
                raise
            return len(refused) - len(failed)
        return len(refused)

    def _advance(self, parts: Sequence[PartitionBatch]) -> None:
        updates = [
            UpdateOne(
                {"_id": f"{part.topic_id}/{part.partition}"},
                {
                    "$max": {"next": part.records[-1].offset + 1},
                    "$set": {
                        "topic_id": part.topic_id,
                        "topic": part.topic,
                        "partition": part.partition,
                    },
                },
                upsert=True,
            )
            for part in parts
        ]
        self._store.database["positions"].bulk_write(updates, ordered=False)


def _not_purged(
    batch: DecodedBatch, marks: Marks
) -> tuple[list[Document], list[Document], dict[str, Attachment]]:
    """Return a batch's messages, events and attachments without what purges have marked."""
    if not marks:
        return batch.messages, batch.events, batch.attachments
    messages = [one for one in batch.messages if not marks.cover_message(one)]
    events = [one for event in batch.events if (one := marks.event(event)) is not None]
    kept = {one["_id"] for one in messages}
    files = {name: file for name, file in batch.attachments.items() if name in kept}
    return messages, events, files


def _offsets(part: PartitionBatch) -> tuple[int, int]:
    return part.records[0].offset, part.records[-1].offset


def _can_be_encoded(document: Document) -> bool:
    try:
        return len(bson.encode(document)) <= DOCUMENT_LIMIT
    except (BSONError, OverflowError, UnicodeError):
        return False
