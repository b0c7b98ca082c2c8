"""A wait in a cell ends with what was found, tells what it waits for, and gives up in time."""

from __future__ import annotations

import pytest

from chatkit.errors import WorkshopTimeoutError
from chatkit.workshop import waiting
from chatkit.workshop.waiting import wait_until


def test_what_is_found_is_returned_and_a_short_wait_says_nothing() -> None:
    looks = iter([0, None, 7, 8])
    told: list[str] = []
    assert wait_until("there is a number", lambda: next(looks), tell=told.append) == 7
    assert told == []


def test_a_longer_wait_says_once_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    looks = iter([0, 0, 0, 7])
    told: list[str] = []
    wait_until("the log starts later", lambda: next(looks), timeout=30, tell=told.append)
    assert told == ["Waiting until the log starts later: 30 s at most ..."]


def test_what_does_not_come_about_says_what_was_seen_last() -> None:
    with pytest.raises(WorkshopTimeoutError, match=r"0\.2 s until pigs fly\. Seen last: 0\. "):
        wait_until("pigs fly", lambda: 0, timeout=0.2)


def test_what_a_look_raises_comes_through() -> None:
    def look() -> int:
        raise KeyError("no such group")

    with pytest.raises(KeyError):
        wait_until("there is a group", look)
