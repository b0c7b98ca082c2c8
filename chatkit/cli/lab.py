"""The command lab: JupyterLab on the chat notebook, with everything that it needs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from chatkit.cli.output import Steps, facts, quiet_logs, say

if TYPE_CHECKING:
    from chatkit.lab import Lab

__all__ = ["lab"]

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def lab(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- [ARGUMENTS]", help="Further arguments of jupyter lab.", show_default=False
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of JupyterLab. Default: 8888 or the next free one."
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Whether to open a browser.")
    ] = True,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Data folder of the local stack to use, or to start.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Open the chat in JupyterLab, with everything that it needs.

    Starts Kafka and MongoDB on this machine unless they run or an address is set, an archiver, and
    JupyterLab on the chat notebook. One Ctrl-C ends all of that.
    """
    from chatkit.lab import Lab
    from chatkit.services import find_services

    quiet_logs()
    with Steps() as steps:
        running = Lab(
            find_services(data),
            port=port,
            browser=browser,
            arguments=arguments or (),
            progress=steps,
        )
        with _until_stopped(running):
            running.start()
            steps.close()
            _show(running)
            running.wait()
            say("JupyterLab was shut down.")
    say("Stopped.")


@contextmanager
def _until_stopped(running: Lab) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and the terminal's end leave the block; then stop, undisturbed."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in _SIGNALS:
            if before[number] != signal.SIG_IGN or number == signal.SIGINT:
                signal.signal(number, _interrupt)
        yield
    except KeyboardInterrupt:
        pass
    finally:
        _ignore()
        running.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _ignore()
    raise KeyboardInterrupt


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _show(running: Lab) -> None:
    settings = running.settings
    facts(
        "Ready.",
        {
            "JupyterLab": running.url,
            "Notebooks": str(running.folder),
            "Kafka": settings.bootstrap_servers,
            "MongoDB": f"database {settings.database}",
            "Logs": str(running.logs),
            "Stop": "Ctrl-C",
        },
    )
