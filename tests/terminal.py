"""A terminal as people see it: a real pseudo-terminal, and a screen that draws what comes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Self

import pyte
from ptyprocess import PtyProcess

from tests.waiting import wait_until


class Terminal:
    """A program, by default the `chatkit` command, in a terminal of its own.

    Parameters
    ----------
    *arguments : str
        Of the command.
    env : mapping
        The environment; the kind of terminal is added.
    columns, lines : int
        Size of the terminal.
    program : sequence of str
        Another program than `chatkit`.
    """

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str],
        columns: int = 80,
        lines: int = 24,
        program: Sequence[str] = (sys.executable, "-m", "chatkit"),
    ) -> None:
        self._lock = threading.Lock()
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        """All that was written to the terminal."""
        self.process = PtyProcess.spawn(
            [*program, *arguments],
            env={"TERM": "xterm-256color", **env},
            dimensions=(lines, columns),
        )
        # Programs ask where the cursor is, and a terminal answers.
        self._screen.write_process_input = lambda text: self.process.write(text.encode())
        self._reader = threading.Thread(target=self._read, name="test-terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.terminate(force=True)
        self._reader.join(10)
        self.process.close(force=True)

    def _read(self) -> None:
        try:
            while True:
                some = self.process.read(65536)
                with self._lock:
                    self.raw += some
                    self._stream.feed(some)
        except (EOFError, OSError):
            pass

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, from the top, without spaces at their ends."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """All that is on the screen."""
        return "\n".join(self.lines).rstrip()

    @property
    def title(self) -> str:
        """The title of the window."""
        return str(self._screen.title)

    @property
    def prompt(self) -> str:
        """The line in which the cursor is."""
        with self._lock:
            return str(self._screen.display[self._screen.cursor.y]).rstrip()

    def type(self, text: str) -> None:
        """Press keys."""
        self.process.write(text.encode())

    def enter(self, text: str) -> None:
        """Write a line, see it, and press Enter."""
        self.type(text)
        last = text.splitlines()[-1]
        self.wait(lambda: self.prompt.endswith(last[-20:].rstrip()))
        self.type("\r")

    def paste(self, text: str) -> None:
        """Paste, as terminals do that tell pasting from typing."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size."""
        with self._lock:
            self._screen.resize(lines, columns)
        self.process.setwinsize(lines, columns)

    def wait(self, condition: object, timeout: float = 30) -> None:
        """Wait for a condition (a callable), or fail with the screen."""
        assert callable(condition)
        try:
            wait_until(condition, timeout)
        except AssertionError:
            raise AssertionError(f"it did not come to that:\n{self.text}") from None

    def shows(self, *texts: str, timeout: float = 30) -> None:
        """Wait until all of some texts are on the screen, or fail with the screen."""
        for text in texts:
            try:
                wait_until(lambda text=text: text in self.text, timeout)
            except AssertionError:
                raise AssertionError(f"no {text!r} on the screen:\n{self.text}") from None

    def ends(self, timeout: float = 30) -> int:
        """Wait for the end of the command and return its exit code."""
        self.wait(lambda: not self.process.isalive(), timeout)
        self._reader.join(timeout)
        return int(self.process.exitstatus if self.process.exitstatus is not None else -1)
