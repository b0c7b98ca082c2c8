"""Which column of a table is what: as somebody said, else as common names tell. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import msgspec

from chatkit.errors import ImportFormatError, InputError

__all__ = ["FIELDS", "Columns", "check_columns", "find"]

FIELDS: Mapping[str, str] = {
    "author": "author nick nickname user username sender sendername from fromname name realname "
    "displayname who handle speaker",
    "body": "body text message content msg messagetext messagebody comment",
    "sent_at": "sentat timestamp datetime createdat senttime messagetime date+time time date ts "
    "created sent when epoch",
    "channel": "channel channelname room roomname conversation chat chatname group stream",
    "id": "id messageid msgid",
    "reply_to": "replyto replytoid inreplyto replytomessageid parentid parentmessageid",
    "bot": "bot isbot",
    "edited_at": "editedat",
    "deleted_at": "deletedat",
    "pinned_at": "pinnedat",
    "file": "file filename attachment attachmentname",
}
"""What can be in a column -> names that say so, the best first, without ``_``, ``-`` and spaces."""
NEEDED = ("author", "body", "sent_at")
OURS = {
    "id", "channel", "author", "body", "sent_at", "placed_at", "archived_at", "reply_to", "bot",
    "source", "edited_at", "deleted_at", "attachment_name", "partition", "offset", "rev",
}  # fmt: skip
"""Columns by which a table of our own is known."""


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Which column is what."""

    names: Mapping[str, Sequence[str]]
    """What -> names of the columns; several are read as one text with spaces between."""
    guessed: Sequence[str]
    """For what the column was guessed."""
    ours: bool
    """Whether it is a table that was exported here, so that its ids are ours too."""

    def told(self) -> str:
        """Return what was guessed, for people to read."""
        return ", ".join(f"{what} = {'+'.join(self.names[what])}" for what in self.guessed)


def check_columns(columns: Mapping[str, str]) -> None:
    """Raise if a mapping has what can't be in a column.

    Raises
    ------
    InputError
        The text says what can be.
    """
    unknown = sorted(columns.keys() - FIELDS.keys())
    if unknown:
        raise InputError(
            f"A column can't be {', '.join(map(repr, unknown))}; it can be {', '.join(FIELDS)}"
        )


def find(there: Collection[str], wanted: Mapping[str, str], file: str) -> Columns:
    """Return which of the columns that are there is what.

    Parameters
    ----------
    there : collection of str
        Names of columns.
    wanted : mapping of str to str
        What somebody said: what -> the column; two with ``+`` between are read as one, and an
        empty name is none. What is not said is guessed.
    file : str
        Where they are, for the error.

    Raises
    ------
    InputError
        A column that was named is not there.
    ImportFormatError
        Nothing tells author, text or time.
    """
    names: dict[str, list[str]] = {}
    for what, name in wanted.items():
        parts = [name] if _is_there(name, there) else name.split("+")
        if name and not all(_is_there(part, there) for part in parts):
            raise InputError(f"{file} has no column {name!r}; it has {_list(there)}")
        names[what] = parts if name else []
    guessed = []
    taken = {part for parts in names.values() for part in parts}
    for what in FIELDS.keys() - names.keys():
        found = _guess(what, [name for name in there if name not in taken])
        if found:
            names[what] = found
            guessed.append(what)
    missing = [what for what in NEEDED if not names.get(what)]
    if missing:
        raise ImportFormatError(
            f"Nothing in {file} tells {' and '.join(missing)}; its columns are {_list(there)}. "
            f'Say which is what, such as columns={{"{missing[0]}": "..."}}'
        )
    ours = not wanted and set(there) >= OURS
    kept = {what: parts for what, parts in names.items() if parts}
    if ours:
        kept |= {"source": ["source"], "reactions": ["reactions"]}
    return Columns(
        names=kept, guessed=[] if ours else [w for w in FIELDS if w in guessed], ours=ours
    )


def _is_there(name: str, there: Collection[str]) -> bool:
    return name in there or ("." in name and name.partition(".")[0] in there)


def _guess(what: str, there: Sequence[str]) -> list[str]:
    plain = {re.sub(r"[\s_-]", "", name.casefold()): name for name in reversed(there)}
    for name in FIELDS[what].split():
        parts = name.split("+")
        if all(part in plain for part in parts):
            return [plain[part] for part in parts]
    return []


def _list(there: Collection[str]) -> str:
    names = [repr(name) if len(name) <= 40 else repr(name[:40] + "...") for name in there]
    return ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
