"""Waiting in a cell until something has come about, without a wait that nobody explains.

Knows nothing of what is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from chatkit.errors import WorkshopTimeoutError

__all__ = ["wait_until"]

Found = TypeVar("Found")
PAUSE = 0.1
"""Seconds between two looks."""
PATIENCE = 3.0
"""Seconds after which it is told what is waited for."""


def wait_until(
    what: str,
    look: Callable[[], Found],
    *,
    timeout: float = 20.0,
    tell: Callable[[str], object] = print,
) -> Found:
    """Return what a look finds, as soon as it finds something true.

    Parameters
    ----------
    what : str
        What is waited for, as it follows "Waiting until", such as ``the log starts later``.
    look : callable
        Called again and again; each call should take a moment at most.
    timeout : float, default 20
        Seconds to wait.
    tell : callable, default print
        Told after some seconds what is waited for, and for how long at most.

    Raises
    ------
    WorkshopTimeoutError
        It did not come about in time; the text says what was found last.
    """
    began = time.monotonic()
    told = False
    while not (found := look()):
        spent = time.monotonic() - began
        if spent > timeout:
            raise WorkshopTimeoutError(
                f"Waited {timeout:g} s until {what}. Seen last: {found!r}. Run the cell once more; "
                "if that does not help, run the notebook again from the top"
            )
        if spent > PATIENCE and not told:
            told = True
            tell(f"Waiting until {what}: {timeout:.0f} s at most ...")
        time.sleep(PAUSE)
    return found
