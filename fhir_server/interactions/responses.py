"""The entries of a batch-response or transaction-response.

Source: FHIR R4 http.html#transaction-response.
"""

from __future__ import annotations

import orjson

from fhir_server.errors import FhirError, Issue, outcome
from fhir_server.interactions.bundles import location, status_text
from fhir_server.interactions.conditional import etag
from fhir_server.interactions.context import Outcome
from fhir_server.interactions.entries import Entry, located
from fhir_server.model.bundle import response_entry
from fhir_server.model.resource import instant

DONE = Issue("information", "informational", "done")
WRITES = frozenset({"create", "update", "patch"})
CHANGES = WRITES | {"delete", "delete-history"}


def response(result: Outcome, entry: Entry, base: str, prefer: str | None) -> bytes:
    """The response entry for ``result``; ``prefer`` is minimal (None), representation or OperationOutcome."""
    record = result.record
    content = _shown(result, entry, prefer)
    return response_entry(
        status_text(result.status),
        location=location(record)
        if record and entry.interaction in WRITES
        else result.headers.get("Location"),
        etag=etag(record.version) if record else result.headers.get("ETag"),
        updated=instant(record.updated) if record else None,
        content=content,
        outcome=_told(result, entry, prefer),
        full_url=f"{base}/{record.type}/{record.id}" if record and content and base else None,
    )


def failure_response(error: FhirError, entry: Entry) -> bytes:
    """The response entry for an entry that failed."""
    told = orjson.dumps(outcome(tuple(located(error.issues, entry))))
    return response_entry(status_text(error.status), etag=error.headers.get("ETag"), outcome=told)


def _shown(result: Outcome, entry: Entry, prefer: str | None) -> bytes:
    """The resource that belongs into the entry, b"" for none."""
    if entry.method == "HEAD" or result.status == 304:
        return b""
    if result.resource is not None:
        return result.resource
    if result.record is not None and (entry.interaction not in CHANGES or prefer == "representation"):
        return result.record.content
    return b""


def _told(result: Outcome, entry: Entry, prefer: str | None) -> bytes:
    """The OperationOutcome that belongs into the response, b"" for none."""
    issues = tuple(located(result.issues, entry))
    if not issues and prefer == "OperationOutcome" and entry.interaction in CHANGES:
        issues = (DONE,)
    return orjson.dumps(outcome(issues)) if issues else b""
