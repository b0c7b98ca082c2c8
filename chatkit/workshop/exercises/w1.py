"""Exercises of w1: topics, partitions, offsets, the log.

=============  ============================  ====================================================
check          is handed                     looks at
=============  ============================  ====================================================
``diary``      ``learner``                   the learner's topic ``diary``
``held``       ``learner``, ``held``         what the function says of a topic whose log begins late
``since``      ``learner``, ``since``        what the function says of four times
=============  ============================  ====================================================

The two functions are asked about topic ``w1-quiz`` in the learner's own corner, which the check
makes: 30 records, a second apart, in turn in three partitions, the first few of them deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka import TopicPartition

from chatkit.message import now_ms
from chatkit.workshop.asking import ask as ask_kafka
from chatkit.workshop.check import Right, Wrong, ask, exercise, shown
from chatkit.workshop.exercises.topics import edges_of, times_of, write_all

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["diary", "held", "since"]

QUIZ = "w1-quiz"
QUIZ_PARTITIONS = 3
QUIZ_RECORDS = 30
QUIZ_CUT = {0: 4, 1: 0, 2: 2}
"""Where the log of each partition of the quiz begins."""
QUIZ_AGO_MS = 3_600_000


@exercise(
    "w1",
    "Make a topic 'diary' of your own with two partitions, and write ten records, all of them into "
    "partition 1.",
    {
        "no topic": "There is no topic {topic} on this Kafka. learner.create('diary', ...) makes "
        "it, and returns that full name, which is the one to write to.",
        "partitions": "{topic} has {count} partition(s), not 2. A topic can't lose partitions: "
        "learner.reset() removes it, then make it again with partitions=2.",
        "elsewhere": "Partition 0 holds {count} of the records. Without partition=1, the record's "
        "key decides, and with no key chance does. learner.reset() removes the topic; make it "
        "again.",
        "few": "Partition 1 holds {count} record(s), and 10 are asked for. If you sent more, did "
        "you wait until they were written? sender.flush() does.",
    },
)
def diary(learner: Learner) -> Right | Wrong:
    """Look at the learner's topic ``diary``."""
    topic = learner.topic("diary")
    edges = edges_of(learner, topic)
    if not edges:
        return Wrong("no topic", topic=topic)
    if len(edges) != 2:
        return Wrong("partitions", topic=topic, count=len(edges))
    counts = {partition: end - start for partition, (start, end) in edges.items()}
    if counts[0]:
        return Wrong("elsewhere", count=counts[0])
    if counts[1] < 10:
        return Wrong("few", count=counts[1])
    return Right(f"{topic} has two partitions, and partition 1 holds all {counts[1]} records.")


@exercise(
    "w1",
    "Write a function held(topic) that returns how many records a topic holds, from the offsets at "
    "which the logs of its partitions begin and end.",
    {
        "untried": "held({topic!r}) returned {answer}; a number is asked for.",
        "ends only": "held({topic!r}) returned {answer}: that is the sum of the end offsets, so it "
        "counts records that are there no longer. A log need not begin at 0: take away where it "
        "begins, {starts}.",
        "one partition": "held({topic!r}) returned {answer}: that is what one partition holds. Add "
        "up all of them: {ends} are the offsets at which they end.",
        "one off": "held({topic!r}) returned {answer}, which is off by one per partition. The end "
        "offset is that of the next record, not of the last one.",
        "other": "held({topic!r}) returned {answer}. The logs begin at {starts} and end at {ends}.",
    },
)
def held(learner: Learner, answer: object) -> Right | Wrong:
    """Ask the learner's function about the quiz, whose logs begin at different offsets."""
    topic, edges = _quiz(learner)
    given = ask(answer, topic)
    starts = {partition: start for partition, (start, _) in edges.items()}
    ends = {partition: end for partition, (_, end) in edges.items()}
    counts = {partition: ends[partition] - starts[partition] for partition in edges}
    total = sum(counts.values())
    seen = {"topic": topic, "answer": shown(given), "starts": starts, "ends": ends}
    if not isinstance(given, int) or isinstance(given, bool):
        return Wrong("untried", **seen)
    if given == total:
        return Right(f"{topic} holds {total} records, and {sum(starts.values())} are gone.")
    if given == sum(ends.values()):
        return Wrong("ends only", **seen)
    if given in counts.values() or given in ends.values():
        return Wrong("one partition", **seen)
    if abs(given - total) == len(edges):
        return Wrong("one off", **seen)
    return Wrong("other", **seen)


@exercise(
    "w1",
    "Write a function since(topic, time_ms) that returns the offset from which to read each "
    "partition in order to see all that was written at that time or later, as a dict such as "
    "{0: 12, 1: 9, 2: 11}. Where nothing is that new, it is the offset at which the log ends.",
    {
        "untried": "{call} returned {answer}; a dict of partition to offset is asked for, with "
        "keys {partitions} and whole numbers as values.",
        "nothing so new": "{call} returned {answer}. Nothing was written that late, so Kafka "
        "answers None: then reading begins where the log ends, {right}.",
        "nothing to ask": "{call} raised {error}. Nothing was written that late, so Kafka answers "
        "None, which has no offset: then reading begins where the log ends, {right}.",
        "beginning": "{call} returned {answer}: those are the offsets at which the logs begin, "
        "whatever the time. Is the time handed on to Kafka, and in milliseconds since 1970?",
        "the end": "{call} returned {answer}: those are the offsets at which the logs end, so "
        "nothing of what is there would be read.",
        "one number": "{call} returned {answer}: the same offset in all partitions. Offsets of two "
        "partitions have nothing to do with each other: each has a log of its own, so ask for "
        "each.",
        "one off": "{call} returned {answer}, which is one record beside it: {right}. The first "
        "record at that very time is to be read, and the one before it is not.",
        "other": "{call} returned {answer}, but the first records that new are at {right}.",
    },
)
def since(learner: Learner, answer: object) -> Right | Wrong:
    """Ask the learner's function about times before, in, between and after the quiz's records."""
    topic, edges = _quiz(learner)
    times = times_of(learner, topic)
    every = sorted(time for one in times.values() for time in one.values())
    middle = every[len(every) // 2 + 1]
    for time in (middle, middle + 500, every[-1] + 1000, every[0] - 1000):
        right = {
            partition: min((offset for offset, at in one.items() if at >= time), default=end)
            for partition, one in times.items()
            for end in [edges[partition][1]]
        }
        try:
            given = ask(answer, topic, time)
        except Wrong as wrong:
            if wrong.hint == "raises" and time > every[-1]:
                return Wrong("nothing to ask", right=right, **wrong.values)
            raise
        _compare(given, right, edges, f"since({topic!r}, {time})")
    return Right(
        "Four times were asked about: one at which a record was written, one between two records, "
        "one after all of them and one before."
    )


def _compare(
    given: object, right: dict[int, int], edges: dict[int, tuple[int, int]], call: str
) -> None:
    """Raise what is wrong with the offsets given for a time, if anything is."""
    if given == right:
        return
    seen = {
        "call": call,
        "answer": shown(given),
        "right": right,
        "partitions": ", ".join(map(str, right)),
    }
    starts = {partition: start for partition, (start, _) in edges.items()}
    ends = {partition: end for partition, (_, end) in edges.items()}
    if not isinstance(given, dict) or set(given) != set(right):
        raise Wrong("untried", **seen)
    if right == ends:
        raise Wrong("nothing so new", **seen)
    if not all(isinstance(value, int) for value in given.values()):
        raise Wrong("untried", **seen)
    if given == starts:
        raise Wrong("beginning", **seen)
    if given == ends:
        raise Wrong("the end", **seen)
    if len(set(given.values())) == 1:
        raise Wrong("one number", **seen)
    if all(abs(given[partition] - right[partition]) <= 1 for partition in right):
        raise Wrong("one off", **seen)
    raise Wrong("other", **seen)


def _quiz(learner: Learner) -> tuple[str, dict[int, tuple[int, int]]]:
    """Return the topic that functions are asked about, and its edges; make it if need be."""
    topic = learner.create(QUIZ, partitions=QUIZ_PARTITIONS)
    edges = edges_of(learner, topic)
    if not all(end for _, end in edges.values()):
        _fill(learner, topic)
        edges = edges_of(learner, topic)
    if not any(start for start, _ in edges.values()):
        _cut(learner, topic)
        edges = edges_of(learner, topic)
    return topic, edges


def _fill(learner: Learner, topic: str) -> None:
    began = now_ms() - QUIZ_AGO_MS
    write_all(
        learner.settings,
        topic,
        (
            {
                "value": f"quiz {number}".encode(),
                "partition": number % QUIZ_PARTITIONS,
                "timestamp_ms": began + number * 1000,
            }
            for number in range(QUIZ_RECORDS)
        ),
    )


def _cut(learner: Learner, topic: str) -> None:
    firsts = {TopicPartition(topic, partition): first for partition, first in QUIZ_CUT.items()}
    right = f"Delete on topic {topic!r}"
    ask_kafka(learner.settings, lambda admin: admin.delete_records(firsts), right=right)
