"""``%%share``: a cell that goes to the chat, and runs as it would have.

The magic belongs to the running IPython; rooms and panels make themselves known by :func:`use`.
"""

from __future__ import annotations

from argparse import BooleanOptionalAction
from collections.abc import Callable
from typing import TYPE_CHECKING

from IPython import get_ipython
from IPython.core.error import UsageError
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from chatkit.errors import InputError
from chatkit.share import Source

if TYPE_CHECKING:
    from chatkit.room import ChatRoom
    from chatkit.widgets.panel import ChatPanel

__all__ = ["ShareMagics", "load_ipython_extension", "use"]


class _CellFailedError(Exception):
    """The shared cell failed, and has already said why."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # IPython shows this alone


def use(where: ChatRoom | ChatPanel) -> None:
    """Let ``%%share`` send to a room, or to what a panel shows, from now on.

    Outside of IPython nothing happens.

    Parameters
    ----------
    where : ChatRoom or ChatPanel
        Open; stays the caller's to close. Once a panel is closed, the one before counts again.
    """
    shell = get_ipython()
    if shell is not None:
        _magics(shell).use(where)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Do what ``%load_ext chatkit.widgets.magics`` asks for: make the magic known."""
    _magics(shell)


def _magics(shell: InteractiveShell) -> ShareMagics:
    """Return the magics of an IPython, registered at the first time."""
    found = shell.magics_manager.registry.get(ShareMagics.__name__)
    if not isinstance(found, ShareMagics):
        found = ShareMagics(shell)
        shell.register_magics(found)
    return found


@magics_class
class ShareMagics(Magics):  # type: ignore[misc, unused-ignore]
    """The magic, and where it sends to.

    Parameters
    ----------
    shell : InteractiveShell
        The IPython that it belongs to.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._places: list[ChatRoom | ChatPanel] = []

    def use(self, where: ChatRoom | ChatPanel) -> None:
        """Send to a room or panel from now on."""
        self._places = [one for one in self._places if one is not where and _is_open(one)]
        self._places.append(where)

    @magic_arguments()  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
    @argument(  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
        "--channel", help="where to; default: the channel that the panel shows, or general"
    )
    @argument(  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
        "--run",
        action=BooleanOptionalAction,
        default=True,
        help="whether to run the cell too; default: it runs",
    )
    @cell_magic
    def share(self, line: str, cell: str) -> None:
        """Send the cell's source to the chat, then run the cell."""
        options = parse_argstring(self.share, line)  # type: ignore[no-untyped-call, unused-ignore]
        shell = self.shell
        assert shell is not None  # it was registered with one
        if options.run and _waits(shell, cell):
            raise UsageError(
                "A cell with await can't run under %%share: add --no-run, and run it in a cell of "
                "its own"
            )
        self._send(cell, options.channel)
        run: Callable[[str], ExecutionResult] = shell.run_cell
        if options.run and not run(cell).success:
            # Else "run all cells" would go on after it.
            raise _CellFailedError("The shared cell failed; its error is above.")

    def _send(self, code: str, channel: str | None) -> None:
        places = [one for one in self._places if _is_open(one)]
        if not places:
            raise UsageError(
                "%%share knows no room: show a ChatPanel first, or call "
                "chatkit.widgets.magics.use(room)"
            )
        where = places[-1]
        room: ChatRoom = getattr(where, "room", where)
        try:
            room.share(Source(code), channel or str(getattr(where, "channel", "general")))
        except InputError as error:
            raise UsageError(str(error)) from error


def _is_open(place: ChatRoom | ChatPanel) -> bool:
    # A closed widget has no line to the browser any more; a room has none at any time.
    return getattr(place, "comm", "") is not None


def _waits(shell: InteractiveShell, code: str) -> bool:
    """Return whether a cell has an await outside of functions."""
    try:
        transform: Callable[[str], str] = shell.transform_cell
        transformed = transform(code)
    except SyntaxError:  # which running it shows better
        return False
    return bool(shell.should_run_async(code, transformed_cell=transformed))
