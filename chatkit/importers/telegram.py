"""Chats as Telegram Desktop exports them as JSON (``result.json``) -> messages and events.

One chat, or all of a person's (then private chats are left out unless asked for, since here
everybody could read them; a chat that was exported alone is wanted).

What becomes of an entry:

- A message is one with the text as it was at the export; text links become Markdown links, other
  formatting is left out. Files are in the body by name, and so are places, contacts and polls; a
  forwarded text says from whom.
- If it was edited there is an edit event with the same text. But Telegram also marks a message as
  edited to which somebody only reacted: under a message with reactions there is none, but a note.
- Who put an emoji under it is a react event for those that the export names (the last few).
- Joining and leaving, also by others' doing, and pinning are events. That a pin was taken back is
  not in the export. Other service entries are skipped by their action.
- In a chat with a bot its messages are marked; elsewhere the export does not tell who is one.

Times are Telegram's own. Those that it writes by the exporting computer's clock alone (reactions;
everything in old exports) are read by the offset that the message's two times show, else in the
``zone``. Ids come from Telegram's message ids, so every export of a chat gives the same. One
message at a time is in memory.
"""

from __future__ import annotations

import itertools
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from chatkit.errors import ImportFormatError, InputError
from chatkit.importers import ImportedChannel, Item, author_name, open_bytes, stable_id
from chatkit.importers.json_stream import BEGIN, READ_ERRORS, reason, walk
from chatkit.importers.reading import (
    Authors,
    ChannelNames,
    Place,
    Repeats,
    checked,
    files_in,
    link,
    local_ms,
    messages_of,
    objects_at,
    shown,
    text_at,
    time_zone,
)
from chatkit.message import Edit, Event, Join, Leave, Message, Pin, React, check_channel_name

__all__ = ["channels", "read"]

SOURCE = "telegram"
ALONE = "messages"
LISTS = {ALONE, "chats.list.item.messages", "left_chats.list.item.messages"}
GROUPS = {
    "private_group",
    "private_supergroup",
    "private_channel",
    "public_group",
    "public_supergroup",
    "public_channel",
}
JOINS = {"join_group_by_link", "join_group_by_request"}
ADDED = {"invite_members", "create_group"}
REMOVED = {"remove_members"}


class _Chat(msgspec.Struct, kw_only=True):
    """A chat of an export."""

    path: Path
    alone: bool
    """Whether the file has this chat only."""
    own_id: str = ""
    kind: str = ""
    source_name: str = ""
    skipped: bool = False
    """Whether it is left out as private."""
    name: str = ""
    """Name of the channel here; empty if it is left out."""
    renamed: bool = False
    """Whether that is ours, and not what Telegram or the caller says."""

    @property
    def private(self) -> bool:
        return self.kind not in GROUPS


def channels(
    paths: Sequence[Path],
    *,
    channel: str | None = None,
    zone: str = "UTC",
    private: bool = False,
) -> list[ImportedChannel]:
    """Return the chats of some exports, sorted by name.

    Parameters
    ----------
    paths : sequence of Path
        Files that Telegram Desktop wrote as JSON, or folders with a ``result.json``.
    channel : str, optional
        Name of the channel here, if there is only one chat. Default: as in Telegram.
    zone : str, default "UTC"
        IANA name of the time zone of the computer that exported.
    private : bool, default False
        Whether private chats are included where all chats were exported.

    Returns
    -------
    list of ImportedChannel
        With the names that :func:`read` uses.

    Raises
    ------
    ImportFormatError
        A file that was named is not in this format, or no file in the folders is.
    InputError
        A path leads nowhere; ``channel`` is no name, is there for several chats, or is missing
        for a chat without a name; ``zone`` is none; or two files have the same chat.
    """
    time_zone(zone)
    found = [
        ImportedChannel(
            name=chat.name,
            source_name=chat.source_name,
            source_id=chat.own_id,
            private=chat.private,
        )
        for chat in _chats(paths, channel, private)
        if not chat.skipped
    ]
    return sorted(found, key=lambda one: one.name)


def read(
    paths: Sequence[Path],
    *,
    channel: str | None = None,
    zone: str = "UTC",
    private: bool = False,
) -> Iterator[Item]:
    """Return what is in some exports, chat by chat, in each the oldest first.

    Parameters
    ----------
    paths : sequence of Path
        Files that Telegram Desktop wrote as JSON, or folders with a ``result.json``.
    channel : str, optional
        Name of the channel here, if there is only one chat. Default: as in Telegram.
    zone : str, default "UTC"
        IANA name of the time zone of the computer that exported: for old exports, whose times
        are by its clock.
    private : bool, default False
        Whether private chats are included where all chats were exported. Otherwise each is
        skipped as a folder.

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
        A path leads nowhere; ``channel`` is no name, is there for several chats, or is missing
        for a chat without a name; ``zone`` is none; or two files have the same chat.
    """
    return _read(_chats(paths, channel, private), time_zone(zone))


def _chats(paths: Sequence[Path], channel: str | None, private: bool) -> list[_Chat]:
    if channel is not None:
        check_channel_name(channel)
    chats = [chat for path, _ in files_in(paths, "result.json") for chat in _survey(path)]
    for chat in chats:
        chat.skipped = chat.private and not (private or chat.alone)
    _refuse_twice(chats)
    wanted = [chat for chat in chats if not chat.skipped]
    if channel is not None and len(wanted) > 1:
        raise InputError(
            f"{len(wanted)} chats are in these files, and {channel!r} is one name: give a file "
            "with one chat, or no name"
        )
    names = ChannelNames()
    for chat in wanted:
        if not (channel or chat.source_name or chat.own_id):
            raise InputError(
                f"{chat.path} does not name its chat: give the channel's name "
                "(channel=..., on the command line --channel)"
            )
        chat.name = channel or names.name(chat.own_id, chat.source_name)
        chat.renamed = chat.name not in (channel, chat.source_name)
    return chats


def _refuse_twice(chats: list[_Chat]) -> None:
    by_id: dict[tuple[str, str], _Chat] = {}
    for chat in chats:
        if chat.skipped or not chat.own_id:
            continue
        # Ids are people's, groups' or channels', each counted for itself.
        kind = chat.kind.rpartition("_")[2] if chat.kind in GROUPS else ""
        other = by_id.setdefault((kind.removeprefix("super"), chat.own_id), chat)
        if other is not chat:
            raise InputError(
                f"The chat {chat.source_name!r} is in {other.path} and in {chat.path}: import one "
                "after the other, the older first; what is there already is not imported twice"
            )


def _survey(path: Path) -> list[_Chat]:
    """Return the chats of a file; a broken one is read as far as it goes."""
    chats: list[_Chat] = []
    trouble = "no messages of a chat are in it"
    told: dict[str, str] = {}
    try:
        for place, value in walk(path, LISTS):
            holder, _, key = place.rpartition(".")
            if value is BEGIN:
                chats.append(_chat(path, place, told))
                if place == ALONE:
                    break
                told = {}
            elif f"{holder}.{ALONE}".lstrip(".") in LISTS and isinstance(value, str | int):
                told[key] = str(value)
    except READ_ERRORS as error:
        trouble = reason(error)
    if not chats:
        raise ImportFormatError(
            f"{path} is no export of Telegram Desktop as JSON ({trouble}): export the chat in the "
            "format 'Machine-readable JSON' and give its result.json"
        )
    return chats


def _chat(path: Path, place: str, told: dict[str, str]) -> _Chat:
    kind = told.get("type", "")
    return _Chat(
        path=path,
        alone=place == ALONE,
        own_id=told.get("id", ""),
        kind=kind,
        source_name=told.get("name", "" if kind in GROUPS else kind),
    )


def _read(chats: list[_Chat], zone: zoneinfo.ZoneInfo) -> Iterator[Item]:
    authors = Authors()
    for path, group in itertools.groupby(chats, key=lambda chat: chat.path):
        yield from _read_file(path, list(group), zone, authors)


def _read_file(
    path: Path, chats: list[_Chat], zone: zoneinfo.ZoneInfo, authors: Authors
) -> Iterator[Item]:
    place = Place(path.name)
    following = iter(chats)
    reader: _Reader | None = None  # None: the chat is left out
    position = 0
    try:
        for where, value in walk(path, LISTS, open_bytes):
            if value is BEGIN:
                chat = next(following, None)
                if chat is None:
                    return
                reader, position = None, 0
                place = Place(f"{path.name}:{author_name(chat.source_name)}".rstrip(":"))
                if chat.skipped:
                    yield place.skipped("private chat", "folder")
                    continue
                if chat.renamed:
                    yield place.mended("channel has another name here", chat.name)
                reader = _Reader(chat, zone, authors)
            elif where in LISTS:
                if reader is not None:
                    place = Place(place.file, position)
                    yield from reader.entry(value, place)
                position += 1
    except READ_ERRORS as error:
        yield place.skipped("broken behind this", "file", reason(error), lost=True)


class _Reader:
    """Makes items of the entries of one chat."""

    def __init__(self, chat: _Chat, zone: zoneinfo.ZoneInfo, authors: Authors) -> None:
        self._chat = chat
        self._zone = zone
        self._authors = authors
        self._repeats = Repeats()
        self._topics: set[str] = set()
        self._before = ""

    def entry(self, entry: Any, place: Place) -> Iterator[Item]:
        """Yield what is in an entry."""
        kind = entry.get("type") if isinstance(entry, dict) else None
        if not isinstance(entry, dict):
            yield place.skipped("not an object")
        elif kind == "unsupported":
            yield place.skipped("not supported by the Telegram that exported")
        elif (ms := self._sent_ms(entry)) is None:
            yield place.skipped("no date")
        elif kind not in ("message", "service"):
            yield place.skipped(f"type {shown(kind)}")
        elif (own_id := _id_at(entry, "id")) and own_id == self._before:
            yield place.skipped("same id as the entry before it", detail=own_id)
        elif kind == "service":
            self._before = own_id
            yield from self._service(entry, own_id, ms, place)
        else:
            self._before = own_id
            yield from self._message(entry, own_id, ms, place)

    def _id(self, own_id: str) -> str:
        return stable_id(SOURCE, self._chat.own_id, self._chat.name, own_id)

    def _message(self, entry: dict[str, Any], own_id: str, ms: int, place: Place) -> Iterator[Item]:
        author = self._author(entry, "from")
        body = _body(entry)
        own_id = own_id or self._repeats.own_id(str(ms), author, body)
        message = Message(
            id=self._id(own_id),
            channel=self._chat.name,
            author=author,
            body=body,
            sent_ms=ms,
            reply_to=self._reply_to(entry),
            bot=self._is_bot(entry),
            source=SOURCE,
        )
        taken = None
        for item in messages_of(message, place):
            yield item
            if isinstance(item, Message):
                taken = taken or item
        if taken is not None:
            yield from self._edit(entry, own_id, taken, place)
        yield from self._reactions(entry, own_id, message, place, taken is not None)

    def _edit(
        self, entry: dict[str, Any], own_id: str, message: Message, place: Place
    ) -> Iterator[Item]:
        edited = self._ms_at(entry, "edited", entry)
        if edited is None or edited <= message.sent_ms:  # old exports say 1970 where there is none
            return
        if objects_at(entry, "reactions"):
            yield place.mended("edited, or only reacted to: Telegram marks both alike")
            return
        event = Edit(
            id=self._id(f"{own_id}/edit/{edited}"),
            channel=message.channel,
            actor=message.author,
            target=message.id,
            body=message.body,
            at_ms=edited,
            source=SOURCE,
        )
        yield checked(event, place, "edit")

    def _reactions(
        self, entry: dict[str, Any], own_id: str, message: Message, place: Place, taken: bool
    ) -> Iterator[Item]:
        for reaction in objects_at(entry, "reactions"):
            emoji = next(
                filter(None, (text_at(reaction, key) for key in ("emoji", "document_id", "type"))),
                "",
            ).partition(".")[0]
            who = objects_at(reaction, "recent")
            count = reaction.get("count")
            if not taken:
                yield place.skipped("reaction to what is no message", "reaction", emoji)
                continue
            if not who or (isinstance(count, int) and count > len(who)):
                yield place.skipped("who reacted is not told", "reaction", emoji)
            for one in who:
                at = self._ms_at(one, "date", entry)
                person = _person_id(one, "from") or text_at(one, "from")
                event = React(
                    id=self._id(f"{own_id}/{emoji}/{person}"),
                    channel=message.channel,
                    actor=self._author(one, "from"),
                    target=message.id,
                    emoji=emoji,
                    at_ms=message.sent_ms if at is None else at,
                    source=SOURCE,
                )
                yield checked(event, place, "reaction")

    def _service(self, entry: dict[str, Any], own_id: str, ms: int, place: Place) -> Iterator[Item]:
        action = text_at(entry, "action")
        actor = self._author(entry, "actor")
        own_id = own_id or self._repeats.own_id(str(ms), actor, action)
        if action == "topic_created":
            self._topics.add(own_id)
        if action in JOINS:
            yield self._presence(Join, actor, own_id, ms, place)
        elif action in ADDED | REMOVED:
            found = entry.get("members")
            members = [author_name(m) for m in found or [] if isinstance(m, str)]
            for member in filter(None, members):
                event = Leave if action in REMOVED else Join
                yield self._presence(event, member, f"{own_id}/{member}", ms, place)
            if not any(members):
                yield place.skipped("who joined or left is not told", detail=action)
        elif action == "pin_message" and (target := _id_at(entry, "message_id")):
            pin = Pin(
                id=self._id(own_id),
                channel=self._chat.name,
                actor=actor,
                target=self._id(target),
                at_ms=ms,
                source=SOURCE,
            )
            yield checked(pin, place)
        else:
            yield place.skipped(author_name(action) or "service entry without an action")

    def _presence(
        self, event: type[Join | Leave], actor: str, own_id: str, ms: int, place: Place
    ) -> Item:
        item: Event = event(
            id=self._id(own_id), channel=self._chat.name, actor=actor, at_ms=ms, source=SOURCE
        )
        return checked(item, place)

    def _reply_to(self, entry: dict[str, Any]) -> str | None:
        target = _id_at(entry, "reply_to_message_id")
        # What is written in a topic of a group seems to answer the entry that opened the topic.
        if not target or target in self._topics or entry.get("reply_to_peer_id") is not None:
            return None
        return self._id(target)

    def _is_bot(self, entry: dict[str, Any]) -> bool:
        own_id = _person_id(entry, "from")
        return self._chat.kind == "bot_chat" and bool(own_id) and own_id == self._chat.own_id

    def _author(self, entry: dict[str, Any], key: str) -> str:
        return self._authors.name(_person_id(entry, key), text_at(entry, key))

    def _sent_ms(self, entry: dict[str, Any]) -> int | None:
        return self._ms_at(entry, "date", entry)

    def _ms_at(self, holder: dict[str, Any], key: str, entry: dict[str, Any]) -> int | None:
        """Return a time, ms since 1970 UTC; None if there is none."""
        exact = _seconds(holder, f"{key}_unixtime")
        if exact is not None:
            return exact * 1000
        local = _local(holder, key)
        if local is None:
            return None
        clock, sent = _local(entry, "date"), _seconds(entry, "date_unixtime")
        if clock is None or sent is None:
            return local_ms(local, self._zone)
        return sent * 1000 + int((local - clock).total_seconds() * 1000)


def _seconds(holder: dict[str, Any], key: str) -> int | None:
    text = _id_at(holder, key)
    return int(text) if text.isdigit() and len(text) <= 12 else None


def _local(holder: dict[str, Any], key: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text_at(holder, key))
    except ValueError:
        return None
    return None if at.tzinfo else at


def _id_at(holder: dict[str, Any], key: str) -> str:
    """Return the number at a key as text; empty if there is none."""
    value = holder.get(key)
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    digits = text.removeprefix("-")
    return text if digits.isascii() and digits.isdigit() and len(digits) <= 20 else ""


def _person_id(holder: dict[str, Any], key: str) -> str:
    """Return the id of a person or a channel; old exports have the number alone."""
    value = holder.get(f"{key}_id")
    text = str(value) if isinstance(value, str | int) else ""
    return author_name(text.removeprefix("user"))


def _body(entry: dict[str, Any]) -> str:
    """Return all that was posted: the text, and what stands for files and the like."""
    text = _text(entry.get("text")) or _text(entry.get("text_entities"))
    source = author_name(text_at(entry, "forwarded_from"))
    if "forwarded_from" in entry:
        text = f"Forwarded from {source or 'somebody'}:\n{text}"
    parts = [text, *_media(entry)]
    return "\n".join(part for part in parts if part.strip())


def _text(value: Any) -> str:
    """Return a text that is plain, or in parts of which some are links."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    return "".join(part if isinstance(part, str) else _part(part) for part in value)


def _part(part: Any) -> str:
    text = text_at(part, "text")
    href = text_at(part, "href")
    return link(href, text) if href else text


def _media(entry: dict[str, Any]) -> list[str]:
    kind = text_at(entry, "media_type")
    parts = [_file(entry, key, kind or key) for key in ("photo", "file") if text_at(entry, key)]
    sticker = text_at(entry, "sticker_emoji")
    if kind == "sticker" and sticker:
        parts = [sticker]
    place = entry.get("location_information")
    if isinstance(place, dict):
        numbers = (_number(place.get(key)) for key in ("latitude", "longitude"))
        parts.append(", ".join(filter(None, numbers)))
    parts += [text_at(entry, key) for key in ("place_name", "address")]
    contact = entry.get("contact_information")
    names = (text_at(contact, key) for key in ("first_name", "last_name", "phone_number"))
    parts.append(" ".join(filter(None, names)))
    parts += [text_at(entry, key) for key in ("game_title", "game_description")]
    parts.append(text_at(entry, "invoice_information", "title"))
    return parts + _poll(entry.get("poll"))


def _number(value: Any) -> str:
    """Return a number as text; empty if it is none."""
    return "" if isinstance(value, str | bool | list | dict | None) else str(value)


def _file(entry: dict[str, Any], key: str, kind: str) -> str:
    path = text_at(entry, key)
    name = text_at(entry, "file_name") if key == "file" else ""
    if not name and "(File " not in path:  # else the export says why it is not there
        name = path.replace("\\", "/").rpartition("/")[2]
    return name or f"[{kind.replace('_', ' ')}]"


def _poll(poll: Any) -> list[str]:
    if not isinstance(poll, dict):
        return []
    answers = (_text(answer.get("text")) for answer in objects_at(poll, "answers"))
    return [_text(poll.get("question")), *(f"- {answer}" for answer in answers if answer)]
