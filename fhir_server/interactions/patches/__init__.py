"""The kinds of patch, by media type: each becomes a function from a resource to the changed resource.

All work on a tree that keeps every number's text (``model.exact``): what a patch does not touch stays as it is.
Source: FHIR R4 http.html#patch, fhirpatch.html; RFC 6902, RFC 7396.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.errors import InvalidContent, UnsupportedMedia
from fhir_server.interactions.context import Server
from fhir_server.interactions.patches import fhir_patch, json_patch, merge_patch
from fhir_server.interactions.patches.exact_body import read_exact
from fhir_server.model.exact import dumps_exact, loads_exact
from fhir_server.model.resource import Resource

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
FHIR_JSON = "application/fhir+json"

Make = Callable[[Resource], Resource]
"""The current version → what is to be kept instead."""

Change = Callable[[Any], Any]
"""The same on exact trees. It may change the tree that it is given."""


def parse_patch(server: Server, body: bytes, content_type: str) -> Make:
    """The change that ``body`` describes.

    Raises UnsupportedMedia for a media type that is no patch, InvalidContent and Unprocessable with every
    fault of the patch itself. The function raises Unprocessable when it does not fit the resource.
    """
    kind = content_type.partition(";")[0].strip().lower()
    read = READERS.get(kind)
    if read is None:
        known = ", ".join(sorted(READERS.keys() - {"application/json"}))
        raise UnsupportedMedia(
            f"a patch cannot be {kind[:64] or 'without a media type'}; allowed: {known}",
            headers={"Accept-Patch": known},
        )
    change = read(server, body)
    return lambda resource: Resource.parse(_written(change(loads_exact(resource.raw))))


def _written(tree: Any) -> bytes:
    try:
        return dumps_exact(tree)
    except TypeError as error:
        raise InvalidContent("the patch nests values too deeply", code="too-costly") from error


def _json_patch(server: Server, body: bytes) -> Change:
    return json_patch.parse(read_exact(body))


def _merge_patch(server: Server, body: bytes) -> Change:
    return merge_patch.parse(read_exact(body))


def _fhir_patch(server: Server, body: bytes) -> Change:
    return fhir_patch.parse(server.definitions, server.validate, body)


READERS: Mapping[str, Callable[[Server, bytes], Change]] = {
    JSON_PATCH: _json_patch,
    MERGE_PATCH: _merge_patch,
    FHIR_JSON: _fhir_patch,
    "application/json": _fhir_patch,
}
"""Media type → how such a patch is read. FHIR's own media type carries a Parameters."""
