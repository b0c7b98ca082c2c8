"""A small process between the stack and one server, so that no server outlives its stack.

``python guard.py LOG COMMAND...`` runs the command with its output in the file LOG, says its
process id on standard output (or why it could not be run), and then only waits. Standard input is a
pipe whose other end the stack holds and never writes to: when the stack ends, however it ends, the
pipe closes and the guard ends the server. On Linux the kernel ends the server if the guard itself
is killed. One runs for every server, so it needs only the standard library and is run as a file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

__all__ = ["main"]

GRACE = 10.0
"""Seconds that a server has to end by itself once the stack is gone."""

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> Callable[[], None] | None:
    """Return what a new process must call so that it is killed when this one dies."""
    if sys.platform != "linux":
        return None
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the guard died before the kernel knew
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_kernel


def _end(server: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if sys.platform != "win32":
            server.send_signal(signal.SIGCONT)  # a frozen server can't answer a request to end
        server.terminate()
    try:
        server.wait(GRACE)
    except subprocess.TimeoutExpired:
        server.kill()


def main(arguments: Sequence[str]) -> int:
    """Run a server until it ends by itself or the stack is gone.

    Parameters
    ----------
    arguments : sequence of str
        The log file, then the server's command line.

    Returns
    -------
    int
        Does not return while the server lives; 127 if it could not be run.
    """
    log, *command = arguments
    try:
        with open(log, "ab", buffering=0) as output:  # noqa: PTH123 - pathlib costs start-up
            # The main thread starts the server, for the kernel counts the death of the thread
            # that did as the death of the parent.
            server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent(),
            )
    except OSError as error:
        os.write(1, f"{error}\n".encode())
        return 127
    os.write(1, f"{server.pid}\n".encode())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)

    def end_with_server() -> None:
        code = server.wait()
        os._exit(code if code >= 0 else 128 - code)

    threading.Thread(target=end_with_server, daemon=True).start()
    while os.read(0, 1024):
        pass
    _end(server)
    code = server.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
