"""One client of the database per process, and what it promises: reads see what this process has written.

Every read outside a transaction is of majority-committed data (a failover does not take it back) and not older than
the last write acknowledged here (``afterClusterTime``).
Source: MongoDB manual, Causal Consistency and Read and Write Concerns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from bson import Timestamp
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from fhir_server.stores.mongo.faults import cannot_open, is_passing, unavailable

Document = dict[str, Any]

MAX_TIME: Final = 30_000
"""Milliseconds after which the database gives up a read."""
LARGE: Final = 100_000
"""Documents of one batch; the database ends a batch at 16 MB."""

OPTIONS: Final[Mapping[str, Any]] = {
    "appname": "fhir-server",
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 70_000,
    "maxPoolSize": 64,
}
"""What holds unless the URL says otherwise."""
NO_RETRIES: Final[Mapping[str, Any]] = {"retryWrites": False, "retryReads": False}
"""Retries are made here, where it is known what may be repeated."""


class Place:
    """Where ``FHIR_STORE`` points: ``uri`` and ``options`` for clients, the ``database``, and ``shown``, without user
    and password.

    Raises StoreUnavailable for a URL that cannot be used.
    """

    def __init__(self, uri: str) -> None:
        try:
            parsed = parse_uri(uri, warn=False)
        except (PyMongoError, ValueError) as error:
            raise cannot_open(error) from None
        self.uri = uri
        self.options = {name: value for name, value in OPTIONS.items() if name not in parsed["options"]}
        self.database: str = parsed["database"] or "fhir"
        hosts = ",".join(f"{host}:{port}" for host, port in parsed["nodelist"])
        self.shown = f"mongodb://{hosts}/{self.database}"


class Clock:
    """Stands at the time of the first question that was asked with it (None: none was)."""

    time: Timestamp | None = None


class Connection:
    """The client, its database, and the sessions that questions borrow. A write is in the journals of a majority of the
    members before it is acknowledged (``concern``)."""

    def __init__(self, place: Place) -> None:
        self.client: AsyncMongoClient[Document] = AsyncMongoClient(place.uri, **place.options, **NO_RETRIES)
        self.database: AsyncDatabase[Document] = self.client[place.database]
        self.concern = WriteConcern(w="majority", j=True)
        self.seen: Timestamp | None = None
        self._sessions: list[AsyncClientSession] = []

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncClientSession]:
        """A session that nobody else uses inside the block."""
        session = self._sessions.pop() if self._sessions else self.client.start_session()
        try:
            yield session
        except BaseException:
            await session.end_session()
            raise
        self._sessions.append(session)

    async def ask(self, command: Mapping[str, Any], *, clock: Clock | None = None) -> list[Document]:
        """The documents that the reading ``command`` (find, aggregate) gives outside transactions; with a ``clock``, as
        they were at its time.

        Asked once more when the primary has changed. Raises StoreUnavailable.
        """
        try:
            return await self._ask(command, clock)
        except PyMongoError as error:
            if not is_passing(error):
                raise unavailable(error) from error
        try:
            return await self._ask(command, clock)
        except PyMongoError as error:
            raise unavailable(error) from error

    async def _ask(self, command: Mapping[str, Any], clock: Clock | None) -> list[Document]:
        concern: Document = {"level": "snapshot" if clock is not None else "majority"}
        if clock is not None and clock.time is not None:
            concern["atClusterTime"] = clock.time
        elif self.seen is not None:
            concern["afterClusterTime"] = self.seen
        limited = {**command, "readConcern": concern, "maxTimeMS": MAX_TIME}
        async with self.session() as session:
            return await self.documents(limited, session, clock)

    async def documents(
        self, command: Document, session: AsyncClientSession, clock: Clock | None = None
    ) -> list[Document]:
        """All documents that ``command`` gives in ``session``; sets a ``clock`` that stands nowhere yet. Raises
        PyMongoError."""
        answer = await self.database.command(command, session=session)
        cursor = answer["cursor"]
        if clock is not None and clock.time is None:
            clock.time = cursor["atClusterTime"]
        found: list[Document] = cursor["firstBatch"]
        while cursor["id"]:
            more = {"getMore": cursor["id"], "collection": next(iter(command.values())), "batchSize": LARGE}
            cursor = (await self.database.command(more, session=session))["cursor"]
            found += cursor["nextBatch"]
        return found

    async def explain(self, command: Mapping[str, Any]) -> Document:
        """How the database carries out the reading ``command``. Raises StoreUnavailable."""
        asked = {"explain": dict(command), "verbosity": "executionStats", "maxTimeMS": MAX_TIME}
        try:
            return await self.database.command(asked)
        except PyMongoError as error:
            raise unavailable(error) from error

    async def size(self) -> int:
        """Bytes on disk, indexes included. Raises StoreUnavailable."""
        try:
            told = await self.database.command("dbStats")
        except PyMongoError as error:
            raise unavailable(error) from error
        return int(told["storageSize"] + told["indexSize"])

    def note(self, session: AsyncClientSession) -> None:
        """From now on reads see what ``session`` has done."""
        if session.operation_time is not None:
            self.note_time(session.operation_time)

    def note_time(self, time: Timestamp) -> None:
        """From now on reads see what the database had at ``time``."""
        if self.seen is None or time > self.seen:
            self.seen = time

    async def close(self) -> None:
        """Let go of the database."""
        for session in self._sessions:
            await session.end_session()
        await self.client.close()
