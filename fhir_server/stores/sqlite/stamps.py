"""Has anything been written that could change what was worked out for a query?

The stamp of a query are the last writes of every type that it looks at; what was worked out under a stamp is good
as long as the stamp is the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

from fhir_server.search.query import AllOf, AnyOf, Chain, Criterion, Has, Not, Query
from fhir_server.stores.sqlite.symbols import Symbols

_NEWEST: Final = "SELECT ifnull(max(sequence), 0) FROM log WHERE tid = ?"
_ERASED: Final = "SELECT value FROM meta WHERE name = 'erased'"
_MARK: Final = "INSERT INTO meta VALUES ('erased', ?) ON CONFLICT DO UPDATE SET value = excluded.value"

Stamp = tuple[Any, ...]


def types_of(query: Query) -> tuple[str, ...]:
    """The types that ``query`` looks at, those of related resources among them."""
    parts = query.parts or (query,)
    related = _related([criterion for part in parts for criterion in part.clauses])
    return tuple(dict.fromkeys([*(part.type for part in parts), *related]))


def stamp_of(connection: sqlite3.Connection, symbols: Symbols, types: Iterable[str]) -> Stamp:
    """The last write of each of ``types``, and the mark that erasing leaves, which is no write."""
    writes = [connection.execute(_NEWEST, (symbols.find(connection, type),)).fetchone()[0] for type in types]
    return (*writes, connection.execute(_ERASED).fetchone())


def leave_mark(connection: sqlite3.Connection, mark: str) -> None:
    """Answers have changed without a write: what was worked out is good no more. ``mark`` is never used twice."""
    connection.execute(_MARK, (mark,))


def _related(criteria: Iterable[Criterion]) -> Iterator[str]:
    for criterion in criteria:
        if isinstance(criterion, Chain | Has):
            yield criterion.type
            yield from _related((criterion.criterion,))
        elif isinstance(criterion, AnyOf | AllOf):
            yield from _related(criterion.criteria)
        elif isinstance(criterion, Not):
            yield from _related((criterion.criterion,))
