"""The store in one SQLite file (or in memory): nothing to install, one machine.

One connection writes, one reads, one checkpoints. Reads run on the event loop (microseconds);
the commit, which waits for the disk, runs in a thread of its own (see ``writer``).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import zstandard

from fhir_server.search.query import Query
from fhir_server.search.unfinished import Unfinished
from fhir_server.store import Examination, Explanation, Page, Record, Referring, Transaction
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.memos import Memos
from fhir_server.stores.sqlite.batch import Extract
from fhir_server.stores.sqlite.checkpoint import Checkpoints
from fhir_server.stores.sqlite.examine import examine
from fhir_server.stores.sqlite.faults import unavailable
from fhir_server.stores.sqlite.fulltext import behind
from fhir_server.stores.sqlite.history import read_changes, read_reached
from fhir_server.stores.sqlite.migrations import migrate
from fhir_server.stores.sqlite.queue import Queue
from fhir_server.stores.sqlite.reader import Reader, TooSlow
from fhir_server.stores.sqlite.rebuild import rebuild
from fhir_server.stores.sqlite.recent import RecentRecords
from fhir_server.stores.sqlite.schema import INDEXED_BY, connect, prepare
from fhir_server.stores.sqlite.slow import SlowReader
from fhir_server.stores.sqlite.sort_values import offer_sort_values
from fhir_server.stores.sqlite.soundness import is_held, require_room, require_sound
from fhir_server.stores.sqlite.totals import Totals
from fhir_server.stores.sqlite.transaction import SqliteTransaction
from fhir_server.stores.sqlite.writer import Writer
from fhir_server.stores.texts import TextIndex, TextsBehind

T = TypeVar("T")

WRITE_CACHE = 32 * 1024
READ_CACHE = 24 * 1024
SLOW_CACHE = 8 * 1024
"""SQLite's page caches in kB."""

RECOVERY = 1000
"""Milliseconds that a reader waits while another process repairs the log of one that was killed: nothing else locks
readers out."""

PATIENCE = 0.03
"""Seconds that a search may keep the event loop."""

LOOKED_EVERY = 0.05
"""Seconds between two looks at whether something was written; one takes about 10 µs."""

REPAIRED = 200
"""Resources whose index rows are repaired in one transaction."""


class SqliteStore:
    """See ``store.Store``. Make it with ``SqliteStore.open``; one event loop uses it."""

    def __init__(self, path: str, extract: Extract, durability: str, unfinished: Unfinished) -> None:

        def opened(cache: int) -> sqlite3.Connection:
            return offer_sort_values(connect(path, durability, cache), extract)

        self._extract = extract
        self._connect = lambda: opened(READ_CACHE)
        self._path = Path(path)
        self.drift: tuple[str, ...] = ()
        self.unfinished = unfinished
        self._blobs = Blobs()
        self._checkpoints = Checkpoints(lambda: connect(path, durability, 64))
        self._writer = Writer(
            lambda: opened(WRITE_CACHE),
            self._checkpoints,
            wait_for_disk=durability == "full",
        )
        self.commits = self._writer.commits
        connection = opened(READ_CACHE)
        connection.execute(f"PRAGMA busy_timeout = {RECOVERY:d}")
        symbols, memos, totals = self._writer.symbols, Memos(), Totals()
        self._reader = Reader(
            connection, self._blobs, symbols, extract, memos, PATIENCE, totals, RecentRecords()
        )
        self._slow = SlowReader(lambda: opened(SLOW_CACHE), symbols, extract, memos, totals)
        self._texts = TextIndex(self._texts_behind, self.transaction)
        self._checkpoints.start()

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        extract: Extract,
        durability: str = "full",
        unfinished: Unfinished | None = None,
    ) -> SqliteStore:
        """Open or make the database file ``path`` (its folder is made too).

        ``extract(type, content)`` gives the index values of a stored version, so that an update can
        remove the old rows; searches of what is ``unfinished`` are refused. ``durability``: "full" (on disk before
        the answer) or "normal" (within a second).
        Raises StoreUnavailable when the file is not ours, is damaged, or was written by a newer program.
        """
        file = Path(path)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            connection = connect(str(file), durability, 64)
            try:
                is_current = prepare(connection, str(file))
                require_sound(connection, str(file))
                if not is_current:
                    migrate(connection)
            finally:
                connection.close()
            return cls(str(file), extract, durability, unfinished if unfinished is not None else Unfinished())
        except (sqlite3.Error, OSError) as error:
            raise unavailable(error) from error

    @staticmethod
    def is_in_use(path: Path) -> bool:
        """True when somebody keeps the file open. Raises StoreUnavailable."""
        try:
            return path.exists() and is_held(path)
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def index_by(self, fingerprint: str) -> int | None:
        """Index everything anew, unless its rows were made by the rules that ``fingerprint`` names (None): how many
        resources.

        To be called before the store is used. Raises StoreUnavailable, leaving all as it was.
        """
        connection = self._writer.connection
        try:
            if connection.execute(INDEXED_BY).fetchone() == (fingerprint,):
                return None
            return rebuild(self._writer, self._blobs, self._extract, fingerprint)
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    def share(self, folder: Path) -> None:
        """Other processes use this database too; ``folder`` is one that all of them know, see ``queue``.

        Raises StoreUnavailable.
        """
        try:
            self._writer.share(Queue(folder))
        except OSError as error:
            raise unavailable(error) from error

    def heed(self, types: Sequence[str], act: Callable[[Transaction], Awaitable[None]]) -> None:
        """From now on call ``act`` at the beginning of each transaction before which another process has written a
        record of one of ``types``: what the transaction does, it does by what was written there."""
        self._writer.heed(types, act)

    def transaction(self) -> SqliteTransaction:
        """See ``store.Store.transaction``."""
        return SqliteTransaction(self._writer, self._blobs, self._extract, self.unfinished)

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
        self.unfinished.require_complete(query)
        try:
            return self._reader.search(query)
        except (TooSlow, TextsBehind) as error:
            return await self._ask_again(lambda reader: reader.search(query), (query,), error)

    async def count(self, query: Query) -> int:
        """See ``store.Reading.count``."""
        return await self._ask(lambda reader: reader.count(query), (query,))

    async def referring(self, queries: Sequence[Query], moment: tuple[int, int] | None = None) -> Referring:
        """See ``store.Reading.referring``."""
        return await self._ask(lambda reader: reader.referring(queries, moment), queries)

    async def terms(self, key: int, limit: int) -> list[tuple[str, str]]:
        """See ``store.Reading.terms``."""
        self.unfinished.require_rows(key)
        return await self._ask(lambda reader: reader.terms(key, limit))

    async def _ask(self, question: Callable[[Reader], T], queries: Sequence[Query] = ()) -> T:
        """Ask the reader of the event loop; when that takes too long, the one that has a thread."""
        for query in queries:
            self.unfinished.require_complete(query)
        try:
            return question(self._reader)
        except (TooSlow, TextsBehind) as error:
            return await self._ask_again(question, queries, error)

    async def _ask_again(
        self, question: Callable[[Reader], T], queries: Sequence[Query], error: TooSlow | TextsBehind
    ) -> T:
        """Ask the one that has a thread, and when texts are not indexed yet, a transaction.

        While they looked, an index may have begun to be built anew.
        """
        try:
            indexed = isinstance(error, TooSlow)
            answer = await (self._slow.ask(question) if indexed else self._ask_for_texts(question))
        except TextsBehind:
            answer = await self._ask_for_texts(question)
        for query in queries:
            self.unfinished.require_complete(query)
        return answer

    async def _texts_behind(self) -> int:
        return behind(self._reader.connection)

    async def _ask_for_texts(self, question: Callable[[Reader], T]) -> T:
        """Have the texts of everything indexed and ask before anybody writes anything more."""
        await self._texts.catch_up()
        async with self.transaction() as transaction:
            return await transaction.ask(question)

    async def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        count: int = 20,
        since: int | None = None,
        at: tuple[int, int] | None = None,
        cursor: str | None = None,
        total: bool = True,
    ) -> Page:
        """See ``store.Reading.history``."""
        return self._reader.history(type, id, count, since, at, cursor, total=total)

    async def explain(self, query: Query) -> tuple[Explanation, ...]:
        """See ``store.Explaining.explain``."""
        return await self._ask(lambda reader: reader.explain(query), (query,))

    async def changes(self, after: int, limit: int = 1000) -> list[Record]:
        """See ``store.Store.changes``."""
        try:
            return [self._reader.record(*row) for row in read_changes(self._reader.connection, after, limit)]
        except (sqlite3.Error, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    async def wait(self, after: int, seconds: float) -> int:
        """See ``store.Store.wait``. Nothing tells what other processes write, so one looks."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        newest, _ = await self.reached()
        while newest <= after and (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(LOOKED_EVERY, left))
            newest, _ = await self.reached()
        return newest

    async def reached(self) -> tuple[int, int]:
        """See ``store.Store.reached``."""
        try:
            return read_reached(self._reader.connection)
        except sqlite3.Error as error:
            raise unavailable(error) from error

    async def size(self) -> int:
        """See ``store.Store.size``."""
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    async def examine(self, rules: str, *, fix: bool, told: Callable[[int], None]) -> Examination:
        """See ``store.Store.examine``."""
        ignored = frozenset(self.unfinished)
        try:
            found = await asyncio.to_thread(examine, self._connect, self._extract, ignored, rules, told)
        except sqlite3.Error as error:
            raise unavailable(error) from error
        if fix:
            rids = list(found.differences)
            for start in range(0, len(rids) or 1, REPAIRED):
                some = {rid: found.differences[rid] for rid in rids[start : start + REPAIRED]}
                async with self.transaction() as transaction:
                    await transaction.repair(some, found.secondary)
        return found.told(is_repaired=fix)

    async def check(self) -> None:
        """See ``store.Store.check``: one read, and one write that changes nothing."""
        self._reader.read("", "")
        try:
            require_room(self._path)
        except OSError as error:
            raise unavailable(error) from error
        async with self.transaction() as transaction:
            await transaction.touch()

    async def close(self) -> None:
        """See ``store.Store.close``."""
        await self._slow.close()
        await self._texts.close()
        await self._writer.close()
        self._checkpoints.close()
        self._reader.connection.close()
