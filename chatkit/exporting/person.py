"""All that one person wrote and did -> one zip file, for that person."""

from __future__ import annotations

import contextlib
import json
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from tqdm.auto import tqdm

from chatkit.errors import InputError
from chatkit.exporting.exports import Exported, Progress
from chatkit.exporting.files import size_of, whole
from chatkit.exporting.reading import Document, chosen_channels, listed, pages
from chatkit.message import Edit, from_ms
from chatkit.query import Query
from chatkit.store import MessageStore, reacted

__all__ = ["export_person"]

_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)

_README = """\
What {name} wrote and did
{line}

This is a copy of all that the chat's archive holds of {name}, as of {now}.
Each .jsonl file has one JSON object a line, in UTF-8; times are ISO 8601, in UTC.

messages.jsonl    {messages}: what {name} wrote, by channel, oldest first.
                  "versions" are all texts that a message had, the first one first, each with
                  the time from which it was shown; "body" is the last one. Of a deleted message
                  there is no text any more. "reactions" are those of others. "attachment" names
                  the file in the folder attachments.
events.jsonl      {events}: what {name} did besides: edits, deletions, reactions, pins, coming
                  to a channel and leaving it. "target" is the id of the message that it is about.
reactions.jsonl   {reactions}: the reactions of {name} that are still there.
read_marks.jsonl  {read_marks}: how far {name} has read each channel, and who is muted.
attachments/      {attachments}: the files that {name} sent.

Names in a chat are claims, not proof: this is what was written under the name {name}, by whoever
used it. What others wrote about {name} is not here. Kafka, through which all messages went, may
hold further copies, and so may files that others exported.
"""


def export_person(
    store: MessageStore,
    name: str,
    path: Path | str,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write all that the archive holds of one person to a zip file, in flat memory.

    Parameters
    ----------
    store : MessageStore
        Where to read; stays open.
    name : str
        The person's name, exactly as the archive has it.
    path : Path or str
        The file to make; its name ends with ``.zip``.
    replace : bool, default False
        Whether one that is there already may be replaced.
    progress : callable, optional
        Called with how many more messages are written. Default: a bar, after a second.

    Returns
    -------
    Exported
        Counts.

    Raises
    ------
    InputError
        The archive holds nothing of that person, the path does not end with ``.zip``, is there
        already or can't be written.
    StoreUnavailableError
        MongoDB did not answer in time.
    """
    path = Path(path)
    if path.suffix.lower() != ".zip":
        raise InputError(f"A person's export is a zip file: name it {path.name}.zip")
    counts: Counter[str] = Counter()
    with (
        whole(path, replace=replace) as part,
        tqdm(unit=" messages", delay=1, leave=False, disable=progress is not None) as bar,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        told = progress or bar.update
        with store.answering():
            _write_all(archive, store, name, counts, told)
        if not counts.total():
            raise InputError(
                f"The archive holds nothing of {name!r}: check how the name is written"
            )
        now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
        numbers = {kind: f"{counts[kind]:,}" for kind in _KINDS}
        title = "=" * len(f"What {name} wrote and did")
        text = _README.format(name=name, now=now, line=title, **numbers)
        archive.writestr("README.txt", text)
    return Exported(
        path=path,
        format="zip",
        messages=counts["messages"],
        bytes=size_of(path),
        counts={kind: counts[kind] for kind in _KINDS if kind != "messages"},
    )


_KINDS = ("messages", "events", "reactions", "read_marks", "attachments")


def _write_all(
    archive: zipfile.ZipFile,
    store: MessageStore,
    name: str,
    counts: Counter[str],
    progress: Callable[[int], object],
) -> None:
    database = store.database
    channels = chosen_channels(store, Query(), None)
    with _lines(archive, "messages") as write:
        for message in _messages(store, name, channels):
            write(message)
            counts["messages"] += 1
            progress(1)
    with _lines(archive, "events") as write:
        for page in listed(database["events"].find({"actor": name}).sort("appended_at", 1)):
            for event in page:
                write(_named(event))
                counts["events"] += 1
    with _lines(archive, "reactions") as write:
        for reaction in _reactions(store, name):
            write(reaction)
            counts["reactions"] += 1
    with _lines(archive, "read_marks") as write:
        for page in listed(database["read_marks"].find({"user": name}).sort("_id", 1)):
            for mark in page:
                write(_named(mark))
                counts["read_marks"] += 1
    for file, data in _attachments(store, name, channels):
        archive.writestr(file, data)
        counts["attachments"] += 1


@contextlib.contextmanager
def _lines(archive: zipfile.ZipFile, name: str) -> Iterator[Callable[[Document], None]]:
    """Give a function that writes objects as lines of one file in a zip file."""
    with archive.open(f"{name}.jsonl", "w", force_zip64=True) as file:

        def write(value: Document) -> None:
            file.write(_encode(value) + b"\n")

        yield write


def _encode(value: Document) -> bytes:
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:  # half of a character, which somebody put there by hand
        return json.dumps(value, default=str).encode()


def _named(document: Document) -> Document:
    """Return a document with its id under the name that frames have for it."""
    return {("id" if name == "_id" else name): value for name, value in document.items()}


def _messages(store: MessageStore, name: str, channels: Iterable[str]) -> Iterator[Document]:
    for channel in channels:
        for page in pages(store, channel, {"author": name}):
            edits: dict[str, list[Document]] = defaultdict(list)
            changed = [one["_id"] for one in page if one.get("rev")]
            for received in store.events_of(channel, changed) if changed else ():
                event = received.item
                if isinstance(event, Edit) and event.actor == name and event.target is not None:
                    at = received.appended_ms
                    edits[event.target].append({"at": from_ms(at), "body": event.body})
            for document in page:
                yield _message(document, edits[document["_id"]])


def _message(document: Document, edits: list[Document]) -> Document:
    """Return a message's document with all its texts, and without what serves the search."""
    kept = _named(document)
    for inner in ("search", "original"):
        kept.pop(inner, None)
    versions: list[Document] = []
    if document.get("deleted_at") is None:
        first = document.get("original", document.get("body"))
        versions = [{"at": document.get("placed_at"), "body": first}]
        versions += sorted(edits, key=lambda one: one["at"])
    attachment = document.get("attachment")
    if isinstance(attachment, dict):
        kept["attachment"] = {**attachment, "file": _file_name(attachment)}
    return {**kept, "versions": versions}


def _reactions(store: MessageStore, name: str) -> Iterator[Document]:
    """Yield the reactions of a person that are still there."""
    for page in listed(store.messages.find(reacted(name), {"channel": 1, "reactions": 1})):
        for document in page:
            for emoji, actors in document["reactions"].items():
                if name in actors:
                    about = {"channel": document["channel"], "target": document["_id"]}
                    yield {**about, "emoji": emoji}


def _attachments(
    store: MessageStore, name: str, channels: Iterable[str]
) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    for channel in channels:
        for page in pages(store, channel, {"author": name, "attachment": {"$type": "object"}}):
            for document in page:
                attachment = document["attachment"]
                file = _file_name(attachment)
                if file in seen:
                    continue
                seen.add(file)
                data = store.attachment(str(attachment.get("sha256", "")))
                if data is not None:
                    yield file, data


def _file_name(attachment: Document) -> str:
    """Return where an attachment lies in the zip file: a name that is harmless everywhere."""
    digest = _UNSAFE.sub("", str(attachment.get("sha256", "")))[:16]
    safe = _UNSAFE.sub("_", str(attachment.get("name", ""))).lstrip("._-")[-80:]
    return f"attachments/{digest}-{safe or 'file'}"
