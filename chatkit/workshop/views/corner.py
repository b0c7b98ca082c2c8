"""Where a view looks: a learner's corner of Kafka, or a whole Kafka by its settings."""

from __future__ import annotations

from typing import Protocol

from chatkit.settings import Settings

__all__ = ["Corner", "Learning", "locate", "locate_group"]


class Learning(Protocol):
    """What views need of a `chatkit.workshop.Learner`."""

    @property
    def settings(self) -> Settings:
        """Where Kafka is."""

    def topic(self, name: str, /) -> str:
        """Return the whole name of one of the learner's topics."""

    def group(self, name: str, /) -> str:
        """Return the whole name of one of the learner's groups."""


Corner = Learning | Settings


def locate(corner: Corner, topic: str) -> tuple[Settings, str]:
    """Return where Kafka is, and the whole name of a topic."""
    if isinstance(corner, Settings):
        return corner, topic
    return corner.settings, corner.topic(topic)


def locate_group(corner: Corner, group: str) -> tuple[Settings, str]:
    """Return where Kafka is, and the whole name of a group."""
    if isinstance(corner, Settings):
        return corner, group
    return corner.settings, corner.group(group)
