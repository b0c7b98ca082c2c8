"""Archiving: the archiver, its two halves alone, and the loop that one would write by hand."""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import uuid
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from pymongo.errors import BulkWriteError

from chatkit.archiver import BATCH_RECORDS
from chatkit.channels import Channels
from chatkit.consumer import decode_record
from chatkit.documents import message_document
from chatkit.message import Message, Received, now_ms
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from chatkit.store import MessageStore

CHANNEL = "bench"
WORDS = ["".join(random.Random(n).choices("etaoinshrdlu", k=2 + n % 9)) for n in range(2000)]


def fill(settings: Settings, records: int) -> None:
    """Send messages of the length that people write to a channel of one partition."""
    chance = random.Random(1)
    with Channels(settings) as channels, ChatProducer(settings, bulk=True) as producer:
        channels.create(CHANNEL)
        receipts = []
        for n in range(records):
            body = " ".join(chance.choices(WORDS, k=chance.randint(3, 20)))
            receipts.append(producer.send(Message.new(CHANNEL, f"author{n % 500}", body)))
        for receipt in receipts:
            receipt.result(120)


def _consumer(settings: Settings) -> KafkaConsumer:
    consumer = KafkaConsumer(
        **settings.kafka_config(),
        group_id=f"bench-{uuid.uuid4().hex}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=BATCH_RECORDS,
        max_partition_fetch_bytes=8 * 1024 * 1024,
        heartbeat_interval_ms=1000,
        session_timeout_ms=10_000,
    )
    consumer.partitions_for_topic(settings.topic_of(CHANNEL))
    consumer.subscribe([settings.topic_of(CHANNEL)])
    while not consumer.assignment():
        consumer.poll(timeout_ms=50, max_records=1)
    consumer.seek(TopicPartition(settings.topic_of(CHANNEL), 0), 0)
    return consumer


def poll_only(settings: Settings, records: int) -> tuple[float, list[Any]]:
    """Return records a second of reading in a group and doing nothing, and what was read."""
    consumer = _consumer(settings)
    found: list[Any] = []
    started = time.perf_counter()
    while len(found) < records:
        for batch in consumer.poll(timeout_ms=500).values():
            found += batch
    seconds = time.perf_counter() - started
    consumer.close(timeout_ms=1000)
    return records / seconds, found


def insert_only(settings: Settings, raw: list[Any]) -> float:
    """Return records a second of inserting finished documents, same indexes, same safety."""
    own = settings.replace(database=settings.database + "-insert")
    documents = []
    for record in raw:
        received = decode_record(record, CHANNEL)
        assert isinstance(received, Received)
        documents.append(message_document(received, "topic-id", now_ms()))
    with MessageStore(own) as store:
        store.prepare()
        started = time.perf_counter()
        for first in range(0, len(documents), BATCH_RECORDS):
            store.messages.insert_many(documents[first : first + BATCH_RECORDS], ordered=False)
        seconds = time.perf_counter() - started
        store.database.client.drop_database(own.database)
    return len(documents) / seconds


def _position_reached(store: MessageStore, topic_id: str, records: int) -> int:
    """Wait until the archive has read so far; return how far exactly."""
    while (position := store.positions(topic_id).get(0, 0)) < records:
        time.sleep(0.01)
    return position


def _archive(settings: Settings, records: int) -> float:
    """Return records a second of ``chatkit archive``, from its first batch to its last."""
    with MessageStore(settings) as store, Channels(settings) as channels:
        topic_id = channels.describe(CHANNEL).topic_id
        command = [sys.executable, "-m", "chatkit", "archive"]
        environment = {
            **os.environ,
            "CHATKIT_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "CHATKIT_MONGO_URI": settings.mongo_uri.get_secret_value(),
            "CHATKIT_DATABASE": settings.database,
        }
        archiver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        first = _position_reached(store, topic_id, 1)
        started = time.perf_counter()
        _position_reached(store, topic_id, records)
        seconds = time.perf_counter() - started
        archiver.send_signal(signal.SIGINT)
        archiver.wait(30)
        assert store.messages.estimated_document_count() == records
    return (records - first) / seconds


def ours(settings: Settings, records: int) -> tuple[float, float]:
    """Return records a second of archiving, and of archiving the same again."""
    own = settings.replace(database=settings.database + "-ours")
    with MessageStore(own) as store:
        fresh = _archive(own, records)
        store.database["positions"].drop()
        again = _archive(own, records)
        store.database.client.drop_database(own.database)
    return fresh, again


def blind_replay(settings: Settings, raw: list[Any]) -> float:
    """Return records a second of inserting what is there, and ignoring the errors."""
    own = settings.replace(database=settings.database + "-blind")
    sample = [decode_record(record, CHANNEL) for record in raw[:BATCH_RECORDS]]
    documents = [message_document(one, "id", now_ms()) for one in sample]  # type: ignore[arg-type]
    with MessageStore(own) as store:
        store.prepare()
        store.messages.insert_many(documents, ordered=False)
        started = time.perf_counter()
        try:
            store.messages.insert_many(documents, ordered=False)
        except BulkWriteError:
            seconds = time.perf_counter() - started
        store.database.client.drop_database(own.database)
    return len(documents) / seconds


def user_loop(settings: Settings, records: int) -> float:
    """Return records a second of one upsert a record and one commit a poll."""
    own = settings.replace(database=settings.database + "-loop")
    consumer = _consumer(settings)
    with MessageStore(own) as store:
        store.prepare()
        done = 0
        started = time.perf_counter()
        while done < records:
            for batch in consumer.poll(timeout_ms=500, max_records=500).values():
                for record in batch:
                    document = json.loads(record.value)
                    document["_id"] = document.pop("id")
                    store.messages.update_one(
                        {"_id": document["_id"]}, {"$set": document}, upsert=True
                    )
                done += len(batch)
            consumer.commit(timeout_ms=5000)
        seconds = time.perf_counter() - started
        store.database.client.drop_database(own.database)
    consumer.close(timeout_ms=1000)
    return done / seconds


def run(settings: Settings, *, records: int, rounds: int) -> dict[str, Any]:
    """Measure each in turn, several rounds; return medians, and medians of each round's ratios."""
    fill(settings, records)
    figures: dict[str, list[float]] = {}
    for _round in range(rounds):
        polled, raw = poll_only(settings, records)
        archived, again = ours(settings, records)
        for name, value in {
            "poll_only": polled,
            "insert_only": insert_only(settings, raw),
            "ours": archived,
            "user_loop": user_loop(settings, records // 50),
            "replay": again,
            "blind_replay": blind_replay(settings, raw),
        }.items():
            figures.setdefault(name, []).append(value)

    def ratio(over: str, *under: str) -> float:
        per_round = [
            figures[over][n] / min(figures[name][n] for name in under) for n in range(rounds)
        ]
        return round(statistics.median(per_round), 3)

    return {
        "records": records,
        **{name: round(statistics.median(values), 1) for name, values in figures.items()},
        "ratios": {
            "ours/slower_half": ratio("ours", "poll_only", "insert_only"),
            "ours/user_loop": ratio("ours", "user_loop"),
            "replay/blind_replay": ratio("replay", "blind_replay"),
        },
    }
