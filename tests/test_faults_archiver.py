"""The archiver while Kafka or MongoDB stops, dies and comes back, on a stack of its own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.local import LocalServer, LocalStack
from chatkit.message import Edit, Message
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.names import with_own_names
from tests.verification import assert_archive_is_right, is_archived
from tests.waiting import wait_until

AWAY = 20.0


@pytest.fixture
def settings(breakable: LocalStack) -> Settings:
    return with_own_names(breakable.settings).replace(mongo_timeout=3.0)


class Talkers:
    """People who write all the time, edit now and then, and remember what was acknowledged."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk, name="chatkit-test-talkers")
        self.acknowledged: list[str] = []
        self.failed: list[str] = []

    def __enter__(self) -> Talkers:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _talk(self) -> None:
        sent = []
        with ChatProducer(self._settings) as producer:
            for number in itertools.count():
                if self._stop.wait(0.02):
                    break
                message = Message.new("general", f"author{number % 5}", f"text {number}")
                sent.append((message, producer.send(message)))
                if number % 4 == 0:
                    producer.send(Edit.new("general", message.author, message.id, body="edited"))
            assert producer.flush(90)
        for message, receipt in sent:
            (self.failed if receipt.exception() else self.acknowledged).append(message.id)


def _pause(server: LocalServer) -> None:
    server.pause()
    threading.Event().wait(AWAY)
    server.resume()


def _kill(server: LocalServer) -> None:
    server.kill()
    threading.Event().wait(2.0)
    server.start()


@pytest.mark.parametrize("fault", [_pause, _kill])
@pytest.mark.parametrize("victim", ["kafka", "mongod"])
def test_nothing_is_lost_or_doubled(
    victim: str,
    fault: Callable[[LocalServer], None],
    breakable: LocalStack,
    settings: Settings,
) -> None:
    with Channels(settings) as channels:
        channels.create("general")
    with Archiver(settings) as archiver, MessageStore(settings) as store:
        with Talkers(settings) as talkers:
            wait_until(lambda: store.messages.estimated_document_count() > 20)
            fault(breakable.kafka if victim == "kafka" else breakable.mongod)
            before = store.messages.estimated_document_count()
            wait_until(lambda: store.messages.estimated_document_count() > before + 50, 40)
        wait_until(lambda: is_archived(settings, "general"), 30)
        wait_until(lambda: (archiver.status.lag, archiver.status.problem) == (0, ""))
        assert_archive_is_right(settings, "general")
        stored = {document["_id"] for document in store.messages.find({}, {"_id": 1})}
    assert not talkers.failed
    assert stored == set(talkers.acknowledged)
