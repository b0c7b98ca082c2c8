"""Which line of a log answers which, from the file beside it that tells this. Pure but for reading.

The form is that of the irc-disentanglement data: a line ``993 1000 -`` says that line 1000 answers
line 993, both counted from 0; ``993 993 -`` that line 993 answers none.
"""

from __future__ import annotations

import re
from pathlib import Path

from chatkit.importers import Item, Skipped

__all__ = ["LINKS", "Links"]

LINKS = ".annotation.txt"
_LINK = re.compile(r"(\d{1,9})[ \t]+(\d{1,9})(?:[ \t].*)?", re.ASCII)


_ENDING = re.compile(r"(\.raw)?\.(txt|log)$")


class Links:
    """The links of one log, and the ids of the messages that they lead to, as these turn up.

    Parameters
    ----------
    log : Path, optional
        The log. Without one there are no links.
    """

    def __init__(self, log: Path | None = None) -> None:
        self.notes: list[Item] = []
        """What of the file could not be taken."""
        self._ids: dict[int, str] = {}
        self._targets: dict[int, int] = {}
        self._wanted: set[int] = set()
        self._name = ""
        if log is not None:
            self._read(log.with_name(_ENDING.sub("", log.name) + LINKS))

    def _read(self, path: Path) -> None:
        self._name = path.name
        try:
            text = path.read_text("utf-8", "replace")
        except FileNotFoundError:
            self.notes.append(
                Skipped(
                    reason="no file with reply links is beside the log", file=path.name, what="file"
                )
            )
            return
        except OSError as error:
            self.notes.append(
                Skipped(
                    reason="can't be read",
                    file=path.name,
                    what="file",
                    detail=str(error),
                    lost=True,
                )
            )
            return
        for position, line in enumerate(text.split("\n")):
            if not line.strip():
                continue
            match = _LINK.fullmatch(line.strip())
            if match is None:
                self._skip("not a reply link", position, line[:80], lost=True)
                continue
            one, other = sorted((int(match[1]), int(match[2])))
            if one == other:
                continue
            if other in self._targets:
                self._skip("a message answers one: the nearest is kept", position, line.strip())
                one = max(one, self._targets[other])
            self._targets[other] = one
        self._wanted = set(self._targets.values())

    def _skip(self, reason: str, position: int | None, detail: str, *, lost: bool = False) -> None:
        self.notes.append(
            Skipped(
                reason=reason,
                file=self._name,
                position=position,
                what="link",
                detail=detail,
                lost=lost,
            )
        )

    def reply_to(self, line: int, own_id: str) -> str | None:
        """Return the id of the message that a line answers, having noted the line's own.

        Parameters
        ----------
        line : int
            Number of the line, from 0; a message was made of it.
        own_id : str
            Its id.
        """
        if line in self._wanted:
            self._ids[line] = own_id
        target = self._targets.pop(line, None)
        if target is None:
            return None
        found = self._ids.get(target)
        if found is None:
            self._skip("a reply link to a line that is no message", None, f"{target} {line}")
        return found

    def rest(self) -> list[Item]:
        """Return notes about links of lines that no message was made of; at the end of the log."""
        for line, target in self._targets.items():
            self._skip("a reply link of a line that is no message", None, f"{target} {line}")
        self._targets = {}
        notes, self.notes = self.notes, []
        return notes
