"""A process that does nothing but keep one local stack."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from chatkit.local.stack import LocalStack
from chatkit.settings import LocalState

__all__ = ["supervise"]

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def supervise(stack: LocalStack, ready: Callable[[LocalState], None]) -> None:
    """Start a stack, keep it until this process is asked to end, and stop it.

    Ctrl-C, SIGTERM and the terminal's end (SIGHUP, unless ignored) count as being asked; after the
    first they are ignored until the servers are gone. Call it from the main thread.

    Parameters
    ----------
    stack : LocalStack
        Not started yet; stopped when this returns or raises.
    ready : callable
        Given the stack's state once everything answers.

    Raises
    ------
    LocalServiceError
        The stack could not be started, or a server died.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in _SIGNALS:
            if before[number] != signal.SIG_IGN or number == signal.SIGINT:
                signal.signal(number, _interrupt)
        stack.start()
        ready(stack.state)
        stack.wait()
    except KeyboardInterrupt:
        pass
    finally:
        _ignore()
        stack.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _ignore()
    raise KeyboardInterrupt


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
