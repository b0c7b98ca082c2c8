"""A channel's messages as lines, as they come: to look at, or for another program."""

from __future__ import annotations

import json
import queue
import select
import time
from collections.abc import Callable
from typing import Any, TextIO

from chatkit.console.news import (
    QUIET_SECONDS,
    SETTLE_SECONDS,
    ChannelNews,
    Happening,
    status_news,
)
from chatkit.console.text import UNSAFE, one_line, row_lines, safe
from chatkit.message import from_ms
from chatkit.room import (
    ChannelReset,
    ChannelsChanged,
    ChatRoom,
    RoomStatus,
    RowsChanged,
    StatusChanged,
)
from chatkit.settings import Settings
from chatkit.timeline import Row

__all__ = ["follow"]

LOOK_SECONDS = 0.5
"""How often to look whether anybody reads what we print."""


def follow(
    settings: Settings, channel: str, out: TextIO, tell: Callable[[str], None], *, as_json: bool
) -> None:
    """Print each message that comes, until nobody reads it any longer.

    Parameters
    ----------
    settings : Settings
        Where Kafka and MongoDB are.
    channel : str
        Name of the channel.
    out : TextIO
        Where to print; each line is flushed.
    tell : callable
        Takes what is worth knowing and no message, as a sentence.
    as_json : bool
        One JSON object a line, with ``type`` ``message``, ``edit`` or ``delete``.

    Raises
    ------
    ChannelNameError, ChannelNotFoundError
        There is no such channel.
    ServiceError
        Neither Kafka nor MongoDB answered.
    BrokenPipeError
        Nobody reads any longer what is printed.
    """
    changes: queue.SimpleQueue[Any] = queue.SimpleQueue()
    news = ChannelNews()
    with ChatRoom(settings) as room:
        room.observe(changes.put)
        room.join(channel).result()
        _settle(changes)
        news.begin(room.rows(channel))
        status = RoomStatus(kafka="")
        tell(f"Following {channel} from now on")
        changes.put(StatusChanged(room.status))
        while True:
            try:
                change = changes.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if _is_read(out):
                    continue
                return
            match change:
                case RowsChanged(rows=rows):
                    for one in news.look(rows)[0]:
                        _print(one, room.user, out, tell, as_json=as_json)
                case ChannelReset():
                    news = ChannelNews()
                case StatusChanged(status=now):
                    for text, _ in status_news(status, now):
                        tell(safe(text))
                    status = now
                case ChannelsChanged():
                    pass


def _settle(changes: queue.SimpleQueue[Any]) -> None:
    """Wait for what there was before."""
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        try:
            changes.get(timeout=QUIET_SECONDS)
        except queue.Empty:
            return


def _is_read(out: TextIO) -> bool:
    """Return whether a pipe still has somebody at its other end; a file and a terminal have."""
    if not hasattr(select, "poll"):  # Windows: the next message will find out
        return True
    looking = select.poll()
    looking.register(out.fileno(), 0)
    return not looking.poll(0)


def _print(
    one: Happening, me: str, out: TextIO, tell: Callable[[str], None], *, as_json: bool
) -> None:
    if one.row.message is None:
        tell(one_line(one.row.reason))
        return
    if as_json:
        # Of what JSON lets through, C1 and bidirectional controls would steer a terminal.
        text = UNSAFE.sub(
            lambda found: f"\\u{ord(found[0]):04x}",
            json.dumps(_object(one), ensure_ascii=False),
        )
        out.write(text + "\n")
    else:
        out.write("".join(text for _, text in row_lines(one.row, me)))
    out.flush()


def _object(one: Happening) -> dict[str, Any]:
    row: Row = one.row
    message, folded = row.message, row.folded
    assert message is not None
    assert folded is not None
    head = {"id": row.id, "channel": row.channel, "author": message.author}
    if folded.deleted_ms is not None:
        return {"type": "delete", **head, "deleted_at": _iso(folded.deleted_ms)}
    if one.kind == "edit" and folded.edited_ms is not None:
        edited = {"body": folded.body, "edited_at": _iso(folded.edited_ms)}
        return {"type": "edit", **head, **edited}
    file = message.attachment
    return {
        "type": "message",
        **head,
        "body": folded.body,
        "sent_at": _iso(message.sent_ms),
        "placed_at": _iso(row.placed_ms),
        "partition": row.partition,
        "offset": row.offset,
        "reply_to": message.reply_to,
        "bot": message.bot,
        "source": message.source,
        "attachment": file and {"name": file.name, "type": file.type, "size": file.length},
    }


def _iso(ms: int) -> str:
    return from_ms(ms).isoformat(timespec="milliseconds")
