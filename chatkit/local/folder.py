"""The data folder of a local stack: who holds it, how it is laid out, where its stack runs."""

from __future__ import annotations

import base64
import os
import random
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from chatkit.errors import LocalServiceError
from chatkit.settings import STATE_FILE, LocalProcess, LocalState, read_local_state

__all__ = [
    "DataFolder",
    "Layout",
    "free_ports",
    "holder",
    "lock_file",
    "new_ephemeral",
    "write_whole",
]

_EPHEMERAL = "chatkit-ephemeral-"
LOCK_TIMEOUT = 20.0
"""Seconds to wait for a stack that is just starting or stopping in the folder."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What must stay the same for as long as the folder lives, and what should."""

    brokers: int
    """Number of Kafka brokers, 1 or 3: the data are formatted for it."""
    cluster_id: str
    """Kafka's id of the cluster."""
    ports: dict[str, int]
    """The port of each server in the last run, by name; used again if free."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or what was there before.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        Its new content.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{random.getrandbits(32):x}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def lock_file(path: Path) -> int | None:
    """Return a descriptor that locks the file, or None if another process holds it.

    The lock goes away with the last process that holds the descriptor, so it can't be left over.

    Parameters
    ----------
    path : Path
        The file; made if missing, never removed.

    Returns
    -------
    int or None
        To be closed by the caller.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # away from what the file says
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


class DataFolder:
    """The folder, held by one stack at a time.

    Parameters
    ----------
    path : Path
        Made if missing.

    Raises
    ------
    LocalServiceError
        It can't be made or written, or a stack runs in it already.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            for name in ("logs", "config"):
                (path / name).mkdir(parents=True, exist_ok=True)
            self.lock = self._lock()
        except OSError as error:
            self._check_that_none_runs()  # as another user's, who lets us look
            raise LocalServiceError(
                f"The data folder {path} can't be written: {error.strerror}. Make it writable, or "
                "choose another with --data or CHATKIT_DATA_DIR."
            ) from error
        me = psutil.Process()
        os.lseek(self.lock, 0, os.SEEK_SET)
        os.truncate(self.lock, 0)
        os.write(self.lock, msgspec.json.encode(LocalProcess(me.pid, me.create_time())))
        (path / STATE_FILE).unlink(missing_ok=True)

    def _lock(self) -> int:
        # Guards inherit the lock, so it is ours only when all servers of a killed stack are gone.
        end = time.monotonic() + LOCK_TIMEOUT
        while (lock := lock_file(self.path / "lock")) is None:
            self._check_that_none_runs()
            if time.monotonic() > end:
                raise LocalServiceError(
                    f"Another process has been starting or stopping a local stack in {self.path} "
                    f"for {LOCK_TIMEOUT:.0f} s. Look again with `chatkit status`, or end it with "
                    "`chatkit down`."
                )
            time.sleep(0.1)
        return lock

    def _check_that_none_runs(self) -> None:
        state = read_local_state(self.path)
        if state is not None:
            raise LocalServiceError(
                f"A local stack already runs in {self.path} (process "
                f"{state.processes['supervisor'].pid}): Kafka at {state.bootstrap_servers}, "
                f"MongoDB at {state.mongo_uri}. Use it as it is, or end it with "
                f"`chatkit down`. For a second one choose another folder with --data."
            )

    def layout(self, brokers: int | None) -> Layout:
        """Return the folder's layout; a new one for a new folder.

        Parameters
        ----------
        brokers : int or None
            How many brokers are wanted. None: as many as the folder has, 1 if it is new.

        Returns
        -------
        Layout
            With the ports of the last run.

        Raises
        ------
        LocalServiceError
            The folder was made for another number of brokers, or its layout can't be read.
        """
        file = self.path / "layout.json"
        try:
            layout = msgspec.json.decode(file.read_bytes(), type=Layout)
        except FileNotFoundError:
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            return Layout(brokers=brokers or 1, cluster_id=cluster, ports={})
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LocalServiceError(
                f"{file} can't be read ({error}), and without it the data in {self.path} can't be "
                "used. Restore it from a copy, or choose another folder with --data."
            ) from error
        if brokers not in (None, layout.brokers):
            raise LocalServiceError(
                f"{self.path} holds the data of {_count(layout.brokers)}, so it can't be started "
                f"with {_count(brokers or 1)}. Start it with --brokers {layout.brokers}, or choose "
                "another folder with --data."
            )
        return layout

    def save_layout(self, layout: Layout) -> None:
        """Keep the layout for the next run.

        Parameters
        ----------
        layout : Layout
            What to keep.
        """
        write_whole(self.path / "layout.json", msgspec.json.format(msgspec.json.encode(layout)))

    def save_state(self, state: LocalState) -> None:
        """Say where the stack runs.

        Parameters
        ----------
        state : LocalState
            What to say.
        """
        write_whole(self.path / STATE_FILE, msgspec.json.format(msgspec.json.encode(state)))

    def close(self, *, remove: bool = False) -> None:
        """Take the state file away and let the folder go.

        Parameters
        ----------
        remove : bool, default False
            Also remove the folder with all that is in it.
        """
        with suppress(OSError):
            (self.path / STATE_FILE).unlink(missing_ok=True)
        if remove:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def holder(path: Path) -> psutil.Process | None:
    """Return the process that keeps the stack of a folder, if it lives.

    Parameters
    ----------
    path : Path
        The data folder, which is locked.

    Returns
    -------
    psutil.Process or None
        None while its servers end without it.
    """
    try:
        known = msgspec.json.decode((path / "lock").read_bytes(), type=LocalProcess)
        process = psutil.Process(known.pid)
        return process if abs(process.create_time() - known.started) < 2 else None
    except (OSError, msgspec.DecodeError, psutil.Error):
        return None


def _count(brokers: int) -> str:
    return "one broker" if brokers == 1 else f"{brokers} brokers"


def new_ephemeral() -> Path:
    """Return a new folder for a stack that keeps nothing.

    Removes what stacks left that were killed before they could do so themselves.

    Returns
    -------
    Path
        Empty, in the system's folder for temporary files.
    """
    path = Path(tempfile.mkdtemp(prefix=_EPHEMERAL)).resolve()
    for old in path.parent.glob(f"{_EPHEMERAL}*"):
        with suppress(OSError):
            # A minute: one that is just being made is not locked yet.
            if old.stat().st_mtime < time.time() - 60 and (old / "lock").is_file():
                lock = lock_file(old / "lock")
                if lock is not None:
                    shutil.rmtree(old, ignore_errors=True)
                    os.close(lock)
    return path


def free_ports(
    names: Iterable[str], last: dict[str, int], address: str = "127.0.0.1"
) -> dict[str, int]:
    """Return a free port for each name, the last one where it is free still.

    New ones lie below the range from which systems take ports for outgoing connections, so that
    the next run finds them free.

    Parameters
    ----------
    names : iterable of str
        Names of servers.
    last : dict of str to int
        Ports of the last run.
    address : str, default "127.0.0.1"
        Where they are to be free, besides 127.0.0.1.

    Returns
    -------
    dict of str to int
        All different.
    """
    ports: dict[str, int] = {}
    for name in names:
        port = last.get(name, 0)
        while not port or port in ports.values() or not _are_free(port, address):
            port = random.randrange(20_000, 32_000)  # noqa: S311 - a port is no secret
        ports[name] = port
    return ports


def _are_free(port: int, address: str) -> bool:
    return all(_is_free(port, each) for each in {"127.0.0.1", address})


def _is_free(port: int, address: str) -> bool:
    with socket.socket() as listener:
        if sys.platform != "win32":  # else ports of connections just closed would count as taken
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError:
            return False
        return True
