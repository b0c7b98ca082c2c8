"""Pseudonyms for people, the same wherever they are named, and what may still tell who they are.

Pure. A pseudonym is a keyed hash of a name: with the same key the same at every time and place,
without the key neither found again nor guessed. Replacing names is no proof of anonymity, which is
why `Watch` looks for what else may tell.
"""

from __future__ import annotations

import hmac
import re
import secrets
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from chatkit.errors import InputError

__all__ = ["Anonymise", "Pseudonyms", "Remains", "Watch", "new_key", "parse_key"]

KEY_BYTES = 32
DIGITS = "0123456789bcdfghjkmnpqrstvwxyz"
"""Of a pseudonym: without vowels, so that it spells no name."""
LENGTH = 10
"""Digits of a pseudonym: two of 100,000 people get the same one once in 100,000 exports."""
SMALL = 5
"""A channel in which fewer people write is small: who they are is soon guessed."""
EXAMPLES = 5

# Scripts that put no space between words, or glue endings to names: a name may stand anywhere.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_UNSPACED += "\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")
_SPACED_WORD = re.compile(rf"[^\W{_UNSPACED}]")
_MENTION = re.compile(r"(?<![\w@.])@(\w[\w.-]*)")  # as in chatkit.query
_DIRECT = re.compile("dm-[0-9a-f]+")

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_PHONE = re.compile(r"(?<![\w.:/-])\+?\(?\d(?:[ ()./-]{0,2}\d){6,14}(?![\w:])")
_ISO_DATE = re.compile(r"\d{4}[-/.]\d\d[-/.]\d\d")
_LINK = re.compile(r"(?ai:https?://|www\.)[^\s<>\"]+")

_ORDINARY = frozenset(
    """
    a able about above across act add after again against ago all almost alone along already also
    always am among an and animal another answer any anybody anyone anything apple are area arm
    around art as ask at away baby back bad bag ball bank base be bear beautiful because become bed
    been before begin behind being believe below best better between big bill bird bit black blue
    boat body book bot both bottom box boy break bring brother brown bug build busy but buy by call
    came can car care carry cat change channel chat check child city class clean clear close cloud
    code cold color come common complete computer cook cool could count country course cross cut
    dark data date day dead deal dear death debug deep default did die different do does dog done
    door down draw dream drive drop dry during each early earth east easy eat edge edit else empty
    end enough error even evening ever every everybody everyone everything example eye face fact
    fall family far fast father feel few field file fill find fine fire first fish five fix flat
    floor flower fly follow food foot for force forget form forward found four free fresh friday
    friend from front full fun game garden gave general get ghost girl give glad go god going gold
    gone good got grace great green ground group grow guest guy had half hand happen happy hard has
    have he head hear heart heat heavy hello help her here hey hi high hill him his hold home hope
    horse hot hour house how however hunter hundred i ice idea if in inside into is island it its
    joy jump just keep key kid kind king knew know land language large last late later laugh law
    lead learn least leave left less let letter life light like line linux list listen little live
    local long look lost lot love low luck machine made mail main make man many map march mark may
    maybe me mean men message middle might mind mine minute miss moment monday money monitor month
    moon more morning most mother mountain mouse move much music must my name near need never new
    news next nice night nine no nobody none noon north not note nothing now number of off office
    often oh ok okay old on once one only open or order other our out over own page paper parent
    part party pass past path pay peace people perfect person phone pick picture piece place plain
    plan plane plant play please point poor power present pretty problem program pull purple push
    put question quick quiet quite rain random ran read ready real really red remember rest rich
    ride right ring river road robot rock room root rose round run sad safe said sail same sat
    saturday save saw say school sea second see seem seen self send server set seven several shadow
    shall she ship short should show sick side sign silver simple since sing sir sister sit six
    sky sleep slow small smile snow so some somebody someone something sometimes son song soon sorry
    sound source south space speak spring square stand star start state stay step still stone stop
    storm story street strong such sudden summer sun sunday support sure sweet system table take
    talk team tell ten test than thank thanks that the their them then there these they thing think
    third this those though thought thousand three through thursday tiger time to today together
    told tomorrow too took tool top toward town tree true try tuesday turn two under unit until up
    update upon us use user usual very voice wait walk wall want war warm was wash watch water wave
    way we weather web wednesday week well went were west what wheel when where whether which while
    white who whole why wide wild will wind window winter wish with within without wolf woman wonder
    wood word work world would write wrong year yellow yes yesterday yet you young your zero
    """.split()  # noqa: SIM905  one a line would be long
)
"""Words that are names too: in a text they are rarely meant as one."""


def new_key() -> bytes:
    """Return a new secret key."""
    return secrets.token_bytes(KEY_BYTES)


def parse_key(text: str) -> bytes:
    """Return the key that a text is: 64 hexadecimal digits.

    Raises
    ------
    InputError
        It is none.
    """
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError(
            f"A key for pseudonyms is {2 * KEY_BYTES} hexadecimal digits, as one that was made here"
        )
    return key


class Anonymise(msgspec.Struct, frozen=True, kw_only=True):
    """How people are to be given pseudonyms."""

    key: bytes
    """Secret; the same gives the same pseudonyms. See `new_key`."""
    also: tuple[str, ...] = ()
    """More names of people to replace, such as real names; also if they are ordinary words."""
    keep: tuple[str, ...] = ()
    """Names to leave in texts, such as that of a program that somebody is named after."""


class Pseudonyms:
    """Replaces people's names. Thread-safe but for its counts.

    Parameters
    ----------
    how : Anonymise
        The key and the exceptions.
    names : iterable of str
        Everybody's name. For two exports to agree in texts too, both must get all of them.
    """

    def __init__(self, how: Anonymise, names: Iterable[str]) -> None:
        self._key = how.key
        self._names = {*names, *how.also}
        keep = {_folded(name) for name in how.keep}
        also = {_folded(name) for name in how.also}
        self._made: dict[str, str] = {}
        self._known: dict[str, str] = {}
        parts: dict[str, set[str]] = defaultdict(set)
        for name in sorted(self._names):
            folded = _folded(name)
            self._known.setdefault(folded, name)
            words = folded.split()
            for word in words if len(words) > 1 else ():
                if len(word) > 2 and word not in _ORDINARY:
                    parts[word].add(name)
        # "Ana" is Ana Maria if nobody else is named so.
        for word, owners in parts.items():
            self._known.setdefault(word, min(owners) if len(owners) == 1 else word)
        for folded in keep:
            self._known.pop(folded, None)
        self._ordinary = {name for name in self._known if name not in also and _is_ordinary(name)}
        self._starting: dict[str, list[str]] = defaultdict(list)
        for folded in sorted(self._known, key=len, reverse=True):
            token = _TOKEN.match(folded)
            if token is not None:
                self._starting[token[0]].append(folded)
        self.kept: Counter[str] = Counter()
        """Names that are ordinary words -> how often they were left in texts."""
        self.replaced: Counter[str] = Counter()
        """Names -> how often they were replaced in texts."""

    def name(self, name: str) -> str:
        """Return a person's pseudonym; of nobody's name too."""
        made = self._made.get(name, "")
        if made or not name:
            return made
        number = int.from_bytes(self._digest("name", name)[:16])
        digits = []
        for _ in range(LENGTH):
            number, digit = divmod(number, len(DIGITS))
            digits.append(DIGITS[digit])
        made = "person-" + "".join(digits)
        if name in self._names:
            self._made[name] = made
        return made

    def id(self, message_id: str) -> str:
        """Return another id; an imported message's own is made of its author and text."""
        return self._digest("id", message_id).hex()[:32]

    def channel(self, name: str) -> str:
        """Return a channel's name without names of people; a direct one's is made of them."""
        if _DIRECT.fullmatch(name):
            return f"dm-{self._digest('channel', name).hex()[:16]}"
        return self.text(name)

    def text(self, text: str) -> str:
        """Return a text with a pseudonym wherever somebody is named.

        Names are found as whole words without regard to case. Names that are ordinary words stay
        unless somebody is called by them: behind ``@``, or at the beginning before ``:``. Behind
        ``@`` unknown names are replaced too.
        """
        source = text if text.isascii() else unicodedata.normalize("NFC", text)
        folded = _folded(source)
        parts: list[str] = []
        done = 0
        for token in _TOKEN.finditer(folded):
            if token.start() < done:
                continue
            found = self._found(source, folded, token)
            if found is not None:
                end, pseudonym = found
                parts += [source[done : token.start()], pseudonym]
                done = end
        return "".join(parts) + source[done:] if parts else source

    def _found(self, source: str, folded: str, token: re.Match[str]) -> tuple[int, str] | None:
        """Return where a name ends that begins at a token, and its pseudonym."""
        start = token.start()
        mention = _MENTION.match(source, start - 1) if start and source[start - 1] == "@" else None
        for name in self._starting.get(token[0], ()):
            end = start + len(name)
            if not folded.startswith(name, start) or not _ends(folded, end):
                continue
            called = mention is not None or (start == 0 and folded.startswith(":", end))
            if name in self._ordinary and not called:
                self.kept[name] += 1
                continue
            self.replaced[name] += 1
            written = source[start:end]
            return end, self.name(written if written in self._names else self._known[name])
        if mention is not None:
            written = mention[1].rstrip(".-")
            return start + len(written), self.name(written)
        return None

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{kind}\0{value}".encode(), "sha256")


def _is_ordinary(name: str) -> bool:
    return name in _ORDINARY or name.isdigit() or (len(name) < 3 and name.isascii())


def _ends(folded: str, end: int) -> bool:
    """Return whether a word may end at a place."""
    return (
        end == len(folded)
        or not _SPACED_WORD.match(folded, end)
        or not _SPACED_WORD.match(folded, end - 1)
    )


def _folded(text: str) -> str:
    """Return a text in which case and form don't matter, each character still at its place."""
    if text.isascii():
        return text.lower()
    return "".join(map(_folded_character, unicodedata.normalize("NFC", text)))


def _folded_character(character: str) -> str:
    folded = unicodedata.normalize("NFKC", character).casefold()
    return folded if len(folded) == 1 else character


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """What may still tell who people are, after their names were replaced."""

    emails: int = 0
    """E-mail addresses in texts."""
    phones: int = 0
    """What looks like a telephone number."""
    links: int = 0
    """Addresses of pages; they may lead to somebody's own."""
    examples: dict[str, list[str]] = {}
    """``emails``, ``phones``, ``links`` -> ids, in the export, of the first messages with one."""
    kept: dict[str, int] = {}
    """Names that are ordinary words -> how often they were left in texts."""
    replaced: dict[str, int] = {}
    """The names that were replaced most often in texts: among them may be words of the matter."""
    small_channels: dict[str, int] = {}
    """Channels, by their name in the export, in which fewer than five people write."""
    files: int = 0
    """Names of attached files."""


class Watch:
    """Looks at what goes out for what may still tell who people are; in flat memory."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = defaultdict(list)
        self._people: dict[str, set[str]] = defaultdict(set)

    def see(self, message_id: str, channel: str, author: str, body: str, file: Any = None) -> None:
        """Look at one message as it goes out."""
        people = self._people[channel]
        if len(people) < SMALL:
            people.add(author)
        self._counts["files"] += bool(isinstance(file, str) and file)
        if "@" in body:
            self._add("emails", message_id, len(_EMAIL.findall(body)))
        if "://" in body or "www." in body.lower():
            self._add("links", message_id, len(_LINK.findall(body)))
        found = [one for one in _PHONE.findall(body) if not _ISO_DATE.match(one)]
        self._add("phones", message_id, len(found))

    def _add(self, what: str, message_id: str, count: int) -> None:
        if count:
            self._counts[what] += count
            if len(self._examples[what]) < EXAMPLES:
                self._examples[what].append(message_id)

    def remains(self, pseudonyms: Pseudonyms) -> Remains:
        """Return what was seen."""
        counts = self._counts
        return Remains(
            emails=counts["emails"],
            phones=counts["phones"],
            links=counts["links"],
            files=counts["files"],
            examples=dict(self._examples),
            kept=dict(pseudonyms.kept.most_common()),
            replaced=dict(pseudonyms.replaced.most_common(10)),
            small_channels={
                channel: len(people)
                for channel, people in sorted(self._people.items())
                if len(people) < SMALL
            },
        )
