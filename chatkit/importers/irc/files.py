"""The files of IRC logs: which there are, what their names tell, and their lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import IO

import msgspec

from chatkit.errors import ImportFormatError, InputError
from chatkit.importers import Item, channel_name
from chatkit.importers.irc import lines
from chatkit.importers.irc.clock import DAY_LINE, TIME, day_in_name
from chatkit.importers.irc.links import LINKS
from chatkit.importers.reading import Place
from chatkit.message import check_channel_name

__all__ = [
    "IDENT",
    "TOO_LONG",
    "Log",
    "channels_inside",
    "chunks",
    "ident",
    "logs_in",
    "texts",
]

LONGEST = 64 * 1024
"""Bytes that a line may have; IRC itself sends 512."""
HEAD = 64 * 1024
"""Bytes at the start of a file that tell whether it is a log."""
CHUNK = 256 * 1024
PATTERNS = ("*.log", "*.txt", "*.weechatlog")
IDENT = "Session Ident:"
"""How the line begins in which mIRC names the channel."""
TOO_LONG = "a line over 64 KiB"


class Log(msgspec.Struct, frozen=True):
    """A file, and what its name tells."""

    path: Path
    day: date | None
    channel: str
    """Name of the channel here; empty if lines have to tell."""
    source_channel: str


def logs_in(paths: Sequence[Path], channel: str | None) -> tuple[list[Log], list[Item]]:
    """Return the logs that paths stand for, by day and name, and what of them is none.

    Parameters
    ----------
    paths : sequence of Path
        Logs, and folders of them.
    channel : str, optional
        Name of the channel here, for all of them.

    Raises
    ------
    ImportFormatError
        A file that was named is no IRC log, or no file of a folder is.
    InputError
        A path leads nowhere, or ``channel`` can't be.
    """
    if not paths:
        raise InputError("No file to import: name at least one IRC log")
    if channel is not None:
        check_channel_name(channel)
    logs: dict[Path, Log] = {}
    notes: list[Item] = []
    for path in paths:
        for file in _files(path):
            if _is_log(file):
                named = lines.channel_in_name(file.name)
                name = channel or channel_name(named)
                logs[file] = Log(file, day_in_name(file.name), name, f"#{named}" if named else name)
            elif file == path:
                raise ImportFormatError(
                    f"{path} is no IRC log: nothing at its start looks like '[09:16] <nick> text' "
                    "or another form of a line that IRC programs write"
                )
            else:
                notes.append(Place(file.name).skipped("no IRC log", "file"))
    if not logs:
        raise ImportFormatError(
            f"No IRC log is in {paths[0]}: looked for files that end in .log, .txt or "
            ".weechatlog. Name the files themselves"
        )
    return sorted(logs.values(), key=lambda log: (log.day or date.min, log.path.name)), notes


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = {file for pattern in PATTERNS for file in path.glob(pattern) if file.is_file()}
        return sorted(file for file in found if not file.name.endswith(LINKS))
    if not path.exists():
        raise InputError(f"There is no file or folder {path}")
    return [path]


def _is_log(path: Path) -> bool:
    """Whether a line at the start of a file has a form that is known; an empty file is a log."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return True  # to be told when it is read
    found = head.decode("utf-8", "replace").removeprefix("\ufeff").split("\n")
    return not head.strip() or any(map(_has_form, found))


def _has_form(line: str) -> bool:
    match = TIME.match(line)
    if match is None:
        return bool(DAY_LINE.match(line) or lines.happening(line))
    return lines.spoken(line[match.end() :], match[0].endswith("\t")) is not None


def channels_inside(path: Path) -> list[str]:
    """Return the channels that the lines of a log name, where its name tells none.

    Raises
    ------
    InputError
        Most lines name none.
    """
    found: Counter[str] = Counter()
    told = ""
    with path.open("rb") as file:
        for _, line, _ in texts(file):
            if line.startswith(IDENT):
                told = ident(line)
            match = TIME.match(line)
            said = lines.spoken(line[match.end() :], match[0].endswith("\t")) if match else None
            if isinstance(said, lines.Spoken):
                found[told or said.channel or lines.nick(said.nick)[1]] += 1
    if 2 * found.pop("", 0) >= max(1, found.total()):
        raise InputError(f"Most lines of {path} name no channel: say --channel NAME")
    return sorted(found)


def ident(line: str) -> str:
    """Return the channel that mIRC writes above a session; empty if it is talk with a person."""
    name = line.removeprefix(IDENT).strip()
    return name if name[:1] in ("#", "&") else ""


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield whole lines, many at a time."""
    while chunk := file.read(CHUNK):
        yield chunk + file.readline(LONGEST)


def texts(file: IO[bytes]) -> Iterator[tuple[int, str, str]]:
    """Yield number, text and what is wrong with it of each line that is not empty."""
    cut = False
    number = -1
    for raw in iter(partial(file.readline, LONGEST), b""):
        if cut:  # the rest of a line that is too long
            cut = not raw.endswith(b"\n")
            continue
        number += 1
        trouble = ""
        if len(raw) == LONGEST and not raw.endswith(b"\n"):
            cut, trouble = True, TOO_LONG
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            line = raw.decode("cp1252", "replace")
            trouble = trouble or "not UTF-8: read as Windows-1252"
        line = line.rstrip("\r\n")
        if number == 0:
            line = line.removeprefix("\ufeff")
        if line and not line.isspace():
            yield number, line, trouble
