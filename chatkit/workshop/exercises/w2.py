"""Exercises of w2: keys and order.

=============  ========================  =========================================================
check          is handed                 looks at
=============  ========================  =========================================================
``shop``       ``learner``               the learner's topic ``shop``
``place``      ``learner``, ``place``    where Kafka has put records, and where the function says
``story``      ``learner``, ``story``    what the function reads of a topic that has grown
=============  ========================  =========================================================

The functions are asked about topics in the learner's own corner, which the checks make:
``w2-place-3`` and ``w2-place-7``, a record of each key in both, and ``w2-story``, a record a second
in turn of each key, which had three partitions when half of them were written and then got four.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from kafka.partitioner.default import murmur2

from chatkit.message import now_ms
from chatkit.workshop.check import Right, Wrong, ask, exercise, shown
from chatkit.workshop.exercises.topics import edges_of, records_of, text_of, write_all

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["place", "shop", "story"]

ORDERS = 12
STEPS = ("placed", "paid", "packed", "sent")
STEP = re.compile(r"\s*(\d+)\s+(placed|paid|packed|sent)\s*")
SIZES = (3, 7)
"""How many partitions the topics of `place` have; more than three keys' numbers have a high bit."""
KEYS = ("ana", "ben", "cleo", "customer-8", "customer-17", "customer-30", "tea", "", "größe", "12")
STORY = "w2-story"
STORY_KEYS = ("ben", "cleo", "customer-8", "customer-17", None)
"""One stays where it is, one goes to the new partition, two to an earlier one."""
ROUNDS = 4
AGO_MS = 3_600_000

Told = dict[str, object]


@exercise(
    "w2",
    "Make a topic 'shop' with three partitions. Twelve orders, 1 to 12, go through four steps "
    "each: placed, paid, packed, sent. Write all 48 records, with texts such as '7 paid', so that "
    "each order's steps stay in order, and the orders are spread over the partitions.",
    {
        "no topic": "There is no topic {topic} on this Kafka. learner.create('shop', partitions=3) "
        "makes it.",
        "partitions": "{topic} has {count} partition(s), not 3. A topic can't lose partitions: "
        "learner.reset() removes it, then make it again.",
        "few": "Order {order} has {found} as steps; placed, paid, packed and sent are asked for, "
        "each as the text of a record, such as '{order} paid'. If you sent them, did you wait "
        "until they were written? sender.flush() does.",
        "twice": "Order {order} is {step} more than once. The cell may have run twice: "
        "learner.reset() removes the topic; run it again.",
        "no key": "No record has a key. Without one chance chooses the partition, for each record "
        "anew: the steps of order {order} lie in partitions {places}.",
        "by hand": "No record has a key: you chose the partitions by hand. The next program that "
        "writes here can't know your choice; give a key, and Kafka chooses the same each time.",
        "by step": "The key is the step, {keys}: all that is {step} lies in one partition, and the "
        "steps of order {order} in several, {places}. What must stay in order needs the same key: "
        "the order.",
        "one partition": "All records lie in partition {place}. Order holds, but nobody can share "
        "the work: three partitions, and two are empty. Orders need no order among each other: "
        "give each one a key of its own.",
        "scattered": "The steps of order {order} lie in partitions {places}, under keys {keys}: "
        "order holds within one partition only. All steps of an order need the same key.",
        "order": "The steps of order {order} lie in partition {place} as {found}. Kafka keeps the "
        "order in which they were written: placed, paid, packed, sent.",
    },
)
def shop(learner: Learner) -> Right | Wrong:
    """Look at the learner's topic ``shop``."""
    topic = learner.topic("shop")
    edges = edges_of(learner, topic)
    if not edges:
        return Wrong("no topic", topic=topic)
    if len(edges) != 3:
        return Wrong("partitions", topic=topic, count=len(edges))
    steps: dict[int, list[tuple[str, int, str | None]]] = {
        number: [] for number in range(1, ORDERS + 1)
    }
    for record in records_of(learner, topic):
        found = STEP.fullmatch(text_of(record) or "")
        if found and int(found[1]) in steps:
            key = None if record.key is None else record.key.decode(errors="replace")
            steps[int(found[1])].append((found[2], record.partition, key))
    _check_complete(steps)
    _check_keys(steps)
    for number, its in steps.items():
        told = [step for step, _, _ in its]
        if told != list(STEPS):
            return Wrong("order", order=number, place=its[0][1], found=", ".join(told))
    counts = Counter(its[0][1] for its in steps.values())
    spread = ", ".join(f"{counts[partition]} in partition {partition}" for partition in range(3))
    return Right(f"All {ORDERS} orders have their four steps in order: {spread}.")


def _check_complete(steps: dict[int, list[tuple[str, int, str | None]]]) -> None:
    for number, its in steps.items():
        counts = Counter(step for step, _, _ in its)
        if set(counts) != set(STEPS):
            raise Wrong("few", order=number, found=", ".join(counts) or "none")
        if twice := [step for step in STEPS if counts[step] > 1]:
            raise Wrong("twice", order=number, step=twice[0])


def _check_keys(steps: dict[int, list[tuple[str, int, str | None]]]) -> None:
    every = [one for its in steps.values() for one in its]
    keys = {key for _, _, key in every}
    places = {place for _, place, _ in every}
    by_step = {step: {key for told, _, key in every if told == step} for step in STEPS}
    by_order = {number: {place for _, place, _ in its} for number, its in steps.items()}
    if len(places) == 1:
        raise Wrong("one partition", place=next(iter(places)))
    scattered = [number for number, found in by_order.items() if len(found) > 1]
    if not scattered:
        if keys == {None}:
            raise Wrong("by hand")
        return
    order = scattered[0]
    seen: Told = {
        "order": order,
        "places": _listed(by_order[order]),
        "keys": _listed(shown(key) for _, _, key in steps[order]),
        "step": STEPS[1],
    }
    if keys == {None}:
        raise Wrong("no key", **seen)
    if len(keys) > 1 and all(len(found) == 1 for found in by_step.values()):
        raise Wrong("by step", **seen)
    raise Wrong("scattered", **seen)


@exercise(
    "w2",
    "Write a function place(key, partitions) that says into which partition Kafka's clients put a "
    "record with this key, a str, where the topic has so many partitions.",
    {
        "untried": "{call} returned {answer}; a whole number from 0 to {last} is asked for.",
        "python": "{call} returned {answer}: that is Python's hash(), whose seed differs from one "
        "Python to the next. Restart this one, and {key!r} goes elsewhere. murmur2(bytes) is what "
        "Kafka's clients use.",
        "sign": "{call} returned {answer}, and Kafka has it in partition {right}. murmur2({key!r}) "
        "is {number}, whose highest bit is the sign to Java. Drop it before you divide: "
        "number & 0x7FFFFFFF.",
        "absolute": "{call} returned {answer}, and Kafka has it in partition {right}. The sign is "
        "dropped by taking away the highest bit, number & 0x7FFFFFFF, which is not the same as "
        "abs().",
        "one off": "{call} returned {answer}, and Kafka has it in partition {right}. Partitions "
        "are counted from 0.",
        "always three": "{call} returned {answer}, and Kafka has it in partition {right}. For "
        "three partitions all your answers are right: does the function use partitions?",
        "other": "{call} returned {answer}, and Kafka has it in partition {right}.",
    },
)
def place(learner: Learner, answer: object) -> Right | Wrong:
    """Ask the learner's function about records that lie in two topics."""
    wrong: dict[tuple[str, int], tuple[object, int]] = {}
    all_given: dict[tuple[str, int], object] = {}
    for size in SIZES:
        for key, right in _placed(learner, size).items():
            given = ask(answer, key, size)
            all_given[key, size] = given
            if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= size:
                call = f"place({key!r}, {size})"
                return Wrong("untried", call=call, answer=shown(given), last=size - 1)
            if given != right:
                wrong[key, size] = (given, right)
    if not wrong:
        return Right(
            f"{len(all_given)} records lie where the function says, in topics of "
            f"{' and '.join(map(str, SIZES))} partitions."
        )
    (key, size), (given, right) = next(iter(wrong.items()))
    number = murmur2(key.encode())
    raise Wrong(
        _misplaced(all_given, wrong),
        call=f"place({key!r}, {size})",
        answer=given,
        right=right,
        key=key,
        number=number,
    )


def _misplaced(
    given: dict[tuple[str, int], object], wrong: dict[tuple[str, int], tuple[object, int]]
) -> str:
    """Return the hint for where the function puts records."""

    def is_all(rule: Callable[[str, int], int]) -> bool:
        return all(one == rule(key, size) for (key, size), one in given.items())

    def signed(key: str) -> int:
        number = int(murmur2(key.encode()))
        return number - 2**32 if number >= 2**31 else number

    if is_all(lambda key, size: hash(key) % size):
        return "python"
    if is_all(lambda key, size: int(murmur2(key.encode())) % size) or is_all(
        lambda key, size: signed(key) % size
    ):
        return "sign"
    if is_all(lambda key, size: abs(signed(key)) % size):
        return "absolute"
    if all(one == right + 1 for one, right in wrong.values()) and len(wrong) == len(given):
        return "one off"
    if all(size != SIZES[0] for _, size in wrong):
        return "always three"
    return "other"


def _placed(learner: Learner, size: int) -> dict[str, int]:
    """Return where Kafka has the keys, in a topic of that many partitions; make it if need be."""
    topic = learner.create(f"w2-place-{size}", partitions=size)
    records = records_of(learner, topic)
    if len(records) < len(KEYS):
        began = now_ms()
        _write(learner, topic, ((key, f"of {key}", began) for key in KEYS))
        records = records_of(learner, topic)
    return {record.key.decode(): record.partition for record in records}


@exercise(
    "w2",
    "Write a function story(topic, key) that returns the texts of all records with this key, a "
    "str, in the order in which they were written, as a list of str. The topic may have got more "
    "partitions meanwhile.",
    {
        "untried": "{call} returned {answer}; a list of str is asked for, such as {some}.",
        "today": "{call} returned {answer}. That is what lies in the partition to which the key "
        "goes now. What was written before the topic grew lies in another one: look in all.",
        "before": "{call} returned {answer}. That is what was written before the topic grew. The "
        "key goes into another partition now: look in all.",
        "by partition": "{call} returned {answer}: all of them, one partition after the other. Now "
        "put them in the order of writing: each record has a timestamp.",
        "everybody": "{call} returned {answer}: there are records with other keys among them. "
        "record.key is bytes, and None where a record has no key.",
        "nothing": "{call} returned an empty list, and there are {count} records with this key. "
        "record.key is bytes, and b'ana' is not equal to 'ana': compare with key.encode().",
        "backwards": "{call} returned {answer}: the newest first. The oldest is asked for first.",
        "other": "{call} returned {answer}, and {right} was written.",
    },
)
def story(learner: Learner, answer: object) -> Right | Wrong:
    """Ask the learner's function about keys that moved, and one that did not."""
    topic = _grown(learner)
    records = records_of(learner, topic)
    for key in filter(None, STORY_KEYS):
        its = [record for record in records if record.key == key.encode()]
        told = [text_of(record) for record in its]
        right = [text_of(record) for record in sorted(its, key=lambda record: record.timestamp)]
        given = ask(answer, topic, key)
        if given == right:
            continue
        return Wrong(
            _mistold(given, told, right),
            call=f"story({topic!r}, {key!r})",
            answer=shown(given),
            right=right,
            some=right[:2],
            count=len(right),
        )
    return Right(
        f"{len(STORY_KEYS) - 1} keys were asked about in {topic}: one that stayed in its partition "
        "when a fourth one came, and three that moved."
    )


def _mistold(given: object, told: list[str | None], right: list[str | None]) -> str:
    """Return the hint for what the function told of a key."""
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        return "untried"
    if not given:
        return "nothing"
    if set(given) - set(right):
        return "everybody"
    if given == right[ROUNDS:]:
        return "today"
    if given == right[:ROUNDS]:
        return "before"
    if given == right[::-1]:
        return "backwards"
    if given == told or sorted(given) == sorted(map(str, right)):
        return "by partition"
    return "other"


def _grown(learner: Learner) -> str:
    """Return the topic that stories are told of; make it if need be."""
    topic = learner.topic(STORY)
    edges = edges_of(learner, topic)
    half = len(STORY_KEYS) * ROUNDS
    began = now_ms() - AGO_MS
    if not edges:
        learner.create(STORY, partitions=3)
    if sum(end for _, end in edges.values()) < half:
        _write(learner, topic, _rounds(range(ROUNDS), began))
    learner.grow(STORY, 4)
    if sum(end for _, end in edges.values()) < 2 * half:
        _write(learner, topic, _rounds(range(ROUNDS, 2 * ROUNDS), began))
    return topic


def _rounds(numbers: Iterable[int], began: int) -> Iterable[tuple[str | None, str, int]]:
    for number in numbers:
        for turn, key in enumerate(STORY_KEYS):
            at_ms = began + (number * len(STORY_KEYS) + turn) * 1000
            yield key, f"{key or 'somebody'} {number + 1}", at_ms


def _write(learner: Learner, topic: str, records: Iterable[tuple[str | None, str, int]]) -> None:
    """Write records of a key, a text and a timestamp, and wait until they are there."""
    write_all(
        learner.settings,
        topic,
        (
            {
                "key": None if key is None else key.encode(),
                "value": json.dumps({"text": text}).encode(),
                "timestamp_ms": at_ms,
            }
            for key, text, at_ms in records
        ),
    )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(sorted(set(map(str, values))))
