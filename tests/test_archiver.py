"""The archiver on real Kafka and MongoDB: nothing lost, nothing doubled, nothing wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import MemberToRemove

from chatkit.archiver import Archiver, archive_group
from chatkit.channels import Channels
from chatkit.errors import BrokerUnavailableError, StoreUnavailableError
from chatkit.message import (
    Attachment,
    ChannelRecord,
    Delete,
    Edit,
    Join,
    Leave,
    Message,
    React,
    encode,
    new_id,
)
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.verification import assert_archive_is_right, is_archived, read_everything
from tests.waiting import wait_until

Archivers = Callable[..., Archiver]


def _send_all(producer: ChatProducer, *items: object, author: str | None = None) -> None:
    receipts = [producer.send(item, author=author) for item in items]  # type: ignore[arg-type]
    for receipt in receipts:
        receipt.result(30)


def _wait(settings: Settings, *channels: str, timeout: float = 30) -> None:
    wait_until(lambda: is_archived(settings, *channels), timeout)


def test_messages_are_archived_with_author_content_and_times(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver_factory()
    message = Message.new("general", "ana", "Grüße an @bob.", reply_to=new_id(), bot=True)
    receipt = producer.send(message).result(10)
    document = wait_until(lambda: store.get("general", message.id), 1.0)
    assert document["author"] == "ana"
    assert document["body"] == "Grüße an @bob."
    assert document["sent_at"] == message.sent_at
    assert document["placed_at"] == document["appended_at"]
    assert document["reply_to"] == message.reply_to
    assert document["bot"] is True
    assert document["mentions"] == ["bob"]
    assert document["search"] == "grüsse an @bob."
    assert (document["partition"], document["offset"]) == (receipt.partition, receipt.offset)
    assert_archive_is_right(settings, "general")


def test_an_imported_message_is_placed_at_its_original_time(
    producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver_factory()
    old = Message.new("general", "will", "xine", sent_ms=1_100_000_000_000, source="irc")
    producer.send(old).result(10)
    document = wait_until(lambda: store.get("general", old.id))
    assert document["placed_at"] == document["sent_at"] == old.sent_at
    assert document["appended_at"] > document["placed_at"]


def test_thirty_new_channels_are_each_archived_within_three_seconds(
    settings: Settings,
    channels: Channels,
    producer: ChatProducer,
    store: MessageStore,
    archiver_factory: Archivers,
) -> None:
    archiver_factory()
    for number in range(30):
        name = f"channel-{number}"
        channels.create(name)
        message = Message.new(name, "ana", "first!")
        producer.send(message).result(10)
        wait_until(lambda: store.get(name, message.id), 3.0)  # noqa: B023


def test_channel_records_and_their_tombstones_reach_the_archive(
    channels: Channels, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver_factory()
    channels.create("plans", description="What we do next", creator="bob")
    record = wait_until(lambda: store.channel_records().get("plans"))
    assert (record.description, record.creator, record.moderators) == (
        "What we do next",
        "bob",
        ("bob",),
    )
    channels.publish(ChannelRecord(channel="plans", description="Later", creator="bob"))
    wait_until(lambda: store.channel_records()["plans"].description == "Later")
    channels.delete("plans")
    wait_until(lambda: "plans" not in store.channel_records())


def test_joins_and_leaves_live_among_the_events_only(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver_factory()
    _send_all(producer, Join.new("general", "ana"), Leave.new("general", "ana"))
    _wait(settings, "general")
    assert store.counts() == {}
    assert [event["type"] for event in store.events.find().sort("offset")] == ["join", "leave"]


def test_an_event_before_its_message_is_applied_when_the_message_comes(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver_factory()
    message = Message.new("general", "ana", "one")
    edit = Edit.new("general", "ana", message.id, body="two")
    _send_all(producer, edit)
    _wait(settings, "general")
    assert store.get("general", message.id) is None
    _send_all(producer, message)
    document = wait_until(lambda: (d := store.get("general", message.id)) and d["rev"] and d)
    assert (document["body"], document["original"]) == ("two", "one")
    assert_archive_is_right(settings, "general")


@pytest.mark.parametrize("edit_first", [True, False])
def test_a_deletion_wins_against_an_edit_in_either_order(
    edit_first: bool,
    settings: Settings,
    producer: ChatProducer,
    store: MessageStore,
    archiver_factory: Archivers,
) -> None:
    archiver_factory()
    message = Message.new("general", "ana", "my secret")
    edit = Edit.new("general", "ana", message.id, body="my other secret")
    delete = Delete.new("general", "ana", message.id)
    _send_all(producer, message, *((edit, delete) if edit_first else (delete, edit)))
    wait_until(lambda: (d := store.get("general", message.id)) and d["rev"] == 2)
    assert_archive_is_right(settings, "general")
    for collection in ("messages", "events"):
        assert "secret" not in str(list(store.database[collection].find()))


def test_only_the_author_edits_and_only_author_or_moderator_deletes(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver_factory()  # ana made the channel, so she moderates it
    message, other = Message.new("general", "bob", "mine"), Message.new("general", "bob", "too")
    _send_all(producer, message, other)
    _send_all(
        producer,
        Edit.new("general", "eve", message.id, body="hers"),
        Delete.new("general", "eve", message.id),
        Delete.new("general", "ana", other.id),
        author="bob",
    )
    wait_until(lambda: (d := store.get("general", other.id)) and d["rev"] == 1)
    kept, gone = store.get("general", message.id), store.get("general", other.id)
    assert kept is not None
    assert gone is not None
    assert (kept["body"], kept["rev"]) == ("mine", 2)
    assert (gone["body"], "deleted_at" in gone) == ("", True)
    assert_archive_is_right(settings, "general")


def test_a_deletion_by_somebody_who_becomes_moderator_applies_then(
    settings: Settings,
    channels: Channels,
    producer: ChatProducer,
    store: MessageStore,
    archiver_factory: Archivers,
) -> None:
    archiver_factory()
    message = Message.new("general", "bob", "hm")
    _send_all(producer, message, Delete.new("general", "mo", message.id), author="bob")
    wait_until(lambda: (d := store.get("general", message.id)) and d["rev"] == 1)
    channels.publish(ChannelRecord(channel="general", creator="ana", moderators=("ana", "mo")))
    wait_until(lambda: "deleted_at" in (store.get("general", message.id) or {}))
    assert_archive_is_right(settings, "general")


def test_garbage_lands_in_dead_letters_and_the_archive_goes_on(
    settings: Settings, channels: Channels, store: MessageStore, archiver_factory: Archivers
) -> None:
    good = Message.new("general", "ana", "good")
    garbage: list[bytes | None] = [
        b"\x00\xff garbage",
        b"",
        None,
        b"[" * 100_000,
        b'{"v":1,"type":"message"}',
        b'{"v":2,"type":"message","what":"is new"}',
        encode(Message.new("other", "ana", "wrong channel")),
        json.dumps({**json.loads(encode(good)), "id": "x", "body": "\ud800 half"}).encode(),
        json.dumps({**json.loads(encode(good)), "id": "y", "sent_at": 2**70}).encode(),
        json.dumps({**json.loads(encode(good)), "id": "z", "body": "long " * 5000}).encode(),
        b'{"v":1,"type":"react","id":"r","channel":"general","actor":"a","at":1,"target":"'
        + good.id.encode()
        + b'","emoji":"a.$b"}',
        b"\xf0\x9f" * 500_000,
    ]
    raw = KafkaProducer(**settings.kafka_config(), max_request_size=6 * 2**20)
    topic = settings.topic_of("general")
    for value in garbage:
        raw.send(topic, key=b"ana", value=value).get(10)
    raw.send(topic, key=b"ana", value=encode(good)).get(10)
    raw.send(settings.channels_topic, key=b"general", value=b"garbage").get(10)
    raw.close()
    archiver = archiver_factory()
    wait_until(lambda: store.get("general", good.id))
    wait_until(lambda: archiver.status.dead_letters == len(garbage) + 1)
    assert assert_archive_is_right(settings, "general") == 1
    letters = store.dead_letters()
    assert all(letter["reason"] for letter in letters)
    assert any(letter["value"] == garbage[0] for letter in letters)


def test_an_id_that_is_used_for_something_else_is_a_dead_letter(
    settings: Settings,
    channels: Channels,
    producer: ChatProducer,
    store: MessageStore,
    archiver_factory: Archivers,
) -> None:
    channels.create("other")
    archiver = archiver_factory()
    first = Message.new("general", "ana", "the first")
    _send_all(producer, first)
    wait_until(lambda: store.get("general", first.id))
    _send_all(
        producer,
        first,  # the same again: no news
        Message.new("general", "eve", "not the first", id=first.id),
        Message.new("other", "ana", "the first", id=first.id),
    )
    wait_until(lambda: archiver.status.dead_letters == 2)
    assert archiver.status.duplicates == 1
    assert store.counts() == {"general": 1}
    assert {letter["topic"] for letter in store.dead_letters()} == {
        settings.topic_of("general"),
        settings.topic_of("other"),
    }


def test_attachments_are_kept_by_their_hash_until_the_last_message_goes(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver_factory()
    attachment = Attachment(name="a.png", type="image/png", data=os.urandom(1_000_000))
    one = Message.new("general", "ana", "look", attachment=attachment)
    two = Message.new("general", "ana", "", attachment=attachment)
    _send_all(producer, one, two)
    _wait(settings, "general")
    document = store.get("general", one.id)
    assert document is not None
    summary = document["attachment"]
    assert (summary["name"], summary["size"]) == ("a.png", 1_000_000)
    held = store.database["attachments"]
    found = held.find_one({"_id": summary["sha256"]})
    assert found is not None
    assert found["data"] == attachment.data
    _send_all(producer, Delete.new("general", "ana", one.id))
    wait_until(lambda: "deleted_at" in (store.get("general", one.id) or {}))
    assert held.count_documents({}) == 1
    _send_all(producer, Delete.new("general", "ana", two.id))
    wait_until(lambda: held.count_documents({}) == 0)
    store.database["positions"].drop()  # all comes again, and the bytes must not come back
    archiver_factory()
    _wait(settings, "general")
    assert held.count_documents({}) == 0


def test_kill_9_in_the_middle_and_another_member_takes_over(
    settings: Settings, channels: Channels, store: MessageStore, archiver_factory: Archivers
) -> None:
    channels.create("busy", partitions=2)
    total = 20_000
    with ChatProducer(settings, bulk=True) as producer:
        receipts = [
            producer.send(Message.new("busy", f"author{n % 50}", f"message {n}"))
            for n in range(total)
        ]
        for receipt in receipts:
            receipt.result(60)
    code = "import sys\nfrom chatkit.archiver import Archiver\nArchiver().start(); sys.stdin.read()"
    victim = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **_environment(settings)},
        stdin=subprocess.PIPE,
    )
    try:
        wait_until(lambda: store.messages.estimated_document_count() > 2000, 30)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
        assert victim.stdin is not None
        victim.stdin.close()
    archived = store.messages.estimated_document_count()
    assert archived < total
    archiver_factory()
    _wait(settings, "busy", timeout=60)
    assert assert_archive_is_right(settings, "busy") == total


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "CHATKIT_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "CHATKIT_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "CHATKIT_DATABASE": settings.database,
        "CHATKIT_TOPIC_PREFIX": settings.topic_prefix,
        "CHATKIT_SYSTEM_PREFIX": settings.system_prefix,
    }


def test_late_and_doubled_edits_across_two_members_after_partitions_grew(
    settings: Settings, channels: Channels, archiver_factory: Archivers
) -> None:
    """Most keys move when partitions are added: events overtake what they are about."""
    chance = random.Random(7)
    channels.create("growing", partitions=2)
    archiver_factory()
    archiver_factory()
    authors = [f"author{n}" for n in range(20)]
    messages = [Message.new("growing", chance.choice(authors), f"text {n}") for n in range(400)]
    events = []
    for message in messages:
        for n in range(chance.randrange(4)):
            actor = chance.choice([message.author, message.author, "ana", "eve"])
            kind = chance.choice(["edit", "edit", "edit", "delete", "react"])
            if kind == "edit":
                events.append((message, Edit.new("growing", actor, message.id, body=f"edit {n}")))
            elif kind == "delete":
                events.append((message, Delete.new("growing", actor, message.id)))
            else:
                events.append((message, React.new("growing", actor, message.id, emoji="👍")))
    early = chance.sample(events, len(events) // 3)
    with ChatProducer(settings) as producer:
        receipts = [producer.send(event, author=message.author) for message, event in early]
        receipts += [producer.send(message) for message in messages[:200]]
        for receipt in receipts:
            receipt.result(30)
        admin = KafkaAdminClient(**settings.kafka_config())
        admin.create_partitions({settings.topic_of("growing"): 5})
        admin.close()
        wait_until(lambda: len(channels.describe("growing").partitions) == 5)
    late = [*events, *chance.sample(events, len(events) // 3)]  # some twice, the early again
    chance.shuffle(late)
    with ChatProducer(settings) as producer:  # a new one knows of all five
        receipts = [producer.send(message) for message in messages[200:]]
        receipts += [producer.send(event, author=message.author) for message, event in late]
        for receipt in receipts:
            receipt.result(30)
    _wait(settings, "growing", timeout=60)
    used = {record.partition for record in read_everything(settings, "growing")}
    assert len(used) > 2
    assert assert_archive_is_right(settings, "growing") == 400


def test_importing_again_after_an_edit_changes_nothing(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver_factory()
    imported = [
        Message.new("general", "ana", f"old {n}", source="slack", sent_ms=1_400_000_000_000 + n)
        for n in range(100)
    ]
    _send_all(producer, *imported)
    _send_all(
        producer,
        Edit.new("general", "ana", imported[3].id, body="new"),
        Delete.new("general", "ana", imported[4].id),
    )
    _wait(settings, "general")
    before = list(store.messages.find().sort("_id"))
    _send_all(producer, *imported)
    _wait(settings, "general")
    assert list(store.messages.find().sort("_id")) == before
    assert store.dead_letters() == []
    assert_archive_is_right(settings, "general")


def test_a_dropped_database_is_archived_anew(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    first = archiver_factory()
    message = Message.new("general", "ana", "one")
    _send_all(producer, message, Edit.new("general", "ana", message.id, body="two"))
    _send_all(producer, *(Message.new("general", "ana", f"more {n}") for n in range(50)))
    _wait(settings, "general")
    first.stop()
    store.database.client.drop_database(settings.database)
    archiver_factory()
    _wait(settings, "general")
    assert assert_archive_is_right(settings, "general") == 51
    assert store.channel_records()["general"].creator == "ana"


def test_two_databases_on_one_kafka_each_get_everything(
    settings: Settings, producer: ChatProducer, archiver_factory: Archivers
) -> None:
    other = settings.replace(database=settings.database + "b")
    archiver_factory()
    archiver_factory(other)
    _send_all(producer, *(Message.new("general", "ana", f"text {n}") for n in range(200)))
    try:
        for one in (settings, other):
            _wait(one, "general")
            assert assert_archive_is_right(one, "general") == 200
    finally:
        with MessageStore(other) as theirs:
            theirs.database.client.drop_database(other.database)


@pytest.mark.parametrize("running", [True, False])
def test_a_topic_deleted_and_created_again_is_archived_from_its_start(
    running: bool,
    settings: Settings,
    channels: Channels,
    store: MessageStore,
    archiver_factory: Archivers,
) -> None:
    channels.create("again")
    archiver = archiver_factory()
    with ChatProducer(settings) as producer:
        _send_all(producer, *(Message.new("again", "ana", f"old {n}") for n in range(100)))
    _wait(settings, "again")
    if not running:
        archiver.stop()
    channels.delete("again")
    wait_until(lambda: "again" not in channels.find())
    channels.create("again")
    with ChatProducer(settings) as producer:
        _send_all(producer, *(Message.new("again", "ana", f"new {n}") for n in range(10)))
        if not running:
            archiver_factory()
        _wait(settings, "again")
        _send_all(producer, *(Message.new("again", "ana", f"newer {n}") for n in range(150)))
    _wait(settings, "again")
    assert store.counts()["again"] == 260


def test_records_deleted_before_they_were_archived_leave_a_dead_letter_that_says_so(
    settings: Settings,
    channels: Channels,
    producer: ChatProducer,
    store: MessageStore,
    archiver_factory: Archivers,
) -> None:
    archiver = archiver_factory()
    _send_all(producer, *(Message.new("general", "ana", f"text {n}") for n in range(10)))
    _wait(settings, "general")
    archiver.stop()
    _send_all(producer, *(Message.new("general", "ana", f"lost {n}") for n in range(10)))
    admin = KafkaAdminClient(**settings.kafka_config())
    admin.delete_records({TopicPartition(settings.topic_of("general"), 0): 15})
    admin.close()
    archiver_factory()
    _wait(settings, "general")
    assert store.counts() == {"general": 15}
    (letter,) = store.dead_letters()
    assert "10 to 14" in letter["reason"]


def test_a_full_replay_adds_nothing_and_says_so(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    first = archiver_factory()
    _send_all(producer, *(Message.new("general", "ana", f"text {n}") for n in range(500)))
    _wait(settings, "general")
    first.stop()
    before = list(store.messages.find().sort("_id"))
    store.database["positions"].drop()
    again = archiver_factory()
    _wait(settings, "general")
    wait_until(lambda: again.status.duplicates == 500)
    assert again.status.messages == 0
    assert list(store.messages.find().sort("_id")) == before


def test_committed_offsets_follow_what_is_written(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver = archiver_factory()
    _send_all(producer, *(Message.new("general", "ana", f"text {n}") for n in range(20)))
    _wait(settings, "general")
    archiver.stop()
    admin = KafkaAdminClient(**settings.kafka_config())
    group = archive_group(settings, store.archive_id() or "")
    offsets = admin.list_group_offsets({group: None})
    admin.close()
    committed = {part.topic: found.offset for part, found in offsets[group].items()}
    assert committed[settings.topic_of("general")] == 20


def test_a_member_that_the_group_has_expelled_archives_again(
    settings: Settings, producer: ChatProducer, store: MessageStore, archiver_factory: Archivers
) -> None:
    archiver_factory()
    _send_all(producer, Message.new("general", "ana", "before"))
    _wait(settings, "general")
    group = archive_group(settings, store.archive_id() or "")
    admin = KafkaAdminClient(**settings.kafka_config())
    (member,) = admin.describe_groups([group])[group]["members"]
    admin.remove_group_members(group, [MemberToRemove(member_id=member["member_id"])])
    admin.close()
    _send_all(producer, Message.new("general", "ana", "after"))
    _wait(settings, "general")
    assert assert_archive_is_right(settings, "general") == 2


def test_without_kafka_or_mongodb_it_says_so_and_ends(settings: Settings) -> None:
    nowhere = "127.0.0.1:1"
    quick = {"kafka_timeout": 2.0, "mongo_timeout": 2.0}
    started = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="chatkit up"):
        Archiver(settings.replace(bootstrap_servers=nowhere, **quick)).start()
    with pytest.raises(StoreUnavailableError, match="chatkit up"):
        Archiver(settings.replace(mongo_uri=f"mongodb://{nowhere}", **quick)).start()
    assert time.monotonic() - started < 30


def test_wrong_mongodb_credentials_name_the_setting(settings: Settings) -> None:
    uri = settings.mongo_uri.get_secret_value().replace("mongodb://", "mongodb://eve:wrong@")
    with pytest.raises(StoreUnavailableError, match="CHATKIT_MONGO_URI") as caught:
        Archiver(settings.replace(mongo_uri=uri)).start()
    assert "wrong" not in str(caught.value)


def test_a_stopped_archiver_can_not_be_started_again(
    settings: Settings, archiver_factory: Archivers
) -> None:
    archiver = archiver_factory()
    assert archiver.stop()
    assert archiver.stop()
    with pytest.raises(RuntimeError):
        archiver.start()
