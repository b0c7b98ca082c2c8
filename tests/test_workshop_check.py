"""Checks of exercises, on a real Kafka: right answers, stubs, and the usual wrong ones."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from chatkit.channels import Channels
from chatkit.connection import make_client
from chatkit.consumer import close_reader, make_reader
from chatkit.settings import Settings
from chatkit.workshop import check
from chatkit.workshop.check import Exercise, Result, Right, Wrong, ask, exercise, shown
from chatkit.workshop.exercises import catalogue, in_notebook
from chatkit.workshop.learner import Learner
from chatkit.workshop.progress import TOPIC, everyone, note, progress, table
from chatkit.workshop.sender import Sender
from tests.waiting import wait_until

MODULES = sorted(
    (Path(check.__file__).parent / "exercises").glob("w*.py"), key=lambda path: int(path.stem[1:])
)


@pytest.fixture
def learner(settings: Settings) -> Iterator[Learner]:
    """A learner whose name no other test has."""
    with_own_name = f"ana-{settings.database}"
    learner = Learner(with_own_name, settings=settings)
    yield learner
    learner.reset()
    learner.close()


@pytest.fixture
def consumer(settings: Settings) -> Iterator[KafkaConsumer]:
    """What a learner reads with."""
    consumer = make_reader(settings)
    yield consumer
    close_reader(consumer)


# The framework.


@exercise("w0", "Say 7.", {"six": "{answer} is one too few.", "other": "{answer} it is not."})
def seven(learner: Learner, answer: object) -> Right | Wrong:
    given = ask(answer)
    if given == 7:
        return Right("7 it is.")
    return Wrong("six" if given == 6 else "other", answer=shown(given))


def test_a_right_answer_passes_and_is_shown(learner: Learner) -> None:
    result = seven(learner, lambda: 7)
    assert result
    assert result.passed
    assert str(result) == "✓ Right. 7 it is."
    assert "✓ Right." in result._repr_html_()


def test_a_wrong_answer_gets_its_own_hint(learner: Learner) -> None:
    result = seven(learner, lambda: 6)
    assert not result
    assert (result.state, result.hint) == ("not yet", "six")
    assert str(result) == "✗ Not yet. 6 is one too few."
    assert seven(learner, lambda: None).hint == "other"


def test_what_is_no_function_is_said_to_be_none(learner: Learner) -> None:
    assert seven(learner, 7).hint == "not a function"
    assert "given 7" in str(seven(learner, 7))


def test_an_error_in_the_answer_is_told_and_does_not_leave_the_check(learner: Learner) -> None:
    def broken() -> int:
        return {"a": 1}["b"]

    result = seven(learner, broken)
    assert result.hint == "raises"
    assert "broken() raised KeyError: 'b'" in str(result)


def test_an_answer_that_never_ends_is_left_alone() -> None:
    end = threading.Event()
    with pytest.raises(Wrong) as wrong:
        ask(end.wait, seconds=0.05)
    assert wrong.value.hint == "too long"
    end.set()


def test_an_answer_can_leave_the_kernel_no_more_than_raise(learner: Learner) -> None:
    def leave() -> int:
        raise SystemExit(3)

    assert seven(learner, leave).hint == "raises"


def test_texts_of_answers_are_only_text_in_a_page(learner: Learner) -> None:
    html = seven(learner, lambda: "<img src=x onerror=alert(1)> {answer}")._repr_html_()
    assert "<img" not in html
    assert "&lt;img" in html


def test_a_long_answer_is_cut_off_and_one_that_can_not_be_shown_is_named() -> None:
    class Unshowable:
        def __repr__(self) -> str:
            raise ValueError

    assert len(shown("x" * 1000)) == 200
    assert shown(Unshowable()) == "<Unshowable whose repr raises ValueError>"


def test_without_kafka_nothing_is_checked_and_the_result_says_what_to_do() -> None:
    nowhere = Settings(bootstrap_servers="127.0.0.1:1", kafka_timeout=0.5, mongo_uri="mongodb://x")
    learner = Learner("ana", settings=nowhere)
    result = check.diary(learner)
    assert result.state == "not checked"
    assert "CHATKIT_BOOTSTRAP_SERVERS" in result.text
    learner.close()


def test_a_result_that_can_not_be_noted_is_shown_all_the_same() -> None:
    nowhere = Settings(bootstrap_servers="127.0.0.1:1", kafka_timeout=0.5, mongo_uri="mongodb://x")
    learner = Learner("ana", settings=nowhere)
    result = seven(learner, lambda: 7)
    assert result.passed
    assert "Not noted in your progress" in str(result)
    assert "Not noted in your progress" in result._repr_html_()
    learner.close()


def test_every_check_is_found_by_name_and_by_completion() -> None:
    for name, one in catalogue().items():
        assert getattr(check, name) is one
        assert name in dir(check)
    with pytest.raises(AttributeError, match=r"no exercise 'nonsense'; there are: .*diary"):
        check.nonsense  # noqa: B018


def test_names_of_exercises_are_used_once_and_each_is_in_its_notebook() -> None:
    found = [one for path in MODULES for one in in_notebook(path.stem)]
    assert len({one.name for one in found}) == len(found)
    assert [one.name for one in found] == list(catalogue())
    for path in MODULES:
        assert len(in_notebook(path.stem)) >= 2
        assert {one.notebook for one in in_notebook(path.stem)} == {path.stem}


@pytest.mark.parametrize("one", catalogue().values(), ids=lambda one: one.name)
def test_every_hint_that_a_check_may_give_has_a_text_and_the_reverse(one: Exercise) -> None:
    source = next(path for path in MODULES if path.stem == one.notebook).read_text("utf-8")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    inside = [node for function in functions for node in function.body]
    said = {
        node.value
        for statement in inside
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant)
    }
    assert set(one.hints) <= said
    hints = {hint for other in in_notebook(one.notebook) for hint in other.hints}
    assert set(re.findall(r'Wrong\(\s*"([^"]+)"', source)) <= hints | set(check.ALL_HINTS)
    assert len(one.hints) >= 2


# Progress.


def write_progress(settings: Settings, key: bytes | None, value: bytes | None) -> None:
    producer = make_client(KafkaProducer, settings)
    producer.send(TOPIC, key=key, value=value).get(timeout=10)
    producer.close()


def test_progress_shows_what_is_solved_tried_and_untouched(learner: Learner) -> None:
    assert progress(learner).passed == ()
    check.diary(learner)
    learner.create("diary", partitions=2)
    with Sender(learner, "diary") as sender:
        sender.send(10, partition=1)
        sender.flush()
    check.held(learner, lambda topic: None)
    assert check.diary(learner).passed

    found = progress(learner)
    assert found.passed == ("diary",)
    assert [found.state_of(name) for name in ("diary", "held", "since")] == ["right", "not yet", ""]
    assert str(found).startswith(f"{learner.name}: 1 of ")
    assert "✓ w1 diary\n✗ w1 held\n· w1 since" in str(found)
    assert "<td>diary</td>" in found._repr_html_()
    frame = found.frame()
    assert list(frame["state"][:3]) == ["right", "not yet", ""]
    assert str(frame["at"].dtype).endswith("UTC]")


def test_what_was_solved_once_stays_solved(learner: Learner) -> None:
    seven_right = Result(exercise="diary", notebook="w1", state="right")
    note(learner, seven_right)
    assert not check.diary(learner), "there is no topic"
    assert progress(learner).passed == ("diary",)


def test_a_teacher_sees_all_learners_beside_each_other(
    settings: Settings, learner: Learner
) -> None:
    check.diary(learner)
    ben = Learner(f"ben-{settings.database}", settings=settings)
    check.held(ben, lambda topic: None)
    ben.reset()
    ben.close()
    names = [learner.name, ben.name]
    found = [one for one in everyone(settings) if one.learner in names]
    assert [one.learner for one in found] == names
    frame = table(found)
    assert list(frame.index) == names
    assert list(frame["solved"]) == [0, 0]
    assert list(frame["w1 diary"]) == ["not yet", ""]
    assert list(table([]).columns) == list(frame.columns)


def test_garbage_among_the_marks_is_passed_over(settings: Settings, learner: Learner) -> None:
    check.diary(learner)
    before = [one.learner for one in everyone(settings)]
    for key, value in [
        (b"z", b""),
        (b"x", None),
        (b"\xff", b"\xff\x00"),
        (b"x/diary/right", b'{"learner": "y"}'),
        (b"x/diary/right", b'{"learner":"y","exercise":"diary","state":"right","at_ms":1}'),
        (b"x/diary/done", b'{"learner":"x","exercise":"diary","state":"done","at_ms":1}'),
    ]:
        write_progress(settings, key, value)
    assert [one.learner for one in everyone(settings)] == before


def test_marks_are_in_a_compacted_topic(settings: Settings, learner: Learner) -> None:
    check.diary(learner)
    with Channels(settings) as channels:
        resource = ConfigResource(ConfigResourceType.TOPIC, TOPIC, ["cleanup.policy"])
        found = channels._ask(lambda admin: admin.describe_configs([resource], config_filter="all"))
    assert found["topic"][TOPIC]["cleanup.policy"]["value"] == "compact"


# The exercises of w1.


def parts_of(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for number in wait_until(lambda: consumer.partitions_for_topic(topic))
    ]


def test_diary_without_a_topic(learner: Learner) -> None:
    result = check.diary(learner)
    assert result.hint == "no topic"
    assert learner.topic("diary") in str(result)


def test_diary_with_three_partitions(learner: Learner) -> None:
    learner.create("diary", partitions=3)
    assert check.diary(learner).hint == "partitions"


def test_diary_with_records_wherever_they_come(learner: Learner) -> None:
    learner.create("diary", partitions=2)
    with Sender(learner, "diary") as sender:
        sender.send(10, keys=[f"key {number}" for number in range(10)])
        sender.flush()
    assert check.diary(learner).hint == "elsewhere"


@pytest.mark.parametrize("count", [0, 9])
def test_diary_with_too_few_records(learner: Learner, count: int) -> None:
    learner.create("diary", partitions=2)
    with Sender(learner, "diary") as sender:
        if count:
            sender.send(count, partition=1)
        sender.flush()
    assert check.diary(learner).hint == "few"


@pytest.mark.parametrize("count", [10, 12])
def test_diary_as_it_should_be(learner: Learner, count: int) -> None:
    learner.create("diary", partitions=2)
    with Sender(learner, "diary") as sender:
        sender.send(count, partition=1)
        sender.flush()
    assert check.diary(learner).passed


Held = Callable[[KafkaConsumer, list[TopicPartition]], Any]


def held_right(consumer: KafkaConsumer, parts: list[TopicPartition]) -> int:
    starts, ends = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
    return sum(ends[part] - starts[part] for part in parts)


def held_by_reading(consumer: KafkaConsumer, parts: list[TopicPartition]) -> int:
    consumer.assign(parts)
    consumer.seek_to_beginning(*parts)
    ends = consumer.end_offsets(parts)
    count = 0
    while any(consumer.position(part) < ends[part] for part in parts):
        count += sum(map(len, consumer.poll(timeout_ms=200).values()))
    return count


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (held_right, ""),
        (held_by_reading, ""),
        (lambda consumer, parts: None, "untried"),
        (lambda consumer, parts: True, "untried"),
        (lambda consumer, parts: sum(consumer.end_offsets(parts).values()), "ends only"),
        (lambda consumer, parts: held_right(consumer, parts[:1]), "one partition"),
        (lambda consumer, parts: max(consumer.end_offsets(parts).values()), "one partition"),
        (lambda consumer, parts: held_right(consumer, parts) - 3, "one off"),
        (lambda consumer, parts: 1, "other"),
        (lambda consumer, parts: parts[7], "raises"),
    ],
)
def test_held(learner: Learner, consumer: KafkaConsumer, answer: Held, hint: str) -> None:
    result = check.held(learner, lambda topic: answer(consumer, parts_of(consumer, topic)))
    assert result.hint == hint, str(result)
    assert result.passed == (not hint)


Since = Callable[[KafkaConsumer, list[TopicPartition], int], Any]


def since_right(consumer: KafkaConsumer, parts: list[TopicPartition], time_ms: int) -> Any:
    found = consumer.offsets_for_times(dict.fromkeys(parts, time_ms))
    ends = consumer.end_offsets(parts)
    return {
        part.partition: ends[part] if found[part] is None else found[part].offset for part in parts
    }


def since_the_beginning(consumer: KafkaConsumer, parts: list[TopicPartition], time_ms: int) -> Any:
    starts = consumer.beginning_offsets(parts)
    return {part.partition: starts[part] for part in parts}


def since_the_end(consumer: KafkaConsumer, parts: list[TopicPartition], time_ms: int) -> Any:
    ends = consumer.end_offsets(parts)
    return {part.partition: ends[part] for part in parts}


def since_seconds(consumer: KafkaConsumer, parts: list[TopicPartition], time_ms: int) -> Any:
    return since_right(consumer, parts, time_ms // 1000)


def since_never(consumer: KafkaConsumer, parts: list[TopicPartition], time_ms: int) -> Any:
    found = consumer.offsets_for_times(dict.fromkeys(parts, time_ms))
    return {part.partition: found[part].offset for part in parts}


def since_none(consumer: KafkaConsumer, parts: list[TopicPartition], time_ms: int) -> Any:
    found = consumer.offsets_for_times(dict.fromkeys(parts, time_ms))
    return {part.partition: found[part] and found[part].offset for part in parts}


def since_after(consumer: KafkaConsumer, parts: list[TopicPartition], time_ms: int) -> Any:
    return since_right(consumer, parts, time_ms + 1)


def since_one_for_all(consumer: KafkaConsumer, parts: list[TopicPartition], time_ms: int) -> Any:
    found = since_right(consumer, parts, time_ms)
    return dict.fromkeys(found, found[0])


def since_backwards(consumer: KafkaConsumer, parts: list[TopicPartition], time_ms: int) -> Any:
    found = since_right(consumer, parts, time_ms)
    return {partition: offset - 3 + partition for partition, offset in found.items()}


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (since_right, ""),
        (lambda *given: None, "untried"),
        (lambda *given: 7, "untried"),
        (lambda *given: {0: None, 1: None, 2: None}, "untried"),
        (lambda *given: {0: 1}, "untried"),
        (since_the_beginning, "beginning"),
        (since_seconds, "beginning"),
        (since_the_end, "the end"),
        (since_never, "nothing to ask"),
        (since_none, "nothing so new"),
        (since_after, "one off"),
        (since_one_for_all, "one number"),
        (since_backwards, "other"),
        (lambda *given: given[7], "raises"),
    ],
)
def test_since(learner: Learner, consumer: KafkaConsumer, answer: Since, hint: str) -> None:
    result = check.since(learner, lambda topic, at: answer(consumer, parts_of(consumer, topic), at))
    assert result.hint == hint, str(result)
    assert result.passed == (not hint)


def test_the_quiz_is_made_once_and_only_in_the_learners_own_corner(
    learner: Learner, consumer: KafkaConsumer
) -> None:
    asked: list[str] = []
    for _ in range(2):
        check.held(learner, asked.append)
    assert asked == [learner.topic("w1-quiz")] * 2
    ends = consumer.end_offsets(parts_of(consumer, asked[0]))
    assert sum(ends.values()) == 30
    assert not str(asked[0]).startswith(TOPIC)
