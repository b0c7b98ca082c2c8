"""One Kafka and one mongod for the session; fresh names for each test; nothing left behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.local import LocalStack
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.names import with_own_names
from tests.waiting import wait_until

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Real chat histories, where they lie beside the checkout."""

pytest_plugins = ["tests.chatting", "tests.workshop_stack"]


def pytest_configure() -> None:
    """Let programs that tests start feel Ctrl-C, also where we run in the background.

    And let no property depend on how quick a busy machine is.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.register_profile(
        "chatkit", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("chatkit")


@pytest.fixture(autouse=True, scope="session")
def _plain_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no setting of whoever runs the tests reach them, and no data of theirs be touched."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("CHATKIT_") and name not in {
                "CHATKIT_CACHE_DIR",
                "CHATKIT_MAVEN_URL",
            }:
                patch.delenv(name)
        patch.delenv("JUPYTERHUB_USER", raising=False)
        patch.setenv("CHATKIT_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        yield


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Real Kafka (one broker) and mongod, shared by all tests."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("stack"))
    with LocalStack(settings, progress=print) as stack:
        yield stack


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """One broker and mongod of a module's own, to break."""
    with LocalStack(Settings(data_dir=tmp_path_factory.mktemp("breakable"))) as stack:
        yield stack


@pytest.fixture
def settings(local_stack: LocalStack) -> Iterator[Settings]:
    """Settings with topics and a database that no other test has."""
    settings = with_own_names(local_stack.settings).replace(user="ana")
    yield settings
    with MessageStore(settings) as store:
        store.database.client.drop_database(settings.database)


@pytest.fixture
def store(settings: Settings) -> Iterator[MessageStore]:
    """The archive of this test."""
    with MessageStore(settings) as store:
        yield store


@pytest.fixture
def channels(settings: Settings) -> Iterator[Channels]:
    """The channels of this test, with one named general."""
    with Channels(settings) as channels:
        channels.create("general")
        yield channels


@pytest.fixture
def producer(settings: Settings, channels: Channels) -> Iterator[ChatProducer]:
    """A producer."""
    with ChatProducer(settings) as producer:
        yield producer


@pytest.fixture
def archiver_factory(settings: Settings) -> Iterator[Callable[..., Archiver]]:
    """Make archivers that are started, and stopped after the test."""
    made: list[Archiver] = []

    def make(other: Settings | None = None, **more: float) -> Archiver:
        made.append(Archiver(other or settings, **more))
        return made[-1].start()

    yield make
    for archiver in made:
        archiver.stop()


@pytest.fixture
def room_factory(settings: Settings, channels: Channels) -> Iterator[Callable[..., ChatRoom]]:
    """Make rooms that are open, and closed after the test."""
    made: list[ChatRoom] = []

    def make(user: str = "ana", other: Settings | None = None) -> ChatRoom:
        made.append(ChatRoom(other or settings, user=user).open())
        return made[-1]

    yield make
    for room in made:
        room.close()


def _own_threads() -> set[threading.Thread]:
    return {
        thread
        for thread in threading.enumerate()
        if thread.name.startswith(("chatkit", "kafka-", "pymongo"))
    }


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread of ours, or of a client that we made, behind."""
    before = _own_threads()
    yield
    try:
        wait_until(lambda: _own_threads() <= before, 15)
    except AssertionError:
        pytest.fail(f"threads are left behind: {_own_threads() - before}")
