"""Composite: several values that must be true of the same element, written ``a$b``.

Source: FHIR R4 search.html#composite.
"""

from __future__ import annotations

from fhir_server.search.index import CompositeRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.base import Reading
from fhir_server.search.types.escapes import split
from fhir_server.search.types.simple import SIMPLE
from fhir_server.search.values import CompositeValue


def parse(parameter: SearchParameter, text: str, reading: Reading) -> CompositeValue:
    """One value per component, separated by ``$``."""
    parts, components = split(text, "$"), parameter.components
    if len(parts) != len(components):
        form = "$".join(component.code for component in components)
        raise ValueError(f"{len(components)} values are needed: {form}; a $ inside a value is written \\$")
    return CompositeValue(
        tuple(
            SIMPLE[component.kind].parse(component, part, reading)
            for component, part in zip(components, parts, strict=True)
        )
    )


def admits(value: CompositeValue, kinds: tuple[str, ...], row: CompositeRow) -> bool:
    """Whether each part of the row satisfies its value; ``kinds`` are the components' parameter types."""
    return all(
        SIMPLE[kind].admits(part, None, found)
        for kind, part, found in zip(kinds, value.parts, row.parts, strict=True)
    )
