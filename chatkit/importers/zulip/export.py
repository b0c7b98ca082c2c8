"""What a Zulip export or zulip-archive says: who, which channels, and all messages, staged."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import ijson
import msgspec

from chatkit.importers import (
    CHANNEL_LIMIT,
    ImportedChannel,
    Item,
    author_name,
    channel_name,
)
from chatkit.importers.reading import Place
from chatkit.importers.zulip.files import READ_ERRORS, Member, Source, members, records
from chatkit.importers.zulip.staging import Entry, Staging
from chatkit.importers.zulip.texts import Names, from_markdown
from chatkit.message import AUTHOR_LIMIT, LAST_MS

__all__ = ["UPLOAD_LIMIT", "Export", "fill"]

UPLOAD_LIMIT = 1024 * 1024
"""Bytes that an uploaded file may have to travel with its message; else its link does."""
INDEX_LIMIT = 64 * 1024 * 1024  # bytes; a topic takes some 100
LEAST_ID, MOST_ID = -(2**63), 2**63 - 1  # what the staging can hold
JOINED: Mapping[object, bool] = {
    301: True,  # created
    302: True,  # activated again
    303: False,
    "subscription_created": True,
    "subscription_activated": True,
    "subscription_deactivated": False,
}
EMPTY_TOPIC = "general chat"  # as Zulip itself shows it

_MESSAGES = re.compile(r"messages-[0-9]+\.json")
_UNFINISHED = re.compile(r"messages-[0-9]+\.json\.partial")
_FOLDER = re.compile(r"[0-9]+")
_EMOJI_CODE = re.compile(r"[0-9a-fA-F]{2,6}(-[0-9a-fA-F]{2,6})*")


class Export:
    """Who and which channels there are; filled by `fill`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        """Where it is."""
        self.workspace = ""
        """Part of every id."""
        self.bots: set[int] = set()
        """Ids of users that are programs."""
        self.streams: dict[int, ImportedChannel] = {}
        """Channels by stream id."""
        self.people: dict[int, str] = {}
        """Author name by user id."""
        self._topics: dict[int, dict[str, str]] = {}
        self._wanted: dict[int, str] = {}
        self._records: dict[int, dict[str, Any]] = {}

    @property
    def names(self) -> Names:
        """What to show for the ids and names in a text."""
        return Names(self.people, {c.source_name: c.name for c in self.streams.values()})

    def author(self, entry: Entry) -> str:
        """Return who wrote an entry; empty if it does not tell."""
        known = self.people.get(entry.sender) if entry.sender is not None else None
        return known or author_name(entry.sender_name)

    def topic(self, stream: int | None, entry: Entry) -> str:
        """Return the name of an entry's topic; in zulip-archive it has that of its file."""
        name = entry.topic
        if self.source.archive:
            known = self._topics.get(-1 if stream is None else stream, {})
            name = known.get(name) or _by_old_name(known, name) or _unquoted(name)
        return " ".join(name.split()) or EMPTY_TOPIC

    def stream_of_folder(self, folder: str) -> int | None:
        """Return the id of the stream that a folder of zulip-archive belongs to."""
        digits = _FOLDER.match(folder)
        wanted = [i for i in self.streams if digits and digits[0].startswith(str(i))]
        exact = [i for i in wanted if digits and digits[0] == str(i)]
        # The old form has the name behind the id without anything between, digits too.
        named = [
            i for i in wanted if _letters(folder) == f"{i}{_letters(self.streams[i].source_name)}"
        ]
        return next(iter(named or exact), None)

    # What follows is for `fill`.

    def add_realm(self, record: dict[str, Any]) -> None:
        """Take what tells this organisation from others, in this export and any later one."""
        created = _ms(record.get("date_created"))
        self.workspace = f"{_id(record.get('id'))}/{None if created is None else created // 1000}"

    def add_person(self, record: dict[str, Any], own_id: int, *, system: bool = False) -> None:
        """Take a user; ``system``: one of the programs that are part of Zulip."""
        name = author_name(_text(record, "full_name"))
        email = _text(record, "email")
        self._wanted[own_id] = name or author_name(email.partition("@")[0]) or f"user {own_id}"
        if system or record.get("is_bot") is True:
            self.bots.add(own_id)

    def add_stream(self, record: dict[str, Any], own_id: int) -> None:
        """Take a stream."""
        self._records[own_id] = record

    def add_topics(self, own_id: int, topics: object) -> None:
        """Take the names of a stream's topics, under those that their files have."""
        names = [name for name in topics if name] if isinstance(topics, dict) else []
        self._topics[own_id] = {
            key: name for name in names for key in (_letters(name), _quoted(name))
        }

    def settle(self) -> None:
        """Give people and channels their names; after all were taken."""
        self.people = _told_apart(self._wanted)
        channels = _channel_names({i: _text(r, "name") for i, r in self._records.items()})
        for own_id, name in channels.items():
            record = self._records[own_id]
            self.streams[own_id] = ImportedChannel(
                name=name,
                source_name=_text(record, "name"),
                source_id=str(own_id),
                description="",
                creator=self.people.get(_id(record.get("creator")) or -1, ""),
                created_ms=_ms(record.get("date_created")),
                archived=record.get("deactivated") is True,
                private=record.get("invite_only") is True,
            )
        names = self.names
        for own_id, channel in self.streams.items():
            about = from_markdown(_text(self._records[own_id], "description"), names)
            self.streams[own_id] = msgspec.structs.replace(channel, description=about)
        self._records.clear()


def fill(export: Export, staging: Staging | None) -> Iterator[Item]:
    """Read all files of an export, and yield what is wrong with them.

    Parameters
    ----------
    export : Export
        Filled with who and which channels there are.
    staging : Staging or None
        Filled with the messages; None: only the channels are wanted.

    Yields
    ------
    Skipped or Mended
        What was not understood.
    """
    read = _read_archive if export.source.archive else _read_export
    try:
        for member in members(export.source):
            yield from read(export, staging, member)
    except READ_ERRORS as error:
        name = export.source.path.name
        yield Place(name).skipped("can't be read to its end", "file", str(error), lost=True)
    export.settle()
    if staging is not None:
        if export.source.archive:
            yield from _find_folders(export, staging)
        staging.settle()


def _read_export(export: Export, staging: Staging | None, member: Member) -> Iterator[Item]:
    if member.name == "realm.json":
        yield from _parsed(member, _take_from_realm(export, staging))
    elif staging is None:
        return
    elif _MESSAGES.fullmatch(member.name):
        yield from _parsed(member, {"zerver_message": _take_message(staging)})
    elif member.name == "attachment.json":
        yield from _parsed(member, {"zerver_attachment": _take_attachment(staging)})
    elif member.name.startswith("uploads/"):
        yield from _take_upload(staging, member)
    elif _UNFINISHED.fullmatch(member.name):
        yield Place(member.name).skipped("the export was not finished", "file", lost=True)


_Take = Callable[[Any, Place], Iterator[Item]]


def _parsed(member: Member, takers: Mapping[str, _Take]) -> Iterator[Item]:
    """Give each record of some lists to its taker, and yield what they don't understand."""
    try:
        with member.open() as file:
            for table, position, record in records(file, *takers):
                yield from takers[table](record, Place(member.name, position))
    except ijson.JSONError as error:
        # The parser's text shows the place in lines of its own.
        reason = " ".join(str(error).split("\n")[0].split())
        yield Place(member.name).skipped("not JSON to its end", "file", reason, lost=True)
    except READ_ERRORS as error:
        yield Place(member.name).skipped("can't be read", "file", str(error), lost=True)


def _take_from_realm(export: Export, staging: Staging | None) -> dict[str, _Take]:
    def realm(record: Any, place: Place) -> Iterator[Item]:
        if isinstance(record, dict):
            export.add_realm(record)
        else:
            yield place.skipped("not an object", "record")

    def person(record: Any, place: Place, *, system: bool = False) -> Iterator[Item]:
        own_id = _id_of(record)
        if own_id is None:
            yield place.skipped("not an object with an id", "record")
        else:
            export.add_person(record, own_id, system=system)

    def stream(record: Any, place: Place) -> Iterator[Item]:
        own_id = _id_of(record)
        if own_id is None or not _text(record, "name"):
            yield place.skipped("not an object with an id and a name", "record")
        else:
            export.add_stream(record, own_id)

    takers: dict[str, _Take] = {
        "zerver_realm": realm,
        "zerver_userprofile": person,
        "zerver_userprofile_mirrordummy": person,
        "zerver_userprofile_crossrealm": lambda r, place: person(r, place, system=True),
        "zerver_stream": stream,
    }
    if staging is not None:
        takers["zerver_recipient"] = _take_recipient(staging)
        takers["zerver_reaction"] = _take_reaction(staging)
        takers["zerver_realmauditlog"] = _take_subscription(staging)
    return takers


def _take_recipient(staging: Staging) -> _Take:
    def take(record: Any, place: Place) -> Iterator[Item]:
        own_id, kind, type_id = _id_of(record), _id_of(record, "type"), _id_of(record, "type_id")
        if own_id is None or kind is None or type_id is None:
            yield place.skipped("not a recipient", "record")
        else:
            staging.add_recipient(own_id, kind, type_id)

    return take


def _take_reaction(staging: Staging) -> _Take:
    def take(record: Any, place: Place) -> Iterator[Item]:
        message, person = _id_of(record, "message"), _id_of(record, "user_profile")
        if message is None or person is None or not _emoji(record):
            yield place.skipped("not a reaction", "reaction")
        else:
            staging.add_reaction(message, person, _emoji(record), place)

    return take


def _take_subscription(staging: Staging) -> _Take:
    def take(record: Any, place: Place) -> Iterator[Item]:
        kind = record.get("event_type") if isinstance(record, dict) else None
        if not isinstance(kind, int | str) or kind not in JOINED:
            return  # all else that is done in an organisation
        person, stream = _id_of(record, "modified_user"), _id_of(record, "modified_stream")
        own_id, ms = _id_of(record), _ms(record.get("event_time"))
        if record.get("backfilled") is True:
            yield place.skipped("a subscription whose time Zulip made up", "record")
        elif own_id is None or ms is None or person is None or stream is None:
            yield place.skipped("not a subscription", "record")
        else:
            staging.add_subscription(own_id, f"s{stream}", ms, person, JOINED[kind], place)

    return take


def _take_message(staging: Staging) -> _Take:
    def take(record: Any, place: Place) -> Iterator[Item]:
        found = _checked(record, ("date_sent", "pub_date", "timestamp"))
        recipient = _id_of(record, "recipient")
        if isinstance(found, str):
            yield place.skipped(found)
        elif recipient is None:
            yield place.skipped("no recipient")
        else:
            own_id, ms, entry = found
            if not staging.add(own_id, ms, entry, place, recipient=recipient):
                yield place.skipped("same id as a message before it", detail=str(own_id))

    return take


def _take_attachment(staging: Staging) -> _Take:
    def take(record: Any, place: Place) -> Iterator[Item]:
        path = _text(record, "path_id")
        if not path:
            yield place.skipped("not a file", "record")
            return
        name = author_name(_text(record, "file_name"))
        staging.add_name(path, name, author_name(_text(record, "content_type")))

    return take


def _take_upload(staging: Staging, member: Member) -> Iterator[Item]:
    path = member.name.removeprefix("uploads/")
    if path == "records.json" or not 0 < member.size <= UPLOAD_LIMIT:
        return
    try:
        with member.open() as file:
            staging.add_upload(path, file.read(UPLOAD_LIMIT))
    except READ_ERRORS as error:
        yield Place(member.name).skipped("can't be read", "file", str(error), lost=True)


def _read_archive(export: Export, staging: Staging | None, member: Member) -> Iterator[Item]:
    path = PurePosixPath(member.name)
    if member.name == "stream_index.json":
        yield from _read_index(export, member)
    elif staging is not None and len(path.parts) >= 2 and path.suffix == ".json":
        folder = path.parent.as_posix()
        yield from _parsed(member, {"": _take_archived(staging, folder, path.stem)})


def _read_index(export: Export, member: Member) -> Iterator[Item]:
    place = Place(member.name)
    if member.size > INDEX_LIMIT:
        yield place.skipped(f"over {INDEX_LIMIT >> 20} MiB", "file", lost=True)
        return
    try:
        with member.open() as file:
            found = json.loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError, *READ_ERRORS) as error:
        yield place.skipped("can't be read", "file", str(error), lost=True)
        return
    index = found.get("streams") if isinstance(found, dict) else None
    if not isinstance(index, dict):
        yield place.skipped("has no streams", "file", lost=True)
        return
    for name, record in index.items():
        own_id = _id_of(record)
        if own_id is None or not name:
            yield place.skipped("not an object with an id", "record", author_name(name))
        else:
            export.add_stream({"name": name}, own_id)
            export.add_topics(own_id, record.get("topic_data"))


def _take_archived(staging: Staging, folder: str, topic: str) -> _Take:
    def take(record: Any, place: Place) -> Iterator[Item]:
        found = _checked(record, ("timestamp",), topic)
        if isinstance(found, str):
            yield place.skipped(found)
            return
        own_id, ms, entry = found
        if not staging.add(own_id, ms, entry, place, conversation=f"/{folder}"):
            yield place.skipped("same id as a message before it", detail=str(own_id))
            return
        reactions = record.get("reactions")
        for reaction in reactions if isinstance(reactions, list) else ():
            user = reaction.get("user") if isinstance(reaction, dict) else None
            person = _id_of(reaction, "user_id")
            person = _id_of(user) if person is None else person
            if person is None or not _emoji(reaction):
                yield place.skipped("not a reaction", "reaction")
            else:
                staging.add_reaction(own_id, person, _emoji(reaction), place)

    return take


def _find_folders(export: Export, staging: Staging) -> Iterator[Item]:
    """Tell the staging which streams the folders are."""
    for name in staging.conversations():
        stream = export.stream_of_folder(name.removeprefix("/"))
        if stream is None:
            reason = "folder of no stream in stream_index.json"
            yield Place(name.removeprefix("/")).skipped(reason, "folder", lost=True)
        staging.rename(name, None if stream is None else f"s{stream}")


def _checked(
    record: Any, times: tuple[str, ...], topic: str | None = None
) -> tuple[int, int, Entry] | str:
    """Return id, time and content of a message; or what is wrong with it."""
    if not isinstance(record, dict):
        return "not an object"
    own_id = _id_of(record)
    if own_id is None:
        return "no id"
    ms = next((ms for ms in (_ms(record.get(time)) for time in times) if ms is not None), None)
    if ms is None:
        return "no time"
    if not _text(record, "content").strip():
        return "no text"
    html = topic is not None and record.get("content_type") != "text/x-markdown"
    entry = Entry(
        sender=_id_of(record, "sender_id" if topic is not None else "sender"),
        sender_name=_text(record, "sender_full_name"),
        topic=_text(record, "subject") or topic or _text(record, "topic"),
        text=_text(record, "content"),
        html=html,
        earlier=_earlier(record, "prev_rendered_content" if html else "prev_content"),
        edited_ms=_edited(record),
    )
    return own_id, ms, entry


def _edit_history(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was done to a message; topics are changed too."""
    history = record.get("edit_history")
    if isinstance(history, str):
        try:
            history = msgspec.json.decode(history)
        except msgspec.MsgspecError:
            return []
    return [h for h in history if isinstance(h, dict)] if isinstance(history, list) else []


def _earlier(record: dict[str, Any], key: str) -> tuple[tuple[int, str], ...]:
    found = ((_ms(step.get("timestamp")), _text(step, key)) for step in _edit_history(record))
    kept = [(ms, text) for ms, text in found if ms is not None and text.strip()]
    kept.reverse()  # the list has the newest first
    return tuple(sorted(kept, key=lambda step: step[0]))


def _edited(record: dict[str, Any]) -> int | None:
    """Return when a text was changed whose older form is not told."""
    history = _edit_history(record)
    if history and not any(_text(h, "prev_content") for h in history):
        return None  # it was moved only
    ms = _ms(record.get("last_edit_time"))
    return _ms(record.get("last_edit_timestamp")) if ms is None else ms


def _emoji(record: Any) -> str:
    """Return the emoji of a reaction, else its name; empty if there is none."""
    code = _text(record, "emoji_code")
    kind = record.get("reaction_type") if isinstance(record, dict) else None
    if kind in ("unicode_emoji", None) and _EMOJI_CODE.fullmatch(code):
        points = [int(part, 16) for part in code.split("-")]
        # Plain characters, such as digits in keycaps, make an emoji only together with others.
        if all(point <= 0x10FFFF and not 0xD800 <= point < 0xE000 for point in points):
            return "".join(map(chr, points))
    return _text(record, "emoji_name")


def _told_apart(wanted: Mapping[int, str]) -> dict[int, str]:
    """Return author names by user id; users that share a name get their ids behind it."""
    shared = Counter(wanted.values())
    return {
        i: name if shared[name] == 1 else author_name(f"{name[: AUTHOR_LIMIT - 24]} ({i})")
        for i, name in wanted.items()
    }


def _channel_names(wanted: Mapping[int, str]) -> dict[int, str]:
    """Return channel names by stream id.

    A name that fits stays. Of several that become the same the oldest stream gets it, and the
    others get their ids behind it: so one of a later export never takes an older one's name.
    """
    names: dict[int, str] = {}
    for own_id in sorted(wanted, key=lambda i: (channel_name(wanted[i]) != wanted[i], i)):
        name = base = channel_name(wanted[own_id]) or f"stream-{own_id}"
        while name in names.values():
            name = f"{base[: CHANNEL_LIMIT - 21]}-{own_id}"
            base += f"-{own_id}"
        names[own_id] = name
    return names


def _quoted(topic: str) -> str:
    """Return the name of a topic as zulip-archive makes a file name of it."""
    quoted = urllib.parse.quote(topic, safe="~()*!.'")
    return quoted.replace(".", "%2E").replace("%", ".")


def _unquoted(stem: str) -> str:
    return urllib.parse.unquote(stem.replace(".", "%"))


def _by_old_name(known: Mapping[str, str], stem: str) -> str:
    """Return the topic of a file that is called as older versions did: a number, then letters."""
    digits = _FOLDER.match(stem)
    cuts = range(1, digits.end() + 1 if digits else 1)
    return next((known[stem[cut:]] for cut in cuts if stem[cut:] in known), "")


def _letters(text: str) -> str:
    """Return what is left of a name in the file names of older versions."""
    return "".join(char for char in text if char.isascii() and char.isalnum())


def _text(holder: Any, key: str) -> str:
    value = holder.get(key) if isinstance(holder, dict) else None
    # Whatever it holds, it can be written as UTF-8 afterwards.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _id(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and LEAST_ID <= value <= MOST_ID
    return value if fits else None  # type: ignore[return-value]


def _id_of(holder: Any, key: str = "id") -> int | None:
    return _id(holder.get(key)) if isinstance(holder, dict) else None


def _ms(value: object) -> int | None:
    """Return seconds since 1970 as ms; None if that is no time that a message can have."""
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        return None
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    return int(value * 1000) if 0 <= value <= LAST_MS // 1000 else None
