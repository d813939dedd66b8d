"""A real server process, killed in the middle of indexing: the next start goes on, to the rows of a fresh build.

Clients write meanwhile; what they were told is kept must be found in the end.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from index_tables import index_rows_of

from fhir_server.app import opened
from fhir_server.interactions.transaction import transaction
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM
from fhir_server.settings import Settings

Json = dict[str, Any]
RESOURCES = 3000
AT_ONCE = 500
KILLS = 2
OWN = {
    "resourceType": "SearchParameter", "id": "own", "url": "http://example.org/own", "name": "Own",
    "status": "active", "description": "own", "code": "own", "base": ["Patient"], "type": "token",
    "expression": "Patient.maritalStatus | Patient.contact.relationship",
}  # fmt: skip


def patient(id: str, **members: Any) -> Json:
    return {
        "resourceType": "Patient",
        "id": id,
        "name": [{"text": "张伟", "family": "张", "given": ["伟"]}],
        "birthDate": "1958-03-15",
        "identifier": [{"system": "urn:x", "value": id}],
        "managingOrganization": {"reference": "Organization/h1"},
        "maritalStatus": {"coding": [{"system": "urn:m", "code": "M"}]},
        **members,
    }


def bundle(numbers: Iterable[int]) -> Resource:
    entries = [
        {"resource": patient(f"p{each}"), "request": {"method": "PUT", "url": f"Patient/p{each}"}}
        for each in numbers
    ]
    return Resource.of({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def serve(settings: dict[str, str], port: int, log: str) -> None:
    """What the server's process does: be a server until it is killed."""
    descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(settings)
    uvicorn.run("fhir_server.app:create", factory=True, port=port, log_level="error", access_log=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A server process on the store of ``folder``, killed at the end of the block."""
    settings = {
        "FHIR_STORE": f"sqlite:///{folder}/fhir.db",
        "FHIR_AUTH": "off",
        "FHIR_MLLP_PORT": "0",
        "FHIR_PROFILES": str(folder / "profiles"),
        "FHIR_MAPPINGS": str(folder / "mappings"),
    }
    port = free_port()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fhir_server.app", "uvicorn"])
    process = context.Process(target=serve, args=(settings, port, str(folder / "log")))
    process.start()
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/fhir/", trust_env=False, timeout=60
        ) as http:
            await _ready(http)
            yield http
    finally:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()


async def _ready(http: httpx.AsyncClient) -> None:
    for _ in range(600):
        try:
            if (await http.get("metadata")).is_success:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError("the server did not start")


async def indexed(http: httpx.AsyncClient, type: str) -> tuple[str, int]:
    """The state of ``type`` in the job under way ("" when there is none), and how many resources are done."""
    told = (await http.get("$reindex-status")).json()
    for job in told.get("parameter", ()):
        for each in job["part"] if job["name"] == "job" else ():
            if each["name"] == "type" and each["part"][0]["valueCode"] == type:
                return each["part"][1]["valueCode"], each["part"][2]["valueUnsignedInt"]
    return "", 0


async def in_the_middle(http: httpx.AsyncClient) -> bool:
    """Wait until some of the Patients are done; False when all were before anybody could look."""
    while True:
        state, done = await indexed(http, "Patient")
        if state in {"", "completed"}:
            return False
        if 0 < done < RESOURCES:
            return True


async def count(http: httpx.AsyncClient, query: str) -> int | None:
    """How many Patients match; None when the index is not complete."""
    answer = await http.get(f"Patient?{query}&_summary=count")
    if answer.status_code == 503:
        assert answer.headers["Retry-After"]
        return None
    return int(answer.json()["total"])


async def keep(http: httpx.AsyncClient, id: str) -> None:
    assert (await http.put(f"Patient/{id}", json=patient(id))).status_code == 201


async def test_indexing_goes_on_after_a_kill_and_ends_like_a_fresh_build(tmp_path: Path) -> None:
    settings = Settings(
        store=f"sqlite:///{tmp_path}/fhir.db", profiles=tmp_path / "profiles", durability="normal"
    )
    async with opened(settings) as server:
        for start in range(0, RESOURCES, AT_ONCE):
            await transaction(server, SYSTEM, bundle(range(start, start + AT_ONCE)))
    kills = await _killed_while_a_parameter_is_built(tmp_path)
    kills += await _killed_while_everything_is_made_anew(tmp_path)
    assert kills >= KILLS
    await _verify(tmp_path, settings)


async def _killed_while_a_parameter_is_built(folder: Path) -> int:
    async with running(folder) as http:
        assert (await http.put("SearchParameter/own", json=OWN)).status_code == 201
        await keep(http, "during-1")
        was_in_the_middle = await in_the_middle(http)
        assert await count(http, "own=M") in {None, RESOURCES + 1}
    async with running(folder) as http:
        await keep(http, "during-2")
        while await count(http, "own=M") is None:
            await asyncio.sleep(0.05)
        assert await count(http, "own=M") == RESOURCES + 2
    return int(was_in_the_middle)


async def _killed_while_everything_is_made_anew(folder: Path) -> int:
    async with running(folder) as http:
        asked = {"resourceType": "Parameters", "parameter": [{"name": "type", "valueCode": "Patient"}]}
        assert (await http.post("$reindex", json=asked)).status_code == 200
        was_in_the_middle = await in_the_middle(http)
        await keep(http, "during-3")
    async with running(folder) as http:
        await keep(http, "during-4")
        while await count(http, "name=张") is None:
            await asyncio.sleep(0.05)
        assert await count(http, "name=张") == await count(http, "own=M") == RESOURCES + 4
        while (await indexed(http, "Patient"))[0]:
            await asyncio.sleep(0.05)
    return int(was_in_the_middle)


async def _verify(folder: Path, settings: Settings) -> None:
    """A copy is indexed from scratch, and every table compared."""
    fresh = folder / "fresh"
    fresh.mkdir()
    for file in folder.glob("fhir.db*"):
        shutil.copy(file, fresh / file.name)
    copied = settings.model_copy(
        update={"store": f"sqlite:///{fresh}/fhir.db", "base_url": "http://elsewhere"}
    )
    async with opened(copied) as server:
        assert not server.parameters.unfinished
    rows, expected = index_rows_of(f"{folder}/fhir.db"), index_rows_of(f"{fresh}/fhir.db")
    for table, found in expected.items():
        assert rows[table] == found, table
    assert {name for name, found in expected.items() if found} >= {"term", "link", "string", "period", "live"}
