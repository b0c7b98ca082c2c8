"""Records of a topic, read from here to there in no group, so that reading changes nothing.

It knows nothing of what is in them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from chatkit.connection import explain, make_client
from chatkit.consumer import close_reader
from chatkit.errors import WorkshopTimeoutError
from chatkit.settings import Settings
from chatkit.workshop.asking import REQUEST_SECONDS, WAIT_SECONDS
from chatkit.workshop.offsets import Isolation

__all__ = ["READ_CALL", "read_between"]

READ_CALL = "KafkaConsumer.poll"
POLL_MS = 100


def read_between(
    settings: Settings,
    bounds: Mapping[TopicPartition, tuple[int, int]],
    *,
    isolation: Isolation = "read_uncommitted",
    limit: int | None = None,
    timeout: float = WAIT_SECONDS,
) -> dict[TopicPartition, list[Any]]:
    """Return the records of partitions, each in order, as kafka-python has them.

    Offsets that hold none (compacted away, aborted, the end of a transaction, or below the log's
    start by now) are passed over.

    Parameters
    ----------
    settings : Settings
        Where Kafka is.
    bounds : mapping of TopicPartition to (int, int)
        Of each partition the first offset, and the one before which to stop; each partition must
        have a leader, and the second be no more than its log has.
    isolation : {"read_uncommitted", "read_committed"}
        Whether what belongs to open and aborted transactions is read.
    limit : int, optional
        At most so many of each partition, > 0. Default: all.
    timeout : float, default 20
        Seconds that it may take.

    Raises
    ------
    BrokerUnavailableError
        No broker answered in time, or Kafka does not let us read.
    WorkshopTimeoutError
        Not all was read in time.
    """
    found: dict[TopicPartition, list[Any]] = {part: [] for part in bounds}
    wanted = {part: end for part, (first, end) in bounds.items() if first < end}
    if not wanted:
        return found
    until = time.monotonic() + timeout
    consumer = make_client(
        KafkaConsumer,
        settings,
        timeout=min(timeout, settings.kafka_timeout),
        patience=REQUEST_SECONDS,
        group_id=None,
        enable_auto_commit=False,
        # Where the log begins by now, if it was cut meanwhile
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        isolation_level=isolation,
        fetch_max_wait_ms=POLL_MS,
        max_poll_records=2000,
    )
    try:
        consumer.assign(list(wanted))
        for part in wanted:
            consumer.seek(part, bounds[part][0])
        while left := _unread(consumer, wanted, found, limit):
            if time.monotonic() > until:
                raise WorkshopTimeoutError(_told(consumer, left, wanted, timeout))
            # A poll that gives nothing is no end: brokers are slow, and markers are passed over.
            for part, records in consumer.poll(timeout_ms=POLL_MS).items():
                found[part] += [one for one in records if one.offset < wanted[part]]
    except KafkaError as error:
        topics = ", ".join(sorted({part.topic for part in wanted}))
        raise explain(settings, error, timeout, right=f"Read on topic {topics!r}") from error
    finally:
        close_reader(consumer)
    return {part: records[:limit] for part, records in found.items()}


def _unread(
    consumer: KafkaConsumer,
    ends: Mapping[TopicPartition, int],
    found: Mapping[TopicPartition, list[Any]],
    limit: int | None,
) -> list[TopicPartition]:
    """Return the partitions of which something is missing still; the others are not fetched."""
    left = [
        part
        for part, end in ends.items()
        if (limit is None or len(found[part]) < limit) and _position(consumer, part) < end
    ]
    consumer.pause(*(part for part in ends if part not in left))
    return left


def _position(consumer: KafkaConsumer, part: TopicPartition) -> int:
    return consumer.position(part, timeout_ms=1000) or 0


def _told(
    consumer: KafkaConsumer,
    left: list[TopicPartition],
    ends: Mapping[TopicPartition, int],
    timeout: float,
) -> str:
    seen = ", ".join(
        f"{part.topic} {part.partition} at {_position(consumer, part)} of {ends[part]}"
        for part in left
    )
    return (
        f"Waited {timeout:g} s for all records that are asked for. Seen last: {seen}. Look whether "
        "the partitions have leaders, or ask for fewer records"
    )
