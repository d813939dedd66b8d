"""FHIR's own functions. Source: FHIR R4 fhirpath.html#functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.functions.registry import Function, of_items
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.model.reference import parse_reference

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler


def _extensions(compiler: Compiler, items: Items, url: Any) -> Items:
    found = (
        node for item in items if isinstance(item, Node) for node in compiler.model.members(item, "extension")
    )
    return [node for node in found if node.value.get("url") == url]


def _extension(compiler: Compiler, call: Call, source: Closure) -> Closure:
    url = compiler.compile(call.arguments[0])

    def run(focus: Items, scope: Scope) -> Items:
        wanted = compiler.single(call.arguments[0], url(focus, scope))
        return _extensions(compiler, source(focus, scope), wanted)

    return run


def _has_extension(compiler: Compiler, call: Call, source: Closure) -> Closure:
    find = _extension(compiler, call, source)
    return lambda focus, scope: [bool(find(focus, scope))]


def _has_value(items: Items, scope: Scope) -> Items:
    return [
        len(items) == 1
        and (not isinstance(items[0], Node) or (not items[0].path and items[0].value is not None))
    ]


def _resolve(compiler: Compiler, call: Call, source: Closure) -> Closure:
    types = compiler.model.definitions.resource_types

    def run(focus: Items, scope: Scope) -> Items:
        return list(_resolved(source(focus, scope), scope, types))

    return run


def _resolved(items: Items, scope: Scope, types: frozenset[str]) -> Iterator[Node]:
    """What the resolver finds; else an empty resource of the type that a relative reference names, so that
    ``resolve() is Patient`` can be answered without reading anything. What another server's URL points to is
    unknown."""
    for item in items:
        if not isinstance(item, Node):
            continue
        target = scope.resolve(item) or _named(item, types)
        if target is not None:
            yield target


def _named(item: Node, types: frozenset[str]) -> Node | None:
    text = item.value.get("reference") if item.type == "Reference" else item.value
    found = parse_reference(text) if isinstance(text, str) else None
    if found is None or not found.is_local or found.type not in types:
        return None
    return Node.of({"resourceType": found.type})


FUNCTIONS = {
    "extension": Function(_extension, 1, 1),
    "hasExtension": Function(_has_extension, 1, 1),
    "hasValue": of_items(_has_value),
    "resolve": Function(_resolve),
}
