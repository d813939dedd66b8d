"""Fixtures for every floor: a whole server on a temporary SQLite file, with a fixed clock and fixed ids.

``app``      the application, open, with FHIR_AUTH=on and the MLLP door closed
``server``   its ``interactions.context.Server``
``clock``    the server's time: ``clock.advance(seconds=90)`` moves it
``caller``   ``caller("h1")`` is a client of Organization/h1
``client``   httpx.AsyncClient that speaks to the application as a client of Organization/h1:
             ``await client.get("/fhir/Patient/1")``; ``anonymous`` is the same without a token
``mongo_url``  a MongoDB database of the test's own; skipped, visibly, where no server can be run
``shared``   the folder with public test packs; tests that need it are skipped, visibly, when it is not there
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from pymongo import MongoClient

from fhir_server.app import App, build
from fhir_server.interactions.context import Server
from fhir_server.mapping import load_mappings
from fhir_server.security.caller import Caller
from fhir_server.security.clients import Clients
from fhir_server.settings import Settings

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

import mongod  # noqa: E402
from moving_clock import Clock  # noqa: E402


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        store=f"sqlite:///{tmp_path}/fhir.db",
        durability="normal",
        mllp_port=0,
        profiles=ROOT / "profiles",
        mappings=ROOT / "mappings",
    )


@pytest.fixture(autouse=True, scope="session")
def mappings_read_once() -> Iterator[None]:
    """Mappings never change once they are read, and reading them costs more than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fhir_server.app.load_mappings", cache(load_mappings))
        yield


@pytest.fixture
async def app(settings: Settings, clock: Clock) -> AsyncIterator[App]:
    numbers = count(1)
    built = build(settings, now=clock, new_id=lambda: f"00000000-0000-7000-8000-{next(numbers):012x}")
    async with built.running():
        yield built


@pytest.fixture
def server(app: App) -> Server:
    return app.server


@pytest.fixture
def caller() -> Callable[[str], Caller]:
    return lambda organization: Caller(f"client-{organization}", f"Organization/{organization}")


@pytest.fixture
async def anonymous(app: App) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app.asgi, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://fhir.test", trust_env=False) as http:
        yield http


@pytest.fixture
async def client(app: App, anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    clients = Clients(app.server.store, app.server.now, app.server.new_id)
    _, secret = await clients.add("Organization/h1", "tests", id="client-h1")
    answer = await anonymous.post(
        "/auth/token", data={"grant_type": "client_credentials"}, auth=("client-h1", secret)
    )
    anonymous.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return anonymous


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[str]:
    """The URL of the replica set of this test process: ``FHIR_TEST_MONGODB_URI``, or one that is started here."""
    given = os.environ.get("FHIR_TEST_MONGODB_URI")
    if given:
        yield given
        return
    try:
        with mongod.replica_set() as running:
            yield running.uri
    except mongod.NotHere as error:
        pytest.skip(f"no MongoDB server can be run here: {error}")


@pytest.fixture
def mongo_url(mongo_server: str) -> Iterator[str]:
    name = f"fhir_test_{uuid4().hex}"
    url = mongod.with_database(mongo_server, name)
    # A client that is closed while its second monitor connects leaves a socket to the collector of garbage.
    yield f"{url}{'&' if '?' in url else '?'}serverMonitoringMode=poll"
    with MongoClient(mongo_server) as client:
        client.drop_database(name)


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(os.environ.get("FHIR_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the public test packs are not at {folder}")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="write the golden files anew, to be read as diffs")
    parser.addoption("--long", action="store_true", help="run the long forms too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="the long form; scripts/test --long runs it"))
