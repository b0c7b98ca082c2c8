"""Notebook objects <-> attachments: tables, figures, pictures, source code, files.

What comes from others is checked before it is unpacked: a small attachment may claim to be huge,
be something else than it says, or ask the network for more. Never pickle. Knows nothing of Kafka,
of MongoDB or of widgets, and loads pandas, Arrow and plotly only once they are needed. Pictures and
matplotlib's figures are known by their methods, since neither library has to be there.
"""

from __future__ import annotations

from chatkit.share.files import from_file
from chatkit.share.kinds import DECODED_LIMIT, FIGURE_TYPE, FRAME_TYPE, PICTURE_TYPES
from chatkit.share.previews import PREVIEW_LIMIT, preview
from chatkit.share.shared import Shared
from chatkit.share.sources import Source
from chatkit.share.tables import END as END
from chatkit.share.things import to_attachment

__all__ = [
    "DECODED_LIMIT",
    "FIGURE_TYPE",
    "FRAME_TYPE",
    "PICTURE_TYPES",
    "PREVIEW_LIMIT",
    "Shared",
    "Source",
    "from_file",
    "preview",
    "to_attachment",
]
