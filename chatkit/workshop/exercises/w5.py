"""Exercises of w5: lag, and what becomes of a reader that is too slow.

============  =====================  =========================================================
check         is handed              looks at
============  =====================  =========================================================
``unread``   ``learner, unread``   what the function says of a group that has been overtaken
``missed``    ``learner, missed``    what the function says of the same group
``depot``     ``learner``            the learner's group ``depot``, while its members work
============  =====================  =========================================================

The functions are asked about topic ``w5-quiz`` and group ``w5-quiz`` in the learner's own corner,
which the check makes: one partition of three is read in part, one not at all, and of one more was
deleted than the group had read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from chatkit.connection import explain, make_client
from chatkit.workshop.asking import PAUSE, ask
from chatkit.workshop.check import Right, Wrong, exercise, shown
from chatkit.workshop.check import ask as ask_learner
from chatkit.workshop.exercises.topics import edges_of, write_all
from chatkit.workshop.offsets import committed

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["depot", "missed", "unread"]

QUIZ = "w5-quiz"
QUIZ_RECORDS = 20
"""In each partition."""
QUIZ_START = {0: 0, 1: 5, 2: 9}
"""Where the log of each partition begins."""
QUIZ_COMMITTED = {0: 12, 2: 3}
"""How far the group has read; partition 1 it has never read."""
QUIZ_UNREAD = {0: 8, 1: 15, 2: 11}
QUIZ_LAG = {0: 8, 2: 17}
QUIZ_MISSED = {0: 0, 2: 6}
SECONDS = 10.0
"""How long the quiz may take to be made."""

PARCELS = "parcels"
DEPOT = "depot"
COMMIT_SECONDS = 3.0
"""For what was handled to be committed."""


@exercise(
    "w5",
    "Write a function unread(group, topic) that returns how many records a group still has to "
    "read, and can.",
    {
        "untried": "unread({group!r}, {topic!r}) returned {answer}; a number is asked for.",
        "lag": "unread({group!r}, {topic!r}) returned {answer}: that is the lag, as monitors show "
        "it. It counts what is no longer there (partition 2), and leaves out what the group has "
        "never begun (partition 1).",
        "never begun": "unread({group!r}, {topic!r}) returned {answer}. Partition 1 is missing: "
        "the group has committed nothing there, so all of it is still to be read. Ask "
        "learner.inspector.partitions(topic) which partitions there are.",
        "deleted": "unread({group!r}, {topic!r}) returned {answer}. In partition 2 the log begins "
        "at 9, and the group has committed 3: it goes on at 9, not at 3. What lies before the "
        "log's start can't be read.",
        "from nought": "unread({group!r}, {topic!r}) returned {answer}. Where nothing is "
        "committed, reading begins where the log begins, and that is 5 in partition 1, not 0.",
        "other": "unread({group!r}, {topic!r}) returned {answer}, and there are {right} to read. "
        "Its logs begin at {starts} and end at {ends}; committed is {committed}.",
    },
)
def unread(learner: Learner, answer: object) -> Right | Wrong:
    """Ask the learner's function about the quiz's group."""
    group, topic = _quiz(learner)
    given = ask_learner(answer, group, topic)
    right = sum(QUIZ_UNREAD.values())
    seen = {
        "group": group,
        "topic": topic,
        "answer": shown(given),
        "right": right,
        "starts": QUIZ_START,
        "ends": dict.fromkeys(QUIZ_START, QUIZ_RECORDS),
        "committed": QUIZ_COMMITTED,
    }
    whole = hasattr(given, "__index__") and not isinstance(given, bool)  # numpy's numbers, too
    if not whole and not (isinstance(given, float) and given.is_integer()):
        return Wrong("untried", **seen)
    if given == right:
        return Right(
            f"{right} it is: {QUIZ_UNREAD} by partition. Its lag is {sum(QUIZ_LAG.values())}, "
            "which is another number."
        )
    wrong = {
        sum(QUIZ_LAG.values()): "lag",
        right - QUIZ_UNREAD[1]: "never begun",
        right - QUIZ_UNREAD[2] + QUIZ_LAG[2]: "deleted",
        right - QUIZ_UNREAD[1] + QUIZ_RECORDS: "from nought",
        right - QUIZ_UNREAD[1] + QUIZ_RECORDS - QUIZ_UNREAD[2] + QUIZ_LAG[2]: "from nought",
    }
    return Wrong(next((hint for found, hint in wrong.items() if found == given), "other"), **seen)


@exercise(
    "w5",
    "Write a function missed(group, topic) that returns how many records were deleted before a "
    "group read them: a dict of partition to number, for each partition in which it has committed "
    "something.",
    {
        "untried": "{call} returned {answer}; a dict such as {{0: 0, 2: 4}} is asked for, with "
        "whole numbers as values.",
        "partitions": "{call} returned {answer}. The group has committed something in partitions "
        "{right_partitions}; these are asked for, and no others.",
        "negative": "{call} returned {answer}. In partition 0 the group has read further than "
        "where the log begins, so nothing was missed: 0.",
        "lag": "{call} returned {answer}: that is the lag, what has still to be read. What was "
        "missed lies between what is committed and where the log begins.",
        "deleted": "{call} returned {answer}: that is all that was deleted, also what the group "
        "had read before.",
        "none": "{call} returned {answer}. In partition 2 the log begins at 9, and the group has "
        "committed 3: offsets 3 to 8 are gone, and it has not read them.",
        "one off": "{call} returned {answer}. In partition 2 the log begins at 9, and 3 is the "
        "offset that the group would read next: 3, 4, 5, 6, 7 and 8 are missing.",
        "other": "{call} returned {answer}, and it is {right}.",
    },
)
def missed(learner: Learner, answer: object) -> Right | Wrong:
    """Ask the learner's function about the quiz's group."""
    group, topic = _quiz(learner)
    given = ask_learner(answer, group, topic)
    seen = {
        "call": f"missed({group!r}, {topic!r})",
        "answer": shown(given),
        "right": QUIZ_MISSED,
        "right_partitions": " and ".join(map(str, QUIZ_MISSED)),
    }
    if not isinstance(given, dict) or not given:
        return Wrong("untried", **seen)
    if set(given) != set(QUIZ_MISSED):
        return Wrong("partitions", **seen)
    if given == QUIZ_MISSED:
        return Right(
            f"6 records of partition 2 were deleted unread, and {group} would read on from offset "
            "9 as if nothing had happened."
        )
    if not all(hasattr(value, "__index__") for value in given.values()):
        return Wrong("untried", **seen)
    if any(value < 0 for value in given.values()):
        return Wrong("negative", **seen)
    usual = {
        "lag": QUIZ_LAG,
        "deleted": {partition: QUIZ_START[partition] for partition in QUIZ_MISSED},
        "none": dict.fromkeys(QUIZ_MISSED, 0),
    }
    for hint, found in usual.items():
        if given == found:
            return Wrong(hint, **seen)
    if abs(given[2] - QUIZ_MISSED[2]) == 1:
        return Wrong("one off", **seen)
    return Wrong("other", **seen)


@exercise(
    "w5",
    "Let the group 'depot' handle all parcels as quickly as its partitions allow, with no member "
    "that has nothing to do; leave the members running until they were checked.",
    {
        "no topic": "There is no topic {topic} on this Kafka: the cell above the exercise makes "
        "it.",
        "nobody": "Group {group} has no members now. Start them, "
        "Member(learner, 'depot', 'parcels', name=..., work=0.05).start(), and leave them running "
        "until they were checked.",
        "nobody left": "All parcels are handled, but group {group} has no members any more, so "
        "how many there were can't be seen. Leave them running until they were checked.",
        "idle": "{idle} of the {count} members of {group} own no partition: {topic} has "
        "{partitions}, and each has one owner at most. More members than partitions are of no use.",
        "more": "{group} has {count} member(s) for {partitions} partitions, so {busiest} owns "
        "{owned} of them and works through them one after the other. With more members it goes "
        "quicker.",
        "not done": "{group} has as many members as there are partitions, but still has "
        "{lag} parcel(s) to handle. Wait until all is done, and check again.",
        "settling": "{group} is just sharing out its partitions anew ({state}). Check again in a "
        "moment.",
    },
)
def depot(learner: Learner) -> Right | Wrong:
    """Look at the learner's group ``depot``."""
    topic, group = learner.topic(PARCELS), learner.group(DEPOT)
    edges = edges_of(learner, topic)
    if not edges:
        return Wrong("no topic", topic=topic)
    seen = {"topic": topic, "group": group, "partitions": len(edges)}
    members = learner.inspector.members(group)
    count = len(members)
    if not count:
        return Wrong("nobody" if _left(learner, group, topic) else "nobody left", **seen)
    owned = {
        str(client): len(parts)
        for client, parts in zip(
            members["client"].astype(str) + " " + members["member"].astype(str),
            members["partitions"],
            strict=True,
        )
    }
    if sum(owned.values()) < len(edges):
        groups = learner.inspector.groups(group).set_index("group")["state"]
        return Wrong("settling", state=groups.get(group, "unknown"), **seen)
    if idle := sum(not parts for parts in owned.values()):
        return Wrong("idle", idle=idle, count=count, **seen)
    if count < len(edges):
        busiest = max(owned, key=lambda name: owned[name])
        return Wrong("more", count=count, busiest=busiest.split()[0], owned=owned[busiest], **seen)
    if left := _left(learner, group, topic):
        return Wrong("not done", lag=left, **seen)
    return Right(
        f"{group} has {count} members with a partition each, and has handled all "
        f"{sum(end for _, end in edges.values())} parcels."
    )


def _left(learner: Learner, group: str, topic: str) -> int:
    """Return how much a group has not read; waits a moment for commits that are under way."""
    until = time.monotonic() + COMMIT_SECONDS
    while True:
        read = ask(learner.settings, lambda admin: committed(admin, group))
        left = sum(
            max(0, end - read.get(TopicPartition(topic, partition), start))
            for partition, (start, end) in edges_of(learner, topic).items()
        )
        if not left or time.monotonic() > until:
            return left
        time.sleep(PAUSE)


def _quiz(learner: Learner) -> tuple[str, str]:
    """Return group and topic that functions are asked about; make them if need be."""
    topic = learner.create(QUIZ, partitions=len(QUIZ_START))
    group = learner.group(QUIZ)
    edges = edges_of(learner, topic)
    if not all(end for _, end in edges.values()):
        _fill(learner, topic)
    if {partition: start for partition, (start, _) in edges.items()} != QUIZ_START:
        parts = {TopicPartition(topic, partition): at for partition, at in QUIZ_START.items() if at}
        ask(
            learner.settings,
            lambda admin: _cut(admin, parts),
            right=f"Delete on topic {topic!r}",
        )
    _commit(learner, group, topic)
    return group, topic


def _cut(admin: KafkaAdminClient, parts: dict[TopicPartition, int]) -> None:
    admin.delete_records(parts)


def _fill(learner: Learner, topic: str) -> None:
    write_all(
        learner.settings,
        topic,
        (
            {"value": f"quiz {number}".encode(), "partition": partition}
            for partition in QUIZ_START
            for number in range(QUIZ_RECORDS)
        ),
    )


def _commit(learner: Learner, group: str, topic: str) -> None:
    offsets = {
        TopicPartition(topic, partition): OffsetAndMetadata(at, "", -1)
        for partition, at in QUIZ_COMMITTED.items()
    }
    consumer = make_client(
        KafkaConsumer, learner.settings, group_id=group, enable_auto_commit=False
    )
    try:
        consumer.assign(list(offsets))
        consumer.commit(offsets, timeout_ms=int(SECONDS * 1000))
    except KafkaError as error:
        right = f"Read on group {group!r}"
        raise explain(learner.settings, error, SECONDS, right=right) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=1000)
