"""FHIR's own functions. Source: FHIR R4 fhirpath.html#functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from fhir_server.fhirpath.functions.registry import Function, of_items, reader
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.quantities import Quantity
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.values import TypeInfo, system_value
from fhir_server.fhirpath.xhtml import is_narrative
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
        and not isinstance(items[0], Quantity | TypeInfo)
        and (not isinstance(items[0], Node) or (not items[0].path and items[0].value is not None))
    ]


def _resolve(compiler: Compiler, call: Call, source: Closure) -> Closure:
    types = compiler.model.definitions.resource_types

    def run(focus: Items, scope: Scope) -> Items:
        return list(_resolved(source(focus, scope), scope, types))

    return run


def _resolved(items: Items, scope: Scope, types: frozenset[str]) -> Iterator[Node]:
    """What the resolver finds, or stands in the resource itself; else an empty resource of the type that a relative
    reference names, so that ``resolve() is Patient`` can be answered without reading anything. What another
    server's URL points to is unknown."""
    for item in items:
        text = _reference(item)
        target = scope.resolve(item) if isinstance(item, Node) else None
        if target is None and text:
            target = _within(text, scope) or _named(text, types)
        if target is not None:
            yield target


def _reference(item: Any) -> str | None:
    """The text of a Reference, or of an item that is a uri, url, canonical or string."""
    value = item.value if isinstance(item, Node) else item
    text = value.get("reference") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _within(text: str, scope: Scope) -> Node | None:
    """A contained resource (``#id``), their container (``#``), or the entry of a Bundle with this fullUrl."""
    for name in ("%rootResource", "%resource"):
        for root in scope.variables.get(name, ()):
            data = root.value if isinstance(root, Node) else None
            if not isinstance(data, dict):
                continue
            if text == "#":
                return cast(Node, root)
            found = _contained(text, data) if text[0] == "#" else _entry(text, data)
            if found is not None:
                return Node.of(found)
    return None


def _contained(text: str, data: dict[str, Any]) -> dict[str, Any] | None:
    return next((item for item in data.get("contained", ()) if item.get("id") == text[1:]), None)


def _entry(text: str, data: dict[str, Any]) -> dict[str, Any] | None:
    if data.get("resourceType") != "Bundle":
        return None
    entries = (entry for entry in data.get("entry", ()) if entry.get("fullUrl") == text)
    return next((entry["resource"] for entry in entries if "resource" in entry), None)


def _named(text: str, types: frozenset[str]) -> Node | None:
    found = parse_reference(text)
    if found is None or not found.is_local or found.type not in types:
        return None
    return Node.of({"resourceType": found.type})


def _member_of(compiler: Compiler, call: Call, source: Closure) -> Closure:
    """Empty when there is no terminology, or when it does not know."""
    url = compiler.compile(call.arguments[0])
    read = reader(compiler, call.arguments[0], "a String", "memberOf()")

    def run(focus: Items, scope: Scope) -> Items:
        item, value_set = compiler.single(call, source(focus, scope)), read(url(focus, scope))
        ask = scope.services.member_of
        if item is None or value_set is None or ask is None:
            return []
        verdict = ask(item, value_set)
        return [] if verdict is None else [verdict]

    return run


def _html_checks(items: Items, scope: Scope) -> Items:
    """Empty unless there is exactly one item."""
    return [is_narrative(system_value(items[0]))] if len(items) == 1 else []


FUNCTIONS = {
    "extension": Function(_extension, 1, 1),
    "hasExtension": Function(_has_extension, 1, 1),
    "hasValue": of_items(_has_value),
    "getValue": of_items(
        lambda items, scope: [system_value(items[0])] if _has_value(items, scope) == [True] else []
    ),
    "resolve": Function(_resolve),
    "memberOf": Function(_member_of, 1, 1),
    "htmlChecks": of_items(_html_checks),
}
