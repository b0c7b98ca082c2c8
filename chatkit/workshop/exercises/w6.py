"""Exercises of w6: delivery, at least once and effectively once.

===========  ========================  ============================================================
check        is handed                 looks at
===========  ========================  ============================================================
``receive``  ``learner``, ``receive``  what was handled, and what the group has committed, when the
                                       handling fails in the middle and another consumer goes on
``book``     ``learner``, ``book``     what the books hold after messages have come twice
===========  ========================  ============================================================

Both are asked about topic ``w6-quiz`` in the learner's own corner, which the check makes: payments
in one partition, two of which were sent twice. The group of ``receive`` is ``w6-quiz`` too.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from chatkit.connection import explain, make_client
from chatkit.message import now_ms
from chatkit.workshop.check import Right, Wrong, ask, exercise, shown
from chatkit.workshop.exercises.topics import edges_of, write_all
from chatkit.workshop.notes import Handled

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["book", "receive"]

QUIZ = "w6-quiz"
PEOPLE = ("ana", "ben", "cleo")
NUMBERS = (*range(30), 3, 17, *range(30, 38))
"""The payments as they lie in the quiz: numbers 3 and 17 were sent once more."""
POLL = 10
STUMBLES_AT = 14
"""Offset of the record that the first consumer can't handle: in the middle of its second poll."""
CALLS = 30
"""How often ``receive`` may be called without coming to an end: a poll may give nothing."""
BEGINS_AGAIN = 10
"""Offset from which what is booked comes once more."""
SECONDS = 10.0


class _Stumble(Exception):
    """What the handling of a record raises in the quiz."""


@exercise(
    "w6",
    "Write a function receive(consumer, handle) that polls once, hands each record to handle(), "
    "and commits, so that no record is lost when handle() raises.",
    {
        "nothing": "After {calls} calls of receive, handle() was still not called. Does it hand on "
        "the records of consumer.poll(timeout_ms=500)? They are in lists, one for each partition.",
        "swallowed": "handle() raised at offset {at}, and receive went on as if nothing had been: "
        "that record was handled by nobody. Let the error through: then receive ends there, and "
        "the record is not committed.",
        "lost": "handle() raised at offset {at}, when the group had committed {committed} already. "
        "The next consumer began there, so offset(s) {lost} were never handled. Commit later: when "
        "all that it covers has been handled.",
        "one off": "All {end} records were handled, and the group has committed {committed}: the "
        "offset of the last one. It is where the next consumer begins, so it must be one more.",
        "not committed": "All {end} records were handled, but the group has committed {committed}: "
        "the next consumer begins there, and handles all after it once more. Where is the commit?",
    },
)
def receive(learner: Learner, answer: object) -> Right | Wrong:
    """Let the learner's function receive the quiz, with a handling that fails once."""
    part = TopicPartition(_quiz(learner), 0)
    times: Counter[int] = Counter()
    with _reading(learner, part) as consumer:
        consumer.commit({part: OffsetAndMetadata(0, "", -1)})
    with _reading(learner, part) as consumer:
        fell = _receive_all(answer, consumer, part, times, stumbles=True)
    if not fell:
        return Wrong("nothing", calls=CALLS)
    with _reading(learner, part) as consumer:
        began = _committed(consumer, part)
        _receive_all(answer, consumer, part, times, stumbles=False)
    with _reading(learner, part) as consumer:
        ended = _committed(consumer, part)
    end = len(NUMBERS)
    lost = [offset for offset in range(end) if not times[offset]]
    if lost:
        return Wrong("lost", at=STUMBLES_AT, committed=began, lost=_span(lost))
    if ended == end - 1:
        return Wrong("one off", end=end, committed=ended)
    if ended != end:
        return Wrong("not committed", end=end, committed=ended)
    doubled = sum(count > 1 for count in times.values())
    return Right(
        f"handle() raised at offset {STUMBLES_AT}, the next consumer began at {began}, and none of "
        f"the {end} records was lost. {doubled} were handled twice: at least once."
    )


def _receive_all(
    answer: object,
    consumer: KafkaConsumer,
    part: TopicPartition,
    times: Counter[int],
    *,
    stumbles: bool,
) -> bool:
    """Call the learner's function until the quiz is handled or it has failed; True if it has."""
    fell = False

    def handle(record: Any) -> None:
        nonlocal fell
        if stumbles and record.offset == STUMBLES_AT:
            fell = True
            raise _Stumble(f"offset {record.offset} can't be handled now")
        times[record.offset] += 1

    for _ in range(CALLS):
        try:
            ask(answer, consumer, handle)
        except Wrong as wrong:
            if isinstance(wrong.__cause__, _Stumble):
                return True
            raise
        if fell:
            raise Wrong("swallowed", at=STUMBLES_AT)
        if times and (consumer.position(part, 1000) or 0) >= len(NUMBERS):
            break
    return False


def _committed(consumer: KafkaConsumer, part: TopicPartition) -> int:
    return consumer.committed(part, timeout_ms=5000) or 0


@contextlib.contextmanager
def _reading(learner: Learner, part: TopicPartition) -> Iterator[KafkaConsumer]:
    """Give a consumer of the quiz's group that begins where the group has committed."""
    settings = learner.settings
    consumer = make_client(
        KafkaConsumer,
        settings,
        group_id=learner.group(QUIZ),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=POLL,
        consumer_timeout_ms=1000,
    )
    try:
        consumer.assign([part])
        yield consumer
    except KafkaError as error:
        right = f"Read on group {learner.group(QUIZ)!r}"
        raise explain(settings, error, SECONDS, right=right) from error
    finally:
        with contextlib.suppress(KafkaError):
            consumer.close(autocommit=False, timeout_ms=1000)


def _span(offsets: list[int]) -> str:
    return f"{offsets[0]} to {offsets[-1]}" if len(offsets) > 1 else str(offsets[0])


@exercise(
    "w6",
    "Write a function book(books, payment) that keeps the amount of a payment in the dict 'books' "
    "such that the values of 'books' add up right also when messages come twice.",
    {
        "nothing": "After {count} payments, 'books' is {books}. Keep each amount in it: "
        "books[...] = payment.value['amount'].",
        "not amounts": "'books' holds {books}. Its values are to be the amounts, and nothing else.",
        "memory": "With a second, empty 'books' the sum was {second}, not {right}. What was booked "
        "must be noted in 'books' itself: a function's own memory knows nothing of other books, "
        "and is gone after a crash, when the books are not.",
        "added": "The values add up to {given}, not {right}: what came twice was added twice. "
        "Don't add to what is there: keep each payment under a key of its own, where the second "
        "time changes nothing.",
        "by place": "The values add up to {given}, not {right}. {twice} were sent twice, so each "
        "lies at two offsets: the offset tells apart what is the same. What does not differ?",
        "too few": "The values add up to {given}, not {right}: there are {payments} payments, and "
        "{kept} values in 'books'. Two payments of the same person, or of the same amount, are two "
        "payments: what tells them apart?",
        "other": "The values add up to {given}, not {right}.",
    },
)
def book(learner: Learner, answer: object) -> Right | Wrong:
    """Let the learner's function book the quiz, part of which comes once more."""
    payments = _payments(learner)
    came = [*payments[:STUMBLES_AT], *payments[BEGINS_AGAIN:]]
    books = _booked(answer, came)
    amounts = {one.id: one.value["amount"] for one in payments}
    right = sum(amounts.values())
    if not books:
        return Wrong("nothing", count=len(came), books=shown(books))
    if not all(isinstance(value, int | float) for value in books.values()):
        return Wrong("not amounts", books=shown(books))
    given = sum(books.values())
    if given == right:
        second = _sum(_booked(answer, came))
        if second != right:
            return Wrong("memory", second=second, right=right)
        return Right(
            f"{len(came)} messages brought {len(amounts)} payments, and 'books' adds up to {right}."
        )
    seen = {"given": given, "right": right}
    if given == sum(one.value["amount"] for one in came):
        return Wrong("added", **seen)
    if given == sum(one.value["amount"] for one in payments):
        times = Counter(one.id for one in payments)
        twice = " and ".join(str(name) for name, count in times.items() if count > 1)
        return Wrong("by place", twice=twice, **seen)
    if given < right:
        return Wrong("too few", payments=len(amounts), kept=len(books), **seen)
    return Wrong("other", **seen)


def _booked(answer: object, payments: list[Handled]) -> dict[Any, Any]:
    books: dict[Any, Any] = {}

    def book_all() -> None:
        function: Callable[..., object] = answer  # type: ignore[assignment]
        for payment in payments:
            function(books, payment)

    if not callable(answer):
        ask(answer)
    book_all.__name__ = getattr(answer, "__name__", "book")
    ask(book_all)
    return books


def _sum(books: dict[Any, Any]) -> float:
    return sum(value for value in books.values() if isinstance(value, int | float))


def _payments(learner: Learner) -> list[Handled]:
    """Return the quiz, as it lies in Kafka."""
    part = TopicPartition(_quiz(learner), 0)
    found: list[Handled] = []
    with _reading(learner, part) as consumer:
        consumer.seek(part, 0)
        for record in consumer:
            value = json.loads(record.value)
            place = part.topic, part.partition, record.offset
            found.append(Handled(*place, record.key.decode(), value["id"], value, now_ms()))
            if len(found) == len(NUMBERS):
                break
    return found


def _quiz(learner: Learner) -> str:
    """Return the topic that functions are asked about; make it if need be."""
    topic = learner.create(QUIZ, partitions=1)
    if edges_of(learner, topic)[0][1]:
        return topic
    write_all(
        learner.settings,
        topic,
        (
            {"key": who.encode(), "value": json.dumps(value).encode(), "partition": 0}
            for number in NUMBERS
            for who in [PEOPLE[number % 3]]
            for value in [
                {"id": f"payment-{number:02}", "who": who, "amount": 5 * (number % 4 + 1)}
            ]
        ),
    )
    return topic
