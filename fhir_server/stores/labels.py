"""What a search is made of, in words, for those who are told how it is carried out."""

from __future__ import annotations

from typing import Final

from fhir_server.search.query import AllOf, AnyOf, Chain, Clause, Criterion, Has

MOST: Final = 100_000
"""Rows are counted so far."""
NAMED: Final = 3


def label(criterion: Criterion) -> str:
    """``criterion`` by its names, without values."""
    match criterion:
        case Clause():
            return f"{criterion.parameter.code}:{criterion.modifier}".removesuffix(":None")
        case Chain():
            return f"{criterion.parameter.code}:{criterion.type}.{label(criterion.criterion)}"
        case Has():
            return f"_has:{criterion.type}:{criterion.parameter.code}:{label(criterion.criterion)}"
        case AnyOf() | AllOf():
            word = " or " if isinstance(criterion, AnyOf) else " and "
            more = " …" if len(criterion.criteria) > NAMED else ""
            return f"({word.join(map(label, criterion.criteria[:NAMED]))}{more})"
        case _:
            return f"not {label(criterion.criterion)}"
