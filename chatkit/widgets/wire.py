"""What the panel and its front end say to each other.

Towards the browser: batches, each a JSON document in a binary buffer, so that no text of anybody's
is in a widget's state, which JupyterLab may save into the notebook. From the browser: requests.
Pure.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from chatkit.changes import ChannelSummary
from chatkit.presence import Person
from chatkit.timeline import Order

__all__ = [
    "Alter",
    "Around",
    "Away",
    "Batch",
    "Command",
    "Complete",
    "Create",
    "Delete",
    "Direct",
    "Download",
    "Edit",
    "Edits",
    "Emoji",
    "Facts",
    "File",
    "Hello",
    "LeaveChannel",
    "Line",
    "Look",
    "Mute",
    "Older",
    "Open",
    "Phase",
    "Pin",
    "Pinned",
    "Preview",
    "Quote",
    "Quotes",
    "React",
    "Read",
    "Rename",
    "Render",
    "Request",
    "Retry",
    "Search",
    "Send",
    "Status",
    "Thread",
    "Typing",
    "View",
    "Word",
    "encode",
    "read_request",
]


class Quote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a message answers."""

    id: str
    """Id of the message that is answered."""
    author: str = ""
    """Who wrote it; empty if it is not loaded."""
    body: str = ""
    """The begin of its text."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """What was shared with a message; the page asks for its preview."""

    name: str
    """File name, untrusted."""
    type: str
    """MIME type, untrusted."""
    size: int
    """Bytes."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row as the browser draws it; rows.js knows the same defaults."""

    id: str
    """Row id."""
    kind: Literal["message", "unreadable", "gap", "join", "leave", "skipped"] = "message"
    """What the row is."""
    author: str = ""
    """Who says to have written it, joined or left."""
    body: str = ""
    """The text as it was written."""
    html: str = ""
    """The text as safe HTML; empty if it is plain, or not rendered yet."""
    raw: bool = False
    """Whether it is not rendered yet: the page asks for what comes into sight."""
    me: bool = False
    """Whether it names the user."""
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
    pinned: bool = False
    """Whether it is pinned."""
    rev: int = 0
    """How many events are applied."""
    bot: bool = False
    """Whether a program wrote it."""
    source: str = "chat"
    """Where it was written."""
    quote: Quote | None = None
    """What it answers."""
    reactions: list[tuple[str, list[str]]] = []
    """Emoji, and who reacted."""
    file: File | None = None
    """What was shared with it."""


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
    mark: Order | None = None
    """Order key of the last message that the user has seen."""
    rows: list[Line] = []
    """New and changed rows."""
    gone: list[str] = []
    """Ids of rows that are there no more."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Whether Kafka and MongoDB answer."""

    kafka: str
    """What is wrong with Kafka, or empty."""
    mongo: str
    """What is wrong with MongoDB, or empty."""
    connected: bool
    """Whether the room reads and writes."""


class Word(msgspec.Struct, frozen=True):
    """A command."""

    name: str
    """The word, without its slash."""
    about: str
    """What it does."""


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is new since the batch before; with a user, the whole state."""

    user: str | None = None
    """Whose panel it is; only in the whole state."""
    guessed: bool = False
    """Whether that is a guess, so that the page asks; only in the whole state."""
    channels: list[ChannelSummary] | None = None
    """All channels, with what there is to say of each."""
    people: list[Person] | None = None
    """Of whom we know that they are here, away or just left."""
    muted: list[str] | None = None
    """Of whom the user wants to hear nothing."""
    commands: list[Word] | None = None
    """What one can write after a slash."""
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
    """Send a message; a buffer holds the bytes of its file."""

    channel: str
    """Name of the channel."""
    id: str
    """Message id, the page's own, so that its own row is the same one."""
    body: str
    """The text."""
    reply: str | None = None
    """Id of the message that it answers."""
    name: str | None = None
    """Name of its file, if it has one."""


class Command(_Request, frozen=True, kw_only=True, tag="command"):
    """Do what a line that begins with a slash says; answered by what to show."""

    channel: str
    """Where it was written."""
    text: str
    """The whole line."""


class _About(_Request, frozen=True, kw_only=True):
    channel: str
    """Name of the channel."""
    id: str
    """Message id."""


class Retry(_About, frozen=True, kw_only=True, tag="retry"):
    """Send a failed message once more."""


class Edit(_About, frozen=True, kw_only=True, tag="edit"):
    """Give an own message another text."""

    body: str
    """The new text."""


class Delete(_About, frozen=True, kw_only=True, tag="delete"):
    """Take a message away."""


class React(_About, frozen=True, kw_only=True, tag="react"):
    """Put an emoji under a message, or take it back."""

    emoji: str
    """The emoji."""
    on: bool
    """Whether it is to be there."""


class Pin(_About, frozen=True, kw_only=True, tag="pin"):
    """Pin a message, or unpin it."""

    on: bool
    """Whether it is to be pinned."""


class Around(_About, frozen=True, kw_only=True, tag="around"):
    """Load a message and its neighbours; answered by whether it is there."""


class Thread(_About, frozen=True, kw_only=True, tag="thread"):
    """Show what a message answers, and what answers it; answered by lines."""


class Edits(_About, frozen=True, kw_only=True, tag="edits"):
    """Show the texts that a message had; answered by pairs of ms and HTML or text."""


class Preview(_About, frozen=True, kw_only=True, tag="preview"):
    """Show what was shared with a message; answered by a preview, a picture's bytes in a buffer."""


class Download(_About, frozen=True, kw_only=True, tag="download"):
    """Give the file itself; answered by its bytes in a buffer."""


class _Some(_Request, frozen=True, kw_only=True):
    channel: str
    """Name of the channel."""
    ids: list[str]
    """Row ids."""


class Render(_Some, frozen=True, kw_only=True, tag="render"):
    """Render rows that are raw; answered by id -> HTML."""


class Quotes(_Some, frozen=True, kw_only=True, tag="quotes"):
    """Say what messages hold that are not loaded; answered by quotes."""


class Look(_Some, frozen=True, kw_only=True, tag="lens"):
    """Say what Kafka and MongoDB hold of rows; answered by id -> what they do."""


class Older(_Request, frozen=True, kw_only=True, tag="older"):
    """Load rows above the oldest, or where some were skipped."""

    channel: str
    """Name of the channel."""
    row: str | None = None
    """Id of the row that stands for those that were skipped."""
    upwards: bool = True
    """Whether to begin at the lower end of what was skipped."""


class _Channel(_Request, frozen=True, kw_only=True):
    channel: str
    """Name of the channel."""


class LeaveChannel(_Channel, frozen=True, kw_only=True, tag="leave"):
    """Show a channel no longer, and be no member."""


class Facts(_Channel, frozen=True, kw_only=True, tag="facts"):
    """Say what Kafka knows of a channel's topic; answered by that."""


class Pinned(_Channel, frozen=True, kw_only=True, tag="pinned"):
    """Show what is pinned; answered by lines."""


class Read(_Channel, frozen=True, kw_only=True, tag="read"):
    """The user has seen all up to a row."""

    id: str | None = None
    """Row id; None: all there is."""


class Create(_Request, frozen=True, kw_only=True, tag="create"):
    """Create a channel."""

    name: str
    """Its name, unchecked."""
    description: str = ""
    """What it is for."""


class Alter(_Channel, frozen=True, kw_only=True, tag="alter", omit_defaults=True):
    """Change what is said of a channel; what is left out stays."""

    display_name: str | None = None
    """Name to show."""
    description: str | None = None
    """What it is for."""
    archived: bool | None = None
    """Whether it is closed to new messages."""
    moderators: list[str] | None = None
    """Who moderates it."""


class Typing(_Request, frozen=True, kw_only=True, tag="typing"):
    """The user writes in a channel, or does no longer."""

    channel: str | None
    """Where; None: nowhere."""


class Away(_Request, frozen=True, kw_only=True, tag="away"):
    """The user looks at the page, or does not."""

    on: bool
    """Whether the user is away."""


class Mute(_Request, frozen=True, kw_only=True, tag="mute"):
    """Hear nothing more of a channel or of somebody, or hear of them again."""

    channel: str | None = None
    """The channel, or"""
    person: str | None = None
    """the person."""
    on: bool
    """Whether to hear nothing."""


class Direct(_Request, frozen=True, kw_only=True, tag="direct"):
    """Open the direct channel with somebody; answered by its name."""

    name: str
    """With whom."""


class Search(_Request, frozen=True, kw_only=True, tag="search"):
    """Search; answered by lines, each with its channel."""

    text: str
    """In the query language."""
    zone: str = "UTC"
    """The browser's time zone."""


class Complete(_Request, frozen=True, kw_only=True, tag="complete"):
    """Complete a query; answered by completions."""

    text: str
    """What is in the box."""
    cursor: int
    """Where the cursor is."""


class Emoji(_Request, frozen=True, kw_only=True, tag="emoji"):
    """Give all emoji; answered by short name -> emoji."""


class Rename(_Request, frozen=True, kw_only=True, tag="rename"):
    """Write under another name from now on."""

    name: str
    """The name, unchecked."""


Request = (
    Hello
    | Open
    | Send
    | Command
    | Retry
    | Edit
    | Delete
    | React
    | Pin
    | Read
    | Around
    | Thread
    | Edits
    | Preview
    | Download
    | Render
    | Quotes
    | Look
    | Older
    | LeaveChannel
    | Facts
    | Pinned
    | Create
    | Alter
    | Typing
    | Away
    | Mute
    | Direct
    | Search
    | Complete
    | Emoji
    | Rename
)

_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """Return a batch, or the data of an answer, as JSON."""
    return _encoder.encode(value)


def read_request(content: Any) -> Request:
    """Return what a page asks.

    Raises
    ------
    msgspec.ValidationError
        It is no request that we know.
    """
    request: Request = msgspec.convert(content, Request)
    return request
