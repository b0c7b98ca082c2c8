"""Exercises of w7: producers.

===========  ==========================  ==========================================================
check        is handed                   looks at
===========  ==========================  ==========================================================
``swift``    ``learner``, ``settings``   what a producer with these settings does with 5,000
                                         messages, by its own metrics, and with a lone one
``deliver``  ``learner``, ``deliver``    what the function says was refused, and what arrived
===========  ==========================  ==========================================================

They write to the topics ``w7-swift`` and ``w7-narrow`` in the learner's own corner, which the
checks make. The second takes no record of more than 2,000 bytes.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from chatkit.connection import close_producer, explain, make_client
from chatkit.errors import BrokerUnavailableError, SettingsError
from chatkit.message import new_id
from chatkit.workshop.check import Right, Wrong, ask, exercise, shown
from chatkit.workshop.exercises.topics import edges_of

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["deliver", "swift"]

SWIFT, NARROW = "w7-swift", "w7-narrow"
MESSAGES = 5000
LEAST = 150
"""Messages that a request must hold on average."""
SHRUNK = 0.8
"""Of their size that batches may keep, at most, to be compressed."""
PATIENCE = 0.5
"""Seconds that a lone message may take."""
TEXTS = 200
TOO_LARGE = (40, 41, 150)
"""Which of the texts are larger than the topic takes."""
LIMIT = 2000
LINGER_MS = 1000
"""Of the producer of ``deliver``: who does not wait is gone long before."""
DELIVER_SECONDS = 8.0
SECONDS = 10.0
SAYINGS = (
    "Has anybody seen the notes of the last lecture?",
    "They are in the shared folder, under week 7.",
    "Thanks! The second exercise is still a riddle to me.",
    "Draw the log first, then the offsets. It helped me.",
    "Lunch at noon? The queue is shorter before the lecture ends.",
)


@exercise(
    "w7",
    "Choose settings of a KafkaProducer for an import of 5,000 messages: acknowledged by all "
    f"replicas, idempotent, compressed, at least {LEAST} messages in a request on average; yet a "
    f"lone message must be there within {PATIENCE:g} s.",
    {
        "no settings": "A dict of settings is asked for, such as {{'acks': 'all'}}; this was "
        "{given}.",
        "refused": "KafkaProducer does not take {given}: {error}",
        "acks": "With acks={acks!r} the leader alone, or nobody, has a message when it counts as "
        "sent. acks='all' is asked for.",
        "not idempotent": "enable_idempotence is off: what Kafka's client repeats may be there "
        "twice. Leave it on.",
        "small": "On average {found:.0f} messages were in a request, not {least}. How many fit is "
        "limited by batch_size, in bytes: {size} here, and a message has some {each}.",
        "not compressed": "The batches kept {found:.0%} of their size. compression_type makes "
        "them smaller.",
        "lingers": "A lone message took {found}: {patience:g} s are allowed. It waits "
        "linger_ms={linger} for others to come.",
        "missing": "{found} of {messages} messages are in the topic.",
    },
)
def swift(learner: Learner, answer: object) -> Right | Wrong:
    """Let a producer with the learner's settings write a burst, and some lone messages."""
    if not isinstance(answer, dict) or not all(isinstance(name, str) for name in answer):
        return Wrong("no settings", given=shown(answer))
    topic = learner.create(SWIFT, partitions=1)
    before = _end(learner, topic)
    with _producing(learner, answer) as producer:
        acks = producer.config["acks"]
        if acks not in (-1, "all"):
            return Wrong("acks", acks=acks)
        if not producer.config["enable_idempotence"]:
            return Wrong("not idempotent")
        _send(producer, topic)
        metrics = producer.metrics()["producer-metrics"]
        full, kept = metrics["records-per-request-avg"], metrics["compression-rate-avg"]
        size, linger = producer.config["batch_size"], producer.config["linger_ms"]
        if full < LEAST:
            each = len(_value(0))
            return Wrong("small", found=full, least=LEAST, size=size, each=each)
        if kept > SHRUNK:
            return Wrong("not compressed", found=kept)
        alone = _alone(producer, topic)
    if alone is None or alone > PATIENCE:
        took = "more than 2 s" if alone is None else f"{alone:.1f} s"
        return Wrong("lingers", found=took, patience=PATIENCE, linger=linger)
    found = _end(learner, topic) - before
    if found < MESSAGES:
        return Wrong("missing", found=found, messages=MESSAGES)
    return Right(
        f"{full:.0f} messages in a request, compressed to {kept:.0%}, and a lone message took "
        f"{alone * 1000:.0f} ms."
    )


def _send(producer: KafkaProducer, topic: str) -> None:
    """Hand over a burst; of many small batches, that take too long, a part tells enough."""
    values = [_value(number) for number in range(MESSAGES)]
    producer.send(topic, values[0])
    producer.flush(timeout=SECONDS)
    with contextlib.suppress(KafkaTimeoutError):
        for value in values[1:]:
            producer.send(topic, value)
        producer.flush(timeout=SECONDS)


def _alone(producer: KafkaProducer, topic: str) -> float | None:
    """Return the seconds of the quickest of some lone messages; None if one took too long."""
    times = []
    for _ in range(3):
        began = time.monotonic()
        try:
            producer.send(topic, _value(0)).get(timeout=4 * PATIENCE)
        except KafkaTimeoutError:
            return None
        times.append(time.monotonic() - began)
        if times[-1] <= PATIENCE:
            break
    return min(times)


def _value(number: int) -> bytes:
    text = SAYINGS[number % len(SAYINGS)]
    return json.dumps({"id": new_id(), "author": "ana", "n": number, "body": text}).encode()


@exercise(
    "w7",
    "Write a function deliver(producer, topic, texts) that sends all texts without waiting for one "
    "after the other, and returns a list of those that Kafka has refused.",
    {
        "untried": "deliver returned {answer}; a list of texts is asked for.",
        "raised": "deliver raised {error}: the refusal of one text ended it. Ask each future, and "
        "go on: future.get(timeout=...) raises a KafkaError if its text was refused.",
        "one by one": "It takes a request for each text, since each is waited for before the next "
        "is sent. Send all of them first, and keep the futures; then ask those.",
        "left early": "deliver was done when {found} of {count} texts were in the topic: the rest "
        "still waited in the producer. Wait for them: producer.flush(), or future.get(...).",
        "unheard": "deliver returned no text, but {lost} are not in the topic: Kafka has refused "
        "them as too large. send() does not tell, since it does not wait; its future does.",
        "other": "deliver returned {returned} text(s), of which {right} were refused; {lost} were.",
    },
)
def deliver(learner: Learner, answer: object) -> Right | Wrong:
    """Let the learner's function send texts, some of which the topic does not take."""
    topic = learner.create(NARROW, partitions=1, config={"max.message.bytes": LIMIT})
    texts = [
        f"text {number} {'very long ' * 500 if number in TOO_LARGE else ''}"
        for number in range(TEXTS)
    ]
    refused = [texts[number] for number in TOO_LARGE]
    before = _end(learner, topic)
    # Small batches, and no sequence numbers: else one that is refused takes others with it.
    settings = {"enable_idempotence": False, "batch_size": LIMIT // 2, "linger_ms": LINGER_MS}
    with _producing(learner, {"acks": "all", **settings}) as producer:
        producer.partitions_for(topic)
        given = _answer(answer, producer, topic, texts)
        arrived = _end(learner, topic) - before
        full = producer.metrics()["producer-metrics"].get("records-per-request-avg", 0.0)
    if not isinstance(given, list | tuple | set | frozenset):
        return Wrong("untried", answer=shown(given))
    if arrived < TEXTS - len(refused):
        return Wrong("left early", found=arrived, count=TEXTS)
    if full < 2:
        return Wrong("one by one")
    if not given:
        return Wrong("unheard", lost=len(refused))
    if sorted(map(str, given)) != sorted(refused):
        right = len(set(refused) & set(map(str, given)))
        return Wrong("other", returned=len(given), right=right, lost=len(refused))
    return Right(
        f"{arrived} of {TEXTS} texts are in {topic}, {full:.0f} in a request, and you know of the "
        f"{len(refused)} that are not."
    )


def _answer(answer: object, producer: KafkaProducer, topic: str, texts: list[str]) -> Any:
    try:
        return ask(answer, producer, topic, texts, seconds=DELIVER_SECONDS)
    except Wrong as wrong:
        if wrong.hint == "too long":
            raise Wrong("one by one") from wrong
        if isinstance(wrong.__cause__, KafkaError):
            raise Wrong("raised", error=wrong.values["error"]) from wrong
        raise


def _end(learner: Learner, topic: str) -> int:
    return edges_of(learner, topic)[0][1]


@contextlib.contextmanager
def _producing(learner: Learner, config: dict[str, Any]) -> Iterator[KafkaProducer]:
    settings = learner.settings
    try:
        producer = make_client(KafkaProducer, settings, **config)
    except BrokerUnavailableError:
        raise
    except (AssertionError, KafkaError, SettingsError, TypeError, ValueError) as error:
        raise Wrong("refused", given=shown(config), error=error) from error
    try:
        yield producer
    except KafkaError as error:
        raise explain(settings, error, SECONDS, right="Write") from error
    finally:
        close_producer(producer)
