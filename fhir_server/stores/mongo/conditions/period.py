"""Dates: every value is an interval, and a prefix says how two intervals must lie.

Source: FHIR R4 search.html#date, #prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fhir_server.search.query import Clause, DateValue
from fhir_server.stores.mongo.conditions.parts import Filter, Test, any_of

Bounds = Callable[[int, int], Filter]

LEAST, GREATEST = -(2**63), 2**63 - 1

PREFIXES: Final[Mapping[str, Bounds]] = {
    # What ``l`` and ``h`` of an item must be for a value ``[low, high)``.
    "eq": lambda low, high: {"l": {"$gte": low}, "h": {"$lte": high}},
    "ne": lambda low, high: {"$or": [{"l": {"$lt": low}}, {"h": {"$gt": high}}]},
    "gt": lambda low, high: {"h": {"$gt": high}},
    "lt": lambda low, high: {"l": {"$lt": low}},
    "ge": lambda low, high: {"$or": [{"l": {"$gte": low}}, {"h": {"$gt": high}}]},
    "le": lambda low, high: {"$or": [{"l": {"$lt": low}}, {"h": {"$lte": high}}]},
    "sa": lambda low, high: {"l": {"$gte": high}},
    "eb": lambda low, high: {"h": {"$lte": low}},
    "co": lambda low, high: {"l": {"$lte": low}, "h": {"$gte": high}},
    "ap": lambda low, high: {"l": {"$lt": high}, "h": {"$gt": low}},
}


def bounds(value: DateValue) -> Filter:
    """The fields of an item that stands to ``value`` as its prefix says."""
    return PREFIXES[value.prefix](max(value.low, LEAST), min(value.high, GREATEST))


def compile(type: str, clause: Clause) -> Test:
    """``ge2026-03``, ``2026-03-02`` …"""
    found = [bounds(value) for value in clause.values]
    return any_of([item_of(key, "e", each) for key in clause.parameter.keys for each in found])


def item_of(key: int, name: str, fields: Filter) -> Test:
    """Some item of the array ``name`` is of the arm ``key`` and has ``fields``."""
    return Test({name: {"$elemMatch": {"k": key, **fields}}}, is_typed=True)


# ── an instant ────────────────────────────────────────────────────────────────

_INSTANT: Final[Mapping[str, Bounds]] = {
    # What ``u`` must be, whose interval ends a microsecond later.
    "eq": lambda low, high: {"u": {"$gte": low, "$lt": high}},
    "ne": lambda low, high: {"$or": [{"u": {"$lt": low}}, {"u": {"$gte": high}}]},
    "gt": lambda low, high: {"u": {"$gte": high}},
    "lt": lambda low, high: {"u": {"$lt": low}},
    "ge": lambda low, high: {"u": {"$gte": min(low, high)}},
    "le": lambda low, high: {"u": {"$lt": max(low, high)}},
    "sa": lambda low, high: {"u": {"$gte": high}},
    "eb": lambda low, high: {"u": {"$lt": low}},
    "co": lambda low, high: {"u": {"$lte": low, "$gte": high - 1}},
    "ap": lambda low, high: {"u": {"$lt": high, "$gte": low}},
}


def instant(value: DateValue) -> Filter:
    """``updated`` stands to ``value`` as its prefix says."""
    return _INSTANT[value.prefix](max(value.low, LEAST), min(value.high, GREATEST))
