"""OperationDefinitions: what an operation is called with, said once for everybody who reads it.

Source: FHIR R4 operationdefinition.html.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.model.resource import Json
from fhir_server.security.caller import Caller

R4 = "http://hl7.org/fhir/OperationDefinition/"
OWN = "http://cmc.example.org/fhir/OperationDefinition/"
ANY_TYPE = "Resource"
"""What a definition names when the operation is there for every type."""

LEVELS = ("system", "type", "instance")
Run = Callable[[Server, Caller, Invocation], Awaitable[Outcome]]


def definition(
    id: str,
    code: str,
    description: str,
    parameters: Sequence[Json],
    *,
    resource: str = ANY_TYPE,
    levels: Sequence[str] = ("instance",),
    affects_state: bool = False,
    root: str = R4,
    base: str | None = None,
    title: str | None = None,
) -> Json:
    """The OperationDefinition ``root`` + ``id``; ``base`` is the canonical of the one that it narrows."""
    words = id.replace("-", " ").title().replace(" ", "")
    return {
        "resourceType": "OperationDefinition",
        "id": id,
        "url": f"{root}{id}",
        "name": words,
        "title": title or code,
        "status": "active",
        "kind": "operation",
        "affectsState": affects_state,
        "description": description,
        "code": code,
        **({"base": base} if base else {}),
        "resource": [resource],
        **{level: level in levels for level in LEVELS},
        "parameter": list(parameters),
    }


def taking(name: str, type: str, documentation: str, *, min: int = 0, max: str = "1") -> Json:
    """An ``in`` parameter."""
    return {
        "name": name,
        "use": "in",
        "min": min,
        "max": max,
        "documentation": documentation,
        "type": type,
    }


def giving(type: str, documentation: str = "", *, name: str = "return") -> Json:
    """The ``out`` parameter; nearly all operations call it ``return``."""
    said = {"documentation": documentation} if documentation else {}
    return {"name": name, "use": "out", "min": 1, "max": "1", **said, "type": type}


def operations_of(definition: Json, run: Run, **more: bool) -> tuple[Operation, ...]:
    """The operation at each level that ``definition`` names; ``more`` are further members of Operation."""
    types = () if definition["resource"] == [ANY_TYPE] else tuple(definition["resource"])
    return tuple(
        Operation(definition["code"], types, level, definition["affectsState"], run, definition, **more)
        for level in LEVELS
        if definition[level]
    )
