"""A message and its events -> what people see.

The one fold: room, archive and verification all call it, so they can't disagree. Pure, and
indifferent to the order in which events arrive and to events that arrive twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from chatkit.message import Delete, Edit, Message, Pin, React, Received, Unpin, Unreact

__all__ = ["Folded", "fold"]


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """What people see of a message."""

    body: str
    """The text now; empty once deleted."""
    original: str | None = None
    """The text as first sent, if it was edited and not deleted."""
    edited_ms: int | None = None
    """When the edit that counts happened, ms since 1970 UTC: see `fold`."""
    deleted_ms: int | None = None
    """When the deletion happened, ms since 1970 UTC: see `fold`."""
    reactions: dict[str, tuple[str, ...]] = {}
    """Emoji -> who reacted, in the order of reacting; none once deleted."""
    pinned_ms: int | None = None
    """When the pin that counts happened, ms since 1970 UTC: see `fold`."""
    rev: int = 0
    """How many events the message has; a fold of more events replaces one of fewer."""


def fold(message: Message, events: Iterable[Received], moderators: Collection[str] = ()) -> Folded:
    """Return what people see of a message after all its events.

    Only the author edits. Author or moderator deletes, whatever else comes before or after. An
    event of somebody who may not counts in ``rev`` and changes nothing. An event happens when Kafka
    appends it, an imported one when its source says.

    Parameters
    ----------
    message : Message
        As it was sent.
    events : iterable of Received
        All events whose target is the message, in any order. They apply in the order of (append
        time, id); of an id at several places in Kafka (a retry of what had arrived) the first
        counts.
    moderators : collection of str
        Who may delete others' messages in this channel.

    Returns
    -------
    Folded
        The visible state.
    """
    unique: dict[str, Received] = {}
    for placed in sorted(events, key=lambda one: (one.appended_ms, one.item.id, one.place)):
        unique.setdefault(placed.item.id, placed)
    body = message.body
    edited = deleted = pinned = None
    reactions: dict[str, dict[str, None]] = {}
    for placed in unique.values():
        event = placed.item
        at = placed.appended_ms
        if not isinstance(event, Message) and event.source != "chat":
            at = event.at_ms
        match event:
            case Edit() if event.actor == message.author:
                body, edited = event.body, at
            case Delete() if event.actor == message.author or event.actor in moderators:
                deleted = at if deleted is None else deleted
            case React():
                reactions.setdefault(event.emoji, {})[event.actor] = None
            case Unreact():
                reactions.get(event.emoji, {}).pop(event.actor, None)
            case Pin():
                pinned = at
            case Unpin():
                pinned = None
            case _:
                pass
    if deleted is not None:
        return Folded(body="", deleted_ms=deleted, rev=len(unique))
    return Folded(
        body=body,
        original=None if edited is None else message.body,
        edited_ms=edited,
        reactions={emoji: tuple(actors) for emoji, actors in reactions.items() if actors},
        pinned_ms=pinned,
        rev=len(unique),
    )
