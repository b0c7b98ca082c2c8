"""One query language, for the search box, the command line, history and statistics.

::

    channel:general from:ana before:2026-02-01 after:2026-01 has:link -from:bot "exact phrase" word

A query is terms with spaces between them, and a message matches if it has all of them; a deleted
message matches none. A term is a word, a phrase in ``"`` quotes, or a key with its value, as in
``from:ana`` or ``from:"Ana Maria"``; in quotes, ``""`` is a quote. A ``-`` before a term asks for
what does not have it. `KEYS` says what the keys mean, `VALUES` what may follow ``has:`` and
``is:``.

- Words and phrases are looked for anywhere in the text, within words too, without regard to case
  and to how a character is written (`searchable`). Names are taken as they are written.
- A message is in one channel, by one author, from one source and of one day: where one of
  ``channel:``, ``from:``, ``source:`` or ``on:`` is there more than once, either will do. With a
  ``-``, and of all other keys, each counts.
- A date is a year, a month or a day in one time zone: ``2026``, ``2026-01`` or ``2026-01-31``.
  ``before:`` ends where it begins, ``after:`` begins where it begins, ``on:`` is all of it. So
  ``after:2026-01 before:2026-02`` is January.
- ``me`` is whoever asks. ``#`` before a channel's name and ``@`` before a person's may be there,
  but not in quotes.
- Letters before a ``:`` are a key if there is such a key. If they only look like one, that is an
  error, since it was probably meant. All else, such as ``12:30`` or ``http://x``, is a word, and
  whatever is in quotes is a phrase.

A query means the same as a MongoDB filter, as a mask over a frame and asked of one message. Pure:
it knows MongoDB's filters, but no client.
"""

from __future__ import annotations

from chatkit.query.completing import Completion, complete
from chatkit.query.days import time_zone
from chatkit.query.language import QUERY_LIMIT, Query, parse
from chatkit.query.terms import KEYS, VALUES, Term
from chatkit.query.words import mentions, searchable

__all__ = [
    "KEYS",
    "QUERY_LIMIT",
    "VALUES",
    "Completion",
    "Query",
    "Term",
    "complete",
    "mentions",
    "parse",
    "searchable",
    "time_zone",
]
