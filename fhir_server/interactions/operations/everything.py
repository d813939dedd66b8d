"""``Patient/$everything`` and ``Encounter/$everything``: a whole record, in one piece or page by page.

Source: FHIR R4 patient-operation-everything.html, encounter-operation-everything.html.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import chain

import orjson

from fhir_server.errors import InvalidSearch, Issue
from fhir_server.interactions.bundles import CURSOR, Pairs, page_links
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.operations.definition import definition, giving, operations_of, taking
from fhir_server.interactions.operations.marks import Mark, read_mark, write_mark
from fhir_server.interactions.parameters import Inputs, read_inputs
from fhir_server.interactions.read import read
from fhir_server.interactions.record import Selection, WholeRecord
from fhir_server.interactions.write import microseconds
from fhir_server.model.bundle import member
from fhir_server.model.dates import parse_interval
from fhir_server.model.resource import instant
from fhir_server.search.control import LARGEST_PAGE
from fhir_server.search.query import Query
from fhir_server.security.access import check_access, narrow
from fhir_server.security.caller import Caller
from fhir_server.store import Record, Version

PATIENT = "Patient"
MOST_PATIENTS = 100
"""Patients whose records are given together, when none is named."""
HELD = 4 * 2**20
"""Bytes of an answer that is made whole before it is sent; a larger one is streamed."""
PIECE = 2**18
"""Bytes of a stream that are worth a piece of their own."""


async def run(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """A searchset: members as matches, supporting resources as includes. Raises NotFound and Gone for the resource,
    InvalidSearch with every parameter that cannot be used."""
    inputs = read_inputs(OPERATION_OF[str(invocation.type)], invocation.parameters)
    check_access(caller, "search", invocation.type)
    selection = await _selection(server, caller, invocation, inputs)
    path = "/".join(part for part in (invocation.type, invocation.id, "$everything") if part)
    applied = [(name, _said(name, value)) for name, values in inputs.values.items() for value in values]
    if "_count" in inputs.values or invocation.cursor is not None:
        return await _page(server, caller, selection, path, applied, invocation)
    whole = WholeRecord(server, caller, selection)
    head = _head(server, page_links(invocation.base, path, [*applied, *invocation.kept], None))
    return await _answer(_joined(head, _all(whole)))


# ── what is asked for ─────────────────────────────────────────────────────────


async def _selection(server: Server, caller: Caller, invocation: Invocation, inputs: Inputs) -> Selection:
    faults: list[Issue] = []
    types = _types(server, inputs, faults)
    start, _ = _interval(server, inputs, "start", faults)
    _, end = _interval(server, inputs, "end", faults)
    since, _ = _interval(server, inputs, "_since", faults)
    if inputs.one("_count", 1) < 1:
        faults.append(Issue("error", "value", "_count is 1 or more", "http._count"))
    if invocation.id is None and ("_count" in inputs.values or invocation.cursor is not None):
        faults.append(Issue("error", "not-supported", "pages need the id of one patient", "http._count"))
    if faults:
        raise InvalidSearch(issues=faults)
    ids = await _ids(server, caller, invocation)
    return Selection(str(invocation.type), ids, types, since, start, end, invocation.base)


def _types(server: Server, inputs: Inputs, faults: list[Issue]) -> frozenset[str] | None:
    named = list(chain.from_iterable(text.split(",") for text in inputs.all("_type")))
    unknown = [name for name in named if name not in server.definitions.resource_types]
    faults += [
        Issue("error", "value", f"there is no resource type {name[:64]!r}", "http._type") for name in unknown
    ]
    return frozenset(named) or None


def _interval(
    server: Server, inputs: Inputs, name: str, faults: list[Issue]
) -> tuple[int, int] | tuple[None, None]:
    text = inputs.one(name)
    if text is None:
        return None, None
    try:
        return parse_interval(text, server.timezone)
    except ValueError as error:
        faults.append(Issue("error", "value", f"{name}: {error}", f"http.{name}"))
        return None, None


async def _ids(server: Server, caller: Caller, invocation: Invocation) -> tuple[str, ...]:
    """The resource that the address names, else all patients of the caller. Raises InvalidSearch for too many."""
    if invocation.id is not None:
        await read(server, caller, str(invocation.type), invocation.id)
        return (invocation.id,)
    query = narrow(Query(PATIENT, count=MOST_PATIENTS + 1), caller)
    patients = (await server.store.search(query)).records
    if len(patients) > MOST_PATIENTS:
        raise InvalidSearch(
            f"there are more than {MOST_PATIENTS} patients: name one of them, Patient/[id]/$everything",
            code="too-costly",
        )
    return tuple(record.id for record in patients)


def _said(name: str, value: object) -> str:
    """``value`` as it takes effect."""
    if name == "_count" and isinstance(value, int):
        value = min(value, LARGEST_PAGE)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


# ── in one piece ──────────────────────────────────────────────────────────────


async def _all(whole: WholeRecord) -> AsyncIterator[bytes]:
    """The entries of the whole record."""
    entry, selection = _entry_maker(whole.selection.base), whole.selection
    members = await whole.members()
    async for record in whole.read(members):
        if selection.wants(record):
            yield entry(record, b"match")
    async for record in whole.supporting(members):
        if selection.wants(record):
            yield entry(record, b"include")


def _entry_maker(base: str) -> Callable[[Record, bytes], bytes]:
    """Makes searchset entries of a record and a mode; the address is escaped once for all of them."""
    prefix = orjson.dumps(base)[:-1]

    def entry(record: Record, mode: bytes) -> bytes:
        address = f"{record.type}/{record.id}".encode()
        return b'{"fullUrl":%b/%b","resource":%b,"search":{"mode":"%b"}}' % (
            prefix,
            address,
            record.content,
            mode,
        )

    return entry


def _head(server: Server, links: Sequence[tuple[str, str]]) -> bytes:
    """The Bundle up to its entries. Its time is the ``_since`` of the next call."""
    parts = [
        b'"resourceType":"Bundle"',
        member("id", server.new_id()),
        member("meta", {"lastUpdated": instant(microseconds(server))}),
        b'"type":"searchset"',
        member("link", [{"relation": name, "url": url} for name, url in links]),
    ]
    return b"{" + b",".join(parts)


async def _joined(head: bytes, entries: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The Bundle in pieces; without entries it has none of the member, since FHIR has no empty list."""
    yield head
    opening = b',"entry":['
    async for entry in entries:
        yield opening + entry
        opening = b","
    yield b"}" if opening != b"," else b"]}"


async def _answer(pieces: AsyncIterator[bytes]) -> Outcome:
    """All pieces as one body, or as a stream when they are too much to be held."""
    held: list[bytes] = []
    size = 0
    async for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > HELD:
            return Outcome(200, stream=_continued(b"".join(held), pieces))
    return Outcome(200, resource=b"".join(held))


async def _continued(begun: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """``begun`` and what follows, gathered into pieces worth sending."""
    yield begun
    held: list[bytes] = []
    size = 0
    async for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > PIECE:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


# ── page by page ──────────────────────────────────────────────────────────────


async def _page(
    server: Server,
    caller: Caller,
    selection: Selection,
    path: str,
    applied: Pairs,
    invocation: Invocation,
) -> Outcome:
    """One page: members first, then supporting resources in the order of their names."""
    count = int(dict(applied).get("_count", LARGEST_PAGE))
    context = orjson.dumps([path, *(pair for pair in applied if pair[0] != "_count")])
    mark = Mark() if invocation.cursor is None else read_mark(context, invocation.cursor)
    whole = WholeRecord(server, caller, selection, mark.moment)
    found = await _next(whole, mark, count + 1)
    page, entry = found[:count], _entry_maker(selection.base)
    follows = None
    if len(found) > count:
        follows = write_mark(context, page[-1][0], whole.moment)
    told = [*(pair for pair in applied if pair[0] != CURSOR), *invocation.kept]
    links = page_links(invocation.base, path, told, follows)
    body = _joined(_head(server, links), _listed([entry(record, mode) for _, mode, record in page]))
    return await _answer(body)


async def _listed(entries: Sequence[bytes]) -> AsyncIterator[bytes]:
    for entry in entries:
        yield entry


Placed = tuple[Mark, bytes, Record]


async def _next(whole: WholeRecord, mark: Mark, wanted: int) -> list[Placed]:
    """Up to ``wanted`` resources after ``mark``."""
    members = await whole.members()
    found: list[Placed] = []
    if not mark.supporting:
        async for record, version in _after(whole, members, mark):
            found.append((Mark(False, version.number, f"{version.type}/{version.id}"), b"match", record))
            if len(found) == wanted:
                return found
    supporting = await _supporting(whole, members, mark.name if mark.supporting else "")
    return [*found, *supporting[: wanted - len(found)]]


async def _after(
    whole: WholeRecord, members: Sequence[Version], mark: Mark
) -> AsyncIterator[tuple[Record, Version]]:
    place = (mark.number, mark.name)
    left = [v for v in members if (v.number, f"{v.type}/{v.id}") > place and whole.selection.wants(v)]
    by_name = {(version.type, version.id): version for version in left}
    async for record in whole.read(left):
        yield record, by_name[record.type, record.id]


async def _supporting(whole: WholeRecord, members: Sequence[Version], after: str) -> list[Placed]:
    """All supporting resources whose name comes after ``after``. What supports is known when all members were read."""
    whole.named.clear()
    async for _ in whole.read(members):
        continue
    found = {
        f"{record.type}/{record.id}": record
        async for record in whole.supporting(members)
        if whole.selection.wants(record)
    }
    return [(Mark(True, 0, name), b"include", found[name]) for name in sorted(found) if name > after]


# ── the operations ────────────────────────────────────────────────────────────

TYPE = taking("_type", "code", "only resources of these types, separated by commas", max="*")
COMMON = (
    taking(
        "_since",
        "instant",
        "only what was written at or after this time: the meta.lastUpdated of an earlier answer",
    ),
    TYPE,
    taking(
        "_count", "integer", "page by page, so many resources each; without it the record comes in one piece"
    ),
    giving("Bundle", "a searchset: what belongs to the record as match, what it refers to as include"),
)
OPERATIONS: tuple[Operation, ...] = (
    *operations_of(
        definition(
            "Patient-everything",
            "everything",
            "The whole record of a patient: all resources of the compartment and what they refer to. Without an id: of "
            f"all patients that the caller may see, when they are not more than {MOST_PATIENTS}.",
            [
                taking(
                    "start", "date", "only what happened on or after this day; what has no date comes along"
                ),
                taking("end", "date", "only what happened on or before this day"),
                *COMMON,
            ],
            resource=PATIENT,
            levels=("type", "instance"),
        ),
        run,
        pages=True,
    ),
    *operations_of(
        definition(
            "Encounter-everything",
            "everything",
            "The whole record of an encounter: all resources of the compartment and what they refer to.",
            COMMON,
            resource="Encounter",
        ),
        run,
        pages=True,
    ),
)
OPERATION_OF: Mapping[str, Operation] = {operation.types[0]: operation for operation in OPERATIONS}
