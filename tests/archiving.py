"""Messages and events straight into an archive, as the archiver writes them, without a Kafka."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from chatkit.batches import PartitionBatch, decode_batches
from chatkit.message import Event, Message, encode
from chatkit.store import MessageStore
from chatkit.writer import BatchWriter, Written

__all__ = ["START", "Archive"]

START = 1_767_225_600_000
"""2026-01-01, ms since 1970 UTC: when the first record is appended."""


class Archive:
    """Writes records as they would lie in Kafka, each appended a second after the last.

    Parameters
    ----------
    store : MessageStore
        Where to.
    """

    def __init__(self, store: MessageStore) -> None:
        store.prepare()
        self._store = store
        self._clock = itertools.count(START, 1000)
        self.logs: dict[tuple[str, int], list[Any]] = {}
        """Channel and partition -> its records."""

    def append(
        self, *items: Message | Event, partition: int = 0, at_ms: int | None = None
    ) -> dict[str, list[Any]]:
        """Put records at the end of their partitions, archive none, and return them by channel."""
        new: dict[str, list[Any]] = {}
        for item in items:
            log = self.logs.setdefault((item.channel, partition), [])
            record = SimpleNamespace(
                topic=f"chat.{item.channel}",
                partition=partition,
                offset=len(log),
                timestamp=next(self._clock) if at_ms is None else at_ms,
                key=getattr(item, "author", None) and item.author.encode(),  # type: ignore[union-attr]
                value=encode(item),
            )
            log.append(record)
            new.setdefault(item.channel, []).append(record)
        return new

    def write(
        self,
        *items: Message | Event,
        partition: int = 0,
        at_ms: int | None = None,
        writer: BatchWriter | None = None,
    ) -> Written:
        """Append records and archive them."""
        new = self.append(*items, partition=partition, at_ms=at_ms)
        batches = [self._batch(channel, partition, records) for channel, records in new.items()]
        return (writer or BatchWriter(self._store)).write(decode_batches(batches))

    def write_again(self, change: Callable[[Any], None] = lambda record: None) -> None:
        """Archive all records once more, from the beginning."""
        writer = BatchWriter(self._store)
        for (channel, partition), log in self.logs.items():
            for record in log:
                change(record)
            writer.write(decode_batches([self._batch(channel, partition, log, replayed=True)]))

    @staticmethod
    def _batch(
        channel: str, partition: int, records: Sequence[Any], *, replayed: bool = False
    ) -> PartitionBatch:
        return PartitionBatch(
            topic_id=f"id of {channel}",
            topic=f"chat.{channel}",
            channel=channel,
            partition=partition,
            records=records,
            replayed=replayed,
        )
