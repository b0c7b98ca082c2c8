"""Rows as the browser draws them."""

from __future__ import annotations

from collections.abc import Collection

from chatkit.markup import needs_markup, to_html
from chatkit.room import ChatRoom
from chatkit.timeline import Row
from chatkit.widgets.wire import File, Line, Quote

__all__ = ["Lines"]

QUOTED = 160
"""Characters of a quoted text."""
RENDERED = 300
"""Rows of one batch that are rendered at once; of more, each when it comes into sight."""


class Lines:
    """Makes lines of a room's rows. Thread-safe.

    Parameters
    ----------
    room : ChatRoom
        Whose rows; also asked for what they quote.
    """

    def __init__(self, room: ChatRoom) -> None:
        self.room = room
        """The room; another one once the user has another name."""

    def lines(self, rows: Collection[Row]) -> list[Line]:
        """Return rows as lines, rendered if they are few."""
        render = len(rows) <= RENDERED
        channels = frozenset(self.room.channels()) if render else frozenset()
        return [self._line(row, channels, render=render) for row in rows]

    def html(self, body: str) -> str:
        """Return a text as safe HTML, or "" if it is plain."""
        if not needs_markup(body):
            return ""
        return to_html(body, me=self.room.user, channels=frozenset(self.room.channels()))

    def quote(self, channel: str, message_id: str) -> Quote:
        """Return what a message answers, as far as it is in the room."""
        row = self.room.row(channel, message_id)
        return Quote(id=message_id) if row is None else self.quote_of(row)

    @staticmethod
    def quote_of(row: Row) -> Quote:
        """Return a row as it is quoted."""
        if row.message is None or row.folded is None:
            return Quote(id=row.id)
        if row.folded.deleted_ms is not None:
            return Quote(id=row.id, author=row.message.author, body="(deleted)")
        file = row.message.attachment
        body = row.folded.body or (file.name if file is not None else "")
        return Quote(id=row.id, author=row.message.author, body=body[:QUOTED])

    def _line(self, row: Row, channels: frozenset[str], *, render: bool) -> Line:
        place = row.order[:3]
        message, folded = row.message, row.folded
        if message is None or folded is None:
            return Line(
                id=row.id,
                kind=row.kind,
                author=row.actor,
                at=row.placed_ms,
                place=place,
                reason=row.reason,
            )
        marked = needs_markup(folded.body)
        file = message.attachment
        return Line(
            id=row.id,
            author=message.author,
            body=folded.body,
            html=to_html(folded.body, me=self.room.user, channels=channels)
            if marked and render
            else "",
            raw=marked and not render,
            me=self.room.is_mentioned(row),
            at=message.sent_ms,
            place=place,
            state=row.state,
            reason=row.reason,
            edited=folded.edited_ms is not None,
            deleted=folded.deleted_ms is not None,
            pinned=folded.pinned_ms is not None,
            rev=folded.rev,
            bot=message.bot,
            source=message.source,
            quote=None if message.reply_to is None else self.quote(row.channel, message.reply_to),
            reactions=[(emoji, list(actors)) for emoji, actors in folded.reactions.items()],
            file=None if file is None else File(name=file.name, type=file.type, size=file.length),
        )
