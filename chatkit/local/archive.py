"""Java's class archive: what one Kafka process loaded, the next ones map, in half the time.

It is written when the process that was told to ends by itself, so the first stack on a machine
makes it in passing. Java ignores one that does not fit. It is a cache: removing it costs a second
or two at the next start.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["ClassArchive"]


class ClassArchive:
    """The archive for one Java and one set of jars, as one stack sees it.

    Parameters
    ----------
    folder : Path
        Where it is kept; made if missing. If it can't be written there is none.
    java : Path
        The Java.
    jars : sequence of Path
        The class path; also its files' sizes and times must be the same.
    """

    def __init__(self, folder: Path, java: Path, jars: Sequence[Path]) -> None:
        facts = [
            (str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in (java, *jars)
        ]
        key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        self._file = folder / f"kafka-{key}.jsa"
        self._unfinished = folder / f".kafka-{key}.{os.getpid()}.{id(self):x}"
        self._writable = False
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._writable = os.access(folder, os.W_OK)

    def use(self) -> list[str]:
        """Return Java's options to use the archive.

        Returns
        -------
        list of str
            Empty if there is none yet.
        """
        return [f"-XX:SharedArchiveFile={self._file}"] if self._file.is_file() else []

    def use_or_write(self) -> list[str]:
        """Return Java's options to use the archive, else to write it; for one process of a stack.

        Returns
        -------
        list of str
            Empty if there is none and it can't be written.
        """
        if self._writable and not self._file.is_file():
            return [f"-XX:ArchiveClassesAtExit={self._unfinished}"]
        return self.use()

    def keep(self, whole: bool) -> None:
        """Put what was written in its place.

        Parameters
        ----------
        whole : bool
            Whether the process ended by itself; if not, what it left is removed.
        """
        with suppress(OSError):
            if whole:
                self._unfinished.replace(self._file)
            else:
                self._unfinished.unlink()
