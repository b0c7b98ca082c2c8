"""Dockerfile and docker-compose.yml, as far as they can be held without Docker.

Kafka's part is started for real: by the class with which the image turns its environment into
properties, with 127.0.0.1 and free ports in place of the containers' names and ports.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.lab import QUIET
from chatkit.local import LocalServer
from chatkit.local import brokers as kafka
from chatkit.local.folder import free_ports
from chatkit.local.jars import KAFKA, kafka_jars
from chatkit.local.java import find_java
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from tests.commands import environment
from tests.test_readme import COMMANDS
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
BROKERS = {
    "one": ["kafka"],
    "three": ["kafka-1", "kafka-2", "kafka-3"],
}
JUPYTERLAB = {"one": "jupyterlab", "three": "jupyterlab-three"}
# What bin/*.sh in an unpacked Kafka run
SCRIPTS = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-metadata-quorum.sh": "org.apache.kafka.tools.MetadataQuorumCommand",
}


def fill(text: Any, **variables: str) -> str:
    """Put variables into ``${NAME:-default}``, as Compose does."""
    text = str(text)
    while found := re.search(r"\$\{(\w+):-([^${}]*)\}", text):
        text = text.replace(found[0], variables.get(found[1]) or found[2])
    assert "$" not in text, f"no default in {text}"
    return text


def filled(service: str, **variables: str) -> dict[str, str]:
    """The environment of a service."""
    values = SERVICES[service].get("environment", {})
    return {name: fill(value, **variables) for name, value in values.items()}


def instructions(word: str) -> list[str]:
    """What follows an instruction in the Dockerfile's last stage."""
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    return [" ".join(line.split()) for line in re.findall(rf"^{word} (.*)$", last, re.MULTILINE)]


def closure(name: str) -> set[str]:
    """A service and all that Compose starts with it."""
    needed = SERVICES[name].get("depends_on", {})
    return {name}.union(*(closure(each) for each in needed))


def test_every_image_is_pinned() -> None:
    stages = set(re.findall(r" AS (\w+)", DOCKERFILE))
    (base,) = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) - stages
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)
    images = {service["image"] for name, service in SERVICES.items() if name not in OURS}
    assert f"apache/kafka:{KAFKA}" in images
    (other,) = images - {f"apache/kafka:{KAFKA}"}
    assert re.fullmatch(r"mongo:8\.\d+\.\d+", other)


def published(**variables: str) -> dict[tuple[str, str], tuple[str, int]]:
    """Service and port in the container, by address and port of this machine."""
    found = {}
    for name, service in SERVICES.items():
        for text in service.get("ports", ()):
            address, port, inner = fill(text, **variables).split(":")
            assert (address, port) not in found, f"{port} is published twice"
            found[address, port] = (name, int(inner))
    return found


def test_ports_are_published_to_this_machine_alone_unless_it_is_shared() -> None:
    assert {address for address, _ in published()} == {"127.0.0.1"}
    assert published()["127.0.0.1", "9092"][0] == "kafka"  # where chatkit looks by default
    assert published()["127.0.0.1", "27017"][0] == "mongodb"
    shared = published(SHARE_ADDRESS="192.0.2.10")
    local = {service for (address, _), (service, _) in shared.items() if address == "127.0.0.1"}
    assert local == set(JUPYTERLAB.values())


def test_a_shared_kafka_tells_its_clients_the_shared_address() -> None:
    for (address, port), (service, _) in published(SHARE_ADDRESS="192.0.2.10").items():
        listeners = filled(service, SHARE_ADDRESS="192.0.2.10").get("KAFKA_ADVERTISED_LISTENERS")
        if listeners is not None:
            assert listeners.endswith(f"HOST://{address}:{port}")


@pytest.mark.parametrize("service", OURS)
def test_every_setting_of_chatkit_is_one_and_valid(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = filled(service, USER="ana")
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    for name in values:
        if name.startswith("CHATKIT_"):
            assert str(getattr(settings, name.removeprefix("CHATKIT_").lower()))
    assert not re.search("CHATKIT_", " ".join(instructions("ENV")))
    if service in JUPYTERLAB.values():
        assert settings.user == "ana"
        assert values["JUPYTER_TOKEN"] == ""
    assert {name for name in values if not name.startswith("CHATKIT_")} <= {
        "JUPYTER_TOKEN",
        "JUPYTER_PORT",
    }


@pytest.mark.parametrize("cluster", BROKERS)
def test_a_workbench_reaches_its_own_brokers_and_starts_only_those(cluster: str) -> None:
    lab = JUPYTERLAB[cluster]
    started = closure(lab)
    assert {name for name in started if name.startswith("kafka")} == set(BROKERS[cluster])
    wanted = {f"{name}:19092" for name in BROKERS[cluster]}
    databases = set()
    for name in started.intersection(OURS):
        values = filled(name)
        assert set(values["CHATKIT_BOOTSTRAP_SERVERS"].split(",")) == wanted
        assert values["CHATKIT_MONGO_URI"] == "mongodb://mongodb:27017"
        databases.add(values.get("CHATKIT_DATABASE", "chatkit"))
    assert len(databases) == 1
    assert started - {"mongodb"} == {
        name
        for name, service in SERVICES.items()
        if service.get("profiles", ["one"]) == [cluster] and name != "mongodb"
    }


def test_services_start_in_the_order_of_health() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            profiles = SERVICES[needed].get("profiles")
            assert profiles in (None, service.get("profiles"))
            if how["condition"] == "service_healthy":
                assert SERVICES[needed]["healthcheck"]["test"][0] == "CMD"
            else:
                assert how["condition"] == "service_started"
        if name in OURS:
            servers = [needed for needed in service["depends_on"] if needed not in OURS]
            conditions = {service["depends_on"][needed]["condition"] for needed in servers}
            assert conditions == {"service_healthy"}


def test_what_must_stay_is_in_volumes() -> None:
    mounts = {}
    for name, service in SERVICES.items():
        for text in service.get("volumes", ()):
            volume, folder = text.split(":")
            mounts[name] = folder
            assert volume in COMPOSE["volumes"]
    assert mounts.pop("mongodb") == "/data/db"
    for name in JUPYTERLAB.values():
        assert mounts.pop(name) == "/home/chatkit/chatkit-notebooks"
    for name, folder in mounts.items():
        assert SERVICES[name]["environment"]["KAFKA_LOG_DIRS"] == folder
    assert len(mounts) == 5


def test_the_image_runs_as_nobody_special_in_a_folder_of_its_own() -> None:
    (user,) = instructions("USER")
    (made,) = [line for line in instructions("RUN") if "useradd" in line]
    assert re.search(rf"useradd --create-home --uid [1-9]\d+ {user} ", made)
    assert f"-o {user} -g {user} /home/chatkit/chatkit-notebooks" in made
    assert instructions("WORKDIR") == ["/home/chatkit"]


def test_the_build_is_given_what_the_wheel_is_made_of_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    wanted |= {*wheel["packages"], *wheel["force-include"]}
    assert {line[1:] for line in lines if line.startswith("!")} == wanted


def test_the_dependencies_are_taken_from_pyproject(tmp_path: Path) -> None:
    (command,) = re.findall(r"^RUN (python -c .*) > requirements.txt$", DOCKERFILE, re.MULTILINE)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == tomllib.loads(text)["project"]["dependencies"]


def test_every_command_of_chatkit_exists() -> None:
    words = [SERVICES[name]["command"] for name in OURS if "command" in SERVICES[name]]
    assert words
    for command in words:
        assert " ".join(command) in COMMANDS


def test_the_image_opens_jupyterlab_and_its_health_check_sees_that(tmp_path: Path) -> None:
    (command,) = instructions("CMD")
    (health,) = re.findall(r"CMD (python .*)", instructions("HEALTHCHECK")[0])
    assert set(QUIET) <= set(shlex.split(command))
    port = free_ports(["lab"], {})["lab"]
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "JUPYTER_PORT": str(port),
        "JUPYTER_TOKEN": "",
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }

    def is_healthy() -> bool:
        checked = subprocess.run(["sh", "-c", health], env=env, stderr=subprocess.DEVNULL)
        return checked.returncode == 0

    assert not is_healthy()
    assert "--ServerApp.ip=0.0.0.0" in command
    command = command.replace("0.0.0.0", "127.0.0.1")  # no test listens to other machines
    if os.geteuid() == 0:
        command += " --allow-root"
    log = tmp_path / "log"
    with log.open("wb") as output:
        lab = subprocess.Popen(
            ["sh", "-c", command], env=env, cwd=tmp_path, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: is_healthy() or lab.poll() is not None, 60)
        address = re.search(
            r"http://127\.0\.0\.1:\d+(/lab/tree/01-chat\.ipynb\?token=\w+)", log.read_text()
        )
        assert address, log.read_text()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for page, status in ((address[1], 200), ("/api/contents/01-chat.ipynb", 403)):
            connection.request("GET", page)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
        token = address[1].partition("?")[2]
        asked = "/lab/api/settings/@jupyterlab/apputils-extension:notification"
        connection.request("GET", f"{asked}?{token}")
        asks = json.loads(connection.getresponse().read())["schema"]["properties"]
        assert asks["fetchNews"]["default"] == "false", "a newcomer would be asked about news"
        connection.close()
    finally:
        lab.terminate()
        assert lab.wait(30) == 0


def test_the_archivers_health_check_sees_whether_there_is_one(
    settings: Settings, archiver_factory: Callable[..., Archiver]
) -> None:
    kind, *command = SERVICES["archiver"]["healthcheck"]["test"]
    assert (kind, command[0]) == ("CMD", "python")

    def is_healthy() -> bool:
        checked = subprocess.run(
            [sys.executable, *command[1:]], env=environment(settings), stderr=subprocess.DEVNULL
        )
        return checked.returncode == 0

    assert not is_healthy()
    archiver = archiver_factory()
    wait_until(is_healthy, 30)
    archiver.stop()
    assert not is_healthy()


class Kafka:
    """The Kafka services that a workbench needs, running on 127.0.0.1."""

    def __init__(self, names: list[str], folder: Path) -> None:
        self.names = names
        self.folder = folder
        inner = {
            (name, port)
            for name in names
            for port in re.findall(r":(\d+)", SERVICES[name]["environment"]["KAFKA_LISTENERS"])
        }
        ports = free_ports([f"{name}:{port}" for name, port in sorted(inner)], {})
        self.ports = {(name, int(port)): ports[f"{name}:{port}"] for name, port in inner}

    def port(self, service: str, host: str, port: str) -> int:
        """What an address that a service writes has here."""
        if ("127.0.0.1", port) in published() and host == "127.0.0.1":
            return self.ports[published()["127.0.0.1", port]]
        own = host in {"", "localhost"}
        return self.ports[service if own else host, int(port)]

    def here(self, service: str, text: str) -> str:
        """Text with every address replaced by that which it has here."""
        return re.sub(
            r"(^|//|@)([\w.-]*):(\d+)",
            lambda found: f"{found[1]}127.0.0.1:{self.port(service, found[2], found[3])}",
            text,
        )

    def advertised(self, service: str) -> dict[str, int]:
        """Port here of each listener that clients and brokers are sent to."""
        text = filled(service).get("KAFKA_ADVERTISED_LISTENERS", "")
        return {
            name: self.port(service, host, port)
            for name, host, port in re.findall(r"(\w+)://([\w.-]*):(\d+)", text)
        }

    def environment(self, service: str) -> dict[str, str]:
        """The container's environment, here."""
        values = {name: self.here(service, value) for name, value in filled(service).items()}
        values["KAFKA_LOG_DIRS"] = str(self.folder / service / "data")
        clean = {name: value for name, value in os.environ.items() if "KAFKA" not in name}
        return {**clean, **values, **kafka.environment(kafka_jars(Settings(), print))}

    def java(self, service: str) -> list[str]:
        """The beginning of a command line."""
        heap = shlex.split(filled(service)["KAFKA_HEAP_OPTS"])
        return [str(find_java(Settings())), *heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]

    def set_up(self) -> None:
        """Write the properties and format the folders, as the image does."""
        running = []
        for name in self.names:
            folders = {}
            for kind in ("default", "mounted", "final"):
                folders[kind] = self.folder / name / kind
                folders[kind].mkdir(parents=True)
            arguments = [f"--{kind}-configs-dir={path}" for kind, path in folders.items()]
            command = [*self.java(name), "kafka.docker.KafkaDockerWrapper", "setup", *arguments]
            running.append(
                subprocess.Popen(
                    command,
                    env=self.environment(name),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        for process in running:
            said, _ = process.communicate(timeout=60)
            assert process.returncode == 0, said

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Start all, and stop all at the end."""
        self.set_up()
        servers = []
        try:
            for name in self.names:
                port = self.advertised(name).get("HOST")
                number = int(filled(name)["KAFKA_NODE_ID"])
                servers.append(
                    LocalServer(
                        name,
                        [*self.java(name), "kafka.Kafka", "final/server.properties"],
                        address=f"127.0.0.1:{port}",
                        folder=self.folder / name,
                        log=self.folder / f"{name}.log",
                        environment=self.environment(name),
                        answers=lambda port=port, number=number: (
                            port is None or kafka.answers(port, number)
                        ),
                    )
                )
                servers[-1].spawn()
            wait_until(lambda: all(server.is_ready() for server in servers), 60)
            yield
        finally:
            # Brokers first: without their controller they would wait for it.
            for server in sorted(servers, key=lambda server: server.name == "controller"):
                server.stop()

    def is_healthy(self, service: str) -> bool:
        """Run the health check of a service."""
        kind, script, *arguments = SERVICES[service]["healthcheck"]["test"]
        assert kind == "CMD"
        program = SCRIPTS[script.removeprefix("/opt/kafka/bin/")]
        done = subprocess.run(
            [*self.java(service), program, *(self.here(service, each) for each in arguments)],
            env=self.environment(service),
            capture_output=True,
            timeout=60,
        )
        return done.returncode == 0


@pytest.mark.parametrize("cluster", BROKERS)
def test_kafka_answers_on_both_listeners(cluster: str, tmp_path: Path) -> None:
    needed = closure(JUPYTERLAB[cluster])
    names = [name for name in SERVICES if name in needed and "kafka" in SERVICES[name]["image"]]
    brokers = BROKERS[cluster]
    here = Kafka(names, tmp_path)
    with here.run():
        addresses = {}
        for listener in ("INTERNAL", "HOST"):
            ports = {name: here.advertised(name)[listener] for name in brokers}
            addresses[listener] = ",".join(f"127.0.0.1:{port}" for port in ports.values())
            for port in ports.values():
                admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
                told = admin.describe_cluster()["brokers"]
                assert {each["port"] for each in told} == set(ports.values())
                admin.close()
        _check_settings(here, brokers[-1])

        outside = Settings(bootstrap_servers=addresses["HOST"])
        inside = Settings(bootstrap_servers=addresses["INTERNAL"])
        with Channels(outside) as channels, ChatProducer(inside) as producer:
            info = channels.create("general")
            assert info.replicas == len(brokers)
            message = Message.new("general", "ana", "hello")
            producer.send(message).result(20)
            assert channels.offsets(info)[0].end == 1
        for name in {names[0], names[-1]}:
            assert here.is_healthy(name)


def _check_settings(here: Kafka, service: str) -> None:
    """Hold every property against what Kafka says that it runs with."""
    written = (here.folder / service / "final" / "server.properties").read_text().split()
    number = filled(service)["KAFKA_NODE_ID"]
    port = here.advertised(service)["HOST"]
    admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
    told = admin.describe_configs(
        [ConfigResource(ConfigResourceType.BROKER, number)], config_filter="all"
    )["broker"][number]
    admin.close()
    assert len(written) > 15
    for name, value in (line.split("=", 1) for line in written):
        assert told[name]["value"] == value  # a KeyError: no property of Kafka's
