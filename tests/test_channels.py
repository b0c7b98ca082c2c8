"""Channels on a real broker, and with none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from chatkit.channels import Channels
from chatkit.connection import make_client
from chatkit.errors import (
    BrokerUnavailableError,
    ChannelExistsError,
    ChannelNameError,
    ChannelNotFoundError,
    InputError,
)
from chatkit.message import ChannelRecord, Message
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.waiting import wait_until


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of something that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield "{}:{}".format(*server.getsockname())


def topic_settings(settings: Settings, topic: str) -> dict[str, str]:
    admin = make_client(KafkaAdminClient, settings)
    try:
        (found,) = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])[
            "topic"
        ].values()
    finally:
        admin.close()
    return {name: entry["value"] for name, entry in found.items()}


def test_a_created_channel_is_found_and_described(channels: Channels, settings: Settings) -> None:
    made = channels.create("busy-1", partitions=3, description="for many")

    assert made.channel == "busy-1"
    assert made.topic == settings.topic_of("busy-1")
    assert made.partitions == (0, 1, 2)
    assert made.replicas == 1
    assert channels.describe("busy-1") == made
    assert list(channels.find()) == ["busy-1", "general"]
    assert channels.find()["busy-1"] == made


def test_a_channel_has_one_partition_unless_told_otherwise(channels: Channels) -> None:
    assert channels.describe("general").partitions == (0,)
    with pytest.raises(InputError, match="at least 1 partition"):
        channels.create("none", partitions=0)
    assert "none" not in channels.find()


def test_topics_of_other_systems_are_no_channels(channels: Channels, settings: Settings) -> None:
    admin = make_client(KafkaAdminClient, settings)
    admin.create_topics([f"{settings.topic_prefix}Not-A-Channel", "orders"])
    admin.close()

    wait_until(lambda: "orders" in [one["name"] for one in channels._usable_topics()])
    assert list(channels.find()) == ["general"]
    assert set(channels.topic_ids()) == {settings.topic_of("general"), settings.channels_topic}


def test_the_topic_of_a_channel_keeps_everything_under_the_brokers_time(
    channels: Channels, settings: Settings
) -> None:
    found = topic_settings(settings, settings.topic_of("general"))

    assert found["min.insync.replicas"] == "1"  # one broker; 2 where there are three
    assert found["message.timestamp.type"] == "LogAppendTime"
    assert found["retention.ms"] == "-1"
    assert found["max.message.bytes"] == str(6 * 1024 * 1024)
    assert found["cleanup.policy"] == "delete"  # of old segments, by retention: never


def test_the_topic_of_channel_records_is_compacted(channels: Channels, settings: Settings) -> None:
    found = topic_settings(settings, settings.channels_topic)

    assert found["cleanup.policy"] == "compact"
    assert found["message.timestamp.type"] == "LogAppendTime"
    channels.ensure_records_topic()  # there already: nothing happens


def test_who_creates_a_channel_moderates_it(
    channels: Channels, store: MessageStore, archiver_factory: Callable[..., object]
) -> None:
    channels.create("books", description="to read", display_name="Books", creator="bob")
    archiver_factory()

    record = wait_until(lambda: store.channel_records().get("books"))
    assert record.creator == "bob"
    assert record.moderators == ("bob",)
    assert record.description == "to read"
    assert record.display_name == "Books"

    channels.publish(ChannelRecord(channel="books", moderators=("bob", "cleo"), creator="bob"))
    wait_until(lambda: store.moderators("books") == ("bob", "cleo"))

    channels.delete("books")
    wait_until(lambda: "books" not in store.channel_records())


def test_creating_a_channel_twice_is_refused_unless_that_is_fine(channels: Channels) -> None:
    with pytest.raises(ChannelExistsError, match="'general' exists"):
        channels.create("general", partitions=5)
    assert channels.create("general", partitions=5, exist_ok=True).partitions == (0,)


@pytest.mark.parametrize("name", ["", "General", "a b", "-a", "a.b", "ä", "a" * 81, "a\n", "../a"])
def test_bad_names_are_refused_before_kafka_sees_them(settings: Settings, name: str) -> None:
    with Channels(settings.replace(bootstrap_servers="127.0.0.1:1")) as nowhere:
        for ask in (nowhere.create, nowhere.describe, nowhere.delete):
            with pytest.raises(ChannelNameError):
                ask(name)


def test_what_is_not_there_is_not_found(channels: Channels) -> None:
    with pytest.raises(ChannelNotFoundError, match=r"no channel 'nobody'.*chatkit channels create"):
        channels.describe("nobody")
    with pytest.raises(ChannelNotFoundError):
        channels.delete("nobody")


def test_offsets_are_what_the_partitions_hold(
    channels: Channels, settings: Settings, producer: ChatProducer
) -> None:
    info = channels.create("wide", partitions=2)
    for n in range(5):
        producer.send(Message.new("wide", f"author {n}", "hi")).result(10)

    offsets = channels.offsets(info)
    assert set(offsets) == {0, 1}
    assert all(one.start == 0 for one in offsets.values())
    assert sum(one.end for one in offsets.values()) == 5


def test_a_channel_created_again_has_another_id_and_no_records(
    channels: Channels, producer: ChatProducer
) -> None:
    first = channels.describe("general")
    producer.send(Message.new("general", "ana", "before")).result(10)

    channels.delete("general")
    wait_until(lambda: "general" not in channels.find())
    with pytest.raises(ChannelNotFoundError):
        channels.describe("general")
    second = channels.create("general")

    assert second.topic == first.topic
    assert second.topic_id != first.topic_id
    assert channels.offsets(second)[0].end == 0


def test_one_object_may_be_asked_by_many_threads(channels: Channels) -> None:
    found: list[object] = []

    def ask() -> None:
        found.extend(channels.describe("general") for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [channels.describe("general")] * 40


def test_a_closed_connection_is_opened_again_by_the_next_call(channels: Channels) -> None:
    channels.close()
    channels.close()
    assert list(channels.find()) == ["general"]


def test_no_broker_is_told_soon_and_leaves_no_thread(settings: Settings, silent: str) -> None:
    before = threading.active_count()
    for address in ("127.0.0.1:1", silent):
        away = settings.replace(bootstrap_servers=address, kafka_timeout=0.5)
        with Channels(away) as nowhere:
            asked = (
                nowhere.find,
                nowhere.topic_ids,
                lambda: nowhere.describe("general"),
                lambda: nowhere.create("general"),
                lambda: nowhere.delete("general"),
            )
            for ask in asked:
                started = time.monotonic()
                with pytest.raises(BrokerUnavailableError, match=f"{address}.*chatkit up"):
                    ask()
                assert time.monotonic() - started < 4
    wait_until(lambda: threading.active_count() <= before)


@pytest.mark.parametrize(
    "secured",
    [
        {"security_protocol": "SSL"},
        {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_username": "ana",
            "sasl_password": "wrong",
        },
        {
            "security_protocol": "SASL_SSL",
            "sasl_username": "ana",
            "sasl_password": "wrong",
            "sasl_mechanism": "PLAIN",
        },
    ],
    ids=lambda secured: secured["security_protocol"],
)
def test_a_secured_client_at_a_plain_broker_is_told_so_in_time(
    settings: Settings, secured: dict[str, str]
) -> None:
    # In a process of its own: kafka-python leaves the sockets of failed handshakes open, which
    # would be a warning, and so a failure, in whatever test comes later.
    program = (
        "from chatkit.channels import Channels\n"
        "from chatkit.errors import BrokerUnavailableError\n"
        "try:\n"
        "    Channels().find()\n"
        "except BrokerUnavailableError as error:\n"
        "    print(error)\n"
    )
    given = {
        **secured,
        "bootstrap_servers": settings.bootstrap_servers,
        "kafka_timeout": "2",
    }
    environment = {f"CHATKIT_{name.upper()}": value for name, value in given.items()}
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=15,
        check=True,
    ).stdout
    assert settings.bootstrap_servers in told
    assert secured["security_protocol"] in told
    assert "CHATKIT_S" in told
    assert "wrong" not in told
