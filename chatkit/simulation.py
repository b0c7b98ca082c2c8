"""Many made-up people who chat, so that a workshop's channels are lively.

All texts are ours and nobody's, and the people are called after animals and plants, so that none
is taken for somebody in the room. Who says what hangs on the seed alone: as it comes, at a rate
(`Simulation.live`), or spread over days gone by (`Simulation.history`). This hands messages on to
Kafka; it knows no database and no screen.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import random
import threading
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from importlib import resources

import msgspec

from chatkit.channels import Channels
from chatkit.errors import InputError, ServiceError
from chatkit.message import Edit, Event, Message, React, check_channel_name, now_ms
from chatkit.sending import Sending

__all__ = ["SOURCE", "Simulation", "moment", "play"]

SOURCE = "simulation"
"""The source of what is said in days gone by, which lies at its own time, as imports do."""
BOT = "clockwork"
AT_ONCE = 500
"""Items that are sent together at most, when they are due together."""
PEOPLE_LIMIT = 10_000
DAY_MS = 24 * 60 * 60 * 1000

ANIMALS = "otter heron badger finch lynx robin hare falcon newt crane beaver swift mole stork"
PLANTS = "maple fern willow clover cedar thistle hazel juniper poppy sorrel birch lupin rowan reed"
NAMES = [name for pair in zip(ANIMALS.split(), PLANTS.split(), strict=True) for name in pair]

HOURS = [1, 0, 0, 0, 0, 1, 3, 8, 16, 20, 18, 15, 14, 16, 19, 17, 14, 10, 7, 6, 6, 5, 3, 2]
"""How often a conversation begins in each hour of a day, in UTC."""
DAYS = [10, 11, 11, 10, 8, 2, 2]
"""How much is said on each day of a week, from Monday on."""

ASIDE, CUT, SLIP, REACTION = 0.1, 0.12, 0.03, 0.16
"""How often somebody else says something in between, a conversation ends early, a text is sent
with a slip and mended, and somebody (else) reacts."""
EMOJIS = ["👍", "👍", "👍", "🎉", "❤️", "😂", "🙏", "💯", "✅"]
EMOJIS_FOR_QUESTIONS = ["👀", "🤔", "➕"]


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """People who chat in channels. Immutable; for any thread.

    Raises
    ------
    InputError
        There are less than 3 people or more than 10,000, or no channels.
    ChannelNameError
        No channel can have one of the names.
    """

    people: int = 12
    """How many people, 3-10,000; a few of them say much, most say little."""
    channels: int | tuple[str, ...] = 4
    """How many channels, at least 1, then called ``sim-kitchen`` and the like; or their names."""
    seed: int = 0
    """The same seed gives the same chatter."""

    def __post_init__(self) -> None:
        """Refuse what can't be simulated."""
        if not 3 <= self.people <= PEOPLE_LIMIT:
            raise InputError(f"A simulation has 3-{PEOPLE_LIMIT:,} people, not {self.people:,}")
        if not self.channel_names:
            raise InputError("A simulation needs at least 1 channel")
        for name in self.channel_names:
            check_channel_name(name)

    @property
    def names(self) -> list[str]:
        """The people's names."""
        return [_numbered(NAMES, n) for n in range(self.people)]

    @property
    def channel_names(self) -> list[str]:
        """The channels' names, the busiest first."""
        if isinstance(self.channels, int):
            return [f"sim-{_numbered(_themes(), n)}" for n in range(self.channels)]
        return list(dict.fromkeys(self.channels))

    def create_channels(self, channels: Channels) -> None:
        """Make the channels that are missing; one that is there stays as it is.

        Parameters
        ----------
        channels : Channels
            Where; stays open.

        Raises
        ------
        BrokerUnavailableError
            No broker answered in time, or Kafka does not let us.
        """
        there = channels.find()
        for n, name in enumerate(self.channel_names):
            if name in there:
                continue
            about = "What comes to mind"
            if isinstance(self.channels, int):
                about = _texts().about[_themes()[n % len(_themes())]]
            channels.create(name, description=f"{about} (made-up chatter)", exist_ok=True)

    def live(self, begin_ms: int, rate: float = 1.0) -> Iterator[Message | Event]:
        """Return messages and events from a moment on, without end, for `play`.

        Parameters
        ----------
        begin_ms : int
            After which the first comes, ms since 1970 UTC.
        rate : float, default 1.0
            Messages a second on average, > 0. Reactions and edits come on top.

        Returns
        -------
        iterator of Message or Event
            In the order of their times. Ids hang on all that was given.

        Raises
        ------
        InputError
            The rate is not above 0.
        """
        if not 0 < rate < float("inf"):
            raise InputError(f"The rate must be above 0 messages a second, not {rate:g}")
        return self._live(begin_ms, rate)

    def _live(self, begin_ms: int, rate: float) -> Iterator[Message | Event]:
        crowd = _Crowd(self)
        writers = {
            name: _Writer(name, "chat", f"{self} live {begin_ms} {rate}")
            for name in self.channel_names
        }
        talks: dict[str, Iterator[_Said]] = {name: iter(()) for name in writers}
        later: list[tuple[int, str, Event]] = []
        at = float(begin_ms)
        while True:
            at += crowd.chance.expovariate(rate) * 1000
            channel = crowd.channel()
            said = next(talks[channel], None)
            if said is None:
                talks[channel] = iter(crowd.talk(channel))
                said = next(talks[channel])
            message, events = writers[channel].write(said, int(at))
            while later and later[0][0] <= at:
                yield heappop(later)[2]
            yield message
            for event in events:
                heappush(later, (event.at_ms, event.id, event))

    def history(
        self, first: datetime.date, end: datetime.date, messages: int = 1000
    ) -> Iterator[Message | Event]:
        """Return the messages and events of some days, with the rhythm of days and weeks.

        Parameters
        ----------
        first, end : date
            The first day, and the day after the last, in UTC.
        messages : int, default 1000
            How many messages, >= 0. Reactions and edits come on top.

        Returns
        -------
        iterator of Message or Event
            In the order of their times, with `SOURCE` as their source. All is the same each time,
            so that nothing is there twice if it is sent again.

        Raises
        ------
        InputError
            There is no day between, or one before 1970, or the number is below 0.
        """
        if first >= end:
            raise InputError(f"There is no day from {first} to before {end}: begin earlier")
        if first.year < 1970:
            raise InputError(f"{first} is too long ago: begin in 1970 or later")
        if messages < 0:
            raise InputError(f"The number of messages must be 0 or more, not {messages}")
        return self._history(first, (end - first).days, messages)

    def _history(self, first: datetime.date, days: int, messages: int) -> Iterator[Message | Event]:
        crowd = _Crowd(self)
        writers = {
            name: _Writer(name, SOURCE, f"{self} history {first} {days} {messages}")
            for name in self.channel_names
        }
        each = [first + datetime.timedelta(days=n) for n in range(days)]
        weights = [DAYS[day.weekday()] * crowd.chance.uniform(0.8, 1.2) for day in each]
        for day, count in zip(each, _shares(weights, messages), strict=True):
            midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
            begin_ms = int(midnight.timestamp() * 1000)
            yield from sorted(_one_day(crowd, writers, begin_ms, count), key=moment)


def moment(item: Message | Event) -> int:
    """Return when something was said or done, ms since 1970 UTC."""
    return item.sent_ms if isinstance(item, Message) else item.at_ms


def play(
    items: Iterable[Message | Event], sending: Sending, *, stop: threading.Event | None = None
) -> None:
    """Send each item when its time has come, and return after the last one.

    Parameters
    ----------
    items : iterable of Message or Event
        In the order of their times, as `Simulation.live` gives them.
    sending : Sending
        Sends them, and counts.
    stop : threading.Event, optional
        Ends it early once it is set, from any thread.

    Raises
    ------
    ServiceError
        Kafka has not acknowledged some of it; the rest was not sent.
    """
    stop = stop or threading.Event()
    due: list[Message | Event] = []
    for item in items:
        seconds = (moment(item) - now_ms()) / 1000
        if due and (seconds > 0 or len(due) >= AT_ONCE):
            _send(due, sending)
            due = []
            seconds = (moment(item) - now_ms()) / 1000
        if stop.wait(max(0.0, seconds)):
            break
        due.append(item)
    _send(due, sending)


def _send(items: list[Message | Event], sending: Sending) -> None:
    sending.send(items)
    if sending.failed:
        raise ServiceError(
            f"The simulation has stopped, since {sending.failed.total():,} of its messages failed: "
            f"{sending.problems[0]}"
        )


class _Line(msgspec.Struct, frozen=True):
    """What one says in a conversation that is written down."""

    who: str
    """A, B or C, or ``bot``."""
    above: int
    """How many lines above the one is that it answers; 0: it answers none."""
    text: str


class _Texts(msgspec.Struct, frozen=True):
    """What the file beside this holds."""

    words: dict[str, list[str]]
    """What may stand for each ``{word}``."""
    about: dict[str, str]
    """Theme -> what a channel about it is for."""
    talks: dict[str, list[list[_Line]]]
    """Theme -> conversations; those of the theme ``any`` fit everywhere."""


@functools.cache
def _texts() -> _Texts:
    """Read the file beside this.

    First, after ``=``, what may stand for a word. Then conversations with an empty line between
    them: the theme, and what its channel is for; below, who says what. ``^2`` answers the line two
    above, ``^`` the one above.
    """
    written = resources.files("chatkit").joinpath("simulation.txt").read_text(encoding="utf-8")
    head, *blocks = written.strip().split("\n\n")
    words = {}
    for line in head.splitlines():
        word, _, choice = line[1:].partition(" ")
        separator = "|" if "|" in choice else ","
        words[word] = [one.strip() for one in choice.split(separator)]
    about: dict[str, str] = {}
    talks: dict[str, list[list[_Line]]] = {}
    for block in blocks:
        title, *lines = block.splitlines()
        theme, _, what = title[1:].partition(" ")
        about.setdefault(theme, what)
        talks.setdefault(theme, []).append([_line(line) for line in lines])
    return _Texts(words, about, talks)


def _line(written: str) -> _Line:
    mark, _, text = written.partition(" ")
    who, answers, above = mark.partition("^")
    return _Line(who, int(above or 1) if answers else 0, text)


def _themes() -> list[str]:
    return [theme for theme in _texts().about if theme != "any"]


def _numbered(names: list[str], n: int) -> str:
    """Return the n-th of names without end: after the last come ``otter2`` and so on."""
    round_, place = divmod(n, len(names))
    return names[place] + (str(round_ + 1) if round_ else "")


def _shares(weights: list[float], total: int) -> list[int]:
    """Return whole numbers in proportion to weights; their sum is the total."""
    ends = [round(total * end / sum(weights)) for end in itertools.accumulate(weights)]
    return [end - begin for begin, end in itertools.pairwise([0, *ends])]


class _Said(msgspec.Struct, frozen=True):
    """One message of a conversation, and what becomes of it."""

    author: str
    text: str
    pause_ms: int
    """For how long nothing is said before it."""
    above: int
    """How many messages above the one is that it answers; 0: it answers none."""
    slip: str
    """What is sent first, where the text comes as an edit later; else empty."""
    mended_ms: int
    """How long afterwards."""
    reactions: tuple[tuple[str, str, int], ...]
    """Who reacts, by which emoji, and how long afterwards in ms."""

    @property
    def settled_ms(self) -> int:
        """How long afterwards nothing happens to it any more."""
        return max(self.mended_ms, *(after_ms for _, _, after_ms in self.reactions), 0)


class _Crowd:
    """Makes up who says what, by chance with a seed. Not thread-safe."""

    def __init__(self, simulation: Simulation) -> None:
        self.chance = random.Random(simulation.seed)  # noqa: S311  no secret
        self._channels = simulation.channel_names
        self._busy = list(
            itertools.accumulate(1 / (n + 1) ** 0.6 for n in range(len(self._channels)))
        )
        self._names = simulation.names
        self.chance.shuffle(self._names)
        self._talkative = list(itertools.accumulate(1 / (n + 2) for n in range(len(self._names))))
        self._talks = {name: _talks_for(simulation, n) for n, name in enumerate(self._channels)}
        self._coming: dict[str, list[list[_Line]]] = {name: [] for name in self._channels}

    def channel(self) -> str:
        """Return in which channel something is said."""
        return self.chance.choices(self._channels, cum_weights=self._busy)[0]

    def talk(self, channel: str) -> list[_Said]:
        """Return a conversation, of one message or more."""
        lines = self._lines(channel)
        if len(lines) > 1 and self.chance.random() < CUT:
            lines = lines[: self.chance.randrange(1, len(lines))]
        roles = dict(zip("ABC", self._people(3), strict=True)) | {"bot": BOT}
        words = {word: self.chance.choice(choice) for word, choice in _texts().words.items()}
        said: list[_Said] = []
        places: list[int] = []
        for n, line in enumerate(lines):
            answered = places[n - line.above] if line.above else len(said)
            places.append(len(said))
            text = line.text.format_map(words | roles)
            said.append(self._said(roles[line.who], text, len(said) - answered))
            if self.chance.random() < ASIDE:
                remark = self.chance.choice(_texts().words["remark"])
                said.append(self._said(self._people(1)[0], remark, self.chance.randrange(2)))
        return said

    def _lines(self, channel: str) -> list[_Line]:
        """Return what is talked about next: everything once before something comes again."""
        coming = self._coming[channel]
        if not coming:
            coming += self._talks[channel]
            self.chance.shuffle(coming)
        return coming.pop()

    def _said(self, author: str, text: str, above: int) -> _Said:
        slip = _slip(text, self.chance) if self.chance.random() < SLIP and author != BOT else ""
        return _Said(
            author=author,
            text=text,
            pause_ms=self._some_ms(3.4),
            above=above,
            slip=slip,
            mended_ms=self._some_ms(3.2) if slip else 0,
            reactions=tuple(self._reactions(author, text)),
        )

    def _reactions(self, author: str, text: str) -> Iterator[tuple[str, str, int]]:
        emojis = EMOJIS_FOR_QUESTIONS if text.endswith("?") else EMOJIS
        given = {author}
        while self.chance.random() < REACTION:
            (who,) = self._people(1)
            if who not in given:
                given.add(who)
                yield who, self.chance.choice(emojis), self._some_ms(3.4)

    def _people(self, count: int) -> list[str]:
        """Return that many people, each once."""
        found: dict[str, None] = {}
        while len(found) < count:
            found[self.chance.choices(self._names, cum_weights=self._talkative)[0]] = None
        return list(found)

    def _some_ms(self, logarithm: float) -> int:
        """Return a time of mostly some e to that many seconds, at most a quarter of an hour."""
        return int(min(900.0, 2 + self.chance.lognormvariate(logarithm, 0.9)) * 1000)


def _talks_for(simulation: Simulation, n: int) -> list[list[_Line]]:
    """Return the conversations that fit into the n-th channel; into one with a name, all do."""
    talks = _texts().talks
    if not isinstance(simulation.channels, int):
        return [talk for each in talks.values() for talk in each]
    return 3 * talks[_themes()[n % len(_themes())]] + talks["any"]


def _slip(text: str, chance: random.Random) -> str:
    """Return a text with two letters in the wrong order, or "" if there is no good place."""
    places = [
        n
        for n in range(1, len(text) - 1)
        if text[n - 1 : n + 2].isalpha() and text[n] != text[n + 1] and text.isascii()
    ]
    if not places or "://" in text or "@" in text or "`" in text:
        return ""
    n = chance.choice(places)
    return text[:n] + text[n + 1] + text[n] + text[n + 2 :]


class _Writer:
    """Makes messages and events of what is said in one channel. Not thread-safe."""

    def __init__(self, channel: str, source: str, key: str) -> None:
        self._channel = channel
        self._source = source
        self._ids = random.Random(f"{key} {channel}")  # noqa: S311  no secret
        self._above: deque[str] = deque(maxlen=20)

    def write(self, said: _Said, at_ms: int) -> tuple[Message, list[Event]]:
        """Return a message, and what happens to it later."""
        message = Message(
            id=self._id(),
            channel=self._channel,
            author=said.author,
            body=said.slip or said.text,
            sent_ms=at_ms,
            reply_to=self._above[-said.above] if said.above else None,
            bot=said.author == BOT,
            source=self._source,
        )
        self._above.append(message.id)
        events: list[Event] = [
            React(
                id=self._id(),
                channel=self._channel,
                actor=who,
                at_ms=at_ms + after_ms,
                target=message.id,
                source=self._source,
                emoji=emoji,
            )
            for who, emoji, after_ms in said.reactions
        ]
        if said.slip:
            events.append(
                Edit(
                    id=self._id(),
                    channel=self._channel,
                    actor=said.author,
                    at_ms=at_ms + said.mended_ms,
                    target=message.id,
                    source=self._source,
                    body=said.text,
                )
            )
        return message, events

    def _id(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))


def _one_day(
    crowd: _Crowd, writers: dict[str, _Writer], begin_ms: int, messages: int
) -> Iterator[Message | Event]:
    """Yield what is said and done within a day, one conversation after the other."""
    left = messages
    while left:
        channel = crowd.channel()
        talk = crowd.talk(channel)[:left]
        left -= len(talk)
        (hour,) = crowd.chance.choices(range(24), HOURS)
        at_ms = int((hour + crowd.chance.random()) * 60 * 60 * 1000)
        length = sum(said.pause_ms for said in talk) + max(said.settled_ms for said in talk)
        at_ms = begin_ms + min(at_ms, DAY_MS - 1 - length)
        for said in talk:
            at_ms += said.pause_ms
            message, events = writers[channel].write(said, at_ms)
            yield message
            yield from events
