"""One plotly figure on a page whose content changes: a new one would be sent whole each time."""

from __future__ import annotations

import plotly.graph_objects as go

__all__ = ["draw"]


def draw(shown: go.FigureWidget, figure: go.Figure) -> None:
    """Let a figure on a page show what another holds."""
    with shown.batch_update():
        shown.data = ()
        shown.layout = figure.layout
        shown.add_traces(figure.data)
