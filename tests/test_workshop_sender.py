"""Sender on a real broker, on none, and on one that dies meanwhile."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from kafka.partitioner.default import murmur2

from chatkit.connection import make_client
from chatkit.errors import (
    BrokerRefusedError,
    BrokerUnavailableError,
    InputError,
    WorkshopTimeoutError,
)
from chatkit.local import LocalStack
from chatkit.settings import Settings
from chatkit.workshop.scoreboard import Scoreboard
from chatkit.workshop.sender import Sender
from tests.names import with_own_names
from tests.waiting import wait_until


def create(settings: Settings) -> str:
    name = settings.topic_prefix + "orders"
    admin = make_client(KafkaAdminClient, settings)
    try:
        admin.create_topics([NewTopic(name, 3, 1)])
        admin.wait_for_topics([name])
    finally:
        admin.close()
    return name


@pytest.fixture
def topic(settings: Settings) -> str:
    """A topic with three partitions."""
    return create(settings)


def read(settings: Settings, topic: str) -> list[Any]:
    """Return all records of a topic, raw."""
    consumer = make_client(KafkaConsumer, settings, auto_offset_reset="earliest", group_id=None)
    try:
        parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        found: list[Any] = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=100).values():
                found += records
        return found
    finally:
        consumer.close()


def test_messages_are_numbered_and_found_where_it_says(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, name="ana") as sender:
        names = sender.send(50, text="hello")
        sender.flush()
    assert [one.id for one in sender.sent] == names
    assert [one.n for one in sender.sent] == list(range(50))
    places = {(one.partition, one.offset): one for one in sender.sent}
    records = read(settings, topic)
    assert len(records) == len(places) == 50
    for record in records:
        one = places[record.partition, record.offset]
        assert json.loads(record.value) == {"id": one.id, "n": one.n, "text": "hello"}
        assert one.acknowledged
        assert one.error is None


def test_two_senders_of_one_name_have_ids_of_their_own(settings: Settings, topic: str) -> None:
    with Sender(settings, topic) as one, Sender(settings, topic) as other:
        assert not set(one.send(3)) & set(other.send(3))


def test_keys_go_in_turn_and_decide_the_partition(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, key="cleo") as sender:
        sender.send(4, keys=["ana", "ben"])
        sender.send(keys=["ben", None])
        sender.send()
        sender.flush()
    assert [one.key for one in sender.sent] == ["ana", "ben", "ana", "ben", "ben", None, "cleo"]
    for one in sender.sent:
        if one.key is not None:
            assert one.partition == (murmur2(one.key.encode()) & 0x7FFFFFFF) % 3


def test_a_partition_can_be_chosen(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, partition=2) as sender:
        sender.send(2)
        sender.send(partition=1)
        sender.flush()
    assert [(one.partition, one.offset) for one in sender.sent] == [(2, 0), (2, 1), (1, 0)]


def test_values_of_ones_own(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, partition=0) as sender:
        sender.send(value={"order": 3})
        sender.send(value=b"\xff")
        sender.send(value="ünread")
        sender.send_tombstone("ana")
        sender.flush()
    first, *others = read(settings, topic)
    assert json.loads(first.value) == {"id": sender.sent[0].id, "n": 0, "order": 3}
    assert [record.value for record in others] == [b"\xff", "ünread".encode(), None]
    assert [one.id for one in sender.sent[1:]] == [None, None, None]


@pytest.mark.parametrize("acks", [0, 1])
def test_fewer_acknowledgements_need_idempotence_off(
    settings: Settings, topic: str, acks: Any
) -> None:
    with pytest.raises(InputError, match="idempotent=False"):
        Sender(settings, topic, acks=acks)
    with Sender(settings, topic, acks=acks, idempotent=False, retries=0) as sender:
        sender.send(5)
        sender.flush()
    assert all(one.acknowledged for one in sender.sent)
    assert {one.offset is None for one in sender.sent} == {acks == 0}
    assert len(read(settings, topic)) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"acks": 2},
        {"retries": 0},
        {"compression": "zip"},
        {"linger": 30.0},
        {"partition": -1},
        {"transactional_id": "t", "idempotent": False},
    ],
)
def test_arguments_that_do_not_fit_are_told_at_once(wrong: Any) -> None:
    with pytest.raises(InputError):
        Sender(Settings(), "orders", **wrong)


def test_a_topic_or_partition_that_is_not_there_is_told(settings: Settings, topic: str) -> None:
    with Sender(settings, topic + "x") as sender, pytest.raises(InputError, match="no topic"):
        sender.send()
    with Sender(settings, topic) as sender, pytest.raises(InputError, match="partition 7"):
        sender.send(partition=7)
    assert sender.sent == []


def test_no_broker_is_told_soon() -> None:
    settings = Settings(bootstrap_servers="127.0.0.1:1", kafka_timeout=1)
    started = time.monotonic()
    with Sender(settings, "orders") as sender, pytest.raises(BrokerUnavailableError):
        sender.send(1000)
    assert time.monotonic() - started < 8
    assert sender.sent == []


def test_a_closed_sender_sends_no_more(settings: Settings, topic: str) -> None:
    sender = Sender(settings, topic)
    sender.send(3)
    sender.close()
    sender.close()
    assert all(one.acknowledged for one in sender.sent)
    with pytest.raises(RuntimeError, match="closed"):
        sender.send()
    with pytest.raises(RuntimeError, match="closed"):
        sender.start(1)


def test_a_rate_is_kept(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, rate=50) as sender:
        sender.start(keys=["ana", "ben"])
        with pytest.raises(RuntimeError, match="already"):
            sender.start()
        wait_until(lambda: len(sender.sent) >= 60)
        assert sender.stop()
        assert sender.stop()
        sender.flush()
        took = (sender.sent[-1].at_ms - sender.sent[0].at_ms) / 1000
        assert (len(sender.sent) - 1) / took < 60
        assert 0 < sender.speed < 60
        sender.start(100)
        count = len(sender.sent)
        wait_until(lambda: len(sender.sent) > count)
    assert sender.stop()


def test_batches_are_faster_than_one_by_one(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, partition=0) as one_by_one:
        for _ in range(50):
            one_by_one.send()
            one_by_one.flush()
        latencies = one_by_one.latencies([0, 50, 100])
        assert 0 < latencies[0] <= latencies[50] <= latencies[100]
    with Sender(settings, topic, partition=0, linger=0.02, compression="lz4") as batched:
        batched.send(5000)
        batched.flush()
        assert batched.speed > 2 * 1000 / latencies[50]


def test_a_long_linger_does_not_hold_up_a_flush(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, linger=15) as sender:
        sender.send(3)
        assert sender.waiting == 3
        sender.flush(5)
        assert sender.waiting == 0


def test_several_threads_send_in_one_order(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, partition=0) as sender:
        threads = [threading.Thread(target=sender.send, args=(200,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sender.flush()
        score = Scoreboard.of_topic(settings, topic, sender).count()
    assert (score.seen, score.lost, score.doubled, score.out_of_order) == (800, 0, 0, 0)
    assert [one.offset for one in sender.sent] == list(range(800))


# Transactions.


def test_only_what_is_committed_counts_and_can_be_read(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, transactional_id=topic) as sender:
        with sender.transaction() as first:
            sender.send(3)
            assert not any(one.acknowledged for one in sender.sent)
        with sender.transaction() as second:
            sender.send(2)
            sender.flush()
            second.abort()
            second.abort()
        with pytest.raises(ZeroDivisionError), sender.transaction():
            sender.send(4)[4 // 0]
        assert [one.state for one in (first, second)] == ["committed", "aborted"]
        assert {one.transaction for one in sender.sent[5:]} == {"aborted"}
        assert [one.acknowledged for one in sender.sent] == [True] * 3 + [False] * 6
        committed = Scoreboard.of_topic(settings, topic, sender, isolation="read_committed")
        assert (committed.count().seen, committed.count().lost) == (3, 0)
        every = Scoreboard.of_topic(settings, topic, sender).count()
        assert every.unacknowledged_seen >= 2
        with pytest.raises(RuntimeError, match="committed"):
            first.abort()


def test_a_transactional_sender_sends_in_transactions_only(settings: Settings, topic: str) -> None:
    with Sender(settings, topic, transactional_id=topic) as sender:
        with pytest.raises(RuntimeError, match="transaction"):
            sender.send()
        with pytest.raises(InputError, match="transaction"):
            sender.start(1)
        with sender.transaction():
            sender.send()
            with pytest.raises(RuntimeError, match="open transaction"), sender.transaction():
                pass
    with Sender(settings, topic) as plain, pytest.raises(InputError), plain.transaction():
        pass


def test_a_newer_sender_shuts_the_older_one_out(settings: Settings, topic: str) -> None:
    with (
        Sender(settings, topic, transactional_id=topic, name="ana") as old,
        Sender(settings, topic, transactional_id=topic, name="ben") as new,
    ):
        with contextlib.ExitStack() as open_one:
            transaction = open_one.enter_context(old.transaction())
            old.send()
            old.flush()
            with new.transaction():
                new.send()
            with pytest.raises(BrokerRefusedError, match="newer sender"):
                transaction.commit()
        with pytest.raises(BrokerRefusedError, match="newer sender"), old.transaction():
            pass
        assert not any(one.acknowledged for one in old.sent)
        assert all(one.acknowledged for one in new.sent)
        seen = Scoreboard.of_topic(settings, topic, [old, new], isolation="read_committed").count()
        assert (seen.seen, seen.lost) == (1, 0)


def test_one_that_sends_on_after_it_was_shut_out_is_told_so(settings: Settings, topic: str) -> None:
    with (
        Sender(settings, topic, transactional_id=topic, name="ana") as old,
        Sender(settings, topic, transactional_id=topic, name="ben") as new,
        contextlib.suppress(BrokerRefusedError),
        old.transaction() as transaction,
    ):
        old.send()
        old.flush()
        with new.transaction():
            new.send()
        old.send()
        wait_until(lambda: old.sent[-1].error is not None)
        with pytest.raises(BrokerRefusedError, match="newer sender"):
            transaction.commit()


# A broker that hangs.


def test_what_expires_is_noted_and_the_next_message_arrives(breakable: LocalStack) -> None:
    settings = with_own_names(breakable.settings)
    topic = create(settings)
    with Sender(settings, topic, delivery_timeout=1.0) as sender:
        sender.send()
        sender.flush()
        breakable.kafka.pause()
        try:
            sender.send(3)
            with pytest.raises(WorkshopTimeoutError, match="3 messages without one"):
                sender.flush(0.2)
            sender.flush()
        finally:
            breakable.kafka.resume()
        assert all(one.error and not one.acknowledged for one in sender.sent[1:4])
        (name,) = sender.send()
        sender.flush()
        assert sender.sent[-1].acknowledged
        score = Scoreboard.of_topic(settings, topic, sender).count()
        assert (score.acknowledged, score.lost) == (2, 0)
        assert sender.sent[-1].id == name


def test_a_rate_survives_an_outage(breakable: LocalStack) -> None:
    settings = with_own_names(breakable.settings)
    topic = create(settings)
    with Sender(settings, topic, delivery_timeout=1.0) as sender:
        sender.start(20)
        wait_until(lambda: any(one.acknowledged for one in sender.sent))
        breakable.kafka.pause()
        try:
            wait_until(lambda: any(one.error for one in sender.sent), 20)
        finally:
            breakable.kafka.resume()
        count = len(sender.sent)
        wait_until(lambda: any(one.acknowledged for one in sender.sent[count:]), 20)
        assert sender.stop()
        sender.flush()
        assert sender.error is None


def test_a_commit_without_an_answer_ends_and_says_so(breakable: LocalStack) -> None:
    settings = with_own_names(breakable.settings)
    topic = create(settings)
    with Sender(settings, topic, transactional_id=topic) as sender:
        with sender.transaction() as transaction:
            sender.send()
            sender.flush()
            breakable.kafka.pause()
            try:
                with pytest.raises(WorkshopTimeoutError, match="until a transaction"):
                    transaction.commit(0.5)
            finally:
                breakable.kafka.resume()
        assert sender.sent[0].transaction == "unknown"
        with sender.transaction():
            sender.send()
        assert sender.sent[1].acknowledged


def test_nothing_is_lost_or_doubled_when_a_broker_is_killed(breakable: LocalStack) -> None:
    settings = with_own_names(breakable.settings)
    topic = create(settings)
    with Sender(settings, topic) as sender:
        sender.start(200, keys=["ana", "ben", "cleo"])
        wait_until(lambda: sum(one.acknowledged for one in sender.sent) > 50)
        breakable.kafka.kill()
        breakable.kafka.start()
        count = len(sender.sent)
        wait_until(lambda: any(one.acknowledged for one in sender.sent[count:]), 20)
        assert sender.stop()
        sender.flush()
        score = Scoreboard.of_topic(settings, topic, sender).count()
    assert score.sent == score.acknowledged == score.seen
    assert (score.lost, score.doubled, score.out_of_order) == (0, 0, 0)
