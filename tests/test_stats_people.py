"""Statistics of who does what when, beside the plainest way of counting them."""

from __future__ import annotations

import collections
import itertools
import math
import statistics
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit import stats
from chatkit.errors import InputError
from tests.test_stats import NOTHING, SMALL, at, frame_of

ZONE = "Europe/Vienna"
NAMES = ["ana", "ben", "cleo"]
FIRST = at("2026-03-27 20:00")  # soon clocks go forward


@st.composite
def histories(draw: st.DrawFn) -> pd.DataFrame:
    """Return messages in any order, some at the same time, some that answer others."""
    count = draw(st.integers(0, 25))
    rows = []
    for number in range(count):
        minutes = draw(st.one_of(st.integers(0, 90), st.integers(0, 60 * 24 * 40)))
        answered = draw(st.one_of(st.none(), st.integers(0, count)))  # the last is not there
        more = [] if answered is None or answered == number else [f"to:id{answered}"]
        more += draw(st.lists(st.sampled_from(["bot", "edited", "deleted"]), unique=True))
        channel = draw(st.sampled_from(["general", "tools"]))
        when = FIRST + pd.Timedelta(minutes=minutes)
        rows.append((channel, draw(st.sampled_from(NAMES)), when, *more))
    return frame_of(*rows)


def in_order(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.to_dict("records")
    return sorted(rows, key=lambda row: (row["placed_at"], row["offset"]))


def by_channel(frame: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in in_order(frame):
        found.setdefault(row["channel"], []).append(row)
    return found


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_dict("records")
    return found


EXAMPLES = settings(max_examples=120, deadline=None)


# Conversations.


def plainly_parted(frame: pd.DataFrame, minutes: float) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    for rows in by_channel(frame).values():
        last = None
        for row in rows:
            if last is None or row["placed_at"] - last > pd.Timedelta(minutes=minutes):
                found.append([])
            found[-1].append(row)
            last = row["placed_at"]
    return sorted(found, key=lambda talk: (talk[0]["placed_at"], talk[0]["channel"]))


@EXAMPLES
@given(histories(), st.sampled_from([1, 30, 600]))
def test_conversations_end_with_a_long_silence(frame: pd.DataFrame, minutes: float) -> None:
    talks = plainly_parted(frame, minutes)
    assert records(stats.conversations(frame, gap_minutes=minutes)) == [
        {
            "channel": talk[0]["channel"],
            "first_id": talk[0]["id"],
            "started_by": talk[0]["author"],
            "first_at": talk[0]["placed_at"],
            "last_at": talk[-1]["placed_at"],
            "seconds": (talk[-1]["placed_at"] - talk[0]["placed_at"]).total_seconds(),
            "messages": len(talk),
            "authors": len({row["author"] for row in talk}),
            "by_bots": sum(row["bot"] for row in talk),
        }
        for talk in talks
    ]


@EXAMPLES
@given(histories())
def test_who_begins_is_told_with_what_they_joined(frame: pd.DataFrame) -> None:
    talks = plainly_parted(frame, 30)
    started = collections.Counter(talk[0]["author"] for talk in talks)
    joined = collections.Counter(name for talk in talks for name in {row["author"] for row in talk})
    expected = [
        {
            "author": name,
            "started": started[name],
            "joined": joined[name],
            "share": started[name] / len(talks),
            "rate": started[name] / joined[name],
        }
        for name in sorted(joined, key=lambda name: (-started[name], name))
    ]
    assert records(stats.starters(frame)) == expected


@EXAMPLES
@given(histories())
def test_conversations_are_summed_up_for_each_channel(frame: pd.DataFrame) -> None:
    talks = plainly_parted(frame, 30)
    table = stats.conversation_summary(frame)
    assert table["channel"].tolist() == sorted({talk[0]["channel"] for talk in talks})
    for row in records(table):
        lengths = [len(talk) for talk in talks if talk[0]["channel"] == row["channel"]]
        assert row["conversations"] == len(lengths)
        assert row["median_messages"] == statistics.median(lengths)
        assert row["mean_messages"] == pytest.approx(statistics.mean(lengths))


def test_a_silence_of_the_gap_is_still_the_same_conversation() -> None:
    frame = frame_of(
        ("general", "ana", "2026-01-01 10:00"), ("general", "ben", "2026-01-01 10:30:00")
    )
    assert stats.conversations(frame)["messages"].tolist() == [2]
    assert stats.conversations(frame, gap_minutes=29.9)["messages"].tolist() == [1, 1]


@pytest.mark.parametrize("gap", [0, -1, math.nan])
@pytest.mark.parametrize("count", [stats.conversations, stats.responses, stats.response_times])
def test_a_gap_is_positive(count: Any, gap: float) -> None:
    with pytest.raises(InputError, match="gap_minutes must be over 0"):
        count(SMALL, gap_minutes=gap)


# Responses.


def plainly_answered(frame: pd.DataFrame, minutes: float) -> list[dict[str, Any]]:
    every = {row["id"]: row for row in in_order(frame)}
    found = []
    before: dict[str, Any] = {}
    for row in in_order(frame):
        last = before.get(row["channel"])
        if isinstance(row["reply_to"], str):
            target, rule = every.get(row["reply_to"]), "reply"
        elif last and row["placed_at"] - last["placed_at"] <= pd.Timedelta(minutes=minutes):
            target, rule = last, "gap"
        else:
            target, rule = None, ""
        before[row["channel"]] = row
        if not target or target["author"] == row["author"]:
            continue
        taken = (row["placed_at"] - target["placed_at"]).total_seconds()
        if taken >= 0:
            found.append(
                {
                    "channel": row["channel"],
                    "author": row["author"],
                    "answered": target["author"],
                    "placed_at": row["placed_at"],
                    "seconds": taken,
                    "rule": rule,
                }
            )
    return found


@EXAMPLES
@given(histories(), st.sampled_from([1, 30, 600]))
def test_answers_are_replies_or_come_soon_after_somebody_else(
    frame: pd.DataFrame, minutes: float
) -> None:
    expected = plainly_answered(frame, minutes)
    assert records(stats.responses(frame, gap_minutes=minutes)) == expected


@EXAMPLES
@given(histories(), st.sampled_from(["author", "channel"]))
def test_response_times_are_those_of_the_answers(frame: pd.DataFrame, by: str) -> None:
    answers = stats.responses(frame)
    table = stats.response_times(frame, by=by)
    seconds = answers.groupby(by)["seconds"]
    expected = pd.DataFrame(
        {
            "responses": seconds.size(),
            "by_reply": (answers["rule"] == "reply").groupby(answers[by]).sum(),
            "by_gap": (answers["rule"] == "gap").groupby(answers[by]).sum(),
            "quarter_seconds": seconds.quantile(0.25),
            "median_seconds": seconds.median(),
            "three_quarters_seconds": seconds.quantile(0.75),
            "nine_tenths_seconds": seconds.quantile(0.9),
        }
    )
    expected = expected.sort_values("responses", ascending=False, kind="stable").reset_index()
    pd.testing.assert_frame_equal(table, expected, check_dtype=not expected.empty)


def test_which_rule_told_an_answer_is_said() -> None:
    frame = frame_of(
        ("general", "ana", "2026-01-01 10:00"),
        ("general", "ben", "2026-01-01 10:01"),
        ("general", "ben", "2026-01-02 10:00", "to:id0"),
        ("general", "cleo", "2026-01-02 10:01", "to:gone"),
    )
    table = stats.responses(frame)
    assert table["rule"].tolist() == ["gap", "reply"]
    assert table["seconds"].tolist() == [60, 86_400]
    (found,) = records(stats.response_times(frame, by=None))
    assert (found["responses"], found["by_reply"], found["by_gap"]) == (2, 1, 1)
    assert math.isnan(stats.response_times(NOTHING, by=None)["median_seconds"][0])


# Active authors, retention, streaks.


def plain_periods(frame: pd.DataFrame, letter: str) -> list[tuple[str, pd.Period]]:
    local = frame["placed_at"].dt.tz_convert(ZONE).dt.tz_localize(None)
    return list(zip(frame["author"], local.dt.to_period(letter), strict=True))


PERIODS = pytest.mark.parametrize(
    ("period", "letter"), [("day", "D"), ("week", "W-SUN"), ("month", "M")]
)


@PERIODS
@settings(max_examples=60, deadline=None)
@given(frame=histories())
def test_authors_are_new_once_and_return(frame: pd.DataFrame, period: str, letter: str) -> None:
    there = plain_periods(frame, letter)
    expected = []
    if there:
        first, last = min(at for _, at in there), max(at for _, at in there)
        seen: set[str] = set()
        before: set[str] = set()
        for now in pd.period_range(first, last, freq=letter):
            active = {name for name, at in there if at == now}
            expected.append(
                {
                    "period": now.start_time,
                    "authors": len(active),
                    "new": len(active - seen),
                    "returning": len(active & seen),
                    "gone": len(before - active),
                }
            )
            seen |= active
            before = active
    assert records(stats.active_authors(frame, period, zone=ZONE)) == expected


@PERIODS
@settings(max_examples=60, deadline=None)
@given(frame=histories())
def test_cohorts_are_followed_to_the_end(frame: pd.DataFrame, period: str, letter: str) -> None:
    there = set(plain_periods(frame, letter))
    expected = []
    began = {name: min(at for who, at in there if who == name) for name, _ in there}
    for cohort in sorted(set(began.values())):
        names = [name for name in began if began[name] == cohort]
        last = max(at for _, at in there)
        for age, now in enumerate(pd.period_range(cohort, last, freq=letter)):
            active = sum((name, now) in there for name in names)
            expected.append(
                {
                    "cohort": cohort.start_time,
                    "age": age,
                    "began": len(names),
                    "active": active,
                    "share": active / len(names),
                }
            )
    assert records(stats.retention(frame, period, zone=ZONE)) == expected


@EXAMPLES
@given(histories())
def test_streaks_are_days_in_a_row(frame: pd.DataFrame) -> None:
    there = set(plain_periods(frame, "D"))
    last = max((day for _, day in there), default=None)
    expected = []
    for name in sorted({name for name, _ in there}):
        days = sorted(day.ordinal for who, day in there if who == name)
        runs = [
            [day for _, day in run]
            for _, run in itertools.groupby(enumerate(days), lambda pair: pair[1] - pair[0])
        ]
        longest = max(runs, key=len)
        assert last is not None
        expected.append(
            {
                "author": name,
                "days": len(days),
                "longest": len(longest),
                "first_day": pd.Period(ordinal=longest[0], freq="D").start_time,
                "last_day": pd.Period(ordinal=longest[-1], freq="D").start_time,
                "current": len(runs[-1]) if runs[-1][-1] == last.ordinal else 0,
            }
        )
    expected.sort(key=lambda row: -row["longest"])
    assert records(stats.streaks(frame, zone=ZONE)) == expected


def test_a_day_of_23_hours_breaks_no_streak() -> None:
    frame = frame_of(*(("general", "ana", f"2026-03-{day} 21:30") for day in (27, 28, 29)))
    assert stats.streaks(frame, zone=ZONE)["longest"].tolist() == [3]
    assert stats.streaks(frame, zone=ZONE)["first_day"].tolist() == [at("2026-03-27")]


def test_one_far_off_date_is_no_reason_to_make_millions_of_cohorts() -> None:
    frame = frame_of(
        ("a", "ana", "0001-01-01"), ("a", "ben", "0002-01-01"), ("a", "ana", "9000-01-01")
    )
    for count in (stats.active_authors, stats.retention):
        with pytest.raises(InputError, match="are too many rows"):
            count(frame, "hour")


# Who talks with whom.


def test_edges_are_replies_names_and_addresses() -> None:
    frame = frame_of(
        ("general", "ana", "2026-01-01 10:00", "text:ben: do you know @cleo?"),
        ("general", "ben", "2026-01-01 10:01", "text:@ana yes, @ana", "to:id0"),
        ("general", "cleo", "2026-01-01 10:02", "text:@cleo: and @nobody, a@ana.example", "to:x"),
        ("tools", "ben", "2026-01-01 10:03", "text:ana, look: here", "to:id1"),
    )
    table = stats.edges(frame)
    assert records(table) == [
        {"author": "ben", "to": "ana", "messages": 2, "replies": 1, "mentions": 1, "addressed": 1},
        {"author": "ana", "to": "ben", "messages": 1, "replies": 0, "mentions": 0, "addressed": 1},
        {"author": "ana", "to": "cleo", "messages": 1, "replies": 0, "mentions": 1, "addressed": 0},
    ]
    channels = stats.edges(frame, by="channel")
    assert channels[["channel", "author", "to"]].values.tolist() == [
        ["general", "ana", "ben"],
        ["general", "ana", "cleo"],
        ["general", "ben", "ana"],
        ["tools", "ben", "ana"],
    ]
    for edges in (table, channels):
        graph = stats.to_graph(edges)
        assert set(graph.nodes) == {"ana", "ben", "cleo"}
        assert graph["ben"]["ana"] == {"weight": 2, "replies": 1, "mentions": 1, "addressed": 1}
        assert graph.number_of_edges() == 3


@EXAMPLES
@given(histories())
def test_each_reply_to_somebody_else_is_an_edge(frame: pd.DataFrame) -> None:
    every = {row["id"]: row for row in records(frame)}
    expected: collections.Counter[tuple[str, str]] = collections.Counter()
    for row in every.values():
        target = every.get(row["reply_to"])
        if target and target["author"] != row["author"]:
            expected[row["author"], target["author"]] += 1
    found = {(row["author"], row["to"]): row["messages"] for row in records(stats.edges(frame))}
    assert found == dict(expected)


def test_a_graph_is_of_edges() -> None:
    assert stats.to_graph(stats.edges(NOTHING)).number_of_nodes() == 0
    with pytest.raises(InputError, match="no column 'author'"):
        stats.to_graph(pd.DataFrame({"to": ["ana"]}))


# Balance.


@EXAMPLES
@given(histories())
def test_balance_is_what_the_formulas_say(frame: pd.DataFrame) -> None:
    for row in records(stats.balance(frame)):
        authors = [one["author"] for one in records(frame) if one["channel"] == row["channel"]]
        counts = sorted(collections.Counter(authors).values(), reverse=True)
        total, people = sum(counts), len(counts)
        apart = sum(abs(one - other) for one in counts for other in counts)
        entropy = -sum(count / total * math.log2(count / total) for count in counts)
        assert row["messages"] == total
        assert row["authors"] == people
        assert row["gini"] == pytest.approx(apart / (2 * people * total))
        assert row["entropy"] == pytest.approx(entropy)
        if people == 1:
            assert math.isnan(row["evenness"])
        else:
            assert row["evenness"] == pytest.approx(entropy / math.log2(people))
        top = min(name for name in authors if authors.count(name) == counts[0])
        assert (row["top_author"], row["top_share"]) == (top, counts[0] / total)
        few = next(n for n in range(1, people + 1) if 2 * sum(counts[:n]) >= total)
        assert row["half"] == few


def test_one_author_alone_and_nobody() -> None:
    table = stats.balance(frame_of(("general", "ana", "2026-01-01")), by=None)
    (found,) = records(table)
    assert (found["gini"], found["entropy"], found["half"]) == (0, 0, 1)
    (nobody,) = records(stats.balance(NOTHING, by=None))
    assert (nobody["messages"], nobody["authors"], nobody["half"]) == (0, 0, 0)
    assert math.isnan(nobody["gini"])
