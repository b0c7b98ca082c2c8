"""Messages -> one page of HTML that needs nothing else: no script, no picture, no network.

A text is shown as `chatkit.markup` makes it safe, all else escaped, and the page's own policy lets
no script run even so. Memory stays flat: the page is written as the messages come, and its head,
which tells how many there were, in front of them at the end.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from chatkit.emojis import names as emoji_names
from chatkit.exporting.reading import Document, pages
from chatkit.markup import PYGMENTS_CSS, needs_markup, to_html
from chatkit.query import time_zone
from chatkit.store import MessageStore
from chatkit.wording import counted

if TYPE_CHECKING:
    from chatkit.exporting.anonymous import Anonymous

__all__ = ["write_page"]

BLOCK = 100
"""Messages that a browser lays out together, when they come into sight."""
TOGETHER = timedelta(minutes=5)
"""Messages of one author that follow each other within this share one name."""
QUOTED = 160
"""Characters of a text that is answered."""
COLOURS = 8

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write_page(
    path: Path,
    store: MessageStore,
    channels: Iterable[str],
    where: Document,
    query: str,
    zone: str,
    anonymous: Anonymous | None,
    progress: Callable[[int], object],
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The file to write.
    store : MessageStore
        Where to read.
    channels : iterable of str
        Channels, in the order of the page.
    where : dict
        MongoDB filter for the messages.
    query : str
        The query to tell of, or empty.
    zone : str
        Time zone of the dates.
    anonymous : Anonymous or None
        Who takes names out.
    progress : callable
        Called with how many more messages are written.
    """
    rest = path.with_name(f"{path.name}.rest")
    try:
        with rest.open("w", encoding="utf-8", errors="replace") as file, store.answering():
            writer = _Writer(file, store, where, zone, anonymous)
            for channel in channels:
                writer.write(channel, progress)
        with path.open("wb") as whole, rest.open("rb") as file_again:
            whole.write(_head(writer, query, zone).encode(errors="replace"))
            shutil.copyfileobj(file_again, whole)
            whole.write(b"</main></body></html>\n")
    finally:
        rest.unlink(missing_ok=True)


def _head(writer: _Writer, query: str, zone: str) -> str:
    counts = writer.counts
    facts = [counted(sum(counts.values()), "message"), counted(len(counts), "channel")]
    if writer.first is not None and writer.last is not None:
        first, last = _date(writer.first), _date(writer.last)
        facts.append(first if first == last else f"{first} to {last}")
    facts.append(f"times in {zone}")
    title = next(iter(counts)) if len(counts) == 1 else "Chat history"
    links = "".join(
        f'<li><a href="#c-{quote(name)}">{escape(name)} <small>{count:,}</small></a></li>'
        for name, count in counts.items()
    )
    shown = f'<p class="facts">Only <code>{escape(query)}</code></p>' if query else ""
    style = files("chatkit.exporting").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{style}{PYGMENTS_CSS}</style></head>\n"
        f'<body><header><h1>{escape(title)}</h1><p class="facts">{" · ".join(facts)}</p>{shown}'
        + (f'<nav aria-label="Channels"><ul>{links}</ul></nav>' if len(counts) > 1 else "")
        + "</header><main>\n"
    )


class _Writer:
    """Writes channels into a file, and keeps what the head tells."""

    def __init__(
        self,
        file: IO[str],
        store: MessageStore,
        where: Document,
        zone: str,
        anonymous: Anonymous | None,
    ) -> None:
        self._file = file
        self._store = store
        self._where = where
        self._zone = time_zone(zone)
        self._anonymous = anonymous
        self._records = store.channel_records()
        self.counts: dict[str, int] = {}
        self.first: datetime | None = None
        self.last: datetime | None = None

    def write(self, channel: str, progress: Callable[[int], object]) -> None:
        """Write a channel, if it has messages that are asked for."""
        name = channel if self._anonymous is None else self._anonymous.channel(channel)
        block = _Block(self._file)
        for documents in pages(self._store, channel, self._where):
            if name not in self.counts:
                self._begin(channel, name)
            answered = self._answered(channel, documents)
            for document in documents:
                self._message(block, document, answered)
            self.counts[name] += len(documents)
            progress(len(documents))
        block.end()
        if name in self.counts:
            self._file.write("</section>\n")

    def _begin(self, channel: str, name: str) -> None:
        self.counts[name] = 0
        record = self._records.get(channel)
        about = "" if record is None else record.description
        if self._anonymous is not None:
            about = self._anonymous.pseudonyms.text(about)
        self._file.write(
            f'<section><h2 id="c-{escape(name)}">{escape(name)}</h2>'
            + (f'<p class="about" dir="auto">{escape(about)}</p>' if about else "")
        )

    def _answered(self, channel: str, documents: list[Document]) -> Mapping[str, Document]:
        """Return the messages that some messages answer."""
        ids = list({one["reply_to"] for one in documents if isinstance(one.get("reply_to"), str)})
        if not ids:
            return {}
        wanted = {"author": 1, "body": 1, "deleted_at": 1, "attachment.name": 1}
        found = self._store.messages.find({"channel": channel, "_id": {"$in": ids}}, wanted)
        return {one["_id"]: one for one in found}

    def _message(self, block: _Block, document: Document, answered: Mapping[str, Document]) -> None:
        target = answered.get(document.get("reply_to") or "")
        if self._anonymous is not None:
            document = self._anonymous.document(document)
        at = self._local(document.get("placed_at"))
        if at is not None:
            self.first = at if self.first is None else min(self.first, at)
            self.last = at if self.last is None else max(self.last, at)
        quoted = self._quoted(document, target)
        block.add(_text(document.get("author")), at, bool(quoted), _message(document, quoted))

    def _quoted(self, document: Document, target: Document | None) -> str:
        """Return what a message answers, as HTML."""
        if not document.get("reply_to"):
            return ""
        if target is None:
            return '<div class="reply">answers a message that is not here</div>'
        author, body = _text(target.get("author")), _text(target.get("body"))
        body = body or _text((target.get("attachment") or {}).get("name"))
        if self._anonymous is not None:
            pseudonyms = self._anonymous.pseudonyms
            author, body = pseudonyms.name(author), pseudonyms.text(body)
        shown = escape(" ".join(body[:QUOTED].split())) + ("…" if len(body) > QUOTED else "")
        if target.get("deleted_at") is not None:
            shown = "(deleted)"
        name = f"<bdi>{escape(author)}</bdi>"
        if not self._where:  # else what it answers may not be in the page
            name = f'<a href="#m-{quote(document["reply_to"], safe="")}">{name}</a>'
        return f'<div class="reply">{name} <span dir="auto">{shown}</span></div>'

    def _local(self, at: Any) -> datetime | None:
        if not isinstance(at, datetime):
            return None
        try:
            return at.astimezone(self._zone)
        except OverflowError:  # in the first or last year that Python knows
            return at


class _Block:
    """Puts messages together: those of a day, and those that a browser lays out at once."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._count = 0
        self._author: str | None = None
        self._at: datetime | None = None

    def add(self, author: str, at: datetime | None, answers: bool, parts: _Parts) -> None:
        """Write a message."""
        new_day = at is not None and (self._at is None or at.date() != self._at.date())
        if new_day or self._count == BLOCK:
            self.end()
        if new_day and at is not None:
            self._file.write(f'<h3 class="day">{at:%A}, {_date(at)}</h3>')
        together = (
            not answers
            and author == self._author
            and at is not None
            and self._at is not None
            and at - self._at <= TOGETHER
        )
        if self._count == 0:
            self._file.write('<div class="block">\n')
            together = False
        self._count += 1
        self._author, self._at = author, at or self._at
        self._file.write(parts.html(at, more=together))

    def end(self) -> None:
        """End what is laid out together."""
        if self._count:
            self._file.write("</div>\n")
        self._count = 0


class _Parts:
    """A message as HTML, but for what depends on those before."""

    def __init__(self, anchor: str, author: str, notes: str, content: str) -> None:
        self._anchor = anchor
        self._author = author
        self._notes = notes
        self._content = content

    def html(self, at: datetime | None, *, more: bool) -> str:
        """Return it, with its author if it does not go on where the last one was."""
        clock = "" if at is None else f"{at:%H:%M}"
        if more:
            head = f'<div class="head">{self._notes}</div>' if self._notes else ""
            return (
                f'<article class="m more" id="{self._anchor}" title="{clock}">'
                f"{head}{self._content}</article>\n"
            )
        colour = zlib.crc32(self._author.encode(errors="replace")) % COLOURS
        moment = "" if at is None else at.isoformat(timespec="seconds")
        return (
            f'<article class="m" id="{self._anchor}"><div class="head"><b class="p{colour}">'
            f'<bdi>{escape(self._author)}</bdi></b><time datetime="{moment}">{clock}</time>'
            f"{self._notes}</div>{self._content}</article>\n"
        )


def _message(document: Document, quoted: str) -> _Parts:
    notes = []
    if document.get("bot") is True:
        notes.append('<span class="note bot">bot</span>')
    if document.get("edited_at") is not None and document.get("deleted_at") is None:
        notes.append('<span class="note">edited</span>')
    if document.get("pinned_at") is not None:
        notes.append('<span class="note">pinned</span>')
    if document.get("deleted_at") is not None:
        content = '<div class="body gone">deleted</div>'
    else:
        content = _body(_text(document.get("body"))) + _file(document.get("attachment"))
        content += _reactions(document.get("reactions"))
    return _Parts(
        f"m-{escape(str(document['_id']))}",
        _text(document.get("author")),
        "".join(notes),
        quoted + content,
    )


def _body(body: str) -> str:
    if not body:
        return ""
    if needs_markup(body):
        html = to_html(body, me="")
    else:
        html = f"<p>{escape(body)}</p>".replace("\n\n", "</p><p>").replace("\n", "<br>")
    return f'<div class="body" dir="auto">{html}</div>'


def _file(attachment: Any) -> str:
    if not isinstance(attachment, dict):
        return ""
    size = attachment.get("size")
    told = f" · {size:,} bytes" if isinstance(size, int) else ""
    name = escape(_text(attachment.get("name")) or "file")
    return f'<p class="file">Attachment: <bdi>{name}</bdi>{told}</p>'


def _reactions(reactions: Any) -> str:
    if not isinstance(reactions, dict) or not reactions:
        return ""
    return f'<ul class="reactions">{"".join(_reaction_items(reactions))}</ul>'


def _reaction_items(reactions: Mapping[str, Any]) -> Iterator[str]:
    for emoji, actors in reactions.items():
        names = [str(actor) for actor in actors] if isinstance(actors, list) else []
        sign = emoji_names().get(emoji.strip(":"), emoji)
        title = escape(", ".join(names))
        yield f'<li title="{title}">{escape(sign)} {len(names)}</li>'


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _date(at: datetime) -> str:
    return f"{at.day} {at:%B} {at.year}"
