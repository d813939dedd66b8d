"""Filtering and projection. Source: FHIRPath N1 §5.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.fhirpath.functions.registry import Function, kept
from fhir_server.fhirpath.scope import Items, Scope

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler


def _where(compiler: Compiler, call: Call, source: Closure) -> Closure:
    keep = kept(compiler, call)
    return lambda focus, scope: keep(source(focus, scope), scope)


def _select(compiler: Compiler, call: Call, source: Closure) -> Closure:
    projection = compiler.compile(call.arguments[0])

    def run(focus: Items, scope: Scope) -> Items:
        return [
            found
            for index, item in enumerate(source(focus, scope))
            for found in projection([item], scope.at(index))
        ]

    return run


FUNCTIONS = {
    "where": Function(_where, 1, 1),
    "select": Function(_select, 1, 1),
}
