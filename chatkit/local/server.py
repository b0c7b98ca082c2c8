"""One local server: a process, its guard and its log. Knows nothing of what the server does."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from chatkit.errors import LocalServiceError
from chatkit.local import guard
from chatkit.local.logs import log_end
from chatkit.settings import LocalProcess

__all__ = ["LocalServer"]

START_TIMEOUT = 60.0
"""Seconds in which a server must answer."""
STOP_TIMEOUT = 20.0
"""Seconds in which a server must end by itself before it is killed."""
POLL = 0.02
"""Seconds between two looks at a server that starts or stops."""

# A terminal sends Ctrl-C to everything in its session: servers must get it from the stack alone.
OWN_SESSION: dict[str, Any] = {"start_new_session": True}
if sys.platform == "win32":
    OWN_SESSION = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}

logger = logging.getLogger(__name__)


class LocalServer:
    """A server of the local stack, to look at and to break on purpose.

    The stack makes it and ends it. Methods may be called from any thread.

    Parameters
    ----------
    name : str
        What people call it, for example ``broker-1``.
    command : sequence of str
        Program and arguments.
    address : str
        ``host:port`` that clients use.
    folder : Path
        Where it runs.
    log : Path
        File for its output; added to.
    environment : mapping of str to str
        Variables on top of our own.
    answers : callable
        Returns whether the server does its work now; must not wait longer than a second or so.
    keep_open : sequence of int, default ()
        File descriptors that the guard shall hold for as long as it lives.
    changed : callable, optional
        Called when the server was started, stopped or killed through this object.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        address: str,
        folder: Path,
        log: Path,
        environment: Mapping[str, str],
        answers: Callable[[], bool],
        keep_open: Sequence[int] = (),
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        """What people call it."""
        self.address = address
        """``host:port`` that clients use; the same after a restart."""
        self.log = log
        """File with its output."""
        self._command = list(command)
        self._folder = folder
        self._environment = dict(environment)
        self._answers = answers
        self._keep_open = tuple(keep_open)
        self._changed = changed
        self._lock = threading.RLock()
        self._guard: subprocess.Popen[bytes] | None = None
        self._process: psutil.Process | None = None
        self._wanted = False
        self._closed = False
        self._since = 0.0

    def __repr__(self) -> str:
        return f"<LocalServer {self.name} {self.address} pid={self.pid}>"

    @property
    def pid(self) -> int | None:
        """Process id of the server itself; None while it does not run."""
        process = self._process
        return process.pid if process is not None and self.is_running() else None

    @property
    def process(self) -> LocalProcess | None:
        """Process id and time of creation; None while it does not run."""
        process = self._process
        if process is None or not self.is_running():
            return None
        with suppress(psutil.Error):
            return LocalProcess(process.pid, process.create_time())
        return None

    def is_running(self) -> bool:
        """Return whether the process exists, also if it is paused."""
        return self._guard is not None and self._guard.poll() is None

    def has_died(self) -> bool:
        """Return whether it ended although nobody stopped or killed it through this object."""
        return self._wanted and not self.is_running()

    def start(self) -> None:
        """Start it and wait until it answers; nothing happens if it runs.

        Raises
        ------
        LocalServiceError
            It ended, or did not answer within 60 seconds; the text ends with its log. It does not
            run afterwards.
        """
        with self._lock:
            if self.is_running():
                return
            self.spawn()
            try:
                while not self.is_ready():
                    time.sleep(POLL)
            except BaseException:
                self._end_now()
                raise
        self._changed()

    def spawn(self) -> None:
        """Start it without waiting for an answer: ask `is_ready`, then.

        Raises
        ------
        LocalServiceError
            The program can't be run.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{self.name} can't be started: its stack was stopped.")
            assert not self.is_running()
            self._end_guard()
            self._since = time.monotonic()
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(self.log), *self._command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**os.environ, **self._environment},
                pass_fds=self._keep_open if os.name == "posix" else (),
                **OWN_SESSION,
            )
            assert self._guard.stdout is not None
            with self._guard.stdout as answer:
                said = answer.readline()
                if not said.strip().isdigit():
                    said += answer.read()
            try:
                self._process = psutil.Process(int(said))
            except (ValueError, psutil.Error):
                self._end_guard()
                reason = said.decode(errors="replace").strip()
                raise LocalServiceError(
                    f"{self.name} can't be run: {self._command[0]}: {reason}"
                    if not reason.isdigit()
                    else f"{self.name} ended at once.\n{log_end(self.log)}"
                ) from None
            self._wanted = True
            logger.debug("%s started, process %s", self.name, said)

    def is_ready(self) -> bool:
        """Return whether it answers, after `spawn`.

        Raises
        ------
        LocalServiceError
            It ended, or 60 seconds have gone by; the text ends with its log.
        """
        waited = time.monotonic() - self._since
        if self.has_died():
            raise LocalServiceError(
                f"{self.name} ended after {waited:.1f} s instead of starting. Mend what its log "
                f"says and start again; another --data folder begins anew.\n{log_end(self.log)}"
            )
        if self._answers():
            return True
        if waited > START_TIMEOUT:
            raise LocalServiceError(
                f"{self.name} did not answer at {self.address} within {START_TIMEOUT:.0f} s. Is "
                f"this machine very busy, or short of memory?\n{log_end(self.log)}"
            )
        return False

    def ask_to_stop(self) -> None:
        """Ask it to end (SIGTERM), also if it is paused, and don't wait."""
        with self._lock:
            self._wanted = False
            self._send("resume")
            self._send("terminate")

    def stop(self) -> None:
        """Ask it to end and wait; after 20 seconds it is killed."""
        with self._lock:
            self.ask_to_stop()
            self._wait(STOP_TIMEOUT)
        self._changed()

    def kill(self) -> None:
        """End it at once, as by a power cut (SIGKILL)."""
        with self._lock:
            self._end_now()
        self._changed()

    def close(self, timeout: float) -> bool:
        """Wait for the end after `ask_to_stop`; it can't be started again.

        Parameters
        ----------
        timeout : float
            Seconds until it is killed.

        Returns
        -------
        bool
            Whether it ended now and by itself.
        """
        with self._lock:
            self._closed = True
            return self._wait(timeout)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): it keeps its connections and answers nothing."""
        self._send("suspend")

    def resume(self) -> None:
        """Let a frozen server go on (SIGCONT)."""
        self._send("resume")

    def _send(self, what: str) -> None:
        process = self._process
        if process is not None:
            with suppress(psutil.NoSuchProcess):  # psutil knows a later process with the same id
                getattr(process, what)()

    def _wait(self, timeout: float) -> bool:
        ended = False
        if self._guard is not None:
            try:
                self._guard.wait(timeout)
                ended = True
            except subprocess.TimeoutExpired:
                logger.warning("%s did not end within %.0f s and is killed", self.name, timeout)
        self._end_now()
        return ended

    def _end_now(self) -> None:
        self._wanted = False
        self._send("kill")
        self._process = None
        self._end_guard()

    def _end_guard(self) -> None:
        if self._guard is None:
            return
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        try:
            self._guard.wait(guard.GRACE + 2)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._guard = None
