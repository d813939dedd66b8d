"""The store fails in every way that one can: what clients are told, what goes on, what is left afterwards."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from served import Served

from fhir_server.app import App
from fhir_server.rest import front
from fhir_server.settings import Settings
from fhir_server.stores.sqlite import writer
from fhir_server.stores.sqlite.store import SqliteStore

Json = dict[str, Any]
MEGABYTES = 12


def patient(id: str, **members: Any) -> Json:
    return {"resourceType": "Patient", "id": id, **members}


def told(answer: httpx.Response) -> Json:
    """The only issue of an OperationOutcome."""
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    issue: Json = outcome["issue"][0]
    return issue


async def require_away(client: httpx.AsyncClient, status: int = 503) -> None:
    """Writing is refused with advice, health says so, reading goes on."""
    answer = await client.put("/fhir/Patient/after", json=patient("after"))
    assert answer.status_code == status
    assert int(answer.headers["Retry-After"]) > 0
    assert told(answer)["code"] in {"transient", "no-store"}
    assert (await client.get("/health/ready")).status_code == status
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/fhir/Patient/before")).status_code == 200


async def require_recovered(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/ready")).status_code == 200
    assert (await client.put("/fhir/Patient/after", json=patient("after"))).status_code == 201


@pytest.fixture
async def before(client: httpx.AsyncClient) -> None:
    assert (await client.put("/fhir/Patient/before", json=patient("before"))).status_code == 201


@pytest.fixture
def store(app: App) -> SqliteStore:
    assert isinstance(app.server.store, SqliteStore)
    return app.server.store


# ── away, and back ────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("before")
async def test_a_store_that_another_program_holds_is_told_and_comes_back(
    client: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.05)
    other = sqlite3.connect(settings.store.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await require_away(client)
    other.execute("ROLLBACK")
    other.close()
    await require_recovered(client)


@pytest.mark.usefixtures("before")
async def test_a_store_that_became_read_only_is_told_and_comes_back(
    client: httpx.AsyncClient, store: SqliteStore
) -> None:
    store._writer.connection.execute("PRAGMA query_only = ON")
    await require_away(client)
    store._writer.connection.execute("PRAGMA query_only = OFF")
    await require_recovered(client)


@pytest.mark.usefixtures("before")
async def test_a_lost_connection_costs_one_request(client: httpx.AsyncClient, store: SqliteStore) -> None:
    store._writer.connection.close()
    answer = await client.put("/fhir/Patient/after", json=patient("after"))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    await require_recovered(client)


# ── a clock that goes back ────────────────────────────────────────────────────


async def test_times_of_a_resource_never_go_back(client: httpx.AsyncClient, clock: Any) -> None:
    for day in (0, -2, 1, -30):
        clock.advance(days=day)
        answer = await client.put("/fhir/Patient/p", json=patient("p", birthDate=f"19{50 + day}"))
        assert answer.is_success
    assert (await client.delete("/fhir/Patient/p")).is_success
    bundle = (await client.get("/fhir/Patient/p/_history")).json()
    times = [each["response"]["lastModified"] for each in bundle["entry"]]
    assert len(times) == 5
    assert times == sorted(times, reverse=True)
    versions = [each["resource"]["meta"]["versionId"] for each in bundle["entry"][1:]]
    assert versions == ["4", "3", "2", "1"]


# ── slow ──────────────────────────────────────────────────────────────────────


@pytest.fixture
def slow(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The disk takes nothing until the event is set."""
    go_on, write_out = threading.Event(), store._writer._write_out

    def wait() -> None:
        go_on.wait(30)
        write_out()

    monkeypatch.setattr(store._writer, "_write_out", wait)
    monkeypatch.setattr(store._writer, "_wait_for_disk", True)
    yield go_on
    go_on.set()


@pytest.mark.usefixtures("before")
async def test_what_waits_for_a_slow_disk_is_bounded_in_number_and_time(
    client: httpx.AsyncClient, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 5)
    monkeypatch.setattr(writer, "LONGEST_WAIT", 0.3)
    first = asyncio.create_task(client.put("/fhir/Patient/first", json=patient("first")))
    await asyncio.sleep(0.1)
    puts = [client.put(f"/fhir/Patient/p{number}", json=patient(f"p{number}")) for number in range(20)]
    answers = await asyncio.gather(*puts)
    assert {answer.status_code for answer in answers} == {503}
    assert all(answer.headers["Retry-After"] for answer in answers)
    texts = Counter(told(answer)["details"]["text"].split()[0] for answer in answers)
    assert texts == {"5": 15, "writing": 5}
    assert "look whether this was written" in told(await first)["details"]["text"]
    assert (await client.get("/fhir/Patient/before")).status_code == 200
    slow.set()
    await require_recovered(client)
    assert (await client.get("/fhir/Patient/first")).status_code == 200
    assert (await client.get("/fhir/Patient/p0")).status_code == 404


async def test_requests_under_way_are_bounded(
    client: httpx.AsyncClient, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "MOST_UNDER_WAY", 1)
    first = asyncio.create_task(client.put("/fhir/Patient/first", json=patient("first")))
    await asyncio.sleep(0.05)
    answer = await client.get("/fhir/metadata", headers={"X-Request-Id": "mine"})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["X-Request-Id"] == "mine"
    assert told(answer)["code"] == "throttled"
    assert (await client.get("/health/live")).status_code == 200
    slow.set()
    assert (await first).status_code == 201
    assert (await client.get("/fhir/metadata")).status_code == 200


# ── a full disk ───────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "none", str(place)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_is_told_reading_goes_on_and_nothing_is_half_written(
    tmp_path: Path, small_disk: Path
) -> None:
    server = Served(tmp_path, f"sqlite:///{small_disk}/fhir.db")
    server.start()
    try:
        await server.ready()
        base = server.base.removesuffix("/fhir/")
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
            assert (await client.put("/fhir/Patient/before", json=patient("before"))).status_code == 201
            filler = small_disk / "filler"
            _fill(filler, leave=3_000_000)
            acknowledged = await _write_until_full(client)
            _fill(filler, leave=0)
            assert (await client.get("/health/ready")).status_code == 507
            for id in acknowledged:
                assert (await client.get(f"/fhir/Binary/{id}")).status_code == 200
            filler.unlink()
            await require_recovered(client)
            kept = (await client.get("/fhir/Binary?_summary=count")).json()["total"]
            assert kept == len(acknowledged)
    finally:
        server.stop()


def _fill(file: Path, leave: int) -> None:
    """Make ``file`` so large that ``leave`` bytes are free."""
    state = os.statvfs(file.parent)
    with file.open("ab") as out:
        try:
            out.write(b"x" * max(0, state.f_bavail * state.f_frsize - leave))
        except OSError:
            return


async def _write_until_full(client: httpx.AsyncClient) -> list[str]:
    """The ids of what was acknowledged; the last write is refused, as a transaction is, whole."""
    chance, acknowledged = Random(1), list[str]()
    for number in range(400):
        entries = [_binary(f"b{number}-{part}", chance) for part in range(3)]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = await client.post("/fhir", json=bundle)
        if answer.status_code == 507:
            assert told(answer)["code"] == "no-store"
            assert "disk is full" in told(answer)["details"]["text"]
            assert answer.headers["Retry-After"]
            for entry in entries:
                assert (await client.get(f"/fhir/{entry['request']['url']}")).status_code == 404
            assert acknowledged
            return acknowledged
        assert answer.status_code == 200, answer.text
        acknowledged += [entry["resource"]["id"] for entry in entries]
    raise AssertionError("the disk was never full")


def _binary(id: str, chance: Random) -> Json:
    data = chance.randbytes(15_000).hex()
    return {
        "resource": {"resourceType": "Binary", "id": id, "contentType": "text/plain", "data": data},
        "request": {"method": "PUT", "url": f"Binary/{id}"},
    }


# ── files that cannot be served ───────────────────────────────────────────────


async def _fails_to_start(server: Served) -> str:
    """What the server says when it does not start."""
    server.start()
    assert server.process is not None
    assert await asyncio.to_thread(server.process.wait, 60) == 3
    return server.log.read_text()


async def test_a_read_only_disk_is_told_at_the_start(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = await _fails_to_start(Served(tmp_path, f"sqlite:///{small_disk}/fhir.db"))
    assert "cannot be opened" in said or "cannot be written" in said
    assert "Traceback" not in said


async def test_a_damaged_page_keeps_the_server_from_starting_and_the_file_as_it_is(tmp_path: Path) -> None:
    server = Served(tmp_path, f"sqlite:///{tmp_path}/fhir.db")
    server.start()
    await server.ready()
    async with httpx.AsyncClient(base_url=server.base, trust_env=False, timeout=60) as client:
        for number in range(60):
            body = patient(f"p{number}", name=[{"text": f"{number}" * 400}])
            assert (await client.put(f"Patient/p{number}", json=body)).status_code == 201
    server.stop()
    file = tmp_path / "fhir.db"
    damaged = bytearray(file.read_bytes())
    damaged[-3 * 4096 : -2 * 4096] = b"\xa5" * 4096
    file.write_bytes(damaged)
    said = await _fails_to_start(server)
    assert "is damaged" in said
    assert "store restore" in said
    assert "Traceback" not in said
    assert file.read_bytes() == damaged


# ── the end ───────────────────────────────────────────────────────────────────


async def test_a_server_that_is_told_to_stop_finishes_or_refuses_what_is_under_way(tmp_path: Path) -> None:
    server = Served(tmp_path, f"sqlite:///{tmp_path}/fhir.db", 2)
    server.start()
    await server.ready()
    acknowledged: list[str] = []

    async def write(client: int) -> None:
        async with httpx.AsyncClient(base_url=server.base, trust_env=False, timeout=60) as http:
            for number in range(10_000):
                id = f"{client}-{number}"
                try:
                    answer = await http.put(f"Patient/{id}", json=patient(id))
                except httpx.TransportError:
                    return
                assert answer.status_code == 201, answer.text
                acknowledged.append(id)

    writers = [asyncio.create_task(write(client)) for client in range(8)]
    await asyncio.sleep(1.0)
    assert await asyncio.to_thread(server.stop) == 0
    await asyncio.gather(*writers)
    assert acknowledged
    server.start()
    await server.ready()
    async with httpx.AsyncClient(base_url=server.base, trust_env=False, timeout=60) as http:
        total = (await http.get("Patient?_summary=count")).json()["total"]
        assert len(acknowledged) <= total <= len(acknowledged) + 8
        for id in Random(1).sample(acknowledged, min(50, len(acknowledged))):
            assert (await http.get(f"Patient/{id}")).status_code == 200
    server.stop()
