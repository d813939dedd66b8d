"""FHIRPath's functions, one file per section of the specification; each file has a table ``FUNCTIONS``."""

from fhir_server.fhirpath.functions import (
    boundaries,
    combining,
    conversion,
    existence,
    fhir,
    filtering,
    math,
    navigation,
    profiles,
    strings,
    subsetting,
    types,
)
from fhir_server.fhirpath.functions.registry import Function

_SECTIONS = (
    existence,
    filtering,
    subsetting,
    combining,
    conversion,
    strings,
    math,
    boundaries,
    navigation,
    types,
    fhir,
    profiles,
)
FUNCTIONS: dict[str, Function] = {
    name: row for section in _SECTIONS for name, row in section.FUNCTIONS.items()
}

__all__ = ["FUNCTIONS", "Function"]
