from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.errors import ImportFormatError, InputError
from chatkit.importers import SPLIT, Item, Mended, Skipped, Tally, stable_id, zulip
from chatkit.importers.zulip.texts import Names, from_html, from_markdown, quoted
from chatkit.message import BODY_LIMIT, Edit, Event, Join, Leave, Message, React, encode

ANA = {"id": 8, "full_name": "Ana", "email": "ana@example.org", "is_bot": False}
BEN = {"id": 9, "full_name": "Ben", "email": "ben@example.org", "is_bot": False}
CLEO = {"id": 10, "full_name": "Cleo", "email": "cleo@example.org", "is_bot": True}
GENERAL = {
    "id": 5,
    "name": "general",
    "description": "ask @**Ben|9**",
    "date_created": 1500000000.5,
}
SECRET = {"id": 6, "name": "secret", "invite_only": True, "date_created": 1500000001.0}
REALM: dict[str, Any] = {
    "zerver_realm": [{"id": 2, "name": "Example", "date_created": 1499999999.25}],
    "zerver_userprofile": [ANA, BEN, CLEO],
    "zerver_userprofile_crossrealm": [{"id": 1, "email": "notification-bot@zulip.com"}],
    "zerver_stream": [GENERAL, SECRET],
    "zerver_recipient": [
        {"id": 50, "type": 2, "type_id": 5},
        {"id": 60, "type": 2, "type_id": 6},
        {"id": 80, "type": 1, "type_id": 8},
        {"id": 90, "type": 3, "type_id": 4},
    ],
}

Write = Callable[..., Path]
Read = Callable[..., list[Item]]


def said(own_id: Any = 1, text: Any = "hello", **more: Any) -> dict[str, Any]:
    record = {
        "id": own_id,
        "sender": 8,
        "recipient": 50,
        "subject": "tea",
        "content": text,
        "date_sent": 1577836800.5,
        "last_edit_time": None,
        "edit_history": None,
    }
    return {**record, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Write:
    """Return a function that writes files into a folder: name -> content."""

    def write(files: dict[str, Any], root: str = "export") -> Path:
        for name, content in files.items():
            file = tmp_path / root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            file.write_bytes(data)
        return tmp_path / root

    return write


@pytest.fixture
def export(folder: Write) -> Write:
    """Return a function that writes an organisation's export with these messages."""

    def write(*messages: Any, root: str = "export", files: Any = (), **tables: Any) -> Path:
        realm = {**REALM, **tables}
        found = {"realm.json": realm, "messages-000001.json": {"zerver_message": messages}}
        return folder({**found, **dict(files)}, root)

    return write


@pytest.fixture
def one(export: Write) -> Read:
    """Return a function that reads an export with these messages."""

    def read_one(*messages: Any, **more: Any) -> list[Item]:
        return list(zulip.read([export(*messages, **more)]))

    return read_one


@pytest.fixture
def archived(folder: Write) -> Read:
    """Return a function that reads what zulip-archive wrote: topic's file -> messages."""

    def read_archived(files: dict[str, Any], **streams: Any) -> list[Item]:
        index = {"streams": streams or {"general": {"id": 5, "topic_data": {"tea": {}}}}}
        return list(zulip.read([folder({"stream_index.json": index, **files})]))

    return read_archived


def messages(items: list[Item]) -> list[Message]:
    return [item for item in items if isinstance(item, Message)]


def events(items: list[Item]) -> list[Event]:
    return [item for item in items if isinstance(item, Event)]


def bodies(items: list[Item]) -> list[str]:
    return [message.body for message in messages(items)]


def skipped(items: list[Item]) -> list[tuple[str, str, str]]:
    return [(i.what, i.reason, i.where) for i in items if isinstance(i, Skipped)]


def mended(items: list[Item]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Mended)]


# What becomes of a message


def test_a_message_has_its_time_author_channel_and_source(one):
    (message,) = messages(one(said()))
    assert (message.channel, message.author, message.body) == ("general", "Ana", "**tea**\n\nhello")
    assert (message.sent_ms, message.source, message.bot) == (1577836800500, "zulip", False)


def test_an_id_is_the_same_for_ever(one):
    (message,) = messages(one(said(7)))
    assert message.id == stable_id("zulip", "2/1499999999", "general", "7")
    # Written down once: a change here would make every import add everything again.
    assert message.id == "a711c545-baca-508e-a65f-5e74ffac4b62"


def test_times_are_exact_to_the_millisecond(export):
    text = json.dumps({"zerver_message": [said(date_sent="T")]}).replace('"T"', "1577836800.999999")
    path = export(files={"messages-000001.json": text.encode()})
    assert messages(list(zulip.read([path])))[0].sent_ms == 1577836800999


def test_messages_of_old_exports_have_their_time_too(one):
    record = said()
    record["pub_date"] = record.pop("date_sent")
    assert messages(one(record))[0].sent_ms == 1577836800500


def test_messages_come_oldest_first_over_all_files(export):
    later = [said(1, "c", date_sent=30.0), said(4, "a", date_sent=10.0)]
    path = export(
        *later,
        files={"messages-000002.json": {"zerver_message": [said(2, "b", date_sent=20.0)]}},
    )
    assert bodies(list(zulip.read([path]))) == ["**tea**\n\na", "b", "c"]


def test_messages_of_one_moment_are_in_the_order_of_their_ids(one):
    assert bodies(one(said(3, "b"), said(2, "a"), said(11, "c")))[1:] == ["b", "c"]


def test_the_topic_is_told_where_it_changes(one):
    items = one(
        said(1, "a"), said(2, "b"), said(3, "c", subject="  two\nlines "), said(4, "d", subject="")
    )
    assert bodies(items) == ["**tea**\n\na", "b", "**two lines**\n\nc", "**general chat**\n\nd"]


def test_a_message_that_is_left_out_does_not_take_the_topic_with_it(one):
    items = one(said(1, "   "), said(2, "b"))
    assert bodies(items) == ["**tea**\n\nb"]
    assert skipped(items) == [("entry", "no text", "messages-000001.json[0]")]


def test_programs_write_as_bots_also_those_of_zulip_itself(one):
    items = one(said(1, sender=10), said(2, sender=1))
    assert [(m.author, m.bot) for m in messages(items)] == [
        ("Cleo", True),
        ("notification-bot", True),
    ]


def test_a_sender_who_is_not_in_the_export_is_told(one):
    items = one(said(1, sender=77), said(2, sender=None))
    assert [m.author for m in messages(items)] == ["user 77", "unknown"]
    assert mended(items) == ["author is not in realm.json", "no author"]


def test_users_of_one_name_are_told_apart(one):
    items = one(said(1), said(2, sender=9), zerver_userprofile=[ANA, {**BEN, "full_name": " Ana"}])
    assert [m.author for m in messages(items)] == ["Ana (8)", "Ana (9)"]


# Edits, reactions, replies, subscriptions, files


def test_an_edit_whose_older_text_is_known_is_an_event_with_the_newer(one):
    history = [
        {"timestamp": 1577836920, "user_id": 8, "prev_content": "two"},
        {"timestamp": 1577836910, "user_id": 9, "prev_topic": "coffee", "topic": "tea"},
        {"timestamp": 1577836900, "user_id": None, "prev_content": "one"},
    ]
    items = one(
        said(1, "three", edit_history=json.dumps(history), last_edit_time=1577836920.0),
    )
    message, *edits = items
    assert message.body == "**tea**\n\none"
    assert [(e.body, e.at_ms, e.actor, e.target) for e in edits] == [
        ("**tea**\n\ntwo", 1577836900000, "Ana", message.id),
        ("**tea**\n\nthree", 1577836920000, "Ana", message.id),
    ]
    assert len({item.id for item in items}) == 3


def test_an_edit_whose_older_text_is_not_told_has_the_text_that_there_is(one):
    message, edit = one(said(last_edit_time=1577836900.25))
    assert isinstance(edit, Edit)
    assert (edit.body, edit.at_ms) == (message.body, 1577836900250)


@pytest.mark.parametrize("history", ['[{"timestamp": 1, "prev_topic": "x"}]', [{"timestamp": 1}]])
def test_a_message_that_was_only_moved_was_not_edited(one, history):
    assert events(one(said(edit_history=history, last_edit_time=1577836900.0))) == []


def test_edits_of_a_text_over_the_size_limit_are_left_out_and_told(one):
    long = "word " * 4000
    items = one(said(1, long, edit_history=[{"timestamp": 1, "prev_content": "x"}]))
    assert mended(items) == ["edits of a text over the size limit are left out", SPLIT]
    assert "".join(bodies(items)) == f"**tea**\n\n{long}".rstrip() + " "
    assert all(len(body.encode()) <= BODY_LIMIT for body in bodies(items))


def test_reactions_are_events_of_the_messages_time(one):
    reactions = [
        {"message": 1, "user_profile": 9, "emoji_name": "+1", "emoji_code": "1f44d"},
        {"message": 1, "user_profile": 9, "emoji_name": "+1", "emoji_code": "1f44d"},
        {
            "message": 1,
            "user_profile": 8,
            "emoji_name": "flag",
            "emoji_code": "1f1e6-1f1f9",
            "reaction_type": "unicode_emoji",
        },
        {
            "message": 1,
            "user_profile": 77,
            "emoji_name": "parrot",
            "emoji_code": "12",
            "reaction_type": "realm_emoji",
        },
        {"message": 99, "user_profile": 8, "emoji_name": "x"},
        {"message": 1, "user_profile": 8},
        "nonsense",
    ]
    items = one(said(), zerver_reaction=reactions)
    (message,) = messages(items)
    found = [e for e in events(items) if isinstance(e, React)]
    assert [(r.emoji, r.actor) for r in found] == [
        ("👍", "Ben"),
        ("🇦🇹", "Ana"),
        ("parrot", "user 77"),
    ]
    assert {(r.target, r.at_ms) for r in found} == {(message.id, message.sent_ms)}
    assert skipped(items) == [
        ("reaction", "not a reaction", "realm.json[5]"),
        ("reaction", "not a reaction", "realm.json[6]"),
        ("reaction", "reaction to what is not in the export", "realm.json[4]"),
    ]


def quote(own_id: int, said_: str = "said", kind: str = "stream") -> str:
    link = f"https://chat.example.org/#narrow/{kind}/5-general/topic/tea/near/{own_id}"
    return f"@_**Ana|8** [{said_}]({link}):\n```quote\nhello\n```\nindeed"


@pytest.mark.parametrize(("said_", "kind"), [("said", "stream"), ("schrieb", "channel")])
def test_a_message_that_quotes_another_answers_it(one, said_, kind):
    first, second = messages(one(said(1), said(2, quote(1, said_, kind))))
    assert second.reply_to == first.id
    assert second.body.endswith("/near/1):\n> hello\n\nindeed")


@pytest.mark.parametrize(
    "text",
    [
        quote(99),
        quote(3),
        "see [this](https://chat.example.org/#narrow/stream/5-general/topic/tea/near/1)",
        "```\n" + quote(1),
    ],
    ids=["not there", "other channel", "a link", "code"],
)
def test_what_quotes_no_message_of_its_channel_is_no_answer(one, text):
    items = one(said(1), said(2, text), said(3, recipient=60))
    assert [message.reply_to for message in messages(items)] == [None, None]


def test_subscriptions_are_joins_and_leaves_in_their_place(one):
    def event(own_id: int, kind: Any, time: Any, **more: Any) -> dict[str, Any]:
        return {
            "id": own_id,
            "event_type": kind,
            "event_time": time,
            "modified_user": 9,
            "modified_stream": 5,
            **more,
        }

    items = one(
        said(1, date_sent=20.0),
        zerver_realmauditlog=[
            event(1, 301, 10.0),
            event(3, "subscription_activated", 40.0),
            event(2, 303, 30.5),
            event(4, 101, 30.0),
            event(5, 301, 10.0, backfilled=True),
            event(6, 301, None),
            event(7, ["x"], 1.0),
        ],
    )
    found = [i for i in items if not isinstance(i, Skipped | Mended)]
    assert [type(item) for item in found] == [Join, Message, Leave, Join]
    assert [e.at_ms for e in events(items)] == [10000, 30500, 40000]
    assert {e.actor for e in events(items)} == {"Ben"}
    assert [reason for _, reason, _ in skipped(items)] == [
        "a subscription whose time Zulip made up",
        "not a subscription",
    ]


def test_the_first_small_file_travels_and_links_stay(one):
    text = "see [a.txt](/user_uploads/2/ab/a.txt) [b](/user_uploads/2/cd/b.png) /user_uploads/2/x"
    files = {
        "uploads/2/ab/a.txt": b"tea",
        "uploads/2/cd/b.png": b"png",
        "uploads/records.json": [],
        "attachment.json": {
            "zerver_attachment": [{"path_id": "2/ab/a.txt", "file_name": "The tea.txt"}, 3]
        },
    }
    items = one(said(1, text), files=files)
    (message,) = messages(items)
    assert message.attachment is not None
    assert (message.attachment.name, message.attachment.type) == ("The tea.txt", "text/plain")
    assert message.attachment.data == b"tea"
    assert message.body.endswith(text)
    assert mended(items) == ["file stays behind, its link is kept"]
    assert skipped(items) == [("record", "not a file", "attachment.json[1]")]


def test_a_large_file_stays_behind(one):
    text = "[big](/user_uploads/2/ab/big.bin)"
    items = one(said(1, text), files={"uploads/2/ab/big.bin": bytes(1024 * 1024 + 1)})
    assert messages(items)[0].attachment is None
    assert mended(items) == ["file stays behind, its link is kept"]


def test_a_link_in_a_folder_leads_nowhere(export, tmp_path):
    (tmp_path / "own.txt").write_text("private")
    path = export(said(1, "[own.txt](/user_uploads/2/own.txt)"))
    (path / "uploads" / "2").mkdir(parents=True)
    (path / "uploads" / "2" / "own.txt").symlink_to(tmp_path / "own.txt")
    (message,) = messages(list(zulip.read([path])))
    assert message.attachment is None


# Channels


def test_channels_have_what_is_known_of_them(export):
    gone = {"id": 7, "name": "Old Café", "deactivated": True, "creator": 8}
    (general, old) = zulip.channels([export(zerver_stream=[GENERAL, SECRET, gone])])
    assert (general.name, general.source_id, general.description) == ("general", "5", "ask @Ben")
    assert general.created_ms == 1500000000500
    assert (old.name, old.source_name, old.creator) == ("old-caf-", "Old Café", "Ana")
    assert old.archived


def test_streams_of_one_name_here_are_told_apart_and_the_oldest_keeps_it(export):
    streams = [{"id": i, "name": n} for i, n in ((9, "a-b"), (3, "A b"), (2, "a b"), (4, "Ω"))]
    found = zulip.channels([export(zerver_stream=streams)])
    names = {channel.source_name: channel.name for channel in found}
    assert names == {"a-b": "a-b", "a b": "a-b-2", "A b": "a-b-3", "Ω": "stream-4"}


def test_private_conversations_are_left_out_unless_asked_for(export):
    path = export(
        said(1),
        said(2, recipient=60),
        said(3, recipient=80, sender=9),
        said(4, recipient=90),
    )
    items = list(zulip.read([path]))
    assert len(messages(items)) == 1
    assert skipped(items) == [
        ("folder", "private conversation", "secret"),
        ("folder", "private conversation", "direct messages d8-9"),
        ("folder", "private conversation", "direct messages g4"),
    ]
    found = messages(list(zulip.read([path], private=True)))
    assert [m.channel for m in found] == ["general", "secret", "dm-8-9", "dm-group-4"]
    assert found[2].body == "hello"  # there are no topics
    known = zulip.channels([path], private=True)
    assert [c.name for c in known] == ["dm-8-9", "dm-group-4", "general", "secret"]
    assert known[0].description == "Direct messages of Ana, Ben"
    assert [c.name for c in zulip.channels([path])] == ["general"]


def test_both_directions_of_direct_messages_are_one_conversation(export):
    recipients = [{"id": 80, "type": 1, "type_id": 8}, {"id": 81, "type": 1, "type_id": 9}]
    path = export(
        said(1, recipient=80, sender=9),
        said(2, recipient=81, sender=8),
        zerver_recipient=recipients,
    )
    found = messages(list(zulip.read([path], private=True)))
    assert [m.channel for m in found] == ["dm-8-9", "dm-8-9"]


# What is damaged


def test_one_bad_message_does_not_cost_the_others(one):
    items = one(
        said(1),
        "nonsense",
        said("x"),
        said(2**70),
        said(2, date_sent="yesterday"),
        said(3, date_sent=-5),
        said(4, content=None),
        said(5, content=7),
        said(6, recipient=None),
        said(7, recipient=12345),
        said(1, "again"),
        said(8, "\ud800 last\x00", subject=[1]),
    )
    assert [m.id for m in messages(items)] == [
        stable_id("zulip", "2/1499999999", "general", own_id) for own_id in ("1", "8")
    ]
    assert [reason for _, reason, _ in skipped(items)] == [
        "not an object",
        "no id",
        "no id",
        "no time",
        "no time",
        "no text",
        "no text",
        "no recipient",
        "same id as a message before it",
        "its recipient is not in realm.json",
    ]
    for item in items:
        if isinstance(item, Message | Event):
            encode(item)


def test_a_file_that_ends_in_the_middle_gives_what_came_before(export):
    whole = json.dumps({"zerver_message": [said(1), said(2), said(3)]}).encode()
    path = export(files={"messages-000001.json": whole[:-100]})
    items = list(zulip.read([path]))
    assert len(messages(items)) == 2
    (note,) = (item for item in items if isinstance(item, Skipped))
    assert (note.reason, note.where, note.lost) == (
        "not JSON to its end",
        "messages-000001.json",
        True,
    )


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"null", b"[1, 2]", b"[" * 100_000])
def test_garbage_in_a_file_costs_that_file_only(export, content):
    items = list(zulip.read([export(said(1), files={"messages-000002.json": content})]))
    assert len(messages(items)) == 1


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_no_content_of_realm_json_makes_the_importer_fail(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("garbage")
    (path / "realm.json").write_bytes(content)
    assert messages(list(zulip.read([path]))) == []


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(said(), _VALUES)))
@settings(max_examples=150, deadline=None)
def test_values_of_any_kind_give_a_message_or_a_note(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("values")
    record = {**said(), **values}
    text = json.dumps({"zerver_message": [record]}).replace("NaN", "null")
    text = text.replace("-Infinity", "null").replace("Infinity", "null")
    (path / "realm.json").write_text(json.dumps(REALM))
    (path / "messages-000001.json").write_text(text)
    items = list(zulip.read([path], private=True))
    tally = Tally()
    for item in tally.watch(items):
        encode(item)
    assert tally.entries + tally.lost >= 1


def test_an_export_that_was_not_finished_is_not_taken_for_whole(one):
    items = one(said(), files={"messages-000002.json.partial": {}})
    assert [(i.reason, i.lost) for i in items if isinstance(i, Skipped)] == [
        ("the export was not finished", True)
    ]


def test_an_empty_organisation_has_no_messages(export, folder):
    assert list(zulip.read([export()])) == []
    assert list(zulip.read([folder({"realm.json": {}}, "empty")])) == []
    assert zulip.channels([folder({"realm.json": {}}, "empty")]) == []


# Where it is


def packed(path: Path, *, first: str = "") -> Path:
    """Return a tar.gz of an export, as Zulip packs it; ``first``: the file to begin with."""
    target = path.with_suffix(".tar.gz")
    names = sorted(path.rglob("*"), key=lambda name: (name.name != first, name))
    with tarfile.open(target, "w:gz") as archive:
        for name in names:
            archive.add(name, f"zulip-export-x/{name.relative_to(path)}", recursive=False)
        link = tarfile.TarInfo("zulip-export-x/messages-000009.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return target


@pytest.mark.parametrize("first", ["realm.json", "messages-000001.json", "a.txt"])
def test_a_tar_file_gives_the_same_as_its_folder(export, first):
    path = export(
        said(1),
        said(2, quote(1) + " [a](/user_uploads/2/a.txt)"),
        zerver_reaction=[{"message": 2, "user_profile": 9, "emoji_name": "tea"}],
        files={"uploads/2/a.txt": b"tea"},
    )
    assert list(zulip.read([packed(path, first=first)])) == list(zulip.read([path]))
    assert zulip.channels([packed(path, first=first)]) == zulip.channels([path])


def test_a_tar_file_that_was_cut_off_is_told_to_be_lost(export):
    path = packed(
        export(*(said(n, uuid.uuid4().hex * 20) for n in range(1, 400))), first="realm.json"
    )
    path.write_bytes(path.read_bytes()[:-5000])
    items = list(zulip.read([path]))
    assert any(isinstance(item, Skipped) and item.lost for item in items)


def test_a_folder_around_the_export_is_looked_into(export):
    path = export(said())
    assert list(zulip.read([path.parent])) == list(zulip.read([path]))
    export(said(), root="second")
    with pytest.raises(ImportFormatError, match="Several Zulip exports"):
        zulip.read([path.parent])


def test_what_is_no_export_is_refused_at_once(tmp_path):
    (tmp_path / "user.json").write_text("{}")
    (tmp_path / "x.tar.gz").write_bytes(b"nonsense")
    for path in (tmp_path, tmp_path / "x.tar.gz", tmp_path / "missing"):
        with pytest.raises(ImportFormatError):
            zulip.read([path])
        with pytest.raises(ImportFormatError):
            zulip.channels([path])
    for paths in ([], [tmp_path, tmp_path]):
        with pytest.raises(InputError, match="one Zulip export at a time"):
            zulip.read(paths)


def test_two_runs_give_the_same_wherever_the_export_lies(export):
    def both(root: str) -> list[Item]:
        reactions = [{"message": 1, "user_profile": 9, "emoji_name": "tea"}]
        path = export(said(1, last_edit_time=2.0), root=root, zerver_reaction=reactions)
        return list(zulip.read([path]))

    assert both("first") == both("second")
    assert all(uuid.UUID(item.id).version == 5 for item in both("first"))


def many(count: int) -> Iterator[bytes]:
    yield b'{"zerver_message": ['
    for n in range(count):
        yield (b"," if n else b"") + json.dumps(said(n, f"{n} " + "word " * 100)).encode()
    yield b'], "zerver_usermessage": ['
    for n in range(count):
        yield (b"," if n else b"") + b'{"id": %d, "user_profile": 8, "flags_mask": 1}' % n
    yield b"]}"


def test_memory_stays_flat_however_large_a_file_is(export):
    small = export(said(), root="small")
    large = export(said(), root="large")
    with (large / "messages-000001.json").open("wb") as file:
        for piece in many(60_000):
            file.write(piece)
    assert (large / "messages-000001.json").stat().st_size > 40_000_000
    # In a process of its own: in this one another test may have needed more already.
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom chatkit.importers import zulip\n"
        "for path in sys.argv[1:]:\n"
        "    count = sum(1 for _ in zulip.read([Path(path)]))\n"
        "    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (first, before), (count, after) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert (first, count) == (1, 60_000)
    assert (after - before) * (1 if sys.platform == "darwin" else 1024) < 25_000_000


# zulip-archive


def kept(own_id: int = 1, text: str = "<p>hello</p>", **more: Any) -> dict[str, Any]:
    base = {"id": own_id, "content": text, "sender_full_name": "Ana", "timestamp": 1577836800}
    return {**base, **more}


def test_zulip_archive_gives_its_messages_over_all_topics_in_order(archived):
    items = archived(
        {
            "5-general/tea.json": [kept(1), kept(3, timestamp=1577836802)],
            "5-general/two.20words.3A.json": [
                kept(2, timestamp=1577836801, sender_full_name=" Ben ")
            ],
        }
    )
    assert [(m.author, m.body) for m in messages(items)] == [
        ("Ana", "**tea**\n\nhello"),
        ("Ben", "**two words:**\n\nhello"),
        ("Ana", "**tea**\n\nhello"),
    ]
    assert len(items) == 3


def test_names_of_files_of_older_versions_are_understood(archived):
    items = archived(
        {"213222general/47413hello.json": [kept(1)], "52020plans/3442020tea.json": [kept(2)]},
        general={"id": 213222, "topic_data": {"hello!": {}}},
        **{"2020 plans": {"id": 5, "topic_data": {"2020 tea": {}}}},
    )
    assert [(m.channel, m.body[:13]) for m in messages(items)] == [
        ("2020-plans", "**2020 tea**\n"),
        ("general", "**hello!**\n\nh"),
    ]


def test_messages_that_were_kept_whole_give_all_that_they_have(archived):
    whole = kept(
        2,
        "<p>three</p>",
        sender_id=9,
        sender_full_name="Ben",
        subject="coffee",
        reactions=[
            {"emoji_code": "1f44d", "emoji_name": "+1", "user_id": 8},
            {"emoji_name": "tea", "user": {"id": 7}},
            None,
        ],
        edit_history=[{"timestamp": 1577836900, "prev_rendered_content": "<p>two</p>"}],
    )
    items = archived({"5-general/tea.json": [whole]})
    message, edit, *reacts = [i for i in items if not isinstance(i, Skipped)]
    assert (message.author, message.body) == ("Ben", "**coffee**\n\ntwo")
    assert edit.body == "**coffee**\n\nthree"
    assert [(r.emoji, r.actor) for r in reacts] == [("👍", "user 8"), ("tea", "user 7")]
    assert skipped(items) == [("reaction", "not a reaction", "5-general/tea.json[0]")]


def test_a_quotation_in_zulip_archive_is_an_answer(archived):
    link = "https://chat.example.org/#narrow/stream/5-general/topic/tea/near/1"
    text = (
        '<p><span class="user-mention silent" data-user-id="8">Ana</span> '
        f'<a href="{link}">said</a>:</p>\n<blockquote>\n<p>hello</p>\n</blockquote>\n<p>yes</p>'
    )
    first, second = messages(archived({"5-general/tea.json": [kept(1), kept(2, text)]}))
    assert second.reply_to == first.id
    assert second.body == f"Ana [said]({link}):\n\n> hello\n\nyes"


def test_a_folder_that_the_index_does_not_know_is_told_to_be_lost(archived):
    items = archived({"7-gone/tea.json": [kept()], "5-general/tea.json": [kept(2)]})
    assert len(messages(items)) == 1
    assert [(i.reason, i.where, i.lost) for i in items if isinstance(i, Skipped)] == [
        ("folder of no stream in stream_index.json", "7-gone", True)
    ]


@pytest.mark.parametrize("index", [b"", b"{}", b'{"streams": 3}', b'{"streams": {"a": {}}}'])
def test_an_index_that_says_nothing_is_told(folder, index):
    path = folder({"stream_index.json": index, "5-general/tea.json": [kept()]})
    assert any(isinstance(item, Skipped) and item.lost for item in zulip.read([path]))


def test_two_archives_with_equal_numbers_do_not_share_ids(archived):
    (one,) = messages(archived({"5-general/tea.json": [kept(1)]}))
    (other,) = messages(archived({"5-general/tea.json": [kept(1, timestamp=1577836805)]}))
    assert one.id != other.id


# Texts

NAMES = Names({8: "Ana"}, {"general chat": "general-chat"})


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("@**Old name|8** @_**Old|8** @**Ben** @**all** @**|8**", "@Ana Ana @Ben @all @Ana"),
        ("@*devs* @_*devs*", "@devs devs"),
        (
            "#**general chat** #**general chat>tea** #**x>y@12**",
            "#general-chat #general-chat > tea #x > y",
        ),
        ("`@**Ana|8**` ``@*x* ` `` @*y*", "`@**Ana|8**` ``@*x* ` `` @y"),
        ("```\n@**Ana|8**\n```", "```\n@**Ana|8**\n```"),
        ("```python\nx\n```\n@*y*", "```python\nx\n```\n@y"),
        ("```quote\na\n\nb\n```\nc", "> a\n> \n> b\n\nc"),
        ("````quote\n```quote\na\n```\nb\n````", "> > a\n>\n> b"),
        ("~~~quote\n```\n~~~\n```\n~~~\nc", "> ```\n> ~~~\n> ```\n\nc"),
        ("```spoiler The end\nhe *did*\n```", "The end\nhe *did*"),
        ("```quote\nnever closed", "> never closed"),
        ("2 ** 3 ** 4 and a@b.c", "2 ** 3 ** 4 and a@b.c"),
        ("", ""),
    ],
)
def test_zulips_markdown_becomes_ours(text, plain):
    assert from_markdown(text, NAMES) == plain


@pytest.mark.parametrize(
    ("html", "plain"),
    [
        ("<p>a<br>\nb &lt;c&gt; &amp;amp;</p>\n<p>d</p>", "a\nb <c> &amp;\n\nd"),
        (
            '<p><a href="http://a.example">here</a> <a href="http://b">http://b</a></p>',
            "[here](http://a.example) http://b",
        ),
        ('<p><span class="user-mention" data-user-id="8">@Ana</span> hi</p>', "@Ana hi"),
        ('<p><a class="stream" href="/#narrow/stream/5">#general</a></p>', "#general"),
        (
            '<p><span class="emoji" title="+1">:+1:</span> <img alt=":x:" class="emoji"></p>',
            ":+1: :x:",
        ),
        ("<p><strong>a</strong> <em>b</em> <del>c</del> <code>d</code></p>", "**a** *b* ~~c~~ `d`"),
        (
            '<div class="codehilite"><pre><span></span><code>a\n  b\n</code></pre></div>',
            "```\na\n  b\n```",
        ),
        ("<ul>\n<li>a</li>\n<li>b<br>\nc</li>\n</ul>", "- a\n\n- b\n  c"),
        ("<h2>a</h2><hr><p>b</p>", "## a\n\n---\n\nb"),
        ('<p>x</p><div class="message_inline_image"><a href="http://i"><img></a></div>', "x"),
        ("<table><tr><th>a</th><td>b</td></tr></table>", "a | b"),
        (
            (
                '<p><span class="katex"><span class="katex-mathml"><math><semantics><mrow>x</mrow>'
                "<annotation>x^2</annotation></semantics></math></span>"
                '<span class="katex-html">x2</span></span></p>'
            ),
            "$$x^2$$",
        ),
        ("<script>alert(1)</script><p>a</b></p></p>", "a"),
        ("no tags & none < here", "no tags & none < here"),
        ("<p>never closed <b>x", "never closed **x**"),
    ],
)
def test_zulips_html_becomes_markdown(html, plain):
    assert from_html(html) == plain


@given(st.text(alphabet="<>/pabliquote`*_@#|\n ~=\"'&;:[]()", max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_the_converters_fail(text):
    from_html(text)
    assert quoted(from_markdown(text, NAMES)) is None


@pytest.mark.parametrize(
    "text",
    [
        "a (" * 100_000,
        "[" * 300_000,
        "@**" * 100_000,
        "`" * 300_000,
        "<p>" * 50_000,
        "\n" * 300_000,
    ],
)
def test_long_texts_take_no_longer_than_they_must(text):
    from_html(text)
    quoted(from_markdown(text, NAMES))


def test_packed_bytes_are_read_in_place(export):
    """Nothing is unpacked, so a name can't lead anywhere."""
    path = export(said())
    target = path.with_name("odd.tar")
    with tarfile.open(target, "w") as archive:
        archive.add(path / "realm.json", "../../realm.json")
        info = tarfile.TarInfo("x/realm.json")
        data = json.dumps(REALM).encode()
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    assert [c.name for c in zulip.channels([target])] == ["general"]
    assert list(zulip.read([target])) == []
