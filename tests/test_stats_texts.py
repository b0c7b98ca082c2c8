"""Statistics of texts, changes and reactions, held against the slow and plain way."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import emoji
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit import stats
from chatkit.errors import InputError
from chatkit.history import MESSAGE_SCHEMA
from chatkit.query import mentions as mentioned_in
from chatkit.stats import texts
from chatkit.stats.questions import question_list
from chatkit.stats.stop_words import ENGLISH, GERMAN, STOP_WORDS

any_time = settings(deadline=None)

DATES = ["sent_at", "placed_at", "archived_at", "edited_at", "deleted_at", "pinned_at"]
TEXTS = ["id", "channel", "author", "body", "reply_to", "source"]
ATTACHMENT = ["attachment_name", "attachment_type", "attachment_size"]
START = pd.Timestamp("2026-01-01 10:00", tz="UTC")


def history(*messages: dict[str, Any]) -> pd.DataFrame:
    """Return a frame of messages, a minute apart; what is not said of one is plain."""
    records = []
    for number, message in enumerate(messages):
        at = START + pd.Timedelta(minutes=message.get("minute", number))
        edited, deleted = message.get("edited_after"), message.get("deleted_after")
        records.append(
            {
                "id": message.get("id", f"id{number}"),
                "channel": message.get("channel", "general"),
                "author": message.get("author", "ana"),
                "body": message.get("body", ""),
                **dict.fromkeys(["sent_at", "placed_at", "archived_at"], at),
                "reply_to": message.get("reply_to"),
                "bot": message.get("bot", False),
                "source": "chat",
                "edited_at": None if edited is None else at + pd.Timedelta(seconds=edited),
                "deleted_at": None if deleted is None else at + pd.Timedelta(seconds=deleted),
                "pinned_at": None,
                "reactions": 0,
                **dict.fromkeys(ATTACHMENT),
                "partition": 0,
                "offset": number,
                "rev": message.get("rev", 0),
            }
        )
    frame = pd.DataFrame(records, columns=MESSAGE_SCHEMA.names)
    return frame.astype(
        {
            **dict.fromkeys(DATES, "datetime64[ms, UTC]"),
            **dict.fromkeys([*TEXTS, "attachment_name", "attachment_type"], "str"),
            "attachment_size": "Int64",
            "bot": "bool",
            **dict.fromkeys(["partition", "offset", "rev", "reactions"], "int64"),
        }
    )


def bodies(*written: str) -> pd.DataFrame:
    return history(*({"body": body} for body in written))


def reactions(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Return a frame of (message, its author, emoji, who put it there)."""
    table = pd.DataFrame(
        [(one, "general", author, START, sign, actor) for one, author, sign, actor in rows],
        columns=["id", "channel", "author", "placed_at", "emoji", "actor"],
    )
    kinds = dict.fromkeys(["id", "channel", "author", "emoji", "actor"], "str")
    return table.astype({**kinds, "placed_at": "datetime64[ms, UTC]"})


def rows_of(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(table.astype(object).itertuples(index=False, name=None))


def dtypes(table: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in table.dtypes.items()}


# The plain way.

PIECES = [
    *"aBzß_19' ’-?!.,:;@#*`|<>)(\n\t",
    "é",
    "e\u0301",
    "Ǆ",
    "ﬁ",
    "½",
    "你好",
    "привет",
    "\u200c",
    "\u200d",
    "don't",
    "word ",
    "ana",
    "😀",
    "❤",
    "❤️",
    "👍🏽",
    "👩‍🚀",
    "🇦🇹",
    "1️⃣",
    "\ufe0f",
    "\u20e3",
    "©",
    "？",
    "http://a.example/x",
    "https://ana@WWW.B.example:80?q",
    "www.c.example",
    "``",
    "```",
    "\x1f",
    "\xa0",
]
BODIES = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "channel": st.sampled_from(["general", "tools", "x"]),
            "author": st.sampled_from(["ana", "ben", "cleo"]),
            "body": BODIES,
            "bot": st.booleans(),
        }
    ),
    max_size=8,
)
GROUPS = st.sampled_from([None, "channel", "author", "bot"])


def code_parted(text: str) -> str:
    """Return a text with | where code is."""
    found, at = "", 0
    while at < len(text):
        if text[at] != "`":
            found += text[at]
            at += 1
            continue
        run = len(text[at:]) - len(text[at:].lstrip("`"))
        after = text[at + run :]
        closing = re.search(f"(?<!`){'`' * run}(?!`)", after)
        line = text[:at].rpartition("\n")[2]
        if closing:
            found += "|"
            at += run + closing.end()
        elif run >= 3 and not line.strip():
            return found + "|"
        else:
            found += text[at : at + run]
            at += run
    return found


def plain_text(text: str) -> str:
    return texts.LINK.sub("|", code_parted(text))


def is_word_part(character: str) -> bool:
    if character in "\ufe0f\u20e3":
        return False
    return character == "_" or unicodedata.category(character)[0] in "LMN"


def plain_words(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the words of a text, and where they begin and end."""
    parts = [
        is_word_part(one)
        or (
            one in "'’\u200c\u200d"
            and 0 < at < len(text) - 1
            and is_word_part(text[at - 1])
            and is_word_part(text[at + 1])
        )
        for at, one in enumerate(text)
    ]
    for run in re.finditer("w+", "".join(" w"[part] for part in parts)):
        raw = text[run.start() : run.end()]
        word = unicodedata.normalize("NFKC", raw.replace("’", "'")).lower()
        yield word, run.start(), run.end()


def counted_words(frame: pd.DataFrame, by: str | None, stop: set[str]) -> dict[Any, Counter[str]]:
    found: dict[Any, Counter[str]] = defaultdict(Counter)
    for row in frame.itertuples():
        for word, _, _ in plain_words(plain_text(str(row.body))):
            if word not in stop and any(map(str.isalpha, word)):
                found[None if by is None else getattr(row, by)][word] += 1
    return found


def counted_pairs(frame: pd.DataFrame, by: str | None, stop: set[str]) -> dict[Any, Counter[Any]]:
    found: dict[Any, Counter[Any]] = defaultdict(Counter)
    for row in frame.itertuples():
        text = plain_text(str(row.body))
        placed = list(plain_words(text))
        for (one, _, end), (two, start, _) in itertools.pairwise(placed):
            counts = all(word not in stop and any(map(str.isalpha, word)) for word in (one, two))
            if counts and not text[end:start].strip():
                found[None if by is None else getattr(row, by)][one, two] += 1
    return found


def in_rows(found: dict[Any, Counter[Any]], by: str | None) -> list[tuple[Any, ...]]:
    """Return counts as a table's rows: by group, the most frequent first, with their shares."""
    rows = []
    for group in sorted(found, key=lambda name: (name is not None, name)):
        total = sum(found[group].values())
        for thing, times in sorted(found[group].items(), key=lambda item: (-item[1], item[0])):
            things = thing if isinstance(thing, tuple) else (thing,)
            rows.append((*([] if by is None else [group]), *things, times, times / total))
    return rows


def in_small_pieces(call: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "PIECE_BYTES", 24)
        return call()


# Words.


@any_time
@given(MESSAGES, GROUPS)
def test_words_are_those_of_the_plain_way(messages: list[dict[str, Any]], by: str | None) -> None:
    frame = history(*messages)
    table = in_small_pieces(lambda: stats.words(frame, by=by, stop_words={"ana", "a"}))
    assert rows_of(table) == in_rows(counted_words(frame, by, {"ana", "a"}), by)


@any_time
@given(MESSAGES, GROUPS)
def test_word_pairs_are_those_of_the_plain_way(
    messages: list[dict[str, Any]], by: str | None
) -> None:
    frame = history(*messages)
    table = in_small_pieces(lambda: stats.word_pairs(frame, by=by, stop_words={"ana"}))
    assert rows_of(table) == in_rows(counted_pairs(frame, by, {"ana"}), by)


@any_time
@given(BODIES)
def test_any_text_loses_its_code_as_in_the_plain_way(text: str) -> None:
    assert texts.without_code(text) == code_parted(text)


def test_words_are_unicode_in_lower_case_and_code_and_links_are_none() -> None:
    frame = bodies(
        "Größe GRÖSSE größe!",
        "Don’t `print(größe)`, don't see https://größe.example/x",
        "```\nfor größe in x:\n```\nпривет 42 snake_case",
        "e\u0301t\u00e9 42nd",
    )
    table = stats.words(frame, stop_words=())
    assert dict(zip(table["word"], table["times"], strict=True)) == {
        "größe": 2,
        "grösse": 1,
        "don't": 2,
        "see": 1,
        "привет": 1,
        "snake_case": 1,
        "été": 1,
        "42nd": 1,
    }


def test_an_unclosed_fence_is_code_to_the_end_but_a_lone_backtick_is_none() -> None:
    assert texts.without_code("a\n ```b\nc") == "a\n |"
    assert texts.without_code("a ```b") == "a ```b"
    assert texts.without_code("it`s `b` c") == "it|b` c"


def test_stop_words_are_left_out_as_they_are_written_and_part_pairs() -> None:
    frame = bodies("the hard disk AND the Hard disk", "hard, disk")
    assert stats.words(frame)["word"].tolist() == ["disk", "hard"]
    pairs = stats.word_pairs(frame, stop_words=["AND", "the"])
    assert rows_of(pairs) == [("hard", "disk", 2, 1.0)]
    assert stats.words(frame, stop_words=STOP_WORDS | {"Hard"})["word"].tolist() == ["disk"]


def test_stop_words_are_written_as_words_are_counted() -> None:
    assert ENGLISH | GERMAN == STOP_WORDS
    for word in STOP_WORDS:
        assert [one for one, _, _ in plain_words(word)] == [word]


def test_only_the_most_frequent_of_each_group_if_asked() -> None:
    frame = history(
        {"channel": "b", "body": "x x y"}, {"channel": "a", "body": "z"}, {"body": "z w w"}
    )
    table = stats.words(frame, by="channel", top=1)
    assert rows_of(table[["channel", "word", "times"]]) == [
        ("a", "z", 1),
        ("b", "x", 2),
        ("general", "w", 2),
    ]


def test_a_million_words_in_one_message_are_counted() -> None:
    frame = bodies("wort hat " * 500_000, "wort")
    assert rows_of(stats.words(frame, stop_words=["hat"])) == [("wort", 500_001, 1.0)]
    pairs = stats.word_pairs(frame, stop_words=())
    assert pairs["times"].tolist() == [500_000, 499_999]
    assert stats.lengths(frame)["most"].tolist() == [4_500_000, 1_000_000]


# Characteristic words.


@any_time
@given(MESSAGES, st.sampled_from(["channel", "author", "bot"]))
def test_characteristic_words_are_those_of_the_formula(
    messages: list[dict[str, Any]], by: str
) -> None:
    frame = history(*messages)
    found = counted_words(frame, by, set())
    everywhere = sum(found.values(), Counter[str]())
    total, prior = sum(everywhere.values()), 10.0
    expected = {}
    for group, counts in found.items():
        size = sum(counts.values())
        for word, times in counts.items():
            other, rest = everywhere[word] - times, total - size
            if times * rest <= other * size:
                continue
            alpha = prior * everywhere[word] / total
            log_odds = math.log((times + alpha) / (size + prior - times - alpha)) - math.log(
                (other + alpha) / (rest + prior - other - alpha)
            )
            z_score = log_odds / math.sqrt(1 / (times + alpha) + 1 / (other + alpha))
            expected[group, word] = (times, other, log_odds, z_score)
    table = stats.characteristic_words(frame, by=by, stop_words=(), top=None, least=1, prior=prior)
    actual = {(group, word): tuple(rest) for group, word, *rest in rows_of(table)}
    assert actual.keys() == expected.keys()
    for key, values in actual.items():
        assert values == pytest.approx(expected[key])
    for _, part in table.groupby(by):
        assert part["z_score"].is_monotonic_decreasing


def test_what_one_channel_alone_says_is_characteristic_of_it() -> None:
    frame = history(
        *({"channel": "pets", "body": "cat food today"} for _ in range(5)),
        *({"channel": "work", "body": "kafka topic today"} for _ in range(5)),
    )
    table = stats.characteristic_words(frame, top=2, prior=10)
    assert rows_of(table[["channel", "word", "times", "elsewhere"]]) == [
        ("pets", "cat", 5, 0),
        ("pets", "food", 5, 0),
        ("work", "kafka", 5, 0),
        ("work", "topic", 5, 0),
    ]
    assert (table["z_score"] > 1).all()


def test_without_another_group_nothing_is_characteristic() -> None:
    assert stats.characteristic_words(bodies("one word", "one")).empty


# Links.


@pytest.mark.parametrize(
    ("text", "domain", "link"),
    [
        ("see https://www.Example.org/a?b#c.", "example.org", "https://www.Example.org/a?b#c"),
        ("(http://x.example/a_(b))", "x.example", "http://x.example/a_(b)"),
        ("[here](https://x.example/y), yes", "x.example", "https://x.example/y"),
        ("<https://x.example|label>", "x.example", "https://x.example"),
        ("www.x.example!", "x.example", "www.x.example"),
        ("HTTP://ana:pw@X.example:8080", "x.example", "HTTP://ana:pw@X.example:8080"),
        ("http://[2001:db8::1]/x", "[2001:db8::1]", "http://[2001:db8::1]/x"),
        ("http://münchen.example", "münchen.example", "http://münchen.example"),
        ("http://x.example\\@y.example", "x.example", "http://x.example\\@y.example"),
    ],
)
def test_a_link_leads_to_its_host(text: str, domain: str, link: str) -> None:
    assert rows_of(stats.links(bodies(text))[["domain", "link"]]) == [(domain, link)]


@pytest.mark.parametrize("text", ["http://", "http://)", "awww.x.example", "`http://x.example`"])
def test_what_leads_nowhere_and_what_is_in_code_is_no_link(text: str) -> None:
    assert stats.links(bodies(text)).empty


@any_time
@given(MESSAGES, GROUPS)
def test_domains_count_the_links(messages: list[dict[str, Any]], by: str | None) -> None:
    frame = history(*messages)
    found = stats.links(frame).merge(frame[["id", "bot"]], on="id")
    assert len(found) == len(stats.links(frame))
    keys = [*([] if by is None else [by]), "domain"]
    expected = found.groupby(keys, as_index=False).agg(
        links=("id", "size"), messages=("id", "nunique"), authors=("author", "nunique")
    )
    order = [*([] if by is None else [by]), "links", "domain"]
    up = [*([] if by is None else [True]), False, True]
    expected = expected.sort_values(order, ascending=up, ignore_index=True)
    table = stats.link_domains(frame, by=by)
    assert rows_of(table.drop(columns="share")) == rows_of(expected)
    sums = table.groupby(by)["share"].sum() if by else table["share"].to_frame().sum()
    assert table.empty or np.allclose(sums, 1)


def test_links_come_in_the_archives_order_whatever_the_frame_s() -> None:
    frame = bodies("http://a.example http://b.example", "http://c.example")
    for shuffled in (frame, frame.iloc[::-1]):
        assert stats.links(shuffled)["domain"].tolist() == ["a.example", "b.example", "c.example"]
        assert stats.links(shuffled)["id"].tolist() == ["id0", "id0", "id1"]


# Mentions.


@any_time
@given(MESSAGES)
def test_mentions_are_those_of_the_query_language(messages: list[dict[str, Any]]) -> None:
    frame = history(*messages, {"author": "ben", "body": "@ana @ana @cleo.", "channel": "x"})
    pairs: Counter[Any] = Counter()
    for row in frame.itertuples():
        pairs.update((str(row.author), name) for name in mentioned_in(str(row.body)))
    expected = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    table = stats.mentions(frame)
    assert rows_of(table[["author", "mentioned", "messages"]]) == [
        (*pair, count) for pair, count in expected
    ]
    assert table["share"].sum() == pytest.approx(1)
    assert set(table["mentioned"][table["wrote"]]) <= set(frame["author"])
    names = table.groupby("mentioned").agg(messages=("messages", "sum"), authors=("author", "size"))
    most = stats.most_mentioned(frame).set_index("mentioned")
    pd.testing.assert_frame_equal(
        most[["messages", "authors"]].sort_index(), names, check_index_type=False
    )


def test_mentions_of_each_channel() -> None:
    frame = history(
        {"body": "@ben", "channel": "b"}, {"body": "@ben @zoe"}, {"body": "@ben", "author": "ben"}
    )
    assert rows_of(stats.mentions(frame, by="channel")) == [
        ("b", "ana", "ben", 1, 1.0, True),
        ("general", "ana", "ben", 1, 1 / 3, True),
        ("general", "ana", "zoe", 1, 1 / 3, False),
        ("general", "ben", "ben", 1, 1 / 3, True),
    ]
    assert rows_of(stats.most_mentioned(frame, by="author", top=1)) == [
        ("ana", "ben", 2, 1, 2 / 3, True),
        ("ben", "ben", 1, 1, 1.0, True),
    ]


# Emoji.


@any_time
@given(MESSAGES, GROUPS)
def test_emoji_are_those_of_the_package(messages: list[dict[str, Any]], by: str | None) -> None:
    frame = history(*messages)
    found: dict[Any, Counter[str]] = defaultdict(Counter)
    for row in frame.itertuples():
        for one in emoji.emoji_list(str(row.body)):
            plain = one["emoji"].replace("\ufe0f", "")
            found[None if by is None else getattr(row, by)][plain] += 1
    table = in_small_pieces(lambda: stats.emoji_in_texts(frame, by=by))
    plain = table.assign(emoji=table["emoji"].str.replace("\ufe0f", ""))
    columns = [*([] if by is None else [by]), "emoji", "times", "share"]
    assert sorted(rows_of(plain[columns])) == sorted(in_rows(found, by))
    assert (table["times"] >= table["messages"]).all()
    assert (table["messages"] >= table["authors"]).all()


def test_an_emoji_is_one_however_its_picture_is_chosen() -> None:
    frame = bodies("❤ ❤️❤️ 👩‍🚀", "❤ 5 #")
    assert rows_of(stats.emoji_in_texts(frame)) == [
        ("❤️", "red_heart", 4, 2, 1, 0.8),
        ("👩‍🚀", "woman_astronaut", 1, 1, 1, 0.2),
    ]


REACTIONS = reactions(
    ("1", "ana", "👍", "ben"),
    ("1", "ana", "❤", "ben"),
    ("1", "ana", "👍", "cleo"),
    ("2", "ana", "👍", "ana"),
    ("3", "ben", ":tada:", "ana"),
    ("1", "ana", "👍", "ben"),
)


def test_reactions_are_counted_by_emoji_and_once() -> None:
    assert rows_of(stats.reaction_emoji(REACTIONS).drop(columns="share"))[0] == (
        "👍",
        "thumbs_up",
        3,
        2,
        3,
    )
    table = stats.reaction_emoji(REACTIONS, by="actor", top=1)
    assert table["actor"].tolist() == ["ana", "ben", "cleo"]
    short = stats.reaction_emoji(REACTIONS).set_index("emoji").loc[":tada:"]
    assert pd.isna(short["name"])


def test_reactions_given_and_received() -> None:
    table = stats.reactions_per_author(REACTIONS)
    assert rows_of(table.drop(columns="favourite")) == [
        ("ana", 2, 4, 1, 2, 2),
        ("ben", 2, 1, 0, 1, 1),
        ("cleo", 1, 0, 0, 0, 0),
    ]
    assert table["favourite"].tolist() == [":tada:", "❤️", "👍"]
    assert rows_of(stats.reaction_pairs(REACTIONS)) == [
        ("ben", "ana", 2),
        ("ana", "ana", 1),
        ("ana", "ben", 1),
        ("cleo", "ana", 1),
    ]
    receiver = stats.reactions_per_author(reactions(("1", "ana", "👍", "ben")))
    assert receiver["favourite"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    "count", [stats.reaction_emoji, stats.reaction_pairs, stats.reactions_per_author]
)
def test_no_reactions_give_the_same_columns(count: Callable[..., pd.DataFrame]) -> None:
    for by in (None, "channel"):
        table = count(REACTIONS.iloc[:0], by=by)
        assert len(table) == 0
        assert dtypes(table) == dtypes(count(REACTIONS, by=by))
    with pytest.raises(InputError, match="load_reactions"):
        count(bodies("x"))


# Questions.


@pytest.mark.parametrize(
    "text",
    [
        "why?",
        "Why?? thanks",
        "is it so?!",
        '"is it so?", he said',
        "(really?)",
        "what is this ?",
        "one ? \ntwo",
        "你好吗？我很好",
        "are you there?😀",
        "كيف حالك؟",
        "*really?*",
        "so…?",
    ],
)
def test_a_question_mark_at_the_end_of_a_sentence_asks(text: str) -> None:
    assert len(question_list(bodies(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "?",
        "???",
        "http://x.example/?q=1",
        "see http://x.example/?",
        "`a?`",
        "a?b",
        "x ? y : z",
        "?help",
        "```\nwhy?\n```",
    ],
)
def test_other_question_marks_do_not(text: str) -> None:
    assert question_list(bodies(text)).empty


def test_no_text_takes_long_to_ask() -> None:
    for text in ("?" * 100_000 + "a", "a" + "?!" * 100_000 + "a", "`" * 9 + "a? " * 50_000):
        question_list(bodies(text * 2))


def plain_answers(frame: pd.DataFrame, minutes: float) -> dict[str, tuple[str, str] | None]:
    """Return id of each question -> how it was answered, and by which message."""
    found: dict[str, tuple[str, str] | None] = {}
    rows = list(frame.sort_values(["placed_at", "partition", "offset"]).itertuples())
    for at, row in enumerate(rows):
        if row.bot or not str(row.body).endswith("?"):
            continue
        others = [one for one in rows[at + 1 :] if one.author != row.author]
        linked = [one for one in others if one.reply_to == row.id]
        following = [
            one
            for one in others
            if one.channel == row.channel and not one.bot and pd.isna(one.reply_to)
        ]
        soon = following[:1] if minutes else []
        soon = [
            one for one in soon if one.placed_at - row.placed_at <= pd.Timedelta(minutes=minutes)
        ]
        found[str(row.id)] = (
            ("reply", linked[0].id) if linked else ("next", soon[0].id) if soon else None
        )
    return found


TALK = st.lists(
    st.fixed_dictionaries(
        {
            "channel": st.sampled_from(["general", "tools"]),
            "author": st.sampled_from(["ana", "ben", "cleo"]),
            "body": st.sampled_from(["why?", "so", "yes"]),
            "bot": st.sampled_from([False, False, True]),
            "minute": st.integers(0, 20),
            "reply_to": st.sampled_from([None, None, "id0", "id1", "id2", "gone"]),
        }
    ),
    max_size=12,
)


@any_time
@given(TALK, st.sampled_from([0, 1, 5]))
def test_questions_are_answered_as_in_the_plain_way(
    messages: list[dict[str, Any]], minutes: int
) -> None:
    frame = history(*messages)
    expected = plain_answers(frame, minutes)
    table = question_list(frame, minutes=minutes)
    actual = {
        row.id: None if pd.isna(row.how) else (row.how, row.answer) for row in table.itertuples()
    }
    assert actual == expected
    answered = table[table["how"].notna()]
    assert (answered["answered_by"] != answered["author"]).all()
    assert (answered["seconds"] >= 0).all()
    assert table["seconds"][table["how"].isna()].isna().all()
    for by in (None, "channel", "author"):
        sums = stats.questions(frame, minutes=minutes, by=by)
        assert sums["questions"].sum() == len(table)
        assert sums["by_reply"].sum() == (table["how"] == "reply").sum()
        assert sums["by_next"].sum() == (table["how"] == "next").sum()
        assert (sums["answered"] == sums["by_reply"] + sums["by_next"]).all()
        assert sums["messages"].sum() == (~frame["bot"]).sum()


def test_questions_are_summed_up() -> None:
    frame = history(
        {"body": "why?"},
        {"body": "no idea", "author": "ben"},
        {"body": "when?", "author": "ben"},
        {"body": "soon", "reply_to": "id2", "minute": 500},
        {"body": "who?", "minute": 501},
    )
    row = stats.questions(frame).iloc[0]
    assert row[["messages", "questions", "answered", "by_reply", "by_next"]].tolist() == [
        5,
        3,
        2,
        1,
        1,
    ]
    assert row["share_answered"] == pytest.approx(2 / 3)
    assert row["median_seconds"] == (60 + 498 * 60) / 2


# Lengths, edits and deletions.


@any_time
@given(MESSAGES, GROUPS)
def test_lengths_are_those_of_the_plain_way(messages: list[dict[str, Any]], by: str | None) -> None:
    frame = history(*messages)
    table = in_small_pieces(lambda: stats.lengths(frame, by=by))
    if by is None:
        parts = [(None, frame)]
    else:
        parts = [(name, part) for name, part in frame.groupby(by, sort=True)]
    assert len(table) == 2 * len(parts)
    for number, (name, part) in enumerate(parts):
        characters = [len(body) for body in part["body"]]
        words = [len(body.split()) for body in part["body"]]
        for row, values in zip((2 * number, 2 * number + 1), (characters, words), strict=True):
            found = table.iloc[row]
            assert by is None or found[by] == name
            assert found["unit"] == ("words" if row % 2 else "characters")
            assert found["messages"] == len(values)
            assert found["total"] == sum(values)
            spread = pd.Series(values, dtype="float64").quantile([0, 0.1, 0.25, 0.5, 0.75, 0.9, 1])
            names = ["least", "q10", "q25", "median", "q75", "q90", "most"]
            np.testing.assert_allclose(found[names].astype("float64"), spread)
            np.testing.assert_allclose(found["mean"], np.mean(values) if values else math.nan)


def test_deleted_messages_have_no_length() -> None:
    frame = history({"body": "four"}, {"deleted_after": 5})
    assert stats.lengths(frame)["messages"].tolist() == [1, 1]
    assert stats.lengths(frame)["mean"].tolist() == [4, 1]


def test_edits_and_deletions_are_counted_and_timed() -> None:
    frame = history(
        {"edited_after": 10},
        {"edited_after": 30, "author": "ben"},
        {"edited_after": -5},
        {"deleted_after": 90},
    )
    row = stats.edits(frame).iloc[0]
    assert row[["messages", "edited", "share_edited"]].tolist() == [4, 3, 0.75]
    assert row[["least", "median", "most"]].tolist() == [0, 10, 30]
    table = stats.deletions(frame, by="author")
    assert rows_of(table[["author", "messages", "deleted", "share_deleted"]]) == [
        ("ana", 3, 1, 1 / 3),
        ("ben", 1, 0, 0.0),
    ]
    assert table["median"].tolist() == pytest.approx([90, math.nan], nan_ok=True)


# What holds for all.

OF_TEXTS: dict[str, Callable[..., pd.DataFrame]] = {
    "words": stats.words,
    "word_pairs": stats.word_pairs,
    "characteristic_words": stats.characteristic_words,
    "link_domains": stats.link_domains,
    "links": stats.links,
    "mentions": stats.mentions,
    "most_mentioned": stats.most_mentioned,
    "emoji_in_texts": stats.emoji_in_texts,
    "questions": stats.questions,
    "question_list": stats.question_list,
    "lengths": stats.lengths,
    "edits": stats.edits,
    "deletions": stats.deletions,
}
SUMS = {"questions", "lengths", "edits", "deletions"}
BY: dict[str, list[str | None]] = {
    **{name: [None, "channel", "author", "bot"] for name in OF_TEXTS},
    "links": [None],
    "question_list": [None],
    "mentions": [None, "channel", "bot"],
    "questions": [None, "channel", "author"],
    "characteristic_words": ["channel", "author", "bot"],
}
CASES = [(name, by) for name, ways in BY.items() for by in ways]
SOME = history(
    {"body": "Is http://x.example good, @ben? 😀 kafka kafka topic"},
    {"body": "kafka yes", "author": "ben", "edited_after": 3},
    {"body": "cat cat food @ana why?", "author": "ben", "channel": "pets", "bot": True},
    {"body": "", "deleted_after": 4, "channel": "tools"},
)


def call(name: str, by: str | None, frame: pd.DataFrame) -> pd.DataFrame:
    options = {} if name in ("links", "question_list") else {"by": by}
    return OF_TEXTS[name](frame, **options)


@pytest.mark.parametrize(("name", "by"), CASES)
def test_no_messages_give_the_same_columns(name: str, by: str | None) -> None:
    nothing = call(name, by, SOME.iloc[:0])
    assert len(nothing) == ((2 if name == "lengths" else 1) if name in SUMS and by is None else 0)
    assert len(call(name, by, SOME)) > 0
    assert dtypes(nothing) == dtypes(call(name, by, SOME))
    assert dtypes(call(name, by, SOME.iloc[:1])) == dtypes(nothing)
    assert dtypes(call(name, by, SOME.iloc[3:])) == dtypes(nothing)
    if by is not None:
        assert nothing.columns[0] == by


@pytest.mark.parametrize(("name", "by"), CASES)
def test_a_message_counts_once_and_the_frame_stays_as_it_is(name: str, by: str | None) -> None:
    frame = SOME.copy()
    expected = call(name, by, frame)
    pd.testing.assert_frame_equal(frame, SOME)
    older = SOME.assign(body="an older text that nobody sees?", rev=-1)
    twice = pd.concat([older, SOME]).iloc[[1, 6, 2, 0, 5, 3, 4, 7]]
    pd.testing.assert_frame_equal(call(name, by, twice), expected)


@pytest.mark.parametrize("name", OF_TEXTS)
def test_a_frame_of_something_else_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no column 'placed_at'"):
        OF_TEXTS[name](SOME.drop(columns="placed_at"))


def test_groups_and_numbers_that_make_no_sense_are_refused() -> None:
    for name in SUMS | {"words", "mentions"}:
        with pytest.raises(InputError, match="by is one of 'channel'"):
            OF_TEXTS[name](SOME, by="body")
    with pytest.raises(InputError, match="what is to be compared"):
        stats.characteristic_words(SOME, by=None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="prior must be above 0"):
        stats.characteristic_words(SOME, prior=0)
    with pytest.raises(InputError, match="top must be at least 1"):
        stats.words(SOME, top=0)
    with pytest.raises(InputError, match="minutes must be at least 0"):
        stats.questions(SOME, minutes=-1)


@settings(max_examples=25, deadline=None)
@given(MESSAGES)
def test_all_groups_together_have_what_all_have(messages: list[dict[str, Any]]) -> None:
    frame = history(*messages)
    for by in ("channel", "author", "bot"):
        parts = stats.words(frame, by=by).groupby("word")["times"].sum()
        whole = stats.words(frame).set_index("word")["times"].sort_index()
        pd.testing.assert_series_equal(parts, whole, check_index_type=False)
