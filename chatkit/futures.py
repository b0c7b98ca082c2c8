"""A Future of what a function makes of another one's result."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

__all__ = ["mapped"]


def mapped(done: Future[Any], change: Callable[[Any], Any]) -> Future[Any]:
    """Return a Future that resolves to what a function makes of a result.

    It fails as the first one does, cancelled or not, or as the function raises.

    Parameters
    ----------
    done : concurrent.futures.Future
        What is waited for.
    change : callable
        Takes its result; runs on the thread that sets it, and so must return soon.
    """
    changed: Future[Any] = Future()

    def go_on(future: Future[Any]) -> None:
        try:
            changed.set_result(change(future.result()))
        except BaseException as error:  # it is told to whoever waits
            changed.set_exception(error)

    done.add_done_callback(go_on)
    return changed
