"""The panel's front end as one ES module, made from the scripts and the style beside this file.

anywidget loads one module per widget, so the scripts, which import each other by name, are joined
here. That is all that is built; nothing is fetched.
"""

from __future__ import annotations

import json
import re
from importlib import resources

from chatkit.markup import PYGMENTS_CSS

__all__ = ["ESM"]

_SCRIPTS = (
    *("elements", "rows", "store", "code", "figure", "shared", "lens", "picker", "actions", "row"),
    "transcript",
    *("complete", "composer", "notify", "menu", "people", "channel_forms", "channels", "header"),
    *("cards", "search", "aside", "panel"),
)
"""Each after those that it imports."""
_STYLES = (*("panel", "channels", "header", "transcript", "row", "composer", "aside", "narrow"),)
"""The later ones count where they contradict."""
_IMPORT = re.compile(r'^import [^;]*? from "\./\w+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _join() -> str:
    scripts = [_EXPORT.sub("", _IMPORT.sub("", _read(f"{name}.js"))) for name in _SCRIPTS]
    style = "\n".join([*(_read(f"{name}.css") for name in _STYLES), PYGMENTS_CSS])
    return "\n".join([f"const STYLE = {json.dumps(style)};", *scripts])


ESM = _join()
"""The module's text, read once: anywidget would watch a file that it gets as a path."""
