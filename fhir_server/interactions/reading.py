"""A batch or transaction Bundle, read once: each entry keeps its own bytes.

A 70 MB Bundle is never parsed as one tree: it is split, and each entry is parsed in its turn.
Source: FHIR R4 bundle.html, json.html.
"""

from __future__ import annotations

from codecs import BOM_UTF8, getincrementaldecoder
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from fhir_server.errors import FhirError, InvalidContent, Issue
from fhir_server.interactions.addresses import NOWHERE, interaction_at, parse_address
from fhir_server.interactions.context import Server
from fhir_server.interactions.entries import Entry, place
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.write import require_type, require_valid
from fhir_server.model.dates import parse_interval
from fhir_server.model.resource import Json, Resource, parse_json

Raw = msgspec.Raw
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
PIECE = 2**20
"""Bytes that are looked at before others get their turn."""


Examine = Callable[[str, Entry, Resource | None], None]


async def read_bundle(
    server: Server, raw: bytes, base: str, pace: Pace, examine: Examine
) -> tuple[str, list[Entry]]:
    """The type (batch or transaction) and the entries of the Bundle in ``raw``, in its order.

    ``examine`` looks at each entry (with the Bundle's type and the entry's resource) while that is
    parsed. What it or anything else finds wrong with an entry stands in its ``error``. Raises
    InvalidContent when it is no such Bundle, Unprocessable when the Bundle itself is malformed.
    """
    raw = raw.removeprefix(BOM_UTF8)
    await _require_utf8(raw, pace)
    members = _split(raw)
    await pace()
    items = _items(members.pop("entry", None))
    await pace()
    values = {name: bytes(value) for name, value in members.items()}
    kind = _kind_of(server, {name: parse_json(value) for name, value in values.items()})
    colons = sum(value.count(b":") for value in values.values()) + len(values) + (items is not None)
    entries = []
    for index, item in enumerate(items or ()):
        content = bytes(item)
        inside = content.count(b":")
        colons += inside
        entry, resource = _read_entry(server, index, content, inside, kind, base)
        if entry.error is None:
            _note_error(entry, examine, kind, resource)
        entries.append(entry)
        await pace()
    _require_single(raw.count(b":"), colons)
    return kind, entries


async def _require_utf8(raw: bytes, pace: Pace) -> None:
    """Raises InvalidContent naming the first byte that is not UTF-8."""
    decoder = getincrementaldecoder("utf-8")()
    for start in range(0, len(raw), PIECE):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(raw[start : start + PIECE], start + PIECE >= len(raw))
        except UnicodeDecodeError as error:
            at = start - pending + error.start
            raise InvalidContent(f"the body is not UTF-8: byte {at} cannot be read") from error
        await pace()


def _split(raw: bytes) -> dict[str, Raw]:
    """The members of a JSON object, each with its own bytes."""
    try:
        return _object.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidContent(f"a JSON object is expected: {error}") from error


def _items(raw: Raw | None) -> Sequence[Raw] | None:
    try:
        return None if raw is None else _list.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidContent("entry is a list", expression="Bundle.entry") from error


def _require_single(sent: int, read: int) -> None:
    """Raises InvalidContent when more colons were sent than the members read have: one stands twice."""
    if sent != read:
        raise InvalidContent("a member stands twice in one object; readers would disagree about its value")


def _kind_of(server: Server, envelope: Json) -> str:
    """batch or transaction. Raises InvalidContent and Unprocessable as ``read_bundle``."""
    kind = envelope.get("type")
    if envelope.get("resourceType") != "Bundle" or kind not in {"batch", "transaction"}:
        raise InvalidContent(
            "only a Bundle of type batch or transaction can be posted here",
            expression="Bundle.type",
            code="value",
        )
    require_valid(server.validate(envelope))
    return str(kind)


def _note_error(entry: Entry, examine: Examine, kind: str, resource: Resource | None) -> None:
    try:
        examine(kind, entry, resource)
    except FhirError as error:
        entry.error = error


def _read_entry(
    server: Server, index: int, raw: bytes, colons: int, kind: str, base: str
) -> tuple[Entry, Resource | None]:
    entry, resource = Entry(index, None, "", "", NOWHERE), None
    try:
        parts = _split(raw)
        content = bytes(parts.pop("resource", b""))
        if "request" not in parts:
            raise InvalidContent("it needs a request", expression=f"{place(index)}.request", code="required")
        frame_raw = msgspec.json.encode(parts)
        _require_single(colons, frame_raw.count(b":") + content.count(b":") + bool(content))
        frame = parse_json(frame_raw)
        faults = server.validate({"resourceType": "Bundle", "type": kind, "entry": [frame]})
        require_valid([_renumbered(fault, index) for fault in faults])
        entry = _understand(index, frame, base)
        resource = Resource.parse(content) if content else None
        entry.raw, entry.kind = content, resource.type if resource else None
        _require_sense(server, entry)
    except FhirError as error:
        entry.error = error
    return entry, resource


def _renumbered(issue: Issue, index: int) -> Issue:
    """An issue of the only entry of a Bundle, as one of entry ``index``."""
    expression = (issue.expression or "Bundle.entry[0]").replace("Bundle.entry[0]", place(index), 1)
    return replace(issue, expression=expression)


def _understand(index: int, frame: Json, base: str) -> Entry:
    request: Mapping[str, Any] = frame["request"]
    address = parse_address(request["url"], base)
    interaction = interaction_at(request["method"], address)
    _require_conditions(index, request, interaction)
    since = request.get("ifModifiedSince")
    return Entry(
        index,
        frame.get("fullUrl"),
        request["method"],
        interaction,
        address,
        if_match=request.get("ifMatch"),
        if_none_match=request.get("ifNoneMatch"),
        if_none_exist=request.get("ifNoneExist"),
        if_modified_since=parse_interval(since)[1] if since is not None else None,
    )


CONDITIONS: Mapping[str, frozenset[str]] = {
    "ifMatch": frozenset({"update", "patch", "delete", "operation"}),
    "ifNoneMatch": frozenset({"update", "read", "vread"}),
    "ifModifiedSince": frozenset({"read"}),
    "ifNoneExist": frozenset({"create"}),
}
"""Condition of a request → the interactions that heed it. With any other it is refused: never ignored in silence."""


def _require_conditions(index: int, request: Mapping[str, Any], interaction: str) -> None:
    for name, heeded in CONDITIONS.items():
        if name in request and interaction not in heeded:
            raise InvalidContent(
                f"{name} has no meaning for {interaction}; it goes with {', '.join(sorted(heeded))}",
                expression=f"{place(index)}.request.{name}",
                code="invalid",
            )


_WITH_BODY = frozenset({"create", "update", "patch"})


def _require_sense(server: Server, entry: Entry) -> None:
    """Raises when the type is unknown, or the resource is missing or superfluous."""
    if entry.address.type is not None:
        require_type(server, entry.address.type)
    may_have = entry.interaction in _WITH_BODY or entry.stage == "operation"
    if bool(entry.raw) == may_have or entry.stage == "operation":
        return
    need = "needs a" if may_have else "must not have a"
    raise InvalidContent(
        f"{entry.method} {need} resource", expression=f"{place(entry.index)}.resource", code="required"
    )
