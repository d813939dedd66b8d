"""Existence. Source: FHIRPath N1 §5.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.fhirpath.functions.registry import Function, kept, of_items
from fhir_server.fhirpath.operators import distinct
from fhir_server.fhirpath.scope import Items, Scope

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler


def _exists(compiler: Compiler, call: Call, source: Closure) -> Closure:
    if not call.arguments:
        return lambda focus, scope: [bool(source(focus, scope))]
    keep = kept(compiler, call)
    return lambda focus, scope: [bool(keep(source(focus, scope), scope))]


def _all(compiler: Compiler, call: Call, source: Closure) -> Closure:
    keep = kept(compiler, call)

    def run(focus: Items, scope: Scope) -> Items:
        items = source(focus, scope)
        return [len(keep(items, scope)) == len(items)]

    return run


def _not(compiler: Compiler, call: Call, source: Closure) -> Closure:
    def run(focus: Items, scope: Scope) -> Items:
        truth = compiler.boolean(call, source(focus, scope))
        return [] if truth is None else [not truth]

    return run


FUNCTIONS = {
    "empty": of_items(lambda items, scope: [not items]),
    "exists": Function(_exists, 0, 1),
    "all": Function(_all, 1, 1),
    "not": Function(_not),
    "count": of_items(lambda items, scope: [len(items)]),
    "distinct": of_items(distinct),
    "isDistinct": of_items(lambda items, scope: [len(distinct(items, scope)) == len(items)]),
}
