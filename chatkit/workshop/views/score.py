"""What became of the messages: the counts of a scoreboard, big, and by partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from chatkit.workshop.views.frontend import script
from chatkit.workshop.views.ticking import SECONDS, Seen, View

if TYPE_CHECKING:
    import pandas as pd

    from chatkit.workshop.scoreboard import Scoreboard

__all__ = ["ScoreView"]

IDS_SHOWN = 8


class ScoreView(View):
    """Shows how many messages were sent, acknowledged, seen, lost, doubled and out of order.

    Thread-safe; who makes it closes it. It counts what senders and members hold, and never asks
    Kafka.

    Parameters
    ----------
    scoreboard : Scoreboard
        What counts.
    seconds : float, default 0.2
        Between two looks, over 0.
    """

    _esm = script("score")

    def __init__(self, scoreboard: Scoreboard, *, seconds: float = SECONDS) -> None:
        self._scoreboard = scoreboard
        super().__init__("What became of the messages", seconds=seconds)

    @property
    def frame(self) -> pd.DataFrame:
        """The counts by partition, as they are now: `Scoreboard.frame`."""
        return self._scoreboard.frame()

    def _look(self) -> Seen:
        score = self._scoreboard.count()
        content: dict[str, Any] = {
            "total": _counts(score),
            "partitions": [
                {"topic": topic, "partition": partition, **_counts(tally)}
                for (topic, partition), tally in score.partitions.items()
            ],
            "lost": self._scoreboard.lost_ids[:IDS_SHOWN] if score.lost else [],
            "doubled": self._scoreboard.doubled_ids[:IDS_SHOWN] if score.doubled else [],
        }
        return Seen(content, f"{score}.")


def _counts(tally: Any) -> dict[str, int]:
    counts = msgspec.structs.asdict(tally)
    counts.pop("partitions", None)
    return counts
