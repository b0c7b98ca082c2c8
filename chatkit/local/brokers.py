"""How Kafka's processes are set up, formatted and asked whether they work."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatkit.local.listening import LOOPBACK, Listening

__all__ = [
    "Node",
    "answers",
    "environment",
    "format_command",
    "listens",
    "nodes",
    "properties_text",
    "run_command",
    "server_properties",
]

CONTROLLER = "controller"
"""Name of the port on which the controllers agree, whichever process listens there."""
LARGEST_RECORD = 6 * 1024 * 1024
"""Bytes: an attachment of 4 MiB in base64 and some room."""


@dataclass(frozen=True)
class Node:
    """One process of Kafka: a broker, a controller, or both in one."""

    id: int
    """Kafka's ``node.id``; brokers count from 1."""
    name: str
    """Name of its folder, log and properties file."""
    roles: tuple[str, ...]
    """``broker``, ``controller`` or both."""
    heap: int
    """Java's heap, MiB."""

    @property
    def is_broker(self) -> bool:
        """Whether clients talk to it."""
        return "broker" in self.roles


def nodes(brokers: int) -> list[Node]:
    """Return the processes of a cluster.

    Parameters
    ----------
    brokers : int
        1: one process is broker and controller. More: the controller is a process of its own, so
        that the cluster can still decide when all brokers but one are down.

    Returns
    -------
    list of Node
        Brokers first.
    """
    if brokers == 1:
        return [Node(1, "broker-1", ("broker", "controller"), 256)]
    return [
        *(Node(number, f"broker-{number}", ("broker",), 192) for number in range(1, brokers + 1)),
        Node(100, CONTROLLER, ("controller",), 128),
    ]


def server_properties(
    node: Node,
    brokers: int,
    ports: Mapping[str, int],
    extra: Mapping[str, str],
    listening: Listening = LOOPBACK,
) -> dict[str, str]:
    """Return the contents of a node's properties file.

    Parameters
    ----------
    node : Node
        Whose file.
    brokers : int
        Number of brokers in the cluster.
    ports : mapping of str to int
        Port of each server by name, and of ``controller``.
    extra : mapping of str to str
        Properties that win over ours.
    listening : Listening, default LOOPBACK
        Where clients reach the brokers; controllers stay on 127.0.0.1.

    Returns
    -------
    dict of str to str
        Paths are relative to the data folder.
    """
    voter = next(each for each in nodes(brokers) if "controller" in each.roles)
    replicas = str(min(3, brokers))
    listeners = []
    if node.is_broker:
        listeners.append(f"PLAINTEXT://{listening.address}:{ports[node.name]}")
    if "controller" in node.roles:
        listeners.append(f"CONTROLLER://127.0.0.1:{ports[CONTROLLER]}")
    properties = {
        "node.id": str(node.id),
        "process.roles": ",".join(node.roles),
        "controller.quorum.voters": f"{voter.id}@127.0.0.1:{ports[CONTROLLER]}",
        "controller.listener.names": "CONTROLLER",
        "listeners": ",".join(listeners),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": node.name,
        # Channels are made on purpose, never by a misspelt name.
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": "2" if brokers >= 3 else "1",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "2" if brokers >= 3 else "1",
        "message.max.bytes": str(LARGEST_RECORD),
        "replica.fetch.max.bytes": str(LARGEST_RECORD),
        "group.initial.rebalance.delay.ms": "0",
        # A broker that was killed may come back only when its session is over: by default 9 s.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # What follows makes it small: a laptop runs up to four of these.
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.num.partitions": "3",
        "share.coordinator.state.topic.num.partitions": "3",
        "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
        "log.index.size.max.bytes": str(1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "4",
    }
    if node.is_broker:
        properties["advertised.listeners"] = f"PLAINTEXT://{listening.host}:{ports[node.name]}"
    return {**properties, **extra}


def properties_text(properties: Mapping[str, str]) -> str:
    r"""Return properties in Java's file format.

    Parameters
    ----------
    properties : mapping of str to str
        Any text.

    Returns
    -------
    str
        ASCII, one ``name=value`` a line.
    """
    return "".join(f"{_escape(name)}={_escape(value)}\n" for name, value in properties.items())


def _escape(text: str) -> str:
    return "".join(
        f"\\{character}"
        if character in "\\=:#! "
        else character
        if " " < character <= "~"
        else "".join(f"\\u{unit:04x}" for unit in _utf16(character))
        for character in text
    )


def _utf16(character: str) -> Sequence[int]:
    code = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(code[at : at + 2]) for at in range(0, len(code), 2)]


def run_command(java: Path, node: Node, options: Sequence[str] = ()) -> list[str]:
    """Return the command line of a node, to be run in the data folder.

    Parameters
    ----------
    java : Path
        The Java.
    node : Node
        Which.
    options : sequence of str, default ()
        More options for Java.

    Returns
    -------
    list of str
        Needs `environment`.
    """
    return [
        str(java),
        f"-Xms{node.heap // 2}m",
        f"-Xmx{node.heap}m",
        *_QUICK_START,
        *options,
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        *_LOGGING,
        "kafka.Kafka",
        f"config/{node.name}.properties",
    ]


def format_command(
    java: Path, node: Node, cluster_id: str, options: Sequence[str] = ()
) -> list[str]:
    """Return the command line that prepares a node's empty folder.

    Parameters
    ----------
    java : Path
        The Java.
    node : Node
        Which.
    cluster_id : str
        Kafka's id of the cluster.
    options : sequence of str, default ()
        More options for Java.

    Returns
    -------
    list of str
        To be run in the data folder; needs `environment`.
    """
    return [
        str(java),
        "-Xmx96m",
        *_QUICK_START,
        *options,
        *_LOGGING,
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster_id}",  # in one word, since an id may begin with a dash
        "--config",
        f"config/{node.name}.properties",
        "--ignore-formatted",
    ]


def environment(jars: Sequence[Path]) -> dict[str, str]:
    """Return the variables that Kafka's programs need.

    Parameters
    ----------
    jars : sequence of Path
        Kafka's jars.

    Returns
    -------
    dict of str to str
        The class path; as a variable it keeps command lines short enough to read.
    """
    return {"CLASSPATH": os.pathsep.join(map(str, jars))}


def answers(port: int, node_id: int, address: str = "127.0.0.1") -> bool:
    """Return whether a broker serves clients: it answers, and the cluster counts it in.

    Parameters
    ----------
    port : int
        The broker's port.
    node_id : int
        The broker.
    address : str, default "127.0.0.1"
        Where it listens.

    Returns
    -------
    bool
        Also False if nothing listens.
    """
    if not listens(port, address):
        return False
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError
    from kafka.net.compat import KafkaNetClient

    clients = []

    def make_client(**settings: Any) -> Any:
        clients.append(KafkaNetClient(**settings))
        return clients[-1]

    try:
        admin = KafkaAdminClient(
            bootstrap_servers=f"{address}:{port}",
            bootstrap_timeout_ms=1000,
            request_timeout_ms=1000,
            kafka_client=make_client,
        )
    except KafkaError:
        for client in clients:  # the constructor that failed leaves its thread running
            client.close()
            client._net.stop()
        return False
    try:
        known = admin.describe_cluster()["brokers"]
        return any(each["broker_id"] == node_id and not each["is_fenced"] for each in known)
    except KafkaError:
        return False
    finally:
        admin.close()


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Return whether a process accepts connections.

    Parameters
    ----------
    port : int
        Its port.
    address : str, default "127.0.0.1"
        Where it is to listen.

    Returns
    -------
    bool
        All that can be asked of a controller apart: clients have no business with it.
    """
    try:
        socket.create_connection((address, port), timeout=0.5).close()
    except OSError:
        return False
    return True


# Serial collector and C1 only: half the time to start, a third of the memory, and still several
# times what a Python client can send.
_QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    # The values of all settings, some 400 lines at each start
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",
    # An unpacked Kafka brings log4j instead
    "-Dlog4j2.level=INFO",
)
