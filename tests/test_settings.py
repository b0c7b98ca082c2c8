from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from chatkit.errors import ChannelNameError, InputError, SettingsError
from chatkit.settings import STATE_FILE, Settings, read_local_state
from tests import test_message as wire

any_time = hypothesis_settings(deadline=None)

STATE = {
    "bootstrap_servers": "127.0.0.1:19092",
    "mongo_uri": "mongodb://127.0.0.1:19017",
    "database": "local",
}
SECRET = "hunter2-swordfish"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without any setting but the folder of a local stack, and no ``.env``."""
    for name in list(os.environ):
        if name.upper().startswith("CHATKIT_") or name in {"KAFKA_HOME", "JAVA_HOME"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CHATKIT_DATA_DIR", str(folder))
    return folder


@pytest.fixture
def state_file(data_dir: Path) -> Callable[..., Path]:
    """Write what a local stack says of itself; this very process stands for its servers."""

    def write(**changes: Any) -> Path:
        me = {"pid": os.getpid(), "started": psutil.Process().create_time()}
        state = {**STATE, "data_dir": str(data_dir), "processes": {"supervisor": me}, **changes}
        path = data_dir / STATE_FILE
        path.write_text(json.dumps({k: v for k, v in state.items() if v is not ...}))
        return path

    return write


def addresses(settings: Settings) -> tuple[str, str, str]:
    return (
        settings.bootstrap_servers,
        settings.mongo_uri.get_secret_value(),
        settings.database,
    )


DEFAULTS = ("localhost:9092", "mongodb://localhost:27017", "chatkit")
LOCAL = tuple(STATE.values())


# Which value counts.


def test_without_anything_set_services_are_looked_for_on_localhost() -> None:
    assert addresses(Settings()) == DEFAULTS


def test_constructor_beats_environment_beats_dotenv_beats_local_stack_beats_default(
    monkeypatch: pytest.MonkeyPatch, state_file: Callable[..., Path]
) -> None:
    assert Settings().database == "chatkit"
    state_file(database="of_local")
    assert Settings().database == "of_local"
    Path(".env").write_text("CHATKIT_DATABASE=of_dotenv\n")
    assert Settings().database == "of_dotenv"
    monkeypatch.setenv("CHATKIT_DATABASE", "of_environment")
    assert Settings().database == "of_environment"
    assert Settings(database="of_constructor").database == "of_constructor"


def test_constructor_beats_environment_for_names_without_prefix_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("KAFKA_HOME=/of/dotenv\nJAVA_HOME=/of/dotenv\n")
    assert Settings().kafka_home == Settings().java_home == Path("/of/dotenv")
    monkeypatch.setenv("KAFKA_HOME", "/of/environment")
    assert Settings().kafka_home == Path("/of/environment")
    assert Settings(kafka_home="/of/constructor").kafka_home == Path("/of/constructor")
    assert Settings(kafka_home=None).kafka_home is None


def test_a_running_local_stack_is_used(state_file: Callable[..., Path]) -> None:
    state_file()
    assert addresses(Settings()) == LOCAL


def test_a_local_stack_in_another_folder_is_used_if_that_is_said(
    state_file: Callable[..., Path], tmp_path: Path, data_dir: Path
) -> None:
    state_file()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert addresses(Settings(data_dir=elsewhere)) == DEFAULTS
    (data_dir / STATE_FILE).rename(elsewhere / STATE_FILE)
    assert addresses(Settings()) == DEFAULTS
    assert addresses(Settings(data_dir=elsewhere)) == LOCAL
    assert addresses(Settings(data_dir=str(elsewhere))) == LOCAL
    Path(".env").write_text(f"CHATKIT_DATA_DIR={elsewhere}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CHATKIT_DATA_DIR")
        assert addresses(Settings()) == LOCAL


@pytest.mark.parametrize("way", ["constructor", "environment", "dotenv"])
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bootstrap_servers", "kafka:9092", ("kafka:9092", *DEFAULTS[1:])),
        ("mongo_uri", "mongodb://mongo", (DEFAULTS[0], "mongodb://mongo", DEFAULTS[2])),
    ],
)
def test_the_local_stack_is_left_alone_if_either_address_is_set(
    way: str,
    name: str,
    value: str,
    expected: tuple[str, str, str],
    state_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state_file()
    if way == "environment":
        monkeypatch.setenv(f"CHATKIT_{name.upper()}", value)
    elif way == "dotenv":
        Path(".env").write_text(f"CHATKIT_{name.upper()}={value}\n")
    settings = Settings(**({name: value} if way == "constructor" else {}))
    assert addresses(settings) == expected


def test_an_own_database_on_the_local_stack_is_kept(state_file: Callable[..., Path]) -> None:
    state_file()
    assert addresses(Settings(database="mine")) == (*LOCAL[:2], "mine")


def test_empty_variables_count_as_not_set(
    monkeypatch: pytest.MonkeyPatch, state_file: Callable[..., Path]
) -> None:
    state_file()
    Path(".env").write_text("CHATKIT_DATABASE=\n")
    for name in ("BOOTSTRAP_SERVERS", "MONGO_URI", "DATABASE", "KAFKA_TIMEOUT", "SASL_PASSWORD"):
        monkeypatch.setenv(f"CHATKIT_{name}", "")
    monkeypatch.setenv("KAFKA_HOME", "")
    monkeypatch.setenv("CHATKIT_USER", "")
    monkeypatch.setenv("JUPYTERHUB_USER", "ana")
    settings = Settings()
    assert addresses(settings) == LOCAL
    assert (settings.user, settings.kafka_timeout) == ("ana", 10.0)
    assert settings.sasl_password is settings.kafka_home is None


# Who one is.


def test_the_user_is_whoever_logged_in_to_jupyterhub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ana@example.org")
    assert Settings().user == "ana@example.org"
    monkeypatch.setenv("CHATKIT_USER", "ben")
    assert Settings().user == "ben"


def test_without_a_hub_the_user_is_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    monkeypatch.setenv("LOGNAME", "carol")
    assert Settings().user == "carol"


def test_a_name_that_no_message_could_have_is_refused_wherever_it_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "x" * 65)
    with pytest.raises(SettingsError, match="CHATKIT_USER"):
        Settings()
    assert Settings(user="x" * 64).user == "x" * 64


@any_time
@given(wire.names)
def test_every_user_can_be_the_author_of_a_message(name: str) -> None:
    user = Settings(user=name, bootstrap_servers="localhost:9092").user
    wire.check(wire.message(author=user))


@any_time
@given(st.text(max_size=70))
@example("ana\n")
def test_a_user_is_refused_exactly_if_messages_under_that_name_would_be(name: str) -> None:
    try:
        wire.check(wire.message(author=name))
    except InputError:
        with pytest.raises(SettingsError, match="CHATKIT_USER"):
            Settings(user=name, bootstrap_servers="localhost:9092")
    else:
        assert Settings(user=name, bootstrap_servers="localhost:9092").user == name


# What a local stack left behind.


def test_the_state_of_a_running_stack_is_read_whole(
    state_file: Callable[..., Path], data_dir: Path
) -> None:
    state_file()
    state = read_local_state(data_dir)
    assert state is not None
    assert (state.bootstrap_servers, state.mongo_uri, state.database) == LOCAL
    assert state.data_dir == str(data_dir)
    assert state.processes["supervisor"].pid == os.getpid()


def ended_process() -> int:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    return int(ended.stdout)


@pytest.mark.parametrize(
    "process",
    [
        {"pid": "DEAD", "started": 1.0},
        {"pid": "ME", "started": 1.0},
        {"pid": "ME", "started": 4e9},
        {"pid": 0, "started": 1.0},
        {"pid": -1, "started": 1.0},
        {"pid": 2**31, "started": 1.0},
        {"pid": 2**63, "started": 1.0},
        {"pid": 2**200, "started": 1.0},
    ],
    ids=lambda process: str(process["pid"])[:20],
)
def test_the_state_of_a_process_that_is_gone_is_not_believed(
    process: dict[str, Any], state_file: Callable[..., Path], data_dir: Path
) -> None:
    pid = {"DEAD": ended_process, "ME": os.getpid}.get(process["pid"], lambda: process["pid"])()
    alive = {"pid": os.getpid(), "started": psutil.Process().create_time()}
    state_file(processes={"supervisor": {**process, "pid": pid}})
    assert read_local_state(data_dir) is None
    state_file(processes={"supervisor": alive, "kafka-1": {**process, "pid": pid}})
    assert read_local_state(data_dir) is None
    assert addresses(Settings()) == DEFAULTS


def test_a_process_that_ended_but_was_not_waited_for_counts_as_gone(
    state_file: Callable[..., Path], data_dir: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        started = process.create_time()
        state_file(processes={"supervisor": {"pid": child.pid, "started": started}})
        assert read_local_state(data_dir) is not None
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process.status() == psutil.STATUS_ZOMBIE
        assert read_local_state(data_dir) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"bootstrap_servers": "\xff"}',
        b"{",
        b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
        b"9" * 10_000,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_state_file_of_garbage_is_not_believed(content: bytes, data_dir: Path) -> None:
    (data_dir / STATE_FILE).write_bytes(content)
    assert read_local_state(data_dir) is None
    assert addresses(Settings()) == DEFAULTS


@pytest.mark.parametrize("lacking", ["bootstrap_servers", "mongo_uri", "database", "processes"])
@pytest.mark.parametrize("instead", [..., None, 5, []])
def test_a_state_file_that_lacks_something_is_not_believed(
    lacking: str, instead: object, state_file: Callable[..., Path], data_dir: Path
) -> None:
    state_file(**{lacking: instead})
    assert read_local_state(data_dir) is None


def test_a_stack_without_processes_is_not_believed(
    state_file: Callable[..., Path], data_dir: Path
) -> None:
    state_file(processes={})
    assert read_local_state(data_dir) is None


def test_a_state_file_that_is_no_file_is_not_believed(data_dir: Path) -> None:
    (data_dir / STATE_FILE).mkdir()
    assert read_local_state(data_dir) is None
    assert addresses(Settings()) == DEFAULTS


def test_a_data_folder_that_is_not_there_or_no_folder_holds_no_stack(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "missing", tmp_path / "file", Path("nul\0in it")):
        assert read_local_state(folder) is None
    assert addresses(Settings(data_dir=tmp_path / "missing")) == DEFAULTS


# Wrong values.

WRONG = [
    ("user", ["", " ", "x" * 65, "a\nb", " ana", "a\x1bb", 5, None]),
    ("bootstrap_servers", ["", "kafka", ":9092", "kafka:", "kafka:0", "kafka:65536", "a:1,,b:2"]),
    ("bootstrap_servers", ["kafka:http", "kafka:-1", "kafka:²", "kafka:９０９２", "kafka:1e3", 5]),
    ("mongo_uri", ["", "localhost:27017", "http://localhost", "MONGODB://x", 5, None]),
    ("database", ["", "a.b", "a b", "a/b", "a$b", "a\0b", 'a"b', "x" * 64, "é" * 32, "\ud800"]),
    ("topic_prefix", ["", "a b", "a/b", "é", "x" * 170, "chat.\n"]),
    ("system_prefix", ["", "a b", "a/b", "é", "x" * 170, "chatkit.\n"]),
    ("group_prefix", ["", "a b", "a/b", "é", "x" * 170, "chatkit-\n"]),
    ("replication_factor", [0, -2, 1.5, "three", 40_000]),
    ("security_protocol", ["", "plaintext", "TLS"]),
    ("sasl_mechanism", ["", "GSSAPI", "OAUTHBEARER", "AWS_MSK_IAM"]),
    ("ssl_check_hostname", ["", "maybe"]),
    ("kafka_timeout", [0, -1, "nan", "inf", "ten", float("nan"), float("inf"), None]),
    ("mongo_timeout", [0, -1, "nan", "inf", "ten"]),
    ("delivery_timeout", [0, -1, "nan", "inf", "ten"]),
    ("data_dir", [5, "~no-such-user-here/x"]),
    ("cache_dir", [5, "~no-such-user-here/x"]),
    ("kafka_home", [5]),
    ("java_home", [5]),
]
WRONG_VALUES = [(name, value) for name, values in WRONG for value in values]


def variable(name: str) -> str:
    return name.upper() if name in ("kafka_home", "java_home") else f"CHATKIT_{name.upper()}"


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES)
def test_a_wrong_value_is_a_settings_error_that_names_the_variable(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=variable(name)):
        Settings(**{name: value})
    with pytest.raises(SettingsError, match=variable(name)):
        Settings().replace(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [(n, v) for n, v in WRONG_VALUES if isinstance(v, str) and v and v.isprintable()],
)
def test_a_wrong_variable_is_a_settings_error_that_names_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(SettingsError, match=variable(name)):
        Settings()


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"CHATKIT_USER.*; CHATKIT_KAFKA_TIMEOUT"):
        Settings(user="", kafka_timeout=0)


def test_an_unknown_name_is_refused_and_the_known_ones_are_told() -> None:
    with pytest.raises(SettingsError, match=r"no setting 'bootstrap_server'.*bootstrap_servers"):
        Settings(bootstrap_server="x")
    with pytest.raises(SettingsError, match="no setting 'KAFKA_HOME'"):
        Settings(KAFKA_HOME="/opt/kafka")
    with pytest.raises(SettingsError, match="no setting 'nonsense'"):
        Settings().replace(nonsense=1)


def test_variables_of_other_programs_are_no_concern_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BOOTSTRAP_SERVERS", "theirs:1")
    monkeypatch.setenv("USER", "theirs")
    Path(".env").write_text("DATABASE=theirs\nANYTHING=else\n")
    assert addresses(Settings()) == DEFAULTS


def test_a_dotenv_file_that_is_not_utf8_is_a_settings_error() -> None:
    Path(".env").write_bytes(b"CHATKIT_SASL_PASSWORD=" + SECRET.encode() + b"\xff\n")
    with pytest.raises(SettingsError, match=r"\.env is not text in UTF-8") as refusal:
        Settings()
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("more", [{}, {"sasl_username": "u"}, {"sasl_password": SECRET}])
def test_a_login_needs_user_and_password(protocol: str, more: dict[str, str]) -> None:
    needed = "CHATKIT_SASL_USERNAME and CHATKIT_SASL_PASSWORD"
    with pytest.raises(SettingsError, match=needed) as refusal:
        Settings(security_protocol=protocol, **more)
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    ("topics", "system"),
    [
        ("chat.", "chat."),
        ("chat.", "chat.kit."),
        ("chat", "chatkit."),
        ("chatkit.ch", "chatkit."),
        ("c", "c"),
    ],
)
def test_prefixes_that_would_make_our_own_topics_channels_are_refused(
    topics: str, system: str
) -> None:
    with pytest.raises(SettingsError, match=r"CHATKIT_SYSTEM_PREFIX.*CHATKIT_TOPIC_PREFIX"):
        Settings(topic_prefix=topics, system_prefix=system)


prefixes = st.text("abC1._-", min_size=1, max_size=8) | st.sampled_from(["chat.", "chatkit."])


@any_time
@given(prefixes, prefixes)
def test_no_channel_lives_in_the_topic_of_channel_records(topics: str, system: str) -> None:
    try:
        settings = Settings(
            topic_prefix=topics, system_prefix=system, bootstrap_servers="localhost:9092"
        )
    except SettingsError:
        return
    assert settings.channel_of(settings.channels_topic) is None


# Secrets.


def test_secrets_are_in_no_repr_and_no_str() -> None:
    settings = Settings(
        mongo_uri=f"mongodb://ana:{SECRET}@localhost",
        security_protocol="SASL_SSL",
        sasl_username="ana",
        sasl_password=SECRET,
    )
    for shown in (repr(settings), str(settings), f"{settings}", settings.model_dump_json()):
        assert SECRET not in shown
    assert SECRET in settings.mongo_uri.get_secret_value()
    assert SECRET not in repr(settings.replace(user="ben"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"mongo_uri": f"http://ana:{SECRET}@localhost"},
        {"mongo_uri": f" mongodb://ana:{SECRET}@localhost"},
        {"mongo_uri": [f"mongodb://ana:{SECRET}@localhost"]},
        {"mongo_uri": f"mongodb://ana:{SECRET}@localhost", "user": ""},
        {"sasl_password": [SECRET]},
        {"sasl_password": SECRET, "kafka_timeout": -1},
        {"sasl_password": SECRET, "nonsense": 1},
        {"sasl_password": SECRET, "topic_prefix": "chatkit."},
    ],
)
def test_secrets_are_in_no_error_and_in_nothing_behind_it(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings(**wrong)
    assert refusal.value.__cause__ is None
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_secrets_of_the_environment_are_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_MONGO_URI", f"mongo://ana:{SECRET}@localhost")
    with pytest.raises(SettingsError, match="CHATKIT_MONGO_URI: must begin with") as refusal:
        Settings()
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


# Changing.


def test_settings_can_not_be_changed_in_place() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.user = "ben"  # type: ignore[misc]


def test_replacing_keeps_all_other_values_whatever_the_environment_says_by_now(
    monkeypatch: pytest.MonkeyPatch, state_file: Callable[..., Path], tmp_path: Path
) -> None:
    state_file()
    monkeypatch.setenv("KAFKA_HOME", "/of/environment")
    settings = Settings(user="ana", sasl_password=SECRET, ssl_cafile=tmp_path / "ca.pem")
    monkeypatch.setenv("CHATKIT_BOOTSTRAP_SERVERS", "other:9092")
    monkeypatch.setenv("KAFKA_HOME", "/other")
    state_file(processes={})
    changed = settings.replace(user="ben")
    assert dict(changed) == {**dict(settings), "user": "ben"}
    assert isinstance(changed.sasl_password, SecretStr)
    assert settings.user == "ana"
    assert settings.replace() == settings
    assert settings.replace(kafka_home=None, sasl_password=None).kafka_home is None


def test_folders_are_absolute_and_know_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    settings = Settings(data_dir="~/chat", cache_dir="cache")
    assert settings.data_dir == Path("/home/ana/chat")
    assert settings.cache_dir == Path("cache").absolute()


# Topics.


@any_time
@given(wire.channels, prefixes)
@example("chat", "chat.")
def test_the_channel_of_the_topic_of_a_channel_is_that_channel(channel: str, prefix: str) -> None:
    settings = Settings(
        topic_prefix=prefix, system_prefix="0sys.", bootstrap_servers="localhost:9092"
    )
    topic = settings.topic_of(channel)
    assert settings.channel_of(topic) == channel
    assert len(topic) <= 249


@any_time
@given(st.text("abC1._-\n", max_size=100), prefixes)
@example("chat.general\n", "chat.")
@example("chat.", "chat.")
@example("chat.chat.general", "chat.")
def test_a_topic_that_holds_a_channel_is_the_topic_of_that_channel(topic: str, prefix: str) -> None:
    settings = Settings(
        topic_prefix=prefix, system_prefix="0sys.", bootstrap_servers="localhost:9092"
    )
    channel = settings.channel_of(topic)
    assert channel is None or settings.topic_of(channel) == topic


def test_the_longest_prefix_and_channel_make_a_topic_that_kafka_takes() -> None:
    assert len(Settings(topic_prefix="x" * 169).topic_of("a" * 80)) == 249


@pytest.mark.parametrize("name", wire.BAD_CHANNELS)
def test_no_topic_is_given_for_what_can_not_be_a_channel(name: str) -> None:
    settings = Settings()
    with pytest.raises(ChannelNameError):
        settings.topic_of(name)
    assert settings.channel_of("chat." + name) is None


@pytest.mark.parametrize(
    "topic", ["", "chat", "chat.", "general", "chatkit.channels", "__consumer_offsets", "xchat.a"]
)
def test_other_topics_hold_no_channel(topic: str) -> None:
    assert Settings().channel_of(topic) is None


# What Kafka's clients are told.


def test_plaintext_needs_nothing_but_the_addresses() -> None:
    assert Settings(bootstrap_servers="a:1, b:2").kafka_config() == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
        "client_id": "chatkit",
        "reconnect_backoff_max_ms": 1000,
    }


def test_ssl_takes_the_certificates_that_are_set() -> None:
    config = Settings(
        security_protocol="SSL",
        ssl_cafile="/etc/ca.pem",
        ssl_check_hostname=False,
        sasl_username="unused",
        sasl_password=SECRET,
    ).kafka_config()
    assert config["security_protocol"] == "SSL"
    assert config["ssl_cafile"] == "/etc/ca.pem"
    assert config["ssl_check_hostname"] is False
    assert not {"ssl_certfile", "ssl_keyfile"} & set(config)
    assert not [name for name in config if name.startswith("sasl")]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_ssl_takes_user_password_and_certificates(mechanism: str) -> None:
    config = Settings(
        security_protocol="SASL_SSL",
        sasl_mechanism=mechanism,
        sasl_username="ana",
        sasl_password=SECRET,
        ssl_certfile="/etc/own.pem",
        ssl_keyfile="/etc/own.key",
    ).kafka_config()
    assert config["sasl_mechanism"] == mechanism
    assert config["sasl_plain_username"] == "ana"
    assert config["sasl_plain_password"] == SECRET
    assert (config["ssl_certfile"], config["ssl_keyfile"]) == ("/etc/own.pem", "/etc/own.key")
    assert config["ssl_check_hostname"] is True
    assert "ssl_cafile" not in config


def test_sasl_without_tls_takes_no_certificates() -> None:
    config = Settings(
        security_protocol="SASL_PLAINTEXT",
        sasl_username="ana",
        sasl_password=SECRET,
        ssl_cafile="/etc/ca.pem",
    ).kafka_config()
    assert not [name for name in config if name.startswith("ssl")]
    assert config["sasl_plain_password"] == SECRET


def test_ipv6_addresses_are_taken() -> None:
    config = Settings(bootstrap_servers="[::1]:9092").kafka_config()
    assert config["bootstrap_servers"] == ["[::1]:9092"]


def test_each_call_gives_a_config_of_its_own() -> None:
    settings = Settings()
    settings.kafka_config()["bootstrap_servers"].append("changed:1")
    assert settings.kafka_config()["bootstrap_servers"] == ["localhost:9092"]
