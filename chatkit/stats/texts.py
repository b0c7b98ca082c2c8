"""The texts of messages as bytes, many at once: where words are, and what is code or a link.

A word is a run of letters, marks, digits and ``_``, of any script, with at least one letter; an
apostrophe belongs to it where it stands within. Words are told apart in lower case and in NFKC, so
that it does not matter how a character is written. Scripts without spaces between words, such as
Chinese, Japanese and Thai, are not parted: there a word is all between two marks.

Code and links are no words. Code is what stands between two equally long runs of backticks, and all
after three or more at the start of a line that nothing closes. A link is ``http://``, ``https://``
or ``www.`` and all up to a space or one of ``< > " |``.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "LINK",
    "Words",
    "having",
    "one_array",
    "pieces",
    "plain",
    "plain_text",
    "space_counts",
    "strings",
    "without_code",
    "words_of",
]

Numbers = np.ndarray[Any, np.dtype[Any]]

LINK = re.compile(
    r"""(?:[Hh][Tt][Tt][Pp][Ss]?://|(?<![A-Za-z0-9])[Ww][Ww][Ww]\.(?=[^\s.]))([^\s<>"|]+)"""
)
PIECE_BYTES = 4 * 1024 * 1024
"""Bytes of text to look at together, so that memory does not grow with the history."""

_BACKTICKS = re.compile(r"`+")
_OTHER, _WORD, _WITHIN, _SPACE = range(4)
_JOINERS = "'’\u200c\u200d"
"""What belongs to a word only between two of its characters."""
_VARIANTS = frozenset([0x20E3, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
"""Marks that make an emoji of what is before them, or choose its picture."""
_NO_WORD = "|"
"""Stands where code or a link was: words before and after it are no neighbours."""


class Words(NamedTuple):
    """The words of some texts, one after the other."""

    codes: Numbers
    """Which word, as a place in ``names``."""
    texts: Numbers
    """The text that each is in, a number from 0; in order."""
    joined: Numbers
    """Whether nothing but spaces is between a word and the one before it in the same text."""
    names: Any
    """All words, each once, in order: an Arrow array."""


def words_of(
    bodies: pd.Series, leave_out: Iterable[str] = (), *, neighbours: bool = False
) -> Words:
    """Return the words of texts, code and links left out.

    Parameters
    ----------
    bodies : pandas.Series
        Texts; a missing one has no words.
    leave_out : iterable of str
        Words that don't count. They part those around them: these are not ``joined``.
    neighbours : bool, default False
        Find out which are ``joined``, which takes a while; else that is empty.
    """
    found, joined, counts = [], [], []
    for piece in pieces(plain(bodies)):
        words, spaced, count = _split(piece, neighbours)
        found.append(words)
        joined.append(spaced)
        counts.append(count)
    encoded = pc.dictionary_encode(pa.chunked_array(found, pa.large_string()))
    encoded = encoded.unify_dictionaries()
    raw = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.large_string())
    indices = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    codes = _together(indices, "int32")
    texts = np.repeat(np.arange(len(bodies), dtype="int32"), _together(counts))
    names, places = _same(raw, leave_out)
    codes = places[codes]
    kept = codes >= 0
    spaced = _together(joined, "bool")
    if neighbours:
        # A word whose neighbour before it is left out has none.
        spaced[1:] &= kept[:-1]
        spaced = spaced[kept]
    return Words(codes[kept], texts[kept], spaced, names)


def _together(parts: Sequence[Numbers], kind: str = "int64") -> Numbers:
    return np.concatenate([np.empty(0, kind), *parts])


def _same(raw: Any, leave_out: Iterable[str]) -> tuple[Any, Numbers]:
    """Return the words that differ in more than writing, and which of them each is, -1: none."""
    dropped = {_word(text) for text in leave_out}
    written = [_word(text) for text in raw.to_pylist()]
    known = sorted({text for text in written if text not in dropped and _has_letter(text)})
    numbers = {text: number for number, text in enumerate(known)}
    places = np.fromiter((numbers.get(text, -1) for text in written), "int32", len(written))
    return pa.array(known, pa.large_string()), places


def _word(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text.replace("’", "'")).lower()


def _has_letter(text: str) -> bool:
    return text.isalpha() or any(map(str.isalpha, text))


def one_array(texts: pd.Series) -> Any:
    """Return a column of texts as one Arrow array; missing ones are empty."""
    array = pa.array(texts, from_pandas=True)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    array = array.cast(pa.large_string())
    return pc.fill_null(array, "") if array.null_count else array


def pieces(texts: Any) -> Iterator[Any]:
    """Yield an Arrow array in pieces of some PIECE_BYTES."""
    ends = _offsets(texts)
    start = 0
    while start < len(texts):
        end = int(np.searchsorted(ends, ends[start] + PIECE_BYTES, side="right")) - 1
        end = max(start + 1, end)
        yield texts[start:end]
        start = end


def plain(bodies: pd.Series) -> Any:
    """Return texts without their code and links, as an Arrow array."""
    texts = one_array(bodies)
    marked = _any(texts, "`", "://", "www.")
    if not marked.any():
        return texts
    cleaned = [plain_text(text) for text in strings(texts, marked)]
    mask = pa.array(marked)
    return pc.replace_with_mask(texts, mask, pa.array(cleaned, pa.large_string()))


def plain_text(text: str) -> str:
    """Return a text without its code and links."""
    text = without_code(text)
    # Asked first, since most texts that come here have only one of the two.
    return LINK.sub(_NO_WORD, text) if "://" in text or "www." in text.lower() else text


def having(texts: Any, *marks: str) -> Numbers:
    """Return which texts of an Arrow array have one of some marks, in order."""
    return np.flatnonzero(_any(texts, *marks))


def strings(texts: Any, chosen: Numbers) -> list[str]:
    """Return some texts of an Arrow array, chosen by number or by flag."""
    wanted = pa.array(chosen)
    found = texts.filter(wanted) if chosen.dtype == bool else texts.take(wanted)
    listed: list[str] = found.to_pylist()
    return listed


def _any(texts: Any, *marks: str) -> Numbers:
    found = np.zeros(len(texts), dtype=bool)
    for mark in marks:
        has = pc.match_substring(texts, mark, ignore_case=mark == "www.")
        found |= has.to_numpy(zero_copy_only=False)
    return found


def without_code(text: str) -> str:
    """Return a text with a mark in place of each code."""
    if "`" not in text:
        return text
    runs = [(found.start(), found.end()) for found in _BACKTICKS.finditer(text)]
    later: dict[int, list[int]] = {}
    for number in reversed(range(len(runs))):
        later.setdefault(runs[number][1] - runs[number][0], []).append(number)
    parts, at, number = [], 0, 0
    while number < len(runs):
        start, end = runs[number]
        same = later[end - start]
        while same[-1] <= number and len(same) > 1:
            same.pop()
        closing = same[-1]
        if closing > number:
            parts += [text[at:start], _NO_WORD]
            at, number = runs[closing][1], closing
        elif end - start >= 3 and not text[text.rfind("\n", 0, start) + 1 : start].strip():
            parts += [text[at:start], _NO_WORD]
            at, number = len(text), len(runs)
        number += 1
    return "".join([*parts, text[at:]])


def space_counts(texts: Any) -> Numbers:
    """Return how many runs between spaces each text of an Arrow array has, as ``str.split``."""
    counts = []
    for piece in pieces(texts):
        data, offsets = _bytes(piece)
        solid = _kinds(data) != _SPACE
        starts = solid.copy()
        starts[1:] &= ~solid[:-1]
        first = _firsts(offsets, len(data))
        starts[first] = solid[first]
        counts.append(_per_text(np.flatnonzero(starts), offsets))
    return _together(counts)


def _split(piece: Any, neighbours: bool) -> tuple[Any, Numbers, Numbers]:
    """Return a piece's words as they are written, which are joined, and how many each text has."""
    data, offsets = _bytes(piece)
    kinds = _kinds(data)
    first = _firsts(offsets, len(data))
    _settle_within(data, kinds, first)
    word = kinds == _WORD
    starts = word.copy()
    starts[1:] &= ~word[:-1]
    starts[first] = word[first]
    places = np.flatnonzero(starts)
    letters = data[word]
    # Where the words begin once all else is left out.
    ends = np.append(np.flatnonzero(starts[word]), len(letters))
    words = pa.LargeStringArray.from_buffers(len(places), pa.py_buffer(ends), pa.py_buffer(letters))
    counts = _per_text(places, offsets)
    spaced = _joined(kinds, places, counts) if neighbours else np.zeros(0, dtype=bool)
    return words, spaced, counts


def _joined(kinds: Numbers, places: Numbers, counts: Numbers) -> Numbers:
    """Return which words have nothing but spaces between themselves and the one before."""
    marks = np.flatnonzero((kinds == _OTHER) | (kinds == _WITHIN))
    before = np.searchsorted(marks, places)
    joined = np.zeros(len(places), dtype=bool)
    joined[1:] = before[1:] == before[:-1]
    heads = np.cumsum(counts) - counts
    joined[heads[counts > 0]] = False
    return joined


def _bytes(piece: Any) -> tuple[Numbers, Numbers]:
    """Return a piece's bytes, and where in them each text begins and the last ends."""
    offsets = _offsets(piece)
    _valid, _, data = piece.buffers()
    if data is None:
        return np.zeros(0, "uint8"), offsets - offsets[0]
    return np.frombuffer(data, "uint8")[offsets[0] : offsets[-1]], offsets - offsets[0]


def _offsets(texts: Any) -> Numbers:
    buffer = texts.buffers()[1]
    if buffer is None or not len(texts):
        return np.zeros(1, "int64")
    return np.frombuffer(buffer, "int64")[texts.offset : texts.offset + len(texts) + 1]


def _firsts(offsets: Numbers, end: int) -> Numbers:
    """Return where the texts that are not empty begin."""
    begins = offsets[:-1]
    return begins[begins < end]


def _per_text(places: Numbers, offsets: Numbers) -> Numbers:
    """Return how many places are in each text."""
    return np.diff(np.searchsorted(places, offsets))


def _kinds(data: Numbers) -> Numbers:
    """Return of each byte what its character is: part of a word, a space, or neither."""
    kinds = np.frombuffer(bytearray(data).translate(_table()), "uint8")
    high = np.flatnonzero(data >= 0x80)
    if not len(high):
        return kinds
    leads = high[data[high] >= 0xC0]
    code, length = _decoded(data, leads)
    found = _kind_of_characters(sys.maxunicode + 1)[code]
    kinds[high] = np.repeat(found, length)
    return kinds


def _decoded(data: Numbers, leads: Numbers) -> tuple[Numbers, Numbers]:
    """Return the characters whose UTF-8 begins at some places, and how many bytes each takes."""
    lead = data[leads].astype("int64")
    length = 2 + (lead >= 0xE0) + (lead >= 0xF0)
    code = lead & (0x7F >> length)
    for number in range(1, 4):
        more = length > number
        code[more] = code[more] << 6 | data[leads[more] + number] & 0x3F
    return code, length


def _settle_within(data: Numbers, kinds: Numbers, first: Numbers) -> None:
    """Make what stands within a word a part of it, and leave all other as no part of any."""
    within = kinds == _WITHIN
    if not within.any():
        return
    leads = np.flatnonzero(within & ((data & 0xC0) != 0x80))
    lead = data[leads]
    ends = leads + 1 + (lead >= 0xC0) + (lead >= 0xE0)
    begins = np.zeros(len(data) + 1, dtype=bool)
    begins[first] = True
    begins[-1] = True
    fits = ~begins[leads] & ~begins[ends]
    leads, ends = leads[fits], ends[fits]
    fits = (kinds[leads - 1] == _WORD) & (kinds[ends] == _WORD)
    for lead, end in ((leads[fits] + n, ends[fits]) for n in range(3)):
        kinds[lead[lead < end]] = _WORD


@functools.cache
def _table() -> bytes:
    return bytes(_kind_of_characters(128)) + bytes([_OTHER] * 128)


@functools.cache
def _kind_of_characters(end: int) -> Numbers:
    """Return what each character below an end is."""
    kinds = np.zeros(end, dtype="uint8")
    for code in range(end):
        character = chr(code)
        if character.isspace():
            kinds[code] = _SPACE
        elif unicodedata.category(character)[0] in "LMN" and code not in _VARIANTS:
            kinds[code] = _WORD
    kinds[ord("_")] = _WORD
    for character in _JOINERS:
        if ord(character) < end:
            kinds[ord(character)] = _WITHIN
    return kinds
