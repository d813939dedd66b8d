"""Numbers and quantities.

``eq``, ``ne`` and ``ap`` look at the range that the typed precision implies; the other prefixes take the
number as exact. A quantity that is asked for in several units is looked for in those that some row has.
Source: FHIR R4 search.html#number, #quantity, #prefix.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, NamedTuple

import orjson

from fhir_server.search.query import Clause, NumberValue, QuantityValue
from fhir_server.stores.sqlite.conditions.parts import Arm, Condition, Probe, Scope, Values, any_of


class Prefix(NamedTuple):
    """``test`` is SQL over ``{0}``, ``bind`` its values; ``low_bounds`` those of ``low`` in a matching plain value."""

    test: str
    bind: Callable[[NumberValue], Values]
    low_bounds: Callable[[NumberValue], tuple[float, float]]


_WITHIN: Final = "{0}.low >= ? AND {0}.high < ?"

PREFIXES: Final[dict[str, Prefix]] = {
    "eq": Prefix(_WITHIN, lambda n: (n.low, n.high), lambda n: (n.low, n.high)),
    "ne": Prefix(f"NOT ({_WITHIN})", lambda n: (n.low, n.high), lambda n: (-inf, inf)),
    "gt": Prefix("{0}.high > ?", lambda n: (n.value,), lambda n: (n.value, inf)),
    "lt": Prefix("{0}.low < ?", lambda n: (n.value,), lambda n: (-inf, n.value)),
    "ge": Prefix("{0}.high >= ?", lambda n: (n.value,), lambda n: (n.value, inf)),
    "le": Prefix("{0}.low <= ?", lambda n: (n.value,), lambda n: (-inf, n.value)),
    "sa": Prefix("{0}.low > ?", lambda n: (n.value,), lambda n: (n.value, inf)),
    "eb": Prefix("{0}.high < ?", lambda n: (n.value,), lambda n: (-inf, n.value)),
    "ap": Prefix("{0}.low < ? AND {0}.high >= ?", lambda n: (n.high, n.low), lambda n: (n.low, n.high)),
}

_KNOWN: Final = "SELECT s.text FROM json_each(?) v CROSS JOIN symbol s ON s.text = v.value"
_PLAIN: Final = "t.key = ? AND t.span = 0 AND t.low >= ? AND t.low <= ? AND "
_RANGE: Final = "t.key = ? AND t.span = 1 AND "
_ROWS_OF: Final = (
    "SELECT 1 FROM number p INDEXED BY number_of_resource WHERE p.rid = t.rid AND p.key = ? AND "
)


def number(scope: Scope, clause: Clause) -> Condition:
    """``0.8``, ``gt100`` …"""
    return _compile(clause, [number_test(value) for value in clause.values], list(clause.values))


def quantity(scope: Scope, clause: Clause) -> Condition:
    """``5.4|http://unitsofmeasure.org|mg``, ``5.4||mg``, ``gt5.4``."""
    values = [each for value in clause.values for each in _in_known_units(scope, value)]
    return _compile(clause, [_unit_test(scope, each) for each in values], [each.number for each in values])


def number_test(value: NumberValue) -> Probe:
    """The test of a row ``{0}`` for ``value``."""
    prefix = PREFIXES[value.prefix]
    return Probe(prefix.test, prefix.bind(value))


def quantity_test(scope: Scope, value: QuantityValue) -> Probe:
    """The test of a row ``{0}`` for ``value``, in whichever of its units."""
    return any_of([_unit_test(scope, each) for each in _in_known_units(scope, value)])


def _in_known_units(scope: Scope, value: QuantityValue) -> list[QuantityValue]:
    if not value.others:
        return [value]
    units = orjson.dumps([other.code for other in value.others]).decode()
    known = {text for (text,) in scope.connection.execute(_KNOWN, (units,))}
    return [value, *(other for other in value.others if other.code in known)]


def _unit_test(scope: Scope, value: QuantityValue) -> Probe:
    where, values = number_test(value.number)
    if value.system is not None:
        where, values = f"{where} AND {{0}}.extra = ?", (*values, scope.number(value.system))
    if value.code is not None:
        where, values = f"{where} AND {{0}}.text = ?", (*values, value.code)
    return Probe(where, values)


def _compile(clause: Clause, tests: list[Probe], numbers: list[NumberValue]) -> Condition:
    arms, probes = [], []
    for key in clause.parameter.keys:
        for (test, values), value in zip(tests, numbers, strict=True):
            here = test.format("t")
            bounds = PREFIXES[value.prefix].low_bounds(value)
            arms.append(Arm("number t", _PLAIN + here, (key, *bounds, *values), ordered=False, unique=False))
            arms.append(Arm("number t", _RANGE + here, (key, *values), ordered=False, unique=False))
        where, values = any_of(tests)
        probes.append(Probe(f"EXISTS ({_ROWS_OF}{where.format('p')})", (key, *values)))
    return Condition(tuple(arms), any_of(probes))
