"""Batches of raw Kafka records -> documents to write: decoding, and nothing else.

Pure, so that it can be done while MongoDB is busy with the batch before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chatkit.consumer import decode_record
from chatkit.documents import dead_letter_document, event_document, message_document
from chatkit.message import Attachment, Message, Unreadable, now_ms

__all__ = ["DecodedBatch", "PartitionBatch", "decode_batches"]

Document = dict[str, Any]


class PartitionBatch(msgspec.Struct):
    """Records of one partition, in order, with nothing left out between them."""

    topic_id: str
    """Kafka's id of the topic."""
    topic: str
    """Its name."""
    channel: str | None
    """The channel that lives in it; None for the topic of channel records."""
    partition: int
    """Partition of the topic."""
    records: Sequence[Any]
    """As kafka-python gave them."""
    replayed: bool = False
    """Whether much of it may be archived already: look before inserting."""


class DecodedBatch(msgspec.Struct):
    """What is to be written for some partitions' records."""

    parts: Sequence[PartitionBatch]
    """The raw records; those of the topic of channel records are in here only."""
    archived_ms: int
    """The time to note as that of archiving, ms since 1970 UTC."""
    messages: list[Document]
    """Documents of messages."""
    events: list[Document]
    """Documents of events."""
    attachments: dict[str, Attachment]
    """Attachments by the id of their message."""
    refused: list[Document]
    """Dead letters: what can't be read."""
    look_first: bool
    """Whether much of it may be archived already."""


def decode_batches(parts: Sequence[PartitionBatch]) -> DecodedBatch:
    """Return the documents for some partitions' records; never raises for their content."""
    archived_ms = now_ms()
    messages: list[Document] = []
    events: list[Document] = []
    attachments: dict[str, Attachment] = {}
    refused: list[Document] = []
    for part in parts:
        channel, topic_id = part.channel, part.topic_id
        for record in part.records if channel is not None else ():
            received = decode_record(record, channel or "")
            if isinstance(received, Unreadable):
                refused.append(dead_letter_document(received, topic_id, archived_ms))
            elif isinstance(received.item, Message):
                messages.append(message_document(received, topic_id, archived_ms))
                if received.item.attachment is not None:
                    attachments[received.item.id] = received.item.attachment
            else:
                events.append(event_document(received, topic_id, archived_ms))
    return DecodedBatch(
        parts=parts,
        archived_ms=archived_ms,
        messages=messages,
        events=events,
        attachments=attachments,
        refused=refused,
        look_first=any(part.replayed for part in parts),
    )
