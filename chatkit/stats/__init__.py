"""Statistics: a frame of messages -> tidy frames, one file a theme.

Functions take the frame that `chatkit.history.load` returns, leave it as it is, and do no I/O.
Those that have a ``query`` take a `MessageStore` too: the archive then counts itself, and the table
is the same. What programs wrote counts as well; `people` and `bots` part a frame.
"""

from __future__ import annotations

from chatkit.stats.activity import active_authors, retention, streaks
from chatkit.stats.balance import balance
from chatkit.stats.changes import deletions, edits
from chatkit.stats.conversations import conversation_summary, conversations, starters
from chatkit.stats.counting import bots, people
from chatkit.stats.emoji_use import (
    emoji_in_texts,
    reaction_emoji,
    reaction_pairs,
    reactions_per_author,
)
from chatkit.stats.lengths import lengths
from chatkit.stats.links import link_domains, links
from chatkit.stats.mentions import mentions, most_mentioned
from chatkit.stats.network import edges, to_graph
from chatkit.stats.questions import question_list, questions
from chatkit.stats.responses import response_times, responses
from chatkit.stats.rhythm import calendar, weekday_hours
from chatkit.stats.stop_words import ENGLISH, GERMAN, STOP_WORDS
from chatkit.stats.summary import summary
from chatkit.stats.volume import per_author, per_channel, per_day, per_period
from chatkit.stats.words import characteristic_words, word_pairs, words

__all__ = [
    "ENGLISH",
    "GERMAN",
    "STOP_WORDS",
    "active_authors",
    "balance",
    "bots",
    "calendar",
    "characteristic_words",
    "conversation_summary",
    "conversations",
    "deletions",
    "edges",
    "edits",
    "emoji_in_texts",
    "lengths",
    "link_domains",
    "links",
    "mentions",
    "most_mentioned",
    "people",
    "per_author",
    "per_channel",
    "per_day",
    "per_period",
    "question_list",
    "questions",
    "reaction_emoji",
    "reaction_pairs",
    "reactions_per_author",
    "response_times",
    "responses",
    "retention",
    "starters",
    "streaks",
    "summary",
    "to_graph",
    "weekday_hours",
    "word_pairs",
    "words",
]
