"""Segments: the frame is the same with and without them, whatever happens to either."""

from __future__ import annotations

import contextlib
import json
import os
import random
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient, monitoring

from chatkit import history, segments
from chatkit.archiver import Archiver
from chatkit.batches import PartitionBatch, decode_batches
from chatkit.history import reading
from chatkit.local import LocalStack
from chatkit.message import (
    Attachment,
    ChannelRecord,
    Delete,
    Edit,
    Event,
    Message,
    Pin,
    React,
    Unreact,
    encode,
)
from chatkit.producer import ChatProducer
from chatkit.segments import building, stored
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.writer import BatchWriter
from tests.commands import chatkit, environment
from tests.verification import is_archived
from tests.waiting import wait_until

START = 1_767_225_600_000  # 2026-01-01
CHANNELS = ["general", "tools"]
PEOPLE = ["ana", "ben", "cleo"]
QUERIES = ["", "in:general", "word3", "-word3 from:ana", "is:edited", "is:pinned", "has:reaction"]
QUERIES += ["on:2026-01-01", "after:2026-01-02", "before:2026-01 -is:pinned", "-in:tools is:reply"]


class Archive:
    """An archive, and all that can happen to it."""

    def __init__(self, store: MessageStore) -> None:
        self.store = store
        self.writer = BatchWriter(store)
        self.clock = START
        self.number = 0
        self.topics = {channel: f"{channel}-0" for channel in CHANNELS}
        self.logs: dict[tuple[str, int], list[Any]] = {}
        self.messages: list[Message] = []
        self.put_aside: list[tuple[str, str, Any]] = []
        self.records = 0

    def write(self, channel: str, partition: int, *items: Message | Event | bytes) -> None:
        """Archive records of a partition as the archiver does."""
        log = self.logs.setdefault((self.topics[channel], partition), [])
        records = []
        for item in items:
            self.clock += 1000 if len(log) % 3 else 20_000_000
            records.append(
                SimpleNamespace(
                    topic=f"chat.{channel}",
                    partition=partition,
                    offset=len(log),
                    timestamp=self.clock,
                    key=None,
                    value=item if isinstance(item, bytes) else encode(item),
                )
            )
            log.append(records[-1])
        self.archive(channel, self.topics[channel], records)

    def archive(self, channel: str, topic_id: str, records: list[Any], again: bool = False) -> None:
        part = PartitionBatch(
            topic_id=topic_id,
            topic=records[0].topic,
            channel=channel,
            partition=records[0].partition,
            records=records,
            replayed=again,
        )
        self.writer.write(decode_batches([part]))

    def message(self, channel: str, chance: random.Random) -> Message:
        self.number += 1
        answers = self.messages and chance.random() < 0.2
        return Message.new(
            channel,
            chance.choice(PEOPLE),
            f"word{chance.randrange(6)} https://x.org"
            if chance.random() < 0.3
            else f"w{self.number}",
            id=f"m{zlib.crc32(str(self.number).encode()):08x}",
            # Many of the same moment, so that partition, offset and id decide.
            sent_ms=START + chance.randrange(-5, 5) * 43_200_000,
            source=chance.choice(["chat", "irc"]),
            reply_to=chance.choice(self.messages).id if answers else None,
            bot=chance.random() < 0.1,
            attachment=Attachment(name="a.png", type="image/png", data=b"x")
            if chance.random() < 0.1
            else None,
        )

    # What can happen; each is called with a source of chance.

    def say(self, chance: random.Random) -> None:
        channel = chance.choice(CHANNELS)
        said = [self.message(channel, chance) for _ in range(chance.randrange(1, 9))]
        self.messages += said
        self.write(channel, chance.randrange(2), *said)

    def change(self, chance: random.Random) -> None:
        if not self.messages:
            return
        for _ in range(chance.randrange(1, 4)):
            about = chance.choice(self.messages[-12:])
            kind: Any = chance.choice([Edit, Edit, Delete, React, React, Unreact, Pin])
            more = {
                Edit: {"body": "word3, better"},
                React: {"emoji": "👍"},
                Unreact: {"emoji": "👍"},
            }
            actor = about.author if chance.random() < 0.7 else chance.choice(PEOPLE)
            event = kind.new(about.channel, actor, about.id, **more.get(kind, {}))
            self.write(about.channel, chance.randrange(2), event)

    def moderate(self, chance: random.Random) -> None:
        """Let a moderator's deletions of before count: the number of events stays as it was."""
        self.records += 1
        channel = chance.choice(CHANNELS)
        record = ChannelRecord(channel=channel, moderators=tuple(chance.sample(PEOPLE, 2)))
        raw = SimpleNamespace(
            topic="chatkit.channels",
            partition=0,
            offset=self.records,
            timestamp=self.clock,
            key=channel.encode(),
            value=encode(record),
        )
        part = PartitionBatch(
            topic_id="records", topic=raw.topic, channel=None, partition=0, records=[raw]
        )
        self.writer.write(decode_batches([part]))

    def import_again(self, chance: random.Random) -> None:
        if self.messages:
            message = chance.choice(self.messages)
            self.write(message.channel, chance.randrange(2), message)

    def fail(self, chance: random.Random) -> None:
        """Put a record aside, to be archived later, in a range that is closed by then."""
        channel, partition = chance.choice(CHANNELS), chance.randrange(2)
        message = self.message(channel, chance)
        self.write(channel, partition, b"{")
        topic_id = self.topics[channel]
        record = self.logs[topic_id, partition][-1]
        self.put_aside.append((channel, topic_id, SimpleNamespace(**vars(record))))
        self.put_aside[-1][2].value = encode(message)

    def recover(self, chance: random.Random) -> None:
        if self.put_aside:
            channel, topic_id, record = self.put_aside.pop()
            self.archive(channel, topic_id, [record], again=True)

    def replay(self, chance: random.Random) -> None:
        (topic_id, partition), log = chance.choice([*self.logs.items(), (("", 0), [])])
        if log:
            if chance.random() < 0.5:
                self.store.database["positions"].delete_one({"_id": f"{topic_id}/{partition}"})
            some = log[: chance.randrange(1, len(log) + 1)]
            self.archive(some[0].topic.removeprefix("chat."), topic_id, some, again=True)

    def purge(self, chance: random.Random) -> None:
        if not self.messages:
            return
        about = chance.sample(self.messages, min(3, len(self.messages)))
        ids = [one.id for one in about]
        if chance.random() < 0.3:
            self.store.messages.delete_many({"_id": {"$in": ids}})
            segments.forget(self.store, ids)
            return
        with contextlib.suppress(TimeoutError), segments.withheld(self.store, ids):
            self.store.messages.delete_many({"_id": {"$in": ids}})
            if chance.random() < 0.3:
                segments.build(self.store)
            if chance.random() < 0.3:
                raise TimeoutError

    def create_again(self, chance: random.Random) -> None:
        channel = chance.choice(CHANNELS)
        self.topics[channel] = f"{channel}-{self.number}"

    def delete_channel(self, chance: random.Random) -> None:
        self.store.delete_channel(chance.choice(CHANNELS))

    def build(self, chance: random.Random) -> None:
        segments.build(self.store, chance.choice([None, None, "general"]))

    def build_some(self, chance: random.Random) -> None:
        places = [key for key in self.logs if chance.random() < 0.7]
        for _ in segments.build_some(self.store, places, least=chance.choice([1, 2, 8])):
            if chance.random() < 0.3:
                break

    def break_off(self, chance: random.Random) -> None:
        """Build, and end at any step."""
        name = chance.choice(["_segment", "_is_still", "_ranges"])
        calls = chance.randrange(3)
        plain = getattr(building, name)

        def ends(*args: Any) -> Any:
            nonlocal calls
            calls -= 1
            if calls < 0:
                raise TimeoutError
            return plain(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(building, name, ends)
            with contextlib.suppress(TimeoutError):
                segments.build(self.store)

    def build_beside(self, chance: random.Random) -> None:
        """Build, and let something else happen at any step."""
        name = chance.choice(["_segment", "_is_still", "_ranges", "pack"])
        happens = chance.choice([*HAPPENINGS])
        plain = getattr(building, name)
        done = False

        def beside(*args: Any) -> Any:
            nonlocal done
            if not done and chance.random() < 0.5:
                done = True
                getattr(self, happens)(chance)
            return plain(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(building, name, beside)
            segments.build(self.store)

    def damage(self, chance: random.Random) -> None:
        found = list(self.store.segments.find())
        if not found:
            return
        one = chance.choice(found)
        data = bytearray(one["data"])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        change: dict[str, Any] = chance.choice(
            [
                {"data": bytes(data)},
                {"data": one["data"][: len(data) // 2]},
                {"data": None},
                {"data": chance.choice(found)["data"]},
                {"version": stored.VERSION + 1},
                {"rows": one["rows"] + 1},
                {"last": one["last"] + 3},
                {"first": "x"},
                {"least": None, "greatest": None},
                {"ready": False},
            ]
        )
        self.store.segments.update_one({"_id": one["_id"]}, {"$set": change})

    def lose(self, chance: random.Random) -> None:
        ids = [one["_id"] for one in self.store.segments.find({}, {"_id": 1})]
        if ids:
            self.store.segments.delete_one({"_id": chance.choice(ids)})

    def drop(self, chance: random.Random) -> None:
        segments.drop(self.store, chance.choice([None, *CHANNELS]))


HAPPENINGS = ["say", "change", "moderate", "import_again", "fail", "recover", "replay", "purge"]
HAPPENINGS += ["create_again", "delete_channel", "lose", "build"]
ALL = [*HAPPENINGS, "say", "say", "say", "change", "change", "build", "build_some", "break_off"]
ALL += ["build_beside", "build_beside", "damage", "damage", "drop"]


@pytest.fixture(scope="module")
def emptied(local_stack: LocalStack) -> Iterator[MessageStore]:
    """An archive that is emptied for each example."""
    name = f"t{os.getpid()}segments"
    with MessageStore(local_stack.settings.replace(database=name, user="ana")) as store:
        store.prepare()
        yield store
        store.database.client.drop_database(name)


@pytest.fixture
def archive(emptied: MessageStore, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An empty archive with segments of a few rows."""
    monkeypatch.setattr(building, "TILE", 5)
    return fresh(emptied)


def fresh(store: MessageStore) -> Archive:
    for name in store.database.list_collection_names():
        store.database[name].delete_many({})
    return Archive(store)


def load_rows(store: MessageStore, *args: Any, **more: Any) -> pd.DataFrame:
    """Load as if there were no segments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "usable", lambda *_: [])
        return history.load(store, *args, **more)


def assert_same(store: MessageStore, chance: random.Random) -> None:
    query = chance.choice(QUERIES)
    more: dict[str, Any] = {
        "channel": chance.choice([None, "general", CHANNELS]),
        "limit": chance.choice([None, 1, 7, 20]),
    }
    everything: tuple[str, dict[str, Any]] = "", {}
    asked, options = chance.choice([everything, (query, more)])
    expected = load_rows(store, asked, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "FEW", 0)
        pd.testing.assert_frame_equal(history.load(store, asked, **options), expected)
    if chance.random() < 0.2:
        rows = chance.choice([3, 10, 100])
        parts = list(history.iter_frames(store, asked, rows=rows, **options))
        assert all(0 < len(part) <= rows for part in parts)
        joined = pd.concat(parts, ignore_index=True) if parts else expected.head(0)
        pd.testing.assert_frame_equal(joined, expected)


def assert_no_deleted_text(store: MessageStore) -> None:
    there = {one["_id"]: one for one in store.messages.find()}
    for header, copy in stored.fetch(store, stored.usable(store)):
        for message_id in [] if copy is None else copy["id"].to_pylist():
            assert message_id in there, f"{message_id} was purged and is in {header.id}"
            assert "deleted_at" not in there[message_id]


@pytest.mark.timeout(400)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    happens=st.lists(st.sampled_from(ALL), min_size=4, max_size=20),
    seed=st.integers(0, 2**32),
)
@example(happens=["say", "say", "build", "purge", "build"] * 3, seed=1)
@example(happens=["say", "fail", "say", "build", "recover"] * 3, seed=2)
@example(happens=["say", "change", "build", "moderate"] * 4, seed=3)
@example(happens=["say", "say", "build", "damage"] * 4, seed=4)
@example(happens=["say", "say", "build_beside", "change"] * 4, seed=5)
@example(happens=["say", "build", "replay", "create_again", "say", "build"] * 2, seed=6)
def test_the_frame_is_the_same_with_and_without_segments(
    emptied: MessageStore, happens: list[str], seed: int
) -> None:
    chance = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "TILE", 5)
        archive = fresh(emptied)
        for name in happens:
            getattr(archive, name)(chance)
            assert_same(emptied, chance)
            assert_no_deleted_text(emptied)


# Who builds them.


def listened(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> tuple[MessageStore, Any]:
    """Return an archive, and the collections that are read, each time one is."""
    read: list[str] = []

    class Finds(monitoring.CommandListener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            if event.command_name == "find":
                read.append(event.command["find"])

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
            pass

        def failed(self, event: monitoring.CommandFailedEvent) -> None:
            pass

    def listening(*args: Any, **more: Any) -> MongoClient[Any]:
        return MongoClient(*args, event_listeners=[Finds()], **more)

    with monkeypatch.context() as patch:
        patch.setattr("chatkit.store.MongoClient", listening)
        return MessageStore(settings), read


def test_archivers_build_segments_and_keep_them_true(
    settings: Settings,
    producer: ChatProducer,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(building, "TILE", 50)
    monkeypatch.setattr("chatkit.archiver.GROWN", 5)
    monkeypatch.setattr("chatkit.archiver.SEGMENTS_SECONDS", 0.1)
    archiver_factory()
    said = [Message.new("general", "ana", f"number {number}") for number in range(120)]
    for message in said:
        producer.send(message)
    producer.flush(30)

    def held() -> int:
        return sum(one.rows for one in segments.status(store))

    wait_until(lambda: is_archived(settings, "general"), 30)
    wait_until(lambda: held() == 120, 30)
    pd.testing.assert_frame_equal(history.load(store), load_rows(store))

    for event in (
        Edit.new("general", "ana", said[3].id, body="better"),
        Delete.new("general", "ana", said[60].id),
        React.new("general", "ben", said[119].id, emoji="👍"),
    ):
        producer.send(event)
    producer.flush(30)
    wait_until(lambda: is_archived(settings, "general"), 30)
    frame = history.load(store).set_index("id")
    assert frame.loc[said[3].id, "body"] == "better"
    assert frame.loc[said[60].id, "body"] == ""
    assert frame.loc[said[119].id, "reactions"] == 1
    # The one with the deleted text is built anew, without it.
    wait_until(lambda: held() == 119, 30)
    assert_no_deleted_text(store)
    pd.testing.assert_frame_equal(history.load(store), load_rows(store))


def test_what_is_in_segments_is_not_read_as_rows(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, local_stack: LocalStack
) -> None:
    chance = random.Random(3)
    said = [archive.message("general", chance) for _ in range(40)]
    archive.write("general", 0, *said)
    assert segments.build(archive.store) == segments.Built(tiles=8, rows=40)
    assert segments.build(archive.store) == segments.Built()
    found, read = listened(
        monkeypatch, local_stack.settings.replace(database=archive.store.database.name)
    )
    with found:
        assert len(history.load(found)) == 40
        assert "segments" in read
        read.clear()
        # Rows beside them are found by indexes on what is not in segments.
        asked = next(reading.complement(stored.usable(found)))
        plan = found.messages.find(asked, hint="place").explain()["executionStats"]
        assert plan["totalDocsExamined"] == 0
        assert plan["totalKeysExamined"] <= 5
        month = history.load(found, "on:2026-01-01")
        assert 0 < len(month) < 40


def test_a_large_tile_is_divided(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "BYTES_LIMIT", 2500)
    chance = random.Random(5)
    texts = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=900)) for _ in range(10)]
    said = [Message.new("general", "ana", text) for text in texts]
    archive.write("general", 0, *said)
    segments.build(archive.store)
    (status,) = segments.status(archive.store)
    assert status.segments > 4
    assert (status.rows, status.covered) == (10, 10)
    assert history.load(archive.store)["body"].tolist() == texts
    pd.testing.assert_frame_equal(history.load(archive.store), load_rows(archive.store))


def test_a_purge_that_is_cut_off_leaves_nothing_to_be_believed(archive: Archive) -> None:
    said = [archive.message("general", random.Random(7)) for _ in range(10)]
    archive.write("general", 0, *said)
    segments.build(archive.store)
    gone = {said[2].id, said[7].id}
    with contextlib.suppress(TimeoutError), segments.withheld(archive.store, gone):
        archive.store.messages.delete_many({"_id": {"$in": list(gone)}})
        raise TimeoutError
    assert not gone & set(history.load(archive.store)["id"])
    assert segments.status(archive.store)[0].segments == 0
    assert segments.build(archive.store).rows == 8
    assert segments.status(archive.store)[0].segments == 2
    assert_no_deleted_text(archive.store)


def test_damaged_documents_are_told_with_and_without_segments(archive: Archive) -> None:
    said = [archive.message("general", random.Random(7)) for _ in range(10)]
    archive.write("general", 0, *said)
    archive.store.messages.update_one({"_id": said[2].id}, {"$set": {"author": 5}})
    assert segments.build(archive.store).rows == 5
    with pytest.warns(history.DamagedMessageWarning, match="author is 5"):
        found = history.load(archive.store)
    with pytest.warns(history.DamagedMessageWarning, match="author is 5"):
        pd.testing.assert_frame_equal(found, load_rows(archive.store))


def test_without_its_indexes_an_archive_is_read_all_the_same(archive: Archive) -> None:
    archive.write("general", 0, *(archive.message("general", random.Random(7)) for _ in range(9)))
    segments.build(archive.store)
    archive.store.messages.drop_index("place")
    try:
        assert len(history.load(archive.store)) == 9
    finally:
        archive.store.prepare()


def test_reactions_that_were_archived_before_they_were_counted_count(archive: Archive) -> None:
    liked, plain = (archive.message("general", random.Random(7)) for _ in range(2))
    archive.write("general", 0, liked, plain)
    for actor in PEOPLE:
        archive.write("general", 0, React.new("general", actor, liked.id, emoji="👍"))
    archive.store.messages.update_many({}, {"$unset": {"reaction_count": ""}})
    counts = history.load(archive.store).set_index("id")["reactions"]
    assert counts[[liked.id, plain.id]].tolist() == [3, 0]
    assert history.load(archive.store, "has:reaction")["id"].tolist() == [liked.id]


def test_reactions_are_loaded_one_a_row(archive: Archive) -> None:
    empty = history.load_reactions(archive.store)
    assert list(empty.columns) == ["id", "channel", "author", "placed_at", "emoji", "actor"]
    first, second = (
        Message.new("general", "ana", text, id=text, sent_ms=START) for text in ("one", "two")
    )
    archive.write("general", 0, first, second)
    for actor, target, emoji in [("ben", "two", "👍"), ("ana", "one", "🎉"), ("cleo", "two", "👍")]:
        archive.write("general", 0, React.new("general", actor, target, emoji=emoji))
    found = history.load_reactions(archive.store, zone="Europe/Vienna")
    assert found.dtypes.astype(str).to_dict() == {
        **dict.fromkeys(["id", "channel", "author", "emoji", "actor"], "str"),
        "placed_at": "datetime64[ms, Europe/Vienna]",
    }
    assert history.load_reactions(archive.store, "nothing", zone="Europe/Vienna").dtypes.equals(
        found.dtypes
    )
    assert found[["id", "emoji", "actor"]].to_numpy().tolist() == [
        ["one", "🎉", "ana"],
        ["two", "👍", "ben"],
        ["two", "👍", "cleo"],
    ]
    assert len(history.load_reactions(archive.store, "two", channel="general")) == 2
    assert history.load_reactions(archive.store, channel="tools").empty


def test_a_table_is_the_frame_for_those_who_read_arrow(archive: Archive) -> None:
    archive.write("general", 0, *(archive.message("general", random.Random(9)) for _ in range(9)))
    table = history.table(archive.store, zone="Europe/Vienna")
    assert table.schema.names == history.MESSAGE_SCHEMA.names
    assert str(table.schema.field("placed_at").type) == "timestamp[ms, tz=Europe/Vienna]"
    frame = history.load(archive.store, zone="Europe/Vienna")
    assert table["placed_at"].to_pylist() == frame["placed_at"].tolist()
    assert table["body"].to_pylist() == frame["body"].tolist()


# The command.


def test_segments_are_built_shown_and_dropped_by_command(
    archive: Archive, emptied: MessageStore
) -> None:
    archive.write("general", 0, *(archive.message("general", random.Random(7)) for _ in range(9)))
    env = environment(emptied._settings)
    assert json.loads(chatkit("segments", "build", "--json", env=env).stdout)["rows"] == 9
    shown = json.loads(chatkit("segments", "status", "--json", env=env).stdout)
    assert [(one["channel"], one["rows"]) for one in shown["channels"]] == [("general", 9)]
    assert "general" in chatkit("segments", "status", env=env).stdout
    chatkit("segments", "drop", "--channel", "tools", env=env)
    assert segments.status(emptied)[0].segments == 1
    chatkit("segments", "drop", env=env)
    assert segments.status(emptied)[0].segments == 0
    assert (
        "can't be a channel's name"
        in chatkit("segments", "drop", "--channel", "$ne", env=env, code=1).stderr
    )
