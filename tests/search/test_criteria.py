"""Chains, ``_has`` and ``_list``: what they are parsed to, and every way in which they can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.errors import InvalidSearch
from fhir_server.search import criteria
from fhir_server.search.contained import outside_only
from fhir_server.search.query import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not

Parse = Callable[..., Any]


def shown(criterion: Criterion) -> str:
    """A criterion as one line, so that a table can say what is expected; ``inside_too`` has tests of its own."""
    criterion = outside_only(criterion)
    match criterion:
        case Clause():
            modifier = f":{criterion.modifier}" if criterion.modifier else ""
            return f"{criterion.parameter.type}.{criterion.parameter.code}{modifier}"
        case Chain():
            return f"{criterion.parameter.type}.{criterion.parameter.code} > {shown(criterion.criterion)}"
        case Has():
            return f"{criterion.type}.{criterion.parameter.code} < {shown(criterion.criterion)}"
        case AnyOf():
            return " | ".join(map(shown, criterion.criteria))
        case AllOf():
            return " & ".join(map(shown, criterion.criteria))
        case Not():
            return f"!({shown(criterion.criterion)})"


GOOD = [
    ("Observation", "subject:Patient.name", "张", "Observation.subject > Patient.name"),
    ("Observation", "patient.name", "张", "Observation.patient > Patient.name"),
    ("Observation", "patient.identifier", "urn:s|1", "Observation.patient > Patient.identifier"),
    ("Observation", "patient.name:exact", "张", "Observation.patient > Patient.name:exact"),
    ("Observation", "patient.birthdate:missing", "true", "Observation.patient > Patient.birthdate:missing"),
    ("Observation", "patient.gender:not", "male", "Observation.patient > Patient.gender:not"),
    ("Observation", "patient._id", "1", "Observation.patient > Patient._id"),
    ("Observation", "patient._lastUpdated", "gt2020", "Observation.patient > Patient._lastUpdated"),
    ("Observation", "patient.organization.name", "院",
     "Observation.patient > Patient.organization > Organization.name"),
    ("Observation", "patient.general-practitioner:PractitionerRole.organization.name", "x",
     "Observation.patient > Patient.general-practitioner > PractitionerRole.organization > Organization.name"),
    ("Observation", "subject.organization.name", "院",
     "Observation.subject > Device.organization > Organization.name"
     " | Observation.subject > Location.organization > Organization.name"
     " | Observation.subject > Patient.organization > Organization.name"),
    ("Observation", "subject.family", "张", "Observation.subject > Patient.family"),
    ("Observation", "subject.gender", "male", "Observation.subject > Patient.gender"),
    ("Observation", "subject:Location.address-city", "x", "Observation.subject > Location.address-city"),
    ("Patient", "_has:Observation:patient:code", "1", "Observation.patient < Observation.code"),
    ("Patient", "_has:Observation:patient:code:missing", "true", "Observation.patient < Observation.code:missing"),
    ("Patient", "_has:Observation:patient:_id", "1", "Observation.patient < Observation._id"),
    ("Patient", "_has:Observation:patient:encounter.class", "AMB",
     "Observation.patient < Observation.encounter > Encounter.class"),
    ("Organization", "_has:Patient:organization:_has:Observation:patient:code", "1",
     "Patient.organization < Observation.patient < Observation.code"),
    ("Observation", "patient._has:Group:member:_id", "1", "Observation.patient > Group.member < Group._id"),
    ("Observation", "subject:Patient._has:Encounter:patient:service-provider.name", "x",
     "Observation.subject > Encounter.patient < Encounter.service-provider > Organization.name"),
    ("Patient", "_list", "42,43", "List.item < List._id"),
    ("Observation", "patient._list", "42", "Observation.patient > List.item < List._id"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "name", "value", "expected"), GOOD, ids=[row[1] for row in GOOD])
def test_what_a_name_asks_for(parse: Parse, type: str, name: str, value: str, expected: str) -> None:
    query = parse(type, (name, value))
    assert [shown(criterion) for criterion in query.clauses] == [expected]
    assert query.applied == ((name, value),)


BAD = [
    ("Observation", "patient.shoe", "1", "not-supported", "Patient has no search parameter shoe"),
    ("Observation", "patient.nam", "1", "not-supported", "did you mean name?"),
    ("Observation", "patien.name", "1", "not-supported", "did you mean patient?"),
    ("Observation", "subject.shoe", "1", "not-supported", "nothing that subject refers to"),
    ("Observation", "subject.", "1", "not-supported", "nothing that subject refers to"),
    ("Observation", ".name", "1", "not-supported", "(without a name)"),
    ("Observation", "code.name", "1", "invalid", "Observation.code is a token parameter"),
    ("Observation", "subject:Slot.start", "2020", "invalid", "refers to Device, Group, Location, Patient, not to Slot"),
    ("Observation", "subject:Pateint.name", "x", "invalid", "there is no resource type Pateint"),
    ("Observation", "subject:exact.name", "x", "invalid", "there is no resource type exact"),
    ("Observation", "patient.birthdate", "x", "invalid", "not a date"),
    ("Observation", "patient.name", "", "invalid", "a value is missing"),
    ("Observation", "patient.gender:exact", "male", "invalid", "allowed: :missing"),
    ("Observation", "subject.identifier", "|", "invalid", "subject:Device.identifier"),
    ("Patient", "_has:Observation:patient", "1", "invalid", "_has:Type:reference:parameter"),
    ("Patient", "_has:", "1", "invalid", "_has:Type:reference:parameter"),
    ("Patient", "_has:Observatio:patient:code", "1", "invalid", "there is no resource type Observatio"),
    ("Patient", "_has:Observation:code:code", "1", "invalid", "Observation.code is a token parameter"),
    ("Patient", "_has:Observation:patien:code", "1", "not-supported", "did you mean patient?"),
    ("Patient", "_has:Slot:schedule:start", "2020", "invalid", "Slot.schedule refers to Schedule, not to Patient"),
    ("Patient", "_has:Observation:patient:cod", "1", "not-supported", "did you mean code?"),
    ("QuestionnaireResponse", "questionnaire.title", "x", "not-supported", "only where resources are kept"),
    ("QuestionnaireResponse", "questionnaire.titel", "x", "not-supported", "did you mean title?"),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status", "x",
     "not-supported", "only where resources are kept"),
    ("Patient", "_has:QuestionnaireResponse:questionnaire:status", "x", "invalid", "to Questionnaire, not to Patient"),
    ("Patient", "_list:not", "1", "invalid", "_list has no modifier :not"),
    ("Patient", "_type", "Patient", "invalid", "whole system"),
    ("Patient", "link." * 40 + "name", "x", "too-costly", "at most 32 links"),
    ("Patient", "_has:Patient:link:" * 40 + "name", "x", "too-costly", "at most 32 links"),
    ("Provenance", "target.subject.subject.subject.name", "x", "too-costly", "too many types"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "name", "value", "code", "text"), BAD, ids=[row[1][:60] for row in BAD])
def test_what_is_wrong_is_told(parse: Parse, type: str, name: str, value: str, code: str, text: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        parse(type, (name, value))
    (issue,) = caught.value.issues
    assert (issue.code, issue.expression) == (code, f"http.{name}")
    assert text in issue.text


def test_a_reference_to_anything_leads_to_every_type_that_has_the_parameter(parse: Parse) -> None:
    found = outside_only(parse("Provenance", ("target.identifier", "1")).clauses[0])
    assert isinstance(found, AnyOf)
    types = {link.type for link in found.criteria if isinstance(link, Chain)}
    assert {"Patient", "Observation", "Task"} <= types
    assert "Binary" not in types


def test_types_whose_parameter_leads_nowhere_are_passed_over(parse: Parse) -> None:
    found = outside_only(parse("Provenance", ("target.target.identifier", "1")).clauses[0])
    assert isinstance(found, AnyOf)
    assert {"Provenance", "Task"} & {link.type for link in found.criteria if isinstance(link, Chain)}
    assert "SearchParameter" not in {link.type for link in found.criteria if isinstance(link, Chain)}


def test_one_wide_parameter_does_not_use_up_the_next(parse: Parse) -> None:
    few = criteria.WIDEST // 100
    query = parse("Provenance", *[("target.identifier", str(number)) for number in range(few)])
    assert len(query.clauses) == few


def test_lenient_leaves_out_what_is_not_known_at_the_end_of_a_chain(parse: Parse) -> None:
    query = parse("Patient", ("organization.shoe", "1"), ("_has:Observation:patient:shoe", "1"), lenient=True)
    assert query.clauses == ()
    assert [name for name, _ in query.ignored] == ["organization.shoe", "_has:Observation:patient:shoe"]
