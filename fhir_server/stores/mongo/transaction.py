"""One transaction: its writes are gathered, and go to the database with those of its group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence, Set
from math import inf
from types import TracebackType
from typing import TypeVar

from pymongo.errors import PyMongoError

from fhir_server.errors import FhirError
from fhir_server.search.index import IndexValues
from fhir_server.search.query import Query
from fhir_server.search.unfinished import Unfinished
from fhir_server.store import Page, Record, Referring, Step
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.mongo.batch import Extract, Stored, Write, gather, require_later
from fhir_server.stores.mongo.documents import METHODS
from fhir_server.stores.mongo.erase import erase, forget
from fhir_server.stores.mongo.faults import unavailable
from fhir_server.stores.mongo.fulltext import behind, index_writes
from fhir_server.stores.mongo.group import Group, Member
from fhir_server.stores.mongo.history import Scope, read_history
from fhir_server.stores.mongo.reader import Reader
from fhir_server.stores.mongo.rebuild import index_some, unindex_some
from fhir_server.stores.mongo.search import Searches
from fhir_server.stores.mongo.view import View
from fhir_server.stores.mongo.writer import Writer
from fhir_server.stores.texts import TextsBehind, finish

T = TypeVar("T")


class MongoTransaction:
    """See ``store.Transaction``. It holds the writer's turn from ``async with`` to the end of the block."""

    def __init__(
        self, writer: Writer, searches: Searches, blobs: Blobs, extract: Extract, unfinished: Unfinished
    ) -> None:
        self._writer = writer
        self._searches = searches
        self._blobs = blobs
        self._extract = extract
        self._unfinished = unfinished
        self._member = Member()
        self._broken: FhirError | None = None
        self._group: Group

    async def __aenter__(self) -> MongoTransaction:
        await self._writer.turn.acquire()
        self._group = self._writer.join()
        self._member.noticed = self._writer.heeding.noticed
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        broken = self._broken
        try:
            if error is None and broken is None:
                await self._writer.end(self._group, self._member)
            else:
                await self._group.undo(self._member, broken=broken is not None)
        finally:
            self._writer.turn.release()
        if error is None:
            self._check()
            await self._writer.committed(self._member)

    # ── reading ───────────────────────────────────────────────────────────────

    async def read(self, type: str, id: str) -> Record | None:
        """See ``store.Reading.read``."""
        self._check()
        self._member.has_read = True
        key = (type, id)
        for records in (self._member.records, self._group.records):
            if key in records:
                return records[key]
        stored = await self._look(type, id)
        return None if stored is None else self._record(type, id, stored)

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> list[Record]:
        """See ``store.Reading.read_many``."""
        return await self.ask(lambda view: Reader(view, self._blobs).read_many(keys))

    async def read_version(self, type: str, id: str, version: int) -> Record | None:
        """See ``store.Reading.read_version``."""
        return await self.ask(lambda view: Reader(view, self._blobs).read_version(type, id, version))

    async def search(self, query: Query) -> Page:
        """See ``store.Reading.search``."""
        self._unfinished.require_complete(query)
        return await self.ask(lambda view: self._searches.search(view, query))

    async def count(self, query: Query) -> int:
        """See ``store.Reading.count``."""
        self._unfinished.require_complete(query)
        return await self.ask(lambda view: self._searches.count(view, query))

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
        scope = Scope(type, id, since, at)
        return await self.ask(lambda view: read_history(view, self._blobs, scope, count, cursor, total=total))

    async def referring(self, queries: Sequence[Query], moment: tuple[int, int] | None = None) -> Referring:
        """See ``store.Reading.referring``."""
        for query in queries:
            self._unfinished.require_complete(query)
        return await self.ask(lambda view: self._searches.referring(view, queries, moment))

    async def terms(self, key: int, limit: int) -> list[tuple[str, str]]:
        """See ``store.Reading.terms``."""
        self._unfinished.require_rows(key)
        return await self.ask(lambda view: self._searches.terms(view, key, limit))

    async def ask(self, question: Callable[[View], Awaitable[T]]) -> T:
        """What ``question`` makes of everything written so far, texts included. Raises StoreUnavailable when that
        is more than can be indexed at once."""
        self._member.has_read = True

        async def answer() -> T:
            await self._group.flush(self._member)
            return await question(self._group.view)

        try:
            return await self._try(answer)
        except TextsBehind:
            await finish(await self._try(lambda: behind(self._group.view)), self)
        return await self._try(answer)

    async def index_texts(self, seconds: float) -> int:
        """Go on with the index of texts for so long; how many writes are left. Searches need it: see ``fulltext``."""
        group = self._group

        async def index() -> int:
            await group.flush(self._member)
            self._member.acted = True
            return await index_writes(group.session, group.view, self._blobs, self._extract, seconds)

        return await self._try(index)

    # ── writing ───────────────────────────────────────────────────────────────

    async def put(self, record: Record, values: IndexValues) -> None:
        """See ``store.Transaction.put``."""
        await self._gather(record, values)

    async def delete(self, record: Record) -> None:
        """See ``store.Transaction.delete``."""
        await self._gather(record, None)

    async def forget(self, type: str, id: str, version: int | None = None) -> int:
        """See ``store.Transaction.forget``."""
        return await self._act(lambda: forget(self._group.session, type, id, version))

    async def erase(self, type: str, id: str) -> int:
        """See ``store.Transaction.erase``."""
        erased = await self._act(lambda: erase(self._group.session, type, id))
        self._member.records[type, id] = None
        self._member.newest.pop((type, id), None)
        self._group.newest.pop((type, id), None)
        self._group.known[type, id] = None
        return erased

    async def restore(self, record: Record) -> None:
        """See ``store.Transaction.restore``."""
        fresh = self._member.fresh
        if fresh and fresh[-1].is_restored:
            reached = fresh[-1].record.sequence
        else:
            await self.ask(_nothing)
            reached = self._group.reached.sequence
        require_later(record, record.sequence > reached and record.number > 0)
        values = None if record.deleted else self._extract(record.type, record.content)
        self._keep(record, values, await self._before(record, is_restored=True), is_restored=True)

    async def reserve(self, sequence: int, number: int) -> None:
        """See ``store.Transaction.reserve``."""

        async def reserve() -> None:
            self._group.reserve(sequence, number)

        await self._act(reserve)

    async def index(
        self, type: str, keys: Set[int], after: str, limit: int, seconds: float | None = None
    ) -> Step:
        """See ``store.Transaction.index``."""
        session, left = self._group.session, inf if seconds is None else seconds
        return await self._act(
            lambda: index_some(session, self._blobs, self._extract, type, keys, after, limit, left)
        )

    async def unindex(self, keys: Set[int], limit: int) -> int:
        """See ``store.Transaction.unindex``."""
        return await self._act(lambda: unindex_some(self._group.session, keys, limit))

    async def touch(self) -> None:
        """Write something that changes nothing: whether the database takes writes."""
        await self._try(self._group.open)

    async def _act(self, change: Callable[[], Awaitable[T]]) -> T:
        """Run ``change``, which goes past the gathered writes."""

        async def acted() -> T:
            await self._group.flush(self._member)
            self._member.acted = True
            self._group.erased += 1
            return await change()

        return await self._try(acted)

    async def _gather(self, record: Record, values: IndexValues | None) -> None:
        self._check()
        self._keep(record, values, await self._before(record))

    def _keep(
        self,
        record: Record,
        values: IndexValues | None,
        before: Stored | Write | None,
        *,
        is_restored: bool = False,
    ) -> None:
        write = gather(record, values, before, self._blobs, is_restored=is_restored)
        write.require_follows(0 if before is None else _version(before))
        self._member.gather(write)

    async def _before(self, record: Record, *, is_restored: bool = False) -> Stored | Write | None:
        """The current version; None when there is none, or when nobody has looked and this would be the first."""
        key = (record.type, record.id)
        for newest in (self._member.newest, self._group.newest):
            if key in newest:
                return newest[key]
        if record.version == 1 or is_restored:
            return self._group.known.get(key) if self._group.session.is_open else None
        self._member.has_read = True
        return await self._look(*key)

    async def _look(self, type: str, id: str) -> Stored | None:
        """What the database has, all gathered writes aside."""

        async def look() -> Stored | None:
            await self._group.open()
            await self._group.look([(type, id)])
            return self._group.known[type, id]

        return await self._try(look)

    def _record(self, type: str, id: str, stored: Stored) -> Record:
        content = self._blobs.decompress(stored.content)
        method = METHODS[stored.method]
        return Record(type, id, stored.version, stored.updated, method, content, stored.sequence)

    async def _try(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work``; once the database has failed, nothing more can be done in this transaction."""
        self._check()
        try:
            return await work()
        except PyMongoError as error:
            self._broken = unavailable(error)
            raise self._broken from error

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken


async def _nothing(view: View) -> None:
    """Asks nothing: all that is wanted is that everything written is flushed."""


def _version(before: Stored | Write) -> int:
    return before.record.version if isinstance(before, Write) else before.version
