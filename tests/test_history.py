"""The frame of `history.load`: always the same columns, never a wrong value, never in silence."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import bson
import msgspec
import pandas as pd
import pyarrow as pa
import pymongo.collection
import pytest
from bson.datetime_ms import DatetimeMS
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import CursorType, MongoClient, monitoring
from pymongo._csot import remaining as remaining_time
from pymongo.cursor import RawBatchCursor
from pymongo.errors import NetworkTimeout

from chatkit import history
from chatkit.archiver import Archiver
from chatkit.batches import PartitionBatch, decode_batches
from chatkit.errors import ChannelNameError, InputError, QueryError, StoreUnavailableError
from chatkit.history import MESSAGE_SCHEMA, DamagedMessageWarning, load, reading
from chatkit.local import LocalStack
from chatkit.message import (
    Attachment,
    Delete,
    Edit,
    Event,
    Join,
    Message,
    Pin,
    React,
    Received,
    encode,
)
from chatkit.producer import ChatProducer
from chatkit.query import parse
from chatkit.room import ChatRoom
from chatkit.segments import columns
from chatkit.segments.rows import raw_batches
from chatkit.settings import Settings, read_local_state
from chatkit.store import MessageStore
from chatkit.timeline import Timeline
from chatkit.writer import BatchWriter
from tests.verification import is_archived
from tests.waiting import wait_until

START = 1_767_225_600_000  # 2026-01-01
DTYPES = {
    "id": "str",
    "channel": "str",
    "author": "str",
    "body": "str",
    "sent_at": "datetime64[ms, UTC]",
    "placed_at": "datetime64[ms, UTC]",
    "archived_at": "datetime64[ms, UTC]",
    "reply_to": "str",
    "bot": "bool",
    "source": "str",
    "edited_at": "datetime64[ms, UTC]",
    "deleted_at": "datetime64[ms, UTC]",
    "pinned_at": "datetime64[ms, UTC]",
    "reactions": "int64",
    "attachment_name": "str",
    "attachment_type": "str",
    "attachment_size": "Int64",
    "partition": "int64",
    "offset": "int64",
    "rev": "int64",
}

Write = Callable[..., None]


@pytest.fixture
def write(store: MessageStore) -> Write:
    """Archive messages and events as the archiver does, each placed a second after the last."""
    store.prepare()
    offsets: dict[tuple[str, int], int] = {}
    clock = iter(range(START, START + 10**9, 1000))

    def write(*items: Message | Event, partition: int = 0, at_ms: int | None = None) -> None:
        batches: dict[str, list[Any]] = {}
        for item in items:
            place = item.channel, partition
            offset = offsets[place] = offsets.get(place, -1) + 1
            record = SimpleNamespace(
                topic=f"chat.{item.channel}",
                partition=partition,
                offset=offset,
                timestamp=next(clock) if at_ms is None else at_ms,
                key=None,
                value=encode(item),
            )
            batches.setdefault(item.channel, []).append(record)
        batch = decode_batches(
            [
                PartitionBatch(
                    topic_id=f"id of {channel}",
                    topic=f"chat.{channel}",
                    channel=channel,
                    partition=partition,
                    records=records,
                )
                for channel, records in batches.items()
            ]
        )
        BatchWriter(store).write(batch)

    return write


class Commands(monitoring.CommandListener):
    """What was sent to MongoDB."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.sent.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass

    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.sent]

    def find(self) -> dict[str, Any]:
        """Return the one find command that asked for messages."""
        (found,) = [command for command in self.sent if command.get("find") == "messages"]
        return found


@pytest.fixture
def listened(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Commands]]:
    """The archive of this test, and the commands that go there."""
    commands = Commands()

    def listening(*args: Any, **more: Any) -> MongoClient[Any]:
        return MongoClient(*args, event_listeners=[commands], **more)

    with monkeypatch.context() as patch:
        patch.setattr("chatkit.store.MongoClient", listening)
        store = MessageStore(settings)
    with store:
        yield store, commands


def say(channel: str, body: str, **more: Any) -> Message:
    return Message.new(channel, more.pop("author", "ana"), body, **more)


def event(kind: type[Any], message: Message, **more: Any) -> Any:
    values = {"id": str(uuid.uuid4()), "actor": message.author, "at_ms": START, **more}
    return kind(channel=message.channel, target=message.id, **values)


def slow_way(store: MessageStore) -> pd.DataFrame:
    """Return the same frame by dicts and plain Python."""
    rows = []
    for document in store.messages.find():
        attachment = document["attachment"] or {}
        rows.append(
            {
                **{name: document.get(name) for name in MESSAGE_SCHEMA.names},
                "id": document["_id"],
                "reactions": sum(map(len, document.get("reactions", {}).values())),
                **{f"attachment_{part}": attachment.get(part) for part in ("name", "type", "size")},
            }
        )
    rows.sort(key=lambda row: (row["placed_at"], row["partition"], row["offset"], row["id"]))
    return pd.DataFrame(rows, columns=MESSAGE_SCHEMA.names).astype(DTYPES)


def many_messages(count: int) -> list[Message | Event]:
    """Return messages of all kinds, with events among them."""
    chance = random.Random(7)
    bodies = ["hello", "naïve café", "日本語の文", "👩🏽‍💻 ok", "two\nlines", "a\0b", "x" * 2000]
    items: list[Message | Event] = []
    messages: list[Message] = []
    for number in range(count):
        message = say(
            chance.choice(["general", "tools", "random"]),
            f"{chance.choice(bodies)} {number}",
            author=chance.choice(["ana", "bo", "Łukasz", "2024"]),
            sent_ms=START + chance.randrange(-(10**9), 10**9),
            bot=chance.random() < 0.1,
            source=chance.choice(["chat", "chat", "irc"]),
            reply_to=chance.choice(messages).id if messages and chance.random() < 0.2 else None,
            attachment=Attachment(name=f"{number}.png", type="image/png", data=b"x" * number)
            if chance.random() < 0.05
            else None,
        )
        messages.append(message)
        items.append(message)
        about = chance.choice(messages)
        kind = chance.choice([None] * 12 + [Edit, Delete, React, Pin])
        if kind is not None:
            more = {Edit: {"body": "better"}, React: {"emoji": "👍"}}.get(kind, {})
            items.append(event(kind, about, **more))
    return items


# The columns.


def test_a_frame_has_the_columns_and_dtypes_of_the_schema(
    store: MessageStore, write: Write
) -> None:
    write(say("general", "hello"))
    frame = load(store)
    assert frame.dtypes.astype(str).to_dict() == DTYPES
    assert list(frame.columns) == MESSAGE_SCHEMA.names
    assert frame.index.equals(pd.RangeIndex(1))


@pytest.mark.parametrize("channel", [None, "general", ["general", "tools"], []])
def test_an_empty_frame_has_the_same_columns_and_dtypes(
    store: MessageStore, channel: str | list[str] | None
) -> None:
    for limit in (None, 10):
        frame = load(store, channel=channel, limit=limit)
        assert len(frame) == 0
        assert frame.dtypes.astype(str).to_dict() == DTYPES


def test_the_schema_says_which_columns_every_message_has() -> None:
    optional = {field.name for field in MESSAGE_SCHEMA if field.nullable}
    assert optional == {
        "reply_to",
        "edited_at",
        "deleted_at",
        "pinned_at",
        "attachment_name",
        "attachment_type",
        "attachment_size",
    }


def test_a_frame_is_equal_to_the_one_of_plain_dicts(store: MessageStore, write: Write) -> None:
    items = many_messages(3000)
    for start in range(0, len(items), 500):
        write(*items[start : start + 500], partition=start // 500 % 2)
    frame = load(store)
    expected = slow_way(store)
    pd.testing.assert_frame_equal(frame, expected)
    assert frame["edited_at"].notna().any()
    assert frame["deleted_at"].notna().any()
    assert frame["attachment_size"].notna().any()


def test_the_size_of_a_piece_changes_nothing(
    store: MessageStore, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(*many_messages(300))
    whole = load(store)
    monkeypatch.setattr(columns, "BATCH_ROWS", 7)
    monkeypatch.setattr(columns, "CHUNK_BYTES", 5000)
    pd.testing.assert_frame_equal(load(store), whole)


def test_edited_and_deleted_messages_show_what_people_see(
    store: MessageStore, write: Write
) -> None:
    plain, edited, deleted = (say("general", text) for text in ("plain", "edited", "deleted"))
    write(plain, edited, deleted)
    write(event(Edit, edited, body="better"), event(React, plain, emoji="👍"))
    write(event(Delete, deleted))
    frame = load(store).set_index("id")
    assert frame.loc[edited.id, "body"] == "better"
    assert frame.loc[edited.id, "edited_at"] == datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)
    assert frame.loc[deleted.id, "body"] == ""
    assert frame.loc[deleted.id, "deleted_at"] == datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert frame.loc[plain.id, "body"] == "plain"
    assert frame.loc[plain.id, ["edited_at", "deleted_at"]].isna().all()
    assert frame["rev"].tolist() == [1, 1, 1]


# The order, and which messages.


def test_messages_are_in_the_archives_order(store: MessageStore, write: Write) -> None:
    late = say("general", "late", id="z")
    write(late)
    same_place = [say(f"c{n}", "same", id=name) for n, name in enumerate("dbac")]
    for message in same_place:
        write(message, at_ms=START - 5000)
    write(say("c0", "other partition", id="0"), partition=1, at_ms=START - 5000)
    write(say("general", "imported", source="irc", sent_ms=0, id="old"))
    assert load(store)["id"].tolist() == ["old", "a", "b", "c", "d", "0", "z"]


def test_only_the_channels_that_are_asked_for(store: MessageStore, write: Write) -> None:
    write(*(say(channel, "text") for channel in ["general", "tools", "random", "tools"]))
    assert load(store, channel="tools")["channel"].tolist() == ["tools", "tools"]
    several = load(store, channel=["random", "tools", "random"])
    assert several["channel"].tolist() == ["tools", "random", "tools"]
    assert load(store, channel=("nobody",)).empty


def test_a_limit_keeps_the_newest_oldest_first(store: MessageStore, write: Write) -> None:
    write(*many_messages(400))
    frame = load(store)
    for limit in (1, 10, len(frame), len(frame) + 1):
        expected = frame.tail(limit).reset_index(drop=True)
        pd.testing.assert_frame_equal(load(store, limit=limit), expected)
    tools = frame[frame["channel"] == "tools"].tail(5).reset_index(drop=True)
    pd.testing.assert_frame_equal(load(store, channel="tools", limit=5), tools)
    both = frame[frame["channel"] != "general"].tail(9).reset_index(drop=True)
    pd.testing.assert_frame_equal(load(store, channel=["tools", "random"], limit=9), both)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(store: MessageStore, limit: int) -> None:
    with pytest.raises(InputError, match="limit must be at least 1"):
        load(store, limit=limit)


def test_what_is_no_channel_name_never_reaches_mongodb(listened: tuple[Any, Commands]) -> None:
    store, commands = listened
    for name in ("No Such", "$ne", ""):
        with pytest.raises(ChannelNameError):
            load(store, channel=name)
        with pytest.raises(ChannelNameError):
            load(store, channel=["general", name])
    assert commands.sent == []


@pytest.mark.parametrize("limit", [None, 1, 7, 5000])
@pytest.mark.parametrize(
    "query",
    [
        "café",
        "-café is:bot",
        "in:tools in:random from:ana",
        "-in:tools has:attachment",
        "is:edited",
        "nothing-of-that-kind",
    ],
)
def test_a_query_gives_the_rows_that_its_mask_gives(
    store: MessageStore, write: Write, query: str, limit: int | None
) -> None:
    write(*many_messages(600))
    whole = load(store)
    expected = whole[parse(query).mask(whole, me="ana")]
    assert (len(expected) > 0) is (query != "nothing-of-that-kind")
    expected = (expected if limit is None else expected.tail(limit)).reset_index(drop=True)
    pd.testing.assert_frame_equal(load(store, query, limit=limit), expected)
    pd.testing.assert_frame_equal(load(store, parse(query), limit=limit), expected)


def test_reactions_and_pins_can_be_asked_for(store: MessageStore, write: Write) -> None:
    liked, pinned, plain = say("general", "liked"), say("general", "pinned"), say("general", "x")
    write(liked, pinned, plain, event(React, liked, emoji="👍"), event(Pin, pinned))
    assert load(store, "has:reaction")["body"].tolist() == ["liked"]
    assert load(store, "is:pinned")["body"].tolist() == ["pinned"]
    assert load(store, "-is:pinned -has:reaction")["body"].tolist() == ["x"]


def test_only_the_empty_query_gives_deleted_messages(store: MessageStore, write: Write) -> None:
    gone = say("general", "gone")
    write(gone, say("general", "there"), event(Delete, gone))
    assert load(store)["body"].tolist() == load(store, " ")["body"].tolist() == ["", "there"]
    assert load(store, "in:general")["body"].tolist() == ["there"]
    assert load(store, "-gone", channel="general")["body"].tolist() == ["there"]


def test_channels_of_the_query_and_of_the_argument_both_count(
    listened: tuple[Any, Commands], write: Write
) -> None:
    store, commands = listened
    write(*(say(channel, "text") for channel in ["general", "tools", "random"]))
    both = load(store, "in:tools in:random -in:random", channel=["general", "tools", "random"])
    assert both["channel"].tolist() == ["tools"]
    assert load(store, "in:tools", channel="general").empty
    commands.sent.clear()
    assert load(store, "in:tools in:general text", channel="tools", limit=2).shape[0] == 1
    assert commands.find()["filter"]["channel"] == "tools"


def test_me_and_the_days_of_a_query_are_whose_and_where_the_load_is(
    store: MessageStore, write: Write
) -> None:
    write(say("general", "mine"), say("general", "@ana look", author="ben"))
    assert load(store, "from:me")["body"].tolist() == ["mine"]
    assert load(store, "from:me", me="ben")["body"].tolist() == ["@ana look"]
    assert load(store, "mentions:me")["body"].tolist() == ["@ana look"]
    assert len(load(store, "on:2026-01-01")) == 2
    assert load(store, "on:2026-01-01", zone="America/New_York").empty
    assert len(load(store, "on:2025-12-31", zone="America/New_York")) == 2


def test_a_query_that_cant_be_parsed_never_reaches_mongodb(
    listened: tuple[Any, Commands],
) -> None:
    store, commands = listened
    with pytest.raises(QueryError, match="is a year, month or day"):
        load(store, "before:yesterday")
    assert commands.sent == []


def test_a_query_may_look_for_long_behind_every_batch(
    store: MessageStore, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoDB answers when it has a batch full, and what matches may be far between."""
    write(*many_messages(60))
    monkeypatch.setattr(columns, "BATCH_ROWS", 10)
    remaining: list[float | None] = []
    plain = RawBatchCursor.next

    def spy(self: Any) -> Any:
        remaining.append(remaining_time())
        return plain(self)

    monkeypatch.setattr(RawBatchCursor, "__next__", spy)
    load(store, "-nothing")
    assert len(remaining) > 3
    assert all(seconds is not None and seconds > 3000 for seconds in remaining)
    remaining.clear()
    load(store)
    assert [seconds is None for seconds in remaining] == [False] + [True] * (len(remaining) - 1)


# Rows of a room.


def test_the_frame_of_a_rooms_rows_is_what_would_be_loaded(
    settings: Settings,
    store: MessageStore,
    producer: ChatProducer,
    archiver_factory: Callable[..., Archiver],
    room_factory: Callable[..., ChatRoom],
) -> None:
    picture = Attachment(name="a.png", type="image/png", data=b"picture")
    message = say("general", "hello")
    edited, deleted = say("general", "edited"), say("general", "deleted", attachment=picture)
    items: list[Message | Event] = [
        message,
        edited,
        deleted,
        say("general", "", attachment=picture, author="ben", bot=True),
        say("general", "imported", source="irc", sent_ms=START),
        say("general", "answer", reply_to=message.id),
        event(Edit, edited, body="better"),
        event(Delete, deleted),
        event(React, message, emoji="👍"),
        Join.new("general", "ana"),
    ]
    room = room_factory()
    room.join("general").result(20)
    for receipt in [producer.send(item) for item in items]:
        receipt.result(30)
    archiver_factory()
    wait_until(lambda: is_archived(settings, "general"), 30)
    expected = load(store, zone="Asia/Kolkata").drop(columns="archived_at")
    assert len(expected) == 6
    again = room_factory("ben")  # sees from the archive what the other saw live
    again.join("general").result(20)
    for one in (room, again):
        wait_until(lambda one=one: sum(row.kind == "message" for row in one.rows("general")) == 6)
        wait_until(lambda one=one: sum(row.folded.rev for row in messages_of(one)) == 3)
        frame = history.frame(reversed(one.rows("general")), zone="Asia/Kolkata")
        assert str(frame["archived_at"].dtype) == "datetime64[ms, Asia/Kolkata]"
        assert frame["archived_at"].isna().all()
        pd.testing.assert_frame_equal(frame.drop(columns="archived_at"), expected)


def messages_of(room: ChatRoom) -> list[Any]:
    return [row for row in room.rows("general") if row.folded is not None]


def test_the_frame_of_no_rows_has_the_same_columns_and_dtypes() -> None:
    frame = history.frame([])
    assert frame.dtypes.astype(str).to_dict() == DTYPES
    with pytest.raises(InputError, match="no time zone"):
        history.frame([], zone="Nowhere")


def test_a_frame_leaves_out_what_is_no_message_and_what_has_no_place_yet() -> None:
    timeline = Timeline("general")
    timeline.add_pending(say("general", "on its way"))
    timeline.add_gap(0, 3, 7, START)
    item = say("general", "there", id="b")
    for partition, name in ((1, "c"), (0, "b"), (0, "a")):
        timeline.add(
            Received(
                topic="t",
                partition=partition,
                offset=9,
                appended_ms=START,
                item=msgspec.structs.replace(item, id=name),
            )
        )
    frame = history.frame(timeline.rows())
    assert frame["id"].tolist() == ["a", "b", "c"]
    assert frame.dtypes.astype(str).to_dict() == DTYPES


# Time zones and dates.


def test_dates_are_in_the_zone_that_was_asked_for(store: MessageStore, write: Write) -> None:
    write(say("general", "hello"))
    plain, local = load(store), load(store, zone="Asia/Kolkata")
    assert str(local["placed_at"].dtype) == "datetime64[ms, Asia/Kolkata]"
    assert str(load(store, channel="tools", zone="Asia/Kolkata")["deleted_at"].dtype) == (
        "datetime64[ms, Asia/Kolkata]"
    )
    assert local["placed_at"].equals(plain["placed_at"].dt.tz_convert("Asia/Kolkata"))
    assert local["placed_at"][0].isoformat() == "2026-01-01T05:30:00+05:30"


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "../etc/passwd"])
def test_an_unknown_zone_is_refused(store: MessageStore, zone: str) -> None:
    with pytest.raises(InputError, match="no time zone"):
        load(store, zone=zone)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_far_off_dates_can_be_shown_and_worked_with(
    store: MessageStore, write: Write, zone: str
) -> None:
    last = 253_402_300_799_999
    far = [0, last, -(2**63), 2**63 - 1, -62_135_596_800_000]
    write(*(say("general", str(number), id=str(number)) for number in range(len(far) + 1)))
    for number, ms in enumerate(far):
        store.messages.update_one({"_id": str(number)}, {"$set": {"sent_at": DatetimeMS(ms)}})
    frame = load(store, zone=zone).set_index("id")
    repr(frame)
    years = frame["sent_at"].dt.year
    assert years[["1", "3"]].tolist() == [9999, 9999]
    assert years[["2", "4"]].tolist() == [1, 1]
    assert frame["sent_at"]["0"].timestamp() == 0
    assert frame["sent_at"].notna().all()
    assert frame["deleted_at"].isna().all()
    if zone == "UTC":
        assert frame["sent_at"]["1"].isoformat(timespec="milliseconds") == (
            "9999-12-31T23:59:59.999+00:00"
        )


# How MongoDB is asked.


def test_one_channel_comes_in_order_from_the_index(
    listened: tuple[Any, Commands], write: Write
) -> None:
    store, commands = listened
    write(*(say("general", str(number)) for number in range(20)))
    load(store, channel="general")
    find = commands.find()
    assert find["filter"] == {"channel": "general"}
    assert list(find["sort"]) == ["placed_at", "partition", "offset", "_id"]
    assert set(find["sort"].values()) == {1}
    assert find["batchSize"] == 500
    question = {name: find[name] for name in ("find", "filter", "sort")}
    plan = store.database.command("explain", question)["queryPlanner"]["winningPlan"]
    assert "'SORT'" not in str(plan)
    assert "'IXSCAN'" in str(plan)


def test_all_channels_come_unsorted_since_sorting_here_is_cheaper(
    listened: tuple[Any, Commands], write: Write
) -> None:
    store, commands = listened
    write(say("general", "hello"))
    load(store)
    find = commands.find()
    assert find["filter"] == {}
    assert "sort" not in find
    assert "search" not in find["projection"]


def test_the_newest_of_all_channels_come_from_the_index_too(
    listened: tuple[Any, Commands], write: Write
) -> None:
    store, commands = listened
    write(*(say(f"c{number % 5}", str(number)) for number in range(50)))
    load(store, limit=3)
    find = commands.find()
    assert sorted(find["filter"]["channel"]["$in"]) == ["c0", "c1", "c2", "c3", "c4"]
    assert find["limit"] == 3
    question = {name: find[name] for name in ("find", "filter", "sort", "limit")}
    explained = store.database.command("explain", question)
    assert "'SORT'" not in str(explained["queryPlanner"]["winningPlan"])
    assert explained["executionStats"]["totalDocsExamined"] <= 10


def test_loading_writes_nothing(listened: tuple[Any, Commands], write: Write) -> None:
    store, commands = listened
    write(say("general", "hello"))
    load(store)
    load(store, channel="general", limit=1)
    assert set(commands.names()) <= {"count", "distinct", "find", "getMore"}


def test_a_long_load_is_not_stopped_by_the_time_for_one_answer(
    listened: tuple[Any, Commands], write: Write
) -> None:
    """MongoDB counts its work for all batches of a cursor against the time that find names."""
    store, commands = listened
    write(say("general", "hello"))
    load(store)
    assert commands.find()["maxTimeMS"] > 3_000_000


def spied(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []
    plain = pymongo.collection.Collection.find_raw_batches

    def spy(self: Any, *args: Any, **more: Any) -> Any:
        asked.append(more)
        return plain(self, *args, **more)

    monkeypatch.setattr(pymongo.collection.Collection, "find_raw_batches", spy)
    return asked


def test_batches_are_streamed_where_mongodb_can(
    store: MessageStore, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(*many_messages(1200))
    asked = spied(monkeypatch)
    streamed = load(store)
    # There is no router to test on: ask as we would ask one.
    monkeypatch.setattr(MongoClient, "is_mongos", property(lambda self: True))
    pd.testing.assert_frame_equal(load(store), streamed)
    load(store, limit=5)
    assert [more.get("cursor_type") for more in asked] == [CursorType.EXHAUST, None, None]


def test_a_long_load_shows_its_progress_and_a_short_one_nothing(
    store: MessageStore,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(*(say("general", str(number)) for number in range(30)))
    load(store)
    assert capsys.readouterr().err == ""
    plain = reading.tqdm
    bars = []

    def at_once(**more: Any) -> Any:
        assert more.pop("delay") == 1
        bars.append(plain(**more))
        return bars[-1]

    monkeypatch.setattr(reading, "tqdm", at_once)
    load(store)
    load(store, channel="general", limit=10)
    assert [(bar.n, bar.total) for bar in bars] == [(30, 30), (10, 10)]
    assert "messages" in capsys.readouterr().err


# When MongoDB does not answer.


def test_a_mongodb_that_is_not_there_is_told_in_time(settings: Settings) -> None:
    nowhere = settings.replace(mongo_uri="mongodb://127.0.0.1:9", mongo_timeout=0.5)
    start = time.monotonic()
    with MessageStore(nowhere) as store, pytest.raises(StoreUnavailableError, match="chatkit up"):
        load(store)
    assert time.monotonic() - start < 5


@pytest.mark.skipif(os.name == "nt", reason="Windows can't freeze a process by signal")
def test_a_mongodb_that_freezes_while_it_sends_is_told_in_time(
    settings: Settings, local_stack: LocalStack
) -> None:
    state = read_local_state(local_stack.settings.data_dir)
    assert state is not None
    mongod = state.processes["mongod"].pid
    with MessageStore(settings.replace(mongo_timeout=1.0)) as store:
        # More than the socket's buffers hold, so that it has not all been sent.
        store.messages.insert_many({"_id": str(n), "body": "x" * 100_000} for n in range(600))
        batches = raw_batches(store.messages, {})
        next(batches)
        os.kill(mongod, signal.SIGSTOP)
        try:
            start = time.monotonic()
            with pytest.raises(NetworkTimeout):
                list(batches)
            assert time.monotonic() - start < 5
        finally:
            os.kill(mongod, signal.SIGCONT)


# Documents that somebody changed by hand.


def damage(store: MessageStore, message: Message, update: dict[str, Any]) -> None:
    assert store.messages.update_one({"_id": message.id}, update).matched_count == 1


KEPT = [
    ("author", 5, "author is 5"),
    ("body", ["a"], "body is ['a']"),
    ("body", None, "body is not there"),
    ("source", {"a": 1}, "source is {'a': 1}"),
    ("sent_at", "2026-01-01", "sent_at is '2026-01-01'"),
    ("archived_at", 17, "archived_at is 17"),
    ("reply_to", ObjectId("0" * 24), f"reply_to is ObjectId('{'0' * 24}')"),
    ("edited_at", True, "edited_at is True"),
    ("deleted_at", 1.5, "deleted_at is 1.5"),
    ("attachment", "a.png", "attachment is str"),
    ("attachment", ["a.png"], "attachment is list"),
    ("attachment", {"name": 1, "type": "t", "size": 3}, "attachment_name is 1"),
    ("attachment", {"name": "n", "type": "t", "size": "3"}, "attachment_size is '3'"),
    ("attachment", {"name": "n", "type": "t", "size": 2.5}, "attachment_size is 2.5"),
]
LEFT_OUT = [
    ("channel", 5, "channel is 5"),
    ("placed_at", "now", "placed_at is 'now'"),
    ("placed_at", None, "placed_at is not there"),
    ("bot", 1, "bot is 1"),
    ("bot", None, "bot is not there"),
    ("partition", "0", "partition is '0'"),
    ("offset", 3.7, "offset is 3.7"),
    ("offset", 1e300, "offset is 1e+300"),
    ("offset", float("nan"), "offset is not there"),
    ("rev", "many", "rev is 'many'"),
]


@pytest.mark.parametrize(
    ("field", "value", "text", "kept"),
    [(*case, True) for case in KEPT] + [(*case, False) for case in LEFT_OUT],
    ids=lambda value: str(value)[:24],
)
def test_a_value_that_does_not_fit_is_told_and_touches_no_other(
    store: MessageStore, write: Write, field: str, value: Any, text: str, kept: bool
) -> None:
    messages = [say("general", f"text {number}") for number in range(5)]
    write(*messages)
    whole = load(store)
    damage(store, messages[2], {"$set": {field: value}})
    with pytest.warns(DamagedMessageWarning) as caught:
        frame = load(store)
    (warning,) = [one.message for one in caught]
    assert isinstance(warning, DamagedMessageWarning)
    assert list(warning.problems) == [messages[2].id]
    told = warning.problems[messages[2].id]
    assert text in told
    assert told in str(warning)
    assert caught[0].filename == __file__, "points at who called load"
    assert frame.dtypes.astype(str).to_dict() == DTYPES
    others = [0, 1, 3, 4]
    pd.testing.assert_frame_equal(
        frame[frame["id"] != messages[2].id].reset_index(drop=True),
        whole.iloc[others].reset_index(drop=True),
    )
    assert (messages[2].id in set(frame["id"])) is kept
    assert ("left out" in told) is not kept
    if kept:
        (row,) = frame[frame["id"] == messages[2].id].to_dict("records")
        column = text.split(" is ")[0] if field != "attachment" else "attachment_name"
        assert pd.isna(row[column]) or (column, row[column]) == ("attachment_name", "n")


@pytest.mark.parametrize("field", ["author", "body", "sent_at", "source"])
def test_a_field_that_is_gone_is_told(store: MessageStore, write: Write, field: str) -> None:
    message = say("general", "hello")
    write(message)
    damage(store, message, {"$unset": {field: ""}})
    with pytest.warns(DamagedMessageWarning, match=f"{field} is not there"):
        frame = load(store)
    assert frame[field].isna().tolist() == [True]


def test_what_is_another_type_but_the_same_value_is_no_damage(
    store: MessageStore, write: Write
) -> None:
    message = say("general", "hello")
    write(message)
    whole = load(store)
    damage(store, message, {"$set": {"offset": 0.0, "rev": bson.Int64(0)}})
    pd.testing.assert_frame_equal(load(store), whole)
    damage(store, message, {"$unset": {"attachment": "", "reply_to": ""}})
    pd.testing.assert_frame_equal(load(store), whole)


def test_a_document_of_nobodys_is_left_out_and_told(store: MessageStore, write: Write) -> None:
    write(say("general", "hello"))
    stray = ObjectId()
    store.messages.insert_one({"_id": stray, "note": "not a message"})
    with pytest.warns(DamagedMessageWarning, match=f"{stray}: id is ObjectId"):
        frame = load(store)
    assert frame["body"].tolist() == ["hello"]


def test_a_text_that_is_no_utf8_is_told(store: MessageStore, write: Write) -> None:
    message = say("general", "hello")
    write(message, say("general", "café"))
    (document,) = store.messages.find({"_id": message.id})
    document["body"] = "marked"
    raw = bson.encode(document).replace(b"marked", b"caf\xe9\xff\xff")
    store.messages.delete_one({"_id": message.id})
    store.messages.with_options(codec_options=bson.CodecOptions(RawBSONDocument)).insert_one(
        RawBSONDocument(raw)
    )
    with pytest.warns(DamagedMessageWarning, match=message.id):
        frame = load(store)
    assert frame["body"].isna().tolist() == [True, False]
    assert frame["body"][1] == "café"


def test_damage_among_thousands_costs_only_what_is_damaged(
    store: MessageStore, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = many_messages(2500)
    write(*items)
    whole = load(store)
    monkeypatch.setattr(columns, "CHUNK_BYTES", 100_000)
    bad = whole["id"][whole.index % 97 == 5].tolist()
    store.messages.update_many({"_id": {"$in": bad}}, {"$set": {"author": 7}})
    with pytest.warns(DamagedMessageWarning) as caught:
        frame = load(store)
    problems = caught[0].message.problems  # type: ignore[union-attr]
    assert set(problems) == set(bad)
    assert f"{len(bad):,} documents" in str(caught[0].message)
    assert f"{len(bad) - 10:,} more" in str(caught[0].message)
    expected = whole.copy()
    expected.loc[expected["id"].isin(bad), "author"] = None
    pd.testing.assert_frame_equal(frame, expected)


def test_a_warning_can_be_made_an_error(store: MessageStore, write: Write) -> None:
    message = say("general", "hello")
    write(message)
    damage(store, message, {"$set": {"author": 5}})
    with warnings.catch_warnings():
        warnings.simplefilter("error", DamagedMessageWarning)
        with pytest.raises(DamagedMessageWarning):
            load(store)


def test_the_quick_and_the_slow_way_decode_alike(store: MessageStore, write: Write) -> None:
    """Ours on top of a class of pymongoarrow that promises nothing: notice when it changes."""
    write(*many_messages(500))
    data = b"".join(store.messages.find_raw_batches())
    quick, problems = columns.decode(data)
    slow, slow_problems = columns.decode_slowly(data)
    assert problems == slow_problems == {}
    assert quick.equals(slow)
    assert quick.schema == MESSAGE_SCHEMA
    assert not any(isinstance(array, pa.ExtensionArray) for array in quick.columns)


def test_no_message_of_the_wire_format_is_damage(store: MessageStore, write: Write) -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    write(
        say("general", "x", sent_ms=0),
        say("general", "y", sent_ms=int((last - datetime(1970, 1, 1, tzinfo=UTC)) / ms(1))),
        say("general", "", attachment=Attachment(name="", type="")),
        say("general", "\0 \u2028 \ufffd \U0010ffff"),
    )
    pd.testing.assert_frame_equal(load(store), slow_way(store))


def ms(number: int) -> timedelta:
    return timedelta(milliseconds=number)
