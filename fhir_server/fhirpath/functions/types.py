"""Types in the form of functions. Source: FHIRPath N1 §5.2.4, §6.3, §10.2 (reflection)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.ast import Member, Tree
from fhir_server.fhirpath.functions.registry import Function
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.types import type_test
from fhir_server.fhirpath.values import TypeInfo, type_name

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler


def named_type(compiler: Compiler, tree: Tree) -> str:
    """The type that an argument names: ``Patient``, ``FHIR.Patient``."""
    if not isinstance(tree, Member) or (tree.source is not None and not isinstance(tree.source, Member)):
        raise compiler.fault(tree, "the name of a type is needed")
    return str(tree)


def _of_type(compiler: Compiler, call: Call, source: Closure) -> Closure:
    fits = type_test(compiler, call.arguments[0], named_type(compiler, call.arguments[0]))
    return lambda focus, scope: [item for item in source(focus, scope) if fits(item)]


def _is(compiler: Compiler, call: Call, source: Closure) -> Closure:
    fits = type_test(compiler, call.arguments[0], named_type(compiler, call.arguments[0]))

    def run(focus: Items, scope: Scope) -> Items:
        items = source(focus, scope)
        return [fits(compiler.single(call, items))] if items else []

    return run


def _type(compiler: Compiler, call: Call, source: Closure) -> Closure:
    types = compiler.model.definitions.types

    def info(item: Any) -> TypeInfo:
        if not isinstance(item, Node):
            return TypeInfo("System", type_name(item), "System.Any")
        known = types.get(item.type)
        return TypeInfo("FHIR", item.type, f"FHIR.{known.base}" if known and known.base else "System.Any")

    return lambda focus, scope: [info(item) for item in source(focus, scope)]


FUNCTIONS = {
    "ofType": Function(_of_type, 1, 1),
    "as": Function(_of_type, 1, 1),
    "is": Function(_is, 1, 1),
    "type": Function(_type),
}
