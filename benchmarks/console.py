"""Latency: from Enter in one terminal to the text in another.

Beside `chatkit chat`: the loops that one would write by hand with kafka-python, input and print.
All are in pseudo-terminals of one process, which reads one clock, and take turns message by
message.
"""

from __future__ import annotations

import random
import sys
import time
import uuid
from contextlib import ExitStack
from typing import Any

from benchmarks.latency import compare
from chatkit.channels import Channels
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.commands import environment
from tests.names import with_own_names
from tests.terminal import Terminal

WARM_UP = 3
SECONDS = 20.0

SEND_BY_HAND = """\
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers={servers!r})
while True:
    producer.send({topic!r}, input("> ").encode()).get(timeout=10)
"""
READ_BY_HAND = """\
from kafka import KafkaConsumer
consumer = KafkaConsumer({topic!r}, bootstrap_servers={servers!r}, auto_offset_reset="earliest")
print("reading", flush=True)
for record in consumer:
    print(record.value.decode(), flush=True)
"""


def _send(sender: Terminal, reader: Terminal) -> float:
    """Type a text, press Enter, and return the ms until the other terminal has been told."""
    text = uuid.uuid4().hex
    sender.type(text)
    sender.wait(lambda: text[-8:] in sender.text, SECONDS)
    awaited = text.encode()
    started = time.perf_counter()
    sender.type("\r")
    while awaited not in reader.raw[-4000:]:
        if time.perf_counter() - started > SECONDS:
            raise TimeoutError(f"{text} was not shown:\n{reader.text}")
        time.sleep(0.0005)
    return (time.perf_counter() - started) * 1000


def run(settings: Settings, *, messages: int) -> dict[str, Any]:
    """Measure both ways in turns; what is made for it in Kafka and MongoDB goes with the stack.

    Parameters
    ----------
    settings : Settings
        Where Kafka and MongoDB are; topics and database get names of their own.
    messages : int
        How many to type each way, >= 2.

    Returns
    -------
    dict
        Median and 95th percentile of each way in ms, and their ratios (over 1: ours is faster).
    """
    own = with_own_names(settings, "console")
    chance = random.Random(1)
    env = environment(own)
    with ExitStack() as stack:
        channels = stack.enter_context(Channels(own))
        for channel in ("ours", "by-hand"):
            channels.create(channel)
        store = stack.enter_context(MessageStore(own))
        stack.callback(store.database.client.drop_database, own.database)
        where = {"servers": own.bootstrap_servers.split(","), "topic": own.topic_of("by-hand")}
        python = (sys.executable, "-c")

        def console(user: str) -> Terminal:
            one = stack.enter_context(
                Terminal("chat", "ours", "--name", user, env=env, columns=120)
            )
            one.shows("#ours,")
            return one

        def by_hand(code: str, ready: str) -> Terminal:
            script = code.format(**where)
            one = stack.enter_context(Terminal(script, env=env, columns=120, program=python))
            one.shows(ready)
            return one

        ways = {
            "ours": (console("ana"), console("ben")),
            "by_hand": (by_hand(SEND_BY_HAND, ">"), by_hand(READ_BY_HAND, "reading")),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(WARM_UP + messages):
            for way, (sender, reader) in ways.items():
                ms = _send(sender, reader)
                if number >= WARM_UP:
                    taken[way].append(ms)
                time.sleep(chance.uniform(0.1, 0.3))
    return compare({way: sorted(values) for way, values in taken.items()}, messages)
