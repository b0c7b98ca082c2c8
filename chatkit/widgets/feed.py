"""What a panel's pages have yet to hear, and the one thread that tells them.

News is collected and sent in numbered batches: the first at once, then at most ten a second, since
a Jupyter server drops what comes too fast. Counts and people wait that long from the first on, so
that no message has to wait behind them. Answers come along with news, all that there are in one
widget message, so that these are at most twenty a second. A page that missed a number asks for the
whole state. It knows nothing of rooms or widgets.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import msgspec

from chatkit.changes import ChannelSummary
from chatkit.presence import Person
from chatkit.timeline import Row
from chatkit.widgets.wire import Batch, Line, Status, View, encode

__all__ = ["Feed"]

INTERVAL = 0.1
"""Seconds between two batches."""
ANSWER_INTERVAL = 0.05
"""Seconds from any widget message to the next that has an answer."""

Part = tuple[dict[str, Any], list[bytes]]
"""Content and buffers of something that pages are told."""


class _ChannelNews:
    """What is new in one channel."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset
        self.rows: dict[str, Row] = {}
        self.gone: dict[str, None] = {}


class _News:
    """What is new since the last batch."""

    def __init__(self) -> None:
        self.by_channel: dict[str, _ChannelNews] = {}
        self.channels: list[ChannelSummary] | None = None
        self.people: list[Person] | None = None
        self.muted: list[str] | None = None
        self.status: Status | None = None
        self.select: str | None = None
        self.problems: list[str] = []
        self.begun = 0.0
        """When the first of it came, by the monotonic clock."""

    def __bool__(self) -> bool:
        quiet = (self.channels, self.people, self.muted)
        return self.urgent or any(part is not None for part in quiet)

    @property
    def urgent(self) -> bool:
        """Whether there is more than counts and people."""
        return bool(
            self.by_channel or self.problems or self.status is not None or self.select is not None
        )


class Feed:
    """Collects news and sends it. Any thread may put; one thread of its own sends.

    Parameters
    ----------
    send : callable
        Takes a widget message to all pages: ``{"parts": [...]}``, and buffers (a list of bytes).
        Each part says in ``buffers`` how many of them are its own; they are in the parts' order.
    describe : callable
        Takes the name of a channel; returns its view, without rows.
    to_lines : callable
        Takes rows; returns them as lines.
    snapshot : callable
        Returns the whole state.
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any], list[bytes]], None],
        describe: Callable[[str], View],
        to_lines: Callable[[Collection[Row]], list[Line]],
        snapshot: Callable[[], Batch],
    ) -> None:
        self._send = send
        self._describe = describe
        self._to_lines = to_lines
        self._snapshot = snapshot
        self._changed = threading.Condition()
        self._news = _News()
        self._answers: list[Part] = []
        self._hellos: dict[str, int] = {}
        self._heard = False
        self._number = 0
        self._next_batch = 0.0
        self._next_answer = 0.0
        self._stopping = False
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def _adding(self) -> Iterator[_News]:
        with self._changed:
            if not self._news:
                self._news.begun = time.monotonic()
            yield self._news
            if not self._heard:  # nobody listens, and the first page will ask for all there is
                self._news = _News()
            self._changed.notify()

    def put_rows(self, channel: str, rows: Iterable[Row] = (), gone: Iterable[str] = ()) -> None:
        """Note rows that are new, changed or gone; without any, that the channel's phase is."""
        with self._adding() as news:
            one = news.by_channel.setdefault(channel, _ChannelNews())
            for row_id in gone:
                one.rows.pop(row_id, None)
                one.gone[row_id] = None
            for row in rows:
                one.gone.pop(row.id, None)
                one.rows[row.id] = row

    def put_reset(self, channel: str) -> None:
        """Note that all rows of a channel are to be forgotten."""
        with self._adding() as news:
            news.by_channel[channel] = _ChannelNews(reset=True)

    def put_channels(self, channels: Iterable[ChannelSummary]) -> None:
        """Note what there is to say of all channels."""
        with self._adding() as news:
            news.channels = list(channels)

    def put_people(self, people: Iterable[Person]) -> None:
        """Note of whom we know."""
        with self._adding() as news:
            news.people = list(people)

    def put_muted(self, muted: Iterable[str]) -> None:
        """Note of whom the user wants to hear nothing."""
        with self._adding() as news:
            news.muted = list(muted)

    def put_status(self, status: Status) -> None:
        """Note the state of the connection."""
        with self._adding() as news:
            news.status = status

    def put_select(self, channel: str) -> None:
        """Note that all pages should show a channel."""
        with self._adding() as news:
            news.select = channel

    def put_problem(self, text: str) -> None:
        """Note something that went wrong and has no better place to be shown."""
        with self._adding() as news:
            news.problems.append(text)

    def put_answer(self, client: str, ref: int, error: str = "", *, buffers: list[bytes]) -> None:
        """Note the answer to a page's request; it goes out with all news so far, after them.

        Parameters
        ----------
        client : str
            The page.
        ref : int
            Its number of the request.
        error : str, default ""
            Why it could not be done.
        buffers : list of bytes
            What it asked for, as JSON, and perhaps a file.
        """
        with self._changed:
            content = {"kind": "answer", "to": client, "ref": ref, "error": error}
            self._answers.append((content, buffers))
            self._changed.notify()

    def skip(self) -> None:
        """Let all pages find that they missed a batch, and ask for the whole state."""
        with self._changed:
            self._number += 1
        with self._adding() as news:
            news.people = []

    def put_hello(self, client: str, last: int) -> None:
        """Note that a page has all up to a batch, and wants what comes after."""
        with self._changed:
            self._heard = True
            self._hellos[client] = last
            self._changed.notify()

    def start(self) -> None:
        """Start the thread that sends."""
        self._thread = threading.Thread(target=self._run, name="chatkit-feed", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Stop the thread; what it has not sent is dropped.

        Parameters
        ----------
        timeout : float, default 2.0
            Seconds to wait for a batch that is being sent.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def flush(self) -> None:
        """Send all that there is: news, then answers, then states."""
        with self._changed:
            news, self._news = self._news, _News()
            answers, self._answers = self._answers, []
            hellos, self._hellos = self._hellos, {}
        parts: list[Part] = []
        now = time.monotonic()
        if news:
            self._next_batch = now + INTERVAL
            self._number += 1
            parts.append(self._batch(self._number, "", self._build(news)))
        parts += answers
        for client, last in hellos.items():
            batch = Batch() if last == self._number > 0 else self._snapshot()
            parts.append(self._batch(self._number, client, batch))
        if parts:
            self._next_answer = now + ANSWER_INTERVAL
            contents = [{**content, "buffers": len(buffers)} for content, buffers in parts]
            self._send({"parts": contents}, [buffer for _, buffers in parts for buffer in buffers])

    def _build(self, news: _News) -> Batch:
        return Batch(
            channels=news.channels,
            people=news.people,
            muted=news.muted,
            status=news.status,
            select=news.select,
            problems=news.problems,
            views=[self._build_view(channel, one) for channel, one in news.by_channel.items()],
        )

    def _build_view(self, channel: str, news: _ChannelNews) -> View:
        return msgspec.structs.replace(
            self._describe(channel),
            reset=news.reset,
            rows=self._to_lines(news.rows.values()),
            gone=list(news.gone),
        )

    def _batch(self, number: int, client: str, batch: Batch) -> Part:
        kind = "state" if client else "batch"
        return {"kind": kind, "n": number, "to": client}, [encode(batch)]

    def _wait(self) -> bool:
        """Return True once something is due, False once the feed is to stop."""
        with self._changed:
            while not self._stopping:
                due = self._due()
                rest = None if due is None else due - time.monotonic()
                if rest is not None and rest <= 0:
                    return True
                self._changed.wait(rest)
            return False

    def _due(self) -> float | None:
        """Return when to send what there is, by the monotonic clock; None without any."""
        due = []
        if self._answers or self._hellos:
            due.append(self._next_answer)
        if self._news.urgent:
            due.append(self._next_batch)
        elif self._news:
            due.append(max(self._next_batch, self._news.begun + INTERVAL))
        return min(due, default=None)

    def _run(self) -> None:
        while self._wait():
            try:
                self.flush()
            except Exception as error:
                # The batch is lost and its number used: pages will ask for the whole state.
                self.put_problem(f"The panel could not be brought up to date: {error!r}")
                time.sleep(INTERVAL)
