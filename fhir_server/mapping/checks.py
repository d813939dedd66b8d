"""The checks a mapping may ask for an identifier: each gives its official form or raises ValueError.

The texts of the faults never repeat the number (``model.identifiers``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from fhir_server.model.identifiers import check_organization_code, check_resident_id, check_uscc

CHECKS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "resident-id": check_resident_id,
        "uscc": check_uscc,
        "organization-code": check_organization_code,
    }
)
