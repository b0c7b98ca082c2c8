"""A learner's own chat: the real format and the real modules, in channels of the learner's corner.

Needs Kafka alone; what MongoDB adds, the archive, is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from chatkit.channels import Channels
from chatkit.consumer import Item, read_range
from chatkit.errors import InputError
from chatkit.message import Event, Message, Received, decode
from chatkit.settings import Settings
from chatkit.timeline import Row, Timeline

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner
    from chatkit.workshop.notes import Handled

__all__ = ["as_seen", "chat_of", "item_of", "read_all", "standing"]


def chat_of(learner: Learner) -> Settings:
    """Return settings with which all channels are topics of a learner, who can `reset` them.

    Channel ``market`` of ana is topic ``lab.ana.chat.market``.

    Parameters
    ----------
    learner : Learner
        Whose corner.
    """
    return learner.settings.replace(
        user=learner.name,
        topic_prefix=learner.topic("chat."),
        system_prefix=learner.topic("chatkit."),
    )


def item_of(handled: Handled, channel: str) -> Message | Event | None:
    """Return the message or event that a member of a group was given; None if it can't be read.

    Parameters
    ----------
    handled : Handled
        What the member was given.
    channel : str
        The channel that its topic belongs to.
    """
    try:
        return decode(json.dumps(handled.value).encode(), channel)
    except (InputError, TypeError):  # TypeError: bytes that are no text
        return None


def read_all(settings: Settings, channel: str) -> list[Item]:
    """Return all that a channel's topic holds now, each partition in order.

    Parameters
    ----------
    settings : Settings
        Where Kafka is, and what its topics are called.
    channel : str
        Name of the channel.

    Raises
    ------
    ChannelNotFoundError
        There is no such channel.
    BrokerUnavailableError
        Kafka did not give all of it in time.
    """
    with Channels(settings) as channels:
        logs = channels.offsets(channels.describe(channel))
    return [
        item
        for partition, log in logs.items()
        for item in read_range(settings, channel, partition, log.start, log.end)
    ]


def as_seen(items: Iterable[Item], channel: str, moderators: Collection[str] = ()) -> list[Row]:
    """Return the messages that a window of the chat shows, in its order: none that is deleted.

    Parameters
    ----------
    items : iterable of Received, Unreadable and Gap
        What was read, in any order, perhaps more than once.
    channel : str
        Name of the channel.
    moderators : collection of str
        Who may delete others' messages.
    """
    timeline = Timeline(channel)
    timeline.moderators = moderators
    for item in items:
        if isinstance(item, Received):
            timeline.add(item)
    return [row for row in timeline.rows() if row.folded and row.folded.deleted_ms is None]


def standing(settings: Settings, channel: str, moderators: Collection[str] = ()) -> list[Row]:
    """Return what `as_seen` does of all that a channel holds now; raises as `read_all` does.

    Parameters
    ----------
    settings : Settings
        Where Kafka is, and what its topics are called.
    channel : str
        Name of the channel.
    moderators : collection of str
        Who may delete others' messages.
    """
    return as_seen(read_all(settings, channel), channel, moderators)
