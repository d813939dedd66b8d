"""What a search of contained resources, and a chain into them, is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.search.clauses import AnyOf, Chain
from fhir_server.search.contained import (
    BEYOND,
    among_contained,
    contained_key,
    id_key,
    inside_key,
    inside_too,
    outside_only,
)
from fhir_server.search.criteria import DEEPEST
from fhir_server.search.faults import Refusal
from fhir_server.search.registry import Registry

Parse = Callable[..., Any]


def test_no_two_keys_meet(registry: Registry, definitions: Definitions) -> None:
    seen: set[int] = set()
    for type in definitions.resource_types:
        keys = [*registry.arms(type)]
        made = [*keys, *map(contained_key, keys), *map(inside_key, keys), id_key(type)]
        assert seen.isdisjoint(made)
        seen.update(made)
        assert len(set(made)) == len(made)
    assert max(seen) < 2**32
    assert sum(key >= BEYOND for key in seen) > len(seen) / 2


def test_a_chain_is_one_outside_or_inside(parse: Parse) -> None:
    (found,) = parse("MedicationRequest", ("medication.code", "x")).clauses
    assert isinstance(found, AnyOf)
    outside, inside = found.criteria
    assert isinstance(outside, Chain)
    assert isinstance(inside, Chain)
    assert (outside.type, inside.type) == ("Medication", "_Contained.Medication")
    assert inside.parameter.keys == tuple(map(inside_key, outside.parameter.keys))
    assert outside_only(found) == outside
    assert inside_too(outside) == found


def test_a_deep_chain_stays_small(parse: Parse) -> None:
    name = ".".join(["partof"] * DEEPEST) + ".name"
    (found,) = parse("Organization", (name, "x")).clauses

    def size(criterion: Any) -> int:
        inner = getattr(criterion, "criteria", None) or [
            c for c in [getattr(criterion, "criterion", None)] if c
        ]
        return 1 + sum(map(size, inner))

    assert size(found) < 3 * DEEPEST**2


@pytest.mark.parametrize(
    "pairs", [("_text", "x"), ("code:text", "x"), ("_has:List:item:code", "x"), ("_list", "1")]
)
def test_what_cannot_be_asked_of_contained_resources_is_refused(parse: Parse, pairs: tuple[str, str]) -> None:
    with pytest.raises(Refusal):
        among_contained(parse("Medication", pairs), both=False)


def test_both_are_two_parts_in_one_order(parse: Parse) -> None:
    query = among_contained(parse("Medication", ("code", "x"), ("_sort", "status")), both=True)
    assert [part.type for part in query.parts] == ["Medication", "_Contained.Medication"]
    assert [part.sort[0].parameter.code for part in query.parts] == ["status", "status"]
    assert query.type == ""
