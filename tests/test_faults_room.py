"""People in rooms while Kafka or MongoDB stops, dies and comes back, on a stack of its own."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaAdminClient

from chatkit.channels import Channels
from chatkit.local import LocalServer, LocalStack
from chatkit.message import Message
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from tests.verification import read_everything
from tests.waiting import wait_until

AWAY = 20.0
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack that tests may break."""
    with LocalStack(Settings(data_dir=tmp_path_factory.mktemp("breakable"))) as stack:
        yield stack


def _own_names(stack: LocalStack) -> Settings:
    name = f"r{next(_numbers)}"
    return stack.settings.replace(
        topic_prefix=f"{name}.chat.",
        system_prefix=f"{name}.chatkit.",
        database=name,
        kafka_timeout=3.0,
        mongo_timeout=3.0,
    )


def _hold_for(seconds: float) -> None:
    threading.Event().wait(seconds)


def _pause(server: LocalServer) -> None:
    server.pause()
    _hold_for(AWAY)
    server.resume()


def _kill(server: LocalServer) -> None:
    server.kill()
    _hold_for(2.0)
    server.start()


def _leader(stack: LocalStack, settings: Settings) -> LocalServer:
    """Return the broker that leads the channel's partition."""
    admin = KafkaAdminClient(**settings.kafka_config())
    (topic,) = admin.describe_topics([settings.topic_of("general")])
    admin.close()
    return stack.brokers[topic["partitions"][0]["leader_id"] - 1]


class Typist:
    """Somebody who types into a room all the time."""

    def __init__(self, room: ChatRoom) -> None:
        self._room = room
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._type, name="chatkit-test-typist")
        self.typed: list[Message] = []

    def __enter__(self) -> Typist:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _type(self) -> None:
        while not self._stop.wait(0.05):
            self.typed.append(self._room.send("general", f"text {len(self.typed)}"))


def _talk_during(settings: Settings, fault: Callable[[], None]) -> None:
    """Let two people talk during a fault, and check that nothing is lost, doubled or hidden."""
    with Channels(settings) as channels:
        channels.create("general")
    ana, ben = ChatRoom(settings, user="ana"), ChatRoom(settings, user="ben")
    with ana, ben:
        for room in (ana, ben):
            room.join("general").result(10)
        with Typist(ana) as one, Typist(ben) as other:
            wait_until(lambda: len(ben.rows("general")) > 20)
            fault()
            before = len(one.typed)
            wait_until(lambda: len(one.typed) > before + 20)
        typed = {message.id: message for message in one.typed + other.typed}
        for room in (ana, ben):
            wait_until(
                lambda room=room: all(row.state != "pending" for row in room.rows("general")), 90
            )
        shown = {row.id: row for row in ana.rows("general") + ben.rows("general")}
        failed = {row_id for row_id, row in shown.items() if row.state == "failed"}
        assert not [shown[row_id].reason for row_id in failed]
        # Each has seen what the other wrote, without being opened again.
        for room in (ana, ben):
            wait_until(
                lambda room=room: {row.id for row in room.rows("general")} == typed.keys(), 20
            )
            assert all(row.message == typed[row.id] for row in room.rows("general"))
            wait_until(lambda room=room: room.status.connected and not room.status.mongo, 20)
    in_kafka = Counter(
        record.value for record in read_everything(settings, "general") if record.value
    )
    assert len(in_kafka) == len(typed)
    assert set(in_kafka.values()) == {1}


@pytest.mark.parametrize("fault", [_pause, _kill])
def test_kafka_goes_away_and_nothing_is_lost_or_doubled(
    fault: Callable[[LocalServer], None], breakable: LocalStack
) -> None:
    _talk_during(_own_names(breakable), lambda: fault(breakable.kafka))


@pytest.mark.parametrize("fault", [_pause, _kill])
def test_mongodb_goes_away_and_the_chat_goes_on(
    fault: Callable[[LocalServer], None], breakable: LocalStack
) -> None:
    _talk_during(_own_names(breakable), lambda: fault(breakable.mongod))


def test_the_leader_of_three_is_killed_and_nothing_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with LocalStack(Settings(data_dir=tmp_path_factory.mktemp("three")), brokers=3) as stack:
        settings = _own_names(stack)
        _talk_during(settings, lambda: _kill(_leader(stack, settings)))
