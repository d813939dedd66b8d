"""Reference: by id, by type and id, by URL, by canonical.

Source: FHIR R4 search.html#reference, search.html#versions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.model.reference import is_absolute, parse_reference
from fhir_server.search.contained import contained_id, contained_type, inside_key
from fhir_server.search.index import ReferenceRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.base import Emit, Reading, Rows
from fhir_server.search.types.escapes import unescape
from fhir_server.search.values import ReferenceValue

ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_new: Any = tuple.__new__


@lru_cache(maxsize=16_384)
def located(text: str, base_url: str | None) -> tuple[tuple[str, str], ...]:
    """(type, id) under which ``text`` is kept: one pair, a second with the version when it has one, none for ``#x``."""
    found = parse_reference(text, base_url)
    if found.is_local:
        type, id = str(found.type), str(found.id)
        versioned = f"{id}/_history/{found.version}"
    elif found.url:
        type, id = "", found.url
        versioned = text.partition("#")[0]
    else:
        return ()
    return ((type, id), (type, versioned)) if found.version else ((type, id),)


# ── reading ───────────────────────────────────────────────────────────────────


def parse(parameter: SearchParameter, text: str, reading: Reading) -> ReferenceValue:
    """``1``, ``Patient/1``, ``Patient/1/_history/2``, a URL or a canonical."""
    reference = unescape(text)
    if ID.fullmatch(reference):
        only = parameter.targets[0] if len(parameter.targets) == 1 else None
        return ReferenceValue(only, reference)
    places = located(reference, reading.base_url) if "/" in reference or is_absolute(reference) else ()
    if not places:
        raise ValueError(
            "allowed is an id, Type/id, a URL or a canonical; a contained resource cannot be searched for"
        )
    type, id = places[-1]
    if type and parameter.targets and type not in parameter.targets:
        raise ValueError(f"it refers to {', '.join(parameter.targets)}, not to {type}")
    return ReferenceValue(type, id)


def named_by(url: str, version: str | None, base_url: str | None) -> tuple[ReferenceValue, ...]:
    """The values of the canonical references that mean the resource with this url and business version: those that
    name the version, and those that name none."""
    local = [ReferenceValue(type, id) for type, id in located(url, base_url)[:1] if type]
    named = [ReferenceValue("", f"{url}|{version}")] if version else []
    return (*local, ReferenceValue("", f"{url}|"), *named)


# ── rows ──────────────────────────────────────────────────────────────────────


def _uri(key: int, base_url: str | None) -> Emit:
    """A canonical without a version has a second row that says so: who asks for a version means it too."""

    def emit(value: str, rows: Rows) -> None:
        places = located(value, base_url)
        for type, id in places:
            rows.references.append(_new(ReferenceRow, (key, id, type)))
        if len(places) == 1 and not places[0][0]:
            rows.references.append(_new(ReferenceRow, (key, f"{places[0][1]}|", "")))

    return emit


def _reference(key: int, base_url: str | None) -> Emit:
    inside = inside_key(key)

    def emit(value: dict[str, Any], rows: Rows) -> None:
        text = value.get("reference")
        if text:
            places = located(text, base_url)
            for type, id in places:
                rows.references.append(_new(ReferenceRow, (key, id, type)))
            if not places:
                rows.references += _within(inside, text, rows.resource)

    return emit


def _within(key: int, text: str, resource: dict[str, Any]) -> list[ReferenceRow]:
    """The row for a reference to what ``resource`` contains: to the record under which that is kept."""
    types = [each["resourceType"] for each in resource.get("contained", ()) if f"#{each.get('id')}" == text]
    if not types or "id" not in resource:
        return []
    kept = contained_id(resource["resourceType"], resource["id"], text[1:])
    return [ReferenceRow(key, kept, contained_type(types[0]))]


def _resource(key: int, base_url: str | None) -> Emit:
    """A resource that stands where it is searched for: ``Bundle.entry[0].resource``."""

    def emit(value: dict[str, Any], rows: Rows) -> None:
        if "id" in value:
            rows.references.append(ReferenceRow(key, value["id"], value["resourceType"]))

    return emit


EMITTERS: Mapping[str, Callable[[int, str | None], Emit]] = {
    **dict.fromkeys(("canonical", "uri", "url", "oid", "uuid"), _uri),
    "Reference": _reference,
    "Resource": _resource,
}


# ── meeting ───────────────────────────────────────────────────────────────────


def admits(value: ReferenceValue, modifier: str | None, row: ReferenceRow) -> bool:
    """Whether the row points to the value's id, of its type when it has one."""
    return value.id == row.id and (value.type is None or value.type == row.type)
