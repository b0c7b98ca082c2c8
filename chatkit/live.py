"""LiveRoom: the reading half of a room. Channels opened without a gap, followed, told to observers.

Nothing here blocks: work is queued, and what comes of it is told to observers. A room is no group
member and commits nothing, so every room sees every message.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import msgspec

from chatkit.changes import (
    CONNECTING,
    Change,
    ChannelReset,
    ChannelsChanged,
    ChannelSummary,
    OverviewChanged,
    RoomStatus,
    RowsChanged,
    StatusChanged,
)
from chatkit.channels import ChannelInfo, Channels, PartitionOffsets
from chatkit.consumer import ConsumerThread, Item, read_range
from chatkit.documents import received_message
from chatkit.errors import (
    BrokerRefusedError,
    ChannelNotFoundError,
    ChatkitError,
    ServiceError,
    StoreRefusedError,
    StoreUnavailableError,
)
from chatkit.message import ChannelRecord, Join, Leave, Received, check_channel_name, now_ms
from chatkit.overview import Overview
from chatkit.producer import ChatProducer
from chatkit.read_marks import ReadMark
from chatkit.settings import Settings
from chatkit.store import CLOCKS_MS, MessageStore
from chatkit.timeline import Order, Row
from chatkit.view import PAGE, ChannelView, key_of

__all__ = ["LiveRoom", "shown"]

logger = logging.getLogger(__name__)

WATCH_SECONDS = 2.0
QUICK_SECONDS = 3.0
"""How long to wait for a server where people wait for an answer."""


class LiveRoom:
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
        self._changes: queue.SimpleQueue[Change | _Touched | None] = queue.SimpleQueue()
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
        self._overview = Overview(self._store, self.user)
        self._summaries: tuple[ChannelSummary, ...] = ()
        self._muted: frozenset[str] = frozenset()
        self._touched = False
        # How far the user has read since MongoDB was told last.
        self._read: dict[str, Order] = {}
        self._mongo_wanted = threading.Event()
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
        self._mongo_wanted.set()
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
            Takes one of the changes of `chatkit.changes`. Runs on a thread that only does this,
            so that it may call the room; must return soon.

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
                if isinstance(change, _Touched):
                    overview = self._look_over()
                    if overview is None:
                        continue
                    change = overview
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
            rows, gone = view.timeline.take_changes(), view.timeline.take_gone()
            if rows or gone or view.has_older != had_older:
                self._changes.put(RowsChanged(channel, tuple(map(shown, rows)), tuple(gone)))
                self._touch()

    def _touch(self) -> None:
        """Have the overview looked over once all changes so far are told."""
        with self._lock:
            if not self._touched:
                self._touched = True
                self._changes.put(_Touched())

    def _look_over(self) -> OverviewChanged | None:
        """Return the overview if it is another one than before; the caller holds the lock."""
        self._touched = False
        channels = self._views.keys() if self._known is None else self._known.keys()
        summaries = self._overview.summaries(channels, self._views)
        muted = self._overview.facts.muted_people
        if (summaries, muted) == (self._summaries, self._muted):
            return None
        self._summaries, self._muted = summaries, muted
        return OverviewChanged(summaries)

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

    def overview(self) -> tuple[ChannelSummary, ...]:
        """Return what there is to say of each channel, sorted by name."""
        with self._lock:
            return self._summaries

    def create_channel(self, channel: str, description: str = "") -> Future[None]:
        """Make a channel.

        Returns
        -------
        concurrent.futures.Future
            Fails with ChannelNameError, ChannelExistsError or BrokerUnavailableError.
        """

        def create() -> None:
            info = self._channels.create(channel, description=description, creator=self.user)
            self._note_record(
                ChannelRecord(
                    channel=channel,
                    description=description,
                    creator=self.user,
                    moderators=(self.user,),
                )
            )
            self._note_channel(info)

        return self._submit(create)

    def join(self, channel: str, *, member: bool = False) -> Future[None]:
        """Begin to show a channel: its newest messages, then what comes.

        With MongoDB away, from Kafka alone; with Kafka away, what the archive has.

        Parameters
        ----------
        channel : str
            Name of the channel.
        member : bool, default False
            Whether to become a member, unless one is: the others see that the user joined, and what
            is unread is counted from now on. With MongoDB away nobody becomes one.

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
            view = self._views.get(channel)
            if view is None:
                view = self._views[channel] = ChannelView(channel)
                view.joined = self._submit(self._enter_or_forget, channel, view)
            if member:
                self._submit(self._become_member, channel, view)
            return view.joined

    def _enter_or_forget(self, channel: str, view: ChannelView) -> None:
        try:
            self._enter(channel, view)
        except Exception:
            with self._lock:
                if self._views.get(channel) is view:
                    del self._views[channel]
            raise

    def _become_member(self, channel: str, view: ChannelView) -> None:
        with self._lock:
            if self._views.get(channel) is not view or not view.has_archive:
                return
            newest = view.timeline.newest_sent()
        try:
            marks, _ = self._overview.marks.load()
            mark = marks.get(channel, ReadMark())
            if mark.member:
                return
            self._overview.marks.set_member(channel, True)
            if newest is not None:
                self._overview.marks.move(channel, newest)
        except StoreUnavailableError as error:
            logger.info("%s does not become a member of %s: %s", self.user, channel, error)
            return
        with self._lock:
            self._overview.set_mark(
                channel, msgspec.structs.replace(mark, member=True, key=newest or mark.key)
            )
        self._touch()
        self._producer.send(Join.new(channel, self.user))

    def leave(self, channel: str) -> None:
        """Show a channel no longer; the others see that a member left."""
        with self._lock:
            if self._views.pop(channel, None) is not None:
                self._consumer.unfollow(channel)
            mark = self._overview.facts.marks.get(channel, ReadMark())
            if mark.member and self._state == "open":
                self._overview.set_mark(channel, msgspec.structs.replace(mark, member=False))
                self._producer.send(Leave.new(channel, self.user))
                self._submit(self._overview.marks.set_member, channel, False)
            self._touch()

    def mark_read(self, channel: str, row_id: str | None = None) -> None:
        """Note that the user has seen a channel up to a row; what was read further on stays so.

        Parameters
        ----------
        channel : str
            Name of the channel.
        row_id : str, optional
            A row that is shown. Default: the newest message, shown or not.
        """
        with self._lock:
            view = self._views.get(channel)
            if view is None:
                key = None if row_id else self._overview.facts.newest.get(channel)
            elif row_id is None:
                key = view.timeline.newest_sent()
            else:
                row = view.timeline.get(row_id)
                key = row.order if row is not None and row.state == "sent" else None
            mark = self._overview.facts.marks.get(channel, ReadMark())
            if key is None or (mark.key is not None and mark.key >= key):
                return
            self._overview.set_mark(channel, msgspec.structs.replace(mark, key=key))
            self._read[channel] = key
            self._mongo_wanted.set()
            self._touch()

    def read_mark(self, channel: str) -> Order | None:
        """Return the order key of the last message of a channel that the user has seen, or None."""
        with self._lock:
            return self._overview.facts.marks.get(channel, ReadMark()).key

    def mute(self, channel: str, muted: bool = True) -> Future[None]:
        """Hear nothing more of a channel, or hear of it again; the same in all browsers."""
        with self._lock:
            mark = self._overview.facts.marks.get(channel, ReadMark())
            self._overview.set_mark(channel, msgspec.structs.replace(mark, muted=muted))
            self._touch()
        return self._submit(self._overview.marks.set_muted, channel, muted)

    def mute_person(self, name: str, muted: bool = True) -> Future[None]:
        """Hear nothing more of somebody, or hear of them again; the same in all browsers."""

        def note() -> None:
            self._overview.marks.set_person_muted(name, muted)
            self._mongo_wanted.set()

        return self._submit(note)

    def muted_people(self) -> frozenset[str]:
        """Return of whom the user wants to hear nothing."""
        with self._lock:
            return self._overview.facts.muted_people

    def is_mentioned(self, row: Row) -> bool:
        """Return whether a row's message names the user."""
        return self._overview.is_mentioned(row)

    def rows(self, channel: str) -> list[Row]:
        """Return the rows of a channel that are here, oldest first; none if it is not joined."""
        with self._lock:
            view = self._views.get(channel)
            return [] if view is None else list(map(shown, view.timeline.rows()))

    def row(self, channel: str, row_id: str) -> Row | None:
        """Return a row that is here, or None."""
        with self._lock:
            view = self._views.get(channel)
            row = None if view is None else view.timeline.get(row_id)
            return None if row is None else shown(row)

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

    def _moderators(self, channel: str) -> Sequence[str]:
        """Return who moderates a channel; what this room just made MongoDB need not know yet."""
        with self._lock:
            record = self._overview.facts.records.get(channel)
        return self._store.moderators(channel) if record is None else record.moderators

    def _add_page(self, channel: str, view: ChannelView, before: Order | None) -> int:
        """Add the newest archived messages before a key; return how many were not here yet."""
        # Read before the page, so that what is archived meanwhile is not passed over.
        archived = self._store.positions(view.info.topic_id) if view.info else {}
        documents = self._store.page(channel, before=before, limit=PAGE)
        messages = list(map(received_message, documents))
        first_ms = messages[0].placed_ms if len(messages) >= PAGE else 0
        last_ms = now_ms() + CLOCKS_MS if before is None else before[0] - 1
        events = self._events(channel, documents, first_ms, last_ms)
        moderators = self._moderators(channel)
        with self._changing(channel, view) as current:
            if current is None:
                return 0
            view.set_moderators(moderators)
            return view.add_page(messages, events, archived)

    def _events(
        self, channel: str, documents: Iterable[dict[str, Any]], first_ms: int, last_ms: int
    ) -> list[Received]:
        """Return the events about some messages, and who came and went meanwhile."""
        changed = [document["_id"] for document in documents if document["rev"]]
        events = self._store.events_of(channel, changed) if changed else []
        return events + self._store.comings(channel, first_ms, last_ms)

    def load_around(self, channel: str, message_id: str) -> Future[bool]:
        """Add an archived message, however old, and its neighbours.

        Returns
        -------
        concurrent.futures.Future
            Whether its row is here now. Fails with ServiceError.
        """

        def load() -> bool:
            with self._lock:
                view = self._views.get(channel)
                if view is None:
                    return False
                if message_id in view.timeline:
                    return True
            document = self._store.get(channel, message_id)
            if document is None:
                return False
            self._add_around(channel, view, key_of(received_message(document)))
            with self._lock:
                return message_id in view.timeline

        return self._submit(load)

    def _add_around(self, channel: str, view: ChannelView, key: Order) -> None:
        """Add the neighbours of a key, and it, from the archive."""
        # The least key after it: so that the older page ends with the message itself.
        older = self._store.page(channel, before=(*key[:3], key[3] + "\0"), limit=PAGE)
        newer = self._store.page(channel, after=key, limit=PAGE)
        low = _key(older[0]) if len(older) >= PAGE else None
        high = _key(newer[-1]) if len(newer) >= PAGE else None
        self._add_between(channel, view, low, [*older, *newer], high)

    def _add_between(
        self,
        channel: str,
        view: ChannelView,
        low: Order | None,
        documents: list[dict[str, Any]],
        high: Order | None,
    ) -> int:
        messages = list(map(received_message, documents))
        events = []
        if messages:
            first_ms, last_ms = messages[0].placed_ms, messages[-1].placed_ms
            events = self._events(channel, documents, first_ms, last_ms)
        with self._changing(channel, view) as current:
            if current is None:
                return 0
            size = len(view.timeline)
            for event in events:
                view.timeline.add(event)
            view.add_between(low, messages, high)
            return len(view.timeline) - size

    def load_skipped(self, channel: str, row_id: str, *, upwards: bool = True) -> Future[int]:
        """Add messages where a ``skipped`` row says that there are more.

        Parameters
        ----------
        channel : str
            Name of the channel.
        row_id : str
            Id of the row.
        upwards : bool, default True
            Whether to add the last ones before what follows, or the first after what precedes.

        Returns
        -------
        concurrent.futures.Future
            How many rows there are more. Fails with ServiceError.
        """

        def load() -> int:
            with self._lock:
                view = self._views.get(channel)
                if view is None or row_id not in view.skipped:
                    return 0
                low, high = view.skipped[row_id]
            if upwards:
                page = self._store.page(channel, after=low, before=high, limit=PAGE, newest=True)
                first = _key(page[0]) if len(page) >= PAGE else low
                return self._add_between(channel, view, first, page, high)
            page = self._store.page(channel, after=low, before=high, limit=PAGE)
            last = _key(page[-1]) if len(page) >= PAGE else high
            return self._add_between(channel, view, low, page, last)

        return self._submit(load)

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
                if view is None:
                    continue
                view.add_items(some)
                news = [
                    item
                    for item in some
                    if isinstance(item, Received)
                    and item.offset >= view.live_from.get(item.partition, 0)
                ]
            if news:
                self._hear(channel, news)

    def _hear(self, channel: str, news: Sequence[Received]) -> None:
        """Take note of what was said after the channel was opened."""

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
            self._mongo_wanted.clear()
            try:
                self._store.ping()
                self._set_status(mongo="")
                self._save_reading()
                self._ask_overview()
            except StoreUnavailableError as error:
                self._set_status(mongo=str(error))
            self._mongo_wanted.wait(WATCH_SECONDS)
        with contextlib.suppress(StoreUnavailableError):
            if not self.status.mongo:
                self._save_reading()
        self._store.close()

    def _save_reading(self) -> None:
        """Tell MongoDB how far the user has read."""
        while True:
            with self._lock:
                if not self._read:
                    return
                channel, key = next(iter(self._read.items()))
            try:
                self._overview.marks.move(channel, key)
            except StoreRefusedError as error:  # it may be read only: marks live in this room
                logger.info("How far %s has read is not kept: %s", self.user, error)
            with self._lock:
                if self._read.get(channel) == key:
                    del self._read[channel]

    def _ask_overview(self) -> None:
        with self._lock:
            topics = {info.channel: info.topic_id for info in (self._known or {}).values()}
            missing = {
                channel: view.missing() for channel, view in self._views.items() if view.has_archive
            }
        facts = self._overview.ask(topics, missing)
        with self._lock:
            self._overview.take(facts)
            self._touch()

    def _note_channel(self, info: ChannelInfo) -> None:
        """Note a channel that is there, whatever an older list says."""
        with self._lock:
            self._created[info.channel] = info
            if self._known is not None:
                self._note_channels({**self._known, info.channel: info})

    def _note_record(self, record: ChannelRecord) -> None:
        """Note what the user just said of a channel."""
        with self._lock:
            self._overview.set_record(record)
            self._touch()

    def _note_channels(self, found: dict[str, ChannelInfo]) -> None:
        before, self._known = self._known, found
        if before is None or before.keys() != found.keys():
            self._changes.put(ChannelsChanged(tuple(sorted(found))))
            self._mongo_wanted.set()
            self._touch()

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
                    moderators = self._moderators(channel)
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


def _key(document: dict[str, Any]) -> Order:
    return key_of(received_message(document))


class _Touched:
    """Has the overview looked over."""


def shown(row: Row) -> Row:
    """Return a row as it leaves the room: of a deleted message, no text and no file."""
    if row.message is None or row.folded is None or row.folded.deleted_ms is None:
        return row
    return msgspec.structs.replace(
        row, message=msgspec.structs.replace(row.message, body="", attachment=None)
    )
