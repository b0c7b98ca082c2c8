"""What moves on a Kafka, to look at in a notebook: widgets that draw themselves anew by themselves.

Each view looks some five times a second, on one thread of its own, and tells the same in three
ways: drawn, as a DataFrame (``frame``), and in words (``text``, for screen readers and tests).
Names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatkit.workshop.views.cluster import ClusterView
    from chatkit.workshop.views.group import GroupView
    from chatkit.workshop.views.log import LogView
    from chatkit.workshop.views.offsets import OffsetView
    from chatkit.workshop.views.score import ScoreView

__all__ = ["ClusterView", "GroupView", "LogView", "OffsetView", "ScoreView"]

_HOMES = {
    "ClusterView": "cluster",
    "GroupView": "group",
    "LogView": "log",
    "OffsetView": "offsets",
    "ScoreView": "score",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
