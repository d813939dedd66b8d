"""Two ways to the same rows: the merged tree of paths, and each parameter's expression run by the FHIRPath engine.

On every official example and every parameter of its type.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from search_cases import BASE_URL, ZONE

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import Expression, Model, Node, compile_expression
from fhir_server.model.resource import Resource
from fhir_server.search.branches import Emitters
from fhir_server.search.contained import inside_key
from fhir_server.search.extract import Extractor
from fhir_server.search.index import IndexValues
from fhir_server.search.match import rows_of
from fhir_server.search.parameters import ROWS, SearchParameter
from fhir_server.search.registry import Registry
from fhir_server.search.types.base import Rows
from fhir_server.search.types.simple import SIMPLE

SYSTEM = {bool: "boolean", int: "integer", Decimal: "decimal", str: "string"}
Payload = tuple[Any, ...]


class Slow:
    """The rows of one parameter, from its whole expression."""

    def __init__(self, definitions: Definitions) -> None:
        self.model = Model(definitions)
        self.emitters = Emitters(ZONE, BASE_URL)
        self.compiled = cache(lambda text: compile_expression(text, self.model))

    def rows(self, parameter: SearchParameter, resource: dict[str, Any]) -> set[Payload]:
        expression: Expression = self.compiled(parameter.expression)
        found = Rows(resource)
        for item in expression(Node.of(resource)):
            self._emit(parameter, item, found)
        rows = getattr(found, SIMPLE[parameter.kind].rows)
        return {payload(row) for row in rows if row[0] != inside_key(0)}

    def _emit(self, parameter: SearchParameter, item: Any, found: Rows) -> None:
        if isinstance(item, Node) and item.type == "Extension":
            for value in self.model.members(item, "value"):
                self._emit(parameter, value, found)
            return
        type, value = (item.type, item.value) if isinstance(item, Node) else (SYSTEM[item.__class__], item)
        if parameter.kind == "reference" and type in self.model.definitions.resource_types:
            type = "Resource"
        emit = self.emitters.make(ROWS.get(parameter.kind, parameter.kind), type, 0)
        if emit is not None and value is not None:
            emit(value, found)


def payload(row: Any) -> Payload:
    """A row without its key and what is computed at the end."""
    return tuple(row[1:4]) if len(row) > 6 else tuple(row[1:3])


def plain(values: IndexValues, parameter: SearchParameter) -> set[Payload]:
    return {payload(row) for row in rows_of(parameter, values)}


def differences(
    slow: Slow, extract: Extractor, registry: Registry, resource: dict[str, Any]
) -> Iterator[str]:
    type = resource["resourceType"]
    values = extract(resource)
    for parameter in registry.parameters(type).values():
        if parameter.kind == "composite" or parameter.column:
            continue
        fast, thorough = plain(values, parameter), slow.rows(parameter, resource)
        if fast != thorough:
            name = f"{type}/{resource.get('id')} {parameter.code}"
            yield f"{name}: only the tree {fast - thorough}, only the engine {thorough - fast}"


def test_a_small_resource_gives_the_same_rows_both_ways(
    definitions: Definitions, extract: Extractor, registry: Registry
) -> None:
    resource = {
        "resourceType": "Patient",
        "name": [{"family": "Chapman", "given": ["Eve", "Ann"]}],
        "address": [{"line": ["1 Road"], "city": "Town"}],
        "telecom": [{"system": "phone", "value": "0571-1"}, {"system": "email", "value": "a@example.org"}],
        "deceasedDateTime": "2020",
        "managingOrganization": {"reference": "Organization/1"},
    }
    assert list(differences(Slow(definitions), extract, registry, resource)) == []


def test_the_comparison_can_fail(definitions: Definitions, registry: Registry) -> None:
    deaf = lambda resource: IndexValues()  # noqa: E731
    resource = {"resourceType": "Patient", "gender": "male"}
    found = list(differences(Slow(definitions), deaf, registry, resource))  # type: ignore[arg-type]
    assert any("gender" in text for text in found)


def contents(values: IndexValues) -> Payload:
    """All rows, in whatever order."""
    rows = (values.tokens, values.references, values.uris, values.strings, values.dates, values.numbers)
    return values.date, *map(Counter, (*rows, values.composites, values.positions))


def examples(pack: Path) -> Iterator[dict[str, Any]]:
    with tarfile.open(pack, "r:xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".json") else None
            data = json.load(file) if file else None
            if isinstance(data, dict) and "resourceType" in data:
                yield data


def test_every_official_example_gives_the_same_rows_both_ways(
    definitions: Definitions, extract: Extractor, registry: Registry, shared: Path
) -> None:
    pack = shared / "data" / "r4-examples.tar.xz"
    if not pack.exists():
        pytest.skip(f"{pack} is not here")
    slow = Slow(definitions)
    seen: set[str] = set()
    found: list[str] = []
    for resource in examples(pack):
        seen.add(resource["resourceType"])
        found += differences(slow, extract, registry, resource)
        if "contained" not in resource:  # their addresses begin with the id
            # Writing relies on it: values are made before the id and the version are known.
            kept = Resource.parse(orjson.dumps(resource)).stamped("another", 7, 1_700_000_000_000_000)
            assert contents(extract(kept.data)) == contents(extract(resource))
    assert found == []
    assert len(seen) > 120
