"""Every folder in mappings/: fine by its own check, and every example becomes its golden Bundle, valid by R4.

Golden files are written anew with ``ACCEPT=1`` (or ``--accept``); read the diff before you commit it.
"""

import os
from pathlib import Path

import orjson
import pytest

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.mapping import check, load_mappings
from fhir_server.mapping.check import example_faults
from fhir_server.mapping.examples import Example, examples, golden_text
from fhir_server.mapping.load import his_folders
from fhir_server.mapping.types import Mappings
from fhir_server.validation.validator import Validator

FOLDER = Path(__file__).parents[1] / "mappings"
FOLDERS = his_folders(FOLDER)
EXAMPLES = [example for folder in FOLDERS for example in examples(folder)]


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load_definitions()


@pytest.fixture(scope="module")
def mappings() -> Mappings:
    return load_mappings(FOLDER)


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    return bool(os.environ.get("ACCEPT") or request.config.getoption("--accept", default=False))


def name_of(item: Example | Path) -> str:
    return item.name if isinstance(item, Path) else f"{item.his}/{item.file.name}"


def test_the_two_hospitals_of_the_story_are_there():
    assert {folder.name for folder in FOLDERS} >= {"yunqi-township", "chenxi-county"}
    assert len(EXAMPLES) >= 7


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_example_becomes_its_golden_bundle(example: Example, mappings: Mappings, accept: bool):
    if accept:
        example.golden.write_text(golden_text(example.translations(mappings)), "utf-8")
    assert list(example_faults(mappings, example)) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_example_is_valid_r4(example: Example, mappings: Mappings, definitions: Definitions):
    validate = Validator(definitions).validate
    for translation in example.translations(mappings):
        assert [str(issue) for issue in validate(orjson.loads(translation.bundle))] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_folder_is_fine(folder: Path, definitions: Definitions):
    assert check(folder, definitions) == []


def test_a_changed_golden_file_is_noticed(mappings: Mappings, tmp_path: Path):
    example = EXAMPLES[0]
    copy = Example(example.his, tmp_path / example.file.name)
    copy.file.write_bytes(example.file.read_bytes())
    text = golden_text(example.translations(mappings))
    copy.golden.write_text(text.replace('"male"', '"female"', 1), "utf-8")
    faults = list(example_faults(mappings, copy))
    assert len(faults) == 1
    assert 'gender: expected "female", got "male"' in faults[0]
