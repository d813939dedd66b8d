"""``$reindex``: rows made anew on request are those of a fresh build; told, ended, taken up after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from index_tables import index_rows_of
from interaction_cases import parsed

from fhir_server.app import opened
from fhir_server.errors import Conflict, Forbidden, InvalidContent, NotFound, NotReady, StoreUnavailable
from fhir_server.interactions.context import Server
from fhir_server.interactions.delete import delete
from fhir_server.interactions.indexing import indexer as indexer_module
from fhir_server.interactions.indexing import work as work_module
from fhir_server.interactions.operations import invoke
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.model.resource import Json, Resource
from fhir_server.security.caller import Caller
from fhir_server.settings import Settings

CLIENT = Caller("his", "Organization/h1")
ADMINISTRATOR = Caller("desk", "Organization/h1", administrator=True)
PATIENTS = 40


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        store=f"sqlite:///{tmp_path}/fhir.db", durability="normal", profiles=tmp_path / "profiles"
    )


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    async with opened(settings) as server:
        await fill(server)
        yield server


def patient(number: int, **members: Any) -> Json:
    return {
        "resourceType": "Patient",
        "id": f"p{number:03}",
        "name": [{"text": f"张伟{number}", "family": "张"}],
        "birthDate": f"19{number % 100:02}-03-02",
        "managingOrganization": {"reference": "Organization/h1"},
        **members,
    }


def observation(number: int) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"o{number:03}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/p{number:03}"},
        "effectiveDateTime": f"2026-03-{number % 28 + 1:02}",
        "valueQuantity": {
            "value": number,
            "unit": "g/L",
            "system": "http://unitsofmeasure.org",
            "code": "g/L",
        },
    }


async def fill(server: Server) -> None:
    for number in range(PATIENTS):
        await keep(server, patient(number))
        await keep(server, observation(number))
    await keep(server, patient(0, active=True))
    await delete(server, CLIENT, "Patient", "p001")


async def keep(server: Server, resource: Json) -> None:
    await update(server, CLIENT, Resource.of(resource), id=resource["id"])


async def call(
    server: Server,
    code: str,
    *values: Json,
    type: str | None = None,
    id: str | None = None,
    who: Caller = ADMINISTRATOR,
) -> Json:
    level = "instance" if id else "type" if type else "system"
    parameters = {"resourceType": "Parameters", "parameter": list(values)} if values else None
    outcome = await invoke(server, who, level, type, id, code, parameters)
    answer: Json = parsed(outcome)
    return answer


def job_of(answer: Json) -> Json:
    """The first job that is told: its simple parts by name, and the types."""
    part = next(each["part"] for each in answer["parameter"] if each["name"] == "job")
    told = {each["name"]: next(value for name, value in each.items() if name != "name") for each in part}
    types = [each["part"] for each in part if each["name"] == "type"]
    told["types"] = {parts[0]["valueCode"]: parts[1]["valueCode"] for parts in types}
    return told


async def total(server: Server, type: str, *pairs: tuple[str, str]) -> int:
    answer = await search(server, CLIENT, type, [*pairs, ("_summary", "count")])
    return int(parsed(answer)["total"])


async def work_off(server: Server) -> None:
    assert server.indexer is not None
    await server.indexer.work_off()


# ── what is rebuilt ───────────────────────────────────────────────────────────


async def test_the_rows_are_those_of_a_fresh_build(server: Server, settings: Settings) -> None:
    file = settings.store.removeprefix("sqlite:///")
    fresh = index_rows_of(file)
    assert {name for name, rows in fresh.items() if rows} >= {"term", "link", "string", "period", "number"}
    with sqlite3.connect(file) as tool:
        tool.execute("DELETE FROM term WHERE rid % 2 = 0")
        tool.execute("DELETE FROM period WHERE rid % 3 = 0")
        tool.execute("UPDATE string SET text = text || '~' WHERE rid % 5 = 0")
        tool.execute("DELETE FROM link WHERE rid % 7 = 0")
        tool.execute("INSERT INTO term SELECT key, 'stale', date, rid, extra FROM term LIMIT 20")
    tool.close()
    assert index_rows_of(file) != fresh
    answer = await call(server, "reindex")
    assert job_of(answer)["status"] == "active"
    await work_off(server)
    assert index_rows_of(file) == fresh


async def test_only_the_type_that_is_worked_on_is_refused(server: Server) -> None:
    answer = await call(
        server,
        "reindex",
        {"name": "type", "valueCode": "Patient"},
        {"name": "type", "valueCode": "Observation"},
    )
    assert job_of(answer)["types"] == {"Patient": "waiting", "Observation": "waiting"}
    assert await total(server, "Patient", ("name", "张")) == PATIENTS - 1
    assert server.indexer is not None
    work = asyncio.get_running_loop().create_task(server.indexer.work_off())
    job = server.indexer.ledger.jobs[0]
    while job.units[0].state != "running" or not job.units[0].dropped:
        await asyncio.sleep(0)
    with pytest.raises(NotReady, match=r"Patient\.name is being built"):
        await total(server, "Patient", ("name", "张"))
    assert await total(server, "Observation", ("code", "718-7")) == PATIENTS
    assert await total(server, "Patient") == PATIENTS - 1
    await keep(server, patient(500))
    await work
    assert await total(server, "Patient", ("name", "张")) == PATIENTS


async def test_the_rows_of_one_type_or_one_parameter_can_be_asked_for(server: Server) -> None:
    job = job_of(await call(server, "reindex", type="Patient"))
    assert job["types"] == {"Patient": "waiting"}
    url = "http://hl7.org/fhir/SearchParameter/individual-gender"
    job = job_of(await call(server, "reindex", type="SearchParameter", id="individual-gender"))
    assert set(job["types"]) == {"Patient", "Person", "Practitioner", "RelatedPerson"}
    job = job_of(await call(server, "reindex", {"name": "url", "valueUri": url}, type="Patient"))
    assert set(job["types"]) == {"Patient"}
    await work_off(server)
    assert await total(server, "Patient", ("name", "张")) == PATIENTS - 1


# ── telling and ending ────────────────────────────────────────────────────────


async def test_the_state_of_every_parameter_that_is_not_complete_is_told(server: Server) -> None:
    assert (await call(server, "reindex-status")).get("parameter", []) == []
    own = {
        "resourceType": "SearchParameter", "id": "own", "url": "http://example.org/own", "name": "Own",
        "status": "active", "description": "own", "code": "own", "base": ["Patient"], "type": "token",
        "expression": "Patient.maritalStatus",
    }  # fmt: skip
    await update(server, ADMINISTRATOR, Resource.of(own), id="own")
    told = await call(server, "reindex-status")
    state = {
        each["name"]: each for each in next(p["part"] for p in told["parameter"] if p["name"] == "parameter")
    }
    assert (state["code"]["valueCode"], state["status"]["valueCode"]) == ("own", "building")
    assert job_of(told)["reason"] == "parameters"
    await work_off(server)
    told = await call(server, "reindex-status")
    assert [each["name"] for each in told["parameter"]] == ["parameter"]
    assert {"name": "status", "valueCode": "complete"} in told["parameter"][0]["part"]


async def test_a_job_that_is_ended_finishes_what_it_has_begun(server: Server) -> None:
    asked = [{"name": "type", "valueCode": type} for type in ("Patient", "Observation")]
    id = {"name": "job", "valueId": job_of(await call(server, "reindex", *asked))["id"]}
    assert server.indexer is not None
    work = asyncio.get_running_loop().create_task(server.indexer.work_off())
    while server.indexer.ledger.jobs[0].units[0].state != "running":
        await asyncio.sleep(0)
    ended = job_of(await call(server, "reindex-cancel", id))
    assert ended["types"] == {"Patient": "running", "Observation": "cancelled"}
    await work
    told = job_of(await call(server, "reindex-status", id))
    assert (told["status"], told["types"]["Patient"]) == ("cancelled", "completed")
    assert await total(server, "Patient", ("name", "张")) == PATIENTS - 1
    with pytest.raises(Conflict, match="cancelled already"):
        await call(server, "reindex-cancel", id)
    with pytest.raises(NotFound):
        await call(server, "reindex-status", {"name": "job", "valueId": "none"})


async def test_only_an_administrator_may_and_only_what_is_known(server: Server) -> None:
    for code in ("reindex", "reindex-status"):
        with pytest.raises(Forbidden):
            await call(server, code, who=CLIENT)
    for value in ({"name": "type", "valueCode": "Patienten"}, {"name": "url", "valueUri": "urn:none"}):
        with pytest.raises(InvalidContent):
            await call(server, "reindex", value)


# ── failures and restarts ─────────────────────────────────────────────────────


async def test_a_step_that_fails_is_tried_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer_module, "AGAIN_AFTER", 0.0)
    assert server.indexer is not None
    failures = iter([StoreUnavailable("the disk is full"), ZeroDivisionError()])
    original = server.indexer._work._build
    told = []

    async def fails(unit: Any) -> None:
        told.extend(job.fault for job in server.indexer.ledger.jobs)  # type: ignore[union-attr]
        for failure in failures:
            raise failure
        await original(unit)

    monkeypatch.setattr(server.indexer._work, "_build", fails)
    await call(server, "reindex", type="Patient")
    await work_off(server)
    assert told[:3] == ["", "the disk is full", "ZeroDivisionError: see the log of the server"]
    assert await total(server, "Patient", ("name", "张")) == PATIENTS - 1


async def test_a_job_is_taken_up_where_it_was_left(
    server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_module, "MOST", 10)
    await call(server, "reindex", type="Patient")
    indexer = server.indexer
    assert indexer is not None
    job = indexer.ledger.jobs[0]
    unit = job.units[0]
    await indexer._work._begin(unit)
    while not unit.dropped:
        await indexer._work._drop(unit)
    await indexer._work._build(unit)
    assert 0 < unit.done < unit.total
    await indexer.ledger.save(job)
    async with opened(settings) as again:
        assert again.indexer is not None
        taken = again.indexer.ledger.jobs[0].units[0]
        assert (taken.position, taken.done, taken.dropped) == (unit.position, unit.done, True)
        with pytest.raises(NotReady):
            await total(again, "Patient", ("name", "张"))
        await work_off(again)
        assert await total(again, "Patient", ("name", "张")) == PATIENTS - 1
