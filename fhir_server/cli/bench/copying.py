"""The row ``copy``: the store of the benchmark copied into an empty one, verification included."""

from __future__ import annotations

import time

from fhir_server.cli.bench.report import Row
from fhir_server.cli.store import filling, reading
from fhir_server.errors import Conflict
from fhir_server.keeping.copying import copy

COPY = "copy"


async def copy_row(source: str, target: str) -> Row:
    """Copy and measure it: resource versions per second; p50 and p99 are of the steps that are kept at once."""
    began = last = time.perf_counter()
    steps: list[float] = []

    def told(_: int) -> None:
        nonlocal last
        now = time.perf_counter()
        steps.append(now - last)
        last = now

    async with reading(source) as origin, filling(target) as (copied, complete):
        began = last = time.perf_counter()
        try:
            tally = await copy(origin.store, copied.store, complete, told)
        except Conflict:
            return Row(COPY, 0.0, 0.0, 0.0, 1)
        rate = tally.versions / (time.perf_counter() - began)
    steps.sort()
    p50, p99 = (steps[int(len(steps) * share)] * 1000 for share in (0.5, 0.99))
    return Row(COPY, rate, p50, p99, 0)
