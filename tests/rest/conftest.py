"""Fixtures of the REST door: bodies, and the promise that a refused request changes nothing."""

from __future__ import annotations

import orjson
import pytest

FHIR = {"Content-Type": "application/fhir+json"}
PATIENT = (
    b'{"resourceType":"Patient","name":[{"family":"\xe5\xbc\xa0","given":["\xe4\xbc\x9f"]}],"gender":"male"}'
)


@pytest.fixture
def post(client):
    """``await post("Patient", PATIENT, **headers)`` → the answer."""

    async def send(path, body=PATIENT, **headers):
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await client.post(f"/fhir/{path}", content=content, headers={**FHIR, **headers})

    return send


@pytest.fixture
def put(client):
    """``await put("Patient/1", resource, **headers)`` → the answer."""

    async def send(path, body, **headers):
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await client.put(f"/fhir/{path}", content=content, headers={**FHIR, **headers})

    return send


@pytest.fixture
async def untouched(client, server):
    """At the end of the test the store is as it was when the test began (its client and key included)."""
    before = await server.store.changes(0, 100_000)
    yield
    assert await server.store.changes(0, 100_000) == before
