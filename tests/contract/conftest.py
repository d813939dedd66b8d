"""The engines that are held to the contract, each with an empty database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from contract_kit import extract

from fhir_server.store import Store
from fhir_server.stores.sqlite import plan, sorting
from fhir_server.stores.sqlite.conditions import term
from fhir_server.stores.sqlite.store import SqliteStore

Open = Callable[[Path], Awaitable[Store]]


async def open_sqlite(folder: Path) -> Store:
    return SqliteStore.open(folder / "contract.db", extract=extract, durability="normal")


ENGINES: Mapping[str, Open] = {"sqlite": open_sqlite, "sqlite-as-if-large": open_sqlite}
LIMITS = {plan: {"FEW": 1, "MANY": 2}, sorting: {"SORTED_WHOLE": 1, "MANY": 2}, term: {"SEVERAL": 1}}
"""The numbers that decide how a search is done, so small that a few resources are a large database."""


@pytest.fixture(params=ENGINES)
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Awaitable[Store]]:
    """Opens the engine's database of this test; again after ``close`` it is the same one."""
    if request.param.endswith("as-if-large"):
        for module, limits in LIMITS.items():
            for name, limit in limits.items():
                monkeypatch.setattr(module, name, limit)
    engine = ENGINES[request.param]
    return lambda: engine(tmp_path)


@pytest.fixture
async def store(open_store: Callable[[], Awaitable[Store]]) -> AsyncIterator[Store]:
    opened = await open_store()
    yield opened
    await opened.close()
