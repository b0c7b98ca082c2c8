"""What each term asks, in three ways that mean the same: filter, mask and predicate."""

from __future__ import annotations

import functools
import math
import re
import zoneinfo
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from chatkit.message import Message
from chatkit.query.days import Span, span, time_zone
from chatkit.query.terms import VALUES, Term
from chatkit.query.words import mentions, searchable

if TYPE_CHECKING:
    import pandas as pd

    from chatkit.fold import Folded

__all__ = ["Condition", "Document", "conditions"]

Document = dict[str, Any]
"""A MongoDB filter."""

_ONE_OF = ("channel", "from", "source", "on")
"""Keys of which a message has one value, so that either of several will do."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Written so that MongoDB and Python read them alike: neither flags nor classes that know Unicode.
_LINK = r"[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20]|(?<![A-Za-z0-9])[Ww][Ww][Ww]\.[^\x00-\x20.]"
_CODE = r"`[^`]+`"


class Condition(msgspec.Struct, frozen=True):
    """One thing to ask, in three ways that mean the same."""

    where: Document
    """Asked of a document: a MongoDB filter."""
    column: str
    """The column of a frame that holds the answer."""
    among: Callable[[pd.Series[Any]], Any]
    """Asked of that column: an array of booleans."""
    holds: Callable[[Message, Folded, int], bool]
    """Asked of a message, what people see of it, and when it was placed, ms since 1970 UTC."""


@functools.lru_cache(maxsize=64)
def conditions(terms: tuple[Term, ...], me: str, zone: str) -> tuple[Condition, ...]:
    """Return all that the terms of a query ask, channels and dates first.

    Parameters
    ----------
    terms : tuple of Term
        Of the query.
    me : str
        Who ``me`` is.
    zone : str
        Time zone of the days, a name of the IANA database.

    Raises
    ------
    InputError
        There is no such zone.
    """
    in_zone = time_zone(zone)
    either: dict[str, dict[str, None]] = {}
    found = []
    for term in terms:
        value = me if term.value == "me" and term.key in ("from", "mentions") else term.value
        if term.key in _ONE_OF and not term.negated:
            either.setdefault(term.key, {})[value] = None
        else:
            condition = _condition(term.key, (value,), in_zone)
            found.append(_not(condition) if term.negated else condition)
    found += [_condition(key, tuple(values), in_zone) for key, values in either.items()]
    first = ("channel", "placed_at")
    return tuple(sorted(found, key=lambda one: [one.column != name for name in first]))


def _condition(key: str, values: tuple[str, ...], zone: zoneinfo.ZoneInfo) -> Condition:
    value = values[0]
    if key in ("channel", "source"):
        return _one_of(key, values)
    if key == "from":
        return _one_of("author", values)
    if key == "mentions":
        return _naming(value)
    if key in VALUES:
        return _THINGS[key, value]
    if not key:
        return _containing(value)
    spans = [span(one, zone) for one in values]
    first, _ = spans[0]
    return _placed(spans if key == "on" else [(None, first) if key == "before" else (first, None)])


def _not(condition: Condition) -> Condition:
    return Condition(
        where={"$nor": [condition.where]},
        column=condition.column,
        among=lambda column: ~condition.among(column),
        holds=lambda *about: not condition.holds(*about),
    )


def _one_of(name: str, values: tuple[str, ...]) -> Condition:
    return Condition(
        where={name: values[0] if len(values) == 1 else {"$in": list(values)}},
        column=name,
        among=lambda column: column.isin(values).to_numpy(),
        holds=lambda message, *_: getattr(message, name) in values,
    )


def _placed(spans: Sequence[Span]) -> Condition:
    """Return what asks whether a message was placed in one of some times, their ends excluded."""
    ranges = [
        {name: at for name, at in (("$gte", first), ("$lt", end)) if at is not None}
        for first, end in spans
    ]
    wheres = [{"placed_at": one} for one in ranges]

    def among(column: pd.Series[Any]) -> Any:
        found = column != column
        for first, end in spans:
            within = column.notna()
            if first is not None:
                within &= column >= first
            if end is not None:
                within &= column < end
            found |= within
        return found.to_numpy()

    in_ms = [
        (-math.inf if first is None else _ms(first), math.inf if end is None else _ms(end))
        for first, end in spans
    ]
    return Condition(
        where=wheres[0] if len(wheres) == 1 else {"$or": wheres},
        column="placed_at",
        among=among,
        holds=lambda _message, _folded, placed_ms: any(
            first <= placed_ms < end for first, end in in_ms
        ),
    )


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _each(column: pd.Series[Any], test: Callable[[str], bool]) -> Any:
    """Return what a test says of each text in a column; what is missing fails it."""
    return column.map(lambda text: isinstance(text, str) and test(text)).to_numpy(dtype=bool)


def _containing(text: str) -> Condition:
    sought = searchable(text)

    def test(body: str) -> bool:
        return sought in searchable(body)

    # A regular expression ends at a NUL.
    pattern = re.escape(sought).replace("\0", r"\x00")
    return Condition(
        where={"search": {"$regex": pattern}},
        column="body",
        among=lambda column: _each(column, test),
        holds=lambda _message, folded, _ms: test(folded.body),
    )


def _like(pattern: str) -> Condition:
    """Return what asks whether a text has a place that matches a pattern of ours."""
    compiled = re.compile(pattern)

    def test(body: str) -> bool:
        return compiled.search(body) is not None

    return Condition(
        where={"body": {"$regex": pattern}},
        column="body",
        among=lambda column: _each(column, test),
        holds=lambda _message, folded, _ms: test(folded.body),
    )


def _naming(name: str) -> Condition:
    def test(body: str) -> bool:
        return name in mentions(body)

    return Condition(
        where={"mentions": name},
        column="body",
        among=lambda column: _each(column, test),
        holds=lambda _message, folded, _ms: test(folded.body),
    )


def _there(where: Document, column: str, find: Callable[[Message, Folded], object]) -> Condition:
    """Return what asks whether a message has something at all."""
    return Condition(
        where=where,
        column=column,
        among=lambda column: column.notna().to_numpy(),
        holds=lambda message, folded, _ms: find(message, folded) is not None,
    )


_THINGS = {
    ("has", "link"): _like(_LINK),
    ("has", "code"): _like(_CODE),
    ("has", "attachment"): _there(
        {"attachment": {"$ne": None}}, "attachment_name", lambda message, _: message.attachment
    ),
    ("has", "image"): Condition(
        where={"attachment.type": {"$regex": "^image/"}},
        column="attachment_type",
        among=lambda column: _each(column, lambda kind: kind.startswith("image/")),
        holds=lambda message, *_: (
            message.attachment is not None and message.attachment.type.startswith("image/")
        ),
    ),
    ("has", "reaction"): Condition(
        where={"reactions": {"$exists": True}},
        column="reactions",
        among=lambda column: (column > 0).to_numpy(),
        holds=lambda _message, folded, _ms: bool(folded.reactions),
    ),
    ("has", "mention"): Condition(
        where={"mentions.0": {"$exists": True}},
        column="body",
        among=lambda column: _each(column, lambda body: bool(mentions(body))),
        holds=lambda _message, folded, _ms: bool(mentions(folded.body)),
    ),
    # Asked as the partial indexes are made, so that they can serve.
    ("is", "reply"): _there(
        {"reply_to": {"$type": "string"}}, "reply_to", lambda message, _: message.reply_to
    ),
    ("is", "edited"): _there(
        {"edited_at": {"$exists": True}}, "edited_at", lambda _, folded: folded.edited_ms
    ),
    ("is", "pinned"): _there(
        {"pinned_at": {"$exists": True}}, "pinned_at", lambda _, folded: folded.pinned_ms
    ),
    ("is", "bot"): Condition(
        where={"bot": True},
        column="bot",
        among=lambda column: column.to_numpy(dtype=bool),
        holds=lambda message, *_: message.bot,
    ),
}
