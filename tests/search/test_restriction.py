"""A restriction reaches every type that a query looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_criteria import shown

from fhir_server.search.query import AnyOf, Clause, Criterion, Not, TokenValue
from fhir_server.search.registry import Registry
from fhir_server.search.restriction import restricted

Parse = Callable[..., Any]


@pytest.fixture
def own(registry: Registry) -> Callable[[str], Criterion | None]:
    """Of Patients and Encounters only number 1 may be seen."""

    def restriction(type: str) -> Criterion | None:
        if type not in {"Patient", "Encounter"}:
            return None
        return Clause(registry.parameter(type, "_id"), None, (TokenValue(None, "1"),))

    return restriction


ROWS = [
    ("Patient", ("name", "张"), ["Patient.name", "Patient._id"]),
    ("Observation", ("code", "1"), ["Observation.code"]),
    ("Observation", ("patient.name", "张"), ["Observation.patient > Patient.name & Patient._id"]),
    ("Observation", ("encounter.patient.name", "张"),
     ["Observation.encounter > Encounter.patient > Patient.name & Patient._id & Encounter._id"]),
    ("Observation", ("subject.organization.name", "院"),
     ["Observation.subject > Device.organization > Organization.name"
      " | Observation.subject > Location.organization > Organization.name"
      " | Observation.subject > Patient.organization > Organization.name & Patient._id"]),
    ("Organization", ("_has:Patient:organization:_has:Encounter:patient:class", "AMB"),
     ["Patient.organization < Encounter.patient < Encounter.class & Encounter._id & Patient._id"]),
    ("Patient", ("_list", "7"), ["List.item < List._id", "Patient._id"]),
]  # fmt: skip


@pytest.mark.parametrize(("type", "pair", "expected"), ROWS, ids=[row[1][0] for row in ROWS])
def test_every_type_that_is_looked_at_is_restricted(
    parse: Parse, own: Any, type: str, pair: tuple[str, str], expected: list[str]
) -> None:
    assert [shown(criterion) for criterion in restricted(parse(type, pair), own).clauses] == expected


def test_it_reaches_into_combinations(parse: Parse, own: Any) -> None:
    (chain,) = parse("Observation", ("patient.name", "张")).clauses
    (code,) = parse("Observation", ("code", "1")).clauses
    query = parse("Observation")
    combined = type(query)("Observation", (Not(AnyOf((code, chain))),))
    assert [shown(each) for each in restricted(combined, own).clauses] == [
        "!(Observation.code | Observation.patient > Patient.name & Patient._id)"
    ]


def test_nothing_to_restrict_leaves_the_query_itself(parse: Parse) -> None:
    query = parse("Observation", ("subject.organization.name", "院"), ("_list", "1"))
    assert restricted(query, lambda type: None) is query
