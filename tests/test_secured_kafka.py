"""chatkit on a Kafka with passwords, certificates and rights, and what it says where they lack."""

from __future__ import annotations

import itertools
import json
import logging
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

import chatkit.channels
from chatkit.archiver import Archiver, archive_group
from chatkit.channels import Channels
from chatkit.consumer import ConsumerThread, read_range
from chatkit.doctor import examine
from chatkit.errors import (
    BrokerRefusedError,
    BrokerUnavailableError,
    ChannelExistsError,
    SendError,
    SettingsError,
)
from chatkit.history import load
from chatkit.message import ChannelRecord, Message, Received
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.commands import chatkit as run
from tests.commands import running
from tests.old_kafka import old_kafka
from tests.rooms import texts
from tests.secured import NOBODY, PASSWORD, SecuredKafka, doctor_on, environment
from tests.waiting import wait_until

WRONG = "not-the-password"
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """One broker with a listener for each way to get in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHATKIT_DATA_DIR", str(tmp_path_factory.mktemp("none")))
        kafka = SecuredKafka(tmp_path_factory.mktemp("secured"))
        try:
            yield kafka
        finally:
            kafka.stop()


@pytest.fixture
def names() -> dict[str, str]:
    """Return settings by which a test has topics, groups and a database of its own."""
    own = f"s{next(numbers)}."
    return {
        "topic_prefix": f"{own}chat.",
        "system_prefix": f"{own}chatkit.",
        "group_prefix": own,
        "database": own.rstrip("."),
    }


def of_prefix(names: dict[str, str]) -> str:
    return names["group_prefix"]


# Every way in.


@pytest.mark.parametrize(
    ("listener", "more"),
    [
        ("SCRAM", {"sasl_mechanism": "SCRAM-SHA-256"}),
        ("SCRAM", {"sasl_mechanism": "SCRAM-SHA-512"}),
        ("SCRAM", {"sasl_mechanism": "PLAIN"}),
        ("TLS", {}),
        ("SECURE", {"bootstrap_servers": "localhost:{port}"}),
        ("ELSEWHERE", {"ssl_check_hostname": False}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_message_goes_round(
    kafka: SecuredKafka, names: dict[str, str], listener: str, more: dict[str, Any]
) -> None:
    if "bootstrap_servers" in more:
        more = {"bootstrap_servers": more["bootstrap_servers"].format(port=kafka.ports[listener])}
    settings = kafka.settings(listener, **names, **more)
    with Channels(settings) as channels, ChatProducer(settings) as producer:
        channels.create("general")
        message = Message.new("general", "ana", "hi")
        producer.send(message).result(20)
        (read,) = read_range(settings, "general", 0, 0, 1)
    assert isinstance(read, Received)
    assert read.item == message


# The whole way, as a user who has no right too many: README shows the same table.

RIGHTS = {
    "chat": [("topic", "{}chat.", "Read"), ("topic", "{}chat.", "Write")],
    "make and delete channels": [
        ("topic", "{}chat.", "Create"),
        ("topic", "{}chat.", "Delete"),
        ("topic", "{}chatkit.", "Create"),
        ("topic", "{}chatkit.", "Write"),
    ],
    "archive": [
        ("topic", "{}chat.", "Read"),
        ("topic", "{}chatkit.", "Read"),
        ("group", "{}", "Read"),
    ],
}


def rights_to(prefix: str, *what: str) -> list[tuple[str, str, str]]:
    return [(kind, name.format(prefix), op) for do in what for kind, name, op in RIGHTS[do]]


@pytest.mark.parametrize("listener", ["SECURE", "MUTUAL"])
def test_the_whole_way_with_no_right_too_many(
    kafka: SecuredKafka, names: dict[str, str], listener: str
) -> None:
    if listener == "SECURE":
        kafka.add_user("least", rights_to(of_prefix(names), *RIGHTS))
        settings = kafka.settings("SECURE", **names, sasl_username="least", user="ana")
    else:
        kafka.allow("ana", rights_to(of_prefix(names), *RIGHTS))  # whom the certificate names
        settings = kafka.settings("MUTUAL", **names, user="ana")

    with (
        Archiver(settings) as archiver,
        ChatRoom(settings) as ana,
        ChatRoom(settings, user="ben") as ben,
        MessageStore(settings) as store,
    ):
        ana.create_channel("general", "for all").result(20)
        for room in (ana, ben):
            room.join("general").result(20)
        message = ana.send("general", "Helo")
        wait_until(lambda: texts(ben) == ["Helo"], 20)
        ana.edit("general", message.id, "Hello").result(20)
        wait_until(lambda: texts(ben) == ["Hello"], 20)
        wait_until(lambda: list(load(store, channel="general")["body"]) == ["Hello"], 20)
        wait_until(lambda: store.moderators("general") == ("ana",), 20)
        assert archiver.status.problem == ana.status.kafka == ""

    env = environment(settings)
    assert [one["name"] for one in json.loads(run("channels", "--json", env=env).stdout)] == [
        "general"
    ]
    result = json.loads(run("doctor", "--json", env=env).stdout)
    assert [check["name"] for check in result["checks"] if not check["ok"]] == []
    if listener == "MUTUAL":
        return
    assert "Channel books is ready" in run("channels", "create", "books", env=env).stdout
    with running("archive", env=env) as command:
        command.line_with("partition")
        assert command.end(signal.SIGINT) == 0
    described = json.loads(run("channels", "describe", "general", "--json", env=env).stdout)
    assert described["archived"] == 1
    for name in ("books", "general"):
        run("channels", "delete", name, "--yes", "--archive", env=env)
    assert json.loads(run("channels", "--json", env=env).stdout) == []


# Why it does not work, in the words of Python's error and of doctor.

Changes = Callable[[SecuredKafka], dict[str, Any]]
REFUSED: dict[str, tuple[str, Changes, list[str]]] = {
    "wrong password": (
        "SCRAM",
        lambda kafka: {"sasl_password": WRONG},
        ["refused user 'root'", "CHATKIT_SASL_PASSWORD", "CHATKIT_SASL_USERNAME"],
    ),
    "wrong password in plain": (
        "SCRAM",
        lambda kafka: {"sasl_password": WRONG, "sasl_mechanism": "PLAIN"},
        ["refused user 'root'", "CHATKIT_SASL_PASSWORD", "CHATKIT_SASL_MECHANISM=PLAIN"],
    ),
    "unknown user": (
        "SECURE",
        lambda kafka: {"sasl_username": "stranger"},
        ["refused user 'stranger'", "CHATKIT_SASL_USERNAME"],
    ),
    "a mechanism that is not offered": (
        "SECURE",
        lambda kafka: {"sasl_mechanism": "PLAIN"},
        ["offers no PLAIN, but SCRAM-SHA-512", "CHATKIT_SASL_MECHANISM to SCRAM-SHA-512"],
    ),
    "only mechanisms that we lack": (
        "TOKENS",
        lambda kafka: {},
        ["offers no SCRAM-SHA-512, but OAUTHBEARER", "CHATKIT_SASL_MECHANISM"],
    ),
    "no password where one is wanted": (
        "SCRAM",
        lambda kafka: {"security_protocol": "PLAINTEXT"},
        ["wants a user and a password", "CHATKIT_SECURITY_PROTOCOL to SASL_PLAINTEXT"],
    ),
    "no password over TLS": (
        "SECURE",
        lambda kafka: {"security_protocol": "SSL"},
        ["wants a user and a password", "CHATKIT_SECURITY_PROTOCOL to SASL_SSL"],
    ),
    "a password where none is wanted": (
        "PLAINTEXT",
        lambda kafka: {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_username": "root",
            "sasl_password": PASSWORD,
        },
        ["asks nobody for a password", "CHATKIT_SECURITY_PROTOCOL to PLAINTEXT"],
    ),
    "plain text where TLS is spoken": (
        "TLS",
        lambda kafka: {"security_protocol": "PLAINTEXT"},
        ["speaks TLS", "CHATKIT_SECURITY_PROTOCOL to SSL"],
    ),
    "a plain password where TLS is spoken": (
        "SECURE",
        lambda kafka: {"security_protocol": "SASL_PLAINTEXT"},
        ["speaks TLS", "CHATKIT_SECURITY_PROTOCOL to SASL_SSL"],
    ),
    "TLS where none is spoken": (
        "PLAINTEXT",
        lambda kafka: {
            "security_protocol": "SSL",
            "ssl_cafile": kafka.certificates.authority,
        },
        ["does not speak TLS", "CHATKIT_SECURITY_PROTOCOL to PLAINTEXT"],
    ),
    "another authority": (
        "TLS",
        lambda kafka: {"ssl_cafile": kafka.certificates.stranger},
        ["authority that is not trusted", "CHATKIT_SSL_CAFILE", "stranger.pem"],
    ),
    "the system's authorities": (
        "SECURE",
        lambda kafka: {"ssl_cafile": None},
        ["authority that is not trusted", "CHATKIT_SSL_CAFILE", "not set"],
    ),
    "an expired certificate": (
        "EXPIRED",
        lambda kafka: {},
        ["has expired", "whoever runs it must renew"],
    ),
    "a certificate for another host": (
        "ELSEWHERE",
        lambda kafka: {},
        ["is not for 127.0.0.1", "CHATKIT_BOOTSTRAP_SERVERS", "CHATKIT_SSL_CHECK_HOSTNAME"],
    ),
    "no certificate of ours": (
        "MUTUAL",
        lambda kafka: {"ssl_certfile": None, "ssl_keyfile": None},
        ["demands a certificate from us", "CHATKIT_SSL_CERTFILE", "CHATKIT_SSL_KEYFILE"],
    ),
    "a certificate of ours that nobody trusts": (
        "MUTUAL",
        lambda kafka: dict(
            zip(
                ("ssl_certfile", "ssl_keyfile"),
                kafka.certificates.issue("mallory", "m@example.org", trusted=False),
                strict=True,
            )
        ),
        ["does not accept our certificate", "CHATKIT_SSL_CERTFILE"],
    ),
}
AWAY: dict[str, tuple[str, Changes, list[str]]] = {
    "nothing listens": (
        "PLAINTEXT",
        lambda kafka: {"bootstrap_servers": NOBODY},
        [f"Nothing listens at {NOBODY}", "chatkit up", "CHATKIT_BOOTSTRAP_SERVERS"],
    ),
    "no such host": (
        "PLAINTEXT",
        lambda kafka: {"bootstrap_servers": "kafka.invalid:9092"},
        ["name kafka.invalid is not known", "CHATKIT_BOOTSTRAP_SERVERS"],
    ),
    "sent on to where nothing listens": (
        "LOST",
        lambda kafka: {},
        ["answered, but sends its clients on to", NOBODY, "advertised.listeners"],
    ),
    "sent on to a name that nobody knows": (
        "NAMELESS",
        lambda kafka: {},
        ["sends its clients on to broker.invalid:9092", "not known", "advertised.listeners"],
    ),
    "no Kafka": (
        "PLAINTEXT",
        lambda kafka: {"bootstrap_servers": kafka.stack.mongod.address},
        ["does not talk like Kafka", "CHATKIT_BOOTSTRAP_SERVERS"],
    ),
}


@pytest.mark.parametrize("case", [*REFUSED, *AWAY])
def test_what_is_wrong_is_told_with_the_setting_to_change(kafka: SecuredKafka, case: str) -> None:
    listener, changes, words = (REFUSED | AWAY)[case]
    settings = kafka.settings(listener, **changes(kafka), kafka_timeout=0.3)
    refused = case in REFUSED
    with Channels(settings) as channels, pytest.raises(BrokerUnavailableError) as caught:
        channels.find()
    assert isinstance(caught.value, BrokerRefusedError) == refused
    check = doctor_on("kafka", settings)
    assert not check.ok
    for text in (str(caught.value), check.detail):
        for word in words:
            assert word in text
        assert WRONG not in text
        assert PASSWORD not in text


def test_doctor_prints_it_and_fails(kafka: SecuredKafka) -> None:
    env = environment(kafka.settings("SCRAM", sasl_password=WRONG))
    for arguments in (["doctor"], ["doctor", "--json"]):
        done = run(*arguments, env=env, code=1)
        assert "refused user 'root'" in done.stdout
        assert "CHATKIT_SASL_PASSWORD" in done.stdout
        assert WRONG not in done.stdout + done.stderr
    (check,) = (one for one in json.loads(done.stdout)["checks"] if one["name"] == "kafka")
    assert check["ok"] is False
    done = run("channels", env=env, code=1)
    assert "CHATKIT_SASL_PASSWORD" in done.stderr
    assert WRONG not in done.stdout + done.stderr


def test_a_refusal_is_told_long_before_the_time_is_over(kafka: SecuredKafka) -> None:
    settings = kafka.settings("SECURE", sasl_password=WRONG, kafka_timeout=60)
    started = time.monotonic()
    with Channels(settings) as channels, pytest.raises(BrokerRefusedError):
        channels.find()
    assert time.monotonic() - started < 15  # 1.4 s where nothing else runs


@pytest.mark.parametrize(
    ("variable", "changes"),
    [
        ("CHATKIT_SSL_CAFILE", {"ssl_cafile": "missing.pem"}),
        ("CHATKIT_SSL_CAFILE", {"ssl_cafile": "garbage.pem"}),
        ("CHATKIT_SSL_CAFILE", {"ssl_cafile": "."}),
        ("CHATKIT_SSL_CERTFILE", {"ssl_certfile": "missing.pem"}),
        ("CHATKIT_SSL_CERTFILE", {"ssl_certfile": "garbage.pem"}),
        ("CHATKIT_SSL_KEYFILE", {"ssl_certfile": "ours.pem", "ssl_keyfile": "missing.pem"}),
        ("is not that of", {"ssl_certfile": "ours.pem", "ssl_keyfile": "other.key"}),
        ("passphrase", {"ssl_certfile": "ours.pem", "ssl_keyfile": "locked.key"}),
        ("key is missing", {"ssl_certfile": "ours.pem"}),
    ],
)
def test_a_file_that_can_not_be_used_is_told_with_its_setting(
    tmp_path: Path, variable: str, changes: dict[str, str]
) -> None:
    (tmp_path / "garbage.pem").write_text("no certificate")
    ours, other = (trustme.CA().issue_cert("ana@example.org") for _ in range(2))
    ours.cert_chain_pems[0].write_to_path(tmp_path / "ours.pem")
    other.private_key_pem.write_to_path(tmp_path / "other.key")
    key = load_pem_private_key(ours.private_key_pem.bytes(), None)
    (tmp_path / "locked.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    files = {name: tmp_path / value for name, value in changes.items()}
    settings = Settings(security_protocol="SSL", bootstrap_servers=NOBODY, **files)
    with Channels(settings) as channels, pytest.raises(SettingsError, match=variable):
        channels.find()
    assert variable in doctor_on("kafka", settings).detail


# Whoever works in the background says the same, and does not knock all the time.


def test_a_room_says_that_it_is_refused_and_does_not_knock_all_the_time(
    kafka: SecuredKafka,
) -> None:
    def refusals() -> int:
        return kafka.stack.kafka.log.read_text().count("Failed authentication")

    with ChatRoom(kafka.settings("SCRAM", sasl_password=WRONG)) as room:
        wait_until(lambda: "CHATKIT_SASL_PASSWORD" in room.status.kafka, 20)
        assert WRONG not in room.status.kafka
        before = refusals()
        time.sleep(2)  # nothing to wait for: it is about what does not happen
        assert refusals() - before < 20


def test_everybody_is_told_where_kafka_sends_its_clients(kafka: SecuredKafka) -> None:
    settings = kafka.settings("LOST", kafka_timeout=1, delivery_timeout=2)
    consumer = ConsumerThread(lambda items: None, settings)
    consumer.follow("general")
    with ChatRoom(settings) as room, ChatProducer(settings) as producer:
        receipt = producer.send(Message.new("general", "ana", "hi"))
        wait_until(lambda: "advertised.listeners" in room.status.kafka, 20)
        with pytest.raises(SendError, match=r"advertised\.listeners"):
            receipt.result(20)
        with pytest.raises(BrokerUnavailableError, match=r"advertised\.listeners"):
            consumer.start()


def test_no_password_is_ever_shown(
    kafka: SecuredKafka, caplog: pytest.LogCaptureFixture, names: dict[str, str]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("kafka").setLevel(logging.DEBUG)
    try:
        for mechanism, password in (
            ("PLAIN", PASSWORD),
            ("PLAIN", WRONG),
            ("SCRAM-SHA-512", WRONG),
        ):
            settings = kafka.settings(
                "SCRAM",
                **names,
                sasl_mechanism=mechanism,
                sasl_password=password,
                kafka_timeout=0.5 if password == WRONG else 10,
            )
            channels = Channels(settings)
            shown = [repr(settings), str(settings), repr(channels)]
            try:
                channels.find()
            except BrokerRefusedError as error:
                shown += [str(error), repr(error.__cause__)]
            channels.close()
            for text in shown:
                assert password not in text
    finally:
        logging.getLogger("kafka").setLevel(logging.NOTSET)
    assert "ApiVersionsRequest" in caplog.text  # there was something to be discreet about
    assert PASSWORD not in caplog.text
    assert WRONG not in caplog.text


# Rights.


def test_each_right_that_lacks_is_named(kafka: SecuredKafka, names: dict[str, str]) -> None:
    own = of_prefix(names)
    user = f"novice{own.rstrip('.')}"
    kafka.add_topic(f"{own}chat.general")
    kafka.add_topic(f"{own}chatkit.channels")
    kafka.add_user(user)
    settings = kafka.settings("SCRAM", **names, sasl_username=user, delivery_timeout=10)
    topic = f"topic '{own}chat.general'"

    def missing(right: str, act: Callable[[], object]) -> None:
        with pytest.raises((BrokerRefusedError, SendError)) as caught:
            act()
        assert f"user '{user}'" in str(caught.value)
        assert f"the right {right} is missing" in str(caught.value)
        assert "CHATKIT_SASL_USERNAME" in str(caught.value)

    def send() -> None:
        with ChatProducer(settings) as producer:
            producer.send(Message.new("general", "ana", "hi")).result(20)

    def read() -> None:
        thread = ConsumerThread(lambda items: None, settings)
        thread.follow("general", {0: 0})
        try:
            thread.start(timeout=0)
            wait_until(lambda: thread._problem, 20)
            raise BrokerRefusedError(thread._problem)
        finally:
            thread.stop()

    with Channels(settings) as channels:
        missing(f"Describe on {topic}", lambda: channels.describe("general"))
        missing(f"Create on topic '{own}chat.books'", lambda: channels.create("books"))
        missing(f"Describe on group '{own}archive-x'", lambda: channels.group(f"{own}archive-x"))
        missing(f"Write on {topic}", send)
        kafka.allow(user, [("topic", own, "Describe")])
        wait_until(lambda: "general" in channels.find())
        record = ChannelRecord(channel="general")
        missing(f"Write on topic '{own}chatkit.channels'", lambda: channels.publish(record))
        missing(f"Write on {topic}", send)
        missing(f"Read on {topic}", read)
        missing(f"Read on {topic}", lambda: read_range(settings, "general", 0, 0, 1))
        missing(f"Delete on {topic}", lambda: channels.delete("general"))


def test_a_room_that_is_refused_one_channel_goes_on_with_the_others(
    kafka: SecuredKafka, names: dict[str, str]
) -> None:
    own = of_prefix(names)
    user = f"guest{own.rstrip('.')}"
    kafka.add_topic(f"{own}chat.general")
    kafka.add_topic(f"{own}chat.secret")
    general = f"{own}chat.general"
    kafka.add_user(
        user,
        [("topic", own, "Describe"), ("topic", general, "Read"), ("topic", general, "Write")],
    )
    with ChatRoom(kafka.settings("SCRAM", **names, sasl_username=user)) as room:
        room.join("general").result(20)
        wait_until(lambda: room.status.connected, 20)
        with pytest.raises(BrokerRefusedError, match=r"the right Read on topic .*secret"):
            room.join("secret").result(20)
        room.send("general", "still here")
        wait_until(lambda: texts(room) == ["still here"], 20)
        wait_until(lambda: room.rows("general")[0].state == "sent", 20)
        assert room.status.kafka == ""


def test_an_archiver_names_the_topics_and_the_group_that_it_may_not_read(
    kafka: SecuredKafka, names: dict[str, str]
) -> None:
    own = of_prefix(names)
    kafka.add_topic(f"{own}chat.general")
    kafka.add_topic(f"{own}chat.secret")
    user = f"reader{own.rstrip('.')}"
    kafka.add_user(user, [("topic", own, "Describe"), ("topic", f"{own}chat.g", "Read")])
    settings = kafka.settings("SCRAM", **names, sasl_username=user)
    with pytest.raises(BrokerRefusedError, match=f"Read on group '{own}archive.*GROUP_PREFIX"):
        Archiver(settings).start()
    kafka.allow(user, [("group", own, "Read")])
    with Archiver(settings) as archiver:
        wait_until(lambda: archiver.status.partitions == 1, 20)
        wait_until(lambda: f"Read is missing: {own}chat.secret" in archiver.status.problem, 20)


# What a managed service may not let one do.


@pytest.mark.parametrize(
    ("given", "group"),
    [
        ({}, "chatkit-archive-x"),
        ({"system_prefix": "team-a.chatkit."}, "team-a.chatkit-archive-x"),
        ({"system_prefix": "team-a.chatkit.", "group_prefix": "cg."}, "cg.archive-x"),
    ],
)
def test_the_name_of_the_archivers_group_begins_as_settings_say(
    given: dict[str, str], group: str
) -> None:
    assert archive_group(Settings(bootstrap_servers=NOBODY, **given), "x") == group


@pytest.fixture
def limited(kafka: SecuredKafka, names: dict[str, str]) -> Settings:
    """Return settings of a user who may chat and archive, but make no topic."""
    user = f"limited{of_prefix(names).rstrip('.')}"
    kafka.add_user(user, rights_to(of_prefix(names), "chat", "archive"))
    return kafka.settings("SCRAM", **names, sasl_username=user, user="ana")


def test_who_may_make_no_topic_is_told_what_to_ask_for(limited: Settings) -> None:
    done = run("channels", "create", "general", env=environment(limited), code=1)
    with ChatRoom(limited) as room, pytest.raises(BrokerRefusedError) as caught:
        room.create_channel("general").result(20)
    for text in (done.stderr, str(caught.value)):
        assert f"create topic '{limited.topic_of('general')}' with 1 partition" in text
        for config in (
            "message.timestamp.type=LogAppendTime",
            "max.message.bytes=6291456",
            "retention.ms=-1",
        ):
            assert config in text
    with Channels(limited) as channels, pytest.raises(BrokerRefusedError) as caught:
        channels.ensure_records_topic()
    assert f"create topic '{limited.channels_topic}' with 1 partition" in str(caught.value)
    assert "cleanup.policy=compact" in str(caught.value)


def test_an_archiver_with_nothing_to_archive_and_no_right_to_make_topics_waits_for_some(
    kafka: SecuredKafka, limited: Settings
) -> None:
    with Archiver(limited) as archiver, MessageStore(limited) as store:
        assert archiver.status.problem == ""
        kafka.add_topic(limited.topic_of("general"))
        with ChatProducer(limited) as producer:
            producer.send(Message.new("general", "ana", "hi")).result(20)
        wait_until(lambda: store.counts() == {"general": 1}, 20)


def test_topics_that_somebody_else_made_are_chatted_in_and_archived(
    kafka: SecuredKafka, limited: Settings
) -> None:
    for name in ("general", "doctor"):
        kafka.add_topic(limited.topic_of(name), max_message_bytes="2000")
    with (
        Archiver(limited) as archiver,
        ChatRoom(limited) as room,
        Channels(limited) as channels,
        MessageStore(limited) as store,
    ):
        room.join("general").result(20)
        room.send("general", "hi")
        wait_until(lambda: texts(room) == ["hi"], 20)
        wait_until(lambda: store.counts() == {"general": 1}, 20)
        with pytest.raises(ChannelExistsError):
            channels.create("general")
        assert channels.create("general", exist_ok=True).channel == "general"
        assert channels.unsuitable() is None  # for that, too, one needs a right
        assert archiver.status.problem == ""

    # Where doctor may make no channel, it takes the one of its name, and leaves it there.
    checks = {check.name: check for check in examine(limited, local=False)}
    assert [check for check in checks.values() if not check.ok] == []
    assert "uses channel doctor" in checks["channel"].detail
    assert "DescribeConfigs" in checks["topics"].detail
    with MessageStore(limited) as store:
        assert store.counts() == {"general": 1}

    anybody = kafka.settings("SCRAM", topic_prefix=limited.topic_prefix)
    check = doctor_on("topics", anybody)
    assert check.ok
    assert check.warning
    for words in (
        f"topic {limited.topic_of('general')}",
        "message.timestamp.type=CreateTime, not LogAppendTime",
        "retention.ms=604800000, not -1",
        "max.message.bytes=2000, not 6291456",
    ):
        assert words in check.detail


def test_without_the_topic_of_records_channels_are_made_and_deleted_all_the_same(
    kafka: SecuredKafka, names: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    own = of_prefix(names)
    user = f"maker{own.rstrip('.')}"
    rights = [("topic", f"{own}chat.", right) for right in ("Read", "Write", "Create", "Delete")]
    kafka.add_user(user, rights)
    settings = kafka.settings("SCRAM", **names, sasl_username=user)
    done = run("channels", "create", "general", env=environment(settings))
    assert "Channel general is ready" in done.stdout
    assert f"Create on topic '{own}chatkit.channels'" in done.stderr
    with Channels(settings) as channels:
        channels.delete("general")
        assert "but not its record" in caplog.text
        wait_until(lambda: channels.find() == {})


def test_how_many_brokers_hold_a_topic_is_a_setting(
    kafka: SecuredKafka, names: dict[str, str]
) -> None:
    settings = kafka.settings("SCRAM", **names, replication_factor=3)
    with Channels(settings) as channels, pytest.raises(BrokerRefusedError) as caught:
        channels.create("general")
    assert "InvalidReplicationFactorError" in str(caught.value)
    assert "only 1 broker(s)" in str(caught.value)
    assert "CHATKIT_REPLICATION_FACTOR" in str(caught.value)
    assert "min.insync.replicas=2" in str(caught.value)
    for factor in (1, -1):
        with Channels(settings.replace(replication_factor=factor)) as channels:
            assert channels.create(f"with{factor}").replicas == 1


def test_what_a_policy_forbids_is_told(kafka: SecuredKafka, names: dict[str, str]) -> None:
    # Kafka's jars hold no policy that could be configured; this limit of its own speaks like one.
    with (
        Channels(kafka.settings("SCRAM", **names)) as channels,
        pytest.raises(BrokerRefusedError) as caught,
    ):
        channels.create("general", partitions=10_001)
    assert "PolicyViolationError: Excessively large number of partitions" in str(caught.value)
    assert "CHATKIT_REPLICATION_FACTOR" in str(caught.value)


def test_a_config_that_is_refused_is_told(
    kafka: SecuredKafka, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = {**chatkit.channels.CHANNEL_TOPIC, "no.such.config": "1"}
    monkeypatch.setattr(chatkit.channels, "CHANNEL_TOPIC", unknown)
    with (
        Channels(kafka.settings("SCRAM", **names)) as channels,
        pytest.raises(BrokerRefusedError) as caught,
    ):
        channels.create("general")
    assert "InvalidConfigurationError: Unknown topic config name: no.such.config" in str(
        caught.value
    )
    assert "let whoever runs it create topic" in str(caught.value)


def test_a_message_that_is_too_large_for_its_topic_is_told_with_both_sizes(
    kafka: SecuredKafka, names: dict[str, str]
) -> None:
    settings = kafka.settings("SCRAM", **names)
    kafka.add_topic(settings.topic_of("small"), max_message_bytes="2000")
    with ChatProducer(settings) as producer:
        receipts = [
            producer.send(Message.new("small", "ana", text))
            for text in ("short", "x" * 5000, *itertools.repeat("short", 50))
        ]
        with pytest.raises(SendError) as caught:
            receipts.pop(1).result(20)
        for receipt in receipts:  # one that is too large is no other's fault
            receipt.result(20)
        assert re.search(r"its 5,\d\d\d bytes are more than .* \(2,000\)", str(caught.value))
        assert "max.message.bytes" in str(caught.value)
        assert "may have arrived" not in str(caught.value)


# Old brokers: real ones, run with the ZooKeeper that they need.


def test_a_kafka_that_tells_no_topic_ids_is_too_old(tmp_path: Path) -> None:
    with old_kafka("2.7.2", tmp_path) as address:
        settings = Settings(bootstrap_servers=address)
        with Channels(settings) as channels, pytest.raises(BrokerRefusedError, match=r"2\.8"):
            channels.find()
        consumer = ConsumerThread(lambda items: None, settings)
        consumer.follow("general")
        with pytest.raises(BrokerUnavailableError, match=r"2\.8"):
            consumer.start(timeout=2)
        check = doctor_on("kafka", settings)
        assert not check.ok
        assert "too old" in check.detail
        assert "Kafka 2.8 or newer" in check.detail
        assert "CHATKIT_BOOTSTRAP_SERVERS" in check.detail


def test_the_oldest_kafka_that_will_do_does_all(tmp_path: Path, kafka: SecuredKafka) -> None:
    with old_kafka("2.8.2", tmp_path) as address:
        settings = kafka.stack.settings.replace(
            bootstrap_servers=address, database="oldest", data_dir=tmp_path
        )
        checks = {check.name: check for check in examine(settings, local=False)}
    assert [check for check in checks.values() if not check.ok] == []
    assert "version 2.8" in checks["kafka"].detail
