"""Real Apache Kafka and mongod on this machine, without Docker.

Knows settings and errors only: nothing here knows what a message is. Names load on first use, so
that the guard processes, which import this package, stay small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatkit.local.background import start_detached, stop_running
    from chatkit.local.foreground import supervise, until_asked_to_end
    from chatkit.local.jars import fetch_kafka
    from chatkit.local.server import LocalServer
    from chatkit.local.stack import LocalStack

__all__ = [
    "LocalServer",
    "LocalStack",
    "fetch_kafka",
    "start_detached",
    "stop_running",
    "supervise",
    "until_asked_to_end",
]

_HOMES = {
    "LocalServer": "server",
    "LocalStack": "stack",
    "fetch_kafka": "jars",
    "start_detached": "background",
    "stop_running": "background",
    "supervise": "foreground",
    "until_asked_to_end": "foreground",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
