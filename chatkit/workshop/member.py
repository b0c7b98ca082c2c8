"""One member of a consumer group, on a thread of its own, to start, stop, crash, pause, slow down.

It notes what happens to it: what it was assigned, what was taken away, what it committed and which
messages it handled, each with the time. A consumer of kafka-python belongs to its thread: others
leave orders, which the thread follows between polls and between messages. It knows nothing of
views or notebooks.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import (
    BrokerResponseError,
    FencedInstanceIdError,
    IllegalGenerationError,
    InconsistentGroupProtocolError,
    KafkaError,
    UnknownMemberIdError,
)
from kafka.structs import MemberState

from chatkit.connection import explain, make_client
from chatkit.errors import (
    BrokerRefusedError,
    BrokerUnavailableError,
    ChatkitError,
    InputError,
    WorkshopTimeoutError,
)
from chatkit.message import now_ms
from chatkit.settings import Settings
from chatkit.workshop.coordinator import Coordinator, listed, parts_told
from chatkit.workshop.notes import GroupEvent, Handled, Part, ends_of, handled_of

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["Member"]

logger = logging.getLogger(__name__)

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
    "cooperative": CooperativeStickyAssignor,
}
POLL_SECONDS = 0.1
COMMIT_SECONDS = 5.0
"""How long a commit is tried."""
AUTO_COMMIT_SECONDS = 1.0
"""How often Kafka's client commits by itself, and how often we look what it has committed."""
CLOSE_SECONDS = 2.0
LOOK_UP_SECONDS = 0.5
OBEY_SECONDS = 0.5
"""How long one that is to crash may take to notice, before its heartbeats are stopped from here."""

Commit = Literal["after", "before", "auto", "none"]
Assignor = Literal["range", "roundrobin", "sticky", "cooperative"]
Isolation = Literal["read_uncommitted", "read_committed"]
State = Literal[
    "new", "joining", "stable", "rebalancing", "paused", "left", "stopped", "crashed", "failed"
]
ENDED = frozenset({"left", "stopped", "crashed", "failed"})


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the member what the group gives and takes, on kafka-python's I/O thread."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._member._change("assigned", assigned)

    def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            self._member._change("revoked", revoked)

    def on_partitions_lost(self, lost: Any) -> None:
        self._member._change("lost", lost)


class Member:
    """One consumer in a group, on a thread of its own.

    All methods and properties may be used from any thread. Who starts it stops it; it may be
    started again after it has ended, and is a new member to the group then, while ``handled`` and
    ``history`` go on. ``with`` starts and stops it.

    Parameters
    ----------
    learner_or_settings : Learner or Settings
        A learner, whose prefix ``group`` and ``topics`` get, or where Kafka is, and they are full
        names.
    group : str
        The consumer group.
    topics : str or iterable of str
        What to read. A topic that is not there is waited for.
    name : str
        Who it is, also Kafka's ``client.id``.
    assignor : {"range", "roundrobin", "sticky", "cooperative"}
        How the group's leader splits the partitions; the same for all members. Start cooperative
        members one after the other, as `start` does if it waits: of simultaneous joins two may
        end with one partition.
    session_timeout : float, default 6
        Seconds without heartbeat after which the group gives its partitions to others.
    heartbeat : float, default 0.5
        Seconds between heartbeats, less than ``session_timeout``.
    max_poll_interval : float, default 300
        Seconds between polls after which it leaves the group by itself.
    max_poll_records : int, default 10
        Most messages of one poll.
    commit : {"after", "before", "auto", "none"}
        When to commit: after the messages of a poll are handled (at least once), before (at most
        once), by Kafka's client every second, or never.
    handle : callable, optional
        Called in the thread with each Handled. If it raises, the member fails: it commits nothing
        of that poll, and leaves the group.
    work : float, default 0
        Seconds that each message takes.
    instance : str, optional
        ``group.instance.id``: a static member, which may come back within ``session_timeout``
        without a rebalance.
    from_beginning : bool, default True
        Where to begin if the group has committed nothing: at the log's start, or at its end.
    isolation : {"read_uncommitted", "read_committed"}
        Whether messages of transactions that are open or were aborted are seen.

    Raises
    ------
    InputError
        One of these can't be so.
    """

    def __init__(
        self,
        learner_or_settings: Learner | Settings,
        group: str,
        topics: str | Iterable[str],
        *,
        name: str,
        assignor: Assignor = "range",
        session_timeout: float = 6.0,
        heartbeat: float = 0.5,
        max_poll_interval: float = 300.0,
        max_poll_records: int = 10,
        commit: Commit = "after",
        handle: Callable[[Handled], object] | None = None,
        work: float = 0.0,
        instance: str | None = None,
        from_beginning: bool = True,
        isolation: Isolation = "read_uncommitted",
    ) -> None:
        topics = [topics] if isinstance(topics, str) else list(topics)
        if isinstance(learner_or_settings, Settings):
            self._settings = learner_or_settings
        else:
            self._settings = learner_or_settings.settings
            group = learner_or_settings.group(group)
            topics = [learner_or_settings.topic(topic) for topic in topics]
        _check_choice("assignor", assignor, ASSIGNORS)
        _check_choice("commit", commit, get_args(Commit))
        _check_choice("isolation", isolation, get_args(Isolation))
        if not topics:
            raise InputError("A member reads at least one topic: name it")
        if not 0 < heartbeat < session_timeout:
            raise InputError(
                f"heartbeat must be more than 0 and less than session_timeout "
                f"({session_timeout:g} s), not {heartbeat:g} s; a third of it or less is usual"
            )
        if max_poll_records < 1 or max_poll_interval <= 0:
            raise InputError("max_poll_records and max_poll_interval must be more than 0")
        self.name = name
        self.group = group
        self.topics = tuple(topics)
        self.assignor = assignor
        self._commit_when = commit
        self._handle = handle
        self._work = _checked_work(work)
        self._instance = instance
        self._config: dict[str, Any] = {
            "group_id": group,
            "group_instance_id": instance,
            "partition_assignment_strategy": [ASSIGNORS[assignor]],
            "session_timeout_ms": int(session_timeout * 1000),
            "heartbeat_interval_ms": int(heartbeat * 1000),
            "max_poll_interval_ms": int(max_poll_interval * 1000),
            "max_poll_records": max_poll_records,
            "enable_auto_commit": commit == "auto",
            "auto_commit_interval_ms": int(AUTO_COMMIT_SECONDS * 1000),
            "auto_offset_reset": "earliest" if from_beginning else "latest",
            "isolation_level": isolation,
            "allow_auto_create_topics": False,
            "fetch_max_wait_ms": int(POLL_SECONDS * 1000),
            "metadata_max_age_ms": 3000,
        }
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._crashing = False
        self._crash_at: int | None = None
        self._commit_at_crash = False
        self._state: State = "new"
        self._error: Exception | None = None
        # Written by the thread, and by kafka-python's I/O thread while it waits in a poll; each
        # is replaced or appended to, never changed in place.
        self._consumer: KafkaConsumer | None = None
        self._assignment: frozenset[Part] = frozenset()
        self._positions: dict[Part, int] = {}
        self._committed: dict[Part, int] = {}
        self._handled: list[Handled] = []
        self._history: list[GroupEvent] = []
        # Owned by the thread:
        self._generation = -1
        self._looked = 0.0

    def __repr__(self) -> str:
        return f"<Member {self.name} of {self.group}: {self.state}>"

    # What it tells.

    @property
    def state(self) -> State:
        """``new``, ``joining``, ``stable``, ``rebalancing``, ``paused``, or how it ended."""
        state = self._state
        return "paused" if state not in ENDED and not self._going.is_set() else state

    @property
    def error(self) -> Exception | None:
        """What keeps it from reading now, or ended it; None if nothing does."""
        return self._error

    @property
    def assignment(self) -> frozenset[Part]:
        """The partitions that it owns, as far as it knows; those it had, if it crashed."""
        return self._assignment

    @property
    def positions(self) -> dict[Part, int]:
        """Partition that it owns -> offset of the message that the next poll gives."""
        owned = frozenset() if self._state == "crashed" else self._assignment
        return {part: at for part, at in self._positions.items() if part in owned}

    @property
    def committed(self) -> dict[Part, int]:
        """Partition -> offset that it committed last, also of partitions that it owns no more."""
        return dict(self._committed)

    @property
    def handled(self) -> list[Handled]:
        """The messages that it has handled, in that order, since it was made."""
        return list(self._handled)

    @property
    def history(self) -> list[GroupEvent]:
        """What has happened to it, oldest first, since it was made."""
        return list(self._history)

    @property
    def generation(self) -> int:
        """The group's generation that it has its place in; -1 if it is in none."""
        consumer = self._consumer
        return consumer.group_metadata().generation_id if consumer else -1

    @property
    def member_id(self) -> str:
        """The id that the group has given it; "" if it is in none."""
        consumer = self._consumer
        return consumer.group_metadata().member_id if consumer else ""

    # What it is told.

    def start(self, timeout: float = 20.0) -> Self:
        """Join the group, and wait until all of its partitions are assigned; idempotent.

        Parameters
        ----------
        timeout : float, default 20
            Seconds to wait; 0 returns at once, for joins at the same time or those that must wait
            for others.

        Raises
        ------
        WorkshopTimeoutError
            The group did not settle in time; the member was stopped.
        BrokerRefusedError
            Kafka refused it, or does not let us read.
        """
        with self._lock:
            if self._is_alive():
                return self
            self._end.clear()
            self._going.set()
            self._crashing = False
            self._error = None
            self._state = "joining"
            self._assignment = frozenset()
            self._positions = {}
            self._thread = threading.Thread(
                target=self._run, name=f"chatkit-member-{self.name}", daemon=True
            )
            self._note("starting", ())
            self._thread.start()
        if timeout > 0:
            try:
                self._wait_until_joined(timeout)
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self, timeout: float = 10.0) -> bool:
        """Handle what is in hand without further delay, leave the group, end; idempotent.

        A static member (``instance``) leaves nothing: the group keeps its partitions for it.

        Returns
        -------
        bool
            Whether it ended within ``timeout`` seconds; a ``handle`` that takes longer may keep it.
        """
        return self._finish(timeout)

    def crash(self, timeout: float = 5.0) -> bool:
        """Vanish as if killed: connections die, nothing is committed, the group is not told.

        The messages in hand are not handled. The group notices after ``session_timeout``.

        Returns
        -------
        bool
            Whether its thread ended within ``timeout`` seconds; if a ``handle`` keeps it, its
            heartbeats have ended all the same.
        """
        if self._is_alive():
            self._crashing = True
        return self._finish(timeout)

    def crash_after(self, count: int, *, crash_before_commit: bool = True) -> Self:
        """Crash by itself right after a message.

        Parameters
        ----------
        count : int
            Which of the messages that it handles, from 1, counted as `handled` does.
        crash_before_commit : bool, default True
            Whether it crashes before it has committed that message. False: it commits what it has
            handled up to there first. With ``commit="before"`` it has committed already.

        Raises
        ------
        InputError
            It has handled so many already.
        """
        if count <= len(self._handled):
            raise InputError(
                f"{self.name} has handled {len(self._handled)} messages already: choose a "
                "higher number"
            )
        self._commit_at_crash = not crash_before_commit
        self._crash_at = count
        return self

    def pause(self) -> None:
        """Stop handling and polling, while heartbeats go on; idempotent."""
        if self._is_alive() and self._going.is_set():
            self._going.clear()
            self._note("paused", self._assignment)

    def resume(self) -> None:
        """Go on after `pause`; idempotent."""
        if not self._going.is_set():
            self._going.set()
            self._note("resumed", self._assignment)

    def slow_down(self, seconds: float) -> None:
        """Let each message from the next on take so many seconds; 0 for none.

        Raises
        ------
        InputError
            The time is negative.
        """
        self._work = _checked_work(seconds)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # Waiting.

    def wait_until_handled(self, count: int, timeout: float = 20.0) -> Self:
        """Wait until it has handled so many messages.

        Raises
        ------
        WorkshopTimeoutError
            It has not in time.
        """

        def missing() -> str:
            done = len(self._handled)
            if done < count and not self._is_alive():
                self._raise_failure()
            return f"it has handled {done} and is {self.state}" if done < count else ""

        _wait(missing, timeout, f"{self.name} to handle {count} messages")
        return self

    def wait_until_ended(self, timeout: float = 20.0) -> Self:
        """Wait until it has left, crashed or failed.

        Raises
        ------
        WorkshopTimeoutError
            It goes on.
        """
        _wait(
            lambda: f"it is {self.state}" if self._is_alive() else "",
            timeout,
            f"{self.name} to end",
        )
        return self

    @staticmethod
    def wait_until_stable(
        members: Sequence[Member], timeout: float = 20.0
    ) -> dict[str, frozenset[Part]]:
        """Wait until a group's members and its coordinator agree on who owns what.

        That is: each member is in the group's present generation, the group has these members and
        no others, and each partition has one owner, which knows it.

        Parameters
        ----------
        members : sequence of Member
            All members of one group or more.
        timeout : float, default 20
            Seconds to wait.

        Returns
        -------
        dict
            Name of the member -> what it owns.

        Raises
        ------
        WorkshopTimeoutError
            They don't agree in time; the text says on what.
        """
        groups: dict[str, list[Member]] = {}
        for member in members:
            groups.setdefault(member.group, []).append(member)
        end = time.monotonic() + timeout
        for group, its in groups.items():
            with Coordinator(its[0]._settings, group) as coordinator:
                _wait(
                    partial(_disagreement, its, coordinator),
                    max(0.0, end - time.monotonic()),
                    f"group {group} to be stable",
                )
        return {member.name: member.assignment for member in members}

    def _wait_until_joined(self, timeout: float) -> None:
        def missing(coordinator: Coordinator) -> str:
            if not self._is_alive():
                self._raise_failure()
            if self._state != "stable":
                return f"{self.name} is {self.state}" + (f": {self._error}" if self._error else "")
            view = coordinator.look(self.topics)
            if self.member_id not in view.owned:
                return f"the group is {view.state} and does not know {self.name} yet"
            return view.trouble

        with Coordinator(self._settings, self.group) as coordinator:
            what = f"{self.name} to join group {self.group}"
            _wait(lambda: missing(coordinator), timeout, what)

    def _raise_failure(self) -> None:
        if isinstance(self._error, ChatkitError):
            raise self._error
        raise WorkshopTimeoutError(
            f"{self.name} is {self.state}"
            + (f" ({type(self._error).__name__}: {self._error})" if self._error else "")
            + ": start it again"
        ) from self._error

    # Ending.

    def _is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _finish(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        self._end.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(min(OBEY_SECONDS, timeout) if self._crashing else timeout)
        consumer = self._consumer
        if self._crashing and thread.is_alive() and consumer is not None:
            # It is in a handler of its user's, or waits for Kafka. Who is killed sends nothing more
            # either way; its own thread closes the sockets.
            consumer._net.stop(timeout_ms=1000)
        thread.join(max(0.0, deadline - time.monotonic()))
        return not thread.is_alive()

    # Everything below runs in the thread, or in kafka-python's while the thread waits for it.

    def _run(self) -> None:
        failed = False
        try:
            consumer = self._connect()
            if consumer is not None and self._subscribe(consumer):
                self._consume(consumer)
        except Exception as error:
            failed = not self._crashing
            if failed:
                logger.debug("Member %s failed", self.name, exc_info=True)
                self._error = error
        self._part(failed)

    def _connect(self) -> KafkaConsumer | None:
        while not self._end.is_set():
            try:
                kind: Any = self._named_consumer
                self._consumer = make_client(
                    kind,
                    self._settings,
                    timeout=min(2.0, self._settings.kafka_timeout),
                    **self._config,
                )
            except BrokerRefusedError:
                raise
            except BrokerUnavailableError as error:
                self._error = error
                self._end.wait(0.5)
            else:
                return self._consumer
        return None

    def _named_consumer(self, **config: Any) -> KafkaConsumer:
        return KafkaConsumer(**{**config, "client_id": self.name})

    def _subscribe(self, consumer: KafkaConsumer) -> bool:
        """Subscribe to the topics once they are there; False if it is to end before."""
        for topic in self.topics:
            # Asked also since a leader that does not know the partitions assigns none, for ever.
            while not consumer.partitions_for_topic(topic):
                self._error = InputError(
                    f"Topic {topic} is not there; {self.name} reads it once it is made"
                )
                if self._end.wait(LOOK_UP_SECONDS):
                    return False
        self._error = None
        consumer.subscribe(list(self.topics), listener=_Listener(self))
        # A leader that learns of partitions after the join would join again at once.
        consumer.topics()
        return True

    def _consume(self, consumer: KafkaConsumer) -> None:
        while not self._end.is_set():
            self._hold()
            if self._end.is_set():
                break
            records = self._poll(consumer)
            self._note_place(consumer)
            self._note_positions(consumer, records)
            if records:
                self._take(consumer, records)
            if self._commit_when == "auto":
                self._note_auto_commits(consumer)

    def _hold(self) -> None:
        """Wait while it is paused."""
        while not self._going.wait(0.05) and not self._end.is_set():
            pass

    def _poll(self, consumer: KafkaConsumer) -> list[Any]:
        try:
            batches = consumer.poll(timeout_ms=int(POLL_SECONDS * 1000))
        except KafkaError as error:
            if _is_final(error):
                raise self._explained(error) from error
            self._error = error
            self._end.wait(0.2)
            return []
        self._error = None
        return [record for records in batches.values() for record in records]

    def _explained(self, error: KafkaError) -> Exception:
        if isinstance(error, InconsistentGroupProtocolError):
            return BrokerRefusedError(
                f"Group {self.group} has members with another assignor than {self.assignor!r}: "
                "give all the same, or stop the others first"
            )
        if isinstance(error, FencedInstanceIdError):
            return BrokerRefusedError(
                f"Another member has joined group {self.group} as instance {self._instance!r}: "
                "give each an instance of its own"
            )
        return explain(self._settings, error, POLL_SECONDS, right="Read")

    def _take(self, consumer: KafkaConsumer, records: Sequence[Any]) -> None:
        if self._commit_when == "before":
            self._commit(consumer, ends_of(records))
        done: list[Any] = []
        for record in records:
            self._hold()
            self._end.wait(self._work)
            if self._crashing:
                return
            handled = handled_of(record)
            if self._handle is not None:
                self._handle(handled)
            self._handled.append(handled)
            done.append(record)
            if self._crash_at is not None and len(self._handled) >= self._crash_at:
                if self._commit_at_crash and self._commit_when in ("after", "auto"):
                    self._commit(consumer, ends_of(done))
                self._crash_at = None
                self._crashing = True
                self._end.set()
                return
        if self._commit_when == "after" and not self._crashing:
            self._commit(consumer, ends_of(done))

    def _commit(self, consumer: KafkaConsumer, ends: Mapping[Part, int]) -> None:
        offsets = {
            TopicPartition(*part): OffsetAndMetadata(end, "", -1) for part, end in ends.items()
        }
        try:
            consumer.commit(offsets, timeout_ms=int(COMMIT_SECONDS * 1000))
        except FencedInstanceIdError as error:
            raise self._explained(error) from error
        except KafkaError as error:
            # Mostly the group has given its partitions to others, who will see these again.
            text = f"{type(error).__name__}: {error}"
            self._note("commit refused", ends, offsets=dict(ends), text=text)
        else:
            self._note_commit(ends)

    def _note_commit(self, ends: Mapping[Part, int]) -> None:
        self._committed = {**self._committed, **ends}
        self._note("commit", ends, offsets=dict(ends))

    def _note_auto_commits(self, consumer: KafkaConsumer) -> None:
        """Look what kafka-python has committed by itself, of which it does not tell."""
        now = time.monotonic()
        if now - self._looked < AUTO_COMMIT_SECONDS / 2:
            return
        self._looked = now
        found = {}
        for part in self._assignment:
            with contextlib.suppress(KafkaError):
                offset = consumer.committed(TopicPartition(*part), timeout_ms=500)
                if offset is not None and offset != self._committed.get(part):
                    found[part] = offset
        if found:
            self._note_commit(found)

    def _note_place(self, consumer: KafkaConsumer) -> None:
        """Note whether it has its place in the group, and in which generation."""
        place = consumer.group_metadata()
        if place.state == MemberState.STABLE:
            if self._state != "stable" or place.generation_id != self._generation:
                self._state = "stable"
                self._generation = place.generation_id
                self._note("joined", self._assignment)
            return
        if place.state == MemberState.REBALANCING:
            # If metadata come while it joins, kafka-python forgets that it does: it would wait for
            # ever, without heartbeats.
            consumer._coordinator.request_rejoin()
        if self._state == "stable":
            self._state = "rebalancing"
            self._note("rebalancing", self._assignment)

    def _note_positions(self, consumer: KafkaConsumer, records: Sequence[Any]) -> None:
        found = ends_of(records)
        for part in self._assignment - found.keys():
            if part in self._positions and records:
                continue
            with contextlib.suppress(KafkaError, KeyError):
                position = consumer.position(TopicPartition(*part), timeout_ms=200)
                if position is not None:
                    found[part] = position
        known = {**self._positions, **found}
        self._positions = {part: known[part] for part in self._assignment & known.keys()}

    def _change(self, kind: str, partitions: Iterable[TopicPartition]) -> None:
        changed = frozenset((part.topic, part.partition) for part in partitions)
        if kind == "assigned":
            self._assignment |= changed
        else:
            self._assignment -= changed
        self._note(kind, changed)

    def _note(
        self,
        kind: str,
        partitions: Iterable[Part],
        *,
        offsets: dict[Part, int] | None = None,
        text: str = "",
    ) -> None:
        self._history.append(
            GroupEvent(
                at_ms=now_ms(),
                kind=kind,
                partitions=frozenset(partitions),
                generation=self.generation,
                offsets=offsets or {},
                text=text,
            )
        )

    def _part(self, failed: bool) -> None:
        """End as it was told: gone without a word, or with a goodbye to the group."""
        consumer = self._consumer
        ending: State = "crashed"
        if not self._crashing:
            ending = "failed" if failed else "stopped" if self._instance else "left"
        with contextlib.suppress(KafkaError, RuntimeError):
            if consumer is not None and self._crashing:
                # As the kernel does for a process that was killed: no commit, no LeaveGroup.
                consumer._client.close()
            elif consumer is not None:
                consumer.close(autocommit=not failed, timeout_ms=int(CLOSE_SECONDS * 1000))
        self._note(ending, self._assignment, text=str(self._error) if failed else "")
        self._consumer = None
        self._generation = -1
        self._state = ending


def _disagreement(members: Sequence[Member], coordinator: Coordinator) -> str:
    """Return on what members and coordinator don't agree; "" if they do."""
    for member in members:
        if not member._is_alive():
            member._raise_failure()
        if member._state != "stable":
            return f"{member.name} is {member.state}"
    before = [(member.generation, member.assignment) for member in members]
    topics = sorted({topic for member in members for topic in member.topics})
    view = coordinator.look(topics)
    names = {member.member_id: member.name for member in members}
    if view.trouble:
        return view.trouble
    if len({generation for generation, _ in before}) > 1:
        told = (f"{member.name} {member.generation}" for member in members)
        return f"they are in different generations: {listed(told)}"
    if others := view.clients.keys() - names.keys():
        return f"the group also has {listed(view.clients[one] for one in others)}"
    for member in members:
        owned = view.owned.get(member.member_id)
        if owned is None:
            return f"the group does not know {member.name}"
        if owned != member.assignment:
            knows, says = parts_told(member.assignment), parts_told(owned)
            return f"{member.name} has {knows}, the group says {says}"
    if before != [(member.generation, member.assignment) for member in members]:
        return "the group has just changed"
    return ""


def _wait(missing: Callable[[], str], timeout: float, what: str) -> None:
    """Wait until nothing is missing any more; ``missing`` says what is."""
    end = time.monotonic() + timeout
    while problem := missing():
        if time.monotonic() > end:
            raise WorkshopTimeoutError(
                f"Waited {timeout:g} s for {what}. Last seen: {problem}. Look at the members' "
                "state, error and history; a member that is paused or busy keeps a group waiting"
            )
        time.sleep(0.05)


def _is_final(error: KafkaError) -> bool:
    again = isinstance(error, UnknownMemberIdError | IllegalGenerationError)
    return isinstance(error, BrokerResponseError) and not error.retriable and not again


def _check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise InputError(f"{what} is one of {', '.join(choices)}, not {value!r}")


def _checked_work(seconds: float) -> float:
    if seconds < 0:
        raise InputError(f"The work on a message takes 0 seconds or more, not {seconds:g}")
    return seconds
