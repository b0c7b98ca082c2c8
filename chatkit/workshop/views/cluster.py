"""Which broker leads which partition, which replicas are in sync, and what has just changed."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from chatkit.connection import make_client
from chatkit.errors import BrokerUnavailableError, NeedsOwnBrokersError
from chatkit.message import now_ms
from chatkit.settings import Settings
from chatkit.workshop.views.frontend import script
from chatkit.workshop.views.ticking import SECONDS, Seen, View

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ClusterView"]

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 2.0
"""For Kafka to answer one question."""
MOST_PARTITIONS = 60
"""That are shown."""
CHANGES_SHOWN = 6
SOURCE = "KafkaAdminClient.describe_topics"


class _Cluster(Protocol):
    """What the view needs of a `chatkit.workshop.LabCluster`."""

    @property
    def settings(self) -> Settings:
        """Where Kafka is."""

    def broker_states(self) -> Mapping[int, str]:
        """Return what each broker does."""


class _Replicas(msgspec.Struct, frozen=True):
    """A partition."""

    topic: str
    partition: int
    leader: int
    """Broker id; -1 if there is none."""
    replicas: list[int]
    """Broker ids, the preferred leader first."""
    in_sync: list[int]
    """Ids of the brokers that have all that was written."""


class ClusterView(View):
    """Shows for each partition its leader and which replicas are in sync, broker by broker.

    Thread-safe; who makes it closes it.

    Parameters
    ----------
    cluster : LabCluster or Settings
        Which brokers; of a Kafka that is given by settings, what the processes of its brokers do
        is not known.
    prefix : str, default "lab."
        How the names of the topics that are shown begin.
    seconds : float, default 0.2
        Between two looks, over 0.
    """

    _esm = script("cluster")

    def __init__(
        self, cluster: _Cluster | Settings, *, prefix: str = "lab.", seconds: float = SECONDS
    ) -> None:
        self._cluster = None if isinstance(cluster, Settings) else cluster
        self._settings = cluster if isinstance(cluster, Settings) else cluster.settings
        self._prefix = prefix
        self._admin: KafkaAdminClient | None = None
        self._rows: tuple[_Replicas, ...] = ()
        self._states: dict[int, str] = {}
        self._changes: deque[tuple[int, str]] = deque(maxlen=CHANGES_SHOWN)
        super().__init__("Leaders and replicas", seconds=seconds)

    @property
    def frame(self) -> pd.DataFrame:
        """The partitions, as Kafka told them last.

        Returns
        -------
        pandas.DataFrame
            By topic and partition: ``topic`` (str), ``partition``, ``leader`` (int64, -1: none),
            ``replicas``, ``isr`` (object: lists of broker ids), ``source`` (str: the call).
        """
        import pandas as pd

        rows = self._rows
        return pd.DataFrame(
            {
                "topic": pd.Series([row.topic for row in rows], dtype="str"),
                "partition": pd.Series([row.partition for row in rows], dtype="int64"),
                "leader": pd.Series([row.leader for row in rows], dtype="int64"),
                "replicas": pd.Series([row.replicas for row in rows], dtype="object"),
                "isr": pd.Series([row.in_sync for row in rows], dtype="object"),
                "source": pd.Series([SOURCE] * len(rows), dtype="str"),
            }
        )

    @property
    def changes(self) -> list[str]:
        """What changed last, from old to new."""
        return [text for _, text in self._changes]

    def _look(self) -> Seen:
        states = self._process_states()
        try:
            rows, problem = self._ask(), ""
        except (KafkaError, BrokerUnavailableError) as error:
            self._end()
            rows, problem = self._rows, type(error).__name__
        for row in rows:
            states.update(dict.fromkeys(set(row.replicas) - states.keys(), "unknown"))
        self._note(rows, states)
        self._rows, self._states = rows, states
        if problem:
            # What the processes do is known without Kafka, and is just what one wants to see.
            self.content = self._content()
            raise BrokerUnavailableError(
                f"Kafka at {self._settings.bootstrap_servers} does not tell of its topics just now "
                f"({problem}). Leaders and replicas are older; the view goes on by itself once "
                "Kafka answers: look whether its brokers run"
            )
        return Seen(self._content(), self._words())

    def _process_states(self) -> dict[int, str]:
        if self._cluster is None:
            return {}
        with contextlib.suppress(NeedsOwnBrokersError):
            return dict(self._cluster.broker_states())
        return {}

    def _ask(self) -> tuple[_Replicas, ...]:
        if self._admin is None:
            self._admin = make_client(
                KafkaAdminClient,
                self._settings,
                timeout=CONNECT_SECONDS,
                request_timeout_ms=int(ANSWER_SECONDS * 1000),
            )
        found = [
            _Replicas(
                topic["name"],
                part["partition_index"],
                part["leader_id"],
                list(part["replica_nodes"]),
                sorted(part["isr_nodes"]),
            )
            for topic in self._admin.describe_topics()
            if topic["name"].startswith(self._prefix)
            for part in topic["partitions"]
        ]
        return tuple(sorted(found, key=lambda row: (row.topic, row.partition)))

    def _note(self, rows: tuple[_Replicas, ...], states: Mapping[int, str]) -> None:
        before = {(row.topic, row.partition): row for row in self._rows}
        told = [
            f"broker {broker} is {state}"
            for broker, state in sorted(states.items())
            if self._states.get(broker, state) != state
        ]
        for row in rows:
            old = before.get((row.topic, row.partition))
            if old is not None:
                told += _changes(old, row)
        self._changes.extend((now_ms(), text) for text in told)

    def _content(self) -> dict[str, Any]:
        return {
            "brokers": sorted(self._states.items()),
            "partitions": msgspec.to_builtins(self._rows[:MOST_PARTITIONS]),
            "hidden": max(0, len(self._rows) - MOST_PARTITIONS),
            "changes": list(self._changes),
            "source": SOURCE,
            "prefix": self._prefix,
        }

    def _words(self) -> str:
        brokers = ", ".join(f"{broker} {state}" for broker, state in sorted(self._states.items()))
        told = [f"Brokers: {brokers}."] if brokers else []
        if not self._rows:
            told.append(f"There are no topics {self._prefix}* yet.")
        return " ".join([*told, *map(_partition_text, self._rows)])

    def _end(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(KafkaError, RuntimeError):
                admin.close()


def _changes(old: _Replicas, new: _Replicas) -> list[str]:
    """Return what is another in a partition than before."""
    name = f"{new.topic} {new.partition}"
    told = []
    if old.leader != new.leader:
        told.append(f"{name}: leader {_broker(old.leader)} → {_broker(new.leader)}")
    told += [f"{name}: {gone} out of sync" for gone in old.in_sync if gone not in new.in_sync]
    told += [f"{name}: {back} in sync again" for back in new.in_sync if back not in old.in_sync]
    return told


def _broker(number: int) -> str:
    return "none" if number < 0 else str(number)


def _partition_text(row: _Replicas) -> str:
    leader = "no leader" if row.leader < 0 else f"leader {row.leader}"
    late = [str(replica) for replica in row.replicas if replica not in row.in_sync]
    told = f"{row.topic} {row.partition}: {leader}, in sync {', '.join(map(str, row.in_sync))}"
    return f"{told}, out of sync {', '.join(late)}." if late else f"{told}."
