"""Indexing when several servers use one store: all of them know what is in force, one of them does the work.

A write must give a new search parameter its rows whichever server it reaches, so each transaction before which
another server has changed something takes notice first (``heed``). Searches only have to learn of it soon: each
server looks when something was written, at most once in EVERY seconds, and whoever is about to remove rows waits for
NOTICE seconds after it has told.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

import structlog

from fhir_server.ending import end
from fhir_server.errors import FhirError, StoreUnavailable
from fhir_server.interactions.indexing.in_force import TYPE as PARAMETER_TYPE
from fhir_server.interactions.indexing.jobs import COMPLETE_TYPE
from fhir_server.interactions.indexing.jobs import TYPE as JOB_TYPE
from fhir_server.interactions.lease import Lease, LeaseLost
from fhir_server.store import Reading, Store

HEEDED: Final = (PARAMETER_TYPE, COMPLETE_TYPE, JOB_TYPE)
"""The types whose records the servers have to know of."""
EVERY: Final = 0.25
LONGEST: Final = 60.0
"""Seconds to wait for a write."""
NOTICE: Final = 1.0
BUSY: Final = 2.0
"""Seconds after which to ask again for a lease that another server has."""


class Shared(Protocol):
    """What is done here of ``indexer.Indexer``."""

    async def take_notice(self, reading: Reading, *, is_working: bool) -> None:
        """Know what the store says."""

    def work_under(self, lease: Lease | None, notice: float) -> None:
        """Do nothing without the lease."""

    async def work_off(self) -> None:
        """Do all jobs there are."""

    async def stirred(self) -> None:
        """Wait until there may be something to do."""

    def stir(self) -> None:
        """There may be something to do."""

    @property
    def has_jobs(self) -> bool:
        """Whether something is known that has to be done."""


class Sharing:
    """One server among several. ``run`` it in a task; have the store call ``heed``."""

    def __init__(self, indexer: Shared, store: Store, lease: Lease) -> None:
        self._indexer = indexer
        self._store = store
        self._lease = lease
        self._is_working = False
        self._known: tuple[int, ...] | None = None
        self._log = structlog.get_logger("fhir_server.indexing")
        indexer.work_under(lease, NOTICE)

    async def heed(self, reading: Reading) -> None:
        """Another server has written what this one must know."""
        await self._indexer.take_notice(reading, is_working=self._is_working)

    async def run(self) -> None:
        """Know and work, until the task is cancelled."""
        looking = asyncio.get_running_loop().create_task(self._look())
        try:
            while True:
                await self._indexer.stirred()
                await self._work()
        finally:
            await end(looking, again=1.0)

    async def _work(self) -> None:
        if not self._indexer.has_jobs:
            return
        try:
            if await self._lease.take():
                await self._do_all()
                return
        except FhirError as error:
            self._log.warning("indexing waits", error=str(error))
        await asyncio.sleep(BUSY)
        self._indexer.stir()

    async def _do_all(self) -> None:
        """As the only one: take up what the last one left, then do all there is."""
        async with self._store.transaction() as transaction:
            await self.heed(transaction)
        self._is_working = True
        try:
            await self._indexer.work_off()
        except LeaseLost:
            self._log.warning("another server goes on with indexing")
        finally:
            self._is_working = False
        await self._lease.give_up()

    async def _look(self) -> None:
        seen = 0
        while True:
            with suppress(StoreUnavailable):
                written = await self._store.wait(seen, LONGEST)
                await self._look_once()
                seen = written
            await asyncio.sleep(EVERY)

    async def _look_once(self) -> None:
        newest = tuple([await self._newest(type) for type in HEEDED])
        if newest != self._known:
            async with self._store.transaction() as transaction:
                await self.heed(transaction)
        self._known = newest

    async def _newest(self, type: str) -> int:
        page = await self._store.history(type, count=1, total=False)
        return page.records[0].sequence if page.records else 0
