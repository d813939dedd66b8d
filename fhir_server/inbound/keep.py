"""The first thing that happens to a message: it is kept, durably, under the number its sender gave it."""

from __future__ import annotations

from dataclasses import replace

from fhir_server.errors import Issue
from fhir_server.inbound import journal
from fhir_server.inbound.identity import Identity, digest_of
from fhir_server.inbound.journal import Message
from fhir_server.interactions.context import Server
from fhir_server.interactions.write import microseconds
from fhir_server.store import Transaction


async def keep(
    server: Server, identity: Identity, raw: bytes, peer: str, content_type: str | None
) -> tuple[Message, bool]:
    """The message in the journal, durable, and whether it is new there. Raises StoreUnavailable."""
    now = microseconds(server)
    fresh = Message(
        id=identity.key,
        his=identity.his,
        sender=identity.sender,
        control=identity.control,
        kind=identity.kind,
        digest=digest_of(raw),
        received=now,
        peer=peer,
        content_type=content_type,
        raw=raw,
    )
    async with server.store.transaction() as writing:
        known = await _known(writing, identity, fresh)
        if known.version:
            return known, False
        return await journal.write(writing, known, now), True


async def _known(writing: Transaction, identity: Identity, fresh: Message) -> Message:
    """The message as it is in the journal already, or ``fresh`` under the id that is its own."""
    first = await journal.read(writing, fresh.id)
    if first is None:
        return fresh
    if first.digest == fresh.digest:
        return first
    other = _renamed(fresh, identity.key_of(fresh.raw), is_reused=first.status != "discarded")
    return await journal.read(writing, other.id) or other


def _renamed(fresh: Message, id: str, *, is_reused: bool) -> Message:
    """Other bytes under a number that is taken are kept too, but not processed as long as the first ones stand."""
    return replace(fresh, id=id, reasons=(_REUSED,) if is_reused else ())


_REUSED = Issue(
    "error",
    "duplicate",
    "this control id was used before for a message with other bytes; send corrections under a new one",
    rule="CONTROL_ID_REUSED",
)
