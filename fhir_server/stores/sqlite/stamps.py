"""Has anything been written that could change what was worked out for a query?

The stamp of a query are the last writes of every type that it looks at; what was worked out under a stamp is good
as long as the stamp is the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from fhir_server.stores.sqlite.symbols import Symbols

_NEWEST: Final = "SELECT ifnull(max(sequence), 0) FROM log WHERE tid = ?"
_ERASED: Final = "SELECT value FROM meta WHERE name = 'erased'"
_MARK: Final = "INSERT INTO meta VALUES ('erased', ?) ON CONFLICT DO UPDATE SET value = excluded.value"

Stamp = tuple[Any, ...]


def stamp_of(connection: sqlite3.Connection, symbols: Symbols, types: Iterable[str]) -> Stamp:
    """The last write of each of ``types``, and the mark that erasing leaves, which is no write."""
    writes = [connection.execute(_NEWEST, (symbols.find(connection, type),)).fetchone()[0] for type in types]
    return (*writes, connection.execute(_ERASED).fetchone())


def leave_mark(connection: sqlite3.Connection, mark: str) -> None:
    """Answers have changed without a write: what was worked out is good no more. ``mark`` is never used twice."""
    connection.execute(_MARK, (mark,))
