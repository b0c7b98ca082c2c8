"""A small made-up chat to try statistics on, when the archive has none yet.

All texts are ours and nobody's: three people and a bot prepare a workshop, over three weeks, in
three channels.
"""

from __future__ import annotations

import datetime
from importlib import resources

from chatkit.channels import Channels
from chatkit.importers import ImportedChannel, stable_id
from chatkit.message import Edit, Event, Message, React
from chatkit.producer import ChatProducer
from chatkit.sending import Sending, create_channels
from chatkit.settings import Settings
from chatkit.store import MessageStore

__all__ = ["add", "items"]

BEGIN = datetime.datetime(2026, 9, 7, tzinfo=datetime.UTC)  # a Monday
SOURCE = "sample"
BOT = "reminder"

CHANNELS = {
    "sample-workshop": "What we teach, and when",
    "sample-lag": "Why is the reader behind?",
    "sample-lunch": "Where and with whom",
}


def items() -> list[Message | Event]:
    """Return the sample's messages and events, in order; the same each time.

    The file beside this has a line of day, time and channel for each conversation; then minutes
    later, author, text, and, after a bar, what became of it: a message so many above is answered
    (``^1``), somebody reacted (``ana:🎉``), or the text was changed (``edit:…``).
    """
    written = resources.files("chatkit").joinpath("sample.txt").read_text(encoding="utf-8")
    found: list[Message | Event] = []
    for block in written.strip().split("\n\n"):
        head, *lines = block.splitlines()
        day, clock, channel = head.split()
        begin = BEGIN + datetime.timedelta(days=int(day))
        hour, minute = map(int, clock.split(":"))
        begin_ms = int(begin.replace(hour=hour, minute=minute).timestamp() * 1000)
        said: list[Message] = []
        for line in lines:
            said.append(_message(line, channel, begin_ms, said))
            found += [said[-1], *_events(line, said[-1])]
    return found


def _id(channel: str, *parts: object) -> str:
    return stable_id(SOURCE, "workshop", channel, "\0".join(map(str, parts)))


def _message(line: str, channel: str, begin_ms: int, said: list[Message]) -> Message:
    text, _, fate = line.partition(" | ")
    minutes, author, body = text.split(" ", 2)
    sent_ms = begin_ms + int(minutes) * 60_000
    above = [int(mark[1:]) for mark in fate.split() if mark.startswith("^")]
    return Message(
        id=_id(channel, sent_ms, author, body),
        channel=channel,
        author=author,
        body=body,
        sent_ms=sent_ms,
        reply_to=said[-above[0]].id if above else None,
        bot=author == BOT,
        source=SOURCE,
    )


def _events(line: str, message: Message) -> list[Event]:
    _, _, fate = line.partition(" | ")
    fate, _, later = fate.partition("edit:")
    at_ms = message.sent_ms + 120_000
    events: list[Event] = [
        React(
            id=_id(message.channel, message.id, actor, emoji),
            channel=message.channel,
            actor=actor,
            at_ms=at_ms,
            target=message.id,
            source=SOURCE,
            emoji=emoji,
        )
        for actor, emoji in (mark.split(":") for mark in fate.split() if ":" in mark)
    ]
    if later:
        events.append(
            Edit(
                id=_id(message.channel, message.id, "edit"),
                channel=message.channel,
                actor=message.author,
                at_ms=at_ms,
                target=message.id,
                source=SOURCE,
                body=later,
            )
        )
    return events


def add(settings: Settings | None = None) -> int:
    """Send the sample through Kafka, and return how many records were sent: none if it is there.

    An archiver has to run; this returns once it has archived all.

    Parameters
    ----------
    settings : Settings, optional
        Where Kafka and MongoDB are. Default: ``Settings()``.

    Raises
    ------
    ServiceError
        Kafka or MongoDB did not answer, or the archiver did not go on.
    """
    settings = settings or Settings()
    with (
        Channels(settings) as channels,
        MessageStore(settings) as store,
        ChatProducer(settings, bulk=True) as producer,
    ):
        create_channels(
            channels,
            [
                ImportedChannel(name=name, source_name=name, description=about)
                for name, about in CHANNELS.items()
            ],
        )
        sending = Sending(producer, store)
        sending.send(items())
        sending.wait_archived(channels)
    return sending.sent.total()
