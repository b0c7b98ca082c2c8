"""Who owns which partition of a group, what moved, and when nobody read.

All of it is what the members themselves noted, so that it is shown also while Kafka is down. Two
groups stand side by side on one time line, to compare eager with cooperative rebalances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from chatkit.message import now_ms
from chatkit.workshop.views.frontend import script
from chatkit.workshop.views.ownership import Noted, Part, Span, Track, find_pauses
from chatkit.workshop.views.ticking import SECONDS, Seen, View

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GroupView"]

WINDOW_SECONDS = 60.0
"""Of the time line that is shown."""
MOST_SPANS = 400
"""Sent to the page for each group."""
TOLD = {
    "joined": "has its place",
    "rebalancing": "waits for the group",
    "left": "left",
    "stopped": "stopped, still a member for a while",
    "crashed": "crashed",
    "failed": "failed",
    "paused": "paused",
    "resumed": "goes on",
}
EVENTS_SHOWN = 6


class _Joining(Protocol):
    """What the view needs of a `chatkit.workshop.Member`."""

    name: str
    group: str
    assignor: str

    @property
    def state(self) -> str:
        """What it does now."""

    @property
    def history(self) -> Sequence[Noted]:
        """What happened to it, from old to new."""


class _Row(msgspec.Struct, frozen=True):
    """A partition."""

    topic: str
    partition: int
    owners: list[str]
    """Members that own it now: one, if all is well."""
    previous: str | None
    """Who owned it before, if that was another."""
    since: int | None
    """Since when it is so, ms since 1970 UTC."""
    unread: int
    """The longest time, in ms, in which nobody read it, of those within the time line."""


class _Group:
    """One group as it was at the last look; owned by the view's thread."""

    def __init__(self, members: Sequence[_Joining]) -> None:
        self.members = members
        self.rows: tuple[_Row, ...] = ()
        self.spans: tuple[Span, ...] = ()
        self.pauses: dict[Part, list[tuple[int, int]]] = {}
        self._tracks: dict[int, Track] = {}

    @property
    def name(self) -> str:
        """Of the group; empty if it has no members."""
        return self.members[0].group if self.members else ""

    @property
    def assignor(self) -> str:
        """How the partitions are split; empty if it has no members."""
        return self.members[0].assignor if self.members else ""

    def look(self, now: int, from_ms: int) -> None:
        spans: list[Span] = []
        for member in list(self.members):
            track = self._tracks.setdefault(id(member), Track(member.name))
            track.take(member.history)
            spans += track.spans
        self.spans = tuple(sorted(spans, key=lambda span: (span.part, span.begin)))
        self.pauses = dict(find_pauses(spans, now))
        parts = sorted({span.part for span in spans})
        self.rows = tuple(self._row(part, from_ms) for part in parts)

    def _row(self, part: Part, from_ms: int) -> _Row:
        spans = [span for span in self.spans if span.part == part]
        going = [span for span in spans if span.end is None]
        owners = sorted({span.member for span in going})
        others = [span for span in spans if span.member not in owners]
        previous = max(others, key=lambda span: span.end or 0, default=None)
        # A span begins anew where the owner waits or pauses; what counts is when it got it.
        lost = previous.end if previous is not None else None
        own = [span.begin for span in spans if span.member in owners and span.begin >= (lost or 0)]
        unread = [end - begin for begin, end in self.pauses.get(part, ()) if end >= from_ms]
        return _Row(
            part[0],
            part[1],
            owners,
            previous.member if previous is not None else None,
            min(own, default=lost),
            max(unread, default=0),
        )


class GroupView(View):
    """Shows which member owns which partition, what moved, and a time line of the rebalances.

    Thread-safe; who makes it closes it. It asks the members alone, never Kafka.

    Parameters
    ----------
    members : sequence of Member
        All of one group, in the order of their columns. A list may grow while it is shown.
    beside : sequence of Member, optional
        Those of another group, shown beside it on the same time line.
    window : float, default 60.0
        Seconds of the time line, over 0.
    seconds : float, default 0.2
        Between two looks, over 0.
    """

    _esm = script("group")

    def __init__(
        self,
        members: Sequence[_Joining],
        *,
        beside: Sequence[_Joining] | None = None,
        window: float = WINDOW_SECONDS,
        seconds: float = SECONDS,
    ) -> None:
        self._groups = [_Group(members)] + ([] if beside is None else [_Group(beside)])
        self._window_ms = int(window * 1000)
        names = " and ".join(group.name for group in self._groups if group.name)
        super().__init__(
            f"Who reads what in {names}" if names else "Who reads what", seconds=seconds
        )

    @property
    def frame(self) -> pd.DataFrame:
        """Who owns each partition.

        Returns
        -------
        pandas.DataFrame
            By group, topic and partition: ``group``, ``topic`` (str), ``partition`` (int64),
            ``owner``, ``previous`` (object: names, None if there is none), ``since``
            (datetime64[ms, UTC]), ``unread_seconds`` (float64: the longest time, of those within
            the time line, in which nobody read it).
        """
        import pandas as pd

        rows = [(group.name, row) for group in self._groups for row in group.rows]
        return pd.DataFrame(
            {
                "group": pd.Series([name for name, _ in rows], dtype="str"),
                "topic": pd.Series([row.topic for _, row in rows], dtype="str"),
                "partition": pd.Series([row.partition for _, row in rows], dtype="int64"),
                "owner": pd.Series(
                    [", ".join(row.owners) or None for _, row in rows], dtype="object"
                ),
                "previous": pd.Series([row.previous for _, row in rows], dtype="object"),
                "since": _times([row.since for _, row in rows]),
                "unread_seconds": pd.Series(
                    [row.unread / 1000 for _, row in rows], dtype="float64"
                ),
            }
        )

    @property
    def history(self) -> pd.DataFrame:
        """The time line, from its beginning.

        Returns
        -------
        pandas.DataFrame
            By group, topic, partition and time: ``group``, ``topic`` (str), ``partition`` (int64),
            ``member``, ``state`` (str: ``reading``, ``waiting``, ``paused``), ``begin``, ``end``
            (datetime64[ms, UTC], ``end`` missing where it goes on).
        """
        import pandas as pd

        rows = [(group.name, span) for group in self._groups for span in group.spans]
        return pd.DataFrame(
            {
                "group": pd.Series([name for name, _ in rows], dtype="str"),
                "topic": pd.Series([span.part[0] for _, span in rows], dtype="str"),
                "partition": pd.Series([span.part[1] for _, span in rows], dtype="int64"),
                "member": pd.Series([span.member for _, span in rows], dtype="str"),
                "state": pd.Series([span.state for _, span in rows], dtype="str"),
                "begin": _times([span.begin for _, span in rows]),
                "end": _times([span.end for _, span in rows]),
            }
        )

    def _look(self) -> Seen:
        now = now_ms()
        for group in self._groups:
            group.look(now, now - self._window_ms)
        content = {
            "now": now,
            "window": self._window_ms,
            "groups": [_content(group, now - self._window_ms) for group in self._groups],
        }
        return Seen(content, " ".join(map(_words, self._groups)))


def _times(values: list[int | None]) -> pd.Series[Any]:
    import pandas as pd

    return pd.to_datetime(pd.Series(values, dtype="Int64"), unit="ms", utc=True).astype(
        "datetime64[ms, UTC]"
    )


def _content(group: _Group, from_ms: int) -> dict[str, Any]:
    shown = [span for span in group.spans if span.end is None or span.end >= from_ms]
    events = sorted(
        (event.at_ms, member.name, event.kind)
        for member in list(group.members)
        for event in member.history[-200:]
        if event.kind in TOLD
    )[-EVENTS_SHOWN:]
    return {
        "name": group.name,
        "assignor": group.assignor,
        "members": [[member.name, member.state] for member in list(group.members)],
        "rows": msgspec.to_builtins(group.rows),
        "spans": [
            [*span.part, span.member, span.state, span.begin, span.end]
            for span in sorted(shown, key=lambda span: span.begin)[-MOST_SPANS:]
        ],
        "events": [[at, name, TOLD[kind]] for at, name, kind in events],
    }


def _words(group: _Group) -> str:
    if not group.members:
        return "There are no members yet."
    told = [f"Group {group.name}, assignor {group.assignor}:"]
    for member in list(group.members):
        owned = [str(row.partition) for row in group.rows if member.name in row.owners]
        what = f"owns {', '.join(owned)}" if owned else "owns nothing"
        told.append(f"{member.name} ({member.state}) {what};")
    nobody = [f"{row.topic} {row.partition}" for row in group.rows if not row.owners]
    doubled = [f"{row.topic} {row.partition}" for row in group.rows if len(row.owners) > 1]
    if nobody:
        told.append(f"nobody owns {', '.join(nobody)};")
    if doubled:
        told.append(f"more than one owns {', '.join(doubled)};")
    return " ".join(told).removesuffix(";").removesuffix(":") + "."
