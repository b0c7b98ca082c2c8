"""The query language: what it says, where it points, and that its three meanings are one."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pymongo import InsertOne, UpdateOne, WriteConcern

from chatkit import history
from chatkit.documents import fold_update, message_document
from chatkit.errors import ChannelNameError, InputError, QueryError
from chatkit.fold import Folded
from chatkit.local import LocalStack
from chatkit.message import Attachment, Message, Received
from chatkit.query import (
    KEYS,
    QUERY_LIMIT,
    VALUES,
    Completion,
    Query,
    Term,
    complete,
    parse,
    searchable,
    time_zone,
)
from chatkit.store import MessageStore
from chatkit.timeline import Row

NOON = 1_767_268_800_000  # 2026-01-01 12:00 UTC


# Reading a query.


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("  \n\u3000 ", []),
        ("word", [("", "word")]),
        ("two words", [("", "two"), ("", "words")]),
        ('"exact phrase"', [("", "exact phrase")]),
        ('"say ""hi"""', [("", 'say "hi"')]),
        ('5" screen', [("", '5"'), ("", "screen")]),
        ('"one""two" "three"', [("", 'one"two'), ("", "three")]),
        ('"one"two', [("", "one"), ("", "two")]),
        ('" "', [("", " ")]),
        ('"from:ana"', [("", "from:ana")]),
        ("-word", [("", "word", True)]),
        ('-"exact phrase"', [("", "exact phrase", True)]),
        ("-", [("", "-")]),
        ("a - b", [("", "a"), ("", "-"), ("", "b")]),
        ("--flag", [("", "-flag", True)]),
        ("well-known", [("", "well-known")]),
        ("channel:general", [("channel", "general")]),
        ("in:general", [("channel", "general")]),
        ("channel:#General", [("channel", "general")]),
        ("from:ana", [("from", "ana")]),
        ("From:Ana", [("from", "Ana")]),
        ("from:@ana", [("from", "ana")]),
        ('from:"@ana"', [("from", "@ana")]),
        ("from:@", [("from", "@")]),
        ('from:"Ana Maria"', [("from", "Ana Maria")]),
        ("-from:bot", [("from", "bot", True)]),
        ("mentions:me", [("mentions", "me")]),
        ("before:2026-01-31 on:2026-01 after:2026", None),
        ("has:Link is:reply", [("has", "link"), ("is", "reply")]),
        ("source:slack", [("source", "slack")]),
        ("http://x.org/a:b", [("", "http://x.org/a:b")]),
        ("12:30", [("", "12:30")]),
        ("std::vector", [("", "std::vector")]),
        ("TODO:fix", [("", "TODO:fix")]),
        (r"C:\dir", [("", r"C:\dir")]),
        (":smile:", [("", ":smile:")]),
        ("froms://x", [("", "froms://x")]),
    ],
)
def test_a_query_is_read_as_it_is_meant(text: str, terms: list[Any] | None) -> None:
    query = parse(text)
    if terms is not None:
        assert query == Query(tuple(Term(*term) for term in terms))
    assert parse(str(query)) == query
    assert bool(query) is (terms != [])


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("before:yesterdy", 7, "2026-01-31"),
        ("x before:2026-02-30", 9, "no such date as 2026-02-30"),
        ("on:0000", 3, "no such date"),
        ("on:２０２６", 3, "A date is a year"),
        ("after:2026-1-5", 6, "A date is"),
        ("-has:links", 5, "There is no has:links; there is link, code, attachment, image"),
        ("is:", 3, "Put what is: asks for right here"),
        ("from: ana", 5, "Put what from: asks for right here"),
        ('from:""', 5, "Put what from: asks for"),
        ('x ""', 2, "These quotes are empty"),
        ('a "phrase b', 2, "This quote is not closed"),
        ('from:"Ana b', 5, "This quote is not closed"),
        ('channel:"No Such"', 8, "can't be a channel's name"),
        ("channel:$ne", 8, "can't be a channel's name"),
        ("hello chanel:general", 6, "There is no key chanel; did you mean channel?"),
        ("form:ana", 0, "did you mean from?"),
        ("-author:ana", 1, "did you mean from?"),
        ("since:2026", 0, "did you mean after?"),
        ("Mention:me", 0, ", ".join(KEYS)),
        ("ab\ud800", 2, "half of a character"),
        ("x" * (QUERY_LIMIT + 1), QUERY_LIMIT, f"at most {QUERY_LIMIT} characters"),
    ],
)
def test_an_error_points_at_the_place(text: str, at: int, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    error = caught.value
    assert error.at == at
    assert says in error.reason
    shown, mark = str(error).split("\n")
    assert shown in text.replace("\ud800", " ")
    assert mark == " " * at + "^ " + error.reason


def test_a_query_of_several_lines_is_shown_on_one() -> None:
    with pytest.raises(QueryError) as caught:
        parse("one\ntwo\tis:nice")
    assert str(caught.value).splitlines()[0] == "one two is:nice"


def test_every_value_that_is_told_can_be_asked_for() -> None:
    for key, values in VALUES.items():
        for value in values:
            assert parse(f"{key}:{value}").terms == (Term(key, value),)


written = st.text(
    st.one_of(st.sampled_from('":- @#abisfrom\n\u3000'), st.characters(exclude_categories=["Cs"])),
    max_size=40,
)


@given(written)
def test_any_text_is_a_query_that_round_trips_or_an_error_that_points_into_it(text: str) -> None:
    try:
        query = parse(text)
    except QueryError as error:
        assert 0 <= error.at <= len(text)  # noqa: PT017
    else:
        assert parse(str(query)) == query


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.booleans())
def test_any_phrase_can_be_written(phrase: str, negated: bool) -> None:
    for key in ("", "from", "mentions", "source"):
        query = Query((Term(key, phrase, negated),))
        assert parse(str(query)) == query


def test_a_query_tells_the_only_channels_where_it_can_match() -> None:
    assert parse("in:a -in:b channel:c in:a x").channels == ("a", "c")
    assert parse("-in:b x").channels == ()


def test_a_query_can_be_put_within_a_channel() -> None:
    assert str(parse("in:a -in:b from:ana word").within("c")) == "channel:c from:ana word"
    with pytest.raises(ChannelNameError):
        parse("").within("No Such")


# What matches.


def found(text: str, message: Message, *, zone: str = "UTC", at: int = NOON, **more: Any) -> bool:
    folded = Folded(**{"body": message.body, **more})
    return parse(text).matches(message, folded, at, me="ana", zone=zone)


def say(body: str = "hello", **more: Any) -> Message:
    return Message.new(more.pop("channel", "general"), more.pop("author", "ana"), body, **more)


@pytest.mark.parametrize(
    ("text", "body", "expected"),
    [
        ("", "hello", True),
        ("HELL", "hello", True),
        ("hello world", "world, hello", True),
        ('"hello world"', "world, hello", False),
        ("hello -world", "world, hello", False),
        ("strasse", "STRASSE Straße", True),
        ("ß", "SS", True),
        ("ſ", "S", True),
        ("fine", "ﬁne", True),
        ("ﬁ", "FI", True),
        ("İ", "i\u0307", True),
        ("i", "İ", True),
        ("ı", "I", False),
        ("\u00e9", "e\u0301", True),
        ("e", "e\u0301", False),
        ("ς", "Σ", True),
        ("full", "ＦＵＬＬ", True),
        (".*", "hello", False),
        ("a.c", "abc", False),
        ("[a](b)", "see [A](B)", True),
        ("$ne", "{'$ne': 1}", True),
        ("^hello$", "hello", False),
        (r"\d", "1", False),
        ("from:me", "x", True),
        ("from:ben from:ana", "x", True),
        ("from:ben -from:ana", "x", False),
        ("from:Ana", "x", False),
        ("-from:ben -from:cleo", "x", True),
        ("in:general in:random", "x", True),
        ("in:random", "x", False),
        ("-in:random", "x", True),
        ("source:chat", "x", True),
        ("source:slack", "x", False),
        ("mentions:me", "see @ana.", True),
        ("mentions:@ben", "see @ana, @ben", True),
        ("mentions:ben mentions:ana", "see @ana", False),
        ("mentions:an", "see @ana", False),
        ("has:mention", "see @ana", True),
        ("has:mention", "ana@example.org", False),
        ("has:link", "see HTTPS://example.org", True),
        ("has:link", "(www.example.org)", True),
        ("has:link", "http:// is a scheme, www. is none", False),
        ("has:code", "use `x`", True),
        ("has:code", "```\nx\n```", True),
        ("has:code", "one ` only", False),
        ("has:code", "nothing in ``", False),
        ("-has:code has:link", "http://x", True),
        ("is:reply", "x", False),
        ("-is:bot", "x", True),
    ],
)
def test_a_message_matches_if_it_has_all_that_is_asked(
    text: str, body: str, expected: bool
) -> None:
    assert found(text, say(body)) is expected


def test_what_is_searched_is_what_people_see_now() -> None:
    message = say("first")
    assert not found("first", message, body="second", edited_ms=NOON)
    assert found("second is:edited", message, body="second", edited_ms=NOON)


@pytest.mark.parametrize("text", ["", "hello", "-world", "from:ana", "-from:ben", "on:2026"])
def test_a_deleted_message_never_matches(text: str) -> None:
    assert found(text, say())
    assert not found(text, say(), body="", deleted_ms=NOON)
    assert not found(text, say(), deleted_ms=NOON)


def test_things_and_kinds() -> None:
    picture = Attachment(name="a.png", type="image/png", data=b"1")
    text = Attachment(name="", type="text/plain")
    assert found("has:attachment has:image", say(attachment=picture))
    assert found("has:attachment -has:image", say(attachment=text))
    assert not found("has:attachment", say())
    assert found("has:reaction", say(), reactions={"👍": ("ben",)})
    assert found("-has:reaction", say())
    assert found("is:pinned", say(), pinned_ms=NOON)
    assert found("is:reply is:bot", say(reply_to="x", bot=True))
    assert not found("is:reply is:bot", say(reply_to="x"))


@pytest.mark.parametrize(
    ("text", "zone", "first", "last"),
    [
        ("on:2026-01-01", "UTC", "2026-01-01T00:00Z", "2026-01-01T23:59:59.999Z"),
        ("on:2026-01", "UTC", "2026-01-01T00:00Z", "2026-01-31T23:59:59.999Z"),
        ("on:2024-02", "UTC", "2024-02-01T00:00Z", "2024-02-29T23:59:59.999Z"),
        ("on:2026-12", "UTC", "2026-12-01T00:00Z", "2026-12-31T23:59:59.999Z"),
        ("on:2026", "UTC", "2026-01-01T00:00Z", "2026-12-31T23:59:59.999Z"),
        ("after:2026-01 before:2026-02", "UTC", "2026-01-01T00:00Z", "2026-01-31T23:59:59.999Z"),
        ("on:2026-01-01", "Asia/Kolkata", "2025-12-31T18:30Z", "2026-01-01T18:29:59.999Z"),
        # 23 and 25 hours; midnights that clocks skip, and have twice.
        ("on:2026-03-29", "Europe/Vienna", "2026-03-28T23:00Z", "2026-03-29T21:59:59.999Z"),
        ("on:2026-10-25", "Europe/Vienna", "2026-10-24T22:00Z", "2026-10-25T22:59:59.999Z"),
        ("on:2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00Z", "2018-11-05T01:59:59.999Z"),
        ("on:2025-11-02", "America/Havana", "2025-11-02T04:00Z", "2025-11-03T04:59:59.999Z"),
        ("on:9999", "UTC", "9999-01-01T00:00Z", "9999-12-31T23:59:59.999Z"),
        ("on:9999-12-31", "Pacific/Pago_Pago", "9999-12-31T11:00Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_days_months_and_years_begin_and_end_in_the_zone(
    text: str, zone: str, first: str, last: str
) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    least, most = (
        (datetime.fromisoformat(at) - epoch) // timedelta(milliseconds=1) for at in (first, last)
    )
    answers = [found(text, say(), zone=zone, at=at) for at in (least - 1, least, most)]
    assert answers == [False, True, True]
    if "9999" not in text:
        assert not found(text, say(), zone=zone, at=most + 1)


def test_a_day_that_was_skipped_is_empty() -> None:
    """Samoa went from the 29th to the 31st of December 2011."""
    moment = int(datetime(2011, 12, 30, 10, tzinfo=UTC).timestamp() * 1000)
    for at in (moment - 1, moment):
        assert not found("on:2011-12-30", say(), zone="Pacific/Apia", at=at)
    assert found("on:2011-12-31", say(), zone="Pacific/Apia", at=moment)


def test_either_of_several_days_will_do_but_before_and_after_all_count() -> None:
    assert found("on:2026-01-01 on:2025-05", say())
    assert not found("on:2026-01-01 -on:2026", say())
    assert not found("before:2026-06 before:2026-01-01", say())
    assert found("after:2026-01-01 after:2025", say())


@pytest.mark.parametrize("day", [date.min, date.max])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_first_and_last_days_can_be_asked_for(day: date, zone: str) -> None:
    for key in ("before", "after", "on"):
        assert found(f"{key}:{day}", say(), zone=zone) is (
            key == ("after" if day == date.min else "before")
        )
        parse(f"{key}:{day}").to_filter(me="ana", zone=zone)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "../etc/passwd"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    for text in ("", "on:2026"):
        with pytest.raises(InputError, match="no time zone"):
            parse(text).to_filter(me="ana", zone=zone)
    with pytest.raises(InputError, match="no time zone"):
        time_zone(zone)


# The filter.


def test_channel_and_dates_are_outermost_in_a_filter_and_come_first() -> None:
    where = parse("word in:general -from:me after:2026 other before:2026-02").to_filter(me="ana")
    assert list(where.items()) == [
        ("channel", "general"),
        ("placed_at", {"$gte": datetime(2026, 1, 1, tzinfo=UTC)}),
        ("search", {"$regex": "word"}),
        ("$nor", [{"author": "ana"}]),
        ("deleted_at", None),
        (
            "$and",
            [
                {"placed_at": {"$lt": datetime(2026, 2, 1, tzinfo=UTC)}},
                {"search": {"$regex": "other"}},
            ],
        ),
    ]


def test_the_filter_of_an_empty_query_leaves_out_only_what_was_deleted() -> None:
    assert Query().to_filter(me="ana") == {"deleted_at": None}


def test_a_filter_is_the_callers_to_change() -> None:
    query = parse("has:link in:a in:b")
    before = query.to_filter(me="ana")
    before["channel"]["$in"].clear()
    before["body"]["$regex"] = "x"
    assert query.to_filter(me="ana")["channel"] == {"$in": ["a", "b"]}
    assert parse("has:link").to_filter(me="ana")["body"]["$regex"] != "x"


# The mask.


def frame_of(*messages: Message) -> pd.DataFrame:
    return history.frame(
        Row(
            id=message.id,
            kind="message",
            channel=message.channel,
            message=message,
            folded=Folded(body=message.body),
            placed_ms=NOON + number,
            partition=0,
            offset=number,
        )
        for number, message in enumerate(messages)
    )


def test_a_mask_has_the_index_of_the_frame_whatever_that_is() -> None:
    frame = frame_of(say("one"), say("two"), say("one two")).set_index(pd.Index(["a", "b", "a"]))
    mask = parse("two").mask(frame, me="ana")
    assert mask.dtype == bool
    assert mask.index.equals(frame.index)
    assert frame[mask]["body"].tolist() == ["two", "one two"]


@pytest.mark.parametrize("text", ["", "word", "-has:link", "in:a from:me", "on:2026", "is:edited"])
def test_the_mask_of_an_empty_frame_is_empty(text: str) -> None:
    mask = parse(text).mask(frame_of(), me="ana")
    assert mask.dtype == bool
    assert len(mask) == 0


def test_what_is_missing_in_a_damaged_row_does_not_match() -> None:
    frame = frame_of(say("word"), say("word"))
    frame.loc[0, ["body", "author", "source"]] = None
    for text in ("word", "from:ana", "source:chat"):
        assert parse(text).mask(frame, me="ana").tolist() == [False, True]
        assert parse(f"-{text}").mask(frame, me="ana").tolist() == [True, False]


def test_a_column_that_is_not_there_is_told() -> None:
    frame = frame_of(say("word"))
    with pytest.raises(InputError, match="no column 'author'"):
        parse("from:ana").mask(frame.drop(columns="author"), me="ana")
    with pytest.raises(InputError, match="no column 'reactions'"):
        parse("has:reaction").mask(frame.drop(columns="reactions"), me="ana")
    assert parse("word").mask(frame.drop(columns="author"), me="ana").tolist() == [True]


def test_the_frame_stays_as_it_is() -> None:
    frame = frame_of(say("word"), say("other"))
    before = frame.copy(deep=True)
    parse("word on:2026 -from:ben in:general").mask(frame, me="ana")
    pd.testing.assert_frame_equal(frame, before)


def test_the_language_needs_no_library_of_frames_or_databases() -> None:
    code = "import sys, chatkit.query; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pandas", "numpy", "pymongo", "bson"} & set(done.stdout.split())


# Filter, mask and predicate are held to the same answer, on a real MongoDB.


@pytest.fixture(scope="module")
def agreeing(local_stack: LocalStack) -> Iterator[MessageStore]:
    """An archive that is emptied for each example."""
    name = f"t{os.getpid()}query"
    with MessageStore(local_stack.settings.replace(database=name, user="ana")) as store:
        store.prepare()
        yield store
        store.database.client.drop_database(name)


TRAPS = [
    *"aAsSiIkKeß",
    *"İıſΣσςÅ\u212a\u212bé",
    *("ﬁ", "ﬃ", "ǰ", "ΐ", "e\u0301", "\u0301", "\u0345", "ﷺ", "½", "ＦＵ", "日本", "👩🏽‍💻", "꙰"),
    *("$", "^", ".", "*", "+", "?", "\\", "\\d", "\\Q", "\\E", "[", "]", "(", ")", "{", "}", "|"),
    *("/", "#", "&", "~", "-", "'", '"', "`", "$ne", "(?i)", "%", "\0", "\n", "\r\n", "\u2028"),
    *(" ", "\t", "\u3000", "\xa0", "@ana", "@ben.", "@", "http://", "HTTPS://x", "www.", "www.x"),
    *("\x1c", "\x85", "\ufeff", "\u200b", "\u1fef", "ﬀ", "ẞ", "Ǆ", "ŉ", "K"),
]
NAMES = ["ana", "Ana", "ben", "Ana Maria", "bot", "$ne", "@ana", "me"]
CHANNELS = ["general", "random", "a-b_c"]
MOMENTS = [0, NOON, NOON - 43_200_000, NOON - 43_200_001, 1_743_289_200_000, 253_402_300_799_999]
DAYS = ["2026-01-01", "2026-01-01", "2026-01", "2025", "1970-01-01", "9999-12-31", "2025-03-30"]
FILES = [
    None,
    Attachment(name="a", type="image/png", data=b"12"),
    Attachment(name="", type="IMAGE/png"),
    Attachment(name="$", type="text/plain", data=b"1"),
]


@st.composite
def folded_messages(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> tuple[Message, Folded]:
    body = draw(texts)
    message = say(
        body,
        channel=draw(st.sampled_from(CHANNELS)),
        author=draw(st.sampled_from(NAMES)),
        sent_ms=draw(st.sampled_from(MOMENTS)),
        reply_to=draw(st.sampled_from([None, "x"])),
        bot=draw(st.booleans()),
        source=draw(st.sampled_from(["slack", "irc"])),
        attachment=draw(st.sampled_from(FILES)),
    )
    if draw(st.integers(0, 7)) == 0:
        return message, Folded(body="", deleted_ms=NOON, rev=1)
    edited = draw(st.none() | texts)
    folded = Folded(
        body=body if edited is None else edited,
        original=None if edited is None else body,
        edited_ms=None if edited is None else NOON,
        reactions=draw(st.sampled_from([{}, {"👍": ("ben", "ana")}])),
        pinned_ms=draw(st.sampled_from([None, NOON])),
        rev=3,
    )
    return message, folded


@st.composite
def terms(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> Term:
    key = draw(st.sampled_from(["", "", "", "has", *KEYS]))
    if key == "":
        # In another case, or a part of what is there.
        text = draw(texts)
        piece = text[draw(st.integers(0, len(text) - 1)) :]
        value = draw(st.sampled_from([piece, piece.upper(), piece.lower(), piece.swapcase()]))
    elif key in VALUES:
        value = draw(st.sampled_from(sorted(VALUES[key])))
    elif key in ("before", "after", "on"):
        value = draw(st.sampled_from(DAYS))
    elif key == "source":
        value = draw(st.sampled_from(["slack", "irc", "$ne"]))
    else:
        value = draw(st.sampled_from(CHANNELS if key == "channel" else NAMES))
    return Term(key, value, draw(st.integers(0, 3)) == 0)


@st.composite
def examples(draw: st.DrawFn) -> tuple[list[tuple[Message, Folded]], list[Query]]:
    # Few pieces an example, so that texts and queries meet.
    pieces = draw(st.lists(st.sampled_from(TRAPS), min_size=1, max_size=5))
    texts = st.lists(st.sampled_from(pieces), min_size=1, max_size=4).map("".join)
    messages = draw(st.lists(folded_messages(texts), min_size=1, max_size=8))
    several = st.lists(terms(texts), min_size=1, max_size=3).map(lambda some: Query(tuple(some)))
    return messages, draw(st.lists(several, min_size=4, max_size=12))


def rows_of(messages: list[tuple[Message, Folded]]) -> list[Row]:
    return [
        Row(
            id=message.id,
            kind="message",
            channel=message.channel,
            message=message,
            folded=folded,
            placed_ms=message.sent_ms,
            partition=number % 2,
            offset=number,
        )
        for number, (message, folded) in enumerate(messages)
    ]


def archive(store: MessageStore, rows: list[Row]) -> None:
    """Write messages as the archiver does, but all at once."""
    writes: list[Any] = []
    for row in rows:
        assert row.message is not None
        assert row.folded is not None
        received = Received(
            topic="t",
            partition=row.partition,
            offset=row.offset,
            appended_ms=NOON,
            item=row.message,
        )
        writes.append(InsertOne(message_document(received, "topic id", NOON)))
        writes.append(UpdateOne({"_id": row.id}, fold_update(row.folded)))
    quick = store.messages.with_options(write_concern=WriteConcern(w=1, j=False))
    quick.delete_many({})
    quick.bulk_write(writes)


zones = st.sampled_from(["UTC", "Asia/Kolkata", "Europe/Vienna", "America/New_York"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(example=examples(), zone=zones, me=st.sampled_from(NAMES))
def test_mongodb_frame_and_message_give_the_same_answer(
    agreeing: MessageStore,
    example: tuple[list[tuple[Message, Folded]], list[Query]],
    zone: str,
    me: str,
) -> None:
    messages, queries = example
    rows = rows_of(messages)
    archive(agreeing, rows)
    frame = history.load(agreeing)
    pd.testing.assert_frame_equal(
        frame.drop(columns="archived_at"), history.frame(rows).drop(columns="archived_at")
    )
    for query in queries:
        order = assert_one_answer(agreeing, rows, frame, query, me=me, zone=zone)
    loaded = history.load(agreeing, str(query), me=me, zone=zone)
    assert loaded["id"].tolist() == order


def test_each_trap_is_the_same_for_all_three(agreeing: MessageStore) -> None:
    around = ["{}", "a{}b", "`{}`", "http://{}", "www.{}", "@{}"]
    bodies = [pattern.format(trap) for pattern in around for trap in [*TRAPS, "a\nb"]]
    messages = [say(body, sent_ms=NOON, source="irc") for body in bodies]
    messages += [say("x", sent_ms=at, source="irc") for at in MOMENTS]
    messages += [say("x", sent_ms=NOON, source="irc", attachment=file) for file in FILES]
    rows = rows_of([(one, Folded(body=one.body)) for one in messages])
    archive(agreeing, rows)
    frame = history.frame(rows)
    queries = [Query((Term("", trap),)) for trap in TRAPS]
    queries += [Query((Term(key, value),)) for key in VALUES for value in VALUES[key]]
    queries += [Query((Term("mentions", name),)) for name in ["ana", "ben", "b", "İ", "$ne"]]
    queries += [Query((Term(key, day),)) for key in ("before", "after", "on") for day in DAYS]
    queries.append(parse("on:2026-01-01 on:1970"))
    answers = [len(assert_one_answer(agreeing, rows, frame, query, me="ana")) for query in queries]
    assert sum(0 < answer < len(rows) for answer in answers) > 100


def assert_one_answer(
    store: MessageStore,
    rows: list[Row],
    frame: pd.DataFrame,
    query: Query,
    *,
    me: str,
    zone: str = "UTC",
) -> list[str]:
    """Ask each message, the frame and MongoDB, and return the ids that match, in order."""
    expected = [
        row.id
        for row in sorted(rows, key=lambda row: row.order)
        if row.message is not None
        and row.folded is not None
        and query.matches(row.message, row.folded, row.placed_ms, me=me, zone=zone)
    ]
    assert frame[query.mask(frame, me=me, zone=zone)]["id"].tolist() == expected
    found = store.messages.find(query.to_filter(me=me, zone=zone), {"_id": 1})
    assert {one["_id"] for one in found} == set(expected)
    newest_first = store.search(query, me=me, zone=zone, limit=len(rows))
    assert [one["_id"] for one in newest_first] == expected[::-1]
    return expected


def test_each_cased_letter_is_found_by_each_of_its_forms(agreeing: MessageStore) -> None:
    """MongoDB's own idea of case differs from Python's on one cased letter in seven."""
    letters = [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if char != char.casefold() and not "\ud800" <= char <= "\udfff"
    ]
    archive(agreeing, rows_of([(say(one), Folded(body=one)) for one in letters]))
    frame = history.load(agreeing)
    assert len(letters) > 1400
    for letter in letters[:: len(letters) // 150]:
        for form in {letter, letter.casefold(), searchable(letter)}:
            query = Query((Term("", form),))
            matching = {body for body in letters if searchable(form) in searchable(body)}
            assert letter in matching
            asked = agreeing.messages.find(query.to_filter(me="ana"), {"body": 1})
            assert {one["body"] for one in asked} == matching
            assert set(frame[query.mask(frame, me="ana")]["body"]) == matching


IRC = Path(__file__).parents[2] / "shared" / "data" / "irc_ubuntu"
LINE = re.compile(r"\[(\d\d):(\d\d)\] <([^>]+)> (.*)")


def irc_rows(count: int) -> list[Row]:
    """Return real messages of several years, with things that happen to some."""
    files = sorted(IRC.glob("*.raw.txt"))[::12]
    rows: list[Row] = []
    for path in files:
        day = datetime.fromisoformat(path.name[:10]).replace(tzinfo=UTC)
        lines = path.read_text(encoding="utf-8").split("\n")
        for found in filter(None, map(LINE.fullmatch, lines[: count // len(files) * 2])):
            hour, minute, author, body = found.groups()
            at = int((day + timedelta(hours=int(hour), minutes=int(minute))).timestamp() * 1000)
            if not body.strip():
                continue
            number = len(rows)
            message = say(
                body,
                channel=CHANNELS[number % 3],
                author=author,
                sent_ms=at,
                source="irc",
                id=f"irc{number}",
                reply_to=f"irc{number - 1}" if number % 7 == 3 else None,
                bot=author.startswith("ubot"),
            )
            folded = Folded(body=body)
            if number % 20 == 1:
                folded = Folded(body="", deleted_ms=at, rev=1)
            elif number % 20 == 2:
                folded = Folded(body=f"{body} @{author}", original=body, edited_ms=at, rev=1)
            elif number % 20 == 3:
                folded = Folded(body=body, reactions={"👍": (author,)}, pinned_ms=at, rev=2)
            rows.append(
                Row(
                    id=message.id,
                    kind="message",
                    channel=message.channel,
                    message=message,
                    folded=folded,
                    placed_ms=at,
                    partition=number % 2,
                    offset=number,
                )
            )
    return rows


@pytest.mark.skipif(not IRC.is_dir(), reason=f"the IRC data set is not in {IRC}")
def test_the_three_give_the_same_answer_on_real_messages(agreeing: MessageStore) -> None:
    rows = irc_rows(3000)
    assert len(rows) > 2000
    archive(agreeing, rows)
    frame = history.load(agreeing)
    chance = random.Random(1)
    bodies = [row.message.body for row in rows if row.message]
    authors = sorted({row.message.author for row in rows if row.message})
    days = sorted({datetime.fromtimestamp(row.placed_ms / 1000, UTC).date() for row in rows})

    def term() -> Term:
        day = str(chance.choice(days))[: chance.choice([4, 7, 10])]
        body = chance.choice(bodies)
        start = chance.randrange(len(body))
        value, key = chance.choice(
            [
                (body[start : start + chance.randrange(1, 12)], ""),
                (chance.choice(body.split()).upper(), ""),
                (chance.choice(authors), "from"),
                (chance.choice(authors), "mentions"),
                (chance.choice(CHANNELS), "channel"),
                (day, chance.choice(["before", "after", "on"])),
                (chance.choice(sorted(VALUES["has"])), "has"),
                (chance.choice(sorted(VALUES["is"])), "is"),
            ]
        )
        return Term(key, value, chance.random() < 0.25)

    queries = [Query(tuple(term() for _ in range(chance.choice([1, 1, 2, 3])))) for _ in range(150)]
    some = 0
    for query in queries:
        zone = chance.choice(["UTC", "America/New_York", "Asia/Kolkata"])
        some += len(assert_one_answer(agreeing, rows, frame, query, me="ana", zone=zone)) > 0
    assert some > 75


def test_the_longest_query_is_not_too_long_for_mongodb(agreeing: MessageStore) -> None:
    for char in ("ﷺ", "$", "\0", "\U0001f469"):
        where = parse('"' + char * (QUERY_LIMIT - 2) + '"').to_filter(me="ana")
        assert agreeing.messages.count_documents(where) == 0
    many = parse(" ".join(["-a"] * (QUERY_LIMIT // 3)))
    assert agreeing.messages.count_documents(many.to_filter(me="ana")) >= 0


# Completing.


def offers(text: str, **more: Any) -> list[str]:
    """Return what a query may become where there is a | in it."""
    cursor = text.index("|")
    text = text.replace("|", "")
    known = {"channels": ["general", "random"], "people": ["ana", "Ana Maria", "ben"], **more}
    return [
        text[: one.start] + one.text + text[one.end :] for one in complete(text, cursor, **known)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("|", [f"{key}:" for key in KEYS]),
        ("x |", [f"x {key}:" for key in KEYS]),
        ("me|", ["mentions:"]),
        ("fr|", ["from:"]),
        ("-fr|", ["-from:"]),
        ("-|", [f"-{key}:" for key in KEYS]),
        ("fr|om:ana", ["from:ana"]),
        ("x ch| y", ["x channel: y"]),
        ("in:|", ["in:general", "in:random"]),
        ("in:#ran|", ["in:random"]),
        ("in:ran| x", ["in:random x"]),
        ("in:r|and", ["in:random", "in:general"]),
        ("from:|", ["from:me", "from:ana", 'from:"Ana Maria"', "from:ben"]),
        ("-from:@be|", ["-from:ben"]),
        ("from:MA|", ['from:"Ana Maria"']),
        ('from:"Ana M|', ['from:"Ana Maria"']),
        ('from:"Ana M| x', ['from:"Ana Maria" x']),
        ("mentions:m|", ["mentions:me", 'mentions:"Ana Maria"']),
        ("has:im|", ["has:image"]),
        ("is:|", [f"is:{value}" for value in VALUES["is"]]),
        ("before:2026|", []),
        ("source:|", []),
        ('"from:|', []),
        ("hello|", []),
        ("http:|", []),
    ],
)
def test_a_term_is_completed_where_the_cursor_is(text: str, expected: list[str]) -> None:
    assert offers(text) == expected


def test_what_is_offered_is_told_and_not_too_much() -> None:
    assert complete("has:li", 6, channels=[], people=[]) == [
        Completion("link", 4, 6, VALUES["has"]["link"])
    ]
    assert len(offers("in:|", channels=[f"c{number}" for number in range(99)])) == 20


@given(written, st.data())
def test_completing_never_fails_and_stays_within_the_text(text: str, data: st.DataObject) -> None:
    cursor = data.draw(st.integers(0, len(text)))
    for one in complete(text, cursor, channels=["general"], people=["ana", 'a "b"']):
        assert 0 <= one.start <= cursor <= one.end <= len(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
@example('a "b"')
@example("me too")
def test_a_completed_name_is_the_name(name: str) -> None:
    assume(name != "me")
    (_, one) = complete("from:", 5, channels=[], people=[name])
    assert parse("from:" + one.text) == Query((Term("from", name),))
