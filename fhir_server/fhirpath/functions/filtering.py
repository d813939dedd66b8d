"""Filtering, projection and aggregates. Source: FHIRPath N1 §5.2, §7."""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.ast import Tree, Unary
from fhir_server.fhirpath.equality import Seen
from fhir_server.fhirpath.functions.registry import Function, each, kept
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.values import compared

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler


def _where(compiler: Compiler, call: Call, source: Closure) -> Closure:
    keep = kept(compiler, call)
    return lambda focus, scope: keep(source(focus, scope), scope)


def _select(compiler: Compiler, call: Call, source: Closure) -> Closure:
    project, spend = each(compiler, call, call.arguments[0]), compiler.spender(call)

    def run(focus: Items, scope: Scope) -> Items:
        found = [item for items in project(source(focus, scope), scope) for item in items]
        spend(scope, len(found))
        return found

    return run


def _repeat(compiler: Compiler, call: Call, source: Closure) -> Closure:
    """What the projection gives, then what it gives for that, until there is nothing new."""
    project = each(compiler, call, call.arguments[0])

    def run(focus: Items, scope: Scope) -> Items:
        found: Items = []
        seen, level = Seen(), source(focus, scope)
        while level:
            level = [item for items in project(level, scope) for item in items if seen.add(item)]
            found += level
        return found

    return run


def _aggregate(compiler: Compiler, call: Call, source: Closure) -> Closure:
    aggregator, spend = compiler.compile(call.arguments[0]), compiler.spender(call)
    initial = compiler.compile(call.arguments[1]) if len(call.arguments) > 1 else None

    def run(focus: Items, scope: Scope) -> Items:
        total = initial(focus, scope) if initial else []
        for index, item in enumerate(source(focus, scope)):
            spend(scope, 1 + len(total))
            total = aggregator([item], scope.at(index, total))
        return total

    return run


def _iif(compiler: Compiler, call: Call, source: Closure) -> Closure:
    """Only the branch that is needed is evaluated; in all three ``$this`` is the input, one item at most."""
    criterion, *branches = (compiler.compile(argument) for argument in call.arguments)

    def run(focus: Items, scope: Scope) -> Items:
        items = source(focus, scope)
        if call.source is not None:
            compiler.single(call, items)
        if compiler.boolean(call.arguments[0], criterion(items, scope)):
            return branches[0](items, scope)
        return branches[1](items, scope) if len(branches) > 1 else []

    return run


def _sort(compiler: Compiler, call: Call, source: Closure) -> Closure:
    """Without keys by the items themselves; a key with a minus before it sorts downwards. Empty keys come first."""
    keys = [_key(compiler, call, tree) for tree in call.arguments]

    def compare(one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
        for number, (left, right) in enumerate(zip(one[1:], other[1:], strict=True)):
            place = _place(compiler, call, left, right, down=bool(keys) and keys[number][1])
            if place:
                return place
        return 0

    def run(focus: Items, scope: Scope) -> Items:
        items = source(focus, scope)
        columns = [project(items, scope) for project, _ in keys] or [[[item] for item in items]]
        rows = list(zip(items, *columns, strict=True))
        return [row[0] for row in sorted(rows, key=cmp_to_key(compare))]

    return run


def _key(compiler: Compiler, call: Call, tree: Tree) -> tuple[Any, bool]:
    down = isinstance(tree, Unary) and tree.operator == "-"
    return each(compiler, call, tree.source if isinstance(tree, Unary) and down else tree), down


def _place(compiler: Compiler, call: Call, left: Items, right: Items, down: bool) -> int:
    one, other = compiler.operand(call, left), compiler.operand(call, right)
    if one is None or other is None:
        return (one is not None) - (other is not None)
    try:
        place = compared(one, other) or 0
        return -place if down else place
    except TypeError as error:
        raise compiler.fault(call, str(error)) from error


FUNCTIONS = {
    "where": Function(_where, 1, 1),
    "select": Function(_select, 1, 1),
    "repeat": Function(_repeat, 1, 1),
    "aggregate": Function(_aggregate, 1, 2),
    "iif": Function(_iif, 2, 3),
    "sort": Function(_sort, 0, 9),
}
