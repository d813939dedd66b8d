"""Writes gathered in memory and written table by table: one statement per table however many resources."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Set
from typing import Any, Final, NamedTuple

from fhir_server.search.index import IndexValues
from fhir_server.store import Record
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.forms import keys_of
from fhir_server.stores.sqlite.reader import METHODS
from fhir_server.stores.sqlite.rows import TABLES, Row, Rows, index_rows, no_rows
from fhir_server.stores.sqlite.writer import Writer
from fhir_server.stores.versions import require_after, require_next

Extract = Callable[[str, bytes], IndexValues]

_CURRENT: Final = (
    "SELECT rid, version, updated, method, sequence, date, content FROM resource WHERE tid = ? AND id = ?"
)
_STATEMENTS: Final = {
    "history": "INSERT INTO history (sequence, rid, version, updated, method, content) VALUES (?, ?, ?, ?, ?, ?)",
    "create": "INSERT INTO resource (rid, tid, id, version, updated, method, sequence, date, content) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "update": "UPDATE resource SET version = ?, updated = ?, method = ?, sequence = ?, date = ?, content = ? "
    "WHERE rid = ?",
    "log": "INSERT INTO log (sequence, tid, rid, version, updated, latest) VALUES (?, ?, ?, ?, ?, ?)",
    "dead": "DELETE FROM live WHERE tid = ? AND date = ? AND rid = ?",
    "live": "INSERT INTO live (tid, date, rid, shape) VALUES (?, ?, ?, ?)",
    "shape": "UPDATE live SET shape = ? WHERE tid = ? AND date = ? AND rid = ?",
    "unlink": "DELETE FROM link WHERE rid = ?",
}
_SHAPE_LIMIT: Final = 20_000
_GREATEST: Final = 2**63 - 1


class _Before(NamedTuple):
    """The row of the current version; ``rid`` 0 when there is none."""

    rid: int = 0
    version: int = 0
    updated: int = 0
    method: int = 0
    sequence: int = 0
    date: int = 0
    content: bytes = b""


_NOTHING: Final = _Before()


class Batch:
    """The writes of one transaction that are not in the tables yet.

    ``records`` are the new current versions by (type, id), so that the transaction can read them.
    """

    def __init__(self, writer: Writer, blobs: Blobs, extract: Extract) -> None:
        self.records: dict[tuple[str, str], Record] = {}
        self._writer = writer
        self._blobs = blobs
        self._extract = extract
        self._gathered: dict[str, list[Row]] = {name: [] for name in _STATEMENTS}
        self._removed: list[list[Row]] = [[] for _ in TABLES]
        self._added: list[list[Row]] = [[] for _ in TABLES]

    def put(self, record: Record, values: IndexValues | None) -> None:
        """Gather a new version (``values`` None: a deletion). Raises Conflict unless it follows the current one."""
        tid, before = self._before(record)
        require_next(record, before.version)
        writer = self._writer
        self._keep(record, tid, before, values, writer.sequence + 1, before.rid or writer.rid + 1)

    def restore(self, record: Record, values: IndexValues | None) -> None:
        """Gather a version that another store had. Raises Conflict unless it comes after all that is here."""
        tid, before = self._before(record)
        require_after(record, self._writer.sequence, before.version)
        self._keep(record, tid, before, values, record.sequence, before.rid or record.number)

    def index(self, tid: int, rid: int, values: IndexValues) -> None:
        """Gather the index rows of a resource that is kept already and has none."""
        self._gathered["live"].append((tid, values.date, rid, self._shape(values)))
        self._note_secondary(values)
        _gather(self._added, index_rows(values, rid, self._writer.symbols))

    def refresh(self, tid: int, rid: int, values: IndexValues, keys: Set[int]) -> None:
        """Gather the rows of the arms ``keys`` of a resource that is kept already, and what says which arms it has."""
        self._gathered["shape"].append((self._shape(values), tid, values.date, rid))
        self._note_secondary(values)
        self._gathered["unlink"].append((rid,))
        _gather(self._added, index_rows(values, rid, self._writer.symbols).of_arms(keys))

    def absorb(self, other: Batch) -> None:
        """Take over what ``other``, of the same group, has gathered."""
        self.records.update(other.records)
        for name, rows in other._gathered.items():
            self._gathered[name] += rows
        _gather(self._removed, other._removed)
        _gather(self._added, other._added)

    def write(self) -> None:
        """Bring everything gathered into the tables, inside the open database transaction."""
        connection = self._writer.connection
        for name, rows in self._gathered.items():
            if rows:
                _run(connection, _STATEMENTS[name], rows)
        for table, removed, added in zip(TABLES, self._removed, self._added, strict=True):
            if removed:
                _run(connection, table.delete, [row[: table.identity] for row in removed])
                removed.clear()
            if added:
                _run(connection, table.insert, added)
        self.records.clear()

    def _before(self, record: Record) -> tuple[int, _Before]:
        """The number of the type, and what there is of the resource."""
        tid = self._writer.symbols[record.type]
        row = self._writer.connection.execute(_CURRENT, (tid, record.id)).fetchone()
        return tid, _Before(*row) if row else _NOTHING

    def _keep(
        self,
        record: Record,
        tid: int,
        before: _Before,
        values: IndexValues | None,
        sequence: int,
        rid: int,
    ) -> None:
        if values:
            _check_range(values)
        writer, gathered = self._writer, self._gathered
        writer.sequence = sequence
        writer.rid = max(writer.rid, rid)
        writer.latest = max(writer.latest, record.updated)
        method, blob = METHODS.index(record.method), self._blobs.compress(record.content)
        date = values.date if values else 0
        if before.rid:
            gathered["history"].append((before.sequence, rid, *before[1:4], before.content))
            gathered["update"].append((record.version, record.updated, method, sequence, date, blob, rid))
        else:
            gathered["create"].append(
                (rid, tid, record.id, record.version, record.updated, method, sequence, date, blob)
            )
        gathered["log"].append((sequence, tid, rid, record.version, record.updated, writer.latest))
        if before.method:
            gathered["dead"].append((tid, before.date, rid))
        if values:
            gathered["live"].append((tid, date, rid, self._shape(values)))
            self._note_secondary(values)
        self._index(record.type, before, values, rid)
        self.records[record.type, record.id] = record

    def _index(self, type: str, before: _Before, values: IndexValues | None, rid: int) -> None:
        symbols = self._writer.symbols
        new = index_rows(values, rid, symbols) if values else no_rows()
        if before.method:
            old = index_rows(self._extract(type, self._blobs.decompress(before.content)), rid, symbols)
            _gather(self._removed, old.without(new))
            new = new.without(old)
        _gather(self._added, new)

    def _shape(self, values: IndexValues) -> int:
        keys = keys_of(values)
        shapes = self._writer.shapes
        known = shapes.get(keys)
        if known is None:
            if len(shapes) >= _SHAPE_LIMIT:
                shapes.clear()
            known = shapes[keys] = _keep_shape(self._writer.connection, keys)
        return known

    def _note_secondary(self, values: IndexValues) -> None:
        secondary = self._writer.secondary
        for key, low, _, _ in values.dates:
            if low != values.date and key not in secondary:
                self._writer.connection.execute("INSERT OR IGNORE INTO secondary_date VALUES (?)", (key,))
                secondary.add(key)


def _check_range(values: IndexValues) -> None:
    """Raise OverflowError for a moment that SQLite cannot keep: now, while it concerns only its own transaction."""
    for _, low, high, _ in values.dates:
        if not (-_GREATEST <= low <= _GREATEST and -_GREATEST <= high <= _GREATEST):
            raise OverflowError("a date is out of the range that can be kept")


def _keep_shape(connection: sqlite3.Connection, keys: tuple[int, ...]) -> int:
    packed = array("I", keys).tobytes()
    row: Any = connection.execute("SELECT shape FROM shape WHERE keys = ?", (packed,)).fetchone()
    if row is None:
        row = connection.execute("INSERT INTO shape (keys) VALUES (?) RETURNING shape", (packed,)).fetchone()
        connection.executemany("INSERT INTO shape_key VALUES (?, ?)", [(key, row[0]) for key in keys])
    shape: int = row[0]
    return shape


def _gather(tables: list[list[Row]], rows: Rows | list[list[Row]]) -> None:
    for table, some in zip(tables, rows, strict=True):
        table.extend(some)


def _run(connection: sqlite3.Connection, statement: str, rows: list[Row]) -> None:
    if len(rows) == 1:
        connection.execute(statement, rows[0])
    else:
        rows.sort()
        connection.executemany(statement, rows)
    rows.clear()
