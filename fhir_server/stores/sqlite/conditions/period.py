"""Dates: every value is an interval, and a prefix says how two intervals must lie.

Source: FHIR R4 search.html#date, #prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from fhir_server.search.query import Clause, DateValue
from fhir_server.stores.sqlite.conditions.parts import (
    GREATEST,
    LEAST,
    Arm,
    Condition,
    Probe,
    Scope,
    Values,
    any_of,
)
from fhir_server.stores.sqlite.rows import WIDTHS


class Prefix(NamedTuple):
    """A comparison of ``[low, high)`` of a row with ``[s, e)`` of a value.

    ``test`` is SQL over ``{0}``, ``bind`` its values; ``low_bounds(s, e, width)`` are the least and greatest
    ``low`` that a matching row not wider than ``width`` can have.
    """

    test: str
    bind: Callable[[int, int], Values]
    low_bounds: Callable[[int, int, int], tuple[int, int]]
    by_width: bool = False


_WITHIN: Final = "{0}.low >= ? AND {0}.high <= ?"

PREFIXES: Final[dict[str, Prefix]] = {
    "eq": Prefix(_WITHIN, lambda s, e: (s, e), lambda s, e, width: (s, e)),
    "ne": Prefix(f"NOT ({_WITHIN})", lambda s, e: (s, e), lambda s, e, width: (LEAST, GREATEST)),
    "gt": Prefix("{0}.high > ?", lambda s, e: (e,), lambda s, e, width: (e - width, GREATEST), by_width=True),
    "lt": Prefix("{0}.low < ?", lambda s, e: (s,), lambda s, e, width: (LEAST, s)),
    "ge": Prefix(
        "({0}.low >= ? OR {0}.high > ?)",
        lambda s, e: (s, e),
        lambda s, e, width: (min(s, e - width), GREATEST),
        by_width=True,
    ),
    "le": Prefix("({0}.low < ? OR {0}.high <= ?)", lambda s, e: (s, e), lambda s, e, width: (LEAST, e)),
    "sa": Prefix("{0}.low >= ?", lambda s, e: (e,), lambda s, e, width: (e, GREATEST)),
    "eb": Prefix("{0}.high <= ?", lambda s, e: (s,), lambda s, e, width: (LEAST, s)),
    "co": Prefix(
        "{0}.low <= ? AND {0}.high >= ?",
        lambda s, e: (s, e),
        lambda s, e, width: (e - width, s),
        by_width=True,
    ),
    "ap": Prefix(
        "{0}.low < ? AND {0}.high > ?", lambda s, e: (e, s), lambda s, e, width: (s - width, e), by_width=True
    ),
}

_NARROW: Final = "t.key = ? AND t.span = ? AND t.low >= ? AND t.low <= ? AND "
_ANY_SPAN: Final = "t.key = ? AND t.span IN (0, 1, 2) AND t.low >= ? AND t.low <= ? AND "
_ROWS_OF: Final = "SELECT 1 FROM period p INDEXED BY period_of_resource WHERE p.rid = t.rid AND p.key = ?"
_SECONDARY: Final = "SELECT 1 FROM secondary_date WHERE key = ?"
_OF_SPAN: Final = "SELECT 1 FROM period WHERE key = ? AND span = ? LIMIT 1"
_WIDEST: Final = GREATEST


def compile(scope: Scope, clause: Clause) -> Condition:
    """``ge2026-03``, ``2026-03-02`` …"""
    keys = clause.parameter.keys
    pairs = [(key, value) for key in keys for value in clause.values]
    arms = tuple(arm for key, value in pairs for arm in _arms(key, value))
    probe = any_of([_probe(key, value) for key, value in pairs])
    if not are_primary(scope, keys):
        return Condition(arms, probe)
    latest = max(_bounds(value, 0)[1] for value in clause.values)
    earliest = _earliest(scope, keys, clause.values)
    dense = earliest is not None and len(clause.values) == 1
    return Condition(arms, probe, latest=latest, earliest=earliest, dense=dense)


def _earliest(scope: Scope, keys: tuple[int, ...], values: Sequence[DateValue]) -> int | None:
    """The least start that a matching row can have; None where rows of any width are kept."""
    width = 0
    if any(PREFIXES[value.prefix].by_width for value in values):
        kept = [_widest(scope, key) for key in keys]
        if None in kept:
            return None
        width = max(each or 0 for each in kept)
    return min(_bounds(value, width)[0] for value in values)


def _widest(scope: Scope, key: int) -> int | None:
    """The greatest width that a row of ``key`` can have; None: any."""
    if scope.connection.execute(_OF_SPAN, (key, len(WIDTHS))).fetchone():
        return None
    return WIDTHS[1] if scope.connection.execute(_OF_SPAN, (key, 1)).fetchone() else WIDTHS[0]


def are_primary(scope: Scope, keys: tuple[int, ...]) -> bool:
    """True when all values of these arms have always started at the primary date of their resource."""
    secondary = (scope.connection.execute(_SECONDARY, (key,)).fetchone() for key in keys)
    return not any(secondary)


def _arms(key: int, value: DateValue) -> list[Arm]:
    prefix = PREFIXES[value.prefix]
    test = prefix.test.format("t")
    bound = prefix.bind(value.low, value.high)
    if not prefix.by_width:
        values = (key, *_bounds(value, 0), *bound)
        return [Arm("period t", _ANY_SPAN + test, values, ordered=False, unique=False)]
    return [
        Arm(
            "period t",
            _NARROW + test,
            (key, span, *_bounds(value, width), *bound),
            ordered=False,
            unique=False,
        )
        for span, width in enumerate((*WIDTHS, _WIDEST))
    ]


def _bounds(value: DateValue, width: int) -> tuple[int, int]:
    low, high = PREFIXES[value.prefix].low_bounds(value.low, value.high, width)
    return max(low, LEAST), min(high, GREATEST)


def _probe(key: int, value: DateValue) -> Probe:
    prefix = PREFIXES[value.prefix]
    return Probe(
        f"EXISTS ({_ROWS_OF} AND {prefix.test.format('p')})", (key, *prefix.bind(value.low, value.high))
    )
