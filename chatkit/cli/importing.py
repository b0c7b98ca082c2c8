"""The commands below ``chatkit import``: chat histories of other programs into channels."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from chatkit.cli.import_report import Result, note_file, report
from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import console, quiet_logs, warn
from chatkit.errors import InputError, ServiceError, StoreUnavailableError

if TYPE_CHECKING:
    from chatkit.importers import ImportedChannel, Item, Tally
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

PathsArgument = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Files, or folders of them.")
]
ChannelOption = Annotated[
    str | None,
    typer.Option(
        "--channel",
        metavar="NAME",
        help="Name of the channel here. Default: what the source says.",
        show_default=False,
    ),
]
ZoneOption = Annotated[
    str,
    typer.Option(
        "--zone", metavar="ZONE", help="Time zone of the times in it, such as Europe/Berlin."
    ),
]
PrivateOption = Annotated[
    bool,
    typer.Option(
        "--private",
        help="Also private channels and direct messages, which everybody can read here.",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Only read; show counts, time span, first messages and what is not understood.",
    ),
]
NotesOption = Annotated[
    Path | None,
    typer.Option(
        "--notes",
        metavar="FILE",
        help="Write every line that was skipped or mended into a table, with number and reason.",
        show_default=False,
    ),
]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Return when all of it is archived in MongoDB.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]


class _How(NamedTuple):
    """What all formats can be told."""

    dry_run: bool
    notes: Path | None
    wait: bool
    data: Path | None
    as_json: bool


@app.callback()
def importing() -> None:
    """Import chat histories of other programs into channels.

    What was imported before is not imported twice, so an import that was interrupted is run again
    to go on. Exit code 1 if anything could not be imported.
    """


@app.command()
def slack(
    path: Annotated[
        Path, typer.Argument(metavar="DIR", help="A Slack export: the folder or the zip file.")
    ],
    private: PrivateOption = False,
    dry_run: DryRunOption = False,
    notes: NotesOption = None,
    wait: WaitOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a Slack workspace export."""
    from chatkit.importers import slack as importer

    how = _How(dry_run, notes, wait, data, as_json)
    _run(importer, path, how, private=private)


@app.command()
def irc(
    paths: PathsArgument,
    channel: ChannelOption = None,
    zone: ZoneOption = "UTC",
    links: Annotated[
        bool,
        typer.Option(
            "--links", help="Take replies from the files NAME.annotation.txt beside the logs."
        ),
    ] = False,
    bots: Annotated[
        list[str] | None,
        typer.Option(
            "--bots",
            metavar="NICK",
            help="A program's nick, besides ubottu and ubotu; may be given again.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    notes: NotesOption = None,
    wait: WaitOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import IRC logs: of irssi, WeeChat, ZNC, mIRC, XChat, HexChat, EnergyMech and the like.

    The channel is the file's, if its name has one after a '#', else what the lines name.
    """
    from chatkit.importers import irc as importer

    how = _How(dry_run, notes, wait, data, as_json)
    options = {"channel": channel, "zone": zone, "links": links, "bots": bots or []}
    _run(importer, paths, how, by_line=True, **options)


@app.command()
def discord(
    paths: PathsArgument,
    channel: ChannelOption = None,
    dry_run: DryRunOption = False,
    notes: NotesOption = None,
    wait: WaitOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import channels of Discord, as DiscordChatExporter writes them as JSON."""
    from chatkit.importers import discord as importer

    _run(importer, paths, _How(dry_run, notes, wait, data, as_json), channel=channel)


@app.command()
def telegram(
    paths: PathsArgument,
    channel: ChannelOption = None,
    zone: ZoneOption = "UTC",
    private: PrivateOption = False,
    dry_run: DryRunOption = False,
    notes: NotesOption = None,
    wait: WaitOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import chats that Telegram Desktop exported as JSON."""
    from chatkit.importers import telegram as importer

    how = _How(dry_run, notes, wait, data, as_json)
    _run(importer, paths, how, channel=channel, zone=zone, private=private)


@app.command()
def whatsapp(
    paths: PathsArgument,
    channel: ChannelOption = None,
    zone: ZoneOption = "UTC",
    day_first: Annotated[
        bool | None,
        typer.Option(
            "--day-first/--month-first",
            help="Whether 3/4 is in April or in March. Default: found out from the file.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    notes: NotesOption = None,
    wait: WaitOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import chats that WhatsApp exported as text."""
    from chatkit.importers import whatsapp as importer

    how = _How(dry_run, notes, wait, data, as_json)
    options = {"channel": channel, "zone": zone, "day_first": day_first}
    _run(importer, paths, how, by_line=True, **options)


@app.command()
def zulip(
    paths: PathsArgument,
    private: PrivateOption = False,
    dry_run: DryRunOption = False,
    notes: NotesOption = None,
    wait: WaitOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a Zulip export, or what zulip-archive fetched."""
    from chatkit.importers import zulip as importer

    _run(importer, paths, _How(dry_run, notes, wait, data, as_json), private=private)


ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=NAME",
        help="Which column holds what, such as author=nick; may be given again. Default: as the "
        "columns' names tell.",
        show_default=False,
    ),
]
UnitOption = Annotated[
    str | None,
    typer.Option(
        "--unit",
        metavar="UNIT",
        help="Of times that are numbers: s, ms, us or ns. Default: their size tells.",
        show_default=False,
    ),
]
EncodingOption = Annotated[
    str, typer.Option("--encoding", metavar="NAME", help="Of files without a byte order mark.")
]


@app.command()
def csv(
    paths: PathsArgument,
    channel: ChannelOption = None,
    column: ColumnOption = None,
    zone: ZoneOption = "UTC",
    unit: UnitOption = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            "--delimiter",
            metavar="CHARACTER",
            help="Between cells, or 'tab'. Default: the first rows tell.",
            show_default=False,
        ),
    ] = None,
    quote: Annotated[
        str, typer.Option("--quote", metavar="CHARACTER", help="Around cells; '': none.")
    ] = '"',
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The first row is a message; columns are 1, 2, ...")
    ] = False,
    encoding: EncodingOption = "utf-8",
    dry_run: DryRunOption = False,
    notes: NotesOption = None,
    wait: WaitOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import tables as CSV, a message a row."""
    how = _How(dry_run, notes, wait, data, as_json)
    options = {"delimiter": delimiter, "quote": quote, "header": not no_header}
    options |= {"channel": channel, "zone": zone, "unit": unit, "encoding": encoding}
    _table(paths, column or [], how, **options)


@app.command()
def jsonl(
    paths: PathsArgument,
    channel: ChannelOption = None,
    column: ColumnOption = None,
    zone: ZoneOption = "UTC",
    unit: UnitOption = None,
    encoding: EncodingOption = "utf-8",
    dry_run: DryRunOption = False,
    notes: NotesOption = None,
    wait: WaitOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import JSON Lines, a message a line."""
    how = _How(dry_run, notes, wait, data, as_json)
    _table(paths, column or [], how, channel=channel, zone=zone, unit=unit, encoding=encoding)


def _table(paths: list[Path], column: list[str], how: _How, **options: Any) -> None:
    from chatkit.importers import table as importer

    columns = {}
    for pair in column:
        field, equals, name = pair.partition("=")
        if not (field and equals):
            raise InputError(f"--column {pair!r}: write FIELD=NAME, such as author=nick")
        columns[field] = name
    _run(importer, paths, how, by_line=True, columns=columns, **options)


def _run(
    importer: Any,
    source: Path | Sequence[Path],
    how: _How,
    *,
    by_line: bool = False,
    **options: Any,
) -> None:
    """Import what an importer reads, from the first look to the summary."""
    from chatkit.importers import Tally

    quiet_logs()
    with _status("Looking"):
        channels = importer.channels(source, **options)
    items = importer.read(source, **options)
    size = sum(map(_size, [source] if isinstance(source, Path) else source))
    with note_file(how.notes, by_line) as note:
        tally = Tally(note)
        if how.dry_run:
            result = Result(tally, channels, by_line=by_line)
            _only_read(result, items, size)
        else:
            settings = settings_for(how.data)
            if how.wait:
                _check_archive(settings)
            result = _send(settings, channels, items, tally, size, how.wait)
            result.by_line = by_line
    report(result, how.as_json)
    if result.interrupted:
        raise typer.Exit(130)
    if not result.ok:
        raise typer.Exit(1)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _only_read(result: Result, items: Iterable[Item], size: int) -> None:
    try:
        with _reading_bar("Reading", size) as step:
            for _ in result.tally.watch(items):
                step(1)
        result.whole = True
    except KeyboardInterrupt:
        result.interrupted = True


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
    items: Iterable[Item],
    tally: Tally,
    size: int,
    wait: bool,
) -> Result:
    from chatkit.channels import Channels
    from chatkit.producer import ChatProducer
    from chatkit.sending import Sending, create_channels
    from chatkit.store import MessageStore

    with (
        Channels(settings) as known,
        MessageStore(settings) as store,
        ChatProducer(settings, bulk=True) as producer,
    ):
        sending = Sending(producer, store)
        result = Result(tally, channels, sending)
        try:
            with _status("Making channels"):
                result.created = create_channels(known, channels)
            with _reading_bar("Sending", size) as step:
                sending.progress = step
                sending.send(tally.watch(items))
            result.whole = True
            if sending.unchecked:
                warn(
                    "All was sent without asking what is archived already; the archive leaves "
                    f"out what it has. {sending.unchecked}"
                )
            if wait:
                total = sending.sent.total()
                with _bar("Archiving", total) as bar:
                    sending.wait_archived(known, progress=lambda missing: bar.at(total - missing))
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


@contextmanager
def _status(text: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(text):
        yield


class _Bar:
    """Tells a bar now and then how far it is: it works out the rate from its last 1000 steps."""

    def __init__(self, update: Callable[[int, int], None]) -> None:
        self._update = update
        self._told = time.monotonic()
        self._done = 0
        self._items = 0

    def at(self, done: int, items: int | None = None) -> None:
        """Be at a place of the whole, with so many items (default: as many)."""
        self._done, self._items = done, done if items is None else items
        now = time.monotonic()
        if now - self._told > STEP_SECONDS:
            self._told = now
            self.show()

    def bytes_read(self, count: int) -> None:
        """Move on in the files."""
        self.at(self._done + count, self._items)

    def items_done(self, count: int) -> None:
        """Count items."""
        self.at(self._done, self._items + count)

    def show(self) -> None:
        """Show where it is."""
        self._update(self._done, self._items)


@contextmanager
def _reading_bar(text: str, size: int) -> Iterator[Callable[[int], None]]:
    """Show a bar of the bytes read, with the rate of items; give what counts these.

    Bytes tell how far it is without a first reading that only counts.
    """
    from chatkit.importers import bytes_told

    with _bar(text, size) as bar, bytes_told(bar.bytes_read):
        yield bar.items_done


@contextmanager
def _bar(text: str, total: int) -> Iterator[_Bar]:
    """Show a bar on standard error, if that is a terminal; give what moves it on."""
    if not sys.stderr.isatty():
        yield _Bar(lambda done, items: None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Items(ProgressColumn):
        """Items, and how many a second."""

        def render(self, task: Task) -> Text:
            items = task.fields["items"]
            rate = items / task.elapsed if task.elapsed else 0
            return Text(f"{items:,}  {rate:,.0f}/s", style="cyan")

    columns = [SpinnerColumn(), TextColumn("{task.description:<9}"), BarColumn()]
    columns += [TaskProgressColumn(), Items(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        # Until it is known to move it only shows that something goes on.
        task = progress.add_task(text, total=None, items=0)

        def update(done: int, items: int) -> None:
            whole = max(total, done) if done else None
            progress.update(task, total=whole, completed=done, items=items)

        bar = _Bar(update)
        yield bar
        bar.show()
