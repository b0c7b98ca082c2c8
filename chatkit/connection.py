"""Make kafka-python's clients, so that a failure leaks nothing and says what to do.

The one place where a client is built: consumer, producer and admin client share settings, bounds
and explanations.
"""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    AuthorizationError,
    BrokerResponseError,
    KafkaConfigurationError,
    KafkaError,
    SaslAuthenticationFailedError,
)
from kafka.net.compat import KafkaNetClient

from chatkit.errors import BrokerUnavailableError, SettingsError
from chatkit.settings import Settings

__all__ = ["explain", "make_client"]


def explain(settings: Settings, error: Exception, seconds: float) -> BrokerUnavailableError:
    """Return the error that tells a user what kafka-python's error means.

    Parameters
    ----------
    settings : Settings
        Where Kafka was looked for, and how.
    error : Exception
        What kafka-python raised.
    seconds : float
        How long it took.
    """
    where = f"Kafka at {settings.bootstrap_servers}"
    reason = f"{type(error).__name__}: {str(error).removeprefix(type(error).__name__ + ': ')}"
    if isinstance(error, SaslAuthenticationFailedError | AuthorizationError):
        return BrokerUnavailableError(
            f"{where} refused us ({reason}). Check CHATKIT_SASL_USERNAME, CHATKIT_SASL_PASSWORD "
            "and CHATKIT_SASL_MECHANISM, or ask who runs it what this user may do"
        )
    if isinstance(error, BrokerResponseError) and not error.retriable:
        return BrokerUnavailableError(f"{where} refused what we asked ({reason})")
    return BrokerUnavailableError(
        f"No broker of {where} answered within {seconds:.1f} s over {settings.security_protocol} "
        f"({reason}). Start one with 'chatkit up', or set CHATKIT_BOOTSTRAP_SERVERS and "
        "CHATKIT_SECURITY_PROTOCOL to one that runs"
    )


Client = TypeVar("Client", KafkaConsumer, KafkaProducer, KafkaAdminClient)


def make_client(
    kind: type[Client], settings: Settings, *, timeout: float | None = None, **config: Any
) -> Client:
    """Return a connected client of kafka-python.

    Parameters
    ----------
    kind : type
        KafkaConsumer, KafkaProducer or KafkaAdminClient.
    settings : Settings
        Where Kafka is and how to log in.
    timeout : float, optional
        Seconds to wait for a broker. Default: ``settings.kafka_timeout``.
    **config
        Further configuration of the client.

    Raises
    ------
    BrokerUnavailableError
        No broker answered in time, or it refused us.
    SettingsError
        The client does not take a setting as it is (a certificate that can't be read, say).
    """
    seconds = settings.kafka_timeout if timeout is None else timeout
    # kafka-python leaves the I/O thread of a client that could not connect running.
    with contextlib.ExitStack() as unconnected:

        def net_client(**options: Any) -> KafkaNetClient:
            client = KafkaNetClient(**options)
            unconnected.callback(client.close)
            return client

        try:
            client = kind(
                **settings.kafka_config(),
                bootstrap_timeout_ms=int(seconds * 1000),
                kafka_client=net_client,
                **config,
            )
        except (KafkaConfigurationError, FileNotFoundError, PermissionError) as error:
            raise SettingsError(f"Kafka's client refuses its settings: {error}") from error
        except (KafkaError, OSError) as error:
            raise explain(settings, error, seconds) from error
        unconnected.pop_all()
        return client
