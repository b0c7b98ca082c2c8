"""Zulip: an organisation's export, or what zulip-archive wrote -> messages and events.

Two layouts are read, each from its folder or from a tar file, and told apart by what is there:

- The export that an administrator makes (``realm.json``, ``messages-000001.json``, ...,
  ``attachment.json``, ``uploads/``). Its texts are Zulip's Markdown.
- The JSON of zulip-archive (``stream_index.json`` and a file for each topic). Its texts are HTML,
  and it only knows names, so nobody can be told to be a bot, and reactions are there only where
  somebody kept the messages whole.

What becomes of what is there:

- A stream is a channel. Its topics stay readable: wherever the topic is another than that of the
  message before, the message begins with the topic's name in bold, on a line of its own. A prefix
  on every message would put the topic's words into each of them, and channels of their own for
  topics would tear streams with thousands of them apart.
- A message that quotes another of its channel ("quote and reply") answers it. The link stays.
- An edit is an event with the new text; the message has the text that it had at first. Where the
  export lacks older texts, both have the text that there is. Edits of topics are none.
- Each reaction is a react event of the message's time, for Zulip keeps no other; the emoji itself,
  or the short name of one that the organisation made.
- Joining and leaving streams are events, where the export has them.
- The first file that a message links to travels with it, up to 1 MiB; of others the link stays.
- Markup becomes Markdown as it is read here: ``@name``, ``#channel``, quotations with ``>``.

Ids come from the organisation, the channel and Zulip's id of the message, never from where the
export lies. zulip-archive does not tell the organisation; there the stream's id and the message's
time stand for it. Private streams and direct messages are left out unless asked for. Everything is
put in order in a temporary database on disk, so that memory stays flat; that takes about as much
room there as the texts and small files.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from chatkit.importers import SPLIT, ImportedChannel, Item, split_body, stable_id
from chatkit.importers.reading import Place, checked
from chatkit.importers.zulip.export import Export, fill
from chatkit.importers.zulip.files import find
from chatkit.importers.zulip.staging import Entry, Staged, Staging, Subscription
from chatkit.importers.zulip.texts import from_html, from_markdown, quoted, uploads
from chatkit.message import Attachment, Edit, Join, Leave, Message, React

__all__ = ["channels", "read"]

SOURCE = "zulip"
NAME_LIMIT = 255


def channels(paths: Sequence[Path], *, private: bool = False) -> list[ImportedChannel]:
    """Return the channels of an export, also those without messages, sorted by name.

    Parameters
    ----------
    paths : sequence of Path
        The export: one folder, or one tar file.
    private : bool, default False
        Whether private streams and direct messages are included, if the export has any: here
        everybody could read them.

    Returns
    -------
    list of ImportedChannel
        With the names that :func:`read` uses.

    Raises
    ------
    InputError
        Not exactly one path was given.
    ImportFormatError
        Nothing there looks like a Zulip export.
    """
    export = Export(find(paths))
    with closing(Staging()) as staging:
        # Who wrote to whom is told by the messages alone.
        for _ in fill(export, staging if private else None):
            pass
        found = [channel for channel in export.streams.values() if private or not channel.private]
        if private:
            found += [_direct(export, name) for name in staging.conversations() if name[0] != "s"]
    return sorted(found, key=lambda channel: channel.name)


def read(paths: Sequence[Path], *, private: bool = False) -> Iterator[Item]:
    """Return what is in an export, channel by channel, in each the messages oldest first.

    Parameters
    ----------
    paths : sequence of Path
        The export: one folder, or one tar file.
    private : bool, default False
        Whether private streams and direct messages are included, if the export has any: here
        everybody could read them. Otherwise each is skipped as a folder.

    Returns
    -------
    iterator of Message, Event, Skipped or Mended
        Every message and event can be encoded. The edits of a message and the reactions to it
        come right behind it. Files are opened while iterating; one that can't be read is skipped
        with the reason.

    Raises
    ------
    InputError
        Not exactly one path was given.
    ImportFormatError
        Nothing there looks like a Zulip export. Both are raised at once, not while iterating.
    """
    return _read(Export(find(paths)), private)


def _read(export: Export, private: bool) -> Iterator[Item]:
    with closing(Staging()) as staging:
        yield from fill(export, staging)
        for place in staging.homeless():
            yield place.skipped("its recipient is not in realm.json")
        for place in staging.reactions_to_nothing():
            yield place.skipped("reaction to what is not in the export", "reaction")
        there = set(staging.conversations())
        for own_id, stream in sorted(export.streams.items(), key=lambda item: item[1].name):
            conversation = f"s{own_id}"
            if private or not stream.private:
                if stream.name != stream.source_name:
                    place = Place(stream.source_name)
                    yield place.mended("channel has another name here", stream.name)
                yield from _Reading(export, staging, conversation, stream.name, own_id).items()
            elif conversation in there:
                yield Place(stream.source_name).skipped("private conversation", "folder")
            there.discard(conversation)
        for conversation in sorted(there):
            if conversation[0] == "s":
                place = Place(f"stream {conversation[1:]}")
                yield place.skipped("stream is not in realm.json", "folder", lost=True)
            elif private:
                name = _direct(export, conversation).name
                yield from _Reading(export, staging, conversation, name).items()
            else:
                yield Place(f"direct messages {conversation}").skipped(
                    "private conversation", "folder"
                )


def _direct(export: Export, conversation: str) -> ImportedChannel:
    """Return the channel of direct messages, ``d3-8`` of two people or ``g4`` of several."""
    ids = conversation[1:]
    people = [] if conversation[0] == "g" else [int(part) for part in ids.split("-")]
    names = [export.people.get(person, f"user {person}") for person in dict.fromkeys(people)]
    return ImportedChannel(
        name=f"dm-{'group-' if conversation[0] == 'g' else ''}{ids}",
        source_name=", ".join(names) or f"a group of people ({ids})",
        source_id=conversation,
        description="Direct messages" + (f" of {', '.join(names)}" if names else ""),
        private=True,
    )


class _Reading:
    """The reading of one conversation, from its oldest message to its newest."""

    def __init__(
        self,
        export: Export,
        staging: Staging,
        conversation: str,
        channel: str,
        stream: int | None = None,
    ) -> None:
        self._export = export
        self._staging = staging
        self._conversation = conversation
        self._channel = channel
        self._stream = stream
        self._names = export.names
        self._topic: str | None = None if stream is not None else ""

    def items(self) -> Iterator[Item]:
        """Yield all of it."""
        subscriptions = self._staging.subscriptions(self._conversation)
        coming = next(subscriptions, None)
        for staged in self._staging.messages(self._conversation):
            while coming is not None and coming.ms <= staged.ms:
                yield from self._subscribed(coming)
                coming = next(subscriptions, None)
            yield from self._message(staged)
        while coming is not None:
            yield from self._subscribed(coming)
            coming = next(subscriptions, None)

    def _subscribed(self, found: Subscription) -> Iterator[Item]:
        kind = Join if found.joined else Leave
        actor = self._export.people.get(found.person, f"user {found.person}")
        own_id = self._id(f"subscription/{found.id}")
        event = kind.new(self._channel, actor, id=own_id, at_ms=found.ms, source=SOURCE)
        yield checked(event, found.place, "entry")

    def _message(self, staged: Staged) -> Iterator[Item]:
        entry, place = staged.entry, staged.place
        parts, edits = self._texts(entry)
        if not parts:
            yield place.skipped("no text")
            for _, _, reacted in self._staging.reactions(staged.id):
                yield reacted.skipped("reaction to what is no message", "reaction")
            return
        if edits is None:
            yield place.mended("edits of a text over the size limit are left out")
            edits = []
        author = self._export.author(entry)
        if not author:
            known = entry.sender is not None
            author = f"user {entry.sender}" if known else "unknown"
            yield place.mended("author is not in realm.json" if known else "no author")
        now = edits[-1][1] if edits else parts[0]
        attachment, left = self._files(now)
        for label in left:
            yield place.mended("file stays behind, its link is kept", label)
        for number, body in enumerate(parts, 1):
            if number > 1:
                yield place.mended(SPLIT)
            message = Message(  # not `new`: that makes an id first
                channel=self._channel,
                author=author,
                body=body,
                id=self._message_id(staged.id, staged.ms, number),
                sent_ms=staged.ms,
                reply_to=self._reply_to(now),
                bot=entry.sender in self._export.bots,
                source=SOURCE,
                attachment=attachment if number == 1 else None,
            )
            yield checked(message, place, "entry")
        yield from self._edits(staged, author, edits)
        yield from self._reactions(staged)

    def _texts(self, entry: Entry) -> tuple[list[str], list[tuple[int, str]] | None]:
        """Return the text in parts that fit, and the edits: when, and to what.

        With edits it is the text as it was first; None instead of them: they can't be told.
        """
        text = self._markdown(entry, entry.text)
        if not text.strip():
            return [], []
        earlier = [(ms, self._markdown(entry, before)) for ms, before in entry.earlier]
        earlier = [(ms, before) for ms, before in earlier if before.strip()]
        if not earlier and entry.edited_ms is not None:
            earlier = [(entry.edited_ms, text)]
        heading = self._heading(entry)
        parts = [split_body(heading + one) for one in (*(before for _, before in earlier), text)]
        if any(len(part) > 1 for part in parts):
            return parts[-1], None if earlier else []
        times = (ms for ms, _ in earlier)
        return parts[0], list(zip(times, (part[0] for part in parts[1:]), strict=True))

    def _markdown(self, entry: Entry, text: str) -> str:
        return from_html(text) if entry.html else from_markdown(text, self._names)

    def _heading(self, entry: Entry) -> str:
        """Return what stands above a message whose topic is not that of the one before."""
        if self._stream is None:
            return ""
        topic, before = self._export.topic(self._stream, entry), self._topic
        self._topic = topic
        return "" if topic == before else f"**{topic}**\n\n"

    def _edits(self, staged: Staged, author: str, edits: list[tuple[int, str]]) -> Iterator[Item]:
        for number, (ms, body) in enumerate(edits, 1):
            event = Edit.new(
                self._channel,
                author,  # nobody else can change a text in Zulip
                self._message_id(staged.id, staged.ms),
                body=body,
                id=self._id(f"{self._key(staged.id, staged.ms)}/edit/{ms}/{number}"),
                at_ms=ms,
                source=SOURCE,
            )
            yield checked(event, staged.place, "edit")

    def _reactions(self, staged: Staged) -> Iterator[Item]:
        for person, emoji, place in self._staging.reactions(staged.id):
            event = React.new(
                self._channel,
                self._export.people.get(person, f"user {person}"),
                self._message_id(staged.id, staged.ms),
                emoji=emoji,
                id=self._id(f"{self._key(staged.id, staged.ms)}/{emoji}/{person}"),
                at_ms=staged.ms,
                source=SOURCE,
            )
            yield checked(event, place, "reaction")

    def _reply_to(self, text: str) -> str | None:
        """Return the id of the message that a text answers, if it is in the same channel."""
        target = quoted(text)
        found = self._staging.conversation_of(target) if target is not None else None
        if target is None or found is None or found[0] != self._conversation:
            return None
        return self._message_id(target, found[1])

    def _files(self, text: str) -> tuple[Attachment | None, list[str]]:
        """Return the file that travels with a message, and what the others are called."""
        attachment, left = None, []
        for label, path in uploads(text):
            found = self._staging.upload(path) if attachment is None else None
            if found is None:
                left.append(label or path)
                continue
            name = (found.name or path.rpartition("/")[2] or label)[-NAME_LIMIT:]
            kind = found.type or mimetypes.guess_type(name)[0] or "application/octet-stream"
            attachment = Attachment(name=name, type=kind, data=found.data)
        return attachment, left

    def _message_id(self, own_id: int, ms: int, number: int = 1) -> str:
        key = self._key(own_id, ms)
        return self._id(key if number == 1 else f"{key}/{number}")

    def _key(self, own_id: int, ms: int) -> str:
        # Two organisations may each have a message 7 in a channel of one name.
        return f"{self._stream}/{own_id}/{ms}" if self._export.source.archive else str(own_id)

    def _id(self, own_id: str) -> str:
        return stable_id(SOURCE, self._export.workspace, self._channel, own_id)
