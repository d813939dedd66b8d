"""A query restricted to what somebody may see, on the other side of chains and ``_has`` too.

Without that, ``Patient?_has:Observation:patient:code=…`` would tell what stands in Observations that are hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import is_
from typing import Final

from fhir_server.search.clauses import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not, Query
from fhir_server.search.contained import is_contained

Restriction = Callable[[str], Criterion | None]
"""Type → what a resource of it must satisfy to be seen; None: all of them are."""

_PLAIN: Final = frozenset({Clause})
"""Criteria that look at nothing but the resource itself."""


def restricted(query: Query, restriction: Restriction) -> Query:
    """``query`` with ``restriction`` on every type it looks at; the same object when that adds nothing."""
    if query.parts:
        parts = tuple([restricted(part, restriction) for part in query.parts])
        return query if all(map(is_, parts, query.parts)) else replace(query, parts=parts)
    own = restriction(query.type)
    clauses = query.clauses
    is_plain = _PLAIN.issuperset(map(type, clauses))
    if not is_plain:
        clauses = tuple([_inside(criterion, restriction) for criterion in clauses])
    if own is not None:
        return replace(query, clauses=(*clauses, own))
    same = is_plain or all(map(is_, clauses, query.clauses))
    return query if same else replace(query, clauses=clauses)


def _inside(criterion: Criterion, restriction: Restriction) -> Criterion:
    match criterion:
        case Clause():
            return criterion
        case Chain() | Has():
            own = None if is_contained(criterion.type) else restriction(criterion.type)
            inner = _inside(criterion.criterion, restriction)
            return _with(criterion, AllOf((inner, own)) if own is not None else inner)
        case Not():
            return _with(criterion, _inside(criterion.criterion, restriction))
        case AnyOf() | AllOf():
            inner_ones = tuple([_inside(each, restriction) for each in criterion.criteria])
            same = all(map(is_, inner_ones, criterion.criteria))
            return criterion if same else replace(criterion, criteria=inner_ones)


def _with(criterion: Chain | Has | Not, inner: Criterion) -> Criterion:
    return criterion if inner is criterion.criterion else replace(criterion, criterion=inner)
