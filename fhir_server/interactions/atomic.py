"""transaction: all entries or none, in the order the standard gives.

Everything is checked before the store transaction opens, so that all faults of all entries are told
at once. Inside it: deletes; then every entry's id is decided; then references are resolved and
creates, updates and patches written; then reads.
Source: FHIR R4 http.html#trules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import orjson

from fhir_server.errors import NotSupported
from fhir_server.interactions.batch import (
    ORDER,
    Context,
    Perform,
    read_entry,
    search_entry,
    vread_entry,
)
from fhir_server.interactions.context import Outcome
from fhir_server.interactions.delete import remove_current
from fhir_server.interactions.entries import Entry, at, patch_of, raise_all
from fhir_server.interactions.links import references_in, resolve_patch
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.patch import modify_current
from fhir_server.interactions.patches import parse_patch
from fhir_server.interactions.pending import Pending
from fhir_server.interactions.resolve import conditional_references, look_up, require_resolved
from fhir_server.interactions.responses import response
from fhir_server.interactions.targets import Target, address_book, find_targets, require_distinct
from fhir_server.interactions.update import put_current, require_own_id
from fhir_server.interactions.write import Corridor, accept, corridor
from fhir_server.model.resource import Resource
from fhir_server.model.rewriting import reference_rewriter
from fhir_server.security.access import check_access
from fhir_server.store import Record, Transaction

READS: Mapping[str, Perform] = {"read": read_entry, "vread": vread_entry, "search": search_entry}


@dataclass(slots=True)
class Work:
    """One transaction under way: ``targets`` by entry index, ``addresses`` by name, ``results`` by entry index."""

    context: Context
    writing: Corridor
    pace: Pace
    targets: dict[int, Target] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    results: dict[int, Outcome] = field(default_factory=dict)


async def run_transaction(
    context: Context,
    entries: Sequence[Entry],
    pace: Pace,
    also: Callable[[Transaction, Sequence[Record]], Awaitable[None]] | None,
) -> list[bytes]:
    """The response entries, in the order of ``entries``, which have been accepted.

    Raises one error with the faults of all that could not be, else what made it fail; then nothing was written.
    """
    raise_all([(entry, entry.error) for entry in entries if entry.error is not None])
    async with corridor(context.server, context.caller) as writing:
        work = Work(replace(context, reading=writing.transaction), writing, pace)
        by = {name: [entry for entry in entries if entry.interaction == name] for name in ORDER}
        for entry in by["delete"]:
            await _carry_out(work, entry, _delete)
        writes = [*by["create"], *by["update"], *by["patch"]]
        await _write_all(work, writes, by["delete"])
        for name, perform in READS.items():
            for entry in by[name]:
                await _carry_out(work, entry, _reader(perform))
        if also is not None:
            await also(writing.transaction, _left(work, entries))
    answers = []
    for entry in entries:
        answers.append(response(work.results[entry.index], entry, context.base, context.prefer))
        await pace()
    return answers


def _left(work: Work, entries: Sequence[Entry]) -> list[Record]:
    """The records that the entries wrote, found or deleted, in the order of ``entries``."""
    records = [work.results[entry.index].record for entry in entries]
    return [record for record in records if record is not None]


# ── before the store transaction: everything that can be known to be wrong ────


def accept_entry(context: Context, entry: Entry, resource: Resource | None) -> None:
    """Check one entry, and note the references of its ``resource``. Raises what ``write.accept`` raises, and more."""
    check_access(context.caller, entry.interaction, entry.address.type)
    if entry.interaction in {"create", "update"} and resource is not None:
        issues = accept(context.server, context.caller, entry.interaction, resource, entry.type)
        entry.warnings = tuple(issues)
        entry.references = _references(resource)
        if entry.address.id is not None:
            require_own_id(resource, entry.address.id)
    elif entry.interaction == "patch":
        parse_patch(context.server, *patch_of(entry))
    elif entry.interaction == "history":
        raise NotSupported("a history is not read in a transaction; use a batch", expression="http.url")


def _references(resource: Resource) -> frozenset[str]:
    """The texts of its references; a Bundle's own lead to its own entries."""
    return frozenset(references_in(resource.raw)) if resource.type != "Bundle" else frozenset()


# ── inside it ─────────────────────────────────────────────────────────────────

Step = Callable[[Work, Entry], Awaitable[Outcome]]


async def _carry_out(work: Work, entry: Entry, step: Step) -> None:
    """Run ``step`` for ``entry`` and keep its result, together with what rules had to say."""
    told, pointed = len(work.writing.issues), len(work.writing.pointers)
    with at(entry):
        outcome = await step(work, entry)
    issues = (*entry.warnings, *work.writing.issues[told:])
    work.results[entry.index] = msgspec.structs.replace(outcome, issues=issues) if issues else outcome
    _place_pointers(work.writing, pointed, entry)
    await work.pace()


def _place_pointers(writing: Corridor, start: int, entry: Entry) -> None:
    prefix = f"Bundle.entry[{entry.index}].resource"
    for number in range(start, len(writing.pointers)):
        pointer = writing.pointers[number]
        rest = pointer.expression.partition(".")[2]
        writing.pointers[number] = pointer._replace(expression=f"{prefix}.{rest}" if rest else prefix)


async def _delete(work: Work, entry: Entry) -> Outcome:
    return await remove_current(work.writing, entry.type, str(entry.address.id), if_match=entry.if_match)


def _reader(perform: Perform) -> Step:
    async def read(work: Work, entry: Entry) -> Outcome:
        return await perform(work.context, entry)

    return read


async def _write_all(work: Work, writes: Sequence[Entry], deletes: Sequence[Entry]) -> None:
    """Decide every id, then write in rounds: what waits for a conditional reference comes after what it may find."""
    transaction = work.writing.transaction
    work.targets = await find_targets(work.context, transaction, (*deletes, *writes), work.pace)
    await require_distinct((*deletes, *writes), work.targets, work.pace)
    work.addresses = await address_book(writes, work.targets, work.pace)
    await require_resolved(writes, work.addresses, work.pace)
    waiting: Sequence[Entry] = [entry for entry in writes if work.targets[entry.index].is_written]
    open_ones = conditional_references(waiting, work.context.server.definitions)
    while waiting:
        ready = [entry for entry in waiting if not entry.references & open_ones]
        await _write_round(work, ready, waiting)
        waiting = [entry for entry in waiting if entry.references & open_ones]
        found = await look_up(work.context, transaction, waiting, open_ones, is_last=not ready)
        work.addresses |= found
        open_ones -= found.keys()
    for entry in writes:
        _answer_unwritten(work, entry)


def _answer_unwritten(work: Work, entry: Entry) -> None:
    target = work.targets[entry.index]
    if target.existing is not None:
        work.results[entry.index] = Outcome(200, target.existing)
    elif target.first is not None:
        work.results[entry.index] = Outcome(200, work.results[target.first].record)


async def _write_round(work: Work, ready: Sequence[Entry], waiting: Sequence[Entry]) -> None:
    """Write ``ready``; rules may look at all of ``waiting`` that is not written yet."""
    pending = work.writing.pending = Pending()
    rewrite = reference_rewriter(work.addresses, work.context.server.definitions.members)
    for entry in waiting:
        if entry.interaction != "patch":
            raw = entry.raw if entry.kind == "Bundle" else rewrite(entry.raw)
            pending.add(entry.type, work.targets[entry.index].id, raw)
        await work.pace()
    for entry in ready:
        sent = pending.take(entry.type, work.targets[entry.index].id)
        await _carry_out(work, entry, _patch if sent is None else _writer(sent))


def _writer(raw: bytes) -> Step:
    """The step that writes ``raw``, the entry's resource with its references resolved."""

    async def write(work: Work, entry: Entry) -> Outcome:
        id = work.targets[entry.index].id
        resource = Resource(raw, orjson.loads(raw))
        if entry.interaction == "create":
            return Outcome(201, await work.writing.put(resource, id, None, method="POST"))
        return await put_current(
            work.writing, resource, id, if_match=entry.if_match, if_none_match=entry.if_none_match
        )

    return write


async def _patch(work: Work, entry: Entry) -> Outcome:
    id = work.targets[entry.index].id
    body, content_type = patch_of(entry)
    make = parse_patch(work.context.server, resolve_patch(body, work.addresses), content_type)
    record = await modify_current(work.writing, entry.type, id, make, method="PATCH", if_match=entry.if_match)
    return Outcome(200, record)
