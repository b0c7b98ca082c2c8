"""All commands in one Typer application."""

from __future__ import annotations

import typer

from chatkit.cli import services

__all__ = ["app"]

app = typer.Typer(
    name="chatkit",
    help="Chat in JupyterLab over Apache Kafka, and explore the history with pandas.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

for command in (services.up, services.down, services.status):
    app.command()(command)
