"""The rules of contained resources that need more than one element to see.

Source: FHIR R4 references.html#contained, invariants dom-2 to dom-5 of DomainResource.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from fhir_server.errors import Issue

LOCAL = re.compile(rb'"#([A-Za-z0-9.\-]*)"')
SERVER_META = (("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5"))


def contained_faults(contained: list[Any], data: dict[str, Any], expression: str) -> Iterator[Issue]:
    """What is wrong with how ``data`` (at ``expression``) contains resources, apart from their own structure."""
    entries = [(f"{expression}.contained[{i}]", e) for i, e in enumerate(contained) if isinstance(e, dict)]
    addressed = _local_references(data)
    seen: set[str | None] = set()
    for place, entry in entries:
        yield from _own_faults(place, entry)
        id = entry["id"] if isinstance(entry.get("id"), str) else None
        if id in seen:
            yield _broken(f"{place}.id", "two contained resources may not have the same id")
        if id not in addressed and "" not in _local_references(entry):
            text = "a contained resource must be referred to (by # and its id) from the resource around it (dom-3)"
            yield _broken(place, text)
        seen |= {id} - {None}


def _own_faults(place: str, entry: dict[str, Any]) -> Iterator[Issue]:
    if "contained" in entry:
        yield _broken(f"{place}.contained", "a contained resource may not contain resources itself (dom-2)")
    meta = entry.get("meta")
    present = meta if isinstance(meta, dict) else {}
    for name, rule in SERVER_META:
        if name in present:
            yield _broken(f"{place}.meta.{name}", f"a contained resource may not have meta.{name} ({rule})")


def _local_references(data: object) -> set[str]:
    """The ids that ``data`` refers to by ``#``; "" for the resource around. Read from its JSON: that is quick."""
    return {id.decode() for id in LOCAL.findall(orjson.dumps(data))}


def _broken(expression: str, text: str) -> Issue:
    return Issue("error", "invariant", text, expression)
