"""Figures of texts, changes and reactions draw whatever the tables hold, and nobody's markup."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from chatkit import plots, stats
from chatkit.errors import InputError
from tests.test_stats_texts import REACTIONS, SOME, history, reactions

Draw = Callable[..., go.Figure]

# What is drawn, of which statistic, and by what that can be told apart.
FIGURES: list[tuple[Draw, Callable[..., pd.DataFrame], list[str | None]]] = [
    (plots.top_words, stats.words, [None, "channel", "author", "bot"]),
    (plots.top_word_pairs, stats.word_pairs, [None, "channel", "author", "bot"]),
    (plots.telling_words, stats.characteristic_words, ["channel", "author", "bot"]),
    (plots.top_domains, stats.link_domains, [None, "channel", "author", "bot"]),
    (plots.links_per_month, lambda frame, by: stats.links(frame), [None]),
    (plots.mention_map, stats.mentions, [None, "channel", "bot"]),
    (plots.top_mentioned, stats.most_mentioned, [None, "channel", "author", "bot"]),
    (plots.top_emoji, stats.emoji_in_texts, [None, "channel", "author", "bot"]),
    (plots.top_emoji, stats.reaction_emoji, [None, "channel", "author", "actor"]),
    (plots.reaction_balance, stats.reactions_per_author, [None, "channel"]),
    (plots.reaction_map, stats.reaction_pairs, [None, "channel"]),
    (plots.answered_questions, stats.questions, [None, "channel", "author"]),
    (plots.question_waits, lambda frame, by: stats.question_list(frame), [None]),
    (plots.message_lengths, stats.lengths, [None, "channel", "author", "bot"]),
    (plots.change_shares, stats.edits, [None, "channel", "author", "bot"]),
    (plots.change_times, stats.edits, [None, "channel", "author", "bot"]),
    (plots.change_shares, stats.deletions, [None, "channel", "author", "bot"]),
    (plots.change_times, stats.deletions, [None, "channel", "author", "bot"]),
]
OF_REACTIONS = {stats.reaction_emoji, stats.reactions_per_author, stats.reaction_pairs}
CASES = [(draw, count, by) for draw, count, ways in FIGURES for by in ways]
ALL = pytest.mark.parametrize(
    ("draw", "count", "by"),
    CASES,
    ids=[f"{draw.__name__}-{count.__name__}-{by}" for draw, count, by in CASES],
)
TALK = pd.concat([SOME, SOME.assign(id=SOME["id"] + "b", channel="b", bot=True, author="cleo")])


def source(count: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return REACTIONS if count in OF_REACTIONS else TALK


def shown_text(figure: go.Figure) -> str:
    """Return all that plotly takes for its own markup, in one text."""
    layout = figure.layout
    found: list[Any] = [note.text for note in layout.annotations]
    for name in layout:
        if name.startswith(("xaxis", "yaxis")):
            found += layout[name].ticktext or ()
    for trace in figure.data:
        found.append(trace.name)
        for part in (trace.text, trace.hovertext):
            found.append(json.dumps(part) if part is not None else "")
    return " ".join(map(str, found))


@ALL
def test_every_table_draws(draw: Draw, count: Callable[..., pd.DataFrame], by: str | None) -> None:
    figure = draw(count(source(count), by=by))
    assert len(figure.data) > 0
    assert not [note.text for note in figure.layout.annotations if note.text.startswith("No ")]
    assert figure.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"
    assert json.loads(figure.to_json())["layout"]["title"]["text"]


@ALL
def test_one_message_draws(draw: Draw, count: Callable[..., pd.DataFrame], by: str | None) -> None:
    for row in range(len(source(count))):
        assert isinstance(draw(count(source(count).iloc[[row]], by=by)), go.Figure)


@ALL
def test_nothing_draws_as_a_sentence(
    draw: Draw, count: Callable[..., pd.DataFrame], by: str | None
) -> None:
    figure = draw(count(source(count).iloc[:0], by=by))
    assert len(figure.data) == 0
    assert [note.text.startswith("No ") for note in figure.layout.annotations] == [True]


@ALL
def test_texts_and_names_are_shown_letter_by_letter(
    draw: Draw, count: Callable[..., pd.DataFrame], by: str | None
) -> None:
    evil = "<b>ana</b>"
    if count in OF_REACTIONS:
        frame = reactions(
            ("1", evil, "<i>", evil), ("2", evil, "<i>", "ben"), ("3", "ben", "<i>", evil)
        )
        frame = frame.assign(channel=evil)
    else:
        frame = TALK.assign(
            body=TALK["body"].where(TALK["deleted_at"].notna(), TALK["body"] + " http://<b>.x.y"),
            author=TALK["author"].replace("ana", evil),
            channel=TALK["channel"].replace("general", evil),
        )
    shown = shown_text(draw(count(frame, by=by)))
    assert "<b>" not in shown
    assert "<i>" not in shown


@ALL
def test_another_frame_is_refused(
    draw: Draw, count: Callable[..., pd.DataFrame], by: str | None
) -> None:
    with pytest.raises(InputError, match="no column"):
        draw(pd.DataFrame({"body": [1]}))


@pytest.mark.parametrize(
    "draw",
    [draw for draw in dict.fromkeys(draw for draw, *_ in FIGURES) if draw != plots.question_waits],
)
def test_at_least_one_is_shown(draw: Draw) -> None:
    count = next(count for one, count, _ in FIGURES if one is draw)
    by = "channel" if draw is plots.telling_words else None
    with pytest.raises(InputError, match="top must be at least 1"):
        draw(count(source(count), by=by), top=0)


def test_words_come_by_how_often_they_are_there() -> None:
    figure = plots.top_words(stats.words(SOME), top=2)
    assert list(figure.layout.yaxis.ticktext) == ["kafka", "cat"]
    assert list(figure.data[0].x) == [3, 2]


def test_groups_are_beside_each_other_the_greatest_first() -> None:
    figure = plots.top_words(stats.words(SOME, by="channel"))
    assert [note.text for note in figure.layout.annotations] == ["general", "pets"]
    assert figure.data[0].text[0] == "kafka"
    figure = plots.top_words(stats.words(SOME, by="bot"))
    assert [note.text for note in figure.layout.annotations] == ["people", "bots"]


def test_no_link_is_lost_where_domains_are_added_up() -> None:
    frame = history(*({"body": f"http://{n % 9}.example http://0.example"} for n in range(30)))
    figure = plots.links_per_month(stats.links(frame), top=3)
    assert [trace.name for trace in figure.data][-1] == "other (6)"
    assert sum(sum(trace.y) for trace in figure.data) == 60


def test_no_question_is_lost() -> None:
    frame = history(
        {"body": "a?"},
        {"body": "b", "author": "ben", "reply_to": "id0"},
        {"body": "c?", "minute": 9},
        {"body": "d", "author": "ben", "minute": 10},
        {"body": "e?", "minute": 20},
    )
    figure = plots.answered_questions(stats.questions(frame))
    assert {trace.name: trace.x[0] for trace in figure.data} == {
        "answered by a reply": 1,
        "answered by the next message": 1,
        "not answered": 1,
    }
    waits = plots.question_waits(stats.question_list(frame))
    assert [sum(trace.y) for trace in waits.data] == [1, 1]


def test_boxes_show_the_quantiles() -> None:
    frame = history(*({"body": "x" * length} for length in range(11)))
    box = plots.message_lengths(stats.lengths(frame)).data[0]
    assert [box.lowerfence[0], box.q1[0], box.median[0], box.q3[0], box.upperfence[0]] == [
        1,
        2.5,
        5,
        7.5,
        9,
    ]
    with pytest.raises(InputError, match="unit is"):
        plots.message_lengths(stats.lengths(frame), unit="lines")


def test_who_mentions_whom_has_the_same_names_down_and_across() -> None:
    figure = plots.mention_map(stats.mentions(SOME))
    assert figure.layout.xaxis.ticktext == figure.layout.yaxis.ticktext
    assert sum(map(sum, figure.data[0].z)) == 2
