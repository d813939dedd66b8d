"""Regular expressions: PCRE's dialect, in bounded time, and refusals that say what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhirpath.regex import compile_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "anywhere", "whole"),
    [
        ("b", "abc", True, False),
        ("a.b", "a\nb", True, True),
        (r"^\p{Han}+$", "张伟𠮷", True, True),
        ("^(?!.*--)[a-z-]+$", "a-b", True, True),
        ("^(?!.*--)[a-z-]+$", "a--b", False, False),
        (r"(?<=a)b", "ab", True, False),
        (r"(a)\1", "aa", True, True),
    ],
)
def test_the_dialect(pattern: str, text: str, anywhere: bool, whole: bool) -> None:
    assert compile_pattern(pattern).search(text) is anywhere
    assert compile_pattern(pattern).fullmatch(text) is whole


def test_flags() -> None:
    assert compile_pattern("fhir", ignore_case=True).search("FHIR")
    assert compile_pattern("^b", many_lines=True).search("a\nb")
    assert not compile_pattern("^b").search("a\nb")


def test_what_takes_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="takes longer than"):
        compile_pattern(r"^(([a-z])+.)+[A-Z]([a-z])+$").search("a" * 5_000)


def test_groups_are_filled_in() -> None:
    pattern = compile_pattern(r"(?<year>\d{4})-(\d\d)(-(\d\d))?")
    assert pattern.replace("on 2020-11!", r"$2/${year}/$4\2", 100) == "on 11/2020/11!"


def test_a_group_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="names the group '\\$2'"):
        compile_pattern("(a)").replace("a", "$2", 100)


def test_a_replacement_cannot_grow_without_end() -> None:
    with pytest.raises(ValueError, match="more than 100 characters"):
        compile_pattern("a").replace("a" * 50, "bbb", 100)


@pytest.mark.parametrize(
    ("pattern", "cause"),
    [
        ("(a", r"missing \) at position 2"),
        ("a)", "unbalanced parenthesis at position 1"),
        ("*a", "nothing to repeat at position 0"),
        ("a{3,2}", "min repeat greater than max repeat"),
        ("[z-a]", "bad character range"),
        ("[a", "unterminated character set"),
        ("a\\", "bad escape"),
        ("a" * 3000, "more than 2000 characters"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_cause(pattern: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        compile_pattern(pattern)


@given(st.text(alphabet=r"ab()[]{}|*+?\^$.-,0123:<>=!pLdwsxu", max_size=20))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        compile_pattern(text).search("ab01-")
    except ValueError as error:
        assert str(error)
