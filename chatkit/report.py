"""A history's statistics as one HTML page that needs nothing else.

Names and words on it are other people's text: they get there escaped, or as data of pictures. It
does no I/O but to write the file.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from chatkit import stats
from chatkit.blocks import BLOCKS, Block

__all__ = ["write"]

MOST_ROWS = 100
"""Rows that are shown of each table."""

STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --quiet: #666; --line: #ddd; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181c; --quiet: #a0a0a0; --line: #3a3d44; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin: 3rem 0 0; }
p { color: var(--quiet); margin: 0 0 .5rem; }
dl { display: flex; flex-wrap: wrap; gap: .75rem 2.5rem; }
dt { color: var(--quiet); font-size: .8rem; } dd { margin: 0; font-size: 1.4rem; }
.table { overflow: auto; max-height: 24rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th { text-align: left; position: sticky; top: 0; background: var(--paper); }
th, td { padding: .2rem .9rem .2rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
summary { cursor: pointer; color: var(--quiet); }
"""


def write(
    path: Path, frame: pd.DataFrame, reactions: pd.DataFrame, *, title: str = "Chat history"
) -> None:
    """Write a page with all statistics of a history, pictures and tables.

    Parameters
    ----------
    path : Path
        Where; a file that is there is replaced, once the page is whole.
    frame : pandas.DataFrame
        Messages, as `chatkit.history.load` returns them.
    reactions : pandas.DataFrame
        Their reactions, as `chatkit.history.load_reactions` returns them.
    title : str, default "Chat history"
        What stands on top; any text.
    """
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("w", encoding="utf-8") as page:
            for piece in _pieces(frame, reactions, title):
                page.write(piece)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _pieces(frame: pd.DataFrame, reactions: pd.DataFrame, title: str) -> Iterator[str]:
    """Yield the page, a part at a time."""
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1>{_summary(frame)}"
    )
    for number, block in enumerate(BLOCKS):
        table = block.table(reactions if block.of_reactions else frame)
        yield _section(block, table, first=number == 0)
    yield "</body></html>"


def _summary(frame: pd.DataFrame) -> str:
    row = stats.summary(frame).astype(object).iloc[0]
    tiles = "".join(
        f"<div><dt>{html.escape(str(name).replace('_', ' '))}</dt>"
        f"<dd>{html.escape(_value(value))}</dd></div>"
        for name, value in row.items()
    )
    return f"<dl>{tiles}</dl>"


def _value(value: Any) -> str:
    if pd.isna(value):
        return "–"
    if isinstance(value, pd.Timestamp):
        is_day = value.tzinfo is None and value == value.normalize()
        return f"{value:%Y-%m-%d}" if is_day else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _section(block: Block, table: pd.DataFrame, *, first: bool) -> str:
    picture = block.figure(table).to_html(
        full_html=False, include_plotlyjs=first, config={"displaylogo": False}
    )
    rows = table.head(MOST_ROWS).to_html(index=False, border=0, escape=True, na_rep="")
    return (
        f"<section><h2>{html.escape(block.title)}</h2><p>{html.escape(block.about)}</p>{picture}"
        f"<details><summary>Table ({len(table):,} rows)</summary>"
        f'<div class="table">{rows}</div></details></section>'
    )
