"""The command stats, on the sample in real MongoDB."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chatkit import sample
from chatkit.archiver import Archiver
from chatkit.settings import Settings
from tests.commands import chatkit, environment


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    return environment(settings)


def test_the_archive_in_numbers_charts_and_as_a_page(
    settings: Settings,
    env: dict[str, str],
    archiver_factory: Callable[..., Archiver],
    tmp_path: Path,
) -> None:
    assert "no such messages" in chatkit("stats", env=env).stdout
    archiver_factory()
    sample.add(settings)
    shown = chatkit("stats", env=env).stdout
    assert "68 messages of 4 authors in 3 channels, 2026-09-07 to 2026-09-25" in shown
    assert "sample-workshop" in shown
    assert "Per day, up to 8" in shown
    told = json.loads(chatkit("stats", "from:ana", "--json", env=env).stdout)
    assert told["summary"][0]["messages"] == 25
    assert [one["author"] for one in told["authors"]] == ["ana"]
    page = tmp_path / "page.html"
    assert "68 messages" in chatkit("stats", "--html", str(page), env=env).stdout
    assert "<h2>Weekdays and hours</h2>" in page.read_text()
    assert "2026-13" in chatkit("stats", "before:2026-13", env=env, code=1).stderr
