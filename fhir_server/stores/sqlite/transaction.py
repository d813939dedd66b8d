"""One transaction: writes are gathered and go to the tables in one piece, at its end or before a search in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence, Set
from math import inf
from types import TracebackType
from typing import Final, TypeVar

from fhir_server.errors import StoreUnavailable
from fhir_server.search.index import IndexValues
from fhir_server.search.query import Query
from fhir_server.search.unfinished import Unfinished
from fhir_server.store import Page, Record, Referring, Step
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.sqlite.batch import Batch, Extract
from fhir_server.stores.sqlite.erase import Eraser
from fhir_server.stores.sqlite.faults import unavailable
from fhir_server.stores.sqlite.fulltext import behind, index_writes
from fhir_server.stores.sqlite.index_check import Difference, repair
from fhir_server.stores.sqlite.reader import Reader
from fhir_server.stores.sqlite.rebuild import Part, index_some, unindex_some
from fhir_server.stores.sqlite.writer import Group, Writer
from fhir_server.stores.texts import TextsBehind, finish

T = TypeVar("T")

TOUCH: Final = "INSERT OR REPLACE INTO meta VALUES ('touched', '')"

LARGE: Final = 250
"""Gathered resources that are written before the end, to bound memory and the time that others wait meanwhile."""


class SqliteTransaction:
    """See ``store.Transaction``. It holds the writer's turn from ``async with`` to the end of the block."""

    def __init__(self, writer: Writer, blobs: Blobs, extract: Extract, unfinished: Unfinished) -> None:
        self._writer = writer
        self._blobs = blobs
        self._extract = extract
        self._unfinished = unfinished
        self._batch = Batch(writer, blobs, extract)
        self._saved = False
        self._broken: sqlite3.Error | None = None
        self._group: Group
        self._reader: Reader

    async def __aenter__(self) -> SqliteTransaction:
        await self._writer.enter()
        try:
            self._group = await self._writer.join()
        except BaseException:
            self._writer.turn.release()
            raise
        writer = self._writer
        self._reader = Reader(writer.connection, self._blobs, writer.symbols, self._extract)
        if writer.has_news:
            await self._take_notice()
        return self

    async def _take_notice(self) -> None:
        """Other processes have written what this one heeds."""
        try:
            await self._writer.tell(self)
        except BaseException:
            self._undo()
            self._writer.turn.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
                waiting = self._writer.join_commit(self._group)
            else:
                self._undo()
        finally:
            self._writer.leave(self._group)
        if error is None:
            await self._writer.committed(waiting)

    async def read(self, type: str, id: str) -> Record | None:
        """See ``store.Reading.read``."""
        self._check()
        key = (type, id)
        pending = self._batch.records.get(key)
        if pending is None and self._group.pending is not None:
            pending = self._group.pending.records.get(key)
        return pending or self._reader.read(type, id)

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> list[Record]:
        """See ``store.Reading.read_many``."""
        self._flush()
        return self._reader.read_many(keys)

    async def read_version(self, type: str, id: str, version: int) -> Record | None:
        """See ``store.Reading.read_version``."""
        self._flush()
        return self._reader.read_version(type, id, version)

    async def search(self, query: Query) -> Page:
        """See ``store.Reading.search``."""
        self._unfinished.require_complete(query)
        return await self.ask(lambda reader: reader.search(query))

    async def count(self, query: Query) -> int:
        """See ``store.Reading.count``."""
        self._unfinished.require_complete(query)
        return await self.ask(lambda reader: reader.count(query))

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
        self._flush()
        return self._reader.history(type, id, count, since, at, cursor, total=total)

    async def referring(self, queries: Sequence[Query], moment: tuple[int, int] | None = None) -> Referring:
        """See ``store.Reading.referring``."""
        for query in queries:
            self._unfinished.require_complete(query)
        return await self.ask(lambda reader: reader.referring(queries, moment))

    async def terms(self, key: int, limit: int) -> list[tuple[str, str]]:
        """See ``store.Reading.terms``."""
        self._unfinished.require_rows(key)
        return await self.ask(lambda reader: reader.terms(key, limit))

    async def ask(self, question: Callable[[Reader], T]) -> T:
        """What ``question`` makes of everything written so far, texts included. Raises StoreUnavailable when that
        is more than can be indexed at once."""
        self._flush()
        try:
            return question(self._reader)
        except TextsBehind:
            await finish(behind(self._writer.connection), self)
        return await self._writer.in_thread(lambda: question(self._reader))

    async def touch(self) -> None:
        """Write something that changes nothing: shows whether the disk takes it."""
        self._flush()
        self._apart(lambda: self._writer.connection.execute(TOUCH))

    async def index_texts(self, seconds: float) -> int:
        """Go on with the index of texts for so long; how many writes are left. Searches need it: see ``fulltext``."""
        self._flush()
        self._apart(lambda: None)
        connection = self._writer.connection
        try:
            return await self._writer.in_thread(lambda: index_writes(connection, self._extract, seconds))
        except sqlite3.Error as error:
            raise self._break(error) from error

    async def put(self, record: Record, values: IndexValues) -> None:
        """See ``store.Transaction.put``."""
        self._gather(record, values)

    async def delete(self, record: Record) -> None:
        """See ``store.Transaction.delete``."""
        self._gather(record, None)

    async def restore(self, record: Record) -> None:
        """See ``store.Transaction.restore``."""
        values = None if record.deleted else self._extract(record.type, record.content)
        self._gather(record, values, is_restored=True)

    async def reserve(self, sequence: int, number: int) -> None:
        """See ``store.Transaction.reserve``."""
        self._flush()
        self._apart(lambda: self._eraser.reserve(sequence, number))

    async def forget(self, type: str, id: str, version: int | None = None) -> int:
        """See ``store.Transaction.forget``."""
        self._flush()
        return self._apart(lambda: self._eraser.forget(type, id, version))

    async def erase(self, type: str, id: str) -> int:
        """See ``store.Transaction.erase``."""
        self._flush()
        return self._apart(lambda: self._eraser.erase(type, id))

    @property
    def _eraser(self) -> Eraser:
        return Eraser(self._writer, self._blobs, self._extract)

    async def index(
        self, type: str, keys: Set[int], after: str, limit: int, seconds: float | None = None
    ) -> Step:
        """See ``store.Transaction.index``."""
        self._flush()
        part = Part(type, keys, after, limit, inf if seconds is None else seconds)
        return self._apart(lambda: index_some(self._writer, self._blobs, self._extract, part))

    async def repair(self, differences: Mapping[int, Difference], secondary: Set[int]) -> None:
        """Make the index rows right that ``store.Store.examine`` found wrong."""
        self._flush()
        self._apart(lambda: repair(self._writer, self._blobs, self._extract, differences, secondary))

    async def unindex(self, keys: Set[int], limit: int) -> int:
        """See ``store.Transaction.unindex``."""
        self._flush()
        return self._apart(lambda: unindex_some(self._writer, keys, limit))

    def _gather(self, record: Record, values: IndexValues | None, *, is_restored: bool = False) -> None:
        key, pending, others = (record.type, record.id), self._batch.records, self._group.pending
        if key in pending or len(pending) >= LARGE or (others is not None and key in others.records):
            self._flush()
        self._check()
        try:
            if is_restored:
                self._batch.restore(record, values)
            else:
                self._batch.put(record, values)
        except sqlite3.Error as error:
            raise self._break(error) from error

    def _check(self) -> None:
        """Once the database has failed, nothing more can be done in this transaction."""
        if self._broken is not None:
            raise unavailable(self._broken) from self._broken

    def _break(self, error: sqlite3.Error) -> StoreUnavailable:
        """The database failed: everything in the group is undone."""
        self._broken, self._saved = error, False
        self._writer.fail(error)
        return unavailable(error)

    def _finish(self) -> None:
        """The end of a block without an exception: leave the writes to the group, or complete them."""
        self._check()
        if self._saved or len(self._batch.records) >= LARGE:
            self._flush()
            self._release()
        elif self._batch.records:
            self._group.written = True
            self._hand_over()

    def _hand_over(self) -> None:
        group = self._group
        if not isinstance(group.pending, Batch):
            group.pending = self._batch
        elif len(group.pending.records) < LARGE:
            group.pending.absorb(self._batch)
        else:
            self._flush()
            self._release()

    def _flush(self) -> None:
        self._check()
        try:
            self._group.flush()
        except sqlite3.Error as error:
            raise self._break(error) from error
        if self._batch.records:
            self._apart(self._batch.write)

    def _apart(self, write: Callable[[], T]) -> T:
        """Run ``write``, which changes the tables, so that it can be undone without the other members' writes."""
        try:
            if not self._saved:
                self._writer.connection.execute("SAVEPOINT member")
                self._saved = True
            self._group.written = True
            return write()
        except sqlite3.Error as error:
            raise self._break(error) from error
        except BaseException:
            self._undo()
            raise

    def _release(self) -> None:
        try:
            if self._saved:
                self._writer.connection.execute("RELEASE member")
        except sqlite3.Error as error:
            raise self._break(error) from error

    def _undo(self) -> None:
        if self._saved:
            self._saved = False
            try:
                self._writer.connection.execute("ROLLBACK TO member")
                self._writer.connection.execute("RELEASE member")
                self._writer.forget()
            except sqlite3.Error as error:
                self._break(error)
