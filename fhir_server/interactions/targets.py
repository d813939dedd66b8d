"""Which resource each entry of a transaction means, decided before any reference is resolved.

Source: FHIR R4 http.html#trules.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fhir_server.errors import InvalidContent
from fhir_server.interactions.batch import Context
from fhir_server.interactions.conditional import find_one, find_target, free_id, parse_criteria
from fhir_server.interactions.delete import find_deleted
from fhir_server.interactions.entries import Entry, Faults, place
from fhir_server.interactions.links import names_of
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.patch import require_one
from fhir_server.interactions.resolve import conditional_references, look_up
from fhir_server.model.resource import Json, Resource
from fhir_server.model.rewriting import Rewrite, reference_rewriter
from fhir_server.search.query import Query
from fhir_server.store import Record, Transaction


@dataclass(frozen=True, slots=True)
class Target:
    """The ids an entry's resources are kept under: one, but for what a conditional delete found.

    ``existing`` is the match of a conditional create, ``first`` the entry with the same criteria
    before it: in both cases the entry itself writes nothing.
    """

    ids: tuple[str, ...]
    existing: Record | None = None
    first: int | None = None

    @property
    def id(self) -> str:
        """The one id."""
        return self.ids[0]

    @property
    def is_written(self) -> bool:
        """True when the entry makes versions."""
        return self.existing is None and self.first is None


Targets = Mapping[int, Target]
Identity = tuple[str, Hashable]
"""A type and what is looked for: two entries with one identity mean one resource that is not here yet."""


class Finder:
    """Finds the targets of entries, as ``transaction`` is now. ``found`` are those found, by the entry's index.

    The criteria of conditional creates and updates that match nothing are remembered: what a second entry with
    the same ones means is what the first one makes.
    """

    def __init__(self, context: Context, transaction: Transaction, pace: Pace) -> None:
        self.found: dict[int, Target] = {}
        self._context = context
        self._transaction = transaction
        self._pace = pace
        self._made: dict[Identity, Entry] = {}

    async def deletes(self, entries: Iterable[Entry]) -> None:
        """Find what every delete means. Raises with every fault."""
        faults = Faults()
        for entry in entries:
            with faults.of(entry):
                self.found[entry.index] = await self._deleted(entry)
            await self._pace()
        faults.raise_any()

    async def writes(self, entries: Iterable[Entry]) -> None:
        """Find what every create, update and patch means. Raises with every fault.

        What the domain may adopt comes last: it looks at whom the resource is about, which is another
        entry's target.
        """
        early: list[Entry] = []
        late: list[Entry] = []
        for entry in entries:
            (late if self._may_be_adopted(entry) else early).append(entry)
        faults = Faults()
        for entry in early:
            with faults.of(entry):
                self.found[entry.index] = await self._target(entry, faults)
            await self._pace()
        faults.raise_any()
        known = await address_book(early, self.found, self._pace) if late else {}
        rewrite = reference_rewriter(known, self._context.server.definitions.members)
        for entry in late:
            with faults.of(entry):
                data = await self._as_known(entry, rewrite)
                self.found[entry.index] = await self._updated(entry, data, faults)
            await self._pace()
        faults.raise_any()

    def _may_be_adopted(self, entry: Entry) -> bool:
        is_conditional = entry.interaction == "update" and entry.address.id is None
        return is_conditional and entry.type in self._context.server.adopt

    async def _query(self, entry: Entry, criteria: str | None) -> Query:
        context = self._context
        return await parse_criteria(context.server, context.caller, entry.type, criteria or "", context.base)

    async def _deleted(self, entry: Entry) -> Target:
        if entry.address.id is not None:
            return Target((entry.id,))
        query = await self._query(entry, entry.criteria)
        records = await find_deleted(self._context.server, self._transaction, query)
        return Target(tuple(record.id for record in records))

    async def _target(self, entry: Entry, faults: Faults) -> Target:
        if entry.address.id is not None:
            return Target((entry.id,))
        if entry.interaction == "update":
            return await self._updated(entry, entry.body.data, faults)
        if entry.interaction == "patch":
            query = await self._query(entry, entry.criteria)
            return Target(((await require_one(self._transaction, query)).id,))
        if entry.if_none_exist is None:
            return Target((self._context.server.new_id(),))
        return await self._created(entry)

    async def _created(self, entry: Entry) -> Target:
        query = await self._query(entry, entry.if_none_exist)
        first = self._made.get((entry.type, query.clauses))
        if first is not None:
            return Target(self.found[first.index].ids, first=first.index)
        existing = await find_one(self._transaction, query)
        if existing is not None:
            return Target((existing.id,), existing)
        self._made[entry.type, query.clauses] = entry
        return Target((self._context.server.new_id(),))

    async def _updated(self, entry: Entry, data: Json, faults: Faults) -> Target:
        server, caller = self._context.server, self._context.caller
        query = await self._query(entry, entry.criteria)
        found = await find_target(server, caller, self._transaction, query, data)
        if found is not None:
            return Target((found.id,))
        first = self._made.setdefault((entry.type, query.clauses), entry)
        if first is not entry:
            faults.note(entry, _repeated(entry, first.index, "means the same resource as"))
        return Target((await free_id(server, self._transaction, data),))

    async def _as_known(self, entry: Entry, rewrite: Rewrite) -> Json:
        """The entry's resource with its references resolved as far as that is possible now, for who adopts it."""
        context, definitions = self._context, self._context.server.definitions
        texts = conditional_references([entry], definitions)
        found = await look_up(context, self._transaction, [entry], texts, is_last=False)
        return Resource.parse(reference_rewriter(found, definitions.members)(rewrite(entry.raw))).data


# ── conflicts ─────────────────────────────────────────────────────────────────


async def require_distinct(entries: Sequence[Entry], targets: Targets, pace: Pace) -> None:
    """Raises InvalidContent, naming the entries, when two of them write the same resource or have the same fullUrl."""
    faults = Faults()
    written: dict[str, int] = {}
    named: dict[str, int] = {}
    for entry in entries:
        for key in _keys(entry, targets.get(entry.index)):
            _require_first(faults, entry, written.setdefault(key, entry.index), "means the same resource as")
        if entry.full_url and entry.raw:
            first = named.setdefault(entry.full_url, entry.index)
            _require_first(faults, entry, first, "has the same fullUrl as")
        await pace()
    faults.raise_any()


def _keys(entry: Entry, target: Target | None) -> list[str]:
    """The resources that ``entry`` changes, as ``Type/id``; without a target the one that its URL names."""
    if target is None:
        return [f"{entry.type}/{entry.id}"] if entry.id else []
    return [f"{entry.type}/{id}" for id in target.ids] if target.is_written else []


def _require_first(faults: Faults, entry: Entry, first: int, text: str) -> None:
    if first != entry.index:
        faults.note(entry, _repeated(entry, first, text))


def _repeated(entry: Entry, first: int, text: str) -> InvalidContent:
    where = place(entry.index)
    return InvalidContent(f"the entry {text} {place(first)}", expression=where, code="duplicate")


# ── names ─────────────────────────────────────────────────────────────────────


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
        address = f"{entry.type}/{targets[entry.index].id}"
        if entry.interaction == "update":
            addresses[address] = address
        criteria = entry.if_none_exist if entry.interaction == "create" else entry.criteria
        if criteria is not None:
            tail = criteria.removeprefix(f"{entry.type}?").removeprefix("?")
            addresses[f"{entry.type}?{tail}"] = address
    return addresses


async def versioned_names(
    entries: Iterable[Entry], targets: Targets, transaction: Transaction
) -> dict[str, str]:
    """References to the very version that an entry was sent as → the version that it becomes.

    Source: FHIR R4 bundle.html#references.
    """
    names: dict[str, str] = {}
    for entry in entries:
        if entry.version is None or entry.interaction not in {"create", "update"}:
            continue
        target = targets[entry.index]
        address = f"{entry.type}/{target.id}/_history/{await _next_version(entry, target, transaction)}"
        names |= {f"{name}/_history/{entry.version}": address for name in names_of(entry.full_url)}
    return names


async def _next_version(entry: Entry, target: Target, transaction: Transaction) -> int:
    if target.existing is not None:
        return target.existing.version
    current = await transaction.read(entry.type, target.id)
    return current.version + 1 if current is not None else 1
