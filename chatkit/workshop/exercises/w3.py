"""Exercises of w3: consumer groups.

============  ============================  ======================================================
check         is handed                     looks at
============  ============================  ======================================================
``crew``      ``learner``                   the learner's topic ``crates`` and group ``crew``
``audit``     ``learner``                   how far the groups ``print`` and ``audit`` have read
``window``    ``learner``, ``open_window``  what two windows that the function opens see
============  ============================  ======================================================

The windows are opened on ``w3-room`` in the learner's own corner, which the check makes: it has
three partitions and a few old records when they are opened.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from chatkit.workshop.check import Right, Wrong, ask, exercise, shown
from chatkit.workshop.exercises.topics import edges_of
from chatkit.workshop.sender import Sender

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["audit", "crew", "window"]

CREW = 4
BILLS = 20
ROOM = "w3-room"
ROOM_PARTITIONS = 3
OLD = 6
NEW = 12
SETTLE_SECONDS = 8.0
"""How long a group may take until its members are known and its partitions assigned."""
SEE_SECONDS = 4.0
"""How long windows that have not seen everything may take to see more."""


@exercise(
    "w3",
    "Let four members share the work of group 'crew' on a topic 'crates', so that none of them is "
    "idle.",
    {
        "no topic": "There is no topic {topic} on this Kafka: learner.create('crates', ...) makes "
        "it.",
        "nobody": "Group {group} has no members now. Start them, and let them run: a Member that "
        "was made reads only once start() was called.",
        "few": "Group {group} has {count} member(s), not 4: {names}.",
        "apart": "Group {group} has {count} member(s), and there are other groups of yours with "
        "members: {others}. Members share only what is read by the same group.",
        "many": "Group {group} has {count} members, not 4: {names}. Some may be of an earlier try: "
        "stop() them.",
        "elsewhere": "The members of {group} read other topics than {topic}: {topics}.",
        "idle": "{names} of group {group} own(s) nothing: {topic} has {partitions} partition(s), "
        "and a partition has one member of a group. learner.grow('crates', ...) gives it more; the "
        "members learn of it within some seconds.",
        "unsettled": "Group {group} is {state} after {seconds:g} s, so nobody knows yet who owns "
        "what. Check again; if it stays so, look at member.error.",
    },
)
def crew(learner: Learner) -> Right | Wrong:
    """Look at the learner's group ``crew``, whose members run."""
    topic, group = learner.topic("crates"), learner.group("crew")
    edges = edges_of(learner, topic)
    if not edges:
        return Wrong("no topic", topic=topic)
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        found = _look_at_crew(learner, topic, group, len(edges))
        # A topic that has just grown, or a member that has just come, takes a while.
        passing = isinstance(found, Right) or found.hint not in ("idle", "unsettled")
        if passing or time.monotonic() > until:
            return found
        time.sleep(0.2)


def _look_at_crew(learner: Learner, topic: str, group: str, partitions: int) -> Right | Wrong:
    groups = learner.inspector.groups(learner.prefix)
    ours = groups[groups["group"] == group]
    members = learner.inspector.members(group)
    names = ", ".join(members["client"])
    seen: dict[str, object] = {"group": group, "topic": topic, "names": names}
    others = groups[(groups["members"] > 0) & (groups["group"] != group)]["group"]
    if not ours.empty and ours["state"].iloc[0] not in ("Stable", "Empty", "Dead"):
        return Wrong("unsettled", state=ours["state"].iloc[0], seconds=SETTLE_SECONDS, **seen)
    if len(members) < CREW and len(others):
        return Wrong("apart", count=len(members), others=", ".join(others), **seen)
    if members.empty:
        return Wrong("nobody", **seen)
    if len(members) != CREW:
        return Wrong("few" if len(members) < CREW else "many", count=len(members), **seen)
    topics = {name for owned in members["partitions"] for name, _ in owned}
    if topics - {topic}:
        return Wrong("elsewhere", topics=", ".join(sorted(topics)), **seen)
    idle = [
        name
        for name, owned in zip(members["client"], members["partitions"], strict=True)
        if not owned
    ]
    if idle:
        return Wrong("idle", partitions=partitions, **{**seen, "names": ", ".join(idle)})
    counts = " and ".join(str(len(owned)) for owned in members["partitions"])
    return Right(f"All four of {names} have work: {counts} partitions of {topic}.")


@exercise(
    "w3",
    "An auditor is to see all 20 records of topic 'bills' that the printer, of group 'print', has "
    "read already. Let it read them in group 'audit', to the end.",
    {
        "no topic": "There is no topic {topic} with 20 records on this Kafka: run the cell above "
        "this exercise again.",
        "nothing": "Group {group} has committed nothing, so it has read nothing. Does the auditor "
        "name 'audit' as its group, and does it begin at the beginning (from_beginning=True, which "
        "is the default)? A member that reads as 'print' gets nothing: that group has read it all.",
        "behind": "Group {group} has read {read} of {count} records. Did the auditor end too "
        "early? auditor.wait_until_handled(20) waits until it has handled them.",
        "printer": "The auditor has read everything, but group {group} has not: run the cell above "
        "this exercise again.",
    },
)
def audit(learner: Learner) -> Right | Wrong:
    """Look how far both groups have read the learner's topic ``bills``."""
    topic = learner.topic("bills")
    count = sum(end - start for start, end in edges_of(learner, topic).values())
    if count < BILLS:
        return Wrong("no topic", topic=topic)
    until = time.monotonic() + 2.0  # a member commits right after it has handled
    read = 0
    while read < count and time.monotonic() < until:
        read = _read_by(learner, "audit", topic)
        time.sleep(0.1)
    if read == 0:
        return Wrong("nothing", group=learner.group("audit"))
    if read < count:
        return Wrong("behind", group=learner.group("audit"), read=read, count=count)
    if _read_by(learner, "print", topic) < count:
        return Wrong("printer", group=learner.group("print"))
    return Right(f"Both groups have read all {count} records of {topic}, each for itself.")


def _read_by(learner: Learner, group: str, topic: str) -> int:
    offsets = learner.inspector.offsets(learner.group(group))
    ours = offsets[(offsets["topic"] == topic) & offsets["committed"].notna()]
    return int((ours["committed"] - ours["log_start"]).sum())


@exercise(
    "w3",
    "Write a function open_window(topic) that returns a KafkaConsumer for a chat window: it sees "
    "what is written from now on, in all partitions, whoever else reads, and is in no group.",
    {
        "untried": "open_window({topic!r}) returned {answer}; a KafkaConsumer is asked for.",
        "same": "Both calls returned the same consumer. Two windows are two consumers.",
        "shared": "Both windows are in group {group}: of {count} new records the one saw "
        "{first} and the other {second}. A group shares what there is.",
        "group each": "Each window sees everything, but is in a group: {group} and {other}. Both "
        "groups stay in Kafka when the windows are closed, with committed offsets that nobody will "
        "need. Without group_id, and with assign(), no group is needed.",
        "old": "The window also shows {old} record(s) that were there before it was opened. "
        "consumer.seek_to_end() goes to the end of what is assigned.",
        "some partitions": "The window saw {first} of {count} new records: those of partition(s) "
        "{places}. A topic has as many as consumer.partitions_for_topic(topic) says: assign all.",
        "nothing": "The window saw none of {count} new records. Is it assigned partitions? "
        "consumer.assign([TopicPartition(topic, 0), ...]) does that.",
        "fails": "Reading with the consumer raised {error}.",
        "lost": "The windows saw {first} and {second} of {count} new records.",
    },
)
def window(learner: Learner, answer: object) -> Right | Wrong:
    """Open two windows with the learner's function, write, and look what they see."""
    topic = learner.create(ROOM, partitions=ROOM_PARTITIONS)
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(Sender(learner, topic, name="check"))
        _write(sender, OLD)
        windows: list[KafkaConsumer] = []
        for _ in range(2):
            opened = ask(answer, topic)
            if not isinstance(opened, KafkaConsumer):
                return Wrong("untried", topic=topic, answer=shown(opened))
            if opened in windows:
                return Wrong("same")
            stack.callback(_close, opened)
            windows.append(opened)
        try:
            old = _settle(windows)
            _write(sender, NEW)
            # The last ones written; whatever else comes was there before.
            new = {one.id for one in sender.sent[-NEW:]}
            seen = _see(windows, new)
        except (KafkaError, RuntimeError, AssertionError, ValueError) as error:
            return Wrong("fails", error=f"{type(error).__name__}: {error}")
        groups = [one.config["group_id"] for one in windows]
        return _judge(groups, old, [[at for at, name in one if name in new] for one in seen], seen)


def _judge(
    groups: Sequence[str | None],
    old: Sequence[int],
    places: Sequence[Sequence[int]],
    seen: Sequence[Sequence[tuple[int, str | None]]],
) -> Right | Wrong:
    """Say what is wrong with two windows, of which is known in which partitions they saw what."""
    first, second = (len(one) for one in places)
    told: dict[str, object] = {"first": first, "second": second, "count": NEW}
    if groups[0] is not None and groups[0] == groups[1]:
        return Wrong("shared", group=groups[0], **told)
    before = max(old) + max(len(one) - len(its) for one, its in zip(seen, places, strict=True))
    if before:
        return Wrong("old", old=before)
    if first == second == NEW:
        if groups != [None, None]:
            return Wrong("group each", group=groups[0], other=groups[1])
        return Right(
            f"Two windows were opened; {NEW} records were written to {ROOM_PARTITIONS} partitions, "
            f"and each window saw all {NEW}. Neither is in a group."
        )
    if not first:
        return Wrong("nothing", **told)
    numbers = sorted(set(places[0]))
    if len(numbers) < ROOM_PARTITIONS:
        return Wrong("some partitions", places=", ".join(map(str, numbers)), **told)
    return Wrong("lost", **told)


def _settle(windows: Sequence[KafkaConsumer]) -> list[int]:
    """Poll until the windows know where they read; return how many records each got already.

    One that is assigned nothing at all is not waited for longer than a group takes to settle.
    """
    counts = [0 for _ in windows]
    until = time.monotonic() + SETTLE_SECONDS
    is_settled = False
    while not is_settled and time.monotonic() < until:
        for number, one in enumerate(windows):
            counts[number] += sum(map(len, one.poll(timeout_ms=200).values()))
        is_settled = all(_is_placed(one) for one in windows)
    for number, one in enumerate(windows):  # what was fetched meanwhile
        counts[number] += sum(map(len, one.poll(timeout_ms=200).values()))
    return counts


def _is_placed(one: KafkaConsumer) -> bool:
    """Whether a consumer knows its position in all that it is assigned, which is something."""
    if one.config["group_id"] is None and not one.assignment():
        return one.subscription() is None  # nothing will ever be assigned
    return bool(one.assignment()) and all(
        one.position(part, timeout_ms=500) is not None for part in one.assignment()
    )


def _see(
    windows: Sequence[KafkaConsumer], new: set[str | None]
) -> list[list[tuple[int, str | None]]]:
    """Return the partition and the id of each record that each window gets."""
    seen: list[list[tuple[int, str | None]]] = [[] for _ in windows]
    until = time.monotonic() + SEE_SECONDS
    while time.monotonic() < until and not all(new <= {name for _, name in its} for its in seen):
        for its, one in zip(seen, windows, strict=True):
            for records in one.poll(timeout_ms=100).values():
                its += [(record.partition, _id_of(record)) for record in records]
    return seen


def _id_of(record: Any) -> str | None:
    try:
        value = json.loads(record.value)
    except (ValueError, TypeError):
        return None
    return value.get("id") if isinstance(value, dict) else None


def _write(sender: Sender, count: int) -> None:
    for number in range(count):
        sender.send(partition=number % ROOM_PARTITIONS)
    sender.flush()


def _close(consumer: KafkaConsumer) -> None:
    with contextlib.suppress(KafkaError, RuntimeError):
        consumer.close(autocommit=False, timeout_ms=2000)
