"""capabilities: ``GET [base]/metadata``. What is declared is read from what answers.

Source: FHIR R4 capabilitystatement.html, http.html#capabilities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import orjson

from fhir_server import __version__
from fhir_server.interactions.context import Operation, Outcome, Server
from fhir_server.interactions.control_parameters import declared_controls
from fhir_server.model.resource import Json
from fhir_server.search.inclusion import ANY
from fhir_server.search.registry import SearchParameter

ON_SYSTEM = ("transaction", "batch", "search-system", "history-system")
ON_TYPE = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
"""The interactions a CapabilityStatement knows, in the order of the ValueSet type-restful-interaction."""


class Forms(NamedTuple):
    """The media types of the door: of resources, in ``Accept`` or ``_format``, and of patches."""

    resources: tuple[str, ...]
    patches: tuple[str, ...]


class Row(Protocol):
    """What is read of a row of the route table."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def path(self) -> str:
        """The shape of its path below the base: ``{type}/{id}``."""

    @property
    def interaction(self) -> str:
        """FHIR's code of the interaction: ``search-type``, ``history-instance``, ``operation`` …"""


async def capabilities(server: Server, routes: Sequence[Row], forms: Forms, base: str) -> Outcome:
    """The CapabilityStatement of this server; made once for each ``base`` and state of the registry."""
    key = ("capabilities", base, server.parameters.revision, server.parameters.unfinished.changes)
    if key not in server.made:
        server.made[key] = orjson.dumps(_statement(server, routes, forms, base))
    return Outcome(200, resource=server.made[key])


def _statement(server: Server, routes: Sequence[Row], forms: Forms, base: str) -> Json:
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": server.now().astimezone(server.timezone).isoformat(timespec="seconds"),
        "kind": "instance",
        "software": {"name": "fhir-server", "version": __version__},
        "implementation": {"description": "FHIR server of a county medical community", "url": base},
        "fhirVersion": "4.0.1",
        "format": list(forms.resources),
        "patchFormat": list(forms.patches),
        "rest": [_rest(server, routes)],
    }


def _rest(server: Server, routes: Sequence[Row]) -> Json:
    codes = {row.interaction for row in routes}
    by_criteria = {row.interaction for row in routes if row.path == "{type}" and row.method != "GET"}
    shared = {**_behaviour(server, codes, by_criteria), "interaction": _interactions(ON_TYPE, codes)}
    parameters = {type: _parameters(server, type) for type in sorted(server.definitions.resource_types)}
    reverse = _reverse_includes(parameters)
    offered = codes | {"batch"} if "transaction" in codes else codes
    return {
        "mode": "server",
        **({"documentation": _ERASING} if "delete-history" in codes else {}),
        "security": _SECURITY,
        "resource": [
            {"type": type, **shared, **_searching(type, known, reverse), **_operations(server, type)}
            for type, known in parameters.items()
        ],
        "interaction": _interactions(ON_SYSTEM, offered),
        **(_searching_all(parameters) if "search-system" in codes else {}),
        **_operations(server, None),
        **(_compartments(server) if "search-compartment" in codes else {}),
    }


_ERASING = (
    "Administrators remove past versions for good: DELETE [type]/[id]/_history removes all, "
    "DELETE [type]/[id]/_history/[version] one; R4 has no code for these interactions."
)

_SECURITY: Json = {
    "service": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "OAuth",
                }
            ],
            "text": "OAuth 2.0 client credentials",
        }
    ],
    "description": "Every client belongs to one organisation and sends a bearer token.",
}


def _interactions(known: Sequence[str], codes: Iterable[str]) -> list[Json]:
    offered = set(codes)
    return [{"code": code} for code in known if code in offered]


def _behaviour(server: Server, codes: set[str], by_criteria: set[str]) -> Json:
    """How the interactions of every type behave."""
    return {
        "versioning": "versioned-update",
        "readHistory": "vread" in codes,
        "updateCreate": "update" in codes,
        "conditionalCreate": "create" in codes,
        "conditionalRead": "full-support",
        "conditionalUpdate": "update" in by_criteria,
        "conditionalDelete": server.conditional_delete if "delete" in by_criteria else "not-supported",
        "referencePolicy": ["literal", "logical", *(["enforced"] if server.reference_check else [])],
    }


Parameters = Mapping[str, SearchParameter]


def _parameters(server: Server, type: str) -> Parameters:
    return dict(sorted(server.parameters.searchable(type).items()))


def _searching(type: str, parameters: Parameters, reverse: Mapping[str, Sequence[str]]) -> Json:
    """The search parameters of ``type``, and what can come along with its resources."""
    references = [f"{type}:{code}" for code, item in parameters.items() if item.kind == "reference"]
    found: Json = {"searchParam": [_parameter(item) for item in parameters.values()]}
    if references:
        found["searchInclude"] = [ANY, f"{type}:{ANY}", *references]
    if reverse.get(type):
        found["searchRevInclude"] = [ANY, *reverse[type]]
    return found


def _searching_all(parameters: Mapping[str, Parameters]) -> Json:
    """What every search may say: the search parameters that all types have, and what shapes an answer."""
    first, *others = parameters.values()
    shared = [item for code, item in first.items() if all(code in known for known in others)]
    return {"searchParam": [*(_parameter(item) for item in shared), *declared_controls()]}


def _compartments(server: Server) -> Json:
    """The compartments that can be searched."""
    names = (code.lower() for code in sorted(server.definitions.compartments))
    return {"compartment": [f"http://hl7.org/fhir/CompartmentDefinition/{name}" for name in names]}


def _parameter(item: SearchParameter) -> Json:
    shown = {"name": item.code, "definition": item.url, "type": item.kind}
    return {**shown, "documentation": item.description} if item.description else shown


def _reverse_includes(parameters: Mapping[str, Parameters]) -> Mapping[str, Sequence[str]]:
    """Target type → ``Observation:subject`` … of all parameters that may refer to it."""
    reverse: defaultdict[str, list[str]] = defaultdict(list)
    for type, known in parameters.items():
        for code, item in known.items():
            for target in (item.targets or parameters) if item.kind == "reference" else ():
                reverse[target].append(f"{type}:{code}")
    return reverse


def _operations(server: Server, type: str | None) -> Json:
    """The ``operation`` member for ``type`` (None: for the whole system)."""
    shown = [
        {"name": operation.code, "definition": operation.definition["url"]}
        for _, operations in sorted(server.operations.items())
        for operation in operations
        if _belongs(operation, type)
    ]
    return {"operation": shown} if shown else {}


def _belongs(operation: Operation, type: str | None) -> bool:
    if type is None:
        return operation.level == "system"
    return operation.level != "system" and (type in operation.types or not operation.types)
