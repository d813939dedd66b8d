"""The rows: which requests each sends and what it must get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import orjson

from fhir_server.cli.bench import sample
from fhir_server.cli.bench.generator import Plan

DIFFERENT = 500
MANY_CLIENTS = 32


def request(method: str, path: str, token: str = "", body: bytes = b"") -> bytes:
    """One whole HTTP/1.1 request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/fhir+json\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return head.encode() + b"\r\n" + body


def _numbers(patients: int) -> list[int]:
    """Up to DIFFERENT patient numbers, spread over the whole set."""
    return [n * 7919 % patients for n in range(min(DIFFERENT, patients))]


def _read(token: str, patients: int) -> Plan:
    requests = [request("GET", f"/fhir/Patient/p{n}", token) for n in _numbers(patients)]
    return Plan(requests, 200, b'"resourceType":"Patient"')


def _read_xml(token: str, patients: int) -> Plan:
    requests = [request("GET", f"/fhir/Patient/p{n}?_format=xml", token) for n in _numbers(patients)]
    return Plan(requests, 200, b'<Patient xmlns="http://hl7.org/fhir">', times=1)


def _patient_observations(token: str, patients: int) -> Plan:
    requests = [
        request("GET", f"/fhir/Observation?patient=Patient/p{n}&_total=accurate", token)
        for n in _numbers(patients)
    ]
    return Plan(requests, 200, b'"total":9')


def _patient_code(token: str, patients: int) -> Plan:
    code = quote("http://loinc.org|2823-3")
    requests = [
        request("GET", f"/fhir/Observation?patient=Patient/p{n}&code={code}", token)
        for n in _numbers(patients)
    ]
    return Plan(requests, 200, b'"fullUrl"', times=1)


def _name(token: str, patients: int) -> Plan:
    requests = [
        request("GET", f"/fhir/Patient?name={quote(''.join(sample.name_of(n))[:2])}", token)
        for n in _numbers(patients)
    ]
    return Plan(requests, 200, b'"resourceType":"Patient"')


def _create(token: str, patients: int) -> Plan:
    kinds = len(sample.CODES)
    made = [sample.observation(n, n % kinds, date=sample.TODAY) for n in _numbers(patients)]
    bodies = [orjson.dumps(each) for each in made]
    return Plan([request("POST", "/fhir/Observation", token, body) for body in bodies], 201)


def _create_by_many(token: str, patients: int) -> Plan:
    return replace(_create(token, patients), connections=MANY_CLIENTS)


def _update(token: str, patients: int) -> Plan:
    bodies = [(n, orjson.dumps(sample.patient(n))) for n in _numbers(patients)]
    return Plan([request("PUT", f"/fhir/Patient/p{n}", token, body) for n, body in bodies], 200)


def _transaction(token: str, patients: int) -> Plan:
    bodies = [sample.visit(n) for n in _numbers(patients)]
    return Plan([request("POST", "/fhir", token, body) for body in bodies], 200, b'"transaction-response"')


ROWS: dict[str, Callable[[str, int], Plan]] = {
    "read": _read,
    "read-xml": _read_xml,
    "search-patient-observations": _patient_observations,
    "search-patient-code": _patient_code,
    "search-name": _name,
    "create": _create,
    f"create-{MANY_CLIENTS}": _create_by_many,
    "update": _update,
    "transaction": _transaction,
}
