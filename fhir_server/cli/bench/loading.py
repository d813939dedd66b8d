"""Transaction Bundles posted by some clients at once: how data come in, and what the row ``import`` measures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import httpx
import orjson

from fhir_server.cli.bench.report import Row

CLIENTS = 4
JSON = {"Content-Type": "application/fhir+json"}


async def import_row(
    http: httpx.AsyncClient, base: str, first: Iterable[bytes], bundles: Iterable[bytes]
) -> Row:
    """Load ``bundles`` and measure it; ``first`` is what they point at."""
    await load(http, base, first, clients=1)
    began = time.perf_counter()
    resources, errors, times = await load(http, base, bundles)
    rate = resources / (time.perf_counter() - began)
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    return Row("import", rate, p50, p99, errors)


async def load(
    http: httpx.AsyncClient, base: str, bundles: Iterable[bytes], clients: int = CLIENTS
) -> tuple[int, int, list[float]]:
    """POST the Bundles with some clients at once: resources written, refused Bundles, seconds of each."""
    queue, times, resources, errors = iter(bundles), [0.0][:0], 0, 0

    async def work() -> None:
        nonlocal resources, errors
        for body in queue:
            began = time.perf_counter()
            answer = await http.post(base, content=body, headers=JSON)
            times.append(time.perf_counter() - began)
            written, is_good = count_written(answer)
            resources += written
            errors += not is_good

    await asyncio.gather(*(work() for _ in range(clients)))
    return resources, errors, times


def count_written(answer: httpx.Response) -> tuple[int, bool]:
    """How many entries of a Bundle were carried out, and whether that was all of them."""
    answers = orjson.loads(answer.content).get("entry", ()) if answer.is_success else ()
    good = sum(entry["response"]["status"][:1] == "2" for entry in answers)
    return good, bool(answers) and good == len(answers)
