"""The closed JSON Schemas of the files of a mapping folder, and faults in words an integrator can act on."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from fhir_server.mapping.yaml_text import Document, UnreadableFile, load_document

KINDS = ("map", "parts", "his", "codes")


def schema_faults(document: Document, kind: str) -> list[str]:
    """Everything in ``document`` that the schema of ``kind`` (one of ``KINDS``) does not allow, with file and line."""
    errors = sorted(
        _validator(kind).iter_errors(document.data),
        key=lambda error: [str(step) for step in error.absolute_path],
    )
    return [text for error in errors for text in _describe(error, document)]


def load_checked(file: Path, kind: str, faults: list[str]) -> Document | None:
    """The document in ``file``; None when it is at fault, which is added to ``faults``."""
    try:
        document = load_document(file)
    except UnreadableFile as error:
        faults.append(str(error))
        return None
    wrong = schema_faults(document, kind)
    faults.extend(wrong)
    return None if wrong else document


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
        schema: Any = error.schema
        allowed = list(schema.get("properties", {}))
        for key in error.instance.keys() - set(allowed):
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(allowed)}"
            yield f"{document.place((*steps, key))}: {place}: the key {key!r} is not known{hint}"
        return
    yield f"{document.place(steps)}: {place}: {_reason(error)}"


def _reason(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case "required":
            missing = [key for key in wanted if key not in instance]
            return f"missing: {', '.join(missing)}"
        case "enum":
            return f"{instance!r} is not allowed; allowed: {', '.join(wanted)}"
        case "pattern":
            return f"{instance!r} does not have the form {wanted}"
        case "type":
            return f"expected {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case _:
            return error.message[:200]
