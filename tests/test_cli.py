"""The commands channels, archive and import, as processes on real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.cli import channels as channels_command
from chatkit.connection import make_client
from chatkit.errors import ServiceError
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.sending import Sending
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.commands import chatkit, environment, running
from tests.conftest import DATA
from tests.waiting import wait_until

SLACK = DATA / "slack_houstondatavis"
needs_slack = pytest.mark.skipif(
    not SLACK.is_dir(), reason=f"there is no Slack data set in {SLACK}"
)

# As the data set's description has them: what people wrote.
WRITTEN = {
    "general": 403,
    "datajam": 146,
    "get_feedback": 135,
    "meetup-": 74,
    "tools": 62,
    "examples": 58,
    "sci": 48,
    "readings": 34,
    "team-d3": 21,
    "datasets": 17,
    "talks": 16,
    "sponsors": 8,
    "tutorials": 5,
    "design-thinking": 2,
    "organizations": 2,
    "meetup": 0,
}


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    return environment(settings)


def said(*arguments: str, env: Mapping[str, str], code: int = 0) -> Any:
    """What a command with --json says, in its last line."""
    return json.loads(chatkit(*arguments, "--json", env=env, code=code).stdout.splitlines()[-1])


# The command as such.


def test_help_loads_no_client() -> None:
    heavy = {"kafka", "pymongo", "pandas", "jupyterlab", "ipywidgets", "psutil", "jgo"}
    code = f"import sys; from chatkit.cli.app import app; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "set()", done.stderr
    text = chatkit("--help").stdout
    for name in ("lab", "doctor", "channels", "archive", "import"):
        assert f" {name} " in text


def test_an_error_is_one_text_and_no_traceback(env: dict[str, str]) -> None:
    done = chatkit("channels", "create", "No Such Name", env=env, code=1)
    assert "can't be a channel's name" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_in_which_nothing_runs_is_named(tmp_path: Path) -> None:
    done = chatkit("channels", "--data", str(tmp_path), code=1)
    assert f"chatkit up --data {tmp_path}" in done.stderr


# channels


def test_channels_are_created_listed_and_described(
    env: dict[str, str], settings: Settings, archiver_factory: Callable[..., Archiver]
) -> None:
    chatkit(
        "channels", "create", "busy", "--partitions", "3", "--description", "a\n\x1b[31mb", env=env
    )
    chatkit("channels", "create", "quiet", env=env)
    done = chatkit("channels", "create", "busy", env=env, code=1)
    assert "exists already" in done.stderr
    with ChatProducer(settings) as producer:
        for number in range(5):
            producer.send(Message.new("busy", f"author {number}", "hello")).result(10)
    archiver_factory()
    with MessageStore(settings) as store:
        wait_until(lambda: store.counts() == {"busy": 5} and len(store.channel_records()) == 2)
    assert said("channels", env=env) == [
        {
            "name": "busy",
            "description": "a\n\x1b[31mb",
            "partitions": 3,
            "archived": 5,
            "in_kafka": 5,
        },
        {"name": "quiet", "description": "", "partitions": 1, "archived": 0, "in_kafka": 0},
    ]
    plain = chatkit("channels", env=env).stdout
    assert plain == "busy\ta [31mb\t3\t5\t5\nquiet\t\t1\t0\t0\n"
    described = said("channels", "describe", "busy", env=env)
    assert described["topic"] == settings.topic_of("busy")
    assert [part["partition"] for part in described["partitions"]] == [0, 1, 2]
    assert sum(part["end"] for part in described["partitions"]) == 5
    assert all(part["archived_to"] == part["end"] for part in described["partitions"])
    assert described["record"]["creator"] == "ana"
    assert described["record"]["moderators"] == ["ana"]
    text = chatkit("channels", "describe", "busy", env=env).stdout
    assert "all archived" in text
    assert "\x1b" not in text


def test_describing_what_is_not_there_says_how_to_make_it(env: dict[str, str]) -> None:
    done = chatkit("channels", "describe", "nowhere", env=env, code=1)
    assert "chatkit channels create nowhere" in done.stderr


def test_options_before_the_subcommand_are_refused_not_ignored(tmp_path: Path) -> None:
    done = chatkit("channels", "--data", str(tmp_path), "delete", "x", "--yes", code=2)
    assert "behind 'delete'" in " ".join(done.stderr.split())


def test_in_a_pipe_nothing_is_deleted_without_yes(env: dict[str, str], channels: Channels) -> None:
    done = chatkit("channels", "delete", "general", env=env, code=1)
    assert "--yes" in done.stderr
    assert "general" in channels.find()


def test_deleting_a_channel_keeps_its_archive_unless_told_otherwise(
    env: dict[str, str],
    settings: Settings,
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
) -> None:
    with ChatProducer(settings) as producer, MessageStore(settings) as store:
        producer.send(Message.new("general", "ana", "hello")).result(10)
        archiver_factory()
        wait_until(lambda: store.counts() == {"general": 1})
        done = chatkit("channels", "delete", "general", "--yes", env=env)
        assert "The archive keeps its 1 message;" in done.stdout
        wait_until(lambda: "general" not in channels.find())
        assert said("channels", env=env) == [
            {"name": "general", "description": "", "partitions": 0, "archived": 1, "in_kafka": None}
        ]
        done = chatkit("channels", "delete", "general", "--yes", "--archive", env=env)
        assert "Deleted from the archive: 1 message." in done.stdout
        assert store.counts() == {}
        chatkit("channels", "delete", "general", "--yes", "--archive", env=env, code=1)


def test_deleting_with_the_archive_leaves_nothing_that_was_on_its_way(
    env: dict[str, str],
    settings: Settings,
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    with ChatProducer(settings, bulk=True) as producer, MessageStore(settings) as store:
        receipts = [producer.send(Message.new("general", "ana", "x" * 500)) for _ in range(10_000)]
        receipts[-1].result(30)
        chatkit("channels", "delete", "general", "--yes", "--archive", env=env)
        assert store.counts() == {}
    assert channels_command.SETTLE_SECONDS >= 2


# archive


def test_archive_goes_on_until_it_is_told_to_stop(
    env: dict[str, str], settings: Settings, channels: Channels, store: MessageStore
) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with running("archive", env=env) as command, ChatProducer(settings) as producer:
            command.line_with("Archiving from Kafka")
            message = Message.new("general", "ana", "hello")
            producer.send(message).result(10)
            wait_until(lambda: store.get("general", message.id), 20)  # noqa: B023
            assert command.end(number) == 0
            assert "Archived 1 message, 0 events" in command.lines[-1]
            assert "Traceback" not in command.text


def test_archive_says_what_is_away_and_goes_on_trying(env: dict[str, str]) -> None:
    away = {**env, "CHATKIT_MONGO_URI": "mongodb://127.0.0.1:9", "CHATKIT_MONGO_TIMEOUT": "1"}
    with running("archive", env=away) as command:
        command.line_with("MongoDB at 127.0.0.1:9 did not answer")
        assert command.process.poll() is None
        assert command.end(signal.SIGTERM) == 0
        assert "Traceback" not in command.text


def test_replaying_dead_letters_prints_counts(
    env: dict[str, str], settings: Settings, channels: Channels, store: MessageStore
) -> None:
    sender = make_client(KafkaProducer, settings)
    sender.send(settings.topic_of("general"), key=b"ana", value=b"nonsense").get(10)
    sender.close(timeout=5)
    with Archiver(settings):
        wait_until(store.dead_letters)
    done = chatkit("archive", "--replay-dead-letters", env=env)
    assert done.stdout == "Dead letters: 0 archived now, 1 still refused.\n"


# import


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A small Slack export of our own."""
    folder = tmp_path / "export"
    (folder / "tea").mkdir(parents=True)
    users = [{"id": "U1", "name": "ada"}, {"id": "U2", "name": "ben"}]
    (folder / "users.json").write_text(json.dumps(users))
    about = {"id": "C1", "name": "tea", "creator": "U2", "purpose": {"value": "About tea"}}
    (folder / "channels.json").write_text(json.dumps([about]))
    entries = [
        {"type": "message", "user": "U2", "ts": "1577836800.000100", "subtype": "channel_join"},
        {
            "type": "message",
            "user": "U1",
            "ts": "1577836801.000200",
            "text": "Kettle &amp; <@U2>",
            "reactions": [{"name": "tea", "users": ["U2"], "count": 1}],
        },
        {"type": "message", "user": "U1", "ts": "1577836802.000300", "subtype": "channel_topic"},
    ]
    (folder / "tea" / "2020-01-01.json").write_text(json.dumps(entries))
    return folder


def test_import_brings_texts_authors_times_and_channels(
    env: dict[str, str],
    export: Path,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    result = said("import", "slack", str(export), "--wait", env=env)
    assert result["ok"] is True
    assert (result["in"], result["out"], result["skipped"]) == (4, 3, {"channel_topic": 1})
    assert (result["already"], result["failed"]) == (0, 0)
    assert result["created"] == ["tea"]
    assert result["archived"] is True
    assert result["channels"] == {
        "tea": {"messages": 1, "events": 2, "sent": 3, "already": 0, "failed": 0}
    }
    (document,) = store.page("tea")
    assert (document["author"], document["body"]) == ("ada", "Kettle & @ben")
    assert document["sent_at"].isoformat() == "2020-01-01T00:00:01+00:00"
    assert document["reactions"] == {"tea": ["ben"]}
    record = wait_until(lambda: store.channel_records().get("tea"))
    assert (record.description, record.creator) == ("About tea", "ben")
    again = said("import", "slack", str(export), "--wait", env=env)
    assert (again["out"], again["already"], again["created"]) == (0, 3, [])
    last = chatkit("import", "slack", str(export), env=env).stdout.splitlines()[-1]
    assert last == "Done: 4 in, 0 out, 1 skipped, 3 archived before, 0 failed."


def test_a_dry_run_needs_no_server_and_counts(export: Path) -> None:
    away = {**os.environ, "CHATKIT_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    done = chatkit("import", "slack", str(export), "--dry-run", env=away)
    assert "Skipped 1: channel_topic" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Nothing was sent (--dry-run): 4 in, 3 out")


def test_a_file_that_can_not_be_read_makes_the_import_fail(
    env: dict[str, str], export: Path
) -> None:
    (export / "tea" / "2020-01-02.json").write_text("[{")
    result = said("import", "slack", str(export), env=env, code=1)
    assert (result["ok"], result["lost"], result["out"]) == (False, 1, 3)
    last = chatkit("import", "slack", str(export), env=env, code=1).stdout.splitlines()[-1]
    assert last.startswith("Not complete: ")
    assert "1 could not be read" in last


def test_what_is_no_export_is_an_error(env: dict[str, str], tmp_path: Path) -> None:
    assert "no Slack export" in chatkit("import", "slack", str(tmp_path), env=env, code=1).stderr


def test_without_mongodb_everything_is_sent_and_that_is_said(
    env: dict[str, str], export: Path, settings: Settings
) -> None:
    away = {**env, "CHATKIT_MONGO_URI": "mongodb://127.0.0.1:9", "CHATKIT_MONGO_TIMEOUT": "1"}
    done = chatkit("import", "slack", str(export), env=away)
    assert "without asking what is archived" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("Done: 4 in, 3 out")
    done = chatkit("import", "slack", str(export), "--wait", env=away, code=1)
    assert "--wait needs MongoDB" in done.stderr


def test_without_kafka_nothing_looks_done(env: dict[str, str], export: Path) -> None:
    away = {**env, "CHATKIT_BOOTSTRAP_SERVERS": "127.0.0.1:9", "CHATKIT_KAFKA_TIMEOUT": "1"}
    result = said("import", "slack", str(export), env=away, code=1)
    assert (result["ok"], result["whole"], result["out"]) == (False, False, 0)
    assert "chatkit up" in result["problems"][0]


def test_ctrl_c_says_what_was_sent_and_the_next_import_goes_on(
    env: dict[str, str], export: Path, channels: Channels, archiver_factory: Callable[..., Archiver]
) -> None:
    entries = [
        {"type": "message", "user": "U1", "ts": f"1577923200.{n:06}", "text": f"number {n}"}
        for n in range(100_000)
    ]
    (export / "tea" / "2020-01-02.json").write_text(json.dumps(entries))
    with running("import", "slack", str(export), "--json", env=env) as command:

        def is_sending() -> bool:
            info = channels.find().get("tea")
            return info is not None and channels.offsets(info)[0].end > 0

        wait_until(is_sending, 60)
        assert command.end(signal.SIGINT) == 130
    result = json.loads(command.lines[-1])
    assert result["ok"] is False
    assert result["interrupted"] is True
    assert result["whole"] is False
    assert result["out"] > 0
    assert result["in"] < 100_004
    assert result["in"] == sum(result[name] for name in ("out", "left", "failed")) + 1
    archiver_factory()
    again = said("import", "slack", str(export), "--wait", env=env)
    assert again["ok"] is True
    assert again["out"] + again["already"] == 100_003


def test_waiting_gives_up_where_no_archiver_runs(
    settings: Settings, channels: Channels, producer: ChatProducer, store: MessageStore
) -> None:
    sending = Sending(producer, store)
    sending.send(Message.new("general", "ana", f"number {n}") for n in range(3))
    assert sending.sent == Counter(general=3)
    with pytest.raises(ServiceError, match=r"lacks 3 records.*chatkit archive"):
        sending.wait_archived(channels, patience=0.5)


def test_waiting_finds_what_the_archive_put_aside(
    settings: Settings,
    channels: Channels,
    producer: ChatProducer,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    first = Message.new("general", "ana", "first")
    sending = Sending(producer, store)
    sending.send([first, Message.new("general", "ben", "another one's", id=first.id)])
    sending.wait_archived(channels)
    assert sending.put_aside == 1
    assert "offset 1" in sending.problems[0]


def test_failures_are_counted_and_told(settings: Settings, store: MessageStore) -> None:
    with ChatProducer(settings.replace(delivery_timeout=0.5)) as producer:
        sending = Sending(producer, store)
        sending.send(Message.new("nowhere", "ana", f"number {n}") for n in range(3))
    assert sending.failed == sending.found == Counter(nowhere=3)
    assert len(sending.problems) == 3
    assert "'number 0'" in sending.problems[0]


@needs_slack
def test_a_real_slack_export_arrives_whole_and_only_once(
    env: dict[str, str], store: MessageStore, archiver_factory: Callable[..., Archiver]
) -> None:
    archiver_factory()
    result = said("import", "slack", str(SLACK), "--wait", env=env)
    assert result["ok"] is True
    assert result["entries"] == 1382
    assert result["messages"] == sum(WRITTEN.values()) == 1031
    assert {name: each["messages"] for name, each in result["channels"].items()} == WRITTEN
    assert (result["events"]["join"], result["events"]["leave"]) == (320, 3)
    assert result["in"] == result["out"] + sum(result["skipped"].values())
    entries = sum(n for reason, n in result["skipped"].items() if ": " not in reason)
    assert entries == 28
    assert {**dict.fromkeys(WRITTEN, 0), **store.counts()} == WRITTEN
    kinds = Counter(event["type"] for event in store.events.find())
    assert kinds == result["events"]
    # Some of what people wrote, as it stands in the files.
    users = {user["id"]: user["name"] for user in json.loads((SLACK / "users.json").read_text())}
    archived = {
        (one["author"], one["body"], round(one["sent_at"].timestamp(), 3))
        for one in store.messages.find({"channel": "sci"})
    }
    plain = 0
    for file in sorted((SLACK / "sci").glob("*.json")):
        for entry in json.loads(file.read_text()):
            text = entry.get("text", "")
            if not ({"subtype", "attachments", "files"} & set(entry)) and not set(text) & set("<&"):
                moment = int(float(entry["ts"]) * 1000) / 1000
                assert (users[entry["user"]], text, round(moment, 3)) in archived
                plain += 1
    assert plain > 20

    before = sorted(store.messages.find(), key=lambda one: str(one["_id"]))
    again = said("import", "slack", str(SLACK), "--wait", env=env)
    assert (again["ok"], again["out"], again["failed"]) == (True, 0, 0)
    assert again["already"] == result["out"]
    assert sorted(store.messages.find(), key=lambda one: str(one["_id"])) == before
