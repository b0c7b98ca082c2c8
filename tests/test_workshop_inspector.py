"""The inspector: its figures and the views' are those of Kafka's own tools, and it fails kindly."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from operator import le
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from chatkit.connection import make_client
from chatkit.errors import BrokerUnavailableError, InputError
from chatkit.settings import Settings
from chatkit.workshop.cluster import LabCluster
from chatkit.workshop.inspector import Inspector, _shown, _text_of
from chatkit.workshop.learner import Learner
from chatkit.workshop.member import Member
from chatkit.workshop.sender import Sender
from chatkit.workshop.views import ClusterView, GroupView, OffsetView
from tests.kafka_tools import described_topic, kafka_tool, table
from tests.waiting import wait_until

NOWHERE = Settings(bootstrap_servers="127.0.0.1:1", kafka_timeout=0.5, mongo_uri="mongodb://x")


@pytest.fixture
def learner(lab_cluster: LabCluster) -> Iterator[Learner]:
    """A learner whose name no other test has, on three brokers."""
    learner = lab_cluster.learner(f"ana-{uuid.uuid4().hex[:8]}")
    yield learner
    learner.reset()
    learner.close()


@pytest.fixture
def topic(learner: Learner) -> str:
    """Three partitions of 20 records each, of which the first five of one are deleted."""
    topic = learner.create("orders")
    with Sender(learner, topic) as sender:
        for partition in range(3):
            sender.send(20, partition=partition)
        sender.flush()
    admin = make_client(KafkaAdminClient, learner.settings)
    admin.delete_records({TopicPartition(topic, 0): 5})
    admin.close()
    return topic


def commit(learner: Learner, group: str, topic: str, *offsets: int) -> str:
    """Commit offsets of the first partitions, as no member of the group; return its whole name."""
    name = learner.group(group)
    consumer = make_client(KafkaConsumer, learner.settings, group_id=name, enable_auto_commit=False)
    parts = [TopicPartition(topic, partition) for partition in range(len(offsets))]
    consumer.assign(parts)
    consumer.commit(
        {
            part: OffsetAndMetadata(offset, "", -1)
            for part, offset in zip(parts, offsets, strict=True)
        }
    )
    consumer.close()
    return name


def write(settings: Settings, topic: str, *records: dict[str, Any]) -> None:
    """Write records to partition 0, one after the other."""
    producer = make_client(KafkaProducer, settings)
    try:
        for record in records:
            producer.send(topic, partition=0, **record).get(20)
    finally:
        producer.close()


def as_told(value: object) -> str:
    """Return a figure as Kafka's tools write it."""
    return "-" if value is None or value is pd.NA else str(value)


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[str, ...]]:
    return [tuple(map(as_told, row)) for row in frame[list(columns)].itertuples(index=False)]


def offsets_told(settings: Settings, group: str) -> list[tuple[str, ...]]:
    """Return topic, partition, committed, log end and lag, as the tool tells them, sorted."""
    names = ("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG")
    return sorted(tuple(row[name] for name in names) for row in table(settings, group))


OFFSETS = ("topic", "partition", "committed", "log_end", "lag")


# Figures are those of Kafka's own tools.


def test_partitions_and_the_cluster_view_agree_with_the_tools(
    learner: Learner, lab_cluster: LabCluster, topic: str
) -> None:
    frame = learner.inspector.partitions(topic)
    with ClusterView(lab_cluster) as view:
        seen = view.refresh().frame
    told = described_topic(learner.settings, topic)
    assert len(told) == 3
    for shown in (frame, seen[seen["topic"] == topic].reset_index(drop=True)):
        for row, one in zip(shown.itertuples(), told, strict=True):
            assert (str(row.partition), str(row.leader)) == (one["Partition"], one["Leader"])
            assert row.replicas == [int(broker) for broker in one["Replicas"].split(",")]
            assert row.isr == sorted(int(broker) for broker in one["Isr"].split(","))
    for column, moment in (("log_start", "-2"), ("log_end", "-1")):
        lines = kafka_tool(learner.settings, "GetOffsetShell", "--topic", topic, "--time", moment)
        assert [f"{topic}:{n}:{at}" for n, at in enumerate(frame[column])] == sorted(
            line[0] for line in lines if line
        )
    assert list(frame["messages"]) == [15, 20, 20]


def test_offsets_and_their_view_agree_with_the_tool(learner: Learner, topic: str) -> None:
    # Below the log's start, in its midst, and nothing of the third partition
    group = commit(learner, "readers", topic, 2, 7)
    frame = learner.inspector.offsets(group)
    with OffsetView(learner, group) as view:
        seen = view.refresh().frame
    told = offsets_told(learner.settings, group)
    assert rows(frame, *OFFSETS) == rows(seen, *OFFSETS) == told
    assert list(frame["lag"]) == [18, 13]
    assert list(frame["log_start"]) == [5, 0]


def test_a_group_agrees_with_the_tool_member_by_member(learner: Learner, topic: str) -> None:
    group = learner.group("readers")
    with (
        Member(learner, "readers", topic, name="ana", instance="ana-1") as ana,
        Member(learner, "readers", topic, name="ben", instance="ben-1") as ben,
        GroupView([ana, ben]) as view,
    ):
        Member.wait_until_stable([ana, ben])
        inspector = learner.inspector
        wait_until(lambda: inspector.offsets(group)["lag"].eq(0).sum() == 3)
        members, seen = inspector.members(group), view.refresh().frame
        (state,) = inspector.groups(group).to_dict("records")
        told = table(learner.settings, group, "--members", "--verbose")
        (told_state,) = table(learner.settings, group, "--state")
        assert rows(inspector.offsets(group), *OFFSETS) == offsets_told(learner.settings, group)
    names = ("CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID")
    assert sorted(rows(members, "member", "instance", "host", "client")) == sorted(
        tuple(one[name] for name in names) for one in told
    )
    assert (state["group"], state["state"], state["assignor"], state["members"]) == (
        group,
        told_state["STATE"],
        told_state["ASSIGNMENT-STRATEGY"],
        int(told_state["#MEMBERS"]),
    )
    owned = {one["CLIENT-ID"]: one["CURRENT-ASSIGNMENT"] for one in told}
    assert owned == {
        row.client: f"{topic}:{','.join(str(partition) for _, partition in row.partitions)}"
        for row in members.itertuples()
    }
    assert owned == {
        owner: f"{topic}:{','.join(map(str, frame['partition']))}"
        for owner, frame in seen.groupby("owner")
    }


def test_a_group_that_has_committed_nothing_agrees_with_the_tool(
    learner: Learner, topic: str
) -> None:
    with Member(learner, "readers", topic, name="ana", commit="none") as member:
        Member.wait_until_stable([member])
        frame = learner.inspector.offsets(learner.group("readers"))
        assert rows(frame, *OFFSETS) == offsets_told(learner.settings, learner.group("readers"))
    assert list(frame["committed"].isna()) == [True] * 3


def test_figures_that_move_agree_with_the_tool(learner: Learner, topic: str) -> None:
    group = learner.group("readers")
    with (
        Member(learner, "readers", topic, name="ana") as member,
        Sender(learner, topic, rate=None) as sender,
    ):
        Member.wait_until_stable([member])
        sender.start(100)
        wait_until(lambda: len(member.committed) == 3)
        before = learner.inspector.offsets(group)
        told = offsets_told(learner.settings, group)
        after = learner.inspector.offsets(group)
        sender.stop()
    for place, column in ((2, "committed"), (3, "log_end")):
        now = [int(row[place]) for row in told]
        assert all(map(le, before[column], now)), (list(before[column]), now)
        assert all(map(le, now, after[column])), (now, list(after[column]))
    assert before["log_end"].sum() < after["log_end"].sum()


# Brokers that fail.


def test_a_partition_without_a_leader_is_shown_all_the_same(
    healed_cluster: LabCluster, learner: Learner
) -> None:
    topic = learner.create("fragile", replicas=1)
    inspector = learner.inspector
    with Sender(learner, topic) as sender:
        for partition in range(3):
            sender.send(2, partition=partition)
        sender.flush()
    # The group's own records are on all brokers.
    group = commit(learner, "readers", topic, 1, 1, 1)
    before = inspector.partitions(topic)
    gone = int(before["leader"][1])
    healed_cluster.kill(gone)
    wait_until(lambda: inspector.partitions(topic)["leader"][1] == -1, 30)
    frame = inspector.partitions(topic)
    told = described_topic(learner.settings, topic)
    assert [one["Leader"] for one in told] == [
        "none" if leader < 0 else str(leader) for leader in frame["leader"]
    ]
    for shown in (frame, inspector.offsets(group)):
        assert list(shown["log_end"].isna()) == [False, True, False]
        assert list(shown["log_start"].isna()) == [False, True, False]
    assert list(inspector.offsets(group)["lag"].dropna()) == [1, 1]
    assert list(frame["messages"].dropna()) == [2, 2]
    assert frame.dtypes.equals(before.dtypes)
    assert list(inspector.records(topic)["partition"]) == [0, 0, 2, 2]
    states = inspector.brokers().set_index("broker")["state"]
    assert dict(states) == {n: "down" if n == gone else "running" for n in (1, 2, 3)}
    with (
        Inspector(learner.settings, timeout=1) as hasty,
        pytest.raises(BrokerUnavailableError, match="has no leader"),
    ):
        hasty.record(topic, 1, 0)


def test_figures_come_also_while_a_broker_is_frozen(
    healed_cluster: LabCluster, learner: Learner, topic: str
) -> None:
    group = commit(learner, "readers", topic, 7, 7, 7)
    leader = int(learner.inspector.partitions(topic)["leader"][0])
    healed_cluster.pause(leader)
    frame = learner.inspector.partitions(topic)
    assert frame["leader"][0] != leader
    assert list(frame["log_end"]) == [20, 20, 20]
    assert list(learner.inspector.offsets(group)["lag"]) == [13, 13, 13]
    assert len(learner.inspector.records(topic)) == 55


def test_where_no_broker_is_one_is_told_in_time() -> None:
    with Inspector(NOWHERE, timeout=1) as inspector:
        for look in (
            inspector.topics,
            inspector.brokers,
            inspector.groups,
            lambda: inspector.partitions("orders"),
            lambda: inspector.records("orders"),
            lambda: inspector.record_at("orders", 0, 0),
        ):
            begun = time.monotonic()
            with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
                look()
            assert time.monotonic() - begun < 5


# Records.


@pytest.fixture
def odd(learner: Learner) -> str:
    """A topic with records of all kinds."""
    topic = learner.create("odd", partitions=2, config={"retention.ms": -1})
    write(
        learner.settings,
        topic,
        {"key": b"ana", "value": "größer 🙂".encode(), "timestamp_ms": 1_700_000_000_000},
        {"key": b"\xff\x00", "value": b"\xfe\xff", "timestamp_ms": 1_700_000_001_000},
        {"key": b"ben", "value": None, "timestamp_ms": 1_700_000_002_000},
        {
            "value": b"\x00\x00\x00\x05",
            "headers": [("trace", b"\x80"), ("kind", b"order"), ("kind", b"")],
            "timestamp_ms": 1_700_000_003_000,
        },
        {"key": b"", "value": b"", "timestamp_ms": 1_700_000_004_000},
    )
    return topic


def test_a_record_is_shown_whatever_is_in_it(learner: Learner, odd: str) -> None:
    text, binary, tombstone, number, empty = (
        learner.inspector.record(odd, 0, offset) for offset in range(5)
    )
    assert (text.key, text.value, text.is_text) == ("ana", "größer 🙂", True)
    assert text.raw_value == "größer 🙂".encode()
    assert text.size == 3 + len(text.raw_value)
    assert text.timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert text.timestamp_type == "CreateTime"
    assert (binary.key, binary.value, binary.is_text) == ("0xff00", "0xfeff", False)
    assert (binary.raw_key, binary.raw_value) == (b"\xff\x00", b"\xfe\xff")
    assert (tombstone.value, tombstone.raw_value, tombstone.is_text) == (None, None, True)
    assert (number.key, number.value) == (None, "0x00000005")
    assert number.headers == (("trace", "0x80"), ("kind", "order"), ("kind", ""))
    assert (empty.key, empty.value, empty.size) == ("", "", 0)
    assert "KafkaConsumer" in text.source
    assert repr(text) == (
        f"<Record {odd} 0 offset 0: key='ana', value='größer 🙂', "
        "CreateTime 2023-11-14 22:13:20+00:00, 16 bytes>"
    )
    assert "('trace', '0x80')" in repr(number)


def test_records_are_those_asked_for(learner: Learner, odd: str, topic: str) -> None:
    inspector = learner.inspector
    frame = inspector.records(odd)
    assert list(frame["offset"]) == [0, 1, 2, 3, 4]
    assert list(frame["value"]) == ["größer 🙂", "0xfeff", None, "0x00000005", ""]
    assert frame["timestamp"][0] == pd.Timestamp("2023-11-14 22:13:20", tz="UTC")
    assert list(inspector.records(odd, 0, -2)["offset"]) == [3, 4]
    assert list(inspector.records(odd, 0, 1, 2)["offset"]) == [1, 2]
    assert inspector.records(odd, 1).empty
    assert list(inspector.records(topic, limit=2)["offset"]) == [5, 6, 0, 1, 0, 1]
    assert list(inspector.records(topic, first=-1)["offset"]) == [19] * 3
    assert list(inspector.records(topic, 0, first=3)["offset"]) == list(range(5, 20))
    assert len(inspector.records(topic, first=99)) == 0
    assert inspector.record(topic, 1, -1).offset == 19


def test_records_by_time_are_the_first_of_then_or_later(learner: Learner, odd: str) -> None:
    at = learner.inspector.record_at
    for when, offset in (
        (0, 0),
        (1_700_000_000_000, 0),
        (1_700_000_000_001, 1),
        (datetime(2023, 11, 14, 22, 13, 22, tzinfo=UTC), 2),
        (datetime.fromtimestamp(1_700_000_002.5), 3),
        (datetime(2023, 11, 15, 0, 13, 24, tzinfo=UTC) - timedelta(hours=2), 4),
    ):
        found = at(odd, 0, when)
        assert found is not None
        assert found.offset == offset
    assert at(odd, 0, 1_700_000_004_001) is None
    assert at(odd, 1, 0) is None
    with pytest.raises(InputError, match="milliseconds"):
        at(odd, 0, -1)


def test_the_brokers_clock_is_told_from_the_producers(learner: Learner) -> None:
    topic = learner.create("stamped", config={"message.timestamp.type": "LogAppendTime"})
    before = datetime.now(UTC) - timedelta(seconds=1)
    write(learner.settings, topic, {"value": b"x", "timestamp_ms": 5})
    record = learner.inspector.record(topic, 0, 0)
    assert record.timestamp_type == "LogAppendTime"
    assert record.timestamp is not None
    assert record.timestamp > before
    config = learner.inspector.config(topic).set_index("name")
    assert config.loc["message.timestamp.type", "value"] == "LogAppendTime"
    assert config.loc["message.timestamp.type", "set_by"] == "topic"
    assert config.loc["segment.ms", "set_by"] == "default"
    assert config.loc["max.message.bytes", "set_by"] == "broker"


def test_what_is_not_committed_is_there_or_not_as_asked(learner: Learner) -> None:
    topic = learner.create("orders", partitions=1)
    inspector = learner.inspector
    with Sender(learner, topic, transactional_id=f"{topic}-1", partition=0) as sender:
        with sender.transaction():
            sender.send(2)
        with sender.transaction() as transaction:
            sender.send(3)
            sender.flush()
            transaction.abort()
        with sender.transaction():
            sender.send(1)
            sender.flush()
            assert list(inspector.records(topic)["offset"]) == [0, 1, 3, 4, 5, 7]
            seen = inspector.records(topic, isolation="read_committed")
            assert list(seen["offset"]) == [0, 1]
    seen = inspector.records(topic, isolation="read_committed")
    assert list(seen["offset"]) == [0, 1, 7]
    # A marker takes an offset, and is no record.
    with pytest.raises(InputError, match=r"Offset 2 .* no record.*next record is at 3"):
        inspector.record(topic, 0, 2)
    with pytest.raises(InputError, match=r"Offset 8 .* none comes after it"):
        inspector.record(topic, 0, -1)


# What is not there.


def test_what_is_not_there_is_told(learner: Learner, odd: str, topic: str) -> None:
    inspector = learner.inspector
    nowhere = learner.topic("nowhere")
    for look in (
        lambda: inspector.partitions(nowhere),
        lambda: inspector.config(nowhere),
        lambda: inspector.records(nowhere),
        lambda: inspector.record(nowhere, 0, 0),
        lambda: inspector.record_at(nowhere, 0, 0),
        lambda: inspector.partitions("no topic!"),
    ):
        with pytest.raises(InputError, match="There is no topic"):
            look()
    for look in (
        lambda: inspector.records(odd, 2),
        lambda: inspector.record(odd, -1, 0),
        lambda: inspector.record_at(odd, 7, 0),
    ):
        with pytest.raises(InputError, match="it has 2, counted from 0"):
            look()
    with pytest.raises(InputError, match="its next offset is 0"):
        inspector.record(odd, 1, 0)
    for offset in (4, 20, -16):
        with pytest.raises(InputError, match="its log holds 5 to 19"):
            inspector.record(topic, 0, offset)
    with pytest.raises(InputError, match="over 0"):
        inspector.records(odd, limit=0)


def test_frames_have_the_same_columns_and_types_without_rows(learner: Learner, odd: str) -> None:
    inspector = learner.inspector
    group = learner.group("readers")
    with Member(learner, "readers", odd, name="ana") as member:
        Member.wait_until_stable([member])
        full = [
            inspector.members(group),
            inspector.offsets(group),
            inspector.groups(group),
            inspector.topics(odd),
            inspector.records(odd),
        ]
    nobody = learner.group("nobody")
    empty = [
        inspector.members(nobody),
        inspector.offsets(nobody),
        inspector.groups(nobody),
        inspector.topics(nobody),
        inspector.records(odd, 1),
    ]
    for one, other in zip(full, empty, strict=True):
        assert len(one) > len(other) == 0
        pd.testing.assert_series_equal(one.dtypes, other.dtypes)
        assert one["source"].str.startswith("Kafka").all()


def test_offsets_of_a_topic_that_is_gone_are_no_obstacle(learner: Learner, topic: str) -> None:
    other = learner.create("other", partitions=1)
    group = commit(learner, "readers", topic, 7)
    commit(learner, "readers", other, 0)
    admin = make_client(KafkaAdminClient, learner.settings)
    admin.delete_topics([other])
    admin.close()
    frame = learner.inspector.offsets(group)
    assert list(frame[frame["topic"] == topic]["lag"]) == [13]
    assert frame[frame["topic"] == other]["lag"].isna().all()


# Threads, and the end.


def test_many_threads_may_look_at_once(learner: Learner, topic: str) -> None:
    inspector = learner.inspector
    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(lambda _: list(inspector.partitions(topic)["log_end"]), range(12)))
        found = list(pool.map(lambda n: inspector.record(topic, 1, n).offset, range(6)))
    assert ends == [[20, 20, 20]] * 12
    assert found == list(range(6))


def test_a_closed_inspector_says_so_and_a_learner_gets_another(
    learner: Learner, topic: str
) -> None:
    inspector = learner.inspector
    assert learner.inspector is inspector
    learner.close()
    inspector.close()
    with pytest.raises(RuntimeError, match="closed"):
        inspector.partitions(topic)
    assert len(learner.inspector.partitions(topic)) == 3


# Text and bytes.


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_text_is_shown_as_it_is(text: str) -> None:
    assert _shown(text.encode()) == text


@given(st.binary())
def test_bytes_that_are_no_text_are_shown_so_that_none_is_lost(raw: bytes) -> None:
    shown = _shown(raw)
    assert shown is not None
    if _text_of(raw) is None:
        assert bytes.fromhex(shown.removeprefix("0x")) == raw
    else:
        assert shown.encode() == raw
