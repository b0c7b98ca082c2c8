"""A real JupyterLab and a real Chromium, for tests of what people see.

::

    with Lab(tmp_path, env) as lab:
        lab.write_notebook("a.ipynb", ["from chatkit.widgets import ChatPanel", "ChatPanel()"])
        page = lab.open_notebook("a.ipynb")
        page.run_all()
        page.panel.write("hello")

Nothing here asks any other machine: Lab's news and update checks are off, and a page may reach
this Lab only; what it asks of others is refused and counts as an error.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import nbformat
import psutil
from playwright.sync_api import (
    Browser,
    Dialog,
    Locator,
    Page,
    Route,
    ViewportSize,
    WebSocket,
    sync_playwright,
)

from tests.waiting import wait_until

TOKEN = "test"  # of a server on the loopback that lives as long as a test
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
LAB_CONFIG = {
    "ServerApp": {"ip": "127.0.0.1", "port": 0, "open_browser": False, "allow_root": True},
    "IdentityProvider": {"token": TOKEN},
    "LabApp": {
        "news_url": None,
        "check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "extension_manager": "readonly",
        "expose_app_in_browser": True,
    },
    "JupyterNotebookApp": {"expose_app_in_browser": True},
}
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "fetchNews": "false",
    },
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


class Lab:
    """A JupyterLab server and a browser, both started and ended here.

    Parameters
    ----------
    folder : Path
        An empty folder for notebooks, configuration and log.
    env : mapping of str to str
        More environment variables for the server and its kernels.
    """

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.notebooks = folder / "notebooks"
        self._runtime = folder / "runtime"
        self._log = folder / "lab.log"
        config = folder / "config"
        for path in (self.notebooks, self._runtime, config / "labconfig"):
            path.mkdir(parents=True)
        (config / "jupyter_server_config.json").write_text(json.dumps(LAB_CONFIG))
        (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
        self.environment = {
            **os.environ,
            **(env or {}),
            "JUPYTER_CONFIG_DIR": str(config),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "IPYTHONDIR": str(folder / "ipython"),
        }

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={self.notebooks}"]
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                command, env=self.environment, cwd=self.notebooks, stdout=log, stderr=log
            )
        try:
            wait_until(lambda: self._server.poll() is not None or self._find_url(), 60)
            if self._server.poll() is not None:
                raise RuntimeError(f"JupyterLab did not start:\n{self._log.read_text()}")
            self._playwright = sync_playwright().start()
            self._browser: Browser = self._playwright.chromium.launch(
                executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
                args=CHROMIUM_FLAGS,
            )
        except BaseException:
            self._end_server()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._browser.close()
            self._playwright.stop()
        finally:
            self._end_server()

    def _find_url(self) -> str:
        """Return the server's address, or nothing while it does not answer."""
        for path in self._runtime.glob(f"jpserver-{self._server.pid}.json"):
            try:
                return str(json.loads(path.read_text())["url"])
            except ValueError:
                return ""
        return ""

    def _end_server(self) -> None:
        """End the server and its kernels, by their process ids."""
        family = psutil.Process(self._server.pid).children(recursive=True)
        self._server.terminate()
        try:
            self._server.wait(15)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait(5)
        _, alive = psutil.wait_procs(family, timeout=5)
        for process in alive:
            process.kill()

    def write_notebook(self, name: str, cells: Sequence[str]) -> Path:
        """Write a notebook of code cells, and return its path."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        path = self.notebooks / name
        nbformat.write(notebook, path)
        return path

    def open_notebook(
        self, name: str, *, width: int = 1280, height: int = 900, **context: Any
    ) -> NotebookPage:
        """Open a notebook in a browser of its own, and return its page."""
        page = self.new_page(width=width, height=height, **context)
        opened = NotebookPage(self, name, page, self.address(f"lab/tree/{name}") + "&reset")
        opened.load()
        return opened

    def new_page(self, *, width: int = 1280, height: int = 900, **context: Any) -> Page:
        """Return an empty page in a browser of its own."""
        viewport: ViewportSize = {"width": width, "height": height}
        return self._browser.new_context(viewport=viewport, **context).new_page()

    def address(self, path: str) -> str:
        """Return the address of something that the server shows."""
        return f"{self._find_url()}{path}?token={TOKEN}"


class NotebookPage:
    """A notebook in JupyterLab in a browser."""

    def __init__(self, lab: Lab, name: str, page: Page, url: str) -> None:
        self.name = name
        self.page = page
        self._lab = lab
        self.errors: list[str] = []
        """Uncaught exceptions, dialogs, and requests to other machines, which are refused."""
        self._url = url
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._accept)
        server = urlsplit(url).netloc
        page.route(lambda target: urlsplit(target).netloc != server, self._refuse)

    @property
    def panel(self) -> PanelOnPage:
        """The first chat panel on the page."""
        return PanelOnPage(self.page, self.page.locator(".chatkit-panel").first)

    def _accept(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":  # that is the browser's own, on leaving unsaved work
            self.errors.append(f"{dialog.type}: {dialog.message}")
        dialog.accept()

    def _refuse(self, route: Route) -> None:
        self.errors.append(f"asked for {route.request.url}")
        route.abort()

    def load(self) -> None:
        """Load the page, or load it again, and wait for the notebook's kernel."""
        self.page.goto(self._url)
        self.page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=60_000)
        self.page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
            " === 'idle'",
            timeout=60_000,
        )

    def note_widget_messages(self) -> list[float]:
        """Load the page again, and note the times of what its widgets are told from then on."""
        times: list[float] = []

        def note(frame: Any) -> None:
            # Before its parts stands where they begin: the channel's name, the header, and more.
            begin, end = struct.unpack_from("<2Q", frame, 16)
            if json.loads(frame[begin:end])["msg_type"] == "comm_msg":
                times.append(time.monotonic())

        def listen(socket: WebSocket) -> None:
            if "/channels" in socket.url:  # a kernel's
                socket.on("framereceived", note)

        self.page.on("websocket", listen)
        self.save()
        self.load()
        return times

    def open_again(self) -> NotebookPage:
        """Open the same notebook, with the same kernel, in another browser."""
        return self._lab.open_notebook(self.name)

    def close(self) -> None:
        """End the notebook's kernel and close the browser."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.context.close()

    def restart_kernel(self) -> None:
        """Restart the kernel, and wait until it answers."""
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()"
        )
        assert self.evaluate("1 + 1") == "2"

    def command(self, name: str, args: dict[str, Any] | None = None) -> None:
        """Run a command of JupyterLab's, and wait for its end."""
        self.page.evaluate(
            "async ([name, args]) => { await window.jupyterapp.commands.execute(name, args); }",
            [name, args or {}],
        )

    def run_all(self) -> None:
        """Run all cells, and wait for their end."""
        self.command("notebook:run-all-cells")

    def start_cell(self, index: int, *, wait: bool = False) -> None:
        """Begin to run one cell."""
        self.page.evaluate(
            """async ([index, wait]) => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = index;
                notebook.deselectAll();
                const done = window.jupyterapp.commands.execute("notebook:run-cell");
                if (wait) await done;
            }""",
            [index, wait],
        )

    def run_cell(self, index: int) -> None:
        """Run one cell, and wait for its end."""
        self.start_cell(index, wait=True)

    def execution_count(self, index: int) -> int | None:
        """Return the number in front of a cell; None while it runs."""
        count: int | None = self.page.evaluate(
            "(i) => window.jupyterapp.shell.currentWidget.content.widgets[i]"
            ".model.sharedModel.execution_count",
            index,
        )
        return count

    def evaluate(self, expression: str) -> str:
        """Return the repr of an expression in the page's kernel."""
        reply: dict[str, Any] = self.page.evaluate(
            """async (expression) => {
                const session = window.jupyterapp.shell.currentWidget.sessionContext.session;
                const future = session.kernel.requestExecute(
                    { code: "", silent: true, user_expressions: { value: expression } });
                return (await future.done).content.user_expressions.value;
            }""",
            expression,
        )
        if reply["status"] != "ok":
            raise AssertionError(f"{expression}: {reply}")
        return str(reply["data"]["text/plain"])

    def set_theme(self, name: str) -> None:
        """Change to a theme, ``JupyterLab Light`` or ``JupyterLab Dark``."""
        self.command("apputils:change-theme", {"theme": name})

    def save(self) -> None:
        """Save the notebook."""
        self.command("docmanager:save")

    def cell_sources(self) -> list[str]:
        """Return what stands in the cells."""
        sources: list[str] = self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.widgets"
            ".map((cell) => cell.model.sharedModel.getSource())"
        )
        return sources


class PanelOnPage:
    """A chat panel as its reader sees and uses it."""

    def __init__(self, page: Page, root: Locator) -> None:
        self.page = page
        self.root = root
        self.box = root.get_by_role("textbox", name="Message")
        self.log = root.get_by_role("log")
        self.rows = root.locator(".row")
        self.messages = root.locator(".row:not(.join):not(.leave)")
        self.status = root.locator(".words")

    def write(self, text: str, *, key: str = "Enter") -> None:
        """Write into the box, and press a key."""
        self.box.fill(text)
        self.box.press(key)

    def row(self, text: str) -> Locator:
        """Return the row that holds a text."""
        return self.rows.filter(has_text=text)

    def wait_for(self, text: str, *, state: str = "sent", timeout: float = 10.0) -> Locator:
        """Wait for a row with a text and a state, and return it."""
        row = self.root.locator(f".row[data-state='{state}']").filter(has_text=text)
        row.first.wait_for(timeout=timeout * 1000)
        return row.first

    def wait(self, predicate: Callable[[Self], object], timeout: float = 10.0) -> None:
        """Wait until something holds for the panel, letting the page go on."""

        def holds() -> object:
            self.page.wait_for_timeout(10)
            return predicate(self)

        wait_until(holds, timeout)

    def select(self, channel: str) -> None:
        """Choose a channel in the list."""
        self.root.get_by_role("option", name=channel, exact=True).click()

    @property
    def channel(self) -> str:
        """The channel that is chosen."""
        chosen = self.root.locator("[role=option][aria-selected=true]")
        return chosen.get_attribute("data-channel") or ""
