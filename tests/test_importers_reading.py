from __future__ import annotations

import json
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ijson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.errors import InputError
from chatkit.importers import bytes_told, discord, json_stream, telegram, whatsapp
from chatkit.importers.json_stream import BEGIN, walk
from chatkit.importers.reading import (
    Authors,
    ChannelNames,
    Repeats,
    files_in,
    link,
    local_ms,
    time_zone,
)

BERLIN = time_zone("Europe/Berlin")
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def written(content: bytes, folder: str) -> Path:
    path = Path(folder) / "x.json"
    path.write_bytes(content)
    return path


# JSON, a value at a time


@settings(deadline=None)
@given(st.lists(VALUE, max_size=5), VALUE, st.booleans())
def test_elements_are_what_a_parser_of_the_whole_gives(elements, before, ascii_only):
    content = {"a": before, "b": {"list": [{"rows": elements}, {"rows": elements}]}, "c": before}
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(content, ensure_ascii=ascii_only).encode("utf-8")
        path = written(text, folder)
        found = [value for place, value in walk(path, {"b.list.item.rows"}) if "rows" in place]
    assert found == [BEGIN, *elements, BEGIN, *elements]


def test_single_values_come_with_their_place(tmp_path):
    path = written(b'{"a": {"b": 1, "c": [true, null]}, "d": "x", "rows": [[1]]}', str(tmp_path))
    assert list(walk(path, {"rows"})) == [
        ("a.b", 1),
        ("a.c.item", True),
        ("a.c.item", None),
        ("d", "x"),
        ("rows", BEGIN),
        ("rows", [1]),
    ]


@pytest.mark.parametrize("place", ["", "rows"])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_what_is_nested_too_deeply_is_refused_before_it_costs_memory(tmp_path, place, opening):
    head = b'{"rows": ' if place else b""
    path = written(head + opening * 100_000, str(tmp_path))
    with pytest.raises(ijson.JSONError, match="nested too deeply"):
        list(walk(path, {"rows"}))


@given(st.lists(st.sampled_from([b"\\\\", b"\\x1F", b"x", b'\\"', b"\\u0041", b"1F"]), max_size=40))
@settings(deadline=None)
def test_odd_escapes_are_read_wherever_a_chunk_ends(pieces):
    expected = re.sub(rb"\\(?:x(..)|.)", _as_json, b"".join(pieces), flags=re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        path = written(b'["' + b"".join(pieces) + b'"]', folder)
        with path.open("rb") as file:
            repaired = json_stream._Repaired(file)
            assert repaired.read(0) == b""
            read = b"".join(iter(lambda: repaired.read(3), b""))
    assert json.loads(read) == json.loads(b'["' + expected + b'"]')


def _as_json(match: re.Match[bytes]) -> bytes:
    return match[0] if match[1] is None else b"\\u00" + match[1]


# Names


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.text(max_size=70)), max_size=12))
def test_people_keep_their_name_and_never_share_one(asked):
    authors = Authors()
    names: dict[str, str] = {}
    for own_id, wanted in asked:
        name = authors.name(own_id, wanted)
        assert 1 <= len(name) <= 64
        assert names.setdefault(own_id, name) == name
    assert len(set(names.values())) == len(names)


@given(st.lists(st.tuples(st.sampled_from("12345"), st.text(max_size=90)), max_size=12))
def test_channels_never_share_a_name(asked):
    names = ChannelNames()
    found: dict[str, set[str]] = {}
    for own_id, wanted in asked:
        name = names.name(own_id, wanted)
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,79}", name)
        found.setdefault(name, set()).add(own_id)
    assert all(len(ids) == 1 for ids in found.values())


def test_equal_entries_are_counted_and_memory_is_bounded():
    repeats = Repeats()
    first = repeats.own_id("1", "ana", "ok")
    assert repeats.own_id("1", "ana", "ok") not in (first, repeats.own_id("1", "an", "aok"))
    assert Repeats().own_id("1", "ana", "ok") == first
    for number in range(25_000):
        repeats.own_id(str(number))
    assert len(repeats._counts) == 20_000


@pytest.mark.parametrize(
    ("url", "label", "expected"),
    [
        ("", "", ""),
        ("", "a", "a"),
        ("https://x.example", "", "https://x.example"),
        ("https://x.example", "https://x.example", "https://x.example"),
        ("https://x.example/a b(c)", "a]\nb", r"[a\] b](https://x.example/a%20b%28c%29)"),
    ],
)
def test_links_are_markdown_that_ends_where_it_should(url, label, expected):
    assert link(url, label) == expected


# Times


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]),
)
def test_a_clock_on_a_wall_means_the_time_that_it_shows_then(local, name):
    local = local.replace(microsecond=0)
    zone = time_zone(name)
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=local_ms(local, zone))
    assert abs(at.astimezone(zone).replace(tzinfo=None) - local) in (
        timedelta(),
        timedelta(hours=1),  # in spring an hour is never shown
        timedelta(days=1),  # in Apia once a day
    )
    assert local_ms(local, zone, local_ms(local, zone)) == local_ms(local, zone)


def test_of_an_hour_shown_twice_the_one_that_fits_the_order_is_meant():
    def hours(text: str, *before: int) -> float:
        return (local_ms(datetime.fromisoformat(text), BERLIN, *before) / 3_600_000) % 24

    earlier = local_ms(datetime.fromisoformat("2020-10-25T02:45"), BERLIN)
    assert hours("2020-10-25T02:15") == 0.25
    assert hours("2020-10-25T02:15", earlier) == 1.25
    assert hours("2020-10-25T02:50", earlier) == hours("2020-10-25T02:50")
    assert hours("2020-10-25T01:50", earlier) == hours("2020-10-25T01:50")


# Files


def test_paths_are_taken_once_each(tmp_path):
    for name in ("b.json", "a.json", "c.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "d.json").mkdir()
    one = tmp_path / "b.json"
    assert files_in([tmp_path, one], "*.json") == [(tmp_path / "a.json", False), (one, True)]
    with pytest.raises(InputError, match="no file or folder"):
        files_in([tmp_path / "e"], "*.json")


# How far an import is


CHATS = {
    discord: (
        "general.json",
        {
            "guild": {"id": "1", "name": "Garden"},
            "channel": {"id": "2", "name": "general"},
            "messages": [
                {
                    "id": str(2**50 + number),
                    "type": "Default",
                    "timestamp": "2020-01-01T00:00:00+00:00",
                    "content": "a",
                    "author": {"id": "3", "name": "ana"},
                }
                for number in range(20_000)
            ],
        },
    ),
    telegram: (
        "result.json",
        {
            "name": "Lunch",
            "type": "private_group",
            "id": 500,
            "messages": [
                {"id": number, "type": "message", "date_unixtime": "1577836800", "text": "a"}
                for number in range(20_000)
            ],
        },
    ),
    whatsapp: ("WhatsApp Chat with Lunch.txt", ["31/01/20, 14:05 - ana: a"] * 60_000),
}


@pytest.mark.parametrize("importer", CHATS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_who_waits_is_told_of_every_byte_once(importer, tmp_path):
    name, content = CHATS[importer]
    path = tmp_path / name
    path.write_text("\n".join(content) if isinstance(content, list) else json.dumps(content))
    told: list[int] = []
    with bytes_told(told.append):
        assert len(list(importer.read([path]))) >= 20_000
    assert sum(told) == path.stat().st_size
    assert len(told) > 2
