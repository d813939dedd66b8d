"""Arms: the expression of a search parameter taken apart into paths that are indexed once.

``Observation.subject.where(resolve() is Patient)`` is the path ``subject`` with the target Patient;
``Patient.telecom.where(system = 'phone')`` is ``telecom`` with the system phone. A path is a sequence of
steps; what cannot be written as steps (``Patient.deceased.exists() and …``) is one ``Compute`` step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fhir_server.fhirpath.ast import (
    Binary,
    Call,
    Index,
    Literal,
    Member,
    Tree,
    TypeTest,
    Variable,
    alternatives,
)


@dataclass(frozen=True, slots=True)
class Name:
    """``.name``"""

    name: str


@dataclass(frozen=True, slots=True)
class Cast:
    """``.ofType(type)``"""

    type: str


@dataclass(frozen=True, slots=True)
class Where:
    """``.where(criterion)``"""

    criterion: Tree


@dataclass(frozen=True, slots=True)
class At:
    """``[index]``"""

    index: int


@dataclass(frozen=True, slots=True)
class Compute:
    """An expression over the resource that is no path."""

    tree: Tree


Step: TypeAlias = Name | Cast | Where | At | Compute


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from a resource (or, for a composite's component, from its base element).

    ``from_resource``: a component that starts at ``%resource``. ``target`` and ``system`` are restrictions
    of the parameter, not of the path.
    """

    steps: tuple[Step, ...]
    target: str | None = None
    system: str | None = None
    from_resource: bool = False

    def __str__(self) -> str:
        """The canonical text, part of the key under which values are kept."""
        text = "".join(map(_text, self.steps)).removeprefix(".")
        return f"%resource.{text}" if self.from_resource else text

    def joined(self, name: str) -> Path:
        """The path of a member of what this one leads to."""
        return Path((*self.steps, Name(name)), from_resource=self.from_resource)

    def kept_whole(self) -> Path:
        """The same with its restrictions written back into the steps."""
        return Path((*self.steps, *_restrictions(self)), from_resource=self.from_resource)


def _text(step: Step) -> str:
    if isinstance(step, Name):
        return f".{step.name}"
    if isinstance(step, Cast):
        return f".ofType({step.type})"
    if isinstance(step, Where):
        return f".where({step.criterion})"
    return f"[{step.index}]" if isinstance(step, At) else f".({step.tree})"


def _restrictions(path: Path) -> tuple[Step, ...]:
    if path.target:
        return (Where(TypeTest("is", Call(None, "resolve", ()), path.target)),)
    if path.system:
        return (Where(Binary("=", Member(None, "system"), Literal("string", path.system))),)
    return ()


def paths(tree: Tree, roots: frozenset[str], types: frozenset[str]) -> list[Path]:
    """The paths of an expression that start at one of ``roots`` (a type and what it specialises).

    Sides of a union that start at another of ``types`` belong to other resource types and are left out.
    """
    found = []
    for side in alternatives(tree):
        root = _root(side)
        if root in roots or root not in types:
            found.append(_path(side, roots))
    return found


def _root(tree: Tree) -> str | None:
    """The name that an expression starts with."""
    while True:
        if isinstance(tree, Member | Call) and tree.source is None:
            return tree.name
        if isinstance(tree, Binary):
            tree = tree.left
        elif isinstance(tree, Member | Call | Index | TypeTest) and tree.source is not None:
            tree = tree.source
        else:
            return None


def _path(tree: Tree, roots: frozenset[str]) -> Path:
    steps = _steps(tree)
    if steps is None:
        return Path((Compute(tree),))
    if steps and isinstance(steps[0], Name) and steps[0].name in roots:
        steps = steps[1:]
    from_resource = bool(steps) and steps[0] == Name("%resource")
    return _restricted(Path(tuple(steps[1:] if from_resource else steps), from_resource=from_resource))


def _restricted(path: Path) -> Path:
    """``path`` with a last ``where`` of a well-known form made into a restriction."""
    if not path.steps or not isinstance(path.steps[-1], Where):
        return path
    criterion = path.steps[-1].criterion
    before = path.steps[:-1]
    if isinstance(criterion, TypeTest) and criterion.source == Call(None, "resolve", ()):
        return Path(before, target=criterion.type, from_resource=path.from_resource)
    if before and before[-1] == Name("telecom"):
        system = equals_text(criterion, "system")
        return Path(before, system=system, from_resource=path.from_resource) if system else path
    return path


def equals_text(criterion: Tree, name: str | None = None) -> str | None:
    """``x`` of the criterion ``name = 'x'``; None for any other criterion. ``name`` None: any member."""
    if not isinstance(criterion, Binary) or criterion.operator != "=":
        return None
    left, right = criterion.left, criterion.right
    if not isinstance(left, Member) or left.source is not None or name not in {None, left.name}:
        return None
    return str(right.value) if isinstance(right, Literal) and right.kind == "string" else None


def _steps(tree: Tree) -> list[Step] | None:
    """The steps of ``tree``, None when it is no plain path."""
    if isinstance(tree, Variable):
        return [Name("%resource")] if tree.name == "%resource" else None
    if isinstance(tree, Member) and tree.source is None:
        return [Name(tree.name)]
    last = _last(tree)
    if last is None:
        return None
    source = tree.source if isinstance(tree, Member | Call | Index | TypeTest) else None
    before = [] if source is None else _steps(source)
    if before is None or (isinstance(last[0], At) and not (before and isinstance(before[-1], Name))):
        return None
    return [*before, *last]


def _last(tree: Tree) -> tuple[Step, ...] | None:
    if isinstance(tree, Member):
        return (Name(tree.name),)
    if isinstance(tree, TypeTest):
        return (Cast(tree.type),) if tree.operator == "as" else None
    if isinstance(tree, Index):
        number = tree.index.value if isinstance(tree.index, Literal) else None
        return (At(number),) if isinstance(number, int) and not isinstance(number, bool) else None
    return _called(tree) if isinstance(tree, Call) else None


def _called(call: Call) -> tuple[Step, ...] | None:
    if call.name in {"as", "ofType"}:
        return (Cast(str(call.arguments[0])),)
    if call.name == "where":
        return (Where(call.arguments[0]),)
    if call.name == "first":
        return (At(0),)
    if call.name == "extension":
        return (Name("extension"), Where(Binary("=", Member(None, "url"), call.arguments[0])))
    return None
