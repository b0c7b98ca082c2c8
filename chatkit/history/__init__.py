"""The archive -> pandas DataFrames and Arrow tables with one row per message.

`load` gives a frame, `table` the same for polars and DuckDB, and `iter_frames` one frame after the
other of what does not fit into memory. They read segments, which are columns already, and as rows
what is in none or has changed; the answer is the same with and without segments. It knows nothing
of Kafka, statistics or plots.
"""

from __future__ import annotations

from chatkit.history.frames import DAY_MS, FIRST_MS, frame
from chatkit.history.loading import DamagedMessageWarning, iter_frames, load, table
from chatkit.history.reactions import REACTION_SCHEMA, load_reactions
from chatkit.segments.columns import MESSAGE_SCHEMA
from chatkit.segments.rows import READ_SECONDS

__all__ = [
    "DAY_MS",
    "FIRST_MS",
    "MESSAGE_SCHEMA",
    "REACTION_SCHEMA",
    "READ_SECONDS",
    "DamagedMessageWarning",
    "frame",
    "iter_frames",
    "load",
    "load_reactions",
    "table",
]
