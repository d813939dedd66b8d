"""Does a resource match a query? Decided on its index rows alone, by the standard's words and nothing else.

The slow yardstick that every store is held to; it also answers for a single resource.
Source: FHIR R4 search.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fhir_server.search.clauses import Clause, Query
from fhir_server.search.index import IndexValues
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types import composite, date
from fhir_server.search.types.simple import SIMPLE

Row = Any
COMPOSITES = "composites"


def matches(query: Query, values: IndexValues, id: str, updated: int) -> bool:
    """True when every clause of ``query`` holds for the resource with these rows.

    ``updated`` is its meta.lastUpdated in microseconds since 1970 UTC. Its type is not looked at.
    """
    return all(_holds(clause, values, id, updated) for clause in query.clauses)


def rows_of(parameter: SearchParameter, values: IndexValues) -> list[Row]:
    """The rows that hold the values of ``parameter``."""
    name = COMPOSITES if parameter.kind == "composite" else SIMPLE[parameter.kind].rows
    rows = (row for row in getattr(values, name) if row.key in parameter.keys)
    if parameter.target is not None:
        return [row for row in rows if row.type == parameter.target]
    if parameter.system is not None:
        return [row for row in rows if row.system == parameter.system]
    return list(rows)


def _holds(clause: Clause, values: IndexValues, id: str, updated: int) -> bool:
    parameter = clause.parameter
    if parameter.column is not None:
        return COLUMNS[parameter.column](clause.values, id, updated)
    rows = rows_of(parameter, values)
    if clause.modifier == "missing":
        return bool(rows) is not clause.values[0]
    if clause.modifier == "not":
        return not _any(parameter, clause, None, rows)
    return _any(parameter, clause, clause.modifier, rows)


def _any(parameter: SearchParameter, clause: Clause, modifier: str | None, rows: Iterable[Row]) -> bool:
    """True when some row satisfies some value."""
    if parameter.kind == "composite":
        kinds = tuple(component.kind for component in parameter.components)
        return any(composite.admits(value, kinds, row) for row in rows for value in clause.values)
    admits = SIMPLE[parameter.kind].admits
    return any(admits(value, modifier, row) for row in rows for value in clause.values)


def _by_id(values: Iterable[Any], id: str, updated: int) -> bool:
    return any(value.code == id for value in values)


def _by_time(values: Iterable[Any], id: str, updated: int) -> bool:
    return any(date.TESTS[value.prefix](value.low, value.high, updated, updated + 1) for value in values)


COLUMNS: dict[str, Callable[[Iterable[Any], str, int], bool]] = {"id": _by_id, "updated": _by_time}

__all__ = ["matches", "rows_of"]
