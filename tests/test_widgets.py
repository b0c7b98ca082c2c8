"""The kernel's side of the panel: what it says to pages and how it takes what they ask.

The pages are played by a recorded comm. The room is a small hand-made one with the same methods,
so that each answer can be chosen; with real servers the panel is tested in test_panel_browser.py.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from importlib import resources
from typing import Any

import comm
import ipywidgets
import pytest
from comm.base_comm import BaseComm

from chatkit.bots import Command
from chatkit.changes import ChannelSummary
from chatkit.errors import (
    BrokerUnavailableError,
    ChannelExistsError,
    ChannelNotFoundError,
    InvalidMessageError,
)
from chatkit.fold import Folded
from chatkit.message import Attachment, Message
from chatkit.presence import Person
from chatkit.room import ChannelReset, ChannelsChanged, RoomStatus, RowsChanged, StatusChanged
from chatkit.settings import Settings
from chatkit.timeline import Order, Row
from chatkit.widgets import ChatPanel, frontend, panel
from chatkit.widgets.feed import INTERVAL, Feed
from chatkit.widgets.wire import Batch, Line, Phase, View
from tests.waiting import wait_until

SECRET = "the text that nobody else should find"


def make_row(body: str = "hello", *, offset: int = 0, **more: Any) -> Row:
    message = Message.new("general", "mei", body)
    values = {"id": message.id, "placed_ms": message.sent_ms, "partition": 0, "offset": offset}
    return Row(
        **{**values, **more},
        kind="message",
        channel="general",
        message=message,
        folded=Folded(body=body),
    )


def done(error: Exception | None = None, result: Any = None) -> Future[Any]:
    future: Future[Any] = Future()
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
    return future


class HandMadeRoom:
    """A room whose every answer a test chooses."""

    def __init__(self) -> None:
        self.user = "ana"
        self.status = RoomStatus(kafka="")
        self.known = ["general", "random"]
        self.shown: list[Row] = [make_row(SECRET)]
        self.joins: list[str] = []
        self.join_answer: Future[None] = done()
        self.older_answer: Future[int] = done(result=0)
        self.create_answer: Future[None] = done()
        self.send_error: Exception | None = None
        self.sent: list[tuple[str, str, str | None]] = []
        self.retried: list[tuple[str, str]] = []
        self.observers: list[Callable[[Any], None]] = []
        self.closed = False

    def observe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        self.observers.append(callback)
        return lambda: self.observers.remove(callback)

    def tell(self, change: Any) -> None:
        for callback in list(self.observers):
            callback(change)

    def channels(self) -> list[str]:
        return self.known

    def overview(self) -> tuple[ChannelSummary, ...]:
        return tuple(ChannelSummary(channel=name, title=name) for name in self.known)

    def people(self) -> tuple[Person, ...]:
        return ()

    def muted_people(self) -> frozenset[str]:
        return frozenset()

    def commands(self) -> tuple[Command, ...]:
        return ()

    def read_mark(self, channel: str) -> Order | None:
        return None

    def is_mentioned(self, row: Row) -> bool:
        return False

    def row(self, channel: str, row_id: str) -> Row | None:
        return next((row for row in self.shown if row.id == row_id), None)

    def rows(self, channel: str) -> list[Row]:
        return self.shown

    def has_older(self, channel: str) -> bool:
        return True

    def join(self, channel: str, *, member: bool = False) -> Future[None]:
        self.joins.append(channel)
        return self.join_answer

    def load_older(self, channel: str) -> Future[int]:
        return self.older_answer

    def create_channel(self, name: str, description: str = "") -> Future[None]:
        return self.create_answer

    def send(
        self,
        channel: str,
        body: str,
        *,
        message_id: str | None = None,
        reply_to: str | None = None,
        attachment: Attachment | None = None,
    ) -> Message:
        if self.send_error is not None:
            raise self.send_error
        self.sent.append((channel, body, message_id))
        return Message.new(channel, self.user, body)

    def retry(self, channel: str, message_id: str) -> None:
        self.retried.append((channel, message_id))

    def close(self) -> None:
        self.closed = True


def split(
    content: dict[str, Any], buffers: list[bytes]
) -> list[tuple[dict[str, Any], list[bytes]]]:
    """Return the parts of a widget message as a page sees them, each with its own buffers."""
    left = iter(buffers)
    return [(part, [next(left) for _ in range(part["buffers"])]) for part in content["parts"]]


class RecordedComm(BaseComm):
    """A comm that keeps what is sent instead of sending it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.sent: list[tuple[float, dict[str, Any], list[bytes]]] = []
        self.types: list[str] = []
        super().__init__(*args, **more)

    def publish_msg(self, msg_type: str, data: Any = None, *_: Any, **more: Any) -> None:
        self.types.append(msg_type)
        if msg_type == "comm_msg" and data["method"] == "custom":
            now = time.monotonic()
            parts = split(data["content"], more.get("buffers") or [])
            self.sent += [(now, content, buffers) for content, buffers in parts]


class Page:
    """The browser's side of a panel, played by the test."""

    def __init__(self, chat: ChatPanel) -> None:
        self.comm: RecordedComm = chat.comm
        self.refs = 0

    def ask(self, **content: Any) -> int:
        """Ask as a page does, and return the number of the request."""
        self.refs += 1
        content = {"client": "page", "ref": self.refs, **content}
        data = {"method": "custom", "content": content}
        self.comm.handle_msg({"content": {"data": data}, "buffers": []})
        return self.refs

    def hello(self, last: int = 0) -> dict[str, Any]:
        """Say hello, and return the state that comes back."""
        before = len(self.states())
        self.ask(type="hello", last=last)
        wait_until(lambda: len(self.states()) > before)
        return self.states()[-1]

    def read(self, kind: str) -> list[dict[str, Any]]:
        """Return what came of one kind: contents, with what the buffer held."""
        return [
            {**content, **json.loads(buffers[0] if buffers else b"{}")}
            for _, content, buffers in list(self.comm.sent)
            if content["kind"] == kind
        ]

    def states(self) -> list[dict[str, Any]]:
        return self.read("state")

    def batches(self) -> list[dict[str, Any]]:
        return self.read("batch")

    def answer(self, ref: int) -> str:
        """Wait for the answer to a request, and return it."""
        wait_until(lambda: [one for one in self.read("answer") if one["ref"] == ref])
        return str(next(one["error"] for one in self.read("answer") if one["ref"] == ref))

    def problems(self) -> list[str]:
        return [text for batch in self.batches() for text in batch.get("problems", [])]


@pytest.fixture
def room() -> HandMadeRoom:
    return HandMadeRoom()


@pytest.fixture
def make_panel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ChatPanel]]:
    """Make panels whose comm is recorded; each is closed at the end."""
    monkeypatch.setattr(comm, "create_comm", RecordedComm)
    made: list[ChatPanel] = []

    def make(*args: Any, **more: Any) -> ChatPanel:
        made.append(ChatPanel(*args, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def chat(make_panel: Callable[..., ChatPanel], room: HandMadeRoom) -> ChatPanel:
    return make_panel(room)


@pytest.fixture
def page(chat: ChatPanel) -> Page:
    page = Page(chat)
    page.hello()
    return page


def test_a_page_gets_the_whole_state_when_it_says_hello(chat: ChatPanel) -> None:
    state = Page(chat).hello()
    assert state["to"] == "page"
    assert (state["user"], state["select"]) == ("ana", "general")
    assert [one["channel"] for one in state["channels"]] == ["general", "random"]
    assert state["status"] == {"kafka": "", "mongo": "", "connected": True}
    (view,) = state["views"]
    assert view["channel"] == "general"
    assert (view["phase"], view["reset"], view["older"]) == ({"name": "open"}, True, True)
    (row,) = view["rows"]
    assert (row["author"], row["body"], row["place"][1:]) == ("mei", SECRET, [0, 0])


def test_no_text_of_anybodys_is_in_the_state_that_a_notebook_may_save(
    chat: ChatPanel, room: HandMadeRoom, page: Page
) -> None:
    room.tell(RowsChanged("general", tuple(room.shown)))
    wait_until(page.batches)
    state = json.dumps({**chat.get_state(), **chat.layout.get_state()}, default=str)
    assert SECRET not in state
    assert "mei" not in state
    assert SECRET not in str(chat._repr_mimebundle_())


def test_rows_travel_in_a_buffer_not_in_the_message(chat: ChatPanel, page: Page) -> None:
    contents = [content for _, content, _ in page.comm.sent]
    assert SECRET not in json.dumps(contents)


def test_batches_are_numbered_without_a_gap(room: HandMadeRoom, page: Page) -> None:
    start = page.states()[-1]["n"]
    for offset in range(3):
        room.tell(RowsChanged("general", (make_row(offset=offset),)))
        wait_until(lambda count=offset + 1: len(page.batches()) == count)
    assert [batch["n"] for batch in page.batches()] == [start + 1, start + 2, start + 3]


def test_a_page_that_has_everything_gets_nothing_twice(room: HandMadeRoom, page: Page) -> None:
    room.tell(RowsChanged("general", (make_row(),)))
    wait_until(page.batches)
    state = page.hello(last=page.batches()[-1]["n"])
    assert "views" not in state
    assert state["n"] == page.batches()[-1]["n"]


def test_a_page_that_missed_a_batch_gets_the_whole_state(room: HandMadeRoom, page: Page) -> None:
    start = page.states()[-1]["n"]
    room.tell(RowsChanged("general", (make_row(),)))
    wait_until(page.batches)
    assert page.hello(last=start)["views"][0]["reset"] is True


def test_the_first_news_goes_at_once_and_the_rest_ten_times_a_second(
    room: HandMadeRoom, page: Page
) -> None:
    time.sleep(2 * INTERVAL)
    begin = time.monotonic()
    for offset in range(50):
        room.tell(RowsChanged("general", (make_row(offset=offset),)))
        time.sleep(0.01)
    took = time.monotonic() - begin

    def count() -> int:
        return sum(len(batch["views"][0]["rows"]) for batch in page.batches())

    wait_until(lambda: count() == 50)
    times = [at for at, content, _ in page.comm.sent if content["kind"] == "batch"]
    assert times[0] - begin < INTERVAL
    assert len(times) <= took / INTERVAL + 2


def test_a_row_that_changed_twice_is_sent_once_as_it_is_now(room: HandMadeRoom, page: Page) -> None:
    pending = make_row(state="pending")
    sent = make_row(offset=7, id=pending.id)
    room.tell(RowsChanged("general", (make_row("uses up the first batch"),)))
    wait_until(page.batches)
    room.tell(RowsChanged("general", (pending,)))
    room.tell(RowsChanged("general", (sent,)))
    wait_until(lambda: len(page.batches()) == 2)
    (row,) = page.batches()[1]["views"][0]["rows"]
    assert "state" not in row  # left out: sent
    assert row["place"][2] == 7


def test_rows_that_are_void_are_forgotten_before_new_ones_come(
    room: HandMadeRoom, page: Page
) -> None:
    new = make_row("of the new topic")
    room.tell(RowsChanged("general", (make_row("uses up the first batch"),)))
    room.tell(RowsChanged("general", (make_row("void"),)))
    room.tell(ChannelReset("general"))
    room.tell(RowsChanged("general", (new,)))
    wait_until(lambda: any(batch["views"][0].get("reset") for batch in page.batches()))
    view = next(one["views"][0] for one in page.batches() if one["views"][0].get("reset"))
    assert [row["id"] for row in view["rows"]] == [new.id]


def test_nothing_is_sent_before_a_page_is_there(chat: ChatPanel, room: HandMadeRoom) -> None:
    room.tell(RowsChanged("general", (make_row(),)))
    time.sleep(2 * INTERVAL)
    assert not chat.comm.sent


def test_a_message_goes_to_the_room_under_the_id_of_the_page(
    room: HandMadeRoom, page: Page
) -> None:
    ref = page.ask(type="send", channel="general", id="id-1", body="hi")
    assert page.answer(ref) == ""
    assert room.sent == [("general", "hi", "id-1")]


def test_a_refused_message_is_answered_with_the_reason(room: HandMadeRoom, page: Page) -> None:
    room.send_error = InvalidMessageError("The text has 17,000 bytes")
    ref = page.ask(type="send", channel="general", id="id-1", body="x" * 17_000)
    assert page.answer(ref) == "The text has 17,000 bytes"
    assert page.problems() == []


def test_a_request_that_comes_again_is_answered_again_and_done_once(
    room: HandMadeRoom, page: Page
) -> None:
    request = {"type": "send", "channel": "general", "id": "id-1", "body": "hi"}
    ref = page.ask(**request)
    assert page.answer(ref) == ""
    page.ask(**request, ref=ref)
    wait_until(lambda: len([one for one in page.read("answer") if one["ref"] == ref]) == 2)
    assert room.sent == [("general", "hi", "id-1")]


def test_an_exception_in_a_callback_is_shown_on_the_panel(room: HandMadeRoom, page: Page) -> None:
    room.send_error = KeyError("a bug")
    ref = page.ask(type="send", channel="general", id="id-1", body="hi")
    assert page.answer(ref) == "KeyError: 'a bug'"
    wait_until(page.problems)
    assert "KeyError" in page.problems()[0]


def test_a_request_that_makes_no_sense_is_shown_on_the_panel(page: Page) -> None:
    page.ask(type="delete-everything")
    wait_until(page.problems)
    assert "delete-everything" in page.problems()[0]


def test_an_answer_comes_after_the_rows_that_it_is_about(room: HandMadeRoom, page: Page) -> None:
    room.older_answer = Future()
    ref = page.ask(type="older", channel="general")
    room.tell(RowsChanged("general", (make_row("uses up the first batch"),)))
    wait_until(page.batches)
    older = make_row("older")
    room.tell(RowsChanged("general", (older,)))
    room.older_answer.set_result(1)
    assert page.answer(ref) == ""
    kinds = [content["kind"] for _, content, _ in page.comm.sent]
    assert kinds[-2:] == ["batch", "answer"]
    assert page.batches()[-1]["views"][0]["rows"][0]["id"] == older.id


def test_answers_are_at_most_twenty_widget_messages_a_second(
    room: HandMadeRoom, page: Page
) -> None:
    page.comm.sent.clear()
    began = time.monotonic()
    refs = []
    while time.monotonic() - began < 1:
        refs.append(page.ask(type="retry", channel="general", id="id-1"))
        room.tell(RowsChanged("general", (make_row(offset=len(refs)),)))
        time.sleep(0.002)
    assert {page.answer(ref) for ref in refs} == {""}
    assert len({at for at, _, _ in page.comm.sent}) <= 20 * (time.monotonic() - began) + 1


def test_what_fails_later_is_answered_then(room: HandMadeRoom, page: Page) -> None:
    room.create_answer = Future()
    ref = page.ask(type="create", name="general")
    room.create_answer.set_exception(ChannelExistsError("Channel 'general' exists already"))
    assert page.answer(ref) == "Channel 'general' exists already"


def test_a_failed_message_is_sent_again(room: HandMadeRoom, page: Page) -> None:
    assert page.answer(page.ask(type="retry", channel="general", id="id-1")) == ""
    assert room.retried == [("general", "id-1")]


def test_a_channel_is_joined_once(room: HandMadeRoom, page: Page) -> None:
    page.answer(page.ask(type="open", channel="random"))
    page.answer(page.ask(type="open", channel="random"))
    assert room.joins == ["general", "random"]


def test_a_channel_that_is_missing_is_joined_when_it_appears(
    make_panel: Callable[..., ChatPanel], room: HandMadeRoom
) -> None:
    room.join_answer = done(ChannelNotFoundError("There is no channel 'new'"))
    page = Page(make_panel(room, channel="new"))
    view = page.hello()["views"][0]
    assert view["phase"] == {
        "name": "failed",
        "reason": "There is no channel 'new'",
        "missing": True,
    }
    room.join_answer = done()
    room.tell(ChannelsChanged(("general", "new")))
    assert page.hello()["views"][0]["phase"] == {"name": "open"}


def test_a_channel_that_no_server_gave_is_joined_when_servers_are_back(
    make_panel: Callable[..., ChatPanel], room: HandMadeRoom
) -> None:
    room.join_answer = done(BrokerUnavailableError("No broker answered"))
    page = Page(make_panel(room))
    assert page.hello()["views"][0]["phase"]["reason"] == "No broker answered"
    room.join_answer = done()
    room.tell(StatusChanged(RoomStatus(kafka="")))
    assert page.hello()["views"][0]["phase"] == {"name": "open"}


def test_connecting_is_no_problem_yet(
    make_panel: Callable[..., ChatPanel], room: HandMadeRoom
) -> None:
    room.status = RoomStatus()
    state = Page(make_panel(room)).hello()
    assert state["status"] == {"kafka": "", "mongo": "", "connected": False}


def test_python_selects_and_sends(chat: ChatPanel, room: HandMadeRoom, page: Page) -> None:
    chat.select("random")
    assert chat.send("from Python").body == "from Python"
    assert room.sent == [("random", "from Python", None)]
    wait_until(lambda: any(batch.get("select") == "random" for batch in page.batches()))
    assert page.hello()["select"] == "random"


def test_a_choice_on_a_page_is_what_the_next_page_opens_with(chat: ChatPanel, page: Page) -> None:
    page.answer(page.ask(type="open", channel="random"))
    assert chat.channel == "random"
    assert page.hello()["select"] == "random"


def test_requests_may_come_on_any_thread(room: HandMadeRoom, page: Page) -> None:
    def ask(number: int) -> None:
        page.comm.handle_msg(
            {
                "content": {
                    "data": {
                        "method": "custom",
                        "content": {
                            "client": "page",
                            "ref": 1000 + number,
                            "type": "send",
                            "channel": "general",
                            "id": f"id-{number}",
                            "body": "hi",
                        },
                    }
                },
                "buffers": [],
            }
        )

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted({page.answer(1000 + number) for number in range(50)}) == [""]
    assert len(room.sent) == 50


def test_close_leaves_nothing_behind_and_may_be_repeated(
    make_panel: Callable[..., ChatPanel], room: HandMadeRoom
) -> None:
    before = set(ipywidgets.widgets.widget._instances)
    chat = make_panel(room)
    recorded = chat.comm
    chat.close()
    chat.close()
    assert set(ipywidgets.widgets.widget._instances) == before
    assert room.observers == []
    assert recorded.types[-1] == "comm_close"
    assert not [one for one in threading.enumerate() if one.name == "chatkit-feed"]
    assert not room.closed, "a room that was given stays open"


def test_a_panel_ends_the_room_that_it_made(
    make_panel: Callable[..., ChatPanel], settings: Settings
) -> None:
    chat = make_panel(settings=settings, user="ben")
    assert chat.room.user == "ben"
    chat.close()
    with pytest.raises(RuntimeError, match="closed"):
        chat.room.open()


def test_a_panel_that_could_not_be_made_leaves_nothing_behind(
    make_panel: Callable[..., ChatPanel],
) -> None:
    before = set(ipywidgets.widgets.widget._instances)
    with pytest.raises(ValueError, match="CHATKIT_USER"):
        make_panel(user="two\nlines")
    assert set(ipywidgets.widgets.widget._instances) == before


def run_in_cell(monkeypatch: pytest.MonkeyPatch, cell: str, run: str) -> None:
    """Have what follows run in a cell, as far as the panel can tell."""
    parent = {"metadata": {"cellId": cell}, "header": {"msg_id": run}}

    class Shell:
        def get_parent(self) -> dict[str, Any]:
            return parent

    monkeypatch.setattr(panel, "get_ipython", Shell)


def test_running_a_cell_again_closes_the_panels_it_made_before(
    make_panel: Callable[..., ChatPanel], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in_cell(monkeypatch, "cell-1", "run-1")
    first, second = make_panel(HandMadeRoom()), make_panel(HandMadeRoom())
    run_in_cell(monkeypatch, "cell-2", "run-2")
    other = make_panel(HandMadeRoom())
    assert first.comm is not None, "two panels of one run live side by side"
    run_in_cell(monkeypatch, "cell-1", "run-3")
    again = make_panel(HandMadeRoom())
    assert (first.comm, second.comm) == (None, None)
    assert other.comm is not None
    assert again.comm is not None


def test_a_feed_that_fails_to_build_a_batch_says_so_and_goes_on() -> None:
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    broken = True

    def describe(channel: str) -> View:
        if broken:
            raise OSError("broken")
        return View(channel=channel, phase=Phase(name="open"))

    def to_lines(rows: Collection[Row]) -> list[Line]:
        return [Line(id=row.id, body=SECRET, place=row.order[:3]) for row in rows]

    feed = Feed(lambda *message: sent.extend(split(*message)), describe, to_lines, Batch)
    feed.put_hello("page", 0)
    feed.start()
    try:
        wait_until(lambda: sent)
        feed.put_rows("general", [make_row()])
        wait_until(lambda: b"broken" in b"".join(b"".join(buffers) for _, buffers in sent))
        broken = False
        feed.put_rows("general", [make_row(SECRET)])
        wait_until(lambda: SECRET.encode() in b"".join(b"".join(buffers) for _, buffers in sent))
    finally:
        feed.stop()
    numbers = [content["n"] for content, _ in sent if content["kind"] == "batch"]
    assert numbers[0] > 1, "the number of the lost batch is used, so that pages notice"


def test_a_message_does_not_wait_behind_who_is_typing() -> None:
    sent: list[tuple[float, dict[str, Any]]] = []

    def note(content: dict[str, Any], buffers: list[bytes]) -> None:
        sent.append((time.monotonic(), json.loads(buffers[0])))

    feed = Feed(
        note,
        lambda channel: View(channel=channel, phase=Phase(name="open")),
        lambda rows: [Line(id=row.id, body=SECRET, place=row.order[:3]) for row in rows],
        Batch,
    )
    feed.put_hello("page", 0)
    feed.start()
    try:
        wait_until(lambda: sent)
        began = time.monotonic()
        feed.put_people([Person("mei", "here", "general", 0)])
        feed.put_rows("general", [make_row()])
        wait_until(lambda: len(sent) == 2)
        at, batch = sent[1]
        assert at - began < INTERVAL
        assert [view["rows"][0]["body"] for view in batch["views"]] == [SECRET]
        assert batch["people"][0]["typing"] == "general", "they go with the next message"
        feed.put_people([])
        wait_until(lambda: len(sent) == 3)
        assert sent[2][1]["people"] == [], "and alone, if there is none"
    finally:
        feed.stop()


def test_the_front_end_is_one_module_with_every_script_and_no_address() -> None:
    folder = resources.files("chatkit.widgets")
    scripts = {item.name for item in folder.iterdir() if item.name.endswith(".js")}
    assert scripts == {f"{name}.js" for name in frontend._SCRIPTS}
    assert 'from "./' not in frontend.ESM
    assert "import " not in frontend.ESM
    addresses = set(re.findall(r"\w+://[^\"'`\s)]+", frontend.ESM))
    assert addresses <= {"http://www.w3.org/2000/svg"}, "that one is a name, and asks for nothing"
    assert frontend.ESM.count("export ") == frontend.ESM.count("export default ") == 1


def test_no_script_can_turn_text_into_markup() -> None:
    for name in ("outerHTML", "insertAdjacentHTML", "document.write", "eval(", "srcdoc"):
        assert name not in frontend.ESM
    assert frontend.ESM.count("innerHTML") == 1, "for what the kernel has made safe"
