"""A process that keeps servers running until it is asked to end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from chatkit.local.stack import LocalStack
from chatkit.settings import LocalState

__all__ = ["supervise", "until_asked_to_end"]

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


@contextmanager
def until_asked_to_end(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and the terminal's end leave the block quietly; then stop, undisturbed.

    SIGHUP does not count where it is ignored, as under nohup. Use it in the main thread.

    Parameters
    ----------
    stop : callable
        Called at the end of the block, however it ends; meanwhile the signals are ignored.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in _SIGNALS:
            if before[number] != signal.SIG_IGN or number == signal.SIGINT:
                signal.signal(number, _interrupt)
        yield
    except KeyboardInterrupt:
        pass
    finally:
        _ignore()
        stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def supervise(stack: LocalStack, ready: Callable[[LocalState], None]) -> None:
    """Start a stack, keep it until this process is asked to end, and stop it.

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
    with until_asked_to_end(stack.stop):
        stack.start()
        ready(stack.state)
        stack.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    _ignore()
    raise KeyboardInterrupt


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
