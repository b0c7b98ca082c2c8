"""Opening: from choosing a channel of many messages to its first painted page.

Beside the panel: a cell that reads the topic from its start with kafka-python and puts all lines
into an HTML, as one would write it by hand; and the query for one page alone, which is the least
that it can take.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.archive import fill
from benchmarks.latency import NOTE_PAINT
from benchmarks.pages import open_cell, own_names
from chatkit.archiver import Archiver
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.browser import Lab, NotebookPage
from tests.waiting import wait_until

CHANNEL = "bench"
LAST = "the very last of them all"
SECONDS = 120.0

PANEL = """\
from chatkit import ChatPanel
panel = ChatPanel(channel={channel!r}, user="ana")
panel"""

BY_HAND = """\
from html import escape
from ipywidgets import HTML
from kafka import KafkaConsumer, TopicPartition
html = HTML()
display(html)
consumer = KafkaConsumer(bootstrap_servers={servers!r}, auto_offset_reset="earliest")
part = TopicPartition({topic!r}, 0)
consumer.assign([part])
end = consumer.end_offsets([part])[part]
lines = []
while consumer.position(part) < end:
    for records in consumer.poll(timeout_ms=500).values():
        lines += [escape(record.value.decode()) for record in records]
html.value = "<br>".join(lines)
consumer.close()"""

NOTE_CLICK = """(element) => {
    element.addEventListener("click", () => { window.entered = Date.now(); }, { capture: true });
}"""


def _until_painted(page: NotebookPage) -> float:
    """Return when the last message was painted, ms since 1970."""
    page.page.wait_for_function(
        "(text) => window.painted?.[text]", arg=LAST, timeout=SECONDS * 1000
    )
    painted: float = page.page.evaluate("(text) => window.painted[text]", LAST)
    return painted


def _choose(lab: Lab, number: int) -> float:
    """Return the ms from the click on the channel to its painted page, in a panel that was open."""
    page = open_cell(lab, f"choose{number}.ipynb", PANEL.format(channel="small"))
    page.panel.wait(lambda panel: panel.status.inner_text() == "Connected", 30)
    option = page.panel.root.locator(f"[data-channel={CHANNEL}]")
    option.wait_for()
    page.panel.root.evaluate(NOTE_PAINT)
    page.page.evaluate("(text) => { window.awaited = text; }", LAST)
    option.evaluate(NOTE_CLICK)
    option.click()
    painted = _until_painted(page)
    entered: float = page.page.evaluate("() => window.entered")
    page.close()
    return painted - entered


def _run_cell(lab: Lab, number: int) -> float:
    """Return the ms from running a new panel's cell to its painted page."""
    lab.write_notebook(
        f"run{number}.ipynb", ["import chatkit.widgets", PANEL.format(channel=CHANNEL)]
    )
    page = lab.open_notebook(f"run{number}.ipynb")
    page.run_cell(0)
    started = time.time() * 1000
    page.run_cell(1)
    page.panel.row(LAST).wait_for(timeout=SECONDS * 1000)
    taken = time.time() * 1000 - started
    page.close()
    return taken


def _by_hand(lab: Lab, settings: Settings) -> float:
    """Return the ms from running the cell by hand to its painted lines."""
    servers = settings.bootstrap_servers.split(",")
    cell = BY_HAND.format(servers=servers, topic=settings.topic_of(CHANNEL))
    lab.write_notebook("hand.ipynb", [cell])
    page = lab.open_notebook("hand.ipynb")
    started = time.time() * 1000
    page.run_all()
    page.page.locator(".widget-html-content").get_by_text(LAST).wait_for(timeout=SECONDS * 1000)
    taken = time.time() * 1000 - started
    page.close()
    return taken


def _query(store: MessageStore) -> float:
    started = time.perf_counter()
    store.page(CHANNEL)
    return (time.perf_counter() - started) * 1000


def run(settings: Settings, *, messages: int, rounds: int) -> dict[str, Any]:
    """Measure all ways; what is made for it in Kafka and MongoDB is deleted again.

    Parameters
    ----------
    settings : Settings
        Where Kafka and MongoDB are; topics and database get names of their own.
    messages : int
        How many the channel has.
    rounds : int
        How often to open it.

    Returns
    -------
    dict
        Median ms of each way, and their ratios.
    """
    with own_names(settings, "opening", "small") as (own, new_lab), MessageStore(own) as store:
        fill(own, messages - 1)
        with ChatProducer(own) as producer:
            producer.send(Message.new(CHANNEL, "ben", LAST)).result(30)
        archiver = Archiver(own).start()
        try:
            wait_until(lambda: store.counts().get(CHANNEL) == messages, SECONDS)
            with new_lab as lab:
                chosen = [_choose(lab, number) for number in range(rounds)]
                run_cell = [_run_cell(lab, number) for number in range(rounds)]
                queried = [_query(store) for _ in range(10)]
                by_hand = _by_hand(lab, own)
        finally:
            archiver.stop()
    result: dict[str, Any] = {
        "messages": messages,
        "chosen_to_painted_ms": statistics.median(chosen),
        "new_panel_to_painted_ms": statistics.median(run_cell),
        "page_query_alone_ms": statistics.median(queried),
        "by_hand_to_painted_ms": by_hand,
    }
    result["ratios"] = {
        "by_hand/chosen": by_hand / result["chosen_to_painted_ms"],
        "by_hand/new panel": by_hand / result["new_panel_to_painted_ms"],
    }
    return result
