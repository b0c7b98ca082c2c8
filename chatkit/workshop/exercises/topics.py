"""What checks look at in topics: where their logs begin and end, and when what was written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from chatkit.connection import explain
from chatkit.consumer import close_reader, make_reader
from chatkit.errors import BrokerUnavailableError
from chatkit.workshop.asking import ask

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["edges_of", "times_of"]


def edges_of(learner: Learner, topic: str) -> dict[int, tuple[int, int]]:
    """Return where the log of each partition begins and ends; empty if there is no such topic.

    Parameters
    ----------
    learner : Learner
        On whose Kafka.
    topic : str
        Full name of the topic.

    Raises
    ------
    BrokerUnavailableError
        No broker answered in time.
    """
    return ask(learner.settings, lambda admin: _edges(admin, topic), right="Describe")


def _edges(admin: KafkaAdminClient, topic: str) -> dict[int, tuple[int, int]]:
    (found,) = admin.describe_topics([topic])
    numbers = sorted(one["partition_index"] for one in found["partitions"])
    parts = [TopicPartition(topic, number) for number in numbers]
    if found["error_code"] != 0 or not parts:
        return {}
    starts = admin.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.EARLIEST))
    ends = admin.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.LATEST))
    return {part.partition: (starts[part].offset, ends[part].offset) for part in parts}


def times_of(learner: Learner, topic: str) -> dict[int, dict[int, int]]:
    """Return the timestamp of each record of a topic, ms since 1970, by partition and offset.

    Raises
    ------
    BrokerUnavailableError
        Kafka did not give all of them within ``kafka_timeout`` seconds.
    """
    edges = edges_of(learner, topic)
    settings = learner.settings
    found: dict[int, dict[int, int]] = {partition: {} for partition in edges}
    parts = {TopicPartition(topic, partition): end for partition, (_, end) in edges.items()}
    consumer = make_reader(settings)
    try:
        consumer.assign(list(parts))
        consumer.seek_to_beginning(*parts)
        until = time.monotonic() + settings.kafka_timeout
        while any((consumer.position(part, 1000) or 0) < end for part, end in parts.items()):
            if time.monotonic() > until:
                raise BrokerUnavailableError(
                    f"Kafka did not give all of {topic} within {settings.kafka_timeout:g} s; it "
                    "may be busy: try again"
                )
            for part, records in consumer.poll(timeout_ms=200).items():
                found[part.partition].update((one.offset, one.timestamp) for one in records)
    except KafkaError as error:
        seconds = settings.kafka_timeout
        raise explain(settings, error, seconds, right=f"Read on topic {topic!r}") from error
    finally:
        close_reader(consumer)
    return found
