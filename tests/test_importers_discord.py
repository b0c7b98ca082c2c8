from __future__ import annotations

import json
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.errors import ChannelNameError, ImportFormatError, InputError
from chatkit.importers import SPLIT, Item, Mended, Skipped, Tally, discord
from chatkit.message import (
    BODY_LIMIT,
    Edit,
    Join,
    Leave,
    Message,
    Pin,
    React,
    decode,
    encode,
)

START_MS = 1_577_836_800_000  # 2020-01-01
EPOCH_MS = 1_420_070_400_000
GUILD = {"id": "900", "name": "Workshop", "iconUrl": ""}
GENERAL = {
    "id": str((START_MS - 1000 - EPOCH_MS) << 22),
    "type": "GuildTextChat",
    "categoryId": "7",
    "category": "Talk",
    "name": "general",
    "topic": "about all",
}
ANA = {"id": "11", "name": "ana", "discriminator": "0000", "nickname": "Ana", "isBot": False}
BEN = {"id": "12", "name": "ben", "discriminator": "0000", "nickname": "Ben", "isBot": False}
CLEO = {"id": "13", "name": "cleo", "discriminator": "0007", "nickname": "Cleo", "isBot": True}

Write = Callable[..., Path]


def snowflake(number: int) -> str:
    """Return the id of a message of so many seconds after the start."""
    return str((START_MS + number * 1000 - EPOCH_MS) << 22)


def said(number: int, content: str = "", **more: Any) -> dict[str, Any]:
    minutes, seconds = divmod(number, 60)
    return {
        "id": snowflake(number),
        "type": "Default",
        "timestamp": f"2020-01-01T00:{minutes:02}:{seconds:02}+00:00",
        "timestampEdited": None,
        "isPinned": False,
        "content": content,
        "author": ANA,
        "attachments": [],
        "embeds": [],
        "reactions": [],
        "mentions": [],
        **more,
    }


@pytest.fixture
def export(tmp_path: Path) -> Write:
    """Return a function that writes the file of a channel."""

    def write(
        *entries: Any, file: str = "general.json", guild: Any = GUILD, channel: Any = GENERAL
    ) -> Path:
        content = {
            "guild": guild,
            "channel": channel,
            "dateRange": {"after": None, "before": None},
            "messages": list(entries),
            "messageCount": len(entries),
        }
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")
        return path

    return write


def items(*paths: Path, **more: Any) -> list[Item]:
    return list(discord.read(paths, **more))


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


def test_a_message_keeps_author_text_time_and_source(export):
    (message,) = items(export(said(61, "good morning\nall")))
    assert isinstance(message, Message)
    assert (message.channel, message.author, message.body) == (
        "general",
        "Ana",
        "good morning\nall",
    )
    assert (message.sent_ms, message.source) == (START_MS + 61_000, "discord")
    assert (message.bot, message.reply_to) == (False, None)


def test_times_with_an_offset_and_a_fraction_are_exact(export):
    path = export(
        said(1, "x", timestamp="2020-01-01T05:30:01.1239999+05:30"),
        said(2, "y", timestamp="2020-01-01T00:00:02"),
        said(3, "z", timestamp=None),
    )
    times = [message.sent_ms - START_MS for message in messages(items(path))]
    assert times == [1123, 2000, 3000]  # without an offset, the id tells


def test_replies_are_kept_within_the_channel_alone(export):
    def answering(number: int, **reference: Any) -> dict[str, Any]:
        reference = {"messageId": snowflake(1), "channelId": GENERAL["id"], **reference}
        return said(number, "yes", type="Reply", reference=reference)

    first, *others = messages(
        items(
            export(
                said(1, "coffee?"),
                answering(2),
                answering(3, channelId="5"),
                answering(4, messageId=None),
                answering(5, type="Forward"),
            )
        )
    )
    assert [other.reply_to for other in others] == [first.id, None, None, None]


def test_an_edit_has_the_present_text_and_its_own_time(export):
    found = items(export(said(1, "now", timestampEdited="2020-01-01T00:10:00+00:00")))
    (message,), (edit,) = messages(found), events(found, Edit)
    assert (edit.target, edit.actor, edit.body) == (message.id, message.author, message.body)
    assert edit.at_ms == START_MS + 600_000


def test_everybody_who_reacted_gets_an_event_and_missing_ones_a_note(export):
    def reaction(name: str, count: int, *users: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"emoji": {"id": "", "name": name, **more}, "count": count, "users": list(users)}

    found = items(
        export(
            said(
                1,
                "cake",
                reactions=[
                    reaction("🎉", 2, ANA, BEN),
                    reaction("blob_wave", 3, BEN, id="77"),
                    {"emoji": {"name": "👀"}, "count": 1},
                ],
            )
        )
    )
    (message,) = messages(found)
    reacts = events(found, React)
    assert [(r.emoji, r.actor) for r in reacts] == [
        ("🎉", "Ana"),
        ("🎉", "Ben"),
        ("blob_wave", "Ben"),
    ]
    assert {react.target for react in reacts} == {message.id}
    assert len({react.id for react in reacts}) == 3
    assert skipped(found) == [
        ("reaction", "who reacted is not told", "general.json[0]"),
        ("reaction", "who reacted is not told", "general.json[0]"),
    ]


def test_a_pin_has_who_and_when_from_the_notice(export):
    notice = {"type": "ChannelPinnedMessage", "author": BEN}
    found = items(
        export(
            said(1, "rules", isPinned=True),
            said(2, "old rules"),
            said(3, "hello", isPinned=True),
            said(9, "Pinned a message.", reference={"messageId": snowflake(1)}, **notice),
            said(10, "Pinned a message.", reference={"messageId": snowflake(2)}, **notice),
        )
    )
    rules, _, hello = messages(found)
    first, second = events(found, Pin)
    assert (first.target, first.actor, first.at_ms) == (rules.id, "Ben", START_MS + 9000)
    assert (second.target, second.actor, second.at_ms) == (hello.id, "Ana", START_MS + 3000)
    assert mended(found) == ["who pinned it is not told"]
    assert skipped(found) == [("entry", "pinned what is not pinned any more", "general.json[4]")]


def test_joining_and_leaving_are_events_and_other_notices_are_skipped_by_type(export):
    found = items(
        export(
            said(1, "Joined the server.", type="GuildMemberJoin"),
            said(2, "Added Ben to the group.", type="RecipientAdd", mentions=[BEN]),
            said(3, "Removed Ben from the group.", type="RecipientRemove", mentions=[BEN]),
            said(4, "Left the group.", type="RecipientRemove", mentions=[ANA]),
            said(5, "Started a call.", type="Call"),
            said(6, "", type="8"),
        )
    )
    assert [(join.actor, join.at_ms) for join in events(found, Join)] == [
        ("Ana", START_MS + 1000),
        ("Ben", START_MS + 2000),
    ]
    assert [leave.actor for leave in events(found, Leave)] == ["Ben", "Ana"]
    assert [reason for _, reason, _ in skipped(found)] == ["Call", "type 8"]


def test_files_stickers_and_forwarded_texts_are_in_the_body(export):
    url = "https://cdn.example/1/plan.pdf"
    path = export(
        said(1, "see", attachments=[{"url": f"{url}?ex=1&hm=key", "fileName": "plan [1].pdf"}]),
        said(2, "", attachments=[{"url": "general_Files/cat.png", "fileName": "cat.png"}]),
        said(3, "", stickers=[{"name": "wave"}]),
        said(4, "", forwardedMessage={"content": "far away"}),
        said(5, ""),
    )
    found = items(path)
    assert bodies(found) == [f"see\n[plan \\[1\\].pdf]({url})", "cat.png", ":wave:", "far away"]
    assert skipped(found) == [("entry", "no text", "general.json[4]")]


def test_embeds_count_where_a_bot_wrote_them_or_nothing_else_is_there(export):
    embed = {
        "title": "Build 7",
        "url": "https://ci.example/7",
        "description": "all green",
        "fields": [{"name": "took", "value": "3 s"}],
    }
    text = "[Build 7](https://ci.example/7)\nall green\ntook: 3 s"
    found = messages(
        items(
            export(
                said(1, "look https://ci.example/7", embeds=[embed]),
                said(2, "", embeds=[embed]),
                said(3, "done", embeds=[embed], author=CLEO),
            )
        )
    )
    assert [m.body for m in found] == ["look https://ci.example/7", text, f"done\n{text}"]
    assert [m.bot for m in found] == [False, False, True]


def test_answers_of_commands_are_messages(export):
    path = export(said(1, "pong", type="20", author=CLEO), said(2, "x", type="ContextMenuCommand"))
    assert bodies(items(path)) == ["pong", "x"]


def test_a_text_over_the_limit_becomes_several_messages(export):
    text = "word " * BODY_LIMIT
    found = items(export(said(1, text, timestampEdited="2020-01-01T00:10:00+00:00"), said(2, "x")))
    parts = messages(found)[:-1]
    assert "".join(part.body for part in parts) == text
    assert mended(found) == [SPLIT] * (len(parts) - 1)
    assert len({part.id for part in parts}) == len(parts)
    (edit,) = events(found, Edit)
    assert (edit.target, edit.body) == (parts[0].id, parts[0].body)


# Who and where


def test_two_people_with_one_nickname_are_told_apart(export):
    other = {**BEN, "nickname": "Ana"}
    third = {"id": "14", "name": "Ana", "discriminator": "0000", "nickname": "Ana"}
    path = export(
        said(1, "a"), said(2, "b", author=other), said(3, "c", author=third), said(4, "d")
    )
    assert [m.author for m in messages(items(path))] == ["Ana", "ben", "Ana (14)", "Ana"]


def test_authors_without_a_nickname_go_by_name_and_number(export):
    path = export(
        said(1, "a", author={**CLEO, "nickname": ""}),
        said(2, "b", author={"id": "15"}),
        said(3, "c", author=None),
    )
    assert [m.author for m in messages(items(path))] == ["cleo#0007", "15", "unknown"]


def test_channels_tell_name_topic_age_and_whether_they_were_private(export):
    export()
    thread = {**GENERAL, "id": "8", "type": "GuildPublicThread", "name": "Lunch", "topic": None}
    export(file="lunch.json", channel={**thread, "category": "general"})
    direct = {"id": "9", "type": "DirectTextChat", "name": "ben"}
    path = export(file="ben.json", channel=direct, guild={"id": "0", "name": "Direct Messages"})
    ben, general, lunch = discord.channels([path.parent])
    assert (general.name, general.description) == ("general", "about all")
    assert general.created_ms == START_MS - 1000
    assert (lunch.name, lunch.source_name) == ("lunch", "Lunch")
    assert lunch.description == "A thread of general"
    assert (ben.private, general.private) == (True, False)


def test_two_channels_with_one_name_are_told_apart_and_the_older_keeps_it(export):
    newer = {**GENERAL, "id": str(int(GENERAL["id"]) + 1)}
    one = export(said(1, "new"), file="a.json", channel=newer)
    two = export(said(1, "old"), file="b.json")
    found = items(one, two)
    assert {m.body: m.channel for m in messages(found)} == {
        "old": "general",
        "new": f"general-{newer['id']}",
    }
    assert mended(found) == ["channel has another name here"]
    assert len({m.id for m in messages(found)}) == 2


def test_a_channel_name_can_be_given_for_one_channel(export):
    one = export(said(1, "x"))
    (message,) = items(one, channel="talk")
    assert message.channel == "talk"
    assert [c.name for c in discord.channels([one], channel="talk")] == ["talk"]
    two = export(said(1, "y"), file="b.json", channel={**GENERAL, "id": "5", "name": "b"})
    with pytest.raises(InputError, match="2 channels"):
        discord.read([one, two], channel="talk")
    with pytest.raises(ChannelNameError):
        discord.channels([one], channel="No Name")


# Several files, and again


def test_ids_stay_over_two_runs_and_two_exports_that_overlap(export):
    day = [said(number, f"text {number}") for number in range(6)]
    first = items(export(*day[:4]))
    assert first == items(export(*day[:4]))
    second = items(export(*day[2:], file="later.json"))
    assert {m.body: m.id for m in messages(first + second)}.keys() == {
        f"text {n}" for n in range(6)
    }
    assert len({m.id for m in messages(first + second)}) == 6


def test_files_of_one_channel_are_merged_and_doubles_taken_once(export):
    day = [said(number, f"text {number}") for number in range(6)]
    day[3]["isPinned"] = True
    edited = {**day[3], "content": "better", "timestampEdited": "2020-01-01T00:10:00+00:00"}
    one = export(day[0], day[3], day[5], file="z.json")
    two = export(day[1], day[2], edited, day[4], file="a.json")
    found = items(one, two)
    assert bodies(found) == [f"text {n}" for n in range(6)]
    assert skipped(found) == [("entry", "in a file before", "a.json[2]")]
    assert [edit.body for edit in events(found, Edit)] == ["better"]
    assert len(events(found, Pin)) == 1
    assert items(two, one) == found


def test_a_file_with_the_newest_first_is_turned_round(export):
    path = export(*(said(number, f"text {number}") for number in reversed(range(5))))
    found = items(path)
    assert bodies(found) == [f"text {n}" for n in range(5)]
    assert found == items(export(*(said(number, f"text {number}") for number in range(5))))


# Broken and odd files


@pytest.mark.parametrize("function", [discord.read, discord.channels])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02\xff" * 100,
        b"[]",
        b'{"a": 1}',
        b'{"messages": [{"id": "1"}]}',
        b'{"guild": {"id": "1"}, "channel": {"name": "x"}, "messages": []}',
        b'{"guild": {"id"',
        b"[" * 100_000,
        b"31/01/20, 14:05 - ana: hello",
    ],
)
def test_what_is_no_export_is_refused_at_once(tmp_path, function, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ImportFormatError, match=r"x\.json is no channel .*format Json"):
        function([path])


def test_paths_that_lead_nowhere_are_refused(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        discord.read([tmp_path / "nothing.json"])
    with pytest.raises(InputError, match=r"No \*\.json"):
        discord.read([tmp_path])
    with pytest.raises(InputError, match="at least one"):
        discord.read([])


def test_other_files_in_a_folder_are_skipped(export, tmp_path):
    export(said(1, "x"), file="all/a.json")
    (tmp_path / "all" / "other.json").write_text('{"a": [1]}')
    (tmp_path / "all" / "torn.json").write_text('{"guild": {')
    found = items(tmp_path / "all")
    assert bodies(found) == ["x"]
    notes = [item for item in found if isinstance(item, Skipped)]
    assert [(note.file, note.lost) for note in notes] == [
        ("other.json", False),
        ("torn.json", True),
    ]
    (tmp_path / "all" / "a.json").unlink()
    with pytest.raises(ImportFormatError, match="No file there"):
        discord.channels([tmp_path / "all"])


@pytest.mark.parametrize("newest_first", [False, True])
def test_what_is_before_a_tear_is_kept_and_the_rest_is_lost(export, newest_first):
    day = [said(number, f"text {number}") for number in range(5)]
    path = export(*(reversed(day) if newest_first else day))
    text = path.read_bytes()
    path.write_bytes(text[: text.rindex(b'"content"')])
    found = items(path)
    assert bodies(found) == [f"text {n}" for n in (range(1, 5) if newest_first else range(4))]
    tally = Tally()
    list(tally.watch(found))
    assert tally.lost == 1
    assert tally.skipped["file", "broken behind this"] == 1


def test_a_mark_at_the_beginning_and_odd_escapes_are_read(export):
    path = export(said(1, r"C:\xampp"), said(2, "MARK"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"MARK", rb"a\x1Fb"))
    assert bodies(items(path)) == [r"C:\xampp", "a\x1fb"]


def test_broken_entries_are_skipped_with_reason_and_position(export):
    path = export(None, "text", {}, said(1, "x", id="-1"), said(1, "x", id="9" * 30), said(2, "ok"))
    found = items(path)
    assert bodies(found) == ["ok"]
    assert [reason for _, reason, _ in skipped(found)] == ["not an object"] * 2 + [
        "no id of Discord's"
    ] * 3


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["Default", "Reply", "1", "2020-01-01T00:00:00+00:00", "🎉", "\x00", "\x85"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "nickname", "url", "title", "messageId", "isBot"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {"id": st.integers(0, 2**64 + 9).map(str) | JSON},
    optional={
        "type": st.sampled_from(["Reply", "GuildMemberJoin", "RecipientRemove", "Call"]) | JSON,
        "content": st.text() | JSON,
        "reactions": st.lists(
            st.fixed_dictionaries({"emoji": JSON, "users": st.lists(JSON) | JSON, "count": JSON})
        )
        | JSON,
        **dict.fromkeys(("author", "timestamp", "timestampEdited", "attachments"), JSON),
        **dict.fromkeys(("embeds", "reference", "forwardedMessage", "mentions", "stickers"), JSON),
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ENTRY | JSON, max_size=4), JSON)
def test_any_json_is_read_counted_and_fit_to_be_sent(entries, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        head = {"guild": {"id": "1", "name": name}, "channel": {"id": "2", "name": name}}
        path.write_text(json.dumps({**head, "messages": entries}))
        tally = Tally()
        for item in tally.watch(discord.read([path])):
            assert decode(encode(item), item.channel) == item
        assert tally.entries == len(entries)


def test_memory_stays_flat_however_large_the_file(tmp_path):
    path = tmp_path / "large.json"
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps({"guild": GUILD, "channel": GENERAL})[:-1] + ', "messages": [')
        for number in range(8000):
            entry = said(0, "hello there, how are you? " * 40, id=str((number + 1) << 22))
            file.write("," * bool(number) + json.dumps(entry))
        file.write("]}")
    assert path.stat().st_size > 10_000_000
    tracemalloc.start()
    try:
        assert sum(isinstance(item, Message) for item in discord.read([path])) == 8000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
