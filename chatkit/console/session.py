"""The chat in a terminal: binds a room to the screen.

Everything here happens on the thread of the event loop; the room's thread only hands over what has
changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

from chatkit import commands
from chatkit.console.news import (
    QUIET_SECONDS,
    SETTLE_SECONDS,
    ChannelNews,
    Happening,
    reactions,
    status_news,
)
from chatkit.console.screen import Screen, Suggestion, terminal
from chatkit.console.text import (
    Fragments,
    day_line,
    day_of,
    failed_lines,
    lens_lines,
    note_line,
    one_line,
    pending_line,
    problem_line,
    row_lines,
    shorten,
    time_of,
)
from chatkit.errors import ChannelNotFoundError, ChatkitError, InputError, ServiceError
from chatkit.message import Message, check_channel_name, encode
from chatkit.room import (
    Change,
    ChannelReset,
    ChannelsChanged,
    ChannelSummary,
    ChatRoom,
    OverviewChanged,
    ProblemRaised,
    RoomStatus,
    RowsChanged,
    StatusChanged,
)
from chatkit.settings import Settings
from chatkit.timeline import Row
from chatkit.wording import counted

__all__ = ["chat"]

PAGE = 20
"""Messages to show of a channel that is entered."""
BURST = 200
"""Messages of one moment to print; the rest is counted."""
HISTORY = 50
"""Messages that /history shows where no number is given."""
PENDING_LINES = 5
LATE_SECONDS = 1.0
"""In which older messages that were added are counted together."""


def chat(settings: Settings, channel: str | None = None) -> int:
    """Chat in this terminal until the user leaves.

    Parameters
    ----------
    settings : Settings
        Where Kafka and MongoDB are, and who writes.
    channel : str, optional
        The channel to show first. Default: the user chooses.

    Returns
    -------
    int
        How many messages were written and not acknowledged; their texts were printed.

    Raises
    ------
    ChannelNameError
        No channel can have this name.
    """
    if channel is not None:
        check_channel_name(channel)
    room = ChatRoom(settings).open()
    try:
        with terminal():
            return asyncio.run(_Chat(room).run(channel))
    finally:
        room.close()


class _View:
    """What the screen knows of a channel that was entered."""

    def __init__(self) -> None:
        self.phase = "opening"
        """``opening``, ``failed``, ``settling`` (its first messages come), ``open``."""
        self.news = ChannelNews()
        self.pending: dict[str, Message] = {}
        self.failed: dict[str, Row] = {}
        self.held: list[Message] = []
        """Written before the channel was open."""
        self.unread = 0
        self.late = 0
        self.loading = False
        self.stirred = asyncio.Event()

    @property
    def waiting(self) -> list[Message]:
        """What is not sent yet."""
        return [*self.pending.values(), *self.held]


class _Chat:
    """One chat, from the first line to the last."""

    def __init__(self, room: ChatRoom) -> None:
        self._room = room
        self._me = room.user
        self._channel: str | None = None
        self._views: dict[str, _View] = {}
        self._listed: list[str] = []
        self._day: date | None = None
        self._status = RoomStatus(kafka="")
        self._summaries: dict[str, ChannelSummary] = {}
        self._lens = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._screen = Screen(
            prompt=self._prompt, toolbar=self._toolbar, suggest=self._suggest, accept=self._accept
        )

    async def run(self, channel: str | None) -> int:
        """Chat until the user leaves; return how many messages were not sent."""
        loop = asyncio.get_running_loop()
        self._note("chatkit: Enter sends, Alt+Enter breaks the line, /help has more, Ctrl-D leaves")

        def hand_over(change: Change) -> None:
            loop.call_soon_threadsafe(self._on_change, change)

        stop = self._room.observe(hand_over)
        if channel is None:
            self._list_channels(asked=False)
        else:
            self._enter(channel)
        draft = ""
        try:
            draft = await self._screen.run()
            for task in self._tasks:
                task.cancel()
            waiting = sum(len(view.pending) for view in self._views.values())
            if waiting:
                self._note(f"Waiting until {counted(waiting, 'message')} is with Kafka")
            await loop.run_in_executor(None, self._room.close)
            for name, view in self._views.items():
                if view.phase == "settling":  # left so soon, and perhaps something was written
                    view.failed.clear()  # told below
                    self._open(name, view)
        finally:
            stop()
            unsent = self._unsent()
            for message, reason in unsent:
                self._print(failed_lines(message, reason, self._columns))
            if draft.strip():
                self._problem(f"Not sent: {draft}")
            self._screen.flush()
        return len(unsent)

    def _unsent(self) -> list[tuple[Message, str]]:
        """Return what is not with Kafka, as far as we know, and why."""
        found = [
            (row.message, row.reason)
            for channel in self._views
            for row in self._room.rows(channel)
            if row.state != "sent" and row.message is not None
        ]
        held = (message for view in self._views.values() for message in view.held)
        return found + [(message, "The channel was not open yet") for message in held]

    # What is drawn at the bottom, again and again.

    def _prompt(self) -> Fragments:
        columns = self._columns
        waiting = [one for view in self._views.values() for one in view.waiting]
        lines: Fragments = []
        for message in waiting[:PENDING_LINES]:
            lines += pending_line(message, columns)
        if len(waiting) > PENDING_LINES:
            lines += note_line(f"{len(waiting) - PENDING_LINES:,} more (sending)")
        where = "which channel?" if self._channel is None else f"#{self._channel}"
        width = max(8, columns // 3)
        text = f"{shorten(where, width)} {shorten(one_line(self._me), width)}> "
        return [*lines, ("class:quiet", text)]

    def _toolbar(self) -> Fragments:
        parts = ["no channel" if self._channel is None else f"#{self._channel}"]
        parts.append(f"{one_line(self._me)} (me)")
        failed = sum(len(view.failed) for view in self._views.values())
        if failed:
            parts.append(f"{failed:,} not sent: /retry")
        waiting = sum(len(view.waiting) for view in self._views.values())
        if waiting:
            parts.append(f"{waiting:,} sending")
        for name, count in self._news().items():
            parts.append(f"#{self._title(name)}: {count:,} new")
        status = self._room.status
        troubles = {"Kafka": self._status.kafka, "MongoDB": self._status.mongo}
        away = {name: text for name, text in troubles.items() if text}
        parts += [f"{name} is away: {one_line(text)}" for name, text in away.items()]
        if not away:
            parts.append("connected" if status.connected else status.kafka)
        return [("", f" {' · '.join(parts)} ")]

    def _suggest(self, text: str) -> Iterator[Suggestion]:
        word, space, rest = text.partition(" ")
        if self._channel is None and not text.startswith("/"):
            rest, names = text, True
        else:
            names = word == "/join" and bool(space)
        if names:
            rest = rest.lstrip(" ")
            for name in self._room.channels():
                if name.startswith(rest):
                    yield Suggestion(name, len(rest))
        elif text.startswith("/") and not space:
            for name, _, about in self._words():
                if name.startswith(text[1:]):
                    yield Suggestion(f"/{name}", len(text), about)

    # What is printed.

    def _print(self, fragments: Fragments) -> None:
        self._screen.print(fragments)

    @property
    def _columns(self) -> int:
        return self._screen.size[0]

    def _problem(self, text: str) -> None:
        self._print(problem_line(text, self._columns))

    def _note(self, text: str) -> None:
        self._print(note_line(text, self._columns))

    def _print_rows(self, rows: Sequence[Row]) -> None:
        lines: Fragments = []
        for row in rows:
            if row.message is not None:
                day = day_of(row.message.sent_ms)
                if day != self._day:
                    self._day = day
                    lines += day_line(day)
            answered = None if row.message is None else row.message.reply_to
            quoted = None if answered is None else self._room.row(row.channel, answered)
            lines += row_lines(row, self._me, self._columns, quoted)
        self._print(lines)
        looked_at = [row for row in rows if row.message is not None]
        if self._lens and looked_at:
            self._spawn(self._look(looked_at[0].channel, looked_at))

    def _sent(self, channel: str) -> list[Row]:
        rows = self._room.rows(channel)
        return [row for row in rows if row.state == "sent" and row.actor != self._me]

    def _show_page(self, channel: str) -> None:
        """Print the newest messages of a channel, and what of ours could not be sent."""
        view = self._views[channel]
        rows = self._sent(channel)
        count = min(max(PAGE, view.unread), BURST)
        view.unread, self._day = 0, None
        more = len(rows) > count or self._room.has_older(channel)
        if not more and all(row.actor for row in rows):
            hint = ", nobody has written here yet"
        else:
            hint = ", older messages: /history" if more else ""
        self._print([("bold", f"#{channel}"), ("class:quiet", f"{hint}\n")])
        self._print_rows(rows[-count:])
        for row in view.failed.values():
            self._tell_failed(row)
        self._room.mark_read(channel)

    # What the room says.

    def _on_change(self, change: Change) -> None:
        match change:
            case RowsChanged(channel=channel, rows=rows):
                self._on_rows(channel, rows)
            case ChannelReset(channel=channel):
                self._on_reset(channel)
            case ChannelsChanged():
                if self._channel is None and not self._listed:
                    self._list_channels(asked=False)
            case StatusChanged(status=status):
                self._on_status(status)
            case OverviewChanged(channels=summaries):
                self._summaries = {one.channel: one for one in summaries}
            case ProblemRaised(text=text):
                self._problem(text)
        self._screen.refresh()

    def _on_status(self, status: RoomStatus) -> None:
        if status.kafka == RoomStatus().kafka:  # it is only starting
            status = RoomStatus(kafka="", mongo=status.mongo)
        for text, bad in status_news(self._status, status):
            (self._problem if bad else self._note)(text)
        self._status = status
        for channel, view in self._views.items():
            if view.phase == "failed" and not (status.kafka and status.mongo):
                view.phase = "opening"
                self._spawn(self._join(channel, view))

    def _on_reset(self, channel: str) -> None:
        view = self._views.get(channel)
        if view is not None and view.phase == "open":
            view.news, view.phase = ChannelNews(), "settling"
            self._note(f"#{channel} was deleted and made again")
            self._spawn(self._settle(channel, view))

    def _on_rows(self, channel: str, rows: tuple[Row, ...]) -> None:
        view = self._views.get(channel)
        if view is None:
            return
        view.stirred.set()
        for row in rows:
            view.pending.pop(row.id, None)
            view.failed.pop(row.id, None)
            if row.state == "pending" and row.message is not None:
                view.pending[row.id] = row.message
            elif row.state == "failed":
                view.failed[row.id] = row
        if view.phase != "open":
            return
        happenings, late = view.news.look(rows)
        if late and not view.loading:
            if not view.late:
                asyncio.get_running_loop().call_later(LATE_SECONDS, self._tell_late, channel, view)
            view.late += late
        self._tell(channel, view, happenings)

    def _tell(self, channel: str, view: _View, happenings: list[Happening]) -> None:
        for one in happenings:
            if one.kind == "failed":
                self._tell_failed(one.row)
        if channel != self._channel:
            view.unread += sum(one.kind == "row" and not one.row.actor for one in happenings)
            return
        new = [one.row for one in happenings if one.kind == "row" and one.row.actor != self._me]
        if len(new) > BURST:
            self._note(f"{len(new) - BURST:,} messages came at once, /history {len(new)} has all")
        self._print_rows(new[-BURST:])
        for one in happenings[-BURST:]:
            self._tell_event(one)
        if new:
            self._room.mark_read(channel)

    def _tell_event(self, one: Happening) -> None:
        if one.row.message is None or one.row.folded is None:
            return
        author = one_line(one.row.message.author)
        before = shorten(one_line(one.before), 30)
        at = time_of(one.row.message.sent_ms)
        if one.kind == "edit":
            self._note(f"{author} edited the message of {at}: {one_line(one.row.folded.body)}")
        elif one.kind == "delete":
            self._note(f"a message of {author}'s was deleted, of {at}: {before}")
        elif one.kind == "react":
            now = one_line(reactions(one.row)) or "no emoji any more"
            text = shorten(one_line(one.row.folded.body), 30)
            self._note(f"{now} under {author}'s message of {at}: {text}")

    def _tell_failed(self, row: Row) -> None:
        if row.message is not None:
            reason = f"{row.reason}. /retry sends it again"
            self._print(failed_lines(row.message, reason, self._columns))

    def _tell_late(self, channel: str, view: _View) -> None:
        late, view.late = view.late, 0
        if channel == self._channel:
            self._note(f"{counted(late, 'older message')} came in above: see /history")

    # Channels.

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin what takes time; what goes wrong is shown."""

        async def run() -> None:
            try:
                await work
            except ChatkitError as error:
                self._problem(str(error))

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _enter(self, channel: str) -> None:
        """Show a channel from now on."""
        check_channel_name(channel)
        former, self._channel = self._channel, channel
        view = self._views.get(channel)
        if view is None:
            view = self._views[channel] = _View()
            self._spawn(self._join(channel, view, former))
        elif view.phase == "open":
            self._show_page(channel)

    async def _join(self, channel: str, view: _View, former: str | None = None) -> None:
        try:
            await asyncio.wrap_future(self._room.join(channel, member=True))
        except ChannelNotFoundError:
            self._give_up(channel, view, former)
            return
        except ServiceError:
            view.phase = "failed"  # why, the status says
            return
        view.phase = "settling"
        for message in view.held:
            self._room.send(channel, message.body, message_id=message.id)
        view.held.clear()
        await self._settle(channel, view)

    def _give_up(self, channel: str, view: _View, former: str | None) -> None:
        """Leave a channel that there is not."""
        del self._views[channel]
        if self._channel == channel:
            self._channel = former
        self._problem(f"There is no channel {channel}. /create {channel} makes it")
        for message in view.held:
            self._print(failed_lines(message, "There is no such channel", self._columns))
        if self._channel is None:
            self._list_channels(asked=False)
            self._screen.offer(f"/create {channel}")

    async def _settle(self, channel: str, view: _View) -> None:
        """Show a channel once what Kafka has of it has come."""
        loop = asyncio.get_running_loop()
        end = loop.time() + SETTLE_SECONDS
        quiet = QUIET_SECONDS if self._room.rows(channel) else QUIET_SECONDS * 3
        try:
            while (left := end - loop.time()) > 0:
                view.stirred.clear()
                await asyncio.wait_for(view.stirred.wait(), min(quiet, left))
        except TimeoutError:
            pass
        self._open(channel, view)

    def _open(self, channel: str, view: _View) -> None:
        """Show what a channel has by now; what comes from now on is news."""
        view.news.begin(self._room.rows(channel))
        view.phase = "open"
        if channel == self._channel:
            self._show_page(channel)

    def _list_channels(self, *, asked: bool) -> None:
        self._listed = self._room.channels()
        if self._listed:
            self._note("Channels:")
        elif self._room.status.connected:
            self._note("There is no channel yet. /create general makes one")
            if self._channel is None:
                self._screen.offer("/create general")
        elif asked:
            self._note("Which channels there are, nobody knows before Kafka answers")
        for number, name in enumerate(self._listed, 1):
            view = self._views.get(name)
            mark = "*" if name == self._channel else "+" if view is not None else " "
            self._print(
                [
                    ("class:quiet", f"{number:>4} {mark} "),
                    ("", one_line(self._title(name))),
                    ("class:waiting", f"{self._unread(name)}\n"),
                ]
            )
        if self._listed and self._channel is None:
            self._note("Write a number or a name; Tab completes it")

    def _title(self, channel: str) -> str:
        """Return a channel's name, of a direct one who is in it."""
        summary = self._summaries.get(channel)
        return f"@{summary.title}" if summary is not None and summary.direct else channel

    def _news(self) -> dict[str, int]:
        """Return how many messages are unread of each channel that is not on the screen."""
        found = {name: one.unread for name, one in self._summaries.items() if not one.muted}
        for name, view in self._views.items():  # also while MongoDB is away
            found[name] = max(view.unread, found.get(name, 0))
        found.pop(self._channel or "", None)
        return {name: count for name, count in found.items() if count}

    def _unread(self, channel: str) -> str:
        """Return how much is unread of a channel, as text behind its name."""
        summary = self._summaries.get(channel)
        if summary is None or not summary.unread or channel == self._channel:
            return ""
        count = "99+" if summary.unread > 99 else f"{summary.unread}"
        mentions = f", {counted(summary.mentions, 'mention')}" if summary.mentions else ""
        return f"  {count} unread{mentions}"

    def _find(self, text: str) -> str:
        """Return the channel that a name or a number in the last list means."""
        if text not in self._room.channels() and text.isdecimal():
            number = int(text)
            if 1 <= number <= len(self._listed):
                return self._listed[number - 1]
        return text

    # What the user writes.

    def _accept(self, text: str) -> str:
        """Do what was written; return what to leave in the prompt."""
        try:
            if not text.strip():
                pass
            elif text.startswith("/") and not text.startswith("//"):
                self._command(text)
            elif self._channel is None:
                self._enter(self._find(text.strip()))
            else:
                self._send(self._channel, text.removeprefix("/") if text[:2] == "//" else text)
        except ChatkitError as error:
            self._problem(str(error))
            return text
        return ""

    def _send(self, channel: str, body: str) -> None:
        view = self._views[channel]
        if view.phase in ("opening", "failed"):
            message = Message.new(channel, self._me, body)
            encode(message)  # or say now why it can't be sent
            view.held.append(message)
        else:
            message = self._room.send(channel, body)
            view.pending[message.id] = message

    def _command(self, text: str) -> None:
        word, _, rest = text[1:].partition(" ")
        command = COMMANDS.get(word)
        if command is not None:
            command.run(self, rest.strip())
        elif self._channel is None and word in commands.COMMANDS:
            raise InputError("Choose a channel first")
        else:
            self._obey(self._channel or "", text)

    def _obey(self, channel: str, line: str) -> None:
        """Do what a command says that panel and console share."""
        done = commands.run(self._room, channel, line)
        if isinstance(done, commands.Outcome):
            self._show(channel, done)
            return

        async def wait() -> None:
            outcome = await asyncio.wrap_future(done)
            if isinstance(outcome, commands.Outcome):
                self._show(channel, outcome)

        self._spawn(wait())

    def _show(self, channel: str, outcome: commands.Outcome) -> None:
        for line in outcome.text.splitlines():
            self._note(line)
        if outcome.rows:
            self._note(f"Found for {one_line(outcome.query)}, the newest last:")
            self._day = None
            for row in reversed(outcome.rows):
                self._print([("class:quiet", f"#{row.channel} ")])
                self._print_rows([row])
        if outcome.lens:
            self._lens = not self._lens
            self._note("Each message shows where it lies in Kafka" if self._lens else "Lens off")
        if outcome.left:
            self._views.pop(channel, None)
            self._channel = None
            self._list_channels(asked=False)
        if outcome.channel is not None:
            self._enter(outcome.channel)

    async def _look(self, channel: str, rows: list[Row]) -> None:
        """Print what Kafka and MongoDB hold of rows."""
        found = await asyncio.wrap_future(self._room.lens(channel, [row.id for row in rows]))
        for lens in found.values():
            for line in lens_lines(lens):
                self._note(line)

    def join(self, name: str) -> None:
        """Enter a channel."""
        if not name:
            self._list_channels(asked=True)
            raise InputError("Which one? Write /join and a name, or a number of this list")
        self._enter(self._find(name))

    def channels(self, _rest: str) -> None:
        """List the channels."""
        self._list_channels(asked=True)

    def create(self, rest: str) -> None:
        """Make a channel and enter it."""
        name, _, description = rest.partition(" ")
        check_channel_name(name)

        async def make() -> None:
            await asyncio.wrap_future(self._room.create_channel(name, description.strip()))
            self._note(f"#{name} is made, and you moderate it")
            self._enter(name)

        self._spawn(make())

    def history(self, rest: str) -> None:
        """Print the last messages, also those that are not here yet."""
        if rest and not (rest.isdecimal() and int(rest) > 0):
            raise InputError("How many? /history 100 shows the last hundred messages")
        if self._channel is None:
            raise InputError("Choose a channel first")
        self._spawn(self._history(self._channel, int(rest or HISTORY)))

    async def _history(self, channel: str, count: int) -> None:
        view = self._views[channel]
        view.loading = True
        problem: ServiceError | None = None
        try:
            while len(rows := self._sent(channel)) < count and self._room.has_older(channel):
                if not await asyncio.wrap_future(self._room.load_older(channel)):
                    break
        except ServiceError as error:
            problem = error
        view.news.note(self._room.rows(channel))
        view.loading = False
        self._day = None
        self._note(f"The last {counted(min(count, len(rows)), 'message')} of #{channel}")
        self._print_rows(rows[-count:])
        self._note("End of the history")
        if problem is not None:
            raise problem

    def retry(self, _rest: str) -> None:
        """Send what failed once more, each under its id."""
        failed = [(name, each) for name, view in self._views.items() for each in view.failed]
        if not failed:
            self._note("Nothing failed")
        for channel, message_id in failed:
            self._room.retry(channel, message_id)

    def leave(self, _rest: str) -> None:
        """End the chat."""
        self._screen.leave()

    def help(self, _rest: str) -> None:
        """Print all commands and keys."""
        words = [(f"/{name} {usage}", about) for name, usage, about in self._words()]
        width = max(len(usage) for usage, _ in words)
        for usage, about in (*words, *KEYS):
            self._print([("class:command", f"  {usage:<{width}}"), ("", f"  {about}\n")])

    def _words(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, usage and meaning of each command."""
        for name, one in COMMANDS.items():
            yield name, one.arguments, one.about
        for name, usage, about in commands.commands(self._room):
            if name not in COMMANDS:
                yield name, usage, about


class _Command(NamedTuple):
    arguments: str
    about: str
    run: Callable[[_Chat, str], None]


COMMANDS = {
    "join": _Command("NAME", "enter a channel", _Chat.join),
    "channels": _Command("", "list the channels", _Chat.channels),
    "create": _Command("NAME [TEXT]", "make a channel; the text says what for", _Chat.create),
    "history": _Command("[N]", f"show the last N messages ({HISTORY})", _Chat.history),
    "retry": _Command("", "send again what failed", _Chat.retry),
    "help": _Command("", "show this", _Chat.help),
    "quit": _Command("", "leave, also Ctrl-C and Ctrl-D", _Chat.leave),
}
KEYS = (
    ("//text", "send a text that begins with a slash"),
    ("Alt+Enter", "break the line; pasted text keeps its lines"),
)
