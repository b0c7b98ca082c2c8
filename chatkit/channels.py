"""Channels: which there are, what is known of them, how they are made and deleted.

A channel is a Kafka topic and a record in the compacted topic of channel records. MongoDB's copy of
these records is the archiver's business, not this module's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Self, TypeVar

import msgspec
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from chatkit.connection import explain, make_client
from chatkit.errors import (
    BrokerUnavailableError,
    ChannelExistsError,
    ChannelNotFoundError,
    InputError,
    ServiceError,
)
from chatkit.message import ChannelRecord
from chatkit.producer import ChatProducer, Receipt
from chatkit.settings import Settings

__all__ = ["ChannelInfo", "Channels", "GroupInfo", "PartitionOffsets"]

MAX_MESSAGE_BYTES = 6 * 1024 * 1024

Answer = TypeVar("Answer")


class ChannelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as Kafka knows it."""

    channel: str
    """Name of the channel."""
    topic: str
    """Name of its topic."""
    topic_id: str
    """Kafka's id of the topic: another one after it was deleted and created again."""
    partitions: tuple[int, ...]
    """Numbers of its partitions."""
    replicas: int
    """How many brokers hold each partition."""


class PartitionOffsets(msgspec.Struct, frozen=True):
    """What a partition holds."""

    start: int
    """Offset of the first record that is still there."""
    end: int
    """Offset that the next record will get."""


class GroupInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer group as its coordinator knows it."""

    state: str
    """``Stable``, ``PreparingRebalance``, ``CompletingRebalance``, ``Empty`` or ``Dead``."""
    members: int
    """How many consumers are in it."""
    assigned: frozenset[tuple[str, int]]
    """Topic and partition of all that its members have been assigned."""


class Channels:
    """Lists, creates, describes and deletes channels.

    Connects at first use. Thread-safe: one call at a time. Who makes it closes it.

    Parameters
    ----------
    settings : Settings, optional
        Where Kafka is. Default: ``Settings()``.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._lock = threading.RLock()
        self._admin: KafkaAdminClient | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; idempotent, and the next call opens a new one."""
        with self._lock:
            admin, self._admin = self._admin, None
            if admin is not None:
                admin.close()

    def _ask(self, question: Callable[[KafkaAdminClient], Answer], *, again: bool = True) -> Answer:
        """Return what Kafka answers; a question that is harmless is put again to another broker."""
        with self._lock:
            started = time.monotonic()
            while True:
                left = self._settings.kafka_timeout - (time.monotonic() - started)
                if self._admin is None:
                    self._admin = make_client(
                        KafkaAdminClient,
                        self._settings,
                        timeout=max(left, 0.1),
                        # So that there is time for a second broker if the first one hangs.
                        request_timeout_ms=int(min(5.0, self._settings.kafka_timeout / 2) * 1000),
                    )
                try:
                    return question(self._admin)
                except (KafkaError, RuntimeError) as error:
                    # A client whose broker went away may cling to its address: make a new one.
                    self.close()
                    spent = time.monotonic() - started
                    hopeless = isinstance(error, KafkaError) and not error.retriable
                    if not again or hopeless or spent + 0.1 > self._settings.kafka_timeout:
                        raise explain(self._settings, error, spent) from error
                    time.sleep(0.1)

    def find(self) -> dict[str, ChannelInfo]:
        """Return each channel by name, sorted.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time.
        """
        found = {}
        for topic in self._usable_topics():
            channel = self._settings.channel_of(topic["name"])
            if channel is not None:
                found[channel] = self._info(channel, topic)
        return found

    def topic_ids(self) -> dict[str, str]:
        """Return Kafka's id of each topic to archive: all channels' and that of their records.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time.
        """
        return {
            topic["name"]: str(topic["topic_id"])
            for topic in self._usable_topics()
            if topic["name"] == self._settings.channels_topic
            or self._settings.channel_of(topic["name"]) is not None
        }

    def group(self, group_id: str) -> GroupInfo:
        """Return the state of a consumer group; one that nobody ever joined is ``Dead``.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time.
        """
        found = self._ask(lambda admin: admin.describe_groups([group_id])[group_id])
        assigned = {
            (topic["topic"], partition)
            for member in found["members"]
            for topic in (member["member_assignment"] or {}).get("assigned_partitions", ())
            for partition in topic["partitions"]
        }
        return GroupInfo(
            state=found["group_state"], members=len(found["members"]), assigned=frozenset(assigned)
        )

    def _usable_topics(self) -> list[dict[str, Any]]:
        topics: list[dict[str, Any]] = self._ask(lambda admin: admin.describe_topics())
        usable = (topic for topic in topics if topic["error_code"] == 0 and topic["partitions"])
        return sorted(usable, key=lambda topic: str(topic["name"]))

    def describe(self, channel: str) -> ChannelInfo:
        """Return what Kafka knows of one channel.

        Raises
        ------
        ChannelNameError
            No channel can have this name.
        ChannelNotFoundError
            There is none of this name.
        BrokerUnavailableError
            No broker answered in time.
        """
        topic_name = self._settings.topic_of(channel)
        (topic,) = self._ask(lambda admin: admin.describe_topics([topic_name]))
        if topic["error_code"] == TopicAuthorizationFailedError.errno:
            raise explain(self._settings, TopicAuthorizationFailedError(topic_name), 0.0)
        if topic["error_code"] != 0 or not topic["partitions"]:
            raise ChannelNotFoundError(
                f"There is no channel {channel!r} on Kafka at {self._settings.bootstrap_servers}; "
                f"make it with 'chatkit channels create {channel}'"
            )
        return self._info(channel, topic)

    @staticmethod
    def _info(channel: str, topic: Mapping[str, Any]) -> ChannelInfo:
        partitions = topic["partitions"]
        return ChannelInfo(
            channel=channel,
            topic=topic["name"],
            topic_id=str(topic["topic_id"]),
            partitions=tuple(sorted(one["partition_index"] for one in partitions)),
            replicas=len(partitions[0]["replica_nodes"]),
        )

    def offsets(self, info: ChannelInfo) -> dict[int, PartitionOffsets]:
        """Return the first and the next offset of each partition.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time.
        """
        parts = [TopicPartition(info.topic, partition) for partition in info.partitions]
        starts, ends = self._ask(
            lambda admin: (
                admin.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.EARLIEST)),
                admin.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.LATEST)),
            )
        )
        return {
            part.partition: PartitionOffsets(starts[part].offset, ends[part].offset)
            for part in parts
        }

    def create(
        self,
        channel: str,
        *,
        partitions: int = 1,
        description: str = "",
        display_name: str = "",
        creator: str | None = None,
        exist_ok: bool = False,
    ) -> ChannelInfo:
        """Make a channel: its topic and its record.

        Parameters
        ----------
        channel : str
            Name: 1-80 of a-z, 0-9, ``-`` and ``_``.
        partitions : int, default 1
            With more than one, order holds per author only.
        description, display_name : str
            What to show.
        creator : str, optional
            Who makes it, and moderates it. Default: ``settings.user``.
        exist_ok : bool, default False
            Whether a channel that is there already is left as it is.

        Returns
        -------
        ChannelInfo
            The channel, ready for use.

        Raises
        ------
        ChannelNameError
            No channel can have this name.
        InputError
            There would be less than one partition.
        ChannelExistsError
            It exists, and ``exist_ok`` is false.
        BrokerUnavailableError
            No broker answered in time, or it does not let us create topics.
        """
        topic = self._settings.topic_of(channel)
        if partitions < 1:
            raise InputError(f"A channel has at least 1 partition, not {partitions}")
        if not self._create_topic(topic, partitions, {"retention.ms": "-1"}):
            if not exist_ok:
                raise ChannelExistsError(f"Channel {channel!r} exists already")
            return self.describe(channel)
        who = creator or self._settings.user
        self.publish(
            ChannelRecord(
                channel=channel,
                display_name=display_name,
                description=description,
                creator=who,
                moderators=(who,),
            )
        )
        return self.describe(channel)

    def publish(self, record: ChannelRecord) -> None:
        """Write the record of a channel, replacing an earlier one.

        Raises
        ------
        ServiceError
            Kafka did not acknowledge it in time.
        """
        self.ensure_records_topic()
        self._wait(lambda producer: producer.send(record))

    def ensure_records_topic(self) -> None:
        """Make the compacted topic of channel records if it is not there."""
        self._create_topic(self._settings.channels_topic, 1, {"cleanup.policy": "compact"})

    def delete(self, channel: str) -> None:
        """Delete a channel's topic, with every record in it, and its record. Not its archive.

        Raises
        ------
        ChannelNotFoundError
            There is none of this name.
        BrokerUnavailableError
            No broker answered in time.
        """
        topic = self.describe(channel).topic

        def delete(admin: KafkaAdminClient) -> bool:
            try:
                admin.delete_topics([topic])
            except UnknownTopicOrPartitionError:  # somebody was quicker
                return False
            return True

        if not self._ask(delete, again=False):
            return
        self.ensure_records_topic()
        self._wait(lambda producer: producer.forget_channel(channel))

    def _wait(self, send: Callable[[ChatProducer], Future[Receipt]]) -> None:
        producer = ChatProducer(self._settings)
        try:
            send(producer).result(self._settings.kafka_timeout)
        except FutureTimeout as error:
            raise BrokerUnavailableError(
                f"Kafka did not acknowledge the channel's record within "
                f"{self._settings.kafka_timeout:g} s; the channel itself was changed"
            ) from error
        finally:
            producer.close(timeout=1.0)

    def _create_topic(self, topic: str, partitions: int, configs: Mapping[str, str]) -> bool:
        """Make a topic and wait until it can be used; False if it is there already."""
        brokers = len(self._ask(lambda admin: admin.describe_cluster())["brokers"])
        replicas = min(3, brokers)
        config = {
            "num_partitions": partitions,
            "replication_factor": replicas,
            "configs": {
                "min.insync.replicas": str(2 if replicas == 3 else 1),
                "message.timestamp.type": "LogAppendTime",
                "max.message.bytes": str(MAX_MESSAGE_BYTES),
                **configs,
            },
        }

        def create(admin: KafkaAdminClient) -> bool:
            try:
                admin.create_topics({topic: config}, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                return False
            except TopicAuthorizationFailedError as error:
                raise ServiceError(
                    f"Kafka does not let us create topic {topic!r}: ask who runs it to create it, "
                    "or to allow it for your user"
                ) from error
            return True

        return self._ask(create, again=False)
