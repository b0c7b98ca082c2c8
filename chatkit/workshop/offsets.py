"""Which partitions there are, where their logs begin and end, and what groups committed.

Each is given an admin client, and says nothing of what a failure means.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Literal

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import InvalidTopicError, NoError, UnknownTopicOrPartitionError, for_code
from kafka.protocol.consumer import IsolationLevel

from chatkit.errors import InputError
from chatkit.workshop.asking import PAUSE

__all__ = [
    "COMMITTED_CALL",
    "EDGES_CALL",
    "TOPICS_CALL",
    "Isolation",
    "committed",
    "edges",
    "led",
    "partitions_of",
]

Isolation = Literal["read_uncommitted", "read_committed"]
TOPICS_CALL = "KafkaAdminClient.describe_topics"
EDGES_CALL = "KafkaAdminClient.list_partition_offsets"
COMMITTED_CALL = "KafkaAdminClient.list_group_offsets"
UNKNOWN_SECONDS = 1.0
"""For a topic that was just made to be known to all brokers."""


def partitions_of(admin: KafkaAdminClient, topic: str) -> list[dict[str, Any]]:
    """Return what Kafka says of the partitions of a topic, in their order.

    Raises
    ------
    InputError
        There is no such topic.
    """
    until = time.monotonic() + UNKNOWN_SECONDS
    while True:
        (found,) = admin.describe_topics([topic])
        problem = for_code(found["error_code"])
        if problem is not UnknownTopicOrPartitionError or time.monotonic() > until:
            break
        time.sleep(PAUSE)
    if problem in (UnknownTopicOrPartitionError, InvalidTopicError):
        raise InputError(
            f"There is no topic {topic!r}: names are whole ones, such as "
            "learner.topic('orders'), and topics(prefix) shows which there are"
        )
    if problem is not NoError:
        raise problem(topic)
    return sorted(found["partitions"], key=lambda part: int(part["partition_index"]))


def led(topic: str, partitions: Iterable[dict[str, Any]]) -> list[TopicPartition]:
    """Return the partitions that have a leader: only that one tells where the log ends."""
    return [
        TopicPartition(topic, one["partition_index"]) for one in partitions if one["leader_id"] >= 0
    ]


def edges(
    admin: KafkaAdminClient,
    parts: Iterable[TopicPartition],
    isolation: Isolation = "read_uncommitted",
) -> dict[TopicPartition, tuple[int, int]]:
    """Return where the logs of partitions begin, and the offset that the next record will get.

    Parameters
    ----------
    admin : KafkaAdminClient
        Who asks.
    parts : iterable of TopicPartition
        Which; all must have a leader.
    isolation : {"read_uncommitted", "read_committed"}
        With ``read_committed`` a log ends where the first transaction that is open begins.
    """
    wanted = sorted(set(parts))
    if not wanted:
        return {}
    starts = admin.list_partition_offsets(dict.fromkeys(wanted, OffsetSpec.EARLIEST))
    ends = admin.list_partition_offsets(
        dict.fromkeys(wanted, OffsetSpec.LATEST), IsolationLevel.build_from(isolation)
    )
    return {part: (starts[part].offset, ends[part].offset) for part in wanted}


def committed(admin: KafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    """Return the offset that a group goes on from, for each partition of which it committed one.

    Parameters
    ----------
    admin : KafkaAdminClient
        Who asks.
    group : str
        Whole name of the group; it need not be there.
    """
    told = admin.list_group_offsets(group)[group]
    return {part: one.offset for part, one in told.items() if one.offset >= 0}
