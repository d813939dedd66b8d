"""Which resource each entry of a transaction means, decided before any reference is resolved.

Source: FHIR R4 http.html#trules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fhir_server.errors import FhirError, InvalidContent
from fhir_server.interactions.batch import Context
from fhir_server.interactions.conditional import find_one, find_target, free_id, parse_criteria
from fhir_server.interactions.entries import Entry, at, place, raise_all
from fhir_server.interactions.links import names_of
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.resolve import conditional_references, look_up
from fhir_server.model.resource import Json, Resource
from fhir_server.model.rewriting import Rewrite, reference_rewriter
from fhir_server.store import Record, Transaction


@dataclass(frozen=True, slots=True)
class Target:
    """The id an entry's resource is kept under.

    ``existing`` is the match of a conditional create, ``first`` the entry with the same criteria
    before it: in both cases the entry itself writes nothing.
    """

    id: str
    existing: Record | None = None
    first: int | None = None

    @property
    def is_written(self) -> bool:
        """True when the entry makes a version."""
        return self.existing is None and self.first is None


Targets = Mapping[int, Target]


async def find_targets(
    context: Context, transaction: Transaction, entries: Iterable[Entry], pace: Pace
) -> dict[int, Target]:
    """The target of every create, update, patch and delete, by the entry's index.

    What the domain may adopt comes last: it looks at whom the resource is about, which is another
    entry's target. Raises PreconditionFailed and InvalidSearch for criteria, naming the entry.
    """
    targets: dict[int, Target] = {}
    created: dict[tuple[str, str], int] = {}
    early: list[Entry] = []
    late: list[Entry] = []
    for entry in entries:
        (late if _may_be_adopted(context, entry) else early).append(entry)
    for entry in early:
        with at(entry):
            targets[entry.index] = await _target(context, transaction, entry, created, targets)
        await pace()
    known = await address_book(early, targets, pace) if late else {}
    rewrite = reference_rewriter(known, context.server.definitions.members)
    for entry in late:
        with at(entry):
            data = await _as_known(context, transaction, entry, rewrite)
            targets[entry.index] = await _updated(context, transaction, entry, data)
        await pace()
    return targets


def _may_be_adopted(context: Context, entry: Entry) -> bool:
    return entry.interaction == "update" and entry.address.id is None and entry.type in context.server.adopt


async def _target(
    context: Context,
    transaction: Transaction,
    entry: Entry,
    created: dict[tuple[str, str], int],
    targets: Targets,
) -> Target:
    if entry.address.id is not None:
        return Target(entry.address.id)
    if entry.interaction == "update":
        return await _updated(context, transaction, entry, entry.body.data)
    if entry.if_none_exist is None:
        return Target(context.server.new_id())
    return await _created(context, transaction, entry, created, targets)


async def _as_known(context: Context, transaction: Transaction, entry: Entry, rewrite: Rewrite) -> Json:
    """The entry's resource with its references resolved as far as that is possible now, for who adopts it."""
    definitions = context.server.definitions
    texts = conditional_references([entry], definitions)
    found = await look_up(context, transaction, [entry], texts, is_last=False)
    return Resource.parse(reference_rewriter(found, definitions.members)(rewrite(entry.raw))).data


async def _updated(context: Context, transaction: Transaction, entry: Entry, data: Json) -> Target:
    server, caller = context.server, context.caller
    query = parse_criteria(server, caller, entry.type, entry.address.query or "", context.base)
    found = await find_target(server, caller, transaction, query, data)
    return Target(found.id if found else await free_id(server, transaction, data))


async def _created(
    context: Context,
    transaction: Transaction,
    entry: Entry,
    created: dict[tuple[str, str], int],
    targets: Targets,
) -> Target:
    criteria = entry.if_none_exist or ""
    first = created.setdefault((entry.type, criteria), entry.index)
    if first != entry.index:
        return Target(targets[first].id, first=first)
    query = parse_criteria(context.server, context.caller, entry.type, criteria, context.base)
    existing = await find_one(transaction, query)
    return Target(existing.id, existing) if existing else Target(context.server.new_id())


async def require_distinct(entries: Sequence[Entry], targets: Targets, pace: Pace) -> None:
    """Raises InvalidContent, naming the entries, when two of them write the same resource or have the same fullUrl."""
    faults: list[tuple[Entry, FhirError]] = []
    written: dict[str, int] = {}
    named: dict[str, int] = {}
    for entry in entries:
        target = targets[entry.index]
        if target.is_written:
            key = f"{entry.type}/{target.id}"
            faults += _repeated(entry, written.setdefault(key, entry.index), "means the same resource as")
        if entry.full_url and entry.raw:
            first = named.setdefault(entry.full_url, entry.index)
            faults += _repeated(entry, first, "has the same fullUrl as")
        await pace()
    raise_all(faults)


def _repeated(entry: Entry, first: int, text: str) -> list[tuple[Entry, FhirError]]:
    if first == entry.index:
        return []
    where = place(entry.index)
    error = InvalidContent(f"the entry {text} {place(first)}", expression=where, code="duplicate")
    return [(entry, error)]


async def address_book(entries: Iterable[Entry], targets: Targets, pace: Pace) -> dict[str, str]:
    """Names that references in the Bundle may use → where the resource is kept (``Patient/1``)."""
    addresses: dict[str, str] = {}
    kept = [entry for entry in entries if entry.interaction in {"create", "update"}]
    for entry in kept:
        address = f"{entry.type}/{targets[entry.index].id}"
        for name in names_of(entry.full_url):
            addresses[name] = address
        await pace()
    for entry in kept:
        if entry.interaction == "update":
            address = f"{entry.type}/{targets[entry.index].id}"
            addresses[address] = address
    return addresses
