"""The command doctor: whether everything is there, and a message gets all the way round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatkit.cli.checks import run_checks
from chatkit.cli.options import DataOption, settings_for

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
    run_checks(
        partial(_checks, data, local),
        as_json=as_json,
        right="Everything works.",
        wrong="Something is wrong",
    )


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
