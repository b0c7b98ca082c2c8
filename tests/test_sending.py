"""Imported items into Kafka: each counted, none lost in silence, what is archived left out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.consumer import read_range
from chatkit.errors import ServiceError
from chatkit.importers import ImportedChannel
from chatkit.message import Attachment, Event, Join, Message, React, Received
from chatkit.producer import ChatProducer
from chatkit.sending import Sending, create_channels
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.commands import environment
from tests.verification import is_archived
from tests.waiting import wait_until

Archivers = Callable[..., Archiver]


@pytest.fixture
def bulk(settings: Settings, channels: Channels) -> Iterator[ChatProducer]:
    """A producer as imports have it."""
    with ChatProducer(settings, bulk=True) as producer:
        yield producer


def message(n: int, channel: str = "general", body: str = "", author: str = "") -> Message:
    return Message(
        id=f"id {n}",
        channel=channel,
        author=author or f"author {n % 7}",
        body=body or f"old text {n}",
        sent_ms=n * 1000,
        source="irc",
    )


def read(settings: Settings, channels: Channels, channel: str = "general") -> list[Received]:
    """Return all that is in a channel's topic, by partition and offset."""
    found: list[Received] = []
    for partition, log in channels.offsets(channels.describe(channel)).items():
        for item in read_range(settings, channel, partition, log.start, log.end):
            assert isinstance(item, Received)
            found.append(item)
    return found


def counts(sending: Sending) -> tuple[int, int, int, int]:
    """Return found, sent, already and failed, which must add up in every channel."""
    assert sending.found == sending.sent + sending.already + sending.failed
    return (
        sending.found.total(),
        sending.sent.total(),
        sending.already.total(),
        sending.failed.total(),
    )


def test_everything_arrives_once_and_in_order(
    settings: Settings, channels: Channels, bulk: ChatProducer
) -> None:
    items = [message(n) for n in range(5_500)]
    told: list[int] = []
    sending = Sending(bulk, progress=told.append)
    sending.send(iter(items))

    assert counts(sending) == (5_500, 5_500, 0, 0)
    assert sending.found == Counter(general=5_500)
    assert sum(told) == 5_500
    assert [one.item for one in read(settings, channels)] == items


def test_nothing_to_send_is_nothing_sent(bulk: ChatProducer) -> None:
    sending = Sending(bulk)
    sending.send([])
    assert counts(sending) == (0, 0, 0, 0)


def test_several_channels_are_counted_apart(bulk: ChatProducer, channels: Channels) -> None:
    channels.create("random", partitions=3)
    sending = Sending(bulk)
    sending.send(message(n, "random" if n % 3 else "general") for n in range(3_000))
    assert sending.sent == Counter(random=2_000, general=1_000)
    assert counts(sending) == (3_000, 3_000, 0, 0)


def test_an_event_is_in_the_partition_of_its_message_also_far_from_it(
    settings: Settings, channels: Channels, bulk: ChatProducer
) -> None:
    channels.create("wide", partitions=8)
    said = [message(n, "wide", author=f"author {n}") for n in range(900)]
    events: list[Message | Event] = [
        React(id=f"e{one.id}", channel="wide", actor="ben", target=one.id, emoji="+1", at_ms=1)
        for one in said
    ]
    events.append(Join(id="j", channel="wide", actor="ben", at_ms=2))
    sending = Sending(bulk)
    sending.send([*said, *events])  # a part of the events is sent apart from their messages

    assert counts(sending) == (1_801, 1_801, 0, 0)
    found = read(settings, channels, "wide")
    partitions = {one.item.id: one.partition for one in found}
    assert len(set(partitions.values())) > 1
    for one in said:
        assert partitions[f"e{one.id}"] == partitions[one.id]


def test_what_is_archived_is_not_sent_again(
    settings: Settings,
    channels: Channels,
    bulk: ChatProducer,
    store: MessageStore,
    archiver_factory: Archivers,
) -> None:
    archiver_factory()
    first: list[Message | Event] = [message(n) for n in range(1_500)]
    first.append(Join(id="came", channel="general", actor="ben", at_ms=3))
    Sending(bulk).send(first)
    wait_until(lambda: is_archived(settings, "general"), 30)

    told: list[int] = []
    sending = Sending(bulk, store, progress=told.append)
    sending.send([*first, message(5_000)])
    assert counts(sending) == (1_502, 1, 1_501, 0)
    assert sum(told) == 1_502
    assert sending.unchecked == ""
    assert len(read(settings, channels)) == 1_502


def test_without_mongodb_everything_is_sent_and_that_is_said(
    settings: Settings, bulk: ChatProducer
) -> None:
    away = settings.replace(mongo_uri="mongodb://127.0.0.1:1", mongo_timeout=1.0)
    with MessageStore(away) as store:
        sending = Sending(bulk, store)
        sending.send(message(n) for n in range(2_500))
    assert counts(sending) == (2_500, 2_500, 0, 0)
    assert "127.0.0.1:1" in sending.unchecked


def test_what_breaks_a_rule_is_counted_and_named_and_the_rest_arrives(
    settings: Settings, channels: Channels, bulk: ChatProducer
) -> None:
    items = [message(n) for n in range(2_000)]
    items[700] = message(700, body="much " * 4_000)
    items[1_700] = message(1_700, channel="No Channel")
    sending = Sending(bulk)
    sending.send(items)

    assert counts(sending) == (2_000, 1_998, 0, 2)
    assert sending.failed == Counter({"general": 1, "No Channel": 1})
    assert [problem for problem in sending.problems if "the limit is" in problem]
    assert [problem for problem in sending.problems if "can't be a channel" in problem]
    arrived = [one.item.id for one in read(settings, channels)]
    assert arrived == [one.id for n, one in enumerate(items) if n not in {700, 1_700}]


def test_a_channel_that_does_not_exist_fails_and_the_others_arrive(bulk: ChatProducer) -> None:
    sending = Sending(bulk)
    sending.send([message(1), message(2, "nowhere"), message(3)])
    assert counts(sending) == (3, 2, 0, 1)
    (problem,) = sending.problems
    assert problem.startswith("nowhere, 'old text 2': ")
    assert "create the channel first" in problem


def test_without_kafka_the_rest_is_not_tried_and_all_is_counted(settings: Settings) -> None:
    away = settings.replace(bootstrap_servers="127.0.0.1:1", delivery_timeout=2.0)
    with ChatProducer(away, bulk=True) as producer:
        sending = Sending(producer)
        started = time.monotonic()
        sending.send(message(n) for n in range(30_000))
    assert time.monotonic() - started < 20
    assert counts(sending) == (30_000, 0, 0, 30_000)
    assert len(sending.problems) == 20  # not all of them
    assert "127.0.0.1:1" in sending.problems[0]


def test_after_an_interruption_everything_that_was_read_is_accounted_for(
    settings: Settings, channels: Channels, bulk: ChatProducer
) -> None:
    def interrupted() -> Iterator[Message]:
        for n in range(3_700):
            yield message(n)
        raise KeyboardInterrupt

    sending = Sending(bulk)
    turns = sys.getswitchinterval()
    with pytest.raises(KeyboardInterrupt):
        sending.send(interrupted())
    sending.settle(20)
    assert sys.getswitchinterval() == turns

    _, sent, _, failed = counts(sending)
    assert failed == 0
    assert [one.item for one in read(settings, channels)] == [message(n) for n in range(sent)]
    assert sent >= 3_000


def test_what_is_not_acknowledged_when_stopped_is_counted_as_failed(settings: Settings) -> None:
    away = settings.replace(bootstrap_servers="127.0.0.1:1")

    def interrupted() -> Iterator[Message]:
        for n in range(2_000):
            yield message(n)
        raise KeyboardInterrupt

    producer = ChatProducer(away, bulk=True)
    sending = Sending(producer)
    with pytest.raises(KeyboardInterrupt):
        sending.send(interrupted())
    started = time.monotonic()
    sending.settle(0.5)
    assert time.monotonic() - started < 1.5
    assert counts(sending) == (2_000, 0, 0, 2_000)
    assert "when the import was stopped" in sending.problems[0]
    producer.close(timeout=0)


def test_only_a_few_megabytes_are_on_their_way_however_large_the_items(
    bulk: ChatProducer,
) -> None:
    made: list[int] = []

    def items() -> Iterator[Message]:
        for n in range(40):
            made.append(n)
            file = Attachment(name="a.bin", type="x/y", data=bytes(512 * 1024))
            one = message(n)
            yield Message(
                id=one.id,
                channel="general",
                author="ana",
                body="",
                sent_ms=one.sent_ms,
                source="irc",
                attachment=file,
            )

    ahead: list[int] = []
    settled = 0

    def progress(done: int) -> None:
        nonlocal settled
        ahead.append(len(made) - settled)
        settled += done

    sending = Sending(bulk, progress=progress)
    sending.send(items())
    assert counts(sending) == (40, 40, 0, 0)
    assert max(ahead) <= 20


def test_waiting_ends_when_all_is_archived_and_names_what_was_put_aside(
    channels: Channels,
    bulk: ChatProducer,
    store: MessageStore,
    archiver_factory: Archivers,
) -> None:
    archiver_factory()
    sending = Sending(bulk, store)
    sending.send([message(1), message(2), message(1, body="another text under the same id")])
    missing: list[int] = []
    sending.wait_archived(channels, progress=missing.append)

    assert missing[-1] == 0
    assert store.messages.count_documents({}) == 2
    assert sending.put_aside == 1
    assert [problem for problem in sending.problems if "offset 2" in problem]


def test_what_others_wrote_in_between_is_not_taken_for_ours(
    channels: Channels,
    bulk: ChatProducer,
    store: MessageStore,
    archiver_factory: Archivers,
) -> None:
    archiver_factory()
    sending = Sending(bulk, store)
    sending.send([message(1)])
    bulk.send(message(1, body="another's text under the same id")).result(20)
    sending.send([message(2)])
    sending.wait_archived(channels)
    assert sending.put_aside == 0
    assert sending.problems == []


def test_waiting_without_an_archiver_ends_with_what_to_start(
    channels: Channels, bulk: ChatProducer, store: MessageStore
) -> None:
    sending = Sending(bulk, store)
    sending.send(message(n) for n in range(10))
    with pytest.raises(ServiceError, match=r"lacks 10 records.*'chatkit archive'"):
        sending.wait_archived(channels, patience=0.5)


def test_waiting_needs_a_store(bulk: ChatProducer, channels: Channels) -> None:
    with pytest.raises(RuntimeError, match="MessageStore"):
        Sending(bulk).wait_archived(channels)


def test_channels_that_are_there_stay_as_they_are(
    channels: Channels, store: MessageStore, archiver_factory: Archivers
) -> None:
    channels.create("books", description="to read")
    wanted = [
        ImportedChannel(name="books", source_name="books", description="others"),
        ImportedChannel(name="films", source_name="Films", description="to see", creator="ben"),
    ]
    assert create_channels(channels, wanted) == ["films"]
    assert create_channels(channels, wanted) == []

    archiver_factory()
    wait_until(lambda: store.database["channels"].count_documents({}) == 3, 30)
    records = {one["_id"]: one for one in store.database["channels"].find()}
    assert records["books"]["description"] == "to read"
    assert records["films"]["description"] == "to see"
    assert records["films"]["creator"] == "ben"


SEND_MANY = """
import json, sys
import psutil
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.sending import Sending
from chatkit.settings import Settings
from chatkit.store import MessageStore

process, sizes = psutil.Process(), []

def items():
    for n in range(int(sys.argv[1])):
        if n % 10_000 == 0:
            sizes.append(process.memory_info().rss)
        yield Message(
            id=f"id {n}", channel="general", author=f"author {n % 5000}", sent_ms=n,
            body=f"text {n} " + "of some length " * (n % 10), source="irc",
        )

settings = Settings()
with MessageStore(settings) as store, ChatProducer(settings, bulk=True) as producer:
    sending = Sending(producer, store)
    sending.send(items())
print(json.dumps({"sent": sending.sent.total(), "sizes": sizes}))
"""


def test_the_process_does_not_grow_with_what_is_sent(
    settings: Settings, channels: Channels, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEND_MANY, "300000"],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        cwd=tmp_path,
    )
    told = json.loads(done.stdout)
    assert told["sent"] == 300_000
    sizes = [size / 1024 / 1024 for size in told["sizes"]]
    assert max(sizes[5:]) - max(sizes[:5]) < 8, sizes
