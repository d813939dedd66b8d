"""Literal references of a resource, and the check that they lead somewhere.

Source: FHIR R4 references.html#literal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fhir_server.errors import Issue, Unprocessable
from fhir_server.model.resource import Json
from fhir_server.store import Reading

LITERAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")


class Pointer(NamedTuple):
    """A reference to a resource of this server, and the expression of the element that holds it."""

    type: str
    id: str
    expression: str


def literal_references(data: Json) -> Iterator[Pointer]:
    """Every relative reference (``Patient/1``) in ``data``; contained, logical and foreign ones left out."""
    return _pointers(data, data["resourceType"])


def _pointers(node: Any, path: str) -> Iterator[Pointer]:
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _pointers(item, f"{path}[{index}]")
    elif isinstance(node, dict):
        yield from _own_pointer(node, path)
        for name, value in node.items():
            if isinstance(value, dict | list):
                yield from _pointers(value, f"{path}.{name}")


def _own_pointer(node: Json, path: str) -> Iterator[Pointer]:
    text = node.get("reference")
    match = LITERAL.fullmatch(text) if isinstance(text, str) else None
    if match:
        yield Pointer(match[1], match[2], path)


async def require_targets(reading: Reading, pointers: Sequence[Pointer]) -> None:
    """Raises Unprocessable naming each of ``pointers`` whose target is not here."""
    if not pointers:
        return
    keys = sorted({(pointer.type, pointer.id) for pointer in pointers})
    here = {(record.type, record.id) for record in await reading.read_many(keys)}
    issues = [
        Issue("error", "not-found", f"{p.type}/{p.id} is not here", p.expression, "REFERENCE_NOT_FOUND")
        for p in pointers
        if (p.type, p.id) not in here
    ]
    if issues:
        raise Unprocessable(issues=issues)
