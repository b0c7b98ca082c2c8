"""Dead letters: records that the archive could not take, tried again.

A record that a newer chatkit wrote is put aside with its bytes; after an update it can be archived
like any other. It is given to :mod:`chatkit.writer` as if it had just been read from Kafka, so the
record may be long gone there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from bson.datetime_ms import DatetimeMS

from chatkit.batches import PartitionBatch, decode_batches
from chatkit.consumer import decode_record
from chatkit.errors import InvalidMessageError
from chatkit.message import Unreadable, decode_channel_record
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.writer import BatchWriter

__all__ = ["Replayed", "replay_dead_letters"]

BATCH = 100
"""Records, of up to 6 MiB each, that are in memory at a time."""


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What trying all dead letters again came to."""

    archived: int = 0
    """Records that are archived now, and no dead letters any more."""
    refused: int = 0
    """Records that still can't be archived; they stay."""
    without_bytes: int = 0
    """Notes about records that Kafka no longer held; there is nothing to try."""


class _Record(msgspec.Struct):
    """A record as kafka-python gives it, as far as we look at it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def replay_dead_letters(settings: Settings, store: MessageStore) -> Replayed:
    """Try to archive every dead letter, and remove those for which it worked.

    May run beside archivers, and again at any time.

    Parameters
    ----------
    settings : Settings
        Tells which topic is which channel.
    store : MessageStore
        The archive; stays open.

    Returns
    -------
    Replayed
        Counts.

    Raises
    ------
    StoreUnavailableError
        MongoDB did not answer in time; what was archived until then is.
    """
    store.prepare()
    letters = store.database["dead_letters"]
    archived = refused = 0
    with store.answering():
        without_bytes = letters.count_documents({"value": None})
        last = ""
        while page := list(
            letters.find({"value": {"$ne": None}, "_id": {"$gt": last}}).sort("_id").limit(BATCH)
        ):
            last = page[-1]["_id"]
            done = _replay(settings, store, page)
            letters.delete_many({"_id": {"$in": done}})
            archived += len(done)
            refused += len(page) - len(done)
    return Replayed(archived=archived, refused=refused, without_bytes=without_bytes)


def _replay(settings: Settings, store: MessageStore, letters: list[dict[str, Any]]) -> list[str]:
    """Return the ids of those that are archived now."""
    by_partition: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for letter in letters:
        if _is_readable(settings, letter):
            by_partition[letter["topic_id"], letter["partition"]].append(letter)
    done = []
    writer = BatchWriter(store)
    for (topic_id, partition), group in by_partition.items():
        # Writing moves the archive's position to behind the record. What lies at or behind the
        # position now is left to the archiver, or it would miss what comes before.
        position = store.positions(topic_id).get(partition, 0)
        group = sorted(
            (letter for letter in group if letter["offset"] < position),
            key=lambda letter: int(letter["offset"]),
        )
        if not group:
            continue
        if _write(settings, writer, group):
            done += [letter["_id"] for letter in group]
        else:
            done += [letter["_id"] for letter in group if _write(settings, writer, [letter])]
    return done


def _write(settings: Settings, writer: BatchWriter, letters: list[dict[str, Any]]) -> bool:
    """Return whether all of some letters of a partition could be archived."""
    first = letters[0]
    batch = PartitionBatch(
        topic_id=first["topic_id"],
        topic=first["topic"],
        channel=settings.channel_of(first["topic"]),
        partition=first["partition"],
        records=[_record(letter) for letter in letters],
        replayed=True,
    )
    written = writer.write(decode_batches([batch]))
    if batch.channel is None:
        return True  # it is readable, and an older record of a channel has no right to be kept
    return written.messages + written.events + written.duplicates == len(letters)


def _is_readable(settings: Settings, letter: Mapping[str, Any]) -> bool:
    channel = settings.channel_of(letter["topic"])
    record = _record(letter)
    if channel is not None:
        return not isinstance(decode_record(record, channel), Unreadable)
    if letter["topic"] != settings.channels_topic:
        return False
    try:
        assert record.value is not None
        return (decode_channel_record(record.value).channel).encode() == record.key
    except InvalidMessageError:
        return False


def _record(letter: Mapping[str, Any]) -> _Record:
    return _Record(
        topic=letter["topic"],
        partition=letter["partition"],
        offset=letter["offset"],
        timestamp=int(DatetimeMS(letter["appended_at"])),
        key=None if letter["key"] is None else bytes(letter["key"]),
        value=None if letter["value"] is None else bytes(letter["value"]),
    )
