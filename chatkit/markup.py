"""Message texts as safe HTML.

A text is data, and untrusted. Markdown is rendered with raw HTML off, so that HTML in a text is
shown as it was typed; what comes out is cleaned once more by an allow-list. Of attributes, a text
decides no more than a link's address and a list's first number. No picture is loaded, since whoever
hosts it would learn who reads. Rendering takes a bounded time and never raises.

A text must not vanish: link definitions (``[note]: text``) are no markup here, and a text of which
rendering would leave nothing is shown as it was written, and so is what is nested too deeply.
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock, blockquote, list_block, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, link
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES

from chatkit.emojis import names as emoji_names

__all__ = ["PYGMENTS_CSS", "emoji_names", "needs_markup", "to_html"]

QUOTES, LISTS = 5, 6
"""How deep quotes and lists may be in each other; what is deeper shows its ``>`` or ``-``."""
BRACKETS = 4
"""How deep brackets may be in a link's text."""
CELLS = 2_000
"""How many cells the tables of a text may have; what has more is shown as it was written."""
HIGHLIGHT = 20_000
"""Characters of code up to which it is coloured."""
COLOURING = 0.05
"""Seconds of computing after which the rest of a text's code stays uncoloured."""
CACHED = 2_000
"""Characters of a text up to which its HTML is kept."""

PREFIX = "c-"
LANGUAGES = {
    "python": "py python3 py3 ipython ipython3 pycon",
    "bash": "sh shell zsh console shell-session",
    "c": "",
    "cpp": "c++",
    "css": "",
    "diff": "patch",
    "docker": "dockerfile",
    "go": "golang",
    "html": "",
    "java": "",
    "javascript": "js",
    "json": "",
    "julia": "",
    "kotlin": "",
    "make": "makefile",
    "markdown": "md",
    "r": "",
    "rust": "rs",
    "scala": "",
    "sql": "",
    "tex": "latex",
    "toml": "",
    "typescript": "ts",
    "xml": "",
    "yaml": "yml",
}
"""Which code is coloured, and other names of it. Not all that Pygments knows: each of these was
tried with hostile code."""
_LANGUAGE = {alias: name for name, others in LANGUAGES.items() for alias in (name, *others.split())}

_EDITOR = {
    "comment": ("c ch cm c1 cpf cs", "#408080"),
    "keyword": ("k kc kd kn kp kr ow", "#008000"),
    "operator": ("o gp", "#a2f"),
    "string": ("s sa sb sc dl sd s2 sh s1 sx", "#ba2121"),
    "string-2": ("se si sr ss", "#a45a00"),
    "number": ("m mb mf mh mi mo il", "#080"),
    "variable-3": ("kt nc ne nn", "#05a"),
    "builtin": ("nb bp", "#008000"),
    "def": ("nf fm", "#00f"),
    "meta": ("nd cp", "#a2f"),
    "tag": ("nt", "#170"),
    "attribute": ("na", "#00c"),
    "atom": ("no nl ni", "#219"),
    "header": ("gh gu", "#00f"),
}
_COLOURS = [
    *((f"jp-mirror-editor-{name}-color", *rest) for name, rest in _EDITOR.items()),
    ("jp-success-color1", "gi", "#388e3c"),
    ("jp-error-color1", "gd gr gt", "#d32f2f"),
]
"""JupyterLab's name of a colour, which tokens have it, and the colour where there is none."""
_COLOURED = frozenset(name for _, names, _ in _COLOURS for name in names.split())

_MENTION = re.compile(r"(?<![\w@.])@(\w[\w.-]*)")  # as in chatkit.query
_CHANNEL = re.compile(r"(?<![\w#&/])#([a-z0-9][a-z0-9_-]{0,79}+)(?!\w)")
_EMOJI = re.compile(r"(?<![\w:])(?::[^\s:]{1,80}:)+(?![\w:])")
_MATH = re.compile(
    r"\$\$[^$`]+\$\$"
    r"|(?<![\w$])\$(?![\s$])[^$`\n]+(?<!\s)\$(?!\w)"
    r"|\\\((?:[^\\`]|\\[^()])*+\\\)"
    r"|\\\[(?:[^\\`]|\\[^\[\]])*+\\\]"
)
_MATH_LINES = re.compile(r"(?:\$\$[^$`]+\$\$|\\\[(?:[^\\`]|\\[^\[\]])*+\\\])[ \t]*(?=\n|\Z)")
_SCHEME = re.compile(r"(?<![\w.@/:-])(?ai:https?|www)\Z")
_ADDRESS = re.compile(
    r"(?:://\w|\.\w[\w-]*\.\w)[^\s<>\[\]\"`\\^{}|\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069]*"
)
_LINKABLE = re.compile(r"(?ai:https?://|mailto:)[^/?#]")
_WORD = re.compile(r"[\w+#.-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")

# One scan for the few characters that may mean something, then what must stand around them.
_MARKUP = re.compile(
    r"[\\`*\r\0\ud800-\udfff_~\]<&@#:\n](?:"
    r"(?<=[\\`*\r\0\ud800-\udfff])|(?<=_)(?:(?<!\w_)|(?!\w))|(?<=~)~|(?<=\])\(|(?<=<)[A-Za-z]"
    r"|(?<=&)(?:#|[A-Za-z][A-Za-z0-9]{1,31};)|(?<=@)\w|(?<=#)[a-z0-9]|(?<=:)(?:[^\s:]+:|//)"
    r"|(?<=\n)(?:[-+=#>|:]|\d{1,9}[.)]|[^\S\n]|\n\n)|(?<=[^\S\n]\n)"
    r")"
)
_MARKUP_AT_START = re.compile(r"[-+=#>|:\s]|\d{1,9}[.)]")


def needs_markup(body: str) -> bool:
    """Return whether a text shows otherwise as HTML than as it was written.

    Parameters
    ----------
    body : str
        A message's text.

    Returns
    -------
    bool
        False only if `to_html` would give nothing but the text itself, escaped, with breaks
        between its lines and paragraphs. True may be too careful.
    """
    return (
        _MARKUP.search(body) is not None
        or _MARKUP_AT_START.match(body) is not None
        or "www." in body.lower()
        or body[-1:].isspace()
    )


def to_html(body: str, *, me: str, channels: Collection[str] = ()) -> str:
    """Return a text as safe HTML.

    CommonMark with tables, ~~strikethrough~~ and a break at each line's end; addresses become
    links, ``:tada:`` an emoji. Pictures become links to them. ``$x_1$`` stays as it is.

    Parameters
    ----------
    body : str
        A message's text, untrusted.
    me : str
        Who reads: a mention of this name has the class ``me`` besides ``mention``.
    channels : collection of str, default ()
        Which ``#names`` are channels, and get the class ``channel-link``.

    Returns
    -------
    str
        Elements of text, lists, tables, links and code; code is ``pre.code``, with its language
        in ``lang`` if that is known, and tokens coloured by `PYGMENTS_CSS`. Links have http, https
        or mailto and open in a new tab.
    """
    named = frozenset(_channels(body, channels)) if channels and "#" in body else frozenset()
    mentioned = me if f"@{me}" in body else ""
    render = _kept if len(body) <= CACHED else _render
    return render(body, mentioned, named)


def _channels(body: str, channels: Collection[str]) -> set[str]:
    named = {name for found in _CHANNEL.findall(body) for name in (found, found.rstrip("-_"))}
    return named & set(channels)


_one_at_a_time = threading.Lock()
"""Parsers and lexers are made at their first use, and then used again and again."""


def _render(body: str, me: str, channels: frozenset[str]) -> str:
    with _one_at_a_time:
        markdown, cleaner = _markdown(), _cleaner()
        source = _SURROGATE.sub("\ufffd", body)
        about: EnvType = {"me": me, "channels": channels, "cells": 0}
        tokens = markdown.parse(source, about)
        about["until"] = time.thread_time() + COLOURING
        if _shows(tokens):
            html = markdown.renderer.render(tokens, markdown.options, about)
        else:
            html = _paragraph(source)
        return cleaner.clean(html)


_kept = functools.lru_cache(maxsize=1_000)(_render)


def _shows(tokens: Sequence[Token]) -> bool:
    """Return whether there is something to see."""
    return any(token.content.strip() or token.type == "hr" for token in tokens)


def _paragraph(text: str) -> str:
    return f"<p>{escape(text).replace(chr(10), '<br>')}</p>"


# Markdown.


class _Markdown(MarkdownIt):
    """Makes links only of addresses that lead out, of a kind that does nothing but lead."""

    def validateLink(self, url: str) -> bool:  # noqa: N802
        link = f'<a href="{escape(url)}"></a>'  # what would be cleaned away stays text
        return _LINKABLE.match(url) is not None and "href" in _cleaner().clean(link)


@functools.cache
def _markdown() -> MarkdownIt:
    deep = 2 * LISTS + 2  # a list is two, and one more may hold text
    options = {"html": False, "breaks": True, "xhtmlOut": False, "maxNesting": deep}
    markdown = _Markdown("commonmark", options, renderer_cls=_Html)
    markdown.enable(["table", "strikethrough"])
    markdown.disable(["html_block", "html_inline", "reference"])
    before: RuleOptionsType = {"alt": ["paragraph", "blockquote", "list"]}
    markdown.block.ruler.at("table", _table, {"alt": ["paragraph"]})
    markdown.block.ruler.at("blockquote", _quote, before)
    markdown.block.ruler.at("list", _list, {"alt": ["paragraph", "blockquote"]})
    markdown.block.ruler.before("fence", "math_lines", _math_lines, before)
    markdown.inline.ruler.after("text", "words", _words)
    markdown.inline.ruler.at("link", _link)
    markdown.inline.ruler.at("image", _picture)
    markdown.inline.add_terminator_char(".")
    markdown.core.ruler.push("finish", _finish)
    return markdown


def _words(state: StateInline, silent: bool) -> bool:
    """Do what is ours at the next character, or return False."""
    match state.src[state.pos]:
        case "@":
            return _name(state, silent)
        case "#":
            return _channel(state, silent)
        case ":":
            return _emoji(state, silent) or _address(state, silent)
        case ".":
            return _address(state, silent)
        case "$" | "\\":
            return _math(state, silent)
    return False


def _put(state: StateInline, silent: bool, kind: str, text: str, length: int) -> bool:
    if not silent:
        state.push(kind, "", 0).content = text
    state.pos += length
    return True


def _name(state: StateInline, silent: bool) -> bool:
    found = _MENTION.match(state.src, state.pos)
    if found is None or state.linkLevel or found.end() > state.posMax:
        return False
    name = found[0].rstrip(".-")
    return _put(state, silent, "mention", name, len(name))


def _channel(state: StateInline, silent: bool) -> bool:
    found = _CHANNEL.match(state.src, state.pos)
    if found is None or state.linkLevel or found.end() > state.posMax:
        return False
    for name in (found[1], found[1].rstrip("-_")):
        if name in state.env["channels"]:
            return _put(state, silent, "channel", f"#{name}", len(name) + 1)
    return False


def _emoji(state: StateInline, silent: bool) -> bool:
    found = _EMOJI.match(state.src, state.pos)
    if found is None or found.end() > state.posMax:
        return False
    names = found[0][1:-1].split("::")
    if emoji_names().keys().isdisjoint(names):
        return False
    signs = [emoji_names().get(name, f":{name}:") for name in names]
    return _put(state, silent, "verbatim", "".join(signs), len(found[0]))


def _math(state: StateInline, silent: bool) -> bool:
    """Keep a formula as it is, so that Markdown takes no sign away."""
    found = _MATH.match(state.src, state.pos)
    if found is None or found.end() > state.posMax:
        return False
    return _put(state, silent, "verbatim", found[0], len(found[0]))


def _address(state: StateInline, silent: bool) -> bool:
    """Make a link of an address, of which http, https or www was just read."""
    before = _SCHEME.search(state.src, max(0, state.pos - 6), state.pos)
    if silent or state.linkLevel or before is None or not state.pending.endswith(before[0]):
        return False
    rest = _ADDRESS.match(state.src, state.pos, state.posMax)
    if rest is None:
        return False
    text = before[0] + _without_end(rest[0])
    address = state.md.normalizeLink(f"http://{text}" if before[0].lower() == "www" else text)
    if not state.md.validateLink(address):
        return False
    state.pending = state.pending[: -len(before[0])]
    state.push("link_open", "a", 1).attrs = {"href": address}
    state.push("verbatim", "", 0).content = text
    state.push("link_close", "a", -1)
    state.pos += len(text) - len(before[0])
    return True


def _without_end(address: str) -> str:
    """Return an address without what rather belongs to the sentence around it."""
    end = len(address)
    closing = address.count(")") - address.count("(")
    while (last := address[end - 1]) in ".,:;!?'*~…’”»" or (last == ")" and closing > 0):
        closing -= last == ")"
        end -= 1
    return address[:end]


def _link(state: StateInline, silent: bool) -> bool:
    """Make a link; of brackets in brackets in brackets, only the inner ones can be one."""
    if silent and state.level > BRACKETS:
        state.pos = state.posMax  # what is around them then ends nowhere, and is text
        return True
    return link(state, silent)


def _picture(state: StateInline, silent: bool) -> bool:
    """Make of a picture a link to it; within a link, its text alone."""
    if not state.src.startswith("![", state.pos):
        return False
    start = len(state.tokens) + bool(state.pending)
    state.pos += 1
    if not _link(state, silent):
        state.pos -= 1
        return False
    if state.linkLevel and not silent:
        del state.tokens[-1]
        del state.tokens[start]
    return True


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Make a table, unless it has too many cells: each line is filled up with empty ones."""
    cells = state.env["cells"]
    if cells > CELLS or not table(state, start, end, True):
        return False
    if silent:
        return True
    columns = state.src.count("|", state.bMarks[start], state.eMarks[start]) + 1
    for line in range(start, end):
        if state.isEmpty(line) or cells > CELLS:
            break
        cells += columns
    state.env["cells"] = cells
    return cells <= CELLS and table(state, start, end, False)


def _quote(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < QUOTES and blockquote(state, start, end, silent)


def _list(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < 2 * LISTS and list_block(state, start, end, silent)


def _math_lines(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Keep the lines of a formula as they are."""
    if state.is_code_block(start):
        return False
    found = _MATH_LINES.match(state.src, state.bMarks[start] + state.tShift[start])
    if found is None:
        return False
    stop = start + 1 + found[0].count("\n")
    if stop > end or any(state.sCount[line] < state.blkIndent for line in range(start, stop)):
        return False
    if not silent:
        token = state.push("math_lines", "", 0)
        token.content = state.getLines(start, stop, state.blkIndent, False).strip()
        state.line = stop
    return True


def _finish(state: StateCore) -> None:
    """Give cells a class for a style, and links a text and an address."""
    for token in state.tokens:
        if token.type in ("td_open", "th_open") and token.attrs:
            token.attrs = {"class": str(token.attrs["style"]).removeprefix("text-align:")}
        elif token.children:
            token.children = list(_links(token.children))


def _links(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield tokens, those of ``[a]()`` as text, and of ``[](b)`` with the address as text."""
    address, empty = "", True
    for token in tokens:
        if token.type == "link_open":
            address, empty = str(token.attrs["href"]), True
            yield token if address else Token("text", "", 0, content="[")
        elif token.type == "link_close":
            if empty:
                yield Token("text", "", 0, content=address)
            yield token if address else Token("text", "", 0, content="]()")
        else:
            empty = empty and not token.content.strip()
            yield token


class _Html(RendererHTML):
    """Makes HTML of tokens: a method for each kind that is not as usual.

    There is no white space but the text's own, so that a page may keep all that it finds.
    """

    def renderToken(  # noqa: N802
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return super().renderToken(tokens, idx, options, env).strip("\n")

    def mention(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        name = tokens[idx].content
        kind = "mention me" if name == f"@{env['me']}" else "mention"
        return f'<span class="{kind}">{escape(name)}</span>'

    def channel(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<span class="channel-link">{escape(tokens[idx].content)}</span>'

    def verbatim(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return escape(tokens[idx].content).replace("\n", "<br>")

    def math_lines(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return _paragraph(tokens[idx].content)

    def softbreak(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return "<br>"

    hardbreak = softbreak

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        code, info = tokens[idx].content, tokens[idx].info.strip()
        language = _LANGUAGE.get(info.partition(" ")[0].lower(), "")
        if not language and not _WORD.fullmatch(info):  # code that began right after the fence
            code = f"{info}\n{code}"
        return _code(code, language, env["until"])

    def code_block(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return _code(tokens[idx].content, "", env["until"])


@functools.cache
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language)


def _code(code: str, language: str, until: float) -> str:
    if not language:
        return f'<pre class="code"><code>{escape(code)}</code></pre>'
    html = escape(code) if len(code) > HIGHLIGHT else _coloured(code, _lexer(language), until)
    return f'<pre class="code" lang="{language}"><code>{html}</code></pre>'


def _coloured(code: str, lexer: Lexer, until: float) -> str:
    """Return code with its tokens in spans, as many as there is time for."""
    parts = []
    done = 0
    for start, kind, text in lexer.get_tokens_unprocessed(code):
        if start != done or time.thread_time() > until:
            break
        name = next(STANDARD_TYPES[one] for one in reversed(kind.split()) if one in STANDARD_TYPES)
        shown = escape(text)
        parts.append(f'<span class="{PREFIX}{name}">{shown}</span>' if name in _COLOURED else shown)
        done += len(text)
    return "".join(parts) + escape(code[done:])


# What may come out.


@functools.cache
def _cleaner() -> nh3.Cleaner:
    text = "p br hr h1 h2 h3 h4 h5 h6 blockquote ul ol li strong em s a span code pre"
    tables = "table thead tbody tr th td"
    tokens = {f"{PREFIX}{name}" for name in _COLOURED}
    sides = {"left", "center", "right"}
    return nh3.Cleaner(
        tags={*text.split(), *tables.split()},
        attributes={"*": set(), "a": {"href"}, "ol": {"start"}},
        tag_attribute_values={"pre": {"lang": set(LANGUAGES)}},
        allowed_classes={
            "span": {"mention", "me", "channel-link", *tokens},
            "pre": {"code"},
            "th": sides,
            "td": sides,
        },
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


# Colours.


def _selector(names: str) -> str:
    return ", ".join(f".{PREFIX}{name}" for name in names.split())


PYGMENTS_CSS: str = "\n".join(
    [
        *(f"{_selector(names)} {{ color: var(--{name}, {c}); }}" for name, names, c in _COLOURS),
        f"{_selector('c ch cm c1 cs')} {{ font-style: italic; }}",
        f"{_selector('k kd kn kr ow gh gu')} {{ font-weight: bold; }}\n",
    ]
)
"""Colours of code for a style sheet: those of JupyterLab's theme, light or dark."""
