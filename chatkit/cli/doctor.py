"""The command doctor: whether everything is there, and a message gets all the way round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import Steps, console, print_json, quiet_logs, say

if TYPE_CHECKING:
    from chatkit.doctor import Check

__all__ = ["doctor"]


def doctor(
    data: DataOption = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Check local services; where none run, start some for this and end them again.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs.")
    ] = False,
) -> None:
    """Check that everything works, and say what to do where it doesn't.

    Looks at Kafka, MongoDB, topics and archivers, and sends one message the whole way round. Exit
    code 1 if something is wrong.
    """
    import msgspec

    quiet_logs()
    checks: list[Check] = []
    with Steps(stderr=True) as steps:
        for check in _checks(data, local, steps if console(stderr=True).is_terminal else _nothing):
            checks.append(check)
            steps.close()
            if not as_json:
                _show(check)
    wrong = [check.name for check in checks if not check.ok]
    if as_json:
        print_json({"ok": not wrong, "checks": [msgspec.to_builtins(check) for check in checks]})
    elif wrong:
        causes = [check.name for check in checks if not check.ok and check.made]
        say(f"Something is wrong: {', '.join(causes)}.", "bold red")
    else:
        say("Everything works.", "bold green")
    if wrong:
        raise typer.Exit(1)


def _checks(data: Path | None, local: bool, begin: Callable[[str], None]) -> Iterator[Check]:
    from chatkit.doctor import examine, examine_local
    from chatkit.services import find_services
    from chatkit.settings import Settings

    if local:
        services = find_services(data or Settings().data_dir)
        if not services.running:
            return examine_local(services.settings, begin=begin)
        return examine(services.settings, local=True, begin=begin)
    services = find_services(data)
    settings = settings_for(data) if data is not None else services.settings
    return examine(settings, local=services.local, begin=begin)


def _nothing(name: str) -> None:
    pass


def _show(check: Check) -> None:
    from rich.table import Table
    from rich.text import Text

    mark, word, style = ("\u2713", "ok", "green") if check.ok else ("\u2717", "WRONG", "red")
    if check.warning:
        mark, word, style = "!", "look", "yellow"
    elif not check.made:
        mark, word, style = "-", "-", "dim"
    out = console()
    if not out.is_terminal:
        typer.echo(f"{word}\t{check.name}\t{check.seconds:.2f} s\t{check.detail}")
        return
    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    row.add_column(width=14)
    row.add_column(width=8, justify="right")
    row.add_column(overflow="fold")
    row.add_row(
        Text(mark, style=f"bold {style}"),
        Text(check.name, style="bold"),
        Text(f"{check.seconds:.2f} s", style="dim"),
        Text(check.detail, style="" if style == "green" else style),
    )
    out.print(row, soft_wrap=False)
