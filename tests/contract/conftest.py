"""The engines that are held to the contract, each with an empty database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from contract_kit import extract

from fhir_server.search.index import IndexValues
from fhir_server.store import Store
from fhir_server.stores.mongo.store import MongoStore
from fhir_server.stores.sqlite import choice, relations, sorting
from fhir_server.stores.sqlite.conditions import term
from fhir_server.stores.sqlite.store import SqliteStore

Extract = Callable[[str, bytes], IndexValues]
Open = Callable[[Any, Extract], Awaitable[Store]]


async def open_sqlite(folder: Path, extract: Extract) -> Store:
    return SqliteStore.open(folder / "contract.db", extract=extract, durability="normal")


async def open_mongo(url: str, extract: Extract) -> Store:
    return MongoStore.open(url, extract=extract)


ENGINES: Mapping[str, tuple[str, Open]] = {
    "sqlite": ("tmp_path", open_sqlite),
    "sqlite-as-if-large": ("tmp_path", open_sqlite),
    "mongo": ("mongo_url", open_mongo),
}
"""Name → the fixture that says where a database of a test may be, and what opens it there."""
LIMITS = {
    choice: {"FEW": 1, "MANY": 2},
    relations: {"NAMED": 0, "REFERRING": 0},
    sorting: {"SORTED_WHOLE": 1, "SORTED_COSTLY": 1, "MANY": 2},
    term: {"SEVERAL": 1},
}
"""The numbers that decide how a search is done, so small that a few resources are a large database."""


@pytest.fixture(params=ENGINES)
def open_engine(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Extract], Awaitable[Store]]:
    """Opens the engine's database of this test; again after ``close`` it is the same one."""
    if request.param.endswith("as-if-large"):
        for module, limits in LIMITS.items():
            for name, limit in limits.items():
                monkeypatch.setattr(module, name, limit)
    place, engine = ENGINES[request.param]
    return lambda extract: engine(request.getfixturevalue(place), extract)


@pytest.fixture
def open_store(open_engine: Callable[[Extract], Awaitable[Store]]) -> Callable[[], Awaitable[Store]]:
    """Opens it for the records of ``contract_kit``."""
    return lambda: open_engine(extract)


@pytest.fixture
async def store(open_store: Callable[[], Awaitable[Store]]) -> AsyncIterator[Store]:
    opened = await open_store()
    yield opened
    await opened.close()
