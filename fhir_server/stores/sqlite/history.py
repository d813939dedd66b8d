"""Past versions and changes, read from the log.

Source: FHIR R4 http.html#history.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.stores.sqlite.cursor import read_cursor, write_cursor

Row = tuple[Any, ...]

_COLUMNS: Final = """s.text, r.id, l.version, l.updated,
    ifnull(h.method, r.method), ifnull(h.content, r.content), l.sequence"""
_JOINS: Final = """CROSS JOIN symbol s ON s.sid = l.tid CROSS JOIN resource r ON r.rid = l.rid
    LEFT JOIN history h ON h.sequence = l.sequence"""
_SYSTEM: Final = "log l CROSS JOIN symbol k ON k.sid = l.tid AND substr(k.text, 1, 1) <> '_'"
_TYPE: Final = "(SELECT * FROM log INDEXED BY log_type WHERE tid = ?) l"
_INSTANCE: Final = """(SELECT sequence, tid, rid, version, updated FROM resource WHERE tid = ?1 AND id = ?2 UNION ALL
    SELECT h.sequence, r.tid, h.rid, h.version, h.updated
    FROM resource r CROSS JOIN history h ON h.rid = r.rid WHERE r.tid = ?1 AND r.id = ?2) l"""
_SINCE: Final = "l.sequence >= ? AND l.updated >= ?"
_AT: Final = """l.updated <= ?
    AND NOT EXISTS (SELECT 1 FROM history n WHERE n.rid = l.rid AND n.version > l.version AND n.updated <= ?)
    AND NOT EXISTS (SELECT 1 FROM resource n WHERE n.rid = l.rid AND n.version > l.version AND n.updated <= ?)"""
_CHANGES: Final = f"SELECT {_COLUMNS} FROM log l {_JOINS} WHERE l.sequence > ? ORDER BY l.sequence LIMIT ?"  # noqa: S608
_OLDEST: Final = "SELECT sequence, latest FROM log WHERE sequence >= ? ORDER BY sequence LIMIT 1"
_NEWEST: Final = "SELECT ifnull(max(sequence), 0) FROM log"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose history: everybody's (both None), a type's (its number), or one resource's."""

    tid: int | None = None
    id: str | None = None

    @property
    def source(self) -> tuple[str, Row]:
        """The versions in scope as a table ``l``, and its values."""
        if self.tid is None:
            return _SYSTEM, ()
        if self.id is None:
            return _TYPE, (self.tid,)
        return _INSTANCE, (self.tid, self.id)


class History:
    """One history question on one connection. ``since`` and ``at`` in microseconds, as ``store.Store.history``."""

    def __init__(
        self, connection: sqlite3.Connection, scope: Scope, since: int | None, at: int | None
    ) -> None:
        self._connection = connection
        self._context = f"history {scope.tid} {scope.id} {since} {at}"
        source, values = scope.source
        conditions: list[str] = ["1"]
        if since is not None:
            conditions.append(_SINCE)
            values += (_first_since(connection, since), since)
        if at is not None:
            conditions.append(_AT)
            values += (at, at, at)
        self._source, self._where, self._values = source, " AND ".join(conditions), values

    def page(self, count: int, cursor: str | None) -> tuple[Sequence[Row], str | None]:
        """``count`` versions, newest first, and the cursor of what follows."""
        before = read_cursor(self._context, cursor)[0] if cursor else 2**63 - 1
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM {self._source} {_JOINS} WHERE {self._where} AND l.sequence < ? "  # noqa: S608
            "ORDER BY l.sequence DESC LIMIT ?",
            (*self._values, before, count + 1),
        ).fetchall()
        more = len(rows) > count > 0
        return rows[:count], write_cursor(self._context, [rows[count - 1][-1]]) if more else None

    def total(self) -> int:
        """How many versions there are on all pages."""
        statement = f"SELECT count(*) FROM {self._source} WHERE {self._where}"  # noqa: S608
        found: int = self._connection.execute(statement, self._values).fetchone()[0]
        return found


def read_changes(connection: sqlite3.Connection, after: int, limit: int) -> list[Row]:
    """Writes with a sequence greater than ``after``, oldest first."""
    return connection.execute(_CHANGES, (after, limit)).fetchall()


def _first_since(connection: sqlite3.Connection, since: int) -> int:
    """The first write that can be as late as ``since``. ``log.latest`` never falls, so halving finds it."""
    low, high = 0, connection.execute(_NEWEST).fetchone()[0] + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(_OLDEST, (middle,)).fetchone()
        if row is None or row[1] >= since:
            high = middle
        else:
            low = row[0] + 1
    return low
