"""Who builds the index: knows which parameters are in force, and has rows made in steps that disturb nobody.

The store is the truth: what is in force is read from it at the start and after every change of a SearchParameter,
and jobs say how far they are. The order of things makes the rows complete: first the registry changes in memory, so
that whatever is written from then on gets its new rows; then the first step takes its turn, behind all writes that
began before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from fhir_server.errors import Conflict, StoreUnavailable
from fhir_server.interactions.indexing.in_force import read_in_force
from fhir_server.interactions.indexing.jobs import PARAMETERS, REQUEST, Job, Unit
from fhir_server.interactions.indexing.ledger import Ledger
from fhir_server.interactions.indexing.plan import plan, units_of
from fhir_server.interactions.indexing.sharing import Sharing
from fhir_server.interactions.indexing.work import Work
from fhir_server.interactions.lease import Lease, LeaseLost
from fhir_server.search.contained import contained_type
from fhir_server.search.registry import Registry
from fhir_server.store import Reading, Store

AGAIN_AFTER: Final = 5.0
"""Seconds before what failed is tried again."""


class Indexer:
    """The index of one store. ``open`` it first; then ``run`` it in a task, or ``work_off`` what there is."""

    def __init__(
        self, store: Store, registry: Registry, now: Callable[[], datetime], new_id: Callable[[], str]
    ) -> None:
        self.registry = registry
        self.ledger = Ledger(store, now)
        self._store = store
        self._new_id = new_id
        self._work = Work(store, registry, self.ledger)
        self._sharing: Sharing | None = None
        self._renewing = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("fhir_server.indexing")

    # ── what is in force ──────────────────────────────────────────────────────

    async def open(self, rebuild: Callable[[], int | None]) -> int | None:
        """Put in force what the store says, and take up the jobs where they were left.

        ``rebuild`` makes all rows anew by what is in force, if the store needs it; how many resources, else None.
        """
        await self.ledger.read()
        await self._put_in_force()
        rebuilt = rebuild()
        if rebuilt is not None:
            await self.ledger.all_complete(self.registry.custom_arms())
        self._plan()
        return rebuilt

    def changed(self) -> asyncio.Task[None]:
        """To be called when a SearchParameter may have been written: the task that puts in force what there is."""
        task = asyncio.get_running_loop().create_task(self._renew_or_again())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _renew_or_again(self) -> None:
        try:
            await self._renew()
        except StoreUnavailable as error:
            self._log.error("the search parameters in force could not be read", error=str(error))
            asyncio.get_running_loop().call_later(AGAIN_AFTER, self.changed)

    async def _renew(self) -> None:
        async with self._renewing:
            await self._put_in_force()
            self._plan()

    async def _put_in_force(self) -> None:
        """In a turn of the writer, so that a commit that is under way comes first."""
        async with self._store.transaction() as transaction:
            self.registry.replace_stored(await read_in_force(transaction, self.registry))

    def _plan(self) -> None:
        """No waiting between the change of the registry and this: what is new must not be searched yet."""
        units = plan(self.registry.custom_arms(), self.ledger)
        if units:
            self._add(Job(self._new_id(), PARAMETERS, self.ledger.instant(), units))
        self.ledger.close(self.registry.unfinished)
        self._stirred.set()

    # ── what is asked for ─────────────────────────────────────────────────────

    async def request(self, types: Sequence[str], urls: Sequence[str], client: str) -> Job:
        """A job that makes the rows of ``types`` anew (() : all), or of them only those of the parameters ``urls``."""
        units: list[Unit] = []
        for type in types or sorted(self.registry.definitions.resource_types):
            if urls:
                keys = self._keys_of(type, urls)
                units += units_of(type, keys, keys) if keys else []
            else:
                units += [Unit(type, whole=True), Unit(contained_type(type), whole=True)]
        job = Job(self._new_id(), REQUEST, self.ledger.instant(), units, client=client)
        await self.ledger.keep(job)
        self._add(job)
        return job

    def _keys_of(self, type: str, urls: Sequence[str]) -> frozenset[int]:
        known = [each for each in self.registry.parameters(type).values() if each.url in urls]
        return frozenset(key for each in known for key in (*each.keys, *each.identifier_keys))

    async def cancel(self, id: str) -> Job:
        """End a job that was asked for; a type that it has begun is finished, because its rows were removed.

        Raises NotFound, and Conflict for one that cannot be cancelled.
        """
        job = await self.ledger.job(id)
        if job.reason != REQUEST:
            raise Conflict(
                "a parameter is indexed as long as it is in force: make its SearchParameter retired"
            )
        if not job.is_open:
            raise Conflict(f"the job is {job.status} already")
        for unit in job.units:
            if unit.state == "waiting":
                unit.state = "cancelled"
        await self.ledger.keep(job)
        return job

    def _add(self, job: Job) -> None:
        self.ledger.jobs.append(job)
        self._stirred.set()

    # ── work ──────────────────────────────────────────────────────────────────

    def hurry(self) -> None:
        """Nobody else wants the writer: take no breaks between the steps."""
        self._work.steps.idle = 0.0

    async def run(self) -> None:
        """Do jobs as they come, until the task is cancelled."""
        if self._sharing is not None:
            await self._sharing.run()
        while True:
            await self.stirred()
            await self.work_off()

    # ── several servers ───────────────────────────────────────────────────────

    def share(self, owner: str) -> Sharing:
        """From now on other servers use the store too; this one is called ``owner``, and no other one ever is."""
        self._sharing = Sharing(self, self._store, Lease(self._store, self.ledger.now, "indexing", owner))
        return self._sharing

    async def take_notice(self, reading: Reading, *, is_working: bool) -> None:
        """Another server has changed what is in force, or what is done about it: know what ``reading`` shows before
        anything is written. Who is working keeps its own jobs."""
        self.registry.replace_stored(await read_in_force(reading, self.registry))
        if is_working:
            await self.ledger.read_new(reading)
        else:
            await self.ledger.read(reading)
            unfinished = self.registry.unfinished
            unfinished.release(tuple(unfinished))
        self._plan()

    def work_under(self, lease: Lease | None, notice: float) -> None:
        """From now on do nothing without ``lease``, and give the others ``notice`` (seconds) before rows go."""
        self.ledger.lease = self._work.steps.lease = lease
        self._work.notice = notice

    @property
    def has_jobs(self) -> bool:
        """Whether something is known that has to be done."""
        return bool(self.ledger.jobs)

    async def stirred(self) -> None:
        """Wait until there may be something to do."""
        await self._stirred.wait()
        self._stirred.clear()

    def stir(self) -> None:
        """There may be something to do."""
        self._stirred.set()

    async def work_off(self) -> None:
        """Do all jobs there are, in order; one that fails is tried again until it succeeds.

        Raises LeaseLost when another server has taken over.
        """
        while self.ledger.jobs:
            job = self.ledger.jobs[0]
            try:
                await self._do(job)
                continue
            except LeaseLost:
                raise
            except (StoreUnavailable, Conflict) as error:
                job.fault = str(error)
                self._log.error("indexing failed and is tried again", job=job.id, error=job.fault)
            except Exception as error:
                job.fault = f"{type(error).__name__}: see the log of the server"
                self._log.exception("indexing failed and is tried again", job=job.id)
            await asyncio.sleep(AGAIN_AFTER)

    async def _do(self, job: Job) -> None:
        for unit in job.units:
            if unit.is_open:
                await self._work.do(job, unit)
        job.status = "cancelled" if any(unit.state == "cancelled" for unit in job.units) else "completed"
        job.finished, job.fault = self.ledger.instant(), ""
        await self.ledger.save(job)
        self.ledger.jobs.remove(job)
