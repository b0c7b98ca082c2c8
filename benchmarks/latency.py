"""Latency: from Enter on one page to the painted text on another, each page with its own kernel.

Beside the panel: a Text that sends, and a thread that reads Kafka and sets an HTML, as one would
write them by hand. All four pages are in one browser and read one clock, and the two ways take
turns message by message.
"""

from __future__ import annotations

import random
import statistics
import time
import uuid
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator
from playwright.sync_api import TimeoutError as NotInTimeError

from benchmarks.pages import open_cell, own_names
from chatkit.settings import Settings
from tests.browser import Lab, NotebookPage

WARM_UP = 5
"""Messages of each way that don't count."""
SECONDS = 20.0
"""How long a message may take before the benchmark gives up."""

PANEL = """\
from chatkit import ChatPanel
panel = ChatPanel(channel={channel!r}, user={user!r})
panel"""

SEND_BY_HAND = """\
from ipywidgets import Text
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers={servers!r})
text = Text(continuous_update=False)
def send(change):
    if text.value:
        producer.send({topic!r}, text.value.encode()).get(timeout=10)
        text.value = ""
text.observe(send, "value")
text"""

READ_BY_HAND = """\
from html import escape
from threading import Thread
from ipywidgets import HTML
from kafka import KafkaConsumer
html = HTML("Messages:")
def read():
    for record in KafkaConsumer({topic!r}, bootstrap_servers={servers!r}):
        html.value += "<br>" + escape(record.value.decode())
Thread(target=read, daemon=True).start()
html"""

NOTE_ENTER = """() => document.addEventListener("keydown", (event) => {
    if (event.key === "Enter") window.entered = Date.now();
}, { capture: true })"""

# A frame after the text is in the DOM it is on the screen.
NOTE_PAINT = """(element) => {
    const root = element.shadowRoot ?? element;
    window.painted = {};
    new MutationObserver(() => {
        const text = window.awaited;
        if (!text || text in window.painted || !root.textContent.includes(text)) return;
        window.painted[text] = null;
        requestAnimationFrame(() => setTimeout(() => { window.painted[text] = Date.now(); }));
    }).observe(root, { childList: true, subtree: true, characterData: true });
}"""


class Way:
    """Two open pages between which messages go one way.

    Parameters
    ----------
    sender, reader : NotebookPage
        The page that is typed on, and the page that is looked at.
    box : Locator
        Where to type.
    shown : Locator
        What will hold the texts.
    """

    def __init__(
        self, sender: NotebookPage, reader: NotebookPage, box: Locator, shown: Locator
    ) -> None:
        self._sender, self._reader, self._box = sender, reader, box
        box.wait_for()
        shown.wait_for()
        sender.page.evaluate(NOTE_ENTER)
        shown.evaluate(NOTE_PAINT)

    def send(self, *, seconds: float = SECONDS) -> float:
        """Type a text, press Enter, and return the ms until it is painted on the other page."""
        text = uuid.uuid4().hex
        self._reader.page.evaluate("(text) => { window.awaited = text; }", text)
        self._box.fill(text)
        self._box.press("Enter")
        self._reader.page.wait_for_function(
            "(text) => window.painted[text]", arg=text, timeout=seconds * 1000
        )
        painted: float = self._reader.page.evaluate("(text) => window.painted[text]", text)
        entered: float = self._sender.page.evaluate("() => window.entered")
        return painted - entered


def _open_panels(lab: Lab, channel: str) -> Way:
    """Open the panel of two users."""
    pages = []
    for user in ("ana", "ben"):
        page = open_cell(lab, f"{user}.ipynb", PANEL.format(channel=channel, user=user))
        page.panel.wait(lambda panel: panel.status.inner_text() == "Connected", 30)
        pages.append(page)
    sender, reader = pages
    return Way(sender, reader, sender.panel.box, reader.panel.root)


def _open_by_hand(lab: Lab, settings: Settings, channel: str) -> Way:
    """Open what one would write by hand."""
    where = {
        "servers": settings.bootstrap_servers.split(","),
        "topic": settings.topic_of(channel),
    }
    reader = open_cell(lab, "read.ipynb", READ_BY_HAND.format(**where))
    sender = open_cell(lab, "send.ipynb", SEND_BY_HAND.format(**where))
    output = sender.page.locator(".jp-OutputArea")
    shown = reader.page.locator(".jp-OutputArea .widget-html-content")
    return Way(sender, reader, output.locator("input[type=text]"), shown)


def _warm_up(way: Way) -> None:
    """Send until texts arrive: a consumer by hand has no way to say that it reads."""
    end = time.monotonic() + SECONDS
    arrived = 0
    while arrived < WARM_UP:
        try:
            way.send(seconds=2)
            arrived += 1
        except NotInTimeError:
            if time.monotonic() > end:
                raise


def _measure(ways: dict[str, Way], messages: int, pause: Callable[[], float]) -> dict[str, Any]:
    """Send by each way in turn; return ms, sorted."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _number in range(messages):
        for name, way in ways.items():
            taken[name].append(way.send())
            time.sleep(pause())
    return {name: sorted(values) for name, values in taken.items()}


def compare(taken: dict[str, list[float]], messages: int) -> dict[str, Any]:
    """Return median and 95th percentile of each way in ms, and their ratios."""
    result: dict[str, Any] = {"messages": messages}
    for way_name, values in taken.items():
        result[f"{way_name}_median_ms"] = statistics.median(values)
        result[f"{way_name}_p95_ms"] = statistics.quantiles(values, n=20, method="inclusive")[-1]
    result["ratios"] = {
        f"by_hand/ours, {what}": round(
            result[f"by_hand_{what}_ms"] / max(1.0, result[f"ours_{what}_ms"]), 3
        )
        for what in ("median", "p95")
    }
    return result


def run(settings: Settings, *, messages: int) -> dict[str, Any]:
    """Measure both ways in turns; what is made for it in Kafka and MongoDB is deleted again.

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
    chance = random.Random(1)
    with own_names(settings, "latency", "ours", "by-hand") as (own, new_lab), new_lab as lab:
        ways = {
            "ours": _open_panels(lab, "ours"),
            "by_hand": _open_by_hand(lab, own, "by-hand"),
        }
        for way in ways.values():
            _warm_up(way)
        taken = _measure(ways, messages, lambda: chance.uniform(0.2, 0.5))
    return compare(taken, messages)
