"""The tree of a type's paths, and the closures that walk a resource along it.

A branch stands for a place in a resource: what is to be emitted for a value there, which members lead on,
and which predicates open a further branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

import structlog

from fhir_server.fhirpath import Expression, ExpressionError, Model, Node, compile_tree
from fhir_server.fhirpath.ast import Binary, Member, Tree
from fhir_server.fhirpath.node import ANY_RESOURCE
from fhir_server.fhirpath.values import type_name
from fhir_server.search.arms import At, Cast, Compute, Name, Path, Where, equals_text
from fhir_server.search.leaves import fits
from fhir_server.search.parameters import Arm
from fhir_server.search.types import date, quantity, reference, special, string, token, uri
from fhir_server.search.types.base import Emit, Rows

log = structlog.get_logger("fhir_server.search")

Test = Callable[[Any], bool]
SYSTEM_TYPES = {"Boolean": "boolean", "Integer": "integer", "Decimal": "decimal", "String": "string"}
"""FHIRPath's own types → the FHIR types whose rows they make."""


class Emitters:
    """The function that makes rows, by kind of rows and data type; bound to the zone and this server's address."""

    def __init__(self, zone: tzinfo, base_url: str | None) -> None:
        dated = {name: _bound(make, zone) for name, make in date.EMITTERS.items()}
        located = {name: _bound(make, base_url) for name, make in reference.EMITTERS.items()}
        self._tables: Mapping[str, Mapping[str, Callable[[int], Emit]]] = {
            "token": token.EMITTERS,
            "string": string.EMITTERS,
            "uri": uri.EMITTERS,
            "number": quantity.EMITTERS,
            "position": special.EMITTERS,
            "date": dated,
            "reference": located,
            "identifier": {"Reference": token.of_reference},
        }

    def make(self, kind: str, type: str, key: int) -> Emit | None:
        """The function for values of ``type``; None when rows of ``kind`` cannot hold it."""
        make = self._tables[kind].get(type)
        return make(key) if make else None


def _bound(make: Callable[[int, Any], Emit], argument: Any) -> Callable[[int], Emit]:
    return lambda key: make(key, argument)


@dataclass(slots=True)
class Branch:
    """``edges`` are the members that lead on, by JSON name and index (None: every item); ``doors`` open for
    values that pass their test; ``names`` are the keys of a HumanName's parts."""

    emits: list[Emit] = field(default_factory=list)
    edges: dict[tuple[str, int | None], Edge] = field(default_factory=dict)
    doors: dict[str, tuple[Test, Branch]] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)

    @property
    def leads_on(self) -> bool:
        """True when there is something to be done here or further on (after ``prune``)."""
        return bool(self.emits or self.names or self.edges or self.doors)


@dataclass(slots=True)
class Edge:
    """A member: whether it is an array, and the branch of its values."""

    is_list: bool
    branch: Branch = field(default_factory=Branch)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path has led so far: the branch, the type there, and where its members are defined."""

    branch: Branch
    type: str
    path: str


# ── growing ───────────────────────────────────────────────────────────────────


def grow(
    model: Model,
    emitters: Emitters,
    root: Branch,
    type: str,
    arm: Arm,
    emit: Emit | None = None,
    start: str = "",
) -> None:
    """Add the path of ``arm`` to the tree. ``emit`` None: the functions that fit the data types at its end.

    ``start`` is where the members of the root's values are defined, when that is not ``type``.
    """
    steps = arm.path.steps
    if steps and isinstance(steps[0], Compute):
        root.emits.append(_computed(model, emitters, steps[0].tree, arm))
        return
    if _grow_name(model, root, type, arm, start):
        return
    for place in follow(model, [Place(root, type, start or type)], arm.path):
        found = emit or emitters.make(arm.kind, place.type, arm.key)
        if found:
            place.branch.emits.append(found)
        elif place.type == "Extension":
            _grow_extension(model, emitters, place, arm)


def _grow_extension(model: Model, emitters: Emitters, place: Place, arm: Arm) -> None:
    """A path that ends in an Extension means its value."""
    for inner in follow(model, [place], Path((Name("value"),))):
        found = emitters.make(arm.kind, inner.type, arm.key)
        if found:
            inner.branch.emits.append(found)


def _grow_name(model: Model, root: Branch, type: str, arm: Arm, start: str) -> bool:
    """True when ``arm`` is a part of a HumanName: those are emitted together, for their pinyin."""
    *before, last = arm.path.steps or (At(0),)
    if arm.kind != "string" or not isinstance(last, Name):
        return False
    places = follow(model, [Place(root, type, start or type)], Path(tuple(before)))
    if not places or any(place.type != "HumanName" for place in places):
        return False
    for place in places:
        place.branch.names[last.name] = arm.key
    return True


def follow(model: Model, places: Sequence[Place], path: Path) -> list[Place]:
    """The places that ``path`` leads to from ``places``; branches are made where there are none."""
    steps = list(path.steps)
    for number, step in enumerate(steps):
        after = steps[number + 1 : number + 3]
        if isinstance(step, Name):
            index = after[0].index if after and isinstance(after[0], At) else None
            places = [new for place in places for new in _members(model, place, step.name, index)]
        elif isinstance(step, Cast):
            places = [_cast(place, step.type) for place in places if fits(model, place.type, step.type)]
        elif isinstance(step, Where):
            places = [_door(model, place, step.criterion) for place in places]
    return list(places)


def _members(model: Model, place: Place, name: str, index: int | None) -> Iterator[Place]:
    for step in model.steps(place.path or "Element", name):
        edge = place.branch.edges.setdefault((step.json_name, index), Edge(step.is_list))
        yield Place(edge.branch, step.type, step.path)


def _cast(place: Place, type: str) -> Place:
    """The same place; where any resource may stand, a door for those of ``type``."""
    if place.type not in ANY_RESOURCE:
        return place
    door = place.branch.doors.setdefault(
        f"is {type}", (lambda value: value.get("resourceType") == type, Branch())
    )
    return Place(door[1], type, type)


def _door(model: Model, place: Place, criterion: Tree) -> Place:
    known = place.branch.doors.get(str(criterion))
    if known is None:
        known = place.branch.doors[str(criterion)] = (test(model, place, criterion), Branch())
    return Place(known[1], place.type, place.path)


def test(model: Model, place: Place, criterion: Tree) -> Test:
    """The predicate for JSON values at ``place``; the frequent ``member = 'text'`` needs no FHIRPath."""
    wanted = equals_text(criterion)
    if wanted is not None and isinstance(criterion, Binary) and isinstance(criterion.left, Member):
        name = criterion.left.name
        if any(step.json_name == name and not step.is_list for step in model.steps(place.path, name)):
            return lambda value: value.get(name) == wanted
    expression = _forgiving(compile_tree(criterion, model))
    if place.type in ANY_RESOURCE:
        return lambda value: _is_true(expression, Node.of(value))
    return lambda value: _is_true(expression, Node(value, place.type, place.path))


def _forgiving(expression: Expression) -> Callable[[Node], list[Any]]:
    """``expression`` giving nothing where it cannot be evaluated: content that a SearchParameter of somebody's making
    did not expect (two names for its ``single()``) is found less well, but it is kept."""
    told = False

    def evaluate(node: Node) -> list[Any]:
        nonlocal told
        try:
            return list(expression(node))
        except ExpressionError as error:
            if not told:
                told = True
                log.warning("search-parameter-fault", expression=error.source, position=error.position)
            return []

    return evaluate


def _is_true(expression: Callable[[Node], list[Any]], node: Node) -> bool:
    return [item.value if isinstance(item, Node) else item for item in expression(node)] == [True]


def _computed(model: Model, emitters: Emitters, tree: Tree, arm: Arm) -> Emit:
    """What an expression over the whole resource gives, each item by its type."""
    expression = _forgiving(compile_tree(tree, model))
    known: dict[str, Emit | None] = {}

    def emit(value: dict[str, Any], rows: Rows) -> None:
        for item in expression(Node.of(value)):
            type = item.type if isinstance(item, Node) else SYSTEM_TYPES.get(type_name(item), "")
            if type not in known:
                known[type] = emitters.make(arm.kind, type, arm.key)
            found = known[type]
            if found is not None:
                found(item.value if isinstance(item, Node) else item, rows)

    return emit


def prune(branch: Branch) -> Branch:
    """``branch`` without the members that lead nowhere: the other types of a choice that was narrowed down."""
    branch.doors = {name: (test, prune(inside)) for name, (test, inside) in branch.doors.items()}
    branch.doors = {name: door for name, door in branch.doors.items() if door[1].leads_on}
    branch.edges = {name: edge for name, edge in branch.edges.items() if prune(edge.branch).leads_on}
    return branch
