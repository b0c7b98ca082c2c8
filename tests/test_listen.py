"""A local Kafka that a class uses: real brokers that listen where others reach them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient

from chatkit.channels import Channels
from chatkit.consumer import read_range
from chatkit.errors import LocalServiceError, SettingsError
from chatkit.local import LocalStack, start_detached, stop_running
from chatkit.local.brokers import nodes, server_properties
from chatkit.local.listening import LOOPBACK, Listening, find_listening, own_addresses
from chatkit.message import Message, Received
from chatkit.producer import ChatProducer
from chatkit.settings import LocalState, Settings, read_local_state
from chatkit.workshop.learner import Learner
from chatkit.workshop.upkeep import Upkeep
from tests.commands import Running, chatkit, running

ADDRESS = next(iter(own_addresses()), "127.0.0.2")
"""One of this machine's; where it has no network, another one than chatkit uses."""
WRONG = {
    "0.0.0.0": "must be one address, not all",
    "203.0.113.9": "203.0.113.9 is no address of this machine",
    "no-such-name.invalid": "does not lead to an address",
    "localhost": "which no other machine reaches",
    "::1": "give an IPv4 address",
    "": "does not lead to an address",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the class's Kafka."""
    return tmp_path_factory.mktemp("class")


@pytest.fixture(scope="module")
def teacher(folder: Path) -> Iterator[Running]:
    """The command of whoever has Kafka for the class, running."""
    arguments = ["up", "--brokers", "3", "--listen", ADDRESS, "--data", str(folder)]
    with running(*arguments) as command:
        command.line_with("MongoDB stays on", timeout=120)
        yield command
        assert command.end(signal.SIGINT, timeout=90) == 0


@pytest.fixture
def learner(teacher: Running, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that come from the lines that the command printed for everybody else."""
    for name in ("CHATKIT_BOOTSTRAP_SERVERS", "CHATKIT_WORKSHOP"):
        line = teacher.line_with(f"  {name}=")
        monkeypatch.setenv(*line.strip().split("=", 1))
    return Settings()


def addresses_of(pid: int) -> set[str]:
    """Where a process listens."""
    connections = psutil.Process(pid).net_connections()
    listening = [one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN]
    return {address.removeprefix("::ffff:") for address in listening}


def state_of(folder: Path) -> LocalState:
    state = read_local_state(folder)
    assert state is not None
    return state


def test_everybody_writes_and_reads_by_the_lines_that_are_printed(learner: Settings) -> None:
    assert learner.workshop == "shared"
    servers = learner.bootstrap_servers.split(",")
    assert len(servers) == 3
    assert {server.split(":")[0] for server in servers} == {ADDRESS}
    message = Message.new("general", "ana", "hello, class")
    with Channels(learner) as channels, ChatProducer(learner) as producer:
        channels.create("general")
        receipt = producer.send(message).result(20)
    (found,) = read_range(learner, "general", 0, receipt.offset, receipt.offset + 1)
    assert isinstance(found, Received)
    assert found.item == message


def test_it_tidies_up_as_quickly_as_a_notebooks_own(learner: Settings) -> None:
    with Learner(settings=learner) as corner:
        assert Upkeep.of(corner) == Upkeep(retention=1.0, compaction=0.5)


def test_every_broker_sends_its_clients_to_that_address(learner: Settings) -> None:
    for server in learner.bootstrap_servers.split(","):
        admin = KafkaAdminClient(bootstrap_servers=server)
        brokers = admin.describe_cluster()["brokers"]
        admin.close()
        told = [f"{one['host']}:{one['port']}" for one in brokers]
        assert sorted(told) == sorted(learner.bootstrap_servers.split(","))


@pytest.mark.usefixtures("teacher")
def test_only_the_brokers_listen_there(folder: Path) -> None:
    found = {
        name: addresses_of(process.pid)
        for name, process in state_of(folder).processes.items()
        if name != "supervisor"
    }
    assert found == {
        "mongod": {"127.0.0.1"},
        "controller": {"127.0.0.1"},
        **{f"broker-{number}": {ADDRESS} for number in (1, 2, 3)},
    }


def test_that_anybody_may_do_anything_is_said(teacher: Running, folder: Path) -> None:
    shown = chatkit("status", "--data", str(folder))
    for text in (teacher.text, shown.stdout + shown.stderr):
        warning = " ".join(text[text.index("WARNING") :].split())
        assert f"at {ADDRESS}, without authentication and without encryption" in warning
        assert "reads, writes and deletes everything" in warning
        assert "a network that you trust" in warning


def test_a_learners_machine_is_ready_without_mongodb(learner: Settings) -> None:
    text = chatkit("workshop", "check", env=os.environ).stdout
    assert learner.bootstrap_servers in text
    assert "mongodb" not in text
    assert text.splitlines()[-1] == "Ready for the workshop."


def test_a_stack_in_the_background_listens_there_once_and_then_no_more(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    shared = start_detached(settings, listen=ADDRESS)
    try:
        assert shared.bootstrap_servers.startswith(f"{ADDRESS}:")
        assert addresses_of(shared.processes["broker-1"].pid) == {ADDRESS, "127.0.0.1"}
    finally:
        stop_running(tmp_path)
    with LocalStack(settings) as stack:
        port = shared.bootstrap_servers.split(":")[1]
        assert stack.state.bootstrap_servers == f"127.0.0.1:{port}"
        assert addresses_of(stack.state.processes["broker-1"].pid) == {"127.0.0.1"}
        assert "WARNING" not in chatkit("status", "--data", str(tmp_path)).stderr


@pytest.mark.parametrize("given", WRONG)
def test_a_wrong_address_is_told_before_anything_starts(given: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for more in ([], ["--detach"]):
        done = chatkit("up", "--data", str(data), "--listen", given, *more, code=1)
        assert WRONG[given] in done.stderr
        assert "Traceback" not in done.stderr
        assert all(address in done.stderr for address in own_addresses())
    with pytest.raises(SettingsError, match=r"--listen"):
        LocalStack(Settings(data_dir=data), listen=given).start()
    with pytest.raises(LocalServiceError, match=r"--listen"):
        start_detached(Settings(data_dir=data), listen=given)
    assert not data.exists()


def test_without_the_option_nothing_is_heard_from_outside() -> None:
    assert find_listening(None) == LOOPBACK
    for node in nodes(3):
        ports = {"broker-1": 1, "broker-2": 2, "broker-3": 3, "controller": 4}
        properties = server_properties(node, 3, ports, {})
        assert all("//127.0.0.1:" in one for one in properties["listeners"].split(","))


def test_a_name_is_what_clients_are_told() -> None:
    node = nodes(1)[0]
    by_name = Listening(address=ADDRESS, host="kafka.example")
    ports = {"broker-1": 23001, "controller": 23002}
    properties = server_properties(node, 1, ports, {}, by_name)
    assert properties["listeners"] == f"PLAINTEXT://{ADDRESS}:23001,CONTROLLER://127.0.0.1:23002"
    assert properties["advertised.listeners"] == "PLAINTEXT://kafka.example:23001"
