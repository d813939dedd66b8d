"""Clause → test: one file per way of keeping values, found through a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import Clause
from fhir_server.stores.mongo.conditions import (
    absence,
    column,
    composite,
    number,
    period,
    position,
    string,
    term,
)
from fhir_server.stores.mongo.conditions.parts import Test, negated

Compiler = Callable[[str, Clause], Test]
"""From the type that is searched, and the clause."""

KINDS: Final[Mapping[str, Compiler]] = {
    "token": term.token,
    "reference": term.reference,
    "uri": term.uri,
    "string": string.starts,
    "date": period.compile,
    "number": number.number,
    "quantity": number.quantity,
    "composite": composite.compile,
    "special": position.compile,
}
COLUMNS: Final[Mapping[str, Compiler]] = {"id": column.id, "updated": column.updated}
MODIFIERS: Final[Mapping[tuple[str, str], Compiler]] = {
    **{("string", name): compiler for name, compiler in string.MODIFIERS.items()},
    ("token", "differs"): term.differs,
    ("uri", "below"): term.below,
}


def compile_clause(type: str, clause: Clause) -> Test:
    """The test of ``clause``, which is not about texts. Raises InvalidSearch for a modifier that this store does not
    know."""
    if clause.modifier == "missing":
        return absence.missing(type, clause)
    if clause.modifier == "not":
        return negated(_positive(type, Clause(clause.parameter, None, clause.values)))
    return _positive(type, clause)


def _positive(type: str, clause: Clause) -> Test:
    parameter = clause.parameter
    if parameter.column:
        return COLUMNS[parameter.column](type, clause)
    if clause.modifier is None:
        return KINDS[parameter.kind](type, clause)
    compiler = MODIFIERS.get((parameter.kind, clause.modifier))
    if compiler is None:
        raise InvalidSearch(
            f"the modifier :{clause.modifier} is not supported for {parameter.code}",
            code="not-supported",
            expression=f"http.{parameter.code}:{clause.modifier}",
        )
    return compiler(type, clause)
