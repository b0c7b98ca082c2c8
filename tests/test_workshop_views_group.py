"""Group, cluster and score as views: what they say and show, on real Kafka and in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient

from chatkit.settings import Settings
from chatkit.workshop.member import Member
from chatkit.workshop.scoreboard import Scoreboard
from chatkit.workshop.sender import Sender
from chatkit.workshop.views import ClusterView, GroupView, ScoreView
from chatkit.workshop.views.cluster import _changes, _Replicas
from chatkit.workshop.views.ownership import ENDINGS, STATES, Span, Track, find_pauses
from tests.browser import Lab, NotebookPage
from tests.waiting import wait_until


class Event(msgspec.Struct, frozen=True):
    at_ms: int
    kind: str
    partitions: frozenset[tuple[str, int]] = frozenset()


A, B = ("orders", 0), ("orders", 1)
BOTH = frozenset({A, B})


def track(*events: Event, name: str = "ana") -> list[Span]:
    one = Track(name)
    one.take(events)
    return one.spans


# Ownership, pure.


def test_a_partition_is_owned_from_its_assignment_to_its_revocation() -> None:
    spans = track(Event(10, "assigned", BOTH), Event(30, "revoked", frozenset({B})))
    assert spans == [Span(B, "ana", "reading", 10, 30), Span(A, "ana", "reading", 10, None)]


def test_one_that_crashed_owns_nothing() -> None:
    spans = track(Event(10, "assigned", BOTH), Event(30, "crashed", BOTH))
    assert {span.end for span in spans} == {30}


def test_one_that_waits_or_pauses_owns_but_does_not_read() -> None:
    spans = track(
        Event(10, "assigned", frozenset({A})),
        Event(20, "rebalancing"),
        Event(50, "joined"),
        Event(60, "paused"),
    )
    assert [(span.state, span.begin, span.end) for span in spans] == [
        ("reading", 10, 20),
        ("waiting", 20, 50),
        ("reading", 50, 60),
        ("paused", 60, None),
    ]
    assert find_pauses(spans, 75) == {A: [(20, 50), (60, 75)]}


def test_a_pause_goes_on_until_another_reads() -> None:
    left = track(Event(10, "assigned", frozenset({A})), Event(20, "crashed"))
    took = track(Event(90, "assigned", frozenset({A})), name="ben")
    assert find_pauses([*left, *took], 100) == {A: [(20, 90)]}


def test_there_is_no_pause_while_two_read() -> None:
    spans = [Span(A, "ana", "reading", 10, 50), Span(A, "ben", "reading", 20, 30)]
    assert find_pauses(spans, 50) == {A: []}


kinds = st.sampled_from([*STATES, *sorted(ENDINGS), "assigned", "revoked", "lost", "commit"])
histories = st.lists(
    st.builds(Event, st.integers(0, 1000), kinds, st.frozensets(st.sampled_from([A, B]))),
    max_size=12,
).map(lambda events: sorted(events, key=lambda event: event.at_ms))


@given(histories, st.integers(0, 12))
def test_a_member_owns_a_partition_once_at_a_time_however_the_events_come(
    events: list[Event], cut: int
) -> None:
    at_once = track(*events)
    one = Track("ana")
    one.take(events[:cut])
    one.take(events)
    assert one.spans == at_once
    for part in BOTH:
        times = sorted((s.begin, s.end or 2000) for s in at_once if s.part == part)
        assert all(a[1] <= b[0] for a, b in pairwise(times))


def test_what_changed_in_a_partition_is_told() -> None:
    before = _Replicas("orders", 0, 1, [1, 2, 3], [1, 2, 3])
    after = _Replicas("orders", 0, 2, [1, 2, 3], [2, 3])
    assert _changes(before, after) == ["orders 0: leader 1 → 2", "orders 0: 1 out of sync"]
    assert _changes(after, before) == ["orders 0: leader 2 → 1", "orders 0: 1 in sync again"]
    assert _changes(after, after) == []


# On Kafka.


@pytest.fixture
def topic(settings: Settings) -> str:
    name = f"{settings.topic_prefix}orders"
    with KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers) as admin:
        admin.create_topics({name: {"num_partitions": 3, "replication_factor": 1}})
    return name


@pytest.fixture
def member(settings: Settings, topic: str) -> Iterator[Callable[[str], Member]]:
    members: list[Member] = []

    def make(name: str) -> Member:
        members.append(Member(settings, f"{settings.topic_prefix}readers", topic, name=name))
        return members[-1]

    yield make
    for one in members:
        one.stop()


def test_the_group_shows_who_owns_what_and_what_moved(
    topic: str, member: Callable[[str], Member]
) -> None:
    members = [member("ana").start()]
    with GroupView(members) as view:
        assert list(view.refresh().frame["owner"]) == ["ana"] * 3
        members.append(member("ben").start())
        Member.wait_until_stable(members)
        frame = view.refresh().frame
        for one in members:
            owned = frame[frame["owner"] == one.name]
            assert {(topic, n) for n in owned["partition"]} == one.assignment
        assert list(frame["previous"][frame["owner"] == "ben"]) == ["ana"]
        assert str(frame["since"].dtype) == "datetime64[ms, UTC]"
        assert "ben (stable) owns" in view.text
        history = view.history
        assert set(history["member"]) == {"ana", "ben"}
        assert history["end"].isna().sum() == 3
        members[1].crash()
        assert "ben (crashed) owns nothing" in view.refresh().text
        assert "nobody owns" in view.text
        wait_until(lambda: list(view.refresh().frame["owner"]) == ["ana"] * 3, 15)
        assert view.frame["unread_seconds"].max() > 3, "the group waited for the one that crashed"


def test_a_group_without_members_says_so() -> None:
    with GroupView([], beside=[]) as view:
        assert "There are no members yet." in view.refresh().text
        assert view.frame.empty
        assert view.history.empty
        assert view.problem == ""


def test_the_cluster_shows_leaders_and_replicas(settings: Settings, topic: str) -> None:
    with ClusterView(settings, prefix=topic) as view:
        wait_until(lambda: list(view.refresh().frame["leader"]) == [1, 1, 1])
        assert list(view.frame["isr"]) == [[1], [1], [1]]
        assert set(view.frame["source"]) == {"KafkaAdminClient.describe_topics"}
        assert f"{topic} 0: leader 1, in sync 1." in view.text


def test_without_kafka_the_cluster_says_so() -> None:
    with ClusterView(Settings(bootstrap_servers="127.0.0.1:9")) as view:
        assert "127.0.0.1:9" in view.refresh().problem
        assert view.frame.empty


def test_the_score_is_that_of_the_scoreboard(
    settings: Settings, topic: str, member: Callable[[str], Member]
) -> None:
    ana = member("ana").start()
    with Sender(settings, topic, name="cleo") as sender:
        board = Scoreboard(senders=[sender], members=[ana])
        with ScoreView(board) as view:
            sender.send(20)
            board.wait_until_seen()
            view.refresh()
            assert view.content["total"]["sent"] == view.content["total"]["seen"] == 20
            assert view.text == f"{board}."
            assert view.frame["seen"].sum() == 20


# In the browser.

SETUP = """
import time
from types import SimpleNamespace
from chatkit.workshop.notes import GroupEvent
from chatkit.workshop.views import GroupView
def happen(one, kind, *parts, back=0):
    part = frozenset(("orders", n) for n in parts)
    one.history.append(GroupEvent(int(time.time() * 1000) - back, kind, part, 1))
def make(name):
    return SimpleNamespace(name=name, group="readers", assignor="range", state="stable", history=[])
ana, ben = make("ana"), make("<b>ben</b>")
happen(ana, "assigned", 0, 1, back=30000)
"""


def test_a_beginner_sees_who_owns_what_and_what_moved(lab: Lab) -> None:
    lab.write_notebook("group.ipynb", [SETUP, "view = GroupView([ana, ben])\nview"])
    page: NotebookPage = lab.open_notebook("group.ipynb")
    page.run_all()
    view = page.page.locator(".chatkit-view")
    view.locator(".cell.owned").nth(1).wait_for()
    assert view.locator(".cell.owned").all_inner_texts() == ["ana", "ana"]
    assert view.locator(".moved").count() == 0
    page.evaluate("(happen(ana, 'revoked', 1), happen(ben, 'assigned', 1))")
    view.locator(".cell.owned.moved", has_text="<b>ben</b>").wait_for()
    view.locator(".news", has_text="ana → <b>ben</b>").wait_for()
    assert view.locator(".cell.was").all_inner_texts() == ["was here"]
    colours = [
        view.locator(".cell.owned").nth(n).evaluate("(e) => getComputedStyle(e).borderColor")
        for n in range(2)
    ]
    assert colours[0] != colours[1]
    page.page.get_by_role("img", name="ana (stable) owns 0; <b>ben</b> (stable) owns 1").wait_for()
    page.evaluate("view.close()")
    assert page.errors == []
    page.close()
