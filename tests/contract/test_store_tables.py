"""The search tables of ``tests/cases/search`` on real resources: the store finds what they say, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from itertools import groupby

import orjson
from search_cases import BASE_URL, ID, UPDATED, ZONE, SearchCase, load_search_cases, read_query

from fhir_server.definitions import load_definitions
from fhir_server.search.extract import Extractor
from fhir_server.search.index import IndexValues
from fhir_server.search.query import Query
from fhir_server.search.registry import Registry
from fhir_server.store import Record, Store

Opener = Callable[[Callable[[str, bytes], IndexValues]], Awaitable[Store]]


@cache
def _registry() -> Registry:
    return Registry(load_definitions())


@cache
def _extractor() -> Extractor:
    return Extractor(_registry(), _registry().definitions, ZONE, BASE_URL)


def _extract(type: str, content: bytes) -> IndexValues:
    return _extractor()(orjson.loads(content))


def _query(case: SearchCase) -> Query:
    return read_query(_registry(), case)


async def test_the_store_agrees_with_the_search_tables(open_engine: Opener) -> None:
    """Each resource in turn takes the place of the one before, so that its rows must go as well."""
    store = await open_engine(_extract)
    versions: dict[str, int] = {}
    wrong, asked = [], 0
    for content, cases in groupby(load_search_cases(), lambda case: orjson.dumps(case.resource)):
        type = orjson.loads(content)["resourceType"]
        versions[type] = versions.get(type, 0) + 1
        async with store.transaction() as transaction:
            kept = Record(type, ID, versions[type], UPDATED, "PUT", content)
            await transaction.put(kept, _extract(type, content))
        for case in cases:
            page = await store.search(_query(case))
            asked += 1
            if [each.id for each in page.records] != ([ID] if case.matches else []):
                wrong.append(case.name)
    await store.close()
    assert asked > 700
    assert wrong == []
