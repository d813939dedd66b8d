"""Combining. Source: FHIRPath N1 §5.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.fhirpath.functions.registry import Function
from fhir_server.fhirpath.operators import distinct

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler


def _union(compiler: Compiler, call: Call, source: Closure) -> Closure:
    other = compiler.compile(call.arguments[0])
    return lambda focus, scope: distinct([*source(focus, scope), *other(focus, scope)], scope)


def _combine(compiler: Compiler, call: Call, source: Closure) -> Closure:
    other = compiler.compile(call.arguments[0])
    return lambda focus, scope: [*source(focus, scope), *other(focus, scope)]


FUNCTIONS = {
    "union": Function(_union, 1, 1),
    "combine": Function(_combine, 1, 1),
}
