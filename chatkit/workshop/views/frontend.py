"""A view's front end as one ES module, made from the scripts and styles beside this file.

anywidget loads one module per widget, so what views have in common is joined to each. That is all
that is built; nothing is fetched.
"""

from __future__ import annotations

import json
import re
from importlib import resources

__all__ = ["script"]

_IMPORT = re.compile(r'^import [^;]*? from "\./\w+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def _read(name: str, package: str = "chatkit.workshop.views") -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def script(name: str) -> str:
    """Return the module of a view: ``<name>.js`` and ``<name>.css`` with what all have in common.

    The view's script ends with ``export default createView(...)`` of ``drawing.js``.

    Parameters
    ----------
    name : str
        Such as ``log``.
    """
    style = "\n".join(_read(f"{part}.css") for part in ("drawing", name))
    scripts = [
        _read("elements.js", "chatkit.widgets"),
        _read("drawing.js"),
        _read(f"{name}.js"),
    ]
    joined = [_EXPORT.sub("", _IMPORT.sub("", text)) for text in scripts]
    return "\n".join([f"const STYLE = {json.dumps(style)};", *joined])
