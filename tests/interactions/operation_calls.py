"""Calling a $operation in a test: by address as ``call(able, "Patient/p/$meta", …)``, answered as JSON."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson
from interaction_cases import BASE

import fhir_server.interactions.operations
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.operations import find_operations, invoke
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource
from fhir_server.security.caller import Caller

OPERATIONS = find_operations(fhir_server.interactions.operations)
CALLER = Caller("tester", "Organization/h1")
LEVELS = {1: "system", 2: "type", 3: "instance"}


async def done(
    server: Server, address: str, body: Any = None, *, caller: Caller = CALLER, **more: Any
) -> Outcome:
    """The Outcome; a call without a body is a GET unless ``get`` says otherwise."""
    path, _, query = address.partition("?")
    *place, code = path.split("/")
    type, id = (*place, None, None)[:2]
    return await invoke(
        server,
        caller,
        LEVELS[len(place) + 1],
        type,
        id,
        code.removeprefix("$"),
        body,
        body=orjson.dumps(body) if body is not None else b"",
        query=parse_qsl(query, keep_blank_values=True),
        base=BASE,
        **({"get": body is None} | more),
    )


async def call(server: Server, address: str, body: Any = None, **more: Any) -> Any:
    """The answer as JSON, streamed or not."""
    outcome = await done(server, address, body, **more)
    if outcome.stream is not None:
        return orjson.loads(b"".join([piece async for piece in outcome.stream]))
    assert outcome.resource is not None
    return orjson.loads(outcome.resource)


def parameters(**values: Any) -> dict[str, Any]:
    """``parameters(meta=("Meta", {…}))``: a Parameters with ``valueMeta``; a bare dict is a resource."""
    entries = []
    for name, value in values.items():
        told = {"resource": value} if isinstance(value, dict) else {f"value{value[0]}": value[1]}
        entries.append({"name": name, **told})
    return {"resourceType": "Parameters", "parameter": entries}


async def keep(server: Server, *resources: dict[str, Any]) -> None:
    """PUT each of them."""
    for data in resources:
        await update(server, CALLER, Resource.of(data), id=data["id"])


def addresses(bundle: Any, mode: str | None = None) -> list[str]:
    """``Type/id`` of the entries, of one search mode."""
    return [
        entry["fullUrl"].removeprefix(f"{BASE}/")
        for entry in bundle.get("entry", ())
        if mode is None or entry["search"]["mode"] == mode
    ]


def links(bundle: Any) -> dict[str, str]:
    return {link["relation"]: link["url"].removeprefix(f"{BASE}/") for link in bundle["link"]}
