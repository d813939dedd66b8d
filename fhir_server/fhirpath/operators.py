"""Operators: equality, order, logic with three values, union, membership.

Source: FHIRPath N1 §6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.values import equal, ordered, system_value

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Binary, Unary
    from fhir_server.fhirpath.compiler import Closure, Compiler

Build = Callable[["Compiler", "Binary", "Closure", "Closure"], "Closure"]
Truth = bool | None


def collection(value: Truth) -> Items:
    """A truth value as a collection; unknown is empty."""
    return [] if value is None else [value]


def distinct(items: Items, scope: Scope) -> Items:
    """``items`` without repetitions, in order."""
    found: Items = []
    values: list[Any] = []
    for item in items:
        value = system_value(item, scope.zone)
        if not any(equal(value, other) for other in values):
            found.append(item)
            values.append(value)
    return found


def equal_collections(left: Items, right: Items, scope: Scope) -> Truth:
    """``left = right``: the same number of equal items in the same order; None when either is empty."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    pairs = zip(left, right, strict=True)
    verdicts = [equal(system_value(one, scope.zone), system_value(other, scope.zone)) for one, other in pairs]
    return False if False in verdicts else None if None in verdicts else True


def _equality(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    wanted = tree.operator == "="

    def run(focus: Items, scope: Scope) -> Items:
        verdict = equal_collections(left(focus, scope), right(focus, scope), scope)
        return [] if verdict is None else [verdict is wanted]

    return run


def _order(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    def run(focus: Items, scope: Scope) -> Items:
        one = compiler.single(tree.left, left(focus, scope))
        other = compiler.single(tree.right, right(focus, scope))
        if one is None or other is None:
            return []
        try:
            return collection(
                ordered(tree.operator, system_value(one, scope.zone), system_value(other, scope.zone))
            )
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
    return lambda focus, scope: distinct([*left(focus, scope), *right(focus, scope)], scope)


def _holds(compiler: Compiler, tree: Binary, item: Items, items: Items, scope: Scope) -> Items:
    wanted = compiler.single(tree, item)
    if wanted is None:
        return []
    value = system_value(wanted, scope.zone)
    return [any(equal(value, system_value(other, scope.zone)) for other in items)]


def _in(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    return lambda focus, scope: _holds(compiler, tree, left(focus, scope), right(focus, scope), scope)


def _contains(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    return lambda focus, scope: _holds(compiler, tree, right(focus, scope), left(focus, scope), scope)


def sign(compiler: Compiler, tree: Unary, source: Closure) -> Closure:
    """``+number`` and ``-number``."""

    def run(focus: Items, scope: Scope) -> Items:
        item = compiler.single(tree, source(focus, scope))
        if item is None:
            return []
        value = system_value(item, scope.zone)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise compiler.fault(tree, f"{tree.operator} needs a number")
        return [-value if tree.operator == "-" else value]

    return run


def _table(rows: Sequence[tuple[str, Build]]) -> dict[str, Build]:
    return {operator: build for operators, build in rows for operator in operators.split()}


BINARY: dict[str, Build] = _table(
    (
        ("= !=", _equality),
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
