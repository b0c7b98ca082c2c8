"""Zulip's Markdown, or the HTML that Zulip made of it -> the Markdown that is read here. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import NamedTuple

__all__ = ["Names", "from_html", "from_markdown", "quoted", "uploads"]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*(\S*)\s*(.*)")
_CODE = re.compile(r"(`+)(?:(?!\1).)+?\1")
_MARK = re.compile(
    r"@(?P<silent>_?)\*\*(?P<name>[^*\n]*?)(?:\|(?P<id>[0-9]{1,18}))?\*\*"
    r"|@(?P<quiet>_?)\*(?P<group>[^*\n]+)\*"
    r"|#\*\*(?P<stream>[^*\n]+)\*\*"
)
# What Zulip puts above a quotation: who, "said" in some language, and the link to the message.
_SAID = re.compile(
    r"^[^>\s][^\n]{0,200}? \[[^\]\n]{1,40}\]"
    r"\([^)\s]{0,300}#narrow/[^)\s]{1,500}/near/([0-9]{1,18})[^)\s]{0,300}\)\s{0,3}[::]?\s{0,9}\n>",
    re.MULTILINE,
)
_UPLOAD = re.compile(r"\[([^\]\n]*)\]\((?:https?://[^/\s)]+)?/user_uploads/([^)\s]+)\)")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")


class Names(NamedTuple):
    """What to show for the ids and names in a text."""

    people: Mapping[int, str]
    """Author name by user id."""
    channels: Mapping[str, str]
    """Channel name here by the stream's name there."""


def quoted(text: str) -> int | None:
    """Return the id of the message that a text quotes first, and so answers; None: it quotes none.

    Parameters
    ----------
    text : str
        As `from_markdown` or `from_html` return it.
    """
    match = _SAID.search(text)
    return int(match[1]) if match else None


def uploads(text: str) -> list[tuple[str, str]]:
    """Return label and path of the uploaded files that a text links to, each once."""
    return list(dict.fromkeys((match[1], match[2]) for match in _UPLOAD.finditer(text)))


def from_markdown(text: str, names: Names) -> str:
    """Return a text with mentions as ``@name``, channels as ``#name`` and quotations as ``> ``.

    Code stays as it is.
    """
    lines: list[str] = []
    fences: list[tuple[str, str]] = []  # the open ones: the fence, and what is between
    ended = False
    for line in text.split("\n"):
        quote = "> " * sum(kind == "quote" for _, kind in fences)
        if fences and line.strip() == fences[-1][0]:
            _, kind = fences.pop()
            ended = kind == "quote"
            if kind == "code":
                lines.append(quote + line)
            continue
        match = None if fences and fences[-1][1] == "code" else _FENCE.fullmatch(line)
        if ended and line.strip():
            lines.append(quote.rstrip())  # or what follows would belong to the quotation
        ended = False
        if match and match[2] in ("quote", "spoiler"):
            fences.append((match[1], match[2]))
            if match[3]:
                lines.append(quote + _resolved(match[3], names))
        elif match:
            fences.append((match[1], "code"))
            lines.append(quote + line)
        elif fences and fences[-1][1] == "code":
            lines.append(quote + line)
        else:
            lines.append(quote + _resolved(line, names))
    return "\n".join(lines)


def _resolved(line: str, names: Names) -> str:
    """Return a line with its marks resolved, but for those in code."""
    if "**" not in line and "@" not in line:
        return line
    parts: list[str] = []
    end = 0
    for code in _CODE.finditer(line):
        parts += [_MARK.sub(_shown(names), line[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _MARK.sub(_shown(names), line[end:])])


def _shown(names: Names) -> Callable[[re.Match[str]], str]:
    def shown(match: re.Match[str]) -> str:
        if match["stream"]:
            stream, arrow, topic = match["stream"].partition(">")
            topic = re.sub(r"@[0-9]+$", "", topic)
            return f"#{names.channels.get(stream, stream)}{arrow and f' > {topic}'}"
        if match["group"]:
            return ("" if match["quiet"] else "@") + match["group"]
        known = names.people.get(int(match["id"])) if match["id"] else None
        return ("" if match["silent"] else "@") + (known or match["name"] or match["id"] or "")

    return shown


def from_html(text: str) -> str:
    """Return HTML as Zulip makes it as Markdown; tags that it doesn't make are left out."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.result()


_VOID = {"br", "hr", "img", "col", "input", "link", "meta", "source", "wbr"}
_AROUND = {"strong": "**", "b": "**", "em": "*", "i": "*", "del": "~~", "s": "~~"}
_BLOCKS = {"p", "div", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6"}


class _Element:
    """An open tag, and what was read in it so far."""

    def __init__(self, tag: str, classes: set[str], link: str) -> None:
        self.tag = tag
        self.classes = classes
        self.link = link
        self.parts: list[str] = []


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open = [_Element("", set(), "")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        classes = set(values.get("class", "").split())
        if tag not in _VOID:
            self._open.append(_Element(tag, classes, values.get("href", "")))
        elif tag == "br":
            self._open[-1].parts.append("\n")
        elif tag == "hr":
            self._open[-1].parts.append("\n\n---\n\n")
        elif tag == "img":
            self._open[-1].parts.append(values.get("alt", ""))

    def handle_data(self, data: str) -> None:
        parts = self._open[-1].parts
        if parts and parts[-1] == "\n" and not self._within("pre"):
            data = data.removeprefix("\n")  # there is one in the text after each <br>
        parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self._open[1:]):
            while self._close() != tag:
                pass

    def result(self) -> str:
        while len(self._open) > 1:
            self._close()
        return _BLANK_LINES.sub("\n\n", "".join(self._open[0].parts)).strip()

    def _within(self, tag: str) -> bool:
        return any(element.tag == tag for element in self._open)

    def _close(self) -> str:
        element = self._open.pop()
        self._open[-1].parts.append(self._text(element, "".join(element.parts)))
        return element.tag

    def _text(self, element: _Element, text: str) -> str:
        """Return what an element is, given what is in it."""
        if element.classes & {"message_inline_image", "message_embed", "katex-html"}:
            return ""  # previews, and formulas a second time
        match element.tag:
            case "script" | "style" | "mrow":
                return ""
            case "annotation":
                return f"$${text}$$"
            case "blockquote":
                inner = _BLANK_LINES.sub("\n\n", text).strip()
                return "\n" + "\n".join(f"> {line}".rstrip() for line in inner.split("\n")) + "\n\n"
            case "pre":
                return "\n```\n" + text.strip("\n") + "\n```\n\n"
            case "code" if not self._within("pre"):
                return f"`{text}`"
            case "li":
                return "- " + text.strip().replace("\n", "\n  ") + "\n"
            case "tr":
                return text.strip(" |\n") + "\n"
            case "td" | "th":
                return text.strip() + " | "
            case "a" if element.link and not element.classes & {"stream", "stream-topic"}:
                same = text.strip() in ("", element.link, element.link.removeprefix("mailto:"))
                return text.strip() or element.link if same else f"[{text}]({element.link})"
            case tag if tag in _AROUND and text.strip():
                return f"{_AROUND[tag]}{text}{_AROUND[tag]}"
            case tag if tag in _BLOCKS:
                return f"{'#' * int(tag[1]) + ' ' if tag[1:].isdigit() else ''}{text.strip()}\n\n"
        return text
