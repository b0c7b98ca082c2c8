"""Importing: chat logs into Kafka, kafka-python alone with ready bytes, and the loop by hand."""

from __future__ import annotations

import json
import random
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from benchmarks.archive import WORDS
from chatkit.channels import Channels
from chatkit.importers import Tally, irc
from chatkit.message import Event, Message, encode
from chatkit.producer import BULK, ChatProducer
from chatkit.sending import Sending, create_channels
from chatkit.settings import Settings
from chatkit.store import MessageStore

LINES_A_DAY = 10_000
JOINS = 0.1
"""Which part of the lines says that somebody came."""
SAID = re.compile(r"\[(\d\d):(\d\d)\] <([^>]+)> (.*)")
SECONDS = 120.0
"""In which Kafka must have acknowledged everything."""

SAME_SETTINGS = {"acks": "all", "enable_idempotence": True, **BULK}
"""What ``ChatProducer(bulk=True)`` gives to kafka-python."""


def write_logs(folder: Path, lines: int) -> list[Path]:
    """Write IRC logs, a file a day, of the length of lines that people write."""
    chance = random.Random(1)
    paths = []
    for day, first in enumerate(range(0, lines, LINES_A_DAY)):
        path = folder / f"{2000 + day // 336}-{day // 28 % 12 + 1:02}-{day % 28 + 1:02}.txt"
        count = min(LINES_A_DAY, lines - first)
        with path.open("w", encoding="utf-8") as log:
            for n in range(count):
                author = f"author{chance.randrange(500)}"
                if chance.random() < JOINS:
                    log.write(f"=== {author} [~{author}@example.org]  has joined #bench\n")
                    continue
                hour, minute = divmod(n * 1440 // count, 60)
                body = " ".join(chance.choices(WORDS, k=chance.randint(3, 20)))
                log.write(f"[{hour:02}:{minute:02}] <{author}> {body}\n")
        paths.append(path)
    return paths


def ours(settings: Settings, paths: list[Path], channel: str) -> tuple[float, int]:
    """Return items a second from files to acknowledged, the archive asked; and their number."""
    with (
        Channels(settings) as channels,
        MessageStore(settings) as store,
        ChatProducer(settings, bulk=True) as producer,
    ):
        create_channels(channels, irc.channels(paths, channel=channel))
        started = time.perf_counter()
        sending = Sending(producer, store)
        sending.send(Tally().watch(irc.read(paths, channel=channel)))
        seconds = time.perf_counter() - started
        assert not sending.problems
        assert not sending.unchecked
        return sending.sent.total() / seconds, sending.sent.total()


def produce_only(settings: Settings, items: list[Message | Event], channel: str) -> float:
    """Return records a second of kafka-python alone, which gets bytes that are ready."""
    with Channels(settings) as channels:
        channels.create(channel)
    topic = settings.topic_of(channel)
    ready = [
        ((item.author if isinstance(item, Message) else item.actor).encode(), encode(item))
        for item in items
    ]
    producer = KafkaProducer(**settings.kafka_config(), **SAME_SETTINGS)
    producer.partitions_for(topic)
    started = time.perf_counter()
    for key, value in ready:
        last = producer.send(topic, key=key, value=value)
    producer.flush(SECONDS)
    seconds = time.perf_counter() - started
    assert last.get(0).offset == len(ready) - 1
    producer.close(timeout=10)
    return len(ready) / seconds


def by_hand(settings: Settings, paths: list[Path], channel: str) -> float:
    """Return lines a second of the loop that one would write, with kafka-python as it comes."""
    with Channels(settings) as channels:
        channels.create(channel)
    topic = settings.topic_of(channel)
    producer = KafkaProducer(
        **settings.kafka_config(), value_serializer=lambda value: json.dumps(value).encode()
    )
    producer.partitions_for(topic)
    sent = 0
    started = time.perf_counter()
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            if said := SAID.match(line):
                hour, minute, author, body = said.groups()
                when = f"{path.stem}T{hour}:{minute}:00Z"
                producer.send(
                    topic, key=author.encode(), value={"at": when, "author": author, "body": body}
                )
                sent += 1
    producer.flush(SECONDS)
    seconds = time.perf_counter() - started
    producer.close(timeout=10)
    return sent / seconds


def run(settings: Settings, *, lines: int, rounds: int) -> dict[str, Any]:
    """Measure each in turn, several rounds; return medians, and medians of each round's ratios."""
    figures: dict[str, list[float]] = {"produce_only": [], "ours": [], "by_hand": []}
    with tempfile.TemporaryDirectory(prefix="chatkit-bench-") as folder:
        paths = write_logs(Path(folder), lines)
        items = list(Tally().watch(irc.read(paths, channel="bench")))
        for n in range(rounds):
            figures["produce_only"].append(produce_only(settings, items, f"raw-{n}"))
            rate, sent = ours(settings, paths, f"ours-{n}")
            assert sent == len(items)
            figures["ours"].append(rate)
            figures["by_hand"].append(by_hand(settings, paths, f"hand-{n}"))

    def ratio(under: str) -> float:
        pairs = zip(figures["ours"], figures[under], strict=True)
        return round(statistics.median(one / other for one, other in pairs), 3)

    return {
        "lines": lines,
        "items": len(items),
        **{name: round(statistics.median(values), 1) for name, values in figures.items()},
        "ratios": {
            "ours/produce_only": ratio("produce_only"),
            "ours/by_hand": ratio("by_hand"),
        },
    }
