"""The explorer: what a filter bar asks for, as numbers, pictures, tables and the code for them.

Loading and counting happen on a thread of its own, so that no cell waits. It touches MongoDB
through the history alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go

from chatkit import history, stats
from chatkit.blocks import BLOCKS, Block
from chatkit.errors import ChatkitError, InputError
from chatkit.query import Query, parse
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.widgets.contexts import outside_of_cells
from chatkit.widgets.explorer.filter_bar import FilterBar
from chatkit.widgets.explorer.pictures import draw
from chatkit.widgets.explorer.table import TableView
from chatkit.widgets.explorer.work import Worker

__all__ = ["Explorer"]

LIMIT = 200_000
"""Messages that are loaded unless more are asked for."""


class Explorer(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """All statistics of a history, below one filter bar. Display it as the last line of a cell.

    The newest messages are loaded once; the filter bar chooses among them. Thread-safe as widgets
    are. ``close`` ends its thread, and the store's connection if it made that.

    Parameters
    ----------
    store : MessageStore, optional
        The archive; stays open. Default: one of its own, by the settings.
    frame : pandas.DataFrame, optional
        Look at this history instead, which `chatkit.history.load` returned.
    query : str, default ""
        What stands in the filter bar at first, in the language of `chatkit.query`.
    zone : str, default "UTC"
        Time zone of days, hours and dates, a name of the IANA database.
    limit : int, default 200,000
        Load at most this many of the newest messages.
    settings : Settings, optional
        Of the store that it makes. Default: ``Settings()``.
    """

    def __init__(
        self,
        store: MessageStore | None = None,
        *,
        frame: pd.DataFrame | None = None,
        query: str = "",
        zone: str = "UTC",
        limit: int = LIMIT,
        settings: Settings | None = None,
    ) -> None:
        parse(query)
        self._owns_store = store is None and frame is None
        self._store = store if store is not None or frame is not None else MessageStore(settings)
        self._limit = limit
        self._history = frame
        self._reactions: pd.DataFrame | None = None
        self._shown: pd.DataFrame | None = None
        self._table: pd.DataFrame | None = None
        self._zone = zone
        self._me = self._store.user if self._store is not None else Settings().user
        self._context = outside_of_cells()
        self._context.run(self._build, query, zone)
        self._worker = Worker(self._fail)
        self.refresh()

    def _build(self, query: str, zone: str) -> None:
        self._bar = FilterBar(self.refresh, query=query, zone=zone)
        self._status = widgets.Label()
        self._progress = widgets.IntProgress(layout=widgets.Layout(width="10em", display="none"))
        self._cancel = widgets.Button(
            description="Cancel", layout=widgets.Layout(width="auto", display="none")
        )
        self._cancel.on_click(lambda _: self.cancel())
        self._again = widgets.Button(
            description="Load again",
            tooltip="Load what was archived since",
            layout=widgets.Layout(width="auto", display="none" if self._store is None else ""),
        )
        self._again.on_click(lambda _: self.reload())
        self._summary = TableView()
        self._choice = widgets.Select(
            options=[(block.title, block) for block in BLOCKS],
            rows=len(BLOCKS),
            layout=widgets.Layout(width="17em", flex="none"),
        )
        self._choice.observe(lambda _: self._ask(self._show_block), "value")
        self._figure = go.FigureWidget()
        self._rows = TableView()
        self._code = widgets.Textarea(
            disabled=False, layout=widgets.Layout(width="100%", height="9em")
        )
        self._about = widgets.Label()
        views = widgets.Tab(
            [self._figure, self._rows, self._code], titles=["Picture", "Table", "Code"]
        )
        views.layout.flex = "1 1 auto"
        views.layout.min_width = "0"
        state = widgets.HBox([self._status, self._progress, self._cancel, self._again])
        state.layout.align_items = "center"
        super().__init__(
            [
                self._bar,
                state,
                self._summary,
                widgets.HBox(
                    [self._choice, widgets.VBox([self._about, views], layout=views.layout)]
                ),
            ]
        )

    @property
    def frame(self) -> pd.DataFrame | None:
        """The messages that the filter bar chose, as all statistics see them; None at first."""
        return self._shown

    @property
    def table(self) -> pd.DataFrame | None:
        """The statistic that is shown; None at first."""
        return self._table

    def refresh(self) -> None:
        """Look again at what the filter bar asks for; returns at once."""
        self._ask(self._filter)

    def reload(self) -> None:
        """Load the history again; returns at once."""
        self._ask(self._load_again)

    def cancel(self) -> None:
        """Stop what takes long; what was shown stays."""
        self._worker.cancel()
        self._say("Cancelled")

    def close(self) -> None:
        """Take it off the page, and end its thread; idempotent."""
        self._worker.close()
        if self._owns_store and self._store is not None:
            self._store.close()
        super().close()

    def _ask(self, work: Callable[[], None]) -> None:
        self._worker.do(lambda: self._context.run(work))

    def _fail(self, error: Exception) -> None:
        text = str(error) if isinstance(error, ChatkitError) else repr(error)
        self._context.run(self._say, text)

    def _say(self, text: str, *, busy: bool = False) -> None:
        self._status.value = text
        for control in (self._progress, self._cancel):
            control.layout.display = "" if busy else "none"

    def _load_again(self) -> None:
        if self._store is not None:
            self._history = None
        self._filter()

    def _load(self) -> pd.DataFrame:
        """Load the history in parts, so that it can be cancelled."""
        assert self._store is not None
        self._say("Loading the history …", busy=True)
        with self._store.answering():
            total = min(self._limit, self._store.messages.estimated_document_count())
        self._progress.max, self._progress.value = max(1, total), 0
        parts = []
        for part in history.iter_frames(self._store, limit=self._limit):
            self._worker.check()
            parts.append(part)
            self._progress.value += len(part)
        loaded = pd.concat(parts, ignore_index=True) if parts else history.frame([])
        whole = len(loaded) < self._limit
        since = "" if whole else f"after:{loaded['placed_at'].iloc[0].date()}"
        self._reactions = history.load_reactions(self._store, since)
        return loaded

    def _filter(self) -> None:
        query, zone = self._bar.query, self._bar.zone
        if self._history is None:
            self._history = self._load()
        whole = self._history
        shown = whole[query.mask(whole, me=self._me, zone=zone)] if query else whole
        self._worker.check()
        dates = ["sent_at", "placed_at", "archived_at", "edited_at", "deleted_at"]
        shown = shown.assign(**{name: shown[name].dt.tz_convert(zone) for name in dates})
        self._shown, self._zone, self._query = shown, zone, query
        self._bar.offer(whole["channel"].value_counts().index, whole["author"].value_counts().index)
        self._summary.show(stats.summary(shown), tiles=True)
        newest = "" if len(whole) < self._limit else f" (the newest {len(whole):,} are loaded)"
        self._say(f"{len(shown):,} of {len(whole):,} messages{newest}")
        self._show_block()

    def _show_block(self) -> None:
        if self._shown is None:
            return
        block: Block = self._choice.value
        frame = self._shown
        if block.of_reactions:
            frame = self._reactions_of(frame)
        table = block.table(frame)
        self._worker.check()
        self._table = table
        self._about.value = block.about
        self._code.value = _code(block, self._query, self._zone)
        self._rows.show(table)
        draw(self._figure, block.figure(table))

    def _reactions_of(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self._reactions is None:
            raise InputError("Reactions are not in a frame of messages: give the explorer a store")
        return self._reactions[self._reactions["id"].isin(frame["id"])]


def _code(block: Block, query: Query, zone: str) -> str:
    """Return the lines that make what a block shows."""
    options: dict[str, Any] = {"zone": zone} if zone != "UTC" else {}
    asked = "".join(f", {name}={value!r}" for name, value in options.items())
    text = repr(str(query)) if query else '""'
    load = "load_reactions" if block.of_reactions else "load"
    return (
        "from chatkit import MessageStore, history, plots, stats\n\n"
        "with MessageStore() as store:\n"
        f"    frame = history.{load}(store, {text}{asked})\n"
        f"table = {block.code()}\n"
        f"plots.{block.picture.__name__}(table)"
    )
