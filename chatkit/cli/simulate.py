"""The command simulate: many made-up people who chat, now or in days gone by."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import console, one_line, print_json, quiet_logs, say, warn
from chatkit.errors import InputError
from chatkit.wording import counted

if TYPE_CHECKING:
    from chatkit.message import Event, Message
    from chatkit.sending import Sending
    from chatkit.settings import Settings
    from chatkit.simulation import Simulation

__all__ = ["simulate"]

STOP_SECONDS = 5.0
"""In which Kafka may still acknowledge what was on its way at Ctrl-C."""
STEP_SECONDS = 0.1
HISTORY_MESSAGES = 1000
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def simulate(
    rate: Annotated[
        float, typer.Option(metavar="NUMBER", help="Messages a second, on average.")
    ] = 1.0,
    people: Annotated[int, typer.Option(metavar="NUMBER", help="How many people chat.")] = 12,
    channels: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            max=200,
            help="In how many channels: sim-kitchen and the like, made if needed.",
        ),
    ] = 4,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="In this channel instead, such as general; may be given again.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="The same seed gives the same chatter.")
    ] = 0,
    duration: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="End after 90s, 10m or 2h. Default: at Ctrl-C.", show_default=False
        ),
    ] = None,
    messages: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=0,
            help="End after so many messages. With --since: how many there are, by default 1000.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DAY",
            help="Days gone by instead, up to the end of yesterday (UTC): from 2026-09-01 on, or "
            "the last 30d. As fast as Kafka takes it; what is archived already is not sent again.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end, for programs.")
    ] = False,
) -> None:
    """Fill channels with the chatter of many made-up people.

    Useful in a workshop, where a chat should be busy. Ctrl-C ends it.
    """
    from chatkit.simulation import Simulation

    quiet_logs()
    simulation = Simulation(
        people=people, channels=tuple(channel) if channel else channels, seed=seed
    )
    if since is None:
        seconds = None if duration is None else _seconds(duration)
        done = _live(settings_for(data), simulation, rate, seconds, messages)
    else:
        if duration is not None or rate != 1.0:
            raise InputError(
                "--since sends days gone by as fast as Kafka takes them: leave out --rate and "
                "--duration"
            )
        count = HISTORY_MESSAGES if messages is None else messages
        done = _history(settings_for(data), simulation, _day(since), count)
    _report(done, simulation, as_json)


class _Done(NamedTuple):
    """What a simulation came to."""

    sending: Sending
    interrupted: bool
    whole: bool
    """Whether all came that should; of one without an end, whatever came."""


def _report(done: _Done, simulation: Simulation, as_json: bool) -> None:
    """Print what it came to, and end with the exit code that says the same."""
    sending = done.sending
    ok = done.whole and not sending.failed
    if as_json:
        names = simulation.channel_names
        print_json(
            {
                "ok": ok,
                "sent": sending.sent.total(),
                "already": sending.already.total(),
                "failed": sending.failed.total(),
                "channels": {name: sending.sent[name] for name in names},
                "people": simulation.people,
                "seed": simulation.seed,
                "interrupted": done.interrupted,
                "problems": sending.problems,
            }
        )
    else:
        for problem in sending.problems:
            warn(one_line(problem))
        say(_summary(done, simulation), "bold green" if ok else "bold red")
    if not ok:
        raise typer.Exit(1 if done.whole else 130)


def _summary(done: _Done, simulation: Simulation) -> str:
    sending = done.sending
    count = f"{sending.sent.total():,} messages, reactions and edits"
    where = counted(len(simulation.channel_names), "channel")
    parts = [f"{count} of {simulation.people:,} people in {where}"]
    if sending.already:
        parts.append(f"{sending.already.total():,} archived before")
    if sending.failed:
        parts.append(f"{sending.failed.total():,} failed")
    title = "Stopped" if done.interrupted else "Done"
    return f"{title}: {', '.join(parts)}."


def _live(
    settings: Settings,
    simulation: Simulation,
    rate: float,
    seconds: float | None,
    messages: int | None,
) -> _Done:
    from chatkit.channels import Channels
    from chatkit.message import now_ms
    from chatkit.producer import ChatProducer
    from chatkit.sending import Sending
    from chatkit.simulation import moment, play

    with Channels(settings) as known, ChatProducer(settings, bulk=True) as producer:
        sending = Sending(producer)
        interrupted = False
        try:
            simulation.live(0, rate)  # a wrong rate is told before a channel is made
            simulation.create_channels(known)
            begin_ms = now_ms()
            items = simulation.live(begin_ms, rate)
            if seconds is not None:
                end_ms = begin_ms + seconds * 1000
                items = takewhile(lambda item: moment(item) < end_ms, items)
            if messages is not None:
                items = _first(items, messages)
            if seconds is None and messages is None:
                warn(f"{simulation.people:,} people chat, {rate:g} messages a second; Ctrl-C ends.")
            with _progress() as sending.progress:
                play(items, sending)
        except KeyboardInterrupt:
            sending.settle(STOP_SECONDS)
            interrupted = True
    return _Done(sending, interrupted=interrupted, whole=True)


def _history(settings: Settings, simulation: Simulation, first: date, messages: int) -> _Done:
    from chatkit.channels import Channels
    from chatkit.producer import ChatProducer
    from chatkit.sending import Sending
    from chatkit.store import MessageStore

    items = simulation.history(first, datetime.now(UTC).date(), messages)
    with (
        Channels(settings) as known,
        MessageStore(settings) as store,
        ChatProducer(settings, bulk=True) as producer,
    ):
        sending = Sending(producer, store)
        interrupted = False
        try:
            simulation.create_channels(known)
            with _progress() as sending.progress:
                sending.send(items)
        except KeyboardInterrupt:
            sending.settle(STOP_SECONDS)
            interrupted = True
        if sending.unchecked:
            warn(
                "All was sent without asking what is archived already; the archive leaves out what "
                f"it has. {sending.unchecked}"
            )
    return _Done(sending, interrupted=interrupted, whole=not interrupted)


def _first(items: Iterator[Message | Event], messages: int) -> Iterator[Message | Event]:
    """Yield items up to so many messages."""
    from chatkit.message import Message

    left = messages
    while left and (item := next(items, None)) is not None:
        left -= isinstance(item, Message)
        yield item


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show on standard error how much was sent, if that is a terminal; give what counts it."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    begin = told = time.monotonic()
    total = 0
    with console(stderr=True).status("Starting") as line:

        def count(done: int) -> None:
            nonlocal told, total
            total += done
            now = time.monotonic()
            if now - told > STEP_SECONDS:
                told = now
                line.update(f"{total:,} sent, {total / (now - begin):,.1f} a second")

        yield count


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([smh]?)", text.strip())
    if found is None:
        raise InputError(f"--duration {text!r} is no time: write 90s, 10m or 2h")
    return float(found[1]) * UNITS[found[2]]


def _day(text: str) -> date:
    days = re.fullmatch(r"(\d{1,5}) ?d", text.strip())
    try:
        if days is not None:
            return datetime.now(UTC).date() - timedelta(days=int(days[1]))
        return date.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        raise InputError(f"--since {text!r} is no day: write 2026-09-01, or 30d") from error
