"""Microsoft's search-index fixtures: the values they keep of a resource are those that find it here, and no others.

An expected value is put as a search, so that where the two servers keep it differently (an implied code system, the end
of a second) only the meaning counts; the number of values of each parameter must agree as well.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from microsoft import fixtures

from fhir_server.definitions import load_definitions
from fhir_server.errors import InvalidSearch
from fhir_server.search.extract import Extractor
from fhir_server.search.match import matches, rows_of
from fhir_server.search.query import parse_query
from fhir_server.search.registry import Registry

Json = dict[str, Any]
ZONE = ZoneInfo("Asia/Shanghai")
ENDING = ".indexes.json"


@cache
def _extractor() -> Extractor:
    definitions = load_definitions()
    return Extractor(Registry(definitions), definitions, ZONE)


def _said(value: Json) -> str:
    """The text that asks for ``value``."""
    if "components" in value:
        return "$".join(_said(component[0]) for component in value["components"])
    if "resourceId" in value:
        return f"{value['resourceType']}/{value['resourceId']}"
    if "start" in value:
        start = datetime.fromisoformat(value["start"][:19] + "+00:00")
        return f"ge{start.strftime('%Y-%m-%dT%H:%M:%SZ')}"
    if "code" in value:
        return f"{value['system']}|{value['code']}" if value["system"] else value["code"]
    return str(value.get("uri") or value["string"])


def differences(resource: Json, expected: list[Json]) -> list[str]:
    """The expected values that do not find ``resource``, and the parameters with another number of values."""
    registry = _extractor().registry
    values = _extractor()(resource)
    type, id = resource["resourceType"], resource["id"]
    wrong = []
    for entry in expected:
        text = _said(entry["value"])
        try:
            query = parse_query(registry, type, [(entry["code"], text)], zone=ZONE)
        except InvalidSearch as error:
            wrong.append(f"{entry['code']}={text}: {error.issues[0].text}")
            continue
        if not matches(query, values, id, 0):
            wrong.append(f"{entry['code']}={text}: does not find it")
    return wrong + _miscounted(resource, expected)


def _miscounted(resource: Json, expected: list[Json]) -> list[str]:
    registry, values = _extractor().registry, _extractor()(resource)
    counts = Counter(entry["code"] for entry in expected)
    for code, parameter in registry.parameters(resource["resourceType"]).items():
        if parameter.column is None and parameter.kind != "special":
            counts[code] -= len({row[1:] for row in rows_of(parameter, values)})
    return [f"{code}: {-count:+d} values" for code, count in counts.items() if count and code != "_id"]


def _pairs(shared: Path) -> dict[str, tuple[Json, list[Json]]]:
    held = fixtures(shared)
    names = [name for name in held if name.endswith(ENDING)]
    return {
        name: (orjson.loads(held[name.replace(ENDING, ".json")]), orjson.loads(held[name])) for name in names
    }


def test_index_values_agree(shared: Path) -> None:
    pairs = _pairs(shared)
    assert sum(len(expected) for _, expected in pairs.values()) == 84
    assert {name: differences(*pair) for name, pair in pairs.items() if differences(*pair)} == {}


@pytest.mark.parametrize("place", range(0, 27, 3))
def test_a_wrong_value_is_noticed(shared: Path, place: int) -> None:
    resource, expected = next(iter(_pairs(shared).values()))
    other = orjson.loads(orjson.dumps(expected[place]))
    _spoil(other["value"])
    assert differences(resource, [*expected[:place], other, *expected[place + 1 :]])


def test_a_missing_and_a_superfluous_value_are_noticed(shared: Path) -> None:
    resource, expected = next(iter(_pairs(shared).values()))
    assert differences(resource, expected[:-1])
    assert differences(resource, [*expected, expected[-1]])


def _spoil(value: Json) -> None:
    for name in ("code", "resourceId", "uri", "string"):
        if name in value:
            value[name] = "other"
    if "start" in value:
        value["start"] = "2999-01-01T00:00:00+00:00"
    for component in value.get("components", ()):
        _spoil(component[0])
