"""A store seen from inside an open transaction, so that any interaction can take part in it.

What is read includes the transaction's own writes; a transaction that is opened is the one that is open already, and
its end decides about everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from fhir_server.search.query import Query
from fhir_server.store import Examination, Page, Record, Referring, Store, Transaction


class Joined:
    """See ``store.Store``."""

    def __init__(self, store: Store, transaction: Transaction) -> None:
        self.unfinished = store.unfinished
        self.commits = store.commits
        self._store = store
        self._transaction = transaction

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """The one that is open; leaving the block ends nothing."""
        return nullcontext(self._transaction)

    async def read(self, type: str, id: str) -> Record | None:
        """See ``store.Reading.read``."""
        return await self._transaction.read(type, id)

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> list[Record]:
        """See ``store.Reading.read_many``."""
        return await self._transaction.read_many(keys)

    async def read_version(self, type: str, id: str, version: int) -> Record | None:
        """See ``store.Reading.read_version``."""
        return await self._transaction.read_version(type, id, version)

    async def search(self, query: Query) -> Page:
        """See ``store.Reading.search``."""
        return await self._transaction.search(query)

    async def count(self, query: Query) -> int:
        """See ``store.Reading.count``."""
        return await self._transaction.count(query)

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
        return await self._transaction.history(
            type, id, count=count, since=since, at=at, cursor=cursor, total=total
        )

    async def referring(self, queries: Sequence[Query], moment: tuple[int, int] | None = None) -> Referring:
        """See ``store.Reading.referring``."""
        return await self._transaction.referring(queries, moment)

    async def terms(self, key: int, limit: int) -> list[tuple[str, str]]:
        """See ``store.Reading.terms``."""
        return await self._transaction.terms(key, limit)

    async def changes(self, after: int, limit: int = 1000) -> list[Record]:
        """See ``store.Store.changes``: what is committed."""
        return await self._store.changes(after, limit)

    async def wait(self, after: int, seconds: float) -> int:
        """See ``store.Store.wait``: for what is committed."""
        return await self._store.wait(after, seconds)

    async def reached(self) -> tuple[int, int]:
        """See ``store.Store.reached``: what is committed."""
        return await self._store.reached()

    async def size(self) -> int:
        """See ``store.Store.size``."""
        return await self._store.size()

    async def examine(self, rules: str, *, fix: bool, told: Callable[[int], None]) -> Examination:
        """See ``store.Store.examine``: of what is committed."""
        return await self._store.examine(rules, fix=fix, told=told)

    async def check(self) -> None:
        """A transaction is open, so reads and writes can be served."""

    async def close(self) -> None:
        """The store is closed by who opened it."""
