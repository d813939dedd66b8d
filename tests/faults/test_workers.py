"""Several real server processes on one store: one resource per key, one set of search parameters, no lost worker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import mongod
import pytest
from served import Served

from fhir_server.security.throttle import FREE_FAILURES

Json = dict[str, Any]
WORKERS = 4
AT_ONCE = 64
OWN = {
    "resourceType": "SearchParameter", "id": "own", "url": "http://example.org/own", "name": "Own",
    "status": "active", "description": "own", "code": "own", "base": ["Patient"], "type": "token",
    "expression": "Patient.maritalStatus",
}  # fmt: skip


def patient(**members: Any) -> Json:
    marital = {"coding": [{"system": "urn:m", "code": "M"}]}
    return {"resourceType": "Patient", "maritalStatus": marital, **members}


@pytest.fixture(scope="module", params=["sqlite", "mongo"])
def shared_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('workers')}/fhir.db"
    server: str = request.getfixturevalue("mongo_server")
    return mongod.with_database(server, f"fhir_test_{uuid4().hex}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, shared_store: str) -> Iterator[Served]:
    server = Served(tmp_path_factory.mktemp("served"), shared_store, WORKERS)
    server.start()
    asyncio.run(_all_up(server))
    yield server
    server.stop()


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Served]:
    """A server of two workers, for a test that ends it."""
    server = Served(tmp_path, f"sqlite:///{tmp_path}/fhir.db", 2)
    server.start()
    await _all_up(server, 2)
    yield server
    server.stop()


async def _all_up(server: Served, workers: int = WORKERS) -> None:
    await server.ready()
    await _until(lambda: len(server.workers()) == workers)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.05)


async def on_many_connections(
    served: Served, ask: Callable[[httpx.AsyncClient, int], Awaitable[None]], count: int
) -> None:
    """``ask`` so often, over AT_ONCE connections, which the workers share."""
    numbers = iter(range(count))

    async def work() -> None:
        async with httpx.AsyncClient(base_url=served.base, trust_env=False, timeout=60) as http:
            for number in numbers:
                await ask(http, number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def test_a_thousand_parallel_conditional_creates_of_one_key_make_one_resource(served: Served) -> None:
    statuses: Counter[int] = Counter()
    ids = set()

    async def create(http: httpx.AsyncClient, number: int) -> None:
        body = patient(identifier=[{"system": "urn:key", "value": "one"}])
        answer = await http.post("Patient", json=body, headers={"If-None-Exist": "identifier=urn:key|one"})
        statuses[answer.status_code] += 1
        ids.add(answer.headers["Location"].split("/Patient/")[1].split("/")[0])

    await on_many_connections(served, create, 1000)
    assert statuses == {201: 1, 200: 999}
    assert len(ids) == 1
    async with httpx.AsyncClient(base_url=served.base, trust_env=False) as http:
        assert (await http.get("Patient?identifier=urn:key|one&_summary=count")).json()["total"] == 1
        history = (await http.get(f"Patient/{ids.pop()}/_history")).json()
        assert history["total"] == 1


async def test_updates_of_one_resource_by_all_workers_leave_no_gap(served: Served) -> None:
    versions: list[int] = []

    async def update(http: httpx.AsyncClient, number: int) -> None:
        answer = await http.put("Patient/p", json=patient(id="p", birthDate=f"19{number % 100:02}"))
        assert answer.status_code in {200, 201}, answer.text
        versions.append(int(answer.headers["ETag"].strip('W/"')))

    await on_many_connections(served, update, 300)
    assert sorted(versions) == list(range(1, 301))


async def test_a_search_parameter_of_one_worker_is_in_force_for_what_any_other_writes(served: Served) -> None:
    statuses: Counter[int] = Counter()

    async def write(http: httpx.AsyncClient, number: int) -> None:
        if number == 150:
            assert (await http.put("SearchParameter/own", json=OWN)).status_code == 201
        body = patient(id=f"p{number}", identifier=[{"system": "urn:mine", "value": "x"}])
        statuses[(await http.put(f"Patient/p{number}", json=body)).status_code] += 1

    await on_many_connections(served, write, 400)
    assert statuses == {201: 400}
    for _ in range(WORKERS * 4):
        async with httpx.AsyncClient(base_url=served.base, trust_env=False, timeout=60) as http:
            async with asyncio.timeout(30):
                while (
                    answer := await http.get("Patient?own=M&identifier=urn:mine|x&_summary=count")
                ).status_code != 200:
                    assert answer.status_code in {400, 503}
                    await asyncio.sleep(0.1)
            assert answer.json()["total"] == 400


async def test_wrong_secrets_are_counted_by_all_workers_together(served: Served, shared_store: str) -> None:
    add = [sys.executable, "-m", "fhir_server", "client", "add", "--store", shared_store, "--id", "his-1"]
    await asyncio.to_thread(subprocess.run, [*add, "--organization", "Organization/h1"], check=True)
    statuses: Counter[int] = Counter()
    for _ in range(4 * WORKERS):
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            url = f"http://127.0.0.1:{served.port}/auth/token"
            form = {"grant_type": "client_credentials"}
            statuses[(await http.post(url, data=form, auth=("his-1", "wrong"))).status_code] += 1
        await asyncio.sleep(0.05)
    assert statuses.keys() == {401, 429}
    assert statuses[401] <= FREE_FAILURES + 1


async def test_connections_that_come_at_once_are_spread_over_all_workers(served: Served) -> None:
    """Clients keep their connections for hours: a worker that took them all would work alone."""
    opened = await asyncio.gather(
        *(asyncio.open_connection("127.0.0.1", served.port) for _ in range(AT_ONCE))
    )
    taken: Counter[bytes] = Counter()
    for reader, writer in opened:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        taken[head.split(b"x-request-id: ")[1].split(b"-")[0]] += 1
        writer.close()
    assert len(taken) == WORKERS
    assert min(taken.values()) > 1


async def test_a_worker_that_dies_is_replaced_and_counters_go_on(served: Served) -> None:
    async def read(http: httpx.AsyncClient, number: int) -> None:
        assert (await http.get("Patient/nobody")).status_code == 404

    await on_many_connections(served, read, 100)
    async with httpx.AsyncClient(base_url=served.base, trust_env=False) as http:
        assert (await http.post("Patient", json=patient())).status_code == 201
    await asyncio.sleep(1.2)
    committed = await _counted(served, "fhir_store_transactions_total")
    assert committed > 0
    before = set(served.workers())
    served.kill_worker()
    await _until(lambda: len(set(served.workers()) - before) == 1)
    await served.ready()
    counted = 'fhir_requests_total{interaction="read",status="404"} 100.0'
    for _ in range(8):
        async with httpx.AsyncClient(trust_env=False) as http:
            assert counted in (await http.get(f"http://127.0.0.1:{served.port}/metrics")).text
    assert await _counted(served, "fhir_store_transactions_total") >= committed


async def _counted(served: Served, name: str) -> float:
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{served.port}/metrics")).text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


async def test_everything_ends_with_sigterm(two: Served) -> None:
    workers = two.workers()
    assert two.stop() == 0
    assert not [pid for pid in workers if _is_alive(pid)]


async def test_no_worker_outlives_the_supervisor(two: Served) -> None:
    workers = two.workers()
    two.kill()
    await _until(lambda: not any(map(_is_alive, workers)))


async def test_workers_that_cannot_start_end_the_server(tmp_path: Path) -> None:
    (tmp_path / "fhir.db").write_text("this is no database, but long enough to be looked at. " * 100)
    server = Served(tmp_path, f"sqlite:///{tmp_path}/fhir.db", 2)
    server.start()
    assert server.process is not None
    assert await asyncio.to_thread(server.process.wait, 30) == 3
    assert "not a database" in server.log.read_text()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"
