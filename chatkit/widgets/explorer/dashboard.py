"""The live dashboard: who writes what, and how much, in the minutes that end now."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import ipywidgets as widgets
import plotly.graph_objects as go

from chatkit import plots
from chatkit.errors import ChatkitError
from chatkit.live_statistics import LiveStatistics
from chatkit.room import ChatRoom
from chatkit.widgets.contexts import outside_of_cells
from chatkit.widgets.explorer.pictures import draw
from chatkit.widgets.explorer.table import TableView

__all__ = ["LiveDashboard"]

SECONDS = 1.0
"""Between two pictures."""


class LiveDashboard(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Messages a minute, people and words of the last minutes, moving by itself.

    Display it as the last line of a cell. ``close`` ends its thread, and the room if it made that.

    Parameters
    ----------
    room : ChatRoom, optional
        Where to listen; stays open. Default: one of its own, by the settings.
    channels : sequence of str, optional
        Which channels. Default: all that there are.
    minutes : float, default 15.0
        Length of the window, over 0.

    Raises
    ------
    InputError
        The window has no length.
    """

    def __init__(
        self,
        room: ChatRoom | None = None,
        channels: Sequence[str] | None = None,
        *,
        minutes: float = 15.0,
    ) -> None:
        self._owns_room = room is None
        self._room = room or ChatRoom().open()
        self.statistics = LiveStatistics(self._room, channels, minutes=minutes)
        """What it shows, as frames."""
        self._context = outside_of_cells()
        self._closing = threading.Event()
        self._context.run(self._build)
        self._thread = threading.Thread(target=self._run, name="chatkit-dashboard", daemon=True)
        self._thread.start()

    def _build(self) -> None:
        self._status = widgets.Label("Reading …")
        self._figure = go.FigureWidget()
        self._people, self._words = TableView(), TableView()
        super().__init__([self._status, self._figure, widgets.HBox([self._people, self._words])])

    def close(self) -> None:
        """Take it off the page, and end its thread; idempotent."""
        self._closing.set()
        if self._thread is not threading.current_thread():
            self._thread.join(5)
        if self._owns_room:
            self._room.close()
        super().close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.statistics.fill()
                self._context.run(self._show)
            except (ChatkitError, TimeoutError) as error:
                self._context.run(setattr, self._status, "value", f"{error or 'No answer in time'}")
            except Exception as error:
                self._context.run(setattr, self._status, "value", repr(error))
                return
            self._closing.wait(SECONDS)

    def _show(self) -> None:
        minutes = self.statistics.per_minute()
        draw(self._figure, plots.messages_per_minute(minutes))
        people = self.statistics.people()
        self._people.show(people[["author", "messages", "share", "channels", "last_at"]])
        self._words.show(self.statistics.words())
        self._status.value = (
            f"{minutes['messages'].sum():,} messages of {len(people):,} people "
            f"in the last {self.statistics.minutes:g} minutes"
        )
