"""The ``chatkit`` command: one file per group of commands, loaded only when it is used."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of ``chatkit``.

    Exit code 0: done; 1: something failed, and the text says what to do; 2: wrong usage;
    130: stopped by Ctrl-C.
    """
    from rich.console import Console

    from chatkit.cli.app import app
    from chatkit.errors import ChatkitError

    try:
        app()
    except ChatkitError as error:
        Console(stderr=True, soft_wrap=True).print(
            str(error), style="red", markup=False, highlight=False
        )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
