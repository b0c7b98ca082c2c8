"""How far a group has read, as Kafka tells it, in questions quick enough to be asked all the time.

It knows nothing of widgets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from chatkit.connection import make_client
from chatkit.errors import BrokerUnavailableError
from chatkit.settings import Settings
from chatkit.workshop.offsets import COMMITTED_CALL, EDGES_CALL, committed, edges

__all__ = ["SOURCE", "Figures", "Reached"]

SOURCE = f"{COMMITTED_CALL}; {EDGES_CALL}"
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 2.0


class Reached(msgspec.Struct, frozen=True):
    """How far a group has read a partition."""

    topic: str
    partition: int
    start: int
    """Offset of the first record of the log."""
    committed: int | None
    """What the group committed; None if nothing."""
    end: int
    """Offset that the next record will get."""

    @property
    def lag(self) -> int | None:
        """Offsets from what is committed to the end; None where nothing is committed."""
        return None if self.committed is None else self.end - self.committed


class Figures:
    """Asks Kafka; connects at the first question, and again after a failure.

    Not thread-safe: all calls belong on one thread. Who makes it closes it.

    Parameters
    ----------
    settings : Settings
        Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: KafkaAdminClient | None = None

    def offsets(self, group: str, also: Iterable[tuple[str, int]] = ()) -> tuple[Reached, ...]:
        """Return how far a group has read, by topic and partition.

        Parameters
        ----------
        group : str
            Whole name of the group.
        also : iterable of (str, int), default ()
            Topics and partitions to tell of, also where the group committed nothing.

        Raises
        ------
        BrokerUnavailableError
            Kafka did not answer.
        """
        try:
            return self._ask(group, {TopicPartition(*part) for part in also})
        except KafkaError as error:
            self.close()
            raise BrokerUnavailableError(
                f"Kafka at {self._settings.bootstrap_servers} does not tell of group {group} just "
                f"now ({type(error).__name__}). What is shown is older; the view goes on by itself "
                "once Kafka answers: look whether its brokers run"
            ) from error

    def _ask(self, group: str, also: set[TopicPartition]) -> tuple[Reached, ...]:
        if self._admin is None:
            self._admin = make_client(
                KafkaAdminClient,
                self._settings,
                timeout=CONNECT_SECONDS,
                request_timeout_ms=int(ANSWER_SECONDS * 1000),
            )
        read = committed(self._admin, group)
        return tuple(
            Reached(part.topic, part.partition, start, read.get(part), end)
            for part, (start, end) in edges(self._admin, read.keys() | also).items()
        )

    def close(self) -> None:
        """Close the connection; idempotent, and the next question opens a new one."""
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(KafkaError):
                admin.close()
