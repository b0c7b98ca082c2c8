"""The commands workshop check and workshop progress, as processes on real servers."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from chatkit.cli import workshop
from chatkit.errors import ServiceError
from chatkit.message import now_ms
from chatkit.settings import Settings
from chatkit.workshop.exercises import catalogue
from chatkit.workshop.progress import Mark, _write
from tests.commands import chatkit, environment, running

ROUND_TRIP = ["kafka", "mongodb", "channel", "send", "receive", "archive", "load", "clean up"]
MACHINE = ["Python", "JupyterLab", "memory", "disk"]


def alone(tmp_path: Path) -> dict[str, str]:
    """Variables with which nothing runs yet."""
    return {**os.environ, "CHATKIT_DATA_DIR": str(tmp_path / "data"), "TMPDIR": str(tmp_path)}


def test_servers_are_started_for_the_check_and_ended(tmp_path: Path) -> None:
    arguments = ["workshop", "check", "--brokers", "1", "--json"]
    found = json.loads(chatkit(*arguments, env=alone(tmp_path)).stdout)
    assert found["ok"] is True
    names = [check["name"] for check in found["checks"]]
    assert names == [*MACHINE, "Java", "mongod", "start", *ROUND_TRIP]
    assert list(tmp_path.glob("chatkit-*")) == []


def test_a_kafka_that_is_set_is_checked_and_none_is_started(settings: Settings) -> None:
    text = chatkit("workshop", "check", env=environment(settings)).stdout
    names = [line.split("\t")[1] for line in text.splitlines()[:-1]]
    assert names == [*MACHINE, *ROUND_TRIP]
    assert text.splitlines()[-1] == "Ready for the workshop."


def test_what_is_missing_is_said_with_what_to_do(settings: Settings) -> None:
    away = settings.replace(bootstrap_servers="127.0.0.1:9")
    env = {**environment(away), "CHATKIT_KAFKA_TIMEOUT": "1"}
    text = chatkit("workshop", "check", env=env, code=1).stdout
    assert "WRONG\tkafka" in text
    assert text.splitlines()[-1] == "Not ready for the workshop: kafka."


def test_ctrl_c_ends_what_was_started(tmp_path: Path) -> None:
    with running("workshop", "check", "--brokers", "1", env=alone(tmp_path)) as command:
        command.line_with("ok\tstart")
        assert command.end(signal.SIGINT) == 130
        assert "Traceback" not in command.text
    assert list(tmp_path.glob("chatkit-*")) == []


def test_too_little_memory_or_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "MEMORY", {3: 2.0**60})
    monkeypatch.setattr(workshop, "DISK", 2.0**60)
    with pytest.raises(ServiceError, match="Close other programs"):
        workshop._memory(3)
    with pytest.raises(ServiceError, match="Make room"):
        workshop._disk()


def test_a_container_may_have_less_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "limit").write_text("1000000000\n")
    (tmp_path / "used").write_text("600000000\n")
    monkeypatch.setattr(workshop, "MEMORY_LIMIT", tmp_path / "limit")
    monkeypatch.setattr(workshop, "MEMORY_USED", tmp_path / "used")
    with pytest.raises(ServiceError, match=r"0\.4 GiB free"):
        workshop._memory(3)


def test_two_brokers_are_refused() -> None:
    assert "1 broker or 3" in chatkit("workshop", "check", "--brokers", "2", code=1).stderr


def test_progress_tells_how_far_each_learner_is(settings: Settings) -> None:
    exercise = next(iter(catalogue().values())).name
    for state in ("right", "not yet"):
        name = f"{settings.database}-{state[:3]}"
        mark = Mark(learner=name, exercise=exercise, state=state, at_ms=now_ms())
        _write(settings, mark)
    env = environment(settings)
    found = json.loads(chatkit("workshop", "progress", "--json", env=env).stdout)
    solved = {one["learner"]: one["solved"] for one in found}
    assert solved[f"{settings.database}-rig"] == 1
    assert solved[f"{settings.database}-not"] == 0
    text = chatkit("workshop", "progress", env=env).stdout
    assert f"not yet: {exercise}" in text
