"""The commands up, down and status: local Kafka and MongoDB without Docker."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from chatkit.cli.output import Steps, console, facts, print_json, say, warn
from chatkit.errors import SettingsError
from chatkit.settings import LocalState, Settings, read_local_state

__all__ = ["down", "status", "up"]

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data folder. Default: the setting data_dir."),
]


def up(
    data: DataOption = None,
    brokers: Annotated[
        int | None,
        typer.Option(
            help="Kafka brokers, 1 or 3. Default: what the folder was made with, else 1.",
            metavar="1|3",
            show_default=False,
        ),
    ] = None,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Keep nothing: a new folder, removed at the end.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when it is ready; it goes on running.")
    ] = False,
    fetch_only: Annotated[
        bool, typer.Option("--fetch-only", help="Fetch what is needed and start nothing.")
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Let a class use this Kafka at an address of this machine. There are no "
            "passwords: whoever reaches it reads, writes and deletes everything.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start Kafka and MongoDB on this machine, without Docker.

    They run until Ctrl-C and listen on 127.0.0.1 only, but for Kafka with --listen. Messages
    outlive a restart.
    """
    from chatkit.local import LocalStack, start_detached, supervise
    from chatkit.local.listening import find_listening

    if ephemeral and data is not None:
        raise SettingsError("--ephemeral makes a folder of its own: leave --data out.")
    settings = _settings(data)
    if fetch_only:
        _fetch(settings)
        return
    find_listening(listen)  # a wrong address is told before anything else is done
    how: dict[str, Any] = {"brokers": brokers, "ephemeral": ephemeral, "listen": listen}
    if listen is not None or settings.workshop == "shared":
        from chatkit.workshop.cluster import QUICK

        how["kafka_properties"] = QUICK
    with Steps() as progress:
        if detach:
            state = start_detached(settings, **how, progress=progress)
            progress.close()
            _show(state, "Started.")
            return
        stack = LocalStack(settings, **how, progress=progress)

        def ready(state: LocalState) -> None:
            progress.close()
            _show(state, "Running.", stop="Ctrl-C")

        supervise(stack, ready)
    say("Stopped.")


def down(data: DataOption = None) -> None:
    """Stop the local Kafka and MongoDB, and wait until they are gone."""
    from chatkit.local import stop_running

    data_dir = _settings(data).data_dir
    with console().status("Stopping"):
        ran = stop_running(data_dir)
    kept = f"The data in {data_dir} are kept." if data_dir.exists() else "Its data are gone."
    say(f"Stopped. {kept}" if ran else f"Nothing runs in {data_dir}.")


def status(
    data: DataOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs.")
    ] = False,
) -> None:
    """Say whether the local Kafka and MongoDB run, and where; exit code 1 if they don't."""
    data_dir = _settings(data).data_dir
    state = read_local_state(data_dir)
    if as_json:
        found: dict[str, Any] = {
            "running": state is not None,
            "bootstrap_servers": state and state.bootstrap_servers,
            "mongo_uri": state and state.mongo_uri,
            "database": state and state.database,
            "data_dir": str(data_dir),
            "processes": {name: each.pid for name, each in state.processes.items()}
            if state
            else {},
        }
        print_json(found)
    elif state is not None:
        _show(state, "Running.")
    else:
        ended = data_dir / "logs" / "supervisor.log"
        why = f" The last one ended unexpectedly: see {ended}." if ended.exists() else ""
        say(f"Not running in {data_dir}.{why} Start it with 'chatkit up'.")
    if state is None:
        raise typer.Exit(1)


def _settings(data: Path | None) -> Settings:
    return Settings() if data is None else Settings(data_dir=data)


def _fetch(settings: Settings) -> None:
    from chatkit.local.jars import kafka_jars
    from chatkit.local.java import find_java
    from chatkit.local.mongod import find_mongod

    with Steps() as progress:
        jars = kafka_jars(settings, progress)
        pairs = {
            "Kafka": f"{len(jars)} jars in {settings.kafka_home or settings.cache_dir}",
            "Java": str(find_java(settings)),
            "mongod": str(find_mongod()),
        }
    _show_facts("Everything is here.", pairs)


def _show(state: LocalState, title: str, *, stop: str | None = None) -> None:
    usual = Path(state.data_dir) == Settings().data_dir
    folder = shlex.quote(state.data_dir)
    pairs = {
        "Kafka": state.bootstrap_servers,
        "MongoDB": f"{state.mongo_uri}  (database {state.database})",
        "Data": state.data_dir,
        "Processes": ", ".join(f"{name} {each.pid}" for name, each in state.processes.items()),
        "Next": "chatkit lab" if usual else f"CHATKIT_DATA_DIR={folder} chatkit lab",
        "Stop": stop or ("chatkit down" if usual else f"chatkit down --data {folder}"),
    }
    _show_facts(title, pairs)
    if not state.bootstrap_servers.startswith("127.0.0.1:"):
        _show_shared(state)


def _show_shared(state: LocalState) -> None:
    host = state.bootstrap_servers.partition(":")[0]
    say("Everybody else sets, in the environment or in a file .env:")
    say(f"  CHATKIT_BOOTSTRAP_SERVERS={state.bootstrap_servers}")
    say("  CHATKIT_WORKSHOP=shared")
    warn(
        f"WARNING: Kafka listens at {host}, without authentication and without encryption. Whoever "
        "reaches that address\nreads, writes and deletes everything in it, under any name. Use "
        "this in a network that you trust, for as long as\nthe class lasts. MongoDB stays on "
        "127.0.0.1."
    )


def _show_facts(title: str, pairs: dict[str, str]) -> None:
    facts(title, pairs)
    say("  Licences: Apache Kafka, Apache-2.0; mongod, Server Side Public License (SSPL).", "dim")
