"""One learner's corner of a Kafka that may be a whole class's: topics and groups of one's own.

Knows nothing of brokers that can be broken: that is `chatkit.workshop.cluster`.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from kafka.protocol.metadata import MetadataRequest

from chatkit.errors import InputError
from chatkit.settings import Settings
from chatkit.wording import counted
from chatkit.workshop.asking import WAIT_SECONDS, NotYetError, ask, wait_for

if TYPE_CHECKING:
    from chatkit.workshop.inspector import Inspector

__all__ = ["Learner"]

LAB = "lab."
"""What all names of the workshop begin with."""
SAFE_NAME = re.compile("[A-Za-z0-9-]{1,64}")
KAFKA_NAME = re.compile("[A-Za-z0-9._-]+")
LONGEST_NAME = 249


class Learner:
    """The topics and groups of one learner: all have a prefix that nobody else's have.

    Connects at each call and keeps no connection. Thread-safe. Who makes it closes it.

    Parameters
    ----------
    name : str, optional
        Who learns, a name as in the chat. Default: ``settings.user``.
    settings : Settings, optional
        Where Kafka is. Default: ``Settings()``.

    Raises
    ------
    InputError
        Nobody can be called that.
    """

    def __init__(self, name: str | None = None, *, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        """Where Kafka is."""
        self.name = self.settings.user if name is None else name
        """Who learns."""
        self.prefix = f"{LAB}{_safe(self.name)}."
        """What the names of the learner's topics and groups begin with."""
        self._lock = threading.Lock()
        self._inspector: Inspector | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Learner {self.name} {self.prefix}*>"

    @property
    def inspector(self) -> Inspector:
        """What there is on this Kafka."""
        from chatkit.workshop.inspector import Inspector

        with self._lock:
            if self._inspector is None:
                self._inspector = Inspector(self.settings)
            return self._inspector

    def close(self) -> None:
        """Close the inspector; idempotent. Topics and groups stay."""
        with self._lock:
            inspector, self._inspector = self._inspector, None
        if inspector is not None:
            inspector.close()

    def topic(self, name: str) -> str:
        """Return the whole name of one of the learner's topics; a whole name of theirs is kept.

        Raises
        ------
        InputError
            No topic can have this name, or it is another learner's.
        """
        return self._own("topic", name)

    def group(self, name: str) -> str:
        """Return the whole name of one of the learner's groups; a whole name of theirs is kept.

        Raises
        ------
        InputError
            A group of the workshop can't have this name, or it is another learner's.
        """
        return self._own("group", name)

    def _own(self, kind: str, name: str) -> str:
        short = name.removeprefix(self.prefix)
        if short == name and name.startswith(LAB):
            raise InputError(
                f"{name!r} is not a {kind} of {self.name}: those begin with {self.prefix!r}, which "
                "may be left out. To look at others', use the inspector"
            )
        if not KAFKA_NAME.fullmatch(short) or len(self.prefix + short) > LONGEST_NAME:
            raise InputError(
                f"A {kind} can't be called {short[:60]!r}: use 1-{LONGEST_NAME - len(self.prefix)} "
                "of a-z, A-Z, 0-9, '.', '_' and '-', such as 'orders'"
            )
        return self.prefix + short

    def create(
        self,
        name: str,
        *,
        partitions: int = 3,
        replicas: int | None = None,
        config: Mapping[str, object] | None = None,
        timeout: float = WAIT_SECONDS,
    ) -> str:
        """Make a topic and wait until every partition has a leader.

        Nothing happens where it is there already with that many partitions, and the replicas and
        configuration that are asked for.

        Parameters
        ----------
        name : str
            Short name, such as ``orders``.
        partitions : int, default 3
            How many, >= 1.
        replicas : int, optional
            How many brokers hold each partition. Default: 3, or as many brokers as there are.
        config : mapping of str to object, optional
            Kafka's topic configuration, such as ``{"retention.ms": 3000}``.
        timeout : float, default 20
            Seconds to wait.

        Returns
        -------
        str
            Whole name of the topic.

        Raises
        ------
        InputError
            It is there in another shape, or Kafka can't make one of this shape.
        WorkshopTimeoutError
            It was made, but not all partitions had a leader in time.
        BrokerUnavailableError
            No broker answered in time.
        """
        topic = self.topic(name)
        if partitions < 1:
            raise InputError(f"A topic has at least 1 partition, not {partitions}")
        if replicas is not None and replicas < 1:
            raise InputError(f"A partition has at least 1 replica, not {replicas}")
        wanted = {key: _text(value) for key, value in (config or {}).items()}
        made = ask(
            self.settings,
            lambda admin: _create(
                admin, topic, partitions, self._replicas(admin, replicas), wanted
            ),
            timeout=timeout,
            right=f"Create on topic {topic!r}",
        )
        if made is None:
            self._check_shape(topic, partitions, replicas, wanted, timeout)
        wait_for(
            self.settings,
            f"a leader of every partition of {topic}",
            lambda admin: _check_leaders(admin, topic, made),
            timeout=timeout,
            advice="Look whether enough brokers run, and try again.",
        )
        return topic

    def _replicas(self, admin: KafkaAdminClient, wanted: int | None) -> int:
        if wanted is not None:
            return wanted
        return self.settings.replication_factor or min(3, len(_brokers(admin)))

    def _check_shape(
        self,
        topic: str,
        partitions: int,
        replicas: int | None,
        config: Mapping[str, str],
        timeout: float,
    ) -> None:
        def look(admin: KafkaAdminClient) -> tuple[int, int, dict[str, str]]:
            (found,) = admin.describe_topics([topic])
            if found["error_code"] != 0 or not found["partitions"]:
                raise UnknownTopicOrPartitionError(topic)  # not every broker knows it yet
            return (
                len(found["partitions"]),
                len(found["partitions"][0]["replica_nodes"]),
                _configuration(admin, topic, list(config)),
            )

        have, copies, values = ask(self.settings, look, timeout=timeout)
        differences = []
        if have != partitions:
            differences.append(f"{counted(have, 'partition')}, not {partitions}")
        if replicas not in (None, copies):
            differences.append(f"{copies} replicas of each, not {replicas}")
        differences += [
            f"{key}={values.get(key)}, not {value}"
            for key, value in config.items()
            if values.get(key) != value
        ]
        if differences:
            raise InputError(
                f"Topic {topic} is there already, with {'; '.join(differences)}. Choose another "
                "name, or remove all your topics with reset() and make it anew"
            )

    def grow(self, name: str, partitions: int, *, timeout: float = WAIT_SECONDS) -> str:
        """Give a topic more partitions, and wait until every broker knows them.

        Nothing happens where it has that many already.

        Parameters
        ----------
        name : str
            Short name of the topic.
        partitions : int
            How many it is to have.
        timeout : float, default 20
            Seconds to wait.

        Returns
        -------
        str
            Whole name of the topic.

        Raises
        ------
        InputError
            It has more than that: a topic never loses partitions.
        WorkshopTimeoutError
            Not every broker knew them in time.
        BrokerUnavailableError
            No broker answered in time.
        """
        topic = self.topic(name)
        ask(
            self.settings,
            lambda admin: _grow(admin, topic, partitions),
            timeout=timeout,
            right=f"Alter on topic {topic!r}",
        )
        wait_for(
            self.settings,
            f"{counted(partitions, 'partition')} of {topic} on every broker",
            lambda admin: _check_grown(admin, topic, partitions),
            timeout=timeout,
            advice="Look whether all brokers run, and try again.",
        )
        return topic

    def reset(self, *, timeout: float = WAIT_SECONDS) -> list[str]:
        """Remove the learner's topics and groups, nobody else's, and wait until they are gone.

        Groups come first: while one still has members, no topic is removed.

        Parameters
        ----------
        timeout : float, default 20
            Seconds to wait; a group whose members crashed can be removed when their session is
            over, after some 6 s.

        Returns
        -------
        list of str
            Whole names of what was removed, sorted; empty if there was nothing.

        Raises
        ------
        WorkshopTimeoutError
            Something is still there; the text says what, and why.
        BrokerUnavailableError
            No broker answered in time.
        """
        groups, topics = ask(
            self.settings, lambda admin: (self._groups(admin), self._topics(admin)), timeout=timeout
        )
        if groups:
            wait_for(
                self.settings,
                f"the end of {counted(len(groups), 'group')} of {self.name}",
                self._remove_groups,
                timeout=timeout,
                advice="Stop their members (member.stop()), then reset again.",
            )
        if topics:
            wait_for(
                self.settings,
                f"the end of {counted(len(topics), 'topic')} of {self.name}",
                self._remove_topics,
                timeout=timeout,
                advice="Look whether all brokers run, then reset again.",
            )
        return sorted(groups + topics)

    def _topics(self, admin: KafkaAdminClient) -> list[str]:
        return [name for name in admin.list_topics() if name.startswith(self.prefix)]

    def _groups(self, admin: KafkaAdminClient) -> list[str]:
        names = (group["group_id"] for group in admin.list_groups())
        return sorted({name for name in names if name.startswith(self.prefix)})

    def _remove_groups(self, admin: KafkaAdminClient) -> None:
        left = self._groups(admin)
        if not left:
            return
        answers = dict(admin.delete_groups(left))
        told = [
            f"{group} has members still" if answer == "NonEmptyGroupError" else f"{group}: {answer}"
            for group, answer in answers.items()
            if answer not in ("OK", "GroupIdNotFoundError")
        ]
        if told:
            raise NotYetError("; ".join(told))
        raise NotYetError(f"{', '.join(left)} is being removed")

    def _remove_topics(self, admin: KafkaAdminClient) -> None:
        left = self._topics(admin)
        if not left:
            return
        admin.delete_topics(left, raise_errors=False)
        raise NotYetError(f"{', '.join(left)} is being removed")


def _safe(name: str) -> str:
    """Return a learner's name as a part of Kafka's names, unlike everybody else's.

    Neither dots nor underscores are in it: with a dot one prefix could begin with another, and
    Kafka takes ``lab.a_b.c`` and ``lab.a.b_c`` for the same name in its metrics and refuses one.
    """
    if not name.strip() or not name.isprintable() or len(name) > 64:
        raise InputError(
            f"A learner's name has 1-64 printable characters on one line; {name[:80]!r} has not"
        )
    if SAFE_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{re.sub('[^A-Za-z0-9-]+', '-', name).strip('-')}-{digest}".lstrip("-")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _brokers(admin: KafkaAdminClient) -> list[int]:
    # Its describe_cluster fails with Kafka 2.8 to 3.6.
    found = admin._manager.run(admin._get_cluster_metadata, [])
    return [broker["node_id"] for broker in found["brokers"]]


def _create(
    admin: KafkaAdminClient,
    topic: str,
    partitions: int,
    replicas: int,
    config: Mapping[str, str],
) -> str | None:
    """Return the id of a new topic, or None if one of this name is there."""
    wanted = {"num_partitions": partitions, "replication_factor": replicas, "configs": config}
    (made,) = admin.create_topics({topic: wanted}, raise_errors=False)["topics"]
    error = for_code(made["error_code"])
    if error is TopicAlreadyExistsError:
        return None
    if error in (InvalidReplicationFactorError, InvalidConfigurationError, InvalidTopicError):
        raise InputError(
            f"Kafka can't make topic {topic} like that: {made['error_message']}. It was asked for "
            f"{counted(partitions, 'partition')}, {counted(replicas, 'replica')} of each"
            + "".join(f", {key}={value}" for key, value in config.items())
        )
    if error is not NoError:
        raise error(made["error_message"] or topic)
    return str(made["topic_id"])


def _grow(admin: KafkaAdminClient, topic: str, partitions: int) -> None:
    (found,) = admin.describe_topics([topic])
    have = len(found["partitions"])
    if found["error_code"] == 0 and have >= partitions:
        if have > partitions:
            raise InputError(
                f"Topic {topic} has {counted(have, 'partition')}, and a topic never loses any. "
                "Remove all your topics with reset() and make it anew"
            )
        return
    try:
        admin.create_partitions({topic: partitions})
    except UnknownTopicOrPartitionError as error:
        raise InputError(f"There is no topic {topic} to grow: create() makes it") from error
    except InvalidPartitionsError:
        return  # it was done when Kafka was asked before, and the answer was lost


def _check_grown(admin: KafkaAdminClient, topic: str, partitions: int) -> None:
    wanted = [MetadataRequest.MetadataRequestTopic(name=topic)]
    request = MetadataRequest(topics=wanted, allow_auto_topic_creation=False)

    async def known_to_each() -> list[int]:
        nodes = [broker.node_id for broker in admin._manager.cluster.brokers()]
        answers = [await admin._manager.send(request, node_id=node) for node in nodes]
        return [
            sum(one.leader_id >= 0 for one in answer.topics[0].partitions) for answer in answers
        ]

    if set(known := admin._manager.run(known_to_each)) != {partitions}:
        raise NotYetError(f"the brokers know {known}")


def _check_leaders(admin: KafkaAdminClient, topic: str, topic_id: str | None) -> None:
    (found,) = admin.describe_topics([topic])
    if found["error_code"] != 0 or topic_id not in (None, str(found["topic_id"])):
        raise NotYetError(f"not every broker knows {topic}")
    without = [
        partition["partition_index"]
        for partition in found["partitions"]
        if partition["error_code"] != 0 or partition["leader_id"] < 0
    ]
    if without or not found["partitions"]:
        raise NotYetError(f"no leader of partition {', '.join(map(str, sorted(without)))}")


def _configuration(admin: KafkaAdminClient, topic: str, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    found: dict[str, Any] = admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, names)], config_filter="all"
    )
    return {name: entry["value"] for name, entry in found["topic"][topic].items()}
