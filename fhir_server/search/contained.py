"""Contained resources as a search sees them: types of their own, arms of their own, found through their container.

A contained Medication is kept as a record of the internal type ``_Contained.Medication`` beside its container; its
rows are those of a Medication, under keys that lie beyond all arms. Who has none contained pays nothing.
Source: FHIR R4 search.html#contained, references.html#contained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from fhir_server.search.clauses import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not, Query, SortKey
from fhir_server.search.faults import Refusal
from fhir_server.search.index import IndexValues, TokenRow, no_texts
from fhir_server.search.parameters import TEXTS, SearchParameter, arm_key
from fhir_server.search.types import fulltext

PREFIX: Final = "_Contained."
BEYOND: Final = 2**31
"""Added to the key of an arm, which has 31 bits."""
CONTAINED_ID: Final = BEYOND + arm_key(PREFIX, "id", "token")
"""The arm of the ids that contained resources have in their container."""


def contained_type(type: str) -> str:
    """The internal type of contained resources of ``type``."""
    return PREFIX + type


def is_contained(type: str) -> bool:
    """True for an internal type of contained resources."""
    return type.startswith(PREFIX)


def plain_type(type: str) -> str:
    """The resource type of ``contained_type``."""
    return type.removeprefix(PREFIX)


def contained_key(key: int) -> int:
    """The arm under which the values of contained resources are kept that stand under ``key`` otherwise."""
    return key + BEYOND


# ── rows ──────────────────────────────────────────────────────────────────────


def contained_values(values: IndexValues, id: str) -> IndexValues:
    """The rows of a resource that is contained, of ``values`` as if it were not; ``id`` is that in its container."""
    return IndexValues(
        values.date,
        [*_moved(values.tokens), TokenRow(CONTAINED_ID, id, "")],
        _moved(values.references),
        _moved(values.uris),
        _moved(values.strings),
        _moved(values.dates),
        _moved(values.numbers),
        _moved(values.composites),
        _moved(values.positions),
        no_texts,
    )


def _moved(rows: Iterable[Any]) -> list[Any]:
    return [row._replace(key=contained_key(row.key)) for row in rows]


# ── searches ──────────────────────────────────────────────────────────────────


def among_contained(query: Query, *, both: bool) -> Query:
    """``query`` of contained resources instead, or of them too. Raises Refusal for what cannot be asked of them."""
    plain = query.parts or (Query(query.type, query.clauses, query.sort, query.count),)
    twins = tuple([_twin(part) for part in plain])
    parts = (*plain, *twins) if both else twins
    if len(parts) == 1:
        return replace(query, type=parts[0].type, clauses=parts[0].clauses, sort=parts[0].sort)
    return replace(query, type="", clauses=(), parts=parts)


def _twin(part: Query) -> Query:
    clauses = tuple([_criterion(each) for each in part.clauses])
    sort = tuple([SortKey(_parameter(key.parameter), key.descending) for key in part.sort])
    return replace(part, type=contained_type(part.type), clauses=clauses, sort=sort)


def _criterion(criterion: Criterion) -> Criterion:
    match criterion:
        case Clause():
            if criterion.parameter.code in TEXTS or criterion.modifier == fulltext.MODIFIER:
                raise Refusal(f"{criterion.parameter.code}: texts of contained resources are not searched")
            return replace(criterion, parameter=_parameter(criterion.parameter))
        case Chain():
            return replace(criterion, parameter=_parameter(criterion.parameter))
        case Has():
            raise Refusal(
                "nothing but its container refers to a contained resource, so _has and _list find none"
            )
        case Not():
            return Not(_criterion(criterion.criterion))
        case AnyOf():
            return AnyOf(tuple(map(_criterion, criterion.criteria)))
        case AllOf():
            return AllOf(tuple(map(_criterion, criterion.criteria)))


def _parameter(parameter: SearchParameter) -> SearchParameter:
    if parameter.column == "id":
        return replace(parameter, column=None, keys=(CONTAINED_ID,))
    return replace(
        parameter,
        keys=tuple(map(contained_key, parameter.keys)),
        identifier_keys=tuple(map(contained_key, parameter.identifier_keys)),
    )
