"""Composites: all parts in one item.

Source: FHIR R4 search.html#composite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.search.query import Clause, CompositeValue
from fhir_server.stores.mongo.conditions import number, period
from fhir_server.stores.mongo.conditions.parts import Filter, Test, any_of
from fhir_server.stores.mongo.fields import AFTER

Alternatives = list[Filter]

PARTS: Final[Mapping[str, Callable[[Any], Alternatives]]] = {
    "token": lambda value: [_given(t=value.code, s=value.system)],
    "reference": lambda value: [_given(t=value.id, s=value.type)],
    "string": lambda value: [{"t": {"$gte": value.text, "$lt": value.text + AFTER}}],
    "uri": lambda value: [{"t": value.uri}],
    "date": lambda value: [period.bounds(value)],
    "number": lambda value: [number.number_fields(value)],
    "quantity": lambda value: [_as_part(each) for each in number.quantity_fields(value)],
}
"""Kind of component → the fields of its part of an item, one of which must be so."""


def compile(type: str, clause: Clause) -> Test:
    """``code$value`` and its relatives."""
    kinds = [component.kind for component in clause.parameter.components]
    found = [_fields(kinds, value) for value in clause.values]
    return any_of([period.item_of(key, "c", each) for key in clause.parameter.keys for each in found])


def _fields(kinds: list[str], value: CompositeValue) -> Filter:
    """What an item must have; ``t`` of the first part stands outside, where the index has it."""
    first, *others = [PARTS[kind](part) for kind, part in zip(kinds, value.parts, strict=True)]
    tests = [_one_of([_at(place, each) for each in part]) for place, part in enumerate(others, 2)]
    if len(first) == 1 and "$or" not in first[0]:
        return {**first[0], "$and": tests}
    return {"$and": [_one_of(first), *tests]}


def _one_of(alternatives: Alternatives) -> Filter:
    return alternatives[0] if len(alternatives) == 1 else {"$or": alternatives}


def _at(place: int, fields: Filter) -> Filter:
    """``fields`` of the part ``place``."""
    return {
        name if name.startswith("$") else f"{name}{place}": (
            [_at(place, each) for each in asked] if name == "$or" else asked
        )
        for name, asked in fields.items()
    }


def _as_part(fields: Filter) -> Filter:
    """The fields of a quantity as a part has them: the code of the unit is the text."""
    return {"t" if name == "c" else name: asked for name, asked in fields.items()}


def _given(**fields: str | None) -> Filter:
    return {name: text for name, text in fields.items() if text is not None}
