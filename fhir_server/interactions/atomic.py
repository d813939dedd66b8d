"""transaction: all entries or none, in the order the standard gives.

Everything is checked before the store transaction opens (``acceptance``), so that all faults of all entries are
told at once. Inside it: deletes; then every entry's id is decided; then references are resolved and
creates, updates and patches written; then operations that change something; then reads.
Source: FHIR R4 http.html#trules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import orjson

from fhir_server.interactions.batch import ALONE, Context
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.delete import remove_current, remove_matches
from fhir_server.interactions.entries import STAGES, Entry, Faults, patch_of
from fhir_server.interactions.joined import Joined
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.patch import modify_current
from fhir_server.interactions.patches import Make, parse_patch
from fhir_server.interactions.pending import Pending
from fhir_server.interactions.resolve import conditional_references, look_up, require_resolved
from fhir_server.interactions.responses import response
from fhir_server.interactions.targets import Finder, address_book, require_distinct, versioned_names
from fhir_server.interactions.update import put_current
from fhir_server.interactions.write import Corridor, corridor
from fhir_server.model.resource import Resource
from fhir_server.model.rewriting import Rewrite, reference_rewriter
from fhir_server.store import Record, Transaction

ACTS = ("operation", "delete-history")
"""Stages of what changes something after the writes. It may look at them, so it comes later than R4 puts a POST."""


@dataclass(slots=True)
class Work:
    """One transaction under way. ``context`` is for what takes part in it: its server sees the open transaction.

    ``addresses`` by name, ``results`` by entry index.
    """

    context: Context
    writing: Corridor
    pace: Pace
    finder: Finder
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
    _raise_faults(entries)
    async with corridor(context.server, context.caller) as writing:
        inside = replace(context, server=_within(context.server, writing))
        work = Work(inside, writing, pace, Finder(inside, writing.transaction, pace))
        by = _by_stage(entries)
        await _delete_all(work, by["delete"])
        writes = [*by["create"], *by["update"], *by["patch"]]
        acts = [entry for stage in ACTS for entry in by[stage]]
        await _write_all(work, writes, [*by["delete"], *writes, *_changing(context.server, acts)])
        await _carry_out_all(work, acts, _alone)
        await _carry_out_all(work, by["read"], _alone)
        if also is not None:
            await also(writing.transaction, _left(work, entries))
    answers = []
    for entry in entries:
        answers.append(response(work.results[entry.index], entry, context.base, context.prefer))
        await pace()
    return answers


def _by_stage(entries: Sequence[Entry]) -> Mapping[str, list[Entry]]:
    by: dict[str, list[Entry]] = {stage: [] for stage in STAGES}
    for entry in entries:
        by[entry.stage].append(entry)
    return by


def _raise_faults(entries: Sequence[Entry]) -> None:
    faults = Faults()
    for entry in entries:
        if entry.error is not None:
            faults.note(entry, entry.error)
    faults.raise_any()


def _within(server: Server, writing: Corridor) -> Server:
    """``server`` for whatever takes part in what is being written."""
    return replace(server, store=Joined(server.store, writing.transaction), within=writing)


def _left(work: Work, entries: Sequence[Entry]) -> list[Record]:
    """The records that the entries wrote, found or deleted, in the order of ``entries``."""
    records = [work.results[entry.index].record for entry in entries]
    return [record for record in records if record is not None]


def _changing(server: Server, acts: Sequence[Entry]) -> list[Entry]:
    """Those of ``acts`` that change the resource their URL names."""
    return [entry for entry in acts if entry.interaction != "operation" or _changes_instance(server, entry)]


def _changes_instance(server: Server, entry: Entry) -> bool:
    known = server.operations.get(entry.address.operation or "", ())
    return any(operation.affects_state for operation in known if operation.level == "instance")


# ── inside it ─────────────────────────────────────────────────────────────────

Step = Callable[[Work, Entry], Awaitable[Outcome]]


async def _carry_out(work: Work, entry: Entry, step: Step) -> None:
    """Run ``step`` for ``entry`` and keep its result, together with what rules had to say."""
    told, pointed = len(work.writing.issues), len(work.writing.pointers)
    outcome = await step(work, entry)
    issues = (*entry.warnings, *outcome.issues, *work.writing.issues[told:])
    work.results[entry.index] = msgspec.structs.replace(outcome, issues=issues) if issues else outcome
    _place_pointers(work.writing, pointed, entry)
    await work.pace()


async def _carry_out_all(work: Work, entries: Sequence[Entry], step: Step) -> None:
    """``step`` for each of ``entries``. Raises with the faults of all that fail: nothing will be kept anyway."""
    faults = Faults()
    for entry in entries:
        with faults.of(entry):
            await _carry_out(work, entry, step)
    faults.raise_any()


async def _alone(work: Work, entry: Entry) -> Outcome:
    return await ALONE[entry.interaction](work.context, entry)


def _place_pointers(writing: Corridor, start: int, entry: Entry) -> None:
    prefix = f"Bundle.entry[{entry.index}].resource"
    for number in range(start, len(writing.pointers)):
        pointer = writing.pointers[number]
        rest = pointer.expression.partition(".")[2]
        writing.pointers[number] = pointer._replace(expression=f"{prefix}.{rest}" if rest else prefix)


async def _delete_all(work: Work, entries: Sequence[Entry]) -> None:
    """Decide what all of them mean before any of it goes."""
    await work.finder.deletes(entries)
    await _carry_out_all(work, entries, _delete)


async def _delete(work: Work, entry: Entry) -> Outcome:
    writing = work.writing
    if entry.address.id is not None:
        return await remove_current(writing, entry.type, entry.id, if_match=entry.if_match)
    ids = work.finder.found[entry.index].ids
    found = await writing.transaction.read_many([(entry.type, id) for id in ids])
    return await remove_matches(writing, found, entry.if_match)


async def _write_all(work: Work, writes: Sequence[Entry], changing: Sequence[Entry]) -> None:
    """Decide every id, then write in rounds: what waits for a conditional reference comes after what it may find."""
    transaction, targets = work.writing.transaction, work.finder.found
    await work.finder.writes(writes)
    await require_distinct(changing, targets, work.pace)
    work.addresses = await address_book(writes, targets, work.pace)
    if any("/_history/" in text for entry in writes for text in entry.references):
        work.addresses |= await versioned_names(writes, targets, transaction)
    await require_resolved(writes, work.addresses, work.pace)
    waiting: Sequence[Entry] = [entry for entry in writes if targets[entry.index].is_written]
    open_ones = conditional_references(waiting, work.context.server.definitions) - work.addresses.keys()
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
    target = work.finder.found[entry.index]
    if target.existing is not None:
        work.results[entry.index] = Outcome(200, target.existing)
    elif target.first is not None:
        work.results[entry.index] = Outcome(200, work.results[target.first].record)


async def _write_round(work: Work, ready: Sequence[Entry], waiting: Sequence[Entry]) -> None:
    """Write ``ready``; rules may look at all of ``waiting`` that is not written yet."""
    pending, targets = Pending(), work.finder.found
    work.writing.pending = pending
    rewrite = reference_rewriter(work.addresses, work.context.server.definitions.members)
    for entry in waiting:
        if entry.interaction != "patch":
            raw = entry.raw if entry.kind == "Bundle" else rewrite(entry.raw)
            pending.add(entry.type, targets[entry.index].id, raw)
        await work.pace()
    faults = Faults()
    for entry in ready:
        sent = pending.take(entry.type, targets[entry.index].id)
        with faults.of(entry):
            await _carry_out(work, entry, _patcher(rewrite) if sent is None else _writer(sent))
    faults.raise_any()


def _writer(raw: bytes) -> Step:
    """The step that writes ``raw``, the entry's resource with its references resolved."""

    async def write(work: Work, entry: Entry) -> Outcome:
        id = work.finder.found[entry.index].id
        resource = Resource(raw, orjson.loads(raw))
        if entry.interaction == "create":
            return Outcome(201, await work.writing.put(resource, id, None, method="POST"))
        return await put_current(
            work.writing, resource, id, if_match=entry.if_match, if_none_match=entry.if_none_match
        )

    return write


def _patcher(rewrite: Rewrite) -> Step:
    """The step that patches, and resolves the references that the patch brought."""

    async def patch(work: Work, entry: Entry) -> Outcome:
        id = work.finder.found[entry.index].id
        make = _resolving(parse_patch(work.context.server, *patch_of(entry)), rewrite)
        record = await modify_current(
            work.writing, entry.type, id, make, method="PATCH", if_match=entry.if_match
        )
        return Outcome(200, record)

    return patch


def _resolving(make: Make, rewrite: Rewrite) -> Make:
    def resolved(resource: Resource) -> Resource:
        changed = make(resource)
        raw = rewrite(changed.raw)
        return changed if raw is changed.raw else Resource.parse(raw)

    return resolved
