from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit import history
from chatkit.errors import ChannelNameError, ImportFormatError, InputError
from chatkit.exporting.tables import write_csv, write_jsonl
from chatkit.importers import SPLIT, Item, Mended, Skipped, Tally, stable_id, table
from chatkit.importers.table.times import When, parse
from chatkit.message import BODY_LIMIT, Delete, Edit, Event, Message, Pin, encode, from_ms
from chatkit.query import time_zone

NOON = 1577880000000  # 2020-01-01T12:00:00Z
HEAD = "time,nick,text,room\n"

Write = Callable[..., Path]
Read = Callable[..., list[Item]]


@pytest.fixture
def file(tmp_path: Path) -> Write:
    """Return a function that writes a file."""

    def write(content: str | bytes, name: str = "chat.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def one(file: Write) -> Read:
    """Return a function that reads a file with this content."""

    def read_one(content: str | bytes, name: str = "chat.csv", **more: Any) -> list[Item]:
        return list(table.read([file(content, name)], **more))

    return read_one


def messages(items: list[Item]) -> list[Message]:
    return [item for item in items if isinstance(item, Message)]


def events(items: list[Item]) -> list[Event]:
    return [item for item in items if isinstance(item, Event)]


def bodies(items: list[Item]) -> list[str]:
    return [message.body for message in messages(items)]


def skipped(items: list[Item]) -> list[tuple[str, int | None, bool]]:
    return [(i.reason, i.position, i.lost) for i in items if isinstance(i, Skipped)]


def mended(items: list[Item]) -> dict[str, str]:
    return {item.reason: item.detail for item in items if isinstance(item, Mended)}


# Columns


def test_a_row_becomes_a_message(one):
    items = one(HEAD + "2020-01-01T12:00:00Z,ana,hello,general\n")
    (message,) = messages(items)
    assert (message.author, message.body, message.channel) == ("ana", "hello", "general")
    assert (message.sent_ms, message.source, message.bot) == (NOON, "table", False)
    assert mended(items) == {
        "columns are guessed by their names": "author = nick, body = text, sent_at = time, "
        "channel = room"
    }


def test_an_id_is_the_same_for_ever(one):
    with_id, without = messages(
        one("id,time,nick,text\n7,2020-01-01T12:00:00Z,ana,hi\n,2020-01-01T12:00:01Z,ana,hi\n",
            channel="general")
    )  # fmt: skip
    assert with_id.id == stable_id("table", "", "general", f"id/7/{NOON}/ana")
    # Written down once: a change here would make every import add everything again.
    assert with_id.id == "75440baf-e3d3-5978-9965-9cb2d46eb867"
    assert without.id == "7b314cc7-14b5-50b1-b3d0-71ec6623848a"


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("Sent At,User_Name,Message,Channel Name", "author = User_Name, body = Message"),
        ("timestamp,sender,content,chat", "author = sender, body = content, sent_at = timestamp"),
        ("TS,From,Msg,Conversation", "author = From, body = Msg, sent_at = TS"),
        ("date,name,body,stream", "author = name, body = body, sent_at = date"),
    ],
)
def test_common_names_are_guessed_whatever_their_case(one, head, told):
    items = one(f"{head}\n2020-01-01T12:00:00Z,ana,hi,general\n")
    assert bodies(items) == ["hi"]
    assert told in mended(items)["columns are guessed by their names"]


def test_the_better_name_is_taken_and_no_column_twice(one):
    items = one(
        "name,author,text,date,timestamp\nx,ana,hi,2020-01-01,2020-01-01T12:00:00Z\n",
        channel="general",
    )
    (message,) = messages(items)
    assert (message.author, message.sent_ms) == ("ana", NOON)


def test_date_and_time_apart_are_read_together(one):
    items = one("date,time,nick,text\n2020-01-01,12:00:00,ana,hi\n", channel="general")
    assert messages(items)[0].sent_ms == NOON
    assert "sent_at = date+time" in mended(items)["columns are guessed by their names"]


def test_columns_that_are_said_are_not_guessed(one):
    items = one(
        "author,who,text,when,channel\nx,ana,hi,2020-01-01T12:00:00Z,general\n",
        columns={"author": "who", "sent_at": "when"},
    )
    assert messages(items)[0].author == "ana"
    told = mended(items)["columns are guessed by their names"]
    assert told == "body = text, channel = channel"


def test_an_empty_name_is_no_column(one):
    items = one(
        "id,time,nick,text\n1,2020-01-01T12:00:00Z,ana,hi\n1,2020-01-01T12:00:01Z,ana,ho\n",
        columns={"id": ""},
        channel="general",
    )
    assert bodies(items) == ["hi", "ho"]


def test_a_table_without_header_has_numbers_for_names(one):
    columns = {"author": "2", "body": "3", "sent_at": "1"}
    items = one("2020-01-01T12:00:00Z,ana,hi\n", columns=columns, header=False, channel="general")
    assert bodies(items) == ["hi"]


def test_a_second_column_of_one_name_is_another(one):
    items = one(
        "time,nick,text,text\n2020-01-01T12:00:00Z,ana,hi,ho\n",
        channel="general",
        columns={"body": "text (2)"},
    )
    assert bodies(items) == ["ho"]


@pytest.mark.parametrize(
    ("content", "more", "error", "message"),
    [
        (HEAD, {"columns": {"nick": "x"}}, InputError, "can't be 'nick'; it can be author"),
        (HEAD, {"columns": {"author": "x"}}, InputError, "has no column 'x'; it has 'time'"),
        ("a,b\n1,2\n", {}, ImportFormatError, "tells author and body and sent_at"),
        ("time,nick,text\n", {}, InputError, "Nothing in chat.csv tells the channel"),
        (HEAD, {"channel": "No Name"}, ChannelNameError, "can't be a channel's name"),
        (HEAD, {"zone": "Mars/Rover"}, InputError, "no time zone"),
        (HEAD, {"unit": "h"}, InputError, "no unit of time"),
        (HEAD, {"delimiter": "::"}, InputError, "one character"),
        (HEAD, {"quote": "''"}, InputError, "one character"),
        (HEAD, {"encoding": "klingon"}, ImportFormatError, "klingon"),
        ('[{"time": 1}]', {}, ImportFormatError, "one JSON array"),
    ],
)
def test_what_can_not_be_is_refused_at_once(file, content, more, error, message):
    with pytest.raises(error, match=message):
        table.read([file(content)], **more)
    with pytest.raises(error, match=message):
        table.channels([file(content)], **more)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    for paths in ([], [tmp_path / "missing.csv"], [tmp_path]):
        with pytest.raises(InputError):
            table.read(paths)


@pytest.mark.parametrize(
    ("cell", "bot"),
    [("true", True), ("1", True), ("Yes", True), ("", False), ("no", False), ("0", False)],
)
def test_bots_are_told_in_the_usual_ways(one, cell, bot):
    items = one(f"time,nick,text,bot\n2020-01-01,ana,hi,{cell}\n", channel="general")
    assert messages(items)[0].bot == bot


def test_a_bot_cell_that_says_neither_is_told(one):
    items = one("time,nick,text,bot\n2020-01-01,ana,hi,maybe\n", channel="general")
    assert mended(items)["not told whether a program wrote it, taken as no"] == "maybe"


def test_a_file_becomes_a_line_of_the_text(one):
    items = one("time,nick,text,file\n2020-01-01,ana,see,a.png\n2020-01-01,ana,,b.png\n",
                channel="general")  # fmt: skip
    assert bodies(items) == ["see\na.png", "b.png"]


def test_answers_point_at_the_row_of_that_id_wherever_it_stands(one):
    items = one(
        "id,time,nick,text,reply_to\n"
        "2,2020-01-01T12:01:00Z,ben,yes,1\n"
        "1,2020-01-01T12:00:00Z,ana,tea?,\n"
        "3,2020-01-01T12:02:00Z,cleo,what?,99\n"
        "4,2020-01-01T12:03:00Z,cleo,so,null\n",
        channel="general",
    )
    first, second, third, fourth = messages(items)
    assert (first.reply_to, second.reply_to) == (None, first.id)
    assert third.reply_to is None
    assert fourth.reply_to is None
    assert mended(items)["answers a row that is not in its channel"] == "99"


def test_answers_stay_in_their_channel(one):
    items = one(
        "id,time,nick,text,reply_to,room\n1,2020-01-01,ana,a,,one\n1,2020-01-01,ben,b,,two\n"
        "2,2020-01-02,ana,c,1,two\n"
    )
    answers = {m.body: m.reply_to for m in messages(items)}
    assert answers["c"] == next(m.id for m in messages(items) if m.body == "b")


# Times


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2020-01-01T12:00:00Z", NOON),
        ("2020-01-01 12:00:00 UTC", NOON),
        ("2020-01-01 13:00:00+01:00", NOON),
        ("2020-01-01 13:00:00 +0100", NOON),
        ("2020-01-01T12:00:00.123456Z", NOON + 123),
        ("2020-01-01T12:00:00,5Z", NOON + 500),
        ("20200101T120000Z", NOON),
        ("2020-01-01T13:04:32+01:04:32", NOON),
        ("2020-01-01 12:00", NOON - 3_600_000),  # of the zone
        ("2020-01-01", NOON - 13 * 3_600_000),
        ("1577880000", NOON),
        (" 1577880000.0005 ", NOON),
        ("1577880000.9999", NOON + 999),
        ("1.57788e9", NOON),
        ("1577880000123", NOON + 123),
        ("1577880000123456", NOON + 123),
        ("1577880000123456789", NOON + 123),
        ("0", 0),
        ("1969-12-31T23:59:59.9Z", -100),
    ],
)
def test_times_are_read_exactly(text, ms):
    found = parse(text, time_zone("Europe/Vienna"))
    assert found is not None
    assert found.ms == ms


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "12:00", "31/12/2020", "12/31/2020 1:00 PM", "-5", "1e99", "9" * 21, "nan",
     "2020-13-01", "2020-01-01T25:00", "٢٠٢٠", "1_577_880_000"],
)  # fmt: skip
def test_what_is_no_time_is_none(text):
    assert parse(text, time_zone("UTC")) is None


@given(st.text(max_size=40) | st.from_regex(r"[0-9+:TZ. eE-]{1,30}", fullmatch=True))
@settings(max_examples=500)
def test_no_text_makes_the_reading_of_times_fail(text):
    assert isinstance(parse(text, time_zone("America/New_York")), When | None)


@given(st.integers(0, 4_102_444_800_000), st.sampled_from(["s", "ms", "us", "ns"]))
def test_the_unit_of_a_number_is_told_by_its_size(ms, unit):
    ms += 200_000_000_000  # from 1976
    number = {"s": f"{ms / 1000:.3f}", "ms": f"{ms}", "us": f"{ms}000", "ns": f"{ms}000000"}[unit]
    assert parse(number, time_zone("UTC")) == When(ms, unit)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)))
def test_a_written_time_is_that_time(moment):
    aware = moment.replace(microsecond=0, tzinfo=UTC)
    found = parse(aware.isoformat(), time_zone("Europe/Vienna"))
    assert found is not None
    assert from_ms(found.ms) == aware


def test_times_of_a_zone_are_right_across_its_changes_of_clocks(one):
    rows = ["2020-03-29 01:59", "2020-03-29 02:30", "2020-03-29 03:00", "2020-10-25 02:30"]
    items = one(
        "time,nick,text\n" + "".join(f"{time},ana,{n}\n" for n, time in enumerate(rows)),
        zone="Europe/Vienna",
        channel="general",
    )
    found = {m.body: m.sent_at.strftime("%H:%M") for m in messages(items)}
    assert found["0"] == "00:59"
    assert found["2"] == "01:00"
    assert found["3"] == "00:30"
    notes = mended(items)
    assert notes["time that the zone's clocks skip"] == "2020-03-29 02:30"
    assert notes["time that the zone has twice, taken as the first"] == "2020-10-25 02:30"


def test_numbers_of_a_file_have_one_unit_and_it_is_told(one):
    items = one(
        "time,nick,text\n1577880000000,ana,a\n1577880000,ben,b\n1577880001000,ana,c\n"
        "2020-01-01T12:00:02Z,cleo,d\n",
        channel="general",
    )
    assert bodies(items) == ["a", "c", "d"]
    assert mended(items)["times are numbers, their unit is told by their size"] == "ms"
    assert skipped(items) == [
        ("time is a number in s, while most of the file's are in ms", 2, True)
    ]


def test_each_file_has_a_unit_of_its_own(file):
    one = file("time,nick,text\n1577880000,ana,a\n", "one.csv")
    two = file("time,nick,text\n1577880000001,ana,b\n", "two.csv")
    items = list(table.read([two, one], channel="general"))
    assert [(m.body, m.sent_ms) for m in messages(items)] == [("a", NOON), ("b", NOON + 1)]
    assert skipped(items) == []


def test_a_unit_that_is_said_is_not_looked_for(one):
    items = one("time,nick,text\n1000,ana,a\n1577880000000,ana,b\n", unit="ms", channel="general")
    assert [m.sent_ms for m in messages(items)] == [1000, NOON]
    assert "times are numbers, their unit is told by their size" not in mended(items)


# Order, ids


def test_messages_come_oldest_first_by_channel_whatever_the_order_of_rows(one):
    items = one(
        HEAD + "2020-01-03,ana,c,b\n2020-01-01,ana,a,b\n2020-01-02,ben,x,a\n2020-01-03,ana,d,b\n"
    )
    assert [(m.channel, m.body) for m in messages(items)] == [
        ("a", "x"),
        ("b", "a"),
        ("b", "c"),
        ("b", "d"),
    ]


def test_two_runs_give_the_same_and_more_rows_only_more(one):
    rows = "2020-01-02,ana,hi,general\n2020-01-02,ana,hi,general\n2020-01-03,ben,ho,general\n"
    first = one(HEAD + rows)
    assert first == one(HEAD + rows)
    ids = [m.id for m in messages(first)]
    assert len(set(ids)) == 3
    assert all(uuid.UUID(own_id).version == 5 for own_id in ids)
    later = one(HEAD + "2020-01-01,cleo,early,general\n" + rows, "renamed.csv")
    assert set(ids) < {m.id for m in messages(later)}


def test_two_files_that_count_from_one_do_not_share_ids(one):
    (first,) = messages(one("id,time,nick,text\n1,2020-01-01,ana,a\n", channel="general"))
    (second,) = messages(one("id,time,nick,text\n1,2020-01-02,ana,b\n", channel="general"))
    assert first.id != second.id


def test_ids_that_come_twice_are_told_and_lost_if_the_rows_differ(one):
    items = one(
        "id,time,nick,text\n1,2020-01-01,ana,a\n1,2020-01-01,ana,a\n1,2020-01-02,ben,b\n",
        channel="general",
    )
    assert bodies(items) == ["a"]
    assert skipped(items) == [
        ("same id as a row before it", 2, False),
        ("same id as a row before it", 3, True),
    ]


def test_channels_get_names_that_can_be_and_never_share_one(one, file):
    content = HEAD + "".join(
        f"2020-01-01,ana,hi,{room}\n" for room in ("Team A", "team a", "team-a", "Ω")
    )
    items = one(content)
    names = {m.channel for m in messages(items)}
    assert len(names) == 4
    assert "team-a" in names
    known = table.channels([file(content)])
    assert {channel.name for channel in known} == names
    assert {channel.source_name for channel in known} == {"Team A", "team a", "team-a", "Ω"}
    assert table.channels([file(content)], channel="all")[0].name == "all"


# CSV as it comes


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_by_the_first_rows(one, delimiter):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["time", "nick", "text"])
    writer.writerow(["2020-01-01", "ana", 'a, b; c\td|e "f"\ng'])
    writer.writerow(["2020-01-02", "ben", "x;y,z"])
    assert bodies(one(text.getvalue(), channel="general")) == ['a, b; c\td|e "f"\ng', "x;y,z"]


def test_the_delimiter_and_the_quote_can_be_said(one):
    content = "time^nick^text\n2020-01-01^ana^'a^b'\n"
    assert bodies(one(content, delimiter="^", quote="'", channel="general")) == ["a^b"]
    content = 'time\tnick\ttext\n2020-01-01\tana\t"no end\n2020-01-02\tben\tx\n'
    assert bodies(one(content, delimiter="tab", quote="", channel="general")) == ['"no end', "x"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_and_line_ends_do_not_matter(one, end, encoding):
    content = end.join(["time,nick,text", '2020-01-01,Zoë,"Ω\n\nx"', "", "2020-01-02,ana,b"])
    items = one(content.encode(encoding), channel="general")
    assert [(m.author, m.body) for m in messages(items)] == [("Zoë", "Ω\n\nx"), ("ana", "b")]
    assert skipped(items) == []


def test_another_encoding_can_be_said_and_a_wrong_one_is_told(one):
    content = "time,nick,text\n2020-01-01,ana,café\n".encode("cp1252")
    assert bodies(one(content, encoding="cp1252", channel="general")) == ["café"]
    items = one(content, channel="general")
    assert bodies(items) == ["caf\ufffd"]
    assert "bytes that are no text in this encoding replaced by U+FFFD" in mended(items)


def test_rows_with_too_few_or_too_many_cells_are_named_by_line(one):
    items = one(
        HEAD + '2020-01-01,ana,"a\nb",general\n2020-01-01,ana,short\n\n'
        '2020-01-01,ana,"x\ny",general,more\n2020-01-02,ben,last,general\n'
    )
    assert bodies(items) == ["a\nb", "last"]
    assert skipped(items) == [("too few cells", 3, True), ("too many cells", 5, True)]
    details = [item.detail for item in items if isinstance(item, Skipped)]
    assert details == ["3 of 4", "5 of 4"]


def test_a_quote_that_never_ends_costs_its_line_only(one):
    items = one(
        HEAD + '2020-01-01,ana,"oh,general\n2020-01-02,ben,b,general\n2020-01-03,ana,c,general'
    )
    assert bodies(items) == ["b", "c"]
    assert skipped(items) == [("a quote that never ends", 1, True)]


def test_a_quote_that_ends_in_a_later_row_costs_its_line_only(one):
    items = one(
        HEAD + '2020-01-01,ana,"oh,general\n2020-01-02,ben,b,general\n2020-01-03,ana,"c",general\n'
    )
    assert bodies(items) == ["b", "c"]
    assert [line for _, line, _ in skipped(items)] == [1]


def test_lines_inside_a_good_text_are_never_taken_for_rows(one):
    inside = "2020-01-09,cleo,forged,general"
    items = one(HEAD + f'2020-01-01,ana,"x\n{inside}\ny",general,more\n2020-01-02,ben,b,general\n')
    assert bodies(items) == ["b"]


def test_one_bad_row_does_not_cost_the_others(one):
    items = one(
        HEAD + "soon,ana,a,general\n2020-01-01,,b,general\n2020-01-01,ana, ,general\n"
        "2020-01-01,ana,d,\n1960-01-01,ana,e,general\n2020-01-01,ana,f,general\n"
    )
    assert [(m.author, m.body) for m in messages(items)] == [("unknown", "b"), ("ana", "f")]
    assert skipped(items) == [
        ("no time that can be read", 1, True),
        ("no channel", 4, True),
        ("breaks a rule of the wire format", 5, False),
        ("no text", 3, False),
    ]


def test_a_text_over_the_size_limit_becomes_several_messages(one):
    body = "word " * 10_000
    items = one(HEAD + f"2020-01-01,ana,{body},general\n")
    assert "".join(bodies(items)) == body
    assert all(len(part.encode()) <= BODY_LIMIT for part in bodies(items))
    assert Counter(i.reason for i in items if isinstance(i, Mended))[SPLIT] == 3


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_a_file_with_nothing_in_it_is_told(one, content):
    assert [(i.reason, i.what) for i in one(content) if isinstance(i, Skipped)] == [
        ("empty", "file")
    ]


def test_a_file_with_a_header_alone_has_no_messages(one):
    items = one(HEAD)
    assert messages(items) == []
    assert skipped(items) == []


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_no_bytes_make_the_importer_fail(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("garbage") / "x.csv"
    for name, start in (("x.csv", HEAD.encode()), ("x.jsonl", b'{"time":1,"nick":2,"text":3}\n')):
        path = path.with_name(name)
        path.write_bytes(start + content)
        for item in Tally().watch(table.read([path], channel="general")):
            encode(item)


_CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=30)


@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=20), st.sampled_from(",;\t|"))
@settings(max_examples=200, deadline=None)
def test_what_a_csv_writer_wrote_comes_back_whole(tmp_path_factory, rows, delimiter):
    path = tmp_path_factory.mktemp("round") / "x.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["time", "nick", "text"])
        writer.writerows((f"{1577880000 + n}", "ana", body) for n, (_, body) in enumerate(rows))
    items = list(table.read([path], channel="general", delimiter=delimiter))
    assert bodies(items) == [body for _, body in rows if body.strip()]


# JSON Lines


def test_json_lines_are_read_with_their_types(one):
    rows = [
        {"ts": 1577880000.5, "user": {"name": "ana"}, "text": "a\nb", "room": "general", "id": 1},
        {"ts": "2020-01-01T12:00:01Z", "user": {"name": "ben"}, "text": 5, "room": "general",
         "bot": True, "reply_to": 1},
    ]  # fmt: skip
    content = "\n\n".join(map(json.dumps, rows))
    items = one(content, "chat.jsonl", columns={"author": "user.name"})
    first, second = messages(items)
    assert (first.author, first.body, first.sent_ms) == ("ana", "a\nb", NOON + 500)
    assert (second.author, second.body, second.bot) == ("ben", "5", True)
    assert second.reply_to == first.id


def test_lines_that_are_no_objects_cost_themselves_only(one):
    good = '{"time": "2020-01-01", "nick": "ana", "text": "%s", "room": "general"}'
    lines = [good % "a", "nonsense", "[1]", '{"time":', "[" * 100_000, good % "b", "1" * 5000]
    items = one("\n".join(lines), "chat.jsonl")
    assert bodies(items) == ["a", "b"]
    assert [line for _, line, _ in skipped(items)] == [1, 2, 3, 4, 6]
    assert all(lost for _, _, lost in skipped(items))


def test_halves_of_surrogate_pairs_can_be_encoded_afterwards(one):
    items = one(
        '{"time": "2020-01-01", "nick": "ana", "text": "a\\ud800b"}', "x.jsonl", channel="general"
    )
    (message,) = messages(items)
    encode(message)
    assert message.body == "a?b"


# Tables of our own


def exported() -> pd.DataFrame:
    rows = [
        ("0190-a", "general", "ana", 'hi, "you"\nthere', None, False, "chat", None, None, None),
        ("0190-b", "general", "ben", "edited", "0190-a", False, "slack", 9000, None, None),
        ("0190-c", "general", "cleo", "", None, True, "irc", None, 9500, None),
        ("0190-d", "other", "ana", "", None, False, "chat", None, None, "a.png"),
    ]  # fmt: skip
    found = []
    for n, (own_id, channel, author, body, reply, bot, source, edited, deleted, name) in enumerate(
        rows
    ):
        found.append(
            {
                "id": own_id,
                "channel": channel,
                "author": author,
                "body": body,
                "sent_at": from_ms(NOON + n),
                "placed_at": from_ms(NOON + n),
                "archived_at": from_ms(NOON + n),
                "reply_to": reply,
                "bot": bot,
                "source": source,
                "edited_at": None if edited is None else from_ms(NOON + edited),
                "deleted_at": None if deleted is None else from_ms(NOON + deleted),
                "pinned_at": from_ms(NOON + 9100) if edited else None,
                "reactions": 2 if edited else 0,
                "attachment_name": name,
                "attachment_type": name and "image/png",
                "attachment_size": 3 if name else None,
                "partition": 0,
                "offset": n,
                "rev": 0,
            }
        )
    empty = history.frame([], zone="Europe/Vienna")
    return pd.DataFrame(found)[list(empty.columns)].astype(empty.dtypes.to_dict())


@pytest.mark.parametrize("write", [write_csv, write_jsonl])
def test_a_table_that_was_exported_here_comes_back_whole(tmp_path, write):
    path = tmp_path / ("x.csv" if write is write_csv else "x.jsonl")
    write(path, [exported()], "Europe/Vienna")
    items = list(table.read([path]))
    first, second, third, fourth = messages(items)
    assert [m.id for m in messages(items)] == ["0190-a", "0190-b", "0190-c", "0190-d"]
    assert (first.body, first.author, first.sent_ms) == ('hi, "you"\nthere', "ana", NOON)
    assert second.reply_to == "0190-a"
    assert [m.source for m in messages(items)] == ["table", "slack", "irc", "table"]
    assert [m.bot for m in messages(items)] == [False, False, True, False]
    assert [m.channel for m in messages(items)] == ["general"] * 3 + ["other"]
    assert third.body == "(deleted)"
    assert fourth.body == "a.png"
    edit, pin, deletion = events(items)
    assert isinstance(edit, Edit)
    assert (edit.target, edit.body, edit.at_ms, edit.actor) == (
        "0190-b", "edited", NOON + 9000, "ben",
    )  # fmt: skip
    assert isinstance(pin, Pin)
    assert (pin.target, pin.at_ms) == ("0190-b", NOON + 9100)
    assert isinstance(deletion, Delete)
    assert (deletion.target, deletion.at_ms, deletion.actor) == ("0190-c", NOON + 9500, "cleo")
    assert skipped(items) == [("who reacted is not told", 3 if write is write_csv else 1, False)]
    assert mended(items) == {}
    assert items == list(table.read([path]))


def test_what_pandas_writes_of_a_history_comes_back_too(tmp_path):
    path = tmp_path / "x.csv"
    exported().to_csv(path)
    ids = [m.id for m in messages(list(table.read([path])))]
    assert ids == ["0190-a", "0190-b", "0190-c", "0190-d"]


def test_ids_are_not_kept_where_the_channel_is_another(tmp_path):
    path = tmp_path / "x.csv"
    write_csv(path, [exported()], "UTC")
    for more in ({"channel": "copy"}, {"columns": {"body": "body"}}):
        found = messages(list(table.read([path], **more)))
        assert not {m.id for m in found} & set(exported()["id"])
        assert found[1].reply_to == found[0].id


# Size


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_memory_stays_flat_however_large_a_file_is(tmp_path, name):
    path = tmp_path / name
    word = "word " * 80
    with path.open("w") as file:
        file.write("id,time,nick,text\n" if name == "x.csv" else "")
        for n in range(150_000, 0, -1):
            time = 1577880000 + n % 50_000
            if name == "x.csv":
                file.write(f"{n},{time},ana,{n} {word}\n")
            else:
                file.write(f'{{"id": {n}, "time": {time}, "nick": "ana", "text": "{n} {word}"}}\n')
    small = tmp_path / f"small-{name}"
    with path.open() as large:
        small.write_text("".join(large.readline() for _ in range(1000)))
    # In a process of its own: in this one another test may have needed more already.
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom chatkit.importers import table\n"
        "for path in sys.argv[1:]:\n"
        "    times = [0]\n"
        "    for item in table.read([Path(path)], channel='general'):\n"
        "        if hasattr(item, 'body'):\n"
        "            assert item.sent_ms >= times.pop()\n"
        "            times = [item.sent_ms]\n"
        "    print(times[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, str(small), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (_, before), (last, after) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert last == NOON + 49_999_000
    # The database may keep some 16 MB in memory.
    assert (after - before) * (1 if sys.platform == "darwin" else 1024) < 40_000_000
