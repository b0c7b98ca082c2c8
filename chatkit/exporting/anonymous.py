"""Frames and documents with pseudonyms in place of people's names."""

from __future__ import annotations

from typing import Any

import pandas as pd

from chatkit.pseudonyms import Anonymise, Pseudonyms, Remains, Watch

__all__ = ["Anonymous"]


class Anonymous:
    """Takes people's names out of what is exported, and looks at what is left.

    Parameters
    ----------
    how : Anonymise
        The key and the exceptions.
    names : set of str
        Everybody's name.
    """

    def __init__(self, how: Anonymise, names: set[str]) -> None:
        self.pseudonyms = Pseudonyms(how, names)
        self._watch = Watch()
        self._channels: dict[str, str] = {}

    def channel(self, name: str) -> str:
        """Return a channel's name as it goes out."""
        if name not in self._channels:
            self._channels[name] = self.pseudonyms.channel(name)
        return self._channels[name]

    def frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return messages, as `chatkit.history.load` gives them, without names."""
        make = {
            "id": self.pseudonyms.id,
            "channel": self.channel,
            "author": self.pseudonyms.name,
            "body": self.pseudonyms.text,
            "reply_to": self.pseudonyms.id,
            "attachment_name": self.pseudonyms.text,
        }
        changed = {
            name: pd.Series(
                [change(value) if isinstance(value, str) else None for value in frame[name]],
                index=frame.index,
                dtype=frame[name].dtype,
            )
            for name, change in make.items()
        }
        new = frame.assign(**changed)
        columns = (new[name] for name in ("id", "channel", "author", "body", "attachment_name"))
        for values in zip(*columns, strict=True):
            self._watch.see(*(value if isinstance(value, str) else "" for value in values))
        return new

    def document(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a message's document, as far as a page shows it, without names."""
        change = self.pseudonyms
        attachment = document.get("attachment")
        if isinstance(attachment, dict):
            attachment = {**attachment, "name": change.text(str(attachment.get("name", "")))}
        reply_to = document.get("reply_to")
        new = {
            **document,
            "_id": change.id(str(document["_id"])),
            "channel": self.channel(document["channel"]),
            "author": change.name(str(document.get("author", ""))),
            "body": change.text(str(document.get("body", ""))),
            "reply_to": change.id(reply_to) if isinstance(reply_to, str) else None,
            "attachment": attachment,
            "reactions": {
                emoji: [change.name(str(actor)) for actor in actors]
                for emoji, actors in (document.get("reactions") or {}).items()
            },
        }
        name = (attachment or {}).get("name")
        self._watch.see(new["_id"], new["channel"], new["author"], new["body"], name)
        return new

    def remains(self) -> Remains:
        """Return what may still tell who people are."""
        return self._watch.remains(self.pseudonyms)
