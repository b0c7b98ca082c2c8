"""Exercises of w9: what stays in a log, and what counts.

==========  ====================  ==============================================================
check       is handed             looks at
==========  ====================  ==============================================================
``stock``   ``learner``           the learner's topic ``stock``, and how it is set up
``table``   ``learner``, ``table``  what the function says of a topic with deletions in it
``ledger``  ``learner``           the learner's topic ``ledger``, read with both isolation levels
==========  ====================  ==============================================================

The function is asked about topic ``w9-quiz`` in the learner's own corner, which the check makes:
two partitions, keys that are written again, deleted, and written again after that.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, TopicPartition

from chatkit.workshop.asking import PAUSE, ask
from chatkit.workshop.check import Right, Wrong, exercise, shown
from chatkit.workshop.check import ask as ask_learner
from chatkit.workshop.exercises.topics import edges_of, write_all
from chatkit.workshop.offsets import Isolation, edges

if TYPE_CHECKING:
    import pandas as pd

    from chatkit.workshop.learner import Learner

__all__ = ["ledger", "stock", "table"]

STOCK = {"apples": "2", "pears": "5"}
FORGOTTEN = "plums"
MOST = 1000
"""Records of a learner's topic that are read."""

QUIZ = "w9-quiz"
QUIZ_RECORDS: tuple[tuple[int, str, str | None], ...] = (
    (0, "apples", "3"),
    (1, "pears", "5"),
    (0, "plums", "7"),
    (1, "figs", "1"),
    (0, "apples", "2"),
    (1, "pears", None),
    (0, "plums", None),
    (1, "figs", ""),
    (0, "plums", "9"),
    (1, "pears", None),
    (1, "limes", None),
    (1, "kiwis", "4"),
)
"""Partition, key, value; in the order of writing."""
QUIZ_TABLE = {"apples": "2", "plums": "9", "figs": "", "kiwis": "4"}

PAID = ["ana -5", "ben +5"]
MISTAKEN = ["ana -900", "ben +900"]
MARKER_SECONDS = 3.0
"""For the marker of a transaction that has just ended."""


@exercise(
    "w9",
    "Make a topic 'stock' with one partition that keeps the last record of each key: apples 2, "
    "which were 3 before, pears 5; and let it forget plums, which were 7.",
    {
        "no topic": "There is no topic {topic} on this Kafka. learner.create('stock', ...) makes "
        "it.",
        "partitions": "{topic} has {count} partitions, not 1. learner.reset() removes it; make it "
        "again.",
        "policy": "{topic} has cleanup.policy={policy}, so Kafka deletes its records by age, and "
        "the last of a key too. learner.create takes config={{'cleanup.policy': 'compact'}}; "
        "learner.reset() removes the topic first.",
        "no keys": "The record at offset {offset} has no key. Compaction goes by the key: "
        "sender.send(key='apples', value='3').",
        "empty": "{topic} holds nothing yet. If you sent something: sender.flush() waits until it "
        "is written.",
        "no value": "The last value of {fruit} is {value}, and it should be {right}, as plain "
        "text. Give it as value='{right}': text= and JSON put more around it.",
        "missing": "There is no record with key {fruit}, or the last one has no value.",
        "not sold": "{topic} has had no record with key plums. They were 7, and are to be "
        "forgotten: write both.",
        "kept": "The last value of plums is {value}. To Kafka that is a value like any other, and "
        "it keeps it for ever. A tombstone has no value at all: "
        "sender.send_tombstone('plums').",
        "too few": "{topic} has had {count} record(s) in all, and 5 are asked for: apples, pears, "
        "plums, apples again, and plums' end.",
        "other keys": "{topic} also has records with other keys: {keys}. learner.reset() removes "
        "it; make it again.",
    },
)
def stock(learner: Learner) -> Right | Wrong:
    """Look at the learner's topic ``stock``."""
    topic = learner.topic("stock")
    logs = edges_of(learner, topic)
    if not logs:
        return Wrong("no topic", topic=topic)
    if len(logs) != 1:
        return Wrong("partitions", topic=topic, count=len(logs))
    config = learner.inspector.config(topic).set_index("name")["value"]
    policy = str(config["cleanup.policy"])
    if policy != "compact":
        return Wrong("policy", topic=topic, policy=policy)
    records = learner.inspector.records(topic, limit=MOST)
    last: dict[str, str | None] = {}
    for offset, key, value in zip(*_columns(records, "offset", "key", "value"), strict=True):
        if key is None:
            return Wrong("no keys", offset=offset)
        last[key] = value
    written = logs[0][1]
    if not written:
        return Wrong("empty", topic=topic)
    if others := last.keys() - {*STOCK, FORGOTTEN}:
        return Wrong("other keys", topic=topic, keys=", ".join(sorted(others)))
    for fruit, right in STOCK.items():
        value = last.get(fruit)
        if value is None:
            return Wrong("missing", fruit=fruit)
        if value != right:
            return Wrong("no value", fruit=fruit, value=shown(value), right=right)
    if last.get(FORGOTTEN) is not None:
        return Wrong("kept", value=shown(last[FORGOTTEN]))
    if FORGOTTEN not in last and written < 5:
        return Wrong("not sold", topic=topic)
    if written < 5:
        return Wrong("too few", topic=topic, count=written)
    return Right(f"{topic} is compacted, says {STOCK}, and its last word on plums has no value.")


@exercise(
    "w9",
    "Write a function table(topic) that returns what a compacted topic says now, as a dict of key "
    "to value, without the keys that were deleted.",
    {
        "untried": "table({topic!r}) returned {answer}; a dict of key to value is asked for, both "
        "as text.",
        "tombstones": "table({topic!r}) returned {answer}. The last record of {keys} has no value: "
        "that key was deleted, and is not in the table.",
        "tombstone raises": "table({topic!r}) raised {error}. The topic deletes a key that it "
        "never had, which is allowed: found.pop(key, None) does not mind.",
        "first": "table({topic!r}) returned {answer}. apples were written twice, and the later "
        "record counts: '2'.",
        "again": "table({topic!r}) returned {answer}. plums were deleted, and then written once "
        "more, '9': what comes after a tombstone counts again. So look at each record in its "
        "turn.",
        "empty text": "table({topic!r}) returned {answer}. The last value of figs is an empty "
        "text, which is a value; a tombstone has none at all: 'value is None' tells them apart.",
        "bytes": "table({topic!r}) returned {answer}: keys and values are asked for as text, and "
        "bytes.decode() makes one.",
        "one partition": "table({topic!r}) returned {answer}: that is what one partition says. "
        "The topic has two.",
        "other": "table({topic!r}) returned {answer}, and the topic says {right}.",
    },
)
def table(learner: Learner, answer: object) -> Right | Wrong:
    """Ask the learner's function about a topic with keys rewritten and deleted."""
    topic = _quiz(learner)
    try:
        given = ask_learner(answer, topic)
    except Wrong as wrong:
        if wrong.hint == "raises" and "KeyError" in str(wrong.values["error"]):
            return Wrong("tombstone raises", topic=topic, **wrong.values)
        raise
    seen = {"topic": topic, "answer": shown(given), "right": QUIZ_TABLE}
    if not isinstance(given, dict) or not given:
        return Wrong("untried", **seen)
    if given == QUIZ_TABLE:
        return Right(
            f"{topic} has a key that was written again, one that was deleted, one that came back "
            "after that, an empty value, and the deletion of a key that it never had."
        )
    if any(isinstance(one, bytes) for one in [*given, *given.values()]):
        return Wrong("bytes", **seen)
    if deleted := sorted(given.keys() & {"pears", "limes"}):
        return Wrong("tombstones", keys=" and ".join(deleted), **seen)
    if given.get("apples") == "3":
        return Wrong("first", **seen)
    if len({partition for partition, key, _ in QUIZ_RECORDS if key in given}) == 1:
        return Wrong("one partition", **seen)
    if "figs" not in given or given["figs"] == "1":
        return Wrong("empty text", **seen)
    if given.get("plums") != "9":
        return Wrong("again", **seen)
    return Wrong("other", **seen)


@exercise(
    "w9",
    "Make a topic 'ledger' with one partition. Send 'ana -5' and 'ben +5' in one transaction that "
    "is committed, and 'ana -900' and 'ben +900' in one that Kafka has in its log and that is "
    "taken back.",
    {
        "no topic": "There is no topic {topic} on this Kafka. learner.create('ledger', "
        "partitions=1) makes it.",
        "partitions": "{topic} has {count} partitions, not 1. learner.reset() removes it; make it "
        "again.",
        "nothing": "{topic} holds no 'ana -5' or no 'ben +5' that counts. Send both within "
        "'with sender.transaction():', from a Sender with a transactional_id; the transaction is "
        "committed when the block ends.",
        "open": "{topic} has a transaction that is still open: to who reads committed the log ends "
        "at {stable}, and not at {end}. Leave its 'with' block, or call abort(), and check again.",
        "mistake counts": "Who reads committed sees {texts} in {topic}: {which} was not taken "
        "back. transaction.abort() does, before the 'with' block ends, and only for what was sent "
        "in that transaction. learner.reset() removes the topic; make it again.",
        "no mistake": "{topic} has never had {texts} in its log. They are to be sent, and taken "
        "back after that; sender.flush() before abort() sees to it that Kafka has them.",
        "two transactions": "'ana -5' and 'ben +5' are {apart} offsets apart: there is a marker "
        "between them, so they were sent in two transactions. One may be committed without the "
        "other. learner.reset() removes the topic; make it again.",
        "no transaction": "No transaction was committed in {topic}: after 'ben +5' there is no "
        "marker. Send 'ana -5' and 'ben +5' from a Sender with a transactional_id, within 'with "
        "sender.transaction():'. learner.reset() removes the topic; make it again.",
    },
)
def ledger(learner: Learner) -> Right | Wrong:
    """Look at the learner's topic ``ledger`` with both isolation levels."""
    topic = learner.topic("ledger")
    logs = edges_of(learner, topic)
    if not logs:
        return Wrong("no topic", topic=topic)
    if len(logs) != 1:
        return Wrong("partitions", topic=topic, count=len(logs))
    stable, end = _stable(learner, topic)
    if stable < end:
        return Wrong("open", topic=topic, stable=stable, end=end)
    every = _texts(learner, topic, "read_uncommitted")
    valid = _texts(learner, topic, "read_committed")
    for text in MISTAKEN:
        if text in valid.values():
            texts = ", ".join(map(repr, valid.values()))
            return Wrong("mistake counts", topic=topic, texts=texts, which=repr(text))
    if not set(PAID) <= set(valid.values()):
        return Wrong("nothing", topic=topic)
    if missing := [text for text in MISTAKEN if text not in every.values()]:
        return Wrong("no mistake", topic=topic, texts=" and ".join(map(repr, missing)))
    at = [max(offset for offset, text in valid.items() if text == paid) for paid in PAID]
    if abs(at[1] - at[0]) != 1:
        return Wrong("two transactions", apart=abs(at[1] - at[0]))
    after = max(at) + 1
    if after in every or after == end:
        return Wrong("no transaction", topic=topic)
    return Right(
        f"Who reads committed sees {', '.join(map(repr, valid.values()))} in {topic}; the log "
        f"holds {len(every)} records, and a marker after each transaction."
    )


def _stable(learner: Learner, topic: str) -> tuple[int, int]:
    """Return where partition 0 ends for who reads committed, and where it does for who does not.

    A transaction that has just ended gets its marker a moment later, so that is waited for.
    """
    part = TopicPartition(topic, 0)

    def look(admin: KafkaAdminClient) -> tuple[int, int]:
        (_, stable) = edges(admin, [part], "read_committed")[part]
        (_, end) = edges(admin, [part])[part]
        return stable, end

    until = time.monotonic() + MARKER_SECONDS
    while True:
        stable, end = ask(learner.settings, look)
        if stable == end or time.monotonic() > until:
            return stable, end
        time.sleep(PAUSE)


def _texts(learner: Learner, topic: str, isolation: Isolation) -> dict[int, str]:
    """Return the text of each record by its offset; of one that is no JSON, its value."""
    records = learner.inspector.records(topic, limit=MOST, isolation=isolation)
    offsets, values = _columns(records, "offset", "value")
    return dict(zip(offsets, map(_text, values), strict=True))


def _columns(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [frame[name].tolist() for name in names]


def _text(value: str | None) -> str:
    try:
        return str(json.loads(value or "")["text"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return value or ""


def _quiz(learner: Learner) -> str:
    """Return the topic that functions are asked about; make it if need be."""
    topic = learner.create(QUIZ, partitions=2, config={"cleanup.policy": "compact"})
    if any(end for _, end in edges_of(learner, topic).values()):
        return topic
    write_all(
        learner.settings,
        topic,
        (
            {
                "key": key.encode(),
                "value": None if value is None else value.encode(),
                "partition": partition,
            }
            for partition, key, value in QUIZ_RECORDS
        ),
    )
    return topic
