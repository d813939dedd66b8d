"""Combining and sets. Source: FHIRPath N1 §5.1.7, §5.1.8 (subsets), §5.3.8, §5.3.9, §5.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fhir_server.fhirpath.equality import Seen, distinct
from fhir_server.fhirpath.functions.registry import Function
from fhir_server.fhirpath.scope import Items, Scope

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler


def _with(combine: Callable[[Items, Items], Items]) -> Function:
    """A function of a collection and another one."""

    def build(compiler: Compiler, call: Call, source: Closure) -> Closure:
        other, spend = compiler.compile(call.arguments[0]), compiler.spender(call)

        def run(focus: Items, scope: Scope) -> Items:
            items, others = source(focus, scope), other(focus, scope)
            spend(scope, len(items) + len(others))
            return combine(items, others)

        return run

    return Function(build, 1, 1)


def _intersect(items: Items, others: Items) -> Items:
    both = Seen(others)
    return distinct([item for item in items if item in both])


def _exclude(items: Items, others: Items) -> Items:
    """Order and repetitions stay."""
    out = Seen(others)
    return [item for item in items if item not in out]


def _is_subset(items: Items, others: Items) -> bool:
    known = Seen(others)
    return all(item in known for item in items)


FUNCTIONS = {
    "union": _with(lambda items, others: distinct([*items, *others])),
    "combine": _with(lambda items, others: [*items, *others]),
    "intersect": _with(_intersect),
    "exclude": _with(_exclude),
    "subsetOf": _with(lambda items, others: [_is_subset(items, others)]),
    "supersetOf": _with(lambda items, others: [_is_subset(others, items)]),
}
