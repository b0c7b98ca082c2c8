"""Members of a group on a real broker: they join, leave, crash and pause; what is committed."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

from chatkit.connection import make_client
from chatkit.errors import BrokerRefusedError, InputError, WorkshopTimeoutError
from chatkit.settings import Settings
from chatkit.workshop.learner import Learner
from chatkit.workshop.member import Member
from chatkit.workshop.notes import Handled
from tests.waiting import wait_until

MakeMember = Callable[..., Member]
ASSIGNORS = ["range", "roundrobin", "sticky", "cooperative"]


@pytest.fixture
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    admin = make_client(KafkaAdminClient, settings)
    yield admin
    admin.close()


@pytest.fixture
def topic(settings: Settings, admin: KafkaAdminClient) -> str:
    """A topic with three partitions."""
    name = settings.topic_prefix + "orders"
    admin.create_topics([NewTopic(name, 3, 1)])
    admin.wait_for_topics([name])
    return name


@pytest.fixture
def group(settings: Settings) -> str:
    return settings.topic_prefix + "readers"


@pytest.fixture
def member_factory(settings: Settings, topic: str, group: str) -> Iterator[MakeMember]:
    """Make members that are stopped after the test."""
    made: list[Member] = []

    def make(name: str = "ana", **more: object) -> Member:
        made.append(Member(settings, group, topic, **{"name": name, **more}))
        return made[-1]

    yield make
    for member in made:
        member.resume()
        assert member.stop()


def send(settings: Settings, topic: str, count: int, *, partition: int | None = 0) -> list[str]:
    """Send numbered messages, and return their ids once Kafka has them all."""
    ids = [f"ben-{number:06}" for number in range(count)]
    send_raw(settings, topic, [json.dumps({"id": one}).encode() for one in ids], partition)
    return ids


def send_raw(
    settings: Settings, topic: str, values: Sequence[bytes | None], partition: int | None = 0
) -> None:
    producer = make_client(KafkaProducer, settings)
    sent = [
        producer.send(
            topic, value, key=b"key", partition=number % 3 if partition is None else partition
        )
        for number, value in enumerate(values)
    ]
    for receipt in sent:
        receipt.get(20)
    producer.close()


def ids(*members: Member) -> list[str | None]:
    return [handled.id for member in members for handled in member.handled]


def kinds(member: Member) -> list[str]:
    return [event.kind for event in member.history]


def owned(*members: Member) -> list[int]:
    return sorted(partition for member in members for _, partition in member.assignment)


def test_a_lone_member_owns_all_and_handles_all(
    member_factory: MakeMember, settings: Settings, topic: str
) -> None:
    sent = send(settings, topic, 30, partition=None)
    with member_factory() as ana:
        assert owned(ana) == [0, 1, 2]
        ana.wait_until_handled(30)
        assert sorted(ids(ana)) == sent
        wait_until(lambda: set(ana.committed.values()) == {10})
        assert ana.positions == ana.committed == {(topic, number): 10 for number in range(3)}
        first = ana.handled[0]
        assert (first.topic, first.key, first.offset) == (topic, "key", 0)
    assert ana.state == "left"
    assert ana.assignment == frozenset()
    assert ana.positions == {}
    assert [kind for kind in kinds(ana) if kind != "commit"] == [
        "starting",
        "assigned",
        "joined",
        "revoked",
        "left",
    ]


@pytest.mark.parametrize("assignor", ASSIGNORS)
def test_members_share_the_partitions_and_the_fourth_is_idle(
    member_factory: MakeMember, settings: Settings, topic: str, assignor: str
) -> None:
    sent = send(settings, topic, 60, partition=None)
    names = ["ana", "ben", "cleo", "dora"]
    members = [member_factory(name, assignor=assignor).start() for name in names]
    shares = Member.wait_until_stable(members)
    assert sorted(map(len, shares.values())) == [0, 1, 1, 1]
    assert owned(*members) == [0, 1, 2]
    wait_until(lambda: set(ids(*members)) >= set(sent))
    assert len({member.generation for member in members}) == 1


@pytest.mark.parametrize("assignor", ASSIGNORS)
def test_who_leaves_hands_over_and_nothing_is_lost_or_doubled(
    member_factory: MakeMember, settings: Settings, topic: str, assignor: str
) -> None:
    ana, ben = (member_factory(name, assignor=assignor).start() for name in ("ana", "ben"))
    Member.wait_until_stable([ana, ben])
    send(settings, topic, 30, partition=None)
    wait_until(lambda: len(ids(ana, ben)) >= 30)
    assert ben.stop()
    Member.wait_until_stable([ana])
    assert owned(ana) == [0, 1, 2]
    send(settings, topic, 30, partition=None)
    wait_until(lambda: len(ids(ana, ben)) >= 60)
    assert set(Counter(ids(ana, ben)).values()) == {2}


def test_an_eager_member_gives_all_back_and_a_cooperative_one_what_moves(
    member_factory: MakeMember,
) -> None:
    moved = {}
    for assignor in ("range", "cooperative"):
        ana = member_factory(assignor=assignor).start()
        before = len(ana.history)
        ben = member_factory("ben", assignor=assignor).start()
        Member.wait_until_stable([ana, ben])
        moved[assignor] = [
            len(event.partitions) for event in ana.history[before:] if event.kind == "revoked"
        ]
        ben.stop()
        ana.stop()
    assert moved == {"range": [3], "cooperative": [1]}


def test_a_group_takes_a_crashed_members_partitions_only_after_its_session(
    member_factory: MakeMember,
) -> None:
    ana, ben = (member_factory(name, session_timeout=6.0).start() for name in ("ana", "ben"))
    Member.wait_until_stable([ana, ben])
    had = ben.assignment
    crashed = time.monotonic()
    assert ben.crash()
    assert time.monotonic() - crashed < 2
    assert ben.state == "crashed"
    assert ben.assignment == had
    assert kinds(ben)[-1] == "crashed"
    assert "revoked" not in kinds(ben)[kinds(ben).index("joined") :]
    Member.wait_until_stable([ana])
    assert 4.5 < time.monotonic() - crashed < 10
    assert owned(ana) == [0, 1, 2]


@pytest.mark.parametrize(
    ("commit", "before_commit", "lost", "doubled"),
    [("before", True, 5, 0), ("after", True, 0, 5), ("after", False, 0, 0), ("none", True, 0, 35)],
)
def test_a_crash_loses_or_doubles_by_when_it_was_committed(
    member_factory: MakeMember,
    settings: Settings,
    topic: str,
    commit: str,
    before_commit: bool,
    lost: int,
    doubled: int,
) -> None:
    sent = send(settings, topic, 100)
    ana = member_factory(commit=commit, instance="reader")
    ana.crash_after(35, crash_before_commit=before_commit).start(timeout=0).wait_until_ended()
    assert ana.state == "crashed"
    assert ids(ana) == sent[:35]
    ana.start(timeout=0)
    ana.wait_until_handled(100 - lost + doubled)
    assert ana.stop()
    seen = Counter(ids(ana))
    assert len(set(sent) - seen.keys()) == lost
    assert sum(count - 1 for count in seen.values()) == doubled


def test_a_member_that_is_stopped_handles_what_is_in_hand_and_commits_it(
    member_factory: MakeMember, settings: Settings, topic: str
) -> None:
    send(settings, topic, 30)
    ana = member_factory(work=1.0).start()
    ana.wait_until_handled(2)
    stopped = time.monotonic()
    assert ana.stop()
    assert time.monotonic() - stopped < 5
    assert len(ana.handled) == ana.committed[topic, 0] == 10


def test_automatic_commits_are_noted(
    member_factory: MakeMember, settings: Settings, topic: str
) -> None:
    send(settings, topic, 30)
    ana = member_factory(commit="auto").start()
    wait_until(lambda: ana.committed.get((topic, 0)) == 30)
    assert "commit" in kinds(ana)


def test_a_paused_member_keeps_its_partitions_and_goes_on(
    member_factory: MakeMember, settings: Settings, topic: str
) -> None:
    ana = member_factory().start()
    ana.pause()
    ana.pause()
    assert ana.state == "paused"
    send(settings, topic, 20)
    Member.wait_until_stable([ana])
    assert owned(ana) == [0, 1, 2]
    assert ana.handled == []
    ana.resume()
    ana.wait_until_handled(20)
    assert kinds(ana).count("paused") == kinds(ana).count("resumed") == 1


def test_one_that_does_not_poll_for_too_long_loses_its_partitions(
    member_factory: MakeMember,
) -> None:
    ana = member_factory(max_poll_interval=2.0).start()
    ana.pause()
    ben = member_factory("ben").start()
    assert owned(ben) == [0, 1, 2]
    ana.resume()
    Member.wait_until_stable([ana, ben])
    assert "lost" in kinds(ana)
    assert owned(ana, ben) == [0, 1, 2]


def test_what_was_taken_away_meanwhile_cannot_be_committed(
    member_factory: MakeMember, settings: Settings, topic: str
) -> None:
    send(settings, topic, 10)
    ana = member_factory(max_poll_interval=2.0, work=0.05).start()
    ana.wait_until_handled(1)
    ana.pause()
    ben = member_factory("ben").start().wait_until_handled(10)
    ana.resume()
    wait_until(lambda: "commit refused" in kinds(ana))
    assert ana.state not in ("failed", "left")
    assert ids(ben) == ids(ana)


def test_slow_down_makes_each_message_take_longer(
    member_factory: MakeMember, settings: Settings, topic: str
) -> None:
    ana = member_factory().start()
    ana.slow_down(0.2)
    send(settings, topic, 5)
    ana.wait_until_handled(5)
    times = [handled.at_ms for handled in ana.handled]
    assert all(later - earlier >= 190 for earlier, later in itertools.pairwise(times))
    with pytest.raises(InputError, match="0 seconds or more"):
        ana.slow_down(-1)


def test_a_static_member_comes_back_without_a_rebalance(member_factory: MakeMember) -> None:
    ana = member_factory(instance="one").start()
    ben = member_factory("ben", instance="two").start()
    Member.wait_until_stable([ana, ben])
    had, generation = ben.assignment, ana.generation
    events = len(ana.history)
    assert ben.stop()
    assert ben.state == "stopped"
    ben.start()
    Member.wait_until_stable([ana, ben])
    assert ben.assignment == had
    assert ana.generation == generation
    assert len(ana.history) == events


def test_any_value_is_handled(member_factory: MakeMember, settings: Settings, topic: str) -> None:
    values = [b"\xff\xfe", None, b"plain", b"[" * 100_000, b'{"id": 7}', b'{"id": "x"}', b"NaN"]
    send_raw(settings, topic, values)
    ana = member_factory().start().wait_until_handled(len(values))
    assert ids(ana) == [None] * 5 + ["x", None]
    assert [handled.value for handled in ana.handled[:3]] == [b"\xff\xfe", None, "plain"]
    assert ana.state == "stable"


def test_a_handler_that_raises_ends_the_member_without_a_commit(
    member_factory: MakeMember, settings: Settings, topic: str
) -> None:
    def refuse(handled: Handled) -> None:
        if handled.offset == 3:
            raise ValueError("no")

    send(settings, topic, 10)
    ana = member_factory(handle=refuse).start(timeout=0).wait_until_ended()
    assert ana.state == "failed"
    assert isinstance(ana.error, ValueError)
    assert len(ana.handled) == 3
    assert ana.committed == {}
    with pytest.raises(WorkshopTimeoutError, match="failed"):
        ana.wait_until_handled(10)


def test_members_must_agree_on_the_assignor(member_factory: MakeMember) -> None:
    member_factory().start()
    with pytest.raises(BrokerRefusedError, match="another assignor"):
        member_factory("ben", assignor="cooperative").start()


def test_a_topic_may_come_later(settings: Settings, admin: KafkaAdminClient, group: str) -> None:
    name = settings.topic_prefix + "late"
    ana = Member(settings, group, name, name="ana").start(timeout=0)
    try:
        wait_until(lambda: "is not there" in str(ana.error))
        assert ana.state == "joining"
        admin.create_topics([NewTopic(name, 2, 1)])
        wait_until(lambda: owned(ana) == [0, 1])
        assert ana.error is None
    finally:
        assert ana.stop()


def test_starting_and_ending_twice_does_no_harm(member_factory: MakeMember) -> None:
    ana = member_factory()
    assert ana.stop()
    assert ana.crash()
    assert ana.start().start() is ana
    assert ana.crash()
    assert ana.crash()
    assert ana.stop()
    assert ana.state == "crashed"
    assert kinds(ana).count("crashed") == 1


def test_waiting_tells_what_it_saw_last(member_factory: MakeMember) -> None:
    ana = member_factory().start()
    with pytest.raises(WorkshopTimeoutError, match=r"handle 5 messages.*handled 0 and is stable"):
        ana.wait_until_handled(5, timeout=0.2)
    ben = member_factory("ben").start()
    with pytest.raises(WorkshopTimeoutError, match="the group also has ben"):
        Member.wait_until_stable([ana], timeout=2.0)
    assert ben.stop()


def test_a_member_that_is_kept_waiting_says_by_what_and_ends(member_factory: MakeMember) -> None:
    ana = member_factory().start()
    ana.pause()
    ben = member_factory("ben")
    with pytest.raises(WorkshopTimeoutError, match=r"ben is joining.*paused or busy"):
        ben.start(timeout=1.5)
    assert ben.state == "left"


def test_without_a_broker_it_says_so_and_ends() -> None:
    nowhere = Settings(bootstrap_servers="localhost:1", kafka_timeout=0.5)
    ana = Member(nowhere, "readers", "orders", name="ana")
    with pytest.raises(WorkshopTimeoutError, match="localhost:1"):
        ana.start(timeout=3.0)
    assert ana.state == "left"
    assert not ana.crash_after(1).handled


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"assignor": "fair"}, "assignor is one of range"),
        ({"commit": "sometimes"}, "commit is one of after"),
        ({"heartbeat": 7.0}, "less than session_timeout"),
        ({"max_poll_records": 0}, "more than 0"),
        ({"work": -1.0}, "0 seconds or more"),
        ({"isolation": "none"}, "isolation is one of"),
    ],
)
def test_what_cannot_be_is_said_at_once(wrong: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Member(Settings(), "readers", "orders", **{"name": "ana", **wrong})
    with pytest.raises(InputError, match="at least one topic"):
        Member(Settings(), "readers", [], name="ana")


def test_a_learners_prefix_is_put_before_group_and_topics() -> None:
    learner = Learner("ana", settings=Settings())
    member = Member(learner, "readers", ["orders", "bills"], name="ben")
    assert member.group == learner.group("readers")
    assert member.topics == (learner.topic("orders"), learner.topic("bills"))
