"""ChatRoom: what one user sees and does in channels, without any UI.

The only way from a user interface to Kafka and MongoDB. :mod:`chatkit.live` reads; here is what the
user does.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Self

import msgspec

from chatkit.bots import Bots, Command, Function
from chatkit.changes import (
    Change,
    ChannelReset,
    ChannelsChanged,
    ChannelSummary,
    OverviewChanged,
    PeopleChanged,
    ProblemRaised,
    RoomStatus,
    RowsChanged,
    StatusChanged,
)
from chatkit.channels import PartitionOffsets
from chatkit.consumer import read_range
from chatkit.documents import received_message
from chatkit.errors import (
    ChannelNotFoundError,
    InputError,
    InvalidMessageError,
    NotAllowedError,
    StoreUnavailableError,
)
from chatkit.futures import mapped
from chatkit.lens import Lens, LensReader, Place
from chatkit.live import LiveRoom, shown
from chatkit.message import (
    Attachment,
    ChannelRecord,
    Delete,
    Edit,
    Event,
    Message,
    Pin,
    React,
    Received,
    Unpin,
    Unreact,
    check,
    check_channel_name,
    now_ms,
)
from chatkit.overview import direct_channel
from chatkit.presence import Person, Presence
from chatkit.producer import Receipt
from chatkit.query import Query, parse
from chatkit.settings import Settings
from chatkit.share import Shared, to_attachment
from chatkit.timeline import Row, Timeline

__all__ = [
    "Change",
    "ChannelReset",
    "ChannelSummary",
    "ChannelsChanged",
    "ChatRoom",
    "OverviewChanged",
    "PeopleChanged",
    "ProblemRaised",
    "RoomMessage",
    "RoomStatus",
    "RowsChanged",
    "StatusChanged",
    "TopicFacts",
]

logger = logging.getLogger(__name__)

KEPT_BYTES = 32 * 1024 * 1024
"""Attachments that a room keeps once they were asked for."""
THREAD = 500
"""Messages of a thread that are shown."""


class TopicFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What Kafka knows of a channel's topic."""

    topic: str
    """Its name."""
    topic_id: str
    """Kafka's id of it."""
    replicas: int
    """How many brokers hold each partition."""
    offsets: dict[int, PartitionOffsets]
    """Partition -> where its log begins and ends."""


class RoomMessage:
    """A message, and what was shared with it.

    Parameters
    ----------
    row : Row
        The message with its events.
    load : callable
        Returns its attachment with the bytes.
    """

    def __init__(self, row: Row, load: Callable[[Row], Attachment]) -> None:
        assert row.message is not None
        assert row.folded is not None
        self.row = row
        """The row, with all that is known of the message."""
        self.author = row.message.author
        """Who says to have written it."""
        self.body = row.folded.body
        """Its text now."""
        self.sent_at = row.message.sent_at
        """The sender's time, aware, UTC."""
        self._load = load

    def __repr__(self) -> str:
        return f"RoomMessage(id={self.row.id!r}, author={self.author!r}, body={self.body[:60]!r})"

    @property
    def shared(self) -> Shared:
        """What was shared with it; its bytes are checked against their SHA-256.

        Raises
        ------
        InputError
            Nothing was, or it is not what it claims to be.
        ServiceError
            Neither MongoDB nor Kafka gave it.
        """
        attachment = None if self.row.message is None else self.row.message.attachment
        if attachment is None:
            raise InputError(f"Nothing was shared with message {self.row.id!r}, it is text only")
        return Shared(self._load(self.row), sha256=attachment.sha256 or None)

    def to_frame(self) -> Any:
        """Return the shared table as a pandas DataFrame; raises as `shared` does."""
        return self.shared.to_frame()

    def to_figure(self) -> Any:
        """Return the shared figure as a plotly Figure; raises as `shared` does."""
        return self.shared.to_figure()

    def to_image(self) -> Shared:
        """Return the shared picture, which a notebook shows; raises as `shared` does."""
        return self.shared.to_image()

    def to_source(self) -> str:
        """Return the shared code; raises as `shared` does."""
        return self.shared.to_source()


class ChatRoom(LiveRoom):
    """One user's room: live views of any number of channels, and all that one can do in them.

    Methods may be called from any thread and return at once, or say how long they may take; what
    takes time gives a Future. New, then open, then closed for good. Who makes it closes it.

    Parameters
    ----------
    settings : Settings, optional
        Where Kafka and MongoDB are. Default: ``Settings()``.
    user : str, optional
        Under which name to write. Default: ``settings.user``.
    """

    def __init__(self, settings: Settings | None = None, *, user: str | None = None) -> None:
        super().__init__(settings, user=user)
        self._presence = Presence(
            self._settings,
            user=self.user,
            send=self._producer.send,
            on_change=lambda: self._changes.put(PeopleChanged(self.people())),
        )
        self._bots = Bots(
            lambda message, text: self._reply_as_bot(message, text),
            lambda problem: self._changes.put(ProblemRaised(problem)),
        )
        self._lens = LensReader(self._quick, self._store)
        self._kept: OrderedDict[str, Attachment] = OrderedDict()

    def open(self) -> Self:
        """Start to connect; returns at once, also with no broker.

        Raises
        ------
        RuntimeError
            The room was closed.
        """
        super().open()
        self._presence.open()
        return self

    def close(self, timeout: float = 3.0) -> None:
        """Send what is queued, then end every thread and connection; idempotent.

        What Kafka does not acknowledge in time is told as failed, with its text.

        Parameters
        ----------
        timeout : float, default 3
            Seconds that it may take. A thread that waits for a server that hangs ends by itself,
            soon after.
        """
        self._bots.close(min(timeout, 1.0))
        self._presence.close()
        if self._state == "open":
            self._worker.submit(self._lens.close)
        super().close(timeout)

    def _hear(self, channel: str, news: Sequence[Received]) -> None:
        for received in news:
            if isinstance(received.item, Message):
                self._presence.stopped_typing(received.item.author, channel)
                self._bots.hear(received.item)

    # People.

    def people(self) -> tuple[Person, ...]:
        """Return of whom is known that they are here, away or just left, sorted by name."""
        return self._presence.people()

    def typing(self, channel: str | None) -> None:
        """Let the others see that the user is writing in a channel; None: no longer."""
        self._presence.typing(channel)

    def set_away(self, away: bool) -> None:
        """Let the others see whether the user is at the keyboard."""
        self._presence.set_away(away)

    def direct(self, name: str) -> Future[str]:
        """Make the direct channel with somebody, unless it is there.

        It is not private: whoever may read Kafka can read it.

        Parameters
        ----------
        name : str
            The other one, as messages name them.

        Returns
        -------
        concurrent.futures.Future
            Resolves to the channel's name. Fails as `create_channel` does.

        Raises
        ------
        InvalidMessageError
            Nobody can have this name, or it is the user's own.
        """
        if name == self.user:
            raise InvalidMessageError("A direct message needs somebody else: that is your own name")
        check(Message.new("general", name, "-"))
        channel = direct_channel(self.user, name)

        def make() -> str:
            both = tuple(sorted((self.user, name)))
            info = self._channels.create(channel, creator=self.user, moderators=both, exist_ok=True)
            self._note_record(ChannelRecord(channel=channel, creator=self.user, moderators=both))
            self._note_channel(info)
            return channel

        return self._submit(make)

    # Looking after a channel.

    def describe(self, channel: str) -> Future[TopicFacts]:
        """Return what Kafka knows of a channel's topic; fails with ServiceError."""

        def ask() -> TopicFacts:
            info = self._channels.describe(channel)
            offsets = self._channels.offsets(info)
            return TopicFacts(
                topic=info.topic, topic_id=info.topic_id, replicas=info.replicas, offsets=offsets
            )

        return self._submit(ask)

    def change_channel(self, channel: str, **changes: Any) -> Future[None]:
        """Rename a channel, describe it, close it to new messages, or name its moderators.

        Parameters
        ----------
        channel : str
            Name of the channel.
        **changes
            ``display_name`` : str, ``description`` : str, ``archived`` : bool, ``moderators`` :
            sequence of str.

        Returns
        -------
        concurrent.futures.Future
            Done when Kafka has it. Fails with NotAllowedError if it is somebody else's channel, or
            ServiceError.
        """
        check_channel_name(channel)

        def change() -> None:
            with self._lock:
                known = self._overview.facts.records.get(channel)
            found = [known, self._store.channel_records().get(channel)]
            # The newer one: what the user said last may not be archived yet.
            record = max(
                (one for one in found if one is not None),
                key=lambda one: one.at_ms,
                default=ChannelRecord(channel=channel),
            )
            owner = record.creator or self.user
            if owner != self.user:
                raise NotAllowedError(f"Only {owner}, who made #{channel}, can change it")
            moderators = changes.pop("moderators", record.moderators)
            # Who made it always moderates it.
            named = dict.fromkeys([owner, *moderators])
            new = msgspec.structs.replace(
                record, creator=owner, moderators=tuple(named), at_ms=now_ms(), **changes
            )
            self._channels.publish(new)
            self._note_record(new)

        return self._submit(change)

    # Writing.

    def send(
        self,
        channel: str,
        body: str,
        *,
        message_id: str | None = None,
        reply_to: str | None = None,
        attachment: Attachment | None = None,
        bot: bool = False,
    ) -> Message:
        """Send a message; returns at once, and the row tells what becomes of it.

        Parameters
        ----------
        channel : str
            Name of the channel.
        body : str
            The text, up to 16 KiB of UTF-8.
        message_id : str, optional
            Id to use, from one who shows the row already. Default: a new one.
        reply_to : str, optional
            Id of the message that this one answers.
        attachment : Attachment, optional
            A file that goes with it.
        bot : bool, default False
            Whether a program says it.

        Returns
        -------
        Message
            What was queued.

        Raises
        ------
        InvalidMessageError
            The text is empty, too long or no Unicode; nothing was sent.
        ChannelNameError, ChannelNotFoundError
            There is no such channel; nothing was sent.
        NotAllowedError
            The channel is closed to new messages; nothing was sent.
        RuntimeError
            The room is not open.
        """
        check_channel_name(channel)
        more: dict[str, Any] = {} if message_id is None else {"id": message_id}
        with self._lock:
            self._check_open()
            if self._known is not None and channel not in self._known:
                raise ChannelNotFoundError(
                    f"There is no channel {channel!r}; make it first with create_channel"
                )
            record = self._overview.facts.records.get(channel)
            if record is not None and record.archived:
                raise NotAllowedError(
                    f"#{channel} is closed to new messages; {record.creator} can open it again"
                )
            message = Message.new(
                channel,
                self.user,
                body,
                reply_to=reply_to,
                attachment=attachment,
                bot=bot,
                **more,
            )
            self._send(message)
        return message

    def say(self, body: str, channel: str = "general", *, reply_to: str | None = None) -> Message:
        """Send a message as a program: it is marked as such, and bots don't answer it.

        Parameters
        ----------
        body : str
            The text.
        channel : str, default "general"
            Where.
        reply_to : str, optional
            Id of the message that this one answers.

        Returns
        -------
        Message
            What was queued. Raises as `send` does.
        """
        return self.send(channel, body, reply_to=reply_to, bot=True)

    def share(
        self,
        thing: Any,
        channel: str = "general",
        *,
        body: str = "",
        name: str | None = None,
        reply_to: str | None = None,
    ) -> Message:
        """Send a table, a figure, a picture, code or a file, for others to work with.

        Parameters
        ----------
        thing : DataFrame, Series, figure, picture, Source or Path
            What `chatkit.share.to_attachment` takes, up to 4 MiB.
        channel : str, default "general"
            Where.
        body : str, default ""
            What to say about it.
        name : str, optional
            File name to show. Default: one that fits.
        reply_to : str, optional
            Id of the message that this one answers.

        Returns
        -------
        Message
            What was queued; ``room.message(message.id)`` gives the thing back, to everybody.

        Raises
        ------
        InputError
            It can't be shared, or is too large; the text says what to do. Else as `send`.
        """
        return self.send(
            channel, body, attachment=to_attachment(thing, name=name), reply_to=reply_to
        )

    def retry(self, channel: str, message_id: str) -> None:
        """Send a failed message once more, under its id, so that it can't be there twice.

        Raises
        ------
        InvalidMessageError
            There is no such message here, or it did not fail.
        RuntimeError
            The room is not open.
        """
        with self._lock:
            self._check_open()
            view = self._views.get(channel)
            row = None if view is None else view.timeline.get(message_id)
            if row is None or row.message is None or row.state != "failed":
                raise InvalidMessageError("Only a message that failed can be sent again")
            self._send(row.message)

    def _send(self, message: Message) -> None:
        """Queue a message and show its row; the caller holds the lock, so that both are one."""
        receipt = self._producer.send(message)
        with self._changing(message.channel) as view:
            if view is not None:
                view.timeline.add_pending(message)
        receipt.add_done_callback(lambda done: self._settle(message, done))

    def _settle(self, message: Message, receipt: Future[Receipt]) -> None:
        if receipt.cancelled():
            return
        error = receipt.exception()
        with self._changing(message.channel) as view:
            if view is None:
                if error is not None:
                    logger.warning("A message to %s was not sent: %s", message.channel, error)
                return
            if error is not None:
                view.timeline.mark_failed(message.id, str(error))
                return
            place = receipt.result()
            # Kafka does not tell the place of what it had from an earlier attempt: reading does.
            if place.offset >= 0:
                view.timeline.add(
                    Received(
                        topic=place.topic,
                        partition=place.partition,
                        offset=place.offset,
                        appended_ms=place.appended_ms,
                        item=message,
                    )
                )

    def edit(self, channel: str, message_id: str, body: str) -> Future[Receipt]:
        """Give an own message another text.

        Returns
        -------
        concurrent.futures.Future
            Resolves when Kafka has acknowledged it; fails with SendError.

        Raises
        ------
        NotAllowedError
            Somebody else wrote it, or it was deleted.
        InvalidMessageError
            The text is empty or too long, or there is no such message here, or it was not sent.
        RuntimeError
            The room is not open.
        """
        message, _ = self._message(channel, message_id)
        if message.author != self.user:
            raise NotAllowedError(f"Only {message.author} can edit this message")
        return self._act(message, Edit.new(channel, self.user, message_id, body=body))

    def delete(self, channel: str, message_id: str) -> Future[Receipt]:
        """Take an own message away for good, or as a moderator anybody's.

        Kafka still holds the record; the archive and every room show only that there was one.

        Returns
        -------
        concurrent.futures.Future
            Resolves when Kafka has acknowledged it; fails with SendError.

        Raises
        ------
        NotAllowedError
            It is another's, and this user does not moderate the channel.
        InvalidMessageError
            There is no such message here, or it was not sent.
        RuntimeError
            The room is not open.
        """
        message, moderators = self._message(channel, message_id)
        if message.author != self.user and self.user not in moderators:
            raise NotAllowedError(
                f"Only {message.author} or a moderator of {channel} can delete this message"
            )
        return self._act(message, Delete.new(channel, self.user, message_id))

    def _message(self, channel: str, message_id: str) -> tuple[Message, Collection[str]]:
        """Return a message that something can be done to, and the channel's moderators."""
        with self._lock:
            self._check_open()
            view = self._views.get(channel)
            row = None if view is None else view.timeline.get(message_id)
        if view is None or row is None or row.message is None or row.folded is None:
            raise InvalidMessageError(
                f"There is no message {message_id!r} in this room's {channel}"
            )
        if row.state == "failed":
            raise InvalidMessageError("This message was not sent: try that again first")
        if row.folded.deleted_ms is not None:
            raise NotAllowedError("This message was deleted")
        return row.message, view.timeline.moderators

    def _act(self, message: Message, event: Event) -> Future[Receipt]:
        return self._producer.send(event, author=message.author)

    def react(self, channel: str, message_id: str, emoji: str) -> Future[Receipt]:
        """Put an emoji under a message; raises and resolves as `edit` does."""
        message, _ = self._message(channel, message_id)
        return self._act(message, React.new(channel, self.user, message_id, emoji=emoji))

    def unreact(self, channel: str, message_id: str, emoji: str) -> Future[Receipt]:
        """Take an own emoji back; raises and resolves as `edit` does."""
        message, _ = self._message(channel, message_id)
        return self._act(message, Unreact.new(channel, self.user, message_id, emoji=emoji))

    def pin(self, channel: str, message_id: str, pinned: bool = True) -> Future[Receipt]:
        """Pin a message for everybody, or unpin it; raises and resolves as `edit` does."""
        message, _ = self._message(channel, message_id)
        kind = Pin if pinned else Unpin
        return self._act(message, kind.new(channel, self.user, message_id))

    # Looking closer.

    def search(
        self, query: Query | str, *, channel: str | None = None, limit: int = 50, zone: str = "UTC"
    ) -> list[Row]:
        """Return the newest messages that fit a query; takes as long as MongoDB does.

        Parameters
        ----------
        query : Query or str
            In the language of `chatkit.query`.
        channel : str, optional
            Only in this one, whatever the query says. Default: in all.
        limit : int, default 50
            At most this many.
        zone : str, default "UTC"
            Time zone of the query's dates.

        Returns
        -------
        list of Row
            Newest first; ``history.frame(rows)`` makes a DataFrame of them.

        Raises
        ------
        QueryError
            It can't be parsed; the text points at the place.
        StoreUnavailableError
            MongoDB did not answer in time.
        """
        parsed = parse(query) if isinstance(query, str) else query
        if channel is not None:
            parsed = parsed.within(channel)
        documents = self._store.search(parsed, me=self.user, zone=zone, limit=limit)
        found = {row.id: row for row in self._fold(documents)}
        with self._lock:
            # What is not archived yet, or as it is shown now.
            for view in self._views.values():
                for row in view.timeline.rows():
                    if row.message is None or row.folded is None or row.state != "sent":
                        continue
                    fits = parsed.matches(
                        row.message, row.folded, row.placed_ms, me=self.user, zone=zone
                    )
                    if fits:
                        found[row.id] = shown(row)
                    else:
                        found.pop(row.id, None)
        return sorted(found.values(), key=lambda row: row.order, reverse=True)[:limit]

    def find(self, query: Query | str, **more: Any) -> Future[list[Row]]:
        """Search without waiting; takes what `search` takes, and fails as it raises.

        Raises
        ------
        QueryError
            It can't be parsed.
        """
        parsed = parse(query) if isinstance(query, str) else query
        return self._submit(lambda: self.search(parsed, **more))

    def thread(self, channel: str, message_id: str) -> Future[list[Row]]:
        """Return a message, what it answers, and all that answers either.

        Returns
        -------
        concurrent.futures.Future
            Resolves to rows, oldest first, at most 500; those here already where MongoDB is away.
        """

        def find() -> list[Row]:
            rows = {row.id: row for row in self.rows(channel) if row.message is not None}
            root = message_id
            seen = set()
            while root not in seen:
                seen.add(root)
                if root not in rows and not self.status.mongo:
                    document = self._store.get(channel, root)
                    rows.update((row.id, row) for row in self._fold([document] if document else []))
                row = rows.get(root)
                above = None if row is None or row.message is None else row.message.reply_to
                if above is None:
                    break
                root = above
            found, level = {root: rows[root]} if root in rows else {}, {root}
            while level and len(found) < THREAD:
                if not self.status.mongo:
                    documents = self._store.replies(channel, level)
                    rows.update(
                        (row.id, row) for row in self._fold(documents) if row.id not in rows
                    )
                answers = {
                    row.id: row
                    for row in rows.values()
                    if row.message is not None and row.message.reply_to in level
                }
                level = answers.keys() - found.keys()
                found.update(answers)
            return sorted(found.values(), key=lambda row: row.order)[:THREAD]

        return self._submit(find)

    def pinned(self, channel: str) -> Future[list[Row]]:
        """Return a channel's pinned messages, last pinned first; resolves as `thread` does."""

        def find() -> list[Row]:
            found = {}
            if not self.status.mongo:
                found = {row.id: row for row in self._fold(self._store.pinned(channel))}
            found.update((row.id, row) for row in self.rows(channel) if row.message is not None)
            pinned = [row for row in found.values() if row.folded and row.folded.pinned_ms]
            return sorted(pinned, key=lambda row: -((row.folded and row.folded.pinned_ms) or 0))

        return self._submit(find)

    def edits(self, channel: str, message_id: str) -> list[tuple[int, str]]:
        """Return every text that a message had, oldest first, with since when, ms since 1970."""
        with self._lock:
            view = self._views.get(channel)
            row = None if view is None else view.timeline.get(message_id)
            if view is None or row is None or row.message is None or row.folded is None:
                return []
            if row.folded.deleted_ms is not None:
                return []
            edits = view.timeline.edits(message_id)
            first = (row.placed_ms, row.message.body)
            return [
                first,
                *((one.appended_ms, one.item.body) for one in edits if isinstance(one.item, Edit)),
            ]

    def _fold(self, documents: Iterable[Mapping[str, Any]]) -> list[Row]:
        """Return archived messages with their events applied."""
        by_channel: dict[str, list[Mapping[str, Any]]] = {}
        for document in documents:
            by_channel.setdefault(document["channel"], []).append(document)
        rows: list[Row] = []
        for channel, some in by_channel.items():
            timeline = Timeline(channel)
            timeline.moderators = self._store.moderators(channel)
            changed = [document["_id"] for document in some if document["rev"]]
            for event in self._store.events_of(channel, changed) if changed else []:
                timeline.add(event)
            for document in some:
                timeline.add(received_message(document))
            rows += map(shown, timeline.rows())
        return rows

    def message(self, message_id: str, channel: str | None = None) -> RoomMessage:
        """Return a message of any channel, and with it what was shared; takes as long as MongoDB.

        Parameters
        ----------
        message_id : str
            Its id.
        channel : str, optional
            Where it is, if known. Default: looked for everywhere.

        Raises
        ------
        InvalidMessageError
            There is none of that id.
        StoreUnavailableError
            It is not shown in this room, and MongoDB did not answer in time.
        """
        with self._lock:
            for view in self._views.values():
                row = view.timeline.get(message_id)
                if row is not None and row.message is not None:
                    return RoomMessage(shown(row), self._attachment)
        document = self._store.get(channel, message_id)
        if document is None:
            raise InvalidMessageError(f"There is no message {message_id!r}")
        (row,) = self._fold([document])
        return RoomMessage(row, self._attachment)

    def look_up(self, channel: str, message_ids: Iterable[str]) -> Future[dict[str, Row]]:
        """Return messages of a channel by id, wherever they are; fails with StoreUnavailableError.

        Those that are nowhere are left out.
        """

        def find() -> dict[str, Row]:
            found = {}
            for message_id in message_ids:
                row = self.row(channel, message_id)
                if row is None:
                    document = self._store.get(channel, message_id)
                    row = next(iter(self._fold([document])), None) if document else None
                if row is not None:
                    found[message_id] = row
            return found

        return self._submit(find)

    def attachment(self, channel: str, message_id: str) -> Future[Attachment]:
        """Return what was shared with a message, with its bytes.

        Returns
        -------
        concurrent.futures.Future
            Fails as `message` and `RoomMessage.shared` raise.
        """

        def load() -> Attachment:
            shared = self.message(message_id, channel).shared
            return Attachment(name=shared.name, type=shared.type, data=shared.to_bytes())

        return self._submit(load)

    def _attachment(self, row: Row) -> Attachment:
        """Return a row's attachment with its bytes: from here, from MongoDB, else from Kafka."""
        assert row.message is not None
        assert row.message.attachment is not None
        attachment = row.message.attachment
        if attachment.data:
            return attachment
        with self._lock:
            kept = self._kept.get(row.id)
        if kept is not None:
            return kept
        data = None
        try:
            if attachment.sha256 and not self.status.mongo:
                data = self._store.attachment(attachment.sha256)
        except StoreUnavailableError as error:
            logger.info("MongoDB did not give an attachment: %s", error)
        if data is None:
            data = self._read_attachment(row)
        found = Attachment(name=attachment.name, type=attachment.type, data=data)
        with self._lock:
            self._kept[row.id] = found
            while sum(len(one.data) for one in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return found

    def _read_attachment(self, row: Row) -> bytes:
        if row.offset >= 0:
            items = read_range(self._quick, row.channel, row.partition, row.offset, row.offset + 1)
            for item in items:
                if isinstance(item, Received) and isinstance(item.item, Message):
                    attachment = item.item.attachment
                    if item.item.id == row.id and attachment is not None:
                        return attachment.data
        raise InputError(f"What was shared with message {row.id!r} is no longer there")

    def lens(self, channel: str, row_ids: Iterable[str]) -> Future[dict[str, Lens]]:
        """Return what Kafka and MongoDB hold of some rows, by row id.

        Returns
        -------
        concurrent.futures.Future
            Rows that have no place in Kafka yet are left out. Fails with ServiceError.
        """
        with self._lock:
            view = self._views.get(channel)
            rows = [] if view is None else [view.timeline.get(row_id) for row_id in row_ids]
            places = {
                row.id: Place(channel, row.partition, row.offset)
                for row in rows
                if row is not None and row.offset >= 0
            }
        return self._submit(self._lens.look, places)

    # Bots.

    def on_message(
        self, pattern: str | re.Pattern[str] | None = None, *, channel: str | None = None
    ) -> Callable[[Function], Function]:
        """Return a decorator: its function is called with each new message that fits.

        What the function returns, if anything, is said in answer. It is called for channels that
        the room has joined, never for what bots said, one message at a time, on a thread that only
        does this. What it raises is shown in the panel and stops nothing.

        Parameters
        ----------
        pattern : str or re.Pattern, optional
            A regular expression that is searched for in the text. Default: every message. A
            function of two parameters also gets the match.
        channel : str, optional
            Only there. Default: everywhere.

        Raises
        ------
        InputError
            The pattern is no regular expression.
        """
        return self._bots.on_message(pattern, channel)

    def command(self, name: str) -> Callable[[Function], Function]:
        """Return a decorator: its function is called when the user of this room writes ``/name``.

        The function takes the text behind the word; what it returns, if anything, is said in the
        channel.

        Parameters
        ----------
        name : str
            The word: a-z, digits, ``-`` and ``_``.

        Raises
        ------
        InputError
            No command can have this name.
        """
        return self._bots.command(name)

    def forget(self, function: Callable[..., Any]) -> None:
        """Call a bot's or a command's function no longer."""
        self._bots.forget(function)

    def commands(self) -> tuple[Command, ...]:
        """Return the commands that were made with `command`, sorted by name."""
        return tuple(sorted(self._bots.commands.values(), key=lambda command: command.name))

    def run_command(self, channel: str, command: Command, text: str) -> Future[str]:
        """Run a command, and say in a channel what it returns.

        Returns
        -------
        concurrent.futures.Future
            Resolves to what was said; fails with what the command raised.
        """

        def say(said: str) -> str:
            if said:
                self.say(said, channel)
            return said

        return mapped(self._bots.run(command, text), say)

    def _reply_as_bot(self, message: Message, text: str) -> None:
        self.say(text, message.channel, reply_to=message.id)
