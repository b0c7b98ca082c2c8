"""Waiting for something to become true, without sleeping for longer than that takes."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def wait_until(predicate: Callable[[], Answer], timeout: float = 10.0) -> Answer:
    """Call a function until what it returns is true, and return that.

    Fails the test with the function's last answer when the time, in seconds, is over.
    """
    end = time.monotonic() + timeout
    while not (answer := predicate()):
        if time.monotonic() > end:
            raise AssertionError(f"still {answer!r} after {timeout:g} s")
        time.sleep(0.02)
    return answer
