"""The teacher's page says what is true: its notebooks, times, commands and settings."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
import yaml

from chatkit.settings import Settings
from chatkit.workshop.cluster import QUICK
from tests.test_readme import COMMANDS, MAKEFILE

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks" / "workshop"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| \[(w\d+)\]\(([\w-]+\.ipynb)\) \| .* \| (\d+) \|$", re.MULTILINE)


def test_every_notebook_is_in_the_table_with_its_minutes() -> None:
    rows = ROW.findall(PAGE)
    assert sorted(path.name for path in FOLDER.glob("*.ipynb")) == sorted(row[1] for row in rows)
    for short, name, minutes in rows:
        assert name.startswith(f"{short}-")
        title = nbformat.read(FOLDER / name, as_version=4).cells[0].source
        assert f"**Time:** {minutes} minutes" in title, name


def test_the_day_has_time_for_what_it_plans() -> None:
    minutes = {short: int(each) for short, _, each in ROW.findall(PAGE)}
    table = PAGE.split("## Plan of the day")[1].split("**Before each")[0]
    rows = re.findall(r"^\| (\d\d:\d\d) \| .* \|(.*)\|$", table, re.MULTILINE)
    times = [datetime.strptime(time, "%H:%M") for time, _ in rows]
    planned = [re.findall(r"w\d+", names) for _, names in rows]
    for begin, end, names in zip(times, times[1:], planned, strict=False):
        seconds = (end - begin).total_seconds()
        assert seconds >= 60 * max((minutes[name] for name in names), default=0), names
    assert {name for names in planned for name in names} == minutes.keys()


def test_commands_and_their_options_exist() -> None:
    found = re.findall(r"(chatkit (?:workshop )?[a-z]+)((?: --?[\w.-]+(?: [\w.]+)?)*)", PAGE)
    commands = [(words, options) for words, options in found if words in COMMANDS]
    assert {words for words, _ in commands} >= {
        "chatkit up",
        "chatkit down",
        "chatkit status",
        "chatkit simulate",
        "chatkit workshop check",
        "chatkit workshop progress",
    }
    for words, options in commands:
        known = {name for option in COMMANDS[words].params for name in option.opts}
        assert set(re.findall(r"--[a-z-]+", options)) <= known, (words, options)
    for word in re.findall(r"^make (\w+)", PAGE, re.MULTILINE):
        assert f"\n{word}:" in MAKEFILE


@pytest.mark.parametrize("name", sorted(set(re.findall(r"CHATKIT_(\w+)", PAGE))))
def test_settings_exist(name: str) -> None:
    assert name.lower() in Settings.model_fields


def test_services_and_ports_are_those_of_docker_compose() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    (line,) = re.findall(r"docker compose up (kafka.*)$", PAGE, re.MULTILINE)
    published = [services[name]["ports"][0].split(":")[-1] for name in line.split()]
    assert f"| {', '.join(published)} |" in PAGE
    servers = ",".join(f"192.0.2.10:{port}" for port in published)
    assert f"CHATKIT_BOOTSTRAP_SERVERS={servers}" in PAGE
    assert services["kafka"]["ports"] == ["${SHARE_ADDRESS:-127.0.0.1}:9092:9092"]


def test_a_shared_kafka_tidies_up_as_quickly_as_a_notebooks_own() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    environment = compose["x-kafka-environment"]
    found = {name: environment.get(f"KAFKA_{name.upper().replace('.', '_')}") for name in QUICK}
    assert {name: str(value) for name, value in found.items()} == QUICK


def test_whoever_shares_a_kafka_reads_first_what_that_means() -> None:
    warning = PAGE.index("There are no passwords and there is no encryption")
    for text in ("--listen 192.0.2.10", "SHARE_ADDRESS=192.0.2.10"):
        assert warning < PAGE.index(text)
