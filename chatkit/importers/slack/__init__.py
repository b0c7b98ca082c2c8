"""A Slack workspace export, as a folder or a zip file -> messages and events.

What becomes of an entry of ``<channel>/<YYYY-MM-DD>.json``:

- What people or bots wrote is a message; the export holds only its last wording, so that is the
  body, and there is no edit event. Slack's markup becomes plain text and Markdown links. A text
  over the size limit becomes several messages, none of it lost; the first has the entry's id,
  for replies and reactions. A file is a link in the body: exports don't hold files.
- Each user under each emoji is a react event, of the message's time, for Slack keeps no other;
  the emoji is Slack's short name.
- Joining and leaving are events. Other subtypes are skipped by name.

Ids come from the workspace, the channel and Slack's ``ts``, never from where the export lies: an
entry has the same id in every export of its workspace, even if its text or its author's name was
changed in between. A channel that was renamed is another channel, though. Zip files are read in
place, never unpacked, so names inside can't lead anywhere. One day file at a time is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatkit.importers import SPLIT, ImportedChannel, Item, author_name, split_body
from chatkit.importers.reading import Place, checked, objects_at, text_at
from chatkit.importers.slack.export import SOURCE, Export, name_of, with_id
from chatkit.importers.slack.files import (
    Files,
    Ts,
    as_ts,
    load,
    open_export,
    shown,
)
from chatkit.importers.slack.texts import body_of, decoded
from chatkit.message import Join, Leave, Message, React

__all__ = ["channels", "read"]

MESSAGES = {"bot_message", "file_comment", "file_share", "me_message", "thread_broadcast"}
EVENTS: dict[str, type[Join | Leave]] = {
    "channel_join": Join,
    "channel_leave": Leave,
    "group_join": Join,
    "group_leave": Leave,
}


def channels(path: Path, *, private: bool = False) -> list[ImportedChannel]:
    """Return the channels of an export, also those without messages, sorted by name.

    Parameters
    ----------
    path : Path
        The export: a folder, or a zip file of one.
    private : bool, default False
        Whether private channels and direct messages are included, if the export has any: here
        everybody could read them.

    Returns
    -------
    list of ImportedChannel
        With the names that :func:`read` uses.

    Raises
    ------
    ImportFormatError
        Nothing there looks like a Slack export.
    """
    with open_export(path) as files:
        found = Export(files).channels
        return [channel for channel, _ in found if private or not channel.private]


def read(path: Path, *, private: bool = False) -> Iterator[Item]:
    """Return what is in an export, channel by channel, in each the oldest first.

    Parameters
    ----------
    path : Path
        The export: a folder, or a zip file of one.
    private : bool, default False
        Whether private channels and direct messages are included, if the export has any: here
        everybody could read them. Otherwise each is skipped as a folder.

    Returns
    -------
    iterator of Message, Event, Skipped or Mended
        Every message and event can be encoded. Files are opened while iterating; one that can't
        be read is skipped with the reason.

    Raises
    ------
    ImportFormatError
        Nothing there looks like a Slack export. Raised at once, not while iterating.
    """
    with open_export(path):
        return _read(path, private)


def _read(path: Path, private: bool) -> Iterator[Item]:
    with open_export(path) as files:
        export = Export(files)
        yield from export.notes
        for channel, days in export.channels:
            if private or not channel.private:
                if channel.name != channel.source_name:
                    place = Place(channel.source_name)
                    yield place.mended("channel has another name here", channel.name)
                for file in days:
                    yield from _read_day(export, channel.name, file, files)
            elif days:
                folder = Place(days[0].partition("/")[0])
                yield folder.skipped("private conversation", "folder")


def _read_day(export: Export, channel: str, file: str, files: Files) -> Iterator[Item]:
    notes: list[Item] = []
    entries = load(files, Place(file), notes)
    yield from notes
    timed: dict[Ts, tuple[Place, dict[str, Any]]] = {}
    for position, entry in enumerate(entries):
        place = Place(file, position)
        if not isinstance(entry, dict):
            yield place.skipped("not an object")
        elif entry.get("ts") is None:
            yield place.skipped("no ts")
        elif (ts := as_ts(entry["ts"])) is None:
            yield place.skipped("bad ts", detail=shown(entry["ts"]))
        elif ts in timed:
            yield place.skipped("same ts as an entry before it", detail=ts.text)
        else:
            timed[ts] = place, entry
    for ts, (place, entry) in sorted(timed.items(), key=lambda item: item[0]):
        taken = False
        for item in _read_entry(export, channel, ts, entry, place):
            taken = taken or isinstance(item, Message)
            yield item
        yield from _reactions(export, channel, ts, entry, place, taken)


def _read_entry(
    export: Export, channel: str, ts: Ts, entry: dict[str, Any], place: Place
) -> Iterator[Item]:
    """Yield what one entry is, without its reactions."""
    subtype = entry.get("subtype")
    if entry.get("type", "message") != "message":
        yield place.skipped("not of type message", detail=shown(entry["type"]))
    elif subtype is None or (isinstance(subtype, str) and subtype in MESSAGES):
        yield from _messages(export, channel, ts, entry, place)
    elif not isinstance(subtype, str):
        yield place.skipped("subtype is no text", detail=shown(subtype))
    elif subtype in EVENTS:
        yield from _presence(export, channel, ts, entry, place)
    else:
        yield place.skipped(author_name(subtype) or "subtype has no name")


def _messages(
    export: Export, channel: str, ts: Ts, entry: dict[str, Any], place: Place
) -> Iterator[Item]:
    author, trouble = _author(export, entry)
    thread = as_ts(entry.get("thread_ts"))
    reply_to = export.item_id(channel, thread.text) if thread and thread != ts else None
    parts = split_body(body_of(export.names, entry))
    if not parts:
        yield place.skipped("no text")
    elif trouble:
        yield place.mended(trouble)
    for number, body in enumerate(parts, 1):
        if number > 1:
            yield place.mended(SPLIT)
        message = Message.new(
            channel,
            author,
            body,
            id=export.item_id(channel, ts.text if number == 1 else f"{ts.text}/{number}"),
            sent_ms=ts.ms,
            reply_to=reply_to,
            bot=_is_bot(export, entry),
            source=SOURCE,
        )
        yield checked(message, place, "entry")


def _presence(
    export: Export, channel: str, ts: Ts, entry: dict[str, Any], place: Place
) -> Iterator[Item]:
    """Yield that somebody joined or left."""
    author, trouble = _author(export, entry)
    if trouble:
        yield place.mended(trouble)
    event = EVENTS[entry["subtype"]].new(
        channel, author, id=export.item_id(channel, ts.text), at_ms=ts.ms, source=SOURCE
    )
    yield checked(event, place, "entry")


def _reactions(
    export: Export,
    channel: str,
    ts: Ts,
    entry: dict[str, Any],
    place: Place,
    taken: bool,
) -> Iterator[Item]:
    """Yield who reacted to an entry; ``taken``: whether a message was made of it."""
    for reaction in objects_at(entry, "reactions"):
        emoji = text_at(reaction, "name")
        found = reaction.get("users")
        users = [u for u in found if isinstance(u, str)] if isinstance(found, list) else []
        count = reaction.get("count")
        if not taken:
            yield place.skipped("reaction to what is no message", "reaction", emoji)
            continue
        if not users or (isinstance(count, int) and count > len(users)):
            yield place.skipped("who reacted is not told", "reaction", emoji)
        for user in dict.fromkeys(users):
            event = React.new(
                channel,
                export.people.get(user) or author_name(user) or "unknown",
                export.item_id(channel, ts.text),
                emoji=emoji,
                id=export.item_id(channel, f"{ts.text}/{emoji}/{user}"),
                at_ms=ts.ms,
                source=SOURCE,
            )
            yield checked(event, place, "reaction")


def _author(export: Export, entry: dict[str, Any]) -> tuple[str, str]:
    """Return who wrote an entry, and what is wrong about that, if anything."""
    user = _user(entry)
    if entry.get("subtype") == "bot_message" or not user:
        found = (text_at(entry, "username"), text_at(entry, "bot_profile", "name"))
        name = next((n for n in (author_name(decoded(text)) for text in found) if n), "")
        if name:
            return (with_id(name, "bot") if name in export.humans else name), ""
    if user in export.people:
        return export.people[user], ""
    if shown := author_name(user):
        profile = entry.get("user_profile")
        name = name_of(profile) if isinstance(profile, dict) else ""
        return (with_id(name, user) if name else shown), "author is not in users.json"
    if shown := author_name(text_at(entry, "bot_id")):
        return shown, ""
    return "unknown", "no author"


def _user(entry: dict[str, Any]) -> str:
    """Return the id of the user who wrote an entry; empty if it doesn't tell."""
    found = (
        text_at(entry, "user"),
        text_at(entry, "comment", "user"),
        text_at(entry, "file", "user"),
    )
    return next(filter(None, found), "")


def _is_bot(export: Export, entry: dict[str, Any]) -> bool:
    return (
        entry.get("subtype") == "bot_message"
        or bool(text_at(entry, "bot_id"))
        or _user(entry) in export.bots
    )
