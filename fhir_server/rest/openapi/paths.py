"""The rows of the route table as OpenAPI paths.

Source: OpenAPI 3.1 §4.8.8-4.8.17; FHIR R4 http.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from fhir_server.definitions import Definitions
from fhir_server.interactions import capabilities
from fhir_server.rest.openapi.examples import ID
from fhir_server.rest.openapi.forms import CONTENT_READ, CONTENT_SENT, both_forms, named_forms, xml_text
from fhir_server.rest.openapi.interactions import ALWAYS, FACTS, Facts
from fhir_server.rest.openapi.parameters import CRITERIA, SEARCHING, search_form, search_parameters, shared
from fhir_server.rest.openapi.responses import error_references
from fhir_server.rest.openapi.schemas import reference_to
from fhir_server.search.registry import Registry

Json = dict[str, Any]
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"
HEADERS: Json = {
    "ETag": {"description": "the version", "schema": {"type": "string"}},
    "Last-Modified": {"description": "when it was written", "schema": {"type": "string"}},
}
LOCATION: Json = {"Location": {"description": "where this version can be read", "schema": {"type": "string"}}}
SECURITY: Json = {
    "X-Security-Context": {"description": "Binary.securityContext", "schema": {"type": "string"}}
}
BINARY = "Binary"
HEADED = frozenset({"capabilities", "read", "vread"})
"""Interactions whose HEAD is shown; it is answered for the others too."""
WORDS = {
    "200": "done",
    "201": "created",
    "204": "done; nothing to show",
    "304": "nothing has changed since",
}


class Row(capabilities.Row, Protocol):
    """What is read of a row of the route table."""

    @property
    def open(self) -> bool:
        """True when no token is asked for."""


def route_paths(
    rows: Iterable[Row], registry: Registry, definitions: Definitions, type: str | None
) -> Iterator[tuple[str, str, Json]]:
    """(path, method, operation) of each row about ``type`` (None: about no type) that is no $operation."""
    for row in rows:
        if row.interaction == "search-compartment" and type not in definitions.compartments:
            continue
        if row.interaction != "operation" and row.path.startswith("{type}") == (type is not None):
            path = "/" + row.path.replace("{type}", type or "")
            call = _operation(row, registry, definitions, type)
            yield path, row.method.lower(), call
            if row.interaction in HEADED:
                yield path, "head", _without_bodies(call)


def _operation(row: Row, registry: Registry, definitions: Definitions, type: str | None) -> Json:
    facts = FACTS[row.method, row.path]
    name = type or "System"
    names = [part[1:-1] for part in row.path.split("/") if part in {"{id}", "{version}", "{member}"}]
    parameters = shared(*names, *facts.query)
    if facts.searches and type:
        known = search_parameters(registry, definitions, type)
        parameters += shared(*known, *(SEARCHING if row.method == "GET" else CRITERIA))
    if type == BINARY and facts.body in CONTENT_BODIES:
        parameters += shared("X-Security-Context")
    shown: Json = {
        "operationId": f"{name}-{row.interaction}-{row.method.lower()}"
        + ("-criteria" if facts.searches else "-all" if "*" in row.path else ""),
        "tags": [name],
        "summary": facts.summary.format(type=type),
        "description": facts.description,
        "parameters": parameters + shared(*facts.headers),
        "responses": _answers(facts, type) | error_references((*facts.errors, *ALWAYS)),
    }
    if row.open:
        shown["security"] = []
    body = _body(facts.body, registry, definitions, type)
    return shown | {"requestBody": body} if body else shown


def _without_bodies(call: Json) -> Json:
    """``call`` (a GET) as HEAD."""
    answers = {
        status: {name: value for name, value in answer.items() if name != "content"}
        for status, answer in call["responses"].items()
    }
    return call | {
        "operationId": call["operationId"].replace("-get", "-head"),
        "summary": "The headers of GET without its body",
        "description": "",
        "responses": answers,
    }


def _answers(facts: Facts, type: str | None) -> Json:
    return {status: _answer(status, kind, type) for status, kind in facts.answers.items()}


def _answer(status: str, kind: str, type: str | None) -> Json:
    shown: Json = {"description": WORDS[status]}
    if kind == "nothing":
        return shown
    name = MADE.get(kind, type)
    example = f"{type or 'System'}-bundle" if kind == "bundle" else f"{name}-{ID}"
    schema = reference_to(str(name))
    shown["content"] = both_forms({"schema": schema}) if kind in UNLIKE else named_forms(schema, example)
    if kind in {"resource", "written"}:
        shown["headers"] = HEADERS | LOCATION if kind == "written" else HEADERS
    if kind == "resource" and type == BINARY:
        shown["content"] |= CONTENT_READ
        shown["headers"] = HEADERS | SECURITY
    return shown


MADE = {"bundle": "Bundle", "capabilities": "CapabilityStatement", "outcome": "OperationOutcome"}
"""What comes that is not of the type of the address."""
UNLIKE = frozenset({"capabilities", "outcome"})
"""Answers that have no example."""
CONTENT_BODIES = frozenset({"resource", "resource-with-id"})
"""Bodies that may be, for a Binary, the content itself."""


def _body(kind: str | None, registry: Registry, definitions: Definitions, type: str | None) -> Json | None:
    if kind is None:
        return None
    if kind in {"form", "form-of-any"}:
        schema = search_form(registry, type if kind == "form" else None)
        return {"content": {FORM: {"schema": schema, "example": {"_count": 10}}}}
    if kind == "patch":
        return {"required": True, "content": _patches(definitions)}
    example = {
        "resource": str(type),
        "resource-with-id": f"{type}-{ID}",
        "transaction": "System-transaction",
    }[kind]
    schema = reference_to(type or "Bundle")
    content = named_forms(schema, example)
    if type == BINARY:
        content |= CONTENT_SENT
    return {"required": True, "content": content}


PATCH_SCHEMA: Json = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string", "description": "a JSON Pointer: `/name/0/text`"},
            "from": {"type": "string"},
            "value": {},
        },
    },
}
PATCH_EXAMPLE: list[Json] = [{"op": "add", "path": "/language", "value": "zh-CN"}]
FHIR_PATCH_EXAMPLE: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "replace"},
                {"name": "path", "valueString": "Resource.language"},
                {"name": "value", "valueCode": "zh-CN"},
            ],
        }
    ],
}


def _patches(definitions: Definitions) -> Json:
    """The body of a patch by media type."""
    fhir_patch = {"schema": {"type": "object"}, "example": FHIR_PATCH_EXAMPLE}
    return {
        JSON_PATCH: {"schema": PATCH_SCHEMA, "example": PATCH_EXAMPLE},
        MERGE_PATCH: {"schema": {"type": "object"}, "example": {"language": "zh-CN"}},
        **both_forms(fhir_patch, {"example": xml_text(definitions, FHIR_PATCH_EXAMPLE)}),
    }
