"""The statistics that explorer and report show, each with its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from chatkit import plots, stats

__all__ = ["BLOCKS", "Block"]


@dataclass(frozen=True, eq=False)
class Block:
    """A statistic, how it is drawn, and what it is called with."""

    title: str
    statistic: Callable[..., pd.DataFrame]
    picture: Callable[..., go.Figure]
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the statistic is called with beside the frame."""
    of_reactions: bool = False
    """Whether it takes the frame of `chatkit.history.load_reactions`."""

    @property
    def about(self) -> str:
        """One sentence on what it is."""
        first = " ".join(str(self.statistic.__doc__).strip().split("\n\n")[0].split())
        told = first.removeprefix("Return ")
        return told[0].upper() + told[1:]

    def table(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the statistic of a frame."""
        return self.statistic(frame, **self.options)

    def figure(self, table: pd.DataFrame) -> go.Figure:
        """Return its picture."""
        return self.picture(table)

    def code(self) -> str:
        """Return the expression that makes the table."""
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"stats.{self.statistic.__name__}(frame{options})"


def _per_channel(**more: Any) -> Mapping[str, Any]:
    return {"by": "channel", **more}


BLOCKS = (
    Block("Numbers by channel", stats.summary, plots.numbers, _per_channel()),
    Block("Messages per week", stats.per_period, plots.messages_per_period, {"period": "week"}),
    Block("Messages per day", stats.per_day, plots.messages_per_day),
    Block("Channels", stats.per_channel, plots.messages_per_channel),
    Block("Authors", stats.per_author, plots.messages_per_author),
    Block("Shares of authors", stats.per_author, plots.author_shares),
    Block("Weekdays and hours", stats.weekday_hours, plots.weekday_hour_map),
    Block("Calendar", stats.calendar, plots.calendar_map),
    Block("Active, new, returning", stats.active_authors, plots.authors_per_period),
    Block("Who stays", stats.retention, plots.retention_map),
    Block("Streaks", stats.streaks, plots.longest_streaks),
    Block("Conversations", stats.conversations, plots.conversation_lengths),
    Block("Who starts them", stats.starters, plots.conversation_starters),
    Block("Conversations by channel", stats.conversation_summary, plots.conversations_per_channel),
    Block("Time to an answer", stats.response_times, plots.answer_times),
    Block("Who talks with whom", stats.edges, plots.talk_network),
    Block("The same as a matrix", stats.edges, plots.talk_matrix),
    Block("Balance of channels", stats.balance, plots.talk_balance),
    Block("Questions", stats.questions, plots.answered_questions, _per_channel()),
    Block("Words", stats.words, plots.top_words),
    Block("Word pairs", stats.word_pairs, plots.top_word_pairs),
    Block("Words of each channel", stats.characteristic_words, plots.telling_words),
    Block("Lengths", stats.lengths, plots.message_lengths, _per_channel()),
    Block("Links", stats.link_domains, plots.top_domains),
    Block("Mentions", stats.most_mentioned, plots.top_mentioned),
    Block("Who mentions whom", stats.mentions, plots.mention_map),
    Block("Emoji in texts", stats.emoji_in_texts, plots.top_emoji),
    Block("Reactions", stats.reaction_emoji, plots.top_emoji, of_reactions=True),
    Block("Who reacts", stats.reactions_per_author, plots.reaction_balance, of_reactions=True),
    Block("Who reacts to whom", stats.reaction_pairs, plots.reaction_map, of_reactions=True),
    Block("Edits", stats.edits, plots.change_shares, _per_channel()),
    Block("Time to an edit", stats.edits, plots.change_times, _per_channel()),
    Block("Deletions", stats.deletions, plots.change_shares, _per_channel()),
)
