"""A burst: thousands of messages a second come into a channel that is on the screen.

Beside the panel: a thread that reads Kafka and adds each line to an HTML, as one would write it by
hand. For both: how many of the messages are shown in the end, and how long after the last was sent.
For the panel also how the page moved meanwhile, and how many widget messages it took.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.latency import PANEL, READ_BY_HAND
from benchmarks.pages import open_cell, own_names
from chatkit.settings import Settings
from tests.browser import Lab
from tests.commands import environment
from tests.waiting import wait_until

SECONDS = 60.0
"""How long to wait for what was sent to be shown."""

SENDER = """
import json, sys, time
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
channel, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with ChatProducer(Settings(), bulk=True) as producer:
    receipts, started = [], time.monotonic()
    for n in range(int(rate * seconds)):
        while n > (time.monotonic() - started) * rate:
            time.sleep(0.002)
        receipts.append(producer.send(Message.new(channel, f"author{n % 7}", f"message {n}")))
    for receipt in receipts:
        receipt.result(60)
    print(json.dumps({"seconds": time.monotonic() - started}))
"""

COUNT_FRAMES = """() => {
    window.frames_ = [];
    let last = performance.now();
    const next = (now) => {
        window.frames_.push(now - last);
        last = now;
        requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
}"""

ROWS = "host => host.store.view(host.store.selected).rows.filter(r => r.kind === 'message').length"

SENT = """(host, text) => host.store.view(host.store.selected).rows
    .some(row => row.body === text && row.state === "sent")"""


def _send(own: Settings, channel: str, rate: int, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SENDER, channel, str(rate), str(seconds)],
        env=environment(own),
        stdout=subprocess.PIPE,
        text=True,
    )


def _panel(lab: Lab, own: Settings, rate: int, seconds: float) -> dict[str, float]:
    page = open_cell(lab, "ours.ipynb", PANEL.format(channel="ours", user="ana"))
    times = page.note_widget_messages()
    page.panel.wait(lambda panel: panel.status.inner_text() == "Connected", 30)
    page.page.evaluate(COUNT_FRAMES)
    total = int(rate * seconds)
    sender = _send(own, "ours", rate, seconds)
    page.panel.wait(lambda panel: panel.root.evaluate(ROWS) > 0, 30)
    began = time.monotonic()
    typed = []
    while sender.poll() is None:
        text = f"typed {len(typed)}"
        started = time.monotonic()
        page.panel.write(text)
        # By what the page holds: on the screen it stands for a moment only.
        page.panel.wait(lambda panel: panel.root.evaluate(SENT, text), SECONDS)  # noqa: B023
        typed.append((time.monotonic() - started) * 1000)
        page.page.wait_for_timeout(200)
    ended = time.monotonic()
    assert sender.stdout is not None
    json.loads(sender.stdout.read())

    def all_shown() -> bool:
        page.page.wait_for_timeout(20)
        shown: int = page.panel.root.evaluate(ROWS)
        return shown >= total + len(typed)

    wait_until(all_shown, SECONDS)
    frames = sorted(page.page.evaluate("() => window.frames_"))
    in_time = [one for one in times if began <= one <= ended]
    result = {
        "shown": float(page.panel.root.evaluate(ROWS) - len(typed)),
        "shown_after_s": time.monotonic() - ended,
        "frame_p99_ms": frames[int(len(frames) * 0.99)],
        "widget_messages_per_s": len(in_time) / (ended - began),
        "typed_to_sent_ms": statistics.median(typed),
    }
    page.close()
    return result


def _by_hand(lab: Lab, own: Settings, rate: int, seconds: float) -> dict[str, float]:
    where = {
        "servers": own.bootstrap_servers.split(","),
        "topic": own.topic_of("by-hand"),
    }
    page = open_cell(lab, "hand.ipynb", READ_BY_HAND.format(**where))
    page.page.wait_for_timeout(2000)  # it has no way to say that it reads
    sender = _send(own, "by-hand", rate, seconds)
    sender.wait()
    content = page.page.locator(".jp-OutputArea .widget-html-content")
    ended = time.monotonic()
    shown, since = 0, time.monotonic()
    # Until nothing more is added for a while.
    while time.monotonic() - since < 5 and time.monotonic() - ended < SECONDS:
        page.page.wait_for_timeout(500)
        now = content.evaluate("element => element.querySelectorAll('br').length")
        if now != shown:
            shown, since = now, time.monotonic()
    result = {"shown": float(shown), "shown_after_s": since - ended}
    page.close()
    return result


def run(settings: Settings, *, rate: int, seconds: float) -> dict[str, Any]:
    """Measure both ways; what is made for it in Kafka and MongoDB is deleted again.

    Parameters
    ----------
    settings : Settings
        Where Kafka and MongoDB are; topics and database get names of their own.
    rate : int
        Messages a second.
    seconds : float
        For how long.

    Returns
    -------
    dict
        What was shown and how, of both ways.
    """
    with own_names(settings, "burst", "ours", "by-hand") as (own, new_lab), new_lab as lab:
        ours = _panel(lab, own, rate, seconds)
        by_hand = _by_hand(lab, own, rate, seconds)
    result: dict[str, Any] = {"sent": int(rate * seconds), "rate_per_s": rate}
    result |= {f"ours_{name}": value for name, value in ours.items()}
    result |= {f"by_hand_{name}": value for name, value in by_hand.items()}
    result["ratios"] = {
        "shown of sent, ours": ours["shown"] / (rate * seconds),
        "shown of sent, by hand": by_hand["shown"] / (rate * seconds),
    }
    return result
