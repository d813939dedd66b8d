"""Bodies that can be sent as they are: one of each resource type.

Those of the referral's types are written by hand, in ``examples/{Type}.json``; the others are made from the
definitions: what is required, and nothing else. A test holds all of them to the validator and to the server.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import orjson

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import Element, Member
from fhir_server.rest.openapi.forms import with_twins
from fhir_server.validation.schema import allowed_codes, choices, reference_targets

Json = dict[str, Any]
ID = "example"
"""The id of every example that is put, so that a read of the suggested address finds it."""

PRIMITIVE_VALUES: dict[str, Any] = {
    "base64Binary": "5pmo5rqq5Y6/",
    "boolean": True,
    "canonical": "http://cmc.example.org/fhir/example",
    "code": "example",
    "date": "2026-03-02",
    "dateTime": "2026-03-02T09:12:00+08:00",
    "decimal": 1,
    "id": ID,
    "instant": "2026-03-02T09:12:00+08:00",
    "integer": 1,
    "markdown": "示例",
    "oid": "urn:oid:2.16.156.10011.1.3",
    "positiveInt": 1,
    "string": "示例",
    "time": "09:12:00",
    "unsignedInt": 1,
    "uri": "http://cmc.example.org/fhir/example",
    "url": "http://cmc.example.org/fhir/example",
    "uuid": "urn:uuid:0f3b4d2e-1f7a-4c62-9d0b-6a1c5f2e7d90",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">示例</div>',
}
TYPE_VALUES: dict[str, Json] = {
    "CodeableConcept": {"text": "示例"},
    "Coding": {
        "system": "http://cmc.example.org/fhir/CodeSystem/example",
        "code": "example",
        "display": "示例",
    },
    "Identifier": {"system": "http://cmc.example.org/sid/example", "value": "1"},
    "Meta": {
        "tag": [{"system": "http://cmc.example.org/fhir/CodeSystem/example", "code": "example"}],
    },
    "Money": {"value": 1, "currency": "CNY"},
    "Period": {"start": "2026-03-02"},
    "Quantity": {"value": 1, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
}
USUAL_CODES = ("active", "final", "completed", "order", "draft", "collection", "instance", "text")
"""Taken where a required code may be one of them; else the first by alphabet."""


def example(definitions: Definitions, type: str) -> Json:
    """A resource of ``type`` without id. Raises KeyError for an unknown type."""
    definitions.type(type)
    own = files(__package__) / "examples" / f"{type}.json"
    if own.is_file():
        written: Json = orjson.loads(own.read_bytes())
        return written
    return {"resourceType": type, **_required(definitions, type)}


def with_id(resource: Json) -> Json:
    """``resource`` with the id that the examples of addresses name."""
    return {"resourceType": resource["resourceType"], "id": ID} | resource


def type_examples(definitions: Definitions, type: str) -> dict[str, Json]:
    """The component examples of ``type``: to be created, to be put and read, to be found."""
    body = example(definitions, type)
    put = with_id(body)
    found = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 1,
        "entry": [
            {
                "fullUrl": f"http://localhost:8080/fhir/{type}/{ID}",
                "resource": put,
                "search": {"mode": "match"},
            }
        ],
    }
    shown = {type: {"value": body}, f"{type}-{ID}": {"value": put}, f"{type}-bundle": {"value": found}}
    return with_twins(definitions, shown)


def system_examples(definitions: Definitions) -> dict[str, Json]:
    """The component examples of what belongs to no type: a transaction and a history."""
    patient, observation = example(definitions, "Patient"), example(definitions, "Observation")
    urn = PRIMITIVE_VALUES["uuid"]
    entries = [
        {"fullUrl": urn, "resource": patient, "request": {"method": "POST", "url": "Patient"}},
        {
            "resource": observation | {"subject": {"reference": urn}},
            "request": {"method": "POST", "url": "Observation"},
        },
    ]
    history: Json = {"resourceType": "Bundle", "type": "history", "total": 0}
    transaction: Json = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    shown = {"System-transaction": {"value": transaction}, "System-bundle": {"value": history}}
    return with_twins(definitions, shown)


def _required(definitions: Definitions, path: str) -> Json:
    """The required members under ``path``; of a required choice the first type."""
    members = definitions.members(path)
    first_choices = {names[0] for element, names in choices(definitions, path).values() if element.min}
    needed = [
        m
        for m in members.values()
        if (m.json_name in first_choices if m.element.is_choice else m.element.min)
    ]
    return {member.json_name: _listed(member.element, _value(definitions, member)) for member in needed}


def _listed(element: Element, value: Any) -> Any:
    return [value] * max(element.min, 1) if element.is_list else value


def _value(definitions: Definitions, member: Member) -> Any:
    if member.type == "Reference":
        targets = reference_targets(member.element)
        return {"reference": f"{targets[0] if targets else 'Patient'}/{ID}"}
    if member.type == "Resource":
        return example(definitions, "Basic")
    if not member.path:
        return _primitive(definitions, member)
    return (
        TYPE_VALUES.get(member.type) or _required(definitions, member.path) or _anything(definitions, member)
    )


def _anything(definitions: Definitions, member: Member) -> Json:
    """One optional member of an element that requires none: it may not be empty."""
    inner = [m for m in definitions.members(member.path).values() if m.json_name not in {"id", "extension"}]
    first = next((m for m in inner if not m.path), inner[0])
    return {first.json_name: _listed(first.element, _value(definitions, first))}


def _primitive(definitions: Definitions, member: Member) -> Any:
    codes = allowed_codes(definitions, member.element, member.type)
    if not codes:
        return PRIMITIVE_VALUES[member.type]
    return next((code for code in USUAL_CODES if code in codes), min(codes))
