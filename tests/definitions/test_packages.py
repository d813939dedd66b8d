from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_server.definitions import load_definitions
from fhir_server.errors import InvalidContent

PARAMETER = {
    "resourceType": "SearchParameter",
    "url": "http://cmc.example.org/fhir/SearchParameter/task-episode",
    "code": "episode",
    "base": ["Task"],
    "type": "token",
    "expression": "Task.groupIdentifier",
}
CODES = {
    "resourceType": "CodeSystem",
    "url": "http://cmc.example.org/fhir/CodeSystem/reason",
    "content": "complete",
    "concept": [{"code": "bed"}],
}
VALUES = {
    "resourceType": "ValueSet",
    "url": "http://cmc.example.org/fhir/ValueSet/reason",
    "compose": {"include": [{"system": CODES["url"]}]},
}


def write(folder: Path, **files: Any) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").write_bytes(
            content if isinstance(content, bytes) else orjson.dumps(content)
        )


def test_files_are_found_by_walking(tmp_path: Path) -> None:
    write(tmp_path, codes=CODES, deep__er__values=VALUES, parameter=PARAMETER)
    (tmp_path / "README.md").write_text("not a resource")
    definitions = load_definitions(tmp_path)
    assert [item["resourceType"] for item in definitions.vocabulary] == [
        "CodeSystem",
        "ValueSet",
        "SearchParameter",
    ]


def test_a_search_parameter_joins_those_of_the_standard(tmp_path: Path) -> None:
    write(tmp_path, parameter=PARAMETER)
    found = load_definitions(tmp_path).search_parameters
    assert len(found) == 1376
    assert (found[-1].code, found[-1].base, found[-1].kind) == ("episode", ("Task",), "token")


def test_own_value_sets_are_closed(tmp_path: Path) -> None:
    write(tmp_path, codes=CODES, values=VALUES)
    assert load_definitions(tmp_path).required_codes(VALUES["url"]) == {"bed"}


def test_every_faulty_file_is_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_broken=b"{",
        b_patient={"resourceType": "Patient"},
        c_without_url={"resourceType": "ValueSet"},
        d_list=[],
        e_parameter={key: value for key, value in PARAMETER.items() if key != "code"},
        f_first=CODES,
        g_second=CODES,
    )
    with pytest.raises(InvalidContent) as caught:
        load_definitions(tmp_path)
    texts = [issue.text for issue in caught.value.issues]
    assert len(texts) == 6
    assert texts[0].startswith("a_broken.json: not JSON")
    assert "resourceType is 'Patient'" in texts[1]
    assert texts[2] == "c_without_url.json: a ValueSet needs a url"
    assert texts[3].startswith("d_list.json: resourceType is None")
    assert "missing required field `code`" in texts[4]
    assert texts[5] == f"g_second.json: {CODES['url']} is already defined in f_first.json"


def test_a_naming_system_needs_no_url(tmp_path: Path) -> None:
    write(
        tmp_path,
        a={"resourceType": "NamingSystem", "name": "A"},
        b={"resourceType": "NamingSystem", "name": "B"},
    )
    assert len(load_definitions(tmp_path).vocabulary) == 2


def test_the_projects_own_profiles_have_no_fault() -> None:
    folder = Path(__file__).parents[2] / "profiles"
    assert len(load_definitions(folder).vocabulary) == len(list(folder.rglob("*.json")))
