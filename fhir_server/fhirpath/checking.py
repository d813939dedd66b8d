"""What an expression says, before any data is seen: names that no element has, types that never occur.

Evaluation is lenient, as N1 wants it: a name that means nothing gives nothing. Who takes in an expression that
someone has just written (a search parameter, an invariant) asks here for what cannot be meant.

Source: FHIRPath N1 §3, §4.1.9 (type safety and strict evaluation), §5.3 (ordered collections).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

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
from fhir_server.fhirpath.node import ANY_RESOURCE, Model
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.types import SYSTEM

Kinds: TypeAlias = frozenset[tuple[str, str]] | None
"""(type, where its members are defined) of the items that there may be; None: anything."""

BOOLEAN: Kinds = frozenset({("Boolean", "")})
STRING: Kinds = frozenset({("String", "")})
INTEGER: Kinds = frozenset({("Integer", "")})
LITERALS = {
    "boolean": BOOLEAN,
    "string": STRING,
    "number": None,
    "date": frozenset({("Date", "")}),
    "datetime": frozenset({("DateTime", "")}),
    "time": frozenset({("Time", "")}),
    "empty": frozenset[tuple[str, str]](),
}
_SAME = "where first last tail skip take single trace distinct exclude intersect sort checkModifiers"
_LOOPS = "where select repeat all exists aggregate sort trace iif"
_ORDERED = "first last tail skip take"
_COMPARISONS = "= != ~ !~ < <= > >= and or xor implies in contains"
_RESULTS: dict[str, Kinds] = {
    "empty exists all not allTrue anyTrue allFalse anyFalse isDistinct subsetOf supersetOf": BOOLEAN,
    "hasExtension hasValue memberOf conformsTo htmlChecks comparable": BOOLEAN,
    "startsWith endsWith matches matchesFull": BOOLEAN,
    "upper lower substring replace replaceMatches toString join split trim": STRING,
    "count length indexOf lastIndexOf toInteger precision": INTEGER,
    "extension": frozenset({("Extension", "Extension")}),
}
SAME = frozenset(_SAME.split())
"""Functions whose result are items of the input."""
LOOPS = frozenset(_LOOPS.split())
"""Functions whose arguments are about the items of the input."""
ORDERED = frozenset(_ORDERED.split())
UNORDERED = frozenset({"children", "descendants"})
COMPARISONS = frozenset(_COMPARISONS.split())
RESULTS = {name: kinds for names, kinds in _RESULTS.items() for name in names.split()}


def check(source: str, model: Model, type: str) -> list[ExpressionError]:
    """Everything that cannot be meant when ``source`` is applied to resources of ``type``, none when all is well.

    Raises ExpressionError when the text cannot be read at all.
    """
    checker = _Checker(model, source, frozenset({(type, type)}))
    checker.kinds(parse(source), checker.root)
    return checker.faults


@dataclass
class _Checker:
    model: Model
    source: str
    root: Kinds

    def __post_init__(self) -> None:
        self.faults: list[ExpressionError] = []

    def fault(self, tree: Tree, cause: str) -> None:
        self.faults.append(ExpressionError(self.source, tree.at, cause))

    def kinds(self, tree: Tree, focus: Kinds) -> Kinds:
        """What the items of ``tree`` may be when ``$this`` is ``focus``."""
        return CHECKS[type(tree)](self, tree, focus)

    # ── leaves ────────────────────────────────────────────────────────────────

    def literal(self, tree: Literal, focus: Kinds) -> Kinds:
        if isinstance(tree.value, int) and not isinstance(tree.value, bool):
            return INTEGER
        return LITERALS[tree.kind]

    def quantity(self, tree: Quantity, focus: Kinds) -> Kinds:
        return frozenset({("Quantity", "")})

    def variable(self, tree: Variable, focus: Kinds) -> Kinds:
        if tree.name == "$this":
            return focus
        if tree.name == "$index":
            return INTEGER
        return self.root if tree.name in {"%resource", "%context"} else None

    def member(self, tree: Member, focus: Kinds) -> Kinds:
        if tree.source is not None:
            return self.step(tree, self.kinds(tree.source, focus))
        if focus is not None and tree.name[0].isupper() and tree.name in self.model.definitions.types:
            return self.start(tree, focus)
        return self.step(tree, focus)

    def start(self, tree: Member, focus: frozenset[tuple[str, str]]) -> Kinds:
        """A path that begins with the name of a type."""
        found = frozenset(kind for kind in focus if self.model.is_kind_of(kind[0], tree.name))
        if found or any(type in ANY_RESOURCE for type, _ in focus):
            return found or frozenset({(tree.name, tree.name)})
        self.fault(tree, f"{_listed(focus)} is no {tree.name}")
        return None

    def step(self, tree: Member, source: Kinds) -> Kinds:
        """The element ``tree.name`` of what there is; anything when any resource may be there."""
        if not source or any(kind[0] in ANY_RESOURCE for kind in source):
            return None
        found = {
            (step.type, step.path)
            for type, path in source
            if type not in SYSTEM or path
            for step in self.model.elements(path or "Element", tree.name)
        }
        if found:
            return frozenset(found)
        if not any(type in {"Quantity", "TypeInfo"} and not path for type, path in source):
            self.fault(tree, f"{_listed(source)} has no element {tree.name}")
        return None

    # ── what has parts ────────────────────────────────────────────────────────

    def index(self, tree: Index, focus: Kinds) -> Kinds:
        self.kinds(tree.index, focus)
        self.need_order(tree, tree.source)
        return self.kinds(tree.source, focus)

    def need_order(self, tree: Tree, source: Tree | None) -> None:
        if isinstance(source, Call) and source.name in UNORDERED:
            self.fault(tree, f"{source.name}() has no order that could be relied on")

    def type_test(self, tree: TypeTest, focus: Kinds) -> Kinds:
        source = self.kinds(tree.source, focus)
        return self.narrowed(tree, source, tree.type) if tree.operator == "as" else BOOLEAN

    def narrowed(self, tree: Tree, source: Kinds, name: str) -> Kinds:
        """Those of ``source`` that are, or may turn out to be, of the type ``name``."""
        short = name.rpartition(".")[2]
        definition = self.model.definitions.types.get(short)
        wanted = (short, "" if definition is None or definition.kind == "primitive-type" else short)
        if not source or any(kind[0] in ANY_RESOURCE for kind in source):
            return frozenset({wanted})
        found = frozenset(
            kind for kind in source if self.model.is_kind_of(kind[0], short) or kind[0] == short
        )
        general = any(self.model.is_kind_of(short, kind[0]) for kind in source)
        if not found and not general:
            self.fault(tree, f"{_listed(source)} is never a {short}")
        return found or frozenset({wanted})

    def unary(self, tree: Unary, focus: Kinds) -> Kinds:
        return self.kinds(tree.source, focus)

    def binary(self, tree: Binary, focus: Kinds) -> Kinds:
        left, right = self.kinds(tree.left, focus), self.kinds(tree.right, focus)
        if tree.operator == "|":
            return _together((left, right))
        return BOOLEAN if tree.operator in COMPARISONS else None

    def call(self, tree: Call, focus: Kinds) -> Kinds:
        source = focus if tree.source is None else self.kinds(tree.source, focus)
        if tree.name in ORDERED:
            self.need_order(tree, tree.source)
        if tree.name in {"ofType", "as", "is"}:
            name = str(tree.arguments[0]) if tree.arguments else ""
            return BOOLEAN if tree.name == "is" else self.cast(tree, source, name)
        inner = source if tree.name in LOOPS else focus
        arguments = [self.kinds(argument, inner) for argument in tree.arguments if tree.name != "repeat"]
        if tree.name == "iif":
            return self.iif(tree, arguments)
        if tree.name in SAME:
            return source
        if tree.name == "select":
            return _together(arguments)
        return (
            _together((source, *arguments)) if tree.name in {"union", "combine"} else RESULTS.get(tree.name)
        )

    def cast(self, tree: Call, source: Kinds, name: str) -> Kinds:
        """A function, unlike the operator ``as``, may be asked for what is never there: the answer is empty."""
        quiet = _Checker(self.model, self.source, self.root)
        return quiet.narrowed(tree, source, name)

    def iif(self, tree: Call, arguments: list[Kinds]) -> Kinds:
        criterion, *branches = arguments or [None]
        if criterion and not any(type in {"Boolean", "boolean"} for type, _ in criterion):
            self.fault(tree, f"a criterion is a Boolean, not {_listed(criterion)}")
        return _together(branches)


def _together(kinds: Iterable[Kinds]) -> Kinds:
    found: frozenset[tuple[str, str]] = frozenset()
    for one in kinds:
        if one is None:
            return None
        found |= one
    return found


def _listed(kinds: Iterable[tuple[str, str]]) -> str:
    return " or ".join(sorted({path or type for type, path in kinds}))


CHECKS: dict[type, Callable[[_Checker, Any, Kinds], Kinds]] = {
    Literal: _Checker.literal,
    Quantity: _Checker.quantity,
    Variable: _Checker.variable,
    Member: _Checker.member,
    Call: _Checker.call,
    Index: _Checker.index,
    TypeTest: _Checker.type_test,
    Unary: _Checker.unary,
    Binary: _Checker.binary,
}
