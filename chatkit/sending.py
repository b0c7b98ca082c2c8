"""Imported items -> Kafka, and the question whether the archive has got them all.

The part of importing that all formats share, for the command line and for Python alike::

    tally = Tally()
    with Channels() as channels, ChatProducer(bulk=True) as producer, MessageStore() as store:
        create_channels(channels, slack.channels(path))
        sending = Sending(producer, store)
        sending.send(tally.watch(slack.read(path)))
        sending.wait_archived(channels)

It knows Kafka and MongoDB, which the importers don't.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager

import msgspec

from chatkit.channels import Channels
from chatkit.errors import (
    ChannelNameError,
    InvalidMessageError,
    ServiceError,
    StoreUnavailableError,
)
from chatkit.importers import ImportedChannel
from chatkit.message import Event, Message
from chatkit.producer import ChatProducer, Outcome, Receipt
from chatkit.store import MessageStore

__all__ = ["Sending", "create_channels"]

CHUNK = 1000
"""Items about which MongoDB is asked, and which are sent, at a time."""
CHUNK_SIZE = 1024 * 1024
"""Characters and bytes of their contents with which a chunk is full before."""
WINDOW = 8
"""Chunks that may be on their way to Kafka at a time."""
TURN_SECONDS = 0.001
"""For how long a thread may keep the others from running Python while much is sent."""
HOPELESS = 1000
"""Failures in a row after which the rest is not tried: Kafka is gone."""
EXAMPLES = 20
PATIENCE = 30.0
POLL_SECONDS = 0.2


def create_channels(channels: Channels, wanted: Iterable[ImportedChannel]) -> list[str]:
    """Create the channels that are missing; one that is there stays as it is.

    Parameters
    ----------
    channels : Channels
        Where; stays open.
    wanted : iterable of ImportedChannel
        What an importer's ``channels`` returned.

    Returns
    -------
    list of str
        Names of the channels that were created.

    Raises
    ------
    BrokerUnavailableError
        No broker answered in time.
    """
    there = channels.find()
    missing = [channel for channel in wanted if channel.name not in there]
    for channel in missing:
        channels.create(
            channel.name,
            description=channel.description,
            creator=channel.creator or None,
            exist_ok=True,
        )
    return [channel.name for channel in missing]


class _Chunk(msgspec.Struct):
    """Items that are sent together."""

    items: list[Message | Event]
    receipt: Future[list[Outcome]] | None = None
    """What becomes of them; None until they are given to the producer."""


class Sending:
    """Sends items to Kafka, a bounded number at a time, and knows what became of each.

    For one thread. ``found`` is always ``sent`` + ``already`` + ``failed``, once `send` or
    `settle` is done.

    Parameters
    ----------
    producer : ChatProducer
        Made with ``bulk=True``; stays its maker's.
    store : MessageStore, optional
        The archive: what it has already is not sent again. Without one, or while MongoDB does not
        answer, everything is sent, and the archive leaves out what it has.
    progress : callable, optional
        Given the number of items that are done with, each time there are some.
    """

    def __init__(
        self,
        producer: ChatProducer,
        store: MessageStore | None = None,
        *,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._producer = producer
        self._store = store
        self.progress = progress
        """Told of each item that is done with; may be replaced."""
        self.found: Counter[str] = Counter()
        """What there was to send, by channel."""
        self.sent: Counter[str] = Counter()
        """What Kafka has acknowledged, by channel."""
        self.already: Counter[str] = Counter()
        """What was archived before and therefore not sent, by channel."""
        self.failed: Counter[str] = Counter()
        """What Kafka has not acknowledged, by channel; it may have arrived all the same. Also what
        breaks a rule of the wire format, which was not sent."""
        self.problems: list[str] = []
        """The first few failures, in words."""
        self.unchecked = ""
        """Why the archive was not asked what it has; empty if it was."""
        self.put_aside = 0
        """Records that the archive could not take, as `wait_archived` found."""
        self._offsets: dict[tuple[str, int], array[int]] = {}
        """First offset and end of each run of records without a gap, one after the other."""
        self._outstanding: deque[_Chunk] = deque()
        self._failed_in_a_row = 0

    def send(self, items: Iterable[Message | Event]) -> None:
        """Send what the archive does not have, and return when all is settled.

        Parameters
        ----------
        items : iterable of Message or Event
            Read once, as it is sent.
        """
        with _short_turns():
            self._send(items)

    def _send(self, items: Iterable[Message | Event]) -> None:
        before: dict[str, str] = {}
        for items_read in _chunks(items):
            # An event goes with its message, which mostly comes just before it.
            authors = {item.id: item.author for item in items_read if isinstance(item, Message)}
            chunk = _Chunk(self._without_known(items_read))
            while len(self._outstanding) >= WINDOW:
                self._settle_oldest(None)
            if self._failed_in_a_row >= HOPELESS:
                problem = "not tried: Kafka had not acknowledged the last ones"
                self._count(chunk.items, [problem] * len(chunk.items))
                continue
            self._outstanding.append(chunk)  # before it is sent: Ctrl-C may come in between
            chunk.receipt = self._producer.send_all(chunk.items, authors={**before, **authors})
            before = authors
        self.settle(None)

    def settle(self, timeout: float | None) -> None:
        """Wait for what is on its way.

        Parameters
        ----------
        timeout : float or None
            Seconds; what is not acknowledged by then counts as failed. None: as long as the
            producer tries.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while self._outstanding:
            self._settle_oldest(None if end is None else max(0.0, end - time.monotonic()))

    def _without_known(self, items: list[Message | Event]) -> list[Message | Event]:
        """Return what is not archived, and count what is."""
        known = self._known(items)
        if not known:
            return items
        already = Counter(item.channel for item in items if (item.channel, item.id) in known)
        self.already.update(already)
        self.found.update(already)
        self.progress(already.total())
        return [item for item in items if (item.channel, item.id) not in known]

    def _known(self, items: list[Message | Event]) -> set[tuple[str, str]]:
        """Return channel and id of what is archived."""
        if self._store is None or self.unchecked:
            return set()
        by_channel: dict[str, list[str]] = {}
        for item in items:
            by_channel.setdefault(item.channel, []).append(item.id)
        try:
            return {
                (channel, known)
                for channel, ids in by_channel.items()
                for known in self._store.known_ids(channel, ids)
            }
        except StoreUnavailableError as error:
            self.unchecked = str(error)
            return set()

    def _settle_oldest(self, timeout: float | None) -> None:
        chunk = self._outstanding[0]
        outcomes: Sequence[Outcome | str]
        try:
            if chunk.receipt is None:  # Ctrl-C came just then
                raise FutureTimeout
            outcomes = chunk.receipt.result(timeout)
        except FutureTimeout:
            problem = "not acknowledged yet when the import was stopped"
            outcomes = [problem] * len(chunk.items)
        self._count(chunk.items, outcomes)
        self._outstanding.popleft()

    def _count(self, items: list[Message | Event], outcomes: Sequence[Outcome | str]) -> None:
        """Count what became of items; a text says why one failed."""
        sent: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                sent[item.channel] += 1
                self._failed_in_a_row = 0
                self._note_place(outcome)
            else:
                failed[item.channel] += 1
                self._note_problem(item, outcome)
        self.sent.update(sent)
        self.failed.update(failed)
        self.found.update(sent + failed)
        self.progress(len(items))

    def _note_place(self, receipt: Receipt) -> None:
        runs = self._offsets.setdefault((receipt.topic, receipt.partition), array("q"))
        if runs and runs[-1] == receipt.offset:
            runs[-1] += 1
        else:
            runs.extend((receipt.offset, receipt.offset + 1))

    def _note_problem(self, item: Message | Event, problem: Outcome | str) -> None:
        if not isinstance(problem, InvalidMessageError | ChannelNameError):
            self._failed_in_a_row += 1
        if len(self.problems) < EXAMPLES:
            text = getattr(item, "body", "") or type(item).__name__.lower()
            shown = text if len(text) <= 60 else text[:60] + "..."
            self.problems.append(f"{item.channel}, {shown!r}: {problem}")

    def wait_archived(
        self,
        channels: Channels,
        *,
        patience: float = PATIENCE,
        progress: Callable[[int], None] = lambda missing: None,
    ) -> None:
        """Return when the archive holds all that was sent.

        Parameters
        ----------
        channels : Channels
            Tells the topics' ids; stays open.
        patience : float, default 30
            Seconds in which the archive must advance, be it in other channels.
        progress : callable, optional
            Given the number of records that are still missing, now and then.

        Raises
        ------
        ServiceError
            It did not advance: no archiver seems to run.
        StoreUnavailableError
            MongoDB does not answer, and did not for ``patience`` seconds.
        BrokerUnavailableError
            No broker answered in time.
        RuntimeError
            There is no store to look into.
        """
        if self._store is None:
            raise RuntimeError("Sending needs a MessageStore to wait for the archive")
        ids = channels.topic_ids()
        wanted = {
            f"{ids[topic]}/{partition}": runs
            for (topic, partition), runs in self._offsets.items()
            if topic in ids
        }
        spans = {place: (min(runs), max(runs)) for place, runs in wanted.items()}
        advanced_at = time.monotonic()
        last: dict[str, int] | None = None
        while True:
            failure: StoreUnavailableError | None = None
            try:
                now = _positions(self._store)
            except StoreUnavailableError as error:
                failure, now = error, last or {}
            if now != last:
                last, advanced_at = now, time.monotonic()
            missing = sum(
                max(0, end - max(first, now.get(place, 0))) for place, (first, end) in spans.items()
            )
            progress(missing)
            if not missing:
                break
            if time.monotonic() - advanced_at > patience:
                raise failure or ServiceError(
                    f"The archive has not advanced for {patience:g} s and lacks {missing:,} "
                    "records. They are safe in Kafka; to have them archived, start "
                    "'chatkit archive' (or 'chatkit lab'), then import again to check"
                )
            time.sleep(POLL_SECONDS)
        self._look_for_dead_letters(wanted)

    def _look_for_dead_letters(self, wanted: dict[str, array[int]]) -> None:
        """Count which of our records the archive has put aside."""
        assert self._store is not None
        letters = self._store.database["dead_letters"]
        for place, runs in wanted.items():
            topic_id, _, partition = place.rpartition("/")
            ours = list(zip(runs[::2], runs[1::2], strict=True))
            between = {"$gte": min(runs), "$lt": max(runs)}
            where = {"topic_id": topic_id, "partition": int(partition), "offset": between}
            with self._store.answering():
                found = {one["offset"]: one for one in letters.find(where, {"value": 0})}
            for offset, one in found.items():
                if any(first <= offset < end for first, end in ours):
                    self.put_aside += 1
                    if len(self.problems) < EXAMPLES:
                        self.problems.append(f"{one['topic']}, offset {offset}: {one['reason']}")


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let threads take turns more often: else Kafka's answers wait for who reads and encodes."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, TURN_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _chunks(items: Iterable[Message | Event]) -> Iterator[list[Message | Event]]:
    """Yield items by the chunk, the last one perhaps not full."""
    chunk: list[Message | Event] = []
    size = 0
    for item in items:
        chunk.append(item)
        if isinstance(item, Message):
            size += len(item.body)
            if item.attachment is not None:
                size += len(item.attachment.data)
        if len(chunk) >= CHUNK or size >= CHUNK_SIZE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _positions(store: MessageStore) -> dict[str, int]:
    with store.answering():
        return {one["_id"]: one["next"] for one in store.database["positions"].find()}
