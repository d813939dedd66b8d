"""Existence. Source: FHIRPath N1 §5.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.fhirpath.equality import distinct
from fhir_server.fhirpath.functions.registry import Function, kept, of_items
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.values import system_value, type_name

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


def _of_truths(wanted: bool, every: bool) -> Function:
    """Whether every (or any) item is ``wanted``; all items must be Boolean."""

    def build(compiler: Compiler, call: Call, source: Closure) -> Closure:
        def run(focus: Items, scope: Scope) -> Items:
            values = [system_value(item) for item in source(focus, scope)]
            for value in values:
                if not isinstance(value, bool):
                    raise compiler.fault(call, f"{call.name}() needs Booleans, found {type_name(value)}")
            return [all(value is wanted for value in values) if every else wanted in values]

        return run

    return Function(build)


FUNCTIONS = {
    "empty": of_items(lambda items, scope: [not items]),
    "exists": Function(_exists, 0, 1),
    "all": Function(_all, 1, 1),
    "allTrue": _of_truths(wanted=True, every=True),
    "anyTrue": _of_truths(wanted=True, every=False),
    "allFalse": _of_truths(wanted=False, every=True),
    "anyFalse": _of_truths(wanted=False, every=False),
    "not": Function(_not),
    "count": of_items(lambda items, scope: [len(items)]),
    "distinct": of_items(lambda items, scope: distinct(items)),
    "isDistinct": of_items(lambda items, scope: [len(distinct(items)) == len(items)]),
}
