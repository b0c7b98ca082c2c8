"""What a member of a consumer group notes: the messages that it handled, what happened to it.

Values alone, and how a record becomes one. It knows no client of Kafka, no thread and no member.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from chatkit.message import now_ms

__all__ = ["GroupEvent", "Handled", "ends_of", "handled_of"]

Part = tuple[str, int]
"""A topic and the number of one of its partitions."""


class Handled(msgspec.Struct, frozen=True):
    """A message that a member has handled."""

    topic: str
    """Kafka topic."""
    partition: int
    """Partition of the topic."""
    offset: int
    """Offset in the partition."""
    key: str | None
    """The record's key; bytes that are no UTF-8 are shown as ``\\xff``."""
    id: str | None
    """``id`` of the JSON object that the value is; None if it is none, or has none."""
    value: Any
    """What the value says: JSON if it is JSON, else text, else bytes; None if there is none."""
    at_ms: int
    """When it was handled, ms since 1970 UTC."""


class GroupEvent(msgspec.Struct, frozen=True):
    """Something that happened to a member."""

    at_ms: int
    """When, ms since 1970 UTC."""
    kind: str
    """``starting``; ``assigned``, ``revoked``, ``lost`` (partitions got, given back, taken away
    without being asked); ``rebalancing``, ``joined`` (waits for the group, has its place in a
    generation); ``commit``, ``commit refused``; ``paused``, ``resumed``; ``left`` (told the group),
    ``stopped`` (a static member tells it nothing), ``crashed``, ``failed``."""
    partitions: frozenset[Part]
    """Which partitions it is about."""
    generation: int
    """Generation of the group, -1 if it is in none."""
    offsets: dict[Part, int] = {}
    """With ``commit``: the committed offsets."""
    text: str = ""
    """With ``failed`` and ``commit refused``: why."""


def ends_of(records: Iterable[Any]) -> dict[Part, int]:
    """Return for each partition the offset after the last of its records."""
    return {(record.topic, record.partition): record.offset + 1 for record in records}


def handled_of(record: Any) -> Handled:
    """Return what a record of kafka-python says; never raises for its content."""
    value = _value(record.value)
    name = value.get("id") if isinstance(value, dict) else None
    return Handled(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=None if record.key is None else record.key.decode(errors="backslashreplace"),
        id=name if isinstance(name, str) else None,
        value=value,
        at_ms=now_ms(),
    )


def _value(raw: bytes | None) -> Any:
    if raw is None:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw
