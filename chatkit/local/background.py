"""A local stack that outlives the command that started it, and how such a stack is ended.

``python -m chatkit.local.background`` is the process that keeps the stack. It reads its order from
standard input and reports on standard output until the stack is ready; then nobody needs to listen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from chatkit.errors import ChatkitError, LocalServiceError
from chatkit.local.folder import holder, lock_file
from chatkit.local.server import OWN_SESSION, POLL
from chatkit.settings import STATE_FILE, LocalState, Settings

__all__ = ["start_detached", "stop_running"]

STOP_TIMEOUT = 60.0
"""Seconds in which a stack must have ended before its supervisor is killed."""
_HANDED_ON = (
    "data_dir",
    "cache_dir",
    "maven_url",
    "kafka_home",
    "java_home",
    "database",
)


class _Order(msgspec.Struct):
    settings: dict[str, str]
    brokers: int | None
    ephemeral: bool
    listen: str | None
    kafka_properties: dict[str, str]


class _Report(msgspec.Struct, omit_defaults=True):
    progress: str | None = None
    error: str | None = None
    ready: LocalState | None = None


def start_detached(
    settings: Settings,
    *,
    brokers: int | None = None,
    ephemeral: bool = False,
    listen: str | None = None,
    kafka_properties: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> LocalState:
    """Start a stack in a process of its own and return when it is ready.

    It runs until `stop_running`, also when the terminal and this process are gone.

    Parameters
    ----------
    settings : Settings
        As for `LocalStack`.
    brokers : int, optional
        As for `LocalStack`.
    ephemeral : bool, default False
        As for `LocalStack`; the folder is in what is returned.
    listen : str, optional
        As for `LocalStack`.
    kafka_properties : mapping of str to str, optional
        As for `LocalStack`.
    progress : callable, optional
        Told in lines of text what takes time.

    Returns
    -------
    LocalState
        Where it runs.

    Raises
    ------
    LocalServiceError
        It could not be started; nothing is left running.
    """
    values = {name: getattr(settings, name) for name in _HANDED_ON}
    order = _Order(
        settings={
            name: str(value.absolute() if isinstance(value, Path) else value)
            for name, value in values.items()
            if value is not None
        },
        brokers=brokers,
        ephemeral=ephemeral,
        listen=listen,
        kafka_properties=dict(kafka_properties or {}),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **OWN_SESSION,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    unexpected = []
    try:
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(msgspec.json.encode(order))
        for line in process.stdout:
            try:
                report = msgspec.json.decode(line, type=_Report)
            except (msgspec.DecodeError, UnicodeDecodeError):
                unexpected.append(line.decode(errors="replace").rstrip())
                continue
            if report.ready is not None:
                # It goes on living: nobody is to wait for it.
                process.returncode = 0
                return report.ready
            if report.error is not None:
                raise LocalServiceError(report.error)
            if progress is not None and report.progress is not None:
                progress(report.progress)
        raise LocalServiceError(
            "The process that was to keep the local stack ended without a word:\n"
            + "\n".join(unexpected[-15:])
        )
    except BaseException:
        process.terminate()
        process.wait(STOP_TIMEOUT)
        raise
    finally:
        process.stdout.close()


def stop_running(data_dir: Path) -> bool:
    """End the stack of a data folder, whichever process keeps it, and wait until it is gone.

    Parameters
    ----------
    data_dir : Path
        The folder.

    Returns
    -------
    bool
        False if nothing ran there; what an earlier stack left of its state file is taken away.

    Raises
    ------
    LocalServiceError
        It did not end although it was killed, or it is another user's.
    """
    supervisor = holder(data_dir)
    try:
        return _stop(data_dir, supervisor)
    except (PermissionError, psutil.AccessDenied) as error:
        number = "" if supervisor is None else f" (process {supervisor.pid})"
        raise LocalServiceError(
            f"The local stack in {data_dir} is another user's{number}: only they can stop it."
        ) from error


def _stop(data_dir: Path, supervisor: psutil.Process | None) -> bool:
    end = time.monotonic() + STOP_TIMEOUT
    asked = killed = False
    while (data_dir / "lock").exists():
        lock = lock_file(data_dir / "lock")
        if lock is not None:
            (data_dir / STATE_FILE).unlink(missing_ok=True)
            os.close(lock)
            break
        with suppress(psutil.NoSuchProcess):
            if supervisor is not None and not asked:
                supervisor.terminate()
            if supervisor is not None and not killed and time.monotonic() > end - 15:
                supervisor.kill()
                killed = True
        asked = True
        if time.monotonic() > end:
            raise LocalServiceError(
                f"The local stack in {data_dir} did not end within {STOP_TIMEOUT:.0f} s, although "
                "it was killed. See which processes use that folder, and end them."
            )
        time.sleep(POLL)
    if asked and supervisor is not None:
        _wait_for_exit(supervisor)
    return asked


def _wait_for_exit(process: psutil.Process) -> None:
    # It let the folder go, so it is about to exit; a zombie is waiting for its parent only.
    end = time.monotonic() + 2
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
            time.sleep(POLL)


def _report(report: _Report) -> None:
    with suppress(BrokenPipeError):  # who started us may be gone by now
        os.write(1, msgspec.json.encode(report) + b"\n")


def _main() -> int:
    from chatkit.local.foreground import supervise
    from chatkit.local.stack import LocalStack

    ready_in: list[Path] = []

    def ready(state: LocalState) -> None:
        ready_in.append(Path(state.data_dir))
        _report(_Report(ready=state))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)

    try:
        order = msgspec.json.decode(sys.stdin.buffer.read(), type=_Order)
        stack = LocalStack(
            Settings(**order.settings),
            brokers=order.brokers,
            ephemeral=order.ephemeral,
            listen=order.listen,
            kafka_properties=order.kafka_properties,
            progress=lambda text: _report(_Report(progress=text)),
        )
        supervise(stack, ready)
        if not ready_in:
            raise LocalServiceError("The local stack was asked to end before it was ready.")
    except ChatkitError as error:
        if not ready_in:
            _report(_Report(error=str(error)))
        elif ready_in[0].exists():
            (ready_in[0] / "logs" / "supervisor.log").write_text(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
