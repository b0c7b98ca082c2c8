"""What all views have in common: one thread that looks again and again, and tells the pages.

A view says what it sees by `View._look`, which always runs on that thread, so that clients of
Kafka, which belong to one thread, can be made and kept there. It knows nothing of Kafka.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anywidget
import msgspec
import traitlets

from chatkit.errors import ChatkitError, WorkshopTimeoutError
from chatkit.widgets.contexts import outside_of_cells

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Seen", "View"]

SECONDS = 0.2
"""Between two looks."""
TROUBLE_SECONDS = 1.0
"""Between two looks while they fail."""
CLOSE_SECONDS = 5.0
"""For a look that goes on while the view is closed."""


class Seen(msgspec.Struct, frozen=True):
    """What one look found."""

    content: dict[str, Any]
    """What the drawing needs: of what JSON has alone, and no more than some 50 KB."""
    text: str
    """The same in a sentence or a few."""


class View(anywidget.AnyWidget):
    """A picture that moves by itself. Display it as the last line of a cell.

    A view of a kind sets its ``_esm`` (`chatkit.workshop.views.frontend.script`), has `_look` and
    ``frame``, and sets what these need before it calls ``super().__init__``, since the first look
    begins there. Thread-safe; who makes it closes it. Nothing of it waits but `refresh`, and
    `close` for a moment.

    Parameters
    ----------
    title : str
        What stands above the drawing.
    seconds : float, default 0.2
        Between two looks, over 0.
    """

    content = traitlets.Dict({}).tag(sync=True)
    text = traitlets.Unicode("Nothing has been seen yet.").tag(sync=True)
    """What the view shows, in words."""
    title = traitlets.Unicode("").tag(sync=True)
    """What stands above the drawing."""
    problem = traitlets.Unicode("").tag(sync=True)
    """Why the last look failed, and what to do; empty if it did not."""
    moving = traitlets.Bool(True).tag(sync=True)
    """Whether it looks; False once it is closed."""

    _thread: threading.Thread | None = None
    """None while it is not made: what ends a widget that could not be made closes it, too."""

    def __init__(self, title: str, *, seconds: float = SECONDS) -> None:
        self._context = outside_of_cells()
        self._seconds = seconds
        self._changed = threading.Condition()
        self._asked = 0
        self._looked = 0
        self._closing = False
        self._context.run(super().__init__, title=title)
        self._thread = threading.Thread(
            target=self._run, name=f"chatkit-{type(self).__name__}", daemon=True
        )
        self._thread.start()

    def _look(self) -> Seen:
        """Return what there is to see now; on the view's thread, and soon."""
        raise NotImplementedError

    def _end(self) -> None:
        """Close what `_look` opened; on the view's thread, once, after the last look."""

    @property
    def frame(self) -> pd.DataFrame:
        """What the view shows, as a frame."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.problem or self.text}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def refresh(self, timeout: float = 20.0) -> Self:
        """Look now, and return when that is done, so that what is shown is no older than the call.

        A look that fails shows in ``problem``; then the rest is as old as the last that did not.

        Parameters
        ----------
        timeout : float, default 20.0
            Seconds to wait.

        Raises
        ------
        WorkshopTimeoutError
            The look took longer.
        RuntimeError
            The view is closed.
        """
        with self._changed:
            if self._closing:
                raise RuntimeError("the view is closed; make a new one")
            self._asked += 1
            wanted = self._asked
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._looked >= wanted or self._closing, timeout):
                raise WorkshopTimeoutError(
                    f"{self.title}: nothing new was seen within {timeout:g} s. Last seen: "
                    f"{self.problem or self.text} Look whether Kafka runs, and try again"
                )
        return self

    def close(self) -> None:
        """Stop looking, and close its connections; the last picture stays. Idempotent."""
        if self._thread is None:
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._closing:
                begun, worked = time.monotonic(), time.thread_time()
                with self._changed:
                    asked = self._asked
                self._context.run(self._look_once)
                with self._changed:
                    self._looked = asked
                    self._changed.notify_all()
                    pause = TROUBLE_SECONDS if self.problem else self._seconds
                    # A look at very much takes a quarter of a core, not all of it.
                    left = max(
                        pause / 2,
                        pause - (time.monotonic() - begun),
                        3 * (time.thread_time() - worked),
                    )
                    self._changed.wait_for(
                        lambda: self._asked > self._looked or self._closing, left
                    )
        finally:
            self._end()
            self._context.run(setattr, self, "moving", False)

    def _look_once(self) -> None:
        try:
            seen = self._look()
        except ChatkitError as error:
            self.problem = str(error)
        except Exception as error:
            self.problem = f"The view could not be drawn: {error!r}"
        else:
            with self.hold_sync():
                self.content, self.text, self.problem = seen.content, seen.text, ""
