"""Composites: all parts in one row of the table ``composite``.

Source: FHIR R4 search.html#composite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fhir_server.search.query import Clause, CompositeValue
from fhir_server.search.registry import SearchParameter
from fhir_server.stores.sqlite.conditions import number, period
from fhir_server.stores.sqlite.conditions.parts import LAST, Arm, Condition, Probe, Scope, any_of

PartCompiler = Callable[[Scope, SearchParameter, Any], Probe]


def compile(scope: Scope, clause: Clause) -> Condition:
    """``code$value`` and its relatives."""
    pairs = [(key, value) for key in clause.parameter.keys for value in clause.values]
    made = [_row(scope, clause.parameter, key, value) for key, value in pairs]
    return Condition(tuple(arm for arm, _ in made), any_of([probe for _, probe in made]))


def _row(scope: Scope, parameter: SearchParameter, key: int, value: CompositeValue) -> tuple[Arm, Probe]:
    tests = [
        _numbered(PARTS[component.kind](scope, component, part), place)
        for place, (component, part) in enumerate(zip(parameter.components, value.parts, strict=True), 1)
    ]
    where = " AND ".join(f"({test.where})" for test in tests)
    values = (key, *(each for test in tests for each in test.values))
    leads = tests[0].where.startswith("{0}.text = ?")
    found = f"t.key = ? AND {where}".replace("{0}", "t")
    arm = Arm("composite t", found, values, ordered=leads, unique=False)
    row = f"p.key = ? AND {where}".replace("{0}", "p")
    if not leads:
        return arm, Probe(f"t.rid IN (SELECT rid FROM composite p WHERE {row})", values)  # noqa: S608
    same = f"{row} AND p.date = t.date AND p.rid = t.rid"
    return arm, Probe(f"EXISTS (SELECT 1 FROM composite p WHERE {same})", values)  # noqa: S608


def _numbered(test: Probe, place: int) -> Probe:
    where = test.where
    if place > 1:
        for column in ("text", "extra", "low", "high"):
            where = where.replace(f"{{0}}.{column}", f"{{0}}.{column}{place}")
    return Probe(where, test.values)


def _token(scope: Scope, parameter: SearchParameter, value: Any) -> Probe:
    pieces, values = [], []
    if value.code is not None:
        pieces.append("{0}.text = ?")
        values.append(value.code)
    if value.system is not None:
        pieces.append("{0}.extra = ?")
        values.append(scope.number(value.system))
    return Probe(" AND ".join(pieces), tuple(values))


def _reference(scope: Scope, parameter: SearchParameter, value: Any) -> Probe:
    if value.type is None:
        return Probe("{0}.text = ?", (value.id,))
    return Probe("{0}.text = ? AND {0}.extra = ?", (value.id, scope.number(value.type)))


def _date(scope: Scope, parameter: SearchParameter, value: Any) -> Probe:
    prefix = period.PREFIXES[value.prefix]
    return Probe(prefix.test, prefix.bind(value.low, value.high))


PARTS: Final[dict[str, PartCompiler]] = {
    "token": _token,
    "reference": _reference,
    "string": lambda scope, parameter, value: Probe(
        "{0}.text >= ? AND {0}.text < ?", (value.text, value.text + LAST)
    ),
    "uri": lambda scope, parameter, value: Probe("{0}.text = ?", (value.uri,)),
    "date": _date,
    "number": lambda scope, parameter, value: number.number_test(value),
    "quantity": lambda scope, parameter, value: number.quantity_test(scope, value),
}
