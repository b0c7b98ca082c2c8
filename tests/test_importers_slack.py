from __future__ import annotations

import html
import json
import re
import tempfile
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.errors import ImportFormatError
from chatkit.importers import (
    SPLIT,
    Item,
    Mended,
    Skipped,
    Tally,
    author_name,
    channel_name,
    slack,
    split_body,
    stable_id,
)
from chatkit.importers.slack import files as slack_files
from chatkit.message import BODY_LIMIT, Event, Join, Leave, Message, React, decode, encode

DATA = Path(__file__).parents[2] / "shared" / "data" / "slack_houstondatavis"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the Slack data set is not in {DATA}")

# Written down from the data's description, not computed.
PEOPLES_MESSAGES = {
    "general": 403,
    "datajam": 146,
    "get_feedback": 135,
    "meetup-": 74,
    "tools": 62,
    "examples": 58,
    "sci": 48,
    "readings": 34,
    "team-d3": 21,
    "datasets": 17,
    "talks": 16,
    "sponsors": 8,
    "tutorials": 5,
    "design-thinking": 2,
    "organizations": 2,
}

ADA = {"id": "U0ADA0001", "name": "ada", "team_id": "T0TEAM", "real_name": "Ada L."}
BEN = {
    "id": "U0BEN0001",
    "name": "ben.b",
    "team_id": "T0TEAM",
    "profile": {"display_name": "Ben"},
}
GENERAL = {
    "id": "C0GENERAL",
    "name": "general",
    "is_general": True,
    "created": "1500000000",
    "creator": "U0ADA0001",
    "purpose": {"value": "For &lt;all&gt;, see <#C0RANDOM1>"},
    "topic": {"value": "ask <@U0BEN0001>"},
}
RANDOM = {"id": "C0RANDOM1", "name": "random", "created": 1500000001, "creator": "U0GONE001"}

Write = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Write:
    """Return a function that writes an export: file name without ``.json`` -> content."""

    def write(
        files: dict[str, Any] | None = None,
        *,
        users: Any = (ADA, BEN),
        channels: Any = (GENERAL, RANDOM),
        root: str = "export",
    ) -> Path:
        for name, content in {"users": users, "channels": channels, **(files or {})}.items():
            if content is None:
                continue
            file = tmp_path / root / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                file.write_bytes(content)
            else:
                file.write_text(json.dumps(content), encoding="utf-8")
        return tmp_path / root

    return write


@pytest.fixture
def one(export: Write) -> Callable[..., list[Item]]:
    """Return a function that reads an export with these entries in one day of ``general``."""

    def read_one(*entries: Any, **more: Any) -> list[Item]:
        return list(slack.read(export({"general/2020-01-01": list(entries)}, **more)))

    return read_one


def said(text: Any, ts: str = "1577836800.000100", **more: Any) -> dict[str, Any]:
    return {"type": "message", "user": "U0ADA0001", "text": text, "ts": ts, **more}


def messages(items: list[Item]) -> list[Message]:
    return [item for item in items if isinstance(item, Message)]


def skipped(items: list[Item]) -> list[tuple[str, str, str]]:
    return [(i.what, i.reason, i.where) for i in items if isinstance(i, Skipped)]


def mended(items: list[Item]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Mended)]


def bodies(items: list[Item]) -> list[str]:
    return [message.body for message in messages(items)]


# What becomes of an entry


def test_an_entry_becomes_a_message_with_its_time_author_and_source(one):
    (message,) = one(said("hello", "1433558207.000002"))
    assert message.channel == "general"
    assert message.author == "ada"
    assert message.body == "hello"
    assert message.sent_ms == 1433558207000
    assert message.source == "slack"
    assert not message.bot
    assert message.reply_to is None


@pytest.mark.parametrize(
    ("ts", "ms"),
    [
        ("1433558207.999999", 1433558207999),
        ("1433558207.0015", 1433558207001),
        ("1433558207", 1433558207000),
        ("0.001", 1),
        ("99999999999.999999", 99999999999999),
    ],
)
def test_times_are_exact_to_the_millisecond(one, ts, ms):
    (message,) = one(said("x", ts))
    assert message.sent_ms == ms


def test_a_ts_that_is_a_number_is_read_by_its_digits(export):
    day = b'[{"type": "message", "user": "U0ADA0001", "text": "x", "ts": 1433558207.000100}]'
    (as_number,) = slack.read(export({"general/2020-01-01": day}))
    (as_text,) = slack.read(
        export({"general/2020-01-01": [said("x", "1433558207.000100")]}, root="b")
    )
    assert as_number == as_text


def test_messages_come_oldest_first_by_exact_ts_over_all_days(export):
    path = export(
        {
            "general/2020-01-02": [said("d", "1577923200.000000")],
            "general/2020-01-01": [
                said("c", "1577836801.000000"),
                said("b", "1577836800.000010"),
                said("a", "1577836800.000009"),
            ],
        }
    )
    assert bodies(list(slack.read(path))) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "subtype", ["file_share", "file_comment", "me_message", "bot_message", "thread_broadcast"]
)
def test_what_people_or_bots_wrote_is_a_message(one, subtype):
    (message,) = one(said("x", subtype=subtype))
    assert message.body == "x"
    assert message.bot == (subtype == "bot_message")


@pytest.mark.parametrize(
    ("subtype", "kind"),
    [
        ("channel_join", Join),
        ("group_join", Join),
        ("channel_leave", Leave),
        ("group_leave", Leave),
    ],
)
def test_joining_and_leaving_are_events(one, subtype, kind):
    (event,) = one(said("<@U0ADA0001> did", "1577836800.000100", subtype=subtype))
    assert type(event) is kind
    assert (event.actor, event.at_ms, event.target) == ("ada", 1577836800000, None)
    assert event.source == "slack"


def test_other_subtypes_are_skipped_by_their_name(one):
    items = one(said("x", "1.1", subtype="channel_topic"), said("y", "1.2", subtype="no\nsuch"))
    assert skipped(items) == [
        ("entry", "channel_topic", "general/2020-01-01.json[0]"),
        ("entry", "no such", "general/2020-01-01.json[1]"),
    ]


def test_each_user_under_each_emoji_is_a_react_event_of_the_messages_time(one):
    items = one(
        said(
            "x",
            reactions=[
                {"name": "+1", "users": ["U0ADA0001", "U0BEN0001", "U0ADA0001"], "count": 2},
                {"name": "clap::skin-tone-3", "users": ["U0GONE001"], "count": 1},
            ],
        )
    )
    message, *reacts = items
    assert [(r.emoji, r.actor) for r in reacts] == [
        ("+1", "ada"),
        ("+1", "Ben"),
        ("clap::skin-tone-3", "U0GONE001"),
    ]
    assert {(r.target, r.at_ms, r.channel) for r in reacts} == {
        (message.id, message.sent_ms, "general")
    }
    assert len({item.id for item in items}) == 4


def test_reactions_that_nobody_can_be_named_for_are_skipped_with_a_reason(one):
    items = one(
        said("a", "1.1", reactions=[{"name": "+1", "users": ["U0ADA0001"], "count": 7}]),
        said("b", "1.2", subtype="channel_join", reactions=[{"name": "+1", "users": ["U"]}]),
        said("c", "1.3", reactions=[{"name": "e" * 65, "users": ["U0ADA0001"]}]),
    )
    assert [(what, reason) for what, reason, _ in skipped(items)] == [
        ("reaction", "who reacted is not told"),
        ("reaction", "reaction to what is no message"),
        ("reaction", "breaks a rule of the wire format"),
    ]
    assert len([item for item in items if isinstance(item, React)]) == 1


def test_an_edited_message_has_its_last_wording_and_no_edit_event(one):
    (message,) = one(said("final", edited={"user": "U0ADA0001", "ts": "1577836900.000000"}))
    assert message.body == "final"


def test_a_reply_points_at_the_message_that_began_the_thread(one):
    parent, reply, broadcast = one(
        said("parent", "1.000100", thread_ts="1.000100"),
        said("reply", "2.000100", thread_ts="1.000100"),
        said("both", "3.000100", thread_ts="1.000100", subtype="thread_broadcast"),
    )
    assert parent.reply_to is None
    assert reply.reply_to == broadcast.reply_to == parent.id


# Ids


def test_ids_depend_on_workspace_channel_and_ts_only(export):
    def ids(root: str, **more: Any) -> list[str]:
        day = [said("x", reactions=[{"name": "+1", "users": ["U0BEN0001"]}])]
        path = export({"general/2020-01-01": day, **more.pop("files", {})}, root=root, **more)
        return [item.id for item in slack.read(path) if not isinstance(item, Skipped | Mended)]

    first = ids("first")
    assert first == ids("another_folder")
    later = ids("later", users=(BEN, {"id": "U1NEW", "team_id": "T1GUEST", "name": "new"}, ADA))
    assert first == later
    assert first == ids("renamed_user", users=({**ADA, "name": "countess"}, BEN))
    assert first != ids("other", channels=({**GENERAL, "id": "C1GENERAL"},))
    assert all(uuid.UUID(own_id).version == 5 for own_id in first)


def test_an_id_is_the_same_for_ever(one):
    (message,) = one(said("x", "1433558207.000002"))
    assert message.id == stable_id("slack", "C0GENERAL", "general", "1433558207.000002")
    # Written down once: a change here would make every import add everything again.
    assert message.id == "7f02c40e-e0ff-5ab6-8c98-0a8a81fadab6"


@pytest.mark.parametrize(
    ("users", "channels", "workspace"),
    [
        ((ADA,), (RANDOM, GENERAL), "C0GENERAL"),
        ((ADA, BEN, {"id": "U3", "team_id": "T1"}), ({**GENERAL, "is_general": False},), "T0TEAM"),
        (None, ({**GENERAL, "is_general": False}, RANDOM), "C0GENERAL"),
        (None, None, ""),
    ],
)
def test_the_workspace_is_known_by_general_else_by_team_else_by_its_oldest_channel(
    one, users, channels, workspace
):
    items = one(said("x", "5.5"), users=users, channels=channels)
    (message,) = messages(items)
    assert message.id == stable_id("slack", workspace, "general", "5.5")
    assert ("nothing names the workspace" in mended(items)) == (workspace == "")


# Authors


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"profile": {"display_name": "Zoë"}, "name": "zoe"}, "Zoë"),
        ({"profile": {"display_name": " "}, "name": "zoe", "real_name": "Zoë Z."}, "zoe"),
        ({"profile": None, "name": None, "real_name": "Zoë Z."}, "Zoë Z."),
        ({"profile": {"real_name": "Zoë Z."}}, "Zoë Z."),
        ({"name": "R&amp;D"}, "R&D"),
        ({"name": " a\n\tb\u200b\u00a0c "}, "a b c"),
        ({"name": "n" * 70}, "n" * 64),
        ({}, "U0ZOE0001"),
    ],
)
def test_an_author_has_the_name_that_people_see_in_a_form_that_fits(one, user, name):
    user = {"id": "U0ZOE0001", **user}
    (message,) = one(said("x", user="U0ZOE0001"), users=[user])
    assert message.author == name


def test_users_of_one_name_are_told_apart_by_their_ids(one):
    users = [
        {"id": "U2", "name": "sam"},
        {"id": "U1", "name": "sam"},
        {"id": "U3", "name": "sam (U1)"},
        {"id": "U4", "name": "s" * 64},
        {"id": "U5", "name": "s" * 64},
    ]
    entries = [said("x", f"{n}.1", user=f"U{n}") for n in range(1, 6)]
    authors = [message.author for message in one(*entries, users=users)]
    assert authors[:3] == ["sam (U1)-2", "sam (U2)", "sam (U1)"]
    assert len(set(authors)) == 5
    assert authors == [message.author for message in one(*entries, users=users[::-1])]


def test_an_entry_without_user_has_the_author_that_it_tells_elsewhere(one):
    items = one(
        said("a", "1.1", user=None, subtype="file_comment", comment={"user": "U0BEN0001"}),
        said("b", "1.2", user=None, subtype="bot_message", username="Deploy &amp; Co"),
        said("c", "1.3", user=None, subtype="bot_message", bot_id="B0BOT0001"),
        said("d", "1.4", user=None, bot_id="B0BOT0001", bot_profile={"name": "helper"}),
        said("e", "1.5", user=None),
        said("f", "1.6", user="U0GONE001"),
        said("g", "1.7", user="U0GONE001", user_profile={"display_name": "Gone"}),
    )
    assert [(m.author, m.bot) for m in messages(items)] == [
        ("Ben", False),
        ("Deploy & Co", True),
        ("B0BOT0001", True),
        ("helper", True),
        ("unknown", False),
        ("U0GONE001", False),
        ("Gone (U0GONE001)", False),
    ]
    assert Counter(mended(items)) == {"no author": 1, "author is not in users.json": 2}


def test_a_bot_can_not_pass_as_a_person(one):
    (message,) = one(said("x", user=None, subtype="bot_message", username="ada"))
    assert (message.author, message.bot) == ("ada (bot)", True)


def test_a_user_that_is_a_program_writes_as_a_bot(one):
    users = [ADA, {"id": "U0BOT", "name": "robot", "is_bot": True}]
    first, second = one(
        said("x", "1.1", user="U0BOT"), said("y", "1.2", user="USLACKBOT"), users=users
    )[::2]
    assert (first.author, first.bot) == ("robot", True)
    assert second.bot


# Texts


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("<@U0BEN0001>: hi <@U0BEN0001|old>", "@Ben: hi @Ben"),
        ("<@U0GONE001> <@U0GONE001|gone>", "@U0GONE001 @gone"),
        ("<#C0RANDOM1> <#C0RANDOM1|old> <#C0RANDOM1|>", "#random #random #random"),
        ("<#C0GONE001|gone> <#C0GONE001>", "#gone #C0GONE001"),
        ("<!channel> <!here|here> <!everyone> <!group>", "@channel @here @everyone @group"),
        ("<!subteam^S0TEAM001|@devs> <!subteam^S0TEAM001>", "@devs @S0TEAM001"),
        ("<!date^1392734382^{date}|Feb 18, 2014>", "Feb 18, 2014"),
        ("<http://a.example/x?a=1&amp;b=2>", "http://a.example/x?a=1&b=2"),
        ("<http://a.example|a.example>", "http://a.example"),
        ("<http://a.example/|http://a.example>", "http://a.example/"),
        ("<http://a.example/x|the &lt;x&gt;>", "[the <x>](http://a.example/x)"),
        ("<http://a.example/x_(y)|a [b]>", r"[a \[b\]](http://a.example/x_%28y%29)"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("<mailto:a@b.example|write>", "[write](mailto:a@b.example)"),
        ("<tel:+15550100|+15550100>", "+15550100"),
        ("a &lt; b &amp;&amp; c &gt; d", "a < b && c > d"),
        ("&amp;lt; &amp;amp; &nbsp; &copy;", "&lt; &amp; &nbsp; &copy;"),
        ("&lt;@U0BEN0001&gt; &lt;http://x|y&gt;", "<@U0BEN0001> <http://x|y>"),
        ("<http://a.example/x|&lt;@U0BEN0001&gt;>", "[<@U0BEN0001>](http://a.example/x)"),
        ("1 < 2 and <b>", "1 < 2 and <b>"),
        ("<>", "<>"),
        ("  one\n\n```two```  ", "  one\n\n```two```  "),
        ("*bold* :+1: \\ud83d", "*bold* :+1: \\ud83d"),
    ],
)
def test_markup_becomes_plain_text_and_entities_are_decoded_once(one, text, body):
    assert bodies(one(said(text))) == [body]


@pytest.mark.parametrize(
    ("entry", "body"),
    [
        ({"files": [{"title": "A &amp; B", "permalink": "http://f"}]}, "[A & B](http://f)"),
        ({"file": {"name": "a.png", "url_private": "http://f/a?t=key"}}, "[a.png](http://f/a)"),
        ({"files": [{"title": "a"}, {"id": "F2", "mode": "tombstone"}]}, "a\nF2"),
        (
            {
                "attachments": [
                    {
                        "fallback": "no",
                        "pretext": "New by <@U0BEN0001>",
                        "title": "T",
                        "title_link": "http://t",
                        "text": "a &gt; b",
                        "fields": [{"title": "State", "value": "open"}, {}],
                    }
                ]
            },
            "New by @Ben\n[T](http://t)\na > b\nState: open",
        ),
        ({"attachments": [{"fallback": "<http://x|X>", "from_url": "http://x"}]}, "[X](http://x)"),
        ({"attachments": [{"from_url": "http://x"}]}, "http://x"),
        (
            {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "<!here> up"}}]},
            "@here up",
        ),
    ],
)
@pytest.mark.parametrize("text", ["", " ", None, 5])
def test_without_a_text_the_body_tells_what_else_was_posted(one, entry, body, text):
    assert bodies(one(said(text, **entry))) == [body]


def test_with_a_text_files_and_attachments_of_the_author_are_added_but_no_previews(one):
    (message,) = one(
        said(
            "see",
            files=[{"id": "F0FILE", "title": "a.png", "permalink": "http://f/a"}],
            attachments=[{"text": "own"}, {"text": "preview", "from_url": "http://x"}],
        )
    )
    assert message.body == "see\n[a.png](http://f/a)\nown"


def test_a_file_that_the_text_links_to_is_not_added_again(one):
    text = "<@U0ADA0001|ada> uploaded a file: <http://f/F0FILE/a.png|a.png>"
    (message,) = one(
        said(text, subtype="file_share", file={"id": "F0FILE", "permalink": "http://f/F0FILE"})
    )
    assert message.body == "@ada uploaded a file: [a.png](http://f/F0FILE/a.png)"


def test_the_owner_of_a_file_that_was_commented_on_has_a_name(one):
    text = "<@U0ADA0001> commented on U0BEN0001's file <http://f|f.png>: nice"
    (message,) = one(said(text, subtype="file_comment"))
    assert message.body == "@ada commented on @Ben's file [f.png](http://f): nice"


def test_nothing_at_all_is_skipped(one):
    assert skipped(one(said(""), said(None, "1.2", files=[], attachments=[{}]))) == [
        ("entry", "no text", "general/2020-01-01.json[1]"),
        ("entry", "no text", "general/2020-01-01.json[0]"),
    ]


def test_a_text_over_the_limit_becomes_several_messages_and_loses_nothing(one):
    text = "".join(f"{n} ärger\n" for n in range(5000))
    items = one(said(text, reactions=[{"name": "+1", "users": ["U0BEN0001"]}]))
    parts = messages(items)
    assert len(parts) > 1
    assert "".join(part.body for part in parts) == text
    assert all(part.body.endswith("\n") for part in parts)
    assert len({part.id for part in parts}) == len(parts)
    assert parts[0].id == stable_id("slack", "C0GENERAL", "general", "1577836800.000100")
    (react,) = [item for item in items if isinstance(item, React)]
    assert react.target == parts[0].id
    assert mended(items) == [SPLIT] * (len(parts) - 1)
    tally = Tally()
    assert len(list(tally.watch(items))) == len(parts) + 1
    assert tally.entries == 1


@given(st.text(alphabet="ab \nä€😀", max_size=60), st.integers(1, 2000))
def test_a_split_body_fits_and_is_whole(unit, times):
    body = unit * times
    parts = split_body(body)
    assert all(len(part.encode()) <= BODY_LIMIT and part.strip() for part in parts)
    assert "".join("".join(parts).split()) == "".join(body.split())


def test_half_a_surrogate_pair_is_replaced_visibly(export):
    day = (
        rb'[{"type": "message", "user": "U0ADA0001", "ts": "1.1", '
        rb'"text": "\ud83d|\ude00\ud83d|\uD83D\uDE00|\\ud83d|\ud83d\ud83d\ude00"}]'
    )
    items = list(slack.read(export({"general/2020-01-01": day})))
    assert bodies(items) == ["\ufffd|\ufffd\ufffd|😀|\\ud83d|\ufffd😀"]
    assert mended(items) == ["halves of surrogate pairs replaced by U+FFFD"]


# Channels


def test_channels_come_with_what_is_needed_to_create_them(export):
    general, random = slack.channels(export({"general/2020-01-01": []}))
    assert (general.name, general.source_name) == ("general", "general")
    assert (general.source_id, random.source_id) == ("C0GENERAL", "C0RANDOM1")
    assert general.description == "For <all>, see #random\nask @Ben"
    assert (general.creator, general.created_ms) == ("ada", 1500000000000)
    assert not general.archived
    assert (random.creator, random.created_ms, random.description) == (
        "U0GONE001",
        1500000001000,
        "",
    )


def test_names_that_fit_stay_and_others_are_mapped_and_told_apart(export):
    names = {
        "C1": "meetup-",
        "C2": "meetup",
        "C3": "Caf\u00e9",
        "C4": "caf-",
        "C5": "caf\u00e9",
        "C6": "雑談",
        "C7": "__x",
        "C8": "y" * 90,
        "C9": "y" * 81,
    }
    records = [
        {"id": own_id, "name": name, "created": 100 + int(own_id[1])}
        for own_id, name in names.items()
    ]
    found = {c.source_id: c.name for c in slack.channels(export(channels=records))}
    assert found == {
        "C1": "meetup-",
        "C2": "meetup",
        "C3": "caf--c3",
        "C4": "caf-",
        "C5": "caf--c5",
        "C6": "c6",
        "C7": "x",
        "C8": "y" * 80,
        "C9": "y" * 55 + "-c9",
    }
    again = slack.channels(export(channels=records[::-1], root="again"))
    assert found == {c.source_id: c.name for c in again}
    assert mended(list(slack.read(export(channels=records)))) == [
        "channel has another name here"
    ] * sum(names[own_id] != name for own_id, name in found.items())


def test_a_channels_folder_is_found_in_either_unicode_form(export):
    path = export(
        {"cafe\u0301/2020-01-01": [said("x")]}, channels=[{"id": "C3", "name": "caf\u00e9"}]
    )
    (channel,) = slack.channels(path)
    assert (channel.source_id, channel.name) == ("C3", "caf-")
    assert [message.channel for message in messages(list(slack.read(path)))] == ["caf-"]


def test_private_conversations_are_left_out_unless_asked_for(export):
    path = export(
        {
            "general/2020-01-01": [said("open")],
            "board/2020-01-01": [said("closed")],
            "D0DIRECT1/2020-01-01": [said("direct")],
            "mpdm-a--b-1/2020-01-01": [said("some")],
            "groups": [{"id": "G0BOARD01", "name": "board"}],
            "dms": [{"id": "D0DIRECT1", "members": ["U0ADA0001", "U0BEN0001"]}],
        }
    )
    items = list(slack.read(path))
    assert bodies(items) == ["open"]
    assert skipped(items) == [
        ("folder", "private conversation", name) for name in ("board", "D0DIRECT1", "mpdm-a--b-1")
    ]
    assert not mended(items)
    assert [c.name for c in slack.channels(path)] == ["general", "random"]
    assert sorted(bodies(list(slack.read(path, private=True)))) == [
        "closed",
        "direct",
        "open",
        "some",
    ]
    assert {c.name for c in slack.channels(path, private=True) if c.private} == {
        "board",
        "d0direct1",
        "mpdm-a--b-1",
    }


# Broken and odd exports


def test_day_files_alone_are_read_with_folder_names_and_ids(export):
    path = export({"My Talk/2020-01-01": [said("hi <@U0BEN0001>")]}, users=None, channels=None)
    items = list(slack.read(path))
    (message,) = messages(items)
    assert (message.channel, message.author, message.body) == (
        "my-talk",
        "U0ADA0001",
        "hi @U0BEN0001",
    )
    assert "missing; names are as found" in mended(items)
    assert [c.source_name for c in slack.channels(path)] == ["My Talk"]


@pytest.mark.parametrize("function", [slack.read, slack.channels])
def test_a_folder_with_nothing_of_slack_is_refused_at_once_with_what_was_looked_for(
    tmp_path, function
):
    (tmp_path / "notes.json").write_text("[]")
    with pytest.raises(ImportFormatError, match=r"channels\.json, users\.json and day files"):
        function(tmp_path)


def test_what_is_neither_folder_nor_zip_is_refused(tmp_path):
    with pytest.raises(ImportFormatError, match="no file or folder"):
        slack.read(tmp_path / "nothing")
    (tmp_path / "export.zip").write_bytes(b"PK no zip")
    with pytest.raises(ImportFormatError, match="neither a folder nor a readable zip"):
        slack.read(tmp_path / "export.zip")


def test_an_export_one_folder_below_is_found_but_not_one_of_several(export):
    path = export({"general/2020-01-01": [said("x")]}, root="top/a")
    assert bodies(list(slack.read(path.parent))) == ["x"]
    export(root="top/b")
    with pytest.raises(ImportFormatError, match="Several Slack exports are here: a, b"):
        slack.read(path.parent)


def test_broken_files_are_skipped_with_the_reason_and_the_rest_is_read(export):
    path = export(
        {
            "general/2020-01-01": b'[{"ts": "1.1"',
            "general/2020-01-02": b'[{"ts": "1.1", "text": "\xff"}]',
            "general/2020-01-03": {"ts": "1.1"},
            "general/2020-01-04": b"[" * 100_000,
            "general/2020-01-05": b"\xef\xbb\xbf" + json.dumps([said("good")]).encode(),
            "general/2020-01-06": b"",
            "general/canvas": [],
            "users": b"no",
        }
    )
    (path / "general" / "2020-01-07.json").mkdir()
    items = list(slack.read(path))
    assert bodies(items) == ["good"]
    assert skipped(items) == [
        ("file", "not JSON", "users.json"),
        ("file", "not a day of a channel", "general/canvas.json"),
        ("file", "not JSON", "general/2020-01-01.json"),
        ("file", "not UTF-8", "general/2020-01-02.json"),
        ("file", "not a list", "general/2020-01-03.json"),
        ("file", "nested too deeply", "general/2020-01-04.json"),
        ("file", "not JSON", "general/2020-01-06.json"),
        ("file", "can't be read", "general/2020-01-07.json"),
    ]


def test_broken_entries_are_skipped_with_reason_and_position(one):
    items = one(
        None,
        "text",
        {"text": "no ts"},
        said("x", "yesterday"),
        said("x", "-1.0"),
        said("x", "1e9"),
        said("x", "9" * 40),
        said("x", ["1.1"]),
        said("good", "1.5"),
        said("twice", "1.5"),
        said("x", "1.6", type="event"),
        said("x", "1.7", subtype=7),
        users=[ADA, None, {"name": "no id"}],
        channels=[GENERAL, 7],
    )
    assert bodies(items) == ["good"]
    day = "general/2020-01-01.json"
    assert skipped(items) == [
        ("record", "not an object with an id", "users.json[1]"),
        ("record", "not an object with an id", "users.json[2]"),
        ("record", "not an object with an id", "channels.json[1]"),
        ("entry", "not an object", f"{day}[0]"),
        ("entry", "not an object", f"{day}[1]"),
        ("entry", "no ts", f"{day}[2]"),
        *(("entry", "bad ts", f"{day}[{n}]") for n in range(3, 8)),
        ("entry", "same ts as an entry before it", f"{day}[9]"),
        ("entry", "not of type message", f"{day}[10]"),
        ("entry", "subtype is no text", f"{day}[11]"),
    ]


def test_a_file_that_grows_beyond_measure_is_not_read(export, monkeypatch):
    monkeypatch.setattr(slack_files, "FILE_LIMIT", 1000)
    day = [said("x" * 1000)]
    items = list(slack.read(export({"general/2020-01-01": day}, users=None, channels=None)))
    assert [reason for what, reason, _ in skipped(items) if what == "file"] == ["over 0 MiB"]


# Zip files


def zipped(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.json")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return target


@pytest.mark.parametrize("prefix", ["", "my export/"])
def test_a_zip_gives_the_same_as_its_folder(export, tmp_path, prefix):
    path = export({"general/2020-01-01": [said("x")], "random/2020-01-01": [said("y")]})
    archive = zipped(path, tmp_path / "export.zip", prefix)
    assert list(slack.read(archive)) == list(slack.read(path))
    assert slack.channels(archive) == slack.channels(path)


def test_odd_paths_in_a_zip_lead_nowhere_and_broken_members_are_skipped(export, tmp_path):
    archive = zipped(export({"general/2020-01-01": [said("x")]}), tmp_path / "export.zip")
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("../2020-01-01.json", json.dumps([said("up")]))
        more.writestr("/etc/2020-01-01.json", json.dumps([said("root")]))
        more.writestr("random/2020-01-01.json", b"[]          MARK")
    data = archive.read_bytes().replace(b"MARK", b"KRAM", 1)
    archive.write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    items = list(slack.read(archive))
    assert bodies(items) == ["up", "x"]
    assert ("file", "can't be read", "random/2020-01-01.json") in skipped(items)
    assert sorted(tmp_path.rglob("*")) == before


# What is shared by importers


@given(st.text())
def test_author_and_channel_names_fit_whatever_the_text(text):
    name = author_name(text)
    assert name == name.strip()
    assert len(name) <= 64
    assert not name or name.isprintable()
    assert author_name(name) == name
    channel = channel_name(text)
    assert not channel or re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,79}", channel)
    assert channel_name(channel) == channel


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["1.1", "2.000200", "U0ADA0001", "<@U0ADA0001|x>", "\ud83d", "<http:|>"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "users", "text", "title", "user", "value", "count"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {"ts": st.sampled_from(["3.3", "4.4", "5.5", 6]) | JSON},
    optional={
        "subtype": st.sampled_from(["bot_message", "file_comment", "channel_join"]) | JSON,
        "reactions": st.lists(
            st.fixed_dictionaries({"name": JSON, "users": st.lists(JSON) | JSON, "count": JSON})
        )
        | JSON,
        "files": st.lists(JSON) | JSON,
        "attachments": st.lists(JSON) | JSON,
        "blocks": st.lists(JSON) | JSON,
        "text": st.text() | JSON,
        **dict.fromkeys(("user", "thread_ts", "type", "file", "comment", "username"), JSON),
        **dict.fromkeys(("bot_id", "bot_profile", "user_profile"), JSON),
    },
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ENTRY | JSON, max_size=4),
    st.lists(JSON | st.fixed_dictionaries({"id": JSON, "name": JSON, "profile": JSON}), max_size=3),
    st.lists(JSON | st.fixed_dictionaries({"id": JSON, "name": JSON, "purpose": JSON}), max_size=3),
)
def test_any_json_is_read_counted_and_fit_to_be_sent(entries, users, channels):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "general").mkdir()
        (path / "general" / "2020-01-01.json").write_text(json.dumps(entries))
        (path / "users.json").write_text(json.dumps(users))
        (path / "channels.json").write_text(json.dumps(channels))
        tally = Tally()
        for item in tally.watch(slack.read(path)):
            assert decode(encode(item), item.channel) == item
        assert tally.entries == len(entries)


# Real data


@pytest.fixture(scope="module")
def real() -> list[Item]:
    return list(slack.read(DATA))


@pytest.fixture(scope="module")
def raw() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the entries of the real export by channel and ts."""
    return {
        (file.parent.name, entry["ts"]): entry
        for file in DATA.glob("*/*.json")
        for entry in json.loads(file.read_bytes())
    }


@needs_data
def test_real_every_entry_is_accounted_for(real):
    tally = Tally()
    assert all(isinstance(item, Message | Event) for item in tally.watch(real))
    assert tally.entries == 1382
    assert tally.messages == PEOPLES_MESSAGES
    assert tally.messages.total() == 1031
    assert (tally.events["join"], tally.events["leave"]) == (320, 3)
    assert sum(n for (what, _), n in tally.skipped.items() if what == "entry") == 28
    assert tally.skipped["entry", "channel_purpose"] == 13
    assert tally.skipped["entry", "channel_archive"] == 9
    assert not tally.mended


@needs_data
def test_real_everything_can_be_sent_and_has_an_id_of_its_own(real):
    items = [item for item in real if not isinstance(item, Skipped | Mended)]
    for item in items:
        assert decode(encode(item), item.channel) == item
    assert len({item.id for item in items}) == len(items)


@needs_data
def test_real_messages_agree_with_the_json(real, raw):
    names = {u["id"]: u["name"] for u in json.loads((DATA / "users.json").read_bytes())}
    by_id = {stable_id("slack", "C061A2UGJ", channel, ts): raw[channel, ts] for channel, ts in raw}
    for message in messages(real):
        entry = by_id.pop(message.id)
        assert entry.get("subtype") in (None, "file_share", "file_comment")
        seconds, fraction = entry["ts"].split(".")
        assert message.sent_ms == int(seconds) * 1000 + int(fraction[:3])
        assert message.author == names[entry.get("user") or entry["comment"]["user"]]
        if "<" not in entry["text"]:
            assert message.body == html.unescape(entry["text"])
        for url in re.findall(r"<(https?:[^|>]+)", entry["text"]):
            assert html.unescape(url) in message.body
        for user in re.findall(r"<@(\w+)", entry["text"]):
            assert "@" + names[user] in message.body
        assert not re.search(r"<[@#!]|<https?:|&(lt|gt|amp);", message.body)
    left = Counter(entry.get("subtype") for entry in by_id.values())
    assert not left.keys() & {None, "file_share", "file_comment"}


@needs_data
def test_real_reactions_agree_with_the_json(real, raw):
    expected = sum(
        len(reaction["users"])
        for entry in raw.values()
        if entry.get("subtype") != "channel_join"
        for reaction in entry.get("reactions", ())
    )
    reacts = [item for item in real if isinstance(item, React)]
    assert len(reacts) == expected > 0
    assert {react.target for react in reacts} <= {message.id for message in messages(real)}


@needs_data
def test_real_channels_are_all_there_and_in_order_of_time(real):
    channels = slack.channels(DATA)
    assert {c.name for c in channels} == PEOPLES_MESSAGES.keys() | {"meetup"}
    assert all(c.name == c.source_name and c.creator and c.created_ms for c in channels)
    assert sum(c.archived for c in channels) == 9  # as many as entries that say so
    for channel in channels:
        times = [m.sent_ms for m in messages(real) if m.channel == channel.name]
        assert times == sorted(times)
    assert min(m.sent_ms for m in messages(real)) >= 1433558207000


@needs_data
def test_real_export_gives_the_same_from_a_zip(real, tmp_path):
    assert list(slack.read(zipped(DATA, tmp_path / "export.zip", "export/"))) == real
