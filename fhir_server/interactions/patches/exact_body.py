"""The body of a patch as an exact tree, refused where a resource would be refused."""

from __future__ import annotations

from typing import Any

from fhir_server.errors import InvalidContent
from fhir_server.model.exact import loads_exact
from fhir_server.model.resource import parse_json


def read_exact(body: bytes) -> Any:
    """The tree of ``body`` with every number's text. Raises InvalidContent: no JSON, too deep, double members."""
    parse_json(body)
    try:
        return loads_exact(body)
    except ValueError as error:
        raise InvalidContent(f"the patch is not JSON: {error}") from error
