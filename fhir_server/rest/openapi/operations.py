"""$operations as paths: made from their OperationDefinitions.

Source: FHIR R4 operations.html, operationdefinition.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.interactions.context import Operation
from fhir_server.rest.openapi.examples import PRIMITIVE_VALUES, TYPE_VALUES
from fhir_server.rest.openapi.interactions import ALWAYS, WRITING
from fhir_server.rest.openapi.parameters import query_parameter, shared
from fhir_server.rest.openapi.responses import FHIR_JSON, error_references
from fhir_server.rest.openapi.schemas import reference_to

Json = dict[str, Any]
CALLING = ("NotFound", "NotSupported", "PreconditionRequired")
PREFIXES = {"system": "/", "type": "/{type}/", "instance": "/{type}/{{id}}/"}


def operation_paths(
    operations: Mapping[str, Sequence[Operation]], type: str | None
) -> Iterator[tuple[str, Json]]:
    """The paths of the operations of ``type`` (None: of the whole system)."""
    for code, candidates in sorted(operations.items()):
        for operation in candidates:
            if _belongs(operation, type):
                yield PREFIXES[operation.level].format(type=type) + f"${code}", _methods(operation, type)


def _belongs(operation: Operation, type: str | None) -> bool:
    if type is None or operation.level == "system":
        return type is None and operation.level == "system"
    return not operation.types or type in operation.types


def _methods(operation: Operation, type: str | None) -> Json:
    post = _call(operation, type, "post") | {"requestBody": _body(operation)}
    post["parameters"] = post["parameters"] + shared("If-Match")
    if operation.affects_state:
        return {"post": post}
    get = _call(operation, type, "get")
    get["parameters"] = get["parameters"] + [_in_address(item) for item in _inputs(operation)]
    return {"get": get, "post": post}


def _call(operation: Operation, type: str | None, method: str) -> Json:
    definition = operation.definition
    text = str(definition.get("description", definition["name"]))
    returned = next((item for item in definition.get("parameter", ()) if item["use"] == "out"), None)
    kind = returned.get("type", "Parameters") if returned and returned["name"] == "return" else "Parameters"
    answer = {"description": "done", "content": {FHIR_JSON: {"schema": reference_to(_resource_or_any(kind))}}}
    return {
        "operationId": f"{type or 'system'}-{operation.level}-{operation.code}-{method}",
        "tags": ["Operations"],
        "summary": text.partition(". ")[0],
        "description": text,
        "parameters": shared("id") if operation.level == "instance" else [],
        "responses": {"200": answer} | error_references((*CALLING, *WRITING, *ALWAYS)),
    }


def _resource_or_any(kind: str) -> str:
    return "Parameters" if kind == "Resource" else kind


def _inputs(operation: Operation) -> list[Json]:
    return [item for item in operation.definition.get("parameter", ()) if item["use"] == "in"]


def _body(operation: Operation) -> Json:
    inputs = _inputs(operation)
    needed = [_value(item) for item in inputs if item["min"]]
    lines = [f"- `{item['name']}` {_kind(item)}: {item.get('documentation', '')}" for item in inputs]
    body: Json = {"resourceType": "Parameters"} | ({"parameter": needed} if needed else {})
    content = {FHIR_JSON: {"schema": reference_to("Parameters"), "example": body}}
    return {"required": bool(needed), "description": "\n".join(lines), "content": content}


def _kind(item: Json) -> str:
    return f"({item.get('type', 'parts')}, {item['min']}..{item['max']})"


def _value(item: Json) -> Json:
    type = item.get("type", "string")
    values = {**TYPE_VALUES, "Reference": {"reference": "Organization/h1"}, **PRIMITIVE_VALUES}
    return {"name": item["name"], f"value{type[0].upper()}{type[1:]}": values.get(type, values["string"])}


def _in_address(item: Json) -> Json:
    return query_parameter(item["name"], item.get("documentation", "")) | {"required": bool(item["min"])}
