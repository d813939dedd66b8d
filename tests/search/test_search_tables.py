"""The search tables, against the plain matcher. The stores run the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from search_cases import ID, UPDATED, SearchCase, load_search_cases, read_query

from fhir_server.search.comparisons import OPERATORS
from fhir_server.search.extract import Extractor
from fhir_server.search.filter_syntax import Comparison, read_filter
from fhir_server.search.match import matches
from fhir_server.search.modifiers import ALIASES, MODIFIERS
from fhir_server.search.registry import Registry, SearchParameter
from fhir_server.search.types.base import PREFIXES
from fhir_server.search.types.simple import SIMPLE

CASES = load_search_cases()
WITH_PREFIXES = ("composite", "date", "number", "quantity")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_query_matches_as_its_row_says(case: SearchCase, extract: Extractor, registry: Registry) -> None:
    query = read_query(registry, case)
    assert matches(query, extract(case.resource), ID, UPDATED) is case.matches, case.spec


def test_the_runner_can_fail(extract: Extractor, registry: Registry) -> None:
    planted = CASES[0]._replace(matches=not CASES[0].matches)
    with pytest.raises(AssertionError):
        test_a_query_matches_as_its_row_says(planted, extract, registry)


# ── nothing is left out ───────────────────────────────────────────────────────


class Combination(NamedTuple):
    """What a row alone is about: a type of parameters, a modifier (or an operator of ``_filter``), a prefix."""

    kind: str
    modifier: str
    prefix: str = ""


def _wanted() -> Iterator[Combination]:
    """Every combination that the server has."""
    for kind in (*SIMPLE, "composite"):
        yield from (Combination(kind, modifier) for modifier in ("", "missing", *MODIFIERS.get(kind, ())))
        yield from (Combination(kind, f"_filter {operator}") for operator in (*OPERATORS[kind], "pr"))
        if kind in WITH_PREFIXES:
            yield from (Combination(kind, "", prefix) for prefix in PREFIXES)
    yield Combination("reference", "[type]")
    yield from (Combination("string", name) for name in ("_text", "_content"))


WANTED = list(_wanted())


def _combinations(case: SearchCase, registry: Registry) -> Iterator[Combination]:
    """What the row is about; a row of several parameters is about none."""
    if len(case.pairs) > 1:
        return
    ((name, value),) = case.pairs
    code, _, modifier = name.partition(":")
    known = registry.parameters(case.type)
    if code == "_filter":
        yield from _of_filter(value, known)
    elif code in {"_text", "_content"}:
        yield Combination("string", code)
    elif modifier in registry.definitions.resource_types:
        yield Combination("reference", "[type]")
    else:
        kind = known[code].kind
        yield Combination(kind, ALIASES.get(modifier, modifier))
        if not modifier and kind in WITH_PREFIXES:
            yield Combination(kind, "", (value.partition("$")[2] if kind == "composite" else value)[:2])


def _of_filter(value: str, known: dict[str, SearchParameter]) -> Iterator[Combination]:
    tree = read_filter(value)
    if isinstance(tree, Comparison) and len(tree.path) == 1 and tree.path[0].name in known:
        yield Combination(known[tree.path[0].name].kind, f"_filter {tree.operator}")


@pytest.fixture(scope="module")
def covered(registry: Registry) -> dict[bool, set[Combination]]:
    """Of the rows that must match and of those that must not: what they are about."""
    return {
        matching: {
            found for case in CASES if case.matches is matching for found in _combinations(case, registry)
        }
        for matching in (True, False)
    }


@pytest.mark.parametrize("matching", [True, False], ids=["matches", "misses"])
@pytest.mark.parametrize("wanted", WANTED, ids=[" ".join(each).strip() or each.kind for each in WANTED])
def test_every_type_modifier_and_prefix_has_rows(
    wanted: Combination, matching: bool, covered: dict[bool, set[Combination]]
) -> None:
    assert wanted in covered[matching]


def test_the_walk_would_miss_a_combination_without_rows(covered: dict[bool, set[Combination]]) -> None:
    assert Combination("number", "contains") not in covered[True] | covered[False]
    assert len(WANTED) > 100
