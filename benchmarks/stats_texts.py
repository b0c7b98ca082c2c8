"""Statistics of texts beside the plain pandas way of writing them; `benchmarks.stats` runs them.

The plain ways know less: words end at spaces only, code counts, an emoji has many forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import emoji
import numpy as np
import pandas as pd

from chatkit import stats

Way = Callable[[pd.DataFrame], object]

_LETTERS = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
_ENDS = [
    "",
    "",
    "",
    "?",
    ".",
    "!",
    " :)",
    " 😀",
    " 👍🏽",
    " https://www.example.org/a?b=c",
    " `x = y`",
]


def bodies_of(messages: int, chance: np.random.Generator) -> list[str]:
    """Return texts of some 60 characters of 30,000 words, few of them frequent."""
    known = ["".join(chance.choice(_LETTERS, chance.integers(2, 10))) for _ in range(30_000)]
    known[::97] = [f"{word}ü" for word in known[::97]]
    words = np.array(known, dtype=object)[np.minimum(chance.zipf(1.2, messages * 10), 30_000) - 1]
    ends = chance.integers(0, len(_ENDS), messages).tolist()
    named = chance.integers(0, 6000, messages).tolist()
    starts = np.sort(chance.integers(0, len(words), messages - 1)) if messages > 1 else []
    return [
        (f"@author{name} " if name < 300 else "") + " ".join(part) + _ENDS[end]
        for part, name, end in zip(np.split(words, starts), named, ends, strict=True)
    ]


def _split(frame: pd.DataFrame) -> pd.Series:
    return frame["body"].str.lower().str.split().explode()


def _words(frame: pd.DataFrame) -> object:
    counts = _split(frame).value_counts()
    return counts[~counts.index.isin(list(stats.STOP_WORDS))]


def _words_by_channel(frame: pd.DataFrame) -> object:
    return _split(frame.set_index("channel")).groupby(level=0).value_counts()


def _word_pairs(frame: pd.DataFrame) -> object:
    words = _split(frame.reset_index(drop=True))
    table = pd.DataFrame({"word": words, "next_word": words.groupby(level=0).shift(-1)})
    return table.value_counts()


def _characteristic_words(frame: pd.DataFrame) -> object:
    words = _split(frame.set_index("channel"))
    table = pd.crosstab(words, words.index.to_numpy())
    there = table.to_numpy().sum(axis=1, keepdims=True) - table
    expected = 100 * table.to_numpy().sum(axis=1, keepdims=True) / table.to_numpy().sum()

    def log_odds(counts: Any) -> Any:
        return np.log((counts + expected) / (counts.sum() + 100 - counts - expected))

    difference = log_odds(table) - log_odds(there)
    z_scores = difference / np.sqrt(1 / (table + expected) + 1 / (there + expected))
    return {name: z_scores[name].nlargest(20) for name in z_scores}


def _found_links(frame: pd.DataFrame) -> pd.DataFrame:
    found = frame["body"].str.extractall(r"(https?://(?:www\.)?([^/\s]+)\S*)")
    return frame[["id", "channel", "author", "placed_at"]].join(found.droplevel(1), how="inner")


def _link_domains(frame: pd.DataFrame) -> object:
    groups = _found_links(frame).groupby(1)
    return groups.agg(
        links=("id", "size"), messages=("id", "nunique"), authors=("author", "nunique")
    )


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    found = frame["body"].str.findall(r"(?<![\w@.])@(\w[\w.-]*)")
    return frame[["author"]].assign(mentioned=found).explode("mentioned").dropna()


def _mentions(frame: pd.DataFrame) -> object:
    return _named(frame).value_counts()


def _most_mentioned(frame: pd.DataFrame) -> object:
    return _named(frame).groupby("mentioned")["author"].agg(["size", "nunique"])


def _emoji_in_texts(frame: pd.DataFrame) -> object:
    texts = frame["body"][~frame["body"].str.isascii()]
    return (
        texts.map(lambda text: [one["emoji"] for one in emoji.emoji_list(text)])
        .explode()
        .value_counts()
    )


def _questions(frame: pd.DataFrame) -> object:
    asked = frame[frame["body"].str.contains(r"\w\?(?:\s|$)") & ~frame["bot"]]
    links = frame[["reply_to", "author", "placed_at"]].set_axis(["id", "by", "at"], axis=1)
    replied = asked.merge(links.dropna(), on="id").query("author != by")["id"].unique()
    others = frame[~frame["bot"] & frame["reply_to"].isna()]
    near = pd.merge_asof(
        asked[["id", "channel", "author", "placed_at"]],
        others[["channel", "author", "placed_at"]].assign(at=others["placed_at"]),
        on="placed_at",
        by="channel",
        direction="forward",
        allow_exact_matches=False,
        tolerance=pd.Timedelta(hours=1),
    )
    return len(asked), asked["id"].isin(replied).mean(), near["at"].notna().mean()


def _lengths(frame: pd.DataFrame) -> object:
    kept = frame[frame["deleted_at"].isna()]
    table = pd.DataFrame(
        {
            "channel": kept["channel"],
            "characters": kept["body"].str.len(),
            "words": kept["body"].str.split().str.len(),
        }
    )
    groups = table.groupby("channel")
    return groups.agg(["size", "sum", "mean", "min", "max"]), groups.quantile(
        [0.1, 0.25, 0.5, 0.75, 0.9]
    )


def _changes(frame: pd.DataFrame, column: str) -> object:
    seconds = (frame[column] - frame["placed_at"]).dt.total_seconds()
    groups = seconds.groupby(frame["channel"])
    spread = groups.agg(["size", "count", "mean", "min", "max"])
    return spread, groups.quantile([0.1, 0.25, 0.5, 0.75, 0.9])


CHANGES: dict[str, tuple[Way, Way]] = {
    "edits": (
        lambda frame: stats.edits(frame, by="channel"),
        lambda frame: _changes(frame, "edited_at"),
    ),
    "deletions": (
        lambda frame: stats.deletions(frame, by="channel"),
        lambda frame: _changes(frame, "deleted_at"),
    ),
}
"""Statistics that need no text: name -> ours, the plain pandas way."""
TEXTS: dict[str, tuple[Way, Way]] = {
    "words": (stats.words, _words),
    "words by channel": (lambda frame: stats.words(frame, by="channel"), _words_by_channel),
    "word_pairs": (stats.word_pairs, _word_pairs),
    "characteristic_words": (stats.characteristic_words, _characteristic_words),
    "links": (stats.links, _found_links),
    "link_domains": (stats.link_domains, _link_domains),
    "mentions": (stats.mentions, _mentions),
    "most_mentioned": (stats.most_mentioned, _most_mentioned),
    "emoji_in_texts": (stats.emoji_in_texts, _emoji_in_texts),
    "questions": (stats.questions, _questions),
    "lengths": (lambda frame: stats.lengths(frame, by="channel"), _lengths),
}
"""Those that read the texts."""
