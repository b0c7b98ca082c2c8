"""Tidy frames of `chatkit.stats` -> plotly figures, one file a theme.

Figures need no network and read well on a light and on a dark page: backgrounds are transparent,
letters and lines of a middle grey. Names are other people's text: plotly would take tags in them
for its own markup, so they are escaped.
"""

from __future__ import annotations

from chatkit.plots.volume import messages_per_author, messages_per_channel, messages_per_day

__all__ = ["messages_per_author", "messages_per_channel", "messages_per_day"]
