"""How commands print: for people in a terminal, for programs in a pipe."""

from __future__ import annotations

import json
import logging
from typing import Any, Self

import typer
from rich.console import Console
from rich.text import Text

__all__ = [
    "Steps",
    "console",
    "facts",
    "one_line",
    "print_json",
    "quiet_logs",
    "say",
    "warn",
]


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is, and leaves long lines whole."""
    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """Print a line for people on standard output."""
    console().print(text, style=style)


def warn(text: str) -> None:
    """Print a line on standard error: worth knowing, no failure."""
    console(stderr=True).print(text, style="yellow")


def one_line(text: str) -> str:
    """Return what somebody typed as a cell of a table: nothing in it can steer the terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def facts(title: str, pairs: dict[str, str]) -> None:
    """Print a title and below it names and values, one pair a line."""
    out = console()
    out.print(title, style="bold")
    width = max(map(len, pairs))
    for name, value in pairs.items():
        out.print(Text.assemble("  ", (f"{name:<{width}}", "cyan"), f"  {value}"))


def print_json(value: Any) -> None:
    """Print a value as one line of JSON, with nothing else around it."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def quiet_logs() -> None:
    """Let only failures of our own code reach standard error.

    What goes wrong with Kafka and MongoDB is told by the commands, once and in plain words; the
    clients would say it again at each attempt, in the middle of a status line.
    """
    logging.getLogger().addHandler(logging.NullHandler())
    own = logging.StreamHandler()
    own.setLevel(logging.ERROR)
    logging.getLogger("chatkit").addHandler(own)


class Steps:
    """Tells what is going on: one changing line in a terminal, elsewhere a line for each step."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._out = console(stderr=stderr)
        self._status = self._out.status("") if self._out.is_terminal else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __call__(self, text: str) -> None:
        """Say what is done now."""
        if self._status is None:
            self._out.print(text)
        else:
            self._status.update(Text(text))
            self._status.start()

    def close(self) -> None:
        """Leave the terminal to others, until the next step."""
        if self._status is not None:
            self._status.stop()
