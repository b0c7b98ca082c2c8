"""Messages and events <-> MongoDB documents: the one place that knows both.

The documents are a public format, described in the README. Pure: no connection here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bson.binary import Binary
from bson.datetime_ms import DatetimeMS

from chatkit.fold import Folded
from chatkit.message import (
    Attachment,
    ChannelRecord,
    Delete,
    Edit,
    Event,
    Join,
    Leave,
    Message,
    Pin,
    React,
    Received,
    Unpin,
    Unreact,
    Unreadable,
)
from chatkit.query import mentions, searchable

__all__ = [
    "channel_document",
    "channel_record",
    "dead_letter_document",
    "event_document",
    "fold_update",
    "mentions",
    "message_document",
    "received_event",
    "received_message",
    "searchable",
    "sha256",
]

Document = dict[str, Any]

EVENT_KINDS: dict[str, type[Event]] = {
    "edit": Edit,
    "delete": Delete,
    "react": React,
    "unreact": Unreact,
    "pin": Pin,
    "unpin": Unpin,
    "join": Join,
    "leave": Leave,
}
KIND_NAMES = {kind: name for name, kind in EVENT_KINDS.items()}


def _place(received: Received | Unreadable, topic_id: str) -> Document:
    return {
        "topic": received.topic,
        "topic_id": topic_id,
        "partition": received.partition,
        "offset": received.offset,
        "appended_at": DatetimeMS(received.appended_ms),
    }


def message_document(received: Received, topic_id: str, archived_ms: int) -> Document:
    """Return the document of a message that was just read from Kafka."""
    message = received.item
    assert isinstance(message, Message)
    body, attachment = message.body, message.attachment
    appended = DatetimeMS(received.appended_ms)
    sent = DatetimeMS(message.sent_ms)
    return {
        "_id": message.id,
        "channel": message.channel,
        "author": message.author,
        "body": body,
        "sent_at": sent,
        "placed_at": appended if message.source == "chat" else sent,
        "archived_at": DatetimeMS(archived_ms),
        "reply_to": message.reply_to,
        "bot": message.bot,
        "source": message.source,
        "attachment": None if attachment is None else _attachment_summary(attachment),
        "mentions": mentions(body),
        "search": searchable(body),
        "topic": received.topic,
        "topic_id": topic_id,
        "partition": received.partition,
        "offset": received.offset,
        "appended_at": appended,
        "rev": 0,
    }


def _attachment_summary(attachment: Attachment) -> Document:
    return {
        "name": attachment.name,
        "type": attachment.type,
        "size": len(attachment.data),
        "sha256": sha256(attachment),
    }


def sha256(attachment: Attachment) -> str:
    """Return the SHA-256 of an attachment's bytes, in hexadecimal: its ``_id``."""
    return hashlib.sha256(attachment.data).hexdigest()


def event_document(received: Received, topic_id: str, archived_ms: int) -> Document:
    """Return the document of an event that was just read from Kafka."""
    event = received.item
    assert not isinstance(event, Message)
    document = {
        "_id": event.id,
        "type": KIND_NAMES[type(event)],
        "channel": event.channel,
        "actor": event.actor,
        "at": DatetimeMS(event.at_ms),
        "target": event.target,
        "source": event.source,
        "archived_at": DatetimeMS(archived_ms),
        **_place(received, topic_id),
    }
    if isinstance(event, Edit):
        document["body"] = event.body
    elif isinstance(event, React | Unreact):
        document["emoji"] = event.emoji
    return document


def dead_letter_document(unreadable: Unreadable, topic_id: str, archived_ms: int) -> Document:
    """Return the document of a record that can't be archived as anything else."""
    return {
        "_id": f"{topic_id}/{unreadable.partition}/{unreadable.offset}",
        "reason": unreadable.reason,
        "key": None if unreadable.key is None else Binary(unreadable.key),
        "value": None if unreadable.value is None else Binary(unreadable.value),
        "archived_at": DatetimeMS(archived_ms),
        **_place(unreadable, topic_id),
    }


def _ms(value: Any) -> int:
    """Return a date of MongoDB's as ms since 1970 UTC."""
    return int(DatetimeMS(value))


def received_message(document: Mapping[str, Any]) -> Received:
    """Return a message as it was sent, and its place, from its document.

    Of a deleted message the text is gone, and of any the bytes of the attachment, which live in
    ``attachments``.
    """
    attachment = document["attachment"]
    message = Message(
        id=document["_id"],
        channel=document["channel"],
        author=document["author"],
        body=document.get("original", document["body"]),
        sent_ms=_ms(document["sent_at"]),
        reply_to=document["reply_to"],
        bot=document["bot"],
        source=document["source"],
        attachment=attachment and Attachment(**attachment),
    )
    return _received(document, message)


def received_event(document: Mapping[str, Any]) -> Received:
    """Return an event and its place from its document."""
    more = {name: document[name] for name in ("body", "emoji") if name in document}
    event = EVENT_KINDS[document["type"]](
        id=document["_id"],
        channel=document["channel"],
        actor=document["actor"],
        at_ms=_ms(document["at"]),
        target=document["target"],
        source=document["source"],
        **more,
    )
    return _received(document, event)


def _received(document: Mapping[str, Any], item: Message | Event) -> Received:
    return Received(
        topic=document["topic"],
        partition=document["partition"],
        offset=document["offset"],
        appended_ms=_ms(document["appended_at"]),
        item=item,
    )


def fold_update(folded: Folded) -> Document:
    """Return the MongoDB update that makes a message's document show a fold."""
    fields: Document = {
        "body": folded.body,
        "search": searchable(folded.body),
        "mentions": mentions(folded.body),
        "rev": folded.rev,
        "original": folded.original,
        "edited_at": _date(folded.edited_ms),
        "deleted_at": _date(folded.deleted_ms),
        "reactions": {emoji: list(actors) for emoji, actors in folded.reactions.items()} or None,
        # Told apart, since a decoder of columns can't count what is in a document.
        "reaction_count": sum(map(len, folded.reactions.values())) or None,
        "pinned_at": _date(folded.pinned_ms),
    }
    update = {"$set": {name: value for name, value in fields.items() if value is not None}}
    if folded.deleted_ms is not None:
        update["$set"]["attachment"] = None
    gone = {name: "" for name, value in fields.items() if value is None}
    # Once deleted, a message stays so, whatever a later fold of fewer facts would say.
    gone.pop("deleted_at", None)
    return {**update, **({"$unset": gone} if gone else {})}


def _date(ms: int | None) -> DatetimeMS | None:
    return None if ms is None else DatetimeMS(ms)


def channel_document(
    record: ChannelRecord, topic_id: str, offset: int, archived_ms: int
) -> Document:
    """Return the document of a channel's record."""
    return {
        "_id": record.channel,
        "display_name": record.display_name,
        "description": record.description,
        "creator": record.creator,
        "moderators": list(record.moderators),
        "archived": record.archived,
        "at": DatetimeMS(record.at_ms),
        "topic_id": topic_id,
        "offset": offset,
        "archived_at": DatetimeMS(archived_ms),
    }


def channel_record(document: Mapping[str, Any]) -> ChannelRecord:
    """Return a channel's record from its document."""
    return ChannelRecord(
        channel=document["_id"],
        display_name=document["display_name"],
        description=document["description"],
        creator=document["creator"],
        moderators=tuple(document["moderators"]),
        archived=document["archived"],
        at_ms=_ms(document["at"]),
    )
