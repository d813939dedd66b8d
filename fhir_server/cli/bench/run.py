"""One run of the benchmark."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from fhir_server.cli.bench.copying import COPY, copy_row
from fhir_server.cli.bench.costs import costs
from fhir_server.cli.bench.generator import Measured, Plan, has_wrk, measure
from fhir_server.cli.bench.large import FIRST_PAGES, LARGE, grow, large_row
from fhir_server.cli.bench.loading import import_row, load
from fhir_server.cli.bench.packs import find_packs, import_bundles
from fhir_server.cli.bench.process import Running, free_port, running
from fhir_server.cli.bench.report import Figures, Row
from fhir_server.cli.bench.rows import ROWS, request
from fhir_server.cli.bench.sample import bundle
from fhir_server.cli.bench.searches import SEARCHES, discover, first_pages
from fhir_server.cli.bench.stores import Stores, sqlite_file
from fhir_server.cli.targets import fetch_token

IMPORT = "import"
BARE = "bare-gathered"
NAMES = (*ROWS, IMPORT, *SEARCHES, COPY, LARGE, *FIRST_PAGES)
"""All rows, in the order of measuring; the yardsticks are always measured."""
WARM_UP_S = 1.0


@dataclass(slots=True)
class Bench:
    """One data set under way; ``only``: the rows wanted, all when there are none. ``secret``: of the client "bench"."""

    figures: Figures
    server: Running
    folder: Path
    seconds: float
    only: tuple[str, ...]
    store: str
    secret: str
    http: httpx.AsyncClient = field(init=False)
    token: str = ""

    @property
    def base(self) -> str:
        """The address of the server's FHIR side."""
        return f"http://127.0.0.1:{self.server.port}/fhir"

    def wants(self, *names: str) -> bool:
        """Whether one of these rows is to be measured."""
        return not self.only or not set(self.only).isdisjoint(names)

    async def measure(self, name: str, plan: Plan) -> None:
        """Warm up, measure, and add the row."""
        warm_up = min(self.seconds, WARM_UP_S)
        await asyncio.to_thread(measure, self.server.port, plan, warm_up, self.folder)
        self.figures.rows.append(await asyncio.to_thread(self._measured, name, plan))

    def _measured(self, name: str, plan: Plan) -> Row:
        workers = self.figures.workers
        before = costs(self.server, workers)
        found = measure(self.server.port, plan, self.seconds, self.folder)
        spent = costs(self.server, workers).since(before)
        row = _row(name, found)
        row.cpu_us, row.busiest = spent.cpu_us_per(found.answers), spent.busiest()
        row.limit_rps = workers * 1e6 / row.cpu_us if row.cpu_us else 0.0
        row.per_commit = spent.per_commit(found.answers - found.errors)
        return row


def run_bench(
    folder: Path,
    seconds: float,
    patients: int,
    only: tuple[str, ...],
    packs: Path | None,
    *,
    large: bool = False,
    workers: int = 1,
    stores: Stores = sqlite_file,
) -> Figures:
    """Measure the yardstick, then the rows (all, or ``only`` some), in ``folder``; ``large``: those too that need
    minutes. The server has so many ``workers``; ``stores`` gives each data set a store of its own."""
    figures = Figures(generator="wrk" if has_wrk() else "built-in", workers=workers)
    with stores(folder, "own") as own, stores(folder, "loaded") as loaded:
        figures.store = own.partition("://")[0]
        return _measured(figures, folder, seconds, patients, only, packs, (own, loaded), large=large)


def _measured(
    figures: Figures,
    folder: Path,
    seconds: float,
    patients: int,
    only: tuple[str, ...],
    packs: Path | None,
    urls: tuple[str, str],
    *,
    large: bool,
) -> Figures:
    before = _bare(folder, seconds).rps
    with _served(folder, urls[0], figures, seconds, only) as bench:
        figures.cold_start_s, figures.memory_start_mb = bench.server.started_in_s, bench.server.memory_mb()
        asyncio.run(_measure_own(bench, patients))
        figures.memory_end_mb = bench.server.memory_mb()
    if large or bench.wants(IMPORT, *SEARCHES):
        with _served(folder, urls[1], figures, seconds, only) as bench:
            asyncio.run(_measure_loaded(bench, patients, packs, large=large))
            figures.memory_end_mb = max(figures.memory_end_mb, bench.server.memory_mb())
    if bench.wants(COPY):
        figures.rows.append(asyncio.run(copy_row(bench.store, f"sqlite:///{folder / 'copy.db'}")))
    figures.rows.append(_row(BARE, _bare(folder, seconds, "gathered")))
    # Before and after: a neighbour's load during one of them must not flatter the ratios.
    figures.yardstick_rps = max(before, _bare(folder, seconds).rps)
    for row in figures.rows:
        row.ratio = row.rps / figures.yardstick_rps
    return figures


@contextmanager
def _served(
    folder: Path, store: str, figures: Figures, seconds: float, only: tuple[str, ...]
) -> Iterator[Bench]:
    """A server with an empty store of its own: the rows of one data set must not depend on those of another."""
    secret = _add_client(store)
    port = free_port()
    environment = {"FHIR_STORE": store, "FHIR_MLLP_PORT": "0", "FHIR_PORT": str(port), "FHIR_LOG": "error"}
    command = ["-m", "fhir_server", "serve", "--no-demo", "--workers", str(figures.workers)]
    with running(command, port, "/health/ready", environment, folder / "server.log") as server:
        yield Bench(figures, server, folder, seconds, only, store, secret)


def _row(name: str, found: Measured) -> Row:
    return Row(name, found.rps, found.p50_ms, found.p99_ms, found.errors)


def _bare(folder: Path, seconds: float, *options: str) -> Measured:
    """Bare replies: what the HTTP server does when the application does nothing."""
    port = free_port()
    plan = Plan([request("GET", "/", "x" * 400)], 200, b"Basic")
    command = ["-m", "fhir_server.cli.bench.bare", str(port), *options]
    with running(command, port, "/", {}, folder / "bare.log"):
        measure(port, plan, WARM_UP_S, folder)
        return measure(port, plan, seconds, folder)


def _add_client(store: str) -> str:
    command = [sys.executable, "-m", "fhir_server", "client", "add", "--store", store, "--organization"]
    done = subprocess.run(
        [*command, "Organization/h1", "--id", "bench"], capture_output=True, check=True, text=True
    )
    return next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("client secret"))


@asynccontextmanager
async def _connected(bench: Bench) -> AsyncIterator[None]:
    async with httpx.AsyncClient(timeout=600, trust_env=False) as bench.http:
        bench.token = await fetch_token(bench.http, bench.base, "bench", bench.secret)
        bench.http.headers["Authorization"] = f"Bearer {bench.token}"
        yield


async def _measure_own(bench: Bench, patients: int) -> None:
    """The rows on the built-in data set."""
    if not bench.wants(*ROWS, COPY):
        return
    async with _connected(bench):
        await load(bench.http, bench.base, (bundle(first, 50) for first in range(0, patients, 50)))
        for name, plan_of in ROWS.items():
            if bench.wants(name):
                await bench.measure(name, plan_of(bench.token, patients))


async def _measure_loaded(bench: Bench, patients: int, packs: Path | None, *, large: bool) -> None:
    """The import, and the rows on what it brought."""
    async with _connected(bench):
        first, bundles = import_bundles(packs or find_packs(), patients)
        bench.figures.rows.append(await import_row(bench.http, bench.base, first, bundles))
        if bench.wants(*SEARCHES):
            facts = await discover(bench.http, bench.base)
            for name, plan_for in SEARCHES.items():
                if bench.wants(name):
                    await bench.measure(name, plan_for(bench.token, facts))
        if large:
            await _measure_large(bench)


async def _measure_large(bench: Bench) -> None:
    """What takes minutes."""
    if bench.wants(LARGE):
        bench.figures.rows.append(await large_row(bench.http, bench.base, bench.server))
    for name, resources in FIRST_PAGES.items():
        if bench.wants(name):
            await grow(bench.http, bench.base, resources)
            await bench.measure(name, first_pages(bench.token))
