"""One function for both doors: keep the message, translate it, write it, and tell the truth about it.

Two store transactions: the first keeps the bytes, the second writes what they mean *and* that they are
processed. So a server that dies in between has either everything or nothing of a message, and finds
what it owes when it starts (``recover``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from fhir_server.errors import Conflict, FhirError, Forbidden, Issue, NotFound, StoreUnavailable
from fhir_server.inbound import journal
from fhir_server.inbound.identity import Identity, identify
from fhir_server.inbound.journal import Message
from fhir_server.inbound.keep import keep
from fhir_server.interactions.context import Server
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.write import microseconds
from fhir_server.mapping import His, Mappings, Recognised, translate
from fhir_server.mapping.faults import LeftAside
from fhir_server.model.identifiers import USCC
from fhir_server.search.query import parse_query
from fhir_server.security.caller import Caller
from fhir_server.store import Record, Transaction

Admit = Callable[[Identity], None]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a door answers. ``ack`` is AA (written, or ignored on purpose), AE or AR; ``http`` the status with it.

    ``id`` is the message's in the journal (None: not kept); ``repeated`` that this is the answer of the first time.
    """

    ack: str
    http: int
    issues: tuple[Issue, ...]
    id: str | None = None
    references: tuple[str, ...] = ()
    repeated: bool = False

    @property
    def success(self) -> str:
        """What an AA means, in words: written, written before, or left aside on purpose."""
        if not self.references and self.issues:
            return self.issues[0].text
        return "processed before" if self.repeated else "processed"


async def receive(
    server: Server,
    mappings: Mappings,
    his: str | None,
    raw: bytes,
    *,
    peer: str,
    content_type: str | None = None,
    admit: Admit | None = None,
) -> Receipt:
    """Take one message. ``his`` None: found by the message itself; ``admit`` raises for a sender who may not.

    Never raises what the sender could be told: that is in the Receipt. The same number from the same sender is
    processed once; its repeat gets the answer of the first, unless that was AR, which asks for another try.
    """
    identity = identify(mappings, his, raw, content_type)
    try:
        if admit is not None:
            admit(identity)
        message, is_new = await keep(server, identity, raw, peer, content_type)
    except FhirError as error:
        _log(identity.his, identity.kind, error.ack, error.issues)
        return Receipt(error.ack, error.status, error.issues)
    if not is_new and message.status != "received" and message.ack != "AR":
        return _receipt(message, repeated=True)
    return await _process(server, message, identity)


async def recover(server: Server, mappings: Mappings, *, received_before: int | None = None) -> int:
    """Process what was kept but not finished when the server stopped; the number of messages.

    ``received_before`` (microseconds): leave what came later to the other servers on this store.
    Raises StoreUnavailable when the store is away: there is nothing to recover to.
    """
    ids = await journal.find_ids(server.store, "received")
    messages = [await _existing(server, id) for id in ids]
    owed = [each for each in messages if received_before is None or each.received < received_before]
    for message in owed:
        await _again(server, mappings, message, forced=False)
    return len(owed)


async def replay(server: Server, mappings: Mappings, id: str) -> Receipt:
    """Try a quarantined message again, with the mappings as they are now.

    Raises NotFound for an unknown id, Conflict for a message that is not in quarantine.
    """
    return await _again(server, mappings, await quarantined(server, id), forced=True)


async def discard(server: Server, id: str, reason: str) -> Message:
    """Give a quarantined message up, for a ``reason`` that is kept. Raises as ``replay`` does."""
    message = await quarantined(server, id)
    kept = message.settled("discarded", discarded=reason)
    async with server.store.transaction() as writing:
        return await journal.write(writing, kept, microseconds(server))


async def quarantined(server: Server, id: str) -> Message:
    """The message, which must be in quarantine. Raises NotFound or Conflict."""
    message = await _existing(server, id)
    if message.status != "quarantined":
        raise Conflict(f"the message is {message.status}, not quarantined", expression="http.id")
    return message


async def _existing(server: Server, id: str) -> Message:
    message = await journal.read(server.store, id)
    if message is None:
        raise NotFound(f"there is no message {id[:64]}")
    return message


# ── processing ────────────────────────────────────────────────────────────────


async def _again(server: Server, mappings: Mappings, message: Message, *, forced: bool) -> Receipt:
    raw = await journal.read_raw(server.store, message)
    his = message.his if message.his in mappings.his else None
    return await _process(server, message, identify(mappings, his, raw, message.content_type), forced=forced)


async def _process(server: Server, message: Message, identity: Identity, *, forced: bool = False) -> Receipt:
    """Write what the message means, or put it into quarantine; what became of it is durable when this returns.

    ``forced``: a person wants it tried although its number had been used before.
    """
    try:
        if message.reasons and not forced and message.status == "received":
            raise Conflict(issues=message.reasons)
        return await _write(server, message, identity)
    except StoreUnavailable as error:
        return Receipt(error.ack, error.status, error.issues, message.id)
    except LeftAside as told:
        return await _settle(server, message, "ignored", told)
    except FhirError as error:
        return await _settle(server, message, "quarantined", error)
    except Exception as bug:
        _log_bug(message, bug)
        return await _settle(server, message, "quarantined", _bug(message))


async def _write(server: Server, message: Message, identity: Identity) -> Receipt:
    recognised = _readable(identity)
    translation = translate(recognised)
    caller = await his_caller(server, recognised.his)
    done: list[Message] = []

    async def mark(writing: Transaction, records: Sequence[Record]) -> None:
        references = tuple(dict.fromkeys(f"{record.type}/{record.id}" for record in records))
        settled = message.settled(
            "processed",
            ack="AA",
            http=200,
            his=recognised.his.key,
            kind=recognised.kind,
            map=translation.map,
            reasons=translation.issues,
            references=references,
        )
        done.append(await journal.write(writing, settled, microseconds(server)))

    await transaction(server, caller, translation.resource, also=mark)
    _log(recognised.his.key, recognised.kind, "AA", translation.issues)
    return _receipt(done[-1])


def _readable(identity: Identity) -> Recognised:
    if identity.recognised is None:
        assert identity.fault is not None
        raise identity.fault
    return identity.recognised


async def his_caller(server: Server, his: His) -> Caller:
    """Who writes what a HIS sends: the organisation that runs it. Raises Forbidden when it is not in this server."""
    criteria = [("identifier", f"{USCC}|{his.uscc}"), ("_count", "2")]
    query = parse_query(server.parameters, "Organization", criteria, zone=server.timezone)
    records = (await server.store.search(query)).records
    if len(records) != 1:
        raise Forbidden(
            f"the organisation of {his.key} is not in this server (or not only once): identifier {USCC}|{his.uscc}",
            rule="UNKNOWN_ORGANIZATION",
        )
    return Caller(f"his:{his.key}", f"Organization/{records[0].id}")


async def _settle(server: Server, message: Message, status: str, error: FhirError) -> Receipt:
    """Keep why nothing was written, unless the same message has been finished by somebody else meanwhile."""
    reasons = tuple(
        replace(issue, severity="information") if error.ack == "AA" else issue for issue in error.issues
    )
    settled = message.settled(status, ack=error.ack, http=error.status, reasons=reasons)
    try:
        async with server.store.transaction() as writing:
            current = await journal.read(writing, message.id)
            if current is not None and current.version > message.version:
                return _receipt(current, repeated=True)
            await journal.write(writing, settled, microseconds(server))
    except StoreUnavailable as away:
        return Receipt(away.ack, away.status, away.issues, message.id)
    _log(message.his, message.kind, error.ack, error.issues)
    return _receipt(settled)


def _receipt(message: Message, *, repeated: bool = False) -> Receipt:
    return Receipt(message.ack, message.http, message.reasons, message.id, message.references, repeated)


def _bug(message: Message) -> FhirError:
    return FhirError(f"an error of the server; its log explains it under {message.id}")


def _log(his: str, kind: str, ack: str, issues: Sequence[Issue]) -> None:
    rules = sorted({issue.rule or issue.code for issue in issues})
    structlog.get_logger("fhir_server.inbound").info("message", his=his, kind=kind[:20], ack=ack, rules=rules)


def _log_bug(message: Message, bug: Exception) -> None:
    """The place, not the text of the exception, which may quote a patient."""
    at = []
    trace = bug.__traceback__
    while trace is not None:
        at.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    log = structlog.get_logger("fhir_server.inbound")
    log.error("bug", message=message.id, his=message.his, error=type(bug).__name__, at=at)
