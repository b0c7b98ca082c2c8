"""What an export reads: channels, whole documents a page at a time, everybody's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pymongo

from chatkit.message import check_channel_name
from chatkit.query import Query
from chatkit.store import ORDER, MessageStore

__all__ = ["Document", "chosen_channels", "everybody", "listed", "pages"]

Document = dict[str, Any]

PAGE = 500
"""Documents in memory at a time."""
READ_SECONDS = 3600.0
"""How long MongoDB may look for the next page, where few messages match."""


def chosen_channels(
    store: MessageStore, query: Query, channel: str | Sequence[str] | None
) -> list[str]:
    """Return the channels of the archive where messages can match, sorted.

    Raises
    ------
    ChannelNameError
        A name can't be a channel's.
    StoreUnavailableError
        MongoDB did not answer in time.
    """
    asked = [channel] if isinstance(channel, str) else channel
    if asked is not None:
        asked = [check_channel_name(name) for name in asked]
    with store.answering():
        found = store.messages.distinct("channel")
    return sorted(
        name
        for name in found
        if isinstance(name, str)
        and (asked is None or name in asked)
        and (not query.channels or name in query.channels)
    )


def pages(store: MessageStore, channel: str, where: Document) -> Iterator[list[Document]]:
    """Yield a channel's documents that match a filter, in order, some hundreds at a time."""
    asked = {"$and": [{"channel": channel}, where]} if where else {"channel": channel}
    found = store.messages.find(asked, batch_size=PAGE, allow_disk_use=True)
    with found.sort([(name, pymongo.ASCENDING) for name in ORDER]) as cursor:
        while page := _next(cursor):
            yield page


def listed(found: Any) -> Iterator[list[Document]]:
    """Yield the documents of a cursor, some hundreds at a time."""
    with found as cursor:
        while page := _next(cursor):
            yield page


def _next(cursor: Any) -> list[Document]:
    with pymongo.timeout(READ_SECONDS):
        return list(islice(cursor, PAGE))


def everybody(store: MessageStore) -> set[str]:
    """Return the name of everybody who ever wrote, did or read something in the archive."""
    names: set[Any] = set()
    database = store.database
    with store.answering():
        for collection, field in (("messages", "author"), ("events", "actor")):
            with pymongo.timeout(READ_SECONDS):
                rows = database[collection].aggregate(
                    [{"$group": {"_id": f"${field}"}}], allowDiskUse=True
                )
                names.update(row["_id"] for row in rows)
        for mark in database["read_marks"].find({}, {"user": 1, "muted_people": 1}):
            names.update([mark.get("user"), *mark.get("muted_people", ())])
        for record in database["channels"].find({}, {"creator": 1, "moderators": 1}):
            names.update([record.get("creator"), *record.get("moderators", ())])
    return {name for name in names if isinstance(name, str) and name.strip()}
