"""``_id`` and ``_lastUpdated``: columns of every resource.

Source: FHIR R4 search.html#id, #lastUpdated.
"""

from __future__ import annotations

from typing import Final

import orjson

from fhir_server.search.query import Clause
from fhir_server.stores.sqlite.conditions.parts import GREATEST, LEAST, Arm, Condition, Probe, Scope, any_of
from fhir_server.stores.sqlite.conditions.period import PREFIXES

_IDS: Final = "{0}.tid = ? AND {0}.id IN (SELECT value FROM json_each(?)) AND {0}.method > 0"
_UPDATED: Final = "t.tid = ? AND t.method > 0 AND t.updated >= ? AND t.updated <= ? AND "


def id(scope: Scope, clause: Clause) -> Condition:
    """``_id=1,2``."""
    values = (scope.tid, orjson.dumps([value.code for value in clause.values]).decode())
    arm = Arm("resource t", _IDS.format("t"), values, ordered=False, unique=True)
    probe = Probe(f"t.rid IN (SELECT rid FROM resource p WHERE {_IDS.format('p')})", values)  # noqa: S608
    return Condition((arm,), probe, rank=0)


def updated(scope: Scope, clause: Clause) -> Condition:
    """``_lastUpdated=ge2026-03-02``: an instant, one microsecond wide."""
    arms, probes = [], []
    for value in clause.values:
        prefix = PREFIXES[value.prefix]
        low, high = prefix.low_bounds(value.low, value.high, 1)
        bound = prefix.bind(value.low, value.high)
        values = (scope.tid, max(low, LEAST), min(high, GREATEST), *bound)
        arms.append(
            Arm("resource t", _UPDATED + _instant(prefix.test, "t"), values, ordered=False, unique=True)
        )
        where = f"EXISTS (SELECT 1 FROM resource p WHERE p.rid = t.rid AND {_instant(prefix.test, 'p')})"  # noqa: S608
        probes.append(Probe(where, bound))
    return Condition(tuple(arms), any_of(probes))


def _instant(test: str, alias: str) -> str:
    return test.replace("{0}.low", f"{alias}.updated").replace("{0}.high", f"({alias}.updated + 1)")
