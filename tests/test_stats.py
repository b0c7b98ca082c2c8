"""Statistics of small frames, counted by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from chatkit import stats
from chatkit.errors import InputError
from chatkit.history import MESSAGE_SCHEMA, load
from chatkit.stats import per_author, per_channel, per_day, volume
from chatkit.store import MessageStore

DATES = ["sent_at", "placed_at", "archived_at", "edited_at", "deleted_at"]
TEXTS = ["id", "channel", "author", "body", "reply_to", "source"]
ATTACHMENT = ["attachment_name", "attachment_type", "attachment_size"]


def frame_of(*rows: tuple[object, ...], zone: str = "UTC") -> pd.DataFrame:
    """Return a history of (channel, author, placed_at and, if so, what happened to it)."""
    records = []
    for number, (channel, author, placed_at, *happened) in enumerate(rows):
        at = pd.Timestamp(str(placed_at), tz="UTC").tz_convert(zone)
        records.append(
            {
                "id": f"id{number}",
                "channel": channel,
                "author": author,
                "body": "text",
                **dict.fromkeys(["sent_at", "placed_at", "archived_at"], at),
                "reply_to": None,
                "bot": "bot" in happened,
                "source": "chat",
                "edited_at": at if "edited" in happened else None,
                "deleted_at": at if "deleted" in happened else None,
                **dict.fromkeys(ATTACHMENT),
                "partition": 0,
                "offset": number,
                "rev": len(happened),
            }
        )
    frame = pd.DataFrame(records, columns=MESSAGE_SCHEMA.names)
    return frame.astype(
        {
            **dict.fromkeys(DATES, f"datetime64[ms, {zone}]"),
            **dict.fromkeys([*TEXTS, "attachment_name", "attachment_type"], "str"),
            "attachment_size": "Int64",
            "bot": "bool",
            **dict.fromkeys(["partition", "offset", "rev"], "int64"),
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
    assert set(stats.__all__) == set(volume.__all__)


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


# What holds for all.

ALL = pytest.mark.parametrize(
    ("count", "expected"),
    [(per_channel, CHANNEL_DTYPES), (per_author, AUTHOR_DTYPES), (per_day, DAY_DTYPES)],
    ids=["per_channel", "per_author", "per_day"],
)


@ALL
def test_no_messages_give_the_same_columns(count, expected) -> None:  # type: ignore[no-untyped-def]
    table = count(NOTHING)
    assert len(table) == 0
    assert dtypes(table) == expected
    assert dtypes(count(SMALL)) == expected


@ALL
def test_one_channel_is_no_special_case(count, expected) -> None:  # type: ignore[no-untyped-def]
    table = count(frame_of(("general", "ana", "2026-01-01")))
    assert len(table) == 1
    assert table["messages"].tolist() == [1]
    assert dtypes(table) == expected


@ALL
def test_a_message_that_is_there_twice_counts_once(count, expected) -> None:  # type: ignore[no-untyped-def]
    twice = pd.concat([SMALL, SMALL.iloc[1:]])
    pd.testing.assert_frame_equal(count(twice), count(SMALL))


def test_of_two_states_of_a_message_the_newer_counts() -> None:
    old = frame_of(("general", "ana", "2026-01-01"))
    new = frame_of(("general", "ana", "2026-01-01", "deleted"))
    for frame in (pd.concat([old, new]), pd.concat([new, old])):
        assert per_channel(frame)["deleted"].tolist() == [1]


@ALL
def test_the_frame_stays_as_it_is_and_its_index_does_not_matter(count, expected) -> None:  # type: ignore[no-untyped-def]
    frame = SMALL.copy()
    count(frame)
    pd.testing.assert_frame_equal(frame, SMALL)
    shuffled = SMALL.iloc[[2, 0, 3, 1]].set_axis([5, 5, 1, 0])
    pd.testing.assert_frame_equal(count(shuffled), count(SMALL))


@ALL
def test_a_frame_of_something_else_is_refused(count, expected) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="no column 'channel'"):
        count(SMALL.drop(columns="channel"))
