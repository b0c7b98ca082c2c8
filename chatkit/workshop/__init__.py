"""What a Kafka workshop needs: a cluster to break, members to start and stop, scoreboards, checks.

Names load on first use, so that importing the package opens nothing and needs neither widgets nor
pandas. Nothing here knows notebooks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatkit.workshop import check
    from chatkit.workshop.cluster import LabCluster
    from chatkit.workshop.inspector import Inspector
    from chatkit.workshop.learner import Learner
    from chatkit.workshop.member import Member
    from chatkit.workshop.notes import GroupEvent, Handled
    from chatkit.workshop.scoreboard import Score, Scoreboard
    from chatkit.workshop.sender import Sender, Sent
    from chatkit.workshop.views import ClusterView, GroupView, LogView, OffsetView, ScoreView

__all__ = [
    "ClusterView",
    "GroupEvent",
    "GroupView",
    "Handled",
    "Inspector",
    "LabCluster",
    "Learner",
    "LogView",
    "Member",
    "OffsetView",
    "Score",
    "ScoreView",
    "Scoreboard",
    "Sender",
    "Sent",
    "check",
]

_HOMES = {
    "ClusterView": "views",
    "GroupEvent": "notes",
    "GroupView": "views",
    "Handled": "notes",
    "Inspector": "inspector",
    "LabCluster": "cluster",
    "Learner": "learner",
    "LogView": "views",
    "Member": "member",
    "OffsetView": "views",
    "Score": "scoreboard",
    "ScoreView": "views",
    "Scoreboard": "scoreboard",
    "Sender": "sender",
    "Sent": "sender",
    "check": "check",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOMES[name]}")
    value = home if name == "check" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
