"""Operators: equality, order, logic with three values, union, membership. Arithmetic has a file of its own.

Source: FHIRPath N1 §6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fhir_server.fhirpath.arithmetic import ARITHMETIC
from fhir_server.fhirpath.equality import Truth, distinct, equal, equal_collections, equivalent_collections
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.values import ordered, system_value

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Binary
    from fhir_server.fhirpath.compiler import Closure, Compiler

Build = Callable[["Compiler", "Binary", "Closure", "Closure"], "Closure"]


def collection(value: Truth) -> Items:
    """A truth value as a collection; unknown is empty."""
    return [] if value is None else [value]


def _equality(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    wanted = tree.operator == "="

    def run(focus: Items, scope: Scope) -> Items:
        verdict = equal_collections(left(focus, scope), right(focus, scope))
        return [] if verdict is None else [verdict is wanted]

    return run


def _equivalence(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    wanted = tree.operator == "~"
    return lambda focus, scope: [equivalent_collections(left(focus, scope), right(focus, scope)) is wanted]


def _order(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    def run(focus: Items, scope: Scope) -> Items:
        one = compiler.operand(tree.left, left(focus, scope))
        other = compiler.operand(tree.right, right(focus, scope))
        if one is None or other is None:
            return []
        try:
            return collection(ordered(tree.operator, one, other))
        except TypeError as error:
            raise compiler.fault(tree, str(error)) from error

    return run


def _and(left: Truth, right: Truth) -> Truth:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _or(left: Truth, right: Truth) -> Truth:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def _xor(left: Truth, right: Truth) -> Truth:
    return None if left is None or right is None else left is not right


def _implies(left: Truth, right: Truth) -> Truth:
    return _or(None if left is None else not left, right)


def _logic(decide: Callable[[Truth, Truth], Truth], enough: Mapping[Truth, bool]) -> Build:
    """``enough``: left side → the result that it decides alone; the right side is not evaluated then."""

    def build(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
        def run(focus: Items, scope: Scope) -> Items:
            one = compiler.boolean(tree.left, left(focus, scope))
            if one in enough:
                return [enough[one]]
            return collection(decide(one, compiler.boolean(tree.right, right(focus, scope))))

        return run

    return build


def _union(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    spend = compiler.spender(tree)

    def run(focus: Items, scope: Scope) -> Items:
        items = [*left(focus, scope), *right(focus, scope)]
        spend(scope, len(items))
        return distinct(items)

    return run


def _holds(compiler: Compiler, tree: Binary, item: Items, items: Items) -> Items:
    wanted = compiler.single(tree, item)
    if wanted is None:
        return []
    value = system_value(wanted)
    return [any(equal(value, system_value(other)) for other in items)]


def _in(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    return lambda focus, scope: _holds(compiler, tree, left(focus, scope), right(focus, scope))


def _contains(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    return lambda focus, scope: _holds(compiler, tree, right(focus, scope), left(focus, scope))


def _table(rows: Sequence[tuple[str, Build]]) -> dict[str, Build]:
    return {operator: build for operators, build in rows for operator in operators.split()}


BINARY: dict[str, Build] = (
    _table(
        (
            ("= !=", _equality),
            ("~ !~", _equivalence),
            ("< <= > >=", _order),
            ("and", _logic(_and, {False: False})),
            ("or", _logic(_or, {True: True})),
            ("xor", _logic(_xor, {})),
            ("implies", _logic(_implies, {False: True})),
            ("|", _union),
            ("in", _in),
            ("contains", _contains),
        )
    )
    | ARITHMETIC
)
