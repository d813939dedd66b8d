"""A query restricted to what somebody may see, on the other side of chains and ``_has`` too.

Without that, ``Patient?_has:Observation:patient:code=…`` would tell what stands in Observations that are hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fhir_server.search.clauses import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not, Query

Restriction = Callable[[str], Criterion | None]
"""Type → what a resource of it must satisfy to be seen; None: all of them are."""


def restricted(query: Query, restriction: Restriction) -> Query:
    """``query`` with ``restriction`` on every type it looks at; the same object when that adds nothing."""
    own = restriction(query.type)
    clauses = tuple([_inside(criterion, restriction) for criterion in query.clauses])
    if own is not None:
        return replace(query, clauses=(*clauses, own))
    return query if _same(clauses, query.clauses) else replace(query, clauses=clauses)


def _inside(criterion: Criterion, restriction: Restriction) -> Criterion:
    match criterion:
        case Clause():
            return criterion
        case Chain() | Has():
            own = restriction(criterion.type)
            inner = _inside(criterion.criterion, restriction)
            return _with(criterion, AllOf((inner, own)) if own is not None else inner)
        case Not():
            return _with(criterion, _inside(criterion.criterion, restriction))
        case AnyOf() | AllOf():
            inner_ones = tuple([_inside(each, restriction) for each in criterion.criteria])
            same = _same(inner_ones, criterion.criteria)
            return criterion if same else replace(criterion, criteria=inner_ones)


def _with(criterion: Chain | Has | Not, inner: Criterion) -> Criterion:
    return criterion if inner is criterion.criterion else replace(criterion, criterion=inner)


def _same(one: Sequence[Criterion], other: Sequence[Criterion]) -> bool:
    return all(left is right for left, right in zip(one, other, strict=True))
