"""An archive that counts itself says what its loaded frame does."""

from __future__ import annotations

import random
import warnings
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from bson.datetime_ms import DatetimeMS

from chatkit import stats
from chatkit.batches import PartitionBatch, decode_batches
from chatkit.errors import InputError, QueryError
from chatkit.history import load
from chatkit.message import Attachment, Delete, Edit, Event, Message, encode
from chatkit.stats import pushdown
from chatkit.store import MessageStore
from chatkit.writer import BatchWriter

COUNTS: dict[str, Callable[..., pd.DataFrame]] = {
    "per_channel": lambda source, **more: stats.per_channel(source, **more),
    "per_author": lambda source, **more: stats.per_author(source, **more),
    "summary": lambda source, **more: stats.summary(source, **more),
    "summary by channel": lambda source, **more: stats.summary(source, by="channel", **more),
    "per_day": lambda source, **more: stats.per_day(source, **more),
    "weekday_hours": lambda source, **more: stats.weekday_hours(source, **more),
    "weekday_hours by channel": lambda source, **more: stats.weekday_hours(
        source, by="channel", **more
    ),
    "calendar": lambda source, **more: stats.calendar(source, **more),
    **{
        period: lambda source, period=period, **more: stats.per_period(source, period, **more)
        for period in ("hour", "week", "month", "quarter", "year")
    },
    "month of all": lambda source, **more: stats.per_period(source, by=None, **more),
}
ZONES = ["UTC", "Europe/Vienna", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]


@pytest.fixture
def archive(store: MessageStore) -> MessageStore:
    """An archive with a little of everything, written as the archiver writes."""
    store.prepare()
    parts: dict[str, list[Any]] = {}
    for item in lively(1500):
        records = parts.setdefault(item.channel, [])
        record = SimpleNamespace(
            topic=f"chat.{item.channel}",
            partition=0,
            offset=len(records),
            timestamp=1_767_225_600_000 + len(records),
            key=None,
            value=encode(item),
        )
        records.append(record)
    BatchWriter(store).write(
        decode_batches(
            [
                PartitionBatch(
                    topic_id=f"id of {channel}",
                    topic=f"chat.{channel}",
                    channel=channel,
                    partition=0,
                    records=records,
                )
                for channel, records in parts.items()
            ]
        )
    )
    return store


def lively(count: int) -> list[Message | Event]:
    """Return messages of several years, around changes of clocks too, and what befell."""
    chance = random.Random(7)
    spring, autumn = datetime(2025, 3, 30, 0, tzinfo=UTC), datetime(2025, 10, 26, 0, tzinfo=UTC)
    items: list[Message | Event] = []
    for number in range(count):
        start = chance.choice([spring, autumn, datetime(1979, 6, 1, tzinfo=UTC)])
        hours = chance.choice([3, 24 * 9, 24 * 120])
        sent = start + timedelta(seconds=chance.randrange(-3600 * 3, 3600 * hours))
        message = Message(
            id=f"m{number}",
            channel=chance.choice(["general", "tools", "dev"]),
            author=chance.choice(["ana", "ben", "cleo", "robot"]),
            body=chance.choice(["yes", "is it @ana", "http://example.org"]),
            sent_ms=int(sent.timestamp() * 1000),
            reply_to=f"m{number - 1}" if chance.random() < 0.2 else None,
            bot=chance.random() < 0.1,
            source="irc",
            attachment=Attachment(name="a.txt", type="text/plain", data=b"x")
            if chance.random() < 0.1
            else None,
        )
        items.append(message)
        about = {
            "channel": message.channel,
            "actor": message.author,
            "at_ms": message.sent_ms + 60_000,
            "target": message.id,
        }
        if chance.random() < 0.2:
            items.append(Edit(id=f"e{number}", body="now this", **about))
        if chance.random() < 0.1:
            items.append(Delete(id=f"d{number}", **about))
    return items


def test_an_archive_counts_what_its_frame_would(archive: MessageStore) -> None:
    for zone in ZONES:
        frame = load(archive, zone=zone)
        assert frame["deleted_at"].notna().sum() > 50
        assert frame["bot"].sum() > 50
        for name, count in COUNTS.items():
            assert_same(count(archive, zone=zone), count(frame), name)


@pytest.mark.parametrize(
    "query",
    [
        "-from:ben is:bot",
        "from:me -is:bot",
        "channel:tools on:2025-10-26",
        "after:2025 from:ana",
        "example.org",
        "channel:nowhere",
    ],
)
def test_a_query_means_the_same(archive: MessageStore, query: str) -> None:
    zone = "Europe/Vienna"
    frame, of_ben = load(archive, query, zone=zone), load(archive, "from:ben", zone=zone)
    for name, count in COUNTS.items():
        assert_same(count(archive, query=query, zone=zone), count(frame), name)
        mine = count(archive, query="from:me", me="ben", zone=zone)
        assert_same(mine, count(of_ben), name)


def test_an_empty_archive_gives_the_columns(store: MessageStore) -> None:
    for zone in ("UTC", "Europe/Vienna"):
        for name, count in COUNTS.items():
            assert_same(count(store, zone=zone), count(load(store, zone=zone)), name)


def assert_same(pushed: pd.DataFrame, loaded: pd.DataFrame, name: str) -> None:
    pd.testing.assert_frame_equal(pushed, loaded, obj=name)


def test_what_does_not_fit_is_left_out_and_far_off_dates_are_the_nearest(
    archive: MessageStore,
) -> None:
    messages = archive.messages
    ids = [one["_id"] for one in messages.find({"deleted_at": None}).limit(6)]
    for message_id, wrong in zip(
        ids,
        (
            {"bot": "yes"},
            {"placed_at": "today"},
            {"author": 7},
            {"edited_at": "today"},
            {"placed_at": DatetimeMS(10**15)},
            {"placed_at": DatetimeMS(-(10**15))},
        ),
        strict=True,
    ):
        messages.update_one({"_id": message_id}, {"$set": wrong})
    for zone in ("UTC", "Europe/Vienna"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = load(archive, zone=zone)
        for name in ("per_channel", "per_author", "summary", "weekday_hours", "year"):
            assert_same(COUNTS[name](archive, zone=zone), COUNTS[name](frame), name)


def test_the_messages_stay_in_mongodb(
    archive: MessageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only counts come here: fewer documents than there are messages."""
    found: list[int] = []
    ask = pushdown._ask

    def counted(*args: Any) -> list[Any]:
        answer = ask(*args)
        found.append(len(answer))
        return answer

    monkeypatch.setattr(pushdown, "_ask", counted)
    for name in ("per_channel", "per_author", "summary", "weekday_hours", "month"):
        COUNTS[name](archive, zone="Europe/Vienna")
    assert max(found) < 700


def test_wrong_questions_are_refused(store: MessageStore) -> None:
    with pytest.raises(QueryError):
        stats.per_channel(store, query="fron:ana")
    with pytest.raises(InputError, match="no time zone"):
        stats.per_day(store, zone="Mars/Olympus")


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone != "UTC"])
def test_changes_of_clocks_are_found_to_the_millisecond(zone: str) -> None:
    first, last = -3_000_000_000_000, 2_000_000_000_000
    changes, values = pushdown._changes(first, last, zone)
    assert len(values) == len(changes) + 1
    assert len(changes) > 1
    place = zoneinfo.ZoneInfo(zone)
    for change, before, after in zip(changes, values, values[1:], strict=False):
        for ms, expected in ((change - 1, before), (change, after)):
            when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
            offset = when.astimezone(place).utcoffset()
            assert offset is not None
            assert offset / timedelta(milliseconds=1) == expected
