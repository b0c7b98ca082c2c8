"""What a room tells its observers. Pure values."""

from __future__ import annotations

import msgspec

from chatkit.presence import Person
from chatkit.timeline import Row

__all__ = [
    "CONNECTING",
    "Change",
    "ChannelReset",
    "ChannelSummary",
    "ChannelsChanged",
    "OverviewChanged",
    "PeopleChanged",
    "ProblemRaised",
    "RoomStatus",
    "RowsChanged",
    "StatusChanged",
]

CONNECTING = "Connecting to Kafka"


class RoomStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a room is connected."""

    kafka: str = CONNECTING
    """What is wrong with Kafka, as a sentence; empty if nothing is."""
    mongo: str = ""
    """What is wrong with MongoDB, as a sentence; empty if nothing is."""

    @property
    def connected(self) -> bool:
        """Whether messages come and go."""
        return not self.kafka


class ChannelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A channel at a glance, for one user."""

    channel: str
    """Name of the channel."""
    title: str
    """Its display name, or its name; of a direct one, who else is in it."""
    description: str = ""
    """What it is for."""
    moderators: tuple[str, ...] = ()
    """Who may rename it, close it and delete others' messages; who made it is the first."""
    archived: bool = False
    """Whether it is closed to new messages."""
    direct: bool = False
    """Whether it is between this user and one other."""
    member: bool = False
    """Whether this user has joined it; unread messages are counted where one has."""
    muted: bool = False
    """Whether this user wants to hear nothing of it."""
    unread: int = 0
    """Others' messages after this user's read mark; more than 99 are 100."""
    mentions: int = 0
    """Those among them that name this user."""
    last_ms: int = 0
    """When somebody last wrote, ms since 1970 UTC; 0 if nobody did, or it is not known."""


class RowsChanged(msgspec.Struct, frozen=True):
    """Some rows of a channel are new or changed."""

    channel: str
    """Name of the channel."""
    rows: tuple[Row, ...]
    """The rows as they are now; their place may be another one. None: only has_older changed."""
    gone: tuple[str, ...] = ()
    """Ids of rows that are there no more: what they stood for has been loaded."""


class ChannelReset(msgspec.Struct, frozen=True):
    """The rows of a channel are void: its topic is another one. New ones follow."""

    channel: str
    """Name of the channel."""


class ChannelsChanged(msgspec.Struct, frozen=True):
    """There are other channels than before."""

    channels: tuple[str, ...]
    """All of them, sorted."""


class OverviewChanged(msgspec.Struct, frozen=True):
    """Of some channel something else is to be said than before: a count, a title, a member."""

    channels: tuple[ChannelSummary, ...]
    """All channels, sorted by name."""


class PeopleChanged(msgspec.Struct, frozen=True):
    """Somebody came, went, or began or ceased to type."""

    people: tuple[Person, ...]
    """Everybody of whom we know, sorted by name."""


class ProblemRaised(msgspec.Struct, frozen=True):
    """Something failed that nobody waits for, such as a bot."""

    text: str
    """What, as a sentence."""


class StatusChanged(msgspec.Struct, frozen=True):
    """The connection is better or worse than before."""

    status: RoomStatus
    """As it is now."""


Change = (
    RowsChanged
    | ChannelReset
    | ChannelsChanged
    | OverviewChanged
    | PeopleChanged
    | ProblemRaised
    | StatusChanged
)
