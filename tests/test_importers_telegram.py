from __future__ import annotations

import json
import tempfile
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.errors import ChannelNameError, ImportFormatError, InputError
from chatkit.importers import SPLIT, Item, Mended, Skipped, Tally, telegram
from chatkit.message import BODY_LIMIT, Edit, Join, Leave, Message, Pin, React, decode, encode

DATA = Path(__file__).parents[2] / "shared" / "data" / "whatsapp_telegram"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the data set is not in {DATA}")
START = 1_577_836_800  # 2020-01-01
ANA = {"from": "Ana", "from_id": "user11"}
BEN = {"from": "Ben", "from_id": "user12"}

Write = Callable[..., Path]


def clock(second: int, hours: int = 1) -> str:
    """Return what a clock so many hours ahead of UTC shows so many seconds after the start."""
    at = datetime.fromtimestamp(START + second, UTC) + timedelta(hours=hours)
    return at.replace(tzinfo=None).isoformat()


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "message",
        "date": clock(number),
        "date_unixtime": str(START + number),
        **more,
    }


def said(number: int, text: Any = "", **more: Any) -> dict[str, Any]:
    return entry(number, **{**ANA, "text": text, **more})


def service(number: int, action: str, **more: Any) -> dict[str, Any]:
    actor = {"actor": "Ana", "actor_id": "user11"}
    return entry(number, **{"type": "service", **actor, "action": action, "text": "", **more})


def chat(*entries: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "Lunch",
        "type": "private_group",
        "id": 500,
        **more,
        "messages": list(entries),
    }


@pytest.fixture
def export(tmp_path: Path) -> Write:
    """Return a function that writes an export."""

    def write(content: Any, file: str = "result.json") -> Path:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        return path

    return write


@pytest.fixture
def one(export: Write) -> Callable[..., list[Item]]:
    """Return a function that reads an export of one chat with these entries."""
    return lambda *entries, **more: items(export(chat(*entries, **more)))


def items(*paths: Path, **more: Any) -> list[Item]:
    return list(telegram.read(paths, **more))


def messages(found: list[Item]) -> list[Message]:
    return [item for item in found if isinstance(item, Message)]


def bodies(found: list[Item]) -> list[str]:
    return [message.body for message in messages(found)]


def events(found: list[Item], kind: type) -> list[Any]:
    return [item for item in found if isinstance(item, kind)]


def skipped(found: list[Item]) -> list[tuple[str, str, str]]:
    return [(i.what, i.reason, i.where) for i in found if isinstance(i, Skipped)]


def mended(found: list[Item]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Mended)]


# What becomes of an entry


def test_a_message_keeps_author_text_time_and_source(one):
    (message,) = messages(one(said(7, "good morning\nall")))
    assert (message.channel, message.author, message.body) == ("lunch", "Ana", "good morning\nall")
    assert (message.sent_ms, message.source) == ((START + 7) * 1000, "telegram")
    assert (message.bot, message.reply_to) == (False, None)


def test_texts_in_parts_are_put_together_and_text_links_kept(one):
    parts = [
        "see ",
        {"type": "bold", "text": "the"},
        {"type": "text_link", "text": " plan", "href": "https://plan.example/a b"},
        {"type": "mention", "text": " @ben"},
        7,
        {"type": "plain"},
    ]
    found = one(said(1, parts), entry(2, **ANA, text_entities=[{"type": "plain", "text": "new"}]))
    assert bodies(found) == ["see the[plan](https://plan.example/a%20b) @ben", "new"]


def test_replies_are_kept_but_not_to_other_chats_or_a_topics_opening(one):
    found = one(
        service(1, "topic_created", title="food"),
        said(2, "soup?", reply_to_message_id=1),
        said(3, "yes", reply_to_message_id=2),
        said(4, "no", reply_to_message_id=2, reply_to_peer_id="channel9"),
    )
    soup, yes, no = messages(found)
    assert (soup.reply_to, yes.reply_to, no.reply_to) == (None, soup.id, None)
    assert skipped(found) == [("entry", "topic_created", "result.json:Lunch[0]")]


def test_an_edit_has_the_present_text_and_its_own_time(one):
    found = one(said(1, "now", edited=clock(60), edited_unixtime=str(START + 60)))
    (message,), (edit,) = messages(found), events(found, Edit)
    assert (edit.target, edit.actor, edit.body) == (message.id, "Ana", "now")
    assert edit.at_ms == (START + 60) * 1000


def test_the_edit_mark_of_old_exports_and_of_reactions_is_no_edit(one):
    reaction = {"type": "emoji", "count": 1, "emoji": "👍", "recent": [{**BEN, "date": clock(9)}]}
    found = one(
        said(1, "old", edited="1970-01-01T01:00:00"),
        said(2, "liked", edited=clock(9), edited_unixtime=str(START + 9), reactions=[reaction]),
    )
    assert not events(found, Edit)
    assert mended(found)[1:] == ["edited, or only reacted to: Telegram marks both alike"]


def test_those_who_reacted_are_events_at_their_time_as_far_as_they_are_named(one):
    found = one(
        said(
            1,
            "cake",
            reactions=[
                {
                    "type": "emoji",
                    "count": 5,
                    "emoji": "🎉",
                    "recent": [{**BEN, "date": clock(30)}, {**ANA, "date": clock(40)}],
                },
                {"type": "custom_emoji", "count": 1, "document_id": "stickers/AnimatedSticker.tgs"},
                {"type": "paid", "count": 3},
            ],
        )
    )
    (message,) = messages(found)
    assert [(r.emoji, r.actor, r.at_ms, r.target) for r in events(found, React)] == [
        ("🎉", "Ben", (START + 30) * 1000, message.id),
        ("🎉", "Ana", (START + 40) * 1000, message.id),
    ]
    where = "result.json:Lunch[0]"
    assert skipped(found) == [("reaction", "who reacted is not told", where)] * 3


def test_joins_leaves_and_pins_are_events_and_other_actions_are_skipped_by_name(one):
    found = one(
        service(1, "create_group", title="Lunch", members=["Ana", "Ben"]),
        service(2, "invite_members", members=["Cleo", None]),
        service(3, "join_group_by_link", inviter="Ana", actor="Ben", actor_id="user12"),
        service(4, "remove_members", members=["Cleo"]),
        said(5, "rules"),
        service(6, "pin_message", message_id=5, actor="Ben", actor_id="user12"),
        service(7, "pin_message"),
        service(8, "edit_group_title", title="Supper"),
        service(9, "invite_members", members=[None]),
        service(10, ""),
        {"id": 11, "type": "unsupported"},
    )
    assert [join.actor for join in events(found, Join)] == ["Ana", "Ben", "Cleo", "Ben"]
    assert [(leave.actor, leave.at_ms) for leave in events(found, Leave)] == [
        ("Cleo", (START + 4) * 1000)
    ]
    (rules,) = messages(found)
    assert [(pin.target, pin.actor) for pin in events(found, Pin)] == [(rules.id, "Ben")]
    assert [reason for _, reason, _ in skipped(found)] == [
        "pin_message",
        "edit_group_title",
        "who joined or left is not told",
        "service entry without an action",
        "not supported by the Telegram that exported",
    ]
    assert len({item.id for item in found if hasattr(item, "id")}) == 7


def test_files_places_contacts_polls_and_forwards_are_told_in_the_body(one):
    left_out = "(File not included. Change data exporting settings to download.)"
    found = one(
        said(1, "look", photo="photos/photo_1@01-01-2020.jpg"),
        said(2, photo=left_out),
        said(3, file="files/plan.pdf", mime_type="application/pdf"),
        said(4, file=left_out, file_name="plan.pdf"),
        said(5, file=left_out, media_type="voice_message"),
        said(6, file="stickers/s.webp", media_type="sticker", sticker_emoji="🙂"),
        said(7, location_information={"latitude": 52.5, "longitude": 13.25}, place_name="Inn"),
        said(8, contact_information={"first_name": "Ben", "phone_number": "+1 2"}),
        said(9, poll={"question": "Soup?", "answers": [{"text": "yes"}, {"text": ["no"]}]}),
        said(10, "far away", forwarded_from="Cleo"),
        said(11, "gone", forwarded_from=None),
        said(12),
    )
    assert bodies(found) == [
        "look\nphoto_1@01-01-2020.jpg",
        "[photo]",
        "plan.pdf",
        "plan.pdf",
        "[voice message]",
        "🙂",
        "52.5, 13.25\nInn",
        "Ben +1 2",
        "Soup?\n- yes\n- no",
        "Forwarded from Cleo:\nfar away",
        "Forwarded from somebody:\ngone",
    ]
    assert skipped(found) == [("entry", "no text", "result.json:Lunch[11]")]


def test_a_text_over_the_limit_becomes_several_messages(one):
    text = "word " * BODY_LIMIT
    found = one(said(1, text), said(2, "x", reply_to_message_id=1))
    *parts, answer = messages(found)
    assert "".join(part.body for part in parts) == text
    assert mended(found).count(SPLIT) == len(parts) - 1
    assert answer.reply_to == parts[0].id


# Times


def test_times_of_old_exports_are_by_the_clock_of_the_zone(export):
    old = said(0, "x", date="2020-07-01T12:00:00")
    del old["date_unixtime"]
    path = export(chat(old))
    berlin = datetime(2020, 7, 1, 10, tzinfo=UTC)
    assert [m.sent_at for m in messages(items(path, zone="Europe/Berlin"))] == [berlin]
    assert [m.sent_at.hour for m in messages(items(path))] == [12]
    for function in (telegram.read, telegram.channels):
        with pytest.raises(InputError, match="no time zone"):
            function([path], zone="Nowhere/Else")


def test_entries_without_a_time_are_skipped(one):
    found = one(
        {"id": 1, "type": "message", "text": "x"},
        said(2, "x", date_unixtime="soon", date="then"),
        said(3, "x", date_unixtime="9" * 12),
    )
    assert not messages(found)
    assert [reason for _, reason, _ in skipped(found)] == [
        "no date",
        "no date",
        "breaks a rule of the wire format",
    ]


# Who and where


def test_two_people_with_one_name_are_told_apart_and_old_ids_are_the_same_person(one):
    found = one(
        said(1, "a"),
        said(2, "b", from_id="user99"),
        said(3, "c", from_id=11),
        said(4, "d", **{"from": None, "from_id": "user44"}),
        said(5, "e", **{"from": None, "from_id": None}),
    )
    assert [m.author for m in messages(found)] == ["Ana", "Ana (99)", "Ana", "44", "unknown"]


def test_only_in_a_chat_with_a_bot_is_the_bot_known(one):
    bot = {"from": "Helper", "from_id": "user500"}
    found = one(said(1, "/start"), said(2, "hello", **bot), type="bot_chat", name="Helper")
    assert [m.bot for m in messages(found)] == [False, True]
    assert not any(m.bot for m in messages(one(said(1, "hello", **bot))))


def everything(*chats: dict[str, Any], left: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "about": "all of it",
        "personal_information": {"user_id": 11, "first_name": "Ana"},
        "contacts": {"list": [{"name": "no chat", "id": 3, "type": "private_group"}]},
        "chats": {"about": "x", "list": list(chats)},
        "left_chats": {"about": "x", "list": list(left)},
    }


def test_all_chats_of_a_person_are_read_and_private_ones_only_if_asked_for(export):
    path = export(
        everything(
            chat(said(1, "soup"), said(2, "bread")),
            chat(said(1, "secret"), name="Ben", type="personal_chat", id=12),
            chat(said(1, "note"), type="saved_messages", id=11, name=None),
            chat(name="Empty", id=501),
            left=(chat(said(1, "bye"), name="Gone", id=502),),
        )
    )
    found = items(path)
    assert [(m.channel, m.body) for m in messages(found)] == [
        ("lunch", "soup"),
        ("lunch", "bread"),
        ("gone", "bye"),
    ]
    assert skipped(found) == [
        ("folder", "private chat", "result.json:Ben"),
        ("folder", "private chat", "result.json:saved_messages"),
    ]
    assert [c.name for c in telegram.channels([path])] == ["empty", "gone", "lunch"]
    assert {m.body: m.channel for m in messages(items(path, private=True))} == {
        "soup": "lunch",
        "bread": "lunch",
        "secret": "ben",
        "note": "saved_messages",
        "bye": "gone",
    }
    assert [c.name for c in telegram.channels([path], private=True) if c.private] == [
        "ben",
        "saved_messages",
    ]


def test_a_private_chat_that_was_exported_alone_is_read(export):
    path = export(chat(said(1, "hello"), type="personal_chat", name="Ben"))
    assert bodies(items(path)) == ["hello"]
    (channel,) = telegram.channels([path])
    assert (channel.name, channel.source_name, channel.source_id) == ("ben", "Ben", "500")
    assert channel.private


def test_chats_alike_in_name_are_told_apart_and_a_name_can_be_given_for_one(export):
    path = export(everything(chat(said(1, "a")), chat(said(1, "b"), id=501)))
    found = items(path)
    assert [m.channel for m in messages(found)] == ["lunch", "lunch-501"]
    assert len({m.id for m in messages(found)}) == 2
    with pytest.raises(InputError, match="2 chats"):
        telegram.read([path], channel="food")
    alone = export(chat(said(1, "x")), "one.json")
    assert [m.channel for m in messages(items(alone, channel="food"))] == ["food"]
    assert not mended(items(alone, channel="food"))
    with pytest.raises(ChannelNameError):
        telegram.channels([alone], channel="No Name")


def test_the_same_chat_in_two_files_is_to_be_imported_in_turn(export):
    paths = [export(chat(said(1, "x")), f"{name}.json") for name in "ab"]
    with pytest.raises(InputError, match="one after the other"):
        telegram.read(paths)


def test_a_folder_stands_for_its_result_file(export):
    path = export(chat(said(1, "x")), "ChatExport/result.json")
    assert bodies(items(path.parent)) == ["x"]


# Again


def test_ids_stay_over_two_runs_and_two_exports_that_overlap(export):
    day = [said(n, f"text {n}", from_id="user11", reactions=[]) for n in range(1, 7)]
    first = items(export(chat(*day[:4])))
    assert first == items(export(chat(*day[:4])))
    second = items(export(everything(chat(*day[2:]))))
    both = {m.body: m.id for m in messages(first)}
    assert all(both.setdefault(m.body, m.id) == m.id for m in messages(second))
    assert len(set(both.values())) == 6


def test_entries_without_ids_get_one_of_time_author_text_and_number(export):
    plain = {"type": "message", "date_unixtime": str(START), "from": "Ana", "text": "ok"}
    found = items(export({"messages": [plain, plain]}), channel="lunch")
    assert len({m.id for m in messages(found)}) == 2
    assert found == items(export({"messages": [plain, plain]}), channel="lunch")
    with pytest.raises(InputError, match="--channel"):
        telegram.read([export({"messages": [plain]})])


def test_an_entry_that_comes_twice_is_taken_once(one):
    found = one(said(1, "x"), said(1, "x"))
    assert bodies(found) == ["x"]
    assert [reason for _, reason, _ in skipped(found)] == ["same id as the entry before it"]


# Broken and odd files


@pytest.mark.parametrize("function", [telegram.read, telegram.channels])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02\xff" * 100,
        b"[]",
        b'{"name": "x", "messages": {}}',
        b'{"name": "x", "mess',
        b"[" * 100_000,
        b'{"a": ' * 100_000,
    ],
)
def test_what_is_no_export_is_refused_at_once(tmp_path, function, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ImportFormatError, match=r"x\.json is no export .*Machine-readable JSON"):
        function([path])


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_before_a_tear_is_kept_and_the_rest_is_lost(export, alone):
    day = chat(*(said(n, f"text {n}") for n in range(1, 5)))
    path = export(day if alone else everything(chat(said(1, "a"), id=4), day))
    text = path.read_bytes()
    path.write_bytes(text[: text.rindex(b'"text"')])
    found = items(path)
    assert bodies(found) == [*([] if alone else ["a"]), "text 1", "text 2", "text 3"]
    tally = Tally()
    list(tally.watch(found))
    assert tally.lost == 1
    assert ("file", "broken behind this", "result.json:Lunch[2]") in skipped(found)


def test_the_escapes_that_telegram_writes_for_control_characters_are_read(export):
    path = export(chat(said(1, "MARK"), said(2, r"C:\xampp"), said(3, "\\" * 7 + "x1F")))
    path.write_bytes(path.read_bytes().replace(b"MARK", rb"a\x1Fb"))
    assert bodies(items(path)) == ["a\x1fb", r"C:\xampp", "\\" * 7 + "x1F"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["message", "service", "1577836800", "2020-01-01T00:00:00", "🎉", "\x00"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "href", "emoji", "recent", "from", "from_id", "date"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
FIELDS = (
    "from from_id actor actor_id members message_id reply_to_message_id edited_unixtime edited "
    "date text_entities photo file media_type sticker_emoji location_information "
    "contact_information poll forwarded_from reply_to_peer_id"
)
ENTRY = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["message", "service"]) | JSON,
        "date_unixtime": st.sampled_from(["1577836800", "1577836801"]) | JSON,
    },
    optional={
        "id": st.integers(1, 3) | JSON,
        "text": st.text() | JSON,
        "action": st.sampled_from(["invite_members", "join_group_by_link", "topic_created"]) | JSON,
        "reactions": st.lists(JSON) | JSON,
        **dict.fromkeys(FIELDS.split(), JSON),
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ENTRY | JSON, max_size=4), JSON, JSON)
def test_any_json_is_read_and_fit_to_be_sent(entries, name, own_id):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        content = chat(*entries, name=name, id=own_id)
        path.write_text(json.dumps(content))
        tally = Tally()
        for item in tally.watch(telegram.read([path], channel="any")):
            assert decode(encode(item), item.channel) == item
        assert tally.messages.total() <= len(entries)


def test_memory_stays_flat_however_large_the_file(tmp_path):
    path = tmp_path / "large.json"
    with path.open("w", encoding="utf-8") as file:
        file.write('{"chats": {"list": [')
        for group in range(2):
            head = json.dumps({"name": "Lunch", "type": "private_group", "id": group})
            file.write("," * bool(group) + head[:-1] + ', "messages": [')
            for number in range(4000):
                line = json.dumps(said(number, "hello there, how are you? " * 40))
                file.write("," * bool(number) + line)
            file.write("]}")
        file.write("]}}")
    assert path.stat().st_size > 8_000_000
    tracemalloc.start()
    try:
        assert sum(isinstance(item, Message) for item in telegram.read([path])) == 8000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


# Data made by hand elsewhere


@needs_data
def test_the_minimal_export_of_the_data_set_is_read_whole():
    found = items(DATA / "telegram_single_export.json", channel="talk")
    raw = json.loads((DATA / "telegram_single_export.json").read_bytes())["messages"]
    assert not skipped(found)
    assert [(m.author, m.sent_ms) for m in messages(found)] == [
        (entry["from"], int(entry["date_unixtime"]) * 1000) for entry in raw
    ]
    first, second = messages(found)
    assert first.body == raw[0]["text"]
    assert second.body == "".join(part["text"] for part in raw[1]["text"])
