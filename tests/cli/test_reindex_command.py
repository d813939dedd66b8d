"""``fhir-server reindex``: on a store that nobody serves, and of a running server."""

import orjson
import pytest
from typer.testing import CliRunner

from fhir_server.app import opened
from fhir_server.cli import app
from fhir_server.cli.failures import UsageFault
from fhir_server.errors import StoreUnavailable
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM
from fhir_server.settings import Settings


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path}/fhir.db"


async def fill(store):
    async with opened(Settings(store=store)) as server:
        for number in range(5):
            data = {"resourceType": "Patient", "id": f"p{number}", "name": [{"text": "张伟"}]}
            await update(server, SYSTEM, Resource.of(data), id=f"p{number}")
        async with server.store.transaction() as transaction:
            keys = frozenset(server.parameters.parameter("Patient", "name").keys)
            assert await transaction.unindex(keys, 1000) > 0
        assert await found(server) == 0


async def found(server):
    answer = await search(server, SYSTEM, "Patient", [("name", "张"), ("_summary", "count")])
    return orjson.loads(answer.resource)["total"]


def run(*arguments):
    return CliRunner().invoke(app, ["reindex", *arguments])


async def aside(call, *arguments):
    """Run ``call`` in a thread: the command has an event loop of its own."""
    import asyncio

    return await asyncio.to_thread(call, *arguments)


async def test_a_store_is_indexed_anew(store):
    await fill(store)
    result = await aside(run, "--store", store, "--type", "Patient")
    assert (result.exit_code, result.stdout) == (0, "indexed 5 resources\n"), result.exception
    async with opened(Settings(store=store)) as server:
        assert await found(server) == 5


async def test_a_store_that_is_served_is_left_alone(store):
    await fill(store)
    async with opened(Settings(store=store)) as server:
        result = await aside(run, "--store", store)
        assert isinstance(result.exception, StoreUnavailable)
        assert "use --base" in str(result.exception)
        assert await found(server) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--type", "Patienten"], "Patienten"),
        (["--parameter", "urn:none"], "urn:none"),
        (["--base", "http://127.0.0.1:1/fhir", "--store", "sqlite:///x"], "exclude each other"),
    ],
)
def test_wrong_usage_is_told(store, arguments, text):
    result = run(*arguments)
    assert isinstance(result.exception, UsageFault)
    assert text in str(result.exception)
