"""Subsetting. Source: FHIRPath N1 §5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.fhirpath.functions.registry import Function, of_items, of_number
from fhir_server.fhirpath.scope import Items, Scope

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler


def _single(compiler: Compiler, call: Call, source: Closure) -> Closure:
    def run(focus: Items, scope: Scope) -> Items:
        items = source(focus, scope)
        compiler.single(call, items)
        return items

    return run


FUNCTIONS = {
    "single": Function(_single),
    "first": of_items(lambda items, scope: items[:1]),
    "last": of_items(lambda items, scope: items[-1:]),
    "tail": of_items(lambda items, scope: items[1:]),
    "skip": of_number(lambda items, number: items[max(number, 0) :]),
    "take": of_number(lambda items, number: items[: max(number, 0)]),
}
