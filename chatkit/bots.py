"""Bots: functions that answer messages, and words that begin with a slash.

One thread of its own runs them, so that a slow one keeps nobody waiting but the other bots. Knows
no Kafka: the room tells it what was said, and sends what is answered.
"""

from __future__ import annotations

import inspect
import logging
import queue
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec

from chatkit.errors import InputError
from chatkit.message import Message

__all__ = ["Bots", "Command"]

logger = logging.getLogger(__name__)

WAITING = 10_000
"""Messages that may wait for slow bots."""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")

Function = TypeVar("Function", bound=Callable[..., Any])


class Command(msgspec.Struct, frozen=True):
    """A word that begins with a slash, and what it does."""

    name: str
    """The word, without its slash."""
    about: str
    """What it does: the first line of the function's docstring."""
    run: Callable[[str], Any]
    """Takes what follows the word; what it returns, if anything, is said in the channel."""


class _Handler(msgspec.Struct, frozen=True):
    function: Callable[..., Any]
    pattern: re.Pattern[str] | None
    channel: str | None
    wants_match: bool


class Bots:
    """The bots of a room. Thread-safe; who makes it closes it.

    Parameters
    ----------
    answer : callable
        Takes the message that was answered and the text of the answer.
    on_problem : callable
        Takes a sentence about a bot that failed, or messages that none has seen.
    """

    def __init__(
        self, answer: Callable[[Message, str], None], on_problem: Callable[[str], None]
    ) -> None:
        self._answer = answer
        self._on_problem = on_problem
        self._lock = threading.Lock()
        self._handlers: list[_Handler] = []
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._missed = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self.commands: dict[str, Command] = {}
        """The commands, by name."""

    def on_message(
        self, pattern: str | re.Pattern[str] | None, channel: str | None
    ) -> Callable[[Function], Function]:
        """Return a decorator for a function that is called with each message that fits."""
        try:
            compiled = None if pattern is None else re.compile(pattern)
        except re.error as error:
            raise InputError(f"The pattern {pattern!r} is no regular expression: {error}") from None

        def register(function: Function) -> Function:
            wants_match = len(inspect.signature(function).parameters) > 1
            handler = _Handler(function, compiled, channel, wants_match)
            with self._lock:
                # Running a cell again replaces what it made before.
                name = _name(function)
                self._handlers = [one for one in self._handlers if _name(one.function) != name]
                self._handlers.append(handler)
            self._start()
            return function

        return register

    def command(self, name: str) -> Callable[[Function], Function]:
        """Return a decorator for a function that ``/name`` calls."""
        if not NAME.fullmatch(name):
            raise InputError(f"{name!r} can't be a command: use a-z, digits, '-' and '_'")

        def register(function: Function) -> Function:
            about = (inspect.getdoc(function) or "").partition("\n")[0]
            self.commands[name] = Command(name, about, function)
            return function

        return register

    def forget(self, function: Callable[..., Any]) -> None:
        """Call a function no longer."""
        with self._lock:
            self._handlers = [one for one in self._handlers if one.function is not function]
        for name, command in list(self.commands.items()):
            if command.run is function:
                del self.commands[name]

    def hear(self, message: Message) -> None:
        """Show a message to the bots; what bots say they don't hear: none answers itself."""
        with self._lock:
            if message.bot or not self._handlers or self._closed:
                return
            if self._jobs.qsize() >= WAITING:
                self._missed += 1
                return
            self._jobs.put(lambda: self._show(message))

    def run(self, command: Command, text: str) -> Future[str]:
        """Run a command; resolves to what it says, "" for nothing, or fails with its exception."""
        done: Future[str] = Future()

        def work() -> None:
            try:
                said = command.run(text)
            except Exception as error:  # what a user's function raises is shown, not lost
                done.set_exception(error)
            else:
                done.set_result("" if said is None else str(said))

        self._start()
        self._jobs.put(work)
        return done

    def close(self, timeout: float = 1.0) -> None:
        """End the thread; a bot that is running ends by itself. Idempotent."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._jobs.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="chatkit-bots", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._closed:
            job()
            with self._lock:
                missed, self._missed = self._missed, 0
            if missed:
                self._on_problem(
                    f"The bots are too slow: {missed:,} messages were not shown to them"
                )

    def _show(self, message: Message) -> None:
        with self._lock:
            handlers = list(self._handlers)
        for handler in handlers:
            if handler.channel not in (None, message.channel):
                continue
            match = None if handler.pattern is None else handler.pattern.search(message.body)
            if handler.pattern is not None and match is None:
                continue
            try:
                arguments = (message, match) if handler.wants_match else (message,)
                said = handler.function(*arguments)
                if said is not None:
                    self._answer(message, str(said))
            except Exception as error:  # a bot that fails stops nothing
                logger.exception("A bot failed")
                name = getattr(handler.function, "__name__", "a bot")
                self._on_problem(f"The bot {name} failed: {type(error).__name__}: {error}")


def _name(function: Callable[..., Any]) -> tuple[str, str]:
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", repr(function))
