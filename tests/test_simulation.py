"""Made-up chatter: pure and seeded, and sent to real Kafka."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.errors import BrokerUnavailableError, ChannelNameError, InputError, ServiceError
from chatkit.message import Edit, Event, Message, React, check, from_ms, now_ms
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.sending import Sending
from chatkit.settings import Settings
from chatkit.simulation import SOURCE, Simulation, moment, play
from chatkit.store import MessageStore
from tests.commands import chatkit, environment, running
from tests.rooms import texts
from tests.waiting import wait_until

AWAY = {**os.environ, "CHATKIT_BOOTSTRAP_SERVERS": "127.0.0.1:9", "PYTHONUTF8": "1"}
"""Variables that lead to no server."""
FIRST, END = date(2026, 9, 7), date(2026, 10, 5)  # four weeks, from a Monday on
SIMULATIONS = st.builds(
    Simulation,
    people=st.integers(3, 60),
    channels=st.integers(1, 20) | st.just(("general",)),
    seed=st.integers(),
)


def live(simulation: Simulation, count: int, rate: float = 1.0) -> list[Message | Event]:
    return list(islice(simulation.live(1_000_000, rate), count))


def said(items: list[Message | Event]) -> list[Message]:
    return [item for item in items if isinstance(item, Message)]


def assert_hangs_together(items: list[Message | Event]) -> None:
    """All is valid, in order, and about messages of the same channel that came before."""
    channels: dict[str, str] = {}
    authors: dict[str, str] = {}
    for item in items:
        check(item)
        assert item.id not in channels
        target = item.reply_to if isinstance(item, Message) else item.target
        if target is not None:
            assert channels[target] == item.channel
        if isinstance(item, Edit):
            assert authors[item.target or ""] == item.actor  # or it would not count
        elif isinstance(item, React):
            assert authors[item.target or ""] != item.actor
        else:
            assert isinstance(item, Message)
            channels[item.id] = item.channel
            authors[item.id] = item.author
            assert not set("{}") & set(item.body), "a word was not replaced"
    assert [moment(item) for item in items] == sorted(map(moment, items))


# What is said.


@given(SIMULATIONS)
@hypothesis_settings(max_examples=50, deadline=None)
def test_what_is_said_now_hangs_together(simulation: Simulation) -> None:
    items = live(simulation, 300)
    assert_hangs_together(items)
    assert {item.source for item in items} == {"chat"}


@given(SIMULATIONS, st.integers(0, 400))
@hypothesis_settings(max_examples=50, deadline=None)
def test_what_was_said_hangs_together_and_lies_within_the_days(
    simulation: Simulation, count: int
) -> None:
    items = list(simulation.history(FIRST, END, count))
    assert_hangs_together(items)
    assert len(said(items)) == count
    assert {item.source for item in items} <= {SOURCE}
    assert all(FIRST <= from_ms(moment(item)).date() < END for item in items)


def test_the_same_seed_gives_the_same_chatter_and_another_seed_another() -> None:
    simulation, other = Simulation(seed=1), Simulation(seed=2)
    assert live(simulation, 200) == live(simulation, 200)
    assert [m.body for m in said(live(simulation, 200))] != [m.body for m in said(live(other, 200))]
    history = list(simulation.history(FIRST, END))
    assert history == list(simulation.history(FIRST, END))
    assert history != list(other.history(FIRST, END))


def test_begun_later_the_same_is_said_by_other_ids() -> None:
    simulation = Simulation()
    early = said(list(islice(simulation.live(1_000_000), 100)))
    late = said(list(islice(simulation.live(2_000_000), 100)))
    assert [(m.author, m.channel, m.body) for m in early] == [
        (m.author, m.channel, m.body) for m in late
    ]
    assert {late.sent_ms - early.sent_ms for early, late in zip(early, late, strict=True)} == {
        1_000_000
    }
    assert not {m.id for m in early} & {m.id for m in late}


def test_ids_of_other_people_channels_and_numbers_are_others() -> None:
    ids = [
        {item.id for item in items}
        for items in (
            live(Simulation(), 100),
            live(Simulation(), 100, rate=2),
            live(Simulation(people=13), 100),
            live(Simulation(channels=("sim-kitchen",)), 100),
            Simulation().history(FIRST, END, 100),
            Simulation().history(FIRST, END, 101),
        )
    ]
    assert len(set().union(*ids)) == sum(map(len, ids))


def test_messages_come_at_the_rate() -> None:
    for rate in (0.1, 5, 1000):
        times = [m.sent_ms for m in said(live(Simulation(), 6000, rate))]
        assert 1000 * len(times) / (times[-1] - 1_000_000) == pytest.approx(rate, rel=0.1)


def test_it_is_lively() -> None:
    items = list(Simulation(people=40, channels=7).history(FIRST, END, 5000))
    messages = said(items)
    authors = Counter(m.author for m in messages)
    assert len(authors) == 41  # and a bot
    assert authors.most_common(1)[0][1] > 5 * sorted(authors.values())[len(authors) // 2]
    assert len({m.channel for m in messages}) == 7
    assert len({m.body for m in messages}) > 700
    shares = {
        "replies": sum(m.reply_to is not None for m in messages),
        "questions": sum(m.body.endswith("?") for m in messages),
        "links": sum("https://" in m.body for m in messages),
        "mentions": sum(bool(re.search(r"@\w", m.body)) for m in messages),
        "emojis": sum(any(ord(c) > 0x2600 for c in m.body) for m in messages),
        "bots": sum(m.bot for m in messages),
        "reactions": sum(isinstance(item, React) for item in items),
        "edits": sum(isinstance(item, Edit) for item in items),
    }
    assert min(shares.values()) > 50, shares
    assert {m.author for m in messages if m.bot} == {"clockwork"}


def test_links_lead_nowhere_but_to_kafka() -> None:
    for message in said(live(Simulation(channels=20), 3000)):
        for host in re.findall(r"https?://([^/\s]+)", message.body):
            assert host in {"example.org", "kafka.apache.org"}


def test_an_edit_mends_a_slip() -> None:
    items = list(Simulation().history(FIRST, END, 2000))
    first = {m.id: m.body for m in said(items)}
    edits = [item for item in items if isinstance(item, Edit)]
    assert edits
    for edit in edits:
        before = first[edit.target or ""]
        assert before != edit.body
        assert sorted(before) == sorted(edit.body)


def test_days_and_weeks_have_a_rhythm() -> None:
    items = said(list(Simulation().history(FIRST, END, 4000)))
    hours = Counter(m.sent_at.hour for m in items)
    assert hours[9] > 10 * hours[3]
    days = Counter(m.sent_at.weekday() for m in items)
    assert min(days[n] for n in range(5)) > 2 * max(days[5], days[6])


def test_answers_come_soon_after_what_they_answer() -> None:
    items = said(list(Simulation().history(FIRST, END, 500)))
    sent = {m.id: m.sent_ms for m in items}
    waits = [m.sent_ms - sent[m.reply_to] for m in items if m.reply_to]
    assert max(waits) < 3_600_000
    assert sorted(waits)[len(waits) // 2] < 180_000


def test_names_are_as_many_as_wanted_and_nobodys_twice() -> None:
    for people in (3, 28, 29, 1000):
        names = Simulation(people=people).names
        assert len(set(names)) == people
    names = Simulation(channels=30).channel_names
    assert len(set(names)) == 30
    assert all(name.startswith("sim-") for name in names)
    assert Simulation(channels=("b", "a", "b")).channel_names == ["b", "a"]


def test_what_can_not_be_simulated_is_refused() -> None:
    for people in (-1, 0, 2, 10_001):
        with pytest.raises(InputError, match="people"):
            Simulation(people=people)
    for channels in (0, -1, ()):
        with pytest.raises(InputError, match="at least 1 channel"):
            Simulation(channels=channels)
    with pytest.raises(ChannelNameError):
        Simulation(channels=("No Such Name",))
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="rate"):
            Simulation().live(0, rate)
    with pytest.raises(InputError, match="no day"):
        Simulation().history(FIRST, FIRST)
    with pytest.raises(InputError, match="0 or more"):
        Simulation().history(FIRST, END, -1)


# Sent to Kafka.


def test_channels_are_made_once_and_say_that_it_is_made_up(channels: Channels) -> None:
    simulation = Simulation(channels=2)
    simulation.create_channels(channels)
    simulation.create_channels(channels)
    assert {"general", "sim-kitchen", "sim-kafka"} == set(channels.find())


def test_a_room_sees_it_as_it_comes(
    settings: Settings, producer: ChatProducer, room_factory: Callable[..., ChatRoom]
) -> None:
    room = room_factory()
    room.join("general").result(10)
    items = list(islice(Simulation(channels=("general",)).live(now_ms(), rate=20), 20))
    sending = Sending(producer)
    play(items, sending)
    assert now_ms() >= moment(items[-1])  # not before its time
    assert sending.sent["general"] == 20
    bodies = [m.body for m in said(items)]
    wait_until(lambda: texts(room) == bodies)


def test_it_stops_when_told(producer: ChatProducer) -> None:
    simulation = Simulation(channels=("general",))
    stop, sending = threading.Event(), Sending(producer)
    thread = threading.Thread(
        target=play, args=(simulation.live(now_ms(), 50), sending), kwargs={"stop": stop}
    )
    thread.start()
    try:
        wait_until(lambda: sending.sent["general"] > 5)
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    assert not sending.failed


def test_without_a_broker_it_says_so(settings: Settings) -> None:
    away = settings.replace(bootstrap_servers="127.0.0.1:9", kafka_timeout=1, delivery_timeout=2)
    with Channels(away) as channels, pytest.raises(BrokerUnavailableError):
        Simulation().create_channels(channels)
    with ChatProducer(away) as producer, pytest.raises(ServiceError, match="has stopped"):
        play(Simulation().live(now_ms(), 5), Sending(producer))


# The command.


def records(channels: Channels, channel: str) -> int:
    return sum(one.end for one in channels.offsets(channels.describe(channel)).values())


def test_the_command_sends_so_many_messages(settings: Settings, channels: Channels) -> None:
    env = environment(settings)
    arguments = ["simulate", "--rate", "200", "--messages", "100", "--channels", "3", "--seed", "7"]
    found = json.loads(chatkit(*arguments, "--json", env=env).stdout)
    assert found["ok"] is True
    assert found["failed"] == 0
    assert found["sent"] >= 100
    ends = {name: records(channels, name) for name in found["channels"]}
    assert ends == found["channels"]
    assert len(ends) == 3


def test_the_command_ends_after_a_time(settings: Settings) -> None:
    env = environment(settings)
    begin = time.monotonic()
    text = chatkit(
        "simulate", "--rate", "50", "--duration", "1s", "--channel", "sim-one", env=env
    ).stdout
    assert time.monotonic() - begin < 30
    count = int(re.fullmatch(r"Done: (\d+) messages, .* of 12 people in 1 channel\.\n", text)[1])  # type: ignore[index]
    assert 20 < count < 100


def test_ctrl_c_ends_the_command_cleanly(settings: Settings, channels: Channels) -> None:
    with running(
        "simulate", "--rate", "50", "--channel", "general", env=environment(settings)
    ) as command:
        command.line_with("Ctrl-C")
        wait_until(lambda: records(channels, "general") > 5, 30)
        assert command.end(signal.SIGINT) == 0
        assert command.lines[-1].startswith("Stopped: ")
        assert "Traceback" not in command.text


def test_days_gone_by_are_archived_at_their_time_and_sent_once(
    settings: Settings, store: MessageStore, archiver_factory: Callable[..., Archiver]
) -> None:
    env = environment(settings)
    first = (datetime.now(UTC) - timedelta(days=10)).date()
    arguments = ["simulate", "--messages", "300", "--json", "--since"]
    found = json.loads(chatkit(*arguments, "10d", env=env).stdout)
    archiver_factory()
    wait_until(lambda: sum(store.counts().values()) == 300, 30)
    placed = [one["placed_at"] for one in store.messages.find({}, {"placed_at": 1})]
    assert min(placed).date() == first
    assert max(placed).date() < datetime.now(UTC).date()
    wait_until(
        lambda: (
            json.loads(chatkit(*arguments, str(first), env=env).stdout)["already"] == found["sent"]
        ),
        30,
    )
    assert sum(store.counts().values()) == 300


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--since", "soon"), "write 2026-09-01, or 30d"),
        (("--since", "2999-01-01"), "begin earlier"),
        (("--since", "0d"), "begin earlier"),
        (("--since", "99999d"), "too long ago"),
        (("--since", "30d", "--duration", "1m"), "leave out --rate and --duration"),
        (("--duration", "a while"), "write 90s, 10m or 2h"),
        (("--rate", "0"), "above 0"),
        (("--people", "1"), "3-10,000 people"),
        (("--channel", "No Such"), "can't be a channel's name"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(arguments: tuple[str, ...], text: str) -> None:
    done = chatkit("simulate", *arguments, env=AWAY, code=1)
    assert re.search(text, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
