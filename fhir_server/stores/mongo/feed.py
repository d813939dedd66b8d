"""What has been written is told by the database: a change stream of the ``state`` document, which every write changes.

It is one stream for all who wait in this process. An interrupted one goes on by the resume token of its last change,
which the driver keeps. When that cannot be (the oplog does not go back so far), a new one is begun and the state is
looked at once: what is told are sequences, so nothing can be missed in between.
Source: MongoDB manual, Change Streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from pymongo.errors import PyMongoError

from fhir_server.ending import end
from fhir_server.errors import StoreUnavailable
from fhir_server.stores.mongo.connection import Connection, Document
from fhir_server.stores.mongo.history import reached
from fhir_server.stores.mongo.view import View

AGAIN_AFTER: Final = 0.2
"""Seconds before a stream that ended is begun anew."""
LONGEST: Final = 10_000
"""Milliseconds that the database keeps a question when it has nothing to tell."""

_SEQUENCE: Final = "updateDescription.updatedFields.s"
_CHANGES: Final[Sequence[Document]] = (
    {"$match": {_SEQUENCE: {"$exists": True}}},
    {"$project": {_SEQUENCE: 1, "clusterTime": 1}},
)


class Feed:
    """The greatest sequence that is known to have been given out."""

    def __init__(self, connection: Connection, view: View) -> None:
        self._connection = connection
        self._view = view
        self._newest = 0
        self._moved = asyncio.Condition()
        self._following: asyncio.Task[None] | None = None

    async def wait(self, after: int, seconds: float) -> int:
        """See ``store.Store.wait``. While the database is away, nothing is known to have been written."""
        if self._following is None:
            self._following = asyncio.get_running_loop().create_task(self._follow())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self._newest > after)
        return self._newest

    async def close(self) -> None:
        """Follow no more."""
        if self._following is not None:
            await end(self._following, again=1.0)

    async def _follow(self) -> None:
        while True:
            with suppress(PyMongoError, StoreUnavailable):
                await self._follow_one_stream()
            await asyncio.sleep(AGAIN_AFTER)

    async def _follow_one_stream(self) -> None:
        state = self._connection.database.state
        async with self._connection.session() as session:
            stream = await state.watch(list(_CHANGES), max_await_time_ms=LONGEST, session=session)
            async with stream:
                self._connection.note(session)  # the stream may begin later than what a majority has by now
                await self._tell((await reached(self._view))[0])
                async for change in stream:
                    await self._take(change)

    async def _take(self, change: Any) -> None:
        self._connection.note_time(change["clusterTime"])
        await self._tell(change["updateDescription"]["updatedFields"]["s"])

    async def _tell(self, sequence: int) -> None:
        async with self._moved:
            self._newest = max(self._newest, sequence)
            self._moved.notify_all()
