"""Questions to Kafka's administration that outlive a broker, and waiting for what they answer.

No connection is kept: each call makes its own, since brokers come and go here on purpose.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from chatkit.connection import explain, is_hopeless, make_client
from chatkit.errors import BrokerRefusedError, BrokerUnavailableError, WorkshopTimeoutError
from chatkit.settings import Settings

__all__ = ["REQUEST_SECONDS", "WAIT_SECONDS", "NotYetError", "ask", "wait_for"]

WAIT_SECONDS = 20.0
"""How long a cell waits before it tells why it does."""
REQUEST_SECONDS = 3.0
"""After which a broker that does not answer is left for another one."""
PAUSE = 0.05
"""Seconds between two looks."""

Answer = TypeVar("Answer")


class NotYetError(Exception):
    """What is waited for is not there yet; the text says what is there instead."""


def ask(
    settings: Settings,
    question: Callable[[KafkaAdminClient], Answer],
    *,
    timeout: float = WAIT_SECONDS,
    right: str = "Describe",
) -> Answer:
    """Return what Kafka answers; where a broker fails, the question is put again to another one.

    Parameters
    ----------
    settings : Settings
        Where Kafka is.
    question : callable
        Is given an admin client; may be called again.
    timeout : float, default 20
        Seconds in which an answer must come.
    right : str, default "Describe"
        The right that it takes.

    Raises
    ------
    BrokerRefusedError
        Kafka does not let us do it.
    BrokerUnavailableError
        No broker answered in time.
    """
    started = time.monotonic()
    while True:
        left = max(timeout - (time.monotonic() - started), 0.1)
        admin = _connect(settings, min(left, settings.kafka_timeout))
        try:
            return question(admin)
        except (KafkaError, RuntimeError) as error:
            spent = time.monotonic() - started
            if is_hopeless(error) or spent + PAUSE > timeout:
                raise explain(settings, error, spent, right=right) from error
        finally:
            admin.close()
        time.sleep(PAUSE)


def wait_for(
    settings: Settings,
    what: str,
    look: Callable[[KafkaAdminClient], Answer],
    *,
    timeout: float = WAIT_SECONDS,
    advice: str,
) -> Answer:
    """Return what a look at Kafka finds, as soon as it finds it.

    Parameters
    ----------
    settings : Settings
        Where Kafka is.
    what : str
        What is waited for, as it follows "waited for".
    look : callable
        Is given an admin client; raises NotYetError until it is there.
    timeout : float, default 20
        Seconds.
    advice : str
        What to do if it does not come, as a sentence.

    Raises
    ------
    WorkshopTimeoutError
        It did not come in time; no broker that answers is a reason too.
    BrokerRefusedError
        Kafka does not let us see it.
    """
    end = time.monotonic() + timeout
    admin: KafkaAdminClient | None = None
    try:
        while True:
            try:
                if admin is None:
                    left = max(end - time.monotonic(), 0.1)
                    admin = _connect(settings, min(left, REQUEST_SECONDS))
                return look(admin)
            except BrokerRefusedError:
                raise
            except (NotYetError, BrokerUnavailableError) as error:
                seen = str(error)
            except (KafkaError, RuntimeError) as error:
                if is_hopeless(error):
                    raise explain(settings, error, timeout) from error
                seen = ": ".join([type(error).__name__, *map(str, error.args)])
                # A client whose broker went away may cling to it.
                if admin is not None:
                    admin.close()
                admin = None
            if time.monotonic() > end:
                raise WorkshopTimeoutError(
                    f"Waited {timeout:g} s for {what}. Seen last: {seen}. {advice}"
                )
            time.sleep(PAUSE)
    finally:
        if admin is not None:
            admin.close()


def _connect(settings: Settings, seconds: float) -> KafkaAdminClient:
    milliseconds = int(min(REQUEST_SECONDS, settings.kafka_timeout) * 1000)
    admin = make_client(
        KafkaAdminClient,
        settings,
        timeout=seconds,
        patience=REQUEST_SECONDS,
        request_timeout_ms=milliseconds,
    )
    # It waits 10 s for the first word of a broker, and does not let itself be told otherwise.
    admin._manager.config["socket_connection_setup_timeout_ms"] = milliseconds
    return admin
