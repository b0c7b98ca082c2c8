"""Tidy frames of `chatkit.stats` -> plotly figures, one file a theme.

Figures need no network and read well on a light and on a dark page: backgrounds are transparent,
letters and lines of a middle grey. Names are other people's text: plotly would take tags in them
for its own markup, so they are escaped.
"""

from __future__ import annotations

from chatkit.plots.activity import authors_per_period, longest_streaks, retention_map
from chatkit.plots.balance import author_shares, talk_balance
from chatkit.plots.changes import change_shares, change_times
from chatkit.plots.conversations import (
    answer_times,
    conversation_lengths,
    conversation_starters,
    conversations_per_channel,
)
from chatkit.plots.emoji_use import reaction_balance, reaction_map, top_emoji
from chatkit.plots.lengths import message_lengths
from chatkit.plots.links import links_per_month, top_domains
from chatkit.plots.mentions import mention_map, top_mentioned
from chatkit.plots.network import talk_matrix, talk_network
from chatkit.plots.questions import answered_questions, question_waits
from chatkit.plots.rhythm import calendar_map, weekday_hour_map
from chatkit.plots.summary import numbers
from chatkit.plots.volume import (
    messages_per_author,
    messages_per_channel,
    messages_per_day,
    messages_per_minute,
    messages_per_period,
)
from chatkit.plots.words import telling_words, top_word_pairs, top_words

__all__ = [
    "answer_times",
    "answered_questions",
    "author_shares",
    "authors_per_period",
    "calendar_map",
    "change_shares",
    "change_times",
    "conversation_lengths",
    "conversation_starters",
    "conversations_per_channel",
    "links_per_month",
    "longest_streaks",
    "mention_map",
    "message_lengths",
    "messages_per_author",
    "messages_per_channel",
    "messages_per_day",
    "messages_per_minute",
    "messages_per_period",
    "numbers",
    "question_waits",
    "reaction_balance",
    "reaction_map",
    "retention_map",
    "talk_balance",
    "talk_matrix",
    "talk_network",
    "telling_words",
    "top_domains",
    "top_emoji",
    "top_mentioned",
    "top_word_pairs",
    "top_words",
    "weekday_hour_map",
]
