"""The commands below ``chatkit workshop``: for whoever prepares one, and for its teacher."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatkit.cli.checks import run_checks
from chatkit.cli.options import DataOption, settings_for
from chatkit.cli.output import one_line, print_json, quiet_logs, say
from chatkit.errors import ChatkitError, InputError, ServiceError
from chatkit.wording import counted

if TYPE_CHECKING:
    from chatkit.doctor import Check
    from chatkit.settings import Settings

__all__ = ["app"]

GIB = 1024**3
MEMORY = {1: 1.0 * GIB, 3: 1.5 * GIB}
"""Free memory in bytes that so many brokers, mongod, JupyterLab and two kernels need."""
DISK = 1.0 * GIB
JUPYTERLAB_SECONDS = 30.0
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
MEMORY_USED = Path("/sys/fs/cgroup/memory.current")
OF_NO_USE = {"versions", "java", "mongod", "topics", "archiver"}
"""What `chatkit.doctor` looks at besides, and was looked at before or need not be there yet."""
OF_THE_ARCHIVE = {"mongodb", "archive", "load"}
"""What a class that shares a Kafka can do without: no notebook of the workshop needs MongoDB."""

app = typer.Typer(
    name="workshop",
    help="Prepare a Kafka workshop, and see how far its learners are.",
    no_args_is_help=True,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.callback()
def workshop() -> None:
    """Prepare a Kafka workshop, and see how far its learners are."""


@app.command()
def check(
    brokers: Annotated[
        int, typer.Option(metavar="1|3", help="How many brokers to start; most lessons need 3.")
    ] = 3,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check in a minute that a workshop runs on this machine, and say what to do where not.

    Starts Kafka and MongoDB of its own, sends a message the whole way round, and ends them again.
    If the address of a Kafka is set, or --data names a local stack, that one is checked instead.
    Exit code 1 if something is wrong.
    """
    if brokers not in MEMORY:
        raise InputError(f"--brokers {brokers}: a workshop has 1 broker or 3")
    run_checks(
        partial(_checks, brokers, data),
        as_json=as_json,
        right="Ready for the workshop.",
        wrong="Not ready for the workshop",
    )


def _checks(brokers: int, data: Path | None, begin: Callable[[str], None]) -> Iterator[Check]:
    from chatkit.services import find_services

    services = find_services(data)
    somebodys = data is not None or (services.running and not services.local)
    settings = settings_for(data) if data is not None else services.settings
    yield _check("Python", _python, begin)
    yield _check("JupyterLab", _jupyterlab, begin)
    yield _check("memory", lambda: _memory(1 if somebodys else brokers), begin)
    yield _check("disk", _disk, begin)
    if somebodys:
        yield from _round_trip(settings, local=services.local, begin=begin)
        return
    yield _check("Java", lambda: _java(settings), begin)
    yield _check("mongod", _mongod, begin)
    yield from _own_servers(settings, brokers, begin)


def _own_servers(settings: Settings, brokers: int, begin: Callable[[str], None]) -> Iterator[Check]:
    """Start servers, check them, and end them, also if the iterator is closed early."""
    from chatkit.local import LocalStack

    stack = LocalStack(settings, ephemeral=True, brokers=brokers, progress=begin)

    def start() -> str:
        stack.start()
        return f"{counted(brokers, 'broker')} of Kafka and mongod, which end again after this"

    try:
        started = _check("start", start, begin)
        yield started
        if started.ok:
            yield from _round_trip(stack.settings, local=True, begin=begin)
    finally:
        begin("Ending Kafka and mongod")
        stack.stop()


def _round_trip(
    settings: Settings, *, local: bool, begin: Callable[[str], None]
) -> Iterator[Check]:
    from chatkit.doctor import examine

    left_out = set(OF_NO_USE)
    if settings.workshop == "shared" and "mongo_uri" not in settings.model_fields_set:
        left_out |= OF_THE_ARCHIVE
    for found in examine(settings, local=local, begin=begin):
        if found.name not in left_out:
            yield found


def _check(name: str, look: Callable[[], str], begin: Callable[[str], None]) -> Check:
    from chatkit.doctor import Check

    begin(name)
    started = time.monotonic()
    try:
        detail, ok = look(), True
    except ChatkitError as error:
        detail, ok = str(error), False
    took = round(time.monotonic() - started, 3)
    return Check(name=name, ok=ok, seconds=took, detail=detail)


def _python() -> str:
    return f"{platform.python_version()}, {sys.executable}"


def _jupyterlab() -> str:
    """Return which JupyterLab runs; one that is there and does not run is of no use."""
    missing = [
        name
        for name in ("jupyterlab", "ipykernel", "ipywidgets", "anywidget")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ServiceError(
            f"Not installed: {', '.join(missing)}. Do 'pip install chatkit' again, in the "
            f"environment of {sys.executable}"
        )
    command = [sys.executable, "-m", "jupyterlab", "--version"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=JUPYTERLAB_SECONDS, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(
            f"JupyterLab did not tell its version within {JUPYTERLAB_SECONDS:g} s: the machine is "
            "very busy or slow. Close other programs and check again"
        ) from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ServiceError(
            f"JupyterLab does not run: {last}. Do 'pip install --upgrade jupyterlab' in the "
            f"environment of {sys.executable}"
        ) from error
    return f"Version {done.stdout.strip()}"


def _memory(brokers: int) -> str:
    import psutil

    free = psutil.virtual_memory().available
    try:  # a container may use less than there is
        limit, used = MEMORY_LIMIT.read_text().strip(), int(MEMORY_USED.read_text())
        if limit != "max":
            free = min(free, int(limit) - used)
    except (OSError, ValueError):
        pass
    needed = MEMORY[brokers]
    if free < needed:
        advice = "Close other programs, or give the machine or container more"
        if brokers > 1:
            advice += "; or use the Kafka of the class: set CHATKIT_BOOTSTRAP_SERVERS"
        raise ServiceError(f"{_gib(free)} free, and {_gib(needed)} are needed. {advice}")
    return f"{_gib(free)} free, {_gib(needed)} needed"


def _disk() -> str:
    """Return how much room there is where Kafka and MongoDB keep their data for a while."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < DISK:
        raise ServiceError(
            f"{_gib(free)} free in {folder}, and {_gib(DISK)} are needed. Make room, or set TMPDIR "
            "to a folder on another disk"
        )
    return f"{_gib(free)} free in {folder}, {_gib(DISK)} needed"


def _java(settings: Settings) -> str:
    from chatkit.local.java import find_java

    return str(find_java(settings))


def _mongod() -> str:
    from chatkit.local.mongod import find_mongod

    return str(find_mongod())


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"


@app.command()
def progress(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show how far the learners of a workshop are: which exercises each has solved."""
    from chatkit.workshop.progress import everyone

    quiet_logs()
    learners = everyone(settings_for(data))
    if as_json:
        print_json(
            [
                {
                    "learner": one.learner,
                    "solved": len(one.passed),
                    "exercises": {name: one.state_of(name) for _, name in one.exercises},
                }
                for one in learners
            ]
        )
        return
    if not learners:
        say("Nobody has tried an exercise yet.")
        return
    width = max(len(one_line(one.learner)) for one in learners)
    for one in learners:
        tried = [name for _, name in one.exercises if one.state_of(name) == "not yet"]
        text = f"{one_line(one.learner):<{width}}  {len(one.passed):3} of {len(one.exercises)}"
        say(text + (f"  not yet: {', '.join(tried)}" if tried else ""))
