"""Messages that match a query -> one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from tqdm.auto import tqdm

from chatkit import history
from chatkit.errors import InputError
from chatkit.exporting.files import size_of, whole
from chatkit.exporting.reading import chosen_channels, everybody
from chatkit.pseudonyms import Anonymise, Remains
from chatkit.query import Query, parse, time_zone
from chatkit.store import MessageStore

if TYPE_CHECKING:
    import pandas as pd

    from chatkit.exporting.anonymous import Anonymous

__all__ = ["FORMATS", "Exported", "Progress", "export"]

FORMATS = ("parquet", "csv", "jsonl", "html")
"""What messages can be exported as."""
SUFFIXES = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".html": "html",
    ".htm": "html",
}

ROWS = 20_000
"""Rows in memory at a time."""
Progress = Callable[[int], object]
"""Is told how many more messages are written."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export came to."""

    path: Path
    """The file, or the folder."""
    format: str
    """One of `FORMATS`; ``zip`` for a person's export."""
    messages: int
    """How many messages are in it."""
    bytes: int
    """How large it is."""
    remains: Remains | None = None
    """What may still tell who people are; None where they have their names."""
    counts: dict[str, int] = {}
    """What else is in it, by name."""


def export(
    store: MessageStore,
    path: Path | str,
    query: Query | str = "",
    *,
    format: str | None = None,  # noqa: A002  the word for it
    channel: str | Sequence[str] | None = None,
    zone: str = "UTC",
    me: str | None = None,
    partitioned: bool = False,
    anonymise: Anonymise | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write archived messages to a file, in flat memory however many there are.

    CSV, JSON Lines and Parquet hold the columns and rows of `chatkit.history.load`; a page is to be
    read, channel by channel. The file is there whole or not at all.

    Parameters
    ----------
    store : MessageStore
        Where to read; stays open.
    path : Path or str
        The file to make, or the folder if ``partitioned``.
    query : Query or str, default ""
        Which messages, in the query language of `chatkit.query`. Empty: all, deleted ones too.
    format : {"parquet", "csv", "jsonl", "html"}, optional
        Default: what the path ends with.
    channel : str or sequence of str, optional
        Only these channels. Default: all.
    zone : str, default "UTC"
        Time zone of the dates, a name of the IANA database.
    me : str, optional
        Who ``me`` in the query is. Default: the user of the store's settings.
    partitioned : bool, default False
        Whether to make a folder of Parquet files by channel and month, as Dask, Spark, DuckDB,
        polars and pandas read it.
    anonymise : Anonymise, optional
        How to replace people's names, in texts too. Default: they stay.
    replace : bool, default False
        Whether what is there already may be replaced.
    progress : callable, optional
        Called with how many more messages are written. Default: a bar, after a second.

    Returns
    -------
    Exported
        Counts, and with ``anonymise`` what may still tell who people are.

    Raises
    ------
    InputError
        The format is not known, there is no such zone, the path is there already or can't be
        written.
    QueryError
        The query can't be parsed; the text points at the place.
    ChannelNameError
        A name can't be a channel's.
    StoreUnavailableError
        MongoDB did not answer in time.

    Warns
    -----
    DamagedMessageWarning
        As `chatkit.history.load` does.
    """
    path = Path(path)
    kind = _format(path, format, partitioned)
    asked = parse(query) if isinstance(query, str) else query
    time_zone(zone)
    user = store.user if me is None else me
    channels = chosen_channels(store, asked, channel)
    with (
        whole(path, replace=replace) as part,
        tqdm(unit=" messages", delay=1, leave=False, disable=progress is not None) as bar,
    ):
        anonymous = _anonymous(store, anonymise)
        counted = _Counted(progress or bar.update)

        def frames(names: list[str]) -> Iterator[pd.DataFrame]:
            if not names:
                return
            for frame in history.iter_frames(
                store, asked, channel=names, rows=ROWS, zone=zone, me=user
            ):
                counted(len(frame))
                yield frame if anonymous is None else anonymous.frame(frame)

        if kind == "html":
            from chatkit.exporting.page import write_page

            where = asked.to_filter(me=user, zone=zone) if asked else {}
            write_page(part, store, channels, where, str(asked), zone, anonymous, counted)
        elif partitioned:
            _write_partitions(part, channels, frames, zone, anonymous)
        else:
            _write_table(kind, part, frames(channels), zone)
        remains = None if anonymous is None else anonymous.remains()
    return Exported(
        path=path,
        format=kind,
        messages=counted.total,
        bytes=size_of(path),
        remains=remains,
    )


class _Counted:
    """Counts, and tells others."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.total = 0

    def __call__(self, more: int) -> None:
        self.total += more
        self._progress(more)


def _format(path: Path, format: str | None, partitioned: bool) -> str:  # noqa: A002
    if partitioned:
        if format not in (None, "parquet"):
            raise InputError(f"Only Parquet is partitioned, not {format!r}")
        return "parquet"
    kind = format or SUFFIXES.get(path.suffix.lower())
    if kind not in FORMATS:
        what = f"{format!r} is no format" if format else f"The name {path.name!r} tells no format"
        raise InputError(
            f"{what}: there is {', '.join(FORMATS)}; let the name end so, such as messages.csv"
        )
    return kind


def _anonymous(store: MessageStore, how: Anonymise | None) -> Anonymous | None:
    if how is None:
        return None
    from chatkit.exporting.anonymous import Anonymous

    return Anonymous(how, everybody(store))


def _write_table(kind: str, path: Path, frames: Iterable[pd.DataFrame], zone: str) -> None:
    from chatkit.exporting import tables

    write: dict[str, Callable[[Path, Any, str], None]] = {
        "csv": tables.write_csv,
        "jsonl": tables.write_jsonl,
        "parquet": tables.write_parquet,
    }
    write[kind](path, frames, zone)


def _write_partitions(
    path: Path,
    channels: list[str],
    frames: Callable[[list[str]], Iterable[pd.DataFrame]],
    zone: str,
    anonymous: Anonymous | None,
) -> None:
    from chatkit.exporting.tables import write_partitions

    named = (
        (name if anonymous is None else anonymous.channel(name), frames([name]))
        for name in channels
    )
    write_partitions(path, named, zone)
