"""What a room must show, worked out from Kafka's records alone, and short ways to look at one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from chatkit.consumer import decode_record
from chatkit.fold import fold
from chatkit.message import Message, Received, Unreadable
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from tests.verification import read_everything
from tests.waiting import wait_until


def texts(room: ChatRoom, channel: str = "general") -> list[str]:
    """Return what people see of each message of a channel, oldest first."""
    return [row.folded.body for row in room.rows(channel) if row.folded is not None]


def load_all(room: ChatRoom, channel: str = "general") -> int:
    """Load older rows until there are no more; return how many times that took."""
    times = 0
    while room.has_older(channel):
        room.load_older(channel).result(20)
        times += 1
        assert times < 100
    return times


def expected_rows(
    settings: Settings, channel: str, moderators: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Return (id, text) of each message that Kafka holds, as a room is to show them."""
    first: dict[str, Received] = {}
    events: dict[str, list[Received]] = defaultdict(list)
    for record in read_everything(settings, channel):
        item = decode_record(record, channel)
        if isinstance(item, Unreadable):
            continue
        if isinstance(item.item, Message):
            known = first.get(item.item.id)
            if known is None or item.place < known.place:
                first[item.item.id] = item
        elif item.item.target:
            events[item.item.target].append(item)
    placed = sorted(
        first.values(), key=lambda one: (one.placed_ms, one.partition, one.offset, one.item.id)
    )
    return [
        (one.item.id, fold(one.item, events[one.item.id], moderators).body)
        for one in placed
        if isinstance(one.item, Message)
    ]


def assert_room_is_right(
    room: ChatRoom, settings: Settings, channel: str = "general", moderators: Collection[str] = ()
) -> None:
    """Wait until a room shows each message of Kafka's once, in order, as its events say."""
    expected = expected_rows(settings, channel, moderators)

    def shown() -> list[tuple[str, str]]:
        return [
            (row.id, row.folded.body)
            for row in room.rows(channel)
            if row.folded is not None and row.state == "sent"
        ]

    try:
        wait_until(lambda: shown() == expected, 15)
    except AssertionError:
        assert shown() == expected
