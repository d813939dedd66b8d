"""A query on its way through SQLite: the rows of a page, in default order or sorted, and its total.

A page is cut by its last row's place in the order, not by an offset. The pages after the first one show the
moment of the first one (``past``), so writers in between neither repeat, lose nor add anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import Query
from fhir_server.stores.cursor import DAMAGED, Place, context_of, write_cursor
from fhir_server.stores.pages import arrange, following
from fhir_server.stores.sqlite.conditions.parts import Probe
from fhir_server.stores.sqlite.moment import Moment, Then, moment_of
from fhir_server.stores.sqlite.past import Past
from fhir_server.stores.sqlite.plan import Plan, candidates
from fhir_server.stores.sqlite.prepared import Prepared
from fhir_server.stores.sqlite.sorting import Sorting
from fhir_server.stores.sqlite.symbols import Symbols
from fhir_server.stores.sqlite.totals import count, estimate

Row = tuple[Any, ...]

RECORD: Final = "r.id, r.version, r.updated, r.method, r.content, r.sequence"
WIDTH: Final = 6
"""Columns of RECORD; they come first in every row, the values of the sort keys, date and rid after them."""

_VERSION: Final = (
    "SELECT r.id, h.version, h.updated, h.method, h.content, h.sequence "
    "FROM history h CROSS JOIN resource r ON r.rid = h.rid WHERE h.sequence = ?"
)


class Search:
    """One query on one connection; ``then``: as the store was at that moment, of what has not changed since."""

    def __init__(
        self, connection: sqlite3.Connection, symbols: Symbols, query: Query, then: Then | None = None
    ) -> None:
        self.query = query
        self._connection = connection
        self.plan = Plan(connection, symbols, query, then)

    def rows(self, position: Sequence[Any] | None = None) -> list[Row]:
        """A page after ``position`` and, when more follows, one row too many."""
        if self.query.sort:
            return self._sorted(position)
        return _by_place(self._connection.execute(*self.newest_first(position).bound).fetchall())

    def total(self) -> int:
        """How many resources match; an estimate when that is what the query wants."""
        return estimate(self.plan) if self.query.total == "estimate" else count(self.plan)

    def exists(self) -> bool:
        """Whether any resource matches."""
        text, values = candidates(*self.plan.complete())
        return bool(self._connection.execute(f"SELECT EXISTS ({text})", values).fetchone()[0])

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
        return Prepared(self.query, statement, values)

    def _sorted(self, position: Sequence[Any] | None) -> list[Row]:
        sorting = Sorting(self.plan, self.query.sort)
        if sorting.is_newest_first and (position is None or position[-2] > 0):
            dated = self._dated(position)
            if dated is not None:
                return dated
        limit = self.query.count + 1
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
        rows = _by_place(self._connection.execute(*page.bound).fetchall())
        if rows and rows[-1][WIDTH] <= 0:
            return None
        return [(*row[: WIDTH + 1], *row[WIDTH:]) for row in rows]


# ── pages ─────────────────────────────────────────────────────────────────────


class Cut(NamedTuple):
    """A page: its rows (the columns of RECORD first), the cursor of the next page, the total when it was asked for."""

    rows: list[Row]
    next: str | None
    total: int | None


def first_page(connection: sqlite3.Connection, prepared: Prepared, total: Callable[[], int]) -> Cut:
    """Run a statement of ``Search.newest_first``; ``total`` counts what matches on all pages."""
    query = prepared.query
    cursor = connection.execute(*prepared.bound)
    rows = cursor.fetchmany(query.count)
    if len(rows) < query.count:
        return _whole(query, _by_place(rows))
    # One row is left, so the statement is under way and what is asked now sees what it sees.
    moment, counted = moment_of(connection), _counted(query, total)
    left = cursor.fetchall()
    if not left:
        return _whole(query, _by_place(rows))
    return _cut(query, _by_place(rows + left), moment, counted)


def sorted_page(connection: sqlite3.Connection, search: Search) -> Cut:
    """The first page of a query with sort keys. The connection is in a transaction, if only a reading one."""
    query = search.query
    rows = search.rows()
    if len(rows) <= query.count:
        return _whole(query, rows)
    return _cut(query, rows, moment_of(connection), _counted(query, search.total))


def later_page(connection: sqlite3.Connection, search: Search, past: Past, place: Place) -> Cut:
    """The page at ``place``, as of ``past``; ``search`` looks at the same. The connection is in a transaction."""
    return _cut(search.query, rows_as_of(connection, search, past, place), past.moment, place.total)


def rows_as_of(connection: sqlite3.Connection, search: Search, past: Past, place: Place) -> list[Row]:
    """What ``later_page`` takes its page from: in order, and at least one row more when more follows."""
    query = search.query
    if len(place.keys) != len(query.sort) + 2:
        raise InvalidSearch(DAMAGED)
    try:
        rows = search.rows(place.keys)
        old = following(query.sort, place, past.matching(query))
        for each in old[: query.count + 1]:
            version = connection.execute(_VERSION, each[-1:]).fetchone()
            if version is not None:  # else it was purged
                rows.append((*version, *each[:-1]))
        if old:
            arrange(rows, query.sort, WIDTH)
    except TypeError as error:
        raise InvalidSearch(DAMAGED) from error
    return rows


def _counted(query: Query, total: Callable[[], int]) -> int | None:
    return total() if query.total != "none" else None


def _whole(query: Query, rows: list[Row]) -> Cut:
    """The only page."""
    return Cut(rows, None, len(rows) if query.total != "none" else None)


def _cut(query: Query, rows: list[Row], moment: Moment, total: int | None) -> Cut:
    """A page of rows of which there may be one or more too many."""
    if len(rows) <= query.count:
        return Cut(rows, None, total)
    place = Place(*moment, total, list(rows[query.count - 1][WIDTH:]))
    return Cut(rows[: query.count], write_cursor(context_of(query), place), total)


def _by_place(rows: list[Row]) -> list[Row]:
    rows.sort(key=_PLACE, reverse=True)
    return rows


_PLACE: Final = itemgetter(WIDTH, WIDTH + 1)
