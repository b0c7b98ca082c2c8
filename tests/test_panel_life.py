"""The panel through what happens in a notebook's life: busy kernels, bursts, a broker that dies."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable

import pytest

from chatkit.channels import Channels
from chatkit.local import LocalStack
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from tests.browser import NotebookPage
from tests.names import with_own_names
from tests.verification import read_everything
from tests.waiting import wait_until

Open = Callable[..., NotebookPage]

BUSY = {
    "sleep": "import time; time.sleep(20)",
    "loop": "import time\nend = time.time() + 20\nwhile time.time() < end: pass",
}
SHOWN = """host => host.store.view(host.store.selected).rows
    .filter(row => row.kind === "message" && row.state === "sent").length"""
MINE = """host => host.store.view(host.store.selected).rows
    .some(row => row.body === "in the midst of it" && row.state === "sent")"""


def wait_for_kernel(page: NotebookPage, status: str) -> None:
    page.page.wait_for_function(
        "(status) => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
        " === status",
        arg=status,
    )


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY.keys())
def test_what_is_written_while_a_cell_runs_is_sent_at_once(open_chat: Open, busy: str) -> None:
    page, other = open_chat("ana", "general", busy), open_chat("ben")
    page.start_cell(2)
    wait_for_kernel(page, "busy")
    page.panel.write("while it runs")
    page.panel.wait_for("while it runs", timeout=5)
    other.panel.wait_for("while it runs", timeout=5)
    other.panel.write("and back")
    page.panel.wait_for("and back", timeout=5)
    assert page.execution_count(2) is None, "the cell still runs"
    page.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"
    )
    wait_for_kernel(page, "idle")
    # What is asked just after an interrupt is thrown away by the kernel.
    page.page.wait_for_function(
        """async () => {
            const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
            const future = kernel.requestExecute({ code: "", silent: true });
            return (await future.done).content.status === "ok";
        }"""
    )


def test_a_burst_is_shown_whole_in_few_widget_messages_and_one_can_write_meanwhile(
    open_chat: Open, settings: Settings
) -> None:
    page = open_chat()
    times = page.note_widget_messages()
    page.panel.wait(lambda panel: panel.status.inner_text() == "Connected", 30)
    count = 20_000
    with ChatProducer(settings, bulk=True) as producer:
        began = time.monotonic()
        for n in range(count):
            receipt = producer.send(Message.new("general", f"author{n % 7}", f"message {n}"))
        page.panel.write("in the midst of it")
        page.panel.wait(lambda panel: panel.root.evaluate(MINE), 30)
        receipt.result(60)
    page.panel.wait(lambda panel: panel.root.evaluate(SHOWN) == count + 1, 60)
    seconds = time.monotonic() - began
    during = [one for one in times if one >= began]
    assert len(during) / seconds <= 20
    page.panel.log.evaluate("log => { log.scrollTop = log.scrollHeight; }")
    page.panel.wait(lambda panel: panel.rows.last.is_visible())


# A broker that dies: on a stack of its own.


@pytest.fixture
def on_breakable(breakable: LocalStack) -> Settings:
    """Settings with names that no other test has, and a channel named general."""
    settings = with_own_names(breakable.settings)
    with Channels(settings) as channels:
        channels.create("general")
    return settings


def test_what_people_type_while_the_broker_is_dead_is_sent_once_or_kept(
    open_chat: Open, breakable: LocalStack, on_breakable: Settings
) -> None:
    where = {
        "bootstrap_servers": on_breakable.bootstrap_servers,
        "mongo_uri": on_breakable.mongo_uri.get_secret_value(),
        "database": on_breakable.database,
        "topic_prefix": on_breakable.topic_prefix,
        "system_prefix": on_breakable.system_prefix,
    }
    pages = [open_chat(user, **where) for user in ("ana", "ben")]
    for page in pages:
        page.panel.write("before")
        page.panel.wait_for("before")
    breakable.kafka.kill()
    died = time.monotonic()
    typed = []
    while time.monotonic() - died < 20:
        for page in pages:
            text = f"typed {len(typed)}"
            page.panel.write(text)
            typed.append(text)
            page.page.wait_for_timeout(900)
    for page in pages:
        page.panel.wait(lambda panel: panel.status.inner_text() == "Not connected", 30)
    breakable.kafka.start()
    for page in pages:
        page.panel.wait(lambda panel: panel.status.inner_text() == "Connected", 60)
        page.panel.write("after")
    for page in pages:
        page.panel.wait(
            lambda panel: panel.root.evaluate(SHOWN) == len(typed) + 4,
            60,
        )
    sent = Counter(
        item["body"]
        for record in read_everything(on_breakable, "general")
        if (item := json.loads(record.value))["type"] == "message"
    )
    assert sent == Counter([*typed, "before", "before", "after", "after"])
    wait_until(lambda: all(page.panel.root.evaluate(SHOWN) == len(typed) + 4 for page in pages))
