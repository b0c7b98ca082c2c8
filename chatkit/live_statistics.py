"""Statistics of what is being written now: the last minutes of a room as a frame, and tables of it.

It reads the stream through the room alone, edits and deletions too, so that its tables are those
that the archive gives for the same minutes. It knows nothing of widgets or plots.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import pandas as pd

from chatkit import history, stats
from chatkit.errors import InputError
from chatkit.room import ChatRoom
from chatkit.timeline import Row

__all__ = ["LiveStatistics"]

MINUTE_MS = 60_000


class LiveStatistics:
    """Tables over a window that ends now and moves on.

    Its methods take what the room has at that moment, and never wait, but for `fill`. Thread-safe;
    nothing to close: who made the room closes it.

    Parameters
    ----------
    room : ChatRoom
        Where to listen; open.
    channels : sequence of str, optional
        Which channels. Default: all that the room knows, also those that come later.
    minutes : float, default 15.0
        Length of the window, over 0.
    clock : callable, default time.time
        Tells the present, in seconds since 1970 UTC.

    Raises
    ------
    InputError
        The window has no length.
    """

    def __init__(
        self,
        room: ChatRoom,
        channels: Sequence[str] | None = None,
        *,
        minutes: float = 15.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not minutes > 0:
            raise InputError(f"minutes must be over 0, not {minutes}")
        self._room = room
        self._channels = None if channels is None else tuple(channels)
        self._filled: set[str] = set()
        self.minutes = minutes
        """Length of the window."""
        self._clock = clock

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that it counts, by name."""
        return tuple(sorted(self._room.channels() if self._channels is None else self._channels))

    def __repr__(self) -> str:
        return f"LiveStatistics({len(self.channels)} channels, minutes={self.minutes:g})"

    def fill(self, timeout: float = 30.0) -> Self:
        """Join channels that are new to it, and load what the window holds of the time before.

        Parameters
        ----------
        timeout : float, default 30.0
            Seconds to wait for each answer.

        Raises
        ------
        ServiceError
            Kafka or MongoDB did not answer.
        TimeoutError
            They took longer.
        """
        new = [channel for channel in self.channels if channel not in self._filled]
        joining = [self._room.join(channel) for channel in new]
        for joined in joining:
            joined.result(timeout)
        since, _ = self._span()
        for channel in new:
            while self._begins_after(channel, since) and self._room.has_older(channel):
                if not self._room.load_older(channel).result(timeout):
                    break
            for row in self._room.rows(channel):
                if row.kind == "skipped" and row.placed_ms >= since:
                    while self._room.row(channel, row.id) is not None:
                        if not self._room.load_skipped(channel, row.id).result(timeout):
                            break
            self._filled.add(channel)
        return self

    def _span(self) -> tuple[int, int]:
        """Return the first and last ms of the window."""
        now = int(self._clock() * 1000)
        return now - int(self.minutes * MINUTE_MS) + 1, now

    def _begins_after(self, channel: str, since: int) -> bool:
        placed = [row.placed_ms for row in self._room.rows(channel) if row.kind == "message"]
        return not placed or placed[0] >= since

    def frame(self) -> pd.DataFrame:
        """Return the window's messages, as `chatkit.history.load` returns messages."""
        return self._frame(*self._span())

    def _frame(self, since: int, now: int) -> pd.DataFrame:
        rows: list[Row] = []
        for channel in self.channels:
            rows += [row for row in self._room.rows(channel) if since <= row.placed_ms <= now]
        return history.frame(rows)

    def per_minute(self) -> pd.DataFrame:
        """Return the messages of each minute and channel, silent minutes too.

        Returns
        -------
        pandas.DataFrame
            By minute and then by channel: ``minute`` (datetime64[ms, UTC], when it began; the last
            ends now), ``channel`` (str), ``messages`` (int64). Minutes are counted back from now,
            so that each is whole, but for the first, where the window's length is no whole number.
        """
        since, now = self._span()
        frame = self._frame(since, now)
        ago = (now - frame["placed_at"].astype("int64").to_numpy()) // MINUTE_MS
        length = int(np.ceil(self.minutes))
        names = list(self.channels)
        codes = pd.Categorical(frame["channel"], categories=names).codes
        counts = np.zeros((length, len(names)), dtype="int64")
        np.add.at(counts, (length - 1 - ago, codes), 1)
        begins = now + 1 - MINUTE_MS * np.arange(length, 0, -1)
        minutes = pd.Series(np.repeat(begins, len(names))).astype("datetime64[ms]")
        return pd.DataFrame(
            {
                "minute": minutes.dt.tz_localize("UTC"),
                "channel": pd.Series(np.tile(np.array(names, dtype=object), length), dtype="str"),
                "messages": counts.ravel(),
            }
        )

    def people(self) -> pd.DataFrame:
        """Return who wrote in the window, as `chatkit.stats.per_author` does."""
        return stats.per_author(self.frame())

    def words(self, *, top: int = 20) -> pd.DataFrame:
        """Return the window's most used words, as `chatkit.stats.words` does.

        Parameters
        ----------
        top : int, default 20
            How many words.
        """
        return stats.words(self.frame()).head(top)
