"""Statistics of a loaded frame, each beside the plain pandas way of writing it.

The plain ways give the same numbers for this frame, in which no message is twice; ours also look
whether one is, which plain ways don't. Each pair takes turns.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import stats_texts
from chatkit import stats
from chatkit.history import MESSAGE_SCHEMA

ZONE = "Europe/Vienna"
Way = Callable[[pd.DataFrame], object]


def frame_of(messages: int) -> pd.DataFrame:
    """Return a history as `chatkit.history.load` returns it: ten years, 20 channels, by day.

    Few write much and many little, as in the logs of large channels; a fifth are replies.
    """
    chance = np.random.default_rng(1)
    days = np.sort(chance.integers(0, 3650, messages))
    hours = np.clip(chance.normal(14, 4.5, messages), 0, 23.999)
    at = 1_420_070_400_000 + days * 86_400_000 + (hours * 3_600_000).astype("int64")
    at.sort()
    authors = np.minimum(chance.zipf(1.35, messages), 15_000)
    number = np.arange(messages)
    # As of UUIDv7: the time, then chance.
    random = chance.integers(0, 2**48, (2, messages))
    ids = [
        f"{ms:012x}"[:8]
        + f"-{ms & 0xFFFF:04x}-7{left & 0xFFF:03x}-8{left >> 20 & 0xFFF:03x}-{right:012x}"
        for ms, left, right in zip(at.tolist(), *random.tolist(), strict=True)
    ]
    answered = np.maximum(number - chance.geometric(0.1, messages), 0)
    isreply = chance.random(messages) < 0.2
    bodies = stats_texts.bodies_of(messages, chance)
    when = pd.Series(at.astype("datetime64[ms]")).dt.tz_localize("UTC").dt.tz_convert(ZONE)
    never = pd.Series(pd.NaT, index=range(messages), dtype=when.dtype)
    made: dict[str, Any] = {
        "id": pd.Series(ids, dtype="str"),
        "channel": _named("channel", chance.integers(0, 20, messages)),
        "author": _named("author", authors),
        "body": pd.Series(bodies, dtype="str"),
        "reply_to": pd.Series(ids, dtype="str")
        .take(answered)
        .reset_index(drop=True)
        .where(isreply),
        "bot": authors == 7,
        "source": pd.Series(np.full(messages, "irc"), dtype="str"),
        "edited_at": when.where(chance.random(messages) < 0.05),
        "deleted_at": when.where(chance.random(messages) < 0.01),
        "pinned_at": never,
        "reactions": np.zeros(messages, dtype="int64"),
        "partition": np.zeros(messages, dtype="int64"),
        "offset": number,
        "rev": np.zeros(messages, dtype="int64"),
        "attachment_size": pd.Series(pd.NA, index=range(messages), dtype="Int64"),
    }
    for name in ("sent_at", "placed_at", "archived_at"):
        made[name] = when
    for name in ("attachment_name", "attachment_type"):
        made[name] = pd.Series(None, index=range(messages), dtype="str")
    return pd.DataFrame({name: made[name] for name in MESSAGE_SCHEMA.names})


def _named(word: str, numbers: Any) -> pd.Series:
    known, places = np.unique(numbers, return_inverse=True)
    names = pd.Series([f"{word}{number}" for number in known], dtype="str")
    return names.take(places).reset_index(drop=True)


def _tally(frame: pd.DataFrame, by: str, other: str) -> pd.DataFrame:
    table = (
        frame.assign(edited=frame["edited_at"].notna(), deleted=frame["deleted_at"].notna())
        .groupby(by)
        .agg(
            messages=("id", "size"),
            others=(other, "nunique"),
            by_bots=("bot", "sum"),
            edited=("edited", "sum"),
            deleted=("deleted", "sum"),
            first_at=("placed_at", "min"),
            last_at=("placed_at", "max"),
        )
        .sort_values("messages", ascending=False)
    )
    return table.assign(share=table["messages"] / len(frame))


def _local(frame: pd.DataFrame) -> Any:
    return frame["placed_at"].dt


def _per_day(frame: pd.DataFrame) -> object:
    return frame.groupby([_local(frame).floor("D"), "channel"]).size().unstack(fill_value=0)


def _per_month(frame: pd.DataFrame) -> object:
    month = _local(frame).tz_localize(None).dt.to_period("M")
    return frame.groupby([month, "channel"]).size().unstack(fill_value=0)


def _weekday_hours(frame: pd.DataFrame) -> object:
    at = _local(frame)
    return frame.groupby([at.day_of_week, at.hour]).size().unstack(fill_value=0)


def _calendar(frame: pd.DataFrame) -> object:
    return frame.groupby(_local(frame).floor("D")).size()


def _summary(frame: pd.DataFrame) -> object:
    per_day = frame.groupby(_local(frame).floor("D")).size()
    return (
        len(frame),
        frame["bot"].sum(),
        frame["edited_at"].notna().sum(),
        frame["deleted_at"].notna().sum(),
        frame["reply_to"].notna().sum(),
        frame["attachment_name"].notna().sum(),
        frame["author"].nunique(),
        frame["channel"].nunique(),
        frame["placed_at"].min(),
        frame["placed_at"].max(),
        per_day.mean(),
        per_day.median(),
        per_day.idxmax(),
    )


def _weeks(frame: pd.DataFrame, letter: str) -> pd.DataFrame:
    period = _local(frame).tz_localize(None).dt.to_period(letter)
    return frame.assign(period=period)[["author", "period"]].drop_duplicates()


def _active_authors(frame: pd.DataFrame) -> object:
    active = _weeks(frame, "W-SUN")
    new = active.groupby("author")["period"].min().value_counts()
    authors = active.groupby("period").size()
    return pd.DataFrame({"authors": authors, "new": new}).fillna(0)


def _retention(frame: pd.DataFrame) -> object:
    active = _weeks(frame, "M")
    cohort = active.groupby("author")["period"].transform("min")
    return active.groupby([cohort.rename("cohort"), "period"]).size().unstack(fill_value=0)


def _streaks(frame: pd.DataFrame) -> object:
    days = frame.assign(day=_local(frame).tz_localize(None).dt.floor("D"))
    days = days[["author", "day"]].drop_duplicates().sort_values(["author", "day"])
    run = (days.groupby("author")["day"].diff() != pd.Timedelta(days=1)).cumsum()
    return days.groupby(["author", run.rename("run")]).size().groupby("author").max()


def _talks(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.sort_values(["channel", "placed_at"], kind="stable")
    silence = frame.groupby("channel")["placed_at"].diff()
    return frame.assign(talk=(silence.isna() | (silence > pd.Timedelta(minutes=30))).cumsum())


def _conversations(frame: pd.DataFrame) -> object:
    return (
        _talks(frame)
        .groupby("talk")
        .agg(
            channel=("channel", "first"),
            first_id=("id", "first"),
            started_by=("author", "first"),
            first_at=("placed_at", "min"),
            last_at=("placed_at", "max"),
            messages=("id", "size"),
            authors=("author", "nunique"),
            by_bots=("bot", "sum"),
        )
    )


def _conversation_summary(frame: pd.DataFrame) -> object:
    talks = (
        _talks(frame)
        .groupby("talk")
        .agg(
            channel=("channel", "first"),
            first_at=("placed_at", "min"),
            last_at=("placed_at", "max"),
            messages=("id", "size"),
            authors=("author", "nunique"),
        )
    )
    talks["seconds"] = (talks["last_at"] - talks["first_at"]).dt.total_seconds()
    groups = talks.groupby("channel")[["messages", "authors", "seconds"]]
    return groups.median(), groups.mean()


def _starters(frame: pd.DataFrame) -> object:
    talks = _talks(frame)
    started = talks.groupby("talk")["author"].first().value_counts()
    joined = talks[["talk", "author"]].drop_duplicates()["author"].value_counts()
    return pd.DataFrame({"started": started, "joined": joined})


def _responses(frame: pd.DataFrame) -> pd.DataFrame:
    target = frame[["id", "author", "placed_at"]].set_axis(["reply_to", "other", "before"], axis=1)
    replies = frame[frame["reply_to"].notna()].merge(target, on="reply_to")
    others = frame.assign(
        other=frame.groupby("channel")["author"].shift(),
        before=frame.groupby("channel")["placed_at"].shift(),
    )
    near = others["placed_at"] - others["before"] <= pd.Timedelta(minutes=30)
    answers = pd.concat([replies, others[near & others["reply_to"].isna()]])
    answers = answers[answers["author"] != answers["other"]]
    return answers.assign(seconds=(answers["placed_at"] - answers["before"]).dt.total_seconds())


def _response_times(frame: pd.DataFrame) -> object:
    return _responses(frame).groupby("author")["seconds"].quantile([0.25, 0.5, 0.75, 0.9])


def _edges(frame: pd.DataFrame) -> object:
    target = frame[["id", "author"]].set_axis(["reply_to", "to"], axis=1)
    columns = ["author", "to"]
    replies = frame[frame["reply_to"].notna()].merge(target, on="reply_to")[columns]
    at = frame.assign(to=frame["body"].str.findall(r"(?<![\w@.])@(\w[\w.-]*)"))[columns]
    address = frame.assign(to=frame["body"].str.extract(r"^@?([^\s:,]{1,64})[:,](?:\s|$)")[0])
    both = pd.concat([replies, at.explode("to"), address[columns]])
    both = both[both["to"].isin(frame["author"].unique()) & (both["author"] != both["to"])]
    return both.groupby(columns).size()


def _balance(frame: pd.DataFrame) -> object:
    counts = frame.groupby(["channel", "author"]).size()

    def shared(values: pd.Series) -> pd.Series:
        ordered = values.sort_values().to_numpy()
        share = ordered / ordered.sum()
        rank = np.arange(1, len(ordered) + 1)
        gini = ((2 * rank - len(ordered) - 1) * ordered).sum() / (len(ordered) * ordered.sum())
        entropy = -(share * np.log2(share)).sum()
        return pd.Series({"gini": gini, "entropy": entropy, "top": values.idxmax()[1]})

    return counts.groupby("channel").apply(shared)


NO_TEXTS: dict[str, tuple[Way, Way]] = {
    "summary": (stats.summary, _summary),
    "per_channel": (stats.per_channel, lambda frame: _tally(frame, "channel", "author")),
    "per_author": (stats.per_author, lambda frame: _tally(frame, "author", "channel")),
    "per_day": (stats.per_day, _per_day),
    "per_period": (stats.per_period, _per_month),
    "weekday_hours": (stats.weekday_hours, _weekday_hours),
    "calendar": (stats.calendar, _calendar),
    "active_authors": (stats.active_authors, _active_authors),
    "retention": (stats.retention, _retention),
    "streaks": (stats.streaks, _streaks),
    "conversations": (stats.conversations, _conversations),
    "conversation_summary": (stats.conversation_summary, _conversation_summary),
    "starters": (stats.starters, _starters),
    "responses": (stats.responses, _responses),
    "response_times": (stats.response_times, _response_times),
    "balance": (stats.balance, _balance),
    **stats_texts.CHANGES,
}
"""Statistics that need no text: name -> ours, the plain pandas way."""
TEXTS: dict[str, tuple[Way, Way]] = {
    "edges": (stats.edges, _edges),
    **stats_texts.TEXTS,
}
"""Those that read the texts."""


def _seconds(way: Way, frame: pd.DataFrame) -> float:
    gc.collect()
    started = time.perf_counter()
    way(frame)
    return time.perf_counter() - started


def run(*, messages: int, rounds: int) -> dict[str, Any]:
    """Measure each statistic and its plain pandas way, in turns.

    Parameters
    ----------
    messages : int
        How many the frame has.
    rounds : int
        How often each is measured; medians count.

    Returns
    -------
    dict
        For each statistic ms of ours and of the plain way, and their ratio (over 1: ours is
        faster); the slowest of those that need no text and of those that read them.
    """
    frame = frame_of(messages)
    ours: dict[str, float] = {}
    plain: dict[str, float] = {}
    for name, ways in {**NO_TEXTS, **TEXTS}.items():
        taken: list[list[float]] = [[], []]
        for _round in range(rounds):
            for way, seconds in zip(ways, taken, strict=True):
                seconds.append(_seconds(way, frame))
        ours[name], plain[name] = (statistics.median(seconds) * 1000 for seconds in taken)
    return {
        "messages": messages,
        "slowest_without_texts_ms": round(max(ours[name] for name in NO_TEXTS), 1),
        "slowest_with_texts_ms": round(max(ours[name] for name in TEXTS), 1),
        "ours": {name: round(ms, 1) for name, ms in ours.items()},
        "plain_pandas": {name: round(ms, 1) for name, ms in plain.items()},
        "ratios": {
            f"plain_pandas/ours {name}": round(plain[name] / ours[name], 2) for name in ours
        },
    }
