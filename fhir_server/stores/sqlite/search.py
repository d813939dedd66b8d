"""A query on its way through SQLite: its page, in default order or sorted, and its total.

A page is cut by its last row's place in the order, not by an offset, so that writes between two pages
neither repeat nor lose what did not change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from fhir_server.search.query import Query
from fhir_server.stores.sqlite.conditions.parts import Probe
from fhir_server.stores.sqlite.cursor import read_cursor, write_cursor
from fhir_server.stores.sqlite.plan import Plan, candidates
from fhir_server.stores.sqlite.sorting import Sorting
from fhir_server.stores.sqlite.symbols import Symbols

Row = tuple[Any, ...]

RECORD: Final = "r.id, r.version, r.updated, r.method, r.content, r.sequence"
WIDTH: Final = 6
"""Columns of RECORD; they come first in every row."""


class Search:
    """One query on one connection."""

    def __init__(self, connection: sqlite3.Connection, symbols: Symbols, query: Query) -> None:
        self._connection = connection
        self._query = query
        self._plan = Plan(connection, symbols, query)

    def page(self) -> tuple[list[Row], str | None]:
        """The rows of a page (the columns of Reader.record after the type) and the cursor of the next."""
        query = self._query
        context = " ".join([query.type, *[f"{key.parameter.code}/{key.descending}" for key in query.sort]])
        position = read_cursor(context, query.cursor) if query.cursor else None
        if query.count <= 0:
            return [], None
        rows = self._sorted(position) if query.sort else self._newest_first(position)
        if len(rows) <= query.count:
            return [row[:WIDTH] for row in rows], None
        rows = rows[: query.count]
        return [row[:WIDTH] for row in rows], write_cursor(context, rows[-1][WIDTH:])

    def total(self) -> int:
        """How many resources match."""
        text, values = candidates(*self._plan.complete())
        found: int = self._connection.execute(f"SELECT count(*) FROM ({text})", values).fetchone()[0]  # noqa: S608
        return found

    def _newest_first(self, position: Sequence[Any] | None) -> list[Row]:
        arms, probes = self._plan.in_order()
        if position is not None:
            probes = [*probes, Probe("(t.date, t.rid) < (?, ?)", tuple(position))]
        text, values = candidates(arms, probes)
        statement = (
            f"SELECT {RECORD}, d.date, d.rid FROM ({text} ORDER BY date DESC, rid DESC LIMIT ?) d "  # noqa: S608
            "CROSS JOIN resource r ON r.rid = d.rid"
        )
        rows = self._connection.execute(statement, (*values, self._query.count + 1)).fetchall()
        rows.sort(key=itemgetter(WIDTH, WIDTH + 1), reverse=True)
        return rows

    def _sorted(self, position: Sequence[Any] | None) -> list[Row]:
        limit = self._query.count + 1
        sorting = Sorting(self._plan, self._query.sort)
        names = ", ".join(f"d.{name}" for name in sorting.names)
        rows: list[Row] = []
        for text, values in sorting.phases(position):
            statement = (
                f"SELECT {RECORD}, {names} FROM ({text} LIMIT ?) d "  # noqa: S608
                f"CROSS JOIN resource r ON r.rid = d.rid ORDER BY {sorting.order('d.')}"
            )
            rows += self._connection.execute(statement, (*values, limit - len(rows))).fetchall()
            if len(rows) == limit:
                break
        return rows
