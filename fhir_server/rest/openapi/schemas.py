"""Component schemas of types, for people who read and programs that generate: JSON Schema 2020-12.

The validator's own schemas are stricter and made for speed; these name things and explain them.
Source: OpenAPI 3.1 §4.8.24; FHIR R4 json.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import Element, Member
from fhir_server.validation.primitives import PRIMITIVES
from fhir_server.validation.schema import MANY_TYPES, USUAL_VALUES, allowed_codes

Schema = dict[str, Any]
MANY_CODES = 60
WITHOUT = frozenset({"contained"})
ANY_RESOURCE: Schema = {"type": "object", "description": "a resource; its resourceType says which"}


def reference_to(name: str) -> Schema:
    """A ``$ref`` to the component schema ``name``."""
    return {"$ref": f"#/components/schemas/{name}"}


def component_schemas(definitions: Definitions, roots: Iterable[str]) -> dict[str, Schema]:
    """The schemas of ``roots`` (resource or data types) and of all that they are made of, by component name."""
    found: dict[str, Schema] = {}
    pending = list(roots)
    while pending:
        path = pending.pop()
        if path not in found:
            found[path] = _object(definitions, path)
            pending.extend(_used(definitions, path))
    return dict(sorted(found.items())) | {name: _primitive(name) for name in _primitives(definitions, found)}


def _object(definitions: Definitions, path: str) -> Schema:
    members = _shown(definitions, path)
    properties = {member.json_name: _property(definitions, member) for member in members}
    required = [m.json_name for m in members if m.element.min and not m.element.is_choice]
    if path in definitions.resource_types:
        properties = {"resourceType": {"const": path}, **properties}
        required = ["resourceType", *required]
    schema: Schema = {"type": "object", "description": _short(definitions, path), "properties": properties}
    return schema | {"required": required} if required else schema


def _short(definitions: Definitions, path: str) -> str:
    return definitions.type(path.partition(".")[0]).elements[path].short


def _shown(definitions: Definitions, path: str) -> list[Member]:
    """What is listed of an element: all but a value of any type, of which the usual types stand for the rest."""
    usual = frozenset(USUAL_VALUES) | PRIMITIVES.keys()
    return [
        member
        for member in definitions.members(path).values()
        if member.json_name not in WITHOUT
        and (len(member.element.types) <= MANY_TYPES or member.type in usual)
    ]


def _property(definitions: Definitions, member: Member) -> Schema:
    value = _value(definitions, member)
    text = _description(member.element)
    if member.element.is_list:
        return {"type": "array", "minItems": 1, "items": value, "description": text}
    return value | {"description": text}


def _description(element: Element) -> str:
    return f"{element.short} (one type of {element.name})" if element.is_choice else element.short


def _value(definitions: Definitions, member: Member) -> Schema:
    if member.type == "Resource":
        return ANY_RESOURCE
    if member.path:
        return reference_to(member.path)
    codes = allowed_codes(definitions, member.element, member.type)
    if codes and len(codes) <= MANY_CODES:
        return {"type": "string", "enum": sorted(codes)}
    return reference_to(member.type)


def _used(definitions: Definitions, path: str) -> Iterator[str]:
    return (member.path for member in _shown(definitions, path) if member.path and member.type != "Resource")


def _primitives(definitions: Definitions, paths: Iterable[str]) -> list[str]:
    names = {
        m.type for path in paths for m in _shown(definitions, path) if not m.path and m.type in PRIMITIVES
    }
    return sorted(names)


def _primitive(name: str) -> Schema:
    known = PRIMITIVES[name]
    return known.schema | {"description": known.allowed}
