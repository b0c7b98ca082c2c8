"""The end of a server's log in a form that people can read."""

from __future__ import annotations

import json
import re
from pathlib import Path

__all__ = ["log_end"]

ERRORS = 10
LINES = 6
WIDTH = 400
_SERIOUS = re.compile(
    r"^[EF] | (?:ERROR|FATAL) |^Caused by: |^(?:[\w$]+\.)+\w*(?:Exception|Error)\b"
)


def log_end(log: Path) -> str:
    """Return what a log says of errors, and its last lines.

    A server that gives up says why, and then for pages how tidily it shuts down. Java's stack
    frames are left out and mongod's JSON is made readable.

    Parameters
    ----------
    log : Path
        The file; it may be missing.

    Returns
    -------
    str
        At most 17 lines, of which the first names the file.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 256 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        return f"(There is no log at {log}.)"
    lines = [
        _readable(line)[:WIDTH]
        for line in text.splitlines()
        if line.strip() and not line.startswith(("\tat ", "\t... "))
    ]
    end = lines[-LINES:]
    errors = dict.fromkeys(line for line in lines[:-LINES] if _SERIOUS.search(line))
    shown = [*list(errors)[-ERRORS:], *end]
    return "\n".join([f"The end of {log}, errors first:", *(f"  {line}" for line in shown)])


def _readable(line: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        entry = json.loads(line)
        return f"{entry['s']} {entry['c']}: {entry['msg']} {json.dumps(entry.get('attr', {}))}"
    except (ValueError, KeyError, TypeError):
        return line
