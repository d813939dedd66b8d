"""Tree navigation and utilities: children(), trace(), now(). Source: FHIRPath N1 §5.8, §5.9."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fhir_server.fhirpath.ast import Literal
from fhir_server.fhirpath.functions.registry import Function, each, of_items
from fhir_server.fhirpath.moments import Moment, moment
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.scope import Items, Scope

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler


def _children(compiler: Compiler, call: Call, source: Closure) -> Closure:
    step = _step(compiler, call)
    return lambda focus, scope: step(source(focus, scope), scope)


def _descendants(compiler: Compiler, call: Call, source: Closure) -> Closure:
    step = _step(compiler, call)

    def run(focus: Items, scope: Scope) -> Items:
        found: Items = []
        level = source(focus, scope)
        while level:
            level = step(level, scope)
            found += level
        return found

    return run


def _step(compiler: Compiler, call: Call) -> Callable[[Items, Scope], Items]:
    children, spend = compiler.model.children, compiler.spender(call)

    def step(items: Items, scope: Scope) -> Items:
        found = [inner for item in items if isinstance(item, Node) for inner in children(item)]
        spend(scope, len(found))
        return found

    return step


def _trace(compiler: Compiler, call: Call, source: Closure) -> Closure:
    """The input goes on unchanged; the services' ``trace`` is told the name and what there is.

    The name is a text written in the expression: a computed one could carry data of a patient into the log.
    """
    name = call.arguments[0]
    if not isinstance(name, Literal) or not isinstance(name.value, str):
        raise compiler.fault(name, "trace() needs a name between quotes")
    label = name.value
    project = each(compiler, call, call.arguments[1]) if len(call.arguments) > 1 else None

    def run(focus: Items, scope: Scope) -> Items:
        items = source(focus, scope)
        shown = [item for found in project(items, scope) for item in found] if project else items
        scope.services.trace(label, shown)
        return items

    return run


def _today(scope: Scope) -> Moment:
    return moment("date", scope.now().date().isoformat())


def _time_of_day(scope: Scope) -> Moment:
    return moment("time", scope.now().time().isoformat("milliseconds"))


def _now(scope: Scope) -> Moment:
    return moment("datetime", scope.now().isoformat(timespec="milliseconds"))


FUNCTIONS = {
    "children": Function(_children),
    "descendants": Function(_descendants),
    "trace": Function(_trace, 1, 2),
    "now": of_items(lambda items, scope: [_now(scope)]),
    "today": of_items(lambda items, scope: [_today(scope)]),
    "timeOfDay": of_items(lambda items, scope: [_time_of_day(scope)]),
}
