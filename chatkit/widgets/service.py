"""What a page asks for, done by the room.

The panel takes requests and sends answers; here is what each one means. An answer's data is
anything that can be JSON, and may have bytes beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from chatkit.commands import Outcome, as_text, run
from chatkit.emojis import names as emoji_names
from chatkit.errors import InputError, InvalidMessageError
from chatkit.futures import mapped
from chatkit.message import Attachment
from chatkit.query import complete
from chatkit.room import ChatRoom
from chatkit.share import from_file, preview
from chatkit.timeline import Row
from chatkit.widgets import wire
from chatkit.widgets.lines import Lines

__all__ = ["Answer", "Service"]


class Answer(msgspec.Struct, frozen=True):
    """What came of a request."""

    data: Any = None
    """For the page, as JSON; None: nothing but that it is done."""
    file: bytes | None = None
    """Bytes beside it."""


class Service:
    """Does what pages ask of a room. Thread-safe.

    Parameters
    ----------
    room : ChatRoom
        Whose room.
    lines : Lines
        Makes lines of rows.
    """

    def __init__(self, room: ChatRoom, lines: Lines) -> None:
        self.room = room
        """The room; another one once the user has another name."""
        self._lines = lines
        self._looking: set[str] = set()

    def do(self, request: wire.Request, files: Sequence[bytes]) -> Answer | Future[Any]:
        """Do what a page asks.

        Parameters
        ----------
        request : Request
            Any but those that are the panel's own.
        files : sequence of bytes
            What came beside it.

        Returns
        -------
        Answer or concurrent.futures.Future
            What came of it, or will: a Future of an answer, or of something that needs none.

        Raises
        ------
        ChatkitError
            It can't be done; the text says why.
        """
        room = self.room
        match request:
            case wire.Send():
                return self._send(request, files)
            case wire.Retry():
                room.retry(request.channel, request.id)
            case wire.Edit():
                return room.edit(request.channel, request.id, as_text(request.body))
            case wire.Delete():
                return room.delete(request.channel, request.id)
            case wire.React():
                act = room.react if request.on else room.unreact
                return act(request.channel, request.id, request.emoji)
            case wire.Pin():
                return room.pin(request.channel, request.id, request.on)
            case wire.Read():
                room.mark_read(request.channel, request.id)
            case wire.Typing():
                room.typing(request.channel)
            case wire.Away():
                self._look(request.client, not request.on)
            case wire.Mute():
                return self._mute(request)
            case _:
                return self._show(request)
        return Answer()

    def _show(self, request: wire.Request) -> Answer | Future[Any]:
        room = self.room
        match request:
            case wire.Command():
                done = run(room, request.channel, request.text)
                return (
                    self._outcome(done)
                    if isinstance(done, Outcome)
                    else mapped(done, self._outcome)
                )
            case wire.Older(row=None):
                return room.load_older(request.channel)
            case wire.Older():
                assert request.row is not None
                return room.load_skipped(request.channel, request.row, upwards=request.upwards)
            case wire.Around():
                return mapped(room.load_around(request.channel, request.id), Answer)
            case wire.Thread():
                return mapped(room.thread(request.channel, request.id), self._rows)
            case wire.Pinned():
                return mapped(room.pinned(request.channel), self._rows)
            case wire.Search():
                return mapped(room.find(request.text, zone=request.zone), self._rows)
            case wire.Complete():
                people = [person.name for person in room.people()]
                found = complete(
                    request.text, request.cursor, channels=room.channels(), people=people
                )
                return Answer(found)
            case wire.Edits():
                edits = room.edits(request.channel, request.id)
                return Answer([(at, body, self._lines.html(body)) for at, body in edits])
            case wire.Render():
                return Answer(
                    {row.id: self._lines.html(_body(row)) for row in self._rows_of(request)}
                )
            case wire.Quotes():
                return mapped(room.look_up(request.channel, request.ids), self._quotes)
            case wire.Preview():
                return mapped(room.attachment(request.channel, request.id), _preview)
            case wire.Download():
                return mapped(room.attachment(request.channel, request.id), _download)
            case wire.Look():
                return mapped(room.lens(request.channel, request.ids), Answer)
            case wire.Facts():
                return mapped(room.describe(request.channel), Answer)
            case wire.Create():
                return room.create_channel(request.name, request.description)
            case wire.Alter():
                names = ("display_name", "description", "archived", "moderators")
                changes = {name: getattr(request, name) for name in names}
                given = {name: value for name, value in changes.items() if value is not None}
                return room.change_channel(request.channel, **given)
            case wire.Direct():
                return mapped(room.direct(request.name), Answer)
            case wire.Emoji():
                return Answer(emoji_names())
            case _:
                raise InputError(f"The panel does not know what {type(request).__name__} means")

    def _send(self, request: wire.Send, files: Sequence[bytes]) -> Answer:
        attachment = None
        if request.name is not None:
            if not files:
                raise InvalidMessageError(f"The file {request.name} did not arrive; try again")
            attachment = from_file(request.name, bytes(files[0]))
        self.room.send(
            request.channel,
            as_text(request.body),
            message_id=request.id,
            reply_to=request.reply,
            attachment=attachment,
        )
        return Answer()

    def _look(self, client: str, looks: bool) -> None:
        """Note whether a page is looked at: the user is away if none is."""
        if looks:
            self._looking.add(client)
        else:
            self._looking.discard(client)
        self.room.set_away(not self._looking)

    def _mute(self, request: wire.Mute) -> Future[Any]:
        if request.person is not None:
            return self.room.mute_person(request.person, request.on)
        if request.channel is None:
            raise InputError("Mute needs a channel or a person")
        return self.room.mute(request.channel, request.on)

    def _outcome(self, outcome: Any) -> Answer:
        if not isinstance(outcome, Outcome):
            return Answer()
        rows = None if outcome.rows is None else self._rows(outcome.rows).data
        return Answer(
            {
                "text": outcome.text,
                "rows": rows,
                "query": outcome.query,
                "channel": outcome.channel,
                "left": outcome.left,
                "lens": outcome.lens,
            }
        )

    def _rows(self, rows: Sequence[Row]) -> Answer:
        channels = [row.channel for row in rows]
        return Answer(list(zip(channels, self._lines.lines(rows), strict=True)))

    def _rows_of(self, request: wire.Render) -> list[Row]:
        found = (self.room.row(request.channel, row_id) for row_id in request.ids)
        return [row for row in found if row is not None]

    def _quotes(self, rows: Mapping[str, Row]) -> Answer:
        return Answer([self._lines.quote_of(row) for row in rows.values()])


def _body(row: Row) -> str:
    return "" if row.folded is None else row.folded.body


def _preview(attachment: Attachment) -> Answer:
    shown = preview(attachment)
    return Answer(shown, attachment.data if shown["kind"] == "image" else None)


def _download(attachment: Attachment) -> Answer:
    return Answer({"name": attachment.name, "type": attachment.type}, attachment.data)
