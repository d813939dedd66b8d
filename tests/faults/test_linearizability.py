"""Sixteen clients read and write while the server is killed again and again: one order explains all they saw."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from time import monotonic
from uuid import uuid4

import httpx
import mongod
import pytest
from clients import KEYS, Client, histories
from linearizability import Operation, check
from served import Served

Disturb = Callable[[Served, float], Awaitable[int]]
"""Does harm until a moment; how often."""

CLIENTS = 16
SHORT, LONG, ELECTIONS = 30.0, 600.0, 20.0
"""Seconds of load."""
WORKERS = 2


@pytest.fixture(params=["sqlite", "mongo"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fhir.db"
    server: str = request.getfixturevalue("mongo_server")
    return mongod.with_database(server, f"fhir_test_{uuid4().hex}")


async def test_nothing_acknowledged_is_lost_and_one_order_explains_everything(
    tmp_path: Path, store: str
) -> None:
    await _load_and_check(tmp_path, store, SHORT)


@pytest.mark.long
async def test_nothing_acknowledged_is_lost_in_ten_minutes(tmp_path: Path, store: str) -> None:
    await _load_and_check(tmp_path, store, LONG)


async def _load_and_check(folder: Path, store: str, seconds: float) -> None:
    server = Served(folder, store, WORKERS)
    server.start()
    try:
        await server.ready()
        operations, kills = await _load(server, seconds, _kill_until)
        server.kill_all()
        server.start()
        await server.ready()
        async with httpx.AsyncClient(base_url=server.base, trust_env=False, timeout=60) as http:
            kept = await histories(http)
    finally:
        server.stop()
    assert check(operations, kept) == []
    outcomes = Counter((each.kind, each.outcome) for each in operations)
    assert kills >= 2
    assert {("write", "ok"), ("write", "refused"), ("write", "unknown"), ("read together", "ok")} <= set(
        outcomes
    )
    assert all(len(kept[key]) > 10 for key in KEYS), outcomes


async def test_a_primary_that_is_killed_or_steps_down_costs_no_acknowledged_write(tmp_path: Path) -> None:
    try:
        with mongod.replica_set(members=3, journaled=True) as members:
            await _lose_primaries(tmp_path, members)
    except mongod.NotHere as error:
        pytest.skip(f"no MongoDB server can be run here: {error}")


async def _lose_primaries(folder: Path, members: mongod.ReplicaSet) -> None:
    async def disturb(server: Served, end: float) -> int:
        """A primary steps down, the next one is killed and started again, and so on."""
        times = 0
        while monotonic() < end:
            await asyncio.sleep(4)
            if times % 2:
                primary = await asyncio.to_thread(members.primary)
                await asyncio.to_thread(primary.kill)
                await asyncio.sleep(3)
                await asyncio.to_thread(primary.start)
            else:
                await asyncio.to_thread(members.step_down)
            times += 1
        return times

    server = Served(folder, mongod.with_database(members.uri, "fhir"), WORKERS)
    server.start()
    try:
        await server.ready()
        operations, times = await _load(server, ELECTIONS, disturb)
        await server.ready()
        async with httpx.AsyncClient(base_url=server.base, trust_env=False, timeout=60) as http:
            kept = await histories(http)
    finally:
        server.stop()
    assert check(operations, kept) == []
    assert times >= 2
    assert all(len(kept[key]) > 10 for key in KEYS)


async def _load(server: Served, seconds: float, disturb: Disturb) -> tuple[list[Operation], int]:
    """What all clients did in ``seconds``, and how often they were disturbed meanwhile."""
    operations: list[Operation] = []
    end = monotonic() + seconds
    limits, timeout = httpx.Limits(max_connections=1), httpx.Timeout(60)

    async def work(number: int) -> None:
        async with httpx.AsyncClient(
            base_url=server.base, trust_env=False, limits=limits, timeout=timeout
        ) as http:
            client = Client(number, http, operations)
            while monotonic() < end:
                if not await client.act():
                    await asyncio.sleep(0.1)

    clients = [asyncio.create_task(work(number)) for number in range(CLIENTS)]
    times = await disturb(server, end)
    await asyncio.gather(*clients)
    return operations, times


async def _kill_until(server: Served, end: float) -> int:
    """Kill the whole server, or one of its workers, a few seconds after it is up, again and again."""
    chance, kills = Random(7), 0
    while monotonic() < end:
        await asyncio.sleep(min(chance.uniform(1.0, 4.0), max(0.0, end - monotonic())))
        if kills % 3 == 2 and server.workers():
            server.kill_worker()
        else:
            server.kill_all()
            server.start()
            await server.ready()
        kills += 1
    return kills
