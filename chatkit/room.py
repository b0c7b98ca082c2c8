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
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import msgspec

from chatkit.channels import ChannelInfo, Channels, PartitionOffsets
from chatkit.consumer import ConsumerThread, Item, read_range
from chatkit.documents import received_message
from chatkit.errors import (
    BrokerRefusedError,
    ChannelNotFoundError,
    ChatkitError,
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
    check_channel_name,
)
from chatkit.producer import ChatProducer, Receipt
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.timeline import Row
from chatkit.view import PAGE, ChannelView

__all__ = [
    "ChannelReset",
    "ChannelsChanged",
    "ChatRoom",
    "RoomStatus",
    "RowsChanged",
    "StatusChanged",
]

logger = logging.getLogger(__name__)

WATCH_SECONDS = 2.0
CONNECTING = "Connecting to Kafka"
QUICK_SECONDS = 3.0
"""How long to wait for a server where people wait for an answer."""


class RoomStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a room is connected."""

    kafka: str = CONNECTING
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
    """The rows as they are now; their place may be another one. None: only has_older changed."""


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
        self._views: dict[str, ChannelView] = {}
        self._known: dict[str, ChannelInfo] | None = None
        self._status = RoomStatus()
        self._state = "new"
        self._closing = threading.Event()
        # What is wrong with Kafka, by who found out.
        self._troubles = {"watch": self._status.kafka, "reader": ""}
        self._mending = False
        # Made by this room, and perhaps not yet in what the watch thread asked for.
        self._created: dict[str, ChannelInfo] = {}
        # People wait for an answer: with a server away, show soon what the other has.
        self._quick = self._settings.replace(
            kafka_timeout=min(self._settings.kafka_timeout, QUICK_SECONDS),
            mongo_timeout=min(self._settings.mongo_timeout, QUICK_SECONDS),
        )
        self._channels = Channels(self._quick)
        self._watched = Channels(self._quick)
        self._store = MessageStore(self._quick)
        self._producer = ChatProducer(self._settings)
        self._consumer = ConsumerThread(
            self._take, self._settings, on_problem=lambda problem: self._note("reader", problem)
        )
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="chatkit-room")
        self._threads = [
            threading.Thread(target=work, name=f"chatkit-room-{name}", daemon=True)
            for name, work in (
                ("kafka", self._watch_kafka),
                ("mongo", self._watch_mongo),
                ("tell", self._tell_observers),
            )
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

    def close(self, timeout: float = 3.0) -> None:
        """Send what is queued, then end every thread and connection; idempotent.

        What Kafka does not acknowledge in time is told as failed, with its text.

        Parameters
        ----------
        timeout : float, default 3
            Seconds that it may take. A thread that waits for a server that hangs ends by itself,
            soon after.
        """
        with self._lock:
            before, self._state = self._state, "closed"
        if before != "open":
            if before == "new":
                self._store.close()
            return
        end = time.monotonic() + timeout
        self._closing.set()
        self._consumer.stop(0)
        # Each connection is closed by a thread that uses it, and may be waiting for the server.
        self._worker.submit(self._channels.close)
        self._worker.shutdown(wait=False)
        with self._lock:
            away = self._troubles["watch"] not in ("", CONNECTING)
        self._producer.close(min(timeout, 1.0) if away else max(0.0, timeout - 1.0))
        self._changes.put(None)
        self._consumer.stop(max(0.0, end - time.monotonic()))
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

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
    def _changing(
        self, channel: str, only: ChannelView | None = None
    ) -> Iterator[ChannelView | None]:
        """Hold a channel's view while it changes, then tell which rows did, in order.

        Gives None if the channel is not shown, or no longer by the view ``only``.
        """
        with self._lock:
            view = self._views.get(channel)
            if view is None or (only is not None and view is not only):
                yield None
                return
            had_older = view.has_older
            yield view
            rows = view.timeline.take_changes()
            if rows or view.has_older != had_older:
                self._changes.put(RowsChanged(channel, tuple(map(_shown, rows))))

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

    def _note(self, source: str, problem: str) -> None:
        """Note what one of those who talk to Kafka finds wrong with it; "" if nothing."""
        with self._lock:
            self._troubles[source] = problem
            self._set_status(kafka=next(filter(None, self._troubles.values()), ""))

    def _check_open(self) -> None:
        if self._state != "open":
            advice = "open() it first" if self._state == "new" else "make a new one"
            raise RuntimeError(f"This ChatRoom is {self._state}: {advice}")

    def _submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Let the worker do something, after all that it was told before."""

        def run() -> Any:
            if self._closing.is_set():
                raise RuntimeError("This ChatRoom was closed before it came to that")
            return work(*arguments)

        with self._lock:
            self._check_open()
            return self._worker.submit(run)

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
            self._note_channel(
                self._channels.create(channel, description=description, creator=self.user)
            )

        return self._submit(create)

    def join(self, channel: str) -> Future[None]:
        """Begin to show a channel: its newest messages, then what comes.

        With MongoDB away, from Kafka alone; with Kafka away, what the archive has.

        Returns
        -------
        concurrent.futures.Future
            Done when what the archive has is told, and Kafka is followed. Fails with
            ChannelNameError, ChannelNotFoundError, BrokerRefusedError if Kafka does not let us read
            it, or ServiceError if neither Kafka nor MongoDB answered.
        """
        check_channel_name(channel)
        with self._lock:
            self._check_open()
            known = self._views.get(channel)
            if known is not None:
                return known.joined
            view = self._views[channel] = ChannelView(channel)

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
            if self._views.pop(channel, None) is not None:
                self._consumer.unfollow(channel)

    def rows(self, channel: str) -> list[Row]:
        """Return the rows of a channel that are here, oldest first; none if it is not joined."""
        with self._lock:
            view = self._views.get(channel)
            return [] if view is None else list(map(_shown, view.timeline.rows()))

    def has_older(self, channel: str) -> bool:
        """Return whether there is more before, or between, the rows that are here."""
        with self._lock:
            view = self._views.get(channel)
            return view is not None and view.has_older

    def _enter(self, channel: str, view: ChannelView) -> None:
        """Show the newest page, and follow Kafka from exactly where it ends; or what is missing.

        What is archived is known before the page is read, so that nothing falls between the two;
        what is in both is recognised by its id.
        """
        info, offsets = view.info, {}
        kafka_problem: ServiceError | None = None
        if info is None:
            try:
                info = self._channels.describe(channel, to_read=True)
                offsets = self._channels.offsets(info)
                self._note_channel(info)
            except ServiceError as error:
                if isinstance(error, BrokerRefusedError) and self.status.connected:
                    raise  # this channel is not for us, and the status would not say so
                info, kafka_problem = None, error
        archived: dict[int, int] = {}
        try:
            # One who knows that MongoDB is away does not make people wait for it.
            if self.status.mongo:
                raise StoreUnavailableError(self.status.mongo)
            if info is not None:
                archived = self._store.positions(info.topic_id)
            self._add_page(channel, view, before=None)
            view.has_archive = True
        except StoreUnavailableError as error:
            self._set_status(mongo=str(error))
            archived, view.has_archive = {}, False
            if kafka_problem is not None:
                raise kafka_problem from error
        if info is not None:
            self._follow(view, info, offsets, archived)

    def _follow(
        self,
        view: ChannelView,
        info: ChannelInfo,
        offsets: dict[int, PartitionOffsets],
        archived: dict[int, int],
    ) -> None:
        """Follow a topic from where its archive ends, or pass over what that already has."""
        with self._changing(info.channel, view) as current:
            if current is None:
                return
            if view.info is not None:
                view.shrink_holes(archived)
                return
            start = view.start_after(offsets, archived)
            view.info = info
            self._consumer.follow(info.channel, start)

    def _add_page(
        self, channel: str, view: ChannelView, before: tuple[int, int, int, str] | None
    ) -> int:
        """Add the newest archived messages before a key; return how many were not here yet."""
        # Read before the page, so that what is archived meanwhile is not passed over.
        archived = self._store.positions(view.info.topic_id) if view.info else {}
        documents = self._store.page(channel, before=before, limit=PAGE)
        changed = [document["_id"] for document in documents if document["rev"]]
        events = self._store.events_of(channel, changed) if changed else []
        moderators = self._store.moderators(channel)
        with self._changing(channel, view) as current:
            if current is None:
                return 0
            view.set_moderators(moderators)
            return view.add_page(list(map(received_message, documents)), events, archived)

    def load_older(self, channel: str) -> Future[int]:
        """Add older rows: first what was passed over in Kafka, then the page before.

        Returns
        -------
        concurrent.futures.Future
            How many rows were added; 0 if there are no more. Fails with ServiceError.
        """

        def load() -> int:
            added, records = 0, PAGE
            while not added and not self._closing.is_set():
                with self._lock:
                    view = self._views.get(channel)
                    if view is None or not view.has_older:
                        break
                    holes, floor = dict(view.holes), view.floor
                if holes:
                    added = self._fill(channel, view, holes, records)
                    records *= 4  # nothing of interest there: take longer steps
                else:
                    added = self._add_page(channel, view, before=floor)
            return added

        return self._submit(load)

    def _fill(
        self, channel: str, view: ChannelView, holes: dict[int, tuple[int, int]], records: int
    ) -> int:
        """Add the last records of each hole; return how many rows that gave."""
        added = 0
        for partition, (first, end) in holes.items():
            begin = max(first, end - records)
            found = read_range(self._quick, channel, partition, begin, end, stop=self._closing)
            with self._changing(channel, view) as current:
                if current is None:
                    break
                view.set_hole(partition, first, begin)
                added += view.add_items(found)
        return added

    # What comes from Kafka, on the consumer's thread.

    def _take(self, items: Sequence[Item]) -> None:
        by_channel: dict[str, list[Item]] = {}
        for item in items:
            channel = self._settings.channel_of(item.topic)
            if channel is not None:
                by_channel.setdefault(channel, []).append(item)
        for channel, some in by_channel.items():
            with self._changing(channel) as view:
                if view is not None:
                    view.add_items(some)

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
        more: dict[str, Any] = {} if message_id is None else {"id": message_id}
        with self._lock:
            self._check_open()
            if self._known is not None and channel not in self._known:
                raise ChannelNotFoundError(
                    f"There is no channel {channel!r}; make it first with create_channel"
                )
            message = Message.new(channel, self.user, body, reply_to=reply_to, **more)
            self._send(message)
        return message

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

    # Watching for new channels, other topics under old names, and better times.

    def _watch_kafka(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                created = set(self._created)
            try:
                found = self._watched.find()
            except ChatkitError as error:  # also a setting that Kafka's client refuses
                self._note("watch", str(error))
            else:
                self._note("watch", "")
                with self._lock:
                    for channel in created:
                        self._created.pop(channel, None)
                    self._note_channels({**found, **self._created})
            self._ask_to_mend()
            self._closing.wait(WATCH_SECONDS)
        self._watched.close()

    def _watch_mongo(self) -> None:
        while not self._closing.is_set():
            try:
                self._store.ping()
                self._set_status(mongo="")
            except StoreUnavailableError as error:
                self._set_status(mongo=str(error))
            self._closing.wait(WATCH_SECONDS)
        self._store.close()

    def _note_channel(self, info: ChannelInfo) -> None:
        """Note a channel that is there, whatever an older list says."""
        with self._lock:
            self._created[info.channel] = info
            if self._known is not None:
                self._note_channels({**self._known, info.channel: info})

    def _note_channels(self, found: dict[str, ChannelInfo]) -> None:
        before, self._known = self._known, found
        if before is None or before.keys() != found.keys():
            self._changes.put(ChannelsChanged(tuple(sorted(found))))

    def _ask_to_mend(self) -> None:
        with self._lock:
            if self._mending or self._state != "open":
                return
            self._mending = True
            self._submit(self._mend)

    def _mend(self) -> None:
        """Bring views up to date that were opened in worse times, or whose topic was replaced."""
        with self._lock:
            self._mending = False
            views, known = dict(self._views), self._known or {}
            kafka_away = bool(self._troubles["watch"])
        for channel, view in views.items():
            info = known.get(channel)
            mongo_away = bool(self.status.mongo)
            try:
                if info is None or not view.joined.done():
                    continue
                if view.info is not None and view.info.topic_id != info.topic_id:
                    self._enter(channel, self._reset(channel))
                elif not (view.info or kafka_away) or not (view.has_archive or mongo_away):
                    self._enter(channel, view)
                elif not mongo_away:
                    moderators = self._store.moderators(channel)
                    with self._changing(channel, view) as current:
                        if current is not None:
                            current.set_moderators(moderators)
            except (ServiceError, ChannelNotFoundError) as error:
                logger.info("%s can't be shown in full yet: %s", channel, error)

    def _reset(self, channel: str) -> ChannelView:
        """Begin a channel anew, keeping what is not sent yet."""
        view = ChannelView(channel)
        view.joined.set_result(None)
        with self._lock:
            old = self._views.get(channel)
            if old is None:  # it was left meanwhile
                return view
            self._views[channel] = view
            self._changes.put(ChannelReset(channel))
            with self._changing(channel):
                view.take_unsent(old)
        return view


def _shown(row: Row) -> Row:
    """Return a row as it leaves the room: of a deleted message, no text and no file."""
    if row.message is None or row.folded is None or row.folded.deleted_ms is None:
        return row
    return msgspec.structs.replace(
        row, message=msgspec.structs.replace(row.message, body="", attachment=None)
    )
