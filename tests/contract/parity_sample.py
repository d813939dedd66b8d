"""Resources made by hand that say something to every kind of search: three of each type, of which r0 and r1 are alike
but for when they were. So what finds r0 finds r1 too, and not always r2."""

from __future__ import annotations

from typing import Any

from parity_requests import TYPES
from random_resources import IDS, UCUM

Json = dict[str, Any]
SYSTEM = "http://s.example/1"


def _reference(type: str, number: int, further: int = 0) -> Json:
    """From r0 and r1 to r0, from r2 to r1, or ``further``."""
    return {"reference": f"{type}/r{number // 2 + further}"}


def _concept(code: str) -> Json:
    return {"coding": [{"system": SYSTEM, "code": code, "display": "张三丰"}], "text": "Zoë 张伟"}


def _identifier() -> Json:
    return {"type": _concept("a"), "system": "http://s.example/2", "value": "B"}


def _amount() -> Json:
    return {"value": 5.4, "system": UCUM, "code": "mg", "unit": "mg"}


def _patient(number: int) -> Json:
    return {
        "identifier": [_identifier()],
        "name": [{"family": "张", "given": ["三丰"], "text": "张三丰"}, {"text": "Anna weiß"}],
        "gender": "female",
        "birthDate": f"197{number}-02-03",
        "managingOrganization": _reference("Organization", number),
        "generalPractitioner": [
            {"identifier": _identifier()},
            _reference("Organization", number, 1),
        ],
    }


def _observation(number: int) -> Json:
    measured = {"code": _concept("final"), "valueQuantity": _amount()}
    return {
        "identifier": [_identifier()],
        "status": "final",
        "category": [_concept("a")],
        **measured,
        "component": [measured],
        "subject": _reference("Patient", number),
        "encounter": _reference("Encounter", number),
        "performer": [_reference("Patient", number, 1)],
        "derivedFrom": [_reference("Observation", number, 1)],
        "effectiveDateTime": f"2020-02-0{3 + number // 2}",
    }


def _encounter(number: int) -> Json:
    return {
        "identifier": [_identifier()],
        "status": "finished",
        "class": {"system": SYSTEM, "code": "a"},
        "subject": _reference("Patient", number),
        "serviceProvider": _reference("Organization", number),
        "partOf": _reference("Encounter", number, 1),
        "period": {"start": "2020-02-03T10:30:00.123+08:00", "end": f"2020-02-0{4 + number}"},
        "length": {"value": 5, "system": UCUM, "code": "g"},
        "location": [{"location": _reference("Location", number)}],
    }


def _organization(number: int) -> Json:
    return {
        "identifier": [_identifier()],
        "active": True,
        "name": "Anna 张伟",
        "partOf": _reference("Organization", number, 1),
    }


def _value_set(number: int) -> Json:
    return {"url": "http://u.example/x/y/z", "name": "张伟", "status": "active", "version": "B"}


def _location(number: int) -> Json:
    return {
        "name": "Zoë",
        "managingOrganization": _reference("Organization", number),
        "position": {"latitude": 30.25, "longitude": 120.125},
    }


def _list(number: int) -> Json:
    return {
        "status": "current",
        "subject": _reference("Patient", number),
        "entry": [{"item": _reference(type, number, each)} for type in TYPES for each in (0, 1)],
    }


_OF_R2: dict[str, Json] = {
    "Patient": {"active": True},
    "Observation": {"method": _concept("B")},
    "Encounter": {"reasonCode": [_concept("B")]},
    "Organization": {"type": [_concept("B")]},
    "ValueSet": {"date": "2021"},
    "Location": {"type": [_concept("B")]},
    "List": {"code": _concept("B")},
}
_MADE = dict(
    zip(
        TYPES,
        (_patient, _observation, _encounter, _organization, _value_set, _location, _list),
        strict=True,
    )
)
_DIV = '<div xmlns="http://www.w3.org/1999/xhtml">张三丰 of anna</div>'

SAMPLE: dict[tuple[str, str], Json] = {
    (type, id): {
        "resourceType": type,
        "id": id,
        "meta": {"tag": [{"system": SYSTEM, "code": "a"}], "profile": [f"http://u.example/x/y/{type}"]},
        "text": {"status": "generated", "div": _DIV},
        **made(int(id[1])),
        **(_OF_R2[type] if id == "r2" else {}),
    }
    for type, made in _MADE.items()
    for id in IDS
}
"""By type and id."""
