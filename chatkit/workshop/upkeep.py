"""How often a Kafka tidies up its logs: deletes what is too old or too much, and compacts.

The workshop's own brokers do within a second what others do within minutes, so experiments ask.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import msgspec
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from chatkit.errors import BrokerRefusedError
from chatkit.workshop.asking import ask

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["Upkeep"]

RETENTION = "log.retention.check.interval.ms"
COMPACTION = "log.cleaner.backoff.ms"


class Upkeep(msgspec.Struct, frozen=True):
    """How often a Kafka tidies up; the defaults are Kafka's own."""

    retention: float = 300.0
    """Seconds between two looks for what is to be deleted (``log.retention.check.interval.ms``)."""
    compaction: float = 15.0
    """Seconds between two looks for what is to be compacted (``log.cleaner.backoff.ms``)."""

    @classmethod
    def of(cls, learner: Learner) -> Self:
        """Return that of a learner's Kafka; Kafka's defaults, if it does not let us look.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time.
        """

        def look(admin: KafkaAdminClient) -> dict[str, dict[str, Any]]:
            broker = str(admin.describe_cluster()["brokers"][0]["broker_id"])
            wanted = ConfigResource(ConfigResourceType.BROKER, broker, [RETENTION, COMPACTION])
            told: dict[str, dict[str, Any]] = admin.describe_configs([wanted], config_filter="all")
            return {} if "broker" not in told else told["broker"][broker]

        told: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(BrokerRefusedError):
            told = ask(learner.settings, look, right="DescribeConfigs on the cluster")
        seconds = {
            field: float(told[name]["value"]) / 1000
            for field, name in (("retention", RETENTION), ("compaction", COMPACTION))
            if name in told
        }
        return cls(**seconds)
