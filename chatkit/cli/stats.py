"""The command stats: what the archive holds, in numbers and small charts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import Steps, console, one_line, print_json, quiet_logs, say

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["stats"]

BARS = 10
BAR_LETTERS = 30
BLOCKS = " ▁▂▃▄▅▆▇█"
SHADES = " ░▒▓█"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_PERIODS = 120
PERIODS = {"day": 1, "week": 7, "month": 30, "quarter": 91, "year": 365}


def stats(
    query: Annotated[
        str, typer.Argument(metavar="[QUERY]", help="Which messages, as in 'from:ana has:link'.")
    ] = "",
    zone: Annotated[
        str, typer.Option("--zone", metavar="ZONE", help="Time zone, as in Europe/Vienna.")
    ] = "UTC",
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write all statistics as a page instead.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Of the page: at most so many newest messages.")
    ] = 1_000_000,
    data: DataOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs.")
    ] = False,
) -> None:
    """Show how much was written, by whom, where and when.

    MongoDB does the counting; only a page loads the messages themselves.
    """
    from chatkit.query import parse
    from chatkit.store import MessageStore

    quiet_logs()
    parse(query)
    with MessageStore(settings_for(data)) as store:
        if html is not None:
            _write_page(store, html, query, zone, limit)
            return
        with Steps(stderr=True) as steps:
            if console(stderr=True).is_terminal:
                steps("Counting")
            tables = _count(store, query, zone)
    if as_json:
        print_json({name: _records(table) for name, table in tables.items()})
    else:
        _show(tables)


def _write_page(store: Any, path: Path, query: str, zone: str, limit: int) -> None:
    from chatkit import history, report

    frame = history.load(store, query, zone=zone, limit=limit)
    reactions = history.load_reactions(store, query, zone=zone)
    report.write(path, frame, reactions, title=query or "Chat history")
    say(f"Wrote {path}: {len(frame):,} messages.", "bold green")


def _count(store: Any, query: str, zone: str) -> dict[str, pd.DataFrame]:
    from chatkit import stats

    tables = {
        "summary": stats.summary(store, query=query, zone=zone),
        "channels": stats.per_channel(store, query=query),
        "authors": stats.per_author(store, query=query),
        "hours": stats.weekday_hours(store, query=query, zone=zone),
    }
    days = int(tables["summary"]["days"].iloc[0])
    fitting = (name for name, length in PERIODS.items() if days / length <= MOST_PERIODS)
    period = next(fitting, "year")
    tables[f"per_{period}"] = stats.per_period(store, period=period, query=query, zone=zone)
    return tables


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    import json

    records: list[dict[str, Any]] = json.loads(table.to_json(orient="records", date_format="iso"))
    return records


def _show(tables: dict[str, pd.DataFrame]) -> None:
    from rich.columns import Columns
    from rich.console import Console

    out = console()
    numbers = tables["summary"].iloc[0]
    if not numbers["messages"]:
        say("There are no such messages.")
        return
    out.print(
        f"{numbers['messages']:,} messages of {numbers['authors']:,} authors in "
        f"{numbers['channels']:,} channels, {numbers['first_at']:%Y-%m-%d} to "
        f"{numbers['last_at']:%Y-%m-%d}",
        style="bold",
    )
    out.print(
        f"{numbers['by_bots']:,} by bots, {numbers['edited']:,} edited, "
        f"{numbers['deleted']:,} deleted, {numbers['replies']:,} replies"
    )
    period = next(name for name in tables if name.startswith("per_"))
    _show_line(tables[period], period.removeprefix("per_"))
    Console().print(
        Columns([_bars(tables["channels"], "channel"), _bars(tables["authors"], "author")])
    )
    _show_hours(tables["hours"])


def _show_line(table: pd.DataFrame, period: str) -> None:
    """Show the messages of each period as one line of blocks."""
    counts = table.groupby(table.columns[0])["messages"].sum()
    most = counts.max()
    line = "".join(BLOCKS[-(-int(count) * (len(BLOCKS) - 1) // int(most))] for count in counts)
    console().print(f"\nPer {period}, up to {most:,}\n[{line}]")


def _bars(table: pd.DataFrame, name: str) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column(name.capitalize(), max_width=24, no_wrap=True)
    shown.add_column("Messages", justify="right")
    shown.add_column("")
    most = table["messages"].max()
    for _, row in table.head(BARS).iterrows():
        width = max(1, round(BAR_LETTERS * row["messages"] / most))
        shown.add_row(
            Text(one_line(str(row[name]))), f"{row['messages']:,}", Text("█" * width, style="cyan")
        )
    if len(table) > BARS:
        rest = table["messages"][BARS:].sum()
        shown.add_row(Text(f"other ({len(table) - BARS:,})", style="dim"), f"{rest:,}", "")
    return shown


def _show_hours(table: pd.DataFrame) -> None:
    """Show weekdays by hours, the more the darker."""
    grid = table.pivot_table(index="weekday", columns="hour", values="messages", aggfunc="sum")
    most = grid.to_numpy().max()
    out = console()
    out.print("      " + "".join(f"{hour:<6}" for hour in range(0, 24, 3)))
    for day, row in zip(DAYS, grid.to_numpy(), strict=True):
        cells = "".join(SHADES[-(-int(n) * (len(SHADES) - 1) // int(most))] * 2 for n in row)
        out.print(f"{day}   {cells}")
