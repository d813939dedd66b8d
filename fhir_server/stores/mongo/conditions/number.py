"""Numbers and quantities.

``eq``, ``ne`` and ``ap`` look at the range that the typed precision implies; the other prefixes take the
number as exact.
Source: FHIR R4 search.html#number, #quantity, #prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fhir_server.search.query import Clause, NumberValue, QuantityValue
from fhir_server.stores.mongo.conditions.parts import Filter, Test, any_of
from fhir_server.stores.mongo.conditions.period import item_of

PREFIXES: Final[Mapping[str, Callable[[NumberValue], Filter]]] = {
    # What ``l`` and ``h`` of an item must be.
    "eq": lambda n: {"l": {"$gte": n.low}, "h": {"$lt": n.high}},
    "ne": lambda n: {"$or": [{"l": {"$lt": n.low}}, {"h": {"$gte": n.high}}]},
    "gt": lambda n: {"h": {"$gt": n.value}},
    "lt": lambda n: {"l": {"$lt": n.value}},
    "ge": lambda n: {"h": {"$gte": n.value}},
    "le": lambda n: {"l": {"$lte": n.value}},
    "sa": lambda n: {"l": {"$gt": n.value}},
    "eb": lambda n: {"h": {"$lt": n.value}},
    "ap": lambda n: {"l": {"$lte": n.high}, "h": {"$gte": n.low}},
}


def number(type: str, clause: Clause) -> Test:
    """``0.8``, ``gt100`` …"""
    return _compile(clause, [number_fields(value) for value in clause.values])


def quantity(type: str, clause: Clause) -> Test:
    """``5.4|http://unitsofmeasure.org|mg``, ``5.4||mg``, ``gt5.4``."""
    return _compile(clause, [fields for value in clause.values for fields in quantity_fields(value)])


def number_fields(value: NumberValue) -> Filter:
    """The fields of an item for ``value``."""
    return PREFIXES[value.prefix](value)


def quantity_fields(value: QuantityValue) -> list[Filter]:
    """The fields of an item for ``value``, in each of the units that it is looked for in."""
    return [_in_unit(each) for each in (value, *value.others)]


def _in_unit(value: QuantityValue) -> Filter:
    unit = {"s": value.system, "c": value.code}
    return {**number_fields(value.number), **{name: text for name, text in unit.items() if text is not None}}


def _compile(clause: Clause, fields: list[Filter]) -> Test:
    return any_of([item_of(key, "q", each) for key in clause.parameter.keys for each in fields])
