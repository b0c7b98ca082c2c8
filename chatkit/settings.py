"""Where Kafka and MongoDB are, how to log in there, and who the user is.

The only reader of the environment, of ``.env`` and of the state file in which the local stack says
where it runs. It opens no connection.
"""

from __future__ import annotations

import getpass
import os
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
from platformdirs import user_cache_path, user_config_path, user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as SourceError

from chatkit.errors import SettingsError
from chatkit.message import CHANNEL_NAME, check_channel_name

__all__ = ["LocalProcess", "LocalState", "Settings", "read_local_state", "remember_name"]

STATE_FILE = "local.json"
TOPIC_PREFIX = re.compile("[A-Za-z0-9._-]{1,169}")  # a topic has 249 characters, a channel 80


class LocalProcess(msgspec.Struct, frozen=True):
    """One process of the local stack."""

    pid: int
    """Process id."""
    started: float
    """When it was created, seconds since 1970: tells it from a later process with the same id."""


class LocalState(msgspec.Struct, frozen=True, kw_only=True):
    """What a running local stack says of itself, in the file ``local.json`` of its data folder."""

    bootstrap_servers: str
    """Kafka's addresses, ``host:port`` with commas between."""
    mongo_uri: str
    """MongoDB's address."""
    database: str
    """The MongoDB database in use."""
    data_dir: str
    """The folder that holds everything that the stack keeps."""
    processes: dict[str, LocalProcess]
    """``supervisor`` and each server by name."""


def _is_alive(process: LocalProcess) -> bool:
    import psutil

    try:
        found = psutil.Process(process.pid)
        return (
            abs(found.create_time() - process.started) < 2
            and found.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.Error, ValueError):  # ValueError: a number that can't be a process's
        return False


def read_local_state(data_dir: Path) -> LocalState | None:
    """Return what runs in a data folder, or None.

    A file left by a stack that is gone (killed, machine rebooted) is not believed: each process
    in it must live and be the very one that wrote it.

    Parameters
    ----------
    data_dir : Path
        Data folder of the local stack.

    Returns
    -------
    LocalState or None
        None if nothing runs there.

    Raises
    ------
    SettingsError
        The folder is another user's, who lets nobody look into it.
    """
    try:
        state = msgspec.json.decode((data_dir / STATE_FILE).read_bytes(), type=LocalState)
    except PermissionError as error:
        raise SettingsError(
            f"CHATKIT_DATA_DIR: {data_dir} can't be looked into: {error.strerror}. Whoever keeps "
            "that stack must let you read the folder, or choose one of your own"
        ) from error
    except (OSError, ValueError, RecursionError, msgspec.DecodeError):
        return None
    return state if state.processes and all(map(_is_alive, state.processes.values())) else None


class _LocalStackSource(PydanticBaseSettingsSource):
    """The running local stack, asked only if neither Kafka's nor MongoDB's address is set."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        known = self.current_state
        if known.get("bootstrap_servers") or known.get("mongo_uri"):
            return {}
        try:
            data_dir = Path(known.get("data_dir") or _default_data_dir()).expanduser()
        except (TypeError, RuntimeError):  # the field's own check will say so
            return {}
        state = read_local_state(data_dir)
        if state is None:
            return {}
        return {
            "bootstrap_servers": state.bootstrap_servers,
            "mongo_uri": state.mongo_uri,
            "database": state.database,
        }


def _default_data_dir() -> Path:
    return user_data_path("chatkit", appauthor=False)


def _name_file() -> Path:
    return user_config_path("chatkit", appauthor=False) / "name"


def _chosen_name() -> str | None:
    """Return who somebody said to be: to JupyterHub, or here before."""
    hub = os.environ.get("JUPYTERHUB_USER")
    if hub:
        return hub
    try:
        return _name_file().read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError, RuntimeError):
        return None


def remember_name(name: str) -> None:
    """Keep a name for the settings of all later programs of this login.

    Raises
    ------
    SettingsError
        It can't be kept.
    """
    path = _name_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"The name {name!r} can't be kept in {path}: {error.strerror}. It counts until the "
            "kernel ends; CHATKIT_USER sets it for good"
        ) from error


def _login() -> str:
    name = _chosen_name()
    if name is not None:
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user id without a name
        return "me"


class Settings(BaseSettings):
    """Every setting of chatkit; immutable.

    A value comes from the constructor, else the environment (``CHATKIT_`` and the field's name in
    capitals), else the file ``.env``, else a local stack that runs in ``data_dir``, else a default
    on localhost.

    Raises
    ------
    SettingsError
        A value is wrong; the text names the variable.
    """

    model_config = SettingsConfigDict(
        env_prefix="CHATKIT_",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    user: str = Field(default_factory=_login)
    """Name under which one writes. Default: ``JUPYTERHUB_USER``, else the name that was chosen in a
    panel before, else the login name."""

    bootstrap_servers: str = "localhost:9092"
    """Kafka brokers, ``host:port`` with commas between."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to Kafka; TLS with SSL, user and password with SASL."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the password is shown to Kafka; only with a SASL protocol."""
    sasl_username: str | None = None
    """Kafka user."""
    sasl_password: SecretStr | None = None
    """Kafka password."""
    ssl_cafile: Path | None = None
    """Certificate authority that signed the brokers' certificates. Default: the system's."""
    ssl_certfile: Path | None = None
    """Our own certificate, where the brokers ask for one."""
    ssl_keyfile: Path | None = None
    """Private key of ``ssl_certfile``."""
    ssl_check_hostname: bool = True
    """Whether the certificate must be for the host that we asked."""
    topic_prefix: str = "chat."
    """Channel ``general`` is topic ``chat.general``."""
    system_prefix: str = "chatkit."
    """Beginning of the topics that are no channels (``chatkit.channels``)."""
    group_prefix: str | None = None
    """Beginning of the archivers' consumer group. Default: that of ``system_prefix``."""
    replication_factor: int | None = Field(default=None, ge=-1, le=32767)
    """How many brokers hold a new topic; -1: as Kafka is set. Default: 3, if there are so many."""
    workshop: Literal["own", "shared"] = "own"
    """Whether workshop notebooks start brokers of their own, or use this Kafka, which the class
    shares."""

    mongo_uri: SecretStr = SecretStr("mongodb://localhost:27017")
    """MongoDB's address; may hold user and password."""
    database: str = "chatkit"
    """MongoDB database."""

    kafka_timeout: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """Seconds to wait for Kafka to answer."""
    mongo_timeout: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """Seconds to wait for MongoDB to answer."""
    delivery_timeout: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    """Seconds in which a message must be acknowledged, else it counts as failed."""

    data_dir: Path = Field(default_factory=_default_data_dir)
    """Where the local stack keeps its data and says where it runs."""
    cache_dir: Path = Field(default_factory=lambda: user_cache_path("chatkit", appauthor=False))
    """Where Kafka's jars are kept once fetched."""
    maven_url: str | None = None
    """A Maven repository to fetch Kafka from. Default: Maven Central."""
    kafka_home: Path | None = Field(default=None, validation_alias="KAFKA_HOME")
    """An unpacked Apache Kafka to use instead of fetching one."""
    java_home: Path | None = Field(default=None, validation_alias="JAVA_HOME")
    """A Java, 17 or newer, to run Kafka with. Default: ``java`` on the PATH."""

    def __init__(self, **values: Any) -> None:
        unknown = sorted(set(values) - set(type(self).model_fields))
        if unknown:
            raise SettingsError(
                f"There is no setting {unknown[0]!r}; there are: "
                + ", ".join(sorted(type(self).model_fields))
            )
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None
        except SourceError as error:
            raise SettingsError(str(error)) from None
        except UnicodeDecodeError as error:
            raise SettingsError(f"The file .env is not text in UTF-8: {error.reason}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of values, the strongest first."""
        return init_settings, env_settings, dotenv_settings, _LocalStackSource(settings_cls)

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_servers(cls, value: str) -> str:
        for address in value.split(","):
            host, _, port = address.strip().rpartition(":")
            if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
                raise ValueError(f"{address.strip()!r} is not host:port")
        return value

    @field_validator("mongo_uri")
    @classmethod
    def _check_mongo_uri(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("must begin with mongodb:// or mongodb+srv://")
        return value

    @field_validator("user")
    @classmethod
    def _check_user(cls, value: str) -> str:
        if not (1 <= len(value) <= 64 and value.isprintable() and value == value.strip()):
            raise ValueError("must be 1-64 printable characters on one line")
        return value

    @field_validator("database")
    @classmethod
    def _check_database(cls, value: str) -> str:
        if not 1 <= len(value.encode()) <= 63 or set(value) & set('/\\. "$*<>:|?\0'):
            raise ValueError('must be 1-63 bytes with none of /\\. "$*<>:|?')
        return value

    @field_validator("replication_factor")
    @classmethod
    def _check_replication(cls, value: int | None) -> int | None:
        if value == 0:
            raise ValueError("must be 1 or more, or -1 for as many as Kafka is set to")
        return value

    @field_validator("topic_prefix", "system_prefix", "group_prefix")
    @classmethod
    def _check_prefix(cls, value: str | None) -> str | None:
        if value is not None and not TOPIC_PREFIX.fullmatch(value):
            raise ValueError("must be 1-169 letters a-z or A-Z, digits, '.', '_' and '-'")
        return value

    @field_validator("data_dir", "cache_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        try:
            return value.expanduser().absolute()
        except RuntimeError as error:
            raise ValueError(f"{str(value)!r}: {error}") from error

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password
        ):
            raise ValueError(
                f"CHATKIT_SASL_USERNAME and CHATKIT_SASL_PASSWORD are needed with "
                f"CHATKIT_SECURITY_PROTOCOL={self.security_protocol}"
            )
        for topic in (self.channels_topic, self.presence_topic):
            if self.system_prefix.startswith(self.topic_prefix) or self.channel_of(topic):
                raise ValueError(
                    f"With CHATKIT_SYSTEM_PREFIX={self.system_prefix} and CHATKIT_TOPIC_PREFIX="
                    f"{self.topic_prefix}, topic {topic} would be taken for a channel; let neither "
                    "begin with the other"
                )
        return self

    def replace(self, **changes: Any) -> Settings:
        """Return settings with some values changed, and checked.

        Raises
        ------
        SettingsError
            A value is wrong.
        """
        return type(self)(**{**dict(self), **changes})

    @property
    def user_is_guess(self) -> bool:
        """Whether nobody has said who the user is, so that it is the login name."""
        return "user" not in self.model_fields_set and _chosen_name() is None

    @property
    def channels_topic(self) -> str:
        """The compacted topic that holds the channel records."""
        return self.system_prefix + "channels"

    @property
    def presence_topic(self) -> str:
        """The short-lived topic in which people say that they are here."""
        return self.system_prefix + "presence"

    def topic_of(self, channel: str) -> str:
        """Return the topic in which a channel lives.

        Raises
        ------
        ChannelNameError
            No channel can have this name.
        """
        return self.topic_prefix + check_channel_name(channel)

    def channel_of(self, topic: str) -> str | None:
        """Return the channel that lives in a topic, or None if the topic holds none."""
        name = topic.removeprefix(self.topic_prefix)
        return name if name != topic and CHANNEL_NAME.fullmatch(name) else None

    def kafka_config(self) -> dict[str, Any]:
        """Return the connection arguments that every kafka-python client takes.

        Returns
        -------
        dict
            A new dict at each call; holds the password in clear, so never print it.
        """
        config: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "security_protocol": self.security_protocol,
            "client_id": "chatkit",
            "reconnect_backoff_max_ms": 1000,
        }
        if "SSL" in self.security_protocol:
            config["ssl_check_hostname"] = self.ssl_check_hostname
            for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
                if (path := getattr(self, name)) is not None:
                    config[name] = str(path)
        if self.security_protocol.startswith("SASL"):
            assert self.sasl_password is not None
            config["sasl_mechanism"] = self.sasl_mechanism
            config["sasl_plain_username"] = self.sasl_username
            config["sasl_plain_password"] = self.sasl_password.get_secret_value()
        return config


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        text = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            lines.append(text)
            continue
        field = str(problem["loc"][0])
        own = {"KAFKA_HOME", "JAVA_HOME"}
        name = field.upper()
        lines.append(f"{name if name in own else 'CHATKIT_' + name}: {text}")
    return "; ".join(lines)
