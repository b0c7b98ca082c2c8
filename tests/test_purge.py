"""The right to be forgotten: nothing is left, others lose nothing, and nothing comes back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS

from chatkit import purge as purging
from chatkit import segments
from chatkit.archiver import Archiver
from chatkit.batches import PartitionBatch, decode_batches
from chatkit.channels import Channels
from chatkit.history import load
from chatkit.message import (
    Attachment,
    ChannelRecord,
    Delete,
    Edit,
    Event,
    Join,
    Message,
    Pin,
    React,
    encode,
    now_ms,
)
from chatkit.producer import ChatProducer
from chatkit.purge import look_for, purge
from chatkit.purged import PURGED, Marks
from chatkit.read_marks import ReadMarks
from chatkit.segments.stored import fetch, headers
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.writer import BatchWriter
from tests.archiving import START, Archive
from tests.commands import chatkit, environment
from tests.verification import is_archived
from tests.waiting import wait_until

SHARED = b"a file that two have sent"
OWN = b"a file of cleo's alone"


@pytest.fixture
def archive(store: MessageStore) -> Archive:
    return Archive(store)


def say(channel: str, body: str, author: str, **more: Any) -> Message:
    return Message.new(channel, author, body, **more)


def about(kind: type[Any], message: Message, actor: str, **more: Any) -> Any:
    values = {"id": str(uuid.uuid4()), "actor": actor, "at_ms": START, **more}
    return kind(channel=message.channel, target=message.id, **values)


def file(data: bytes) -> Attachment:
    return Attachment(name="note.txt", type="text/plain", data=data)


def everything(store: MessageStore) -> bytes:
    """Return all documents of all collections, but for the copies in segments."""
    return b"".join(
        bson.encode(document)
        for name in sorted(store.database.list_collection_names())
        if name != "segments"
        for document in store.database[name].find().sort("_id")
    )


def fill(store: MessageStore, archive: Archive) -> dict[str, Message]:
    """Archive a conversation of three, with all that can happen to messages."""
    said = {
        "question": say("general", "where is the key?", "ana"),
        "answer": say("general", "under cleo-secret-one", "cleo"),
        "thanks": say("general", "thanks!", "ben"),
        "insult": say("general", "an insult", "ben"),
        "tools": say("tools", "cleo-secret-two", "cleo", attachment=file(OWN)),
        "copy": say("tools", "see", "cleo", attachment=file(SHARED)),
        "same": say("tools", "see this too", "ben", attachment=file(SHARED)),
        "named": say("tools", "@cleo knows", "ana"),
    }
    said["reply"] = say("tools", "so Cleo said", "ben", reply_to=said["tools"].id)
    archive.write(*said.values())
    archive.write(
        about(Edit, said["answer"], "cleo", body="under cleo-secret-three"),
        about(Edit, said["thanks"], "cleo", body="cleo-secret-four"),
        about(Edit, said["thanks"], "ben", body="thank you!"),
        about(React, said["thanks"], "cleo", emoji="cleo-secret-five"),
        about(React, said["thanks"], "ana", emoji="👍"),
        about(React, said["answer"], "ana", emoji="👍"),
        about(Pin, said["question"], "cleo"),
        about(Delete, said["insult"], "cleo"),
        Join.new("general", "cleo"),
        Join.new("general", "ben"),
    )
    return said


def moderate(store: MessageStore) -> None:
    """Let cleo moderate channel general."""
    record = ChannelRecord(channel="general", creator="cleo", moderators=("cleo", "ben"))
    write_record(store, record)


def write_record(store: MessageStore, record: ChannelRecord) -> None:
    class Raw:
        offset, timestamp, partition, topic = 0, START, 0, "chatkit.channels"
        key, value = record.channel.encode(), encode(record)

    part = PartitionBatch(
        topic_id="id of records", topic="chatkit.channels", channel=None, partition=0,
        records=[Raw],
    )  # fmt: skip
    BatchWriter(store).write(decode_batches([part]))


def letter(store: MessageStore, number: int, key: bytes, value: bytes) -> None:
    store.database["dead_letters"].insert_one(
        {
            "_id": f"id/0/{number}", "reason": "unknown", "key": Binary(key),
            "value": Binary(value), "archived_at": DatetimeMS(START), "topic": "chat.general",
            "topic_id": "id", "partition": 0, "offset": number, "appended_at": DatetimeMS(START),
        }
    )  # fmt: skip


def shown(store: MessageStore) -> list[dict[str, Any]]:
    """Return what people see of each message."""
    fields = ("body", "author", "reactions", "pinned_at", "deleted_at", "edited_at", "rev")
    return [
        {name: one.get(name) for name in ("_id", *fields)}
        for one in store.messages.find().sort("_id")
    ]


def test_nothing_of_the_person_is_left_anywhere(store: MessageStore, archive: Archive) -> None:
    moderate(store)
    said = fill(store, archive)
    ReadMarks(store, "cleo").set_member("general", True)
    ReadMarks(store, "ben").set_person_muted("cleo", True)
    letter(store, 1, b"cleo", b'{"v":9,"author":"cleo"}')
    letter(store, 2, b"ben", b'{"v":9,"actor":"cleo"}')
    letter(store, 3, b"ben", b'{"v":9,"author":"ben"}')
    segments.build(store)
    before = {one["_id"]: one for one in shown(store)}

    found = purge(store, "cleo")
    assert found.messages == {"general": 1, "tools": 2}
    assert found.events == {"delete": 1, "edit": 2, "join": 1, "pin": 1, "react": 1}
    assert (found.attachments, found.read_marks, found.dead_letters) == (1, 2, 2)
    assert found.moderates == ("general",)
    assert found.mentions == 2
    assert {one for _, one in found.mentioned_in} == {said["named"].id, said["reply"].id}

    # Others' mentions stay; nothing else has the name, a text, an emoji or the file.
    texts = {said["named"].id: b"@cleo knows", said["reply"].id: b"so Cleo said"}
    raw = everything(store)
    assert b"secret" not in raw
    assert OWN not in raw
    assert raw.count(SHARED) == 1
    for message_id in texts:
        store.messages.delete_one({"_id": message_id})
    assert b"cleo" not in everything(store).lower()
    for one, table in fetch(store, headers(store)):
        assert table is not None, one
        assert "cleo" not in table["author"].to_pylist()
        assert "secret" not in " ".join(table["body"].to_pylist())

    # Others lost nothing but the reaction.
    after = {one["_id"]: one for one in shown(store)}
    assert after[said["thanks"].id] == {**before[said["thanks"].id], "reactions": {"👍": ["ana"]}}
    for name in ("question", "insult", "same"):
        assert after[said[name].id] == before[said[name].id]
    assert after[said["insult"].id]["deleted_at"] is not None
    assert store.moderators("general") == ("ben", PURGED)
    assert store.channel_records()["general"].creator == PURGED
    assert store.attachment(_sha(store, said["same"])) == SHARED


def _sha(store: MessageStore, message: Message) -> str:
    document = store.get(message.channel, message.id)
    assert document is not None
    return str(document["attachment"]["sha256"])


def test_looking_changes_nothing(store: MessageStore, archive: Archive) -> None:
    fill(store, archive)
    before = everything(store)
    found = look_for(store, "cleo")
    assert found.total == 9
    assert everything(store) == before
    assert look_for(store, "nobody").total == 0


def test_a_frame_is_without_the_person_with_and_without_segments(
    store: MessageStore, archive: Archive
) -> None:
    fill(store, archive)
    segments.build(store)
    expected = load(store)
    expected = expected[expected["author"] != "cleo"].reset_index(drop=True)
    purge(store, "cleo")
    frame = load(store)
    assert frame["id"].tolist() == expected["id"].tolist()
    assert frame["body"].tolist() == expected["body"].tolist()
    segments.drop(store)
    assert load(store).equals(frame)


def test_it_says_where_kafkas_copy_is(store: MessageStore, archive: Archive) -> None:
    fill(store, archive)
    archive.write(say("tools", "in another partition", "cleo"), partition=3)
    places = {(one.topic, one.partition): one for one in purge(store, "cleo").places}
    assert places.keys() == {("chat.general", 0), ("chat.tools", 0), ("chat.tools", 3)}
    general = places["chat.general", 0]
    assert (general.first, general.last, general.records) == (1, 12, 7)
    # A second time nothing is found, but the places are still known.
    again = purge(store, "cleo")
    assert again.total == 0
    assert {(one.topic, one.partition): one for one in again.places} == places


def test_a_second_purge_changes_nothing_but_its_time(store: MessageStore, archive: Archive) -> None:
    fill(store, archive)
    purge(store, "cleo")
    before = everything(store)
    mark = store.database["purged"].find_one()
    purge(store, "cleo")
    store.database["purged"].replace_one({"_id": mark["_id"]}, mark)  # type: ignore[index]
    assert everything(store) == before


def test_archiving_everything_again_brings_nothing_back(
    store: MessageStore, archive: Archive
) -> None:
    moderate(store)
    fill(store, archive)
    purge(store, "cleo")
    purged = shown(store)
    archive.write_again()
    assert shown(store) == purged
    for name in ("messages", "events", "attachments", "positions", "channels"):
        store.database[name].delete_many({})
    record = ChannelRecord(
        channel="general", creator="cleo", moderators=("cleo", "ben"), at_ms=START
    )
    write_record(store, record)
    archive.write_again()
    # A rebuilt archive never had the purged events, so that it counts fewer.
    fields = [{**one, "rev": 0} for one in shown(store)]
    assert fields == [{**one, "rev": 0} for one in purged]
    raw = everything(store)
    assert b"secret" not in raw
    assert raw.count(b"cleo") == raw.count(b"@cleo") + raw.count(b"so cleo said") + 1


def test_what_the_person_writes_later_is_archived(store: MessageStore, archive: Archive) -> None:
    fill(store, archive)
    purge(store, "cleo")
    later = now_ms() + 1000
    back = say("general", "back again", "cleo")
    old = say("general", "imported", "cleo", source="irc", sent_ms=START)
    archive.write(back, old, at_ms=later)
    assert [one["_id"] for one in store.messages.find({"author": "cleo"})] == [back.id]
    archive.write(about(React, back, "ben", emoji="👍"))
    assert store.get("general", back.id)["rev"] == 1  # type: ignore[index]


def test_new_events_still_show_on_messages_that_a_purge_has_touched(
    store: MessageStore, archive: Archive
) -> None:
    said = fill(store, archive)
    purge(store, "cleo")
    archive.write(about(React, said["thanks"], "ben", emoji="🎉"))
    document = store.get("general", said["thanks"].id)
    assert document is not None
    assert document["reactions"] == {"👍": ["ana"], "🎉": ["ben"]}


def test_a_writer_that_had_not_seen_the_mark_takes_out_what_it_wrote(
    store: MessageStore, archive: Archive
) -> None:
    said = fill(store, archive)
    writer = BatchWriter(store)
    archive.write(say("general", "before", "ana"), writer=writer)  # it knows that nobody is purged
    purge(store, "cleo")
    late = say("general", "cleo-secret-late", "cleo", attachment=file(OWN))
    archive.write(
        late, about(React, said["thanks"], "cleo", emoji="late"), Join.new("general", "cleo"),
        writer=writer,
    )  # fmt: skip
    raw = everything(store)
    assert b"late" not in raw
    assert OWN not in raw


def test_dead_letters_of_the_person_are_not_kept(store: MessageStore, archive: Archive) -> None:
    fill(store, archive)
    purge(store, "cleo")
    used = say("general", "cleo-secret-again", "cleo", source="irc", sent_ms=START)
    other = say("general", "first", "ben", id=used.id)
    archive.write(other)
    archive.write(used, at_ms=now_ms() + 1000)
    assert store.dead_letters() == []
    letter(store, 1, b"x", b"\xff\xfecleo is here")
    assert look_for(store, "cleo").unclear_letters == 1


@pytest.mark.parametrize("name", ["$where", "$author", "a.b", ".*", "(", "0", '"', "'"])
def test_a_name_is_only_a_name(store: MessageStore, archive: Archive, name: str) -> None:
    first = say("general", "of ana", "ana")
    archive.write(first, say("general", "x", name), about(React, first, name, emoji="👍"))
    assert purge(store, name).messages == {"general": 1}
    assert [one["author"] for one in store.messages.find()] == ["ana"]
    assert "reactions" not in store.messages.find_one()  # type: ignore[operator]


@pytest.mark.parametrize("step", ["_messages", "_events", "_others", "_finish_segments"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_purge_that_was_cut_off_is_finished_by_the_next(
    store: MessageStore,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    when: str,
) -> None:
    moderate(store)
    fill(store, archive)
    segments.build(store)
    real: Callable[..., Any] = getattr(purging, step)

    def cut_off(*args: Any) -> Any:
        if when == "after":
            real(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(purging, step, cut_off)
        with pytest.raises(KeyboardInterrupt):
            purge(store, "cleo")
    purge(store, "cleo")
    assert b"secret" not in everything(store)
    assert look_for(store, "cleo").total == 0
    assert load(store)["author"].tolist().count("cleo") == 0
    assert store.database["positions"].count_documents({"withheld": {"$ne": None}}) == 0


def test_a_purge_cut_off_between_an_event_and_its_message_is_finished(
    store: MessageStore, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = fill(store, archive)

    def cut_off(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BatchWriter, "refold", cut_off)
        with pytest.raises(KeyboardInterrupt):
            purge(store, "cleo")
    assert "cleo" in str(store.get("general", said["thanks"].id))
    purge(store, "cleo")
    assert "cleo" not in str(store.get("general", said["thanks"].id))


def test_marks_tell_no_name_and_hold_up_to_their_time(store: MessageStore) -> None:
    store.prepare()
    purge(store, "cleo")
    marks = Marks.read(store)
    assert marks.cover("cleo", now_ms() - 10_000)
    assert not marks.cover("cleo", now_ms() + 60_000)
    assert not marks.cover("ben", 0)
    (document,) = store.database["purged"].find()
    assert "cleo" not in str(document)
    assert abs(document["at"] - datetime.now(UTC)).total_seconds() < 60


# With Kafka, and by the command.


def test_the_command_purges_beside_an_archiver_and_names_kafkas_copy(
    settings: Settings,
    store: MessageStore,
    channels: Channels,
    producer: ChatProducer,
    archiver_factory: Callable[..., Archiver],
) -> None:
    sent: list[Event | Message] = [
        say("general", f"text {number}", "cleo" if number % 2 else "ben") for number in range(200)
    ]
    for item in sent:
        producer.send(item)
    producer.flush(10)
    archiver = archiver_factory()
    wait_until(lambda: is_archived(settings, "general"), 20)
    env = environment(settings)
    refused = chatkit("purge", "cleo", env=env, code=1)
    assert "add --yes" in refused.stderr
    looked = chatkit("purge", "cleo", "--dry-run", env=env).stdout
    assert "100 (general 100)" in looked
    assert store.messages.count_documents({"author": "cleo"}) == 100

    text = chatkit("purge", "cleo", "--yes", env=env).stdout
    topic = settings.topic_of("general")
    assert f"topic {topic}, partition 0, offsets 1 to 199 (100 records of them)" in text
    wanted = [{"topic": topic, "partition": 0, "offset": 200}]
    assert json.dumps({"partitions": wanted, "version": 1}) in text
    assert store.messages.count_documents({}) == 100
    archiver.stop()

    for name in ("messages", "events", "positions"):
        store.database[name].delete_many({})
    archiver_factory()
    wait_until(lambda: is_archived(settings, "general"), 20)
    assert store.messages.count_documents({}) == 100
    assert store.messages.count_documents({"author": "cleo"}) == 0
    told = json.loads(chatkit("purge", "cleo", "--yes", "--json", env=env).stdout)
    assert (told["purged"], told["messages"]) == (True, {})
    assert told["places"][0]["records"] == 100
