"""MessageStore: the archive in MongoDB. Connection, indexes, reading, deleting.

The archiver alone writes messages, through :mod:`chatkit.writer`. What documents look like is told
in :mod:`chatkit.documents`. It knows nothing of Kafka's clients or of widgets.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from chatkit.documents import channel_record, received_event
from chatkit.errors import InputError, SettingsError, StoreUnavailableError
from chatkit.message import ChannelRecord, Received
from chatkit.mongo_errors import about_uri, explain
from chatkit.query import Query
from chatkit.settings import Settings
from chatkit.timeline import Order

__all__ = [
    "CHANGED_INDEX",
    "CLOCKS_MS",
    "ORDER",
    "PLACE_INDEX",
    "SEGMENT_HEADER",
    "MessageStore",
    "between",
    "beyond",
    "holding",
    "reacted",
]

Document = dict[str, Any]

ORDER = ("placed_at", "partition", "offset", "_id")
"""The fields by which messages are in order, after ``channel``."""
PLACE_INDEX = "place"
"""Name of the index that finds messages by where they lie in Kafka."""
CHANGED_INDEX = "changed"
"""Name of the index of those messages alone that events were about."""
CLOCKS_MS = 3_600_000
"""How far a sender's clock may be from Kafka's for its joining to be found, ms."""
SEGMENT_HEADER = (
    "channel", "topic_id", "partition", "first", "last", "rows", "least", "greatest", "version",
    "ready", "size", "check", "seal",
)  # fmt: skip
"""What describes a segment, in the order of its index."""
PLACE = ("topic_id", "partition", "offset")


class MessageStore:
    """The archive. Connects at first use; thread-safe; who makes it closes it.

    Parameters
    ----------
    settings : Settings, optional
        Where MongoDB is. Default: ``Settings()``.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        try:
            self._client: MongoClient[Document] = MongoClient(
                self._settings.mongo_uri.get_secret_value(),
                connect=False,
                appname="chatkit",
                timeoutMS=int(self._settings.mongo_timeout * 1000),
                tz_aware=True,
                # A date beyond Python's is somebody's claim, no reason to fail.
                datetime_conversion=DatetimeConversion.DATETIME_CLAMP,
            )
        except (ConfigurationError, InvalidURI, ValueError, OSError) as error:
            raise SettingsError(
                f"CHATKIT_MONGO_URI can't be used: {about_uri(self._settings, error)}"
            ) from None
        # Acknowledged means on disk: with less, a killed mongod lost what it had acknowledged.
        self.database: Database[Document] = self._client.get_database(
            self._settings.database,
            write_concern=WriteConcern(w="majority", j=True),
            codec_options=CodecOptions(
                tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_CLAMP
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"MessageStore(database={self._settings.database!r})"

    def close(self) -> None:
        """Close the connection, within a second also where MongoDB hangs; idempotent."""
        with pymongo.timeout(1):
            self._client.close()

    @property
    def user(self) -> str:
        """Who looks, by the settings."""
        return self._settings.user

    def channel_of(self, topic: str) -> str | None:
        """Return the channel that lives in a topic, by the settings, or None."""
        return self._settings.channel_of(topic)

    @property
    def messages(self) -> Collection[Document]:
        """The collection of messages."""
        return self.database["messages"]

    @property
    def events(self) -> Collection[Document]:
        """The collection of events."""
        return self.database["events"]

    @property
    def segments(self) -> Collection[Document]:
        """The collection of segments: copies of messages in columns, for loading."""
        return self.database["segments"]

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Turn what pymongo raises within the block into StoreUnavailableError."""
        try:
            yield
        except PyMongoError as error:
            raise self.explain(error) from error

    def explain(self, error: PyMongoError) -> StoreUnavailableError:
        """Return the error that tells a user what pymongo's error means; it shows no message."""
        return explain(self._settings, self._client, error)

    def ping(self) -> None:
        """Return if MongoDB answers.

        Raises
        ------
        StoreUnavailableError
            It does not, or refuses us.
        """
        with self.answering():
            self.database.command("ping")
            self.database["meta"].find_one({"_id": "archive"})

    def prepare(self) -> str:
        """Make indexes and the archive's id where they are missing, and return the id.

        Raises
        ------
        StoreUnavailableError
            MongoDB did not answer, or refused us.
        """
        with self.answering():
            self.messages.create_indexes(
                [
                    IndexModel([("channel", ASCENDING), *((name, ASCENDING) for name in ORDER)]),
                    # Few messages are in these two, so that they cost next to nothing.
                    IndexModel(
                        [("channel", ASCENDING), ("reply_to", ASCENDING)],
                        partialFilterExpression={"reply_to": {"$type": "string"}},
                    ),
                    IndexModel(
                        [("channel", ASCENDING), ("pinned_at", ASCENDING)],
                        partialFilterExpression={"pinned_at": {"$exists": True}},
                    ),
                    IndexModel(
                        [("channel", ASCENDING), ("placed_at", ASCENDING)],
                        name=CHANGED_INDEX,
                        partialFilterExpression={"rev": {"$gt": 0}},
                    ),
                    # Each partition adds at one place only, which costs little.
                    IndexModel(
                        [(name, ASCENDING) for name in ("channel", *PLACE)], name=PLACE_INDEX
                    ),
                ]
            )
            self.events.create_indexes(
                [IndexModel([("channel", ASCENDING), ("target", ASCENDING), ("at", ASCENDING)])]
            )
            self.database["read_marks"].create_indexes([IndexModel([("user", ASCENDING)])])
            self.segments.create_indexes(
                # All but the columns themselves, so that they are not touched to choose from.
                [IndexModel([(name, ASCENDING) for name in SEGMENT_HEADER])]
            )
            found = self.database["meta"].find_one_and_update(
                {"_id": "archive"},
                {"$setOnInsert": {"archive_id": uuid.uuid4().hex[:12]}},
                upsert=True,
                return_document=True,
            )
        assert found is not None  # an upsert returns what it made
        return str(found["archive_id"])

    def archive_id(self) -> str | None:
        """Return the archive's id, or None if nothing was ever archived here."""
        with self.answering():
            found = self.database["meta"].find_one({"_id": "archive"})
        return None if found is None else str(found["archive_id"])

    def get(self, channel: str | None, message_id: str) -> Document | None:
        """Return the document of a message, or None; without a channel it is looked for in all."""
        where = {"_id": message_id, **({} if channel is None else {"channel": channel})}
        with self.answering():
            return self.messages.find_one(where)

    def page(
        self,
        channel: str,
        *,
        before: Order | None = None,
        after: Order | None = None,
        newest: bool | None = None,
        limit: int = 200,
    ) -> list[Document]:
        """Return neighbouring messages of a channel, oldest first.

        Parameters
        ----------
        channel : str
            Name of the channel.
        before : tuple, optional
            Only what comes before this key: placed ms since 1970, partition, offset, id.
        after : tuple, optional
            Only what comes after this key.
        newest : bool, optional
            Whether to return the last ones of these, or the first. Default: the first if ``after``
            is given.
        limit : int, default 200
            At most this many.

        Returns
        -------
        list of dict
            Documents as the README describes them.

        Raises
        ------
        StoreUnavailableError
            MongoDB did not answer in time.
        """
        where = between(channel, after, before)
        newest = after is None if newest is None else newest
        direction = DESCENDING if newest else ASCENDING
        with self.answering():
            found = self.messages.find(where).sort([(name, direction) for name in ORDER])
            documents = list(found.limit(limit))
        return documents[::-1] if newest else documents

    def search(
        self,
        query: Query,
        *,
        me: str,
        zone: str = "UTC",
        limit: int = 50,
        before: Order | None = None,
    ) -> list[Document]:
        """Return the newest messages that match a query, newest first.

        Parameters
        ----------
        query : Query
            Which messages, as `chatkit.query.parse` returns it.
        me : str
            Who ``me`` in the query is.
        zone : str, default "UTC"
            Time zone of the days in the query, a name of the IANA database.
        limit : int, default 50
            At most this many, > 0.
        before : tuple, optional
            Only what comes before this key: placed ms since 1970, partition, offset, id. With that
            of the last document found, the search goes on.

        Returns
        -------
        list of dict
            Documents as the README describes them.

        Raises
        ------
        InputError
            The limit is not positive, or there is no such zone.
        StoreUnavailableError
            MongoDB did not answer in time.
        """
        if limit < 1:
            raise InputError(f"limit must be at least 1, not {limit}")
        where = query.to_filter(me=me, zone=zone)
        if before is not None:
            where = {"$and": [where, _earlier(before)]}
        with self.answering():
            if not query.channels:
                # With their names the index gives the newest; else all would be sorted.
                where = {"channel": {"$in": self.messages.distinct("channel")}, "$and": [where]}
            found = self.messages.find(where).sort([(name, DESCENDING) for name in ORDER])
            return list(found.limit(limit))

    def comings(self, channel: str, first_ms: int, last_ms: int) -> list[Received]:
        """Return who joined and left a channel in a time, the newest 200.

        Parameters
        ----------
        channel : str
            Name of the channel.
        first_ms, last_ms : int
            The time, ms since 1970 UTC, both included.
        """
        # By the sender's clock, which is in the index; what counts is where they are placed.
        about = {"$gte": DatetimeMS(first_ms - CLOCKS_MS), "$lte": DatetimeMS(last_ms + CLOCKS_MS)}
        where = {"channel": channel, "target": None, "at": about}
        with self.answering():
            found = list(self.events.find(where).sort("at", DESCENDING).limit(200))
        events = map(received_event, found)
        return [event for event in events if first_ms <= event.placed_ms <= last_ms]

    def replies(self, channel: str, message_ids: Iterable[str], limit: int = 500) -> list[Document]:
        """Return the answers to some messages of a channel, oldest first."""
        where = {"channel": channel, "reply_to": {"$in": list(message_ids), "$type": "string"}}
        with self.answering():
            found = self.messages.find(where).sort([(name, ASCENDING) for name in ORDER])
            return list(found.limit(limit))

    def pinned(self, channel: str, limit: int = 100) -> list[Document]:
        """Return the pinned messages of a channel, last pinned first."""
        where = {"channel": channel, "pinned_at": {"$exists": True}}
        with self.answering():
            return list(self.messages.find(where).sort("pinned_at", DESCENDING).limit(limit))

    def attachment(self, sha256: str) -> bytes | None:
        """Return the bytes of an attachment, or None if they are not here."""
        with self.answering():
            found = self.database["attachments"].find_one({"_id": sha256})
        return None if found is None else bytes(found["data"])

    def events_of(self, channel: str, message_ids: Iterable[str]) -> list[Received]:
        """Return every event about some messages of a channel."""
        where = {"channel": channel, "target": {"$in": list(message_ids)}}
        with self.answering():
            return [received_event(document) for document in self.events.find(where)]

    def positions(self, topic_id: str) -> dict[int, int]:
        """Return how far a topic is archived: partition -> next offset.

        Parameters
        ----------
        topic_id : str
            Kafka's id of the topic.
        """
        with self.answering():
            found = self.database["positions"].find({"topic_id": topic_id})
            return {document["partition"]: document["next"] for document in found}

    def channel_records(self) -> dict[str, ChannelRecord]:
        """Return the record of each channel, by name."""
        with self.answering():
            found = self.database["channels"].find().sort("_id")
            return {document["_id"]: channel_record(document) for document in found}

    def moderators(self, channel: str) -> tuple[str, ...]:
        """Return who may delete others' messages in a channel."""
        with self.answering():
            found = self.database["channels"].find_one({"_id": channel}, {"moderators": 1})
        return () if found is None else tuple(found["moderators"])

    def counts(self) -> dict[str, int]:
        """Return how many messages each channel has, deleted ones included."""
        pipeline: list[Mapping[str, Any]] = [
            {"$group": {"_id": "$channel", "messages": {"$sum": 1}}},
            {"$sort": {"_id": 1}},
        ]
        with self.answering():
            return {row["_id"]: row["messages"] for row in self.messages.aggregate(pipeline)}

    def known_ids(self, channel: str, message_ids: list[str]) -> set[str]:
        """Return which of some ids are messages or events of a channel here already."""
        where = {"channel": channel, "_id": {"$in": message_ids}}
        with self.answering():
            return {
                document["_id"]
                for collection in (self.messages, self.events)
                for document in collection.find(where, {"_id": 1})
            }

    def dead_letters(self, limit: int = 100) -> list[Document]:
        """Return the newest records that could not be archived, newest first."""
        with self.answering():
            newest = self.database["dead_letters"].find().sort("archived_at", DESCENDING)
            return list(newest.limit(limit))

    def delete_channel(self, channel: str) -> int:
        """Delete all that the archive has of a channel, and return how many messages that were.

        Positions stay: what is still in Kafka is not archived a second time.
        """
        with self.answering():
            self.segments.delete_many({"channel": channel})
            self.events.delete_many({"channel": channel})
            letters = {"topic": self._settings.topic_of(channel)}
            self.database["dead_letters"].delete_many(letters)
            self.database["channels"].delete_one({"_id": channel})
            with_attachment = {"channel": channel, "attachment": {"$ne": None}}
            ids = [one["_id"] for one in self.messages.find(with_attachment, {"_id": 1})]
            self.database["attachments"].update_many(
                {"messages": {"$in": ids}}, {"$pull": {"messages": {"$in": ids}}}
            )
            self.database["attachments"].delete_many({"messages": []})
            deleted = self.messages.delete_many({"channel": channel}).deleted_count
            self.segments.delete_many({"channel": channel})  # what was built meanwhile
            return deleted


def between(channel: str, after: Order | None, before: Order | None) -> Document:
    """Return the filter for a channel's messages between two keys, neither included."""
    branches, bounds = [], {}
    for key, operator in ((after, "gt"), (before, "lt")):
        if key is not None:
            values = dict(zip(ORDER, (DatetimeMS(key[0]), *key[1:]), strict=True))
            branches.append({"$or": beyond(values, f"${operator}")})
            # Lets the index bound the scan, which an $or alone does not.
            bounds[f"${operator}e"] = values["placed_at"]
    return {
        "channel": channel,
        **({"placed_at": bounds} if bounds else {}),
        **({"$and": branches} if branches else {}),
    }


def holding(channel: str, topic_id: str, partition: int, first: int, last: int) -> Document:
    """Return the filter for the segments that hold some offsets of a partition, ends included.

    Who has put messages there, or taken them or their text away, deletes these segments right after
    that: their builder relies on it.
    """
    return {
        "channel": channel,
        "topic_id": topic_id,
        "partition": partition,
        "first": {"$lte": last},
        "last": {"$gte": first},
    }


def reacted(name: str) -> Document:
    """Return the filter for messages that somebody has reacted to."""
    mine = {"$in": [{"$literal": name}, "$$this.v"]}
    each = {"$map": {"input": {"$objectToArray": "$reactions"}, "in": mine}}
    return {"reactions": {"$type": "object"}, "$expr": {"$anyElementTrue": each}}


def _earlier(key: Order) -> Document:
    """Return the filter for what comes before a key, in any channel."""
    values = dict(zip(ORDER, (DatetimeMS(key[0]), *key[1:]), strict=True))
    return {"placed_at": {"$lte": values["placed_at"]}, "$or": beyond(values, "$lt")}


def beyond(key: Mapping[str, Any], operator: str) -> list[Document]:
    """Return the branches of an ``$or`` for all that sorts on one side of a key."""
    names = list(key)
    return [
        {**{name: key[name] for name in names[:n]}, names[n]: {operator: key[names[n]]}}
        for n in range(len(names))
    ]
