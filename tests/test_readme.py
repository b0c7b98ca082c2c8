"""README says what is true: its commands, settings, fields, notebooks and figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from chatkit.batches import PartitionBatch, decode_batches
from chatkit.channels import Channels
from chatkit.cli.app import app
from chatkit.documents import fold_update
from chatkit.fold import Folded
from chatkit.message import Message, encode
from chatkit.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def _commands(command: Any, words: str) -> dict[str, Any]:
    inner = getattr(command, "commands", {})
    found = {} if inner and command.no_args_is_help else {words: command}
    for name, one in inner.items():
        found |= _commands(one, f"{words} {name}")
    return found


COMMANDS = _commands(typer.main.get_command(app), "chatkit")


def test_every_command_is_in_the_table_and_every_row_is_a_command() -> None:
    rows = set(re.findall(r"^\| `(chatkit [a-z ]+)` \|", README, re.MULTILINE))
    assert rows == COMMANDS.keys()


def test_every_option_in_the_table_exists() -> None:
    for words, text in re.findall(r"^\| `(chatkit [a-z ]+)` \|(.*)\|$", README, re.MULTILINE):
        options = {name for option in COMMANDS[words].params for name in option.opts}
        for name in re.findall(r"`(--[a-z-]+)", text):
            assert name in options, f"{words} has no {name}"


def test_every_setting_is_in_the_table_and_every_row_is_a_setting() -> None:
    table = README.split("## Settings")[1].split("## What is promised")[0]
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"[A-Z_]{3,}", row)}
    own = {"kafka_home": "KAFKA_HOME", "java_home": "JAVA_HOME"}
    assert named == {own.get(name, f"CHATKIT_{name.upper()}") for name in Settings.model_fields}


def test_every_notebook_is_in_the_table() -> None:
    listed = set(re.findall(r"\(notebooks/([\w-]+\.ipynb)\)", README))
    assert listed == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_every_make_word_exists() -> None:
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for word in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE):
            assert re.search(rf"^{word}:", MAKEFILE, re.MULTILINE), word


def test_every_link_to_a_file_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


class Record(NamedTuple):
    """A record, as kafka-python gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes


def test_the_fields_of_a_message_are_those_of_its_document() -> None:
    message = encode(Message.new("general", "ana", "hi"))
    record = Record("chat.general", 0, 0, 1, b"ana", message)
    part = PartitionBatch("id", "chat.general", "general", 0, [record])
    (document,) = decode_batches([part]).messages
    update = fold_update(
        Folded(body="", original="x", edited_ms=1, reactions={"+": ("a",)}, pinned_ms=1)
    )
    fields = {*document, *update["$set"], "deleted_at"}
    table = README.split("**`messages`**")[1].split("**`events`**")[0]
    first_cells = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == fields


@pytest.mark.usefixtures("channels")
def test_the_python_example_runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CHATKIT_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "CHATKIT_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "CHATKIT_DATABASE": settings.database,
        "CHATKIT_TOPIC_PREFIX": settings.topic_prefix,
        "CHATKIT_SYSTEM_PREFIX": settings.system_prefix,
    }.items():
        monkeypatch.setenv(name, value)
    part = README.split("## From Python")[1]
    example = re.findall(r"```python\n(.*?)```", part, re.DOTALL)[0]
    names: dict[str, object] = {}
    exec(example, names)
    assert list(names["frame"].columns)[:3] == ["id", "channel", "author"]  # type: ignore[attr-defined]
    with Channels() as channels:
        assert channels.offsets(channels.describe("general"))[0].end == 2
