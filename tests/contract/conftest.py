"""The engines that are held to the contract, each with an empty database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from as_if_large import SQLITE, as_if_large
from contract_kit import extract

from fhir_server.search.index import IndexValues
from fhir_server.store import Store
from fhir_server.stores.mongo.store import MongoStore
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


@pytest.fixture(params=ENGINES)
def open_engine(request: pytest.FixtureRequest) -> Iterator[Callable[[Extract], Awaitable[Store]]]:
    """Opens the engine's database of this test; again after ``close`` it is the same one."""
    place, engine = ENGINES[request.param]
    with as_if_large(*([SQLITE] if request.param.endswith("as-if-large") else [])):
        yield lambda extract: engine(request.getfixturevalue(place), extract)


@pytest.fixture
def open_store(open_engine: Callable[[Extract], Awaitable[Store]]) -> Callable[[], Awaitable[Store]]:
    """Opens it for the records of ``contract_kit``."""
    return lambda: open_engine(extract)


@pytest.fixture
async def store(open_store: Callable[[], Awaitable[Store]]) -> AsyncIterator[Store]:
    opened = await open_store()
    yield opened
    await opened.close()
