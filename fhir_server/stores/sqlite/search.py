"""A query on its way through SQLite: which clause drives, which only test, in which order, from where on.

One clause finds candidates (its *arms*), the others test each candidate with a probe of an exact
key. A clause that is known to be narrow drives at once; otherwise the clauses are counted, but no
further than to FEW or MANY, so that no combination costs more than walking the type once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from fhir_server.search.query import Query
from fhir_server.stores.sqlite.conditions import compile_clause
from fhir_server.stores.sqlite.conditions.parts import Arm, Condition, Probe, Scope, count_upto
from fhir_server.stores.sqlite.cursor import read_cursor, write_cursor
from fhir_server.stores.sqlite.symbols import Symbols

FEW: Final = 200
MANY: Final = 20_000

Row = tuple[Any, ...]

_RECORD: Final = "r.id, r.version, r.updated, r.method, r.content, r.sequence"


class Search:
    """One query on one connection."""

    def __init__(self, connection: sqlite3.Connection, symbols: Symbols, query: Query) -> None:
        self._connection = connection
        self._query = query
        self._scope = Scope(connection, symbols, symbols.find(connection, query.type))
        self._conditions = [compile_clause(self._scope, clause) for clause in query.clauses]

    def page(self) -> tuple[list[Row], str | None]:
        """The rows of a page (the columns of Reader.record after the type) and the cursor of the next."""
        count = self._query.count
        if count <= 0:
            return [], None
        rows = self._newest_first(count + 1)
        following = None
        if len(rows) > count:
            rows = rows[:count]
            following = write_cursor(self._context, rows[-1][:2])
        return [row[2:] for row in rows], following

    def total(self) -> int:
        """How many resources match."""
        arms, probes = self._plan(ordered=False)
        if len(arms) == 1 and arms[0].unique:
            statement, values = _select("count(*)", arms[0], probes)
        else:
            parts = [_select("t.rid", arm, probes) for arm in arms]
            statement = f"SELECT count(*) FROM ({' UNION '.join(text for text, _ in parts)})"  # noqa: S608
            values = tuple(value for _, some in parts for value in some)
            if len(parts) == 1:
                statement = statement.replace("(SELECT t.rid", "(SELECT DISTINCT t.rid", 1)
        found: int = self._connection.execute(statement, values).fetchone()[0]
        return found

    @property
    def _context(self) -> str:
        return f"{self._query.type} newest"

    def _newest_first(self, limit: int) -> list[Row]:
        arms, probes = self._plan(ordered=True)
        if self._query.cursor:
            date, rid = read_cursor(self._context, self._query.cursor)
            probes = [*probes, Probe("(t.date, t.rid) < (?, ?)", (date, rid))]
        parts = [_select("t.date AS date, t.rid AS rid", arm, probes) for arm in arms]
        distinct = len(parts) == 1 and not arms[0].unique
        text = " UNION ".join(text for text, _ in parts)
        if distinct:
            text = text.replace("SELECT", "SELECT DISTINCT", 1)
        statement = (
            f"SELECT d.date, d.rid, {_RECORD} FROM ({text} ORDER BY date DESC, rid DESC LIMIT ?) d "  # noqa: S608
            "CROSS JOIN resource r ON r.rid = d.rid"
        )
        values = tuple(value for _, some in parts for value in some)
        rows = self._connection.execute(statement, (*values, limit)).fetchall()
        rows.sort(key=itemgetter(0, 1), reverse=True)
        return rows

    def _plan(self, *, ordered: bool) -> tuple[Sequence[Arm], list[Probe]]:
        """The arms that drive and the probes that test what they find."""
        driver = self._driver(ordered)
        probes = [condition.probe for condition in self._conditions if condition is not driver]
        if driver is not None:
            return driver.arms, probes
        latest = [condition.latest for condition in self._conditions if condition.latest is not None]
        if not latest:
            return [Arm("live t", "t.tid = ?", (self._scope.tid,), ordered=True, unique=True)], probes
        where, values = "t.tid = ? AND t.date <= ?", (self._scope.tid, min(latest))
        return [Arm("live t", where, values, ordered=True, unique=True)], probes

    def _driver(self, ordered: bool) -> Condition | None:
        """The condition to start from; None: walk all of the type. ``ordered``: a page is wanted, not everything."""
        able = sorted((each for each in self._conditions if each.arms), key=lambda each: each.rank)
        if not able or able[0].rank < 2:
            return able[0] if able else None
        if len(able) == 1 and (not ordered or _is_ordered(able[0])):
            return able[0]
        counts = []
        for limit in (FEW, MANY):
            counts = [count_upto(self._connection, each.arms, limit) for each in able]
            if min(counts) < limit:
                return able[counts.index(min(counts))]
        return next((each for each in able if _is_ordered(each)), None if ordered else able[0])


def _is_ordered(condition: Condition) -> bool:
    return all(arm.ordered for arm in condition.arms)


def _select(columns: str, arm: Arm, probes: Sequence[Probe]) -> tuple[str, Row]:
    where = " AND ".join([arm.where, *(probe.where for probe in probes)])
    values = arm.values + tuple(value for probe in probes for value in probe.values)
    return f"SELECT {columns} FROM {arm.table} WHERE {where}", values  # noqa: S608
