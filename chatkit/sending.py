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

import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from itertools import islice

from chatkit.channels import Channels
from chatkit.errors import SendError, ServiceError, StoreUnavailableError
from chatkit.importers import ImportedChannel
from chatkit.message import Event, Message
from chatkit.producer import ChatProducer, Receipt
from chatkit.store import MessageStore

__all__ = ["Sending", "create_channels"]

WINDOW = 5000
"""Items that may be on their way to Kafka at a time."""
CHUNK = 1000
"""Items about which MongoDB is asked at a time."""
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
        """What Kafka has not acknowledged, by channel; it may have arrived all the same."""
        self.problems: list[str] = []
        """The first few failures, in words."""
        self.unchecked = ""
        """Why the archive was not asked what it has; empty if it was."""
        self.put_aside = 0
        """Records that the archive could not take, as `wait_archived` found."""
        self._offsets: dict[tuple[str, int], array[int]] = {}
        self._outstanding: deque[tuple[Message | Event, Future[Receipt]]] = deque()
        self._authors: dict[str, str] = {}
        self._failed_in_a_row = 0

    def send(self, items: Iterable[Message | Event]) -> None:
        """Send what the archive does not have, and return when all is settled.

        Parameters
        ----------
        items : iterable of Message or Event
            Read once, as it is sent.
        """
        for item in self._without_known(items):
            while len(self._outstanding) >= WINDOW:
                self._settle_oldest(None)
            if self._failed_in_a_row >= HOPELESS:
                self._fail(item, "not tried: Kafka had not acknowledged the last ones")
                continue
            author = None if isinstance(item, Message) else self._authors.get(item.target or "")
            self._outstanding.append((item, self._producer.send(item, author=author)))
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

    def _without_known(self, items: Iterable[Message | Event]) -> Iterator[Message | Event]:
        source = iter(items)
        while chunk := list(islice(source, CHUNK)):
            # An event goes with its message, which mostly comes just before it.
            authors = {item.id: item.author for item in chunk if isinstance(item, Message)}
            known = self._known(chunk)
            before, self._authors = self._authors, authors
            self._authors = {**before, **authors}
            for item in chunk:
                self.found[item.channel] += 1
                if (item.channel, item.id) in known:
                    self.already[item.channel] += 1
                    self.progress(1)
                else:
                    yield item
            self._authors = authors

    def _known(self, chunk: list[Message | Event]) -> set[tuple[str, str]]:
        """Return channel and id of what is archived."""
        if self._store is None or self.unchecked:
            return set()
        by_channel: dict[str, list[str]] = {}
        for item in chunk:
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
        item, future = self._outstanding[0]  # taken off only then: Ctrl-C may come in between
        try:
            receipt = future.result(timeout)
        except FutureTimeout:
            problem = "not acknowledged yet when the import was stopped"
        except SendError as error:
            problem = str(error)
        else:
            self._outstanding.popleft()
            self.sent[item.channel] += 1
            self._failed_in_a_row = 0
            place = receipt.topic, receipt.partition
            self._offsets.setdefault(place, array("q")).append(receipt.offset)
            self.progress(1)
            return
        self._outstanding.popleft()
        self._fail(item, problem)

    def _fail(self, item: Message | Event, problem: str) -> None:
        self.failed[item.channel] += 1
        self._failed_in_a_row += 1
        if len(self.problems) < EXAMPLES:
            text = getattr(item, "body", "") or type(item).__name__.lower()
            shown = text if len(text) <= 60 else text[:60] + "..."
            self.problems.append(f"{item.channel}, {shown!r}: {problem}")
        self.progress(1)

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
            f"{ids[topic]}/{partition}": offsets
            for (topic, partition), offsets in self._offsets.items()
            if topic in ids
        }
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
                max(0, max(offsets) + 1 - max(min(offsets), now.get(place, 0)))
                for place, offsets in wanted.items()
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
        for place, offsets in wanted.items():
            topic_id, _, partition = place.rpartition("/")
            between = {"$gte": min(offsets), "$lte": max(offsets)}
            where = {"topic_id": topic_id, "partition": int(partition), "offset": between}
            with self._store.answering():
                found = {one["offset"]: one for one in letters.find(where, {"value": 0})}
            for offset in set(found).intersection(offsets):
                self.put_aside += 1
                if len(self.problems) < EXAMPLES:
                    one = found[offset]
                    self.problems.append(f"{one['topic']}, offset {offset}: {one['reason']}")


def _positions(store: MessageStore) -> dict[str, int]:
    with store.answering():
        return {one["_id"]: one["next"] for one in store.database["positions"].find()}
