"""Statistics: a frame of messages -> tidy frames, one file a theme.

Functions take the frame that `chatkit.history.load` returns, leave it as it is, and do no I/O.
"""

from __future__ import annotations

from chatkit.stats.volume import per_author, per_channel, per_day

__all__ = ["per_author", "per_channel", "per_day"]
