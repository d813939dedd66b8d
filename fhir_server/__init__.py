"""HL7 FHIR R4 interoperability server for Chinese county medical communities (县域医共体).

The floors of this package, from roof to ground, are drawn once in ``ARCHITECTURE.md`` and
kept by the import contract in ``pyproject.toml``.
"""

__version__ = "0.1.0"
