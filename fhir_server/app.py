"""The composition root: settings in, a running server out.

The only file that knows a concrete store, and the one place to see what happens on a write: the
rules, operations and index functions of every floor come together in ``_compose``.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import structlog
from uuid_utils import uuid7

import fhir_server.interactions.operations
import fhir_server.referral.operations
from fhir_server.definitions import load_definitions
from fhir_server.ending import end
from fhir_server.errors import StoreAway, StoreUnavailable
from fhir_server.identity import local_numbers
from fhir_server.inbound import http, journal
from fhir_server.inbound.mllp import serve_mllp
from fhir_server.inbound.receive import recover
from fhir_server.interactions import lease, outbox, own
from fhir_server.interactions.contained import keep_all_contained
from fhir_server.interactions.context import Rule, Server
from fhir_server.interactions.indexing import jobs
from fhir_server.interactions.indexing import parameters as search_parameters
from fhir_server.interactions.indexing.indexer import Indexer
from fhir_server.interactions.indexing.sharing import HEEDED
from fhir_server.interactions.operations import find_operations
from fhir_server.mapping import Mappings, load_mappings
from fhir_server.model.resource import Json
from fhir_server.referral import rules
from fhir_server.rest.auth import token_router
from fhir_server.rest.cors import Cors
from fhir_server.rest.endpoint import Endpoint
from fhir_server.rest.front import Asgi, Front
from fhir_server.rest.log import configure_logging
from fhir_server.rest.metrics import RequestMetrics
from fhir_server.rest.metrics_sharing import sharing
from fhir_server.rest.openapi import OpenApi
from fhir_server.rest.routes import ROUTES
from fhir_server.rest.sender import Senders
from fhir_server.rest.site import build_site
from fhir_server.rest.swagger import documentation_router
from fhir_server.rest.waiting import Waiting
from fhir_server.search.contained import contained_values, is_contained
from fhir_server.search.extract import Extractor
from fhir_server.search.index import IndexValues
from fhir_server.search.registry import Registry
from fhir_server.security import clients, shared_backoff, tokens
from fhir_server.security.admission import Admission
from fhir_server.settings import Settings
from fhir_server.store import Commits
from fhir_server.stores import opening
from fhir_server.validation import Validator

Prepare = Callable[[Server], Awaitable[None]]
Rebuild = Callable[[], int | None]

INTERNAL: Mapping[str, Callable[[Json], IndexValues]] = {
    clients.TYPE: clients.index_client,
    tokens.KEY_TYPE: lambda data: IndexValues(),
    shared_backoff.TYPE: lambda data: IndexValues(),
    journal.TYPE: journal.index_message,
    jobs.TYPE: lambda data: IndexValues(),
    jobs.COMPLETE_TYPE: lambda data: IndexValues(),
    lease.TYPE: lambda data: IndexValues(),
    outbox.TYPE: lambda data: IndexValues(),
}
"""The server's own record types and the index rows of each."""


PAUSES = (1.0, 15.0)
"""Seconds between two looks for a store that is away at the start: at first, and after some of them."""

IN_FLIGHT = timedelta(minutes=1)
"""A message that was received so long ago and not finished is nobody's any more."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Which one of ``count`` processes on one store this is; ``folder`` is theirs, for what they tell each other.

    The one with the number 0 has the HL7 v2 door.
    """

    number: int
    count: int
    folder: Path


def clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def time_ordered_id() -> str:
    """A UUIDv7: ids that grow with time keep the store's index pages warm."""
    return str(uuid7())


def create() -> Asgi:
    """The ASGI application with the settings of the environment: ``uvicorn --factory fhir_server.app:create``."""
    return build(Settings()).asgi


def build(
    settings: Settings,
    *,
    prepare: Prepare | None = None,
    now: Callable[[], datetime] = clock,
    new_id: Callable[[], str] = time_ordered_id,
    worker: Worker | None = None,
) -> App:
    """The application, not started yet. ``prepare`` runs when the store is open and no door is yet.

    ``worker``: this process is one of several (None: the only one).
    """
    return App(settings, prepare, now, new_id, worker)


@asynccontextmanager
async def opened(
    settings: Settings,
    *,
    now: Callable[[], datetime] = clock,
    new_id: Callable[[], str] = time_ordered_id,
    reindex: bool = True,
    worker: Worker | None = None,
) -> AsyncIterator[Server]:
    """A server without doors: for the command line and for tests.

    ``reindex`` False leaves the index of a store alone that was made by other settings: for who does not touch
    FHIR resources.
    """
    server, rebuild = _compose(settings, now, new_id, worker)
    try:
        if reindex:
            await _open_index(server, rebuild)
        yield server
    finally:
        await server.store.close()


@asynccontextmanager
async def opened_to_fill(settings: Settings) -> AsyncIterator[Server]:
    """A server whose store is given the records of another one: nothing of its own is written to it.

    Raises StoreUnavailable when somebody else has the store open.
    """
    if is_in_use(settings):
        raise StoreUnavailable(f"{settings.shown_store} is served by another program: stop it first")
    server, rebuild = _compose(settings, clock, time_ordered_id)
    try:
        rebuild()
        await put_in_force(server)
        yield server
    finally:
        await server.store.close()


async def put_in_force(server: Server) -> None:
    """Take the search parameters that the store has now, and leave its index as it is."""
    assert server.indexer is not None
    await server.indexer.open(lambda: None)


class App:
    """The server with its doors. ``asgi`` is what uvicorn runs; ``running()`` is the same for tests.

    When its store is away at the start, ``asgi`` answers 503 and waits for it. ``settled``: it works, or never will,
    because of ``failure``.
    """

    def __init__(
        self,
        settings: Settings,
        prepare: Prepare | None,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        worker: Worker | None,
    ) -> None:
        self.settings = settings
        self._worker = worker
        self._prepare = prepare
        self._now = now
        self._new_id = new_id
        self._server: Server | None = None
        self._front: Asgi | None = None
        self.settled = asyncio.Event()
        self.failure: Exception | None = None

    @property
    def server(self) -> Server:
        """What the doors serve; there only while the application runs."""
        if self._server is None:
            raise RuntimeError("the application has not been started")
        return self._server

    @property
    def asgi(self) -> Asgi:
        """The ASGI application; it starts and stops with the lifespan protocol."""
        return self

    @asynccontextmanager
    async def running(self) -> AsyncIterator[App]:
        """Everything open inside the block, everything closed after it."""
        async with opened(self.settings, now=self._now, new_id=self._new_id, worker=self._worker) as server:
            self._server = server
            if self._prepare is not None:
                await self._prepare(server)
            async with AsyncExitStack() as doors:
                await doors.enter_async_context(_indexing(server))
                self._front = await self._open_doors(server, doors)
                _tune_memory()
                try:
                    yield self
                finally:
                    self._server = self._front = None

    async def _open_doors(self, server: Server, doors: AsyncExitStack) -> Asgi:
        """HTTP and MLLP, when what was received before the last stop has been finished."""
        settings = self.settings
        mappings = load_mappings(settings.mappings)
        _tell_faults(mappings)
        await recover(server, mappings, received_before=self._abandoned())
        issuer = fhir_base(settings) or "urn:fhir-server"
        issued = tokens.Tokens(
            server.store, await tokens.open_key(server.store, server.now), issuer, server.now
        )
        metrics = await doors.enter_async_context(self._open_metrics(server.store.commits))
        backoff = shared_backoff.SharedBackoff(server.store, server.now)
        doors.push_async_callback(backoff.close)
        front = self._with_cors(_open_http(settings, server, mappings, issued, metrics, backoff))
        if settings.mllp_port and (self._worker is None or self._worker.number == 0):
            door = serve_mllp(server, lambda: mappings, host=settings.host, port=settings.mllp_port)
            await doors.enter_async_context(door)
        return front

    def _abandoned(self) -> int | None:
        """Until when (microseconds) a message must have come that nobody is working on; None: nobody can be."""
        if self._worker is None:
            return None
        return round((self._now() - IN_FLIGHT).timestamp() * 1_000_000)

    @asynccontextmanager
    async def _open_metrics(self, commits: Commits) -> AsyncIterator[RequestMetrics]:
        """What is counted, together with the other workers' when there are some."""
        if self._worker is None:
            yield RequestMetrics(commits)
            return
        async with sharing(self._worker.folder, self._worker.number, commits) as metrics:
            yield metrics

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """The ASGI protocol."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._front is not None:
            await self._front(scope, receive, send)
        else:
            raise RuntimeError("the application has not been started")

    async def _live(self, receive: Any, send: Any) -> None:
        """The lifespan protocol: start, tell, wait for the end, stop, tell."""
        await receive()
        configure_logging(self.settings.log)
        phase = "startup"
        try:
            async with AsyncExitStack() as life:
                await self._begin(life)
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()
        except Exception as error:
            structlog.get_logger("fhir_server.app").error(f"{phase} failed", error=str(error))
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _begin(self, life: AsyncExitStack) -> None:
        """Work, or wait for the store, until ``life`` ends."""
        try:
            await life.enter_async_context(self.running())
            self.settled.set()
        except StoreAway as away:
            await life.enter_async_context(self._waiting(away))

    @asynccontextmanager
    async def _waiting(self, away: StoreAway) -> AsyncIterator[None]:
        """Inside the block requests are refused until the store is there."""
        stopping = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._wait(away, stopping))
        try:
            yield
        finally:
            stopping.set()
            await task

    async def _wait(self, away: StoreAway, stopping: asyncio.Event) -> None:
        """Try again and again to work, then do so until ``stopping``."""
        log, pause = structlog.get_logger("fhir_server.app"), PAUSES[0]
        while not stopping.is_set():
            self._front = self._with_cors(Waiting(away))
            log.warning("the store is away: waiting for it", reason=str(away), again_after_s=pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
                return
            pause = min(pause * 2, PAUSES[1])
            try:
                await asyncio.to_thread(opening.reach, self.settings.store)
                async with self.running():
                    log.warning("the store is there")
                    self.settled.set()
                    await stopping.wait()
            except StoreAway as error:
                away = error
            except Exception as error:
                self._fail(error)
                return

    def _fail(self, error: Exception) -> None:
        """It will never work; whoever runs ``asgi`` should end."""
        structlog.get_logger("fhir_server.app").error("startup failed", error=str(error))
        told = (
            error if isinstance(error, StoreUnavailable) else StoreUnavailable("the server could not start")
        )
        self._front, self.failure = self._with_cors(Waiting(told)), error
        self.settled.set()

    def _with_cors(self, front: Asgi) -> Asgi:
        origins = self.settings.cors_origins
        return Cors(front, origins.split(",")) if origins else front


def _open_http(
    settings: Settings,
    server: Server,
    mappings: Mappings,
    issued: tokens.Tokens,
    metrics: RequestMetrics,
    backoff: shared_backoff.SharedBackoff,
) -> Asgi:
    admission = Admission(issued if settings.auth == "on" else None)
    endpoint = Endpoint(server, admission, metrics, base_url=fhir_base(settings), max_body=settings.max_body)
    site = build_site(server.store.check, metrics, lambda: gauges(server))
    known = clients.Clients(server.store, server.now, server.new_id)
    site.include_router(token_router(known, issued, backoff, Senders(settings.trusted_proxies)))
    site.include_router(http.router(server, lambda: mappings, admission, max_body=settings.max_body))
    site.include_router(documentation_router(OpenApi(server, ROUTES, site.openapi)))
    return Front(endpoint, site)


async def gauges(server: Server) -> Mapping[str, float]:
    """What ``/metrics`` shows of the store: its size on disk and the messages that wait for somebody."""
    _, waiting = await journal.find(server.store, "quarantined", count=1, total=True)
    size = await server.store.size()
    return {"store_bytes": float(size), "inbound_quarantined": float(waiting.total or 0)}


def fhir_base(settings: Settings) -> str | None:
    """``FHIR_BASE_URL`` with ``/fhir`` at its end, given with or without it; None: from each request."""
    root = (settings.base_url or "").rstrip("/").removesuffix("/fhir")
    return f"{root}/fhir" if root else None


def _compose(
    settings: Settings,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    worker: Worker | None = None,
) -> tuple[Server, Rebuild]:
    """The server, and what makes the rows of its store anew when they were made by other rules."""
    definitions = load_definitions(settings.profiles if settings.profiles.is_dir() else None)
    parameters = Registry(definitions)
    zone = ZoneInfo(settings.timezone)
    extract = Extractor(parameters, definitions, zone, fhir_base(settings))
    store = _open_store(settings, extract, worker)
    indexer = Indexer(store, parameters, now, new_id)
    if worker is not None or opening.is_shared(settings.store):
        _share(store, indexer)
    server = Server(
        store=store,
        definitions=definitions,
        parameters=parameters,
        validate=Validator(definitions).validate,
        extract=extract,
        now=now,
        new_id=new_id,
        timezone=zone,
        rules=_together(own.RULES, search_parameters.RULES, local_numbers.RULES, rules.RULES),
        adopt=rules.ADOPT,
        stale=rules.STALE,
        operations=find_operations(fhir_server.interactions.operations, fhir_server.referral.operations),
        lenient=settings.search_handling == "lenient",
        reference_check=settings.reference_check == "on",
        conditional_delete=settings.conditional_delete,
        indexer=indexer,
    )
    return server, lambda: store.index_by(extract.fingerprint())


def _together(*tables: Mapping[str, tuple[Rule, ...]]) -> Mapping[str, tuple[Rule, ...]]:
    """The rules of all ``tables``, a type's in their order."""
    types = dict.fromkeys(type for table in tables for type in table)
    return {type: tuple(rule for table in tables for rule in table.get(type, ())) for type in types}


def is_in_use(settings: Settings) -> bool:
    """True when a program has the store of ``FHIR_STORE`` open: a server, most likely. Raises ValueError for a store
    URL that no engine here can open."""
    return opening.is_in_use(settings.store)


async def _open_index(server: Server, rebuild: Rebuild) -> None:
    """Put the stored search parameters in force, and index the store again when it was indexed by other rules."""
    assert server.indexer is not None
    if await server.store.read(jobs.COMPLETE_TYPE, jobs.COMPLETE_ID) is None:
        types = sorted(server.definitions.resource_types)
        await keep_all_contained(server.store, server.extract, types)  # a new store, or an old one
    resources = await server.indexer.open(rebuild)
    if resources:
        log = structlog.get_logger("fhir_server.app")
        log.warning("indexed again: the program, the zone or the base address changed", resources=resources)


@asynccontextmanager
async def _indexing(server: Server) -> AsyncIterator[None]:
    """Inside the block new search parameters are indexed."""
    assert server.indexer is not None
    task = asyncio.get_running_loop().create_task(server.indexer.run())
    try:
        yield
    finally:
        await end(task)


def _share(store: opening.Engine, indexer: Indexer) -> None:
    """Other servers use the store too: have what they put in force known here."""
    sharing = indexer.share(str(uuid7()))
    if isinstance(store, opening.Heeding):
        store.heed(HEEDED, sharing.heed)


def _open_store(settings: Settings, extract: Extractor, worker: Worker | None) -> opening.Engine:
    def extract_kept(type: str, content: bytes) -> IndexValues:
        data = orjson.loads(content)
        if is_contained(type):
            return contained_values(extract(data), data["resourceType"], data["id"])
        return INTERNAL[type](data) if type in INTERNAL else extract(data)

    store = opening.open_store(
        settings.store,
        extract=extract_kept,
        durability=settings.durability,
        unfinished=extract.registry.unfinished,
        folder=worker.folder if worker is not None else None,
    )
    for line in store.drift:
        structlog.get_logger("fhir_server.app").warning("the database is not as declared", difference=line)
    return store


def _tell_faults(mappings: Mappings) -> None:
    """A HIS folder with faults is left out; the log says why, the other hospitals go on."""
    for folder, faults in mappings.faults.items():
        structlog.get_logger("fhir_server.app").error("mapping folder left out", his=folder, faults=faults)


def _tune_memory() -> None:
    """What was made at the start stays: the collector need not look at it again, nor look so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
