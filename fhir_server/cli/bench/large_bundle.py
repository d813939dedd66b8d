"""One transaction Bundle of the size of the largest real patients: 27,001 entries, 70 MB, always the same.

A patient with 900 visits; of each 24 measurements, three reports that name eight of them each, two scanned documents.
Everything points at each other by urn:uuid.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from random import Random
from typing import Any

import orjson

from fhir_server.cli.bench import sample

VISITS = 900
MEASUREMENTS = 24
REPORTS = 3
DOCUMENTS = 2
ENTRIES = 1 + VISITS * (1 + MEASUREMENTS + REPORTS + DOCUMENTS)
SCAN = 13_700
"""Bytes of a scanned document."""

Json = dict[str, Any]


def large_bundle(kind: str = "transaction", number: int = 999_999) -> bytes:
    """The Bundle (``kind``: transaction or batch) of patient ``number``."""
    entries = b",".join(orjson.dumps(entry) for entry in _entries(number))
    return b'{"resourceType":"Bundle","type":"%b","entry":[%b]}' % (kind.encode(), entries)


def _entries(number: int) -> Iterator[Json]:
    person = sample.patient(number)
    patient = _urn(number, 0)
    yield _entry(patient, {name: value for name, value in person.items() if name != "id"})
    noise = Random(number)  # noqa: S311
    for visit in range(VISITS):
        yield from _visit(number, visit, patient, noise)


def _visit(number: int, visit: int, patient: str, noise: Random) -> Iterator[Json]:
    first = 1 + visit * (ENTRIES // VISITS)
    encounter, day = _urn(number, first), f"{2001 + visit // 40}-{1 + visit % 12:02d}-{1 + visit % 28:02d}"
    about = {"subject": {"reference": patient}, "encounter": {"reference": encounter}}
    yield _entry(encounter, _encounter(patient, day))
    measured = [_urn(number, first + 1 + kind) for kind in range(MEASUREMENTS)]
    for kind, urn in enumerate(measured):
        one = sample.observation(number + visit, kind % len(sample.CODES), patient)
        hour = f"{day}T{kind:02d}"
        yield _entry(urn, {**one, **about, "effectiveDateTime": f"{hour}:30:00+08:00"})
    for report in range(REPORTS):
        urn = _urn(number, first + 1 + MEASUREMENTS + report)
        yield _entry(urn, {**_report(day, measured[report * 8 : report * 8 + 8]), **about})
    for document in range(DOCUMENTS):
        urn = _urn(number, first + 1 + MEASUREMENTS + REPORTS + document)
        yield _entry(urn, _document(patient, encounter, day, noise))


def _urn(number: int, place: int) -> str:
    return f"urn:uuid:00000000-0000-4000-{8000 + number % 1000:04d}-{number // 1000:06x}{place:06x}"


def _entry(urn: str, resource: Json) -> Json:
    return {
        "fullUrl": urn,
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"]},
    }


def _encounter(patient: str, day: str) -> Json:
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "AMB",
            "display": "门诊",
        },
        "type": [{"text": "普通门诊", "coding": [{"system": "http://snomed.info/sct", "code": "185345009"}]}],
        "subject": {"reference": patient},
        "period": {"start": f"{day}T08:00:00+08:00", "end": f"{day}T23:30:00+08:00"},
        "serviceProvider": {"reference": "Organization/h1", "display": "晨溪县人民医院"},
    }


def _report(day: str, results: list[str]) -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "85353-1"}], "text": "生命体征"},
        "effectiveDateTime": f"{day}T23:00:00+08:00",
        "issued": f"{day}T23:15:00.000+08:00",
        "performer": [{"reference": "Organization/h1", "display": "晨溪县人民医院"}],
        "result": [{"reference": urn, "display": "测量结果"} for urn in results],
        "conclusion": "生命体征平稳，未见明显异常。建议按期复查，如有不适随时就诊。" * 4,
    }


def _document(patient: str, encounter: str, day: str, noise: Random) -> Json:
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34108-1"}], "text": "门诊病历"},
        "subject": {"reference": patient},
        "date": f"{day}T23:20:00.000+08:00",
        "content": [
            {
                "attachment": {
                    "contentType": "image/jpeg",
                    "title": "门诊病历扫描件",
                    "data": b64encode(noise.randbytes(SCAN)).decode(),
                }
            }
        ],
        "context": {"encounter": [{"reference": encounter}]},
    }
