"""Regular expressions: the same answers as Python's engine, in bounded time, and refusals that say what is wrong."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath.regex import compile_pattern
from fhir_server.fhirpath.regex.machine import scan
from fhir_server.fhirpath.regex.program import assemble
from fhir_server.fhirpath.regex.syntax import read_pattern

ATOMS = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "[ab]",
        "[^a]",
        r"\d",
        r"\w",
        r"\s",
        "^",
        "$",
        r"\b",
        "(a)",
        "(?:ab)",
        "(?=b)",
        "(?!a)",
        "é",
    ]
)
COUNTS = st.sampled_from(["", "", "", "*", "+", "?", "*?", "+?", "{2}", "{1,2}", "{1,}"])
PLACES = frozenset({"^", "$", r"\b"})


def _counted(atom: str, count: str) -> str:
    return atom if atom in PLACES or atom.startswith(("(?=", "(?!")) else atom + count


PARTS = st.lists(st.builds(_counted, ATOMS, COUNTS), max_size=4).map("".join)
PATTERNS = st.recursive(
    PARTS,
    lambda inner: st.one_of(
        st.builds("({}|{})".format, inner, inner), st.builds("(?:{}c){}".format, inner, COUNTS)
    ),
    max_leaves=3,
)


@settings(max_examples=300)
@given(PATTERNS, st.text(alphabet="abc1 \n_é", max_size=8))
def test_the_machine_finds_what_python_finds(pattern: str, text: str) -> None:
    tree, groups, names = read_pattern(pattern)
    found = scan(assemble(tree, groups, names, False, False), text, 0)
    expected = re.search(pattern, text, re.DOTALL)
    assert (found and found[0]) == (expected and expected.span())
    assert compile_pattern(pattern).search(text) is (expected is not None)
    assert compile_pattern(pattern).fullmatch(text) is (re.fullmatch(pattern, text, re.DOTALL) is not None)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|aa)+b", "(a*)*b", "a*a*a*a*b", "(.*)(.*)(.*)x", "(a|b|ab)*c"]
)
def test_patterns_that_go_back_without_end_are_answered(pattern: str) -> None:
    assert compile_pattern(pattern).search("a" * 2000) is False
    assert compile_pattern(pattern).native is None


def test_what_takes_too_long_is_refused() -> None:
    pattern = compile_pattern("(a{1,30}){1,30}b")
    with pytest.raises(ValueError, match="takes too long"):
        pattern.search("a" * 100_000)


def test_ordinary_patterns_are_given_to_pythons_engine() -> None:
    for pattern in ("^[A-Z]([A-Za-z0-9_]){0,254}$", "ab+c", "(a|b)x?"):
        assert compile_pattern(pattern).native is not None


def test_a_long_text_goes_to_the_machine_and_gives_the_same() -> None:
    pattern, text = compile_pattern("b+$"), "a" * 6000 + "bb"
    assert pattern.search(text) is True
    assert pattern.fullmatch(text) is False
    assert pattern.replace(text, "c", 10_000) == "a" * 6000 + "c"


def test_groups_are_filled_in() -> None:
    pattern = compile_pattern(r"(?<year>\d{4})-(\d\d)(-(\d\d))?")
    assert pattern.replace("on 2020-11!", r"$2/${year}/$4\2", 100) == "on 11/2020/11!"


def test_a_replacement_cannot_grow_without_end() -> None:
    with pytest.raises(ValueError, match="more than 100 characters"):
        compile_pattern("a").replace("a" * 50, "bbb", 100)


@pytest.mark.parametrize(
    ("pattern", "cause"),
    [
        ("(a", "a group without its closing bracket at position 2"),
        ("a)", "a closing bracket without its opening one at position 1"),
        ("*a", r"nothing before \* at position 1"),
        ("a**", "a repetition of a repetition at position 3"),
        ("^*", "a place between characters cannot be repeated"),
        ("a{3,2}", "a repetition whose end is before its beginning"),
        ("[z-a]", "a range whose end is before its beginning"),
        ("[a", "something is missing"),
        ("a\\", "something is missing"),
        (r"(a)\1", r"\\1 is not supported"),
        ("(?<=a)b", "this kind of group is not supported"),
        ("(" * 60 + ")" * 60, "more than 40 groups inside each other"),
        ("a" * 3000, "more than 2000 characters"),
        ("((a{1,200}){1,200}){1,200}", "repeats too much"),
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
