"""What the tests of interactions say often: resources, Bundles and their entries."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import orjson
import pytest

from fhir_server.errors import FhirError
from fhir_server.model.resource import Resource

BASE = "http://test/fhir"


def resource(type: str = "Patient", /, **members: Any) -> Resource:
    """A resource of ``type``, with the members that are mandatory in these tests."""
    return Resource.of({"resourceType": type, **_MANDATORY.get(type, {}), **members})


_MANDATORY: dict[str, dict[str, Any]] = {
    "Observation": {"status": "final", "code": {"text": "x"}},
    "Task": {"status": "draft", "intent": "order"},
}


def raw(text: str) -> Resource:
    return Resource.parse(text.encode())


def bundle(*entries: dict[str, Any], type: str = "transaction") -> Resource:
    return Resource.of({"resourceType": "Bundle", "type": type, "entry": list(entries)})


def post(resource: Resource, full_url: str | None = None, **request: Any) -> dict[str, Any]:
    entry = {"resource": resource.data, "request": {"method": "POST", "url": resource.type, **request}}
    return {"fullUrl": full_url, **entry} if full_url else entry


def put(
    resource: Resource, url: str | None = None, full_url: str | None = None, **request: Any
) -> dict[str, Any]:
    target = url or f"{resource.type}/{resource.id}"
    entry = {"resource": resource.data, "request": {"method": "PUT", "url": target, **request}}
    return {"fullUrl": full_url, **entry} if full_url else entry


def ask(method: str, url: str, **request: Any) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **request}}


def parsed(answer: Any) -> Any:
    """The resource of an Outcome: the one made for the answer, else the record's."""
    content = answer.resource if answer.resource is not None else answer.record.content
    return orjson.loads(content)


async def expect(error: type[FhirError], call: Awaitable[Any]) -> FhirError:
    """The error of exactly this class that ``call`` raises."""
    with pytest.raises(error) as caught:
        await call
    assert type(caught.value) is error, repr(caught.value)
    return caught.value
