"""The commands below ``chatkit segments``: columnar copies of the archive, for fast loading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import Steps, console, print_json, quiet_logs, say
from chatkit.message import check_channel_name
from chatkit.wording import counted

if TYPE_CHECKING:
    from chatkit.segments import Built

__all__ = ["app"]

ChannelOption = Annotated[
    str | None,
    typer.Option("--channel", metavar="NAME", help="Only of this channel. Default: of all."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]

app = typer.Typer(
    name="segments",
    help="Segments: copies of the archive in columns, which make loading fast.",
    no_args_is_help=True,
)


@app.command()
def build(
    channel: ChannelOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Build segments of all that is archived and in none yet.

    Archivers do it too, for what they archive. It may run beside them, and be stopped and run again
    at any time.
    """
    from chatkit import segments
    from chatkit.store import MessageStore

    quiet_logs()
    with MessageStore(settings_for(data)) as store, Steps(stderr=True) as step:
        step("Looking for what is in no segment")

        def tell(built: Built) -> None:
            step(f"{counted(built.rows, 'message')} in new segments")

        name = _checked(channel)
        built = segments.build(store, name, progress=tell if console().is_terminal else None)
    if as_json:
        print_json(msgspec.to_builtins(built))
    else:
        say(f"{counted(built.rows, 'message')} in new segments.", "green")


@app.command()
def status(
    channel: ChannelOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Show how much of each channel is in segments."""
    from rich.table import Table

    from chatkit import segments
    from chatkit.store import MessageStore

    quiet_logs()
    name = _checked(channel)
    with MessageStore(settings_for(data)) as store:
        found = [one for one in segments.status(store) if name in (None, one.channel)]
    if as_json:
        print_json({"channels": msgspec.to_builtins(found)})
        return
    if not found:
        say("Nothing is archived yet.")
        return
    table = Table(box=None)
    for title in ("channel", "records", "in segments", "segments", "not usable", "messages", "MB"):
        table.add_column(title, justify="left" if title == "channel" else "right")
    for one in found:
        table.add_row(
            one.channel,
            f"{one.archived:,}",
            f"{one.covered / max(1, one.archived):.0%}",
            f"{one.segments:,}",
            f"{one.unusable:,}",
            f"{one.rows:,}",
            f"{one.size / 1e6:.1f}",
        )
    console().print(table)


@app.command()
def drop(
    channel: ChannelOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Delete segments. Nothing is lost: they are copies, and are built again when asked for.

    Archivers that run build them again too.
    """
    from chatkit import segments
    from chatkit.store import MessageStore

    quiet_logs()
    with MessageStore(settings_for(data)) as store:
        dropped = segments.drop(store, _checked(channel))
    if as_json:
        print_json({"dropped": dropped})
    else:
        say(f"{counted(dropped, 'segment')} deleted.", "green")


def _checked(channel: str | None) -> str | None:
    return None if channel is None else check_channel_name(channel)
