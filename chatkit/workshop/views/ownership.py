"""Who read which partition when, told from what members noted of themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

__all__ = ["Noted", "Span", "Track", "find_pauses"]

Part = tuple[str, int]
"""A topic and the number of one of its partitions."""
ENDINGS = frozenset({"left", "stopped", "crashed", "failed"})
STATES = {
    "starting": "reading",
    "joined": "reading",
    "resumed": "reading",
    "rebalancing": "waiting",
    "paused": "paused",
}


class Noted(Protocol):
    """What is needed of a `chatkit.workshop.GroupEvent`."""

    @property
    def at_ms(self) -> int:
        """When, ms since 1970 UTC."""

    @property
    def kind(self) -> str:
        """What happened."""

    @property
    def partitions(self) -> Iterable[Part]:
        """Which partitions it is about."""


class Span(msgspec.Struct, frozen=True):
    """A time in which a member owned a partition and did one thing."""

    part: Part
    """The partition."""
    member: str
    """Name of the member."""
    state: str
    """``reading``; ``waiting`` for the rest of the group in a rebalance; ``paused``."""
    begin: int
    """ms since 1970 UTC."""
    end: int | None
    """ms since 1970 UTC; None: it goes on."""


class Track:
    """What one member owned, built up from its events as they come; not thread-safe.

    Parameters
    ----------
    member : str
        Its name.
    """

    def __init__(self, member: str) -> None:
        self._member = member
        self._state = "reading"
        self._begun: dict[Part, int] = {}
        self._done: list[Span] = []
        self._taken = 0

    @property
    def spans(self) -> list[Span]:
        """All times so far, those that go on last."""
        return self._done + [
            Span(part, self._member, self._state, begin, None)
            for part, begin in self._begun.items()
        ]

    def take(self, history: Sequence[Noted]) -> None:
        """Take what is new in a history that only grows."""
        for event in history[self._taken :]:
            self._note(event)
        self._taken = len(history)

    def _note(self, event: Noted) -> None:
        if event.kind == "assigned":
            for part in event.partitions:
                self._begun.setdefault(part, event.at_ms)
        elif event.kind in ("revoked", "lost"):
            self._stop(event.partitions, event.at_ms)
        elif event.kind in ENDINGS:
            self._stop(list(self._begun), event.at_ms)
            self._state = "reading"
        elif STATES.get(event.kind, self._state) != self._state:
            owned = list(self._begun)
            self._stop(owned, event.at_ms)
            self._begun = dict.fromkeys(owned, event.at_ms)
            self._state = STATES[event.kind]

    def _stop(self, parts: Iterable[Part], at_ms: int) -> None:
        for part in parts:
            begin = self._begun.pop(part, None)
            if begin is not None and begin < at_ms:
                self._done.append(Span(part, self._member, self._state, begin, at_ms))


def find_pauses(spans: Iterable[Span], now_ms: int) -> Mapping[Part, list[tuple[int, int]]]:
    """Return for each partition the times, begin and end in ms, in which nobody read it.

    They begin when it was first read; one that still goes on ends at ``now_ms``. Pure.
    """
    reading: dict[Part, list[tuple[int, int]]] = {}
    for span in spans:
        if span.state == "reading":
            end = now_ms if span.end is None else span.end
            reading.setdefault(span.part, []).append((span.begin, end))
    return {part: _gaps(sorted(times), now_ms) for part, times in reading.items()}


def _gaps(times: list[tuple[int, int]], now_ms: int) -> list[tuple[int, int]]:
    found = []
    until = times[0][1]
    for begin, end in [*times[1:], (now_ms, now_ms)]:
        if begin > until:
            found.append((until, begin))
        until = max(until, end)
    return found
