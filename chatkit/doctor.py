"""What a user needs, checked one by one, and one message sent the whole way round.

Every step is bounded, and so is the whole, also where a server is frozen: it takes connections and
answers nothing. What is made for the round trip is taken away again.
"""

from __future__ import annotations

import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from chatkit.archiver import Archiver, archive_group
from chatkit.channels import ChannelInfo, Channels
from chatkit.consumer import ConsumerThread
from chatkit.errors import BrokerRefusedError, ChatkitError, ServiceError
from chatkit.message import Message, Received
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.wording import counted

__all__ = ["Check", "examine", "examine_local"]

PACKAGES = ("chatkit", "kafka-python", "pymongo", "pandas", "jupyterlab", "ipywidgets", "anywidget")
ALL_SECONDS = 25.0
"""For everything together, cleaning up apart."""
ANSWER_SECONDS = 5.0
"""For one answer of Kafka or MongoDB."""
ARCHIVE_SECONDS = 12.0
"""For a message to get from Kafka into MongoDB, which takes a running archiver a second or two."""
CLEANING_SECONDS = 6.0
SPARE_CHANNEL = "doctor"
"""Used for the round trip where we may make no channel."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one check."""

    name: str
    """What was looked at, in a word or two."""
    ok: bool
    """Whether it is as it should be."""
    seconds: float
    """How long it took."""
    detail: str
    """What was found; where something is wrong, also what to do next."""
    warning: bool = False
    """Whether it works, but is worth a look."""
    made: bool = True
    """Whether it was made; false if what it needs had failed before."""


class _Warning(Exception):
    """It works, but is worth a look."""


class _Needs(ChatkitError):
    """It can't be checked, since something before it failed."""


class _Examination:
    """Runs checks one after another within a common time."""

    def __init__(self, begin: Callable[[str], None]) -> None:
        self._begin = begin
        self._end = time.monotonic() + ALL_SECONDS
        self.failed: set[str] = set()

    def check(
        self,
        name: str,
        work: Callable[[], str],
        *,
        seconds: float = ANSWER_SECONDS + 3,
        needs: tuple[str, ...] = (),
    ) -> Check:
        self._begin(name)
        started = time.monotonic()
        warning, made = False, True
        try:
            for need in needs:
                if need in self.failed:
                    raise _Needs(f"Not checked, since '{need}' failed")
            left = self._end - started
            if left <= 0:
                raise _Needs(f"Not checked, since all {ALL_SECONDS:g} seconds are over")
            detail, ok = _bounded(work, min(seconds, left)), True
        except _Warning as note:
            detail, ok, warning = str(note), True, True
        except _Needs as error:
            detail, ok, made = str(error), False, False
        except ChatkitError as error:
            detail, ok = str(error), False
        except OSError as error:
            detail, ok = f"{type(error).__name__}: {error}", False
        if not ok:
            self.failed.add(name)
        took = round(time.monotonic() - started, 3)
        return Check(name=name, ok=ok, seconds=took, detail=detail, warning=warning, made=made)

    def more_time(self, seconds: float) -> None:
        self._end = max(self._end, time.monotonic() + seconds)


def _bounded(work: Callable[[], str], seconds: float) -> str:
    """Return what the work returns, or raise when the time is over and leave it to its fate."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="chatkit-doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise ServiceError(f"No answer within {seconds:.0f} s: is the server frozen, or very busy?")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return str(outcome[0])


def examine(
    settings: Settings, *, local: bool, begin: Callable[[str], None] = lambda name: None
) -> Iterator[Check]:
    """Check everything and send one message round, and yield each result as it comes.

    The round trip goes through a channel of its own, which is deleted at the end, also if the
    iterator is closed early. If no archiver runs, one does for as long as that takes.

    Parameters
    ----------
    settings : Settings
        Where Kafka and MongoDB are.
    local : bool
        Whether local services are meant, since no address is set: where they don't answer, Java
        and mongod must be there to start them.
    begin : callable, optional
        Given the name of each check before it is made.

    Yields
    ------
    Check
        About a dozen, always the same ones in the same order.
    """
    settings = settings.replace(
        kafka_timeout=min(ANSWER_SECONDS, settings.kafka_timeout),
        mongo_timeout=min(ANSWER_SECONDS, settings.mongo_timeout),
        delivery_timeout=min(2 * ANSWER_SECONDS, settings.delivery_timeout),
    )
    here = _Examination(begin)
    yield here.check("versions", _versions)
    with Channels(settings) as channels, MessageStore(settings) as store:
        yield here.check("kafka", lambda: _kafka(settings, channels))
        yield here.check("mongodb", lambda: _mongodb(settings, store))
        needed = local and bool(here.failed & {"kafka", "mongodb"})
        yield here.check("java", lambda: _java(settings, needed), seconds=10)
        yield here.check("mongod", lambda: _mongod(needed))
        yield here.check("topics", lambda: _topics(settings, channels), needs=("kafka",))
        trip = _RoundTrip(settings, channels, store)
        yield here.check("archiver", trip.look_for_archiver, needs=("kafka", "mongodb"))
        try:
            yield here.check("channel", trip.create, seconds=8, needs=("kafka",))
            yield here.check("send", trip.send, seconds=12, needs=("kafka", "channel"))
            yield here.check("receive", trip.receive, needs=("send",))
            yield here.check(
                "archive",
                trip.archive,
                seconds=ARCHIVE_SECONDS + ANSWER_SECONDS,
                needs=("mongodb", "send"),
            )
            yield here.check("load", trip.load, needs=("archive",))
        finally:
            here.more_time(CLEANING_SECONDS)
            in_archive = "mongodb" not in here.failed
            cleaned = here.check(
                "clean up", lambda: trip.clean_up(in_archive), seconds=CLEANING_SECONDS
            )
        yield cleaned


def examine_local(
    settings: Settings, *, begin: Callable[[str], None] = lambda name: None
) -> Iterator[Check]:
    """Start local services that keep nothing, check everything on them, and end them.

    Parameters
    ----------
    settings : Settings
        Names what a local stack needs.
    begin : callable, optional
        As for `examine`.

    Yields
    ------
    Check
        That of the start, then those of `examine`.
    """
    from chatkit.local import LocalStack

    begin("local services")
    started = time.monotonic()
    stack = LocalStack(settings, ephemeral=True, progress=begin)
    try:
        try:
            stack.start()
        except ChatkitError as error:
            detail, ok = str(error), False
        else:
            detail, ok = "Started, with a folder of their own that goes away again", True
        took = round(time.monotonic() - started, 3)
        yield Check(name="local services", ok=ok, seconds=took, detail=detail)
        yield from examine(stack.settings if ok else settings, local=True, begin=begin)
    finally:
        stack.stop()


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    missing = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        raise ServiceError(
            f"Not installed: {', '.join(missing)}. Do 'pip install chatkit' again, in the "
            f"environment of this Python. Found: {', '.join(found)}"
        )
    return ", ".join(found)


def _java(settings: Settings, needed: bool) -> str:
    from chatkit.local.java import find_java

    return _local_program(lambda: str(find_java(settings)), needed)


def _mongod(needed: bool) -> str:
    from chatkit.local.mongod import find_mongod

    return _local_program(lambda: str(find_mongod()), needed)


def _local_program(find: Callable[[], str], needed: bool) -> str:
    try:
        return find()
    except ServiceError:
        if needed:
            raise
        return "None here, and none needed: only local services need it"


def _kafka(settings: Settings, channels: Channels) -> str:
    found = channels.cluster()
    return (
        f"{counted(found.brokers, 'broker')} at {settings.bootstrap_servers}, "
        f"version {found.version}, {settings.security_protocol}"
    )


def _mongodb(settings: Settings, store: MessageStore) -> str:
    store.ping()
    with store.answering():
        found = store.database.client.server_info()
    return f"Version {found['version']}, database {settings.database}"


def _topics(settings: Settings, channels: Channels) -> str:
    found = channels.find()
    text = f"{counted(len(found), 'channel')}, in topics named {settings.topic_prefix}*"
    warnings = []
    if not found:
        warnings.append(
            "There is no channel yet, or none that Kafka lets us see. Make one with 'chatkit "
            "channels create general'"
        )
    unsuitable = channels.unsuitable()
    if unsuitable is None:
        text += "; how Kafka keeps them can't be seen without the right DescribeConfigs on them"
    elif unsuitable:
        warnings.append(_about_configs(unsuitable))
    if warnings:
        raise _Warning(". ".join([text, *warnings]))
    return text


def _about_configs(unsuitable: dict[str, dict[str, tuple[str, str]]]) -> str:
    topics = [
        f"topic {topic}: "
        + ", ".join(f"{name}={now}, not {wanted}" for name, (now, wanted) in configs.items())
        for topic, configs in sorted(unsuitable.items())
    ]
    more = f", and {len(topics) - 5} more" if len(topics) > 5 else ""
    return (
        "Kafka does not keep all of them as they should be, so messages may vanish from it, be "
        "refused for their size, or stand where their senders' clocks say; whoever runs it can "
        f"set the configs of {'; '.join(topics[:5])}{more}"
    )


class _RoundTrip:
    """One message, from sending to loading, in a channel of its own."""

    def __init__(self, settings: Settings, channels: Channels, store: MessageStore) -> None:
        self._settings = settings
        self._channels = channels
        self._store = store
        name = f"doctor-{secrets.token_hex(4)}"
        self._message = Message.new(name, settings.user, "One message, the whole way round")
        self._info: ChannelInfo | None = None
        self._made = False
        self._needs_archiver = True
        self._archiver: Archiver | None = None
        self._consumer: ConsumerThread | None = None
        self._received = threading.Event()

    def look_for_archiver(self) -> str:
        """Return how many archivers there are, and how far they are behind."""
        waiting = self._waiting()
        try:
            members = self._members()
        except BrokerRefusedError as error:  # who only chats has no business with the group
            self._needs_archiver = False
            raise _Warning(f"Whether one runs can't be seen. {error}") from error
        self._needs_archiver = not members
        records = f"{counted(waiting, 'record')} not archived yet"
        if not members:
            raise _Warning(
                f"None runs, {records}; for the round trip one is started. Start one for good "
                "with 'chatkit archive', or 'chatkit lab', which brings one"
            )
        return f"{counted(members, 'member')} in the group, {records}"

    def _members(self) -> int:
        archive_id = self._store.archive_id()
        if archive_id is None:
            return 0
        return self._channels.group(archive_group(self._settings, archive_id)).members

    def _waiting(self) -> int:
        waiting = 0
        for info in self._channels.find().values():
            positions = self._store.positions(info.topic_id)
            for number, offsets in self._channels.offsets(info).items():
                waiting += max(0, offsets.end - max(offsets.start, positions.get(number, 0)))
        return waiting

    def create(self) -> str:
        """Make the channel, or take the one that is there for this, and a reader."""
        try:
            self._info = self._channels.create(
                self._message.channel, description="Made by 'chatkit doctor', and deleted again"
            )
            self._made = True
        except BrokerRefusedError as error:
            self._info = self._channels.find().get(SPARE_CHANNEL)
            if self._info is None:
                raise BrokerRefusedError(
                    f"{error}. Where channels can't be made, one named {SPARE_CHANNEL} is used for "
                    "this check, if there is one"
                ) from error
            self._message = Message.new(SPARE_CHANNEL, self._settings.user, self._message.body)
        consumer = ConsumerThread(self._take, self._settings)
        self._consumer = consumer
        consumer.follow(self._info.channel, "end" if not self._made else "beginning")
        consumer.start()
        how = "Made" if self._made else "No right to make one, so this uses"
        return f"{how} channel {self._info.channel}, and a reader for it"

    def _take(self, items: Any) -> None:
        for item in items:
            if isinstance(item, Received) and item.item.id == self._message.id:
                self._received.set()

    def send(self) -> str:
        """Send the message."""
        with ChatProducer(self._settings) as producer:
            receipt = producer.send(self._message).result(self._settings.delivery_timeout + 1)
        return f"Acknowledged at offset {receipt.offset} of partition {receipt.partition}"

    def receive(self) -> str:
        """Wait for the reader."""
        if not self._received.wait(ANSWER_SECONDS):
            raise ServiceError(
                f"Sent, but not received within {ANSWER_SECONDS:g} s. Is the user allowed to read?"
            )
        return "Received what was sent"

    def archive(self) -> str:
        """Wait for the archive."""
        if self._needs_archiver:
            self._archiver = Archiver(self._settings).start()
        end = time.monotonic() + ARCHIVE_SECONDS
        while self._store.get(self._message.channel, self._message.id) is None:
            if time.monotonic() > end:
                raise ServiceError(
                    f"Not in MongoDB within {ARCHIVE_SECONDS:g} s. "
                    + (
                        f"The archiver started for this says: {self._archiver.status.problem}"
                        if self._archiver is not None
                        else "The archivers that run are far behind, or stuck: see what they say"
                    )
                )
            time.sleep(0.05)
        return "Archived" + (" by an archiver of our own" if self._archiver is not None else "")

    def load(self) -> str:
        """Read it back from the archive."""
        from chatkit.history import load

        found = load(self._store, channel=self._message.channel)
        if list(found["id"]) != [self._message.id]:
            raise ServiceError(f"Loaded {len(found)} messages instead of the one that was sent")
        return "Loaded the very message"

    def clean_up(self, in_archive: bool) -> str:
        """Take away all that was made; what was not made can't fail."""
        if self._consumer is not None:
            self._consumer.stop(2)
        if self._info is not None and self._made:
            self._channels.delete(self._info.channel)
        if self._archiver is not None:
            self._archiver.stop(4)
        if self._info is None:
            return "Nothing was made"
        name = self._info.channel
        if in_archive:
            self._store.delete_channel(name)
        if in_archive and self._made:
            with self._store.answering():
                positions = self._store.database["positions"]
                positions.delete_many({"topic_id": self._info.topic_id})
        return f"Deleted channel {name}" if self._made else f"Emptied the archive of {name}"
