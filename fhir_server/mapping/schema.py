"""The closed JSON Schemas of the files of a mapping folder, and faults in words an integrator can act on."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from fhir_server.mapping.yaml_text import Document

KINDS = ("map", "parts", "his", "codes")


def schema_faults(document: Document, kind: str) -> list[str]:
    """Everything in ``document`` that the schema of ``kind`` (one of ``KINDS``) does not allow, with file and line."""
    errors = sorted(
        _validator(kind).iter_errors(document.data),
        key=lambda error: [str(step) for step in error.absolute_path],
    )
    return [text for error in errors for text in _describe(error, document)]


@cache
def _validator(kind: str) -> Draft202012Validator:
    schemas = {name: _schema(name) for name in KINDS}
    registry: Registry[Any] = Registry().with_resources(
        (f"{name}.schema.json", Resource.from_contents(schema)) for name, schema in schemas.items()
    )
    return Draft202012Validator(schemas[kind], registry=registry)


def _schema(kind: str) -> Any:
    return json.loads(
        files("fhir_server.mapping").joinpath("schemas", f"{kind}.schema.json").read_text("utf-8")
    )


def _describe(error: ValidationError, document: Document) -> Iterator[str]:
    steps = tuple(error.absolute_path)
    place = "/".join(str(step) for step in steps) or "the file"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        allowed = list(error.schema.get("properties", {}))
        for key in error.instance.keys() - set(allowed):
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(allowed)}"
            yield f"{document.place((*steps, key))}: {place}: the key {key!r} is not known{hint}"
        return
    yield f"{document.place(steps)}: {place}: {_reason(error)}"


def _reason(error: ValidationError) -> str:
    match error.validator:
        case "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            return f"missing: {', '.join(missing)}"
        case "enum":
            return f"{error.instance!r} is not allowed; allowed: {', '.join(error.validator_value)}"
        case "pattern":
            return f"{error.instance!r} does not have the form {error.validator_value}"
        case "type":
            wanted = error.validator_value
            return f"expected {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case _:
            return error.message[:200]
