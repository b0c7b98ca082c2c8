"""Who put which emoji under which message: one row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pymongo
from bson.datetime_ms import DatetimeMS

from chatkit.history.frames import in_zone
from chatkit.history.loading import ask
from chatkit.query import Query
from chatkit.segments.columns import DATE
from chatkit.segments.rows import READ_SECONDS
from chatkit.store import MessageStore

__all__ = ["REACTION_SCHEMA", "load_reactions"]

_TEXT = pa.large_string()
REACTION_SCHEMA = pa.schema(
    [
        pa.field("id", _TEXT, nullable=False),
        pa.field("channel", _TEXT, nullable=False),
        pa.field("author", _TEXT, nullable=False),
        pa.field("placed_at", DATE, nullable=False),
        pa.field("emoji", _TEXT, nullable=False),
        pa.field("actor", _TEXT, nullable=False),
    ]
)
"""The columns of reactions, as Arrow types: a message's id, channel, author and time, an emoji, and
who put it there."""


def load_reactions(
    store: MessageStore,
    query: Query | str = "",
    *,
    channel: str | Sequence[str] | None = None,
    zone: str = "UTC",
    me: str | None = None,
) -> pd.DataFrame:
    """Return the reactions that archived messages have now, as one row for each emoji and person.

    Parameters
    ----------
    store : MessageStore
        Where to read; stays open.
    query : Query or str, default ""
        To which messages, in the query language of `chatkit.query`. Empty: to all.
    channel : str or sequence of str, optional
        Only in these channels. Default: in all.
    zone : str, default "UTC"
        Time zone of the dates, also of those in the query, a name of the IANA database.
    me : str, optional
        Who ``me`` in the query is. Default: the user of the store's settings.

    Returns
    -------
    pandas.DataFrame
        Columns of `REACTION_SCHEMA`, texts as ``str`` and ``placed_at``, when the message was
        placed, as ``datetime64[ms, zone]``; by ``placed_at``, ``id`` and, of one message, in the
        order of reacting for each emoji. When somebody reacted is told by collection ``events``.

    Raises
    ------
    InputError, QueryError, ChannelNameError, StoreUnavailableError
        As for `load`.
    """
    asked = ask(store, query, channel=channel, limit=None, zone=zone, me=me)
    where = {"$and": [{"reactions": {"$exists": True}, "rev": {"$gt": 0}}, asked.where]}
    fields = ("_id", "channel", "author", "placed_at")
    shown = dict.fromkeys((*fields, "reactions"), 1)
    columns: dict[str, list[Any]] = {name: [] for name in REACTION_SCHEMA.names}
    with store.answering(), pymongo.timeout(READ_SECONDS):
        found = store.messages.find({**where, **asked.sole_channel}, shown)
        for message in found.sort([("placed_at", 1), ("_id", 1)]).allow_disk_use(True):
            values = [message[name] for name in fields]
            values[3] = int(DatetimeMS(values[3]))
            for emoji, actors in message["reactions"].items():
                for actor in actors:
                    for name, value in zip(columns, (*values, emoji, actor), strict=True):
                        columns[name].append(value)
    arrays = [pa.array(columns[field.name], field.type) for field in REACTION_SCHEMA]
    table = in_zone(pa.table(arrays, schema=REACTION_SCHEMA), zone)
    frame: pd.DataFrame = table.to_pandas()
    return frame
