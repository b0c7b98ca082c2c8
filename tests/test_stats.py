"""Statistics of small frames, counted by hand."""

from __future__ import annotations

import inspect
import statistics
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit import stats
from chatkit.errors import InputError
from chatkit.history import MESSAGE_SCHEMA, load
from chatkit.stats import (
    calendar,
    per_author,
    per_channel,
    per_day,
    per_period,
    summary,
    weekday_hours,
)
from chatkit.store import MessageStore

DATES = ["sent_at", "placed_at", "archived_at", "edited_at", "deleted_at", "pinned_at"]
TEXTS = ["id", "channel", "author", "body", "reply_to", "source"]
ATTACHMENT = ["attachment_name", "attachment_type", "attachment_size"]


def frame_of(*rows: tuple[object, ...], zone: str = "UTC") -> pd.DataFrame:
    """Return a history of (channel, author, placed_at and, if so, what happened to it).

    Which may be "bot", "edited", "deleted", "to:id0" of a reply and "text:hello".
    """
    records = []
    for number, (channel, author, placed_at, *happened) in enumerate(rows):
        at = pd.Timestamp(str(placed_at), tz="UTC").tz_convert(zone)
        said = dict(str(one).split(":", 1) for one in happened if ":" in str(one))
        records.append(
            {
                "id": f"id{number}",
                "channel": channel,
                "author": author,
                "body": said.get("text", "text"),
                **dict.fromkeys(["sent_at", "placed_at", "archived_at"], at),
                "reply_to": said.get("to"),
                "bot": "bot" in happened,
                "source": "chat",
                "edited_at": at if "edited" in happened else None,
                "deleted_at": at if "deleted" in happened else None,
                "pinned_at": None,
                "reactions": 0,
                **dict.fromkeys(ATTACHMENT),
                "partition": 0,
                "offset": number,
                "rev": len(set(happened) & {"edited", "deleted"}),
            }
        )
    frame = pd.DataFrame(records, columns=MESSAGE_SCHEMA.names)
    return frame.astype(
        {
            **dict.fromkeys(DATES, f"datetime64[ms, {zone}]"),
            **dict.fromkeys([*TEXTS, "attachment_name", "attachment_type"], "str"),
            "attachment_size": "Int64",
            "bot": "bool",
            **dict.fromkeys(["reactions", "partition", "offset", "rev"], "int64"),
        }
    )


SMALL = frame_of(
    ("tools", "ana", "2026-01-01 10:00"),
    ("general", "ana", "2026-01-01 23:30", "edited"),
    ("general", "bo", "2026-01-03 00:10", "deleted"),
    ("general", "robot", "2026-01-03 12:00", "bot"),
)
NOTHING = SMALL.iloc[:0]
at = pd.Timestamp

CHANNEL_DTYPES = {
    "channel": "str",
    "messages": "int64",
    "share": "float64",
    "cumulative_share": "float64",
    "authors": "int64",
    "by_bots": "int64",
    "edited": "int64",
    "deleted": "int64",
    "first_at": "datetime64[ms, UTC]",
    "last_at": "datetime64[ms, UTC]",
}
AUTHOR_DTYPES = {
    {"channel": "author", "authors": "channels"}.get(name, name): dtype
    for name, dtype in CHANNEL_DTYPES.items()
}
DAY_DTYPES = {"day": "datetime64[ms]", "channel": "str", "messages": "int64"}


def dtypes(table: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in table.dtypes.items()}


def test_all_that_stats_has_is_said() -> None:
    assert stats.__all__ == sorted(stats.__all__)
    assert [name for name in stats.__all__ if not getattr(stats, name).__doc__] == []


def test_the_frames_of_these_tests_are_those_of_a_history(store: MessageStore) -> None:
    assert dtypes(SMALL) == dtypes(load(store))


# Per channel.


def test_per_channel_counts_what_was_written() -> None:
    table = per_channel(SMALL)
    expected = pd.DataFrame(
        {
            "channel": ["general", "tools"],
            "messages": [3, 1],
            "share": [0.75, 0.25],
            "cumulative_share": [0.75, 1.0],
            "authors": [3, 1],
            "by_bots": [1, 0],
            "edited": [1, 0],
            "deleted": [1, 0],
            "first_at": [at("2026-01-01 23:30", tz="UTC"), at("2026-01-01 10:00", tz="UTC")],
            "last_at": [at("2026-01-03 12:00", tz="UTC"), at("2026-01-01 10:00", tz="UTC")],
        }
    ).astype(CHANNEL_DTYPES)
    pd.testing.assert_frame_equal(table, expected)


def test_channels_that_are_equally_busy_come_by_name() -> None:
    frame = frame_of(*((channel, "ana", "2026-01-01") for channel in "cabab"))
    assert per_channel(frame)["channel"].tolist() == ["a", "b", "c"]


# Per author.


def test_per_author_counts_what_was_written() -> None:
    table = per_author(SMALL)
    assert table["author"].tolist() == ["ana", "bo", "robot"]
    assert table["messages"].tolist() == [2, 1, 1]
    assert table["share"].tolist() == [0.5, 0.25, 0.25]
    assert table["cumulative_share"].tolist() == [0.5, 0.75, 1]
    assert table["channels"].tolist() == [2, 1, 1]
    assert table["by_bots"].tolist() == [0, 0, 1]
    assert table["edited"].tolist() == [1, 0, 0]
    assert table["deleted"].tolist() == [0, 1, 0]
    assert dtypes(table) == AUTHOR_DTYPES


def test_a_missing_author_counts_as_one_too() -> None:
    frame = SMALL.copy()
    frame.loc[0, "author"] = None
    table = per_author(frame)
    assert table["messages"].sum() == 4
    assert table["author"].isna().sum() == 1


# Per day.


def test_per_day_has_a_row_for_each_channel_and_day_also_for_silent_ones() -> None:
    table = per_day(SMALL)
    expected = pd.DataFrame(
        [
            ("2026-01-01", "general", 1),
            ("2026-01-01", "tools", 1),
            ("2026-01-02", "general", 0),
            ("2026-01-02", "tools", 0),
            ("2026-01-03", "general", 2),
            ("2026-01-03", "tools", 0),
        ],
        columns=["day", "channel", "messages"],
    ).astype(DAY_DTYPES)
    pd.testing.assert_frame_equal(table, expected)


def test_days_end_at_midnight_in_the_zone() -> None:
    vienna = per_day(SMALL, zone="Europe/Vienna").query("messages > 0")
    assert vienna[["day", "channel", "messages"]].values.tolist() == [
        [at("2026-01-01"), "tools", 1],
        [at("2026-01-02"), "general", 1],
        [at("2026-01-03"), "general", 2],
    ]
    # A frame that is in a zone means that one.
    local = frame_of(("general", "ana", "2026-01-01 23:30"), zone="Europe/Vienna")
    assert per_day(local)["day"].tolist() == [at("2026-01-02")]
    assert per_day(local, zone="UTC")["day"].tolist() == [at("2026-01-01")]


def test_days_of_23_and_25_hours_are_days() -> None:
    hours = pd.date_range(
        "2026-03-28", "2026-03-31", freq="h", tz="Europe/Vienna", inclusive="left"
    )
    frame = frame_of(
        *(("general", "ana", hour.tz_convert("UTC").tz_localize(None)) for hour in hours)
    )
    assert per_day(frame, zone="Europe/Vienna")["messages"].tolist() == [24, 23, 24]


def test_days_before_1970_are_days() -> None:
    frame = frame_of(("general", "ana", "1969-12-30 23:59"), ("general", "ana", "1970-01-01"))
    assert per_day(frame)["messages"].tolist() == [1, 0, 1]
    assert per_day(frame)["day"][0] == at("1969-12-30")


def test_one_far_off_date_is_no_reason_to_make_millions_of_rows() -> None:
    names = [f"c{number}" for number in range(10)]
    frame = frame_of(("c0", "ana", "0001-01-01"), *((name, "ana", "2026-01-01") for name in names))
    with pytest.raises(InputError, match="2026-01-01 times 10 channels"):
        per_day(frame)
    advised = frame[frame["placed_at"] > "2000-01-01"]
    assert per_day(advised)["messages"].tolist() == [1] * 10


def test_the_last_day_of_all_has_a_day_where_its_zone_can_say_it() -> None:
    frame = frame_of(("general", "ana", "9999-12-31 23:59:59.999"))
    assert per_day(frame)["day"].astype(str).tolist() == ["9999-12-31"]
    with pytest.raises(InputError, match="last day of year 9999"):
        per_day(frame, zone="Pacific/Auckland")


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InputError, match="no time zone 'Mars/Olympus'"):
        per_day(SMALL, zone="Mars/Olympus")


# Per period.


@pytest.mark.parametrize(
    ("period", "begins"),
    [
        ("hour", ["2026-05-31 23:00", "2026-06-01 00:00"]),
        ("day", ["2026-05-31", "2026-06-01"]),
        ("week", ["2026-05-25", "2026-06-01"]),
        ("month", ["2026-05-01", "2026-06-01"]),
        ("quarter", ["2026-04-01"]),
        ("year", ["2026-01-01"]),
    ],
)
def test_periods_begin_where_the_calendar_says(period: str, begins: list[str]) -> None:
    frame = frame_of(("general", "ana", "2026-05-31 23:59"), ("general", "ana", "2026-06-01"))
    table = per_period(frame, period)
    assert table["period"].tolist() == [at(text) for text in begins]
    assert table["messages"].sum() == 2
    assert dtypes(table) == {"period": "datetime64[ms]", "channel": "str", "messages": "int64"}


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("period", ["hour", "day", "week", "month", "quarter", "year"])
def test_periods_are_those_that_pandas_has(period: str, zone: str) -> None:
    frame = every_half_hour("2025-09-20", "2026-05-01")
    letter = {"hour": "h", "day": "D", "week": "W-SUN", "month": "M", "quarter": "Q", "year": "Y"}
    local = frame["placed_at"].dt.tz_convert(zone).dt.tz_localize(None)
    expected = local.dt.to_period(letter[period]).dt.start_time.value_counts().sort_index()
    table = per_period(frame, period, zone=zone, by=None)
    assert table["period"].tolist() == expected.index.tolist()
    assert table["messages"].tolist() == expected.tolist()


def every_half_hour(first: str, last: str) -> pd.DataFrame:
    times = pd.date_range(first, last, freq="30min", inclusive="left")
    return frame_of(*(("general", "ana", time) for time in times))


def test_an_hour_that_clocks_skip_has_no_row_and_a_silent_one_has() -> None:
    frame = frame_of(("general", "ana", "2026-03-28 23:30"), ("general", "ana", "2026-03-29 02:00"))
    table = per_period(frame, "hour", zone="Europe/Vienna")
    assert table["period"].dt.hour.tolist() == [0, 1, 3, 4]
    assert table["messages"].tolist() == [1, 0, 0, 1]


def test_an_hour_that_clocks_show_twice_is_one() -> None:
    frame = every_half_hour("2026-10-24 22:00", "2026-10-25 03:00")
    table = per_period(frame, "hour", zone="Europe/Vienna")
    assert table["period"].dt.hour.tolist() == [0, 1, 2, 3]
    assert table["messages"].tolist() == [2, 2, 4, 2]


def test_there_is_no_other_period() -> None:
    with pytest.raises(InputError, match="hour, day, week, month, quarter, year, not 'decade'"):
        per_period(SMALL, "decade")


# Weekdays and hours, and the calendar.


@pytest.mark.parametrize(
    "zone",
    ["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"],
)
def test_hours_of_the_week_are_those_of_the_clocks_there(zone: str) -> None:
    frame = every_half_hour("2025-12-01", "2026-12-01")
    local = frame["placed_at"].dt.tz_convert(zone)
    expected = local.groupby([local.dt.day_of_week, local.dt.hour]).size()
    table = weekday_hours(frame, zone=zone)
    assert table["messages"].tolist() == expected.tolist()
    assert table["weekday"].tolist() == [day for day in range(7) for _ in range(24)]
    assert table["share"].sum() == pytest.approx(1)


def test_weekdays_and_hours_are_counted_for_each_channel() -> None:
    table = weekday_hours(SMALL, by="channel")
    assert len(table) == 2 * 168
    found = table[table["messages"] > 0]
    assert found[["channel", "weekday", "hour", "share"]].values.tolist() == [
        ["general", 3, 23, 1 / 3],
        ["general", 5, 0, 1 / 3],
        ["general", 5, 12, 1 / 3],
        ["tools", 3, 10, 1],
    ]
    assert weekday_hours(NOTHING)["messages"].tolist() == [0] * 168
    before = frame_of(("general", "ana", "1969-12-31 23:30"))
    assert weekday_hours(before).query("messages > 0")[["weekday", "hour"]].values.tolist() == [
        [2, 23]
    ]


def test_days_have_their_place_on_a_calendar() -> None:
    table = calendar(frame_of(("a", "ana", "2025-12-30"), ("b", "ana", "2026-01-05 23:30")))
    assert table["week"].tolist() == [52, 52, 0, 0, 0, 0, 1]  # 2026 began on a Thursday
    assert table["weekday"].tolist() == [1, 2, 3, 4, 5, 6, 0]
    assert table["year"].tolist() == [2025, 2025, *[2026] * 5]
    assert table["messages"].tolist() == [1, 0, 0, 0, 0, 0, 1]


# All in numbers.


def test_summary_says_it_in_one_row() -> None:
    frame = pd.concat([SMALL, frame_of(("general", "ana", "2026-01-03 13:00", "to:id1"))])
    frame["id"] = [f"id{number}" for number in range(5)]
    (found,) = summary(frame).to_dict("records")
    assert found == {
        "messages": 5,
        "by_bots": 1,
        "edited": 1,
        "deleted": 1,
        "replies": 1,
        "attachments": 0,
        "authors": 3,
        "channels": 2,
        "first_at": at("2026-01-01 10:00", tz="UTC"),
        "last_at": at("2026-01-03 13:00", tz="UTC"),
        "days": 3,
        "active_days": 2,
        "mean_per_day": 5 / 3,
        "median_per_day": 2.0,
        "busiest_day": at("2026-01-03"),
        "on_busiest_day": 3,
    }


def test_summary_of_each_channel_is_that_of_the_channel_alone() -> None:
    table = summary(SMALL, by="channel")
    assert table["channel"].tolist() == ["general", "tools"]
    for name in table["channel"]:
        alone = summary(SMALL[SMALL["channel"] == name])
        row = table[table["channel"] == name].drop(columns="channel").reset_index(drop=True)
        pd.testing.assert_frame_equal(row, alone)


def test_summary_of_nothing_is_a_row_of_zeros() -> None:
    table = summary(NOTHING)
    assert table["messages"].tolist() == [0]
    assert table["first_at"].isna().all()
    assert dtypes(table) == dtypes(summary(SMALL))


@settings(max_examples=60, deadline=None)
@given(days=st.lists(st.integers(-9, 9), min_size=1, max_size=30))
def test_days_are_summed_up_silent_ones_too(days: list[int]) -> None:
    first = at("2026-03-28 12:00")
    frame = frame_of(*(("a", "ana", first + pd.Timedelta(days=day)) for day in days))
    counts = [days.count(day) for day in range(min(days), max(days) + 1)]
    (found,) = summary(frame, zone="Europe/Vienna").to_dict("records")
    assert found["days"] == len(counts)
    assert found["median_per_day"] == statistics.median(counts)
    assert found["mean_per_day"] == pytest.approx(statistics.mean(counts))
    assert found["on_busiest_day"] == max(counts)
    busiest = first.normalize() + pd.Timedelta(days=min(days) + counts.index(max(counts)))
    assert found["busiest_day"] == busiest


def test_people_and_bots_part_a_frame() -> None:
    assert stats.people(SMALL)["author"].tolist() == ["ana", "ana", "bo"]
    assert stats.bots(SMALL)["author"].tolist() == ["robot"]
    assert per_channel(stats.bots(SMALL))["messages"].tolist() == [1]


def test_a_query_is_for_an_archive() -> None:
    with pytest.raises(InputError, match="A query is for an archive"):
        per_channel(SMALL, query="from:ana")


# What holds for all.

WITHOUT_TEXTS = [
    stats.active_authors,
    stats.balance,
    stats.calendar,
    stats.conversation_summary,
    stats.conversations,
    stats.edges,
    stats.per_author,
    stats.per_channel,
    stats.per_day,
    stats.per_period,
    stats.response_times,
    stats.responses,
    stats.retention,
    stats.starters,
    stats.streaks,
    stats.summary,
    stats.weekday_hours,
]
ALL = pytest.mark.parametrize("count", WITHOUT_TEXTS, ids=lambda count: count.__name__)
BY_CHANNEL = pytest.mark.parametrize(
    "count",
    [one for one in WITHOUT_TEXTS if "by" in inspect.signature(one).parameters],
    ids=lambda count: count.__name__,
)
LIVELY = frame_of(
    ("tools", "ana", "2026-01-01 10:00", "text:hi @bo"),
    ("tools", "bo", "2026-01-01 10:05"),
    ("general", "ana", "2026-01-01 23:30", "edited"),
    ("general", "bo", "2026-01-03 00:10", "deleted", "to:id2"),
    ("general", "robot", "2026-01-03 12:00", "bot"),
    ("general", "ana", "2026-02-03 12:00", "text:robot: thanks"),
)


@ALL
def test_tables_have_the_same_columns_whatever_is_in_the_frame(count: Any) -> None:
    expected = dtypes(count(LIVELY))
    one = LIVELY.iloc[:1]
    assert not count(LIVELY).empty
    for frame in (NOTHING, one, LIVELY[LIVELY["author"] == "ana"], SMALL[SMALL["bot"]]):
        assert dtypes(count(frame)) == expected
    if count.__name__ not in {"summary", "weekday_hours"}:
        assert count(NOTHING).empty


@BY_CHANNEL
def test_each_can_tell_channels_apart(count: Any) -> None:
    expected = dtypes(count(LIVELY, by="channel"))
    assert expected["channel"] == "str"
    assert {**expected, **dtypes(count(LIVELY, by=None))} == expected
    assert dtypes(count(NOTHING, by="channel")) == expected
    assert count(NOTHING, by="channel").empty
    assert dtypes(count(NOTHING, by=None)) == dtypes(count(LIVELY, by=None))
    with pytest.raises(InputError, match="by is"):
        count(LIVELY, by="colour")


@BY_CHANNEL
def test_a_channel_is_counted_as_if_it_were_alone(count: Any) -> None:
    together = count(LIVELY, by="channel")
    for name in ("general", "tools"):
        alone = count(LIVELY[LIVELY["channel"] == name], by="channel")
        there = together[together["channel"] == name].reset_index(drop=True)
        if count.__name__ == "streaks":  # the frame's last day is another
            there, alone = (table.drop(columns="current") for table in (there, alone))
        if count.__name__ in SPANNING:  # with a row for each period of the whole frame
            there, alone = (table[table[SPANNING[count.__name__]] > 0] for table in (there, alone))
            there, alone = (table.reset_index(drop=True) for table in (there, alone))
        pd.testing.assert_frame_equal(there, alone)


SPANNING = {
    "per_day": "messages",
    "per_period": "messages",
    "calendar": "messages",
    "active_authors": "authors",
    "retention": "active",
}


@ALL
def test_a_message_that_is_there_twice_counts_once(count: Any) -> None:
    twice = pd.concat([LIVELY, LIVELY.iloc[1:]])
    pd.testing.assert_frame_equal(count(twice), count(LIVELY))


def test_of_two_states_of_a_message_the_newer_counts() -> None:
    old = frame_of(("general", "ana", "2026-01-01"))
    new = frame_of(("general", "ana", "2026-01-01", "deleted"))
    for frame in (pd.concat([old, new]), pd.concat([new, old])):
        assert per_channel(frame)["deleted"].tolist() == [1]


def test_ids_of_one_length_are_told_apart_by_all_of_them() -> None:
    frame = frame_of(*(("general", "ana", "2026-01-01") for _ in range(4)))
    frame["id"] = pd.Series([letter + "-" * 40 for letter in "abca"], dtype="str")
    assert per_channel(frame)["messages"].tolist() == [3]
    assert per_channel(frame.iloc[:3])["messages"].tolist() == [3]
    assert per_channel(frame.iloc[1:])["messages"].tolist() == [3]


@ALL
def test_the_frame_stays_as_it_is_and_its_index_does_not_matter(count: Any) -> None:
    frame = LIVELY.copy()
    count(frame)
    pd.testing.assert_frame_equal(frame, LIVELY)
    shuffled = LIVELY.iloc[[2, 0, 5, 3, 1, 4]].set_axis([5, 5, 1, 0, 7, 7])
    pd.testing.assert_frame_equal(count(shuffled), count(LIVELY))


@ALL
def test_a_frame_of_something_else_is_refused(count: Any) -> None:
    with pytest.raises(InputError, match="no column 'channel'"):
        count(SMALL.drop(columns="channel"))


@pytest.mark.parametrize("count", [per_channel, per_author], ids=["per_channel", "per_author"])
def test_tallies_of_nothing_and_of_one(count: Any) -> None:
    expected = {per_channel: CHANNEL_DTYPES, per_author: AUTHOR_DTYPES}[count]
    assert dtypes(count(NOTHING)) == dtypes(count(SMALL)) == expected
    assert count(frame_of(("general", "ana", "2026-01-01")))["messages"].tolist() == [1]
    local = count(SMALL, zone="Europe/Vienna")
    assert str(local["first_at"].dtype) == "datetime64[ms, Europe/Vienna]"
    assert local["first_at"].tolist() == count(SMALL)["first_at"].tolist()
    with pytest.raises(InputError, match="no time zone"):
        count(SMALL, zone="Mars/Olympus")
