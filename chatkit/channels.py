"""Channels: which there are, what is known of them, how they are made and deleted.

A channel is a Kafka topic and a record in the compacted topic of channel records. MongoDB's copy of
these records is the archiver's business, not this module's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Self, TypeVar

import msgspec
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import (
    AuthorizationError,
    InvalidReplicationFactorError,
    KafkaError,
    NoError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from chatkit.connection import explain, is_hopeless, make_client
from chatkit.errors import (
    BrokerRefusedError,
    BrokerUnavailableError,
    ChannelExistsError,
    ChannelNotFoundError,
    InputError,
)
from chatkit.message import ChannelRecord
from chatkit.producer import ChatProducer, Receipt
from chatkit.settings import Settings
from chatkit.wording import counted

__all__ = ["ChannelInfo", "Channels", "ClusterInfo", "GroupInfo", "PartitionOffsets"]

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 6 * 1024 * 1024
ALL_TOPICS = {
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(MAX_MESSAGE_BYTES),
}
CHANNEL_TOPIC = {**ALL_TOPICS, "cleanup.policy": "delete", "retention.ms": "-1"}
"""How Kafka is to keep a channel: everything, under the time at which it came."""
RECORDS_TOPIC = {**ALL_TOPICS, "cleanup.policy": "compact"}
"""How Kafka is to keep the channel records: the last one of each channel."""
PRESENCE_MS = 600_000
PRESENCE_TOPIC = {
    **ALL_TOPICS,
    "cleanup.policy": "delete",
    "retention.ms": str(PRESENCE_MS),
    "segment.ms": str(PRESENCE_MS),  # only what is no longer written to is deleted
}
"""How Kafka is to keep who is there: for some ten minutes."""

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


class ClusterInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A Kafka, as far as clients see it."""

    brokers: int
    """How many brokers there are."""
    version: str
    """Its version, as far as it can be told by what it understands."""


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

    def _ask(
        self,
        question: Callable[[KafkaAdminClient], Answer],
        *,
        again: bool = True,
        right: str = "Describe",
    ) -> Answer:
        """Return what Kafka answers; a question that is harmless is put again to another broker.

        The right is that which it takes, for who lacks it.
        """
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
                    if (
                        not again
                        or is_hopeless(error)
                        or spent + 0.1 > self._settings.kafka_timeout
                    ):
                        raise explain(self._settings, error, spent, right=right) from error
                    time.sleep(0.1)

    def cluster(self) -> ClusterInfo:
        """Return what Kafka it is.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time.
        """

        def ask(admin: KafkaAdminClient) -> ClusterInfo:
            # Its describe_cluster fails with Kafka 2.8 to 3.6.
            found = admin._manager.run(admin._get_cluster_metadata, [])
            version = ".".join(map(str, admin._manager.broker_version))
            return ClusterInfo(brokers=len(found["brokers"]), version=version)

        return self._ask(ask)

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
        return {topic["name"]: str(topic["topic_id"]) for topic in self._topics_to_archive()}

    def readable_topic_ids(self) -> tuple[dict[str, str], list[str]]:
        """Return the id of each topic to archive that Kafka lets us read, and the others' names.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time.
        """
        readable, denied = {}, []
        for topic in self._topics_to_archive():
            if _may(topic, "READ"):
                readable[topic["name"]] = str(topic["topic_id"])
            else:
                denied.append(topic["name"])
        return readable, denied

    def _topics_to_archive(self) -> list[dict[str, Any]]:
        return [
            topic
            for topic in self._usable_topics()
            if topic["name"] == self._settings.channels_topic
            or self._settings.channel_of(topic["name"]) is not None
        ]

    def group(self, group_id: str) -> GroupInfo:
        """Return the state of a consumer group; one that nobody ever joined is ``Dead``.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time.
        """
        found = self._ask(
            lambda admin: admin.describe_groups([group_id])[group_id],
            right=f"Describe on group {group_id!r}",
        )
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

    def describe(self, channel: str, *, to_read: bool = False) -> ChannelInfo:
        """Return what Kafka knows of one channel.

        Parameters
        ----------
        channel : str
            Name of the channel.
        to_read : bool, default False
            Whether it is going to be read, which Kafka must let us do.

        Raises
        ------
        ChannelNameError
            No channel can have this name.
        ChannelNotFoundError
            There is none of this name.
        BrokerRefusedError
            Kafka does not let us see it, or read it.
        BrokerUnavailableError
            No broker answered in time.
        """
        topic = self._topic(self._settings.topic_of(channel))
        if topic is None:
            raise ChannelNotFoundError(
                f"There is no channel {channel!r} on Kafka at {self._settings.bootstrap_servers}; "
                f"make it with 'chatkit channels create {channel}'"
            )
        if to_read and not _may(topic, "READ"):
            raise self._denied("Read", topic["name"])
        return self._info(channel, topic)

    def _topic(self, name: str) -> dict[str, Any] | None:
        """Return what Kafka knows of a topic; None if there is none."""
        (topic,) = self._ask(lambda admin: admin.describe_topics([name]))
        if topic["error_code"] == TopicAuthorizationFailedError.errno:
            raise self._denied("Describe", name)
        found: dict[str, Any] = topic
        return found if topic["error_code"] == 0 and topic["partitions"] else None

    def _denied(self, right: str, topic: str) -> BrokerUnavailableError:
        error = TopicAuthorizationFailedError(topic)
        return explain(self._settings, error, 0.0, right=f"{right} on topic {topic!r}")

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
            ),
            right=f"Describe on topic {info.topic!r}",
        )
        return {
            part.partition: PartitionOffsets(starts[part].offset, ends[part].offset)
            for part in parts
        }

    def unsuitable(self) -> dict[str, dict[str, tuple[str, str]]] | None:
        """Return which topics Kafka keeps in another way than chatkit would have them.

        Returns
        -------
        dict or None
            Topic -> name of the config -> as it is, as it should be. None: we may not know.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time.
        """
        topics = self.topic_ids()
        names = [*CHANNEL_TOPIC, "retention.bytes"]
        described = self._ask(
            lambda admin: admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, names) for topic in topics],
                config_filter="all",
            )
        ).get("topic", {})
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for topic, configs in described.items():
            wanted = RECORDS_TOPIC
            if topic != self._settings.channels_topic:
                wanted = {**CHANNEL_TOPIC, "retention.bytes": "-1"}
            is_now = {name: entry["value"] for name, entry in configs.items()}
            wrong = {
                name: (is_now[name], value)
                for name, value in wanted.items()
                if name in is_now and not _suits(name, is_now[name], value)
            }
            if wrong:
                found[topic] = wrong
        return found if any(described.values()) or not topics else None

    def create(
        self,
        channel: str,
        *,
        partitions: int = 1,
        description: str = "",
        display_name: str = "",
        creator: str | None = None,
        moderators: Sequence[str] = (),
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
        moderators : sequence of str
            Who moderates it, if not the creator alone.
        exist_ok : bool, default False
            Whether a channel that is there already is left as it is.

        Returns
        -------
        ChannelInfo
            The channel, ready for use. Where Kafka does not let us write its record, that is
            logged.

        Raises
        ------
        ChannelNameError
            No channel can have this name.
        InputError
            There would be less than one partition.
        ChannelExistsError
            It exists, and ``exist_ok`` is false.
        BrokerRefusedError
            Kafka does not let us create it; the text says who else can, and how.
        BrokerUnavailableError
            No broker answered in time.
        """
        topic = self._settings.topic_of(channel)
        if partitions < 1:
            raise InputError(f"A channel has at least 1 partition, not {partitions}")
        if not self._create_topic(topic, partitions, CHANNEL_TOPIC):
            if not exist_ok:
                raise ChannelExistsError(f"Channel {channel!r} exists already")
            return self.describe(channel)
        who = creator or self._settings.user
        record = ChannelRecord(
            channel=channel,
            display_name=display_name,
            description=description,
            creator=who,
            moderators=tuple(moderators) or (who,),
        )
        try:
            self.publish(record)
        except BrokerRefusedError as error:  # one can chat in it all the same
            logger.warning(
                "Channel %s is made, but what it is for and who moderates it is not noted. %s",
                channel,
                error,
            )
        return self.describe(channel)

    def publish(self, record: ChannelRecord) -> None:
        """Write the record of a channel, replacing an earlier one.

        Raises
        ------
        BrokerRefusedError
            Kafka does not let us write it.
        ServiceError
            Kafka did not acknowledge it in time.
        """
        self.ensure_records_topic()
        self._wait(lambda producer: producer.send(record))

    def ensure_records_topic(self) -> None:
        """Make the compacted topic of channel records if it is not there.

        Raises
        ------
        BrokerRefusedError
            Kafka does not let us create it, or write to it.
        BrokerUnavailableError
            No broker answered in time.
        """
        self._ensure_topic(self._settings.channels_topic, RECORDS_TOPIC, ("Write",))

    def ensure_presence_topic(self) -> None:
        """Make the topic in which people say that they are here if it is not there.

        Raises
        ------
        BrokerRefusedError
            Kafka does not let us create it, read it, or write to it.
        BrokerUnavailableError
            No broker answered in time.
        """
        self._ensure_topic(self._settings.presence_topic, PRESENCE_TOPIC, ("Read", "Write"))

    def _ensure_topic(self, topic: str, configs: Mapping[str, str], rights: Sequence[str]) -> None:
        try:
            known = self._topic(topic)
        except BrokerRefusedError:  # one who may not see it may still be let to make it
            known = None
        if known is None:
            self._create_topic(topic, 1, configs)
            return
        for right in rights:
            if not _may(known, right.upper()):
                raise self._denied(right, topic)

    def delete(self, channel: str) -> None:
        """Delete a channel's topic, with every record in it, and its record. Not its archive.

        Raises
        ------
        ChannelNotFoundError
            There is none of this name.
        BrokerRefusedError
            Kafka does not let us delete it.
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

        if not self._ask(delete, again=False, right=f"Delete on topic {topic!r}"):
            return
        try:
            self.ensure_records_topic()
        except BrokerRefusedError as error:
            logger.warning("Channel %s is deleted, but not its record. %s", channel, error)
        else:
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
        replicas = self._settings.replication_factor or min(3, self.cluster().brokers)
        if replicas > 0:
            configs = {"min.insync.replicas": "2" if replicas >= 3 else "1", **configs}
        wanted = {
            "num_partitions": partitions,
            "replication_factor": replicas,
            "configs": configs,
        }

        def create(admin: KafkaAdminClient) -> bool:
            (made,) = admin.create_topics({topic: wanted}, raise_errors=False)["topics"]
            error = for_code(made["error_code"])
            if error is TopicAlreadyExistsError:
                return False
            if error is not NoError:
                raise error(made["error_message"] or topic)
            admin.wait_for_topics([topic])
            return True

        try:
            return self._ask(create, again=False, right=f"Create on topic {topic!r}")
        except BrokerRefusedError as error:
            cause, advice = error.__cause__, "Or let whoever runs it create"
            if isinstance(cause, AuthorizationError) and self._is_there(topic):
                return False  # Kafka looks at the right first
            if isinstance(cause, InvalidReplicationFactorError | PolicyViolationError):
                advice = (
                    "Set CHATKIT_REPLICATION_FACTOR to how many brokers are to hold a topic (it is "
                    f"{replicas}; -1: as many as Kafka is set to), or let whoever runs it create"
                )
            raise BrokerRefusedError(
                f"{error}. {advice} topic {topic!r} with {counted(partitions, 'partition')} and "
                + ", ".join(f"{name}={value}" for name, value in configs.items())
            ) from cause

    def _is_there(self, topic: str) -> bool:
        try:
            return self._topic(topic) is not None
        except BrokerRefusedError:
            return False


def _may(topic: Mapping[str, Any], right: str) -> bool:
    """Return whether we have a right on a topic, or Kafka does not tell which we have."""
    return right in (topic["authorized_operations"] or [right])


def _suits(name: str, value: str, wanted: str) -> bool:
    if name == "max.message.bytes":
        return int(value) >= int(wanted)
    return value == wanted
