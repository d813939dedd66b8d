"""One unit of a job: the rows of some arms of one type are removed, and made for one resource after the other."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

from fhir_server.interactions.indexing.jobs import Job, Unit
from fhir_server.interactions.indexing.ledger import Ledger
from fhir_server.interactions.indexing.steps import MOST, TURN, Steps
from fhir_server.search.contained import contained_key, id_key, is_contained, plain_type, with_inside
from fhir_server.search.query import Query
from fhir_server.search.registry import Registry
from fhir_server.store import Step, Store, Transaction

SAVED_EVERY: Final = 2.0
"""Seconds between two saves of how far a job is; after a restart what came after the last one is done again."""


class Work:
    """Does units, step by step; what a step did is noted when it is committed.

    When parameters are retired meanwhile, the unit changes: it is looked at before each step. ``notice``: seconds
    that other servers get to see that rows are about to be removed.
    """

    def __init__(self, store: Store, registry: Registry, ledger: Ledger) -> None:
        self._store = store
        self._registry = registry
        self._ledger = ledger
        self.steps = Steps(store)
        self.notice = 0.0
        self._saved = perf_counter()

    async def do(self, job: Job, unit: Unit) -> None:
        """Begin or take up ``unit`` and end it; then its arms can be searched."""
        await self._begin(unit)
        if unit.total:  # else a restart has nothing to lose
            await self._save(job)
            await asyncio.sleep(self.notice)
        while unit.is_open:
            await (self._build(unit) if unit.dropped else self._drop(unit))
            if (unit.total and not unit.is_open) or perf_counter() - self._saved > SAVED_EVERY:
                await self._save(job)

    async def _save(self, job: Job) -> None:
        await self._ledger.save(job)
        self._saved = perf_counter()

    async def _begin(self, unit: Unit) -> None:
        if unit.whole and unit.state == "waiting":
            unit.drop = unit.build = self._all_arms(unit.type)
        unit.state = "running"
        self._ledger.close(self._registry.unfinished)
        unit.total = max(unit.done, await self._store.count(Query(unit.type)))

    def _all_arms(self, type: str) -> frozenset[int]:
        if is_contained(type):
            plain = plain_type(type)
            return frozenset({id_key(plain), *map(contained_key, self._registry.arms(plain))})
        return with_inside(self._registry.arms(type))

    async def _drop(self, unit: Unit) -> None:
        drop = unit.drop

        async def remove(transaction: Transaction) -> bool:
            return await transaction.unindex(drop, MOST) < MOST

        is_last = await self.steps.take(remove)
        unit.dropped = is_last and drop == unit.drop

    async def _build(self, unit: Unit) -> None:
        step = await self.steps.take(lambda transaction: self._index(transaction, unit))
        unit.done = min(unit.done + step.count, unit.total)
        unit.position = step.position or unit.position
        if step.position is None and unit.dropped:
            self._end(unit)

    async def _index(self, transaction: Transaction, unit: Unit) -> Step:
        if not unit.build:
            return Step(None, 0)
        return await transaction.index(unit.type, unit.build, unit.position, MOST, TURN)

    def _end(self, unit: Unit) -> None:
        unit.state, unit.done = "completed", unit.total
        custom = self._registry.custom_arms().get(unit.type, frozenset()) & unit.build
        if custom:
            self._ledger.complete.add(unit.type, custom)
        self._registry.unfinished.release(unit.keys)
        self._registry.remembered.forget()  # with it goes what a store worked out for a remembered search
        self._ledger.close(self._registry.unfinished)
        if unit.whole:
            unit.drop = unit.build = frozenset()
