"""What is declared works: every interaction, search parameter, include and operation of every type and the system."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from declared import Walk, system
from direct import Client

from fhir_server.app import App, build
from fhir_server.security.clients import Clients
from fhir_server.settings import Settings

Json = dict[str, Any]


pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Walk]:
    """One server for all of them, with the examples of all types; the client is an administrator, so that nothing is
    refused for who asks."""
    store = f"sqlite:///{tmp_path_factory.mktemp('walk')}/fhir.db"
    folders = {"profiles": ROOT / "profiles", "mappings": ROOT / "mappings"}
    async with build(Settings(store=store, durability="normal", mllp_port=0, **folders)).running() as app:
        server = app.server
        clients = Clients(server.store, server.now, server.new_id)
        _, secret = await clients.add("Organization/h2", "walker", id="walker", administrator=True)
        walking = Walk(Client(app.asgi, await _token(app, secret)), server)
        await walking.prepare()
        yield walking


async def _token(app: App, secret: str) -> str:
    transport = httpx.ASGITransport(app.asgi)
    async with httpx.AsyncClient(transport=transport, base_url="http://fhir.test", trust_env=False) as http:
        grant = {"grant_type": "client_credentials"}
        answer = await http.post("/auth/token", data=grant, auth=("walker", secret))
    return str(answer.json()["access_token"])


@pytest.fixture
def walk(kept: Walk) -> Walk:
    assert kept.faults == []
    return kept


async def statement(walk: Walk) -> Json:
    """The only ``rest`` of the CapabilityStatement."""
    answer = await walk.expect({200}, "GET", "/fhir/metadata")
    rest: Json = answer["rest"][0]
    assert len(rest["resource"]) == 146
    return rest


STEPS: dict[str, Callable[[Walk, Json], Any]] = {
    "interactions": lambda walk, item: walk.interactions(item),
    "parameters": lambda walk, item: walk.parameters(item),
    "includes": lambda walk, item: walk.includes(item),
    "operations": lambda walk, item: walk.operations(item, item["type"]),
}

LEAST = {"interactions": 2_000, "parameters": 2_800, "includes": 12_000, "operations": 2_000}
"""How many questions each step asks, at the least: a walk that looks at nothing finds nothing."""


@pytest.mark.parametrize("step", STEPS)
async def test_everything_that_is_declared_of_a_type_works(walk: Walk, step: str) -> None:
    before = walk.client.asked
    for item in (await statement(walk))["resource"]:
        await STEPS[step](walk, item)
    assert walk.client.asked - before > LEAST[step]
    found, walk.faults = walk.faults, []
    assert found == []


async def test_everything_that_is_declared_of_the_system_works(walk: Walk) -> None:
    await system(walk, await statement(walk))
    found, walk.faults = walk.faults, []
    assert found == []


FALSE: dict[str, Callable[[Json], None]] = {
    "interactions": lambda item: item["interaction"].append({"code": "banana"}),
    "parameters": lambda item: item["searchParam"].append(
        {"name": "banana", "type": "token", "definition": "http://x/banana"}
    ),
    "includes": lambda item: item["searchRevInclude"].append("Observation:banana"),
    "operations": lambda item: item["operation"].append({"name": "banana", "definition": "http://x/banana"}),
}


async def test_a_false_control_is_found(walk: Walk) -> None:
    for name in ("_banana", "_query"):
        await walk.control(name)
        assert walk.faults == [f"nobody knows what {name} is given"]
        walk.faults.clear()
    await walk.found("/fhir/Patient", "_count=1", "_sort")
    assert len(walk.faults) == 1
    walk.faults.clear()


async def test_a_false_declaration_is_found(walk: Walk) -> None:
    patient = next(item for item in (await statement(walk))["resource"] if item["type"] == "Patient")
    for step, lie in FALSE.items():
        lying = deepcopy(patient)
        lie(lying)
        await STEPS[step](walk, lying)
        assert walk.faults, step
        assert all("banana" in fault for fault in walk.faults), step
        walk.faults.clear()
