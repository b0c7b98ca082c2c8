"""The commands below ``chatkit channels``: list, create, describe, delete."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import console, facts, one_line, print_json, say, warn
from chatkit.errors import (
    ChannelNotFoundError,
    InputError,
    StoreUnavailableError,
)
from chatkit.wording import counted

if TYPE_CHECKING:
    from chatkit.channels import ChannelInfo, PartitionOffsets
    from chatkit.message import ChannelRecord
    from chatkit.settings import Settings

__all__ = ["app"]

SETTLE_SECONDS = 3.0
"""In which an archiver has noticed that a topic is gone, and has written what it had of it."""

app = typer.Typer(
    name="channels",
    help="List, create, describe and delete channels. Alone: list them.",
    invoke_without_command=True,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The channel.")]


@app.callback()
def channels(context: typer.Context, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List, create, describe and delete channels. Alone: list them."""
    if context.invoked_subcommand is None:
        _list(settings_for(data), as_json)
    elif data is not None or as_json:
        raise typer.BadParameter(f"put --data and --json behind '{context.invoked_subcommand}'")


@app.command()
def create(
    name: NameArgument,
    partitions: Annotated[
        int,
        typer.Option(min=1, help="With more than one, order holds only for each author's own."),
    ] = 1,
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.")] = "",
    data: DataOption = None,
) -> None:
    """Make a channel; you moderate it."""
    from chatkit.channels import Channels

    with Channels(settings_for(data)) as known:
        info = known.create(name, partitions=partitions, description=description)
    say(
        f"Channel {info.channel} is ready: topic {info.topic}, "
        f"{counted(len(info.partitions), 'partition')}, {counted(info.replicas, 'replica')}.",
        "green",
    )


@app.command()
def describe(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show all that Kafka and the archive know of a channel."""
    from chatkit.channels import Channels

    settings = settings_for(data)
    with Channels(settings) as known:
        info = known.describe(name)
        offsets = known.offsets(info)
    try:
        positions, record, archived = _archived(settings, info)
    except StoreUnavailableError as error:
        warn(f"What the archive has is not shown. {error}")
        positions, record, archived = None, None, None
    if as_json:
        print_json(_described(info, offsets, positions, record, archived))
    else:
        _show(info, offsets, positions, record, archived)


@app.command()
def delete(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether you are sure.")] = False,
    archive: Annotated[
        bool | None,
        typer.Option(
            "--archive/--keep-archive",
            help="Also delete, or keep, what MongoDB has of it. Default: ask; kept in a pipe.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Delete a channel and every message in it from Kafka, and from the archive if you say so."""
    from chatkit.channels import Channels
    from chatkit.store import MessageStore

    settings = settings_for(data)
    interactive = sys.stdin.isatty()
    with Channels(settings) as known, MessageStore(settings) as store:
        info = known.find().get(name)
        if info is None:
            _check_in_archive(store, name, archive, settings)
            records, behind = 0, False
        else:
            offsets = known.offsets(info)
            records = sum(each.end - each.start for each in offsets.values())
            behind = True
        archived = _archived_messages(store, name) if archive is not False else None
        if not yes:
            if not interactive:
                raise InputError(
                    f"Deleting channel {name!r} can't be undone, and here nobody can be asked: "
                    "add --yes, and --archive to delete its archived messages too"
                )
            _confirm(name, info, records)
        if archive is None and archived:
            archive = interactive and typer.confirm(
                f"Also delete its {counted(archived, 'message')} from the archive in MongoDB?"
            )
        if info is not None:
            if archive and archived is not None:
                behind = _is_behind(store, info, offsets)
            known.delete(name)
            say(f"Channel {name} is deleted from Kafka ({counted(records, 'record')}).", "green")
        if archive:
            gone = store.delete_channel(name)
            if behind:
                # What an archiver had read before the topic went, it writes now.
                time.sleep(SETTLE_SECONDS)
                gone += store.delete_channel(name)
            say(f"Deleted from the archive: {counted(gone, 'message')}.", "green")
        elif archived:
            say(
                f"The archive keeps its {counted(archived, 'message')}; "
                f"'chatkit channels delete {name} --archive' deletes them."
            )


def _confirm(name: str, info: ChannelInfo | None, records: int) -> None:
    if info is not None:
        say(
            f"Channel {name} ({counted(records, 'record')}) will be deleted from Kafka, for "
            "everybody and for good."
        )
    else:
        say(f"Channel {name} is no longer in Kafka; what the archive has of it will be deleted.")
    if typer.prompt("Type its name to go on", default="", show_default=False) != name:
        say("Nothing was deleted.")
        raise typer.Exit(1)


def _check_in_archive(store: Any, name: str, archive: bool | None, settings: Settings) -> None:
    """Raise unless a channel that Kafka lacks is to be deleted from the archive, and is there."""
    settings.topic_of(name)
    if archive is False or not _archived_messages(store, name):
        raise ChannelNotFoundError(
            f"There is no channel {name!r} on Kafka at {settings.bootstrap_servers}"
            + ("" if archive is False else ", and none in the archive")
            + "; 'chatkit channels' lists them"
        )


def _archived_messages(store: Any, name: str) -> int:
    with store.answering():
        return int(store.messages.count_documents({"channel": name}))


def _is_behind(store: Any, info: ChannelInfo, offsets: dict[int, PartitionOffsets]) -> bool:
    positions = store.positions(info.topic_id)
    return any(positions.get(number, 0) < each.end for number, each in offsets.items())


def _list(settings: Settings, as_json: bool) -> None:
    from chatkit.channels import Channels
    from chatkit.store import MessageStore

    with Channels(settings) as known:
        found = known.find()
        in_kafka = {name: known.offsets(info) for name, info in found.items()}
    counts: dict[str, int] | None = None
    records: dict[str, ChannelRecord] = {}
    try:
        with MessageStore(settings) as store:
            counts = store.counts()
            records = store.channel_records()
    except StoreUnavailableError as error:
        warn(f"What the archive has is not shown. {error}")
    rows = []
    for name in sorted({*found, *(counts or ())}):
        offsets = in_kafka.get(name)
        rows.append(
            {
                "name": name,
                "description": records[name].description if name in records else "",
                "partitions": len(found[name].partitions) if name in found else 0,
                "archived": None if counts is None else counts.get(name, 0),
                "in_kafka": sum(each.end - each.start for each in offsets.values())
                if offsets is not None
                else None,
            }
        )
    if as_json:
        print_json(rows)
    elif not console().is_terminal:
        for row in rows:
            cells = ("" if value is None else one_line(str(value)) for value in row.values())
            typer.echo("\t".join(cells))
    elif rows:
        _print_table(rows)
    else:
        say("There is no channel yet. Make one with 'chatkit channels create general'.")


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Channel", style="bold cyan", no_wrap=True)
    table.add_column("Description")  # the only one that may become narrower
    for name in ("Partitions", "In Kafka", "Archived"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            Text(one_line(row["description"]), no_wrap=True, overflow="ellipsis"),
            str(row["partitions"] or "-"),
            "deleted" if row["in_kafka"] is None else f"{row['in_kafka']:,}",
            "?" if row["archived"] is None else f"{row['archived']:,}",
        )
    Console().print(table)


def _archived(
    settings: Settings, info: ChannelInfo
) -> tuple[dict[int, int], ChannelRecord | None, int]:
    from chatkit.store import MessageStore

    with MessageStore(settings) as store:
        return (
            store.positions(info.topic_id),
            store.channel_records().get(info.channel),
            _archived_messages(store, info.channel),
        )


def _described(
    info: ChannelInfo,
    offsets: dict[int, PartitionOffsets],
    positions: dict[int, int] | None,
    record: ChannelRecord | None,
    archived: int | None,
) -> dict[str, Any]:
    return {
        "name": info.channel,
        "topic": info.topic,
        "topic_id": info.topic_id,
        "replicas": info.replicas,
        "partitions": [
            {
                "partition": number,
                "start": each.start,
                "end": each.end,
                "archived_to": None if positions is None else positions.get(number, 0),
            }
            for number, each in sorted(offsets.items())
        ],
        "archived": archived,
        "record": None
        if record is None
        else {
            "display_name": record.display_name,
            "description": record.description,
            "creator": record.creator,
            "moderators": list(record.moderators),
            "archived": record.archived,
            "at": _time(record).isoformat(),
        },
    }


def _show(
    info: ChannelInfo,
    offsets: dict[int, PartitionOffsets],
    positions: dict[int, int] | None,
    record: ChannelRecord | None,
    archived: int | None,
) -> None:
    pairs = {
        "Topic": info.topic,
        "Topic id": info.topic_id,
        "Replicas": str(info.replicas),
        "Archived": "unknown" if archived is None else counted(archived, "message"),
    }
    if record is not None:
        pairs |= {
            "Shown as": one_line(record.display_name) or info.channel,
            "Description": one_line(record.description) or "-",
            "Creator": one_line(record.creator) or "-",
            "Moderators": ", ".join(map(one_line, record.moderators)) or "-",
            "Created": f"{_time(record):%Y-%m-%d %H:%M:%S} UTC",
        }
        if record.archived:
            pairs["Closed"] = "to new messages"
    elif positions is not None:
        pairs["Record"] = "not archived (yet)"
    facts(f"Channel {info.channel}", pairs)
    for number, each in sorted(offsets.items()):
        at = None if positions is None else positions.get(number, 0)
        say(f"  {_partition_line(number, each, at)}")


def _partition_line(number: int, each: PartitionOffsets, archived_to: int | None) -> str:
    text = f"Partition {number}: offsets {each.start:,} to {each.end:,}"
    if archived_to is None:
        return text
    missing = each.end - max(archived_to, each.start)
    if missing <= 0:
        return f"{text}, all archived"
    return f"{text}, archived up to {archived_to:,}, {counted(missing, 'record')} to go"


def _time(record: ChannelRecord) -> datetime:
    from chatkit.message import from_ms

    return from_ms(record.at_ms)
