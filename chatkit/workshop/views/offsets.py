"""How far a group has read: where each log begins and ends, what is committed, and the lag.

Positions are the members' own, where members of this process are given; Kafka knows none. Rates are
of the last seconds, and so is the time that is left.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from chatkit.errors import InputError
from chatkit.workshop.views.corner import Corner, locate_group
from chatkit.workshop.views.figures import SOURCE, Figures
from chatkit.workshop.views.frontend import script
from chatkit.workshop.views.ticking import SECONDS, Seen, View

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Moment", "OffsetView", "Pace", "pace"]

WINDOW_SECONDS = 60.0
"""Of lag over time that is shown."""
RATE_SECONDS = 8.0
"""Over which rates are taken: members commit now and then, not all the time."""
LEAST_SECONDS = 1.0
"""Before there are rates."""


class _Partition(msgspec.Struct, frozen=True):
    """How far a partition is read."""

    topic: str
    partition: int
    start: int
    committed: int | None
    position: int | None
    end: int
    lag: int | None


class Moment(msgspec.Struct, frozen=True):
    """The sums over all partitions, at one time."""

    at: float
    """Seconds, by a clock that only goes on."""
    read: int
    """Committed offsets."""
    written: int
    """Ends of the logs."""
    lag: int


class Pace(msgspec.Struct, frozen=True):
    """How quickly a group reads, and what that leads to."""

    read: float | None
    """Records a second that were committed; None if it is too early to tell."""
    written: float | None
    """Records a second that came in; None if it is too early to tell."""
    left: float | None
    """Seconds until nothing is left to read, if all goes on like this; None: never, or unknown."""


def pace(moments: Sequence[Moment]) -> Pace:
    """Return rates from the first to the last of some moments. Pure.

    Parameters
    ----------
    moments : sequence
        From old to new, since the offsets were last set back.
    """
    seconds = moments[-1].at - moments[0].at if moments else 0.0
    lag = moments[-1].lag if moments else 0
    if seconds < LEAST_SECONDS:
        return Pace(None, None, 0.0 if moments and lag == 0 else None)
    read = (moments[-1].read - moments[0].read) / seconds
    written = (moments[-1].written - moments[0].written) / seconds
    if lag == 0:
        return Pace(read, written, 0.0)
    return Pace(read, written, lag / (read - written) if read - written > 1e-9 else None)


class _Reading(Protocol):
    """What the view needs of a `chatkit.workshop.Member`."""

    @property
    def positions(self) -> Mapping[tuple[str, int], int]:
        """Offset of the next record of each partition that it owns."""


class OffsetView(View):
    """Shows a ruler for each partition that a group reads, and its lag over time.

    Each ruler has the log's start, what is committed, the position of the member that reads it and
    the log's end. Thread-safe; who makes it closes it. The group need not be there yet.

    Parameters
    ----------
    learner : Learner or Settings
        Whose group; with settings, where Kafka is.
    group : str
        Name of the group: of a learner the short one, such as ``readers``; with settings the whole.
    members : sequence of Member, default ()
        Those whose positions are to be shown; Kafka itself knows committed offsets alone.
    window : float, default 60.0
        Seconds of lag over time that are shown, over 0.
    seconds : float, default 0.2
        Between two looks, over 0.

    Raises
    ------
    InputError
        ``window`` is no time.
    """

    _esm = script("offsets")

    def __init__(
        self,
        learner: Corner,
        group: str,
        *,
        members: Sequence[_Reading] = (),
        window: float = WINDOW_SECONDS,
        seconds: float = SECONDS,
    ) -> None:
        if not window > 0:
            raise InputError(f"window must be over 0, not {window}")
        self._settings, self._group = locate_group(learner, group)
        self._members = tuple(members)
        self._window = window
        self._figures = Figures(self._settings)
        self._partitions: tuple[_Partition, ...] = ()
        self._moments: tuple[Moment, ...] = ()
        self._since = float("-inf")
        super().__init__(f"Offsets of group {self._group}", seconds=seconds)

    @property
    def frame(self) -> pd.DataFrame:
        """How far each partition is read.

        Returns
        -------
        pandas.DataFrame
            By topic and partition: ``topic`` (str), ``partition``, ``log_start``, ``log_end``
            (int64), ``committed``, ``position``, ``lag`` (Int64, missing where there is none),
            ``source`` (str: the calls that told the offsets).
        """
        import pandas as pd

        rows = self._partitions

        def column(name: str, dtype: Any) -> pd.Series[Any]:
            values: pd.Series[Any] = pd.Series([getattr(row, name) for row in rows], dtype=dtype)
            return values

        return pd.DataFrame(
            {
                "topic": column("topic", "str"),
                "partition": column("partition", "int64"),
                "log_start": column("start", "int64"),
                "committed": column("committed", "Int64"),
                "position": column("position", "Int64"),
                "log_end": column("end", "int64"),
                "lag": column("lag", "Int64"),
                "source": pd.Series([SOURCE] * len(rows), dtype="str"),
            }
        )

    @property
    def history(self) -> pd.DataFrame:
        """The lag over the window's time.

        Returns
        -------
        pandas.DataFrame
            From old to new: ``seconds_ago`` (float64), ``lag``, ``committed``, ``log_end`` (int64,
            sums over all partitions).
        """
        import pandas as pd

        moments = self._moments
        now = moments[-1].at if moments else 0.0
        return pd.DataFrame(
            {
                "seconds_ago": pd.Series([now - one.at for one in moments], dtype="float64"),
                "lag": pd.Series([one.lag for one in moments], dtype="int64"),
                "committed": pd.Series([one.read for one in moments], dtype="int64"),
                "log_end": pd.Series([one.written for one in moments], dtype="int64"),
            }
        )

    @property
    def pace(self) -> Pace:
        """How quickly the group reads, over the last seconds."""
        moments = self._moments
        return pace([one for one in moments if one.at >= self._rates_from(moments)])

    def _rates_from(self, moments: Sequence[Moment]) -> float:
        return max(self._since, moments[-1].at - RATE_SECONDS) if moments else 0.0

    def _look(self) -> Seen:
        positions: dict[tuple[str, int], int] = {}
        for member in self._members:
            positions.update(member.positions)
        before = {(one.topic, one.partition): one for one in self._partitions}
        self._partitions = tuple(
            _Partition(
                topic=one.topic,
                partition=one.partition,
                start=one.start,
                committed=one.committed,
                position=positions.get((one.topic, one.partition)),
                end=one.end,
                lag=one.lag,
            )
            for one in self._figures.offsets(self._group, positions)
        )
        self._note(before)
        return Seen(self._content(), self._words())

    def _note(self, before: Mapping[tuple[str, int], _Partition]) -> None:
        """Add a moment; begin the rates anew where offsets did not just go on."""
        now = time.monotonic()
        known = [one for one in self._partitions if one.committed is not None]
        if {(one.topic, one.partition) for one in known} != {
            key for key, one in before.items() if one.committed is not None
        } or any(_went_back(before[one.topic, one.partition], one) for one in known):
            self._since = now
        moment = Moment(
            at=now,
            read=sum(one.committed or 0 for one in known),
            written=sum(one.end for one in known),
            lag=sum(one.lag or 0 for one in known),
        )
        kept = [one for one in self._moments if one.at >= now - self._window]
        self._moments = (*kept, moment)

    def _content(self) -> dict[str, Any]:
        now = self._moments[-1].at
        return {
            "partitions": msgspec.to_builtins(self._partitions),
            "lag": [[round(now - one.at, 1), one.lag] for one in self._moments],
            "window": self._window,
            "pace": msgspec.to_builtins(self.pace),
            "source": SOURCE,
            "members": bool(self._members),
        }

    def _words(self) -> str:
        if not self._partitions:
            return f"Group {self._group} has committed nothing yet."
        lag = self._moments[-1].lag
        told = [f"Group {self._group}: lag {lag}, {_pace_text(self.pace, lag)}."]
        return " ".join([*told, *map(_partition_text, self._partitions)])

    def _end(self) -> None:
        self._figures.close()


def _went_back(before: _Partition, after: _Partition) -> bool:
    return (after.committed or 0) < (before.committed or 0) or after.end < before.end


def _pace_text(paced: Pace, lag: int) -> str:
    if lag == 0:
        return "all is read"
    if paced.read is None or paced.written is None:
        return "too early to tell how quickly it reads"
    rates = f"{paced.read:.1f} records a second read, {paced.written:.1f} written"
    if paced.left is None:
        return f"{rates}, so that the lag does not shrink"
    return f"{rates}, time left {paced.left:.0f} s"


def _partition_text(one: _Partition) -> str:
    log = f"{one.topic} {one.partition}: log {one.start} to {one.end}"
    if one.committed is None:
        return f"{log}, nothing committed."
    told = f"{log}, committed {one.committed}, lag {one.lag}"
    if one.committed < one.start:
        told += f", {one.start - one.committed} were deleted before they were read"
    if one.position is not None:
        told += f", position {one.position}"
    return f"{told}."
