"""The command purge: the right to be forgotten."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import console, facts, one_line, print_json, quiet_logs, say
from chatkit.errors import InputError
from chatkit.wording import counted

if TYPE_CHECKING:
    from chatkit.purge import Found
    from chatkit.settings import Settings

__all__ = ["purge"]


def purge(
    author: Annotated[
        str, typer.Argument(metavar="AUTHOR", help="The name, exactly as the archive has it.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether you are sure.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what there is; change nothing.")
    ] = False,
    data: DataOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs.")
    ] = False,
) -> None:
    """Take all that one person wrote and did out of the archive, for good.

    Kafka keeps its copy; at the end you are told where it is and how to delete it.
    """
    from chatkit.purge import look_for
    from chatkit.purge import purge as purge_author
    from chatkit.store import MessageStore

    quiet_logs()
    settings = settings_for(data)
    with MessageStore(settings) as store:
        found = look_for(store, author)
        if not as_json:
            _show(found)
        if not dry_run:
            if not yes:
                _confirm(author)
            with console(stderr=True).status("Purging"):
                found = purge_author(store, author)
    if as_json:
        print_json(_described(found, purged=not dry_run))
        return
    if dry_run:
        say("Nothing was changed.")
        return
    say(f"All of {one_line(author)} is gone from the archive.", "green")
    _tell_of_kafka(found, settings)


def _confirm(author: str) -> None:
    if not sys.stdin.isatty():
        raise InputError(
            "A purge can't be undone, and here nobody can be asked: add --yes, or look first with "
            "--dry-run"
        )
    if typer.prompt("Type the name to go on", default="", show_default=False) != author:
        say("Nothing was changed.")
        raise typer.Exit(1)


def _show(found: Found) -> None:
    messages = sum(found.messages.values())
    pairs = {
        "messages": f"{messages:,}{_by_name(found.messages)}",
        "events": f"{sum(found.events.values()):,}{_by_name(found.events)}",
        "files": f"{found.attachments:,} that nobody else has sent too",
        "read marks": f"{found.read_marks:,}",
        "dead letters": f"{found.dead_letters:,}",
    }
    if found.moderates:
        pairs["moderates"] = ", ".join(found.moderates)
    if found.unclear_letters:
        pairs["unclear"] = (
            f"{counted(found.unclear_letters, 'dead letter')} that can't be read and in which the "
            "name stands: they stay"
        )
    if found.mentions:
        places = ", ".join(f"{channel}/{one}" for channel, one in found.mentioned_in)
        more = " ..." if found.mentions > len(found.mentioned_in) else ""
        pairs["others' texts"] = (
            f"{counted(found.mentions, 'message')} of others name them and stay as they are: "
            f"{places}{more}"
        )
    facts(f"The archive holds of {one_line(found.author)}", pairs)


def _by_name(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f" ({shown})" if shown else ""


def _tell_of_kafka(found: Found, settings: Settings) -> None:
    say("What is not gone:", "bold")
    if found.places:
        say(f"  Kafka at {settings.bootstrap_servers} still holds the records, unless retention")
        say("  has deleted them:")
        for place in found.places:
            say(
                f"    topic {place.topic}, partition {place.partition}, offsets {place.first:,} to "
                f"{place.last:,} ({counted(place.records, 'record')} of them)"
            )
        say("  Kafka deletes no single record. Either let all up to an offset go, of everybody,")
        say("  with kafka-delete-records.sh --bootstrap-server ... --offset-json-file FILE and")
        say(f"    {_offsets(found)}")
        say("  or let records go by age (retention.ms of the topic), or delete the channel with")
        say("  'chatkit channels delete NAME'.")
    else:
        say("  Kafka may hold records that were not archived yet.")
    say("  The archive keeps a mark without the name, so that it does not take these records up")
    say("  to now again. Another database on this Kafka, or this one dropped as a whole, would:")
    say("  run the purge there too, before archiving.")
    if found.moderates:
        say(f"  The channel records in Kafka name them as moderator: {', '.join(found.moderates)}.")
    say("  Files that were exported, backups and notebooks are yours to look through.")


def _offsets(found: Found) -> str:
    import json

    ends: dict[tuple[str, int], int] = {}
    for place in found.places:
        key = place.topic, place.partition
        ends[key] = max(ends.get(key, 0), place.last + 1)
    partitions = [
        {"topic": topic, "partition": partition, "offset": offset}
        for (topic, partition), offset in ends.items()
    ]
    return json.dumps({"partitions": partitions, "version": 1})


def _described(found: Found, *, purged: bool) -> dict[str, Any]:
    import msgspec

    return {"purged": purged, **msgspec.to_builtins(found)}
