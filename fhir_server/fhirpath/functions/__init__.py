"""FHIRPath's functions, one file per section of the specification; each file has a table ``FUNCTIONS``."""

from fhir_server.fhirpath.functions import combining, existence, fhir, filtering, subsetting, types
from fhir_server.fhirpath.functions.registry import Function

FUNCTIONS: dict[str, Function] = {
    **existence.FUNCTIONS,
    **filtering.FUNCTIONS,
    **subsetting.FUNCTIONS,
    **combining.FUNCTIONS,
    **types.FUNCTIONS,
    **fhir.FUNCTIONS,
}

__all__ = ["FUNCTIONS", "Function"]
