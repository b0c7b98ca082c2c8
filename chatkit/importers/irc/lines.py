"""What a line of a log says, apart from its time: the forms of the common IRC programs. Pure."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

__all__ = ["Happening", "Spoken", "channel_in_name", "happening", "nick", "plain", "spoken"]

_FORMATTING = re.compile(
    r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9a-fA-F]{6})?|[\x02\x0f\x11\x16\x1d\x1e\x1f]",
    re.ASCII,
)
_CHANNEL = re.compile(r"([#&][^\s,:\x07]+):?[ \t]+(?=[<*(=-])")
_PAREN = re.compile(r"\(([^\s/()]+)/([#&][^\s()]+)\)[ \t](.*)", re.DOTALL)
_NOTICE = re.compile(
    r"-([^\s:/-][^\s:/]*?)(?:[:/]([#&]?[^\s-][^\s]*?))?-(?:[ \t](.*))?$", re.DOTALL
)
_NAME_CHANNEL = re.compile(r"[#&]+([^\s#&/\\]+)")
_NAME_END = re.compile(
    r"(?:[-_.]\d{4}[-_.]?\d\d[-_.]?\d\d)?(?:[-_.](?:log|txt|raw|weechatlog))*$", re.IGNORECASE
)
_HOST = r"[\[(]\S*[\])]"
_CAME_OR_WENT = re.compile(
    rf"(\S.*?)[ ]+{_HOST}[ ]+(?:has )?(joined|left|quit)\b[ ]*([#&][^\s\]),]+)?", re.IGNORECASE
)
_QUIT = re.compile(r"(\S+) has quit [\[(]")
_PLURAL = re.compile(rf"(Joins|Parts|Quits): (\S.*?) {_HOST}")
_KICKED = re.compile(r"(\S.*?) was kicked (?:off |from )?(?:[#&]\S+ )?by ")
_KICKS = re.compile(r"\S+ has kicked (\S+)(?: from [#&]\S+)? [\[(]")
_NICK_CHANGE = re.compile(r"\S.*? (?:is|are) now known as \S+(?: \S+)?$")
_SETS_MODE = re.compile(r"\S+ sets mode: ")
_REASONS = (
    (_NICK_CHANGE, "a nick change"),
    (re.compile(r"(?:user)?mode[/ ]|servermode/|\S+ sets mode", re.IGNORECASE), "a mode change"),
    (re.compile(r"\S+ (?:gives|removes) (?:channel|voice)", re.IGNORECASE), "a mode change"),
    (
        re.compile(r"\.*\[topic|topic |\S+ (?:has )?change[sd] (?:the )?topic", re.IGNORECASE),
        "a topic",
    ),
    (re.compile(r"net(?:split|join)", re.IGNORECASE), "a net split"),
)
OTHER = "a system line that tells of nobody's coming or going"
NAMELESS = "a === line with a text: an action, or a notice of the server"
_TABS = {"-->": "-->", "<--": "<--", "--": "--", "=!=": "--", "": "--", "*": "*"}


class Spoken(NamedTuple):
    """Somebody wrote a text."""

    nick: str
    """As it stands, perhaps with a sign of rank in front and a channel behind."""
    body: str
    channel: str = ""
    """With its ``#``; empty if the line names none."""


class Happening(NamedTuple):
    """Something else happened."""

    kind: Literal["join", "leave", ""]
    """Empty: neither."""
    text: str
    """The nick, or what it was."""
    channel: str = ""


def channel_in_name(name: str) -> str:
    """Return the channel that a file's name tells, without ``#``; empty if it tells none."""
    match = _NAME_CHANNEL.search(name)
    return _NAME_END.sub("", match[1]) if match else ""


def plain(body: str) -> str:
    """Return a text without the colours, bold and the like that IRC programs send."""
    if body.startswith("\x01ACTION "):
        body = f"/me {body[8:].rstrip(chr(1))}"
    return _FORMATTING.sub("", body)


def nick(text: str) -> tuple[str, str]:
    """Return a nick without its sign of rank, and the channel that irssi puts behind it."""
    name, colon, channel = text.partition(":")
    if colon and channel[:1] in "#&" and channel:
        text = name
    else:
        channel = ""
    text = text.strip()
    return (text[1:] if text[:1] in "@+%&~!" and len(text) > 1 else text), channel


def spoken(rest: str, tabbed: bool) -> Spoken | Happening | None:
    """Return what a line says behind its time; None if it has no form that is known.

    Parameters
    ----------
    rest : str
        The line without its time and the one space or tab behind that.
    tabbed : bool
        Whether that was a tab: then WeeChat wrote it.
    """
    if not tabbed and (angled := _angled(rest)) is not None:
        return angled
    if tabbed:
        left, tab, text = rest.partition("\t")
        mark = left.strip()
        if tab and mark in _TABS:
            return _marked(_TABS[mark], text, apart=True)
        if tab:
            return Spoken(mark, text)
    channel = ""
    if match := _CHANNEL.match(rest):
        channel, rest = match[1], rest[match.end() :]
    said = _said(rest)
    return said._replace(channel=said.channel or channel) if said and channel else said


def _said(rest: str) -> Spoken | Happening | None:
    if (angled := _angled(rest)) is not None:
        return angled
    if match := _PAREN.match(rest):
        return Spoken(match[1], match[3], match[2])
    if (done := happening(rest)) is not None:
        return done
    if match := _NOTICE.match(rest):
        where = match[2] or ""
        return Spoken(match[1], match[3] or "", where if where[:1] in "#&" else "")
    return None


def _angled(rest: str) -> Spoken | None:
    end = rest.find(">") if rest.startswith("<") else 0
    if end < 2 or rest.startswith("<--"):
        return None
    return Spoken(rest[1:end], rest[end + 1 + rest.startswith((" ", "\t"), end + 1) :])


def happening(rest: str) -> Spoken | Happening | None:
    """Return what a line with one of the marks says that also stand without a time."""
    for mark in ("===", "-!-", "***", "-->", "<--", "--"):
        if rest.startswith((mark + " ", mark + "\t")):
            return _marked(mark, rest[len(mark) :].strip(), apart=True)
    trimmed = rest.lstrip(" ")
    if trimmed.startswith(("* ", "*\t")):
        # Two spaces before the star: programs that have another mark for what is no action.
        return _marked("*", trimmed[2:], apart=trimmed != rest)
    return None


def _marked(mark: str, text: str, *, apart: bool) -> Spoken | Happening:
    if mark == "*":
        done = None if apart else _starred(text)
        if done is None:
            who, _, what = text.lstrip(" ").partition(" ")
            return Spoken(who, f"/me {what}" if what.strip() else "")
        return done
    if mark == "--" and text.startswith("Notice("):
        who, _, said = text.removeprefix("Notice(").partition("): ")
        return Spoken(who, said)
    return _told(text) or Happening("", NAMELESS if mark == "===" else OTHER)


def _starred(text: str) -> Happening | None:
    """Return what happened where events look like actions; None: it is an action."""
    if _NICK_CHANGE.match(text) or _SETS_MODE.match(text):
        return Happening("", "a nick change or a mode change")
    return _came_or_went(text)


def _told(text: str) -> Happening | None:
    done = _came_or_went(text)
    if done is None:
        reason = next((reason for pattern, reason in _REASONS if pattern.match(text)), "")
        done = Happening("", reason) if reason else None
    return done


def _came_or_went(text: str) -> Happening | None:
    if match := _CAME_OR_WENT.match(text):
        kind: Literal["join", "leave"] = "join" if match[2].lower() == "joined" else "leave"
        return Happening(kind, match[1], match[3] or "")
    if match := _PLURAL.match(text):
        return Happening("join" if match[1] == "Joins" else "leave", match[2])
    for pattern in (_KICKED, _QUIT, _KICKS):
        if match := pattern.match(text):
            return Happening("leave", match[1])
    return None
