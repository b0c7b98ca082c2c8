"""Figures show every message that was counted, and nobody's markup."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from chatkit import plots
from chatkit.errors import InputError
from chatkit.plots import drawing, messages_per_author, messages_per_channel, messages_per_day


def days(count: int, channels: dict[str, int]) -> pd.DataFrame:
    """Return a table per day in which each channel has so many messages a day."""
    rows = [
        (day, name, messages)
        for day in pd.date_range("2026-01-01", periods=count)
        for name, messages in channels.items()
    ]
    table = pd.DataFrame(rows, columns=["day", "channel", "messages"])
    return table.astype({"day": "datetime64[ms]", "channel": "str", "messages": "int64"})


def counted(by: str, names: list[str], messages: list[int]) -> pd.DataFrame:
    return pd.DataFrame({by: names, "messages": messages}).astype({by: "str", "messages": "int64"})


def names(figure: go.Figure) -> list[str]:
    return [trace.name for trace in figure.data]


def test_all_that_plots_has_is_said() -> None:
    assert plots.__all__ == sorted(plots.__all__)


def test_messages_per_day_stacks_the_channels_the_busiest_first() -> None:
    figure = messages_per_day(days(3, {"a": 1, "b": 5, "c": 0}))
    assert names(figure) == ["b", "a", "c"]
    assert {trace.type for trace in figure.data} == {"bar"}
    assert figure.layout.barmode == "stack"
    assert [list(trace.y) for trace in figure.data] == [[5, 5, 5], [1, 1, 1], [0, 0, 0]]
    assert [str(day)[:10] for day in figure.data[0].x] == ["2026-01-01", "2026-01-02", "2026-01-03"]


def test_many_days_run_together_to_areas_that_are_stacked_too() -> None:
    figure = messages_per_day(days(121, {"a": 1, "b": 5}))
    assert {trace.type for trace in figure.data} == {"scatter"}
    assert {trace.stackgroup for trace in figure.data} == {"channels"}


def test_no_message_is_lost_where_channels_are_added_up() -> None:
    table = days(4, {f"c{number}": number for number in range(30)})
    figure = messages_per_day(table, top=3)
    assert names(figure) == ["c29", "c28", "c27", "other (27)"]
    assert sum(sum(trace.y) for trace in figure.data) == table["messages"].sum()


@pytest.mark.parametrize(
    ("draw", "by"), [(messages_per_channel, "channel"), (messages_per_author, "author")]
)
def test_bars_show_the_busiest_first_and_add_up_the_others(draw: Any, by: str) -> None:
    table = counted(by, ["x", "y", "z", "w"], [1, 9, 4, 2])
    figure = draw(table, top=2)
    assert list(figure.layout.yaxis.ticktext) == ["y", "z", "other (2)"]
    assert figure.layout.yaxis.autorange == "reversed"
    assert list(figure.data[0].x) == [9, 4, 3]
    assert list(draw(table, top=4).layout.yaxis.ticktext) == ["y", "z", "w", "x"]


def test_names_are_shown_letter_by_letter() -> None:
    table = counted("author", ["<b>x</b>", '<a href="javascript:x">', "a&amp;b"], [3, 2, 1])
    labels = messages_per_author(table).layout.yaxis.ticktext
    assert labels == ("&lt;b&gt;x&lt;/b&gt;", '&lt;a href="javascript:x"&gt;', "a&amp;amp;b")
    assert names(messages_per_day(days(1, {"<i>": 1, "b": 2}))) == ["b", "&lt;i&gt;"]


def test_two_names_that_look_alike_have_two_bars_and_numbers_are_names() -> None:
    long = "x" * 60
    figure = messages_per_author(counted("author", [long + "1", long + "2", "2024"], [3, 2, 1]))
    assert list(figure.data[0].y) == [0, 1, 2]
    assert figure.layout.yaxis.ticktext[0] == figure.layout.yaxis.ticktext[1]
    assert len(figure.layout.yaxis.ticktext[0]) == 28


@pytest.mark.parametrize(
    "figure",
    [
        messages_per_day(days(0, {})),
        messages_per_day(days(5, {"a": 0})),
        messages_per_channel(counted("channel", [], [])),
        messages_per_author(counted("author", [], [])),
    ],
    ids=["no days", "silent days", "no channels", "no authors"],
)
def test_a_figure_without_messages_says_so(figure: go.Figure) -> None:
    assert len(figure.data) == 0
    assert [note.text for note in figure.layout.annotations] == ["No messages"]


def test_a_figure_reads_on_a_light_and_on_a_dark_page() -> None:
    layout = messages_per_day(days(2, {"a": 1})).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    assert layout.font.color == drawing.INK
    assert not layout.template.layout.paper_bgcolor


def test_a_figure_can_be_shown_in_a_notebook() -> None:
    bundle = json.loads(messages_per_day(days(2, {"a": 1, "b": 2})).to_json())
    assert bundle["layout"]["title"]["text"] == "Messages per day"


@pytest.mark.parametrize("draw", [messages_per_day, messages_per_channel, messages_per_author])
def test_another_frame_is_refused(draw: Any) -> None:
    with pytest.raises(InputError, match="no column"):
        draw(pd.DataFrame({"messages": [1]}))


@pytest.mark.parametrize("top", [0, -3])
def test_at_least_one_is_shown(top: int) -> None:
    with pytest.raises(InputError, match="top must be at least 1"):
        messages_per_day(days(1, {"a": 1}), top=top)
