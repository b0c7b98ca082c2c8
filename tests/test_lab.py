"""`chatkit lab` as a process: a page that answers, and nothing left at the end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from chatkit import lab as lab_module
from chatkit.channels import Channels
from chatkit.errors import LocalServiceError
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.services import find_services
from chatkit.settings import Settings, read_local_state
from chatkit.store import MessageStore
from tests.commands import Running, chatkit, environment, running
from tests.waiting import wait_until

START_SECONDS = 60
STOP_SECONDS = 40  # a few seconds, unless the machine is busy


@pytest.fixture
def jupyter(tmp_path: Path) -> dict[str, str]:
    """Variables that keep Jupyter out of the user's own folders."""
    return {
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }


class Page:
    """What the command says is its address, and a way to ask there."""

    def __init__(self, command: Running) -> None:
        command.line_with("Stop ", START_SECONDS)
        line = command.line_with("http://")
        self.url = urlsplit(line.split()[-1])
        self.token = parse_qs(self.url.query)["token"][0]

    def ask(self, path: str, method: str = "GET", token: bool = True) -> tuple[int, bytes]:
        assert self.url.hostname
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port or 0, timeout=20)
        try:
            headers = {"Authorization": f"token {self.token}"} if token else {}
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def family(command: Running) -> list[psutil.Process]:
    return psutil.Process(command.process.pid).children(recursive=True)


def archivers(command: Running) -> list[psutil.Process]:
    """The archivers themselves, without the guards that have their command line at the end."""
    lines = {process: " ".join(process.cmdline()) for process in family(command)}
    return [
        process
        for process, line in lines.items()
        if line.endswith("chatkit archive") and "guard.py" not in line
    ]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    def lives(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [process for process in processes if lives(process)]


@pytest.fixture
def lab(tmp_path: Path, jupyter: dict[str, str]) -> Iterator[Running]:
    """A lab with services of its own."""
    # So that an archiver whose servers were killed with it does not wait for them.
    quick = {"CHATKIT_KAFKA_TIMEOUT": "2", "CHATKIT_MONGO_TIMEOUT": "2"}
    env = {**os.environ, **jupyter, **quick}
    with running("lab", "--no-browser", "--data", str(tmp_path / "data"), env=env) as command:
        yield command


def start_kernel(page: Page) -> None:
    status, _ = page.ask("/api/kernels", "POST")
    assert status == 201


def test_one_ctrl_c_ends_everything_that_was_started(lab: Running, tmp_path: Path) -> None:
    page = Page(lab)
    assert page.url.hostname == "127.0.0.1"
    status, body = page.ask("/lab")
    assert status == 200
    assert b"JupyterLab" in body
    config = json.loads(
        body.split(b'id="jupyter-config-data" type="application/json">')[1].split(b"</script>")[0]
    )
    assert config["news"] == {"disabled": True}
    status, body = page.ask("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    asks = json.loads(body)["schema"]["properties"]
    assert (asks["fetchNews"]["default"], asks["checkForUpdates"]["default"]) == ("false", False)
    assert page.ask("/api/kernels", token=False)[0] == 403
    start_kernel(page)
    started = family(lab)
    names = " ".join(" ".join(process.cmdline()) for process in started)
    for part in ("mongod", "kafka.Kafka", "chatkit archive", "jupyterlab", "ipykernel"):
        assert part in names
    assert page.token not in names
    log = tmp_path / "data" / "logs" / "lab" / "jupyterlab.log"
    assert log.stat().st_mode & 0o077 == 0
    assert read_local_state(tmp_path / "data") is not None

    began = time.monotonic()
    assert lab.end(signal.SIGINT, STOP_SECONDS) == 0
    assert alive(started) == []
    assert lab.lines[-1] == "Stopped.\n"
    assert "Traceback" not in lab.text
    assert read_local_state(tmp_path / "data") is None
    assert time.monotonic() - began < STOP_SECONDS
    assert "Shutdown this" not in log.read_text()


def test_killing_it_leaves_no_process(lab: Running) -> None:
    start_kernel(Page(lab))
    started = family(lab)
    assert len(started) > 5
    lab.end(signal.SIGKILL)
    wait_until(lambda: not alive(started), STOP_SECONDS)


def test_services_that_run_are_used_and_left_running(
    settings: Settings,
    channels: Channels,
    store: MessageStore,
    jupyter: dict[str, str],
    tmp_path: Path,
) -> None:
    env = {**environment(settings), **jupyter, "CHATKIT_DATA_DIR": str(tmp_path / "data")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    more = ["--", "--ServerApp.base_url=/here/"]
    with running("lab", "--no-browser", "--port", str(port), *more, env=env) as lab:
        page = Page(lab)
        assert page.url.port == port
        assert page.url.path.startswith("/here/lab")
        assert page.ask("/here/api/status")[0] == 200
        again = chatkit("lab", "--no-browser", "--port", str(port), env=env, code=1)
        assert f"port {port}" in again.stderr
        message = Message.new("general", "ana", "hello")
        with ChatProducer(settings) as producer:
            producer.send(message).result(10)
        wait_until(lambda: store.get("general", message.id), 30)
        (archiver,) = archivers(lab)
        archiver.kill()
        lab.line_with("archiver has ended unexpectedly and is started again")
        wait_until(lambda: archivers(lab), 30)
        started = family(lab)
        assert "mongod" not in " ".join(process.name() for process in started)
        assert lab.end(signal.SIGTERM, STOP_SECONDS) == 0
        assert alive(started) == []
    assert "general" in channels.find()


def test_two_labs_at_once_are_not_in_each_other_s_way(
    settings: Settings, jupyter: dict[str, str], tmp_path: Path
) -> None:
    env = {**environment(settings), **jupyter, "CHATKIT_DATA_DIR": str(tmp_path / "data")}
    with (
        running("lab", "--no-browser", env=env) as first,
        running("lab", "--no-browser", env=env) as second,
    ):
        pages = [Page(first), Page(second)]
        assert pages[0].url.port != pages[1].url.port
        logs = {Path(lab.line_with("Logs ").split()[-1]) for lab in (first, second)}
        assert len(logs) == 2
        assert all((log / "jupyterlab.log").is_file() for log in logs)
        assert second.end(signal.SIGINT, STOP_SECONDS) == 0
        assert pages[0].ask("/lab")[0] == 200
        assert archivers(first)
        assert first.end(signal.SIGINT, STOP_SECONDS) == 0
    assert [log for log in logs if log.exists()] == [tmp_path / "data" / "logs" / "lab"]


def test_what_the_user_says_of_jupyterlab_wins_but_for_the_kernel(
    settings: Settings, jupyter: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    other.parent.mkdir(parents=True)
    other.write_text('{"argv": ["/another/python"], "display_name": "mine", "language": "python"}')
    env = {**environment(settings), **jupyter, "CHATKIT_DATA_DIR": str(tmp_path / "data")}
    env["JUPYTER_PREFER_ENV_PATH"] = "0"
    with running("lab", "--no-browser", "--", "--ServerApp.ip=localhost", env=env) as lab:
        page = Page(lab)
        assert page.url.hostname == "localhost"
        specs = json.loads(page.ask("/api/kernelspecs")[1])["kernelspecs"]
        assert "/another/python" not in specs["python3"]["spec"]["argv"]
        assert lab.end(signal.SIGINT, STOP_SECONDS) == 0


def test_shutting_jupyterlab_down_from_within_ends_all(
    settings: Settings, jupyter: dict[str, str], tmp_path: Path
) -> None:
    env = {**environment(settings), **jupyter, "CHATKIT_DATA_DIR": str(tmp_path / "data")}
    with running("lab", "--no-browser", env=env) as lab:
        page = Page(lab)
        started = family(lab)
        page.ask("/api/shutdown", "POST")
        assert lab.process.wait(STOP_SECONDS) == 0
        assert alive(started) == []
        assert "JupyterLab was shut down." in lab.text


def test_a_jupyterlab_that_can_not_start_shows_why(
    settings: Settings, jupyter: dict[str, str], tmp_path: Path
) -> None:
    env = {**environment(settings), **jupyter, "CHATKIT_DATA_DIR": str(tmp_path / "data")}
    done = chatkit("lab", "--no-browser", "--", "--ServerApp.port=many", env=env, code=1)
    assert "jupyterlab ended after" in done.stderr
    assert "many" in done.stderr


# Without a process.


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Notebooks of an installed chatkit; we stand in an empty folder of our own."""
    packaged = tmp_path / "site" / "chatkit" / "notebooks"
    (packaged / "images").mkdir(parents=True)
    for name in ("01-chat.ipynb", "02-next.ipynb", "images/a.png"):
        (packaged / name).write_text("new")
    monkeypatch.setattr(lab_module, "__file__", str(packaged.parent / "lab.py"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return packaged


def test_packaged_notebooks_are_copied_but_never_over_others(packaged: Path) -> None:
    (Path.cwd() / "chatkit-notebooks").mkdir()
    (Path.cwd() / "chatkit-notebooks" / "01-chat.ipynb").write_text("mine")
    for _ in range(2):
        folder, newer = lab_module.notebook_folder()
        assert folder == Path.cwd() / "chatkit-notebooks"
        assert newer == []
        assert (folder / "01-chat.ipynb").read_text() == "mine"
        assert (folder / "02-next.ipynb").read_text() == "new"
        assert (folder / "images" / "a.png").read_text() == "new"


def test_a_newer_notebook_is_spoken_of_until_the_older_copy_is_gone(packaged: Path) -> None:
    folder, _ = lab_module.notebook_folder()
    (folder / "02-next.ipynb").write_text("run")
    (packaged / "01-chat.ipynb").write_text("newer")
    for _ in range(2):
        assert lab_module.notebook_folder() == (folder, ["01-chat.ipynb"])
        assert (folder / "01-chat.ipynb").read_text() == "new"
    (folder / "01-chat.ipynb").unlink()
    assert lab_module.notebook_folder() == (folder, [])
    assert (folder / "01-chat.ipynb").read_text() == "newer"
    assert (folder / "02-next.ipynb").read_text() == "run"


def test_among_the_copies_no_others_are_made(
    packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = lab_module.notebook_folder()
    monkeypatch.chdir(folder)
    assert lab_module.notebook_folder() == (folder, [])
    assert not (folder / "chatkit-notebooks").exists()


def test_where_nothing_can_be_copied_to_it_says_so(packaged: Path) -> None:
    (Path.cwd() / "chatkit-notebooks").write_text("a file of the user's")
    with pytest.raises(LocalServiceError, match="Go to a folder of your own first"):
        lab_module.notebook_folder()


def test_in_a_checkout_the_notebooks_are_opened_in_place() -> None:
    assert lab_module.notebook_folder() == (Path(__file__).parents[1] / "notebooks", [])


@pytest.mark.parametrize(
    ("variables", "local", "running"),
    [
        ({}, True, False),
        ({"CHATKIT_BOOTSTRAP_SERVERS": "kafka:9092"}, False, True),
        ({"CHATKIT_MONGO_URI": "mongodb://mongo"}, False, True),
    ],
)
def test_local_services_are_meant_only_if_no_address_is_set(
    variables: dict[str, str],
    local: bool,
    running: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHATKIT_DATA_DIR", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    services = find_services()
    assert (services.local, services.running) == (local, running)
    named: Any = find_services(tmp_path / "other")
    assert (named.local, named.running) == (True, False)
    assert named.settings.data_dir == tmp_path / "other"
