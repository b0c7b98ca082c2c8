"""Checks that are made one after the other, each shown once it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

from chatkit.cli.output import Steps, console, print_json, quiet_logs, say

if TYPE_CHECKING:
    from chatkit.doctor import Check

__all__ = ["run_checks"]


def run_checks(
    make: Callable[[Callable[[str], None]], Iterable[Check]],
    *,
    as_json: bool,
    right: str,
    wrong: str,
) -> None:
    """Make checks and show them; end the program with code 1 if something is wrong.

    Parameters
    ----------
    make : callable
        Given what it tells the name of a check that begins; returns the checks.
    as_json : bool
        Print one JSON object instead.
    right, wrong : str
        What is said at the end; names of the causes follow the second.
    """
    import msgspec

    quiet_logs()
    checks: list[Check] = []
    with Steps(stderr=True) as steps:
        for check in make(steps if console(stderr=True).is_terminal else _nothing):
            checks.append(check)
            steps.close()
            if not as_json:
                _show(check)
    failed = [check for check in checks if not check.ok]
    if as_json:
        print_json({"ok": not failed, "checks": [msgspec.to_builtins(check) for check in checks]})
    elif failed:
        causes = [check.name for check in failed if check.made]
        say(f"{wrong}: {', '.join(causes)}.", "bold red")
    else:
        say(right, "bold green")
    if failed:
        raise typer.Exit(1)


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
