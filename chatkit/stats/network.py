"""Who talks with whom: replies and names in texts, as edges and as a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chatkit.errors import InputError
from chatkit.query import mentions
from chatkit.stats.counting import channel_column, codes_of, each_once, grouped, texts
from chatkit.stats.responses import answered

if TYPE_CHECKING:
    import networkx

__all__ = ["edges", "to_graph"]

Numbers = np.ndarray[Any, np.dtype[Any]]

# As people on IRC begin: "ana: yes" or "ana, yes".
_ADDRESS = r"^@?(?P<name>[^\s:,]{1,64})[:,](?:\s|$)"
_KINDS = ["replies", "mentions", "addressed"]


def edges(frame: pd.DataFrame, *, by: str | None = None) -> pd.DataFrame:
    """Return one row for each two authors of whom one wrote to the other, most messages first.

    A message is to the author of the message that it replies to, if that is in the frame; to each
    author of the frame whose name is in its text after an ``@``, as `chatkit.query.mentions` finds
    it; and to the author whose name it begins with, before a colon or a comma, as is the custom on
    IRC. Nobody writes to themselves, and names are taken as they are written.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them. Texts of deleted ones are empty, so only
        their reply links count.
    by : str or None, default None
        ``"channel"``: so for each channel.

    Returns
    -------
    pandas.DataFrame
        ``channel`` of the message (str, only by channel), ``author``, ``to`` (str), ``messages``:
        each once, however many ways it is to them, of these ``replies``, ``mentions``,
        ``addressed`` (int64). Equal ones by channel, author and ``to``.

    Raises
    ------
    InputError
        The frame lacks a column of a history.
    """
    messages = each_once(frame, ["reply_to", "body"])
    codes, channel_names = grouped(messages, by)
    author, names = codes_of(messages["author"])
    known = names.dropna()
    found = [_replies(messages, author), _mentions(messages["body"], known)]
    found.append(_addressed(messages["body"], known))
    rows = np.concatenate([one for one, _ in found])
    to = np.concatenate([one for _, one in found])
    kind = np.repeat(np.arange(len(found)), [len(one) for one, _ in found])
    other = author[rows] != to
    rows, to, kind = rows[other], to[other], kind[other]
    width = max(1, len(names))
    # A message and to whom; the ways come one after the other, and the first stands for all.
    _, first = np.unique(rows * width + to, return_index=True)
    pairs = (codes[rows] * width + author[rows]) * width + to
    known_pairs, place = np.unique(pairs, return_inverse=True)
    size = len(known_pairs)
    table = pd.DataFrame(
        {
            **channel_column(channel_names, known_pairs // width**2),
            "author": texts(names, known_pairs // width % width),
            "to": texts(names, known_pairs % width),
            "messages": np.bincount(place[first], minlength=size),
            **{
                name: np.bincount(place[kind == number], minlength=size)
                for number, name in enumerate(_KINDS)
            },
        }
    )
    return table.sort_values("messages", ascending=False, kind="stable", ignore_index=True)


def to_graph(table: pd.DataFrame) -> networkx.DiGraph[str]:
    """Return edges as a directed graph.

    Parameters
    ----------
    table : pandas.DataFrame
        What `edges` returns; of several channels, those of two authors are added up.

    Returns
    -------
    networkx.DiGraph
        Authors as nodes; each edge has ``weight``: how many messages, ``replies``, ``mentions`` and
        ``addressed``.

    Raises
    ------
    InputError
        The frame is none of `edges`.
    """
    import networkx  # takes long to load, and few need it

    counts = ["messages", *_KINDS]
    for name in ["author", "to", *counts]:
        if name not in table.columns:
            raise InputError(f"The frame has no column {name!r}. Take what stats.edges returns")
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    added = table.dropna(subset=["author", "to"]).groupby(["author", "to"], as_index=False)[counts]
    for author, to, messages, *others in added.sum().itertuples(index=False):
        graph.add_edge(
            author, to, weight=int(messages), **dict(zip(_KINDS, map(int, others), strict=True))
        )
    return graph


def _replies(messages: pd.DataFrame, author: Numbers) -> tuple[Numbers, Numbers]:
    rows = np.flatnonzero(messages["reply_to"].notna().to_numpy())
    target = answered(messages)
    return rows[target >= 0], author[target[target >= 0]]


def _mentions(bodies: pd.Series, names: pd.Series) -> tuple[Numbers, Numbers]:
    """Return rows whose text has names after an @, and whose these are."""
    having = pc.match_substring(pa.array(bodies, from_pandas=True), "@")
    rows = np.flatnonzero(np.asarray(pc.fill_null(having, False)))
    found = [mentions(text) for text in bodies.iloc[rows]]
    return _known(
        np.repeat(rows, np.array([len(one) for one in found], dtype="int64")),
        [name for one in found for name in one],
        names,
    )


def _addressed(bodies: pd.Series, names: pd.Series) -> tuple[Numbers, Numbers]:
    """Return rows whose text begins with a name, and whose that is."""
    found = pc.extract_regex(pa.array(bodies, from_pandas=True), _ADDRESS)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    name = pc.struct_field(found, "name")
    rows = np.flatnonzero(np.asarray(name.is_valid()))
    return _known(rows, name.drop_null(), names)


def _known(rows: Numbers, found: Any, names: pd.Series) -> tuple[Numbers, Numbers]:
    """Return those rows whose name is one of some, and which."""
    wanted = pa.array(found, pa.large_string())
    place = pc.index_in(wanted, value_set=pa.array(names, from_pandas=True).cast(pa.large_string()))
    place = np.asarray(pc.fill_null(place, -1)).astype("int64")
    return rows[place >= 0], place[place >= 0]
