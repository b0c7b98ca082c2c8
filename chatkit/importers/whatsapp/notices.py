"""What WhatsApp itself writes into a chat, in several languages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from chatkit.importers.whatsapp.lines import MARKS, without_marks

__all__ = [
    "Presence",
    "is_deleted",
    "is_encryption",
    "is_media",
    "is_notice",
    "presence",
    "with_file_name",
    "without_edited",
    "yours",
]


class Presence(NamedTuple):
    """Who joined or left."""

    joined: bool
    """Whether they joined; else they left."""
    people: tuple[str, ...]
    """Their names; ``You`` or its like for who made the export."""


class _Language(NamedTuple):
    conjunction: str
    joined: tuple[str, ...]
    left: tuple[str, ...]


# ``*`` stands for the people. Checked against entries without an author, so they may be loose.
_LANGUAGES = (
    _Language(
        "and",
        ("* joined.*", "* (?:was|were) added.*", ".+ added *"),
        ("* left(?: the group)?", "* (?:was|were) removed.*", ".+ removed *"),
    ),
    _Language(
        "und",
        (
            "* (?:ist|bist) .*beigetreten",
            "* wurde(?:st)? hinzugefügt",
            ".+ ha(?:t|st) * hinzugefügt",
        ),
        (
            "* ha(?:t|st) die Gruppe verlassen",
            "* wurde(?:st)? entfernt",
            ".+ ha(?:t|st) * entfernt",
        ),
    ),
    _Language(
        "y",
        ("* se unió.*", "* fue (?:añadid|agregad)[oa].*", ".+ (?:añadió|agregó) a *"),
        (
            "* (?:salió|ha salido|abandonó)(?: del grupo| el grupo)?",
            "* fue (?:eliminad|expulsad)[oa].*",
            ".+ (?:eliminó|expulsó|sacó) a *",
        ),
    ),
    _Language(
        "et",
        ("* (?:a rejoint|s'est jointe?).*", "* a été ajoutée?.*", ".+ a ajouté *"),
        ("* (?:a quitté|est partie?).*", "* a été (?:retiré|exclu)e?.*", ".+ a (?:retiré|exclu) *"),
    ),
    _Language(
        "e",
        ("* entrou.*", "* foi adicionad[oa].*", ".+ adicionou *"),
        ("* saiu(?: do grupo)?", "* foi removid[oa].*", ".+ removeu *"),
    ),
    _Language(
        "e",
        ("* (?:è entrat|si è unit)[oa].*", "* è stat[oa] aggiunt[oa].*", ".+ ha aggiunto *"),
        ("* ha (?:abbandonato|lasciato)(?: il gruppo)?", "* è uscit[oa].*", ".+ ha rimosso *"),
    ),
    _Language(
        "en",
        ("* (?:is|neemt) .*uitnodigingslink.*", "* is toegevoegd.*", ".+ heeft * toegevoegd"),
        ("* heeft de groep verlaten", "* is verwijderd.*", ".+ heeft * verwijderd"),
    ),
)
_PATTERNS = [
    (
        joined,
        re.compile(pattern.replace("*", "(?P<who>[^:]+?)", 1), re.IGNORECASE)
        if pattern.startswith("*")
        else re.compile(re.sub(r"(?<= )\*", "(?P<who>[^:]+)", pattern, count=1), re.IGNORECASE),
        re.compile(rf"\s*,\s*(?:{language.conjunction}\s+)?|\s+{language.conjunction}\s+"),
    )
    for language in _LANGUAGES
    for joined, patterns in ((True, language.joined), (False, language.left))
    for pattern in patterns
]
# What can be added to a group, or removed from it, and is nobody.
_THING = re.compile(
    r"\b(?:gro?up[oe]?s?|gruppe\w*|gruppo|groep\w*|icon\w*|íc\w*|ícono|symbol|bild|foto|photo|image\w*"
    r"|imagen|imagem|immagine|afbeelding|descri\w*|beschreibung|beschrijving|poll|message|admins?)\b",
    re.IGNORECASE,
)
_YOU_WORDS = "you du dich tú tu te usted ustedes vous toi t' você voce voi ti hai je jij jou u"
_YOU = frozenset(_YOU_WORDS.split())
_DELETED = {
    "this message was deleted",
    "you deleted this message",
    "diese nachricht wurde gelöscht",
    "du hast diese nachricht gelöscht",
    "se eliminó este mensaje",
    "eliminaste este mensaje",
    "ce message a été supprimé",
    "vous avez supprimé ce message",
    "esta mensagem foi apagada",
    "mensagem apagada",
    "você apagou esta mensagem",
    "questo messaggio è stato eliminato",
    "hai eliminato questo messaggio",
    "dit bericht is verwijderd",
    "je hebt dit bericht verwijderd",
}
_ENCRYPTED = re.compile(
    r"end-to-end|ende-zu-ende|extremo a extremo|bout en bout|ponta a ponta", re.IGNORECASE
)
_CALL = re.compile(
    r"(?:missed|verpasste[rs]?|llamada|appel|chamada|chiamata|gemiste)\b.{0,30}", re.IGNORECASE
)
_MEDIA = re.compile(
    r"<[^<>\n]{2,200}>|(?:.*\S\s)?(?:omitted|weggelassen|ausgeschlossen|omitid[oa]|omise?s?"
    r"|omess[oaie]|ocult[oa]|ocultad[oa]|weggelaten)|\S.*\.\w{1,5} \([^()\n]{2,40}\)"
    r"|(?:poll|umfrage|encuesta|sondage|enquete|sondaggio|peiling)\s?:.*"
    r"|(?:.*\s)?(?:location|standort|ubicación|position|localização|posizione|locatie)\s?:?.*",
    re.IGNORECASE,
)
# Behind WhatsApp's mark, in any language; else in these words alone, for people write brackets too.
_ATTACHED = re.compile(
    r"""(?P<mark>\u200e)?[\u200e\u200f]*(?:
    <(?P<before>[^<>:\n]{2,40}):\ (?P<named>[^<>\n]+)>
    |(?P<file>\S[^\n]*\.\w{1,5})\ \((?P<behind>[^()\n]{2,40})\)
    )(?=\r?\n|$)""",
    re.VERBOSE,
)
_ATTACHED_WORDS = {
    "attached",
    "file attached",
    "anhang",
    "angehängt",
    "datei angehängt",
    "adjunto",
    "archivo adjunto",
    "pièce jointe",
    "fichier joint",
    "anexado",
    "anexo",
    "arquivo anexado",
    "allegato",
    "file allegato",
    "bijgevoegd",
    "bestand bijgevoegd",
}
_EDITED = re.compile(
    r"[\s\u200e]*<(?:this message was edited|diese nachricht wurde bearbeitet"
    r"|se editó este mensaje|ce message a été modifié|mensagem editada"
    r"|questo messaggio è stato modificato|dit bericht is bewerkt)\.?>\s*$",
    re.IGNORECASE,
)


def presence(text: str) -> Presence | None:
    """Return who joined or left; None if a notice says something else."""
    text = " ".join(text.split()).rstrip(".").replace("’", "'")
    if len(text) > 1000:
        return None
    for joined, pattern, separator in _PATTERNS:
        match = pattern.fullmatch(text)
        if match and not _THING.search(match["who"]):
            return Presence(joined, tuple(filter(None, separator.split(match["who"]))))
    return None


def yours(name: str) -> bool:
    """Return whether this is the word for who made the export."""
    return name.casefold() in _YOU


def is_deleted(text: str) -> bool:
    """Return whether a text stands for one that its author took back."""
    return text.strip().rstrip(".").casefold() in _DELETED


def is_media(text: str) -> bool:
    """Return whether a text of WhatsApp's stands for what somebody posted: a file, a poll, ..."""
    return _MEDIA.fullmatch(text.partition("\n")[0].strip()) is not None


def is_encryption(text: str) -> bool:
    """Return whether a text tells that the chat is encrypted."""
    return _ENCRYPTED.search(text) is not None


def is_notice(text: str, people: Iterable[str]) -> bool:
    """Return whether a text of WhatsApp's, under a name, is not what that person wrote.

    Parameters
    ----------
    text : str
        Without WhatsApp's marks.
    people : iterable of str
        Who has written so far.
    """
    return (
        is_encryption(text)
        or _CALL.fullmatch(text.strip()) is not None
        or presence(text) is not None
        or any(text.startswith(f"{person} ") for person in people)
        or yours(text.partition(" ")[0])
    )


def without_edited(text: str) -> tuple[str, bool]:
    """Return a text without WhatsApp's mark that it was edited, and whether there was one."""
    match = _EDITED.search(text[-100:])
    return (text[: len(text) - len(match[0])], True) if match else (text, False)


def with_file_name(text: str) -> str:
    """Return a text with a file's name alone in place of WhatsApp's words for that file.

    Parameters
    ----------
    text : str
        What somebody posted; a caption may follow on the next line.
    """
    match = _ATTACHED.match(text)
    if match is None:
        return text.lstrip(MARKS)
    words = (match["before"] or match["behind"]).strip().casefold()
    if not match["mark"] and words not in _ATTACHED_WORDS:
        return text
    name = match["named"] or match["file"]
    return without_marks(name).strip() + text[match.end() :]
