"""LocalStack: Kafka and mongod of one data folder, from start to end."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import psutil
from pydantic import SecretStr

from chatkit.errors import LocalServiceError, SettingsError
from chatkit.local import brokers as kafka
from chatkit.local import mongod
from chatkit.local.archive import ClassArchive
from chatkit.local.folder import DataFolder, free_ports, new_ephemeral
from chatkit.local.jars import kafka_jars
from chatkit.local.java import find_java
from chatkit.local.listening import Listening, find_listening
from chatkit.local.logs import log_end
from chatkit.local.server import OWN_SESSION, POLL, START_TIMEOUT, STOP_TIMEOUT, LocalServer
from chatkit.settings import LocalProcess, LocalState, Settings

__all__ = ["LocalStack"]

logger = logging.getLogger(__name__)


class LocalStack:
    """Kafka and mongod on this machine, keeping their data in one folder.

    Whoever makes it stops it: it is a context manager, and nothing runs before `start`. The
    servers end when this process ends, whatever ends it. Methods may be called from any thread.

    Parameters
    ----------
    settings : Settings, optional
        Names ``data_dir``, ``cache_dir``, ``database`` and where Kafka and Java come from.
        Default: the environment's.
    brokers : int, optional
        1, or 3 with a controller apart. Default: what the folder was made with, 1 if it is new.
    ephemeral : bool, default False
        Keep everything in a new folder that is removed at the end.
    listen : str, optional
        An address of this machine, or a name of it, at which others may use Kafka: whoever gets
        there reads, writes and deletes everything. mongod stays on 127.0.0.1. Default: Kafka does.
    kafka_properties : mapping of str to str, optional
        Kafka's own properties for every node, for example ``broker.session.timeout.ms``.
    progress : callable, optional
        Told in lines of text what takes time. Default: nobody is.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        brokers: int | None = None,
        ephemeral: bool = False,
        listen: str | None = None,
        kafka_properties: Mapping[str, str] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        if brokers not in (None, 1, 3):
            raise SettingsError(f"A local stack has 1 broker or 3, not {brokers}.")
        self._given = settings or Settings()
        self._wanted_brokers = brokers
        self._ephemeral = ephemeral
        self._listen = listen
        self._kafka_properties = dict(kafka_properties or {})
        self._progress = progress or logger.info
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._folder: DataFolder | None = None
        self._servers: list[LocalServer] = []
        self._archive: ClassArchive | None = None
        self._state: LocalState | None = None
        self._announcing = threading.Lock()
        self._announced = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<LocalStack {self._state.data_dir if self._state else 'not running'}>"

    @property
    def state(self) -> LocalState:
        """Addresses, folder and processes of the running stack."""
        if self._state is None:
            raise RuntimeError("The local stack is not running: call start() first.")
        return self._state

    @property
    def settings(self) -> Settings:
        """The given settings, pointed at the running stack."""
        return self._given.model_copy(
            update={
                "bootstrap_servers": self.state.bootstrap_servers,
                "security_protocol": "PLAINTEXT",
                "mongo_uri": SecretStr(self.state.mongo_uri),
                "data_dir": Path(self.state.data_dir),
            }
        )

    @property
    def brokers(self) -> list[LocalServer]:
        """The Kafka brokers; ``node.id`` is the index plus one."""
        return [server for server in self._running() if server.name.startswith("broker-")]

    @property
    def kafka(self) -> LocalServer:
        """The first Kafka broker."""
        return self.brokers[0]

    @property
    def controller(self) -> LocalServer | None:
        """Kafka's controller where it is a process of its own, with three brokers."""
        return next((each for each in self._running() if each.name == kafka.CONTROLLER), None)

    @property
    def mongod(self) -> LocalServer:
        """The mongod."""
        return next(server for server in self._running() if server.name == "mongod")

    def start(self) -> None:
        """Start the servers and return when all of them answer; nothing happens if they run.

        Raises
        ------
        LocalServiceError
            Something can't be fetched, found or started, a stack runs in the folder already, or
            the folder is for another number of brokers. Nothing is left running.
        SettingsError
            Brokers can't listen where they are to. Nothing was started.
        """
        with self._lock:
            if self._folder is not None:
                return
            listening = find_listening(self._listen)
            self._ended.clear()
            path = self._given.data_dir
            if self._ephemeral:
                path = new_ephemeral()
            try:
                self._folder = DataFolder(path)
                self._start(self._folder, listening)
            except OSError as error:
                self.stop()
                raise LocalServiceError(
                    f"The local stack can't write to {path}: {error}. Make room or make it "
                    "writable, or choose another folder with --data or CHATKIT_DATA_DIR."
                ) from error
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End the servers, brokers before their controller; nothing happens if none runs.

        Takes at most about a minute; a server that does not end by itself is killed.
        """
        with self._lock:
            folder = self._folder
            if folder is None:
                return
            with self._announcing:
                self._announced = False
            ended = set()
            last = [server for server in self._servers if server.name == kafka.CONTROLLER]
            for group in ([server for server in self._servers if server not in last], last):
                for server in group:
                    server.ask_to_stop()
                end = time.monotonic() + STOP_TIMEOUT
                for server in group:
                    if server.close(max(0, end - time.monotonic())):
                        ended.add(server.name)
            if self._archive is not None:
                self._archive.keep("broker-1" in ended)
            folder.close(remove=self._ephemeral)
            self._folder = None
            self._servers = []
            self._state = None
            self._ended.set()

    def wait(self) -> None:
        """Block until `stop` was called from another thread, or a server died.

        Raises
        ------
        LocalServiceError
            A server ended that nobody stopped or killed through this object; the text ends with
            its log. The others still run: `stop` is up to you.
        """
        while not self._ended.wait(0.2):
            for server in self._servers:
                if server.has_died():
                    raise LocalServiceError(
                        f"{server.name} ended unexpectedly. Start the stack again: the data in "
                        f"{self.state.data_dir} are kept.\n{log_end(server.log)}"
                    )

    def _running(self) -> list[LocalServer]:
        if self._state is None:
            raise RuntimeError("The local stack is not running: call start() first.")
        return self._servers

    def _start(self, folder: DataFolder, listening: Listening) -> None:
        layout = folder.layout(self._wanted_brokers)
        program = mongod.find_mongod()
        java = find_java(self._given)
        jars = kafka_jars(self._given, self._progress)
        archive = ClassArchive(self._given.cache_dir / "java", java, jars)
        nodes = kafka.nodes(layout.brokers)
        names = ["mongod", *(node.name for node in nodes)]
        ports = free_ports(
            dict.fromkeys([*names, kafka.CONTROLLER]), layout.ports, listening.address
        )
        folder.save_layout(msgspec.structs.replace(layout, ports=ports))
        for log in (folder.path / "logs").glob("*.log"):
            log.unlink()

        self._servers = [
            self._server(
                folder,
                "mongod",
                mongod.command(program, ports["mongod"]),
                ports["mongod"],
                lambda: mongod.answers(ports["mongod"]),
            )
        ]
        (folder.path / "mongod").mkdir(exist_ok=True)
        self._progress(f"Starting mongod and Kafka in {folder.path}")
        self._servers[0].spawn()
        environment = kafka.environment(jars)
        for node in nodes:
            properties = kafka.server_properties(
                node, layout.brokers, ports, self._kafka_properties, listening
            )
            (folder.path / "config" / f"{node.name}.properties").write_text(
                kafka.properties_text(properties), encoding="ascii"
            )
        new = [node for node in nodes if not (folder.path / node.name / "meta.properties").exists()]
        _run_all(
            {
                node.name: kafka.format_command(java, node, layout.cluster_id, archive.use())
                for node in new
            },
            folder.path,
            environment,
        )
        self._archive = archive
        for node in nodes:
            port = ports[node.name]
            options = archive.use_or_write() if node is nodes[0] else archive.use()
            self._servers.append(
                self._server(
                    folder,
                    node.name,
                    kafka.run_command(java, node, options),
                    port,
                    _readiness(node, port, listening.address),
                    environment,
                    host=listening.host if node.is_broker else "127.0.0.1",
                )
            )
            self._servers[-1].spawn()
        waiting = list(self._servers)
        while waiting:
            waiting = [server for server in waiting if not server.is_ready()]
            time.sleep(POLL)
        addresses = [f"{listening.host}:{ports[node.name]}" for node in nodes if node.is_broker]
        self._state = LocalState(
            bootstrap_servers=",".join(addresses),
            mongo_uri=f"mongodb://127.0.0.1:{ports['mongod']}",
            database=self._given.database,
            data_dir=str(folder.path),
            processes={},
        )
        with self._announcing:
            self._announced = True
        self._announce()

    def _announce(self) -> None:
        """Say in the state file which processes there are; one killed on purpose is none."""
        with self._announcing:
            if not self._announced or self._folder is None or self._state is None:
                return
            me = psutil.Process()
            processes = {"supervisor": LocalProcess(me.pid, me.create_time())}
            for server in self._servers:
                if (process := server.process) is not None:
                    processes[server.name] = process
            self._state = msgspec.structs.replace(self._state, processes=processes)
            self._folder.save_state(self._state)

    def _server(
        self,
        folder: DataFolder,
        name: str,
        command: list[str],
        port: int,
        answers: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        *,
        host: str = "127.0.0.1",
    ) -> LocalServer:
        return LocalServer(
            name,
            command,
            address=f"{host}:{port}",
            folder=folder.path,
            log=folder.path / "logs" / f"{name}.log",
            environment=environment or {},
            answers=answers,
            keep_open=(folder.lock,),
            changed=self._announce,
        )


def _readiness(node: kafka.Node, port: int, address: str) -> Callable[[], bool]:
    if node.is_broker:
        return lambda: kafka.answers(port, node.id, address)
    return lambda: kafka.listens(port)


def _run_all(
    commands: Mapping[str, list[str]], folder: Path, environment: Mapping[str, str]
) -> None:
    """Run the commands side by side; each must succeed."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    end = time.monotonic() + START_TIMEOUT
    try:
        for name, command in commands.items():
            log = folder / "logs" / f"format-{name}.log"
            with log.open("wb") as output:
                running[name] = subprocess.Popen(
                    command,
                    cwd=folder,
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    **OWN_SESSION,
                )
        for name, process in running.items():
            try:
                code = process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                code = None
            if code != 0:
                log = folder / "logs" / f"format-{name}.log"
                reason = "took too long" if code is None else "failed"
                raise LocalServiceError(
                    f"Preparing {name}'s folder {reason}. Mend what its log says and start again."
                    f"\n{log_end(log)}"
                )
    finally:
        for process in running.values():
            process.kill()
            process.wait()
