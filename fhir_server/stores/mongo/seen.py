"""What one view shows, as ``store.Reading``: for who looks at the store from inside a group that has just begun."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.search.query import Query
from fhir_server.search.unfinished import Unfinished
from fhir_server.store import Page, Record, Referring
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.mongo.history import Scope, read_history
from fhir_server.stores.mongo.reader import Reader
from fhir_server.stores.mongo.search import Searches
from fhir_server.stores.mongo.view import View


class Seen:
    """See ``store.Reading``. What members of the group have gathered is not shown."""

    def __init__(self, view: View, searches: Searches, blobs: Blobs, unfinished: Unfinished) -> None:
        self._view = view
        self._searches = searches
        self._blobs = blobs
        self._reader = Reader(view, blobs)
        self._unfinished = unfinished

    async def read(self, type: str, id: str) -> Record | None:
        """See ``store.Reading.read``."""
        return await self._reader.read(type, id)

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> list[Record]:
        """See ``store.Reading.read_many``."""
        return await self._reader.read_many(keys)

    async def read_version(self, type: str, id: str, version: int) -> Record | None:
        """See ``store.Reading.read_version``."""
        return await self._reader.read_version(type, id, version)

    async def search(self, query: Query) -> Page:
        """See ``store.Reading.search``."""
        self._unfinished.require_complete(query)
        return await self._searches.search(self._view, query)

    async def count(self, query: Query) -> int:
        """See ``store.Reading.count``."""
        self._unfinished.require_complete(query)
        return await self._searches.count(self._view, query)

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
        return await read_history(self._view, self._blobs, scope, count, cursor, total=total)

    async def referring(self, queries: Sequence[Query], moment: tuple[int, int] | None = None) -> Referring:
        """See ``store.Reading.referring``."""
        for query in queries:
            self._unfinished.require_complete(query)
        return await self._searches.referring(self._view, queries, moment)

    async def terms(self, key: int, limit: int) -> list[tuple[str, str]]:
        """See ``store.Reading.terms``."""
        self._unfinished.require_rows(key)
        return await self._searches.terms(self._view, key, limit)
