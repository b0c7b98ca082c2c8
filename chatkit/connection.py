"""Make kafka-python's clients, so that a failure leaks nothing and says what to do.

The one place where a client is built: consumer, producer and admin client share settings, bounds
and explanations.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    AuthorizationError,
    BrokerResponseError,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaConfigurationError,
    KafkaError,
    UnknownBrokerIdError,
    UnsupportedVersionError,
)
from kafka.net.compat import KafkaNetClient
from kafka.protocol.metadata import MetadataRequest

from chatkit.diagnosis import TOPIC_IDS, diagnose, tls_context
from chatkit.errors import BrokerRefusedError, BrokerUnavailableError, SettingsError
from chatkit.settings import Settings

__all__ = ["REFUSED_SECONDS", "close_producer", "explain", "is_hopeless", "make_client"]

REFUSED_SECONDS = 5.0
"""How long to leave one alone who refused us: some lock a user out who tries too often."""
FIRST_SECONDS = 1.0
"""After which to look whether it is of any use to go on trying."""


def is_hopeless(error: Exception) -> bool:
    """Return whether it is of no use to ask Kafka the same once more.

    A client may forget all brokers while none answers: that is not for ever, whatever it says.
    """
    if isinstance(error, UnknownBrokerIdError):
        return False
    return isinstance(error, KafkaError) and not error.retriable


def explain(
    settings: Settings, error: Exception, seconds: float, *, right: str = "Describe"
) -> BrokerUnavailableError:
    """Return the error that tells a user what kafka-python's error means.

    Where that may be the way to Kafka, it is looked into, which takes two seconds at most.

    Parameters
    ----------
    settings : Settings
        Where Kafka was looked for, and how.
    error : Exception
        What kafka-python raised.
    seconds : float
        How long it took.
    right : str, default "Describe"
        The right that it takes, such as ``Create on topic 'chat.general'``; on what, may be left
        to the error.
    """
    where = f"Kafka at {settings.bootstrap_servers}"
    reason = ": ".join([type(error).__name__, *map(str, error.args)])
    if isinstance(error, AuthorizationError):
        return BrokerRefusedError(_about_right(settings, where, error, right))
    if isinstance(error, IncompatibleBrokerVersion | UnsupportedVersionError):
        return BrokerRefusedError(
            f"{where} is too old, or not like Apache Kafka ({reason}): chatkit needs Kafka 2.8 or "
            "newer; set CHATKIT_BOOTSTRAP_SERVERS to one"
        )
    if isinstance(error, BrokerResponseError) and not error.retriable:
        return BrokerRefusedError(f"{where} refused what we asked ({reason})")
    finding = diagnose(settings)
    if finding is None:
        return BrokerUnavailableError(
            f"{where} did not do it within {seconds:.1f} s ({reason}), though it answers: it may "
            "be starting, or very busy. Try again; CHATKIT_KAFKA_TIMEOUT is how long to wait"
        )
    if finding.lasting:
        return BrokerRefusedError(finding.text)
    return BrokerUnavailableError(f"No Kafka within {seconds:.1f} s. {finding.text}")


def _about_right(settings: Settings, where: str, error: AuthorizationError, right: str) -> str:
    if settings.security_protocol.startswith("SASL"):
        who, other = f"user {settings.sasl_username!r}", "CHATKIT_SASL_USERNAME"
    elif settings.security_protocol == "SSL" and settings.ssl_certfile is not None:
        who, other = f"the owner of {settings.ssl_certfile}", "CHATKIT_SSL_CERTFILE"
    else:
        who, other = "users without a name", "CHATKIT_SECURITY_PROTOCOL and CHATKIT_SASL_USERNAME"
    kind, prefixes = "topic", "CHATKIT_TOPIC_PREFIX and CHATKIT_SYSTEM_PREFIX"
    if isinstance(error, GroupAuthorizationFailedError):
        kind, prefixes = "group", "CHATKIT_GROUP_PREFIX"
    if " on " not in right:
        of = error.args[0] if error.args else "?"
        named = ", ".join(sorted(map(repr, of if isinstance(of, set | frozenset) else [of])))
        right = f"{right} on {kind} {named}"
    return (
        f"{where} does not let {who} do that: the right {right} is missing "
        f"({type(error).__name__}). Ask whoever runs it for that, or change {other}, or, where "
        f"names must begin otherwise, {prefixes}"
    )


class _Discreet(logging.Filter):
    """Drops what would show a password: kafka-python logs all that it sends, if told to."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not any(secret in text for secret in self.secrets)


_discreet = _Discreet()
for _name in ("kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser"):
    logging.getLogger(_name).addFilter(_discreet)


Client = TypeVar("Client", KafkaConsumer, KafkaProducer, KafkaAdminClient)


def make_client(
    kind: type[Client],
    settings: Settings,
    *,
    timeout: float | None = None,
    patience: float | None = None,
    **config: Any,
) -> Client:
    """Return a connected client of kafka-python.

    Parameters
    ----------
    kind : type
        KafkaConsumer, KafkaProducer or KafkaAdminClient.
    settings : Settings
        Where Kafka is and how to log in.
    timeout : float, optional
        Seconds to wait for a broker; to say why none answered may take two more. Default:
        ``settings.kafka_timeout``.
    patience : float, optional
        Seconds after which to try anew, maybe with another broker: one that is frozen takes all
        the time of an attempt. Default: there is no other.
    **config
        Further configuration of the client.

    Raises
    ------
    BrokerRefusedError
        A broker does not let us in, or can't be talked to as the settings say; told at once.
    BrokerUnavailableError
        No broker answered in time.
    SettingsError
        The client does not take a setting as it is (a certificate that can't be read, say).
    """
    config["ssl_context"] = tls_context(settings)
    if settings.sasl_password is not None and settings.security_protocol.startswith("SASL"):
        password = settings.sasl_password.get_secret_value()
        _discreet.secrets |= {password, repr(password.encode())[2:-1]}
    seconds = settings.kafka_timeout if timeout is None else timeout
    started = time.monotonic()
    attempt = min(FIRST_SECONDS, seconds)
    while True:
        try:
            return _connect(kind, settings, attempt, config)
        except KafkaConfigurationError as error:
            raise SettingsError(f"Kafka's client refuses its settings: {error}") from error
        except (KafkaError, OSError) as error:
            problem = explain(settings, error, seconds)
            attempt = seconds - (time.monotonic() - started)
            if isinstance(problem, BrokerRefusedError) or attempt < 0.1:
                raise problem from error
            attempt = min(attempt, patience or attempt)


def close_producer(producer: KafkaProducer, timeout: float = 1.0) -> None:
    """Close a producer, also one that broke; what it has not sent by then is not sent.

    Parameters
    ----------
    producer : KafkaProducer
        It can't be used afterwards.
    timeout : float, default 1.0
        Seconds for what is still to be sent.
    """
    try:
        producer.close(timeout=timeout)
    except KafkaError:
        # kafka-python gives up flushing without ending its thread, which would go on sending.
        producer._sender.force_close()
    finally:
        # Else it would try to close, and print, once more when it is collected.
        producer._closed = True


def _connect(
    kind: type[Client], settings: Settings, seconds: float, config: dict[str, Any]
) -> Client:
    # kafka-python leaves the I/O thread of a client that could not connect running.
    with contextlib.ExitStack() as unconnected:
        made: list[KafkaNetClient] = []

        def net_client(**options: Any) -> KafkaNetClient:
            made.append(KafkaNetClient(**options))
            unconnected.callback(made[-1].close)
            return made[-1]

        client = kind(
            **settings.kafka_config(),
            bootstrap_timeout_ms=int(seconds * 1000),
            kafka_client=net_client,
            **config,
        )
        unconnected.pop_all()
        if made[-1].api_version(MetadataRequest, max_version=TOPIC_IDS) < TOPIC_IDS:
            # Without ids, a channel that was deleted and made again would pass for the old one.
            client.close()
            raise IncompatibleBrokerVersion("it does not tell topics' ids")
        return client
