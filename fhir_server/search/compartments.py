"""Compartments: what belongs to a Patient, an Encounter, a Practitioner, a RelatedPerson or a Device.

Source: FHIR R4 compartmentdefinition.html, http.html#compartments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fhir_server.search.clauses import AnyOf, Clause, Criterion
from fhir_server.search.registry import Registry
from fhir_server.search.values import ReferenceValue, TokenValue

ITSELF = "{def}"
"""How a compartment's definition names its owner among its members."""


class Compartment(NamedTuple):
    """Everything that belongs to the resource ``type``/``id``."""

    type: str
    id: str


def members(registry: Registry, owner: str) -> Mapping[str, tuple[str, ...]]:
    """The types in a compartment of ``owner``, each with the parameters that put a resource there; none when R4 has
    no such compartment. The owner is always in its own."""
    found = registry.definitions.compartments.get(owner)
    if found is None:
        return {}
    return {**found, owner: (*(code for code in found.get(owner, ()) if code != ITSELF), ITSELF)}


def belongs(registry: Registry, compartment: Compartment, type: str) -> Criterion:
    """What is true of a resource of ``type`` that is in ``compartment``. Raises KeyError for a type that never is."""
    owner, id = compartment
    criteria = [
        Clause(registry.parameter(type, "_id"), None, (TokenValue(None, id),))
        if code == ITSELF
        else Clause(registry.parameter(type, code), None, (ReferenceValue(owner, id),))
        for code in members(registry, owner)[type]
    ]
    return criteria[0] if len(criteria) == 1 else AnyOf(tuple(criteria))
