"""Who is there: what to say and what was heard with a clock in hand, then on a real broker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from chatkit import presence as module
from chatkit.channels import Channels
from chatkit.connection import make_client
from chatkit.errors import ChannelNameError, InvalidMessageError, SettingsError
from chatkit.local import LocalStack
from chatkit.message import Beat, Message, decode_beat, encode
from chatkit.presence import GONE_SECONDS, LEFT_SECONDS, Person, Presence, Roster, Voice
from chatkit.producer import ChatProducer, Receipt
from chatkit.settings import Settings
from tests.secured import PASSWORD, SecuredKafka
from tests.waiting import wait_until


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def voice(clock: Clock) -> Voice:
    return Voice("ana", clock)


@pytest.fixture
def roster(clock: Clock) -> Roster:
    return Roster(clock)


def beat(user: str = "ana", state: Any = "here", instance: str = "1", typing: str = "") -> Beat:
    return Beat(user=user, instance=instance, state=state, typing=typing)


def shown(roster: Roster) -> dict[str, str]:
    """Return the state of each person, and where they are typing."""
    roster.expire()
    return {one.name: f"{one.state} {one.typing}".strip() for one in roster.people()}


# On the wire.


def test_a_beat_comes_back_as_it_was_written() -> None:
    for one in (beat(), beat("zoë", "away", "x" * 64, "general"), beat(state="left")):
        assert decode_beat(encode(one)) == one


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"type":"presence"}',
        encode(beat()).replace(b'"v":1', b'"v":2'),
        encode(beat()).replace(b'"v":1', b'"v":0'),
        encode(beat()).replace(b"presence", b"message"),
        encode(beat()).replace(b"here", b"there"),
        encode(beat()).replace(b'"typing":""', b'"typing":"$where"'),
        encode(beat()).replace(b'"typing":""', b'"typing":null'),
        encode(beat()).replace(b'"ana"', b'" ana"'),
        encode(beat()).replace(b'"ana"', b'"a\\nb"'),
        encode(beat()).replace(b'"ana"', b'"' + b"a" * 65 + b'"'),
        encode(beat()).replace(b'"ana"', b'"\\ud800"'),
        encode(beat()).replace(b'"1"', b'""'),
        encode(beat()).replace(b'"1"', b'"' + b"1" * 65 + b'"'),
        encode(Message.new("general", "ana", "hi")),
    ],
)
def test_what_is_no_beat_is_refused(value: bytes | None) -> None:
    with pytest.raises(InvalidMessageError):
        decode_beat(value)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(value: bytes) -> None:
    with pytest.raises(InvalidMessageError):
        decode_beat(value)


def test_no_beat_is_written_that_would_not_be_read() -> None:
    with pytest.raises(InvalidMessageError):
        encode(beat(user=""))
    with pytest.raises(ChannelNameError):
        encode(beat(typing="No Channel"))


@pytest.mark.parametrize("topic_prefix", ["chatkit.p", "chatkit.", "chatkit.presenc"])
def test_the_topic_is_never_taken_for_a_channel(topic_prefix: str) -> None:
    with pytest.raises(SettingsError, match="taken for a channel"):
        Settings(topic_prefix=topic_prefix, system_prefix="chatkit.")


# What to say.


def test_it_speaks_at_once_and_then_every_15_seconds(voice: Voice, clock: Clock) -> None:
    said = []
    for _ in range(46 * 8):
        if (one := voice.due()) is not None:
            said.append((clock.now, one.state, one.typing))
        clock.now += 0.125
    assert [at for at, *_ in said] == [1000.0, 1015.0, 1030.0, 1045.0]
    assert {(state, typing) for _, state, typing in said} == {("here", "")}


def test_being_away_is_said_at_once(voice: Voice) -> None:
    voice.due()
    voice.set_away(True)
    away = voice.due()
    assert away is not None
    assert away.state == "away"
    voice.set_away(True)
    assert voice.due() is None
    voice.set_away(False)
    back = voice.due()
    assert back is not None
    assert back.state == "here"


def test_typing_is_said_at_once_and_then_every_3_seconds(voice: Voice, clock: Clock) -> None:
    voice.due()
    said = []
    for _ in range(80):
        voice.typing("general")
        if (one := voice.due()) is not None:
            said.append((clock.now - 1000, one.typing))
        clock.now += 0.125
    assert said == [(0.0, "general"), (3.0, "general"), (6.0, "general"), (9.0, "general")]


def test_typing_ends_by_itself_without_another_word(voice: Voice, clock: Clock) -> None:
    voice.due()
    voice.typing("general")
    assert voice.due() is not None
    for _ in range(119):
        clock.now += 0.125
        assert voice.due() is None
    clock.now += 0.125
    later = voice.due()
    assert later is not None
    assert later.typing == ""


def test_that_typing_ended_is_said_once_and_at_once(voice: Voice, clock: Clock) -> None:
    voice.due()
    voice.typing("general")
    voice.due()
    clock.now += 0.5
    voice.typing(None)
    ended = voice.due()
    assert ended is not None
    assert ended.typing == ""
    assert voice.due() is None
    voice.typing("general")
    assert voice.due() is None, "a second record within 3 s"
    clock.now += 2.5
    again = voice.due()
    assert again is not None
    assert again.typing == "general"


def test_one_who_ceased_before_saying_so_says_nothing(voice: Voice) -> None:
    voice.due()
    voice.typing("general")
    voice.typing(None)
    assert voice.due() is None


def test_a_message_that_arrived_ends_typing_without_another_word(
    voice: Voice, clock: Clock
) -> None:
    voice.due()
    voice.typing("general")
    voice.due()
    voice.stopped_typing("other")
    clock.now += 1
    assert voice.due() is None
    voice.stopped_typing("general")
    clock.now += 4
    assert voice.due() is None
    voice.set_away(True)
    later = voice.due()
    assert later is not None
    assert later.typing == ""


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["general", "other", None, "arrived", "wait"]), st.floats(0.0, 2.0)
        ),
        max_size=60,
    )
)
def test_whatever_one_does_typing_is_said_every_3_seconds_at_most(
    steps: list[tuple[str | None, float]],
) -> None:
    clock = Clock()
    voice = Voice("ana", clock)
    voice.due()
    last, said = float("-inf"), 0
    for action, seconds in steps:
        if action == "arrived":
            voice.stopped_typing("general")
        elif action != "wait":
            voice.typing(action)
        one = voice.due()
        if one is not None:
            said += 1
            if one.typing:
                assert clock.now - last >= 3.0
                last = clock.now
        clock.now += seconds
    passed = clock.now - 1000
    assert said <= 2 * (passed / 3 + 1) + passed / 15


def test_the_farewell_says_nothing_of_typing(voice: Voice) -> None:
    first = voice.due()
    voice.typing("general")
    last = voice.farewell()
    assert first is not None
    assert (last.state, last.typing, last.instance) == ("left", "", first.instance)
    assert Voice("ana").farewell().instance != last.instance


# What was heard.


def test_people_come_go_away_and_leave(roster: Roster) -> None:
    assert roster.hear(beat("ben"), 0, 500)
    assert roster.hear(beat("ana", "away"), 1, 600)
    assert roster.people() == (Person("ana", "away", "", 600), Person("ben", "here", "", 500))
    assert not roster.hear(beat("ben"), 2, 700)
    assert roster.people()[1].seen_ms == 700
    assert roster.hear(beat("ben", "left"), 3, 800)
    assert shown(roster) == {"ana": "away", "ben": "left"}


def test_one_who_is_not_heard_of_is_gone_and_later_forgotten(roster: Roster, clock: Clock) -> None:
    roster.hear(beat(), 0, 0)
    clock.now += GONE_SECONDS - 0.1
    assert not roster.expire()
    clock.now += 0.1
    assert roster.expire()
    assert not roster.expire()
    assert shown(roster) == {"ana": "left"}
    clock.now += LEFT_SECONDS - GONE_SECONDS - 0.1
    assert shown(roster) == {"ana": "left"}
    clock.now += 0.1
    assert roster.expire()
    assert shown(roster) == {}
    assert roster.hear(beat(), 1, 9)
    assert shown(roster) == {"ana": "here"}


def test_one_is_here_while_any_chatkit_of_theirs_is(roster: Roster, clock: Clock) -> None:
    roster.hear(beat(instance="1"), 0, 0)
    assert not roster.hear(beat(instance="2", state="away"), 1, 0)
    assert shown(roster) == {"ana": "here"}
    assert roster.hear(beat(instance="1", state="left"), 2, 0)
    assert shown(roster) == {"ana": "away"}
    clock.now += 30
    roster.hear(beat(instance="3"), 3, 0)
    clock.now += 30
    assert shown(roster) == {"ana": "here"}
    assert roster.hear(beat(instance="3", state="left"), 4, 0)
    assert shown(roster) == {"ana": "left"}


def test_typing_ends_after_6_seconds(roster: Roster, clock: Clock) -> None:
    assert roster.hear(beat(typing="general"), 0, 0)
    clock.now += 5.9
    assert not roster.expire()
    assert shown(roster) == {"ana": "here general"}
    clock.now += 0.1
    assert roster.expire()
    assert shown(roster) == {"ana": "here"}


def test_typing_ends_with_the_message_even_if_its_beat_comes_later(
    roster: Roster, clock: Clock
) -> None:
    assert not roster.stopped_typing("ana", "general")
    roster.hear(beat(typing="general"), 0, 0)
    assert not roster.stopped_typing("ana", "other")
    assert roster.stopped_typing("ana", "general")
    assert shown(roster) == {"ana": "here"}
    assert not roster.hear(beat(typing="general"), 1, 0)
    assert roster.hear(beat(typing="other"), 2, 0)
    assert shown(roster) == {"ana": "here other"}
    clock.now += 1
    assert roster.hear(beat(typing="general"), 3, 0)
    assert shown(roster) == {"ana": "here general"}


def test_what_was_in_the_log_before_is_as_old_as_kafka_says(roster: Roster, clock: Clock) -> None:
    now = 5_000_000
    roster.reach(10, now)
    roster.hear(beat("long ago"), 5, now - 50_000)
    roster.hear(beat("ben"), 6, now - 40_000)
    roster.hear(beat("cleo", typing="general"), 7, now - 7_000)
    roster.hear(beat("ana"), 10, now)
    assert shown(roster) == {"ana": "here", "ben": "here", "cleo": "here", "long ago": "left"}
    clock.now += 5
    assert shown(roster) == {"ana": "here", "ben": "left", "cleo": "here", "long ago": "left"}


def test_clocks_need_not_agree(roster: Roster, clock: Clock) -> None:
    """Another broker leads the partition, and its clock goes elsewhere."""
    for offset, appended_ms in enumerate((5_000_000, 1_000, 9_000_000_000, 5_000)):
        clock.now += 10
        roster.hear(beat(f"user {offset}"), offset, appended_ms)
    assert set(shown(roster).values()) == {"here"}
    clock.now += GONE_SECONDS
    assert set(shown(roster).values()) == {"left"}


def test_a_new_log_begins_anew(roster: Roster, clock: Clock) -> None:
    roster.hear(beat("ana"), 1000, 9_000_000)
    clock.now += 600
    roster.restart()
    roster.hear(beat("ben"), 0, 9_600_000)
    assert shown(roster) == {"ben": "here"}


def test_as_many_as_come_only_some_are_kept(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PEOPLE", 3)
    for offset, name in enumerate(("ana", "ben", "cleo", "ana", "somebody", "anybody")):
        roster.hear(beat(name), offset, 0)
    assert shown(roster) == {"ana": "here", "anybody": "here", "somebody": "here"}
    for n in range(1000):
        roster.hear(beat(instance=str(n), state="away"), 10 + n, 0)
    assert len(roster._known["ana"].instances) == module.INSTANCES


names = st.sampled_from(["ana", "ben"])
channel_names = st.sampled_from(["", "general", "other"])
events = st.lists(
    st.one_of(
        st.tuples(
            st.just("beat"),
            names,
            st.sampled_from("12"),
            st.sampled_from(["here", "away", "left"]),
            channel_names,
        ),
        st.tuples(st.just("message"), names, st.sampled_from(["general", "other"])),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 3.0, 6.0, 20.0, 45.0, 300.0])),
    ),
    max_size=30,
)


class Told:
    """The same as a roster, by looking through all that ever happened."""

    def __init__(self) -> None:
        self.events: list[tuple[float, tuple[Any, ...]]] = []

    def people(self, now: float) -> dict[str, str]:
        found = {name: self._person(name, now) for name in ("ana", "ben")}
        return {name: text for name, text in found.items() if text is not None}

    def _person(self, name: str, now: float) -> str | None:
        mine = [(at, event) for at, event in self.events if event[1:2] == (name,)]
        beats = [(at, event) for at, event in mine if event[0] == "beat"]
        if not beats or beats[-1][0] + LEFT_SECONDS <= now:
            return None
        last = {event[2]: (at, event) for at, event in beats}
        live = [
            (at, event)
            for at, event in sorted(last.values(), key=lambda one: self.events.index(one))
            if event[3] != "left" and at + GONE_SECONDS > now
        ]
        if not live:
            return "left"
        state = "here" if any(event[3] == "here" for _, event in live) else "away"
        typing = [
            event[4]
            for at, event in live
            if event[4] and at + 6 > now and not self._arrived(mine, at, event)
        ]
        return f"{state} {typing[-1]}" if typing else state

    def _arrived(self, mine: list[Any], at: float, event: tuple[Any, ...]) -> bool:
        n = next(n for n, one in enumerate(mine) if one[1] is event)
        after = [one for _, one in mine[n + 1 :] if one[0] == "message"]
        if any(one[2] == event[4] for one in after):
            return True
        heard, last = float("-inf"), None  # nobody notes messages of one who is not known
        for when, one in mine[:n]:
            if one[0] == "beat":
                heard = when
            elif heard + LEFT_SECONDS > when:
                last = (when, one)
        return last is not None and last[1][2] == event[4] and at < last[0] + 1


@given(events)
def test_a_roster_says_what_all_that_happened_says(steps: list[tuple[Any, ...]]) -> None:
    clock, told = Clock(), Told()
    roster = Roster(clock)
    for offset, step in enumerate(steps):
        before = shown(roster)
        if step[0] == "wait":
            clock.now += step[1]
            changed = roster.expire()
        elif step[0] == "message":
            told.events.append((clock.now, (*step, offset)))
            changed = roster.stopped_typing(step[1], step[2])
        else:
            told.events.append((clock.now, (*step, offset)))
            _, user, instance, state, typing = step
            changed = roster.hear(beat(user, state, instance, typing), offset, 1 + offset)
        after = {one.name: f"{one.state} {one.typing}".strip() for one in roster.people()}
        assert after == told.people(clock.now)
        assert changed == (after != before)
        assert all(one.seen_ms > 0 for one in roster.people())


# On a real broker.


class Watch:
    """One Presence, what it sends and what it was told."""

    def __init__(self, settings: Settings, user: str, producer: ChatProducer) -> None:
        self.shift = 0.0
        self.sent: list[tuple[Beat, Future[Receipt]]] = []
        self.changes = 0
        self._producer = producer
        self.presence = Presence(
            settings, user=user, send=self._send, on_change=self._note, clock=self._clock
        )

    def _clock(self) -> float:
        return time.monotonic() + self.shift

    def _send(self, one: Beat) -> Future[Receipt]:
        assert all(receipt.done() for _, receipt in self.sent), "a second one is under way"
        self.sent.append((one, self._producer.send(one)))
        return self.sent[-1][1]

    def _note(self) -> None:
        self.changes += 1

    @property
    def people(self) -> dict[str, str]:
        people = self.presence.people()
        assert [one.name for one in people] == sorted(one.name for one in people)
        return {one.name: f"{one.state} {one.typing}".strip() for one in people}

    def sees(self, timeout: float = 10.0, **people: str) -> None:
        wait_until(lambda: self.people == people, timeout)


@pytest.fixture
def watch(settings: Settings) -> Iterator[Callable[..., Watch]]:
    """Make presences that are open, and closed after the test."""
    made: list[Watch] = []
    producers: list[ChatProducer] = []

    def make(user: str = "ana", other: Settings | None = None) -> Watch:
        producers.append(ChatProducer(other or settings))
        made.append(Watch(other or settings, user, producers[-1]))
        made[-1].presence.open()
        return made[-1]

    yield make
    for one in made:
        one.presence.close()
    for producer in producers:
        producer.close(1.0)


def test_one_who_comes_sees_at_once_who_is_there(watch: Callable[..., Watch]) -> None:
    ana = watch("ana")
    ana.sees(ana="here")
    ana.presence.set_away(True)
    ana.sees(ana="away")

    ben = watch("ben")

    ben.sees(5, ana="away", ben="here")
    ana.sees(5, ana="away", ben="here")
    assert [one.state for one, _ in ana.sent] == ["here", "away"], "ben had to wait for a beat"
    wait_until(lambda: ana.changes >= 3 and ben.changes >= 1)


def test_one_who_closes_has_left(watch: Callable[..., Watch]) -> None:
    ana, ben = watch("ana"), watch("ben")
    ana.sees(ana="here", ben="here")

    began = time.monotonic()
    ben.presence.close()
    ben.presence.close()
    assert time.monotonic() - began < 1.5

    ana.sees(ana="here", ben="left")
    assert [one.state for one, _ in ben.sent].count("left") == 1
    with pytest.raises(RuntimeError):
        ben.presence.open()


def test_one_who_closes_one_of_two_is_still_there(watch: Callable[..., Watch]) -> None:
    first, second, ben = watch("ana"), watch("ana"), watch("ben")
    ben.sees(ana="here", ben="here")
    second.presence.set_away(True)
    wait_until(lambda: len(second.sent) == 2 and second.sent[1][1].done())

    first.presence.close()
    ben.sees(ana="away", ben="here")
    second.presence.close()
    ben.sees(ana="left", ben="here")


def test_typing_is_seen_until_the_message_comes(watch: Callable[..., Watch]) -> None:
    ana, ben = watch("ana"), watch("ben")
    ben.sees(ana="here", ben="here")
    ana.presence.typing("general")
    ben.sees(2, ana="here general", ben="here")

    before = ben.changes
    ben.presence.stopped_typing("ana", "general")
    assert ben.people == {"ana": "here", "ben": "here"}
    wait_until(lambda: ben.changes > before)


def test_typing_ends_when_one_says_so_and_by_itself(watch: Callable[..., Watch]) -> None:
    ana, ben = watch("ana"), watch("ben")
    ben.sees(ana="here", ben="here")
    ana.presence.typing("general")
    ben.sees(2, ana="here general", ben="here")
    ana.presence.typing(None)
    ben.sees(2, ana="here", ben="here")

    ana.shift += 3
    ana.presence.typing("other")
    ben.sees(2, ana="here other", ben="here")
    ben.shift += 6
    assert ben.people == {"ana": "here", "ben": "here"}
    with pytest.raises(ChannelNameError):
        ana.presence.typing("No Channel")


def test_one_goes_on_saying_that_one_is_there(watch: Callable[..., Watch]) -> None:
    ana, ben = watch("ana"), watch("ben")
    ben.sees(ana="here", ben="here")
    for _ in range(4):
        seen = {one.name: one.seen_ms for one in ben.presence.people()}
        ana.shift += 15
        ben.shift += 15
        wait_until(
            lambda seen=seen: all(one.seen_ms > seen[one.name] for one in ben.presence.people())
        )
        assert ben.people == {"ana": "here", "ben": "here"}
    ben.shift += 46
    ben.sees(ana="left", ben="here")


def test_what_is_no_beat_is_passed_over(watch: Callable[..., Watch], settings: Settings) -> None:
    ana = watch("ana")
    ana.sees(ana="here")
    raw = make_client(KafkaProducer, settings)
    for value in (None, b"", b"\xff", b"[" * 100_000, b"x" * 500_000, b'{"type":"presence","v":2}'):
        raw.send(settings.presence_topic, key=b"\xff", value=value).get(10)
    raw.send(settings.presence_topic, value=encode(beat("cleo"))).get(10)
    raw.close(timeout=5)
    ana.sees(ana="here", cleo="here")
    watch("ben").sees(ana="here", ben="here", cleo="here")
    ana.sees(ana="here", ben="here", cleo="here")


def test_the_topic_keeps_some_minutes_and_is_not_archived(
    watch: Callable[..., Watch], channels: Channels, settings: Settings
) -> None:
    watch("ana").sees(ana="here")
    admin = make_client(KafkaAdminClient, settings)
    asked = ConfigResource(ConfigResourceType.TOPIC, settings.presence_topic)
    config = admin.describe_configs([asked])["topic"][settings.presence_topic]
    (topic,) = admin.describe_topics([settings.presence_topic])
    admin.close()

    names = ("cleanup.policy", "retention.ms", "segment.ms", "message.timestamp.type")
    assert [config[name]["value"] for name in names] == [
        "delete",
        "600000",
        "600000",
        "LogAppendTime",
    ]
    assert len(topic["partitions"]) == 1
    assert set(channels.topic_ids()) == {settings.topic_of("general"), settings.channels_topic}
    assert list(channels.find()) == ["general"]


def test_with_kafka_away_nothing_waits_nothing_piles_up_and_later_all_goes_on(
    watch: Callable[..., Watch], local_stack: LocalStack
) -> None:
    ana, ben = watch("ana"), watch("ben")
    ana.sees(ana="here", ben="here")
    local_stack.kafka.pause()
    try:
        began = time.monotonic()
        ana.presence.set_away(True)
        ana.presence.typing("general")
        wait_until(lambda: ana.sent[-1][0].state == "away")
        sent = len(ana.sent)
        for _ in range(10):
            ana.shift += 20
            ana.presence.set_away(False)
            with pytest.raises(FutureTimeout):
                ana.sent[-1][1].result(0.05)
        assert len(ana.sent) == sent
        assert ana.people == {"ana": "left", "ben": "left"}
        ben.presence.close()
        assert time.monotonic() - began < 5
    finally:
        local_stack.kafka.resume()
    ana.sees(20, ana="here", ben="left")
    watch("cleo")
    ana.sees(20, ana="here", ben="left", cleo="here")


def test_with_no_kafka_at_all_nobody_is_there(
    watch: Callable[..., Watch], settings: Settings
) -> None:
    began = time.monotonic()
    ana = watch("ana", settings.replace(bootstrap_servers="127.0.0.1:1"))
    ana.presence.typing("general")
    assert ana.people == {}
    ana.presence.close()
    assert time.monotonic() - began < 1.5
    assert ana.sent == []


def test_one_that_was_never_opened_closes(settings: Settings, producer: ChatProducer) -> None:
    never = Watch(settings, "ana", producer)
    never.presence.close()
    assert never.sent == []


def test_the_producer_may_be_closed_before(settings: Settings) -> None:
    with ChatProducer(settings) as producer:
        ana = Watch(settings, "ana", producer)
        ana.presence.open()
        ana.sees(ana="here")
    ana.shift += 20
    ana.presence.set_away(True)
    ana.presence.close()


def test_a_topic_that_was_deleted_is_made_again(
    watch: Callable[..., Watch], settings: Settings
) -> None:
    ana = watch("ana")
    ana.sees(ana="here")
    admin = make_client(KafkaAdminClient, settings)
    admin.delete_topics([settings.presence_topic])
    admin.close()

    ana.presence.set_away(True)

    ana.sees(30, ana="away")
    watch("ben").sees(ana="away", ben="here")


def test_an_observer_that_fails_stops_nothing(
    settings: Settings, producer: ChatProducer, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()

    def fail() -> None:
        told.set()
        raise ValueError("an observer's own mistake")

    with Presence(settings, user="ana", send=producer.send, on_change=fail) as ana:
        assert told.wait(10)
        told.clear()
        ana.set_away(True)
        assert told.wait(10)
    assert "an observer's own mistake" in caplog.text


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A Kafka in which not everybody may do everything."""
    kafka = SecuredKafka(tmp_path_factory.mktemp("secured"))
    yield kafka
    kafka.stop()


def test_who_may_not_is_told_once_and_chats_all_the_same(
    watch: Callable[..., Watch],
    secured: SecuredKafka,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REFUSED_SECONDS", 0.1)
    caplog.set_level(logging.INFO, "chatkit.presence")
    secured.add_topic("chat.general")
    secured.add_user("limited", [("topic", "chat.", "all")])
    settings = secured.settings("SCRAM", sasl_username="limited", sasl_password=PASSWORD)

    ana = watch("ana", settings)
    wait_until(lambda: "'chatkit.presence'" in caplog.text, 20)
    with ChatProducer(settings) as producer:
        for n in range(20):
            producer.send(Message.new("general", "ana", f"text {n}")).result(20)

    told = [record for record in caplog.records if record.name == "chatkit.presence"]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert ana.people == {}
    assert ana.sent == [], "a refused record would make the producer begin anew"

    secured.add_topic("chatkit.presence")
    secured.allow("limited", [("topic", "chatkit.presence", "all")])
    ana.sees(20, ana="here")


def test_who_may_only_read_is_told_too(
    watch: Callable[..., Watch], secured: SecuredKafka, caplog: pytest.LogCaptureFixture
) -> None:
    secured.add_topic("readers.presence")
    secured.add_user("reader", [("topic", "readers.", "read")])
    settings = secured.settings(
        "SCRAM", sasl_username="reader", sasl_password=PASSWORD, system_prefix="readers."
    )
    ana = watch("ana", settings)
    wait_until(lambda: "Write on topic 'readers.presence'" in caplog.text, 20)
    assert ana.people == {}
    assert ana.sent == []


def test_person_goes_to_a_front_end_as_it_is() -> None:
    person = Person("ana", "here", "general", 5)
    assert msgspec.to_builtins(person) == {
        "name": "ana",
        "state": "here",
        "typing": "general",
        "seen_ms": 5,
    }
