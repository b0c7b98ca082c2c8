"""What an import came to, as people and programs read it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatkit.cli.output import console, one_line, print_json, say
from chatkit.errors import InputError
from chatkit.message import from_ms

if TYPE_CHECKING:
    from chatkit.importers import ImportedChannel, Mended, Skipped, Tally
    from chatkit.sending import Sending

__all__ = ["Result", "note_file", "report"]

WIDTH = 100
"""Characters of a text that are shown."""


class Result:
    """What an import came to, for both ways to print it.

    Parameters
    ----------
    tally : Tally
        What was found, as far as it was read.
    channels : list of ImportedChannel
        The source's channels.
    sending : Sending, optional
        What was sent; None: it was only read.
    by_line : bool, default False
        Whether positions are lines of a text, which people count from 1.
    """

    def __init__(
        self,
        tally: Tally,
        channels: list[ImportedChannel],
        sending: Sending | None = None,
        *,
        by_line: bool = False,
    ) -> None:
        self.tally = tally
        self.channels = channels
        self.sending = sending
        self.by_line = by_line
        self.created: list[str] = []
        self.whole = False
        """Whether the source was read to its end."""
        self.interrupted = False
        self.problem = ""
        self.archived: bool | None = None

    @property
    def dry_run(self) -> bool:
        """Whether nothing was to be sent."""
        return self.sending is None

    @property
    def items(self) -> int:
        """How many messages and events were read."""
        return self.tally.messages.total() + self.tally.events.total()

    @property
    def found(self) -> int:
        """How many entries of any kind were read."""
        return self.items + self.tally.skipped.total()

    @property
    def out(self) -> int:
        """How many Kafka has acknowledged; of a dry run, how many there would be to send."""
        return self.items if self.sending is None else self.sending.sent.total()

    @property
    def already(self) -> int:
        """How many were archived before."""
        return 0 if self.sending is None else self.sending.already.total()

    @property
    def failed(self) -> int:
        """How many Kafka has not acknowledged."""
        return 0 if self.sending is None else self.sending.failed.total()

    @property
    def left(self) -> int:
        """What was read and not tried, since the import ended early."""
        return self.items - self.out - self.already - self.failed

    @property
    def put_aside(self) -> int:
        """How many the archive could not take."""
        return 0 if self.sending is None else self.sending.put_aside

    @property
    def ok(self) -> bool:
        """Whether all that the source has is where it belongs."""
        missing = self.failed or self.left or self.put_aside or self.tally.lost
        return self.whole and not missing and not self.interrupted and not self.problem

    @property
    def problems(self) -> list[str]:
        """What went wrong, in words."""
        own = [self.problem] if self.problem else []
        return own + (list(self.sending.problems) if self.sending else [])

    def skipped(self) -> dict[str, int]:
        """Return counts by reason; what is no entry says what it is."""
        return {
            reason if what == "entry" else f"{what}: {reason}": count
            for (what, reason), count in self.tally.skipped.most_common()
        }

    def where(self, note: Skipped | Mended) -> str:
        """Return file and position of a note, as people look them up."""
        if self.by_line and note.position is not None:
            return f"{note.file}:{note.position + 1}"
        return note.where

    def as_dict(self) -> dict[str, Any]:
        """Return the object for ``--json``."""
        counts = self.sending
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "whole": self.whole,
            "in": self.found,
            "out": self.out,
            "skipped": self.skipped(),
            "already": self.already,
            "failed": self.failed,
            "left": self.left,
            "put_aside": self.put_aside,
            "lost": self.tally.lost,
            "mended": dict(self.tally.mended),
            "entries": self.tally.entries,
            "messages": self.tally.messages.total(),
            "events": dict(self.tally.events),
            "span": [from_ms(ms).isoformat() for ms in self.tally.span or ()],
            "first": [
                {
                    "channel": m.channel,
                    "author": m.author,
                    "sent_at": m.sent_at.isoformat(),
                    "body": m.body,
                }
                for m in self.tally.first
            ],
            "not_understood": [
                {"where": self.where(note), "reason": note.reason, "detail": note.detail}
                for note in self.tally.unread
            ],
            "channels": {
                channel.name: {
                    "messages": self.tally.messages[channel.name],
                    "events": self.tally.channel_events[channel.name],
                    "sent": counts.sent[channel.name] if counts else 0,
                    "already": counts.already[channel.name] if counts else 0,
                    "failed": counts.failed[channel.name] if counts else 0,
                }
                for channel in self.channels
            },
            "created": self.created,
            "archived": self.archived,
            "interrupted": self.interrupted,
            "problems": self.problems,
        }


@contextmanager
def note_file(path: Path | None, by_line: bool) -> Iterator[Callable[[Skipped | Mended], None]]:
    """Give what writes notes into a table with tabs between its columns, if there is a path."""
    if path is None:
        yield lambda note: None
        return
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"--notes can't write {path}: {error.strerror}") from error
    with file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["file", "line" if by_line else "entry", "what", "reason", "detail"])

        def write(note: Skipped | Mended) -> None:
            lost = getattr(note, "lost", None)
            what = {None: "mended", False: "skipped", True: "not understood"}[lost]
            number = "" if note.position is None else note.position + by_line
            table.writerow([one_line(note.file), number, what, note.reason, one_line(note.detail)])

        yield write


def report(result: Result, as_json: bool) -> None:
    """Print what an import came to; the last line is the summary."""
    if as_json:
        print_json(result.as_dict())
        return
    out = console()
    tally = result.tally
    if out.is_terminal:
        _print_channels(result)
    if result.created:
        out.print(f"New channels: {', '.join(result.created)}")
    kinds = ", ".join(f"{count:,} {name}" for name, count in sorted(tally.events.items()))
    out.print(
        f"Found {tally.messages.total():,} messages and {tally.events.total():,} events"
        + (f" ({kinds})" if kinds else "")
    )
    if tally.span:
        out.print(f"From {_moment(tally.span[0])} to {_moment(tally.span[1])} (UTC)")
    if result.dry_run and tally.first:
        out.print("First messages:")
        for message in tally.first:
            out.print(
                f"    {_moment(message.sent_ms)}  {message.channel}  "
                f"{message.author}: {_short(message.body)}"
            )
    _print_notes(result)
    for problem in result.problems:
        out.print(one_line(problem), style="red")
    _print_summary(result)


def _print_notes(result: Result) -> None:
    out, tally = console(), result.tally
    for title, notes in (("Skipped", result.skipped()), ("Mended", dict(tally.mended))):
        for reason, count in notes.items():
            out.print(f"{title} {count:,}: {reason}", style="yellow")
            found = tally.examples.get(reason) or tally.examples[reason.partition(": ")[2]]
            shown = f"{result.where(found[0])}  {found[0].detail}"
            out.print(f"    for example {_short(shown)}", style="dim")
    if tally.lost:
        out.print(f"Not understood {tally.lost:,}:", style="red")
    for note in tally.unread:
        out.print(f"    {one_line(result.where(note))}  {note.reason}: {_short(note.detail)}")
    if tally.lost > len(tally.unread):
        rest = tally.lost - len(tally.unread)
        out.print(f"    and {rest:,} more: --notes FILE writes all of them into a table")


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _moment(ms: int) -> str:
    return f"{from_ms(ms):%Y-%m-%d %H:%M:%S}"


def _print_channels(result: Result) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Channel", style="bold cyan", no_wrap=True)
    names = ["messages", "events"]
    names += ["sent", "already", "failed"] if result.sending else []
    for name in names:
        table.add_column(name.capitalize(), justify="right", no_wrap=True)
    for channel, counts in result.as_dict()["channels"].items():
        table.add_row(channel, *(f"{counts[name]:,}" for name in names))
    Console().print(table)


def _print_summary(result: Result) -> None:
    parts = [
        f"{result.found:,} in",
        f"{result.out:,} out",
        f"{result.tally.skipped.total():,} skipped",
        f"{result.already:,} archived before",
        f"{result.failed:,} failed",
    ]
    if result.left:
        parts.append(f"{result.left:,} not tried")
    if result.tally.lost:
        parts.append(f"{result.tally.lost:,} could not be read")
    if result.put_aside:
        parts.append(f"{result.put_aside:,} put aside by the archive")
    if not result.whole:
        parts.append("the rest not read")
    title = "Done"
    if result.interrupted:
        title = "Stopped before the end; import again to go on"
    elif result.dry_run:
        title = "Nothing was sent (--dry-run)"
    elif not result.ok:
        title = "Not complete"
    elif result.archived:
        title = "Done, and all archived"
    say(f"{title}: {', '.join(parts)}.", "bold green" if result.ok else "bold red")
