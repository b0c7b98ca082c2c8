"""The archive in a MongoDB with passwords, certificates and replica sets, and what it says."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.errors import SettingsError, StoreRefusedError, StoreUnavailableError
from chatkit.history import load
from chatkit.local import mongod
from chatkit.local.folder import free_ports
from chatkit.local.server import LocalServer
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.commands import chatkit as run
from tests.commands import environment
from tests.rooms import texts
from tests.secured import NOBODY, Certificates, doctor_on
from tests.waiting import wait_until

PASSWORD = "correct/horse@battery"
ESCAPED = "correct%2Fhorse%40battery"
WRONG = "not-the-password"
Start = Callable[..., LocalServer]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start more mongods, with options; they end with the tests of this file."""
    folder = tmp_path_factory.mktemp("mongods")
    servers: list[LocalServer] = []

    def run_mongod(*options: str) -> LocalServer:
        (port,) = free_ports(["mongod"], {}).values()
        home = folder / str(port)
        (home / "mongod").mkdir(parents=True)
        server = LocalServer(
            f"mongod-{port}",
            [*mongod.command(mongod.find_mongod(), port), *options],
            address=f"127.0.0.1:{port}",
            folder=home,
            log=home / "log",
            environment={},
            answers=lambda: True,
        )
        servers.append(server)
        server.start()
        return server

    yield run_mongod
    for server in servers:
        server.kill()


def ask(address: str, question: Callable[[MongoClient], object], seconds: float = 30) -> object:
    """Ask one mongod until it answers; it may be starting."""
    client: MongoClient = MongoClient(f"mongodb://{address}", directConnection=True, timeoutMS=2000)

    def answer() -> list[object]:
        try:
            return [question(client)]
        except PyMongoError:
            return []

    try:
        (found,) = wait_until(answer, seconds)
        return found
    finally:
        client.close()


def initiate(name: str, servers: Sequence[LocalServer]) -> None:
    """Make a replica set whose members soon notice when the primary is gone."""
    members = [{"_id": n, "host": server.address} for n, server in enumerate(servers)]
    config = {
        "_id": name,
        "members": members,
        "settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 300},
    }
    ask(servers[0].address, lambda client: client.admin.command("replSetInitiate", config))
    wait_until(lambda: primary(servers), 30)


def primary(servers: Sequence[LocalServer]) -> LocalServer | None:
    """Return the member that takes writes."""
    for server in servers:
        if server.is_running():
            hello = ask(server.address, lambda client: client.admin.command("hello"))
            if isinstance(hello, dict) and hello["isWritablePrimary"]:
                return server
    return None


@pytest.fixture(scope="module")
def locked(
    start: Start, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Return the address of a replica set of one, with passwords, and TLS for who wants it."""
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o400)
    tls = certificate_file(certificates, "server", "127.0.0.1")
    server = start(
        *("--replSet", "locked", "--auth", "--keyFile", str(key)),
        *("--tlsMode", "allowTLS", "--tlsCertificateKeyFile", str(tls)),
        *("--tlsCAFile", str(certificates.authority), "--tlsAllowConnectionsWithoutCertificates"),
    )
    initiate("locked", [server])
    root = {"pwd": PASSWORD, "roles": ["root"]}
    ask(server.address, lambda client: client.admin.command("createUser", "root", **root))
    client: MongoClient = MongoClient(f"mongodb://root:{ESCAPED}@{server.address}")
    role = {"role": "readWrite", "db": "archive"}
    client.admin.command("createUser", "ana", pwd=PASSWORD, roles=[role])
    client.close()
    return server.address


def certificate_file(certificates: Certificates, name: str, *hosts: str) -> Path:
    """Return certificate and key in one file, as MongoDB wants them."""
    chain, key = certificates.issue(name, *hosts)
    both = chain.with_suffix(".both")
    both.write_bytes(chain.read_bytes() + key.read_bytes())
    return both


@pytest.fixture(scope="module")
def tls_only(start: Start, certificates: Certificates) -> str:
    """Return the address of a mongod that speaks TLS only, and wants a certificate of ours."""
    file = certificate_file(certificates, "strict", "127.0.0.1")
    server = start(
        *("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(file)),
        *("--tlsCAFile", str(certificates.authority)),
    )
    client: MongoClient = MongoClient(
        f"mongodb://{server.address}/?tls=true",
        tlsCAFile=str(certificates.authority),
        tlsCertificateKeyFile=str(file),
    )
    client.admin.command("ping")
    client.close()
    return server.address


def test_the_whole_way_into_one_database_that_one_may_write(
    settings: Settings, locked: str, certificates: Certificates
) -> None:
    uri = (
        f"mongodb://ana:{ESCAPED}@{locked}/?authSource=admin&replicaSet=locked&tls=true"
        f"&tlsCAFile={certificates.authority}"
    )
    settings = settings.replace(mongo_uri=uri, database="archive")
    with Archiver(settings), ChatRoom(settings) as room, MessageStore(settings) as store:
        room.create_channel("general").result(20)
        room.join("general").result(20)
        room.send("general", "hi")
        wait_until(lambda: list(load(store, channel="general")["body"]) == ["hi"], 20)
        assert room.status.mongo == ""
    env = environment(settings)
    done = run("doctor", "--json", env=env)
    assert json.loads(done.stdout)["ok"] is True
    assert run("channels", env=env).stdout == "general\t\t1\t1\t1\n"
    with MessageStore(settings) as store:
        store.delete_channel("general")
        assert store.counts() == {}


REFUSED = {
    "wrong password": (
        "mongodb://ana:" + WRONG + "@{locked}/?authSource=admin",
        ["refused user or password", "authSource"],
    ),
    "wrong authSource": (
        "mongodb://ana:{password}@{locked}/archive",
        ["refused user or password", "authSource"],
    ),
    "no user": ("mongodb://{locked}", ["wants a user and a password", "authSource=admin"]),
    "another database": (
        "mongodb://ana:{password}@{locked}/?authSource=admin",
        ["does not let the user", "readWrite on database other", "CHATKIT_DATABASE"],
    ),
    "another replica set": (
        "mongodb://{locked}/?replicaSet=another",
        ["no member of the replica set", "replicaSet"],
    ),
    "another authority": (
        "mongodb://{tls_only}/?tls=true&tlsCAFile={stranger}",
        ["authority that is not trusted", "tlsCAFile"],
    ),
    "another host": (
        "mongodb://localhost:{tls_port}/?tls=true&tlsCAFile={authority}",
        ["for another host"],
    ),
}
AWAY = {
    "no certificate of ours": (
        "mongodb://{tls_only}/?tls=true&tlsCAFile={authority}",
        ["certificate of ours", "tlsCertificateKeyFile"],
    ),
    "plain text where TLS is spoken": ("mongodb://{tls_only}", ["wants TLS", "tls=true"]),
    "nothing listens": (
        "mongodb://ana:{password}@" + NOBODY,
        ["did not answer", "Nothing listens", "chatkit up"],
    ),
    "no such host": ("mongodb://mongo.invalid", ["No host of that name"]),
    "no such service": ("mongodb+srv://mongo.invalid", ["No host of that name"]),
}


@pytest.mark.parametrize("case", [*REFUSED, *AWAY])
def test_what_is_wrong_is_told_with_the_setting_to_change(
    settings: Settings, locked: str, tls_only: str, certificates: Certificates, case: str
) -> None:
    uri, words = (REFUSED | AWAY)[case]
    uri = uri.format(
        locked=locked,
        tls_only=tls_only,
        tls_port=tls_only.rpartition(":")[2],
        password=ESCAPED,
        authority=certificates.authority,
        stranger=certificates.stranger,
    )
    settings = settings.replace(mongo_uri=uri, database="other", mongo_timeout=1)
    with MessageStore(settings) as store, pytest.raises(StoreUnavailableError) as caught:
        store.ping()
    if case in REFUSED:
        assert isinstance(caught.value, StoreRefusedError)
    check = doctor_on("mongodb", settings)
    assert not check.ok
    for text in (str(caught.value), check.detail):
        assert "CHATKIT_MONGO_URI" in text
        for word in words:
            assert word in text
        for secret in (WRONG, PASSWORD, ESCAPED):
            assert secret not in text


def test_tls_where_none_is_spoken_is_told(settings: Settings) -> None:
    uri = settings.mongo_uri.get_secret_value() + "/?tls=true"
    with (
        MessageStore(settings.replace(mongo_uri=uri, mongo_timeout=1)) as store,
        pytest.raises(StoreRefusedError, match=r"does not speak TLS.*CHATKIT_MONGO_URI"),
    ):
        store.ping()


def test_a_replica_set_that_was_never_initiated_is_told(settings: Settings, start: Start) -> None:
    server = start("--replSet", "new")
    away = settings.replace(mongo_uri=f"mongodb://{server.address}", mongo_timeout=1)
    with MessageStore(away) as store:

        def told() -> str:
            with pytest.raises(StoreUnavailableError) as caught:
                store.ping()
            return str(caught.value)

        wait_until(lambda: "has no primary" in told() and "CHATKIT_MONGO_URI" in told(), 30)


@pytest.mark.usefixtures("channels")
def test_archiver_room_and_commands_say_that_the_password_is_wrong(
    settings: Settings, locked: str
) -> None:
    uri = f"mongodb://ana:{WRONG}@{locked}/?authSource=admin"
    settings = settings.replace(mongo_uri=uri)
    started = time.monotonic()
    with pytest.raises(StoreRefusedError, match="CHATKIT_MONGO_URI") as caught:
        Archiver(settings).start()
    assert time.monotonic() - started < 10  # long before the time is over
    assert WRONG not in str(caught.value)
    with ChatRoom(settings) as room:
        wait_until(lambda: "CHATKIT_MONGO_URI" in room.status.mongo, 20)
        assert WRONG not in room.status.mongo
    done = run("doctor", env=environment(settings), code=1)
    assert "refused user or password" in done.stdout
    done_too = run("channels", env=environment(settings))
    assert "CHATKIT_MONGO_URI" in done_too.stderr
    for text in (done.stdout, done.stderr, done_too.stdout, done_too.stderr):
        assert WRONG not in text


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://ana:zebra/fish@host",
        "mongodb://ana:zebra@fish@host",
        "mongodb://ana:zebra:fish@host",
        "mongodb://ana:zebra%fish@host",
        "mongodb://ana:zebrafish@host:port",
        "mongodb://ana:zebrafish@host/?tls=true&tlsCAFile=/no/such/file",
    ],
)
def test_a_uri_that_can_not_be_used_is_refused_without_showing_its_password(uri: str) -> None:
    with pytest.raises(SettingsError, match="CHATKIT_MONGO_URI") as caught:
        MessageStore(Settings(mongo_uri=uri))
    assert "zebra" not in str(caught.value)
    assert "fish" not in str(caught.value)


def test_when_the_primary_is_killed_the_archive_goes_on_and_nothing_is_lost(
    settings: Settings, channels: Channels, start: Start
) -> None:
    servers = [start("--replSet", "three") for _ in range(3)]
    initiate("three", servers)
    addresses = ",".join(server.address for server in servers)
    settings = settings.replace(mongo_uri=f"mongodb://{addresses}/?replicaSet=three")
    sent = []
    with (
        Archiver(settings) as archiver,
        ChatRoom(settings) as room,
        MessageStore(settings) as store,
    ):
        room.join("general").result(20)

        def archive_more() -> None:
            for _ in range(100):
                sent.append(room.send("general", f"message {len(sent)}").id)

        archive_more()
        wait_until(lambda: store.counts().get("general") == len(sent), 30)
        victim = primary(servers)
        assert victim is not None
        archive_more()  # some of them are on their way into MongoDB now
        victim.kill()
        archive_more()
        wait_until(lambda: primary(servers), 30)
        archive_more()
        wait_until(lambda: archiver.status.problem == "", 30)
        frame = wait_until(lambda: _loaded(store, len(sent)), 60)
        assert sorted(frame) == sorted(sent)
        wait_until(lambda: room.status.mongo == "", 30)
        wait_until(lambda: len(texts(room)) == len(sent), 30)
        assert doctor_on("mongodb", settings).ok


def _loaded(store: MessageStore, wanted: int) -> list[str]:
    """Return the ids of what is archived, once there is as much as wanted."""
    try:
        found = [str(one) for one in load(store, channel="general")["id"]]
    except StoreUnavailableError:
        return []
    return found if len(found) >= wanted else []
