"""One thread that does the newest of what was asked for, and drops what it replaces."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Worker"]


class _Cancelled(Exception):
    """Raised within work that is no longer wanted."""


class Worker:
    """Does one piece of work at a time, always the one that was asked for last.

    Thread-safe; who makes it closes it.

    Parameters
    ----------
    failed : callable
        Takes an exception that work raised.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._changed = threading.Condition()
        self._work: Callable[[], None] | None = None
        self._wanted = 0
        self._doing = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="chatkit-explorer", daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], None]) -> None:
        """Do something as soon as what is being done ends or checks whether it is wanted."""
        with self._changed:
            self._work = work
            self._wanted += 1
            self._changed.notify()

    def cancel(self) -> None:
        """Let what is being done end where it next checks, and do nothing in its place."""
        with self._changed:
            self._work = None
            self._wanted += 1

    def check(self) -> None:
        """Raise within work that is no longer wanted."""
        if self._wanted != self._doing:
            raise _Cancelled

    def close(self, timeout: float = 5.0) -> None:
        """End the thread; idempotent.

        Parameters
        ----------
        timeout : float, default 5.0
            Seconds to wait for what is being done.
        """
        with self._changed:
            self._closed = True
            self._wanted += 1
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._work is None and not self._closed:
                    self._changed.wait()
                if self._closed or self._work is None:
                    return
                work, self._work = self._work, None
                self._doing = self._wanted
            try:
                work()
            except _Cancelled:
                pass
            except Exception as error:
                self._failed(error)
