"""The rows that take minutes: one Bundle of 70 MB while others read, and first pages as the store grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx

from fhir_server.cli.bench.large_bundle import large_bundle
from fhir_server.cli.bench.loading import JSON, count_written, load
from fhir_server.cli.bench.process import Running
from fhir_server.cli.bench.report import Row
from fhir_server.cli.bench.sample import CODES, bundle

LARGE = "transaction-large"
FIRST_PAGES = {"first-page-50k": 50_000, "first-page-500k": 500_000}
"""Row → how many resources there are."""

READERS = 4
PAUSE_S = 0.02
"""Between two reads of one reader."""
PER_BUNDLE = 50
BEGIN = 1_000_000
"""The number of the first patient of the larger sets."""


async def large_row(http: httpx.AsyncClient, base: str, server: Running) -> Row:
    """Post the Bundle: entries per second; p50, p99 and errors are those of the others, who read their own patients
    meanwhile."""
    body = await asyncio.to_thread(large_bundle)
    await load(http, base, [bundle(0, READERS)])
    before = server.memory_mb()
    server.forget_peak()
    reading = Reading(http, base)
    began = time.perf_counter()
    async with reading:
        answer = await asyncio.to_thread(_post, base, body, http.headers["Authorization"])
        seconds = time.perf_counter() - began
    peak = server.peak_mb() - before
    written, is_good = await asyncio.to_thread(count_written, answer)
    more = {"seconds": seconds, "peak_memory_mb": peak, "body_mb": len(body) / 1e6}
    p50, p99 = reading.quantiles_ms()
    return Row(LARGE, written / seconds, p50, p99, reading.errors + (not is_good), more=more)


def _post(base: str, body: bytes, authorization: str) -> httpx.Response:
    """Apart from the readers, so that they do not wait for what this client does."""
    with httpx.Client(timeout=600, trust_env=False) as http:
        return http.post(base, content=body, headers={**JSON, "Authorization": authorization})


class Reading:
    """Others who read and search as long as the block lasts."""

    def __init__(self, http: httpx.AsyncClient, base: str) -> None:
        self._http, self._base = http, base
        self._times: list[float] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.errors = 0

    async def __aenter__(self) -> Reading:
        self._tasks = [asyncio.create_task(self._read(number)) for number in range(READERS)]
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def quantiles_ms(self) -> tuple[float, float]:
        """p50 and p99 of the answers."""
        ordered = sorted(self._times) or [0.0]
        return ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000

    async def _read(self, number: int) -> None:
        urls = (f"{self._base}/Patient/p{number}", f"{self._base}/Observation?patient=Patient/p{number}")
        while True:
            for url in urls:
                began = time.perf_counter()
                answer = await self._http.get(url)
                self._times.append(time.perf_counter() - began)
                self.errors += answer.status_code != 200
                await asyncio.sleep(PAUSE_S)


async def grow(http: httpx.AsyncClient, base: str, resources: int) -> None:
    """Load built-in patients until the store has so many patients and observations. Raises OSError when it cannot."""
    missing = resources - sum([await _count(http, f"{base}/{type}") for type in ("Patient", "Observation")])
    first = BEGIN + await _count(http, f"{base}/Patient")
    _, errors, _ = await load(http, base, _bundles(first, missing))
    if errors:
        raise OSError(f"{errors} Bundles of the benchmark's larger set were refused")


async def _count(http: httpx.AsyncClient, url: str) -> int:
    answer = await http.get(url, params={"_summary": "count"})
    answer.raise_for_status()
    return int(answer.json()["total"])


def _bundles(first: int, resources: int) -> Iterator[bytes]:
    each = PER_BUNDLE * (1 + len(CODES))
    for number in range(max(0, -(-resources // each))):
        yield bundle(first + number * PER_BUNDLE, PER_BUNDLE)
