"""Jobs of indexing: what is to be built, how far it is; kept in the store, so that a restart goes on.

A job is an internal ``_Job`` record. Beside the jobs stands one record of which arms beyond R4's are complete: what
is in force and not complete is to be built, what is complete and not in force is to be removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import orjson

from fhir_server.interactions.paging import all_pages
from fhir_server.search.index import IndexValues
from fhir_server.search.query import Query
from fhir_server.search.unfinished import Progress
from fhir_server.store import Reading, Record, Transaction

TYPE: Final = "_Job"
PARAMETERS: Final = "parameters"
REQUEST: Final = "request"
COMPLETE_TYPE: Final = "_Index"
COMPLETE_ID: Final = "complete"

Arms = Mapping[str, frozenset[int]]
"""type → keys of arms."""


@dataclass(slots=True)
class Unit(Progress):
    """The rows of some arms of one type: ``drop`` are removed, then ``build`` are made.

    ``whole``: all arms that the type has when the work begins. ``state`` is waiting, running, completed or
    cancelled; ``dropped`` says that the removing is done, ``position`` is the id of the last resource whose rows
    are made.
    """

    drop: frozenset[int] = frozenset()
    build: frozenset[int] = frozenset()
    whole: bool = False
    state: str = "waiting"
    dropped: bool = False
    position: str = ""

    @property
    def keys(self) -> frozenset[int]:
        """The arms that cannot be searched meanwhile."""
        return self.drop | self.build

    @property
    def is_open(self) -> bool:
        """True while there is something left to do."""
        return self.state in {"waiting", "running"}


@dataclass(slots=True)
class Job:
    """One job. ``reason`` is PARAMETERS (they changed) or REQUEST (of ``client``); times are ISO 8601 instants.

    ``status`` is active, completed or cancelled. ``fault`` tells why the last step failed; it is tried again.
    """

    id: str
    reason: str
    requested: str
    units: list[Unit]
    client: str = ""
    status: str = "active"
    finished: str = ""
    fault: str = ""
    version: int = 0

    @property
    def is_open(self) -> bool:
        """True while there is something left to do."""
        return self.status == "active"

    @property
    def closed(self) -> list[Unit]:
        """The units that cannot be searched: those that rows are missing of."""
        states = {"running"} if self.reason == REQUEST else {"running", "waiting"}
        return [unit for unit in self.units if unit.state in states]


@dataclass(slots=True)
class Complete:
    """The arms beyond R4's whose rows are all there, by type."""

    arms: dict[str, frozenset[int]] = field(default_factory=dict)
    version: int = 0

    def add(self, type: str, keys: frozenset[int]) -> None:
        """The rows of ``keys`` are there."""
        self.arms[type] = self.of(type) | keys

    def remove(self, type: str, keys: frozenset[int]) -> None:
        """The rows of ``keys`` are gone, or going."""
        self.arms[type] = self.of(type) - keys
        if not self.arms[type]:
            del self.arms[type]

    def of(self, type: str) -> frozenset[int]:
        """Those of ``type``."""
        return self.arms.get(type, frozenset())


_job: Final = msgspec.json.Decoder(Job)
_arms: Final = msgspec.json.Decoder(dict[str, frozenset[int]])


async def read_jobs(reading: Reading) -> list[Job]:
    """All jobs, the oldest first."""
    jobs: list[Job] = []
    async for page in all_pages(reading, Query(TYPE, count=100)):
        jobs += [_from_record(record) for record in page.records]
    return sorted(jobs, key=lambda job: (job.requested, job.id))


async def read_job(reading: Reading, id: str) -> Job | None:
    """The job called ``id``, None when there is none."""
    record = await reading.read(TYPE, id)
    return None if record is None else _from_record(record)


async def write_job(transaction: Transaction, job: Job, now: int) -> None:
    """Keep ``job`` as it is, but for units that another server has been asked to cancel. ``now`` in microseconds."""
    stored = await read_job(transaction, job.id)
    for mine, theirs in zip(job.units, stored.units if stored else (), strict=False):
        if mine.state == "waiting" and theirs.state == "cancelled":
            mine.state = "cancelled"
    job.version = stored.version + 1 if stored else 1
    content = msgspec.json.encode(job)
    method = "POST" if job.version == 1 else "PUT"
    await transaction.put(Record(TYPE, job.id, job.version, now, method, content), IndexValues())


async def read_complete(reading: Reading) -> Complete:
    """Which arms are complete; none in a new store."""
    record = await reading.read(COMPLETE_TYPE, COMPLETE_ID)
    return Complete() if record is None else Complete(_arms.decode(record.content), record.version)


async def write_complete(transaction: Transaction, complete: Complete, now: int) -> None:
    """Keep which arms are complete."""
    before = await transaction.read(COMPLETE_TYPE, COMPLETE_ID)
    complete.version = before.version + 1 if before else 1
    said = {type: sorted(keys) for type, keys in complete.arms.items()}
    record = Record(COMPLETE_TYPE, COMPLETE_ID, complete.version, now, "PUT", orjson.dumps(said))
    await transaction.put(record, IndexValues())


def _from_record(record: Record) -> Job:
    job = _job.decode(record.content)
    job.version = record.version
    return job
