"""The commands below ``chatkit import``: chat histories of other programs into channels."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import console, one_line, print_json, quiet_logs, say, warn
from chatkit.errors import ServiceError, StoreUnavailableError

if TYPE_CHECKING:
    from chatkit.importers import ImportedChannel, Item, Tally
    from chatkit.sending import Sending
    from chatkit.settings import Settings

__all__ = ["app"]

STOP_SECONDS = 5.0
"""In which Kafka may still acknowledge what was on its way at Ctrl-C."""
STEP_SECONDS = 0.1

app = typer.Typer(
    name="import",
    help="Import chat histories of other programs into channels.",
    no_args_is_help=True,
)


@app.callback()
def importing() -> None:
    """Import chat histories of other programs into channels."""


@app.command()
def slack(
    path: Annotated[
        Path, typer.Argument(metavar="DIR", help="A Slack export: the folder or the zip file.")
    ],
    private: Annotated[
        bool,
        typer.Option(
            "--private",
            help="Also private channels and direct messages, which everybody can read here.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only read and count; send nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when all of it is archived in MongoDB.")
    ] = False,
    data: DataOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs.")
    ] = False,
) -> None:
    """Import a Slack workspace export.

    What was imported before is not imported twice. Exit code 1 if anything could not be imported.
    """
    from chatkit.importers import slack as importer

    _run(
        importer.channels(path, private=private),
        lambda: importer.read(path, private=private),
        data=data,
        dry_run=dry_run,
        wait=wait,
        as_json=as_json,
    )


def _run(
    channels: list[ImportedChannel],
    read: Callable[[], Iterator[Item]],
    *,
    data: Path | None,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Import what ``read`` gives, from counting to the summary; the same for every format."""
    from chatkit.importers import Tally

    quiet_logs()
    counted = Tally()
    with _bar("Reading", None) as step:
        for _ in counted.watch(read()):
            step(1)
    if dry_run:
        _report(_Result(counted, channels, dry_run=True), as_json)
        return
    settings = settings_for(data)
    if wait:
        _check_archive(settings)
    result = _send(settings, channels, read, counted, wait)
    _report(result, as_json)
    if result.interrupted:
        raise typer.Exit(130)
    if not result.ok:
        raise typer.Exit(1)


class _Result:
    """What an import came to, for both ways to print it."""

    def __init__(
        self,
        tally: Tally,
        channels: list[ImportedChannel],
        sending: Sending | None = None,
        *,
        dry_run: bool = False,
    ) -> None:
        self.tally = tally
        self.channels = channels
        self.dry_run = dry_run
        self.sending = sending
        self.created: list[str] = []
        self.interrupted = False
        self.problem = ""
        self.archived: bool | None = None

    @property
    def items(self) -> int:
        return self.tally.messages.total() + self.tally.events.total()

    @property
    def found(self) -> int:
        return self.items + self.tally.skipped.total()

    @property
    def out(self) -> int:
        return self.items if self.sending is None else self.sending.sent.total()

    @property
    def already(self) -> int:
        return 0 if self.sending is None else self.sending.already.total()

    @property
    def failed(self) -> int:
        return 0 if self.sending is None else self.sending.failed.total()

    @property
    def left(self) -> int:
        """What was not tried, since the import ended early."""
        return self.items - self.out - self.already - self.failed

    @property
    def put_aside(self) -> int:
        return 0 if self.sending is None else self.sending.put_aside

    @property
    def ok(self) -> bool:
        whole = not (self.failed or self.left or self.put_aside or self.tally.lost)
        return whole and not self.interrupted and not self.problem

    def skipped(self) -> dict[str, int]:
        """Return counts by reason; what is no entry says what it is."""
        return {
            reason if what == "entry" else f"{what}: {reason}": count
            for (what, reason), count in self.tally.skipped.most_common()
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the object for ``--json``."""
        counts = self.sending
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "in": self.found,
            "out": self.out,
            "skipped": self.skipped(),
            "already": self.already,
            "failed": self.failed,
            "left": self.left,
            "put_aside": self.put_aside,
            "lost": self.tally.lost,
            "mended": dict(self.tally.mended),
            "entries": self.tally.entries,
            "messages": self.tally.messages.total(),
            "events": dict(self.tally.events),
            "channels": {
                channel.name: {
                    "messages": self.tally.messages[channel.name],
                    "events": self.tally.channel_events[channel.name],
                    "sent": counts.sent[channel.name] if counts else 0,
                    "already": counts.already[channel.name] if counts else 0,
                    "failed": counts.failed[channel.name] if counts else 0,
                }
                for channel in self.channels
            },
            "created": self.created,
            "archived": self.archived,
            "interrupted": self.interrupted,
            "problems": [self.problem] * bool(self.problem)
            + (list(counts.problems) if counts else []),
        }


def _check_archive(settings: Settings) -> None:
    """Raise now, not after all was sent, if --wait can't come to an end."""
    from chatkit.store import MessageStore

    with MessageStore(settings) as store:
        try:
            store.ping()
        except StoreUnavailableError as error:
            raise StoreUnavailableError(f"--wait needs MongoDB. {error}") from error


def _send(
    settings: Settings,
    channels: list[ImportedChannel],
    read: Callable[[], Iterator[Item]],
    counted: Tally,
    wait: bool,
) -> _Result:
    from chatkit.channels import Channels
    from chatkit.importers import Tally
    from chatkit.producer import ChatProducer
    from chatkit.sending import Sending, create_channels
    from chatkit.store import MessageStore

    total = counted.messages.total() + counted.events.total()
    with (
        Channels(settings) as known,
        MessageStore(settings) as store,
        ChatProducer(settings, bulk=True) as producer,
    ):
        sending = Sending(producer, store)
        result = _Result(counted, channels, sending)
        try:
            with _status("Making channels"):
                result.created = create_channels(known, channels)
            with _bar("Sending", total) as step:
                sending.progress = step
                sending.send(Tally().watch(read()))
            if sending.unchecked:
                warn(
                    "All was sent without asking what is archived already; the archive leaves "
                    f"out what it has. {sending.unchecked}"
                )
            if wait:
                with _bar("Archiving", sending.sent.total()) as step:
                    sending.wait_archived(known, progress=_shrinking(step, sending.sent.total()))
                result.archived = True
        except KeyboardInterrupt:
            warn("Stopping; what is on its way gets a moment to arrive.")
            sending.settle(STOP_SECONDS)
            result.interrupted = True
        except ServiceError as error:
            sending.settle(STOP_SECONDS)
            result.problem = str(error)
            result.archived = False if wait else None
    return result


def _shrinking(step: Callable[[int], None], total: int) -> Callable[[int], None]:
    """Turn counts of what is missing into steps of a bar."""
    done = 0

    def progress(missing: int) -> None:
        nonlocal done
        now = max(0, total - missing)
        step(now - done)
        done = now

    return progress


def _report(result: _Result, as_json: bool) -> None:
    if as_json:
        print_json(result.as_dict())
        return
    out = console()
    tally, counts = result.tally, result.sending
    if console().is_terminal:
        _print_channels(result)
    if result.created:
        out.print(f"New channels: {', '.join(result.created)}")
    kinds = ", ".join(f"{count:,} {name}" for name, count in sorted(tally.events.items()))
    out.print(
        f"Found {tally.messages.total():,} messages and {tally.events.total():,} events"
        + (f" ({kinds})" if kinds else "")
    )
    for title, notes in (("Skipped", result.skipped()), ("Mended", dict(tally.mended))):
        for reason, count in notes.items():
            out.print(f"{title} {count:,}: {reason}", style="yellow")
            for example in tally.examples.get(reason.rpartition(": ")[2], [])[:1]:
                out.print(f"    for example {one_line(f'{example.where} {example.detail}')}")
    for problem in [result.problem] * bool(result.problem) + (counts.problems if counts else []):
        out.print(one_line(problem), style="red")
    _print_summary(result)


def _print_channels(result: _Result) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Channel", style="bold cyan", no_wrap=True)
    names = ["messages", "events"]
    names += ["sent", "already", "failed"] if result.sending else []
    for name in names:
        table.add_column(name.capitalize(), justify="right", no_wrap=True)
    for channel, counts in result.as_dict()["channels"].items():
        table.add_row(channel, *(f"{counts[name]:,}" for name in names))
    Console().print(table)


def _print_summary(result: _Result) -> None:
    parts = [
        f"{result.found:,} in",
        f"{result.out:,} out",
        f"{result.tally.skipped.total():,} skipped",
        f"{result.already:,} archived before",
        f"{result.failed:,} failed",
    ]
    if result.left:
        parts.append(f"{result.left:,} not tried")
    if result.tally.lost:
        parts.append(f"{result.tally.lost:,} could not be read")
    if result.put_aside:
        parts.append(f"{result.put_aside:,} put aside by the archive")
    title = "Done"
    if result.dry_run:
        title = "Nothing was sent (--dry-run)"
    elif result.interrupted:
        title = "Stopped before the end; import again to go on"
    elif not result.ok:
        title = "Not complete"
    elif result.archived:
        title = "Done, and all archived"
    say(f"{title}: {', '.join(parts)}.", "bold green" if result.ok else "bold red")


@contextmanager
def _status(text: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(text):
        yield


@contextmanager
def _bar(text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, if that is a terminal; give what moves it on."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f}/s", style="cyan")

    columns = [SpinnerColumn(), TextColumn("{task.description:<9}"), BarColumn()]
    columns += [MofNCompleteColumn(), Rate(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=total)
        count = 0
        told = time.monotonic()

        def step(done: int) -> None:
            """Tell the bar now and then: it works out the rate from its last 1000 steps."""
            nonlocal count, told
            count += done
            now = time.monotonic()
            if now - told > STEP_SECONDS:
                told = now
                progress.update(task, completed=count)

        yield step
        progress.update(task, completed=count)
