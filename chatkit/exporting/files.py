"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from chatkit.errors import InputError

__all__ = ["size_of", "whole"]


@contextlib.contextmanager
def whole(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give the path to write to; what is there in the end gets its name, or is gone.

    Parameters
    ----------
    path : Path
        The name of the file, or folder, in a folder that exists.
    replace : bool, default False
        Whether one of that name may be replaced.

    Raises
    ------
    InputError
        There is one already, its folder is missing, or writing failed.
    """
    if path.exists() and not replace:
        raise InputError(
            f"{path} is there already: name another one, or say that it is to be replaced "
            "(--replace on the command line)"
        )
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}: make it first")
    part = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        _flush(part)
        if path.is_dir() and not path.is_symlink():  # which can't be replaced in one step
            old = part.with_suffix(".old")
            path.rename(old)
            part.rename(path)
            shutil.rmtree(old)
        else:
            part.replace(path)
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        _remove(part)


def _flush(path: Path) -> None:
    """Let what was written reach the disk before it gets its name."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return how many bytes a file has, or all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
