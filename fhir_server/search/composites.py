"""The rows of composite parameters: every combination of the components' values in one element.

All composites of one base element are made together, because most of them share a component.
Source: FHIR R4 search.html#composite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from fhir_server.fhirpath import Model
from fhir_server.search.branches import Branch, Emitters, Place, follow, grow, prune
from fhir_server.search.index import CompositeRow, DateRow, NumberRow, StringRow
from fhir_server.search.parameters import Arm
from fhir_server.search.types.base import Emit, Rows
from fhir_server.search.walking import walker

Parts = list[NamedTuple]
_new: Any = tuple.__new__
Complete = Callable[[list[Any]], Parts]

LISTS: Mapping[str, str] = {
    "token": "tokens",
    "reference": "references",
    "uri": "uris",
    "string": "strings",
    "date": "dates",
    "number": "numbers",
    "position": "positions",
}
"""Kind of rows → the list of ``Rows`` they are added to."""

COMPLETE: Mapping[str, Complete] = {
    "strings": lambda rows: [StringRow(key, text, exact, 0) for key, text, exact, _ in rows],
    "dates": lambda rows: [_new(DateRow, (*row, 0)) for row in rows],
    "numbers": lambda rows: [_new(NumberRow, (*row, 0)) for row in rows],
}
"""How rows that get an ``edge`` later are completed here, where they have none."""


@dataclass(frozen=True, slots=True)
class Component:
    """One component: the members that its paths start with, in the base element or the resource, and what finds it."""

    names: frozenset[str]
    above: bool
    walk: Emit
    list: str
    complete: Complete | None

    def collect(self, value: Mapping[str, Any], rows: Rows) -> Parts:
        """The rows of the values: added to ``rows`` by the walk and taken off again."""
        found: list[Any] = getattr(rows, self.list)
        start = len(found)
        self.walk(rows.resource if self.above else value, rows)
        parts = found[start:]
        del found[start:]
        return self.complete(parts) if self.complete else parts


def composites(model: Model, emitters: Emitters, arms: Iterable[Arm]) -> Emit:
    """The function that adds the rows of ``arms``, which have one base path, for one base element."""
    known: dict[str, Component] = {}
    plans: dict[str, list[tuple[int, tuple[Component, ...]]]] = {}
    for arm in arms:
        components = tuple(_component(model, emitters, arm, part, known) for part in arm.components)
        for name in _telling(components).names:
            plans.setdefault(name, []).append((arm.key, components))
    return _emit(tuple(plans.items()))


def _telling(components: Sequence[Component]) -> Component:
    """The component whose members decide most often that there is no row: the last one in the element itself."""
    return next((component for component in reversed(components) if not component.above), components[-1])


def _emit(plans: Sequence[tuple[str, Sequence[tuple[int, tuple[Component, ...]]]]]) -> Emit:
    def emit(value: Any, rows: Rows) -> None:
        for name, found in plans:
            if name in value:
                for key, components in found:
                    _combine(key, components, value, rows)

    return emit


def _combine(key: int, components: Sequence[Component], value: Any, rows: Rows) -> None:
    parts = []
    for component in components:
        found = component.collect(value, rows)
        if not found:
            return
        parts.append(found)
    rows.composites += [_new(CompositeRow, (key, combination)) for combination in product(*parts)]


def _component(
    model: Model, emitters: Emitters, arm: Arm, alternatives: tuple[Arm, ...], known: dict[str, Component]
) -> Component:
    """The component that reads ``alternatives``; equal ones of several composites are one object."""
    name = "|".join(f"{part.path}:{part.kind}" for part in alternatives)
    if name not in known:
        base = follow(model, [Place(Branch(), arm.type, arm.type)], arm.path)[0]
        branch = Branch()
        above = alternatives[0].path.from_resource
        for part in alternatives:
            grow(
                model,
                emitters,
                branch,
                arm.type if above else base.type,
                part,
                start=arm.type if above else base.path,
            )
        prune(branch)
        kept = LISTS[alternatives[0].kind]
        names = frozenset(name for name, _ in branch.edges)
        known[name] = Component(names, above, walker(branch), kept, COMPLETE.get(kept))
    return known[name]
