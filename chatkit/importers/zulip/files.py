"""The files of a Zulip export or of zulip-archive, in a folder or a tar file, read as streams."""

from __future__ import annotations

import itertools
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import methodcaller
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import ijson

from chatkit.errors import ImportFormatError, InputError
from chatkit.importers import open_bytes

__all__ = ["READ_ERRORS", "Member", "Source", "find", "members", "records"]

MARKS = {"realm.json": False, "stream_index.json": True}
CHUNK = 64 * 1024
DEPTH_LIMIT = 500

READ_ERRORS = (OSError, EOFError, zlib.error, tarfile.TarError)
"""What reading from a damaged or unreadable file raises."""


class Source(NamedTuple):
    """Where an export is."""

    path: Path
    """The folder or the tar file."""
    root: str
    """Where in it: empty, or the name of a folder."""
    archive: bool
    """Whether it is zulip-archive's; else an organisation's export."""


class Member(NamedTuple):
    """A file of an export."""

    name: str
    """Its name below the export's root, ``/`` between folder and file."""
    size: int
    """Bytes."""
    open: Callable[[], IO[bytes]]
    """Opens it; only until the next member is asked for."""


def find(paths: Sequence[Path]) -> Source:
    """Return where the export is that somebody gave.

    Raises
    ------
    InputError
        Not exactly one path was given.
    ImportFormatError
        There is no export.
    """
    if len(paths) != 1:
        raise InputError(
            f"Give one Zulip export at a time, not {len(paths)} paths: its folder or tar.gz file"
        )
    path = Path(paths[0])
    if not path.exists():
        raise ImportFormatError(f"There is no file or folder {path}")
    found = {
        name.parent.as_posix(): MARKS[name.name]
        for name, _ in (_files_of_folder(path, deep=False) if path.is_dir() else _names(path))
        if name.name in MARKS and len(name.parts) <= 2
    }
    if "." in found:
        return Source(path, ".", found["."])
    if len(found) > 1:
        raise ImportFormatError(f"Several Zulip exports are here: {', '.join(found)}. Give one")
    for root, archive in found.items():
        return Source(path, root, archive)
    raise ImportFormatError(
        "This is no Zulip export: looked for realm.json (an organisation's export; one of a single "
        "user can't be read) and stream_index.json (zulip-archive), here and one folder below. "
        "Give the folder that has one of them, or the tar.gz file as it came from Zulip"
    )


def members(source: Source) -> Iterator[Member]:
    """Yield the files of an export.

    Raises
    ------
    OSError, EOFError, zlib.error, tarfile.TarError
        The tar file ends in the middle or is damaged.
    """
    if source.path.is_dir():
        for name, path in _files_of_folder(source.path / source.root, deep=True):
            yield Member(name.as_posix(), path.stat().st_size, partial(open_bytes, path))
        return
    with open_bytes(source.path) as file, _opened(file) as archive:
        for info in _walk(archive):
            name = PurePosixPath(info.name)
            if name.is_relative_to(source.root):
                below = name.relative_to(source.root).as_posix()
                yield Member(below, info.size, partial(_extracted, archive, info))


def _files_of_folder(folder: Path, *, deep: bool) -> Iterator[tuple[PurePosixPath, Path]]:
    patterns = ("**/*",) if deep else ("*.json", "*/*.json")
    home = folder.resolve()
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            # A link in somebody's export could lead to a file of the importing person.
            if path.is_file() and path.resolve().is_relative_to(home):
                # A file name need not be Unicode; but notes have to be printable.
                name = path.relative_to(folder).as_posix().encode("utf-8", "replace").decode()
                yield PurePosixPath(name), path


def _names(path: Path) -> Iterator[tuple[PurePosixPath, None]]:
    """Yield the names in a tar file up to the one that tells what it is."""
    try:
        # Not `open_bytes`: this is a first look.
        with path.open("rb") as file, _opened(file) as archive:
            for info in _walk(archive):
                name = PurePosixPath(info.name)
                yield name, None
                if name.name in MARKS and len(name.parts) <= 2:
                    return
    except READ_ERRORS as error:
        raise ImportFormatError(
            f"{path} is neither a folder nor a readable tar file ({error}); a Zulip export is one "
            "of them. Unpack anything else first, and give the folder"
        ) from error


def _opened(file: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, errors="replace")


def _walk(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the files in a tar file; links and devices are none."""
    while (info := archive.next()) is not None:
        if info.isfile():
            yield info
        archive.members = []  # type: ignore[attr-defined]  # it would keep them all


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None  # only files are asked for
    return file


def records(file: IO[bytes], *prefixes: str) -> Iterator[tuple[str, int, Any]]:
    """Yield what is in some lists of a JSON file, without ever holding one whole.

    Parameters
    ----------
    file : binary file
        Read from where it stands to its end.
    *prefixes : str
        The lists, by their keys, with dots between; empty: the file is a list itself.

    Yields
    ------
    tuple of str, int and any
        Which list, the position in it from 0, and what is there. Numbers with a point are
        Decimal, so that times stay exact.

    Raises
    ------
    ijson.JSONError
        The file is not JSON, ends in the middle, or is nested too deeply. What came before was
        yielded.
    """
    nesting = _Nesting()
    found = {prefix: ijson.sendable_list() for prefix in prefixes}
    parsers = {
        prefix: ijson.items_coro(events, f"{prefix}.item" if prefix else "item")
        for prefix, events in found.items()
    }
    counts = dict.fromkeys(prefixes, 0)

    def drained() -> Iterator[tuple[str, int, Any]]:
        for prefix, events in found.items():
            for record in events:
                yield prefix, counts[prefix], record
                counts[prefix] += 1
            events.clear()

    chunk = file.read(CHUNK).removeprefix(b"\xef\xbb\xbf")
    while chunk:
        nesting.check(chunk)
        trouble = _each(parsers.values(), methodcaller("send", chunk))
        yield from drained()
        if trouble:
            raise trouble
        chunk = file.read(CHUNK)
    trouble = _each(parsers.values(), methodcaller("close"))
    yield from drained()
    if trouble:
        raise trouble


def _each(parsers: Any, step: Callable[[Any], None]) -> ijson.JSONError | None:
    """Do a step with each parser, and return what went wrong, if anything."""
    trouble = None
    for parser in parsers:
        try:
            step(parser)
        except ijson.JSONError as error:
            trouble = error
    return trouble


_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_REST_OF_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_OTHERS = bytes(set(range(256)) - _STEPS.keys())


class _Nesting:
    """How deep JSON is nested; its parser's memory grows with the square of that."""

    def __init__(self) -> None:
        self._depth = 0
        self._within = False  # a string that began in an earlier piece
        self._escaped = False  # the first character belongs to a backslash before it

    def check(self, piece: bytes) -> None:
        """Raise if the next piece of a file is nested too deeply."""
        if self._within:
            end = _REST_OF_STRING.match(piece, int(self._escaped))
            if end is None:
                self._escaped = _ends_escaping(piece[int(self._escaped) :])
                return
            piece = piece[end.end() :]
        outside, quote, begun = _STRING.sub(b"", piece).partition(b'"')
        self._within = bool(quote)
        self._escaped = _ends_escaping(begun)
        steps = map(_STEPS.__getitem__, outside.translate(None, _OTHERS))
        depths = list(itertools.accumulate(steps, initial=self._depth))
        self._depth = depths[-1]
        if max(depths) > DEPTH_LIMIT:
            raise ijson.JSONError(f"nested more than {DEPTH_LIMIT} deep")


def _ends_escaping(text: bytes) -> bool:
    return (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
