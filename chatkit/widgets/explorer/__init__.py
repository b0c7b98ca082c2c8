"""Statistics of a history to look through, and of what is being written now."""

from chatkit.widgets.explorer.dashboard import LiveDashboard
from chatkit.widgets.explorer.explorer import Explorer

__all__ = ["Explorer", "LiveDashboard"]
