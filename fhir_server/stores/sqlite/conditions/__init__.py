"""Clause → condition: one file per way of keeping values, found through a table."""

from __future__ import annotations

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import Clause
from fhir_server.search.types import fulltext
from fhir_server.stores.sqlite.conditions import (
    absence,
    column,
    composite,
    number,
    period,
    position,
    string,
    term,
    words,
)
from fhir_server.stores.sqlite.conditions.parts import Compiler, Condition, Scope

KINDS: dict[str, Compiler] = {
    "token": term.token,
    "reference": term.reference,
    "uri": term.uri,
    "string": string.compile,
    "date": period.compile,
    "number": number.number,
    "quantity": number.quantity,
    "composite": composite.compile,
    "special": position.compile,
}
COLUMNS: dict[str, Compiler] = {"id": column.id, "updated": column.updated}
MODIFIERS: dict[tuple[str, str], Compiler] = {
    ("string", "exact"): string.exact,
    ("string", "contains"): string.contains,
    ("string", "equals"): string.equals,
    ("string", "differs"): string.differs,
    ("token", "differs"): term.differs,
    ("string", "ends"): string.ends,
    ("string", "gt"): string.compared(">"),
    ("string", "ge"): string.compared(">="),
    ("string", "lt"): string.compared("<"),
    ("string", "le"): string.compared("<="),
    ("uri", "below"): term.below,
}


def compile_clause(scope: Scope, clause: Clause) -> Condition:
    """The condition of ``clause``. Raises InvalidSearch for a modifier that this store does not know."""
    if clause.modifier == "missing":
        return absence.missing(scope, clause)
    if clause.modifier == fulltext.MODIFIER:
        return words.compile(scope, clause)
    if clause.modifier == "not":
        return absence.negated(_positive(scope, Clause(clause.parameter, None, clause.values)))
    return _positive(scope, clause)


def _positive(scope: Scope, clause: Clause) -> Condition:
    parameter = clause.parameter
    if parameter.column:
        return COLUMNS[parameter.column](scope, clause)
    if clause.modifier is None:
        return KINDS[parameter.kind](scope, clause)
    compiler = MODIFIERS.get((parameter.kind, clause.modifier))
    if compiler is None:
        raise InvalidSearch(
            f"the modifier :{clause.modifier} is not supported for {parameter.code}",
            code="not-supported",
            expression=f"http.{parameter.code}:{clause.modifier}",
        )
    return compiler(scope, clause)
