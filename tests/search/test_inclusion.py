"""``_include`` and ``_revinclude``: what they are parsed to, and every way in which they can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.errors import InvalidSearch

Parse = Callable[..., Any]


def shown(query: Any) -> list[str]:
    return sorted(
        f"{'<' if item.reverse else '>'}{'~' if item.iterate else ''} {item.type}.{item.parameter.code}"
        f"{f' {item.target}' if item.target else ''}"
        for item in query.includes
    )


GOOD = [
    ("Task", "_include", "Task:focus", ["> Task.focus"]),
    ("Observation", "_include", "Observation:subject:Patient", ["> Observation.subject Patient"]),
    ("Observation", "_include:iterate", "Patient:organization", [">~ Patient.organization"]),
    ("Observation", "_include:recurse", "Patient:organization", [">~ Patient.organization"]),
    ("Observation", "_include:iterate", "Observation:has-member", [">~ Observation.has-member"]),
    ("Slot", "_include", "Slot:*", ["> Slot.schedule"]),
    ("Slot", "_include", "*", ["> Slot.schedule"]),
    ("Slot", "_include", "*:*", ["> Slot.schedule"]),
    ("Questionnaire", "_include", "*", []),
    ("Slot", "_include", "*:*:Schedule", ["> Slot.schedule Schedule"]),
    ("Location", "_include", "*:*:Organization", ["> Location.organization Organization"]),
    ("Location", "_include", "Location:*:Organization", ["> Location.organization Organization"]),
    ("Location", "_include", "Location:*",
     ["> Location.endpoint", "> Location.organization", "> Location.partof"]),
    ("Schedule", "_revinclude", "Slot:schedule", ["< Slot.schedule"]),
    ("Schedule", "_revinclude", "Slot:*", ["< Slot.schedule"]),
    ("Schedule", "_revinclude", "Slot:schedule:Schedule", ["< Slot.schedule Schedule"]),
    ("Location", "_revinclude:iterate", "Slot:schedule", ["<~ Slot.schedule"]),
]  # fmt: skip


@pytest.mark.parametrize(("type", "name", "value", "expected"), GOOD, ids=[f"{r[1]}={r[2]}" for r in GOOD])
def test_what_is_followed(parse: Parse, type: str, name: str, value: str, expected: list[str]) -> None:
    query = parse(type, (name, value))
    assert shown(query) == expected
    assert query.applied == ((name, value),)


def test_everything_that_may_refer_to_a_type(parse: Parse) -> None:
    found = shown(parse("Schedule", ("_revinclude", "*")))
    assert shown(parse("Schedule", ("_revinclude", "*:*"))) == found
    assert "< Slot.schedule" in found
    assert "< Provenance.target" in found
    assert not any("Observation.subject" in each for each in found)


def test_what_is_included_is_followed_by_every_reference_of_every_type(parse: Parse) -> None:
    found = shown(parse("Schedule", ("_include:iterate", "*")))
    assert shown(parse("Schedule", ("_include:iterate", "*:*"))) == found
    assert {">~ Slot.schedule", ">~ Patient.organization"} < set(found)


BAD = [
    ("Patient", "_include", "Patient", "the form is Type:parameter"),
    ("Patient", "_include", "", "the form is Type:parameter"),
    ("Patient", "_include", "*:organization", "the form is Type:parameter"),
    ("Patient", "_include", "*:", "the form is Type:parameter"),
    ("Patient", "_include", "*:*:", "the form is Type:parameter"),
    ("Patient", "_include", "Patient:*:", "the form is Type:parameter"),
    ("Patient", "_include", "*:*:Slot", "no reference of any type leads to Slot"),
    ("Patient", "_include", "Patient:organization:Organization:x", "no resource type"),
    ("Patient", "_include", "Pateint:organization", "the form is Type:parameter"),
    ("Patient", "_include", "Patient:gender", "no reference parameter gender"),
    ("Patient", "_include", "Observation:subject", "begins with Patient:"),
    ("Patient", "_include", "Patient:organization:Group", "refers to Organization, not to Group"),
    ("Patient", "_include", "Patient:organization:Grp", "no resource type Grp"),
    ("Patient", "_include", "Patient:*:Slot", "no reference of Patient leads to Slot"),
    ("Patient", "_revinclude", "Slot:schedule", "refers to Schedule, not to Patient"),
    ("Patient", "_revinclude", "Slot:*", "no reference of Slot leads to Patient"),
    ("Patient", "_revinclude", "Observation:subject:Group", "not to Group"),
    ("Patient", "_include:exact", "Patient:organization", "has no modifier :exact; allowed: :iterate"),
    ("Patient", "_revinclude:missing", "true", "has no modifier :missing; allowed: :iterate"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "name", "value", "text"), BAD, ids=[f"{r[1]}={r[2]}" for r in BAD])
def test_what_is_wrong_is_told(parse: Parse, type: str, name: str, value: str, text: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        parse(type, (name, value))
    (issue,) = caught.value.issues
    assert (issue.code, issue.expression) == ("invalid", f"http.{name}")
    assert text in issue.text
