"""What a search of contained resources, and a chain into them, is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.search.clauses import AnyOf, Chain, Has
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


@pytest.mark.parametrize("pair", [("_text", "x"), ("code:text", "x"), ("_content", "x")])
def test_texts_are_under_the_same_keys(parse: Parse, pair: tuple[str, str]) -> None:
    query = parse("Medication", pair)
    assert among_contained(query, both=False).clauses == query.clauses


def test_what_refers_to_the_contained_is_its_container(parse: Parse) -> None:
    query = parse("Medication", ("_has:MedicationRequest:medication:requester:Practitioner.name", "x"))
    (plain,) = query.clauses
    (found,) = among_contained(query, both=False).clauses
    assert isinstance(found, Has)
    assert found.parameter.keys == tuple(map(inside_key, plain.parameter.keys))
    assert found.criterion == plain.criterion


def test_a_chain_goes_on_from_outside_as_ever(parse: Parse) -> None:
    query = parse("Medication", ("manufacturer.endpoint.name", "x"))
    (plain,) = query.clauses
    (found,) = among_contained(query, both=False).clauses
    assert isinstance(found, Chain)
    assert found.criterion == plain.criteria[0].criterion


def test_a_reference_to_what_is_contained_is_no_missing_one(parse: Parse) -> None:
    (found,) = parse("MedicationRequest", ("patient:missing", "true")).clauses
    assert {each.parameter.target for each in found.criteria} == {"Patient", "_Contained.Patient"}
    assert all(each.modifier == "missing" for each in found.criteria)
    (inside,) = among_contained(parse("Medication", ("manufacturer:missing", "false")), both=False).clauses
    assert all(max(each.parameter.keys) < 2 * BEYOND for each in inside.criteria)


def test_both_are_two_parts_in_one_order(parse: Parse) -> None:
    query = among_contained(parse("Medication", ("code", "x"), ("_sort", "status")), both=True)
    assert [part.type for part in query.parts] == ["Medication", "_Contained.Medication"]
    assert [part.sort[0].parameter.code for part in query.parts] == ["status", "status"]
    assert query.type == ""
