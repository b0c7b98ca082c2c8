"""What people call to read the archive: a frame, a table, or one frame after the other."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from chatkit.errors import InputError
from chatkit.history.frames import in_zone, to_frame
from chatkit.history.reading import Asked, read
from chatkit.history.steps import steps
from chatkit.message import check_channel_name
from chatkit.query import Query, parse, time_zone
from chatkit.store import MessageStore

__all__ = ["DamagedMessageWarning", "ask", "iter_frames", "load", "table"]

SHOWN_PROBLEMS = 10


class DamagedMessageWarning(UserWarning):
    """Some documents do not hold what a message's holds: somebody changed them by hand.

    Parameters
    ----------
    problems : dict
        Id of the document -> what is wrong with it, and what became of it.
    """

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        shown = [f"{name}: {text}" for name, text in list(problems.items())[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            shown.append(f"and {len(problems) - SHOWN_PROBLEMS:,} more, in .problems")
        super().__init__(
            f"{len(problems):,} documents in collection messages are damaged. " + "; ".join(shown)
        )


def load(
    store: MessageStore,
    query: Query | str = "",
    *,
    channel: str | Sequence[str] | None = None,
    limit: int | None = None,
    zone: str = "UTC",
    me: str | None = None,
) -> pd.DataFrame:
    """Return archived messages as one row per message, oldest first.

    The order is the archive's: ``placed_at``, ``partition``, ``offset``, ``id``. A load that takes
    over a second shows its progress.

    Parameters
    ----------
    store : MessageStore
        Where to read; stays open.
    query : Query or str, default ""
        Which messages, in the query language of `chatkit.query`. Empty: all, deleted ones too,
        which no other query matches.
    channel : str or sequence of str, optional
        Only these channels. Default: all.
    limit : int, optional
        At most this many newest messages, > 0. Default: no limit.
    zone : str, default "UTC"
        Time zone of the dates, also of those in the query, a name of the IANA database such as
        ``"Europe/Vienna"``. Dates that Python can't hold there (years 1 to 9999, less a day outside
        UTC) become the nearest that it can.
    me : str, optional
        Who ``me`` in the query is. Default: the user of the store's settings.

    Returns
    -------
    pandas.DataFrame
        Columns and dtypes of `MESSAGE_SCHEMA`, also when there are no rows; rows numbered from 0.

    Raises
    ------
    InputError
        The limit is not positive, or there is no such zone.
    QueryError
        The query can't be parsed; the text points at the place.
    ChannelNameError
        A name can't be a channel's.
    StoreUnavailableError
        MongoDB did not answer within ``settings.mongo_timeout`` seconds, or refused us.

    Warns
    -----
    DamagedMessageWarning
        A document does not fit the schema. A text or date that does not fit is missing in its row;
        a message whose ``id``, ``channel``, ``placed_at``, or any number or flag does not, is left
        out.
    """
    asked = ask(store, query, channel=channel, limit=limit, zone=zone, me=me)
    return to_frame(in_zone(_read(store, asked), zone))


def table(
    store: MessageStore,
    query: Query | str = "",
    *,
    channel: str | Sequence[str] | None = None,
    limit: int | None = None,
    zone: str = "UTC",
    me: str | None = None,
) -> Any:
    """Return archived messages as an Arrow table, for polars, DuckDB and others that read Arrow.

    ``polars.from_arrow(table)`` and ``duckdb.arrow(table)`` take it without copying.

    Parameters
    ----------
    store, query, channel, limit, zone, me
        As for `load`.

    Returns
    -------
    pyarrow.Table
        What `load` returns: columns and types of `MESSAGE_SCHEMA`, its dates in the zone.

    Raises
    ------
    InputError, QueryError, ChannelNameError, StoreUnavailableError
        As for `load`.

    Warns
    -----
    DamagedMessageWarning
        As for `load`.
    """
    asked = ask(store, query, channel=channel, limit=limit, zone=zone, me=me)
    return in_zone(_read(store, asked), zone)


def iter_frames(
    store: MessageStore,
    query: Query | str = "",
    *,
    channel: str | Sequence[str] | None = None,
    rows: int = 100_000,
    limit: int | None = None,
    zone: str = "UTC",
    me: str | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield archived messages in frames, oldest first, for what does not fit into memory.

    All frames one below the other are what `load` returns, but for what is archived or changed
    while they are read. Between two frames nothing is held in MongoDB, so that one may take any
    time over each.

    Parameters
    ----------
    store, query, channel, limit, zone, me
        As for `load`.
    rows : int, default 100,000
        At most this many rows a frame, > 0.

    Yields
    ------
    pandas.DataFrame
        As `load` returns it, and never empty.

    Raises
    ------
    InputError, QueryError, ChannelNameError, StoreUnavailableError
        As for `load`; the first three right away.

    Warns
    -----
    DamagedMessageWarning
        As for `load`, once for each part.
    """
    if rows < 1:
        raise InputError(f"rows must be at least 1, not {rows}")
    asked = ask(store, query, channel=channel, limit=limit, zone=zone, me=me)
    return _frames(store, asked, rows)


def _frames(store: MessageStore, asked: Asked, rows: int) -> Iterator[pd.DataFrame]:
    problems: dict[str, str] = {}
    with store.answering():
        for found in steps(store, asked, rows, problems):
            if problems:
                warnings.warn(DamagedMessageWarning(dict(problems)), stacklevel=2)
                problems.clear()
            for start in range(0, len(found), rows):
                yield to_frame(in_zone(found.slice(start, rows), asked.zone))


def ask(
    store: MessageStore,
    query: Query | str,
    *,
    channel: str | Sequence[str] | None,
    limit: int | None,
    zone: str,
    me: str | None,
) -> Asked:
    """Return what is to be read, checked; see `load`."""
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    time_zone(zone)
    asked = parse(query) if isinstance(query, str) else query
    return Asked(
        query=asked,
        me=store.user if me is None else me,
        zone=zone,
        channels=_channels(channel, asked),
        limit=limit,
    )


def _channels(channel: str | Sequence[str] | None, query: Query) -> tuple[str, ...] | None:
    """Return the only channels that are asked for, each once; None: any."""
    names = [channel] if isinstance(channel, str) else channel
    if names is not None:
        names = [check_channel_name(name) for name in dict.fromkeys(names)]
    if not query.channels:
        return None if names is None else tuple(names)
    return tuple(name for name in query.channels if names is None or name in names)


def _read(store: MessageStore, asked: Asked) -> Any:
    problems: dict[str, str] = {}
    with store.answering():
        found = read(store, asked, problems)
    if problems:
        warnings.warn(DamagedMessageWarning(problems), stacklevel=3)
    return found
