"""How many resources match: counted, remembered, or estimated.

Counting goes through every match, so what was counted is kept until a resource of one of the types that the query
looks at is written. The same search comes with the same Query object (see ``prepared``).
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

import orjson

from fhir_server.search.query import Query
from fhir_server.stores.sqlite.plan import Plan, candidates
from fhir_server.stores.sqlite.stamps import Stamp, stamp_of
from fhir_server.stores.sqlite.symbols import UNKNOWN, Symbols
from fhir_server.stores.stamps import may_remember, types_of

MOST: Final = 2_048
EXACT: Final = 20_000
"""An estimate counts so far; beyond that it goes by a sample."""
SAMPLE: Final = 1_000

_GREATEST: Final = "SELECT ifnull(max(rid), 0) FROM resource"


class Counted(NamedTuple):
    """``total`` of ``query`` when the last writes of its types were those of ``stamp``."""

    query: Query
    types: tuple[str, ...]
    stamp: Stamp
    total: int


class Totals:
    """What was counted, by the id of a Query. Two threads may use it: at worst something is counted twice."""

    def __init__(self) -> None:
        self._counted: dict[int, Counted] = {}

    def recall(self, connection: sqlite3.Connection, symbols: Symbols, query: Query) -> int | None:
        """The total of this very object, if nothing was written since that could change it."""
        known = self._counted.get(id(query))
        if known is None or known.query is not query:
            return None
        return known.total if known.stamp == stamp_of(connection, symbols, known.types) else None

    def keep(self, connection: sqlite3.Connection, symbols: Symbols, query: Query, total: int) -> None:
        """Keep what was counted in the snapshot that ``connection`` sees."""
        if not may_remember(query):
            return
        if len(self._counted) >= MOST:
            self._counted.clear()
        types = types_of(query)
        self._counted[id(query)] = Counted(query, types, stamp_of(connection, symbols, types), total)


# ── counting ──────────────────────────────────────────────────────────────────


def count(plan: Plan, most: int | None = None) -> int:
    """How many resources match, counted no further than ``most``."""
    text, values = candidates(*plan.complete())
    if most is not None:
        text, values = f"{text} LIMIT ?", (*values, most)
    statement = f"SELECT count(*) FROM ({text})"  # noqa: S608
    found: int = plan.connection.execute(statement, values).fetchone()[0]
    return found


def estimate(plan: Plan) -> int:
    """How many resources match: exactly when they are few, else by looking at a sample of all resources."""
    found = count(plan, EXACT + 1)
    if found <= EXACT or plan.scope.tid == UNKNOWN:
        return found
    greatest: int = plan.connection.execute(_GREATEST).fetchone()[0]
    where = "".join([f" AND {probe.where}" for probe in plan.probes])
    values = tuple(value for probe in plan.probes for value in probe.values)
    statement = (
        "SELECT count(*) FROM json_each(?) v CROSS JOIN resource t ON t.rid = v.value "  # noqa: S608
        f"WHERE t.tid = ? AND t.method > 0{where}"
    )
    sample = orjson.dumps(_spread(greatest)).decode()
    hits: int = plan.connection.execute(statement, (sample, plan.scope.tid, *values)).fetchone()[0]
    return max(found, hits * greatest // SAMPLE)


def _spread(greatest: int) -> list[int]:
    """SAMPLE numbers from 1 to ``greatest``, always the same, in no step that data could have."""
    return [1 + number * 2_654_435_761 % greatest for number in range(1, SAMPLE + 1)]
