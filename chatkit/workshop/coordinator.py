"""What Kafka's coordinator says of a consumer group: its state, its members, who owns what.

It asks, and knows nothing of the members that it is asked about.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import Self

import msgspec
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from chatkit.connection import make_client
from chatkit.errors import BrokerUnavailableError
from chatkit.settings import Settings
from chatkit.workshop.notes import Part

__all__ = ["Coordinator", "GroupState", "listed", "parts_told"]

logger = logging.getLogger(__name__)


class GroupState(msgspec.Struct, frozen=True):
    """What the coordinator says of a group."""

    state: str
    """State of the group, such as ``Stable`` or ``PreparingRebalance``."""
    clients: dict[str, str]
    """Member id -> client id."""
    owned: dict[str, frozenset[Part]]
    """Member id -> what it is assigned of our topics."""
    partitions: frozenset[Part]
    """All partitions of our topics."""

    @property
    def trouble(self) -> str:
        """What keeps the group from being settled; "" if nothing does."""
        if self.state != "Stable":
            return f"the group is {self.state} with members {listed(self.clients.values())}"
        owners = [part for parts in self.owned.values() for part in parts]
        if left_out := self.partitions - set(owners):
            return f"nobody is assigned {parts_told(left_out)}"
        if doubled := {part for part in owners if owners.count(part) > 1}:
            return f"more than one is assigned {parts_told(doubled)}"
        return ""


class Coordinator:
    """Asks Kafka about a group; owned by one thread, who closes it.

    After an error it asks with a new client: an old one may cling to a broker that is gone.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self._group = group
        self._admin: KafkaAdminClient | None = None

    def look(self, topics: Sequence[str]) -> GroupState:
        """Return what Kafka says now, with state ``unknown`` if it says nothing."""
        try:
            if self._admin is None:
                self._admin = make_client(
                    KafkaAdminClient, self._settings, timeout=2.0, request_timeout_ms=2000
                )
            described = self._admin.describe_topics(list(topics))
            group = self._admin.describe_groups([self._group])[self._group]
        except (KafkaError, RuntimeError, BrokerUnavailableError) as error:
            self.close()
            logger.debug("Kafka says nothing of group %s: %s", self._group, error)
            return GroupState(f"unknown ({type(error).__name__})", {}, {}, frozenset())
        return GroupState(
            state=group["group_state"],
            clients={member["member_id"]: member["client_id"] for member in group["members"]},
            owned={
                member["member_id"]: frozenset(
                    (topic["topic"], partition)
                    for topic in (member["member_assignment"] or {}).get("assigned_partitions", ())
                    for partition in topic["partitions"]
                    if topic["topic"] in topics
                )
                for member in group["members"]
            },
            partitions=frozenset(
                (topic["name"], partition["partition_index"])
                for topic in described
                for partition in topic["partitions"]
            ),
        )

    def close(self) -> None:
        """Close the client; idempotent."""
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(KafkaError, RuntimeError):
                admin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def parts_told(parts: Iterable[Part]) -> str:
    """Return partitions as a person reads them, such as ``chat-0, chat-1``."""
    return listed(f"{topic}-{partition}" for topic, partition in sorted(parts))


def listed(names: Iterable[str]) -> str:
    """Return names in order, with commas; ``nothing`` if there are none."""
    return ", ".join(sorted(names)) or "nothing"
