"""The archive -> files: tables for other programs, a page to read, and all that one person wrote.

Everything streams: memory stays flat whatever the size. A file is written under another name beside
its own and renamed when it is whole, so that a part of an export never looks like one.
"""

from chatkit.exporting.exports import FORMATS, Exported, export
from chatkit.exporting.person import export_person

__all__ = ["FORMATS", "Exported", "export", "export_person"]
