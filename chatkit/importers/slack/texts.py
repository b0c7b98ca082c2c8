"""Slack's markup, files and attachments -> plain text and Markdown links. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from chatkit.importers.reading import objects_at, text_at

__all__ = ["Names", "body_of", "decoded", "plain"]

UNFURL_KEYS = ("from_url", "original_url", "app_unfurl_url", "is_msg_unfurl", "is_app_unfurl")

_MARKUP = re.compile(r"<([^<>]*)>")
_ENTITY = re.compile(r"&(lt|gt|amp);")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&"}
_FILE_OWNER = re.compile(r"(?<![@\w])([UW][A-Z0-9]{6,})(?='s file )")
_BRACKET = re.compile(r"([\[\]\\])")
_URL_ESCAPES = str.maketrans(
    {"(": "%28", ")": "%29", "<": "%3C", ">": "%3E", " ": "%20", "\n": None}
)


class Names(NamedTuple):
    """What to show for the ids in a text."""

    people: Mapping[str, str]
    """Author name by user id."""
    channels: Mapping[str, str]
    """Channel name by channel id."""


def decoded(text: str) -> str:
    """Return a text with Slack's three entities decoded, once."""
    return _ENTITY.sub(lambda match: _ENTITIES[match[1]], text)


def plain(names: Names, text: str) -> str:
    """Return a text without Slack's markup: ``@name``, ``#channel``, Markdown links.

    Markup is found before entities are decoded, and what comes out is not looked at again: a
    ``<`` that somebody typed stays one.
    """
    pieces = _MARKUP.split(text)
    pieces[::2] = map(decoded, pieces[::2])
    pieces[1::2] = (_resolved(names, markup) for markup in pieces[1::2])
    return "".join(pieces)


def _resolved(names: Names, markup: str) -> str:
    """Return what stands for the markup between ``<`` and ``>``."""
    target, _, label = (decoded(part) for part in markup.partition("|"))
    kind, rest = target[:1], target[1:]
    if kind == "@":
        return "@" + (names.people.get(rest) or label.removeprefix("@") or rest)
    if kind == "#":
        return "#" + (names.channels.get(rest) or label.removeprefix("#") or rest)
    if kind == "!":
        command, _, argument = rest.partition("^")
        if command == "date":
            return label or argument
        return "@" + (label.removeprefix("@") or argument or rest)
    if ":" in target:
        return _link(target, label)
    return f"<{decoded(markup)}>"


def _link(url: str, label: str) -> str:
    """Return a Markdown link, or the URL alone if the label says nothing else."""
    shown = url.removeprefix("mailto:").removeprefix("tel:")
    label = " ".join(label.split())
    if not url:
        return label
    same = {text.rstrip("/") for text in ("", url, shown, shown.partition("://")[2])}
    if label.rstrip("/") in same:
        return shown
    escaped = _BRACKET.sub(r"\\\1", label)
    return f"[{escaped}]({url.translate(_URL_ESCAPES)})"


def body_of(names: Names, entry: dict[str, Any]) -> str:
    """Return all that was posted: the text, files that it does not mention, attachments."""
    text = text_at(entry, "text")
    if entry.get("subtype") == "file_comment":
        text = _FILE_OWNER.sub(r"<@\1>", text)
    parts = [plain(names, text)] if text.strip() else []
    one_file = entry.get("file")
    parts += [
        _file(file)
        for file in objects_at(entry, "files") or ([one_file] if isinstance(one_file, dict) else [])
        if not (text_at(file, "id") and text_at(file, "id") in text)
    ]
    parts += [
        _attachment(names, attachment)
        for attachment in objects_at(entry, "attachments")
        # Beside a text, a preview of a page that it links to is Slack's, not the author's.
        if not text.strip() or not any(attachment.get(key) for key in UNFURL_KEYS)
    ]
    return "\n".join(filter(str.strip, parts)) or _blocks(names, entry)


def _file(file: dict[str, Any]) -> str:
    # The private URL carries a key to the file behind the question mark.
    url = text_at(file, "permalink") or text_at(file, "url_private").partition("?")[0]
    title = text_at(file, "title").strip() or text_at(file, "name").strip()
    return _link(url, decoded(title)) or text_at(file, "id")


def _attachment(names: Names, attachment: dict[str, Any]) -> str:
    lines = [
        plain(names, text_at(attachment, "pretext")),
        _link(text_at(attachment, "title_link"), plain(names, text_at(attachment, "title"))),
        plain(names, text_at(attachment, "text")),
        *(
            plain(
                names, ": ".join(filter(None, (text_at(field, "title"), text_at(field, "value"))))
            )
            for field in objects_at(attachment, "fields")
        ),
    ]
    urls = (text_at(attachment, key) for key in ("image_url", "from_url", "original_url"))
    return (
        "\n".join(filter(str.strip, lines))
        or _blocks(names, attachment)
        or plain(names, text_at(attachment, "fallback"))
        or next(filter(None, urls), "")
    )


def _blocks(names: Names, holder: dict[str, Any]) -> str:
    """Return the texts of an app's layout blocks, a line each."""
    lines = []
    for block in objects_at(holder, "blocks"):
        texts = [block.get("text"), *objects_at(block, "fields"), *objects_at(block, "elements")]
        lines += [plain(names, text_at(text, "text")) for text in texts]
        lines.append(text_at(block, "image_url"))
    return "\n".join(filter(str.strip, lines))
