"""Live statistics are those that the archive gives for the same minutes."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from chatkit import history, stats
from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.errors import InputError
from chatkit.live_statistics import LiveStatistics
from chatkit.room import ChatRoom
from chatkit.store import MessageStore
from tests.waiting import wait_until

SHARED = ["id", "channel", "author", "body", "placed_at", "edited_at", "deleted_at", "rev"]


def test_the_window_of_the_stream_is_that_of_the_archive(
    channels: Channels,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    archiver_factory()
    channels.create("lunch")
    ana, ben = room_factory("ana"), room_factory("ben")
    for room in (ana, ben):
        for name in ("general", "lunch"):
            room.join(name).result(20)
    sent = [ana.send("general", f"before number {number}") for number in range(120)]
    ben.send("lunch", "soup at twelve")
    wait_until(lambda: store.counts() == {"general": 120, "lunch": 1}, 30)
    wait_until(lambda: len([row for row in ana.rows("general") if row.state == "sent"]) >= 120, 20)
    live = LiveStatistics(room_factory("cleo"), ["general", "lunch"]).fill()
    assert len(live.frame()) == 121, "also what is above the first page"
    ana.edit("general", sent[0].id, "edited meanwhile").result(10)
    ana.delete("general", sent[1].id).result(10)
    ben.send("general", "and after")
    wait_until(lambda: len(live.frame()) == 122 and live.frame()["deleted_at"].notna().sum() == 1)
    wait_until(lambda: len(history.load(store, "edited")) == 1)
    wait_until(lambda: len(loaded := history.load(store)) == 122 and loaded["rev"].sum() == 2)
    ours, archived = live.frame(), history.load(store)
    pd.testing.assert_frame_equal(ours[SHARED], archived[SHARED])
    assert live.people().equals(stats.per_author(archived))
    assert live.words(top=5).equals(stats.words(archived).head(5))
    minutes = live.per_minute()
    assert minutes["messages"].sum() == 122
    assert len(minutes) == 15 * 2, "silent minutes too"
    assert list(minutes.groupby("channel")["messages"].sum()) == [121, 1]


@pytest.mark.usefixtures("channels")
def test_what_is_older_than_the_window_does_not_count(
    room_factory: Callable[..., ChatRoom],
) -> None:
    room = room_factory("ana")
    room.join("general").result(20)
    receipt = room.send("general", "hello")
    wait_until(lambda: any(row.state == "sent" for row in room.rows("general")))
    (row,) = [row for row in room.rows("general") if row.id == receipt.id]
    clock = [row.placed_ms / 1000]
    live = LiveStatistics(room, ["general"], minutes=2, clock=lambda: clock[0])
    assert list(live.per_minute()["messages"]) == [0, 1]
    clock[0] += 60
    assert list(live.per_minute()["messages"]) == [1, 0]
    clock[0] += 60
    assert list(live.per_minute()["messages"]) == [0, 0]
    assert live.people().empty
    assert live.words().empty


def test_a_window_has_a_length(room_factory: Callable[..., ChatRoom]) -> None:
    with pytest.raises(InputError, match="over 0"):
        LiveStatistics(room_factory("ana"), [], minutes=0)
