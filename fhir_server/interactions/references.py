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


class Element(NamedTuple):
    """The text of a ``reference`` member, and the expression of the Reference that has it."""

    text: str
    expression: str


def reference_elements(data: Json) -> Iterator[Element]:
    """Every Reference with a ``reference`` in ``data``, in order."""
    return _elements(data, data["resourceType"])


def _elements(node: Any, path: str) -> Iterator[Element]:
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _elements(item, f"{path}[{index}]")
    elif isinstance(node, dict):
        text = node.get("reference")
        if isinstance(text, str):
            yield Element(text, path)
        for name, value in node.items():
            if isinstance(value, dict | list):
                yield from _elements(value, f"{path}.{name}")


def literal_references(data: Json) -> Iterator[Pointer]:
    """Every relative reference (``Patient/1``) in ``data``; contained, logical and foreign ones left out."""
    for text, expression in reference_elements(data):
        match = LITERAL.fullmatch(text)
        if match:
            yield Pointer(match[1], match[2], expression)


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
