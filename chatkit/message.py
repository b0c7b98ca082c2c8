"""A message, the events about messages, and how both are written in a Kafka record.

Pure: it knows nothing of Kafka's clients, of MongoDB or of widgets. The wire format is JSON in
UTF-8, one object a record; fields that we don't know are ignored, so that later minor versions may
add some.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Literal, Self

import msgspec

from chatkit.errors import ChannelNameError, InvalidMessageError

__all__ = [
    "ATTACHMENT_LIMIT",
    "AUTHOR_LIMIT",
    "BODY_LIMIT",
    "Attachment",
    "Beat",
    "ChannelRecord",
    "Delete",
    "Edit",
    "Event",
    "Join",
    "Leave",
    "Message",
    "Pin",
    "React",
    "Received",
    "Unpin",
    "Unreact",
    "Unreadable",
    "check",
    "check_channel_name",
    "decode",
    "decode_beat",
    "decode_channel_record",
    "encode",
    "from_ms",
    "new_id",
    "now_ms",
]

WIRE_VERSION = 1
BODY_LIMIT = 16 * 1024
"""Bytes of UTF-8 that a body may have."""
ATTACHMENT_LIMIT = 4 * 1024 * 1024
"""Bytes that an attachment may have."""
AUTHOR_LIMIT = 64
"""Characters that an author's name may have."""
ID_LIMIT = 64
NAME_LIMIT = 255
EMOJI = re.compile(r"[^\s.$\x00-\x1f\x7f]{1,64}")
"""What can be put under a message, and be the name of a field in MongoDB."""
LAST_MS = 253_402_300_799_999  # the end of year 9999, the last that a datetime can hold


CHANNEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")


def check_channel_name(name: str) -> str:
    """Return the name of a channel as it is, or raise.

    Raises
    ------
    ChannelNameError
        It is not 1-80 characters of a-z, 0-9, ``-`` and ``_``, the first a letter or digit.
    """
    if not CHANNEL_NAME.fullmatch(name):
        shown = repr(name if len(name) <= 40 else name[:40] + "...")
        raise ChannelNameError(
            f"{shown} can't be a channel's name: use 1-80 lower-case letters a-z, digits, '-' and "
            "'_', beginning with a letter or digit"
        )
    return name


def now_ms() -> int:
    """Return the time now, in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


def from_ms(ms: int) -> datetime:
    """Return ms since 1970 as an aware datetime in UTC, exact to the millisecond."""
    seconds, rest = divmod(ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def new_id() -> str:
    """Return a new id: a UUID of version 7 (RFC 9562), which sorts by the time it was made."""
    value = now_ms() << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


class Attachment(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A file that travels inside a message."""

    name: str
    """File name to show."""
    type: str
    """MIME type."""
    data: bytes = b""
    """The bytes; base64 on the wire."""
    size: int = 0
    """How many bytes there are where they are not here; never on the wire."""
    sha256: str = ""
    """Their SHA-256, in hexadecimal, where they are not here; never on the wire."""

    @property
    def length(self) -> int:
        """How many bytes it has, here or elsewhere."""
        return len(self.data) or self.size

    def summary(self) -> Attachment:
        """Return the same without its bytes."""
        if not self.data:
            return self
        digest = hashlib.sha256(self.data).hexdigest()
        return Attachment(name=self.name, type=self.type, size=len(self.data), sha256=digest)


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message", gc=False):
    """What a person said. Immutable; make one with :meth:`new`."""

    v: int = WIRE_VERSION
    """Version of the wire format."""
    id: str
    """Sender's id, kept by every retry: one id is one message."""
    channel: str
    """Name of the channel."""
    author: str
    """Who says to have written it: a claim, not a proof."""
    body: str
    """The text, untrusted, up to 16 KiB of UTF-8."""
    sent_ms: int = msgspec.field(name="sent_at")
    """The sender's clock, ms since 1970 UTC: shown, never sorted by."""
    reply_to: str | None = None
    """Id of the message that this one answers."""
    bot: bool = False
    """Whether a program wrote it."""
    source: str = "chat"
    """Where it was written: ``chat``, or the format that it was imported from."""
    attachment: Attachment | None = None
    """A file, or None."""

    @classmethod
    def new(cls, channel: str, author: str, body: str, **more: Any) -> Self:
        """Return a message of now with an id of its own; ``more``: any other field."""
        return cls(
            **{"id": new_id(), "sent_ms": now_ms(), **more},
            channel=channel,
            author=author,
            body=body,
        )

    @property
    def sent_at(self) -> datetime:
        """The sender's time, aware, UTC."""
        return from_ms(self.sent_ms)


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What happened to a message, or in a channel."""

    v: int = WIRE_VERSION
    """Version of the wire format."""
    id: str
    """Sender's id, kept by every retry."""
    channel: str
    """Name of the channel."""
    actor: str
    """Who says to have done it."""
    at_ms: int = msgspec.field(name="at")
    """The actor's clock, ms since 1970 UTC."""
    target: str | None = None
    """Id of the message that it is about; None for join and leave."""
    source: str = "chat"
    """Where it happened: ``chat``, or the format that it was imported from."""

    @classmethod
    def new(cls, channel: str, actor: str, target: str | None = None, **more: Any) -> Self:
        """Return an event of now with an id of its own; ``more``: any other field."""
        return cls(
            **{"id": new_id(), "at_ms": now_ms(), **more},
            channel=channel,
            actor=actor,
            target=target,
        )

    @property
    def at(self) -> datetime:
        """The actor's time, aware, UTC."""
        return from_ms(self.at_ms)


class Edit(_Event, frozen=True, kw_only=True, tag="edit"):
    """The author gives a message another text."""

    body: str
    """The whole new text."""


class Delete(_Event, frozen=True, kw_only=True, tag="delete"):
    """Author or moderator takes a message away, for good."""


class React(_Event, frozen=True, kw_only=True, tag="react"):
    """Somebody puts an emoji under a message."""

    emoji: str
    """The emoji, or its short name."""


class Unreact(_Event, frozen=True, kw_only=True, tag="unreact"):
    """Somebody takes an own emoji back."""

    emoji: str
    """The emoji, or its short name."""


class Pin(_Event, frozen=True, kw_only=True, tag="pin"):
    """Somebody pins a message."""


class Unpin(_Event, frozen=True, kw_only=True, tag="unpin"):
    """Somebody unpins a message."""


class Join(_Event, frozen=True, kw_only=True, tag="join"):
    """Somebody enters the channel."""


class Leave(_Event, frozen=True, kw_only=True, tag="leave"):
    """Somebody leaves the channel."""


Event = Edit | Delete | React | Unreact | Pin | Unpin | Join | Leave


class Received(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message or an event, and where it lies in Kafka."""

    topic: str
    """Kafka topic."""
    partition: int
    """Partition of the topic."""
    offset: int
    """Offset in the partition."""
    appended_ms: int
    """When the broker appended it, ms since 1970 UTC."""
    item: Message | Event
    """What it says."""

    @property
    def place(self) -> tuple[int, int, int]:
        """Append time, partition and offset: of an id that came twice, the least place counts."""
        return self.appended_ms, self.partition, self.offset

    @property
    def placed_ms(self) -> int:
        """What it is ordered by: append time, or the original time of something imported."""
        if self.item.source == "chat":
            return self.appended_ms
        return self.item.sent_ms if isinstance(self.item, Message) else self.item.at_ms


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A record that is no message or event that we can read."""

    topic: str
    """Kafka topic."""
    partition: int
    """Partition of the topic."""
    offset: int
    """Offset in the partition."""
    appended_ms: int
    """When the broker appended it, ms since 1970 UTC."""
    key: bytes | None
    """The record's key, raw."""
    value: bytes | None
    """The record's value, raw."""
    reason: str
    """Why it can't be read."""


class ChannelRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="channel"):
    """What is known of a channel besides its topic; the newest record of a channel counts."""

    v: int = WIRE_VERSION
    """Version of the wire format."""
    channel: str
    """Name of the channel: also the record's key."""
    display_name: str = ""
    """Name to show; empty: the channel's own."""
    description: str = ""
    """What the channel is for."""
    creator: str = ""
    """Who created it."""
    moderators: tuple[str, ...] = ()
    """Who may delete others' messages; the creator is the first."""
    archived: bool = False
    """Whether it is closed to new messages."""
    at_ms: int = msgspec.field(default_factory=now_ms, name="at")
    """When this record was made, ms since 1970 UTC."""


class Beat(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="presence"):
    """That somebody is there, as each chatkit that is open says again and again; never kept."""

    v: int = WIRE_VERSION
    """Version of the wire format."""
    user: str
    """Who says to be there: also the record's key."""
    instance: str
    """Id of the chatkit that says it; somebody may have several open."""
    state: Literal["here", "away", "left"]
    """Whether that one is looked at, is open only, or ends."""
    typing: str = ""
    """Name of the channel that is being written in, or empty."""


class _Head(msgspec.Struct):
    v: Any = None
    type: Any = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message | Event)
_channel_decoder = msgspec.json.Decoder(ChannelRecord)
_beat_decoder = msgspec.json.Decoder(Beat)
_head_decoder = msgspec.json.Decoder(_Head)


def _check_name(what: str, name: str) -> None:
    if not 1 <= len(name) <= AUTHOR_LIMIT:
        raise InvalidMessageError(f"{what} must have 1-{AUTHOR_LIMIT} characters, not {len(name)}")
    if not name.isprintable() or name != name.strip():
        raise InvalidMessageError(
            f"{what} {name!r} must be printable, on one line, with no space at either end"
        )


def _check_time(what: str, ms: int) -> None:
    if not 0 <= ms <= LAST_MS:
        raise InvalidMessageError(f"{what} is {ms} ms since 1970, which is no date up to year 9999")


def _check_body(body: str) -> None:
    if len(body) * 4 > BODY_LIMIT:
        size = len(body.encode("utf-8", "surrogatepass"))
        if size > BODY_LIMIT:
            raise InvalidMessageError(
                f"The text has {size:,} bytes; the limit is {BODY_LIMIT:,}. Split it, or share it "
                "as an attachment"
            )


def check(item: Message | Event) -> None:
    """Raise if a message or an event breaks a rule of the wire format.

    Parameters
    ----------
    item : Message or Event
        What is to be sent, or was received.

    Raises
    ------
    InvalidMessageError
        The text says which rule.
    ChannelNameError
        It is for a channel that can't be.
    """
    check_channel_name(item.channel)
    _check_content(item)


def _check_content(item: Message | Event) -> None:
    _check_id("id", item.id)
    if not 1 <= len(item.source) <= ID_LIMIT or not item.source.isprintable():
        raise InvalidMessageError(f"source must have 1-{ID_LIMIT} printable characters")
    if isinstance(item, Message):
        _check_message(item)
    else:
        _check_event(item)


def _check_id(what: str, value: str) -> None:
    if not 1 <= len(value) <= ID_LIMIT or not value.isprintable():
        raise InvalidMessageError(f"{what} must have 1-{ID_LIMIT} printable characters")


def _check_message(message: Message) -> None:
    _check_name("author", message.author)
    _check_time("sent_at", message.sent_ms)
    if message.reply_to is not None:
        _check_id("reply_to", message.reply_to)
    attachment = message.attachment
    if attachment is None:
        if not message.body or message.body.isspace():
            raise InvalidMessageError("A message needs a text or an attachment")
    else:
        if len(attachment.data) > ATTACHMENT_LIMIT:
            raise InvalidMessageError(
                f"The attachment has {len(attachment.data):,} bytes; the limit is "
                f"{ATTACHMENT_LIMIT:,}. Share a smaller part of it, or where it can be fetched"
            )
        if attachment.size or attachment.sha256:  # one without its bytes, from an archive
            raise InvalidMessageError("An attachment travels with its bytes, not with their hash")
        if max(len(attachment.name), len(attachment.type)) > NAME_LIMIT:
            raise InvalidMessageError(
                f"An attachment's name and type have at most {NAME_LIMIT} characters"
            )
    _check_body(message.body)


def _check_channel_record(record: ChannelRecord) -> None:
    check_channel_name(record.channel)
    _check_time("at", record.at_ms)


def _check_beat(beat: Beat) -> None:
    _check_name("user", beat.user)
    _check_id("instance", beat.instance)
    if beat.typing:
        check_channel_name(beat.typing)


def _check_event(event: Event) -> None:
    _check_name("actor", event.actor)
    _check_time("at", event.at_ms)
    if event.target is not None:
        _check_id("target", event.target)
    elif not isinstance(event, Join | Leave):
        raise InvalidMessageError("target must be the id of a message")
    if isinstance(event, Edit):
        if not event.body or event.body.isspace():
            raise InvalidMessageError("An edit needs a text; to take a message away, delete it")
        _check_body(event.body)
    elif isinstance(event, React | Unreact) and not EMOJI.fullmatch(event.emoji):
        raise InvalidMessageError("emoji must be an emoji, or its short name without dots")


def encode(item: Message | Event | ChannelRecord | Beat) -> bytes:
    """Return the value of the Kafka record for a message, an event, a channel record or a beat.

    Raises
    ------
    InvalidMessageError
        It breaks a rule of the wire format, or its text is no Unicode (a lone surrogate).
    ChannelNameError
        It is for a channel that can't be.
    """
    if isinstance(item, ChannelRecord):
        _check_channel_record(item)
    elif isinstance(item, Beat):
        _check_beat(item)
    else:
        check(item)
    try:
        return _encoder.encode(item)
    except UnicodeEncodeError as error:
        raise InvalidMessageError(
            f"The text is not valid Unicode: character {error.start} is half of a surrogate pair"
        ) from error


def _refuse(value: bytes, error: Exception) -> InvalidMessageError:
    if isinstance(error, RecursionError):
        return InvalidMessageError("Nested too deeply to be a message or an event")
    try:
        head = _head_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return InvalidMessageError(f"Not a JSON object in UTF-8: {error}")
    if isinstance(head.v, int) and head.v > WIRE_VERSION:
        return InvalidMessageError(
            f"Written by a newer chatkit (version {head.v}, this one reads {WIRE_VERSION}): update"
        )
    return InvalidMessageError(f"Not a message or an event: {error}")


def decode(value: bytes | None, channel: str) -> Message | Event:
    """Return the message or event in the value of a Kafka record.

    Parameters
    ----------
    value : bytes or None
        The record's value.
    channel : str
        The channel that the record's topic belongs to; the content must agree.

    Raises
    ------
    InvalidMessageError
        The value is no message or event of a version that we read, breaks a rule, or belongs to
        another channel.
    """
    if value is None:
        raise InvalidMessageError("The record has no value")
    try:
        item: Message | Event = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refuse(value, error) from error
    if item.v != WIRE_VERSION:
        raise _refuse(value, ValueError(f"version {item.v} is unknown"))
    if item.channel != channel:
        raise InvalidMessageError(f"Says that it belongs to channel {item.channel[:80]!r}")
    _check_content(item)  # but not the name of the channel again
    return item


def decode_channel_record(value: bytes) -> ChannelRecord:
    """Return the channel record in the value of a Kafka record.

    Raises
    ------
    InvalidMessageError
        The value is no channel record of a version that we read, or breaks a rule.
    """
    try:
        record = _channel_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refuse(value, error) from error
    if record.v != WIRE_VERSION:
        raise _refuse(value, ValueError(f"version {record.v} is unknown"))
    try:
        _check_channel_record(record)
    except ChannelNameError as error:
        raise InvalidMessageError(str(error)) from error
    return record


def decode_beat(value: bytes | None) -> Beat:
    """Return the beat in the value of a Kafka record.

    Raises
    ------
    InvalidMessageError
        The value is no beat of a version that we read, or breaks a rule.
    """
    try:
        beat = _beat_decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refuse(value or b"", error) from error
    if beat.v != WIRE_VERSION:
        raise _refuse(value or b"", ValueError(f"version {beat.v} is unknown"))
    try:
        _check_beat(beat)
    except ChannelNameError as error:
        raise InvalidMessageError(str(error)) from error
    return beat
