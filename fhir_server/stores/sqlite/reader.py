"""Reading the tables through one connection: the same inside a transaction and outside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from math import inf
from operator import itemgetter
from time import monotonic
from typing import Final

import orjson
import zstandard

from fhir_server.search.query import Query
from fhir_server.store import Explanation, Page, Record, Referring
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.cursor import Place, context_of, read_cursor
from fhir_server.stores.memos import Memos
from fhir_server.stores.sqlite.explain import explain
from fhir_server.stores.sqlite.faults import is_interrupted, unavailable
from fhir_server.stores.sqlite.history import History, Scope
from fhir_server.stores.sqlite.moment import Moment, Then, snapshot
from fhir_server.stores.sqlite.past import Archive, Extract, Past
from fhir_server.stores.sqlite.prepared import Prepared, PreparedPages
from fhir_server.stores.sqlite.recent import RecentRecords
from fhir_server.stores.sqlite.referring import referring, terms
from fhir_server.stores.sqlite.search import WIDTH, Cut, Row, Search, first_page, later_page, sorted_page
from fhir_server.stores.sqlite.several import merged_page, place_of
from fhir_server.stores.sqlite.symbols import UNKNOWN, Symbols
from fhir_server.stores.sqlite.totals import Totals
from fhir_server.stores.stamps import asks_for_texts

METHODS: Final = ("DELETE", "POST", "PUT", "PATCH")
"""``resource.method`` is the place in this tuple: 0 means deleted."""

CURRENT: Final = "SELECT version, updated, method, content, sequence FROM resource WHERE tid = ? AND id = ?"
MANY: Final = """
    SELECT r.id, r.version, r.updated, r.method, r.content, r.sequence
    FROM json_each(?) v CROSS JOIN resource r ON r.tid = ? AND r.id = v.value WHERE r.method > 0"""
PAST: Final = """
    SELECT h.version, h.updated, h.method, h.content, h.sequence FROM resource r
    JOIN history h ON h.rid = r.rid AND h.version = ? WHERE r.tid = ? AND r.id = ?"""


STEPS: Final = 50_000
"""Steps of SQLite's machine (about half a millisecond) between two looks at the clock."""


class TooSlow(Exception):
    """The question takes longer than the reader's patience: ask a reader that may take its time."""


class Reader:
    """What can be asked of one connection. Raises StoreUnavailable when SQLite fails.

    ``totals`` remembers what was counted (None: nothing, for a connection that sees what may be undone).
    ``patience``: seconds after which ``search`` and ``count`` raise TooSlow; None: never.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        blobs: Blobs,
        symbols: Symbols,
        extract: Extract,
        memos: Memos | None = None,
        patience: float | None = None,
        totals: Totals | None = None,
        recent: RecentRecords | None = None,
    ) -> None:
        self.connection = connection
        self._blobs = blobs
        self._symbols = symbols
        self._prepared = PreparedPages(connection, symbols)
        self._archive = Archive(connection, blobs, symbols, extract, memos or Memos(), self._check_time)
        self._totals = totals
        self._recent = recent
        self._patience = patience or 0.0
        self._deadline = inf
        if patience is not None:
            connection.set_progress_handler(self._is_late, STEPS)

    def read(self, type: str, id: str) -> Record | None:
        """See ``store.Reading.read``."""
        try:
            tid = self._symbols.get(type) or self.type_number(type)
            row = self.connection.execute(CURRENT, (tid, id)).fetchone()
            return self.record(type, id, *row) if row else None
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    def read_many(self, keys: Sequence[tuple[str, str]]) -> list[Record]:
        """See ``store.Reading.read_many``."""
        try:
            groups = groupby(keys, key=itemgetter(0))
            return [
                record for type, group in groups for record in self._of_type(type, [id for _, id in group])
            ]
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    def _of_type(self, type: str, ids: Sequence[str]) -> list[Record]:
        rows = self.connection.execute(MANY, (orjson.dumps(ids).decode(), self.type_number(type)))
        return self._records(type, rows)

    def read_version(self, type: str, id: str, version: int) -> Record | None:
        """See ``store.Reading.read_version``."""
        current = self.read(type, id)
        if current is None or current.version == version:
            return current
        try:
            row = self.connection.execute(PAST, (version, self.type_number(type), id)).fetchone()
            return self.record(type, id, *row) if row else None
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    def search(self, query: Query) -> Page:
        """See ``store.Reading.search``."""
        self._start()
        try:
            if query.parts:
                return self._merged(query)
            rows, following, total = self._cut(query)
            return Page(tuple(self._records(query.type, rows)), following, total)
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise _told(error) from error
        finally:
            self._deadline = inf

    def _merged(self, query: Query) -> Page:
        place = place_of(query)
        past = Past(self._archive, Moment(place.sequence, place.rid), self._exists) if place else None
        with snapshot(self.connection):
            page = merged_page(self.connection, query, self._searches(query, past), past, place)
        records = tuple([self.record(type, *row) for type, row in page.rows])
        return Page(records, page.next, page.total)

    def _searches(self, query: Query, then: Then | None = None) -> list[Search]:
        """The search of each part of ``query`` whose type was ever kept, or of ``query`` itself."""
        parts = [replace(part, count=query.count, total=query.total) for part in query.parts] or [query]
        return [self._search(part, then) for part in parts if self.type_number(part.type) != UNKNOWN]

    def _cut(self, query: Query) -> Cut:
        if query.sort or query.cursor or query.count <= 0:
            with snapshot(self.connection):
                return self._other_page(query)
        prepared = self._prepared.recall(query)
        if prepared is not None:
            return first_page(self.connection, prepared, lambda: self._total(query))
        with snapshot(self.connection):
            if any(map(asks_for_texts, query.clauses)):
                return sorted_page(self.connection, self._search(query))
            prepared = self._prepared.recall_now(query) or self._prepare(query)
            return first_page(self.connection, prepared, lambda: self._total(query))

    def _prepare(self, query: Query) -> Prepared:
        search = self._search(query)
        prepared = search.newest_first()
        self._prepared.keep(search.plan, prepared)
        return prepared

    def _other_page(self, query: Query) -> Cut:
        place = read_cursor(context_of(query), query.cursor, Place) if query.cursor else None
        if query.count <= 0:
            return Cut([], None, self._search(query).total() if query.total != "none" else None)
        if place is None:
            return sorted_page(self.connection, self._search(query))
        past = Past(self._archive, Moment(place.sequence, place.rid), self._exists)
        return later_page(self.connection, self._search(query, past), past, place)

    def _search(self, query: Query, then: Then | None = None) -> Search:
        return Search(self.connection, self._symbols, query, then)

    def _exists(self, query: Query, past: Past) -> bool:
        return self._search(query, past).exists()

    def count(self, query: Query) -> int:
        """See ``store.Reading.count``."""
        self._start()
        try:
            with snapshot(self.connection):
                return self._total(query)
        except sqlite3.Error as error:
            raise _told(error) from error
        finally:
            self._deadline = inf

    def _total(self, query: Query) -> int:
        """How many match in the snapshot that the connection sees."""
        totals = self._totals
        known = totals.recall(self.connection, self._symbols, query) if totals else None
        if known is None:
            known = sum(search.total() for search in self._searches(query))
            if totals and query.total != "estimate":
                totals.keep(self.connection, self._symbols, query, known)
        return known

    def explain(self, query: Query) -> tuple[Explanation, ...]:
        """See ``store.Explaining.explain``."""
        self._start()
        try:
            with snapshot(self.connection):
                return tuple(explain(self.connection, search) for search in self._searches(query))
        except sqlite3.Error as error:
            raise _told(error) from error
        finally:
            self._deadline = inf

    def referring(self, queries: Sequence[Query], moment: tuple[int, int] | None) -> Referring:
        """See ``store.Store.referring``."""
        self._start()
        past = Past(self._archive, Moment(*moment), self._exists) if moment else None
        try:
            with snapshot(self.connection):
                return referring(self.connection, self._symbols, queries, past)
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise _told(error) from error
        finally:
            self._deadline = inf

    def terms(self, key: int, limit: int) -> list[tuple[str, str]]:
        """See ``store.Store.terms``."""
        self._start()
        try:
            return terms(self.connection, key, limit)
        except sqlite3.Error as error:
            raise _told(error) from error
        finally:
            self._deadline = inf

    def history(
        self,
        type: str | None,
        id: str | None,
        count: int,
        since: int | None,
        at: tuple[int, int] | None,
        cursor: str | None,
        *,
        total: bool,
    ) -> Page:
        """See ``store.Reading.history``."""
        try:
            scope = Scope(None if type is None else self.type_number(type), id)
            cut = History(self.connection, scope, since, at).page(count, cursor, total=total)
            return Page(tuple([self.record(*row) for row in cut.rows]), cut.next, cut.total)
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    def type_number(self, type: str) -> int:
        """The number of a resource type, UNKNOWN when none was ever kept."""
        return self._symbols.find(self.connection, type)

    def _records(self, type: str, rows: Iterable[Row]) -> list[Record]:
        """Rows that begin with the columns of RECORD as Records."""
        known = self._recent.newest if self._recent else {}
        return [known.get(row[WIDTH - 1]) or self.record(type, *row[:WIDTH]) for row in rows]

    def record(
        self,
        type: str,
        id: str,
        version: int,
        updated: int,
        method: int,
        blob: bytes,
        sequence: int,
        number: int = 0,
    ) -> Record:
        """A row of ``resource`` or ``history`` as a Record. Those with the ``number`` of their resource are not kept:
        what copies a store asks for each once."""
        recent = None if number else self._recent
        record = recent.get(sequence) if recent else None
        if record is None:
            content = self._blobs.decompress(blob)
            record = Record(type, id, version, updated, METHODS[method], content, sequence, number)
            if recent:
                recent.keep(record)
        return record

    def _start(self) -> None:
        if self._patience:
            self._deadline = monotonic() + self._patience

    def _is_late(self) -> bool:
        return monotonic() > self._deadline

    def _check_time(self) -> None:
        if self._is_late():
            raise TooSlow


def _told(error: Exception) -> Exception:
    return TooSlow() if is_interrupted(error) else unavailable(error)
