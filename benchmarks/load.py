"""Loading: a million messages into a frame, with segments and without.

Beside them: what one would write by hand, a DataFrame of a list of all documents; and draining the
raw documents without decoding any, which no way of reading rows can beat. Each load is a process of
its own, so that its peak of memory is its own too; which comes first changes each round.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from pymongo import CursorType, UpdateOne

from benchmarks.archive import WORDS
from chatkit import history, segments
from chatkit.documents import fold_update, message_document
from chatkit.fold import Folded
from chatkit.history import reading
from chatkit.message import Message, Received
from chatkit.settings import Settings
from chatkit.store import MessageStore

CHANNELS = 20
AUTHORS = 2000
START = 1_104_537_600_000  # 2005-01-01
BATCH = 5000
CHANNEL = "irc3"
MONTH = "2005-03"


def _documents(messages: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield lines of IRC, to the minute, in channels of very different size."""
    chance = random.Random(1)
    weights = [1 / (number + 1) for number in range(CHANNELS)]
    offsets = [0] * CHANNELS
    step = 365 * 86_400_000 // messages
    for number in range(messages):
        (channel,) = chance.choices(range(CHANNELS), weights)
        body = " ".join(chance.choices(WORDS, k=chance.randint(2, 18)))
        message = Message(
            id=str(uuid.UUID(int=chance.getrandbits(128), version=5)),
            channel=f"irc{channel}",
            author=f"author{chance.randrange(AUTHORS)}",
            body=body,
            sent_ms=(START + number * step) // 60_000 * 60_000,
            source="irc",
        )
        received = Received(
            topic=f"chat.irc{channel}",
            partition=0,
            offset=offsets[channel],
            appended_ms=START + number * step,
            item=message,
        )
        offsets[channel] += 1
        archived_ms = START + number // BATCH
        yield channel, message_document(received, f"topic-id-of-{channel:010d}", archived_ms)


def fill(store: MessageStore, messages: int) -> None:
    """Archive messages as an archiver leaves them."""
    store.prepare()
    ends: dict[int, dict[str, Any]] = {}
    some: list[dict[str, Any]] = []
    for channel, document in _documents(messages):
        ends[channel] = document
        some.append(document)
        if len(some) == BATCH:
            store.messages.insert_many(some, ordered=False)
            some = []
    if some:
        store.messages.insert_many(some, ordered=False)
    store.database["positions"].insert_many(
        {
            "_id": f"{last['topic_id']}/0",
            "topic_id": last["topic_id"],
            "topic": last["topic"],
            "partition": 0,
            "next": last["offset"] + 1,
        }
        for last in ends.values()
    )


def edit(store: MessageStore, share: float) -> None:
    """Edit some of the messages, as an archiver writes that."""
    chance = random.Random(2)
    updates = []
    for one in store.messages.find({}, {"body": 1, "channel": 1}):
        if chance.random() < share:
            folded = Folded(
                body=f"{one['body']} indeed", original=one["body"], edited_ms=START, rev=1
            )
            where = {"_id": one["_id"], "channel": one["channel"]}
            updates.append(UpdateOne(where, fold_update(folded)))
    for start in range(0, len(updates), BATCH):
        store.messages.bulk_write(updates[start : start + BATCH], ordered=False)


def _ours(store: MessageStore) -> pd.DataFrame:
    return history.load(store)


def _rows(store: MessageStore) -> pd.DataFrame:
    reading.usable = lambda *_: []  # type: ignore[assignment]
    return history.load(store)


def _by_hand(store: MessageStore) -> pd.DataFrame:
    return pd.DataFrame(list(store.messages.find()))


def _drain(store: MessageStore) -> int:
    batches = store.messages.find_raw_batches(batch_size=500, cursor_type=CursorType.EXHAUST)
    return sum(len(batch) for batch in batches)


def _channel(store: MessageStore) -> pd.DataFrame:
    return history.load(store, channel=CHANNEL)


def _channel_by_hand(store: MessageStore) -> pd.DataFrame:
    return pd.DataFrame(list(store.messages.find({"channel": CHANNEL})))


def _month(store: MessageStore) -> pd.DataFrame:
    return history.load(store, f"on:{MONTH}")


def _month_by_hand(store: MessageStore) -> pd.DataFrame:
    first, end = pd.Timestamp(MONTH, tz="UTC"), pd.Timestamp("2005-04", tz="UTC")
    return pd.DataFrame(list(store.messages.find({"placed_at": {"$gte": first, "$lt": end}})))


WAYS: dict[str, Callable[[MessageStore], Any]] = {
    "ours": _ours,
    "rows": _rows,
    "user": _by_hand,
    "drain": _drain,
    "channel": _channel,
    "channel_user": _channel_by_hand,
    "month": _month,
    "month_user": _month_by_hand,
}


def _memory(name: str) -> int:
    """Return what the system says of this process's memory, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(f"{name}:")[1].split()[0])


def measure(way: str, settings: Settings) -> dict[str, float]:
    """Load once, and return seconds, rows, and bytes: of the frame, and how many more at the peak.

    Where the system does not tell of memory, the bytes are not there.
    """
    with MessageStore(settings) as store:
        history.load(store, limit=10)  # connects, and loads what is loaded at first use
        known = Path("/proc/self/clear_refs").exists()
        before = 0
        if known:
            Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until here
            before = _memory("VmRSS")
        started = time.perf_counter()
        found = WAYS[way](store)
        seconds = time.perf_counter() - started
        peak = _memory("VmHWM") - before if known else 0
    result = {"seconds": seconds}
    if isinstance(found, pd.DataFrame):
        result |= {"rows": len(found), "frame": int(found.memory_usage(deep=True).sum())}
        result |= {"peak": peak} if known else {}
    return result


def _in_process(way: str, settings: Settings) -> dict[str, float]:
    environment = {
        **os.environ,
        "CHATKIT_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "CHATKIT_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "CHATKIT_DATABASE": settings.database,
    }
    command = [sys.executable, "-m", "benchmarks.load", way]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run(settings: Settings, *, messages: int, rounds: int) -> dict[str, Any]:
    """Measure each in turn, several rounds; return medians, and medians of each round's ratios."""
    figures: dict[str, list[float]] = {}
    peaks: list[float] = []

    def take(ways: list[str], suffix: str = "") -> None:
        for number in range(rounds):
            turn = number % len(ways)
            for way in ways[turn:] + ways[:turn]:
                found = _in_process(way, settings)
                figures.setdefault(way + suffix, []).append(found["seconds"])
                if way == "ours" and not suffix and "peak" in found:
                    peaks.append(found["peak"] / found["frame"])

    with MessageStore(settings) as store:
        fill(store, messages)
        segments.build(store)
        take(list(WAYS))
        edit(store, 0.05)
        take(["ours", "user"], "_edited")
        store.database.client.drop_database(settings.database)

    def ratio(over: str, under: str) -> float:
        pairs = zip(figures[over], figures[under], strict=True)
        return round(statistics.median(slow / quick for slow, quick in pairs), 2)

    whole = ("ours", "rows", "user", "drain", "ours_edited", "user_edited")
    medians = {name: statistics.median(values) for name, values in figures.items()}
    return {
        "messages": messages,
        **{name: round(messages / medians[name], 1) for name in whole},
        "ratios": {
            "ours/user": ratio("user", "ours"),
            "ours/drain": ratio("drain", "ours"),
            "edited: ours/user": ratio("user_edited", "ours_edited"),
            "rows/user": ratio("user", "rows"),
            "rows/drain": ratio("drain", "rows"),
            "one channel: ours/user": ratio("channel_user", "channel"),
            "one month: ours/user": ratio("month_user", "month"),
            **({"peak memory/frame": round(statistics.median(peaks), 2)} if peaks else {}),
        },
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Settings())))
