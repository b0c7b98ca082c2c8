"""ChatRoom: one user's live view of channels, without any UI.

The only way from a user interface to Kafka and MongoDB. Nothing here blocks: work is queued, and
what comes of it is told to observers. A room is no group member and commits nothing, so every room
sees every message.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import msgspec

from chatkit.channels import ChannelInfo, Channels
from chatkit.consumer import ConsumerThread, Gap, read_range
from chatkit.documents import received_message
from chatkit.errors import (
    ChannelNotFoundError,
    InvalidMessageError,
    NotAllowedError,
    ServiceError,
    StoreUnavailableError,
)
from chatkit.message import (
    Delete,
    Edit,
    Event,
    Message,
    Received,
    Unreadable,
    check_channel_name,
    now_ms,
)
from chatkit.producer import ChatProducer, Receipt
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.timeline import Row, Timeline

__all__ = [
    "ChannelReset",
    "ChannelsChanged",
    "ChatRoom",
    "RoomStatus",
    "RowsChanged",
    "StatusChanged",
]

logger = logging.getLogger(__name__)

PAGE = 200
"""Rows to show at first, and to add at a time."""
CLOSE_ENOUGH = 2000
"""Records that the archive may be behind for the room to read them all at once."""
WATCH_SECONDS = 2.0


class RoomStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a room is connected."""

    kafka: str = "Connecting to Kafka"
    """What is wrong with Kafka, as a sentence; empty if nothing is."""
    mongo: str = ""
    """What is wrong with MongoDB, as a sentence; empty if nothing is."""

    @property
    def connected(self) -> bool:
        """Whether messages come and go."""
        return not self.kafka


class RowsChanged(msgspec.Struct, frozen=True):
    """Some rows of a channel are new or changed."""

    channel: str
    """Name of the channel."""
    rows: tuple[Row, ...]
    """The rows as they are now; their place may be another one."""


class ChannelReset(msgspec.Struct, frozen=True):
    """The rows of a channel are void: its topic is another one. New ones follow."""

    channel: str
    """Name of the channel."""


class ChannelsChanged(msgspec.Struct, frozen=True):
    """There are other channels than before."""

    channels: tuple[str, ...]
    """All of them, sorted."""


class StatusChanged(msgspec.Struct, frozen=True):
    """The connection is better or worse than before."""

    status: RoomStatus
    """As it is now."""


Change = RowsChanged | ChannelReset | ChannelsChanged | StatusChanged


class _View:
    """What a room knows of one channel that it shows."""

    def __init__(self, channel: str) -> None:
        self.timeline = Timeline(channel)
        self.info: ChannelInfo | None = None
        # Rows before this key are left to load_older; None: all that there is, is here.
        self.floor: tuple[int, int, int, str] | None = None
        # Offsets that were passed over, as partition -> (first, end).
        self.holes: dict[int, tuple[int, int]] = {}
        self.has_archive = False
        self.joined: Future[None] = Future()


class ChatRoom:
    """A user's live view of any number of channels.

    Methods may be called from any thread and return at once; what takes time gives a Future.
    New, then open, then closed for good. Who makes it closes it.

    Parameters
    ----------
    settings : Settings, optional
        Where Kafka and MongoDB are. Default: ``Settings()``.
    user : str, optional
        Under which name to write. Default: ``settings.user``.
    """

    def __init__(self, settings: Settings | None = None, *, user: str | None = None) -> None:
        self._settings = settings or Settings()
        if user is not None:
            self._settings = self._settings.replace(user=user)
        self.user = self._settings.user
        self._lock = threading.RLock()
        self._observers: list[Callable[[Change], None]] = []
        self._changes: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._views: dict[str, _View] = {}
        self._known: dict[str, ChannelInfo] | None = None
        self._status = RoomStatus()
        self._state = "new"
        self._closing = threading.Event()
        # People wait for an answer: with no broker, show soon what the archive has.
        quick = self._settings.replace(kafka_timeout=min(self._settings.kafka_timeout, 3.0))
        self._channels = Channels(quick)
        self._watched = Channels(quick)
        self._store = MessageStore(self._settings)
        self._producer = ChatProducer(self._settings)
        self._consumer = ConsumerThread(
            self._take, self._settings, on_problem=lambda problem: self._set_status(kafka=problem)
        )
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="chatkit-room")
        self._threads = [
            threading.Thread(target=work, name=f"chatkit-room-{name}", daemon=True)
            for name, work in (("watch", self._watch), ("tell", self._tell_observers))
        ]

    # Opening, closing, observing.

    def open(self) -> Self:
        """Start to connect; returns at once, also with no broker.

        Raises
        ------
        RuntimeError
            The room was closed.
        """
        with self._lock:
            if self._state == "closed":
                raise RuntimeError("This ChatRoom is closed; make a new one")
            if self._state == "new":
                self._state = "open"
                self._producer.open()
                self._consumer.start(timeout=0)
                for thread in self._threads:
                    thread.start()
        return self

    def close(self, timeout: float = 10.0) -> None:
        """Send what is queued, then end every thread and connection; idempotent.

        Parameters
        ----------
        timeout : float, default 10
            Seconds to wait for what is still on its way to Kafka.
        """
        with self._lock:
            before, self._state = self._state, "closed"
        if before != "open":
            return
        self._closing.set()
        self._producer.close(timeout if self.status.connected else min(timeout, 1.0))
        self._consumer.stop()
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._changes.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5.0)
        self._channels.close()
        self._watched.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def observe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call back at each change, one at a time, until told to stop.

        Parameters
        ----------
        callback : callable
            Takes a RowsChanged, ChannelReset, ChannelsChanged or StatusChanged. Runs on a thread
            that only does this, so that it may call the room; must return soon.

        Returns
        -------
        callable
            Ends the observing; takes nothing.
        """
        with self._lock:
            self._observers.append(callback)

        def stop() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._observers.remove(callback)

        return stop

    def _tell_observers(self) -> None:
        while (change := self._changes.get()) is not None:
            with self._lock:
                observers = list(self._observers)
            for callback in observers:
                try:
                    callback(change)
                except Exception:
                    logger.exception("An observer of the room failed")

    @contextlib.contextmanager
    def _changing(self, channel: str) -> Iterator[_View | None]:
        """Hold a channel's view while it changes, then tell which rows did, in order."""
        with self._lock:
            view = self._views.get(channel)
            yield view
            if view is not None and (rows := view.timeline.take_changes()):
                self._changes.put(RowsChanged(channel, tuple(rows)))

    @property
    def status(self) -> RoomStatus:
        """How the room is connected now."""
        with self._lock:
            return self._status

    def _set_status(self, **what: str) -> None:
        with self._lock:
            status = msgspec.structs.replace(self._status, **what)
            if status != self._status:
                self._status = status
                self._changes.put(StatusChanged(status))

    def _submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        if self._state != "open":
            raise RuntimeError(f"This ChatRoom is {self._state}; open() a new one first")
        return self._worker.submit(work, *arguments)

    # Channels.

    def channels(self) -> list[str]:
        """Return the names of the channels that are known by now, sorted."""
        with self._lock:
            return sorted(self._known or ())

    def create_channel(self, channel: str, description: str = "") -> Future[None]:
        """Make a channel.

        Returns
        -------
        concurrent.futures.Future
            Fails with ChannelNameError, ChannelExistsError or BrokerUnavailableError.
        """

        def create() -> None:
            info = self._channels.create(channel, description=description, creator=self.user)
            self._note_channels({**(self._known or {}), channel: info})

        return self._submit(create)

    def join(self, channel: str) -> Future[None]:
        """Begin to show a channel: its newest messages, then what comes.

        With MongoDB away, from Kafka alone; with Kafka away, what the archive has.

        Returns
        -------
        concurrent.futures.Future
            Done when the first rows are told. Fails with ChannelNameError, ChannelNotFoundError,
            or ServiceError if neither Kafka nor MongoDB answered.
        """
        check_channel_name(channel)
        with self._lock:
            known = self._views.get(channel)
            if known is not None:
                return known.joined
            view = self._views[channel] = _View(channel)

            def enter() -> None:
                try:
                    self._enter(channel, view)
                except Exception:
                    with self._lock:
                        if self._views.get(channel) is view:
                            del self._views[channel]
                    raise

            view.joined = self._submit(enter)
            return view.joined

    def leave(self, channel: str) -> None:
        """Show a channel no longer."""
        with self._lock:
            self._views.pop(channel, None)
        self._consumer.unfollow(channel)

    def rows(self, channel: str) -> list[Row]:
        """Return the rows of a channel that are here, oldest first; none if it is not joined."""
        with self._lock:
            view = self._views.get(channel)
            return [] if view is None else view.timeline.rows()

    def has_older(self, channel: str) -> bool:
        """Return whether there is more before, or between, the rows that are here."""
        with self._lock:
            view = self._views.get(channel)
            return view is not None and (view.floor is not None or bool(view.holes))

    def _enter(self, channel: str, view: _View) -> None:
        """Show the newest page, and follow Kafka from exactly where it ends.

        What is archived is known before the page is read, so that nothing falls between the two;
        what is in both is recognised by its id.
        """
        kafka_problem: ServiceError | None = None
        positions: dict[int, int] = {}
        try:
            view.info = self._channels.describe(channel)
        except ServiceError as error:
            kafka_problem = error
        try:
            if view.info is not None:
                positions = self._store.positions(view.info.topic_id)
            self._add_page(channel, view)
            view.has_archive = True
            self._set_status(mongo="")
        except StoreUnavailableError as error:
            self._set_status(mongo=str(error))
            if kafka_problem is not None:
                raise kafka_problem from error
        if view.info is not None:
            self._follow(view, view.info, positions)

    def _follow(self, view: _View, info: ChannelInfo, positions: dict[int, int]) -> None:
        start: dict[int, int] = {}
        for partition, log in self._channels.offsets(info).items():
            archived = positions.get(partition)
            if archived is not None and archived < log.start:
                with self._changing(info.channel):
                    at = view.timeline.newest_ms() or now_ms()
                    view.timeline.add_gap(partition, archived, log.start - 1, at)
            begin = min(max(archived or 0, log.start), log.end)
            if begin < log.end - (CLOSE_ENOUGH if view.has_archive else PAGE):
                recent = log.end - PAGE
                view.holes[partition] = (begin, recent)
                begin = recent
            start[partition] = begin
        self._consumer.follow(info.channel, start)

    def _add_page(self, channel: str, view: _View) -> None:
        """Add the newest archived messages that are not here yet."""
        documents = self._store.page(channel, before=view.floor, limit=PAGE)
        changed = [document["_id"] for document in documents if document["rev"]]
        events = self._store.events_of(channel, changed) if changed else []
        moderators = self._store.moderators(channel)
        with self._changing(channel) as current:
            if current is view:
                view.timeline.moderators = moderators
                for received in events + [received_message(document) for document in documents]:
                    view.timeline.add(received)
                view.floor = None
                if len(documents) == PAGE:
                    first = received_message(documents[0])
                    view.floor = first.placed_ms, first.partition, first.offset, first.item.id

    def load_older(self, channel: str) -> Future[int]:
        """Add older rows: first what was passed over in Kafka, then the page before.

        Returns
        -------
        concurrent.futures.Future
            How many rows were added; 0 if there are no more. Fails with ServiceError.
        """

        def load() -> int:
            with self._lock:
                view = self._views.get(channel)
                holes = {} if view is None else dict(view.holes)
            if view is None:
                return 0
            before = len(view.timeline)
            for partition, (first, end) in holes.items():
                begin = max(first, end - PAGE)
                found = read_range(self._settings, channel, partition, begin, end)
                with self._changing(channel):
                    self._add_items(view, found)
                    if begin > first:
                        view.holes[partition] = (first, begin)
                    else:
                        view.holes.pop(partition, None)
            if not holes and view.floor is not None:
                self._add_page(channel, view)
            return len(view.timeline) - before

        return self._submit(load)

    # What comes from Kafka, on the consumer's thread.

    def _take(self, items: Sequence[Received | Unreadable | Gap]) -> None:
        by_channel: dict[str, list[Received | Unreadable | Gap]] = {}
        for item in items:
            channel = self._settings.channel_of(item.topic)
            if channel is not None:
                by_channel.setdefault(channel, []).append(item)
        for channel, some in by_channel.items():
            with self._changing(channel) as view:
                if view is not None:
                    self._add_items(view, some)

    @staticmethod
    def _add_items(view: _View, items: Sequence[Received | Unreadable | Gap]) -> None:
        for item in items:
            if isinstance(item, Gap):
                if item.last >= item.first:
                    view.timeline.add_gap(item.partition, item.first, item.last, now_ms())
            elif isinstance(item, Unreadable):
                view.timeline.add_unreadable(item)
            elif isinstance(item.item, Message):
                order = (item.placed_ms, item.partition, item.offset, item.item.id)
                # An import's old messages belong between rows that are not here yet.
                if view.floor is None or order > view.floor or item.item.id in view.timeline:
                    view.timeline.add(item)
            else:
                view.timeline.add(item)

    # Writing.

    def send(
        self,
        channel: str,
        body: str,
        *,
        message_id: str | None = None,
        reply_to: str | None = None,
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
        RuntimeError
            The room is not open.
        """
        check_channel_name(channel)
        with self._lock:
            if self._state != "open":
                raise RuntimeError(f"This ChatRoom is {self._state}; open() a new one first")
            if self._known is not None and channel not in self._known:
                raise ChannelNotFoundError(
                    f"There is no channel {channel!r}; make it first with create_channel"
                )
        more: dict[str, Any] = {} if message_id is None else {"id": message_id}
        message = Message.new(channel, self.user, body, reply_to=reply_to, **more)
        self._send(message)
        return message

    def retry(self, channel: str, message_id: str) -> None:
        """Send a failed message once more, under its id, so that it can't be there twice."""
        with self._lock:
            view = self._views.get(channel)
            row = None if view is None else view.timeline.get(message_id)
        if row is None or row.message is None or row.state != "failed":
            raise InvalidMessageError("Only a message that failed can be sent again")
        self._send(row.message)

    def _send(self, message: Message) -> None:
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
                return
            if error is not None:
                view.timeline.mark_failed(message.id, str(error))
                return
            place = receipt.result()
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
            The text is empty or too long, or there is no such message here.
        """
        row = self._own_row(channel, message_id)
        assert row.message is not None
        if row.message.author != self.user:
            raise NotAllowedError(f"Only {row.message.author} can edit this message")
        return self._act(row.message, Edit.new(channel, self.user, message_id, body=body))

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
            There is no such message here.
        """
        row = self._own_row(channel, message_id)
        assert row.message is not None
        with self._lock:
            moderators = self._views[channel].timeline.moderators
        if row.message.author != self.user and self.user not in moderators:
            raise NotAllowedError(
                f"Only {row.message.author} or a moderator of {channel} can delete this message"
            )
        return self._act(row.message, Delete.new(channel, self.user, message_id))

    def _own_row(self, channel: str, message_id: str) -> Row:
        with self._lock:
            view = self._views.get(channel)
            row = None if view is None else view.timeline.get(message_id)
        if row is None or row.message is None or row.folded is None:
            raise InvalidMessageError(
                f"There is no message {message_id!r} in this room's {channel}"
            )
        if row.folded.deleted_ms is not None:
            raise NotAllowedError("This message was deleted")
        return row

    def _act(self, message: Message, event: Event) -> Future[Receipt]:
        return self._producer.send(event, author=message.author)

    # Watching for new channels, other topics under old names, and better times.

    def _watch(self) -> None:
        while not self._closing.is_set():
            try:
                found = self._watched.find()
            except ServiceError as error:
                self._set_status(kafka=str(error))
            else:
                self._set_status(kafka="")
                self._note_channels(found)
                with contextlib.suppress(RuntimeError):  # closed meanwhile
                    self._submit(self._mend, found)
            self._closing.wait(WATCH_SECONDS)

    def _note_channels(self, found: dict[str, ChannelInfo]) -> None:
        with self._lock:
            before, self._known = self._known, found
            if before is None or before.keys() != found.keys():
                self._changes.put(ChannelsChanged(tuple(sorted(found))))

    def _mend(self, found: dict[str, ChannelInfo]) -> None:
        """Bring views up to date that were opened in worse times, or whose topic was replaced."""
        with self._lock:
            views = dict(self._views)
        if self.status.mongo:
            with contextlib.suppress(StoreUnavailableError):
                self._store.ping()
                self._set_status(mongo="")
        for channel, view in views.items():
            info = found.get(channel)
            try:
                if info is not None and (view.info is None or view.info.topic_id != info.topic_id):
                    self._enter(channel, view if view.info is None else self._reset(channel))
                elif not view.has_archive and not self.status.mongo:
                    self._add_page(channel, view)
                    view.has_archive = True
            except (ServiceError, ChannelNotFoundError) as error:
                logger.info("%s can't be shown in full yet: %s", channel, error)

    def _reset(self, channel: str) -> _View:
        """Begin a channel anew, keeping what is not sent yet."""
        with self._lock:
            unsent = [row for row in self.rows(channel) if row.state != "sent"]
            view = self._views[channel] = _View(channel)
            view.joined.set_result(None)
            for row in unsent:
                assert row.message is not None
                view.timeline.add_pending(row.message)
                if row.state == "failed":
                    view.timeline.mark_failed(row.id, row.reason)
            self._changes.put(ChannelReset(channel))
        return view
