"""Presence: who is there and who is typing, by beats in a Kafka topic that are never archived.

Each chatkit that is open says every 15 s that it is, in a topic that keeps some minutes; who was
not heard of for 45 s is gone. `Voice` says when to speak and `Roster` what was heard, both without
I/O; `Presence` is the thread that carries beats between them and Kafka. Chat works without all
that. It knows nothing of MongoDB or widgets.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any, Literal, NamedTuple, Self

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from chatkit.channels import Channels
from chatkit.connection import explain
from chatkit.consumer import Gap, close_reader, make_reader, read_records
from chatkit.errors import BrokerRefusedError, ChatkitError, InputError
from chatkit.message import Beat, check_channel_name, decode_beat, new_id
from chatkit.producer import Receipt
from chatkit.settings import Settings

__all__ = ["Person", "Presence", "Roster", "Voice"]

logger = logging.getLogger(__name__)

BEAT_SECONDS = 15.0
"""How often to say that one is there."""
GONE_SECONDS = 45.0
"""After which one who was not heard of is gone."""
LEFT_SECONDS = 300.0
"""For how long to remember somebody who is gone."""
TYPING_SECONDS = 6.0
"""After which nobody is typing any more who did not say so again."""
TYPING_EVERY_SECONDS = 3.0
"""How often to say that one is typing, at most."""
QUIET_SECONDS = 1.0
"""For how long after a message its author's beat may come late, and is not believed."""
PEOPLE = 5000
"""How many people to keep; those who were not heard of for longest are forgotten first."""
INSTANCES = 20
"""How many chatkits of one person to keep."""
ANSWER_SECONDS = 2.0
"""How long Kafka may take for an answer, so that closing is never held up for long."""
RETRY_SECONDS = 0.5
REFUSED_SECONDS = 60.0
"""How long to leave Kafka alone once it has refused us."""
POLL_SECONDS = 0.25
"""How long one's own news may wait; each poll costs every open chatkit."""
FETCH_SECONDS = 0.5
"""How long a broker waits for beats before it says that there are none; each answer costs too."""
TICK_SECONDS = 0.5
"""How often to look who is gone."""


class Person(msgspec.Struct, frozen=True):
    """Somebody who is there, or was a moment ago."""

    name: str
    """Who it is: a claim, not a proof."""
    state: Literal["here", "away", "left"]
    """``here`` if any chatkit of theirs is looked at, ``away`` if one is open, else ``left``."""
    typing: str
    """Name of the channel in which they are writing now, or empty."""
    seen_ms: int
    """When Kafka got the last word of them, ms since 1970 UTC."""


class Voice:
    """What one chatkit is to say of its user, and when. No I/O; not thread-safe.

    Parameters
    ----------
    user : str
        Whose chatkit.
    clock : callable, default time.monotonic
        Returns seconds.
    """

    def __init__(self, user: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._user = user
        self._clock = clock
        self._instance = new_id()
        self._away = False
        self._channel = ""
        self._typed = float("-inf")
        self.restart()

    def restart(self) -> None:
        """Forget what was said, so that the next beat is due at once."""
        self._said: Beat | None = None
        self._said_at = float("-inf")
        self._said_typing_at = float("-inf")

    def set_away(self, away: bool) -> None:
        """Note whether the user is at the keyboard."""
        self._away = away

    def typing(self, channel: str | None) -> None:
        """Note that the user is writing in a channel now; None: nowhere."""
        self._channel = channel or ""
        self._typed = self._clock()

    def stopped_typing(self, channel: str) -> None:
        """Note that what the user was writing in a channel has arrived there: all know by that."""
        if self._channel == channel:
            self._channel = ""
        if self._said is not None and self._said.typing == channel:
            self._said = msgspec.structs.replace(self._said, typing="")

    def due(self) -> Beat | None:
        """Return a beat if it is time for one, and take it as said."""
        now = self._clock()
        beat = self._beat("away" if self._away else "here")
        if now - self._typed >= TYPING_SECONDS:
            beat = msgspec.structs.replace(beat, typing="")
        if not self._is_due(beat, now):
            return None
        self._said, self._said_at = beat, now
        if beat.typing:
            self._said_typing_at = now
        return beat

    def _is_due(self, beat: Beat, now: float) -> bool:
        said = self._said
        if said is None or said.state != beat.state or now - self._said_at >= BEAT_SECONDS:
            return True
        since = now - self._said_typing_at
        if not beat.typing:
            return bool(said.typing) and since < TYPING_SECONDS  # later they know by themselves
        news = beat.typing != said.typing or self._typed > self._said_typing_at
        return news and since >= TYPING_EVERY_SECONDS

    def farewell(self) -> Beat:
        """Return the last beat of all."""
        return msgspec.structs.replace(self._beat("left"), typing="")

    def _beat(self, state: Literal["here", "away", "left"]) -> Beat:
        return Beat(user=self._user, instance=self._instance, state=state, typing=self._channel)


class _Reached(NamedTuple):
    offset: int
    appended_ms: int
    at: float


class _Instance(msgspec.Struct):
    """One chatkit of somebody's; times in seconds of our own clock."""

    state: Literal["here", "away"]
    typing: str
    seen: float


class _Known(msgspec.Struct):
    """Somebody of whom we heard; times in seconds of our own clock."""

    person: Person
    """As last shown."""
    seen: float
    instances: dict[str, _Instance]
    """Those that were heard last come last."""
    until: float = 0.0
    """When they may have to be shown differently, even if nothing is heard."""
    quiet: str = ""
    """The channel where their last message arrived."""
    quiet_until: float = 0.0


class Roster:
    """What beats say of who is there. No I/O; not thread-safe.

    No two machines need agree on the time: what is read as it comes is of now, by our own clock,
    and what was in the log before is older by as much as Kafka says.

    Parameters
    ----------
    clock : callable, default time.monotonic
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Known] = {}  # those who were heard last come last
        self._reached: _Reached | None = None

    def restart(self) -> None:
        """Forget how far the log goes: it may be another one."""
        self._reached = None

    def reach(self, offset: int, appended_ms: int) -> None:
        """Note that something was appended to the log right now; what is before it is older."""
        if self._reached is None or offset > self._reached.offset:
            self._reached = _Reached(offset, appended_ms, self._clock())

    def hear(self, beat: Beat, offset: int, appended_ms: int) -> bool:
        """Take a beat, and return whether anybody is to be shown differently now.

        Parameters
        ----------
        beat : Beat
            What was read.
        offset : int
            Where in the log.
        appended_ms : int
            When Kafka appended it, ms since 1970 UTC by its own clock.
        """
        self.reach(offset, appended_ms)
        reached = self._reached
        assert reached is not None
        now = self._clock()
        before = (reached.appended_ms - appended_ms) / 1000 if offset < reached.offset else 0.0
        seen = min(now, reached.at - before)

        others = len(self._known)
        unseen = _Known(Person(beat.user, "left", "", 0), seen, {})
        known = self._known[beat.user] = self._known.pop(beat.user, unseen)
        known.seen = seen
        known.instances.pop(beat.instance, None)
        if beat.state != "left":
            late = beat.typing == known.quiet and now < known.quiet_until
            typing = "" if late else beat.typing
            known.instances[beat.instance] = _Instance(beat.state, typing, seen)
            if len(known.instances) > INSTANCES:
                del known.instances[next(iter(known.instances))]
        is_new = len(self._known) > others
        if len(self._known) > PEOPLE:
            del self._known[next(iter(self._known))]
        return self._show(known, now, appended_ms) or is_new

    def stopped_typing(self, name: str, channel: str) -> bool:
        """Note that a message of somebody's arrived; returns as `hear` does."""
        known = self._known.get(name)
        if known is None:
            return False
        now = self._clock()
        known.quiet, known.quiet_until = channel, now + QUIET_SECONDS
        for instance in known.instances.values():
            if instance.typing == channel:
                instance.typing = ""
        return self._show(known, now, known.person.seen_ms)

    def expire(self) -> bool:
        """Note who is gone or ceased to type by now; returns as `hear` does."""
        now = self._clock()
        changed = False
        for known in [one for one in self._known.values() if one.until <= now]:
            changed |= self._show(known, now, known.person.seen_ms)
        return changed

    def people(self) -> tuple[Person, ...]:
        """Return all of whom is known, sorted by name; call `expire` before."""
        return tuple(self._known[name].person for name in sorted(self._known))

    def _show(self, known: _Known, now: float, seen_ms: int) -> bool:
        """Make up somebody's Person; return whether it says something else than before."""
        gone = [name for name, one in known.instances.items() if one.seen + GONE_SECONDS <= now]
        for name in gone:
            del known.instances[name]
        before, live = known.person, known.instances.values()
        if not live and known.seen + LEFT_SECONDS <= now:
            del self._known[before.name]
            return True
        states = {one.state for one in live}
        state: Literal["here", "away", "left"] = (
            "here" if "here" in states else "away" if states else "left"
        )
        typing = [one for one in live if one.typing and one.seen + TYPING_SECONDS > now]
        ends = [one.seen + GONE_SECONDS for one in live] or [known.seen + LEFT_SECONDS]
        known.until = min(ends + [one.seen + TYPING_SECONDS for one in typing])
        known.person = Person(before.name, state, typing[-1].typing if typing else "", seen_ms)
        return (before.state, before.typing) != (state, known.person.typing)


class Presence:
    """Says that a user is there, and hears who else is.

    Methods may be called from any thread, return at once and never fail for Kafka's sake: while it
    is away, or refuses, nobody is there. New, then open, then closed for good. Who makes it closes
    it.

    Parameters
    ----------
    settings : Settings
        Where Kafka is.
    user : str
        Who is there.
    send : callable
        Queues a Beat and returns the Future of its Receipt, as `ChatProducer.send` does. It is
        asked for no second one while a first is under way.
    on_change : callable
        Called in the thread whenever `people` says something new; must return soon.
    clock : callable, default time.monotonic
        Returns seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        user: str,
        send: Callable[[Beat], Future[Receipt]],
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings.replace(
            user=user, kafka_timeout=min(ANSWER_SECONDS, settings.kafka_timeout)
        )
        self._send = send
        self._on_change = on_change
        self._lock = threading.Lock()
        self._voice = Voice(user, clock)
        self._roster = Roster(clock)
        self._changed = False
        self._under_way: Future[Receipt] | None = None
        self._is_heard = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        # Owned by the thread:
        self._problem = ""

    def open(self) -> Self:
        """Start to speak and to listen; returns at once, also with no broker.

        Raises
        ------
        RuntimeError
            It was closed.
        """
        with self._lock:
            if self._stop.is_set():
                raise RuntimeError("This Presence is closed; make a new one")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="chatkit-presence", daemon=True
                )
                self._thread.start()
        return self

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self, timeout: float = 1.0) -> None:
        """Say that one leaves, where Kafka listens, and end the thread; idempotent.

        Parameters
        ----------
        timeout : float, default 1
            Seconds that it may take. A thread that waits for a broker ends by itself, soon after.
        """
        end = time.monotonic() + timeout
        with self._lock:
            is_first = not self._stop.is_set()
            self._stop.set()  # within the lock, so that no beat follows the farewell
            thread, under_way = self._thread, self._under_way
        if is_first and self._is_heard:
            self._say_farewell(under_way, timeout / 2)
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, end - time.monotonic()))

    def _say_farewell(self, under_way: Future[Receipt] | None, seconds: float) -> None:
        end = time.monotonic() + seconds
        if under_way is not None and wait_for([under_way], seconds).not_done:
            return  # Kafka is away: others will see it all the same
        with contextlib.suppress(RuntimeError):  # the producer was closed before
            wait_for([self._send(self._voice.farewell())], max(0.0, end - time.monotonic()))

    def set_away(self, away: bool) -> None:
        """Let the others see whether the user is at the keyboard."""
        with self._lock:
            self._voice.set_away(away)

    def typing(self, channel: str | None) -> None:
        """Let the others see that the user is writing in a channel; call it with each key.

        It ends by itself after 6 s.

        Parameters
        ----------
        channel : str or None
            Name of the channel; None: no longer.

        Raises
        ------
        ChannelNameError
            No channel can have this name.
        """
        if channel is not None:
            check_channel_name(channel)
        with self._lock:
            self._voice.typing(channel)

    def stopped_typing(self, name: str, channel: str) -> None:
        """Note that a message of somebody's has arrived in a channel."""
        with self._lock:
            if name == self._settings.user:
                self._voice.stopped_typing(channel)
            self._changed |= self._roster.stopped_typing(name, channel)

    def people(self) -> tuple[Person, ...]:
        """Return who is there, away, or left some minutes ago, sorted by name."""
        with self._lock:
            self._changed |= self._roster.expire()
            return self._roster.people()

    # Everything below runs in the thread.

    def _run(self) -> None:
        while not self._stop.is_set():
            pause = RETRY_SECONDS
            try:
                self._follow()
            except (ChatkitError, KafkaError) as error:
                problem: Exception = error
                if isinstance(error, KafkaError):
                    problem = explain(self._settings, error, ANSWER_SECONDS, right="Read")
                refused = isinstance(problem, BrokerRefusedError)
                pause = REFUSED_SECONDS if refused else RETRY_SECONDS
                self._tell(str(problem), logging.WARNING if refused else logging.INFO)
            except Exception as error:
                pause = REFUSED_SECONDS
                self._tell(f"{type(error).__name__}: {error}", logging.ERROR, exc_info=True)
            self._is_heard = False
            self._rest(pause)

    def _tell(self, problem: str, level: int, **more: Any) -> None:
        if problem != self._problem and not self._stop.is_set():
            logger.log(level, "It is not known who is there. %s", problem, **more)
        self._problem = problem

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stop.wait(min(left, TICK_SECONDS)):
            self._tick()

    def _follow(self) -> None:
        """Speak and listen until something fails."""
        with Channels(self._settings) as channels:
            # Before the first beat: a producer that looks for a topic keeps messages waiting.
            channels.ensure_presence_topic()
        consumer = make_reader(self._settings, fetch_seconds=FETCH_SECONDS)
        try:
            part = TopicPartition(self._settings.presence_topic, 0)
            receipt = self._say_first()
            if receipt is None:
                return
            with self._lock:
                self._roster.restart()
                self._roster.reach(receipt.offset, receipt.appended_ms)
            consumer.assign([part])
            consumer.seek(part, self._begin(consumer, part, receipt))
            self._is_heard, self._problem = True, ""
            for batch in read_records(consumer, self._stop, poll_seconds=POLL_SECONDS):
                self._hear(batch)
                self._land()
                self._speak()
                self._tick()
                if consumer._client.cluster.partitions_for_topic(part.topic) is None:
                    return  # somebody deleted the topic
        finally:
            close_reader(consumer)

    def _say_first(self) -> Receipt | None:
        """Say that one is there, and return where Kafka put it: that is now. None: we are to end.

        A beat of before a failure may still be under way; nothing is made of when it arrives.
        """
        with contextlib.suppress(ChatkitError):
            self._wait_for_landing()
        with self._lock:
            self._voice.restart()
        self._speak()
        return self._wait_for_landing()

    def _wait_for_landing(self) -> Receipt | None:
        while self._under_way is not None and not self._stop.is_set():
            wait_for([self._under_way], TICK_SECONDS)
            if (receipt := self._land()) is not None:
                return receipt
            self._tick()
        return None

    def _speak(self) -> None:
        """Send a beat if one is due, and none under way: they must not pile up."""
        with self._lock:
            if self._stop.is_set() or self._under_way is not None:
                return
            beat = self._voice.due()
            if beat is not None:
                with contextlib.suppress(RuntimeError):  # the producer was closed before us
                    self._under_way = self._send(beat)

    def _land(self) -> Receipt | None:
        """Take the receipt of the beat that was under way, or what it failed with."""
        under_way = self._under_way
        if under_way is None or not under_way.done():
            return None
        self._under_way = None
        receipt = under_way.result()
        with self._lock:
            self._roster.reach(receipt.offset, receipt.appended_ms)
        return receipt

    @staticmethod
    def _begin(consumer: KafkaConsumer, part: TopicPartition, receipt: Receipt) -> int:
        """Return the offset from which on beats may be of people who are there still."""
        since = max(0, receipt.appended_ms - int(GONE_SECONDS * 1000))
        found = consumer.offsets_for_times({part: since}, timeout_ms=int(ANSWER_SECONDS * 1000))
        return receipt.offset if found[part] is None else int(found[part].offset)

    def _hear(self, batch: Sequence[Any]) -> None:
        with self._lock:
            for record in batch:
                if isinstance(record, Gap):
                    self._roster.restart()
                    continue
                try:
                    beat = decode_beat(record.value)
                except InputError as error:
                    logger.debug("A record of who is there is ignored: %s", error)
                    continue
                self._changed |= self._roster.hear(beat, record.offset, record.timestamp)

    def _tick(self) -> None:
        """Let time pass, and tell what has changed."""
        with self._lock:
            changed = self._roster.expire() or self._changed
            self._changed = False
        if not changed or self._stop.is_set():
            return
        try:
            self._on_change()
        except Exception:
            logger.exception("What was to be told of who is there failed itself")
