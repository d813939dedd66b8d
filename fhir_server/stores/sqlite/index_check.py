"""Are the index rows those that the contents give? Compared row by row, both ways, and repaired.

The rows that should be there are made in tables of a temporary database beside the real one, and the two compared:
the index tables have no key on the resource's side, so this is the only way to find a row that should not be there.
It needs about as much space as the index, in the folder for temporary files.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import time_ns
from typing import Final

import zstandard

from fhir_server.search.index import IndexValues
from fhir_server.store import Finding
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.contents import place_of
from fhir_server.stores.forms import keys_of
from fhir_server.stores.sqlite.batch import Batch, Extract
from fhir_server.stores.sqlite.rows import TABLES, Row, index_rows
from fhir_server.stores.sqlite.schema import CREATES
from fhir_server.stores.sqlite.stamps import leave_mark
from fhir_server.stores.sqlite.symbols import UNKNOWN
from fhir_server.stores.sqlite.writer import Writer

AT_ONCE: Final = 500
_LIVE: Final = "live"
_ALL: Final = (
    "SELECT r.rid, r.tid, s.text, r.date, r.content FROM resource r JOIN symbol s ON s.sid = r.tid "
    "WHERE r.rid > ? AND r.method > 0 ORDER BY r.rid LIMIT ?"
)
_NAME: Final = "SELECT s.text, r.id FROM resource r JOIN symbol s ON s.sid = r.tid WHERE r.rid = ?"
_CURRENT: Final = (
    "SELECT r.tid, s.text, r.content FROM resource r JOIN symbol s ON s.sid = r.tid "
    "WHERE r.rid = ? AND r.method > 0"
)
_SHAPE: Final = "SELECT shape FROM shape WHERE keys = ?"


@dataclass
class Difference:
    """Of one resource: how many rows are missing, the rows that should not be there by table, a wrong date."""

    missing: int = 0
    extra: list[tuple[str, Row]] = field(default_factory=list)
    has_wrong_date: bool = False

    @property
    def text(self) -> str:
        """For people."""
        wrong = "its date in the default order is wrong, " if self.has_wrong_date else ""
        return f"{wrong}{self.missing} index rows are missing and {len(self.extra)} should not be there"


class Comparison:
    """The index of one store, in one snapshot of ``connection``. Rows of the arms ``ignored`` are left out."""

    def __init__(self, connection: sqlite3.Connection, extract: Extract, ignored: Set[int]) -> None:
        self._connection = connection
        self._extract = extract
        self._ignored = ignored
        self._blobs = Blobs()
        self._symbols = _Known(connection)
        self._shapes = _Shapes(connection)
        self.resources = 0
        self.differences: dict[int, Difference] = defaultdict(Difference)
        self.secondary: set[int] = set()

    def run(self, told: Callable[[int], None]) -> None:
        """Find all ``differences``, by the number of the resource."""
        with _wanted(self._connection, self._ignored):
            self._make(told)
            for name in (*(table.name for table in TABLES), _LIVE):
                self._compare(name)
            there = {key for (key,) in self._connection.execute("SELECT key FROM secondary_date")}
            self.secondary -= there

    def findings(self) -> Iterator[Finding]:
        """What is wrong, for people."""
        for rid, difference in self.differences.items():
            named = self._connection.execute(_NAME, (rid,)).fetchone()
            yield Finding(place_of(*named) if named else "rows of no resource", difference.text)
        if self.secondary:
            yield Finding("dates", f"{len(self.secondary)} parameters are wrongly taken for the primary date")

    def _make(self, told: Callable[[int], None]) -> None:
        last = 0
        while rows := self._connection.execute(_ALL, (last, AT_ONCE)).fetchall():
            made: list[list[Row]] = [[] for _ in TABLES]
            live: list[Row] = []
            for rid, tid, type, date, blob in rows:
                try:
                    values = self._extract(type, self._blobs.decompress(blob))
                except (zstandard.ZstdError, ValueError):  # told as an unreadable version
                    continue
                self._note(rid, date, values)
                live.append((tid, values.date, rid, self._shape(values)))
                for some, more in zip(made, index_rows(values, rid, self._symbols), strict=True):
                    some.extend(more)
            for table, some in zip(TABLES, made, strict=True):
                self._connection.executemany(_into_wanted(table.insert), sorted(some, key=repr))
            self._connection.executemany("INSERT INTO wanted.live VALUES (?, ?, ?, ?)", live)
            last = rows[-1][0]
            self.resources += len(rows)
            told(self.resources)

    def _note(self, rid: int, date: int, values: IndexValues) -> None:
        if date != values.date:
            self.differences[rid].has_wrong_date = True
        self.secondary.update(key for key, low, _, _ in values.dates if low != values.date)

    def _shape(self, values: IndexValues) -> int:
        return self._shapes[keys_of(values)]

    def _compare(self, name: str) -> None:
        columns = [row[1] for row in self._connection.execute(f"PRAGMA main.table_info({name})")]
        compared = [each for each in columns if not (self._ignored and each == "shape")]
        same = " AND ".join(f"o.{each} IS t.{each}" for each in compared)
        kept = "t.key NOT IN (SELECT key FROM wanted.ignored)" if "key" in columns else "1"
        rid = columns.index("rid")
        for here, there in (("main", "wanted"), ("wanted", "main")):
            statement = (
                f"SELECT t.* FROM {here}.{name} t WHERE {kept} "  # noqa: S608
                f"AND NOT EXISTS (SELECT 1 FROM {there}.{name} o WHERE {same})"
            )
            for row in self._connection.execute(statement):
                difference = self.differences[row[rid]]
                if here == "main":
                    difference.extra.append((name, row))
                else:
                    difference.missing += 1


class _Known(dict[str, int]):
    """text → number, of texts that the store has; nothing is written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, text: str) -> int:
        row = self._connection.execute("SELECT sid FROM symbol WHERE text = ?", (text,)).fetchone()
        self[text] = number = row[0] if row else UNKNOWN
        return number


class _Shapes(dict[tuple[int, ...], int]):
    """Arms → the number of their set, 0 for one that the store does not know, or not all of."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, keys: tuple[int, ...]) -> int:
        packed = array("I", keys).tobytes()
        row = self._connection.execute(_SHAPE, (packed,)).fetchone()
        found = row[0] if row else 0
        listed = self._connection.execute(
            "SELECT count(*) FROM shape_key WHERE shape = ?", (found,)
        ).fetchone()
        self[keys] = number = found if listed == (len(keys),) else 0
        return number


@contextmanager
def _wanted(connection: sqlite3.Connection, ignored: Set[int]) -> Iterator[None]:
    """A temporary database ``wanted`` with index tables, and one view of the store, inside the block."""
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("ATTACH '' AS wanted")
    connection.execute("PRAGMA wanted.journal_mode = OFF")
    connection.execute("BEGIN")
    try:
        for name in (*(table.name for table in TABLES), _LIVE):
            connection.execute(CREATES[name].replace("CREATE TABLE ", "CREATE TABLE wanted."))
        connection.execute("CREATE TABLE wanted.ignored (key INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO wanted.ignored VALUES (?)", [(key,) for key in ignored])
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.execute("DETACH wanted")


def _into_wanted(insert: str) -> str:
    return insert.replace("INTO ", "INTO wanted.", 1)


# ── repair ────────────────────────────────────────────────────────────────────


def repair(
    writer: Writer, blobs: Blobs, extract: Extract, differences: Mapping[int, Difference], secondary: Set[int]
) -> None:
    """Remove the rows that should not be there and add those that are missing, by what the contents are by now."""
    connection, batch = writer.connection, Batch(writer, blobs, extract)
    writer.shapes.clear()
    for rid, difference in differences.items():
        for name, row in difference.extra:
            statement, identity = _DELETES[name]
            connection.execute(statement, row[:identity])
        current = connection.execute(_CURRENT, (rid,)).fetchone()
        if current:
            tid, type, content = current
            _add(connection, batch, rid, tid, extract(type, blobs.decompress(content)))
    batch.write()
    connection.executemany("INSERT OR IGNORE INTO secondary_date VALUES (?)", [(key,) for key in secondary])
    writer.secondary |= secondary
    leave_mark(connection, f"repaired {time_ns()}")


def _add(connection: sqlite3.Connection, batch: Batch, rid: int, tid: int, values: IndexValues) -> None:
    connection.execute("UPDATE resource SET date = ? WHERE rid = ?", (values.date, rid))
    connection.execute(_DELETES[_LIVE][0], (tid, values.date, rid))
    keys = keys_of(values)
    known = connection.execute(_SHAPE, (array("I", keys).tobytes(),)).fetchone()
    if known:
        listed = [(key, known[0]) for key in keys]
        connection.executemany("INSERT OR IGNORE INTO shape_key VALUES (?, ?)", listed)
    batch.index(tid, rid, values)


_DELETES: Final = {table.name: (table.delete, table.identity) for table in TABLES} | {
    _LIVE: ("DELETE FROM live WHERE tid = ? AND date = ? AND rid = ?", 3)
}
