"""$operations as paths: made from their OperationDefinitions.

Source: FHIR R4 operations.html, operationdefinition.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.interactions.context import Operation
from fhir_server.interactions.operations.definition import ANY_TYPE
from fhir_server.rest.openapi.examples import ID, PRIMITIVE_VALUES, TYPE_VALUES, example, with_id
from fhir_server.rest.openapi.forms import both_forms, xml_text
from fhir_server.rest.openapi.interactions import ALWAYS, WRITING
from fhir_server.rest.openapi.parameters import query_parameter, search_parameters, shared
from fhir_server.rest.openapi.responses import error_references
from fhir_server.rest.openapi.schemas import ANY_RESOURCE, reference_to
from fhir_server.search.registry import Registry

Json = dict[str, Any]
CALLING = ("NotFound", "Gone", "NotSupported", "PreconditionRequired")
PREFIXES = {"system": "/", "type": "/{type}/", "instance": "/{type}/{{id}}/"}


def operation_paths(
    operations: Mapping[str, Sequence[Operation]],
    definitions: Definitions,
    registry: Registry,
    type: str | None,
) -> Iterator[tuple[str, Json]]:
    """The paths of the operations of ``type`` (None: of the whole system)."""
    for code, candidates in sorted(operations.items()):
        for operation in candidates:
            if _belongs(operation, type):
                path = PREFIXES[operation.level].format(type=type) + f"${code}"
                yield path, _Described(operation, definitions, registry, type).methods()


def _belongs(operation: Operation, type: str | None) -> bool:
    if type is None or operation.level == "system":
        return type is None and operation.level == "system"
    return not operation.types or type in operation.types


@dataclass(frozen=True, slots=True)
class _Described:
    """One operation at one address."""

    operation: Operation
    definitions: Definitions
    registry: Registry
    type: str | None

    def methods(self) -> Json:
        """The calls by method: GET only when nothing changes and everything can stand in the address."""
        post = self._call("post") | {"requestBody": self._body()}
        post["parameters"] = post["parameters"] + shared("If-Match")
        inputs = self._inputs()
        if self.operation.affects_state or any(item["min"] and not _is_primitive(item) for item in inputs):
            return {"post": post}
        get = self._call("get")
        get["parameters"] = get["parameters"] + self._in_address()
        return {"get": get, "post": post}

    def _call(self, method: str) -> Json:
        operation, definition = self.operation, self.operation.definition
        text = str(definition.get("description", definition["name"]))
        answer = {"description": "done", "content": both_forms({"schema": self._answer()})}
        return {
            "operationId": f"{self.type or 'system'}-{operation.level}-{operation.code}-{method}",
            "tags": ["Operations"],
            "summary": text.partition(". ")[0],
            "description": text,
            "parameters": shared("id") if operation.level == "instance" else [],
            "responses": {"200": answer} | error_references((*CALLING, *WRITING, *ALWAYS)),
        }

    def _answer(self) -> Json:
        """The schema of what comes back: the resource that the operation gives, else a Parameters with the value."""
        out = [item for item in self.operation.definition.get("parameter", ()) if item["use"] == "out"]
        kind = out[0].get("type", "") if len(out) == 1 else ""
        if kind == ANY_TYPE:
            return ANY_RESOURCE
        return reference_to(kind if kind in self.definitions.resource_types else "Parameters")

    def _inputs(self) -> list[Json]:
        return [item for item in self.operation.definition.get("parameter", ()) if item["use"] == "in"]

    def _body(self) -> Json:
        inputs = self._inputs()
        lines = [f"- `{item['name']}` {_kind(item)}: {item.get('documentation', '')}" for item in inputs]
        needed = any(item["min"] for item in inputs)
        body = self._example(inputs)
        xml = {"example": xml_text(self.definitions, body)}
        content = both_forms({"schema": ANY_RESOURCE, "example": body}, xml)
        return {"required": needed, "description": "\n".join(lines), "content": content}

    def _example(self, inputs: Sequence[Json]) -> Json:
        """A body that can be sent: the one resource that the operation takes, else a Parameters with what is needed."""
        taken = next((item["name"] for item in inputs if item.get("type") == ANY_TYPE), None)
        if taken is not None:
            return self._resource(taken)
        told = [_value(item) for item in inputs if item["min"] or self._must_name(item)]
        if self.operation.searches and self.type:
            told += [{"name": name, "valueString": text} for name, text in SEARCHED]
        return {"resourceType": "Parameters"} | ({"parameter": told} if told else {})

    def _resource(self, name: str) -> Json:
        """A resource as the body; a Parameters would be taken for those of the call, so it stands in one."""
        body = example(self.definitions, self.type or "Patient")
        body = with_id(body) if self.operation.level == "instance" else body
        if body["resourceType"] != "Parameters":
            return body
        return {"resourceType": "Parameters", "parameter": [{"name": name, "resource": body}]}

    def _must_name(self, item: Json) -> bool:
        """True for the id of the resource that is meant, where the address does not say it."""
        return bool(item["name"] == "id") and self.operation.level == "type"

    def _in_address(self) -> list[Json]:
        shown = [_parameter(item) for item in self._inputs() if _is_primitive(item)]
        if self.operation.searches and self.type:
            shown += shared(*search_parameters(self.registry, self.definitions, self.type))
        return shown


SEARCHED = (("patient", f"Patient/{ID}"), ("category", "laboratory"))
"""What the example of an operation that searches asks for."""


def _is_primitive(item: Json) -> bool:
    return item.get("type") in PRIMITIVE_VALUES


def _kind(item: Json) -> str:
    return f"({item.get('type', 'parts')}, {item['min']}..{item['max']})"


def _value(item: Json) -> Json:
    type = item.get("type", "string")
    values = {**TYPE_VALUES, "Reference": {"reference": "Organization/h1"}, **PRIMITIVE_VALUES}
    values |= {"uri": ID} if item["name"] == "id" else {}
    return {"name": item["name"], f"value{type[0].upper()}{type[1:]}": values.get(type, values["string"])}


def _parameter(item: Json) -> Json:
    """An ``in`` parameter as it stands in an address."""
    schema: Json = {"type": JSON_TYPES.get(item["type"], "string")}
    if item["type"] == "positiveInt":
        schema["minimum"] = 1
    text = str(item.get("documentation", item["name"]))
    return query_parameter(item["name"], text, **schema) | {"required": bool(item["min"])}


JSON_TYPES = {
    "boolean": "boolean",
    "decimal": "number",
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), "integer"),
}
