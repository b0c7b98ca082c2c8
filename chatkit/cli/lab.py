"""The command lab: JupyterLab on the chat notebook, with everything that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatkit.cli.output import Steps, facts, quiet_logs, say, warn

if TYPE_CHECKING:
    from chatkit.lab import Lab

__all__ = ["lab"]


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
    from chatkit.local import until_asked_to_end
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
        with until_asked_to_end(running.stop):
            running.start()
            steps.close()
            _show(running)
            running.wait()
            say("JupyterLab was shut down.")
    say("Stopped.")


def _show(running: Lab) -> None:
    settings = running.settings
    pairs = {
        "JupyterLab": running.url,
        "Notebooks": str(running.folder),
        "Kafka": settings.bootstrap_servers,
        "MongoDB": f"database {settings.database}",
        "Logs": str(running.logs),
        "Stop": "Ctrl-C",
    }
    facts("Ready.", pairs)
    if running.newer:
        warn(
            f"This chatkit has newer versions of {', '.join(running.newer)}. "
            "Your copies stay as they are; to get a new one, rename yours and start again."
        )
