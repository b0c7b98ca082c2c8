"""The command chat: the console client, and its ways for pipes."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import quiet_logs, warn
from chatkit.errors import (
    BrokerUnavailableError,
    InputError,
    InvalidMessageError,
    ServiceError,
    SettingsError,
)
from chatkit.message import BODY_LIMIT, Message
from chatkit.wording import counted

if TYPE_CHECKING:
    from chatkit.producer import ChatProducer, Receipt
    from chatkit.settings import Settings

__all__ = ["chat"]

WINDOW = 1000
"""Lines that may be on their way to Kafka at a time."""
HOPELESS = 1000
"""Failures in a row after which no more is read: Kafka is gone."""
CLOSE_SECONDS = 3.0


def chat(
    channel: Annotated[
        str | None, typer.Argument(help="The channel. Default: choose.", show_default=False)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name under which to write.", show_default="your own"),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Only print what comes from now on, until Ctrl-C.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="With --follow: one JSON object a line, whose **type** is *message* (with id, "
            "channel, author, body, sent_at, placed_at, partition, offset, reply_to, bot, source, "
            "attachment), *edit* (with body and edited_at) or *delete* (deleted_at).",
        ),
    ] = False,
    data: DataOption = None,
) -> None:
    """Chat in this terminal, or send lines from a pipe.

    `echo hi | chatkit chat general` sends each line as a message, waits until Kafka has it and
    says which it does not have. `chatkit chat general --follow --json` is for other programs.
    """
    quiet_logs()
    settings = settings_for(data)
    if name is not None:
        try:
            settings = settings.replace(user=name)
        except SettingsError as error:
            _, _, reason = str(error).partition(": ")
            raise typer.BadParameter(reason, param_hint="--name") from error
    if as_json and not follow:
        raise typer.BadParameter("only with --follow", param_hint="--json")
    if follow:
        _follow(settings, _needed(channel, "follow"), as_json=as_json)
    elif not sys.stdin.isatty():
        _send_lines(settings, _needed(channel, "send to"), sys.stdin.buffer)
    elif sys.stdout.isatty():
        from chatkit.console.session import chat as chat_here

        if chat_here(settings, channel):
            raise typer.Exit(1)
    else:
        raise InputError(
            "Chatting needs a terminal to print on. To print what comes into a file or a pipe, add "
            "--follow"
        )


def _needed(channel: str | None, what: str) -> str:
    if channel is None:
        raise typer.BadParameter(
            f"name the channel to {what}, as in 'chatkit chat general'; 'chatkit channels' lists "
            "them",
            param_hint="CHANNEL",
        )
    return channel


def _follow(settings: Settings, channel: str, *, as_json: bool) -> None:
    from chatkit.console.follow import follow

    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        follow(settings, channel, sys.stdout, warn, as_json=as_json)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # What is still in the buffer would fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _send_lines(settings: Settings, channel: str, stream: BinaryIO) -> None:
    """Send each line of a stream as a message, as it comes."""
    from chatkit.channels import Channels
    from chatkit.producer import ChatProducer

    # With no broker the producer has more patience.
    with Channels(settings) as channels, contextlib.suppress(BrokerUnavailableError):
        channels.describe(channel)
    producer = ChatProducer(settings)
    sending = _Sending(producer, channel, settings.user)
    try:
        for number, line in _lines(stream):
            sending.send(number, line)
            if sending.is_hopeless:
                warn(f"Stopped after line {number:,}: what follows was not read")
                break
        sending.wait()
    finally:  # after Ctrl-C, too, what is not with Kafka yet is told
        producer.close(CLOSE_SECONDS)
    if sending.failed:
        raise ServiceError(
            f"{counted(sending.failed, 'line')} of {number:,} could not be sent; see above"
        )


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield number and bytes of each line; None in place of one that is too long to be read."""
    number = 0
    while line := stream.readline(BODY_LIMIT + 2):  # with room for a line break of two
        number += 1
        cut = len(line) == BODY_LIMIT + 2 and not line.endswith(b"\n")
        rest = line
        while cut and rest and not rest.endswith(b"\n"):
            rest = stream.readline(BODY_LIMIT)
        yield number, None if cut else line


class _Sending:
    """Sends lines, a bounded number at a time, and says at once which could not be sent."""

    def __init__(self, producer: ChatProducer, channel: str, author: str) -> None:
        self._producer = producer
        self._channel = channel
        self._author = author
        self._free = threading.BoundedSemaphore(WINDOW)
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._reason = ""
        self.failed = 0
        """How many lines could not be sent."""

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing has reached Kafka for so long that trying on makes no sense."""
        return self._in_a_row >= HOPELESS

    def send(self, number: int, line: bytes | None) -> None:
        """Send a line, once there is room for it; blank ones are passed over."""
        try:
            if line is None:
                raise InvalidMessageError(
                    f"It has more than {BODY_LIMIT:,} bytes, the limit of a message. Split it"
                )
            body = line.decode().rstrip("\r\n")
            if not body or body.isspace():
                return
            self._free.acquire()
            try:
                receipt = self._producer.send(Message.new(self._channel, self._author, body))
            except BaseException:
                self._free.release()
                raise
        except UnicodeDecodeError as error:
            self._fail(f"Line {number:,} is not text in UTF-8, at byte {error.start + 1}")
        except InputError as error:
            self._fail(f"Line {number:,} was not sent. {error}")
        else:
            receipt.add_done_callback(lambda done: self._settle(number, body, done))

    def wait(self) -> None:
        """Wait for Kafka's answer about each line; the producer bounds how long that takes."""
        for _ in range(WINDOW):
            self._free.acquire()

    def _settle(self, number: int, body: str, receipt: Future[Receipt]) -> None:
        error = receipt.exception()
        self._in_a_row = 0 if error is None else self._in_a_row + 1
        if error is not None:
            self._fail(f"Line {number:,} was not sent: {body}", str(error))
        self._free.release()

    def _fail(self, text: str, reason: str = "") -> None:
        from chatkit.console.text import safe

        with self._lock:
            self.failed += 1
            warn(safe(text))
            if reason and reason != self._reason:
                self._reason = reason
                warn(f"  {reason}")
