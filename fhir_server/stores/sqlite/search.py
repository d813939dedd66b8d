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
from fhir_server.stores.sqlite.prepared import Prepared
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
        self.plan = Plan(connection, symbols, query)

    def page(self) -> tuple[list[Row], str | None]:
        """The rows of a page (the columns of Reader.record after the type) and the cursor of the next."""
        query = self._query
        position = read_cursor(_context(query), query.cursor) if query.cursor else None
        if query.count <= 0:
            return [], None
        if query.sort:
            return _cut(query, self._sorted(position))
        return first_page(self._connection, self.newest_first(position))

    def total(self) -> int:
        """How many resources match."""
        text, values = candidates(*self.plan.complete())
        found: int = self._connection.execute(f"SELECT count(*) FROM ({text})", values).fetchone()[0]  # noqa: S608
        return found

    def newest_first(self, position: Sequence[Any] | None = None) -> Prepared:
        """The statement of a page in default order, after ``position``."""
        arms, probes = self.plan.in_order()
        if position is not None:
            probes = [*probes, Probe("(t.date, t.rid) < (?, ?)", tuple(position))]
        text, values = candidates(arms, probes)
        statement = (
            f"SELECT {RECORD}, d.date, d.rid FROM ({text} ORDER BY date DESC, rid DESC LIMIT ?) d "  # noqa: S608
            "CROSS JOIN resource r ON r.rid = d.rid"
        )
        return Prepared(self._query, statement, values)

    def _sorted(self, position: Sequence[Any] | None) -> list[Row]:
        sorting = Sorting(self.plan, self._query.sort)
        if sorting.is_newest_first and (position is None or position[-2] > 0):
            dated = self._dated(position)
            if dated is not None:
                return dated
        limit = self._query.count + 1
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

    def _dated(self, position: Sequence[Any] | None) -> list[Row] | None:
        """The page sorted by the primary date, newest first, which is the default order.

        None when it reaches dates before 1970 or resources without one (date 0): there the two differ.
        """
        page = self.newest_first(position[-2:] if position else None)
        rows = _fetched(self._connection, page)
        if rows and rows[-1][WIDTH] <= 0:
            return None
        return [(*row[: WIDTH + 1], *row[WIDTH:]) for row in rows]


def first_page(connection: sqlite3.Connection, prepared: Prepared) -> tuple[list[Row], str | None]:
    """Run a statement of ``Search.newest_first``."""
    return _cut(prepared.query, _fetched(connection, prepared))


def _fetched(connection: sqlite3.Connection, prepared: Prepared) -> list[Row]:
    query, statement, values = prepared
    rows = connection.execute(statement, (*values, query.count + 1)).fetchall()
    rows.sort(key=_PLACE, reverse=True)
    return rows


_PLACE: Final = itemgetter(WIDTH, WIDTH + 1)


def _cut(query: Query, rows: list[Row]) -> tuple[list[Row], str | None]:
    """A page of rows of which there may be one too many, and the cursor of the next page."""
    if len(rows) <= query.count:
        return [row[:WIDTH] for row in rows], None
    rows = rows[: query.count]
    return [row[:WIDTH] for row in rows], write_cursor(_context(query), rows[-1][WIDTH:])


def _context(query: Query) -> str:
    """What a cursor belongs to."""
    return " ".join([query.type, *[f"{key.parameter.code}/{key.descending}" for key in query.sort]])
