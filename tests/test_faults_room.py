"""Rooms while Kafka or MongoDB stops, dies and comes back, on stacks of their own."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.connection import make_client
from chatkit.consumer import decode_record
from chatkit.errors import ServiceError
from chatkit.local import LocalServer, LocalStack
from chatkit.message import Message, Received
from chatkit.room import Change, ChatRoom, StatusChanged
from chatkit.settings import Settings
from chatkit.timeline import Row
from tests.names import with_own_names
from tests.rooms import assert_room_is_right
from tests.verification import assert_archive_is_right, is_archived, read_everything
from tests.waiting import wait_until

AWAY = 20.0
QUICK_SESSIONS = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}


def hold_for(seconds: float) -> None:
    """Let a fault last."""
    threading.Event().wait(seconds)


@pytest.fixture
def settings(breakable: LocalStack) -> Settings:
    return with_own_names(breakable.settings)


class Talkers:
    """People in rooms of their own who write all the time, whatever happens."""

    def __init__(self, rooms: list[ChatRoom]) -> None:
        self.rooms = rooms
        self.typed: list[list[Message]] = [[] for _ in rooms]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._talk, args=(room, typed))
            for room, typed in zip(rooms, self.typed, strict=True)
        ]

    def __enter__(self) -> Talkers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _talk(self, room: ChatRoom, typed: list[Message]) -> None:
        for n in itertools.count():
            if self._stop.wait(0.05):
                return
            typed.append(room.send("general", f"{room.user} {n}"))

    def counts(self) -> list[int]:
        return [len(typed) for typed in self.typed]

    def all_see(self) -> bool:
        """Return whether each room shows as sent what was typed a moment ago in every room."""
        lasts = [typed[-1 - min(10, len(typed) // 2)].id for typed in self.typed]
        return all(
            {row.id for row in room.rows("general") if row.state == "sent"}.issuperset(lasts)
            for room in self.rooms
        )

    def settled(self) -> bool:
        return all(row.state != "pending" for room in self.rooms for row in room.rows("general"))


def in_kafka(settings: Settings) -> Counter[str]:
    """Return how often each message is in Kafka, by its id."""
    found = (decode_record(record, "general") for record in read_everything(settings, "general"))
    return Counter(
        one.item.id for one in found if isinstance(one, Received) and isinstance(one.item, Message)
    )


def own_rows(room: ChatRoom) -> dict[str, Row]:
    return {
        row.id: row
        for row in room.rows("general")
        if row.message is not None and row.message.author == room.user
    }


def assert_nothing_is_lost_or_doubled(talkers: Talkers, settings: Settings) -> None:
    """Check each text that was typed: once in Kafka, or shown as failed, text and all."""
    wait_until(talkers.settled, 30)
    kept = in_kafka(settings)
    assert set(kept.values()) == {1}
    for room, typed in zip(talkers.rooms, talkers.typed, strict=True):
        rows = own_rows(room)
        assert len(rows) == len(typed)
        for message in typed:
            row = rows[message.id]
            assert row.message == message
            assert row.state == "failed" or kept[message.id] == 1
        assert [one.body for one in typed if one.id in kept] == [
            one.body for one in typed if rows[one.id].state == "sent"
        ]


@pytest.fixture
def open_rooms() -> Iterator[Callable[..., list[ChatRoom]]]:
    """Return a function that opens rooms in general, made if need be; closed after the test."""
    made: list[ChatRoom] = []

    def open_rooms(*many: Settings) -> list[ChatRoom]:
        with Channels(many[0]) as channels:
            channels.create("general", exist_ok=True)
        rooms = [ChatRoom(one, user=f"user{n}").open() for n, one in enumerate(many)]
        made.extend(rooms)
        for room in rooms:
            room.join("general").result(20)
        return rooms

    yield open_rooms
    for room in made:
        room.close()


def pause(server: LocalServer, seconds: float) -> None:
    server.pause()
    hold_for(seconds)
    server.resume()


def kill(server: LocalServer, seconds: float) -> None:
    server.kill()
    hold_for(seconds)
    server.start()


@pytest.mark.parametrize(("fault", "seconds"), [(pause, AWAY), (kill, 3.0)], ids=["pause", "kill"])
def test_what_is_typed_while_the_broker_is_away_is_kept_and_the_room_recovers(
    fault: Callable[[LocalServer, float], None],
    seconds: float,
    breakable: LocalStack,
    settings: Settings,
    open_rooms: Callable[..., list[ChatRoom]],
) -> None:
    rooms = open_rooms(settings, settings)
    with Talkers(rooms) as talkers:
        wait_until(lambda: min(talkers.counts()) > 20 and talkers.all_see())
        before = talkers.counts()
        fault(breakable.kafka, seconds)
        wait_until(lambda: all(room.status.connected for room in rooms), 15)
        wait_until(lambda: min(talkers.counts()) > max(before) + 20)
    wait_until(talkers.all_see, 20)
    assert_nothing_is_lost_or_doubled(talkers, settings)
    for room in rooms:
        # With the patience that a room has by itself, that was no time.
        assert {row.state for row in room.rows("general")} == {"sent"}
        assert_room_is_right(room, settings)


def test_what_fails_while_the_broker_is_away_keeps_its_text_and_can_be_sent_again(
    breakable: LocalStack,
    settings: Settings,
    open_rooms: Callable[..., list[ChatRoom]],
) -> None:
    impatient = settings.replace(delivery_timeout=2.0)
    rooms = open_rooms(impatient, settings)
    with Talkers(rooms) as talkers:
        wait_until(lambda: min(talkers.counts()) > 20 and talkers.all_see())
        breakable.kafka.kill()
        wait_until(lambda: any(row.state == "failed" for row in own_rows(rooms[0]).values()), 15)
        assert not any(row.state == "failed" for row in own_rows(rooms[1]).values())
        breakable.kafka.start()
        wait_until(lambda: all(room.status.connected for room in rooms), 15)
        before = talkers.counts()
        wait_until(lambda: min(talkers.counts()) > max(before) + 20)
    assert_nothing_is_lost_or_doubled(talkers, settings)

    failed = [row for row in own_rows(rooms[0]).values() if row.state == "failed"]
    assert failed
    for row in failed:
        rooms[0].retry("general", row.id)
    wait_until(lambda: {row.state for row in own_rows(rooms[0]).values()} == {"sent"}, 20)
    assert set(in_kafka(settings)) == {one.id for typed in talkers.typed for one in typed}
    for room in rooms:
        assert_room_is_right(room, settings)


@pytest.mark.parametrize(("fault", "seconds"), [(pause, AWAY), (kill, 3.0)], ids=["pause", "kill"])
def test_a_room_chats_on_while_mongodb_is_away_and_comes_back(
    fault: Callable[[LocalServer, float], None],
    seconds: float,
    breakable: LocalStack,
    settings: Settings,
    open_rooms: Callable[..., list[ChatRoom]],
) -> None:
    rooms = open_rooms(settings, settings)
    with Archiver(settings), Talkers(rooms) as talkers:
        wait_until(lambda: min(talkers.counts()) > 20 and talkers.all_see())
        statuses: list[str] = []
        watching = threading.Thread(
            target=lambda: statuses.extend(
                wait_until(lambda room=room: room.status.mongo, 15) for room in rooms
            )
        )
        watching.start()
        during = threading.Thread(target=fault, args=(breakable.mongod, seconds))
        during.start()
        watching.join()
        if fault is pause:  # it is away, everybody knows, and they go on
            before = talkers.counts()
            wait_until(lambda: min(talkers.counts()) > max(before) + 20)
            wait_until(talkers.all_see)
            (late,) = open_rooms(settings)
            wait_until(lambda: late.rows("general"))
            assert all("MongoDB" in status for status in statuses)
            assert len(statuses) == 2
        during.join()
        wait_until(lambda: not any(room.status.mongo for room in rooms), 15)
        assert all(room.status.connected for room in rooms)
    with Archiver(settings):
        wait_until(lambda: is_archived(settings, "general"), 30)
    assert_nothing_is_lost_or_doubled(talkers, settings)
    for room in rooms:
        assert {row.state for row in room.rows("general")} == {"sent"}
        assert_room_is_right(room, settings)
    assert_archive_is_right(settings, "general")


def leader_of(settings: Settings, topic: str) -> int | None:
    """Return which broker leads a topic's one partition; None if none answers, or none leads."""
    with contextlib.suppress(KafkaError, ServiceError):
        admin = make_client(KafkaAdminClient, settings, request_timeout_ms=1000)
        try:
            (found,) = admin.describe_topics([topic])
        finally:
            admin.close()
        leader = int(found["partitions"][0]["leader_id"])
        return leader if leader > 0 else None
    return None


def test_three_brokers_lose_nothing_and_double_nothing_when_the_leader_is_killed(
    tmp_path_factory: pytest.TempPathFactory, open_rooms: Callable[..., list[ChatRoom]]
) -> None:
    given = Settings(data_dir=tmp_path_factory.mktemp("three"))
    with LocalStack(given, brokers=3, kafka_properties=QUICK_SESSIONS) as stack:
        settings = with_own_names(stack.settings)
        topic = settings.topic_of("general")
        rooms = open_rooms(settings, settings)
        try:
            with Talkers(rooms) as talkers:
                wait_until(lambda: min(talkers.counts()) > 40 and talkers.all_see())
                alarms: list[Change] = []
                for room in rooms:
                    room.observe(alarms.append)
                first = wait_until(lambda: leader_of(settings, topic))
                assert first is not None
                stack.brokers[first - 1].kill()
                wait_until(lambda: leader_of(settings, topic) not in (first, None), 15)
                before = talkers.counts()
                wait_until(lambda: min(talkers.counts()) > max(before) + 40)
                wait_until(talkers.all_see, 20)
                stack.brokers[first - 1].start()
                before = talkers.counts()
                wait_until(lambda: min(talkers.counts()) > max(before) + 20)
            assert_nothing_is_lost_or_doubled(talkers, settings)
            # Two of three brokers are no reason to tell people that Kafka is away.
            assert [one for one in alarms if isinstance(one, StatusChanged)] == []
            for room in rooms:
                assert {row.state for row in room.rows("general")} == {"sent"}
                assert_room_is_right(room, settings)
        finally:
            for room in rooms:
                room.close()
