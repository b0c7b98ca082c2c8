"""Links in texts, and where they lead.

What a link is, `chatkit.stats.texts` says: ``http://``, ``https://`` or ``www.`` and all up to a
space. Marks at its end are the sentence's. Links within code are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from chatkit.stats.counting import codes_of, each_once, in_order
from chatkit.stats.ranking import check_top, counted, distinct, group_by, ranks
from chatkit.stats.texts import LINK, having, one_array, strings, without_code

__all__ = ["link_domains", "links"]

_HOST = re.compile(r"(?:[^/?#\\@]*@)?(\[[^\]]*\]|[^/?#\\:]*)")
_MARKS = ".,;:!?'*_~`)]}’”"


def links(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per link in a text, in the archive's order.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.

    Returns
    -------
    pandas.DataFrame
        ``id`` of the message, ``channel``, ``author`` (str), ``placed_at`` (datetime64[ms, zone]),
        ``domain``: the host in lower case without ``www.``, ``link`` as it is written (str). A link
        that a message has twice has two rows.

    Raises
    ------
    InputError
        The frame lacks a column of a history.
    """
    messages = in_order(frame, ["body"])
    rows, domains, written = _found(messages)
    table = messages[["id", "channel", "author", "placed_at"]].iloc[rows].reset_index(drop=True)
    return table.assign(domain=_column(domains), link=_column(written))


def link_domains(
    frame: pd.DataFrame, *, by: str | None = None, top: int | None = None
) -> pd.DataFrame:
    """Return one row per domain that links lead to, the most frequent first, then by letters.

    Parameters
    ----------
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    by : str or None, default None
        ``"channel"``, ``"author"`` or ``"bot"``: count for each of them. None: all together.
    top : int or None, default None
        At most so many domains, of each group, at least 1. None: all.

    Returns
    -------
    pandas.DataFrame
        ``channel`` or ``author`` (str) or ``bot`` (bool), only if asked for; ``domain`` (str): the
        host in lower case without ``www.``; ``links``, ``messages`` that have one, ``authors`` of
        these (int64), ``share`` of all links of the group (float64).

    Raises
    ------
    InputError
        The frame lacks a column of a history, or an argument is none of the above.
    """
    check_top(top)
    messages = each_once(frame, ["body"])
    groups = group_by(messages, by)
    rows, domains, _ = _found(messages)
    codes, names = codes_of(_column(domains))
    counts = counted(groups.codes[rows], codes, len(groups), len(names))
    places = np.searchsorted(
        counts.groups * len(names) + counts.things, groups.codes[rows] * len(names) + codes
    )
    authors, author_names = codes_of(messages["author"])
    length = len(counts.times)
    in_messages = distinct(places, rows, length, len(messages))
    by_authors = distinct(places, authors[rows], length, len(author_names))
    totals = np.bincount(groups.codes[rows], minlength=len(groups))
    chosen = ranks(counts, counts.times, top)
    return pd.DataFrame(
        {
            **groups.column(counts.groups[chosen]),
            "domain": names.take(counts.things[chosen]).reset_index(drop=True),
            "links": counts.times[chosen],
            "messages": in_messages[chosen],
            "authors": by_authors[chosen],
            "share": counts.times[chosen] / totals[counts.groups[chosen]],
        }
    )


def _found(messages: pd.DataFrame) -> tuple[np.ndarray, list[str], list[str]]:
    """Return which row each link is in, its domain and itself."""
    texts = one_array(messages["body"])
    marked = having(texts, "://", "www.")
    rows: list[int] = []
    domains: list[str] = []
    written: list[str] = []
    for row, text in zip(marked.tolist(), strings(texts, marked), strict=True):
        for domain, link in _links_in(text):
            rows.append(row)
            domains.append(domain)
            written.append(link)
    return np.asarray(rows, dtype="int64"), domains, written


def _links_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield the domain of each link in a text, and the link."""
    for found in LINK.finditer(without_code(text)):
        rest = _without_marks(found[1])
        host = _HOST.match(rest)
        domain = host[1].lower().strip(".").removeprefix("www.") if host else ""
        if any(map(str.isalnum, domain)):
            yield domain, found[0][: len(found[0]) - len(found[1]) + len(rest)]


def _without_marks(link: str) -> str:
    """Return a link without the marks after it; a bracket that it opens may close it."""
    rest = link.rstrip(_MARKS)
    end = len(rest)
    if link[end : end + 1] == ")" and rest.count("(") > rest.count(")"):
        end += 1
    return link[:end]


def _column(names: list[str]) -> Any:
    return pa.array(names, pa.large_string()).to_pandas().astype("str")
