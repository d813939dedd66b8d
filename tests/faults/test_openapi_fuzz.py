"""Whatever fits the OpenAPI documents, and what nearly does: no bug, no long work, no status that is not documented.

schemathesis makes the calls from the documents; they go to the application without sockets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
import schemathesis
from direct import Running, running
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.core import NotSet

from fhir_server.rest.openapi import OpenApi
from fhir_server.rest.routes import ROUTES

SLOWEST = 2.0
SHORT = ("System", "Patient", "Task")
LONG = (
    *(
        "Observation",
        "Composition",
        "SearchParameter",
        "Encounter",
        "Bundle",
        "Binary",
        "Parameters",
        "ValueSet",
    ),
    *("Subscription", "StructureDefinition", "OperationDefinition", "Basic", *SHORT),
)
ELSEWHERE = ("/auth", "/inbound", "/health", "/metrics")
"""Addresses of the documents that do not stand below ``/fhir``."""
NOT_HERE = 501
"""The one status of 500 and more that is no failure: it says that something is not implemented."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("openapi"), ["Patient", "Task"]) as found:
        yield found


def body_of(case: Case) -> bytes:
    """The body as it would be sent."""
    body, kind = case.body, case.media_type or ""
    if isinstance(body, NotSet):
        return b""
    if isinstance(body, bytes):
        return body
    if "json" in kind:
        return json.dumps(body).encode()
    if "urlencoded" in kind and isinstance(body, dict):
        return urlencode(body, doseq=True, errors="replace").encode()
    return str(body).encode("utf-8", "replace")


def send(server: Running, case: Case) -> str | None:
    """What is wrong with the answer to ``case``, None when nothing is."""
    path = quote(f"/fhir{case.formatted_path}", safe="/$*:%", errors="replace")
    query = urlencode(case.query or {}, doseq=True, errors="replace")
    headers = {name: str(value) for name, value in (case.headers or {}).items()}
    kind = case.media_type or "application/fhir+json"
    status, answer, seconds = server.ask(
        case.method, path, query, body=body_of(case), kind=kind, headers=headers
    )
    told = f"{case.method} {path}?{query} {kind} {body_of(case)[:300]!r}: {status}"
    if status >= 500 and status != NOT_HERE:
        return f"{told} is a bug: {answer}"
    if seconds > SLOWEST:
        return f"{told} took {seconds:.1f} s"
    if status >= 400 and case.method != "HEAD" and answer.get("resourceType") != "OperationOutcome":
        return f"{told} has no OperationOutcome"
    if str(status) not in case.operation.definition.raw["responses"]:
        return f"{told} is not documented"
    return None


def calls(document: bytes) -> Iterator[Any]:
    """The calls of a document; without $reindex, while which searches are refused (503)."""
    schema = schemathesis.openapi.from_dict(orjson.loads(document))
    found = (result.ok() for result in schema.get_all_operations())
    return (call for call in found if "$reindex" not in call.path and not call.path.startswith(ELSEWHERE))


def fuzz(server: Running, document: bytes, examples: int) -> list[str]:
    """What is wrong with the answers to ``examples`` calls of each operation of a document."""
    faults: list[str] = []
    for call in calls(document):

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(call.as_strategy())
        def one(case: Case) -> None:
            fault = send(server, case)
            if fault is not None:
                faults.append(fault)

        one()
    return faults


def document_of(server: Running, name: str) -> bytes:
    documents = OpenApi(server.app.server, ROUTES)
    return documents.of_system() if name == "System" else documents.of_type(name)


@pytest.mark.parametrize("name", SHORT)
def test_no_call_of_the_documents_is_a_bug(server: Running, name: str) -> None:
    assert fuzz(server, document_of(server, name), 4) == []


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_no_call_of_the_documents_is_a_bug_long(server: Running, name: str) -> None:
    assert fuzz(server, document_of(server, name), 60) == []


def test_the_check_can_fail(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(type(server.app.server.store), "read", broken)
    faults = fuzz(server, document_of(server, "Patient"), 1)
    assert any("is a bug" in fault for fault in faults)
