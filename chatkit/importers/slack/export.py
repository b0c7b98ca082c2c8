"""Who and which channels there are in a Slack export, and under which names they come here."""

from __future__ import annotations

import itertools
import math
import re
import uuid
from collections import Counter
from collections.abc import Collection, Container, Iterator, Mapping
from typing import Any, NamedTuple

from chatkit.importers import (
    CHANNEL_LIMIT,
    ImportedChannel,
    Item,
    author_name,
    channel_name,
    stable_id,
)
from chatkit.importers.reading import Place, text_at
from chatkit.importers.slack.files import (
    CHANNEL_FILES,
    DAY,
    USER_FILES,
    Files,
    as_ts,
    composed,
    load,
)
from chatkit.importers.slack.texts import Names, decoded, plain
from chatkit.message import AUTHOR_LIMIT

__all__ = ["SOURCE", "Export", "name_of", "with_id"]

SOURCE = "slack"

_DIRECT = re.compile(r"D[A-Z0-9]{7,}|mpdm-.+")  # a folder of direct messages


class _Conversation(NamedTuple):
    """A channel or direct messages: what the lists say of it, and its day files."""

    record: dict[str, Any]
    source_id: str
    source_name: str
    private: bool
    files: list[str]


class Export:
    """Who and which channels there are in an export."""

    def __init__(self, files: Files) -> None:
        self.notes: list[Item] = []
        """What was wrong with the lists of users and channels, and which files are none of ours."""
        users = {text_at(user, "id"): user for _, user in self._records(files, USER_FILES)}
        self.people = _people(users)
        """Author name by user id."""
        self.bots = {i for i, user in users.items() if user.get("is_bot") is True} | {"USLACKBOT"}
        """Ids of users that are programs."""
        self.humans = {name for i, name in self.people.items() if i not in self.bots}
        """Author names of people."""
        conversations = self._conversations(files)
        self.workspace = _workspace(conversations, users)
        """Part of every id."""
        if not self.workspace:
            self.notes.append(Place("channels.json").mended("nothing names the workspace"))
        names = _channel_names(conversations)
        channel_names = {c.source_id: name for name, c in names.items() if c.source_id}
        self.names = Names(self.people, channel_names)
        """What to show for the ids in a text."""
        self.channels = [(self._channel(name, c), c.files) for name, c in sorted(names.items())]
        """Channels and their day files, oldest first, sorted by name."""

    def _records(
        self, files: Files, names: Collection[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the objects that have an id, from those of some files that are there."""
        there = [name for name in names if name in files]
        if not there:
            self.notes.append(Place(next(iter(names))).mended("missing; names are as found"))
        for name in there:
            for position, record in enumerate(load(files, Place(name), self.notes)):
                if text_at(record, "id"):
                    yield name, record
                else:
                    place = Place(name, position)
                    self.notes.append(place.skipped("not an object with an id", "record"))

    def _conversations(self, files: Files) -> list[_Conversation]:
        days: dict[str, list[str]] = {}
        for file in sorted(files):
            folder, _, name = file.rpartition("/")
            if folder and DAY.fullmatch(name):
                days.setdefault(folder, []).append(file)
            elif folder:
                self.notes.append(Place(file).skipped("not a day of a channel", "file"))
        conversations = []
        for file, record in self._records(files, CHANNEL_FILES.keys()):
            own_id = text_at(record, "id")
            # Direct messages have no name; their folder is called as their id.
            name = composed(text_at(record, "name")) or own_id
            private = CHANNEL_FILES[file] or record.get("is_private") is True
            conversations.append(_Conversation(record, own_id, name, private, days.pop(name, [])))
        conversations += [
            _Conversation({}, "", folder, _DIRECT.fullmatch(folder) is not None, found)
            for folder, found in days.items()
        ]
        return conversations

    def _channel(self, name: str, conversation: _Conversation) -> ImportedChannel:
        record = conversation.record
        creator = text_at(record, "creator")
        created = as_ts(record.get("created"))
        about = (plain(self.names, text_at(record, key, "value")) for key in ("purpose", "topic"))
        return ImportedChannel(
            name=name,
            source_name=conversation.source_name,
            source_id=conversation.source_id,
            description="\n".join(text for text in about if text.strip()),
            creator=self.people.get(creator) or author_name(creator),
            created_ms=created.ms if created else None,
            archived=record.get("is_archived") is True,
            private=conversation.private,
        )

    def item_id(self, channel: str, own_id: str) -> str:
        """Return the id of a message or event in a channel."""
        return stable_id(SOURCE, self.workspace, channel, own_id)


def _workspace(
    conversations: Collection[_Conversation], users: Mapping[str, dict[str, Any]]
) -> str:
    """Return what names the workspace in this export and in any later one; empty if nothing does.

    Every workspace has one channel that all its members are in; it can't be deleted, and its id
    stays when it is renamed. Users' team comes second: old exports lack it, and guests bring
    other teams. The oldest channel is last: a later export may lack it.
    """
    general = [c.source_id for c in conversations if c.record.get("is_general") is True]
    if general:
        return min(general)
    teams = Counter(filter(None, (text_at(user, "team_id") for user in users.values())))
    if teams:
        return min(teams, key=lambda team: (-teams[team], team))
    oldest = sorted(conversations, key=_age)
    return oldest[0].source_id if oldest else ""


def _age(conversation: _Conversation) -> tuple[float, str, str]:
    """Return a key that sorts older channels first, those of unknown age last."""
    created = as_ts(conversation.record.get("created"))
    return created.ms if created else math.inf, conversation.source_id, conversation.source_name


def _channel_names(conversations: Collection[_Conversation]) -> dict[str, _Conversation]:
    """Return conversations by channel name.

    A name that fits stays. Of several that become the same, the oldest gets it and the others
    get their id behind it: so a channel of a later export never takes an older one's name.
    """

    def fitting_then_oldest(conversation: _Conversation) -> tuple[bool, tuple[float, str, str]]:
        name = conversation.source_name
        return channel_name(name) != name, _age(conversation)

    names: dict[str, _Conversation] = {}
    for conversation in sorted(conversations, key=fitting_then_oldest):
        name, own_id = conversation.source_name, conversation.source_id
        suffix = channel_name(own_id)[:20] or uuid.uuid5(uuid.NAMESPACE_URL, name).hex[:8]
        base = channel_name(name) or suffix
        longer = f"{base[: CHANNEL_LIMIT - 25]}-{suffix}"  # leaves room for a number
        names[_first_free(names, base, longer)] = conversation
    return names


def _people(users: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Return author names by user id; users that share a name get their ids behind it."""
    wanted = {
        own_id: name_of(user) or author_name(own_id) or "unknown" for own_id, user in users.items()
    }
    shared = Counter(wanted.values())
    people = {own_id: name for own_id, name in wanted.items() if shared[name] == 1}
    taken = set(people.values())
    for own_id in sorted(wanted.keys() - people.keys()):
        people[own_id] = _first_free(taken, with_id(wanted[own_id], own_id))
        taken.add(people[own_id])
    return people


def _first_free(taken: Container[str], *wanted: str) -> str:
    """Return the first name that nobody has; behind the last wanted one goes a number."""
    numbered = (f"{wanted[-1]}-{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain(wanted, numbered) if name not in taken)


def name_of(user: dict[str, Any]) -> str:
    """Return the name under which people see a user; empty if there is none."""
    found = (
        text_at(user, "profile", "display_name"),
        text_at(user, "display_name"),  # in the short form that comes with an entry
        text_at(user, "name"),
        text_at(user, "real_name"),
        text_at(user, "profile", "real_name"),
    )
    return next((name for name in (author_name(decoded(text)) for text in found) if name), "")


def with_id(name: str, own_id: str) -> str:
    """Return a name with an id behind it, for who shares the name with somebody else."""
    tag = author_name(own_id)[:20]
    return author_name(f"{name[: AUTHOR_LIMIT - 30]} ({tag})")  # leaves room for a number
