"""ChatRoom on real servers: what it shows when it opens, what comes, and what it sends."""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import psutil
import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.connection import make_client
from chatkit.errors import (
    ChannelExistsError,
    ChannelNameError,
    ChannelNotFoundError,
    InvalidMessageError,
    NotAllowedError,
    SendError,
    ServiceError,
)
from chatkit.local import LocalServer, LocalStack
from chatkit.message import ChannelRecord, Delete, Edit, Event, Message, React, encode, now_ms
from chatkit.producer import ChatProducer
from chatkit.room import (
    Change,
    ChannelReset,
    ChannelsChanged,
    ChatRoom,
    RowsChanged,
    StatusChanged,
)
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.timeline import Row
from tests.rooms import assert_room_is_right, load_all, texts
from tests.verification import is_archived
from tests.waiting import wait_until

Rooms = Callable[..., ChatRoom]
Archivers = Callable[..., Archiver]
NOWHERE = "127.0.0.1:1"


def say(producer: ChatProducer, *items: str | Message | Event, author: str = "bob") -> list[str]:
    """Send texts, messages and events, wait until Kafka has them, and return their ids."""
    made = [
        Message.new("general", author, item) if isinstance(item, str) else item for item in items
    ]
    for receipt in [producer.send(item) for item in made]:
        receipt.result(30)
    return [item.id for item in made]


def say_much(settings: Settings, *bodies: str, **more: Any) -> None:
    """Send many texts, in batches."""
    with ChatProducer(settings, bulk=True) as producer:
        say(producer, *(Message.new("general", "bob", body, **more) for body in bodies))


def numbers(first: int, end: int) -> list[str]:
    return [f"text {n}" for n in range(first, end)]


def archive(archivers: Archivers, settings: Settings) -> None:
    """Archive what is in Kafka by now, and nothing after it."""
    archiver = archivers()
    wait_until(lambda: is_archived(settings, "general"), 20)
    archiver.stop()


def joined(room: ChatRoom, channel: str = "general") -> ChatRoom:
    room.join(channel).result(10)
    return room


@pytest.fixture
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    admin = make_client(KafkaAdminClient, settings)
    yield admin
    admin.close()


@pytest.fixture
def pause(local_stack: LocalStack) -> Iterator[Callable[[LocalServer], None]]:
    """Freeze a server; it goes on after the test at the latest."""

    def stop(server: LocalServer) -> None:
        server.pause()
        # The signal is on its way when that returns: the server may still answer what is sent now.
        process = psutil.Process(server.pid)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED)

    yield stop
    local_stack.kafka.resume()
    local_stack.mongod.resume()


class Shown:
    """What an observer knows who keeps the newest of each row."""

    def __init__(self, room: ChatRoom) -> None:
        self.changes: list[Change] = []
        self.rows: dict[str, dict[str, Row]] = {}
        self.stop = room.observe(self._take)

    def _take(self, change: Change) -> None:
        self.changes.append(change)
        if isinstance(change, RowsChanged):
            self.rows.setdefault(change.channel, {}).update({row.id: row for row in change.rows})
        elif isinstance(change, ChannelReset):
            self.rows[change.channel] = {}

    def of(self, channel: str = "general") -> list[Row]:
        return sorted(self.rows.get(channel, {}).values(), key=lambda row: row.order)


# Talking.


def test_two_rooms_talk(room_factory: Rooms) -> None:
    ana, bob = joined(room_factory("ana")), joined(room_factory("bob"))
    question = ana.send("general", "hello?")
    wait_until(lambda: texts(bob) == ["hello?"])
    answer = bob.send("general", "hi ana", reply_to=question.id)
    for room in (ana, bob):
        wait_until(lambda room=room: texts(room) == ["hello?", "hi ana"])
        wait_until(lambda room=room: {row.state for row in room.rows("general")} == {"sent"})
    row = ana.rows("general")[1]
    assert row.message == answer
    assert answer.reply_to == question.id
    assert (answer.author, question.author) == ("bob", "ana")


def test_ones_own_message_is_shown_at_once_and_only_once(room_factory: Rooms) -> None:
    room = joined(room_factory())
    sent = [room.send("general", f"{n}", message_id=f"my-{n:02}") for n in range(20)]
    assert [row.id for row in room.rows("general")] == [message.id for message in sent]
    wait_until(lambda: {row.state for row in room.rows("general")} == {"sent"})
    assert [row.id for row in room.rows("general")] == [message.id for message in sent]
    assert [row.offset for row in room.rows("general")] == list(range(20))


def test_many_threads_may_send_at_once(room_factory: Rooms, settings: Settings) -> None:
    room, other = joined(room_factory("ana")), joined(room_factory("bob"))

    def talk(who: int) -> None:
        for n in range(50):
            room.send("general", f"{who} {n}")

    threads = [threading.Thread(target=talk, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(texts(other)) == 200)
    assert_room_is_right(room, settings)
    assert_room_is_right(other, settings)
    for who in range(4):  # each thread's own order is kept
        assert [body for body in texts(other) if body.startswith(f"{who} ")] == [
            f"{who} {n}" for n in range(50)
        ]


def test_a_room_shows_several_channels_and_leaves_them(
    room_factory: Rooms, channels: Channels
) -> None:
    room = joined(room_factory())
    channels.create("other")
    wait_until(lambda: room.channels() == ["general", "other"])
    joined(room, "other")
    room.send("general", "here")
    room.send("other", "there")
    wait_until(lambda: texts(room) == ["here"] and texts(room, "other") == ["there"])

    room.leave("general")
    room.leave("general")
    assert room.rows("general") == []
    assert not room.has_older("general")
    room.send("general", "unseen")
    assert room.rows("general") == []
    joined(room)
    wait_until(lambda: texts(room) == ["here", "unseen"])


def test_joining_twice_is_joining_once(room_factory: Rooms) -> None:
    room = room_factory()
    assert room.join("general") is room.join("general")


def test_a_room_makes_channels_and_everybody_hears_of_them(room_factory: Rooms) -> None:
    ana, bob = room_factory("ana"), room_factory("bob")
    shown = Shown(bob)
    ana.create_channel("books", "to read").result(10)
    assert "books" in ana.channels()
    ana.send("books", "first")
    wait_until(lambda: bob.channels() == ["books", "general"])
    wait_until(lambda: ChannelsChanged(("books", "general")) in shown.changes)
    wait_until(lambda: texts(joined(bob, "books"), "books") == ["first"])
    assert isinstance(ana.create_channel("books").exception(10), ChannelExistsError)
    assert isinstance(ana.create_channel("No Channel").exception(10), ChannelNameError)


# Opening.


def test_a_room_opened_while_the_archive_lags_has_no_hole_and_no_double(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings, producer: ChatProducer
) -> None:
    say(producer, *numbers(0, 30))
    archive(archiver_factory, settings)
    say(producer, *numbers(30, 50))
    room = joined(room_factory())
    say(producer, *numbers(50, 60))
    wait_until(lambda: texts(room) == numbers(0, 60))
    assert not room.has_older("general")


def test_rooms_opened_while_people_write_and_the_archiver_works_show_the_same(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings
) -> None:
    archiver_factory()
    stop = threading.Event()

    def talk() -> None:
        with ChatProducer(settings) as producer:
            for n in itertools.count():
                if stop.wait(0.002):
                    break
                message = Message.new("general", f"author {n % 3}", f"{n}")
                producer.send(message)
                if n % 3 == 0:
                    producer.send(Edit.new("general", message.author, message.id, body=f"E{n}"))

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        rooms = []
        for size in (30, 150, 300):
            wait_until(lambda size=size: not rooms or len(texts(rooms[0])) > size)
            rooms.append(joined(room_factory(f"reader{size}")))
    finally:
        stop.set()
        talking.join()
    for room in rooms:
        load_all(room)
        assert_room_is_right(room, settings)


def test_events_garbage_and_doubles_behind_the_archive_are_shown_as_what_they_are(
    room_factory: Rooms,
    archiver_factory: Archivers,
    settings: Settings,
    producer: ChatProducer,
) -> None:
    old = [Message.new("general", "bob", f"old {n}") for n in range(5)]
    say(producer, *old)
    archive(archiver_factory, settings)
    new = Message.new("general", "bob", "new")
    say(
        producer,
        Edit.new("general", "bob", old[0].id, body="old 0, edited"),
        Edit.new("general", "eve", old[1].id, body="not hers"),
        Delete.new("general", "bob", old[2].id),
        React.new("general", "eve", old[3].id, emoji="👍"),
        React.new("general", "eve", new.id, emoji="👍"),
        old[4],
        new,
        new,
    )
    raw = make_client(KafkaProducer, settings)
    raw.send(settings.topic_of("general"), value=b"\xff no message").get(10)
    raw.close(timeout=5)

    room = joined(room_factory())
    wait_until(lambda: len(room.rows("general")) == 7)
    assert texts(room) == ["old 0, edited", "old 1", "", "old 3", "old 4", "new"]
    *rows, bad = room.rows("general")
    assert [row.id for row in rows] == [message.id for message in [*old, new]]
    assert [rows[n].folded.reactions for n in (3, 5)] == [{"👍": ("eve",)}] * 2  # type: ignore[union-attr]
    assert (bad.kind, bad.message, bad.offset) == ("unreadable", None, 13)
    assert_room_is_right(room, settings)


def test_far_behind_the_newest_come_first_and_scrolling_fills_the_hole(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings
) -> None:
    say_much(settings, *numbers(0, 50))
    archive(archiver_factory, settings)
    say_much(settings, *numbers(50, 2400))

    room = joined(room_factory())
    shown = numbers(0, 50) + numbers(2200, 2400)
    wait_until(lambda: len(room.rows("general")) == len(shown))
    assert texts(room) == shown
    assert room.has_older("general")
    assert room.load_older("general").result(20) == 200
    assert texts(room) == numbers(0, 50) + numbers(2000, 2400)
    load_all(room)
    assert texts(room) == numbers(0, 2400)
    assert room.load_older("general").result(20) == 0


def test_what_is_not_far_behind_is_read_at_once(room_factory: Rooms, settings: Settings) -> None:
    say_much(settings, *numbers(0, 1900))
    room = joined(room_factory())
    wait_until(lambda: len(room.rows("general")) == 1900)
    assert not room.has_older("general")


def test_a_thousand_archived_messages_are_paged_in_order_and_each_once(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings
) -> None:
    say_much(settings, *numbers(0, 1000))
    archive(archiver_factory, settings)
    room = room_factory()
    shown = Shown(room)
    joined(room)
    assert texts(room) == numbers(800, 1000)
    for first in (600, 400, 200, 0):
        assert room.load_older("general").result(10) == 200
        assert texts(room) == numbers(first, 1000)
    assert room.load_older("general").result(10) == 0
    assert not room.has_older("general")
    told = [row.id for one in shown.changes if isinstance(one, RowsChanged) for row in one.rows]
    assert len(told) == len(set(told)) == 1000


def test_older_pages_asked_for_by_many_at_once_come_each_once(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings
) -> None:
    say_much(settings, *numbers(0, 1000))
    archive(archiver_factory, settings)
    room = joined(room_factory())
    asked = [room.load_older("general") for _ in range(6)]
    assert [one.result(10) for one in asked] == [200, 200, 200, 200, 0, 0]
    assert texts(room) == numbers(0, 1000)


def imported(first: int, end: int) -> list[Message]:
    """Return old messages from elsewhere, one a second since 2020, the newest first."""
    return [
        Message.new(
            "general", "ira", f"import {n}", source="slack", sent_ms=1_577_836_800_000 + n * 1000
        )
        for n in reversed(range(first, end))
    ]


@pytest.mark.parametrize("archived_live", [True, False])
def test_an_import_that_comes_live_is_found_where_it_belongs(
    archived_live: bool,
    room_factory: Rooms,
    archiver_factory: Archivers,
    settings: Settings,
    producer: ChatProducer,
) -> None:
    say(producer, *imported(0, 150))
    say_much(settings, *numbers(0, 300))
    archive(archiver_factory, settings)
    room = joined(room_factory())
    assert texts(room) == numbers(100, 300)

    if archived_live:
        archiver_factory()
    say(producer, *imported(150, 400), "after")
    wait_until(lambda: texts(room)[-1] == "after")
    if archived_live:
        wait_until(lambda: is_archived(settings, "general"))
    assert texts(room) == [*numbers(100, 300), "after"]
    assert room.load_older("general").result(10) > 0
    load_all(room)
    assert_room_is_right(room, settings)
    assert len(texts(room)) == 701


def test_an_import_into_a_channel_that_is_all_here_is_shown_at_once(
    room_factory: Rooms, producer: ChatProducer
) -> None:
    room = joined(room_factory())
    say(producer, "a", *imported(0, 3))
    wait_until(lambda: texts(room) == ["import 0", "import 1", "import 2", "a"])


def test_several_partitions_are_archived_to_different_places_and_nothing_is_missing(
    room_factory: Rooms,
    archiver_factory: Archivers,
    channels: Channels,
    settings: Settings,
    producer: ChatProducer,
) -> None:
    channels.create("wide", partitions=3)

    def talk(first: int, end: int) -> None:
        say(producer, *(Message.new("wide", f"author {n % 7}", f"{n}") for n in range(first, end)))

    talk(0, 500)
    archiver = archiver_factory()
    wait_until(lambda: is_archived(settings, "wide"))
    archiver.stop()
    talk(500, 700)
    room = joined(room_factory(), "wide")
    talk(700, 720)
    wait_until(lambda: len(room.rows("wide")) == 420)
    load_all(room, "wide")
    assert_room_is_right(room, settings, "wide")
    assert len(texts(room, "wide")) == 720


def test_records_gone_from_kafka_before_they_were_archived_are_shown_as_a_gap(
    room_factory: Rooms,
    archiver_factory: Archivers,
    settings: Settings,
    producer: ChatProducer,
    admin: KafkaAdminClient,
) -> None:
    say(producer, *numbers(0, 10))
    archive(archiver_factory, settings)
    say(producer, *numbers(10, 30))
    admin.delete_records({TopicPartition(settings.topic_of("general"), 0): 25})
    room = joined(room_factory())
    wait_until(lambda: len(room.rows("general")) == 16)
    assert [row.kind for row in room.rows("general")] == [
        *["message"] * 10,
        "gap",
        *["message"] * 5,
    ]
    gap = room.rows("general")[10]
    assert (gap.offset, gap.state) == (10, "sent")
    assert "10 to 24" in gap.reason
    assert texts(room) == numbers(0, 10) + numbers(25, 30)


def test_records_that_go_while_they_are_a_hole_are_shown_as_a_gap(
    room_factory: Rooms, settings: Settings, admin: KafkaAdminClient
) -> None:
    say_much(settings, *numbers(0, 2500))
    room = joined(room_factory())
    wait_until(lambda: texts(room) == numbers(2300, 2500))
    admin.delete_records({TopicPartition(settings.topic_of("general"), 0): 2200})
    load_all(room)
    assert texts(room) == numbers(2200, 2500)
    gaps = [row for row in room.rows("general") if row.kind == "gap"]
    assert gaps
    assert room.rows("general")[: len(gaps)] == gaps


# Opening in bad times.


def test_without_mongodb_a_room_opens_from_kafka_alone_and_says_so(
    room_factory: Rooms, settings: Settings
) -> None:
    say_much(settings, *numbers(0, 500))
    away = settings.replace(mongo_uri=f"mongodb://{NOWHERE}", mongo_timeout=1)
    room = joined(room_factory("ana", away))
    wait_until(lambda: texts(room) == numbers(300, 500))
    assert NOWHERE in room.status.mongo
    assert "chatkit up" in room.status.mongo
    wait_until(lambda: room.status.connected)
    room.send("general", "still here")
    wait_until(lambda: texts(room) == [*numbers(300, 500), "still here"])
    assert room.load_older("general").result(10) == 200
    load_all(room)
    assert texts(room) == [*numbers(0, 500), "still here"]


def test_without_kafka_a_room_shows_the_archive_and_keeps_what_is_typed(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings, producer: ChatProducer
) -> None:
    say_much(settings, *numbers(0, 300))
    archive(archiver_factory, settings)
    away = settings.replace(bootstrap_servers=NOWHERE, kafka_timeout=1)
    room = joined(room_factory("ana", away))
    assert texts(room) == numbers(100, 300)
    wait_until(lambda: NOWHERE in room.status.kafka)
    assert not room.status.connected
    assert room.status.mongo == ""
    message = room.send("general", "later")
    row = room.rows("general")[-1]
    assert (row.id, row.state, row.message) == (message.id, "pending", message)
    assert room.load_older("general").result(10) == 100
    assert texts(room) == [*numbers(0, 300), "later"]


def test_without_both_joining_fails_soon_and_may_be_tried_again(
    room_factory: Rooms, settings: Settings
) -> None:
    away = settings.replace(
        bootstrap_servers=NOWHERE,
        kafka_timeout=1,
        mongo_uri=f"mongodb://{NOWHERE}",
        mongo_timeout=1,
    )
    room = room_factory("ana", away)
    for _ in range(2):
        started = time.monotonic()
        assert isinstance(room.join("general").exception(10), ServiceError)
        assert time.monotonic() - started < 6
    assert room.rows("general") == []


def test_a_room_opened_with_kafka_frozen_follows_it_once_it_answers(
    room_factory: Rooms,
    archiver_factory: Archivers,
    settings: Settings,
    producer: ChatProducer,
    local_stack: LocalStack,
    pause: Callable[[LocalServer], None],
) -> None:
    say_much(settings, *numbers(0, 300))
    archive(archiver_factory, settings)
    say(producer, *numbers(300, 350))
    pause(local_stack.kafka)
    room = joined(room_factory())
    assert texts(room) == numbers(100, 300)
    wait_until(lambda: not room.status.connected)
    room.send("general", "typed meanwhile")
    local_stack.kafka.resume()
    wait_until(lambda: texts(room) == [*numbers(100, 350), "typed meanwhile"], 20)
    wait_until(lambda: room.status.connected)
    load_all(room)
    assert_room_is_right(room, settings)


def test_a_room_opened_with_mongodb_frozen_shows_the_archive_once_it_answers(
    room_factory: Rooms,
    archiver_factory: Archivers,
    channels: Channels,
    settings: Settings,
    local_stack: LocalStack,
    pause: Callable[[LocalServer], None],
) -> None:
    say_much(settings, *numbers(0, 600))
    channels.publish(ChannelRecord(channel="general", creator="mia", moderators=("mia",)))
    archive(archiver_factory, settings)
    pause(local_stack.mongod)
    quick = settings.replace(mongo_timeout=1)
    room = joined(room_factory("ana", quick))
    wait_until(lambda: texts(room) == numbers(400, 600))
    assert room.status.mongo
    local_stack.mongod.resume()
    wait_until(lambda: not room.status.mongo)
    load_all(room)
    assert_room_is_right(room, settings)


def test_a_channel_deleted_and_made_again_begins_anew_and_keeps_its_archive(
    room_factory: Rooms,
    archiver_factory: Archivers,
    channels: Channels,
    settings: Settings,
    producer: ChatProducer,
) -> None:
    archiver_factory()
    room, other = joined(room_factory("ana")), joined(room_factory("bob"))
    shown = Shown(room)
    for n in range(5):
        room.send("general", f"before {n}")
    before = [f"before {n}" for n in range(5)]
    wait_until(lambda: texts(other) == before)
    wait_until(lambda: is_archived(settings, "general"), 20)

    channels.delete("general")
    wait_until(lambda: "general" not in room.channels())
    with pytest.raises(ChannelNotFoundError, match="general"):
        room.send("general", "where to?")
    channels.create("general")
    wait_until(lambda: "general" in room.channels() and "general" in other.channels())
    room.send("general", "after")
    for one in (room, other):
        wait_until(lambda one=one: texts(one) == [*before, "after"], 20)
        wait_until(lambda one=one: one.rows("general")[-1].state == "sent")
    assert ChannelReset("general") in shown.changes
    wait_until(lambda: shown.of() == room.rows("general"))
    other.send("general", "both ways")
    for one in (room, other):
        wait_until(lambda one=one: texts(one) == [*before, "after", "both ways"])


# Sending, changing, deleting.


@pytest.mark.parametrize("body", ["", "  \n", "x" * 20_000, "\ud800"])
def test_a_body_that_can_not_be_sent_is_refused_at_once(room_factory: Rooms, body: str) -> None:
    room = joined(room_factory())
    with pytest.raises(InvalidMessageError):
        room.send("general", body)
    assert room.rows("general") == []
    room.send("general", "good")
    wait_until(lambda: [row.state for row in room.rows("general")] == ["sent"])


def test_an_unknown_or_impossible_channel_is_refused_at_once(room_factory: Rooms) -> None:
    room = room_factory()
    wait_until(room.channels)
    for name in ("No Channel", "", "../up"):
        with pytest.raises(ChannelNameError):
            room.send(name, "text")
        with pytest.raises(ChannelNameError):
            room.join(name)
    with pytest.raises(ChannelNotFoundError, match="create_channel"):
        room.send("nowhere", "text")
    assert isinstance(room.join("nowhere").exception(10), ChannelNotFoundError)
    assert room.rows("nowhere") == []


def test_only_the_author_edits(room_factory: Rooms, settings: Settings) -> None:
    ana, bob = joined(room_factory("ana")), joined(room_factory("bob"))
    message = ana.send("general", "first")
    wait_until(lambda: texts(bob) == ["first"])
    with pytest.raises(NotAllowedError, match="Only ana"):
        bob.edit("general", message.id, "mine now")
    with pytest.raises(InvalidMessageError):
        ana.edit("general", message.id, " ")
    with pytest.raises(InvalidMessageError, match="no message 'nothing'"):
        ana.edit("general", "nothing", "text")
    ana.edit("general", message.id, "second").result(10)
    for room in (ana, bob):
        wait_until(lambda room=room: texts(room) == ["second"])
    (row,) = bob.rows("general")
    assert row.folded is not None
    assert row.folded.original == "first"


def test_author_and_moderators_delete_and_nobody_else(
    room_factory: Rooms, archiver_factory: Archivers, channels: Channels, settings: Settings
) -> None:
    channels.create("books", creator="mia")
    archiver_factory()
    ana, bob, mia = (joined(room_factory(name), "books") for name in ("ana", "bob", "mia"))
    rooms = (ana, bob, mia)
    first, second = ana.send("books", "first"), ana.send("books", "second")
    for room in rooms:
        wait_until(lambda room=room: texts(room, "books") == ["first", "second"])
    with pytest.raises(NotAllowedError, match="Only ana or a moderator"):
        bob.delete("books", first.id)
    ana.delete("books", first.id).result(10)

    def deleted() -> object:
        try:
            return mia.delete("books", second.id).result(10)
        except NotAllowedError:  # the room has not heard of its moderators yet
            return None

    wait_until(deleted)
    for room in rooms:
        wait_until(lambda room=room: texts(room, "books") == ["", ""])
        with pytest.raises(NotAllowedError, match="was deleted"):
            room.delete("books", first.id)
    with pytest.raises(NotAllowedError, match="was deleted"):
        ana.edit("books", first.id, "back")


def test_the_text_of_a_deleted_message_leaves_the_room(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings
) -> None:
    room, other = joined(room_factory("ana")), joined(room_factory("bob"))
    secret = room.send("general", "the secret word")
    wait_until(lambda: texts(other) == ["the secret word"])
    room.edit("general", secret.id, "the secret, edited").result(10)
    wait_until(lambda: texts(other) == ["the secret, edited"])
    room.delete("general", secret.id).result(10)
    wait_until(lambda: (texts(room), texts(other)) == ([""], [""]))
    archive(archiver_factory, settings)
    late = joined(room_factory("cleo"))
    shown = Shown(late)
    late.leave("general")
    joined(late)
    wait_until(lambda: len(shown.of()) == 1)
    for row in [*room.rows("general"), *other.rows("general"), *late.rows("general"), *shown.of()]:
        assert b"secret" not in msgspec.json.encode(row)
        assert row.message is not None
        assert row.message.author == "ana"


def test_a_failed_send_keeps_its_text_and_a_retry_its_id(
    room_factory: Rooms,
    archiver_factory: Archivers,
    settings: Settings,
    producer: ChatProducer,
    local_stack: LocalStack,
    pause: Callable[[LocalServer], None],
) -> None:
    say(producer, "before")
    archive(archiver_factory, settings)
    pause(local_stack.kafka)  # before the room's producer has a connection: it can't arrive
    room = joined(room_factory("ana", settings.replace(delivery_timeout=1)))
    message = room.send("general", "typed with care")
    with pytest.raises(InvalidMessageError, match="failed"):
        room.retry("general", message.id)
    wait_until(lambda: room.rows("general")[-1].state == "failed", 15)
    row = room.rows("general")[-1]
    assert (row.id, row.message) == (message.id, message)
    assert "did not acknowledge" in row.reason
    with pytest.raises(InvalidMessageError, match="not sent"):
        room.edit("general", message.id, "other")

    local_stack.kafka.resume()
    wait_until(lambda: room.status.connected, 20)
    room.retry("general", message.id)
    wait_until(lambda: room.rows("general")[-1].state == "sent")
    assert [row.id for row in room.rows("general")][1:] == [message.id]
    assert texts(room) == ["before", "typed with care"]
    with pytest.raises(InvalidMessageError):
        room.retry("general", message.id)
    assert_room_is_right(room, settings)


def test_a_message_reported_failed_that_arrived_all_the_same_turns_to_sent(
    room_factory: Rooms,
    producer: ChatProducer,
    local_stack: LocalStack,
    pause: Callable[[LocalServer], None],
    settings: Settings,
) -> None:
    room = joined(room_factory("ana", settings.replace(delivery_timeout=1)))
    room.send("general", "first")
    wait_until(lambda: [row.state for row in room.rows("general")] == ["sent"])
    pause(local_stack.kafka)
    message = room.send("general", "second")
    wait_until(lambda: room.rows("general")[-1].state == "failed", 15)
    local_stack.kafka.resume()
    say(producer, message)  # as if the first attempt had arrived; perhaps it has
    wait_until(lambda: room.rows("general")[-1].state == "sent")
    assert texts(room) == ["first", "second"]


# Observing.


def test_who_keeps_the_newest_of_each_row_sees_what_the_room_shows(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings
) -> None:
    say_much(settings, *numbers(0, 600))
    archiver_factory()
    writers = [joined(room_factory(f"writer{n}")) for n in range(3)]
    reader = room_factory("reader")
    shown = Shown(reader)
    joined(reader)

    def talk(room: ChatRoom) -> None:
        for n in range(60):
            message = room.send("general", f"{room.user} {n}")
            if n % 4 == 0:
                room.edit("general", message.id, f"{room.user} {n} edited")
            if n % 7 == 0:
                room.delete("general", message.id)
            if n % 20 == 0:
                room.load_older("general")
                reader.load_older("general")

    threads = [threading.Thread(target=talk, args=(room,)) for room in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(reader.rows("general")) >= 380)
    load_all(reader)
    assert_room_is_right(reader, settings)
    wait_until(lambda: shown.of() == reader.rows("general"))
    for room in writers:
        load_all(room)
        assert_room_is_right(room, settings)


def test_an_observer_may_call_the_room_fail_and_stop(room_factory: Rooms) -> None:
    room = joined(room_factory())
    seen: list[list[str]] = []
    answered = threading.Event()

    def answer(change: Change) -> None:
        seen.append(texts(room))
        if isinstance(change, RowsChanged) and not answered.is_set():
            answered.set()
            room.send("general", "answer")
        raise ValueError("observers may fail")

    stop = room.observe(answer)
    room.send("general", "question")
    wait_until(lambda: texts(room) == ["question", "answer"])
    wait_until(lambda: {row.state for row in room.rows("general")} == {"sent"})
    stop()
    stop()
    told = len(seen)
    shown = Shown(room)
    room.send("general", "unheard")
    wait_until(lambda: len(shown.of()) == 1 and shown.of()[0].state == "sent")
    assert len(seen) <= told + 1  # one may have been under way


def test_the_connection_is_told_as_it_changes(
    room_factory: Rooms, local_stack: LocalStack, pause: Callable[[LocalServer], None]
) -> None:
    room = joined(room_factory())
    wait_until(lambda: room.status.connected)
    shown = Shown(room)
    pause(local_stack.kafka)
    wait_until(lambda: not room.status.connected, 15)
    local_stack.kafka.resume()
    wait_until(lambda: room.status.connected, 15)
    told = [one.status for one in shown.changes if isinstance(one, StatusChanged)]
    wait_until(lambda: shown.changes[-1] == StatusChanged(room.status))
    assert "chatkit up" in told[0].kafka


# New, open, closed.


def use(room: ChatRoom) -> Sequence[Callable[[], object]]:
    return (
        lambda: room.send("general", "text"),
        lambda: room.join("general"),
        lambda: room.create_channel("new"),
        lambda: room.load_older("general"),
        lambda: room.retry("general", "id"),
        lambda: room.edit("general", "id", "text"),
        lambda: room.delete("general", "id"),
    )


def test_use_before_open_and_after_close_is_a_bug_of_the_caller(settings: Settings) -> None:
    room = ChatRoom(settings)
    for call in use(room):
        with pytest.raises(RuntimeError, match="open"):
            call()
    with room:
        assert room.open() is room
    for call in use(room):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    with pytest.raises(RuntimeError, match="closed"):
        room.open()
    room.close()
    assert room.rows("general") == []
    never_open = ChatRoom(settings)
    never_open.close()
    with pytest.raises(RuntimeError, match="closed"):
        never_open.open()


def timed_close(room: ChatRoom) -> float:
    started = time.monotonic()
    room.close()
    took = time.monotonic() - started
    room.close()
    return took


def test_closing_sends_what_was_typed_and_is_quick(
    room_factory: Rooms, settings: Settings, channels: Channels
) -> None:
    room = joined(room_factory())
    sent = [room.send("general", f"{n}") for n in range(200)]
    assert timed_close(room) < 3
    other = joined(room_factory("bob"))
    wait_until(lambda: [row.id for row in other.rows("general")] == [one.id for one in sent])


def test_a_message_sent_in_the_moment_of_opening_and_closing_is_not_lost(
    room_factory: Rooms, channels: Channels
) -> None:
    room = room_factory()
    message = room.send("general", "in haste")
    assert timed_close(room) < 3.2
    other = joined(room_factory("bob"))
    wait_until(lambda: [row.id for row in other.rows("general")] == [message.id])


def test_closing_with_no_broker_is_bounded_and_tells_what_was_not_sent(
    room_factory: Rooms, settings: Settings
) -> None:
    room = room_factory("ana", settings.replace(bootstrap_servers=NOWHERE, kafka_timeout=1))
    shown = Shown(room)
    joined(room)
    message = room.send("general", "never")
    assert timed_close(room) < 3.2
    (row,) = shown.of()
    assert (row.state, row.message) == ("failed", message)


@pytest.mark.parametrize("victim", ["kafka", "mongod"])
def test_closing_with_a_server_that_hangs_is_bounded(
    victim: str,
    room_factory: Rooms,
    local_stack: LocalStack,
    pause: Callable[[LocalServer], None],
) -> None:
    room = joined(room_factory())
    wait_until(lambda: room.status.connected)
    pause(local_stack.kafka if victim == "kafka" else local_stack.mongod)
    if victim == "kafka":
        message = room.send("general", "stuck")
    asked = [room.load_older("general"), room.create_channel("new")]
    assert timed_close(room) < 3.3
    if victim == "kafka":
        (row,) = room.rows("general")
        assert (row.id, row.state) == (message.id, "failed")
    for one in asked:  # nobody waits for an answer for ever
        one.exception(10)


def test_a_room_may_be_closed_by_its_observer(room_factory: Rooms) -> None:
    room = room_factory()
    closed = threading.Event()

    def close(_change: Change) -> None:
        room.close()
        closed.set()

    room.observe(close)
    assert closed.wait(10)
    with pytest.raises(RuntimeError, match="closed"):
        room.send("general", "text")


def test_what_was_asked_before_closing_is_answered(room_factory: Rooms) -> None:
    room = room_factory()
    asked = [room.join("general"), *(room.load_older("general") for _ in range(20))]
    room.close()
    for one in asked:
        assert one.exception(10) is None or isinstance(one.exception(), RuntimeError | ServiceError)


def test_a_receipt_of_an_edit_tells_that_it_was_not_sent(
    room_factory: Rooms,
    local_stack: LocalStack,
    pause: Callable[[LocalServer], None],
    settings: Settings,
) -> None:
    room = joined(room_factory("ana", settings.replace(delivery_timeout=1)))
    message = room.send("general", "text")
    wait_until(lambda: [row.state for row in room.rows("general")] == ["sent"])
    pause(local_stack.kafka)
    error = room.edit("general", message.id, "edited").exception(15)
    assert isinstance(error, SendError)
    assert error.item.body == "edited"


def test_an_archive_of_wrong_documents_fails_the_join_and_is_not_silent(
    room_factory: Rooms, store: MessageStore
) -> None:
    store.messages.insert_one({"_id": "x", "channel": "general", "rev": 0})
    room = room_factory()
    assert room.join("general").exception(10) is not None
    store.messages.delete_one({"_id": "x"})
    joined(room)


def test_messages_under_an_id_of_their_own_are_one_message(
    room_factory: Rooms, producer: ChatProducer
) -> None:
    room = joined(room_factory())
    room.send("general", "text", message_id="own-id")
    wait_until(lambda: [row.state for row in room.rows("general")] == ["sent"])
    raw = Message.new("general", "ana", "text", id="own-id")
    assert encode(raw)
    say(producer, raw, "next")
    wait_until(lambda: texts(room) == ["text", "next"])


# What else may happen.


class Door:
    """An address at which nobody answers until it is opened; then Kafka does.

    Clients learn there where Kafka really is, so that no record goes through it.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=16)
        self._closed = threading.Event()
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def address(self) -> str:
        return "{}:{}".format(*self._socket.getsockname())

    def open(self) -> None:
        self._opened.set()

    def close(self) -> None:
        self._closed.set()
        self._opened.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        self._opened.wait()
        self._socket.settimeout(0.1)
        with selectors.DefaultSelector() as ready, contextlib.ExitStack() as connections:
            while not self._closed.is_set():
                with contextlib.suppress(TimeoutError):
                    inside, _ = self._socket.accept()
                    outside = socket.create_connection(self._target)
                    for one, other in ((inside, outside), (outside, inside)):
                        connections.enter_context(one)
                        ready.register(one, selectors.EVENT_READ, other)
                for key, _ in ready.select(0) if ready.get_map() else ():
                    with contextlib.suppress(OSError):
                        if data := key.fileobj.recv(65536):  # type: ignore[union-attr]
                            key.data.sendall(data)
                            continue
                    ready.unregister(key.fileobj)


@pytest.fixture
def door(settings: Settings) -> Iterator[Door]:
    door = Door(settings.bootstrap_servers)
    yield door
    door.close()


def test_what_is_archived_while_a_room_has_no_kafka_is_not_missed(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings, door: Door
) -> None:
    say_much(settings, *numbers(0, 300))
    archive(archiver_factory, settings)
    away = settings.replace(bootstrap_servers=door.address, kafka_timeout=1)
    room = joined(room_factory("ana", away))
    assert texts(room) == numbers(100, 300)
    say_much(settings, *numbers(300, 800))
    archive(archiver_factory, settings)
    door.open()
    wait_until(lambda: texts(room)[-1] == "text 799", 15)
    load_all(room)
    assert_room_is_right(room, settings)


def test_what_only_the_archive_has_is_added_once_mongodb_is_back(
    room_factory: Rooms,
    archiver_factory: Archivers,
    settings: Settings,
    admin: KafkaAdminClient,
    local_stack: LocalStack,
    pause: Callable[[LocalServer], None],
) -> None:
    say_much(settings, *numbers(0, 100))
    archive(archiver_factory, settings)
    say_much(settings, *numbers(100, 600))
    admin.delete_records({TopicPartition(settings.topic_of("general"), 0): 100})
    pause(local_stack.mongod)
    room = joined(room_factory())
    wait_until(lambda: texts(room) == numbers(400, 600))
    room.send("general", "text 600")
    wait_until(lambda: texts(room) == numbers(400, 601))
    local_stack.mongod.resume()
    wait_until(lambda: texts(room) == numbers(0, 100) + numbers(400, 601))
    load_all(room)
    assert texts(room) == numbers(0, 601)


def test_mongodb_going_away_under_an_open_room_is_told_and_its_return_too(
    room_factory: Rooms,
    archiver_factory: Archivers,
    settings: Settings,
    local_stack: LocalStack,
    pause: Callable[[LocalServer], None],
) -> None:
    say_much(settings, *numbers(0, 300))
    archive(archiver_factory, settings)
    room = joined(room_factory())
    pause(local_stack.mongod)
    wait_until(lambda: room.status.mongo)
    assert isinstance(room.load_older("general").exception(10), ServiceError)
    room.send("general", "text 300")
    wait_until(lambda: texts(room) == numbers(100, 301))
    assert room.status.connected
    local_stack.mongod.resume()
    wait_until(lambda: not room.status.mongo)
    load_all(room)
    assert texts(room) == numbers(0, 301)


def test_an_import_amid_paging_is_shown_in_its_place(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings
) -> None:
    say_much(settings, *numbers(0, 900))
    archiver_factory()
    wait_until(lambda: is_archived(settings, "general"), 20)
    room = joined(room_factory())
    begun = now_ms()
    with ChatProducer(settings, bulk=True) as producer:
        for n in range(1000):  # before all that there is, amid it, and after
            more = {"source": "irc", "sent_ms": begun + (n - 500) * 10}
            producer.send(Message.new("general", "ira", f"old {n}", **more))
            if n % 200 == 199:
                producer.flush(10)
                room.load_older("general").result(20)
    wait_until(lambda: is_archived(settings, "general"), 20)
    wait_until(lambda: "old 999" in texts(room))
    load_all(room)
    assert_room_is_right(room, settings)


def test_an_import_that_comes_while_the_first_page_ever_is_read_is_all_shown(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings
) -> None:
    say_much(settings, *numbers(0, 210))
    archive(archiver_factory, settings)
    rooms = [joined(room_factory(f"reader{n}")) for n in range(8)]
    stop = threading.Event()
    sent: list[str] = []

    def bring() -> None:
        with ChatProducer(settings) as producer:
            while not stop.wait(0.001):
                more = {"source": "irc", "sent_ms": 1_500_000_000_000 + len(sent)}
                message = Message.new("general", "ira", f"old {len(sent)}", **more)
                sent.append(message.id)
                producer.send(message)

    bringing = threading.Thread(target=bring)
    bringing.start()
    try:
        for number, room in enumerate(rooms, 1):
            wait_until(lambda number=number: len(sent) > 50 * number)
            room.load_older("general").result(20)  # while more comes that belongs before it
    finally:
        stop.set()
        bringing.join()

    def shown(room: ChatRoom) -> bool:
        load_all(room)
        return len(room.rows("general")) == 210 + len(sent)

    for room in rooms:
        wait_until(lambda room=room: shown(room))
        assert_room_is_right(room, settings)


def test_what_comes_while_a_hole_is_filled_is_shown_too(
    room_factory: Rooms, settings: Settings
) -> None:
    say_much(settings, *numbers(0, 2500))
    room = joined(room_factory())
    wait_until(lambda: texts(room) == numbers(2300, 2500))
    filling = [room.load_older("general") for _ in range(5)]
    for text in numbers(2500, 2600):
        room.send("general", text)
    assert [one.result(20) for one in filling] == [200] * 5
    wait_until(lambda: texts(room) == numbers(1300, 2600))
    load_all(room)
    assert texts(room) == numbers(0, 2600)


def test_a_partition_that_is_added_is_read_within_five_seconds(
    room_factory: Rooms, settings: Settings, admin: KafkaAdminClient
) -> None:
    room = joined(room_factory())
    topic = settings.topic_of("general")
    admin.create_partitions({topic: 2})
    raw = make_client(KafkaProducer, settings)
    wait_until(lambda: 1 in raw.partitions_for(topic))
    raw.send(topic, value=encode(Message.new("general", "bob", "hi")), partition=1).get(10)
    raw.close(timeout=5)
    wait_until(lambda: texts(room) == ["hi"], 5)


def test_a_deletion_counts_once_who_made_it_is_a_moderator(
    room_factory: Rooms,
    archiver_factory: Archivers,
    channels: Channels,
    producer: ChatProducer,
) -> None:
    archiver_factory()
    room = joined(room_factory())
    spam = Message.new("general", "bob", "spam")
    say(producer, spam, Delete.new("general", "dan", spam.id), "more")
    wait_until(lambda: texts(room) == ["spam", "more"])
    channels.publish(ChannelRecord(channel="general", creator="ana", moderators=("ana", "dan")))
    wait_until(lambda: texts(room) == ["", "more"])


def test_a_channel_that_somebody_just_made_can_be_joined_and_written_to(
    room_factory: Rooms, channels: Channels
) -> None:
    room = joined(room_factory())
    wait_until(room.channels)
    for n in range(5):
        channels.create(f"fresh-{n}")
        joined(room, f"fresh-{n}")
        room.send(f"fresh-{n}", "hi")  # whatever an older list of channels says
        wait_until(lambda n=n: [row.state for row in room.rows(f"fresh-{n}")] == ["sent"])


def test_leaving_at_any_moment_of_joining_leaves_nothing_behind(
    room_factory: Rooms, producer: ChatProducer
) -> None:
    say(producer, *numbers(0, 20))
    room = room_factory()
    for _ in range(20):
        room.join("general")
        room.leave("general")
    assert room.rows("general") == []
    joined(room)
    wait_until(lambda: texts(room) == numbers(0, 20))
    room.leave("general")
    say(producer, "unheard")
    assert room.rows("general") == []


def test_two_who_press_retry_send_once(
    room_factory: Rooms,
    settings: Settings,
    local_stack: LocalStack,
    pause: Callable[[LocalServer], None],
) -> None:
    room = joined(room_factory("ana", settings.replace(delivery_timeout=1)))
    pause(local_stack.kafka)
    message = room.send("general", "typed with care")
    wait_until(lambda: room.rows("general")[-1].state == "failed", 15)
    room.retry("general", message.id)
    with pytest.raises(InvalidMessageError):
        room.retry("general", message.id)


def test_ten_thousand_messages_pass_through_a_room_in_seconds(room_factory: Rooms) -> None:
    ana, bob = joined(room_factory("ana")), joined(room_factory("bob"))
    started = time.monotonic()
    for text in numbers(0, 10_000):
        ana.send("general", text)
    wait_until(lambda: len(bob.rows("general")) == 10_000, 30)
    assert time.monotonic() - started < 30
    assert texts(bob) == numbers(0, 10_000)
    wait_until(lambda: ana.rows("general") == bob.rows("general"), 20)


def test_rooms_write_no_messages_to_mongodb(room_factory: Rooms, store: MessageStore) -> None:
    room = joined(room_factory())
    room.send("general", "hi")
    wait_until(lambda: [row.state for row in room.rows("general")] == ["sent"])
    assert not store.database.list_collection_names()
