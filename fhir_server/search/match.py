"""Does a resource match a query? Decided on its index rows alone, by the standard's words and nothing else.

The slow yardstick that every store is held to; it also answers for a single resource. What other resources
decide (chains, ``_has``) is asked of a ``Related``: ``search.related`` has one for resources in memory, and
the question to put to a store.
Source: FHIR R4 search.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from fhir_server.search.clauses import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not, Query
from fhir_server.search.index import IndexValues
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types import composite, date, fulltext
from fhir_server.search.types.simple import SIMPLE

Row = Any
COMPOSITES = "composites"


class Indexed(NamedTuple):
    """A resource as a search sees it; ``updated`` is its meta.lastUpdated in microseconds since 1970 UTC."""

    type: str
    id: str
    updated: int
    values: IndexValues


Related = Callable[[Chain | Has, Indexed], bool]
"""Whether a resource has the related one that a chain or ``_has`` asks for."""


def matches(query: Query, values: IndexValues, id: str, updated: int, related: Related | None = None) -> bool:
    """True when every criterion of ``query`` holds for the resource of its type with these rows.

    ``updated`` as in Indexed. Raises LookupError when a chain or ``_has`` is to be decided without ``related``.
    """
    resource = Indexed(query.type, id, updated, values)
    return all(holds(criterion, resource, related or _unrelated) for criterion in query.clauses)


def holds(criterion: Criterion, resource: Indexed, related: Related) -> bool:
    """True when ``criterion`` is true of ``resource``."""
    match criterion:
        case Clause():
            return _clause_holds(criterion, resource)
        case AnyOf():
            return any(holds(each, resource, related) for each in criterion.criteria)
        case AllOf():
            return all(holds(each, resource, related) for each in criterion.criteria)
        case Not():
            return not holds(criterion.criterion, resource, related)
        case Chain() | Has():
            return related(criterion, resource)


def rows_of(parameter: SearchParameter, values: IndexValues) -> list[Row]:
    """The rows that hold the values of ``parameter``."""
    name = COMPOSITES if parameter.kind == "composite" else SIMPLE[parameter.kind].rows
    rows = (row for row in getattr(values, name) if row.key in parameter.keys)
    if parameter.target is not None:
        return [row for row in rows if row.type == parameter.target]
    if parameter.system is not None:
        return [row for row in rows if row.system == parameter.system]
    return list(rows)


def _unrelated(relation: Chain | Has, resource: Indexed) -> bool:
    raise LookupError(f"whether {relation.parameter.code} leads to such a {relation.type} is not known here")


def _clause_holds(clause: Clause, resource: Indexed) -> bool:
    parameter = clause.parameter
    if clause.modifier == fulltext.MODIFIER:
        said = [row for row in resource.values.texts() if row.key in parameter.keys]
        return any(fulltext.admits(value, None, row) for row in said for value in clause.values)
    if parameter.column is not None:
        return COLUMNS[parameter.column](clause.values, resource.id, resource.updated)
    rows = rows_of(parameter, resource.values)
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

__all__ = ["Indexed", "Related", "holds", "matches", "rows_of"]
