"""The files of a Slack export, in a folder or a zip file, and the values of any type in them."""

from __future__ import annotations

import itertools
import json
import lzma
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from chatkit.errors import ImportFormatError
from chatkit.importers import Item, author_name, open_bytes
from chatkit.importers.reading import Place

__all__ = [
    "CHANNEL_FILES",
    "DAY",
    "USER_FILES",
    "Files",
    "Ts",
    "as_ts",
    "composed",
    "load",
    "open_export",
    "shown",
]

FILE_LIMIT = 256 * 1024 * 1024  # bytes; a day of a busy channel has a few MiB, a zip bomb more
USER_FILES = ("users.json", "org_users.json")
CHANNEL_FILES = {  # -> whether only some could read what is listed there
    "channels.json": False,
    "groups.json": True,
    "mpims.json": True,
    "dms.json": True,
}

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.json")
"""The name of a file with a day of a channel."""
_TS = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")
# Order matters: a whole pair or any other escape is consumed, so that only halves are replaced.
_HALF_PAIR = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)

Files = dict[str, Callable[[], IO[bytes]]]
"""How to open each file, by its name below the export's root."""


@contextmanager
def open_export(path: Path) -> Iterator[Files]:
    """Give the JSON files of an export by name, ``/`` between folder and file."""
    if path.is_dir():
        patterns = ("*.json", "*/*.json", "*/*/*.json")
        found = itertools.chain.from_iterable(map(path.glob, patterns))
        yield _from_root({f.relative_to(path).as_posix(): partial(open_bytes, f) for f in found})
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_bytes(path))
            archive = stack.enter_context(zipfile.ZipFile(file))
        except FileNotFoundError:
            raise ImportFormatError(f"There is no file or folder {path}") from None
        except (OSError, zipfile.BadZipFile) as error:
            raise ImportFormatError(
                f"{path} is neither a folder nor a readable zip file ({error}); "
                "a Slack export is one of them"
            ) from error
        names = (name for name in archive.namelist() if name.endswith(".json"))
        yield _from_root({name.replace("\\", "/"): partial(archive.open, name) for name in names})


def _from_root(files: Files) -> Files:
    """Return the files by their names below the export's root: here, or one folder here."""
    # A file name need not be Unicode; but notes have to be printable.
    named = {tuple(composed(name).split("/")): opener for name, opener in files.items()}
    tops = sorted({parts[0] for parts in named if len(parts) > 1})
    roots: list[tuple[str, ...]] = [()]
    if not _is_export(named, ()):
        roots = [(top,) for top in tops if _is_export(named, (top,))]
    if not roots:
        raise ImportFormatError(
            "This is no Slack export: looked for channels.json, users.json and day files such as "
            "general/2020-01-31.json, here and one folder below. Give the folder that has them, "
            "or the zip file as it came from Slack"
        )
    if len(roots) > 1:
        raise ImportFormatError(
            f"Several Slack exports are here: {', '.join(root[0] for root in roots)}. Give one"
        )
    root = roots[0]
    below = {n[len(root) :]: opener for n, opener in named.items() if n[: len(root)] == root}
    return {"/".join(n): opener for n, opener in below.items() if len(n) <= 2}


def _is_export(names: Iterable[tuple[str, ...]], root: tuple[str, ...]) -> bool:
    for name in names:
        match name[len(root) :] if name[: len(root)] == root else ():
            case (str(file),) if file in USER_FILES or file in CHANNEL_FILES:
                return True
            case (_, str(file)) if DAY.fullmatch(file):
                return True
    return False


def load(files: Files, place: Place, notes: list[Item]) -> list[Any]:
    """Return the list in a JSON file; what is wrong with the file goes into ``notes``."""
    try:
        with files[place.file]() as file:
            data = file.read(FILE_LIMIT + 1)
        if len(data) > FILE_LIMIT:
            notes.append(place.skipped(f"over {FILE_LIMIT >> 20} MiB", "file", lost=True))
            return []
        text = data.decode("utf-8-sig")
        del data
        if "\\ud" in text or "\\uD" in text:
            text = _replace_half_pairs(text, place, notes)
        # A number's own digits, should a ts not be a string: as a float they would change.
        entries = json.loads(text, parse_float=str)
    except UnicodeDecodeError as error:
        notes.append(place.skipped("not UTF-8", "file", str(error), lost=True))
    except RecursionError:
        notes.append(place.skipped("nested too deeply", "file", lost=True))
    except ValueError as error:
        notes.append(place.skipped("not JSON", "file", str(error), lost=True))
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as e:
        # RuntimeError: a zip member that is encrypted, or compressed in a way unknown to us
        notes.append(place.skipped("can't be read", "file", str(e), lost=True))
    else:
        if isinstance(entries, list):
            return entries
        notes.append(place.skipped("not a list", "file", lost=True))
    return []


def _replace_half_pairs(text: str, place: Place, notes: list[Item]) -> str:
    """Return JSON in which every escaped half of a surrogate pair is U+FFFD."""
    halves = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal halves
        if match["half"] is None:
            return match[0]
        halves += 1
        return "\\ufffd"

    text = _HALF_PAIR.sub(replacement, text)
    if halves:
        notes.append(place.mended("halves of surrogate pairs replaced by U+FFFD", f"{halves}"))
    return text


def shown(value: object) -> str:
    """Return a short word for a value; nested ones can be too deep to print."""
    return author_name(value) if isinstance(value, str) else f"of type {type(value).__name__}"


class Ts(NamedTuple):
    """Slack's time of an entry, which is also its id in its channel."""

    exact: Decimal
    text: str

    @property
    def ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return int(self.exact * 1000)


def as_ts(value: object) -> Ts | None:
    """Return a ts, or any other time in seconds since 1970; None if it is none."""
    text = str(value) if isinstance(value, str | int) else ""
    return Ts(Decimal(text), text) if _TS.fullmatch(text) else None


def composed(text: str) -> str:
    """Return a name in the one form in which equal names are equal, and without surrogates."""
    return unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
