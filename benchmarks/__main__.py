"""The command ``python -m benchmarks``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from chatkit.local import LocalStack
from chatkit.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Quick = Annotated[bool, typer.Option("--quick", help="Less data and fewer rounds.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _show(title: str, result: dict[str, object], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
        return
    print(title)
    for name, value in result.items():
        if isinstance(value, dict):
            for key, ratio in value.items():
                print(f"  {name}: {key:<38} {ratio:>12,.2f}")
        elif isinstance(value, float):
            print(f"  {name:<46} {value:>12,.0f}")
        else:
            print(f"  {name:<46} {value:>12}")


def _stack() -> LocalStack:
    """Return a stack in a folder of its own, so that nobody's data is touched."""
    folder = tempfile.mkdtemp(prefix="chatkit-bench-")
    return LocalStack(Settings(data_dir=Path(folder)), ephemeral=True)


@app.callback()
def main() -> None:
    """Measure chatkit beside the raw libraries, in one run, in turns."""


@app.command()
def archive(quick: Quick = False, as_json: AsJson = False) -> None:
    """Kafka to MongoDB, in records a second."""
    from benchmarks import archive as bench

    with _stack() as stack:
        result = bench.run(
            stack.settings, records=20_000 if quick else 100_000, rounds=1 if quick else 3
        )
    _show("Archiving: records a second, and ratios (median of rounds)", result, as_json)


@app.command()
def latency(quick: Quick = False, as_json: AsJson = False) -> None:
    """Enter in one browser page to shown in another, in ms."""
    from benchmarks import latency as bench

    with _stack() as stack:
        result = bench.run(stack.settings, messages=20 if quick else 50)
    _show("Typed in one page, shown in another: ms, and ratios", result, as_json)


@app.command()
def console(quick: Quick = False, as_json: AsJson = False) -> None:
    """Enter in one terminal to shown in another, in ms."""
    from benchmarks import console as bench

    with _stack() as stack:
        result = bench.run(stack.settings, messages=20 if quick else 50)
    _show("Typed in one terminal, shown in another: ms, and ratios", result, as_json)


@app.command(name="open")
def opening(quick: Quick = False, as_json: AsJson = False) -> None:
    """Choosing a channel of many messages to its first painted page, in ms."""
    from benchmarks import opening as bench

    with _stack() as stack:
        result = bench.run(
            stack.settings, messages=5_000 if quick else 100_000, rounds=2 if quick else 5
        )
    _show("Opening a channel: ms, and ratios", result, as_json)


@app.command()
def burst(quick: Quick = False, as_json: AsJson = False) -> None:
    """Thousands of messages a second into a channel that is on the screen."""
    from benchmarks import burst as bench

    with _stack() as stack:
        result = bench.run(
            stack.settings, rate=2_000 if quick else 10_000, seconds=2 if quick else 10
        )
    _show("A burst: what is shown, and how", result, as_json)


@app.command(name="import")
def importing(quick: Quick = False, as_json: AsJson = False) -> None:
    """Chat logs to Kafka, in items a second."""
    from benchmarks import importing as bench

    with _stack() as stack:
        result = bench.run(
            stack.settings, lines=30_000 if quick else 150_000, rounds=1 if quick else 3
        )
    _show("Importing: items a second, and ratios (median of rounds)", result, as_json)


@app.command()
def load(quick: Quick = False, as_json: AsJson = False) -> None:
    """MongoDB to a DataFrame, in messages a second."""
    from benchmarks import load as bench

    with _stack() as stack:
        result = bench.run(
            stack.settings, messages=100_000 if quick else 1_000_000, rounds=1 if quick else 3
        )
    _show("Loading: messages a second, and ratios (median of rounds)", result, as_json)


@app.command()
def stats(quick: Quick = False, as_json: AsJson = False) -> None:
    """Each statistic of a loaded frame, in ms."""
    from benchmarks import stats as bench

    result = bench.run(messages=100_000 if quick else 1_000_000, rounds=1 if quick else 3)
    _show("Statistics: ms, and ratios to the plain pandas way (median of rounds)", result, as_json)


@app.command(name="all")
def everything(quick: Quick = False, as_json: AsJson = False) -> None:
    """Every benchmark, one after the other."""
    archive(quick, as_json)
    latency(quick, as_json)
    console(quick, as_json)
    opening(quick, as_json)
    burst(quick, as_json)
    importing(quick, as_json)
    load(quick, as_json)
    stats(quick, as_json)


if __name__ == "__main__":
    app()
