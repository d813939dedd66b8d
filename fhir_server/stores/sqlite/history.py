"""Past versions and changes, read from the log.

Source: FHIR R4 http.html#history.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fhir_server.stores.cursor import Before, read_cursor, write_cursor
from fhir_server.stores.sqlite.moment import snapshot

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
_LATER: Final = (
    "SELECT 1 FROM {} n WHERE n.rid = l.rid AND n.version > l.version AND n.updated <= ? AND n.sequence <= ?"
)
_AT: Final = (
    f"l.updated < ? AND NOT EXISTS ({_LATER.format('history')}) AND NOT EXISTS ({_LATER.format('resource')})"
)
_CHANGES: Final = (
    f"SELECT {_COLUMNS}, l.rid FROM log l {_JOINS} WHERE l.sequence > ? ORDER BY l.sequence LIMIT ?"  # noqa: S608
)
_OLDEST: Final = "SELECT sequence, latest FROM log WHERE sequence >= ? ORDER BY sequence LIMIT 1"
_NEWEST: Final = "SELECT ifnull(max(sequence), 0) FROM log"
_GREATEST: Final = """
    WITH erased (sequence, rid) AS (SELECT
        (SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'sequence'),
        (SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'rid'))
    SELECT max(ifnull((SELECT max(sequence) FROM log), 0), ifnull(sequence, 0)),
        max(ifnull((SELECT max(rid) FROM resource), 0), ifnull(rid, 0)) FROM erased"""


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


class Cut(NamedTuple):
    """A page: the columns of _COLUMNS, the cursor of the next page, the total when it was asked for."""

    rows: Sequence[Row]
    next: str | None
    total: int | None


class History:
    """One history question on one connection. ``since`` and ``at`` in microseconds, as ``store.Store.history``.

    The pages after the first one show, and have the total of, the moment of the first.
    """

    def __init__(
        self, connection: sqlite3.Connection, scope: Scope, since: int | None, at: tuple[int, int] | None
    ) -> None:
        self._connection = connection
        self._context = f"history {scope.tid} {scope.id} {since} {at}".encode()
        self._source, self._values = scope.source
        self._since, self._at = since, at

    def page(self, count: int, cursor: str | None, *, total: bool) -> Cut:
        """``count`` versions, newest first, the cursor of what follows, and how many there are on all pages."""
        with snapshot(self._connection):
            before = read_cursor(self._context, cursor, Before) if cursor else self._start(total=total)
            where, values = self._where(before.sequence)
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM {self._source} {_JOINS} WHERE {where} AND l.sequence < ? "  # noqa: S608
                "ORDER BY l.sequence DESC LIMIT ?",
                (*values, before.last, count + 1),
            ).fetchall()
        if not len(rows) > count > 0:
            return Cut(rows[:count], None, before.total)
        following = Before(before.sequence, before.total, rows[count - 1][-1])
        return Cut(rows[:count], write_cursor(self._context, following), before.total)

    def _start(self, *, total: bool) -> Before:
        """Where the first page begins."""
        newest = self._connection.execute(_NEWEST).fetchone()[0]
        return Before(newest, self._total(newest) if total else None, newest + 1)

    def _total(self, newest: int) -> int:
        where, values = self._where(newest)
        statement = f"SELECT count(*) FROM {self._source} WHERE {where}"  # noqa: S608
        found: int = self._connection.execute(statement, values).fetchone()[0]
        return found

    def _where(self, newest: int) -> tuple[str, Row]:
        """The versions in scope that are asked for, as the write ``newest`` left them."""
        where, values = "1", self._values
        if self._since is not None:
            where, values = _SINCE, (*values, _first_since(self._connection, self._since), self._since)
        if self._at is not None:
            low, high = self._at
            where, values = f"{where} AND {_AT}", (*values, high, low, newest, low, newest)
        return where, values


def read_changes(connection: sqlite3.Connection, after: int, limit: int) -> list[Row]:
    """Writes with a sequence greater than ``after``, oldest first; after _COLUMNS comes the number of the resource."""
    return connection.execute(_CHANGES, (after, limit)).fetchall()


def read_reached(connection: sqlite3.Connection) -> tuple[int, int]:
    """The greatest sequence and the greatest number of a resource that were given out."""
    sequence, number = connection.execute(_GREATEST).fetchone()
    return sequence, number


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
