"""``%%share`` sends a cell and runs it. In a real IPython, and in a real kernel.

The room is a small one that notes what it is given; with real servers sharing is tested in
test_room.py and test_share.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets
import nbformat
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

from chatkit.share import Source, to_attachment
from chatkit.widgets import magics


class NotingRoom:
    """A room that notes what is shared."""

    def __init__(self) -> None:
        self.shared: list[tuple[Any, str]] = []

    def share(self, thing: Any, channel: str = "general") -> None:
        to_attachment(thing)  # refuses what a room refuses
        self.shared.append((thing, channel))


class SmallPanel(ipywidgets.Widget):
    """A widget with a room and a channel, as a ChatPanel has them."""

    def __init__(self, room: NotingRoom, channel: str) -> None:
        super().__init__()
        self.room = room
        self.channel = channel


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """The one IPython that get_ipython() gives."""
    shell = InteractiveShell.instance(colors="nocolor")
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def share(shell: InteractiveShell, line: str, cell: str) -> None:
    shell.run_cell_magic("share", line, cell)


def test_a_cell_is_sent_and_run(shell: InteractiveShell) -> None:
    room = NotingRoom()
    magics.use(room)
    share(shell, "", "answer = 6 * 7\n")
    assert room.shared == [(Source("answer = 6 * 7\n"), "general")]
    assert shell.user_ns["answer"] == 42


def test_a_cell_can_be_sent_elsewhere_and_without_running(shell: InteractiveShell) -> None:
    room = NotingRoom()
    magics.use(room)
    share(shell, "--channel random --no-run", "answer = 1")
    assert room.shared == [(Source("answer = 1"), "random")]
    assert "answer" not in shell.user_ns


def test_the_newest_open_panel_is_used_with_the_channel_that_it_shows(
    shell: InteractiveShell,
) -> None:
    older, newer = NotingRoom(), NotingRoom()
    first, second = SmallPanel(older, "first"), SmallPanel(newer, "second")
    magics.use(first)
    magics.use(second)
    share(shell, "", "1")
    second.channel = "third"
    share(shell, "", "2")
    second.close()
    share(shell, "", "3")
    assert newer.shared == [(Source("1"), "second"), (Source("2"), "third")]
    assert older.shared == [(Source("3"), "first")]
    first.close()
    with pytest.raises(UsageError, match="ChatPanel"):
        share(shell, "", "4")


def test_what_is_used_again_counts_as_the_newest(shell: InteractiveShell) -> None:
    one, other = NotingRoom(), NotingRoom()
    for room in (one, other, one):
        magics.use(room)
    share(shell, "", "1")
    assert (len(one.shared), len(other.shared)) == (1, 0)


def test_without_a_room_it_says_what_to_do_and_runs_nothing(shell: InteractiveShell) -> None:
    shell.extension_manager.load_extension("chatkit.widgets.magics")
    with pytest.raises(UsageError, match=r"use\(room\)"):
        share(shell, "", "answer = 1")
    assert "answer" not in shell.user_ns


@pytest.mark.parametrize(
    ("line", "cell", "text"),
    [
        ("--chanel random", "1", "unrecognized"),
        ("random", "1", "unrecognized"),
        ("", "   \n", "no code"),
        ("", "x = '" + "y" * 5_000_000 + "'", "4,194,304"),
        ("", "import asyncio\nawait asyncio.sleep(0)", "--no-run"),
    ],
)
def test_what_can_not_be_shared_is_told_in_a_line(
    shell: InteractiveShell, line: str, cell: str, text: str
) -> None:
    room = NotingRoom()
    magics.use(room)
    with pytest.raises(UsageError, match=text):
        share(shell, line, cell)
    assert room.shared == []


def test_a_cell_with_await_can_be_sent(shell: InteractiveShell) -> None:
    room = NotingRoom()
    magics.use(room)
    share(shell, "--no-run", "await later()")
    assert len(room.shared) == 1


def test_a_cell_that_fails_is_sent_too_and_fails(shell: InteractiveShell) -> None:
    room = NotingRoom()
    magics.use(room)
    with pytest.raises(magics._CellFailedError):
        share(shell, "", "1 / 0")
    assert room.shared == [(Source("1 / 0"), "general")]


def test_outside_of_ipython_nothing_happens() -> None:
    assert not InteractiveShell.initialized()
    magics.use(NotingRoom())


SET_UP = """
from chatkit.widgets import magics
class Room:
    shared = []
    def share(self, thing, channel="general"):
        self.shared.append((thing.code, channel))
room = Room()
magics.use(room)
"""


def test_in_a_kernel_the_cell_shows_what_it_did_and_its_error_stops_the_notebook() -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(source)
            for source in (
                SET_UP,
                "%%share --channel random\nprint('before')\n6 * 7",
                "room.shared, _",
                "%%share\n1 / 0",
            )
        ]
    )
    NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
    _, shared, told, failed = notebook.cells
    assert [
        out.get("text", "").strip() for out in shared.outputs if out.output_type == "stream"
    ] == ["before"]
    (result,) = [out for out in shared.outputs if out.output_type != "stream"]
    assert result["data"]["text/plain"] == "42"
    assert told.outputs[0]["data"]["text/plain"] == (
        "([(\"print('before')\\n6 * 7\\n\", 'random')], 42)"
    )
    names = [out.ename for out in failed.outputs if out.output_type == "error"]
    assert "ZeroDivisionError" in names or "_CellFailedError" in names
    assert names[-1] == "_CellFailedError"
    assert "error is above" in failed.outputs[-1]["traceback"][-1]
