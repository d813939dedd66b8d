"""Which servers are there: so that what a dead one has left open does not keep the others from writing.

A transaction of a server that was killed holds the ``state`` document until the database gives it up, after a minute.
Each server tells all the time that it lives, with the session that its transactions use; who waits ends the sessions
of those that have not told anything for STALE seconds. A server that was only held up loses what it had open, and
its clients are asked to send again. Times are the database's.
Source: MongoDB manual, killSessions, transactionLifetimeLimitSeconds.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from bson import Binary
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from fhir_server.ending import end
from fhir_server.stores.mongo.connection import Connection

EVERY: Final = 1.0
"""Seconds between two signs of life."""
STALE: Final = 5.0

_NOW: Final = {"$toLong": "$$NOW"}
_GONE: Final = {"$expr": {"$lt": ["$a", {"$subtract": [_NOW, round(STALE * 1000)]}]}}


class Presence:
    """The sign of life of one server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._id = str(uuid4())
        self._session: Binary | None = None
        self._telling: asyncio.Task[None] | None = None

    async def announce(self, session: AsyncClientSession) -> None:
        """From now on transactions use ``session``. Raises PyMongoError."""
        self._session = Binary(bytes(session.session_id["id"]), 4)
        await self._tell()
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._go_on_telling())

    async def clear_away(self) -> None:
        """End the transactions of servers that are gone."""
        with suppress(PyMongoError):
            gone = [each async for each in self._servers.find(_GONE)]
            if not gone:
                return
            sessions = [{"id": each["l"]} for each in gone]
            await self._connection.client.admin.command("killSessions", sessions)
            await self._servers.delete_many({"_id": {"$in": [each["_id"] for each in gone]}, **_GONE})

    async def close(self) -> None:
        """Be gone."""
        if self._telling is None:
            return
        await end(self._telling)
        with suppress(PyMongoError):
            await self._servers.delete_one({"_id": self._id})

    @property
    def _servers(self) -> Any:
        return self._connection.database.server

    async def _tell(self) -> None:
        change = [{"$set": {"l": self._session, "a": _NOW}}]
        await self._servers.update_one({"_id": self._id}, change, upsert=True)

    async def _go_on_telling(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            with suppress(PyMongoError):
                await self._tell()
