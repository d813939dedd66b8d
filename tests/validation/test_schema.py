"""The generated schemas: the same verdict from a second engine, and what they must and must not hold."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import orjson
import pytest
import yaml

from fhir_server.definitions import Definitions
from fhir_server.validation import Validator
from fhir_server.validation.schema import type_schema

CASES = Path(__file__).parents[1] / "cases" / "validation"


def for_python(schema: Any) -> Any:
    """In Python's ``re`` a ``$`` also matches before a last line feed; ``\\Z`` is what other engines mean by ``$``."""
    if isinstance(schema, dict):
        return {
            key: value.replace("$", r"\Z")
            if key == "pattern" and isinstance(value, str)
            else for_python(value)
            for key, value in schema.items()
        }
    return [for_python(item) for item in schema] if isinstance(schema, list) else schema


def all_cases() -> list[Any]:
    rows = [row for file in sorted(CASES.glob("*.yaml")) for row in yaml.safe_load(file.read_text("utf-8"))]
    return [orjson.loads(row["json"]) if "json" in row else row["resource"] for row in rows]


def test_both_engines_give_the_same_verdict_on_every_case(definitions: Definitions) -> None:
    engines: dict[str, tuple[Any, Any]] = {}
    verdicts = set()
    for resource in all_cases():
        type = resource["resourceType"]
        if type not in definitions.resource_types:
            continue
        if type not in engines:
            schema = type_schema(definitions, type)
            pure = jsonschema.Draft4Validator(for_python(schema))
            engines[type] = jsonschema_rs.Draft4Validator(schema), pure
        fast, pure = engines[type]
        assert fast.is_valid(resource) == pure.is_valid(resource), resource
        verdicts.add(fast.is_valid(resource))
    assert verdicts == {True, False}


def test_every_type_has_a_schema_that_is_itself_valid(definitions: Definitions) -> None:
    kinds = {"resource", "complex-type"}
    names = [name for name in definitions.types if definitions.type(name).kind in kinds]
    assert len(names) > 180
    for name in names:
        jsonschema.Draft4Validator.check_schema(type_schema(definitions, name))


def test_references_of_a_schema_are_all_there(definitions: Definitions) -> None:
    for name in definitions.resource_types:
        schema = type_schema(definitions, name)
        wanted = {ref.removeprefix("#/definitions/") for ref in references(schema)}
        assert wanted <= schema["definitions"].keys()
        assert all(schema["definitions"].values())


def references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(references, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*map(references, schema.values()))


def test_unknown_type_has_no_schema(definitions: Definitions) -> None:
    with pytest.raises(KeyError):
        type_schema(definitions, "Patience")


def test_schemas_are_compiled_only_for_types_in_use(definitions: Definitions) -> None:
    validator = Validator(definitions)
    assert validator.validate({"resourceType": "Patient", "active": True}) == []
    assert set(validator._compiled) == {"Patient"}


def test_validation_leaves_the_resource_as_it_was(validator: Validator) -> None:
    for resource in all_cases():
        before = copy.deepcopy(resource)
        validator.validate(resource)
        assert resource == before


@pytest.mark.parametrize("type", ["date", "dateTime", "instant"])
def test_every_day_of_the_calendar_is_accepted_and_no_other(validator: Validator, type: str) -> None:
    suffix = "T00:00:00Z" if type == "instant" else ""
    schema = jsonschema_rs.Draft4Validator(
        type_schema(validator._definitions, "Extension")["definitions"][type],
        pattern_options=jsonschema_rs.RegexOptions(),
    )
    for year, leap in ((1, False), (1900, False), (2000, True), (2023, False), (2024, True), (9999, False)):
        for month in range(14):
            days = {2: 28 + leap, 4: 30, 6: 30, 9: 30, 11: 30}.get(month, 31)
            for day in range(33):
                exists = 1 <= month <= 12 and 1 <= day <= days
                assert schema.is_valid(f"{year:04d}-{month:02d}-{day:02d}{suffix}") == exists
