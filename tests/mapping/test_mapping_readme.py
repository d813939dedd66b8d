"""mappings/README.md names everything a map can say."""

import json
import re

import pytest
from mapping_cases import MAPPINGS, ROOT

from fhir_server.mapping import faults
from fhir_server.mapping.checks import CHECKS
from fhir_server.mapping.functions import FUNCTIONS

README = (MAPPINGS / "README.md").read_text("utf-8")
SCHEMA = json.loads((ROOT / "fhir_server/mapping/schemas/map.schema.json").read_text("utf-8"))
DEFINITIONS = SCHEMA["$defs"]
CODES = [name for name, value in vars(faults).items() if name.isupper() and value == name]


@pytest.mark.parametrize("kind", ["rule", "field", "condition", "test"])
def test_every_key_is_explained(kind: str):
    words = set(re.findall(r"[\w-]+", README))
    assert set(DEFINITIONS[kind]["properties"]) - words == set()


def test_every_key_of_source_is_explained():
    words = set(re.findall(r"[\w-]+", README))
    assert set(SCHEMA["properties"]["source"]["properties"]) - words == set()


@pytest.mark.parametrize("name", [*FUNCTIONS, *CHECKS, *CODES])
def test_every_function_check_and_code_is_explained(name: str):
    assert f"`{name}`" in README


def test_the_codes_are_all_there():
    assert len(CODES) >= 11
