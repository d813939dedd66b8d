"""Statements of first pages that are asked for again and again: inboxes, the results of one patient.

Kept by the Query object itself: parsing remembers the queries it made (``search.remembered``), so the same
search comes with the same object. What cannot change is kept for good: exact terms, driven by a clause that is
known to be narrow, of texts that the store has a number for. Everything else (which clause drives, whom a chain
leads to) is good until one of the types that the query looks at is written.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple, TypeVar

from fhir_server.search.query import Clause, Criterion, Query
from fhir_server.stores.cursor import is_short
from fhir_server.stores.sqlite.conditions.parts import Values
from fhir_server.stores.sqlite.plan import Plan
from fhir_server.stores.sqlite.stamps import Stamp, stamp_of
from fhir_server.stores.sqlite.symbols import UNKNOWN, Symbols
from fhir_server.stores.stamps import types_of

T = TypeVar("T")

MOST: Final = 2_048
EXACT: Final = frozenset({"token", "reference", "uri"})


class Prepared(NamedTuple):
    """The statement of a query's first page in default order; its last value is still the limit."""

    query: Query
    statement: str
    values: Values

    @property
    def bound(self) -> tuple[str, Values]:
        """The statement and its values for a page and one row more."""
        return self.statement, (*self.values, self.query.count + 1)


class _Stamped(NamedTuple):
    """A statement that is good as long as the stamp of ``types`` is the same; it was in the state ``seen``."""

    prepared: Prepared
    types: tuple[str, ...]
    stamp: Stamp
    seen: tuple[int, int]


class PreparedPages:
    """id of a Query → its statement. Nothing is kept that is older than ``Symbols.generation``."""

    def __init__(self, connection: sqlite3.Connection, symbols: Symbols) -> None:
        self._connection = connection
        self._symbols = symbols
        self._generation = 0
        self._lasting: dict[int, Prepared] = {}
        self._stamped: dict[int, _Stamped] = {}

    def recall(self, query: Query) -> Prepared | None:
        """What was kept for this very object, for good."""
        if self._symbols.generation != self._generation:
            self._lasting.clear()
            self._stamped.clear()
            self._generation = self._symbols.generation
        found = self._lasting.get(id(query))
        return found if found is not None and found.query is query else None

    def recall_now(self, query: Query) -> Prepared | None:
        """What was kept for this very object, if it is still good in the snapshot that the connection sees."""
        found = self._stamped.get(id(query))
        if found is None or found.prepared.query is not query:
            return None
        seen = self._seen()
        if seen == found.seen:
            return found.prepared
        if stamp_of(self._connection, self._symbols, found.types) != found.stamp:
            return None
        self._stamped[id(query)] = found._replace(seen=seen)
        return found.prepared

    def keep(self, plan: Plan, prepared: Prepared) -> None:
        """Keep what was made in the snapshot that the connection sees."""
        query = prepared.query
        if not is_short(query):
            return
        if plan.is_settled and UNKNOWN not in prepared.values and all(map(_is_exact, query.clauses)):
            _put(self._lasting, id(query), prepared)
        else:
            types = types_of(query)
            stamp = stamp_of(self._connection, self._symbols, types)
            _put(self._stamped, id(query), _Stamped(prepared, types, stamp, self._seen()))

    def _seen(self) -> tuple[int, int]:
        """Changes with whatever another connection commits and with whatever this one writes."""
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version, self._connection.total_changes


def _put(kept: dict[int, T], key: int, value: T) -> None:
    if len(kept) >= MOST:
        kept.clear()
    kept[key] = value


def _is_exact(criterion: Criterion) -> bool:
    if not isinstance(criterion, Clause) or criterion.modifier is not None:
        return False
    return criterion.parameter.kind in EXACT and not criterion.parameter.column
