"""Several people on one machine, as JupyterHub lets them in: one stack, found by setting.

Their servers are stood for by processes with the environment that a hub gives them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.local import start_detached, stop_running
from chatkit.settings import Settings, read_local_state
from chatkit.store import MessageStore
from tests.waiting import wait_until

# A user's kernel: says good morning, and waits until it has heard two people say so.
TALK = """
import json, os, time
from chatkit import ChatRoom, Settings

with ChatRoom() as room:
    room.join("general").result(30)
    room.send("general", "Good morning")
    end = time.monotonic() + 30
    authors = set()
    while len(authors) < 2 and time.monotonic() < end:
        authors = {row.message.author for row in room.rows("general")}
        time.sleep(0.05)
del os.environ["CHATKIT_DATA_DIR"]
own = Settings()
print(json.dumps([own.user, sorted(authors), str(own.data_dir), own.bootstrap_servers]))
"""

# Become another Unix user, where we may. Modules are loaded while we may read them.
BECOME = """
import json, os
from pathlib import Path
from chatkit import ChatkitError, Settings
from chatkit.local import LocalStack, stop_running

Settings()
stop_running(Path.cwd())
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
said = []

def hear(act):
    try:
        act()
    except ChatkitError as error:
        said.append(str(error))
"""
MEDDLE = """
hear(lambda: stop_running(Settings().data_dir))
hear(lambda: LocalStack(Settings()).start())
print(json.dumps([Settings().bootstrap_servers, *said]))
"""
LOOK = """
hear(Settings)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Settings]:
    """A stack in a folder that everybody may read, kept by whoever runs the hub."""
    folder = Path(tempfile.mkdtemp(prefix="chatkit-shared-"))  # pytest's are for one user only
    folder.chmod(0o755)
    settings = Settings(data_dir=folder / "stack")
    try:
        start_detached(settings)
        yield Settings(data_dir=settings.data_dir, user="admin")
    finally:
        stop_running(settings.data_dir)
        shutil.rmtree(folder)


def python(code: str, settings: Settings, home: Path, name: str) -> subprocess.Popen[str]:
    """Start a Python with the environment that a hub gives to a user's server."""
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    env |= {"HOME": str(home), "JUPYTERHUB_USER": name, "CHATKIT_DATA_DIR": str(settings.data_dir)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=env, cwd=home, stdout=subprocess.PIPE, text=True
    )


def test_people_talk_under_the_hub_s_names_with_folders_of_their_own(
    shared: Settings, tmp_path: Path
) -> None:
    names = ["ana@example.org", "ben"]
    with Channels(shared) as channels:
        channels.create("general")
    people = [python(TALK, shared, tmp_path / name, name) for name in names]
    for name, person in zip(names, people, strict=True):
        out, _ = person.communicate(timeout=60)
        user, authors, data_dir, servers = json.loads(out)
        assert user == name
        assert authors == names
        assert Path(data_dir).is_relative_to(tmp_path / name)
        assert servers == "localhost:9092", "what the setting named is not found without it"
    archiver = Archiver(shared).start()
    try:
        with MessageStore(shared) as store:
            wait_until(lambda: store.counts().get("general") == 2, 30)
            assert sorted(store.messages.distinct("author")) == names
    finally:
        archiver.stop()


def test_others_find_a_shared_stack_but_can_not_end_it(shared: Settings, tmp_path: Path) -> None:
    lock = shared.data_dir / "lock"
    lock.chmod(0o444)  # as it is to others
    meddler = python(BECOME + MEDDLE, shared, tmp_path / "ben", "ben")
    out, _ = meddler.communicate(timeout=60)
    lock.chmod(0o644)
    found, not_stopped, not_started = json.loads(out)
    assert found == shared.bootstrap_servers
    assert f"{shared.data_dir} is another user's" in not_stopped
    assert "already runs" in not_started
    assert read_local_state(shared.data_dir) is not None


def test_a_stack_that_others_may_not_see_is_not_taken_for_none(
    shared: Settings, tmp_path: Path
) -> None:
    shared.data_dir.chmod(0)
    try:
        visitor = python(BECOME + LOOK, shared, tmp_path / "ben", "ben")
        out, _ = visitor.communicate(timeout=60)
    finally:
        shared.data_dir.chmod(0o755)
    (said,) = json.loads(out)
    assert f"CHATKIT_DATA_DIR: {shared.data_dir} can't be looked into" in said
