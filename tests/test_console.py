"""The console client, in real terminals and in pipes, against real Kafka and MongoDB."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.console.news import ChannelNews
from chatkit.console.text import (
    AUTHOR_COLOURS,
    day_of,
    one_line,
    row_lines,
    safe,
    shorten,
    time_of,
)
from chatkit.fold import Folded
from chatkit.local import LocalStack
from chatkit.message import BODY_LIMIT, LAST_MS, Message
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.timeline import Row
from tests.commands import environment, running
from tests.rooms import texts
from tests.terminal import Terminal
from tests.verification import read_everything
from tests.waiting import wait_until

HOSTILE = (
    "\x1b[2J\x1b[H\x1b]0;stolen\x07\x1b[31mred\x1b[8m\x9b2J\x07\x08\x08\rover \u202eesrever "
    "\u2066isolated\u2069 \x7f\x00\x1bP1$r\x1b\\"
)


@pytest.fixture
def env(settings: Settings, channels: Channels) -> dict[str, str]:
    """Variables that lead a console to this test's servers, without the user's own colours."""
    variables = environment(settings)
    variables.pop("NO_COLOR", None)
    return variables


@pytest.fixture
def terminal(env: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Open terminals with a console in general, closed after the test."""
    opened: list[Terminal] = []

    def open_one(
        name: str = "ana", *arguments: str, ready: str = "connected", **more: object
    ) -> Terminal:
        extra = more.pop("extra", {})
        assert isinstance(extra, Mapping)
        where = arguments or ("general",)
        one = Terminal("chat", *where, "--name", name, env={**env, **extra}, **more)  # type: ignore[arg-type]
        opened.append(one)
        one.shows(ready)
        return one

    yield open_one
    for one in opened:
        one.__exit__()


@pytest.fixture
def general(terminal: Callable[..., Terminal]) -> Callable[..., Terminal]:
    """Open terminals whose channel is on the screen."""

    def open_one(name: str = "ana", **more: object) -> Terminal:
        one = terminal(name, **more)
        one.shows("#general, ")
        return one

    return open_one


def pipe(
    env: Mapping[str, str], *arguments: str, text: bytes, code: int = 0, timeout: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Run the command with something in its standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "chatkit", "chat", *arguments],
        env=dict(env),
        input=text,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout!r}\n{done.stderr!r}"
    return done


def bodies(settings: Settings, channel: str = "general") -> list[str]:
    items = (json.loads(record.value) for record in read_everything(settings, channel))
    return [item["body"] for item in items if item["type"] == "message"]


# Two people.


def test_two_people_talk_and_neither_is_disturbed_while_writing(
    general: Callable[..., Terminal],
) -> None:
    ana, ben = general("ana"), general("ben")
    ben.type("half a thou")
    ben.wait(lambda: ben.prompt.endswith("half a thou"))
    ana.enter("Hello Ben")
    ana.shows("ana (me)  Hello Ben")
    ben.shows("ana  Hello Ben")
    ben.wait(lambda: ben.prompt.endswith("#general ben> half a thou"))
    ben.type("ght\r")
    ana.shows("ben  half a thought")
    assert ana.text.count("Hello Ben") == 1, "one's own message is there once"
    ben.shows("ben (me)  half a thought\n")
    ben.wait(lambda: "sending" not in ben.text)


def test_a_message_of_several_lines_arrives_as_one(
    general: Callable[..., Terminal], settings: Settings
) -> None:
    ana = general()
    ana.paste("first\nsecond\nthird")
    ana.wait(lambda: ana.prompt.endswith("third"))
    ana.type("\x1b\rfourth\r")
    wait_until(lambda: bodies(settings) == ["first\nsecond\nthird\nfourth"], 30)
    ana.shows("ana (me)  first", "  fourth")


def test_what_a_text_says_to_the_terminal_is_not_done(
    general: Callable[..., Terminal], producer: ChatProducer
) -> None:
    ben = general("ben")
    ben.type("mine")
    producer.send(Message.new("general", "ana", "before")).result(10)
    producer.send(Message.new("general", "mallory", HOSTILE)).result(10)
    producer.send(Message.new("general", "ana", "after")).result(10)
    ben.shows("before", "␛[2J", "after")
    assert "stolen" not in ben.title
    assert ben.prompt.endswith("mine")
    shown = ben.raw.decode(errors="replace")
    assert not set(shown) & set("\u202e\u2066\u2069\x9b")
    assert "\x1b]0;" not in shown
    assert "\x1b[8m" not in shown


def test_a_peer_that_is_killed_harms_nobody(general: Callable[..., Terminal]) -> None:
    ana, ben = general("ana"), general("ben")
    ana.enter("soon gone")
    ben.shows("ana  soon gone")
    os.kill(ana.process.pid, signal.SIGKILL)
    ben.enter("still here")
    ben.shows("ben (me)  still here")


def test_edits_and_deletions_are_told_beside_what_was_printed(
    general: Callable[..., Terminal], room_factory: Callable[..., ChatRoom]
) -> None:
    ben = general("ben")
    room = room_factory("ana")
    room.join("general").result(20)
    message = room.send("general", "helo all")
    ben.shows("ana  helo all")
    wait_until(lambda: texts(room) == ["helo all"], 20)
    room.edit("general", message.id, "hello all").result(20)
    ben.shows("ana edited the message of")
    room.delete("general", message.id).result(20)
    ben.shows("a message of ana's was deleted")


# Commands.


def test_help_names_every_command_and_an_unknown_one_is_given_back(
    general: Callable[..., Terminal],
) -> None:
    ana = general(lines=50)
    ana.enter("/help")
    ana.shows("/join NAME", "/channels", "/create NAME", "/history [N]", "/retry", "/quit")
    ana.shows("/edit NEW TEXT", "/react [@NAME] EMOJI", "/search QUERY", "/who", "/share FILE")
    ana.enter("/nonsense here")
    ana.shows("There is no command /nonsense")
    assert ana.prompt.endswith("/nonsense here")


def test_a_text_that_begins_with_a_slash_can_be_sent(
    general: Callable[..., Terminal], settings: Settings
) -> None:
    ana = general()
    ana.enter("//etc is a folder")
    wait_until(lambda: bodies(settings) == ["/etc is a folder"], 30)


def test_channels_are_listed_made_and_entered(
    general: Callable[..., Terminal], channels: Channels
) -> None:
    ana = general()
    ana.enter("/create plans What we plan")
    ana.shows("#plans is made", "#plans, nobody has written here yet")
    assert set(channels.find()) == {"general", "plans"}
    ana.enter("/channels")
    ana.shows("1 + general", "2 * plans")
    ana.enter("/join 1")
    ana.wait(lambda: "#general ana>" in ana.prompt)
    ana.enter("/create Not/A/Name")
    ana.shows("lower-case")


def test_tab_completes_commands_and_channels(general: Callable[..., Terminal]) -> None:
    ana = general()
    ana.type("/jo\t")
    ana.wait(lambda: "/join" in ana.prompt)
    ana.type(" gen\t")
    ana.wait(lambda: ana.prompt.split("> ")[-1].split() == ["/join", "general"])


def test_messages_in_another_channel_are_counted(
    general: Callable[..., Terminal], producer: ChatProducer
) -> None:
    ana = general()
    ana.enter("/create plans")
    ana.shows("#plans, nobody")
    producer.send(Message.new("general", "ben", "over here")).result(10)
    ana.shows("#general: 1 new")
    assert "over here" not in ana.text
    ana.enter("/join general")
    ana.shows("ben  over here")


def test_the_words_of_the_panel_are_those_of_the_console(
    general: Callable[..., Terminal],
    room_factory: Callable[..., ChatRoom],
    archiver_factory: Callable[..., Archiver],
    tmp_path: Path,
) -> None:
    archiver_factory()
    room = room_factory("ben")
    room.join("general").result(20)
    ana = general(lines=40)
    room.send("general", "a question")
    ana.shows("ben  a question")
    ana.enter("/reply @ben an anser")
    ana.shows("answers ben: a question", "an anser")
    ana.enter("/edit an answer")
    wait_until(lambda: texts(room) == ["a question", "an answer"], 20)
    ana.enter("/react @ben :tada:")
    ana.shows("🎉 ana under ben's message")
    ana.enter("/who")
    ana.shows("Here: ana (me), ben")
    (tmp_path / "numbers.csv").write_text("a,b\n1,2\n")
    ana.enter(f"/share {tmp_path / 'numbers.csv'} look")
    ana.shows("look [numbers.csv, text/csv, 8 bytes]")
    ana.enter("/lens")
    ana.shows("Each message shows where it lies in Kafka")
    room.send("general", "seen through the lens")
    ana.shows("seen through the lens", "key ben, ", "after it was sent")
    ana.enter("/search from:ben lens")
    ana.shows("Found for from:ben lens")
    ana.enter("/delete")
    wait_until(lambda: texts(room)[2] == "", 20)
    ana.enter("/dm ben psst")
    ana.shows("#dm-", "psst")
    ana.enter("/search before:soon")
    ana.shows("before:soon", "^")
    ana.type("\x15")
    ana.enter("/leave")
    ana.shows("You left #dm-", "Channels:")


def test_history_reaches_behind_the_first_page(
    general: Callable[..., Terminal],
    producer: ChatProducer,
    archiver_factory: Callable[..., Archiver],
    store: MessageStore,
) -> None:
    archiver_factory()
    receipts = [
        producer.send(Message.new("general", "ana" if n % 2 else "mei", f"number {n}"))
        for n in range(450)
    ]
    for receipt in receipts:
        receipt.result(20)
    wait_until(lambda: store.counts().get("general") == 450, 30)
    ben = general("ben", lines=40)
    ben.shows("number 449", "older messages: /history")
    ben.enter("/history 420")
    ben.shows("End of the history")
    assert b"number 30\r" in ben.raw
    assert b"number 29\r" not in ben.raw
    ben.enter("/history many")
    ben.shows("How many?")


# Choosing a channel.


def test_without_a_channel_one_chooses_from_a_list(
    terminal: Callable[..., Terminal], channels: Channels
) -> None:
    channels.create("plans")
    ana = terminal("ana", "--name", "ana", ready="Channels:")
    ana.shows("1   general", "2   plans")
    ana.enter("2")
    ana.shows("#plans, nobody has written here yet")


def test_a_channel_that_is_not_there_is_offered_to_be_made(
    terminal: Callable[..., Terminal], channels: Channels
) -> None:
    ana = terminal("ana", "fresh", ready="There is no channel fresh")
    ana.wait(lambda: ana.prompt.endswith("/create fresh"))
    ana.type("\r")
    ana.shows("#fresh is made")
    assert "fresh" in channels.find()


# What goes wrong.


def test_a_text_that_is_too_long_stays_in_the_prompt(
    general: Callable[..., Terminal], settings: Settings
) -> None:
    ana = general()
    ana.paste("x" * BODY_LIMIT)
    ana.wait(lambda: ana.prompt.endswith("xxx"))
    ana.type("yz\r")
    ana.shows("16,384")
    ana.wait(lambda: ana.prompt.endswith("xyz"))
    assert bodies(settings) == []


def test_what_is_pasted_and_much_too_long_is_refused_with_the_reason(
    general: Callable[..., Terminal],
) -> None:
    ana = general()
    ana.type("kept ")
    ana.paste("x" * (BODY_LIMIT + 1))
    ana.shows("What you pasted has 16,385 bytes", "Paste less of it")
    assert ana.prompt.endswith("kept")


def test_with_no_broker_it_opens_says_so_and_gives_back_what_was_not_sent(
    terminal: Callable[..., Terminal],
) -> None:
    nowhere = {"CHATKIT_BOOTSTRAP_SERVERS": "127.0.0.1:1", "CHATKIT_DELIVERY_TIMEOUT": "1"}
    ana = terminal("ana", ready="Kafka is away", extra=nowhere, columns=120)
    ana.enter("do not lose me")
    ana.type("\x04")
    assert ana.ends() == 1
    assert "do not lose me" in ana.text.split("Not sent")[-1]


@pytest.mark.timeout(300)
def test_what_failed_is_shown_and_can_be_sent_again_under_its_id(
    general: Callable[..., Terminal], local_stack: LocalStack, settings: Settings
) -> None:
    ana = general(extra={"CHATKIT_DELIVERY_TIMEOUT": "3"}, lines=40, columns=120)
    local_stack.kafka.pause()
    try:
        ana.enter("through the wall")
        ana.shows("through the wall (sending)")
        ana.shows("Not sent to general", "1 not sent: /retry", timeout=60)
    finally:
        local_stack.kafka.resume()
    ana.wait(lambda: "is away" not in ana.lines[-1], 60)

    def sent() -> bool:
        if "1 not sent" in ana.text and "(sending)" not in ana.text:
            ana.type("/retry\r")
        return bodies(settings).count("through the wall") > 0

    wait_until(sent, 60)
    ana.shows("ana (me)  through the wall", timeout=60)
    ana.wait(lambda: "not sent: /retry" not in ana.text, 60)
    items = (json.loads(record.value) for record in read_everything(settings, "general"))
    assert len({item["id"] for item in items if item["type"] == "message"}) == 1


# Leaving, and how it looks.


@pytest.mark.parametrize("keys", ["\x03", "\x04", "/quit\r"], ids=["ctrl-c", "ctrl-d", "quit"])
def test_leaving_is_clean(general: Callable[..., Terminal], keys: str) -> None:
    ana = general()
    ana.enter("bye")
    ana.shows("ana (me)  bye")
    ana.type(keys)
    assert ana.ends() == 0
    assert "Traceback" not in ana.raw.decode()


def test_a_draft_is_printed_when_one_leaves_by_ctrl_c(general: Callable[..., Terminal]) -> None:
    ana = general()
    ana.type("a thought unfinished")
    ana.wait(lambda: ana.prompt.endswith("unfinished"))
    ana.type("\x03")
    ana.ends()
    assert "Not sent: a thought unfinished" in ana.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_end_it_leaves_the_terminal_as_it_was(
    general: Callable[..., Terminal], number: signal.Signals
) -> None:
    ana = general()
    assert not ana.process.getecho()
    ana.type("a draft")
    ana.wait(lambda: ana.prompt.endswith("a draft"))
    ana.process.kill(number)
    ana.shows("Not sent: a draft")
    ana.wait(ana.process.getecho)
    assert ana.ends() == 0


def test_one_who_leaves_at_once_sees_what_was_sent(
    terminal: Callable[..., Terminal], settings: Settings
) -> None:
    ana = terminal(ready="#general ana>")
    ana.enter("hello and goodbye")
    wait_until(lambda: bodies(settings) == ["hello and goodbye"], 30)
    ana.type("\x04")
    assert ana.ends() == 0
    assert ana.text.endswith("ana (me)  hello and goodbye")


def colours(terminal: Terminal) -> bool:
    return any(code in terminal.raw for code in (b"\x1b[0;38;", b"\x1b[38;", b";38;5;", b";38;2;"))


def test_authors_have_colours_unless_the_user_wants_none(general: Callable[..., Terminal]) -> None:
    plain, colourful = general("ben", extra={"NO_COLOR": "1"}), general("ana")
    colourful.enter("in colour?")
    for one in (plain, colourful):
        one.shows("in colour?")
    assert colours(colourful)
    assert not colours(plain)


@pytest.mark.parametrize("columns", [30, 200])
def test_it_fits_into_narrow_and_wide_terminals(
    general: Callable[..., Terminal], columns: int
) -> None:
    ana = general(columns=columns, ready="#general ·")
    ana.type("word " * 12)
    ana.shows("word word")
    ana.type("\r")
    ana.shows("ana (me)  word")
    ana.resize(60, 20)
    ana.enter("after resizing")
    ana.shows("ana (me)  after resizing")


def test_a_dumb_terminal_will_do(
    terminal: Callable[..., Terminal], producer: ChatProducer, settings: Settings
) -> None:
    ana = terminal(ready="#general, ", extra={"TERM": "dumb"})
    ana.type("plain words\r")
    wait_until(lambda: bodies(settings) == ["plain words"], 30)
    ana.type("half")
    ana.wait(lambda: ana.prompt.endswith("ana> half"))
    producer.send(Message.new("general", "ben", "in between"))
    ana.shows("ben  in between")
    ana.wait(lambda: ana.prompt.endswith("ana> half"))
    ana.type(" whole\r")
    wait_until(lambda: bodies(settings)[-1] == "half whole", 30)
    ana.type("/quit\r")
    assert ana.ends() == 0
    assert b"\x1b" not in ana.raw


# Pipes.


def test_a_line_in_a_pipe_is_sent_and_acknowledged(
    env: dict[str, str], settings: Settings, channels: Channels
) -> None:
    done = pipe(env, "general", "--name", "ana", text=b"hi\n\n/join is no command here\r\nno end")
    assert (done.stdout, done.stderr) == (b"", b"")
    assert bodies(settings) == ["hi", "/join is no command here", "no end"]


def test_lines_are_sent_as_they_come(
    env: dict[str, str], settings: Settings, channels: Channels
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "chatkit", "chat", "general"], env=env, stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(b"the first\n")
    process.stdin.flush()
    wait_until(lambda: bodies(settings) == ["the first"], 30)
    process.stdin.close()
    assert process.wait(30) == 0


def test_lines_that_can_not_be_sent_are_named_and_the_others_are_sent(
    env: dict[str, str], settings: Settings, channels: Channels
) -> None:
    text = b"one\n\xff\xfe\n" + b"x" * (BODY_LIMIT + 100) + b"\nfour\n"
    done = pipe(env, "general", text=text, code=1)
    told = done.stderr.decode()
    assert "Line 2 is not text in UTF-8" in told
    assert "Line 3 was not sent" in told
    assert "2 lines of 4 could not be sent" in told
    assert bodies(settings) == ["one", "four"]


def test_many_lines_arrive_in_order(
    env: dict[str, str], settings: Settings, channels: Channels
) -> None:
    lines = [f"line {n}" for n in range(3000)]
    pipe(env, "general", text="\n".join(lines).encode())
    assert bodies(settings) == lines


def test_a_pipe_with_no_broker_loses_no_text(env: dict[str, str]) -> None:
    env = {
        **env,
        "CHATKIT_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CHATKIT_DELIVERY_TIMEOUT": "2",
        "CHATKIT_KAFKA_TIMEOUT": "1",
    }
    done = pipe(env, "general", text=b"one\ntwo\n", code=1)
    told = done.stderr.decode()
    assert "Line 1 was not sent: one" in told
    assert "Line 2 was not sent: two" in told
    assert "CHATKIT_BOOTSTRAP_SERVERS" in told


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "name the channel"),
        (("nowhere",), "no channel 'nowhere'"),
        (("../x",), "lower-case"),
        (("general", "--json"), "--follow"),
        (("general", "--name", "a\nb"), "printable"),
    ],
)
def test_wrong_words_are_refused_with_the_reason(
    env: dict[str, str], arguments: tuple[str, ...], reason: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chatkit", "chat", *arguments],
        env=env,
        input=b"lost?\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert reason in " ".join(done.stderr.decode().replace("│", " ").split())


def test_followers_get_one_object_a_line(
    env: dict[str, str],
    settings: Settings,
    room_factory: Callable[..., ChatRoom],
) -> None:
    room = room_factory("ana")
    room.join("general").result(20)
    room.send("general", "before anybody follows")
    with running("chat", "general", "--follow", "--json", env=env) as follower:
        follower.line_with("Following general")
        message = room.send("general", "one\ntwo \x1b[2J\x9b")
        shown = json.loads(follower.line_with('"message"'))
        assert shown["id"] == message.id
        assert (shown["author"], shown["body"]) == ("ana", "one\ntwo \x1b[2J\x9b")
        assert (shown["partition"], shown["offset"], shown["source"]) == (0, 1, "chat")
        assert shown["sent_at"].endswith("+00:00")
        room.edit("general", message.id, "better").result(20)
        assert json.loads(follower.line_with('"edit"'))["body"] == "better"
        room.delete("general", message.id).result(20)
        assert json.loads(follower.line_with('"delete"'))["id"] == message.id
        assert "before anybody" not in follower.text
        assert "\x9b" not in follower.text
        assert follower.end(signal.SIGINT) == 0


def test_a_follower_ends_when_nobody_reads_any_longer(
    env: dict[str, str], producer: ChatProducer
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "chatkit", "chat", "general", "--follow"],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"Following" in process.stderr.readline()
    producer.send(Message.new("general", "ana", "only this")).result(10)
    assert b"ana" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


# Pure.


@given(st.text())
def test_nothing_that_is_shown_can_steer_a_terminal(text: str) -> None:
    for shown in (safe(text), one_line(text)):
        for character in shown.replace("\n", ""):
            code = ord(character)
            assert code >= 32
            assert not 0x7F <= code < 0xA0
            assert not 0x202A <= code <= 0x202E
            assert not 0x2066 <= code <= 0x2069
    assert "\n" not in one_line(text)


@given(st.text(max_size=60), st.integers(1, 40))
def test_what_is_shortened_fits(text: str, columns: int) -> None:
    line = one_line(text)
    short = shorten(line, columns)
    assert get_cwidth(short) <= max(columns, 2)
    assert short == line or short.endswith("…")


def row(number: int, body: str = "text", *, state: str = "sent", source: str = "chat") -> Row:
    message = Message(
        id=f"m{number}", channel="general", author="ana", body=body, sent_ms=number, source=source
    )
    return Row(
        id=message.id,
        kind="message",
        channel="general",
        message=message,
        folded=Folded(body=body),
        state=state,  # type: ignore[arg-type]
        placed_ms=number,
        partition=0,
        offset=number,
    )


def test_each_message_is_news_once_and_late_ones_are_counted() -> None:
    news = ChannelNews()
    news.begin([row(5)])
    assert [one.row.id for one in news.look([row(5), row(6)])[0]] == ["m6"]
    told, late = news.look([row(2, source="slack"), row(7)])
    assert [one.row.id for one in told] == ["m7"]
    assert late == 1
    assert news.look([row(7)]) == ([], 0)


def test_a_pending_message_is_news_when_it_is_sent_or_failed() -> None:
    news = ChannelNews()
    assert news.look([row(1, state="pending")]) == ([], 0)
    assert [one.kind for one in news.look([row(1, state="failed")])[0]] == ["failed"]
    assert [one.kind for one in news.look([row(1)])[0]] == ["row"]


def test_a_row_has_its_author_marked_if_it_is_oneself() -> None:
    line = "".join(text for _, text in row_lines(row(1, "a\nb"), "ana"))
    assert line.split("  ", 1)[0].endswith("ana (me)")
    assert line.rstrip("\n").endswith("b")
    assert "(me)" not in "".join(text for _, text in row_lines(row(1), "ben"))


@given(st.text(st.sampled_from("ab c\n漢"), min_size=1), st.integers(20, 60))
def test_breaking_lines_loses_no_word_and_they_fit(body: str, columns: int) -> None:
    shown = "".join(text for _, text in row_lines(row(1, body), "ben", columns))
    assert shown.split()[2:] == body.split()
    if max((get_cwidth(word) for word in body.split()), default=0) <= columns - len("12:34 "):
        assert all(get_cwidth(line.rstrip()) <= columns for line in shown.splitlines())


def test_an_address_that_does_not_fit_is_left_whole() -> None:
    address = "https://example.org/" + "long/" * 30
    shown = "".join(text for _, text in row_lines(row(1, f"see {address}"), "ben", 40))
    assert f" {address}\n" in shown


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_the_first_and_the_last_moment_that_a_message_can_claim_are_shown(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        for ms in (0, LAST_MS):
            assert len(time_of(ms)) == 5
            assert day_of(ms).year in (1969, 1970, 9999)
    time.tzset()


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, as WCAG 2.2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", AUTHOR_COLOURS)
def test_each_colour_can_be_read_on_black_and_on_white(colour: str) -> None:
    assert (luminance(colour) + 0.05) / 0.05 >= 3.5
    assert 1.05 / (luminance(colour) + 0.05) >= 3.5
