"""Exercises of w10: a bot, a moderation and statistics of a chat.

=============  ============================  ====================================================
check          is handed                     looks at
=============  ============================  ====================================================
``adder``      ``learner``, ``answer``       a channel in which the function has answered twice
``broom``      ``learner``, ``annex``        that channel, and group ``ANNEX-moderation``
``tally``      ``learner``, ``tally``        what the function says of a channel's records
=============  ============================  ====================================================

The channels are in the learner's corner: those of the functions are made by the checks and removed
again, that of ``broom`` is made by `new_annex`, another one at each call.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from chatkit.channels import Channels
from chatkit.consumer import Item
from chatkit.errors import ChannelNameError, ChannelNotFoundError, InvalidMessageError
from chatkit.message import Delete, Edit, Event, Message, React, Received, check, new_id, now_ms
from chatkit.producer import ChatProducer, Receipt
from chatkit.settings import Settings
from chatkit.simulation import Simulation
from chatkit.workshop.asking import ask as ask_kafka
from chatkit.workshop.chat import as_seen, chat_of, read_all
from chatkit.workshop.check import Right, Wrong, ask, exercise, shown
from chatkit.workshop.exercises.topics import write_all
from chatkit.workshop.offsets import committed

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["LINK", "MODERATOR", "adder", "broom", "new_annex", "tally"]

LINK = "https://"
"""What a message has that is to go."""
MODERATOR = "moderation"
"""Who may delete what others wrote."""
GARBAGE = b"not a message"
SECONDS = 20.0
"""How long it may take to write what a check needs."""


@exercise(
    "w10",
    "Write a function answer(message) that is a bot: to a message '!sum 1 2 3' it returns the "
    "message to say, with the sum '6' as its text, and to everything else None. It may see a "
    "message twice, and must not answer what bots say.",
    {
        "untried": "Nobody was answered. answer(message) is shown each message of the channel; to "
        "one whose body is {question!r} it is to return "
        "Message.new(message.channel, 'adder', {right!r}, ...).",
        "no message": "{call} returned {answer}. The chat takes messages: "
        "Message.new(message.channel, 'adder', text, ...).",
        "refused": "What {call} returned is refused by the chat: {error}.",
        "elsewhere": "To a message in channel {channel!r} it answered in {given!r}: "
        "message.channel is where it was said.",
        "no reply": "There are answers that say to nobody what they answer: hand on "
        "reply_to=message.id.",
        "answers all": "{body!r} was answered too. Only a message that begins with '!sum ' asks "
        "the bot.",
        "answers bots": "A message of a bot was answered ({body!r}). If another bot does so too, "
        "the two go on for ever: say nothing if message.bot.",
        "sum": "To {question!r} it said {given!r}, and not {right!r}.",
        "not a bot": "The answer {given!r} does not say that a bot wrote it: hand on bot=True.",
        "one id": "Answers to different questions have the same id, {id!r}. One id is one message, "
        "so the chat shows the first of them only.",
        "twice": "The bot was shown everything twice, as after a crash, and the chat shows "
        "{count} answers to {question!r}: each has an id of its own. Make the id of the "
        "question's, such as id=f'sum-{{message.id}}': one id is one message, however often it "
        "is sent.",
    },
)
def adder(learner: Learner, answer: object) -> Right | Wrong:
    """Let the learner's function answer in a channel, all of it twice, and read the channel."""
    ask_for = {"!sum 1 2 3": "6", "!sum 40 2": "42"}
    with _channel(learner, "w10-adder") as (settings, channel):
        written = [
            Message.new(channel, "ben", "Good morning"),
            *(Message.new(channel, "cleo", question) for question in ask_for),
            Message.new(channel, "parrot", "!sum 1 1", bot=True),
        ]
        _write(settings, written)
        for _ in range(2):
            _write(settings, list(_answers(answer, read_all(settings, channel))))
        items = read_all(settings, channel)
        rows = [row.message for row in as_seen(items, channel) if row.message is not None]
    asked = {one.id: one for one in written}
    said = [one for one in rows if one.id not in asked]
    questions = [one for one in written if one.body in ask_for and not one.bot]
    if not said:
        return Wrong("untried", question=questions[0].body, right=ask_for[questions[0].body])
    reused = _with_several_questions(items, set(asked))
    if reused:
        return Wrong("one id", id=reused)
    for one in said:
        if one.reply_to is None:
            return Wrong("no reply")
        question = asked.get(one.reply_to)
        if question is None or question.bot:
            return Wrong("answers bots", body=(question or one).body)
        if question not in questions:
            return Wrong("answers all", body=question.body)
        if one.body.strip() != ask_for[question.body]:
            right = ask_for[question.body]
            return Wrong("sum", question=question.body, given=one.body, right=right)
        if not one.bot:
            return Wrong("not a bot", given=one.body)
    counts = Counter(one.reply_to for one in said)
    for question in questions:
        if not counts[question.id]:
            return Wrong("untried", question=question.body, right=ask_for[question.body])
        if counts[question.id] > 1:
            return Wrong("twice", count=counts[question.id], question=question.body)
    sent = sum(isinstance(one, Received) and one.item.id not in asked for one in items)
    return Right(
        f"Kafka has {sent} answers, since the bot saw everything twice, and the chat shows "
        f"{len(said)}: one to each question."
    )


def _answers(answer: object, items: Sequence[Item]) -> Iterator[Message]:
    """Yield what the learner's function says to each message, if it can be said."""
    for one in items:
        if not isinstance(one, Received) or not isinstance(one.item, Message):
            continue
        message = one.item
        given = ask(answer, message)
        if given is None:
            continue
        call = f"answer({shown(message)})"
        if not isinstance(given, Message):
            raise Wrong("no message", call=call, answer=shown(given))
        if given.channel != message.channel:
            raise Wrong("elsewhere", channel=message.channel, given=given.channel)
        try:
            check(given)
        except (InvalidMessageError, ChannelNameError) as error:
            raise Wrong("refused", call=call, error=error) from error
        yield given


def _with_several_questions(items: Sequence[Item], asked: set[str]) -> str:
    """Return an id under which different messages were answered, if there is one."""
    found: dict[str, set[str | None]] = defaultdict(set)
    for one in items:
        if isinstance(one, Received) and isinstance(one.item, Message) and one.item.id not in asked:
            found[one.item.id].add(one.item.reply_to)
    return next((name for name, questions in found.items() if len(questions) > 1), "")


@exercise(
    "w10",
    "Let a member of group 'ANNEX-moderation' read a channel that new_annex(learner) has made, and "
    "delete, as 'moderation', each message of a person that has a link (https://) in it or gets "
    "one by an edit: once each, and nothing else.",
    {
        "no channel": "There is no channel {annex}. Hand over what new_annex(learner) returned.",
        "nobody": "Group {group} has committed nothing, so nobody has read the channel. "
        "Member(learner, f'{{annex}}-moderation', f'chat.{{annex}}', ...) does, while it runs.",
        "behind": "Group {group} has not read {count} record(s) of the channel. Wait until it has "
        "before its member stops. If it failed (member.error), see why.",
        "nothing": "All has been read, and nothing was deleted; {count} messages have a link or "
        "got one. Delete.new({annex!r}, 'moderation', message.id, ...) is the event to send.",
        "stranger": "{actor!r} has deleted a message of {author!r}, and every reader ignores that: "
        "only its author and the channel's moderator may. Delete as 'moderation'.",
        "bots": "A message of a bot is gone, {body!r}. Bots may have links here: look at "
        "message.bot.",
        "innocent": "{count} message(s) without a link are gone, such as {body!r}. Deleted is "
        "deleted: get a new annex, and delete only where 'https://' is in the text.",
        "edits": "Left is {body!r}: it had no link when it was sent, and got this text by an edit. "
        "An Edit is an event of its own, with target (the message) and body (the new text).",
        "missed": "{count} message(s) with a link are left, such as {body!r}.",
        "twice": "A message was deleted {count} times, under different ids: it has a link, and so "
        "has its edit. That does no harm here, but each is a record that all readers read. Make "
        "the id of the message's: id=f'delete-{{target}}'.",
    },
)
def broom(learner: Learner, annex: object) -> Right | Wrong:
    """Look at what is left in a channel, at its deletions, and at how far the group has read."""
    settings = chat_of(learner)
    try:
        items = read_all(settings, annex) if isinstance(annex, str) else []
    except (ChannelNotFoundError, ChannelNameError):
        items = []
    if not isinstance(annex, str) or not items:
        return Wrong("no channel", annex=shown(annex))
    group = learner.group(f"{annex}-moderation")
    _check_read(learner, group, items)
    told = [one for one in items if isinstance(one, Received)]
    messages = {one.item.id: one.item for one in told if isinstance(one.item, Message)}
    texts = {name: one.body for name, one in messages.items()}
    linked = {name for name, one in messages.items() if LINK in one.body}
    for one in told:
        if isinstance(one.item, Edit) and one.item.target in messages and LINK in one.item.body:
            linked.add(one.item.target)
            texts[one.item.target] = one.item.body
    linked = {name for name in linked if not messages[name].bot}
    deletions: dict[str, set[str]] = defaultdict(set)
    for one in told:
        if isinstance(one.item, Delete) and one.item.target in messages:
            author = messages[one.item.target].author
            if one.item.actor not in (MODERATOR, author):
                return Wrong("stranger", actor=one.item.actor, author=author)
            deletions[one.item.target].add(one.item.id)
    if not deletions:
        return Wrong("nothing", count=len(linked), annex=annex)
    wrong = [name for name in deletions if name not in linked]
    if wrong:
        if messages[wrong[0]].bot:
            return Wrong("bots", body=texts[wrong[0]])
        return Wrong("innocent", count=len(wrong), body=texts[wrong[0]])
    left = [name for name in linked if name not in deletions]
    if left:
        if all(LINK not in messages[name].body for name in left):
            return Wrong("edits", body=texts[left[0]])
        return Wrong("missed", count=len(left), body=texts[left[0]])
    most = max(map(len, deletions.values()))
    if most > 1:
        return Wrong("twice", count=most)
    return Right(
        f"Group {group} has read the whole channel; {len(linked)} of {len(messages)} messages had "
        "a link, these are deleted, once each, and nothing else is."
    )


def _check_read(learner: Learner, group: str, items: Sequence[Item]) -> None:
    """Raise if a group has not read all of a channel, its own deletions apart."""
    ends: dict[tuple[str, int], int] = {}
    for one in items:
        if isinstance(one, Received) and isinstance(one.item, Delete):
            continue
        place = one.last if not hasattr(one, "offset") else one.offset
        ends[one.topic, one.partition] = place + 1
    read = ask_kafka(learner.settings, lambda admin: committed(admin, group))
    if not read:
        raise Wrong("nobody", group=group)
    places = {(part.topic, part.partition): offset for part, offset in read.items()}
    unread = sum(max(0, end - places.get(part, 0)) for part, end in ends.items())
    if unread:
        raise Wrong("behind", group=group, count=unread)


def new_annex(learner: Learner) -> str:
    """Make a channel with chatter of an hour, some of it with links, and return its name.

    Parameters
    ----------
    learner : Learner
        In whose corner.

    Raises
    ------
    BrokerUnavailableError
        No broker answered in time.
    """
    settings = chat_of(learner)
    with Channels(settings) as channels:
        number = 1 + sum(name.startswith("annex-") for name in channels.find())
        annex = f"annex-{number}"
        channels.create(annex, partitions=2, creator=MODERATOR)
    chatter = Simulation(channels=(annex,), people=8, seed=10)
    gold = Message.new(annex, "mallory", f"Cheap gold: {LINK}gold.example")
    late = Message.new(annex, "mallory", "Lovely weather today")
    _write(
        settings,
        [
            *islice(chatter.live(now_ms() - 3_600_000, rate=0.05), 120),
            Message.new(annex, "clock", f"Opening hours: {LINK}market.example", bot=True),
            gold,
            late,
            Message.new(annex, "ben", "What does http stand for?"),
            Edit.new(annex, "mallory", gold.id, body=f"Cheap gold, really: {LINK}gold.example"),
            Edit.new(annex, "mallory", late.id, body=f"Lovely gold: {LINK}gold.example"),
        ],
        garbage=True,
    )
    return annex


@exercise(
    "w10",
    "Write a function tally(items) that returns how many messages of each author the chat shows, "
    "as a dict such as {'ana': 2, 'ben': 1}. items are what a ConsumerThread hands over.",
    {
        "untried": "tally(items) returned {answer}; a dict of author to number is asked for.",
        "doubles": "tally(items) returned {answer}, and {right} is right. A message is there twice "
        "in Kafka, as after a retry: count each id once.",
        "deleted": "tally(items) returned {answer}, and {right} is right: messages that were "
        "deleted are still counted. A Delete has target, the id of the message.",
        "strangers": "tally(items) returned {answer}, and {right} is right. Somebody has deleted "
        "what is not theirs, and the chat shows it all the same: only the author's and "
        "'moderation''s deletions count (its actor says whose it is).",
        "own": "tally(items) returned {answer}, and {right} is right: authors may delete their own "
        "messages, 'moderation' is not the only one.",
        "events": "tally(items) returned {answer}, and {right} is right: an edit or a reaction is "
        "no message. isinstance(one.item, Message) tells.",
        "other": "tally(items) returned {answer}, and {right} is right.",
    },
)
def tally(learner: Learner, answer: object) -> Right | Wrong:
    """Ask the learner's function about a channel with doubled, deleted and unreadable records."""
    with _channel(learner, "w10-tally") as (settings, channel):
        said = {
            who: [Message.new(channel, who, f"Number {n}") for n in range(count)]
            for who, count in (("ana", 4), ("ben", 3), ("cleo", 2), ("dave", 2))
        }
        _write(settings, [one for each in said.values() for one in each], garbage=True)
        _write(
            settings,
            [
                said["dave"][0],  # once more, as a sender does that got no answer
                Edit.new(channel, "cleo", said["cleo"][0].id, body="Number one"),
                React.new(channel, "ana", said["cleo"][0].id, emoji="👍"),
                Delete.new(channel, "ana", said["ana"][1].id),
                Delete.new(channel, MODERATOR, said["ben"][0].id),
                Delete.new(channel, "mallory", said["cleo"][1].id),
            ],
        )
        items = read_all(settings, channel)
    given = ask(answer, items)
    if not isinstance(given, Mapping) or not all(isinstance(n, int) for n in given.values()):
        return Wrong("untried", answer=shown(given))
    counts = {who: n for who, n in given.items() if n}
    rows = as_seen(items, channel, [MODERATOR])
    right = dict(Counter(row.message.author for row in rows if row.message is not None))
    if counts == right:
        return Right(
            f"The channel holds {len(items)} records, and the chat shows {sum(right.values())} "
            f"messages: {right}."
        )
    return _mistake(counts, items, answer=shown(dict(given)), right=right)


def _mistake(counts: dict[str, int], items: Sequence[Item], **seen: object) -> Wrong:
    """Return the hint for counts that are wrong in one of the usual ways."""
    told = [one.item for one in items if isinstance(one, Received)]
    messages = [one for one in told if isinstance(one, Message)]
    authors = {one.id: one.author for one in messages}
    deletions = [one for one in told if isinstance(one, Delete)]
    everybodys = {one.target for one in deletions}
    moderators = {one.target for one in deletions if one.actor == MODERATOR}
    owns = {one.target for one in deletions if one.actor == authors.get(one.target or "")}

    def left(gone: set[str | None]) -> dict[str, int]:
        return dict(Counter(author for name, author in authors.items() if name not in gone))

    def with_doubles(gone: set[str | None]) -> dict[str, int]:
        return dict(Counter(one.author for one in messages if one.id not in gone))

    if counts in [left(set()), left(owns), with_doubles(set())]:
        return Wrong("deleted", **seen)
    if counts == left(everybodys):
        return Wrong("strangers", **seen)
    if counts == left(moderators):
        return Wrong("own", **seen)
    if counts in [with_doubles(gone) for gone in (everybodys, moderators, moderators | owns)]:
        return Wrong("doubles", **seen)
    if sum(counts.values()) > len(messages):
        return Wrong("events", **seen)
    return Wrong("other", **seen)


@contextlib.contextmanager
def _channel(learner: Learner, name: str) -> Iterator[tuple[Settings, str]]:
    """Make a channel in the learner's corner, and remove it at the end."""
    settings = chat_of(learner)
    channel = f"{name}-{new_id()[-6:]}"
    with Channels(settings) as channels:
        channels.create(channel, creator=MODERATOR)
        try:
            yield settings, channel
        finally:
            channels.delete(channel)


def _write(settings: Settings, items: Sequence[Message | Event], *, garbage: bool = False) -> None:
    """Send items in their order, and perhaps a record that is none; raises if one is not there."""
    if not items:
        return
    authors = {one.id: one.author for one in items if isinstance(one, Message)}
    with ChatProducer(settings) as producer:
        for outcome in producer.send_all(items, authors=authors).result(SECONDS):
            if not isinstance(outcome, Receipt):
                raise outcome
    if garbage:
        write_all(settings, settings.topic_of(items[0].channel), [{"value": GARBAGE}])
