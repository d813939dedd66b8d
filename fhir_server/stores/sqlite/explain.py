"""How a search is carried out: which criterion drives, what SQLite does, how many rows that goes through.

Nothing of what the rows hold is told, and of what was asked only names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from fhir_server.search.contained import outside_only
from fhir_server.search.query import Criterion, Query
from fhir_server.store import Cost, Explanation
from fhir_server.stores.labels import MOST, label
from fhir_server.stores.sqlite.conditions.parts import Arm, Condition, Probe, Values, count_upto
from fhir_server.stores.sqlite.plan import flat
from fhir_server.stores.sqlite.search import Search
from fhir_server.stores.sqlite.sorting import Sorting


def explain(connection: sqlite3.Connection, search: Search) -> Explanation:
    """Carry out the first page of ``search`` and tell how. The connection is in a transaction, for reading."""
    plan, query = search.plan, search.query
    arms, probes = plan.complete() if query.sort else plan.in_order()
    criteria = zip(flat(query.clauses), plan.conditions, strict=True)
    costs = [_cost(connection, criterion, condition) for criterion, condition in criteria]
    driver = next(
        (number for number, each in enumerate(plan.conditions) if _drives(each.probe, probes)), None
    )
    steps = _steps(connection, search)
    started = perf_counter()
    rows = search.rows()
    spent = perf_counter() - started
    return Explanation(
        type=query.type,
        costs=tuple(costs),
        driver=driver,
        source=_tables(arms),
        visited=_visited(connection, query, arms, rows),
        found=min(len(rows), query.count),
        seconds=spent,
        steps=tuple(steps),
    )


def _cost(connection: sqlite3.Connection, criterion: Criterion, condition: Condition) -> Cost:
    name, arms = label(outside_only(criterion)), condition.arms
    return Cost(name, _tables(arms), count_upto(connection, arms, MOST) if arms else None)


def _drives(probe: Probe, probes: Sequence[Probe]) -> bool:
    return not any(probe is each for each in probes)


def _tables(arms: Sequence[Arm]) -> str:
    return ", ".join(dict.fromkeys(arm.table.split(" ")[-2] for arm in arms))


def _steps(connection: sqlite3.Connection, search: Search) -> list[str]:
    """What SQLite says of each statement of the page."""
    found: list[str] = []
    for text, values in _statements(search):
        found += [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    return found


def _statements(search: Search) -> list[tuple[str, Values]]:
    query = search.query
    if not query.sort:
        return [search.newest_first().bound]
    phases = Sorting(search.plan, query.sort).phases(None)
    return [(f"{text} LIMIT ?", (*values, query.count + 1)) for text, values in phases]


def _visited(
    connection: sqlite3.Connection, query: Query, arms: Sequence[Arm], rows: Sequence[Sequence[Any]]
) -> int:
    """The rows that what drives went through: in default order only those up to the last one that was wanted."""
    if not query.sort and len(rows) > query.count and all(arm.ordered for arm in arms):
        place = tuple(rows[-1][-2:])
        arms = [
            arm._replace(where=f"{arm.where} AND (t.date, t.rid) >= (?, ?)", values=(*arm.values, *place))
            for arm in arms
        ]
    return count_upto(connection, arms, MOST)
