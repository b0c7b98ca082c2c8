from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import bson
import msgspec
import pytest
from bson.codec_options import CodecOptions, DatetimeConversion
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatkit.documents import (
    channel_document,
    channel_record,
    dead_letter_document,
    event_document,
    fold_update,
    mentions,
    message_document,
    received_event,
    received_message,
    searchable,
    sha256,
)
from chatkit.fold import Folded, fold
from chatkit.message import (
    Attachment,
    ChannelRecord,
    Delete,
    Edit,
    Event,
    Join,
    Message,
    Pin,
    React,
    Received,
    Unpin,
    Unreact,
    Unreadable,
)
from tests import test_message as wire

any_time = settings(deadline=None)

Document = dict[str, Any]

FIELDS = {
    "_id",
    "channel",
    "author",
    "body",
    "sent_at",
    "placed_at",
    "archived_at",
    "reply_to",
    "bot",
    "source",
    "attachment",
    "mentions",
    "search",
    "topic",
    "topic_id",
    "partition",
    "offset",
    "appended_at",
    "rev",
}
"""What each document of ``messages`` has, as the design lists it."""
NOW_AND_THEN = {
    "original",
    "edited_at",
    "deleted_at",
    "reactions",
    "reaction_count",
    "pinned_at",
}
"""What a document has only where it happened."""
PLACE = {"topic", "topic_id", "partition", "offset", "appended_at"}

APPENDED = 1_700_000_000_123
ARCHIVED = 1_700_000_000_456
READ = CodecOptions[Document](tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_CLAMP)


def stored(document: Document) -> Document:
    """Return a document as MongoDB would give it back."""
    return bson.decode(bson.encode(document), READ)


def updated(document: Document, update: Document) -> Document:
    """Return a document after an update with ``$set`` and ``$unset``."""
    assert set(update) <= {"$set", "$unset"}
    assert not set(update.get("$set", ())) & set(update.get("$unset", ())), "MongoDB refuses that"
    kept = {name: one for name, one in document.items() if name not in update.get("$unset", ())}
    return stored({**kept, **update.get("$set", {})})


def put(item: Any, ms: int = APPENDED, *, partition: int = 0, offset: int = 7) -> Received:
    return Received(
        topic="chat.general", partition=partition, offset=offset, appended_ms=ms, item=item
    )


def message(body: str = "Hello", **more: Any) -> Message:
    return Message.new("general", "ana", body, id="m1", **more)


def without_bytes(received: Received) -> Received:
    item = received.item
    if isinstance(item, Message) and item.attachment is not None:
        bare = msgspec.structs.replace(
            item.attachment,
            data=b"",
            size=len(item.attachment.data),
            sha256=hashlib.sha256(item.attachment.data).hexdigest(),
        )
        item = msgspec.structs.replace(item, attachment=bare)
    return msgspec.structs.replace(received, item=item)


def received(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Received]:
    return st.builds(
        Received,
        topic=st.just("chat.general"),
        partition=st.integers(0, 2**31 - 1),
        offset=st.integers(0, 2**63 - 1),
        appended_ms=wire.times,
        item=items,
    )


# The public format.


@pytest.mark.parametrize("attachment", [None, Attachment(name="a", type="b", data=b"x")])
def test_a_message_document_has_exactly_the_documented_fields(
    attachment: Attachment | None,
) -> None:
    document = message_document(put(message(attachment=attachment)), "T", ARCHIVED)
    assert set(document) == FIELDS


def test_a_message_document_says_what_was_sent_where_it_lies_and_when() -> None:
    one = message("Hi @ben", sent_ms=1_000, reply_to="m0", bot=True)
    assert stored(message_document(put(one, partition=3), "T", ARCHIVED)) == {
        "_id": "m1",
        "channel": "general",
        "author": "ana",
        "body": "Hi @ben",
        "sent_at": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        "placed_at": datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC),
        "archived_at": datetime(2023, 11, 14, 22, 13, 20, 456_000, UTC),
        "reply_to": "m0",
        "bot": True,
        "source": "chat",
        "attachment": None,
        "mentions": ["ben"],
        "search": "hi @ben",
        "topic": "chat.general",
        "topic_id": "T",
        "partition": 3,
        "offset": 7,
        "appended_at": datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC),
        "rev": 0,
    }


@any_time
@given(received(wire.messages()))
def test_a_document_is_placed_where_its_message_is_ordered(one: Received) -> None:
    document = message_document(one, "T", ARCHIVED)
    assert int(document["placed_at"]) == one.placed_ms


def test_an_attachment_is_told_by_name_type_size_and_sha256_without_its_bytes() -> None:
    attachment = Attachment(name="a.png", type="image/png", data=b"\x89PNG")
    document = message_document(put(message(attachment=attachment)), "T", ARCHIVED)
    digest = hashlib.sha256(b"\x89PNG").hexdigest()
    assert document["attachment"] == {
        "name": "a.png",
        "type": "image/png",
        "size": 4,
        "sha256": digest,
    }
    assert sha256(attachment) == digest


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (Edit.new("general", "ana", "m1", body="Hi"), {"type": "edit", "body": "Hi"}),
        (Delete.new("general", "ana", "m1"), {"type": "delete"}),
        (React.new("general", "ana", "m1", emoji="👍"), {"type": "react", "emoji": "👍"}),
        (Unreact.new("general", "ana", "m1", emoji="👍"), {"type": "unreact", "emoji": "👍"}),
        (Pin.new("general", "ana", "m1"), {"type": "pin"}),
        (Unpin.new("general", "ana", "m1"), {"type": "unpin"}),
        (Join.new("general", "ana"), {"type": "join", "target": None}),
    ],
)
def test_an_event_document_has_its_position_and_what_its_kind_needs(
    event: Event, fields: Document
) -> None:
    document = event_document(put(event), "T", ARCHIVED)
    common = {"_id", "type", "channel", "actor", "at", "target", "source", "archived_at"}
    assert set(document) == common | PLACE | set(fields)
    assert {name: document[name] for name in fields} == fields


def test_the_documents_of_every_kind_of_event_name_it_as_the_wire_does() -> None:
    for kind in wire.EVENTS:
        more = {"body": "x"} if kind is Edit else {"emoji": "+1"} if "eact" in kind.__name__ else {}
        event = kind.new("general", "ana", "m1", **more)
        on_the_wire = msgspec.json.decode(msgspec.json.encode(event))["type"]
        assert event_document(put(event), "T", ARCHIVED)["type"] == on_the_wire


def test_a_dead_letter_keeps_the_raw_bytes_and_its_place_is_its_id() -> None:
    letter = Unreadable(
        topic="chat.general",
        partition=2,
        offset=9,
        appended_ms=APPENDED,
        key=b"\xff",
        value=b"\x00",
        reason="Not a JSON object",
    )
    document = stored(dead_letter_document(letter, "T", ARCHIVED))
    assert document["_id"] == "T/2/9"
    assert (document["key"], document["value"]) == (b"\xff", b"\x00")
    assert set(document) == {"_id", "reason", "key", "value", "archived_at"} | PLACE
    bare = msgspec.structs.replace(letter, key=None, value=None)
    document = stored(dead_letter_document(bare, "T", ARCHIVED))
    assert (document["key"], document["value"]) == (None, None)


# There and back.


@any_time
@given(received(wire.messages()))
def test_a_message_comes_back_from_its_document_but_for_its_attachments_bytes(
    one: Received,
) -> None:
    document = message_document(one, "T", ARCHIVED)
    assert received_message(stored(document)) == without_bytes(one)


@any_time
@given(received(wire.events()))
def test_an_event_comes_back_from_its_document(one: Received) -> None:
    document = event_document(one, "T", ARCHIVED)
    assert received_event(stored(document)) == one


@any_time
@given(
    st.builds(
        ChannelRecord,
        channel=wire.channels,
        display_name=wire.texts,
        description=wire.texts,
        creator=wire.texts,
        moderators=st.lists(wire.texts, max_size=3).map(tuple),
        archived=st.booleans(),
        at_ms=wire.times,
    )
)
def test_a_channel_record_comes_back_from_its_document(record: ChannelRecord) -> None:
    document = channel_document(record, "T", 5, ARCHIVED)
    assert channel_record(stored(document)) == record
    assert (document["topic_id"], document["offset"]) == ("T", 5)


@pytest.mark.parametrize("ms", [-1, 0, 1, 253_402_300_799_999])
def test_no_time_is_rounded(ms: int) -> None:
    one = put(message(sent_ms=max(ms, 0)), ms)
    assert received_message(stored(message_document(one, "T", ARCHIVED))) == one


# What people see.

events = st.lists(
    received(
        wire.events(
            channel=st.just("general"),
            target=st.just("m1"),
            actor=st.sampled_from(["ana", "ben", "mod"]),
        )
    ),
    max_size=6,
    unique_by=lambda one: one.item.id,
)


def shown(document: Document) -> Folded:
    """Return what a document says that people see."""
    dates = {f"{name}_ms": document.get(f"{name}_at") for name in ("edited", "deleted", "pinned")}
    return Folded(
        body=document["body"],
        original=document.get("original"),
        reactions={emoji: tuple(who) for emoji, who in document.get("reactions", {}).items()},
        rev=document["rev"],
        **{name: date and round(date.timestamp() * 1000) for name, date in dates.items()},
    )


@any_time
@given(events)
def test_an_updated_document_shows_exactly_the_fold(some: list[Received]) -> None:
    one = put(message("Hello @ben", attachment=Attachment(name="a", type="b", data=b"x")))
    before = stored(message_document(one, "T", ARCHIVED))
    folded = fold(one.item, some, ["mod"])  # type: ignore[arg-type]
    after = updated(before, fold_update(folded))
    assert shown(after) == folded
    assert after["search"] == searchable(folded.body)
    assert after["mentions"] == mentions(folded.body)
    assert set(after) >= FIELDS
    happened = set(after) - FIELDS
    assert happened <= NOW_AND_THEN
    assert all(after[name] not in (None, {}) for name in happened)
    assert (after["attachment"] is None) == (folded.deleted_ms is not None)
    untouched = FIELDS - {"body", "search", "mentions", "rev", "attachment"}
    assert all(after[name] == before[name] for name in untouched)


@any_time
@given(events, st.integers(0, 6))
def test_folding_what_the_archive_holds_gives_the_same_as_folding_what_was_sent(
    some: list[Received], archived: int
) -> None:
    one = put(message("Hello", attachment=Attachment(name="a", type="b", data=b"x")))
    document = stored(message_document(one, "T", ARCHIVED))
    early = fold(one.item, some[:archived], ["mod"])  # type: ignore[arg-type]
    document = updated(document, fold_update(early))
    read_back = received_message(document).item
    late = fold(read_back, some, ["mod"])  # type: ignore[arg-type]
    assert late == fold(one.item, some, ["mod"])  # type: ignore[arg-type]
    assert shown(updated(document, fold_update(late))) == late


def test_an_edited_message_is_read_back_as_it_was_sent() -> None:
    one = put(message("first"))
    edit = put(Edit.new("general", "ana", "m1", body="second"))
    folded = fold(one.item, [edit])  # type: ignore[arg-type]
    document = updated(message_document(one, "T", ARCHIVED), fold_update(folded))
    assert document["body"] == "second"
    assert received_message(document) == one


def test_a_deletion_leaves_nothing_of_the_text_the_attachment_or_the_reactions() -> None:
    secret = "secret @ben"
    attachment = Attachment(name="secret.png", type="image/png", data=b"secret")
    one = put(message(secret, attachment=attachment))
    some = [
        put(Edit.new("general", "ana", "m1", body=secret + "!"), 1, offset=8),
        put(React.new("general", "ben", "m1", emoji="👍"), 2, offset=9),
        put(Pin.new("general", "ben", "m1"), 3, offset=10),
    ]
    document = message_document(one, "T", ARCHIVED)
    document = updated(document, fold_update(fold(one.item, some)))  # type: ignore[arg-type]
    assert set(document) == FIELDS | NOW_AND_THEN - {"deleted_at"}
    some.append(put(Delete.new("general", "ana", "m1"), 4, offset=11))
    document = updated(document, fold_update(fold(one.item, some)))  # type: ignore[arg-type]
    assert set(document) == FIELDS | {"deleted_at"}
    assert "secret" not in repr(document)
    assert "ben" not in repr(document)


def test_a_deletion_is_never_taken_back_by_an_update() -> None:
    for folded in (Folded(body=""), Folded(body="Hello", rev=9)):
        assert "deleted_at" not in fold_update(folded).get("$unset", {})


# Searching and mentions.


@pytest.mark.parametrize(
    ("body", "search"),
    [
        ("Hello", "hello"),
        ("Straße", "strasse"),
        ("ＦＵＬＬ", "full"),
        ("ﬁne", "fine"),
        ("Cafe\u0301", "caf\u00e9"),
        ("ΣΑΣ ς", "σασ σ"),
        ("½", "1\u20442"),
        ("日本", "日本"),
        ("", ""),
    ],
)
def test_text_is_searched_in_nfkc_and_without_case(body: str, search: str) -> None:
    assert searchable(body) == search


@any_time
@given(st.text(st.characters(codec="ascii")), st.text(st.characters(codec="utf-8")))
def test_a_plain_text_is_searched_the_same_among_any_others(plain: str, other: str) -> None:
    assert searchable(plain) == plain.lower()
    assert searchable(plain) in searchable(f"{other} {plain} ")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("@ben", ["ben"]),
        ("hi @ben, and @Ana-Maria.", ["ben", "Ana-Maria"]),
        ("(@ben) [@ana]", ["ben", "ana"]),
        ("@ben @ana @ben", ["ben", "ana"]),
        ("@ben. @ben- @ben", ["ben"]),
        ("@j.doe... @x-", ["j.doe", "x"]),
        ("@アナ", ["アナ"]),
        ("a\n@ben\tb", ["ben"]),
        ("ana@example.org", []),
        ("@@ben", []),
        ("a.@ben", []),
        ("@ ben", []),
        ("@", []),
        ("@-ben @.ben", []),
        ("no one", []),
        ("", []),
    ],
)
def test_mentions_are_the_names_after_an_at_sign_each_once(body: str, names: list[str]) -> None:
    assert mentions(body) == names


@any_time
@given(st.text(st.sampled_from("@.-a1_é \n"), max_size=40))
@example("@" * 5_000)
@example("@a" * 5_000)
@example("@a" + ".-" * 5_000)
def test_mentions_are_in_the_text_and_different(body: str) -> None:
    found = mentions(body)
    assert len(set(found)) == len(found)
    assert all(name and f"@{name}" in body for name in found)
