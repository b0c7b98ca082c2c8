"""All commands in one Typer application."""

from __future__ import annotations

import typer

from chatkit.cli import (
    archive,
    channels,
    chat,
    doctor,
    exporting,
    importing,
    lab,
    purge,
    segments,
    services,
    simulate,
    stats,
    workshop,
)

__all__ = ["app"]

app = typer.Typer(
    name="chatkit",
    help="Chat in JupyterLab over Apache Kafka, and explore the history with pandas.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

for command in (
    lab.lab,
    chat.chat,
    doctor.doctor,
    services.up,
    services.down,
    services.status,
    archive.archive,
    stats.stats,
    exporting.export,
    simulate.simulate,
    purge.purge,
):
    app.command()(command)
for group in (channels.app, importing.app, segments.app, workshop.app):
    app.add_typer(group)
