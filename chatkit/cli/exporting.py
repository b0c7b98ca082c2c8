"""The command export: messages to a file, or all of one person's to a zip file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import console, one_line, print_json, quiet_logs, say, warn
from chatkit.errors import InputError
from chatkit.wording import counted

if TYPE_CHECKING:
    from chatkit.exporting import Exported
    from chatkit.pseudonyms import Anonymise, Remains

__all__ = ["export"]

SHOWN = 10
MANY = 200_000
"""Messages from which on a browser is slow with a page."""


def export(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="The file to make: .parquet, .csv, .jsonl or .html; .zip with --person.",
        ),
    ],
    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUERY]",
            help="Which messages, as in the search box, such as 'channel:general after:2026-01'. "
            "Default: all.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[  # noqa: A002  the word for it
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="parquet, csv, jsonl or html. Default: what PATH ends with.",
            show_default=False,
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this channel; may be given again."),
    ] = None,
    partitioned: Annotated[
        bool,
        typer.Option(
            "--partitioned",
            help="A folder of Parquet files by channel and month, for Dask, Spark, DuckDB, polars.",
        ),
    ] = False,
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="Time zone of dates, such as Europe/Vienna.")
    ] = "UTC",
    person: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="All that this person wrote and did, as a zip file for that person.",
            show_default=False,
        ),
    ] = None,
    anonymise: Annotated[
        bool,
        typer.Option(
            "--anonymise", help="Replace people's names by pseudonyms, in texts and mentions too."
        ),
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --anonymise: where the key of the pseudonyms is kept; made if it is not "
            "there. With the same key people have the same pseudonyms. Default: a new key, shown.",
            show_default=False,
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --anonymise: one more name to replace."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --anonymise: a name to leave in texts."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace PATH if it is there already.")
    ] = False,
    data: DataOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs.")
    ] = False,
) -> None:
    """Export archived messages to a file, whole or not at all."""
    from chatkit.exporting import export as export_messages
    from chatkit.exporting import export_person
    from chatkit.store import MessageStore

    quiet_logs()
    if not anonymise and (key is not None or also or keep):
        raise InputError("--key, --also and --keep are for --anonymise: add it")
    if person is not None and (query or format or channel or partitioned or anonymise):
        raise InputError(
            "--person exports all of one person: leave out QUERY, --format, --channel, "
            "--partitioned and --anonymise"
        )
    settings = settings_for(data)
    how, shown_key = _how(key, also or (), keep or ()) if anonymise else (None, None)
    with MessageStore(settings) as store, _bar() as progress:
        if person is not None:
            done = export_person(store, person, path, replace=replace, progress=progress)
        else:
            done = export_messages(
                store,
                path,
                " ".join(query or ()),
                format=format,
                channel=channel or None,
                zone=zone,
                partitioned=partitioned,
                anonymise=how,
                replace=replace,
                progress=progress,
            )
    if as_json:
        print_json(_described(done, shown_key, key))
    else:
        _report(done, shown_key, key)


def _how(
    path: Path | None, also: tuple[str, ...] | list[str], keep: tuple[str, ...] | list[str]
) -> tuple[Anonymise, str | None]:
    """Return how to anonymise, and the key if it is new and nowhere but here."""
    from chatkit.pseudonyms import Anonymise, new_key, parse_key

    shown = None
    if path is None:
        key = new_key()
        shown = key.hex()
    elif path.exists():
        key = parse_key(_read(path))
    else:
        key = new_key()
        _write_key(path, key.hex())
    return Anonymise(key=key, also=tuple(also), keep=tuple(keep)), shown


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read as a key: {error}") from error


def _write_key(path: Path, text: str) -> None:
    """Make a file that only its owner reads."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text + "\n", encoding="ascii")
    except OSError as error:
        raise InputError(f"The key can't be kept in {path}: {error.strerror}") from error


@contextmanager
def _bar() -> Iterator[Callable[[int], object]]:
    """Give a function that counts messages: shown in a terminal."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("Exporting {task.completed:,} messages"),
        TimeElapsedColumn(),
    )
    out = console(stderr=True)
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda more: progress.advance(task, more)


def _described(done: Exported, new_key: str | None, key_file: Path | None) -> dict[str, Any]:
    import msgspec

    return {
        "path": str(done.path),
        "format": done.format,
        "messages": done.messages,
        "bytes": done.bytes,
        **done.counts,
        "key": new_key,
        "key_file": None if key_file is None else str(key_file),
        "remains": None if done.remains is None else msgspec.structs.asdict(done.remains),
    }


def _report(done: Exported, new_key: str | None, key_file: Path | None) -> None:
    others = [
        counted(count, name.rstrip("s").replace("_", " ")) for name, count in done.counts.items()
    ]
    what = ", ".join([counted(done.messages, "message"), *others])
    say(f"Exported {what} to {done.path} ({done.bytes / 1e6:,.1f} MB).", "green")
    if done.format == "html" and done.messages > MANY:
        warn("Browsers are slow with that many messages in one page: a query makes it smaller.")
    if done.remains is None:
        return
    _report_remains(done.remains)
    if new_key is not None:
        say(f"Key of the pseudonyms: {new_key}")
        say("Whoever has it can find out who is who. Keep it (--key FILE) only to export again.")
    else:
        say(f"Whoever has the key in {key_file} can find out who is who: keep it to yourself.")


def _report_remains(remains: Remains) -> None:
    say("What may still tell who people are:", "bold")
    for what, name in (
        ("emails", "e-mail address"),
        ("phones", "telephone number"),
        ("links", "link"),
    ):
        count = getattr(remains, what)
        if count:
            where = ", ".join(remains.examples.get(what, ()))
            plural = "es" if name.endswith("s") else "s"
            say(f"  {count:,} {name}{'' if count == 1 else plural}, first in {where}")
    if remains.files:
        say(f"  {counted(remains.files, 'name')} of attached files")
    if remains.kept:
        say(f"  names that are ordinary words, left in texts: {_names(remains.kept)}")
    if remains.small_channels:
        say(f"  channels with fewer than 5 people: {_names(remains.small_channels)}")
    say("  times, numbers of partitions and offsets, and what people write about themselves")
    if remains.replaced:
        say(f"Replaced most often in texts: {_names(remains.replaced)}.")
        say("A word among these that names no person is left alone with --keep.")


def _names(counts: dict[str, int]) -> str:
    shown = [f"{one_line(name)} ({count:,})" for name, count in list(counts.items())[:SHOWN]]
    left = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {left:,} more" if left else "")
