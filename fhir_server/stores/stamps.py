"""What a query looks at: whether something that was worked out for it can have been changed by a write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_server.search.query import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not, Query
from fhir_server.search.types import fulltext
from fhir_server.stores.cursor import is_short


def types_of(query: Query) -> tuple[str, ...]:
    """The types that ``query`` looks at, those of related resources among them."""
    parts = query.parts or (query,)
    related = _related([criterion for part in parts for criterion in part.clauses])
    return tuple(dict.fromkeys([*(part.type for part in parts), *related]))


def may_remember(query: Query) -> bool:
    """True when what was worked out for ``query`` is good until a write, which the index of texts does not wait for,
    and when it is short enough to be remembered."""
    criteria = [criterion for part in query.parts or (query,) for criterion in part.clauses]
    return not any(map(asks_for_texts, criteria)) and is_short(query)


def _related(criteria: Iterable[Criterion]) -> Iterator[str]:
    for criterion in criteria:
        if isinstance(criterion, Chain | Has):
            yield criterion.type
            yield from _related((criterion.criterion,))
        elif isinstance(criterion, AnyOf | AllOf):
            yield from _related(criterion.criteria)
        elif isinstance(criterion, Not):
            yield from _related((criterion.criterion,))


def asks_for_texts(criterion: Criterion) -> bool:
    """True when the index of texts, which is no part of a write, is needed to decide ``criterion``."""
    match criterion:
        case Clause():
            return criterion.modifier == fulltext.MODIFIER
        case AnyOf() | AllOf():
            return any(map(asks_for_texts, criterion.criteria))
        case _:
            return asks_for_texts(criterion.criterion)
