"""What the archive must hold, worked out from Kafka's records alone, and the comparison."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from chatkit.channels import Channels
from chatkit.consumer import decode_record
from chatkit.documents import received_message
from chatkit.fold import fold
from chatkit.message import Message, Received, Unreadable, from_ms
from chatkit.settings import Settings
from chatkit.store import MessageStore


def read_everything(settings: Settings, channel: str) -> list[Any]:
    """Return every raw record of a channel, each partition in order."""
    with Channels(settings) as channels:
        info = channels.describe(channel)
        offsets = channels.offsets(info)
    consumer = KafkaConsumer(**settings.kafka_config(), group_id=None, auto_offset_reset="earliest")
    try:
        parts = [TopicPartition(info.topic, partition) for partition in info.partitions]
        consumer.assign(parts)
        records: list[Any] = []
        while any(
            (consumer.position(part, timeout_ms=5000) or 0) < offsets[part.partition].end
            for part in parts
        ):
            for batch in consumer.poll(timeout_ms=500).values():
                records += batch
        return records
    finally:
        consumer.close(timeout_ms=1000)


def assert_archive_is_right(settings: Settings, channel: str) -> int:
    """Compare a channel's archive with a fold of all that Kafka holds; return the message count.

    Every message is there once, as its events say, at a place where Kafka has it; every event and
    every record that can't be read is there; positions are at the end of the log.
    """
    messages: dict[str, list[Received]] = defaultdict(list)
    events: list[Received] = []
    unreadable: set[tuple[int, int]] = set()
    records = read_everything(settings, channel)
    for record in records:
        item = decode_record(record, channel)
        if isinstance(item, Unreadable):
            unreadable.add((item.partition, item.offset))
        elif isinstance(item.item, Message):
            messages[item.item.id].append(item)
        else:
            events.append(item)
    about: dict[str, list[Received]] = defaultdict(list)
    for event in events:
        if event.item.target:
            about[event.item.target].append(event)

    with MessageStore(settings) as store, Channels(settings) as channels:
        info = channels.describe(channel)
        moderators = store.moderators(channel)
        stored = {doc["_id"]: doc for doc in store.messages.find({"channel": channel})}
        assert stored.keys() == messages.keys()
        for message_id, document in stored.items():
            twins = messages[message_id]
            places = {(one.partition, one.offset) for one in twins}
            assert (document["partition"], document["offset"]) in places
            expected = fold(twins[0].item, about[message_id], moderators)
            assert document["rev"] == expected.rev
            assert document["body"] == expected.body
            assert document.get("original") == expected.original
            assert ("deleted_at" in document) == (expected.deleted_ms is not None)
            edited = None if expected.edited_ms is None else from_ms(expected.edited_ms)
            assert document.get("edited_at") == edited
            if expected.deleted_ms is None:
                assert received_message(document).item == twins[0].item
        found = {doc["_id"] for doc in store.events.find({"channel": channel})}
        assert found == {event.item.id for event in events}
        letters = store.database["dead_letters"].find({"topic_id": info.topic_id})
        assert {(one["partition"], one["offset"]) for one in letters} == unreadable
        ends = {partition: log.end for partition, log in channels.offsets(info).items()}
        assert store.positions(info.topic_id) == {p: end for p, end in ends.items() if end}
    return len(messages)


def is_archived(settings: Settings, *channel_names: str) -> bool:
    """Return whether the archive is at the end of every partition of some channels."""
    with MessageStore(settings) as store, Channels(settings) as channels:
        for name in channel_names:
            info = channels.describe(name)
            ends = {partition: log.end for partition, log in channels.offsets(info).items()}
            if store.positions(info.topic_id) != {p: end for p, end in ends.items() if end}:
                return False
    return True
