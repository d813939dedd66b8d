from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

import fhir_server.interactions.operations
import fhir_server.referral.operations
from fhir_server.definitions import Definitions, load_definitions
from fhir_server.interactions.operations import find_operations
from fhir_server.rest.openapi import OpenApi
from fhir_server.rest.routes import ROUTES
from fhir_server.search.registry import Registry


@dataclass
class Parts:
    """As much of a Server as the documents read."""

    definitions: Definitions
    parameters: Registry
    operations: Any


@pytest.fixture(scope="session")
def parts() -> Parts:
    definitions = load_definitions()
    operations = find_operations(fhir_server.interactions.operations, fhir_server.referral.operations)
    return Parts(definitions, Registry(definitions), operations)


@pytest.fixture(scope="session")
def documents(parts: Parts) -> OpenApi:
    return OpenApi(parts, ROUTES)  # type: ignore[arg-type]
