"""Reference parameters whose values are canonical URLs: what they mean is known by its ``url``, not by an address.

Source: FHIR R4 references.html#canonical, search.html#reference.
"""

from __future__ import annotations

from functools import lru_cache

from fhir_server.search.leaves import leaves
from fhir_server.search.registry import Registry, SearchParameter

URL = "url"
"""The parameter by which a resource with a canonical URL is found."""


@lru_cache(maxsize=8192)
def is_canonical(registry: Registry, parameter: SearchParameter) -> bool:
    """True when the values of a reference parameter are canonical URLs only."""
    arms = registry.arms(parameter.type)
    ends = {
        end
        for key in parameter.keys
        for end in leaves(registry.model, parameter.type, arms[key].path, "reference")
    }
    return ends.isdisjoint({"Reference", "Resource", "computed"})


def canonical_types(registry: Registry, parameter: SearchParameter) -> list[str]:
    """The types that a canonical parameter may lead to: those of its targets that have a ``url``."""
    types = parameter.targets or registry.definitions.resource_types
    return sorted(type for type in types if URL in registry.parameters(type))
