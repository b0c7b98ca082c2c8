"""IRC logs: pure, on small logs of our own and, where it is, on the real data set."""

from __future__ import annotations

import csv
import re
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit import importers
from chatkit.errors import ChannelNameError, ImportFormatError, InputError
from chatkit.importers import Item, Mended, Skipped, Tally, bytes_told, irc, open_bytes, stable_id
from chatkit.importers.irc import clock
from chatkit.message import BODY_LIMIT, Join, Leave, Message, encode, from_ms
from tests.conftest import DATA

UBUNTU = DATA / "irc_ubuntu"
needs_data = pytest.mark.skipif(not UBUNTU.is_dir(), reason=f"the IRC data set is not in {UBUNTU}")

Write = Callable[..., Path]


@pytest.fixture
def log(tmp_path: Path) -> Write:
    """Return a function that writes a log of lines under a name."""

    def write(*lines: str | bytes, name: str = "2005-02-06-#tea.log") -> Path:
        path = tmp_path / name
        path.write_bytes(
            b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
        )
        return path

    return write


def items(*paths: Path, **options: Any) -> list[Item]:
    return list(irc.read(paths, **options))


def messages(*paths: Path, **options: Any) -> list[Message]:
    return [item for item in items(*paths, **options) if isinstance(item, Message)]


def texts(*paths: Path, **options: Any) -> list[tuple[str, str]]:
    return [(m.author, m.body) for m in messages(*paths, **options)]


def times(*paths: Path, **options: Any) -> list[str]:
    return [f"{m.sent_at:%Y-%m-%d %H:%M:%S.%f}"[:-3] for m in messages(*paths, **options)]


def notes(*paths: Path, **options: Any) -> list[tuple[str, int | None]]:
    found = (i for i in items(*paths, **options) if isinstance(i, Skipped | Mended))
    return [(note.reason, note.position) for note in found]


def reasons(*paths: Path, **options: Any) -> set[str]:
    return {reason for reason, _ in notes(*paths, **options)}


# What a line says.


@pytest.mark.parametrize(
    ("line", "author", "body"),
    [
        ("[14:16] <ana> tea <3", "ana", "tea <3"),
        ("[14:16:05] <ana> tea", "ana", "tea"),
        ("[2005-02-06 14:16:05] <ana> tea", "ana", "tea"),
        ("2005-02-06T14:16:05Z <ana> tea", "ana", "tea"),
        ("[2:16 PM] <ana> tea", "ana", "tea"),
        ("14:16 <@ana> tea", "ana", "tea"),
        ("14:16 < ana> tea", "ana", "tea"),
        ("14:16 <+ana:#tea> tea", "ana", "tea"),
        ("[14:16] #tea <ana> tea", "ana", "tea"),
        ("[14:16] #tea: <ana> tea", "ana", "tea"),
        ("[14:16] (ana/#tea) tea", "ana", "tea"),
        ("[14:16] -ana:#tea- tea", "ana", "tea"),
        ("[14:16] -ana- tea", "ana", "tea"),
        ("[14:16] -ana-lee- tea - or not -", "ana-lee", "tea - or not -"),
        ("2005-02-06 14:16:05\t@ana\ttea", "ana", "tea"),
        ("2005-02-06 14:16:05\t*\tana sips", "ana", "/me sips"),
        ("2005-02-06 14:16:05\t--\tNotice(ana): tea", "ana", "tea"),
        ("Feb 06 14:16:05 <ana>\ttea", "ana", "tea"),
        ("Feb 06 14:16:05 *\tana sips", "ana", "/me sips"),
        ("[14:16]  * ana sips", "ana", "/me sips"),
        ("[14:16:05] * ana sips", "ana", "/me sips"),
        ("14:16  * ana has joined #the club", "ana", "/me has joined #the club"),
        ("[14:16] <ana> \x01ACTION sips\x01", "ana", "/me sips"),
        ("[14:16] <[a] b > a nick with spaces", "[a] b", "a nick with spaces"),
        ("[14:16] <ana> \x02bold\x02 \x0304,01red\x03 plain\x0f", "ana", "bold red plain"),
        ("[14:16] <ana>   as it stands  ", "ana", "  as it stands  "),
        ("[14:16] <ana> a\x85b\u2028c", "ana", "a\x85b\u2028c"),
    ],
)
def test_texts_in_the_forms_of_the_common_programs(
    log: Write, line: str, author: str, body: str
) -> None:
    assert texts(log(line)) == [(author, body)]
    assert [m.channel for m in messages(log(line))] == ["tea"]
    assert times(log(line))[0].startswith("2005-02-06 14:16:0")


@pytest.mark.parametrize(
    ("line", "kind", "actor"),
    [
        ("[14:16] === ana [~a@example.org]  has joined #tea", Join, "ana"),
        ("[14:16] === [ana]  [n=[ana]@example.org]  has joined #tea", Join, "[ana]"),
        ('[14:16] === ana []  has left #tea ["bye"]', Leave, "ana"),
        ("[14:16] === ana was kicked off #tea by ben (noise)", Leave, "ana"),
        ("14:16 -!- ana [~a@example.org] has joined #tea", Join, "ana"),
        ("14:16 -!- ana [~a@example.org] has quit [Quit: bye]", Leave, "ana"),
        ("14:16 -!- ana was kicked from #tea by ben [noise]", Leave, "ana"),
        ("[14:16:05] *** Joins: ana (~a@example.org)", Join, "ana"),
        ("[14:16:05] *** Parts: ana (~a@example.org) (bye)", Leave, "ana"),
        ("[14:16:05] *** Quits: ana (~a@example.org) (bye)", Leave, "ana"),
        ("2005-02-06 14:16:05\t-->\tana (~a@example.org) has joined #tea", Join, "ana"),
        ("2005-02-06 14:16:05\t<--\tana (~a@example.org) has quit (bye)", Leave, "ana"),
        ("2005-02-06 14:16:05\t<--\tben has kicked ana (noise)", Leave, "ana"),
        ("Feb 06 14:16:05 *\tana (~a@example.org) has joined", Join, "ana"),
        ("Feb 06 14:16:05 *\tana has quit (Quit: bye)", Leave, "ana"),
        ("[14:16] * Joins: ana (~a@example.org)", Join, "ana"),
        ("[14:16] * ana (~a@example.org) has left #tea", Leave, "ana"),
        ("[14:16] * ana (~a@example.org) Quit (bye)", Leave, "ana"),
    ],
)
def test_coming_and_going(log: Write, line: str, kind: type, actor: str) -> None:
    (event,) = items(log(line))
    assert isinstance(event, kind)
    assert isinstance(event, Join | Leave)
    assert (event.actor, event.channel, event.source) == (actor, "tea", "irc")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[14:16] === ana is now known as ana_", "a nick change"),
        ("14:16 -!- ana is now known as ana_", "a nick change"),
        ("[14:16] * ana is now known as ana_", "a nick change or a mode change"),
        ("[14:16] * ben sets mode: +o ana", "a nick change or a mode change"),
        ("[14:16] === mode/#tea [+o ana]  by ben", "a mode change"),
        ("[14:16:05] *** ben sets mode: +o ana", "a mode change"),
        ("14:16 -!- mode/#tea [+o ana] by ben", "a mode change"),
        ("14:16 -!- ben changed the topic of #tea to: green", "a topic"),
        ("14:16 -!- Netsplit a.example.org <-> b.example.org quits: ana", "a net split"),
        ("14:16 -!- Irssi: #tea: Total of 3 nicks", irc.lines.OTHER),
        ("[14:16] === ana sips", irc.lines.NAMELESS),
        ("[14:16] <ana> ", "no text"),
        ("[14:16] <ana> \x02\x0f", "no text"),
    ],
)
def test_what_is_no_message_is_skipped_by_its_kind(log: Write, line: str, reason: str) -> None:
    (note,) = items(log("[14:15] <ben> tea", line))[1:]
    assert isinstance(note, Skipped)
    assert (note.reason, note.position, note.lost) == (reason, 1, False)


@pytest.mark.parametrize(
    "line", ["tea?", "[14:16] tea?", "[14:16] <> tea", "[25:16] <ana> tea", "[14:60] <ana> tea"]
)
def test_a_line_that_is_not_understood_counts_as_lost(log: Write, line: str) -> None:
    path = log("[14:15] <ben> tea", "", line)
    (note,) = items(path)[1:]
    assert isinstance(note, Skipped)
    assert (note.file, note.position, note.lost) == (path.name, 2, True)
    assert note.detail


def test_lines_end_at_newlines_alone_and_may_have_a_return_before(log: Write) -> None:
    path = log("\ufeff[14:15] <ben> a\rb\x0bc\r", "[14:15] <ben> d\r")
    assert [body for _, body in texts(path)] == ["a\rb\x0bc", "d"]


def test_what_is_not_utf8_is_read_as_windows_1252(log: Write) -> None:
    path = log(b"[14:15] <ben> caf\xe9 \x93tea\x94", "[14:15] <ben> café")
    assert [body for _, body in texts(path)] == ["café “tea”", "café"]
    assert notes(path) == [("not UTF-8: read as Windows-1252", 0)]


def test_a_long_text_is_split_and_an_endless_line_is_left_out(log: Write) -> None:
    path = log("[14:15] <ben> " + "tea " * 6000, "[14:15] <ben> " + "x" * 200_000, "[14:15] <b> c")
    found = messages(path)
    assert "".join(m.body for m in found[:-1]) == "tea " * 6000
    assert all(len(m.body) <= BODY_LIMIT for m in found)
    assert ("a line over 64 KiB", 1) in notes(path)
    assert found[-1].body == "c"


def test_bots_are_marked(log: Write) -> None:
    path = log("[14:15] <Ubottu> a", "[14:15] <ubotu> b", "[14:15] <teabot> c", "[14:15] <ana> d")
    assert [m.bot for m in messages(path)] == [True, True, False, False]
    assert [m.bot for m in messages(path, bots=["TeaBot"])] == [True, True, True, False]


# Channels.


def test_the_channel_is_told_by_the_caller_else_the_files_name_else_the_lines(log: Write) -> None:
    lines = ("[14:15] <ana:#Tea> a", "[14:15] (ben/#coffee) b", "[14:15] <cleo> c")
    named = log(*lines, name="net_#Pots_20050206.log")
    assert [c.name for c in irc.channels([named])] == ["pots"]
    assert {m.channel for m in messages(named)} == {"pots"}
    assert {m.channel for m in messages(named, channel="mine")} == {"mine"}
    nameless = log(*lines, name="2005-02-06.log")
    assert [(c.name, c.source_name) for c in irc.channels([nameless], channel="mine")] == [
        ("mine", "mine")
    ]
    with pytest.raises(InputError, match="--channel NAME"):
        irc.channels([nameless])
    more = log(*lines, "[14:16] -ana:#tea- d", "[14:16] #tea <ben> e", name="2005-02-06.log")
    assert [(c.name, c.source_name) for c in irc.channels([more])] == [
        ("coffee", "#coffee"),
        ("tea", "#tea"),
    ]
    assert [m.channel for m in messages(more)] == ["tea", "coffee", "tea", "tea"]
    assert notes(more)[-1] == ("names no channel", 2)


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("#tea.log", "tea"),
        ("#tea_20050206.log", "tea"),
        ("irc.example.#tea-room.weechatlog", "tea-room"),
        ("2005-02-06-#tea.txt", "tea"),
        ("##tea.2005-02-06.log", "tea"),
        ("2005-02-06.train-c.raw.txt", ""),
    ],
)
def test_channels_in_names_of_files(name: str, channel: str) -> None:
    assert irc.lines.channel_in_name(name) == channel


def test_a_session_of_mirc_names_its_channel_but_talk_with_a_person_is_no_channel(
    log: Write,
) -> None:
    head = "Session Start: Sun Feb 06 14:00:00 2005"
    public = log(head, "Session Ident: #tea", "[14:15] <ana> a", name="a.log")
    assert [c.name for c in irc.channels([public])] == ["tea"]
    assert [m.channel for m in messages(public)] == ["tea"]
    private = log(head, "Session Ident: ben", "[14:15] <ana> a", name="b.log")
    with pytest.raises(InputError, match="--channel NAME"):
        irc.channels([private])


def test_wrong_arguments_are_named(log: Write, tmp_path: Path) -> None:
    path = log("[14:15] <ana> a")
    with pytest.raises(InputError, match="Mars/Olympus"):
        irc.read([path], zone="Mars/Olympus")
    with pytest.raises(ChannelNameError):
        irc.read([path], channel="#tea")
    with pytest.raises(InputError, match="nowhere"):
        irc.read([tmp_path / "nowhere.log"])
    with pytest.raises(InputError, match="at least one"):
        irc.read([])
    with pytest.raises(ImportFormatError, match="no IRC log"):
        irc.read([log("Dear ana,", "tea?", name="letter.txt")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImportFormatError, match="No IRC log is in"):
        irc.read([tmp_path / "empty"])


def test_a_folder_is_read_by_days_and_what_is_no_log_is_said(log: Write, tmp_path: Path) -> None:
    log("[00:10] <ana> second", name="z-20050207.log")
    log("[14:10] <ana> first", name="a-06Feb2005.txt")
    log("[14:10] <ana> last", name="2005-02-08.txt")
    log("Dear ana,", name="letter.txt")
    assert [m.body for m in messages(tmp_path, channel="tea")] == ["first", "second", "last"]
    assert ("no IRC log", None) in notes(tmp_path, channel="tea")


# Times.


def test_lines_of_one_minute_keep_their_order_by_a_millisecond_each(log: Write) -> None:
    path = log(
        "[14:15] <ana> a", "=== ben [b@c]  has joined #tea", "[14:15] <ana> b", "[14:16] <b> c"
    )
    stamps = [
        i.at_ms if isinstance(i, Join) else i.sent_ms
        for i in items(path)
        if isinstance(i, Message | Join)
    ]
    assert [ms - stamps[0] for ms in stamps] == [0, 1, 2, 60_000]


def test_lines_of_one_second_never_reach_the_next(log: Write) -> None:
    path = log(*["[14:15:01] <ana> a"] * 1500, "[14:15:02] <ana> b")
    stamps = [m.sent_ms for m in messages(path)]
    assert stamps == sorted(stamps)
    assert stamps[1499] - stamps[0] == 999
    assert stamps[1500] - stamps[0] == 1000


def test_days_come_from_lines_that_tell_them(log: Write) -> None:
    path = log(
        "--- Log opened Sun Feb 06 23:58:00 2005",
        "23:59 <ana> a",
        "--- Day changed Mon Feb 07 2005",
        "00:01 <ana> b",
        "**** BEGIN LOGGING AT Tue Feb  8 09:00:00 2005",
        "Feb 08 09:01:02 <ana>\tc",
        "Session Time: Wed Feb 09 00:00:00 2005",
        "[08:00] <ana> d",
        name="#tea.log",
    )
    assert [t[:16] for t in times(path)] == [
        "2005-02-06 23:59",
        "2005-02-07 00:01",
        "2005-02-08 09:01",
        "2005-02-09 08:00",
    ]
    assert reasons(path) == {"a line that tells the day"}


def test_without_a_day_lines_are_lost(log: Write) -> None:
    path = log("14:15 <ana> a", "--- Day changed Mon Feb 07 2005", "14:16 <ana> b", name="#tea.log")
    assert [t[:16] for t in times(path)] == ["2005-02-07 14:16"]
    assert notes(path)[0] == ("no such time, or nothing tells its day", 0)


def test_a_year_ends_where_lines_tell_month_and_day_alone(log: Write) -> None:
    path = log(
        "**** BEGIN LOGGING AT Fri Dec 31 23:00:00 2004",
        "Dec 31 23:59:59 <ana>\ta",
        "Jan 01 00:00:01 <ana>\tb",
        name="#tea.log",
    )
    assert [t[:19] for t in times(path)] == ["2004-12-31 23:59:59", "2005-01-01 00:00:01"]


def test_midnight_without_a_line_that_tells_it(log: Write) -> None:
    path = log("[23:59] <ana> a", "[00:01] <ana> b", "[23:00] <ana> c", "[09:00] <ana> d")
    assert [t[:16] for t in times(path)] == [
        "2005-02-06 23:59",
        "2005-02-07 00:01",
        "2005-02-07 23:00",
        "2005-02-08 09:00",
    ]
    assert notes(path) == [(clock.MIDNIGHT, 1), (clock.MIDNIGHT, 3)]


@pytest.mark.parametrize("noon", ["00:10", "12:10"])
def test_a_clock_that_counts_to_12(log: Write, noon: str) -> None:
    path = log(
        f"[{noon}] <ana> a",
        "[11:59] <ana> b",
        f"[{noon}] <ana> c",
        "[01:00] <ana> d",
        "[11:59] <ana> e",
        f"[{noon}] <ana> f",
    )
    assert [t[:16] for t in times(path)] == [
        "2005-02-06 00:10",
        "2005-02-06 11:59",
        "2005-02-06 12:10",
        "2005-02-06 13:00",
        "2005-02-06 23:59",
        "2005-02-07 00:10",
    ]
    assert notes(path) == [(clock.TWELVE, 0), (clock.MIDNIGHT, 5)]


def test_a_morning_may_be_an_evening_and_that_is_said(log: Write) -> None:
    path = log("[09:00] <ana> a", "[12:30] <ana> b")
    assert [t[:16] for t in times(path)] == ["2005-02-06 09:00", "2005-02-06 12:30"]
    assert notes(path) == [(clock.UNSURE, 0)]
    assert notes(log("[09:00 AM] <ana> a", "[12:30 pm] <ana> b", "[1:00 am] <ana> c")) == [
        (clock.MIDNIGHT, 2)
    ]
    mornings = log(
        "--- Day changed Mon Feb 07 2005",
        "12:15 <ana> a",
        "--- Day changed Tue Feb 08 2005",
        "09:15 <ana> b",
        name="#tea.log",
    )
    assert [t[:16] for t in times(mornings)] == ["2005-02-07 12:15", "2005-02-08 09:15"]


def test_a_small_step_back_keeps_line_order(log: Write) -> None:
    path = log("[14:15] <ana> a", "[14:13] <ana> b", "[14:14] <ana> c", "[14:16] <ana> d")
    assert times(path) == [
        "2005-02-06 14:15:00.000",
        "2005-02-06 14:15:00.001",
        "2005-02-06 14:15:00.002",
        "2005-02-06 14:16:00.000",
    ]
    assert notes(path) == [(clock.BACK, 1), (clock.BACK, 2)]


def test_a_log_that_goes_far_back_says_so(log: Write) -> None:
    path = log("2005-02-06 14:15:00 <ana> a", "2005-02-05 14:15:00 <ana> b")
    assert [t[:10] for t in times(path)] == ["2005-02-06", "2005-02-05"]
    assert notes(path) == [(clock.FAR_BACK, 1)]


def test_zones_and_the_hour_that_comes_twice(log: Write) -> None:
    path = log(
        "[01:30] <ana> a",
        "[02:30] <ana> b",
        "[02:10] <ana> c",
        "[03:00] <ana> d",
        "[14:00] <ana> e",
        name="2005-10-30-#tea.log",
    )
    assert [t[5:16] for t in times(path, zone="Europe/Vienna")] == [
        "10-29 23:30",
        "10-30 00:30",
        "10-30 01:10",
        "10-30 02:00",
        "10-30 13:00",
    ]
    assert notes(path, zone="Europe/Vienna") == []
    offset = log("2005-02-06T14:15:00+01:00 <ana> a", name="#tea.log")
    assert times(offset, zone="Asia/Tokyo") == ["2005-02-06 13:15:00.000"]


def test_lines_without_a_time_have_that_of_the_line_above_or_the_first_one(log: Write) -> None:
    path = log("=== ana [a@b]  has joined #tea", "[14:15] <ana> a", "=== ana [a@b]  has left #tea")
    found = [i for i in items(path) if isinstance(i, Join | Leave)]
    assert [f"{e.at:%H:%M:%S.%f}"[:-3] for e in found] == ["14:15:00.000", "14:15:00.002"]
    assert notes(path) == [("lines without a time have that of the line above", 0)]
    timeless = log("=== ana [a@b]  has joined #tea")
    assert notes(timeless)[-1] == (irc.NO_TIME, 0)


# Ids.


def test_ids_are_uuids_of_what_the_line_says() -> None:
    own_id = stable_id("irc", "", "tea", "a\0b")
    name = "\0".join(("irc", "", "tea", "a\0b"))
    assert own_id == str(uuid.uuid5(importers.NAMESPACE, name))
    assert uuid.UUID(own_id).version == 5


def test_a_log_that_has_grown_keeps_its_ids(log: Write) -> None:
    lines = ["[14:15] <ana> a", "[14:15] <ana> a", "[14:15] <ben> a", "[14:16] <ana> a"]
    before = [m.id for m in messages(log(*lines))]
    after = [m.id for m in messages(log(*lines, "[14:16] <ana> a", "[14:17] <ana> a"))]
    assert after[:4] == before
    assert len(set(after)) == 6


def test_a_log_in_two_files_gives_what_it_gave_in_one(log: Write, tmp_path: Path) -> None:
    lines = ["[14:15] <ana> a", "[14:15] <ana> a", "[14:15] <ana> b"]
    whole = messages(log(*lines))
    (tmp_path / "2005-02-06-#tea.log").unlink()
    log(*lines[:1], name="2005-02-06-#tea.1.log")
    log(*lines[1:], name="2005-02-06-#tea.2.log")
    assert messages(tmp_path, channel="tea") == whole


# Reply links.


def test_reply_links(log: Write) -> None:
    path = log(
        "[14:15] <ana> a",
        "=== ben [b@c]  has joined #tea",
        "[14:16] <ben> b",
        "[14:16] <ana> c",
        "[14:17] <ana> d",
        name="2005-02-06.raw.txt",
    )
    links = ("0 0 -", "0 2 -", "1 3 -", "0 4 -", "2 4 -", "0 1 -", "nonsense")
    log(*links, name="2005-02-06.annotation.txt")
    a, b, c, d = messages(path, links=True, channel="tea")
    assert (a.reply_to, b.reply_to, c.reply_to, d.reply_to) == (None, a.id, None, b.id)
    said = Counter(reasons_of(items(path, links=True, channel="tea"), "link"))
    assert said == {
        "a message answers one: the nearest is kept": 1,
        "a reply link to a line that is no message": 1,
        "a reply link of a line that is no message": 1,
        "not a reply link": 1,
    }
    assert [m.reply_to for m in messages(path, channel="tea")] == [None] * 4


def reasons_of(found: list[Item], what: str) -> list[str]:
    return [i.reason for i in found if isinstance(i, Skipped) and i.what == what]


def test_a_log_without_a_file_of_links_says_so(log: Write) -> None:
    assert "no file with reply links is beside the log" in reasons(
        log("[14:15] <ana> a"), links=True
    )


# Whatever comes.


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(
                lambda hour, minute, rest: f"[{hour:02}:{minute:02}] {rest}".encode(),
                st.integers(0, 25),
                st.integers(0, 61),
                st.one_of(
                    st.text(alphabet="<>-*=()[]#:/ ab\t\x03", max_size=30),
                    st.builds("<{}> {}".format, st.text("ab", max_size=3), st.text(max_size=9)),
                ),
            ),
        ),
        max_size=30,
    )
)
def test_whatever_a_file_holds_every_line_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("log") / "2005-02-06-#tea.log"
    data = b"\n".join([b"[14:15] <ana> a", *lines])
    path.write_bytes(data)
    tally = Tally()
    found = list(tally.watch(irc.read([path])))
    for item in found:
        encode(item)
    ids = [item.id for item in found]
    assert len(set(ids)) == len(ids)
    assert tally.entries == sum(not blank(line) for line in data.split(b"\n"))


def blank(line: bytes) -> bool:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode("cp1252", "replace")
    return not text.strip()


def test_who_waits_is_told_how_much_was_read(log: Write) -> None:
    path = log(*["[14:15] <ana> a"] * 10_000)
    told: list[int] = []
    with bytes_told(told.append):
        assert len(messages(path)) == 10_000
    assert sum(told) == path.stat().st_size
    assert len(told) > 2
    messages(path)
    assert sum(told) == path.stat().st_size
    with open_bytes(path) as file:
        assert file.readline() == b"[14:15] <ana> a\n"


# The real data.


@needs_data
def test_counts_of_every_file_are_those_that_are_expected() -> None:
    with (UBUNTU / "expected_counts.tsv").open(encoding="utf-8") as table:
        expected = list(csv.DictReader(table, delimiter="\t"))
    assert len(expected) == 153
    totals: Counter[str] = Counter()
    for row in expected:
        path = UBUNTU / row["file"]
        with path.open(encoding="utf-8", newline="\n") as file:
            slashed = sum(re.match(r"\[..:..\] <[^>]*> /me ", line) is not None for line in file)
        found = items(path, channel=row["channel"])
        said = [i for i in found if isinstance(i, Message)]
        skipped = Counter(i.reason for i in found if isinstance(i, Skipped))
        # A message needs a text: a line without one is skipped and counted as such.
        written = len(said) + skipped["no text"]
        actions = sum(m.body.startswith("/me ") for m in said) - slashed
        events = sum(isinstance(i, Join | Leave) for i in found)
        here = (row["file"], written, events + skipped.total() - skipped["no text"])
        people = int(row["messages"]) + int(row["actions"]) + int(row["other"])
        assert here == (row["file"], people, int(row["system"]))
        assert 0 <= int(row["actions"]) - actions <= skipped["no text"]
        stamps = [
            i.sent_ms if isinstance(i, Message) else i.at_ms
            for i in found
            if isinstance(i, Message | Join | Leave)
        ]
        assert stamps == sorted(stamps)
        assert f"{from_ms(said[0].sent_ms):%Y-%m-%d}" == row["file"][:10]
        assert not [i for i in found if isinstance(i, Skipped) and i.lost]
        totals.update(written=written, actions=int(row["actions"]), events=events)
        totals.update(skipped)
    assert totals["written"] == 196_146 + 452 + 48
    assert totals["no text"] == 25
    assert totals["a nick change"] == 4_428


@needs_data
def test_clocks_and_midnights_of_the_data_are_told() -> None:
    found = Counter(i.reason for i in irc.read([UBUNTU], channel="ubuntu") if isinstance(i, Mended))
    assert found[clock.TWELVE] == 8
    assert found[clock.MIDNIGHT] == 19
    assert found[clock.UNSURE] == 86


@needs_data
def test_reply_links_of_the_data_land() -> None:
    tally = Tally()
    linked = Counter(
        item.reply_to is not None
        for item in tally.watch(irc.read([UBUNTU], channel="ubuntu", links=True))
        if isinstance(item, Message)
    )
    starts = wanted = 0
    for path in UBUNTU.glob("*.annotation.txt"):
        pairs = [line.split()[:2] for line in path.read_text().splitlines()]
        starts += sum(one == other for one, other in pairs)
        wanted += sum(one != other for one, other in pairs)
    assert starts + wanted == 69_395
    left_out = sum(n for (what, _), n in tally.skipped.items() if what == "link")
    assert linked[True] == wanted - left_out
    assert left_out < wanted // 20


@needs_data
def test_ids_of_the_data_are_unique_and_the_same_again() -> None:
    def ids() -> list[str]:
        return [i.id for i in Tally().watch(irc.read([UBUNTU], channel="ubuntu"))]

    first = ids()
    assert len(set(first)) == len(first) == 215_062
    assert ids() == first
