"""The store in a MongoDB replica set: any number of servers, on any number of machines.

Reads and searches are one call each; writes share transactions (see ``writer``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import zstandard
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from fhir_server.search.query import Query
from fhir_server.search.unfinished import Unfinished
from fhir_server.store import Examination, Explanation, Page, Reading, Record, Referring
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.mongo.batch import Extract
from fhir_server.stores.mongo.connection import Connection, Document, Place
from fhir_server.stores.mongo.examine import Examiner
from fhir_server.stores.mongo.explain import explain
from fhir_server.stores.mongo.faults import cannot_open, unavailable
from fhir_server.stores.mongo.feed import Feed
from fhir_server.stores.mongo.fulltext import behind
from fhir_server.stores.mongo.history import Scope, reached, read_changes, read_history
from fhir_server.stores.mongo.reader import Reader
from fhir_server.stores.mongo.rebuild import rebuild
from fhir_server.stores.mongo.search import Searches
from fhir_server.stores.mongo.seen import Seen
from fhir_server.stores.mongo.setup import prepare
from fhir_server.stores.mongo.ticks import JoinedReads
from fhir_server.stores.mongo.transaction import MongoTransaction
from fhir_server.stores.mongo.view import View, committed_view
from fhir_server.stores.mongo.writer import Writer
from fhir_server.stores.texts import TextIndex, TextsBehind

T = TypeVar("T")


class MongoStore:
    """See ``store.Store``. Make it with ``MongoStore.open``; one event loop uses it.

    ``drift`` says in what the database differs from what the program declares.
    """

    def __init__(
        self,
        place: Place,
        extract: Extract,
        unfinished: Unfinished,
        drift: Sequence[str] = (),
    ) -> None:
        self.unfinished = unfinished
        self.drift = tuple(drift)
        self._place = place
        self._extract = extract
        self._blobs = Blobs()
        self._connection = Connection(place)
        self._writer = Writer(self._connection, extract)
        self.commits = self._writer.commits
        self._view = committed_view(self._connection)
        self._reader = Reader(self._view, self._blobs)
        self._joined = JoinedReads(self._view, self._reader)
        self._searches = Searches(self._blobs, extract)
        self._feed = Feed(self._connection, self._view)
        self._texts = TextIndex(lambda: behind(self._view), self.transaction)

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        extract: Extract,
        unfinished: Unfinished | None = None,
    ) -> MongoStore:
        """Open the database of ``mongodb://…/name``, and make collections and indexes that are missing.

        ``extract(type, content)`` gives the index values of a stored version; searches of what is ``unfinished`` are
        refused. Raises StoreUnavailable when it cannot be used, without saying the password.
        """
        place = Place(uri)
        try:
            with _client(place) as client:
                drift = prepare(client, place.database)
        except PyMongoError as error:
            raise cannot_open(error) from error
        return cls(place, extract, unfinished if unfinished is not None else Unfinished(), drift)

    @staticmethod
    def reach(uri: str) -> None:
        """Raise StoreUnavailable unless the database has a primary now."""
        place = Place(uri)
        try:
            with _client(place) as client:
                client.admin.command("ping")
        except PyMongoError as error:
            raise cannot_open(error) from error

    def index_by(self, fingerprint: str) -> int | None:
        """Index everything anew, unless its values were made by the rules that ``fingerprint`` names (None): how many
        resources.

        To be called before the store is used. Raises StoreUnavailable; the next call then begins again.
        """
        self._writer.index = fingerprint
        try:
            with _client(self._place) as client:
                database = client[self._place.database]
                state = database.state.find_one({"_id": "store"})
                if state is not None and state["index"] == fingerprint:
                    return None
                return rebuild(database, self._blobs, self._extract, fingerprint)
        except (PyMongoError, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    def heed(self, types: Sequence[str], act: Callable[[Reading], Awaitable[None]]) -> None:
        """See ``opening.Heeding``. Raises StoreUnavailable."""

        async def look(view: View) -> None:
            await act(Seen(view, self._searches, self._blobs, self.unfinished))

        try:
            with _client(self._place) as client:
                state = client[self._place.database].state.find_one({"_id": "store"}) or {}
        except PyMongoError as error:
            raise unavailable(error) from error
        self._writer.heeding.heed(types, look, state.get("h", 0))

    def transaction(self) -> MongoTransaction:
        """See ``store.Store.transaction``."""
        return MongoTransaction(self._writer, self._searches, self._blobs, self._extract, self.unfinished)

    async def read(self, type: str, id: str) -> Record | None:
        """See ``store.Reading.read``."""
        return await self._joined.read(type, id)

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> list[Record]:
        """See ``store.Reading.read_many``."""
        return await self._reader.read_many(keys)

    async def read_version(self, type: str, id: str, version: int) -> Record | None:
        """See ``store.Reading.read_version``."""
        return await self._reader.read_version(type, id, version)

    async def search(self, query: Query) -> Page:
        """See ``store.Reading.search``."""
        return await self._ask(lambda view: self._searches.search(view, query), (query,))

    async def count(self, query: Query) -> int:
        """See ``store.Reading.count``."""
        return await self._ask(lambda view: self._searches.count(view, query), (query,))

    async def referring(self, queries: Sequence[Query], moment: tuple[int, int] | None = None) -> Referring:
        """See ``store.Reading.referring``."""
        return await self._ask(lambda view: self._searches.referring(view, queries, moment), queries)

    async def terms(self, key: int, limit: int) -> list[tuple[str, str]]:
        """See ``store.Reading.terms``."""
        self.unfinished.require_rows(key)
        return await self._ask(lambda view: self._searches.terms(view, key, limit))

    async def _ask(self, question: Callable[[View], Awaitable[T]], queries: Sequence[Query] = ()) -> T:
        """The answer of what is committed; when texts are not indexed yet, that of a transaction which has them.

        While the database looked, an index may have begun to be built anew.
        """
        self._require_complete(queries)
        try:
            answer = await question(self._view)
        except TextsBehind:
            answer = await self._ask_for_texts(question)
        self._require_complete(queries)
        return answer

    async def _ask_for_texts(self, question: Callable[[View], Awaitable[T]]) -> T:
        """Have the texts of everything indexed and ask before anybody writes anything more."""
        await self._texts.catch_up()
        async with self.transaction() as transaction:
            return await transaction.ask(question)

    def _require_complete(self, queries: Sequence[Query]) -> None:
        for query in queries:
            self.unfinished.require_complete(query)

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

    async def explain(self, query: Query) -> tuple[Explanation, ...]:
        """See ``store.Explaining.explain``."""
        return await self._ask(lambda view: explain(view, self._connection.explain, query), (query,))

    async def changes(self, after: int, limit: int = 1000) -> list[Record]:
        """See ``store.Store.changes``."""
        rows = await read_changes(self._view.steady(), after, limit)
        return [self._reader.record(row, row["n"]) for row in rows]

    async def wait(self, after: int, seconds: float) -> int:
        """See ``store.Store.wait``."""
        return await self._feed.wait(after, seconds)

    async def reached(self) -> tuple[int, int]:
        """See ``store.Store.reached``."""
        return await reached(self._view)

    async def size(self) -> int:
        """See ``store.Store.size``."""
        return await self._connection.size()

    async def examine(self, rules: str, *, fix: bool, told: Callable[[int], None]) -> Examination:
        """See ``store.Store.examine``."""
        return await asyncio.to_thread(self._examine, rules, fix, told)

    def _examine(self, rules: str, fix: bool, told: Callable[[int], None]) -> Examination:
        ignored = frozenset(self.unfinished)
        try:
            with _client(self._place) as client:
                database = client[self._place.database]
                return Examiner(database, self._extract, ignored, rules, fix, told).run(self.drift)
        except (PyMongoError, zstandard.ZstdError) as error:
            raise unavailable(error) from error

    async def check(self) -> None:
        """See ``store.Store.check``: one read, and one write that changes nothing."""
        await self.read("", "")
        async with self.transaction() as transaction:
            await transaction.touch()

    async def close(self) -> None:
        """See ``store.Store.close``."""
        await self._feed.close()
        await self._texts.close()
        await self._writer.close()
        await self._connection.close()


def _client(place: Place) -> MongoClient[Document]:
    """A client that blocks, for what is done before the store is used."""
    return MongoClient(place.uri, **{**place.options, "w": "majority"})
