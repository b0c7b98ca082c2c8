"""ChatPanel: the chat as a widget.

The browser draws (panel.js and its neighbours); this side binds it to a room. No text of anybody's
is kept in a trait, as JupyterLab may save traits into the notebook: it all goes through the feed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, ClassVar

import anywidget
import msgspec
from IPython import get_ipython

from chatkit.commands import commands
from chatkit.errors import ChannelNotFoundError, ChatkitError, InputError, ServiceError
from chatkit.message import Message
from chatkit.room import (
    Change,
    ChannelReset,
    ChannelsChanged,
    ChatRoom,
    OverviewChanged,
    PeopleChanged,
    ProblemRaised,
    RoomStatus,
    RowsChanged,
    StatusChanged,
)
from chatkit.settings import Settings, remember_name
from chatkit.widgets import magics
from chatkit.widgets.contexts import outside_of_cells
from chatkit.widgets.feed import Feed
from chatkit.widgets.frontend import ESM
from chatkit.widgets.lines import Lines
from chatkit.widgets.service import Answer, Service
from chatkit.widgets.wire import (
    Batch,
    Hello,
    LeaveChannel,
    Open,
    Phase,
    Rename,
    Request,
    Status,
    View,
    Word,
    encode,
    read_request,
)

__all__ = ["ChatPanel"]

OPENING = Phase(name="opening")
NOTHING = Answer()
HEIGHT = "40em"
REMEMBERED = 1000
"""Requests whose answers are kept for pages that ask again."""
KEPT_BYTES = 64 * 1024
"""Of an answer; what is larger is worked out again."""


def _explain(error: BaseException) -> str:
    """Return an error as a sentence for people."""
    return str(error) if isinstance(error, ChatkitError) else f"{type(error).__name__}: {error}"


def _error_of(done: Future[Any]) -> BaseException | None:
    return CancelledError("The room was closed") if done.cancelled() else done.exception()


def _to_status(status: RoomStatus) -> Status:
    # What a room starts with is no problem yet.
    problem = "" if status.kafka == RoomStatus().kafka else status.kafka
    return Status(kafka=problem, mongo=status.mongo, connected=status.connected)


def _running_cell() -> tuple[str, str]:
    """Return the id of the running cell and of this run of it; empty where there is none."""
    shell = get_ipython()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = parent.get("metadata", {}).get("cellId", "")
    return str(cell), str(parent.get("header", {}).get("msg_id", ""))


class ChatPanel(anywidget.AnyWidget):
    """A chat in a notebook: channels, history and live messages, and a box to write in.

    Display it as the last line of a cell; ``panel.layout.height`` is how high it is. Running the
    same cell again closes the panel that it made before. All methods return at once and may be
    called from any thread.

    Parameters
    ----------
    room : ChatRoom, optional
        An open room to show, which stays the caller's to close. Default: a room of the panel's
        own, opened now and closed with it.
    channel : str, default "general"
        The channel to show first.
    settings : Settings, optional
        Where Kafka and MongoDB are, for a room of its own. Default: from the environment.
    user : str, optional
        Whom to write as, for a room of its own. Default: from the settings.

    Raises
    ------
    SettingsError
        A setting for a room of its own is wrong.
    InputError
        The user's name can't be the author of a message.
    """

    _closed = True  # until it is made
    _guessed = False
    _esm = ESM
    _by_cell: ClassVar[dict[str, tuple[str, list[ChatPanel]]]] = {}
    """Cell id -> the run that made panels, and those of them that may be open."""

    def __init__(
        self,
        room: ChatRoom | None = None,
        *,
        channel: str = "general",
        settings: Settings | None = None,
        user: str | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._owns_room = room is None
        if room is None:
            settings = settings or Settings()
            if user is None:
                self._guessed = settings.user_is_guess
                # It may have been chosen since these settings were made.
                chosen = "user" in settings.model_fields_set or self._guessed
                user = settings.user if chosen else Settings().user
            room = ChatRoom(settings, user=user)
        self._settings = settings
        self._room = room
        self._channel = channel
        self._phases: dict[str, Phase] = {}
        self._answers: dict[tuple[str, int], tuple[str, list[bytes]] | None] = {}
        self._lines = Lines(self._room)
        self._service = Service(self._room, self._lines)
        context = outside_of_cells()
        send = super().send
        self._feed = Feed(
            lambda content, buffers: context.run(send, content, buffers),
            self._describe,
            self._lines.lines,
            self._snapshot,
        )
        outside_of_cells().run(super().__init__, layout={"height": HEIGHT})
        self._replace_former()
        self.on_msg(self._on_message)
        self._feed.start()
        if self._owns_room:
            self._room.open()
        self._stop_observing = self._room.observe(self._on_change)
        self._closed = False
        magics.use(self)
        self._join(channel)

    def __repr__(self) -> str:
        """Return what a notebook shows where there is no kernel: nothing of the chat."""
        return "ChatPanel (run this cell to open the chat)"

    @property
    def room(self) -> ChatRoom:
        """The room that the panel shows."""
        return self._room

    @property
    def channel(self) -> str:
        """The channel that was chosen last, in the browser or by :meth:`select`."""
        return self._channel

    def select(self, channel: str) -> None:
        """Show a channel on all pages.

        Parameters
        ----------
        channel : str
            Name of the channel; the panel says if there is none of that name.
        """
        self._channel = channel
        self._join(channel)
        self._feed.put_select(channel)

    def send(self, body: str) -> Message:  # type: ignore[override, unused-ignore]
        """Send a text to the chosen channel, as if written in the panel.

        Parameters
        ----------
        body : str
            Plain text, up to 16 KiB of UTF-8.

        Returns
        -------
        Message
            The message on its way.

        Raises
        ------
        InputError
            The text can't be sent as it is; the error says why.
        """
        return self._room.send(self._channel, body)

    def close(self) -> None:
        """Close the panel in all pages, its room if it made it, and its threads; safe to repeat."""
        if self._closed:  # also what was never made: its lock is not there
            return
        with self._lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        self._forget()
        self._stop_observing()
        self._feed.stop()
        if self._owns_room:
            self._room.close()
        layout = self.layout
        super().close()
        layout.close()

    def _rename(self, name: str) -> None:
        """Write under another name from now on, in this panel and in those to come."""
        if not self._owns_room or self._settings is None:
            raise InputError(
                "This panel shows a room that was made elsewhere: make that with another user"
            )
        settings = self._settings.replace(user=name)
        room = ChatRoom(settings).open()
        with self._lock:
            former, self._room = self._room, room
            self._settings, self._guessed = settings, False
            channels = list(self._phases)
            self._phases.clear()
        self._stop_observing()
        self._lines.room = self._service.room = room
        self._stop_observing = room.observe(self._on_change)
        for channel in channels:
            self._join(channel)
        self._feed.skip()
        former.close()
        remember_name(name)

    def _replace_former(self) -> None:
        """Close the panels that an earlier run of this cell made."""
        cell, run = _running_cell()
        if not cell:
            return
        former_run, panels = self._by_cell.get(cell, ("", []))
        if former_run != run:
            for panel in panels:
                panel.close()
            panels = []
        self._by_cell[cell] = (run, [*panels, self])

    def _forget(self) -> None:
        for cell, (run, panels) in list(self._by_cell.items()):
            if self in panels:
                self._by_cell[cell] = (run, [panel for panel in panels if panel is not self])

    # What the room says, on its threads.

    def _on_change(self, change: Change) -> None:
        match change:
            case RowsChanged(channel=channel, rows=rows, gone=gone):
                if channel in self._phases:
                    self._feed.put_rows(channel, rows, gone)
            case ChannelReset(channel=channel):
                if channel in self._phases:
                    self._feed.put_reset(channel)
            case OverviewChanged(channels=summaries):
                self._feed.put_channels(summaries)
                self._feed.put_muted(sorted(self._room.muted_people()))
            case PeopleChanged(people=people):
                self._feed.put_people(people)
            case ProblemRaised(text=text):
                self._feed.put_problem(text)
            case ChannelsChanged(channels=channels):
                self._join_again(lambda name, phase: phase.missing and name in channels)
            case StatusChanged(status=status):
                self._feed.put_status(_to_status(status))
                if status.connected:
                    self._join_again(lambda _name, phase: phase.passing)

    def _join(self, channel: str) -> None:
        """Begin to show a channel, unless it is shown or about to be."""
        with self._lock:
            known = self._phases.get(channel)
            if known is not None and known.name != "failed":
                return
            self._phases[channel] = OPENING
        self._feed.put_rows(channel)
        try:
            future = self._room.join(channel, member=True)
        except (ChatkitError, RuntimeError) as error:
            self._end_join(channel, error)
            return
        if future.done():  # somebody joined the room to it before, and its rows were told then
            self._feed.put_rows(channel, self._room.rows(channel))
        future.add_done_callback(lambda done: self._end_join(channel, _error_of(done)))

    def _end_join(self, channel: str, error: BaseException | None) -> None:
        phase = Phase(name="open")
        if error is not None:
            phase = Phase(
                name="failed",
                reason=_explain(error),
                missing=isinstance(error, ChannelNotFoundError),
                passing=isinstance(error, ServiceError),
            )
        with self._lock:
            self._phases[channel] = phase
        self._feed.put_rows(channel)

    def _join_again(self, hopeful: Callable[[str, Phase], bool]) -> None:
        """Join what could not be joined in worse times."""
        with self._lock:
            channels = [name for name, phase in self._phases.items() if hopeful(name, phase)]
        for channel in channels:
            self._join(channel)

    # What the feed asks, on its thread.

    def _describe(self, channel: str) -> View:
        phase = self._phases.get(channel, OPENING)
        return View(
            channel=channel,
            phase=phase,
            older=phase.name == "open" and self._room.has_older(channel),
            mark=self._room.read_mark(channel),
        )

    def _snapshot(self) -> Batch:
        views = [
            msgspec.structs.replace(
                self._describe(channel),
                reset=True,
                rows=self._lines.lines(self._room.rows(channel)),
            )
            for channel in list(self._phases)
        ]
        return Batch(
            user=self._room.user,
            guessed=self._guessed,
            channels=list(self._room.overview()),
            people=list(self._room.people()),
            muted=sorted(self._room.muted_people()),
            commands=self._words(),
            status=_to_status(self._room.status),
            select=self._channel,
            views=views,
        )

    # What a page asks, on the kernel's main thread or a subshell's.

    def _words(self) -> list[Word]:
        return [
            Word(name, f"{usage} {about}".strip()) for name, usage, about in commands(self._room)
        ]

    def _on_message(self, _widget: Any, content: Any, buffers: Any) -> None:
        client, ref = "", 0
        try:
            request = read_request(content)
            client, ref = request.client, request.ref
            if isinstance(request, Hello) or self._is_first(client, ref):
                self._handle(request, buffers or [])
        except ChatkitError as error:
            self._reply(client, ref, str(error))
        except Exception as error:
            self._reply(client, ref, _explain(error))
            self._feed.put_problem(f"The panel could not do that. {_explain(error)}")

    def _is_first(self, client: str, ref: int) -> bool:
        """Return whether a request is new; one that came before is answered as it was then."""
        with self._lock:
            known = (client, ref) in self._answers
            answer = self._answers.setdefault((client, ref), None)
            while len(self._answers) > REMEMBERED:
                del self._answers[next(iter(self._answers))]
        if answer is not None:
            error, buffers = answer
            self._feed.put_answer(client, ref, error, buffers=buffers)
        return not known

    def _reply(self, client: str, ref: int, error: str = "", answer: Answer = NOTHING) -> None:
        buffers = [] if answer.data is None else [encode(answer.data)]
        buffers += [] if answer.file is None else [answer.file]
        with self._lock:
            if sum(map(len, buffers)) <= KEPT_BYTES:
                self._answers[client, ref] = error, buffers
            else:
                self._answers.pop((client, ref), None)
        self._feed.put_answer(client, ref, error, buffers=buffers)

    def _handle(self, request: Request, files: list[bytes]) -> None:
        """Do what a page asks; it is answered now, or when what it began is done."""
        done: Answer | Future[Any] = NOTHING
        match request:
            case Hello():
                self._feed.put_hello(request.client, request.last)
            case Open():
                self._channel = request.channel
                self._join(request.channel)  # how it goes is told to all pages
            case LeaveChannel():
                self._room.leave(request.channel)
                self._phases.pop(request.channel, None)
            case Rename():
                self._rename(request.name)
            case _:
                done = self._service.do(request, files)
        if isinstance(done, Answer):
            self._reply(request.client, request.ref, answer=done)
        else:
            done.add_done_callback(lambda future: self._answer(request, future))

    def _answer(self, request: Request, done: Future[Any]) -> None:
        error = _error_of(done)
        if error is not None:
            self._reply(request.client, request.ref, _explain(error))
            return
        result = done.result()
        answer = result if isinstance(result, Answer) else NOTHING
        self._reply(request.client, request.ref, answer=answer)
