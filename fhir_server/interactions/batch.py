"""batch: every entry on its own, as if it had come alone.

Source: FHIR R4 http.html#transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fhir_server.errors import FhirError
from fhir_server.interactions.bundles import Pairs
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.entries import Entry, patch_of
from fhir_server.interactions.history import history
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.patch import patch
from fhir_server.interactions.read import read
from fhir_server.interactions.responses import failure_response, response
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.interactions.vread import vread
from fhir_server.security.caller import Caller
from fhir_server.store import Reading

ORDER = ("delete", "create", "update", "patch", "read", "vread", "search", "history")
"""The order in which interactions of a Bundle are carried out."""

TOGETHER = 32
"""Entries under way at the same time, so that their writes share a commit."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every entry of one Bundle shares. ``reading`` is None unless a transaction is open."""

    server: Server
    caller: Caller
    base: str
    prefer: str | None
    reading: Reading | None = None


async def run_batch(context: Context, entries: Sequence[Entry], pace: Pace) -> list[bytes]:
    """The response entries, in the order of ``entries``. A failure stays with its entry."""
    answers: dict[int, bytes] = {}
    for interaction in (*ORDER, ""):
        group = [entry for entry in entries if entry.interaction == interaction]
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
        criteria=entry.address.query,
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
        str(entry.address.id),
        body,
        content_type=content_type,
        if_match=entry.if_match,
    )


async def _delete(context: Context, entry: Entry) -> Outcome:
    return await delete(
        context.server, context.caller, entry.type, str(entry.address.id), if_match=entry.if_match
    )


async def read_entry(context: Context, entry: Entry) -> Outcome:
    """``GET Patient/1`` of a Bundle."""
    return await read(
        context.server,
        context.caller,
        entry.type,
        str(entry.address.id),
        if_none_match=entry.if_none_match,
        reading=context.reading,
    )


async def vread_entry(context: Context, entry: Entry) -> Outcome:
    """``GET Patient/1/_history/2`` of a Bundle."""
    id, version = str(entry.address.id), str(entry.address.version)
    return await vread(context.server, context.caller, entry.type, id, version, reading=context.reading)


async def search_entry(context: Context, entry: Entry) -> Outcome:
    """``GET Patient?name=x`` of a Bundle."""
    return await search(
        context.server,
        context.caller,
        entry.type,
        _pairs(entry),
        base=context.base,
        reading=context.reading,
    )


async def _history(context: Context, entry: Entry) -> Outcome:
    address = entry.address
    return await history(
        context.server, context.caller, address.type, address.id, pairs=_pairs(entry), base=context.base
    )


def _pairs(entry: Entry) -> Pairs:
    return parse_qsl(entry.address.query or "", keep_blank_values=True)


Perform = Callable[[Context, Entry], Awaitable[Outcome]]
ALONE: Mapping[str, Perform] = {
    "create": _create,
    "update": _update,
    "patch": _patch,
    "delete": _delete,
    "read": read_entry,
    "vread": vread_entry,
    "search": search_entry,
    "history": _history,
}
"""Interaction → the entry carried out alone."""
