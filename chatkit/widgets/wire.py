"""What the panel and its front end say to each other.

Towards the browser: batches, each a JSON document in a binary buffer, so that no text of anybody's
is in a widget's state, which JupyterLab may save into the notebook. From the browser: requests.
Pure.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from chatkit.timeline import Row

__all__ = [
    "Batch",
    "Create",
    "Hello",
    "Line",
    "Older",
    "Open",
    "Phase",
    "Request",
    "Retry",
    "Send",
    "Status",
    "View",
    "encode_batch",
    "read_request",
    "to_line",
]


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row as the browser draws it; rows.js knows the same defaults."""

    id: str
    """Row id."""
    kind: Literal["message", "unreadable", "gap"] = "message"
    """What the row is."""
    author: str = ""
    """Who says to have written it."""
    body: str = ""
    """Plain text."""
    at: int = 0
    """The sender's clock, ms since 1970 UTC."""
    place: tuple[int, int, int]
    """What rows sort by: ms, partition, offset."""
    state: Literal["pending", "sent", "failed"] = "sent"
    """Whether Kafka has acknowledged it."""
    reason: str = ""
    """Why it failed, can't be read or is missing."""
    edited: bool = False
    """Whether the body is not the first."""
    deleted: bool = False
    """Whether it was taken away."""
    rev: int = 0
    """How many events are applied."""
    bot: bool = False
    """Whether a program wrote it."""
    source: str = "chat"
    """Where it was written."""


class Phase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the opening of a channel has come."""

    name: Literal["opening", "open", "failed"]
    """Where it stands."""
    reason: str = ""
    """Why it failed."""
    missing: bool = False
    """Whether it failed because there is no such channel."""
    passing: bool = False
    """Whether it failed because a server did not answer."""


class View(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """News of one channel."""

    channel: str
    """Name of the channel."""
    phase: Phase
    """How far it is opened."""
    reset: bool = False
    """Whether to forget its rows first."""
    older: bool = False
    """Whether there is more above the oldest row."""
    rows: list[Line] = []
    """New and changed rows."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Whether Kafka and MongoDB answer."""

    kafka: str
    """What is wrong with Kafka, or empty."""
    mongo: str
    """What is wrong with MongoDB, or empty."""
    connected: bool
    """Whether the room reads and writes."""


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is new since the batch before; with a user, the whole state."""

    user: str | None = None
    """Whose panel it is; only in the whole state."""
    channels: list[str] | None = None
    """All channels."""
    status: Status | None = None
    """The connection."""
    select: str | None = None
    """The channel to show."""
    problems: list[str] = []
    """What went wrong, one sentence each."""
    views: list[View] = []
    """Channels with news."""


class _Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    client: str
    """Which page asks."""
    ref: int = 0
    """The page's number of the request, for the answer."""


class Hello(_Request, frozen=True, kw_only=True, tag="hello"):
    """A page is there, or missed something."""

    last: int
    """Number of the last batch that it has; 0: none."""


class Open(_Request, frozen=True, kw_only=True, tag="open"):
    """Show a channel."""

    channel: str
    """Name of the channel."""


class Send(_Request, frozen=True, kw_only=True, tag="send"):
    """Send a message."""

    channel: str
    """Name of the channel."""
    id: str
    """Message id, the page's own, so that its own row is the same one."""
    body: str
    """The text."""


class Retry(_Request, frozen=True, kw_only=True, tag="retry"):
    """Send a failed message once more."""

    channel: str
    """Name of the channel."""
    id: str
    """Message id."""


class Older(_Request, frozen=True, kw_only=True, tag="older"):
    """Load rows above the oldest."""

    channel: str
    """Name of the channel."""


class Create(_Request, frozen=True, kw_only=True, tag="create"):
    """Create a channel."""

    name: str
    """Its name, unchecked."""


Request = Hello | Open | Send | Retry | Older | Create

_encoder = msgspec.json.Encoder()


def encode_batch(batch: Batch) -> bytes:
    """Return a batch as JSON."""
    return _encoder.encode(batch)


def read_request(content: Any) -> Request:
    """Return what a page asks.

    Raises
    ------
    msgspec.ValidationError
        It is no request that we know.
    """
    request: Request = msgspec.convert(content, Request)
    return request


def to_line(row: Row) -> Line:
    """Return a row as the browser draws it."""
    place = row.order[:3]
    if row.message is None or row.folded is None:
        return Line(id=row.id, kind=row.kind, at=row.placed_ms, place=place, reason=row.reason)
    return Line(
        id=row.id,
        author=row.message.author,
        body=row.folded.body,
        at=row.message.sent_ms,
        place=place,
        state=row.state,
        reason=row.reason,
        edited=row.folded.edited_ms is not None,
        deleted=row.folded.deleted_ms is not None,
        rev=row.folded.rev,
        bot=row.message.bot,
        source=row.message.source,
    )
