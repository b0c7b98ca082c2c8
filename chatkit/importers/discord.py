"""Channels of Discord as DiscordChatExporter writes them as JSON -> messages and events.

What becomes of an entry:

- What people or bots wrote (also as answer to a command) is a message with the text as it was at
  the export. If it was edited there is an edit event with the same text, of the time of the last
  edit: the older texts are not in the file. Files, stickers and forwarded texts are in the body,
  files as links; embeds too where a bot wrote them or where there is nothing else, for beside a
  person's text they are previews of a page.
- Replies are kept if they answer a message of the same channel.
- Each user under each emoji is a react event, of the message's time, for the file has no other.
- A message that is pinned gets a pin event: by whom and when the channel's own notice tells it.
- Joining and leaving are events. Other notices are skipped by their type.

Authors go by the name that people saw (the nickname); of two people with one nickname the second
goes by the user name. Ids come from Discord's own, so every export of a channel gives the same.
Files of one channel, parts or exports that overlap, are merged, and what two of them hold is taken
once. A file that lists the newest first is turned round by way of a temporary file. One message of
each file that is open is in memory.
"""

from __future__ import annotations

import heapq
import itertools
import json
import tempfile
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from chatkit.errors import ImportFormatError, InputError
from chatkit.importers import ImportedChannel, Item, Skipped, open_bytes, stable_id
from chatkit.importers.json_stream import BEGIN, READ_ERRORS, reason, walk
from chatkit.importers.reading import (
    Authors,
    ChannelNames,
    Place,
    checked,
    files_in,
    link,
    messages_of,
    objects_at,
    shown,
    text_at,
)
from chatkit.message import Edit, Join, Leave, Message, Pin, React, check_channel_name

__all__ = ["channels", "read"]

SOURCE = "discord"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_MS = 1_420_070_400_000  # 2015, from which Discord's ids count the milliseconds
LAST_ID = 2**64
MESSAGES = {
    "Default",
    "Reply",
    "ChatInputCommand",
    "ContextMenuCommand",
    "0",
    "19",
    "20",  # the exporter writes types that it has no name for as numbers
    "23",
}
JOINS = {"GuildMemberJoin", "7"}
ADDED = {"RecipientAdd", "1"}
REMOVED = {"RecipientRemove", "2"}
PINS = {"ChannelPinnedMessage", "6"}
DIRECT = {"DirectTextChat", "DirectGroupTextChat"}
NO_GUILD = "0"
MESSAGE_LIST = "messages"


class _File(msgspec.Struct, frozen=True):
    """What the head of a file says."""

    path: Path
    guild: dict[str, Any]
    channel: dict[str, Any]
    first: int
    """Id of its oldest message, as far as the first two tell."""
    newest_first: bool


class _Export(msgspec.Struct, frozen=True):
    channels: list[tuple[ImportedChannel, list[_File]]]
    notes: list[Item]
    named: bool
    """Whether the caller named the channel."""


def channels(paths: Sequence[Path], *, channel: str | None = None) -> list[ImportedChannel]:
    """Return the channels of some files, sorted by name.

    Parameters
    ----------
    paths : sequence of Path
        JSON files of DiscordChatExporter, and folders of them.
    channel : str, optional
        Name of the channel here, if there is only one. Default: as in Discord.

    Returns
    -------
    list of ImportedChannel
        With the names that :func:`read` uses. Direct messages are marked as private.

    Raises
    ------
    ImportFormatError
        A file that was named is not in this format, or no file in the folders is.
    InputError
        A path leads nowhere, or ``channel`` is no name or is there for several channels.
    """
    return [found for found, _ in _export(paths, channel).channels]


def read(paths: Sequence[Path], *, channel: str | None = None) -> Iterator[Item]:
    """Return what is in some files, channel by channel, in each the oldest first.

    Parameters
    ----------
    paths : sequence of Path
        JSON files of DiscordChatExporter, and folders of them.
    channel : str, optional
        Name of the channel here, if there is only one. Default: as in Discord.

    Returns
    -------
    iterator of Message, Event, Skipped or Mended
        Every message and event can be encoded. What is behind a broken place in a file is
        skipped as lost.

    Raises
    ------
    ImportFormatError
        A file that was named is not in this format, or no file in the folders is. This and the
        next are raised at once, not while iterating.
    InputError
        A path leads nowhere, or ``channel`` is no name or is there for several channels.
    """
    return _read(_export(paths, channel))


def _export(paths: Sequence[Path], channel: str | None) -> _Export:
    if channel is not None:
        check_channel_name(channel)
    groups: dict[tuple[str, str], list[_File]] = {}
    notes: list[Item] = []
    for path, named in files_in(paths, "*.json"):
        trouble, broken = "no channel and messages are in it", False
        try:
            file = _head(path)
        except READ_ERRORS as error:
            file, trouble, broken = None, reason(error), True
        if file is not None:
            ids = text_at(file.guild, "id"), text_at(file.channel, "id")
            groups.setdefault(ids, []).append(file)
        elif named:
            raise ImportFormatError(
                f"{path} is no channel as DiscordChatExporter writes it as JSON ({trouble}): "
                "export with the format Json and give that file"
            )
        else:
            note = Place(path.name).skipped("no channel of Discord", "file", trouble, lost=broken)
            notes.append(note)
    if not groups:
        raise ImportFormatError(
            "No file there is a channel as DiscordChatExporter writes it as JSON: export with the "
            "format Json and give those files"
        )
    if channel is not None and len(groups) > 1:
        raise InputError(
            f"{len(groups)} channels are in these files, and {channel!r} is one name: give the "
            "files of one channel, or no name"
        )
    return _Export(_named(groups, channel), notes, channel is not None)


def _named(
    groups: dict[tuple[str, str], list[_File]], channel: str | None
) -> list[tuple[ImportedChannel, list[_File]]]:
    """Return channels with their files, each under a name of its own; older ones choose first."""
    names = ChannelNames()
    found = []
    for (_, own_id), files in sorted(groups.items(), key=lambda group: _as_id(group[0][1]) or 0):
        head = files[0].channel
        source_name = text_at(head, "name")
        created = _as_id(own_id)
        described = (text_at(head, "topic"), _thread_of(head))
        imported = ImportedChannel(
            name=channel or names.name(own_id, source_name),
            source_name=source_name,
            source_id=own_id,
            description="\n".join(text for text in described if text.strip()),
            created_ms=created and _ms_of_id(created),
            private=text_at(head, "type") in DIRECT,
        )
        found.append((imported, sorted(files, key=lambda file: file.first)))
    return sorted(found, key=lambda pair: pair[0].name)


def _thread_of(channel: dict[str, Any]) -> str:
    category = text_at(channel, "category")
    return f"A thread of {category}" if "Thread" in text_at(channel, "type") and category else ""


def _head(path: Path) -> _File | None:
    """Return what is before the messages of a file; None if that is not of this format."""
    parts: dict[str, dict[str, Any]] = {"guild": {}, "channel": {}}
    found = walk(path, {MESSAGE_LIST})
    for place, value in found:
        holder, _, key = place.partition(".")
        if value is BEGIN:
            break
        if holder in parts and isinstance(value, str | int):
            parts[holder][key] = str(value)
    else:
        return None
    if not text_at(parts["channel"], "id"):
        return None
    first_two = []
    with suppress(*READ_ERRORS):  # told when it is read
        first_two = [value for _, value in itertools.islice(found, 2)]
    ids = [own_id for own_id in map(_id_of, first_two) if own_id is not None]
    return _File(path, **parts, first=min(ids, default=0), newest_first=ids != sorted(ids))


def _read(export: _Export) -> Iterator[Item]:
    yield from export.notes
    authors = Authors()
    for channel, files in export.channels:
        if channel.name != channel.source_name and not export.named:
            place = Place(files[0].path.name)
            yield place.mended("channel has another name here", channel.name)
        reader = _Channel(channel.name, files[0], authors)
        for one in _merged(files):
            if isinstance(one, Skipped):
                yield one
            else:
                yield from reader.entry(*one)
        yield from reader.pins_left()


def _merged(files: list[_File]) -> Iterator[tuple[Any, Place] | Skipped]:
    """Yield the entries of a channel's files, oldest first; a file is open only while needed."""
    waiting = deque(files)
    heap: list[tuple[int, int, tuple[Any, Place] | Skipped, Iterator[Any]]] = []
    number = itertools.count()  # no two are equal, so that nothing else is compared
    while waiting or heap:
        if waiting and (not heap or waiting[0].first <= heap[0][0]):
            least, entries = -1, _entries(waiting.popleft())
        else:
            least, _, one, entries = heapq.heappop(heap)
            yield one
        following = next(entries, None)
        if following is not None:
            own_id = None if isinstance(following, Skipped) else _id_of(following[0])
            place = least if own_id is None else own_id
            heapq.heappush(heap, (place, next(number), following, entries))


def _entries(file: _File) -> Iterator[tuple[Any, Place] | Skipped]:
    """Yield the entries of a file, oldest first; at last a note if it is broken."""
    place = Place(file.path.name)
    found = enumerate(_values(file.path))
    try:
        for position, entry in _turned_round(found) if file.newest_first else found:
            place = Place(file.path.name, position)
            yield entry, place
    except READ_ERRORS as error:
        yield place.skipped("broken behind this", "file", reason(error), lost=True)


def _values(path: Path) -> Iterator[Any]:
    for place, value in walk(path, {MESSAGE_LIST}, open_bytes):
        if place == MESSAGE_LIST and value is not BEGIN:
            yield value


def _turned_round(found: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    starts = array("Q", [0])
    with tempfile.TemporaryFile() as kept:
        try:
            for _, entry in found:
                line = json.dumps(entry, default=str).encode()
                starts.append(starts[-1] + kept.write(line))
        except READ_ERRORS as error:
            broken: Exception | None = error
        else:
            broken = None
        for position in reversed(range(len(starts) - 1)):
            kept.seek(starts[position])
            size = starts[position + 1] - starts[position]
            yield position, json.loads(kept.read(size))
        if broken is not None:
            raise broken


class _Channel:
    """Makes items of the entries of one channel, which come oldest first."""

    def __init__(self, name: str, file: _File, authors: Authors) -> None:
        self._name = name
        self._own_id = text_at(file.channel, "id")
        guild = text_at(file.guild, "id")
        self._workspace = guild if guild != NO_GUILD else f"{guild}/{self._own_id}"
        self._authors = authors
        self._before = -1
        self._pinned: dict[str, tuple[Place, int, str]] = {}  # Discord allows 250 of a channel

    def entry(self, entry: Any, place: Place) -> Iterator[Item]:
        """Yield what is in an entry."""
        own_id = _id_of(entry)
        kind = shown(entry.get("type", "Default")) if isinstance(entry, dict) else ""
        if not isinstance(entry, dict):
            yield place.skipped("not an object")
        elif own_id is None:
            yield place.skipped("no id of Discord's", detail=shown(entry.get("id")))
        elif kind in MESSAGES:
            yield from self._message(entry, own_id, place)
        elif kind in PINS:
            yield self._pin_notice(entry, own_id, place)
        elif own_id == self._before:
            yield place.skipped("in a file before")
        elif kind in JOINS | ADDED | REMOVED:
            yield self._presence(kind, entry, own_id, place)
        else:
            yield place.skipped(kind if kind.isalpha() else f"type {kind}".strip())
        if own_id is not None:
            self._before = own_id

    def pins_left(self) -> Iterator[Item]:
        """Yield the pins that no notice was there for."""
        for own_id, (place, ms, author) in self._pinned.items():
            yield place.mended("who pinned it is not told", own_id)
            yield self._pin(own_id, author, ms, place)
        self._pinned.clear()

    def _id(self, own_id: str) -> str:
        return stable_id(SOURCE, self._workspace, self._name, own_id)

    def _message(self, entry: dict[str, Any], own_id: int, place: Place) -> Iterator[Item]:
        ms = _ms_at(entry, "timestamp")
        message = Message(
            id=self._id(str(own_id)),
            channel=self._name,
            author=self._author(entry.get("author")),
            body=_body(entry),
            sent_ms=_ms_of_id(own_id) if ms is None else ms,
            reply_to=self._reply_to(entry),
            bot=_is_bot(entry),
            source=SOURCE,
        )
        taken = None
        for item in messages_of(message, place):
            again = own_id == self._before
            if isinstance(item, Message):
                taken = taken or item
            yield place.skipped("in a file before") if again and item is taken else item
        yield from self._reactions(entry, message.id, message.sent_ms, place, taken is not None)
        if taken is None:
            return
        edited = _ms_at(entry, "timestampEdited")
        if edited is not None:
            edit = Edit(
                id=self._id(f"{own_id}/edit/{edited}"),
                channel=self._name,
                actor=taken.author,
                target=taken.id,
                body=taken.body,
                at_ms=edited,
                source=SOURCE,
            )
            yield checked(edit, place, "edit")
        if entry.get("isPinned") is True:
            self._pinned[str(own_id)] = place, taken.sent_ms, taken.author

    def _reply_to(self, entry: dict[str, Any]) -> str | None:
        reference = entry.get("reference")
        target = text_at(reference, "messageId")
        where = text_at(reference, "channelId") or self._own_id
        if not target or where != self._own_id or text_at(reference, "type") == "Forward":
            return None
        return self._id(target)

    def _reactions(
        self, entry: dict[str, Any], target: str, ms: int, place: Place, taken: bool
    ) -> Iterator[Item]:
        for reaction in objects_at(entry, "reactions"):
            names = (text_at(reaction, "emoji", key) for key in ("name", "code"))
            emoji = next(filter(None, names), "")
            users = objects_at(reaction, "users")
            count = reaction.get("count")
            if not taken:
                yield place.skipped("reaction to what is no message", "reaction", emoji)
                continue
            if not users or (isinstance(count, int) and count > len(users)):
                yield place.skipped("who reacted is not told", "reaction", emoji)
            for user in {text_at(user, "id"): user for user in users}.values():
                event = React(
                    id=self._id(f"{target}/{emoji}/{text_at(user, 'id')}"),
                    channel=self._name,
                    actor=self._author(user),
                    target=target,
                    emoji=emoji,
                    at_ms=ms,
                    source=SOURCE,
                )
                yield checked(event, place, "reaction")

    def _presence(self, kind: str, entry: dict[str, Any], own_id: int, place: Place) -> Item:
        """Return who joined or left."""
        event = Leave if kind in REMOVED else Join
        ms = _ms_at(entry, "timestamp")
        others = objects_at(entry, "mentions")[:1] if kind not in JOINS else []
        item = event(
            id=self._id(str(own_id)),
            channel=self._name,
            actor=self._author(others[0] if others else entry.get("author")),
            at_ms=_ms_of_id(own_id) if ms is None else ms,
            source=SOURCE,
        )
        return checked(item, place)

    def _pin_notice(self, entry: dict[str, Any], own_id: int, place: Place) -> Item:
        target = text_at(entry, "reference", "messageId")
        if target not in self._pinned:
            return place.skipped("pinned what is not pinned any more")
        del self._pinned[target]
        ms = _ms_at(entry, "timestamp")
        author = self._author(entry.get("author"))
        return self._pin(target, author, _ms_of_id(own_id) if ms is None else ms, place)

    def _pin(self, target: str, actor: str, ms: int, place: Place) -> Item:
        event = Pin(
            id=self._id(f"{target}/pin/{ms}"),
            channel=self._name,
            actor=actor,
            target=self._id(target),
            at_ms=ms,
            source=SOURCE,
        )
        return checked(event, place)

    def _author(self, user: Any) -> str:
        handle = text_at(user, "name")
        number = text_at(user, "discriminator")
        if number.strip("0"):
            handle = f"{handle}#{number}"
        return self._authors.name(text_at(user, "id"), text_at(user, "nickname"), handle)


def _is_bot(entry: dict[str, Any]) -> bool:
    author = entry.get("author")
    return isinstance(author, dict) and author.get("isBot") is True


def _body(entry: dict[str, Any]) -> str:
    """Return all that was posted: the text, what it forwards, files, stickers, embeds."""
    parts = _content(entry, embeds=_is_bot(entry))
    forwarded = entry.get("forwardedMessage")
    if isinstance(forwarded, dict):
        parts += _content(forwarded, embeds=False)
    return "\n".join(parts)


def _content(entry: dict[str, Any], *, embeds: bool) -> list[str]:
    text = text_at(entry, "content")
    parts = [text] if text.strip() else []
    parts += [_file(file) for file in objects_at(entry, "attachments")]
    parts += [_sticker(sticker) for sticker in objects_at(entry, "stickers")]
    if embeds or not parts:
        parts += [_embed(embed) for embed in objects_at(entry, "embeds")]
    return [part for part in parts if part.strip()]


def _file(file: dict[str, Any]) -> str:
    # Behind the question mark is a key that soon expires.
    url = text_at(file, "url").partition("?")[0]
    name = text_at(file, "fileName")
    return link(url, name) if "://" in url else name or url


def _sticker(sticker: dict[str, Any]) -> str:
    name = text_at(sticker, "name")
    return f":{name}:" if name else ""


def _embed(embed: dict[str, Any]) -> str:
    lines = [
        link(text_at(embed, "url"), text_at(embed, "title")),
        text_at(embed, "description"),
        *(
            ": ".join(filter(None, (text_at(field, "name"), text_at(field, "value"))))
            for field in objects_at(embed, "fields")
        ),
    ]
    return "\n".join(line for line in lines if line.strip())


def _id_of(entry: Any) -> int | None:
    return _as_id(text_at(entry, "id"))


def _as_id(text: str) -> int | None:
    """Return an id as a number; None if it is none of Discord's."""
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) >= LAST_ID:
        return None
    return int(text)


def _ms_of_id(own_id: int) -> int:
    """Return when an id was made, ms since 1970 UTC (Discord API reference, Snowflakes)."""
    return (own_id >> 22) + EPOCH_MS


def _ms_at(entry: dict[str, Any], key: str) -> int | None:
    """Return the time at a key; None if there is none with an offset to UTC."""
    try:
        at = datetime.fromisoformat(text_at(entry, key))
    except ValueError:
        return None
    return None if at.tzinfo is None else (at - EPOCH) // timedelta(milliseconds=1)
