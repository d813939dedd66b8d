"""The search tables, against the plain matcher. The stores run the same rows."""

from __future__ import annotations

import pytest
from search_cases import ID, UPDATED, SearchCase, load_search_cases

from fhir_server.search.extract import Extractor
from fhir_server.search.match import matches
from fhir_server.search.types.base import PREFIXES
from fhir_server.search.types.simple import SIMPLE

CASES = load_search_cases()
WITH_PREFIXES = ("date", "number", "quantity")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_query_matches_as_its_row_says(case: SearchCase, extract: Extractor, parse) -> None:
    query = parse(case.resource["resourceType"], *case.pairs)
    assert matches(query, extract(case.resource), ID, UPDATED) is case.matches, case.spec


def test_the_runner_can_fail(extract: Extractor, parse) -> None:
    planted = CASES[0]._replace(matches=not CASES[0].matches)
    with pytest.raises(AssertionError):
        test_a_query_matches_as_its_row_says(planted, extract, parse)


@pytest.mark.parametrize("matching", [True, False])
@pytest.mark.parametrize("kind", [*SIMPLE, "composite"])
def test_every_type_has_rows_for_every_modifier_and_prefix(kind: str, matching: bool) -> None:
    queries = [case.pairs for case in CASES if case.kind == kind and case.matches is matching]
    alone = [pairs[0] for pairs in queries if len(pairs) == 1]
    modifiers = {name.partition(":")[2] for name, _ in alone}
    wanted = {"", "missing", *(SIMPLE[kind].modifiers if kind in SIMPLE else ())}
    assert wanted <= modifiers
    if kind in WITH_PREFIXES:
        assert {prefix for prefix in PREFIXES if any(value.startswith(prefix) for _, value in alone)} == set(
            PREFIXES
        )
