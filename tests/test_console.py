"""The terminal client: in real pseudo-terminals and pipes, on real servers; its pure parts pure."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.console.news import ChannelNews
from chatkit.console.text import (
    AUTHOR_COLOURS,
    day_of,
    failed_lines,
    note_line,
    one_line,
    pending_line,
    problem_line,
    row_lines,
    safe,
    shorten,
    time_of,
)
from chatkit.consumer import decode_record
from chatkit.local import LocalStack
from chatkit.message import BODY_LIMIT, Attachment, Delete, Edit, Message, Received, encode
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.timeline import Row, Timeline
from tests.commands import chatkit, environment, running
from tests.rooms import texts
from tests.terminal import Terminal
from tests.verification import read_everything
from tests.waiting import wait_until

COLOUR = re.compile(rb"\x1b\[[0-9;]*\b(3[0-8]|4[0-8]|9[0-7]|10[0-7])\b[0-9;]*m")
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[1;1Hgotcha \x9b31m \u202egnirts\u202c \x1b[8m bell\x07 \x7f"


# What people wrote, as lines. Pure.


def placed(body: str, offset: int = 0, **more: Any) -> Received:
    """Return a message as Kafka holds it, a second after the one before."""
    message = Message.new("general", more.pop("author", "ben"), body, **more)
    return Received(
        topic="chat.general",
        partition=0,
        offset=offset,
        appended_ms=1_700_000_000_000 + offset * 1000,
        item=message,
    )


def only_row(*items: Received) -> Row:
    timeline = Timeline("general")
    for item in items:
        timeline.add(item)
    (row,) = timeline.rows()
    return row


def joined(fragments: list[tuple[str, str]]) -> str:
    return "".join(text for _, text in fragments)


def steers(text: str) -> bool:
    """Return whether a text holds something that a terminal would obey."""
    return any(
        unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs")
        or unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "PDI")
        or unicodedata.bidirectional(c) == "FSI"
        for c in text.replace("\n", "")
    )


ANYTHING = st.text(st.characters(codec=None, exclude_categories=()) | st.sampled_from(HOSTILE))


@given(ANYTHING)
def test_nothing_in_a_text_can_steer_a_terminal(text: str) -> None:
    assert not steers(safe(text))
    assert "\n" not in one_line(text)
    assert not steers(one_line(text))


@given(ANYTHING, ANYTHING, st.integers(1, 200))
def test_no_line_of_a_message_can_steer_a_terminal(body: str, name: str, columns: int) -> None:
    file = Attachment(name=name, type=name, data=b"x")
    received = placed(body, author=name, attachment=file)
    assert isinstance(received.item, Message)
    for fragments in (
        row_lines(only_row(received), "ana", columns),
        pending_line(received.item, columns),
        failed_lines(received.item, name, columns),
        note_line(body, columns),
        problem_line(body, columns),
    ):
        text = joined(fragments)
        assert not steers(text)
        assert text.endswith("\n")
    assert joined(pending_line(received.item, columns)).count("\n") == 1


@pytest.mark.parametrize("text", ["Grüße", "שלום עליכם", "你好", "👩‍👩‍👧‍👦 👍🏽", "a\n\n  b", "é"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


def test_control_characters_become_pictures() -> None:
    assert safe("a\x1b[2J\x07\x7f\r") == "a␛[2J␇␡␍"
    assert safe("a\r\nb\tc\x9bd\u202ee") == "a\nb    c\ufffdd\ufffde"


@given(st.text(st.sampled_from("ab c\n漢")), st.integers(10, 60))
def test_breaking_lines_loses_no_word_and_fits(body: str, columns: int) -> None:
    lines = joined(row_lines(only_row(placed(body + "x")), "ana", columns)).splitlines()
    assert " ".join(lines).split()[2:] == (body + "x").split()
    head = len("12:34 ben  ")
    indent = head if head <= columns // 3 else len("12:34 ")
    for number, line in enumerate(lines):
        if number:
            assert line.startswith(" " * indent) or not line.strip()
        if max(map(len, body.split(), [body] * 0), default=0) * 2 < columns - head:
            assert sum(2 if c == "漢" else 1 for c in line) <= columns


def test_further_lines_stand_below_the_text() -> None:
    text = joined(row_lines(only_row(placed("one\n  two\nthree")), "ana"))
    time = time_of(only_row(placed("x")).message.sent_ms)  # type: ignore[union-attr]
    assert text == f"{time} ben  one\n             two\n           three\n"


def test_an_address_that_does_not_fit_is_not_broken() -> None:
    address = "https://example.org/" + "long/" * 30
    assert f" {address}\n" in joined(row_lines(only_row(placed(f"see {address}")), "ana", 40))


def test_the_user_the_edited_and_the_deleted_are_marked() -> None:
    first = placed("Hello", author="ana")
    edit = Edit.new("general", "ana", first.item.id, body="Bye")
    delete = Delete.new("general", "ana", first.item.id)
    events = [
        Received(topic="chat.general", partition=0, offset=n, appended_ms=n, item=event)
        for n, event in enumerate((edit, delete), 1)
    ]
    assert joined(row_lines(only_row(first), "ana")).endswith("ana (me)  Hello\n")
    assert joined(row_lines(only_row(first, events[0]), "ben")).endswith("ana  Bye (edited)\n")
    assert joined(row_lines(only_row(first, *events), "ben")).endswith("ana  (deleted)\n")


def test_a_file_is_named() -> None:
    file = Attachment(name="a.png", type="image/png", data=b"1234")
    assert joined(row_lines(only_row(placed("", attachment=file)), "ana")).endswith(
        "ben  [a.png, image/png, 4 bytes]\n"
    )


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_the_first_and_the_last_moment_that_a_message_can_claim_are_shown(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        for ms in (0, 253_402_300_799_999):
            assert re.fullmatch(r"\d\d:\d\d", time_of(ms))
            assert day_of(ms).year in (1969, 1970, 9999)
    time.tzset()


def test_a_text_is_shortened_to_the_columns_that_it_may_take() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("漢字漢字", 5) == "漢字…"


def test_each_colour_can_be_read_on_black_and_on_white() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for colour in AUTHOR_COLOURS:
        assert (luminance(colour) + 0.05) / 0.05 >= 3.5
        assert 1.05 / (luminance(colour) + 0.05) >= 3.5


def test_an_author_has_one_colour_and_not_all_have_the_same() -> None:
    def style(author: str) -> str:
        return row_lines(only_row(placed("x", author=author)), "zoe")[1][0]

    assert style("ana") == style("ana")
    assert len({style(f"author {n}") for n in range(100)}) == len(AUTHOR_COLOURS)


# What is new in a channel. Pure.


def kinds(news: ChannelNews, timeline: Timeline) -> tuple[list[tuple[str, str]], int]:
    """Return kind and present text of what is new in a timeline, and how many rows are late."""
    told, late = news.look(timeline.take_changes())
    return [(one.kind, one.row.folded.body if one.row.folded else "") for one in told], late


def event(kind: Any, message: Received, offset: int, **more: Any) -> Received:
    assert isinstance(message.item, Message)
    item = kind.new("general", message.item.author, message.item.id, **more)
    return Received(topic="t", partition=0, offset=offset, appended_ms=offset, item=item)


def test_a_message_its_edits_and_its_deletion_are_told_once_each() -> None:
    news, timeline = ChannelNews(), Timeline("general")
    first = placed("one")
    for item, expected in (
        (first, [("row", "one")]),
        (first, []),
        (event(Edit, first, 1, body="two"), [("edit", "two")]),
        (event(Delete, first, 2), [("delete", "")]),
        (event(Edit, first, 3, body="three"), []),
    ):
        timeline.add(item)
        assert kinds(news, timeline) == (expected, 0)


def test_what_was_there_before_is_not_told_and_its_edit_is() -> None:
    news, timeline = ChannelNews(), Timeline("general")
    first = placed("one")
    timeline.add(first)
    news.begin(timeline.rows())
    assert kinds(news, timeline) == ([], 0)
    timeline.add(event(Edit, first, 1, body="two"))
    assert kinds(news, timeline) == ([("edit", "two")], 0)


def test_an_own_message_is_told_when_it_fails_and_when_it_is_sent() -> None:
    news, timeline = ChannelNews(), Timeline("general")
    own = placed("mine")
    assert isinstance(own.item, Message)
    timeline.add_pending(own.item)
    assert kinds(news, timeline) == ([], 0)
    timeline.mark_failed(own.item.id, "no broker")
    assert kinds(news, timeline) == ([("failed", "mine")], 0)
    timeline.add_pending(own.item)  # tried again
    assert kinds(news, timeline) == ([], 0)
    timeline.add(own)
    assert kinds(news, timeline) == ([("row", "mine")], 0)


def test_what_belongs_above_is_counted_and_not_told() -> None:
    news, timeline = ChannelNews(), Timeline("general")
    timeline.add(placed("at the end", 10))
    news.begin(timeline.rows())
    timeline.take_changes()
    timeline.add(placed("older", 5))
    assert kinds(news, timeline) == ([], 1)
    timeline.add(placed("new", 20))
    assert kinds(news, timeline) == ([("row", "new")], 0)
    imported = placed("imported", 21, source="slack", sent_ms=1_700_000_015_000)
    timeline.add(imported)
    assert kinds(news, timeline) == ([], 1)
    timeline.add(placed("from another partition", 19))  # a little late, and no reason to hide it
    assert kinds(news, timeline) == ([("row", "from another partition")], 0)


def test_gaps_and_what_cant_be_read_are_told() -> None:
    news, timeline = ChannelNews(), Timeline("general")
    timeline.add_gap(0, 1, 3, 1_700_000_000_000)
    told, _ = news.look(timeline.take_changes())
    assert [one.row.kind for one in told] == ["gap"]
    assert "1 to 3" in joined(row_lines(told[0].row, "ana"))


# In terminals.


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    known = environment(settings)
    known.pop("NO_COLOR", None)
    return known


@pytest.fixture
def console(channels: Channels, env: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Open the chat in a terminal of its own, and wait for its channel."""
    del channels  # general is to be there
    with ExitStack() as opened:

        def open_console(
            name: str = "ana",
            channel: str = "general",
            size: tuple[int, int] = (80, 24),
            **more: str,
        ) -> Terminal:
            terminal = opened.enter_context(
                Terminal(
                    *("chat", channel, "--name", name),
                    env={**env, **more},
                    columns=size[0],
                    lines=size[1],
                )
            )
            terminal.shows(f"\n#{channel}")
            return terminal

        yield open_console


def in_kafka(settings: Settings, channel: str = "general") -> list[Message]:
    """Return the messages that Kafka holds."""
    found = (decode_record(one, channel) for one in read_everything(settings, channel))
    return [
        one.item for one in found if isinstance(one, Received) and isinstance(one.item, Message)
    ]


@contextmanager
def frozen(stack: LocalStack) -> Iterator[None]:
    """Let Kafka answer nothing for a while."""
    stack.kafka.pause()
    try:
        yield
    finally:
        stack.kafka.resume()


def test_two_talk_and_what_comes_leaves_alone_what_is_being_typed(
    console: Callable[..., Terminal],
) -> None:
    ana, ben = console("ana"), console("ben")
    ana.shows("connected")
    ben.type("half a sen")
    ben.wait(lambda: ben.prompt.endswith("ben> half a sen"))
    for n in range(5):
        ana.enter(f"message {n}")
    ben.shows("ana  message 4")
    ben.wait(lambda: ben.prompt == "#general ben> half a sen")
    ben.type("tence\r")
    for terminal, author in ((ana, "ben"), (ben, "ben (me)")):
        terminal.shows(f"{author}  half a sentence")
        said = [line[6:] for line in terminal.lines if re.match(r"\d\d:\d\d ", line)]
        assert [line.split("  ")[1] for line in said] == [
            *(f"message {n}" for n in range(5)),
            "half a sentence",
        ]
    ben.wait(lambda: ben.prompt == "#general ben>")
    ben.process.kill(signal.SIGKILL)
    ana.enter("still here?")
    ana.shows("ana (me)  still here?")


def test_the_day_is_told_once(console: Callable[..., Terminal]) -> None:
    ana = console()
    ana.enter("one")
    ana.enter("two")
    ana.shows("(me)  two")
    assert len([line for line in ana.lines if line.startswith("── ")]) == 1


def test_a_channel_is_chosen_by_number_or_name_and_made_where_there_is_none(
    env: dict[str, str], settings: Settings
) -> None:
    with Channels(settings) as channels:
        with Terminal("chat", env=env) as ana:
            ana.shows("There is no channel yet", "which channel? ana> /create general")
            ana.type("\r")
            ana.shows("#general is made, and you moderate it", "#general ana>")
            assert list(channels.find()) == ["general"]
        channels.create("random")
        with Terminal("chat", env=env) as ana:
            ana.shows("1   general", "2   random", "which channel? ana>")
            ana.enter("2")
            ana.shows("#random, nobody has written here yet", "#random ana>")
        with Terminal("chat", env=env) as ana:
            ana.shows("2   random", "which channel? ana>")
            ana.type("g\t")
            ana.shows("which channel? ana> general")
            ana.type("\r")
            ana.shows("#general ana>")


def test_a_channel_that_is_not_there_can_be_made(channels: Channels, env: dict[str, str]) -> None:
    with Terminal("chat", "nowhere", env=env) as ana:
        ana.shows("There is no channel nowhere", "which channel? ana> /create nowhere")
        assert list(channels.find()) == ["general"]
        ana.type("\r")
        ana.shows("#nowhere is made", "#nowhere ana>")
        ana.enter("first")
        ana.shows("ana (me)  first")
        assert list(channels.find()) == ["general", "nowhere"]


def test_commands(console: Callable[..., Terminal], settings: Settings) -> None:
    ana, ben = console("ana", size=(80, 40)), console("ben")
    ana.enter("/help")
    for command in ("/join NAME", "/channels", "/create NAME", "/history [N]", "/who", "/quit"):
        ana.shows(command)
    ana.enter("/wat is this")
    ana.shows("no command /wat", "#general ana> /wat is this")
    ana.type("\x15//wat is this\r")  # Ctrl-U
    ana.shows("ana (me)  /wat is this")

    ben.enter("/create random All the rest")
    ben.shows("#random ben>")
    ben.enter("news from here")
    ben.shows("ben (me)  news from here")
    ana.enter("/join nothing")
    ana.shows("There is no channel nothing", "#general ana>")
    ana.enter("/join random")
    ana.shows("#random ana>", "ben  news from here")
    ana.enter("/channels")
    ana.shows("1 + general", "2 * random")
    ben.enter("/join 1")  # no list was shown
    ben.shows("There is no channel 1")
    ben.enter("/join general")
    ben.shows("#general ben>", "ana  /wat is this")
    ben.enter("to general")
    ana.shows("#general: 1 new")
    assert "ben  to general" not in ana.text
    ana.enter("/join 1")
    ana.shows("#general ana>", "ben  to general")
    ana.wait(lambda: "1 new" not in ana.text)
    ana.enter("/who")
    ana.shows("last 2 messages of #general", "ben: 1 message, last", "ana (me): 1 message, last")
    ana.enter("/history many")
    ana.shows("How many?", "ana> /history many")
    ana.type("\x15/create No!\r")
    ana.shows("can't be a channel's name", "ana> /create No!")
    ana.type("\x15/create general\r")
    ana.shows("exists already")
    ana.enter("/quit")
    assert ana.ends() == 0
    with Channels(settings) as channels:
        assert channels.record("random").description == "All the rest"


def test_tab_completes_commands_and_channels(
    console: Callable[..., Terminal], channels: Channels
) -> None:
    channels.create("random")
    channels.create("readings")
    ana = console()
    ana.type("/j\t")
    ana.wait(lambda: ana.prompt == "#general ana> /join")
    ana.type("r\t")
    ana.shows("random\n", "readings")
    ana.type("e\t")
    ana.wait(lambda: ana.prompt == "#general ana> /join readings")
    ana.type("\r")
    ana.shows("#readings ana>")
    ana.type("/")
    ana.shows("/history", "show the last N messages")


def test_history_loads_what_is_archived(
    console: Callable[..., Terminal],
    producer: ChatProducer,
    store: MessageStore,
    archiver_factory: Callable[..., Archiver],
) -> None:
    for n in range(450):
        producer.send(Message.new("general", "ben", f"number {n:03}"))
    archiver_factory()
    wait_until(lambda: store.counts().get("general") == 450, 30)
    ana = console()
    ana.shows("#general, older messages: /history", "number 449")
    assert b"number 430" in ana.raw
    assert b"number 429" not in ana.raw
    ana.enter("/history 440")
    ana.shows("End of the history")
    numbers = re.findall(rb"number (\d\d\d)", ana.raw.split(b"last 440 messages")[1])
    assert [int(number) for number in numbers] == list(range(10, 450))
    # Nothing of that is news, and news are.
    producer.send(Message.new("general", "ben", "something new"))
    ana.shows("something new")
    assert "came in above" not in ana.text


def test_what_a_hostile_message_holds_is_shown_and_does_nothing(
    console: Callable[..., Terminal], producer: ChatProducer
) -> None:
    ana = console()
    producer.send(Message.new("general", "ben", "before")).result(10)
    producer.send(Message.new("general", "ben", HOSTILE)).result(10)
    ana.shows("ben  before", "␛[2J␛[1;1Hgotcha �31m")
    assert ana.title == ""
    for part in ("\x1b]0;owned", "\x1b[2J\x1b[1;1H", "\x9b31m", "\u202e", "\x1b[8m", "\x07"):
        assert part.encode() not in ana.raw
    ana.wait(lambda: ana.prompt == "#general ana>")


def test_authors_have_colours_and_with_no_color_nothing_has(
    console: Callable[..., Terminal], producer: ChatProducer
) -> None:
    colourful, plain = console("ana"), console("ana", NO_COLOR="1")
    producer.send(Message.new("general", "ben", "hello"))
    for terminal in (colourful, plain):
        terminal.shows("ben  hello")
        terminal.enter("/help")
        terminal.enter("/nonsense")
        terminal.shows("no command")
    assert COLOUR.search(colourful.raw)
    assert not COLOUR.search(plain.raw)


def test_what_is_pending_and_what_failed_is_shown_and_can_be_sent_again(
    console: Callable[..., Terminal], local_stack: LocalStack, settings: Settings
) -> None:
    ana = console(CHATKIT_DELIVERY_TIMEOUT="3")
    ana.enter("sent")
    ana.shows("ana (me)  sent")
    with frozen(local_stack):
        ana.enter("lost?")
        ana.shows("ana (me)  lost? (sending)", "1 sending")
        ana.type("half ty")
        ana.shows("Not sent to general:\n  lost?", "1 not sent: /retry", "ana> half ty")
        ana.shows("Kafka is away")
        assert "(sending)" not in ana.text
        ana.type("\x15/retry\r")
        ana.shows("ana (me)  lost? (sending)")
    ana.wait(lambda: re.search(r"ana \(me\)  lost\?$", ana.text, re.MULTILINE) or retry(ana))
    ana.wait(lambda: "not sent: /retry" not in ana.text)
    assert len({one.id for one in in_kafka(settings) if one.body == "lost?"}) == 1


def retry(terminal: Terminal) -> bool:
    """Try again, where that failed once more while Kafka was coming back."""
    if "1 not sent: /retry" in terminal.text and terminal.prompt == "#general ana>":
        terminal.type("/retry\r")
        terminal.wait(lambda: "1 not sent" not in terminal.text)
    return False


def test_what_is_not_sent_when_one_leaves_is_printed(
    console: Callable[..., Terminal], local_stack: LocalStack
) -> None:
    ana = console()
    with frozen(local_stack):
        ana.enter("never\nmind" if False else "never mind")
        ana.shows("never mind (sending)")
        ana.type("and a draft\x03")
        assert ana.ends() == 1
    ana.shows("Not sent to general:\n  never mind", "Not sent: and a draft")


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_is_clean(key: str, console: Callable[..., Terminal]) -> None:
    ana = console()
    ana.enter("bye")
    ana.shows("(me)  bye")
    ana.type(key)
    assert ana.ends() == 0
    assert "ana>" not in ana.text
    assert ana.text.splitlines()[-1].endswith("(me)  bye")
    assert ana.raw.rstrip().endswith(b"\x1b[?25h") or b"\x1b[?2004l" in ana.raw[-200:]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_with_the_terminal_as_it_was(
    number: signal.Signals, console: Callable[..., Terminal]
) -> None:
    ana = console()
    descriptor = ana.process.fd
    assert not termios.tcgetattr(descriptor)[3] & termios.ECHO
    ana.type("a draft")
    ana.wait(lambda: ana.prompt.endswith("a draft"))
    ana.process.kill(number)
    ana.shows("Not sent: a draft")
    ana.wait(lambda: termios.tcgetattr(descriptor)[3] & termios.ECHO)
    assert ana.ends() == 0


def test_it_ends_when_its_terminal_is_closed(console: Callable[..., Terminal]) -> None:
    ana = console()
    os.close(os.dup(ana.process.fd))  # it is ours
    ana.process.fileobj.close()
    wait_until(lambda: not ana.process.isalive(), 30)


def test_lines_that_belong_together_are_one_message(
    console: Callable[..., Terminal], settings: Settings
) -> None:
    ana = console()
    ana.paste("def f():\r\n    return 1\n")
    ana.shows("def f():\n                  return 1")
    ana.type("\x1b\rthe end\r")  # Alt+Enter
    ana.shows("ana (me)  def f():")
    wait_until(lambda: in_kafka(settings))
    assert [one.body for one in in_kafka(settings)] == ["def f():\n    return 1\n\nthe end"]


def test_a_text_that_is_too_long_is_given_back(
    console: Callable[..., Terminal], settings: Settings
) -> None:
    ana = console()
    ana.paste("x" * (BODY_LIMIT + 1))
    ana.shows("What you pasted has 16,385 bytes", "#general ana>")
    ana.paste("words " * (BODY_LIMIT // 6))
    ana.wait(lambda: ana.prompt.startswith("words") or "words words" in ana.text)
    ana.type("and more\r")
    ana.shows("The text has 16,388 bytes; the limit is 16,384", "and more")
    assert in_kafka(settings) == []
    ana.type("\x7f" * len("s and more") + "\r")
    wait_until(lambda: in_kafka(settings))
    assert in_kafka(settings)[0].body == "words " * (BODY_LIMIT // 6 - 1) + "word"


def test_edits_and_deletions_of_others_are_told(
    console: Callable[..., Terminal], room_factory: Callable[..., ChatRoom]
) -> None:
    ana, room = console(), room_factory("ben")
    room.join("general").result(20)
    message = room.send("general", "first text")
    ana.shows("ben  first text")
    room.edit("general", message.id, "second text").result(10)
    ana.shows("· ben edited the message of", ": second text")
    room.delete("general", message.id).result(10)
    ana.shows("· a message of ben's was deleted", ": second text")
    ana.enter("/history")
    ana.shows("ben  (deleted)")


def test_messages_that_an_import_brings_are_counted(
    console: Callable[..., Terminal], producer: ChatProducer
) -> None:
    ana = console()
    ana.enter("now")
    ana.shows("(me)  now")
    old = [
        Message.new("general", "ben", f"old {n}", source="slack", sent_ms=1_000_000_000_000 + n)
        for n in range(30)
    ]
    for message in old:
        producer.send(message).result(10)
    ana.wait(lambda: sum(map(int, re.findall(r"(\d+) older messages? came", ana.text))) == 30)
    assert "old 1" not in ana.text
    ana.enter("/history 3")
    ana.shows("ben  old 28", "ben  old 29")


def test_a_record_that_cant_be_read_has_a_line(
    console: Callable[..., Terminal], producer: ChatProducer, settings: Settings
) -> None:
    from kafka import KafkaProducer

    from chatkit.connection import make_client

    ana = console()
    raw = make_client(KafkaProducer, settings)
    raw.send(settings.topic_of("general"), b"\x1b[2J no JSON").get(10)
    raw.close()
    producer.send(Message.new("general", "ben", "after it"))
    ana.shows("· Can't be read: ", "ben  after it")


def test_a_narrow_window_that_becomes_wide(console: Callable[..., Terminal]) -> None:
    ana = console(size=(40, 12))
    ana.enter("a text that is much longer than forty columns, in words")
    ana.shows("ana (me)")
    ana.wait(lambda: "(sending)" not in ana.text and ana.prompt == "#general ana>")
    ana.resize(100, 30)
    ana.enter("a text that is much shorter than a hundred columns, but over forty")
    ana.shows("(me)  a text that is much shorter than a hundred columns, but over forty")
    ana.wait(lambda: ana.prompt == "#general ana>")


def test_a_terminal_that_can_do_nothing_does(
    console: Callable[..., Terminal], producer: ChatProducer
) -> None:
    ana = console(TERM="dumb")
    ana.type("hello there\r")
    ana.shows("ana (me)  hello there")
    ana.type("half")
    ana.shows("ana> half")
    producer.send(Message.new("general", "ben", "in between"))
    ana.wait(lambda: ana.prompt.endswith("ana> half") and "ben  in between" in ana.text)
    ana.type(" whole\r")
    ana.shows("ana (me)  half whole")
    assert b"\x1b" not in ana.raw
    ana.type("/quit\r")
    assert ana.ends() == 0


def test_with_no_server_it_opens_says_so_and_keeps_what_was_written(env: dict[str, str]) -> None:
    nowhere = {
        **env,
        "CHATKIT_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CHATKIT_MONGO_URI": "mongodb://127.0.0.1:2",
        "CHATKIT_KAFKA_TIMEOUT": "1",
        "CHATKIT_MONGO_TIMEOUT": "1",
    }
    with Terminal("chat", "general", "--name", "ana", env=nowhere) as ana:
        ana.shows("#general ana>")
        ana.enter("anybody?")
        ana.shows("anybody? (sending)", "Kafka is away", "MongoDB is away", "127.0.0.1:1")
        ana.enter("/channels")
        ana.shows("nobody knows before Kafka answers")
        ana.type("\x04")
        assert ana.ends() == 1
        ana.shows("Not sent to general:\n  anybody?")


def test_a_name_that_cant_be_is_named(env: dict[str, str]) -> None:
    done = chatkit("chat", "general", "--name", "a\nb", env=env, code=2)
    assert "--name" in done.stderr
    assert "1-64 printable characters" in done.stderr


# In pipes.


def piped(
    text: str | bytes, *arguments: str, env: dict[str, str], code: int = 0
) -> subprocess.CompletedProcess[bytes]:
    """Run the chat with a text as its standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "chatkit", "chat", *arguments],
        env=env,
        input=text.encode() if isinstance(text, str) else text,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, f"{done.returncode} {done.stdout!r} {done.stderr.decode()}"
    return done


@pytest.mark.usefixtures("channels")
def test_each_line_of_a_pipe_is_a_message(env: dict[str, str], settings: Settings) -> None:
    done = piped("hi\n\n  \n/quit\r\nlast", "general", "--name", "bea", env=env)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert [(one.author, one.body) for one in in_kafka(settings)] == [
        ("bea", "hi"),
        ("bea", "/quit"),
        ("bea", "last"),
    ]


@pytest.mark.usefixtures("channels")
def test_a_line_is_sent_as_soon_as_it_comes_and_ctrl_c_ends_that(
    env: dict[str, str], settings: Settings
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "chatkit", "chat", "general"], env=env, stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        for n in range(2):
            process.stdin.write(f"line {n}\n".encode())
            process.stdin.flush()
            wait_until(lambda n=n: len(in_kafka(settings)) == n + 1, 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


@pytest.mark.usefixtures("channels")
def test_more_lines_than_may_be_on_their_way_all_arrive_in_order(
    env: dict[str, str], settings: Settings
) -> None:
    wanted = [f"line {n}" for n in range(2500)]
    piped("\n".join(wanted), "general", env=env)
    assert [one.body for one in in_kafka(settings)] == wanted


@pytest.mark.usefixtures("channels")
def test_lines_that_cant_be_messages_are_named_and_the_others_sent(
    env: dict[str, str], settings: Settings
) -> None:
    limit = b"y" * BODY_LIMIT
    lines = [b"one", b"caf\xe9", b"x" * 100_000, limit + b"y", limit, b"six"]
    done = piped(b"\r\n".join(lines), "general", env=env, code=1)
    text = done.stderr.decode()
    assert "Line 2 is not text in UTF-8, at byte 4" in text
    assert "Line 3 was not sent" in text
    assert "Line 4 was not sent. The text has 16,385 bytes" in text
    assert "3 lines of 6 could not be sent" in text
    assert [one.body for one in in_kafka(settings)] == ["one", limit.decode(), "six"]


def test_without_a_channel_a_pipe_is_told_what_to_do(env: dict[str, str]) -> None:
    for arguments in ((), ("--follow",)):
        text = piped("hi\n", *arguments, env=env, code=2).stderr.decode()
        assert "chatkit chat general" in text


@pytest.mark.usefixtures("channels")
def test_a_channel_that_is_not_there_is_an_error_in_a_pipe(env: dict[str, str]) -> None:
    assert b"nowhere" in piped("hi\n", "nowhere", env=env, code=1).stderr
    assert b"nowhere" in piped("", "nowhere", "--follow", env=env, code=1).stderr


def test_with_no_broker_a_pipe_says_which_lines_were_not_sent(env: dict[str, str]) -> None:
    nowhere = {
        **env,
        "CHATKIT_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CHATKIT_KAFKA_TIMEOUT": "1",
        "CHATKIT_DELIVERY_TIMEOUT": "1",
    }
    text = piped("one \x1b[2J\ntwo\n", "general", env=nowhere, code=1).stderr.decode()
    assert "Line 1 was not sent: one ␛[2J" in text
    assert "Line 2 was not sent: two" in text
    assert "127.0.0.1:1" in text


def test_json_is_for_following(env: dict[str, str]) -> None:
    assert b"--follow" in piped("hi\n", "general", "--json", env=env, code=2).stderr


def test_messages_edits_and_deletions_are_objects_for_other_programs(
    env: dict[str, str], room_factory: Callable[..., ChatRoom]
) -> None:
    room = room_factory("ben")
    room.join("general").result(20)
    room.send("general", "before")
    wait_until(lambda: texts(room) == ["before"])
    with running("chat", "general", "--follow", "--json", env=env) as command:
        command.line_with("Following general")
        message = room.send("general", f"two\nlines {HOSTILE}", reply_to="an id")
        command.line_with('"message"')
        room.edit("general", message.id, "edited").result(10)
        command.line_with('"edit"')
        room.delete("general", message.id).result(10)
        command.line_with('"delete"')
        assert command.end(signal.SIGINT) == 0
    first, edit, delete = (json.loads(line) for line in command.lines if line[0] == "{")
    assert not steers("".join(command.lines))
    assert first.pop("placed_at").endswith("+00:00")
    assert first == {
        "type": "message",
        "id": message.id,
        "channel": "general",
        "author": "ben",
        "body": f"two\nlines {HOSTILE}",
        "sent_at": message.sent_at.isoformat(timespec="milliseconds"),
        "partition": 0,
        "offset": 1,
        "reply_to": "an id",
        "bot": False,
        "source": "chat",
        "attachment": None,
    }
    assert (edit["type"], edit["id"], edit["body"]) == ("edit", message.id, "edited")
    assert (delete["type"], delete["id"]) == ("delete", message.id)
    assert "body" not in delete


@pytest.mark.usefixtures("channels")
def test_following_prints_lines_and_ends_when_nobody_reads_them(
    env: dict[str, str], producer: ChatProducer
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "chatkit", "chat", "general", "--follow"],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"Following general" in process.stderr.readline()
        producer.send(Message.new("general", "ben", "one \x1b[2J")).result(10)
        assert process.stdout.readline().decode().endswith("ben  one ␛[2J\n")
        process.stdout.close()  # as head does, after the first line
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


def test_output_into_a_file_wants_follow(env: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "chatkit", "chat", "general"],
            env=env,
            stdin=theirs,
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 1
    assert b"--follow" in done.stderr


def test_bytes_of_a_message_are_those_that_were_typed(
    console: Callable[..., Terminal], settings: Settings
) -> None:
    ana = console()
    ana.paste("Grüße 👩‍👩‍👧‍👦 你好 שלום")
    ana.type("\r")
    ana.shows("(me)  Grüße")
    wait_until(lambda: in_kafka(settings))
    assert in_kafka(settings)[0].body == "Grüße 👩‍👩‍👧‍👦 你好 שלום"
    assert encode(in_kafka(settings)[0])
