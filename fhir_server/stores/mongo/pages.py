"""Pages of a search: rows in order, as the store is now or as it was when the first page was cut.

A page is cut by its last row's place in the order, not by an offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import Query
from fhir_server.stores.cursor import DAMAGED, Place, context_of, read_cursor, write_cursor
from fhir_server.stores.mongo.compile import plan_of, scope_of
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.moment import Moment
from fhir_server.stores.mongo.past import Past
from fhir_server.stores.mongo.plan import Plan
from fhir_server.stores.mongo.reader import RECORD
from fhir_server.stores.mongo.sorting import Row, rows_of
from fhir_server.stores.mongo.view import View
from fhir_server.stores.pages import arrange, following

_IN_ORDER: Final = 1
"""The first column of a row is the document."""


class Part(NamedTuple):
    """The search of one type: its query (with the count of the whole search) and its plan."""

    query: Query
    plan: Plan


async def parts_of(view: View, query: Query, past: Past | None = None) -> list[Part]:
    """The searches that ``query`` is made of: one of each type."""
    queries = [replace(part, count=query.count, sort=part.sort) for part in query.parts] or [query]
    return [Part(each, await plan_of(scope_of(view, each, past), each.clauses)) for each in queries]


def place_of(query: Query) -> Place | None:
    """Where the page of ``query`` begins; None: the first one. Raises InvalidSearch for a cursor of another search."""
    if not query.cursor:
        return None
    place = read_cursor(_context(query), query.cursor, Place)
    if len(place.keys) != len(query.sort) + 2:
        raise InvalidSearch(DAMAGED, expression="http._cursor")
    return place


async def first_rows(view: View, parts: Sequence[Part]) -> list[Row]:
    """The rows of a first page and, when more follows, at least one row too many."""
    rows = [
        row for query, plan in parts for row in await rows_of(view, plan, query.sort, None, query.count + 1)
    ]
    return _arranged(rows, parts)


async def later_rows(view: View, parts: Sequence[Part], past: Past, place: Place) -> list[Row]:
    """The rows after ``place``, as of ``past`` at which the ``parts`` look too; one too many, when more follows."""
    rows: list[Row] = []
    try:
        for query, plan in parts:
            rows += await rows_of(view, plan, query.sort, place.keys, query.count + 1)
            old = following(query.sort, place, await past.matching(query))[: query.count + 1]
            rows += await _versions(view, old, {row[0]["_id"] for row in rows})
        return _arranged(rows, parts)
    except TypeError as error:
        raise InvalidSearch(DAMAGED, expression="http._cursor") from error


async def _versions(view: View, found: Sequence[Row], shown: set[str]) -> list[Row]:
    """Past versions as rows; ``found`` are their sort values, dates, numbers and sequences. What was purged is left
    out, and what is ``shown`` already."""
    if not found:
        return []
    wanted = {"_id": {"$in": [row[-1] for row in found]}}
    versions = {row["_id"]: row for row in await view.find("history", wanted, projection={**RECORD, "r": 1})}
    return [
        (versions[sequence], *keys)
        for *keys, sequence in found
        if sequence in versions and versions[sequence]["r"] not in shown
    ]


def _arranged(rows: list[Row], parts: Sequence[Part]) -> list[Row]:
    arrange(rows, parts[0].query.sort if parts else (), _IN_ORDER)
    return rows


# ── cutting ───────────────────────────────────────────────────────────────────


class Cut(NamedTuple):
    """A page: documents with the fields of RECORD, and the cursor of the next page."""

    rows: list[Document]
    next: str | None


def cut(query: Query, rows: Sequence[Row], moment: Moment, total: int | None) -> Cut:
    """A page of ``rows``, of which there may be too many; ``moment`` and ``total`` are those of the first page."""
    page = [row[0] for row in rows[: query.count]]
    if len(rows) <= query.count:
        return Cut(page, None)
    keys = [int(key) if isinstance(key, int) else key for key in rows[query.count - 1][1:]]
    return Cut(page, write_cursor(_context(query), Place(*moment, total, keys)))


def _context(query: Query) -> bytes:
    return b"\n".join([context_of(part) for part in query.parts]) if query.parts else context_of(query)
