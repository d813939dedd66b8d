"""A store that is away when the server starts is waited for; one that can never work ends it. One worker or several."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import mongod
import pytest
from served import Served, free_port

from fhir_server.stores.sqlite.schema import APPLICATION

WORKERS = pytest.mark.parametrize("workers", [1, 2])


@asynccontextmanager
async def started(folder: Path, store: str, workers: int) -> AsyncIterator[Served]:
    server = Served(folder, store, workers)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill_all()


@asynccontextmanager
async def leading_to(target: int, port: int) -> AsyncIterator[None]:
    """What connects to ``port`` reaches ``target``."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while data := await reader.read(65_536):
                writer.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(
            pass_on(reader, other_writer), pass_on(other_reader, writer), return_exceptions=True
        )

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    yield
    server.close()


async def answering(server: Served) -> None:
    """Until it listens."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        for _ in range(400):
            assert server.process is not None and server.process.poll() is None, server.log.read_text()
            try:
                assert (await http.get(f"http://127.0.0.1:{server.port}/health/live")).status_code == 200
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
    raise AssertionError(server.log.read_text())


async def require_waiting(server: Served) -> None:
    """It lives, is not ready, and refuses everything in FHIR's words."""
    await answering(server)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=20
    ) as http:
        for method, path in (
            ("GET", "/health/ready"),
            ("GET", "/fhir/Patient/p"),
            ("POST", "/fhir/Patient"),
            ("POST", "/auth/token"),
        ):
            answer = await http.request(method, path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2"), path
            assert answer.json()["issue"][0]["code"] == "transient"
            assert answer.headers["X-Request-Id"]
        assert (await http.head("/fhir/Patient")).status_code == 503
        assert "\nfhir_store_up 0.0\n" in (await http.get("/metrics")).text


async def require_working(server: Served) -> None:
    await server.ready()
    async with httpx.AsyncClient(base_url=server.base, trust_env=False, timeout=60) as http:
        assert (await http.put("Patient/p", json={"resourceType": "Patient", "id": "p"})).status_code == 201
        assert (await http.get("Patient/p")).status_code == 200


async def ended(server: Served) -> int:
    assert server.process is not None
    return await asyncio.to_thread(server.process.wait, 40)


@WORKERS
async def test_a_database_that_cannot_be_reached_yet_is_waited_for(
    tmp_path: Path, mongo_server: str, workers: int
) -> None:
    host, _, options = mongo_server.removeprefix("mongodb://").partition("/")
    port = free_port()
    away = mongod.with_database(f"mongodb://127.0.0.1:{port}/{options}", f"fhir_test_{uuid4().hex}")
    async with started(tmp_path, f"{away}&serverSelectionTimeoutMS=300", workers) as server:
        await require_waiting(server)
        async with leading_to(int(host.rpartition(":")[2]), port):
            await require_working(server)
    assert "the store is away" in server.log.read_text()


def holding(file: Path) -> sqlite3.Connection:
    """Another program that keeps everybody out of the database."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("CREATE TABLE IF NOT EXISTS t (x)")
    other.execute("DROP TABLE t")
    other.execute("BEGIN EXCLUSIVE")
    return other


@WORKERS
async def test_a_file_that_another_program_holds_is_waited_for(tmp_path: Path, workers: int) -> None:
    with closing(holding(tmp_path / "fhir.db")) as other:
        async with started(tmp_path, f"sqlite:///{tmp_path}/fhir.db", workers) as server:
            await require_waiting(server)
            other.execute("ROLLBACK")
            await require_working(server)


@WORKERS
async def test_what_turns_out_to_be_no_store_ends_the_server_that_waited(
    tmp_path: Path, workers: int
) -> None:
    with closing(holding(tmp_path / "fhir.db")) as other:
        other.execute("PRAGMA application_id = 7")
        other.execute("CREATE TABLE theirs (x)")
        async with started(tmp_path, f"sqlite:///{tmp_path}/fhir.db", workers) as server:
            await require_waiting(server)
            other.execute("COMMIT")
            assert await ended(server) == 3
    assert "another program" in server.log.read_text()


@WORKERS
async def test_a_server_that_waits_can_be_stopped(tmp_path: Path, workers: int) -> None:
    with closing(holding(tmp_path / "fhir.db")):
        async with started(tmp_path, f"sqlite:///{tmp_path}/fhir.db", workers) as server:
            await require_waiting(server)
            assert server.process is not None
            server.process.terminate()
            assert await ended(server) in {0, -15}


def garbage(folder: Path) -> str:
    (folder / "fhir.db").write_text("this is no database, but long enough to be looked at. " * 100)
    return f"sqlite:///{folder}/fhir.db"


def newer(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "fhir.db")) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute("PRAGMA user_version = 9999")
        connection.execute("CREATE TABLE resource (x)")
    return f"sqlite:///{folder}/fhir.db"


def nobody_may_write(folder: Path) -> str:
    return "sqlite:////proc/fhir/fhir.db"


def no_replica_set(folder: Path) -> str:
    return "mongodb://127.0.0.1:1/fhir?replicaSet=x&unknownOption"


@WORKERS
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (garbage, "not a database"),
        (newer, "newer version"),
        (nobody_may_write, ""),
        (no_replica_set, "no MongoDB URL"),
    ],
)
async def test_what_can_never_be_a_store_ends_the_server_at_once(
    tmp_path: Path, workers: int, make: Callable[[Path], Any], said: str
) -> None:
    async with started(tmp_path, make(tmp_path), workers) as server:
        assert await ended(server) == 3
    assert said in server.log.read_text()
