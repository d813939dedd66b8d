"""The store in one SQLite file (or in memory): nothing to install, one machine.

One connection writes, one reads, one checkpoints. Reads run on the event loop (microseconds);
the commit, which waits for the disk, runs in a thread of its own (see ``writer``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import zstandard

from fhir_server.search.query import Query
from fhir_server.store import Page, Record, Referring
from fhir_server.stores.sqlite.batch import Extract
from fhir_server.stores.sqlite.blobs import Blobs
from fhir_server.stores.sqlite.checkpoint import Checkpoints
from fhir_server.stores.sqlite.faults import unavailable
from fhir_server.stores.sqlite.history import History, Scope, read_changes
from fhir_server.stores.sqlite.memos import Memos
from fhir_server.stores.sqlite.reader import Reader, TooSlow
from fhir_server.stores.sqlite.rebuild import rebuild
from fhir_server.stores.sqlite.schema import connect, prepare
from fhir_server.stores.sqlite.slow import SlowReader
from fhir_server.stores.sqlite.transaction import SqliteTransaction
from fhir_server.stores.sqlite.writer import Writer

T = TypeVar("T")

WRITE_CACHE = 32 * 1024
READ_CACHE = 24 * 1024
SLOW_CACHE = 8 * 1024
"""SQLite's page caches in kB."""

PATIENCE = 0.03
"""Seconds that a search may keep the event loop."""


class SqliteStore:
    """See ``store.Store``. Make it with ``SqliteStore.open``; one event loop uses it.

    ``indexed_again`` is how many resources had to be indexed anew when the file was opened.
    """

    def __init__(self, path: str, extract: Extract, durability: str) -> None:
        self.indexed_again = 0
        self._extract = extract
        self._blobs = Blobs()
        self._checkpoints = Checkpoints(lambda: connect(path, durability, 64))
        self._writer = Writer(
            lambda: connect(path, durability, WRITE_CACHE),
            self._checkpoints,
            wait_for_disk=durability == "full",
        )
        connection = connect(path, durability, READ_CACHE)
        symbols, memos = self._writer.symbols, Memos()
        self._reader = Reader(connection, self._blobs, symbols, extract, memos, PATIENCE)
        self._slow = SlowReader(lambda: connect(path, durability, SLOW_CACHE), symbols, extract, memos)
        self._checkpoints.start()

    @classmethod
    def open(
        cls, path: str | Path, *, extract: Extract, durability: str = "full", fingerprint: str = ""
    ) -> SqliteStore:
        """Open or make the database file ``path`` (its folder is made too).

        ``extract(type, content)`` gives the index values of a stored version, so that an update can
        remove the old rows; ``fingerprint`` names its rules: a file whose rows were made by others is indexed anew
        before it is used. ``durability``: "full" (on disk before the answer) or
        "normal" (within a second).
        Raises StoreUnavailable when the file is not ours, is damaged, or was written by a newer program.
        """
        file = Path(path)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            connection = connect(str(file), durability, 64)
            try:
                current = prepare(connection, str(file), fingerprint)
            finally:
                connection.close()
            again = 0 if current else _index_again(str(file), durability, extract, fingerprint)
            store = cls(str(file), extract, durability)
            store.indexed_again = again
            return store
        except (sqlite3.Error, OSError) as error:
            raise unavailable(error) from error

    def transaction(self) -> SqliteTransaction:
        """See ``store.Store.transaction``."""
        return SqliteTransaction(self._writer, self._blobs, self._extract)

    async def read(self, type: str, id: str) -> Record | None:
        """See ``store.Reading.read``."""
        return self._reader.read(type, id)

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> list[Record]:
        """See ``store.Reading.read_many``."""
        return self._reader.read_many(keys)

    async def read_version(self, type: str, id: str, version: int) -> Record | None:
        """See ``store.Reading.read_version``."""
        return self._reader.read_version(type, id, version)

    async def search(self, query: Query) -> Page:
        """See ``store.Reading.search``."""
        try:
            return self._reader.search(query)
        except TooSlow:
            return await self._slow.ask(lambda reader: reader.search(query))

    async def count(self, query: Query) -> int:
        """See ``store.Reading.count``."""
        return await self._ask(lambda reader: reader.count(query))

    async def referring(self, queries: Sequence[Query], moment: tuple[int, int] | None = None) -> Referring:
        """See ``store.Store.referring``."""
        return await self._ask(lambda reader: reader.referring(queries, moment))

    async def terms(self, key: int, limit: int) -> list[tuple[str, str]]:
        """See ``store.Store.terms``."""
        return await self._ask(lambda reader: reader.terms(key, limit))

    async def _ask(self, question: Callable[[Reader], T]) -> T:
        """Ask the reader of the event loop; when that takes too long, the one that has a thread."""
        try:
            return question(self._reader)
        except TooSlow:
            return await self._slow.ask(question)

    async def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        count: int = 20,
        since: int | None = None,
        at: int | None = None,
        cursor: str | None = None,
        total: bool = True,
    ) -> Page:
        """See ``store.Store.history``."""
        reader = self._reader
        try:
            scope = Scope(None if type is None else reader.type_number(type), id)
            history = History(reader.connection, scope, since, at)
            rows, following, counted = history.page(count, cursor, total=total)
            return Page(tuple(reader.record(*row) for row in rows), following, counted)
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    async def changes(self, after: int, limit: int = 1000) -> list[Record]:
        """See ``store.Store.changes``."""
        try:
            return [self._reader.record(*row) for row in read_changes(self._reader.connection, after, limit)]
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    async def check(self) -> None:
        """See ``store.Store.check``: one read, and one empty turn of the writer."""
        self._reader.read("", "")
        async with self.transaction():
            return

    async def close(self) -> None:
        """See ``store.Store.close``."""
        await self._slow.close()
        await self._writer.close()
        self._checkpoints.close()
        self._reader.connection.close()


def _index_again(path: str, durability: str, extract: Extract, fingerprint: str) -> int:
    def connection() -> sqlite3.Connection:
        return connect(path, durability, WRITE_CACHE)

    writer = Writer(connection, Checkpoints(connection), wait_for_disk=True)
    try:
        return rebuild(writer, Blobs(), extract, fingerprint)
    finally:
        writer.connection.close()
