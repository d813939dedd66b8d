"""What definitions and profiles say of an element. Source: FHIR R4 fhirpath.html#functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.functions.registry import Function, reader
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.values import system_value

if TYPE_CHECKING:
    from fhir_server.definitions.types import Element
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler

CORE = "http://hl7.org/fhir/StructureDefinition/"


def _conforms_to(compiler: Compiler, call: Call, source: Closure) -> Closure:
    """For a type of R4 itself: whether the item is of that type. Other profiles are asked of the services."""
    argument = compiler.compile(call.arguments[0])
    read = reader(compiler, call.arguments[0], "a String", "conformsTo()")
    model = compiler.model

    def run(focus: Items, scope: Scope) -> Items:
        item, url = compiler.single(call, source(focus, scope)), read(argument(focus, scope))
        if not isinstance(item, Node) or url is None:
            return []
        type = url.removeprefix(CORE)
        if url.startswith(CORE) and type in model.definitions.types:
            return [model.is_kind_of(item.type, type)]
        return [_asked(compiler, call, url, scope.services.conforms, item, url)]

    return run


def _asked(compiler: Compiler, call: Call, url: str, ask: Any, *question: Any) -> bool:
    """The answer of a service; a profile that is not known is a fault."""
    try:
        if ask is not None:
            return bool(ask(*question))
    except KeyError:
        pass
    raise compiler.fault(call, f"the profile {url!r} is not known here")


def _slice(compiler: Compiler, call: Call, source: Closure) -> Closure:
    """The items that belong to a slice of a profile."""
    arguments = [compiler.compile(argument) for argument in call.arguments]
    reads = [reader(compiler, argument, "a String", "slice()") for argument in call.arguments]

    def run(focus: Items, scope: Scope) -> Items:
        url, name = (read(closure(focus, scope)) for read, closure in zip(reads, arguments, strict=True))
        items = [item for item in source(focus, scope) if isinstance(item, Node)]
        ask = scope.services.in_slice
        return [item for item in items if _asked(compiler, call, url, ask, item, url, name)]

    return run


def _check_modifiers(compiler: Compiler, call: Call, source: Closure) -> Closure:
    """The input, when it has no other modifier extensions than those named; else a fault."""
    arguments = [compiler.compile(argument) for argument in call.arguments]

    def run(focus: Items, scope: Scope) -> Items:
        values = (system_value(item) for closure in arguments for item in closure(focus, scope))
        known = {value for value in values if isinstance(value, str)}
        items = source(focus, scope)
        for item in items:
            for modifier in (
                compiler.model.members(item, "modifierExtension") if isinstance(item, Node) else ()
            ):
                if modifier.value.get("url") not in known:
                    raise compiler.fault(
                        call, f"the modifier {modifier.value.get('url')!r} is not understood"
                    )
        return items

    return run


def _element_definition(compiler: Compiler, call: Call, source: Closure) -> Closure:
    types = compiler.model.definitions.types

    def define(node: Node) -> Element | None:
        return node.element or (types[node.type].root if node.type in types else None)

    def run(focus: Items, scope: Scope) -> Items:
        elements = (define(item) for item in source(focus, scope) if isinstance(item, Node))
        return [Node(described(item), "ElementDefinition", "ElementDefinition") for item in elements if item]

    return run


def described(element: Element) -> dict[str, Any]:
    """An element as the ElementDefinition that it was made from, as far as it is known."""
    data: dict[str, Any] = {
        "path": element.path,
        "short": element.short,
        "min": element.min,
        "max": "*" if element.max is None else str(element.max),
        "type": [{"code": kind.code} for kind in element.types],
        "isModifier": element.is_modifier,
        "isSummary": element.is_summary,
        "constraint": [
            {"key": item.key, "severity": item.severity, "human": item.human, "expression": item.expression}
            for item in element.constraints
        ],
    }
    if element.content_reference:
        data["contentReference"] = f"#{element.content_reference}"
    if element.binding:
        data["binding"] = {"strength": element.binding.strength, "valueSet": element.binding.value_set}
    return {name: value for name, value in data.items() if value not in ("", [])}


FUNCTIONS = {
    "conformsTo": Function(_conforms_to, 1, 1),
    "slice": Function(_slice, 2, 2),
    "checkModifiers": Function(_check_modifiers, 0, 50),
    "elementDefinition": Function(_element_definition),
}
