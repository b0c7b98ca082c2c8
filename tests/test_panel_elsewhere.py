"""The panel outside of JupyterLab: in Notebook 7 and in Voilà, each a real server and browser."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from chatkit.room import ChatRoom
from chatkit.settings import Settings
from tests.browser import Lab, NotebookPage, PanelOnPage
from tests.chatting import setup_cell
from tests.waiting import wait_until

PANEL = "ChatPanel(settings=settings, user='ana')"


def test_the_panel_works_in_notebook_7(
    lab: Lab, settings: Settings, room_factory: Callable[..., ChatRoom]
) -> None:
    lab.write_notebook("seven.ipynb", [setup_cell(settings), PANEL])
    page = lab.new_page()
    opened = NotebookPage(lab, "seven.ipynb", page, lab.address("notebooks/seven.ipynb"))
    opened.load()
    opened.run_all()
    talk(opened.panel, room_factory)
    # Shift+Enter would have run the cell again, and made a new one.
    assert page.locator(".jp-Cell").count() == 2
    assert page.locator(".jp-InputPrompt").last.inner_text() == "[2]:"
    page.keyboard.press("Control+s")
    page.locator(".jp-NotebookCheckpoint").get_by_text("Last Checkpoint").wait_for()
    page.context.close()


def test_the_panel_works_in_voila(
    lab: Lab,
    settings: Settings,
    room_factory: Callable[..., ChatRoom],
    tmp_path: Path,
) -> None:
    notebook = lab.write_notebook("voila.ipynb", [setup_cell(settings), PANEL])
    log = tmp_path / "voila.log"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "voila", str(notebook), "--no-browser", f"--port={port}"),
        "--Voila.ip=127.0.0.1",
    ]
    with log.open("wb") as file:
        server = subprocess.Popen(command, env=lab.environment, stdout=file, stderr=file)
    try:
        address = f"http://127.0.0.1:{port}/"
        wait_until(lambda: address in log.read_text(), 60)
        page = lab.new_page()
        page.goto(address, timeout=60_000)
        talk(PanelOnPage(page, page.locator(".chatkit-panel").first), room_factory)
        page.context.close()
    finally:
        family = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        server.wait(15)
        for process in psutil.wait_procs(family, timeout=10)[1]:
            process.kill()


def talk(panel: PanelOnPage, room_factory: Callable[..., ChatRoom]) -> None:
    """Write from the page and to it."""
    panel.box.wait_for(timeout=60_000)
    panel.wait(lambda one: one.status.inner_text() == "Connected", 60)
    room = room_factory("ben")
    room.join("general").result(20)
    panel.write("**hello** from elsewhere")
    row = panel.wait_for("hello from elsewhere")
    assert row.locator("strong").inner_text() == "hello"
    room.send("general", "hello back")
    panel.wait_for("hello back")
    panel.write("line one", key="Shift+Enter")
    panel.box.press("Enter")
    panel.wait_for("line one")
