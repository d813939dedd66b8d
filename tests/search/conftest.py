"""Definitions, registry and extractor, made once for all search tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from search_cases import BASE_URL, NOW, ZONE

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.search.extract import Extractor
from fhir_server.search.query import Query, parse_query
from fhir_server.search.registry import Registry

Parse = Callable[..., Query]


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return load_definitions()


@pytest.fixture(scope="session")
def registry(definitions: Definitions) -> Registry:
    return Registry(definitions)


@pytest.fixture(scope="session")
def extract(registry: Registry, definitions: Definitions) -> Extractor:
    return Extractor(registry, definitions, ZONE, BASE_URL)


@pytest.fixture(scope="session")
def parse(registry: Registry) -> Parse:
    def parse(type: str, *pairs: tuple[str, str], **options: Any) -> Query:
        return parse_query(registry, type, pairs, zone=ZONE, base_url=BASE_URL, now=NOW, **options)

    return parse
