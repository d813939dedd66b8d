"""Contained resources as a search sees them: types of their own, arms of their own, found through their container.

A contained Medication is kept as a record of the internal type ``_Contained.Medication`` beside its container; its
rows are those of a Medication, under keys that lie beyond all arms. Who has none contained pays nothing.
Source: FHIR R4 search.html#contained, references.html#contained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from fhir_server.search.clauses import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not, Query, SortKey
from fhir_server.search.index import IndexValues, TokenRow
from fhir_server.search.parameters import LISTED, SearchParameter, arm_key
from fhir_server.search.types import fulltext

PREFIX: Final = "_Contained."
BEYOND: Final = 2**31
"""Added to the key of an arm, which has 31 bits."""


def contained_type(type: str) -> str:
    """The internal type of contained resources of ``type``."""
    return PREFIX + type


def contained_id(type: str, id: str, inner: str) -> str:
    """The id under which what ``type``/``id`` contains as ``inner`` is kept."""
    return f"{type}/{id}#{inner}"


def is_contained(type: str) -> bool:
    """True for an internal type of contained resources."""
    return type.startswith(PREFIX)


def plain_type(type: str) -> str:
    """The resource type of ``contained_type``."""
    return type.removeprefix(PREFIX)


def contained_key(key: int) -> int:
    """The arm under which the values of contained resources are kept that stand under ``key`` otherwise."""
    return key + BEYOND


def inside_key(key: int) -> int:
    """The arm of the references under ``key`` that lead to what is contained, kept apart: they are no literal ones."""
    return BEYOND + arm_key(PREFIX, str(key), "inside")


def id_key(type: str) -> int:
    """The arm of the ids that contained resources of ``type`` have in their containers."""
    return BEYOND + arm_key(contained_type(type), "id", "token")


def with_inside(keys: Iterable[int]) -> frozenset[int]:
    """``keys`` and the arms of references to what is contained that go with them."""
    return frozenset(each for key in keys for each in (key, inside_key(key)))


# ── rows ──────────────────────────────────────────────────────────────────────


def contained_values(values: IndexValues, type: str, id: str) -> IndexValues:
    """The rows of a resource that is contained, of ``values`` as if it were not; ``id`` is that in its container.
    Texts are of one record each, so that they need no keys of their own."""
    return IndexValues(
        values.date,
        [*_moved(values.tokens), TokenRow(id_key(type), id, "")],
        _moved(values.references),
        _moved(values.uris),
        _moved(values.strings),
        _moved(values.dates),
        _moved(values.numbers),
        _moved(values.composites),
        _moved(values.positions),
        values.texts,
    )


def _moved(rows: Iterable[Any]) -> list[Any]:
    return [row._replace(key=contained_key(row.key)) for row in rows]


# ── chains ────────────────────────────────────────────────────────────────────


def inside_too(chain: Chain) -> Criterion:
    """``chain``, which also holds when the resource it leads to is contained: ``medication.code=x`` finds the
    MedicationRequest whose Medication stands inside it. What a contained resource refers to is outside."""
    inner = _criterion(outside_only(chain.criterion))
    return AnyOf((chain, Chain(_to_inside(chain.parameter), contained_type(chain.type), inner)))


def _to_inside(parameter: SearchParameter) -> SearchParameter:
    """``parameter`` as it refers to what is contained."""
    target = None if parameter.target is None else contained_type(parameter.target)
    return replace(parameter, keys=tuple(map(inside_key, parameter.keys)), target=target)


def missing_inside(parameter: SearchParameter, is_missing: bool) -> Clause:
    """Whether there is no reference to what is contained."""
    return Clause(_to_inside(parameter), "missing", (is_missing,))


def _is_to_inside(criterion: Criterion) -> bool:
    match criterion:
        case Chain():
            return is_contained(criterion.type)
        case Clause():
            return criterion.parameter.kind == "reference" and min(criterion.parameter.keys) >= BEYOND
    return False


def outside_only(criterion: Criterion) -> Criterion:
    """``criterion`` as it was before ``inside_too``."""
    match criterion:
        case Clause():
            return criterion
        case Chain() | Has() | Not():
            return replace(criterion, criterion=outside_only(criterion.criterion))
        case AllOf():
            return AllOf(tuple(map(outside_only, criterion.criteria)))
        case AnyOf():
            kept = [
                outside_only(each)
                for each in criterion.criteria
                if not (isinstance(each, Chain) and is_contained(each.type))
            ]
            return kept[0] if len(kept) == 1 else AnyOf(tuple(kept))


# ── searches ──────────────────────────────────────────────────────────────────


def among_contained(query: Query, *, both: bool) -> Query:
    """``query`` of contained resources instead, or of them too."""
    plain = query.parts or (Query(query.type, query.clauses, query.sort, query.count),)
    twins = tuple([_twin(part) for part in plain])
    parts = (*plain, *twins) if both else twins
    if len(parts) == 1:
        return replace(query, type=parts[0].type, clauses=parts[0].clauses, sort=parts[0].sort)
    return replace(query, type="", clauses=(), parts=parts)


def _twin(part: Query) -> Query:
    clauses = tuple(map(_criterion, part.clauses))
    sort = tuple([SortKey(_parameter(key.parameter), key.descending) for key in part.sort])
    return replace(part, type=contained_type(part.type), clauses=clauses, sort=sort)


def _criterion(criterion: Criterion) -> Criterion:
    """``criterion`` of what is contained: what that refers to is outside, and it is its container that refers to it."""
    match criterion:
        case Clause():
            if criterion.parameter.code == LISTED:
                return AnyOf(())
            is_text = criterion.modifier == fulltext.MODIFIER
            return criterion if is_text else replace(criterion, parameter=_parameter(criterion.parameter))
        case Chain():
            return replace(criterion, parameter=_parameter(criterion.parameter))
        case Has():
            return replace(criterion, parameter=_to_inside(criterion.parameter))
        case Not():
            return Not(_criterion(criterion.criterion))
        case AnyOf() | AllOf():
            return _joined(type(criterion), criterion.criteria)


def _joined(kind: type[AnyOf | AllOf], criteria: Sequence[Criterion]) -> Criterion:
    kept = tuple([_criterion(each) for each in criteria if not _is_to_inside(each)])
    return kept[0] if len(kept) == 1 else kind(kept)


def _parameter(parameter: SearchParameter) -> SearchParameter:
    if parameter.column == "id":
        return replace(parameter, column=None, keys=(id_key(parameter.type),))
    return replace(
        parameter,
        keys=tuple(map(contained_key, parameter.keys)),
        identifier_keys=tuple(map(contained_key, parameter.identifier_keys)),
    )
