"""The explorer and the live dashboard, in a real JupyterLab in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Locator

from chatkit import Explorer, history, sample
from chatkit.archiver import Archiver
from chatkit.message import Message
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.browser import Lab, NotebookPage
from tests.chatting import setup_cell
from tests.waiting import wait_until
from tests.xss import PAYLOADS

EXPLORER = "from chatkit import Explorer\nshown = Explorer(settings=settings)\nshown"
DASHBOARD = (
    "from chatkit import ChatRoom, LiveDashboard\n"
    "room = ChatRoom(settings).open()\nshown = LiveDashboard(room)\nshown"
)


@pytest.fixture
def open_cell(lab: Lab, settings: Settings) -> Iterator[Callable[[str, str], NotebookPage]]:
    pages: list[NotebookPage] = []

    def open_one(name: str, cell: str) -> NotebookPage:
        lab.write_notebook(name, [setup_cell(settings), cell])
        pages.append(lab.open_notebook(name, width=1400, height=1100))
        pages[-1].run_all()
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()


def settle(page: NotebookPage, status: str) -> None:
    """Wait until the explorer says something."""
    label = page.page.locator(".jp-OutputArea .widget-label").filter(has_text=status).first
    try:
        label.wait_for()
    except PlaywrightError:
        pytest.fail(f"it says {page.evaluate('shown._status.value')}")


def tiles(page: NotebookPage) -> Locator:
    return page.page.locator(".chatkit-tiles")


def choose(page: NotebookPage, block: str) -> None:
    page.page.locator(".jp-OutputArea select[size]").select_option(label=block)


def test_one_bar_filters_every_statistic(
    open_cell: Callable[[str, str], NotebookPage],
    settings: Settings,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    sample.add(settings)
    page = open_cell("explorer.ipynb", EXPLORER)
    settle(page, "68 of 68 messages")
    tiles(page).get_by_text("68", exact=True).wait_for()
    box = page.page.get_by_placeholder("Search: words")
    box.fill("from:ana is:reply")
    box.press("Enter")
    asked = page.evaluate("len(shown.frame)")
    settle(page, "of 68 messages")
    wait_until(lambda: 0 < int(page.evaluate("len(shown.frame)")) < 68)
    asked = page.evaluate("len(shown.frame)")
    tiles(page).get_by_text(asked, exact=True).first.wait_for()
    assert page.evaluate("set(shown.frame['author'])") == "{'ana'}"
    choose(page, "Authors")
    wait_until(lambda: page.evaluate("list(shown.table.columns)[0]") == "'author'")
    page.page.get_by_role("tab", name="Table", exact=True).click()
    page.page.locator(".chatkit-table td", has_text="ana").first.wait_for()
    page.page.get_by_role("tab", name="Code", exact=True).click()
    code = page.page.locator(".jp-OutputArea textarea").input_value()
    assert "history.load(store, 'from:ana is:reply')" in code
    assert "stats.per_author(frame)" in code
    box.fill("before:2026-13")
    box.press("Enter")
    settle(page, "2026-13")
    assert page.evaluate("len(shown.frame)") == asked, "what was shown stays"
    choose(page, "Reactions")
    box.fill("")
    box.press("Enter")
    wait_until(lambda: page.evaluate("int(sum(shown.table.get('times', [])))") == "27")
    assert page.errors == []


def test_an_empty_archive_is_shown_as_one(
    open_cell: Callable[[str, str], NotebookPage], settings: Settings
) -> None:
    with MessageStore(settings) as store:
        store.prepare()
    page = open_cell("empty.ipynb", EXPLORER)
    settle(page, "0 of 0 messages")
    for block in ("Words", "Who stays", "Who talks with whom", "Calendar"):
        choose(page, block)
        wait_until(lambda block=block: page.evaluate("shown._choice.label") == repr(block))
        assert page.evaluate("shown._status.value") == "'0 of 0 messages'"
    assert page.errors == []


@pytest.mark.usefixtures("channels")
def test_names_and_texts_are_shown_as_text(
    open_cell: Callable[[str, str], NotebookPage],
    settings: Settings,
    producer: ChatProducer,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    texts = [text for text in PAYLOADS if text.isprintable() and "<" in text][:40]
    for text in texts:
        producer.send(Message.new("general", text[:60].strip(), text)).result(20)
    wait_until(lambda: store.counts().get("general") == len(texts), 20)
    page = open_cell("names.ipynb", EXPLORER)
    settle(page, f"{len(texts)} of {len(texts)} messages")
    for block in ("Authors", "Words", "Who mentions whom", "Words of each channel"):
        choose(page, block)
        wait_until(lambda block=block: page.evaluate("shown._choice.label") == repr(block))
        page.page.get_by_role("tab", name="Table", exact=True).click()
        page.page.wait_for_timeout(500)
        page.page.get_by_role("tab", name="Picture", exact=True).click()
        page.page.wait_for_timeout(500)
    assert page.errors == []
    assert page.page.locator(".jp-OutputArea img, .jp-OutputArea iframe").count() == 0


@pytest.mark.usefixtures("channels")
def test_the_dashboard_moves_by_itself(
    open_cell: Callable[[str, str], NotebookPage],
    settings: Settings,
    producer: ChatProducer,
) -> None:
    page = open_cell("live.ipynb", DASHBOARD)
    settle(page, "0 messages of 0 people")
    for number in range(7):
        producer.send(Message.new("general", "ana", f"lovely number {number}")).result(20)
    settle(page, "7 messages of 1 people in the last 15 minutes")
    page.page.locator(".chatkit-table td", has_text="lovely").first.wait_for()
    assert page.evaluate("shown.close(), room.close()") == "(None, None)"
    assert page.errors == []


def test_reactions_are_loaded_of_no_older_messages_than_are_loaded(
    settings: Settings, archiver_factory: Callable[..., Archiver]
) -> None:
    archiver_factory()
    sample.add(settings)
    with MessageStore(settings) as store, closing(Explorer(store, limit=20)) as explorer:
        wait_until(lambda: store.messages.count_documents({}) == 68)
        explorer.reload()
        wait_until(lambda: explorer.table is not None and len(explorer.frame) == 20)
        everything = history.load_reactions(store)
        choice = next(
            child for child in explorer.children[-1].children if hasattr(child, "options")
        )
        choice.value = dict(choice.options)["Reactions"]
        wait_until(lambda: "times" in explorer.table)
        expected = everything["id"].isin(explorer.frame["id"]).sum()
        assert 0 < explorer.table["times"].sum() == expected < len(everything)
        oldest = explorer.frame["placed_at"].min().floor("D")
        assert explorer._reactions["placed_at"].min() >= oldest
