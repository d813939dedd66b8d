"""Reads of single resources, joined: what is asked for in one turn of the event loop is one call of the database."""

from __future__ import annotations

import asyncio
from typing import Final

from fhir_server.errors import FhirError
from fhir_server.store import Record
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.reader import RECORD, Reader
from fhir_server.stores.mongo.view import View

AT_ONCE: Final = 2
"""Calls under way together; what comes meanwhile goes into the next one."""

Answer = asyncio.Future[Document | None]


class JoinedReads:
    """Reads current versions of what is committed."""

    def __init__(self, view: View, reader: Reader) -> None:
        self._view = view
        self._reader = reader
        self._wanted: dict[str, Answer] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_scheduled = False

    async def read(self, type: str, id: str) -> Record | None:
        """See ``store.Reading.read``."""
        key = f"{type}/{id}"
        answer = self._wanted.get(key)
        if answer is None:
            loop = asyncio.get_running_loop()
            self._wanted[key] = answer = loop.create_future()
            if not self._is_scheduled and len(self._under_way) < AT_ONCE:
                self._is_scheduled = True
                loop.call_soon(self._go)
        row = await asyncio.shield(answer)
        return None if row is None else self._reader.record(row)

    def _go(self) -> None:
        self._is_scheduled = False
        if self._wanted:
            wanted, self._wanted = self._wanted, {}
            task = asyncio.get_running_loop().create_task(self._ask(wanted))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._go()

    async def _ask(self, wanted: dict[str, Answer]) -> None:
        try:
            rows = await self._view.find("resource", {"_id": {"$in": list(wanted)}}, projection=RECORD)
        except FhirError as error:
            _fail(wanted, error)
            return
        found = {row["_id"]: row for row in rows}
        for key, answer in wanted.items():
            if not answer.done():
                answer.set_result(found.get(key))


def _fail(wanted: dict[str, Answer], error: FhirError) -> None:
    for answer in wanted.values():
        if not answer.done():
            answer.set_exception(error)
            answer.exception()
