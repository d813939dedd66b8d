"""A search of several types: one page of what each of them gives, merged in the order that all share."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import Query
from fhir_server.stores.cursor import DAMAGED, Place, context_of, read_cursor, write_cursor
from fhir_server.stores.pages import arrange
from fhir_server.stores.sqlite.moment import moment_of
from fhir_server.stores.sqlite.past import Past
from fhir_server.stores.sqlite.search import WIDTH, Row, Search, rows_as_of


class Merged(NamedTuple):
    """A page: types and rows (the columns of RECORD), the cursor of the next page, the total when it was asked for."""

    rows: list[tuple[str, Row]]
    next: str | None
    total: int | None


def place_of(query: Query) -> Place | None:
    """Where the page of ``query`` begins; None: the first one. Raises InvalidSearch for a cursor of another search."""
    return read_cursor(_context(query), query.cursor, Place) if query.cursor else None


def merged_page(
    connection: sqlite3.Connection,
    query: Query,
    searches: Sequence[Search],
    past: Past | None = None,
    place: Place | None = None,
) -> Merged:
    """The page at ``place``, as of ``past`` (both None: the first page). ``searches`` are of the types that are kept,
    and look at the same. The connection is in a transaction, if only a reading one."""
    rows: list[Row] = []
    types: dict[int, str] = {}
    for search in searches:
        found = (
            search.rows() if past is None or place is None else rows_as_of(connection, search, past, place)
        )
        types.update((row[-1], search.query.type) for row in found)
        rows += found
    _arrange(rows, query)
    total = _total(query, searches) if place is None else place.total
    page = [(types[row[-1]], row[:WIDTH]) for row in rows[: query.count]]
    if len(rows) <= query.count:
        return Merged(page, None, total)
    moment = moment_of(connection) if past is None else past.moment
    last = Place(*moment, total, list(rows[query.count - 1][WIDTH:]))
    return Merged(page, write_cursor(_context(query), last), total)


def _arrange(rows: list[Row], query: Query) -> None:
    try:
        arrange(rows, query.sort, WIDTH)
    except TypeError as error:
        raise InvalidSearch(DAMAGED, expression="http._cursor") from error


def _total(query: Query, searches: Sequence[Search]) -> int | None:
    return sum(search.total() for search in searches) if query.total != "none" else None


def _context(query: Query) -> bytes:
    return b"\n".join([context_of(part) for part in query.parts])
