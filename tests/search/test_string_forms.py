"""How texts, codes and escapes are made comparable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.types.escapes import split, unescape
from fhir_server.search.types.string import normalise
from fhir_server.search.types.surnames import SURNAMES
from fhir_server.search.types.token import fold_code


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Chäpman", "chapman"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ＡＢＣ１２３", "abc123"),
        ("a \t\n b", "a b"),
        ("　张　伟　", "张 伟"),
        ("𠀀村", "𠀀村"),
        ("がぎ", "がぎ"),
        ("Ａ\u0301", "a"),
        ("ﬁn", "fin"),
        ("Ёлка", "елка"),
        ("", ""),
    ],
)
def test_normalise(text: str, normal: str) -> None:
    assert normalise(text) == normal


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(), st.text())
def test_a_starts_with_search_finds_the_text_it_was_cut_from(head: str, tail: str) -> None:
    cut = normalise(head)
    assert normalise(head + " " + tail).startswith(cut)


@given(st.lists(st.text(alphabet="a,|$\\"), min_size=1), st.sampled_from(",|$"))
def test_what_is_escaped_comes_back(parts: list[str], separator: str) -> None:
    escaped = [
        part.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")
        for part in parts
    ]
    assert [unescape(part) for part in split(separator.join(escaped), separator)] == parts


def test_codes_fold_case_and_width() -> None:
    assert [fold_code(code) for code in ("MB0000019X", "ＡＢ１", "μG", "")] == ["mb0000019x", "ab1", "μg", ""]


def test_every_surname_has_a_syllable_per_character() -> None:
    for surname, sounds in SURNAMES.items():
        assert sounds
        assert all(
            len(sound) == len(surname) and all(s.isascii() and s.islower() for s in sound) for sound in sounds
        )
