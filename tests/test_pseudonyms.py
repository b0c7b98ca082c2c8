"""Pseudonyms: one for a name wherever it stands, no name left, and what may still tell."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.errors import InputError
from chatkit.pseudonyms import Anonymise, Pseudonyms, Watch, new_key, parse_key
from chatkit.query import mentions

KEY = b"k" * 32
PERSON = re.compile("person-[0-9b-z]{10}")


def pseudonyms(*names: str, also: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> Pseudonyms:
    return Pseudonyms(Anonymise(key=KEY, also=also, keep=keep), names)


def test_a_name_has_one_pseudonym_with_one_key_and_another_with_another() -> None:
    first, second = pseudonyms("ana", "ben"), pseudonyms("ben", "cleo", "ana")
    other = Pseudonyms(Anonymise(key=b"o" * 32), ["ana"])
    assert first.name("ana") == second.name("ana") != first.name("ben")
    assert other.name("ana") != first.name("ana")
    assert PERSON.fullmatch(first.name("ana"))
    assert mentions(f"@{first.name('ana')}, hi") == [first.name("ana")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ana: hi", "{ana}: hi"),
        ("I told Ana, BEN and (cleo).", "I told {ana}, {ben} and (cleo)."),
        ("@ana @ben-", "@{ana} @{ben}-"),
        ("anas banana ana_2", "anas banana ana_2"),
        ("ana@example.org", "{ana}@example.org"),
        ("https://example.org/~ana/x", "https://example.org/~{ana}/x"),
        ("ana's, ana-like", "{ana}'s, {ana}-like"),
        ("**ana**\n> ana", "**{ana}**\n> {ana}"),
        ("nobody here", "nobody here"),
        ("", ""),
    ],
)
def test_names_are_replaced_where_they_stand_as_words(text: str, shown: str) -> None:
    names = pseudonyms("ana", "ben")
    assert names.text(text) == shown.format(ana=names.name("ana"), ben=names.name("ben"))


def test_names_of_any_kind_are_found() -> None:
    names = pseudonyms("Ana Maria", "王芳", "José", "[x]`", "ana.b", "Straße")
    for text, name in [
        ("so ana maria said", "Ana Maria"),
        ("昨日王芳さんは", "王芳"),
        ("Jose\u0301!", "José"),
        ("a [x]` b", "[x]`"),
        ("@ana.b.", "ana.b"),
        ("STRAßE", "Straße"),
        ("ａｎａ maria", "Ana Maria"),
    ]:
        assert names.name(name) in names.text(text), text


def test_a_single_word_of_a_longer_name_is_replaced_by_its_owner() -> None:
    names = pseudonyms("Ana Maria", "Ben Smith", "Cleo Smith")
    assert names.text("hi Ana") == f"hi {names.name('Ana Maria')}"
    told = names.text("Mr Smith")
    assert "Smith" not in told
    assert names.name("Ben Smith") not in told


def test_names_that_differ_in_case_alone_stay_apart() -> None:
    names = pseudonyms("ana", "Ana")
    assert names.name("ana") != names.name("Ana")
    assert names.text("ana Ana") == f"{names.name('ana')} {names.name('Ana')}"


def test_ordinary_words_stay_unless_somebody_is_called_by_them() -> None:
    names = pseudonyms("will", "jo", "2024")
    will = names.name("will")
    assert names.text("I will, jo in 2024") == "I will, jo in 2024"
    assert names.text("@will will: x") == f"@{will} will: x"
    assert names.text("will: x") == f"{will}: x"
    assert names.kept == {"will": 2, "jo": 1, "2024": 1}
    assert pseudonyms("will", also=("will",)).text("I will") == f"I {will}"


def test_more_names_can_be_replaced_and_others_kept() -> None:
    names = pseudonyms("python", "ana", also=("Cleo",), keep=("Python",))
    told = names.text("cleo likes python, ana too")
    assert told == f"{names.name('Cleo')} likes python, {names.name('ana')} too"


def test_whoever_is_mentioned_gets_a_pseudonym_also_if_unknown() -> None:
    names = pseudonyms("ana")
    assert names.text("@zoe. hi") == f"@{names.name('zoe')}. hi"


def test_channels_and_ids_tell_nobody() -> None:
    names = pseudonyms("ana", "ben")
    assert names.channel("general") == "general"
    assert "ana" not in names.channel("ana-and-ben")
    assert names.channel("dm-0123456789abcdef") != "dm-0123456789abcdef"
    assert names.channel("dm-0123456789abcdef").startswith("dm-")
    assert names.id("x") == pseudonyms().id("x") != names.id("y")


@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8", categories=["L"]), min_size=3), max_size=5),
    st.lists(st.text(st.characters(codec="utf-8"))),
)
def test_no_known_name_is_left_as_a_word(names: list[str], texts: list[str]) -> None:
    replaced = pseudonyms(*names, also=tuple(names))
    text = " ".join([piece for pair in zip(names, texts, strict=False) for piece in pair] + names)
    told = PERSON.sub("", replaced.text(text))
    words = {word.casefold() for word in re.split(r"\W+", told)}
    assert not words & {name.casefold() for name in names if name.isascii()}


def test_a_key_is_hexadecimal_and_long() -> None:
    key = new_key()
    assert parse_key(f" {key.hex()}\n") == key
    for text in ("", "abc", "zz" * 32, key.hex() + "00"):
        with pytest.raises(InputError, match="64 hexadecimal"):
            parse_key(text)


def test_what_may_still_tell_is_counted_with_examples() -> None:
    watch = Watch()
    names = pseudonyms("will")
    names.text("I will")
    watch.see("a", "small", "p1", "write to x.y@example.org or call +43 660 1234567")
    watch.see("b", "small", "p1", "see https://example.org/me and www.example.org", "photo.png")
    watch.see("c", "small", "p2", "on 2026-01-31 at 12:30:15, v1.2.3, 1234")
    for number in range(5):
        watch.see(f"d{number}", "large", f"p{number}", "hello")
    remains = watch.remains(names)
    assert (remains.emails, remains.phones, remains.links, remains.files) == (1, 1, 2, 1)
    assert remains.examples == {"emails": ["a"], "phones": ["a"], "links": ["b"]}
    assert remains.kept == {"will": 1}
    assert remains.small_channels == {"small": 2}
