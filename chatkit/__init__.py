"""chatkit: a chat and analytics workbench inside JupyterLab, over Apache Kafka and MongoDB.

Names load on first use, so that ``import chatkit`` is quick, opens nothing and needs no widgets.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatkit import history
    from chatkit.archiver import Archiver
    from chatkit.channels import Channels
    from chatkit.consumer import ConsumerThread
    from chatkit.errors import ChatkitError
    from chatkit.message import Message
    from chatkit.producer import ChatProducer, Receipt
    from chatkit.room import ChatRoom
    from chatkit.settings import Settings
    from chatkit.store import MessageStore
    from chatkit.widgets import ChatPanel
    from chatkit.widgets.explorer import Explorer, LiveDashboard

    __version__: str

__all__ = [
    "Archiver",
    "Channels",
    "ChatPanel",
    "ChatProducer",
    "ChatRoom",
    "ChatkitError",
    "ConsumerThread",
    "Explorer",
    "LiveDashboard",
    "Message",
    "MessageStore",
    "Receipt",
    "Settings",
    "__version__",
    "history",
]

_HOMES = {
    "Archiver": "archiver",
    "Channels": "channels",
    "ChatPanel": "widgets",
    "ChatProducer": "producer",
    "ChatRoom": "room",
    "ChatkitError": "errors",
    "ConsumerThread": "consumer",
    "Explorer": "widgets.explorer",
    "LiveDashboard": "widgets.explorer",
    "Message": "message",
    "MessageStore": "store",
    "Receipt": "producer",
    "Settings": "settings",
    "history": "history",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("chatkit")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOMES[name]}")
    value = home if _HOMES[name] == name else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
