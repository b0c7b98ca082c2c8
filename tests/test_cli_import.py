"""The command import with IRC logs and tables, as a process on real servers."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.commands import chatkit, environment, running
from tests.conftest import DATA
from tests.waiting import wait_until

UBUNTU = DATA / "irc_ubuntu"
FORMATS = ("slack", "irc", "discord", "telegram", "whatsapp", "zulip", "csv", "jsonl")
AWAY = {**os.environ, "CHATKIT_BOOTSTRAP_SERVERS": "127.0.0.1:9", "PYTHONUTF8": "1"}
"""Variables that lead to no server."""


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    return environment(settings)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of our own: two joins, four messages, a nick change and a line of no known form."""
    path = tmp_path / "2005-02-06-#tea.log"
    path.write_text(
        "[14:15] === ana [a@b]  has joined #tea\n"
        "[14:15] === ben [b@c]  has joined #tea\n"
        "[14:15] <ana> a\n"
        "[14:15] <ben> b\n"
        "[14:15] === ben is now known as cleo\n"
        "[14:15] <cleo> c\n"
        "tea?\x1b[31m\n"
        "[14:16] <ubottu> d\n"
    )
    return path


def said(*arguments: str | Path, env: Mapping[str, str], code: int = 0) -> Any:
    """What an import with --json says, in its last line."""
    done = chatkit("import", *map(str, arguments), "--json", env=env, code=code)
    return json.loads(done.stdout.splitlines()[-1])


def last_line(*arguments: str | Path, env: Mapping[str, str], code: int = 0) -> str:
    return chatkit("import", *map(str, arguments), env=env, code=code).stdout.splitlines()[-1]


# Without a server.


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_a_command_with_the_options_of_all(name: str) -> None:
    text = chatkit("import", name, "--help", env={**AWAY, "COLUMNS": "200"}).stdout
    for option in ("--dry-run", "--notes", "--wait", "--json"):
        assert option in text


def test_the_commands_load_no_importer_and_no_client() -> None:
    heavy = "{'kafka', 'ijson', 'chatkit.importers', 'chatkit.importers.irc'}"
    code = f"import sys; from chatkit.cli.app import app; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "set()", done.stderr


def test_a_dry_run_shows_counts_span_first_messages_and_every_line_not_understood(
    log: Path,
) -> None:
    text = chatkit("import", "irc", str(log), "--dry-run", env=AWAY, code=1).stdout
    lines = text.splitlines()
    assert "Found 4 messages and 2 events (2 join)" in lines
    assert "From 2005-02-06 14:15:00 to 2005-02-06 14:16:00 (UTC)" in lines
    assert "    2005-02-06 14:15:00  tea  ana: a" in lines
    assert "Skipped 1: a nick change" in lines
    assert f"    for example {log.name}:5 [14:15] === ben is now known as cleo" in lines
    assert f"    {log.name}:7  none of the known forms of a line: tea? [31m" in lines
    assert lines[-1] == (
        "Nothing was sent (--dry-run): 8 in, 6 out, 2 skipped, 0 archived before, 0 failed, "
        "1 could not be read."
    )
    assert "\x1b" not in text


def test_a_long_list_of_lines_not_understood_goes_into_a_table(log: Path, tmp_path: Path) -> None:
    with log.open("a") as file:
        file.writelines(f"line\t{n}\n" for n in range(300))
    notes = tmp_path / "notes.tsv"
    done = chatkit("import", "irc", str(log), "--dry-run", "--notes", str(notes), env=AWAY, code=1)
    assert "and 201 more: --notes FILE" in done.stdout
    with notes.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["what"] for row in rows].count("not understood") == 301
    numbers = [int(row["line"]) for row in rows if row["detail"].startswith("line")]
    assert numbers == list(range(9, 309))
    assert [row["reason"] for row in rows if row["what"] == "skipped"] == ["a nick change"]
    result = said("irc", log, "--dry-run", env=AWAY, code=1)
    assert (result["lost"], len(result["not_understood"])) == (301, 100)
    assert result["not_understood"][0]["where"] == f"{log.name}:7"


def test_a_dry_run_of_a_whole_log_is_no_failure(log: Path) -> None:
    log.write_text("[14:15] <ana> a\n")
    result = said("irc", log, "--channel", "mine", "--dry-run", env=AWAY)
    assert (result["ok"], result["dry_run"], result["whole"]) == (True, True, True)
    assert result["channels"] == {
        "mine": {"messages": 1, "events": 0, "sent": 0, "already": 0, "failed": 0}
    }
    assert result["span"] == ["2005-02-06T14:15:00+00:00"] * 2
    assert [m["body"] for m in result["first"]] == ["a"]


def test_mistakes_are_told_before_anything_is_sent(log: Path, tmp_path: Path) -> None:
    def error(*arguments: str | Path) -> str:
        return chatkit("import", *map(str, arguments), env=AWAY, code=1).stderr

    nameless = tmp_path / "2005-02-06.log"
    nameless.write_text("[14:15] <ana> a\n")
    assert "say --channel NAME" in error("irc", nameless)
    assert "Mars" in error("irc", log, "--zone", "Mars")
    assert "no file or folder" in error("irc", tmp_path / "nowhere")
    assert "--notes can't write" in error("irc", log, "--notes", tmp_path / "no" / "file")
    assert "FIELD=NAME" in error("csv", log, "--column", "author")


def test_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    log = tmp_path / "2005-02-06-#tea.log"
    log.write_text("[14:15] <ana> tea\n" * 100_000)
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "chatkit", "import", "irc", str(log), "--dry-run"]
    environment = {**AWAY, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 4096):
            shown += chunk
    except OSError:  # the process has ended
        pass
    finally:
        os.close(leader)
    assert process.wait(30) == 0
    text = shown.decode("utf-8", "replace")
    assert "Reading" in text
    assert re.search(r"\d+%", text)
    assert re.search(r"[\d,]+  [\d,]+/s", text)
    assert re.search(r"0:00:\d\d", text)


# On real servers.


def test_a_log_arrives_in_line_order_and_only_once(
    env: dict[str, str], log: Path, store: MessageStore, archiver_factory: Callable[..., Archiver]
) -> None:
    archiver_factory()
    chatkit("channels", "create", "tea", "--partitions", "3", env=env)
    result = said("irc", log, "--wait", env=env, code=1)
    assert (result["ok"], result["lost"], result["archived"]) == (False, 1, True)
    assert (result["in"], result["out"], result["failed"]) == (8, 6, 0)
    assert result["events"] == {"join": 2}
    page = store.page("tea")
    assert [(one["author"], one["body"]) for one in page] == [
        ("ana", "a"),
        ("ben", "b"),
        ("cleo", "c"),
        ("ubottu", "d"),
    ]
    assert [one["bot"] for one in page] == [False, False, False, True]
    assert {one["source"] for one in page} == {"irc"}
    assert page[3]["sent_at"].isoformat() == "2005-02-06T14:16:00+00:00"
    again = last_line("irc", log, "--wait", env=env, code=1)
    assert again == (
        "Not complete: 8 in, 0 out, 2 skipped, 6 archived before, 0 failed, 1 could not be read."
    )
    with log.open("a") as file:
        file.write("[14:17] <ana> e\n")
    assert said("irc", log, "--wait", env=env, code=1)["out"] == 1
    assert [one["body"] for one in store.page("tea")] == ["a", "b", "c", "d", "e"]


def test_replies_arrive(
    env: dict[str, str],
    tmp_path: Path,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    log = tmp_path / "2005-02-06.raw.txt"
    log.write_text("[14:15] <ana> a\n[14:15] <ben> b\n")
    (tmp_path / "2005-02-06.annotation.txt").write_text("0 0 -\n0 1 -\n")
    line = last_line("irc", tmp_path, "--channel", "tea", "--links", "--wait", env=env)
    assert line == "Done, and all archived: 2 in, 2 out, 0 skipped, 0 archived before, 0 failed."
    first, second = store.page("tea")
    assert (first["reply_to"], second["reply_to"]) == (None, first["_id"])


def test_an_import_that_was_stopped_goes_on(
    env: dict[str, str],
    tmp_path: Path,
    channels: Channels,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    log = tmp_path / "#tea.log"
    count = 200_000
    with log.open("w") as file:
        for n in range(count):
            seconds = n // 4
            stamp = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
            file.write(f"2005-02-06 {stamp} <ana> tea {n}\n")
    with running("import", "irc", str(log), env=env) as command:

        def is_sending() -> bool:
            info = channels.find().get("tea")
            return info is not None and channels.offsets(info)[0].end > 0

        wait_until(is_sending, 60)
        assert command.end(signal.SIGINT) == 130
    line = command.lines[-1]
    assert line.startswith("Stopped before the end; import again to go on: ")
    assert "the rest not read." in line
    archiver_factory()
    wait_until(lambda: store.counts().get("tea", 0) > 0, 60)
    result = said("irc", log, "--wait", env=env)
    assert result["ok"] is True
    assert result["in"] == count == result["out"] + result["already"]
    assert store.counts() == {"tea": count}
    assert said("irc", log, "--wait", env=env)["already"] == count


def test_tables_come_in_by_the_columns_that_are_named(
    env: dict[str, str],
    tmp_path: Path,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    table = tmp_path / "chat.csv"
    table.write_text("nick,said,when\nana,a,2005-02-06T14:15:00Z\nben,b,2005-02-06T14:16:00Z\n")
    columns = ("--column", "author=nick", "--column", "body=said", "--column", "sent_at=when")
    result = said("csv", table, "--channel", "tea", *columns, "--wait", env=env)
    assert (result["ok"], result["out"]) == (True, 2)
    assert [(one["author"], one["body"]) for one in store.page("tea")] == [
        ("ana", "a"),
        ("ben", "b"),
    ]
    lines = tmp_path / "chat.jsonl"
    rows = [{"nick": "cleo", "said": "c", "when": "2005-02-06T14:17:00Z"}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = said("jsonl", lines, "--channel", "tea", *columns, "--wait", env=env)
    assert (result["ok"], result["out"]) == (True, 1)
    assert [one["author"] for one in store.page("tea")] == ["ana", "ben", "cleo"]


@pytest.mark.skipif(not UBUNTU.is_dir(), reason=f"the IRC data set is not in {UBUNTU}")
def test_a_real_day_arrives_whole(
    env: dict[str, str], store: MessageStore, archiver_factory: Callable[..., Archiver]
) -> None:
    archiver_factory()
    day = UBUNTU / "2005-02-08.train-a.raw.txt"
    result = said("irc", day, "--channel", "ubuntu", "--links", "--wait", env=env)
    assert result["ok"] is True
    assert (result["entries"], result["messages"]) == (1246, 929)
    assert store.counts() == {"ubuntu": 929}
    texts = [
        line.split("> ", 1)[1]
        for line in day.read_text(encoding="utf-8").split("\n")
        if line.startswith("[") and "] <" in line
    ]
    page = store.page("ubuntu", limit=2000)
    assert [one["body"] for one in page] == texts
    ids = {one["_id"] for one in page}
    replies = [one["reply_to"] for one in page if one["reply_to"]]
    assert len(replies) > 150
    assert set(replies) <= ids
    assert said("irc", day, "--channel", "ubuntu", "--links", "--wait", env=env)["out"] == 0
