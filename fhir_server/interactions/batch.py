"""batch: every entry on its own, as if it had come alone.

Source: FHIR R4 http.html#transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from fhir_server.errors import FhirError, NotSupported
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.entries import STAGES, Entry, patch_of
from fhir_server.interactions.erase import delete_history
from fhir_server.interactions.history import history
from fhir_server.interactions.operations import invoke
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.parts import part_of
from fhir_server.interactions.patch import patch
from fhir_server.interactions.read import read
from fhir_server.interactions.responses import failure_response, response
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.interactions.vread import vread
from fhir_server.search.compartments import Compartment
from fhir_server.security.caller import Caller

TOGETHER = 32
"""Entries under way at the same time, so that their writes share a commit."""

Describe = Callable[[], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Context:
    """What every entry of one Bundle shares. ``lenient`` is how searches treat unknown parameters (None: as the server
    is set), ``describe`` gives the CapabilityStatement (None: there is no door that has one)."""

    server: Server
    caller: Caller
    base: str
    prefer: str | None
    lenient: bool | None = None
    describe: Describe | None = None


async def run_batch(context: Context, entries: Sequence[Entry], pace: Pace) -> list[bytes]:
    """The response entries, in the order of ``entries``. A failure stays with its entry."""
    answers: dict[int, bytes] = {}
    for stage in (*STAGES, ""):
        group = [entry for entry in entries if entry.stage == stage]
        for start in range(0, len(group), TOGETHER):
            some = group[start : start + TOGETHER]
            done = await asyncio.gather(*(_answer(context, entry) for entry in some))
            answers.update(zip((entry.index for entry in some), done, strict=True))
            await pace()
    return [answers[entry.index] for entry in entries]


async def _answer(context: Context, entry: Entry) -> bytes:
    try:
        if entry.error is not None:
            raise entry.error
        outcome = await ALONE[entry.interaction](context, entry)
    except FhirError as error:
        return failure_response(error, entry)
    return response(outcome, entry, context.base, context.prefer)


async def _create(context: Context, entry: Entry) -> Outcome:
    return await create(
        context.server,
        context.caller,
        entry.body,
        type=entry.type,
        if_none_exist=entry.if_none_exist,
        base=context.base,
    )


async def _update(context: Context, entry: Entry) -> Outcome:
    return await update(
        context.server,
        context.caller,
        entry.body,
        type=entry.type,
        id=entry.address.id,
        criteria=entry.criteria,
        if_match=entry.if_match,
        if_none_match=entry.if_none_match,
        base=context.base,
    )


async def _patch(context: Context, entry: Entry) -> Outcome:
    body, content_type = patch_of(entry)
    return await patch(
        context.server,
        context.caller,
        entry.type,
        entry.address.id,
        body,
        content_type=content_type,
        criteria=entry.criteria,
        if_match=entry.if_match,
        base=context.base,
    )


async def _delete(context: Context, entry: Entry) -> Outcome:
    return await delete(
        context.server,
        context.caller,
        entry.type,
        entry.address.id,
        criteria=entry.criteria,
        if_match=entry.if_match,
        base=context.base,
    )


async def _delete_history(context: Context, entry: Entry) -> Outcome:
    return await delete_history(context.server, context.caller, entry.type, entry.id, entry.address.version)


async def _operation(context: Context, entry: Entry) -> Outcome:
    address = entry.address
    level = "instance" if address.id else "type" if address.type else "system"
    result = await invoke(
        context.server,
        context.caller,
        level,
        address.type,
        address.id,
        str(address.operation),
        entry.body.data if entry.raw else None,
        query=entry.pairs,
        body=entry.raw,
        if_match=entry.if_match,
        base=context.base,
        lenient=context.lenient,
        get=entry.is_read,
    )
    if result.stream is None:
        return result
    whole = b"".join([piece async for piece in result.stream])
    return msgspec.structs.replace(result, resource=whole, stream=None)


async def _read(context: Context, entry: Entry) -> Outcome:
    found = await read(
        context.server,
        context.caller,
        entry.type,
        entry.id,
        if_none_match=entry.if_none_match,
        if_modified_since=entry.if_modified_since,
    )
    return part_of(context.server.definitions, found, entry.pairs) if entry.pairs else found


async def _vread(context: Context, entry: Entry) -> Outcome:
    version = str(entry.address.version)
    found = await vread(
        context.server, context.caller, entry.type, entry.id, version, if_none_match=entry.if_none_match
    )
    return part_of(context.server.definitions, found, entry.pairs) if entry.pairs else found


async def _search(context: Context, entry: Entry) -> Outcome:
    type, id, member = entry.address.type, entry.id, entry.address.member
    return await search(
        context.server,
        context.caller,
        type if member is None else None if member == "*" else member,
        entry.pairs,
        compartment=Compartment(entry.type, id) if member is not None else None,
        base=context.base,
        lenient=context.lenient,
    )


async def _history(context: Context, entry: Entry) -> Outcome:
    address = entry.address
    return await history(
        context.server, context.caller, address.type, address.id, pairs=entry.pairs, base=context.base
    )


async def _capabilities(context: Context, entry: Entry) -> Outcome:
    if context.describe is None:
        raise NotSupported("the CapabilityStatement is had over HTTP only", expression="http.url")
    return await context.describe()


Perform = Callable[[Context, Entry], Awaitable[Outcome]]
ALONE: Mapping[str, Perform] = {
    "create": _create,
    "update": _update,
    "patch": _patch,
    "delete": _delete,
    "delete-history": _delete_history,
    "operation": _operation,
    "read": _read,
    "vread": _vread,
    "search": _search,
    "history": _history,
    "capabilities": _capabilities,
}
"""Interaction → the entry carried out alone, or within the transaction that ``context.server`` takes part in."""
