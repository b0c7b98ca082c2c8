"""Tables of messages, as CSV or JSON Lines -> messages and events.

A row is a message. Which column is what is said with ``columns``, or guessed from common names; a
note tells what was guessed. There can be:

- ``author``, ``body`` and ``sent_at``, which there must be. A time is ISO 8601, or a number since
  1970 whose size tells whether it counts seconds, ms, microseconds or nanoseconds. The numbers of a
  file have one unit: that of most of them; rows with another are skipped as lost, and a note says
  which it was. Date and time in two columns: ``"sent_at": "date+time"``.
- ``channel``, else all goes to the channel that is named.
- ``id``, and ``reply_to`` with the id of a row of the same channel.
- ``bot``: yes or no, in any of the usual ways.
- ``edited_at``: then there is an edit event with the text that there is, since the older is not
  told; ``deleted_at`` and ``pinned_at``: an event of the author's.
- ``file``: what a file is called, which becomes a line of the text.

In JSON Lines ``user.name`` is a value in an object in the row. Of CSV the delimiter is told by the
first rows, and texts in quotes may have several lines. A row with too few or too many cells is
skipped as lost; a quote that never ends costs its line only.

A table that was exported here (all its columns are there, and none was chosen by hand) comes back
whole: messages keep their ids, what they answer and where they were written. But those of chatkit
itself say ``table``, since the archive orders those by when Kafka got them, which would be now; of
a file only the name is left, and of reactions nothing, for the table has only their number.

Other ids come from the channel, the row's id, time and author, so that two files that both count
from 1 don't mix; and without an id from time, author, text, and which such row it is. They don't
depend on other columns or the order of rows of different times. Rows are put in order in a
temporary database on disk: they may stand in any order, and memory stays flat.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from chatkit.errors import InputError
from chatkit.importers import (
    CHANNEL_LIMIT,
    ImportedChannel,
    Item,
    author_name,
    channel_name,
    stable_id,
)
from chatkit.importers.reading import (
    Place,
    Repeats,
    checked,
    files_in,
    messages_of,
    shown,
    time_zone,
)
from chatkit.importers.table.columns import Columns, check_columns, find
from chatkit.importers.table.rows import Dialect, Table, open_table
from chatkit.importers.table.staging import Entry, Staged, Staging
from chatkit.importers.table.times import ISO, UNITS, When, parse
from chatkit.message import Delete, Edit, Message, Pin, check_channel_name

__all__ = ["channels", "read"]

SOURCE = "table"
DELETED = "(deleted)"
"""Text of a message whose own is gone, until its deletion takes it away."""
YES = {"true", "t", "yes", "y", "1", "bot", "1.0"}
NO = {"false", "f", "no", "n", "0", "", "0.0"}
AUTHORS = 10_000  # whose names are remembered
NOTHING = {"", "0", "null", "none", "nan", "<na>"}
PATTERN = "*.[cjtn][sd][vjo]*"  # .csv, .tsv, .jsonl, .ndjson, .json


def channels(
    paths: Sequence[Path],
    *,
    channel: str | None = None,
    columns: Mapping[str, str] | None = None,
    zone: str = "UTC",
    unit: str | None = None,
    delimiter: str | None = None,
    quote: str = '"',
    header: bool = True,
    encoding: str = "utf-8",
) -> list[ImportedChannel]:
    """Return the channels of tables, sorted by name; takes the arguments of :func:`read`.

    Where no channel is named, the files are read whole.

    Returns
    -------
    list of ImportedChannel
        With the names that :func:`read` uses.

    Raises
    ------
    InputError, ImportFormatError, ChannelNameError
        As :func:`read` does.
    """
    dialect = Dialect(delimiter=delimiter, quote=quote, header=header, encoding=encoding)
    importing = _Importing(paths, channel, columns or {}, zone, unit, dialect)
    if channel is not None:
        return [ImportedChannel(name=channel, source_name=channel)]
    names = _channel_names(importing.channel_names())
    return sorted(
        (ImportedChannel(name=name, source_name=source) for source, name in names.items()),
        key=lambda found: found.name,
    )


def read(
    paths: Sequence[Path],
    *,
    channel: str | None = None,
    columns: Mapping[str, str] | None = None,
    zone: str = "UTC",
    unit: str | None = None,
    delimiter: str | None = None,
    quote: str = '"',
    header: bool = True,
    encoding: str = "utf-8",
) -> Iterator[Item]:
    """Return what is in tables, channel by channel, in each the messages oldest first.

    Parameters
    ----------
    paths : sequence of Path
        CSV or JSON Lines files.
    channel : str, optional
        Where all goes. Default: as the channel column tells.
    columns : mapping of str to str, optional
        Which column is what, such as ``{"author": "nick"}``; an empty name: no column. Default:
        what is not said is guessed.
    zone : str, default "UTC"
        Time zone of times that tell none, a name of the IANA database.
    unit : {"s", "ms", "us", "ns"}, optional
        Of times that are numbers. Default: their size tells.
    delimiter : str, optional
        Between the cells of CSV, or ``tab``. Default: the first rows tell.
    quote : str, default '"'
        Around cells of CSV; empty: none has quotes.
    header : bool, default True
        Whether the first row of CSV has the columns' names; else they are ``1``, ``2``, ...
    encoding : str, default "utf-8"
        Of files without a byte order mark.

    Returns
    -------
    iterator of Message, Event, Skipped or Mended
        Every message and event can be encoded. Positions in notes are lines, from 0. The events
        of a message come right behind it.

    Raises
    ------
    InputError
        There is no such file, zone, unit or column, or nothing names the channel.
    ImportFormatError
        A file is no table, or nothing tells author, text or time.
    ChannelNameError
        ``channel`` can't be a channel's name. All are raised at once, not while iterating.
    """
    dialect = Dialect(delimiter=delimiter, quote=quote, header=header, encoding=encoding)
    return _Importing(paths, channel, columns or {}, zone, unit, dialect).items()


class _Importing:
    """One import: which files, and how they are to be read."""

    def __init__(
        self,
        paths: Sequence[Path],
        channel: str | None,
        columns: Mapping[str, str],
        zone: str,
        unit: str | None,
        dialect: Dialect,
    ) -> None:
        check_columns(columns)
        if channel is not None:
            check_channel_name(channel)
        if unit is not None and unit not in UNITS:
            raise InputError(f"{unit!r} is no unit of time: it is one of {', '.join(UNITS)}")
        self._zone: ZoneInfo = time_zone(zone)
        self._unit = unit
        self._author_name = lru_cache(AUTHORS)(author_name)
        self._channel = channel
        found = [path for path, _ in files_in(paths, PATTERN)]
        tables = [open_table(path, _with_delimiter(dialect)) for path in found]
        # A file with nothing in it is no reason to refuse the others.
        self._empty = [table.path.name for table in tables if not table.columns]
        self._tables = [
            (table, find(table.columns, columns, table.path.name))
            for table in tables
            if table.columns
        ]
        for table, known in self._tables:
            if channel is None and "channel" not in known.names:
                raise InputError(
                    f"Nothing in {table.path.name} tells the channel: name one for all, or say "
                    'which column tells it, such as columns={"channel": "room"}'
                )

    def channel_names(self) -> set[str]:
        """Return what is in the channel columns."""
        names = set()
        for table, known in self._tables:
            try:
                for row in table.rows():
                    if isinstance(row, tuple):
                        names.add(_text(row[1], known, "channel"))
            except (OSError, UnicodeError):
                pass  # told when it is read
        return names - {""}

    def items(self) -> Iterator[Item]:
        """Yield all that there is."""
        with closing(Staging()) as staging:
            for name in self._empty:
                yield Place(name).skipped("empty", "file")
            for number, (table, known) in enumerate(self._tables):
                yield from self._fill(staging, number, table, known)
            staging.settle()
            yield from self._one_unit_each(staging)
            names = _channel_names(staging.channels())
            for source, name in sorted(names.items(), key=lambda item: item[1]):
                if name != source:
                    place = Place(source if source.isprintable() else shown(source))
                    yield place.mended("channel has another name here", name)
                reading = _Channel(staging, source, name)
                for staged in staging.entries(source):
                    table, known = self._tables[staged.file]
                    place = Place(table.path.name, staged.line)
                    ours = known.ours and self._channel is None
                    yield from reading.items(staged, place, ours)

    def _fill(self, staging: Staging, number: int, table: Table, known: Columns) -> Iterator[Item]:
        place = Place(table.path.name)
        if known.guessed:
            yield place.mended("columns are guessed by their names", known.told())
        try:
            for row in table.rows():
                if not isinstance(row, tuple):
                    yield row
                    continue
                line, values = row
                yield from self._entry(staging, number, Place(place.file, line), values, known)
        except (OSError, UnicodeError) as error:
            yield place.skipped("can't be read to its end", "file", str(error), lost=True)

    def _entry(
        self, staging: Staging, number: int, place: Place, values: Mapping[str, Any], known: Columns
    ) -> Iterator[Item]:
        """Put a row into the staging, or yield why not."""
        line = place.position or 0
        text = _text(values, known, "sent_at")
        when = parse(text, self._zone, self._unit)
        channel = self._channel or _text(values, known, "channel")
        if when is None:
            yield place.skipped("no time that can be read", detail=shown(text), lost=True)
        elif not channel:
            yield place.skipped("no channel", lost=True)
        else:
            if when.trouble:
                yield place.mended(when.trouble, shown(text))
            author = self._author_name(_text(values, known, "author"))
            if not author:
                yield place.mended("no author")
            bot = _text(values, known, "bot").strip().lower()
            if bot not in YES | NO:
                yield place.mended("not told whether a program wrote it, taken as no", shown(bot))
            entry = Entry(
                author=author or "unknown",
                body=_body(values, known),
                ms=when.ms,
                own_id=_text(values, known, "id").strip(),
                reply_to=_text(values, known, "reply_to").strip(),
                bot=bot in YES,
                edited_ms=self._later(values, known, "edited_at"),
                deleted_ms=self._later(values, known, "deleted_at"),
                pinned_ms=self._later(values, known, "pinned_at"),
                source=_text(values, known, "source") if known.ours else "",
            )
            staging.add(channel, entry, number, line, when.unit)
            reactions = _text(values, known, "reactions")
            if reactions not in NO:
                yield place.skipped("who reacted is not told", "reaction", shown(reactions))

    def _later(self, values: Mapping[str, Any], known: Columns, what: str) -> int | None:
        text = _text(values, known, what)
        found: When | None = parse(text, self._zone, self._unit) if text.strip() else None
        return found.ms if found else None

    def _one_unit_each(self, staging: Staging) -> Iterator[Item]:
        """Leave each file the times of one unit, that of most of its numbers, and tell which."""
        found: dict[int, Counter[str]] = {}
        for number, unit, count in staging.units():
            if unit != ISO:
                found.setdefault(number, Counter())[unit] = count
        for number, units in found.items():
            place = Place(self._tables[number][0].path.name)
            chosen = max(units, key=lambda unit: (units[unit], unit))
            if self._unit is None:
                yield place.mended("times are numbers, their unit is told by their size", chosen)
            for unit in units.keys() - {chosen}:
                reason = f"time is a number in {unit}, while most of the file's are in {chosen}"
                for line in staging.drop(number, unit):
                    yield Place(place.file, line).skipped(reason, lost=True)


class _Channel:
    """The reading of one channel, from its oldest message to its newest."""

    def __init__(self, staging: Staging, source: str, name: str) -> None:
        self._staging = staging
        self._source = source
        self._name = name
        self._repeats = Repeats()
        self._repeated = staging.has_repeated_ids(source)

    def items(self, staged: Staged, place: Place, ours: bool) -> Iterator[Item]:
        """Yield what a row is; ``ours``: whether its ids are."""
        entry = staged.entry
        first = self._first(entry.own_id) if self._repeated else None
        if first and (first.file, first.line) != (staged.file, staged.line):
            same = (first.entry.ms, first.entry.author) == (entry.ms, entry.author)
            yield place.skipped(
                "same id as a row before it", detail=shown(entry.own_id), lost=not same
            )
            return
        body = entry.body or (DELETED if entry.deleted_ms is not None else "")
        if ours:
            reply_to = entry.reply_to or None
        else:
            answered = self._first(entry.reply_to)
            reply_to = self._id(answered.entry) if answered else None
            if entry.reply_to.lower() not in NOTHING and not answered:
                yield place.mended("answers a row that is not in its channel", entry.reply_to)
        message = Message(  # not `new`: that makes an id first
            channel=self._name,
            author=entry.author,
            body=body,
            id=entry.own_id if ours and entry.own_id else self._id(entry),
            sent_ms=entry.ms,
            reply_to=reply_to,
            bot=entry.bot,
            source=SOURCE if entry.source in ("", "chat") else entry.source,
        )
        for item in messages_of(message, place):
            yield item
            if isinstance(item, Message) and item.id == message.id:
                yield from self._events(item, entry, place)

    def _events(self, message: Message, entry: Entry, place: Place) -> Iterator[Item]:
        """Yield that a message was changed, pinned or taken away."""
        steps: list[tuple[str, type[Edit | Pin | Delete], int | None, dict[str, str]]] = [
            ("edit", Edit, entry.edited_ms, {"body": message.body}),
            ("pin", Pin, entry.pinned_ms, {}),
            ("deletion", Delete, entry.deleted_ms, {}),
        ]
        for what, kind, ms, more in steps:
            if ms is not None:
                event = kind.new(
                    self._name,
                    entry.author,  # who pinned it is not told
                    message.id,
                    id=stable_id(SOURCE, "", self._name, f"{message.id}/{what}/{ms}"),
                    at_ms=ms,
                    source=message.source,
                    **more,
                )
                yield checked(event, place, what)

    def _first(self, own_id: str) -> Staged | None:
        return self._staging.first_of_id(self._source, own_id) if own_id else None

    def _id(self, entry: Entry) -> str:
        time = str(entry.ms)
        if entry.own_id:
            own_id = f"id/{entry.own_id}/{time}/{entry.author}"
        else:
            own_id = self._repeats.own_id(time, entry.author, entry.body)
        return stable_id(SOURCE, "", self._name, own_id)


def _with_delimiter(dialect: Dialect) -> Dialect:
    """Return the dialect with the delimiter itself for its name.

    Raises
    ------
    InputError
        Delimiter or quote is not one character.
    """
    if dialect.delimiter == "tab":
        return msgspec.structs.replace(dialect, delimiter="\t")
    for what, value in (("delimiter", dialect.delimiter), ("quote", dialect.quote or None)):
        if value is not None and (len(value) != 1 or value in "\r\n"):
            raise InputError(f"{what} must be one character, not {value!r}")
    return dialect


def _text(values: Mapping[str, Any], known: Columns, what: str) -> str:
    """Return what a row says, as text; empty if it says nothing."""
    names = known.names.get(what)
    if not names:
        return ""
    if len(names) == 1:
        return _cell(_value(values, names[0]))
    return " ".join(_cell(_value(values, name)) for name in names)


def _body(values: Mapping[str, Any], known: Columns) -> str:
    parts = [_text(values, known, "body"), _text(values, known, "file")]
    return "\n".join(part for part in parts if part.strip())


def _value(values: Mapping[str, Any], name: str) -> Any:
    if name in values:
        return values[name]
    found: Any = values
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if value is None:
        return ""
    return (
        json.dumps(value, ensure_ascii=True)
        if isinstance(value, dict | list | bool)
        else str(value)
    )


def _channel_names(sources: Collection[str]) -> dict[str, str]:
    """Return channel names by what the tables call the channels.

    A name that fits stays; of several that become the same, those that don't fit get something
    of their own behind it.
    """
    looks = Counter(map(channel_name, sources))
    names = {}
    for source in sources:
        name = channel_name(source)
        if name != source and (looks[name] > 1 or not name):
            own = uuid.uuid5(uuid.NAMESPACE_URL, source).hex[:8]
            name = f"{name[: CHANNEL_LIMIT - 9]}-{own}" if name else own
        names[source] = name
    return names
