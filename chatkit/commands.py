"""What one can write after a slash, the same in panel and console.

A line such as ``/reply @ana Thank you`` becomes something that the room does, and an outcome that
the face shows. Knows no face.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from chatkit.emojis import emojize
from chatkit.errors import InputError
from chatkit.futures import mapped
from chatkit.room import ChatRoom
from chatkit.timeline import Row
from chatkit.wording import counted

__all__ = ["COMMANDS", "Command", "Outcome", "as_text", "commands", "is_command", "run"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a face is to show of a command."""

    text: str = ""
    """Something to say to the user alone; empty: nothing."""
    rows: tuple[Row, ...] | None = None
    """Messages that were looked for, newest first."""
    query: str = ""
    """For what, if something was looked for."""
    channel: str | None = None
    """The channel to show now."""
    left: bool = False
    """Whether the channel is no longer to be shown."""
    lens: bool = False
    """Whether to switch the Kafka lens on, or off again."""


class Command(msgspec.Struct, frozen=True):
    """A word after a slash."""

    name: str
    """The word."""
    usage: str
    """What follows it."""
    about: str
    """What it does."""
    run: Callable[[ChatRoom, str, str], Outcome | Future[Any]]
    """Takes the room, the channel and what follows the word."""


def is_command(text: str) -> bool:
    """Return whether a text is a command: it begins with one slash, and a letter."""
    return len(text) > 1 and text[0] == "/" and text[1].isalpha()


def as_text(text: str) -> str:
    """Return a text as it is to be sent: a slash that was doubled, to be no command, once."""
    return text[1:] if text.startswith("//") else text


def commands(room: ChatRoom) -> Iterator[tuple[str, str, str]]:
    """Yield name, usage and meaning of each command, those of the room's bots last."""
    for command in COMMANDS.values():
        yield command.name, command.usage, command.about
    for own in room.commands():
        if own.name not in COMMANDS:
            yield own.name, "", own.about


def run(room: ChatRoom, channel: str, line: str) -> Outcome | Future[Any]:
    """Do what a line says.

    Parameters
    ----------
    room : ChatRoom
        Who does it.
    channel : str
        Where it was written.
    line : str
        The line, from its slash on.

    Returns
    -------
    Outcome or concurrent.futures.Future
        What to show, or a Future: of an outcome, or of something that needs no showing.

    Raises
    ------
    InputError
        There is no such command, or it can't be done like this; the text says what to write.
    """
    name, _, text = line[1:].partition(" ")
    text = text.strip()
    command = COMMANDS.get(name)
    if command is not None:
        return command.run(room, channel, text)
    for own in room.commands():
        if own.name == name:
            return room.run_command(channel, own, text)
    raise InputError(
        f"There is no command /{name[:40]}; /help lists them. To send a text that begins with a "
        "slash, begin with two"
    )


def _usage(name: str) -> InputError:
    command = COMMANDS[name]
    return InputError(f"Write /{name} {command.usage}: {command.about}")


def _split_name(text: str) -> tuple[str | None, str]:
    """Return whom a text begins with, if with somebody, and the rest."""
    if not text.startswith("@"):
        return None, text
    name, _, rest = text[1:].partition(" ")
    return name, rest.strip()


def _newest(room: ChatRoom, channel: str, by: str | None, *, mine: bool | None = None) -> Row:
    """Return the newest message of a channel: by somebody, by the user, or by another."""
    for row in reversed(room.rows(channel)):
        if row.message is None or row.state != "sent" or row.folded is None:
            continue
        if row.folded.deleted_ms is not None or by not in (None, row.message.author):
            continue
        if mine is None or by is not None or (row.message.author == room.user) == mine:
            return row
    whose = f"of {by}'s" if by else "of yours" if mine else ""
    raise InputError(f"There is no message {whose} here".replace("  ", " "))


def _edit(room: ChatRoom, channel: str, text: str) -> Future[Any]:
    if not text:
        raise _usage("edit")
    return room.edit(channel, _newest(room, channel, None, mine=True).id, text)


def _delete(room: ChatRoom, channel: str, text: str) -> Future[Any]:
    name, rest = _split_name(text)
    if rest:
        raise _usage("delete")
    return room.delete(channel, _newest(room, channel, name, mine=True).id)


def _react(room: ChatRoom, channel: str, text: str) -> Future[Any]:
    name, emoji = _split_name(text)
    emoji = emojize(emoji)
    if not emoji:
        raise _usage("react")
    row = _newest(room, channel, name)
    there = row.folded is not None and room.user in row.folded.reactions.get(emoji, ())
    return (room.unreact if there else room.react)(channel, row.id, emoji)


def _reply(room: ChatRoom, channel: str, text: str) -> Outcome:
    name, rest = _split_name(text)
    if not rest:
        raise _usage("reply")
    room.send(channel, rest, reply_to=_newest(room, channel, name, mine=False).id)
    return Outcome()


def _pin(room: ChatRoom, channel: str, text: str) -> Future[Any]:
    name, _ = _split_name(text)
    row = _newest(room, channel, name)
    return room.pin(channel, row.id, row.folded is None or row.folded.pinned_ms is None)


def _search(room: ChatRoom, _channel: str, text: str) -> Future[Any]:
    if not text:
        raise _usage("search")

    def tell(rows: list[Row]) -> Outcome:
        nothing = "" if rows else f"Nothing was found for {text}"
        return Outcome(rows=tuple(rows), query=text, text=nothing)

    return mapped(room.find(text), tell)


def _who(room: ChatRoom, _channel: str, _text: str) -> Outcome:
    people = room.people()
    if not people:
        return Outcome(text="It is not known yet who is here")
    parts = []
    for state in ("here", "away", "left"):
        names = [
            person.name + (" (me)" if person.name == room.user else "")
            for person in people
            if person.state == state
        ]
        if names:
            parts.append(f"{state.capitalize()}: {', '.join(names)}")
    return Outcome(text=". ".join(parts))


def _direct(room: ChatRoom, _channel: str, text: str) -> Future[Any]:
    name, _, rest = text.removeprefix("@").partition(" ")
    if not name:
        raise _usage("dm")

    def write(channel: str) -> Outcome:
        if rest.strip():
            room.send(channel, rest.strip())
        return Outcome(channel=channel)

    return mapped(room.direct(name), write)


def _share(room: ChatRoom, channel: str, text: str) -> Outcome:
    try:
        name, *more = shlex.split(text)
    except ValueError as error:
        raise _usage("share") from error
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(f"There is no file {path}; it is looked for from {Path.cwd()}")
    room.share(path, channel, body=" ".join(more))
    return Outcome()


def _join(_room: ChatRoom, _channel: str, text: str) -> Outcome:
    if not text:
        raise _usage("join")
    return Outcome(channel=text.removeprefix("#"))


def _leave(room: ChatRoom, channel: str, _text: str) -> Outcome:
    room.leave(channel)
    return Outcome(text=f"You left #{channel}", left=True)


def _create(room: ChatRoom, _channel: str, text: str) -> Future[Any]:
    name, _, about = text.removeprefix("#").partition(" ")
    if not name:
        raise _usage("create")
    return _then(room.create_channel(name, about.strip()), Outcome(channel=name))


def _then(done: Future[Any], outcome: Outcome) -> Future[Any]:
    """Return a Future of an outcome once something is done."""
    return mapped(done, lambda _: outcome)


def _topic(room: ChatRoom, channel: str, text: str) -> Future[Any]:
    changed = room.change_channel(channel, description=text)
    return _then(changed, Outcome(text=f"#{channel} is described anew"))


def _rename(room: ChatRoom, channel: str, text: str) -> Future[Any]:
    changed = room.change_channel(channel, display_name=text)
    return _then(changed, Outcome(text=f"#{channel} is shown as {text or channel}"))


def _archive(room: ChatRoom, channel: str, _text: str) -> Future[Any]:
    changed = room.change_channel(channel, archived=True)
    return _then(changed, Outcome(text=f"#{channel} is closed to new messages; /reopen opens it"))


def _reopen(room: ChatRoom, channel: str, _text: str) -> Future[Any]:
    changed = room.change_channel(channel, archived=False)
    return _then(changed, Outcome(text=f"#{channel} is open again"))


def _moderator(room: ChatRoom, channel: str, text: str) -> Future[Any]:
    name = text.removeprefix("@")
    if not name:
        raise _usage("moderator")
    known = next((one.moderators for one in room.overview() if one.channel == channel), ())
    there = name in known
    named = [one for one in known if one != name] if there else [*known, name]
    verb = "no longer moderates" if there else "moderates"
    changed = room.change_channel(channel, moderators=named)
    return _then(changed, Outcome(text=f"{name} {verb} #{channel}"))


def _mute(room: ChatRoom, channel: str, text: str) -> Future[Any]:
    name, _ = _split_name(text)
    if name is not None:
        muted = name not in room.muted_people()
        word = "muted" if muted else "no longer muted"
        return _then(room.mute_person(name, muted), Outcome(text=f"{name} is {word}"))
    muted = not any(one.muted for one in room.overview() if one.channel == channel)
    word = "muted" if muted else "no longer muted"
    return _then(room.mute(channel, muted), Outcome(text=f"#{channel} is {word}"))


def _channels(room: ChatRoom, _channel: str, _text: str) -> Outcome:
    lines = []
    for one in room.overview():
        news = []
        if one.unread:
            news.append("99+ unread" if one.unread > 99 else f"{one.unread} unread")
        if one.mentions:
            news.append(counted(one.mentions, "mention"))
        if one.archived:
            news.append("closed")
        about = f" - {one.description}" if one.description else ""
        lines.append(f"{'@' if one.direct else '#'}{one.title}{about} {' '.join(news)}".rstrip())
    return Outcome(text="\n".join(lines) or "There are no channels yet: /create makes one")


def _lens(_room: ChatRoom, _channel: str, _text: str) -> Outcome:
    return Outcome(lens=True)


def _help(room: ChatRoom, _channel: str, _text: str) -> Outcome:
    return Outcome(
        text="\n".join(
            f"/{name} {usage}".rstrip() + f" - {about}" for name, usage, about in commands(room)
        )
    )


_ALL = [
    Command("edit", "NEW TEXT", "change your last message", _edit),
    Command("delete", "[@NAME]", "take your last message away, or as a moderator NAME's", _delete),
    Command(
        "react", "[@NAME] EMOJI", "put an emoji under the last message, or take it back", _react
    ),
    Command("reply", "[@NAME] TEXT", "answer the last message", _reply),
    Command("pin", "[@NAME]", "pin the last message, or unpin it", _pin),
    Command("search", "QUERY", "find messages: from:ana has:link before:2026-02 word", _search),
    Command("who", "", "show who is here", _who),
    Command("dm", "NAME [TEXT]", "write to one person", _direct),
    Command("share", "FILE [TEXT]", "send a file, up to 4 MiB", _share),
    Command("lens", "", "show what Kafka knows of each message, or hide it", _lens),
    Command("channels", "", "list the channels, and what is unread", _channels),
    Command("join", "CHANNEL", "go to a channel", _join),
    Command("leave", "", "leave this channel", _leave),
    Command("create", "CHANNEL [DESCRIPTION]", "make a channel", _create),
    Command("topic", "DESCRIPTION", "say what your channel is for", _topic),
    Command("rename", "NAME", "give your channel a name to show", _rename),
    Command("archive", "", "close your channel to new messages", _archive),
    Command("reopen", "", "open your channel again", _reopen),
    Command("moderator", "NAME", "let somebody moderate your channel, or no longer", _moderator),
    Command("mute", "[@NAME]", "hear nothing more of this channel or of NAME, or again", _mute),
    Command("help", "", "list the commands", _help),
]
COMMANDS = {command.name: command for command in _ALL}
"""The commands that every room has, by name."""
