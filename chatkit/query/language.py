"""A query, and the text that is one."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from chatkit.errors import InputError, QueryError
from chatkit.message import Message, check_channel_name
from chatkit.query.conditions import Document, conditions
from chatkit.query.days import Span, first_days, span, time_zone
from chatkit.query.terms import KEYS, VALUES, Term
from chatkit.query.tokens import Token, nearest, tokens

if TYPE_CHECKING:
    import pandas as pd

    from chatkit.fold import Folded

__all__ = ["QUERY_LIMIT", "Query", "parse"]

QUERY_LIMIT = 500
"""Characters that a query may have; MongoDB takes no regular expression above 32 KiB."""


class Query(msgspec.Struct, frozen=True):
    """What is asked of messages. Made by `parse`; ``str`` of it parses to the same.

    The same answer comes from the three methods that compile it. They all take:

    me : str
        Who ``me`` is.
    zone : str, default "UTC"
        Time zone of the days, a name of the IANA database.

    and raise InputError if there is no such zone. An empty query is false, and matches all but
    deleted messages.
    """

    terms: tuple[Term, ...] = ()
    """What a message must have, all of it."""

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def channels(self) -> tuple[str, ...]:
        """The only channels where it can match, each once; empty: it may in any."""
        found = [one.value for one in self.terms if one.key == "channel" and not one.negated]
        return tuple(dict.fromkeys(found))

    @property
    def columns(self) -> frozenset[str]:
        """The columns of a frame that its mask asks for."""
        asked = (one.column for one in conditions(self.terms, "", "UTC"))
        return frozenset(("deleted_at", *asked))

    def placed(self, zone: str = "UTC") -> tuple[datetime | None, datetime | None]:
        """Return when what matches was placed at the earliest, and before when; None: whenever.

        Raises
        ------
        InputError
            There is no such zone.
        """
        in_zone = time_zone(zone)
        days: dict[str, list[Span]] = {"after": [], "before": [], "on": []}
        for one in self.terms:
            if one.key in days and not one.negated:
                days[one.key].append(span(one.value, in_zone))
        firsts = [first for first, _ in days["after"] if first is not None]
        ends = [first for first, _ in days["before"] if first is not None]
        if days["on"]:  # any of them will do
            begun = [first for first, _ in days["on"] if first is not None]
            ended = [end for _, end in days["on"] if end is not None]
            firsts.append(min(begun))
            if len(ended) == len(begun):
                ends.append(max(ended))
        return max(firsts, default=None), min(ends, default=None)

    def without(self, *keys: str) -> Query:
        """Return the same query without the terms of some keys, but for negated ones."""
        return Query(tuple(one for one in self.terms if one.negated or one.key not in keys))

    def within(self, channel: str) -> Query:
        """Return the same query for one channel, whatever this one says of channels.

        Raises
        ------
        ChannelNameError
            The name can't be a channel's.
        """
        others = (one for one in self.terms if one.key != "channel")
        return Query((Term("channel", check_channel_name(channel)), *others))

    def to_filter(self, *, me: str, zone: str = "UTC") -> Document:
        """Return the MongoDB filter for documents of collection ``messages``.

        Channels and dates come first and outermost, where the index on channel and order serves.
        """
        where: Document = {}
        others: list[Document] = []
        for condition in conditions(self.terms, me, zone):
            asked = copy.deepcopy(condition.where)  # what we keep is not the caller's to change
            if where.keys() & asked.keys():
                others.append(asked)
            else:
                where |= asked
        return {**where, "deleted_at": None, **({"$and": others} if others else {})}

    def mask(self, frame: pd.DataFrame, *, me: str, zone: str = "UTC") -> pd.Series[bool]:
        """Return which rows of a frame match, as booleans on the frame's index.

        Parameters
        ----------
        frame : pandas.DataFrame
            Messages, with the columns of `chatkit.history.MESSAGE_SCHEMA` that are asked for.
        me, zone
            See the class.

        Raises
        ------
        InputError
            The frame lacks a column that is asked for, or there is no such zone.
        """
        import pandas as pd  # heavy, and who has a frame has it already

        # Row numbers, fewer with each condition: texts take the longest, and come last.
        rows = _column(frame, "deleted_at").isna().to_numpy().nonzero()[0]
        for condition in sorted(
            conditions(self.terms, me, zone), key=lambda one: one.column == "body"
        ):
            column = _column(frame, condition.column)
            rows = rows[condition.among(column if len(rows) == len(column) else column.iloc[rows])]
        mask = pd.Series(False, index=frame.index)
        mask.iloc[rows] = True
        return mask

    def matches(
        self, message: Message, folded: Folded, placed_ms: int, *, me: str, zone: str = "UTC"
    ) -> bool:
        """Return whether a message matches.

        Parameters
        ----------
        message : Message
            As it was sent.
        folded : Folded
            What people see of it: what is searched.
        placed_ms : int
            What it is ordered by, ms since 1970 UTC.
        me, zone
            See the class.
        """
        return folded.deleted_ms is None and all(
            condition.holds(message, folded, placed_ms)
            for condition in conditions(self.terms, me, zone)
        )


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame.columns:
        raise InputError(
            f"The frame has no column {name!r}, which the query asks for. Take a frame that "
            "chatkit.history.load returns, or give the query to it"
        )
    return frame[name]


def parse(text: str) -> Query:
    """Return the query that a text is.

    Parameters
    ----------
    text : str
        In the language that `chatkit.query` describes, up to `QUERY_LIMIT` characters. Empty:
        matches all that is not deleted.

    Raises
    ------
    QueryError
        It can't be parsed; the text points at the place.
    """
    if len(text) > QUERY_LIMIT:
        cut = text[:QUERY_LIMIT]
        raise QueryError(f"A query has at most {QUERY_LIMIT} characters", cut, QUERY_LIMIT)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError("This is half of a character", text, error.start) from error
    return Query(tuple(_term(token, text) for token in tokens(text)))


def _term(token: Token, text: str) -> Term:
    if token.key and token.key not in KEYS:
        raise QueryError(
            f"There is no key {token.key}; did you mean {nearest(token.key)}? Keys are "
            f"{', '.join(KEYS)}. To look for the text, put it in quotes",
            text,
            token.key_at,
        )
    try:
        return Term(token.key, _value(token), token.negated)
    except ValueError as error:
        raise QueryError(str(error), text, token.value_at) from error


def _value(token: Token) -> str:
    """Return the value of a term, or raise ValueError, which says what is wrong with it."""
    key, value = token.key, token.value
    if not token.closed:
        raise ValueError('This quote is not closed: put a " behind the phrase')
    if not value:
        raise ValueError(
            f"Put what {key}: asks for right here" if key else "These quotes are empty"
        )
    if key == "channel":
        return check_channel_name((value if token.quoted else value.removeprefix("#")).lower())
    if key in ("from", "mentions") and not token.quoted and len(value) > 1:
        return value.removeprefix("@")
    if key in ("before", "after", "on"):
        first_days(value)
    if key in VALUES:
        value = value.lower()
        if value not in VALUES[key]:
            raise ValueError(f"There is no {key}:{value}; there is {', '.join(VALUES[key])}")
    return value
