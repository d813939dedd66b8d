"""What a search may ask at once: more would be work without end, so it is refused before it is begun.

Exact values (tokens, references, uris) are looked up as one list and cost next to nothing; each value that is
compared (texts, dates, quantities) and each link of a chain becomes a piece of the store's question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fhir_server.errors import InvalidSearch
from fhir_server.search.clauses import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not
from fhir_server.search.faults import Refusal

MOST_PARAMETERS: Final = 500
"""Parameters of one search, whatever they are."""
MOST_CRITERIA: Final = 100
"""Parameters of one search that are criteria."""
MOST_VALUES: Final = 20_000
"""Values of one parameter."""
MOST_COST: Final = 2_500
"""What all criteria of a search may cost together, for all types that it is of."""
COSTS: Final[Mapping[str, int]] = {"quantity": 20, "string": 4}
"""Kind of parameter → cost of one value; a quantity is compared in every unit of its dimension."""
USUAL_COST: Final = 2
EXACT: Final = frozenset({"token", "reference", "uri"})
LISTED: Final = frozenset({None, "not"})
"""Modifiers with which the values of EXACT kinds stay a list."""


def require_few(pairs: Sequence[tuple[str, str]]) -> None:
    """Raises InvalidSearch when there are more parameters than anybody means."""
    if len(pairs) > MOST_PARAMETERS:
        raise InvalidSearch(f"a search has at most {MOST_PARAMETERS} parameters", code="too-costly")


def require_modest(spent: int) -> None:
    """Raises Refusal when the criteria of a search cost more than MOST_COST together."""
    if spent > MOST_COST:
        raise Refusal(
            "the search compares too many values at once, or follows too many references: ask for less, or in turns",
            "too-costly",
        )


def cost(criterion: Criterion) -> int:
    """What ``criterion`` costs."""
    return sum(map(_own_cost, _pieces(criterion)))


def _pieces(criterion: Criterion) -> Iterator[Criterion]:
    """``criterion`` and everything in it."""
    waiting = [criterion]
    while waiting:
        piece = waiting.pop()
        yield piece
        if isinstance(piece, AnyOf | AllOf):
            waiting += piece.criteria
        elif isinstance(piece, Chain | Has | Not):
            waiting.append(piece.criterion)


def _own_cost(piece: Criterion) -> int:
    if not isinstance(piece, Clause):
        return int(isinstance(piece, Chain | Has))
    kind = piece.parameter.kind
    if kind in EXACT and piece.modifier in LISTED:
        return 0
    parts = {part.kind for part in piece.parameter.components} or {kind}
    return len(piece.values) * max(COSTS.get(part, USUAL_COST) for part in parts)
