"""IRC logs as text, of the common programs -> messages and events.

The forms are those of Ubuntu's log bot and EnergyMech (``[09:16] <will> hi``), ZNC, irssi, WeeChat,
mIRC, XChat and HexChat: with or without seconds, dates and channels in the line. What becomes of a
line:

- ``<nick> text``, a notice (``-nick- text``) and ``(nick/#channel) text`` are messages; an action
  (``* nick waves``) is one with the text ``/me waves``, which is what was typed. Colours and bold
  are left out.
- Joining is an event; leaving, quitting and being kicked are another. Nick changes, modes, topics
  and what else the system says is skipped with the reason.
- A line that has none of the known forms is skipped as lost: it may have been a message.

The day is the line's own, else that of the last line that tells it (``--- Day changed``, ``Session
Start``, ...), else that of the file's name. What such logs leave open is decided by these rules,
and each time told in a note:

- Lines without a time, such as ``=== will is now known as bill``, have that of the line above.
- A step back by more than an hour is midnight, if the log knows hours over 12. If it does not, its
  clock counts to 12: the first half of the day is taken as morning, and the step is noon. Where
  neither such an hour nor a step is in a file, the times stand as they are.
- After a smaller step back lines have the time of the line above until the clock has caught up;
  but in the hour that the zone has twice, the second one is meant.

Line order is what counts, and lines of one minute (or second) have no order by time. So each has
one millisecond more than the line above, and the archive's order by time is line order however many
partitions the channel has. With more lines than milliseconds the rest share the last one.

Lines have no ids. An id comes from the channel, the time as the line tells it, author, text, and
which such line of that minute or second it is; so a log that has grown gives what it gave before,
and the rest. A file is read line by line: memory stays flat.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

from chatkit.importers import (
    ImportedChannel,
    Item,
    author_name,
    channel_name,
    open_bytes,
    stable_id,
)
from chatkit.importers.irc import lines
from chatkit.importers.irc.clock import DAY_LINE, TIME, Clock, day_of, dial
from chatkit.importers.irc.files import (
    IDENT,
    TOO_LONG,
    Log,
    channels_inside,
    chunks,
    ident,
    logs_in,
    texts,
)
from chatkit.importers.irc.links import Links
from chatkit.importers.reading import Place, messages_of, time_zone
from chatkit.message import BODY_LIMIT, Join, Leave, Message

__all__ = ["BOTS", "channels", "read"]

SOURCE = "irc"
BOTS = ("ubottu", "ubotu")
"""Nicks of programs that write in many channels."""
EARLY = 1000
"""Lines without a time that may come before the first with one."""
SHORT = BODY_LIMIT // 4
"""Characters of which a body has never too many bytes."""
SHOWN = 200
UNKNOWN = "none of the known forms of a line"
NO_TIME = "no line above tells a time, nor one below"
NO_LINE = "\n"
"""No line begins like this."""


class _Moment:
    """The lines of one channel that have the same time, as far as they were read."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.ms = -1
        self.lines = 0
        self.like: dict[str, int] = {}

    def sent_ms(self, ms: int, step_ms: int) -> int:
        """Return the time of the next line: each has a millisecond more than the one above."""
        if ms != self.ms:
            self.ms, self.lines, self.like = ms, 0, {}
        number = self.lines
        self.lines = number + 1
        return ms + (number if number < step_ms else step_ms - 1)

    def own_id(self, author: str, kind: str, text: str) -> str:
        """Return the id of what a line says."""
        what = f"{self.ms}\0{author}\0{kind}\0{text}"
        number = self.like.get(what, 0)
        self.like[what] = number + 1
        return stable_id(SOURCE, "", self.channel, f"{what}\0{number}")


def channels(
    paths: Sequence[Path],
    *,
    channel: str | None = None,
    zone: str = "UTC",
    links: bool = False,
    bots: Collection[str] = (),
) -> list[ImportedChannel]:
    """Return the channels of some logs, sorted by name.

    Parameters
    ----------
    paths : sequence of Path
        Logs, and folders of them (files that end in ``.log``, ``.txt`` or ``.weechatlog``).
    channel : str, optional
        Name of the channel here, for all of the logs. Default: as the file's name tells after a
        ``#``, else as each line does.
    zone : str, default "UTC"
        Time zone of the logs' clock, such as ``Europe/Berlin``; lines with an offset need none.
    links : bool, default False
        Whether to take replies from the files ``<log>.annotation.txt`` beside the logs (without
        the ``.raw.txt``, ``.txt`` or ``.log`` of their names).
    bots : collection of str, default ()
        Nicks of programs, besides `BOTS`.

    Returns
    -------
    list of ImportedChannel
        With the names that :func:`read` uses.

    Raises
    ------
    ImportFormatError
        A file that was named is no IRC log, or no file of a folder is.
    InputError
        A path leads nowhere, ``channel`` or ``zone`` can't be, or nothing names the channel.
    """
    logs, _ = logs_in(paths, channel)
    time_zone(zone)
    found = {log.channel: log.source_channel for log in logs if log.channel}
    for log in logs:
        if not log.channel:
            inside = channels_inside(log.path)
            found.update((channel_name(name.lstrip("#&")), name) for name in inside)
    return [ImportedChannel(name=n, source_name=found[n] or n) for n in sorted(found) if n]


def read(
    paths: Sequence[Path],
    *,
    channel: str | None = None,
    zone: str = "UTC",
    links: bool = False,
    bots: Collection[str] = (),
) -> Iterator[Item]:
    """Return what is in some logs, sorted by the day and then the name of the files.

    Parameters
    ----------
    paths, channel, zone, links, bots
        As for :func:`channels`.

    Returns
    -------
    iterator of Message, Join, Leave, Skipped or Mended
        Every message and event can be encoded; positions are line numbers from 0. Files are opened
        while iterating; one that can't be read is skipped with the reason.

    Raises
    ------
    ImportFormatError, InputError
        As for :func:`channels`. Raised at once, not while iterating.
    """
    logs, notes = logs_in(paths, channel)
    return _read(logs, notes, time_zone(zone), links, {name.lower() for name in (*BOTS, *bots)})


def _read(
    logs: list[Log],
    notes: list[Item],
    zone: zoneinfo.ZoneInfo,
    links: bool,
    bots: Collection[str],
) -> Iterator[Item]:
    yield from notes
    moments: dict[str, _Moment] = {}
    for log in logs:
        reader = _Reader(log, zone, Links(log.path) if links else Links(), bots, moments)
        yield from reader.items()


class _Reader:
    """Reads one log, once."""

    def __init__(
        self,
        log: Log,
        zone: zoneinfo.ZoneInfo,
        links: Links,
        bots: Collection[str],
        moments: dict[str, _Moment],
    ) -> None:
        self._log = log
        self._zone = zone
        self._links = links
        self._bots = bots
        self._moments = moments
        self._channel = log.channel
        self._people: dict[str, tuple[str, bool, str]] = {}
        self._early: list[tuple[int, str, lines.Happening]] = []
        self._borrowed = False

    def items(self) -> Iterator[Item]:
        """Yield what is in the log."""
        try:
            with self._log.path.open("rb") as file:
                clock = Clock(self._zone, self._log.day, dial(chunks(file)))
            with open_bytes(self._log.path) as file:
                yield from self._lines(file, clock)
        except OSError as error:
            yield Place(self._log.path.name).skipped("can't be read", "file", str(error), lost=True)
        yield from self._links.rest()

    def _lines(self, file: IO[bytes], clock: Clock) -> Iterator[Item]:
        prefix, tabbed = NO_LINE, False
        ms: int | None = None
        for number, line, trouble in texts(file):
            if trouble == TOO_LONG:
                yield self._place(number).skipped(TOO_LONG, detail=line[:SHOWN], lost=True)
                continue
            if trouble:
                yield self._place(number).mended(trouble)
            if not line.startswith(prefix):  # else it has the time of the line above
                match = TIME.match(line)
                if match is None:
                    prefix = NO_LINE
                    yield from self._without_time(number, line, clock)
                    continue
                first = clock.ms is None
                prefix, tabbed = match[0], match[0].endswith("\t")
                ms = clock.read(match)
                yield from map(self._place(number).mended, clock.notes)
                clock.notes.clear()
                if ms is not None and first:
                    yield from self._begin(number, ms, clock)
            if ms is None:
                reason = "no such time, or nothing tells its day"
                yield self._place(number).skipped(reason, detail=line[:SHOWN], lost=True)
                continue
            said = lines.spoken(line[len(prefix) :], tabbed)
            if isinstance(said, lines.Spoken):
                yield from self._text(number, said, ms, clock)
            elif said is not None:
                yield from self._event(number, line, said, ms, clock)
            else:
                yield self._place(number).skipped(UNKNOWN, detail=line[:SHOWN], lost=True)
        for number, line, _ in self._early:
            yield self._place(number).skipped(NO_TIME, detail=line[:SHOWN], lost=True)

    def _place(self, number: int) -> Place:
        return Place(self._log.path.name, number)

    def _begin(self, number: int, ms: int, clock: Clock) -> Iterator[Item]:
        """Yield what came before the first time, with that time."""
        moment = self._moments.get(self._channel)
        if moment is not None and ms < moment.ms:
            yield self._place(number).mended("begins before the end of the log before it")
        for earlier, line, happening in self._early:
            yield from self._event(earlier, line, happening, ms, clock)
        self._early = []

    def _without_time(self, number: int, line: str, clock: Clock) -> Iterator[Item]:
        place = self._place(number)
        if match := DAY_LINE.match(line):
            day = day_of(match)
            if day is None:
                yield place.skipped("there is no such day", detail=line[:SHOWN], lost=True)
            else:
                clock.set_day(day)
                yield place.skipped("a line that tells the day")
        elif line.startswith(IDENT):
            if not self._log.channel:
                self._channel = channel_name(ident(line).lstrip("#&"))
            yield place.skipped("a line that tells the channel")
        elif isinstance(happening := lines.happening(line), lines.Happening):
            if not self._borrowed:
                self._borrowed = True
                yield place.mended("lines without a time have that of the line above")
            if clock.ms is not None:
                yield from self._event(number, line, happening, clock.ms, clock)
            elif len(self._early) < EARLY:
                self._early.append((number, line, happening))
            else:
                yield place.skipped(NO_TIME, detail=line[:SHOWN], lost=True)
        else:
            yield place.skipped(UNKNOWN, detail=line[:SHOWN], lost=True)

    def _text(
        self, number: int, said: lines.Spoken, ms: int, clock: Clock
    ) -> tuple[Item, ...] | Iterator[Item]:
        """Return what a line with a text is: a message, with rare exceptions."""
        author, bot, channel = self._people.get(said.nick) or self._person(said.nick)
        moment = self._moment(said.channel or channel)
        body = said.body
        if not body.isprintable():
            body = lines.plain(body)
        if moment is None or not author:
            reason = "names no channel" if author else "no nick"
            return (self._place(number).skipped(reason, detail=body[:SHOWN], lost=True),)
        if not body or body.isspace():
            return (self._place(number).skipped("no text"),)
        sent_ms = moment.sent_ms(ms, clock.step_ms)
        own_id = moment.own_id(author, "", body)
        message = Message(
            id=own_id,
            channel=moment.channel,
            author=author,
            body=body,
            sent_ms=sent_ms,
            reply_to=self._links.reply_to(number, own_id),
            bot=bot,
            source=SOURCE,
        )
        return (message,) if len(body) <= SHORT else messages_of(message, self._place(number))

    def _event(
        self, number: int, line: str, happening: lines.Happening, ms: int, clock: Clock
    ) -> Iterator[Item]:
        place = self._place(number)
        if not happening.kind:
            yield place.skipped(happening.text, detail=line[:SHOWN])
            return
        actor = self._person(happening.text)[0]
        moment = self._moment(happening.channel)
        if moment is None or not actor:
            reason = "names no channel" if actor else "no nick"
            yield place.skipped(reason, detail=line[:SHOWN], lost=True)
            return
        at_ms = moment.sent_ms(ms, clock.step_ms)
        yield (Join if happening.kind == "join" else Leave)(
            id=moment.own_id(actor, happening.kind, ""),
            channel=moment.channel,
            actor=actor,
            at_ms=at_ms,
            source=SOURCE,
        )

    def _moment(self, named: str) -> _Moment | None:
        """Return the moment of a channel: the log's, else the one that a line names."""
        channel = self._channel or channel_name(named.lstrip("#&"))
        if not channel:
            return None
        moment = self._moments.get(channel)
        if moment is None:
            moment = self._moments[channel] = _Moment(channel)
        return moment

    def _person(self, nick: str) -> tuple[str, bool, str]:
        """Return the author that a nick stands for, whether that is a bot, and a channel."""
        bare, channel = lines.nick(nick)
        author = author_name(bare)
        person = self._people[nick] = (author, author.lower() in self._bots, channel)
        return person
