"""Texts become HTML that holds no more than it may, whatever was written."""

from __future__ import annotations

import re
import threading
import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatkit import markup
from chatkit.markup import PYGMENTS_CSS, emoji_names, needs_markup, to_html
from chatkit.message import BODY_LIMIT, Message, check
from chatkit.query import mentions
from tests.xss import FILES, NAMES, PAYLOADS

any_time = settings(deadline=None)

BLOCKS = {"p", "hr", "blockquote", "ul", "ol", "li", "pre", *(f"h{n}" for n in range(1, 7))}
BLOCKS |= {"table", "thead", "tbody", "tr", "th", "td"}
EMPTY = {"br", "hr"}
TAGS = BLOCKS | {"br", "strong", "em", "s", "a", "span", "code"}
TOKEN = re.compile(r"c-[a-z0-9]{1,3}")
LINK = {"href", "target", "rel"}


class Page(HTMLParser):
    """Reads HTML, refuses what may not be in it, and keeps what one would see."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.classes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "something was not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, f"<{tag}> may not be there"
        facts = dict(attrs)
        assert len(facts) == len(attrs)
        self._check(tag, {name: value or "" for name, value in facts.items()})
        self.tags.append(tag)
        if tag in BLOCKS and self.text:
            self.text += "\n\n"
        elif tag == "br":
            self.text += "\n"
        if tag not in EMPTY:
            self._open.append(tag)

    def _check(self, tag: str, facts: dict[str, str]) -> None:
        match tag:
            case "a":
                assert set(facts) == LINK, facts
                assert re.match(r"(?i:https?://[^/]|mailto:.)", facts["href"]), facts
                assert facts["target"] == "_blank"
                assert set(facts["rel"].split()) == {"noopener", "noreferrer", "nofollow"}
                assert "a" not in self._open, "a link in a link"
                self.links.append((facts["href"], ""))
            case "span":
                assert set(facts) == {"class"}, facts
                kind = facts["class"]
                assert TOKEN.fullmatch(kind) or kind in ("mention", "mention me", "channel-link")
                self.classes.append((kind, ""))
            case "pre":
                assert facts.pop("class") == "code"
                assert not facts or facts.keys() == {"lang"}
                assert facts.get("lang", "python") in markup.LANGUAGES
            case "ol":
                assert not facts or facts.keys() == {"start"}
                assert facts.get("start", "1").isdecimal()
            case "th" | "td":
                assert facts in ({}, *({"class": side} for side in ("left", "center", "right")))
            case _:
                assert facts == {}, f"<{tag}> with {facts}"

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        for kept, tag in ((self.links, "a"), (self.classes, "span")):
            if tag in self._open and kept:
                kept[-1] = (kept[-1][0], kept[-1][1] + data)

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data!r}")

    def handle_decl(self, decl: str) -> None:
        pytest.fail(f"a declaration: {decl!r}")

    def unknown_decl(self, data: str) -> None:
        pytest.fail(f"a declaration: {data!r}")

    def handle_pi(self, data: str) -> None:
        pytest.fail(f"an instruction: {data!r}")


def page(body: str, *, me: str = "ana", channels: tuple[str, ...] = ("general",)) -> Page:
    return Page(to_html(body, me=me, channels=channels))


def spans(body: str, **how: object) -> list[tuple[str, str]]:
    return page(body, **how).classes  # type: ignore[arg-type]


# What may come out.


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda one: repr(one[:40]))
def test_a_hostile_text_becomes_text(payload: str) -> None:
    shown = page(payload)
    assert shown.text.strip()
    assert not any("javascript" in href.split("/")[0].lower() for href, _ in shown.links)


@pytest.mark.parametrize(
    "place", ["{}", "# {}", "- {}", "> {}", "|a|\n|-|\n|{}|", "[{}](https://x.org)"]
)
def test_a_hostile_text_becomes_text_wherever_it_stands(place: str) -> None:
    for payload in (*PAYLOADS, *NAMES, *FILES):
        page(place.format(payload) if place == "{}" else place.replace("{}", payload))


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_reader_or_author_is_no_more_than_a_name(name: str) -> None:
    check(Message.new("general", name, "hello"))
    page(f"@{name} hello `{name}`", me=name)


def test_a_hostile_channel_is_no_more_than_a_name() -> None:
    for name in NAMES:
        page(f"#{name}", channels=(name,))


PIECES = [
    *"*_`~[]()<>!#-+=|:.&;@$\\'\" \n\t\r\0/",
    *("**", "~~", "```", "```python\n", "](", "![", "](https://x.org)", "](javascript:x)", "\n\n"),
    *("https://", "www.", "http://x.org/", "<https://x.org>", "|-|", "\n|-|-|\n", "1. ", "\n> "),
    *("&lt;", "&#x3c;", "&amp;", "<b>", "<img src=x onerror=alert(1)>", "<script>", "</p>", "<!--"),
    *(
        "@ana",
        "@ben",
        "#general",
        ":tada:",
        "$$",
        "$x$",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "    ",
        "\u202e",
    ),
    *("a", "b c", "é", "😀", "\ud800", "\u2028", "\x0b", "\x1c", "javascript:", "data:"),
]
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(PAYLOADS[:200])), max_size=6).map(
        "".join
    ),
    st.text(max_size=60),
)


@settings(deadline=None, max_examples=600)
@given(texts)
def test_whatever_is_written_only_what_may_come_out_does(body: str) -> None:
    page(body)


@any_time
@given(texts.filter(lambda body: not body.isspace() and "&" not in body))
@example("#")
@example(">")
@example("- ")
@example("```")
@example("[](https://x.org)")
@example("[ ](https://x.org)")
@example("![](https://x.org)")
@example("[ana]: https://x.org")
@example("[10:30]: lunch")
@example("- - - - - - - - - - hello")
@example("> " * 40 + "hello")
def test_no_text_vanishes(body: str) -> None:
    if re.sub(r"[\s\\\0]", "", body):
        shown = page(body)
        assert shown.text.strip() or "hr" in shown.tags


# Without markup.

PLAIN = [
    *"abc éß😀.,;?!'\"()/%^{}$|=+-><&#_:~[]12",
    *(" ", "\n", "\n\n", "snake_case", "10:30", "- ", "a - b", "R&D", "<3", "x | y", "[x]", ":)"),
    *("$5", "$x$", "www", "http", "#", "1. ", "@ ", "ﬀ", "\u2028", "\x85", "\xa0", "\x1c"),
]


@settings(deadline=None, max_examples=1_000)
@given(st.one_of(st.lists(st.sampled_from(PLAIN), max_size=12).map("".join), texts))
@example("see you at 10:30 - ok?")
@example("one\ntwo\n\nthree")
@example("$$\na\n$$")
@example("a\n\n\nb")
@example("x ")
@example(" x")
@example("a_b_c")
@example("a _b_ c")
@example("WWW.example.org")
def test_what_needs_no_markup_shows_as_it_was_written(body: str) -> None:
    if not needs_markup(body):
        shown = page(body)
        assert shown.text == body
        assert set(shown.tags) <= {"p", "br"}


@pytest.mark.parametrize(
    "body",
    [
        "Good morning, everybody! Shall we start?",
        "I think that the consumer lags (because of the rebalance), let's look at 10:30 - ok?",
        "a snake_case name, R&D, 1 < 2 > 0, [sic], <3, C# and 50 % of $5",
        "one\ntwo\n\nthree",
        "schöne Grüße 😀",
    ],
)
def test_an_ordinary_line_needs_no_markup(body: str) -> None:
    assert not needs_markup(body)


@pytest.mark.parametrize(
    "body",
    [
        *(
            "*a*",
            "_a_",
            "`a`",
            "~~a~~",
            "\\*",
            "&lt;",
            "# a",
            "- a",
            "+ a",
            "1. a",
            "> a",
            "a\n---",
        ),
        *("a\n===", "    a", "\ta", "```\na\n```", "[a](http://x.org)", "<http://x.org>", "@ana"),
        *("#general", ":tada:", "http://x.org", "www.x.org", "WWW.X.org", "a|b\n-|-", "a  \nb"),
        *("a\rb", "a\0b", "a\n", "\na", "a\n\n\nb", "a\n  b", "***", "a\ud800"),
    ],
)
def test_markup_needs_markup(body: str) -> None:
    assert needs_markup(body)


def test_asking_whether_a_line_needs_markup_costs_next_to_nothing() -> None:
    line = "I think that the consumer lags because of the rebalance, let's look at 10:30 - ok?"
    assert (
        min(_seconds(lambda: [needs_markup(line) for _ in range(1_000)]) for _ in range(20)) < 2e-3
    )


# Markdown.


@pytest.mark.parametrize(
    ("body", "html"),
    [
        ("a **b** *c* ~~d~~ `e`", "<p>a <strong>b</strong> <em>c</em> <s>d</s> <code>e</code></p>"),
        ("a\nb\\\nc  \nd", "<p>a<br>b<br>c<br>d</p>"),
        ("a\n\nb", "<p>a</p><p>b</p>"),
        ("# a\n###### b", "<h1>a</h1><h6>b</h6>"),
        ("- a\n- b\n  1. c", "<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>"),
        ("1986. A year", '<ol start="1986"><li>A year</li></ol>'),
        ("> a\n> b", "<blockquote><p>a<br>b</p></blockquote>"),
        ("a\n\n---", "<p>a</p><hr>"),
        ("<b>&lt;&copy;", "<p>&lt;b&gt;&lt;©</p>"),
        ("[a]: b", "<p>[a]: b</p>"),
        ("[a]( ) *b*", "<p>[a]() <em>b</em></p>"),
    ],
)
def test_markdown_becomes_html_without_white_space_of_its_own(body: str, html: str) -> None:
    assert to_html(body, me="ana") == html


def test_a_table_keeps_the_sides_of_its_columns() -> None:
    html = to_html("|a|b|\n|-|-:|\n|1|*2*|", me="ana")
    assert html == (
        '<table><thead><tr><th>a</th><th class="right">b</th></tr></thead>'
        '<tbody><tr><td>1</td><td class="right"><em>2</em></td></tr></tbody></table>'
    )


@pytest.mark.parametrize(
    ("body", "links"),
    [
        ("[a](https://x.org/y)", [("https://x.org/y", "a")]),
        ("[a](mailto:ana@x.org)", [("mailto:ana@x.org", "a")]),
        (
            "<https://x.org> <ana@x.org>",
            [("https://x.org", "https://x.org"), ("mailto:ana@x.org", "ana@x.org")],
        ),
        (
            "see https://x.org/a_b_(c)_d_e.",
            [("https://x.org/a_b_(c)_d_e", "https://x.org/a_b_(c)_d_e")],
        ),
        ("(http://x.org/?a=b&c=d#e)", [("http://x.org/?a=b&c=d#e", "http://x.org/?a=b&c=d#e")]),
        (
            "**http://x.org**, http://y.org!",
            [("http://x.org", "http://x.org"), ("http://y.org", "http://y.org")],
        ),
        (
            "www.x.org/_a_b, Www.y.org",
            [("http://www.x.org/_a_b", "www.x.org/_a_b"), ("http://Www.y.org", "Www.y.org")],
        ),
        ("http://localhost:8888/lab", [("http://localhost:8888/lab", "http://localhost:8888/lab")]),
        ("![a](https://x.org/y.png)", [("https://x.org/y.png", "a")]),
        ("![](https://x.org/y.png)", [("https://x.org/y.png", "https://x.org/y.png")]),
        ("[![a](https://y.org)](https://x.org)", [("https://x.org", "a")]),
        ("[https://x.org](https://y.org)", [("https://y.org", "https://x.org")]),
        ("[@ben #general](https://x.org)", [("https://x.org", "@ben #general")]),
        (
            "https://x.org/@ana/#general",
            [("https://x.org/@ana/#general", "https://x.org/@ana/#general")],
        ),
        ("`https://x.org` README.md x.py ana@x.org ftp://x.org xhttp://y www. http://", []),
        ("[a](/b) [a](b) [a](//x.org) [a](#b) [a](http:x) [a](https:///x)", []),
    ],
)
def test_addresses_become_links(body: str, links: list[tuple[str, str]]) -> None:
    shown = page(body)
    assert shown.links == links
    assert [kind for kind, _ in shown.classes] == []


# Names, channels, emoji and formulas.


def test_names_are_mentions_and_mine_is_marked() -> None:
    assert spans("@ana, @ben: *@cleo.* a@b.org `@ana` @ @@ben") == [
        ("mention me", "@ana"),
        ("mention", "@ben"),
        ("mention", "@cleo"),
    ]


@any_time
@given(
    st.lists(st.sampled_from(["@ana", "@ben.", "a", ".", "-", "_", " ", "@", "é", ","])).map(
        "".join
    )
)
def test_a_mention_is_what_a_search_for_mentions_finds(body: str) -> None:
    if body.startswith(("- ", "-\n")):
        return
    found = [text for kind, text in spans(body) if kind.startswith("mention")]
    assert list(dict.fromkeys(found)) == [f"@{name}" for name in mentions(body)]


def test_only_channels_that_are_there_are_channels() -> None:
    body = "#general, #general- #nope a#general `#general` #General /#general #generalé"
    assert spans(body) == [("channel-link", "#general")] * 2
    assert spans("#general", channels=()) == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (":tada:", "🎉"),
        (":tada::+1: :heart:!", "🎉👍 ❤️!"),
        (":**a**: :tada::nope:", ":a: 🎉:nope:"),
        (":no_such_emoji: 10:30:15 a:b:c", ":no_such_emoji: 10:30:15 a:b:c"),
        ("`:tada:` std::x::y", ":tada: std::x::y"),
        ("[:tada:](https://x.org)", "🎉"),
        ("https://x.org/:tada:", "https://x.org/:tada:"),
    ],
)
def test_short_names_become_emoji(body: str, text: str) -> None:
    assert page(body).text == text


def test_emoji_names_are_short_names() -> None:
    assert emoji_names()["tada"] == "🎉"
    assert not any(":" in name or " " in name for name in emoji_names())


@pytest.mark.parametrize(
    "body",
    [
        "$a_1 * b_2 * c$",
        "$$a_1 * b_2\n* c_3 * d$$",
        "$$\na\n= b\n- c_1 * d_1 * e\n\n+ f\n$$",
        "\\(a_1 \\cdot b\\) and \\[ \\frac{a*b*c}{d} \\]",
        "\\[\na\n- b\n\\]",
    ],
)
def test_formulas_stay_as_they_are(body: str) -> None:
    shown = page(body)
    assert shown.text == body
    assert set(shown.tags) <= {"p", "br"}


def test_money_is_no_formula() -> None:
    assert page("$5 *or* $6").tags == ["p", "em"]
    assert page("$HOME and `$PATH`").tags == ["p", "code"]


# Code.


def test_known_code_has_its_language_and_its_colours() -> None:
    html = to_html("```py\ndef f(): # <x>\n```", me="ana")
    assert html == (
        '<pre class="code" lang="python"><code><span class="c-k">def</span> '
        '<span class="c-nf">f</span>(): <span class="c-c1"># &lt;x&gt;</span>\n</code></pre>'
    )


@pytest.mark.parametrize("body", ["```\na *b*\n```", "```nim\na *b*\n```", "    a *b*\n"])
def test_other_code_is_plain(body: str) -> None:
    assert to_html(body, me="ana") == '<pre class="code"><code>a *b*\n</code></pre>'


def test_code_that_begins_right_after_the_fence_is_not_lost() -> None:
    assert page("```print(1)\nprint(2)\n```").text == "print(1)\nprint(2)\n"


@pytest.mark.parametrize("language", markup.LANGUAGES)
@settings(deadline=None, max_examples=30)
@given(code=st.text(st.sampled_from("ab1 \n\t(){}[]<>\"'`\\/#$%&*=-+:;,.@!?|é\0")))
def test_coloured_code_is_the_code(language: str, code: str) -> None:
    code = code.replace("\0", "\ufffd").replace("```", "").strip("\n`~")
    if code.isspace() or not code:
        return
    assert page(f"~~~~{language}\n{code}\n~~~~").text.rstrip("\n") == code


def test_long_code_is_not_coloured() -> None:
    code = "None\n" * 5_000
    assert spans(f"```python\n{code}```") == []


def test_code_stays_uncoloured_from_where_it_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(markup, "COLOURING", 0)
    markup._kept.cache_clear()
    shown = page("```python\nNone < 1\n```")
    markup._kept.cache_clear()
    assert (shown.classes, shown.text) == ([], "None < 1\n")


def test_every_coloured_token_has_a_rule_in_the_style_sheet() -> None:
    kinds = {
        kind
        for kind, _ in spans("```python\n@a\nclass B(int): x = f'{1}' if not None else 2 # c\n```")
    }
    assert len(kinds) >= 6
    assert all(f".{kind}" in PYGMENTS_CSS for kind in kinds)
    assert "--jp-mirror-editor-keyword-color, #" in PYGMENTS_CSS


# Time.


def _seconds(do: object) -> float:
    start = time.thread_time()
    do()  # type: ignore[operator]
    return time.thread_time() - start


UNITS = [
    *("[", "]", "*", "**", "_", "`", "``x`", "~~", "*a **b ", "**a*", "*_", "[*", "[`", "[<"),
    *(
        "<",
        "<a@",
        "<http://",
        "![",
        "[![",
        "![a](http://b)",
        "[](",
        "[a](",
        "[a](http://[",
        "[a](b '",
    ),
    *(
        "&",
        "&amp;",
        "&#x",
        "\\",
        "\\(",
        "\\[ \\a",
        "\\\\(",
        "$",
        "$a",
        "$$a ",
        "$$\n",
        "$$ x\n",
        "\\[\n",
    ),
    *(
        "@",
        "@a",
        ":",
        ":a",
        ":a:",
        ":tada:",
        "#general ",
        "www.",
        "www.a.b ",
        "http://",
        "http://a/((",
    ),
    *(
        "> ",
        ">",
        "- ",
        "1. ",
        "- a\n",
        "> a\n",
        "# a\n",
        "---\n",
        "a\n---\n",
        "a\n\n",
        "    a\n",
        "\ta\n",
    ),
    *("```\n", "```python\nx\n```\n", "~~~\n", "|", "|a|b|\n|-|-|\n", "x|\n-|\n", "||||\n", ":-|"),
    *(
        "\n",
        " ",
        "\r",
        "\0",
        "\u202e",
        "😀",
        "<!--",
        "<![CDATA[",
        "a_b_",
        "[a]: b\n",
        "[a][b]",
        "&lt;",
    ),
]
SHAPES = {
    "lists in lists": "".join("  " * depth + "- a\n" for depth in range(126)),
    "quotes in quotes": "".join(">" * depth + " a\n" for depth in range(170)),
    "a quote that goes on": ">" * 20 + "\n" + "a\n" * 8_000,
    "lists and quotes": ">- " * 5_000,
    "wide table": "|a" * 2_700 + "|\n" + "|-" * 2_700 + "|\n" + "x\n" * 100,
    "many wide tables": ("|a" * 50 + "|\n" + "|-" * 50 + "|\n" + "x\n" * 40 + "\n") * 30,
    "tall table": "|a|b|\n|-|-|\n" + "|x|y|\n" * 2_700,
    "closed brackets": "[" * 8_000 + "]" * 8_000,
    "closed stars": "*" * 8_000 + "a" + "*" * 8_000,
    "ticks": "".join("`" * length + " " for length in range(180)),
    "long address": "http://a/" + "(" * 8_000 + ")" * 8_000,
    "long host": "http://" + "é." * 5_000,
    "many quotes": ">" * 10_000,
}


@pytest.mark.parametrize(
    "body",
    [*(unit * (BODY_LIMIT // len(unit.encode())) for unit in UNITS), *SHAPES.values()],
    ids=[*(repr(unit) for unit in UNITS), *SHAPES],
)
def test_the_worst_text_takes_a_bounded_time(body: str) -> None:
    body = body.encode()[:BODY_LIMIT].decode(errors="ignore")
    shown: list[str] = []
    assert _seconds(lambda: shown.append(to_html(body, me="ana", channels={"general"}))) < 1
    assert _seconds(lambda: needs_markup(body)) < 0.1
    assert len(shown[0]) < 25 * BODY_LIMIT
    Page(shown[0])


CODE_UNITS = [
    *(
        "(",
        "{",
        "<",
        '"',
        "'",
        "`",
        "\\",
        "/*",
        "#",
        "=>",
        "a ",
        "a.",
        "a(",
        "0",
        "${",
        "<a b=",
        "\n",
    ),
    *("<!--", "@a", "  a\n", "a: ", 'f"{', "<<A\n", "[a]\n", "\\a{", "a<b"),
]


@pytest.mark.parametrize("language", markup.LANGUAGES)
def test_the_worst_code_takes_a_bounded_time(language: str) -> None:
    for unit in CODE_UNITS:
        code = unit * ((BODY_LIMIT - 100) // len(unit))
        body = f"~~~~~{language}\n{code}\n~~~~~"
        spent = _seconds(lambda body=body: to_html(body, me="ana"))
        assert spent < 1, f"{unit!r} takes {spent:.1f} s"


# What is kept.


def test_the_same_text_is_rendered_once_whatever_else_there_is() -> None:
    markup._kept.cache_clear()
    first = to_html("hello *ben* #general", me="ana", channels={"general", "random"})
    assert to_html("hello *ben* #general", me="cleo", channels=["general"]) is first
    assert to_html("hello *ben* #general", me="cleo", channels=()) != first
    assert to_html("@ana", me="ana") != to_html("@ana", me="ben")


def test_several_threads_may_render() -> None:
    bodies = [
        f"```{language}\nx = [{n}]\n```\n*{n}* :tada: @ana"
        for n in range(8)
        for language in ("python", "json", "sql")
    ]
    alone = [to_html(body, me="ana") for body in bodies]
    markup._kept.cache_clear()
    together: dict[int, list[str]] = {}

    def work(number: int) -> None:
        together[number] = [to_html(body, me="ana") for body in bodies]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [together[n] for n in range(4)] == [alone] * 4


# The corpus.


def test_the_corpus_is_large_and_each_name_may_be_sent() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 130
    assert len(set(NAMES)) == len(NAMES) >= 30
    assert len(set(FILES)) == len(FILES) >= 30
    for name in NAMES:
        check(Message.new("general", name, "hello"))
    for body in PAYLOADS:
        check(Message.new("general", "ana", body))
