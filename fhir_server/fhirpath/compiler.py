"""Syntax tree → closures.

A closure takes the focus (``$this``, a list of items) and a Scope and returns a list of items. One
builder per kind of tree, found in a table; functions register themselves in ``functions``.

Source: FHIRPath N1 §4 (expressions), §3 (path selection).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import operators
from fhir_server.fhirpath.arithmetic import sign
from fhir_server.fhirpath.ast import (
    Binary,
    Call,
    Index,
    Literal,
    Member,
    Quantity,
    Tree,
    TypeTest,
    Unary,
    Variable,
)
from fhir_server.fhirpath.errors import ExpressionError
from fhir_server.fhirpath.functions import FUNCTIONS
from fhir_server.fhirpath.moments import TEMPORAL, moment
from fhir_server.fhirpath.node import Model, Node
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.quantities import Quantity as SystemQuantity
from fhir_server.fhirpath.scope import Budget, Items, Scope
from fhir_server.fhirpath.types import type_test
from fhir_server.fhirpath.values import TypeInfo, operand
from fhir_server.fhirpath.variables import variable

Closure = Callable[[Items, Scope], Items]

ENVIRONMENT = ("%resource", "%rootResource", "%context")


FIELDS: dict[type, dict[str, str]] = {
    SystemQuantity: {"value": "value", "unit": "unit"},
    TypeInfo: {"namespace": "namespace", "name": "name", "baseType": "base"},
}
"""Members of System values, and the attribute that holds each."""


class Expression:
    """A compiled expression: call it with a Node (or a list of items), get a list of items.

    Without a scope, ``%resource``, ``%rootResource`` and ``%context`` are the node itself. Raises
    ExpressionError when the data does not fit (several items where one is needed).
    """

    __slots__ = ("_run", "source", "tree")

    def __init__(self, source: str, tree: Tree, run: Closure) -> None:
        self.source = source
        self.tree = tree
        self._run = run

    def __call__(self, focus: Node | Items, scope: Scope | None = None) -> Items:
        """The items that the expression selects from ``focus``."""
        items = focus if isinstance(focus, list) else [focus]
        if scope is None:
            scope = Scope(dict.fromkeys(ENVIRONMENT, items))
        else:
            scope.budget = Budget(scope.steps)
        return self._run(items, scope)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def compile_expression(source: str, definitions: Definitions | Model) -> Expression:
    """Compile ``source``. Raises ExpressionError with position and cause.

    Callers that compile many expressions pass one Model, which remembers what names mean.
    """
    return compile_tree(parse(source), definitions, source)


def compile_tree(tree: Tree, definitions: Definitions | Model, source: str | None = None) -> Expression:
    """Compile a tree that is already parsed; ``source`` is the text its positions refer to."""
    model = definitions if isinstance(definitions, Model) else Model(definitions)
    text = str(tree) if source is None else source
    return Expression(text, tree, Compiler(model, text).compile(tree))


class Compiler:
    """Builds the closures of one expression. Functions use ``compile``, ``fault`` and ``model``."""

    def __init__(self, model: Model, source: str) -> None:
        self.model = model
        self.source = source

    def compile(self, tree: Tree) -> Closure:
        """The closure of ``tree``."""
        return BUILDERS[type(tree)](self, tree)

    def fault(self, tree: Tree, cause: str) -> ExpressionError:
        """An error at the place of ``tree``."""
        return ExpressionError(self.source, tree.at, cause)

    def single(self, tree: Tree, items: Items) -> Any:
        """The one item of ``items``, None when there is none; several are an error."""
        if len(items) > 1:
            raise self.fault(tree, f"one item is needed, found {len(items)}")
        return items[0] if items else None

    def operand(self, tree: Tree, items: Items) -> Any:
        """The one item of ``items`` as a System value, None when there is none. Complex items stay Nodes."""
        try:
            return operand(self.single(tree, items))
        except ValueError as error:
            raise self.fault(tree, str(error)) from error

    def boolean(self, tree: Tree, items: Items) -> bool | None:
        """``items`` as a truth value; a single item that is no Boolean counts as true (N1 §5.1.1)."""
        item = self.single(tree, items)
        if isinstance(item, Node) and item.type == "boolean":
            item = item.value
        return item if isinstance(item, bool) or item is None else True

    def spender(self, tree: Tree) -> Callable[[Scope, int], None]:
        """What loops call with the number of items they look at; it ends an evaluation that has used up its steps."""

        def spend(scope: Scope, steps: int) -> None:
            budget = scope.budget
            budget.left -= steps
            if budget.left < 0:
                raise self.fault(tree, f"the evaluation takes more than {scope.steps} steps")

        return spend


def _literal(compiler: Compiler, tree: Literal) -> Closure:
    if tree.kind in TEMPORAL:
        kind, text = tree.kind, str(tree.value)
        try:
            value: Any = moment(kind, text)
        except ValueError as error:
            raise compiler.fault(tree, str(error)) from error
        return lambda focus, scope: [value]
    items = [] if tree.kind == "empty" else [tree.value]
    return lambda focus, scope: items


def _quantity(compiler: Compiler, tree: Quantity) -> Closure:
    items = [SystemQuantity(tree.value, tree.unit, tree.calendar)]
    return lambda focus, scope: items


def _member(compiler: Compiler, tree: Member) -> Closure:
    members, name = compiler.model.members, tree.name

    def select(items: Items) -> Items:
        return [
            found
            for item in items
            for found in (members(item, name) if isinstance(item, Node) else _of_system(item, name))
        ]

    if tree.source is not None:
        source = compiler.compile(tree.source)
        return lambda focus, scope: select(source(focus, scope))
    if not name[0].isupper():
        return lambda focus, scope: select(focus)
    is_kind_of = compiler.model.is_kind_of
    return lambda focus, scope: (
        [item for item in focus if isinstance(item, Node) and is_kind_of(item.type, name)] or select(focus)
    )


def _of_system(item: Any, name: str) -> Items:
    """The members that System values have: a quantity's value and unit, what type() tells."""
    return [getattr(item, FIELDS[type(item)][name])] if name in FIELDS.get(type(item), ()) else []


def _call(compiler: Compiler, tree: Call) -> Closure:
    function = FUNCTIONS.get(tree.name)
    if function is None:
        raise compiler.fault(tree, f"there is no function {tree.name}()")
    given = len(tree.arguments)
    if not function.least <= given <= function.most:
        raise compiler.fault(tree, f"{tree.name}() takes {function.arity} arguments, not {given}")
    source = compiler.compile(tree.source) if tree.source else (lambda focus, scope: focus)
    return function.build(compiler, tree, source)


def _index(compiler: Compiler, tree: Index) -> Closure:
    source, index = compiler.compile(tree.source), compiler.compile(tree.index)

    def run(focus: Items, scope: Scope) -> Items:
        position = compiler.operand(tree, index(focus, scope))
        if position is None:
            return []
        if not isinstance(position, int) or isinstance(position, bool):
            raise compiler.fault(tree, "an index is a whole number")
        return source(focus, scope)[position : position + 1] if position >= 0 else []

    return run


def _type_test(compiler: Compiler, tree: TypeTest) -> Closure:
    source = compiler.compile(tree.source)
    fits = type_test(compiler, tree, tree.type)
    if tree.operator == "as":
        return lambda focus, scope: [item for item in source(focus, scope) if fits(item)]

    def run(focus: Items, scope: Scope) -> Items:
        items = source(focus, scope)
        return [fits(compiler.single(tree, items))] if items else []

    return run


def _unary(compiler: Compiler, tree: Unary) -> Closure:
    source = compiler.compile(tree.source)
    return sign(compiler, tree, source)


def _binary(compiler: Compiler, tree: Binary) -> Closure:
    build = operators.BINARY.get(tree.operator)
    if build is None:
        raise compiler.fault(tree, f"the operator {tree.operator} is not supported")
    return build(compiler, tree, compiler.compile(tree.left), compiler.compile(tree.right))


BUILDERS: dict[type, Callable[[Compiler, Any], Closure]] = {
    Literal: _literal,
    Quantity: _quantity,
    Variable: variable,
    Member: _member,
    Call: _call,
    Index: _index,
    TypeTest: _type_test,
    Unary: _unary,
    Binary: _binary,
}
