"""A visit to an installed chatkit on a machine that reaches nothing but itself.

::

    python -m tests.offline FOLDER CHATKIT

FOLDER is a `Place`, and CHATKIT the installed command; pictures of what was seen are left in the
folder. `apart` says what to put in front for a network that is a loopback only, where the kernel
gives us one. Everywhere each Python that the visit starts refuses all other addresses, and the
visit fails if one was asked for.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, sync_playwright

from chatkit.settings import Settings
from tests.browser import CHROMIUM_FLAGS, NotebookPage
from tests.commands import running
from tests.waiting import wait_until

START_SECONDS = 90
STOP_SECONDS = 40

# Python runs a module of this name before anything else.
WATCH = """
import ipaddress
import os
import sys

ASKING = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0}


def watch(event, arguments):
    if event not in ASKING:
        return
    address = arguments[ASKING[event]]
    if isinstance(address, (str, bytes)) and event != "socket.getaddrinfo":
        return  # a socket that is a file
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost"):
        return
    try:
        number = ipaddress.ip_address(host)
        if number.is_loopback or number.is_unspecified:
            return
    except ValueError:
        pass
    with open(os.environ["ASKED_FOR"], "a") as log:
        log.write(f"{event} {host}: {sys.orig_argv}\\n")
    raise OSError(f"no network here: {host}")


sys.addaudithook(watch)
"""


def apart() -> list[str]:
    """Return what to put in front of a command for a network of its own; empty if there is none."""
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return command


def bring_loopback_up() -> None:
    get_flags, set_flags, up = 0x8913, 0x8914, 1  # of Linux
    with socket.socket() as any_socket:
        request = fcntl.ioctl(any_socket, get_flags, struct.pack("16sH14x", b"lo", 0))
        (flags,) = struct.unpack_from("H", request, 16)
        if not flags & up:
            fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", flags | up))


class Place:
    """A home of somebody who has never seen chatkit, and an empty folder where they stand."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.here = folder / "here"
        self.home.mkdir(exist_ok=True)
        self.here.mkdir(exist_ok=True)
        cache = Settings().cache_dir  # Kafka need not be fetched again
        ours = ("XDG_", "VIRTUAL_ENV", "PYTHONPATH", "JUPYTER", "IPYTHON", "CHATKIT_DATA_DIR")
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "HOME": str(self.home),
            "CHATKIT_CACHE_DIR": str(cache),
        }


class Visit:
    """What a visitor does, on a network that is watched."""

    def __init__(self, folder: Path, chatkit: Path) -> None:
        self.folder = folder
        self.chatkit = chatkit
        self.place = Place(folder)
        self.asked_for = folder / "asked-for.log"
        watch = folder / "watch"
        watch.mkdir()
        (watch / "sitecustomize.py").write_text(WATCH)
        self.env = {
            **self.place.env,
            "PYTHONPATH": str(watch),
            "ASKED_FOR": str(self.asked_for),
        }

    def check_the_watch(self) -> None:
        """Make sure that asking for another machine fails, and is noted."""
        ask = "import socket; socket.create_connection(('192.0.2.1', 9))"
        done = subprocess.run(
            [sys.executable, "-c", ask], env=self.env, capture_output=True, text=True, check=False
        )
        assert "no network here: 192.0.2.1" in done.stderr
        assert "192.0.2.1" in self.asked_for.read_text()
        self.asked_for.unlink()

    def make(self) -> None:
        """Chat, look back, go; nothing may be asked of another machine."""
        lab = ["lab", "--no-browser", "--", "--LabApp.expose_app_in_browser=True"]
        with (
            running(*lab, program=[self.chatkit], env=self.env, cwd=self.place.here) as command,
            sync_playwright() as playwright,
        ):
            command.line_with("Stop ", START_SECONDS)
            url = command.line_with("http://").split()[-1]
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
                args=CHROMIUM_FLAGS,
            )
            self._chat(browser, url)
            self._look_back(browser, url)
            browser.close()
            assert command.end(signal.SIGINT, STOP_SECONDS) == 0, command.text
        assert not self.asked_for.exists(), self.asked_for.read_text()

    def _open(self, browser: Browser, url: str, name: str) -> NotebookPage:
        page = browser.new_page(viewport={"width": 1280, "height": 2000})
        parts = urlsplit(url)
        target = parts._replace(path=f"/lab/tree/{name}", query=f"{parts.query}&reset")
        opened = NotebookPage(None, name, page, target.geturl())
        opened.load()
        assert opened.evaluate("'watch' in dir(__import__('sitecustomize'))") == "True"
        opened.run_all()
        cells: list[Any] = page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets
                .filter(cell => cell.model.type === "code")
                .map(cell => cell.model.sharedModel.toJSON())"""
        )
        for cell in cells:
            assert cell["execution_count"], cell
            assert "error" not in {output["output_type"] for output in cell["outputs"]}, cell
        return opened

    def _chat(self, browser: Browser, url: str) -> None:
        page = self._open(browser, url, "01-chat.ipynb")
        page.panel.wait(lambda panel: panel.status.inner_text() == "Connected", 30)
        page.panel.write("Is anybody there?")
        page.panel.wait_for("Is anybody there?", timeout=30)
        archived = "__import__('chatkit').MessageStore().counts().get('general', 0)"
        wait_until(lambda: int(page.evaluate(archived)) >= 2, 30)
        page.page.screenshot(path=self.folder / "chat.png")
        assert page.page.locator(".Toastify__toast").count() == 0, "JupyterLab asks something"
        assert page.errors == [], page.errors

    def _look_back(self, browser: Browser, url: str) -> None:
        page = self._open(browser, url, "03-history.ipynb")
        page.page.locator(".js-plotly-plot .bars path").first.wait_for(timeout=30_000)
        page.page.locator(".js-plotly-plot").screenshot(path=self.folder / "history.png")
        assert page.errors == [], page.errors


if __name__ == "__main__":
    bring_loopback_up()
    visit = Visit(Path(sys.argv[1]), Path(sys.argv[2]))
    visit.check_the_watch()
    visit.make()
