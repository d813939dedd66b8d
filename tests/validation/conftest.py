from __future__ import annotations

import pytest

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.validation import Validator


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return load_definitions()


@pytest.fixture(scope="session")
def validator(definitions: Definitions) -> Validator:
    return Validator(definitions)
