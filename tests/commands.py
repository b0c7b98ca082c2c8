"""Running the `chatkit` command as users do: as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chatkit.settings import Settings
from tests.waiting import wait_until


def environment(settings: Settings) -> dict[str, str]:
    """Variables that lead a process to the servers of a test."""
    return {
        **os.environ,
        "CHATKIT_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "CHATKIT_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "CHATKIT_DATABASE": settings.database,
        "CHATKIT_TOPIC_PREFIX": settings.topic_prefix,
        "CHATKIT_SYSTEM_PREFIX": settings.system_prefix,
        "CHATKIT_USER": settings.user,
        "PYTHONUTF8": "1",
    }


def chatkit(
    *arguments: str, env: Mapping[str, str] | None = None, code: int = 0, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and hold it to its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "chatkit", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Running:
    """A command that runs, by default chatkit's; what it prints is read as it comes."""

    def __init__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        program: Sequence[str | Path] = (sys.executable, "-m", "chatkit"),
    ) -> None:
        self.process = subprocess.Popen(
            [*program, *arguments],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, name="test-reader", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def line_with(self, word: str, timeout: float = 30) -> str:
        """Wait for a line with a word in it."""

        def found() -> str:
            lines = [line for line in list(self.lines) if word in line]
            assert lines or self.process.poll() is None, f"it ended:\n{self.text}"
            return lines[0] if lines else ""

        return wait_until(found, timeout)

    def end(self, number: int = signal.SIGINT, timeout: float = 30) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code


@contextmanager
def running(*arguments: str | Path, **more: Any) -> Iterator[Running]:
    """Run a command, as `Running` does; if it still runs at the end, kill it."""
    command = Running(*arguments, **more)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.wait()
        command._reader.join(10)
        assert command.process.stdout is not None
        command.process.stdout.close()
