"""What several importers need to read files: where we are, values of any type, names, times.

Knows no format; what becomes of an entry is each importer's own business.
"""

from __future__ import annotations

import hashlib
import itertools
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from chatkit.errors import InputError
from chatkit.importers import (
    CHANNEL_LIMIT,
    SPLIT,
    Item,
    Mended,
    Skipped,
    author_name,
    channel_name,
    split_body,
    stable_id,
)
from chatkit.message import AUTHOR_LIMIT, Event, Message, check, check_channel_name

__all__ = [
    "Authors",
    "ChannelNames",
    "Place",
    "Repeats",
    "checked",
    "files_in",
    "link",
    "local_ms",
    "messages_of",
    "objects_at",
    "shown",
    "text_at",
    "time_zone",
]

REPEATS = 20_000
_URL_ESCAPES = str.maketrans(
    {"(": "%28", ")": "%29", "<": "%3C", ">": "%3E", " ": "%20", "\n": None}
)
_LABEL_ESCAPES = str.maketrans({"[": r"\[", "]": r"\]", "\\": r"\\", "\n": " "})
_EPOCH = datetime(1970, 1, 1)
_MS = timedelta(milliseconds=1)


class Place(NamedTuple):
    """Where in the source we are, to say so in notes."""

    file: str
    position: int | None = None

    def skipped(
        self, reason: str, what: str = "entry", detail: str = "", *, lost: bool = False
    ) -> Skipped:
        """Return the note that what is here was left out."""
        return Skipped(
            reason=reason,
            file=self.file,
            position=self.position,
            what=what,
            detail=detail,
            lost=lost,
        )

    def mended(self, reason: str, detail: str = "") -> Mended:
        """Return the note that what is here was not taken as it stands."""
        return Mended(reason=reason, file=self.file, position=self.position, detail=detail)


def files_in(paths: Sequence[Path], pattern: str) -> list[tuple[Path, bool]]:
    """Return the files that paths stand for, each with whether it was named itself.

    Parameters
    ----------
    paths : sequence of Path
        Files, and folders in which to look.
    pattern : str
        What files in a folder are called, such as ``*.json``.

    Returns
    -------
    list of (Path, bool)
        Those of a folder sorted by name; none twice.

    Raises
    ------
    InputError
        There are no paths, a path leads nowhere, or a folder has no such file.
    """
    if not paths:
        raise InputError("No file to import: name at least one")
    found: dict[Path, bool] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.glob(pattern) if file.is_file())
            if not inside:
                raise InputError(f"No {pattern} is in {path}: name the file itself")
            for file in inside:
                found.setdefault(file, False)
        elif path.exists():
            found[path] = True
        else:
            raise InputError(f"There is no file or folder {path}")
    return list(found.items())


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """Return a time zone by its IANA name.

    Raises
    ------
    InputError
        There is no such zone.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(f"{name!r} is no time zone: write one such as Europe/Berlin") from error


def local_ms(local: datetime, zone: zoneinfo.ZoneInfo, not_before: int | None = None) -> int:
    """Return what a clock on a wall means, in ms since 1970 UTC.

    Parameters
    ----------
    local : datetime
        Without a zone.
    zone : ZoneInfo
        Where the clock hangs.
    not_before : int, optional
        A time that was before; of an hour that the clock shows twice in autumn, the second one
        is meant if the first would be earlier than that.

    Returns
    -------
    int
        May be negative, for times before 1970.
    """
    first = _ms_at(local, zone, 0)
    if not_before is None or first >= not_before:
        return first
    second = _ms_at(local, zone, 1)
    return second if second >= not_before else first


def _ms_at(local: datetime, zone: zoneinfo.ZoneInfo, fold: int) -> int:
    offset = local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()
    return (local - _EPOCH - offset) // _MS


def text_at(holder: Any, *keys: str) -> str:
    """Return the text at a path of keys; empty if there is none."""
    for key in keys:
        holder = holder.get(key) if isinstance(holder, dict) else None
    return holder if isinstance(holder, str) else ""


def objects_at(holder: Any, key: str) -> list[dict[str, Any]]:
    """Return the objects in the list at a key; none if there is no list."""
    values = holder.get(key) if isinstance(holder, dict) else None
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def shown(value: object) -> str:
    """Return a short word for a value; nested ones can be too deep to print."""
    if isinstance(value, str | int):
        return author_name(str(value))
    return f"of type {type(value).__name__}"


def link(url: str, label: str) -> str:
    """Return a Markdown link, or the one of the two that says something."""
    label = label.strip()
    if not url or not label or label == url:
        return url or label
    return f"[{label.translate(_LABEL_ESCAPES)}]({url.translate(_URL_ESCAPES)})"


def checked(item: Message | Event, place: Place, what: str = "entry") -> Item:
    """Return the item, or a note if the wire format would refuse it."""
    try:
        check(item)
    except InputError as error:
        return place.skipped("breaks a rule of the wire format", what, str(error))
    return item


def messages_of(first: Message, place: Place, what: str = "entry") -> Iterator[Item]:
    """Yield a message, in parts if its text is over the size limit.

    Parameters
    ----------
    first : Message
        With a body of any length.
    place : Place
        For notes.
    what : str, default "entry"
        What it was made of, for the note should the wire format refuse it.

    Yields
    ------
    Message, Mended or Skipped
        The first part has the id of ``first``, for replies and reactions; a note if nothing but
        white space is in the body.
    """
    parts = split_body(first.body)
    if not parts:
        yield place.skipped("no text", what)
    for number, body in enumerate(parts, 1):
        if number > 1:
            yield place.mended(SPLIT)
            own_id = stable_id(first.source, "part", first.channel, f"{first.id}/{number}")
            part = msgspec.structs.replace(first, id=own_id, body=body)
        else:
            part = first if body == first.body else msgspec.structs.replace(first, body=body)
        yield checked(part, place, what)


class Authors:
    """Names of authors by their ids in the source; two people never share a name here."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: dict[str, str] = {}

    def name(self, own_id: str, *wanted: str) -> str:
        """Return the name of who has this id: the first that was wanted for it and is free.

        Parameters
        ----------
        own_id : str
            Id in the source; empty if it is not told: then the name alone tells people apart.
        *wanted : str
            Names, the best first; may be empty or unprintable.
        """
        if own_id in self._names:
            return self._names[own_id]
        names = [name for name in map(author_name, wanted) if name]
        if not own_id:
            return names[0] if names else "unknown"
        tag = author_name(own_id)[:30]
        names += [author_name(f"{name[: AUTHOR_LIMIT - 33]} ({tag})") for name in names[:1]]
        names.append(tag)
        name = next((one for one in names if self._taken.get(one, own_id) == own_id), "unknown")
        self._names[own_id] = name
        self._taken[name] = own_id
        return name


class ChannelNames:
    """Names of channels by their ids in the source; two channels never share one."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def name(self, own_id: str, source_name: str) -> str:
        """Return the name that looks like the source's; with the id behind it if that is taken."""
        base = channel_name(source_name)
        suffix = channel_name(own_id)[:30] or "unnamed"
        longer = channel_name(f"{base[: CHANNEL_LIMIT - 40]}-{suffix}")  # leaves room for a number
        numbered = (f"{longer}-{number}" for number in itertools.count(2))
        wanted = itertools.chain(filter(None, (base,)), (longer,), numbered)
        name = next(one for one in wanted if self._taken.get(one, own_id) == own_id)
        self._taken[name] = own_id
        return check_channel_name(name)


class Repeats:
    """Which such one an entry is, where entries have no id of their own. For one channel.

    It remembers the last 20,000 different entries: no source mixes older ones in.
    """

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}

    def own_id(self, *parts: str) -> str:
        """Return an id of what an entry consists of, and of how many like it were before.

        Parameters
        ----------
        *parts : str
            Its time, author and text, say.
        """
        text = "\0".join(parts)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        number = self._counts.pop(digest, 0)
        self._counts[digest] = number + 1
        if len(self._counts) > REPEATS:
            del self._counts[next(iter(self._counts))]
        return f"{digest.hex()}/{number}"
