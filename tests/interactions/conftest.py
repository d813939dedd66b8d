"""A server on a temporary SQLite file with the real definitions, validator and index; a clock and ids that count."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import pytest

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.interactions.context import Server
from fhir_server.search.extract import Extractor
from fhir_server.search.registry import Registry
from fhir_server.security.caller import Caller
from fhir_server.stores.sqlite.store import SqliteStore
from fhir_server.validation import Validator

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 3, 2, 9, 12, tzinfo=ZONE)


class Facts(NamedTuple):
    """What is the same for every server."""

    definitions: Definitions
    registry: Registry
    extract: Extractor
    validator: Validator


@pytest.fixture(scope="session")
def facts() -> Facts:
    definitions = load_definitions()
    registry = Registry(definitions)
    return Facts(definitions, registry, Extractor(registry, definitions, ZONE), Validator(definitions))


@pytest.fixture
async def server(facts: Facts, tmp_path: Path) -> AsyncIterator[Server]:
    """An empty server: each reading of its clock is a second later, its ids are n1, n2 …"""
    store = SqliteStore.open(
        tmp_path / "test.db",
        extract=lambda type, content: facts.extract(orjson.loads(content)),
        durability="normal",
    )
    ticks, ids = count(), count(1)
    yield Server(
        store=store,
        definitions=facts.definitions,
        parameters=facts.registry,
        validate=facts.validator.validate,
        extract=facts.extract,
        now=lambda: START + timedelta(seconds=next(ticks)),
        new_id=lambda: f"n{next(ids)}",
        timezone=ZONE,
    )
    await store.close()


@pytest.fixture
def caller() -> Caller:
    return Caller("tester", "Organization/h1")


@pytest.fixture
def with_rules(server: Server) -> Callable[..., Server]:
    """``server`` with other fields: rules, adopt, stale, operations, reference_check …"""

    def change(**fields: Any) -> Server:
        return replace(server, **fields)

    return change
