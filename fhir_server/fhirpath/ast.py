"""The syntax tree of a FHIRPath expression.

Every node has ``at``, its offset in the text, which plays no part in comparing nodes: two
expressions that mean the same path are equal. ``str(node)`` writes an expression in canonical form.

Source: FHIRPath N1, grammar.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias


def _position() -> int:
    return field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """``kind`` is boolean | string | number | date | datetime | time | empty; a date keeps its text, without the @."""

    kind: str
    value: bool | str | int | Decimal | None
    at: int = _position()

    def __str__(self) -> str:
        if self.kind == "empty":
            return "{}"
        if self.kind == "boolean":
            return str(self.value).lower()
        if self.kind == "string":
            return quoted(str(self.value))
        return f"@{self.value}" if self.kind in {"date", "datetime", "time"} else str(self.value)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit: UCUM (``'mg'``) or a calendar word (``days``)."""

    value: Decimal
    unit: str
    calendar: bool
    at: int = _position()

    def __str__(self) -> str:
        return f"{self.value} {self.unit if self.calendar else quoted(self.unit)}"


@dataclass(frozen=True, slots=True)
class Variable:
    """``$this``, ``$index``, ``$total`` or ``%name``; ``name`` holds the first character too."""

    name: str
    at: int = _position()

    def __str__(self) -> str:
        if self.name[0] == "$" or self.name[1:].isidentifier():
            return self.name
        return "%" + quoted(self.name[1:])


@dataclass(frozen=True, slots=True)
class Member:
    """``source.name``; without a source, ``name`` of the focus (or the focus itself when it is its type's name)."""

    source: Tree | None
    name: str
    at: int = _position()

    def __str__(self) -> str:
        return f"{operand(self.source)}.{self.name}" if self.source else self.name


@dataclass(frozen=True, slots=True)
class Call:
    """``source.name(arguments)``."""

    source: Tree | None
    name: str
    arguments: tuple[Tree, ...]
    at: int = _position()

    def __str__(self) -> str:
        call = f"{self.name}({', '.join(map(str, self.arguments))})"
        return f"{operand(self.source)}.{call}" if self.source else call


@dataclass(frozen=True, slots=True)
class Index:
    """``source[index]``."""

    source: Tree
    index: Tree
    at: int = _position()

    def __str__(self) -> str:
        return f"{operand(self.source)}[{self.index}]"


@dataclass(frozen=True, slots=True)
class TypeTest:
    """``source is type`` or ``source as type``; ``type`` may be qualified (``FHIR.Patient``)."""

    operator: str
    source: Tree
    type: str
    at: int = _position()

    def __str__(self) -> str:
        return f"({self.source} {self.operator} {self.type})"


@dataclass(frozen=True, slots=True)
class Unary:
    """``+source`` or ``-source``."""

    operator: str
    source: Tree
    at: int = _position()

    def __str__(self) -> str:
        return f"{self.operator}{operand(self.source)}"


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right``."""

    operator: str
    left: Tree
    right: Tree
    at: int = _position()

    def __str__(self) -> str:
        return f"{operand(self.left)} {self.operator} {operand(self.right)}"


Tree: TypeAlias = Literal | Quantity | Variable | Member | Call | Index | TypeTest | Unary | Binary


def operand(tree: Tree | None) -> str:
    """``tree`` written so that it can stand beside an operator."""
    return f"({tree})" if isinstance(tree, Binary | Unary) else str(tree)


def quoted(text: str) -> str:
    """A string literal of ``text``."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def alternatives(tree: Tree) -> list[Tree]:
    """The sides of a union, flattened: ``a | b | c`` → [a, b, c]; anything else → [tree]."""
    if isinstance(tree, Binary) and tree.operator == "|":
        return [*alternatives(tree.left), *alternatives(tree.right)]
    return [tree]


def children(tree: Tree) -> tuple[Tree, ...]:
    """The trees directly inside ``tree``."""
    if isinstance(tree, Binary):
        return tree.left, tree.right
    if isinstance(tree, Index):
        return tree.source, tree.index
    if isinstance(tree, TypeTest | Unary):
        return (tree.source,)
    if isinstance(tree, Member | Call):
        before = (tree.source,) if tree.source is not None else ()
        return before + (tree.arguments if isinstance(tree, Call) else ())
    return ()


def depth(tree: Tree) -> int:
    """How many trees stand inside each other at the deepest place. Needs no stack of its own."""
    level, deepest = [tree], 0
    while level:
        deepest += 1
        level = [inside for outside in level for inside in children(outside)]
    return deepest
