"""Each statistic has a picture, of much, of little and of nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from chatkit import plots, stats
from chatkit.errors import InputError
from chatkit.plots import drawing
from tests.test_stats import LIVELY, NOTHING, frame_of

PICTURES: dict[str, tuple[Callable[..., go.Figure], Callable[..., pd.DataFrame]]] = {
    "numbers": (plots.numbers, stats.summary),
    "per_channel": (plots.messages_per_channel, stats.per_channel),
    "per_author": (plots.messages_per_author, stats.per_author),
    "per_day": (plots.messages_per_day, stats.per_day),
    "per_period": (plots.messages_per_period, stats.per_period),
    "weekday_hours": (plots.weekday_hour_map, stats.weekday_hours),
    "calendar": (plots.calendar_map, stats.calendar),
    "active_authors": (plots.authors_per_period, stats.active_authors),
    "retention": (plots.retention_map, stats.retention),
    "streaks": (plots.longest_streaks, stats.streaks),
    "conversations": (plots.conversation_lengths, stats.conversations),
    "conversation_summary": (plots.conversations_per_channel, stats.conversation_summary),
    "starters": (plots.conversation_starters, stats.starters),
    "response_times": (plots.answer_times, stats.response_times),
    "network": (plots.talk_network, stats.edges),
    "matrix": (plots.talk_matrix, stats.edges),
    "balance": (plots.talk_balance, stats.balance),
    "shares": (plots.author_shares, stats.per_author),
}
ALL = pytest.mark.parametrize(("draw", "count"), PICTURES.values(), ids=PICTURES)
BY_CHANNEL = pytest.mark.parametrize(
    ("draw", "count"),
    [
        pair
        for pair in PICTURES.values()
        if "by" in (pair[1].__kwdefaults__ or {}) and pair[1] is not stats.response_times
    ],
    ids=lambda one: one.__name__,
)


def drawn(figure: go.Figure) -> Any:
    """Return what a page gets of a figure."""
    return json.loads(figure.to_json())


def notes(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


@ALL
def test_a_lively_history_is_drawn(draw: Any, count: Any) -> None:
    figure = draw(count(LIVELY))
    assert drawn(figure)["data"]
    assert figure.layout.title.text
    assert figure.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"


@ALL
def test_nothing_is_drawn_as_nothing(draw: Any, count: Any) -> None:
    figure = draw(count(NOTHING))
    assert drawn(figure)["data"] == []
    assert len(notes(figure)) == 1


@ALL
def test_one_message_is_drawn(draw: Any, count: Any) -> None:
    figure = draw(count(LIVELY.iloc[:1]))
    assert drawn(figure)["data"] or notes(figure)[0] in {"No answers", "Nobody talks to anybody"}


@BY_CHANNEL
def test_channels_are_drawn_apart_and_together(draw: Any, count: Any) -> None:
    for by in ("channel", None):
        assert drawn(draw(count(LIVELY, by=by)))["data"]
        assert drawn(draw(count(NOTHING, by=by)))["data"] == []


def test_answers_are_drawn_for_authors_channels_and_all() -> None:
    for by in ("author", "channel", None):
        assert drawn(plots.answer_times(stats.response_times(LIVELY, by=by)))["data"]


@ALL
def test_another_frame_is_refused(draw: Any, count: Any) -> None:
    with pytest.raises(InputError, match="no column"):
        draw(pd.DataFrame({"something": [1]}))


@ALL
def test_names_are_no_markup(draw: Any, count: Any) -> None:
    bad = "<a href='x'>y</a>"
    frame = frame_of(
        ("general", "ana", "2026-01-01 10:00", f"text:{bad}: hi"),
        ("general", bad, "2026-01-01 10:01", "to:id0"),
        ("general", bad, "2026-01-02 10:01"),
    )
    assert "<a " not in json.dumps(drawn(draw(count(frame))))


def test_the_grid_of_a_week_has_monday_on_top_and_all_messages() -> None:
    figure = plots.weekday_hour_map(stats.weekday_hours(LIVELY))
    (grid,) = figure.data
    assert grid.z.shape == (7, 24)
    assert grid.z.sum() == len(LIVELY)
    assert grid.y[0] == "Mon"
    assert figure.layout.yaxis.autorange == "reversed"
    assert grid.z[3][10] == 2  # 2026-01-01 was a Thursday


def test_each_year_has_a_calendar_the_newest_on_top() -> None:
    frame = frame_of(*(("a", "ana", f"{year}-05-01") for year in range(2000, 2020)))
    figure = plots.calendar_map(stats.calendar(frame))
    assert notes(figure) == [str(year) for year in range(2019, 2007, -1)]
    assert "newest 12 years" in figure.layout.title.text
    assert all(trace.z[~pd.isna(trace.z)].sum() == 1 for trace in figure.data)


def test_all_conversations_are_in_a_bar() -> None:
    table = stats.conversations(LIVELY)
    figure = plots.conversation_lengths(table)
    assert sum(sum(trace.y) for trace in figure.data) == len(table)
    assert list(figure.layout.xaxis.ticktext) == ["1", "2–3"]


def test_the_same_table_gives_the_same_network() -> None:
    table = stats.edges(LIVELY)
    assert drawn(plots.talk_network(table)) == drawn(plots.talk_network(table))
    assert set(plots.talk_network(table).data[-1].text) == {"ana", "bo", "robot"}
    assert len(plots.talk_network(table, top=2).data[-1].text) == 2


def test_the_matrix_says_who_wrote_to_whom() -> None:
    figure = plots.talk_matrix(stats.edges(LIVELY))
    names = list(figure.layout.xaxis.ticktext)
    grid = figure.data[0].z
    assert grid[names.index("ana")][names.index("robot")] == 1
    assert pd.isna(grid[names.index("robot")][names.index("ana")])


def test_half_of_all_messages_is_marked() -> None:
    figure = plots.author_shares(stats.per_author(LIVELY))
    assert notes(figure) == [" half: 1 of 3"]
    assert figure.data[0].y[-1] == pytest.approx(1)


def test_times_are_said_as_people_do() -> None:
    assert drawing.durations([0.5, 59, 60, 5400, 86400 * 3]) == [
        "0.5 s",
        "59 s",
        "1 min",
        "1.5 h",
        "3 d",
    ]
