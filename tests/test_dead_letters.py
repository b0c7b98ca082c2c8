"""Dead letters tried again, on real servers."""

from collections.abc import Callable

import pytest
from kafka import KafkaProducer

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.connection import make_client
from chatkit.dead_letters import Replayed, replay_dead_letters
from chatkit.message import ChannelRecord, Message, React, encode
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.waiting import wait_until


def newer(value: bytes) -> bytes:
    """A record as some later version of chatkit would write it."""
    return value.replace(b'"v":1', b'"v":9')


@pytest.fixture
def put_aside(
    settings: Settings,
    channels: Channels,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> list[Message]:
    """Two messages, a reaction, a channel's record and nonsense, all of them dead letters."""
    messages = [Message.new("general", "ana", text) for text in ("one", "two")]
    react = React.new("general", "ben", messages[0].id, emoji="+1")
    record = ChannelRecord(channel="general", description="Anything", creator="ana")
    topic = settings.topic_of("general")
    sender = make_client(KafkaProducer, settings)
    for item in (*messages, react):
        sender.send(topic, key=b"ana", value=newer(encode(item)))
    sender.send(topic, key=b"ana", value=b"nonsense")
    sender.send(settings.channels_topic, key=b"general", value=newer(encode(record)))
    sender.flush(timeout=10)
    sender.close(timeout=5)
    archiver = archiver_factory()
    letters = store.database["dead_letters"]
    wait_until(lambda: letters.count_documents({}) == 5)
    archiver.stop()
    return messages


def understand(store: MessageStore) -> None:
    """Turn the letters into what this version reads, as if it were the updated one."""
    letters = store.database["dead_letters"]
    for letter in letters.find():
        value = letter["value"].replace(b'"v":9', b'"v":1')
        letters.update_one({"_id": letter["_id"]}, {"$set": {"value": value}})


def test_what_can_be_read_after_an_update_is_archived_with_its_place(
    settings: Settings, store: MessageStore, put_aside: list[Message]
) -> None:
    understand(store)
    before = {one["_id"]: one["next"] for one in store.database["positions"].find()}
    assert replay_dead_letters(settings, store) == Replayed(archived=4, refused=1)
    first, second = store.page("general")
    assert [first["body"], second["body"]] == ["one", "two"]
    assert [first["offset"], second["offset"]] == [0, 1]
    assert first["reactions"] == {"+1": ["ben"]}
    assert store.channel_records()["general"].description == "Anything"
    (left,) = store.dead_letters()
    assert bytes(left["value"]) == b"nonsense"
    assert {one["_id"]: one["next"] for one in store.database["positions"].find()} == before
    assert replay_dead_letters(settings, store) == Replayed(refused=1)


def test_what_still_can_not_be_read_stays(
    settings: Settings, store: MessageStore, put_aside: list[Message]
) -> None:
    assert replay_dead_letters(settings, store) == Replayed(refused=5)
    assert len(store.dead_letters()) == 5


def test_an_id_that_is_used_by_something_else_is_refused_and_the_others_are_archived(
    settings: Settings, store: MessageStore, put_aside: list[Message]
) -> None:
    understand(store)
    one = store.database["dead_letters"].find_one(
        {"offset": 0, "topic": settings.topic_of("general")}
    )
    assert one is not None
    other = (
        one["value"]
        .replace(b"one", b"another text")
        .replace(put_aside[0].id.encode(), put_aside[1].id.encode())
    )
    store.database["dead_letters"].update_one({"_id": one["_id"]}, {"$set": {"value": other}})
    replayed = replay_dead_letters(settings, store)
    assert (replayed.archived, replayed.refused) == (3, 2)
    assert len(store.page("general")) == 1


def test_a_letter_behind_the_position_is_left_to_the_archiver(
    settings: Settings, store: MessageStore, put_aside: list[Message]
) -> None:
    understand(store)
    store.database["positions"].delete_many({})  # as after restoring a part of a backup
    assert replay_dead_letters(settings, store).archived == 0
    assert store.database["positions"].count_documents({}) == 0


def test_a_note_about_a_gap_is_counted_and_kept(
    settings: Settings, store: MessageStore, put_aside: list[Message]
) -> None:
    store.database["dead_letters"].update_many({}, {"$set": {"value": None}})
    assert replay_dead_letters(settings, store) == Replayed(without_bytes=5)
    assert len(store.dead_letters()) == 5
