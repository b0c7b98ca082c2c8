from __future__ import annotations

import tempfile
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.errors import ChannelNameError, ImportFormatError, InputError
from chatkit.importers import SPLIT, Item, Mended, Skipped, Tally, whatsapp
from chatkit.importers.whatsapp.lines import head_of
from chatkit.importers.whatsapp.notices import presence
from chatkit.message import BODY_LIMIT, Edit, Join, Leave, Message, decode, encode

DATA = Path(__file__).parents[2] / "shared" / "data" / "whatsapp_telegram"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the data set is not in {DATA}")
LRM = "\u200e"

Write = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Write:
    """Return a function that writes an export."""

    def write(*lines: str, file: str = "lunch.txt", end: str = "\n") -> Path:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(line + end for line in lines).encode("utf-8", "surrogateescape"))
        return path

    return write


@pytest.fixture
def read(export: Write) -> Callable[..., list[Item]]:
    """Return a function that reads an export of these lines."""
    return lambda *lines, **more: items(export(*lines), **more)


def items(*paths: Path, **more: object) -> list[Item]:
    return list(whatsapp.read(paths, **more))


def messages(found: list[Item]) -> list[Message]:
    return [item for item in found if isinstance(item, Message)]


def bodies(found: list[Item]) -> list[str]:
    return [message.body for message in messages(found)]


def times(found: list[Item]) -> list[str]:
    return [message.sent_at.strftime("%Y-%m-%d %H:%M:%S") for message in messages(found)]


def skipped(found: list[Item]) -> list[tuple[str, str]]:
    return [(item.reason, item.where) for item in found if isinstance(item, Skipped)]


def mended(found: list[Item]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Mended)]


# Where an entry begins


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("31/01/20, 14:05 - ana: hi", "2020-01-31 14:05:00"),
        ("31/01/2020, 14:05 - ana: hi", "2020-01-31 14:05:00"),
        ("31/01/2020 14:05 - ana: hi", "2020-01-31 14:05:00"),
        ("1/31/20, 2:05 PM - ana: hi", "2020-01-31 14:05:00"),
        ("1/31/20, 2:05\u202fPM - ana: hi", "2020-01-31 14:05:00"),
        ("1/31/20, 12:05 AM - ana: hi", "2020-01-31 00:05:00"),
        ("1/31/20, 12:05 PM - ana: hi", "2020-01-31 12:05:00"),
        ("31/1/2020 2:05 p. m. - ana: hi", "2020-01-31 14:05:00"),
        ("31/1/2020 2:05 p.\u00a0m. - ana: hi", "2020-01-31 14:05:00"),
        ("31/01/20, 2:05 pm - ana: hi", "2020-01-31 14:05:00"),
        ("31.01.20, 14:05 - ana: hi", "2020-01-31 14:05:00"),
        ("31-01-2020 14:05 - ana: hi", "2020-01-31 14:05:00"),
        ("2020-01-31, 14:05 - ana: hi", "2020-01-31 14:05:00"),
        ("2020/01/31, 14:05 – ana: hi", "2020-01-31 14:05:00"),
        ("2020. 1. 31. 오후 2:05 - ana: hi", "2020-01-31 14:05:00"),
        ("2020/1/31 下午2:05 - ana: hi", "2020-01-31 14:05:00"),
        ("2020/1/31 上午12:05 - ana: hi", "2020-01-31 00:05:00"),
        ("31.01.20, 2:05 nachm. - ana: hi", "2020-01-31 14:05:00"),
        ("31/1/20, 2:05 de la tarde - ana: hi", "2020-01-31 14:05:00"),
        ("31.01.20 г., 14:05 ч. - ana: hi", "2020-01-31 14:05:00"),
        ("31/01/20 14.05 - ana: hi", "2020-01-31 14:05:00"),
        ("31/1/2563 14:05 - ana: hi", "2020-01-31 14:05:00"),
        ("\u200f٣١\u200f/١\u200f/٢٠٢٠، ١٤:٠٥ - ana: hi", "2020-01-31 14:05:00"),
        ("[31.01.20, 14:05:09] ana: hi", "2020-01-31 14:05:09"),
        ("[31/01/2020, 2:05:09 PM] ana: hi", "2020-01-31 14:05:09"),
        ("[1/31/20, 2:05:09\u202fPM] ana: hi", "2020-01-31 14:05:09"),
        (f"{LRM}[31.01.20, 14:05:09] ana: hi", "2020-01-31 14:05:09"),
        ("\ufeff[2020-01-31, 14:05:09] ana: hi", "2020-01-31 14:05:09"),
        ("[31.1.2020 klo 14.05.09] ana: hi", "2020-01-31 14:05:09"),
        ("[31/01/2020 à 14:05:09] ana: hi", "2020-01-31 14:05:09"),
        ("[31/01/20 14:05:09] ana: hi", "2020-01-31 14:05:09"),
    ],
)
def test_dates_and_times_are_read_in_all_their_styles(read, line, expected):
    found = read(line)
    assert times(found) == [expected]
    assert [(m.author, m.body) for m in messages(found)] == [("ana", "hi")]
    assert not skipped(found)


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "",
        "see you 31/01/20, 14:05",
        "31/01/20",
        "14:05 - ana: hi",
        "31/01-20, 14:05 - ana: hi",
        "[31/01/20, 14:05 ana: hi",
        "- 31/01/20, 14:05 - ana: hi",
        "31/01/20, 14:05-15:00 - lunch: maybe",
    ],
)
def test_other_lines_continue_the_entry_before(read, line):
    assert head_of(line) is None
    assert bodies(read("31/01/20, 14:05 - ana: plan", line, "end")) == [f"plan\n{line}\nend"]


def test_lines_end_at_line_feeds_alone_with_or_without_carriage_returns(export):
    lines = ("31/01/20, 14:05 - ana: a\u2028b\x0bc\x85d", "e", "31/01/20, 14:06 - ben: f")
    for end in ("\n", "\r\n"):
        assert bodies(items(export(*lines, end=end))) == ["a\u2028b\x0bc\x85d\ne", "f"]


def test_colons_dashes_and_brackets_in_texts_stay(read):
    found = read(
        "31/01/20, 14:05 - ana: note: buy - bread [2] - and: salt",
        "31/01/20, 14:05 - ana - cleo: x",
        "31/01/20, 14:06 - +49 170 1234567: y",
        "31/01/20, 14:06 - \u202a+49\u00a0170\u00a01234567\u202c: z",
        "31/01/20, 14:07 - ben: https://x.example/a: b",
    )
    assert [(m.author, m.body) for m in messages(found)] == [
        ("ana", "note: buy - bread [2] - and: salt"),
        ("ana - cleo", "x"),
        ("+49 170 1234567", "y"),
        ("+49 170 1234567", "z"),
        ("ben", "https://x.example/a: b"),
    ]


def test_a_first_line_without_text_still_begins_a_message(read):
    found = read("31/01/20, 14:05 - ana: ", "list", "31/01/20, 14:05 - ben:", "31/01/20, 14:06 - x")
    assert bodies(found) == ["\nlist"]
    assert skipped(found) == [
        ("no text", "lunch.txt[2]"),
        ("notice of WhatsApp's", "lunch.txt[3]"),
    ]


# Day and month


@pytest.mark.parametrize(
    ("dates", "first"),
    [
        (("01/02/20", "13/02/20"), "2020-02-01"),
        (("01/02/20", "02/13/20"), "2020-01-02"),
        (("01/02/20", "01/03/20", "02/02/20"), "2020-01-02"),  # else not in order
        (("02/01/20", "03/01/20", "02/02/20"), "2020-01-02"),
        (("05/05/20", "06/06/20"), "2020-05-05"),  # the same both ways
        (("2020-02-01", "2020-02-02"), "2020-02-01"),
        (("29/02/20", "01/03/20"), "2020-02-29"),
    ],
)
def test_day_and_month_are_told_apart_by_the_whole_file(read, dates, first):
    found = read(*(f"{date}, 14:05 - ana: hi" for date in dates))
    assert times(found)[0] == f"{first} 14:05:00"
    assert len(messages(found)) == len(dates)


@pytest.mark.parametrize("dates", [("01/02/20",), ("01/02/20", "03/04/20"), ("01/02/20",) * 9])
@pytest.mark.parametrize("function", [whatsapp.read, whatsapp.channels])
def test_where_it_stays_open_it_has_to_be_said(export, dates, function):
    path = export(*(f"{date}, 14:05 - ana: hi" for date in dates))
    with pytest.raises(InputError, match=r"day_first=True.*--day-first or --month-first"):
        function([path])
    assert times(items(path, day_first=True))[0] == "2020-02-01 14:05:00"
    assert times(items(path, day_first=False))[0] == "2020-01-02 14:05:00"


def test_dates_that_contradict_each_other_are_named(export):
    path = export(*(f"{date}, 14:05 - ana: hi" for date in ("01/02/20", "13/02/20", "02/13/20")))
    with pytest.raises(InputError, match="Line 2 has the day first, line 3 the month"):
        whatsapp.read([path])
    found = items(path, day_first=True)
    assert times(found) == ["2020-02-01 14:05:00", "2020-02-13 14:05:00"]
    assert skipped(found) == [("no such date", "lunch.txt[2]")]
    assert [item.lost for item in found if isinstance(item, Skipped)] == [True]


def test_times_that_can_not_be_read_are_lost_with_the_reason(read):
    found = read(
        "31/01/20, 2:05 ipm - ana: a",
        "31/01/20, 24:05 - ana: b",
        "31/01/1398, 14:05 - ana: c",
        "31/01/20, 14:05 - ana: d",
    )
    assert bodies(found) == ["d"]
    assert [reason for reason, _ in skipped(found)] == [
        "unknown word for am or pm",
        "no such time of the day",
        "no such date",
    ]


# Zones


def test_times_are_by_the_clock_of_the_zone(export):
    path = export("31/07/20, 14:05 - ana: hi")
    assert times(items(path, zone="Europe/Berlin")) == ["2020-07-31 12:05:00"]
    for function in (whatsapp.read, whatsapp.channels):
        with pytest.raises(InputError, match="no time zone"):
            function([path], zone="Middle/Earth")


def test_the_hour_that_comes_twice_in_autumn_is_told_apart_by_the_order(read):
    clock = ("01:30", "02:10", "02:50", "02:20", "02:40", "03:05")
    found = read(*(f"25/10/20, {at} - ana: hi" for at in clock), zone="Europe/Berlin")
    assert [at[11:16] for at in times(found)] == [
        "23:30",
        "00:10",
        "00:50",
        "01:20",
        "01:40",
        "02:05",
    ]


# What WhatsApp itself writes


@pytest.mark.parametrize(
    ("text", "joined", "people"),
    [
        ("ben joined using this group's invite link", True, ("ben",)),
        ("ben joined using a group link.", True, ("ben",)),
        ("ana added ben", True, ("ben",)),
        ("ana added ben, cleo and +1 23", True, ("ben", "cleo", "+1 23")),
        ("ben was added", True, ("ben",)),
        ("ben left", False, ("ben",)),
        ("ana removed ben", False, ("ben",)),
        ("ben ist über den Einladungslink beigetreten", True, ("ben",)),
        ("ana hat ben und cleo hinzugefügt", True, ("ben", "cleo")),
        ("ben hat die Gruppe verlassen", False, ("ben",)),
        ("ana hat ben entfernt", False, ("ben",)),
        ("ana añadió a ben", True, ("ben",)),
        ("ben se unió usando el enlace de invitación de este grupo", True, ("ben",)),
        ("ben salió del grupo", False, ("ben",)),
        ("ana eliminó a ben", False, ("ben",)),
        ("ana a ajouté ben et cleo", True, ("ben", "cleo")),
        ("ben a quitté le groupe", False, ("ben",)),
        ("ana a retiré ben", False, ("ben",)),
        ("ana adicionou ben", True, ("ben",)),
        ("ben entrou usando o link de convite deste grupo", True, ("ben",)),
        ("ben saiu", False, ("ben",)),
        ("ana removeu ben", False, ("ben",)),
        ("ana ha aggiunto ben", True, ("ben",)),
        ("ben ha abbandonato", False, ("ben",)),
        ("ana heeft ben toegevoegd", True, ("ben",)),
        ("ben heeft de groep verlaten", False, ("ben",)),
        ("ana heeft ben verwijderd", False, ("ben",)),
    ],
)
def test_joining_and_leaving_are_events_in_several_languages(read, text, joined, people):
    found = read(f"31/01/20, 14:05 - {text}")
    events = [item for item in found if isinstance(item, Join | Leave)]
    assert [event.actor for event in events] == list(people)
    assert {type(event) for event in events} == {Join if joined else Leave}
    assert {event.at for event in events} == {datetime(2020, 1, 31, 14, 5, tzinfo=UTC)}
    assert not skipped(found)


@pytest.mark.parametrize(
    "text",
    [
        "Messages and calls are end-to-end encrypted. Learn more: https://x.example",
        'ana created group "lunch: today"',
        "ana changed the subject from “a: b” to “c”",
        "ana changed this group's icon",
        "ana removed the group description",
        "ana hat das Gruppenbild entfernt",
        "ana hat die Gruppe „Suppe: heute“ erstellt",
        "ana a supprimé l'icône du groupe",
        "+49 170 1234567 changed to +49 170 7654321",
    ],
)
def test_other_notices_are_skipped(read, text):
    found = read(f"31/01/20, 14:05 - {text}")
    assert skipped(found) == [("notice of WhatsApp's", "lunch.txt[0]")]
    assert len(found) == 1


@pytest.mark.parametrize("text", ["You were added", "ana added you", "Du wurdest hinzugefügt"])
def test_who_made_the_export_has_no_name_in_notices(read, text):
    assert skipped(read(f"31/01/20, 14:05 - {text}")) == [
        ("about who made the export, whose name is not told", "lunch.txt[0]")
    ]


def test_what_people_write_is_never_taken_for_a_notice(read):
    texts = [
        "ben left",
        "ana added cleo",
        "Messages and calls are end-to-end encrypted",
        "image omitted",
        "the image was omitted",
        'he said: "x',
        "see plan.pdf (the new one) please",
        "see plan.pdf (the new one)",
        "plan.pdf (file attached) is what it says",
        "<note: soup>",
        "x <This message was edited> y",
    ]
    found = read(*(f"31/01/20, 14:05 - ana: {text}" for text in texts))
    assert bodies(found) == texts


def test_on_iphones_notices_under_a_name_are_known_by_their_mark(read):
    found = read(
        f"[31.01.20, 14:05:00] Lunch: {LRM}Messages and calls are end-to-end encrypted.",
        f"[31.01.20, 14:05:00] ana: {LRM}ana created this group",
        "[31.01.20, 14:05:01] ana: hello",
        f"{LRM}[31.01.20, 14:05:02] ana: {LRM}image omitted",
        f"{LRM}[31.01.20, 14:05:03] ana: {LRM}<attached: 00000012-PHOTO-2020-01-31.jpg>",
        f"{LRM}[31.01.20, 14:05:04] ana: plan.pdf • {LRM}2 pages {LRM}<attached: 13-plan.pdf>",
        f"[31.01.20, 14:05:05] Lunch: {LRM}ana changed this group's icon",
        f"[31.01.20, 14:05:06] Lunch: {LRM}ben joined using this group's invite link",
        f"[31.01.20, 14:05:07] ben: {LRM}ben left",
        f"[31.01.20, 14:05:08] ana: {LRM}This message was deleted.",
        f"[31.01.20, 14:05:09] ana: {LRM}POLL:",
        "soup?",
        f"[31.01.20, 14:05:10] ana: {LRM}kuva jätetty pois",
        f"[31.01.20, 14:05:11] ana: {LRM}Missed voice call",
    )
    assert bodies(found) == [
        "hello",
        "image omitted",
        "00000012-PHOTO-2020-01-31.jpg",
        f"plan.pdf • {LRM}2 pages {LRM}<attached: 13-plan.pdf>",
        "POLL:\nsoup?",
        "kuva jätetty pois",  # of a language that is not known: kept
    ]
    assert [(type(i).__name__, i.actor) for i in found if isinstance(i, Join | Leave)] == [
        ("Join", "ben"),
        ("Leave", "ben"),
    ]
    assert Counter(reason for reason, _ in skipped(found)) == {
        "notice of WhatsApp's": 4,
        "taken back by its author": 1,
    }


def test_files_are_told_by_name_and_what_was_left_out_in_whatsapps_words(read):
    found = read(
        "31/01/20, 14:05 - ana: IMG-20200131-WA0001.jpg (file attached)",
        "with a caption",
        f"31/01/20, 14:05 - ana: {LRM}plan of today.pdf (Datei angehängt)",
        "31/01/20, 14:05 - ana: <Media omitted>",
        "31/01/20, 14:05 - ana: <Medien ausgeschlossen>",
    )
    assert bodies(found) == [
        "IMG-20200131-WA0001.jpg\nwith a caption",
        "plan of today.pdf",
        "<Media omitted>",
        "<Medien ausgeschlossen>",
    ]


@pytest.mark.parametrize(
    "mark", ["<This message was edited>", "<Diese Nachricht wurde bearbeitet.>"]
)
def test_an_edited_message_has_an_edit_event_and_a_note(read, mark):
    found = read(f"31/01/20, 14:05 - ana: at two {LRM}{mark}")
    (message,) = messages(found)
    (edit,) = (item for item in found if isinstance(item, Edit))
    assert (message.body, edit.body, edit.target) == ("at two", "at two", message.id)
    assert (edit.actor, edit.at_ms) == ("ana", message.sent_ms)
    assert mended(found) == ["edited; when is not told"]


def test_messages_that_were_taken_back_are_skipped(read):
    found = read(
        "31/01/20, 14:05 - ana: This message was deleted",
        "31/01/20, 14:05 - ana: Diese Nachricht wurde gelöscht.",
    )
    assert [reason for reason, _ in skipped(found)] == ["taken back by its author"] * 2


def test_a_text_over_the_limit_becomes_several_messages(read):
    text = "word " * 1_000_000
    found = read(f"31/01/20, 14:05 - ana: {text}", "31/01/20, 14:06 - ben: x")
    *parts, last = messages(found)
    assert "".join(part.body for part in parts) == text
    assert len(parts) > len(text) // BODY_LIMIT
    assert len({part.id for part in parts}) == len(parts)
    assert mended(found) == [SPLIT] * (len(parts) - 1)
    assert last.body == "x"


# Which channel


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("WhatsApp Chat with Ana.txt", "ana"),
        ("WhatsApp-Chat mit Ana.txt", "ana"),
        ("Chat_de_WhatsApp_con_Ana.txt", "ana"),
        ("WhatsApp Chat - Ana/_chat.txt", "ana"),
        ("lunch.txt", "lunch"),
        ("昼.txt", "unnamed"),
    ],
)
def test_a_channel_is_called_what_the_files_name_says(export, file, name):
    path = export("31/01/20, 14:05 - ana: hi", file=file)
    (channel,) = whatsapp.channels([path])
    assert (channel.name, channel.private) == (name, True)
    assert {m.channel for m in messages(items(path))} == {name}


def test_a_channel_name_has_to_be_given_where_the_file_has_none(export):
    path = export("31/01/20, 14:05 - ana: hi", file="chats/_chat.txt")
    with pytest.raises(InputError, match=r"channel=.*--channel"):
        whatsapp.read([path])
    assert [m.channel for m in messages(items(path, channel="lunch"))] == ["lunch"]
    assert mended(items(path, channel="lunch")) == []
    with pytest.raises(ChannelNameError):
        whatsapp.channels([path], channel="No Name")


def test_a_folder_and_a_zip_give_the_same_as_the_file(export, tmp_path):
    path = export("31/01/20, 14:05 - ana: hi", "you", file="all/lunch.txt")
    assert items(path.parent) == items(path)
    archive = tmp_path / "WhatsApp Chat - Lunch.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(path, "_chat.txt")
        packed.writestr("00000012-PHOTO.jpg", b"\x00")
    assert [(m.id, m.channel, m.body) for m in messages(items(archive))] == [
        (m.id, m.channel, m.body) for m in messages(items(path))
    ]
    with zipfile.ZipFile(archive, "a") as packed:
        packed.write(path, "more.txt")
    with pytest.raises(ImportFormatError, match="2 text files"):
        whatsapp.read([archive])


# Again


def test_ids_stay_over_two_runs_two_exports_that_overlap_and_zones(export):
    day = [f"31/01/20, 14:{n // 3:02} - ana: ok" for n in range(12)]
    first = items(export(*day[:9]))
    assert first == items(export(*day[:9]))
    assert len({m.id for m in messages(first)}) == 9  # equal ones are counted
    longer = items(export(*day))
    assert [m.id for m in messages(longer)][:9] == [m.id for m in messages(first)]
    later = items(export(*day[3:]), zone="Europe/Berlin")
    assert [m.id for m in messages(later)] == [m.id for m in messages(longer)][3:]
    elsewhere = items(export(*day), channel="other")
    assert not {m.id for m in messages(elsewhere)} & {m.id for m in messages(longer)}


# Broken and odd files


@pytest.mark.parametrize("function", [whatsapp.read, whatsapp.channels])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\x00\x01\x02\xff" * 100,
        b"hello\nworld\n",
        b'{"messages": []}',
        b"[09:16] <ana> hello\n",
        b"PK\x03\x04 no zip",
        b"x" * 3_000_000,
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_export_is_refused_at_once(tmp_path, function, content):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(ImportFormatError, match=r"x\.txt (is no|can't be read)"):
        function([path])


def test_paths_that_lead_nowhere_are_refused(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        whatsapp.read([tmp_path / "x.txt"])
    with pytest.raises(InputError, match=r"No \*\.txt"):
        whatsapp.read([tmp_path])


def test_lines_before_the_first_message_are_skipped(read):
    found = read("a chat", "", "31/01/20, 14:05 - ana: hi")
    assert bodies(found) == ["hi"]
    assert skipped(found) == [("before the first message", "lunch.txt[0]")]


def test_bytes_that_are_no_utf8_are_replaced_with_a_note_and_utf16_is_read(export, tmp_path):
    found = items(export("31/01/20, 14:05 - ana: caf\udce9", "31/01/20, 14:06 - ana: \ufffd"))
    assert bodies(found) == ["caf\ufffd", "\ufffd"]
    assert mended(found) == ["characters that are no UTF-8 replaced by U+FFFD"]
    path = tmp_path / "wide.txt"
    path.write_bytes("31/01/20, 14:05 - ana: café\n".encode("utf-16"))
    assert bodies(items(path)) == ["café"]


LINE = st.one_of(
    st.text(max_size=30),
    st.builds(
        "{}{}, {} - {}".format,
        st.sampled_from(["", LRM, "["]),
        st.sampled_from(["31/01/20", "2020-01-31", "1/31/20", "99/99/99", "31.01.20"]),
        st.sampled_from(["14:05", "2:05 PM", "25:61", "2:05 x"]),
        st.sampled_from(["ana: ", "ben left", f"ana: {LRM}x", "ana added ", "", '": x'])
        | st.text(max_size=10),
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, max_size=8))
def test_any_lines_are_read_and_fit_to_be_sent(lines):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.txt"
        content = "\n".join(["31/01/20, 14:05 - ana: hi", *lines])
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        tally = Tally()
        try:
            found = whatsapp.read([path], day_first=True)
        except ImportFormatError:
            assert "\0" in content
            return
        for item in tally.watch(found):
            assert decode(encode(item), item.channel) == item
        assert tally.messages["x"] + sum(n for (_, why), n in tally.skipped.items() if why) >= 1


@given(st.text(max_size=200))
def test_any_notice_is_looked_at_quickly_and_gives_names_or_nothing(text):
    found = presence(text)
    assert found is None or all(person.strip() for person in found.people)


def test_memory_stays_flat_however_large_the_file(tmp_path):
    path = tmp_path / "large.txt"
    with path.open("w", encoding="utf-8") as file:
        for number in range(30_000):
            hour, minute = divmod(number % 1440, 60)
            text = f"{number} hello there, how are you? " * 10
            file.write(f"31/01/20, {hour:02}:{minute:02} - ana: {text}\n")
    assert path.stat().st_size > 8_000_000
    tracemalloc.start()
    try:
        assert sum(isinstance(item, Message) for item in whatsapp.read([path])) == 30_000
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


# Data made by hand elsewhere


@needs_data
def test_the_log_of_the_data_set_is_read_whole():
    found = items(DATA / "whatsapp_testlog.txt", channel="talk")
    tally = Tally()
    for item in tally.watch(found):
        assert decode(encode(item), "talk") == item
    assert tally.messages["talk"] == 14
    assert tally.entries == 17
    assert tally.lost == 0
    assert {reason for reason, _ in skipped(found)} == {
        "notice of WhatsApp's",
        "about who made the export, whose name is not told",
    }
    assert times(found) == [
        "2019-12-24 11:23:00",
        "2019-12-24 11:23:00",
        "2020-01-17 20:49:00",
        "2020-01-18 14:53:00",
        "2017-07-16 19:13:00",
        "2019-09-24 23:30:00",
        "2019-09-24 11:30:00",
        "2019-12-24 23:30:00",
        "2022-09-10 22:37:00",
        "2022-09-10 22:37:00",
        "2022-09-10 22:37:00",
        "2021-10-24 15:21:43",
        "2021-10-24 15:21:43",
        "2021-10-24 15:21:43",
    ]
    lines = (DATA / "whatsapp_testlog.txt").read_text(encoding="utf-8").splitlines()
    assert sum(message.body.count("\n") + 1 for message in messages(found)) == len(lines) - 3
    assert [m.author for m in messages(found)].count("+12 345 578") == 1
