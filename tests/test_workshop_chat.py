"""A learner's own chat, and the checks of w10's exercises, each hint with who earns it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatkit.channels import Channels
from chatkit.errors import ChannelNotFoundError
from chatkit.message import Delete, Edit, Event, Message, Received, Unreadable, now_ms
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from chatkit.workshop import check
from chatkit.workshop.chat import chat_of, item_of, read_all, standing
from chatkit.workshop.exercises.w10 import LINK, MODERATOR, new_annex
from chatkit.workshop.learner import Learner
from chatkit.workshop.member import Member
from chatkit.workshop.notes import Handled
from tests.waiting import wait_until

Answer = Callable[[Message], Any]


@pytest.fixture
def learner(settings: Settings) -> Iterator[Learner]:
    """A learner whose name no other test has."""
    with Learner(f"ana-{settings.database}", settings=settings) as learner:
        yield learner
        learner.reset()


def handled(value: Any) -> Handled:
    return Handled("chat.general", 0, 0, "ana", None, value, now_ms())


# The chat.


def test_channels_are_topics_of_the_learner_and_reset_removes_them(learner: Learner) -> None:
    settings = chat_of(learner)
    with Channels(settings) as channels, ChatProducer(settings) as producer:
        info = channels.create("market")
        message = Message.new("market", "ben", "hello")
        producer.send(message).result(20)
        assert info.topic == learner.topic("chat.market")
        found = read_all(settings, "market")
        assert [one.item for one in found if isinstance(one, Received)] == [message]
        removed = learner.reset()
        assert set(removed) == {info.topic, settings.channels_topic}
        with pytest.raises(ChannelNotFoundError):
            read_all(settings, "market")


def test_what_is_deleted_by_one_who_may_stands_no_more(learner: Learner) -> None:
    settings = chat_of(learner)
    said = [Message.new("market", "ben", text) for text in ("one", "two", "three")]
    with Channels(settings) as channels, ChatProducer(settings) as producer:
        channels.create("market", partitions=2)
        for item in (
            *said,
            said[0],
            Delete.new("market", "mallory", said[0].id),
            Delete.new("market", "ben", said[1].id),
            Delete.new("market", MODERATOR, said[2].id),
        ):
            producer.send(item, author="ben").result(20)
    assert [row.message for row in standing(settings, "market", [MODERATOR])] == said[:1]
    assert [row.message for row in standing(settings, "market")] == [said[0], said[2]]


@pytest.mark.parametrize("value", [None, "hello", 7, {"type": "message"}, b"\xff", [1]])
def test_what_is_no_message_is_none(value: Any) -> None:
    assert item_of(handled(value), "general") is None


def test_what_a_member_was_given_is_the_message_that_was_sent() -> None:
    message = Message.new("general", "ana", "Grüße 👋")
    value = {"type": "message", "v": 1, "id": message.id}
    value |= {"channel": "general", "author": "ana", "body": message.body}
    value["sent_at"] = message.sent_ms
    assert item_of(handled(value), "general") == message
    assert item_of(handled(value), "market") is None


# The bot.


def said(message: Message, text: str = "", **more: Any) -> Message:
    """What a right bot says, but for what is given."""
    total = sum(int(word) for word in message.body.split()[1:] if word.isdigit())
    usual = {"id": f"sum-{message.id}", "reply_to": message.id, "bot": True}
    channel = more.pop("channel", message.channel)
    return Message.new(channel, "adder", text or str(total), **{**usual, **more})


def is_asked(message: Message) -> bool:
    return message.body.startswith("!sum ") and not message.bot


def asked(function: Answer) -> Answer:
    """Let a bot answer those messages only that it should."""
    return lambda message: function(message) if is_asked(message) else None


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (asked(said), ""),
        (lambda message: None, "untried"),
        (asked(lambda message: "6"), "no message"),
        (asked(lambda message: said(message, "x" * 20_000)), "refused"),
        (asked(lambda message: said(message, channel="general")), "elsewhere"),
        (asked(lambda message: said(message, reply_to=None)), "no reply"),
        (lambda message: None if message.bot else said(message), "answers all"),
        (
            lambda message: said(message) if message.body.startswith("!sum ") else None,
            "answers bots",
        ),
        (asked(lambda message: said(message, "7")), "sum"),
        (asked(lambda message: said(message, bot=False)), "not a bot"),
        (asked(lambda message: said(message, id="answer")), "one id"),
        (
            asked(lambda message: Message.new(**fields(said(message)))),
            "twice",
        ),
        (lambda message: 1 / 0, "raises"),
    ],
)
def test_adder(learner: Learner, answer: Answer, hint: str) -> None:
    result = check.adder(learner, answer)
    assert result.hint == hint, str(result)
    assert result.passed == (not hint)
    left = [
        topic for topic in learner.inspector.topics(learner.prefix)["topic"] if "adder" in topic
    ]
    assert left == []


def fields(message: Message) -> dict[str, Any]:
    """What a message is made of that has a new id each time."""
    return {
        "channel": message.channel,
        "author": message.author,
        "body": message.body,
        "reply_to": message.reply_to,
        "bot": message.bot,
    }


# The moderation.


@pytest.fixture
def producer(learner: Learner) -> Iterator[ChatProducer]:
    """What the learner sends with."""
    with ChatProducer(chat_of(learner)) as producer:
        yield producer


def sweep(
    learner: Learner,
    producer: ChatProducer,
    events: Callable[[Message | Event, str], list[Event]],
) -> str:
    """Let a member send what it is to for each item of a new annex; return the annex."""
    annex = new_annex(learner)
    group = f"{annex}-moderation"

    def handle(one: Handled) -> None:
        item = item_of(one, annex)
        for event in [] if item is None else events(item, annex):
            author = item.author if isinstance(item, Message) else item.actor  # type: ignore[union-attr]
            producer.send(event, author=author).result(20)

    with Member(learner, group, f"chat.{annex}", name="broom", handle=handle):
        wait_until(lambda: _lag(learner, group) == 0, 20)
    return annex


def _lag(learner: Learner, group: str) -> int:
    offsets = learner.inspector.offsets(learner.group(group))
    return int((offsets["log_end"] - offsets["committed"].fillna(0)).sum())


def by_text(item: Message | Event, annex: str) -> list[Event]:
    """Delete messages with a link and no more."""
    if isinstance(item, Message) and LINK in item.body and not item.bot:
        return [Delete.new(annex, MODERATOR, item.id, id=f"delete-{item.id}")]
    return []


def by_edit(item: Message | Event, annex: str) -> list[Event]:
    """Delete messages that got a link."""
    if isinstance(item, Edit) and LINK in item.body:
        return [Delete.new(annex, MODERATOR, item.target, id=f"delete-{item.target}")]
    return []


def rightly(item: Message | Event, annex: str) -> list[Event]:
    """Delete what is to go."""
    return by_text(item, annex) + by_edit(item, annex)


def renamed(events: list[Event], **more: Any) -> list[Event]:
    """The same deletions, under other ids or by somebody else."""
    return [
        Delete.new(one.channel, more.get("actor", one.actor), one.target, **more.get("with_", {}))
        for one in events
    ]


BROOMS: dict[str, Callable[[Message | Event, str], list[Event]]] = {
    "": rightly,
    "nothing": lambda item, annex: [],
    "stranger": lambda item, annex: renamed(rightly(item, annex), actor="ana"),
    "bots": lambda item, annex: (
        [Delete.new(annex, MODERATOR, item.id)]
        if isinstance(item, Message) and LINK in item.body
        else []
    ),
    "innocent": lambda item, annex: (
        [Delete.new(annex, MODERATOR, item.id)]
        if isinstance(item, Message) and "http" in item.body and not item.bot
        else []
    ),
    "edits": by_text,
    "missed": by_edit,
    "twice": lambda item, annex: renamed(rightly(item, annex)),
}


@pytest.mark.parametrize("hint", BROOMS)
def test_broom(learner: Learner, producer: ChatProducer, hint: str) -> None:
    result = check.broom(learner, sweep(learner, producer, BROOMS[hint]))
    assert result.hint == hint, str(result)
    assert result.passed == (not hint)


def test_broom_sees_whether_the_group_has_read_all(
    learner: Learner, producer: ChatProducer
) -> None:
    assert check.broom(learner, "annex-1").hint == "no channel"
    assert check.broom(learner, None).hint == "no channel"
    annex = new_annex(learner)
    assert check.broom(learner, annex).hint == "nobody"
    member = Member(learner, f"{annex}-moderation", f"chat.{annex}", name="broom")
    member.crash_after(15, crash_before_commit=False).start(timeout=0)
    member.wait_until_ended()
    assert check.broom(learner, annex).hint == "behind"
    assert new_annex(learner) != annex


# The statistics.


def items_of(items: Any) -> list[Message | Event]:
    return [one.item for one in items if isinstance(one, Received)]


def authors_of(items: Any) -> dict[str, str]:
    return {one.id: one.author for one in items_of(items) if isinstance(one, Message)}


def left(items: Any, counts: Callable[[Delete, dict[str, str]], bool]) -> Counter[str]:
    """Count each id once, without what was deleted in a way that counts."""
    authors = authors_of(items)
    gone = {
        one.target for one in items_of(items) if isinstance(one, Delete) and counts(one, authors)
    }
    return Counter(author for name, author in authors.items() if name not in gone)


def rightful(one: Delete, authors: dict[str, str]) -> bool:
    return one.actor in (MODERATOR, authors.get(one.target or ""))


def doubled(items: Any) -> Counter[str]:
    authors = authors_of(items)
    gone = {
        one.target for one in items_of(items) if isinstance(one, Delete) and rightful(one, authors)
    }
    messages = [one for one in items_of(items) if isinstance(one, Message)]
    return Counter(one.author for one in messages if one.id not in gone)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda items: left(items, rightful), ""),
        (lambda items: {**left(items, rightful), "mallory": 0}, ""),
        (lambda items: None, "untried"),
        (lambda items: left(items, lambda one, authors: False), "deleted"),
        (lambda items: left(items, lambda one, authors: True), "strangers"),
        (lambda items: left(items, lambda one, authors: one.actor == MODERATOR), "own"),
        (doubled, "doubles"),
        (
            lambda items: Counter(getattr(one, "author", "somebody") for one in items_of(items)),
            "events",
        ),
        (lambda items: {"ana": 1}, "other"),
        (lambda items: Counter(one.item.author for one in items), "raises"),
    ],
)
def test_tally(learner: Learner, answer: Callable[[Any], Any], hint: str) -> None:
    result = check.tally(learner, answer)
    assert result.hint == hint, str(result)
    assert result.passed == (not hint)


def test_what_is_tallied_holds_a_record_that_can_not_be_read(learner: Learner) -> None:
    seen: list[Any] = []
    check.tally(learner, lambda items: seen.extend(items))
    assert [type(one) for one in seen].count(Unreadable) == 1
