"""A line to write in at the bottom of the terminal, above it what was printed.

The only file that talks to the terminal of somebody who chats. It knows nothing of rooms.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session, get_app_or_none
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import (
    CompleteEvent,
    Completer,
    Completion,
    get_common_complete_suffix,
)
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.utils import is_dumb_terminal

from chatkit.console.text import STYLE, Fragments, problem_line
from chatkit.message import BODY_LIMIT

__all__ = ["Screen", "Suggestion", "terminal"]


class Suggestion(NamedTuple):
    """What could complete the text."""

    text: str
    """What to write."""
    replaces: int
    """How many characters before the cursor it replaces."""
    about: str = ""
    """What to show beside it."""


class _Completer(Completer):
    def __init__(self, suggest: Callable[[str], Iterable[Suggestion]]) -> None:
        self._suggest = suggest

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        for one in self._suggest(document.text_before_cursor):
            yield Completion(one.text, -one.replaces, display_meta=one.about)


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """Choose what is said to the terminal: one that is dumb would print what steers others."""
    plain = PlainTextOutput(sys.stdout) if is_dumb_terminal() else None
    with create_app_session(output=plain):
        yield


class Screen:
    """The terminal while somebody chats. Made within `terminal`; for the event loop's thread.

    Parameters
    ----------
    prompt : callable
        Returns what stands before the cursor, as often as it is drawn; may have several lines.
    toolbar : callable
        Returns the line at the very bottom.
    suggest : callable
        Takes the text before the cursor; returns what could complete it.
    accept : callable
        Takes a text when Enter is pressed; returns the text to leave in the prompt.
    """

    def __init__(
        self,
        *,
        prompt: Callable[[], Fragments],
        toolbar: Callable[[], Fragments],
        suggest: Callable[[str], Iterable[Suggestion]],
        accept: Callable[[str], str],
    ) -> None:
        self._accept = accept
        self._prompt = prompt
        self._completer = _Completer(suggest)
        self._left = False
        self._gone = False
        self._lines: Fragments = []
        self._printing: asyncio.Task[None] | None = None
        # Such a terminal can't move the cursor: lines come below what is being typed.
        self._is_dumb = is_dumb_terminal()
        self._session: PromptSession[str] = PromptSession(
            message=lambda: FormattedText(prompt()),
            bottom_toolbar=lambda: FormattedText(toolbar()),
            completer=self._completer,
            complete_while_typing=Condition(lambda: self._buffer.text.startswith("/")),
            multiline=not self._is_dumb,
            prompt_continuation=lambda width, _line, _wrapped: " " * width,
            key_bindings=self._keys(),
            style=STYLE,
            include_default_pygments_style=False,
            erase_when_done=True,
            enable_suspend=True,
            interrupt_exception=EOFError,
        )

    @property
    def _buffer(self) -> Buffer:
        return self._session.default_buffer

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal."""
        size = self._session.output.get_size()
        return size.columns, size.rows

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        writing = has_focus(DEFAULT_BUFFER)

        @keys.add("enter", filter=writing)
        def _(event: KeyPressEvent) -> None:
            text = event.current_buffer.text
            left = self._accept(text)
            event.current_buffer.reset(Document(left), append_to_history=bool(text.strip()))

        @keys.add("escape", "enter", filter=writing)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("tab", filter=writing)
        def _(event: KeyPressEvent) -> None:
            self._complete(event.current_buffer)

        @keys.add(Keys.BracketedPaste, filter=writing)
        def _(event: KeyPressEvent) -> None:
            text = event.data.replace("\r\n", "\n").replace("\r", "\n")
            size = len(text.encode("utf-8", "surrogatepass"))
            if size > BODY_LIMIT:  # which could not be sent, and would be slow to draw
                self.print(
                    problem_line(
                        f"What you pasted has {size:,} bytes, and a message holds "
                        f"{BODY_LIMIT:,}: it was left out. Paste less of it at a time",
                        self.size[0],
                    )
                )
            else:
                event.current_buffer.insert_text(text)

        return keys

    def _complete(self, buffer: Buffer) -> None:
        """Write what all that could follow begins with; where that is known, offer each."""
        document = buffer.document
        found = list(self._completer.get_completions(document, CompleteEvent()))
        if not found:
            return
        common = get_common_complete_suffix(document, found)
        if common or len(found) == 1:
            buffer.insert_text(common + (" " if len(found) == 1 else ""))
        elif buffer.complete_state:
            buffer.complete_next()
        else:
            buffer.start_completion(select_first=False)

    async def run(self) -> str:
        """Let people write until they leave.

        Returns
        -------
        str
            What they had written and not sent.
        """
        default = ""
        with self._asked_to_leave(), contextlib.suppress(EOFError):
            try:
                while not self._left:
                    # Only a dumb terminal comes back from here: Enter is ours in all others.
                    default = self._accept(await self._session.prompt_async(default=default))
                    self._buffer.reset(Document(default))
            except OSError:  # the terminal was closed
                self._gone = True
        self.flush()
        return self._buffer.text

    def leave(self) -> None:
        """Let run return."""
        self._left = True
        app = get_app_or_none()
        if app is not None and app.is_running and not app.is_done:
            app.exit(exception=EOFError())

    @contextlib.contextmanager
    def _asked_to_leave(self) -> Iterator[None]:
        """Leave also when the process is told to, or its terminal is closed: never in raw mode."""
        loop = asyncio.get_running_loop()
        asked = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        with contextlib.suppress(NotImplementedError):  # Windows
            for number in asked:
                loop.add_signal_handler(number, self.leave)
        try:
            yield
        finally:
            with contextlib.suppress(NotImplementedError):
                for number in asked:
                    loop.remove_signal_handler(number)

    def offer(self, text: str) -> None:
        """Put a text into the prompt, unless something is there."""
        if not self._buffer.text:
            self._buffer.reset(Document(text))

    def refresh(self) -> None:
        """Draw prompt and toolbar again soon."""
        self._session.app.invalidate()

    def print(self, fragments: Fragments) -> None:
        """Print lines above the prompt, soon and in order; each ends with a line break."""
        self._lines += fragments
        if self._printing is None:
            self._printing = asyncio.create_task(self._print())

    async def _print(self) -> None:
        app = self._session.app
        if app.is_running:
            # An answer about where the cursor was would be taken for where it is.
            await app.renderer.wait_for_cpr_responses()
        self._printing = None
        self.flush()

    def flush(self) -> None:
        """Print now what is left to print."""
        lines, self._lines = self._lines, []
        if not lines or self._gone:
            return
        try:
            self._write_above(lines)
        except OSError:
            self._gone = True
            self.leave()

    def _write_above(self, lines: Fragments) -> None:
        app, output = self._session.app, self._session.output
        drawn = app.is_running and not app.is_done
        # Not by run_in_terminal, which lets the terminal echo what is typed meanwhile.
        if drawn:
            app.renderer.erase()
        elif self._is_dumb:
            output.write("\n")
        print_formatted_text(output, FormattedText(lines), STYLE)
        if drawn:
            app.renderer.request_absolute_cursor_position()
            app.invalidate()
        elif self._is_dumb and not self._left:
            output.write("".join(text for _, text in self._prompt()) + self._buffer.text)
        output.flush()
