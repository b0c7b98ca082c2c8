"""JupyterLab with all that the chat needs around it: local services, an archiver, the notebooks.

What is started here ends here, however it ends: each child has a guard (:mod:`chatkit.local.guard`)
and a session of its own, so Ctrl-C reaches this process alone, and it ends the others in order.
Knows processes and files; nothing of messages.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from chatkit.errors import LocalServiceError, SettingsError
from chatkit.local import LocalServer, LocalStack
from chatkit.local.folder import lock_file
from chatkit.services import Services
from chatkit.settings import Settings

__all__ = ["Lab", "notebook_folder"]

logger = logging.getLogger(__name__)

FIRST_NOTEBOOK = "01-chat.ipynb"
COPY = "chatkit-notebooks"
COPIED = ".copied.json"
"""Beside the copies: the checksum of what each was copied from."""
JUPYTER_STOP_SECONDS = 15.0
ARCHIVER_STOP_SECONDS = 15.0
LOOK_SECONDS = 0.2
RESTART_SECONDS = 3.0
"""Between two attempts to start again what has died."""

# JupyterLab is to ask no other machine for news, versions or extensions.
QUIET = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)
OWN_LOGS = "chatkit-lab-"
NOT_HANDED_ON = {"kafka_home", "java_home", "maven_url"}
"""Settings that only matter where the servers are started."""


def notebook_folder() -> tuple[Path, list[str]]:
    """Return the folder of notebooks to open, and which of them are newer in the package.

    In a checkout the notebooks themselves; else copies of those in the package, in the folder
    ``chatkit-notebooks`` here. What is there already may have been changed and stays: a copy is
    made only of what is missing.

    Raises
    ------
    LocalServiceError
        They can't be copied to here.
    """
    package = Path(__file__).parent
    in_checkout = package.parent / "notebooks"
    if in_checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return in_checkout, []
    here = Path.cwd()
    copy = here if here.name == COPY else here / COPY
    try:
        copy.mkdir(exist_ok=True)
        return copy, _copy_missing(package / "notebooks", copy)
    except OSError as error:
        raise LocalServiceError(
            f"The notebooks can't be copied to {copy}: {error}. Go to a folder of your own first"
        ) from error


def _copy_missing(package: Path, folder: Path) -> list[str]:
    """Copy what is missing, and return what the package has had a newer version of since."""
    kept = folder / COPIED
    try:
        copied = msgspec.json.decode(kept.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, ValueError):
        copied = {}
    newer = []
    for source in sorted(package.rglob("*")):
        name = source.relative_to(package).as_posix()
        target = folder / name
        if source.is_dir():
            target.mkdir(exist_ok=True)
            continue
        checksum = hashlib.sha256(source.read_bytes()).hexdigest()
        if not target.exists():
            shutil.copyfile(source, target)
            copied[name] = checksum
        elif copied.get(name, checksum) != checksum:
            newer.append(name)
    text = msgspec.json.format(msgspec.json.encode(copied))
    if not kept.exists() or kept.read_bytes() != text:
        kept.write_bytes(text)
    return newer


class Lab:
    """Local services if needed, an archiver and JupyterLab.

    Whoever makes it stops it: it is a context manager, and nothing runs before `start`. Use it from
    one thread.

    Parameters
    ----------
    services : Services
        What `find_services` found.
    port : int, optional
        Of JupyterLab. Default: 8888, or the next one that is free.
    browser : bool, default True
        Whether JupyterLab opens a browser.
    arguments : sequence of str, default ()
        Further arguments of ``jupyter lab``.
    progress : callable, optional
        Told in lines of text what is going on.
    """

    def __init__(
        self,
        services: Services,
        *,
        port: int | None = None,
        browser: bool = True,
        arguments: Sequence[str] = (),
        progress: Callable[[str], None] = logger.info,
    ) -> None:
        self._services = services
        self._port = port
        self._browser = browser
        self._arguments = list(arguments)
        self._progress = progress
        self._token = secrets.token_hex(16)  # short enough for an address on one line
        self._stack: LocalStack | None = None
        self._archiver: LocalServer | None = None
        self._jupyter: LocalServer | None = None
        self._runtime_file: Path | None = None
        self._tried: dict[str, float] = {}
        self._log_lock: int | None = None
        self.settings = services.settings
        """Where Kafka and MongoDB are; complete after `start`."""
        self.folder = Path()
        """The notebooks that JupyterLab shows; known after `start`."""
        self.newer: list[str] = []
        """Notebooks of which the package has a newer version than that folder."""
        self.logs = services.settings.data_dir / "logs" / "lab"
        """Folder with the logs of archiver and JupyterLab; known after `start`."""
        self.url = ""
        """Address of the first notebook, with the token that opens it; known after `start`."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and return when JupyterLab answers. If it raises, call `stop`.

        Raises
        ------
        LocalServiceError
            Something could not be started; the text ends with its log.
        SettingsError
            The port is in use.
        """
        if self._port is not None:
            _check_free(self._port)
        self.folder, self.newer = notebook_folder()
        if not self._services.running:
            stack = LocalStack(self._services.settings, progress=self._progress)
            self._stack = stack
            stack.start()
            self.settings = stack.settings
        self._progress("Starting the archiver and JupyterLab")
        self._take_logs()
        self._archiver = self._child(
            "archiver", ["-m", "chatkit", "archive"], _environment(self.settings), lambda: True
        )
        self._archiver.spawn()
        self._jupyter = self._child(
            "jupyterlab",
            self._jupyter_command(),
            self._jupyter_environment(),
            self._jupyter_answers,
        )
        self._jupyter.start()

    def wait(self) -> None:
        """Block while JupyterLab runs; what else dies meanwhile is started again.

        Raises
        ------
        LocalServiceError
            JupyterLab crashed; the text ends with its log. If somebody shut it down from within,
            this just returns.
        """
        jupyter = self._jupyter
        assert jupyter is not None
        while not jupyter.has_died():
            for server in self._others():
                if server.has_died():
                    self._restart(server)
            time.sleep(LOOK_SECONDS)
        if self._runtime_file is not None and self._runtime_file.exists():
            from chatkit.local.logs import log_end

            raise LocalServiceError(f"JupyterLab ended unexpectedly.\n{log_end(jupyter.log)}")

    def stop(self) -> None:
        """End all that was started, and only that, in order; idempotent.

        First JupyterLab with its kernels, then the archiver, which writes what it has read, then
        the servers.
        """
        for server, name, seconds in (
            (self._jupyter, "JupyterLab", JUPYTER_STOP_SECONDS),
            (self._archiver, "the archiver", ARCHIVER_STOP_SECONDS),
        ):
            if server is not None:
                if server.is_running():
                    self._progress(f"Stopping {name}")
                server.ask_to_stop()
                server.close(seconds)
        if self._stack is not None:
            self._progress("Stopping Kafka and MongoDB")
            self._stack.stop()
        self._jupyter = self._archiver = self._stack = None
        if self._log_lock is not None:
            os.close(self._log_lock)
            self._log_lock = None
        elif self.logs.name.startswith(OWN_LOGS):
            shutil.rmtree(self.logs, ignore_errors=True)

    def _take_logs(self) -> None:
        """Take the data folder's logs, or a folder of our own where others have taken them."""
        with contextlib.suppress(OSError):  # another user's
            self.logs.mkdir(parents=True, exist_ok=True)
            self._log_lock = lock_file(self.logs / "lock")
        if self._log_lock is None:
            self.logs = Path(tempfile.mkdtemp(prefix=OWN_LOGS))

    def _others(self) -> list[LocalServer]:
        stack = self._stack
        servers = [] if stack is None else [stack.mongod, *stack.brokers, stack.controller]
        return [server for server in (*servers, self._archiver) if server is not None]

    def _restart(self, server: LocalServer) -> None:
        now = time.monotonic()
        if now - self._tried.get(server.name, float("-inf")) < RESTART_SECONDS:
            return
        self._tried[server.name] = now
        self._progress(f"{server.name} has ended unexpectedly and is started again: {server.log}")
        try:
            server.start()
        except LocalServiceError as error:
            self._progress(str(error))

    def _child(
        self,
        name: str,
        arguments: list[str],
        environment: dict[str, str],
        answers: Callable[[], bool],
    ) -> LocalServer:
        log = self.logs / f"{name}.log"
        # JupyterLab's log holds the token.
        os.close(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        return LocalServer(
            name,
            [sys.executable, *arguments],
            address="127.0.0.1",
            folder=Path.cwd(),
            log=log,
            environment=environment,
            answers=answers,
        )

    def _jupyter_command(self) -> list[str]:
        command = ["-m", "jupyterlab", *QUIET, f"--ServerApp.root_dir={self.folder}"]
        if self._port is not None:
            command += [f"--ServerApp.port={self._port}", "--ServerApp.port_retries=0"]
        if not self._browser:
            command.append("--no-browser")
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # as in a container
            command.append("--allow-root")
        command += self._arguments
        if (self.folder / FIRST_NOTEBOOK).is_file():
            command.append(str(self.folder / FIRST_NOTEBOOK))
        return command

    def _jupyter_environment(self) -> dict[str, str]:
        from jupyter_core.paths import jupyter_config_path

        environment = _environment(self.settings)
        # In the environment, not on the command line, which other users can see.
        environment["JUPYTER_TOKEN"] = self._token
        # The kernel that has chatkit, also where the user has another one called python3.
        environment["JUPYTER_PREFER_ENV_PATH"] = "1"
        # Files, so that options win: to listen on 127.0.0.1, and not to offer news.
        ours = str(Path(__file__).parent / "jupyter")
        environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join([ours, *jupyter_config_path()])
        if self._services.local:
            # Kernels look where the local stack runs, for it may be started again elsewhere.
            environment |= {"CHATKIT_BOOTSTRAP_SERVERS": "", "CHATKIT_MONGO_URI": ""}
        return environment

    def _jupyter_answers(self) -> bool:
        info = self._server_info()
        if info is None:
            return False
        token = f"?token={info['token']}" if info.get("token") else ""
        page = "lab"
        if (self.folder / FIRST_NOTEBOOK).is_file():
            page += f"/tree/{FIRST_NOTEBOOK}"
        self.url = f"{info['url']}{page}{token}"
        return _page_answers(f"{info['url']}lab{token}")

    def _server_info(self) -> dict[str, Any] | None:
        """Return what JupyterLab says of itself, in a file, once it listens."""
        from jupyter_core.paths import jupyter_runtime_dir

        assert self._jupyter is not None
        for path in Path(jupyter_runtime_dir()).glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                info = json.loads(path.read_bytes())
                if info.get("pid") == self._jupyter.pid or info.get("token") == self._token:
                    self._runtime_file = path
                    return dict(info)
        return None


def _environment(settings: Settings) -> dict[str, str]:
    """Return variables that say what the settings say, for a process that runs elsewhere."""
    values = {}
    for name, value in settings:
        if value is None or name in NOT_HANDED_ON:
            continue
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        elif isinstance(value, Path):
            value = value.absolute()  # kernels run in another folder
        values[f"CHATKIT_{name.upper()}"] = str(value)
    return values


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SettingsError(
                f"JupyterLab can't listen on port {port}: {error.strerror}. Choose another with "
                "--port, or leave it out"
            ) from error


def _page_answers(url: str) -> bool:
    """Return whether a page is there, asking this machine itself and no proxy."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return True  # TLS, or a socket file: as the user's own arguments say
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=2)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
