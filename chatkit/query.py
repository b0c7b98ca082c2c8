"""One query language, for the search box, the command line, history and statistics.

::

    channel:general from:ana before:2026-02-01 after:2026-01 has:link -from:bot "exact phrase" word

A query is terms with spaces between them, and a message matches if it has all of them; a deleted
message matches none. A term is a word, a phrase in ``"`` quotes, or a key with its value, as in
``from:ana`` or ``from:"Ana Maria"``; in quotes, ``""`` is a quote. A ``-`` before a term asks for
what does not have it. `KEYS` says what the keys mean, `VALUES` what may follow ``has:`` and
``is:``.

- Words and phrases are looked for anywhere in the text, within words too, without regard to case
  and to how a character is written (`searchable`). Names are taken as they are written.
- A message is in one channel, by one author, from one source and of one day: where one of
  ``channel:``, ``from:``, ``source:`` or ``on:`` is there more than once, either will do. With a
  ``-``, and of all other keys, each counts.
- A date is a year, a month or a day in one time zone: ``2026``, ``2026-01`` or ``2026-01-31``.
  ``before:`` ends where it begins, ``after:`` begins where it begins, ``on:`` is all of it. So
  ``after:2026-01 before:2026-02`` is January.
- ``me`` is whoever asks. ``#`` before a channel's name and ``@`` before a person's may be there,
  but not in quotes.
- Letters before a ``:`` are a key if there is such a key. If they only look like one, that is an
  error, since it was probably meant. All else, such as ``12:30`` or ``http://x``, is a word, and
  whatever is in quotes is a phrase.

A query means the same as a MongoDB filter, as a mask over a frame and asked of one message. Pure:
it knows MongoDB's filters, but no client.
"""

from __future__ import annotations

import copy
import difflib
import functools
import math
import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from chatkit.errors import InputError, QueryError
from chatkit.message import Message, check_channel_name

if TYPE_CHECKING:
    import pandas as pd

    from chatkit.fold import Folded

__all__ = [
    "KEYS",
    "QUERY_LIMIT",
    "VALUES",
    "Completion",
    "Query",
    "Term",
    "complete",
    "mentions",
    "parse",
    "searchable",
    "time_zone",
]

Document = dict[str, Any]

QUERY_LIMIT = 500
"""Characters that a query may have; MongoDB takes no regular expression above 32 KiB."""

KEYS = {
    "channel": "in this channel",
    "from": "written by this person",
    "mentions": "names this person with an @",
    "before": "placed before this day, month or year",
    "after": "placed on or after this day, month or year",
    "on": "placed on this day, or in this month or year",
    "has": "holds such a thing",
    "is": "is of this kind",
    "source": "written in chat, or imported from this format",
}
"""Key -> what a message is that has it. ``in`` is ``channel``."""

VALUES = {
    "has": {
        "link": "a link to a page",
        "code": "code between backticks",
        "attachment": "a file",
        "image": "a picture",
        "reaction": "somebody's reaction",
        "mention": "somebody's name after an @",
    },
    "is": {
        "reply": "answers another message",
        "edited": "was edited",
        "pinned": "is pinned",
        "bot": "was written by a program",
    },
}
"""Key -> the values that it may have -> what they mean."""

_ALIASES = {**{key: key for key in KEYS}, "in": "channel"}
_MEANT = {
    "author": "from",
    "by": "from",
    "date": "on",
    "room": "channel",
    "sender": "from",
    "since": "after",
    "until": "before",
    "user": "from",
}
"""Keys of other languages -> ours."""
_ONE_OF = ("channel", "from", "source", "on")
"""Keys of which a message has one value, so that either of several will do."""
_COMPLETIONS = 20
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Written so that MongoDB and Python read them alike: neither flags nor classes that know Unicode.
_LINK = r"[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20]|(?<![A-Za-z0-9])[Ww][Ww][Ww]\.[^\x00-\x20.]"
_CODE = r"`[^`]+`"
_MENTION = re.compile(r"(?<![\w@.])@(\w[\w.-]*)")
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_SPACE = re.compile(r"\s*")
_HEAD = re.compile(r"(-(?=\S))?(?:([A-Za-z]+):)?")
_QUOTED = re.compile(r'"((?:[^"]|"")*+)("?)')
_BARE = re.compile(r"\S*")
_PLAIN = re.compile(r"\w[\w.-]*")
"""What can be written without quotes; of all that could, so much that people can read it."""


def searchable(body: str) -> str:
    """Return a text as it is searched: NFKC, case-folded."""
    if body.isascii():
        return body.lower()
    return unicodedata.normalize("NFKC", body).casefold()


def mentions(body: str) -> list[str]:
    """Return the names after ``@`` in a text, each once, in order."""
    if "@" not in body:
        return []
    return list(dict.fromkeys(name.rstrip(".-") for name in _MENTION.findall(body)))


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """Return the time zone of a name in the IANA database.

    Raises
    ------
    InputError
        There is none.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"There is no time zone {name!r}; names look like 'UTC' or 'Europe/Vienna'"
        ) from error


class Term(msgspec.Struct, frozen=True):
    """One thing that a query asks for."""

    key: str
    """One of `KEYS`; empty: a word or phrase."""
    value: str
    """What is asked for, without quotes."""
    negated: bool = False
    """Whether messages are wanted that do not have it."""

    def __str__(self) -> str:
        sign, key = "-" if self.negated else "", f"{self.key}:" if self.key else ""
        return f"{sign}{key}{_written(self.value)}"


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
        for condition in _conditions(self, me, zone):
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
            Messages, with the columns of `chatkit.history.MESSAGE_SCHEMA` that are asked for. For
            ``is:pinned`` with ``pinned_at``, for ``has:reaction`` with ``reactions``, how many.
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
        for condition in sorted(_conditions(self, me, zone), key=lambda one: one.column == "body"):
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
            condition.holds(message, folded, placed_ms) for condition in _conditions(self, me, zone)
        )


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame.columns:
        raise InputError(
            f"The frame has no column {name!r}, which the query asks for. Take a frame that "
            "chatkit.history.load returns, or give the query to it"
        )
    return frame[name]


# Parsing.


class _Token(msgspec.Struct, frozen=True):
    """A term as it is written, whether that makes sense or not."""

    negated: bool
    key: str
    key_at: int
    value: str
    value_at: int
    end: int
    quoted: bool
    closed: bool


def parse(text: str) -> Query:
    """Return the query that a text is.

    Parameters
    ----------
    text : str
        In the language that this module describes, up to `QUERY_LIMIT` characters. Empty: matches
        all that is not deleted.

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
    return Query(tuple(_term(token, text) for token in _tokens(text)))


def _tokens(text: str) -> Iterator[_Token]:
    at = _end(_SPACE, text, 0)
    while at < len(text):
        head = _HEAD.match(text, at)
        assert head is not None  # it may be empty
        key = _key(head[2] or "", text[head.end() :])
        value_at = head.end() if key else at + len(head[1] or "")
        quoted = _QUOTED.match(text, value_at)
        end = quoted.end() if quoted else _end(_BARE, text, value_at)
        yield _Token(
            negated=bool(head[1]),
            key=key,
            key_at=at + len(head[1] or ""),
            value=quoted[1].replace('""', '"') if quoted else text[value_at:end],
            value_at=value_at,
            end=end,
            quoted=quoted is not None,
            closed=quoted is None or bool(quoted[2]),
        )
        at = _end(_SPACE, text, end)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None  # it may be empty
    return found.end()


def _key(word: str, rest: str) -> str:
    """Return the key that a word before a colon is or was meant to be, else nothing."""
    name = word.lower()
    if name in _ALIASES:
        return _ALIASES[name]
    return name if _nearest(name) and not rest.startswith("//") else ""


def _nearest(name: str) -> str | None:
    """Return the key that was probably meant by a word that is none."""
    if name in _MEANT:
        return _MEANT[name]
    # Of two letters, one wrong is another word.
    long = [key for key in KEYS if len(key) > 2]
    return next(iter(difflib.get_close_matches(name, long, 1, 0.7)), None)


def _term(token: _Token, text: str) -> Term:
    if token.key and token.key not in KEYS:
        raise QueryError(
            f"There is no key {token.key}; did you mean {_nearest(token.key)}? Keys are "
            f"{', '.join(KEYS)}. To look for the text, put it in quotes",
            text,
            token.key_at,
        )
    try:
        return Term(token.key, _value(token), token.negated)
    except ValueError as error:
        raise QueryError(str(error), text, token.value_at) from error


def _value(token: _Token) -> str:
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
        _first_days(value)
    if key in VALUES:
        value = value.lower()
        if value not in VALUES[key]:
            raise ValueError(f"There is no {key}:{value}; there is {', '.join(VALUES[key])}")
    return value


def _written(value: str) -> str:
    """Return a value as it is written in a query, in quotes where it needs them."""
    return value if _PLAIN.fullmatch(value) else '"' + value.replace('"', '""') + '"'


def _first_days(value: str) -> tuple[date, date | None]:
    """Return the first day of a year, month or day, and of the next; None after year 9999."""
    found = _DATE.fullmatch(value)
    if not found:
        raise ValueError("A date is a year, month or day, such as 2026, 2026-01 or 2026-01-31")
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        first = date(year or 0, month or 1, day or 1)
    except ValueError:
        raise ValueError(f"There is no such date as {value}") from None
    try:
        if day:
            return first, first + _DAY
        # The day that is surely in the next one, taken back to its first.
        long = first.replace(day=28) + 4 * _DAY if month else first.replace(month=12, day=31) + _DAY
        return first, long.replace(day=1)
    except OverflowError:
        return first, None


# Compiling.


class _Condition(msgspec.Struct, frozen=True):
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
def _conditions(query: Query, me: str, zone: str) -> tuple[_Condition, ...]:
    """Return all that a query asks, channels and dates first."""
    in_zone = time_zone(zone)
    either: dict[str, dict[str, None]] = {}
    found = []
    for term in query.terms:
        value = me if term.value == "me" and term.key in ("from", "mentions") else term.value
        if term.key in _ONE_OF and not term.negated:
            either.setdefault(term.key, {})[value] = None
        else:
            condition = _condition(term.key, (value,), in_zone)
            found.append(_not(condition) if term.negated else condition)
    found += [_condition(key, tuple(values), in_zone) for key, values in either.items()]
    first = ("channel", "placed_at")
    return tuple(sorted(found, key=lambda one: [one.column != name for name in first]))


_Span = tuple[datetime | None, datetime | None]


def _condition(key: str, values: tuple[str, ...], zone: zoneinfo.ZoneInfo) -> _Condition:
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
    spans = [_span(one, zone) for one in values]
    first, _ = spans[0]
    return _placed(spans if key == "on" else [(None, first) if key == "before" else (first, None)])


def _span(value: str, zone: zoneinfo.ZoneInfo) -> _Span:
    """Return when a year, month or day begins and ends; no end: with year 9999."""
    first, following = _first_days(value)
    return _begins(first, zone), None if following is None else _begins(following, zone)


def _begins(day: date, zone: zoneinfo.ZoneInfo) -> datetime:
    """Return when a day begins in a zone, in UTC; years 1 to 9999 are all there is."""
    try:
        # Where clocks skip midnight, or have it twice, this is the day's first moment.
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _not(condition: _Condition) -> _Condition:
    return _Condition(
        where={"$nor": [condition.where]},
        column=condition.column,
        among=lambda column: ~condition.among(column),
        holds=lambda *about: not condition.holds(*about),
    )


def _one_of(name: str, values: tuple[str, ...]) -> _Condition:
    return _Condition(
        where={name: values[0] if len(values) == 1 else {"$in": list(values)}},
        column=name,
        among=lambda column: column.isin(values).to_numpy(),
        holds=lambda message, *_: getattr(message, name) in values,
    )


def _placed(spans: Sequence[_Span]) -> _Condition:
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
    return _Condition(
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


def _containing(text: str) -> _Condition:
    sought = searchable(text)

    def test(body: str) -> bool:
        return sought in searchable(body)

    # A regular expression ends at a NUL.
    pattern = re.escape(sought).replace("\0", r"\x00")
    return _Condition(
        where={"search": {"$regex": pattern}},
        column="body",
        among=lambda column: _each(column, test),
        holds=lambda _message, folded, _ms: test(folded.body),
    )


def _like(pattern: str) -> _Condition:
    """Return what asks whether a text has a place that matches a pattern of ours."""
    compiled = re.compile(pattern)

    def test(body: str) -> bool:
        return compiled.search(body) is not None

    return _Condition(
        where={"body": {"$regex": pattern}},
        column="body",
        among=lambda column: _each(column, test),
        holds=lambda _message, folded, _ms: test(folded.body),
    )


def _naming(name: str) -> _Condition:
    def test(body: str) -> bool:
        return name in mentions(body)

    return _Condition(
        where={"mentions": name},
        column="body",
        among=lambda column: _each(column, test),
        holds=lambda _message, folded, _ms: test(folded.body),
    )


def _there(where: Document, column: str, find: Callable[[Message, Folded], object]) -> _Condition:
    """Return what asks whether a message has something at all."""
    return _Condition(
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
    ("has", "image"): _Condition(
        where={"attachment.type": {"$regex": "^image/"}},
        column="attachment_type",
        among=lambda column: _each(column, lambda kind: kind.startswith("image/")),
        holds=lambda message, *_: (
            message.attachment is not None and message.attachment.type.startswith("image/")
        ),
    ),
    ("has", "reaction"): _Condition(
        where={"reactions": {"$exists": True}},
        column="reactions",
        among=lambda column: (column > 0).to_numpy(),
        holds=lambda _message, folded, _ms: bool(folded.reactions),
    ),
    ("has", "mention"): _Condition(
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
    ("is", "bot"): _Condition(
        where={"bot": True},
        column="bot",
        among=lambda column: column.to_numpy(dtype=bool),
        holds=lambda message, *_: message.bot,
    ),
}


# Completing.


class Completion(msgspec.Struct, frozen=True):
    """What a search box may offer."""

    text: str
    """What to write instead of what is between start and end."""
    start: int
    """Where in the query that begins, from 0."""
    end: int
    """Where it ends, itself not included."""
    about: str = ""
    """What it means."""


def complete(
    text: str, cursor: int, *, channels: Sequence[str], people: Sequence[str]
) -> list[Completion]:
    """Return how the term at the cursor may go on, at most 20 ways, those that begin so first.

    Parameters
    ----------
    text : str
        A query, finished or not.
    cursor : int
        Where the cursor is in it, from 0 to its length.
    channels, people : sequence of str
        Names to offer, the likeliest first.

    Returns
    -------
    list of Completion
        Keys, or the values of the key at the cursor; none within a phrase or a date.
    """
    token = next((one for one in _tokens(text) if one.key_at <= cursor <= one.end), None)
    if token is None:
        return _offered(KEYS, "", cursor, cursor)
    if token.key and cursor >= token.value_at:
        return _values(text, token, cursor, channels, people)
    if token.quoted and not token.key:
        return []
    # A minus that stands alone is a word, but is about to be more.
    start = token.key_at + (text[token.key_at : token.end] == "-")
    end = token.value_at if token.key else token.end
    if cursor <= start:  # before a term, not in it
        end = start = cursor
    return _offered(KEYS, text[start:cursor], start, end)


def _values(
    text: str, token: _Token, cursor: int, channels: Sequence[str], people: Sequence[str]
) -> list[Completion]:
    known: dict[str, str] = VALUES.get(token.key, {})
    if token.key == "channel":
        known = dict.fromkeys(channels, "")
    elif token.key in ("from", "mentions"):
        known = {"me": "whoever asks", **dict.fromkeys(people, "")}
    partial = text[token.value_at : cursor].lstrip('"#@')
    # Without its end, a quote reaches over all that follows.
    end = token.end if token.closed else cursor
    return _offered(known, partial, token.value_at, end)


def _offered(known: Mapping[str, str], partial: str, start: int, end: int) -> list[Completion]:
    sought = searchable(partial)
    found = [name for name in known if sought in searchable(name)]
    found.sort(key=lambda name: not searchable(name).startswith(sought))
    colon = ":" if known is KEYS else ""
    return [
        Completion(f"{_written(name)}{colon}", start, end, known[name])
        for name in found[:_COMPLETIONS]
    ]
