"""What people wrote -> lines that a terminal can show, and colours for them.

Pure. Whatever a text holds, nothing in what is returned here can steer a terminal; the only control
character is the line break.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING

from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from chatkit.message import Attachment, Message, from_ms
from chatkit.timeline import Row

if TYPE_CHECKING:
    from chatkit.lens import Lens

__all__ = [
    "AUTHOR_COLOURS",
    "STYLE",
    "UNSAFE",
    "Fragments",
    "day_line",
    "day_of",
    "failed_lines",
    "lens_lines",
    "note_line",
    "one_line",
    "pending_line",
    "problem_line",
    "row_lines",
    "safe",
    "shorten",
    "time_of",
]

Fragments = list[tuple[str, str]]
"""Texts with their styles, as prompt_toolkit takes them."""

UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters, what turns the direction of writing, and halves of characters."""
WIDEST = 10_000
"""Columns of a line that nobody breaks."""

AUTHOR_COLOURS = (
    "#af5f00",
    "#878700",
    "#5f8700",
    "#008787",
    "#0087d7",
    "#5f5fff",
    "#af5fd7",
    "#d70087",
)
"""Each can be read on black and on white, and is one that terminals of 256 colours have."""

STYLE = Style.from_dict(
    {
        "quiet": "#808080",
        "bad": "#d70000",
        "waiting": "#808080 italic",
        "command": "bold",
        **{f"author{n}": f"{colour} bold" for n, colour in enumerate(AUTHOR_COLOURS)},
    }
)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 9:
        return "    "
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else "\ufffd"


def safe(text: str) -> str:
    """Return a text with a picture for each character that could steer a terminal.

    Line breaks stay, tabs become spaces.
    """
    return UNSAFE.sub(_picture, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return a text made safe, with signs for its line breaks."""
    return safe(text).replace("\n", " ⏎ ")


def shorten(text: str, columns: int) -> str:
    """Return a line's beginning that fits into some columns of a terminal, at least one."""
    if get_cwidth(text) <= columns:
        return text
    kept = text[: max(columns, 1)]
    while kept and get_cwidth(kept) > columns - 1:
        kept = kept[:-1]
    return kept + "…"


def _local(ms: int) -> datetime:
    try:
        return from_ms(ms).astimezone()
    except (OverflowError, ValueError, OSError):  # the last day that there is, or the first
        return from_ms(ms)


def time_of(ms: int) -> str:
    """Return the local time of day of ms since 1970, such as ``09:05``."""
    return _local(ms).strftime("%H:%M")


def day_of(ms: int) -> date:
    """Return the local day of ms since 1970."""
    return _local(ms).date()


def day_line(day: date) -> Fragments:
    """Return the line above the first message of a day."""
    return [("class:quiet", f"── {day:%A}, {day.day} {day:%B} {day.year} ──\n")]


def note_line(text: str, columns: int = WIDEST) -> Fragments:
    """Return something that the program says, with a dot before it."""
    return [("class:quiet", f"· {_broken(safe(text), columns, 2)}\n")]


def problem_line(text: str, columns: int = WIDEST) -> Fragments:
    """Return something that went wrong."""
    return [("class:bad", f"! {_broken(safe(text), columns, 2)}\n")]


def _author(author: str, me: str) -> tuple[str, str]:
    number = zlib.crc32(author.encode("utf-8", "replace")) % len(AUTHOR_COLOURS)
    return f"class:author{number}", safe(author) + (" (me)" if author == me else "")


def _attached(attachment: Attachment) -> str:
    kind = f", {attachment.type}" if attachment.type else ""
    return f"[{one_line(attachment.name)}{one_line(kind)}, {attachment.length:,} bytes]"


def _broken(text: str, columns: int, indent: int, used: int | None = None) -> str:
    """Return a text whose lines, broken between words, fit beside an indent.

    The first line begins where ``used`` columns are, by default behind the indent. A word that does
    not fit, such as an address, is left to the terminal, so that it can be copied.
    """
    parts: list[str] = []
    at = indent if used is None else used
    for line in text.split("\n"):
        part = ""
        for word in re.findall(" *[^ ]+| +$", line):
            width = get_cwidth(word)
            if at + width > columns and (part or at > indent):
                parts.append(part)
                part, word = "", word.lstrip(" ")
                at, width = indent, get_cwidth(word)
            part, at = part + word, at + width
        parts.append(part)
        at = indent
    return ("\n" + " " * indent).join(parts)


def row_lines(row: Row, me: str, columns: int = WIDEST, quoted: Row | None = None) -> Fragments:
    """Return a row that Kafka has, as lines.

    Parameters
    ----------
    row : Row
        A message, a gap or what can't be read.
    me : str
        The user, to be shown as such.
    columns : int, optional
        Width of the terminal. Default: lines are not broken.
    quoted : Row, optional
        What it answers. Default: nothing, or it is not known.
    """
    if row.message is None or row.folded is None:
        who = one_line(row.actor) + (" (me)" if row.actor == me else "")
        notes = {
            "unreadable": f"Can't be read: {one_line(row.reason)}",
            "join": f"{who} joined",
            "leave": f"{who} left",
        }
        return note_line(notes.get(row.kind, one_line(row.reason)), columns)
    time = time_of(row.message.sent_ms) + " "
    style, author = _author(row.message.author, me)
    line = [*_quote(quoted, columns), ("class:quiet", time), (style, author), ("", "  ")]
    if row.folded.deleted_ms is not None:
        return [*line, ("class:quiet", "(deleted)\n")]
    head = get_cwidth(time + author + "  ")
    indent = head if head <= columns // 3 else get_cwidth(time)
    text = _broken(safe(row.folded.body), columns, indent, head)
    line.append(("", text))
    if row.message.attachment is not None:
        line.append(("class:quiet", (" " if text else "") + _attached(row.message.attachment)))
    if row.folded.edited_ms is not None:
        line.append(("class:quiet", " (edited)"))
    return [*line, ("", "\n")]


def _quote(quoted: Row | None, columns: int) -> Fragments:
    if quoted is None or quoted.message is None or quoted.folded is None:
        return []
    text = f"  answers {one_line(quoted.message.author)}: {one_line(quoted.folded.body)}"
    return [("class:quiet", shorten(text, min(columns, 80) - 1) + "\n")]


def pending_line(message: Message, columns: int) -> Fragments:
    """Return a message that is on its way as one line that fits."""
    text = f"{time_of(message.sent_ms)} {safe(message.author)} (me)  {one_line(message.body)}"
    sending = " (sending)"
    return [("class:waiting", shorten(text, columns - len(sending) - 1) + sending + "\n")]


def failed_lines(message: Message, reason: str, columns: int = WIDEST) -> Fragments:
    """Return a message that was not sent, with all of its text, and why."""
    return [
        ("class:bad bold", f"! Not sent to {message.channel}:\n"),
        ("class:bad", f"  {_broken(safe(message.body), columns, 2)}\n"),
        ("class:quiet", f"  {_broken(safe(reason), columns, 2)}\n" if reason else ""),
    ]


def lens_lines(lens: Lens) -> Iterator[str]:
    """Yield what Kafka and MongoDB hold of a message, and how long its steps took."""
    if lens.reason:
        yield f"  {lens.topic} {lens.partition}:{lens.offset} is gone: {one_line(lens.reason)}"
        return
    key = "no key" if lens.key is None else f"key {one_line(lens.key)}"
    yield f"  {lens.topic} {lens.partition}:{lens.offset}, {key}, {lens.size:,} bytes"
    steps = []
    if lens.sent_ms is not None and lens.appended_ms is not None:
        steps.append(f"appended {lens.appended_ms - lens.sent_ms:,} ms after it was sent")
    if lens.archived_ms is None:
        steps.append("not archived yet")
    elif lens.appended_ms is not None:
        steps.append(f"archived {lens.archived_ms - lens.appended_ms:,} ms later")
    yield "  " + ", ".join(steps)
