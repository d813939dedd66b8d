"""Versions and resources removed for good: from every table, the index of texts included.

What they said is overwritten in the file (in the ``-wal`` beside it when that is used again); numbers they had are
not given out again, so that the cursors of pages and the readers of ``changes`` stay right.
Source: sqlite.org/pragma.html#pragma_secure_delete.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from fhir_server.stores.blobs import Blobs
from fhir_server.stores.sqlite.batch import Extract
from fhir_server.stores.sqlite.fulltext import drop_texts
from fhir_server.stores.sqlite.rows import TABLES, index_rows
from fhir_server.stores.sqlite.symbols import UNKNOWN
from fhir_server.stores.sqlite.writer import Writer

_RESOURCE: Final = "SELECT rid, sequence, method, date, content FROM resource WHERE tid = ? AND id = ?"
_PAST: Final = "SELECT sequence, content FROM history WHERE rid = ?1 AND (?2 IS NULL OR version = ?2)"
_NO_VERSIONS: Final = "DELETE FROM history WHERE rid = ?1 AND (?2 IS NULL OR version = ?2)"
_NO_WRITES: Final = "DELETE FROM log WHERE sequence = ?"
_HIGHEST: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"


@contextmanager
def _overwriting(connection: sqlite3.Connection) -> Iterator[None]:
    """What is deleted in the block is overwritten even where that costs writing a page more."""
    connection.execute("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        connection.execute("PRAGMA secure_delete = FAST")


class Eraser:
    """Removes through the write connection, in its open transaction, whose writes are all in the tables."""

    def __init__(self, writer: Writer, blobs: Blobs, extract: Extract) -> None:
        self._writer = writer
        self._connection = writer.connection
        self._blobs = blobs
        self._extract = extract

    def forget(self, type: str, id: str, version: int | None) -> int:
        """See ``store.Transaction.forget``."""
        found = self._find(type, id)
        with _overwriting(self._connection):
            return self._forget(type, found[0], version) if found else 0

    def erase(self, type: str, id: str) -> int:
        """See ``store.Transaction.erase``."""
        found = self._find(type, id)
        with _overwriting(self._connection):
            return self._erase(type, *found) if found else 0

    def reserve(self, sequence: int, number: int) -> None:
        """See ``store.Transaction.reserve``."""
        writer = self._writer
        writer.sequence, writer.rid = max(writer.sequence, sequence), max(writer.rid, number)
        self._connection.executemany(_HIGHEST, self._marks())

    def _marks(self) -> list[tuple[str, str]]:
        return [("rid", str(self._writer.rid)), ("sequence", str(self._writer.sequence))]

    def _erase(self, type: str, rid: int, sequence: int, method: int, date: int, content: bytes) -> int:
        count = self._forget(type, rid, None) + 1
        if method:
            self._unindex(type, rid, date, content)
        self._drop_texts(type, sequence, content)
        self._connection.execute("DELETE FROM resource WHERE rid = ?", (rid,))
        self._connection.execute(_NO_WRITES, (sequence,))
        self._connection.executemany(_HIGHEST, [*self._marks(), ("erased", str(rid))])
        return count

    def _find(self, type: str, id: str) -> Any:
        tid = self._writer.symbols.find(self._connection, type)
        return None if tid == UNKNOWN else self._connection.execute(_RESOURCE, (tid, id)).fetchone()

    def _forget(self, type: str, rid: int, version: int | None) -> int:
        past: Sequence[Any] = self._connection.execute(_PAST, (rid, version)).fetchall()
        for sequence, content in past:
            self._drop_texts(type, sequence, content)
        self._connection.execute(_NO_VERSIONS, (rid, version))
        self._connection.executemany(_NO_WRITES, [(sequence,) for sequence, _ in past])
        return len(past)

    def _unindex(self, type: str, rid: int, date: int, content: bytes) -> None:
        symbols = self._writer.symbols
        self._connection.execute(
            "DELETE FROM live WHERE tid = ? AND date = ? AND rid = ?", (symbols[type], date, rid)
        )
        rows = index_rows(self._extract(type, self._blobs.decompress(content)), rid, symbols)
        for table, some in zip(TABLES, rows, strict=True):
            self._connection.executemany(table.delete, [row[: table.identity] for row in some])

    def _drop_texts(self, type: str, sequence: int, content: bytes) -> None:
        whole = self._blobs.decompress(content)
        if whole:
            drop_texts(self._connection, sequence, lambda: self._extract(type, whole).texts())
