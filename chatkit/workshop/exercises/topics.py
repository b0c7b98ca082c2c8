"""What checks look at in topics, and write into the ones that they ask about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from chatkit.connection import close_producer, explain, make_client
from chatkit.workshop.asking import ask
from chatkit.workshop.offsets import edges
from chatkit.workshop.records import read_between

if TYPE_CHECKING:
    from chatkit.settings import Settings
    from chatkit.workshop.learner import Learner

__all__ = ["edges_of", "records_of", "text_of", "times_of", "write_all"]

SECONDS = 10.0
"""How long a topic may take to be written."""


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
    return {part.partition: one for part, one in edges(admin, parts).items()}


def times_of(learner: Learner, topic: str) -> dict[int, dict[int, int]]:
    """Return the timestamp of each record of a topic, ms since 1970, by partition and offset.

    Raises
    ------
    BrokerUnavailableError
        No broker answered in time.
    WorkshopTimeoutError
        Kafka did not give all of them within ``kafka_timeout`` seconds.
    """
    bounds = edges_of(learner, topic)
    found: dict[int, dict[int, int]] = {partition: {} for partition in bounds}
    for record in _read(learner, topic, bounds):
        found[record.partition][record.offset] = record.timestamp
    return found


def records_of(learner: Learner, topic: str) -> list[Any]:
    """Return the records of a topic as kafka-python gives them, by partition and offset.

    Raises
    ------
    BrokerUnavailableError
        No broker answered in time.
    WorkshopTimeoutError
        Kafka did not give all of them within ``kafka_timeout`` seconds.
    """
    records = _read(learner, topic, edges_of(learner, topic))
    return sorted(records, key=lambda record: (record.partition, record.offset))


def text_of(record: Any) -> str | None:
    """Return the ``text`` of a record whose value is a JSON object, or else the value as text."""
    if record.value is None:
        return None
    text = record.value.decode(errors="replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return str(text)
    return str(value.get("text")) if isinstance(value, dict) else str(text)


def write_all(settings: Settings, topic: str, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records into a topic, and wait until they are there.

    Parameters
    ----------
    settings : Settings
        Where Kafka is.
    topic : str
        Full name of the topic.
    records : iterable of mapping
        For each what ``KafkaProducer.send`` takes besides the topic, such as ``value``.

    Raises
    ------
    BrokerUnavailableError
        Kafka did not take them in time.
    """
    producer = make_client(KafkaProducer, settings, acks="all")
    try:
        sent = [producer.send(topic, **record) for record in records]
        for one in sent:
            one.get(timeout=SECONDS)
    except KafkaError as error:
        raise explain(settings, error, SECONDS, right=f"Write on topic {topic!r}") from error
    finally:
        close_producer(producer)


def _read(learner: Learner, topic: str, bounds: dict[int, tuple[int, int]]) -> list[Any]:
    parts = {TopicPartition(topic, partition): one for partition, one in bounds.items()}
    found = read_between(learner.settings, parts, timeout=learner.settings.kafka_timeout)
    return [record for records in found.values() for record in records]
