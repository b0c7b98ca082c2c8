"""What importers share: stable ids, names and texts that fit the wire, and what was left out.

An importer is a module with a function ``read`` that turns files into a stream of items: messages
and events to send, oldest first in each channel, and between them a word about everything that
was left out (:class:`Skipped`) or could not be taken as it stood (:class:`Mended`). Importers only
read files; they know nothing of Kafka or MongoDB. Who sends the items, as
:mod:`chatkit.sending` does, counts them with a :class:`Tally`.
"""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import msgspec

from chatkit.message import AUTHOR_LIMIT, BODY_LIMIT, Event, Message

__all__ = [
    "CHANNEL_LIMIT",
    "SPLIT",
    "ImportedChannel",
    "Item",
    "Mended",
    "Skipped",
    "Tally",
    "author_name",
    "bytes_told",
    "channel_name",
    "open_bytes",
    "open_first",
    "split_body",
    "stable_id",
]

SPLIT = "a part of a text over the size limit"
"""Reason of the :class:`Mended` before every message that continues the one before it."""
CHANNEL_LIMIT = 80
"""Characters that a channel's name may have."""
EXAMPLES = 5
UNREAD = 100
READ_SIZE = 64 * 1024
NAMESPACE = uuid.UUID("5f0c9b1e-6d0b-4b7a-9d57-2f3a8c41e6d2")  # never change it: ids hang on it
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_on_read: ContextVar[Callable[[int], None] | None] = ContextVar("on_read", default=None)


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    reason: str
    """Why; one of few, so that it can be counted."""
    file: str
    """Where: the file's name inside the source."""
    position: int | None = None
    """Which entry (or line) of the file, from 0; None: the file as a whole."""
    detail: str = ""
    """What is particular to this one; may be empty."""

    @property
    def where(self) -> str:
        """File and position as people read them, such as ``general/2020-01-31.json[12]``."""
        return self.file if self.position is None else f"{self.file}[{self.position}]"


class Skipped(_Note, frozen=True, kw_only=True):
    """Something in the source that no item was made of."""

    what: str = "entry"
    """``entry`` (what people or the system wrote), ``reaction``, ``link`` (of a reply), ``record``
    (of a user or a channel), ``file`` or ``folder``."""
    lost: bool = False
    """Whether it should have been read and could not be: then the import is not whole."""


class Mended(_Note, frozen=True, kw_only=True):
    """Something that was taken, but not as it stood."""


Item = Message | Event | Skipped | Mended
"""What importers yield."""


class ImportedChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel of the source, with what is needed to create it here."""

    name: str
    """The channel's name here."""
    source_name: str
    """Its name in the source; differs from ``name`` only if that is no channel name here."""
    source_id: str = ""
    """Its id in the source; empty if it has none."""
    description: str = ""
    """What it is for, as plain text; may have several lines."""
    creator: str = ""
    """Who created it, under the name that is also used as author; empty if unknown."""
    created_ms: int | None = None
    """When it was created, ms since 1970 UTC; None if unknown."""
    archived: bool = False
    """Whether it was closed to new messages."""
    private: bool = False
    """Whether only some could read it in the source."""


class Tally:
    """Counts of what an importer found. Not thread-safe; nothing to close.

    Parameters
    ----------
    note : callable, optional
        Given every Skipped and Mended, for who wants to keep them all.
    """

    def __init__(self, note: Callable[[Skipped | Mended], None] = lambda note: None) -> None:
        self._note = note
        self.messages: Counter[str] = Counter()
        """Messages by channel."""
        self.events: Counter[str] = Counter()
        """Events by kind: ``join``, ``leave``, ``react``, ``edit``, ..."""
        self.channel_events: Counter[str] = Counter()
        """Events by channel."""
        self.skipped: Counter[tuple[str, str]] = Counter()
        """What was left out, by (what, reason)."""
        self.mended: Counter[str] = Counter()
        """What was taken otherwise than it stood, by reason."""
        self.lost = 0
        """How many of the skipped should have been read and could not be."""
        self.unread: list[Skipped] = []
        """The first 100 of them."""
        self.examples: dict[str, list[Skipped | Mended]] = {}
        """The first few of each reason, to show where to look."""
        self.first: list[Message] = []
        """The first few messages, as they came."""
        self.span: tuple[int, int] | None = None
        """Time of the oldest and the newest message, ms since 1970 UTC; None: there is none."""

    @property
    def entries(self) -> int:
        """How many entries the source had: every one was taken, or is among the skipped."""
        taken = self.messages.total() - self.mended[SPLIT]
        left_out = sum(n for (what, _), n in self.skipped.items() if what == "entry")
        return taken + self.events["join"] + self.events["leave"] + left_out

    def watch(self, items: Iterable[Item]) -> Iterator[Message | Event]:
        """Yield what is to be sent out of a stream of items, having counted everything.

        Parameters
        ----------
        items : iterable of Message, Event, Skipped or Mended
            What an importer's ``read`` returned.

        Yields
        ------
        Message or Event
            In the order of ``items``.
        """
        for item in items:
            if isinstance(item, Message):
                self._count_message(item)
            elif isinstance(item, Skipped | Mended):
                self._count_note(item)
                continue
            else:
                self.events[type(item).__name__.lower()] += 1
                self.channel_events[item.channel] += 1
            yield item

    def _count_message(self, message: Message) -> None:
        self.messages[message.channel] += 1
        now = message.sent_ms
        oldest, newest = self.span or (now, now)
        if now < oldest or now > newest or self.span is None:
            self.span = min(oldest, now), max(newest, now)
        if len(self.first) < EXAMPLES:
            self.first.append(message)

    def _count_note(self, note: Skipped | Mended) -> None:
        self._note(note)
        if isinstance(note, Skipped):
            self.skipped[note.what, note.reason] += 1
            self.lost += note.lost
            if note.lost and len(self.unread) < UNREAD:
                self.unread.append(note)
        else:
            self.mended[note.reason] += 1
        examples = self.examples.setdefault(note.reason, [])
        if len(examples) < EXAMPLES:
            examples.append(note)


def stable_id(source: str, workspace: str, channel: str, own_id: str) -> str:
    """Return the id of an imported item: the same whenever the same thing is imported again.

    Parameters
    ----------
    source : str
        The format: ``slack``, ``irc``, ...
    workspace : str
        What the channel's name is unique in; must not depend on where the files lie.
    channel : str
        The channel that the item goes to.
    own_id : str
        What the item is called in the source, unique in its channel.

    Returns
    -------
    str
        A UUID of version 5.
    """
    # As str(uuid.uuid5(NAMESPACE, name)), which takes four times as long.
    name = "\0".join((source, workspace, channel, own_id)).encode()
    digits = hashlib.sha1(NAMESPACE.bytes + name, usedforsecurity=False).hexdigest()
    return (
        f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}"
        f"-{digits[20:32]}"
    )


class _Told(io.FileIO):
    """A file that tells how many bytes were read from it."""

    def __init__(self, path: Path, told: Callable[[int], None]) -> None:
        super().__init__(path)
        self._told = told

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        self._told(count or 0)
        return count


def open_first(path: Path) -> io.BufferedReader:
    """Open a file of the source for a first look at it, which brings no import further."""
    return io.BufferedReader(io.FileIO(path), READ_SIZE)


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a file of the source to read it, so that who waits sees how far it is.

    Parameters
    ----------
    path : Path
        The file. For what is read to import it, not for a first look at it.

    Returns
    -------
    binary file
        Buffered; the caller closes it.
    """
    told = _on_read.get()
    return open_first(path) if told is None else io.BufferedReader(_Told(path, told), READ_SIZE)


@contextmanager
def bytes_told(told: Callable[[int], None]) -> Iterator[None]:
    """Have something called while files are read, for a bar that shows how far an import is.

    Importers know nothing of it, but that they open files with `open_bytes`.

    Parameters
    ----------
    told : callable
        Given the number of bytes each time some were read.
    """
    token = _on_read.set(told)
    try:
        yield
    finally:
        _on_read.reset(token)


def author_name(text: str) -> str:
    """Return a name as the wire format wants it: printable, on one line, at most 64 characters.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        Empty if nothing printable is in ``text``.
    """
    kept = "".join(c for c in text if c.isprintable() or c.isspace())
    return " ".join(kept.split())[:AUTHOR_LIMIT].strip()


def channel_name(text: str) -> str:
    """Return a channel name that looks like the text; a name that fits already stays as it is.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        At most 80 of a-z, 0-9, ``-`` and ``_``, first a letter or digit; empty if nothing of
        ``text`` can be kept. Two texts may get the same name: the caller tells them apart.
    """
    name = re.sub(r"[^a-z0-9_-]", "-", text.lower())
    return re.sub(r"^[_-]+", "", name)[:CHANNEL_LIMIT]


def split_body(body: str) -> list[str]:
    """Return a body in parts that fit into a message each.

    The parts together are the body; only parts that are nothing but white space are left out. A
    part ends after a line if there is one in its second half, else after a space, else anywhere.

    Parameters
    ----------
    body : str
        Valid Unicode of any length.

    Returns
    -------
    list of str
        The body itself, if it fits; empty, if it is nothing but white space.
    """
    data = body.encode()
    parts = []
    start = 0
    while len(data) - start > BODY_LIMIT:
        end = start + BODY_LIMIT
        while data[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        for mark in (b"\n", b" "):
            after = data.rfind(mark, start + BODY_LIMIT // 2, end) + 1
            if after:
                end = after
                break
        parts.append(data[start:end].decode())
        start = end
    parts.append(data[start:].decode())
    return [part for part in parts if part.strip()]
