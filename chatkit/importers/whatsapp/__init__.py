"""A chat that WhatsApp exported as text, of Android or of an iPhone -> messages and events.

What becomes of an entry:

- What people wrote is a message, with all its lines. A file is its name in the body, or the words
  that stand for it where it was left out. An edited one gets an edit event with the same text, of
  the message's time, for the export does not tell when; a note says so.
- Joining and leaving are events where the language is one of English, German, Spanish, French,
  Portuguese, Italian and Dutch. Those of who made the export are skipped: it is called "You".
- Other notices, and messages that were taken back, are skipped.

Dates are written in the phone's way. Whether the day or the month is first is found out from all
dates of the file: by those that are possible in one way only, else by the order of time. Where
it stays open it has to be said. Times are by the phone's clock, so the phone's time zone has to be
said too; an hour that comes twice in autumn is told apart by the order of the entries.

WhatsApp has no ids. Ours come from the time on the clock, author and text, and from how many like
it there were before, so that an export that overlaps gives the same ids. What reads otherwise in a
later export (an edited text, a file that was left out before) is another message. One entry at a
time is in memory.
"""

from __future__ import annotations

import codecs
import io
import itertools
import re
import zipfile
import zlib
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from chatkit.errors import ImportFormatError, InputError
from chatkit.importers import (
    ImportedChannel,
    Item,
    author_name,
    open_bytes,
    open_first,
    stable_id,
)
from chatkit.importers.reading import (
    ChannelNames,
    Place,
    Repeats,
    checked,
    files_in,
    local_ms,
    messages_of,
    time_zone,
)
from chatkit.importers.whatsapp import notices
from chatkit.importers.whatsapp.lines import DayOrder, Head, head_of, without_marks
from chatkit.message import Edit, Join, Leave, Message, check_channel_name

__all__ = ["channels", "read"]

SOURCE = "whatsapp"
LINE_LIMIT = 1 << 20  # characters that are looked at together; a longer line comes in pieces
PREFIXES = (
    "WhatsApp Chat with ",
    "WhatsApp Chat - ",
    "WhatsApp-Chat mit ",
    "WhatsApp Chat mit ",
    "Chat de WhatsApp con ",
    "Chat WhatsApp con ",
    "Chat di WhatsApp con ",
    "Discussion WhatsApp avec ",
    "Conversa do WhatsApp com ",
    "Conversa no WhatsApp com ",
    "WhatsApp-chat met ",
)
NAMELESS = "_chat"  # how iPhones call every chat
BINARY = 64 * 1024
# RuntimeError: a zip member that is encrypted, or compressed in a way unknown to us
READ_ERRORS = (OSError, EOFError, RuntimeError, UnicodeError, zipfile.BadZipFile, zlib.error)
QUOTES = (("“", "”"), ("„", "“"), ("«", "»"))
QUOTE = re.compile('["“„«]')
LONGEST = 100  # characters before a colon that may be a name


class _Chat(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    source_name: str
    name: str
    renamed: bool
    """Whether the name here is ours, and not what the file's name or the caller says."""
    day_first: bool


class _Entry(msgspec.Struct):
    place: Place
    head: Head
    text: str
    """What is behind date and time, on all its lines."""
    replaced: bool = False
    """Whether some of it was no UTF-8."""


def channels(
    paths: Sequence[Path],
    *,
    channel: str | None = None,
    zone: str = "UTC",
    day_first: bool | None = None,
) -> list[ImportedChannel]:
    """Return the chats of some exports, sorted by name.

    Parameters
    ----------
    paths : sequence of Path
        Text files that WhatsApp exported, the zip files that they come in, or folders of them.
    channel : str, optional
        Name of the channel here. Default: what the file's name says.
    zone : str, default "UTC"
        IANA name of the phone's time zone.
    day_first : bool, optional
        Whether dates have the day before the month. Default: found out from the file.

    Returns
    -------
    list of ImportedChannel
        With the names that :func:`read` uses.

    Raises
    ------
    ImportFormatError
        A file that was named is no chat of WhatsApp's, or no file in the folders is.
    InputError
        A path leads nowhere; ``channel`` is no name, or is missing for a file whose name says
        nothing; ``zone`` is none; or ``day_first`` has to be said.
    """
    time_zone(zone)
    found = {
        chat.name: ImportedChannel(name=chat.name, source_name=chat.source_name, private=True)
        for chat in _chats(paths, channel, day_first)
    }
    return sorted(found.values(), key=lambda one: one.name)


def read(
    paths: Sequence[Path],
    *,
    channel: str | None = None,
    zone: str = "UTC",
    day_first: bool | None = None,
) -> Iterator[Item]:
    """Return what is in some exports, chat by chat, in the order of their lines.

    Parameters
    ----------
    paths : sequence of Path
        Text files that WhatsApp exported, the zip files that they come in, or folders of them.
    channel : str, optional
        Name of the channel here. Default: what the file's name says.
    zone : str, default "UTC"
        IANA name of the phone's time zone.
    day_first : bool, optional
        Whether dates have the day before the month. Default: found out from the file.

    Returns
    -------
    iterator of Message, Event, Skipped or Mended
        Every message and event can be encoded. Positions are lines, from 0.

    Raises
    ------
    ImportFormatError
        A file that was named is no chat of WhatsApp's, or no file in the folders is. This and the
        next are raised at once, not while iterating.
    InputError
        A path leads nowhere; ``channel`` is no name, or is missing for a file whose name says
        nothing; ``zone`` is none; or ``day_first`` has to be said.
    """
    return _read(_chats(paths, channel, day_first), time_zone(zone))


def _chats(paths: Sequence[Path], channel: str | None, day_first: bool | None) -> list[_Chat]:
    if channel is not None:
        check_channel_name(channel)
    names = ChannelNames()
    chats = []
    for path, _ in files_in(paths, "*.txt"):
        source_name = _name_of(path)
        if not (channel or source_name):
            raise InputError(
                f"{path} does not say what its chat is called: give the channel's name "
                "(channel=..., on the command line --channel)"
            )
        name = channel or names.name(source_name, source_name)
        chat = _Chat(
            path=path,
            source_name=source_name or name,
            name=name,
            renamed=name not in (channel, source_name),
            day_first=_day_first(path, day_first),
        )
        chats.append(chat)
    return chats


def _name_of(path: Path) -> str:
    """Return the name of the chat in a file; empty if the file's name says nothing."""
    names = [path.stem] if path.stem != NAMELESS else [path.parent.name]
    for name, prefix in itertools.product(names, PREFIXES):
        for start in (prefix, prefix.replace(" ", "_")):
            if name.casefold().startswith(start.casefold()):
                return name[len(start) :].strip()
    return "" if path.stem == NAMELESS else path.stem


def _day_first(path: Path, said: bool | None) -> bool:
    """Return whether a file's dates have the day first; it must be a chat of WhatsApp's."""
    order = DayOrder()
    found = False
    try:
        for position, line in _lines(path, open_first):
            head = head_of(line) if position >= 0 else None
            if head is not None:
                found = True
                order.see(head, position)
    except READ_ERRORS as error:
        raise ImportFormatError(f"{path} can't be read as a text file: {error}") from error
    if not found:
        raise ImportFormatError(
            f"{path} is no chat that WhatsApp exported: no line begins like "
            "'31/01/20, 14:05 - ana: ' or '[31/01/20, 14:05:00] ana: '"
        )
    if said is not None:
        return said
    answer = order.day_first()
    if answer is None:
        why = "all its dates can be read both ways"
        if order.contradiction is not None:
            day, month = order.contradiction
            why = f"line {day + 1} has the day first, line {month + 1} the month"
        raise InputError(
            f"Is the day or the month first in the dates of {path.name}? {why[0].upper()}{why[1:]}:"
            " say day_first=True or day_first=False (on the command line --day-first or "
            "--month-first)"
        )
    return answer


@contextmanager
def _opened(path: Path, opened: Callable[[Path], io.BufferedReader]) -> Iterator[io.TextIOBase]:
    """Give the text of an export, also from the zip file that it comes in."""
    if zipfile.is_zipfile(path):
        with opened(path) as whole, zipfile.ZipFile(whole) as archive:
            texts = [name for name in archive.namelist() if name.lower().endswith(".txt")]
            if len(texts) != 1:
                raise ImportFormatError(
                    f"{path} has {len(texts)} text files, not one: unpack it and name the chat"
                )
            with archive.open(texts[0]) as file, archive.open(texts[0]) as start:
                encoding = _encoding(start.read(BINARY), path)
                yield io.TextIOWrapper(file, encoding, "surrogateescape", newline="\n")
    else:
        with opened(path) as file:
            encoding = _encoding(file.peek(BINARY)[:BINARY], path)
            yield io.TextIOWrapper(file, encoding, "surrogateescape", newline="\n")


def _encoding(start: bytes, path: Path) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in start:
        raise ImportFormatError(f"{path} is no text file")
    return "utf-8-sig"


def _lines(path: Path, opened: Callable[[Path], io.BufferedReader]) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines; -1 as the number of what continues a very long one."""
    with _opened(path, opened) as file:
        position, begins = -1, True
        while line := file.readline(LINE_LIMIT):
            position += begins
            yield (position if begins else -1), line
            begins = line.endswith("\n")


def _entries(path: Path) -> Iterator[_Entry | Item]:
    """Yield the entries of a file, each with all its lines."""
    entry: _Entry | None = None
    parts: list[str] = []
    for position, line in _lines(path, open_bytes):
        head = head_of(line) if position >= 0 else None
        if head is None and entry is not None:
            parts.append(line)
            continue
        if entry is not None:
            yield _whole(entry, parts)
        if head is not None:
            entry, parts = _Entry(Place(path.name, position), head, ""), [head.rest]
        elif line.strip():
            yield Place(path.name, max(position, 0)).skipped("before the first message", "line")
    if entry is not None:
        yield _whole(entry, parts)


def _whole(entry: _Entry, parts: list[str]) -> _Entry:
    text = "".join(parts).replace("\r\n", "\n").rstrip("\r\n")
    data = text.encode("utf-8", "surrogateescape")
    entry.text = data.decode("utf-8", "replace")
    entry.replaced = entry.text != text
    return entry


def _read(chats: list[_Chat], zone: zoneinfo.ZoneInfo) -> Iterator[Item]:
    for chat in chats:
        place = Place(chat.path.name)
        if chat.renamed:
            yield place.mended("channel has another name here", chat.name)
        reader = _Reader(chat, zone)
        try:
            for entry in _entries(chat.path):
                if isinstance(entry, _Entry):
                    place = entry.place
                    yield from reader.entry(entry)
                else:
                    yield entry
        except READ_ERRORS as error:
            yield place.skipped("can't be read behind this", "file", str(error), lost=True)


class _Reader:
    """Makes items of the entries of one chat."""

    def __init__(self, chat: _Chat, zone: zoneinfo.ZoneInfo) -> None:
        self._chat = chat
        self._zone = zone
        self._repeats = Repeats()
        self._before: int | None = None
        self._people: set[str] = set()

    def entry(self, entry: _Entry) -> Iterator[Item]:
        """Yield what is in an entry."""
        local = entry.head.when(self._chat.day_first)
        if local is None:
            reason = entry.head.trouble or "no such date"
            yield entry.place.skipped(reason, detail=entry.text[:80], lost=True)
            return
        ms = local_ms(local, self._zone, self._before)
        author, body = _split(entry.text)
        ours = body.startswith("\u200e")  # on iPhones, before what WhatsApp itself writes
        plain = without_marks(body).strip()
        first, self._before = self._before is None, ms
        if entry.replaced:
            yield entry.place.mended("characters that are no UTF-8 replaced by U+FFFD")
        if author:
            self._people.add(author)
        if not author:
            yield from self._notice(entry, local, ms, without_marks(entry.text))
        elif notices.is_deleted(plain):
            yield entry.place.skipped("taken back by its author")
        elif (
            ours
            and not notices.is_media(plain)
            and (first or notices.is_notice(plain, self._people))
        ):
            yield from self._notice(entry, local, ms, plain)
        else:
            yield from self._message(entry, local, ms, author, body)

    def _id(self, *parts: str) -> str:
        return stable_id(SOURCE, "", self._chat.name, self._repeats.own_id(*parts))

    def _message(
        self, entry: _Entry, local: datetime, ms: int, author: str, body: str
    ) -> Iterator[Item]:
        body, edited = notices.without_edited(notices.with_file_name(body))
        message = Message(
            id=self._id(local.isoformat(), author, body),
            channel=self._chat.name,
            author=author,
            body=body,
            sent_ms=ms,
            source=SOURCE,
        )
        taken = None
        for item in messages_of(message, entry.place):
            yield item
            if isinstance(item, Message):
                taken = taken or item
        if taken is None or not edited:
            return
        yield entry.place.mended("edited; when is not told")
        event = Edit(
            id=self._id(local.isoformat(), author, "edit", message.id),
            channel=message.channel,
            actor=author,
            target=message.id,
            body=taken.body,
            at_ms=ms,
            source=SOURCE,
        )
        yield checked(event, entry.place, "edit")

    def _notice(self, entry: _Entry, local: datetime, ms: int, text: str) -> Iterator[Item]:
        found = notices.presence(text)
        if found is None:
            yield entry.place.skipped("notice of WhatsApp's")
            return
        for person in found.people:
            name = author_name(person)
            if not name or notices.yours(name):
                yield entry.place.skipped("about who made the export, whose name is not told")
                continue
            event = (Join if found.joined else Leave)(
                id=self._id(local.isoformat(), name, "join" if found.joined else "leave"),
                channel=self._chat.name,
                actor=name,
                at_ms=ms,
                source=SOURCE,
            )
            yield checked(event, entry.place)


def _split(text: str) -> tuple[str, str]:
    """Return who wrote an entry, and what; nobody for a notice."""
    line = text.partition("\n")[0]
    author, colon, _ = line.partition(": ")
    if not colon and line.endswith(":"):
        author, colon = line[:-1], ":"
    # In a notice, a colon stands in what somebody called the group, between quotation marks, or
    # before a link.
    if not colon or len(author) > LONGEST or notices.is_encryption(author) or _is_quoting(author):
        return "", text
    return author_name(author), text[len(author) + len(colon) :]


def _is_quoting(text: str) -> bool:
    """Return whether a quotation begins in a text and does not end there."""
    if QUOTE.search(text) is None:
        return False
    return text.count('"') % 2 == 1 or any(text.count(a) > text.count(b) for a, b in QUOTES)
