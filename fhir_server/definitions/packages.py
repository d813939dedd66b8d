"""The conformance resources of a folder: found by walking, no list to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson

from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import InvalidContent, Issue

Json = dict[str, Any]

CANONICAL_TYPES = frozenset(
    {
        "CapabilityStatement",
        "CodeSystem",
        "CompartmentDefinition",
        "ConceptMap",
        "GraphDefinition",
        "ImplementationGuide",
        "MessageDefinition",
        "OperationDefinition",
        "SearchParameter",
        "StructureDefinition",
        "StructureMap",
        "ValueSet",
    }
)
TYPES = CANONICAL_TYPES | {"NamingSystem"}


def read_packages(folder: Path) -> list[Json]:
    """Every conformance resource in the ``*.json`` files below ``folder``, in the order of their paths.

    Raises InvalidContent with one issue per faulty file; each names the file.
    """
    found: list[Json] = []
    faults: list[Issue] = []
    first: dict[str, str] = {}
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        try:
            resource = read_file(path)
            _once(resource, name, first)
        except ValueError as error:
            faults.append(Issue("error", "structure", f"{name}: {error}"))
        else:
            found.append(resource)
    if faults:
        raise InvalidContent(issues=faults)
    return found


def read_file(path: Path) -> Json:
    """The conformance resource in ``path``. Raises ValueError that says what is wrong with it."""
    try:
        resource = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if kind not in TYPES:
        allowed = ", ".join(sorted(TYPES))
        raise ValueError(f"resourceType is {kind!r}; what may stand here is {allowed}")
    if kind in CANONICAL_TYPES and not isinstance(resource.get("url"), str):
        raise ValueError(f"a {kind} needs a url")
    if kind == "SearchParameter":
        search_parameter(resource)
    return dict(resource)


def _once(resource: Json, name: str, first: dict[str, str]) -> None:
    """Refuse a second file with the same canonical URL; ``first`` maps URLs to file names."""
    url = resource.get("url")
    if url is None:
        return
    if url in first:
        raise ValueError(f"{url} is already defined in {first[url]}")
    first[url] = name


class _Component(msgspec.Struct):
    definition: str
    expression: str


class _SearchParameter(msgspec.Struct):
    url: str
    code: str
    base: list[str]
    type: str
    expression: str = ""
    target: list[str] = []
    component: list[_Component] = []
    description: str = ""


def search_parameter(resource: Json) -> SearchParameterDefinition:
    """The definition in a SearchParameter resource. Raises ValueError that names what is missing."""
    try:
        item = msgspec.convert(resource, _SearchParameter)
    except msgspec.ValidationError as error:
        raise ValueError(f"not a usable SearchParameter: {error}") from error
    return SearchParameterDefinition(
        item.url,
        item.code,
        tuple(item.base),
        item.type,
        item.expression,
        tuple(item.target),
        tuple((part.definition, part.expression) for part in item.component),
        item.description,
    )
