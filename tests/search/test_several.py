"""Searches of several types and of compartments: what they are parsed to, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_criteria import shown

from fhir_server.definitions import Definitions
from fhir_server.errors import InvalidSearch
from fhir_server.search.compartments import Compartment, belongs, members
from fhir_server.search.registry import Registry

Parse = Callable[..., Any]


def faults(parse: Parse, *pairs: tuple[str, str], **options: Any) -> list[tuple[str, str | None, str]]:
    with pytest.raises(InvalidSearch) as caught:
        parse(None, *pairs, **options)
    return [(issue.code, issue.expression, issue.text) for issue in caught.value.issues]


def test_a_search_of_several_types_is_one_of_each(parse: Parse) -> None:
    query = parse(
        None, ("_type", "Patient,Observation"), ("_lastUpdated", "gt2020"), ("_count", "7"), ("_sort", "_id")
    )
    assert (query.type, query.clauses, query.count) == ("", (), 7)
    assert [(part.type, [shown(each) for each in part.clauses]) for part in query.parts] == [
        ("Observation", ["Observation._lastUpdated"]),
        ("Patient", ["Patient._lastUpdated"]),
    ]
    assert [[key.parameter.type for key in part.sort] for part in query.parts] == [
        ["Observation"],
        ["Patient"],
    ]
    assert query.applied == (
        ("_type", "Patient,Observation"),
        ("_lastUpdated", "gt2020"),
        ("_count", "7"),
        ("_sort", "_id"),
    )


def test_without_types_it_is_of_all(parse: Parse, definitions: Definitions) -> None:
    query = parse(None, ("_id", "1"))
    assert {part.type for part in query.parts} == definitions.resource_types


def test_one_type_is_a_search_of_that_type(parse: Parse) -> None:
    query = parse(None, ("_type", "Patient"), ("gender", "male"))
    assert (query.type, query.parts) == ("Patient", ())
    assert query.applied == (("_type", "Patient"), ("gender", "male"))


def test_a_parameter_that_all_types_have_is_taken_in_each(parse: Parse) -> None:
    query = parse(None, ("_type", "Observation,Condition"), ("patient.name", "张"))
    assert [shown(part.clauses[0]) for part in query.parts] == [
        "Condition.patient > Patient.name",
        "Observation.patient > Patient.name",
    ]


def test_elements_and_includes_are_of_any_of_the_types(parse: Parse) -> None:
    pairs = (("_elements", "valueQuantity,birthDate"), ("_include", "Observation:subject"))
    query = parse(None, ("_type", "Patient,Observation"), *pairs)
    assert query.elements == ("valueQuantity", "birthDate")
    assert [item.type for item in query.includes] == ["Observation"]


BAD = [
    ([("_type", "Pateint")], ("invalid", "http._type"), "no resource type 'Pateint'"),
    ([("_type", "Patient,")], ("invalid", "http._type"), "no resource type ''"),
    ([("_type", "Patient,Observation"), ("gender", "male")], ("not-supported", "http.gender"), "all of them have"),
    ([("_type", "Patient,Observation"), ("_sort", "birthdate")], ("invalid", "http._sort"), "Observation has no"),
    ([("_type", "Slot,GraphDefinition"), ("_sort", "start")], ("invalid", "http._sort"), "same kind"),
    ([("_type", "Patient,Observation"), ("_elements", "shoe")], ("invalid", "http._elements"), "no element shoe"),
    ([("_type", "Patient,Observation"), ("_include", "Encounter:subject")],
     ("invalid", "http._include"), "begins with Observation:"),
    ([("_lastUpdated", "yesterday")], ("invalid", "http._lastUpdated"), "not a date"),
]  # fmt: skip


@pytest.mark.parametrize(("pairs", "where", "text"), BAD, ids=[str(row[0]) for row in BAD])
def test_what_is_wrong_is_told_once(parse: Parse, pairs: Any, where: tuple[str, str], text: str) -> None:
    (found,) = faults(parse, *pairs)
    assert found[:2] == where
    assert text in found[2]


def test_lenient_leaves_out_what_not_all_types_have(parse: Parse) -> None:
    query = parse(None, ("_type", "Patient,Observation"), ("gender", "male"), ("_id", "1"), lenient=True)
    assert query.ignored == (("gender", "male"),)
    assert [len(part.clauses) for part in query.parts] == [1, 1]


# ── compartments ──────────────────────────────────────────────────────────────


def test_a_compartment_is_what_refers_to_its_owner(parse: Parse) -> None:
    query = parse("Observation", ("code", "1"), compartment=Compartment("Patient", "7"))
    assert [shown(each) for each in query.clauses] == [
        "Observation.subject | Observation.performer",
        "Observation.code",
    ]
    assert query.applied == (("code", "1"),)


def test_the_owner_belongs_to_its_own_compartment(parse: Parse) -> None:
    for owner in ("Patient", "Encounter", "Practitioner"):
        assert f"{owner}._id" in shown(parse(owner, compartment=Compartment(owner, "7")).clauses[0])


def test_all_of_a_compartment_is_a_search_of_its_types(parse: Parse, registry: Registry) -> None:
    query = parse(None, compartment=Compartment("Patient", "7"))
    assert {part.type for part in query.parts} == members(registry, "Patient").keys()
    some = parse(None, ("_type", "Condition,Patient"), compartment=Compartment("Patient", "7"))
    assert [shown(part.clauses[0]) for part in some.parts] == [
        "Condition.patient | Condition.asserter",
        "Patient.link | Patient._id",
    ]


def test_a_type_that_is_never_in_the_compartment_is_refused(parse: Parse) -> None:
    (found,) = faults(parse, ("_type", "Patient,Slot"), compartment=Compartment("Patient", "7"))
    assert "'Slot' is not in the compartment of a Patient" in found[2]


def test_the_same_search_in_two_compartments_is_not_the_same(parse: Parse) -> None:
    one, other = (parse("Observation", compartment=Compartment("Patient", id)) for id in "12")
    assert one.clauses != other.clauses


def test_every_compartment_of_the_standard_can_be_searched(
    registry: Registry, definitions: Definitions
) -> None:
    for owner in definitions.compartments:
        for type in members(registry, owner):
            assert shown(belongs(registry, Compartment(owner, "1"), type))
    assert members(registry, "Observation") == {}
