"""Code tables of a folder: small YAML files, or FHIR ConceptMaps in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fhir_server.mapping.schema import schema_faults
from fhir_server.mapping.types import CodeTable, Meaning
from fhir_server.mapping.yaml_text import UnreadableFile, load_document


def load_tables(folder: Path) -> tuple[dict[str, CodeTable], list[str]]:
    """The tables in ``folder`` by name, and what was wrong."""
    tables: dict[str, CodeTable] = {}
    faults: list[str] = []
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.json")]):
        try:
            table = _read(file)
        except UnreadableFile as error:
            faults.extend(str(error).splitlines())
            continue
        if table.name in tables:
            faults.append(f"{folder.name}/{file.name}: the table {table.name!r} is in another file too")
        tables[table.name] = table
    return tables, faults


def _read(file: Path) -> CodeTable:
    return _read_concept_map(file) if file.suffix == ".json" else _read_yaml(file)


def _read_yaml(file: Path) -> CodeTable:
    document = load_document(file)
    faults = schema_faults(document, "codes")
    if faults:
        raise UnreadableFile("\n".join(faults))
    data = document.data
    target = data.get("target")
    codes = {local: _meaning(said, target) for local, said in data["codes"].items()}
    return CodeTable(data["table"], data["version"], data.get("source"), codes)


def _meaning(said: str | dict[str, str], target: str | None) -> Meaning:
    if isinstance(said, str):
        return Meaning(target, said)
    return Meaning(said.get("system", target), said["code"], said.get("display"), said.get("text"))


def _read_concept_map(file: Path) -> CodeTable:
    name = f"{file.parent.name}/{file.name}"
    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{name}: not JSON: {error}") from error
    groups = (
        data.get("group") if isinstance(data, dict) and data.get("resourceType") == "ConceptMap" else None
    )
    if not groups:
        raise UnreadableFile(f"{name}: not a ConceptMap with at least one group")
    codes = {code: meaning for group in groups for code, meaning in _group_codes(group)}
    return CodeTable(data.get("name", file.stem), data.get("version", "0"), groups[0].get("source"), codes)


def _group_codes(group: dict[str, Any]) -> list[tuple[str, Meaning]]:
    return [
        (element["code"], Meaning(group.get("target"), target["code"], target.get("display")))
        for element in group.get("element", [])
        for target in element.get("target", [])[:1]
        if "code" in element and "code" in target
    ]
