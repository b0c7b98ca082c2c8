"""A cluster to break, and a learner's corner of it, on real brokers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, KafkaConsumer

import chatkit.workshop
from chatkit.connection import make_client
from chatkit.errors import (
    BrokerUnavailableError,
    InputError,
    NeedsOwnBrokersError,
    SettingsError,
    WorkshopTimeoutError,
)
from chatkit.settings import Settings
from chatkit.workshop.cluster import LabCluster
from chatkit.workshop.learner import LAB, Learner
from tests.waiting import wait_until

NOWHERE = Settings(bootstrap_servers="127.0.0.1:1", kafka_timeout=0.5, mongo_uri="mongodb://x")


@pytest.fixture
def learner(settings: Settings) -> Iterator[Learner]:
    """A learner whose name no other test has, on one broker."""
    learner = Learner(f"ana-{uuid.uuid4().hex[:8]}", settings=settings)
    yield learner
    learner.reset()


@pytest.fixture
def topic(healed_cluster: LabCluster) -> str:
    """A topic of one partition on three brokers."""
    return healed_cluster.learner(f"ana-{uuid.uuid4().hex[:8]}").create("orders", partitions=1)


def topics_of(settings: Settings) -> set[str]:
    admin = make_client(KafkaAdminClient, settings)
    try:
        return set(admin.list_topics())
    finally:
        admin.close()


def join(settings: Settings, topic: str, group: str) -> KafkaConsumer:
    consumer = make_client(
        KafkaConsumer, settings, group_id=group, session_timeout_ms=6000, heartbeat_interval_ms=500
    )
    consumer.partitions_for_topic(topic)
    consumer.subscribe([topic])

    def joined() -> bool:
        consumer.poll(timeout_ms=100)
        return bool(consumer.assignment())

    wait_until(joined)
    return consumer


# Names.


def test_names_begin_with_the_learners_and_whole_names_are_kept() -> None:
    learner = Learner("ana", settings=NOWHERE)
    assert learner.topic("orders") == "lab.ana.orders"
    assert learner.group("readers") == "lab.ana.readers"
    assert learner.topic("lab.ana.orders") == "lab.ana.orders"
    assert Learner(settings=NOWHERE.replace(user="ben")).topic("x") == "lab.ben.x"


def test_names_of_others_and_names_that_kafka_refuses_are_refused() -> None:
    learner = Learner("ana", settings=NOWHERE)
    for name in ("lab.ben.orders", "lab.anax.orders", "lab.progress", "", "a b", "ä", "x" * 242):
        with pytest.raises(InputError):
            learner.topic(name)
    for name in ("", " ", "a\nb", "x" * 65):
        with pytest.raises(InputError, match="1-64 printable"):
            Learner(name, settings=NOWHERE)


NAMES = st.text(min_size=1, max_size=64).filter(lambda name: name.isprintable() and name.strip())


@given(NAMES, NAMES)
def test_no_learners_prefix_begins_with_anothers(one: str, other: str) -> None:
    first, second = (Learner(name, settings=NOWHERE).prefix for name in (one, other))
    assert first.startswith(LAB)
    assert set(first.removeprefix(LAB)[:-1]) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
    )
    assert first.startswith(second) == (one == other)


def test_every_name_of_the_package_has_a_home() -> None:
    assert set(chatkit.workshop.__all__) == set(chatkit.workshop._HOMES)
    assert set(chatkit.workshop.__all__) <= set(dir(chatkit.workshop))
    with pytest.raises(AttributeError, match="no attribute 'Members'"):
        _ = chatkit.workshop.Members


# A learner's corner.


def test_a_topic_is_made_once_and_another_shape_is_told(learner: Learner) -> None:
    topic = learner.create("orders", partitions=2, config={"retention.ms": 3000})
    assert learner.create("orders", partitions=2, config={"retention.ms": 3000}) == topic
    assert learner.create(topic, partitions=2) == topic
    with pytest.raises(InputError, match=r"with 2 partitions, not 3; retention.ms=3000, not 9"):
        learner.create("orders", config={"retention.ms": 9})


def test_a_topic_grows_and_never_shrinks(learner: Learner) -> None:
    topic = learner.create("orders", partitions=2)
    assert learner.grow("orders", 3) == topic
    assert learner.grow(topic, 3) == topic
    assert learner.create("orders", partitions=3) == topic
    with pytest.raises(InputError, match="has 3 partitions, and a topic never loses any"):
        learner.grow("orders", 2)
    with pytest.raises(InputError, match=r"There is no topic .*nothing to grow: create\(\)"):
        learner.grow("nothing", 2)


def test_a_topic_that_kafka_can_not_make_is_told(learner: Learner) -> None:
    with pytest.raises(InputError, match="3 replicas"):
        learner.create("orders", replicas=3)
    with pytest.raises(InputError, match=r"no\.such\.thing=true"):
        learner.create("orders", config={"no.such.thing": True})
    with pytest.raises(InputError, match="at least 1 partition"):
        learner.create("orders", partitions=0)
    assert not any(name.startswith(learner.prefix) for name in topics_of(learner.settings))


def test_reset_removes_only_what_is_the_learners(learner: Learner) -> None:
    topic = learner.create("orders", partitions=1)
    neighbour = Learner(f"{learner.name}x", settings=learner.settings)
    others = neighbour.create("orders", partitions=1)
    consumer = join(learner.settings, topic, learner.group("readers"))
    try:
        consumer.poll(timeout_ms=100)
        with pytest.raises(WorkshopTimeoutError, match=r"readers has members still.*stop\(\)"):
            learner.reset(timeout=0.5)
        assert topic in topics_of(learner.settings)
    finally:
        consumer.close(autocommit=False, timeout_ms=1000)
    assert learner.reset() == sorted([topic, learner.group("readers")])
    assert learner.reset() == []
    assert others in topics_of(learner.settings)
    assert neighbour.reset() == [others]


def test_a_topic_can_be_made_right_after_a_reset(learner: Learner) -> None:
    for partitions in (1, 2, 3):
        learner.create("orders", partitions=partitions)
        assert learner.reset() == [learner.topic("orders")]


def test_without_a_broker_a_learner_is_told_so() -> None:
    learner = Learner("ana", settings=NOWHERE)
    for act in (learner.reset, lambda: learner.create("orders")):
        with pytest.raises(BrokerUnavailableError, match="Nothing listens"):
            act()


# A Kafka that is there.


def test_brokers_that_were_there_are_not_broken(settings: Settings) -> None:
    with LabCluster.existing(settings) as cluster:
        assert cluster.bootstrap_servers == settings.bootstrap_servers
        assert cluster.broker_states() == {1: "running"}
        for act in (cluster.stop, cluster.kill, cluster.pause, cluster.resume, cluster.restart):
            with pytest.raises(NeedsOwnBrokersError, match="brokers of your own"):
                act(1)
        with pytest.raises(NeedsOwnBrokersError, match=r"heal\(\)"):
            cluster.heal()
        learner = cluster.learner(f"ana-{uuid.uuid4().hex[:8]}")
        assert cluster.wait_for_leader(learner.create("orders")) == 1
        learner.reset()


def test_a_notebook_has_one_cluster_until_it_is_closed(settings: Settings) -> None:
    shared = settings.replace(workshop="shared")
    first = LabCluster.for_notebook(shared)
    assert not first.is_own
    assert LabCluster.for_notebook(shared) is first
    first.close()
    second = LabCluster.for_notebook(shared)
    assert second is not first
    assert second.broker_states() == {1: "running"}
    second.close()


def test_a_cluster_that_does_not_run_says_so() -> None:
    cluster = LabCluster(settings=NOWHERE)
    assert "not running" in repr(cluster)
    for act in (cluster.broker_states, cluster.heal, lambda: cluster.kill(1), cluster.learner):
        with pytest.raises(RuntimeError, match="call start"):
            act()
    cluster.close()
    with pytest.raises(SettingsError, match="not 2"):
        LabCluster(2)


# Three brokers.


def test_a_killed_leader_is_replaced_and_comes_back(healed_cluster: LabCluster, topic: str) -> None:
    leader = healed_cluster.wait_for_leader(topic)
    healed_cluster.wait_for_replicas(topic, 3)
    healed_cluster.kill(leader)
    healed_cluster.kill(leader)
    assert healed_cluster.broker_states()[leader] == "down"
    assert healed_cluster.wait_for_leader(topic, other_than=leader) != leader
    healed_cluster.wait_for_replicas(topic, 2)
    healed_cluster.heal()
    assert set(healed_cluster.broker_states().values()) == {"running"}
    healed_cluster.wait_for_replicas(topic, 3, timeout=0)
    assert healed_cluster.wait_for_leader(topic, timeout=0) == leader


def test_a_paused_leader_is_replaced_and_heals(healed_cluster: LabCluster, topic: str) -> None:
    leader = healed_cluster.wait_for_leader(topic)
    healed_cluster.pause(leader)
    wait_until(lambda: healed_cluster.broker_states()[leader] == "paused")
    assert healed_cluster.wait_for_leader(topic, other_than=leader) != leader
    healed_cluster.resume(leader)
    wait_until(lambda: healed_cluster.broker_states()[leader] == "running")
    healed_cluster.heal()
    assert healed_cluster.wait_for_leader(topic, timeout=0) == leader


def test_a_broker_is_stopped_and_restarted(healed_cluster: LabCluster, topic: str) -> None:
    healed_cluster.stop(2)
    assert healed_cluster.broker_states() == {1: "running", 2: "down", 3: "running"}
    healed_cluster.wait_for_replicas(topic, 2)
    healed_cluster.restart(2)
    healed_cluster.wait_for_replicas(topic, 3)


def test_one_broker_is_enough_for_the_cluster_to_decide(
    healed_cluster: LabCluster, topic: str
) -> None:
    leader = healed_cluster.wait_for_leader(topic)
    for broker in {1, 2, 3} - {leader}:
        healed_cluster.kill(broker)
    healed_cluster.wait_for_replicas(topic, 1)
    learner = healed_cluster.learner(f"ana-{uuid.uuid4().hex[:8]}")
    alone = learner.create("alone", partitions=1)
    assert healed_cluster.wait_for_leader(alone) == leader
    seen = rf"in sync are \[{leader}\] of partition 0.*heal"
    with pytest.raises(WorkshopTimeoutError, match=seen):
        healed_cluster.wait_for_replicas(alone, 2, timeout=5)
    healed_cluster.heal(timeout=60)
    assert learner.reset() == [alone]


def test_the_controller_can_be_killed_too(healed_cluster: LabCluster, topic: str) -> None:
    healed_cluster.kill("controller")
    assert set(healed_cluster.broker_states().values()) == {"running"}
    healed_cluster.restart("controller")
    healed_cluster.heal(timeout=60)
    assert healed_cluster.wait_for_leader(topic) in {1, 2, 3}


def test_what_is_no_broker_is_told(healed_cluster: LabCluster) -> None:
    with pytest.raises(InputError, match="no broker 4; there are 1, 2, 3, 'controller'"):
        healed_cluster.kill(4)
    started = time.monotonic()
    with pytest.raises(WorkshopTimeoutError, match=r"no topic lab\.nobody"):
        healed_cluster.wait_for_leader("lab.nobody", timeout=0.5)
    assert time.monotonic() - started < 5


def test_a_cluster_of_one_broker_starts_twice_and_leaves_nothing() -> None:
    before = set(psutil.Process().children(recursive=True))
    cluster = LabCluster(1)
    try:
        assert cluster.start() is cluster
        assert cluster.start().broker_states() == {1: "running"}
        with pytest.raises(InputError, match=r"there are 1$"):
            cluster.stop("controller")
    finally:
        cluster.close()
        cluster.close()
    assert set(psutil.Process().children(recursive=True)) <= before
