"""The rows of a composite parameter: every combination of its components' values in one element.

Source: FHIR R4 search.html#composite.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

from fhir_server.fhirpath import Model
from fhir_server.search.branches import Branch, Emitters, Place, follow, grow, walker
from fhir_server.search.index import CompositeRow, DateRow, NumberRow, StringRow
from fhir_server.search.registry import Arm
from fhir_server.search.types.base import Emit, Rows

Collect = Callable[[Any, Rows], list[NamedTuple]]


def composite(model: Model, emitters: Emitters, arm: Arm) -> Emit:
    """The function that adds the rows of ``arm`` for one base element."""
    collectors = [_component(model, emitters, arm, alternatives) for alternatives in arm.components]

    def emit(value: Any, rows: Rows) -> None:
        parts = []
        for collect in collectors:
            found = collect(value, rows)
            if not found:
                return
            parts.append(found)
        rows.composites.extend(CompositeRow(arm.key, combination) for combination in product(*parts))

    return emit


def _component(model: Model, emitters: Emitters, arm: Arm, alternatives: tuple[Arm, ...]) -> Collect:
    """The function that finds the values of one component."""
    bases = follow(model, [Place(Branch(), arm.type, arm.type)], arm.path)
    base = bases[0]
    inside, outside = Branch(), Branch()
    for part in alternatives:
        if part.path.from_resource:
            grow(model, emitters, outside, arm.type, part)
        else:
            grow(model, emitters, inside, base.type, part, start=base.path)
    here, above = _collector(inside), _collector(outside)
    return lambda value, rows: [*here(value, rows), *above(rows.resource, rows)]


def _collector(branch: Branch) -> Collect:
    """The function that walks ``branch`` when the value has one of the members it starts with."""
    names = frozenset(name for name, _ in branch.edges)
    if not names:
        return lambda value, rows: []
    walk = walker(branch)

    def collect(value: Any, rows: Rows) -> list[NamedTuple]:
        if names.isdisjoint(value):
            return []
        found = Rows(rows.resource)
        walk(value, found)
        return _complete(found)

    return collect


def _complete(found: Rows) -> list[NamedTuple]:
    rows: list[NamedTuple] = [*found.tokens, *found.references, *found.uris, *found.positions]
    rows += [StringRow(key, text, exact, 0) for key, text, exact, _ in found.strings]
    rows += [DateRow(*row, 0) for row in found.dates]
    rows += [NumberRow(*row, 0) for row in found.numbers]
    return rows
