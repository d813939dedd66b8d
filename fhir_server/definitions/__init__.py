"""What FHIR R4 says there is: types, elements, search parameters, codes. Data, no class per type.

Made from the official package by ``scripts/build_definitions.py``; see ``r4/PROVENANCE.md``.
"""

from fhir_server.definitions.core import Definitions, load_definitions

__all__ = ["Definitions", "load_definitions"]
