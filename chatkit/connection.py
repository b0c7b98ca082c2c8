"""Make kafka-python's clients, so that a failure leaks nothing and says what to do.

The one place where a client is built: consumer, producer and admin client share settings, bounds
and explanations.
"""

from __future__ import annotations

from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaConfigurationError, KafkaError
from kafka.net.compat import KafkaNetClient

from chatkit.errors import BrokerUnavailableError, SettingsError
from chatkit.settings import Settings

__all__ = ["explain", "make_client"]


def explain(settings: Settings, error: Exception, seconds: float) -> BrokerUnavailableError:
    """Return the error that tells a user what kafka-python's error means."""
    return BrokerUnavailableError(
        f"No Kafka broker at {settings.bootstrap_servers} answered within {seconds:g} s "
        f"({type(error).__name__}: {error}). Start one with 'chatkit up', or set "
        "CHATKIT_BOOTSTRAP_SERVERS to one that runs"
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
    made: list[KafkaNetClient] = []

    def net_client(**options: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**options))
        return made[-1]

    try:
        return kind(
            **settings.kafka_config(),
            bootstrap_timeout_ms=int(seconds * 1000),
            kafka_client=net_client,
            **config,
        )
    except (KafkaError, OSError) as error:
        # kafka-python leaves the I/O thread of a client that could not connect running.
        for client in made:
            client.close()
        if isinstance(error, KafkaConfigurationError | FileNotFoundError | PermissionError):
            raise SettingsError(f"Kafka's client refuses its settings: {error}") from error
        raise explain(settings, error, seconds) from error
