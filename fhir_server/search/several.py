"""Which types a search of several is of: ``GET [base]?_type=Patient,Observation``, ``GET [base]/Patient/1/*``.

Source: FHIR R4 http.html#search, search.html#_type.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fhir_server.errors import InvalidSearch, Issue
from fhir_server.search.compartments import Compartment, members
from fhir_server.search.registry import Registry

TYPE = "_type"


def named_types(
    registry: Registry, pairs: Sequence[tuple[str, str]], compartment: Compartment | None
) -> tuple[str, ...]:
    """The types that ``_type`` names, else all there are (in ``compartment``), in order.

    Raises InvalidSearch for one that is none, or that is never in the compartment.
    """
    known = (
        registry.definitions.resource_types
        if compartment is None
        else members(registry, compartment.type).keys()
    )
    named = [type for name, value in pairs if name == TYPE for type in value.split(",")]
    unknown = [type for type in named if type not in known]
    if unknown:
        raise InvalidSearch(issues=[_issue(type, compartment, known) for type in dict.fromkeys(unknown)])
    return tuple(sorted(set(named))) or tuple(sorted(known))


def _issue(type: str, compartment: Compartment | None, known: Collection[str]) -> Issue:
    text = f"there is no resource type {type[:64]!r}"
    if compartment is not None:
        text = f"{type[:64]!r} is not in the compartment of a {compartment.type}; these are: {', '.join(sorted(known))}"
    return Issue("error", "invalid", f"{TYPE}: {text}", f"http.{TYPE}")
