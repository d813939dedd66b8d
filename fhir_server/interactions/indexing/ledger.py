"""What is to be done with the index and what is complete, in memory as in the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fhir_server.errors import NotFound
from fhir_server.interactions.indexing.jobs import (
    Arms,
    Complete,
    Job,
    read_complete,
    read_job,
    read_jobs,
    write_complete,
    write_job,
)
from fhir_server.interactions.lease import Lease
from fhir_server.search.unfinished import Unfinished
from fhir_server.store import Reading, Store, Transaction


class Ledger:
    """``jobs``: those that are not done, in the order they are done in; ``complete``: the arms beyond R4's that are.

    ``lease``: whoever saves must have it, see ``steps``.
    """

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self.jobs: list[Job] = []
        self.complete = Complete()
        self.lease: Lease | None = None
        self._store = store
        self.now = now

    async def read(self, reading: Reading | None = None) -> None:
        """Take up what the store, or ``reading`` of it, says."""
        reading = reading or self._store
        self.complete = await read_complete(reading)
        self.jobs = [job for job in await read_jobs(reading) if job.is_open]

    async def read_new(self, reading: Reading) -> None:
        """Take up jobs that other servers have been asked for meanwhile."""
        known = {job.id for job in self.jobs}
        self.jobs += [job for job in await read_jobs(reading) if job.is_open and job.id not in known]

    async def all_complete(self, arms: Arms) -> None:
        """All rows of the store have just been made: of ``arms``, which are in force, too."""
        self.complete.arms = dict(arms)
        jobs, self.jobs = self.jobs, []
        async with self._store.transaction() as transaction:
            await write_complete(transaction, self.complete, self._microseconds())
            for job in jobs:
                job.status, job.finished = "completed", self.instant()
                await write_job(transaction, job, self._microseconds())

    async def save(self, job: Job) -> None:
        """Keep ``job``, and what is complete."""
        async with self._store.transaction() as transaction:
            await self.write(transaction, job)

    async def keep(self, job: Job) -> None:
        """Keep ``job`` alone, for whoever does it."""
        async with self._store.transaction() as transaction:
            await write_job(transaction, job, self._microseconds())

    async def write(self, transaction: Transaction, job: Job) -> None:
        """As ``save``, in a transaction that does more."""
        if self.lease is not None:
            await self.lease.require(transaction)
        await write_job(transaction, job, self._microseconds())
        await write_complete(transaction, self.complete, self._microseconds())

    async def job(self, id: str) -> Job:
        """The job called ``id``, a finished one too. Raises NotFound."""
        found = next((job for job in self.jobs if job.id == id), None) or await read_job(self._store, id)
        if found is None:
            raise NotFound(f"there is no job {id[:64]}")
        return found

    def close(self, unfinished: Unfinished) -> None:
        """Have searches refused of everything whose rows are missing or about to be."""
        for job in self.jobs:
            for unit in job.closed:
                unfinished.hold(unit.keys, unit)

    def instant(self) -> str:
        """Now, as an ISO 8601 instant."""
        return self.now().isoformat(timespec="milliseconds")

    def _microseconds(self) -> int:
        return round(self.now().timestamp() * 1_000_000)
