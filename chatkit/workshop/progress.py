"""How far learners are: each check's result in the compacted topic ``lab.progress``.

The key of a record names learner, exercise and state, so that compaction keeps the last success and
the last failure of each, and no later failure hides a success. What is in the topic anybody may
have written: what can't be read as a mark is passed over.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, TopicAlreadyExistsError

from chatkit.channels import Channels
from chatkit.connection import close_producer, explain, make_client
from chatkit.consumer import close_reader, make_reader
from chatkit.errors import BrokerUnavailableError, ChatkitError
from chatkit.message import now_ms
from chatkit.settings import Settings
from chatkit.workshop.exercises import catalogue

if TYPE_CHECKING:
    import pandas as pd

    from chatkit.workshop.check import Result
    from chatkit.workshop.learner import Learner

__all__ = ["TOPIC", "Mark", "Progress", "everyone", "note", "progress", "table"]

TOPIC = "lab.progress"
"""Where the marks are kept."""
CONFIG = {"cleanup.policy": "compact", "min.insync.replicas": "1"}
SECONDS = 5.0
"""How long a check may be held up by noting its result."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """That a learner's answer was checked."""

    learner: Name
    """Whose."""
    exercise: Name
    """Name of the exercise."""
    state: Literal["right", "not yet"]
    """What the check found."""
    hint: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Which hint was given, if any."""
    at_ms: Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
    """When, ms since 1970 UTC."""

    @property
    def key(self) -> bytes:
        """Key of its record."""
        return f"{self.learner}/{self.exercise}/{self.state}".encode()


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far one learner is. Shows itself, as text and in a notebook."""

    learner: str
    """Whose."""
    exercises: tuple[tuple[str, str], ...]
    """Notebook and name of each exercise there is."""
    marks: dict[str, Mark] = {}
    """Exercise -> its success, else its last failure; none where it was not tried."""

    @property
    def passed(self) -> tuple[str, ...]:
        """Names of the exercises that are solved."""
        return tuple(name for _, name in self.exercises if self.state_of(name) == "right")

    def state_of(self, exercise: str) -> Literal["right", "not yet", ""]:
        """Return how it stands with an exercise; empty: it was not tried."""
        mark = self.marks.get(exercise)
        return mark.state if mark is not None else ""

    def frame(self) -> pd.DataFrame:
        """Return one row per exercise: notebook, exercise, state, hint, at (UTC)."""
        import pandas as pd

        rows = [
            (notebook, name, self.state_of(name), mark.hint if mark else "", mark and mark.at_ms)
            for notebook, name in self.exercises
            for mark in [self.marks.get(name)]
        ]
        frame = pd.DataFrame(rows, columns=["notebook", "exercise", "state", "hint", "at"])
        frame = frame.astype(dict.fromkeys(["notebook", "exercise", "state", "hint"], "str"))
        frame["at"] = pd.to_datetime(frame["at"].astype("Int64"), unit="ms", utc=True)
        return frame

    @property
    def _score(self) -> str:
        return f"{self.learner}: {len(self.passed)} of {len(self.exercises)} exercises solved"

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        marks = {"right": "✓", "not yet": "✗", "": "·"}
        for notebook, name in self.exercises:
            yield marks[self.state_of(name)], notebook, name

    def __str__(self) -> str:
        return "\n".join([self._score, *(" ".join(line) for line in self._lines())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>"
            for line in self._lines()
        )
        return f"<b>{escape(self._score)}</b><table>{rows}</table>"


def note(learner: Learner, result: Result) -> Result:
    """Note what a check found; where that fails the result says why, and all goes on.

    Parameters
    ----------
    learner : Learner
        Whose answer it was.
    result : Result
        What was found, ``right`` or ``not yet``.

    Returns
    -------
    Result
        The same, with ``note`` set if Kafka did not take it within some 5 s.
    """
    assert result.state != "not checked"
    mark = Mark(
        learner=learner.name,
        exercise=result.exercise,
        state=result.state,
        hint=result.hint,
        at_ms=now_ms(),
    )
    try:
        _write(learner.settings, mark)
    except ChatkitError as error:
        return msgspec.structs.replace(result, note=str(error))
    return result


def progress(learner: Learner) -> Progress:
    """Return how far a learner is.

    Raises
    ------
    BrokerUnavailableError
        No broker answered in time.
    """
    marks = [mark for mark in _read(learner.settings) if mark.learner == learner.name]
    return _fold(learner.name, marks)


def everyone(settings: Settings) -> list[Progress]:
    """Return how far each learner of a Kafka is, sorted by name; none where nobody began.

    Raises
    ------
    BrokerUnavailableError
        No broker answered in time.
    """
    marks = defaultdict(list)
    for mark in _read(settings):
        marks[mark.learner].append(mark)
    return [_fold(name, marks[name]) for name in sorted(marks)]


def table(learners: Sequence[Progress]) -> pd.DataFrame:
    """Return one row per learner and one column per exercise, for the teacher.

    Parameters
    ----------
    learners : sequence of Progress
        What `everyone` returns.

    Returns
    -------
    pandas.DataFrame
        Index ``learner``; ``solved`` (int), and a column such as ``w1 diary`` for each exercise:
        ``right``, ``not yet`` or empty.
    """
    import pandas as pd

    exercises = _exercises()
    columns = {
        f"{notebook} {name}": pd.Series([one.state_of(name) for one in learners], dtype="str")
        for notebook, name in exercises
    }
    solved = pd.Series([len(one.passed) for one in learners], dtype="int64")
    names = pd.Index([one.learner for one in learners], name="learner", dtype="str")
    return pd.DataFrame({"solved": solved, **columns}).set_axis(names)


def _exercises() -> tuple[tuple[str, str], ...]:
    return tuple((one.notebook, one.name) for one in catalogue().values())


def _fold(learner: str, marks: Iterable[Mark]) -> Progress:
    best: dict[str, Mark] = {}
    for mark in sorted(marks, key=lambda mark: (mark.state == "right", mark.at_ms)):
        best[mark.exercise] = mark
    return Progress(learner=learner, exercises=_exercises(), marks=best)


def _write(settings: Settings, mark: Mark) -> None:
    settings = settings.replace(kafka_timeout=min(SECONDS, settings.kafka_timeout))
    _ensure_topic(settings)
    producer = make_client(
        KafkaProducer,
        settings,
        acks="all",
        allow_auto_create_topics=False,
        delivery_timeout_ms=int(SECONDS * 1000),
        request_timeout_ms=int(SECONDS * 500),
        max_block_ms=int(SECONDS * 1000),
    )
    try:
        sent = producer.send(TOPIC, key=mark.key, value=msgspec.json.encode(mark))
        sent.get(timeout=SECONDS)
    except KafkaError as error:
        raise explain(settings, error, SECONDS, right=f"Write on topic {TOPIC!r}") from error
    finally:
        close_producer(producer)


def _ensure_topic(settings: Settings) -> None:
    admin = make_client(KafkaAdminClient, settings, request_timeout_ms=int(SECONDS * 500))
    try:
        (found,) = admin.describe_topics([TOPIC])
        if found["error_code"] == 0:
            return
        replicas = settings.replication_factor
        if replicas is None:
            with Channels(settings) as channels:
                replicas = min(3, channels.cluster().brokers)
        wanted = {"num_partitions": 1, "replication_factor": replicas, "configs": CONFIG}
        with contextlib.suppress(TopicAlreadyExistsError):  # another learner was quicker
            admin.create_topics({TOPIC: wanted})
        admin.wait_for_topics([TOPIC])
    except KafkaError as error:
        raise explain(settings, error, SECONDS, right=f"Create on topic {TOPIC!r}") from error
    finally:
        admin.close()


def _read(settings: Settings) -> list[Mark]:
    consumer = make_reader(settings)
    try:
        return list(_marks(consumer, settings))
    except KafkaError as error:
        seconds = settings.kafka_timeout
        raise explain(settings, error, seconds, right=f"Read on topic {TOPIC!r}") from error
    finally:
        close_reader(consumer)


def _marks(consumer: KafkaConsumer, settings: Settings) -> Iterator[Mark]:
    if not consumer.partitions_for_topic(TOPIC):
        return
    part = TopicPartition(TOPIC, 0)
    consumer.assign([part])
    consumer.seek_to_beginning(part)
    last = consumer.end_offsets([part], timeout_ms=int(settings.kafka_timeout * 1000))[part]
    until = time.monotonic() + settings.kafka_timeout
    # A poll that gives nothing is no end: compaction leaves holes, and brokers are slow at times.
    while (consumer.position(part, timeout_ms=1000) or 0) < last:
        if time.monotonic() > until:
            raise BrokerUnavailableError(
                f"Kafka did not give all of {TOPIC} within {settings.kafka_timeout:g} s; it may be "
                "busy: try again"
            )
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                if (mark := _decode(record)) is not None:
                    yield mark


def _decode(record: Any) -> Mark | None:
    try:
        mark = msgspec.json.decode(record.value or b"", type=Mark)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return mark if mark.key == record.key else None
