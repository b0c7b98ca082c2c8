"""`chatkit doctor` on servers that work, that are away, and that are frozen."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.doctor import Check, examine
from chatkit.local import LocalStack
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.commands import chatkit, environment
from tests.waiting import wait_until

NAMES = [
    "versions",
    "kafka",
    "mongodb",
    "java",
    "mongod",
    "topics",
    "archiver",
    "channel",
    "send",
    "receive",
    "archive",
    "load",
]


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def assert_nothing_is_left(channels: Channels, store: MessageStore) -> None:
    assert [name for name in channels.find() if name.startswith("doctor")] == []
    assert store.counts() == {}
    topics = {one["topic"] for one in store.database["positions"].find()}
    assert not [topic for topic in topics if "doctor" in topic]


def test_everything_works_and_nothing_is_left(
    settings: Settings, channels: Channels, store: MessageStore
) -> None:
    done = chatkit("doctor", "--json", env=environment(settings))
    result = json.loads(done.stdout)
    assert result["ok"] is True
    assert [check["name"] for check in result["checks"]] == [*NAMES, "clean up"]
    for check in result["checks"]:
        assert check["ok"] is True
        assert check["seconds"] >= 0
        assert check["detail"]
    found = {check["name"]: check for check in result["checks"]}
    assert "kafka-python 3." in found["versions"]["detail"]
    assert "1 broker" in found["kafka"]["detail"]
    assert found["archiver"]["warning"] is True  # none runs
    assert "by an archiver of our own" in found["archive"]["detail"]
    assert_nothing_is_left(channels, store)


def test_an_archiver_that_runs_is_found_and_used(
    settings: Settings,
    channels: Channels,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver = archiver_factory()
    wait_until(lambda: archiver.status.partitions)
    done = chatkit("doctor", env=environment(settings))
    assert "1 member in the group" in done.stdout
    assert done.stdout.splitlines()[-1] == "Everything works."
    assert archiver.status.messages == 1
    assert_nothing_is_left(channels, store)


def test_stopping_in_the_middle_leaves_nothing(
    settings: Settings, channels: Channels, store: MessageStore
) -> None:
    checks = examine(settings, local=False)
    for check in checks:
        if check.name == "send":
            break
    checks.close()
    assert_nothing_is_left(channels, store)


def test_without_servers_each_failure_says_what_to_do(settings: Settings) -> None:
    away = settings.replace(
        bootstrap_servers="127.0.0.1:9",
        mongo_uri="mongodb://127.0.0.1:9",
        kafka_timeout=1,
        mongo_timeout=1,
        java_home=Path("/no/such/java"),
    )
    checks = by_name(list(examine(away, local=False)))
    for name in ("kafka", "mongodb"):
        assert not checks[name].ok
        assert "chatkit up" in checks[name].detail
    for name in NAMES[5:]:
        assert not checks[name].ok
        assert not checks[name].made
    assert checks["java"].ok
    assert checks["clean up"].ok
    quick = {"CHATKIT_KAFKA_TIMEOUT": "1", "CHATKIT_MONGO_TIMEOUT": "1"}
    done = chatkit("doctor", env={**environment(away), **quick}, code=1)
    assert done.stdout.splitlines()[-1] == "Something is wrong: kafka, mongodb."


def test_without_mongodb_messages_still_go_round(settings: Settings, channels: Channels) -> None:
    away = settings.replace(mongo_uri="mongodb://127.0.0.1:9", mongo_timeout=1)
    checks = by_name(list(examine(away, local=False)))
    assert checks["send"].ok
    assert checks["receive"].ok
    assert not checks["archive"].made
    assert [name for name in channels.find() if name.startswith("doctor")] == []


def test_java_is_wrong_only_where_local_services_would_need_it(
    settings: Settings, tmp_path: Path
) -> None:
    env = {
        **os.environ,
        "PATH": str(tmp_path),
        "CHATKIT_DATA_DIR": str(tmp_path),
        "CHATKIT_KAFKA_TIMEOUT": "0.2",
        "CHATKIT_MONGO_TIMEOUT": "0.2",
    }
    env.pop("JAVA_HOME", None)
    found = json.loads(chatkit("doctor", "--json", env=env, code=1).stdout)
    java = next(check for check in found["checks"] if check["name"] == "java")
    if not java["ok"]:  # a wheel may bring one
        assert "chatkit[local]" in java["detail"]


def test_frozen_servers_get_an_answer_in_time(tmp_path: Path) -> None:
    with LocalStack(Settings(data_dir=tmp_path)) as stack:
        stack.kafka.pause()
        stack.mongod.pause()
        try:
            started = time.monotonic()
            quick = stack.settings.replace(kafka_timeout=2, mongo_timeout=2)
            checks = by_name(list(examine(quick, local=True)))
            took = time.monotonic() - started
        finally:
            stack.kafka.resume()
            stack.mongod.resume()
        assert took < 15  # with 5 s for an answer, as by default: some 12
        for name in ("kafka", "mongodb"):
            assert not checks[name].ok
            assert "frozen or very busy" in checks[name].detail
            assert "within 2" in checks[name].detail
        assert "CHATKIT_BOOTSTRAP_SERVERS" in checks["kafka"].detail
        assert "CHATKIT_MONGO_URI" in checks["mongodb"].detail


def test_local_services_are_started_for_the_check_and_ended(tmp_path: Path) -> None:
    env = {**os.environ, "CHATKIT_DATA_DIR": str(tmp_path), "CHATKIT_BOOTSTRAP_SERVERS": ""}
    result = json.loads(chatkit("doctor", "--local", "--json", env=env, timeout=90).stdout)
    assert result["ok"] is True
    assert result["checks"][0]["name"] == "local services"
    assert list(tmp_path.iterdir()) == []
