"""Notebooks with chat panels in a real JupyterLab, for tests of the panel.

Every test may use the fixtures ``lab`` and ``open_chat``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from chatkit.channels import Channels
from chatkit.settings import Settings
from tests.browser import Lab, NotebookPage

__all__ = ["lab", "open_chat", "run_panel", "setup_cell"]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def setup_cell(settings: Settings) -> str:
    """Return a cell that tells the kernel which topics and database are this test's."""
    values = {
        "kafka_timeout": settings.kafka_timeout,
        "mongo_timeout": settings.mongo_timeout,
        "delivery_timeout": settings.delivery_timeout,
        "bootstrap_servers": settings.bootstrap_servers,
        "mongo_uri": settings.mongo_uri.get_secret_value(),
        "database": settings.database,
        "topic_prefix": settings.topic_prefix,
        "system_prefix": settings.system_prefix,
    }
    return (
        "from chatkit.settings import Settings\n"
        "from chatkit.widgets import ChatPanel\n"
        f"settings = Settings(**{values!r})"
    )


def run_panel(page: NotebookPage, status: str = "Connected") -> None:
    """Run the cell that makes the panel, and wait until it is connected, or what else it is."""
    page.run_cell(1)
    page.panel.wait(lambda panel: panel.status.inner_text() == status, 30)


@pytest.fixture
def open_chat(
    lab: Lab, settings: Settings, channels: Channels
) -> Iterator[Callable[..., NotebookPage]]:
    """Open a notebook with a chat panel, each with a kernel of its own; closed after the test."""
    pages: list[NotebookPage] = []

    def open_one(
        user: str = "ana",
        channel: str = "general",
        *more: str,
        connected: bool = True,
        **changes: float | str,
    ) -> NotebookPage:
        name = f"chat{next(_numbers)}.ipynb"
        panel = f"panel = ChatPanel(settings=settings, user={user!r}, channel={channel!r})\npanel"
        lab.write_notebook(name, [setup_cell(settings.replace(**changes)), panel, *more])
        page = lab.open_notebook(name)
        pages.append(page)
        page.run_cell(0)
        run_panel(page, "Connected" if connected else "Not connected")
        return page

    yield open_one
    errors = [error for page in pages for error in page.errors]
    for page in pages:
        page.evaluate("panel.close()")
        page.close()
    assert errors == []
