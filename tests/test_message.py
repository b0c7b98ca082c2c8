from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatkit.errors import ChannelNameError, InputError, InvalidMessageError
from chatkit.message import (
    ATTACHMENT_LIMIT,
    AUTHOR_LIMIT,
    BODY_LIMIT,
    Attachment,
    ChannelRecord,
    Delete,
    Edit,
    Event,
    Join,
    Leave,
    Message,
    Pin,
    React,
    Received,
    Unpin,
    Unreact,
    check,
    check_channel_name,
    decode,
    decode_channel_record,
    encode,
    from_ms,
    new_id,
    now_ms,
)

LAST_MS = 253_402_300_799_999
EVENTS = [Edit, Delete, React, Unreact, Pin, Unpin, Join, Leave]

any_time = settings(deadline=None)

# What people may send: also used by the tests of the modules above this one.

channels = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,79}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=200)
bodies = texts.filter(lambda body: body and not body.isspace())
names = (
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=AUTHOR_LIMIT)
    .map(str.strip)
    .filter(lambda name: name and name.isprintable())
)
ids = st.uuids().map(str) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=64).filter(
    str.isprintable
)
times = st.integers(0, LAST_MS)
emojis = st.sampled_from(["👍", "❤️", "thumbs_up", "+1", "🏳️‍🌈"])
attachments = st.builds(Attachment, name=texts, type=texts, data=st.binary(max_size=100))
sources = st.sampled_from(["chat", "slack", "irc"])


def messages(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    fields = {
        "id": ids,
        "channel": channels,
        "author": names,
        "body": bodies,
        "sent_ms": times,
        "reply_to": st.none() | ids,
        "bot": st.booleans(),
        "source": sources,
        "attachment": st.none() | attachments,
    }
    return st.builds(Message, **{**fields, **fixed})


def events(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    fields = {"id": ids, "channel": channels, "actor": names, "at_ms": times, "source": sources}
    return st.one_of(
        st.builds(
            kind,
            **{
                **fields,
                "target": st.none() if kind in (Join, Leave) else ids,
                **({"body": bodies} if kind is Edit else {}),
                **({"emoji": emojis} if kind in (React, Unreact) else {}),
                **fixed,
            },
        )
        for kind in EVENTS
    )


MESSAGE = {
    "v": 1,
    "type": "message",
    "id": "m1",
    "channel": "general",
    "author": "ana",
    "body": "Hello",
    "sent_at": 1_700_000_000_000,
}
REACT = {
    "v": 1,
    "type": "react",
    "id": "e1",
    "target": "m1",
    "channel": "general",
    "actor": "ben",
    "at": 1_700_000_000_000,
    "emoji": "👍",
}
RECORD = {"v": 1, "type": "channel", "channel": "general", "at": 1_700_000_000_000}


def wire(base: dict[str, Any] = MESSAGE, **changes: Any) -> bytes:
    """Return a record's value with some fields changed, or left out where they are ``...``."""
    fields = {**base, **changes}
    return json.dumps({name: one for name, one in fields.items() if one is not ...}).encode()


def message(**changes: Any) -> Message:
    return Message.new(
        changes.pop("channel", "general"),
        changes.pop("author", "ana"),
        changes.pop("body", "Hello"),
        **changes,
    )


# There and back.


@any_time
@given(messages() | events())
def test_every_item_comes_back_as_it_was_sent(item: Message | Event) -> None:
    assert decode(encode(item), item.channel) == item


@any_time
@given(
    st.builds(
        ChannelRecord,
        channel=channels,
        display_name=texts,
        description=texts,
        creator=texts,
        moderators=st.lists(texts, max_size=3).map(tuple),
        archived=st.booleans(),
        at_ms=times,
    )
)
def test_every_channel_record_comes_back_as_it_was_sent(record: ChannelRecord) -> None:
    assert decode_channel_record(encode(record)) == record


@pytest.mark.parametrize("kind", EVENTS)
def test_a_new_event_can_be_sent_and_has_an_id_and_a_time_of_its_own(kind: type[Event]) -> None:
    more = {"body": "x"} if kind is Edit else {"emoji": "+1"} if kind in (React, Unreact) else {}
    before = now_ms()
    event = kind.new("general", "ana", "m1", **more)
    assert before <= event.at_ms <= now_ms()
    assert event.id != kind.new("general", "ana", "m1", **more).id
    assert type(decode(encode(event), "general")) is kind


def test_the_wire_format_of_a_message_is_the_documented_one() -> None:
    sent = json.loads(encode(message(attachment=Attachment(name="a", type="b", data=b"\0"))))
    assert set(sent) == {*MESSAGE, "reply_to", "bot", "source", "attachment"}
    assert (sent["v"], sent["type"], sent["attachment"]["data"]) == (1, "message", "AA==")


def test_the_wire_format_of_an_event_is_the_documented_one() -> None:
    sent = json.loads(encode(React.new("general", "ana", "m1", emoji="👍")))
    assert set(sent) == {*REACT, "source"}
    assert sent["type"] == "react"


def test_a_retry_keeps_its_id_and_an_import_its_id_and_time() -> None:
    again = message(id="mine", sent_ms=5, source="slack")
    assert (again.id, again.sent_ms, again.sent_at) == ("mine", 5, from_ms(5))


def test_messages_and_events_are_immutable() -> None:
    with pytest.raises(AttributeError):
        message().body = "other"  # type: ignore[misc]


def test_a_chat_message_is_placed_by_append_time_and_an_imported_item_by_its_own() -> None:
    def place(item: Message | Event) -> int:
        at = Received(topic="t", partition=0, offset=0, appended_ms=9, item=item)
        return at.placed_ms

    assert place(message(sent_ms=1)) == 9
    assert place(message(sent_ms=1, source="irc")) == 1
    assert place(Pin.new("general", "ana", "m1", at_ms=2)) == 9
    assert place(Pin.new("general", "ana", "m1", at_ms=2, source="irc")) == 2


# Rules and limits, for what is sent and for what is received alike.


@pytest.mark.parametrize(
    "body",
    ["a" * BODY_LIMIT, "é" * (BODY_LIMIT // 2), "€" * (BODY_LIMIT // 3), "😀" * (BODY_LIMIT // 4)],
    ids=["1 byte", "2 bytes", "3 bytes", "4 bytes"],
)
def test_a_body_may_have_16_kib_of_utf8_and_not_a_byte_more(body: str) -> None:
    fill = body + "a" * (BODY_LIMIT - len(body.encode()))
    assert len(fill.encode()) == BODY_LIMIT
    assert decode(encode(message(body=fill)), "general").body == fill  # type: ignore[union-attr]
    check(Edit.new("general", "ana", "m1", body=fill))
    for item in (message(body=fill + "a"), Edit.new("general", "ana", "m1", body=fill + "a")):
        with pytest.raises(InvalidMessageError, match=r"16,385 bytes; the limit is 16,384"):
            encode(item)
    with pytest.raises(InvalidMessageError, match="16,385 bytes"):
        decode(wire(body=fill + "a"), "general")


def test_half_a_character_over_the_limit_is_over_the_limit() -> None:
    with pytest.raises(InvalidMessageError, match="16,386 bytes"):
        encode(message(body="a" * (BODY_LIMIT - 1) + "€"))


@pytest.mark.parametrize("body", ["", " ", "\n\t ", "\u3000\u2028"])
def test_a_message_without_text_needs_an_attachment(body: str) -> None:
    with pytest.raises(InvalidMessageError, match="needs a text"):
        check(message(body=body))
    with pytest.raises(InvalidMessageError, match="needs a text"):
        decode(wire(body=body), "general")
    with pytest.raises(InvalidMessageError, match="delete it"):
        check(Edit.new("general", "ana", "m1", body=body))
    check(message(body=body, attachment=Attachment(name="a.png", type="image/png")))


@pytest.mark.parametrize(
    "name", ["a", "ana", "Ana Maria", "アナ", "😀", "ana@example.org", "x" * 64, "😀" * 64]
)
def test_a_name_has_1_to_64_printable_characters(name: str) -> None:
    check(message(author=name))
    check(Join.new("general", name))


@pytest.mark.parametrize(
    "name",
    ["", " ", "x" * 65, "a\nb", "ana\n", "\tana", " ana", "ana ", "a\0b", "a\u2028b", "a\u202eb"],
)
def test_other_names_are_refused(name: str) -> None:
    for item in (message(author=name), Join.new("general", name)):
        with pytest.raises(InvalidMessageError, match=r"author|actor"):
            encode(item)
    with pytest.raises(InvalidMessageError, match="author"):
        decode(wire(author=name), "general")
    with pytest.raises(InvalidMessageError, match="actor"):
        decode(wire(REACT, actor=name), "general")


def test_an_attachment_may_have_4_mib_and_not_a_byte_more() -> None:
    full = Attachment(name="a", type="b", data=bytes(ATTACHMENT_LIMIT))
    assert decode(encode(message(attachment=full)), "general").attachment == full  # type: ignore[union-attr]
    more = Attachment(name="a", type="b", data=bytes(ATTACHMENT_LIMIT + 1))
    with pytest.raises(InvalidMessageError, match=r"4,194,305 bytes; the limit is 4,194,304"):
        encode(message(attachment=more))
    with pytest.raises(InvalidMessageError, match="4,194,305 bytes"):
        decode(msgspec.json.encode(message(attachment=more)), "general")


@pytest.mark.parametrize("field", ["name", "type"])
def test_the_name_and_type_of_an_attachment_have_a_limit(field: str) -> None:
    fields = {"name": "a", "type": "b", field: "x" * 255}
    check(message(attachment=Attachment(**fields)))  # type: ignore[arg-type]
    fields[field] += "x"
    with pytest.raises(InvalidMessageError, match="255 characters"):
        check(message(attachment=Attachment(**fields)))  # type: ignore[arg-type]


@pytest.mark.parametrize("data", ["@@@", "AA", "ÄÖ==", 5, None])
def test_an_attachment_that_is_not_base64_is_refused(data: object) -> None:
    with pytest.raises(InvalidMessageError):
        decode(wire(attachment={"name": "a", "type": "b", "data": data}), "general")


@pytest.mark.parametrize("bad", ["", "x" * 65, "a\nb", "a\n", "\ta", "\0"])
def test_ids_are_1_to_64_printable_characters(bad: str) -> None:
    check(message(id="x" * 64, reply_to="y" * 64))
    for item in (
        message(id=bad),
        message(reply_to=bad),
        message(source=bad),
        Pin.new("general", "ana", bad),
        Pin.new("general", "ana", "m1", id=bad),
    ):
        with pytest.raises(InvalidMessageError):
            encode(item)
    for name in ("id", "reply_to", "source"):
        with pytest.raises(InvalidMessageError, match=name):
            decode(wire(**{name: bad}), "general")
    with pytest.raises(InvalidMessageError, match="target"):
        decode(wire(REACT, target=bad), "general")


@pytest.mark.parametrize("ms", [-1, LAST_MS + 1, 2**63, 2**64 - 1, 10**30])
def test_a_time_outside_the_years_1970_to_9999_is_refused(ms: int) -> None:
    for item in (message(sent_ms=ms), Pin.new("general", "ana", "m1", at_ms=ms)):
        with pytest.raises(InvalidMessageError, match="year 9999"):
            encode(item)
    for value in (wire(sent_at=ms), wire(REACT, at=ms)):
        with pytest.raises(InvalidMessageError, match="year 9999"):
            decode(value, "general")


@pytest.mark.parametrize("kind", [Edit, Delete, React, Unreact, Pin, Unpin])
def test_an_event_about_a_message_needs_its_id(kind: type[Event]) -> None:
    more = {"body": "x"} if kind is Edit else {"emoji": "+1"} if kind in (React, Unreact) else {}
    with pytest.raises(InvalidMessageError, match="target"):
        encode(kind.new("general", "ana", **more))


@pytest.mark.parametrize("emoji", ["👍", "👩‍👩‍👧‍👧", "+1", "thumbs_up", "x" * 64])
def test_an_emoji_is_an_emoji_or_its_short_name(emoji: str) -> None:
    check(React.new("general", "ana", "m1", emoji=emoji))


@pytest.mark.parametrize("emoji", ["", "x" * 65, "a b", "a.b", "$set", "a\n", "\0", "👍 "])
def test_an_emoji_that_could_not_name_a_field_in_mongodb_is_refused(emoji: str) -> None:
    for kind in (React, Unreact):
        with pytest.raises(InvalidMessageError, match="emoji"):
            encode(kind.new("general", "ana", "m1", emoji=emoji))
    with pytest.raises(InvalidMessageError, match="emoji"):
        decode(wire(REACT, emoji=emoji), "general")


@pytest.mark.parametrize("name", ["a", "0", "general", "team-1_x", "dm-0", "a" * 80, "9-", "a_"])
def test_a_channel_name_is_given_back_as_it_is(name: str) -> None:
    assert check_channel_name(name) == name


BAD_CHANNELS = [
    "",
    "../x",
    "..",
    "a/b",
    "a.b",
    "UPPER",
    "General",
    "a" * 81,
    "a" * 200,
    "😀",
    "é",
    "a b",
    " a",
    "a ",
    "a\n",
    "\na",
    "a\0",
    "-a",
    "_a",
    "a\ud800",
    "１",
    "ﬁ",
]


@pytest.mark.parametrize("name", BAD_CHANNELS)
def test_any_other_channel_name_is_refused_before_it_is_sent(name: str) -> None:
    for item in (message(channel=name), Join.new(name, "ana"), ChannelRecord(channel=name)):
        with pytest.raises(ChannelNameError, match="can't be a channel's name"):
            encode(item)
    with pytest.raises(ChannelNameError) as refusal:
        check_channel_name(name)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 250
    str(refusal.value).encode()


@any_time
@given(st.text())
@example("general\n")
def test_a_channel_name_is_valid_exactly_if_it_follows_the_rule(name: str) -> None:
    letters = set("abcdefghijklmnopqrstuvwxyz0123456789")
    valid = 1 <= len(name) <= 80 and name[0] in letters and set(name) <= letters | {"-", "_"}
    if valid:
        check_channel_name(name)
    else:
        with pytest.raises(ChannelNameError):
            check_channel_name(name)


@pytest.mark.parametrize(
    "item",
    [
        message(body="half \ud83d of a pair"),
        message(author="a\udc00"),
        message(id="\ud800"),
        message(source="\ud800"),
        message(reply_to="\ud800"),
        message(attachment=Attachment(name="\ud800", type="text/plain")),
        Edit.new("general", "ana", "m1", body="\ud800"),
        React.new("general", "ana", "m1", emoji="\ud800"),
        ChannelRecord(channel="general", description="\ud800"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_text_with_half_a_surrogate_pair_is_not_sent(item: Message | Event) -> None:
    with pytest.raises(InvalidMessageError) as refusal:
        encode(item)
    str(refusal.value).encode()


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\ud83dx", "\\ude00\\ud83d"])
def test_text_with_half_a_surrogate_pair_is_not_received(half: str) -> None:
    for field in ("body", "author", "id", "source", "reply_to"):
        value = wire(**{field: "HERE"}).replace(b"HERE", half.encode())
        with pytest.raises(InvalidMessageError):
            decode(value, "general")


def test_a_surrogate_pair_is_one_character() -> None:
    value = wire(body="HERE").replace(b"HERE", b"\\ud83d\\ude00")
    assert decode(value, "general").body == "😀"  # type: ignore[union-attr]


# Records that are not ours, or not whole.


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b" ",
        b"\0",
        b"\xff\xfe\0x",
        b"hello",
        b"null",
        b"true",
        b"1",
        b'"message"',
        b"[]",
        b"{}",
        b"{",
        b'{"v":1}',
        b'{"type":"message"}',
        b'{"type":"poll","v":1,"question":"?"}',
        b'{"type":null}',
        b'{"type":["message"]}',
        b'{"type":"channel","channel":"general"}',
        b'\xef\xbb\xbf{"v":1}',
        b"NaN",
        b'{"\xff":1}',
        b'{"type":"\xff"}',
        wire() + wire(),
        wire()[:-1],
        wire().decode().encode("utf-16"),
        wire().replace(b"Hello", b"\xc3"),
        wire(sent_at=float("nan")),
        wire(sent_at=float("inf")),
        wire(sent_at=1.5),
        wire(sent_at="1700000000000"),
        wire(sent_at="2024-01-01T00:00:00Z"),
        wire(sent_at=True),
        wire(body=None),
        wire(body=["Hello"]),
        wire(body={"$gt": ""}),
        wire(author=1),
        wire(bot="yes"),
        wire(attachment="a.png"),
        wire(attachment={"data": "AAAA"}),
        wire(v=None),
        wire(v="1"),
        wire(v=0),
        wire(v=-1),
        wire(v=1.0),
        wire(REACT, emoji=...),
        wire(REACT, type="edit"),
    ],
)
def test_a_record_that_is_no_message_is_refused_with_a_reason(value: bytes | None) -> None:
    with pytest.raises(InvalidMessageError) as refusal:
        decode(value, "general")
    assert str(refusal.value)


@pytest.mark.parametrize("depth", [1_000, 100_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize(
    "start", [b"", b'{"type":', b'{"v":', b'{"x":', wire()[:-1] + b',"x":', wire()[:-1] + b',"v":']
)
def test_deep_nesting_is_refused_like_any_other_nonsense(
    start: bytes, opening: bytes, depth: int
) -> None:
    with pytest.raises(InvalidMessageError):
        decode(start + opening * depth, "general")
    with pytest.raises(InvalidMessageError):
        decode_channel_record(start + opening * depth)


def test_nesting_in_a_field_that_is_not_known_is_passed_over_as_far_as_it_can_be_followed() -> None:
    def nested(depth: int) -> bytes:
        return wire()[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"

    assert decode(nested(10), "general") == decode(wire(), "general")
    with pytest.raises(InvalidMessageError, match="Nested too deeply"):
        decode(nested(1_000_000), "general")


@pytest.mark.parametrize("digits", [20, 400, 5_000, 100_000])
def test_huge_numbers_are_refused_where_they_matter(digits: int) -> None:
    number = b"9" * digits
    for field in (b"sent_at", b"v", b"id"):
        with pytest.raises(InvalidMessageError):
            decode(wire()[:-1] + b',"%b":%b}' % (field, number), "general")
    assert decode(wire()[:-1] + b',"x":%b}' % number, "general").id == "m1"


@pytest.mark.parametrize("version", [2, 3, 10**6])
@pytest.mark.parametrize(
    "shape",
    [
        wire(),
        b'{"type":"message","id":7,"text":["other","shape"]}',
        b'{"type":"poll","options":{}}',
        b"{}",
    ],
)
def test_a_newer_version_says_to_update_whatever_its_shape(shape: bytes, version: int) -> None:
    value = json.dumps({**json.loads(shape), "v": version}).encode()
    with pytest.raises(InvalidMessageError, match=rf"newer chatkit \(version {version}.*update"):
        decode(value, "general")
    with pytest.raises(InvalidMessageError, match="newer chatkit"):
        decode_channel_record(value)


def test_fields_that_are_not_known_are_passed_over() -> None:
    extra = {"x": {"deep": [1, None, "é"]}, "thread": "t", "_id": 1, "$set": {}}
    assert decode(wire(**extra), "general") == decode(wire(), "general")
    assert decode(wire(REACT, **extra), "general") == decode(wire(REACT), "general")


def test_a_record_that_names_another_channel_than_its_topic_is_refused() -> None:
    for value in (wire(), wire(REACT)):
        with pytest.raises(InvalidMessageError, match="belongs to channel 'general'"):
            decode(value, "random")
    with pytest.raises(InvalidMessageError) as refusal:
        decode(wire(channel="x" * 100_000), "general")
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("field", ["id", "channel", "author", "body", "sent_at"])
@pytest.mark.parametrize("missing", [..., None])
def test_what_a_message_lacks_is_never_invented(field: str, missing: object) -> None:
    with pytest.raises(InvalidMessageError, match=field):
        decode(wire(**{field: missing}), "general")


@pytest.mark.parametrize("field", ["id", "channel", "actor", "at", "emoji", "target"])
def test_what_an_event_lacks_is_never_invented(field: str) -> None:
    with pytest.raises(InvalidMessageError, match=field):
        decode(wire(REACT, **{field: ...}), "general")


@pytest.mark.parametrize("channel", BAD_CHANNELS)
def test_a_channel_record_for_a_channel_that_cannot_be_is_refused(channel: str) -> None:
    with pytest.raises(InvalidMessageError):
        decode_channel_record(wire(RECORD, channel=channel))


@pytest.mark.parametrize("ms", [-1, LAST_MS + 1, 2**63, 2**64 - 1, 10**30])
def test_a_channel_record_with_an_impossible_time_is_refused(ms: int) -> None:
    with pytest.raises(InvalidMessageError, match="year 9999"):
        decode_channel_record(wire(RECORD, at=ms))
    with pytest.raises(InvalidMessageError, match="year 9999"):
        encode(ChannelRecord(channel="general", at_ms=ms))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([1, 2, "message", "edit", "channel", "general", "m1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
any_object = st.dictionaries(
    st.sampled_from([*MESSAGE, *REACT, "reply_to", "bot", "source", "attachment"]), json_values
)
almost_a_message = st.builds(lambda base, more: {**base, **more}, st.just(MESSAGE), any_object)
almost_an_event = st.builds(lambda base, more: {**base, **more}, st.just(REACT), any_object)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a good record with some bytes of it replaced, left out or put in."""
    value = bytearray(wire(draw(st.sampled_from([MESSAGE, REACT]))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(value)))
        value[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(value)


@any_time
@given(
    st.binary()
    | damaged()
    | (json_values | almost_a_message | almost_an_event).map(lambda one: json.dumps(one).encode())
)
def test_reading_any_bytes_gives_an_item_that_could_be_sent_or_an_input_error(
    value: bytes,
) -> None:
    try:
        item = decode(value, "general")
    except InputError as refusal:
        assert isinstance(refusal, InvalidMessageError | ChannelNameError)  # noqa: PT017
    else:
        assert item.channel == "general"
        assert decode(encode(item), "general") == item


@any_time
@given(
    st.binary()
    | (
        json_values
        | st.builds(
            lambda base, more: {**base, **more},
            st.just(RECORD),
            st.dictionaries(
                st.sampled_from(sorted(ChannelRecord.__struct_encode_fields__)), json_values
            ),
        )
    ).map(lambda one: json.dumps(one).encode())
)
def test_reading_any_bytes_gives_a_channel_record_that_could_be_sent_or_an_invalid_message_error(
    value: bytes,
) -> None:
    try:
        record = decode_channel_record(value)
    except InvalidMessageError:
        return
    assert decode_channel_record(encode(record)) == record


# Ids and times.


def test_an_id_is_a_uuid_of_version_7_and_the_standard_variant() -> None:
    before = now_ms()
    one = uuid.UUID(new_id())
    after = now_ms()
    assert (one.int >> 76) & 0xF == 7
    assert one.variant == uuid.RFC_4122
    assert before <= one.int >> 80 <= after
    assert str(one) == str(one).lower()


def test_ids_sort_by_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1_700_000_000_000, 1_700_000_000_100))
    monkeypatch.setattr("chatkit.message.now_ms", lambda: next(clock))
    made = [new_id() for _ in range(100)]
    assert made == sorted(made)


def test_no_two_ids_are_the_same() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


@any_time
@given(times)
@example(0)
@example(LAST_MS)
@example(253_402_300_799_001)
def test_a_time_in_ms_is_exactly_that_time_in_utc(ms: int) -> None:
    time = from_ms(ms)
    assert time.tzinfo is UTC
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    assert (since.days * 86_400_000 + since.seconds * 1000, since.microseconds) == (
        ms - ms % 1000,
        ms % 1000 * 1000,
    )


def test_an_items_time_is_aware() -> None:
    assert message(sent_ms=1_500).sent_at == datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)
    assert Join.new("general", "ana", at_ms=1_500).at == from_ms(1_500)
