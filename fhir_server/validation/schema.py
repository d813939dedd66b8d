"""The JSON Schema of a resource type, generated from the definitions.

One definition per element path, shared by ``$ref``. Resources inside resources are left open: the validator
finds them and validates each by its own type. Draft 4, because there an ``integer`` is never ``1.0``.

A few legal but rare shapes are refused here on purpose, so that a good resource of the usual shape gets its
answer from the schema alone; ``explain`` looks at each refusal again and lets these pass:

* a required primitive whose value is missing but whose ``_member`` is there;
* ``_member`` arrays beside arrays of primitives, and null in the latter (they must be aligned);
* a choice given as ``_valueString``, or with many types and more beside it than usual (only one type may be there);
* a reference to a contained resource (it must exist);
* a value of a data type that the resource itself has no use for, where any type may stand (extensions): in
  each type's schema those fifty types would be the greater part (it is judged by the data type's own schema);
* a code or URI with a character that is white space for Unicode but not for FHIR.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import Element
from fhir_server.validation.primitives import PRIMITIVES, reference_pattern

Schema = dict[str, Any]
NEVER: Schema = {"not": {}}
MANY_TYPES = 40
MAX_BESIDE = 6
USUAL_VALUES = ("Coding", "CodeableConcept", "Quantity", "Reference", "Identifier", "Period")
WITH_CODES = {"code", "uri", "string"}


def type_schema(definitions: Definitions, type: str) -> Schema:
    """The schema of a resource or complex data type, complete in itself. Raises KeyError for an unknown type."""
    is_resource = definitions.type(type).kind == "resource"
    return _Builder(definitions).build(type, is_resource)


def has_companion(element: Element, type: str) -> bool:
    """True for a primitive that may have an ``_member`` with id and extensions.

    Not so for what XML writes as an attribute (``id``, ``Extension.url``) and for the narrative's XHTML.
    """
    attribute = element.name == "id" or element.path == "Extension.url"
    return type in PRIMITIVES and type != "xhtml" and not attribute


def reference_targets(element: Element) -> tuple[str, ...]:
    """The resource types that a reference at ``element`` may point to, () when any."""
    targets = {target for kind in element.types if kind.code == "Reference" for target in kind.targets}
    return () if "Resource" in targets else tuple(sorted(targets))


def choices(definitions: Definitions, path: str) -> Mapping[str, tuple[Element, list[str]]]:
    """The choice elements under ``path``: element path → the element and its JSON names."""
    found: dict[str, tuple[Element, list[str]]] = {}
    for member in definitions.members(path).values():
        if member.element.is_choice:
            found.setdefault(member.element.path, (member.element, []))[1].append(member.json_name)
    return found


def takes_any_type(definitions: Definitions, path: str) -> bool:
    """True for an element that is little more than a value of any type: Extension, Task.input, Parameters.parameter."""
    members = definitions.members(path).values()
    many = any(len(member.element.types) > MANY_TYPES for member in members)
    return many and sum(not member.element.is_choice for member in members) <= MAX_BESIDE


class _Builder:
    """Collects the definitions that one root needs."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.parts: dict[str, Schema] = {}
        self.pending: list[tuple[str, str, tuple[str, ...]]] = []

    def build(self, type: str, is_resource: bool) -> Schema:
        root = self._object(type, ())
        if is_resource:
            root["properties"] |= {"resourceType": {"enum": [type]}, "id": self._primitive("id")}
            root["required"] = ["resourceType", *root.get("required", [])]
        self.parts["Element-or-null"] = self._object("Element", ()) | {"type": ["object", "null"]}
        for usual in USUAL_VALUES:
            self._ref(usual)
        self._finish()
        return {"$schema": "http://json-schema.org/draft-04/schema#", "definitions": self.parts, **root}

    def _finish(self) -> None:
        """Build what is pending; elements that take any type come last, when it is known which are in use."""
        open_ended: list[tuple[str, str, tuple[str, ...]]] = []
        while self.pending:
            key, path, targets = self.pending.pop()
            if takes_any_type(self.definitions, path):
                open_ended.append((key, path, targets))
            else:
                self.parts[key] = self._object(path, targets)
        for key, path, targets in open_ended:
            self.parts[key] = self._object(path, targets)

    def _ref(self, path: str, targets: tuple[str, ...] = ()) -> Schema:
        key = f"{path}({','.join(targets)})" if targets else path
        if key not in self.parts:
            self.parts[key] = {}
            self.pending.append((key, path, targets))
        return {"$ref": f"#/definitions/{key}"}

    def _primitive(self, type: str) -> Schema:
        self.parts.setdefault(type, PRIMITIVES[type].schema)
        return {"$ref": f"#/definitions/{type}"}

    def _object(self, path: str, targets: tuple[str, ...]) -> Schema:
        properties: dict[str, Schema] = {}
        for name, member in self.definitions.members(path).items():
            properties[name] = self._member(
                member.element, self._value(member.element, member.type, member.path)
            )
            if has_companion(member.element, member.type):
                properties[f"_{name}"] = self._companion(member.element)
        if path == "Reference":
            properties["reference"] = {"type": "string", "pattern": reference_pattern(targets)}
        schema: Schema = {"type": "object", "minProperties": 1, "additionalProperties": False}
        return schema | {"properties": properties} | self._presence(path)

    def _member(self, element: Element, value: Schema) -> Schema:
        if not element.is_list:
            return value
        array: Schema = {"type": "array", "minItems": max(element.min, 1), "items": value}
        return array if element.max is None else array | {"maxItems": element.max}

    def _companion(self, element: Element) -> Schema:
        if element.is_choice:
            return {"allOf": [self._ref("Element"), NEVER]}
        if not element.is_list:
            return self._ref("Element")
        return {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/Element-or-null"}, **NEVER}

    def _value(self, element: Element, type: str, path: str) -> Schema:
        if type == "Resource":
            return {"type": "object"}
        if len(element.types) > MANY_TYPES and path and path not in self.parts:
            return {"type": "object", **NEVER}
        if path:
            return self._ref(path, reference_targets(element) if type == "Reference" else ())
        codes = allowed_codes(self.definitions, element, type)
        return {"enum": sorted(codes)} if codes else self._primitive(type)

    def _presence(self, path: str) -> Schema:
        members = self.definitions.members(path).values()
        required = [m.json_name for m in members if m.element.min and not m.element.is_choice]
        schema: Schema = {"required": required} if required else {}
        groups = choices(self.definitions, path).values()
        needed = [
            {"anyOf": [{"required": [name]} for name in names]} for element, names in groups if element.min
        ]
        if needed:
            schema["allOf"] = needed
        if takes_any_type(self.definitions, path):
            return schema | {"maxProperties": len(required) + 1}
        exclusive = {first: _none_of(rest) for _, names in groups for first, *rest in _tails(names)}
        return schema | {"dependencies": exclusive} if exclusive else schema


def allowed_codes(definitions: Definitions, element: Element, type: str) -> frozenset[str] | None:
    """The codes that a required binding allows; None when there is none, or when its set is open."""
    binding = element.binding
    if binding is None or binding.strength != "required" or type not in WITH_CODES:
        return None
    return definitions.required_codes(binding.value_set)


def _none_of(names: list[str]) -> Schema:
    return {"not": {"anyOf": [{"required": [name]} for name in names]}}


def _tails(names: list[str]) -> list[list[str]]:
    return [names[index:] for index in range(len(names) - 1)]
