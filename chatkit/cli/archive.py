"""The command archive: one member of the archive group, until it is told to stop."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import console, one_line, quiet_logs, say
from chatkit.errors import ServiceError
from chatkit.wording import counted

if TYPE_CHECKING:
    from rich.text import Text

    from chatkit.archiver import Archiver, ArchiverStatus
    from chatkit.settings import Settings

__all__ = ["archive"]

LOOK_SECONDS = 0.25
PIPE_SECONDS = 5.0
"""In a pipe, at most one line in this time."""
STOP_SECONDS = 30.0


def archive(
    data: DataOption = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay-dead-letters",
            help="Try the records again that could not be archived, for example after an update; "
            "then end.",
        ),
    ] = False,
) -> None:
    """Archive every channel from Kafka into MongoDB, until Ctrl-C.

    Run it as often as you like, on as many machines: all share the work. It goes on trying while
    Kafka or MongoDB is away.
    """
    quiet_logs()
    settings = settings_for(data)
    if replay:
        _replay(settings)
        return
    from chatkit.archiver import Archiver

    # Documents are made and dropped by the million here, none in a cycle: looking for cycles took
    # a quarter of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    archiver = Archiver(settings)
    say(f"Archiving from Kafka at {settings.bootstrap_servers} into database {settings.database}.")
    with _asked_to_stop() as stop:
        archiver.start(timeout=0)
        ended_itself = _show(archiver, stop)
        ended = archiver.stop(STOP_SECONDS)
    status = archiver.status
    if ended_itself:
        raise ServiceError(f"The archiver failed: {status.problem}")
    if not ended:
        raise ServiceError(
            f"The archiver did not end within {STOP_SECONDS:g} s; it is cut off now. Nothing is "
            "lost: the next one goes on where the archive ends"
        )
    say(f"Stopped. Archived {_counts(status)}.", "green")
    if status.problem:
        say(f"At the end: {one_line(status.problem)}", "yellow")


def _replay(settings: Settings) -> None:
    from chatkit.dead_letters import replay_dead_letters
    from chatkit.store import MessageStore

    with MessageStore(settings) as store, console(stderr=True).status("Trying dead letters again"):
        replayed = replay_dead_letters(settings, store)
    text = f"Dead letters: {replayed.archived:,} archived now, {replayed.refused:,} still refused"
    if replayed.without_bytes:
        text += f", {replayed.without_bytes:,} about records that Kafka no longer held"
    say(text + ".")


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set; a second one ends the process at once."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: Any) -> None:
        stop.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(archiver: Archiver, stop: threading.Event) -> bool:
    """Show what it does until asked to stop; return whether it ended by itself."""
    with _display() as display:
        while not stop.wait(LOOK_SECONDS):
            display(archiver.status)
            if archiver.is_stopped:
                return True
        display(archiver.status)
    return False


@contextmanager
def _display() -> Iterator[Callable[[ArchiverStatus], None]]:
    out = console()
    if not out.is_terminal:
        yield _Lines()
        return
    with out.status("Starting") as line:
        yield lambda status: line.update(_line(status))


class _Lines:
    """In a pipe: a line when something has changed, but not at each message."""

    def __init__(self) -> None:
        self._last: ArchiverStatus | None = None
        self._printed = float("-inf")

    def __call__(self, status: ArchiverStatus) -> None:
        now = time.monotonic()
        nothing_yet = not status.partitions and not status.problem
        if nothing_yet or status == self._last or now - self._printed < PIPE_SECONDS:
            return
        self._last, self._printed = status, now
        typer.echo(_line(status).plain)


def _line(status: ArchiverStatus) -> Text:
    from rich.text import Text

    if not status.partitions and not status.problem:
        return Text("Joining the archive group")
    reading = f"{counted(status.partitions, 'partition')}, lag {status.lag:,}"
    text = Text.assemble((_counts(status), "green"), " · ", reading)
    if status.problem:
        text.append(f" · {one_line(status.problem)}", "yellow")
    return text


def _counts(status: ArchiverStatus) -> str:
    return (
        f"{counted(status.messages, 'message')}, {counted(status.events, 'event')}, "
        f"{counted(status.duplicates, 'duplicate')}, {counted(status.dead_letters, 'dead letter')}"
    )
