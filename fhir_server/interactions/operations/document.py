"""``Composition/$document``: the Composition and everything that it is about, in one Bundle of type document.

What the Composition itself refers to must be in the document; what that refers to in turn comes along as far as it is
here. Other documents (``relatesTo``) are named, not copied.
Source: FHIR R4 composition-operation-document.html, documents.html#content.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from fhir_server.errors import InvalidContent, Issue, NotSupported, Unprocessable
from fhir_server.interactions.conditional import etag
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.create import create
from fhir_server.interactions.operations.definition import (
    OWN,
    R4,
    definition,
    giving,
    operations_of,
    taking,
)
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.parameters import read_inputs
from fhir_server.interactions.read import read
from fhir_server.interactions.references import Element, reference_elements
from fhir_server.interactions.visible import visible
from fhir_server.interactions.write import microseconds
from fhir_server.model.bundle import make_bundle, plain_entry
from fhir_server.model.reference import parse_reference
from fhir_server.model.resource import Json, Resource, instant
from fhir_server.security.caller import Caller
from fhir_server.store import Record

TYPE = "Composition"
MOST = 2000
"""Resources of one document; more must be a graph that has lost its way."""

Key = tuple[str, str]
Found = dict[Key, Record]


async def run(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """The document. Raises NotFound and Gone for the Composition, Unprocessable naming each of its references that
    leads nowhere, InvalidContent for a wrong ``id``, NotSupported for a GET that would keep something."""
    inputs = read_inputs(OPERATIONS[0], invocation.parameters)
    persist = inputs.one("persist", False)
    if persist and invocation.safe:
        raise NotSupported("persist=true keeps a Bundle: call it with POST", headers={"Allow": "POST"})
    id = _composition_id(invocation, inputs.one("id"))
    composition = (await read(server, caller, TYPE, id)).record
    assert composition is not None
    found = await _gathered(server, caller, composition, invocation.base)
    document = _document(server, invocation.base, [composition, *found.values()])
    return (
        await _kept(server, caller, invocation.base, document) if persist else Outcome(200, resource=document)
    )


def _composition_id(invocation: Invocation, asked: str | None) -> str:
    if invocation.id is not None and asked is not None:
        raise InvalidContent("id must not be given when the address names the Composition", expression="id")
    if invocation.id is not None:
        return invocation.id
    if asked is None:
        raise InvalidContent("the Composition is not named: id is missing", expression="id", code="required")
    named = parse_reference(asked if "/" in asked else f"{TYPE}/{asked}", invocation.base or None)
    if named.type != TYPE or not named.is_local:
        raise InvalidContent("id names a Composition of this server", expression="id", code="not-supported")
    return str(named.id)


# ── what belongs into it ──────────────────────────────────────────────────────


async def _gathered(server: Server, caller: Caller, composition: Record, base: str) -> Found:
    """Everything that the Composition leads to, nearest first."""
    data = orjson.loads(composition.content)
    data.pop("relatesTo", None)
    direct = [element for element in reference_elements(data) if not element.text.startswith("#")]
    found: Found = {}
    start = (composition.type, composition.id)
    await _add(server, caller, found, start, _keys(direct, base))
    _require_complete(found, start, direct, base)
    await _follow(server, caller, found, start, base)
    return found


async def _follow(server: Server, caller: Caller, found: Found, start: Key, base: str) -> None:
    """Add what the found resources lead to, until nothing is new. Raises Unprocessable when it does not end."""
    pace = Pace()
    fresh = list(found.values())
    while fresh:
        wanted: list[Key] = []
        for record in fresh:
            wanted += _keys(list(reference_elements(orjson.loads(record.content))), base)
            await pace()
        fresh = await _add(server, caller, found, start, wanted)
        if len(found) > MOST:
            raise Unprocessable(
                f"the document would have more than {MOST} resources; it was not made", code="too-costly"
            )


async def _add(
    server: Server, caller: Caller, found: Found, start: Key, wanted: Sequence[Key]
) -> list[Record]:
    """Read those of ``wanted`` that are not there yet; what was new."""
    by_type: dict[str, dict[str, None]] = {}
    for type, id in wanted:
        if (type, id) not in found and (type, id) != start:
            by_type.setdefault(type, {})[id] = None
    fresh: list[Record] = []
    for type, ids in by_type.items():
        fresh += await visible(server, caller, server.store, type, list(ids))
    found.update({(record.type, record.id): record for record in fresh})
    return fresh


def _keys(elements: Sequence[Element], base: str) -> list[Key]:
    named = [parse_reference(element.text, base or None) for element in elements]
    return [(str(each.type), str(each.id)) for each in named if each.is_local]


def _require_complete(found: Found, start: Key, direct: Sequence[Element], base: str) -> None:
    issues = []
    for element in direct:
        named = parse_reference(element.text, base or None)
        key = (str(named.type), str(named.id))
        if not named.is_local:
            text = (
                "the reference leads to another server; a document must hold what its Composition refers to"
            )
            issues.append(Issue("error", "not-supported", text, element.expression, "REFERENCE_NOT_FOUND"))
        elif key not in found and key != start:
            text = f"{key[0]}/{key[1]} is not here, so the document would not be complete"
            issues.append(Issue("error", "not-found", text, element.expression, "REFERENCE_NOT_FOUND"))
    if issues:
        raise Unprocessable(issues=issues)


# ── the Bundle ────────────────────────────────────────────────────────────────


def _document(server: Server, base: str, records: Sequence[Record]) -> bytes:
    moment = instant(microseconds(server))
    name: Json = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{server.new_id()}"}
    entries = [plain_entry(f"{base}/{record.type}/{record.id}", record.content) for record in records]
    return make_bundle(
        "document",
        entries,
        id=server.new_id(),
        updated=moment,
        identifier=name,
        timestamp=moment,
    )


async def _kept(server: Server, caller: Caller, base: str, document: bytes) -> Outcome:
    record = (await create(server, caller, Resource.parse(document), base=base)).record
    assert record is not None
    headers = {
        "Location": f"{base}/Bundle/{record.id}/_history/{record.version}",
        "ETag": etag(record.version),
    }
    return Outcome(200, resource=record.content, headers=headers)


OPERATIONS: tuple[Operation, ...] = operations_of(
    definition(
        "composition-document",
        "document",
        "The Composition and everything that it refers to, as a Bundle of type document. R4's operation without graph.",
        [
            taking("id", "uri", "the Composition, when the address does not name it"),
            taking(
                "persist",
                "boolean",
                "whether to keep the document as a Bundle, whose address is in Location; POST only",
            ),
            giving("Bundle", "the document"),
        ],
        resource=TYPE,
        levels=("type", "instance"),
        root=OWN,
        base=f"{R4}Composition-document",
    ),
    run,
)
