"""One run of the benchmark."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import orjson

from fhir_server.cli.bench.generator import Measured, Plan, has_wrk, measure
from fhir_server.cli.bench.packs import find_packs, import_bundles
from fhir_server.cli.bench.process import Running, free_port, running
from fhir_server.cli.bench.report import Figures, Row
from fhir_server.cli.bench.rows import ROWS, request
from fhir_server.cli.bench.sample import bundle
from fhir_server.cli.targets import fetch_token

IMPORT = "import"
BARE = "bare-gathered"
IMPORT_CLIENTS = 4
WARM_UP_S = 1.0


def run_bench(
    folder: Path, seconds: float, patients: int, only: tuple[str, ...], packs: Path | None
) -> Figures:
    """Measure the yardstick, then the rows (all, or ``only`` some), in ``folder``."""
    figures = Figures(generator="wrk" if has_wrk() else "built-in")
    before = _bare(folder, seconds).rps
    store = f"sqlite:///{folder / 'bench.db'}"
    secret = _add_client(store)
    port = free_port()
    environment = {"FHIR_STORE": store, "FHIR_MLLP_PORT": "0", "FHIR_PORT": str(port), "FHIR_LOG": "error"}
    command = ["-m", "fhir_server", "serve", "--no-demo"]
    with running(command, port, "/health/ready", environment, folder / "server.log") as server:
        figures.cold_start_s, figures.memory_start_mb = server.started_in_s, server.memory_mb()
        asyncio.run(_measure_rows(figures, server, folder, seconds, patients, only, packs, secret))
        figures.memory_end_mb = server.memory_mb()
    figures.rows.append(_row(BARE, _bare(folder, seconds, "gathered")))
    # Before and after: a neighbour's load during one of them must not flatter the ratios.
    figures.yardstick_rps = max(before, _bare(folder, seconds).rps)
    for row in figures.rows:
        row.ratio = row.rps / figures.yardstick_rps
    return figures


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


async def _measure_rows(
    figures: Figures,
    server: Running,
    folder: Path,
    seconds: float,
    patients: int,
    only: tuple[str, ...],
    packs: Path | None,
    secret: str,
) -> None:
    base = f"http://127.0.0.1:{server.port}/fhir"
    async with httpx.AsyncClient(timeout=600, trust_env=False) as http:
        token = await fetch_token(http, base, "bench", secret)
        http.headers["Authorization"] = f"Bearer {token}"
        await _import(http, base, (bundle(first, 50) for first in range(0, patients, 50)))
        for name, plan_of in ROWS.items():
            if not only or name in only:
                plan = plan_of(token, patients)
                await asyncio.to_thread(measure, server.port, plan, WARM_UP_S, folder)
                found = await asyncio.to_thread(measure, server.port, plan, seconds, folder)
                figures.rows.append(_row(name, found))
        if not only or IMPORT in only:
            figures.rows.append(await _import_row(http, base, packs or find_packs(), patients))


async def _import_row(http: httpx.AsyncClient, base: str, packs: Path | None, patients: int) -> Row:
    first, bundles = import_bundles(packs, patients)
    await _import(http, base, first, clients=1)
    began = time.perf_counter()
    resources, errors, times = await _import(http, base, bundles)
    rate = resources / (time.perf_counter() - began)
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    return Row(IMPORT, rate, p50, p99, errors)


async def _import(
    http: httpx.AsyncClient, base: str, bundles: Iterable[bytes], clients: int = IMPORT_CLIENTS
) -> tuple[int, int, list[float]]:
    """POST the Bundles with some clients at once: resources written, refused Bundles, seconds of each."""
    queue, times, resources, errors = iter(bundles), [0.0][:0], 0, 0

    async def work() -> None:
        nonlocal resources, errors
        for body in queue:
            began = time.perf_counter()
            answer = await http.post(base, content=body, headers={"Content-Type": "application/fhir+json"})
            times.append(time.perf_counter() - began)
            answers = orjson.loads(answer.content).get("entry", ()) if answer.is_success else ()
            good = sum(entry["response"]["status"][:1] == "2" for entry in answers)
            resources += good
            errors += not answers or good < len(answers)

    await asyncio.gather(*(work() for _ in range(clients)))
    return resources, errors, times
