"""The chat in JupyterLab: widgets over a :class:`chatkit.room.ChatRoom`.

The only folder that imports ipywidgets and anywidget. It touches Kafka and MongoDB through the
room alone.
"""

from chatkit.widgets.panel import ChatPanel

__all__ = ["ChatPanel"]
